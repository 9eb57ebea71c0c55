// Lanes<T>: a vector of the instruction set's width, over GCC's vector extensions, and what loops do with it: unaligned
// loads and stores, constants, masks and selection, conversions, rounding.
//
// The same functions take single elements (V = float), so that one formula makes vector loops and scalar loops. A mask
// is what a comparison gives: a vector of 0 and -1 of the element's width, or a bool. In memory it is bytes 0 and 1.
#pragma once
#include <type_traits>
#include <utility>
#include "base/dtype.h"
#include "kernels/cpu/isa.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

inline constexpr int kBlock = 64;  // bytes that a loop handles at least

template <class T, int kBytes = kVectorBytes> struct RawOf { typedef T type __attribute__((vector_size(kBytes))); };
template <class T, int kBytes = kVectorBytes> using Raw = typename RawOf<T, kBytes>::type;

// bool: bytes 0 and 1, whose sum is `or` and whose product is `and`.
struct BoolLanes {
  Raw<uint8_t> bytes;
};

template <class T> struct LanesOf { using type = Raw<T>; };
template <> struct LanesOf<bool> { using type = BoolLanes; };
template <class T> using Lanes = typename LanesOf<T>::type;
// The same, but complex numbers stay single.
template <class T> struct LaneOrElementOf { using type = Lanes<T>; };
template <class T> struct LaneOrElementOf<Complex<T>> { using type = Complex<T>; };
template <class T> using LaneOrElement = typename LaneOrElementOf<T>::type;

// Element<V>: the type of one lane; of a single element, itself.
template <class V, class = void> struct ElementOf { using type = V; };
template <class V> struct ElementOf<V, std::void_t<decltype(std::declval<V&>()[0])>> {
  using type = std::remove_cvref_t<decltype(std::declval<V&>()[0])>;
};
template <> struct ElementOf<BoolLanes> { using type = bool; };
template <class V> using Element = typename ElementOf<V>::type;
template <class V> inline constexpr int kLanes = sizeof(V) / sizeof(Element<V>);
template <class V> inline constexpr bool is_vector = !std::is_same_v<V, Element<V>>;

template <class T> struct RealOf { using type = T; };
template <class T> struct RealOf<Complex<T>> { using type = T; };
template <class V> using Real = typename RealOf<V>::type;
template <class V> inline constexpr bool is_complex_lane = !std::is_same_v<V, Real<V>>;

template <int kBytes> struct SignedOf;
template <> struct SignedOf<1> { using type = int8_t; };
template <> struct SignedOf<2> { using type = int16_t; };
template <> struct SignedOf<4> { using type = int32_t; };
template <> struct SignedOf<8> { using type = int64_t; };
// Bits<V>: signed integers of the same shape; also the type of a mask of vectors.
template <class V, bool = is_vector<V>> struct BitsOf {
  using type = Raw<typename SignedOf<sizeof(Element<V>)>::type, sizeof(V)>;
};
template <class V> struct BitsOf<V, false> { using type = typename SignedOf<sizeof(V)>::type; };
template <class V> using Bits = typename BitsOf<V>::type;
template <class V> FLAMBEAU_INLINE Bits<V> bits(V x) { return __builtin_bit_cast(Bits<V>, x); }
template <class V> FLAMBEAU_INLINE V from_bits(Bits<V> x) { return __builtin_bit_cast(V, x); }

template <class V> struct MaskOf { using type = std::conditional_t<is_vector<V>, Bits<V>, bool>; };
template <class T> struct MaskOf<Complex<T>> { using type = bool; };
template <> struct MaskOf<BoolLanes> { using type = Raw<int8_t>; };
template <class V> using Mask = typename MaskOf<V>::type;

// ---- memory ----------------------------------------------------------------------------------------------------------

// How often a loop over n elements turns: whole blocks of vectors, or n single elements.
template <class V> FLAMBEAU_INLINE int64_t iterations(int64_t n) {
  if constexpr (!is_vector<V>) return n;
  constexpr int64_t kBlockLanes = kBlock / sizeof(Element<V>), kVectors = kBlock / sizeof(V);
  return (n + kBlockLanes - 1) / kBlockLanes * kVectors;
}

template <class V> FLAMBEAU_INLINE V load(const void* p) {
  V x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}
template <class V> FLAMBEAU_INLINE void store(void* p, V x) { __builtin_memcpy(p, &x, sizeof x); }
// The same past the caches, to an aligned place, if `past`: a result far larger than they are then costs no reading of
// its lines, and leaves what they hold. Whoever stores so ends with fence().
template <class V> FLAMBEAU_INLINE void store_past(void* p, V x, bool past) {
#if defined(__x86_64__)
  if constexpr (is_vector<V> && sizeof(V) == kVectorBytes && !std::is_same_v<V, BoolLanes>) {
    if (past) [[unlikely]] {
      typedef long long Words __attribute__((vector_size(kVectorBytes)));
#if __has_builtin(__builtin_nontemporal_store)
      return __builtin_nontemporal_store(__builtin_bit_cast(Words, x), static_cast<Words*>(p));
#elif defined(FLAMBEAU_ISA_v4)
      return __builtin_ia32_movntdq512(static_cast<Words*>(p), __builtin_bit_cast(Words, x));
#elif defined(FLAMBEAU_ISA_v3)
      return __builtin_ia32_movntdq256(static_cast<Words*>(p), __builtin_bit_cast(Words, x));
#else
      return __builtin_ia32_movntdq(static_cast<Words*>(p), __builtin_bit_cast(Words, x));
#endif
    }
  }
#endif
  store<V>(p, x);
}
FLAMBEAU_INLINE void fence(bool past) {
#if defined(__x86_64__)
  if (past) __builtin_ia32_sfence();
#endif
}
template <class V> FLAMBEAU_INLINE Mask<V> load_mask(const char* p) {
  if constexpr (is_vector<V>) {
    using Bytes = Raw<int8_t, kLanes<V>>;
    return -__builtin_convertvector(load<Bytes>(p), Mask<V>);
  } else {
    return *p != 0;
  }
}
template <class V> FLAMBEAU_INLINE void store_mask(char* p, Mask<V> mask) {
  if constexpr (is_vector<V>) {
    using Bytes = Raw<int8_t, kLanes<V>>;
    store<Bytes>(p, -__builtin_convertvector(mask, Bytes));
  } else {
    *p = mask;
  }
}

// ---- constants, selection, masks -------------------------------------------------------------------------------------

template <class V, class T>
FLAMBEAU_INLINE Real<V> constant(T x) {  // an infinity is the extreme of a type that has none
  if constexpr (std::is_integral_v<Element<V>> && std::is_floating_point_v<T>) {
    using E = Element<V>;
    constexpr E kLow = std::is_signed_v<E> ? E(1ull << (8 * sizeof(E) - 1)) : E(0);
    constexpr E kHigh = E(~0ull ^ uint64_t(kLow));  // all bits but the sign; true of bool
    return constant<V>(x == __builtin_inf() ? kHigh : x == -__builtin_inf() ? kLow : E(x));
  }
  if constexpr (std::is_same_v<V, BoolLanes>) {
    return {constant<Raw<uint8_t>>(x != 0)};
  } else if constexpr (is_vector<V>) {
    const Element<V> lane = Element<V>(x);
    return V{} + lane;  // folds; no constant is -0
  } else {
    return Real<V>(x);
  }
}
template <class M, class V> FLAMBEAU_INLINE V select(M mask, V a, V b) {
  if constexpr (std::is_same_v<V, BoolLanes>)
    return {mask ? a.bytes : b.bytes};
  else
    return mask ? a : b;
}
template <class M> FLAMBEAU_INLINE bool any(M mask) {
  if constexpr (!is_vector<M>) {
    return mask;
  } else {
    // one instruction, where there is one and the compiler can be told
#if defined(FLAMBEAU_ISA_v4) && __has_builtin(__builtin_ia32_ptestmq512)
    if constexpr (sizeof(M) == 64) {
      typedef long long Words __attribute__((vector_size(64)));
      const Words words = __builtin_bit_cast(Words, mask);
      return __builtin_ia32_ptestmq512(words, words, -1) != 0;
    }
#elif defined(FLAMBEAU_ISA_v4) || defined(FLAMBEAU_ISA_v3)
    if constexpr (sizeof(M) == 32) return __builtin_ia32_pmovmskb256(__builtin_bit_cast(Raw<char, 32>, mask)) != 0;
#endif
    const auto words = __builtin_bit_cast(Raw<int64_t, sizeof(M)>, mask);
    int64_t all = 0;
    for (int i = 0; i < kLanes<decltype(words)>; ++i) all |= words[i];
    return all != 0;
  }
}
template <class M> FLAMBEAU_INLINE bool all(M mask) { return !any(!mask); }

// ---- bool ------------------------------------------------------------------------------------------------------------

FLAMBEAU_INLINE BoolLanes operator+(BoolLanes a, BoolLanes b) { return {a.bytes | b.bytes}; }
FLAMBEAU_INLINE BoolLanes operator|(BoolLanes a, BoolLanes b) { return {a.bytes | b.bytes}; }
FLAMBEAU_INLINE BoolLanes operator*(BoolLanes a, BoolLanes b) { return {a.bytes & b.bytes}; }
FLAMBEAU_INLINE BoolLanes operator&(BoolLanes a, BoolLanes b) { return {a.bytes & b.bytes}; }
FLAMBEAU_INLINE BoolLanes operator^(BoolLanes a, BoolLanes b) { return {a.bytes ^ b.bytes}; }
FLAMBEAU_INLINE BoolLanes operator~(BoolLanes a) { return {a.bytes ^ uint8_t(1)}; }
FLAMBEAU_INLINE auto operator==(BoolLanes a, BoolLanes b) { return a.bytes == b.bytes; }
FLAMBEAU_INLINE auto operator!=(BoolLanes a, BoolLanes b) { return a.bytes != b.bytes; }
FLAMBEAU_INLINE auto operator<(BoolLanes a, BoolLanes b) { return a.bytes < b.bytes; }
FLAMBEAU_INLINE auto operator<=(BoolLanes a, BoolLanes b) { return a.bytes <= b.bytes; }
FLAMBEAU_INLINE auto operator>(BoolLanes a, BoolLanes b) { return a.bytes > b.bytes; }
FLAMBEAU_INLINE auto operator>=(BoolLanes a, BoolLanes b) { return a.bytes >= b.bytes; }

// ---- conversions and lanes -------------------------------------------------------------------------------------------

using F32 = Lanes<float>;
using F64 = Lanes<double>;

// A float vector's halves in float64, and back; by way of registers, since memory forwards no halves to a whole.
typedef float HalfF32 __attribute__((vector_size(kVectorBytes / 2)));
FLAMBEAU_INLINE F64 widened(HalfF32 x) {
#if defined(FLAMBEAU_ISA_v4) && __has_builtin(__builtin_ia32_cvtps2pd512_mask)  // GCC 12 converts a quarter at a time
  return __builtin_ia32_cvtps2pd512_mask(x, F64{}, -1, 4);
#else
  return __builtin_convertvector(x, F64);
#endif
}
template <size_t... i> FLAMBEAU_INLINE F64 widened_half(F32 x, bool upper, std::index_sequence<i...>) {
  constexpr int n = int(sizeof...(i));
  return widened(upper ? __builtin_shufflevector(x, x, (int(i) + n)...) : __builtin_shufflevector(x, x, int(i)...));
}
template <size_t... i> FLAMBEAU_INLINE F32 narrowed_halves(F64 low, F64 high, std::index_sequence<i...>) {
  return __builtin_shufflevector(__builtin_convertvector(low, HalfF32), __builtin_convertvector(high, HalfF32),
                                 int(i)...);
}
inline constexpr std::make_index_sequence<kVectorBytes / 8> kHalfLanes;
inline constexpr std::make_index_sequence<kVectorBytes / 4> kAllLanes;
// f over both halves of a float vector in float64: how functions that need the precision serve float32.
template <class F, class... More> FLAMBEAU_INLINE F32 through_double(F f, F32 x, More... more) {
  const F64 low = f(widened_half(x, false, kHalfLanes), widened_half(more, false, kHalfLanes)...);
  const F64 high = f(widened_half(x, true, kHalfLanes), widened_half(more, true, kHalfLanes)...);
  return narrowed_halves(low, high, kAllLanes);
}
// f of each lane by itself.
template <class V, class F> FLAMBEAU_INLINE V each_lane(V x, F f) {
  V result;
  for (int i = 0; i < kLanes<V>; ++i) result[i] = f(x[i]);
  return result;
}
template <class V, class F> FLAMBEAU_INLINE V each_lane(V x, V y, F f) {
  V result;
  for (int i = 0; i < kLanes<V>; ++i) result[i] = f(x[i], y[i]);
  return result;
}

}  // namespace
}  // namespace flambeau::kernels::FLAMBEAU_ISA
