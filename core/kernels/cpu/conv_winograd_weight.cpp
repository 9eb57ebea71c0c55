// The gradient of a 3x3 convolution of stride 1 with respect to its kernel, by Winograd's minimal filtering run
// backwards: dg = G' (sum over tiles of (B' d B) * (A dy A')) G, again 16 multiplications where 36 are needed.
//
// For each coefficient the sum over tiles is a matrix product [input channel][output channel]. Tiles are transformed by
// slabs that stay in the last-level cache; within a slab they are summed in blocks cut by the shape alone.
#include "base/parallel.h"
#include "kernels/cpu/conv_winograd.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

constexpr int64_t kSlabBytes = 8 << 20;

struct Gradient : Winograd {
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
        V q[4][2];
        const V zero = {};
        auto column = [&](int x, V upper, V lower) __attribute__((always_inline)) {
          q[0][x] = upper, q[1][x] = upper + lower, q[2][x] = upper - lower, q[3][x] = zero - lower;
        };
        column(0, load(line), two ? load(line + width * L) : zero);
        column(1, wide ? load(line + L) : zero, wide && two ? load(line + width * L + L) : zero);
#pragma GCC unroll 4
        for (int y = 0; y < 4; y++) {
          float* to = d + 4 * y * plane;
          store(to, q[y][0]);
          store(to + plane, q[y][0] + q[y][1]);
          store(to + 2 * plane, q[y][0] - q[y][1]);
          store(to + 3 * plane, zero - q[y][1]);
        }
      }
    }
  }

  // sums[coefficient][channel][kWide] (+)= v[coefficient][tile][channel]' * d[coefficient][tile][kWide] for coefficients
  // [first, last).
  void products(int first, int last, int64_t tiles, int64_t channels, const float* v, int64_t v_plane, const float* d,
                int64_t d_plane, float* sums, int64_t outputs, bool fresh) const {
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
    for (int coefficient = first; coefficient < last; coefficient++)
      for (int64_t step = 0; step < steps; step++) {
        const int64_t begin = tiles * step / steps;
        t.k = tiles * (step + 1) / steps - begin;
        t.beta = fresh && step == 0 ? 0.f : 1.f;
        t.b = d + coefficient * d_plane + begin * kWide;
        for (int64_t i = 0; i < count; i++) {
          const int64_t c = channels * i / count, height = channels * (i + 1) / count - c;
          t.a = v + coefficient * v_plane + begin * pitch + c;
          t.c = sums + (coefficient * c_block + c) * kWide;
          kTilesF32.of[kTileColumnsForm][vectors][height - 1](t);
        }
      }
  }

  // G' s G of `channels` channels from c on and a panel of output channels. scratch: (channels * 9 + L) * L floats.
  void finish(const float* sums, int64_t c, int64_t channels, int64_t panel, float* dw, float* scratch) const {
    const int64_t plane = c_block * kWide;
    for (int64_t half = 0; half < outputs_of(panel); half += L) {
      for (int64_t i = 0; i < channels; i++) {
        const float* from = sums + i * kWide + half;
        V h[3][4];
#pragma GCC unroll 4
        for (int x = 0; x < 4; x++) {
          const V a = load(from + x * plane), b = load(from + (4 + x) * plane), e = load(from + (8 + x) * plane);
          const V sum = (b + e) * 0.5f;
          h[0][x] = a + sum, h[1][x] = (b - e) * 0.5f, h[2][x] = sum + load(from + (12 + x) * plane);
        }
        float* to = scratch + i * 9 * L;
#pragma GCC unroll 3
        for (int y = 0; y < 3; y++, to += 3 * L) {
          const V sum = (h[y][1] + h[y][2]) * 0.5f;
          store(to, h[y][0] + sum);
          store(to + L, (h[y][1] - h[y][2]) * 0.5f);
          store(to + 2 * L, sum + h[y][3]);
        }
      }
      const int64_t o = panel * kWide + half;
      unpack_lanes(dw + (o * r.c + c) * 9, r.c * 9, scratch, smaller(L, r.o - o), channels * 9);
    }
  }

  void run(float* dw) const {
    const int64_t bytes = rows * across * 16 * (c_blocks * pitch + panels * kWide) * int64_t(sizeof(float));
    const int64_t slabs = smaller(rows, ceil_div(bytes, kSlabBytes)), most = ceil_div(rows, slabs), band = band_rows();
    const int64_t v_plane = most * across * pitch + L, d_plane = most * across * kWide + L;
    const int64_t v_block = 16 * v_plane, d_panel = 16 * d_plane, sums_size = 16 * c_block * kWide;
    const int64_t groups = ceil_div(c_block, L), halves = kTileVectors;
    Scratch memory(size_t(c_blocks * v_block + panels * d_panel) * sizeof(float));
    float *const v = memory.as<float>(), *const d = v + c_blocks * v_block;
    // With enough pairs of blocks each one's sums stay in a cache from the first product to the result; with few, the
    // coefficients are shared out as well, and the sums of all wait in memory.
    const int64_t pairs = c_blocks * panels;
    const bool whole = slabs == 1 && pairs >= 4 * num_threads();
    int64_t split = 1;
    while (!whole && split < 16 && pairs * split < 4 * num_threads()) split *= 2;
    Scratch waiting(whole ? 0 : size_t(pairs * sums_size) * sizeof(float));

    for (int64_t row0 = 0; row0 < rows; row0 += most) {
      const int64_t row1 = smaller(rows, row0 + most), pieces = ceil_div(row1 - row0, band);
      const int64_t v_units = c_blocks * groups, units = v_units + panels * halves;
      parallel_for(pieces * units, 2, [&](int64_t begin, int64_t end) {
        Scratch scratch(size_t(band_size(band)) * sizeof(float));
        for (; begin < end; begin++) {
          const int64_t unit = begin % units, piece = begin / units;
          const int64_t from = row0 + piece * band, to = smaller(row1, from + band), tile = piece * band * across;
          if (unit < v_units) {
            const int64_t block = unit / groups, group = unit % groups;
            if (group < groups_of(block))
              transform_images(from, to, block, group, v + block * v_block + tile * pitch, v_plane, scratch.as<float>());
            continue;
          }
          const int64_t panel = (unit - v_units) / halves, half = (unit - v_units) % halves, o = panel * kWide + half * L;
          if (o >= r.o) continue;
          float* out = d + panel * d_panel + tile * kWide + half * L;
          for (int64_t row = from; row < to;) {
            const int64_t image = row / down, top = row % down, count = smaller(down - top, to - row);
            transform_gradient(r.dst + image * r.dst_image + o * r.dst_channel, smaller(L, r.o - o), top, top + count, out,
                               d_plane, scratch.as<float>());
            out += count * across * kWide;
            row += count;
          }
        }
      });
      parallel_for(pairs * split, 1, [&](int64_t begin, int64_t end) {
        Scratch own(whole ? size_t(sums_size + (c_block * 9 + L) * L) * sizeof(float) : 0);
        for (; begin < end; begin++) {
          const int64_t part = begin % split, pair = begin / split, panel = pair % panels, block = pair / panels;
          float* const sums = whole ? own.as<float>() : waiting.as<float>() + pair * sums_size;
          products(int(16 * part / split), int(16 * (part + 1) / split), (row1 - row0) * across, channels_of(block),
                   v + block * v_block, v_plane, d + panel * d_panel, d_plane, sums, outputs_of(panel), row0 == 0);
          if (whole) finish(sums, block * c_block, channels_of(block), panel, dw, sums + sums_size);
        }
      });
    }
    if (whole) return;
    constexpr int64_t chunk = 16;
    const int64_t chunks = ceil_div(c_block, chunk);
    parallel_for(pairs * chunks, 4, [&](int64_t begin, int64_t end) {
      Scratch own(size_t((chunk * 9 + L) * L) * sizeof(float));
      for (; begin < end; begin++) {
        const int64_t from = begin % chunks * chunk, pair = begin / chunks, panel = pair % panels, block = pair / panels;
        const int64_t count = smaller(chunk, channels_of(block) - from);
        if (count > 0)
          finish(waiting.as<float>() + pair * sums_size + from * kWide, block * c_block + from, count, panel, dw, own.as<float>());
      }
    });
  }
};

}  // namespace

bool weight_gradient_winograd(const Correlation<float>& r, float* dw) {
  if (!Winograd::suits(r)) return false;
  Gradient{{r}}.run(dw);
  return true;
}

}  // namespace flambeau::kernels::FLAMBEAU_ISA
