// The stack of levels, wrapping and unwrapping, and the rule of func.grad's levels: a graph of its own for each.
#include "autograd/levels.h"
#include <atomic>
#include "autograd/autocast.h"
#include "autograd/node.h"
#include "dispatch/ops.h"
#include "tensor/copy.h"

namespace flambeau {

namespace {

std::atomic<int64_t> next_level{1};

std::vector<Level>& stack() {
  thread_local std::vector<Level> levels;
  return levels;
}

uint8_t key_of(LevelKind kind) {
  return kind == LevelKind::Tracked ? kTracked : kind == LevelKind::Dual ? kDual : kBatched;
}

// While levels are open every call is looked at: for random rows, and for views of tensors that were adopted.
void announce() {
  uint8_t& keys = thread_state().keys;
  keys &= uint8_t(~kLevelKeys);
  for (const Level& l : stack()) keys |= key_of(l.kind);
}

Tensor wrap(const Tensor& inner, Ints sizes, Ints strides, LevelKind kind, int64_t level) {
  Tensor t = make_view(inner, sizes, strides, 0);
  t->data = inner.data();
  auto* w = new Wrapped;
  w->level = level;
  w->kind = kind;
  w->inner = inner;
  extra(t.get()).layer = Ref<LayerData>(w);
  t->keys = uint8_t(inner->keys | key_of(kind));
  t->inference = inner->inference;
  if (kind != LevelKind::Tracked) t->requires_grad = inner->requires_grad;
  return t;
}

// Hands what autograd and the layers know of `from` to `to`, which shares its geometry.
void hand_over(TensorBody* from, TensorBody* to) {
  std::swap(from->grad_fn, to->grad_fn);
  std::swap(from->output_index, to->output_index);
  std::swap(from->view_version, to->view_version);
  std::swap(from->requires_grad, to->requires_grad);
  std::swap(from->keys, to->keys);
  std::swap(from->extra, to->extra);
}

void release_adopted(TensorBody* t) {
  Wrapped* w = wrapped(t);
  if (!w) return;
  Tensor inner = w->inner;
  hand_over(inner.get(), t);  // t is plain again; inner keeps the wrapper's remains
  inner->keys = 0;
  if (inner->extra) inner->extra->layer = Ref<LayerData>();
}

void transform(uint8_t keys, const Primitive& p, Value* args, Tensor* results, bool in_place, bool out) {
  if (keys & kAutocast) return run_autocast(p, args, results, in_place, out);
  int64_t top = 0;
  LevelKind kind = LevelKind::Tracked;
  auto look = [&](TensorBody* t) {
    if (!(t->keys & kLevelKeys) && t->is_view && t->base && t->base->keys & kLevelKeys) {
      Wrapped* base = wrapped(t->base);
      Level* level = find_level(base->level);
      if (level && base->kind != LevelKind::Batched) adopt(sharing(t), *level);
    }
    if (Wrapped* w = wrapped(t); w && w->level > top) {
      top = w->level;
      kind = w->kind;
    }
  };
  each_operand(p, args, look);
  if (out)
    for (int i = 0; i < p.result_count; i++)
      if (results[i]) look(results[i].get());
  LevelCall c{p, args, results, in_place, out, top};
  if (!top) {
    if (p.cls == Class::Random || p.cls == Class::Creation)
      for (size_t i = stack().size(); i-- > 0;)
        if (stack()[i].kind == LevelKind::Batched && stack()[i].id < DrawsBelow::level()) {
          if (run_random(c, stack()[i])) return;
          break;
        }
    WithThreadState restore;
    thread_state().excluded |= kLevelKeys;
    return c.below(args, results);
  }
  switch (kind) {
    case LevelKind::Tracked: return run_tracked(c);
    case LevelKind::Dual: return run_dual(c);
    case LevelKind::Batched: return run_batched(c);
  }
}

[[maybe_unused]] const bool registered = [] {
  layers.transform = transform;
  return true;
}();

}  // namespace

// ---- levels ----
int64_t push_level(LevelKind kind, int64_t batch, Randomness randomness) {
  int64_t id = next_level++;
  stack().push_back({kind, id, thread_state().grad_enabled, batch, randomness});
  announce();
  return id;
}

void pop_level(int64_t id) {
  auto& levels = stack();
  while (!levels.empty() && levels.back().id >= id) {
    Level closed = std::move(levels.back());
    levels.pop_back();
    for (size_t i = closed.adopted.size(); i-- > 0;) release_adopted(closed.adopted[i].get());
  }
  announce();
}

Level* find_level(int64_t id) {
  for (Level& l : stack())
    if (l.id == id) return &l;
  return nullptr;
}

// ---- wrapping ----
Tensor wrap_tracked(const Tensor& inner, int64_t level) {
  return wrap(inner, inner.sizes(), inner.strides(), LevelKind::Tracked, level);
}

Tensor wrap_dual(const Tensor& primal, const Tensor& tangent, int64_t level) {
  Tensor t = wrap(primal, primal.sizes(), primal.strides(), LevelKind::Dual, level);
  wrapped(t.get())->tangent = tangent;
  return t;
}

Tensor wrap_batched(const Tensor& inner, int64_t level) {
  return wrap(inner, inner.sizes().subspan(1), inner.strides().subspan(1), LevelKind::Batched, level);
}

void refresh(const Tensor& t) {
  Wrapped* w = wrapped(t.get());
  if (!w) return;
  if (w->kind != LevelKind::Tracked) t->requires_grad = requires_grad(w->inner.get());
}

void adopt(const Tensor& t, Level& level) {
  if (at_level(t.get(), level.id)) return;
  bool is_view = t->is_view && t->base;
  if (is_view) adopt(sharing(t->base), level);
  Tensor inner = make_view(t, t.sizes(), t.strides(), 0);
  inner->data = t.data();
  inner->untracked = t->untracked;
  inner->inference = t->inference;
  hand_over(t.get(), inner.get());
  auto* w = new Wrapped;
  w->level = level.id;
  w->kind = level.kind;
  w->inner = inner;
  if (is_view) {
    TensorBody* base = wrapped(t->base)->inner.get();
    base->retain();
    inner->base = base;
    inner->is_view = true;
    if (level.kind == LevelKind::Dual) {
      w->base = sharing(t->base);
      w->epoch = -1;
    }
  }
  extra(t.get()).layer = Ref<LayerData>(w);
  t->keys = uint8_t(inner->keys | key_of(level.kind));
  t->view_version = version(t.get());
  if (level.kind != LevelKind::Tracked) t->requires_grad = inner->requires_grad;
  level.adopted.push_back(t);
}

Tensor detached_fully(const Tensor& t) {
  Wrapped* w = wrapped(t.get());
  if (!w) {
    Tensor plain = make_view(t, t.sizes(), t.strides(), 0);
    plain->data = t.data();
    plain->inference = t->inference;
    return plain;
  }
  Tensor inner = detached_fully(w->inner);
  return w->kind == LevelKind::Batched ? wrap_batched(inner, w->level) : inner;
}

// ---- func.grad ----
void run_tracked(LevelCall& c) {
  const Primitive& p = c.p;
  ThreadState& state = thread_state();
  Level* level = find_level(c.level);
  bool recording = state.grad_enabled && p.differentiable, wanted = false;
  each_operand(p, c.args, [&](TensorBody* t) { wanted |= at_level(t, c.level) && requires_grad(t); });
  if (c.out && wanted && recording)
    fail(ErrorKind::Runtime, p.name,
         "(): functions with out=... arguments don't support automatic differentiation, but one of the arguments "
         "requires grad.");
  bool record = recording && wanted;
  auto unwrap = [&](TensorBody* t) { return below(sharing(t), c.level); };
  auto run_below = [&](Value* args, Tensor* results) {
    WithThreadState restore;
    if (level) thread_state().grad_enabled = state.grad_enabled && level->grad_before;
    c.below(args, results);
  };
  // Operands from below stand in the record as constants of this level.
  auto lift = [&](TensorBody* t) { return at_level(t, c.level) ? sharing(t) : wrap_tracked(sharing(t), c.level); };

  if (c.in_place) {
    Tensor target = c.args[0].as_tensor();
    if (!at_level(target.get(), c.level) && record) {
      if (!level)
        fail(ErrorKind::Runtime, p.name, "_: a tensor of a func.grad that has ended changes a tensor outside of it");
      layers.check_in_place(p, target);
      adopt(target, *level);
    }
    bool ours = at_level(target.get(), c.level);
    if (ours && state.grad_enabled) layers.check_in_place(p, target);
    Exchanged inner(p, c.args, unwrap);
    OwnedValue original;
    Exchanged lifted(p, c.args, lift);
    Tensor changed[kMaxResults] = {target};
    Call recorded(p, lifted.values, changed);
    recorded.given = recorded.in_place = true;
    if (record) layers.prepare_in_place(recorded, original);
    Tensor result;
    run_below(inner.values, &result);
    if (record) layers.record_in_place(recorded, original);
    return;
  }
  Exchanged inner(p, c.args, unwrap);
  if (c.out) {
    Tensor given[kMaxResults];
    for (int i = 0; i < p.result_count; i++) given[i] = c.results[i] ? below(c.results[i], c.level) : Tensor();
    run_below(inner.values, given);
    for (int i = 0; i < p.result_count; i++)
      if (!c.results[i]) c.results[i] = given[i];
    return;
  }
  Tensor results[kMaxResults];
  run_below(inner.values, results);
  bool view = p.cls == Class::View && at_level(c.args[0].tensor, c.level);
  if (!record && !view) {
    for (int i = 0; i < p.result_count; i++) c.results[i] = std::move(results[i]);
    return;
  }
  Exchanged lifted(p, c.args, lift);
  for (int i = 0; i < p.result_count; i++)
    c.results[i] = view || is_differentiable(results[i].dtype()) ? wrap_tracked(results[i], c.level) : results[i];
  if (view) layers.mark_view(c.results[0], c.args[0].peek());
  Call recorded(p, lifted.values, c.results);
  if (record) layers.record(recorded);
}

}  // namespace flambeau
