// The conversion of contiguous elements between all dtypes: part of the copy family.
#pragma GCC optimize("tree-vectorize,vect-cost-model=dynamic")
#include "kernels/cpu/copy_parts.h"
#if defined(__F16C__)
#include <immintrin.h>
#endif

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

template <class D, class S> FLAMBEAU_INLINE D convert_one(S x) {
  if constexpr (std::is_same_v<S, Half> || std::is_same_v<S, BFloat16>) {
    return convert_one<D>(to_float(x));
  } else if constexpr (std::is_same_v<D, Half>) {
    return to_half(float(x));
  } else if constexpr (std::is_same_v<D, BFloat16>) {
    return to_bfloat16(float(x));
  } else if constexpr (std::is_same_v<D, bool>) {
    return x != S(0);
  } else if constexpr (std::is_floating_point_v<S> && std::is_integral_v<D> && sizeof(D) < 4) {
    return D(int32_t(x));
  } else {
    return D(x);
  }
}

template <class D, class S> void convert_loop(void* dst, const void* src, int64_t n) {
  D* __restrict d = static_cast<D*>(dst);
  const S* __restrict s = static_cast<const S*>(src);
  for (int64_t i = 0; i < n; ++i) d[i] = convert_one<D>(s[i]);
}

#if defined(__F16C__)
template <> void convert_loop<float, Half>(void* dst, const void* src, int64_t n) {
  float* d = static_cast<float*>(dst);
  const Half* s = static_cast<const Half*>(src);
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    _mm256_storeu_ps(d + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(s + i))));
  }
  for (; i < n; ++i) d[i] = to_float(s[i]);
}
template <> void convert_loop<Half, float>(void* dst, const void* src, int64_t n) {
  Half* d = static_cast<Half*>(dst);
  const float* s = static_cast<const float*>(src);
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(d + i), _mm256_cvtps_ph(_mm256_loadu_ps(s + i), 0));
  }
  for (; i < n; ++i) d[i] = to_half(s[i]);
}
#endif

using Convert = void (*)(void*, const void*, int64_t);
// Each dtype enters and leaves through one of three types that hold all its values; a pair is at most two loops.
constexpr Convert kToFloat[kDTypes] = {convert_loop<float, uint8_t>,
                                       convert_loop<float, uint8_t>,
                                       convert_loop<float, int8_t>,
                                       convert_loop<float, int16_t>,
                                       nullptr,
                                       nullptr,
                                       convert_loop<float, Half>,
                                       convert_loop<float, BFloat16>};
#define FLAMBEAU_LEAVES(From)                                                                                       \
  {                                                                                                                 \
    convert_loop<bool, From>, convert_loop<uint8_t, From>, convert_loop<int8_t, From>, convert_loop<int16_t, From>, \
        convert_loop<int32_t, From>, convert_loop<int64_t, From>, convert_loop<Half, From>,                         \
        convert_loop<BFloat16, From>, convert_loop<float, From>, convert_loop<double, From>                         \
  }
constexpr Convert kFromFloat[] = FLAMBEAU_LEAVES(float);
constexpr Convert kFromInt64[] = FLAMBEAU_LEAVES(int64_t);
constexpr Convert kFromDouble[] = FLAMBEAU_LEAVES(double);
#undef FLAMBEAU_LEAVES

template <class R> void to_complex(Complex<R>* __restrict dst, const R* __restrict src, int64_t n) {
  for (int64_t i = 0; i < n; ++i) dst[i] = {src[i], R(0)};
}
template <class R> void complex_to_bool(bool* __restrict dst, const Complex<R>* __restrict src, int64_t n) {
  for (int64_t i = 0; i < n; ++i) dst[i] = (src[i].re != 0) | (src[i].im != 0);
}
template <class R> void real_parts(R* __restrict dst, const Complex<R>* __restrict src, int64_t n) {
  for (int64_t i = 0; i < n; ++i) dst[i] = src[i].re;
}

// For pairs that pass through an intermediate, in pieces that stay in the cache. Real dtypes only.
[[gnu::noinline]] void convert_real(void* dst, DType d, const void* src, DType s, int64_t n) {
  if (s == DType::Float32) return kFromFloat[int(d)](dst, src, n);
  if (s == DType::Float64) return kFromDouble[int(d)](dst, src, n);
  if (s == DType::Int64) return kFromInt64[int(d)](dst, src, n);
  if (s == DType::Int32 && d == DType::Int64) return convert_loop<int64_t, int32_t>(dst, src, n);
  if (s != DType::Int32 && d == DType::Float32) return kToFloat[int(s)](dst, src, n);
  alignas(64) int64_t middle[kTile];
  char* out = static_cast<char*>(dst);
  const char* in = static_cast<const char*>(src);
  int64_t dsize = item_size(d), ssize = item_size(s);
  for (int64_t i = 0; i < n; i += kTile) {
    int64_t count = n - i < kTile ? n - i : kTile;
    if (s == DType::Int32) {
      convert_loop<int64_t, int32_t>(middle, in + i * ssize, count);
      kFromInt64[int(d)](out + i * dsize, middle, count);
    } else {
      kToFloat[int(s)](middle, in + i * ssize, count);
      kFromFloat[int(d)](out + i * dsize, middle, count);
    }
  }
}

}  // namespace

void convert_some(void* dst, DType d, const void* src, DType s, int64_t n) {
  if (same_bytes(d, s)) return void(std::memcpy(dst, src, n * item_size(s)));
  if (!is_complex(d) && !is_complex(s)) return convert_real(dst, d, src, s, n);
  if (is_complex(d) && is_complex(s)) return convert_real(dst, real_of(d), src, real_of(s), 2 * n);
  if (d == DType::Bool) {
    if (s == DType::Complex64)
      complex_to_bool(static_cast<bool*>(dst), static_cast<const Complex64*>(src), n);
    else
      complex_to_bool(static_cast<bool*>(dst), static_cast<const Complex128*>(src), n);
    return;
  }
  alignas(64) double middle[kTile];
  DType real = real_of(is_complex(d) ? d : s);
  char* out = static_cast<char*>(dst);
  const char* in = static_cast<const char*>(src);
  for (int64_t i = 0; i < n; i += kTile, out += kTile * item_size(d), in += kTile * item_size(s)) {
    int64_t count = n - i < kTile ? n - i : kTile;
    if (is_complex(d)) {
      convert_some(middle, real, in, s, count);
      if (real == DType::Float32) {
        to_complex(reinterpret_cast<Complex64*>(out), reinterpret_cast<const float*>(middle), count);
      } else {
        to_complex(reinterpret_cast<Complex128*>(out), middle, count);
      }
    } else {
      if (real == DType::Float32) {
        real_parts(reinterpret_cast<float*>(middle), reinterpret_cast<const Complex64*>(in), count);
      } else {
        real_parts(middle, reinterpret_cast<const Complex128*>(in), count);
      }
      convert_some(out, d, middle, real, count);
    }
  }
}

}  // namespace flambeau::kernels::FLAMBEAU_ISA
