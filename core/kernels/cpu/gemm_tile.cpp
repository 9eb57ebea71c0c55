// The register tiles, one function for every height, so that no tail needs masked arithmetic.
#include "kernels/cpu/gemm_tile.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

template <class T> struct MultiplyAdd {
  using In = T;
  using Acc = T;
  static FLAMBEAU_INLINE void step(Vec<T>& acc, T a, Vec<T> b) { acc += a * b; }
};
#ifdef FLAMBEAU_ISA_v4
// GCC 12 moves accumulators through memory around the intrinsic's casts, hence the instruction itself.
struct DotPairs {
  using In = uint32_t;
  using Acc = float;
  static FLAMBEAU_INLINE void step(Vec<float>& acc, uint32_t a, Vec<uint32_t> b) {
    Vec<uint32_t> pair = splat(a);
    asm("vdpbf16ps %2, %1, %0" : "+v"(acc) : "v"(b), "v"(pair));
  }
};
#endif

template <class T>
void finish_tile(const Vec<T>* acc, int rows, int vectors, T* c, int64_t c_row, int64_t columns, T alpha, T beta,
                 const T* column_bias, const T* row_bias) {
  constexpr int lanes = kSpan<T>;
  for (int i = 0; i < rows; i++, c += c_row) {
    for (int v = 0; v < vectors; v++) {
      Vec<T> x = acc[i * vectors + v] * alpha;
      int64_t left = columns - v * lanes;
      if (left <= 0) break;
      if (row_bias) x += row_bias[i];
      if (left >= lanes) {
        if (column_bias) x += load(column_bias + v * lanes);
        if (beta != 0) x += beta * load(c + v * lanes);
        store(c + v * lanes, x);
      } else {
        if (column_bias) x += load_part(column_bias + v * lanes, left);
        if (beta != 0) x += beta * load_part(c + v * lanes, left);
        store_part(c + v * lanes, x, left);
      }
    }
  }
}

template <class Op, int R, int V, TileForm form> void tile(const TileCall<typename Op::In, typename Op::Acc>& t) {
  using In = typename Op::In;
  using Acc = typename Op::Acc;
  constexpr int lanes = kSpan<In>;
  Vec<Acc> acc[R][V];
#pragma GCC unroll 16
  for (int i = 0; i < R; i++) {
    __builtin_prefetch(t.c + i * t.c_row, 1);
    if (V == 2) {  // a row that is not aligned touches three lines
      __builtin_prefetch(t.c + i * t.c_row + kSpan<Acc>, 1);
      __builtin_prefetch(t.c + i * t.c_row + 2 * kSpan<Acc> - 1, 1);
    }
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) acc[i][v] = Vec<Acc>{};
  }
  const In *a = t.a, *b = t.b;
  const In* rows[R];
  if constexpr (form == kTileRowsForm) {
#pragma GCC unroll 16
    for (int i = 0; i < R; i++) rows[i] = t.a_rows[i];
  }
  const int64_t k = t.k, a_step = t.a_step, b_step = t.b_step;
  const int64_t* table = t.b_table;
  const In* ahead = t.ahead ? t.ahead : t.b;  // an address without a page would cost a walk every time
  const int64_t ahead_step = t.ahead_step;
  for (int64_t p = 0; p < k; p++) {
    if constexpr (form != kTileTableForm) {
      __builtin_prefetch(ahead, 0, 2);
      ahead += ahead_step;
    }
    const In* from = form == kTileTableForm ? b + table[p] : b;
    Vec<In> bv[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) bv[v] = load(from + v * lanes);
#pragma GCC unroll 16
    for (int i = 0; i < R; i++) {
      In x = form == kTileRowsForm ? rows[i][p] : a[i];
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) Op::step(acc[i][v], x, bv[v]);
    }
    if constexpr (form != kTileTableForm) b += b_step;
    if constexpr (form != kTileRowsForm) a += a_step;
  }
  Acc* c = t.c;
  const bool plain = t.columns == V * kSpan<Acc> && t.alpha == 1 && !t.column_bias && !t.row_bias;
  if (plain && t.beta == 0) {
#pragma GCC unroll 16
    for (int i = 0; i < R; i++)
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) store(c + i * t.c_row + v * kSpan<Acc>, acc[i][v]);
  } else if (plain && t.beta == 1) {
#pragma GCC unroll 16
    for (int i = 0; i < R; i++)
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) {
        Acc* p = c + i * t.c_row + v * kSpan<Acc>;
        store(p, acc[i][v] + load(p));
      }
  } else {  // through memory: an index that is not a constant would keep the sums out of registers above
    Vec<Acc> sums[R * V];
#pragma GCC unroll 16
    for (int i = 0; i < R; i++)
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) sums[i * V + v] = acc[i][v];
    finish_tile(sums, R, V, c, t.c_row, t.columns, t.alpha, t.beta, t.column_bias, t.row_bias);
  }
}

template <class Op, int V, TileForm form, class Function, int... r>
constexpr void fill_heights(Function (&of)[16], std::integer_sequence<int, r...>) {
  ((of[r] = tile<Op, r + 1, V, form>), ...);
}
template <class Op, TileForm... forms> constexpr auto make_table() {
  TileTable<typename Op::In, typename Op::Acc> table = {};
  constexpr auto heights = std::make_integer_sequence<int, kTileRows>();
  ((fill_heights<Op, 1, forms>(table.of[forms][0], heights), fill_heights<Op, 2, forms>(table.of[forms][1], heights)),
   ...);
  return table;
}

}  // namespace

constexpr TileTable<float, float> kTilesF32 =
    make_table<MultiplyAdd<float>, kTileColumnsForm, kTileRowsForm, kTileTableForm>();
constexpr TileTable<double, double> kTilesF64 =
    make_table<MultiplyAdd<double>, kTileColumnsForm, kTileRowsForm, kTileTableForm>();
#ifdef FLAMBEAU_ISA_v4
constexpr TileTable<uint32_t, float> kTilesBF16 = make_table<DotPairs, kTileColumnsForm>();
#endif

}  // namespace flambeau::kernels::FLAMBEAU_ISA
