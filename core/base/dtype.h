// Element types: the enumeration that users name, and the C++ type behind each entry.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#define FLAMBEAU_INLINE inline __attribute__((always_inline))
#define FLAMBEAU_LAMBDA \
  __attribute__((always_inline))  // after a lambda's parameters: becomes part of where it is called

namespace flambeau {

enum class DType : uint8_t {
  Bool,
  UInt8,
  Int8,
  Int16,
  Int32,
  Int64,
  Float16,
  BFloat16,
  Float32,
  Float64,
  Complex64,
  Complex128,
};
inline constexpr int kDTypes = 12;

// Storage-only 16-bit floats: arithmetic happens in float32 (kernels convert tile by tile).
struct Half {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};

// A plain pair rather than std::complex: kernel files may not leave weak template symbols behind (see kernels/cpu/isa.h).
template <class T> struct Complex { T re, im; };
using Complex64 = Complex<float>;
using Complex128 = Complex<double>;

FLAMBEAU_INLINE float to_float(BFloat16 x) {
  uint32_t bits = uint32_t(x.bits) << 16;
  float result;
  std::memcpy(&result, &bits, 4);
  return result;
}

FLAMBEAU_INLINE BFloat16 to_bfloat16(float x) {  // rounds to nearest even; NaN stays NaN
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  if ((bits & 0x7fffffff) > 0x7f800000) return {uint16_t(0x7fc0)};
  return {uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}

FLAMBEAU_INLINE float to_float(Half x) {
  uint32_t sign = uint32_t(x.bits & 0x8000) << 16, exponent = (x.bits >> 10) & 31, mantissa = x.bits & 0x3ff;
  uint32_t bits;
  if (exponent == 31) {
    bits = sign | 0x7f800000 | mantissa << 13;
  } else if (exponent != 0) {
    bits = sign | (exponent + 112) << 23 | mantissa << 13;
  } else {  // zero or subnormal: mantissa * 2^-24 is exact in float32
    float value = float(mantissa) * 0x1p-24f;
    std::memcpy(&bits, &value, 4);
    bits |= sign;
  }
  float result;
  std::memcpy(&result, &bits, 4);
  return result;
}

FLAMBEAU_INLINE Half to_half(float x) {  // rounds to nearest even
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  uint32_t sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return {uint16_t(sign | 0x7e00)};
  if (magnitude >= 0x47800000) return {uint16_t(sign | 0x7c00)};  // 65536 and up, and infinity
  if (magnitude < 0x38800000) {                                   // subnormal: let the FPU round at 2^-24
    float shifted, positive;
    std::memcpy(&positive, &magnitude, 4);
    shifted = positive + 0.5f;  // 0.5 has its last place at 2^-24
    std::memcpy(&magnitude, &shifted, 4);
    return {uint16_t(sign | (magnitude - 0x3f000000))};
  }
  magnitude += 0xc8000fff + ((magnitude >> 13) & 1);  // rebias the exponent by -112 and round
  return {uint16_t(sign | magnitude >> 13)};
}

// type -> enumerator
template <class T> struct DTypeOf;
#define FLAMBEAU_EACH_DTYPE(X)        \
  X(bool, Bool)                       \
  X(uint8_t, UInt8)                   \
  X(int8_t, Int8)                     \
  X(int16_t, Int16)                   \
  X(int32_t, Int32)                   \
  X(int64_t, Int64)                   \
  X(::flambeau::Half, Float16)        \
  X(::flambeau::BFloat16, BFloat16)   \
  X(float, Float32)                   \
  X(double, Float64)                  \
  X(::flambeau::Complex64, Complex64) \
  X(::flambeau::Complex128, Complex128)
#define FLAMBEAU_DTYPE_OF(type, name) \
  template <> struct DTypeOf<type> { static constexpr DType value = DType::name; };
FLAMBEAU_EACH_DTYPE(FLAMBEAU_DTYPE_OF)
#undef FLAMBEAU_DTYPE_OF
template <class T> inline constexpr DType dtype_of = DTypeOf<T>::value;

inline constexpr uint8_t kItemSize[kDTypes] = {1, 1, 1, 2, 4, 8, 2, 2, 4, 8, 8, 16};
// computed, since a table would be a symbol that every kernel file carries: one hexadecimal digit per dtype, its logarithm
constexpr size_t item_size(DType t) { return size_t(1) << ((0x433211321000u >> 4 * int(t)) & 15); }
constexpr bool is_bool(DType t) { return t == DType::Bool; }
constexpr bool is_integral(DType t) { return t <= DType::Int64; }  // bool counts, as in PyTorch's categories
constexpr bool is_floating(DType t) { return t >= DType::Float16 && t <= DType::Float64; }
constexpr bool is_complex(DType t) { return t >= DType::Complex64; }
constexpr bool is_differentiable(DType t) { return t >= DType::Float16; }
constexpr bool is_half(DType t) { return t == DType::Float16 || t == DType::BFloat16; }
// The real type of a complex one, and the reverse; other types are themselves.
constexpr DType real_of(DType t) {
  return t == DType::Complex64 ? DType::Float32 : t == DType::Complex128 ? DType::Float64 : t;
}
constexpr DType complex_of(DType t) {
  return t == DType::Float64 || t == DType::Complex128 ? DType::Complex128 : DType::Complex64;
}
const char* cpp_name_of(DType t);     // "double": what its messages about products call it
const char* name_of(DType t);         // "float32"
const char* python_name_of(DType t);  // "Float": what PyTorch's messages call it
const char* cpp_name_of(DType t);     // "double": what its messages about products call it

// Calls f.template operator()<T>() with the C++ type behind t.
template <class F> FLAMBEAU_INLINE auto visit_dtype(DType t, F&& f) {
  switch (t) {
#define FLAMBEAU_CASE(type, name) \
  case DType::name: return f.template operator()<type>();
    FLAMBEAU_EACH_DTYPE(FLAMBEAU_CASE)
#undef FLAMBEAU_CASE
  }
  __builtin_unreachable();
}

}  // namespace flambeau
