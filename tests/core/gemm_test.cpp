// Matrix products against plain loops in double (or the integers' own type), over odd shapes, layouts and epilogues; and
// the same bits for one, two and four threads.
#include "test.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "base/error.h"
#include "base/parallel.h"
#include "kernels/cpu/gemm.h"

using namespace flambeau;
using namespace flambeau::kernels;

namespace {

uint64_t state = 1;
double uniform() {  // -1 .. 1
  state = state * 6364136223846793005u + 1442695040888963407u;
  return double(int64_t(state) >> 11) / double(int64_t(1) << 52);
}

template <class T> double to_double(T x) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>)
    return to_float(x);
  else
    return double(x);
}
template <class T> T draw() {
  if constexpr (std::is_same_v<T, Half>)
    return to_half(float(uniform()));
  else if constexpr (std::is_same_v<T, BFloat16>)
    return to_bfloat16(float(uniform()));
  else if constexpr (std::is_integral_v<T>)
    return T(uniform() * 100);
  else
    return T(uniform());
}
template <class T> T from_float(float x) {
  if constexpr (std::is_same_v<T, Half>)
    return to_half(x);
  else
    return to_bfloat16(x);
}
template <class T> double tolerance() {  // of one sum whose terms are below 1 in size, times the root of k
  if constexpr (std::is_same_v<T, Half>)
    return 1e-3;
  else if constexpr (std::is_same_v<T, BFloat16>)
    return 8e-3;
  else if constexpr (std::is_same_v<T, float>)
    return 1e-6;
  else
    return 1e-14;
}

struct Layout {
  bool transpose_a, transpose_b;
  int64_t extra;  // beyond the needed leading dimension
};

template <class T>
void compare(int64_t batch, int64_t m, int64_t n, int64_t k, Layout layout, double alpha, double beta, bool with_bias) {
  const int64_t lda = (layout.transpose_a ? m : k) + layout.extra, ldb = (layout.transpose_b ? k : n) + layout.extra;
  const int64_t ldc = n + layout.extra;
  std::vector<T> a(size_t(batch * (layout.transpose_a ? k : m) * lda + 1)),
      b(size_t(batch * (layout.transpose_b ? n : k) * ldb + 1));
  std::vector<T> c(size_t(batch * m * ldc + 1)), bias(size_t(n + 1));
  for (T& x : a) x = draw<T>();
  for (T& x : b) x = draw<T>();
  for (T& x : c) x = draw<T>();
  for (T& x : bias) x = draw<T>();
  Gemm g;
  g.batch = batch, g.m = m, g.n = n, g.k = k;
  g.a = a.data(), g.a_row = layout.transpose_a ? 1 : lda, g.a_col = layout.transpose_a ? lda : 1;
  g.b = b.data(), g.b_row = layout.transpose_b ? 1 : ldb, g.b_col = layout.transpose_b ? ldb : 1;
  g.a_batch = (layout.transpose_a ? k : m) * lda, g.b_batch = (layout.transpose_b ? n : k) * ldb;
  g.c_row = ldc, g.c_batch = m * ldc;
  g.alpha = alpha, g.beta = beta, g.bias = with_bias ? bias.data() : nullptr;

  std::vector<T> first;
  const int before = num_threads();
  for (int threads : {1, 2, 4}) {
    set_num_threads(threads);
    std::vector<T> out = c;
    if constexpr (std::is_floating_point_v<T>) {
      if (beta == 0)  // what stood there must not matter
        for (int64_t i = 0; i < batch * m; i++)
          for (int64_t j = 0; j < n; j++) out[size_t(i * ldc + j)] = std::numeric_limits<T>::quiet_NaN();
    }
    g.c = out.data();
    EXPECT(table<GemmKernels>().gemm(dtype_of<T>, g));
    if (threads == 1) first = out;
    EXPECT(std::memcmp(first.data(), out.data(), out.size() * sizeof(T)) == 0);
  }
  set_num_threads(before);

  int wrong = 0;
  for (int64_t s = 0; s < batch; s++)
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < ldc; j++) {
        const size_t at = size_t(s * g.c_batch + i * ldc + j);
        if (j >= n) {  // beyond the matrix nothing is written
          wrong += std::memcmp(&first[at], &c[at], sizeof(T)) != 0;
          continue;
        }
        const T* x = a.data() + s * g.a_batch + i * g.a_row;
        const T* y = b.data() + s * g.b_batch + j * g.b_col;
        if constexpr (std::is_integral_v<T>) {
          uint64_t sum = 0;
          for (int64_t p = 0; p < k; p++) sum += uint64_t(x[p * g.a_col]) * uint64_t(y[p * g.b_row]);
          sum = uint64_t(alpha) * sum + (with_bias ? uint64_t(bias[size_t(j)]) : 0) + uint64_t(beta) * uint64_t(c[at]);
          wrong += first[at] != T(sum);
        } else {
          double sum = 0;
          for (int64_t p = 0; p < k; p++) sum += to_double(x[p * g.a_col]) * to_double(y[p * g.b_row]);
          sum *= alpha;
          if (with_bias) sum += to_double(bias[size_t(j)]);
          if (beta != 0) sum += beta * to_double(c[at]);
          const double allowed = tolerance<T>() * (std::fabs(alpha) * std::sqrt(double(k) + 1) + 2);
          wrong += !(std::fabs(to_double(first[at]) - sum) <= allowed);
        }
      }
  if (wrong)
    test::report(__FILE__, __LINE__,
                 str(name_of(dtype_of<T>), " ", batch, " x ", m, " x ", n, " x ", k, " (", int(layout.transpose_a),
                     int(layout.transpose_b), ", +", layout.extra, "): ", wrong, " wrong"));
}

template <class T> void all_layouts(int64_t m, int64_t n, int64_t k) {
  for (int way = 0; way < 4; way++) {
    compare<T>(1, m, n, k, {way % 2 == 1, way / 2 == 1, 0}, 1, 0, false);
    compare<T>(1, m, n, k, {way % 2 == 1, way / 2 == 1, 3}, 2, 3, true);
  }
}

}  // namespace

TEST(gemm_small_shapes) {
  const int64_t sizes[] = {0, 1, 2, 3, 5, 13, 14, 15, 16, 17, 31, 33};
  for (int64_t m : sizes)
    for (int64_t n : sizes)
      for (int64_t k : {0, 1, 2, 7, 16, 33}) all_layouts<float>(m, n, k);
}

TEST(gemm_tail_heights_and_widths) {
  for (int64_t m = 1; m <= 44; m++) compare<float>(1, m, 37, 19, {false, false, 1}, 1, 1, true);
  for (int64_t n = 1; n <= 70; n++) compare<float>(1, 15, n, 19, {false, n % 2 == 0, 1}, 1, 1, true);
}

TEST(gemm_large_shapes) {
  // shared panels, panels per thread, several blocks of k, a long sum of few results, few rows, one column, few rows and a B
  // large enough to be walked in parts
  const int64_t shapes[][3] = {{300, 290, 1100}, {40, 1030, 600}, {20, 33, 9000}, {3, 700, 900},
                               {4, 1300, 40},    {500, 1, 300},   {129, 513, 70}, {96, 64, 2048},
                               {257, 64, 64},    {1, 1030, 701},  {4, 3001, 203}, {2, 70, 9001}};
  for (auto& s : shapes)
    for (int way = 0; way < 4; way++)
      compare<float>(1, s[0], s[1], s[2], {way % 2 == 1, way / 2 == 1, way}, 1, way % 2, way > 1);
}

TEST(
    gemm_few_rows_times_transposed) {  // turned over: alpha, beta, bias, tails of rows and columns, several blocks of k
  const int64_t shapes[][3] = {{16, 300, 401}, {32, 67, 600}, {128, 401, 1030}, {109, 300, 229}, {8, 530, 330}};
  for (auto& s : shapes)
    for (int way = 0; way < 8; way++) {
      const Layout layout = {way % 2 == 1, true, way};
      compare<float>(1, s[0], s[1], s[2], layout, way / 2 % 2 ? 1 : 0.5, way / 4 ? 0.5 : 0, way % 3 != 0);
      compare<double>(1, s[0], s[1], s[2], layout, way / 2 % 2 ? 1 : 0.5, way / 4, way % 3 == 0);
    }
  compare<float>(3, 32, 130, 260, {false, true, 0}, 1, 0, true);  // 500 in one sum round by more than is allowed
}

TEST(gemm_other_floats) {
  for (int64_t m : {1, 3, 14, 45})
    for (int64_t n : {1, 17, 64, 130})
      for (int64_t k : {1, 2, 31, 200}) {
        all_layouts<double>(m, n, k);
        all_layouts<Half>(m, n, k);
        all_layouts<BFloat16>(m, n, k);
      }
  compare<double>(1, 200, 180, 700, {false, true, 0}, 1, 0, true);
  compare<BFloat16>(1, 200, 180, 2101, {false, false, 1}, 1, 0, true);
  compare<BFloat16>(1, 200, 180, 2101, {true, true, 1}, 1, 1, false);
  compare<Half>(1, 200, 180, 700, {true, false, 0}, 1, 0, true);
}

// One rounding, by the rules of base/dtype.h: ties, overflow, subnormals, infinities and NaN, in whole vectors and tails.
template <class T> void check_rounding() {
  const double values[] = {1,       -1, 1.5,  65504,    -65504,    3e38, 6e-5,  5.96e-8,
                           -2.9e-8, 0,  -0.0, INFINITY, -INFINITY, NAN,  0.333, 7e-5};
  for (int64_t n : {1, 5, 16, 37})
    for (double alpha : {1.0, 1.0 + 0x1p-9, 1.0 + 0x1p-8, 1.0 + 0x1p-11, 1.0 + 0x1p-12, 0.37, 1e-5, 1e5}) {
      std::vector<T> a(16), b(size_t(n), from_float<T>(1.f)), c(size_t(16 * n));
      for (int i = 0; i < 16; i++) a[size_t(i)] = from_float<T>(float(values[i]));
      Gemm g;
      g.m = 16, g.n = n, g.k = 1;
      g.a = a.data(), g.a_row = 1, g.b = b.data(), g.b_row = n, g.c = c.data(), g.c_row = n, g.alpha = alpha;
      EXPECT(table<GemmKernels>().gemm(dtype_of<T>, g));
      for (int64_t i = 0; i < 16 * n; i++) {
        const T want = from_float<T>(float(alpha) * (0.f + to_float(a[size_t(i / n)])));  // a sum begins at +0
        if (std::isnan(to_float(want)))
          EXPECT(std::isnan(to_float(c[size_t(i)])));
        else
          EXPECT_EQ(int(c[size_t(i)].bits), int(want.bits));
      }
    }
}
TEST(gemm_rounds_once) {
  check_rounding<Half>();
  check_rounding<BFloat16>();
}

TEST(gemm_integers) {
  for (int64_t m : {1, 5, 40})
    for (int64_t n : {1, 17, 300})
      for (int64_t k : {0, 1, 33}) {
        all_layouts<int64_t>(m, n, k);
        all_layouts<int32_t>(m, n, k);
        all_layouts<int16_t>(m, n, k);
        all_layouts<int8_t>(m, n, k);
        all_layouts<uint8_t>(m, n, k);
      }
}

TEST(gemm_batches) {
  compare<float>(7, 32, 32, 32, {false, false, 0}, 1, 0, false);
  compare<float>(50, 5, 9, 3, {false, true, 2}, 1, 1, true);
  compare<float>(3, 130, 120, 260, {true, false, 0}, 1, 0, false);
  compare<double>(9, 20, 30, 40, {false, true, 0}, 1, 0, false);
  compare<BFloat16>(9, 20, 30, 40, {false, true, 0}, 1, 0, false);
  compare<int64_t>(9, 20, 30, 40, {false, true, 0}, 1, 0, false);
  compare<float>(0, 20, 30, 40, {false, true, 0}, 1, 0, false);
}

TEST(gemm_broadcast_batch) {
  std::vector<float> a(3 * 4), b(2 * 4 * 5), c(2 * 3 * 5);
  for (float& x : a) x = float(uniform());
  for (float& x : b) x = float(uniform());
  Gemm g;
  g.batch = 2, g.m = 3, g.n = 5, g.k = 4;
  g.a = a.data(), g.a_row = 4, g.a_batch = 0;
  g.b = b.data(), g.b_row = 5, g.b_batch = 20;
  g.c = c.data(), g.c_row = 5, g.c_batch = 15;
  EXPECT(table<GemmKernels>().gemm(DType::Float32, g));
  for (int s = 0; s < 2; s++)
    for (int i = 0; i < 3; i++)
      for (int j = 0; j < 5; j++) {
        double sum = 0;
        for (int p = 0; p < 4; p++) sum += double(a[size_t(i * 4 + p)]) * b[size_t(s * 20 + p * 5 + j)];
        EXPECT_NEAR(c[size_t(s * 15 + i * 5 + j)], sum, 1e-6);
      }
}

template <class T> void complex_product(double tolerance) {
  using C = Complex<T>;
  const int m = 6, n = 9, k = 11;
  for (int way = 0; way < 4; way++) {
    std::vector<C> a(m * k), b(k * n), c(m * n), bias(n);
    for (auto* v : {&a, &b, &c, &bias})
      for (C& x : *v) x = {T(uniform()), T(uniform())};
    std::vector<C> old = c;
    Gemm g;
    g.m = m, g.n = n, g.k = k;
    g.a = a.data(), g.a_row = way % 2 ? 1 : k, g.a_col = way % 2 ? m : 1;
    g.b = b.data(), g.b_row = way / 2 ? 1 : n, g.b_col = way / 2 ? k : 1;
    g.c = c.data(), g.c_row = n, g.bias = bias.data();
    g.alpha = 2, g.alpha_im = -1, g.beta = 0.5, g.beta_im = 1;
    EXPECT(table<GemmKernels>().gemm(dtype_of<C>, g));
    for (int i = 0; i < m; i++)
      for (int j = 0; j < n; j++) {
        double re = 0, im = 0;
        for (int p = 0; p < k; p++) {
          const C x = a[size_t(i * g.a_row + p * g.a_col)], y = b[size_t(p * g.b_row + j * g.b_col)];
          re += double(x.re) * y.re - double(x.im) * y.im;
          im += double(x.re) * y.im + double(x.im) * y.re;
        }
        const C o = old[size_t(i * n + j)], got = c[size_t(i * n + j)];
        EXPECT_NEAR(got.re, 2 * re + im + bias[size_t(j)].re + 0.5 * o.re - o.im, tolerance);
        EXPECT_NEAR(got.im, 2 * im - re + bias[size_t(j)].im + 0.5 * o.im + o.re, tolerance);
      }
  }
}

TEST(gemm_complex) {
  complex_product<float>(1e-5);
  complex_product<double>(1e-13);
}

TEST(gemm_integer_wraparound) {
  int64_t a[2] = {int64_t(1) << 62, 3}, b[2] = {8, 5}, c[1] = {0};
  Gemm g;
  g.m = 1, g.n = 1, g.k = 2, g.a = a, g.a_row = 2, g.b = b, g.b_row = 1, g.c = c, g.c_row = 1;
  EXPECT(table<GemmKernels>().gemm(DType::Int64, g));
  EXPECT_EQ(c[0], int64_t(15));
}

namespace {
template <class T> void compare_packed(DType dtype, int64_t m, int64_t n, int64_t k, bool transposed) {
  std::vector<T> a(size_t(m * k)), b(size_t(k * n)), bias(static_cast<size_t>(n)), c(size_t(m * n)), first;
  for (auto* list : {&a, &b, &bias, &c})
    for (T& x : *list) x = draw<T>();
  const std::vector<T> before = c;
  Gemm g;
  g.m = m, g.n = n, g.k = k, g.a = a.data(), g.a_row = k, g.b = b.data(), g.c_row = n, g.bias = bias.data(),
  g.beta = 0.5;
  g.b_row = transposed ? 1 : n, g.b_col = transposed ? k : 1;
  const auto& gemms = table<GemmKernels>();
  std::vector<char> packed(static_cast<size_t>(gemms.packed_bytes(dtype, k, n)));
  gemms.pack_b(dtype, g, packed.data());
  g.b_packed = packed.data();
  const int threads = num_threads();
  for (int count : {1, 2, 4}) {
    set_num_threads(count);
    c = before;
    g.c = c.data();
    EXPECT(gemms.gemm(dtype, g));
    if (first.empty()) first = c;
    EXPECT(std::memcmp(first.data(), c.data(), c.size() * sizeof(T)) == 0);
  }
  set_num_threads(threads);
  int64_t wrong = 0;
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      double sum = double(bias[j]) + 0.5 * double(before[i * n + j]);
      for (int64_t p = 0; p < k; p++) sum += double(a[i * k + p]) * double(b[transposed ? j * k + p : p * n + j]);
      wrong += !(std::abs(sum - double(c[i * n + j])) <= tolerance<T>() * std::sqrt(double(k) + 1) * 4);
    }
  EXPECT_EQ(wrong, 0);
}
}  // namespace

TEST(gemm_with_b_packed_beforehand) {
  for (bool transposed : {false, true})
    for (auto [m, n, k] : {std::array<int64_t, 3>{16, 1024, 256},
                           {16, 256, 1024},
                           {1, 40, 30},
                           {5, 33, 7},
                           {40, 97, 600},
                           {150, 200, 530},
                           {6, 1, 9}}) {
      compare_packed<float>(DType::Float32, m, n, k, transposed);
      compare_packed<double>(DType::Float64, m, n, k, transposed);
    }
  EXPECT_EQ(table<GemmKernels>().packed_bytes(DType::Int32, 4, 4), 0);
}

TEST(gemm_refuses_bool) { EXPECT(!table<GemmKernels>().gemm(DType::Bool, Gemm())); }
