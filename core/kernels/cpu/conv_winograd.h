// What the sources of Winograd's minimal filtering share (Lavin and Gray, "Fast algorithms for convolutional neural
// networks", 2016): a 3x3 kernel of stride 1 takes 16 multiplications for four outputs instead of 36, one of stride 2
// takes 25.
//
// Channels stand in the lanes: a band of rows is transposed once to [position][channel], and every step of a transform
// is then the same for all lanes, however narrow the image is. The factors are 1 and 1/2, so errors stay those of the
// direct sums. The coefficients of all tiles at hand form matrices [tile][channel], the operands of the products.
#pragma once
#include "kernels/cpu/conv_planes.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

// A scheme is what happens along one dimension; both dimensions do the same, one after the other. A tile reads `reach`
// positions, `step` apart from its neighbour's, and writes `out`. They become `images` coefficients, the `taps`
// `kernels`; product p multiplies coefficient image_of[p] with kernel_of[p]. Backwards, the outputs' gradients become
// `gradients` coefficients, of which product p takes gradient_of[p].

// Stride 1, either way: 4 products for 2 outputs of 3 taps.
struct Dense {
  static constexpr int taps = 3, step = 2, reach = 4, out = 2, images = 4, kernels = 4, products = 4, gradients = 4;
  static constexpr int image_of[] = {0, 1, 2, 3}, kernel_of[] = {0, 1, 2, 3}, gradient_of[] = {0, 1, 2, 3};
  template <class V> static FLAMBEAU_INLINE void image(const V* x, V* t) {
    t[0] = x[0] - x[2], t[1] = x[1] + x[2], t[2] = x[2] - x[1], t[3] = x[1] - x[3];
  }
  template <class V> static FLAMBEAU_INLINE void kernel(const V* g, V* u) {
    const V sum = (g[0] + g[2]) * 0.5f, middle = g[1] * 0.5f;
    u[0] = g[0], u[1] = sum + middle, u[2] = sum - middle, u[3] = g[2];
  }
  template <class V> static FLAMBEAU_INLINE void output(const V* m, V* y) {
    y[0] = m[0] + m[1] + m[2], y[1] = m[1] - m[2] - m[3];
  }
  template <class V> static FLAMBEAU_INLINE void gradient(const V* y, V* d) {
    d[0] = y[0], d[1] = y[0] + y[1], d[2] = y[0] - y[1], d[3] = V{} - y[1];
  }
  template <class V> static FLAMBEAU_INLINE void weights(const V* s, V* g) {
    const V sum = (s[1] + s[2]) * 0.5f;
    g[0] = s[0] + sum, g[1] = (s[1] - s[2]) * 0.5f, g[2] = sum + s[3];
  }
};

// Stride 2: the outer taps meet every other position, a convolution of two taps with 3 products for 2 outputs; the inner
// tap meets the positions between, one product each. 5 for 6.
struct Strided {
  static constexpr int taps = 3, step = 4, reach = 5, out = 2, images = 5, kernels = 4, products = 5, gradients = 3;
  static constexpr int image_of[] = {0, 1, 2, 3, 4}, kernel_of[] = {0, 1, 2, 3, 3}, gradient_of[] = {0, 1, 2, 0, 2};
  template <class V> static FLAMBEAU_INLINE void image(const V* x, V* t) {
    t[0] = x[0] - x[2], t[1] = x[2], t[2] = x[4] - x[2], t[3] = x[1], t[4] = x[3];
  }
  template <class V> static FLAMBEAU_INLINE void kernel(const V* g, V* u) {
    u[0] = g[0], u[1] = g[0] + g[2], u[2] = g[2], u[3] = g[1];
  }
  template <class V> static FLAMBEAU_INLINE void output(const V* m, V* y) {
    y[0] = m[0] + m[1] + m[3], y[1] = m[1] + m[2] + m[4];
  }
  template <class V> static FLAMBEAU_INLINE void gradient(const V* y, V* d) {
    d[0] = y[0], d[1] = y[0] + y[1], d[2] = y[1];
  }
  template <class V> static FLAMBEAU_INLINE void weights(const V* s, V* g) {
    g[0] = s[0] + s[1], g[1] = s[3], g[2] = s[1] + s[2];
  }
};

// The gradient of Strided with respect to its image, for a padding of 1: positions 4j and 4j + 2 take the inner tap of
// the outputs 2j and 2j + 1, those between the outer taps of two neighbours.
struct Spread {
  static constexpr int taps = 3, step = 2, reach = 3, out = 4, images = 4, kernels = 4, products = 5;
  static constexpr int image_of[] = {0, 1, 2, 3, 1}, kernel_of[] = {0, 1, 2, 3, 3};
  template <class V> static FLAMBEAU_INLINE void image(const V* x, V* t) {
    t[0] = x[0] - x[1], t[1] = x[1], t[2] = x[2] - x[1], t[3] = x[0];
  }
  template <class V> static FLAMBEAU_INLINE void kernel(const V* g, V* u) {
    u[0] = g[2], u[1] = g[0] + g[2], u[2] = g[0], u[3] = g[1];
  }
  template <class V> static FLAMBEAU_INLINE void output(const V* m, V* y) {
    y[0] = m[3], y[1] = m[0] + m[1], y[2] = m[4], y[3] = m[1] + m[2];
  }
};

// Four taps of stride 2 are two convolutions of two taps, each with 3 products for 2 outputs: 6 for 8.
struct Strided4 {
  static constexpr int taps = 4, step = 4, reach = 6, out = 2, images = 6, kernels = 6, products = 6, gradients = 3;
  static constexpr int image_of[] = {0, 1, 2, 3, 4, 5}, kernel_of[] = {0, 1, 2, 3, 4, 5},
                       gradient_of[] = {0, 1, 2, 0, 1, 2};
  template <class V> static FLAMBEAU_INLINE void image(const V* x, V* t) {
    t[0] = x[0] - x[2], t[1] = x[2], t[2] = x[4] - x[2], t[3] = x[1] - x[3], t[4] = x[3], t[5] = x[5] - x[3];
  }
  template <class V> static FLAMBEAU_INLINE void kernel(const V* g, V* u) {
    u[0] = g[0], u[1] = g[0] + g[2], u[2] = g[2], u[3] = g[1], u[4] = g[1] + g[3], u[5] = g[3];
  }
  template <class V> static FLAMBEAU_INLINE void output(const V* m, V* y) {
    y[0] = (m[0] + m[1]) + (m[3] + m[4]), y[1] = (m[1] + m[2]) + (m[4] + m[5]);
  }
  template <class V> static FLAMBEAU_INLINE void gradient(const V* y, V* d) {
    d[0] = y[0], d[1] = y[0] + y[1], d[2] = y[1];
  }
  template <class V> static FLAMBEAU_INLINE void weights(const V* s, V* g) {
    g[0] = s[0] + s[1], g[1] = s[3] + s[4], g[2] = s[1] + s[2], g[3] = s[4] + s[5];
  }
};

// The gradient of Strided4 with respect to its image, for a padding of 1; a tile begins one output before its own.
struct Spread4 {
  static constexpr int taps = 4, step = 2, reach = 4, out = 4, images = 5, kernels = 6, products = 6;
  static constexpr int image_of[] = {0, 1, 2, 2, 3, 4}, kernel_of[] = {0, 1, 2, 3, 4, 5};
  template <class V> static FLAMBEAU_INLINE void image(const V* x, V* t) {
    t[0] = x[0] - x[1], t[1] = x[1], t[2] = x[2] - x[1], t[3] = x[2], t[4] = x[3] - x[2];
  }
  template <class V> static FLAMBEAU_INLINE void kernel(const V* g, V* u) {
    u[0] = g[3], u[1] = g[1] + g[3], u[2] = g[1], u[3] = g[2], u[4] = g[0] + g[2], u[5] = g[0];
  }
  template <class V> static FLAMBEAU_INLINE void output(const V* m, V* y) {
    y[0] = m[0] + m[1], y[1] = m[4] - m[3], y[2] = m[1] + m[2], y[3] = m[4] + m[5];
  }
};

template <class S> struct Winograd {
  static constexpr int L = kSpan<float>, kWide = kTileColumns<float>;
  static constexpr int kImages = S::images * S::images, kKernels = S::kernels * S::kernels;
  static constexpr int kProducts = S::products * S::products, kTaps = S::taps * S::taps;
  using V = Vec<float>;
  static constexpr int image_of(int p) {
    return S::image_of[p / S::products] * S::images + S::image_of[p % S::products];
  }
  static constexpr int kernel_of(int p) {
    return S::kernel_of[p / S::products] * S::kernels + S::kernel_of[p % S::products];
  }

  const Correlation<float>& r;
  const int64_t top, left;  // the source position that the first tile begins at
  const bool flipped;       // the taps count down
  const int64_t across = ceil_div(r.axis[2].out, S::out), down = ceil_div(r.axis[1].out, S::out);  // tiles of one image
  const int64_t rows = r.images * down;  // rows of tiles in all
  const int64_t panels = ceil_div(r.o, kWide);
  // The image's matrices come in blocks of channels, cut by the shape alone. A row has an odd number of vectors, so that
  // neighbouring rows fall on different sets of the caches.
  const int64_t c_block = round_up(ceil_div(r.c, ceil_div(r.c, 128)), L), c_blocks = ceil_div(r.c, c_block);
  const int64_t pitch = c_block | L;

  int64_t channels_of(int64_t block) const { return smaller(c_block, r.c - block * c_block); }
  int64_t groups_of(int64_t block) const { return ceil_div(channels_of(block), L); }
  int64_t outputs_of(int64_t panel) const { return smaller(kWide, r.o - panel * kWide); }
  // Floats that the transforms need for themselves, for `band` rows of tiles of one image.
  int64_t band_size(int64_t band) const {
    const int64_t in = (S::step * band + S::reach + 1) * r.axis[2].in, out = S::out * band * r.axis[2].out;
    return (larger(in, out) + 2 * L) * L;
  }
  // Rows of tiles transformed together: as much as stays in the L1 cache, within one image.
  int64_t band_rows() const {
    const int64_t row = larger(r.axis[2].in * S::step, r.axis[2].out * S::out) * L * int64_t(sizeof(float));
    return smaller(down, larger(1, (20 << 10) / row));
  }

  // Rows of tiles [row0, row1) of one image, `channels` <= L of them from `image` on: v[coefficient * plane + tile * pitch].
  void transform_image(const float* image, int64_t channels, int64_t row0, int64_t row1, float* v, int64_t plane,
                       float* scratch) const {
    const int64_t height = r.axis[1].in, width = r.axis[2].in;
    const int64_t first = smaller(height, larger(0, S::step * row0 + top));
    const int64_t last = larger(first, smaller(height, S::step * (row1 - 1) + S::reach + top));
    float *zeros = scratch, *pixels = scratch + width * L;
    for (int64_t i = 0; i < width; i++) store(zeros + i * L, V{});
    if (first < last)
      pack_rows<float, float>(pixels, L, image + first * width, r.src_channel, channels, (last - first) * width);
    for (int64_t row = row0; row < row1; row++) {
      const float* line[S::reach];
      for (int i = 0; i < S::reach; i++) {
        const int64_t y = S::step * row + top + i;
        line[i] = y >= first && y < last ? pixels + (y - first) * width * L : zeros;
      }
      V t[S::images][S::reach];  // [vertical coefficient][column of the tile]
      auto column = [&](int64_t x, int at) __attribute__((always_inline)) {
        V d[S::reach] = {}, c[S::images];
        if (x >= 0 && x < width)
#pragma GCC unroll 6
          for (int i = 0; i < S::reach; i++) d[i] = load(line[i] + x * L);
        S::image(d, c);
#pragma GCC unroll 6
        for (int i = 0; i < S::images; i++) t[i][at] = c[i];
      };
      constexpr int kept = S::reach - S::step;  // columns that neighbours share
#pragma GCC unroll 2
      for (int i = 0; i < kept; i++) column(left + i, i);
      float* out = v + (row - row0) * across * pitch;
      for (int64_t j = 0; j < across; j++, out += pitch) {
#pragma GCC unroll 4
        for (int i = kept; i < S::reach; i++) column(left + S::step * j + i, i);
#pragma GCC unroll 6
        for (int i = 0; i < S::images; i++) {
          V c[S::images];
          S::image(t[i], c);
#pragma GCC unroll 6
          for (int k = 0; k < S::images; k++) store(out + (i * S::images + k) * plane, c[k]);
#pragma GCC unroll 2
          for (int k = 0; k < kept; k++) t[i][k] = t[i][k + S::step];
        }
      }
    }
  }

  // Tiles of rows [row0, row1), counted over all images, and the channels of group `group` (of L) of a block:
  // v[coefficient * plane + tile * pitch + channel].
  void transform_images(int64_t row0, int64_t row1, int64_t block, int64_t group, float* v, int64_t plane,
                        float* scratch) const {
    const int64_t c = block * c_block + group * L, channels = smaller(L, r.c - c), band = band_rows();
    v += group * L;
    for (int64_t row = row0; row < row1;) {
      const int64_t image = row / down, from = row % down, count = smaller(smaller(band, down - from), row1 - row);
      transform_image(r.src + image * r.src_image + c * r.src_channel, channels, from, from + count,
                      v + (row - row0) * across * pitch, plane, scratch);
      row += count;
    }
  }
};

// Part `i` of `n` of a matrix that the next product reads, on its way to the L2 cache: operands come from the last-level
// cache in rows too short for the machine to foresee.
struct Ahead {
  const float* from = nullptr;
  int64_t rows = 0, pitch = 0, width = 0;
  FLAMBEAU_INLINE void fetch(int64_t i, int64_t n) const {
    if (!from) return;
    for (int64_t row = rows * i / n; row < rows * (i + 1) / n; row++)
      for (int64_t x = 0; x < width; x += 64 / int64_t(sizeof(float))) __builtin_prefetch(from + row * pitch + x, 0, 2);
  }
};

// Names of the base class, which C++ does not find by itself.
#define FLAMBEAU_WINOGRAD(S)                                                                                     \
  using Base = Winograd<S>;                                                                                      \
  using V = typename Base::V;                                                                                    \
  using Base::L, Base::kWide, Base::kImages, Base::kKernels, Base::kProducts, Base::kTaps, Base::image_of,       \
      Base::kernel_of;                                                                                           \
  using Base::r, Base::across, Base::down, Base::rows, Base::panels, Base::c_block, Base::c_blocks, Base::pitch, \
      Base::flipped;                                                                                             \
  using Base::channels_of, Base::groups_of, Base::outputs_of, Base::band_size, Base::band_rows, Base::transform_images;

// Whether Winograd's way suits: 2-d, `taps` neighbouring taps each way (of stride 1 in either order), enough channels, and
// enough tiles for the kernels' transform to pay.
FLAMBEAU_INLINE bool neighbours(const ConvAxis& axis, int64_t taps, int64_t stride) {
  if (axis.taps != taps || axis.stride != stride) return false;
  const int64_t step = axis.offset[1] - axis.offset[0];
  for (int64_t i = 2; i < taps; i++)
    if (axis.offset[i] - axis.offset[i - 1] != step) return false;
  return step == 1 || (step == -1 && stride == 1);
}
FLAMBEAU_INLINE bool winograd_suits(const Correlation<float>& r, int64_t taps, int64_t stride, int64_t channels) {
  const ConvAxis &z = r.axis[0], &y = r.axis[1], &x = r.axis[2];
  if (!neighbours(y, taps, stride) || !neighbours(x, taps, stride)) return false;
  if (z.taps != 1 || z.in != 1 || z.out != 1 || z.offset[0] != 0) return false;
  if ((y.offset[0] < y.offset[1]) != (x.offset[0] < x.offset[1]) || r.groups != 1 || !r.all_taps) return false;
  if (r.dst_axis[2] != 1 || r.dst_axis[1] != x.out || r.c < channels || r.o < channels) return false;
  return r.images * ceil_div(y.out, 2) * ceil_div(x.out, 2) >= 32;
}
template <class S> FLAMBEAU_INLINE Winograd<S> winograd_of(const Correlation<float>& r) {
  const ConvAxis &y = r.axis[1], &x = r.axis[2];
  const bool flipped = y.offset[0] > y.offset[1];
  return {r, y.offset[flipped ? S::taps - 1 : 0], x.offset[flipped ? S::taps - 1 : 0], flipped};
}
constexpr int64_t kDenseChannels = 16, kStridedChannels = 32;  // fewer: the transforms cost more than the products save

// to[channel * step + q] = from[q * L + channel] for q < count: back from channels in the lanes.
FLAMBEAU_INLINE void unpack_lanes(float* to, int64_t step, const float* from, int64_t channels, int64_t count) {
  constexpr int L = kSpan<float>;
  for (int64_t q = 0; q < count; q += L, from += L * L) {
    Vec<float> square[L];
#pragma GCC unroll 16
    for (int i = 0; i < L; i++) square[i] = load(from + i * L);
    transpose_square<float>(square);
    const int64_t left = count - q;
    if (left >= L && channels == L) {
#pragma GCC unroll 16
      for (int i = 0; i < L; i++) store(to + i * step + q, square[i]);
    } else {
      const int64_t part = smaller(left, L);
#pragma GCC unroll 16
      for (int i = 0; i < L; i++)
        if (i < channels) {
          if (part == L)
            store(to + i * step + q, square[i]);
          else
            store_part(to + i * step + q, square[i], part);
        }
    }
  }
}

}  // namespace
}  // namespace flambeau::kernels::FLAMBEAU_ISA
