// Tensors from nothing: by size, by value, by range.
#include <cmath>
#include <cstring>
#include "base/parallel.h"
#include "ops/entries.h"

namespace flambeau {

DType factory_dtype(const Call& c, const Value& dtype, DType fallback) {
  if (!c.results[0]) return dtype.dtype_or(fallback);
  DType given = c.results[0].dtype();
  if (!dtype.none() && dtype.as_dtype() != given)
    fail(ErrorKind::Runtime, "dtype ", python_name_of(dtype.as_dtype()), " does not match dtype of out parameter (",
         python_name_of(given), ")\n", c.primitive.name, ": expected out= of ", name_of(dtype.as_dtype()), "; got ",
         name_of(given));
  return given;
}

namespace {

void check_size(const char* op, Ints size) {
  for (int64_t n : size)
    if (n < 0)
      fail(ErrorKind::Runtime, "Trying to create tensor with negative dimension ", n, ": ", text_of(size), "\n", op,
           ": expected extents from 0 on; got ", shape_text(size));
}

// Element bytes of a number; integers outside an integer type are refused as PyTorch does.
struct Bytes {
  alignas(16) char at[16] = {};
  Bytes(const char* op, const Value& v, DType dtype) {
    auto refuse = [&] {
      fail(ErrorKind::Runtime, "value cannot be converted to type ", cpp_name_of(dtype), " without overflow\n", op,
           ": expected a value that ", name_of(dtype), " holds; got ",
           v.kind == Kind::Complex ? "a complex number" : std::to_string(v.as_double()));
    };
    if (v.kind == Kind::Complex && !is_complex(dtype) && v.complex->im != 0) refuse();
    if (is_integral(dtype) && !is_bool(dtype)) {
      int bits = 8 * int(item_size(dtype));
      bool unsigned_type = dtype == DType::UInt8;
      double low = unsigned_type ? -std::ldexp(1, bits) : -std::ldexp(1, bits - 1),
             high = std::ldexp(1, unsigned_type ? bits : bits - 1);
      double x = v.as_double();
      bool exact = v.kind == Kind::Bool || (bits == 64 && v.kind == Kind::Int);
      if (!exact && !(x >= low && x < high)) refuse();
    }
    if (is_floating(dtype) && std::isfinite(v.as_double())) {
      double largest = dtype == DType::Float16    ? 65504
                       : dtype == DType::BFloat16 ? 0x1.fep127
                       : dtype == DType::Float32  ? 0x1.fffffep127
                                                  : HUGE_VAL;
      if (std::abs(v.as_double()) > largest) refuse();
    }
    if (v.kind == Kind::Int || v.kind == Kind::Bool)
      store_integer(at, dtype, v.integer);
    else
      store_number(at, dtype, v.as_complex());
  }
};

void fill_result(Call& c, Ints size, DType dtype, const Value& value) {
  check_size(c.primitive.name, size);
  Bytes bytes(c.primitive.name, value, dtype);
  fill_with(result(c, 0, size, dtype), bytes.at);
}

DType type_of_number(const Value& v) {
  return v.kind == Kind::Bool      ? DType::Bool
         : v.kind == Kind::Int     ? DType::Int64
         : v.kind == Kind::Complex ? complex_of(default_dtype())
                                   : default_dtype();
}

// Strides of the memory formats that order the dimensions of a size: channels last.
bool channels_last(const Value& format, Ints size, Dims& strides) {
  if (format.kind != Kind::Text) return false;
  std::string_view name = format.as_text();
  size_t rank = name == "channels_last" ? 4 : name == "channels_last_3d" ? 5 : 0;
  if (!rank) return false;
  if (size.size() != rank)
    fail(ErrorKind::Runtime, "required rank ", int(rank), " tensor to use ", std::string(name),
         " format\nempty: expected ", int(rank), " extents; got ", shape_text(size));
  strides = Dims(int(rank));
  int64_t step = std::max<int64_t>(1, size[1]);
  strides[1] = 1;
  for (int d = int(rank) - 1; d >= 2; d--) {
    strides[d] = step;
    step *= std::max<int64_t>(1, size[size_t(d)]);
  }
  strides[0] = step;
  return true;
}

// result 0 in the shape of argument 0, its type named or the same, its strides as the format says.
Tensor like(Call& c, const Value& dtype, const Value& format) {
  const Tensor& t = c.tensor(0);
  DType to = dtype.dtype_or(t.dtype());
  if (c.results[0]) return result(c, 0, t.sizes(), to);
  Dims strides;
  bool preserve = format.none() || format.as_text() == "preserve_format";
  if (channels_last(format, t.sizes(), strides))
    c.results[0] = empty_strided(t.sizes(), strides, to);
  else if (!preserve || t.contiguous())
    c.results[0] = empty(t.sizes(), to);
  else if (to == t.dtype())
    c.results[0] = empty_like(t);
  else
    c.results[0] = empty_strided(t.sizes(), empty_like(t).strides(), to);
  return c.results[0];
}

// out[i] = f(i), in the element type: f gives a Complex128, a double or an int64_t.
template <class F> void fill_by_position(const Tensor& out, F&& f) {
  visit_dtype(out.dtype(), [&]<class T>() {
    T* to = out.data_as<T>();
    parallel_for(out.numel(), 16384, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        auto value = f(i);
        if constexpr (std::is_same_v<decltype(value), Complex128>) {
          if constexpr (std::is_same_v<T, Complex64>)
            to[i] = {float(value.re), float(value.im)};
          else if constexpr (std::is_same_v<T, Complex128>)
            to[i] = value;
        } else if constexpr (std::is_same_v<T, Half>)
          to[i] = to_half(float(value));
        else if constexpr (std::is_same_v<T, BFloat16>)
          to[i] = to_bfloat16(float(value));
        else if constexpr (std::is_same_v<T, Complex64>)
          to[i] = {float(value), 0};
        else if constexpr (std::is_same_v<T, Complex128>)
          to[i] = {double(value), 0};
        else if constexpr (std::is_same_v<T, bool>)
          to[i] = value != 0;
        else if constexpr (std::is_integral_v<T>)
          to[i] = T(int64_t(value));
        else
          to[i] = T(value);
      }
    });
  });
}

// A number, or a tensor without dimensions, as an end of a range.
Complex128 end_of_range(const Call& c, int i) {
  const Value& v = c.args[i];
  if (!v.is_tensor()) return v.as_complex();
  if (v.tensor->dim)
    fail(ErrorKind::Runtime, c.primitive.name, " only supports 0-dimensional start and end tensors, but got ",
         c.primitive.params[i].name, " with ", int(v.tensor->dim), " dimension(s).\n", c.primitive.name,
         ": expected numbers; got ", describe(v.peek()));
  return load_number(v.tensor->data, v.tensor->dtype);
}

bool complex_end(const Value& v) { return v.is_tensor() ? is_complex(v.tensor->dtype) : v.kind == Kind::Complex; }

// What linspace and logspace share: f(position value). Values run from both ends towards the middle.
template <class F> void spaced(Call& c, DType dtype, F&& f) {
  Complex128 start = end_of_range(c, 0), end = end_of_range(c, 1);
  int64_t steps = c.args[2].as_int();
  if (steps < 0)
    fail(ErrorKind::Runtime, "number of steps must be non-negative\n", c.primitive.name,
         ": expected steps from 0 on; got ", steps);
  if (is_bool(dtype))
    fail(ErrorKind::NotImplemented, '"', c.primitive.name, "_cpu\" not implemented for 'Bool'\n", c.primitive.name,
         ": expected a number type; got bool");
  if (is_integral(dtype)) start.re = std::trunc(start.re), end.re = std::trunc(end.re);
  Tensor& out = result(c, 0, Dims{steps}, dtype);
  double parts = steps > 1 ? double(steps - 1) : 1;
  Complex128 step{(end.re - start.re) / parts, (end.im - start.im) / parts};
  if (is_complex(dtype)) {
    fill_by_position(out, [&](int64_t i) -> Complex128 {
      double k = double(i), back = double(steps - 1 - i);
      bool low = i < steps / 2 || steps == 1;
      return f(low ? Complex128{start.re + step.re * k, start.im + step.im * k}
                   : Complex128{end.re - step.re * back, end.im - step.im * back});
    });
    return;
  }
  if (complex_end(c.args[0]) || complex_end(c.args[1]))
    fail(ErrorKind::Runtime, c.primitive.name, "(): inferred dtype ComplexFloat can't be safely cast to passed dtype ",
         python_name_of(dtype), "\n", c.primitive.name, ": expected real ends for ", name_of(dtype),
         "; got complex ones");
  fill_by_position(out, [&](int64_t i) -> double {
    bool low = i < steps / 2 || steps == 1;
    return f(Complex128{low ? start.re + step.re * double(i) : end.re - step.re * double(steps - 1 - i), 0}).re;
  });
}

DType spaced_type(const Call& c, const Value& dtype) {
  bool complex = complex_end(c.args[0]) || complex_end(c.args[1]);
  return factory_dtype(c, dtype, complex ? complex_of(default_dtype()) : default_dtype());
}

}  // namespace

namespace entries {

void empty(Call& c) {
  Ints size = c.args[0].as_ints();
  check_size("empty", size);
  DType dtype = factory_dtype(c, c.args[1], default_dtype());
  Dims strides;
  if (!c.results[0] && channels_last(c.args[2], size, strides))
    c.results[0] = flambeau::empty_strided(size, strides, dtype);
  else
    result(c, 0, size, dtype);
}

void zeros(Call& c) {
  Ints size = c.args[0].as_ints();
  check_size("zeros", size);
  const Tensor& out = result(c, 0, size, factory_dtype(c, c.args[1], default_dtype()));
  constexpr size_t kSmall = 64 << 10;  // bytes for which starting threads and a pattern would cost more than the zeros
  if (out.bytes() <= kSmall) {
    std::memset(out.data(), 0, out.bytes());
  } else {
    uint64_t nothing[2] = {};
    fill_with(out, nothing);
  }
}

void ones(Call& c) { fill_result(c, c.args[0].as_ints(), factory_dtype(c, c.args[1], default_dtype()), Value(1)); }

void full(Call& c) {
  fill_result(c, c.args[0].as_ints(), factory_dtype(c, c.args[2], type_of_number(c.args[1])), c.args[1]);
}

void empty_like(Call& c) { like(c, c.args[1], c.args[2]); }

void ones_like(Call& c) {
  Tensor t = like(c, c.args[1], c.args[2]);
  fill_with(t, Bytes("ones_like", Value(1), t.dtype()).at);
}

void full_like(Call& c) {
  Tensor t = like(c, c.args[2], c.args[3]);
  fill_with(t, Bytes("full_like", c.args[1], t.dtype()).at);
}

void empty_strided(Call& c) {
  Ints size = c.args[0].as_ints(), stride = c.args[1].as_ints();
  if (size.size() != stride.size())
    fail(ErrorKind::Runtime, "dimensionality of sizes (", int64_t(size.size()),
         ") must match dimensionality of strides (", int64_t(stride.size()),
         ")\nempty_strided: expected a stride per extent; got ", shape_text(size), " and ", shape_text(stride));
  check_size("empty_strided", size);
  for (int64_t s : stride)
    if (s < 0)
      fail(ErrorKind::Runtime,
           "empty_strided: Negative strides are not supported\nempty_strided: expected strides from 0 on; got ",
           shape_text(stride));
  c.results[0] = flambeau::empty_strided(size, stride, factory_dtype(c, c.args[2], default_dtype()));
}

void scalar_tensor(Call& c) {
  fill_result(
      c, Ints(),
      factory_dtype(c, c.args[1], c.args[0].kind == Kind::Complex ? complex_of(default_dtype()) : default_dtype()),
      c.args[0]);
}

void arange(Call& c) {
  Value start = c.args[0], end = c.args[1], step = c.args[2];
  if (end.none()) {
    if (start.none())
      fail(ErrorKind::Type,
           "arange() missing 1 required positional arguments: \"end\"\narange: expected an end; got none");
    end = start;
    start = Value(0);
  } else if (start.none()) {
    start = Value(0);
  }
  auto whole = [](const Value& v) { return v.kind == Kind::Int || v.kind == Kind::Bool; };
  if (start.kind == Kind::Complex || end.kind == Kind::Complex || step.kind == Kind::Complex)
    fail(ErrorKind::Runtime,
         "arange(): expected real numbers\narange: expected real limits and step; got a complex one");
  bool integers = whole(start) && whole(end) && whole(step);
  DType dtype = factory_dtype(c, c.args[3], integers ? DType::Int64 : default_dtype());
  if (is_bool(dtype) || is_complex(dtype))
    fail(ErrorKind::NotImplemented, "\"arange_cpu\" not implemented for '", python_name_of(dtype),
         "'\narange: expected a real dtype; got ", name_of(dtype));
  double first = start.as_double(), last = end.as_double(), by = step.as_double();
  if (dtype == DType::Int64 && !integers) {
    first = std::trunc(first), last = std::trunc(last), by = std::trunc(by);
    if (by == 0)
      fail(ErrorKind::Value, "step must be nonzero\narange: expected a step of at least 1 for int64; got ",
           step.as_double());
  }
  if (by == 0) fail(ErrorKind::Runtime, "step must be nonzero\narange: expected a step that is not 0; got 0");
  if (!std::isfinite(first) || !std::isfinite(last))
    fail(ErrorKind::Runtime, "unsupported range: ", first, " -> ", last, "\narange: expected finite limits; got ",
         first, " and ", last);
  if ((by > 0 && last < first) || (by < 0 && last > first))
    fail(ErrorKind::Runtime,
         "upper bound and lower bound inconsistent with step sign\narange: expected limits in the direction of the "
         "step; got ",
         first, ", ", last, ", ", by);
  if (integers) {
    int64_t a = start.as_int(), b = end.as_int(), s = step.as_int(), sign = s > 0 ? 1 : -1;
    __int128 count = (__int128(b) - a + s - sign) / s;
    if (count > INT64_MAX)
      fail(ErrorKind::Runtime, "invalid size, possible overflow?\narange: expected fewer elements; got ", a, " to ", b);
    Tensor& out = result(c, 0, Dims{int64_t(count)}, dtype);
    fill_by_position(out, [=](int64_t i) { return a + s * i; });
    return;
  }
  double count = std::ceil((last - first) / by);
  if (!(count >= 0 && count < 0x1p62))
    fail(ErrorKind::Runtime, "invalid size, possible overflow?\narange: expected fewer elements; got ", count);
  Tensor& out = result(c, 0, Dims{int64_t(count)}, dtype);
  if (is_integral(dtype)) first = std::trunc(first), by = std::trunc(by);
  fill_by_position(out, [=](int64_t i) { return first + by * double(i); });
}

void linspace(Call& c) {
  spaced(c, spaced_type(c, c.args[3]), [](Complex128 x) { return x; });
}

void logspace(Call& c) {
  double base = c.args[3].as_double();
  spaced(c, spaced_type(c, c.args[4]), [base](Complex128 x) -> Complex128 {
    if (x.im == 0) return {std::pow(base, x.re), 0};
    double size = std::pow(base, x.re), angle = x.im * std::log(base);
    return {size * std::cos(angle), size * std::sin(angle)};
  });
}

void eye(Call& c) {
  int64_t n = c.args[0].as_int(), m = c.args[1].int_or(n);
  if (n < 0)
    fail(ErrorKind::Runtime, "n must be greater or equal to 0, got ", n, "\neye: expected n from 0 on; got ", n);
  if (m < 0)
    fail(ErrorKind::Runtime, "m must be greater or equal to 0, got ", m, "\neye: expected m from 0 on; got ", m);
  DType dtype = factory_dtype(c, c.args[2], default_dtype());
  Tensor& out = result(c, 0, Dims{n, m}, dtype);
  uint64_t nothing[2] = {};
  fill_with(out, nothing);
  Bytes one("eye", Value(1), dtype);
  size_t item = item_size(dtype);
  for (int64_t i = 0; i < std::min(n, m); i++) std::memcpy(out.data() + size_t(i * (m + 1)) * item, one.at, item);
}

}  // namespace entries

}  // namespace flambeau
