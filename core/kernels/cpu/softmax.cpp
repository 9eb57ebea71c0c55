// Softmax, log-softmax, cross entropy and negative log likelihood.
#include "kernels/cpu/softmax.h"

#include <array>

#include "base/allocator.h"
#include "kernels/cpu/lanes_math.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

constexpr int64_t kStreamBytes = 48 << 20;  // outputs above this bypass the cache

template <class T> T log_of(T x) {
  if constexpr (sizeof(T) == 4)
    return __builtin_logf(x);
  else
    return __builtin_log(x);
}
template <class T> T exp_of(T x) {
  if constexpr (sizeof(T) == 4)
    return __builtin_expf(x);
  else
    return __builtin_exp(x);
}

template <class T> T row_max(const T* x, int64_t n) {
  constexpr int L = kSpan<T>;
  Vec<T> a = splat(-kInfinity<T>), b = a, c = a, d = a;
  int64_t i = 0;
  for (; i + 4 * L <= n; i += 4 * L) {
    a = greater_of(load(x + i), a);
    b = greater_of(load(x + i + L), b);
    c = greater_of(load(x + i + 2 * L), c);
    d = greater_of(load(x + i + 3 * L), d);
  }
  each_vector<T>(i, n,
                 [&](int64_t k, auto span) FLAMBEAU_LAMBDA { a = greater_of(span.load(x + k, -kInfinity<T>), a); });
  return max_lanes<T>(greater_of(greater_of(a, b), greater_of(c, d)));
}

// Sum of f over the row's vectors, in blocks so that long rows lose no accuracy.
template <class T, class F> FLAMBEAU_INLINE T row_sum(int64_t n, F&& f) {
  constexpr int64_t block = 64 * kSpan<T>;
  Vec<T> total = {};
  for (int64_t begin = 0; begin < n; begin += block) {
    Vec<T> sum = {};
    each_vector<T>(begin, smaller(n, begin + block), [&](int64_t i, auto span) FLAMBEAU_LAMBDA { sum += f(i, span); });
    total += sum;
  }
  return sum_lanes<T>(total);
}

// Sum of exp(x - max); the exponentials go to y unless it is null.
template <bool keep, class T> T exp_row(const T* x, T* y, int64_t n, T max) {
  Vec<T> shift = splat(max);
  return row_sum<T>(n, [&](int64_t i, auto span) FLAMBEAU_LAMBDA {
    Vec<T> e = exp_nonpositive<T>(span.load(x + i) - shift);
    if constexpr (keep) span.store(y + i, e);
    return span.keep(e);
  });
}

// y[i] = f(i, span), bypassing the cache from the first aligned vector on if told so.
template <class T, class F> FLAMBEAU_INLINE void write_row(T* y, int64_t n, bool stream, F&& f) {
  int64_t i = 0;
  if (stream && n >= 4 * kSpan<T>) {
    int64_t head = int64_t(-uintptr_t(y) & (kVectorBytes - 1)) / int64_t(sizeof(T));
    if (head) {
      Part<T> span{int(head)};
      span.store(y, f(0, span));
    }
    for (i = head; i + kSpan<T> <= n; i += kSpan<T>) store_through(y + i, f(i, Whole<T>{}));
  }
  each_vector<T>(i, n, [&](int64_t k, auto span) FLAMBEAU_LAMBDA { span.store(y + k, f(k, span)); });
}

template <class T> void softmax_rows(const T* x, T* y, int64_t rows, int64_t n) {
  bool stream = x != y && rows * n * int64_t(sizeof(T)) > kStreamBytes;
  parallel_for(rows, grain_for(n), [=](int64_t begin, int64_t end) {
    T* scratch = stream ? static_cast<T*>(allocate(n * sizeof(T))) : nullptr;
    for (int64_t r = begin; r < end; ++r) {
      const T* from = x + r * n;
      T *to = y + r * n, *e = stream ? scratch : to;
      Vec<T> factor = splat(1 / exp_row<true>(from, e, n, row_max(from, n)));
      write_row(to, n, stream, [&](int64_t i, auto span) FLAMBEAU_LAMBDA { return span.load(e + i) * factor; });
    }
    if (stream) {
      fence_stores();
      deallocate(scratch, n * sizeof(T));
    }
  });
}

template <class T> void log_softmax_rows(const T* x, T* y, int64_t rows, int64_t n) {
  bool stream = x != y && rows * n * int64_t(sizeof(T)) > kStreamBytes;
  parallel_for(rows, grain_for(n), [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T* from = x + r * n;
      T max = row_max(from, n);
      Vec<T> shift = splat(max), log_sum = splat(log_of(exp_row<false>(from, static_cast<T*>(nullptr), n, max)));
      write_row(y + r * n, n, stream,
                [&](int64_t i, auto span) FLAMBEAU_LAMBDA { return span.load(from + i) - shift - log_sum; });
    }
    if (stream) fence_stores();
  });
}

// Columns: one vector of neighbouring inner positions at a time, walking the axis with stride `inner`.
enum class Column { Softmax, LogSoftmax, LogSumExp };
template <Column kind, class T, class Span>
FLAMBEAU_INLINE void column(const T* from, T* to, int64_t n, int64_t inner, int lanes, Span span) {
  Vec<T> max = splat(-kInfinity<T>), sum = {};
  for (int64_t i = 0; i < n; ++i) max = greater_of(span.load(from + i * inner), max);
  if (kind == Column::LogSumExp) max = absolute<T>(max) == splat(kInfinity<T>) ? Vec<T>{} : max;
  for (int64_t i = 0; i < n; ++i) {
    Vec<T> e = kind == Column::LogSumExp ? span.load(from + i * inner) - max
                                         : exp_nonpositive<T>(span.load(from + i * inner) - max);
    if (kind == Column::LogSumExp)  // +inf is possible here, and exp_nonpositive does not know it
      e = e > Vec<T>{} ? e : exp_nonpositive<T>(e > Vec<T>{} ? Vec<T>{} : e);
    if (kind == Column::Softmax) span.store(to + i * inner, e);
    sum += e;
  }
  if (kind == Column::Softmax) {
    Vec<T> factor = splat(T(1)) / sum;
    for (int64_t i = 0; i < n; ++i) span.store(to + i * inner, span.load(to + i * inner) * factor);
    return;
  }
  for (int k = 0; k < lanes; ++k) sum[k] = log_of(sum[k]);
  if (kind == Column::LogSumExp) return span.store(to, max + sum);
  for (int64_t i = 0; i < n; ++i) span.store(to + i * inner, span.load(from + i * inner) - max - sum);
}

template <Column kind, class T> void columns(const T* x, T* y, int64_t outer, int64_t n, int64_t inner) {
  int64_t vectors = ceil_div(inner, kSpan<T>);
  parallel_for(outer * vectors, grain_for(3 * n * kSpan<T>), [=](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      int64_t o = task / vectors, at = task % vectors * kSpan<T>, last = smaller(inner, at + kSpan<T>);
      const T* from = x + o * n * inner + at;
      T* to = y + o * (kind == Column::LogSumExp ? 1 : n) * inner + at;
      each_vector<T>(at, last, [&](int64_t i, auto span) FLAMBEAU_LAMBDA {
        column<kind>(from, to, n, inner, int(last - i), span);
      });
    }
  });
}

// Rows of few elements, a row a lane: they are turned into columns on the stack.
constexpr int64_t kFew = 16;

// So few rows that one vector holds all of them; bit for bit what column() makes of each.
template <Column kind, class T> void few_in_one(const T* x, T* y, int64_t rows, int64_t n) {
  const Part<T> span{int(rows * n)};
  constexpr auto kInverse = [] {  // 2^16 / n, rounded up: what division by the few n there are is made of
    std::array<int, kFew + 1> inverse{};
    for (int k = 1; k <= kFew; ++k) inverse[size_t(k)] = (1 << 16) / k + 1;
    return inverse;
  }();
  const VecMask<T> row = lane_numbers<T>() * kInverse[size_t(n)] >> 16, begin = row * int(n);
  const Vec<T> v = span.load(x);
  Vec<T> max = splat(-kInfinity<T>), sum = {};
  for (int i = 0; i < n; ++i) max = greater_of(shuffled(v, begin + i), max);
  const Vec<T> e = exp_nonpositive<T>(v - max);
  for (int i = 0; i < n; ++i) sum += shuffled(e, begin + i);
  if (kind == Column::Softmax) return span.store(y, e * (splat(T(1)) / sum));
  alignas(64) T logs[kSpan<T>];
  store(logs, sum);
  for (int64_t r = 0; r < rows; ++r) logs[r * n] = log_of(logs[r * n]);
  span.store(y, v - max - shuffled(load(logs), begin));
}

template <Column kind, class T> void few_in_a_row(const T* x, T* y, int64_t rows, int64_t n) {
  constexpr int64_t L = kSpan<T>;
  if (rows * n <= L) return few_in_one<kind>(x, y, rows, n);
  parallel_for(ceil_div(rows, L), grain_for(4 * n * L), [=](int64_t begin, int64_t end) {
    alignas(64) T tile[kFew * L] = {};
    for (int64_t task = begin; task < end; ++task) {
      int64_t first = task * L, count = smaller(rows - first, L);
      for (int64_t r = 0; r < count; ++r)
        for (int64_t i = 0; i < n; ++i) tile[i * L + r] = x[(first + r) * n + i];
      column<kind>(tile, tile, n, L, int(count), Whole<T>{});
      for (int64_t r = 0; r < count; ++r)
        for (int64_t i = 0; i < n; ++i) y[(first + r) * n + i] = tile[i * L + r];
    }
  });
}

template <class T> void softmax(const void* x, void* y, int64_t outer, int64_t n, int64_t inner) {
  if (inner == 1 && n <= kFew)
    return few_in_a_row<Column::Softmax>(static_cast<const T*>(x), static_cast<T*>(y), outer, n);
  if (inner == 1) return softmax_rows(static_cast<const T*>(x), static_cast<T*>(y), outer, n);
  columns<Column::Softmax>(static_cast<const T*>(x), static_cast<T*>(y), outer, n, inner);
}

template <class T> void log_softmax(const void* x, void* y, int64_t outer, int64_t n, int64_t inner) {
  if (inner == 1 && n <= kFew)
    return few_in_a_row<Column::LogSoftmax>(static_cast<const T*>(x), static_cast<T*>(y), outer, n);
  if (inner == 1) return log_softmax_rows(static_cast<const T*>(x), static_cast<T*>(y), outer, n);
  columns<Column::LogSoftmax>(static_cast<const T*>(x), static_cast<T*>(y), outer, n, inner);
}

// log(sum(exp(x))) of a row: -inf for an empty or all -inf row, +inf if +inf occurs.
template <class T> T row_logsumexp(const T* x, int64_t n) {
  T max = row_max(x, n);
  if (max == -kInfinity<T>) {  // no number above -inf: only NaN could change the result
    for (int64_t i = 0; i < n; ++i)
      if (x[i] != x[i]) return x[i];
    return max;
  }
  if (max == kInfinity<T>) {
    for (int64_t i = 0; i < n; ++i)
      if (x[i] != x[i]) return x[i];
    return max;
  }
  return max + log_of(exp_row<false>(x, static_cast<T*>(nullptr), n, max));
}

template <class T> void logsumexp(const void* xv, void* out, int64_t outer, int64_t n, int64_t inner) {
  auto x = static_cast<const T*>(xv);
  auto y = static_cast<T*>(out);
  if (inner != 1) return columns<Column::LogSumExp>(x, y, outer, n, inner);
  parallel_for(outer, grain_for(n), [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) y[r] = row_logsumexp(x + r * n, n);
  });
}

// dx = y * (g - sum(g * y)), or for the logarithm g - exp(y) * sum(g).
template <bool logarithm, class T>
void backward(const void* grad, const void* yv, void* dxv, int64_t outer, int64_t n, int64_t inner) {
  auto g = static_cast<const T*>(grad), y = static_cast<const T*>(yv);
  auto dx = static_cast<T*>(dxv);
  if (inner == 1) {
    bool stream = outer * n * int64_t(sizeof(T)) > kStreamBytes;
    parallel_for(outer, grain_for(n), [=](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const T *gr = g + r * n, *yr = y + r * n;
        Vec<T> sum = splat(row_sum<T>(n, [&](int64_t i, auto span) FLAMBEAU_LAMBDA {
          return logarithm ? span.load(gr + i) : span.load(gr + i) * span.load(yr + i);
        }));
        write_row(dx + r * n, n, stream, [&](int64_t i, auto span) FLAMBEAU_LAMBDA {
          if (logarithm) return span.load(gr + i) - exp_nonpositive<T>(span.load(yr + i)) * sum;
          return span.load(yr + i) * (span.load(gr + i) - sum);
        });
      }
      if (stream) fence_stores();
    });
    return;
  }
  int64_t vectors = ceil_div(inner, kSpan<T>);
  parallel_for(outer * vectors, grain_for(3 * n * kSpan<T>), [=](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      int64_t at = task % vectors * kSpan<T>, base = task / vectors * n * inner + at;
      each_vector<T>(at, smaller(inner, at + kSpan<T>), [&](int64_t, auto span) FLAMBEAU_LAMBDA {
        Vec<T> sum = {};
        for (int64_t i = base; i < base + n * inner; i += inner)
          sum += logarithm ? span.load(g + i) : span.load(g + i) * span.load(y + i);
        for (int64_t i = base; i < base + n * inner; i += inner)
          span.store(dx + i, logarithm ? span.load(g + i) - exp_nonpositive<T>(span.load(y + i)) * sum
                                       : span.load(y + i) * (span.load(g + i) - sum));
      });
    }
  });
}
template <class T> void softmax_backward(const void* g, const void* y, void* dx, int64_t o, int64_t n, int64_t i) {
  backward<false, T>(g, y, dx, o, n, i);
}
template <class T> void log_softmax_backward(const void* g, const void* y, void* dx, int64_t o, int64_t n, int64_t i) {
  backward<true, T>(g, y, dx, o, n, i);
}

// ---- losses over class indices --------------------------------------------------------------------------------------

int64_t first_bad_target(const ClassLoss& loss) {
  for (int64_t i = 0, n = loss.outer * loss.inner; i < n; ++i) {
    int64_t t = loss.target[i];
    if (t != loss.ignore_index && (t < 0 || t >= loss.classes)) return i;
  }
  return -1;
}

template <class T> T weight_of(const ClassLoss& loss, int64_t target) {
  return loss.weight ? static_cast<const T*>(loss.weight)[target] : T(1);
}

// Sums the losses per row (unless they are the result) and divides by the weight counted.
template <class T> void reduce(const ClassLoss& loss, const T* losses, T* out, void* total_weight) {
  double sum = 0, weight = 0;
  int64_t n = loss.outer * loss.inner;
  for (int64_t i = 0; i < n; ++i)
    if (loss.target[i] != loss.ignore_index) weight += weight_of<T>(loss, loss.target[i]);
  *static_cast<T*>(total_weight) = T(weight);
  if (loss.reduction == Reduction::None) return;
  for (int64_t i = 0; i < n; ++i) sum += losses[i];
  *out = T(loss.reduction == Reduction::Mean ? sum / weight : sum);
}

template <class T> struct Losses {  // where the losses of rows go: the result itself, or scratch to be summed
  Losses(const ClassLoss& loss, void* out) : bytes(loss.outer * loss.inner * sizeof(T)) {
    owned = loss.reduction != Reduction::None;
    data = static_cast<T*>(owned ? allocate(bytes) : out);
  }
  ~Losses() {
    if (owned) deallocate(data, bytes);
  }
  size_t bytes;
  bool owned;
  T* data;
};

template <class T> int64_t cross_entropy(const ClassLoss& loss, void* lse_out, void* out, void* total_weight) {
  int64_t bad = first_bad_target(loss), n = loss.classes;
  if (bad >= 0) return bad;
  auto x = static_cast<const T*>(loss.input), w = static_cast<const T*>(loss.weight);
  auto lse = static_cast<T*>(lse_out);
  Losses<T> losses(loss, out);
  T smoothing = T(loss.label_smoothing), weight_sum = T(n);
  if (w) weight_sum = row_sum<T>(n, [&](int64_t i, auto span) FLAMBEAU_LAMBDA { return span.load(w + i); });
  parallel_for(loss.outer, grain_for(n), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      int64_t target = loss.target[r];
      const T* row = x + r * n;
      if (target == loss.ignore_index) {
        losses.data[r] = lse[r] = 0;
        continue;
      }
      T max = row_max(row, n), log_sum = log_of(exp_row<false>(row, static_cast<T*>(nullptr), n, max));
      lse[r] = max + log_sum;
      T value = weight_of<T>(loss, target) * (log_sum - (row[target] - max));
      if (smoothing != 0) {  // minus the weighted sum of all log-probabilities, shifted by max against cancellation
        T all = row_sum<T>(n, [&](int64_t i, auto span) FLAMBEAU_LAMBDA {
          Vec<T> d = span.keep(span.load(row + i) - splat(max));
          return w ? d * span.load(w + i) : d;
        });
        value = (1 - smoothing) * value + smoothing / T(n) * (weight_sum * log_sum - all);
      }
      losses.data[r] = value;
    }
  });
  reduce(loss, losses.data, static_cast<T*>(out), total_weight);
  return -1;
}

// d loss / d logit[c] = probability[c] * (all that the row counts) - what class c counts.
template <class T>
void cross_entropy_backward(const ClassLoss& loss, const void* lse_in, const void* total_weight, const void* grad,
                            void* dxv) {
  int64_t n = loss.classes;
  auto x = static_cast<const T*>(loss.input), w = static_cast<const T*>(loss.weight);
  auto lse = static_cast<const T*>(lse_in), g = static_cast<const T*>(grad);
  auto dx = static_cast<T*>(dxv);
  T smoothing = T(loss.label_smoothing), weight_sum = T(n);
  if (w) weight_sum = row_sum<T>(n, [&](int64_t i, auto span) FLAMBEAU_LAMBDA { return span.load(w + i); });
  T common = loss.reduction == Reduction::Mean ? *g / *static_cast<const T*>(total_weight) : *g;
  bool stream = loss.outer * n * int64_t(sizeof(T)) > kStreamBytes;
  parallel_for(loss.outer, grain_for(n), [=, &loss](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      int64_t target = loss.target[r];
      const T* row = x + r * n;
      T* to = dx + r * n;
      if (target == loss.ignore_index) {
        __builtin_memset(to, 0, n * sizeof(T));
        continue;
      }
      T scale = loss.reduction == Reduction::None ? g[r] : common;
      T hit = scale * (1 - smoothing) * weight_of<T>(loss, target), spread = scale * smoothing / T(n);
      Vec<T> all = splat(hit + spread * weight_sum), shift = splat(lse[r]), each = splat(spread);
      auto probability = [&](int64_t i, auto span) FLAMBEAU_LAMBDA {
        Vec<T> d = span.load(row + i) - shift;  // a rounding above zero is zero
        return all * exp_nonpositive<T>(d > Vec<T>{} ? Vec<T>{} : d);
      };
      if (smoothing == 0) {
        write_row(to, n, stream, probability);
      } else {
        write_row(to, n, stream, [&](int64_t i, auto span) FLAMBEAU_LAMBDA {
          Vec<T> p = probability(i, span);
          return w ? p - each * span.load(w + i) : p - each;
        });
      }
      if (stream) fence_stores();  // the target's element is corrected through the cache
      to[target] -= hit;
    }
  });
}

template <class T> int64_t nll_loss(const ClassLoss& loss, void* out, void* total_weight) {
  int64_t bad = first_bad_target(loss), n = loss.outer * loss.inner;
  if (bad >= 0) return bad;
  auto x = static_cast<const T*>(loss.input);
  Losses<T> losses(loss, out);
  parallel_for(n, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t t = loss.target[i], o = i / loss.inner, k = i - o * loss.inner;
      losses.data[i] =
          t == loss.ignore_index ? T(0) : -weight_of<T>(loss, t) * x[(o * loss.classes + t) * loss.inner + k];
    }
  });
  reduce(loss, losses.data, static_cast<T*>(out), total_weight);
  return -1;
}

template <class T>
void nll_loss_backward(const ClassLoss& loss, const void* total_weight, const void* grad, void* dxv) {
  auto g = static_cast<const T*>(grad);
  auto dx = static_cast<T*>(dxv);
  T common = loss.reduction == Reduction::Mean ? *g / *static_cast<const T*>(total_weight) : *g;
  int64_t slice = loss.classes * loss.inner;
  parallel_for(loss.outer, grain_for(slice / 8 + loss.inner), [=, &loss](int64_t begin, int64_t end) {
    __builtin_memset(dx + begin * slice, 0, (end - begin) * slice * sizeof(T));
    for (int64_t o = begin; o < end; ++o)
      for (int64_t k = 0; k < loss.inner; ++k) {
        int64_t i = o * loss.inner + k, t = loss.target[i];
        if (t == loss.ignore_index) continue;
        dx[o * slice + t * loss.inner + k] =
            -weight_of<T>(loss, t) * (loss.reduction == Reduction::None ? g[i] : common);
      }
  });
}

}  // namespace

const SoftmaxKernels kSoftmaxKernels = {
    FLAMBEAU_PAIR(softmax),
    FLAMBEAU_PAIR(log_softmax),
    FLAMBEAU_PAIR(softmax_backward),
    FLAMBEAU_PAIR(log_softmax_backward),
    FLAMBEAU_PAIR(logsumexp),
    FLAMBEAU_PAIR(cross_entropy),
    FLAMBEAU_PAIR(cross_entropy_backward),
    FLAMBEAU_PAIR(nll_loss),
    FLAMBEAU_PAIR(nll_loss_backward),
};

}  // namespace flambeau::kernels::FLAMBEAU_ISA
