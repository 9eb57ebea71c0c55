// Layer, RMS, group and batch normalisation. Means are taken first and squared deviations from them second; long sums
// run in blocks whose totals are added in float64, so float32 statistics stay accurate for any number of elements.
#include "kernels/cpu/norm.h"
#include "base/allocator.h"
#include "kernels/cpu/lanes.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

// Two sums at once over [0, n): f(i, span, a, b) adds its vectors to a and b.
struct Pair {
  double a, b;
};
template <class T, class F> FLAMBEAU_INLINE Pair sum_pairs(int64_t n, F&& f) {
  constexpr int L = kSpan<T>;
  constexpr int64_t block = 256 * L;
  Pair total = {0, 0};
  for (int64_t begin = 0; begin < n; begin += block) {
    int64_t end = smaller(n, begin + block), i = begin;
    Vec<T> a0 = {}, b0 = {}, a1 = {}, b1 = {}, a2 = {}, b2 = {}, a3 = {}, b3 = {};
    for (; i + 4 * L <= end; i += 4 * L) {
      f(i, Whole<T>{}, a0, b0);
      f(i + L, Whole<T>{}, a1, b1);
      f(i + 2 * L, Whole<T>{}, a2, b2);
      f(i + 3 * L, Whole<T>{}, a3, b3);
    }
    each_vector<T>(i, end, [&](int64_t k, auto span) FLAMBEAU_LAMBDA { f(k, span, a0, b0); });
    total.a += double(sum_lanes<T>((a0 + a1) + (a2 + a3)));
    total.b += double(sum_lanes<T>((b0 + b1) + (b2 + b3)));
  }
  return total;
}
template <class T> double sum_of(const T* x, int64_t n) {
  return sum_pairs<T>(n, [&](int64_t i, auto span, Vec<T>& a, Vec<T>&) FLAMBEAU_LAMBDA { a += span.load(x + i); }).a;
}
template <class T> double squares_around(const T* x, int64_t n, T center) {
  Vec<T> c = splat(center);
  return sum_pairs<T>(n,
                      [&](int64_t i, auto span, Vec<T>& a, Vec<T>&) FLAMBEAU_LAMBDA {
                        Vec<T> d = span.keep(span.load(x + i) - c);
                        a += d * d;
                      })
      .a;
}
// Sums of g and of g * (x - center).
template <class T> Pair gradient_sums(const T* g, const T* x, int64_t n, T center) {
  Vec<T> c = splat(center);
  return sum_pairs<T>(n, [&](int64_t i, auto span, Vec<T>& a, Vec<T>& b) FLAMBEAU_LAMBDA {
    Vec<T> v = span.load(g + i);
    a += v;
    b += v * (span.load(x + i) - c);
  });
}

// y = (x - center) * factor + shift
template <class T> void affine(const T* x, T* y, int64_t n, T center, T factor, T shift) {
  Vec<T> c = splat(center), f = splat(factor), s = splat(shift);
  each_vector<T>(0, n,
                 [&](int64_t i, auto span) FLAMBEAU_LAMBDA { span.store(y + i, (span.load(x + i) - c) * f + s); });
}
// dx = g * factor + (x - center) * slope + shift
template <class T>
void affine_gradient(const T* g, const T* x, T* dx, int64_t n, T center, T factor, T slope, T shift) {
  Vec<T> c = splat(center), f = splat(factor), k = splat(slope), s = splat(shift);
  each_vector<T>(0, n, [&](int64_t i, auto span) FLAMBEAU_LAMBDA {
    span.store(dx + i, span.load(g + i) * f + ((span.load(x + i) - c) * k + s));
  });
}

template <class T> T element(const void* p, int64_t i, T otherwise) {
  return p ? static_cast<const T*>(p)[i] : otherwise;
}
template <class T> T reciprocal_deviation(double variance, double eps) { return T(1 / __builtin_sqrt(variance + eps)); }

// ---- rows: layer norm and RMS norm ----------------------------------------------------------------------------------

template <class T>
void layer_norm(const void* xv, const void* weight, const void* bias, void* yv, void* mean_out, void* rstd_out,
                int64_t rows, int64_t n, double eps) {
  auto x = static_cast<const T*>(xv), w = static_cast<const T*>(weight), b = static_cast<const T*>(bias);
  auto y = static_cast<T*>(yv);
  parallel_for(rows, grain_for(n / 2), [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T* row = x + r * n;
      T* to = y + r * n;
      T mean = T(sum_of(row, n) / double(n)),
        rstd = reciprocal_deviation<T>(squares_around(row, n, mean) / double(n), eps);
      if (mean_out) static_cast<T*>(mean_out)[r] = mean;
      if (rstd_out) static_cast<T*>(rstd_out)[r] = rstd;
      Vec<T> c = splat(mean), f = splat(rstd);
      if (w && b) {
        each_vector<T>(0, n, [&](int64_t i, auto span) FLAMBEAU_LAMBDA {
          span.store(to + i, (span.load(row + i) - c) * f * span.load(w + i) + span.load(b + i));
        });
      } else {
        each_vector<T>(0, n, [&](int64_t i, auto span) FLAMBEAU_LAMBDA {
          Vec<T> v = (span.load(row + i) - c) * f;
          if (w) v *= span.load(w + i);
          if (b) v += span.load(b + i);
          span.store(to + i, v);
        });
      }
    }
  });
}

template <class T>
void rms_norm(const void* xv, const void* weight, void* yv, void* rstd_out, int64_t rows, int64_t n, double eps) {
  auto x = static_cast<const T*>(xv), w = static_cast<const T*>(weight);
  auto y = static_cast<T*>(yv);
  parallel_for(rows, grain_for(n / 2), [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T* row = x + r * n;
      T* to = y + r * n;
      T rstd = reciprocal_deviation<T>(squares_around(row, n, T(0)) / double(n), eps);
      if (rstd_out) static_cast<T*>(rstd_out)[r] = rstd;
      Vec<T> f = splat(rstd);
      each_vector<T>(0, n, [&](int64_t i, auto span) FLAMBEAU_LAMBDA {
        Vec<T> v = span.load(row + i) * f;
        span.store(to + i, w ? v * span.load(w + i) : v);
      });
    }
  });
}

// One pass over n that writes dx of a row (unless null) and adds to the sums for weight and bias (unless null).
template <class T>
FLAMBEAU_INLINE void row_gradient(const T* g, const T* x, const T* w, T* dx, T* dw, T* db, int64_t n, T mean, T rstd,
                                  T slope, T shift) {
  Vec<T> c = splat(mean), f = splat(rstd), k = splat(slope), s = splat(shift);
  each_vector<T>(0, n, [&](int64_t i, auto span) FLAMBEAU_LAMBDA {
    Vec<T> gv = span.load(g + i), hat = (span.load(x + i) - c) * f;
    if (dx) span.store(dx + i, (w ? gv * span.load(w + i) : gv) * f + (hat * k + s));
    if (dw) span.store(dw + i, span.load(dw + i) + gv * hat);
    if (db) span.store(db + i, span.load(db + i) + gv);
  });
}

// Layer norm and, with centered false, RMS norm. Rows are cut into a fixed number of pieces, each with its own sums for
// weight and bias, which are added in order at the end.
template <bool centered, class T>
void rows_backward(const void* grad, const void* xv, const void* weight, const void* mean_in, const void* rstd_in,
                   void* dxv, void* dweight, void* dbias, int64_t rows, int64_t n) {
  auto g = static_cast<const T*>(grad), x = static_cast<const T*>(xv), w = static_cast<const T*>(weight);
  auto mean = static_cast<const T*>(mean_in), rstd = static_cast<const T*>(rstd_in);
  auto dx = static_cast<T*>(dxv);
  int64_t piece = larger(grain_for(n), ceil_div(rows, 32)), pieces = ceil_div(rows, piece);
  int64_t padded = ceil_div(n, kAlignment) * int64_t(kAlignment);
  int sums = (dweight != nullptr) + (dbias != nullptr);
  size_t bytes = larger(1, pieces) * sums * padded * sizeof(T);
  T* partial = sums ? static_cast<T*>(allocate(bytes)) : nullptr;
  parallel_for(rows, piece, [=](int64_t begin, int64_t end) {
    T* mine = sums ? partial + begin / piece * sums * padded : nullptr;
    T *dw = dweight ? mine : nullptr, *db = dbias ? mine + (dweight ? padded : 0) : nullptr;
    if (mine) __builtin_memset(mine, 0, sums * padded * sizeof(T));
    for (int64_t r = begin; r < end; ++r) {
      const T *gr = g + r * n, *xr = x + r * n;
      T m = centered ? mean[r] : T(0), f = rstd[r];
      Pair s = {0, 0};
      if (dx) {
        Vec<T> c = splat(m);
        s = sum_pairs<T>(n, [&](int64_t i, auto span, Vec<T>& a, Vec<T>& b) FLAMBEAU_LAMBDA {
          Vec<T> v = w ? span.load(gr + i) * span.load(w + i) : span.load(gr + i);
          if (centered) a += v;
          b += v * (span.load(xr + i) - c);
        });
      }
      T slope = T(-s.b * double(f) * double(f) / double(n)), shift = T(-s.a * double(f) / double(n));
      T* to = dx ? dx + r * n : nullptr;
      if (w && dx && dw && db)
        row_gradient<T>(gr, xr, w, dx + r * n, dw, db, n, m, f, slope, shift);
      else
        row_gradient<T>(gr, xr, w, to, dw, db, n, m, f, slope, shift);
    }
  });
  for (int k = 0; k < sums; ++k) {
    auto to = static_cast<T*>(k == 0 && dweight ? dweight : dbias);
    parallel_for(n, 16384, [=](int64_t begin, int64_t end) {
      each_vector<T>(begin, end, [&](int64_t i, auto span) FLAMBEAU_LAMBDA {
        Vec<T> sum = {};
        for (int64_t p = 0; p < pieces; ++p) sum += span.load(partial + (p * sums + k) * padded + i);
        span.store(to + i, sum);
      });
    });
  }
  if (partial) deallocate(partial, bytes);
}
template <class T>
void layer_norm_backward(const void* grad, const void* x, const void* weight, const void* mean, const void* rstd,
                         void* dx, void* dweight, void* dbias, int64_t rows, int64_t n) {
  rows_backward<true, T>(grad, x, weight, mean, rstd, dx, dweight, dbias, rows, n);
}
template <class T>
void rms_norm_backward(const void* grad, const void* x, const void* weight, const void* rstd, void* dx, void* dweight,
                       int64_t rows, int64_t n) {
  rows_backward<false, T>(grad, x, weight, nullptr, rstd, dx, dweight, nullptr, rows, n);
}

// ---- group norm -----------------------------------------------------------------------------------------------------

template <class T>
void group_norm(const void* xv, const void* weight, const void* bias, void* yv, void* mean_out, void* rstd_out,
                const ChannelShape& shape, double eps) {
  auto x = static_cast<const T*>(xv);
  auto y = static_cast<T*>(yv);
  int64_t width = shape.channels / shape.groups, inner = shape.inner, n = width * inner, groups = shape.groups;
  parallel_for(shape.batch * groups, grain_for(n / 2), [=](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const T* from = x + t * n;
      T mean = T(sum_of(from, n) / double(n)),
        rstd = reciprocal_deviation<T>(squares_around(from, n, mean) / double(n), eps);
      if (mean_out) static_cast<T*>(mean_out)[t] = mean;
      if (rstd_out) static_cast<T*>(rstd_out)[t] = rstd;
      for (int64_t k = 0, c = t % groups * width; k < width; ++k, ++c)
        affine(from + k * inner, y + t * n + k * inner, inner, mean, rstd * element(weight, c, T(1)),
               element(bias, c, T(0)));
    }
  });
}

template <class T>
void group_norm_backward(const void* grad, const void* xv, const void* weight, const void* mean_in, const void* rstd_in,
                         void* dxv, void* dweight, void* dbias, const ChannelShape& shape) {
  auto g = static_cast<const T*>(grad), x = static_cast<const T*>(xv);
  auto mean = static_cast<const T*>(mean_in), rstd = static_cast<const T*>(rstd_in);
  auto dx = static_cast<T*>(dxv);
  int64_t width = shape.channels / shape.groups, inner = shape.inner, n = width * inner, groups = shape.groups;
  int64_t channels = shape.channels, batch = shape.batch;
  size_t bytes = batch * channels * sizeof(Pair);
  auto sums = static_cast<Pair*>(allocate(bytes));  // per image and channel: of g, and of g * (x - mean)
  parallel_for(batch * groups, grain_for(n), [=](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      int64_t first = t % groups * width;
      Pair all = {0, 0}, *mine = sums + t * width;
      for (int64_t k = 0; k < width; ++k) {
        mine[k] = gradient_sums(g + t * n + k * inner, x + t * n + k * inner, inner, mean[t]);
        double w = double(element(weight, first + k, T(1)));
        all.a += mine[k].a * w;
        all.b += mine[k].b * w;
      }
      if (!dx) continue;
      double f = double(rstd[t]);
      T slope = T(-all.b * f * f * f / double(n)), shift = T(-all.a * f / double(n));
      for (int64_t k = 0; k < width; ++k)
        affine_gradient(g + t * n + k * inner, x + t * n + k * inner, dx + t * n + k * inner, inner, mean[t],
                        rstd[t] * element(weight, first + k, T(1)), slope, shift);
    }
  });
  for (int64_t c = 0; c < channels; ++c) {
    double dw = 0, db = 0;
    for (int64_t b = 0; b < batch; ++b) {
      dw += sums[b * channels + c].b * double(rstd[b * groups + c / width]);
      db += sums[b * channels + c].a;
    }
    if (dweight) static_cast<T*>(dweight)[c] = T(dw);
    if (dbias) static_cast<T*>(dbias)[c] = T(db);
  }
  deallocate(sums, bytes);
}

// ---- batch norm -----------------------------------------------------------------------------------------------------
// One channel is one piece of work while its elements fit the cache. Few large channels are cut along the batch, and
// narrow inner extents (a batch of feature vectors) are walked row-wise with neighbouring channels in the lanes.

constexpr int64_t kPieceElements = 1 << 17;

// Images per piece and pieces per channel.
struct Cut {
  int64_t images, pieces;
};
Cut cut_batch(const ChannelShape& s) {
  int64_t images = larger(1, kPieceElements / larger(1, s.inner));
  return {images, ceil_div(s.batch, images)};
}

// Calls f(channel, piece, first image, last image) for all of them in parallel.
template <class F> void each_piece(const ChannelShape& s, Cut cut, F&& f) {
  int64_t cost = smaller(cut.images, s.batch) * s.inner / 2;
  parallel_for(s.channels * cut.pieces, grain_for(cost), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      int64_t c = t / cut.pieces, p = t % cut.pieces;
      f(c, p, p * cut.images, smaller(s.batch, (p + 1) * cut.images));
    }
  });
}

bool narrow(const ChannelShape& s, int lanes) { return s.inner < lanes && s.inner * s.channels >= 2; }

// Sums over the batch for every column of [batch, columns]: f(offset, column, span, a, b). Rows are cut into pieces.
template <class T, class F> void column_sums(int64_t batch, int64_t columns, Pair* out, F&& f) {
  constexpr int64_t kRows = 256, kWide = 4 * kSpan<T>;
  int64_t pieces = ceil_div(batch, kRows), tiles = ceil_div(columns, kWide);
  size_t bytes = pieces * columns * sizeof(Pair);
  Pair* partial = pieces > 1 ? static_cast<Pair*>(allocate(bytes)) : out;
  parallel_for(pieces * tiles, grain_for(smaller(kRows, batch) * 8), [=](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      int64_t p = t / tiles, left = t % tiles * kWide;
      each_vector<T>(left, smaller(columns, left + kWide), [&](int64_t k, auto span) FLAMBEAU_LAMBDA {
        Vec<T> a = {}, b = {};
        for (int64_t r = p * kRows, last = smaller(batch, r + kRows); r < last; ++r) f(r * columns + k, k, span, a, b);
        for (int64_t i = 0; i < kSpan<T> && k + i < columns; ++i)
          partial[p * columns + k + i] = {double(a[i]), double(b[i])};
      });
    }
  });
  if (pieces == 1) return;
  for (int64_t k = 0; k < columns; ++k) {
    Pair sum = {0, 0};
    for (int64_t p = 0; p < pieces; ++p) {
      sum.a += partial[p * columns + k].a;
      sum.b += partial[p * columns + k].b;
    }
    out[k] = sum;
  }
  deallocate(partial, bytes);
}

// Elementwise over [batch, columns] with per-column vectors: f(offset, column, span).
template <class T, class F> void each_row(int64_t batch, int64_t columns, F&& f) {
  parallel_for(batch, grain_for(columns / 2), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      each_vector<T>(0, columns, [&](int64_t k, auto span) FLAMBEAU_LAMBDA { f(r * columns + k, k, span); });
  });
}

// Scratch of several rows of n elements.
template <class T> struct Scratch {
  Scratch(int64_t count, int64_t n) : bytes(count * n * sizeof(T)), data(static_cast<T*>(allocate(bytes))), n(n) {}
  ~Scratch() { deallocate(data, bytes); }
  T* row(int64_t i) const { return data + i * n; }
  size_t bytes;
  T* data;
  int64_t n;
};

// Folds sums per column (channel times inner) into sums per channel.
void fold(const Pair* columns, Pair* channels, const ChannelShape& s) {
  for (int64_t c = 0; c < s.channels; ++c) {
    Pair sum = {0, 0};
    for (int64_t i = 0; i < s.inner; ++i) {
      sum.a += columns[c * s.inner + i].a;
      sum.b += columns[c * s.inner + i].b;
    }
    channels[c] = sum;
  }
}
template <class T> void spread(const T* channels, T* columns, const ChannelShape& s) {
  for (int64_t c = 0; c < s.channels; ++c)
    for (int64_t i = 0; i < s.inner; ++i) columns[c * s.inner + i] = channels[c];
}

template <class T>
void apply(const T* x, T* y, const T* mean, const T* rstd, const void* weight, const void* bias,
           const ChannelShape& s) {
  if (narrow(s, kSpan<T>)) {
    int64_t columns = s.channels * s.inner;
    Scratch<T> values(3, columns);
    T *center = values.row(0), *factor = values.row(1), *shift = values.row(2);
    for (int64_t c = 0; c < s.channels; ++c)
      for (int64_t i = c * s.inner; i < (c + 1) * s.inner; ++i) {
        center[i] = mean[c];
        factor[i] = rstd[c] * element(weight, c, T(1));
        shift[i] = element(bias, c, T(0));
      }
    each_row<T>(s.batch, columns, [=](int64_t at, int64_t k, auto span) FLAMBEAU_LAMBDA {
      span.store(y + at, (span.load(x + at) - span.load(center + k)) * span.load(factor + k) + span.load(shift + k));
    });
    return;
  }
  parallel_for(s.batch * s.channels, grain_for(s.inner / 2), [=](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      int64_t c = t % s.channels;
      affine(x + t * s.inner, y + t * s.inner, s.inner, mean[c], rstd[c] * element(weight, c, T(1)),
             element(bias, c, T(0)));
    }
  });
}

template <class T>
void batch_norm_train(const void* xv, const void* weight, const void* bias, void* yv, void* mean_out, void* rstd_out,
                      void* running_mean, void* running_var, const ChannelShape& s, double eps, double momentum) {
  auto x = static_cast<const T*>(xv);
  auto y = static_cast<T*>(yv), mean = static_cast<T*>(mean_out), rstd = static_cast<T*>(rstd_out);
  double count = double(s.batch * s.inner);
  auto finish = [=](int64_t c, double squares) {
    rstd[c] = reciprocal_deviation<T>(squares / count, eps);
    if (!running_mean) return;
    T &rm = static_cast<T*>(running_mean)[c], &rv = static_cast<T*>(running_var)[c];
    rm = T(double(rm) * (1 - momentum) + momentum * double(mean[c]));
    rv = T(double(rv) * (1 - momentum) + momentum * squares / (count - 1));
  };
  if (narrow(s, kSpan<T>)) {
    int64_t columns = s.channels * s.inner;
    Scratch<Pair> sums(2, columns);
    Scratch<T> center(1, columns);
    column_sums<T>(s.batch, columns, sums.row(0),
                   [=](int64_t at, int64_t, auto span, Vec<T>& a, Vec<T>&) FLAMBEAU_LAMBDA { a += span.load(x + at); });
    fold(sums.row(0), sums.row(1), s);
    for (int64_t c = 0; c < s.channels; ++c) mean[c] = T(sums.row(1)[c].a / count);
    spread(mean, center.data, s);
    const T* around = center.data;
    column_sums<T>(s.batch, columns, sums.row(0),
                   [=](int64_t at, int64_t k, auto span, Vec<T>& a, Vec<T>&) FLAMBEAU_LAMBDA {
                     Vec<T> d = span.load(x + at) - span.load(around + k);
                     a += d * d;
                   });
    fold(sums.row(0), sums.row(1), s);
    for (int64_t c = 0; c < s.channels; ++c) finish(c, sums.row(1)[c].a);
    return apply(x, y, mean, rstd, weight, bias, s);
  }
  auto slice = [=](int64_t b, int64_t c) { return (b * s.channels + c) * s.inner; };
  Cut cut = cut_batch(s);
  if (cut.pieces == 1) {  // all three passes while the channel is in the cache
    each_piece(s, cut, [&](int64_t c, int64_t, int64_t, int64_t) {
      double sum = 0, squares = 0;
      for (int64_t b = 0; b < s.batch; ++b) sum += sum_of(x + slice(b, c), s.inner);
      mean[c] = T(sum / count);
      for (int64_t b = 0; b < s.batch; ++b) squares += squares_around(x + slice(b, c), s.inner, mean[c]);
      finish(c, squares);
      for (int64_t b = 0; b < s.batch; ++b)
        affine(x + slice(b, c), y + slice(b, c), s.inner, mean[c], rstd[c] * element(weight, c, T(1)),
               element(bias, c, T(0)));
    });
    return;
  }
  Scratch<Pair> moments(s.channels, cut.pieces);  // per piece: its mean, and squares around that mean
  each_piece(s, cut, [&](int64_t c, int64_t p, int64_t first, int64_t last) {
    double sum = 0, squares = 0, n = double((last - first) * s.inner);
    for (int64_t b = first; b < last; ++b) sum += sum_of(x + slice(b, c), s.inner);
    T middle = T(sum / n);
    for (int64_t b = first; b < last; ++b) squares += squares_around(x + slice(b, c), s.inner, middle);
    double off = sum / n - double(middle);
    moments.row(c)[p] = {sum / n, squares - n * off * off};
  });
  for (int64_t c = 0; c < s.channels; ++c) {  // pairwise combination of means and squares (Chan)
    double n = 0, m = 0, squares = 0;
    for (int64_t p = 0; p < cut.pieces; ++p) {
      double k = double((smaller(s.batch, (p + 1) * cut.images) - p * cut.images) * s.inner);
      double d = moments.row(c)[p].a - m;
      squares += moments.row(c)[p].b + d * d * n * k / (n + k);
      m += d * k / (n + k);
      n += k;
    }
    mean[c] = T(m);
    finish(c, squares);
  }
  apply(x, y, mean, rstd, weight, bias, s);
}

template <class T>
void batch_norm_eval(const void* x, const void* weight, const void* bias, const void* running_mean,
                     const void* running_var, void* y, void* rstd_out, const ChannelShape& s, double eps) {
  Scratch<T> own(1, s.channels);
  T* rstd = rstd_out ? static_cast<T*>(rstd_out) : own.data;
  for (int64_t c = 0; c < s.channels; ++c)
    rstd[c] = reciprocal_deviation<T>(double(static_cast<const T*>(running_var)[c]), eps);
  apply(static_cast<const T*>(x), static_cast<T*>(y), static_cast<const T*>(running_mean), rstd, weight, bias, s);
}

template <class T>
void batch_norm_backward(const void* grad, const void* xv, const void* weight, const void* mean_in, const void* rstd_in,
                         void* dxv, void* dweight, void* dbias, const ChannelShape& s, bool train) {
  auto g = static_cast<const T*>(grad), x = static_cast<const T*>(xv);
  auto mean = static_cast<const T*>(mean_in), rstd = static_cast<const T*>(rstd_in);
  auto dx = static_cast<T*>(dxv);
  double count = double(s.batch * s.inner);
  struct Line {
    T factor, slope, shift;
  };
  auto finish = [=](int64_t c, Pair sum) -> Line {
    double f = double(rstd[c]), w = double(element(weight, c, T(1)));
    if (dweight) static_cast<T*>(dweight)[c] = T(sum.b * f);
    if (dbias) static_cast<T*>(dbias)[c] = T(sum.a);
    if (!train) return {T(w * f), T(0), T(0)};
    return {T(w * f), T(-w * f * f * f * sum.b / count), T(-w * f * sum.a / count)};
  };
  if (narrow(s, kSpan<T>)) {
    int64_t columns = s.channels * s.inner;
    Scratch<Pair> sums(2, columns);
    Scratch<T> values(4, columns);
    T *center = values.row(0), *factor = values.row(1), *slope = values.row(2), *shift = values.row(3);
    spread(mean, center, s);
    column_sums<T>(s.batch, columns, sums.row(0),
                   [=](int64_t at, int64_t k, auto span, Vec<T>& a, Vec<T>& b) FLAMBEAU_LAMBDA {
                     Vec<T> v = span.load(g + at);
                     a += v;
                     b += v * (span.load(x + at) - span.load(center + k));
                   });
    fold(sums.row(0), sums.row(1), s);
    for (int64_t c = 0; c < s.channels; ++c) {
      Line line = finish(c, sums.row(1)[c]);
      for (int64_t i = c * s.inner; i < (c + 1) * s.inner; ++i) {
        factor[i] = line.factor;
        slope[i] = line.slope;
        shift[i] = line.shift;
      }
    }
    if (!dx) return;
    each_row<T>(s.batch, columns, [=](int64_t at, int64_t k, auto span) FLAMBEAU_LAMBDA {
      span.store(dx + at,
                 span.load(g + at) * span.load(factor + k) +
                     ((span.load(x + at) - span.load(center + k)) * span.load(slope + k) + span.load(shift + k)));
    });
    return;
  }
  auto slice = [=](int64_t b, int64_t c) { return (b * s.channels + c) * s.inner; };
  auto sum_images = [&](int64_t c, int64_t first, int64_t last) {
    Pair sum = {0, 0};
    for (int64_t b = first; b < last; ++b) {
      Pair part = gradient_sums(g + slice(b, c), x + slice(b, c), s.inner, mean[c]);
      sum.a += part.a;
      sum.b += part.b;
    }
    return sum;
  };
  auto write = [&](int64_t c, int64_t first, int64_t last, Line line) {
    for (int64_t b = first; dx && b < last; ++b)
      affine_gradient(g + slice(b, c), x + slice(b, c), dx + slice(b, c), s.inner, mean[c], line.factor, line.slope,
                      line.shift);
  };
  Cut cut = cut_batch(s);
  if (cut.pieces == 1) {
    each_piece(s, cut, [&](int64_t c, int64_t, int64_t, int64_t) {
      write(c, 0, s.batch, finish(c, sum_images(c, 0, s.batch)));
    });
    return;
  }
  Scratch<Pair> partial(s.channels, cut.pieces);
  Scratch<Line> lines(1, s.channels);
  each_piece(s, cut, [&](int64_t c, int64_t p, int64_t first, int64_t last) {
    partial.row(c)[p] = sum_images(c, first, last);
  });
  for (int64_t c = 0; c < s.channels; ++c) {
    Pair sum = {0, 0};
    for (int64_t p = 0; p < cut.pieces; ++p) {
      sum.a += partial.row(c)[p].a;
      sum.b += partial.row(c)[p].b;
    }
    lines.data[c] = finish(c, sum);
  }
  each_piece(s, cut, [&](int64_t c, int64_t, int64_t first, int64_t last) { write(c, first, last, lines.data[c]); });
}

}  // namespace

const NormKernels kNormKernels = {
    FLAMBEAU_PAIR(layer_norm),        FLAMBEAU_PAIR(layer_norm_backward), FLAMBEAU_PAIR(rms_norm),
    FLAMBEAU_PAIR(rms_norm_backward), FLAMBEAU_PAIR(group_norm),          FLAMBEAU_PAIR(group_norm_backward),
    FLAMBEAU_PAIR(batch_norm_train),  FLAMBEAU_PAIR(batch_norm_eval),     FLAMBEAU_PAIR(batch_norm_backward),
};

}  // namespace flambeau::kernels::FLAMBEAU_ISA
