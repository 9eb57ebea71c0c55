// Sorting, selection and unique against std::stable_sort, over sizes that take every method.
#include "base/parallel.h"
#include "kernels/cpu/sort.h"
#include "test.h"

#include <algorithm>
#include <numeric>
#include <random>

using namespace flambeau;

namespace {

const kernels::SortKernels& order() { return kernels::table<kernels::SortKernels>(); }

template <class T> std::vector<T> sample(int64_t n, int kind, unsigned seed) {
  std::mt19937_64 random(seed);
  std::vector<T> x(n);
  for (auto& v : x) {
    if constexpr (std::is_floating_point_v<T>) {
      v = T(std::normal_distribution<double>(0, 3)(random));
      if (kind == 1) v = std::round(v);  // ties, and both zeros
      if (kind == 1 && random() % 10 == 0) v = T(NAN);
    } else {
      v = kind == 0 ? T(random()) : T(random() % 7);
    }
  }
  return x;
}

template <class T> bool before(T a, T b) { return a == a && (b != b || a < b); }  // NaN last
template <class T> bool same(T a, T b) { return a == b || (a != a && b != b); }

template <class T> std::vector<int64_t> stable_order(const T* x, int64_t n, bool descending) {
  std::vector<int64_t> at(n);
  std::iota(at.begin(), at.end(), 0);
  std::stable_sort(at.begin(), at.end(),
                   [&](int64_t i, int64_t j) { return descending ? before(x[j], x[i]) : before(x[i], x[j]); });
  return at;
}

template <class T> void check_order(DType dtype, int64_t rows, int64_t n, int kind) {
  auto x = sample<T>(rows * n, kind, unsigned(n + kind));
  int64_t k = std::min<int64_t>(n, n > 300 ? 200 : 9), middle = n / 2;
  std::vector<T> values(rows * n), top(rows * k), one(rows);
  std::vector<int64_t> indices(rows * n), top_indices(rows * k), one_index(rows);
  for (bool descending : {false, true}) {
    order().sort(dtype, x.data(), rows, n, descending, values.data(), indices.data());
    order().topk(dtype, x.data(), rows, n, k, descending, top.data(), top_indices.data());
    order().kth(dtype, x.data(), rows, n, middle, one.data(), one_index.data());
    int64_t wrong = 0;
    for (int64_t r = 0; r < rows; r++) {
      auto want = stable_order(&x[r * n], n, descending);
      for (int64_t i = 0; i < n; i++)
        wrong += indices[r * n + i] != want[i] || !same(values[r * n + i], x[r * n + want[i]]);
      for (int64_t i = 0; i < k; i++)
        wrong += top_indices[r * k + i] != want[i] || !same(top[r * k + i], x[r * n + want[i]]);
      if (!descending) wrong += one_index[r] != want[middle] || !same(one[r], x[r * n + want[middle]]);
    }
    EXPECT_EQ(wrong, 0);
  }
}

}  // namespace

TEST(sort_topk_and_kth_are_stable_for_every_dtype) {
  for (int kind : {0, 1}) {
    for (int64_t n : {1, 2, 24, 25, 100, 161, 1000, 20000}) {
      check_order<float>(DType::Float32, n > 1000 ? 2 : 9, n, kind);
      check_order<double>(DType::Float64, 3, n, kind);
      check_order<int64_t>(DType::Int64, 3, n, kind);
      check_order<int32_t>(DType::Int32, 3, n, kind);
      check_order<int16_t>(DType::Int16, 3, n, kind);
      check_order<int8_t>(DType::Int8, 3, n, kind);
      check_order<uint8_t>(DType::UInt8, 3, n, kind);
    }
    check_order<float>(DType::Float32, 1, 150000, kind);
    check_order<int64_t>(DType::Int64, 2, 70000, kind);
  }
}

TEST(sorting_halves_orders_their_values) {
  std::vector<Half> x{to_half(2), to_half(-1), to_half(NAN), to_half(0.5f)};
  std::vector<int64_t> at(4);
  order().sort(DType::Float16, x.data(), 1, 4, false, nullptr, at.data());
  EXPECT((at == std::vector<int64_t>{1, 3, 0, 2}));
  std::vector<BFloat16> y{to_bfloat16(2), to_bfloat16(-1), to_bfloat16(3), to_bfloat16(0.5f)};
  order().sort(DType::BFloat16, y.data(), 1, 4, true, nullptr, at.data());
  EXPECT((at == std::vector<int64_t>{2, 0, 3, 1}));
}

TEST(median_and_mode) {
  float x[] = {3, 1, 2, 4, NAN, 5, 1, 1, 1, 2, 2, 2};
  float value[2];
  int64_t index[2];
  order().median(DType::Float32, x, 2, 6, false, value, index);
  EXPECT(value[0] != value[0]);
  EXPECT_EQ(index[0], 4);
  EXPECT_EQ(value[1], 1.0f);
  order().median(DType::Float32, x, 2, 6, true, value, index);
  EXPECT_EQ(value[0], 3.0f);
  EXPECT_EQ(index[0], 0);
  order().mode(DType::Float32, x + 6, 1, 6, value, index);
  EXPECT_EQ(value[0], 1.0f);
  EXPECT_EQ(index[0], 2);
}

TEST(unique_counts_and_inverts) {
  for (int64_t n : {1, 50, 5000, 100000}) {
    for (bool consecutive : {false, true}) {
      auto x = sample<int32_t>(n, 1, 3);
      std::vector<int32_t> values(n);
      std::vector<int64_t> inverse(n), counts(n);
      auto find = consecutive ? order().unique_consecutive : order().unique;
      int64_t u = find(DType::Int32, x.data(), n, values.data(), inverse.data(), counts.data());
      std::vector<int32_t> want = x;
      if (!consecutive) std::sort(want.begin(), want.end());
      want.erase(std::unique(want.begin(), want.end()), want.end());
      EXPECT(std::vector<int32_t>(values.begin(), values.begin() + u) == want);
      int64_t wrong = 0;
      std::vector<int64_t> seen(u);
      for (int64_t i = 0; i < n; i++) wrong += values[inverse[i]] != x[i], seen[inverse[i]]++;
      EXPECT_EQ(wrong, 0);
      EXPECT(std::equal(seen.begin(), seen.end(), counts.begin()));
    }
  }
  float y[] = {NAN, 1, NAN, 1};
  float values[4];
  EXPECT_EQ(order().unique(DType::Float32, y, 4, values, nullptr, nullptr), 3);
}
