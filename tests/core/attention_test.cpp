// Attention against the written-out formula in float64.
#include "kernels/cpu/attention.h"
#include "kernel_data.h"

using namespace flambeau;
using namespace flambeau::kernels;
using namespace flambeau::test;

namespace {

struct Sizes {
  int64_t batch, heads, kv_heads, queries, keys, width, value_width;
  bool causal, masked;
};

void check(const Sizes& c) {
  // [batch, length, heads, width] for q, k and v: strides as after a transpose; the result is [batch, heads, ...].
  AttentionShape s{c.batch, c.heads, c.queries, c.keys, c.width, c.value_width, c.kv_heads};
  s.q = {c.queries * c.heads * c.width, c.width, c.heads * c.width};
  s.k = {c.keys * c.kv_heads * c.width, c.width, c.kv_heads * c.width};
  s.v = {c.keys * c.kv_heads * c.value_width, c.value_width, c.kv_heads * c.value_width};
  s.out = {c.heads * c.queries * c.value_width, c.queries * c.value_width, c.value_width};
  s.scale = float(1 / std::sqrt(double(c.width)));
  s.causal = c.causal;
  auto q = random_values<float>(c.batch * s.q.batch, 1), k = random_values<float>(c.batch * s.k.batch, 2);
  auto v = random_values<float>(c.batch * s.v.batch, 3), g = random_values<float>(c.batch * s.out.batch, 4);
  auto mask = random_values<float>(c.queries * c.keys, 5);
  if (c.masked) {
    for (size_t i = 0; i < mask.size(); i += 3) mask[i] = -INFINITY;
    for (int64_t j = 0; j < c.keys; ++j) mask[j] = -INFINITY;  // the first query sees nothing
    s.mask = mask.data();
    s.mask_stride = {0, 0, c.keys};
  }
  std::vector<double> out(g.size()), dq(q.size()), dk(k.size()), dv(v.size()), p(c.keys), dp(c.keys);
  for (int64_t b = 0; b < c.batch; ++b)
    for (int64_t h = 0; h < c.heads; ++h)
      for (int64_t i = 0; i < c.queries; ++i) {
        int64_t kv = h / (c.heads / c.kv_heads);
        int64_t qi = b * s.q.batch + h * s.q.head + i * s.q.row, oi = b * s.out.batch + h * s.out.head + i * s.out.row;
        auto kj = [&](int64_t j) { return b * s.k.batch + kv * s.k.head + j * s.k.row; };
        auto vj = [&](int64_t j) { return b * s.v.batch + kv * s.v.head + j * s.v.row; };
        double sum = 0, dot = 0;
        for (int64_t j = 0; j < c.keys; ++j) {
          double score = 0;
          for (int64_t e = 0; e < c.width; ++e) score += double(q[qi + e]) * k[kj(j) + e];
          score = score * s.scale + (c.masked ? mask[i * c.keys + j] : 0);
          p[j] = c.causal && j > i ? 0 : std::exp(score);
          sum += p[j];
        }
        for (int64_t j = 0; j < c.keys; ++j) {
          p[j] = sum > 0 ? p[j] / sum : 0;
          dp[j] = 0;
          for (int64_t e = 0; e < c.value_width; ++e) {
            out[oi + e] += p[j] * v[vj(j) + e];
            dv[vj(j) + e] += p[j] * g[oi + e];
            dp[j] += double(g[oi + e]) * v[vj(j) + e];
          }
          dot += p[j] * dp[j];
        }
        for (int64_t j = 0; j < c.keys; ++j)
          for (int64_t e = 0; e < c.width; ++e) {
            double ds = p[j] * (dp[j] - dot) * s.scale;
            dq[qi + e] += ds * k[kj(j) + e];
            dk[kj(j) + e] += ds * q[qi + e];
          }
      }
  std::vector<float> y(g.size(), 7), lse(c.batch * c.heads * c.queries), gq(q.size(), 7), gk(k.size(), 7),
      gv(v.size(), 7);
  auto& kernels = table<AttentionKernels>();
  kernels.forward(s, q.data(), k.data(), v.data(), y.data(), lse.data());
  kernels.backward(s, q.data(), k.data(), v.data(), y.data(), lse.data(), g.data(), gq.data(), gk.data(), gv.data());
  EXPECT_CLOSE(y, out, 5e-6);
  EXPECT_CLOSE(gq, dq, 1e-5);
  EXPECT_CLOSE(gk, dk, 1e-5);
  EXPECT_CLOSE(gv, dv, 1e-5);
}

}  // namespace

TEST(attention_against_the_formula) {
  for (bool causal : {false, true})
    for (bool masked : {false, true})
      for (Sizes c : {Sizes{2, 3, 3, 70, 70, 32, 32}, Sizes{1, 2, 2, 5, 7, 3, 5}, Sizes{2, 4, 2, 60, 300, 40, 72},
                      Sizes{1, 1, 1, 320, 289, 16, 16}, Sizes{1, 2, 1, 61, 61, 33, 65}, Sizes{1, 1, 1, 90, 11, 8, 8}}) {
        c.causal = causal;
        c.masked = masked;
        check(c);
      }
}

TEST(attention_same_bits_on_any_threads) {
  AttentionShape s{2, 4, 100, 100, 64, 64, 4};
  s.q = s.k = s.v = s.out = {4 * 6400, 6400, 64};
  s.scale = 0.125f;
  auto q = random_values<float>(51200, 1), k = random_values<float>(51200, 2), v = random_values<float>(51200, 3);
  EXPECT(same_on_any_threads([&] {
    std::vector<float> y(51200), lse(800), dq(51200), dk(51200), dv(51200);
    auto& kernels = table<AttentionKernels>();
    kernels.forward(s, q.data(), k.data(), v.data(), y.data(), lse.data());
    kernels.backward(s, q.data(), k.data(), v.data(), y.data(), lse.data(), q.data(), dq.data(), dk.data(), dv.data());
    y.insert(y.end(), dk.begin(), dk.end());
    y.insert(y.end(), dq.begin(), dq.end());
    return y;
  }));
}
