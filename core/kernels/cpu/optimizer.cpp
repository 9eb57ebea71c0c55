// Optimizer update rules, each one pass over value, gradient and state. The tensors of a list are laid end to end in
// one imagined array which is cut into pieces of fixed size, so many small tensors and few large ones are shared out
// alike.
#include "kernels/cpu/optimizer.h"
#include "base/allocator.h"
#include "kernels/cpu/lanes.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

constexpr int64_t kPiece = 1 << 15, kUnit = 64;  // tensors start at multiples of kUnit in the imagined array

FLAMBEAU_INLINE int64_t room_of(const Parameter& p) { return (p.size + kUnit - 1) & -kUnit; }
int64_t total_room(const Parameter* list, int64_t count) {
  int64_t total = 0;
  for (int64_t i = 0; i < count; ++i) total += room_of(list[i]);
  return total;
}

// make() gives a fresh worker for each piece; worker(piece, tensor, begin, end) is called for the tensors in it.
template <class Make>
FLAMBEAU_INLINE void each_segment(const Parameter* list, int64_t count, int64_t total, Make&& make) {
  if (total <= kPiece) {
    auto worker = make();
    for (int64_t i = 0; i < count; ++i)
      if (list[i].size) worker(0, i, 0, list[i].size);
    return;
  }
  size_t bytes = (count + 1) * sizeof(int64_t);
  auto starts = static_cast<int64_t*>(allocate(bytes));
  starts[0] = 0;
  for (int64_t i = 0; i < count; ++i) starts[i + 1] = starts[i] + room_of(list[i]);
  parallel_for(total, kPiece, [&](int64_t begin, int64_t end) {
    int64_t low = 0, high = count - 1;  // the last tensor that starts at or before `begin`
    while (low < high) {
      int64_t middle = (low + high + 1) / 2;
      if (starts[middle] <= begin)
        low = middle;
      else
        high = middle - 1;
    }
    auto worker = make();
    for (int64_t i = low; i < count && starts[i] < end; ++i) {
      int64_t from = larger(begin - starts[i], 0), to = smaller(end - starts[i], list[i].size);
      if (from < to) worker(begin / kPiece, i, from, to);
    }
  });
  deallocate(starts, bytes);
}

// The lanes of one position: rules change value and states in place.
template <class T> struct Position { Vec<T> value, grad, a, b, c; };

// rule(lanes, which states there are): a rule of optimizers below.
template <class T, class Rule> void update(const Parameter& p, int64_t begin, int64_t end, const Rule& rule) {
  auto value = static_cast<T*>(p.value);
  auto grad = static_cast<const T*>(p.grad);
  auto a = static_cast<T*>(p.state[0]), b = static_cast<T*>(p.state[1]), c = static_cast<T*>(p.state[2]);
  each_vector<T>(begin, end, [&](int64_t i, auto span) FLAMBEAU_LAMBDA {
    Position<T> x = {span.load(value + i), span.load(grad + i)};
    if (a) x.a = span.load(a + i);
    if (b) x.b = span.load(b + i);
    if (c) x.c = span.load(c + i);
    rule(x);
    span.store(value + i, x.value);
    if (a) span.store(a + i, x.a);
    if (b) span.store(b + i, x.b);
    if (c) span.store(c + i, x.c);
  });
}

// Rule::begin(parameter) sets what depends on the step; it is called once per tensor and piece.
template <class T, class Rule, class Options> void run(Parameter* list, int64_t count, const Options& options) {
  each_segment(list, count, total_room(list, count), [&] {
    return [list, rule = Rule(options)](int64_t, int64_t i, int64_t begin, int64_t end) mutable {
      rule.begin(list[i]);
      update<T>(list[i], begin, end, rule);
    };
  });
}

// Gradient with sign and coupled weight decay.
template <class T> struct Decay {
  T weight;
  bool maximize;
  template <class Options> explicit Decay(const Options& o) : weight(T(o.weight_decay)), maximize(o.maximize) {}
  FLAMBEAU_INLINE Vec<T> operator()(const Position<T>& x, bool decoupled = false) const {
    Vec<T> g = maximize ? -x.grad : x.grad;
    return weight != 0 && !decoupled ? g + x.value * weight : g;
  }
};

// beta1^step and beta2^step, computed again only when the step differs from the tensor before.
struct Corrections {
  int64_t step = -1;
  double first = 0, second = 0;  // 1 - beta^step
  void at(int64_t now, double beta1, double beta2) {
    if (now == step) return;
    step = now;
    first = 1 - __builtin_pow(beta1, double(now));
    second = 1 - __builtin_pow(beta2, double(now));
  }
};

template <class T> struct Sgd {
  explicit Sgd(const SgdOptions& o)
      : options(o), decay(o), lr(T(o.lr)), momentum(T(o.momentum)), fresh(T(1 - o.dampening)) {}
  void begin(const Parameter& p) { buffered = p.state[0] != nullptr, first = p.step == 1; }
  FLAMBEAU_INLINE void operator()(Position<T>& x) const {
    Vec<T> g = decay(x);
    if (buffered) {
      x.a = first ? g : x.a * momentum + g * fresh;
      g = options.nesterov ? g + x.a * momentum : x.a;
    }
    x.value -= g * lr;
  }
  SgdOptions options;
  Decay<T> decay;
  T lr, momentum, fresh;
  bool buffered = false, first = false;
};

template <class T> struct Adam {
  explicit Adam(const AdamOptions& o)
      : options(o),
        decay(o),
        keep1(T(1 - o.beta1)),
        beta2(T(o.beta2)),
        keep2(T(1 - o.beta2)),
        eps(T(o.eps)),
        shrink(T(o.decoupled ? 1 - o.lr * o.weight_decay : 1)) {}
  void begin(const Parameter& p) {
    corrections.at(p.step, options.beta1, options.beta2);
    rate = T(options.lr / corrections.first);
    scale = T(1 / __builtin_sqrt(corrections.second));
  }
  FLAMBEAU_INLINE void operator()(Position<T>& x) const {
    Vec<T> g = decay(x, options.decoupled);
    x.a = x.a + (g - x.a) * keep1;
    x.b = x.b * beta2 + g * g * keep2;
    Vec<T> v = x.b;
    if (options.amsgrad) v = x.c = greater_of(x.c, x.b);
    x.value = x.value * shrink - x.a * rate / (square_root<T>(v) * scale + eps);
  }
  AdamOptions options;
  Decay<T> decay;
  Corrections corrections;
  T keep1, beta2, keep2, eps, shrink, rate = 0, scale = 0;
};

template <class T> struct Rmsprop {
  explicit Rmsprop(const RmspropOptions& o)
      : options(o),
        decay(o),
        lr(T(o.lr)),
        alpha(T(o.alpha)),
        keep(T(1 - o.alpha)),
        eps(T(o.eps)),
        momentum(T(o.momentum)) {}
  void begin(const Parameter&) {}
  FLAMBEAU_INLINE void operator()(Position<T>& x) const {
    Vec<T> g = decay(x), spread;
    x.a = x.a * alpha + g * g * keep;
    spread = x.a;
    if (options.centered) {
      x.b = x.b + (g - x.b) * keep;
      spread = x.a - x.b * x.b;
    }
    Vec<T> change = g / (square_root<T>(spread) + eps);
    if (momentum > 0) change = x.c = x.c * momentum + change;
    x.value -= change * lr;
  }
  RmspropOptions options;
  Decay<T> decay;
  T lr, alpha, keep, eps, momentum;
};

template <class T> struct Adagrad {
  explicit Adagrad(const AdagradOptions& o) : options(o), decay(o), eps(T(o.eps)) {}
  void begin(const Parameter& p) { rate = T(options.lr / (1 + double(p.step - 1) * options.lr_decay)); }
  FLAMBEAU_INLINE void operator()(Position<T>& x) const {
    Vec<T> g = decay(x);
    x.a += g * g;
    x.value -= g * rate / (square_root<T>(x.a) + eps);
  }
  AdagradOptions options;
  Decay<T> decay;
  T eps, rate = 0;
};

template <class T> struct Adadelta {
  explicit Adadelta(const AdadeltaOptions& o)
      : decay(o), lr(T(o.lr)), rho(T(o.rho)), keep(T(1 - o.rho)), eps(T(o.eps)) {}
  void begin(const Parameter&) {}
  FLAMBEAU_INLINE void operator()(Position<T>& x) const {
    Vec<T> g = decay(x);
    x.a = x.a * rho + g * g * keep;
    Vec<T> change = square_root<T>(x.b + eps) / square_root<T>(x.a + eps) * g;
    x.b = x.b * rho + change * change * keep;
    x.value -= change * lr;
  }
  Decay<T> decay;
  T lr, rho, keep, eps;
};

template <class T> struct Adamax {
  explicit Adamax(const AdamaxOptions& o)
      : options(o), decay(o), keep1(T(1 - o.beta1)), beta2(T(o.beta2)), eps(T(o.eps)) {}
  void begin(const Parameter& p) {
    corrections.at(p.step, options.beta1, options.beta2);
    rate = T(options.lr / corrections.first);
  }
  FLAMBEAU_INLINE void operator()(Position<T>& x) const {
    Vec<T> g = decay(x);
    x.a = x.a + (g - x.a) * keep1;
    x.b = greater_of(absolute<T>(g) + eps, x.b * beta2);
    x.value -= x.a * rate / x.b;
  }
  AdamaxOptions options;
  Decay<T> decay;
  Corrections corrections;
  T keep1, beta2, eps, rate = 0;
};

double nadam_momentum(const NadamOptions& o, int64_t step) {
  return o.beta1 * (1 - 0.5 * __builtin_pow(0.96, double(step) * o.momentum_decay));
}

template <class T> struct Nadam {
  explicit Nadam(const NadamOptions& o)
      : options(o),
        decay(o),
        keep1(T(1 - o.beta1)),
        beta2(T(o.beta2)),
        keep2(T(1 - o.beta2)),
        eps(T(o.eps)),
        shrink(T(o.decoupled ? 1 - o.lr * o.weight_decay : 1)) {}
  void begin(const Parameter& p) {  // p.extra holds the product including this step already
    corrections.at(p.step, options.beta1, options.beta2);
    double now = nadam_momentum(options, p.step), next = nadam_momentum(options, p.step + 1);
    grad_rate = T(options.lr * (1 - now) / (1 - p.extra));
    moment_rate = T(options.lr * next / (1 - p.extra * next));
    scale = T(1 / __builtin_sqrt(corrections.second));
  }
  FLAMBEAU_INLINE void operator()(Position<T>& x) const {
    Vec<T> g = decay(x, options.decoupled);
    x.a = x.a + (g - x.a) * keep1;
    x.b = x.b * beta2 + g * g * keep2;
    Vec<T> bottom = square_root<T>(x.b) * scale + eps;
    x.value = x.value * shrink - (g * grad_rate + x.a * moment_rate) / bottom;
  }
  NadamOptions options;
  Decay<T> decay;
  Corrections corrections;
  T keep1, beta2, keep2, eps, shrink, grad_rate = 0, moment_rate = 0, scale = 0;
};

template <class T> struct Radam {
  explicit Radam(const RadamOptions& o)
      : options(o),
        decay(o),
        keep1(T(1 - o.beta1)),
        beta2(T(o.beta2)),
        keep2(T(1 - o.beta2)),
        eps(T(o.eps)),
        shrink(T(o.decoupled ? 1 - o.lr * o.weight_decay : 1)) {}
  void begin(const Parameter& p) {
    corrections.at(p.step, options.beta1, options.beta2);
    double limit = 2 / (1 - options.beta2) - 1;
    double length = limit - 2 * double(p.step) * (1 - corrections.second) / corrections.second;
    adaptive = length > 5;  // before that the variance of the second moment is not tractable: plain momentum
    double rectified = adaptive ? __builtin_sqrt((length - 4) * (length - 2) * limit /
                                                 ((limit - 4) * (limit - 2) * length) * corrections.second)
                                : 1;
    rate = T(options.lr / corrections.first * rectified);
  }
  FLAMBEAU_INLINE void operator()(Position<T>& x) const {
    Vec<T> g = decay(x, options.decoupled);
    x.a = x.a + (g - x.a) * keep1;
    x.b = x.b * beta2 + g * g * keep2;
    Vec<T> change = x.a * rate;
    if (adaptive) change /= square_root<T>(x.b) + eps;
    x.value = x.value * shrink - change;
  }
  RadamOptions options;
  Decay<T> decay;
  Corrections corrections;
  T keep1, beta2, keep2, eps, shrink, rate = 0;
  bool adaptive = false;
};

template <class T> void sgd(Parameter* list, int64_t count, const SgdOptions& o) { run<T, Sgd<T>>(list, count, o); }
template <class T> void adam(Parameter* list, int64_t count, const AdamOptions& o) { run<T, Adam<T>>(list, count, o); }
template <class T> void rmsprop(Parameter* list, int64_t count, const RmspropOptions& o) {
  run<T, Rmsprop<T>>(list, count, o);
}
template <class T> void adagrad(Parameter* list, int64_t count, const AdagradOptions& o) {
  run<T, Adagrad<T>>(list, count, o);
}
template <class T> void adadelta(Parameter* list, int64_t count, const AdadeltaOptions& o) {
  run<T, Adadelta<T>>(list, count, o);
}
template <class T> void adamax(Parameter* list, int64_t count, const AdamaxOptions& o) {
  run<T, Adamax<T>>(list, count, o);
}
template <class T> void nadam(Parameter* list, int64_t count, const NadamOptions& o) {
  for (int64_t i = 0; i < count; ++i) {
    const double factor = nadam_momentum(o, list[i].step);
    list[i].extra = list[i].extra_single ? double(float(list[i].extra) * float(factor)) : list[i].extra * factor;
  }
  run<T, Nadam<T>>(list, count, o);
}
template <class T> void radam(Parameter* list, int64_t count, const RadamOptions& o) {
  run<T, Radam<T>>(list, count, o);
}

template <class T> double squares(const T* x, int64_t begin, int64_t end) {
  constexpr int L = kSpan<T>;
  double total = 0;
  for (int64_t start = begin; start < end; start += 1024 * L) {
    int64_t stop = smaller(end, start + 1024 * L), i = start;
    Vec<T> a = {}, b = {}, c = {}, d = {};
    for (; i + 4 * L <= stop; i += 4 * L) {
      Vec<T> p = load(x + i), q = load(x + i + L), r = load(x + i + 2 * L), s = load(x + i + 3 * L);
      a += p * p;
      b += q * q;
      c += r * r;
      d += s * s;
    }
    each_vector<T>(i, stop, [&](int64_t k, auto span) FLAMBEAU_LAMBDA {
      Vec<T> v = span.load(x + k);
      a += v * v;
    });
    total += double(sum_lanes<T>((a + b) + (c + d)));
  }
  return total;
}

template <class T> double sum_of_squares(const Parameter* list, int64_t count) {
  int64_t total = total_room(list, count), pieces = larger(1, ceil_div(total, kPiece));
  double single = 0, *partial = pieces > 1 ? static_cast<double*>(allocate(pieces * sizeof(double))) : &single, sum = 0;
  for (int64_t i = 0; i < pieces; ++i) partial[i] = 0;
  each_segment(list, count, total, [=] {
    return [=](int64_t piece, int64_t i, int64_t begin, int64_t end) {
      partial[piece] += squares(static_cast<const T*>(list[i].grad), begin, end);
    };
  });
  for (int64_t i = 0; i < pieces; ++i) sum += partial[i];
  if (pieces > 1) deallocate(partial, pieces * sizeof(double));
  return sum;
}

template <class T> void scale_gradients(const Parameter* list, int64_t count, double factor) {
  each_segment(list, count, total_room(list, count), [=] {
    return [=](int64_t, int64_t i, int64_t begin, int64_t end) {
      T* g = static_cast<T*>(const_cast<void*>(list[i].grad));
      each_vector<T>(begin, end,
                     [&](int64_t k, auto span) FLAMBEAU_LAMBDA { span.store(g + k, span.load(g + k) * T(factor)); });
    };
  });
}

}  // namespace

const OptimizerKernels kOptimizerKernels = {
    FLAMBEAU_PAIR(sgd),
    FLAMBEAU_PAIR(adam),
    FLAMBEAU_PAIR(rmsprop),
    FLAMBEAU_PAIR(adagrad),
    FLAMBEAU_PAIR(adadelta),
    FLAMBEAU_PAIR(adamax),
    FLAMBEAU_PAIR(nadam),
    FLAMBEAU_PAIR(radam),
    FLAMBEAU_PAIR(sum_of_squares),
    FLAMBEAU_PAIR(scale_gradients),
};

}  // namespace flambeau::kernels::FLAMBEAU_ISA
