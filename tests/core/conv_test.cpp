// Convolution and its gradients against plain loops in double, over shapes that reach every path; and the same bits for
// one, two and four threads.
#include "test.h"

#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "base/error.h"
#include "base/parallel.h"
#include "kernels/cpu/conv.h"

using namespace flambeau;
using namespace flambeau::kernels;

namespace {

uint64_t state = 7;
double uniform() {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return double(int64_t(state) >> 11) / double(int64_t(1) << 52);
}
template <class T> double to_double(T x) {
  if constexpr (sizeof(T) == 2)
    return to_float(x);
  else
    return x;
}
template <class T> T from_double(double x) {
  if constexpr (std::is_same_v<T, Half>)
    return to_half(float(x));
  else if constexpr (std::is_same_v<T, BFloat16>)
    return to_bfloat16(float(x));
  else
    return T(x);
}

int64_t count(const int64_t (&v)[3]) { return v[0] * v[1] * v[2]; }

// Fills in `out`; false if the kernel does not fit.
bool complete(ConvShape& s) {
  for (int d = 0; d < 3; d++) {
    const int64_t room = s.in[d] + 2 * s.pad[d] - s.dilation[d] * (s.kernel[d] - 1) - 1;
    if (room < 0) return false;
    s.out[d] = room / s.stride[d] + 1;
  }
  return true;
}

// visit(x index, w index, y index) for every product in the convolution.
template <class Visit> void each_product(const ConvShape& s, Visit&& visit) {
  const int64_t cg = s.c / s.groups, og = s.o / s.groups;
  for (int64_t n = 0; n < s.n; n++)
    for (int64_t o = 0; o < s.o; o++)
      for (int64_t c = 0; c < cg; c++)
        for (int64_t z = 0; z < s.out[0]; z++)
          for (int64_t y = 0; y < s.out[1]; y++)
            for (int64_t x = 0; x < s.out[2]; x++)
              for (int64_t kz = 0; kz < s.kernel[0]; kz++)
                for (int64_t ky = 0; ky < s.kernel[1]; ky++)
                  for (int64_t kx = 0; kx < s.kernel[2]; kx++) {
                    const int64_t iz = z * s.stride[0] + kz * s.dilation[0] - s.pad[0];
                    const int64_t iy = y * s.stride[1] + ky * s.dilation[1] - s.pad[1];
                    const int64_t ix = x * s.stride[2] + kx * s.dilation[2] - s.pad[2];
                    if (iz < 0 || iz >= s.in[0] || iy < 0 || iy >= s.in[1] || ix < 0 || ix >= s.in[2]) continue;
                    visit((((n * s.c + o / og * cg + c) * s.in[0] + iz) * s.in[1] + iy) * s.in[2] + ix,
                          (((o * cg + c) * s.kernel[0] + kz) * s.kernel[1] + ky) * s.kernel[2] + kx,
                          (((n * s.o + o) * s.out[0] + z) * s.out[1] + y) * s.out[2] + x);
                  }
}

template <class T>
void expect_close(const char* what, const ConvShape& s, const std::vector<T>& got, const std::vector<double>& want) {
  double most = 1e-3, error = 0;
  for (double x : want) most = std::fmax(most, std::fabs(x));
  for (size_t i = 0; i < want.size(); i++) {
    const double e = std::fabs(to_double(got[i]) - want[i]);
    error = e <= error ? error : e;  // NaN stays
  }
  const double allowed = std::is_same_v<T, double>  ? 1e-14
                         : std::is_same_v<T, float> ? 2e-6
                         : std::is_same_v<T, Half>  ? 1e-3
                                                    : 8e-3;
  if (error / most <= allowed) return;
  test::report(__FILE__, __LINE__,
               str(what, " ", name_of(dtype_of<T>), " n ", s.n, " c ", s.c, " o ", s.o, " groups ", s.groups, " in ",
                   s.in[0], "x", s.in[1], "x", s.in[2], " kernel ", s.kernel[0], "x", s.kernel[1], "x", s.kernel[2],
                   ": relative error ", error / most));
}

template <class T> void compare(ConvShape s) {
  if (!complete(s)) return test::report(__FILE__, __LINE__, "a shape of this test does not fit");
  std::vector<T> x(size_t(s.n * s.c * count(s.in))), w(size_t(s.o * (s.c / s.groups) * count(s.kernel)));
  std::vector<T> dy(size_t(s.n * s.o * count(s.out))), bias(size_t(s.o)), bias_c(size_t(s.c));
  for (auto* v : {&x, &w, &dy, &bias, &bias_c})
    for (T& e : *v) e = from_double<T>(uniform());
  std::vector<double> ry(dy.size()), rdx(x.size()), rdw(w.size()), rdb(bias.size());
  const int64_t positions = count(s.out), inner = count(s.in);
  for (size_t i = 0; i < ry.size(); i++) {
    ry[i] = to_double(bias[i / size_t(positions) % size_t(s.o)]);
    rdb[i / size_t(positions) % size_t(s.o)] += to_double(dy[i]);
  }
  for (size_t i = 0; i < rdx.size(); i++) rdx[i] = to_double(bias_c[i / size_t(inner) % size_t(s.c)]);
  each_product(s, [&](int64_t i, int64_t j, int64_t k) {
    ry[size_t(k)] += to_double(x[size_t(i)]) * to_double(w[size_t(j)]);
    rdx[size_t(i)] += to_double(dy[size_t(k)]) * to_double(w[size_t(j)]);
    rdw[size_t(j)] += to_double(x[size_t(i)]) * to_double(dy[size_t(k)]);
  });
  auto& kernels = table<ConvKernels>();
  std::vector<T> first[4];
  const int before = num_threads();
  for (int threads : {1, 2, 4}) {
    set_num_threads(threads);
    const T junk = from_double<T>(std::numeric_limits<double>::quiet_NaN());
    std::vector<T> got[4] = {std::vector<T>(dy.size(), junk), std::vector<T>(x.size(), junk),
                             std::vector<T>(w.size(), junk), std::vector<T>(bias.size(), junk)};
    EXPECT(kernels.forward(dtype_of<T>, s, x.data(), w.data(), bias.data(), got[0].data()));
    EXPECT(kernels.backward_input(dtype_of<T>, s, dy.data(), w.data(), bias_c.data(), got[1].data()));
    EXPECT(kernels.backward_weight(dtype_of<T>, s, x.data(), dy.data(), got[2].data(), got[3].data()));
    for (int i = 0; i < 4; i++) {
      if (threads == 1) first[i] = got[i];
      EXPECT(got[i].empty() || std::memcmp(got[i].data(), first[i].data(), got[i].size() * sizeof(T)) == 0);
    }
  }
  set_num_threads(before);
  expect_close("y", s, first[0], ry);
  expect_close("dx", s, first[1], rdx);
  expect_close("dw", s, first[2], rdw);
  expect_close("dbias", s, first[3], rdb);
}

ConvShape flat(int64_t n, int64_t c, int64_t o, int64_t groups, int64_t h, int64_t w, int64_t k, int64_t stride = 1,
               int64_t pad = 0, int64_t dilation = 1) {
  ConvShape s;
  s.n = n, s.c = c, s.o = o, s.groups = groups;
  s.in[1] = h, s.in[2] = w;
  for (int d = 1; d < 3; d++) s.kernel[d] = k, s.stride[d] = stride, s.pad[d] = pad, s.dilation[d] = dilation;
  return s;
}

}  // namespace

TEST(conv_strides_pads_dilations) {
  for (int64_t k : {1, 2, 3, 5})
    for (int64_t stride : {1, 2, 3})
      for (int64_t pad : {0, 1, 4})
        for (int64_t dilation : {1, 2}) {
          ConvShape s = flat(2, 3, 5, 1, 11, 9, k, stride, pad, dilation);
          if (complete(s)) compare<float>(s);
        }
}

TEST(conv_channels_and_groups) {
  for (int64_t groups : {1, 2, 3})
    for (int64_t c : {1, 2, 17})
      for (int64_t o : {1, 6, 15, 33}) compare<float>(flat(2, c * groups, o * groups, groups, 9, 10, 3, 1, 1));
}

TEST(conv_few_outputs_a_group) {  // the weights' gradient has positions in its vectors
  for (int64_t o : {1, 2, 3, 7, 8})
    for (int64_t c : {2, 5})
      for (int64_t k : {1, 3, 5}) {
        compare<float>(flat(3, c * 2, o * 2, 2, 14, 17, k, 1, k / 2));
        compare<double>(flat(2, c, o, 1, 13, 19, k, 2, 1));
      }
  compare<float>(flat(20, 6, 4, 2, 40, 33, 3, 1, 2));
  for (int64_t dilation : {1, 5, 9})  // as wide as the image, and taps that see little or nothing of it
    for (int64_t k : {3, 5}) compare<float>(flat(2, 3, 4, 1, 8, 16, k, 1, dilation * (k - 1) / 2, dilation));
  ConvShape deep = flat(2, 4, 6, 2, 9, 16, 3, 1, 1);
  deep.in[0] = 5, deep.kernel[0] = 3, deep.pad[0] = 1;
  compare<float>(deep);
  compare<BFloat16>(deep);
}

TEST(conv_winograd) {  // 3x3, stride 1, at least 16 channels each way
  for (int64_t size : {1, 2, 7, 14, 33}) compare<float>(flat(3, 17, 30, 1, size, size + 1, 3, 1, 1));
  for (int64_t pad : {0, 1, 2, 3}) compare<float>(flat(2, 40, 16, 1, 12, 37, 3, 1, pad));
  compare<float>(flat(8, 16, 64, 1, 7, 7, 3, 1, 1));
  compare<float>(flat(1, 530, 16, 1, 13, 11, 3, 1, 1));  // several blocks of channels
  compare<float>(
      flat(1, 147, 143, 1, 13, 11, 3, 1, 1));  // kernels transformed on the way, channels and panels not whole
  compare<float>(flat(5, 150, 143, 1, 17, 15, 3, 1, 1));  // and several slabs of tiles
  compare<float>(flat(3, 17, 33, 1, 57, 75, 3, 1, 1));    // the weights' gradient in several slabs
}

TEST(conv_winograd_of_stride_2) {  // 3x3 and 4x4, at least 32 channels each way
  for (int64_t size : {1, 2, 7, 14, 15, 16, 17, 33}) compare<float>(flat(4, 37, 43, 1, size, size + 1, 3, 2, 1));
  for (int64_t pad : {0, 2, 3}) compare<float>(flat(2, 40, 36, 1, 23, 38, 3, 2, pad));  // the image's gradient directly
  compare<float>(flat(1, 147, 143, 1, 25, 22, 3, 2, 1));  // kernels transformed on the way
  compare<float>(flat(5, 150, 143, 1, 33, 31, 3, 2, 1));  // several slabs of tiles
  compare<float>(flat(2, 33, 160, 1, 57, 91, 3, 2, 1));
  for (int64_t size : {4, 7, 14, 15, 16, 17, 33}) compare<float>(flat(4, 37, 43, 1, size, size + 1, 4, 2, 1));
  for (int64_t pad : {0, 2, 3}) compare<float>(flat(2, 40, 36, 1, 23, 38, 4, 2, pad));
  compare<float>(flat(1, 147, 143, 1, 25, 22, 4, 2, 1));
  compare<float>(flat(5, 33, 160, 1, 57, 66, 4, 2, 1));
  ConvShape uneven = flat(3, 40, 36, 1, 24, 25, 3, 2, 1);  // strides or taps that differ: not this way
  uneven.stride[1] = 1;
  compare<float>(uneven);
  compare<float>(flat(3, 40, 36, 1, 24, 25, 3, 2, 1, 2));
}

TEST(conv_small_images_together) {
  compare<float>(flat(9, 20, 40, 1, 7, 7, 5, 1, 2));
  compare<float>(flat(9, 20, 40, 1, 7, 7, 3, 2, 1));
  compare<float>(flat(70, 4, 33, 1, 3, 3, 3, 1, 1));
}

TEST(conv_pointwise) {
  for (int64_t size : {1, 4, 7, 16, 33}) compare<float>(flat(3, 70, 19, 1, size, size, 1));
  compare<float>(flat(1, 600, 40, 1, 6, 6, 1));
  compare<float>(flat(2, 10, 19, 1, 9, 9, 1, 2));
  compare<float>(flat(2, 10, 19, 1, 9, 9, 1, 1, 1));
  // Read in place or, where channels lie a power of two apart, packed; the weights' gradient from either side.
  for (int64_t size : {15, 32}) {
    compare<float>(flat(3, 18, 77, 1, size, size, 1));
    compare<float>(flat(3, 36, 154, 2, size, size, 1));
    compare<double>(flat(2, 77, 18, 1, size, size, 1));
    compare<float>(flat(7, 390, 15, 1, size, size, 1));  // positions left over of seven images; two blocks of channels
    compare<double>(flat(2, 18, 77, 1, size, size, 1));
  }
}

TEST(conv_depthwise) {
  for (int64_t multiplier : {1, 2})
    for (int64_t stride : {1, 2})
      for (int64_t size : {5, 16, 40}) compare<float>(flat(2, 7, 7 * multiplier, 7, size, size, 3, stride, 1));
}

TEST(conv_one_and_three_dimensions) {
  for (int64_t stride : {1, 2}) {
    ConvShape s;
    s.n = 2, s.c = 6, s.o = 9;
    s.in[2] = 300, s.kernel[2] = 5, s.pad[2] = 2, s.stride[2] = stride;
    compare<float>(s);
    s.in[0] = 4, s.in[1] = 6, s.in[2] = 7, s.kernel[0] = 3, s.kernel[1] = 2, s.kernel[2] = 3, s.pad[0] = 1,
    s.stride[0] = stride;
    compare<float>(s);
    compare<double>(s);
    s.groups = 3;
    compare<float>(s);
  }
}

TEST(conv_other_types) {
  for (int64_t k : {1, 3}) {
    compare<double>(flat(2, 20, 18, 1, 10, 11, k, 1, k / 2));
    compare<Half>(flat(2, 20, 18, 1, 10, 11, k, 1, k / 2));
    compare<BFloat16>(flat(2, 20, 18, 1, 10, 11, k, 1, k / 2));
    compare<double>(flat(2, 6, 6, 6, 10, 11, k, 2, k / 2));
  }
  ConvShape s = flat(1, 1, 1, 1, 3, 3, 1);
  EXPECT(!table<ConvKernels>().forward(DType::Int32, s, nullptr, nullptr, nullptr, nullptr));
}

TEST(conv_many_blocks) {  // several blocks of rows, of channels, and of output channels
  compare<float>(flat(1, 130, 20, 1, 20, 60, 3, 2, 1));
  compare<float>(flat(2, 3, 16, 1, 64, 64, 7, 2, 3));
}

TEST(conv_empty) {
  compare<float>(flat(0, 3, 5, 1, 8, 8, 3));
  compare<float>(flat(2, 3, 0, 1, 8, 8, 3));
}

TEST(conv_output_padding) {  // the transposed convolution may ask for rows that no tap reaches
  ConvShape s = flat(2, 3, 4, 1, 9, 9, 3, 2, 1);
  complete(s);
  for (int d = 1; d < 3; d++) s.in[d]++;
  std::vector<float> dy(size_t(s.n * s.o * count(s.out))), w(size_t(s.o * s.c * 9)),
      dx(size_t(s.n * s.c * count(s.in)), NAN);
  for (float& v : dy) v = float(uniform());
  for (float& v : w) v = float(uniform());
  std::vector<double> want(dx.size());
  each_product(s, [&](int64_t i, int64_t j, int64_t k) { want[size_t(i)] += double(dy[size_t(k)]) * w[size_t(j)]; });
  EXPECT(table<ConvKernels>().backward_input(DType::Float32, s, dy.data(), w.data(), nullptr, dx.data()));
  expect_close("dx", s, dx, want);
}
