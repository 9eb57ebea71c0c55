// The register tile of all matrix products and convolutions: `rows` x (1 or 2 vectors) of C, summed over k in order.
// Because every element of C is one sum in the order of k whatever the tile's height, results do not depend on how the
// rows and columns of C are cut.
#pragma once
#include "kernels/cpu/gemm_vector.h"

namespace flambeau::kernels::FLAMBEAU_ISA {

// In: what is multiplied (float, double, or a pair of bfloat16 as uint32_t); Acc: what is summed and written.
template <class In, class Acc> struct TileCall {
  // A(i, p) = a[p * a_step + i], or a_rows[i][p] in the kernels that walk rows
  const In* a;
  int64_t a_step;
  const In* const* a_rows;
  // B(p, j) = b[p * b_step + j], or b[b_table[p] + j] in the kernels that look rows up; whole vectors are read
  const In* b;
  int64_t b_step;
  const int64_t* b_table;
  int64_t k;
  // fetched into the L2 cache meanwhile, one line for every p: what a later tile reads at a stride that the processor
  // does not foresee
  const In* ahead = nullptr;
  int64_t ahead_step = 0;
  Acc* c;
  int64_t c_row;
  int64_t columns;         // of C that are written, 1 to the tile's width
  Acc alpha, beta;         // beta 0: C is not read
  const Acc* column_bias;  // one value per column, or null
  const Acc* row_bias;     // one value per row, or null
};

enum TileForm { kTileColumnsForm, kTileRowsForm, kTileTableForm, kTileForms };

// [form][vectors - 1][rows - 1]
template <class In, class Acc> struct TileTable {
  using Function = void (*)(const TileCall<In, Acc>&);
  Function of[kTileForms][2][16];
};
extern const TileTable<float, float> kTilesF32;
extern const TileTable<double, double> kTilesF64;
#ifdef FLAMBEAU_ISA_v4
extern const TileTable<uint32_t, float> kTilesBF16;  // columns form only; needs AVX512-BF16
#endif

namespace {
// k is cut into equal blocks of at most kBlockK, by its size alone.
constexpr int64_t kBlockK = 192;
FLAMBEAU_INLINE int64_t block_k(int64_t k, int64_t most = kBlockK) {
  return k <= most ? k : round_up(ceil_div(k, ceil_div(k, most)), 8);
}
}  // namespace

}  // namespace flambeau::kernels::FLAMBEAU_ISA
