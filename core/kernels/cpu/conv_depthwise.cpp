// Convolutions with one input channel per group, and the weights' gradient of those with few output channels per group:
// too few sums for the register tile, so positions fill the vectors.
#include "base/parallel.h"
#include "kernels/cpu/conv_planes.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

constexpr int kRun = 4;  // vectors of positions held at a time

// out[q] = bias + sum of w[k] * planes[table[k] + q]; the planes may be read and `out` written to a whole run's end.
template <class T>
void run_taps(T* out, const T* planes, const int64_t* table, const T* w, int64_t taps, int64_t positions, T bias) {
  constexpr int lanes = kSpan<T>;
  int64_t q = 0;
  for (; q + kRun * lanes <= positions; q += kRun * lanes) {
    Vec<T> sum[kRun];
#pragma GCC unroll 4
    for (int v = 0; v < kRun; v++) sum[v] = splat(bias);
    for (int64_t k = 0; k < taps; k++) {
      const T* from = planes + table[k] + q;
      const T x = w[k];
#pragma GCC unroll 4
      for (int v = 0; v < kRun; v++) sum[v] += x * load(from + v * lanes);
    }
#pragma GCC unroll 4
    for (int v = 0; v < kRun; v++) store(out + q + v * lanes, sum[v]);
  }
  for (; q < positions; q += lanes) {
    Vec<T> sum = splat(bias);
    for (int64_t k = 0; k < taps; k++) sum += w[k] * load(planes + table[k] + q);
    if (q + lanes <= positions)
      store(out + q, sum);
    else
      store_part(out + q, sum, positions - q);
  }
}

template <class V> FLAMBEAU_INLINE void keep(V& v) {  // in a register
#if defined(FLAMBEAU_ISA_v4)
  asm("" : "+v"(v));
#elif defined(__x86_64__)
  asm("" : "+x"(v));
#else
  asm("" : "+w"(v));
#endif
}

// sums[j * sums_row + k] += planes[table[k] + q] . dy[j * dy_row + q] for M taps and O output channels at a time.
template <class T, int M, int O>
void dot_taps(const T* planes, const int64_t* table, const T* dy, int64_t dy_row, int64_t positions, T* sums,
              int64_t sums_row) {
  constexpr int lanes = kSpan<T>;
  Vec<T> sum[O][M];
#pragma GCC unroll 8
  for (int j = 0; j < O; j++)
#pragma GCC unroll 8
    for (int k = 0; k < M; k++) sum[j][k] = Vec<T>{};
  const T* from[M];
  for (int k = 0; k < M; k++) from[k] = planes + table[k];
  int64_t q = 0;
  for (; q + lanes <= positions; q += lanes) {
    Vec<T> x[M];
#pragma GCC unroll 8
    for (int k = 0; k < M; k++) x[k] = load(from[k] + q);
#pragma GCC unroll 8
    for (int j = 0; j < O; j++) {
      Vec<T> g = load(dy + j * dy_row + q);
      keep(g);  // the compiler would read it anew for every tap
#pragma GCC unroll 8
      for (int k = 0; k < M; k++) sum[j][k] += g * x[k];
    }
  }
  if (q < positions) {
    const int64_t left = positions - q;
#pragma GCC unroll 8
    for (int j = 0; j < O; j++) {
      const Vec<T> g = load_part(dy + j * dy_row + q, left);
#pragma GCC unroll 8
      for (int k = 0; k < M; k++) sum[j][k] += g * load_part(from[k] + q, left);
    }
  }
#pragma GCC unroll 8
  for (int j = 0; j < O; j++)
#pragma GCC unroll 8
    for (int k = 0; k < M; k++) sums[j * sums_row + k] += sum_lanes<T>(sum[j][k]);
}

// All taps of O output channels.
template <class T, int O>
void dot_all_taps(const T* planes, const int64_t* table, int64_t taps, const T* dy, int64_t dy_row, int64_t positions,
                  T* sums, int64_t sums_row) {
  int64_t k = 0;
  if constexpr (O == 1)
    for (; k + 8 <= taps; k += 8) dot_taps<T, 8, O>(planes, table + k, dy, dy_row, positions, sums + k, sums_row);
  for (; k + 3 <= taps; k += 3) dot_taps<T, 3, O>(planes, table + k, dy, dy_row, positions, sums + k, sums_row);
  for (; k < taps; k++) dot_taps<T, 1, O>(planes, table + k, dy, dy_row, positions, sums + k, sums_row);
}

template <class T> ConvBlocks depthwise_blocks(const Correlation<T>& r) {
  ConvBlocks b = plan_blocks(r, 1, 24 << 10, 1 << 20);
  if (b.separate) {
    b = ConvBlocks();
    b.rows = r.axis[1].out;
    b.image_blocks = r.images;
  }
  return b;
}

template <class T> void correlate_depthwise_of(const Correlation<T>& r) {
  const int64_t width = r.axis[2].out, taps = r.axis[0].taps * r.axis[1].taps * r.axis[2].taps;
  const ConvBlocks b = depthwise_blocks(r);
  const Planes<T> planes(r.axis, r.src_channel, false);
  const int64_t depths = r.axis[0].out, work = depths * r.axis[1].out * width * taps;
  parallel_for(r.images * r.groups, larger(1, 200000 / larger(1, work)), [&](int64_t begin, int64_t end) {
    Scratch buffer(size_t(planes.channel_size(b.rows, 1) + (2 + kRun) * kTileColumns<T>) * sizeof(T));
    Scratch table(size_t(taps) * 8), weights(size_t(taps) * sizeof(T));
    T* const w = weights.as<T>();
    const bool direct = r.dst_axis[2] == 1 && r.dst_axis[1] == width;
    Scratch sums(direct ? 0 : size_t(b.rows * width + kSpan<T>) * sizeof(T));
    for (int64_t i = begin; i < end; i++) {
      const int64_t image = i / r.groups, group = i % r.groups;
      for (int64_t z = 0; z < depths; z++)
        for (int64_t y0 = 0; y0 < r.axis[1].out; y0 += b.rows) {
          const int64_t rows = smaller(b.rows, r.axis[1].out - y0);
          planes.make_table(table.as<int64_t>(), 1, rows, 1);
          planes.fill(buffer.as<T>(), r.src + image * r.src_image + group * r.src_channel, 1, 0, 1, z, y0, rows);
          for (int64_t o = 0; o < r.o; o++) {
            const T* from = r.w + group * r.w_group + o * r.w_out;
            T* next = w;
            for (int64_t kz = 0; kz < r.axis[0].taps; kz++)
              for (int64_t ky = 0; ky < r.axis[1].taps; ky++)
                for (int64_t kx = 0; kx < r.axis[2].taps; kx++)
                  *next++ = from[(r.axis[0].index[kz] * r.kernel[1] + r.axis[1].index[ky]) * r.kernel[2] +
                                 r.axis[2].index[kx]];
            T* out = r.dst + image * r.dst_image + (group * r.o + o) * r.dst_channel + z * r.dst_axis[0] +
                     y0 * r.dst_axis[1];
            const T bias = r.bias ? r.bias[group * r.o + o] : T(0);
            run_taps(direct ? out : sums.as<T>(), buffer.as<T>(), table.as<int64_t>(), w, taps, rows * width, bias);
            if (direct) continue;
            const T* sum = sums.as<T>();
            for (int64_t y = 0; y < rows; y++)
              for (int64_t x = 0; x < width; x++) out[y * r.dst_axis[1] + x * r.dst_axis[2]] = *sum++;
          }
        }
    }
  });
}

// Any number of channels: their planes are made one at a time, and lie with the gradient's few channels in the L1 cache.
template <class T> void weight_gradient_depthwise_of(const Correlation<T>& r, T* dw) {
  constexpr int kMany = kTileRows > 8 ? 8 : 4;  // output channels whose sums, of three taps each, fit the registers
  const int64_t width = r.axis[2].out, taps = r.axis[0].taps * r.axis[1].taps * r.axis[2].taps, depths = r.axis[0].out;
  const int64_t row = r.c * taps, all = r.groups * r.o * row;
  const ConvBlocks b = depthwise_blocks(r);
  const Planes<T> planes(r.axis, r.src_channel, false);
  // Images in groups by the shape alone, each with sums of its own.
  const int64_t parts = smaller(r.images, ceil_div(16, larger(1, r.groups)));
  Scratch memory(size_t(parts * all) * sizeof(T));
  T* const sums = memory.as<T>();
  parallel_for(parts * r.groups, larger(1, 200000 / larger(1, depths * r.axis[1].out * width * r.o * row)),
               [&](int64_t begin, int64_t end) {
                 Scratch buffer(size_t(planes.channel_size(b.rows, 1) + (2 + kRun) * kTileColumns<T>) * sizeof(T));
                 Scratch table(size_t(taps) * 8);
                 const int64_t* const at = table.as<int64_t>();
                 const T* const x = buffer.as<T>();
                 for (int64_t i = begin; i < end; i++) {
                   const int64_t part = i / r.groups, group = i % r.groups;
                   T* const mine = sums + part * all + group * r.o * row;
                   for (int64_t k = 0; k < r.o * row; k++) mine[k] = 0;
                   for (int64_t image = r.images * part / parts; image < r.images * (part + 1) / parts; image++)
                     for (int64_t z = 0; z < depths; z++)
                       for (int64_t y0 = 0; y0 < r.axis[1].out; y0 += b.rows) {
                         const int64_t rows = smaller(b.rows, r.axis[1].out - y0), positions = rows * width;
                         planes.make_table(table.as<int64_t>(), 1, rows, 1);
                         const T* const dy =
                             r.dst + image * r.dst_image + group * r.o * r.dst_channel + z * r.dst_axis[0] + y0 * width;
                         for (int64_t c = 0; c < r.c; c++) {
                           const T* const from = r.src + image * r.src_image + (group * r.c + c) * r.src_channel;
                           planes.fill(buffer.as<T>(), from, 1, 0, 1, z, y0, rows);
                           T* const to = mine + c * taps;
                           const int64_t step = r.dst_channel;
                           int64_t o = 0;
                           for (; o + kMany <= r.o; o += kMany)
                             dot_all_taps<T, kMany>(x, at, taps, dy + o * step, step, positions, to + o * row, row);
                           for (; o + 2 <= r.o; o += 2)
                             dot_all_taps<T, 2>(x, at, taps, dy + o * step, step, positions, to + o * row, row);
                           for (; o < r.o; o++)
                             dot_all_taps<T, 1>(x, at, taps, dy + o * step, step, positions, to + o * row, row);
                         }
                       }
                 }
               });
  for (int64_t k = 0; k < all; k++) {
    T sum = 0;
    for (int64_t part = 0; part < parts; part++) sum += sums[part * all + k];
    dw[k] = sum;
  }
}

}  // namespace

void correlate_depthwise(const Correlation<float>& r) { correlate_depthwise_of(r); }
void correlate_depthwise(const Correlation<double>& r) { correlate_depthwise_of(r); }
void weight_gradient_depthwise(const Correlation<float>& r, float* dw) { weight_gradient_depthwise_of(r, dw); }
void weight_gradient_depthwise(const Correlation<double>& r, double* dw) { weight_gradient_depthwise_of(r, dw); }

}  // namespace flambeau::kernels::FLAMBEAU_ISA
