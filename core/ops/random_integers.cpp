// Random integers, permutations and draws by weight.
#include "ops/random_fill.h"

#include "base/error.h"
#include "base/parallel.h"
#include "ops/random_words.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace flambeau::random {
namespace {

// Below 2^28 one word's remainder is fair enough; above, two words are taken.
constexpr uint64_t kWideRange = uint64_t(1) << 28;

template <class T>
void fill_range(Generator& g, T* out, int64_t n, int64_t from, uint64_t range, bool wide) {  // range 0: 2^64
  blocks_of_words(g, n, wide ? 2 : 1, [&](const uint32_t* words, int64_t first, int64_t count) {
    parallel_for(count, 8192, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        uint64_t bits;
        if (!wide)
          bits = range == 0 ? words[i] : words[i] % uint32_t(range);
        else
          bits = uint64_t(words[2 * i]) << 32 | words[2 * i + 1], bits = range == 0 ? bits : bits % range;
        out[first + i] = from_integer<T>(int64_t(range == 0 ? bits : bits + uint64_t(from)));
      }
    });
  });
}

struct Bounds {
  int64_t low, high;
};
Bounds bounds_of(DType t) {  // of integral types: what they hold; of floating ones: integers without gaps
  switch (t) {
    case DType::Bool: return {0, 1};
    case DType::UInt8: return {0, 255};
    case DType::Int8: return {-128, 127};
    case DType::Int16: return {-32768, 32767};
    case DType::Int32: return {INT32_MIN, INT32_MAX};
    case DType::Float16: return {-(1 << 11), 1 << 11};
    case DType::BFloat16: return {-(1 << 8), 1 << 8};
    case DType::Float32: return {-(1 << 24), 1 << 24};
    case DType::Float64: return {-(int64_t(1) << 53), int64_t(1) << 53};
    default: return {INT64_MIN, INT64_MAX};
  }
}

const char* c_name(DType t) {  // as PyTorch's range errors name types
  switch (t) {
    case DType::Bool: return "bool";
    case DType::UInt8: return "unsigned char";
    case DType::Int8: return "signed char";
    case DType::Int16: return "short";
    case DType::Int32: return "int";
    default: return "long";
  }
}

void check_real(DType t) {
  if (is_complex(t))
    fail(ErrorKind::NotImplemented, "\"random_from_to\" not implemented for '", type_title(t),
         "'\nrandom_: expected a real dtype; got ", name_of(t));
}

void check_in_range(const char* what, int64_t value, DType t) {
  if (!is_integral(t)) {
    check(t == DType::Float64 || std::abs(double(value)) <= largest_of(t), what, " is out of bounds for ", name_of(t));
    return;
  }
  Bounds b = bounds_of(t);
  check(value >= b.low && value <= b.high, what, " is out of bounds for ", c_name(t), "\nrandom_: expected ", what,
        " in [", b.low, ", ", b.high, "]; got ", value);
}

// With replacement: a binary search of each uniform number in the row's running sums. 16-bit types sum in float32.
template <class T>
void sample_with_replacement(Generator& g, const T* weights, int64_t rows, int64_t columns, int64_t samples,
                             int64_t* out) {
  using Sum = std::conditional_t<std::is_same_v<T, double>, double, float>;
  ScratchOf<Sum> sums(columns);
  for (int64_t row = 0; row < rows; row++) {
    Sum total = 0;
    for (int64_t i = 0; i < columns; i++) {
      Sum w = Sum(to_double(weights[row * columns + i]));
      check(w >= 0, "invalid multinomial distribution (encountering probability entry < 0)");
      check(std::isfinite(w), "invalid multinomial distribution (encountering probability entry = infinity or NaN)");
      sums.data[i] = total += w;
    }
    check(total > 0, "invalid multinomial distribution (sum of probabilities <= 0)");
    for (int64_t i = 0; i < columns; i++) sums.data[i] /= total;
    sums.data[columns - 1] = 1;
    for (int64_t s = 0; s < samples; s++) {
      double u = g.uniform_double();
      out[row * samples + s] =
          std::lower_bound(sums.data, sums.data + columns, u, [](Sum sum, double u) { return double(sum) < u; }) -
          sums.data;
    }
  }
}

// Without replacement, and for one sample: the largest weight / Exp(1) wins (Efraimidis and Spirakis, 2006).
template <class T>
void sample_by_race(Generator& g, const T* weights, int64_t rows, int64_t columns, int64_t samples, int64_t* out) {
  for (int64_t row = 0; row < rows; row++) {
    double total = 0;
    for (int64_t i = 0; i < columns; i++) {
      double w = to_double(weights[row * columns + i]);
      check(w >= 0 && std::isfinite(w), "probability tensor contains either `inf`, `nan` or element < 0");
      total += w;
    }
    check(total > 0, "invalid multinomial distribution (sum of probabilities <= 0)");
  }
  ScratchOf<double> keys(columns);
  ScratchOf<int64_t> order(columns);
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t i = 0; i < columns; i++) {
      T pace = from_double<T>(-std::log1p(-g.uniform_double()));
      keys.data[i] = to_double(divide(weights[row * columns + i], to_double(pace)));
      order.data[i] = i;
    }
    auto before = [&](int64_t a, int64_t b) {
      return keys.data[a] > keys.data[b] || (keys.data[a] == keys.data[b] && a < b);
    };
    std::partial_sort(order.data, order.data + samples, order.data + columns, before);
    std::copy_n(order.data, samples, out + row * samples);
  }
}

}  // namespace

void integers(Generator& g, DType dtype, void* out, int64_t n, int64_t from, int64_t to) {
  check_real(dtype);
  check(from < to, "random_ expects 'from' to be less than 'to', but got from=", from, " >= to=", to);
  check_in_range("from", from, dtype);
  check_in_range("to - 1", to - 1, dtype);
  uint64_t range = uint64_t(to) - uint64_t(from);
  OuterLock lock;
  visit_real(dtype, [&]<class T>() { fill_range(g, static_cast<T*>(out), n, from, range, range >= kWideRange); });
}

void integers_from(Generator& g, DType dtype, void* out, int64_t n, int64_t from) {
  check_real(dtype);
  int64_t high = bounds_of(dtype).high;
  check(from <= high, "random_ expects 'from' to be less than or equal to 'to', but got from=", from, " > to=", high);
  check_in_range("from", from, dtype);
  uint64_t range = uint64_t(high) - uint64_t(from) + 1;  // 0 stands for 2^64
  OuterLock lock;
  visit_real(dtype, [&]<class T>() {
    fill_range(g, static_cast<T*>(out), n, from, range, range == 0 || range >= kWideRange);
  });
}

void integers(Generator& g, DType dtype, void* out, int64_t n) {
  check_real(dtype);
  bool wide = dtype == DType::Int64 || dtype == DType::Float64;
  uint64_t range = uint64_t(bounds_of(dtype).high) + 1;
  OuterLock lock;
  visit_real(dtype, [&]<class T>() { fill_range(g, static_cast<T*>(out), n, 0, range, wide); });
}

void permutation(Generator& g, DType dtype, void* out, int64_t n) {
  check(n >= 0, "Trying to create tensor with negative dimension ", n, ": [", n, "]");
  check_real(dtype);
  Bounds bounds = bounds_of(dtype);
  if (is_integral(dtype))
    check(n <= 1 || n - 1 <= bounds.high, "value cannot be converted to type ", c_name(dtype), " without overflow");
  else
    check(n <= bounds.high + 1, "n cannot be greater than ", bounds.high + 1, " for ", type_title(dtype), " type.");
  OuterLock lock;
  visit_real(dtype, [&]<class T>() {
    T* values = static_cast<T*>(out);
    for (int64_t i = 0; i < n; i++) values[i] = from_integer<T>(i);
    // Fisher and Yates; a word's remainder is fair enough for n below 2^32 / 20.
    if (uint64_t(n) < (uint64_t(1) << 32) / 20) {
      blocks_of_words(g, n - 1, 1, [&](const uint32_t* words, int64_t first, int64_t count) {
        for (int64_t j = 0; j < count; j++) {
          int64_t i = first + j;
          std::swap(values[i], values[i + int64_t(words[j] % uint32_t(n - i))]);
        }
      });
      return;
    }
    // Larger ones take two words each; here PyTorch's order is another.
    for (int64_t i = 0; i < n - 1; i++) std::swap(values[i], values[i + int64_t(g.random64() % uint64_t(n - i))]);
  });
}

void multinomial(Generator& g, DType dtype, const void* weights, int64_t rows, int64_t columns, int64_t samples,
                 bool replacement, int64_t* out) {
  check(is_floating(dtype), "multinomial only supports floating-point dtypes for input, got: ", type_title(dtype));
  check(samples > 0, "cannot sample n_sample <= 0 samples");
  check(replacement || samples <= columns, "cannot sample n_sample > prob_dist.size(-1) samples without replacement");
  check(rows == 0 || columns > 0, "invalid multinomial distribution (sum of probabilities <= 0)");
  OuterLock lock;
  visit_floating(dtype, [&]<class T>() {
    auto* w = static_cast<const T*>(weights);
    if (replacement && samples > 1)
      sample_with_replacement(g, w, rows, columns, samples, out);
    else
      sample_by_race(g, w, rows, columns, samples, out);
  });
}

}  // namespace flambeau::random
