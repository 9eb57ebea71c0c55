// Pooling: windows and their checks, forward and transposed, over the kernels of kernels/cpu/pool.h.
#include "kernels/cpu/pool.h"
#include <limits>
#include "ops/entries.h"

namespace flambeau {

namespace {

const kernels::PoolKernels& kernel() { return kernels::table<kernels::PoolKernels>(); }

struct Window {
  Dims size, stride, padding, dilation;
  bool ceil = false;
};

// Per-dimension lists: one value stands for all.
Dims spread(const Value& v, int n, const std::string& op, const char* name, const Dims* omitted = nullptr) {
  static constexpr const char* kCounts[] = {"", "one int", "two ints", "three ints"};
  Ints list = v.as_ints();
  if (list.empty() && omitted) return *omitted;
  if (int(list.size()) == n) return Dims(list);
  if (list.size() == 1) return Dims(n, list[0]);
  fail(ErrorKind::Runtime, op, ": ", name, " must ", omitted ? "either be omitted, " : "either be ",
       "a single int, or a tuple of ", kCounts[n], "\n", op, ": expected 1 or ", n, " numbers; got ", shape_text(list));
}

Window window_of(const std::string& op, int n, const Value& size, const Value& stride, const Value& padding,
                 const Value& dilation, bool ceil) {
  Window w;
  w.size = spread(size, n, op, "kernel_size");
  w.stride = spread(stride, n, op, "stride", &w.size);
  w.padding = spread(padding, n, op, "padding");
  w.dilation = dilation.none() ? Dims(n, 1) : spread(dilation, n, op, "dilation");
  w.ceil = ceil;
  for (const Dims* list : {&w.size, &w.stride, &w.padding, &w.dilation})
    for (int64_t v : *list)
      if (v > INT32_MAX)
        fail(ErrorKind::Runtime, "integer out of range\n", op, ": expected numbers below 2**31; got ",
             shape_text(*list));
  for (int i = 0; i < n; i++) {
    if (w.size[i] <= 0)
      fail(ErrorKind::Runtime, op, "() kernel_size must be greater than zero, but got ", w.size[i], "\n", op,
           ": kernel size should be greater than zero; got ", shape_text(w.size));
    if (w.stride[i] <= 0)
      fail(ErrorKind::Runtime, "stride should not be zero\n", op, ": stride must be greater than zero, but got ",
           w.stride[i]);
    if (w.dilation[i] <= 0)
      fail(ErrorKind::Runtime, "dilation should be greater than zero\n", op,
           ": dilation must be greater than zero, but got ", w.dilation[i]);
    if (w.padding[i] < 0)
      fail(ErrorKind::Runtime, "pad must be non-negative, but got pad: ", w.padding[i], "\n", op,
           "(): padding must be non-negative, but got ", w.padding[i]);
    int64_t reach = plus(times(w.size[i] - 1, w.dilation[i]), 1);
    if (w.padding[i] > reach / 2)
      fail(ErrorKind::Runtime, "pad should be at most half of effective kernel size, but got pad=", w.padding[i],
           ", kernel_size=", w.size[i], " and dilation=", w.dilation[i], "\n", op,
           ": padding should be at most half of kernel size");
  }
  return w;
}

void check_input(const std::string& op, const Tensor& t, int n) {
  bool good = t.dim() == n + 1 || t.dim() == n + 2;
  for (int i = t.dim() - n - 1; good && i < t.dim(); i++) good = t.size(i) > 0;
  if (!good)
    fail(ErrorKind::Runtime, "Expected ", n + 1, "D or ", n + 2,
         "D (batch mode) tensor with optional 0 dim batch size for input, but got:", text_of(t.sizes()), "\n", op,
         ": expected a non-empty ", n + 1, "D or ", n + 2, "D (batch mode) input; got ", describe(t));
}

[[noreturn]] void unsupported(const std::string& op, const Tensor& t) {
  fail(ErrorKind::NotImplemented, "\"", op, "\" not implemented for '", python_name_of(t.dtype()), "'\n", op, ": got ",
       describe(t));
}

int64_t planes_of(Ints sizes, int n) { return product(sizes.first(sizes.size() - size_t(n))); }

// Input and output extents, without windows.
kernels::PoolShape extents(Ints in, Ints out, int n) {
  kernels::PoolShape s;
  s.planes = planes_of(in, n);
  for (int k = 0; k < 3; k++) s.in[k] = s.out[k] = 1;
  for (int i = 0; i < n; i++) {
    s.in[3 - n + i] = in[in.size() - size_t(n - i)];
    s.out[3 - n + i] = out[out.size() - size_t(n - i)];
  }
  return s;
}
kernels::PoolShape shape_of(Ints in, Ints out, const Window& w) {
  int n = w.size.size();
  kernels::PoolShape s = extents(in, out, n);
  for (int i = 0; i < n; i++) {
    int k = 3 - n + i;
    s.kernel[k] = w.size[i];
    s.stride[k] = w.stride[i];
    s.padding[k] = w.padding[i];
    s.dilation[k] = w.dilation[i];
  }
  return s;
}

Dims output_size(const std::string& op, Ints in, const Window& w) {
  int n = w.size.size(), lead = int(in.size()) - n;
  Dims out(in);
  bool small = false;
  for (int i = 0; i < n; i++) {
    // Errors unless all sums below are numbers; twice the padding is at most the window's reach.
    plus(plus(in[size_t(lead + i)], 2 * w.padding[i]), w.stride[i]);
    plus(times(w.size[i], w.dilation[i]), w.stride[i]);
    out[lead + i] =
        kernels::pool_output_size(in[size_t(lead + i)], w.size[i], w.stride[i], w.padding[i], w.dilation[i], w.ceil);
    small = small || out[lead + i] < 1;
  }
  if (small) {
    std::string before = "(" + std::to_string(in[size_t(lead - 1)]), after = before;
    for (int i = 0; i < n; i++) {
      before += "x" + std::to_string(in[size_t(lead + i)]);
      after += "x" + std::to_string(std::max<int64_t>(0, out[lead + i]));
    }
    fail(ErrorKind::Runtime, "Given input size: ", before, "). Calculated output size: ", after,
         "). Output size is too small\n", op,
         "() Invalid computed output size: expected windows that fit the padded input; got kernel ",
         shape_text(w.size));
  }
  return out;
}

// ---- whole numbers: rare, so plain loops over int64 ----

// f(plane, output position, its window's taps as f2(flat input position)) in order.
template <class F> void each_window(const kernels::PoolShape& s, F&& f) {
  int64_t at = 0;
  for (int64_t p = 0; p < s.planes; p++)
    for (int64_t d = 0; d < s.out[0]; d++)
      for (int64_t h = 0; h < s.out[1]; h++)
        for (int64_t w = 0; w < s.out[2]; w++, at++)
          f(p, at, d, h, w, [&](auto&& tap) {
            for (int64_t i = 0; i < s.kernel[0]; i++)
              for (int64_t j = 0; j < s.kernel[1]; j++)
                for (int64_t k = 0; k < s.kernel[2]; k++) {
                  int64_t z = d * s.stride[0] - s.padding[0] + i * s.dilation[0],
                          y = h * s.stride[1] - s.padding[1] + j * s.dilation[1],
                          x = w * s.stride[2] - s.padding[2] + k * s.dilation[2];
                  if (z >= 0 && z < s.in[0] && y >= 0 && y < s.in[1] && x >= 0 && x < s.in[2])
                    tap((z * s.in[1] + y) * s.in[2] + x);
                }
          });
}

void whole_maxima(const int64_t* x, int64_t* y, int64_t* indices, const kernels::PoolShape& s) {
  int64_t plane = s.in[0] * s.in[1] * s.in[2];
  each_window(s, [&](int64_t p, int64_t at, int64_t, int64_t, int64_t, auto&& taps) {
    int64_t best = std::numeric_limits<int64_t>::min(), place = -1;
    taps([&](int64_t i) {
      if (place >= 0 && x[p * plane + i] <= best) return;
      best = x[p * plane + i];
      place = i;
    });
    y[at] = best;
    if (indices) indices[at] = place;
  });
}

void whole_means(const int64_t* x, int64_t* y, const kernels::PoolShape& s, bool include_pad, int64_t divisor) {
  int64_t plane = s.in[0] * s.in[1] * s.in[2];
  each_window(s, [&](int64_t p, int64_t at, int64_t d, int64_t h, int64_t w, auto&& taps) {
    int64_t sum = 0, inside = 0, padded = 1, place[3] = {d, h, w};
    taps([&](int64_t i) {
      sum += x[p * plane + i];
      inside++;
    });
    for (int k = 0; k < 3; k++) {
      int64_t start = place[k] * s.stride[k] - s.padding[k];
      padded *= std::min(start + s.kernel[k], s.in[k] + s.padding[k]) - start;
    }
    int64_t count = divisor ? divisor : include_pad ? padded : inside;
    y[at] = count ? sum / count : 0;
  });
}

// ---- maxima ----

std::string named(const char* base, int n) { return base + std::to_string(n) + "d"; }

void maxima(Call& c, int n, bool wants_indices) {
  std::string op = named("max_pool", n);
  const Tensor& t = c.tensor(0);
  check_input(op, t, n);
  Window w = window_of(op, n, c.args[1], c.args[2], c.args[3], c.args[4], c.args[5].as_bool());
  if (is_bool(t.dtype()) || is_complex(t.dtype())) unsupported(op, t);
  Dims size = output_size(op, t.sizes(), w);
  Tensor& y = result(c, 0, size, t.dtype());
  int64_t* indices = wants_indices ? result(c, 1, size, DType::Int64).data_as<int64_t>() : nullptr;
  if (!y.numel()) return;
  kernels::PoolShape s = shape_of(t.sizes(), size, w);
  if (is_integral(t.dtype())) {
    Tensor x = contiguous(converted(t, DType::Int64)), out = empty(size, DType::Int64);
    whole_maxima(x.data_as<int64_t>(), out.data_as<int64_t>(), indices, s);
    copy_into(y, out);
    return;
  }
  Tensor x = computable(t, op.c_str()), out = x.dtype() == t.dtype() ? y : empty(size, x.dtype());
  kernel().max_pool[wide(x)](x.data(), out.data(), indices, s);
  if (out.get() != y.get()) copy_into(y, out);
}

// Whether anything will ask for the positions of the maxima.
bool may_differentiate(const Tensor& t) {
  const ThreadState& state = thread_state();
  return (t->keys | state.keys) ||
         (state.grad_enabled && (t.requires_grad() || t->is_view) && is_differentiable(t.dtype()));
}

template <class WithIndices> void max_pool(Call& c, int n, WithIndices with_indices) {
  const Tensor& t = c.tensor(0);
  if (may_differentiate(t)) {
    c.results[0] = with_indices(c.args)[0];
    return;
  }
  c.results[0] = ops::max_pool_values(t, c.args[1], c.args[2], c.args[3], c.args[4], c.args[5], n);
}

void check_positions(const Tensor& x, const Tensor& indices, const char* op) {
  if (indices.dtype() != DType::Int64)
    fail(ErrorKind::Runtime, "elements in indices should be type int64 but got: ", cpp_name_of(indices.dtype()), "\n",
         op, ": got ", describe(indices));
  if (!equal(x.sizes(), indices.sizes()))
    fail(ErrorKind::Runtime, "Expected shape of indices to be same as that of the input tensor (", text_of(x.sizes()),
         ") but got indices tensor with shape: ", text_of(indices.sizes()), "\n", op, ": got ", describe(x), " and ",
         describe(indices));
}

// `t` and sizes of what it was pooled from, or will be spread over: as many dimensions, of which the last n may differ.
void check_spatial(const char* op, const Tensor& t, Ints size, int64_t n) {
  bool good = n >= 1 && n <= 3 && int(size.size()) == t.dim() && t.dim() >= n;
  for (int d = 0; good && d < t.dim(); d++)
    good = size[size_t(d)] >= 0 && (d >= t.dim() - n || t.size(d) == size[size_t(d)]);
  if (!good)
    fail(ErrorKind::Runtime, op, ": expected extents that agree but for the last ", n, "; got ", describe(t), " and ",
         shape_text(size));
}

// ---- adaptive windows ----

Dims adaptive_size(const std::string& op, const Tensor& t, const Value& size, int n, bool channels_too) {
  Ints list = size.as_ints();
  if (int(list.size()) != n && list.size() != 1)
    fail(ErrorKind::Runtime, op, ": output_size must be ", n, "\n", op, "() argument 'output_size' should contain ", n,
         " ints; got ", shape_text(list));
  if (t.dim() != n + 1 && t.dim() != n + 2)
    fail(ErrorKind::Runtime, op, "(): Expected ", n + 1, "D or ", n + 2, "D tensor, but got ", text_of(t.sizes()), "\n",
         op, ": expected ", n + 1, " to ", n + 2, " dimensions, but got ", t.dim(),
         "-dimensional tensor for argument #1 'self'");
  Dims out(t.sizes());
  for (int i = 0; i < n; i++) {
    int64_t s = list[list.size() == 1 ? 0 : size_t(i)];
    if (s < 0)
      fail(ErrorKind::Runtime, op, ": elements of output_size must be greater than or equal to 0 but received ",
           shape_text(list), "\nTrying to create tensor with negative dimension ", s);
    out[t.dim() - n + i] = s;
  }
  for (int i = t.dim() - n - channels_too; i < t.dim(); i++)
    if (i >= 0 && t.size(i) == 0)
      fail(ErrorKind::Runtime, op,
           "(): Expected input to have non-zero size for non-batch dimensions, but input has sizes ",
           text_of(t.sizes()), " with dimension ", i, " being empty");
  if (!is_floating(t.dtype())) unsupported(op, t);
  return out;
}

void adaptive_max(Call& c, int n) {
  std::string op = named("adaptive_max_pool", n);
  const Tensor& t = c.tensor(0);
  Dims size = adaptive_size(op, t, c.args[1], n, true);
  Tensor& y = result(c, 0, size, t.dtype());
  Tensor& indices = result(c, 1, size, DType::Int64);
  if (!y.numel()) return;
  Tensor x = computable(t, op.c_str()), out = x.dtype() == t.dtype() ? y : empty(size, x.dtype());
  kernel().adaptive_max_pool[wide(x)](x.data(), out.data(), indices.data_as<int64_t>(), extents(t.sizes(), size, n));
  if (out.get() != y.get()) copy_into(y, out);
}

void adaptive_average(Call& c, int n) {
  Dims size = adaptive_size(named("adaptive_avg_pool", n), c.tensor(0), c.args[1], n, n == 3);
  c.results[0] = ops::adaptive_avg_pool_kernel(c.args[0], Ints(size).last(size_t(n)));
}

void average(Call& c, int n) {
  std::string op = named("avg_pool", n);
  const Tensor& t = c.tensor(0);
  Window w = window_of(op, n, c.args[1], c.args[2], c.args[3], Value(), c.args[4].as_bool());
  int64_t divisor = 0;
  if (n > 1 && !c.args[6].none()) {
    divisor = c.args[6].as_int();
    if (divisor == 0)
      fail(ErrorKind::Runtime, "divisor must be not zero\n", op, ": expected divisor_override other than 0");
  }
  check_input(op, t, n);
  c.results[0] = ops::avg_pool_kernel(t, w.size, w.stride, w.padding, c.args[4], c.args[5], divisor);
}

Window plain_window(const Value* args) {
  return window_of("avg_pool", int(args[0].as_ints().size()), args[0], args[1], args[2], Value(), args[3].as_bool());
}

void zero(const Tensor& t) {
  uint64_t nothing[2] = {};
  fill_with(t, nothing);
}

// Runs f(input as float32 or float64, result of that type) for a map of one tensor to another of the same type.
template <class F> void mapped(Call& c, Ints size, const char* op, F&& f) {
  const Tensor& t = c.tensor(0);
  Tensor x = computable(t, op);
  Tensor& y = result(c, 0, size, t.dtype());
  if (!y.numel()) return;
  if (!x.numel()) return zero(y);
  Tensor out = x.dtype() == t.dtype() ? y : empty(size, x.dtype());
  f(x, out);
  if (out.get() != y.get()) copy_into(y, out);
}

}  // namespace

namespace entries {

void max_pool1d_with_indices(Call& c) { maxima(c, 1, true); }
void max_pool2d_with_indices(Call& c) { maxima(c, 2, true); }
void max_pool3d_with_indices(Call& c) { maxima(c, 3, true); }
void max_pool_values(Call& c) { maxima(c, int(c.args[6].as_int()), false); }
void max_pool1d(Call& c) {
  max_pool(c, 1, [](Value* a) { return ops::max_pool1d_with_indices(a[0], a[1], a[2], a[3], a[4], a[5]); });
}
void max_pool2d(Call& c) {
  max_pool(c, 2, [](Value* a) { return ops::max_pool2d_with_indices(a[0], a[1], a[2], a[3], a[4], a[5]); });
}
void max_pool3d(Call& c) {
  max_pool(c, 3, [](Value* a) { return ops::max_pool3d_with_indices(a[0], a[1], a[2], a[3], a[4], a[5]); });
}

void max_pool_backward(Call& c) {
  const Tensor &g = c.tensor(0), &at = c.tensor(1);
  Ints size = c.args[2].as_ints();
  int n = int(c.args[3].as_int());
  check_positions(g, at, "max_pool_backward");
  check_spatial("max_pool_backward", g, size, c.args[3].as_int());
  Tensor indices = contiguous(at);
  mapped(c, size, "max_pool_backward", [&](const Tensor& x, const Tensor& y) {
    kernel().max_pool_backward[wide(x)](x.data(), indices.data_as<int64_t>(), y.data(), planes_of(size, n),
                                        product(size.last(size_t(n))), product(g.sizes().last(size_t(n))));
  });
}

void max_pool_gather(Call& c) {
  const Tensor &t = c.tensor(0), &at = c.tensor(1);
  int n = int(c.args[2].as_int());
  check_spatial("max_pool_gather", t, at.sizes(), c.args[2].as_int());
  if (at.dtype() != DType::Int64)
    fail(ErrorKind::Runtime, "max_pool_gather: expected int64 positions; got ", describe(at));
  Tensor indices = contiguous(at);
  mapped(c, at.sizes(), "max_pool_gather", [&](const Tensor& x, const Tensor& y) {
    kernel().max_unpool_backward[wide(x)](x.data(), indices.data_as<int64_t>(), y.data(), planes_of(t.sizes(), n),
                                          product(at.sizes().last(size_t(n))), product(t.sizes().last(size_t(n))));
  });
}

void max_unpool(Call& c) {
  const Tensor &t = c.tensor(0), &at = c.tensor(1);
  Ints size = c.args[2].as_ints();
  int n = int(c.args[3].as_int());
  check_positions(t, at, "max_unpool");
  check_spatial("max_unpool", t, size, c.args[3].as_int());
  Tensor indices = contiguous(at);
  mapped(c, size, "max_unpool", [&](const Tensor& x, const Tensor& y) {
    int64_t elements = product(size.last(size_t(n)));
    int64_t bad = kernel().max_unpool[wide(x)](x.data(), indices.data_as<int64_t>(), y.data(), planes_of(size, n),
                                               product(t.sizes().last(size_t(n))), elements);
    if (bad >= 0)
      fail(ErrorKind::Runtime, "Found an invalid max index: ", indices.data_as<int64_t>()[bad],
           " (output volumes are of size ", text_of(size.last(size_t(n))),
           ")\nmax_unpool: expected positions from 0 to ", elements - 1);
  });
}

void adaptive_max_pool1d(Call& c) { adaptive_max(c, 1); }
void adaptive_max_pool2d(Call& c) { adaptive_max(c, 2); }
void adaptive_max_pool3d(Call& c) { adaptive_max(c, 3); }
void adaptive_avg_pool1d(Call& c) { adaptive_average(c, 1); }
void adaptive_avg_pool2d(Call& c) { adaptive_average(c, 2); }
void adaptive_avg_pool3d(Call& c) { adaptive_average(c, 3); }
void avg_pool1d(Call& c) { average(c, 1); }
void avg_pool2d(Call& c) { average(c, 2); }
void avg_pool3d(Call& c) { average(c, 3); }

void avg_pool_kernel(Call& c) {
  const Tensor& t = c.tensor(0);
  Window w = plain_window(c.args + 1);
  check_input("avg_pool", t, w.size.size());
  Dims size = output_size("avg_pool", t.sizes(), w);
  bool include = c.args[5].as_bool();
  int64_t divisor = c.args[6].as_int();
  if (t.dtype() == DType::Int64) {
    Tensor& y = result(c, 0, size, t.dtype());
    Tensor x = contiguous(t);
    if (y.numel())
      whole_means(x.data_as<int64_t>(), y.data_as<int64_t>(), shape_of(t.sizes(), size, w), include, divisor);
    return;
  }
  mapped(c, size, "avg_pool2d", [&](const Tensor& x, const Tensor& y) {
    kernel().avg_pool[wide(x)](x.data(), y.data(), shape_of(t.sizes(), size, w), include, divisor);
  });
}

void avg_pool_backward(Call& c) {
  Ints size = c.args[1].as_ints();
  Window w = plain_window(c.args + 2);
  Ints from = c.tensor(0).sizes();
  check_spatial("avg_pool_backward", c.tensor(0), size, w.size.size());
  if (!equal(output_size("avg_pool_backward", size, w), from))
    fail(ErrorKind::Runtime, "avg_pool_backward: expected a cotangent for windows over ", shape_text(size), "; got ",
         shape_text(from));
  mapped(c, size, "avg_pool2d", [&](const Tensor& x, const Tensor& y) {
    kernel().avg_pool_backward[wide(x)](x.data(), y.data(), shape_of(size, from, w), c.args[6].as_bool(),
                                        c.args[7].as_int());
  });
}

void adaptive_avg_pool_kernel(Call& c) {
  const Tensor& t = c.tensor(0);
  Ints out = c.args[1].as_ints();
  int n = int(out.size());
  Dims size = adaptive_size("adaptive_avg_pool", t, c.args[1], n, false);
  mapped(c, size, "adaptive_avg_pool2d", [&](const Tensor& x, const Tensor& y) {
    kernel().adaptive_avg_pool[wide(x)](x.data(), y.data(), extents(t.sizes(), size, n));
  });
}

void adaptive_avg_pool_backward(Call& c) {
  Ints size = c.args[1].as_ints(), from = c.tensor(0).sizes();
  int n = int(c.args[2].as_ints().size());
  check_spatial("adaptive_avg_pool_backward", c.tensor(0), size, n);
  if (!equal(from.last(size_t(n)), c.args[2].as_ints()))
    fail(ErrorKind::Runtime, "adaptive_avg_pool_backward: expected a cotangent of ", shape_text(c.args[2].as_ints()),
         "; got ", shape_text(from));
  mapped(c, size, "adaptive_avg_pool2d", [&](const Tensor& x, const Tensor& y) {
    kernel().adaptive_avg_pool_backward[wide(x)](x.data(), y.data(), extents(size, from, n));
  });
}

}  // namespace entries

}  // namespace flambeau
