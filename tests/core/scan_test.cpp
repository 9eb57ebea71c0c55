// Scans against running loops, the same bits for any number of threads; triangles, padding and repetition.
#include "base/parallel.h"
#include "kernels/cpu/movement.h"
#include "kernels/cpu/scan.h"
#include "test.h"

#include <cstring>
#include <random>

using namespace flambeau;
using kernels::PadMode;

namespace {

const kernels::ScanKernels& scans() { return kernels::table<kernels::ScanKernels>(); }
const kernels::MovementKernels& movement() { return kernels::table<kernels::MovementKernels>(); }

std::vector<float> sample(int64_t n) {
  std::mt19937 random(unsigned(n) + 1);
  std::vector<float> x(n);
  for (auto& v : x) v = float(int(random() % 2001) - 1000) / 512;
  return x;
}

const int64_t kShapes[][3] = {{1, 1, 1},    {3, 50, 1},    {17, 300, 1}, {1, 100001, 1},
                              {24, 512, 1}, {2, 40000, 1}, {2, 30, 5},   {1, 200, 300}};

}  // namespace

TEST(running_sums_match_a_loop_for_any_number_of_threads) {
  const int before = num_threads();
  for (auto [outer, n, inner] : kShapes) {
    auto x = sample(outer * n * inner);
    std::vector<int64_t> whole(x.size()), whole_out(x.size());
    for (size_t i = 0; i < x.size(); i++) whole[i] = int64_t(x[i] * 512);
    std::vector<float> one(x.size()), two(x.size()), logs(x.size());
    set_num_threads(1);
    scans().sum(DType::Float32, one.data(), x.data(), outer, n, inner);
    set_num_threads(2);
    scans().sum(DType::Float32, two.data(), x.data(), outer, n, inner);
    EXPECT(std::memcmp(one.data(), two.data(), one.size() * 4) == 0);
    scans().sum(DType::Int64, whole_out.data(), whole.data(), outer, n, inner);
    scans().logsumexp(DType::Float32, logs.data(), x.data(), outer, n, inner);
    int64_t wrong = 0;
    for (int64_t lane = 0; lane < outer * inner; lane++) {
      double sum = 0, exponentials = 0;
      for (int64_t i = 0; i < n; i++) {
        int64_t at = (lane / inner * n + i) * inner + lane % inner;
        sum += x[at];
        exponentials += std::exp(double(x[at]));
        wrong +=
            std::abs(one[at] - sum) > 1e-6 * (1 + std::abs(sum)) || whole_out[at] != int64_t(std::llround(sum * 512));
        wrong += std::abs(logs[at] - std::log(exponentials)) > 1e-5;
      }
    }
    EXPECT_EQ(wrong, 0);
    scans().sum(DType::Float32, x.data(), x.data(), outer, n, inner);  // in place
    EXPECT(std::memcmp(one.data(), x.data(), one.size() * 4) == 0);
  }
  set_num_threads(before);
}

TEST(running_products_of_complex_numbers) {
  std::vector<Complex64> x{{0, 1}, {0, 1}, {2, 0}}, y(3);
  scans().cumprod(DType::Complex64, y.data(), x.data(), 1, 3, 1);
  EXPECT_EQ(y[2].re, -2.0f);
  EXPECT_EQ(y[2].im, 0.0f);
}

TEST(running_extremes_give_the_last_position_and_keep_nan) {
  for (int64_t inner : {1, 3}) {
    const double column[] = {1, 3, 3, 2, NAN, 5};
    const int64_t want[] = {0, 1, 2, 2, 4, 4};
    std::vector<double> x, y(6 * inner);
    for (double v : column) x.insert(x.end(), inner, v);
    std::vector<int64_t> at(6 * inner);
    scans().cummax(DType::Float64, y.data(), at.data(), x.data(), 1, 6, inner);
    for (int i = 0; i < 6; i++) EXPECT_EQ(at[i * inner + inner - 1], want[i]);
    EXPECT(std::isnan(y.back()));
  }
  std::vector<uint8_t> x{3, 1, 1, 2}, y(4);
  std::vector<int64_t> at(4);
  scans().cummin(DType::UInt8, y.data(), at.data(), x.data(), 1, 4, 1);
  EXPECT((at == std::vector<int64_t>{0, 1, 2, 2}));
  EXPECT((y == std::vector<uint8_t>{3, 1, 1, 1}));
}

TEST(triangles) {
  auto x = sample(2 * 5 * 7);
  std::vector<float> y(x.size());
  for (int64_t diagonal = -8; diagonal <= 8; diagonal++) {
    for (bool upper : {false, true}) {
      movement().triangle(y.data(), x.data(), 2, 5, 7, diagonal, upper, 4);
      int wrong = 0;
      for (int i = 0; i < 70; i++) {
        int64_t distance = i % 7 - i / 7 % 5;
        wrong += y[i] != ((upper ? distance >= diagonal : distance <= diagonal) ? x[i] : 0);
      }
      EXPECT_EQ(wrong, 0);
    }
  }
}

TEST(padding_and_its_gradient_are_transposes_of_each_other) {
  for (auto mode : {PadMode::Reflect, PadMode::Replicate, PadMode::Circular}) {
    int64_t sizes[] = {4, 5}, before[] = {2, -1}, after[] = {1, 3};
    auto x = sample(3 * 20), g = sample(3 * 7 * 7);
    std::vector<float> y(g.size()), back(x.size());
    movement().pad(y.data(), x.data(), 3, 2, sizes, before, after, mode, 4);
    movement().pad_backward(DType::Float32, back.data(), g.data(), 3, 2, sizes, before, after, mode);
    double one = 0, other = 0;
    for (size_t i = 0; i < g.size(); i++) one += double(y[i]) * g[i];
    for (size_t i = 0; i < x.size(); i++) other += double(x[i]) * back[i];
    EXPECT(std::abs(one - other) < 1e-4);
  }
  int64_t size = 4, before = 2, after = 2;
  int16_t x[] = {1, 2, 3, 4}, y[8];
  auto padded = [&](PadMode mode) {
    movement().pad(y, x, 1, 1, &size, &before, &after, mode, 2);
    return std::vector<int16_t>(y, y + 8);
  };
  EXPECT((padded(PadMode::Reflect) == std::vector<int16_t>{3, 2, 1, 2, 3, 4, 3, 2}));
  EXPECT((padded(PadMode::Replicate) == std::vector<int16_t>{1, 1, 1, 2, 3, 4, 4, 4}));
  EXPECT((padded(PadMode::Circular) == std::vector<int16_t>{3, 4, 1, 2, 3, 4, 1, 2}));
}

TEST(repeated_positions) {
  std::vector<int64_t> repeats{2, 0, 3}, out(5);
  EXPECT_EQ(movement().repeat_total(repeats.data(), 3), 5);
  movement().repeat_positions(out.data(), repeats.data(), 3);
  EXPECT((out == std::vector<int64_t>{0, 0, 2, 2, 2}));
  repeats[1] = -1;
  EXPECT_EQ(movement().repeat_total(repeats.data(), 3), -1);
}
