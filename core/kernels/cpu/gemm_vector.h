// What matrix products and convolutions do with vectors: the register tile's size, conversions from and to 16 bits,
// transposition of squares. Everything is local to the including file.
#pragma once
#include "base/scratch.h"
#include "kernels/cpu/vector.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

#if defined(FLAMBEAU_ISA_v4)
constexpr int kTileRows = 14;  // 28 accumulators of 32 registers
#elif defined(FLAMBEAU_ISA_v3)
constexpr int kTileRows = 6;  // 12 of 16
#elif defined(__aarch64__)
constexpr int kTileRows = 8;  // 16 of 32
#else
constexpr int kTileRows = 4;  // 8 of 16
#endif
constexpr int kTileVectors = 2;
template <class T> constexpr int kTileColumns = kTileVectors* kSpan<T>;

// Conversions to float, a vector at a time: plain loops that the compiler turns into the few instructions needed.
typedef uint16_t Bits __attribute__((vector_size(kVectorBytes / 2)));
typedef uint32_t Wide __attribute__((vector_size(kVectorBytes)));
template <class S> FLAMBEAU_INLINE Vec<float> load_float(const S* p) {
  if constexpr (std::is_same_v<S, float>) {
    return load(p);
  } else if constexpr (std::is_same_v<S, BFloat16>) {
    Bits narrow;
    std::memcpy(&narrow, p, sizeof(narrow));
    return (Vec<float>)(__builtin_convertvector(narrow, Wide) << 16);
  } else {
    // Half: move exponent and mantissa into place and let one multiplication rebias, subnormals included; all ones in
    // the exponent (infinity, NaN) then still need the top of the exponent filled.
    Bits narrow;
    std::memcpy(&narrow, p, sizeof(narrow));
    Wide bits = __builtin_convertvector(narrow, Wide);
    Wide magnitude = (bits & 0x7fff) << 13, sign = (bits & 0x8000) << 16;
    Vec<float> value = (Vec<float>)magnitude * 0x1p112f;
    Wide special = (Wide)(magnitude >= 0x0f800000u) & 0x7f800000u;
    return (Vec<float>)((Wide)value | special | sign);
  }
}
template <class S> FLAMBEAU_INLINE Vec<float> load_float_part(const S* p, int64_t count) {
  if constexpr (std::is_same_v<S, float>) {
    return load_part(p, count);
  } else {
    S all[kSpan<float>] = {};
    for (int64_t i = 0; i < count; i++) all[i] = p[i];
    return load_float(all);
  }
}

// And back, as to_bfloat16 and to_half round: half a vector of bits.
FLAMBEAU_INLINE Wide choose(Wide mask, Wide a, Wide b) { return (a & mask) | (b & ~mask); }
template <class S> FLAMBEAU_INLINE void store_rounded(S* p, Vec<float> v) {
  const Wide bits = (Wide)v, magnitude = bits & 0x7fffffff;
  Wide out;
  if constexpr (std::is_same_v<S, BFloat16>) {
    const Wide nan = (Wide)(magnitude > 0x7f800000u);
    out = choose(nan, 0x7fc0u - Wide{}, (bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
  } else {
    const Wide sign = (bits >> 16) & 0x8000;
    const Wide small = (Wide)((Vec<float>)magnitude + 0.5f) - 0x3f000000u;  // the addition rounds at 2^-24
    const Wide usual = (magnitude + 0xc8000fffu + ((magnitude >> 13) & 1)) >> 13;
    out = choose((Wide)(magnitude < 0x38800000u), small, usual);
    out = choose((Wide)(magnitude >= 0x47800000u), 0x7c00u - Wide{}, out);
    out = sign | choose((Wide)(magnitude > 0x7f800000u), 0x7e00u - Wide{}, out);
  }
  const Bits narrow = __builtin_convertvector(out, Bits);
  std::memcpy(p, &narrow, sizeof(narrow));
}
template <class S> FLAMBEAU_INLINE void store_rounded_part(S* p, Vec<float> v, int64_t count) {
  S all[kSpan<float>];
  store_rounded(all, v);
  for (int64_t i = 0; i < count; i++) p[i] = all[i];
}

// Transposes a square of `lanes` vectors in place: log2(lanes) rounds, each a perfect shuffle of row i with i + half.
template <class V, int... i> FLAMBEAU_INLINE V interleave_low(V a, V b, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(a, b, (i % 2 * int(sizeof...(i)) + i / 2)...);
}
template <class V, int... i> FLAMBEAU_INLINE V interleave_high(V a, V b, std::integer_sequence<int, i...>) {
  constexpr int n = int(sizeof...(i));
  return __builtin_shufflevector(a, b, (i % 2 * n + n / 2 + i / 2)...);
}
template <class V, int... i> FLAMBEAU_INLINE V even_lanes(V a, V b, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(a, b, (2 * i)...);
}
template <class V, int... i> FLAMBEAU_INLINE V odd_lanes(V a, V b, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(a, b, (2 * i + 1)...);
}
template <class T> FLAMBEAU_INLINE void transpose_square(Vec<T> (&rows)[kSpan<T>]) {
  constexpr int n = kSpan<T>;
  constexpr auto all = std::make_integer_sequence<int, n>();
  Vec<T> other[n];
#pragma GCC unroll 4
  for (int round = 1; round < n; round *= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < n / 2; i++) {
      other[2 * i] = interleave_low(rows[i], rows[i + n / 2], all);
      other[2 * i + 1] = interleave_high(rows[i], rows[i + n / 2], all);
    }
#pragma GCC unroll 16
    for (int i = 0; i < n; i++) rows[i] = other[i];
  }
}

}  // namespace
}  // namespace flambeau::kernels::FLAMBEAU_ISA
