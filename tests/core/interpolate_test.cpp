// Resampling against position rules written out per output element; gradients against the transposed forward.
#include <utility>
#include "kernels/cpu/interpolate.h"
#include "kernel_data.h"

using namespace flambeau;
using namespace flambeau::kernels;
using namespace flambeau::test;

namespace {

const InterpolateKernels& k() { return table<InterpolateKernels>(); }
int64_t volume(const int64_t* e) { return e[0] * e[1] * e[2]; }

double cubic(double x, double a) {
  x = std::fabs(x);
  return x <= 1 ? (a + 2) * x * x * x - (a + 3) * x * x + 1 : x < 2 ? a * (x * x * x - 5 * x * x + 8 * x - 4) : 0;
}

// Weight of input j in output i along one dimension.
double weight(const ResampleShape& s, int axis, int64_t i, int64_t j) {
  double in = double(s.in[axis]), scale = s.scale[axis] > 0 ? 1 / s.scale[axis] : in / double(s.out[axis]);
  if (s.mode == Interpolation::Nearest) return j == std::fmin(std::floor(double(i) * scale), in - 1);
  if (s.mode == Interpolation::NearestExact) return j == std::fmin(std::floor((double(i) + 0.5) * scale), in - 1);
  double at = (double(i) + 0.5) * scale - 0.5;
  if (s.align_corners) at = s.out[axis] > 1 ? double(i) * (in - 1) / double(s.out[axis] - 1) : 0;
  if (s.mode == Interpolation::Linear) {
    at = std::fmin(std::fmax(at, 0), in - 1);
    return std::fmax(0, 1 - std::fabs(at - double(j)));
  }
  double sum = 0, low = std::floor(at);
  for (double t = low - 1; t <= low + 2; ++t)  // taps outside repeat the edge
    if (std::fmin(std::fmax(t, 0), in - 1) == double(j)) sum += cubic(at - t, -0.75);
  return sum;
}

template <class T> void check(const ResampleShape& s) {
  constexpr int t = sizeof(T) == 8;
  const double tolerance = sizeof(T) == 4 ? 2e-5 : 1e-12;
  int64_t n = volume(s.in), m = volume(s.out);
  auto x = random_values<T>(s.planes * n, 1), g = random_values<T>(s.planes * m, 2);
  std::vector<T> y(s.planes * m), dx(s.planes * n);
  std::vector<double> expected(y.size()), expected_dx(x.size());
  for (int64_t o = 0; o < m; ++o)
    for (int64_t i = 0; i < n; ++i) {
      double w = weight(s, 0, o / (s.out[1] * s.out[2]), i / (s.in[1] * s.in[2])) *
                 weight(s, 1, o / s.out[2] % s.out[1], i / s.in[2] % s.in[1]) * weight(s, 2, o % s.out[2], i % s.in[2]);
      for (int64_t p = 0; w != 0 && p < s.planes; ++p) {
        expected[p * m + o] += w * x[p * n + i];
        expected_dx[p * n + i] += w * g[p * m + o];
      }
    }
  k().forward[t](x.data(), y.data(), s);
  k().backward[t](g.data(), dx.data(), s);
  EXPECT_CLOSE(y, expected, tolerance);
  EXPECT_CLOSE(dx, expected_dx, tolerance);
}

ResampleShape shape(Interpolation mode, std::vector<int64_t> in, std::vector<int64_t> out, bool align = false) {
  ResampleShape s{2, {in[0], in[1], in[2]}, {out[0], out[1], out[2]}};
  s.mode = mode;
  s.align_corners = align;
  return s;
}

}  // namespace

TEST(interpolate_against_rules) {
  for (Interpolation mode :
       {Interpolation::Nearest, Interpolation::NearestExact, Interpolation::Linear, Interpolation::Cubic})
    for (bool align : {false, true})
      for (auto [in, out] : {std::pair<std::vector<int64_t>, std::vector<int64_t>>{{1, 1, 17}, {1, 1, 34}},
                             {{1, 9, 11}, {1, 16, 5}},
                             {{1, 6, 19}, {1, 12, 38}},
                             {{1, 4, 4}, {1, 1, 7}},
                             {{3, 4, 5}, {5, 4, 3}}}) {
        if (align && mode < Interpolation::Linear) continue;
        check<float>(shape(mode, in, out, align));
        check<double>(shape(mode, in, out, align));
      }
}

TEST(interpolate_by_given_factors) {  // positions follow the factor, not the rounded extents
  for (Interpolation mode : {Interpolation::Nearest, Interpolation::Linear, Interpolation::Cubic}) {
    ResampleShape s = shape(mode, {1, 9, 11}, {1, 15, 18});
    s.scale[1] = s.scale[2] = 1.7;
    check<double>(s);
  }
}

TEST(interpolate_antialias_averages) {  // a linear filter twice as wide: 1 3 3 1 over 8, renormalised at the edges
  ResampleShape s = shape(Interpolation::Linear, {1, 1, 8}, {1, 1, 4});
  s.planes = 1;
  s.antialias = true;
  std::vector<double> x = {1, 2, 4, 8, 16, 32, 64, 128}, y(4), expected(4);
  expected[0] = (3 * 1 + 3 * 2 + 4) / 7.0;
  expected[1] = (2 + 3 * 4 + 3 * 8 + 16) / 8.0;
  expected[2] = (8 + 3 * 16 + 3 * 32 + 64) / 8.0;
  expected[3] = (32 + 3 * 64 + 3 * 128) / 7.0;
  k().forward[1](x.data(), y.data(), s);
  EXPECT_CLOSE(y, expected, 1e-14);
}
