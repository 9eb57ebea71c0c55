// Pooling against loops over every window.
#include <algorithm>
#include <utility>
#include "kernels/cpu/pool.h"
#include "kernel_data.h"

using namespace flambeau;
using namespace flambeau::kernels;
using namespace flambeau::test;

namespace {

const PoolKernels& k() { return table<PoolKernels>(); }

int64_t volume(const int64_t* e) { return e[0] * e[1] * e[2]; }

PoolShape shape(int64_t planes, std::vector<int64_t> in, std::vector<int64_t> kernel, std::vector<int64_t> stride,
                std::vector<int64_t> padding, std::vector<int64_t> dilation, bool ceil_mode) {
  PoolShape s;
  s.planes = planes;
  for (int i = 0; i < 3; ++i) {
    s.in[i] = in[i];
    s.kernel[i] = kernel[i];
    s.stride[i] = stride[i];
    s.padding[i] = padding[i];
    s.dilation[i] = dilation[i];
    s.out[i] = pool_output_size(in[i], kernel[i], stride[i], padding[i], dilation[i], ceil_mode);
  }
  return s;
}

std::vector<PoolShape> shapes() {
  return {shape(3, {1, 24, 24}, {1, 2, 2}, {1, 2, 2}, {0, 0, 0}, {1, 1, 1}, false),
          shape(2, {1, 56, 56}, {1, 3, 3}, {1, 2, 2}, {0, 1, 1}, {1, 1, 1}, false),
          shape(2, {1, 13, 37}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}, false),
          shape(2, {1, 13, 37}, {1, 3, 3}, {1, 3, 3}, {0, 1, 1}, {1, 2, 2}, true),
          shape(1, {9, 10, 11}, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1}, true),
          shape(1, {1, 5, 70}, {1, 5, 4}, {1, 1, 2}, {0, 0, 0}, {1, 1, 1}, false)};
}

// f(plane offset, output position, window's input positions in reading order, elements of the padded input in it)
template <class F> void each_window(const PoolShape& s, F&& f) {
  int64_t at = 0;
  for (int64_t p = 0; p < s.planes; ++p)
    for (int64_t d = 0; d < s.out[0]; ++d)
      for (int64_t h = 0; h < s.out[1]; ++h)
        for (int64_t w = 0; w < s.out[2]; ++w, ++at) {
          std::vector<int64_t> inside;
          int64_t o[3] = {d, h, w}, padded = 1;
          for (int i = 0; i < 3; ++i) {
            int64_t start = o[i] * s.stride[i] - s.padding[i];
            padded *= std::min(start + s.kernel[i], s.in[i] + s.padding[i]) - start;
          }
          for (int64_t a = 0; a < s.kernel[0]; ++a)
            for (int64_t b = 0; b < s.kernel[1]; ++b)
              for (int64_t c = 0; c < s.kernel[2]; ++c) {
                int64_t i[3] = {a, b, c};
                bool in = true;
                for (int j = 0; j < 3; ++j) {
                  i[j] = o[j] * s.stride[j] - s.padding[j] + i[j] * s.dilation[j];
                  in = in && i[j] >= 0 && i[j] < s.in[j];
                }
                if (in) inside.push_back((i[0] * s.in[1] + i[1]) * s.in[2] + i[2]);
              }
          f(p * volume(s.in), at, inside, padded);
        }
}

template <class T> void check_max(const PoolShape& s) {
  constexpr int t = sizeof(T) == 8;
  int64_t in = volume(s.in), out = volume(s.out);
  auto x = random_values<T>(s.planes * in, 1);
  for (T& v : x) v = v < 0 ? T(0) : std::round(v * 4);  // many equal values: the first in reading order must win
  auto g = random_values<T>(s.planes * out, 2);
  std::vector<T> y(s.planes * out), plain(y.size()), dx(x.size());
  std::vector<int64_t> indices(y.size()), expected_indices(y.size());
  std::vector<double> expected(y.size()), expected_dx(x.size());
  each_window(s, [&](int64_t base, int64_t at, const std::vector<int64_t>& inside, int64_t) {
    int64_t best = inside[0];
    for (int64_t i : inside)
      if (x[base + i] > x[base + best]) best = i;
    expected[at] = x[base + best];
    expected_indices[at] = best;
    expected_dx[base + best] += g[at];
  });
  k().max_pool[t](x.data(), y.data(), indices.data(), s);
  k().max_pool[t](x.data(), plain.data(), nullptr, s);
  k().max_pool_backward[t](g.data(), indices.data(), dx.data(), s.planes, in, out);
  EXPECT_CLOSE(y, expected, 0.0);
  EXPECT(indices == expected_indices);
  EXPECT(same_bits(y, plain));
  EXPECT_CLOSE(dx, expected_dx, kTolerance<T>);
}

template <class T> void check_average(const PoolShape& s, bool include_pad, int64_t divisor) {
  constexpr int t = sizeof(T) == 8;
  auto x = random_values<T>(s.planes * volume(s.in), 1), g = random_values<T>(s.planes * volume(s.out), 2);
  std::vector<T> y(g.size()), dx(x.size());
  std::vector<double> expected(g.size()), expected_dx(x.size());
  each_window(s, [&](int64_t base, int64_t at, const std::vector<int64_t>& inside, int64_t padded) {
    double by = divisor ? double(divisor) : include_pad ? double(padded) : double(inside.size());
    for (int64_t i : inside) {
      expected[at] += x[base + i] / by;
      expected_dx[base + i] += g[at] / by;
    }
  });
  k().avg_pool[t](x.data(), y.data(), s, include_pad, divisor);
  k().avg_pool_backward[t](g.data(), dx.data(), s, include_pad, divisor);
  EXPECT_CLOSE(y, expected, kTolerance<T>);
  EXPECT_CLOSE(dx, expected_dx, kTolerance<T>);
}

template <class T> void check_adaptive(std::vector<int64_t> in, std::vector<int64_t> out) {
  constexpr int t = sizeof(T) == 8;
  PoolShape s = shape(2, in, in, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}, false);
  for (int i = 0; i < 3; ++i) s.out[i] = out[i];
  int64_t n = volume(s.in), m = volume(s.out);
  auto x = random_values<T>(2 * n, 1), g = random_values<T>(2 * m, 2);
  std::vector<T> y(2 * m), dx(2 * n), high(2 * m);
  std::vector<int64_t> indices(2 * m), expected_indices(2 * m);
  std::vector<double> expected(2 * m), expected_dx(2 * n);
  for (int64_t at = 0; at < 2 * m; ++at) {
    int64_t o[3] = {at % m / (s.out[1] * s.out[2]), at / s.out[2] % s.out[1], at % s.out[2]}, base = at / m * n,
            best = -1;
    std::vector<int64_t> window;
    auto from = [&](int i) { return o[i] * s.in[i] / s.out[i]; };
    auto to = [&](int i) { return ((o[i] + 1) * s.in[i] + s.out[i] - 1) / s.out[i]; };
    for (int64_t a = from(0); a < to(0); ++a)
      for (int64_t b = from(1); b < to(1); ++b)
        for (int64_t c = from(2); c < to(2); ++c) window.push_back((a * s.in[1] + b) * s.in[2] + c);
    for (int64_t i : window) {
      expected[at] += x[base + i] / double(window.size());
      expected_dx[base + i] += g[at] / double(window.size());
      if (best < 0 || x[base + i] > x[base + best]) best = i;
    }
    expected_indices[at] = best;
  }
  k().adaptive_avg_pool[t](x.data(), y.data(), s);
  k().adaptive_avg_pool_backward[t](g.data(), dx.data(), s);
  k().adaptive_max_pool[t](x.data(), high.data(), indices.data(), s);
  EXPECT_CLOSE(y, expected, kTolerance<T>);
  EXPECT_CLOSE(dx, expected_dx, kTolerance<T>);
  EXPECT(indices == expected_indices);
}

}  // namespace

TEST(max_pool_against_loops) {
  for (const PoolShape& s : shapes()) {
    check_max<float>(s);
    check_max<double>(s);
  }
}

TEST(max_pool_nan_wins) {
  std::vector<float> x = {1, NAN, 3, 4, 5, 6, 7, 8}, y(2);
  PoolShape s = shape(1, {1, 2, 4}, {1, 2, 2}, {1, 2, 2}, {0, 0, 0}, {1, 1, 1}, false);
  k().max_pool[0](x.data(), y.data(), nullptr, s);
  EXPECT(std::isnan(y[0]) && y[1] == 8);
}

TEST(average_pool_against_loops) {
  for (const PoolShape& s : shapes()) {
    if (s.dilation[2] != 1) continue;  // averages know no dilation
    for (bool include_pad : {false, true})
      for (int64_t divisor : {0, 7}) {
        check_average<float>(s, include_pad, divisor);
        check_average<double>(s, include_pad, divisor);
      }
  }
}

TEST(adaptive_pool_against_loops) {
  for (auto [in, out] : {std::pair<std::vector<int64_t>, std::vector<int64_t>>{{1, 56, 56}, {1, 1, 1}},
                         {{1, 13, 70}, {1, 4, 3}},
                         {{1, 5, 5}, {1, 7, 8}},
                         {{5, 6, 7}, {2, 3, 4}}}) {
    check_adaptive<float>(in, out);
    check_adaptive<double>(in, out);
  }
}

TEST(max_unpool_and_its_gradient) {
  std::vector<float> x = {5, 6, 7}, y(8), dx(3);
  std::vector<int64_t> indices = {3, 0, 6};
  EXPECT_EQ(k().max_unpool[0](x.data(), indices.data(), y.data(), 1, 3, 8), -1);
  EXPECT((y == std::vector<float>{6, 0, 0, 5, 0, 0, 7, 0}));
  k().max_unpool_backward[0](y.data(), indices.data(), dx.data(), 1, 3, 8);
  EXPECT(dx == x);
  indices[1] = 8;
  EXPECT_EQ(k().max_unpool[0](x.data(), indices.data(), y.data(), 1, 3, 8), 1);
}

TEST(pool_output_sizes) {
  EXPECT_EQ(pool_output_size(56, 3, 2, 1, 1, false), 28);
  EXPECT_EQ(pool_output_size(5, 2, 2, 0, 1, true), 3);
  EXPECT_EQ(pool_output_size(4, 1, 3, 0, 1, true), 2);
  EXPECT_EQ(pool_output_size(6, 1, 4, 0, 1, true), 2);  // a window that would start past the input does not count
  EXPECT_EQ(pool_output_size(1, 3, 1, 0, 1, false), -1);
}
