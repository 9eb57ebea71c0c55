// Complex arithmetic and functions, one element at a time, and the scalar forms of math.h that scalar loops use.
#pragma once
#include "kernels/cpu/math.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

// ---- the scalar forms of math.h: the C library's -----------------------------------------------------------------------

#define FLAMBEAU_SCALAR(f)                               \
  FLAMBEAU_INLINE float f(float x) { return std::f(x); } \
  FLAMBEAU_INLINE double f(double x) { return std::f(x); }
FLAMBEAU_SCALAR(exp)
FLAMBEAU_SCALAR(expm1)
FLAMBEAU_SCALAR(exp2)
FLAMBEAU_SCALAR(log)
FLAMBEAU_SCALAR(log2)
FLAMBEAU_SCALAR(log10)
FLAMBEAU_SCALAR(log1p)
FLAMBEAU_SCALAR(sin)
FLAMBEAU_SCALAR(cos)
FLAMBEAU_SCALAR(tan)
FLAMBEAU_SCALAR(asin)
FLAMBEAU_SCALAR(acos)
FLAMBEAU_SCALAR(atan)
FLAMBEAU_SCALAR(sinh)
FLAMBEAU_SCALAR(cosh)
FLAMBEAU_SCALAR(tanh)
FLAMBEAU_SCALAR(asinh)
FLAMBEAU_SCALAR(acosh)
FLAMBEAU_SCALAR(atanh)
FLAMBEAU_SCALAR(erf)
FLAMBEAU_SCALAR(erfc)
#undef FLAMBEAU_SCALAR
#define FLAMBEAU_SCALAR(f)                                           \
  FLAMBEAU_INLINE float f(float x, float y) { return std::f(x, y); } \
  FLAMBEAU_INLINE double f(double x, double y) { return std::f(x, y); }
FLAMBEAU_SCALAR(atan2)
FLAMBEAU_SCALAR(hypot)
#undef FLAMBEAU_SCALAR

// ---- arithmetic ------------------------------------------------------------------------------------------------------

#define T_ template <class T> FLAMBEAU_INLINE
T_ Complex<T> operator+(Complex<T> a, Complex<T> b) { return {a.re + b.re, a.im + b.im}; }
T_ Complex<T> operator+(Complex<T> a, T b) { return {a.re + b, a.im}; }
T_ Complex<T> operator+(T a, Complex<T> b) { return {a + b.re, b.im}; }
T_ Complex<T> operator-(Complex<T> a) { return {-a.re, -a.im}; }
T_ Complex<T> operator-(Complex<T> a, Complex<T> b) { return {a.re - b.re, a.im - b.im}; }
T_ Complex<T> operator-(Complex<T> a, T b) { return {a.re - b, a.im}; }
T_ Complex<T> operator-(T a, Complex<T> b) { return {a - b.re, -b.im}; }
T_ Complex<T> operator*(Complex<T> a, Complex<T> b) { return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}; }
T_ Complex<T> operator*(Complex<T> a, T b) { return {a.re * b, a.im * b}; }
T_ Complex<T> operator*(T a, Complex<T> b) { return {a * b.re, a * b.im}; }
T_ Complex<T> operator/(Complex<T> a, T b) { return {a.re / b, a.im / b}; }
T_ Complex<T> operator/(Complex<T> a, Complex<T> b) {  // by the larger part of b, so that b^2 cannot overflow
  if (std::abs(b.re) >= std::abs(b.im)) {
    if (b.re == 0 && b.im == 0) return {a.re / b.re, a.im / b.re};
    const T ratio = b.im / b.re, scale = b.re + b.im * ratio;
    return {(a.re + a.im * ratio) / scale, (a.im - a.re * ratio) / scale};
  }
  const T ratio = b.re / b.im, scale = b.re * ratio + b.im;
  return {(a.re * ratio + a.im) / scale, (a.im * ratio - a.re) / scale};
}
T_ Complex<T> operator/(T a, Complex<T> b) { return Complex<T>{a, 0} / b; }
T_ bool operator==(Complex<T> a, Complex<T> b) { return a.re == b.re && a.im == b.im; }
T_ bool operator!=(Complex<T> a, Complex<T> b) { return !(a == b); }
T_ bool operator==(Complex<T> a, T b) { return a.re == b && a.im == 0; }
T_ bool operator!=(Complex<T> a, T b) { return !(a == b); }
T_ Complex<T> select(bool c, Complex<T> a, T b) { return c ? a : Complex<T>{b, 0}; }
T_ Complex<T> select(bool c, T a, Complex<T> b) { return c ? Complex<T>{a, 0} : b; }
template <class V, class T>
FLAMBEAU_INLINE auto store(void* p, T x) -> std::enable_if_t<std::is_same_v<V, Complex<T>>> {
  store<V>(p, V{x, 0});
}

T_ Complex<T> conj(Complex<T> x) { return {x.re, -x.im}; }
T_ T real(Complex<T> x) { return x.re; }
T_ T imag(Complex<T> x) { return x.im; }
T_ T abs(Complex<T> x) { return std::hypot(x.re, x.im); }
T_ T angle(Complex<T> x) { return std::atan2(x.im, x.re); }
T_ Complex<T> make_complex(T re, T im) { return {re, im}; }
T_ Complex<T> polar(T r, T angle) { return {r * std::cos(angle), r * std::sin(angle)}; }
T_ Complex<T> sgn(Complex<T> x) {
  const T r = abs(x);
  return r == 0 ? Complex<T>{0, 0} : x / r;
}
T_ Complex<T> sign(Complex<T> x) { return sgn(x); }
T_ bool isnan(Complex<T> x) { return x.re != x.re || x.im != x.im; }
T_ bool isinf(Complex<T> x) { return std::isinf(x.re) || std::isinf(x.im); }
T_ bool isfinite(Complex<T> x) { return std::isfinite(x.re) && std::isfinite(x.im); }
T_ bool truth(Complex<T> x) { return x.re != 0 || x.im != 0; }
T_ Complex<T> square(Complex<T> x) { return x * x; }
T_ Complex<T> reciprocal(Complex<T> x) { return T(1) / x; }

// ---- functions -------------------------------------------------------------------------------------------------------

T_ Complex<T> times_i(Complex<T> x) { return {-x.im, x.re}; }
T_ Complex<T> over_i(Complex<T> x) { return {x.im, -x.re}; }

T_ Complex<T> exp(Complex<T> x) {
  const T r = std::exp(x.re);
  if (x.im == 0) return {r, x.im};
  if (std::isinf(x.re) && !std::isfinite(x.im)) return x.re < 0 ? Complex<T>{0, 0} : Complex<T>{r, x.im - x.im};
  return {r * std::cos(x.im), r * std::sin(x.im)};
}
T_ Complex<T> exp2(Complex<T> x) { return exp(x * T(kLn2)); }
T_ Complex<T> expm1(Complex<T> x) {  // (e^re - 1) cos - 2 sin^2(im/2), which keeps small results exact
  const T s = std::sin(x.im / 2), e = std::expm1(x.re);
  return {e * std::cos(x.im) - 2 * s * s, (e + 1) * std::sin(x.im)};
}
T_ T log_abs(Complex<T> x) {  // log |x| = log1p(|x|^2 - 1) / 2 near the unit circle
  const T a = std::abs(x.re), b = std::abs(x.im), big = a > b ? a : b, small = a > b ? b : a;
  if (big > T(0.7) && big < T(1.5) && small < T(1.5))
    return T(std::log1p((double(big) - 1) * (double(big) + 1) + double(small) * double(small)) / 2);
  return std::log(std::hypot(a, b));
}
T_ Complex<T> log(Complex<T> x) { return {log_abs(x), std::atan2(x.im, x.re)}; }
T_ Complex<T> log2(Complex<T> x) { return log(x) / T(kLn2); }
T_ Complex<T> log10(Complex<T> x) { return log(x) / T(2.302585092994045684); }
T_ Complex<T> log1p(Complex<T> x) {
  const T square = x.re * (2 + x.re) + x.im * x.im;
  return {std::abs(square) < T(0.5) ? std::log1p(square) / 2 : std::log(std::hypot(1 + x.re, x.im)),
          std::atan2(x.im, 1 + x.re)};
}
T_ Complex<T> sqrt(Complex<T> x) {
  if (x.re == 0 && x.im == 0) return {0, x.im};
  if (std::isinf(x.im)) return {std::abs(x.im), x.im};
  const T half = std::sqrt((std::abs(x.re) + std::hypot(x.re, x.im)) / 2);
  if (x.re >= 0) return {half, x.im / (2 * half)};
  return {std::abs(x.im) / (2 * half), std::copysign(half, x.im)};
}
T_ Complex<T> rsqrt(Complex<T> x) { return T(1) / sqrt(x); }
T_ Complex<T> sinh(Complex<T> x) { return {std::sinh(x.re) * std::cos(x.im), std::cosh(x.re) * std::sin(x.im)}; }
T_ Complex<T> cosh(Complex<T> x) { return {std::cosh(x.re) * std::cos(x.im), std::sinh(x.re) * std::sin(x.im)}; }
T_ Complex<T> tanh(Complex<T> x) {
  if (std::abs(x.re) > 20) return {std::copysign(T(1), x.re), std::copysign(T(0), std::sin(2 * x.im))};
  const T t = std::tan(x.im), s = std::sinh(x.re), beta = 1 + t * t, rho = std::sqrt(1 + s * s);
  if (std::isinf(t)) return {rho / s, 1 / t};
  const T scale = 1 + beta * s * s;
  return {beta * rho * s / scale, t / scale};
}
T_ Complex<T> sin(Complex<T> x) { return over_i(sinh(times_i(x))); }
T_ Complex<T> cos(Complex<T> x) { return cosh(times_i(x)); }
T_ Complex<T> tan(Complex<T> x) { return over_i(tanh(times_i(x))); }
// Kahan's forms: right on both sides of the branch cuts
T_ Complex<T> asin(Complex<T> x) {
  const Complex<T> a = sqrt(T(1) - x), b = sqrt(T(1) + x);
  return {std::atan2(x.re, (a * b).re), std::asinh((conj(a) * b).im)};
}
T_ Complex<T> acos(Complex<T> x) {
  const Complex<T> a = sqrt(T(1) - x), b = sqrt(T(1) + x);
  return {2 * std::atan2(a.re, b.re), std::asinh((conj(b) * a).im)};
}
T_ Complex<T> acosh(Complex<T> x) {
  const Complex<T> a = sqrt(x - T(1)), b = sqrt(x + T(1));
  return {std::asinh((conj(a) * b).re), 2 * std::atan2(a.im, b.re)};
}
T_ Complex<T> atanh(Complex<T> x) {
  const T a = std::abs(x.re), im2 = x.im * x.im, near = 1 - a;  // odd, so that nothing cancels on the left
  return {std::copysign(std::log1p(4 * a / (near * near + im2)) / 4, x.re),
          std::atan2(2 * x.im, near * (1 + a) - im2) / 2};
}
T_ Complex<T> asinh(Complex<T> x) { return over_i(asin(times_i(x))); }
T_ Complex<T> atan(Complex<T> x) { return over_i(atanh(times_i(x))); }
T_ Complex<T> sigmoid(Complex<T> x) { return T(1) / (T(1) + exp(-x)); }
T_ Complex<T> pow(Complex<T> x, Complex<T> y) {
  if (y.re == 0 && y.im == 0) return {1, 0};
  if (y.im == 0 && y.re == 2) return x * x;
  if (x.re == 0 && x.im == 0) return {0, 0};
  const T length = log_abs(x), angle = std::atan2(x.im, x.re);
  const T r = std::exp(y.re * length - y.im * angle), phase = y.im * length + y.re * angle;
  return {r * std::cos(phase), r * std::sin(phase)};
}
#undef T_

}  // namespace
}  // namespace flambeau::kernels::FLAMBEAU_ISA
