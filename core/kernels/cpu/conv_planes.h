// How a convolution reads its image: as "planes", one for every channel and horizontal tap, in which the columns are
// already shifted and spread by the tap and the stride, so that output positions are consecutive numbers and a vertical
// tap is only another place to start. A table then says where each (channel, tap) starts, and the register tile of the
// matrix product reads positions from there: no image is ever unfolded in full.
#pragma once
#include "kernels/cpu/gemm_pack.h"
#include "kernels/cpu/gemm_tile.h"

namespace flambeau::kernels::FLAMBEAU_ISA {

// One dimension of a correlation: output j reads source positions j * stride + offset[t], t < taps; outside is zero.
struct ConvAxis {
  int64_t out = 1, in = 1, stride = 1, taps = 1;
  const int64_t* offset = nullptr;
  const int64_t* index = nullptr;  // the tap's place in the kernel
};

// dst(image, g, o, z, y, x) = bias + sum over c and taps of src(image, g, c, ...) * w(g, o, c, tap).
template <class T> struct Correlation {
  ConvAxis axis[3];
  int64_t images, groups, c, o;  // channels of one group
  const T* src;
  int64_t src_image, src_channel;
  const T* w;
  int64_t w_group, w_out, w_channel, kernel[3];  // taps of one (out, channel) are contiguous, in the kernel's order
  bool all_taps;                                 // the axes list every tap in order
  T* dst;
  int64_t dst_image, dst_channel, dst_axis[3];
  const T* bias;
};

void correlate(const Correlation<float>& r);
void correlate(const Correlation<double>& r);
void correlate_depthwise(const Correlation<float>& r);  // c is 1
void correlate_depthwise(const Correlation<double>& r);
bool correlate_winograd(const Correlation<float>& r);  // false, with nothing done, if it does not suit the shape
// The gradient with respect to the image of a convolution whose output gradient is forward.dst; false as above.
bool spread_winograd(const Correlation<float>& forward, float* dx, const float* bias);
// dst is read as the gradient, dw [groups * o, c * taps] is written; the axes list every tap.
void weight_gradient(const Correlation<float>& r, float* dw);
void weight_gradient(const Correlation<double>& r, double* dw);
void weight_gradient_depthwise(const Correlation<float>& r, float* dw);
bool weight_gradient_winograd(const Correlation<float>& r, float* dw);  // as correlate_winograd
void weight_gradient_depthwise(const Correlation<double>& r, double* dw);

namespace {

// out[j] = src[j * stride] for begin <= j < end, zero for the other j < count. src itself may lie outside of the array.
// Writes whole vectors, up to one past the end of out.
template <class T>
FLAMBEAU_INLINE void copy_strided(T* out, const T* src, int64_t count, int64_t stride, int64_t begin, int64_t end) {
  constexpr int lanes = kSpan<T>;
  if (stride > 2) {
    for (int64_t j = 0; j < begin; j++) out[j] = 0;
    for (int64_t j = begin; j < end; j++) out[j] = src[j * stride];
    for (int64_t j = end; j < count; j++) out[j] = 0;
    return;
  }
  for (int64_t j = 0; j < count; j += lanes) {
    if (stride == 1) {
      const T* from = src + j;
      if (j >= begin && j + lanes <= end)
        store(out + j, load(from));
      else
        store(out + j, load_range(from, smaller(lanes, larger(0, begin - j)), larger(0, smaller(lanes, end - j))));
    } else {
      const T* from = src + 2 * j;  // elements 2 * begin .. 2 * end - 2 exist
      const int64_t first = 2 * (begin - j), last = 2 * (end - j) - 1;
      Vec<T> a, b;
      if (first <= 0 && last >= 2 * lanes) {
        a = load(from), b = load(from + lanes);
      } else {
        a = load_range(from, smaller(lanes, larger(0, first)), larger(0, smaller(lanes, last)));
        b = load_range(from + lanes, smaller(lanes, larger(0, first - lanes)), larger(0, smaller(lanes, last - lanes)));
      }
      store(out + j, even_lanes(a, b, std::make_integer_sequence<int, lanes>()));
    }
  }
}
template <class T> FLAMBEAU_INLINE void clear(T* out, int64_t count) {
  for (int64_t j = 0; j < count; j++) out[j] = 0;
}

// The positions j in [begin, end) with 0 <= j * stride + offset < in.
struct Range {
  int64_t begin, end;
};
FLAMBEAU_INLINE Range valid(int64_t begin, int64_t end, int64_t stride, int64_t offset, int64_t in) {
  int64_t first = offset >= 0 ? 0 : ceil_div(-offset, stride);
  int64_t last = in - offset <= 0 ? 0 : ceil_div(in - offset, stride);
  first = smaller(larger(first, begin), end);
  return {first, larger(first, smaller(last, end))};
}

// The planes of a block of output rows (or of several whole images): layout, filling, table of starts.
template <class T> struct Planes {
  const ConvAxis* axis;
  int64_t src_channel;
  bool separate;  // every vertical tap has rows of its own: positions of several images can then follow each other
  bool line;      // the horizontal axis is trivial: rows of one element, filled as one run
  int64_t classes = 0, most_rows = 0;  // vertical taps whose rows interleave share a class
  Scratch memory;
  int64_t *of_tap, *shift, *low, *span,
      *phase;  // per tap: class, shift; per class: lowest shift, span of shifts, phase

  Planes(const ConvAxis* axis, int64_t src_channel, bool separate)
      : axis(axis),
        src_channel(src_channel),
        separate(separate),
        line(axis[2].in == 1 && axis[2].out == 1 && axis[2].taps == 1 && axis[2].offset[0] == 0),
        memory(size_t(axis[1].taps) * 5 * 8 + 8) {
    const ConvAxis& y = axis[1];
    of_tap = memory.as<int64_t>(), shift = of_tap + y.taps, low = shift + y.taps, span = low + y.taps,
    phase = span + y.taps;
    for (int64_t t = 0; t < y.taps; t++) {
      int64_t down = y.offset[t] >= 0 ? y.offset[t] / y.stride : -ceil_div(-y.offset[t], y.stride);
      int64_t rest = y.offset[t] - down * y.stride, k = 0;
      while (k < classes && (separate || phase[k] != rest)) k++;
      if (separate) k = classes;
      if (k == classes) {
        classes++;
        phase[k] = rest, low[k] = down, span[k] = 0;
      }
      if (down < low[k]) span[k] += low[k] - down, low[k] = down;
      span[k] = larger(span[k], down - low[k]);
      of_tap[t] = k, shift[t] = down;
    }
  }

  int64_t rows_of(int64_t rows) const {  // rows held by one plane, for `rows` rows of output
    int64_t sum = 0;
    for (int64_t k = 0; k < classes; k++) sum += rows + span[k];
    return sum;
  }
  int64_t taps() const { return axis[0].taps * axis[1].taps * axis[2].taps; }
  // Elements of the planes of one channel, `images` following each other.
  int64_t channel_size(int64_t rows, int64_t images) const {
    return axis[0].taps * axis[2].taps * rows_of(rows) * images * axis[2].out;
  }

  // table[(channel, z, y, x)] for `channels` channels.
  void make_table(int64_t* table, int64_t channels, int64_t rows, int64_t images) const {
    const int64_t width = axis[2].out, held = rows_of(rows) * images * width;
    for (int64_t c = 0; c < channels; c++)
      for (int64_t z = 0; z < axis[0].taps; z++)
        for (int64_t y = 0; y < axis[1].taps; y++)
          for (int64_t x = 0; x < axis[2].taps; x++) {
            int64_t start = 0;
            for (int64_t k = 0; k < of_tap[y]; k++) start += rows + span[k];
            start = start * images + shift[y] - low[of_tap[y]];
            *table++ = ((c * axis[0].taps + z) * axis[2].taps + x) * held + start * width;
          }
  }

  // src: the first channel of the first image. Rows y0 .. y0 + rows of depth z.
  void fill(T* out, const T* src, int64_t channels, int64_t src_image, int64_t images, int64_t z, int64_t y0,
            int64_t rows) const {
    const ConvAxis &az = axis[0], &ay = axis[1], &ax = axis[2];
    const int64_t width = ax.out;
    for (int64_t c = 0; c < channels; c++) {
      for (int64_t tz = 0; tz < az.taps; tz++) {
        const int64_t at_z = z * az.stride + az.offset[tz];
        const bool inside_z = at_z >= 0 && at_z < az.in;
        for (int64_t tx = 0; tx < ax.taps; tx++) {
          const Range columns = valid(0, width, ax.stride, ax.offset[tx], ax.in);
          for (int64_t k = 0; k < classes; k++) {
            for (int64_t i = 0; i < images; i++) {
              const T* slice = src + i * src_image + c * src_channel + (inside_z ? at_z * ay.in * ax.in : 0);
              const int64_t first = y0 + low[k], last = first + rows + span[k];
              Range good = inside_z ? valid(first, last, ay.stride, phase[k], ay.in) : Range{last, last};
              if (line) {
                clear(out, good.begin - first);
                if (good.begin < good.end)
                  copy_strided(out + (good.begin - first), slice + good.begin * ay.stride + phase[k],
                               good.end - good.begin, ay.stride, 0, good.end - good.begin);
                clear(out + (good.end - first), last - good.end);
                out += last - first;
                continue;
              }
              clear(out, (good.begin - first) * width);
              T* row = out + (good.begin - first) * width;
              if (ax.stride == 1 && ay.stride == 1 && ax.in == width && good.begin < good.end &&
                  columns.begin < columns.end) {
                // One run over all rows, and then zeros where a row's end brought its neighbour's values.
                const int64_t end = (good.end - good.begin) * width, tail = width - columns.end;
                const T* from = slice + (good.begin + phase[k]) * width + ax.offset[tx] + columns.begin;
                const int64_t run = end - columns.begin - tail;
                copy_strided(row + columns.begin, from, run, 1, 0, run);
                for (int64_t x = 0; x < columns.begin; x++)
                  for (int64_t y = 0; y < end; y += width) row[y + x] = 0;
                for (int64_t x = columns.end; x < width; x++)
                  for (int64_t y = 0; y < end; y += width) row[y + x] = 0;
                row += end;
                good.begin = good.end;
              }
              for (int64_t y = good.begin; y < good.end; y++, row += width) {
                const T* from = slice + (y * ay.stride + phase[k]) * ax.in + ax.offset[tx];
                copy_strided(row, from, width, ax.stride, columns.begin, columns.end);
              }
              clear(row, (last - good.end) * width);
              out += (last - first) * width;
            }
          }
        }
      }
    }
    for (int j = 0; j < 2 * kSpan<T>; j++) out[j] = 0;  // read by the last tile's unused columns
  }
};

// How the output positions are cut: into blocks of rows of one image and depth, or into runs of whole small images.
struct ConvBlocks {
  bool separate = false;
  int64_t channels = 1;                      // of a block of the sum: by the shape alone, as it fixes the order of sums
  int64_t images = 1, rows = 1;              // of one block
  int64_t image_blocks = 1, row_blocks = 1;  // their number, per depth
};
template <class T>
ConvBlocks plan_blocks(const Correlation<T>& r, int64_t block_channels_k, int64_t bytes, int64_t positions) {
  ConvBlocks b;
  const int64_t taps = r.axis[0].taps * r.axis[1].taps * r.axis[2].taps, height = r.axis[1].out, width = r.axis[2].out;
  b.channels = smaller(r.c, larger(1, block_channels_k / taps));
  b.channels = ceil_div(r.c, ceil_div(r.c, b.channels));
  const int64_t plane = height * width;
  const bool poor_fill = plane * 20 < round_up(plane, kSpan<T>) * 17;
  if (poor_fill && r.axis[0].out == 1 && plane <= 256 && r.images > 1 && r.o >= 32) {
    b.separate = true;
    b.images = smaller(r.images, larger(1, 256 / plane));
    b.images = ceil_div(r.images, ceil_div(r.images, b.images));
    b.rows = height;
  } else {
    const int64_t row_bytes = b.channels * r.axis[0].taps * r.axis[2].taps * width * int64_t(sizeof(T));
    b.rows = larger(1, smaller(height, smaller(bytes / row_bytes - r.axis[1].taps, positions / width)));
    b.rows = ceil_div(height, ceil_div(height, b.rows));
    if (width == 1) b.rows = smaller(height, round_up(b.rows, kTileColumns<T>));
  }
  b.image_blocks = ceil_div(r.images, b.images);
  b.row_blocks = ceil_div(height, b.rows);
  return b;
}

template <class T> FLAMBEAU_INLINE const TileTable<T, T>& conv_tiles() {
  if constexpr (sizeof(T) == 8)
    return kTilesF64;
  else
    return kTilesF32;
}

}  // namespace
}  // namespace flambeau::kernels::FLAMBEAU_ISA
