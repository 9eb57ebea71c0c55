// The rules of func.vmap for single rows, in one table at the end.
#include "autograd/batching.h"
#include "dispatch/ops.h"

namespace flambeau::batching {

void refuse_dynamic(const LevelCall& c) {
  fail(ErrorKind::Runtime,
       "vmap: We do not support batching operators that can output dynamic shape. Attempted to vmap over ", c.p.name,
       ". Please voice your support in https://github.com/pytorch/functorch/issues/256");
}

namespace {

Ints ints(const LevelCall& c, int i) { return c.args[i].as_ints(); }
Tensor arg(const LevelCall& c, int i) { return c.args[i].as_tensor(); }

bool done(LevelCall& c, Tensor result) {
  finish(c, &result);
  return true;
}
// The result of operations on the batched tensors themselves: each finds its own rule.
bool composed(LevelCall& c, Tensor result) {
  c.results[0] = std::move(result);
  return true;
}

Tensor moved(const Tensor& t, int from, int to) {
  if (from == to) return t;
  Dims order;
  for (int i = 0; i < t.dim(); i++)
    if (i != from) order.push_back(i);
  order.insert(to, from);
  return ops::permute(t, order);
}

// The batch, first in t, merged into the dimension that was `dim` without it; and back.
Tensor folded(const Tensor& t, int dim) {
  Tensor m = moved(t, 0, dim);
  Dims sizes(m.sizes());
  sizes[dim + 1] *= sizes[dim];
  sizes.erase(dim);
  return ops::reshape(m, sizes);
}
Tensor unfolded(const Tensor& t, int dim, int64_t batch) {
  Dims sizes(t.sizes());
  sizes[dim] = batch ? sizes[dim] / batch : 0;
  sizes.insert(dim, batch);
  return moved(ops::reshape(t, sizes), dim, 0);
}

bool dynamic(LevelCall& c) { refuse_dynamic(c); }

// ---- views ----
bool view(LevelCall& c) {
  Tensor t = inner_of(c, 0);
  Dims size(ints(c, 1));
  int64_t known = 1, rest = -1;
  for (int i = 0; i < size.size(); i++) {
    if (size[i] == -1)
      rest = i;
    else
      known *= size[i];
  }
  if (rest >= 0) {
    int64_t n = c.args[0].tensor->numel;
    if (!known || n % known)
      fail(ErrorKind::Runtime, "shape '", text_of(ints(c, 1)), "' is invalid for input of size ", n);
    size[int(rest)] = n / known;
  }
  size.insert(0, t.size(0));
  return done(c, ops::view(t, size));
}

bool expand(LevelCall& c) {
  Dims size(ints(c, 1));
  if (size.size() < c.args[0].tensor->dim) return false;
  Tensor t = padded(inner_of(c, 0), size.size());
  size.insert(0, t.size(0));
  return done(c, ops::expand(t, size));
}

bool permuted(LevelCall& c) {
  Dims dims(ints(c, 1));
  int rank = c.args[0].tensor->dim;
  if (dims.size() != rank) return false;  // the slice says what is wrong
  for (int64_t& d : dims) d = wrap_dim(d, rank) + 1;
  dims.insert(0, 0);
  Value args[] = {Value(inner_of(c, 0)), Value(dims)};
  Tensor result;
  call(c.p, args, &result);
  return done(c, result);
}

bool unsqueeze(LevelCall& c) {
  return done(c, ops::unsqueeze(inner_of(c, 0), int64_t(wrap_dim(c.args[1].as_int(), c.args[0].tensor->dim + 1) + 1)));
}

bool squeeze(LevelCall& c) {
  const Tensor& t = inner_of(c, 0);
  Dims dims;
  if (c.args[1].none()) {
    for (int i = 1; i < t.dim(); i++)
      if (t.size(i) == 1) dims.push_back(i);
  } else if (t.dim() > 1) {
    for (int64_t d : ints(c, 1)) dims.push_back(wrap_dim(d, t.dim() - 1) + 1);
  }
  return done(c, dims.empty() ? ops::alias(t) : ops::squeeze(t, dims));
}

bool transposed(LevelCall& c) {
  const Tensor& t = inner_of(c, 0);
  if (t.dim() > 3) return false;
  return done(c, t.dim() == 3 ? ops::transpose(t, 1, 2) : ops::alias(t));
}

bool as_strided(LevelCall& c) {
  const Tensor& t = inner_of(c, 0);
  Dims size(ints(c, 1)), stride(ints(c, 2));
  size.insert(0, t.size(0));
  stride.insert(0, t.stride(0));
  return done(c, ops::as_strided(t, size, stride, c.args[3]));
}

int64_t reach(Ints sizes, Ints strides) {
  int64_t n = 1;
  for (size_t i = 0; i < sizes.size(); i++) n += std::max<int64_t>(sizes[i] - 1, 0) * strides[i];
  return n;
}
bool as_strided_backward(LevelCall& c) {
  const Tensor& t = inner_of(c, 0);
  Dims size(ints(c, 1)), stride(ints(c, 2)), view_stride(ints(c, 3));
  int64_t offset = c.args[4].as_int();
  int64_t step = std::max(reach(size, stride), offset + reach(t.sizes().subspan(1), view_stride));
  size.insert(0, t.size(0));
  stride.insert(0, step);
  view_stride.insert(0, step);
  return done(c, ops::as_strided_backward(t, size, stride, view_stride, offset));
}

// ---- movement ----
bool rolled(LevelCall& c) {
  const Tensor& t = inner_of(c, 0);
  if (!ints(c, 2).empty()) return along(c);
  Tensor flat = ops::reshape(t, Dims{t.size(0), c.args[0].tensor->numel});
  Value args[] = {Value(flat), c.args[1], Value(1)};
  Tensor result;
  call(c.p, args, &result);
  return done(c, ops::reshape(result, t.sizes()));
}

bool triangle(LevelCall& c) { return c.args[0].tensor->dim >= 2 && along(c); }

bool sum_to_size(LevelCall& c) {
  const Tensor& t = inner_of(c, 0);
  Dims size(ints(c, 1));
  if (size.size() > t.dim() - 1) return false;
  Dims full(size), wanted(size);
  while (full.size() < t.dim() - 1) full.insert(0, 1);
  full.insert(0, t.size(0));
  wanted.insert(0, t.size(0));
  return done(c, ops::reshape(ops::sum_to_size(t, full), wanted));
}

bool copy(LevelCall& c) {
  const Tensor &to = arg(c, 0), &from = arg(c, 1);
  if (from.dim() > to.dim()) return false;
  if (!c.in_place && !is_batched(c, 0)) return false;
  return elementwise(c);
}

bool joined(LevelCall& c) {
  bool stack = &c.p == &primitive::stack;
  int64_t batch = batch_size(c);
  std::span<TensorBody*> list = c.args[0].as_tensors();
  int rank = list[0]->dim;
  for (TensorBody* t : list)
    if (t->dim != rank) return false;
  if (!stack && !rank) return false;
  Exchanged inner(c.p, c.args, [&](TensorBody* t) { return with_batch(sharing(t), c.level, batch); });
  inner.values[1] = Value(int64_t(wrap_dim(c.args[1].as_int(), rank + stack) + 1));
  Tensor result;
  call(c.p, inner.values, &result);
  return done(c, result);
}

// ---- reductions over all elements ----
bool position(LevelCall& c) {
  if (!c.args[1].none()) return along(c);
  const Tensor& t = inner_of(c, 0);
  Value args[] = {Value(), Value(1), Value(false)};
  Tensor flat = ops::reshape(t, Dims{t.size(0), c.args[0].tensor->numel}), result;
  args[0] = Value(flat);
  call(c.p, args, &result);
  if (c.args[2].as_bool()) {
    Dims sizes(t.dim(), 1);
    sizes[0] = t.size(0);
    result = ops::reshape(result, sizes);
  }
  return done(c, result);
}

// ---- contractions ----
bool product(LevelCall& c) {
  int rank = &c.p == &primitive::mm ? 2 : 3;
  const Tensor a = arg(c, 0), b = arg(c, 1);
  if (a.dim() != rank || b.dim() != rank || a.size(rank - 1) != b.size(rank - 2)) return false;
  if (rank == 3 && a.size(0) != b.size(0)) return false;
  Tensor x = below(a, c.level), y = below(b, c.level);
  if (!is_batched(c, 0) && rank == 2)  // one tall matrix: (y' x')'
    return done(c, ops::transpose(ops::matmul(ops::transpose(y, 1, 2), ops::transpose(x, 0, 1)), 1, 2));
  return done(c, ops::matmul(x, y));
}

bool addmm(LevelCall& c) {
  if (c.in_place || arg(c, 1).dim() != 2 || arg(c, 2).dim() != 2) return false;
  Tensor xy = ops::mm(c.args[1], c.args[2]);
  if (c.args[4].as_complex().re != 1) xy = ops::mul(xy, c.args[4]);
  if (c.args[3].as_complex().re == 0) return composed(c, xy);
  bool plain = c.args[3].as_complex().re == 1;
  return composed(c, ops::add(xy, plain ? arg(c, 0) : ops::mul(c.args[0], c.args[3])));
}

bool linear(LevelCall& c) {
  if (only_first_batched(c)) return done(c, ops::linear(inner_of(c, 0), c.args[1], c.args[2]));
  if (arg(c, 1).dim() != 2) return false;
  Tensor y = ops::matmul(c.args[0], ops::transpose(c.args[1], 0, 1));
  return composed(c, c.args[2].none() ? y : ops::add(y, c.args[2]));
}

// The batch joins the samples where one operand has it, and the groups where both do.
bool convolution(LevelCall& c) {
  if (arg(c, 0).dim() < 3 || arg(c, 1).dim() < 3) return false;
  bool has_x = is_batched(c, 0), has_w = is_batched(c, 1);
  int64_t batch = batch_size(c), groups = c.args[6].as_int();
  if (has_x && !has_w && !is_batched(c, 2)) {
    Tensor y = ops::convolution_kernel(folded(inner_of(c, 0), 0), c.args[1], c.args[2], c.args[3], c.args[4], c.args[5],
                                       groups);
    return done(c, unfolded(y, 0, batch));
  }
  if (!c.args[2].none()) {
    Dims channels(arg(c, 0).dim() - 1, 1);
    channels[0] = arg(c, 1).size(0);
    Tensor y = ops::convolution_kernel(c.args[0], c.args[1], Value(), c.args[3], c.args[4], c.args[5], groups);
    return composed(c, ops::add(y, ops::reshape(c.args[2], channels)));
  }
  Tensor w = folded(with_batch(arg(c, 1), c.level, batch), 0);
  bool shared = !has_x && groups == 1;
  Tensor x = shared ? arg(c, 0) : folded(with_batch(arg(c, 0), c.level, batch), 1);
  Tensor y = ops::convolution_kernel(x, w, Value(), c.args[3], c.args[4], c.args[5], shared ? 1 : groups * batch);
  return done(c, unfolded(y, 1, batch));
}

bool convolution_input_grad(LevelCall& c) {
  if (arg(c, 0).dim() < 3 || arg(c, 1).dim() < 3) return false;
  int64_t batch = batch_size(c), groups = c.args[6].as_int();
  Dims size(ints(c, 2));
  bool shared = !is_batched(c, 1);
  size[shared ? 0 : 1] *= batch;
  Tensor g = folded(with_batch(arg(c, 0), c.level, batch), shared ? 0 : 1);
  Tensor w = shared ? arg(c, 1) : folded(inner_of(c, 1), 0);
  Tensor x = ops::convolution_input_grad(g, w, size, c.args[3], c.args[4], c.args[5], shared ? groups : groups * batch);
  return done(c, unfolded(x, shared ? 0 : 1, batch));
}

bool convolution_weight_grad(LevelCall& c) {
  if (arg(c, 0).dim() < 3 || arg(c, 1).dim() < 3) return false;
  int64_t batch = batch_size(c);
  Dims size(ints(c, 2));
  size[0] *= batch;
  Tensor g = folded(with_batch(arg(c, 0), c.level, batch), 1), x = folded(with_batch(arg(c, 1), c.level, batch), 1);
  Tensor w = ops::convolution_weight_grad(g, x, size, c.args[3], c.args[4], c.args[5], c.args[6].as_int() * batch);
  return done(c, unfolded(w, 0, batch));
}

// ---- indexing ----
// 0, 1, ... in steps of `step`, one for each entry of the batch, as a tensor of `rank` more dimensions of one.
Tensor numbers(int64_t batch, int64_t step, int rank) {
  Tensor t = empty(Dims{batch}, DType::Int64);
  for (int64_t i = 0; i < batch; i++) t.data_as<int64_t>()[i] = i * step;
  Dims sizes(rank + 1, 1);
  sizes[0] = batch;
  return make_view(t, sizes, contiguous_strides(sizes), 0);
}

struct Indices {
  bool any_batched = false, adjacent = true, masks = false;
  int first = -1;  // place of the first one among the input's dimensions
  int rank = 0;    // of all of them, broadcast
};
Indices indices_of(const LevelCall& c) {
  Indices s;
  int last = -1, place = 0;
  for (TensorBody* t : c.args[1].as_tensors()) {
    int at = place;
    place++;
    if (!t) continue;
    bool batched = at_level(t, c.level), mask = is_bool(t->dtype);
    if (batched && mask) refuse_dynamic(c);
    s.any_batched |= batched;
    s.masks |= mask;
    if (s.first < 0)
      s.first = at;
    else
      s.adjacent = s.adjacent && last == at - 1;
    last = at;
    s.rank = std::max(s.rank, mask ? 1 : int(t->dim));
  }
  return s;
}

bool index(LevelCall& c) {
  Indices s = indices_of(c);
  int64_t batch = batch_size(c);
  std::vector<TensorBody*> list;
  std::vector<Tensor> kept;
  if (!s.any_batched) {
    list.push_back(nullptr);
    for (TensorBody* t : c.args[1].as_tensors()) list.push_back(t);
    Tensor r = ops::index(inner_of(c, 0), list_value(list));
    return done(c, s.adjacent ? r : moved(r, s.rank, 0));
  }
  if (s.masks) return false;
  kept.push_back(numbers(batch, 1, s.rank));
  for (TensorBody* t : c.args[1].as_tensors()) {
    if (t)
      kept.push_back(at_level(t, c.level) ? padded(wrapped(t)->inner, s.rank) : sharing(t));
    else
      kept.push_back(Tensor());
  }
  for (const Tensor& t : kept) list.push_back(t.get());
  Tensor r = ops::index(with_batch(arg(c, 0), c.level, batch), list_value(list));
  // (batch, indices..., rest): the indices go to where the first one stood
  int to = s.adjacent ? s.first : 0;
  Dims order{0};
  for (int i = 0; i < to; i++) order.push_back(1 + s.rank + i);
  for (int i = 0; i < s.rank; i++) order.push_back(1 + i);
  for (int i = 1 + s.rank + to; i < r.dim(); i++) order.push_back(i);
  return done(c, to ? ops::permute(r, order) : r);
}

bool index_put(LevelCall& c) {
  Indices s = indices_of(c);
  int64_t batch = batch_size(c);
  if (!s.adjacent || s.masks) return false;
  int rest = arg(c, 0).dim();
  for (TensorBody* t : c.args[1].as_tensors()) rest -= t != nullptr;
  int rank = s.rank + rest;  // of what is written
  if (arg(c, 2).dim() > rank) return false;
  Tensor values = is_batched(c, 2) ? padded(inner_of(c, 2), rank) : arg(c, 2);
  std::vector<TensorBody*> list;
  std::vector<Tensor> kept;
  if (!s.any_batched) {
    list.push_back(nullptr);
    for (TensorBody* t : c.args[1].as_tensors()) list.push_back(t);
  } else {
    if (s.first != 0) return false;
    kept.push_back(numbers(batch, 1, s.rank));
    for (TensorBody* t : c.args[1].as_tensors())
      kept.push_back(!t ? Tensor() : at_level(t, c.level) ? padded(wrapped(t)->inner, s.rank) : sharing(t));
    for (const Tensor& t : kept) list.push_back(t.get());
  }
  Tensor target = with_batch(arg(c, 0), c.level, batch), result;
  Value args[] = {Value(target), list_value(list), Value(values), c.args[3]};
  c.below(args, &result);
  finish(c, &result);
  return true;
}

// input, dim, a vector of positions that all slices share, and perhaps a source
bool shared_index(LevelCall& c) {
  for (int i = 1; i < c.p.param_count; i++)
    if (std::string_view(c.p.params[i].name) == "index" && (is_batched(c, i) || arg(c, i).dim() == 0)) return false;
  if (only_first_batched(c)) return arg(c, 0).dim() > 0 && along(c);
  if (arg(c, 0).dim() == 0) return false;
  int64_t batch = batch_size(c);
  Exchanged inner(c.p, c.args, [&](TensorBody* t) { return sharing(t); });
  for (int i = 0; i < c.p.param_count; i++)
    if (c.args[i].is_tensor() && std::string_view(c.p.params[i].name) != "index") {
      if (arg(c, i).dim() == 0) return false;
      inner.values[i] = Value(inner.keep(with_batch(arg(c, i), c.level, batch)));
    }
  inner.values[1] = Value(int64_t(wrap_dim(c.args[1].as_int(), arg(c, 0).dim()) + 1));
  Tensor result;
  c.below(inner.values, &result);
  finish(c, &result);
  return true;
}

bool embedding(LevelCall& c) {
  if (is_batched(c, 1) && !is_batched(c, 0))
    return done(c, ops::embedding(c.args[0], inner_of(c, 1), c.args[2], c.args[3], c.args[4]));
  if (c.args[2].as_int() >= 0 || c.args[3].as_bool()) return false;
  // One table under another; each slice counts from its own.
  int64_t batch = batch_size(c), rows = arg(c, 0).size(0);
  Tensor table = folded(inner_of(c, 0), 0), places = with_batch(arg(c, 1), c.level, batch);
  return done(c, ops::embedding(table, ops::add(places, numbers(batch, rows, places.dim() - 1))));
}

bool embedding_backward(LevelCall& c) {
  if (c.args[3].as_int() >= 0) return false;
  int64_t batch = batch_size(c), rows = c.args[2].as_int();
  Tensor g = with_batch(arg(c, 0), c.level, batch), places = with_batch(arg(c, 1), c.level, batch);
  Tensor table = ops::embedding_backward(g, ops::add(places, numbers(batch, rows, places.dim() - 1)), rows * batch, -1);
  return done(c, unfolded(table, 0, batch));
}

// ---- normalisation: over the last dimensions, so more of the first ones change nothing ----
bool affine_after(LevelCall& c, int weight, int bias, Ints channels) {
  Value args[kMaxParams];
  std::copy(c.args, c.args + c.p.param_count, args);
  args[weight] = Value();
  if (bias) args[bias] = Value();
  call(c.p, args, c.results);
  auto fit = [&](const Value& v) { return channels.empty() ? v.as_tensor() : ops::reshape(v, channels); };
  if (!c.args[weight].none()) c.results[0] = ops::mul(c.results[0], fit(c.args[weight]));
  if (bias && !c.args[bias].none()) c.results[0] = ops::add(c.results[0], fit(c.args[bias]));
  return true;
}

bool layer_norm(LevelCall& c) { return only_first_batched(c) ? along(c) : affine_after(c, 2, 3, {}); }
bool rms_norm(LevelCall& c) {
  if (!only_first_batched(c)) return affine_after(c, 2, 0, {});
  Value args[kMaxParams];
  std::copy(c.args, c.args + c.p.param_count, args);
  args[0] = Value(inner_of(c, 0));
  Tensor results[kMaxResults];
  call(c.p, args, results);
  results[1] = ops::reshape(results[1], Dims{inner_of(c, 0).size(0), -1});
  finish(c, results);
  return true;
}

Dims channel_shape(const LevelCall& c) {
  Dims shape(arg(c, 0).dim() - 1, 1);
  shape[0] = -1;
  return shape;
}
bool group_norm(LevelCall& c) {
  if (arg(c, 0).dim() < 2) return false;
  if (!only_first_batched(c)) return affine_after(c, 2, 3, channel_shape(c));
  Value args[kMaxParams];
  std::copy(c.args, c.args + c.p.param_count, args);
  Tensor x = folded(inner_of(c, 0), 0), results[kMaxResults];
  args[0] = Value(x);
  call(c.p, args, results);
  for (int r = 0; r < c.p.result_count; r++) results[r] = unfolded(results[r], 0, batch_size(c));
  finish(c, results);
  return true;
}

// input, weight, bias, running_mean, running_var, training, momentum, eps: each slice has channels of its own.
bool batch_norm(LevelCall& c) {
  bool training = c.args[5].as_bool(), running = !c.args[3].none() || !c.args[4].none();
  if (!is_batched(c, 0) || arg(c, 0).dim() < 2 || !training) return false;
  if (running && !(is_batched(c, 3) && is_batched(c, 4))) no_in_place(c, "running_mean");
  if (running) return false;
  if (!only_first_batched(c) || !c.args[1].none() || !c.args[2].none()) return affine_after(c, 1, 2, channel_shape(c));
  Value args[kMaxParams];
  std::copy(c.args, c.args + c.p.param_count, args);
  Tensor x = folded(inner_of(c, 0), 1), results[kMaxResults];
  args[0] = Value(x);
  call(c.p, args, results);
  results[0] = unfolded(results[0], 1, batch_size(c));
  for (int r = 1; r < c.p.result_count; r++) results[r] = unfolded(results[r], 0, batch_size(c));
  finish(c, results);
  return true;
}

}  // namespace

std::span<const NamedRule> named_rules() {
  static constexpr NamedRule rules[] = {
      {"view", view},
      {"expand", expand},
      {"permute", permuted},
      {"unpermute", permuted},
      {"unsqueeze", unsqueeze},
      {"squeeze", squeeze},
      {"t", transposed},
      {"as_strided", as_strided},
      {"as_strided_backward", as_strided_backward},
      {"roll", rolled},
      {"roll_back", rolled},
      {"tril", triangle},
      {"triu", triangle},
      {"sum_to_size", sum_to_size},
      {"copy", copy},
      {"cat", joined},
      {"stack", joined},
      {"argmax", position},
      {"argmin", position},
      {"mm", product},
      {"bmm", product},
      {"addmm", addmm},
      {"linear", linear},
      {"convolution_kernel", convolution},
      {"convolution_input_grad", convolution_input_grad},
      {"convolution_weight_grad", convolution_weight_grad},
      {"index", index},
      {"index_put", index_put},
      {"gather", aligned},
      {"gather_backward", aligned},
      {"scatter", aligned},
      {"scatter_value", aligned},
      {"scatter_add", aligned},
      {"scatter_reduce", aligned},
      {"index_select", shared_index},
      {"index_select_backward", shared_index},
      {"index_add", shared_index},
      {"index_copy", shared_index},
      {"embedding", embedding},
      {"embedding_backward", embedding_backward},
      {"softmax", along},
      {"log_softmax", along},
      {"layer_norm_kernel", layer_norm},
      {"rms_norm_kernel", rms_norm},
      {"group_norm_kernel", group_norm},
      {"batch_norm_kernel", batch_norm},
      {"nonzero", dynamic},
      {"masked_select", dynamic},
  };
  return rules;
}

}  // namespace flambeau::batching
