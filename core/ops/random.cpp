// Random tensors: which memory is filled in which order; the streams are random_fill's.
#include "base/random.h"
#include "kernels/cpu/dropout.h"
#include "ops/indexing.h"
#include "ops/random_fill.h"

namespace flambeau {

namespace {

Generator& generator(const Call& c) {
  const Value& v = c.args[c.primitive.param_count - 1];  // where the row has one
  return v.kind == Kind::Generator ? *v.generator : default_generator();
}

// f(memory, elements, contiguous) for result 0: argument 0 in place, or a new tensor like it. Dense tensors are filled
// as they lie in memory, others in the order of their elements.
template <class F> void fill(Call& c, F&& f) {
  const Tensor& t = c.tensor(0);
  if (!c.results[0]) c.results[0] = empty_like(t);
  const Tensor& out = c.results[0];
  if (may_self_overlap(out))
    fail(ErrorKind::Runtime,
         "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
         "Please clone() "
         "the tensor before performing the operation.\n",
         c.primitive.name, "_: expected a tensor without repeated elements; got ", describe(out));
  if (dense(out)) return f(out.data(), out.numel(), out.contiguous());
  Tensor line = empty(out.sizes(), out.dtype());
  f(line.data(), line.numel(), false);
  copy_into(out, line);
}

// Result 0 of a factory: a size, or the shape of argument 0.
Tensor made(Call& c, DType dtype) {
  Ints size = c.args[0].as_ints();
  for (int64_t n : size)
    if (n < 0)
      fail(ErrorKind::Runtime, "Trying to create tensor with negative dimension ", n, ": ", text_of(size), "\n",
           c.primitive.name, ": expected extents from 0 on; got ", shape_text(size));
  return result(c, 0, size, dtype);
}

Tensor made_like(Call& c) {
  Tensor t = ops::empty_like(make_view(c.tensor(0), c.tensor(0).sizes(), c.tensor(0).strides(), c.tensor(0).offset()),
                             c.args[1], c.args[2]);
  if (!c.results[0]) c.results[0] = t;
  return t;
}

}  // namespace

namespace entries {

void uniform(Call& c) {
  fill(c, [&](void* out, int64_t n, bool) {
    random::uniform(generator(c), c.results[0].dtype(), out, n, c.args[1].as_double(), c.args[2].as_double());
  });
}
void normal(Call& c) {
  fill(c, [&](void* out, int64_t n, bool whole) {
    random::normal(generator(c), c.results[0].dtype(), out, n, c.args[1].as_double(), c.args[2].as_double(), whole);
  });
}
void exponential(Call& c) {
  fill(c, [&](void* out, int64_t n, bool) {
    random::exponential(generator(c), c.results[0].dtype(), out, n, c.args[1].as_double());
  });
}
void cauchy(Call& c) {
  fill(c, [&](void* out, int64_t n, bool) {
    random::cauchy(generator(c), c.results[0].dtype(), out, n, c.args[1].as_double(), c.args[2].as_double());
  });
}
void geometric(Call& c) {
  fill(c, [&](void* out, int64_t n, bool) {
    random::geometric(generator(c), c.results[0].dtype(), out, n, c.args[1].as_double());
  });
}
void log_normal(Call& c) {
  fill(c, [&](void* out, int64_t n, bool) {
    random::log_normal(generator(c), c.results[0].dtype(), out, n, c.args[1].as_double(), c.args[2].as_double());
  });
}

void random(Call& c) {
  const Value &from = c.args[1], &to = c.args[2];
  fill(c, [&](void* out, int64_t n, bool) {
    DType dtype = c.results[0].dtype();
    if (from.none() && to.none())
      flambeau::random::integers(generator(c), dtype, out, n);
    else if (from.none())
      flambeau::random::integers(generator(c), dtype, out, n, 0, to.as_int());
    else if (to.none())
      flambeau::random::integers(generator(c), dtype, out, n, 0, from.as_int());
    else
      flambeau::random::integers(generator(c), dtype, out, n, from.as_int(), to.as_int());
  });
}

void bernoulli(Call& c) {
  indexing::check_given(c);
  const Tensor& t = c.tensor(0);
  const Value& p = c.args[1];
  if (p.is_number() || (p.none() && c.in_place)) {
    if (!c.in_place) result(c, 0, t.sizes(), t.dtype());
    return fill(c, [&](void* out, int64_t n, bool) {
      flambeau::random::bernoulli(generator(c), c.results[0].dtype(), out, n, p.none() ? 0.5 : p.as_double());
    });
  }
  Tensor chances = p.none() ? t : p.peek();
  if (p.none() && !is_floating(t.dtype()))
    fail(ErrorKind::NotImplemented, "\"bernoulli_tensor_cpu_p_\" not implemented for '", python_name_of(t.dtype()),
         "'\nbernoulli: expected probabilities; got ", describe(t));
  // One probability per element, both in the order of the elements.
  if (!equal(chances.sizes(), t.sizes())) chances = expanded(chances, t.sizes());
  Tensor out = c.in_place ? empty(t.sizes(), t.dtype()) : result(c, 0, t.sizes(), t.dtype());
  chances = contiguous(chances);
  flambeau::random::bernoulli(generator(c), t.dtype(), out.data(), chances.dtype(), chances.data(), out.numel());
  if (c.in_place) copy_into(c.results[0], out);
}

void multinomial(Call& c) {
  if (c.results[0] && c.results[0].dtype() != DType::Int64)
    fail(ErrorKind::Runtime, "multinomial expects Long tensor out, got: ", python_name_of(c.results[0].dtype()),
         "\nmultinomial: expected out= of int64; got ", describe(c.results[0]));
  const Tensor& t = c.tensor(0);
  int64_t samples = c.args[1].as_int();
  if (t.dim() < 1 || t.dim() > 2)
    fail(ErrorKind::Runtime, "prob_dist must be 1 or 2 dim\nmultinomial: expected weights, or rows of them; got ",
         describe(t));
  Tensor weights = contiguous(t);
  int64_t columns = t.size(t.dim() - 1), rows = t.dim() == 2 ? t.size(0) : 1;
  Dims sizes(t.sizes());
  sizes[t.dim() - 1] = std::max<int64_t>(samples, 0);
  Tensor& out = result(c, 0, sizes, DType::Int64);
  flambeau::random::multinomial(generator(c), t.dtype(), weights.data(), rows, columns, samples, c.args[2].as_bool(),
                                out.data_as<int64_t>());
}

void native_dropout(Call& c) {
  const Tensor& t = c.tensor(0);
  bool train = c.args[2].none() || c.args[2].as_bool();
  Tensor x = dense(t) ? t : contiguous(t);
  bool direct = c.in_place && x.get() == t.get();
  Tensor out = direct ? c.results[0] : empty_like(x),
         mask = x.contiguous() ? empty(x.sizes(), DType::Bool) : empty_strided(x.sizes(), x.strides(), DType::Bool);
  if (train && is_complex(t.dtype())) {
    Tensor ones = empty(x.sizes(), real_of(t.dtype())), factors = empty(x.sizes(), real_of(t.dtype()));
    alignas(16) char one[16];
    store_number(one, ones.dtype(), {1, 0});
    fill_with(ones, one);
    mask = empty(x.sizes(), DType::Bool);
    flambeau::random::dropout(generator(c), ones.dtype(), ones.data(), factors.data(), mask.data_as<bool>(), x.numel(),
                              c.args[1].as_double());
    copy_into(out, ops::mul(make_view(x, x.sizes(), x.strides(), x.offset()), factors));
  } else if (train) {
    flambeau::random::dropout(generator(c), t.dtype(), x.data(), out.data(), mask.data_as<bool>(), x.numel(),
                              c.args[1].as_double());
  } else {
    bool yes = true;
    fill_with(mask, &yes);
    copy_into(out, x);
  }
  if (c.results[0] && !direct)
    copy_into(c.results[0], out);
  else
    c.results[0] = out;
  if (c.results[1])
    copy_into(c.results[1], mask);
  else
    c.results[1] = mask;
}

void dropout(Call& c) {
  const Tensor& t = c.tensor(0);
  double p = c.args[1].as_double();
  if (!(p >= 0 && p <= 1))
    fail(ErrorKind::Runtime, "dropout probability has to be between 0 and 1, but got ", p,
         "\ndropout: expected p from 0 to 1; got ", p);
  c.results[0] = p == 0 || !c.args[2].as_bool() || !t.numel() ? t : ops::native_dropout(t, p, true)[0];
}

void rand(Call& c) {
  Tensor out = made(c, factory_dtype(c, c.args[1], default_dtype()));
  flambeau::random::uniform(generator(c), out.dtype(), out.data(), out.numel(), 0, 1);
}

void randn(Call& c) {
  Tensor out = made(c, factory_dtype(c, c.args[1], default_dtype()));
  flambeau::random::normal(generator(c), out.dtype(), out.data(), out.numel(), 0, 1);
}

void randint(Call& c) {
  Ints size = c.args[2].as_ints();
  for (int64_t n : size)
    if (n < 0)
      fail(ErrorKind::Runtime, "Trying to create tensor with negative dimension ", n, ": ", text_of(size),
           "\nrandint: expected extents from 0 on; got ", shape_text(size));
  Tensor& out = result(c, 0, size, factory_dtype(c, c.args[3], DType::Int64));
  flambeau::random::integers(generator(c), out.dtype(), out.data(), out.numel(), c.args[0].as_int(),
                             c.args[1].as_int());
}

void randperm(Call& c) {
  int64_t n = c.args[0].as_int();
  DType dtype = factory_dtype(c, c.args[1], DType::Int64);
  if (n < 0) fail(ErrorKind::Runtime, "n must be non-negative, got", n, "\nrandperm: expected n from 0 on; got ", n);
  Tensor& out = result(c, 0, Dims{n}, dtype);
  flambeau::random::permutation(generator(c), dtype, out.data(), n);
}

void rand_like(Call& c) {
  Tensor out = made_like(c);
  flambeau::random::uniform(generator(c), out.dtype(), out.data(), out.numel(), 0, 1);
  if (c.results[0].get() != out.get()) copy_into(c.results[0], out);
}

void randn_like(Call& c) {
  Tensor out = made_like(c);
  flambeau::random::normal(generator(c), out.dtype(), out.data(), out.numel(), 0, 1, out.contiguous());
  if (c.results[0].get() != out.get()) copy_into(c.results[0], out);
}

}  // namespace entries

namespace vjps {

void bernoulli(Backward& b) {
  if (b.needed(0)) b.out[0] = ops::zeros_like(b.grads[0]);
  if (b.needed(1)) b.out[1] = reduced(b, 1, ops::zeros_like(b.grads[0]));
}

void native_dropout(Backward& b) {
  double p = b.args[1].as_double();
  bool train = b.args[2].none() || b.args[2].as_bool();
  const Tensor& g = b.grads[0];
  if (!train || p == 0) {
    b.out[0] = g;
  } else if (!b.differentiable && (g.dtype() == DType::Float32 || g.dtype() == DType::Float64)) {
    Tensor from = contiguous(g), keep = contiguous(b.results[1]), out = empty(g.sizes(), g.dtype());
    kernels::table<kernels::DropoutKernels>().apply[wide(g)](from.data(), keep.data_as<uint8_t>(), out.data(),
                                                             g.numel(), p == 1 ? 0 : 1 / (1 - p));
    b.out[0] = out;
  } else {
    b.out[0] = p == 1 ? ops::zeros_like(g) : ops::where(b.results[1], ops::mul(g, 1 / (1 - p)), 0);
  }
}

}  // namespace vjps

}  // namespace flambeau
