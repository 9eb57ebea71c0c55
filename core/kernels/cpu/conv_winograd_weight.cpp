// The gradient of a 3x3 convolution of stride 1 or 2, or a 4x4 one of stride 2, with respect to its kernel, by Winograd's minimal filtering run
// backwards: image and output gradient are transformed, multiplied and summed over all tiles, and the sums transformed
// back, with the same number of multiplications as forwards.
//
// For each coefficient the sum over tiles is a matrix product [input channel][output channel]. Tiles are transformed by
// slabs that stay in the last-level cache; within a slab they are summed in blocks cut by the shape alone.
#include "base/parallel.h"
#include "kernels/cpu/conv_winograd.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

constexpr int64_t kSlabBytes = 8 << 20;

template <class S> struct Gradient : Winograd<S> {
  FLAMBEAU_WINOGRAD(S)
  static constexpr int kGradients = S::gradients * S::gradients;
  static constexpr int gradient_of(int p) {
    return S::gradient_of[p / S::products] * S::gradients + S::gradient_of[p % S::products];
  }
  const int64_t sums_plane = c_block * kWide + L;  // not a power of two: the planes would share their sets of the cache

  // A dy A' of rows of tiles [row0, row1) of one image, `channels` <= L of them: d[coefficient * plane + tile * kWide].
  void transform_gradient(const float* image, int64_t channels, int64_t row0, int64_t row1, float* d, int64_t plane,
                          float* scratch) const {
    const int64_t height = r.axis[1].out, width = r.axis[2].out;
    const int64_t first = 2 * row0, last = smaller(height, 2 * row1);
    pack_rows<float, float>(scratch, L, image + first * width, r.dst_channel, channels, (last - first) * width);
    for (int64_t row = row0; row < row1; row++) {
      const float* line = scratch + 2 * (row - row0) * width * L;
      const bool two = 2 * row + 1 < height;
      for (int64_t j = 0; j < across; j++, line += 2 * L, d += kWide) {
        const bool wide = 2 * j + 1 < width;
        const V zero = {}, y[2][2] = {{load(line), two ? load(line + width * L) : zero},
                                      {wide ? load(line + L) : zero, wide && two ? load(line + width * L + L) : zero}};
        V q[2][S::gradients];
        S::gradient(y[0], q[0]);
        S::gradient(y[1], q[1]);
#pragma GCC unroll 4
        for (int i = 0; i < S::gradients; i++) {
          const V pair[2] = {q[0][i], q[1][i]};
          V out[S::gradients];
          S::gradient(pair, out);
#pragma GCC unroll 4
          for (int k = 0; k < S::gradients; k++) store(d + (i * S::gradients + k) * plane, out[k]);
        }
      }
    }
  }

  // Whether p is the first of the products that add to the same coefficient of the kernel.
  static constexpr bool begins(int p) {
    for (int i = 0; i < p; i++)
      if (Winograd<S>::kernel_of(i) == Winograd<S>::kernel_of(p)) return false;
    return true;
  }

  // Of one coefficient: sums[channel][kWide] (+)= v[tile][channel]' * d[tile][kWide].
  void product(int64_t tiles, int64_t channels, const float* v, const float* d, float* sums, int64_t outputs,
               bool fresh) const {
    TileCall<float, float> t;
    t.a_rows = nullptr;
    t.a_step = pitch;
    t.b_step = t.c_row = kWide;
    t.b_table = nullptr;
    t.alpha = 1;
    t.column_bias = t.row_bias = nullptr;
    const int vectors = outputs > L ? 1 : 0;
    t.columns = vectors ? kWide : L;
    const int64_t count = ceil_div(channels, kTileRows), steps = ceil_div(tiles, 128);
    for (int64_t step = 0; step < steps; step++) {
      const int64_t begin = tiles * step / steps;
      t.k = tiles * (step + 1) / steps - begin;
      t.beta = fresh && step == 0 ? 0.f : 1.f;
      t.b = d + begin * kWide;
      for (int64_t i = 0; i < count; i++) {
        const int64_t c = channels * i / count, height = channels * (i + 1) / count - c;
        t.a = v + begin * pitch + c;
        t.c = sums + c * kWide;
        kTilesF32.of[kTileColumnsForm][vectors][height - 1](t);
      }
    }
  }

  // G' s G of `channels` channels from c on and a panel of output channels. scratch: (channels * kTaps + L) * L floats.
  void finish(const float* sums, int64_t c, int64_t channels, int64_t panel, float* dw, float* scratch) const {
    for (int64_t half = 0; half < outputs_of(panel); half += L) {
      for (int64_t i = 0; i < channels; i++) {
        const float* from = sums + i * kWide + half;
        V h[S::taps][S::kernels];
#pragma GCC unroll 6
        for (int x = 0; x < S::kernels; x++) {
          V column[S::kernels], taps[S::taps];
#pragma GCC unroll 6
          for (int y = 0; y < S::kernels; y++) column[y] = load(from + (y * S::kernels + x) * sums_plane);
          S::weights(column, taps);
#pragma GCC unroll 4
          for (int y = 0; y < S::taps; y++) h[y][x] = taps[y];
        }
        float* to = scratch + i * kTaps * L;
#pragma GCC unroll 4
        for (int y = 0; y < S::taps; y++, to += S::taps * L) {
          V taps[S::taps];
          S::weights(h[y], taps);
#pragma GCC unroll 4
          for (int x = 0; x < S::taps; x++) store(to + x * L, taps[x]);
        }
      }
      const int64_t o = panel * kWide + half;
      unpack_lanes(dw + (o * r.c + c) * kTaps, r.c * kTaps, scratch, smaller(L, r.o - o), channels * kTaps);
    }
  }

  // A dy A' of rows counted over all images, one half of a panel: d[coefficient * plane + tile * kWide].
  void transform_gradients(int64_t row0, int64_t row1, int64_t o, float* d, int64_t plane, float* scratch) const {
    const int64_t band = band_rows();
    for (int64_t row = row0; row < row1;) {
      const int64_t image = row / down, from = row % down, count = smaller(smaller(band, down - from), row1 - row);
      transform_gradient(r.dst + image * r.dst_image + o * r.dst_channel, smaller(L, r.o - o), from, from + count,
                         d + (row - row0) * across * kWide, plane, scratch);
      row += count;
    }
  }

  const int64_t pairs = c_blocks * panels,
                sums_size = kKernels * sums_plane;  // of blocks of channels and panels of outputs

  // Adds up `parts` sums of every pair, `apart` floats from each other, and writes the result.
  void finish_all(float* sums, int64_t parts, int64_t apart, float* dw) const {
    constexpr int64_t chunk = 16;
    const int64_t chunks = ceil_div(c_block, chunk);
    parallel_for(pairs * chunks, 4, [&](int64_t begin, int64_t end) {
      Scratch own(size_t((chunk * kTaps + L) * L) * sizeof(float));
      for (; begin < end; begin++) {
        const int64_t from = begin % chunks * chunk, pair = begin / chunks, panel = pair % panels,
                      block = pair / panels;
        const int64_t count = smaller(chunk, channels_of(block) - from);
        if (count <= 0) continue;
        float* const mine = sums + pair * sums_size + from * kWide;
        for (int64_t part = 1; part < parts; part++)
          for (int coefficient = 0; coefficient < kKernels; coefficient++) {
            float* to = mine + coefficient * sums_plane;
            for (int64_t i = 0; i < count * kWide; i += L) store(to + i, load(to + i) + load(to + part * apart + i));
          }
        finish(mine, block * c_block + from, count, panel, dw, own.as<float>());
      }
    });
  }

  // Few channels: the sums fit a core's cache together with a block of tiles, so each task takes a part of the tiles
  // from the images to sums of its own. Parts are cut by the shape alone.
  void by_tiles(float* dw) const {
    const int64_t per_tile = (kImages * c_blocks * pitch + kGradients * panels * kWide) * int64_t(sizeof(float));
    const int64_t together = smaller(rows, larger(1, (460 << 10) / (per_tile * across)));
    const int64_t blocks = ceil_div(rows, together), parts = smaller(blocks, 8), band = band_rows();
    const int64_t v_plane = together * across * pitch + L, d_plane = together * across * kWide + L;
    Scratch waiting(size_t(parts * pairs * sums_size) * sizeof(float));
    parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
      Scratch own(size_t(kImages * c_blocks * v_plane + kGradients * panels * d_plane + band_size(band)) *
                  sizeof(float));
      float *const v = own.as<float>(), *const d = v + c_blocks * kImages * v_plane;
      float* const scratch = d + panels * kGradients * d_plane;
      for (int64_t part = begin; part < end; part++) {
        const int64_t first = blocks * part / parts;
        for (int64_t i = first; i < blocks * (part + 1) / parts; i++) {
          const int64_t row0 = i * together, row1 = smaller(rows, row0 + together);
          for (int64_t block = 0; block < c_blocks; block++)
            for (int64_t group = 0; group < groups_of(block); group++)
              transform_images(row0, row1, block, group, v + block * kImages * v_plane, v_plane, scratch);
          for (int64_t o = 0; o < r.o; o += L)
            transform_gradients(row0, row1, o, d + o / kWide * kGradients * d_plane + o % kWide, d_plane, scratch);
          for (int64_t pair = 0; pair < pairs; pair++) {
            const int64_t panel = pair % panels, block = pair / panels;
            float* const sums = waiting.as<float>() + (part * pairs + pair) * sums_size;
            for (int p = 0; p < kProducts; p++)
              product((row1 - row0) * across, channels_of(block), v + (block * kImages + image_of(p)) * v_plane,
                      d + (panel * kGradients + gradient_of(p)) * d_plane, sums + kernel_of(p) * sums_plane,
                      outputs_of(panel), i == first && begins(p));
          }
        }
      }
    });
    finish_all(waiting.as<float>(), parts, pairs * sums_size, dw);
  }

  void by_channels(float* dw) const {
    const int64_t bytes =
        rows * across * (kImages * c_blocks * pitch + kGradients * panels * kWide) * int64_t(sizeof(float));
    const int64_t slabs = smaller(rows, ceil_div(bytes, kSlabBytes)), most = ceil_div(rows, slabs), band = band_rows();
    const int64_t v_plane = most * across * pitch + L, d_plane = most * across * kWide + L;
    const int64_t v_block = kImages * v_plane, d_panel = kGradients * d_plane, groups = ceil_div(c_block, L),
                  halves = kTileVectors;
    Scratch memory(size_t(c_blocks * v_block + panels * d_panel) * sizeof(float));
    float *const v = memory.as<float>(), *const d = v + c_blocks * v_block;
    // Either a task has all coefficients of some pairs, whose sums then never leave its cache, or some coefficients of
    // many pairs, so that their operands do not.
    const int64_t threads = num_threads();
    const bool whole = slabs == 1 && pairs >= 8 * threads && pairs * sums_size * int64_t(sizeof(float)) > (6 << 20);
    const int64_t split = whole ? 1 : kKernels,
                  together = whole ? 2 : larger(1, smaller(pairs, pairs * split / (4 * threads)));
    Scratch waiting(whole ? 0 : size_t(pairs * sums_size) * sizeof(float));

    for (int64_t row0 = 0; row0 < rows; row0 += most) {
      const int64_t row1 = smaller(rows, row0 + most), pieces = ceil_div(row1 - row0, band);
      const int64_t v_units = c_blocks * groups, units = v_units + panels * halves;
      parallel_for(pieces * units, 2, [&](int64_t begin, int64_t end) {
        Scratch scratch(size_t(band_size(band)) * sizeof(float));
        for (; begin < end; begin++) {
          const int64_t unit = begin % units, piece = begin / units;
          const int64_t from = row0 + piece * band, to = smaller(row1, from + band), tile = piece * band * across;
          const int64_t block = unit / groups, group = unit % groups, o = (unit - v_units) * L;
          if (unit >= v_units && o < r.o)
            transform_gradients(from, to, o, d + o / kWide * d_panel + tile * kWide + o % kWide, d_plane,
                                scratch.as<float>());
          else if (unit < v_units && group < groups_of(block))
            transform_images(from, to, block, group, v + block * v_block + tile * pitch, v_plane, scratch.as<float>());
        }
      });
      const int64_t shares = ceil_div(pairs, together);
      parallel_for(shares * split, 1, [&](int64_t begin, int64_t end) {
        Scratch own(whole ? size_t(together * sums_size + (c_block * kTaps + L) * L) * sizeof(float) : 0);
        for (; begin < end; begin++) {
          const int64_t first = begin % shares * together, last = smaller(pairs, first + together),
                        part = begin / shares;
          float* const sums = whole ? own.as<float>() : waiting.as<float>() + first * sums_size;
          for (int p = 0; p < kProducts; p++) {
            if (!whole && kernel_of(p) != part) continue;
            for (int64_t pair = first; pair < last; pair++) {
              const int64_t panel = pair % panels, block = pair / panels;
              product((row1 - row0) * across, channels_of(block), v + block * v_block + image_of(p) * v_plane,
                      d + panel * d_panel + gradient_of(p) * d_plane,
                      sums + (pair - first) * sums_size + kernel_of(p) * sums_plane, outputs_of(panel),
                      row0 == 0 && begins(p));
            }
          }
          for (int64_t pair = first; whole && pair < last; pair++)
            finish(sums + (pair - first) * sums_size, pair / panels * c_block, channels_of(pair / panels),
                   pair % panels, dw, sums + together * sums_size);
        }
      });
    }
    if (!whole) finish_all(waiting.as<float>(), 1, 0, dw);
  }
};

template <class S> void gradient(const Winograd<S>& w, float* dw) {
  const Gradient<S> g{w};
  if (w.r.c * w.r.o <= 5120)
    g.by_tiles(dw);
  else
    g.by_channels(dw);
}

}  // namespace

bool weight_gradient_winograd(const Correlation<float>& r, float* dw) {
  if (winograd_suits(r, 3, 1, kDenseChannels))
    gradient(winograd_of<Dense>(r), dw);
  else if (winograd_suits(r, 3, 2, kStridedChannels))
    gradient(winograd_of<Strided>(r), dw);
  else if (winograd_suits(r, 4, 2, kStridedChannels))
    gradient(winograd_of<Strided4>(r), dw);
  else
    return false;
  return true;
}

}  // namespace flambeau::kernels::FLAMBEAU_ISA
