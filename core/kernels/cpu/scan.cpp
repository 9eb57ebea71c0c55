// Running sums and their like along contiguous rows. Sums of integers add up within a vector; others walk eight rows (or
// eight pieces of one long row, whose totals are taken first) side by side, since one running sum waits for the latency
// of every addition. Along other dimensions a block of accumulators stays in the L1 cache.
#pragma GCC optimize("tree-vectorize,vect-cost-model=dynamic")
#include "kernels/cpu/scan.h"
#include "base/parallel.h"
#include "kernels/cpu/simd.h"
#include <cmath>

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

constexpr int64_t kGrain = 32 << 10;  // elements of a chunk
constexpr int kAbreast = 8;           // rows side by side
constexpr int64_t kColumns = 128;     // accumulators of a block

int64_t at_least_one(int64_t x) { return x < 1 ? 1 : x; }

// An operation: the accumulator of T, its start, and how an element joins it. float32 accumulates in float64.
template <class T> struct Accumulator { using type = T; };
template <> struct Accumulator<float> { using type = double; };
template <> struct Accumulator<Complex64> { using type = Complex128; };
template <class T> using Acc = typename Accumulator<T>::type;

template <class T> FLAMBEAU_INLINE Acc<T> widen(T x) {
  if constexpr (std::is_same_v<T, Complex64>)
    return {x.re, x.im};
  else
    return Acc<T>(x);
}
template <class T> FLAMBEAU_INLINE T narrowed(Acc<T> x) {
  if constexpr (std::is_same_v<T, Complex64>)
    return {float(x.re), float(x.im)};
  else
    return T(x);
}

struct Sum {
  static constexpr bool kAssociative = true;  // in the sense that long rows may be cut
  template <class A> static FLAMBEAU_INLINE A start() { return A{}; }
  template <class A> static FLAMBEAU_INLINE A join(A a, A b) {
    if constexpr (std::is_same_v<A, int64_t>)
      return int64_t(uint64_t(a) + uint64_t(b));
    else
      return a + b;
  }
  template <class R> static FLAMBEAU_INLINE Complex<R> join(Complex<R> a, Complex<R> b) {
    return {a.re + b.re, a.im + b.im};
  }
};
struct Prod {
  static constexpr bool kAssociative = true;
  template <class A> static FLAMBEAU_INLINE A start() {
    if constexpr (std::is_same_v<A, Complex128>)
      return {1, 0};
    else
      return A(1);
  }
  template <class A> static FLAMBEAU_INLINE A join(A a, A b) {
    if constexpr (std::is_same_v<A, int64_t>)
      return int64_t(uint64_t(a) * uint64_t(b));
    else
      return a * b;
  }
  template <class R> static FLAMBEAU_INLINE Complex<R> join(Complex<R> a, Complex<R> b) {
    return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
  }
};
struct LogOfSum {
  static constexpr bool kAssociative = false;
  template <class A> static FLAMBEAU_INLINE A start() { return A(-__builtin_inf()); }
  static FLAMBEAU_INLINE double join(double a, double b) {
    double low = a < b ? a : b, high = a < b ? b : a;
    if (a != a || b != b) return a + b;
    // equal infinities have no difference
    return low == high && !std::isfinite(low) ? low : high + __builtin_log1p(__builtin_exp(low - high));
  }
};

// kRows rows at once, `stride` elements apart, each going on from its own carry.
template <class T, class Op, int kRows>
FLAMBEAU_INLINE void scan_rows(T* out, const T* in, int64_t stride, int64_t n, Acc<T>* carry) {
  Acc<T> a[kRows];
  for (int r = 0; r < kRows; ++r) a[r] = carry[r];
  for (int64_t i = 0; i < n; ++i) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      a[r] = Op::join(a[r], widen(in[r * stride + i]));
      out[r * stride + i] = narrowed<T>(a[r]);
    }
  }
  for (int r = 0; r < kRows; ++r) carry[r] = a[r];
}

// Whole numbers may be added in any order.
template <class T, class Op> inline constexpr bool kInVectors = std::is_same_v<Op, Sum>&& std::is_same_v<T, int64_t>;

// v moved up by kBy lanes, zeros coming in.
template <int kBy, class V, size_t... i> FLAMBEAU_INLINE V moved_up(V v, std::index_sequence<i...>) {
  return __builtin_shufflevector(V{}, v, (int(i) < kBy ? int(i) : int(sizeof...(i) + i) - kBy)...);
}
template <class V, size_t... i> FLAMBEAU_INLINE V last_lane(V v, std::index_sequence<i...>) {
  return __builtin_shufflevector(v, v, (int(sizeof...(i) - 1) + 0 * int(i))...);
}
// One row: running sums within each vector do not wait for each other, only the carry passes through.
FLAMBEAU_INLINE void sum_row(int64_t* out, const int64_t* in, int64_t n, int64_t start) {
  using V = Raw<uint64_t>;
  constexpr int lanes = int(sizeof(V) / sizeof(int64_t));
  constexpr auto all = std::make_index_sequence<size_t(lanes)>();
  V carry = V{} + uint64_t(start);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    V v = load<V>(in + i);
    v += moved_up<1>(v, all);
    if constexpr (lanes > 2) v += moved_up<2>(v, all);
    if constexpr (lanes > 4) v += moved_up<4>(v, all);
    store(out + i, v + carry);
    carry += last_lane(v, all);
  }
  for (uint64_t a = carry[0]; i < n; ++i) out[i] = int64_t(a += uint64_t(in[i]));
}

// Rows a multiple of half a page apart share their sets of the L1 cache, eight lines each: four rows in and four out.
template <class T, class Op>
FLAMBEAU_INLINE void scan_abreast(T* out, const T* in, int64_t stride, int64_t n, Acc<T>* carry) {
  if (stride * int64_t(sizeof(T)) % 2048 != 0) return scan_rows<T, Op, kAbreast>(out, in, stride, n, carry);
  scan_rows<T, Op, kAbreast / 2>(out, in, stride, n, carry);
  const int64_t half = kAbreast / 2 * stride;
  scan_rows<T, Op, kAbreast / 2>(out + half, in + half, stride, n, carry + kAbreast / 2);
}

// The total of n elements, in an order that depends on n alone.
template <class T, class Op> Acc<T> total_of(const T* in, int64_t n) {
  constexpr int kWays = 8;
  Acc<T> a[kWays];
  for (int w = 0; w < kWays; ++w) a[w] = Op::template start<Acc<T>>();
  int64_t i = 0;
  for (; i + kWays <= n; i += kWays) {
    for (int w = 0; w < kWays; ++w) a[w] = Op::join(a[w], widen(in[i + w]));
  }
  for (; i < n; ++i) a[0] = Op::join(a[0], widen(in[i]));
  for (int w = 1; w < kWays; ++w) a[0] = Op::join(a[0], a[w]);
  return a[0];
}

// One long row: totals of its pieces first, then eight pieces side by side.
template <class T, class Op> void scan_long_row(T* out, const T* in, int64_t n) {
  constexpr int64_t kMost = 512;
  int64_t piece = 4096;
  while (piece * kMost < n) piece *= 2;
  int64_t pieces = (n + piece - 1) / piece;
  Acc<T> carry[kMost + kAbreast];
  parallel_for(pieces, 8, [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    for (int64_t p = begin; p < end; ++p) {
      carry[p] = total_of<T, Op>(in + p * piece, n - p * piece < piece ? n - p * piece : piece);
    }
  });
  Acc<T> sum = Op::template start<Acc<T>>();
  for (int64_t p = 0; p < pieces; ++p) {
    Acc<T> mine = carry[p];
    carry[p] = sum;
    sum = Op::join(sum, mine);
  }
  parallel_for(pieces, kAbreast, [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    int64_t offset = begin * piece;
    if constexpr (kInVectors<T, Op>) {
      for (int64_t p = begin; p < end; ++p)
        sum_row(out + p * piece, in + p * piece, n - p * piece < piece ? n - p * piece : piece, carry[p]);
      return;
    }
    if (end - begin == kAbreast && end * piece <= n) {
      return scan_abreast<T, Op>(out + offset, in + offset, piece, piece, carry + begin);
    }
    for (int64_t p = begin; p < end; ++p) {
      int64_t at = p * piece;
      scan_rows<T, Op, 1>(out + at, in + at, 0, n - at < piece ? n - at : piece, carry + p);
    }
  });
}

template <class T, class Op> void scan_contiguous(T* out, const T* in, int64_t rows, int64_t n) {
  if (Op::kAssociative && rows < kAbreast && n >= (1 << 15)) {
    for (int64_t r = 0; r < rows; ++r) scan_long_row<T, Op>(out + r * n, in + r * n, n);
    return;
  }
  if constexpr (kInVectors<T, Op>) {
    return parallel_for(rows, at_least_one(kGrain / n), [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
      for (int64_t row = begin; row < end; ++row) sum_row(out + row * n, in + row * n, n, 0);
    });
  }
  int64_t groups = (rows + kAbreast - 1) / kAbreast;
  parallel_for(groups, at_least_one(kGrain / (kAbreast * n)), [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    for (int64_t g = begin; g < end; ++g) {
      int64_t row = g * kAbreast, stop = row + kAbreast < rows ? row + kAbreast : rows;
      Acc<T> carry[kAbreast];
      for (auto& c : carry) c = Op::template start<Acc<T>>();
      if (stop - row == kAbreast) {
        scan_abreast<T, Op>(out + row * n, in + row * n, n, n, carry);
      } else {
        for (; row < stop; ++row) scan_rows<T, Op, 1>(out + row * n, in + row * n, 0, n, carry + (row - g * kAbreast));
      }
    }
  });
}

template <class T, class Op> void scan_columns(T* out, const T* in, int64_t outer, int64_t n, int64_t inner) {
  int64_t blocks = (inner + kColumns - 1) / kColumns, width = (inner + blocks - 1) / blocks;
  parallel_for(outer * blocks, at_least_one(kGrain / (width * n)), [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    for (int64_t t = begin; t < end; ++t) {
      int64_t column = t % blocks * width, count = inner - column < width ? inner - column : width;
      int64_t offset = t / blocks * n * inner + column;
      Acc<T> a[kColumns];
      for (int64_t j = 0; j < count; ++j) a[j] = Op::template start<Acc<T>>();
      for (int64_t i = 0; i < n; ++i) {
        const T* from = in + offset + i * inner;
        T* to = out + offset + i * inner;
#pragma GCC ivdep
        for (int64_t j = 0; j < count; ++j) {
          a[j] = Op::join(a[j], widen(from[j]));
          to[j] = narrowed<T>(a[j]);
        }
      }
    }
  });
}

template <class T, class Op> void scan_of(void* out, const void* in, int64_t outer, int64_t n, int64_t inner) {
  if (outer == 0 || n == 0 || inner == 0) return;
  if (inner == 1)
    scan_contiguous<T, Op>(static_cast<T*>(out), static_cast<const T*>(in), outer, n);
  else
    scan_columns<T, Op>(static_cast<T*>(out), static_cast<const T*>(in), outer, n, inner);
}

template <class Op> void scan(DType dtype, void* out, const void* in, int64_t outer, int64_t n, int64_t inner) {
  switch (dtype) {
    case DType::Int64: return scan_of<int64_t, Op>(out, in, outer, n, inner);
    case DType::Float32: return scan_of<float, Op>(out, in, outer, n, inner);
    case DType::Float64: return scan_of<double, Op>(out, in, outer, n, inner);
    case DType::Complex64: return scan_of<Complex64, Op>(out, in, outer, n, inner);
    default: return scan_of<Complex128, Op>(out, in, outer, n, inner);
  }
}

void running_sum(DType dtype, void* out, const void* in, int64_t outer, int64_t n, int64_t inner) {
  scan<Sum>(dtype, out, in, outer, n, inner);
}
void cumprod(DType dtype, void* out, const void* in, int64_t outer, int64_t n, int64_t inner) {
  scan<Prod>(dtype, out, in, outer, n, inner);
}
void running_logsumexp(DType dtype, void* out, const void* in, int64_t outer, int64_t n, int64_t inner) {
  if (dtype == DType::Float32)
    scan_of<float, LogOfSum>(out, in, outer, n, inner);
  else
    scan_of<double, LogOfSum>(out, in, outer, n, inner);
}

// ---- running extremes: each row of positions is compared with the row of results before it ----

template <class T> FLAMBEAU_INLINE auto comparable(T x) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>)
    return to_float(x);
  else
    return x;
}

// A NaN is taken whenever it comes, and only another NaN replaces it.
template <bool Largest, class C> FLAMBEAU_INLINE bool takes(C held, C next) {
  return (Largest ? next >= held : next <= held) || next != next;
}

template <class T, bool Largest>
void extremes_of(T* out, int64_t* indices, const T* in, int64_t outer, int64_t n, int64_t inner) {
  int64_t blocks = (inner + kColumns - 1) / kColumns, width = (inner + blocks - 1) / blocks;
  parallel_for(outer * blocks, at_least_one(kGrain / (width * n)), [&](int64_t begin, int64_t end) FLAMBEAU_BODY {
    for (int64_t t = begin; t < end; ++t) {
      int64_t column = t % blocks * width, count = inner - column < width ? inner - column : width;
      int64_t offset = t / blocks * n * inner + column;
      if (inner == 1) {  // new extremes are rare: a branch, predicted, costs less than the chain through memory
        T held = in[offset];
        int64_t index = 0;
        for (int64_t i = 0; i < n; ++i) {
          T next = in[offset + i];
          if (takes<Largest>(comparable(held), comparable(next))) held = next, index = i;
          out[offset + i] = held;
          indices[offset + i] = index;
        }
        continue;
      }
      for (int64_t j = offset; j < offset + count; ++j) out[j] = in[j], indices[j] = 0;
      for (int64_t i = 1; i < n; ++i) {
        int64_t at = offset + i * inner;
        for (int64_t j = at; j < at + count; ++j) {
          T held = out[j - inner], next = in[j];
          bool take = takes<Largest>(comparable(held), comparable(next));
          out[j] = take ? next : held;
          indices[j] = take ? i : indices[j - inner];
        }
      }
    }
  });
}

template <bool Largest>
void extremes(DType dtype, void* out, int64_t* indices, const void* in, int64_t outer, int64_t n, int64_t inner) {
  if (outer == 0 || n == 0 || inner == 0) return;
  visit_dtype(is_bool(dtype) ? DType::UInt8 : dtype, [&]<class T>() {
    if constexpr (!std::is_same_v<T, bool> && !std::is_same_v<T, Complex64> && !std::is_same_v<T, Complex128>) {
      extremes_of<T, Largest>(static_cast<T*>(out), indices, static_cast<const T*>(in), outer, n, inner);
    }
  });
}

}  // namespace

const ScanKernels kScanKernels = {running_sum, cumprod, extremes<true>, extremes<false>, running_logsumexp};

}  // namespace flambeau::kernels::FLAMBEAU_ISA
