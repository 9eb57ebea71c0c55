// What the kernel tests share: reproducible random data, comparison, and runs under several numbers of threads.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>
#include "base/parallel.h"
#include "test.h"

namespace flambeau::test {

// Uniform in [low, high), from a small linear congruential generator.
template <class T> std::vector<T> random_values(int64_t n, uint64_t seed, double low = -2, double high = 2) {
  std::vector<T> values(n);
  uint64_t state = seed * 2654435761u + 12345;
  for (T& v : values) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    v = T(low + (high - low) * double(state >> 11) * 0x1p-53);
  }
  return values;
}

// The largest difference, relative to the largest expected magnitude; nan where only one side is nan.
template <class T, class R> double difference(const std::vector<T>& got, const std::vector<R>& expected) {
  if (got.size() != expected.size()) return NAN;
  double worst = 0, scale = 1e-30;
  for (size_t i = 0; i < got.size(); ++i) {
    if (std::isnan(double(got[i])) != std::isnan(double(expected[i]))) return NAN;
    if (std::isnan(double(got[i])) || double(got[i]) == double(expected[i])) continue;
    worst = std::fmax(worst, std::fabs(double(got[i]) - double(expected[i])));
  }
  for (R e : expected)
    if (std::isfinite(double(e))) scale = std::fmax(scale, std::fabs(double(e)));
  return worst / scale;
}

template <class T> bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

// Whether run() gives the same bits on 1, 2 and 4 threads; it returns a vector.
template <class F> bool same_on_any_threads(F&& run) {
  int before = num_threads();
  set_num_threads(1);
  auto first = run();
  bool same = true;
  for (int count : {2, 4}) {
    set_num_threads(count);
    same = same && same_bits(first, run());
  }
  set_num_threads(before);
  return same;
}

// |got - expected| <= tolerance of the largest; a nan fails.
#define EXPECT_CLOSE(got, expected, tolerance)                                                 \
  do {                                                                                         \
    double difference_ = ::flambeau::test::difference(got, expected);                          \
    if (!(difference_ <= (tolerance)))                                                         \
      ::flambeau::test::report(__FILE__, __LINE__,                                             \
                               "expected " #got " close to " #expected "; they differ by " +   \
                                   std::to_string(difference_ / (tolerance)) + " tolerances"); \
  } while (0)

template <class T> constexpr double kTolerance = sizeof(T) == 4 ? 4e-6 : 1e-13;

}  // namespace flambeau::test
