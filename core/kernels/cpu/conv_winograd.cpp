// 3x3 convolutions of stride 1 by Winograd's minimal filtering, and their gradients with respect to the image, which are
// the same with the kernel turned round. The gradient with respect to the kernel is in conv_winograd_weight.cpp.
#include "base/parallel.h"
#include "kernels/cpu/conv_winograd.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

struct Filter : Winograd {
  // G g G' of a panel of output channels and the channels [c0, c1): u[coefficient * plane + (c - c0) * kWide + output].
  void transform_weights(int64_t panel, int64_t c0, int64_t c1, float* u, int64_t plane) const {
    const int64_t o = panel * kWide, count = outputs_of(panel);
    constexpr int run = 16;  // channels whose taps are packed together, if they follow each other
    alignas(64) float packed[run * 9 * kWide];
    for (int64_t c = c0; c < c1; c++, u += kWide) {
      const float* from = r.w + o * r.w_out + c * r.w_channel;
      const float* taps = packed;
      if (r.w_channel == 9) {
        const int64_t at = (c - c0) % run;
        if (at == 0) pack_rows<float, float>(packed, kWide, from, r.w_out, count, 9 * smaller(run, c1 - c));
        taps += at * 9 * kWide;
        // The next run lies in as many streams as there are outputs, too many for the machine to foresee.
        if (c - at + run < c1)
          for (int64_t j = at * kWide / run; j < smaller(count, (at + 1) * kWide / run); j++)
            for (int64_t line = 0; line < run * 9; line += 16)
              __builtin_prefetch(r.w + (o + j) * r.w_out + (c - at + run) * 9 + line);
      } else {
        pack_rows<float, float>(packed, kWide, from, r.w_out, count, 9);
      }
      for (int64_t half = 0; half < count; half += L) {
        V g[3][3], h[4][3];
#pragma GCC unroll 9
        for (int k = 0; k < 9; k++) g[k / 3][k % 3] = load(taps + (flipped ? 8 - k : k) * kWide + half);
#pragma GCC unroll 3
        for (int x = 0; x < 3; x++) {
          const V sum = (g[0][x] + g[2][x]) * 0.5f, middle = g[1][x] * 0.5f;
          h[0][x] = g[0][x], h[1][x] = sum + middle, h[2][x] = sum - middle, h[3][x] = g[2][x];
        }
#pragma GCC unroll 4
        for (int y = 0; y < 4; y++) {
          const V sum = (h[y][0] + h[y][2]) * 0.5f, middle = h[y][1] * 0.5f;
          float* to = u + 4 * y * plane + half;
          store(to, h[y][0]);
          store(to + plane, sum + middle);
          store(to + 2 * plane, sum - middle);
          store(to + 3 * plane, h[y][2]);
        }
      }
    }
  }

  // Of one coefficient: m[tile][kWide] (+)= v[tile][depth] * u[depth][kWide].
  void product(int64_t tiles, int64_t depth, const float* v, const float* u, float* m, int64_t outputs, bool first) const {
    TileCall<float, float> t;
    const float* starts[kTileRows];
    t.a = nullptr;
    t.a_step = 0;
    t.a_rows = starts;
    t.b = u;
    t.b_step = t.c_row = kWide;
    t.b_table = nullptr;
    t.k = depth;
    t.alpha = 1;
    t.beta = first ? 0.f : 1.f;
    t.column_bias = t.row_bias = nullptr;
    const int vectors = outputs > L ? 1 : 0;
    t.columns = vectors ? kWide : L;
    const int64_t count = ceil_div(tiles, kTileRows);
    for (int64_t i = 0; i < count; i++) {
      const int64_t begin = tiles * i / count, height = tiles * (i + 1) / count - begin;
      for (int64_t j = 0; j < height; j++) starts[j] = v + (begin + j) * pitch;
      t.c = m + begin * kWide;
      kTilesF32.of[kTileRowsForm][vectors][height - 1](t);
    }
  }

  // A' m A of rows of tiles [row0, row1) of one image and at most L output channels from `o` on.
  void transform_output(const float* m, int64_t plane, int64_t row0, int64_t row1, int64_t o, float* image, float* scratch) const {
    const int64_t width = r.axis[2].out, height = r.axis[1].out, outputs = smaller(L, r.o - o);
    const V bias = r.bias ? load_part(r.bias + o, outputs) : V{};
    for (int64_t row = row0; row < row1; row++) {
      float* const upper = scratch + 2 * (row - row0) * width * L;
      // The last column and the last row may stick out: what is written there is overwritten or not read.
      float* const lower = 2 * row + 1 < height ? upper + width * L : scratch + 2 * (row1 - row0) * width * L;
      for (int64_t j = 0; j < across; j++, m += kWide) {
        V s[2][4];
#pragma GCC unroll 4
        for (int x = 0; x < 4; x++) {
          const V a = load(m + x * plane), b = load(m + (4 + x) * plane), c = load(m + (8 + x) * plane);
          const V d = load(m + (12 + x) * plane);
          s[0][x] = a + b + c;
          s[1][x] = b - c - d;
        }
        const bool inside = 2 * j + 1 < width;
#pragma GCC unroll 2
        for (int y = 0; y < 2; y++) {
          float* to = (y ? lower : upper) + 2 * j * L;
          store(to, s[y][0] + s[y][1] + s[y][2] + bias);
          if (inside) store(to + L, s[y][1] - s[y][2] - s[y][3] + bias);
        }
      }
    }
    unpack_lanes(image + 2 * row0 * width, r.dst_channel, scratch, outputs, (smaller(height, 2 * row1) - 2 * row0) * width);
  }

  // The same for rows counted over all images and a panel of output channels.
  void transform_outputs(const float* m, int64_t plane, int64_t row0, int64_t row1, int64_t panel, float* scratch) const {
    const int64_t band = band_rows();
    for (int64_t row = row0; row < row1;) {
      const int64_t image = row / down, from = row % down, count = smaller(smaller(band, down - from), row1 - row);
      for (int64_t half = 0; half < outputs_of(panel); half += L) {
        const int64_t o = panel * kWide + half;
        transform_output(m + (row - row0) * across * kWide + half, plane, from, from + count, o,
                         r.dst + image * r.dst_image + o * r.dst_channel, scratch);
      }
      row += count;
    }
  }

  // Many tiles: every task transforms a block of them and takes it through all kernels, which were transformed before.
  void by_tiles() const {
    const int64_t u_plane = r.c * kWide + L, u_panel = 16 * u_plane, threads = num_threads();
    Scratch kernels(size_t(panels * u_panel) * sizeof(float));
    float* const u = kernels.as<float>();
    const int64_t part = 32, parts = ceil_div(r.c, part);
    parallel_for(panels * parts, 2, [&](int64_t begin, int64_t end) {
      for (; begin < end; begin++) {
        const int64_t panel = begin / parts, c = begin % parts * part;
        transform_weights(panel, c, smaller(r.c, c + part), u + panel * u_panel + c * kWide, u_plane);
      }
    });
    // Rows of a block: coefficients within half of the L2 cache, and an even load on the threads.
    const int64_t row_bytes = across * 16 * c_blocks * pitch * int64_t(sizeof(float));
    int64_t together = 1, least = 0;
    for (int64_t n = 1; n <= smaller(rows, larger(1, (540 << 10) / row_bytes)); n++) {
      const int64_t cost = ceil_div(ceil_div(rows, n), threads) * (n * across + 6);
      if (n == 1 || cost <= least) least = cost, together = n;
    }
    parallel_for(ceil_div(rows, together), 1, [&](int64_t begin, int64_t end) {
      const int64_t most = together * across, v_plane = most * pitch + L, v_block = 16 * v_plane, m_plane = most * kWide + L;
      Scratch memory(size_t(c_blocks * v_block + 16 * m_plane + band_size(band_rows())) * sizeof(float));
      float *const v = memory.as<float>(), *const m = v + c_blocks * v_block, *const scratch = m + 16 * m_plane;
      for (; begin < end; begin++) {
        const int64_t row0 = begin * together, row1 = smaller(rows, row0 + together);
        for (int64_t block = 0; block < c_blocks; block++)
          for (int64_t group = 0; group < groups_of(block); group++)
            transform_images(row0, row1, block, group, v + block * v_block, v_plane, scratch);
        for (int64_t panel = 0; panel < panels; panel++) {
          for (int64_t block = 0; block < c_blocks; block++)
            for (int coefficient = 0; coefficient < 16; coefficient++)
              product((row1 - row0) * across, channels_of(block), v + block * v_block + coefficient * v_plane,
                      u + panel * u_panel + coefficient * u_plane + block * c_block * kWide, m + coefficient * m_plane,
                      outputs_of(panel), block == 0);
          transform_outputs(m, m_plane, row0, row1, panel, scratch);
        }
      }
    });
  }

  // Many channels: tiles are transformed by slabs; every task takes a slab through the kernels of some output channels,
  // which it transforms on the way and which never leave its cache.
  void by_channels() const {
    const int64_t slab_rows = smaller(rows, larger(1, 208 / across)), slabs = ceil_div(rows, slab_rows);
    const int64_t most = ceil_div(rows, slabs), tiles = most * across, v_plane = tiles * pitch + L, v_block = 16 * v_plane;
    const int64_t m_plane = tiles * kWide + L, u_plane = c_block * kWide + L;
    const int64_t together = tiles <= 100 && panels >= 4 * num_threads() ? 2 : 1;  // panels that share a walk through the slab
    Scratch memory(size_t(c_blocks * v_block) * sizeof(float));
    float* const v = memory.as<float>();
    const int64_t band = band_rows(), groups = ceil_div(c_block, L);
    for (int64_t row0 = 0; row0 < rows; row0 += most) {
      const int64_t row1 = smaller(rows, row0 + most), here = (row1 - row0) * across;
      const int64_t pieces = ceil_div(row1 - row0, band);
      parallel_for(pieces * c_blocks * groups, 2, [&](int64_t begin, int64_t end) {
        Scratch scratch(size_t(band_size(band)) * sizeof(float));
        for (; begin < end; begin++) {
          const int64_t group = begin % groups, block = begin / groups % c_blocks, piece = begin / groups / c_blocks;
          if (group >= groups_of(block)) continue;
          const int64_t from = row0 + piece * band, to = smaller(row1, from + band);
          transform_images(from, to, block, group, v + block * v_block + piece * band * across * pitch, v_plane,
                           scratch.as<float>());
        }
      });
      parallel_for(ceil_div(panels, together), 1, [&](int64_t begin, int64_t end) {
        Scratch own(size_t(together * 16 * (m_plane + u_plane) + band_size(band)) * sizeof(float));
        float *const m = own.as<float>(), *const u = m + together * 16 * m_plane, *const scratch = u + together * 16 * u_plane;
        for (; begin < end; begin++) {
          const int64_t first = begin * together, count = smaller(panels - first, together);
          for (int64_t block = 0; block < c_blocks; block++) {
            const int64_t c = block * c_block, depth = channels_of(block);
            for (int64_t i = 0; i < count; i++) transform_weights(first + i, c, c + depth, u + i * 16 * u_plane, u_plane);
            for (int coefficient = 0; coefficient < 16; coefficient++)
              for (int64_t i = 0; i < count; i++)
                product(here, depth, v + block * v_block + coefficient * v_plane, u + (i * 16 + coefficient) * u_plane,
                        m + (i * 16 + coefficient) * m_plane, outputs_of(first + i), block == 0);
          }
          for (int64_t i = 0; i < count; i++)
            transform_outputs(m + i * 16 * m_plane, m_plane, row0, row1, first + i, scratch);
        }
      });
    }
  }
};

}  // namespace

bool correlate_winograd(const Correlation<float>& r) {
  if (!Winograd::suits(r)) return false;
  const Filter f{{r}};
  if (r.c * r.o <= 20480) f.by_tiles();
  else f.by_channels();
  return true;
}

}  // namespace flambeau::kernels::FLAMBEAU_ISA
