// Bulk mt19937 and the transforms of its words; float32 normal numbers by the single-precision log, sin and cos of
// Moshier's Cephes library, in the order of operations that yields PyTorch's bits where fused multiply-add exists.
#include "kernels/cpu/random.h"

#include <cstring>

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

#define INLINE inline __attribute__((always_inline))

template <class T, int N> struct VectorOf { typedef T type __attribute__((vector_size(N * sizeof(T)))); };
template <class T, int N> using Vec = typename VectorOf<T, N>::type;
using F = Vec<float, 16>;
using I = Vec<int32_t, 16>;
using U = Vec<uint32_t, 16>;

template <class V> INLINE V load(const void* p) {
  V v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class V> INLINE void store(void* p, V v) { std::memcpy(p, &v, sizeof v); }

// ---- mt19937 -----------------------------------------------------------------------------------------------------
constexpr int kWords = 624, kShift = 397;

template <class V>  // a vector of words, or one word
INLINE V twist(V high, V low) {
  V y = (high & 0x80000000u) | (low & 0x7fffffffu);
  return (y >> 1) ^ (-(y & 1u) & 0x9908b0dfu);
}

// state[i] for i in [begin, end), from the word `offset` away; |offset| is far above a vector's length, and a vector
// reads its right neighbour before anything overwrites it.
INLINE void recur(uint32_t* state, int begin, int end, int offset) {
  int i = begin;
  for (; i + 16 <= end; i += 16)
    store(state + i, load<U>(state + i + offset) ^ twist(load<U>(state + i), load<U>(state + i + 1)));
  using Quad = Vec<uint32_t, 4>;
  for (; i + 4 <= end; i += 4)
    store(state + i, load<Quad>(state + i + offset) ^ twist(load<Quad>(state + i), load<Quad>(state + i + 1)));
  for (; i < end; i++) state[i] = state[i + offset] ^ twist(state[i], state[i + 1]);
}

void refill(uint32_t* state) {
  recur(state, 0, kWords - kShift, kShift);
  recur(state, kWords - kShift, kWords - 1, kShift - kWords);
  state[kWords - 1] = state[kShift - 1] ^ twist(state[kWords - 1], state[0]);
}

template <class V> INLINE V tempered(V y) {
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

void temper(const uint32_t* state, uint32_t* out, int64_t n) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) store(out + i, tempered(load<U>(state + i)));
  for (; i < n; i++) out[i] = tempered(state[i]);
}

// ---- uniform -----------------------------------------------------------------------------------------------------
INLINE F unit_floats(U words) { return __builtin_convertvector(I(words & 0xffffffu), F) * 0x1p-24f; }

void uniform_float(const uint32_t* words, float* out, int64_t n, float from, float to) {
  float range = to - from;
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) store(out + i, unit_floats(load<U>(words + i)) * range + from);
  for (; i < n; i++) out[i] = float(int32_t(words[i] & 0xffffffu)) * 0x1p-24f * range + from;
}

INLINE uint64_t bits53(const uint32_t* words) { return uint64_t(words[0] & 0x1fffffu) << 32 | words[1]; }

using D = Vec<double, 8>;
using L = Vec<uint64_t, 8>;
INLINE L bits53x8(const uint32_t* words) {
  L pairs = load<L>(words);  // the first word of a pair is its low half in memory
  return (pairs & 0x1fffffu) << 32 | pairs >> 32;
}

void uniform_double(const uint32_t* words, double* out, int64_t n, double from, double to) {
  double range = to - from;
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    Vec<int64_t, 8> bits = (Vec<int64_t, 8>)bits53x8(words + 2 * i);
    store(out + i, __builtin_convertvector(bits, D) * 0x1p-53 * range + from);
  }
  for (; i < n; i++) {
    double unit = double(int64_t(bits53(words + 2 * i))) * 0x1p-53;
    out[i] = unit * range + from;
  }
}

void bernoulli(const uint32_t* words, uint8_t* out, int64_t n, uint64_t threshold) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    auto less = (Vec<int64_t, 8>)bits53x8(words + 2 * i) < int64_t(threshold);
    auto bytes = __builtin_convertvector(less, Vec<int8_t, 8>) & int8_t(1);
    store(out + i, bytes);
  }
  for (; i < n; i++) out[i] = bits53(words + 2 * i) < threshold;
}

template <class T, class Signed> INLINE void spread_as(const uint8_t* mask, T* out, int64_t n, const void* one) {
  T value;
  std::memcpy(&value, one, sizeof value);
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    auto keep = -__builtin_convertvector(load<Vec<int8_t, 16>>(mask + i), Vec<Signed, 16>);
    store(out + i, (Vec<T, 16>)keep & value);
  }
  for (; i < n; i++) out[i] = mask[i] ? value : T(0);
}

void spread(const uint8_t* mask, void* out, int64_t n, int item_size, const void* one) {
  if (item_size == 2)
    spread_as<uint16_t, int16_t>(mask, static_cast<uint16_t*>(out), n, one);
  else if (item_size == 4)
    spread_as<uint32_t, int32_t>(mask, static_cast<uint32_t*>(out), n, one);
  else
    spread_as<uint64_t, int64_t>(mask, static_cast<uint64_t*>(out), n, one);
}

void masked_float(const float* x, const uint8_t* mask, float* out, int64_t n, float scale) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    I keep = -__builtin_convertvector(load<Vec<int8_t, 16>>(mask + i), I);
    store(out + i, load<F>(x + i) * F(keep & I(F{} + scale)));
  }
  for (; i < n; i++) out[i] = x[i] * (mask[i] ? scale : 0.0f);
}

// ---- normal ------------------------------------------------------------------------------------------------------
// log x for x in (0, 1]: x = 2^e * m with m in [sqrt(1/2), sqrt(2)), a polynomial of degree 8 in m - 1, ln 2 in two
// parts.
INLINE F log_float(F x) {
  I bits = (I)x;
  F e = __builtin_convertvector((bits >> 23) - 0x7f, F);
  x = (F)((bits & 0x007fffff) | 0x3f000000);
  e = e + 1.0f;
  I small = x < 0.707106781186547524f;
  F twice = (F)(small & (I)x);
  x = x - 1.0f;
  e = e - (F)(small & (I)(F{} + 1.0f));
  x = x + twice;
  F z = x * x;
  F y = x * 7.0376836292e-2f + -1.1514610310e-1f;
  y = y * x + 1.1676998740e-1f;
  y = y * x + -1.2420140846e-1f;
  y = y * x + 1.4249322787e-1f;
  y = y * x + -1.6668057665e-1f;
  y = y * x + 2.0000714765e-1f;
  y = y * x + -2.4999993993e-1f;
  y = y * x + 3.3333331174e-1f;
  y = y * x;
  y = y * z;
  F t = e * -2.12194440e-4f;
  y = y + t;
  t = z * 0.5f;
  y = y - t;
  t = e * 0.693359375f;
  x = x + y;
  return x + t;
}

// sin x and cos x for x in [0, 2 pi): reduced to [-pi/4, pi/4] by a multiple of pi/4 in three parts.
INLINE void sin_cos_float(F x, F& sin, F& cos) {
  F y = x * 1.27323954473516f;  // 4 / pi
  I j = (__builtin_convertvector(y, I) + 1) & ~1;
  y = __builtin_convertvector(j, F);
  I sin_sign = (j & 4) << 29, cos_sign = (~(j - 2) & 4) << 29;
  I plain = (j & 2) == 0;
  x = x + y * -0.78515625f;
  x = x + y * -2.4187564849853515625e-4f;
  x = x + y * -3.77489497744594108e-8f;
  F z = x * x;
  F c = z * 2.443315711809948e-5f + -1.388731625493765e-3f;
  c = c * z + 4.166664568298827e-2f;
  c = c * z;
  c = c * z;
  F t = z * 0.5f;
  c = c - t;
  c = c + 1.0f;
  F s = z * -1.9515295891e-4f + 8.3321608736e-3f;
  s = s * z + -1.6666654611e-1f;
  s = s * z;
  s = s * x;
  s = s + x;
  I si = (I)s, ci = (I)c;
  sin = (F)(((plain & si) | (~plain & ci)) ^ sin_sign);
  cos = (F)(((plain & ci) | (~plain & si)) ^ cos_sign);
}

INLINE void two_blocks(const uint32_t* words, float* out, float mean, float std) {
  F a = unit_floats(load<U>(words)), b = unit_floats(load<U>(words + 16));
  F u1 = 1.0f - __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
  F u2 = __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
  F square = log_float(u1) * -2.0f, radius;
  for (int i = 0; i < 16; i++) radius[i] = __builtin_sqrtf(square[i]);
  F sin, cos;
  sin_cos_float(u2 * 6.283185307179586f, sin, cos);
  cos = radius * cos * std + mean;
  sin = radius * sin * std + mean;
  store(out, __builtin_shufflevector(cos, sin, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23));
  store(out + 16, __builtin_shufflevector(cos, sin, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31));
}

void normal_float(const uint32_t* words, float* out, int64_t blocks, float mean, float std) {
  int64_t i = 0;
  for (; i + 2 <= blocks; i += 2) two_blocks(words + 16 * i, out + 16 * i, mean, std);
  if (i < blocks) {
    uint32_t padded[32] = {};
    float result[32];
    std::memcpy(padded, words + 16 * i, 64);
    two_blocks(padded, result, mean, std);
    std::memcpy(out + 16 * i, result, 64);
  }
}

// ---- exponential -------------------------------------------------------------------------------------------------
// log x for x in (0, 1] in float64: x = 2^e * m with m in [sqrt(1/2), sqrt(2)), log m = 2 artanh((m - 1) / (m + 1)),
// whose series ends at the 19th power (the next term is below 2^-50 of the first).
INLINE D log_double(D x) {
  using J = Vec<int64_t, 8>;
  J bits = (J)x;
  J shifted = bits + (0x3ff0000000000000 - 0x3fe6a09e667f3bcd);  // carries into the exponent from sqrt(1/2) on
  J e = (shifted >> 52) - 0x3ff;
  D m = (D)(bits - (e << 52));
  D s = (m - 1.0) / (m + 1.0), z = s * s;
  D p = z * (1.0 / 19) + 1.0 / 17;
  p = p * z + 1.0 / 15;
  p = p * z + 1.0 / 13;
  p = p * z + 1.0 / 11;
  p = p * z + 1.0 / 9;
  p = p * z + 1.0 / 7;
  p = p * z + 1.0 / 5;
  p = p * z + 1.0 / 3;
  D log_m = s * 2.0 + s * 2.0 * z * p;
  return __builtin_convertvector(e, D) * 0.69314718055994530942 + log_m;
}

void exponential_float(const uint32_t* words, float* out, int64_t n, double scale) {
  uint32_t padded[16] = {};
  for (int64_t i = 0; i < n; i += 8) {
    int64_t count = n - i < 8 ? n - i : 8;
    const uint32_t* from = words + 2 * i;
    if (count < 8) {
      std::memcpy(padded, from, size_t(count) * 8);
      from = padded;
    }
    D x = __builtin_convertvector((int64_t(1) << 53) - (Vec<int64_t, 8>)bits53x8(from), D) * 0x1p-53;
    auto y = __builtin_convertvector(log_double(x) * scale + 0.0, Vec<float, 8>);  // + 0.0: no negative zero
    if (count == 8)
      store(out + i, y);
    else
      std::memcpy(out + i, &y, size_t(count) * 4);
  }
}

}  // namespace

const RandomKernels kRandomKernels = {refill,    temper, uniform_float, uniform_double, normal_float, exponential_float,
                                      bernoulli, spread, masked_float};

}  // namespace flambeau::kernels::FLAMBEAU_ISA
