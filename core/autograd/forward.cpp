// Forward mode: what happens to tangents. The class of a row says which of five ways they go:
//   views and linear rows   the row itself, applied to the tangents
//   bilinear rows           one term for each operand that has a tangent
//   elementwise rows        the composed gradient, tangents in place of cotangents and nothing conjugated
//   rows with `jvp=`        the row's own formula
//   all others              the gradient is linear in its cotangent u, and its own gradient with respect to u is the tangent
#include "autograd/levels.h"
#include "autograd/node.h"
#include "dispatch/ops.h"
#include "tensor/copy.h"

namespace flambeau {

namespace {

Tensor zeros_of(const Tensor& t) { return ops::zeros_like(t); }

// The elements of t in the memory order of a tensor with `strides`, as a vector without holes.
Tensor laid_out(const Tensor& t, Ints strides) {
  int64_t n = 1;
  for (int i = 0; i < t.dim(); i++) n += t.size(i) ? (t.size(i) - 1) * strides[size_t(i)] : 0;
  return ops::as_strided_backward(t, Dims{n}, Dims{1}, strides, 0);
}

// What `view` shows of base, of another tensor of base's shape.
Tensor same_view(const Tensor& view, const Tensor& base, const Tensor& of) {
  int64_t offset = view.offset() - base.offset();
  return ops::as_strided(laid_out(of, base.strides()), view.sizes(), view.strides(), offset);
}

Tensor with_type(Tensor t, DType dtype) { return t.dtype() == dtype ? t : ops::cast(t, dtype); }
Tensor with_shape(Tensor t, Ints sizes) { return equal(t.sizes(), sizes) ? t : ops::expand(t, sizes); }

// The primals and tangents of one call.
struct Dual {
  const Primitive& p;
  Exchanged primals;
  Tensor tangents[kMaxParams];
  std::vector<Tensor> list;  // tangents of the entries of the one list, null where there is none
  int list_param = -1;
  uint32_t has = 0;  // bit i: argument i, or an entry of it, has a tangent

  Dual(LevelCall& c, int64_t level)
      : p(c.p), primals(c.p, c.args, [level](TensorBody* t) { return below(sharing(t), level); }) {
    for (int i = 0; i < p.param_count; i++) {
      const Value& v = c.args[i];
      if (v.is_tensor()) {
        if (at_level(v.tensor, level)) tangents[i] = tangent_of(v.peek());
        if (tangents[i]) has |= 1u << i;
      }
      if (v.kind != Kind::Tensors) continue;
      list_param = i;
      for (TensorBody* t : v.as_tensors()) {
        list.push_back(at_level(t, level) ? tangent_of(sharing(t)) : Tensor());
        if (list.back()) has |= 1u << i;
      }
    }
  }
  const Value* args() const { return primals.values; }
};

bool complex_agrees(const Dual& d, DType result) {
  for (int i = 0; i < d.p.param_count; i++)
    if (d.tangents[i] && is_complex(d.tangents[i].dtype()) != is_complex(result)) return false;
  return true;
}

// Runs the gradient (or jvp) formula with a tangent as the cotangent, one operand at a time, and adds up.
void by_formula(const Dual& d, void (*formula)(Backward&), const Tensor* results, Tensor* out, bool cast) {
  Ints shapes[kMaxParams];
  DType dtypes[kMaxParams];
  for (int i = 0; i < d.p.param_count; i++)
    if (d.args()[i].is_tensor()) {
      shapes[i] = d.args()[i].peek().sizes();
      dtypes[i] = d.args()[i].tensor->dtype;
    }
  for (int i = 0; i < d.p.param_count; i++) {
    if (!d.tangents[i]) continue;
    Tensor grads[kMaxResults], terms[kMaxParams];
    grads[0] = cast ? with_type(d.tangents[i], results[0].dtype()) : d.tangents[i];
    grads[0] = with_shape(grads[0], results[0].sizes());
    Backward b{d.p, d.args(), results, grads, 1u << i, terms, {}, shapes, dtypes, {}, true, false};
    formula(b);
    if (terms[i]) out[0] = out[0] ? ops::add(out[0], terms[i]) : terms[i];
  }
}

bool names_zero(const Param& param) {
  return param.type == ParamType::Number && std::string_view(param.name) == "value";
}

bool is_linear(const Dual& d) {
  if (d.has & ~d.p.linear || d.p.cls == Class::Random) return false;  // a second draw would be another one
  for (int i = 0; i < d.p.param_count; i++)                           // scatter's reduce="multiply" and its like
    if (d.args()[i].kind == Kind::Text && std::string_view(d.p.params[i].name) == "reduce") return false;
  return true;
}

// The row itself on the tangents; operands without one are zeros.
void by_linearity(const Dual& d, Tensor* out) {
  Value args[kMaxParams];
  std::vector<Tensor> kept;
  std::vector<TensorBody*> list;
  kept.reserve(size_t(d.p.param_count) + d.list.size());
  for (int i = 0; i < d.p.param_count; i++) {
    const Value& v = d.args()[i];
    args[i] = v;
    if (names_zero(d.p.params[i]) && v.is_number()) args[i] = Value(0);
    if (!(d.p.linear >> i & 1)) continue;
    if (v.is_tensor()) {
      args[i] = Value(kept.emplace_back(d.tangents[i] ? d.tangents[i] : zeros_of(v.peek())));
    } else if (v.is_number()) {
      args[i] = Value(0);
    } else if (v.kind == Kind::Tensors) {
      for (size_t k = 0; k < d.list.size(); k++)
        list.push_back(kept.emplace_back(d.list[k] ? d.list[k] : zeros_of(sharing(v.tensors[k]))).get());
      args[i] = list_value(list);
    }
  }
  call(d.p, args, out);
}

void by_product_rule(const Dual& d, Tensor* out) {
  for (int i = 0; i < d.p.param_count; i++) {
    if (!d.tangents[i]) continue;
    Value args[kMaxParams];
    for (int k = 0; k < d.p.param_count; k++) {
      bool constant = d.args()[k].is_tensor() && !(d.p.bilinear >> k & 1);  // a bias
      args[k] = k == i ? Value(d.tangents[i]) : constant ? Value() : d.args()[k];
    }
    Tensor term[kMaxResults];
    call(d.p, args, term);
    out[0] = out[0] ? ops::add(out[0], term[0]) : term[0];
  }
}

// The gradient of the gradient with respect to its cotangent.
void by_two_gradients(const Dual& d, const Tensor* results, Tensor* out) {
  const Primitive& p = d.p;
  int64_t level = push_level(LevelKind::Tracked);
  struct Close {
    int64_t level;
    ~Close() { pop_level(level); }
  } close{level};
  bool recording = thread_state().grad_enabled;
  Tensor cotangents[kMaxResults], terms[kMaxParams];
  std::vector<Tensor> inputs;
  std::vector<int> places;
  for (int r = 0; r < p.result_count; r++) {
    if (!is_differentiable(results[r].dtype())) continue;
    cotangents[r] = wrap_tracked(zeros_of(results[r]), level);
    cotangents[r]->requires_grad = true;
    inputs.push_back(cotangents[r]);
    places.push_back(r);
  }
  Ints shapes[kMaxParams];
  DType dtypes[kMaxParams];
  for (int i = 0; i < p.param_count; i++)
    if (d.args()[i].is_tensor()) {
      shapes[i] = d.args()[i].peek().sizes();
      dtypes[i] = d.args()[i].tensor->dtype;
    }
  std::vector<Tensor> list_terms(d.list.size());
  std::vector<Ints> list_shapes;
  if (d.list_param >= 0)
    for (TensorBody* t : d.args()[d.list_param].as_tensors()) list_shapes.push_back(t ? sharing(t).sizes() : Ints());
  std::vector<Tensor> roots, directions;
  {
    WithThreadState restore;
    thread_state().grad_enabled = true;
    Backward b{p, d.args(), results, cotangents, d.has, terms, list_terms, shapes, dtypes, list_shapes, true};
    p.vjp(b);
  }
  auto take = [&](const Tensor& term, const Tensor& tangent) {
    if (!term || !tangent || !at_level(term.get(), level) || !requires_grad(term.get())) return;
    roots.push_back(term);
    directions.push_back(with_type(tangent, term.dtype()));
  };
  for (int i = 0; i < p.param_count; i++) take(terms[i], d.tangents[i]);
  for (size_t k = 0; k < d.list.size(); k++) take(list_terms[k], d.list[k]);
  if (roots.empty()) return;
  std::vector<Tensor> found = run_backward(roots, std::move(directions), inputs, {false, recording, false, level});
  for (size_t k = 0; k < found.size(); k++) out[places[k]] = std::move(found[k]);
}

// Fills `out` with the tangents of the results; null stays zero.
void differentiate(const Dual& d, const Tensor* results, Tensor* out) {
  const Primitive& p = d.p;
  bool view = p.cls == Class::View;
  if (!p.vjp && !view) return;
  bool any = false;
  for (int r = 0; r < p.result_count; r++) any |= is_differentiable(results[r].dtype());
  if (!any) return;
  if (view && !d.primals.values[0].none() && p.linear) {
    Value args[kMaxParams];
    std::copy(d.args(), d.args() + p.param_count, args);
    const Tensor& primal = d.args()[0].peek();
    if (&p == &primitive::as_strided) {
      int64_t offset = results[0].offset() - primal.offset();
      out[0] = ops::as_strided(laid_out(d.tangents[0], primal.strides()), args[1], args[2], offset);
      return;
    }
    args[0] = Value(d.tangents[0]);
    // The tangent need not have the strides that view() counts on.
    if (&p == &primitive::view)
      out[0] = ops::reshape(args[0], args[1]);
    else
      call(p, args, out);
  } else if (p.cls == Class::Elementwise && p.jvp) {
    by_formula(d, p.jvp, results, out, false);
  } else if (p.cls == Class::Elementwise && complex_agrees(d, results[0].dtype())) {
    by_formula(d, p.vjp, results, out, true);
  } else if (is_linear(d)) {
    by_linearity(d, out);
  } else if (!(d.has & ~p.bilinear)) {
    by_product_rule(d, out);
  } else if (p.jvp) {
    by_formula(d, p.jvp, results, out, false);
  } else {
    by_two_gradients(d, results, out);
  }
  for (int r = 0; r < p.result_count; r++) {
    if (!out[r]) continue;
    if (!is_differentiable(results[r].dtype())) {
      out[r] = Tensor();
      continue;
    }
    out[r] = with_shape(with_type(out[r], results[r].dtype()), results[r].sizes());
  }
}

void change_in_place(LevelCall& c) {
  Tensor target = c.args[0].as_tensor();
  Level* level = find_level(c.level);
  Dual d(c, c.level);
  if (!d.has) {
    c.below(d.primals.values, c.results);
    return refresh(target);
  }
  if (!is_differentiable(target.dtype())) {
    c.below(d.primals.values, c.results);
    return;
  }
  if (!at_level(target.get(), c.level)) {
    if (!level)
      fail(ErrorKind::Runtime, c.p.name, "_: a dual tensor of a level that has ended changes a tensor outside of it");
    if (requires_grad(target.get())) layers.check_in_place(c.p, target);
    adopt(target, *level);
  }
  // The rule may read what is overwritten now or later, and lower levels may save that: it gets copies.
  Tensor original = below(target, c.level), before = ops::clone(original);
  d.primals.values[0] = Value(original);
  c.below(d.primals.values, c.results);
  d.primals.values[0] = Value(before);
  Tensor results[kMaxResults], tangents[kMaxResults];
  results[0] = c.p.saves_results ? ops::clone(original) : original;
  differentiate(d, results, tangents);
  set_tangent(target, tangents[0] ? tangents[0] : zeros_of(original));
  refresh(target);
}

}  // namespace

Tensor tangent_of(const Tensor& dual) {
  Wrapped* w = wrapped(dual.get());
  if (!w->base) return w->tangent;
  Wrapped* base = wrapped(w->base.get());
  if (!base || base->level != w->level || base->epoch == w->epoch) return w->tangent;
  Tensor whole = tangent_of(w->base);
  w->tangent = whole ? same_view(w->inner, base->inner, whole) : Tensor();
  w->epoch = base->epoch;
  return w->tangent;
}

void set_tangent(const Tensor& dual, Tensor tangent) {
  Wrapped* w = wrapped(dual.get());
  w->tangent = tangent;
  Wrapped* base = w->base ? wrapped(w->base.get()) : nullptr;
  if (!base || base->level != w->level) {
    w->epoch++;
    return;
  }
  // Elsewhere the base keeps its tangent. Written without in-place changes: tangents may be shared, or batched.
  const Tensor &view = w->inner, &whole = base->inner;
  int64_t offset = view.offset() - whole.offset();
  auto spread = [&](const Tensor& t) {
    return ops::as_strided_backward(t, whole.sizes(), whole.strides(), view.strides(), offset);
  };
  Tensor before = tangent_of(w->base);
  if (before) tangent = ops::sub(tangent, same_view(view, whole, before));
  Tensor after = spread(tangent);
  base->tangent = before ? ops::add(before, after) : after;
  w->epoch = ++base->epoch;
}

void run_dual(LevelCall& c) {
  const Primitive& p = c.p;
  if (c.in_place) return change_in_place(c);
  Tensor results[kMaxResults], tangents[kMaxResults];
  Dual d(c, c.level);
  if (c.out) {
    call(p, c.args, results);
    for (int r = 0; r < p.result_count; r++) {
      if (!c.results[r]) {
        c.results[r] = results[r];
        continue;
      }
      if (!can_cast(results[r].dtype(), c.results[r].dtype()))
        fail(ErrorKind::Runtime, "result type ", python_name_of(results[r].dtype()),
             " can't be cast to the desired output type ", python_name_of(c.results[r].dtype()));
      if (!equal(results[r].sizes(), c.results[r].sizes())) resize_(c.results[r], results[r].sizes());
      ops::copy_(c.results[r], results[r]);
    }
    return;
  }
  c.below(d.primals.values, results);
  if (d.has) differentiate(d, results, tangents);
  for (int r = 0; r < p.result_count; r++) {
    c.results[r] = tangents[r] ? wrap_dual(results[r], tangents[r], c.level) : results[r];
    if (!tangents[r] || p.cls != Class::View) continue;
    Wrapped *made = wrapped(c.results[r].get()), *of = wrapped(c.args[0].tensor);
    made->base = of->base ? of->base : c.args[0].as_tensor();
    made->epoch = wrapped(made->base.get())->epoch;
  }
}

}  // namespace flambeau
