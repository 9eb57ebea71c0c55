// The general convolution (any kernel, stride, dilation, groups): packed weights times planes of the image.
#include "base/parallel.h"
#include "kernels/cpu/conv_planes.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

// Packed weights: for every group and block of channels, the tiles of output channels one after another, each
// [channel, tap][rows of the tile].
template <class T> struct Weights {
  const Correlation<T>& r;
  const int64_t taps, channels, blocks, tiles, region;
  Scratch memory;
  T* packed;

  Weights(const Correlation<T>& r, int64_t channels)
      : r(r),
        taps(r.axis[0].taps * r.axis[1].taps * r.axis[2].taps),
        channels(channels),
        blocks(ceil_div(r.c, channels)),
        tiles(ceil_div(r.o, kTileRows)),
        region(round_up(channels * taps * r.o + kSpan<T>, kSpan<T>)),
        memory(size_t(r.groups * blocks * region) * sizeof(T)),
        packed(memory.as<T>()) {
    parallel_for(r.groups * blocks, larger(1, 20000 / region), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) pack_region(i / blocks, i % blocks);
    });
  }
  const T* tile(int64_t group, int64_t block, int64_t top, int64_t depth) const {
    return packed + (group * blocks + block) * region + top * depth;
  }

 private:
  void pack_region(int64_t group, int64_t block) {
    const int64_t c0 = block * channels, count = smaller(channels, r.c - c0);
    T* out = packed + (group * blocks + block) * region;
    for (int64_t i = 0; i < tiles; i++) {
      const int64_t top = r.o * i / tiles, height = r.o * (i + 1) / tiles - top;
      const T* from = r.w + group * r.w_group + top * r.w_out + c0 * r.w_channel;
      if (r.all_taps && r.w_channel == taps) {
        pack_rows<T, T>(out, height, from, r.w_out, height, count * taps);
        out += count * taps * height;
        continue;
      }
      if (taps == 1 && r.all_taps && r.w_out == 1) {
        pack_columns<T, T>(out, height, from, r.w_channel, height, count);
        out += count * height;
        continue;
      }
      for (int64_t c = 0; c < count; c++, from += r.w_channel) {
        if (r.all_taps) {
          pack_rows<T, T>(out, height, from, r.w_out, height, taps);
          out += taps * height;
          continue;
        }
        for (int64_t z = 0; z < r.axis[0].taps; z++)
          for (int64_t y = 0; y < r.axis[1].taps; y++)
            for (int64_t x = 0; x < r.axis[2].taps; x++) {
              const T* tap =
                  from + (r.axis[0].index[z] * r.kernel[1] + r.axis[1].index[y]) * r.kernel[2] + r.axis[2].index[x];
              for (int64_t j = 0; j < height; j++) *out++ = tap[j * r.w_out];
            }
      }
    }
  }
};

template <class T> struct Correlator {
  const Correlation<T>& r;
  const ConvBlocks& b;
  const Planes<T>& planes;
  const Weights<T>& weights;

  // A 1x1 kernel needs no planes: the image's positions are packed into panels, as a matrix would be.
  bool pointwise() const {
    for (const ConvAxis& axis : r.axis)
      if (axis.taps != 1 || axis.stride != 1 || axis.offset[0] != 0 || axis.in != axis.out) return false;
    return !b.separate;
  }
  static void pack_panels(T* out, const T* image, int64_t src_channel, int64_t channels, int64_t positions) {
    constexpr int64_t wide = kTileColumns<T>;
    for (int64_t c = 0; c < channels; c++, image += src_channel) {
      T* to = out + c * wide;
      int64_t q = 0;
      for (; q + wide <= positions; q += wide, to += channels * wide)
#pragma GCC unroll 2
        for (int v = 0; v < kTileVectors; v++) store(to + v * kSpan<T>, load(image + q + v * kSpan<T>));
      for (; q < positions; q += kSpan<T>, to += kSpan<T>)
        store(to, load_range(image + q, 0, smaller(kSpan<T>, positions - q)));
    }
  }

  // Output channels of tiles [tile0, tile1) of a group, for one block of positions.
  void block(int64_t group, int64_t tile0, int64_t tile1, int64_t image_block, int64_t z, int64_t row_block) const {
    const int64_t width = r.axis[2].out, taps = weights.taps;
    const int64_t image0 = image_block * b.images, images = smaller(b.images, r.images - image0);
    const int64_t y0 = row_block * b.rows, rows = smaller(b.rows, r.axis[1].out - y0);
    const int64_t positions = images * rows * width;
    const int64_t o0 = r.o * tile0 / weights.tiles, o1 = r.o * tile1 / weights.tiles;
    const bool direct = images == 1 && r.dst_axis[2] == 1 && (r.dst_axis[1] == width || rows == 1);
    const int64_t sums_row = round_up(positions, kSpan<T>);
    Scratch sums(direct ? 0 : size_t((o1 - o0) * sums_row) * sizeof(T));
    const bool panels = pointwise();
    const int64_t held = panels ? round_up(positions, kTileColumns<T>) : planes.channel_size(rows, images);
    Scratch buffer(size_t(held * b.channels + 2 * kTileColumns<T>) * sizeof(T));
    Scratch table(size_t(b.channels * taps) * 8);
    if (!panels) planes.make_table(table.as<int64_t>(), b.channels, rows, images);

    TileCall<T, T> t;
    t.a_rows = nullptr;
    t.b_step = kTileColumns<T>;
    t.b_table = table.as<int64_t>();
    t.alpha = 1;
    t.column_bias = nullptr;
    T* const out =
        r.dst + image0 * r.dst_image + (group * r.o) * r.dst_channel + z * r.dst_axis[0] + y0 * r.dst_axis[1];
    for (int64_t block = 0; block < weights.blocks; block++) {
      const int64_t c0 = block * b.channels, depth = smaller(b.channels, r.c - c0) * taps;
      const T* image = r.src + image0 * r.src_image + (group * r.c + c0) * r.src_channel;
      if (panels)
        pack_panels(buffer.as<T>(), image + (z * r.axis[1].in + y0) * r.axis[2].in, r.src_channel, depth, positions);
      else
        planes.fill(buffer.as<T>(), image, depth / taps, r.src_image, images, z, y0, rows);
      t.k = depth;
      t.beta = block == 0 ? T(0) : T(1);
      // Output channels in groups whose weights stay in the L2 cache while the positions go by.
      const int64_t together = larger(1, int64_t(320 << 10) / (depth * kTileRows * int64_t(sizeof(T))));
      for (int64_t first = tile0; first < tile1; first += together) {
        const int64_t last = smaller(tile1, first + together);
        for (int64_t q = 0; q < positions; q += kTileColumns<T>) {
          t.columns = smaller(kTileColumns<T>, positions - q);
          t.b = buffer.as<T>() + (panels ? q * depth : q);
          const int vectors = t.columns > kSpan<T> ? 1 : 0;
          for (int64_t i = first; i < last; i++) {
            const int64_t top = r.o * i / weights.tiles, height = r.o * (i + 1) / weights.tiles - top;
            t.a = weights.tile(group, block, top, depth);
            t.a_step = height;
            t.row_bias = r.bias && block == 0 ? r.bias + group * r.o + top : nullptr;
            t.c = direct ? out + top * r.dst_channel + q : sums.as<T>() + (top - o0) * sums_row + q;
            t.c_row = direct ? r.dst_channel : sums_row;
            conv_tiles<T>().of[panels ? kTileColumnsForm : kTileTableForm][vectors][height - 1](t);
          }
        }
      }
    }
    if (direct) return;
    for (int64_t o = o0; o < o1; o++) {
      const T* from = sums.as<T>() + (o - o0) * sums_row;
      for (int64_t i = 0; i < images; i++)
        for (int64_t y = 0; y < rows; y++, from += width) {
          T* to = out + i * r.dst_image + o * r.dst_channel + y * r.dst_axis[1];
          const int64_t step = r.dst_axis[2];
          if (step == 1)
            for (int64_t x = 0; x < width; x++) to[x] = from[x];
          else
            for (int64_t x = 0; x < width; x++) to[x * step] = from[x];
        }
    }
  }
};

// 1x1 kernels over images of one line: whole panels of positions are read in the image itself, and what is left over of
// all images is gathered into panels of its own.
template <class T> struct Pointwise {
  static constexpr int64_t kWide = kTileColumns<T>;
  const Correlation<T>& r;
  const Weights<T> weights{r, ceil_div(r.c, ceil_div(r.c, kBlockK))};
  const int64_t positions = r.axis[1].out, whole = positions / kWide,
                rest = positions % kWide;  // panels and positions of an image
  const int64_t left_over = r.images * rest, units = r.images * whole + ceil_div(left_over, kWide);

  static bool suits(const Correlation<T>& r) {
    for (const ConvAxis& axis : r.axis)
      if (axis.taps != 1 || axis.stride != 1 || axis.offset[0] != 0 || axis.in != axis.out) return false;
    // Channels a power of two apart would share their sets of the L1 cache.
    return r.axis[0].out == 1 && r.axis[2].out == 1 && r.axis[1].out >= kWide && r.dst_axis[1] == 1 &&
           r.src_channel * int64_t(sizeof(T)) % 2048 != 0;
  }

  // The pieces of gathered panel `panel`: visit(image, column in the panel, position in the image, count).
  template <class Visit> void each_piece(int64_t panel, Visit&& visit) const {
    const int64_t begin = panel * kWide, end = smaller(left_over, begin + kWide);
    for (int64_t at = begin; at < end;) {
      const int64_t image = at / rest, from = at % rest, count = smaller(rest - from, end - at);
      visit(image, at - begin, whole * kWide + from, count);
      at += count;
    }
  }

  // Units [unit0, unit1) and the tiles [tile0, tile1) of output channels of a group.
  void block(int64_t group, int64_t unit0, int64_t unit1, int64_t tile0, int64_t tile1) const {
    const int64_t direct = r.images * whole, gathered = larger(0, unit1 - larger(unit0, direct));
    const int64_t o0 = r.o * tile0 / weights.tiles, o1 = r.o * tile1 / weights.tiles;
    Scratch buffer(gathered ? size_t(weights.channels * kWide) * sizeof(T) : 0);
    Scratch sums(size_t(gathered * (o1 - o0) * kWide) * sizeof(T));
    const T* const src = r.src + group * r.c * r.src_channel;
    T* const dst = r.dst + group * r.o * r.dst_channel;
    TileCall<T, T> t;
    t.a_rows = nullptr;
    t.b_table = nullptr;
    t.alpha = 1;
    t.column_bias = nullptr;
    for (int64_t block = 0; block < weights.blocks; block++) {
      const int64_t c0 = block * weights.channels, depth = smaller(weights.channels, r.c - c0);
      t.k = depth;
      t.beta = block == 0 ? T(0) : T(1);
      for (int64_t unit = unit0; unit < unit1; unit++) {
        const int64_t panel = unit - direct;
        T* out;
        if (panel < 0) {
          const int64_t image = unit / whole, q = unit % whole * kWide;
          t.columns = kWide;
          t.b = src + image * r.src_image + c0 * r.src_channel + q;
          t.b_step = r.src_channel;
          t.c_row = r.dst_channel;
          out = dst + image * r.dst_image + q + o0 * r.dst_channel;
        } else {
          t.columns = smaller(kWide, left_over - panel * kWide);
          T* const packed = buffer.as<T>();
          each_piece(panel, [&](int64_t image, int64_t column, int64_t q, int64_t count) {
            for (int64_t c = 0; c < depth; c++) {
              const T* from = src + image * r.src_image + (c0 + c) * r.src_channel + q;
              for (int64_t j = 0; j < count; j++) packed[c * kWide + column + j] = from[j];
            }
          });
          for (int64_t c = 0; c < depth; c++) clear(packed + c * kWide + t.columns, kWide - t.columns);
          t.b = packed;
          t.b_step = t.c_row = kWide;
          out = sums.as<T>() + (unit - larger(unit0, direct)) * (o1 - o0) * kWide;
        }
        const int vectors = t.columns > kSpan<T> ? 1 : 0;
        // What comes next is fetched early: the next panel's rows, which lie far apart, by the last tiles (a line of each
        // row, of the three that it may touch), and a new block's weights by the tile before each.
        const bool last_unit = unit + 1 == unit1;
        const int64_t next = last_unit ? unit0 : unit + 1, next_c0 = last_unit ? c0 + depth : c0;
        const T* coming = next < direct && next_c0 < r.c
                              ? src + next / whole * r.src_image + next_c0 * r.src_channel + next % whole * kWide
                              : nullptr;
        for (int64_t i = tile0; i < tile1; i++) {
          const int64_t top = r.o * i / weights.tiles, height = r.o * (i + 1) / weights.tiles - top;
          const int64_t line = i - tile1 + kTileVectors + 1;
          t.ahead = nullptr;
          t.ahead_step = 0;
          if (coming && line >= 0) {
            t.ahead = coming + line * kSpan<T>;
            t.ahead_step = r.src_channel;
          } else if (unit == unit0 && i + 1 < tile1) {
            t.ahead = weights.tile(group, block, top + height, depth);
            t.ahead_step = kSpan<T>;
          }
          t.a = weights.tile(group, block, top, depth);
          t.a_step = height;
          t.row_bias = r.bias && block == 0 ? r.bias + group * r.o + top : nullptr;
          t.c = out + (top - o0) * t.c_row;
          conv_tiles<T>().of[kTileColumnsForm][vectors][height - 1](t);
        }
      }
    }
    for (int64_t i = 0; i < gathered; i++)
      each_piece(unit1 - gathered + i - direct, [&](int64_t image, int64_t column, int64_t q, int64_t count) {
        for (int64_t o = o0; o < o1; o++) {
          const T* from = sums.as<T>() + (i * (o1 - o0) + o - o0) * kWide + column;
          T* to = dst + image * r.dst_image + o * r.dst_channel + q;
          for (int64_t j = 0; j < count; j++) to[j] = from[j];
        }
      });
  }

  void run() const {
    // A task's positions and weights share the L2 cache.
    const int64_t threads = num_threads(), size = int64_t(sizeof(T)), rows = weights.channels * kTileRows * size;
    const int64_t shares_least = ceil_div(weights.tiles, larger(1, (400 << 10) / rows));
    const int64_t most =
        larger(1, smaller((256 << 10) / (weights.channels * kWide * size), ceil_div(units, 2 * threads)));
    const int64_t count = smaller(units, round_up(ceil_div(units, most), threads)), together = ceil_div(units, count);
    const int64_t shares =
        smaller(ceil_div(weights.tiles, 2), larger(shares_least, ceil_div(4 * threads, count * r.groups)));
    const int64_t flops = larger(1, 2 * together * kWide * r.c * r.o / shares);
    parallel_for(r.groups * count * shares, larger(1, 1000000 / flops), [&](int64_t begin, int64_t end) {
      for (; begin < end; begin++) {
        const int64_t share = begin % shares, part = begin / shares % count, group = begin / shares / count;
        block(group, units * part / count, units * (part + 1) / count, weights.tiles * share / shares,
              weights.tiles * (share + 1) / shares);
      }
    });
  }
};

template <class T> void correlate_of(const Correlation<T>& r) {
  if (Pointwise<T>::suits(r)) return Pointwise<T>{r}.run();
  const int64_t positions = r.axis[0].out * r.axis[1].out * r.axis[2].out;
  const int64_t taps = r.axis[0].taps * r.axis[1].taps * r.axis[2].taps;
  // A block's results stay in the L2 cache while the channels' blocks are added up.
  const int64_t most = smaller(1024, larger(256, (192 << 10) / int64_t(sizeof(T)) / r.o));
  const ConvBlocks b = plan_blocks(r, kBlockK, 256 << 10, most);
  const Planes<T> planes(r.axis, r.src_channel, b.separate);
  const Weights<T> weights(r, b.channels);
  const Correlator<T> work{r, b, planes, weights};
  const int64_t blocks = b.image_blocks * r.axis[0].out * b.row_blocks * r.groups;
  // With few blocks the output channels are shared out too, each share filling the planes for itself.
  const int64_t flops = 2 * r.o * r.c * taps * positions * r.images * r.groups;
  const int64_t wanted = smaller(3 * num_threads(), flops / 1000000 + 1);
  const int64_t shares = blocks >= wanted ? 1 : smaller(ceil_div(wanted, blocks), ceil_div(weights.tiles, 2));
  const int64_t block_flops = larger(1, flops / (blocks * shares));
  parallel_for(blocks * shares, larger(1, 1000000 / block_flops), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      int64_t rest = i;
      const int64_t share = rest % shares;
      rest /= shares;
      const int64_t row_block = rest % b.row_blocks;
      rest /= b.row_blocks;
      const int64_t z = rest % r.axis[0].out;
      rest /= r.axis[0].out;
      work.block(rest % r.groups, weights.tiles * share / shares, weights.tiles * (share + 1) / shares, rest / r.groups,
                 z, row_block);
    }
  });
}

}  // namespace

void correlate(const Correlation<float>& r) { correlate_of(r); }
void correlate(const Correlation<double>& r) { correlate_of(r); }

}  // namespace flambeau::kernels::FLAMBEAU_ISA
