// What the matrix product's source files share: one product in typed form, and the kinds of arithmetic.
#pragma once
#include "kernels/cpu/gemm_pack.h"
#include "kernels/cpu/gemm_tile.h"

namespace flambeau::kernels::FLAMBEAU_ISA {

template <class S, class Acc> struct Product {
  int64_t m, n, k;
  const S* a;
  int64_t a_row, a_col;
  const S* b;
  int64_t b_row, b_col;
  S* c;
  int64_t c_row;
  const S* bias;
  Acc alpha, beta;
  const S* b_packed = nullptr;
  bool turned = false;  // element (i, j) of the result goes to c[j * c_row + i], and bias has a value for every i
};

namespace {

template <class Src_, class In_, class Acc_> struct GemmKind {
  using Src = Src_;  // the operands' and the result's type in memory
  using In = In_;
  using Acc = Acc_;
  static constexpr int kPer = kPerUnit<In, Src>;
  static constexpr bool kSame = std::is_same_v<Src, In>;  // tiles may read operands in place and write C themselves
};
using KindF32 = GemmKind<float, float, float>;
using KindF64 = GemmKind<double, double, double>;
using KindF16 = GemmKind<Half, float, float>;
using KindBF16 = GemmKind<BFloat16, float, float>;
using KindBF16Dot = GemmKind<BFloat16, uint32_t, float>;

template <class Kind> FLAMBEAU_INLINE const TileTable<typename Kind::In, typename Kind::Acc>& tiles_of() {
#ifdef FLAMBEAU_ISA_v4
  if constexpr (std::is_same_v<Kind, KindBF16Dot>) return kTilesBF16;
#endif
  if constexpr (std::is_same_v<Kind, KindF64>)
    return kTilesF64;
  else if constexpr (!std::is_same_v<Kind, KindBF16Dot>)
    return kTilesF32;
}

template <class S, class Acc> FLAMBEAU_INLINE Acc widen(S x) {
  if constexpr (sizeof(S) == 2)
    return to_float(x);
  else
    return x;
}
// c = alpha * sums + bias + beta * c, rounded once to the type of c.
template <class S, class Acc>
void finish_rows(const Acc* sums, int64_t sums_row, S* c, int64_t c_row, const S* bias, Acc alpha, Acc beta,
                 int64_t rows, int64_t columns) {
  for (int64_t i = 0; i < rows; i++, sums += sums_row, c += c_row) {
    int64_t j = 0;
    if constexpr (sizeof(S) == 2) {  // the compiler would round one at a time
      constexpr int lanes = kSpan<float>;
      for (; j < columns; j += lanes) {
        const int64_t left = columns - j;
        Vec<float> x = alpha * (left >= lanes ? load(sums + j) : load_part(sums + j, left));
        if (bias) x += left >= lanes ? load_float(bias + j) : load_float_part(bias + j, left);
        if (beta != 0) x += beta * (left >= lanes ? load_float(c + j) : load_float_part(c + j, left));
        if (left >= lanes)
          store_rounded(c + j, x);
        else
          store_rounded_part(c + j, x, left);
      }
    } else if (!bias && beta == 0) {
      for (; j < columns; j++) c[j] = alpha * sums[j];
    } else {
      for (; j < columns; j++) {
        Acc x = alpha * sums[j];
        if (bias) x += bias[j];
        if (beta != 0) x += beta * c[j];
        c[j] = x;
      }
    }
  }
}

// The same for sums that lie the other way round: c[j * c_row + i] from sums[i * sums_row + j], with bias[i]. Rows of sums
// may be read to a whole vector's end.
template <class T>
void finish_turned(const T* sums, int64_t sums_row, T* c, int64_t c_row, const T* bias, T alpha, T beta, int64_t rows,
                   int64_t columns) {
  constexpr int lanes = kSpan<T>;
  for (int64_t j = 0; j < columns; j += lanes) {
    const int64_t here = smaller(lanes, columns - j);
    for (int64_t i = 0; i < rows; i += lanes) {
      const int64_t left = rows - i;
      Vec<T> square[lanes];
#pragma GCC unroll 16
      for (int r = 0; r < lanes; r++) square[r] = load(sums + (i + smaller(r, left - 1)) * sums_row + j);
      transpose_square<T>(square);
      Vec<T> shift = {};
      if (bias) shift = left >= lanes ? load(bias + i) : load_part(bias + i, left);
      for (int64_t r = 0; r < here; r++) {
        T* to = c + (j + r) * c_row + i;
        Vec<T> x = alpha * square[r] + shift;
        if (beta != 0) x += beta * (left >= lanes ? load(to) : load_part(to, left));
        if (left >= lanes)
          store(to, x);
        else
          store_part(to, x, left);
      }
    }
  }
}

}  // namespace

// m <= 4, and either kind of B: false if the general way suits the shape better.
bool few_rows(const Product<float, float>& g);
bool few_rows(const Product<double, double>& g);
bool few_rows(const Product<Half, float>& g);
bool few_rows(const Product<BFloat16, float>& g);

// Small products whose rows of C are one vector: false if there is more of them, or B's rows do not lie whole.
bool one_vector_wide(const Product<float, float>& g);
bool one_vector_wide(const Product<double, double>& g);

// The panels of a whole B, for Product::b_packed: k * n values, n rounded up to panels, and a vector of room.
void pack_panels(const Product<float, float>& g, float* packed);
void pack_panels(const Product<double, double>& g, double* packed);

// One product of any size.
void product(const Product<float, float>& g);
void product(const Product<double, double>& g);
void product(const Product<Half, float>& g);
void product(const Product<BFloat16, float>& g);

}  // namespace flambeau::kernels::FLAMBEAU_ISA
