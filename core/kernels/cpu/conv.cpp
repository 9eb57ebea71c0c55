// Convolution's entries: which correlation each call is, and how the 16-bit types go through float.
#include "kernels/cpu/conv.h"
#include "base/parallel.h"
#include "kernels/cpu/conv_planes.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

int64_t product_of(const int64_t (&extent)[3]) { return extent[0] * extent[1] * extent[2]; }

template <class T> struct Arrays {  // the axes' lists of taps, in one block
  explicit Arrays(const ConvShape& s)
      : memory(size_t(2 * (s.kernel[0] + s.kernel[1] + s.kernel[2])) * 8), next(memory.as<int64_t>()) {}
  int64_t* take(int64_t count) { return next += count, next - count; }
  Scratch memory;
  int64_t* next;
};

// 1x1 kernels that read every position once and in order see the image as one line.
template <class T> void flatten(Correlation<T>& r) {
  for (const ConvAxis& axis : r.axis)
    if (axis.taps != 1 || axis.stride != 1 || axis.offset[0] != 0 || axis.in != axis.out) return;
  if (r.dst_axis[2] != 1 || r.dst_axis[1] != r.axis[2].out || r.dst_axis[0] != r.axis[1].out * r.axis[2].out) return;
  const int64_t all = r.axis[0].out * r.axis[1].out * r.axis[2].out;
  r.axis[1].out = r.axis[1].in = all;
  r.axis[0].out = r.axis[0].in = r.axis[2].out = r.axis[2].in = 1;
  r.dst_axis[0] = all, r.dst_axis[1] = 1;
}

template <class T> void run(Correlation<T> r) {
  flatten(r);
  const int64_t positions = r.axis[0].out * r.axis[1].out * r.axis[2].out;
  if (positions == 0 || r.images == 0 || r.o == 0 || r.groups == 0) return;
  if (r.axis[0].taps * r.axis[1].taps * r.axis[2].taps != 0 && r.c != 0) {
    if constexpr (std::is_same_v<T, float>)
      if (correlate_winograd(r)) return;
    return r.c == 1 ? correlate_depthwise(r) : correlate(r);
  }
  for (int64_t i = 0; i < r.images; i++)  // empty sums: positions that a stride passes over, or no channels
    for (int64_t o = 0; o < r.groups * r.o; o++)
      for (int64_t z = 0; z < r.axis[0].out; z++)
        for (int64_t y = 0; y < r.axis[1].out; y++)
          for (int64_t x = 0; x < r.axis[2].out; x++)
            r.dst[i * r.dst_image + o * r.dst_channel + z * r.dst_axis[0] + y * r.dst_axis[1] + x * r.dst_axis[2]] =
                r.bias ? r.bias[o] : T(0);
}

template <class T>
Correlation<T> forward_correlation(const ConvShape& s, Arrays<T>& arrays, const T* x, const T* w, const T* bias, T* y) {
  Correlation<T> r = {};
  // A dimension without extent of its own (of a 1-d convolution) goes last: what is consecutive then needs no copies.
  const bool swap = s.in[1] == 1 && s.out[1] == 1 && s.kernel[1] == 1 && s.pad[1] == 0;
  const int order[3] = {0, swap ? 2 : 1, swap ? 1 : 2};
  for (int d = 0; d < 3; d++) {
    const int i = order[d];
    int64_t *offset = arrays.take(s.kernel[i]), *index = arrays.take(s.kernel[i]);
    for (int64_t k = 0; k < s.kernel[i]; k++) offset[k] = k * s.dilation[i] - s.pad[i], index[k] = k;
    r.axis[d] = {s.out[i], s.in[i], s.stride[i], s.kernel[i], offset, index};
    r.kernel[d] = s.kernel[i];
  }
  r.images = s.n, r.groups = s.groups, r.c = s.c / s.groups, r.o = s.o / s.groups;
  r.src = x, r.src_channel = product_of(s.in), r.src_image = s.c * r.src_channel;
  r.w = w, r.w_channel = product_of(s.kernel), r.w_out = r.c * r.w_channel, r.w_group = r.o * r.w_out,
  r.all_taps = true;
  r.dst = y, r.dst_channel = product_of(s.out), r.dst_image = s.o * r.dst_channel;
  r.dst_axis[0] = r.axis[1].out * r.axis[2].out, r.dst_axis[1] = r.axis[2].out, r.dst_axis[2] = 1;
  r.bias = bias;
  return r;
}

template <class T> void forward_of(const ConvShape& s, const T* x, const T* w, const T* bias, T* y) {
  Arrays<T> arrays(s);
  run(forward_correlation<T>(s, arrays, x, w, bias, y));
}

// With strides, the positions of dx that share their remainders read the same taps: each such phase is a correlation of
// stride 1 over dy, whose results are spread.
template <class T> void backward_input_of(const ConvShape& s, const T* dy, const T* w, const T* bias, T* dx) {
  const bool swap = s.in[1] == 1 && s.out[1] == 1 && s.kernel[1] == 1 && s.pad[1] == 0;
  const int order[3] = {0, swap ? 2 : 1, swap ? 1 : 2};
  const int64_t steps[3] = {s.in[1] * s.in[2], swap ? 1 : s.in[2], 1};
  if constexpr (std::is_same_v<T, float>) {
    Arrays<T> arrays(s);
    if (s.stride[2] == 2 &&
        spread_winograd(forward_correlation<T>(s, arrays, nullptr, w, nullptr, const_cast<T*>(dy)), dx, bias))
      return;
  }
  int64_t phase[3];
  for (phase[0] = 0; phase[0] < smaller(s.stride[order[0]], s.in[order[0]]); phase[0]++)
    for (phase[1] = 0; phase[1] < smaller(s.stride[order[1]], s.in[order[1]]); phase[1]++)
      for (phase[2] = 0; phase[2] < smaller(s.stride[order[2]], s.in[order[2]]); phase[2]++) {
        Arrays<T> arrays(s);
        Correlation<T> r = {};
        r.all_taps = true;
        r.dst = dx;
        for (int d = 0; d < 3; d++) {
          const int i = order[d];
          int64_t *offset = arrays.take(s.kernel[i]), *index = arrays.take(s.kernel[i]), taps = 0;
          for (int64_t k = 0; k < s.kernel[i]; k++) {
            const int64_t at = phase[d] + s.pad[i] - k * s.dilation[i];
            if (at % s.stride[i] != 0) continue;
            offset[taps] = at / s.stride[i];
            index[taps++] = k;
          }
          r.all_taps &= taps == s.kernel[i];
          r.axis[d] = {ceil_div(s.in[i] - phase[d], s.stride[i]), s.out[i], 1, taps, offset, index};
          r.kernel[d] = s.kernel[i];
          r.dst += phase[d] * steps[d];
          r.dst_axis[d] = s.stride[i] * steps[d];
        }
        r.images = s.n, r.groups = s.groups, r.c = s.o / s.groups, r.o = s.c / s.groups;
        r.src = dy, r.src_channel = product_of(s.out), r.src_image = s.o * r.src_channel;
        r.w = w, r.w_out = product_of(s.kernel), r.w_channel = r.o * r.w_out, r.w_group = r.c * r.w_channel;
        r.dst_channel = product_of(s.in), r.dst_image = s.c * r.dst_channel;
        r.bias = bias;
        run(r);
      }
}

template <class T> void weights_of(const Correlation<T>& r, T* dw) {
  if constexpr (std::is_same_v<T, float>)
    if (weight_gradient_winograd(r, dw)) return;
  // Few output channels leave most of the register tile's columns empty; few positions are not worth a sum across lanes.
  const bool few = r.o * 2 <= kSpan<T> && r.axis[1].out * r.axis[2].out >= 8 * kSpan<T>;
  r.c == 1 || few ? weight_gradient_depthwise(r, dw) : weight_gradient(r, dw);
}

template <class T> void backward_weight_of(const ConvShape& s, const T* x, const T* dy, T* dw, T* dbias) {
  Arrays<T> arrays(s);
  Correlation<T> r = forward_correlation<T>(s, arrays, x, nullptr, nullptr, const_cast<T*>(dy));
  flatten(r);
  const int64_t summed = r.images * product_of(s.out), weights = s.o * r.c * product_of(s.kernel);
  if (dw && summed == 0)
    clear(dw, weights);
  else if (dw && weights != 0)
    weights_of(r, dw);
  if (!dbias) return;
  const int64_t positions = product_of(s.out);
  parallel_for(s.o, larger(1, 100000 / (s.n * positions + 1)), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; o++) {
      T total = 0;
      for (int64_t i = 0; i < s.n; i++) {
        const T* from = dy + (i * s.o + o) * positions;
        Vec<T> sum[4] = {};
        int64_t q = 0;
        for (; q + 4 * kSpan<T> <= positions; q += 4 * kSpan<T>)
#pragma GCC unroll 4
          for (int v = 0; v < 4; v++) sum[v] += load(from + q + v * kSpan<T>);
        for (; q < positions; q += kSpan<T>) sum[0] += load_part(from + q, smaller(positions - q, kSpan<T>));
        total += sum_lanes<T>((sum[0] + sum[1]) + (sum[2] + sum[3]));
      }
      dbias[o] = total;
    }
  });
}

// A 16-bit array in float32, and back.
template <class S> struct Widened {
  Widened(const S* from, int64_t count) : count(count), memory(from ? size_t(count + kSpan<float>) * 4 : 0) {
    if (!from) return;
    parallel_for(count, 1 << 16, [&](int64_t begin, int64_t end) {
      for (; begin < end; begin += kSpan<float>) {
        const int64_t left = end - begin;
        if (left >= kSpan<float>)
          store(data() + begin, load_float(from + begin));
        else
          store_part(data() + begin, load_float_part(from + begin, left), left);
      }
    });
  }
  explicit Widened(int64_t count) : count(count), memory(size_t(count) * 4) {}
  void narrow_to(S* to) {
    if (!to) return;
    const float* from = data();
    parallel_for(count, 1 << 15, [&](int64_t begin, int64_t end) {
      for (; begin < end; begin += kSpan<float>) {
        if (end - begin >= kSpan<float>)
          store_rounded(to + begin, load(from + begin));
        else
          store_rounded_part(to + begin, load_part(from + begin, end - begin), end - begin);
      }
    });
  }
  float* data() const { return memory.as<float>(); }
  int64_t count;
  Scratch memory;
};

template <class S> struct Halves {
  static void forward(const ConvShape& s, const void* x, const void* w, const void* bias, void* y) {
    Widened<S> xf(static_cast<const S*>(x), x_count(s)), wf(static_cast<const S*>(w), w_count(s));
    Widened<S> bf(static_cast<const S*>(bias), s.o), yf(y_count(s));
    forward_of<float>(s, xf.data(), wf.data(), bf.data(), yf.data());
    yf.narrow_to(static_cast<S*>(y));
  }
  static void backward_input(const ConvShape& s, const void* dy, const void* w, const void* bias, void* dx) {
    Widened<S> yf(static_cast<const S*>(dy), y_count(s)), wf(static_cast<const S*>(w), w_count(s));
    Widened<S> bf(static_cast<const S*>(bias), s.c), xf(x_count(s));
    backward_input_of<float>(s, yf.data(), wf.data(), bf.data(), xf.data());
    xf.narrow_to(static_cast<S*>(dx));
  }
  static void backward_weight(const ConvShape& s, const void* x, const void* dy, void* dw, void* dbias) {
    Widened<S> xf(static_cast<const S*>(x), x_count(s)), yf(static_cast<const S*>(dy), y_count(s));
    Widened<S> wf(w_count(s)), bf(s.o);
    backward_weight_of<float>(s, xf.data(), yf.data(), dw ? wf.data() : nullptr, dbias ? bf.data() : nullptr);
    wf.narrow_to(static_cast<S*>(dw));
    bf.narrow_to(static_cast<S*>(dbias));
  }
  static int64_t x_count(const ConvShape& s) { return s.n * s.c * product_of(s.in); }
  static int64_t y_count(const ConvShape& s) { return s.n * s.o * product_of(s.out); }
  static int64_t w_count(const ConvShape& s) { return s.o * (s.c / s.groups) * product_of(s.kernel); }
};

template <class T> struct Plain {
  static void forward(const ConvShape& s, const void* x, const void* w, const void* bias, void* y) {
    forward_of<T>(s, static_cast<const T*>(x), static_cast<const T*>(w), static_cast<const T*>(bias),
                  static_cast<T*>(y));
  }
  static void backward_input(const ConvShape& s, const void* dy, const void* w, const void* bias, void* dx) {
    backward_input_of<T>(s, static_cast<const T*>(dy), static_cast<const T*>(w), static_cast<const T*>(bias),
                         static_cast<T*>(dx));
  }
  static void backward_weight(const ConvShape& s, const void* x, const void* dy, void* dw, void* dbias) {
    backward_weight_of<T>(s, static_cast<const T*>(x), static_cast<const T*>(dy), static_cast<T*>(dw),
                          static_cast<T*>(dbias));
  }
};

#define FLAMBEAU_BY_DTYPE(call)                                \
  switch (dtype) {                                             \
    case DType::Float32: Plain<float>::call; return true;      \
    case DType::Float64: Plain<double>::call; return true;     \
    case DType::BFloat16: Halves<BFloat16>::call; return true; \
    case DType::Float16: Halves<Half>::call; return true;      \
    default: return false;                                     \
  }

bool forward(DType dtype, const ConvShape& s, const void* x, const void* w, const void* bias, void* y) {
  FLAMBEAU_BY_DTYPE(forward(s, x, w, bias, y))
}
bool backward_input(DType dtype, const ConvShape& s, const void* dy, const void* w, const void* bias, void* dx) {
  FLAMBEAU_BY_DTYPE(backward_input(s, dy, w, bias, dx))
}
bool backward_weight(DType dtype, const ConvShape& s, const void* x, const void* dy, void* dw, void* dbias) {
  FLAMBEAU_BY_DTYPE(backward_weight(s, x, dy, dw, dbias))
}

}  // namespace

const ConvKernels kConvKernels = {forward, backward_input, backward_weight};

}  // namespace flambeau::kernels::FLAMBEAU_ISA
