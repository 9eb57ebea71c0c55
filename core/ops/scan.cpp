// Scans along a dimension over the scan kernels.
#include <cmath>
#include <complex>
#include "kernels/cpu/scan.h"
#include "ops/indexing.h"

namespace flambeau {

using namespace indexing;

namespace {

const kernels::ScanKernels& scans() { return kernels::table<kernels::ScanKernels>(); }

[[noreturn]] void no_kernel(const char* op, DType dtype) {
  fail(ErrorKind::NotImplemented, '"', op, "\" not implemented for '", python_name_of(dtype), "'\n", op,
       ": expected another dtype; got ", name_of(dtype));
}

// A tensor with the input's sizes in which elements are walked backwards along `dim`: a copy.
Tensor reversed(const Tensor& t, int dim) {
  if (!t.dim()) return t;
  Dims dims{dim};
  Tensor raw = make_view(t, t.sizes(), t.strides(), t.offset());
  return ops::flip(raw, dims);
}

using Scan = void (*)(DType, void*, const void*, int64_t, int64_t, int64_t);

// x scanned in its own type, which the kernel has.
void run(Scan kernel, const Tensor& out, const Tensor& x, int dim) {
  Split3 s = split_at(x.sizes(), dim);
  if (x.numel()) kernel(x.dtype(), out.data(), x.data(), s.outer, s.n, s.inner);
}

DType computed_in(DType t) { return is_integral(t) ? DType::Int64 : is_half(t) ? DType::Float32 : t; }

void accumulate(Call& c, Scan kernel) {
  const Tensor& t = c.tensor(0);
  int dim = wrap_dim(c.args[1].as_int(), t.dim());
  DType dtype = c.args[2].dtype_or(c.in_place ? t.dtype() : is_integral(t.dtype()) ? DType::Int64 : t.dtype());
  if (is_bool(dtype)) no_kernel(str(c.primitive.name, "_out_cpu").c_str(), dtype);
  if (c.in_place && dtype != t.dtype())
    fail(ErrorKind::Runtime, "Bad in-place call: input tensor dtype ", python_name_of(t.dtype()),
         " and output tensor dtype ", python_name_of(dtype), " should match\n", c.primitive.name,
         "_: expected dtype=", name_of(t.dtype()), "; got ", name_of(dtype));
  DType compute = computed_in(dtype);
  // The values pass through `dtype` first, as PyTorch casts them.
  Tensor x = contiguous(converted(converted(t, dtype), compute));
  if (compute == dtype) return run(kernel, result(c, 0, t.sizes(), dtype), x, dim);
  Tensor wide = empty(t.sizes(), compute);
  run(kernel, wide, x, dim);
  copy_into(result(c, 0, t.sizes(), dtype), wide);
}

void extreme(Call& c, void (*kernel)(DType, void*, int64_t*, const void*, int64_t, int64_t, int64_t),
             const char* name) {
  const Tensor& t = c.tensor(0);
  int dim = wrap_dim(c.args[1].as_int(), t.dim());
  if (is_complex(t.dtype())) no_kernel(name, t.dtype());
  Tensor x = contiguous(t);
  Tensor& values = result(c, 0, t.sizes(), t.dtype());
  Tensor& indices = result(c, 1, t.sizes(), DType::Int64);
  Split3 s = split_at(x.sizes(), dim);
  if (x.numel()) kernel(t.dtype(), values.data(), indices.data_as<int64_t>(), x.data(), s.outer, s.n, s.inner);
}

// log(exp(a) + exp(b)), by the greater real part; complex numbers are rare enough for plain code.
template <class R> std::complex<R> log_add(std::complex<R> a, std::complex<R> b) {
  if (std::isnan(a.real()) || std::isnan(a.imag()) || std::isnan(b.real()) || std::isnan(b.imag()))
    return {R(NAN), R(NAN)};
  if (a.real() < b.real()) std::swap(a, b);
  if (std::isinf(a.real()) && a.real() < 0) return a.imag() == b.imag() ? a : std::complex<R>(a.real(), 0);
  if (std::isinf(a.real()) && std::isinf(b.real()) && b.real() > 0 && a.imag() == b.imag()) return a;
  return a + std::log(std::complex<R>(1) + std::exp(b - a));
}

template <class R> void complex_running_logsumexp(const Tensor& out, const Tensor& x, int dim) {
  Split3 s = split_at(x.sizes(), dim);
  auto* from = reinterpret_cast<const std::complex<R>*>(x.data());
  auto* to = reinterpret_cast<std::complex<R>*>(out.data());
  for (int64_t o = 0; o < s.outer; o++)
    for (int64_t i = 0; i < s.inner; i++)
      for (int64_t k = 0; k < s.n; k++) {
        int64_t at = (o * s.n + k) * s.inner + i;
        to[at] = k ? log_add(to[at - s.inner], from[at]) : from[at];
      }
}

}  // namespace

namespace entries {

void running_sum(Call& c) { accumulate(c, scans().sum); }
void cumprod(Call& c) { accumulate(c, scans().cumprod); }

void sum_behind(Call& c) {
  const Tensor& t = c.tensor(0);
  int dim = wrap_dim(c.args[1].as_int(), t.dim());
  Tensor x = contiguous(reversed(converted(t, computed_in(t.dtype())), dim));
  run(scans().sum, x, x, dim);
  c.results[0] = contiguous(converted(reversed(x, dim), t.dtype()));
}

void cummax(Call& c) { extreme(c, scans().cummax, "cummax_cpu"); }
void cummin(Call& c) { extreme(c, scans().cummin, "cummin_cpu"); }

void running_logsumexp(Call& c) {
  const Tensor& t = c.tensor(0);
  int dim = wrap_dim(c.args[1].as_int(), t.dim());
  if (is_integral(t.dtype())) no_kernel(str(c.primitive.name, "_out_cpu").c_str(), t.dtype());
  DType compute = computed_in(t.dtype());
  Tensor x = contiguous(converted(t, compute)),
         out = compute == t.dtype() ? result(c, 0, t.sizes(), compute) : empty(t.sizes(), compute);
  if (compute == DType::Complex64)
    complex_running_logsumexp<float>(out, x, dim);
  else if (compute == DType::Complex128)
    complex_running_logsumexp<double>(out, x, dim);
  else
    run(scans().logsumexp, out, x, dim);
  if (compute != t.dtype()) copy_into(result(c, 0, t.sizes(), t.dtype()), out);
}

}  // namespace entries

namespace vjps {

namespace {

bool has_zero(const Tensor& x) {
  Tensor any = ops::any(ops::eq(make_view(x, x.sizes(), x.strides(), x.offset()), 0));
  return *any.data_as<bool>();
}

// The cotangent of element k as a sum over all products without it: exact where there are zeros, and differentiable.
Tensor one_by_one(const Tensor& g, const Tensor& x, int dim) {
  int64_t n = x.size(dim);
  std::vector<Tensor> parts;
  for (int64_t k = 0; k < n; k++) {
    Tensor terms = ops::narrow(g, dim, k, n - k);
    Tensor behind;  // products of the elements behind k, starting with none
    if (k + 1 < n) {
      Tensor one = ops::cast(ops::eq(ops::zeros_like(ops::narrow(x, dim, 0, 1)), 0), x.dtype());
      Tensor products = ops::cumprod(ops::narrow(x, dim, k + 1, n - k - 1), dim);
      TensorBody* both[] = {one.get(), products.get()};
      terms = ops::mul(terms, ops::cat(std::span<TensorBody* const>(both), dim));
    }
    Tensor sum = ops::sum(terms, Dims{dim}, true);
    if (k) sum = ops::mul(sum, ops::narrow(ops::cumprod(ops::narrow(x, dim, 0, k), dim), dim, k - 1, 1));
    parts.push_back(sum);
  }
  std::vector<TensorBody*> list;
  for (const Tensor& p : parts) list.push_back(p.get());
  return ops::cat(std::span<TensorBody* const>(list), dim);
}

}  // namespace

void cumprod(Backward& b) {
  const Tensor& g = b.grads[0];
  Tensor x = saved(b, b.args[0]).as_tensor(), y = saved(b, b.results[0]).as_tensor();
  if (x.dtype() != y.dtype()) x = ops::cast(x, y.dtype());
  if (x.dim() == 0) {
    b.out[0] = reduced(b, 0, g);
    return;
  }
  int dim = wrap_dim(b.args[1].as_int(), x.dim());
  Tensor out;
  if (!x.numel()) {
    out = g;
  } else if (!has_zero(x)) {
    out = ops::div(ops::sum_behind(ops::mul(g, y), dim), x);
  } else if (b.differentiable) {
    out = one_by_one(g, x, dim);
  } else {
    // Before the first zero as above; at it, the products that leave it out; behind it nothing.
    Tensor zero = ops::eq(x, 0), counted = ops::flip(ops::cast(zero, DType::Int64), Dims{dim}),
           seen = ops::flip(ops::sum_behind(counted, dim), Dims{dim}), first = ops::logical_and(zero, ops::eq(seen, 1)),
           before = ops::eq(seen, 0);
    Tensor left = ops::div(ops::sum_behind(ops::mul(g, y), dim), ops::where(before, x, 1));
    Tensor others = ops::cumprod(ops::where(first, 1, x), dim);
    Tensor at = ops::sum_behind(ops::where(before, 0, ops::mul(g, others)), dim);
    out = ops::where(before, left, ops::where(first, at, 0));
  }
  b.out[0] = reduced(b, 0, out);
}

// Sum over i >= k of g[i] * exp(x[k] - y[i]).
void running_logsumexp(Backward& b) {
  const Tensor& g = b.grads[0];
  Tensor x = saved(b, b.args[0]).as_tensor(), y = saved(b, b.results[0]).as_tensor();
  if (x.dim() == 0 || !x.numel()) {
    b.out[0] = g;
    return;
  }
  int dim = wrap_dim(b.args[1].as_int(), x.dim());
  int64_t n = x.size(dim);
  auto back = [&](const Tensor& t) {  // the same scan from the other end
    Tensor reversed = ops::flip(t, Dims{dim}), scanned;
    Value args[] = {reversed, dim};
    call(b.primitive, args, &scanned);
    return ops::flip(scanned, Dims{dim});
  };
  if (!b.differentiable && !is_complex(x.dtype())) {
    auto part = [&](const Tensor& size, const Tensor& wanted) {  // of one sign, through logarithms
      Tensor logs = ops::where(wanted, ops::sub(ops::log(ops::where(wanted, size, 1)), y), -__builtin_inf());
      return ops::exp(ops::add(back(logs), x));
    };
    Tensor positive = part(g, ops::gt(g, 0)), negative = part(ops::neg(g), ops::lt(g, 0));
    b.out[0] = ops::sub(positive, negative);
    return;
  }
  Tensor places = empty(Dims{n}, DType::Int64);
  for (int64_t i = 0; i < n; i++) places.data_as<int64_t>()[i] = i;
  Dims shape(x.dim() + 1, 1), sums{dim};
  for (int d = 0; d <= x.dim(); d++) shape[d] = 1;
  shape[dim] = n;
  Tensor i = ops::reshape(places, shape);
  shape[dim] = 1;
  shape[dim + 1] = n;
  Tensor k = ops::reshape(places, shape);
  Tensor later = ops::le(k, i), wide_y = ops::unsqueeze(y, dim + 1);
  Tensor distance = ops::sub(ops::unsqueeze(x, dim), wide_y);
  Tensor weight = ops::where(later, ops::exp(ops::where(later, distance, 0)), 0);
  b.out[0] = ops::sum(ops::mul(ops::unsqueeze(g, dim + 1), weight), sums);
}

}  // namespace vjps

}  // namespace flambeau
