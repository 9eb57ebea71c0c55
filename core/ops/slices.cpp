// Whole slices by position along one dimension: index_select, index_add, index_copy, index_fill; take; embedding.
#include "ops/indexing.h"

namespace flambeau {

using namespace indexing;

namespace indexing {

bool blocks_around(const Tensor& t, int first, int last, int64_t& outer, int64_t& outer_stride, int64_t& block) {
  outer = block = 1;
  outer_stride = 0;
  if (!t.numel()) {  // nothing lies anywhere, whatever the strides say
    block = 0;
    return true;
  }
  for (int d = t.dim() - 1; d >= last; d--) {
    if (t.size(d) != 1 && t.stride(d) != block) return false;
    block *= t.size(d);
  }
  for (int d = first - 1; d >= 0; d--) {
    if (t.size(d) == 1) continue;
    if (outer == 1)
      outer_stride = t.stride(d);
    else if (t.stride(d) != outer * outer_stride)
      return false;
    outer *= t.size(d);
  }
  return true;
}

}  // namespace indexing

namespace {

// `t` as [outer, n, block] around `dim`: with its own memory where its strides allow it, else as a contiguous copy.
struct Slices {
  Tensor t;
  int64_t outer, outer_stride, block, step;  // in elements

  Slices(const Tensor& of, int dim) : t(at_least_1d(of)) {
    if (!blocks_around(t, dim, dim + 1, outer, outer_stride, block)) {
      t = contiguous(t);
      blocks_around(t, dim, dim + 1, outer, outer_stride, block);
    }
    step = t.stride(dim);
  }
};

kernels::BlockRows rows_between(const Slices& data, const Slices& other) {
  int64_t item = int64_t(item_size(data.t.dtype()));
  kernels::BlockRows r;
  r.outer = data.outer;
  r.data_outer = data.outer_stride * item;
  r.src_outer = other.outer_stride * item;
  r.block = data.block;
  r.data_row = data.step * item;
  r.src_row = other.step * item;
  return r;
}

kernels::BlockRows rows_from_value(const Slices& data) {
  kernels::BlockRows r = rows_between(data, data);
  r.src_outer = r.src_row = 0;
  r.one_value = true;
  return r;
}

// A vector of positions, or a single one, as contiguous int64.
Tensor positions(const char* op, const Tensor& index, bool int32_too, const char* wrong_type, ErrorKind wrong_kind,
                 ErrorKind wrong_rank) {
  if (index.dtype() != DType::Int64 && !(int32_too && index.dtype() == DType::Int32))
    fail(wrong_kind, wrong_type, "\n", op, ": expected int64 positions; got ", describe(index));
  if (index.dim() > 1)
    fail(wrong_rank,
         wrong_rank == ErrorKind::Index ? str(op, "(): Index is supposed to be a vector")
                                        : "Index has to be a vector/scalar",
         "\n", op, ": expected a vector of positions; got ", describe(index));
  return contiguous(converted(index, DType::Int64));
}

void select_along(Call& c, int dim, const Tensor& index) {
  const Tensor& t = c.tensor(0);
  int64_t n = index.numel();
  Dims sizes(t.sizes());
  if (t.dim()) sizes[dim] = n;
  if (!t.dim() && n != 1)
    fail(ErrorKind::Runtime, "index_select(): Index to scalar can have only 1 value, got ", n, " value(s)\n",
         "index_select: expected one position; got ", n);
  else if (t.dim() && !t.size(dim) && n)
    fail(ErrorKind::Runtime,
         "index_select(): self indexing axis dim should be positive\nindex_select: expected slices; got ", describe(t));
  Tensor& out = result(c, 0, sizes, t.dtype());
  Slices from(t, dim);
  int64_t item = int64_t(item_size(t.dtype()));
  kernels::BlockRows rows;
  rows.outer = from.outer;
  rows.data_outer = from.outer_stride * item;
  rows.data_row = from.step * item;
  rows.block = from.block;
  rows.src_outer = rows.src_row = 0;
  kernels::BadIndex bad = kernel().select_rows(rows, out.data(), from.t.data(), index.data_as<int64_t>(), n,
                                               from.t.size(dim), false, int(item));
  if (!bad.ok())
    fail(ErrorKind::Index, "index out of range in self\nindex_select: expected positions from 0 to ",
         from.t.size(dim) - 1, "; got ", bad.value);
}

// target[index[i]] += alpha * source[i] along dim; the target may be strided.
void add_along(const char* op, const Tensor& target, int dim, const Tensor& index, const Tensor& source,
               const void* alpha) {
  Slices to(target, dim), from(source, dim);
  if (from.block != to.block || from.outer != to.outer) return;  // both empty
  kernels::BadIndex bad = kernel().add_rows(rows_between(to, from), target.dtype(), to.t.data(), from.t.data(),
                                            index.data_as<int64_t>(), index.numel(), to.t.size(dim), false, alpha, -1);
  if (!bad.ok()) out_of_bounds(ErrorKind::Runtime, op, bad.value, dim, to.t.size(dim));
  if (to.t.data() != target.data()) copy_into(at_least_1d(target), to.t);
}

Tensor take_index(const Tensor& index) {
  if (index.dtype() != DType::Int64)
    fail(ErrorKind::Runtime, "take(): Expected a long tensor for index, but got ", python_name_of(index.dtype()),
         "\ntake: expected int64 positions; got ", describe(index));
  return contiguous(index);
}

Tensor embedding_index(const Tensor& indices) {
  if (indices.dtype() != DType::Int64 && indices.dtype() != DType::Int32)
    fail(ErrorKind::Runtime,
         "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got "
         "torch.",
         python_name_of(indices.dtype()), "Tensor instead (while checking arguments for embedding)\n",
         "embedding: expected int64 or int32 indices; got ", describe(indices));
  return contiguous(converted(indices, DType::Int64));
}

}  // namespace

namespace entries {

void index_select(Call& c) {
  check_given(c);
  const Tensor& t = c.tensor(0);
  Tensor index = positions("index_select", c.tensor(2), true, "index_select(): Expected dtype int32 or int64 for index",
                           ErrorKind::Runtime, ErrorKind::Index);
  select_along(c, wrap_dim(c.args[1].as_int(), t.dim()), index);
}

void index_select_backward(Call& c) {
  const Tensor& g = c.tensor(0);
  Dims slices(c.args[1].as_ints());
  int dim = wrap_dim(c.args[2].as_int(), slices.size());
  if (slices.size()) slices[dim] = c.tensor(3).numel();
  expect_shape(c, g, slices);
  Tensor index = positions(c.primitive.name, c.tensor(3), true, "expected int32 or int64 positions", ErrorKind::Runtime,
                           ErrorKind::Index);
  if (slices.empty() && index.numel() != 1)
    fail(ErrorKind::Runtime, c.primitive.name, ": expected one position; got ", index.numel());
  Tensor out = zeros(c.args[1].as_ints(), g.dtype());
  if (g.numel()) add_along(c.primitive.name, out, dim, index, g, nullptr);
  c.results[0] = out;
}

void index_add(Call& c) {
  const Tensor &t = c.tensor(0), &source = c.tensor(3);
  int dim = wrap_dim(c.args[1].as_int(), t.dim());
  Tensor index = positions(
      "index_add_", c.tensor(2), true,
      str("index_add_(): Expected dtype int32/int64 for index but got: ", python_name_of(c.tensor(2).dtype())).c_str(),
      ErrorKind::Runtime, ErrorKind::Index);
  if (source.dtype() != t.dtype())
    fail(ErrorKind::Runtime, "index_add_(): self (", python_name_of(t.dtype()), ") and source (",
         python_name_of(source.dtype()), ") must have the same scalar type\nindex_add: expected a source of ",
         name_of(t.dtype()), "; got ", describe(source));
  int64_t n = source.dim() ? dim < source.dim() ? source.size(dim) : -1 : 1;
  if (n != index.numel())
    fail(ErrorKind::Runtime, "index_add_(): Number of indices (", index.numel(),
         ") should be equal to source.size(dim): (", n, "), for dim: ", dim,
         "\nindex_add: expected one position per slice; got ", describe(index), " for ", describe(source));
  Dims expected(t.sizes());
  if (t.dim()) expected[dim] = n;
  if (!equal(expected, source.sizes()))
    fail(ErrorKind::Runtime,
         "source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = ",
         text_of(t.sizes()), " source.shape = ", text_of(source.sizes()), "\nindex_add: expected ",
         shape_text(expected), "; got ", describe(source));
  Element alpha = element_of("index_add", c.args[4], t.dtype());
  bool plain = c.args[4].as_complex().re == 1 && c.args[4].as_complex().im == 0;
  Tensor target = changed(c);
  Tensor from = apart(target, source);
  if (source.numel()) add_along("index_add", target, dim, index, from, plain ? nullptr : alpha.bytes);
}

void index_copy(Call& c) {
  const Tensor &t = c.tensor(0), &source = c.tensor(3);
  int dim = wrap_dim(c.args[1].as_int(), t.dim());
  Tensor index = positions(
      "index_copy_", c.tensor(2), false,
      str("index_copy_(): Expected a long tensor for index, but got ", python_name_of(c.tensor(2).dtype())).c_str(),
      ErrorKind::Runtime, ErrorKind::Index);
  if (source.dtype() != t.dtype())
    fail(ErrorKind::Runtime, "index_copy_(): self and source expected to have the same dtype, but got (self) ",
         python_name_of(t.dtype()), " and (source) ", python_name_of(source.dtype()),
         "\nindex_copy: expected a source of ", name_of(t.dtype()), "; got ", describe(source));
  if (source.dim() == 0 && index.numel() != 1)
    fail(ErrorKind::Index, "index_copy_(): When source is scalar, index should have one element (got ", index.numel(),
         ")");
  if (source.dim() != t.dim() && source.dim() != 0 && t.dim() != 0)
    fail(ErrorKind::Index,
         "index_copy_(): When source and destination are not scalars, their dimensionality must match. Source "
         "dimensionality (",
         source.dim(), "), destination dimensionality (", t.dim(), ")\nindex_copy: expected ", t.dim(),
         " dimensions; got ", describe(source));
  Tensor wide = at_least_1d(source), data = at_least_1d(t);
  bool same = wide.dim() == data.dim();
  for (int d = 0; same && d < data.dim(); d++) same = d == dim || wide.size(d) == data.size(d);
  if (!same)
    fail(ErrorKind::Runtime,
         "index_copy_(): Source/destination tensor must have same slice shapes. Destination slice shape: ",
         text_of(t.sizes()), " at dimension ", dim, " and source slice shape: ", text_of(source.sizes()),
         " at dimension 0.");
  if (wide.size(dim) != index.numel())
    fail(ErrorKind::Index, "index_copy_(): Number of indices (", index.numel(),
         ") should be equal to source.size(dim) (", wide.size(dim), ")");
  Tensor target = changed(c);
  if (!source.numel()) return;
  Slices to(target, dim), from(apart(target, wide), dim);
  kernels::BadIndex bad =
      kernel().assign_rows(rows_between(to, from), to.t.data(), from.t.data(), index.data_as<int64_t>(), index.numel(),
                           to.t.size(dim), false, int(item_size(t.dtype())));
  if (!bad.ok())
    fail(ErrorKind::Index, "index_copy_(): index ", bad.value, " is out of bounds for dimension ", dim, " with size ",
         to.t.size(dim), "\nindex_copy: expected positions from 0 to ", to.t.size(dim) - 1, "; got ", bad.value);
  if (to.t.data() != target.data()) copy_into(at_least_1d(target), to.t);
}

void index_fill(Call& c) {
  const Tensor& t = c.tensor(0);
  const Value& value = c.args[3];
  int dim = wrap_dim(c.args[1].as_int(), t.dim());
  Tensor index = positions("index_fill_", c.tensor(2), false, "index_fill_(): Expected dtype int64 for index.",
                           ErrorKind::Index, ErrorKind::Runtime);
  if (value.is_tensor() && value.tensor->dim)
    fail(ErrorKind::Runtime, "index_fill_ only supports a 0-dimensional value tensor, but got tensor with ",
         int(value.tensor->dim), " dimension(s).\nindex_fill: expected one value; got ", describe(value.peek()));
  bool complex = value.is_tensor() ? is_complex(value.tensor->dtype) : value.kind == Kind::Complex;
  if (complex && !is_complex(t.dtype()))
    fail(ErrorKind::Runtime, "index_fill_(): Converting complex Scalar to non-complex type is not supported\n",
         "index_fill: expected a real value for ", name_of(t.dtype()), "; got a complex one");
  Element e;
  if (!value.is_tensor())
    e = element_of("index_fill", value, t.dtype());
  else if (is_integral(value.tensor->dtype))
    store_integer(e.bytes, t.dtype(), load_integer(value.tensor->data, value.tensor->dtype));
  else
    store_number(e.bytes, t.dtype(), load_number(value.tensor->data, value.tensor->dtype));
  Tensor target = changed(c);
  Slices to(target, dim);
  kernels::BadIndex bad = kernel().assign_rows(rows_from_value(to), to.t.data(), e.bytes, index.data_as<int64_t>(),
                                               index.numel(), to.t.size(dim), true, int(item_size(t.dtype())));
  if (!bad.ok()) out_of_bounds(ErrorKind::Index, "index_fill", bad.value, dim, to.t.size(dim));
  if (to.t.data() != target.data()) copy_into(at_least_1d(target), to.t);
}

void take(Call& c) {
  check_given(c);
  Tensor index = take_index(c.tensor(1)), from = contiguous(c.tensor(0));
  if (!from.numel() && index.numel())
    fail(ErrorKind::Index, "take(): tried to take from an empty tensor\ntake: expected elements; got ", describe(from));
  Tensor& out = result(c, 0, index.sizes(), from.dtype());
  int64_t item = int64_t(item_size(from.dtype()));
  kernels::BlockRows rows{.outer = 1, .data_outer = 0, .src_outer = 0, .block = 1, .data_row = item, .src_row = item};
  kernels::BadIndex bad = kernel().select_rows(rows, out.data(), from.data(), index.data_as<int64_t>(), index.numel(),
                                               from.numel(), true, int(item));
  if (!bad.ok())
    fail(ErrorKind::Index, "out of range: tried to access index ", bad.value, " on a tensor of ", from.numel(),
         " elements.\n", "take: expected positions from ", -from.numel(), " to ", from.numel() - 1, "; got ",
         bad.value);
}

void take_backward(Call& c) {
  expect_shape(c, c.tensor(0), c.tensor(2).sizes());
  Tensor g = contiguous(c.tensor(0)), index = take_index(c.tensor(2)), out = zeros(c.args[1].as_ints(), g.dtype());
  int64_t item = int64_t(item_size(g.dtype()));
  kernels::BlockRows rows{.outer = 1, .data_outer = 0, .src_outer = 0, .block = 1, .data_row = item, .src_row = item};
  kernels::BadIndex bad = kernel().add_rows(rows, g.dtype(), out.data(), g.data(), index.data_as<int64_t>(),
                                            index.numel(), out.numel(), true, nullptr, -1);
  if (!bad.ok()) out_of_bounds(ErrorKind::Index, "take_backward", bad.value, 0, out.numel());
  c.results[0] = out;
}

void embedding(Call& c) {
  const Tensor &weight = c.tensor(0), &indices = c.tensor(1);
  if (weight.dim() != 2)
    fail(ErrorKind::Runtime, "'weight' must be 2-D\nembedding: expected a matrix of vectors; got ", describe(weight));
  Tensor index = embedding_index(indices), from = contiguous(weight);
  Dims sizes(index.sizes());
  sizes.push_back(weight.size(1));
  Tensor& out = result(c, 0, sizes, weight.dtype());
  int64_t row = weight.size(1) * int64_t(item_size(weight.dtype()));
  kernels::BlockRows rows{
      .outer = 1, .data_outer = 0, .src_outer = 0, .block = weight.size(1), .data_row = row, .src_row = row};
  kernels::BadIndex bad = kernel().select_rows(rows, out.data(), from.data(), index.data_as<int64_t>(), index.numel(),
                                               weight.size(0), false, int(item_size(weight.dtype())));
  if (!bad.ok())
    fail(ErrorKind::Index, "index out of range in self\nembedding: expected indices from 0 to ", weight.size(0) - 1,
         "; got ", bad.value);
}

void embedding_backward(Call& c) {
  const Tensor& vectors = c.tensor(0);
  Dims expected(c.tensor(1).sizes());
  expected.push_back(vectors.dim() ? vectors.size(vectors.dim() - 1) : 0);
  expect_shape(c, vectors, expected);
  Tensor g = contiguous(vectors), index = embedding_index(c.tensor(1));
  int64_t n = c.args[2].as_int(), width = g.size(g.dim() - 1), row = width * int64_t(item_size(g.dtype()));
  Tensor out = zeros(Dims{n, width}, g.dtype());
  kernels::BlockRows rows{.outer = 1, .data_outer = 0, .src_outer = 0, .block = width, .data_row = row, .src_row = row};
  kernels::BadIndex bad = kernel().add_rows(rows, g.dtype(), out.data(), g.data(), index.data_as<int64_t>(),
                                            index.numel(), n, false, nullptr, c.args[3].as_int());
  if (!bad.ok()) out_of_bounds(ErrorKind::Index, "embedding_backward", bad.value, 0, n);
  c.results[0] = out;
}

}  // namespace entries

namespace vjps {

void index_add(Backward& b) {
  const Tensor& g = b.grads[0];
  if (b.needed(0)) b.out[0] = g;
  if (!b.needed(3)) return;
  Tensor mine = ops::index_select(g, b.args[1], b.args[2]);
  if (!equal(mine.sizes(), b.shapes[3])) mine = ops::reshape(mine, b.shapes[3]);
  const Value& alpha = b.args[4];
  if (alpha.as_complex().re != 1 || alpha.as_complex().im != 0) {
    Complex128 conjugate{alpha.as_complex().re, b.conjugate ? -alpha.as_complex().im : alpha.as_complex().im};
    mine = ops::mul(mine, alpha.kind == Kind::Complex ? Value(conjugate) : alpha);
  }
  b.out[3] = mine;
}

void index_copy(Backward& b) {
  const Tensor& g = b.grads[0];
  if (b.needed(0)) b.out[0] = ops::index_fill(g, b.args[1], b.args[2], 0);
  if (!b.needed(3)) return;
  Tensor mine = ops::index_select(g, b.args[1], b.args[2]);
  b.out[3] = equal(mine.sizes(), b.shapes[3]) ? mine : ops::reshape(mine, b.shapes[3]);
}

void index_fill(Backward& b) {
  const Tensor& g = b.grads[0];
  if (b.needed(0)) b.out[0] = ops::index_fill(g, b.args[1], b.args[2], 0);
  if (!b.needed(3)) return;
  // A slice counts once, however often the index names it.
  int dim = wrap_dim(b.args[1].as_int(), int(b.shapes[0].size()));
  int64_t n = b.shapes[0].empty() ? 1 : b.shapes[0][size_t(dim)];
  Tensor index = clone_data(contiguous(b.args[2].peek()));
  for (int64_t i = 0; i < index.numel(); i++)
    if (int64_t& at = index.data_as<int64_t>()[i]; at < 0) at += n;
  Tensor once = ops::unique2(index)[0];
  b.out[3] = reduced(b, 3, ops::sum(ops::index_select(g, b.args[1], once)));
}

void embedding(Backward& b) {
  Tensor g = b.grads[0];
  int64_t n = b.shapes[0][0];
  if (b.args[3].as_bool()) {
    Tensor flat = ops::reshape(ops::cast(b.args[1], DType::Int64), Dims{-1});
    Tensor counts = ops::cast(ops::index_select(ops::bincount(flat, Value(), n), 0, flat), g.dtype());
    Dims sizes(b.args[1].peek().sizes());
    sizes.push_back(1);
    g = ops::div(g, ops::reshape(counts, sizes));
  }
  b.out[0] = ops::embedding_backward(g, b.args[1], n, b.args[2]);
}

void embedding_backward(Backward& b) {
  Tensor g = ops::embedding(b.grads[0], b.args[1]);
  int64_t padding = b.args[3].as_int();
  if (padding >= 0) g = ops::where(ops::unsqueeze(ops::eq(b.args[1], padding), -1), 0, g);
  b.out[0] = g;
}

}  // namespace vjps

}  // namespace flambeau
