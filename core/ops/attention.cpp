// Scaled dot-product attention. Four-dimensional float32 (and half) operands go to the fused kernel; dropout, masks
// that want gradients, float64 and broadcast batches are composed of products and softmax, as are second derivatives.
#include "kernels/cpu/attention.h"
#include <cmath>
#include <limits>
#include "ops/entries.h"

namespace flambeau {

namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

const kernels::AttentionKernels& kernel() { return kernels::table<kernels::AttentionKernels>(); }

kernels::Strided strided(const Tensor& t) { return {t.stride(0), t.stride(1), t.stride(2)}; }

// Rows of contiguous elements without overlap: what the kernel reads, and what gradients of the same strides need.
bool readable(const Tensor& t) { return t.stride(3) == 1 || t.size(3) == 1; }
Tensor operand(const Tensor& given, bool as_model) {
  Tensor t = converted(given, DType::Float32);
  return (as_model ? dense(t) && readable(t) : readable(t)) ? t : contiguous(t);
}

// The mask as floats to add, seen as (batch, heads, queries, keys) without a copy of what is broadcast.
Tensor addend(const Tensor& mask, Ints sizes) {
  Tensor m = mask;
  if (is_bool(m.dtype())) {
    Tensor floats = empty(m.sizes(), DType::Float32), bytes = contiguous(m);
    const auto* from = bytes.data_as<uint8_t>();
    auto* to = floats.data_as<float>();
    for (int64_t i = 0; i < m.numel(); i++) to[i] = from[i] ? 0.f : float(kNever);
    m = floats;
  }
  m = converted(m, DType::Float32);
  if (m.dim() && m.stride(m.dim() - 1) != 1 && m.size(m.dim() - 1) != 1) m = contiguous(m);
  return expanded(m, sizes);
}

struct Fused {
  kernels::AttentionShape s;
  Tensor mask;
};
Fused shape_of(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out, const Value& mask, bool causal,
               double scale) {
  Fused f;
  f.s.batch = q.size(0);
  f.s.heads = q.size(1);
  f.s.queries = q.size(2);
  f.s.width = q.size(3);
  f.s.kv_heads = k.size(1);
  f.s.keys = k.size(2);
  f.s.value_width = v.size(3);
  f.s.q = strided(q);
  f.s.k = strided(k);
  f.s.v = strided(v);
  f.s.out = strided(out);
  f.s.scale = float(scale);
  f.s.causal = causal;
  if (!mask.none()) {
    Dims sizes{f.s.batch, f.s.heads, f.s.queries, f.s.keys};
    f.mask = addend(mask.peek(), sizes);
    f.s.mask = f.mask.data_as<float>();
    f.s.mask_stride = strided(f.mask);
    f.s.mask_column = f.mask.stride(3);
  }
  return f;
}

// (batch, heads, queries, width) laid out so that heads can be joined without a copy.
Tensor result_like(Ints sizes) {
  Dims strides{sizes[1] * sizes[2] * sizes[3], sizes[3], sizes[1] * sizes[3], 1};
  return empty_strided(sizes, strides, DType::Float32);
}

bool wants_grad(const Tensor& t) {
  return thread_state().grad_enabled && (t.requires_grad() || t->is_view) && is_differentiable(t.dtype());
}

// Keys or values for every query head.
Tensor repeated(const Tensor& t, int64_t heads) {
  int64_t own = t.size(t.dim() - 3);
  if (own == heads) return t;
  Dims sizes(t.sizes()), wide(t.sizes());
  sizes[t.dim() - 3] = heads;
  wide.insert(t.dim() - 2, heads / own);
  return ops::reshape(ops::expand(ops::unsqueeze(t, t.dim() - 2), wide), sizes);
}

Tensor never_like(const Tensor& scores) {
  Tensor t = empty(Ints(), scores.dtype());
  alignas(16) char value[16];
  store_number(value, t.dtype(), {kNever, 0});
  fill_with(t, value);
  return t;
}

// True on and below the diagonal of (queries, keys).
Tensor lower_triangle(int64_t queries, int64_t keys) {
  Tensor t = empty(Dims{queries, keys}, DType::Bool);
  auto* p = t.data_as<uint8_t>();
  for (int64_t i = 0; i < queries; i++)
    for (int64_t j = 0; j < keys; j++) p[i * keys + j] = j <= i;
  return t;
}

struct Weights {
  Tensor p, blind;  // blind: rows that see no key (null without masks), whose weights are zero
};
Weights weights(const Tensor& q, const Tensor& k, const Value& mask, bool causal, double scale) {
  Tensor scores = ops::mul(ops::matmul(q, ops::transpose(k, -2, -1)), scale);
  Weights w;
  Tensor never = never_like(scores);
  if (causal) scores = ops::where(lower_triangle(q.size(q.dim() - 2), k.size(k.dim() - 2)), scores, never);
  if (!mask.none()) {
    const Tensor& m = mask.peek();
    scores = is_bool(m.dtype()) ? ops::where(m, scores, never)
                                : ops::add(scores, m.dtype() == scores.dtype() ? m : ops::cast(m, scores.dtype()));
  }
  if (!mask.none() && k.size(k.dim() - 2)) {
    Tensor zero = empty(Ints(), scores.dtype());
    uint64_t nothing = 0;
    fill_with(zero, &nothing);
    Dims last{-1};
    w.blind = ops::eq(ops::amax(scores, last, true), never);
    w.p = ops::where(w.blind, zero, ops::softmax(ops::where(w.blind, zero, scores), -1));
  } else {
    w.p = ops::softmax(scores, -1);
  }
  return w;
}

void check(const Tensor& q, const Tensor& k, const Tensor& v, const Value& mask) {
  if (q.dim() < 2 || k.dim() < 2 || v.dim() < 2)
    fail(ErrorKind::Runtime,
         "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: ", q.dim(),
         " key.dim: ", k.dim(), " and value.dim: ", v.dim(), " instead.\nscaled_dot_product_attention: got ",
         describe(q), ", ", describe(k), ", ", describe(v));
  if (q.dtype() != k.dtype() || q.dtype() != v.dtype())
    fail(ErrorKind::Runtime,
         "Expected query, key, and value to have the same dtype, but got query.dtype: ", cpp_name_of(q.dtype()),
         " key.dtype: ", cpp_name_of(k.dtype()), " and value.dtype: ", cpp_name_of(v.dtype()),
         " instead.\nscaled_dot_product_attention: got ", describe(q), ", ", describe(k), ", ", describe(v),
         "\nhint: cast them with .to(dtype)");
  if (!is_floating(q.dtype()))
    fail(ErrorKind::Runtime, "expected scalar type Float but found ", python_name_of(q.dtype()),
         "\nscaled_dot_product_attention: expected floating elements; got ", describe(q));
  if (!mask.none()) {
    DType m = mask.tensor->dtype;
    if (m != DType::Bool && m != q.dtype() && m != DType::Float32)
      fail(ErrorKind::Runtime,
           "Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype: ",
           cpp_name_of(m), " and  query.dtype: ", cpp_name_of(q.dtype()),
           " instead.\nscaled_dot_product_attention: got mask ", describe(mask.peek()));
  }
}

bool fusable(const Tensor& q, const Tensor& k, const Tensor& v, const Value& mask, bool grouped) {
  if (q.dtype() == DType::Float64 || q.dim() != k.dim() || q.dim() != v.dim() || (q.dim() != 4 && q.dim() != 3))
    return false;
  if (!q.numel() || !k.numel() || !v.numel()) return false;
  int d = q.dim();
  if (q.size(0) != k.size(0) || q.size(0) != v.size(0) || k.size(d - 2) != v.size(d - 2) ||
      q.size(d - 1) != k.size(d - 1))
    return false;
  if (d == 4) {
    if (k.size(1) != v.size(1) || q.size(1) % k.size(1)) return false;
    if (k.size(1) != q.size(1) && k.size(1) != 1 && !grouped) return false;
  }
  return mask.none() || (!wants_grad(mask.peek()) && mask.tensor->dim <= d);
}

}  // namespace

namespace entries {

void attention_kernel(Call& c) {
  for (int i = 0; i < 3; i++)
    if (c.tensor(i).dim() != 4 || (c.tensor(i).dtype() != DType::Float32 && !is_half(c.tensor(i).dtype())))
      fail(ErrorKind::Runtime, "attention_kernel: expected (batch, heads, length, width) of float32; got ",
           describe(c.tensor(i)));
  Tensor q = operand(c.tensor(0), false), k = operand(c.tensor(1), false), v = operand(c.tensor(2), false);
  if (k.size(1) == 0 || q.size(1) % k.size(1) || k.size(1) != v.size(1) || k.size(2) != v.size(2) ||
      k.size(3) != q.size(3) || k.size(0) != q.size(0) || v.size(0) != q.size(0))
    fail(ErrorKind::Runtime, "attention_kernel: expected operands that fit together; got ", describe(q), ", ",
         describe(k), ", ", describe(v));
  Dims sizes{q.size(0), q.size(1), q.size(2), v.size(3)};
  c.results[0] = result_like(sizes);
  c.results[1] = empty(Ints(sizes).first(3), DType::Float32);
  Fused f = shape_of(q, k, v, c.results[0], c.args[3], c.args[4].as_bool(), c.args[5].as_double());
  kernel().forward(f.s, q.data_as<float>(), k.data_as<float>(), v.data_as<float>(), c.results[0].data_as<float>(),
                   c.results[1].data_as<float>());
  c.results[0] = converted(c.results[0], c.tensor(0).dtype());
}

void scaled_dot_product_attention(Call& c) {
  Tensor q = c.tensor(0), k = c.tensor(1), v = c.tensor(2);
  const Value& mask = c.args[3];
  check(q, k, v, mask);
  double dropout = c.args[4].as_double(),
         scale = c.args[6].none() ? 1 / std::sqrt(double(q.size(q.dim() - 1))) : c.args[6].as_double();
  bool causal = c.args[5].as_bool(), grouped = c.args[7].as_bool();
  if (dropout < 0 || dropout > 1)
    fail(ErrorKind::Runtime, "dropout probability has to be between 0 and 1, but got ", dropout);
  DType dtype = q.dtype();
  if (is_half(dtype))
    for (Tensor* t : {&q, &k, &v}) *t = ops::cast(*t, DType::Float32);
  auto finish = [&](const Tensor& out) { c.results[0] = is_half(dtype) ? ops::cast(out, dtype) : out; };
  if (dropout == 0 && fusable(q, k, v, mask, grouped)) {
    bool single = q.dim() == 3;
    Tensor m = mask.as_tensor();
    if (single)
      for (Tensor* t : {&q, &k, &v}) *t = ops::unsqueeze(*t, 1);
    if (single && m && m.dim() == 3) m = ops::unsqueeze(m, 1);
    Tensor out = ops::attention_kernel(q, k, v, m, causal, scale)[0];
    return finish(single ? ops::squeeze(out, Dims{1}) : out);
  }
  if (grouped && q.dim() >= 3) {
    int64_t heads = q.size(q.dim() - 3);
    if (k.dim() < 3 || v.dim() < 3 || !k.size(k.dim() - 3) || heads % k.size(k.dim() - 3) || !v.size(v.dim() - 3) ||
        heads % v.size(v.dim() - 3))
      fail(ErrorKind::Runtime,
           "Number of heads in key and value must divide the number of heads in query\nscaled_dot_product_attention: "
           "got ",
           describe(q), ", ", describe(k), ", ", describe(v));
    k = repeated(k, heads);
    v = repeated(v, heads);
  }
  Tensor p = weights(q, k, mask, causal, scale).p;
  if (dropout > 0) p = ops::dropout(p, dropout, true);
  finish(ops::matmul(p, v));
}

}  // namespace entries

namespace vjps {

void attention_kernel(Backward& b) {
  if (!b.grads[0] && !b.grads[1]) return;
  const Tensor &q0 = b.args[0].peek(), &k0 = b.args[1].peek(), &v0 = b.args[2].peek();
  const Tensor& g = b.grads[0];
  bool causal = b.args[4].as_bool();
  double scale = b.args[5].as_double();
  if (!b.differentiable && g && !b.grads[1]) {
    Tensor q = operand(q0, true), k = operand(k0, true), v = operand(v0, true);
    Tensor dq = empty_strided(q.sizes(), q.strides(), DType::Float32),
           dk = empty_strided(k.sizes(), k.strides(), DType::Float32),
           dv = empty_strided(v.sizes(), v.strides(), DType::Float32);
    Tensor out = converted(b.results[0], DType::Float32), grad = converted(g, DType::Float32);
    if (!equal(grad.strides(), out.strides())) {
      grad = empty_strided(out.sizes(), out.strides(), DType::Float32);
      copy_into(grad, g);
    }
    Fused f = shape_of(q, k, v, out, b.args[3], causal, scale);
    kernel().backward(f.s, q.data_as<float>(), k.data_as<float>(), v.data_as<float>(), out.data_as<float>(),
                      b.results[1].data_as<float>(), grad.data_as<float>(), dq.data_as<float>(), dk.data_as<float>(),
                      dv.data_as<float>());
    b.out[0] = converted(dq, b.dtypes[0]);
    b.out[1] = converted(dk, b.dtypes[1]);
    b.out[2] = converted(dv, b.dtypes[2]);
    return;
  }
  if (b.grads[1]) fail(ErrorKind::NotImplemented, "attention_kernel: the logsumexp has no gradient");
  int64_t heads = q0.size(1);
  Tensor k = repeated(k0, heads), v = repeated(v0, heads);
  Tensor p = weights(q0, k, b.args[3], causal, scale).p, pt = ops::transpose(p, -2, -1);
  Tensor dp = ops::matmul(g, ops::transpose(v, -2, -1));
  Dims last{-1};
  Tensor ds = ops::mul(ops::mul(p, ops::sub(dp, ops::sum(ops::mul(dp, p), last, true))), scale);
  auto grouped = [&](const Tensor& t, Ints sizes) {  // summed over the query heads that share a key head
    if (sizes[1] == heads) return t;
    Dims apart{sizes[0], sizes[1], heads / sizes[1], sizes[2], sizes[3]}, dims{2};
    return ops::sum(ops::reshape(t, apart), dims);
  };
  if (b.needed(0)) b.out[0] = ops::matmul(ds, k);
  if (b.needed(1)) b.out[1] = grouped(ops::matmul(ops::transpose(ds, -2, -1), q0), b.shapes[1]);
  if (b.needed(2)) b.out[2] = grouped(ops::matmul(pt, g), b.shapes[2]);
}

}  // namespace vjps

}  // namespace flambeau
