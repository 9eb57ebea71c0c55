// Movement: copies, casts, joins, pads, and the scatters into zeros that undo views.
#include "base/parallel.h"
#include "kernels/cpu/copy.h"
#include "kernels/cpu/movement.h"
#include "ops/entries.h"

namespace flambeau {

namespace {

const kernels::CopyKernels& copies() { return kernels::table<kernels::CopyKernels>(); }

void copy_block(char* to, const char* from, size_t bytes) {
  if (bytes <= 2048)
    std::memcpy(to, from, bytes);  // the way to a kernel would cost more
  else
    copies().copy_rows(to, 0, from, 0, int64_t(bytes), 1);
}

void zero(const Tensor& t) {
  uint64_t nothing[2] = {};
  fill_with(t, nothing);
}

Tensor zeros(Ints sizes, DType dtype) {
  Tensor t = empty(sizes, dtype);
  zero(t);
  return t;
}

// Copies with byte strides given by hand: for negative steps, which tensors do not have.
void copy_walk(const Tensor& dst, const Tensor& src, const char* from, Ints src_strides) {
  Dims dst_bytes(dst.strides()), src_bytes(src_strides);
  int64_t item = int64_t(item_size(dst.dtype()));
  for (int64_t& s : dst_bytes) s *= item;
  for (int64_t& s : src_bytes) s *= item;
  copies().copy(dst.dim(), dst.sizes().data(), dst.data(), dst_bytes.data(), dst.dtype(), from, src_bytes.data(),
                src.dtype());
}

// A view of `t` along one dimension, without autograd.
Tensor part(const Tensor& t, int dim, int64_t start, int64_t length, int64_t step = 1) {
  Dims sizes(t.sizes()), strides(t.strides());
  int64_t offset = t.offset() + start * strides[dim];
  sizes[dim] = length;
  strides[dim] *= step;
  return make_view(t, sizes, strides, offset);
}

// Shifts of either sign, also the least number of all, as a step from 0 on.
int64_t forward_shift(int64_t shift, int64_t n, int sign) {
  int64_t step = shift % n * sign;
  return step < 0 ? step + n : step;
}

// The extents that such rows are given, and the dimension among them.
int dim_among(const Call& c, Ints sizes, int64_t dim) {
  if (sizes.empty()) fail(ErrorKind::Runtime, c.primitive.name, ": expected extents of at least one dimension; got ()");
  for (int64_t n : sizes)
    if (n < 0) fail(ErrorKind::Runtime, c.primitive.name, ": expected extents; got ", shape_text(sizes));
  return wrap_dim(dim, int(sizes.size()));
}

void roll_by(Call& c, int sign) {
  const Tensor& t = c.tensor(0);
  Ints shifts = c.args[1].as_ints(), dims = c.args[2].as_ints();
  if (shifts.empty()) fail(ErrorKind::Runtime, "`shifts` required");
  if (shifts.size() != dims.size() && !(dims.empty() && shifts.size() == 1))
    fail(ErrorKind::Runtime, "shifts and dimensions must align. shifts: ", shifts.size(), ", dims:", dims.size());
  for (int64_t d : dims) wrap_dim(d, t.dim());
  Tensor& out = result(c, 0, t.sizes(), t.dtype());
  if (!t.numel()) return;
  if (t.dim() == 0) return copy_into(out, t);
  Tensor from = contiguous(t);
  if (dims.empty() && shifts.size() == 1) {
    int64_t n = t.numel(), shift = forward_shift(shifts[0], n, sign), item = int64_t(item_size(t.dtype()));
    copies().copy_rows(out.data() + shift * item, 0, from.data(), 0, (n - shift) * item, 1);
    copies().copy_rows(out.data(), 0, from.data() + (n - shift) * item, 0, shift * item, 1);
    return;
  }
  for (size_t i = 0; i < dims.size(); i++) {
    int dim = wrap_dim(dims[i], t.dim());
    int64_t n = t.size(dim), shift = forward_shift(shifts[i], n, sign);
    Tensor to = i + 1 == dims.size() ? out : empty(t.sizes(), t.dtype());
    copy_into(part(to, dim, shift, n - shift), part(from, dim, 0, n - shift));
    copy_into(part(to, dim, 0, shift), part(from, dim, n - shift, shift));
    from = to;
  }
}

void triangle(Call& c, bool upper) {
  const Tensor& t = c.tensor(0);
  if (t.dim() < 2) fail(ErrorKind::Runtime, upper ? "triu" : "tril", ": input tensor must have at least 2 dimensions");
  Tensor from = contiguous(t);
  Tensor& out = result(c, 0, t.sizes(), t.dtype());
  if (!t.numel()) return;
  int64_t rows = t.size(t.dim() - 2), columns = t.size(t.dim() - 1);
  kernels::table<kernels::MovementKernels>().triangle(out.data(), from.data(), t.numel() / (rows * columns), rows,
                                                      columns, c.args[1].as_int(), upper, int(item_size(t.dtype())));
}

[[noreturn, gnu::cold, gnu::noinline]] void refuse_to_join(const Call& c, bool lift, const Tensor& model, int dim,
                                                           size_t i) {
  const Tensor& t = reinterpret_cast<const Tensor&>(c.args[0].as_tensors()[i]);
  if (lift)
    fail(ErrorKind::Runtime, "stack expects each tensor to be equal size, but got ", text_of(model.sizes()),
         " at entry 0 and ", text_of(t.sizes()), " at entry ", i);
  if (t.dim() == 0) fail(ErrorKind::Runtime, "zero-dimensional tensor (at position ", i, ") cannot be concatenated");
  if (t.dim() != model.dim())
    fail(ErrorKind::Runtime, "Tensors must have same number of dimensions: got ", model.dim(), " and ", t.dim());
  int d = 0;
  while (d == dim || t.size(d) == model.size(d)) d++;
  fail(ErrorKind::Runtime, "Sizes of tensors must match except in dimension ", dim, ". Expected size ", model.size(d),
       " but got size ", t.size(d), " for tensor number ", i, " in the list.\n", c.primitive.name,
       ": expected shapes like ", shape_text(model.sizes()), "; got ", shape_text(t.sizes()));
}

// Joins along `dim` of [outer, n, inner]; `lift` says that the dimension is a new one of size 1.
void join(Call& c, bool lift) {
  std::span<TensorBody*> list = c.args[0].as_tensors();
  if (list.empty())
    fail(lift ? ErrorKind::Runtime : ErrorKind::Value,
         lift ? "stack expects a non-empty TensorList" : "torch.cat(): expected a non-empty list of Tensors");
  auto at = [&](size_t i) -> const Tensor& { return reinterpret_cast<const Tensor&>(list[i]); };
  // cat ignores empty vectors, as it always has.
  auto skipped = [&](const Tensor& t) { return !lift && t.dim() == 1 && t.size(0) == 0; };
  size_t first = 0;
  while (first + 1 < list.size() && skipped(at(first))) first++;
  const Tensor& model = at(first);
  const int rank = model.dim();
  if (!lift && rank == 0) refuse_to_join(c, lift, model, 0, first);
  const int dim = wrap_dim(c.args[1].as_int(), rank + lift);
  DType dtype = at(0).dtype();
  bool one_type = true;
  int64_t total = 0;
  for (size_t i = 0; i < list.size(); i++) {
    const Tensor& t = at(i);
    one_type = one_type && t.dtype() == dtype;
    if (skipped(t)) continue;
    bool fits = t.dim() == rank;
    for (int d = 0; fits && d < rank; d++) fits = t.size(d) == model.size(d) || (!lift && d == dim);
    if (!fits) refuse_to_join(c, lift, model, dim, i);
    total += lift ? 1 : t.size(dim);
  }
  if (!one_type) {
    std::vector<Value> values(list.begin(), list.end());
    dtype = result_type(values);
  }
  Dims sizes;
  int64_t inner = int64_t(item_size(dtype)), outer = 1;  // inner: in bytes
  for (int d = 0; d < dim; d++) {
    sizes.push_back(model.size(d));
    outer *= model.size(d);
  }
  sizes.push_back(total);
  for (int d = dim + !lift; d < rank; d++) {
    sizes.push_back(model.size(d));
    inner *= model.size(d);
  }
  Tensor& out = result(c, 0, sizes, dtype);
  if (!out.numel()) return;
  int64_t row = total * inner, offset = 0;
  for (TensorBody* entry : list) {
    const Tensor& t = reinterpret_cast<const Tensor&>(entry);
    if (skipped(t)) continue;
    int64_t n = lift ? 1 : t.size(dim);
    if (one_type && t.contiguous()) {
      if (outer == 1)
        copy_block(out.data() + offset * inner, t.data(), size_t(n * inner));
      else
        copies().copy_rows(out.data() + offset * inner, row, t.data(), n * inner, n * inner, outer);
    } else {
      Tensor to = part(out, dim, offset, n);
      if (lift) {
        Dims s(to.sizes()), st(to.strides());
        s.erase(dim);
        st.erase(dim);
        to = make_view(to, s, st, to.offset());
      }
      copy_into(to, t);
    }
    offset += n;
  }
}

// The cotangents of joined tensors are slices of the result's.
void unjoin(Backward& b, bool lift) {
  const Tensor& g = b.grads[0];
  if (!g) return;
  int dim = wrap_dim(b.args[1].as_int(), g.dim());
  int64_t at = 0;
  for (size_t i = 0; i < b.out_list.size(); i++) {
    Ints shape = b.list_shapes[i];
    if (lift) {
      b.out_list[i] = ops::select(g, dim, at++);
    } else if (shape.size() == 1 && shape[0] == 0 && g.dim() != 1) {
      b.out_list[i] = zeros(shape, g.dtype());
    } else {
      b.out_list[i] = ops::narrow(g, dim, at, shape[size_t(dim)]);
      at += shape[size_t(dim)];
    }
  }
}

}  // namespace

namespace entries {

void clone(Call& c) {
  const Tensor& t = c.tensor(0);
  if (!c.results[0] && t.contiguous()) {
    c.results[0] = empty(t.sizes(), t.dtype());
    copy_block(c.results[0].data(), t.data(), t.bytes());
    return;
  }
  if (c.args[1].kind == Kind::Text && c.args[1].as_text() == "contiguous_format") {
    Tensor& out = result(c, 0, t.sizes(), t.dtype());
    return copy_into(out, t);
  }
  if (c.args[1].kind == Kind::Text && c.args[1].as_text() == "channels_last" && t.dim() == 4) {
    Dims strides{t.size(1) * t.size(2) * t.size(3), 1, t.size(1) * t.size(3), t.size(1)};
    c.results[0] = empty_strided(t.sizes(), strides, t.dtype());
    return copy_into(c.results[0], t);
  }
  c.results[0] = empty_like(t);
  copy_into(c.results[0], t);
}

void cast(Call& c) {
  const Tensor& t = c.tensor(0);
  DType to = c.args[1].as_dtype();
  c.results[0] = dense(t) ? empty_strided(t.sizes(), t.strides(), to) : empty(t.sizes(), to);
  copy_into(c.results[0], t);
}

void copy(Call& c) {
  const Tensor &t = c.tensor(0), &other = c.tensor(1);
  if (!c.in_place) c.results[0] = empty(t.sizes(), t.dtype());
  copy_into(c.results[0], other);
}

void fill(Call& c) {
  const Tensor& t = c.tensor(0);
  if (!c.in_place) c.results[0] = empty_like(t);
  const Tensor& out = c.results[0];
  alignas(16) char value[16];
  const Value& v = c.args[1];
  if (v.kind == Kind::Complex && !is_complex(out.dtype()))
    fail(ErrorKind::Runtime, "value cannot be converted to type ", name_of(out.dtype()), " without overflow");
  if (v.kind == Kind::Int || v.kind == Kind::Bool)
    store_integer(value, out.dtype(), v.integer);
  else
    store_number(value, out.dtype(), v.as_complex());
  fill_with(out, value);
}

void cat(Call& c) { join(c, false); }
void stack(Call& c) { join(c, true); }

void flip(Call& c) {
  const Tensor& t = c.tensor(0);
  DimSet dims;
  if (c.args[1].count) dims = dim_set(c.args[1], t.dim());
  Tensor& out = result(c, 0, t.sizes(), t.dtype());
  if (!t.numel()) return;
  Dims strides(t.strides());
  const char* from = t.data();
  for (int d = 0; d < t.dim(); d++)
    if (dims.has(d)) {
      from += (t.size(d) - 1) * strides[d] * int64_t(item_size(t.dtype()));
      strides[d] = -strides[d];
    }
  copy_walk(out, t, from, strides);
}

void roll(Call& c) { roll_by(c, 1); }
void roll_back(Call& c) { roll_by(c, -1); }
void tril(Call& c) { triangle(c, false); }
void triu(Call& c) { triangle(c, true); }

void pad_constant(Call& c) {
  const Tensor& t = c.tensor(0);
  Ints pad = c.args[1].as_ints();
  if (pad.size() % 2) fail(ErrorKind::Runtime, "Length of pad must be even but instead it equals ", pad.size());
  if (int(pad.size()) / 2 > t.dim())
    fail(ErrorKind::Runtime,
         "Length of pad should be no more than twice the number of dimensions of the input. Pad length is ", pad.size(),
         " while the input has ", t.dim(), " dimensions.");
  Dims sizes(t.sizes());
  Tensor from = t;
  for (size_t i = 0; i < pad.size() / 2; i++) {
    int d = t.dim() - 1 - int(i);
    sizes[d] = plus(plus(sizes[d], pad[2 * i]), pad[2 * i + 1]);
    if (sizes[d] < 0)
      fail(ErrorKind::Runtime, "The input size ", t.size(d), ", plus negative padding ", pad[2 * i], " and ",
           pad[2 * i + 1], " resulted in a negative output size, which is invalid. Check dimension ", d,
           " of your input.");
    int64_t before = std::max<int64_t>(0, -pad[2 * i]), after = std::max<int64_t>(0, -pad[2 * i + 1]);
    if (before || after) from = part(from, d, before, std::max<int64_t>(0, t.size(d) - before - after));
  }
  Tensor& out = result(c, 0, sizes, t.dtype());
  alignas(16) char value[16];
  store_number(value, t.dtype(), c.args[2].as_complex());
  fill_with(out, value);
  Tensor to = out;
  for (size_t i = 0; i < pad.size() / 2; i++) {
    int d = t.dim() - 1 - int(i);
    to = part(to, d, std::max<int64_t>(0, pad[2 * i]), from.size(d));
  }
  copy_into(to, from);
}

void sum_to_size(Call& c) {
  const Tensor& t = c.tensor(0);
  Ints size = c.args[1].as_ints();
  int shift = t.dim() - int(size.size());
  Dims dims;
  bool ok = shift >= 0;
  for (int i = 0; ok && i < t.dim(); i++) {
    if (i < shift || (size[size_t(i - shift)] == 1 && t.size(i) != 1))
      dims.push_back(i);
    else
      ok = size[size_t(i - shift)] == t.size(i);
  }
  if (!ok) fail(ErrorKind::Runtime, "size {", text_of(size), "} is not expandable to size {", text_of(t.sizes()), "}.");
  if (dims.empty()) {
    c.results[0] = clone_data(t);
    return;
  }
  Tensor summed = contiguous(ops::cast(ops::sum(t, dims, true), t.dtype()));
  c.results[0] = make_view(summed, size, contiguous_strides(size), summed.offset());
}

void select_backward(Call& c) {
  const Tensor& g = c.tensor(0);
  Ints sizes = c.args[1].as_ints();
  int dim = dim_among(c, sizes, c.args[2].as_int());
  int64_t index = c.args[3].as_int(), n = sizes[size_t(dim)];
  if (index < -n || index >= n)
    fail(ErrorKind::Index, c.primitive.name, ": expected an index into ", n, " elements; got ", index);
  Dims one(sizes);
  one.erase(dim);
  expect_shape(c, g, one);
  c.results[0] = zeros(sizes, g.dtype());
  Tensor to = part(c.results[0], dim, index < 0 ? index + n : index, 1);
  Dims s(to.sizes()), st(to.strides());
  s.erase(dim);
  st.erase(dim);
  copy_into(make_view(to, s, st, to.offset()), g);
}

void slice_backward(Call& c) {
  const Tensor& g = c.tensor(0);
  Ints sizes = c.args[1].as_ints();
  int dim = dim_among(c, sizes, c.args[2].as_int());
  int64_t n = sizes[size_t(dim)], start = c.args[3].int_or(0), end = c.args[4].int_or(n), step = c.args[5].int_or(1);
  if (step <= 0) fail(ErrorKind::Value, "step must be greater than zero\n", c.primitive.name, ": got ", step);
  start = std::clamp<int64_t>(start < 0 ? start + n : start, 0, n);
  end = std::clamp<int64_t>(end < 0 ? end + n : end, start, n);
  Dims slice(sizes);
  slice[dim] = end > start ? (end - start - 1) / step + 1 : 0;
  expect_shape(c, g, slice);
  c.results[0] = zeros(sizes, g.dtype());
  copy_into(part(c.results[0], dim, start, g.size(dim), g.size(dim) > 1 ? step : 1), g);
}

void narrow_backward(Call& c) {
  const Tensor& g = c.tensor(0);
  Ints sizes = c.args[1].as_ints();
  int dim = dim_among(c, sizes, c.args[2].as_int());
  int64_t n = sizes[size_t(dim)], start = c.args[3].as_int(), length = c.args[4].as_int();
  if (start < -n || start > n)
    fail(ErrorKind::Index, c.primitive.name, ": expected a start within ", n, " elements; got ", start);
  if (start < 0) start += n;
  if (length < 0 || length > n - start)
    fail(ErrorKind::Runtime, c.primitive.name, ": expected at most ", n - start, " elements; got ", length);
  Dims some(sizes);
  some[dim] = length;
  expect_shape(c, g, some);
  c.results[0] = zeros(sizes, g.dtype());
  copy_into(part(c.results[0], dim, start, length), g);
}

void diagonal_backward(Call& c) {
  const Tensor& g = c.tensor(0);
  Tensor whole = zeros(c.args[1].as_ints(), g.dtype());
  Tensor line = ops::diagonal(whole, c.args[2].as_int(), c.args[3].as_int(), c.args[4].as_int());
  copy_into(line, g);
  c.results[0] = whole;
}

void unfold_backward(Call& c) {
  const Tensor& g = c.tensor(0);
  Ints sizes = c.args[1].as_ints();
  int dim = wrap_dim(c.args[2].as_int(), int(sizes.size()));
  int64_t window = c.args[3].as_int(), step = c.args[4].as_int(), n = sizes.empty() ? 1 : sizes[size_t(dim)];
  if (window < 0 || window > n || step <= 0)
    fail(ErrorKind::Runtime, c.primitive.name, ": expected windows of at most ", n, " and a positive step; got ",
         window, " and ", step);
  Dims windows(sizes);
  if (!sizes.empty()) windows[dim] = (n - window) / step + 1;
  windows.push_back(window);
  expect_shape(c, g, windows);
  Tensor whole = zeros(c.args[1].as_ints(), g.dtype());
  int last = g.dim() - 1;
  for (int64_t k = 0; k < window; k++) {  // element k of every window: no two overlap
    Dims s(g.sizes()), st(g.strides());
    s.erase(last);
    st.erase(last);
    Tensor from = make_view(g, s, st, g.offset() + k * g.stride(last));
    if (whole.dim() == 0) {  // a number unfolds into a window of one
      ops::add_(whole, make_view(from, {}, {}, from.offset()));
      continue;
    }
    if (from.size(dim) == 0) continue;
    Tensor to = part(whole, dim, k, from.size(dim), step);
    ops::add_(to, from);
  }
  c.results[0] = whole;
}

void zeros_like(Call& c) {
  const Tensor& t = c.tensor(0);
  DType dtype = c.args[1].dtype_or(t.dtype());
  c.results[0] = dense(t) ? empty_strided(t.sizes(), t.strides(), dtype) : empty(t.sizes(), dtype);
  zero(c.results[0]);
}

void as_strided_backward(Call& c) {
  // Cotangents added up where they came from in the input's storage, then seen through the input's own geometry.
  Tensor g = contiguous(c.tensor(0));
  Ints input_sizes = c.args[1].as_ints(), input_strides = c.args[2].as_ints(), strides = c.args[3].as_ints();
  int64_t offset = c.args[4].as_int(), last = 0;
  bool good = input_sizes.size() == input_strides.size() && int(strides.size()) == g.dim() && offset >= 0;
  for (Ints list : {input_sizes, input_strides, strides})
    for (int64_t v : list) good = good && v >= 0;
  if (!good)
    fail(ErrorKind::Runtime, c.primitive.name, ": expected a stride for each extent, none negative; got ",
         text_of(input_sizes), ", ", text_of(input_strides), ", ", text_of(strides), " at ", offset, " for ",
         describe(g));
  for (size_t i = 0; i < input_sizes.size(); i++)
    last = plus(last, times(std::max<int64_t>(0, input_sizes[i] - 1), input_strides[i]));
  int64_t reach = offset;
  for (int i = 0; i < g.dim(); i++) reach = plus(reach, times(std::max<int64_t>(0, g.size(i) - 1), strides[size_t(i)]));
  Dims flat{plus(std::max(last, reach), 1)};
  Tensor storage = zeros(flat, g.dtype());
  Tensor region = make_view(storage, g.sizes(), strides, offset);
  if (!may_self_overlap(region)) {
    copy_into(region, g);
  } else {
    Tensor positions = empty(flat, DType::Int64);
    for (int64_t i = 0; i < flat[0]; i++) positions.data_as<int64_t>()[i] = i;
    Tensor index = contiguous(make_view(positions, g.sizes(), strides, offset));
    Dims n{g.numel()}, one{1};
    Tensor where = make_view(index, n, one, 0);
    TensorBody* list[] = {where.get()};
    storage = ops::index_put(storage, std::span<TensorBody* const>(list), make_view(g, n, one, g.offset()), true);
  }
  c.results[0] = clone_data(make_view(storage, input_sizes, input_strides, 0));
}

}  // namespace entries

namespace vjps {

void copy(Backward& b) {
  const Tensor& g = b.grads[0];
  if (!g) return;
  if (b.needed(0)) b.out[0] = ops::zeros_like(g);
  if (b.needed(1)) b.out[1] = reduced(b, 1, g);
}

void cat(Backward& b) { unjoin(b, false); }
void stack(Backward& b) { unjoin(b, true); }

void pad_constant(Backward& b) {
  Dims pad(b.args[1].as_ints());
  for (int64_t& p : pad) p = -p;
  b.out[0] = ops::pad_constant(b.grads[0], pad, 0);
}

void as_strided_backward(Backward& b) {
  // The storage that the view was of: zeros where the input has no element, sums where it has several in one place.
  Ints sizes = b.args[1].as_ints(), strides = b.args[2].as_ints(), view = b.args[3].as_ints();
  int64_t last = 0, reach = b.args[4].as_int();
  for (size_t i = 0; i < sizes.size(); i++) last += std::max<int64_t>(sizes[i] - 1, 0) * strides[i];
  for (size_t i = 0; i < view.size(); i++) reach += std::max<int64_t>(b.shapes[0][i] - 1, 0) * view[i];
  Tensor laid_out = ops::as_strided_backward(b.grads[0], Dims{std::max(last, reach) + 1}, Dims{1}, b.args[2], 0);
  b.out[0] = ops::as_strided(laid_out, b.shapes[0], b.args[3].as_ints(), b.args[4].as_int());
}

void as_strided(Backward& b) {
  const Tensor& input = b.args[0].peek();
  int64_t offset = b.args[3].int_or(input.offset()) - input.offset();
  b.out[0] = ops::as_strided_backward(b.grads[0], input.sizes(), input.strides(), b.args[2].as_ints(), offset);
}

}  // namespace vjps

}  // namespace flambeau
