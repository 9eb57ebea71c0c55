// The door: layers that are active, then the primitive itself, then autograd's record.
#include "dispatch/door.h"
#include <bit>
#include <cctype>
#include "tensor/copy.h"

namespace flambeau {

Layers layers;

thread_local constinit ThreadState this_thread_state __attribute__((tls_model("initial-exec")));

namespace {

struct Seen {
  uint8_t keys;
  bool grad;  // perhaps: a view may have got a gradient through its base, which autograd looks up
};

Seen look(const Primitive& p, const Value* args) {
  Seen seen{0, false};
  auto add = [&](const TensorBody* t) {
    seen.keys |= t->keys;
    seen.grad |= t->requires_grad | t->is_view;
  };
  for (uint32_t left = p.tensor_params; left; left &= left - 1) {
    const Value& v = args[std::countr_zero(left)];
    if (v.kind == Kind::Tensor) add(v.tensor);
  }
  for (uint32_t left = p.list_params; left; left &= left - 1)
    for (TensorBody* t : args[std::countr_zero(left)].as_tensors())
      if (t) add(t);
  return seen;
}

// Brings what the entry computed into the tensors that the caller gave, also where the entry took no notice of them.
void fill_given(Call& c, const Tensor* given, int count) {
  for (int i = 0; i < c.primitive.result_count; i++) {
    if (i < count && given[i] && !c.stash[i] && !(c.results[i] == given[i])) c.stash[i] = given[i];
    if (!c.stash[i]) continue;
    Tensor computed = std::move(c.results[i]), target = std::move(c.stash[i]);
    if (!can_cast(computed.dtype(), target.dtype()))
      fail(ErrorKind::Runtime, "result type ", python_name_of(computed.dtype()),
           " can't be cast to the desired output type ", python_name_of(target.dtype()), "\n", c.primitive.name,
           ": expected out= of a type that holds ", name_of(computed.dtype()), "; got ", describe(target));
    if (!equal(computed.sizes(), target.sizes())) {
      if (c.in_place)
        fail(ErrorKind::Runtime, "output with shape ", text_of(target.sizes()), " doesn't match the broadcast shape ",
             text_of(computed.sizes()), "\n", c.primitive.name, "_: expected a result of shape ",
             shape_text(target.sizes()), "; got ", shape_text(computed.sizes()));
      resize_(target, computed.sizes());
    }
    copy_into(target, computed);
    c.results[i] = std::move(target);
  }
}

bool mentions(const std::string& text, std::string_view name) {
  auto in_word = [](char ch) { return std::isalnum(static_cast<unsigned char>(ch)) || ch == '_'; };
  for (size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + 1)) {
    size_t end = at + name.size();
    if ((at == 0 || !in_word(text[at - 1])) &&
        (end == text.size() || !in_word(text[end]) ||
         (text[end] == '_' && (end + 1 == text.size() || !in_word(text[end + 1])))))
      return true;
  }
  return false;
}

// An error on its way out, with a line that names the operation and its operands if the entry wrote none.
[[noreturn, gnu::cold, gnu::noinline]] void complete_error(const Call& c, const Error& e) {
  const Primitive& p = c.primitive;
  std::string text = e.what(), name = str(p.name, c.in_place ? "_" : "");
  if (size_t at = text.find("\nbroadcast: "); at != std::string::npos) {
    text.replace(at + 1, 9, name);
  } else if (!mentions(text, p.name) && (p.function || p.method || *p.space || text.find('\n') == std::string::npos)) {
    text += "\n" + name + ": got ";
    int last = p.param_count;
    while (last > 1 && c.args[last - 1].none()) last--;
    for (int i = 0; i < last; i++) text += (i ? ", " : "") + describe(c.args[i]);
  }
  throw Error(e.kind, text);
}

void run(Call& c) {
  try {
    c.primitive.run(c);
  } catch (const Error& e) {
    complete_error(c, e);
  }
}

}  // namespace

Tensor& result(Call& c, int i, Ints sizes, DType dtype) {
  Tensor& r = c.results[i];
  if (r) {
    bool fits = r.dtype() == dtype && r.contiguous() && equal(r.sizes(), sizes);
    for (int a = 0; fits && a < c.primitive.param_count; a++) {
      const Value& v = c.args[a];
      if (v.is_tensor()) fits = v.tensor->storage != r.storage();
      for (TensorBody* t : v.as_tensors()) fits = fits && !(t && t->storage == r.storage());
    }
    if (fits) return r;
    c.stash[i] = std::move(r);
  }
  r = empty(sizes, dtype);
  return r;
}

// What inference mode makes can never be recorded; operands that come back as they are stay what they were.
[[gnu::cold, gnu::noinline]] static void mark_inference(Call& c) {
  for (int i = 0; i < c.primitive.result_count; i++) {
    Tensor& r = c.results[i];
    bool ours = bool(r);
    for (int a = 0; a < c.primitive.param_count; a++)
      ours = ours && !(c.args[a].is_tensor() && c.args[a].tensor == r.get());
    if (ours) r->inference = true;
  }
}

void call(const Primitive& p, Value* args, Tensor* results) {
  for (int i = 0; i < p.result_count; i++) results[i] = Tensor();
  Call c(p, args, results);
  if (p.cls == Class::Composite) return run(c);  // only what it calls is seen
  ThreadState& state = thread_state();
  Seen seen = look(p, args);
  if (uint8_t keys = (seen.keys | state.keys) & ~state.excluded) [[unlikely]]
    return layers.transform(keys, p, args, results, false, false);
  run(c);
  if (p.cls == Class::View)
    layers.mark_view(c.results[0], c.tensor(0));
  else if (state.inference) [[unlikely]]
    mark_inference(c);
  if (seen.grad && state.grad_enabled && p.differentiable) layers.record(c);
}

void call_out(const Primitive& p, Value* args, Tensor* out) {
  ThreadState& state = thread_state();
  Seen seen = look(p, args);
  bool wants_grad = seen.grad && layers.any_requires_grad(p, args);
  for (int i = 0; i < p.result_count; i++)
    if (out[i]) wants_grad |= out[i].requires_grad();
  if (uint8_t keys = (seen.keys | state.keys) & ~state.excluded) [[unlikely]]
    return layers.transform(keys, p, args, out, false, true);
  if (wants_grad && state.grad_enabled && p.differentiable)
    fail(ErrorKind::Runtime, p.name,
         "(): functions with out=... arguments don't support automatic differentiation, but one of the arguments "
         "requires grad.");
  Tensor held[kMaxResults], stash[kMaxResults];
  Call c(p, args, held, stash);
  c.given = true;
  for (int i = 0; i < p.result_count; i++) c.results[i] = out[i];
  run(c);
  fill_given(c, out, p.result_count);
  for (int i = 0; i < p.result_count; i++) {
    if (out[i])
      bump_version(out[i].get());
    else
      out[i] = std::move(c.results[i]);
  }
}

Tensor call_in_place(const Primitive& p, Value* args) {
  ThreadState& state = thread_state();
  Seen seen = look(p, args);
  if (uint8_t keys = (seen.keys | state.keys) & ~state.excluded) [[unlikely]] {
    Tensor target = args[0].as_tensor();
    layers.transform(keys, p, args, &target, true, false);
    return target;
  }
  Tensor target = args[0].as_tensor();
  bool record = state.grad_enabled && seen.grad;
  OwnedValue original;
  Tensor held[kMaxResults], stash[kMaxResults];
  Call c(p, args, held, stash);
  c.given = c.in_place = true;
  c.results[0] = target;
  if (record || target->inference) layers.check_in_place(p, target);
  record = record && p.differentiable && layers.any_requires_grad(p, args);
  if (record) layers.prepare_in_place(c, original);
  run(c);
  fill_given(c, &target, 1);
  bump_version(target.get());
  if (record) layers.record_in_place(c, original);
  return target;
}

}  // namespace flambeau
