// What every element type can do: magnitudes, signs, order, rounding, whole-number division, shifts. Vectors and single
// elements; integers never trap (their divisors of zero are reported by the caller beforehand).
#pragma once
#include <cmath>
#include "kernels/cpu/simd.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

template <class V> inline constexpr bool is_float_lane = std::is_floating_point_v<Element<V>>;
template <class V> inline constexpr bool is_bool_lane = std::is_same_v<Element<V>, bool>;
template <class V> inline constexpr bool is_signed_lane = std::is_signed_v<Element<V>> && !is_float_lane<V>;

// ---- signs -----------------------------------------------------------------------------------------------------------

template <class V> inline constexpr Element<Bits<V>> kSignBit = Element<Bits<V>>(1ull << (8 * sizeof(Element<V>) - 1));

template <class V> FLAMBEAU_INLINE V abs(V x) {
  if constexpr (is_float_lane<V>)
    return from_bits<V>(bits(x) & ~kSignBit<V>);
  else if constexpr (is_signed_lane<V>)
    return select(x < V{}, V(-x), x);
  else
    return x;
}
template <class V> FLAMBEAU_INLINE V copysign(V magnitude, V sign) {
  return from_bits<V>((bits(magnitude) & ~kSignBit<V>) | (bits(sign) & kSignBit<V>));
}
template <class V> FLAMBEAU_INLINE Mask<V> signbit(V x) {
  if constexpr (is_float_lane<V>)
    return bits(x) < Bits<V>{};
  else
    return Mask<V>(x < V{});
}
template <class V> FLAMBEAU_INLINE V sign(V x) {
  if constexpr (is_bool_lane<V>)
    return x;
  else if constexpr (is_float_lane<V> || is_signed_lane<V>)  // nan gives 0, as in comparison
    return select(x > V{}, constant<V>(1), select(x < V{}, constant<V>(-1), V{}));
  else
    return select(x > V{}, constant<V>(1), V{});
}
template <class V> FLAMBEAU_INLINE V sgn(V x) { return sign(x); }
template <class V> FLAMBEAU_INLINE V square(V x) { return x * x; }
template <class V> FLAMBEAU_INLINE V conj(V x) { return x; }
template <class V> FLAMBEAU_INLINE V real(V x) { return x; }
template <class V> FLAMBEAU_INLINE V imag(V) { return V{}; }
template <class V> FLAMBEAU_INLINE V angle(V x) {
  return select(x != x, x, select(x < V{}, constant<V>(3.14159265358979323846), V{}));
}

// ---- order -----------------------------------------------------------------------------------------------------------

template <class V> FLAMBEAU_INLINE V maximum(V a, V b) {  // nan wins
  if constexpr (is_float_lane<V>)
    return select((a > b) | (a != a), a, b);
  else
    return select(a > b, a, b);
}
template <class V> FLAMBEAU_INLINE V minimum(V a, V b) {
  if constexpr (is_float_lane<V>)
    return select((a < b) | (a != a), a, b);
  else
    return select(a < b, a, b);
}
template <class V> FLAMBEAU_INLINE V fmax(V a, V b) {  // nan loses
  if constexpr (is_float_lane<V>)
    return select((a >= b) | (b != b), a, b);
  else
    return select(a > b, a, b);
}
template <class V> FLAMBEAU_INLINE V fmin(V a, V b) {
  if constexpr (is_float_lane<V>)
    return select((a <= b) | (b != b), a, b);
  else
    return select(a < b, a, b);
}
template <class V> FLAMBEAU_INLINE Mask<V> isnan(V x) { return x != x; }
template <class V> FLAMBEAU_INLINE Mask<V> isinf(V x) {
  if constexpr (is_float_lane<V>)
    return abs(x) == constant<V>(__builtin_inf());
  else
    return x != x;
}
template <class V> FLAMBEAU_INLINE Mask<V> isfinite(V x) {
  if constexpr (is_float_lane<V>)
    return abs(x) < constant<V>(__builtin_inf());
  else
    return x == x;
}
template <class V> FLAMBEAU_INLINE Mask<V> truth(V x) { return x != V{}; }

// ---- roots and reciprocals -------------------------------------------------------------------------------------------

template <class V> FLAMBEAU_INLINE V sqrt(V x) {
  if constexpr (!is_vector<V>) return std::sqrt(x);
#if __has_builtin(__builtin_elementwise_sqrt)
  else
    return __builtin_elementwise_sqrt(x);
#else
#if defined(FLAMBEAU_ISA_v4) && __has_builtin(__builtin_ia32_sqrtps512_mask)
  else if constexpr (std::is_same_v<V, F32>)
    return __builtin_ia32_sqrtps512_mask(x, x, -1, 4);
  else if constexpr (std::is_same_v<V, F64>)
    return __builtin_ia32_sqrtpd512_mask(x, x, -1, 4);
#elif defined(FLAMBEAU_ISA_v4)
  else if constexpr (std::is_same_v<V, F32>)
    return __builtin_ia32_sqrtps512(x, 4);
  else if constexpr (std::is_same_v<V, F64>)
    return __builtin_ia32_sqrtpd512(x, 4);
#elif defined(FLAMBEAU_ISA_v3)
  else if constexpr (std::is_same_v<V, F32>)
    return __builtin_ia32_sqrtps256(x);
  else if constexpr (std::is_same_v<V, F64>)
    return __builtin_ia32_sqrtpd256(x);
#elif defined(FLAMBEAU_ISA_v2)
  else if constexpr (std::is_same_v<V, F32>)
    return __builtin_ia32_sqrtps(x);
  else if constexpr (std::is_same_v<V, F64>)
    return __builtin_ia32_sqrtpd(x);
#endif
  else
    return each_lane(x, [](auto a) { return std::sqrt(a); });
#endif
}
template <class V> FLAMBEAU_INLINE V reciprocal(V x) { return constant<V>(1) / x; }
template <class V> FLAMBEAU_INLINE V rsqrt(V x) { return constant<V>(1) / sqrt(x); }

// ---- rounding --------------------------------------------------------------------------------------------------------

// To the nearest whole number, halves to even: adding 2^mantissa leaves no room for a fraction. -0 stays -0.
template <class V> FLAMBEAU_INLINE V round(V x) {
  if constexpr (is_float_lane<V>) {
    const V big = constant<V>(sizeof(Element<V>) == 4 ? 0x1p23 : 0x1p52), a = abs(x);
    return copysign(select(a < big, (a + big) - big, a), x);
  } else
    return x;
}
template <class V> FLAMBEAU_INLINE V trunc(V x) {
  if constexpr (is_float_lane<V>) {
    const V a = abs(x), r = round(a);
    return copysign(select(r > a, r - constant<V>(1), r), x);
  } else
    return x;
}
template <class V> FLAMBEAU_INLINE V floor(V x) {
  if constexpr (is_float_lane<V>) {
    const V r = round(x);
    return copysign(select(r > x, r - constant<V>(1), r), x);
  } else
    return x;
}
template <class V> FLAMBEAU_INLINE V ceil(V x) {
  if constexpr (is_float_lane<V>) {
    const V r = round(x);
    return copysign(select(r < x, r + constant<V>(1), r), x);
  } else
    return x;
}

// ---- whole-number division -------------------------------------------------------------------------------------------

template <class T> FLAMBEAU_INLINE T safe_quotient(T a, T b) {
  if (b == 0) return 0;
  if constexpr (std::is_signed_v<T>)
    if (b == T(-1)) return T(0 - std::make_unsigned_t<T>(a));
  return T(a / b);
}
template <class V> FLAMBEAU_INLINE V trunc_divide(V a, V b) {
  if constexpr (is_float_lane<V>)
    return trunc(a / b);
  else
    return each_lane(a, b, [](auto x, auto y) { return safe_quotient(x, y); });
}
template <class V> FLAMBEAU_INLINE V fmod(V a, V b) {  // the sign of a
  if constexpr (is_float_lane<V>)
    return each_lane(a, b, [](auto x, auto y) { return std::fmod(x, y); });
  else
    return each_lane(a, b, [](auto x, auto y) { return decltype(x)(x - safe_quotient(x, y) * y); });
}
template <class V> FLAMBEAU_INLINE V remainder(V a, V b) {  // the sign of b
  const V r = fmod(a, b);
  if constexpr (is_float_lane<V>)
    return select((r != V{}) & ((r < V{}) ^ (b < V{})), r + b, r);
  else if constexpr (is_signed_lane<V>)
    return select((r != V{}) & ((r ^ b) < V{}), r + b, r);
  else
    return r;
}
template <class V> FLAMBEAU_INLINE V floor_divide(V a, V b) {
  if constexpr (is_float_lane<V>) {  // exact remainder first, so that the quotient is never one too large
    const V r = fmod(a, b);
    V q = (a - r) / b;
    q = select((r != V{}) & ((r < V{}) ^ (b < V{})), q - constant<V>(1), q);
    const V f = floor(q);
    const V whole = select(q - f > constant<V>(0.5), f + constant<V>(1), f);
    return select(b == V{}, a / b, select(q == V{}, copysign(V{}, a / b), whole));
  } else {
    return each_lane(a, b, [](auto x, auto y) {
      using T = decltype(x);
      const T q = safe_quotient(x, y);
      return T(std::is_signed_v<T> && T(x - q * y) != 0 && (x < 0) != (y < 0) ? q - 1 : q);
    });
  }
}

// ---- integers --------------------------------------------------------------------------------------------------------

// Shifts by less than 0 or by the width and more push every bit out.
template <class V> FLAMBEAU_INLINE V shift_left(V x, V by) {
  return each_lane(x, by, [](auto a, auto n) {
    using T = decltype(a);
    return n < 0 || n >= T(8 * sizeof(T)) ? T(0) : T(std::make_unsigned_t<T>(a) << n);
  });
}
template <class V> FLAMBEAU_INLINE V shift_right(V x, V by) {
  return each_lane(x, by, [](auto a, auto n) {
    using T = decltype(a);
    constexpr T kLast = 8 * sizeof(T) - 1;
    return T(n < 0 || n > kLast ? (a < 0 ? T(-1) : T(0)) : T(a >> n));
  });
}
template <class T> FLAMBEAU_INLINE T gcd_of(T a, T b) {
  while (b != 0) {
    const T r = std::is_signed_v<T> && b == T(-1) ? T(0) : T(a % b);
    a = b;
    b = r;
  }
  return std::is_signed_v<T> && a < 0 ? T(0 - std::make_unsigned_t<T>(a)) : a;
}
template <class V> FLAMBEAU_INLINE V gcd(V x, V y) {
  return each_lane(x, y, [](auto a, auto b) { return gcd_of(a, b); });
}
template <class V> FLAMBEAU_INLINE V lcm(V x, V y) {
  return each_lane(x, y, [](auto a, auto b) {
    using T = decltype(a);
    const T g = gcd_of(a, b);
    const T l = g == 0 ? T(0) : T(std::make_unsigned_t<T>(a / g) * std::make_unsigned_t<T>(b));
    return std::is_signed_v<T> && l < 0 ? T(0 - std::make_unsigned_t<T>(l)) : l;
  });
}
template <class T> FLAMBEAU_INLINE T integer_power(T base, T exponent) {
  using U = std::make_unsigned_t<T>;
  if (std::is_signed_v<T> && exponent < 0) return base == T(1) ? T(1) : base == T(-1) ? T(exponent & 1 ? -1 : 1) : T(0);
  U result = 1, b = U(base);
  for (U e = U(exponent); e != 0; e >>= 1, b = U(b * b))
    if (e & 1) result = U(result * b);
  return T(result);
}
template <class V> V pow_float(V x, V y);
template <class V> FLAMBEAU_INLINE V pow(V x, V y) {
  if constexpr (!is_vector<V>)
    return std::pow(x, y);
  else if constexpr (is_float_lane<V>)
    return pow_float(x, y);
  else
    return each_lane(x, y, [](auto a, auto b) { return integer_power(a, b); });
}
template <class V> FLAMBEAU_INLINE V nextafter(V x, V y) {
  if constexpr (!is_vector<V>)
    return std::nextafter(x, y);
  else
    return each_lane(x, y, [](auto a, auto b) { return std::nextafter(a, b); });
}

}  // namespace
}  // namespace flambeau::kernels::FLAMBEAU_ISA
