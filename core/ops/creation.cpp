// New tensors from sizes and numbers.
#include <cmath>
#include "base/parallel.h"
#include "ops/entries.h"
#include "ops/random_fill.h"

namespace flambeau {

namespace {

DType number_dtype(const Value& v) {
  return v.kind == Kind::Bool ? DType::Bool : v.kind == Kind::Int ? DType::Int64 : v.kind == Kind::Complex ? complex_of(default_dtype()) : default_dtype();
}

void fill_number(const Tensor& t, const Value& v) {
  alignas(16) char value[16];
  if (v.kind == Kind::Complex && !is_complex(t.dtype()))
    fail(ErrorKind::Runtime, "value cannot be converted to type ", name_of(t.dtype()), " without overflow");
  if (v.kind == Kind::Int || v.kind == Kind::Bool) store_integer(value, t.dtype(), v.integer);
  else store_number(value, t.dtype(), v.as_complex());
  fill_with(t, value);
}

// The given tensor of out= takes on the size; otherwise a new one.
Tensor& made(Call& c, Ints size, const Value& dtype, DType fallback) {
  if (c.results[0]) {
    if (!dtype.none() && dtype.as_dtype() != c.results[0].dtype())
      fail(ErrorKind::Runtime, "dtype ", name_of(dtype.as_dtype()), " does not match dtype of out parameter (", name_of(c.results[0].dtype()), ")");
    if (!equal(c.results[0].sizes(), size)) resize_(c.results[0], size);
  } else {
    c.results[0] = empty(size, dtype.dtype_or(fallback));
  }
  return c.results[0];
}

Generator& generator_of(const Value& v) { return v.none() ? default_generator() : *v.generator; }

}  // namespace

namespace entries {

void empty(Call& c) { made(c, c.args[0].as_ints(), c.args[1], default_dtype()); }
void zeros(Call& c) { fill_number(made(c, c.args[0].as_ints(), c.args[1], default_dtype()), Value(0)); }
void ones(Call& c) { fill_number(made(c, c.args[0].as_ints(), c.args[1], default_dtype()), Value(1)); }
void full(Call& c) { fill_number(made(c, c.args[0].as_ints(), c.args[2], number_dtype(c.args[1])), c.args[1]); }

void empty_like(Call& c) {
  const Tensor& t = c.tensor(0);
  DType dtype = c.args[1].dtype_or(t.dtype());
  bool in_order = c.args[2].kind == Kind::Text && c.args[2].as_text() == "contiguous_format";
  if (in_order || t.contiguous()) c.results[0] = flambeau::empty(t.sizes(), dtype);
  else if (dense(t)) c.results[0] = empty_strided(t.sizes(), t.strides(), dtype);
  else c.results[0] = flambeau::empty(t.sizes(), dtype);
}

void arange(Call& c) {
  Value start = c.args[0], end = c.args[1], step = c.args[2];
  if (end.none()) {
    end = start;
    start = Value(0);
  }
  bool whole = start.kind != Kind::Double && end.kind != Kind::Double && step.kind != Kind::Double;
  double s = start.as_double(), e = end.as_double(), d = step.as_double();
  if (d == 0) fail(ErrorKind::Runtime, "step must be nonzero");
  if (!std::isfinite(s) || !std::isfinite(e)) fail(ErrorKind::Runtime, "unsupported range: ", s, " -> ", e);
  if ((d > 0 && e < s) || (d < 0 && e > s))
    fail(ErrorKind::Runtime, "upper bound and lower bound inconsistent with step sign\narange: got start ", s, ", end ", e, ", step ", d);
  int64_t n;
  if (whole) {
    int64_t first = start.as_int(), last = end.as_int(), by = step.as_int();
    n = (last - first + by - (by > 0 ? 1 : -1)) / by;
  } else {
    n = int64_t(std::ceil((e - s) / d));
  }
  DType fallback = whole ? DType::Int64 : default_dtype();
  Dims size{n};
  Tensor& out = made(c, size, c.args[3], c.results[0] ? c.results[0].dtype() : fallback);
  DType dtype = out.dtype();
  Tensor flat = out.contiguous() ? out : flambeau::empty(size, dtype);
  visit_dtype(dtype, [&]<class T>() {
    if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16> || std::is_same_v<T, Complex64> || std::is_same_v<T, Complex128> || std::is_same_v<T, bool>) {
      for (int64_t i = 0; i < n; i++) store_number(flat.data() + i * int64_t(sizeof(T)), dtype, {s + double(i) * d, 0});
    } else if constexpr (std::is_integral_v<T>) {
      int64_t first = start.as_int(), by = step.as_int();
      for (int64_t i = 0; i < n; i++) flat.data_as<T>()[i] = T(first + i * by);
    } else {
      for (int64_t i = 0; i < n; i++) flat.data_as<T>()[i] = T(s + double(i) * d);
    }
  });
  if (flat.get() != out.get()) copy_into(out, flat);
}

void rand(Call& c) {
  Tensor& out = made(c, c.args[0].as_ints(), c.args[1], default_dtype());
  Tensor flat = out.contiguous() ? out : flambeau::empty(out.sizes(), out.dtype());
  random::uniform(generator_of(c.args[2]), out.dtype(), flat.data(), flat.numel(), 0, 1);
  if (flat.get() != out.get()) copy_into(out, flat);
}

void randn(Call& c) {
  Tensor& out = made(c, c.args[0].as_ints(), c.args[1], default_dtype());
  Tensor flat = out.contiguous() ? out : flambeau::empty(out.sizes(), out.dtype());
  random::normal(generator_of(c.args[2]), out.dtype(), flat.data(), flat.numel(), 0, 1);
  if (flat.get() != out.get()) copy_into(out, flat);
}

void randperm(Call& c) {
  int64_t n = c.args[0].as_int();
  if (n < 0) fail(ErrorKind::Runtime, "n must be non-negative, got", n);
  Dims size{n};
  Tensor& out = made(c, size, c.args[1], c.results[0] ? c.results[0].dtype() : DType::Int64);
  Tensor flat = out.contiguous() ? out : flambeau::empty(size, out.dtype());
  random::permutation(generator_of(c.args[2]), out.dtype(), flat.data(), n);
  if (flat.get() != out.get()) copy_into(out, flat);
}

}  // namespace entries

}  // namespace flambeau
