// Pooling. A window is folded in two steps: whole input rows of its depth and height are combined into one padded row
// (contiguous, so vectors of any instruction set do it), then the row is combined along the width.
#include "kernels/cpu/pool.h"
#include "base/allocator.h"
#include "kernels/cpu/lanes.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

FLAMBEAU_INLINE int64_t volume(const int64_t* extents) { return extents[0] * extents[1] * extents[2]; }

// Taps of window `at` along one dimension that lie inside the input.
struct Taps {
  int64_t first, last, start;  // tap k of [first, last) is at input position start + k * dilation
};
FLAMBEAU_INLINE Taps taps_of(const PoolShape& s, int axis, int64_t at) {
  int64_t start = at * s.stride[axis] - s.padding[axis], d = s.dilation[axis];
  int64_t first = start < 0 ? ceil_div(-start, d) : 0;
  int64_t last = start >= s.in[axis] ? 0 : smaller(s.kernel[axis], (s.in[axis] - 1 - start) / d + 1);
  return {first, larger(first, last), start};
}

// f(plane, output row, depth taps, height taps) for all output rows, planes in parallel; make() gives f for each piece.
template <class Make> void each_output_row(const PoolShape& s, int64_t cost, Make&& make) {
  parallel_for(s.planes, grain_for(cost), [&](int64_t begin, int64_t end) {
    auto f = make();
    for (int64_t p = begin; p < end; ++p)
      for (int64_t d = 0; d < s.out[0]; ++d)
        for (int64_t h = 0; h < s.out[1]; ++h)
          f(p, (p * s.out[0] + d) * s.out[1] + h, taps_of(s, 0, d), taps_of(s, 1, h));
  });
}
int64_t plane_cost(const PoolShape& s) {
  return volume(s.out) * (s.kernel[0] * s.kernel[1] + s.kernel[2]) / 4 + volume(s.in) / 8;
}

// One row with `padding` elements before it and room for whole windows and a vector after it.
template <class T> struct PaddedRow {
  static constexpr int64_t kSlack = kVectorBytes / sizeof(T);
  PaddedRow(const PoolShape& s, T fill)
      : length(larger((s.out[2] - 1 + 2 * kSlack) * s.stride[2] + (s.kernel[2] - 1) * s.dilation[2] + 1,
                      s.padding[2] + s.in[2]) +
               2 * kSlack),
        data(static_cast<T*>(allocate(length * sizeof(T)))) {
    for (int64_t i = 0; i < length; ++i) data[i] = fill;
  }
  ~PaddedRow() { deallocate(data, length * sizeof(T)); }
  PaddedRow(const PaddedRow&) = delete;
  int64_t length;
  T* data;
};

// Lanes p[0], p[stride], p[2 * stride], ...: reads up to kSpan * stride elements.
template <class T, class V> FLAMBEAU_INLINE V load_strided(const T* p, int64_t stride) {
  V a;
  __builtin_memcpy(&a, p, sizeof a);
  if (stride == 1) return a;
  constexpr int L = sizeof(V) / sizeof(T);
  if (stride == 2) {
    V b;
    __builtin_memcpy(&b, p + L, sizeof b);
    VecMask<std::conditional_t<sizeof(T) == 4, float, double>> even;
    for (int i = 0; i < L; ++i) even[i] = 2 * i;
    return shuffled(a, b, even);
  }
  for (int i = 0; i < L; ++i) a[i] = p[i * stride];
  return a;
}

// ---- maximum --------------------------------------------------------------------------------------------------------

// The positions travel in integer lanes as wide as the elements; on equal values the smaller position wins, which is
// the first in reading order, and padding (the largest position) never does.
template <class T> using Position = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;

template <bool with_indices, class T> void max_rows(const T* x, T* y, int64_t* indices, const PoolShape& s) {
  using I = Position<T>;
  constexpr int L = kSpan<T>;
  typedef int64_t Wide __attribute__((vector_size(8 * L)));
  const int64_t width = s.in[2], pad = s.padding[2];
  const I beyond = I(~(uint64_t(1) << (8 * sizeof(I) - 1)));
  each_output_row(s, plane_cost(s), [&] {
    return
        [&, row = PaddedRow<T>(s, -kInfinity<T>), at = PaddedRow<I>(s, beyond)](int64_t p, int64_t r, Taps d, Taps h) {
          const T* plane = x + p * volume(s.in);
          each_vector<T>(0, width, [&](int64_t i, auto span) FLAMBEAU_LAMBDA {
            Vec<T> best = splat(-kInfinity<T>);
            VecMask<T> place = VecMask<T>{} + beyond, lane = lane_numbers<T>() + I(i);
            for (int64_t kd = d.first; kd < d.last; ++kd)
              for (int64_t kh = h.first; kh < h.last; ++kh) {
                int64_t offset = ((d.start + kd * s.dilation[0]) * s.in[1] + h.start + kh * s.dilation[1]) * width;
                Vec<T> v = span.load(plane + offset + i);
                VecMask<T> here = lane + I(offset), better = (v > best) | (v != v) | ((v == best) & (here < place));
                best = better ? v : best;
                if (with_indices) place = better ? here : place;
              }
            span.store(row.data + pad + i, best);
            if (with_indices) span.store((T*)at.data + pad + i, (Vec<T>)place);
          });
          int64_t step = s.stride[2];
          each_vector<T>(0, s.out[2], [&](int64_t i, auto span) FLAMBEAU_LAMBDA {
            Vec<T> best = splat(-kInfinity<T>);
            VecMask<T> place = VecMask<T>{} + beyond;
            for (int64_t k = 0; k < s.kernel[2]; ++k) {
              int64_t from = i * step + k * s.dilation[2];
              auto v = load_strided<T, Vec<T>>(row.data + from, step);
              if (with_indices) {
                auto here = load_strided<I, VecMask<T>>(at.data + from, step);
                VecMask<T> better = (v > best) | (v != v) | ((v == best) & (here < place));
                best = better ? v : best;
                place = better ? here : place;
              } else {
                best = ((v > best) | (v != v)) ? v : best;
              }
            }
            span.store(y + r * s.out[2] + i, best);
            if (with_indices) {
              Wide wide = __builtin_convertvector(place, Wide);
              if constexpr (sizeof(span) == sizeof(int))
                __builtin_memcpy(indices + r * s.out[2] + i, &wide, span.count * 8);
              else
                __builtin_memcpy(indices + r * s.out[2] + i, &wide, sizeof wide);
            }
          });
        };
  });
}

template <class T> void max_pool(const void* x, void* y, int64_t* indices, const PoolShape& s) {
  if (indices)
    max_rows<true>(static_cast<const T*>(x), static_cast<T*>(y), indices, s);
  else
    max_rows<false>(static_cast<const T*>(x), static_cast<T*>(y), indices, s);
}

template <class T>
void max_pool_backward(const void* grad, const int64_t* indices, void* dxv, int64_t planes, int64_t in_size,
                       int64_t out_size) {
  auto g = static_cast<const T*>(grad);
  auto dx = static_cast<T*>(dxv);
  parallel_for(planes, grain_for(in_size / 8 + out_size), [=](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      T* plane = dx + p * in_size;
      __builtin_memset(plane, 0, in_size * sizeof(T));
      for (int64_t i = p * out_size; i < (p + 1) * out_size; ++i)
        if (uint64_t(indices[i]) < uint64_t(in_size)) plane[indices[i]] += g[i];
    }
  });
}

template <class T>
int64_t max_unpool(const void* xv, const int64_t* indices, void* yv, int64_t planes, int64_t in_size,
                   int64_t out_size) {
  auto x = static_cast<const T*>(xv);
  auto y = static_cast<T*>(yv);
  for (int64_t i = 0; i < planes * in_size; ++i)
    if (uint64_t(indices[i]) >= uint64_t(out_size)) return i;
  parallel_for(planes, grain_for(out_size / 8 + in_size), [=](int64_t begin, int64_t end) {
    __builtin_memset(y + begin * out_size, 0, (end - begin) * out_size * sizeof(T));
    for (int64_t p = begin; p < end; ++p)
      for (int64_t i = p * in_size; i < (p + 1) * in_size; ++i) y[p * out_size + indices[i]] = x[i];
  });
  return -1;
}

template <class T>
void max_unpool_backward(const void* grad, const int64_t* indices, void* dxv, int64_t planes, int64_t in_size,
                         int64_t out_size) {
  auto g = static_cast<const T*>(grad);
  auto dx = static_cast<T*>(dxv);
  parallel_for(planes, grain_for(in_size), [=](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p)
      for (int64_t i = p * in_size; i < (p + 1) * in_size; ++i)  // outside is nothing, as in max_pool_backward
        dx[i] = uint64_t(indices[i]) < uint64_t(out_size) ? g[p * out_size + indices[i]] : T(0);
  });
}

// ---- average --------------------------------------------------------------------------------------------------------

// What window `at` counts for along one dimension.
int64_t counted(const PoolShape& s, int axis, int64_t at, bool count_include_pad) {
  int64_t start = at * s.stride[axis] - s.padding[axis];
  int64_t end = smaller(start + s.kernel[axis], s.in[axis] + s.padding[axis]);
  if (count_include_pad) return end - start;
  return larger(0, smaller(end, s.in[axis]) - larger(start, 0));
}

// One over the divisors along the width, and the divisor of depth and height.
template <class T> struct Divisors {
  Divisors(const PoolShape& s, bool include_pad, int64_t divisor)
      : shape(s), include(include_pad), fixed(divisor), bytes((s.out[2] + kSpan<T>)*sizeof(T)) {
    width = static_cast<T*>(allocate(bytes));
    for (int64_t i = 0; i < s.out[2]; ++i) width[i] = fixed ? T(fixed) : T(counted(s, 2, i, include));
  }
  ~Divisors() { deallocate(width, bytes); }
  T of_row(int64_t d, int64_t h) const {
    return fixed ? T(1) : T(counted(shape, 0, d, include) * counted(shape, 1, h, include));
  }
  const PoolShape& shape;
  bool include;
  int64_t fixed;
  size_t bytes;
  T* width;
};

template <class T>
void avg_pool(const void* xv, void* yv, const PoolShape& s, bool count_include_pad, int64_t divisor) {
  auto x = static_cast<const T*>(xv);
  auto y = static_cast<T*>(yv);
  Divisors<T> divisors(s, count_include_pad, divisor);
  const int64_t width = s.in[2], pad = s.padding[2];
  each_output_row(s, plane_cost(s), [&] {
    return [&, row = PaddedRow<T>(s, T(0))](int64_t p, int64_t r, Taps d, Taps h) {
      const T* plane = x + p * volume(s.in);
      each_vector<T>(0, width, [&](int64_t i, auto span) FLAMBEAU_LAMBDA {
        Vec<T> sum = {};
        for (int64_t kd = d.first; kd < d.last; ++kd)
          for (int64_t kh = h.first; kh < h.last; ++kh)
            sum += span.load(plane + ((d.start + kd) * s.in[1] + h.start + kh) * width + i);
        span.store(row.data + pad + i, sum);
      });
      Vec<T> high = splat(divisors.of_row(r / s.out[1] % s.out[0], r % s.out[1]));
      each_vector<T>(0, s.out[2], [&](int64_t i, auto span) FLAMBEAU_LAMBDA {
        Vec<T> sum = {};
        for (int64_t k = 0; k < s.kernel[2]; ++k)
          sum += load_strided<T, Vec<T>>(row.data + i * s.stride[2] + k, s.stride[2]);
        span.store(y + r * s.out[2] + i, sum / (high * span.load(divisors.width + i, T(1))));
      });
    };
  });
}

// to[i] += from[i]
template <class T> FLAMBEAU_INLINE void add_row(T* to, const T* from, int64_t n) {
  each_vector<T>(
      0, n, [&](int64_t i, auto span) FLAMBEAU_LAMBDA { span.store(to + i, span.load(to + i) + span.load(from + i)); });
}

template <class T>
void avg_pool_backward(const void* grad, void* dxv, const PoolShape& s, bool count_include_pad, int64_t divisor) {
  auto g = static_cast<const T*>(grad);
  auto dx = static_cast<T*>(dxv);
  Divisors<T> divisors(s, count_include_pad, divisor);
  const int64_t width = s.in[2], pad = s.padding[2], step = s.stride[2];
  bool pairs = s.kernel[2] == 2 && step == 2;
  each_output_row(s, plane_cost(s), [&] {
    return [&, row = PaddedRow<T>(s, T(0))](int64_t p, int64_t r, Taps d, Taps h) {
      T* plane = dx + p * volume(s.in);
      if (r % (s.out[0] * s.out[1]) == 0) __builtin_memset(plane, 0, volume(s.in) * sizeof(T));
      Vec<T> high = splat(divisors.of_row(r / s.out[1] % s.out[0], r % s.out[1]));
      if (!pairs) __builtin_memset(row.data, 0, row.length * sizeof(T));
      each_vector<T>(0, s.out[2], [&](int64_t i, auto span) FLAMBEAU_LAMBDA {
        Vec<T> v = span.load(g + r * s.out[2] + i) / (high * span.load(divisors.width + i, T(1)));
        if (pairs) {
          VecMask<T> low = lane_numbers<T>() / 2;
          store(row.data + 2 * i, shuffled(v, low));
          store(row.data + 2 * i + kSpan<T>, shuffled(v, low + kSpan<T> / 2));
        } else if (step == 1) {
          v = span.keep(v);
          for (int64_t k = 0; k < s.kernel[2]; ++k) store(row.data + i + k, load(row.data + i + k) + v);
        } else {
          for (int64_t j = 0, last = smaller(kSpan<T>, s.out[2] - i); j < last; ++j)
            for (int64_t k = 0; k < s.kernel[2]; ++k) row.data[(i + j) * step + k] += v[j];
        }
      });
      for (int64_t kd = d.first; kd < d.last; ++kd)
        for (int64_t kh = h.first; kh < h.last; ++kh)
          add_row(plane + ((d.start + kd) * s.in[1] + h.start + kh) * width, row.data + pad,
                  pairs ? smaller(width, 2 * s.out[2] - pad) : width);
    };
  });
}

// ---- adaptive -------------------------------------------------------------------------------------------------------

struct Window {
  int64_t begin, end;
};
FLAMBEAU_INLINE Window window_of(const PoolShape& s, int axis, int64_t at) {
  return {at * s.in[axis] / s.out[axis], ceil_div((at + 1) * s.in[axis], s.out[axis])};
}

// f(plane, position in the flat output plane, three windows)
template <class F> FLAMBEAU_INLINE void each_window(const PoolShape& s, F&& f) {
  parallel_for(s.planes, grain_for(volume(s.in) + 4 * volume(s.out)), [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p)
      for (int64_t d = 0, at = 0; d < s.out[0]; ++d)
        for (int64_t h = 0; h < s.out[1]; ++h)
          for (int64_t w = 0; w < s.out[2]; ++w, ++at)
            f(p, at, window_of(s, 0, d), window_of(s, 1, h), window_of(s, 2, w));
  });
}

template <class T> T sum_row(const T* x, int64_t n) {
  constexpr int L = kSpan<T>;
  Vec<T> a = {}, b = {}, c = {}, d = {};
  int64_t i = 0;
  for (; i + 4 * L <= n; i += 4 * L) {
    a += load(x + i);
    b += load(x + i + L);
    c += load(x + i + 2 * L);
    d += load(x + i + 3 * L);
  }
  each_vector<T>(i, n, [&](int64_t k, auto span) FLAMBEAU_LAMBDA { a += span.load(x + k); });
  return sum_lanes<T>((a + b) + (c + d));
}

template <class T> void adaptive_avg_pool(const void* xv, void* yv, const PoolShape& s) {
  auto x = static_cast<const T*>(xv);
  auto y = static_cast<T*>(yv);
  int64_t size = volume(s.in), count = volume(s.out);
  if (count == 1) {
    parallel_for(s.planes, grain_for(size / 16), [=](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) y[p] = sum_row(x + p * size, size) / T(size);
    });
    return;
  }
  each_window(s, [&](int64_t p, int64_t at, Window d, Window h, Window w) {
    T sum = 0;
    int64_t wide = w.end - w.begin;
    for (int64_t i = d.begin; i < d.end; ++i)
      for (int64_t j = h.begin; j < h.end; ++j) {
        const T* row = x + p * size + (i * s.in[1] + j) * s.in[2] + w.begin;
        if (wide >= kSpan<T>)
          sum += sum_row(row, wide);
        else
          for (int64_t k = 0; k < wide; ++k) sum += row[k];
      }
    y[p * count + at] = sum / T((d.end - d.begin) * (h.end - h.begin) * wide);
  });
}

template <class T> void adaptive_avg_pool_backward(const void* grad, void* dxv, const PoolShape& s) {
  auto g = static_cast<const T*>(grad);
  auto dx = static_cast<T*>(dxv);
  int64_t size = volume(s.in), count = volume(s.out);
  if (count == 1) {
    parallel_for(s.planes, grain_for(size / 16), [=](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        Vec<T> v = splat(g[p] / T(size));
        each_vector<T>(p * size, (p + 1) * size, [&](int64_t i, auto span) FLAMBEAU_LAMBDA { span.store(dx + i, v); });
      }
    });
    return;
  }
  each_window(s, [&](int64_t p, int64_t at, Window d, Window h, Window w) {
    if (at == 0) __builtin_memset(dx + p * size, 0, size * sizeof(T));
    T v = g[p * count + at] / T((d.end - d.begin) * (h.end - h.begin) * (w.end - w.begin));
    for (int64_t i = d.begin; i < d.end; ++i)
      for (int64_t j = h.begin; j < h.end; ++j) {
        T* row = dx + p * size + (i * s.in[1] + j) * s.in[2];
        for (int64_t k = w.begin; k < w.end; ++k) row[k] += v;
      }
  });
}

template <class T> void adaptive_max_pool(const void* xv, void* yv, int64_t* indices, const PoolShape& s) {
  auto x = static_cast<const T*>(xv);
  auto y = static_cast<T*>(yv);
  int64_t size = volume(s.in), count = volume(s.out);
  each_window(s, [&](int64_t p, int64_t at, Window d, Window h, Window w) {
    const T* plane = x + p * size;
    int64_t best = (d.begin * s.in[1] + h.begin) * s.in[2] + w.begin;
    T value = plane[best];
    for (int64_t i = d.begin; i < d.end; ++i)
      for (int64_t j = h.begin; j < h.end; ++j)
        for (int64_t k = w.begin; k < w.end; ++k) {
          int64_t here = (i * s.in[1] + j) * s.in[2] + k;
          if (!(plane[here] > value) && plane[here] == plane[here]) continue;
          value = plane[here];
          best = here;
        }
    y[p * count + at] = value;
    if (indices) indices[p * count + at] = best;
  });
}

}  // namespace

const PoolKernels kPoolKernels = {
    FLAMBEAU_PAIR(max_pool),          FLAMBEAU_PAIR(max_pool_backward), FLAMBEAU_PAIR(avg_pool),
    FLAMBEAU_PAIR(avg_pool_backward), FLAMBEAU_PAIR(adaptive_avg_pool), FLAMBEAU_PAIR(adaptive_avg_pool_backward),
    FLAMBEAU_PAIR(adaptive_max_pool), FLAMBEAU_PAIR(max_unpool),        FLAMBEAU_PAIR(max_unpool_backward),
};

}  // namespace flambeau::kernels::FLAMBEAU_ISA
