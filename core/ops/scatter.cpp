// A position for each element along one dimension: gather and the scatters.
#include "ops/indexing.h"

namespace flambeau {

using namespace indexing;

namespace indexing {

Tensor index_for(const char* op, const Tensor& index) {
  if (index.numel() && index.dtype() != DType::Int64 && index.dtype() != DType::Int32)
    fail(ErrorKind::Runtime, op, "(): Expected dtype int32/int64 for index\n", op, ": expected int64 positions; got ",
         describe(index));
  return converted(index, DType::Int64);
}

Tensor changed(Call& c) {
  const Tensor& t = c.tensor(0);
  if (!c.in_place) {
    Tensor& out = result(c, 0, t.sizes(), t.dtype());
    copy_into(out, t);
    return make_view(out, out.sizes(), out.strides(), out.offset());
  }
  if (may_self_overlap(t))
    fail(ErrorKind::Runtime,
         "unsupported operation: more than one element of the written-to tensor refers to a single memory "
         "location. Please clone() the tensor before performing the operation.\n",
         c.primitive.name, "_: expected a tensor without repeated elements; got ", describe(t), " with strides ",
         text_of(t.strides()));
  return make_view(t, t.sizes(), t.strides(), t.offset());
}

Tensor apart(const Tensor& target, const Tensor& t) { return t && same_storage(target, t) ? clone_data(t) : t; }

void check_given(const Call& c, bool exact_dtype) {
  if (!c.given || c.in_place) return;
  auto range_end = [](const TensorBody* t) {
    int64_t last = 0;
    for (int d = 0; d < t->dim; d++) last += (t->sizes[d] - 1) * t->sizes[t->dim + d];
    return t->data + (last + 1) * int64_t(item_size(t->dtype));
  };
  for (int r = 0; r < c.primitive.result_count; r++) {
    const Tensor& out = c.results[r];
    if (!out) continue;
    if (exact_dtype && r == 0 && out.dtype() != c.tensor(0).dtype())
      fail(ErrorKind::Runtime, "Expected out tensor to have dtype ", cpp_name_of(c.tensor(0).dtype()), ", but got ",
           cpp_name_of(out.dtype()), " instead\n", c.primitive.name, ": expected out= of ",
           name_of(c.tensor(0).dtype()), "; got ", describe(out));
    if (may_self_overlap(out))
      fail(ErrorKind::Runtime,
           "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
           "Please clone() the tensor before performing the operation.\n",
           c.primitive.name, ": expected out= without repeated elements; got ", describe(out));
    for (int i = 0; i < c.primitive.param_count; i++) {
      const Value& v = c.args[i];
      if (!v.is_tensor() || !out.numel() || !v.tensor->numel || v.tensor->storage != out.storage()) continue;
      if (v.tensor->data < range_end(out.get()) && out.data() < range_end(v.tensor))
        fail(ErrorKind::Runtime,
             "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single "
             "memory location. Please clone() the tensor before performing the operation.\n",
             c.primitive.name, ": expected out= apart from the operands; got memory of '", c.primitive.params[i].name,
             "'");
    }
  }
}

void out_of_bounds(ErrorKind kind, const char* op, int64_t index, int dim, int64_t size) {
  fail(kind, "index ", index, " is out of bounds for dimension ", dim, " with size ", size, "\n", op,
       ": expected positions below ", size, "; got ", index);
}

Element element_of(const char* op, const Value& number, DType dtype) {
  Element e;
  if (number.kind == Kind::Complex && !is_complex(dtype))
    fail(ErrorKind::Runtime, "value cannot be converted to type ", cpp_name_of(dtype), " without overflow\n", op,
         ": expected a real number for ", name_of(dtype), "; got a complex one");
  if (number.kind == Kind::Int || number.kind == Kind::Bool)
    store_integer(e.bytes, dtype, number.integer);
  else
    store_number(e.bytes, dtype, number.as_complex());
  return e;
}

}  // namespace indexing

namespace {

// Shapes of index and data, PyTorch's checks. `source`: null for gather and for numbers.
void check_shapes(const char* op, const Tensor& data, int dim, const Tensor& index, const Tensor* source) {
  Tensor d = at_least_1d(data), i = at_least_1d(index);
  if (d.dim() != i.dim())
    fail(ErrorKind::Runtime, "Index tensor must have the same number of dimensions as ",
         source || op[0] == 's' ? "self" : "input", " tensor\n", op, ": expected ", d.dim(), " dimensions; got ",
         describe(index), " for ", describe(data));
  if (source && at_least_1d(*source).dim() != i.dim())
    fail(ErrorKind::Runtime, "Index tensor must have the same number of dimensions as src tensor\n", op, ": expected ",
         i.dim(), " dimensions; got ", describe(*source));
  bool fits = true;
  for (int k = 0; k < i.dim(); k++) {
    if (k != dim && i.size(k) > d.size(k)) {
      if (op[0] == 'g')
        fail(ErrorKind::Runtime, "Size does not match at dimension ", k, " expected index ", text_of(index.sizes()),
             " to be no larger than self ", text_of(data.sizes()), " apart from dimension ", dim, "\n", op,
             ": expected an index that fits; got ", describe(index));
      fits = false;
    }
    if (source && i.size(k) > at_least_1d(*source).size(k)) fits = false;
  }
  if (!fits)
    fail(ErrorKind::Runtime, "Expected index ", text_of(index.sizes()), " to be no larger than self ",
         text_of(data.sizes()), " apart from dimension ", dim,
         source ? " and to be no larger size than src " + text_of(source->sizes()) : "", "\n", op,
         ": expected an index that fits; got ", describe(index));
}

void scatter_into(const char* op, const Tensor& target, int dim, const Tensor& index, const void* data,
                  Ints data_strides, kernels::ScatterOp how, bool include_self) {
  Tensor t = at_least_1d(target), i = at_least_1d(index);
  Dims sizes(i.sizes()), zero(i.dim());
  kernels::AlongDim walk{i.dim(),
                         dim,
                         sizes.data(),
                         t.size(dim),
                         t.strides().data(),
                         i.strides().data(),
                         data_strides.empty() ? zero.data() : data_strides.data()};
  kernels::BadIndex bad = kernel().scatter(walk, t.dtype(), how, include_self, t.data(), data, i.data_as<int64_t>());
  if (!bad.ok()) out_of_bounds(ErrorKind::Runtime, op, bad.value, dim, t.size(dim));
}

// Checks, copies, scatters. `op` is PyTorch's name of the function, for messages.
void scatter_tensor(Call& c, const char* op, kernels::ScatterOp how, bool include_self, const Tensor& src) {
  const Tensor& t = c.tensor(0);
  int dim = wrap_dim(c.args[1].as_int(), t.dim());
  Tensor index = index_for(op, c.tensor(2));
  if (src.dtype() != t.dtype())
    fail(ErrorKind::Runtime, op, "(): Expected self.dtype to be equal to src.dtype\n", op, ": expected a source of ",
         name_of(t.dtype()), "; got ", describe(src));
  if (index.numel()) check_shapes(op, t, dim, index, &src);
  Tensor target = changed(c);
  if (!index.numel()) return;
  Tensor from = at_least_1d(apart(target, src));
  scatter_into(op, target, dim, apart(target, index), from.data(), from.strides(), how, include_self);
}

void scatter_number(Call& c, const Value& value, kernels::ScatterOp how) {
  const Tensor& t = c.tensor(0);
  int dim = wrap_dim(c.args[1].as_int(), t.dim());
  Tensor index = index_for("scatter", c.tensor(2));
  Element e = element_of("scatter", value, t.dtype());
  if (index.numel()) check_shapes("scatter", t, dim, index, nullptr);
  Tensor target = changed(c);
  if (index.numel()) scatter_into("scatter", target, dim, apart(target, index), e.bytes, Ints(), how, true);
}

kernels::ScatterOp reduction_of_scatter(const Value& reduce) {
  if (reduce.none()) return kernels::ScatterOp::Assign;
  if (reduce.as_text() == "add") return kernels::ScatterOp::Sum;
  if (reduce.as_text() == "multiply") return kernels::ScatterOp::Prod;
  fail(ErrorKind::Runtime,
       "reduce argument must be either add or multiply.\nscatter: expected reduce 'add' or 'multiply'; got '",
       std::string(reduce.as_text()), "'");
}

}  // namespace

namespace entries {

void gather(Call& c) {
  check_given(c, true);
  const Tensor& t = c.tensor(0);
  int dim = wrap_dim(c.args[1].as_int(), t.dim());
  Tensor index = index_for("gather", c.tensor(2));
  if (index.numel()) check_shapes("gather", t, dim, index, nullptr);
  Tensor& out = result(c, 0, index.sizes(), t.dtype());
  if (!index.numel()) return;
  Tensor from = at_least_1d(t), i = at_least_1d(index), to = at_least_1d(out);
  kernels::AlongDim walk{
      i.dim(), dim, i.sizes().data(), from.size(dim), from.strides().data(), i.strides().data(), to.strides().data()};
  kernels::BadIndex bad =
      kernel().gather(walk, to.data(), from.data(), i.data_as<int64_t>(), int(item_size(t.dtype())));
  if (!bad.ok()) out_of_bounds(ErrorKind::Runtime, "gather", bad.value, dim, from.size(dim));
}

void gather_backward(Call& c) {
  const Tensor& g = c.tensor(0);
  Ints sizes = c.args[1].as_ints();
  Tensor out = zeros(sizes, g.dtype());
  int dim = wrap_dim(c.args[2].as_int(), out.dim());
  Tensor index = index_for("gather_backward", c.tensor(3)), from = at_least_1d(g);
  if (index.numel()) {
    check_shapes("gather_backward", out, dim, index, &g);
    scatter_into("gather_backward", out, dim, index, from.data(), from.strides(), kernels::ScatterOp::Sum, true);
  }
  c.results[0] = out;
}

void scatter(Call& c) {
  kernels::ScatterOp how = reduction_of_scatter(c.args[5]);
  const Value& src = c.args[3].none() ? c.args[4] : c.args[3];
  if (src.none())
    fail(ErrorKind::Type,
         "scatter() missing 1 required positional arguments: \"src\"\nscatter: expected src or value; got neither");
  if (src.is_tensor())
    scatter_tensor(c, "scatter", how, true, src.peek());
  else
    scatter_number(c, src, how);
}

void scatter_value(Call& c) { scatter_number(c, c.args[3], reduction_of_scatter(c.args[4])); }

void scatter_add(Call& c) { scatter_tensor(c, "scatter", kernels::ScatterOp::Sum, true, c.tensor(3)); }

void scatter_reduce(Call& c) {
  std::string_view reduce = c.args[4].as_text();
  bool include_self = c.args[5].as_bool(), mean = reduce == "mean", order = reduce == "amax" || reduce == "amin";
  DType dtype = c.tensor(0).dtype();
  if (!mean && !order && reduce != "sum" && reduce != "prod")
    fail(ErrorKind::Runtime, "reduce argument must be either sum, prod, mean, amax or amin, got ", std::string(reduce),
         "\nscatter_reduce: expected a reduction by one of these names; got '", std::string(reduce), "'");
  if ((order && is_complex(dtype)) || (mean && is_bool(dtype)))
    fail(ErrorKind::NotImplemented, "\"scatter_gather_tensor_cpu_reduce_", std::string(reduce),
         "\" not implemented for '", python_name_of(dtype),
         "'\nscatter_reduce: expected a type that has this reduction; got ", name_of(dtype));
  using kernels::ScatterOp;
  ScatterOp how = reduce == "prod"   ? ScatterOp::Prod
                  : reduce == "amax" ? ScatterOp::Max
                  : reduce == "amin" ? ScatterOp::Min
                                     : ScatterOp::Sum;
  scatter_tensor(c, "scatter_reduce", how, include_self, c.tensor(3));
  if (!mean || !c.tensor(2).numel()) return;
  Tensor out = make_view(c.results[0], c.results[0].sizes(), c.results[0].strides(), c.results[0].offset());
  Tensor counts = empty(out.sizes(), DType::Int64), index = index_for("scatter_reduce", c.tensor(2));
  int64_t start = include_self, one = 1;
  fill_with(counts, &start);
  scatter_into("scatter_reduce", counts, wrap_dim(c.args[1].as_int(), out.dim()), index, &one, Ints(), ScatterOp::Sum,
               true);
  for (int64_t i = 0; i < counts.numel(); i++) counts.data_as<int64_t>()[i] += counts.data_as<int64_t>()[i] == 0;
  copy_into(out,
            is_integral(dtype) ? ops::floor_divide(out, counts) : ops::div(out, ops::cast(counts, real_of(dtype))));
}

}  // namespace entries

namespace vjps {

namespace {

// `t` cut or grown with zeros at the ends of its dimensions.
Tensor fitted(const Tensor& t, Ints sizes) {
  if (equal(t.sizes(), sizes)) return t;
  Dims pad;
  for (int d = t.dim() - 1; d >= 0; d--) {
    pad.push_back(0);
    pad.push_back(sizes[size_t(d)] - t.size(d));
  }
  return ops::pad_constant(t, pad, 0);
}

}  // namespace

// scatter and scatter_value: what was overwritten gets nothing.
void scatter(Backward& b) {
  const Tensor& g = b.grads[0];
  const Value& reduce = b.args[b.primitive.param_count - 1];
  bool add = !reduce.none() && reduce.as_text() == "add";
  if (!reduce.none() && !add)
    fail(ErrorKind::NotImplemented,
         "the derivative of scatter with reduce='multiply' is not implemented\nhint: use scatter_reduce with 'prod'");
  if (b.needed(0)) b.out[0] = add ? g : ops::scatter_value(g, b.args[1], b.args[2], 0);
  if (b.needed(3)) b.out[3] = fitted(ops::gather(g, b.args[1], b.args[2]), b.shapes[3]);
}

void scatter_add(Backward& b) {
  const Tensor& g = b.grads[0];
  if (b.needed(0)) b.out[0] = g;
  if (b.needed(3)) b.out[3] = fitted(ops::gather(g, b.args[1], b.args[2]), b.shapes[3]);
}

void scatter_reduce(Backward& b) {
  const Tensor& g = b.grads[0];
  std::string_view reduce = b.args[4].as_text();
  bool include_self = b.args[5].as_bool();
  const Value &dim = b.args[1], &index = b.args[2];
  Value input = saved(b, b.args[0]), result = saved(b, b.results[0]);
  Tensor source = saved(b, b.args[3]).as_tensor();
  Ints sizes = b.args[2].peek().sizes(), whole = b.shapes[3];
  source = fitted(source, sizes);
  DType dtype = b.dtypes[0];
  auto constant = [&](Ints shape, int64_t value) {
    Tensor t = empty(shape, dtype);
    alignas(16) char bytes[16];
    store_integer(bytes, dtype, value);
    fill_with(t, bytes);
    return t;
  };
  auto at_index = [&](const Tensor& t) { return ops::gather(t, dim, index); };
  Tensor for_input, for_source;
  if (reduce == "sum") {
    for_input = g;
    for_source = at_index(g);
  } else if (reduce == "mean") {
    Tensor n = ops::scatter_add(constant(b.shapes[0], include_self), dim, index, constant(sizes, 1));
    Tensor shared = ops::div(g, ops::where(ops::eq(n, 0), 1, n));
    for_input = shared;
    for_source = at_index(shared);
  } else if (reduce == "prod") {
    Tensor input_zero = ops::eq(input, 0), safe = ops::where(input_zero, 1, input);
    if (b.needed(0)) {
      Tensor others = ops::scatter_reduce(safe, dim, index, source, reduce, include_self);
      for_input = ops::div(ops::mul(g, others), safe);
    }
    Tensor zero = ops::eq(source, 0);
    Tensor zeros_there = at_index(ops::scatter_add(constant(b.shapes[0], 0), dim, index, ops::cast(zero, dtype)));
    Tensor single = ops::logical_and(zero, ops::eq(zeros_there, 1));
    Tensor without = ops::scatter_reduce(input, dim, index, ops::where(single, 1, source), reduce, include_self);
    for_source = ops::where(single, at_index(ops::mul(g, without)),
                            ops::div(at_index(ops::mul(g, result)), ops::where(zero, 1, source)));
  } else {
    Tensor value = at_index(result.as_tensor()), mine = ops::cast(ops::eq(input, result), dtype),
           theirs = ops::cast(ops::eq(source, value), dtype);
    if (!include_self) mine = ops::scatter_value(mine, dim, index, 0);
    Tensor shared = ops::div(g, ops::scatter_add(mine, dim, index, theirs));
    for_input = ops::mul(mine, shared);
    for_source = ops::mul(theirs, at_index(shared));
  }
  if (b.needed(0)) b.out[0] = include_self ? for_input : ops::scatter_value(for_input, dim, index, 0);
  if (b.needed(3)) b.out[3] = fitted(for_source, whole);
}

}  // namespace vjps

}  // namespace flambeau
