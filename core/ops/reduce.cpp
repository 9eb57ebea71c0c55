// Driver of reduction rows: brings any strided input to [outer, reduced, inner] for the kernels, with as few copies as
// the order of its dimensions in memory allows.
#include "ops/entries.h"

namespace flambeau {

namespace {

// Arguments of a reduction by their types: rows order them as PyTorch does.
struct Arguments {
  const Value *dim, *keepdim, *dtype;
  double numbers[4];
};

Arguments arguments(const Call& c) {
  static constexpr Value none;
  Arguments a{&none, &none, &none, {}};
  int n = 0;
  for (int i = 1; i < c.primitive.param_count; i++) {
    switch (c.primitive.params[i].type) {
      case ParamType::Dims: a.dim = &c.args[i]; break;
      case ParamType::Bool: a.keepdim = &c.args[i]; break;
      case ParamType::DType: a.dtype = &c.args[i]; break;
      default: a.numbers[n++] = c.args[i].as_double();
    }
  }
  return a;
}

// The type that the kernels fold; the row's formula may only know bool (all, any) or only floats (mean, var).
DType folded_type(const Primitive& p, DType input, bool named) {
  DType t = is_half(input) ? DType::Float32 : input;
  if (p.reduction->kernel[int(t)]) return t;
  if (is_integral(t) && p.reduction->kernel[int(DType::Int64)]) return DType::Int64;
  if (p.supports(DType::Bool)) return DType::Bool;
  if (!named && is_integral(input) && std::string_view(p.name) == "mean")
    fail(ErrorKind::Runtime,
         "mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. Got: ",
         python_name_of(input), "\nmean: expected floating elements; got ", name_of(input), "\nhint: x.float().mean()");
  fail(ErrorKind::Runtime, "\"", p.name, "\" not implemented for '", python_name_of(input), "'\n", p.name,
       ": expected another element type; got ", name_of(input));
}

struct Layout {
  Tensor data;  // dense, its dimensions in memory order
  Dims order;   // data's dimension k is the input's dimension order[k]
  int64_t outer = 1, reduced = 1, inner = 1;
  bool natural = true;  // the kept dimensions come out in the input's order
};

Layout lay_out(const Tensor& t, const DimSet& dims) {
  Layout l;
  int rank = t.dim();
  for (int i = 0; i < rank; i++) l.order.push_back(i);
  if (!t.contiguous())
    std::stable_sort(l.order.begin(), l.order.end(),
                     [&](int64_t a, int64_t b) { return t.stride(int(a)) > t.stride(int(b)); });
  // The reduced dimensions must be neighbours; where they are not, they move to the end in a copy.
  int first = -1, last = -1, seen = 0;
  for (int k = 0; k < rank; k++) {
    if (!dims.has(l.order[k]) || t.size(int(l.order[k])) == 1) continue;
    if (first < 0) first = k;
    last = k;
    seen++;
  }
  int between = 0;
  for (int k = first; first >= 0 && k <= last; k++) between += !dims.has(l.order[k]) && t.size(int(l.order[k])) != 1;
  if (between || !dense(t)) {
    Dims kept, folded;
    for (int i = 0; i < rank; i++) (dims.has(i) ? folded : kept).push_back(i);
    l.order = kept;
    for (int64_t d : folded) l.order.push_back(d);
  }
  Dims sizes(rank), strides(rank);
  for (int k = 0; k < rank; k++) {
    sizes[k] = t.size(int(l.order[k]));
    strides[k] = t.stride(int(l.order[k]));
  }
  l.data = contiguous(make_view(t, sizes, strides, t.offset()));
  int64_t* part = &l.outer;
  int64_t previous = -1;
  for (int k = 0; k < rank; k++) {
    bool folds = dims.has(l.order[k]);
    if (folds) {
      l.reduced *= sizes[k];
      if (sizes[k] != 1) part = &l.inner;
    } else {
      *part *= sizes[k];
      l.natural = l.natural && l.order[k] > previous;
      previous = l.order[k];
    }
  }
  return l;
}

// The result in the input's order of dimensions, from one whose kept dimensions come in memory order.
Tensor reordered(const Tensor& flat, const Layout& l, const DimSet& dims, const Tensor& input, Ints sizes, bool keep) {
  if (l.natural) return make_view(flat, sizes, contiguous_strides(sizes), 0);
  int rank = input.dim();
  Dims by_input(rank);
  int64_t step = 1;
  for (int k = rank - 1; k >= 0; k--) {
    int d = int(l.order[k]);
    if (dims.has(d)) continue;
    by_input[d] = step;
    step *= input.size(d);
  }
  Dims strides;
  for (int i = 0; i < rank; i++) {
    if (!dims.has(i))
      strides.push_back(by_input[i]);
    else if (keep)
      strides.push_back(1);
  }
  return contiguous(make_view(flat, sizes, strides, 0));
}

}  // namespace

namespace ops {
Tensor sum_to(const Tensor& g, Ints sizes) { return equal(g.sizes(), sizes) ? g : sum_to_size(g, sizes); }
}  // namespace ops

namespace entries {

void reduce(Call& c) {
  const Primitive& p = c.primitive;
  Arguments a = arguments(c);
  const Tensor& input = c.tensor(0);
  DType wanted = a.dtype->dtype_or(input.dtype());
  DType folded = folded_type(p, wanted, !a.dtype->none());
  DType out_dtype = p.reduction->result[int(folded)];
  if (is_half(wanted) && out_dtype == DType::Float32) out_dtype = wanted;
  if (!a.dtype->none() && is_integral(wanted)) out_dtype = wanted;
  if (out_dtype == DType::Bool && input.dtype() == DType::UInt8 && folded == DType::Bool) out_dtype = DType::UInt8;
  DimSet dims = dim_set(*a.dim, input.dim());
  bool keep = a.keepdim->as_bool();
  Dims sizes = without(input.sizes(), dims, keep);
  if (p.empty_fails)
    for (int i = 0; i < input.dim(); i++)
      if (dims.has(i) && input.size(i) == 0) {
        if (a.dim->none() || a.dim->as_ints().empty())
          fail(ErrorKind::Runtime, p.name,
               "(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the "
               "'dim' argument.");
        fail(ErrorKind::Index, p.name, "(): Expected reduction dim ", i, " to have non-zero size.");
      }
  Tensor brought = input.dtype() == folded ? Tensor() : converted(input, folded);
  const Tensor& t = brought ? brought : input;
  need_data(t);
  DType raw = p.reduction->result[int(folded)];
  // The usual cases, whole or along one dimension, write straight into the result.
  if (t.contiguous() && raw == out_dtype && (dims.count() == t.dim() || dims.count() == 1)) {
    Split3 part{1, t.numel(), 1};
    if (dims.count() != t.dim()) {
      part = split_at(t.sizes(), dims.first());
    }
    Tensor& out = result(c, 0, sizes, out_dtype);
    if (out.numel()) p.reduction->kernel[int(folded)](out.data(), t.data(), part.outer, part.n, part.inner, a.numbers);
    return;
  }
  // The usual case writes straight into the result.
  if (t.contiguous() && raw == out_dtype) {
    Layout l = lay_out(t, dims);
    if (l.natural) {
      Tensor& out = result(c, 0, sizes, out_dtype);
      if (out.numel())
        p.reduction->kernel[int(folded)](out.data(), l.data.data(), l.outer, l.reduced, l.inner, a.numbers);
      return;
    }
  }
  Layout l = lay_out(t, dims);
  Tensor flat = empty(Dims{l.outer * l.inner}, raw);
  if (flat.numel())
    p.reduction->kernel[int(folded)](flat.data(), l.data.data(), l.outer, l.reduced, l.inner, a.numbers);
  Tensor final = converted(reordered(flat, l, dims, t, sizes, keep), out_dtype);
  if (c.results[0])
    copy_into(result(c, 0, sizes, out_dtype), final);
  else
    c.results[0] = final;
}

void unreduce(Call& c) {
  const Tensor& g = c.tensor(0);
  Ints size = c.args[1].as_ints();
  DimSet dims = dim_set(c.args[2], int(size.size()));
  Tensor t = g;
  int64_t n = 1;
  Dims kept(size);
  for (int i = 0; i < kept.size(); i++)
    if (dims.has(i)) {
      n = times(n, kept[i]);
      kept[i] = 1;
    }
  if (!c.args[3].as_bool()) t = ops::reshape(t, kept);
  if (!c.args[4].none()) t = ops::div(t, std::max(0.0, double(n) - c.args[4].as_double()));
  c.results[0] = ops::expand(t, size);
}

}  // namespace entries

}  // namespace flambeau
