// Whole vectors of the instruction set this file is compiled for: unaligned and partial loads and stores, transposition.
// Shared by the matrix product and convolution sources; everything is local to the including file.
#pragma once
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>
#include "base/allocator.h"
#include "base/dtype.h"
#include "kernels/cpu/isa.h"
#if defined(FLAMBEAU_ISA_v3) || defined(FLAMBEAU_ISA_v4)
#include <immintrin.h>
#endif

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

#if defined(FLAMBEAU_ISA_v4)
constexpr int kVectorBytes = 64, kTileRows = 14;  // 28 accumulators of 32 registers
#elif defined(FLAMBEAU_ISA_v3)
constexpr int kVectorBytes = 32, kTileRows = 6;  // 12 of 16
#elif defined(__aarch64__)
constexpr int kVectorBytes = 16, kTileRows = 8;  // 16 of 32
#else
constexpr int kVectorBytes = 16, kTileRows = 4;  // 8 of 16
#endif
constexpr int kTileVectors = 2;
template <class T> constexpr int kLanes = kVectorBytes / int(sizeof(T));
template <class T> constexpr int kTileColumns = kTileVectors* kLanes<T>;

template <class T> struct VectorOf {
  typedef T type __attribute__((vector_size(kVectorBytes)));
  typedef T unaligned __attribute__((vector_size(kVectorBytes), aligned(1), may_alias));
};
template <class T> using Vector = typename VectorOf<T>::type;

template <class T> FLAMBEAU_INLINE Vector<T> load(const T* p) {
  return *reinterpret_cast<const typename VectorOf<T>::unaligned*>(p);
}
template <class T> FLAMBEAU_INLINE void store(T* p, Vector<T> v) {
  *reinterpret_cast<typename VectorOf<T>::unaligned*>(p) = v;
}
template <class T> FLAMBEAU_INLINE Vector<T> splat(T x) { return x - Vector<T>{}; }

// The first `count` lanes (1 <= count <= lanes); the others load as zero and are not stored.
template <class T> FLAMBEAU_INLINE Vector<T> load_part(const T* p, int64_t count) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
#if defined(FLAMBEAU_ISA_v4)
  if constexpr (sizeof(T) == 4)
    return (Vector<T>)_mm512_maskz_loadu_ps(__mmask16((1u << count) - 1), p);
  else
    return (Vector<T>)_mm512_maskz_loadu_pd(__mmask8((1u << count) - 1), p);
#elif defined(FLAMBEAU_ISA_v3)
  if constexpr (sizeof(T) == 4) {
    __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(int(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    return (Vector<T>)_mm256_maskload_ps(reinterpret_cast<const float*>(p), mask);
  } else {
    __m256i mask = _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), _mm256_setr_epi64x(0, 1, 2, 3));
    return (Vector<T>)_mm256_maskload_pd(reinterpret_cast<const double*>(p), mask);
  }
#else
  Vector<T> v = {};
  for (int i = 0; i < kLanes<T>; i++)
    if (i < count) v[i] = p[i];
  return v;
#endif
}
template <class T> FLAMBEAU_INLINE void store_part(T* p, Vector<T> v, int64_t count) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
#if defined(FLAMBEAU_ISA_v4)
  if constexpr (sizeof(T) == 4)
    _mm512_mask_storeu_ps(p, __mmask16((1u << count) - 1), (__m512)v);
  else
    _mm512_mask_storeu_pd(p, __mmask8((1u << count) - 1), (__m512d)v);
#elif defined(FLAMBEAU_ISA_v3)
  if constexpr (sizeof(T) == 4) {
    __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(int(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    _mm256_maskstore_ps(reinterpret_cast<float*>(p), mask, (__m256)v);
  } else {
    __m256i mask = _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), _mm256_setr_epi64x(0, 1, 2, 3));
    _mm256_maskstore_pd(reinterpret_cast<double*>(p), mask, (__m256d)v);
  }
#else
  for (int i = 0; i < kLanes<T>; i++)
    if (i < count) p[i] = v[i];
#endif
}

// Lanes begin .. end - 1 from p[begin ..], zero elsewhere; p itself may point outside of the array.
template <class T> FLAMBEAU_INLINE Vector<T> load_range(const T* p, int64_t begin, int64_t end) {
#if defined(FLAMBEAU_ISA_v4)
  const uint32_t mask = ((1u << end) - 1) & ~((1u << begin) - 1);
  if constexpr (sizeof(T) == 4)
    return (Vector<T>)_mm512_maskz_loadu_ps(__mmask16(mask), p);
  else
    return (Vector<T>)_mm512_maskz_loadu_pd(__mmask8(mask), p);
#else
  Vector<T> v = {};
  for (int i = 0; i < kLanes<T>; i++)
    if (i >= begin && i < end) v[i] = p[i];
  return v;
#endif
}

// A tree, so that the order does not depend on the data: the upper half onto the lower, and so on.
template <class T, class V, int... i> FLAMBEAU_INLINE T sum_halves(V v, std::integer_sequence<int, i...>) {
  constexpr int half = int(sizeof...(i));
  const auto sum = __builtin_shufflevector(v, v, i...) + __builtin_shufflevector(v, v, (half + i)...);
  if constexpr (half * sizeof(T) > 16)
    return sum_halves<T>(sum, std::make_integer_sequence<int, half / 2>());
  else if constexpr (half == 4)
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
  else
    return sum[0] + sum[1];
}
template <class T> FLAMBEAU_INLINE T sum_lanes(Vector<T> v) {
  if constexpr (kVectorBytes > 16)
    return sum_halves<T>(v, std::make_integer_sequence<int, kLanes<T> / 2>());
  else if constexpr (kLanes<T> == 4)
    return (v[0] + v[2]) + (v[1] + v[3]);
  else
    return v[0] + v[1];
}

// Conversions to float, a vector at a time: plain loops that the compiler turns into the few instructions needed.
typedef uint16_t Bits __attribute__((vector_size(kVectorBytes / 2)));
typedef uint32_t Wide __attribute__((vector_size(kVectorBytes)));
template <class S> FLAMBEAU_INLINE Vector<float> load_float(const S* p) {
  if constexpr (std::is_same_v<S, float>) {
    return load(p);
  } else if constexpr (std::is_same_v<S, BFloat16>) {
    Bits narrow;
    std::memcpy(&narrow, p, sizeof(narrow));
    return (Vector<float>)(__builtin_convertvector(narrow, Wide) << 16);
  } else {
    // Half: move exponent and mantissa into place and let one multiplication rebias, subnormals included; all ones in
    // the exponent (infinity, NaN) then still need the top of the exponent filled.
    Bits narrow;
    std::memcpy(&narrow, p, sizeof(narrow));
    Wide bits = __builtin_convertvector(narrow, Wide);
    Wide magnitude = (bits & 0x7fff) << 13, sign = (bits & 0x8000) << 16;
    Vector<float> value = (Vector<float>)magnitude * 0x1p112f;
    Wide special = (Wide)(magnitude >= 0x0f800000u) & 0x7f800000u;
    return (Vector<float>)((Wide)value | special | sign);
  }
}
template <class S> FLAMBEAU_INLINE Vector<float> load_float_part(const S* p, int64_t count) {
  if constexpr (std::is_same_v<S, float>) {
    return load_part(p, count);
  } else {
    S all[kLanes<float>] = {};
    for (int64_t i = 0; i < count; i++) all[i] = p[i];
    return load_float(all);
  }
}

// And back, as to_bfloat16 and to_half round: half a vector of bits.
FLAMBEAU_INLINE Wide choose(Wide mask, Wide a, Wide b) { return (a & mask) | (b & ~mask); }
template <class S> FLAMBEAU_INLINE void store_rounded(S* p, Vector<float> v) {
  const Wide bits = (Wide)v, magnitude = bits & 0x7fffffff;
  Wide out;
  if constexpr (std::is_same_v<S, BFloat16>) {
    const Wide nan = (Wide)(magnitude > 0x7f800000u);
    out = choose(nan, 0x7fc0u - Wide{}, (bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
  } else {
    const Wide sign = (bits >> 16) & 0x8000;
    const Wide small = (Wide)((Vector<float>)magnitude + 0.5f) - 0x3f000000u;  // the addition rounds at 2^-24
    const Wide usual = (magnitude + 0xc8000fffu + ((magnitude >> 13) & 1)) >> 13;
    out = choose((Wide)(magnitude < 0x38800000u), small, usual);
    out = choose((Wide)(magnitude >= 0x47800000u), 0x7c00u - Wide{}, out);
    out = sign | choose((Wide)(magnitude > 0x7f800000u), 0x7e00u - Wide{}, out);
  }
  const Bits narrow = __builtin_convertvector(out, Bits);
  std::memcpy(p, &narrow, sizeof(narrow));
}
template <class S> FLAMBEAU_INLINE void store_rounded_part(S* p, Vector<float> v, int64_t count) {
  S all[kLanes<float>];
  store_rounded(all, v);
  for (int64_t i = 0; i < count; i++) p[i] = all[i];
}

// Transposes a square of `lanes` vectors in place: log2(lanes) rounds, each a perfect shuffle of row i with i + half.
template <class V, int... i> FLAMBEAU_INLINE V interleave_low(V a, V b, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(a, b, (i % 2 * int(sizeof...(i)) + i / 2)...);
}
template <class V, int... i> FLAMBEAU_INLINE V interleave_high(V a, V b, std::integer_sequence<int, i...>) {
  constexpr int n = int(sizeof...(i));
  return __builtin_shufflevector(a, b, (i % 2 * n + n / 2 + i / 2)...);
}
template <class V, int... i> FLAMBEAU_INLINE V even_lanes(V a, V b, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(a, b, (2 * i)...);
}
template <class V, int... i> FLAMBEAU_INLINE V odd_lanes(V a, V b, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(a, b, (2 * i + 1)...);
}
template <class T> FLAMBEAU_INLINE void transpose_square(Vector<T> (&rows)[kLanes<T>]) {
  constexpr int n = kLanes<T>;
  constexpr auto all = std::make_integer_sequence<int, n>();
  Vector<T> other[n];
#pragma GCC unroll 4
  for (int round = 1; round < n; round *= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < n / 2; i++) {
      other[2 * i] = interleave_low(rows[i], rows[i + n / 2], all);
      other[2 * i + 1] = interleave_high(rows[i], rows[i + n / 2], all);
    }
#pragma GCC unroll 16
    for (int i = 0; i < n; i++) rows[i] = other[i];
  }
}

// A block of memory that ends with its scope.
struct Scratch {
  explicit Scratch(size_t bytes) : bytes(bytes), data(bytes ? allocate(bytes) : nullptr) {}
  ~Scratch() {
    if (data) deallocate(data, bytes);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  template <class T> FLAMBEAU_INLINE T* as() const { return static_cast<T*>(data); }
  size_t bytes;
  void* data;
};

FLAMBEAU_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
FLAMBEAU_INLINE int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }
FLAMBEAU_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
FLAMBEAU_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

}  // namespace
}  // namespace flambeau::kernels::FLAMBEAU_ISA
