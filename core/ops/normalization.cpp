// Layer, RMS, group and batch normalisation.
#include "kernels/cpu/norm.h"
#include "ops/entries.h"

namespace flambeau {

namespace {

const kernels::NormKernels& kernel() { return kernels::table<kernels::NormKernels>(); }

Tensor optional(const Value& v, DType dtype) { return v.none() ? Tensor() : contiguous(converted(v.peek(), dtype)); }
void* data(const Tensor& t) { return t ? t.data() : nullptr; }

// The gradients of weight and bias where the input has no elements, whatever its other extents are.
void nothing_reached(const Tensor& dw, const Tensor& db) {
  uint64_t nothing[2] = {};
  if (dw) fill_with(dw, nothing);
  if (db) fill_with(db, nothing);
}

int64_t check_shape(const char* name, const Tensor& x, Ints shape, const Value& weight, const Value& bias) {
  if (shape.empty())
    fail(ErrorKind::Runtime,
         "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got "
         "normalized_shape = ",
         text_of(shape));
  for (const Value* v : {&weight, &bias})
    if (!v->none() && !equal(v->peek().sizes(), shape))
      fail(ErrorKind::Runtime, "Expected ", v == &weight ? "weight" : "bias",
           " to be of same shape as normalized_shape, but got ", v == &weight ? "weight" : "bias", " of shape ",
           text_of(v->peek().sizes()), " and normalized_shape = ", text_of(shape));
  bool fits = x.dim() >= int(shape.size()) && equal(x.sizes().last(shape.size()), shape);
  if (!fits) {
    std::string expected = "[*";
    for (int64_t s : shape) expected += ", " + std::to_string(s);
    fail(ErrorKind::Runtime, "Given normalized_shape=", text_of(shape), ", expected input with shape ", expected,
         "], but got input of size", text_of(x.sizes()), "\n", name, ": expected the last dimensions to be ",
         shape_text(shape), "; got ", describe(x));
  }
  return product(shape);
}

kernels::ChannelShape channels_of(Ints sizes, int64_t groups = 1) {
  kernels::ChannelShape s{sizes[0], sizes.size() > 1 ? sizes[1] : 1, 1, groups};
  for (size_t i = 2; i < sizes.size(); i++) s.inner *= sizes[i];
  return s;
}

// dx of y = xhat * w + b with xhat = (x - mean) * rstd, recomputed from x so that it can be differentiated again.
// `centre`: whether the mean was taken off. x and g come shaped so that `dims` are what the statistics run over.
struct Composed {
  Tensor dx, xhat;
};
Composed composed(const Tensor& x, const Tensor& gw, const Dims& dims, double eps, bool centre) {
  Tensor xc = centre ? ops::sub(x, ops::mean(x, dims, true)) : x;
  Tensor rstd = ops::rsqrt(ops::add(ops::mean(ops::mul(xc, xc), dims, true), eps));
  Tensor xhat = ops::mul(xc, rstd);
  Tensor inner = ops::sub(gw, ops::mul(xhat, ops::mean(ops::mul(gw, xhat), dims, true)));
  if (centre) inner = ops::sub(inner, ops::mean(gw, dims, true));
  return {ops::mul(inner, rstd), xhat};
}

Dims range(int from, int to) {
  Dims d;
  for (int i = from; i < to; i++) d.push_back(i);
  return d;
}
Dims others(int rank, int keep) {
  Dims d;
  for (int i = 0; i < rank; i++)
    if (i != keep) d.push_back(i);
  return d;
}
Dims channel_shape(int rank, int64_t channels) {
  Dims d(rank, 1);
  d[rank > 1 ? 1 : 0] = channels;
  return d;
}

double eps_of(const Value& v, DType t) {
  if (!v.none()) return v.as_double();
  return t == DType::Float64 ? 0x1p-52 : t == DType::Float32 ? 0x1p-23 : t == DType::Float16 ? 0x1p-10 : 0x1p-7;
}

}  // namespace

namespace entries {

void layer_norm_kernel(Call& c) {
  const Tensor& t = c.tensor(0);
  int64_t n = check_shape("layer_norm", t, c.args[1].as_ints(), c.args[2], c.args[3]);
  Tensor x = computable(t, "layer_norm"), w = optional(c.args[2], x.dtype()), b = optional(c.args[3], x.dtype());
  int64_t rows = n ? t.numel() / n : 0;
  Dims stats(t.sizes().first(size_t(t.dim()) - c.args[1].as_ints().size()));
  for (size_t i = 0; i < c.args[1].as_ints().size(); i++) stats.push_back(1);
  Tensor y = empty(t.sizes(), x.dtype());
  c.results[1] = empty(stats, x.dtype());
  c.results[2] = empty(stats, x.dtype());
  if (rows)
    kernel().layer_norm[wide(x)](x.data(), data(w), data(b), y.data(), c.results[1].data(), c.results[2].data(), rows,
                                 n, c.args[4].as_double());
  c.results[0] = converted(y, t.dtype());
}

void rms_norm_kernel(Call& c) {
  const Tensor& t = c.tensor(0);
  int64_t n = check_shape("rms_norm", t, c.args[1].as_ints(), c.args[2], Value());
  Tensor x = computable(t, "rms_norm"), w = optional(c.args[2], x.dtype());
  int64_t rows = n ? t.numel() / n : 0;
  Tensor y = empty(t.sizes(), x.dtype());
  c.results[1] = empty(Dims{rows}, x.dtype());
  if (rows)
    kernel().rms_norm[wide(x)](x.data(), data(w), y.data(), c.results[1].data(), rows, n, eps_of(c.args[3], t.dtype()));
  c.results[0] = converted(y, t.dtype());
}

void group_norm_kernel(Call& c) {
  const Tensor& t = c.tensor(0);
  int64_t groups = c.args[1].as_int();
  if (t.dim() < 2) fail(ErrorKind::Runtime, "Expected at least 2 dimensions for input tensor but received ", t.dim());
  if (groups <= 0) fail(ErrorKind::Runtime, "Expected num groups to be greater than 0, got ", groups);
  if (t.size(1) % groups)
    fail(ErrorKind::Runtime,
         "Expected number of channels in input to be divisible by num_groups, but got input of shape ",
         text_of(t.sizes()), " and num_groups=", groups);
  for (int i : {2, 3})
    if (!c.args[i].none() && (c.tensor(i).dim() != 1 || c.tensor(i).numel() != t.size(1)))
      fail(ErrorKind::Runtime, "Expected ", i == 2 ? "weight" : "bias",
           " to be a vector of size equal to the number of channels in input, but got ", i == 2 ? "weight" : "bias",
           " of shape ", text_of(c.tensor(i).sizes()), " and input of shape ", text_of(t.sizes()));
  Tensor x = computable(t, "group_norm"), w = optional(c.args[2], x.dtype()), b = optional(c.args[3], x.dtype());
  Tensor y = empty(t.sizes(), x.dtype());
  c.results[1] = empty(Dims{t.size(0), groups}, x.dtype());
  c.results[2] = empty(Dims{t.size(0), groups}, x.dtype());
  if (t.numel())
    kernel().group_norm[wide(x)](x.data(), data(w), data(b), y.data(), c.results[1].data(), c.results[2].data(),
                                 channels_of(t.sizes(), groups), c.args[4].as_double());
  c.results[0] = converted(y, t.dtype());
}

void batch_norm_kernel(Call& c) {
  const Tensor& t = c.tensor(0);
  if (t.dim() < 2)
    fail(ErrorKind::Index,
         "Dimension out of range (expected to be in range of [-1, 0], but got 1)\nbatch_norm: expected an input (n, c, "
         "...); got ",
         describe(t));
  Dims sizes(t.sizes());
  int64_t channels = sizes[1];
  static constexpr const char* names[] = {"", "weight", "bias", "running_mean", "running_var"};
  for (int i = 1; i <= 4; i++)
    if (!c.args[i].none() && c.tensor(i).numel() != channels)
      fail(ErrorKind::Runtime, names[i], " should contain ", channels, " elements not ", c.tensor(i).numel(),
           "\nbatch_norm: expected one value per channel of ", describe(t));
  bool has_running = !c.args[3].none(), train = c.args[5].as_bool();
  if (train && has_running == c.args[4].none())
    fail(ErrorKind::Value,
         "running_mean and running_var must either both be None or neither be None\nbatch_norm: expected running "
         "statistics that belong together; got ",
         has_running ? "only running_mean" : "only running_var");
  for (int i : {3, 4})
    if (!train && c.args[i].none())
      fail(ErrorKind::Runtime, names[i],
           " must be defined in evaluation mode\nbatch_norm: expected running statistics to "
           "normalize with; got None\nhint: training=True takes those of the input");
  Tensor x = computable(t, "batch_norm");
  DType dtype = x.dtype();
  Tensor w = optional(c.args[1], dtype), b = optional(c.args[2], dtype), y = empty(t.sizes(), dtype);
  Tensor mean = empty(Dims{channels}, dtype), rstd = empty(Dims{channels}, dtype);
  kernels::ChannelShape shape = channels_of(sizes);
  if (!t.numel()) shape.batch = 0;  // however many images of nothing there are
  if (train) {
    Tensor running_mean = optional(c.args[3], dtype), running_var = optional(c.args[4], dtype);
    if (t.numel())
      kernel().batch_norm_train[wide(x)](x.data(), data(w), data(b), y.data(), mean.data(), rstd.data(),
                                         data(running_mean), data(running_var), shape, c.args[7].as_double(),
                                         c.args[6].as_double());
    if (has_running) {
      for (auto [arg, now] : {std::pair{3, &running_mean}, {4, &running_var}}) {
        if (now->get() != c.tensor(arg).get()) copy_into(c.tensor(arg), *now);
        bump_version(c.tensor(arg).get());
      }
    }
  } else {
    mean = clone_data(optional(c.args[3], dtype));
    Tensor var = optional(c.args[4], dtype);
    kernel().batch_norm_eval[wide(x)](x.data(), data(w), data(b), mean.data(), var.data(), y.data(), rstd.data(), shape,
                                      c.args[7].as_double());
  }
  c.results[0] = converted(y, t.dtype());
  c.results[1] = mean;
  c.results[2] = rstd;
}

void layer_norm(Call& c) {
  c.results[0] = ops::layer_norm_kernel(c.args[0], c.args[1], c.args[2], c.args[3], c.args[4])[0];
}
void rms_norm(Call& c) { c.results[0] = ops::rms_norm_kernel(c.args[0], c.args[1], c.args[2], c.args[3])[0]; }
void group_norm(Call& c) {
  c.results[0] = ops::group_norm_kernel(c.args[0], c.args[1], c.args[2], c.args[3], c.args[4])[0];
}
void batch_norm(Call& c) {
  c.results[0] =
      ops::batch_norm_kernel(c.args[0], c.args[1], c.args[2], c.args[3], c.args[4], c.args[5], c.args[6], c.args[7])[0];
}

}  // namespace entries

namespace vjps {

void layer_norm_kernel(Backward& b) {
  const Tensor& g = b.grads[0];
  if (!g) return;
  const Tensor& t = b.args[0].peek();
  int normal = int(b.args[1].as_ints().size());
  if (b.differentiable) {
    Tensor gw = b.args[2].none() ? g : ops::mul(g, b.args[2]);
    Composed k = composed(t, gw, range(t.dim() - normal, t.dim()), b.args[4].as_double(), true);
    if (b.needed(0)) b.out[0] = k.dx;
    if (b.needed(2)) b.out[2] = ops::sum_to_size(ops::mul(g, k.xhat), b.shapes[2]);
    if (b.needed(3)) b.out[3] = ops::sum_to_size(g, b.shapes[3]);
    return;
  }
  int64_t n = product(b.args[1].as_ints()), rows = n ? t.numel() / n : 0;
  Tensor x = computable(t, "layer_norm"), grad = contiguous(converted(g, x.dtype())),
         w = optional(b.args[2], x.dtype());
  Tensor dx = b.needed(0) ? empty(t.sizes(), x.dtype()) : Tensor(),
         dw = b.needed(2) ? empty(b.shapes[2], x.dtype()) : Tensor(),
         db = b.needed(3) ? empty(b.shapes[3], x.dtype()) : Tensor();
  kernel().layer_norm_backward[wide(x)](grad.data(), x.data(), data(w), b.results[1].data(), b.results[2].data(),
                                        data(dx), data(dw), data(db), rows, n);
  if (dx) b.out[0] = converted(dx, b.dtypes[0]);
  if (dw) b.out[2] = converted(dw, b.dtypes[2]);
  if (db) b.out[3] = converted(db, b.dtypes[3]);
}

void rms_norm_kernel(Backward& b) {
  const Tensor& g = b.grads[0];
  if (!g) return;
  const Tensor& t = b.args[0].peek();
  if (b.differentiable) {
    int normal = int(b.args[1].as_ints().size());
    Tensor gw = b.args[2].none() ? g : ops::mul(g, b.args[2]);
    Composed k = composed(t, gw, range(t.dim() - normal, t.dim()), eps_of(b.args[3], t.dtype()), false);
    if (b.needed(0)) b.out[0] = k.dx;
    if (b.needed(2)) b.out[2] = ops::sum_to_size(ops::mul(g, k.xhat), b.shapes[2]);
    return;
  }
  int64_t n = product(b.args[1].as_ints()), rows = n ? t.numel() / n : 0;
  Tensor x = computable(t, "rms_norm"), grad = contiguous(converted(g, x.dtype())), w = optional(b.args[2], x.dtype());
  Tensor dx = b.needed(0) ? empty(t.sizes(), x.dtype()) : Tensor(),
         dw = b.needed(2) ? empty(b.shapes[2], x.dtype()) : Tensor();
  kernel().rms_norm_backward[wide(x)](grad.data(), x.data(), data(w), b.results[1].data(), data(dx), data(dw), rows, n);
  if (dx) b.out[0] = converted(dx, b.dtypes[0]);
  if (dw) b.out[2] = converted(dw, b.dtypes[2]);
}

void group_norm_kernel(Backward& b) {
  const Tensor& g = b.grads[0];
  if (!g) return;
  const Tensor& t = b.args[0].peek();
  int64_t groups = b.args[1].as_int();
  if (b.differentiable) {
    Dims per_channel = channel_shape(t.dim(), t.size(1)),
         grouped{t.size(0), groups, t.size(0) ? t.numel() / t.size(0) / groups : 0};
    Tensor gw = b.args[2].none() ? g : ops::mul(g, ops::reshape(b.args[2], per_channel));
    Composed k = composed(ops::reshape(t, grouped), ops::reshape(gw, grouped), Dims{2}, b.args[4].as_double(), true);
    Dims rest = others(t.dim(), 1);
    if (b.needed(0)) b.out[0] = ops::reshape(k.dx, t.sizes());
    if (b.needed(2)) b.out[2] = ops::sum(ops::mul(g, ops::reshape(k.xhat, t.sizes())), rest);
    if (b.needed(3)) b.out[3] = ops::sum(g, rest);
    return;
  }
  Tensor x = computable(t, "group_norm"), grad = contiguous(converted(g, x.dtype())),
         w = optional(b.args[2], x.dtype());
  Tensor dx = b.needed(0) ? empty(t.sizes(), x.dtype()) : Tensor(),
         dw = b.needed(2) ? empty(b.shapes[2], x.dtype()) : Tensor(),
         db = b.needed(3) ? empty(b.shapes[3], x.dtype()) : Tensor();
  if (t.numel())
    kernel().group_norm_backward[wide(x)](grad.data(), x.data(), data(w), b.results[1].data(), b.results[2].data(),
                                          data(dx), data(dw), data(db), channels_of(t.sizes(), groups));
  else
    nothing_reached(dw, db);
  if (dx) b.out[0] = converted(dx, b.dtypes[0]);
  if (dw) b.out[2] = converted(dw, b.dtypes[2]);
  if (db) b.out[3] = converted(db, b.dtypes[3]);
}

void batch_norm_kernel(Backward& b) {
  const Tensor& g = b.grads[0];
  if (!g) return;
  const Tensor& t = b.args[0].peek();
  bool train = b.args[5].as_bool();
  int channel = t.dim() > 1 ? 1 : 0;
  Dims rest = others(t.dim(), channel), per_channel = channel_shape(t.dim(), t.size(channel));
  if (b.differentiable) {
    Tensor gw = b.args[1].none() ? g : ops::mul(g, ops::reshape(b.args[1], per_channel));
    Composed k;
    if (train) {
      k = composed(t, gw, rest, b.args[7].as_double(), true);
    } else {
      Tensor rstd = ops::reshape(ops::cast(b.results[2], t.dtype()), per_channel),
             mean = ops::reshape(ops::cast(b.results[1], t.dtype()), per_channel);
      k = {ops::mul(gw, rstd), ops::mul(ops::sub(t, mean), rstd)};
    }
    if (b.needed(0)) b.out[0] = k.dx;
    if (b.needed(1)) b.out[1] = ops::sum(ops::mul(g, k.xhat), rest);
    if (b.needed(2)) b.out[2] = ops::sum(g, rest);
    return;
  }
  Tensor x = computable(t, "batch_norm"), grad = contiguous(converted(g, x.dtype())),
         w = optional(b.args[1], x.dtype());
  Tensor dx = b.needed(0) ? empty(t.sizes(), x.dtype()) : Tensor(),
         dw = b.needed(1) ? empty(b.shapes[1], x.dtype()) : Tensor(),
         db = b.needed(2) ? empty(b.shapes[2], x.dtype()) : Tensor();
  Dims sizes(t.sizes());
  if (t.dim() == 1) sizes = Dims{1, t.size(0)};
  if (t.numel())
    kernel().batch_norm_backward[wide(x)](grad.data(), x.data(), data(w), b.results[1].data(), b.results[2].data(),
                                          data(dx), data(dw), data(db), channels_of(sizes), train);
  else
    nothing_reached(dw, db);
  if (dx) b.out[0] = converted(dx, b.dtypes[0]);
  if (dw) b.out[1] = converted(dw, b.dtypes[1]);
  if (db) b.out[2] = converted(db, b.dtypes[2]);
}

}  // namespace vjps

}  // namespace flambeau
