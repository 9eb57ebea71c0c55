// Special functions, one element at a time in float64 (float32 goes through it): gamma and its derivatives, zeta, the
// inverse error function, incomplete gamma, Bessel functions. Each comes from its series, asymptotic expansion,
// continued fraction or integral, named where it stands.
#pragma once
#include "kernels/cpu/complex.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

inline constexpr double kNan = __builtin_nan(""), kInf = __builtin_inf();
inline constexpr double kSqrtPi = 1.77245385090551602730, kSqrt2 = 1.41421356237309504880;

// ---- gamma -----------------------------------------------------------------------------------------------------------

inline double lgamma(double x) {
  int sign;
  return ::lgamma_r(x, &sign);  // lgamma itself writes the sign into a variable that all threads share
}

// pi / tan(pi x), the argument reduced before it is multiplied
inline double pi_over_tan_pi(double x) {
  const double r = x - std::nearbyint(x);
  return kPi / std::tan(kPi * r);
}
inline double digamma(double x) {
  if (x == 0) return std::copysign(kInf, -x);
  if (x < 0) {
    if (x == std::floor(x)) return kNan;
    return digamma(1 - x) - pi_over_tan_pi(x);  // reflection
  }
  double shift = 0;
  for (; x < 12; x += 1) shift -= 1 / x;
  const double z = 1 / (x * x);  // Stirling: log x - 1/2x - sum B2k / (2k x^2k)
  return std::log(x) - 0.5 / x + shift -
         z * (1.0 / 12 - z * (1.0 / 120 - z * (1.0 / 252 - z * (1.0 / 240 - z * (1.0 / 132 - z * (691.0 / 32760))))));
}

// Hurwitz's zeta by Euler and Maclaurin: ten terms, the integral of the rest, and its corrections.
inline double zeta(double s, double q) {
  if (s == 1) return kInf;
  if (!(s > 1) || q != q) return kNan;
  if (q <= 0) {
    if (q == std::floor(q)) return kInf;
    if (s != std::floor(s)) return kNan;
  }
  constexpr double kBernoulli[] = {1.0 / 6, -1.0 / 30,     1.0 / 42,      -1.0 / 30,       5.0 / 66,      -691.0 / 2730,
                                   7.0 / 6, -3617.0 / 510, 43867.0 / 798, -174611.0 / 330, 854513.0 / 138};
  double sum = 0, a = q;
  for (int i = 0; i < 10 || a < 10; ++i, a += 1) {
    const double term = std::pow(a, -s);
    sum += term;
    if (std::abs(term) < 1e-17 * std::abs(sum)) return sum;
  }
  double power = std::pow(a, -s);
  sum += power * a / (s - 1) + 0.5 * power;
  double factor = s, factorial = 2;  // s (s + 1) ... over (2k)!
  power /= a;
  for (int k = 0; k < 11; ++k) {
    const double term = kBernoulli[k] * factor * power / factorial;
    sum += term;
    if (std::abs(term) < 1e-17 * std::abs(sum)) break;
    factor *= (s + 2 * k + 1) * (s + 2 * k + 2);
    factorial *= (2 * k + 3.0) * (2 * k + 4.0);
    power /= a * a;
  }
  return sum;
}
inline double polygamma(double n, double x) {
  if (n == 0) return digamma(x);
  const double sign = std::fmod(n, 2) == 1 ? 1 : -1;
  if (n == 1 && x < 0 && x != std::floor(x)) {  // reflection; the series would need |x| terms
    const double s = std::sin(kPi * (x - std::nearbyint(x)));
    return kPi * kPi / (s * s) - zeta(2, 1 - x);
  }
  return sign * std::tgamma(n + 1) * zeta(n + 1, x);
}
inline double trigamma(double x) { return polygamma(1, x); }

// e^-x x^a / gamma(a), the common factor of both incomplete gammas
inline double gamma_weight(double a, double x) {
  if (a < 100) return std::exp(a * std::log(x) - x - lgamma(a));
  const double d = (x - a) / a;  // Stirling's formula cancels the large terms: a (log1p(d) - d)
  const double z = 1 / (a * a);
  const double rest = (1.0 / 12 - z * (1.0 / 360 - z * (1.0 / 1260 - z / 1680))) / a;
  return std::exp(a * (std::log1p(d) - d) - rest) * std::sqrt(a / (2 * kPi));
}
inline double igamma_series(double a, double x) {  // lower: sum of x^k / (a (a+1) ... (a+k))
  double term = 1 / a, sum = term;
  for (int k = 1; k < 100000 && term > sum * 1e-17; ++k) sum += term *= x / (a + k);
  return sum * gamma_weight(a, x);
}
inline double igamma_fraction(double a, double x) {  // upper: Legendre's continued fraction, by Lentz
  double b = x + 1 - a, c = 1e300, d = 1 / b, h = d;
  for (int i = 1; i < 100000; ++i) {
    const double an = -i * (i - a);
    b += 2;
    d = an * d + b;
    if (std::abs(d) < 1e-300) d = 1e-300;
    c = b + an / c;
    if (std::abs(c) < 1e-300) c = 1e-300;
    d = 1 / d;
    h *= d * c;
    if (std::abs(d * c - 1) < 1e-16) break;
  }
  return h * gamma_weight(a, x);
}
inline double igamma(double a, double x) {
  if (!(x >= 0) || !(a >= 0) || (a == 0 && x == 0) || (a == kInf && x == kInf)) return kNan;
  if (x == 0 || a == kInf) return 0;
  if (a == 0 || x == kInf) return 1;
  return x < a + 1 ? igamma_series(a, x) : 1 - igamma_fraction(a, x);
}
inline double igammac(double a, double x) {
  if (!(x >= 0) || !(a >= 0) || (a == 0 && x == 0) || (a == kInf && x == kInf)) return kNan;
  if (x == 0 || a == kInf) return 1;
  if (a == 0 || x == kInf) return 0;
  return x < a + 1 ? 1 - igamma_series(a, x) : igamma_fraction(a, x);
}

// ---- the error function and its inverses -----------------------------------------------------------------------------

inline double erfcx(double x) {
  if (x < 1) return x < -26.7 ? kInf : std::exp(x * x) * std::erfc(x);
  if (x > 50) {  // asymptotic series
    const double z = 1 / (2 * x * x);
    return (1 - z * (1 - 3 * z * (1 - 5 * z))) / (x * kSqrtPi);
  }
  double fraction = 0;  // Laplace's continued fraction; few terms are needed far out
  for (int k = x < 2 ? 250 : x < 5 ? 80 : 30; k > 0; --k) fraction = 0.5 * k / (x + fraction);
  return 1 / (kSqrtPi * (x + fraction));
}
// y with erfc(y) = q for 0 <= q <= 1: Winitzki's first guess, then Halley's steps on erfc itself
inline double erfc_inverse(double q) {
  if (q == 0) return kInf;
  const double l = std::log(q * (2 - q)), u = 2 / (kPi * 0.147) + l / 2;
  double y = std::sqrt(std::sqrt(u * u - l / 0.147) - u);
  for (int i = 0; i < 3; ++i) {
    const double excess = (y < 1 ? std::erfc(y) - q : std::exp(-y * y) * erfcx(y) - q);
    const double step = excess / (-2 / kSqrtPi * std::exp(-y * y));
    y -= step / (1 + y * step);
  }
  return y;
}
inline double erfinv(double x) {
  const double a = std::abs(x);
  if (!(a <= 1)) return kNan;
  if (a > 0.4) return std::copysign(erfc_inverse(1 - a), x);
  double y = x / 1.12837916709551257390;  // Newton on erf from the tangent at 0
  for (int i = 0; i < 5; ++i) {
    const double step = (std::erf(y) - x) * std::exp(y * y) * (kSqrtPi / 2);
    y -= step / (1 + y * step);
  }
  return y;
}
inline double ndtri(double p) {
  if (!(p >= 0 && p <= 1)) return kNan;
  return p < 0.5 ? -kSqrt2 * (p < 0.3 ? erfc_inverse(2 * p) : erfinv(1 - 2 * p)) : kSqrt2 * erfinv(2 * p - 1);
}

// ---- modified Bessel functions ---------------------------------------------------------------------------------------

// e^-|x| I_n(x) for n = 0, 1: the power series, whose terms are all positive, or the asymptotic one
inline double scaled_bessel_i(int n, double x) {
  const double a = std::abs(x);
  if (a == kInf) return 0;
  if (a < 30) {
    const double z = a * a / 4;
    double term = n == 0 ? 1 : a / 2, sum = term;
    for (int k = 1; term > sum * 1e-17; ++k) sum += term *= z / (double(k) * (k + n));
    return sum * std::exp(-a);
  }
  double term = 1, sum = 1;
  const double mu = 4.0 * n * n;
  for (int k = 1; k < 40; ++k) {
    const double next = term * -(mu - (2 * k - 1.0) * (2 * k - 1.0)) / (k * 8 * a);
    if (std::abs(next) < 1e-17) break;
    sum += term = next;
  }
  return sum / std::sqrt(2 * kPi * a);
}
inline double i0e(double x) { return x != x ? x : scaled_bessel_i(0, x); }
inline double i1e(double x) { return x != x ? x : std::copysign(scaled_bessel_i(1, x), x); }
inline double unscaled(double scaled, double a) {  // in two steps, so that only the product overflows
  const double h = std::exp(a / 2);
  return scaled * h * h;
}
inline double i0(double x) { return std::abs(x) == kInf ? kInf : unscaled(i0e(x), std::abs(x)); }
inline double i1(double x) { return std::abs(x) == kInf ? x : unscaled(i1e(x), std::abs(x)); }

// e^x K_n(x) = integral of e^(-x (cosh t - 1)) cosh(n t) over t > 0; the trapezoid rule converges exponentially
inline double scaled_bessel_k(int n, double x) {
  if (x != x || x < 0) return kNan;
  if (x == 0) return kInf;
  if (x == kInf) return 0;
  const double root = std::sqrt(x), h = root > 3.25 ? 0.65 / root : 0.2;
  double sum = 0.5;
  for (int k = 1;; ++k) {
    const double s = std::sinh(0.5 * h * k), rise = 2 * s * s;  // cosh t - 1
    const double term = std::exp(-x * rise) * (n == 0 ? 1 : rise + 1);
    sum += term;
    if (term < sum * 1e-18 && x * rise > 40) break;
  }
  return sum * h;
}
inline double scaled_modified_bessel_k0(double x) { return scaled_bessel_k(0, x); }
inline double scaled_modified_bessel_k1(double x) { return scaled_bessel_k(1, x); }
inline double modified_bessel_k0(double x) { return x == kInf ? 0 : scaled_bessel_k(0, x) * std::exp(-x); }
inline double modified_bessel_k1(double x) { return x == kInf ? 0 : scaled_bessel_k(1, x) * std::exp(-x); }

// ---- Bessel functions: the C library's -------------------------------------------------------------------------------

inline double bessel_j0(double x) { return ::j0(x); }
inline double bessel_j1(double x) { return ::j1(x); }
inline double bessel_y0(double x) { return x < 0 ? kNan : ::y0(x); }
inline double bessel_y1(double x) { return x < 0 ? kNan : ::y1(x); }
inline double spherical_bessel_j0(double x) {
  if (std::abs(x) == kInf) return 0;
  return std::abs(x) < 1e-4 ? 1 - x * x / 6 : std::sin(x) / x;
}

#define FLAMBEAU_FLOAT(f) \
  inline float f(float x) { return float(f(double(x))); }
FLAMBEAU_FLOAT(lgamma)
FLAMBEAU_FLOAT(digamma)
FLAMBEAU_FLOAT(trigamma)
FLAMBEAU_FLOAT(erfcx)
FLAMBEAU_FLOAT(erfinv)
FLAMBEAU_FLOAT(ndtri)
FLAMBEAU_FLOAT(i0)
FLAMBEAU_FLOAT(i0e)
FLAMBEAU_FLOAT(i1)
FLAMBEAU_FLOAT(i1e)
FLAMBEAU_FLOAT(bessel_j0)
FLAMBEAU_FLOAT(bessel_j1)
FLAMBEAU_FLOAT(bessel_y0)
FLAMBEAU_FLOAT(bessel_y1)
FLAMBEAU_FLOAT(modified_bessel_k0)
FLAMBEAU_FLOAT(modified_bessel_k1)
FLAMBEAU_FLOAT(spherical_bessel_j0)
FLAMBEAU_FLOAT(scaled_modified_bessel_k0)
FLAMBEAU_FLOAT(scaled_modified_bessel_k1)
#undef FLAMBEAU_FLOAT
#define FLAMBEAU_FLOAT(f) \
  inline float f(float x, float y) { return float(f(double(x), double(y))); }
FLAMBEAU_FLOAT(zeta)
FLAMBEAU_FLOAT(polygamma)
FLAMBEAU_FLOAT(igamma)
FLAMBEAU_FLOAT(igammac)
#undef FLAMBEAU_FLOAT

}  // namespace
}  // namespace flambeau::kernels::FLAMBEAU_ISA
