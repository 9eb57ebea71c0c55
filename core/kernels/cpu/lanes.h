// What network kernels do with vectors of float or double: rows walked a vector at a time, roots, stores past the caches.
// Kernel sources only: everything is in an anonymous namespace (see isa.h).
#pragma once
#include "base/parallel.h"
#include "kernels/cpu/vector.h"

#define FLAMBEAU_PAIR(f) \
  { f<float>, f<double> }  // a table entry for both element types

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

template <class T> constexpr T kInfinity = T(__builtin_huge_val());

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

// How many rows of `cost` units (about a nanosecond each) make a piece of work worth handing to a thread.
FLAMBEAU_INLINE int64_t grain_for(int64_t cost, int64_t nanoseconds = 20000) {
  return larger(1, nanoseconds / larger(1, cost));
}

}  // namespace
}  // namespace flambeau::kernels::FLAMBEAU_ISA
