// Copies against element-by-element loops: every pair of dtypes, permuted and strided layouts, tiles, fills.
#include "base/dtype.h"
#include "base/parallel.h"
#include "kernels/cpu/copy.h"
#include "test.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <type_traits>

using namespace flambeau;

namespace {

const kernels::CopyKernels& copies() { return kernels::table<kernels::CopyKernels>(); }

template <class T> T from_int(int x) {
  if constexpr (std::is_same_v<T, Half>)
    return to_half(float(x));
  else if constexpr (std::is_same_v<T, BFloat16>)
    return to_bfloat16(float(x));
  else if constexpr (std::is_same_v<T, bool>)
    return x != 0;
  else if constexpr (requires(T t) { t.re; })
    return {decltype(T::re)(x), decltype(T::re)(x)};
  else
    return T(x);
}

template <class T> double real_value(T x) {
  if constexpr (requires { to_float(x); })
    return to_float(x);
  else if constexpr (requires { x.re; })
    return double(x.re);
  else
    return double(x);
}

// Random layout: a permutation of the dimensions with gaps, as element strides; the elements it spans.
struct Layout {
  std::vector<int64_t> strides;
  int64_t span = 1;
};

Layout layout(const std::vector<int64_t>& sizes, std::mt19937& random) {
  Layout result;
  std::vector<int> order(sizes.size());
  for (size_t k = 0; k < order.size(); k++) order[k] = int(k);
  std::shuffle(order.begin(), order.end(), random);
  result.strides.resize(sizes.size());
  for (int k : order) {
    int64_t gap = random() % 4 == 0 ? 2 : 1;
    result.strides[k] = result.span * gap;
    result.span *= sizes[k] * gap;
  }
  return result;
}

std::vector<int64_t> in_bytes(std::vector<int64_t> strides, int64_t item) {
  for (auto& s : strides) s *= item;
  return strides;
}

}  // namespace

TEST(copy_converts_between_all_dtypes) {
  for (int s = 0; s < kDTypes; s++) {
    for (int d = 0; d < kDTypes; d++) {
      visit_dtype(DType(s), [&]<class S>() {
        visit_dtype(DType(d), [&]<class D>() {
          constexpr int64_t n = 1100;
          std::vector<char> in(n * sizeof(S)), out(n * sizeof(D));
          for (int i = 0; i < n; i++) {
            S x = from_int<S>(i % 100);
            std::memcpy(&in[i * sizeof(S)], &x, sizeof(S));
          }
          int64_t size = n, to = sizeof(D), from = sizeof(S);
          copies().copy(1, &size, out.data(), &to, DType(d), in.data(), &from, DType(s));
          int wrong = 0;
          for (int i = 0; i < n; i++) {
            D y;
            S x;
            std::memcpy(&y, &out[i * sizeof(D)], sizeof(D));
            std::memcpy(&x, &in[i * sizeof(S)], sizeof(S));
            double want = std::is_same_v<D, bool> ? real_value(x) != 0 : real_value(x);
            wrong += real_value(y) != want;
          }
          if (wrong) std::fprintf(stderr, "%d -> %d\n", s, d);
          EXPECT_EQ(wrong, 0);
        });
      });
    }
  }
}

TEST(copy_converts_at_the_edges_as_pytorch_does) {
  auto convert = [](auto from, auto to) {
    using S = decltype(from);
    using D = decltype(to);
    copies().load_tile(&to, dtype_of<D>, 1, &from, sizeof(S), dtype_of<S>);
    return to;
  };
  EXPECT_EQ(convert(-1.9f, int32_t()), -1);
  EXPECT_EQ(convert(300.7f, uint8_t()), 44);
  EXPECT_EQ(convert(-1.0, uint8_t()), 255);
  EXPECT_EQ(convert(int64_t(70000), int16_t()), 4464);
  EXPECT_EQ(convert(NAN, bool()), true);
  EXPECT_EQ(convert(-0.0, bool()), false);
  EXPECT_EQ(convert(Complex64{0, 1}, bool()), true);
  EXPECT_EQ(convert(Complex128{2.5, 1}, float()), 2.5f);
  EXPECT_EQ(convert(1e-7f, Half()).bits, 2);
  EXPECT_EQ(convert(65520.0, Half()).bits, 0x7c00);
  EXPECT_EQ(convert((int64_t(1) << 53) + 1, int64_t()), (int64_t(1) << 53) + 1);
}

TEST(copy_walks_any_strides) {
  std::mt19937 random(1);
  const int64_t extents[] = {1, 2, 3, 4, 7, 16, 17, 33, 64};
  const DType dtypes[] = {DType::UInt8, DType::BFloat16, DType::Float32, DType::Int64, DType::Complex128};
  for (int round = 0; round < 400; round++) {
    int ndim = int(random() % 5);
    std::vector<int64_t> sizes(ndim);
    int64_t total = 1;
    for (auto& s : sizes) total *= s = total > 20000 ? 2 : extents[random() % 9];
    DType dtype = dtypes[random() % 5];
    int64_t item = item_size(dtype);
    Layout to = layout(sizes, random), from = layout(sizes, random);
    if (ndim && random() % 4 == 0) from.strides[random() % ndim] = 0;
    std::vector<char> in(from.span * item), out(to.span * item, 1), want = out;
    for (auto& c : in) c = char(random());
    int64_t first = 0;
    auto source = in_bytes(from.strides, item), target = in_bytes(to.strides, item);
    if (ndim && random() % 4 == 0) {  // a flip
      int k = int(random() % ndim);
      first = source[k] * (sizes[k] - 1);
      source[k] = -source[k];
    }
    for (int64_t i = 0; i < total; i++) {
      int64_t rest = i, d = 0, s = first;
      for (int k = ndim - 1; k >= 0; k--)
        d += rest % sizes[k] * target[k], s += rest % sizes[k] * source[k], rest /= sizes[k];
      std::memcpy(&want[d], &in[s], item);
    }
    copies().copy(ndim, sizes.data(), out.data(), target.data(), dtype, in.data() + first, source.data(), dtype);
    EXPECT(out == want);
  }
}

TEST(copy_transposes_large_matrices_with_streaming) {
  int64_t n = 3000, m = 2000;  // 24 MB: beyond half of most last-level caches
  std::vector<float> in(n * m), out(n * m);
  for (size_t i = 0; i < in.size(); i++) in[i] = float(i);
  int64_t sizes[] = {m, n}, to[] = {n * 4, 4}, from[] = {4, m * 4};
  copies().copy(2, sizes, out.data(), to, DType::Float32, in.data(), from, DType::Float32);
  int64_t wrong = 0;
  for (int64_t i = 0; i < m; i++) {
    for (int64_t j = 0; j < n; j++) wrong += out[i * n + j] != in[j * m + i];
  }
  EXPECT_EQ(wrong, 0);
}

TEST(tiles_are_loaded_and_stored_with_strides) {
  std::vector<int16_t> in(3000), out(3000, -1);
  for (int i = 0; i < 3000; i++) in[i] = int16_t(i * 7);
  std::vector<double> tile(1000);
  copies().load_tile(tile.data(), DType::Float64, 1000, in.data(), 6, DType::Int16);
  for (int i = 0; i < 1000; i++) EXPECT_EQ(tile[i], double(in[3 * i]));
  copies().store_tile(out.data(), 6, DType::Int16, 1000, tile.data(), DType::Float64);
  for (int i = 0; i < 3000; i++) EXPECT_EQ(out[i], i % 3 == 0 ? in[i] : -1);
  copies().load_tile(tile.data(), DType::Float64, 1000, &in[5], 0, DType::Int16);
  EXPECT_EQ(tile[999], double(in[5]));
}

TEST(fill_and_rows) {
  for (int item : {1, 2, 4, 8, 16}) {
    for (int64_t n : {1, 3, 64, 1000, 70001}) {
      char value[16];
      for (int k = 0; k < 16; k++) value[k] = char(k + 1);
      std::vector<char> out((n + 1) * item, 0);
      copies().fill(out.data(), n, value, item);
      bool good = true;
      for (int64_t i = 0; i < n * item; i++) good &= out[i] == value[i % item];
      for (int64_t i = n * item; i < (n + 1) * item; i++) good &= out[i] == 0;
      EXPECT(good);
    }
  }
  std::vector<char> in(5 * 700), out(5 * 1000, 9);
  for (size_t i = 0; i < in.size(); i++) in[i] = char(i % 101);
  copies().copy_rows(out.data() + 3, 1000, in.data(), 700, 700, 5);
  for (int r = 0; r < 5; r++) {
    EXPECT(std::memcmp(&out[r * 1000 + 3], &in[r * 700], 700) == 0);
    EXPECT_EQ(out[r * 1000 + 2], 9);
    EXPECT_EQ(out[r * 1000 + 703], 9);
  }
}
