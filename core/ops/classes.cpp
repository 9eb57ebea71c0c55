// Softmax and the losses over class numbers.
#include "kernels/cpu/softmax.h"
#include "ops/entries.h"

namespace flambeau {

namespace {

const kernels::SoftmaxKernels& kernel() { return kernels::table<kernels::SoftmaxKernels>(); }

using Along = void (*const (&)[2])(const void*, void*, int64_t, int64_t, int64_t);
void along(Call& c, Along run) {
  const Tensor& t = c.tensor(0);
  DType dtype = c.args[2].dtype_or(t.dtype());
  int dim = wrap_dim(c.args[1].as_int(), t.dim());
  bool plain = t.dtype() == dtype && t.contiguous() && (dtype == DType::Float32 || dtype == DType::Float64);
  Tensor brought = plain ? Tensor() : computable(converted(t, dtype), c.primitive.name);
  const Tensor& x = plain ? t : brought;
  need_data(x);
  Tensor& out = result(c, 0, t.sizes(), dtype);
  if (!out.numel()) return;
  Split3 s = split_at(t.sizes(), dim);
  if (x.dtype() == dtype) return run[wide(x)](x.data(), out.data(), s.outer, s.n, s.inner);
  Tensor y = empty(t.sizes(), x.dtype());
  run[wide(x)](x.data(), y.data(), s.outer, s.n, s.inner);
  copy_into(out, y);
}

using AlongBackward = void (*const (&)[2])(const void*, const void*, void*, int64_t, int64_t, int64_t);
Tensor along_backward(Backward& b, AlongBackward run, const char* name) {
  Tensor g = computable(b.grads[0], name), y = computable(b.results[0], name);
  Tensor dx = empty(y.sizes(), y.dtype());
  Split3 s = split_at(y.sizes(), wrap_dim(b.args[1].as_int(), y.dim()));
  if (dx.numel()) run[wide(y)](g.data(), y.data(), dx.data(), s.outer, s.n, s.inner);
  return converted(dx, b.dtypes[0]);
}

void check_weight(const Value& weight, int64_t classes, DType dtype, const char* name) {
  if (weight.none()) return;
  const Tensor& w = weight.peek();
  if (w.dim() != 1 || w.numel() != classes)
    fail(ErrorKind::Runtime, name, ": weight tensor should be defined either for all ", classes,
         " classes or no classes but got weight tensor of shape: ", text_of(w.sizes()));
  if (w.dtype() != dtype)
    fail(ErrorKind::Runtime, "expected scalar type ", python_name_of(dtype), " but found ", python_name_of(w.dtype()));
}

// Keeps what the kernel's arguments point into.
struct Loss {
  kernels::ClassLoss c;
  Tensor input, target, weight;
};

Loss loss_of(const char* name, const Value& input, const Value& target, const Value& weight, Ints shape,
             int64_t reduction, int64_t ignore, double smoothing, DType dtype) {
  Loss l;
  if (!input.none()) l.input = computable(input.peek(), name);
  DType compute = is_half(dtype) ? DType::Float32 : dtype;
  l.target = contiguous(converted(target.peek(), DType::Int64));
  if (!weight.none()) l.weight = contiguous(converted(weight.peek(), compute));
  l.c.input = l.input ? l.input.data() : nullptr;
  l.c.target = l.target.data_as<int64_t>();
  l.c.weight = l.weight ? l.weight.data() : nullptr;
  l.c.outer = shape[0];
  l.c.classes = shape.size() > 1 ? shape[1] : 1;
  l.c.inner = 1;
  for (size_t i = 2; i < shape.size(); i++) l.c.inner *= shape[i];
  l.c.ignore_index = ignore;
  l.c.label_smoothing = smoothing;
  l.c.reduction = reduction == 0   ? kernels::Reduction::None
                  : reduction == 1 ? kernels::Reduction::Mean
                                   : kernels::Reduction::Sum;
  return l;
}

void check_target(const Loss& l, int64_t bad, const char* name) {
  if (bad < 0) return;
  fail(ErrorKind::Index, "Target ", l.c.target[bad], " is out of bounds.\n", name,
       ": expected class numbers from 0 to ", l.c.classes - 1, " (or ignore_index ", l.c.ignore_index, "); got ",
       l.c.target[bad], " at position ", bad);
}

// The distributions that class numbers (smoothed, weighted) stand for, as a composition: shape (n, classes, ...), zeros
// for ignored numbers.
Tensor distributions(const Backward& b, int64_t ignore, double smoothing) {
  int64_t classes = b.shapes[0][1];
  Dims along(int(b.shapes[0].size()) - 1, 1);
  along[0] = classes;
  Tensor numbers = empty(along, DType::Int64);
  for (int64_t i = 0; i < classes; i++) numbers.data_as<int64_t>()[i] = i;
  Tensor target = ops::unsqueeze(b.args[1], 1), t = ops::cast(ops::eq(target, numbers), b.dtypes[0]);
  if (smoothing) t = ops::add(ops::mul(t, 1 - smoothing), smoothing / double(classes));
  if (!b.args[2].none()) t = ops::mul(t, ops::reshape(b.args[2], along));
  return ops::where(ops::eq(target, ignore), 0, t);
}

}  // namespace

namespace entries {

void softmax(Call& c) { along(c, kernel().softmax); }
void log_softmax(Call& c) { along(c, kernel().log_softmax); }

void class_cross_entropy(Call& c) {
  const Tensor &x = c.tensor(0), &target = c.tensor(1);
  if (x.dim() != 2 || target.dim() != 1 || x.size(0) != target.size(0))
    fail(ErrorKind::Value, "Expected input batch_size (", x.dim() ? x.size(0) : 0, ") to match target batch_size (",
         target.numel(), ").\ncross_entropy: expected scores (rows, classes) and class numbers (rows,); got ",
         describe(x), " and ", describe(target));
  check_weight(c.args[2], x.size(1), x.dtype(), "cross_entropy");
  Loss l = loss_of("cross_entropy", c.args[0], c.args[1], c.args[2], x.sizes(), c.args[3].as_int(), c.args[4].as_int(),
                   c.args[5].as_double(), x.dtype());
  DType compute = l.input.dtype();
  bool none = c.args[3].as_int() == 0;
  Tensor loss = empty(none ? Ints(x.sizes().first(1)) : Ints(), compute);
  c.results[1] = empty(x.sizes().first(1), compute);
  c.results[2] = empty(Ints(), compute);
  check_target(l, kernel().cross_entropy[wide(l.input)](l.c, c.results[1].data(), loss.data(), c.results[2].data()),
               "cross_entropy");
  c.results[0] = converted(loss, x.dtype());
}

void class_nll(Call& c) {
  const Tensor &x = c.tensor(0), &target = c.tensor(1);
  bool fits = x.dim() >= 2 && target.dim() == x.dim() - 1 && !is_floating(target.dtype());
  for (int i = 0; fits && i < target.dim(); i++) fits = target.size(i) == x.size(i ? i + 1 : 0);
  if (!fits)
    fail(ErrorKind::Value, "Expected input batch_size (", x.dim() ? x.size(0) : 0, ") to match target batch_size (",
         target.dim() ? target.size(0) : 0,
         ").\nnll_loss: expected scores (n, classes, ...) and class numbers (n, ...); got ", describe(x), " and ",
         describe(target));
  check_weight(c.args[2], x.size(1), x.dtype(), "nll_loss");
  Loss l = loss_of("nll_loss", c.args[0], c.args[1], c.args[2], x.sizes(), c.args[3].as_int(), c.args[4].as_int(), 0,
                   x.dtype());
  bool none = c.args[3].as_int() == 0;
  Tensor loss = empty(none ? target.sizes() : Ints(), l.input.dtype());
  c.results[1] = empty(Ints(), l.input.dtype());
  check_target(l, kernel().nll_loss[wide(l.input)](l.c, loss.data(), c.results[1].data()), "nll_loss");
  c.results[0] = converted(loss, x.dtype());
}

void nll_loss_nd(Call& c) {
  const Tensor &x = c.tensor(0), &target = c.tensor(1);
  if (x.dim() < 1) fail(ErrorKind::Value, "Expected 1 or more dimensions (got 0)");
  if (is_floating(target.dtype()))
    fail(ErrorKind::Runtime, "expected scalar type Long but found ", python_name_of(target.dtype()));
  if (x.dim() != 1 && x.size(0) != target.size(0))
    fail(ErrorKind::Value, "Expected input batch_size (", x.size(0), ") to match target batch_size (", target.size(0),
         ").\nnll_loss: got input ", describe(x), " and target ", describe(target));
  Tensor input = x.dim() == 1 ? ops::unsqueeze(x, 0) : x,
         classes = x.dim() == 1 ? ops::reshape(target, Dims{1}) : target;
  bool fits = classes.dim() == input.dim() - 1;
  for (int i = 1; fits && i < classes.dim(); i++) fits = classes.size(i) == input.size(i + 1);
  if (!fits)
    fail(ErrorKind::Runtime, "size mismatch (got input: ", text_of(x.sizes()), ", target: ", text_of(target.sizes()),
         ")\nnll_loss: expected target ", "of the input's shape without its class dimension; got ", describe(x),
         " and ", describe(target));
  Tensor loss = ops::class_nll(input, classes, c.args[2], c.args[3], c.args[4])[0];
  c.results[0] = x.dim() == 1 ? ops::reshape(loss, Ints()) : loss;
}

void cross_entropy_loss(Call& c) {
  const Tensor &x = c.tensor(0), &target = c.tensor(1);
  int64_t reduction = c.args[3].as_int();
  double smoothing = c.args[5].as_double();
  if (smoothing < 0 || smoothing > 1)
    fail(ErrorKind::Runtime, "label_smoothing must be between 0.0 and 1.0. Got: ", smoothing);
  int class_dim = x.dim() == 1 ? 0 : 1;
  if (is_floating(target.dtype())) {  // probabilities
    if (target.dim() == x.dim() - 1)
      fail(ErrorKind::Runtime, "expected scalar type Long but found ", python_name_of(target.dtype()),
           "\ncross_entropy: expected class numbers (int64), or probabilities of the input's shape ",
           shape_text(x.sizes()), "; got ", describe(target), "\nhint: class numbers are made by target.long()");
    if (!equal(x.sizes(), target.sizes()))
      fail(ErrorKind::Runtime, "size mismatch (got input: ", text_of(x.sizes()), ", target: ", text_of(target.sizes()),
           ")");
    int64_t classes = x.dim() ? x.size(class_dim) : 1;
    Tensor p = target;
    if (smoothing > 0) p = ops::add(ops::mul(p, 1 - smoothing), smoothing / double(classes));
    Tensor loss = ops::mul(ops::log_softmax(x, class_dim), p);
    if (!c.args[2].none()) {
      Dims shape(x.dim(), 1);
      shape[class_dim] = classes;
      loss = ops::mul(loss, ops::reshape(c.args[2], shape));
    }
    loss = ops::neg(ops::sum(loss, Dims{class_dim}));
    int64_t count = classes ? x.numel() / classes : 0;
    c.results[0] = reduction == 0   ? loss
                   : reduction == 1 ? ops::div(ops::sum(loss), double(x.dim() == 1 ? 1 : count))
                                    : ops::sum(loss);
    return;
  }
  if (x.dim() == 1 && target.dim() > 1)
    fail(ErrorKind::Runtime, "size mismatch (got input: ", text_of(x.sizes()), ", target: ", text_of(target.sizes()),
         ")");
  if (x.dim() > 1 && (target.dim() == 0 || x.size(0) != target.size(0)))
    fail(ErrorKind::Value, "Expected input batch_size (", x.size(0), ") to match target batch_size (",
         target.dim() ? target.size(0) : 0,
         ").\ncross_entropy: expected scores (n, classes, ...) and class numbers (n, ...); got ", describe(x), " and ",
         describe(target));
  bool fits = x.dim() == 1 || target.dim() == x.dim() - 1;
  for (int i = 1; fits && i < target.dim(); i++) fits = target.size(i) == x.size(i + 1);
  if (!fits)
    fail(ErrorKind::Runtime, "Expected floating point type for target with class probabilities, got ",
         python_name_of(target.dtype()),
         "\ncross_entropy: expected class numbers of the input's shape without its class dimension; got ", describe(x),
         " and ", describe(target));
  Tensor rows = x.dim() == 1 ? ops::unsqueeze(x, 0) : x;
  if (x.dim() > 2) {
    Dims order{0};
    for (int i = 2; i < x.dim(); i++) order.push_back(i);
    order.push_back(1);
    rows = ops::reshape(ops::permute(x, order), Dims{-1, x.size(1)});
    if (!x.numel()) rows = ops::reshape(rows, Dims{target.numel(), x.size(1)});
  }
  Tensor loss = ops::class_cross_entropy(rows, target.dim() == 1 ? target : ops::reshape(target, Dims{target.numel()}),
                                         c.args[2], reduction, c.args[4], smoothing)[0];
  c.results[0] = reduction == 0 && loss.dim() != target.dim() ? ops::reshape(loss, target.sizes()) : loss;
}

}  // namespace entries

namespace vjps {

void softmax(Backward& b) {
  const Tensor& y = b.results[0];
  if (!b.differentiable) {
    b.out[0] = along_backward(b, kernel().softmax_backward, "softmax");
    return;
  }
  Tensor gy = ops::mul(b.grads[0], y);
  Dims dim{b.args[1].as_int()};
  b.out[0] = ops::cast(ops::sub(gy, ops::mul(y, ops::sum(gy, dim, true))), b.dtypes[0]);
}

void log_softmax(Backward& b) {
  if (!b.differentiable) {
    b.out[0] = along_backward(b, kernel().log_softmax_backward, "log_softmax");
    return;
  }
  const Tensor& g = b.grads[0];
  Dims dim{b.args[1].as_int()};
  b.out[0] = ops::cast(ops::sub(g, ops::mul(ops::exp(b.results[0]), ops::sum(g, dim, true))), b.dtypes[0]);
}

void class_cross_entropy(Backward& b) {
  const Tensor& g = b.grads[0];
  if (!g || !b.needed(0)) return;
  const Tensor& x = b.args[0].peek();
  if (!b.differentiable) {
    Loss l = loss_of("cross_entropy", b.args[0], b.args[1], b.args[2], x.sizes(), b.args[3].as_int(),
                     b.args[4].as_int(), b.args[5].as_double(), x.dtype());
    Tensor grad = computable(g, "cross_entropy"), dx = empty(x.sizes(), l.input.dtype());
    kernel().cross_entropy_backward[wide(l.input)](l.c, b.results[1].data(), b.results[2].data(), grad.data(),
                                                   dx.data());
    b.out[0] = converted(dx, x.dtype());
    return;
  }
  Tensor t = distributions(b, b.args[4].as_int(), b.args[5].as_double()), scale = g;
  if (b.args[3].as_int() == 1) scale = ops::div(scale, ops::cast(b.results[2], x.dtype()));
  if (b.args[3].as_int() == 0) scale = ops::unsqueeze(scale, 1);
  Tensor rows = ops::sum(t, Dims{1}, true);
  b.out[0] = ops::mul(scale, ops::sub(ops::mul(ops::softmax(b.args[0], 1), rows), t));
}

void class_nll(Backward& b) {
  const Tensor& g = b.grads[0];
  if (!g || !b.needed(0)) return;
  if (!b.differentiable) {
    Loss l = loss_of("nll_loss", Value(), b.args[1], b.args[2], b.shapes[0], b.args[3].as_int(), b.args[4].as_int(), 0,
                     b.dtypes[0]);
    Tensor grad = computable(g, "nll_loss"), dx = empty(b.shapes[0], grad.dtype());
    kernel().nll_loss_backward[wide(grad)](l.c, b.results[1].data(), grad.data(), dx.data());
    b.out[0] = converted(dx, b.dtypes[0]);
    return;
  }
  Tensor scale = g;
  if (b.args[3].as_int() == 1) scale = ops::div(scale, ops::cast(b.results[1], g.dtype()));
  if (b.args[3].as_int() == 0) scale = ops::unsqueeze(scale, 1);
  b.out[0] = ops::neg(ops::mul(distributions(b, b.args[4].as_int(), 0), scale));
}

}  // namespace vjps

}  // namespace flambeau
