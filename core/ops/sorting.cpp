// Sorting, selection and distinct values: rows of the last dimension over the sort kernels.
#include "kernels/cpu/sort.h"
#include "ops/indexing.h"

namespace flambeau {

using namespace indexing;

namespace {

const kernels::SortKernels& sorts() { return kernels::table<kernels::SortKernels>(); }

[[noreturn]] void no_kernel(const char* op, const char* kernel_name, DType dtype) {
  fail(ErrorKind::NotImplemented, '"', kernel_name, "\" not implemented for '", python_name_of(dtype), "'\n", op,
       ": expected a type that has an order; got ", name_of(dtype));
}

// The tensor with `dim` moved to the end, as a view.
Tensor moved_last(const Tensor& t, int dim) {
  Dims sizes(t.sizes()), strides(t.strides());
  std::rotate(sizes.begin() + dim, sizes.begin() + dim + 1, sizes.end());
  std::rotate(strides.begin() + dim, strides.begin() + dim + 1, strides.end());
  return make_view(t, sizes, strides, t.offset());
}

// Runs f(rows, n, in, values, indices) with `dim` of the input last and contiguous; the results get `k` elements along
// it (k = -1: none, the dimension goes or stays with extent 1).
template <class F> void along(Call& c, int dim, int64_t k, bool keep, F&& f) {
  const Tensor& t = c.tensor(0);
  Tensor line = at_least_1d(t), rows = contiguous(moved_last(line, dim));
  int64_t n = line.size(dim), count = n ? rows.numel() / n : product(Ints(rows.sizes()).first(size_t(rows.dim() - 1)));
  Dims sizes(t.sizes()), wide(rows.sizes());
  wide[wide.size() - 1] = k < 0 ? 1 : k;
  if (t.dim()) {
    if (k >= 0)
      sizes[dim] = k;
    else if (keep)
      sizes[dim] = 1;
    else
      sizes.erase(dim);
  }
  bool direct = dim == line.dim() - 1 || k < 0;  // the results lie as the kernel writes them
  Tensor values = direct ? result(c, 0, sizes, t.dtype()) : empty(wide, t.dtype());
  Tensor indices = direct ? result(c, 1, sizes, DType::Int64) : empty(wide, DType::Int64);
  if (values.numel()) f(count, n, rows.data(), values.data(), indices.data_as<int64_t>());
  if (direct) return;
  Tensor& to_values = result(c, 0, sizes, t.dtype());
  copy_into(moved_last(to_values, dim), values);
  Tensor& to_indices = result(c, 1, sizes, DType::Int64);
  copy_into(moved_last(to_indices, dim), indices);
}

void nonempty(const char* op, const Tensor& t, int dim) {
  if (t.dim() && t.size(dim) == 0)
    fail(ErrorKind::Index, op, "(): Expected reduction dim ", dim, " to have non-zero size.\n", op,
         ": expected elements along the dimension; got ", describe(t));
}

void check_ordered(const char* op, const char* kernel_name, DType dtype, bool bools) {
  if (is_complex(dtype) || (is_bool(dtype) && !bools)) no_kernel(op, kernel_name, dtype);
}

void median_along(Call& c, const char* op, bool ignore_nan) {
  const Tensor& t = c.tensor(0);
  int dim = wrap_dim(c.args[1].as_int(), t.dim());
  nonempty(op, t, dim);
  check_ordered(op, "median_out_impl", t.dtype(), false);
  along(c, dim, -1, c.args[2].as_bool(), [&](int64_t rows, int64_t n, const void* in, void* values, int64_t* indices) {
    sorts().median(t.dtype(), in, rows, n, ignore_nan, values, indices);
  });
}

void median_of_all(Call& c, const char* op, bool ignore_nan) {
  const Tensor& t = c.tensor(0);
  check_ordered(op, "median_cpu", t.dtype(), false);
  Tensor& out = result(c, 0, Ints(), t.dtype());
  if (t.numel()) {
    Tensor all = contiguous(t);
    sorts().median(t.dtype(), all.data(), 1, t.numel(), ignore_nan, out.data(), nullptr);
  } else if (is_floating(t.dtype())) {
    store_number(out.data(), t.dtype(), {__builtin_nan(""), 0});
  } else {
    store_integer(out.data(), t.dtype(),
                  t.dtype() == DType::Int64   ? INT64_MIN
                  : t.dtype() == DType::Int32 ? INT32_MIN
                                              : 0);
  }
}

using Distinct = int64_t (*)(DType, const void*, int64_t, void*, int64_t*, int64_t*);

void distinct(Call& c, Distinct kernel, const Value& inverse, const Value& counts, const char* op) {
  const Tensor& t = c.tensor(0);
  check_ordered(op, "unique", t.dtype(), true);
  Tensor all = contiguous(t), found = empty(Dims{t.numel()}, t.dtype()),
         n = empty(Dims{counts.as_bool() ? t.numel() : 0}, DType::Int64);
  Tensor& where = inverse.as_bool() ? result(c, 1, t.sizes(), DType::Int64) : result(c, 1, Dims{0}, DType::Int64);
  int64_t count = !t.numel() ? 0
                             : kernel(t.dtype(), all.data(), t.numel(), found.data(),
                                      inverse.as_bool() ? where.data_as<int64_t>() : nullptr,
                                      counts.as_bool() ? n.data_as<int64_t>() : nullptr);
  copy_into(result(c, 0, Dims{count}, t.dtype()), make_view(found, Dims{count}, Dims{1}, 0));
  Dims many{counts.as_bool() ? count : 0};
  copy_into(result(c, 2, many, DType::Int64), make_view(n, many, Dims{1}, 0));
}

}  // namespace

namespace entries {

void sort(Call& c) {
  const Tensor& t = c.tensor(0);
  int dim = wrap_dim(c.args[1].as_int(), t.dim());
  if (is_complex(t.dtype()))
    fail(ErrorKind::Runtime,
         " Sort does not support complex dtypes on CPU\nsort: expected a type that has an order; got ", describe(t));
  along(c, dim, t.dim() ? t.size(dim) : 1, true,
        [&](int64_t rows, int64_t n, const void* in, void* values, int64_t* indices) {
          sorts().sort(t.dtype(), in, rows, n, c.args[2].as_bool(), values, indices);
        });
}

void topk(Call& c) {
  const Tensor& t = c.tensor(0);
  int dim = wrap_dim(c.args[2].as_int(), t.dim());
  int64_t k = c.args[1].as_int(), n = t.dim() ? t.size(dim) : 1;
  if (k < 0 || k > n)
    fail(ErrorKind::Runtime, "selected index k out of range\ntopk: expected k from 0 to ", n, "; got ", k);
  if (is_complex(t.dtype()) || is_bool(t.dtype()))
    fail(ErrorKind::Runtime, " topk does not support ", is_bool(t.dtype()) ? "bool" : "complex",
         " dtypes on CPU\ntopk: expected numbers that have an order; got ", describe(t));
  along(c, dim, k, true, [&](int64_t rows, int64_t n, const void* in, void* values, int64_t* indices) {
    sorts().topk(t.dtype(), in, rows, n, k, c.args[3].as_bool(), values, indices);
  });
}

void kthvalue(Call& c) {
  check_given(c);
  const Tensor& t = c.tensor(0);
  int dim = wrap_dim(c.args[2].as_int(), t.dim());
  int64_t k = c.args[1].as_int(), n = t.dim() ? t.size(dim) : 1;
  nonempty("kthvalue", t, dim);
  if (k < 1 || k > n)
    fail(ErrorKind::Runtime, "kthvalue(): selected number k out of range for dimension ", dim,
         "\nkthvalue: expected k from 1 to ", n, "; got ", k);
  check_ordered("kthvalue", "kthvalue_cpu", t.dtype(), false);
  along(c, dim, -1, c.args[3].as_bool(), [&](int64_t rows, int64_t n, const void* in, void* values, int64_t* indices) {
    sorts().kth(t.dtype(), in, rows, n, k - 1, values, indices);
  });
}

void median_dim(Call& c) { median_along(c, "median", false); }
void nanmedian_dim(Call& c) { median_along(c, "nanmedian", true); }
void median_all(Call& c) { median_of_all(c, "median", false); }
void nanmedian_all(Call& c) { median_of_all(c, "nanmedian", true); }

void mode(Call& c) {
  const Tensor& t = c.tensor(0);
  int dim = wrap_dim(c.args[1].as_int(), t.dim());
  nonempty("mode", t, dim);
  check_ordered("mode", "mode_cpu", t.dtype(), true);
  along(c, dim, -1, c.args[2].as_bool(), [&](int64_t rows, int64_t n, const void* in, void* values, int64_t* indices) {
    sorts().mode(t.dtype(), in, rows, n, values, indices);
  });
}

void unique2(Call& c) { distinct(c, sorts().unique, c.args[2], c.args[3], "unique"); }
void unique_consecutive(Call& c) {
  distinct(c, sorts().unique_consecutive, c.args[1], c.args[2], "unique_consecutive");
}

}  // namespace entries

namespace vjps {

// One element along `dim` was taken: kthvalue (input, k, dim, keepdim), median_dim and mode (input, dim, keepdim).
void selected(Backward& b) {
  int at = b.primitive.param_count - 2;
  Tensor g = b.grads[0], indices = b.results[1];
  Ints sizes = b.shapes[0];
  int dim = wrap_dim(b.args[at].as_int(), int(sizes.size()));
  if (sizes.size() && !b.args[at + 1].as_bool()) {
    g = ops::unsqueeze(g, dim);
    indices = ops::unsqueeze(indices, dim);
  }
  b.out[0] = ops::gather_backward(g, sizes, dim, indices);
}

// Equal elements share the cotangent.
void median_all(Backward& b) {
  const Value& x = b.args[0];
  const Tensor& m = b.results[0];
  Tensor same = ops::where(ops::isnan(m), ops::isnan(x), ops::eq(x, m));
  Tensor weight = ops::cast(same, b.dtypes[0]);
  b.out[0] = ops::mul(ops::div(weight, ops::cast(ops::sum(same), b.dtypes[0])), b.grads[0]);
}

}  // namespace vjps

}  // namespace flambeau
