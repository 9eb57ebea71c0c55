// Whole recurrent layers against their cells written out, gradients against central differences, both directions.
#include <functional>
#include "ops/recurrent.h"
#include "kernel_data.h"

using namespace flambeau;
using namespace flambeau::ops;
using namespace flambeau::test;

namespace {

constexpr int64_t T = 4, N = 3, H = 5, kRow = 8;  // rows of the output leave room for another direction
using Values = std::vector<double>;
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

RecurrentLayer layer(bool reverse) { return {DType::Float64, T, N, H, kRow, reverse}; }

// h of every step by the formulas; cells stays empty for the GRU.
Values by_formula(bool lstm, bool reverse, const Values& gates, const Values& w, const Values& b, Values h, Values c) {
  const int64_t G = lstm ? 4 : 3;
  Values out(T * N * kRow);
  for (int64_t i = 0; i < T; ++i) {
    int64_t t = reverse ? T - 1 - i : i;
    Values next = h;
    for (int64_t n = 0; n < N; ++n)
      for (int64_t j = 0; j < H; ++j) {
        double in[4], rec[4];
        for (int64_t g = 0; g < G; ++g) {
          in[g] = gates[((t * N + n) * G + g) * H + j];
          rec[g] = lstm ? 0 : b[g * H + j];
          for (int64_t k = 0; k < H; ++k) rec[g] += w[(g * H + j) * H + k] * h[n * H + k];
        }
        double& now = next[n * H + j];
        if (lstm) {
          double& cell = c[n * H + j];
          cell = sigmoid(in[1] + rec[1]) * cell + sigmoid(in[0] + rec[0]) * std::tanh(in[2] + rec[2]);
          now = sigmoid(in[3] + rec[3]) * std::tanh(cell);
        } else {
          double z = sigmoid(in[1] + rec[1]), fresh = std::tanh(in[2] + sigmoid(in[0] + rec[0]) * rec[2]);
          now = (1 - z) * fresh + z * now;
        }
        out[(t * N + n) * kRow + j] = now;
      }
    h = next;
  }
  return out;
}

Values slopes(Values at, const std::function<double(const Values&)>& f) {
  Values slope(at.size());
  for (size_t i = 0; i < at.size(); ++i) {
    double x = at[i];
    at[i] = x + 1e-5;
    double up = f(at);
    at[i] = x - 1e-5;
    slope[i] = (up - f(at)) / 2e-5;
    at[i] = x;
  }
  return slope;
}
double dot(const Values& a, const Values& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

void check(bool lstm, bool reverse) {
  const int64_t G = lstm ? 4 : 3;
  auto gates = random_values<double>(T * N * G * H, 1), w = random_values<double>(G * H * H, 2, -0.5, 0.5);
  auto b = random_values<double>(G * H, 3), h0 = random_values<double>(N * H, 4), c0 = random_values<double>(N * H, 5);
  auto weights = random_values<double>(T * N * kRow, 6);  // of the outputs in the loss
  for (int64_t i = 0; i < T * N; ++i)
    for (int64_t j = H; j < kRow; ++j) weights[i * kRow + j] = 0;
  Values out(T * N * kRow), cells(T * N * H), saved = gates, dgates(gates.size()), dhidden(gates.size()), dh0(N * H),
                                              dc0(N * H), dw(w.size());
  if (lstm) {
    lstm_layer(layer(reverse), saved.data(), w.data(), h0.data(), c0.data(), out.data(), cells.data());
    lstm_layer_backward(layer(reverse), saved.data(), w.data(), h0.data(), c0.data(), out.data(), cells.data(),
                        weights.data(), nullptr, nullptr, dgates.data(), dh0.data(), dc0.data(), dw.data());
  } else {
    saved.resize(T * N * 4 * H);
    gru_layer(layer(reverse), gates.data(), w.data(), b.data(), h0.data(), out.data(), saved.data());
    gru_layer_backward(layer(reverse), w.data(), h0.data(), out.data(), saved.data(), weights.data(), nullptr,
                       dgates.data(), dhidden.data(), dh0.data(), dw.data());
  }
  auto loss = [&](const Values& g, const Values& weight, const Values& h, const Values& c) {
    return dot(by_formula(lstm, reverse, g, weight, b, h, c), weights);
  };
  EXPECT_CLOSE(out, by_formula(lstm, reverse, gates, w, b, h0, c0), 1e-13);
  EXPECT_CLOSE(dgates, slopes(gates, [&](const Values& v) { return loss(v, w, h0, c0); }), 1e-8);
  EXPECT_CLOSE(dw, slopes(w, [&](const Values& v) { return loss(gates, v, h0, c0); }), 1e-8);
  EXPECT_CLOSE(dh0, slopes(h0, [&](const Values& v) { return loss(gates, w, v, c0); }), 1e-8);
  if (lstm) EXPECT_CLOSE(dc0, slopes(c0, [&](const Values& v) { return loss(gates, w, h0, v); }), 1e-8);
}

}  // namespace

TEST(lstm_layer_against_formula) { check(true, false), check(true, true); }
TEST(gru_layer_against_formula) { check(false, false), check(false, true); }
