// Convolution over one to three dimensions as three bilinear maps, each the gradient of the others:
//   y = x * w,   dx = transpose in x (also the transposed convolution),   dw = transpose in w.
#include "kernels/cpu/conv.h"
#include "ops/entries.h"

namespace flambeau {

namespace {

constexpr const char* kDtypeHint = "\nhint: cast the input or the layer with .to(dtype)";

// Per-dimension lists: one value stands for all.
Dims spread(const Value& v, int n, const char* name, const char* op) {
  Ints list = v.as_ints();
  if (int(list.size()) == n) return Dims(list);
  if (list.size() == 1) return Dims(n, list[0]);
  fail(ErrorKind::Runtime, "expected ", name, " to be a single integer value or a list of ", n,
       " values to match the convolution dimensions, but got ", name, "=", text_of(list), "\n", op, ": got ",
       text_of(list));
}

kernels::ConvShape shape_of(Ints x, Ints w, Ints y, Ints stride, Ints pad, Ints dilation, int64_t groups) {
  kernels::ConvShape s;
  s.n = x[0];
  s.c = x[1];
  s.o = w[0];
  s.groups = groups;
  int n = int(x.size()) - 2;
  for (int i = 0; i < n; i++) {
    int k = 3 - n + i;
    s.in[k] = x[size_t(i + 2)];
    s.out[k] = y[size_t(i + 2)];
    s.kernel[k] = w[size_t(i + 2)];
    s.stride[k] = stride[size_t(i)];
    s.pad[k] = pad[size_t(i)];
    s.dilation[k] = dilation[size_t(i)];
  }
  return s;
}

Dims output_size(const Tensor& x, const Tensor& w, Ints stride, Ints pad, Ints dilation) {
  Dims size{x.size(0), w.size(0)};
  for (int i = 2; i < x.dim(); i++) {
    auto padded_size = [&](int d) { return plus(x.size(d), times(2, pad[size_t(d - 2)])); };
    auto reach_of = [&](int d) { return plus(times(dilation[size_t(d - 2)], w.size(d) - 1), 1); };
    int64_t reach = reach_of(i), padded = padded_size(i);
    if (padded < reach) {
      std::string in, kernel;
      for (int k = 2; k < x.dim(); k++) {
        in += (k > 2 ? " x " : "") + std::to_string(padded_size(k));
        kernel += (k > 2 ? " x " : "") + std::to_string(reach_of(k));
      }
      fail(ErrorKind::Runtime, "Calculated padded input size per channel: (", in, "). Kernel size: (", kernel,
           "). Kernel size can't be greater than actual input size");
    }
    size.push_back(plus(plus(padded, -reach) / stride[size_t(i - 2)], 1));
  }
  return size;
}

struct Geometry {
  Dims stride, padding, dilation;
  int64_t groups;
};
void check_steps(const char* name, const Geometry& g) {
  for (int64_t s : g.stride)
    if (s <= 0) fail(ErrorKind::Runtime, "non-positive stride is not supported\n", name, ": got ", text_of(g.stride));
  for (int64_t p : g.padding)
    if (p < 0) fail(ErrorKind::Runtime, "negative padding is not supported\n", name, ": got ", text_of(g.padding));
  for (int64_t d : g.dilation)
    if (d <= 0) fail(ErrorKind::Runtime, "dilation should be greater than zero\n", name, ": got ", text_of(g.dilation));
}
Geometry geometry(const Value* args, int first, int n) {
  Geometry g{spread(args[first], n, "stride", "conv"), spread(args[first + 1], n, "padding", "conv"),
             spread(args[first + 2], n, "dilation", "conv"), args[first + 3].as_int()};
  check_steps("convolution", g);
  return g;
}

// Complex operands as real ones: (a + ib)(c + id) by three real products would lose digits, so four.
bool is_complex_pair(const Tensor& t) { return is_complex(t.dtype()); }

template <class Run> Tensor complex_by_parts(const Tensor& a, const Tensor& b, Run run) {
  auto part = [](const Tensor& t, int which) { return contiguous(ops::select(ops::view_as_real(t), -1, which)); };
  Tensor re = ops::sub(run(part(a, 0), part(b, 0)), run(part(a, 1), part(b, 1)));
  Tensor im = ops::add(run(part(a, 0), part(b, 1)), run(part(a, 1), part(b, 0)));
  return ops::view_as_complex(ops::stack(
      [&] {
        static thread_local TensorBody* list[2];
        list[0] = re.get();
        list[1] = im.get();
        return std::span<TensorBody* const>(list, 2);
      }(),
      -1));
}

void unsupported(const char* name, const Tensor& t) {
  fail(ErrorKind::Runtime, "\"", name, "\" not implemented for '", python_name_of(t.dtype()), "'\n", name,
       ": expected floating elements; got ", describe(t));
}

const kernels::ConvKernels& kernel() { return kernels::table<kernels::ConvKernels>(); }

std::string sizes_text(Ints s) { return text_of(s); }

void check_operands(const char* name, const Tensor& x, const Tensor& w, const Value& bias, const Geometry& g, int n,
                    bool transposed) {
  if (w.dim() != n + 2)
    fail(ErrorKind::Runtime, "expected ", n + 2, "-dimensional weight, but got weight of shape ", text_of(w.sizes()));
  if (x.dtype() != w.dtype())
    fail(ErrorKind::Runtime, "Input type (", cpp_name_of(x.dtype()), ") and weight type (", cpp_name_of(w.dtype()),
         ") should be the same\n", name, ": got input ", describe(x), " and weight ", describe(w), kDtypeHint);
  if (!bias.none() && bias.tensor->dtype != x.dtype())
    fail(ErrorKind::Runtime, "Input type (", cpp_name_of(x.dtype()), ") and bias type (",
         cpp_name_of(bias.tensor->dtype), ") should be the same");
  for (const Dims* list : {&g.stride, &g.padding, &g.dilation})
    for (int64_t v : *list)
      if (v > INT32_MAX)
        fail(ErrorKind::Runtime, "integer out of range\n", name, ": expected numbers below 2**31; got ",
             text_of(*list));
  if (g.groups > INT32_MAX)
    fail(ErrorKind::Runtime, "integer out of range\n", name, ": expected groups below 2**31; got ", g.groups);
  check_steps(name, g);
  if (g.groups <= 0) fail(ErrorKind::Runtime, "non-positive groups is not supported");
  int64_t expected = transposed ? w.size(0) : times(w.size(1), g.groups);
  if (w.size(0) % g.groups || w.size(0) < g.groups)
    fail(ErrorKind::Runtime, "Given groups=", g.groups, ", expected weight to be divisible by ", g.groups,
         " at dimension 0, but got weight of size ", sizes_text(w.sizes()), " instead");
  if (x.size(1) != expected)
    fail(ErrorKind::Runtime, "Given ", transposed ? "transposed=1" : str("groups=", g.groups), ", weight of size ",
         sizes_text(w.sizes()), ", expected input", sizes_text(x.sizes()), " to have ", expected, " channels, but got ",
         x.size(1), " channels instead\n", name, ": expected input (n, ", expected, ", ...); got ", describe(x));
  int64_t outputs = transposed ? times(w.size(1), g.groups) : w.size(0);
  if (!bias.none() && (bias.tensor->dim != 1 || bias.tensor->numel != outputs))
    fail(ErrorKind::Runtime, "Given ", transposed ? "transposed=1" : str("groups=", g.groups), ", weight of size ",
         sizes_text(w.sizes()), ", expected bias to be 1-dimensional with ", outputs,
         " elements, but got bias of size ", sizes_text(bias.peek().sizes()), " instead");
}

// Adds the batch dimension that a single sample lacks.
Tensor batched(const char* name, const Tensor& x, int n, bool& single) {
  single = x.dim() == n + 1;
  if (!single && x.dim() != n + 2)
    fail(ErrorKind::Runtime, "Expected ", n + 1, "D (unbatched) or ", n + 2, "D (batched) input to ", name,
         ", but got input of size: ", text_of(x.sizes()));
  return single ? ops::unsqueeze(x, 0) : x;
}

void conv(Call& c, int n) {
  const char* name = c.primitive.name;
  bool single;
  Tensor x = batched(name, c.tensor(0), n, single);
  const Value padding = c.args[4];
  const bool named = padding.kind == Kind::Text;
  Geometry g{spread(c.args[3], n, "stride", name), named ? Dims(n, 0) : spread(padding, n, "padding", name),
             spread(c.args[5], n, "dilation", name), c.args[6].as_int()};
  check_operands(name, x, c.tensor(1), c.args[2], g, n, false);
  if (named) {
    std::string_view text = padding.as_text();
    if (text == "same") {
      const Tensor& w = c.tensor(1);
      for (int64_t s : g.stride)
        if (s != 1) fail(ErrorKind::Runtime, "padding='same' is not supported for strided convolutions");
      Dims pad;  // constant padding, last dimension first, where the two sides differ
      bool even = true;
      auto total = [&](int i) { return times(g.dilation[i], w.size(i + 2) - 1); };
      for (int i = 0; i < n; i++) even = even && total(i) % 2 == 0;
      for (int i = 0; i < n; i++) g.padding[i] = even ? total(i) / 2 : 0;
      if (!even) {
        for (int i = n - 1; i >= 0; i--) {
          pad.push_back(total(i) / 2);
          pad.push_back(total(i) - total(i) / 2);
        }
        x = ops::pad_constant(x, pad, 0);
      }
    } else if (text != "valid") {
      fail(ErrorKind::Runtime, "Invalid padding string: '", text, "'");
    }
  }
  Tensor y = ops::convolution_kernel(x, c.args[1], c.args[2], g.stride, g.padding, g.dilation, g.groups);
  c.results[0] = single ? ops::squeeze(y, 0) : y;
}

void conv_transpose(Call& c, int n) {
  const char* name = c.primitive.name;
  bool single;
  Tensor x = batched(name, c.tensor(0), n, single);
  const Tensor& w = c.tensor(1);
  Dims extra = spread(c.args[5], n, "output_padding", name);
  Geometry g{spread(c.args[3], n, "stride", name), spread(c.args[4], n, "padding", name),
             spread(c.args[7], n, "dilation", name), c.args[6].as_int()};
  check_operands(name, x, w, c.args[2], g, n, true);
  Dims size{x.size(0), w.size(1) * g.groups};
  for (int i = 0; i < n; i++) {
    if (extra[i] < 0)
      fail(ErrorKind::Runtime, "negative output_padding is not supported\n", name, ": got ", text_of(extra));
    if (extra[i] >= g.stride[i] && extra[i] >= g.dilation[i])
      fail(ErrorKind::Runtime, "output padding must be smaller than either stride or dilation, but got output_padding_",
           i, ": ", extra[i]);
    int64_t reach = plus(times(g.dilation[i], w.size(i + 2) - 1), plus(extra[i], 1));
    int64_t s = plus(plus(times(x.size(i + 2) - 1, g.stride[i]), -times(2, g.padding[i])), reach);
    if (s < 1)
      fail(ErrorKind::Runtime, "Given input size per channel: ", text_of(x.sizes()),
           ". Calculated output size per channel: is too small");
    size.push_back(s);
  }
  Tensor y = ops::convolution_input_grad(x, w, size, g.stride, g.padding, g.dilation, g.groups);
  if (!c.args[2].none()) {
    Dims channels(n + 2, 1);
    channels[1] = size[1];
    Tensor bias = ops::reshape(c.args[2], channels);
    y = ops::add(y, bias.dtype() == y.dtype() ? bias : ops::cast(bias, y.dtype()));  // they differ under autocast
  }
  c.results[0] = single ? ops::squeeze(y, 0) : y;
}

// What the three maps need of their operands, whoever calls them: matching channels, and windows that lie in the input.
void check_maps(const char* op, Ints x, Ints w, Ints y, const Geometry& g) {
  size_t n = x.size() - 2;
  bool good = x.size() >= 3 && n <= 3 && w.size() == x.size() && y.size() == x.size() && g.groups > 0;
  for (Ints list : {Ints(g.stride), Ints(g.dilation)})
    for (int64_t v : list) good = good && v > 0 && v <= INT32_MAX;
  for (int64_t p : g.padding) good = good && p >= 0 && p <= INT32_MAX;
  for (Ints list : {x, w, y})
    for (int64_t v : list) good = good && v >= 0 && v < int64_t(1) << 31;
  good = good && x[0] == y[0] && y[1] == w[0] && w[0] % g.groups == 0 && x[1] == w[1] * g.groups;
  for (size_t i = 0; good && i < n; i++) {
    int64_t room = x[i + 2] + 2 * g.padding[int(i)] - g.dilation[int(i)] * (w[i + 2] - 1) - 1;
    good = y[i + 2] <= (room < 0 ? 0 : room / g.stride[int(i)] + 1);
  }
  if (!good)
    fail(ErrorKind::Runtime, op, ": expected an input, a weight and a result that fit each other; got ", text_of(x),
         ", ", text_of(w), " and ", text_of(y), ", stride ", text_of(g.stride), ", padding ", text_of(g.padding),
         ", dilation ", text_of(g.dilation), ", groups ", g.groups);
}

// Integers and bools convolve in float64, exactly for the sizes at hand.
bool needs_float64(DType t) { return is_integral(t); }

}  // namespace

namespace entries {

void convolution_kernel(Call& c) {
  const Tensor &x = c.tensor(0), &w = c.tensor(1);
  int n = x.dim() - 2;
  if (n < 1) fail(ErrorKind::Runtime, "convolution: expected an input (n, c, ...); got ", describe(x));
  if (w.dim() != x.dim())
    fail(ErrorKind::Runtime, "convolution: expected a weight (o, c, ...); got ", describe(w), " for ", describe(x));
  Geometry g = geometry(c.args, 3, n);
  Dims size = output_size(x, w, g.stride, g.padding, g.dilation);
  check_maps("convolution", x.sizes(), w.sizes(), size, g);
  if (x.dtype() != w.dtype() ||
      (!c.args[2].none() && (c.tensor(2).dtype() != x.dtype() || c.tensor(2).numel() != w.size(0))))
    fail(ErrorKind::Runtime, "convolution: expected operands of one type and a bias for each output channel; got ",
         describe(x), ", ", describe(w), " and ", describe(c.args[2]));
  if (is_complex_pair(x)) {
    Tensor y = complex_by_parts(x, w, [&](const Tensor& a, const Tensor& b) {
      return ops::convolution_kernel(a, b, Value(), g.stride, g.padding, g.dilation, g.groups);
    });
    if (!c.args[2].none()) {
      Dims channels(x.dim(), 1);
      channels[1] = w.size(0);
      y = ops::add(y, ops::reshape(c.args[2], channels));
    }
    c.results[0] = y;
    return;
  }
  Tensor xs = contiguous(x), ws = contiguous(w), bias;
  if (!c.args[2].none()) bias = contiguous(c.tensor(2));
  DType dtype = x.dtype();
  if (needs_float64(dtype)) {
    xs = converted(xs, DType::Float64);
    ws = converted(ws, DType::Float64);
    if (bias) bias = converted(bias, DType::Float64);
  }
  Tensor y = empty(size, xs.dtype());
  if (y.numel() &&
      !kernel().forward(xs.dtype(), shape_of(x.sizes(), w.sizes(), size, g.stride, g.padding, g.dilation, g.groups),
                        xs.data(), ws.data(), bias ? bias.data() : nullptr, y.data()))
    unsupported("convolution", x);
  c.results[0] = converted(y, dtype);
}

void convolution_input_grad(Call& c) {
  const Tensor &dy = c.tensor(0), &w = c.tensor(1);
  Ints size = c.args[2].as_ints();
  int n = dy.dim() - 2;
  if (n < 1) fail(ErrorKind::Runtime, "convolution: expected a cotangent (n, o, ...); got ", describe(dy));
  Geometry g = geometry(c.args, 3, n);
  check_maps("convolution_input_grad", size, w.sizes(), dy.sizes(), g);
  if (dy.dtype() != w.dtype())
    fail(ErrorKind::Runtime, "convolution_input_grad: expected one type; got ", describe(dy), " and ", describe(w));
  if (is_complex_pair(dy)) {
    c.results[0] = complex_by_parts(dy, w, [&](const Tensor& a, const Tensor& b) {
      return ops::convolution_input_grad(a, b, size, g.stride, g.padding, g.dilation, g.groups);
    });
    return;
  }
  DType dtype = dy.dtype();
  Tensor ys = contiguous(dy), ws = contiguous(w);
  if (needs_float64(dtype)) {
    ys = converted(ys, DType::Float64);
    ws = converted(ws, DType::Float64);
  }
  Tensor dx = empty(size, ys.dtype());
  if (dx.numel() && !kernel().backward_input(
                        ys.dtype(), shape_of(size, w.sizes(), dy.sizes(), g.stride, g.padding, g.dilation, g.groups),
                        ys.data(), ws.data(), nullptr, dx.data()))
    unsupported("convolution", dy);
  c.results[0] = converted(dx, dtype);
}

void convolution_weight_grad(Call& c) {
  const Tensor &dy = c.tensor(0), &x = c.tensor(1);
  Ints size = c.args[2].as_ints();
  int n = dy.dim() - 2;
  if (n < 1) fail(ErrorKind::Runtime, "convolution: expected a cotangent (n, o, ...); got ", describe(dy));
  Geometry g = geometry(c.args, 3, n);
  check_maps("convolution_weight_grad", x.sizes(), size, dy.sizes(), g);
  if (dy.dtype() != x.dtype())
    fail(ErrorKind::Runtime, "convolution_weight_grad: expected one type; got ", describe(dy), " and ", describe(x));
  if (is_complex_pair(dy)) {
    c.results[0] = complex_by_parts(dy, x, [&](const Tensor& a, const Tensor& b) {
      return ops::convolution_weight_grad(a, b, size, g.stride, g.padding, g.dilation, g.groups);
    });
    return;
  }
  Tensor ys = contiguous(dy), xs = contiguous(x), dw = empty(size, dy.dtype());
  if (dw.numel() && !kernel().backward_weight(
                        dy.dtype(), shape_of(x.sizes(), size, dy.sizes(), g.stride, g.padding, g.dilation, g.groups),
                        xs.data(), ys.data(), dw.data(), nullptr))
    unsupported("convolution", dy);
  c.results[0] = dw;
}

void conv1d(Call& c) { conv(c, 1); }
void conv2d(Call& c) { conv(c, 2); }
void conv3d(Call& c) { conv(c, 3); }
void conv_transpose1d(Call& c) { conv_transpose(c, 1); }
void conv_transpose2d(Call& c) { conv_transpose(c, 2); }
void conv_transpose3d(Call& c) { conv_transpose(c, 3); }

}  // namespace entries

namespace vjps {

void convolution_kernel(Backward& b) {
  const Tensor& g = b.grads[0];
  if (!g) return;
  if (b.needed(0))
    b.out[0] =
        ops::convolution_input_grad(g, saved(b, b.args[1]), b.shapes[0], b.args[3], b.args[4], b.args[5], b.args[6]);
  if (b.needed(1))
    b.out[1] =
        ops::convolution_weight_grad(g, saved(b, b.args[0]), b.shapes[1], b.args[3], b.args[4], b.args[5], b.args[6]);
  if (b.needed(2)) {
    Dims dims{0};
    for (int i = 2; i < g.dim(); i++) dims.push_back(i);
    b.out[2] = ops::sum(g, dims);
  }
}

void convolution_input_grad(Backward& b) {
  const Tensor& h = b.grads[0];  // of the input's shape
  if (!h) return;
  if (b.needed(0)) {
    Tensor dy = ops::convolution_kernel(h, saved(b, b.args[1]), Value(), b.args[3], b.args[4], b.args[5], b.args[6]);
    for (int i = 2; i < dy.dim(); i++)  // output padding beyond the stride makes room for more windows than there were
      if (dy.size(i) > b.shapes[0][size_t(i)]) dy = ops::narrow(dy, i, 0, b.shapes[0][size_t(i)]);
    b.out[0] = dy;
  }
  if (b.needed(1))
    b.out[1] =
        ops::convolution_weight_grad(saved(b, b.args[0]), h, b.shapes[1], b.args[3], b.args[4], b.args[5], b.args[6]);
}

void convolution_weight_grad(Backward& b) {
  const Tensor& v = b.grads[0];  // of the weight's shape
  if (!v) return;
  if (b.needed(0))
    b.out[0] = ops::convolution_kernel(saved(b, b.args[1]), v, Value(), b.args[3], b.args[4], b.args[5], b.args[6]);
  if (b.needed(1))
    b.out[1] =
        ops::convolution_input_grad(saved(b, b.args[0]), v, b.shapes[1], b.args[3], b.args[4], b.args[5], b.args[6]);
}

}  // namespace vjps

}  // namespace flambeau
