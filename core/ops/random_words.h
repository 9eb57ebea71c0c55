// What the random fills share: words of the engine in bulk, and conversions to each element type.
#pragma once
#include "base/random.h"
#include "base/scratch.h"
#include "kernels/cpu/random.h"

#include <cfloat>
#include <cstdio>
#include <cstring>
#include <string>
#include <type_traits>

namespace flambeau::random {

// The next n words; the caller holds the generator's lock.
inline void draw_words(Generator& g, uint32_t* out, int64_t n) {
  auto& kernel = kernels::table<kernels::RandomKernels>();
  Mt19937& e = g.engine;
  while (n > 0) {
    if (e.used == Mt19937::kWords) {
      kernel.refill(e.state);
      e.used = 0;
      e.fresh = false;
    }
    int64_t count = Mt19937::kWords - e.used;
    if (count > n) count = n;
    kernel.temper(e.state + e.used, out, count);
    e.used += int(count);
    out += count;
    n -= count;
  }
}

inline constexpr int64_t kBlockWords = int64_t(1) << 18;  // 1 MB: the words are still in the cache when transformed

// Fills memory with words and hands it over a block at a time (a multiple of 16 words but for the last).
template <class F> void in_place_words(Generator& g, uint32_t* memory, int64_t n, F&& transform) {
  for (int64_t i = 0; i < n; i += kBlockWords) {
    int64_t count = n - i < kBlockWords ? n - i : kBlockWords;
    draw_words(g, memory + i, count);
    transform(memory + i, count);
  }
}

// use(words, first, count): `each` words for every one of the elements first .. first + count - 1.
template <class F> void blocks_of_words(Generator& g, int64_t n, int each, F&& use) {
  if (n <= 0) return;
  int64_t block = kBlockWords / each;
  ScratchOf<uint32_t> words((n < block ? n : block) * each);
  for (int64_t i = 0; i < n; i += block) {
    int64_t count = n - i < block ? n - i : block;
    draw_words(g, words.data, count * each);
    use(words.data, i, count);
  }
}

template <class T> T from_float(float x) {
  if constexpr (std::is_same_v<T, Half>)
    return to_half(x);
  else
    return to_bfloat16(x);
}

template <class T> T from_double(double x) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>)
    return from_float<T>(float(x));
  else if constexpr (std::is_floating_point_v<T>)
    return T(x);
  else
    return x >= 0x1p63 ? T(INT64_MIN) : T(int64_t(x));  // by way of int64, defined for every value that occurs
}

template <class T> double to_double(T x) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>)
    return double(to_float(x));
  else
    return double(x);
}

template <class T> T from_integer(int64_t x) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>)
    return from_float<T>(float(x));
  else
    return T(x);
}

// a / b and a * b as an elementwise operation of the type rounds them: 16-bit types compute in float32.
template <class T> T divide(T a, double b) {
  if constexpr (std::is_same_v<T, double>)
    return a / b;
  else if constexpr (std::is_same_v<T, float>)
    return a / float(b);
  else
    return from_float<T>(to_float(a) / float(b));
}

template <class T> T from_product(double a, double b) {
  if constexpr (std::is_same_v<T, double>)
    return a * b;
  else
    return from_double<T>(double(float(a) * float(b)));
}

template <class F> void visit_floating(DType t, F&& f) {
  switch (t) {
    case DType::Float16: return f.template operator()<Half>();
    case DType::BFloat16: return f.template operator()<BFloat16>();
    case DType::Float32: return f.template operator()<float>();
    default: return f.template operator()<double>();
  }
}

template <class F> void visit_real(DType t, F&& f) {
  switch (t) {
    case DType::Bool: return f.template operator()<bool>();
    case DType::UInt8: return f.template operator()<uint8_t>();
    case DType::Int8: return f.template operator()<int8_t>();
    case DType::Int16: return f.template operator()<int16_t>();
    case DType::Int32: return f.template operator()<int32_t>();
    case DType::Int64: return f.template operator()<int64_t>();
    default: return visit_floating(t, f);
  }
}

inline double largest_of(DType t) {
  switch (t) {
    case DType::Float16: return 65504;
    case DType::BFloat16: return 0x1.fep127;
    case DType::Float32: return FLT_MAX;
    default: return DBL_MAX;
  }
}

inline const char* type_title(DType t) {  // as PyTorch's messages name element types
  static constexpr const char* kTitles[kDTypes] = {"Bool",  "Byte",   "Char",         "Short",
                                                   "Int",   "Long",   "Half",         "BFloat16",
                                                   "Float", "Double", "ComplexFloat", "ComplexDouble"};
  return kTitles[int(t)];
}

inline std::string number(double x) {  // as a C++ stream prints it
  char text[32];
  std::snprintf(text, sizeof text, "%g", x);
  return text;
}

}  // namespace flambeau::random
