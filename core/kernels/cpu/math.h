// Vector mathematics for float32 and float64, within 1 to 2 ulp, with right answers at zeros (also -0), infinities, nan
// and denormals. Portable vector code; polynomials are near-minimax fits made at 200 bits (Chebyshev nodes).
//
// What is hot in networks (exp, log, tanh, sigmoid, sin, cos, erf) has a float32 form of its own; the rest serves
// float32 through float64, which costs half the lanes and buys half an ulp.
#pragma once
#include <cmath>
#include "kernels/cpu/simd.h"
#include "kernels/cpu/arithmetic.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

// c0 + c1 x + c2 x^2 + ...
template <class V> FLAMBEAU_INLINE V poly(V x, double c0) { return constant<V>(c0); }
template <class V, class... More> FLAMBEAU_INLINE V poly(V x, double c0, More... more) {
  return constant<V>(c0) + x * poly(x, more...);
}

template <class V> inline constexpr bool is_float32 = std::is_same_v<Element<V>, float>;
template <class V> inline constexpr int kMantissa = is_float32<V> ? 23 : 52;
template <class V> inline constexpr int kBias = is_float32<V> ? 127 : 1023;
template <class V> inline constexpr double kEpsilon = is_float32<V> ? 0x1p-23 : 0x1p-52;
inline constexpr double kLn2 = 0.693147180559945309417, kPi = 3.14159265358979323846;
template <class V> FLAMBEAU_INLINE V infinity() { return constant<V>(__builtin_inf()); }

// 2^n for whole n with a normal result.
template <class V> FLAMBEAU_INLINE V power_of_two(Bits<V> n) { return from_bits<V>((n + kBias<V>) << kMantissa<V>); }
// x * 2^n, right also where 2^n alone would overflow or be denormal.
template <class V> FLAMBEAU_INLINE V scale(V x, Bits<V> n) {
  const Bits<V> half = n >> 1;
  return x * power_of_two<V>(half) * power_of_two<V>(n - half);
}

// The nearest whole number to |x| < 2^(mantissa - 2), as a float and as bits: adding 1.5 * 2^mantissa makes the
// processor's own rounding (half to even) do it.
template <class V> FLAMBEAU_INLINE V nearest(V x, Bits<V>& n) {
  const V magic = constant<V>(is_float32<V> ? 0x1.8p23 : 0x1.8p52);
  const V shifted = x + magic;
  n = bits(shifted) - bits(magic);
  return shifted - magic;
}

// ---- exponentials ----------------------------------------------------------------------------------------------------

// x = n ln2 + r with |r| <= ln2 / 2; x within the range where e^x is neither 0 nor infinite by far.
template <class V> FLAMBEAU_INLINE V reduce_exp(V x, Bits<V>& n) {
  const V k = nearest(x * constant<V>(1 / kLn2), n);
  if constexpr (is_float32<V>) return (x - k * constant<V>(0.693359375)) + k * constant<V>(2.12194440e-4);
  return (x - k * constant<V>(0x1.62e42fee00000p-1)) - k * constant<V>(0x1.a39ef35793c76p-33);
}
// e^r - 1 for the r above
template <class V> FLAMBEAU_INLINE V expm1_kernel(V r) {
  if constexpr (is_float32<V>)
    return r + r * r * poly(r, 0.5, 1.666657338e-1, 4.166655011e-2, 8.363773874e-3, 1.392692661e-3);
  return r + r * r *
                 poly(r, 0.5, 1.666666666666667144e-1, 4.166666666666667007e-2, 8.333333333325544700e-3,
                      1.388888888888332667e-3, 1.984126987686435493e-4, 2.480158732700718673e-5,
                      2.755725283351690975e-6, 2.755727181021979957e-7, 2.510627473357329469e-8,
                      2.091544229778011522e-9);
}
// 2^r - 1 for |r| <= 1/2
FLAMBEAU_INLINE F32 exp2m1_kernel(F32 r) {
  const F32 z = r * r, low = poly(r, kLn2 - float(kLn2), 2.40226507606e-1);  // side by side: shorter to wait for
  const F32 high = poly(r, 5.55035711422e-2, 9.61808255728e-3) + z * poly(r, 1.33908633647e-3, 1.54531629451e-4);
  return r * constant<F32>(kLn2) + r * (low + z * high);
}
// low <= x <= high; nan passes
template <class V> FLAMBEAU_INLINE V clamped(V x, double low, double high) {
#if defined(FLAMBEAU_ISA_v4) && __has_builtin(__builtin_ia32_minps512_mask)
  if constexpr (std::is_same_v<V, F32>)
    return __builtin_ia32_maxps512_mask(constant<V>(low), __builtin_ia32_minps512_mask(constant<V>(high), x, x, -1, 4),
                                        x, -1, 4);
  if constexpr (std::is_same_v<V, F64>)
    return __builtin_ia32_maxpd512_mask(constant<V>(low), __builtin_ia32_minpd512_mask(constant<V>(high), x, x, -1, 4),
                                        x, -1, 4);
#endif
  x = select(x > constant<V>(high), constant<V>(high), x);
  return select(x < constant<V>(low), constant<V>(low), x);
}
template <class V> FLAMBEAU_INLINE V clamp_exp(V x) {  // nan passes
  return clamped(x, is_float32<V> ? -105 : -747, is_float32<V> ? 89 : 710);
}
template <class V> FLAMBEAU_INLINE V exp(V x) {
  Bits<V> n;
  const V r = reduce_exp(clamp_exp(x), n);
  return scale(constant<V>(1) + expm1_kernel(r), n);
}
template <class V> FLAMBEAU_INLINE V expm1(V x) {
  Bits<V> n;
  const V r = reduce_exp(clamp_exp(x), n);
  // 2^n (p + 1 - 2^-n); below n = -60 the answer is -1
  const Bits<V> floor_n = n < -60 ? Bits<V>{} - 60 : n;
  const Bits<V> capped = floor_n > kBias<V> - 1 ? Bits<V>{} + (kBias<V> - 1) : floor_n;
  const V p = expm1_kernel(r) + (constant<V>(1) - power_of_two<V>(-capped));
  const V result = select(n < -60, constant<V>(-1), scale(p, floor_n));
  return select(x == V{}, x, result);
}
template <class V> FLAMBEAU_INLINE V exp2(V x) {
  const V high = constant<V>(is_float32<V> ? 129 : 1025), low = constant<V>(is_float32<V> ? -151 : -1076);
  x = select(x > high, high, x);
  x = select(x < low, low, x);
  Bits<V> n;
  const V k = nearest(x, n);
  return scale(constant<V>(1) + expm1_kernel((x - k) * constant<V>(kLn2)), n);
}

template <class V> FLAMBEAU_INLINE V tanh(V x) {
  V a = abs(x);
  a = select(a > constant<V>(22), constant<V>(22), a);
  const V t = expm1(a + a);
  return copysign(t / (t + constant<V>(2)), x);
}
template <class V> FLAMBEAU_INLINE V sigmoid(V x) { return constant<V>(1) / (constant<V>(1) + exp(-x)); }

// ---- logarithms ------------------------------------------------------------------------------------------------------

// x = 2^k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)), for finite x > 0
template <class V> FLAMBEAU_INLINE V split_log(V x, V& k) {
  using B = Bits<V>;
  const V tiny = constant<V>(is_float32<V> ? 0x1p-126 : 0x1p-1022), lift = constant<V>(is_float32<V> ? 0x1p23 : 0x1p52);
  const auto small = x < tiny;
  x = select(small, x * lift, x);
  const B root = bits(constant<V>(0.70710678118654752440));
  const B e = (bits(x) - root) >> kMantissa<V>;
  // e as a float: its bits under those of 1.5 * 2^mantissa
  const V magic = constant<V>(is_float32<V> ? 0x1.8p23 : 0x1.8p52);
  k = from_bits<V>(e + bits(magic)) - magic;
  k = select(small, k - constant<V>(kMantissa<V>), k);
  return from_bits<V>(bits(x) - (e << kMantissa<V>)) - constant<V>(1);
}
// log(1 + f) - f + f^2/2, the latter being half_square
template <class V> FLAMBEAU_INLINE V log_tail(V f, V half_square) {
  if constexpr (is_float32<V>)
    return f * f * f *
           poly(f, 3.333333117e-1, -2.499999693e-1, 2.000071721e-1, -1.666780713e-1, 1.424900724e-1, -1.242552336e-1,
                1.168578472e-1, -1.148121206e-1, 6.972518634e-2);
  const V s = f / (f + constant<V>(2)), z = s * s;
  const V r =
      z * poly(z, 6.666666666666669695e-1, 3.999999999989923898e-1, 2.857142862609589154e-1, 2.222221111514416150e-1,
               1.818289055669560353e-1, 1.533167403016786185e-1, 1.461703754879165015e-1);
  return s * (half_square + r);
}
template <class V>
FLAMBEAU_INLINE V log_edges(V x, V result) {  // what the formula cannot say: 0, negative, infinity, nan
  result = select(x < infinity<V>(), result, x);
  result = select(x == V{}, -infinity<V>(), result);
  return select(x < V{}, constant<V>(__builtin_nan("")), result);
}
template <class V> FLAMBEAU_INLINE V log(V x) {
  V k;
  const V f = split_log(x, k), half_square = constant<V>(0.5) * f * f;
  const V high = constant<V>(is_float32<V> ? 0.693359375 : 0x1.62e42fee00000p-1);
  const V low = constant<V>(is_float32<V> ? -2.12194440e-4 : 0x1.a39ef35793c76p-33);
  return log_edges(x, k * high + (f - (half_square - (log_tail(f, half_square) + k * low))));
}
// log(x) / log(base), the whole part of the exponent kept apart; ln2_high carries few bits so that k * ln2_high is exact
template <class V> FLAMBEAU_INLINE V log_base(V x, double inverse, double step_high, double step_low) {
  V k;
  const V f = split_log(x, k), half_square = constant<V>(0.5) * f * f;
  const V whole = f - (half_square - log_tail(f, half_square));
  return log_edges(x, k * constant<V>(step_high) + (whole * constant<V>(inverse) + k * constant<V>(step_low)));
}
FLAMBEAU_INLINE F64 log2(F64 x) { return log_base(x, 1.44269504088896340736, 1, 0); }
FLAMBEAU_INLINE F64 log10(F64 x) {
  return log_base(x, 0.434294481903251827651, 0x1.3441350000000p-2, 0x1.3ef3fde623e25p-31);
}
template <class V> FLAMBEAU_INLINE V log1p(V x) {
  const V u = constant<V>(1) + x;
  V k;
  const V f = split_log(u, k), half_square = constant<V>(0.5) * f * f;
  // what rounding 1 + x lost, relative to u
  const V lost = select(x < constant<V>(1), x - (u - constant<V>(1)), constant<V>(1) - (u - x)) / u;
  const V high = constant<V>(is_float32<V> ? 0.693359375 : 0x1.62e42fee00000p-1);
  const V low = constant<V>(is_float32<V> ? -2.12194440e-4 : 0x1.a39ef35793c76p-33);
  const V result = k * high + (f - (half_square - (log_tail(f, half_square) + (k * low + lost))));
  return select(abs(x) < constant<V>(kEpsilon<V> / 4), x, log_edges(u, result));
}

// ---- trigonometry ----------------------------------------------------------------------------------------------------

template <class V> FLAMBEAU_INLINE V sin_kernel(V r, V z) {  // |r| <= pi / 4, z = r^2
  if constexpr (is_float32<V>) return r + r * z * poly(z, -1.666666454e-1, 8.332724614e-3, -1.958283068e-4);
  return r + r * z *
                 poly(z, -1.666666666666666436e-1, 8.333333333330699336e-3, -1.984126983638543448e-4,
                      2.755731591093900156e-6, -2.505109230843131667e-8, 1.591530918305795256e-10);
}
template <class V> FLAMBEAU_INLINE V cos_kernel(V z) {
  V tail;
  if constexpr (is_float32<V>)
    tail = poly(z, 4.166666454e-2, -1.388827933e-3, 2.454287111e-5);
  else
    tail = poly(z, 4.166666666666666523e-2, -1.388888888888724138e-3, 2.480158729853225905e-5, -2.755731715185886455e-7,
                2.087612153460845557e-9, -1.138086817144991339e-11);
  const V half = constant<V>(0.5) * z, w = constant<V>(1) - half;
  return w + (((constant<V>(1) - w) - half) + z * z * tail);
}
// x = n pi/2 + r, by constants of few bits, whose products with n are exact; good for |x| < kTrigLimit
template <class V> inline constexpr double kTrigLimit = is_float32<V> ? 8000 : 1e6;
template <class V> FLAMBEAU_INLINE V reduce_trig(V x, Bits<V>& n) {
  const V k = nearest(x * constant<V>(2 / kPi), n);
  if constexpr (is_float32<V>)
    return ((x - k * constant<V>(1.5703125)) - k * constant<V>(4.8351287841796875e-4)) -
           (k * constant<V>(3.1385570764541626e-7) + k * constant<V>(6.07710062827671e-11));
  return ((x - k * constant<V>(0x1.921fb54000000p+0)) - k * constant<V>(0x1.10b4610000000p-30)) -
         k * constant<V>(0x1.a62633145c06ep-58);
}
// Lane by lane: what one element gives may not depend on its neighbours, some of which are padding.
template <class V> FLAMBEAU_INLINE auto beyond_trig(V x) { return !(abs(x) < constant<V>(kTrigLimit<V>)); }

template <class V> FLAMBEAU_INLINE V sin_shifted(V x, int quarter) {  // sin(x + quarter pi/2)
  Bits<V> n;
  const V r = reduce_trig(x, n), z = r * r;
  n += quarter;
  const V value = select((n & 1) != 0, cos_kernel(z), sin_kernel(r, z));
  return from_bits<V>(bits(value) ^ ((n & 2) << (sizeof(Element<V>) * 8 - 2)));
}
template <class V> FLAMBEAU_INLINE V sin(V x) {
  const V result = select(x == V{}, x, sin_shifted(x, 0));
  if (any(beyond_trig(x))) [[unlikely]]
    return select(beyond_trig(x), each_lane(x, [](auto a) { return std::sin(a); }), result);
  return result;
}
template <class V> FLAMBEAU_INLINE V cos(V x) {
  const V result = sin_shifted(x, 1);
  if (any(beyond_trig(x))) [[unlikely]]
    return select(beyond_trig(x), each_lane(x, [](auto a) { return std::cos(a); }), result);
  return result;
}
inline F64 tan(F64 x) {
  Bits<F64> n;
  const F64 r = reduce_trig(x, n), z = r * r, s = sin_kernel(r, z), c = cos_kernel(z);
  const auto odd = (n & 1) != 0;
  const F64 result = select(x == F64{}, x, select(odd, -c, s) / select(odd, s, c));
  if (any(beyond_trig(x))) [[unlikely]]
    return select(beyond_trig(x), each_lane(x, [](double a) { return std::tan(a); }), result);
  return result;
}

FLAMBEAU_INLINE F64 atan_kernel(F64 x) {  // |x| <= tan(pi/8)
  const F64 z = x * x;
  return x * z *
             poly(z, -3.333333333333332982e-1, 1.999999999999509034e-1, -1.428571428457721727e-1,
                  1.111111100810787385e-1, -9.090904289128516284e-2, 7.692176510795928043e-2, -6.664417824186955074e-2,
                  5.857339676138524728e-2, -5.081236164642542433e-2, 3.911053674347612970e-2,
                  -1.902929080974313630e-2) +
         x;
}
// atan of y / x for 0 <= y, 0 <= x: the quotient is formed where it is at most 1, and once more about pi/4
inline F64 atan_quotient(F64 y, F64 x) {
  const auto steep = y > x;
  const F64 high = select(steep, y, x), low = select(steep, x, y);
  const auto middle = low > high * 0.41421356237309503;
  const F64 top = select(middle, low - high, low), bottom = select(middle, low + high, high);
  const F64 a = atan_kernel(top / bottom) + select(middle, constant<F64>(3.061616997868383e-17), F64{});
  const F64 b = select(middle, a + kPi / 4, a);
  return select(steep, (kPi / 2 - b) + 6.123233995736766e-17, b);
}
inline F64 atan(F64 x) { return copysign(atan_quotient(abs(x), constant<F64>(1)), x); }
inline F64 atan2(F64 y, F64 x) {
  F64 a = abs(y), b = abs(x);
  const auto both = (a == infinity<F64>()) & (b == infinity<F64>());
  a = select(both, constant<F64>(1), a);
  b = select(both, constant<F64>(1), b);
  const auto zero = a == F64{};  // also 0 / 0
  F64 angle = atan_quotient(a, select(zero & (b == F64{}), constant<F64>(1), b));
  angle = select((a == infinity<F64>()) & !both, constant<F64>(kPi / 2), angle);
  angle = select((b == infinity<F64>()) & !both, F64{}, angle);
  angle = select(signbit(x), (kPi - angle) + 1.2246467991473532e-16, angle);
  return select((x != x) | (y != y), x + y, copysign(angle, y));
}

FLAMBEAU_INLINE F64 asin_tail(F64 z) {  // (asin(x) - x) / x for z = x^2 <= 1/4
  return z * poly(z, 1.666666666666666783e-1, 7.499999999998424260e-2, 4.464285714637338088e-2, 3.038194413708521430e-2,
                  2.237217300200559739e-2, 1.735239126590922786e-2, 1.397123530112453915e-2, 1.147895269025738674e-2,
                  1.032431828874411205e-2, 5.450878187720549948e-3, 1.741935796488485717e-2, -1.488140939281806664e-2,
                  2.877844261259304085e-2);
}
inline F64 asin(F64 x) {
  const F64 a = abs(x);
  const auto large = a > 0.5;
  const F64 z = select(large, (1 - a) * 0.5, a * a), s = select(large, sqrt(z), a), t = s + s * asin_tail(z);
  return copysign(select(large, kPi / 2 - (t + t - 6.123233995736766e-17), t), x);
}
inline F64 acos(F64 x) {
  const F64 a = abs(x);
  const auto large = a > 0.5;
  const F64 z = select(large, (1 - a) * 0.5, a * a), s = select(large, sqrt(z), x), t = s + s * asin_tail(z);
  const F64 far = select(x < 0, (kPi - (t + t)) + 1.2246467991473532e-16, t + t);
  return select(large, far, kPi / 2 - (t - 6.123233995736766e-17));
}

// ---- hyperbolic functions --------------------------------------------------------------------------------------------

// Beyond kSteep e^a overflows though half of it does not; e^(a/2) squared goes further.
template <class V> inline constexpr double kSteep = is_float32<V> ? 88 : 700;
template <class V> FLAMBEAU_INLINE V half_exp(V a) {
  const V h = exp(a * constant<V>(0.5));
  return h * constant<V>(0.5) * h;
}
template <class V> FLAMBEAU_INLINE V sinh(V x) {
  const V a = abs(x), e = expm1(a), one = constant<V>(1);
  const auto steep = a > constant<V>(kSteep<V>);
  V result = (e + e / (e + one)) * constant<V>(0.5);
  if (any(steep)) [[unlikely]]
    result = select(steep, half_exp(a), result);
  return copysign(result, x);
}
template <class V> FLAMBEAU_INLINE V cosh(V x) {
  const V a = abs(x), e = exp(a), half = constant<V>(0.5);
  const auto steep = a > constant<V>(kSteep<V>);
  V result = e * half + half / e;
  if (any(steep)) [[unlikely]]
    result = select(steep, half_exp(a), result);
  return result;
}
inline F64 asinh(F64 x) {
  const F64 a = abs(x), square = a * a;
  const F64 result = select(a > 1e8, log(a) + kLn2, log1p(a + square / (1 + sqrt(1 + square))));
  return copysign(result, x);
}
inline F64 acosh(F64 x) {
  const F64 t = x - 1;
  const F64 result = select(x > 1e8, log(x) + kLn2, log1p(t + sqrt(t + t + t * t)));
  return select(x < 1, constant<F64>(__builtin_nan("")), result);
}
inline F64 atanh(F64 x) {
  const F64 a = abs(x);
  return copysign(log1p((a + a) / (1 - a)) * 0.5, x);
}

// ---- error function --------------------------------------------------------------------------------------------------

#if defined(FLAMBEAU_ISA_v4) && __has_builtin(__builtin_ia32_permvarsf512_mask)
// Sixteen intervals of [0, 4], each with a polynomial of its own whose coefficients lie side by side in vectors: half the
// work of one formula for all. The centers are floats near the intervals' middles at which erf is almost a float too.
FLAMBEAU_INLINE F32 erf(F32 x) {
  const F32 center = {0,
                      2.5471807e-01,
                      5.1243067e-01,
                      7.739351e-01,
                      1.0350809e+00,
                      1.2916968e+00,
                      1.5466352e+00,
                      1.8065012e+00,
                      2.062561e+00,
                      2.325456e+00,
                      2.5842147e+00,
                      2.8412778e+00,
                      3.0941458e+00,
                      3.3511117e+00,
                      3.5605693e+00,
                      3.832507e+00};
  const F32 c0 = {0,
                  2.8132167e-01,
                  5.3135556e-01,
                  7.262684e-01,
                  8.5675836e-01,
                  9.322604e-01,
                  9.7127736e-01,
                  9.8937446e-01,
                  9.964647e-01,
                  9.9899346e-01,
                  9.9974245e-01,
                  9.9994135e-01,
                  9.999879e-01,
                  9.9999785e-01,
                  9.999995e-01,
                  9.9999994e-01};
  const F32 c1 = {1.1283792e+00,  1.0574929e+00, 8.677922e-01,  6.199024e-01, 3.865051e-01, 2.1273705e-01,
                  1.03178166e-01, 4.3167636e-02, 1.6028676e-02, 5.057098e-03, 1.419598e-03, 3.5193143e-04,
                  7.845719e-05,   1.4974421e-05, 3.5206272e-06, 4.7150937e-07};
  const F32 c2 = {-1.4105203e-05, -2.693577e-01,  -4.4467753e-01, -4.7976136e-01, -4.0006498e-01, -2.747944e-01,
                  -1.5958107e-01, -7.7983186e-02, -3.306003e-02,  -1.1759687e-02, -3.6682524e-03, -9.997799e-04,
                  -2.4269616e-04, -5.018096e-05,  -1.2535437e-05, -1.8070629e-06};
  const F32 c3 = {-3.755884e-01, -3.067393e-01,  -1.3733627e-01, 4.0898457e-02, 1.4722872e-01, 1.6572165e-01,
                  1.3014635e-01, 7.952934e-02,   4.011704e-02,   1.6545184e-02, 5.845996e-03,  1.7762729e-03,
                  4.7463836e-04, 1.07116524e-04, 2.8581986e-05,  4.459884e-06};
  const F32 c4 = {-6.5501793e-03, 1.2791392e-01,  1.8228468e-01,  1.4354339e-01,  5.7342242e-02,  -1.4923258e-02,
                  -4.7044925e-02, -4.56848e-02,   -3.0369878e-02, -1.5389891e-02, -6.3881623e-03, -2.2202088e-03,
                  -6.6526205e-04, -1.6275272e-04, -4.670559e-05,  -7.943914e-06};
  const F32 c5 = {1.374078e-01,  7.757308e-02,  2.7250405e-03, -5.6314915e-02, -6.7527145e-02, -4.1864224e-02,
                  -9.678307e-03, 9.082769e-03,  1.2912748e-02, 9.333412e-03,   4.86467e-03,    1.994679e-03,
                  6.675871e-04,  1.8602607e-04, 5.7944802e-05, 1.0840077e-05};
  const F32 a = clamped(abs(x), 0, 3.99), magic = constant<F32>(0x1.8p23);
  const Bits<F32> n = bits(a * constant<F32>(3.875) + magic);  // the interval is in the lowest bits
  const auto of = [&](F32 table) { return __builtin_ia32_permvarsf512_mask(table, n, table, -1); };
  const F32 t = a - of(center), high = of(c2) + t * (of(c3) + t * (of(c4) + t * of(c5)));
  return copysign(of(c0) + (t * of(c1) + (t * t) * high), x);
}
#else
// 1 - 2^-q with q = -log2(erfc) by a polynomial: near 0 the whole part of q is 0 and nothing cancels.
FLAMBEAU_INLINE F32 erf(F32 x) {
  const F32 a = clamped(abs(x), 0, 4);
  constexpr double kSlope = 1.62790702872;  // at 0; what float cannot hold of it goes along with the rest
  const F32 q = a * constant<F32>(kSlope) + a * poly(a, kSlope - float(kSlope), 9.184476251e-1, 1.482770678e-1,
                                                     -2.763203639e-2, -2.313899681e-4, 2.404998213e-3, -9.129819557e-4,
                                                     1.697177177e-4, -1.335361293e-5);
  Bits<F32> n;
  const F32 r = nearest(q, n) - q, whole = power_of_two<F32>(-n);
  return copysign((constant<F32>(1) - whole) - whole * exp2m1_kernel(r), x);
}
#endif
// erfc(a) for a >= 1: e^(-a^2) times a polynomial in (a - 3.5) / (a + 3.5); exact: a^2 in two parts
template <bool kExact> FLAMBEAU_INLINE F64 erfc_tail(F64 a) {
  a = select(a > 28, constant<F64>(28), a);
  const F64 d = 1 / (a + 3.5), t = (a - 3.5) * d;
  const F64 scaled =
      d * poly(t, 1.087055589262260082, -9.377997245671120276e-1, 6.941136466346430522e-1, -4.352560267168850836e-1,
               2.257386216474943446e-1, -9.231870663867752056e-2, 2.651861987959697256e-2, -3.177050338968242800e-3,
               -1.305354664295559025e-3, 7.145316497445130963e-4, -4.206238899973341435e-5, -7.477688034593208880e-5,
               1.864837864299213928e-5, 7.243327371723090443e-6, -3.396177372614526490e-6, -7.938750450945306778e-7,
               5.597940663904580285e-7, 1.105442020817919044e-7, -9.550732504747780897e-8, -1.372294813158611001e-8,
               1.589209193111242519e-8, -1.982152401549253605e-9);
  if constexpr (!kExact) return exp(-a * a) * scaled;
  const F64 high = from_bits<F64>(bits(a) & ~int64_t(0xffffffff));
  return exp(-high * high) * exp(-(a - high) * (a + high)) * scaled;
}
FLAMBEAU_INLINE F64 erf_near(F64 x) {
  return x * poly(x * x, 1.128379167095512574, -3.761263890318374806e-1, 1.128379167095487867e-1,
                  -2.686617064507679325e-2, 5.223977624818014467e-3, -8.548326980833789905e-4, 1.205533111164271092e-4,
                  -1.492559526683118157e-5, 1.646100048412136803e-6, -1.635031270105469501e-7, 1.465977527404743581e-8,
                  -1.137284885679167367e-9, 5.957176147748911404e-11);
}
inline F64 erf(F64 x) {
  const F64 a = abs(x);
  return select(a < 1, erf_near(x), copysign(1 - erfc_tail<true>(a), x));
}
template <bool kExact> FLAMBEAU_INLINE F64 erfc_of(F64 x) {
  const F64 a = abs(x), tail = erfc_tail<kExact>(a);
  return select(a < 1, 1 - erf_near(x), select(x < 0, 2 - tail, tail));
}
inline F64 erfc(F64 x) { return erfc_of<true>(x); }
inline F32 erfc(F32 x) {
  return through_double([](F64 a) { return erfc_of<false>(a); }, x);
}

// ---- powers ----------------------------------------------------------------------------------------------------------

FLAMBEAU_INLINE F64 hypot(F64 x, F64 y) {
  const F64 a = abs(x), b = abs(y), big = select(a > b, a, b), small = select(a > b, b, a), ratio = small / big;
  F64 result = big * sqrt(1 + ratio * ratio);
  result = select(big == F64{}, big, result);
  result = select((x != x) | (y != y), x + y, result);
  return select((a == infinity<F64>()) | (b == infinity<F64>()), infinity<F64>(), result);
}
// x^y = 2^(y log2 x), the exponent in float64, where it has bits to spare; the rest in float32
FLAMBEAU_INLINE F32 pow_general(F32 x, F32 y) {
  const F32 a = abs(x), one = constant<F32>(1);
  F32 k;
  const F32 f = split_log(a, k);
  k = select(a < infinity<F32>(), k, a);  // also nan
  k = select(a == F32{}, -infinity<F32>(), k);
  const F32 inverse = one / (f + constant<F32>(2));
  F64 rest[2], whole[2];
  for (int half = 0; half < 2; ++half) {
    const F64 d = widened_half(f, half, kHalfLanes), i = widened_half(inverse, half, kHalfLanes);
    F64 s = d * i;
    s += i * (d - s * (2 + d));  // f / (2 + f), from float's quotient
    F64 t = widened_half(y, half, kHalfLanes) *
            (widened_half(k, half, kHalfLanes) + s * poly(s * s, 2.88539008179011779, 9.61796673273639111e-1,
                                                          5.77083602289322228e-1, 4.11671465059006946e-1,
                                                          3.40756704278823574e-1));
    t = clamped(t, -151, 129);
    Bits<F64> n;
    whole[half] = nearest(t, n);
    rest[half] = t - whole[half];
  }
  Bits<F32> n;
  nearest(narrowed_halves(whole[0], whole[1], kAllLanes), n);
  F32 result = scale(one + exp2m1_kernel(narrowed_halves(rest[0], rest[1], kAllLanes)), n);
  using Unsigned = Raw<uint32_t>;
  const auto beyond = (Unsigned)bits(x) - 1 >= constant<Unsigned>(0x7f7fffffu);  // x is not a positive number
  if (any(beyond | !(abs(y) < infinity<F32>()))) {
    const F32 half = y * constant<F32>(0.5);
    const auto integer = trunc(y) == y, odd = integer & (trunc(half) != half);
    result = select(odd & signbit(x), -result, result);
    result = select((x < F32{}) & (a < infinity<F32>()) & !integer, constant<F32>(__builtin_nan("")), result);
    result = select((y == F32{}) | (x == one) | ((a == one) & (abs(y) == infinity<F32>())), one, result);
  }
  return result;
}
inline F64 pow_general(F64 x, F64 y) {
  return each_lane(x, y, [](double a, double b) { return std::pow(a, b); });
}
template <class V> FLAMBEAU_INLINE V pow_float(V x, V y) {
  const auto root = [&] { return select(x == -infinity<V>(), infinity<V>(), sqrt(x) + V{}); };  // -0 gives 0
  const auto first = y[0];
  if (all(y == V{} + first)) {  // a number for all, most of the time
    if (first == 2) return x * x;
    if (first == 3) return x * x * x;
    if (first == -1) return constant<V>(1) / x;
    if (first == Element<V>(0.5)) return root();
    return pow_general(x, y);
  }
  const V result = select(y == constant<V>(0.5), root(), pow_general(x, y));
  return select(y == constant<V>(2), x * x,
                select(y == constant<V>(3), x * x * x, select(y == constant<V>(-1), constant<V>(1) / x, result)));
}

// ---- float32 by way of float64 ---------------------------------------------------------------------------------------

#define FLAMBEAU_THROUGH_DOUBLE(f)                        \
  inline F32 f(F32 x) {                                   \
    return through_double([](F64 a) { return f(a); }, x); \
  }
FLAMBEAU_THROUGH_DOUBLE(log2)
FLAMBEAU_THROUGH_DOUBLE(log10)
FLAMBEAU_THROUGH_DOUBLE(tan)
FLAMBEAU_THROUGH_DOUBLE(asin)
FLAMBEAU_THROUGH_DOUBLE(acos)
FLAMBEAU_THROUGH_DOUBLE(atan)
FLAMBEAU_THROUGH_DOUBLE(asinh)
FLAMBEAU_THROUGH_DOUBLE(acosh)
FLAMBEAU_THROUGH_DOUBLE(atanh)
#undef FLAMBEAU_THROUGH_DOUBLE
#define FLAMBEAU_THROUGH_DOUBLE(f)                                     \
  inline F32 f(F32 x, F32 y) {                                         \
    return through_double([](F64 a, F64 b) { return f(a, b); }, x, y); \
  }
FLAMBEAU_THROUGH_DOUBLE(atan2)
FLAMBEAU_THROUGH_DOUBLE(hypot)
#undef FLAMBEAU_THROUGH_DOUBLE

}  // namespace
}  // namespace flambeau::kernels::FLAMBEAU_ISA
