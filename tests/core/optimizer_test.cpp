// Optimizer steps against the published rules, element by element in float64, over several steps.
#include <algorithm>
#include <functional>
#include "kernels/cpu/optimizer.h"
#include "kernel_data.h"

using namespace flambeau;
using namespace flambeau::kernels;
using namespace flambeau::test;

namespace {

const OptimizerKernels& k() { return table<OptimizerKernels>(); }

// One element: value, gradient, three states, step number.
using Rule = std::function<void(double& p, double g, double* s, int step)>;

template <class T> void check(int states, const std::function<void(Parameter*, int64_t)>& step, const Rule& rule) {
  for (std::vector<int64_t> sizes : {std::vector<int64_t>{10, 320, 0, 1, 33}, {40000, 7, 70001}}) {
    std::vector<std::vector<T>> values, grads, state;
    std::vector<std::vector<double>> expected, expected_state;
    std::vector<Parameter> list(sizes.size());
    for (size_t i = 0; i < sizes.size(); ++i) {
      values.push_back(random_values<T>(sizes[i], i + 1));
      expected.emplace_back(values[i].begin(), values[i].end());
      grads.emplace_back(sizes[i]);
      expected_state.emplace_back(3 * sizes[i]);
      for (int j = 0; j < 3; ++j) state.emplace_back(sizes[i]);
    }
    for (size_t i = 0; i < sizes.size(); ++i) {
      list[i].value = values[i].data();
      list[i].grad = grads[i].data();
      for (int j = 0; j < 3; ++j) list[i].state[j] = states >> j & 1 ? state[3 * i + j].data() : nullptr;
      list[i].size = sizes[i];
    }
    for (int t = 1; t <= 8; ++t) {
      for (size_t i = 0; i < sizes.size(); ++i) {
        auto fresh = random_values<T>(sizes[i], 100 * t + i);
        std::copy(fresh.begin(), fresh.end(), grads[i].begin());
        list[i].step = t;
        for (int64_t e = 0; e < sizes[i]; ++e) rule(expected[i][e], grads[i][e], &expected_state[i][3 * e], t);
      }
      step(list.data(), int64_t(list.size()));
    }
    for (size_t i = 0; i < sizes.size(); ++i) EXPECT_CLOSE(values[i], expected[i], sizeof(T) == 4 ? 1e-5 : 1e-12);
  }
}

template <class Options, class Entry> void check_both(int states, const Options& o, Entry entry, const Rule& rule) {
  check<float>(
      states, [&](Parameter* list, int64_t n) { (k().*entry)[0](list, n, o); }, rule);
  check<double>(
      states, [&](Parameter* list, int64_t n) { (k().*entry)[1](list, n, o); }, rule);
}

double moment(double& m, double g, double beta) { return m = beta * m + (1 - beta) * g; }
double corrected(double m, double beta, int t) { return m / (1 - std::pow(beta, t)); }

}  // namespace

TEST(sgd_rules) {
  check_both(0, SgdOptions{0.1}, &OptimizerKernels::sgd, [](double& p, double g, double*, int) { p -= 0.1 * g; });
  for (bool nesterov : {false, true}) {
    SgdOptions o{0.1, 0.9, nesterov ? 0 : 0.2, 0.05, nesterov, true};
    check_both(1, o, &OptimizerKernels::sgd, [=](double& p, double g, double* s, int t) {
      g = -g + 0.05 * p;
      s[0] = t == 1 ? g : 0.9 * s[0] + (1 - o.dampening) * g;
      p -= 0.1 * (nesterov ? g + 0.9 * s[0] : s[0]);
    });
  }
}

TEST(adam_rules) {
  for (bool decoupled : {false, true})
    for (bool amsgrad : {false, true}) {
      AdamOptions o{0.01, 0.8, 0.95, 1e-6, 0.1, amsgrad, decoupled, decoupled};
      check_both(amsgrad ? 7 : 3, o, &OptimizerKernels::adam, [=](double& p, double g, double* s, int t) {
        if (o.maximize) g = -g;
        if (decoupled)
          p *= 1 - 0.01 * 0.1;
        else
          g += 0.1 * p;
        moment(s[0], g, 0.8);
        moment(s[1], g * g, 0.95);
        s[2] = std::fmax(s[2], s[1]);
        p -= 0.01 * corrected(s[0], 0.8, t) / (std::sqrt(corrected(amsgrad ? s[2] : s[1], 0.95, t)) + 1e-6);
      });
    }
}

TEST(adaptive_rules) {
  for (bool centered : {false, true}) {
    RmspropOptions o{0.01, 0.9, 1e-6, 0.1, centered ? 0.7 : 0, centered};
    check_both(centered ? 7 : 1, o, &OptimizerKernels::rmsprop, [=](double& p, double g, double* s, int) {
      g += 0.1 * p;
      moment(s[0], g * g, 0.9);
      moment(s[1], g, 0.9);
      double change = g / (std::sqrt(centered ? s[0] - s[1] * s[1] : s[0]) + 1e-6);
      if (centered) change = s[2] = 0.7 * s[2] + change;
      p -= 0.01 * change;
    });
  }
  check_both(1, AdagradOptions{0.1, 0.2, 0.1, 1e-6}, &OptimizerKernels::adagrad,
             [](double& p, double g, double* s, int t) {
               g += 0.1 * p;
               s[0] += g * g;
               p -= 0.1 / (1 + (t - 1) * 0.2) * g / (std::sqrt(s[0]) + 1e-6);
             });
  check_both(3, AdadeltaOptions{0.5, 0.9, 1e-4, 0.1}, &OptimizerKernels::adadelta,
             [](double& p, double g, double* s, int) {
               g += 0.1 * p;
               moment(s[0], g * g, 0.9);
               double change = std::sqrt(s[1] + 1e-4) / std::sqrt(s[0] + 1e-4) * g;
               moment(s[1], change * change, 0.9);
               p -= 0.5 * change;
             });
  check_both(3, AdamaxOptions{0.01, 0.8, 0.95, 1e-6, 0.1}, &OptimizerKernels::adamax,
             [](double& p, double g, double* s, int t) {
               g += 0.1 * p;
               moment(s[0], g, 0.8);
               s[1] = std::fmax(0.95 * s[1], std::fabs(g) + 1e-6);
               p -= 0.01 * corrected(s[0], 0.8, t) / s[1];
             });
}

TEST(nadam_rule) {
  check_both(3, NadamOptions{0.01, 0.8, 0.95, 1e-6, 0.1}, &OptimizerKernels::nadam,
             [](double& p, double g, double* s, int t) {
               auto mu = [](int step) { return 0.8 * (1 - 0.5 * std::pow(0.96, step * 0.004)); };
               double product = 1;
               for (int i = 1; i <= t; ++i) product *= mu(i);
               g += 0.1 * p;
               moment(s[0], g, 0.8);
               moment(s[1], g * g, 0.95);
               double bottom = std::sqrt(corrected(s[1], 0.95, t)) + 1e-6;
               p -= 0.01 * (1 - mu(t)) / (1 - product) * g / bottom +
                    0.01 * mu(t + 1) / (1 - product * mu(t + 1)) * s[0] / bottom;
             });
}

TEST(radam_rule) {
  check_both(3, RadamOptions{0.01, 0.8, 0.95, 1e-6, 0.1, true, true}, &OptimizerKernels::radam,
             [](double& p, double g, double* s, int t) {
               g = -g;
               p *= 1 - 0.01 * 0.1;
               moment(s[0], g, 0.8);
               moment(s[1], g * g, 0.95);
               double limit = 2 / 0.05 - 1, power = std::pow(0.95, t), length = limit - 2 * t * power / (1 - power),
                      change = corrected(s[0], 0.8, t);
               if (length > 5)
                 change *= std::sqrt((length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length)) *
                           std::sqrt(1 - power) / (std::sqrt(s[1]) + 1e-6);
               p -= 0.01 * change;
             });
}

TEST(gradient_norm_and_scale) {
  auto a = random_values<float>(100000, 1), b = random_values<float>(33, 2);
  Parameter list[2];
  list[0] = {nullptr, a.data(), {}, 100000};
  list[1] = {nullptr, b.data(), {}, 33};
  double expected = 0;
  for (float v : a) expected += double(v) * v;
  for (float v : b) expected += double(v) * v;
  EXPECT_NEAR(k().sum_of_squares[0](list, 2), expected, 1e-6);
  EXPECT(same_on_any_threads([&] { return std::vector<double>{k().sum_of_squares[0](list, 2)}; }));
  auto before = a;
  k().scale_gradients[0](list, 2, 0.5);
  for (float& v : before) v *= 0.5f;
  EXPECT(same_bits(a, before));
}
