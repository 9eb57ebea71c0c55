// Softmax, cross entropy and negative log likelihood against loops in float64.
#include <array>
#include "kernels/cpu/softmax.h"
#include "kernel_data.h"

using namespace flambeau;
using namespace flambeau::kernels;
using namespace flambeau::test;

namespace {

const SoftmaxKernels& k() { return table<SoftmaxKernels>(); }

template <class T> void check_shape(int64_t outer, int64_t n, int64_t inner) {
  constexpr int t = sizeof(T) == 8;
  int64_t size = outer * n * inner;
  auto x = random_values<T>(size, 1, -20, 20), g = random_values<T>(size, 2);
  std::vector<T> y(size), log_y(size), dx(size), dlog(size), lse(outer * inner);
  std::vector<double> ry(size), rlog(size), rdx(size), rdlog(size), rlse(outer * inner);
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < inner; ++i) {
      auto at = [&](int64_t c) { return (o * n + c) * inner + i; };
      double max = -INFINITY, sum = 0, dot = 0, total = 0;
      for (int64_t c = 0; c < n; ++c) max = std::fmax(max, double(x[at(c)]));
      for (int64_t c = 0; c < n; ++c) sum += std::exp(x[at(c)] - max);
      rlse[o * inner + i] = max + std::log(sum);
      for (int64_t c = 0; c < n; ++c) {
        rlog[at(c)] = x[at(c)] - max - std::log(sum);
        ry[at(c)] = std::exp(rlog[at(c)]);
        dot += g[at(c)] * ry[at(c)];
        total += g[at(c)];
      }
      for (int64_t c = 0; c < n; ++c) {
        rdx[at(c)] = ry[at(c)] * (g[at(c)] - dot);
        rdlog[at(c)] = g[at(c)] - ry[at(c)] * total;
      }
    }
  k().softmax[t](x.data(), y.data(), outer, n, inner);
  k().log_softmax[t](x.data(), log_y.data(), outer, n, inner);
  k().softmax_backward[t](g.data(), y.data(), dx.data(), outer, n, inner);
  k().log_softmax_backward[t](g.data(), log_y.data(), dlog.data(), outer, n, inner);
  k().logsumexp[t](x.data(), lse.data(), outer, n, inner);
  EXPECT_CLOSE(y, ry, kTolerance<T>);
  EXPECT_CLOSE(log_y, rlog, kTolerance<T>);
  EXPECT_CLOSE(lse, rlse, kTolerance<T>);
  EXPECT_CLOSE(dlog, rdlog, kTolerance<T> * 4);
  for (int64_t i = 0; i < size; ++i) EXPECT_NEAR(dx[i], rdx[i], kTolerance<T>);
}

template <class T> void check_cross_entropy(bool weighted, double smoothing, Reduction reduction) {
  constexpr int t = sizeof(T) == 8;
  const int64_t rows = 9, n = 37;
  auto x = random_values<T>(rows * n, 3, -6, 6), w = random_values<T>(n, 4, 0.1, 2), g = random_values<T>(rows, 5);
  std::vector<int64_t> target(rows);
  for (int64_t r = 0; r < rows; ++r) target[r] = r == 4 ? -100 : r * 5 % n;
  ClassLoss loss{x.data(), target.data(), weighted ? w.data() : nullptr, rows, n};
  loss.label_smoothing = smoothing;
  loss.reduction = reduction;
  std::vector<T> lse(rows), out(reduction == Reduction::None ? rows : 1), total(1), dx(rows * n);
  std::vector<double> each(rows), expected(out.size()), rdx(rows * n);
  double weight = 0, sum = 0;
  for (int64_t r = 0; r < rows; ++r)
    if (target[r] >= 0) weight += weighted ? w[target[r]] : 1;
  for (int64_t r = 0; r < rows; ++r) {
    if (target[r] < 0) continue;
    double z = 0;
    for (int64_t c = 0; c < n; ++c) z += std::exp(double(x[r * n + c]));
    double scale = reduction == Reduction::None ? g[r] : reduction == Reduction::Mean ? g[0] / weight : g[0];
    double mass = 0;
    auto counts = [&](int64_t c) {  // what class c counts in this row's loss
      return (weighted ? double(w[c]) : 1) * ((c == target[r] ? 1 - smoothing : 0) + smoothing / double(n));
    };
    for (int64_t c = 0; c < n; ++c) mass += counts(c);
    for (int64_t c = 0; c < n; ++c) {
      double log_p = x[r * n + c] - std::log(z);
      each[r] -= counts(c) * log_p;
      rdx[r * n + c] = scale * (std::exp(log_p) * mass - counts(c));
    }
    sum += each[r];
  }
  if (reduction == Reduction::None)
    expected = each;
  else
    expected[0] = reduction == Reduction::Mean ? sum / weight : sum;
  EXPECT_EQ(k().cross_entropy[t](loss, lse.data(), out.data(), total.data()), -1);
  EXPECT_CLOSE(out, expected, kTolerance<T>);
  EXPECT_NEAR(total[0], weight, kTolerance<T>);
  k().cross_entropy_backward[t](loss, lse.data(), total.data(), g.data(), dx.data());
  EXPECT_CLOSE(dx, rdx, kTolerance<T>);
  target[6] = n;
  EXPECT_EQ(k().cross_entropy[t](loss, lse.data(), out.data(), total.data()), 6);
  target[2] = -1;
  EXPECT_EQ(k().cross_entropy[t](loss, lse.data(), out.data(), total.data()), 2);
}

}  // namespace

TEST(softmax_against_loops) {
  for (auto [outer, n, inner] :
       {std::array<int64_t, 3>{3, 7, 1}, {64, 10, 1}, {2, 1000, 1}, {1, 4100, 1}, {2, 5, 33}, {3, 4, 5}, {4, 1, 1}}) {
    check_shape<float>(outer, n, inner);
    check_shape<double>(outer, n, inner);
  }
}

TEST(softmax_at_infinities) {
  const float inf = INFINITY;
  std::vector<float> x = {-inf, -inf, -inf, 0, -inf, 0, inf, 1, 1}, y(9), lse(3);
  k().softmax[0](x.data(), y.data(), 3, 3, 1);
  k().logsumexp[0](x.data(), lse.data(), 3, 3, 1);
  EXPECT(std::isnan(y[0]) && std::isnan(y[8]));
  EXPECT(y[3] == 0.5f && y[4] == 0 && y[5] == 0.5f);
  EXPECT(lse[0] == -inf && lse[2] == inf);
  EXPECT_NEAR(lse[1], std::log(2.0), 1e-6);
}

TEST(cross_entropy_against_loops) {
  for (bool weighted : {false, true})
    for (double smoothing : {0.0, 0.1})
      for (Reduction reduction : {Reduction::None, Reduction::Mean, Reduction::Sum}) {
        check_cross_entropy<float>(weighted, smoothing, reduction);
        check_cross_entropy<double>(weighted, smoothing, reduction);
      }
}

TEST(nll_loss_of_images) {
  const int64_t N = 2, C = 3, inner = 5;
  auto x = random_values<float>(N * C * inner, 7);
  std::vector<int64_t> target = {0, 1, 2, -100, 1, 2, 2, 0, 1, 0};
  ClassLoss loss{x.data(), target.data(), nullptr, N, C, inner};
  double sum = 0;
  std::vector<double> rdx(x.size());
  for (int64_t i = 0; i < N * inner; ++i) {
    if (target[i] < 0) continue;
    int64_t at = (i / inner * C + target[i]) * inner + i % inner;
    sum -= x[at];
    rdx[at] = -2.0 / 9;
  }
  std::vector<float> out(1), total(1), grad = {2}, dx(x.size());
  EXPECT_EQ(k().nll_loss[0](loss, out.data(), total.data()), -1);
  EXPECT_NEAR(out[0], sum / 9, 1e-6);
  k().nll_loss_backward[0](loss, total.data(), grad.data(), dx.data());
  EXPECT_CLOSE(dx, rdx, 1e-6);
  target[7] = 3;
  EXPECT_EQ(k().nll_loss[0](loss, out.data(), total.data()), 7);
}

TEST(softmax_same_bits_on_any_threads) {
  auto x = random_values<float>(300 * 1000, 8);
  EXPECT(same_on_any_threads([&] {
    std::vector<float> y(x.size());
    k().softmax[0](x.data(), y.data(), 300, 1000, 1);
    return y;
  }));
}
