// The gradient of a convolution with respect to its weights: for each (channel, tap), the products of its plane with the
// output gradient, summed over all positions.
//
// The register tile has (channel, tap) as rows, read in place from the planes, and output channels as columns; the
// positions are the sum. They are cut into parts by the shape alone, whose sums are added in order.
#include "base/parallel.h"
#include "kernels/cpu/conv_planes.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

// `swapped`: r reads the gradient as its image and the image as its gradient, of a 1x1 kernel, so that the sums come out
// in the order of dw.
template <class T> void weight_gradient_of(const Correlation<T>& r, T* dw, bool swapped) {
  const int64_t taps = r.axis[0].taps * r.axis[1].taps * r.axis[2].taps, width = r.axis[2].out, depths = r.axis[0].out;
  const int64_t all_k = r.c * taps;
  const ConvBlocks b = plan_blocks(r, 384, 256 << 10, 512);
  bool in_place = !b.separate && r.src_channel * int64_t(sizeof(T)) % 2048 != 0;  // a 1x1 kernel needs no planes
  for (const ConvAxis& axis : r.axis)
    in_place &= axis.taps == 1 && axis.stride == 1 && axis.offset[0] == 0 && axis.in == axis.out;
  const Planes<T> planes(r.axis, r.src_channel, b.separate);
  const int64_t channel_blocks = ceil_div(r.c, b.channels);
  const int64_t units = b.image_blocks * depths * b.row_blocks;
  const int64_t parts = smaller(units, larger(1, 8 / (channel_blocks * r.groups)));
  const int64_t panels = ceil_div(r.o, kTileColumns<T>), sums_row = panels * kTileColumns<T>;
  const int64_t group_size = all_k * sums_row, part_size = r.groups * group_size;
  Scratch memory(size_t(parts * part_size) * sizeof(T));
  T* const sums = memory.as<T>();

  parallel_for(parts * r.groups * channel_blocks, 1, [&](int64_t begin, int64_t end) {
    Scratch buffer(size_t(planes.channel_size(b.rows, b.images) * b.channels + 2 * kTileColumns<T>) * sizeof(T));
    const int64_t most = b.images * b.rows * width;
    Scratch gradient(size_t(most * sums_row) * sizeof(T));
    Scratch table(size_t(b.channels * taps) * 8);
    for (int64_t chunk = begin; chunk < end; chunk++) {
      const int64_t channel_block = chunk % channel_blocks, group = chunk / channel_blocks % r.groups;
      const int64_t part = chunk / channel_blocks / r.groups;
      const int64_t c0 = channel_block * b.channels, rows_k = smaller(b.channels, r.c - c0) * taps;
      const int64_t first_unit = units * part / parts;
      TileCall<T, T> t;
      const T* starts[kTileRows];
      t.a_rows = starts;
      t.a_step = 0;
      t.b_step = kTileColumns<T>;
      t.b_table = nullptr;
      t.alpha = 1;
      t.column_bias = t.row_bias = nullptr;
      t.c_row = sums_row;
      t.columns = kTileColumns<T>;
      for (int64_t unit = first_unit; unit < units * (part + 1) / parts; unit++) {
        const int64_t y0 = unit % b.row_blocks * b.rows, z = unit / b.row_blocks % depths;
        const int64_t image0 = unit / b.row_blocks / depths * b.images;
        const int64_t images = smaller(b.images, r.images - image0), rows = smaller(b.rows, r.axis[1].out - y0);
        const T* planes_at = buffer.as<T>();
        const T* image = r.src + image0 * r.src_image + (group * r.c + c0) * r.src_channel;
        if (in_place) {
          for (int64_t c = 0; c < rows_k; c++) table.as<int64_t>()[c] = c * r.src_channel;
          planes_at = image + z * r.dst_axis[0] + y0 * r.dst_axis[1];
        } else {
          planes.make_table(table.as<int64_t>(), rows_k / taps, rows, images);
          planes.fill(buffer.as<T>(), image, rows_k / taps, r.src_image, images, z, y0, rows);
        }
        const int64_t positions = images * rows * width;
        const T* from = r.dst + image0 * r.dst_image + group * r.o * r.dst_channel + z * r.dst_axis[0] + y0 * width;
        for (int64_t panel = 0; panel < panels; panel++) {
          const int64_t o = panel * kTileColumns<T>, count = smaller(kTileColumns<T>, r.o - o);
          T* to = gradient.as<T>() + panel * positions * kTileColumns<T>;
          for (int64_t i = 0; i < images; i++)
            pack_rows<T, T>(to + i * rows * width * kTileColumns<T>, kTileColumns<T>,
                            from + i * r.dst_image + o * r.dst_channel, r.dst_channel, count, rows * width);
        }
        t.beta = unit == first_unit ? T(0) : T(1);
        const int64_t count = ceil_div(rows_k, kTileRows);
        t.k = positions;
        for (int64_t panel = 0; panel < panels; panel++) {
          t.b = gradient.as<T>() + panel * positions * kTileColumns<T>;
          const int64_t o = panel * kTileColumns<T>;
          const int vectors = r.o - o > kSpan<T> ? 1 : 0;
          t.columns = vectors ? kTileColumns<T> : kSpan<T>;
          for (int64_t i = 0; i < count; i++) {
            const int64_t top = rows_k * i / count, height = rows_k * (i + 1) / count - top;
            for (int64_t j = 0; j < height; j++) starts[j] = planes_at + table.as<int64_t>()[top + j];
            // The first panel fetches the next tile's rows, which follow each other in the image.
            const bool fetching = in_place && panel == 0 && i + 1 < count;
            t.ahead = fetching ? planes_at + table.as<int64_t>()[top + height] : nullptr;
            t.ahead_step = fetching ? kSpan<T> : 0;
            t.c = sums + part * part_size + group * group_size + (c0 * taps + top) * sums_row + o;
            conv_tiles<T>().of[kTileRowsForm][vectors][height - 1](t);
          }
        }
      }
    }
  });
  if (swapped) {
    parallel_for(r.groups * all_k, larger(1, 30000 / (r.o * parts)), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++)
        for (int64_t o = 0; o < r.o; o += kSpan<T>) {
          Vec<T> sum = {};
          for (int64_t part = 0; part < parts; part++) sum += load(sums + part * part_size + i * sums_row + o);
          if (r.o - o >= kSpan<T>)
            store(dw + i * r.o + o, sum);
          else
            store_part(dw + i * r.o + o, sum, r.o - o);
        }
    });
    return;
  }
  // [part][group][k][o] -> [group][o][k]: a square of vectors at a time.
  constexpr int lanes = kSpan<T>;
  const int64_t bands = ceil_div(all_k, lanes);
  parallel_for(r.groups * bands, larger(1, 30000 / (lanes * r.o * parts)), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const int64_t group = i / bands, k0 = i % bands * lanes, k = smaller(lanes, all_k - k0);
      for (int64_t o0 = 0; o0 < r.o; o0 += lanes) {
        Vec<T> square[lanes];
        for (int j = 0; j < lanes; j++) {
          square[j] = Vec<T>{};
          if (j >= k) continue;
          const T* from = sums + group * group_size + (k0 + j) * sums_row + o0;
          for (int64_t part = 0; part < parts; part++) square[j] += load(from + part * part_size);
        }
        transpose_square<T>(square);
        T* to = dw + (group * r.o + o0) * all_k + k0;
        const int64_t count = smaller(lanes, r.o - o0);
        for (int64_t j = 0; j < count; j++) {
          if (k == lanes)
            store(to + j * all_k, square[j]);
          else
            store_part(to + j * all_k, square[j], k);
        }
      }
    }
  });
}

// One side of the products is packed, and for a 1x1 kernel the other is read in place: pack the one with fewer channels.
template <class T> void by_smaller_side(const Correlation<T>& r, T* dw) {
  bool same = r.o > r.c;
  for (const ConvAxis& axis : r.axis)
    same &= axis.taps == 1 && axis.stride == 1 && axis.offset[0] == 0 && axis.in == axis.out;
  if (!same) return weight_gradient_of(r, dw, false);
  Correlation<T> t = r;
  t.src = r.dst, t.src_image = r.dst_image, t.src_channel = r.dst_channel, t.c = r.o;
  t.dst = const_cast<T*>(r.src), t.dst_image = r.src_image, t.dst_channel = r.src_channel, t.o = r.c;
  weight_gradient_of(t, dw, true);
}

}  // namespace

void weight_gradient(const Correlation<float>& r, float* dw) { by_smaller_side(r, dw); }
void weight_gradient(const Correlation<double>& r, double* dw) { by_smaller_side(r, dw); }

}  // namespace flambeau::kernels::FLAMBEAU_ISA
