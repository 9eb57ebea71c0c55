// LSTM and GRU cells against their formulas, gradients against central differences; dropout's mask.
#include <functional>
#include "kernels/cpu/dropout.h"
#include "kernels/cpu/rnn.h"
#include "kernel_data.h"

using namespace flambeau;
using namespace flambeau::kernels;
using namespace flambeau::test;

namespace {

const RnnKernels& k() { return table<RnnKernels>(); }
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

constexpr int64_t N = 3, H = 19;
using Values = std::vector<double>;

struct Result {
  Values h, c, saved;
};
Result lstm(const Values& x, const Values& hidden, const Values& c0) {
  Result r{Values(N * H), Values(N * H), Values(4 * N * H)};
  k().lstm_cell[1](x.data(), hidden.data(), nullptr, c0.data(), r.h.data(), r.c.data(), r.saved.data(),
                   {N, H, 4 * H, H});
  return r;
}
Result gru(const Values& x, const Values& hidden, const Values& h0) {
  Result r{Values(N * H), {}, Values(4 * N * H)};
  k().gru_cell[1](x.data(), hidden.data(), nullptr, nullptr, h0.data(), H, r.h.data(), r.saved.data(),
                  {N, H, 3 * H, H});
  return r;
}

Values slopes(Values at, const std::function<double(const Values&)>& f) {
  Values slope(at.size());
  for (size_t i = 0; i < at.size(); ++i) {
    double x = at[i], step = 1e-5;
    at[i] = x + step;
    double up = f(at);
    at[i] = x - step;
    slope[i] = (up - f(at)) / (2 * step);
    at[i] = x;
  }
  return slope;
}
double dot(const Values& a, const Values& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

TEST(lstm_cell_and_gradient) {
  auto x = random_values<double>(N * 4 * H, 1), hidden = random_values<double>(N * 4 * H, 2),
       c0 = random_values<double>(N * H, 3);
  Result r = lstm(x, hidden, c0);
  Values h(N * H), c(N * H);
  for (int64_t n = 0; n < N; ++n)
    for (int64_t j = 0; j < H; ++j) {
      auto gate = [&](int64_t i) { return x[(n * 4 + i) * H + j] + hidden[(n * 4 + i) * H + j]; };
      c[n * H + j] = sigmoid(gate(1)) * c0[n * H + j] + sigmoid(gate(0)) * std::tanh(gate(2));
      h[n * H + j] = sigmoid(gate(3)) * std::tanh(c[n * H + j]);
    }
  EXPECT_CLOSE(r.h, h, 1e-14);
  EXPECT_CLOSE(r.c, c, 1e-14);
  auto dh = random_values<double>(N * H, 4), dn = random_values<double>(N * H, 5), dc = random_values<double>(N * H, 6),
       sum = dh;
  for (size_t i = 0; i < sum.size(); ++i) sum[i] += dn[i];
  Values dgates(N * 4 * H), dc0(N * H);
  k().lstm_cell_backward[1](dh.data(), dn.data(), dc.data(), r.saved.data(), c0.data(), r.c.data(), dgates.data(),
                            dc0.data(), {N, H, 4 * H, H});
  auto loss = [&](const Result& o) { return dot(o.h, sum) + dot(o.c, dc); };
  EXPECT_CLOSE(dgates, slopes(x, [&](const Values& v) { return loss(lstm(v, hidden, c0)); }), 1e-8);
  EXPECT_CLOSE(dc0, slopes(c0, [&](const Values& v) { return loss(lstm(x, hidden, v)); }), 1e-8);
}

TEST(gru_cell_and_gradient) {
  auto x = random_values<double>(N * 3 * H, 1), hidden = random_values<double>(N * 3 * H, 2),
       h0 = random_values<double>(N * H, 3);
  Result r = gru(x, hidden, h0);
  Values h(N * H);
  for (int64_t n = 0; n < N; ++n)
    for (int64_t j = 0; j < H; ++j) {
      auto a = [&](int64_t i) { return x[(n * 3 + i) * H + j]; };
      auto b = [&](int64_t i) { return hidden[(n * 3 + i) * H + j]; };
      double z = sigmoid(a(1) + b(1)), fresh = std::tanh(a(2) + sigmoid(a(0) + b(0)) * b(2));
      h[n * H + j] = (1 - z) * fresh + z * h0[n * H + j];
    }
  EXPECT_CLOSE(r.h, h, 1e-14);
  auto dh = random_values<double>(N * H, 4);
  Values dx(N * 3 * H), dhidden(N * 3 * H), dh0(N * H);
  k().gru_cell_backward[1](dh.data(), nullptr, r.saved.data(), h0.data(), H, dx.data(), dhidden.data(), dh0.data(),
                           {N, H, 3 * H, H});
  EXPECT_CLOSE(dx, slopes(x, [&](const Values& v) { return dot(gru(v, hidden, h0).h, dh); }), 1e-8);
  EXPECT_CLOSE(dhidden, slopes(hidden, [&](const Values& v) { return dot(gru(x, v, h0).h, dh); }), 1e-8);
  EXPECT_CLOSE(dh0, slopes(h0, [&](const Values& v) { return dot(gru(x, hidden, v).h, dh); }), 1e-8);
}

TEST(cells_in_float32_with_bias) {  // and input gates that are a slice of a longer row
  auto x = random_values<float>(N * 6 * H, 1), hidden = random_values<float>(N * 4 * H, 2),
       bias = random_values<float>(4 * H, 3);
  auto c0 = random_values<float>(N * H, 4);
  Values xd(N * 4 * H), hd(hidden.begin(), hidden.end()), cd(c0.begin(), c0.end());
  for (int64_t n = 0; n < N; ++n)
    for (int64_t i = 0; i < 4 * H; ++i) xd[n * 4 * H + i] = x[n * 6 * H + i] + bias[i];
  std::vector<float> h(N * H), c(N * H);
  k().lstm_cell[0](x.data(), hidden.data(), bias.data(), c0.data(), h.data(), c.data(), nullptr, {N, H, 6 * H, H});
  Result r = lstm(xd, hd, cd);
  EXPECT_CLOSE(h, r.h, 1e-6);
  EXPECT_CLOSE(c, r.c, 1e-6);
}

TEST(dropout_mask) {
  auto x = random_values<float>(77, 1);
  std::vector<uint8_t> keep(77);
  std::vector<float> y(77), expected(77);
  for (size_t i = 0; i < keep.size(); ++i) {
    keep[i] = i % 3 != 0;
    expected[i] = keep[i] ? x[i] * 2 : 0;
  }
  table<DropoutKernels>().apply[0](x.data(), keep.data(), y.data(), 77, 2);
  EXPECT(same_bits(y, expected));
}
