// Advanced indexing: x[i, j, mask]. Positions become one list of offsets, and slices of the input are moved by it.
#include "ops/indexing.h"

namespace flambeau {

using namespace indexing;

namespace {

// A stride in bytes. One that does not fit is of an extent that has no second element.
int64_t wrapped(int64_t stride, int64_t item) { return int64_t(uint64_t(stride) * uint64_t(item)); }

Tensor permuted(const Tensor& t, const Dims& order) {
  Dims sizes(t.dim()), strides(t.dim());
  for (int i = 0; i < t.dim(); i++) {
    sizes[i] = t.size(int(order[i]));
    strides[i] = t.stride(int(order[i]));
  }
  return make_view(t, sizes, strides, t.offset());
}

bool is_mask(DType t) { return t == DType::Bool || t == DType::UInt8; }

// Dimensions [at, at + count) as one, where strides allow it.
bool merge(Tensor& t, int at, int count) {
  for (int d = at; d + 1 < at + count; d++)
    if (t.size(d) != 1 && t.stride(d) != t.stride(d + 1) * t.size(d + 1)) return false;
  Dims sizes, strides;
  int64_t n = 1;
  for (int d = 0; d < t.dim(); d++) {
    if (d >= at && d < at + count) n *= t.size(d);
    if (d >= at && d + 1 < at + count) continue;
    sizes.push_back(d + 1 == at + count ? n : t.size(d));
    strides.push_back(t.stride(d));
  }
  t = make_view(t, sizes, strides, t.offset());
  return true;
}

// The positions of a mask's true elements: one vector per dimension.
std::vector<Tensor> positions_of(const Tensor& mask) {
  Tensor m = contiguous(mask);
  int64_t count = kernel().count_mask(m.data_as<bool>(), m.numel());
  Tensor rows = empty(Dims{count, m.dim()}, DType::Int64);
  if (rows.numel()) kernel().nonzero(rows.data_as<int64_t>(), m.data_as<bool>(), m.dim(), m.sizes().data());
  std::vector<Tensor> columns;
  for (int d = 0; d < m.dim(); d++) columns.push_back(make_view(rows, Dims{count}, Dims{m.dim()}, d));
  return columns;
}

// An index tensor (or null) for each dimension of `t`; dimensions that one mask covers are merged where that can be.
std::vector<Tensor> by_dimension(Tensor& t, std::span<TensorBody*> indices) {
  std::vector<Tensor> list;
  int covered = 0;
  for (TensorBody* i : indices) covered += i && is_mask(i->dtype) ? i->dim : 1;
  if (covered > t.dim())
    fail(ErrorKind::Index, "too many indices for tensor of dimension ", t.dim(), " (got ", covered,
         ")\nindex: expected at most ", t.dim(), " indices; got ", covered);
  for (TensorBody* body : indices) {
    int d = int(list.size());
    if (!body) {
      list.emplace_back();
      continue;
    }
    Tensor index = Tensor::share(body);
    if (!is_mask(index.dtype())) {
      if (!is_integral(index.dtype()))
        fail(
            ErrorKind::Index,
            "tensors used as indices must be long, int, byte or bool tensors\nindex: expected positions or masks; got ",
            describe(index));
      list.push_back(converted(index, DType::Int64));
      continue;
    }
    Tensor mask = converted(index, DType::Bool);
    int rank = mask.dim();
    for (int k = 0; k < rank; k++)
      if (mask.size(k) != t.size(d + k))
        fail(ErrorKind::Index, "The shape of the mask ", text_of(mask.sizes()), " at index ", k,
             " does not match the shape of the indexed tensor ", text_of(t.sizes()), " at index ", d + k,
             "\nindex: expected a mask of the shape that it covers; got ", describe(index), " for ", describe(t));
    if (rank == 0) {  // a new dimension of size one, kept or not
      Dims sizes(t.sizes()), strides(t.strides());
      sizes.insert(d, 1);
      strides.insert(d, 1);
      t = make_view(t, sizes, strides, t.offset());
      mask = at_least_1d(mask);
    } else if (rank > 1 && merge(t, d, rank)) {
      mask = contiguous(mask);
      mask = make_view(mask, Dims{mask.numel()}, Dims{1}, mask.offset());
    }
    for (Tensor& column : positions_of(mask)) list.push_back(column);
  }
  list.resize(size_t(t.dim()));
  return list;
}

// How x[...] is carried out: the data as [outer, positions, block].
struct Plan {
  Tensor data;  // the input seen so, with its own memory or (copied) a contiguous one
  bool copied = false;
  Dims order;      // of dimensions of the input in `data`: identity unless it had to be rearranged
  Dims result;     // shape of x[...]
  Dims moved;      // shape of the moved slices as they lie in memory: outer, positions, block
  Dims to_result;  // permutation that brings `moved` into the order of the result; empty: it is
  Tensor offsets;  // int64 positions in units of data_row
  kernels::BlockRows rows;
  int64_t size = 0;  // bound of the offsets
  bool wrap = false;
};

Dims broadcast_all(const std::vector<Tensor>& list) {
  Dims shape;
  try {
    for (const Tensor& i : list)
      if (i) shape = broadcast(shape, i.sizes());
  } catch (const Error&) {
    std::string shapes;
    for (const Tensor& i : list)
      if (i) shapes += (shapes.empty() ? "" : ", ") + text_of(i.sizes());
    fail(ErrorKind::Index, "shape mismatch: indexing tensors could not be broadcast together with shapes ", shapes,
         "\nindex: expected indices that broadcast; got shapes ", shapes);
  }
  return shape;
}

[[noreturn]] void bad_position(int64_t value, int dim, int64_t size) {
  fail(ErrorKind::Index, "index ", value, " is out of bounds for dimension ", dim, " with size ", size,
       "\nindex: expected positions from ", -size, " to ", size - 1, "; got ", value);
}

Plan plan(Tensor t, std::span<TensorBody*> indices) {
  Plan p;
  std::vector<Tensor> list = by_dimension(t, indices);
  Dims indexed, rest, shape = broadcast_all(list);
  for (int d = 0; d < t.dim(); d++) (list[size_t(d)] ? indexed : rest).push_back(d);
  bool adjacent = true;
  for (int i = 1; i < indexed.size(); i++) adjacent = adjacent && indexed[i] == indexed[i - 1] + 1;
  int at = adjacent && indexed.size() ? int(indexed[0]) : 0;  // where the positions stand in the result
  for (int i = 0; i < rest.size(); i++) {
    if (i == at)
      for (int64_t s : shape) p.result.push_back(s);
    p.result.push_back(t.size(int(rest[i])));
  }
  if (at >= rest.size())
    for (int64_t s : shape) p.result.push_back(s);

  int count = indexed.size();
  int64_t outer, outer_stride, block, item = int64_t(item_size(t.dtype()));
  if (adjacent && blocks_around(t, at, at + count, outer, outer_stride, block)) {
    p.data = t;
    for (int d = 0; d < t.dim(); d++) p.order.push_back(d);
    p.moved = p.result;
  } else {
    for (int64_t d : indexed) p.order.push_back(d);
    for (int64_t d : rest) p.order.push_back(d);
    Tensor front = permuted(t, p.order);
    // Strides of extents of one may be anything; in order they say where blocks begin.
    if (front.contiguous()) front = make_view(front, front.sizes(), contiguous_strides(front.sizes()), front.offset());
    p.copied = !blocks_around(front, 0, count, outer, outer_stride, block);
    p.data = p.copied ? contiguous(front) : front;
    if (p.copied)
      check(blocks_around(p.data, 0, count, outer, outer_stride, block), "index: a contiguous tensor has blocks");
    for (int64_t s : shape) p.moved.push_back(s);
    for (int64_t d : rest) p.moved.push_back(t.size(int(d)));
    if (at) {
      for (int i = 0; i < at; i++) p.to_result.push_back(shape.size() + i);
      for (int i = 0; i < shape.size(); i++) p.to_result.push_back(i);
      for (int i = shape.size() + at; i < p.moved.size(); i++) p.to_result.push_back(i);
    }
    at = 0;
  }
  p.rows.outer = outer;
  p.rows.data_outer = wrapped(outer_stride, item);
  p.rows.block = block;
  int64_t n = product(shape);
  p.rows.src_row = times(block, item);
  p.rows.src_outer = times(n, p.rows.src_row);

  if (count == 1) {  // the index itself is the list
    p.offsets = contiguous(list[size_t(indexed[0])]);
    p.size = p.data.size(at);
    p.rows.data_row = wrapped(p.data.stride(at), item);
    p.wrap = true;
    return p;
  }
  Dims dim_sizes, dim_strides;
  std::vector<Tensor> views;
  std::vector<const int64_t*> pointers, stride_pointers;
  p.size = n && t.numel() ? 1 : 0;
  for (int k = 0; k < count; k++) {
    dim_sizes.push_back(p.data.size(at + k));
    dim_strides.push_back(p.data.stride(at + k));
    if (p.size) p.size += (dim_sizes.back() - 1) * dim_strides.back();
    views.push_back(expanded(list[size_t(indexed[k])], shape));
  }
  for (Tensor& v : views) {
    pointers.push_back(v.data_as<int64_t>());
    stride_pointers.push_back(v.strides().data());
  }
  p.rows.data_row = item;
  p.offsets = empty(Dims{n}, DType::Int64);
  if (!n) return p;
  if (!count) {  // x[...] with nothing but whole dimensions
    *p.offsets.data_as<int64_t>() = 0;
    return p;
  }
  kernels::BadIndex bad =
      kernel().offsets_of_indices(shape.size(), shape.data(), count, pointers.data(), stride_pointers.data(),
                                  dim_sizes.data(), dim_strides.data(), p.offsets.data_as<int64_t>());
  if (!bad.ok()) bad_position(bad.value, int(indexed[bad.which]), dim_sizes[bad.which]);
  return p;
}

// From the order in memory to the result's order of dimensions, and back, as views.
Tensor settled(const Plan& p, const Tensor& t) { return p.to_result.empty() ? t : permuted(t, p.to_result); }
Tensor unsettled(const Plan& p, const Tensor& t) {
  if (p.to_result.empty()) return t;
  Dims back(t.dim());
  for (int i = 0; i < t.dim(); i++) back[int(p.to_result[i])] = i;
  return permuted(t, back);
}

// The one mask that covers all of `t`, if that is the index.
const Tensor* whole_mask(const Tensor& t, std::span<TensorBody*> indices) {
  if (indices.size() != 1 || !indices[0] || !is_bool(indices[0]->dtype) || !t.dim()) return nullptr;
  const Tensor& mask = reinterpret_cast<const Tensor&>(indices[0]);
  return equal(mask.sizes(), t.sizes()) ? &mask : nullptr;
}

}  // namespace

namespace entries {

void index(Call& c) {
  const Tensor& t = c.tensor(0);
  std::span<TensorBody*> indices = c.args[1].as_tensors();
  int item = int(item_size(t.dtype()));
  if (const Tensor* mask = whole_mask(t, indices)) {
    Tensor from = contiguous(t), where = contiguous(*mask);
    int64_t count = kernel().count_mask(where.data_as<bool>(), where.numel());
    Tensor& out = result(c, 0, Dims{count}, t.dtype());
    if (count) kernel().masked_select(out.data(), from.data(), where.data_as<bool>(), where.numel(), item);
    return;
  }
  Plan p = plan(t, indices);
  Tensor out = p.to_result.empty() ? result(c, 0, p.moved, t.dtype()) : empty(p.moved, t.dtype());
  kernels::BadIndex bad = kernel().select_rows(p.rows, out.data(), p.data.data(), p.offsets.data_as<int64_t>(),
                                               p.offsets.numel(), p.size, p.wrap, item);
  if (!bad.ok() && (out.numel() || p.wrap)) bad_position(bad.value, 0, p.size);
  if (p.to_result.empty()) return;
  Tensor ordered = settled(p, out);
  copy_into(result(c, 0, p.result, t.dtype()), ordered);
}

void index_put(Call& c) {
  const Tensor &t = c.tensor(0), &values = c.tensor(2);
  if (values.dtype() != t.dtype())
    fail(ErrorKind::Runtime, "Index put requires the source and destination dtypes match, got ",
         python_name_of(t.dtype()), " for the destination and ", python_name_of(values.dtype()),
         " for the source.\nindex_put: expected values of ", name_of(t.dtype()), "; got ", describe(values));
  Tensor target;
  if (!c.in_place) {
    result(c, 0, t.sizes(), t.dtype());
    copy_into(c.results[0], t);
  }
  target = make_view(c.results[0], c.results[0].sizes(), c.results[0].strides(), c.results[0].offset());
  std::vector<Tensor> kept;
  std::vector<TensorBody*> indices;
  for (TensorBody* i : c.args[1].as_tensors()) {
    kept.push_back(apart(target, Tensor::share(i)));
    indices.push_back(kept.back().get());
  }
  Plan p = plan(target, indices);
  Tensor v = values, wide;
  while (v.dim() > p.result.size() && v.size(0) == 1)
    v = make_view(v, v.sizes().subspan(1), v.strides().subspan(1), v.offset());
  try {
    wide = expanded(v, p.result);
  } catch (const Error&) {
    fail(ErrorKind::Runtime, "shape mismatch: value tensor of shape ", text_of(values.sizes()),
         " cannot be broadcast to indexing result of shape ", text_of(p.result),
         "\nindex_put: expected values that broadcast to ", shape_text(p.result), "; got ", describe(values));
  }
  if (!p.offsets.numel() || !product(p.result)) return;
  if (may_self_overlap(target))
    fail(ErrorKind::Runtime,
         "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
         "Please clone() "
         "the tensor before performing the operation.\nindex_put_: expected a tensor without repeated elements; got ",
         describe(t));
  bool one = v.numel() == 1;
  p.rows.one_value = one;
  Tensor source = one ? contiguous(apart(target, v)) : contiguous(unsettled(p, apart(target, wide)));
  kernels::BadIndex bad;
  if (c.args[3].as_bool())
    bad = kernel().add_rows(p.rows, t.dtype(), p.data.data(), source.data(), p.offsets.data_as<int64_t>(),
                            p.offsets.numel(), p.size, p.wrap, nullptr, -1);
  else
    bad = kernel().assign_rows(p.rows, p.data.data(), source.data(), p.offsets.data_as<int64_t>(), p.offsets.numel(),
                               p.size, p.wrap, int(item_size(t.dtype())));
  if (!bad.ok()) bad_position(bad.value, 0, p.size);
  if (!p.copied) return;
  Tensor merged = target;  // the copy has the dimensions of the target as the plan saw it
  by_dimension(merged, indices);
  copy_into(permuted(merged, p.order), p.data);
}

}  // namespace entries

namespace vjps {

void index(Backward& b) {
  bool repeats = false;  // a mask names every place once
  for (TensorBody* i : b.args[1].as_tensors()) repeats = repeats || (i && !is_mask(i->dtype));
  if (b.needed(0)) b.out[0] = ops::index_put(zeros(b.shapes[0], b.grads[0].dtype()), b.args[1], b.grads[0], repeats);
}

void index_put(Backward& b) {
  const Tensor& g = b.grads[0];
  if (b.needed(0)) {
    if (b.args[3].as_bool()) {
      b.out[0] = g;
    } else {
      b.out[0] = ops::index_put(g, b.args[1], zeros(Ints(), g.dtype()), false);
    }
  }
  if (b.needed(2)) b.out[2] = reduced(b, 2, ops::index(g, b.args[1]));
}

}  // namespace vjps

}  // namespace flambeau
