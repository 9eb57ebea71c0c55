// Normalisation against loops in float64, forward and backward.
#include "kernels/cpu/norm.h"
#include "kernel_data.h"

using namespace flambeau;
using namespace flambeau::kernels;
using namespace flambeau::test;

namespace {

const NormKernels& k() { return table<NormKernels>(); }

// The general case: elements fall into statistics groups and into weight channels; everything else is a special case.
struct Reference {
  std::vector<double> y, mean, rstd, var, dx, dw, db;
};
template <class T, class GroupOf, class ChannelOf>
Reference reference(const std::vector<T>& x, const std::vector<T>& g, const std::vector<T>& w, const std::vector<T>& b,
                    int64_t groups, int64_t channels, GroupOf group, ChannelOf channel, bool centered, double eps) {
  int64_t n = int64_t(x.size());
  double count = double(n) / double(groups);
  Reference r{std::vector<double>(n),       std::vector<double>(groups), std::vector<double>(groups),
              std::vector<double>(groups),  std::vector<double>(n),      std::vector<double>(channels),
              std::vector<double>(channels)};
  if (centered)
    for (int64_t i = 0; i < n; ++i) r.mean[group(i)] += x[i] / count;
  for (int64_t i = 0; i < n; ++i) r.var[group(i)] += std::pow(x[i] - r.mean[group(i)], 2) / count;
  for (int64_t j = 0; j < groups; ++j) r.rstd[j] = 1 / std::sqrt(r.var[j] + eps);
  std::vector<double> a(groups), c(groups);
  auto hat = [&](int64_t i) { return (x[i] - r.mean[group(i)]) * r.rstd[group(i)]; };
  for (int64_t i = 0; i < n; ++i) {
    r.y[i] = hat(i) * w[channel(i)] + b[channel(i)];
    r.dw[channel(i)] += g[i] * hat(i);
    r.db[channel(i)] += g[i];
    a[group(i)] += centered ? g[i] * double(w[channel(i)]) / count : 0;
    c[group(i)] += g[i] * double(w[channel(i)]) * hat(i) / count;
  }
  for (int64_t i = 0; i < n; ++i)
    r.dx[i] = r.rstd[group(i)] * (g[i] * double(w[channel(i)]) - a[group(i)] - hat(i) * c[group(i)]);
  return r;
}

template <class T> struct Data {
  Data(int64_t size, int64_t groups, int64_t channels)
      : x(random_values<T>(size, 1, 1, 5)),
        g(random_values<T>(size, 2)),
        w(random_values<T>(channels, 3, 0.2, 2)),
        b(random_values<T>(channels, 4)),
        y(size),
        dx(size),
        mean(groups),
        rstd(groups),
        dw(channels),
        db(channels) {}
  std::vector<T> x, g, w, b, y, dx, mean, rstd, dw, db;
};

template <class T> void check_rows(int64_t rows, int64_t n) {
  constexpr int t = sizeof(T) == 8;
  const double tolerance = 3 * kTolerance<T>;
  Data<T> d(rows * n, rows, n);
  auto group = [=](int64_t i) { return i / n; };
  auto channel = [=](int64_t i) { return i % n; };
  auto r = reference(d.x, d.g, d.w, d.b, rows, n, group, channel, true, 1e-5);
  k().layer_norm[t](d.x.data(), d.w.data(), d.b.data(), d.y.data(), d.mean.data(), d.rstd.data(), rows, n, 1e-5);
  k().layer_norm_backward[t](d.g.data(), d.x.data(), d.w.data(), d.mean.data(), d.rstd.data(), d.dx.data(), d.dw.data(),
                             d.db.data(), rows, n);
  EXPECT_CLOSE(d.y, r.y, tolerance);
  EXPECT_CLOSE(d.mean, r.mean, tolerance);
  EXPECT_CLOSE(d.dx, r.dx, tolerance);
  EXPECT_CLOSE(d.dw, r.dw, tolerance);
  EXPECT_CLOSE(d.db, r.db, tolerance);
  std::vector<T> zero(n), none(rows);
  r = reference(d.x, d.g, d.w, zero, rows, n, group, channel, false, 1e-6);
  k().rms_norm[t](d.x.data(), d.w.data(), d.y.data(), d.rstd.data(), rows, n, 1e-6);
  k().rms_norm_backward[t](d.g.data(), d.x.data(), d.w.data(), d.rstd.data(), d.dx.data(), d.dw.data(), rows, n);
  EXPECT_CLOSE(d.y, r.y, tolerance);
  EXPECT_CLOSE(d.dx, r.dx, tolerance);
  EXPECT_CLOSE(d.dw, r.dw, tolerance);
}

template <class T> void check_group(ChannelShape s) {
  constexpr int t = sizeof(T) == 8;
  const double tolerance = 3 * kTolerance<T>;
  int64_t width = s.channels / s.groups * s.inner;
  Data<T> d(s.batch * s.channels * s.inner, s.batch * s.groups, s.channels);
  auto r = reference(
      d.x, d.g, d.w, d.b, s.batch * s.groups, s.channels, [=](int64_t i) { return i / width; },
      [=](int64_t i) { return i / s.inner % s.channels; }, true, 1e-5);
  k().group_norm[t](d.x.data(), d.w.data(), d.b.data(), d.y.data(), d.mean.data(), d.rstd.data(), s, 1e-5);
  k().group_norm_backward[t](d.g.data(), d.x.data(), d.w.data(), d.mean.data(), d.rstd.data(), d.dx.data(), d.dw.data(),
                             d.db.data(), s);
  EXPECT_CLOSE(d.y, r.y, tolerance);
  EXPECT_CLOSE(d.dx, r.dx, tolerance);
  EXPECT_CLOSE(d.dw, r.dw, tolerance);
  EXPECT_CLOSE(d.db, r.db, tolerance);
}

template <class T> void check_batch(ChannelShape s) {
  constexpr int t = sizeof(T) == 8;
  const double tolerance = 5 * kTolerance<T>;
  Data<T> d(s.batch * s.channels * s.inner, s.channels, s.channels);
  auto channel = [=](int64_t i) { return i / s.inner % s.channels; };
  auto r = reference(d.x, d.g, d.w, d.b, s.channels, s.channels, channel, channel, true, 1e-5);
  auto running_mean = random_values<T>(s.channels, 9), running_var = random_values<T>(s.channels, 10, 1, 2);
  std::vector<double> expected_mean(s.channels), expected_var(s.channels);
  double n = double(s.batch * s.inner);
  for (int64_t c = 0; c < s.channels; ++c) {
    expected_mean[c] = 0.75 * running_mean[c] + 0.25 * r.mean[c];
    expected_var[c] = 0.75 * running_var[c] + 0.25 * r.var[c] * n / (n - 1);
  }
  k().batch_norm_train[t](d.x.data(), d.w.data(), d.b.data(), d.y.data(), d.mean.data(), d.rstd.data(),
                          running_mean.data(), running_var.data(), s, 1e-5, 0.25);
  k().batch_norm_backward[t](d.g.data(), d.x.data(), d.w.data(), d.mean.data(), d.rstd.data(), d.dx.data(), d.dw.data(),
                             d.db.data(), s, true);
  EXPECT_CLOSE(d.y, r.y, tolerance);
  EXPECT_CLOSE(running_mean, expected_mean, tolerance);
  EXPECT_CLOSE(running_var, expected_var, tolerance);
  EXPECT_CLOSE(d.dx, r.dx, tolerance);
  EXPECT_CLOSE(d.dw, r.dw, tolerance);
  EXPECT_CLOSE(d.db, r.db, tolerance);

  k().batch_norm_eval[t](d.x.data(), d.w.data(), d.b.data(), running_mean.data(), running_var.data(), d.y.data(),
                         d.rstd.data(), s, 1e-5);
  k().batch_norm_backward[t](d.g.data(), d.x.data(), d.w.data(), running_mean.data(), d.rstd.data(), d.dx.data(),
                             nullptr, nullptr, s, false);
  for (size_t i = 0; i < d.x.size(); ++i) {
    int64_t c = channel(int64_t(i));
    double rstd = 1 / std::sqrt(running_var[c] + 1e-5);
    r.y[i] = (d.x[i] - running_mean[c]) * rstd * d.w[c] + d.b[c];
    r.dx[i] = d.g[i] * rstd * d.w[c];
  }
  EXPECT_CLOSE(d.y, r.y, tolerance);
  EXPECT_CLOSE(d.dx, r.dx, tolerance);
}

}  // namespace

TEST(layer_and_rms_norm_against_loops) {
  for (auto [rows, n] : {std::pair<int64_t, int64_t>{3, 5}, {70, 33}, {2, 1000}, {300, 64}}) {
    check_rows<float>(rows, n);
    check_rows<double>(rows, n);
  }
}

TEST(group_norm_against_loops) {
  for (ChannelShape s : {ChannelShape{2, 6, 35, 3}, {2, 8, 1, 2}, {1, 4, 1600, 1}}) {
    check_group<float>(s);
    check_group<double>(s);
  }
}

TEST(batch_norm_against_loops) {  // feature vectors, narrow and wide planes, and channels cut along the batch
  for (ChannelShape s : {ChannelShape{33, 70, 1}, {600, 5, 1}, {5, 6, 2}, {4, 3, 35}, {3, 2, 67600}}) {
    check_batch<float>(s);
    check_batch<double>(s);
  }
}

TEST(norm_accuracy_far_from_zero) {  // one pass over squares would lose everything here
  std::vector<float> x = random_values<float>(4096, 1, 9999, 10001), y(4096), mean(1), rstd(1);
  k().layer_norm[0](x.data(), nullptr, nullptr, y.data(), mean.data(), rstd.data(), 1, 4096, 0);
  double m = 0, v = 0;
  for (float e : x) m += e / 4096.0;
  for (float e : x) v += (e - m) * (e - m) / 4096.0;
  EXPECT_NEAR(rstd[0], 1 / std::sqrt(v), 1e-3);
}

TEST(norm_same_bits_on_any_threads) {
  const int64_t rows = 2000, n = 96;
  auto x = random_values<float>(rows * n, 1), g = random_values<float>(rows * n, 2), w = random_values<float>(n, 3);
  EXPECT(same_on_any_threads([&] {
    std::vector<float> y(rows * n), mean(rows), rstd(rows), dw(n), db(n);
    k().layer_norm[0](x.data(), w.data(), nullptr, y.data(), mean.data(), rstd.data(), rows, n, 1e-5);
    k().layer_norm_backward[0](g.data(), x.data(), w.data(), mean.data(), rstd.data(), y.data(), dw.data(), db.data(),
                               rows, n);
    y.insert(y.end(), dw.begin(), dw.end());
    return y;
  }));
  EXPECT(same_on_any_threads([&] {
    ChannelShape s{20, 3, 3200};
    std::vector<float> y(rows * n), mean(3), rstd(3);
    k().batch_norm_train[0](x.data(), nullptr, nullptr, y.data(), mean.data(), rstd.data(), nullptr, nullptr, s, 1e-5,
                            0.1);
    return y;
  }));
}
