// Whole vectors of the instruction set that a kernel is compiled for, over GCC's vector extensions: unaligned and partial
// loads and stores, lanes in another order, sums of lanes. For network kernels; elementwise formulas have simd.h.
// Kernel sources only: everything is in an anonymous namespace (see isa.h).
#pragma once
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>
#include "base/dtype.h"
#include "kernels/cpu/isa.h"
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

template <class T> struct VectorOf {
  typedef T type __attribute__((vector_size(kVectorBytes)));
  typedef T unaligned __attribute__((vector_size(kVectorBytes), aligned(1), may_alias));
  using integer = std::conditional_t<sizeof(T) == 8, int64_t, int32_t>;
  typedef integer mask __attribute__((vector_size(kVectorBytes)));
};
template <class T> using Vec = typename VectorOf<T>::type;
template <class T> using VecMask = typename VectorOf<T>::mask;  // integer lanes of the same width
template <class T> constexpr int kSpan = kVectorBytes / int(sizeof(T));

template <class T> FLAMBEAU_INLINE Vec<T> load(const T* p) {
  return *reinterpret_cast<const typename VectorOf<T>::unaligned*>(p);
}
template <class T> FLAMBEAU_INLINE void store(T* p, Vec<T> v) {
  *reinterpret_cast<typename VectorOf<T>::unaligned*>(p) = v;
}
template <class T> FLAMBEAU_INLINE Vec<T> splat(T x) { return x - Vec<T>{}; }  // keeps -0.0
template <class T> FLAMBEAU_INLINE VecMask<T> lane_numbers() {
  VecMask<T> m;
  for (int i = 0; i < kSpan<T>; ++i) m[i] = i;
  return m;
}

// The first `count` lanes (1 <= count <= lanes); the others load as zero and are not stored.
template <class T> FLAMBEAU_INLINE Vec<T> load_part(const T* p, int64_t count) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
#if defined(FLAMBEAU_ISA_v4)
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm512_maskz_loadu_ps(__mmask16((1u << count) - 1), p);
  else
    return (Vec<T>)_mm512_maskz_loadu_pd(__mmask8((1u << count) - 1), p);
#elif defined(FLAMBEAU_ISA_v3)
  if constexpr (sizeof(T) == 4) {
    __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(int(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    return (Vec<T>)_mm256_maskload_ps(reinterpret_cast<const float*>(p), mask);
  } else {
    __m256i mask = _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), _mm256_setr_epi64x(0, 1, 2, 3));
    return (Vec<T>)_mm256_maskload_pd(reinterpret_cast<const double*>(p), mask);
  }
#else
  Vec<T> v = {};
  for (int i = 0; i < kSpan<T>; i++)
    if (i < count) v[i] = p[i];
  return v;
#endif
}
template <class T> FLAMBEAU_INLINE void store_part(T* p, Vec<T> v, int64_t count) {
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
  for (int i = 0; i < kSpan<T>; i++)
    if (i < count) p[i] = v[i];
#endif
}

// Lanes begin .. end - 1 from p[begin ..], zero elsewhere; p itself may point outside of the array.
template <class T> FLAMBEAU_INLINE Vec<T> load_range(const T* p, int64_t begin, int64_t end) {
#if defined(FLAMBEAU_ISA_v4)
  const uint32_t mask = ((1u << end) - 1) & ~((1u << begin) - 1);
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm512_maskz_loadu_ps(__mmask16(mask), p);
  else
    return (Vec<T>)_mm512_maskz_loadu_pd(__mmask8(mask), p);
#else
  Vec<T> v = {};
  for (int i = 0; i < kSpan<T>; i++)
    if (i >= begin && i < end) v[i] = p[i];
  return v;
#endif
}

// Lane i is lane index[i] of a, or of a and then b, counted round their ends.
template <class V, class M> FLAMBEAU_INLINE V shuffled(V a, M index) {
#if __has_builtin(__builtin_shuffle)
  return __builtin_shuffle(a, index);
#else
  constexpr int kCount = sizeof(V) / sizeof(a[0]);
  V result;
  for (int i = 0; i < kCount; ++i) result[i] = a[int(index[i]) & (kCount - 1)];
  return result;
#endif
}
template <class V, class M> FLAMBEAU_INLINE V shuffled(V a, V b, M index) {
#if __has_builtin(__builtin_shuffle)
  return __builtin_shuffle(a, b, index);
#else
  constexpr int kCount = sizeof(V) / sizeof(a[0]);
  V result;
  for (int i = 0; i < kCount; ++i) {
    const int lane = int(index[i]) & (kCount - 1);
    result[i] = int(index[i]) & kCount ? b[lane] : a[lane];
  }
  return result;
#endif
}

// f of all lanes, by halves: the lower half with the upper, their lower half with their upper, and so on: an order that
// does not depend on the data. f takes vectors of any width and single elements.
template <class V, int... i> FLAMBEAU_INLINE auto lower_half(V v, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(v, v, i...);
}
template <class V, int... i> FLAMBEAU_INLINE auto upper_half(V v, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(v, v, (int(sizeof...(i)) + i)...);
}
template <class V, class F> FLAMBEAU_INLINE auto fold_lanes(V v, F f) {
  constexpr int n = sizeof(V) / sizeof(v[0]);
  if constexpr (sizeof(V) > 16) {
    constexpr auto half = std::make_integer_sequence<int, n / 2>();
    return fold_lanes(f(lower_half(v, half), upper_half(v, half)), f);
  } else if constexpr (n == 4) {
    return f(f(v[0], v[2]), f(v[1], v[3]));
  } else {
    return f(v[0], v[1]);
  }
}
template <class T> FLAMBEAU_INLINE T sum_lanes(Vec<T> v) {
  return fold_lanes(
      v, [](auto a, auto b) __attribute__((always_inline)) { return a + b; });
}
template <class T> FLAMBEAU_INLINE T max_lanes(Vec<T> v) {
  return fold_lanes(
      v, [](auto a, auto b) __attribute__((always_inline)) { return a > b ? a : b; });
}

FLAMBEAU_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
FLAMBEAU_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
FLAMBEAU_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
FLAMBEAU_INLINE int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

}  // namespace
}  // namespace flambeau::kernels::FLAMBEAU_ISA
