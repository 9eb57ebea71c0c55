// Whole and partial vectors of float or double at the width of the instruction set, for the network kernels.
// Kernel sources only: everything is in an anonymous namespace (see isa.h).
#pragma once
#include <utility>
#include <type_traits>
#include "base/dtype.h"
#include "base/parallel.h"
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define FLAMBEAU_LAMBDA \
  __attribute__((always_inline))  // after a lambda's parameters: the loops' bodies must be inlined
#define FLAMBEAU_PAIR(f) \
  { f<float>, f<double> }  // a table entry for both element types

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <class T> struct VectorOf;
template <> struct VectorOf<float> {
  typedef float type __attribute__((vector_size(kVectorBytes)));
  typedef int32_t mask __attribute__((vector_size(kVectorBytes)));
  static constexpr int lanes = kVectorBytes / 4;
};
template <> struct VectorOf<double> {
  typedef double type __attribute__((vector_size(kVectorBytes)));
  typedef int64_t mask __attribute__((vector_size(kVectorBytes)));
  static constexpr int lanes = kVectorBytes / 8;
};
template <class T> using Vec = typename VectorOf<T>::type;
template <class T> using VecMask = typename VectorOf<T>::mask;  // integer lanes of the same width
template <class T> constexpr int kSpan = VectorOf<T>::lanes;

template <class T> constexpr T kInfinity = T(__builtin_huge_val());

template <class T> FLAMBEAU_INLINE Vec<T> splat(T x) { return x - Vec<T>{}; }  // keeps -0.0
template <class T> FLAMBEAU_INLINE Vec<T> load(const T* p) {
  Vec<T> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
template <class T> FLAMBEAU_INLINE void store(T* p, Vec<T> v) { __builtin_memcpy(p, &v, sizeof v); }

template <class T> FLAMBEAU_INLINE VecMask<T> lane_numbers() {
  VecMask<T> m;
  for (int i = 0; i < kSpan<T>; ++i) m[i] = i;
  return m;
}

// The first `count` lanes (0 < count < kSpan) of memory; the others are zero and their memory is not touched.
template <class T> FLAMBEAU_INLINE Vec<T> load_part(const T* p, int count) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm512_maskz_loadu_ps(__mmask16((1u << count) - 1), p);
  else
    return (Vec<T>)_mm512_maskz_loadu_pd(__mmask8((1u << count) - 1), p);
#elif defined(__AVX2__)
  VecMask<T> m = lane_numbers<T>() < (VecMask<T>{} + count);
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm256_maskload_ps(p, (__m256i)m);
  else
    return (Vec<T>)_mm256_maskload_pd(p, (__m256i)m);
#else
  Vec<T> v = {};
  for (int i = 0; i < count; ++i) v[i] = p[i];
  return v;
#endif
}
template <class T> FLAMBEAU_INLINE void store_part(T* p, Vec<T> v, int count) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    _mm512_mask_storeu_ps(p, __mmask16((1u << count) - 1), (__m512)v);
  else
    _mm512_mask_storeu_pd(p, __mmask8((1u << count) - 1), (__m512d)v);
#elif defined(__AVX2__)
  VecMask<T> m = lane_numbers<T>() < (VecMask<T>{} + count);
  if constexpr (sizeof(T) == 4)
    _mm256_maskstore_ps(p, (__m256i)m, (__m256)v);
  else
    _mm256_maskstore_pd(p, (__m256i)m, (__m256d)v);
#else
  for (int i = 0; i < count; ++i) p[i] = v[i];
#endif
}

// Stores that bypass the cache, for outputs far larger than it; p must be aligned to a vector.
template <class T> FLAMBEAU_INLINE void store_through(T* p, Vec<T> v) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    _mm512_stream_ps(p, (__m512)v);
  else
    _mm512_stream_pd(p, (__m512d)v);
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4)
    _mm256_stream_ps(p, (__m256)v);
  else
    _mm256_stream_pd(p, (__m256d)v);
#elif defined(__x86_64__)
  if constexpr (sizeof(T) == 4)
    _mm_stream_ps(p, (__m128)v);
  else
    _mm_stream_pd(p, (__m128d)v);
#else
  store(p, v);
#endif
}
FLAMBEAU_INLINE void fence_stores() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

// How each_vector hands out a position: a whole vector, or the first lanes of one.
template <class T> struct Whole {
  FLAMBEAU_INLINE Vec<T> load(const T* p, T = T(0)) const { return FLAMBEAU_ISA::load(p); }
  FLAMBEAU_INLINE void store(T* p, Vec<T> v) const { FLAMBEAU_ISA::store(p, v); }
  FLAMBEAU_INLINE Vec<T> keep(Vec<T> v) const { return v; }  // zero in lanes past the end
};
template <class T> struct Part {
  int count;
  FLAMBEAU_INLINE Vec<T> load(const T* p) const { return load_part(p, count); }
  FLAMBEAU_INLINE Vec<T> load(const T* p, T fill) const {
    return lane_numbers<T>() < (VecMask<T>{} + count) ? load_part(p, count) : splat(fill);
  }
  FLAMBEAU_INLINE void store(T* p, Vec<T> v) const { store_part(p, v, count); }
  FLAMBEAU_INLINE Vec<T> keep(Vec<T> v) const { return lane_numbers<T>() < (VecMask<T>{} + count) ? v : Vec<T>{}; }
};

// f(i, span) at each vector of [begin, end).
template <class T, class F> FLAMBEAU_INLINE void each_vector(int64_t begin, int64_t end, F&& f) {
  int64_t i = begin;
  for (; i + kSpan<T> <= end; i += kSpan<T>) f(i, Whole<T>{});
  if (i < end) f(i, Part<T>{int(end - i)});
}

// a > b ? a : b, so b where one of them is nan
FLAMBEAU_INLINE Vec<float> greater_of(Vec<float> a, Vec<float> b) {
#if defined(__AVX512F__)
  return (Vec<float>)_mm512_maskz_max_ps(__mmask16(-1), (__m512)a, (__m512)b);
#elif defined(__AVX2__)
  return (Vec<float>)_mm256_max_ps((__m256)a, (__m256)b);
#else
  return a > b ? a : b;
#endif
}
FLAMBEAU_INLINE Vec<double> greater_of(Vec<double> a, Vec<double> b) {
#if defined(__AVX512F__)
  return (Vec<double>)_mm512_maskz_max_pd(__mmask8(-1), (__m512d)a, (__m512d)b);
#elif defined(__AVX2__)
  return (Vec<double>)_mm256_max_pd((__m256d)a, (__m256d)b);
#else
  return a > b ? a : b;
#endif
}

template <int by, class V, size_t... i> FLAMBEAU_INLINE V rotated(V v, std::index_sequence<i...>) {
  return __builtin_shufflevector(v, v, int((i + by) % sizeof...(i))...);
}
// f of all lanes, by halves: the first half with the second, its first half with its second, and so on.
template <class T, int width, class F> FLAMBEAU_INLINE T fold_lanes(Vec<T> v, F&& f) {
  if constexpr (width == 0)
    return v[0];
  else
    return fold_lanes<T, width / 2>(f(v, rotated<width>(v, std::make_index_sequence<size_t(kSpan<T>)>())), f);
}
template <class T> FLAMBEAU_INLINE T sum_lanes(Vec<T> v) {
  return fold_lanes<T, kSpan<T> / 2>(v, [](Vec<T> a, Vec<T> b) FLAMBEAU_LAMBDA { return a + b; });
}
template <class T> FLAMBEAU_INLINE T max_lanes(Vec<T> v) {
  return fold_lanes<T, kSpan<T> / 2>(v, [](Vec<T> a, Vec<T> b) FLAMBEAU_LAMBDA { return a > b ? a : b; });
}

template <class T> FLAMBEAU_INLINE Vec<T> square_root(Vec<T> v) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm512_maskz_sqrt_ps(__mmask16(-1), (__m512)v);
  else
    return (Vec<T>)_mm512_maskz_sqrt_pd(__mmask8(-1), (__m512d)v);
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm256_sqrt_ps((__m256)v);
  else
    return (Vec<T>)_mm256_sqrt_pd((__m256d)v);
#elif defined(__x86_64__)
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm_sqrt_ps((__m128)v);
  else
    return (Vec<T>)_mm_sqrt_pd((__m128d)v);
#elif defined(__aarch64__)
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)vsqrtq_f32((float32x4_t)v);
  else
    return (Vec<T>)vsqrtq_f64((float64x2_t)v);
#else
  for (int i = 0; i < kSpan<T>; ++i) v[i] = __builtin_sqrt(v[i]);
  return v;
#endif
}

template <class T> FLAMBEAU_INLINE Vec<T> absolute(Vec<T> v) {
  return (Vec<T>)((VecMask<T>)v & ~(VecMask<T>)splat(T(-0.0)));
}

FLAMBEAU_INLINE int64_t smaller_of(int64_t a, int64_t b) { return a < b ? a : b; }
FLAMBEAU_INLINE int64_t larger_of(int64_t a, int64_t b) { return a > b ? a : b; }
FLAMBEAU_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// How many rows of `cost` units (about a nanosecond each) make a piece of work worth handing to a thread.
FLAMBEAU_INLINE int64_t grain_for(int64_t cost, int64_t nanoseconds = 20000) {
  return larger_of(1, nanoseconds / larger_of(1, cost));
}

}  // namespace
}  // namespace flambeau::kernels::FLAMBEAU_ISA
