// max, min, argmax and argmin: the value first, then where it stands.
#include "ops/entries.h"

namespace flambeau {

namespace {

struct Found {
  Tensor values, indices;  // [outer * inner] of the type computed in, and int64
};

// Extremes along the middle of [outer, n, inner].
Found find(const Tensor& t, const Split3& s, bool greatest) {
  Found f{empty(Dims{s.outer * s.inner}, t.dtype()), empty(Dims{s.outer * s.inner}, DType::Int64)};
  if (!f.values.numel()) return f;
  const ReduceKernels* values = (greatest ? primitive::amax : primitive::amin).reduction;
  values->kernel[int(t.dtype())](f.values.data(), t.data(), s.outer, s.n, s.inner, nullptr);
  kernels::table<kernels::PositionKernels>().find[int(t.dtype())](f.indices.data_as<int64_t>(), f.values.data(),
                                                                  t.data(), s.outer, s.n, s.inner);
  return f;
}

Tensor real_input(const Tensor& t, const char* name) {
  if (is_complex(t.dtype()))
    fail(ErrorKind::Runtime, "\"", name, "\" not implemented for '", python_name_of(t.dtype()), "'\n", name,
         ": expected real elements; got ", describe(t));
  return contiguous(is_half(t.dtype()) ? converted(t, DType::Float32) : t);
}

void along(Call& c, bool greatest) {
  const Tensor& t = c.tensor(0);
  const char* name = c.primitive.name;
  int dim = wrap_dim(c.args[1].as_int(), t.dim());
  if (t.dim() && t.size(dim) == 0)
    fail(ErrorKind::Index, name, "(): Expected reduction dim ", dim, " to have non-zero size.");
  Tensor x = real_input(t, name);
  DimSet set;
  if (t.dim()) set.add(dim);
  Dims sizes = without(t.sizes(), set, c.args[2].as_bool());
  Found f = find(x, split_at(t.sizes(), dim), greatest);
  Dims strides = contiguous_strides(sizes);
  Tensor values = make_view(f.values, sizes, strides, 0), indices = make_view(f.indices, sizes, strides, 0);
  copy_into(result(c, 0, sizes, t.dtype()), values);
  if (c.results[1])
    copy_into(result(c, 1, sizes, DType::Int64), indices);
  else
    c.results[1] = indices;
}

void position(Call& c, bool greatest) {
  const Tensor& t = c.tensor(0);
  const char* name = c.primitive.name;
  bool all = c.args[1].none();
  int dim = all ? 0 : wrap_dim(c.args[1].as_int(), t.dim());
  if (t.numel() == 0 && (all || t.size(dim) == 0))
    fail(ErrorKind::Index, name, "(): Expected reduction dim ",
         all ? "to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' argument."
             : str(dim, " to have non-zero size."));
  Tensor x = real_input(t, name);
  DimSet set;
  if (all)
    set = dim_set(Value(), t.dim());
  else if (t.dim())
    set.add(dim);
  Dims sizes = without(t.sizes(), set, c.args[2].as_bool());
  Split3 s = all ? Split3{1, t.numel(), 1} : split_at(t.sizes(), dim);
  Found f = find(x, s, greatest);
  Tensor indices = make_view(f.indices, sizes, contiguous_strides(sizes), 0);
  if (c.results[0])
    copy_into(result(c, 0, sizes, DType::Int64), indices);
  else
    c.results[0] = indices;
}

}  // namespace

namespace entries {

void max_along(Call& c) { along(c, true); }
void min_along(Call& c) { along(c, false); }
void argmax(Call& c) { position(c, true); }
void argmin(Call& c) { position(c, false); }

}  // namespace entries

namespace vjps {

// The cotangent goes to the position that was chosen.
void extreme_along(Backward& b) {
  const Tensor& g = b.grads[0];
  if (!g) return;
  int dim = wrap_dim(b.args[1].as_int(), int(b.shapes[0].size()));
  if (b.shapes[0].empty()) {
    b.out[0] = g;
    return;
  }
  bool keep = b.args[2].as_bool();
  Tensor index = keep ? b.results[1] : ops::unsqueeze(b.results[1], dim), grad = keep ? g : ops::unsqueeze(g, dim);
  Tensor zeros = empty(b.shapes[0], g.dtype());
  uint64_t nothing[2] = {};
  fill_with(zeros, nothing);
  b.out[0] = ops::scatter(zeros, dim, index, grad);
}

}  // namespace vjps

}  // namespace flambeau
