// Advanced indexing: positions from index tensors, then blocks copied by position.
#include "kernels/cpu/indexing.h"
#include "ops/entries.h"

namespace flambeau {

namespace {

const kernels::IndexingKernels& kernel() { return kernels::table<kernels::IndexingKernels>(); }

// How x[i, j, ...] is carried out: the indexed dimensions in front, the rest as one contiguous block behind.
struct Plan {
  Dims result;        // shape of x[...]
  Dims order;         // permutation that brings the indexed dimensions to the front
  Dims shape;         // broadcast shape of the indices
  Tensor offsets;     // int64, one per element of `shape`, in blocks
  int64_t block = 1;  // elements behind each position
  int64_t rows = 1;   // positions there are
  bool front = false; // the indexed result dimensions stand in front in the result
  int at = 0;         // where they stand otherwise
};

Plan plan(const Tensor& t, std::span<TensorBody*> indices) {
  if (int(indices.size()) > t.dim())
    fail(ErrorKind::Index, "too many indices for tensor of dimension ", t.dim(), " (got ", indices.size(), ")");
  Plan p;
  Dims indexed, rest, rest_sizes, dim_sizes;
  std::vector<Tensor> list;
  for (int d = 0; d < t.dim(); d++) {
    TensorBody* index = d < int(indices.size()) ? indices[size_t(d)] : nullptr;
    if (!index) {
      rest.push_back(d);
      rest_sizes.push_back(t.size(d));
      continue;
    }
    Tensor i = Tensor::share(index);
    if (is_bool(i.dtype()) || i.dtype() == DType::UInt8) fail(ErrorKind::Index, "index: masks must be given as positions");
    i = converted(i, DType::Int64);
    p.shape = list.empty() ? Dims(i.sizes()) : [&] {
      try {
        return broadcast(p.shape, i.sizes());
      } catch (const Error&) {
        std::string shapes;
        for (TensorBody* b : indices)
          if (b) shapes += (shapes.empty() ? "" : ", ") + text_of(Ints(b->sizes, b->dim));
        fail(ErrorKind::Index, "shape mismatch: indexing tensors could not be broadcast together with shapes ", shapes);
      }
    }();
    indexed.push_back(d);
    dim_sizes.push_back(t.size(d));
    list.push_back(i);
  }
  bool adjacent = true;
  for (int i = 1; i < indexed.size(); i++) adjacent = adjacent && indexed[i] == indexed[i - 1] + 1;
  p.front = !adjacent;
  p.at = adjacent && indexed.size() ? int(indexed[0]) : 0;
  for (int64_t d : indexed) p.order.push_back(d);
  for (int64_t d : rest) p.order.push_back(d);
  for (int i = 0; i < p.at; i++) p.result.push_back(rest_sizes[i]);
  for (int64_t s : p.shape) p.result.push_back(s);
  for (int i = p.at; i < rest_sizes.size(); i++) p.result.push_back(rest_sizes[i]);
  p.block = product(rest_sizes);
  p.rows = product(dim_sizes);

  Dims dim_strides = contiguous_strides(dim_sizes);
  int64_t n = product(p.shape);
  p.offsets = empty(Dims{n}, DType::Int64);
  if (!n) return p;
  std::vector<const int64_t*> pointers;
  std::vector<Dims> strides;
  std::vector<const int64_t*> stride_pointers;
  std::vector<Tensor> views;
  for (const Tensor& i : list) {
    views.push_back(expanded(i, p.shape));
    strides.emplace_back(Dims(views.back().strides()));
  }
  for (size_t k = 0; k < views.size(); k++) {
    pointers.push_back(views[k].data_as<int64_t>());
    stride_pointers.push_back(strides[k].data());
  }
  kernels::BadIndex bad = kernel().offsets_of_indices(p.shape.size(), p.shape.data(), int(list.size()), pointers.data(),
                                                      stride_pointers.data(), dim_sizes.data(), dim_strides.data(),
                                                      p.offsets.data_as<int64_t>());
  if (!bad.ok())
    fail(ErrorKind::Index, "index ", bad.value, " is out of bounds for dimension ", indexed[bad.which], " with size ",
         dim_sizes[bad.which], "\nindex: expected positions from ", -dim_sizes[bad.which], " to ", dim_sizes[bad.which] - 1,
         "; got ", bad.value, " for a tensor ", describe(t));
  return p;
}

Tensor permuted(const Tensor& t, const Dims& order) {
  Dims sizes(t.dim()), strides(t.dim());
  for (int i = 0; i < t.dim(); i++) {
    sizes[i] = t.size(int(order[i]));
    strides[i] = t.stride(int(order[i]));
  }
  return make_view(t, sizes, strides, t.offset());
}

kernels::BlockRows rows_of(const Plan& p, int64_t item) {
  kernels::BlockRows r;
  r.outer = 1;
  r.data_outer = r.src_outer = 0;
  r.block = p.block;
  r.data_row = r.src_row = p.block * item;
  return r;
}

// From [positions..., rest...] to the result's order of dimensions, as a view.
Tensor settled(const Plan& p, const Tensor& t) {
  if (p.front || p.at == 0) return t;
  Dims order;
  int n = p.shape.size();
  for (int i = 0; i < p.at; i++) order.push_back(n + i);
  for (int i = 0; i < n; i++) order.push_back(i);
  for (int i = n + p.at; i < t.dim(); i++) order.push_back(i);
  return permuted(t, order);
}
Tensor unsettled(const Plan& p, const Tensor& t) {
  if (p.front || p.at == 0) return t;
  Dims order;
  int n = p.shape.size();
  for (int i = 0; i < n; i++) order.push_back(p.at + i);
  for (int i = 0; i < p.at; i++) order.push_back(i);
  for (int i = n + p.at; i < t.dim(); i++) order.push_back(i);
  return permuted(t, order);
}

}  // namespace

namespace entries {

void index(Call& c) {
  const Tensor& t = c.tensor(0);
  Plan p = plan(t, c.args[1].as_tensors());
  Tensor source = contiguous(permuted(t, p.order));
  Dims flat(p.shape);
  int rest = p.result.size() - p.shape.size();
  for (int i = t.dim() - rest; i < t.dim(); i++) flat.push_back(t.size(int(p.order[i])));
  Tensor out = empty(flat, t.dtype());
  if (out.numel()) {
    int item = int(item_size(t.dtype()));
    kernel().select_rows(rows_of(p, item), out.data(), source.data(), p.offsets.data_as<int64_t>(), p.offsets.numel(), p.rows, false, item);
  }
  Tensor ordered = settled(p, out);
  if (c.results[0]) copy_into(result(c, 0, p.result, t.dtype()), ordered);
  else c.results[0] = contiguous(ordered);
}

void index_put(Call& c) {
  const Tensor &t = c.tensor(0), &values = c.tensor(2);
  bool accumulate = c.args[3].as_bool();
  if (values.dtype() != t.dtype())
    fail(ErrorKind::Runtime, "Index put requires the source and destination dtypes match, got ", python_name_of(t.dtype()),
         " for the destination and ", python_name_of(values.dtype()), " for the source.");
  Plan p = plan(t, c.args[1].as_tensors());
  Tensor wide;
  try {
    Tensor v = values;
    while (v.dim() > p.result.size() && v.size(0) == 1) v = make_view(v, v.sizes().subspan(1), v.strides().subspan(1), v.offset());
    wide = expanded(v, p.result);
  } catch (const Error&) {
    fail(ErrorKind::Runtime, "shape mismatch: value tensor of shape ", text_of(values.sizes()),
         " cannot be broadcast to indexing result of shape ", text_of(p.result));
  }
  Tensor source = contiguous(unsettled(p, wide));
  Tensor target = c.in_place ? c.results[0] : clone_data(t);
  Tensor work = permuted(target, p.order);
  Tensor dense_work = work.contiguous() ? work : contiguous(work);
  if (source.numel()) {
    int item = int(item_size(t.dtype()));
    kernels::BlockRows rows = rows_of(p, item);
    if (accumulate)
      kernel().add_rows(rows, t.dtype(), dense_work.data(), source.data(), p.offsets.data_as<int64_t>(), p.offsets.numel(), p.rows, false, nullptr, -1);
    else
      kernel().assign_rows(rows, dense_work.data(), source.data(), p.offsets.data_as<int64_t>(), p.offsets.numel(), p.rows, false, item);
    if (dense_work.get() != work.get()) copy_into(work, dense_work);
  }
  if (!c.in_place) c.results[0] = target;
}

void nonzero(Call& c) {
  Tensor mask = contiguous(converted(c.tensor(0), DType::Bool));
  int64_t count = kernel().count_mask(mask.data_as<bool>(), mask.numel());
  Tensor& out = result(c, 0, Dims{count, mask.dim()}, DType::Int64);
  if (out.numel()) kernel().nonzero(out.data_as<int64_t>(), mask.data_as<bool>(), mask.dim(), mask.sizes().data());
}

}  // namespace entries

namespace vjps {

void index(Backward& b) {
  if (!b.needed(0)) return;
  Tensor zeros = empty(b.shapes[0], b.grads[0].dtype());
  uint64_t nothing[2] = {};
  fill_with(zeros, nothing);
  b.out[0] = ops::index_put(zeros, b.args[1], b.grads[0], true);
}

void index_put(Backward& b) {
  const Tensor& g = b.grads[0];
  if (b.needed(0)) {
    if (b.args[3].as_bool()) {
      b.out[0] = g;
    } else {
      Tensor zero = empty(Ints(), g.dtype());
      store_number(zero.data(), g.dtype(), {0, 0});
      b.out[0] = ops::index_put(g, b.args[1], zero, false);
    }
  }
  if (b.needed(2)) b.out[2] = reduced(b, 2, ops::index(g, b.args[1]));
}

}  // namespace vjps

}  // namespace flambeau
