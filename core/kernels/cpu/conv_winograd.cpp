// 3x3 convolutions of stride 1 by Winograd's minimal filtering F(2x2, 3x3) (Lavin and Gray, "Fast algorithms for
// convolutional neural networks", 2016): 16 multiplications for the four outputs of a 2x2 tile instead of 36.
//
// Image tiles of 4x4 and kernels are transformed to 16 coefficients; for each coefficient a matrix product over the
// channels runs on the register tile; the products are transformed back. All transforms work on a row of tiles with the
// tiles in the lanes. The transforms' factors are 1 and 1/2, so errors stay those of the direct sums.
#include "base/parallel.h"
#include "kernels/cpu/conv_planes.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

constexpr int L = kLanes<float>;
using V = Vector<float>;

// Columns start .. start + L of a row of `width` values, zero outside.
FLAMBEAU_INLINE V window(const float* row, int64_t start, int64_t width) {
  if (start >= 0 && start + L <= width) return load(row + start);
  if (start >= width || start + L <= 0) return V{};
  return load_range(row + start, larger(0, -start), smaller(L, width - start));
}

struct Filter {
  const Correlation<float>& r;
  const int64_t across = ceil_div(r.axis[2].out, 2), down = ceil_div(r.axis[1].out, 2);  // tiles
  const int64_t tiles_o = ceil_div(r.o, kTileRows);
  const int64_t region = round_up(r.c * kTileRows + L, L);  // of one coefficient and tile of output channels
  const bool flipped = r.axis[1].offset[0] > r.axis[1].offset[2];
  const int64_t top = flipped ? r.axis[1].offset[2] : r.axis[1].offset[0];
  const int64_t left = flipped ? r.axis[2].offset[2] : r.axis[2].offset[0];

  // u[coefficient][tile of o][c][rows of the tile]
  void transform_weights(int64_t tile, float* u) const {
    const int64_t o = r.o * tile / tiles_o, height = r.o * (tile + 1) / tiles_o - o;
    constexpr int wide = (kTileRows + L - 1) / L * L;
    constexpr int run = 16;  // channels whose taps are packed together, if they follow each other
    alignas(64) float packed[run * 9 * wide + L];
    for (int64_t c = 0; c < r.c; c++) {
      const float* from = r.w + o * r.w_out + c * r.w_channel;
      const float* taps = packed;
      if (r.w_channel == 9) {
        if (c % run == 0) pack_rows<float, float>(packed, wide, from, r.w_out, height, 9 * smaller(run, r.c - c));
        taps += c % run * 9 * wide;
      } else {
        pack_rows<float, float>(packed, wide, from, r.w_out, height, 9);
      }
      for (int64_t at = 0; at < height; at += L) {
        V g[3][3], h[4][3];
        for (int k = 0; k < 9; k++) g[k / 3][k % 3] = load(taps + (flipped ? 8 - k : k) * wide + at);
        for (int x = 0; x < 3; x++) {
          const V sum = (g[0][x] + g[2][x]) * 0.5f, middle = g[1][x] * 0.5f;
          h[0][x] = g[0][x], h[1][x] = sum + middle, h[2][x] = sum - middle, h[3][x] = g[2][x];
        }
        for (int y = 0; y < 4; y++) {
          const V sum = (h[y][0] + h[y][2]) * 0.5f, middle = h[y][1] * 0.5f;
          const V out[4] = {h[y][0], sum + middle, sum - middle, h[y][2]};
          for (int x = 0; x < 4; x++)
            put(u + ((y * 4 + x) * tiles_o + tile) * region + c * height, height, at, height, out[x]);
        }
      }
    }
  }

  // One row of tiles of one channel: v[coefficient * plane + tile].
  void transform_image(const float* image, int64_t tile_row, float* v, int64_t plane) const {
    constexpr auto all = std::make_integer_sequence<int, L>();
    const int64_t height = r.axis[1].in, width = r.axis[2].in;
    const float* rows[4];
    for (int i = 0; i < 4; i++) {
      const int64_t y = 2 * tile_row + top + i;
      rows[i] = y >= 0 && y < height ? image + y * width : nullptr;
    }
    for (int64_t j = 0; j < across; j += L) {
      const int64_t start = 2 * j + left;
      V columns[4][4];  // vertical coefficient, then the tile's four columns
      V t[4][4];        // the same before the even and odd columns are parted: at start, + L, + 2, + L + 2
#pragma GCC unroll 4
      for (int k = 0; k < 4; k++) {
        const int64_t from = start + (k & 1) * L + (k & 2);
        V d[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) d[i] = rows[i] ? window(rows[i], from, width) : V{};
        t[0][k] = d[0] - d[2], t[1][k] = d[1] + d[2], t[2][k] = d[2] - d[1], t[3][k] = d[1] - d[3];
      }
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) {
        columns[i][0] = even_lanes(t[i][0], t[i][1], all);
        columns[i][1] = odd_lanes(t[i][0], t[i][1], all);
        columns[i][2] = even_lanes(t[i][2], t[i][3], all);
        columns[i][3] = odd_lanes(t[i][2], t[i][3], all);
        const V* d = columns[i];
        float* out = v + 4 * i * plane + j;
        store(out, d[0] - d[2]);
        store(out + plane, d[1] + d[2]);
        store(out + 2 * plane, d[2] - d[1]);
        store(out + 3 * plane, d[1] - d[3]);
      }
    }
  }

  // Back: one row of tiles of one output channel from m[coefficient * plane + tile].
  void transform_output(const float* m, int64_t plane, int64_t tile_row, float bias, float* image) const {
    constexpr auto all = std::make_integer_sequence<int, L>();
    const int64_t width = r.axis[2].out, row_step = r.dst_axis[1];
    float* const first = image + 2 * tile_row * row_step;
    const int64_t rows = smaller(2, r.axis[1].out - 2 * tile_row);
    for (int64_t j = 0; j < across; j += L) {
      V s[2][4];
#pragma GCC unroll 4
      for (int x = 0; x < 4; x++) {
        const V a = load(m + x * plane + j), b = load(m + (4 + x) * plane + j), c = load(m + (8 + x) * plane + j);
        const V d = load(m + (12 + x) * plane + j);
        s[0][x] = a + b + c;
        s[1][x] = b - c - d;
      }
      for (int64_t y = 0; y < rows; y++) {
        const V even = s[y][0] + s[y][1] + s[y][2] + bias, odd = s[y][1] - s[y][2] - s[y][3] + bias;
        const V out[2] = {interleave_low(even, odd, all), interleave_high(even, odd, all)};
        for (int half = 0; half < 2; half++) {
          const int64_t x = 2 * j + half * L;
          if (x + L <= width) store(first + y * row_step + x, out[half]);
          else if (x < width) store_part(first + y * row_step + x, out[half], width - x);
        }
      }
    }
  }

  // Output channels of tiles [tile0, tile1) at rows of tiles [row0, row1), counted over all images.
  void block(int64_t row0, int64_t row1, int64_t tile0, int64_t tile1, const float* u) const {
    const int64_t tiles = (row1 - row0) * across, pitch = round_up(tiles, L);
    const int64_t v_plane = r.c * pitch + L, o0 = r.o * tile0 / tiles_o, o1 = r.o * tile1 / tiles_o;
    const int64_t m_plane = (o1 - o0) * pitch + L;
    Scratch memory(size_t(16 * (v_plane + m_plane) + 2 * kTileColumns<float>) * sizeof(float));
    float *v = memory.as<float>(), *m = v + 16 * v_plane + kTileColumns<float>;
    for (int64_t c = 0; c < r.c; c++)
      for (int64_t row = row0; row < row1; row++)
        transform_image(r.src + row / down * r.src_image + c * r.src_channel, row % down,
                        v + c * pitch + (row - row0) * across, v_plane);
    TileCall<float, float> t;
    t.a_rows = nullptr;
    t.b_table = nullptr;
    t.alpha = 1;
    t.column_bias = t.row_bias = nullptr;
    t.b_step = t.c_row = pitch;
    const int64_t kc = block_k(r.c, 96);
    for (int coefficient = 0; coefficient < 16; coefficient++)
      for (int64_t c = 0; c < r.c; c += kc) {
        t.k = smaller(kc, r.c - c);
        t.beta = c == 0 ? 0.f : 1.f;
        for (int64_t q = 0; q < pitch; q += kTileColumns<float>) {
          const int vectors = pitch - q > L ? 1 : 0;
          t.columns = vectors ? kTileColumns<float> : L;
          t.b = v + coefficient * v_plane + c * pitch + q;
          for (int64_t i = tile0; i < tile1; i++) {
            const int64_t o = r.o * i / tiles_o, height = r.o * (i + 1) / tiles_o - o;
            t.a = u + (coefficient * tiles_o + i) * region + c * height;
            t.a_step = height;
            t.c = m + coefficient * m_plane + (o - o0) * pitch + q;
            kTilesF32.of[kTileColumnsForm][vectors][height - 1](t);
          }
        }
      }
    for (int64_t o = o0; o < o1; o++)
      for (int64_t row = row0; row < row1; row++)
        transform_output(m + (o - o0) * pitch + (row - row0) * across, m_plane, row % down, r.bias ? r.bias[o] : 0.f,
                         r.dst + row / down * r.dst_image + o * r.dst_channel);
  }
};

// Three neighbouring taps, in either order.
bool three(const ConvAxis& axis) {
  return axis.taps == 3 && axis.stride == 1 && axis.offset[1] * 2 == axis.offset[0] + axis.offset[2] &&
         (axis.offset[1] - axis.offset[0] == 1 || axis.offset[0] - axis.offset[1] == 1);
}

}  // namespace

bool correlate_winograd(const Correlation<float>& r) {
  const ConvAxis &z = r.axis[0], &y = r.axis[1], &x = r.axis[2];
  if (!three(y) || !three(x) || z.taps != 1 || z.in != 1 || z.out != 1 || z.offset[0] != 0 || !r.all_taps) return false;
  if ((y.offset[0] < y.offset[1]) != (x.offset[0] < x.offset[1]) || r.dst_axis[2] != 1 || r.groups != 1) return false;
  if (r.c < 16 || r.o < 16) return false;
  const Filter f{r};
  const int64_t rows = r.images * f.down;
  // The products stay ahead of the transforms only if there are enough tiles for the kernels' transform to pay.
  if (rows * f.across < 32) return false;

  Scratch memory(size_t(16 * f.tiles_o * f.region) * sizeof(float));
  float* u = memory.as<float>();
  parallel_for(f.tiles_o, larger(1, 20000 / (r.c * kTileRows)), [&](int64_t begin, int64_t end) {
    for (; begin < end; begin++) f.transform_weights(begin, u);
  });
  // Rows of tiles of one block: few unused lanes, little rereading of the kernels, an even load on the threads.
  const int64_t threads = num_threads(), kernels = r.c * r.o <= 1 << 13 ? 1 : 8;
  int64_t together = 1, shares = 1;
  double least = 0;
  for (int64_t n = 1; n <= smaller(rows, larger(1, 128 / f.across)); n++) {
    const int64_t blocks = ceil_div(rows, n), cost = round_up(n * f.across, L) + kernels;
    const int64_t split = blocks % threads == 0 || blocks >= 4 * threads ? 1 : smaller(threads, ceil_div(f.tiles_o, 2));
    const double time = split == 1 ? double(ceil_div(blocks, threads) * cost) : 1.08 * double(blocks * cost) / double(split);
    if (n == 1 || time <= least) least = time, together = n, shares = split;
  }
  const int64_t blocks = ceil_div(rows, together);
  parallel_for(blocks * shares, 1, [&](int64_t begin, int64_t end) {
    for (; begin < end; begin++) {
      const int64_t share = begin % shares, block = begin / shares;
      f.block(block * together, smaller(rows, (block + 1) * together), f.tiles_o * share / shares,
              f.tiles_o * (share + 1) / shares, u);
    }
  });
  return true;
}

}  // namespace flambeau::kernels::FLAMBEAU_ISA
