// Gathering, scattering and counting against plain loops, with 1 and 2 threads, and with bad indices.
#include "base/parallel.h"
#include "kernels/cpu/indexing.h"
#include "test.h"

#include <cstring>
#include <memory>
#include <random>

using namespace flambeau;
using kernels::AlongDim;
using kernels::BlockRows;
using kernels::ScatterOp;

namespace {

const kernels::IndexingKernels& indexing() { return kernels::table<kernels::IndexingKernels>(); }

template <class T> std::vector<T> numbers(int64_t n, int low, int high, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<T> result(n);
  for (auto& x : result) x = T(int(random() % unsigned(high - low)) + low);
  return result;
}

// data [outer, size, inner], list [outer, m, inner]
struct Case {
  int64_t outer, size, m, inner;
  std::vector<int64_t> sizes{outer, m, inner}, data{size * inner, inner, 1}, list{m * inner, inner, 1};
  AlongDim walk() const { return {3, 1, sizes.data(), size, data.data(), list.data(), list.data()}; }
  int64_t data_count() const { return outer * size * inner; }
  int64_t list_count() const { return outer * m * inner; }
  int64_t position(int64_t i, int64_t index) const { return (i / (m * inner) * size + index) * inner + i % inner; }
};
const Case kCases[] = {{1, 5, 7, 1},  {3, 40, 17, 1},  {1, 9, 3000, 1},   {1, 50, 60, 70},
                       {20, 8, 5, 6}, {2, 3, 2, 1500}, {1, 2000, 600, 33}};

}  // namespace

TEST(gather_and_scatter_follow_the_index) {
  for (const Case& c : kCases) {
    auto index = numbers<int64_t>(c.list_count(), 0, int(c.size), 1);
    auto src = numbers<float>(c.data_count(), -9, 9, 2);
    std::vector<float> out(c.list_count());
    EXPECT(indexing().gather(c.walk(), out.data(), src.data(), index.data(), 4).ok());
    for (int64_t i = 0; i < c.list_count(); i++) EXPECT_EQ(out[i], src[c.position(i, index[i])]);

    auto add = numbers<float>(c.list_count(), -9, 9, 3);
    for (auto op : {ScatterOp::Assign, ScatterOp::Sum, ScatterOp::Max, ScatterOp::Min}) {
      for (bool include_self : {true, false}) {
        auto got = src, want = src;
        std::vector<bool> touched(c.data_count(), include_self || op == ScatterOp::Assign);
        EXPECT(
            indexing().scatter(c.walk(), DType::Float32, op, include_self, got.data(), add.data(), index.data()).ok());
        for (int64_t i = 0; i < c.list_count(); i++) {
          int64_t p = c.position(i, index[i]);
          float x = add[i], w = want[p];
          bool fresh = !touched[p] || op == ScatterOp::Assign;
          want[p] = fresh ? x : op == ScatterOp::Sum ? w + x : op == ScatterOp::Max ? std::max(w, x) : std::min(w, x);
          touched[p] = true;
        }
        EXPECT(got == want);
      }
    }
  }
}

TEST(bad_indices_are_found_and_nothing_outside_is_written) {
  for (const Case& c : kCases) {
    auto index = numbers<int64_t>(c.list_count(), 0, int(c.size), 1);
    int64_t at = c.list_count() / 2;
    index[c.list_count() - 1] = -7;
    index[at] = c.size;
    auto src = numbers<float>(c.data_count(), -9, 9, 2);
    std::vector<float> out(c.list_count());
    auto bad = indexing().gather(c.walk(), out.data(), src.data(), index.data(), 4);
    EXPECT_EQ(bad.position, at);
    EXPECT_EQ(bad.value, c.size);
    bad = indexing().scatter(c.walk(), DType::Float32, ScatterOp::Sum, true, src.data(), out.data(), index.data());
    EXPECT_EQ(bad.position, at);
  }
  std::vector<int64_t> index{2, -3, -4};
  std::vector<float> data(3), out(3);
  BlockRows rows{1, 0, 0, 1, 4, 4};
  EXPECT_EQ(indexing().select_rows(rows, out.data(), data.data(), index.data(), 3, 3, true, 4).position, 2);
  EXPECT_EQ(indexing().select_rows(rows, out.data(), data.data(), index.data(), 3, 3, false, 4).position, 1);
  EXPECT_EQ(indexing().assign_rows(rows, data.data(), out.data(), index.data(), 3, 3, true, 4).value, -4);
  EXPECT_EQ(indexing()
                .add_rows(rows, DType::Float32, data.data(), out.data(), index.data(), 3, 3, true, nullptr, -1)
                .position,
            2);
}

TEST(rows_are_selected_assigned_and_added_in_the_order_of_the_list) {
  const int before = num_threads();
  const int64_t cases[][4] = {{1, 9, 4, 3}, {1, 700, 3000, 65}, {1, 10, 6, 9000}, {40, 7, 30, 5}, {3, 600, 900, 1}};
  for (auto [outer, size, n, block] : cases) {
    auto index = numbers<int64_t>(n, int(-size), int(size), 1);
    auto data = numbers<float>(outer * size * block, -99, 99, 2), src = numbers<float>(outer * n * block, -99, 99, 3);
    for (auto& x : src) x *= 0.37f;  // so that the order of additions shows
    BlockRows rows{outer, size * block * 4, n * block * 4, block, block * 4, block * 4};
    auto assigned = data, added = data;
    std::vector<float> selected(src.size());
    std::vector<float> first;
    for (int threads : {1, 2}) {
      set_num_threads(threads);
      auto a = data, s = data;
      EXPECT(indexing().select_rows(rows, selected.data(), data.data(), index.data(), n, size, true, 4).ok());
      EXPECT(indexing().assign_rows(rows, a.data(), src.data(), index.data(), n, size, true, 4).ok());
      EXPECT(indexing()
                 .add_rows(rows, DType::Float32, s.data(), src.data(), index.data(), n, size, true, nullptr, -1)
                 .ok());
      assigned = data, added = data;
      int64_t wrong = 0;
      for (int64_t i = 0; i < outer * n * block; i++) {
        int64_t o = i / (n * block), k = i / block % n, row = index[k] < 0 ? index[k] + size : index[k];
        int64_t p = (o * size + row) * block + i % block;
        wrong += selected[i] != data[p];
        assigned[p] = src[i];
        added[p] += src[i];
      }
      EXPECT_EQ(wrong, 0);
      EXPECT(a == assigned);
      EXPECT(std::memcmp(s.data(), added.data(), s.size() * 4) == 0);
    }
  }
  set_num_threads(before);
}

TEST(added_rows_are_scaled_skipped_and_of_any_dtype) {
  std::vector<int64_t> index{1, 0, 1}, data{1, 2, 3, 4}, src{10, 20, 30, 40, 50, 60};
  BlockRows rows{1, 0, 0, 2, 16, 16};
  int64_t alpha = -2;
  indexing().add_rows(rows, DType::Int64, data.data(), src.data(), index.data(), 3, 2, false, &alpha, 0);
  EXPECT((data == std::vector<int64_t>{1, 2, 3 - 120, 4 - 160}));
  rows.one_value = true;
  indexing().add_rows(rows, DType::Int64, data.data(), src.data(), index.data(), 3, 2, false, nullptr, -1);
  EXPECT((data == std::vector<int64_t>{11, 12, 3 - 100, 4 - 140}));
  indexing().assign_rows(rows, data.data(), src.data(), index.data(), 1, 2, false, 8);
  EXPECT((data == std::vector<int64_t>{11, 12, 10, 10}));
}

TEST(offsets_of_broadcast_indices) {
  std::vector<int64_t> rows{2, -1}, columns{0, 3, -4};
  int64_t shape[] = {2, 3}, sizes[] = {5, 4}, strides[] = {4, 1}, of_rows[] = {1, 0}, of_columns[] = {0, 1};
  const int64_t* index[] = {rows.data(), columns.data()};
  const int64_t* index_strides[] = {of_rows, of_columns};
  std::vector<int64_t> out(6);
  EXPECT(indexing().offsets_of_indices(2, shape, 2, index, index_strides, sizes, strides, out.data()).ok());
  EXPECT((out == std::vector<int64_t>{8, 11, 8, 16, 19, 16}));
  columns[2] = 4;
  auto bad = indexing().offsets_of_indices(2, shape, 2, index, index_strides, sizes, strides, out.data());
  EXPECT_EQ(bad.which, 1);
  EXPECT_EQ(bad.value, 4);
  EXPECT_EQ(bad.position, 2);
}

TEST(masks_select_scatter_and_list_positions) {
  for (int64_t n : {1, 7, 100, 70000, 200003}) {
    for (int density : {1, 50, 99}) {
      auto chance = numbers<int>(n, 0, 100, 5);
      auto src = numbers<int64_t>(n, -1000, 1000, 6);
      auto mask = std::make_unique<bool[]>(n);
      std::vector<int64_t> want, where;
      for (int64_t i = 0; i < n; i++) {
        mask[i] = chance[i] < density;
        if (mask[i]) want.push_back(src[i]), where.push_back(i);
      }
      EXPECT_EQ(indexing().count_mask(mask.get(), n), int64_t(want.size()));
      std::vector<int64_t> out(want.size() + 1, 77);
      indexing().masked_select(out.data(), src.data(), mask.get(), n, 8);
      EXPECT_EQ(out.back(), 77);
      out.pop_back();
      EXPECT(out == want);
      std::vector<float> narrow(src.begin(), src.end()), picked(want.size() + 1, 77),
          expected(want.begin(), want.end());
      indexing().masked_select(picked.data(), narrow.data(), mask.get(), n, 4);
      EXPECT_EQ(picked.back(), 77.0f);
      picked.pop_back();
      EXPECT(picked == expected);
      out.assign(want.size(), 0);
      indexing().nonzero(out.data(), mask.get(), 1, &n);
      EXPECT(out == where);
      std::vector<int64_t> back(n, 0);
      indexing().masked_scatter(back.data(), mask.get(), n, want.data(), 8);
      bool same = true;
      for (int64_t i = 0; i < n; i++) same &= back[i] == (mask[i] ? src[i] : 0);
      EXPECT(same);
    }
  }
  bool mask[12] = {0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1};
  int64_t sizes[] = {2, 2, 3};
  std::vector<int64_t> out(9);
  indexing().nonzero(out.data(), mask, 3, sizes);
  EXPECT((out == std::vector<int64_t>{0, 0, 1, 1, 0, 1, 1, 1, 2}));
}

TEST(histograms_and_binary_search) {
  auto x = numbers<int64_t>(300000, 0, 50, 1);
  std::vector<int64_t> counts(50), want(50);
  for (int64_t v : x) want[v]++;
  EXPECT(indexing().bincount(counts.data(), x.data(), int64_t(x.size()), 50));
  EXPECT(counts == want);
  std::vector<double> weights(x.size(), 0.5), sums(50);
  EXPECT(indexing().bincount_weighted(sums.data(), x.data(), weights.data(), int64_t(x.size()), 50));
  EXPECT_EQ(sums[7], 0.5 * double(want[7]));
  x[1000] = 50;
  EXPECT(!indexing().bincount(counts.data(), x.data(), int64_t(x.size()), 50));
  std::vector<float> y{0, 0.5f, 1, 2, 2.5f, 4, 5, -1, NAN};
  std::vector<int64_t> bins(4);
  indexing().histc(DType::Float32, bins.data(), y.data(), int64_t(y.size()), 4, 0, 4);
  EXPECT((bins == std::vector<int64_t>{2, 1, 2, 1}));
  std::vector<double> sorted{1, 3, 3, 5}, values{0, 1, 3, 4, 9, NAN};
  std::vector<int64_t> left(6), right(6);
  indexing().searchsorted(DType::Float64, left.data(), sorted.data(), values.data(), 1, 1, 4, 6, false, nullptr);
  indexing().searchsorted(DType::Float64, right.data(), sorted.data(), values.data(), 1, 1, 4, 6, true, nullptr);
  EXPECT((left == std::vector<int64_t>{0, 0, 1, 3, 4, 4}));
  EXPECT((right == std::vector<int64_t>{0, 1, 3, 3, 4, 4}));
}
