// Continuous distributions, coin flips and dropout. The engine is sequential, so words are drawn a block at a time into
// the output itself or a scratch block, and the block is then transformed by all threads.
#include "ops/random_fill.h"

#include "base/error.h"
#include "base/parallel.h"
#include "kernels/cpu/random.h"
#include "ops/random_words.h"

#include <cmath>

namespace flambeau::random {
namespace {

using kernels::RandomKernels;
const RandomKernels& kernel() { return kernels::table<RandomKernels>(); }

[[noreturn]] void no_kernel(const char* name, DType dtype) {
  fail(ErrorKind::NotImplemented, '"', name, "\" not implemented for '", type_title(dtype), "'\n", name,
       ": expected a floating point dtype; got ", name_of(dtype));
}

// Each element from a float64 of [0, 1), two words each: out[i] = convert(f(u)).
template <class T, class F> void fill_from_doubles(Generator& g, T* out, int64_t n, F&& f) {
  blocks_of_words(g, n, 2, [&](const uint32_t* words, int64_t first, int64_t count) {
    parallel_for(count, 2048, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        uint64_t bits = (uint64_t(words[2 * i]) << 32 | words[2 * i + 1]) & 0x1fffffffffffff;
        out[first + i] = from_double<T>(f(double(bits) * 0x1p-53));
      }
    });
  });
}

template <class F> void fill_real(const char* name, Generator& g, DType dtype, void* out, int64_t n, F&& f) {
  switch (dtype) {
    case DType::Float16: return fill_from_doubles(g, static_cast<Half*>(out), n, f);
    case DType::BFloat16: return fill_from_doubles(g, static_cast<BFloat16*>(out), n, f);
    case DType::Float32: return fill_from_doubles(g, static_cast<float*>(out), n, f);
    case DType::Float64: return fill_from_doubles(g, static_cast<double*>(out), n, f);
    default: no_kernel(name, dtype);
  }
}

// ---- uniform -----------------------------------------------------------------------------------------------------
template <class T> void uniform_half(Generator& g, T* out, int64_t n, float from, float to) {
  T low = from_float<T>(from), high = from_float<T>(to);
  blocks_of_words(g, n, 1, [&](uint32_t* words, int64_t first, int64_t count) {
    parallel_for(count, 16384, [&](int64_t begin, int64_t end) {
      auto* values = reinterpret_cast<float*>(words);
      kernel().uniform_float(words + begin, values + begin, end - begin, from, to);
      for (int64_t i = begin; i < end; i++) {
        T value = from_float<T>(values[i]);
        out[first + i] = value.bits == high.bits ? low : value;  // rounding may not reach the open end
      }
    });
  });
}

void uniform_float(Generator& g, float* out, int64_t n, float from, float to) {
  in_place_words(g, reinterpret_cast<uint32_t*>(out), n, [&](uint32_t* words, int64_t count) {
    parallel_for(count, 32768, [&](int64_t begin, int64_t end) {
      kernel().uniform_float(words + begin, reinterpret_cast<float*>(words) + begin, end - begin, from, to);
    });
  });
}

void uniform_double(Generator& g, double* out, int64_t n, double from, double to) {
  in_place_words(g, reinterpret_cast<uint32_t*>(out), 2 * n, [&](uint32_t* words, int64_t count) {
    parallel_for(count / 2, 16384, [&](int64_t begin, int64_t end) {
      kernel().uniform_double(words + 2 * begin, reinterpret_cast<double*>(words) + begin, end - begin, from, to);
    });
  });
}

// ---- normal ------------------------------------------------------------------------------------------------------
template <class T> void normal_serial(Generator& g, T* out, int64_t n, double mean, double std) {
  for (int64_t i = 0; i < n; i++) out[i] = from_double<T>(std::fma(g.normal_double(), std, mean));
}

void normal_float(Generator& g, float* out, int64_t n, float mean, float std) {
  int64_t whole = n / 16 * 16;
  // All n elements take their words first; the last 16 take new ones if n is no multiple of 16.
  in_place_words(g, reinterpret_cast<uint32_t*>(out), n, [&](uint32_t* words, int64_t count) {
    parallel_for(count / 16, 512, [&](int64_t begin, int64_t end) {
      kernel().normal_float(words + 16 * begin, reinterpret_cast<float*>(words) + 16 * begin, end - begin, mean, std);
    });
  });
  if (n == whole) return;
  auto* last = reinterpret_cast<uint32_t*>(out + n - 16);
  draw_words(g, last, 16);
  kernel().normal_float(last, out + n - 16, 1, mean, std);
}

void normal_block(double* block, double mean, double std) {  // 16 uniform numbers become normal ones
  for (int j = 0; j < 8; j++) {
    double radius = std::sqrt(-2 * std::log(1 - block[j])), angle = 2 * M_PI * block[j + 8];
    block[j] = std::fma(radius * std::cos(angle), std, mean);
    block[j + 8] = std::fma(radius * std::sin(angle), std, mean);
  }
}

void normal_double(Generator& g, double* out, int64_t n, double mean, double std) {
  uniform_double(g, out, n, 0, 1);
  parallel_for(n / 16, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) normal_block(out + 16 * i, mean, std);
  });
  if (n % 16 == 0) return;
  uniform_double(g, out + n - 16, 16, 0, 1);
  normal_block(out + n - 16, mean, std);
}

// The 16-bit types go through float32; here only whole blocks take words.
template <class T> void normal_half(Generator& g, T* out, int64_t n, float mean, float std) {
  blocks_of_words(g, n / 16 * 16, 1, [&](uint32_t* words, int64_t first, int64_t count) {
    parallel_for(count / 16, 512, [&](int64_t begin, int64_t end) {
      auto* values = reinterpret_cast<float*>(words);
      kernel().normal_float(words + 16 * begin, values + 16 * begin, end - begin, mean, std);
      for (int64_t i = 16 * begin; i < 16 * end; i++) out[first + i] = from_float<T>(values[i]);
    });
  });
  if (n % 16 == 0) return;
  uint32_t words[16];
  float values[16];
  draw_words(g, words, 16);
  kernel().normal_float(words, values, 1, mean, std);
  for (int i = 0; i < 16; i++) out[n - 16 + i] = from_float<T>(values[i]);
}

// ---- coin flips --------------------------------------------------------------------------------------------------
uint64_t threshold_of(double p) { return uint64_t(std::ceil(p * 0x1p53)); }  // u < p for 53-bit u, in integers

// flips(first, bytes, count) for one block after the other.
template <class F> void flip(Generator& g, int64_t n, double p, F&& use) {
  uint64_t threshold = threshold_of(p);
  blocks_of_words(g, n, 2, [&](uint32_t* words, int64_t first, int64_t count) {
    parallel_for(count, 16384, [&](int64_t begin, int64_t end) { use(words, threshold, first, begin, end); });
  });
}

template <class T, class P> void flip_each(Generator& g, T* out, const P* p, int64_t n) {
  constexpr bool wide = sizeof(P) == 8;
  blocks_of_words(g, n, wide ? 2 : 1, [&](const uint32_t* words, int64_t first, int64_t count) {
    parallel_for(count, 8192, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        double probability = to_double(p[first + i]);
        if (!(probability >= 0 && probability <= 1))
          fail(ErrorKind::Runtime, "Expected p_in >= 0 && p_in <= 1 to be true, but got false.\n",
               "bernoulli: expected probabilities in [0, 1]; got ", probability, " at element ", first + i);
        double u;
        if (wide)
          u = double((uint64_t(words[2 * i]) << 32 | words[2 * i + 1]) & 0x1fffffffffffff) * 0x1p-53;
        else
          u = double(words[i] & 0xffffff) * 0x1p-24;
        out[first + i] = from_double<T>(u < probability ? 1 : 0);
      }
    });
  });
}

template <class T> void drop(Generator& g, const T* x, T* out, bool* mask, int64_t n, double p) {
  flip(g, n, 1 - p, [&](uint32_t* words, uint64_t threshold, int64_t first, int64_t begin, int64_t end) {
    auto* keep = reinterpret_cast<uint8_t*>(mask + first);
    kernel().bernoulli(words + 2 * begin, keep + begin, end - begin, threshold);
    if constexpr (std::is_same_v<T, float>) {
      float scale = 1.0f / float(1 - p);
      kernel().masked_float(x + first + begin, keep + begin, out + first + begin, end - begin, scale);
    } else {
      T one = from_double<T>(1);
      double scale = to_double(divide(one, 1 - p));
      for (int64_t i = begin; i < end; i++)
        out[first + i] = from_product<T>(to_double(x[first + i]), keep[i] ? scale : 0);
    }
  });
}

}  // namespace

void uniform(Generator& g, DType dtype, void* out, int64_t n, double from, double to) {
  if (dtype == DType::Complex64 || dtype == DType::Complex128) return uniform(g, real_of(dtype), out, 2 * n, from, to);
  if (!is_floating(dtype)) no_kernel("check_uniform_bounds", dtype);
  check(from <= to, "uniform_ expects to return a [from, to) range, but found from=", number(from),
        " > to=", number(to));
  double largest = largest_of(dtype);
  check(from >= -largest && from <= largest, "from is out of bounds for ", name_of(dtype));
  check(to >= -largest && to <= largest, "to is out of bounds for ", name_of(dtype));
  check(to - from <= largest, "uniform_ expects to-from <= std::numeric_limits<", type_title(dtype),
        ">::max(), but found to=", number(to), " and from=", number(from),
        " which result in to-from to exceed the limit");
  OuterLock lock;
  switch (dtype) {
    case DType::Float16: return uniform_half(g, static_cast<Half*>(out), n, float(from), float(to));
    case DType::BFloat16: return uniform_half(g, static_cast<BFloat16*>(out), n, float(from), float(to));
    case DType::Float32: return uniform_float(g, static_cast<float*>(out), n, float(from), float(to));
    default: return uniform_double(g, static_cast<double*>(out), n, from, to);
  }
}

void normal(Generator& g, DType dtype, void* out, int64_t n, double mean, double std, bool contiguous) {
  check(std >= 0, "normal expects std >= 0.0, but found std ", number(std));
  if (is_complex(dtype))  // half of the variance in each part; the mean is of both parts, as PyTorch has it
    return normal(g, real_of(dtype), out, 2 * n, mean, std / std::sqrt(2.0), contiguous);
  if (!is_floating(dtype)) no_kernel("normal_kernel_cpu", dtype);
  OuterLock lock;
  bool blocks = contiguous && n >= 16;
  switch (dtype) {
    case DType::Float16:
      if (blocks) return normal_half(g, static_cast<Half*>(out), n, float(mean), float(std));
      return normal_serial(g, static_cast<Half*>(out), n, mean, std);
    case DType::BFloat16:
      if (blocks) return normal_half(g, static_cast<BFloat16*>(out), n, float(mean), float(std));
      return normal_serial(g, static_cast<BFloat16*>(out), n, mean, std);
    case DType::Float32:
      if (blocks) return normal_float(g, static_cast<float*>(out), n, float(mean), float(std));
      return normal_serial(g, static_cast<float*>(out), n, mean, std);
    default:
      if (blocks) return normal_double(g, static_cast<double*>(out), n, mean, std);
      return normal_serial(g, static_cast<double*>(out), n, mean, std);
  }
}

void log_normal(Generator& g, DType dtype, void* out, int64_t n, double mean, double std) {
  check(std > 0, "log_normal_ expects std > 0.0, but found std=", number(std));
  if (!is_floating(dtype)) no_kernel("log_normal_cpu", dtype);
  OuterLock lock;
  visit_floating(dtype, [&]<class T>() {
    for (int64_t i = 0; i < n; i++)
      static_cast<T*>(out)[i] = from_double<T>(std::exp(std::fma(g.normal_double(), std, mean)));
  });
}

void exponential(Generator& g, DType dtype, void* out, int64_t n, double lambda) {
  check(is_floating(dtype),
        "Exponential distribution is a continuous probability distribution. dtype must be a floating ",
        "point but you specified ", type_title(dtype));
  check(lambda > 0, "exponential_ expects lambda > 0.0, but found lambda=", number(lambda));
  OuterLock lock;
  double scale = -1 / lambda;
  if (dtype == DType::Float64)  // to the last bit of the C library's logarithm
    return fill_from_doubles(g, static_cast<double*>(out), n, [scale](double u) { return scale * std::log1p(-u); });
  visit_floating(dtype, [&]<class T>() {
    blocks_of_words(g, n, 2, [&](const uint32_t* words, int64_t first, int64_t count) {
      parallel_for(count, 8192, [&](int64_t begin, int64_t end) {
        T* to = static_cast<T*>(out) + first;
        if constexpr (std::is_same_v<T, float>) {
          kernel().exponential_float(words + 2 * begin, to + begin, end - begin, scale);
        } else {
          constexpr int64_t kPiece = 512;
          float piece[kPiece];
          for (int64_t i = begin; i < end; i += kPiece) {
            int64_t some = end - i < kPiece ? end - i : kPiece;
            kernel().exponential_float(words + 2 * i, piece, some, scale);
            for (int64_t j = 0; j < some; j++) to[i + j] = from_double<T>(double(piece[j]));
          }
        }
      });
    });
  });
}

void cauchy(Generator& g, DType dtype, void* out, int64_t n, double median, double sigma) {
  check(is_floating(dtype), "Cauchy distribution is a continuous probability distribution. dtype must be a floating ",
        "point but you specified ", name_of(dtype));
  check(sigma > 0, "cauchy_ expects sigma > 0.0, but found sigma=", number(sigma));
  OuterLock lock;
  fill_real("cauchy_", g, dtype, out, n, [=](double u) { return std::fma(sigma, std::tan(M_PI * (u - 0.5)), median); });
}

void geometric(Generator& g, DType dtype, void* out, int64_t n, double p) {
  check(p > 0 && p < 1, "geometric_ expects p to be in (0, 1), but got p=", number(p));
  if (is_bool(dtype) || is_complex(dtype)) no_kernel("geometric_cpu", dtype);
  OuterLock lock;
  double scale = std::log1p(-p);
  visit_real(dtype, [&]<class T>() {
    fill_from_doubles(g, static_cast<T*>(out), n, [scale](double u) { return std::ceil(std::log(u) / scale); });
  });
}

void bernoulli(Generator& g, DType dtype, void* out, int64_t n, double p) {
  check(p >= 0 && p <= 1, "bernoulli_ expects p to be in [0, 1], but got p=", number(p));
  if (is_complex(dtype)) no_kernel("bernoulli_scalar_cpu_", dtype);
  OuterLock lock;
  if (item_size(dtype) == 1) {
    flip(g, n, p, [&](uint32_t* words, uint64_t threshold, int64_t first, int64_t begin, int64_t end) {
      kernel().bernoulli(words + 2 * begin, static_cast<uint8_t*>(out) + first + begin, end - begin, threshold);
    });
    return;
  }
  unsigned char one[8];
  visit_real(dtype, [&]<class T>() {
    T value = from_double<T>(1);
    std::memcpy(one, &value, sizeof value);
  });
  int size = int(item_size(dtype));
  flip(g, n, p, [&](uint32_t* words, uint64_t threshold, int64_t first, int64_t begin, int64_t end) {
    constexpr int64_t kPiece = 1024;
    uint8_t keep[kPiece];
    for (int64_t i = begin; i < end; i += kPiece) {
      int64_t count = end - i < kPiece ? end - i : kPiece;
      kernel().bernoulli(words + 2 * i, keep, count, threshold);
      kernel().spread(keep, static_cast<char*>(out) + (first + i) * size, count, size, one);
    }
  });
}

void bernoulli(Generator& g, DType dtype, void* out, DType p_dtype, const void* p, int64_t n) {
  if (is_complex(dtype)) no_kernel("bernoulli_tensor_cpu_self_", dtype);
  if (!is_floating(p_dtype)) no_kernel("bernoulli_tensor_cpu_p_", p_dtype);
  OuterLock lock;
  visit_floating(p_dtype, [&]<class P>() {
    visit_real(dtype, [&]<class T>() { flip_each(g, static_cast<T*>(out), static_cast<const P*>(p), n); });
  });
}

void dropout(Generator& g, DType dtype, const void* x, void* out, bool* mask, int64_t n, double p) {
  check(p >= 0 && p <= 1, "dropout probability has to be between 0 and 1, but got ", number(p));
  if (!is_floating(dtype)) no_kernel("dropout", dtype);
  visit_floating(dtype, [&]<class T>() {
    auto* from = static_cast<const T*>(x);
    auto* to = static_cast<T*>(out);
    if (p == 0 || p == 1) {
      std::memset(mask, p == 0, size_t(n));
      for (int64_t i = 0; i < n; i++) to[i] = p == 0 ? from[i] : from_product<T>(to_double(from[i]), 0);
      return;
    }
    OuterLock lock;
    drop(g, from, to, mask, n, p);
  });
}

}  // namespace flambeau::random
