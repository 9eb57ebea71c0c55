// Draws into tensors of any strides, samples, and dropout.
#include "kernels/cpu/dropout.h"
#include "ops/entries.h"
#include "ops/random_fill.h"

namespace flambeau {

namespace {

Generator& generator_of(const Value& v) { return v.none() ? default_generator() : *v.generator; }

// Calls draw(memory) for contiguous memory that becomes the result: the target's own where it is in order.
template <class Draw>
void into(Call& c, Draw draw) {
  const Tensor& t = c.tensor(0);
  Tensor out = c.in_place ? c.results[0] : empty(t.sizes(), t.dtype());
  Tensor flat = out;
  if (!out.contiguous()) {
    // Dense memory is filled in its own order, anything else in the order of its indices.
    flat = dense(out) ? make_view(out, Dims{out.numel()}, Dims{1}, out.offset()) : empty(out.sizes(), out.dtype());
  }
  if (flat.numel()) draw(flat);
  if (flat.storage() != out.storage()) copy_into(out, flat);
  c.results[0] = out;
}

}  // namespace

namespace entries {

void uniform(Call& c) {
  into(c, [&](const Tensor& t) {
    random::uniform(generator_of(c.args[3]), t.dtype(), t.data(), t.numel(), c.args[1].as_double(), c.args[2].as_double());
  });
}
void normal(Call& c) {
  bool in_order = c.tensor(0).contiguous();
  into(c, [&](const Tensor& t) {
    random::normal(generator_of(c.args[3]), t.dtype(), t.data(), t.numel(), c.args[1].as_double(), c.args[2].as_double(), in_order);
  });
}
void log_normal(Call& c) {
  into(c, [&](const Tensor& t) {
    random::log_normal(generator_of(c.args[3]), t.dtype(), t.data(), t.numel(), c.args[1].as_double(), c.args[2].as_double());
  });
}
void exponential(Call& c) {
  into(c, [&](const Tensor& t) { random::exponential(generator_of(c.args[2]), t.dtype(), t.data(), t.numel(), c.args[1].as_double()); });
}
void cauchy(Call& c) {
  into(c, [&](const Tensor& t) {
    random::cauchy(generator_of(c.args[3]), t.dtype(), t.data(), t.numel(), c.args[1].as_double(), c.args[2].as_double());
  });
}
void geometric(Call& c) {
  into(c, [&](const Tensor& t) { random::geometric(generator_of(c.args[2]), t.dtype(), t.data(), t.numel(), c.args[1].as_double()); });
}
void random_integers(Call& c) {
  Value from = c.args[1], to = c.args[2];
  if (!from.none() && to.none()) {  // random_(to)
    to = from;
    from = Value(0);
  }
  into(c, [&](const Tensor& t) {
    Generator& g = generator_of(c.args[3]);
    if (to.none()) random::integers(g, t.dtype(), t.data(), t.numel());
    else random::integers(g, t.dtype(), t.data(), t.numel(), from.int_or(0), to.as_int());
  });
}
void bernoulli_fill(Call& c) {
  const Value& p = c.args[1];
  Generator& g = generator_of(c.args[2]);
  if (!p.is_tensor()) {
    into(c, [&](const Tensor& t) { random::bernoulli(g, t.dtype(), t.data(), t.numel(), p.as_double()); });
    return;
  }
  const Tensor& t = c.tensor(0);
  Tensor probabilities = contiguous(expanded(p.peek(), t.sizes()));
  Tensor flat = empty(t.sizes(), t.dtype());
  if (t.numel()) random::bernoulli(g, t.dtype(), flat.data(), probabilities.dtype(), probabilities.data(), t.numel());
  if (c.in_place) copy_into(c.results[0], flat);
  else c.results[0] = flat;
}

void multinomial(Call& c) {
  const Tensor& t = c.tensor(0);
  int64_t samples = c.args[1].as_int();
  bool replacement = c.args[2].as_bool();
  if (t.dim() != 1 && t.dim() != 2) fail(ErrorKind::Runtime, "prob_dist must be 1 or 2 dim");
  if (!is_floating(t.dtype()))
    fail(ErrorKind::Runtime, "multinomial only supports floating-point dtypes for input, got: ", python_name_of(t.dtype()));
  if (samples <= 0) fail(ErrorKind::Runtime, "cannot sample n_sample <= 0 samples");
  int64_t columns = t.size(t.dim() - 1), rows = t.dim() == 2 ? t.size(0) : 1;
  if (!replacement && samples > columns) fail(ErrorKind::Runtime, "cannot sample n_sample > prob_dist.size(-1) samples without replacement");
  Tensor weights = contiguous(t);
  Dims size;
  if (t.dim() == 2) size.push_back(rows);
  size.push_back(samples);
  Tensor& out = result(c, 0, size, DType::Int64);
  if (out.numel()) random::multinomial(generator_of(c.args[3]), t.dtype(), weights.data(), rows, columns, samples, replacement, out.data_as<int64_t>());
}

void dropout_kernel(Call& c) {
  const Tensor& t = c.tensor(0);
  double p = c.args[1].as_double();
  if (p < 0 || p > 1) fail(ErrorKind::Runtime, "dropout probability has to be between 0 and 1, but got ", p);
  Tensor x = contiguous(t);
  c.results[0] = empty(t.sizes(), t.dtype());
  c.results[1] = empty(t.sizes(), DType::Bool);
  if (!t.numel()) return;
  Generator& g = default_generator();
  if (is_complex(t.dtype())) {
    Tensor ones = empty(t.sizes(), real_of(t.dtype())), scaled = empty(t.sizes(), real_of(t.dtype()));
    alignas(16) char one[16];
    store_number(one, ones.dtype(), {1, 0});
    fill_with(ones, one);
    random::dropout(g, ones.dtype(), ones.data(), scaled.data(), c.results[1].data_as<bool>(), t.numel(), p);
    c.results[0] = ops::mul(x, scaled);
    return;
  }
  random::dropout(g, t.dtype(), x.data(), c.results[0].data(), c.results[1].data_as<bool>(), t.numel(), p);
}

void dropout(Call& c) {
  const Tensor& t = c.tensor(0);
  double p = c.args[1].as_double();
  if (p < 0 || p > 1) fail(ErrorKind::Runtime, "dropout probability has to be between 0 and 1, but got ", p);
  if (p == 0 || !c.args[2].as_bool() || !t.numel()) c.results[0] = t;
  else c.results[0] = ops::dropout_kernel(t, p)[0];
}

}  // namespace entries

namespace vjps {

void dropout_kernel(Backward& b) {
  const Tensor& g = b.grads[0];
  double p = b.args[1].as_double(), scale = p == 1 ? 0 : 1 / (1 - p);
  if (!b.differentiable && (g.dtype() == DType::Float32 || g.dtype() == DType::Float64)) {
    Tensor grad = contiguous(g), dx = empty(g.sizes(), g.dtype());
    kernels::table<kernels::DropoutKernels>().apply[wide(g)](grad.data(), b.results[1].data_as<uint8_t>(), dx.data(), g.numel(), scale);
    b.out[0] = dx;
    return;
  }
  b.out[0] = ops::mul(ops::mul(g, b.results[1]), scale);
}

}  // namespace vjps

}  // namespace flambeau
