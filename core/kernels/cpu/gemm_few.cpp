// Products of at most four rows: bound by the reading of B, which is walked in the order of its memory.
#include "base/parallel.h"
#include "kernels/cpu/gemm_internal.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

constexpr int64_t kSweep = 1024;  // columns of C that stay in the L1 cache while B's rows go by

// y[M][kSweep] += a[p][M] * b[p][columns], four rows of B at a time so that y is read and written a quarter as often.
template <class S, class T, int M>
void sweep_rows(const T* a, const S* b, int64_t ld, T* y, int64_t columns, int64_t k) {
  constexpr int lanes = kSpan<T>;
  for (int64_t p = 0; p < k; p += 4, a += 4 * M, b += 4 * ld) {
    const int64_t rows = smaller(k - p, 4);
    T w[4][M] = {};
    for (int r = 0; r < rows; r++)
      for (int i = 0; i < M; i++) w[r][i] = a[r * M + i];
    const S* row[4];
    for (int r = 0; r < 4; r++) row[r] = b + smaller(r, rows - 1) * ld;  // beyond the end: any row, never added
    const S* ahead = b + smaller(8, k - p - rows) * ld;
    int64_t j = 0;
    if (rows == 4) {
      for (; j + lanes <= columns; j += lanes) {
        if (j % (64 / sizeof(S)) == 0)
          for (int r = 0; r < 4; r++) __builtin_prefetch(ahead + r * ld + j, 0, 2);
        Vec<T> v[4];
#pragma GCC unroll 4
        for (int r = 0; r < 4; r++) v[r] = fetch<T>(row[r] + j);
#pragma GCC unroll 4
        for (int i = 0; i < M; i++) {
          // added among themselves first, for a quarter of the roundings at the size of the whole sum
          const Vec<T> sum = (w[0][i] * v[0] + w[1][i] * v[1]) + (w[2][i] * v[2] + w[3][i] * v[3]);
          store(y + i * kSweep + j, load(y + i * kSweep + j) + sum);
        }
      }
    }
    for (; j < columns; j += lanes) {
      const int64_t left = smaller(columns - j, lanes);
      for (int r = 0; r < rows; r++) {
        Vec<T> v = fetch_part<T>(row[r] + j, left);
        for (int i = 0; i < M; i++) store(y + i * kSweep + j, load(y + i * kSweep + j) + w[r][i] * v);
      }
    }
  }
}

// y[i * kSweep + j] = a[i] . b[j] for J columns, each contiguous along k.
template <class S, class T, int M, int J>
void dot_columns(const T* a, int64_t a_row, const S* b, int64_t ld, T* y, int64_t k) {
  constexpr int lanes = kSpan<T>;
  Vec<T> sum[M][J] = {};
  int64_t p = 0;
  for (; p + lanes <= k; p += lanes) {
    Vec<T> v[J];
#pragma GCC unroll 8
    for (int j = 0; j < J; j++) v[j] = fetch<T>(b + j * ld + p);
#pragma GCC unroll 4
    for (int i = 0; i < M; i++) {
      Vec<T> x = load(a + i * a_row + p);
#pragma GCC unroll 8
      for (int j = 0; j < J; j++) sum[i][j] += x * v[j];
    }
  }
  if (p < k) {  // a's rows are padded with zeros to a whole vector
#pragma GCC unroll 8
    for (int j = 0; j < J; j++) {
      Vec<T> v = fetch_part<T>(b + j * ld + p, k - p);
#pragma GCC unroll 4
      for (int i = 0; i < M; i++) sum[i][j] += load(a + i * a_row + p) * v;
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < M; i++)
#pragma GCC unroll 8
    for (int j = 0; j < J; j++) y[i * kSweep + j] = sum_lanes<T>(sum[i][j]);
}

constexpr int64_t kPiece = 1 << 20;  // bytes of B that a thread walks at a time

// A large plain B: its rows are walked in long runs, as memory wants, by cutting k into parts instead of the columns
// into narrow strips. The parts follow from the shape, short enough for little rounding, and are added in order.
template <class S, class T, int M> void few_in_parts(const Product<S, T>& g, const T* a) {
  const int64_t blocks = ceil_div(g.n, kSweep), width = round_up(ceil_div(g.n, blocks), kSpan<T>);
  const int64_t piece = kPiece / (width * int64_t(sizeof(S)));
  const int64_t rows = round_up(smaller(1024, larger(64, piece)), 4), parts = ceil_div(g.k, rows);
  const int64_t sums_row = blocks * width, part_size = M * sums_row;
  Scratch memory(size_t(parts * part_size) * sizeof(T));
  T* const sums = memory.as<T>();
  parallel_for(parts * blocks, 1, [&](int64_t begin, int64_t end) {
    alignas(64) T y[M * kSweep];
    for (; begin < end; begin++) {
      const int64_t part = begin / blocks, n0 = begin % blocks * width, p0 = part * rows;
      const int64_t columns = smaller(width, g.n - n0);
      if (columns <= 0) continue;
      std::memset(y, 0, sizeof(y));
      sweep_rows<S, T, M>(a + p0 * M, g.b + p0 * g.b_row + n0, g.b_row, y, columns, smaller(rows, g.k - p0));
      for (int i = 0; i < M; i++)
        std::memcpy(sums + part * part_size + i * sums_row + n0, y + i * kSweep, size_t(columns) * sizeof(T));
    }
  });
  parallel_for(blocks, larger(1, 30000 / (width * parts * M)), [&](int64_t begin, int64_t end) {
    for (; begin < end; begin++) {
      const int64_t n0 = begin * width, columns = smaller(width, g.n - n0);
      if (columns <= 0) continue;
      for (int64_t part = 1; part < parts; part++)
        for (int i = 0; i < M; i++) {
          T *to = sums + i * sums_row + n0, *from = to + part * part_size;
          for (int64_t j = 0; j < columns; j += kSpan<T>) store(to + j, load(to + j) + load(from + j));
        }
      finish_rows(sums + n0, sums_row, g.c + n0, g.c_row, g.bias ? g.bias + n0 : nullptr, g.alpha, g.beta, M, columns);
    }
  });
}

template <class S, class T, int M> void few(const Product<S, T>& g) {
  const bool plain = g.b_col == 1 && (g.b_row != 1 || g.n > 1);
  const int64_t a_row = round_up(g.k, kSpan<T>);
  // A in the accumulator's type: [k][M] for the sweep, [M][k padded with zeros] for the dot products.
  alignas(64) T small[2048];
  const int64_t values = plain ? g.k * M : a_row * M;
  Scratch large(values > 2048 ? size_t(values) * sizeof(T) : 0);
  T* a = values > 2048 ? large.as<T>() : small;
  for (int i = 0; i < M; i++) {
    const S* from = g.a + i * g.a_row;
    if (plain) {
      for (int64_t p = 0; p < g.k; p++) a[p * M + i] = widen<S, T>(from[p * g.a_col]);
    } else {
      for (int64_t p = 0; p < g.k; p++) a[i * a_row + p] = widen<S, T>(from[p * g.a_col]);
      for (int64_t p = g.k; p < a_row; p++) a[i * a_row + p] = 0;
    }
  }
  if (plain && g.n * g.k * int64_t(sizeof(S)) > 2 * kPiece) return few_in_parts<S, T, M>(g, a);
  auto columns = [&](int64_t begin, int64_t end) {
    alignas(64) T y[M * kSweep];
    for (; begin < end; begin += kSweep) {
      const int64_t width = smaller(end - begin, kSweep);
      if (plain) {
        std::memset(y, 0, sizeof(y));
        sweep_rows<S, T, M>(a, g.b + begin, g.b_row, y, width, g.k);
      } else {
        constexpr int together = 4;
        int64_t j = 0;
        for (; j + together <= width; j += together)
          dot_columns<S, T, M, together>(a, a_row, g.b + (begin + j) * g.b_col, g.b_col, y + j, g.k);
        for (; j < width; j++) dot_columns<S, T, M, 1>(a, a_row, g.b + (begin + j) * g.b_col, g.b_col, y + j, g.k);
      }
      finish_rows(y, kSweep, g.c + begin, g.c_row, g.bias ? g.bias + begin : nullptr, g.alpha, g.beta, M, width);
    }
  };
  int64_t grain = larger(1, (1 << 18) / larger(1, g.k * int64_t(sizeof(S))));
  if (plain) grain = smaller(kSweep, round_up(larger(grain, 256), 64));
  parallel_for(g.n, grain, columns);
}

template <class S, class T> bool few_any(const Product<S, T>& g) {
  const bool plain = g.b_col == 1 && (g.b_row != 1 || g.n > 1);
  if (g.m > 4 || (plain && g.n < 64 && g.n * g.k < 2048)) return false;
  // Each dot product ends in a sum across lanes, which short ones do not earn back: packing so little of B is cheap.
  if (!plain && g.m > 1 && g.k < 64 && g.n * g.k < 8192) return false;
  switch (g.m) {
    case 1: few<S, T, 1>(g); break;
    case 2: few<S, T, 2>(g); break;
    case 3: few<S, T, 3>(g); break;
    default: few<S, T, 4>(g);
  }
  return true;
}

}  // namespace

bool few_rows(const Product<float, float>& g) { return few_any(g); }
bool few_rows(const Product<double, double>& g) { return few_any(g); }
bool few_rows(const Product<Half, float>& g) { return few_any(g); }
bool few_rows(const Product<BFloat16, float>& g) { return few_any(g); }

}  // namespace flambeau::kernels::FLAMBEAU_ISA
