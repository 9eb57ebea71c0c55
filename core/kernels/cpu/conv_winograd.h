// What the sources of Winograd's minimal filtering F(2x2, 3x3) share (Lavin and Gray, "Fast algorithms for convolutional
// neural networks", 2016): 16 multiplications for the four outputs of a 2x2 tile instead of 36.
//
// Channels stand in the lanes: a band of rows is transposed once to [position][channel], and every step of a transform
// is then the same for all lanes, however narrow the image is. The factors are 1 and 1/2, so errors stay those of the
// direct sums. The 16 coefficients of all tiles at hand form 16 matrices [tile][channel], the operands of the products.
#pragma once
#include "kernels/cpu/conv_planes.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

struct Winograd {
  static constexpr int L = kLanes<float>, kWide = kTileColumns<float>;
  using V = Vector<float>;

  const Correlation<float>& r;
  const int64_t across = ceil_div(r.axis[2].out, 2), down = ceil_div(r.axis[1].out, 2);  // tiles of one image
  const int64_t rows = r.images * down;                                                  // rows of tiles in all
  const int64_t panels = ceil_div(r.o, kWide);
  const bool flipped = r.axis[1].offset[0] > r.axis[1].offset[2];
  const int64_t top = flipped ? r.axis[1].offset[2] : r.axis[1].offset[0];
  const int64_t left = flipped ? r.axis[2].offset[2] : r.axis[2].offset[0];
  // The image's matrices come in blocks of channels, cut by the shape alone. A row has an odd number of vectors, so that
  // neighbouring rows fall on different sets of the caches.
  const int64_t c_block = round_up(ceil_div(r.c, ceil_div(r.c, 128)), L), c_blocks = ceil_div(r.c, c_block);
  const int64_t pitch = c_block | L;

  static bool suits(const Correlation<float>& r) {
    const ConvAxis &z = r.axis[0], &y = r.axis[1], &x = r.axis[2];
    if (!three(y) || !three(x) || z.taps != 1 || z.in != 1 || z.out != 1 || z.offset[0] != 0 || !r.all_taps) return false;
    if ((y.offset[0] < y.offset[1]) != (x.offset[0] < x.offset[1]) || r.groups != 1) return false;
    if (r.dst_axis[2] != 1 || r.dst_axis[1] != x.out || r.c < 16 || r.o < 16) return false;
    // With few tiles the kernels' transform does not pay.
    return r.images * ceil_div(y.out, 2) * ceil_div(x.out, 2) >= 32;
  }
  static bool three(const ConvAxis& axis) {  // neighbouring taps, in either order
    return axis.taps == 3 && axis.stride == 1 && axis.offset[1] * 2 == axis.offset[0] + axis.offset[2] &&
           (axis.offset[1] - axis.offset[0] == 1 || axis.offset[0] - axis.offset[1] == 1);
  }

  int64_t channels_of(int64_t block) const { return smaller(c_block, r.c - block * c_block); }
  int64_t outputs_of(int64_t panel) const { return smaller(kWide, r.o - panel * kWide); }
  // Floats that the transforms need for themselves, for `band` rows of tiles of one image.
  int64_t band_size(int64_t band) const {
    return ((2 * band + 3) * larger(r.axis[2].in, 2 * across) + 2 * L) * L;
  }
  // Rows of tiles transformed together: as much as stays in the L1 cache, within one image.
  int64_t band_rows() const {
    return smaller(down, larger(1, (20 << 10) / (r.axis[2].in * 2 * L * int64_t(sizeof(float)))));
  }

  // B' d B of `rows` [row0, row1) of one image, `channels` <= L of them from `image` on: v[coefficient * plane + tile * pitch].
  void transform_image(const float* image, int64_t channels, int64_t row0, int64_t row1, float* v, int64_t plane,
                       float* scratch) const {
    const int64_t height = r.axis[1].in, width = r.axis[2].in;
    const int64_t first = smaller(height, larger(0, 2 * row0 + top));
    const int64_t last = larger(first, smaller(height, 2 * row1 + top + 2));
    float *zeros = scratch, *pixels = scratch + width * L;
    for (int64_t i = 0; i < width; i++) store(zeros + i * L, V{});
    if (first < last)
      pack_rows<float, float>(pixels, L, image + first * width, r.src_channel, channels, (last - first) * width);
    for (int64_t row = row0; row < row1; row++) {
      const float* line[4];
      for (int i = 0; i < 4; i++) {
        const int64_t y = 2 * row + top + i;
        line[i] = y >= first && y < last ? pixels + (y - first) * width * L : zeros;
      }
      V t[4][4];  // [vertical coefficient][column of the tile]
      auto column = [&](int64_t x, int at) __attribute__((always_inline)) {
        V d[4] = {};
        if (x >= 0 && x < width)
#pragma GCC unroll 4
          for (int i = 0; i < 4; i++) d[i] = load(line[i] + x * L);
        t[0][at] = d[0] - d[2], t[1][at] = d[1] + d[2], t[2][at] = d[2] - d[1], t[3][at] = d[1] - d[3];
      };
      column(left, 0);
      column(left + 1, 1);
      float* out = v + (row - row0) * across * pitch;
      for (int64_t j = 0; j < across; j++, out += pitch) {
        column(left + 2 * j + 2, 2);
        column(left + 2 * j + 3, 3);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
          float* to = out + 4 * i * plane;
          store(to, t[i][0] - t[i][2]);
          store(to + plane, t[i][1] + t[i][2]);
          store(to + 2 * plane, t[i][2] - t[i][1]);
          store(to + 3 * plane, t[i][1] - t[i][3]);
          t[i][0] = t[i][2], t[i][1] = t[i][3];
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
  int64_t groups_of(int64_t block) const { return ceil_div(channels_of(block), L); }
};

// to[channel * step + q] = from[q * L + channel] for q < count: back from channels in the lanes.
FLAMBEAU_INLINE void unpack_lanes(float* to, int64_t step, const float* from, int64_t channels, int64_t count) {
  constexpr int L = kLanes<float>;
  for (int64_t q = 0; q < count; q += L, from += L * L) {
    Vector<float> square[L];
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
          if (part == L) store(to + i * step + q, square[i]);
          else store_part(to + i * step + q, square[i], part);
        }
    }
  }
}

}  // namespace
}  // namespace flambeau::kernels::FLAMBEAU_ISA
