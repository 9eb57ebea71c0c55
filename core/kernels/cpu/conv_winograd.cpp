// 3x3 convolutions of stride 1 or 2 and 4x4 ones of stride 2 by Winograd's minimal filtering, and their gradients with respect to the image: with
// stride 1 the same with the kernel turned round, with stride 2 a scheme of its own. The gradient with respect to the kernel is in conv_winograd_weight.cpp.
#include "base/parallel.h"
#include "kernels/cpu/conv_winograd.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

template <class S> struct Filter : Winograd<S> {
  FLAMBEAU_WINOGRAD(S)

  // The kernels of a panel of output channels and the channels [c0, c1): u[coefficient * plane + (c - c0) * kWide + output].
  void transform_weights(int64_t panel, int64_t c0, int64_t c1, float* u, int64_t plane) const {
    const int64_t o = panel * kWide, count = outputs_of(panel);
    constexpr int run = 16;  // channels whose taps are packed together, if they follow each other
    alignas(64) float packed[run * kTaps * kWide];
    for (int64_t c = c0; c < c1; c++, u += kWide) {
      const float* from = r.w + o * r.w_out + c * r.w_channel;
      const float* taps = packed;
      if (r.w_channel == kTaps) {
        const int64_t at = (c - c0) % run;
        if (at == 0) pack_rows<float, float>(packed, kWide, from, r.w_out, count, kTaps * smaller(run, c1 - c));
        taps += at * kTaps * kWide;
        // The next run lies in as many streams as there are outputs, too many for the machine to foresee.
        if (c - at + run < c1)
          for (int64_t j = at * kWide / run; j < smaller(count, (at + 1) * kWide / run); j++)
            for (int64_t line = 0; line < run * kTaps; line += 16)
              __builtin_prefetch(r.w + (o + j) * r.w_out + (c - at + run) * kTaps + line);
      } else {
        pack_rows<float, float>(packed, kWide, from, r.w_out, count, kTaps);
      }
      for (int64_t half = 0; half < count; half += L) {
        V g[S::taps][S::taps], h[S::kernels][S::taps];  // [column][row], then [vertical coefficient][column]
#pragma GCC unroll 16
        for (int k = 0; k < kTaps; k++)
          g[k % S::taps][k / S::taps] = load(taps + (flipped ? kTaps - 1 - k : k) * kWide + half);
#pragma GCC unroll 4
        for (int x = 0; x < S::taps; x++) {
          V column[S::kernels];
          S::kernel(g[x], column);
#pragma GCC unroll 6
          for (int y = 0; y < S::kernels; y++) h[y][x] = column[y];
        }
#pragma GCC unroll 6
        for (int y = 0; y < S::kernels; y++) {
          V row[S::kernels];
          S::kernel(h[y], row);
#pragma GCC unroll 6
          for (int x = 0; x < S::kernels; x++) store(u + (y * S::kernels + x) * plane + half, row[x]);
        }
      }
    }
  }

  // Of one coefficient: m[tile][kWide] (+)= v[tile][depth] * u[depth][kWide].
  void product(int64_t tiles, int64_t depth, const float* v, const float* u, float* m, int64_t outputs, bool first,
               const Ahead& next) const {
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
      next.fetch(i, count);
      kTilesF32.of[kTileRowsForm][vectors][height - 1](t);
    }
  }

  // Back, for rows of tiles [row0, row1) of one image and at most L output channels from `o` on.
  void transform_output(const float* m, int64_t plane, int64_t row0, int64_t row1, int64_t o, float* image,
                        float* scratch) const {
    const int64_t width = r.axis[2].out, height = r.axis[1].out, outputs = smaller(L, r.o - o);
    const V bias = r.bias ? load_part(r.bias + o, outputs) : V{};
    for (int64_t row = row0; row < row1; row++) {
      float* to = scratch + S::out * (row - row0) * width * L;
      const int64_t tall = height - S::out * row;
      for (int64_t j = 0; j < across; j++, m += kWide, to += S::out * L) {
        V s[S::out][S::products];
#pragma GCC unroll 6
        for (int x = 0; x < S::products; x++) {
          V column[S::products], sums[S::out];
#pragma GCC unroll 6
          for (int y = 0; y < S::products; y++) column[y] = load(m + (y * S::products + x) * plane);
          S::output(column, sums);
#pragma GCC unroll 4
          for (int y = 0; y < S::out; y++) s[y][x] = sums[y];
        }
        const int64_t wide = width - S::out * j;
#pragma GCC unroll 4
        for (int y = 0; y < S::out; y++) {
          if (y >= tall) break;
          V out[S::out];
          S::output(s[y], out);
#pragma GCC unroll 4
          for (int x = 0; x < S::out; x++)
            if (x < wide) store(to + (y * width + x) * L, out[x] + bias);
        }
      }
    }
    unpack_lanes(image + S::out * row0 * width, r.dst_channel, scratch, outputs,
                 (smaller(height, S::out * row1) - S::out * row0) * width);
  }

  // The same for rows counted over all images and a panel of output channels.
  void transform_outputs(const float* m, int64_t plane, int64_t row0, int64_t row1, int64_t panel,
                         float* scratch) const {
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
    const int64_t u_plane = r.c * kWide + L, u_panel = kKernels * u_plane, threads = num_threads();
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
    const int64_t row_bytes = across * kImages * c_blocks * pitch * int64_t(sizeof(float));
    int64_t together = 1, least = 0;
    for (int64_t n = 1; n <= smaller(rows, larger(1, (540 << 10) / row_bytes)); n++) {
      const int64_t cost = ceil_div(ceil_div(rows, n), threads) * (n * across + 6);
      if (n == 1 || cost <= least) least = cost, together = n;
    }
    parallel_for(ceil_div(rows, together), 1, [&](int64_t begin, int64_t end) {
      const int64_t most = together * across, v_plane = most * pitch + L, v_block = kImages * v_plane,
                    m_plane = most * kWide + L;
      Scratch memory(size_t(c_blocks * v_block + kProducts * m_plane + band_size(band_rows())) * sizeof(float));
      float *const v = memory.as<float>(), *const m = v + c_blocks * v_block, *const scratch = m + kProducts * m_plane;
      for (; begin < end; begin++) {
        const int64_t row0 = begin * together, row1 = smaller(rows, row0 + together);
        for (int64_t block = 0; block < c_blocks; block++)
          for (int64_t group = 0; group < groups_of(block); group++)
            transform_images(row0, row1, block, group, v + block * v_block, v_plane, scratch);
        for (int64_t panel = 0; panel < panels; panel++) {
          for (int64_t block = 0; block < c_blocks; block++)
            for (int p = 0; p < kProducts; p++)
              product((row1 - row0) * across, channels_of(block), v + block * v_block + image_of(p) * v_plane,
                      u + panel * u_panel + kernel_of(p) * u_plane + block * c_block * kWide, m + p * m_plane,
                      outputs_of(panel), block == 0, Ahead());
          transform_outputs(m, m_plane, row0, row1, panel, scratch);
        }
      }
    });
  }

  // Many channels: tiles are transformed by slabs; every task takes a slab through the kernels of some output channels,
  // which it transforms on the way and which never leave its cache.
  void by_channels() const {
    const int64_t slab_rows = smaller(rows, larger(1, 208 * 16 / (kProducts * across))),
                  slabs = ceil_div(rows, slab_rows);
    const int64_t most = ceil_div(rows, slabs), tiles = most * across, v_plane = tiles * pitch + L,
                  v_block = kImages * v_plane;
    const int64_t m_plane = tiles * kWide + L, u_plane = c_block * kWide + L;
    // Panels that share a walk through the slab, if the cache holds their kernels and products.
    const int64_t both = 2 * (kProducts * m_plane + kKernels * u_plane) * int64_t(sizeof(float));
    const int64_t together = both <= (800 << 10) && panels >= 4 * num_threads() ? 2 : 1;
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
        const int64_t m_panel = kProducts * m_plane, u_panel = kKernels * u_plane;
        Scratch own(size_t(together * (m_panel + u_panel) + band_size(band)) * sizeof(float));
        float *const m = own.as<float>(), *const u = m + together * m_panel, *const scratch = u + together * u_panel;
        for (; begin < end; begin++) {
          const int64_t first = begin * together, count = smaller(panels - first, together);
          for (int64_t block = 0; block < c_blocks; block++) {
            const int64_t c = block * c_block, depth = channels_of(block);
            for (int64_t i = 0; i < count; i++) transform_weights(first + i, c, c + depth, u + i * u_panel, u_plane);
            for (int p = 0; p < kProducts; p++)
              for (int64_t i = 0; i < count; i++) {
                const bool last = p + 1 == kProducts;
                const int64_t then = last ? (block + 1) % c_blocks : block;
                const float* ahead = v + then * v_block + image_of(last ? 0 : p + 1) * v_plane;
                const Ahead next = {i == 0 ? ahead : nullptr, here, pitch, channels_of(then)};
                product(here, depth, v + block * v_block + image_of(p) * v_plane,
                        u + i * u_panel + kernel_of(p) * u_plane, m + i * m_panel + p * m_plane, outputs_of(first + i),
                        block == 0, next);
              }
          }
          for (int64_t i = 0; i < count; i++)
            transform_outputs(m + i * m_panel, m_plane, row0, row1, first + i, scratch);
        }
      });
    }
  }
};

template <class S> void filter(const Winograd<S>& w) {
  const Filter<S> f{w};
  if (w.r.c * w.r.o <= 20480)
    f.by_tiles();
  else
    f.by_channels();
}

// With the output gradient as the image and the image's gradient as the output; tiles begin at `start`.
template <class S> void spread(const Correlation<float>& forward, float* dx, const float* bias, int64_t start) {
  Correlation<float> r = forward;
  for (int d = 0; d < 3; d++) r.axis[d].in = forward.axis[d].out, r.axis[d].out = forward.axis[d].in;
  r.c = forward.o, r.o = forward.c;
  r.src = forward.dst, r.src_image = forward.dst_image, r.src_channel = forward.dst_channel;
  r.dst = dx, r.dst_image = forward.src_image, r.dst_channel = forward.src_channel;
  r.dst_axis[1] = r.axis[2].out, r.dst_axis[0] = r.axis[1].out * r.axis[2].out;
  r.w_out = forward.w_channel, r.w_channel = forward.w_out;
  r.bias = bias;
  filter(Winograd<S>{r, start, start, false});
}

}  // namespace

bool correlate_winograd(const Correlation<float>& r) {
  if (winograd_suits(r, 3, 1, kDenseChannels))
    filter(winograd_of<Dense>(r));
  else if (winograd_suits(r, 3, 2, kStridedChannels))
    filter(winograd_of<Strided>(r));
  else if (winograd_suits(r, 4, 2, kStridedChannels))
    filter(winograd_of<Strided4>(r));
  else
    return false;
  return true;
}

bool spread_winograd(const Correlation<float>& forward, float* dx, const float* bias) {
  const bool three = winograd_suits(forward, 3, 2, kStridedChannels);
  if (!three && !winograd_suits(forward, 4, 2, kStridedChannels)) return false;
  if (forward.axis[1].offset[0] != -1 || forward.axis[2].offset[0] != -1) return false;
  if (three)
    spread<Spread>(forward, dx, bias, 0);
  else
    spread<Spread4>(forward, dx, bias, -1);
  return true;
}

}  // namespace flambeau::kernels::FLAMBEAU_ISA
