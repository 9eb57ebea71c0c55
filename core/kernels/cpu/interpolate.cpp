// Resampling as three separable filters. A table of taps (first input position, weights) per output position and
// dimension says everything that the modes differ in; the loops are the same. An output row is made in two steps: input
// rows are mixed by the taps of depth and height (vectors along the width), then the mixed row along the width.
#include "kernels/cpu/interpolate.h"
#include "base/allocator.h"
#include "kernels/cpu/lanes.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

// Output position i reads inputs index[i * taps + t] with weights weight[i * taps + t].
template <class T> struct Filter {
  int64_t out = 0, taps = 1;
  int64_t* index = nullptr;
  T* weight = nullptr;
  Filter() = default;
  Filter(const Filter&) = delete;
  void reserve(int64_t outputs, int64_t count) {
    out = outputs;
    taps = count;
    index = static_cast<int64_t*>(allocate(out * taps * sizeof(int64_t)));
    weight = static_cast<T*>(allocate(out * taps * sizeof(T)));
  }
  ~Filter() {
    if (!index) return;
    deallocate(index, out * taps * sizeof(int64_t));
    deallocate(weight, out * taps * sizeof(T));
  }
};

template <class T> T floor_of(T x) {
  if constexpr (sizeof(T) == 4)
    return __builtin_floorf(x);
  else
    return __builtin_floor(x);
}

// Keys' cubic convolution with parameter a, at a distance.
template <class T> T cubic(T distance, T a) {
  T x = distance < 0 ? -distance : distance;
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((x - 5) * x + 8) * x * a - 4 * a;
  return 0;
}

int64_t clamp(int64_t i, int64_t n) { return smaller(larger(i, 0), n - 1); }

// Widened filters of antialiasing, weights normalised over the taps inside the input.
template <class T> void antialiased(Filter<T>& f, const ResampleShape& s, int64_t in, int64_t out, T scale) {
  T support = T(s.mode == Interpolation::Cubic ? 2 : 1), stretch = scale > 1 ? scale : T(1);
  T reach = support * stretch;
  f.reserve(out, int64_t(reach) * 2 + 3);
  for (int64_t i = 0; i < out; ++i) {
    T center = scale * (T(i) + T(0.5)), total = 0;
    int64_t first = larger(int64_t(center - reach + T(0.5)), 0), last = smaller(int64_t(center + reach + T(0.5)), in);
    last = smaller(last, first + f.taps);
    for (int64_t t = 0; t < f.taps; ++t) {
      int64_t at = first + t;
      T distance = (T(at) - center + T(0.5)) / stretch, w = 0;
      if (at < last) {
        if (s.mode == Interpolation::Cubic)
          w = cubic(distance, T(-0.5));
        else
          w = distance > -1 && distance < 1 ? 1 - (distance < 0 ? -distance : distance) : 0;
      }
      f.index[i * f.taps + t] = clamp(at, in);
      f.weight[i * f.taps + t] = w;
      total += w;
    }
    for (int64_t t = 0; t < f.taps && total != 0; ++t) f.weight[i * f.taps + t] /= total;
  }
}

template <class T> void make_filter(Filter<T>& f, const ResampleShape& s, int axis) {
  int64_t in = s.in[axis], out = s.out[axis];
  T scale = s.scale[axis] > 0 ? T(1 / s.scale[axis]) : T(in) / T(out);
  bool smooth = s.mode == Interpolation::Linear || s.mode == Interpolation::Cubic;
  if (smooth && s.align_corners) scale = out > 1 ? T(in - 1) / T(out - 1) : T(0);
  if (in == out && (s.scale[axis] <= 0 || s.scale[axis] == 1 || s.align_corners)) {  // positions coincide in every mode
    f.reserve(out, 1);
    for (int64_t i = 0; i < out; ++i) f.index[i] = i, f.weight[i] = 1;
    return;
  }
  if (smooth && s.antialias) return antialiased(f, s, in, out, scale);
  f.reserve(out, s.mode == Interpolation::Linear ? 2 : s.mode == Interpolation::Cubic ? 4 : 1);
  for (int64_t i = 0; i < out; ++i) {
    int64_t* index = f.index + i * f.taps;
    T* weight = f.weight + i * f.taps;
    if (!smooth) {
      T offset = s.mode == Interpolation::NearestExact ? T(0.5) : T(0);
      index[0] = clamp(int64_t(floor_of((T(i) + offset) * scale)), in);
      weight[0] = 1;
      continue;
    }
    T at = s.align_corners ? scale * T(i) : scale * (T(i) + T(0.5)) - T(0.5);
    if (s.mode == Interpolation::Linear) {
      if (at < 0) at = 0;
      int64_t low = clamp(int64_t(at), in);
      T part = at - T(low);
      if (part > 1) part = 1;
      index[0] = low;
      index[1] = low < in - 1 ? low + 1 : low;
      weight[0] = 1 - part;
      weight[1] = part;
    } else {
      T low = floor_of(at), part = at - low;
      for (int t = 0; t < 4; ++t) {
        index[t] = clamp(int64_t(low) - 1 + t, in);
        weight[t] = cubic(part + T(1 - t), T(-0.75));
      }
    }
  }
}

template <class T> struct Filters {
  explicit Filters(const ResampleShape& s) {
    make_filter(depth, s, 0);
    make_filter(height, s, 1);
    make_filter(width, s, 2);
  }
  Filter<T> depth, height, width;
};

// Rows of scratch with room for whole vectors.
template <class T> struct Row {
  explicit Row(int64_t n) : bytes((n + 4 * kSpan<T>)*sizeof(T)), data(static_cast<T*>(allocate(bytes))) {
    __builtin_memset(data, 0, bytes);
  }
  ~Row() { deallocate(data, bytes); }
  Row(const Row&) = delete;
  size_t bytes;
  T* data;
};

int64_t cost_of(const ResampleShape& s) {
  return s.out[0] * s.out[1] * (s.out[2] + s.in[2] / 4) + s.in[0] * s.in[1] * s.in[2] / 8;
}

// Twice the width, half-pixel centres, two taps: out[2j] = (in[j-1] + 3 in[j]) / 4 and out[2j+1] = (3 in[j] + in[j+1])
// / 4, so vectors of two neighbours interleave. `row` has one element before it, and edges repeat.
template <class T> bool doubles_width(const ResampleShape& s) {
  return s.mode == Interpolation::Linear && !s.align_corners && !s.antialias && s.out[2] == 2 * s.in[2] &&
         (s.scale[2] <= 0 || s.scale[2] == 2);
}

template <class T> void widen(const T* row, T* y, const Filter<T>& f) {
  if (f.taps == 1) {
    for (int64_t i = 0; i < f.out; ++i) y[i] = row[f.index[i]] * f.weight[i];
  } else if (f.taps == 2) {
    for (int64_t i = 0; i < f.out; ++i)
      y[i] = row[f.index[2 * i]] * f.weight[2 * i] + row[f.index[2 * i + 1]] * f.weight[2 * i + 1];
  } else {
    for (int64_t i = 0; i < f.out; ++i) {
      T sum = 0;
      for (int64_t t = i * f.taps; t < (i + 1) * f.taps; ++t) sum += row[f.index[t]] * f.weight[t];
      y[i] = sum;
    }
  }
}

template <class T> void widen_double(T* row, T* y, int64_t n) {  // row[-1] and row[n] may be written
  row[-1] = row[0];
  row[n] = row[n - 1];
  each_vector<T>(0, n, [&](int64_t j, auto span) FLAMBEAU_LAMBDA {
    Vec<T> middle = load(row + j) * T(0.75), even = middle + load(row + j - 1) * T(0.25),
           odd = middle + load(row + j + 1) * T(0.25);
    VecMask<T> lane = lane_numbers<T>(), low = lane / 2 + (lane & 1) * kSpan<T>, high = low + kSpan<T> / 2;
    Vec<T> a = shuffled(even, odd, low), b = shuffled(even, odd, high);
    if constexpr (sizeof(span) == sizeof(int)) {
      int first = 2 * span.count;
      if (first < kSpan<T>) return store_part(y + 2 * j, a, first);
      store(y + 2 * j, a);
      if (first > kSpan<T>) store_part(y + 2 * j + kSpan<T>, b, first - kSpan<T>);
    } else {
      store(y + 2 * j, a);
      store(y + 2 * j + kSpan<T>, b);
    }
  });
}

template <class T> void forward(const void* xv, void* yv, const ResampleShape& s) {
  auto x = static_cast<const T*>(xv);
  auto y = static_cast<T*>(yv);
  Filters<T> f(s);
  int64_t wide = s.in[2], rows = s.out[0] * s.out[1];
  bool doubled = doubles_width<T>(s);
  parallel_for(s.planes, grain_for(cost_of(s)), [&](int64_t begin, int64_t end) {
    Row<T> scratch(wide);
    T* mixed = scratch.data + kSpan<T>;
    for (int64_t r = begin * rows; r < end * rows; ++r) {
      int64_t p = r / rows, d = r % rows / s.out[1], h = r % s.out[1];
      const T* plane = x + p * s.in[0] * s.in[1] * wide;
      auto row_of = [&](int64_t td, int64_t th) {
        return plane + (f.depth.index[d * f.depth.taps + td] * s.in[1] + f.height.index[h * f.height.taps + th]) * wide;
      };
      const T* source = row_of(0, 0);
      if (f.depth.taps == 1 && f.height.taps == 2) {
        const T* other = row_of(0, 1);
        Vec<T> a = splat(f.height.weight[2 * h]), b = splat(f.height.weight[2 * h + 1]);
        each_vector<T>(0, wide, [&](int64_t i, auto span) FLAMBEAU_LAMBDA {
          span.store(mixed + i, span.load(source + i) * a + span.load(other + i) * b);
        });
        source = mixed;
      } else if (f.depth.taps * f.height.taps > 1 || doubled) {
        for (int64_t td = 0; td < f.depth.taps; ++td)
          for (int64_t th = 0; th < f.height.taps; ++th) {
            const T* from = row_of(td, th);
            Vec<T> w = splat(f.depth.weight[d * f.depth.taps + td] * f.height.weight[h * f.height.taps + th]);
            bool first = td + th == 0;
            each_vector<T>(0, wide, [&](int64_t i, auto span) FLAMBEAU_LAMBDA {
              Vec<T> v = span.load(from + i) * w;
              span.store(mixed + i, first ? v : v + span.load(mixed + i));
            });
          }
        source = mixed;
      }
      T* to = y + r * s.out[2];
      if (doubled)
        widen_double(mixed, to, wide);
      else if (wide == s.out[2] && f.width.taps == 1 && f.width.index[wide - 1] == wide - 1)
        __builtin_memcpy(to, source, wide * sizeof(T));
      else
        widen(source, to, f.width);
    }
  });
}

// The transposed steps: a gradient row is folded along the width, then added to the input rows it came from.
template <class T>
void fold_double(T* g, T* row, int64_t n) {  // g[-1], g[2n] may be written; edges gather what repeats
  T first = g[0], last = g[2 * n - 1];
  g[-1] = g[2 * n] = 0;
  each_vector<T>(0, n, [&](int64_t j, auto span) FLAMBEAU_LAMBDA {
    VecMask<T> even = lane_numbers<T>() * 2;
    const T* at = g + 2 * j;  // row[j] = (g[2j-1] + 3 g[2j] + 3 g[2j+1] + g[2j+2]) / 4
    Vec<T> a = load(at - 1), b = load(at - 1 + kSpan<T>), c = load(at + 1), d = load(at + 1 + kSpan<T>);
    Vec<T> before = shuffled(a, b, even), zero = shuffled(a, b, even + 1);
    Vec<T> one = shuffled(c, d, even), after = shuffled(c, d, even + 1);
    span.store(row + j, (before + after) * T(0.25) + (zero + one) * T(0.75));
  });
  row[0] += first * T(0.25);
  row[n - 1] += last * T(0.25);
}

template <class T> void backward(const void* grad, void* dxv, const ResampleShape& s) {
  auto g = static_cast<const T*>(grad);
  auto dx = static_cast<T*>(dxv);
  Filters<T> f(s);
  int64_t wide = s.in[2], rows = s.out[0] * s.out[1], size = s.in[0] * s.in[1] * wide;
  bool doubled = doubles_width<T>(s);
  parallel_for(s.planes, grain_for(cost_of(s)), [&](int64_t begin, int64_t end) {
    Row<T> folded(wide), copy(doubled ? s.out[2] : 1);
    T* row = folded.data;
    for (int64_t r = begin * rows; r < end * rows; ++r) {
      int64_t p = r / rows, d = r % rows / s.out[1], h = r % s.out[1];
      T* plane = dx + p * size;
      if (r % rows == 0) __builtin_memset(plane, 0, size * sizeof(T));
      const T* from = g + r * s.out[2];
      if (doubled) {
        __builtin_memcpy(copy.data + kSpan<T>, from, s.out[2] * sizeof(T));
        fold_double(copy.data + kSpan<T>, row, wide);
      } else {
        __builtin_memset(row, 0, wide * sizeof(T));
        const Filter<T>& w = f.width;
        for (int64_t i = 0; i < w.out; ++i)
          for (int64_t t = i * w.taps; t < (i + 1) * w.taps; ++t) row[w.index[t]] += from[i] * w.weight[t];
      }
      for (int64_t td = 0; td < f.depth.taps; ++td)
        for (int64_t th = 0; th < f.height.taps; ++th) {
          Vec<T> w = splat(f.depth.weight[d * f.depth.taps + td] * f.height.weight[h * f.height.taps + th]);
          T* to =
              plane + (f.depth.index[d * f.depth.taps + td] * s.in[1] + f.height.index[h * f.height.taps + th]) * wide;
          each_vector<T>(0, wide, [&](int64_t i, auto span) FLAMBEAU_LAMBDA {
            span.store(to + i, span.load(to + i) + span.load(row + i) * w);
          });
        }
    }
  });
}

}  // namespace

const InterpolateKernels kInterpolateKernels = {FLAMBEAU_PAIR(forward), FLAMBEAU_PAIR(backward)};

}  // namespace flambeau::kernels::FLAMBEAU_ISA
