// Products so small that cutting and packing would cost more than the sums: rows of C of at most one vector.
#include "kernels/cpu/gemm_internal.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

constexpr int64_t kDeep = 64, kMost = 1024;  // of k, and elements of A

// R rows of C from row i on, each a sum over k in order, as in the tiles.
template <class T, int R> FLAMBEAU_INLINE void rows_of(const Product<T, T>& g, int64_t i) {
  const int64_t n = g.n;
  const T *a = g.a + i * g.a_row, *b = g.b;
  Vec<T> sums[R] = {};
  for (int64_t p = 0; p < g.k; p++, a += g.a_col, b += g.b_row) {
    const Vec<T> row = load_part(b, n);
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) sums[r] += a[r * g.a_row] * row;
  }
  T* c = g.c + i * g.c_row;
#pragma GCC unroll 4
  for (int r = 0; r < R; r++, c += g.c_row) {
    Vec<T> x = sums[r] * g.alpha;
    if (g.bias) x += load_part(g.bias, n);
    if (g.beta != 0) x += g.beta * load_part(c, n);
    store_part(c, x, n);
  }
}

template <class T> bool narrow(const Product<T, T>& g) {
  if (g.n < 2 || g.n > kSpan<T> || g.k > kDeep || g.m * g.k > kMost || g.b_col != 1) return false;
  int64_t i = 0;
  for (; i + 4 <= g.m; i += 4) rows_of<T, 4>(g, i);
  for (; i < g.m; i++) rows_of<T, 1>(g, i);
  return true;
}

}  // namespace

bool one_vector_wide(const Product<float, float>& g) { return narrow(g); }
bool one_vector_wide(const Product<double, double>& g) { return narrow(g); }

}  // namespace flambeau::kernels::FLAMBEAU_ISA
