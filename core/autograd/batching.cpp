// func.vmap: how a call with batched operands becomes one call with the batch as the first dimension. Rules by class are
// here, rules of single rows in batching_rules.cpp; a row without a rule runs once for every slice of the batch.
#include "autograd/batching.h"
#include <unordered_map>
#include "autograd/node.h"
#include "base/random.h"
#include "dispatch/ops.h"

namespace flambeau {

using namespace batching;

namespace batching {

void finish(LevelCall& c, Tensor* results) {
  if (c.in_place) return refresh(c.args[0].as_tensor());
  for (int r = 0; r < c.p.result_count; r++)
    if (results[r]) c.results[r] = wrap_batched(results[r], c.level);
}

Tensor with_batch(const Tensor& t, int64_t level, int64_t batch) {
  if (Wrapped* w = at_level(t.get(), level)) return w->inner;
  Dims sizes(t.sizes());
  sizes.insert(0, batch);
  return ops::expand(ops::unsqueeze(t, 0), sizes);
}

Tensor padded(const Tensor& inner, int rank) {
  int missing = rank + 1 - inner.dim();
  if (missing <= 0) return inner;
  Dims sizes(inner.sizes());
  for (int i = 0; i < missing; i++) sizes.insert(1, 1);
  return ops::view(inner, sizes);
}

int64_t batch_size(const LevelCall& c) {
  int64_t size = -1;
  each_operand(c.p, c.args, [&](TensorBody* t) {
    if (Wrapped* w = at_level(t, c.level)) size = w->inner.size(0);
  });
  return size;
}

bool only_first_batched(const LevelCall& c) {
  if (!is_batched(c, 0)) return false;
  int count = 0;
  each_operand(c.p, c.args, [&](TensorBody* t) { count += at_level(t, c.level) != nullptr; });
  return count == 1;
}

void no_in_place(const LevelCall& c, const char* other) {
  fail(ErrorKind::Runtime, "vmap: ", c.p.name, "_(self, *extra_args) is not possible because there exists a Tensor `",
       other, "` in extra_args that has more elements than `self`. This happened due to `", other,
       "` being vmapped over but `self` not being vmapped over in a vmap. Please try to use out-of-place operators "
       "instead of ",
       c.p.name, "_. If said operator is being called inside the PyTorch framework, please file a bug report instead.");
}

// ---- elementwise: the batch first, ranks filled up with ones behind it ----
bool elementwise(LevelCall& c) {
  const Primitive& p = c.p;
  int rank = 0;
  bool scalar = false;  // a batched number takes part in promotion as a number, though below it is a vector
  each_operand(p, c.args, [&](TensorBody* t) {
    rank = std::max(rank, int(t->dim));
    scalar |= t->dim == 0 && at_level(t, c.level);
  });
  Exchanged inner(p, c.args, [&](TensorBody* t) {
    Wrapped* w = at_level(t, c.level);
    return w ? padded(w->inner, rank) : sharing(t);
  });
  if (scalar && p.cls == Class::Elementwise && p.elementwise.promote != Promote::None) {
    Value logical[kMaxParams], below[kMaxParams];
    size_t n = 0;
    for (int i = 0; i < p.param_count; i++) {
      if (p.elementwise.masks >> i & 1) continue;
      logical[n] = c.args[i];
      below[n++] = inner.values[i];
    }
    DType wanted = result_type({logical, n});
    if (wanted != result_type({below, n}))
      for (int i = 0; i < p.param_count; i++)
        if (is_batched(c, i) && c.args[i].tensor->dim == 0 && !(p.elementwise.masks >> i & 1))
          inner.values[i] = Value(inner.keep(ops::cast(inner.values[i], wanted)));
  }
  Tensor results[kMaxResults];
  c.below(inner.values, results);
  finish(c, results);
  return true;
}

// ---- one batched tensor; the other arguments say along which of its dimensions, or which size comes out ----
bool names_dim(const Param& param) {
  if (param.type != ParamType::Int && param.type != ParamType::Ints && param.type != ParamType::Dims) return false;
  std::string_view name(param.name);
  return name == "dim" || name == "dims" || name == "dim0" || name == "dim1" || name == "dim2" || name == "dimension";
}
bool names_size(const Param& param) {
  std::string_view name(param.name);
  return param.type == ParamType::Ints && (name == "size" || name == "shape");
}

bool shifted(LevelCall& c, Value* args, std::deque<Dims>& room, int rank, int64_t batch) {
  const Primitive& p = c.p;
  for (int i = 0; i < p.param_count; i++)
    if (names_size(p.params[i]) && args[i].kind == Kind::Ints) {
      rank = int(args[i].count);  // dimensions count in the size that comes out
      Dims& size = room.emplace_back(args[i].as_ints());
      size.insert(0, batch);
      args[i] = Value(size);
    }
  for (int i = 0; i < p.param_count; i++) {
    if (!names_dim(p.params[i])) continue;
    Value& v = args[i];
    if (v.kind == Kind::Int) {
      v = Value(int64_t(wrap_dim(v.integer, rank) + 1));
    } else if (p.params[i].type == ParamType::Dims && (v.none() || v.count == 0)) {
      Dims& all = room.emplace_back();
      for (int d = 0; d < std::max(rank, 1); d++) all.push_back(d + 1);
      v = Value(all);
    } else if (v.none()) {
      return false;
    } else if (v.kind == Kind::Ints) {
      Dims& dims = room.emplace_back(v.as_ints());
      for (int64_t& d : dims) d = wrap_dim(d, rank) + 1;
      v = Value(dims);
    }
  }
  return true;
}

bool along(LevelCall& c) {
  const Primitive& p = c.p;
  if (!only_first_batched(c)) return false;
  bool has_dim = false, has_size = false;
  for (int i = 0; i < p.param_count; i++) {
    has_dim |= names_dim(p.params[i]);
    has_size |= names_size(p.params[i]);
  }
  int rank = c.args[0].tensor->dim;
  bool lift = rank == 0 && has_dim && !has_size;
  if (rank == 0 && p.cls == Class::View && &p != &primitive::alias && &p != &primitive::view_as_real) return false;
  Tensor inner = inner_of(c, 0);
  if (lift) inner = ops::unsqueeze(inner, 1);
  Value args[kMaxParams];
  std::copy(c.args, c.args + p.param_count, args);
  std::deque<Dims> room;
  if (!shifted(c, args, room, rank, inner.size(0))) return false;
  args[0] = Value(inner);
  Tensor results[kMaxResults];
  c.below(args, results);
  if (lift && !c.in_place)
    for (int r = 0; r < p.result_count; r++)
      if (results[r] && results[r].dim() == 2 && results[r].size(1) == 1)
        results[r] = ops::squeeze(results[r], Dims{1});
  finish(c, results);
  return true;
}

// ---- tensors of one rank, all with the batch first, and a dimension ----
bool aligned(LevelCall& c) {
  const Primitive& p = c.p;
  int rank = -1;
  bool scalar = false;
  int64_t batch = batch_size(c);
  each_operand(p, c.args, [&](TensorBody* t) { scalar |= t->dim == 0; });
  rank = c.args[0].tensor->dim;
  if (scalar || c.out) return false;
  Exchanged inner(p, c.args, [&](TensorBody* t) { return with_batch(sharing(t), c.level, batch); });
  std::deque<Dims> room;
  if (!shifted(c, inner.values, room, rank, batch)) return false;
  Tensor results[kMaxResults];
  c.below(inner.values, results);
  finish(c, results);
  return true;
}

}  // namespace batching

namespace {

bool draws(const Primitive& p) {
  if (p.cls == Class::Random) return true;
  for (int i = 0; i < p.param_count; i++)
    if (p.params[i].type == ParamType::Generator) return true;
  return false;
}

Generator& generator_of(const Primitive& p, const Value* args) {
  for (int i = 0; i < p.param_count; i++)
    if (args[i].kind == Kind::Generator) return *args[i].generator;
  return default_generator();
}

[[noreturn]] void refuse_random() {
  fail(ErrorKind::Runtime,
       "vmap: called random operation while in randomness error mode. Please either use the 'same' or 'different' "
       "randomness "
       "flags on vmap or perform the randomness operation out of vmap");
}

// ---- every slice by itself ----
void slice_by_slice(LevelCall& c, bool same_draws = false) {
  const Primitive& p = c.p;
  int64_t batch = batch_size(c);
  if (batch == 0)
    fail(ErrorKind::Runtime, "vmap: ", p.name, " has no batching rule, and an empty batch has no slice to run it on");
  std::vector<Tensor> slices[kMaxResults];
  std::vector<unsigned char> state(same_draws ? Generator::kStateBytes : 0);
  if (same_draws) generator_of(p, c.args).get_state(state.data());
  for (int64_t i = 0; i < batch; i++) {
    if (same_draws && i) generator_of(p, c.args).set_state(state.data(), state.size());
    Exchanged slice(p, c.args, [&](TensorBody* t) {
      Wrapped* w = at_level(t, c.level);
      return w ? ops::select(w->inner, 0, i) : sharing(t);
    });
    Tensor results[kMaxResults];
    c.below(slice.values, results);
    for (int r = 0; r < p.result_count; r++)
      if (results[r]) slices[r].push_back(std::move(results[r]));
  }
  Tensor results[kMaxResults];
  if (!c.in_place)
    for (int r = 0; r < p.result_count; r++) {
      if (slices[r].empty()) continue;
      std::vector<TensorBody*> list;
      for (const Tensor& t : slices[r]) {
        list.push_back(t.get());
        if (!equal(t.sizes(), slices[r][0].sizes())) refuse_dynamic(c);
      }
      results[r] = ops::stack(list_value(list), 0);
    }
  finish(c, results);
}

Rule rule_of(const Primitive& p) {
  static const auto* rules = [] {
    auto* map = new std::unordered_map<const Primitive*, Rule>;
    for (const Primitive& p : primitives())
      for (const NamedRule& r : named_rules())
        if (std::string_view(p.name) == r.name) map->emplace(&p, r.rule);
    return map;
  }();
  if (auto found = rules->find(&p); found != rules->end()) return found->second;
  switch (p.cls) {
    case Class::Elementwise: return elementwise;
    case Class::View:
    case Class::Reduction:
    case Class::Scan:
    case Class::Movement: return along;
    case Class::Creation: return &p == &primitive::empty_like ? along : nullptr;
    default: return nullptr;
  }
}

}  // namespace

void run_batched(LevelCall& c) {
  const Primitive& p = c.p;
  if (c.in_place && !at_level(c.args[0].tensor, c.level)) {
    const char* other = "other";
    for (int i = 1; i < p.param_count; i++)
      if (is_batched(c, i)) other = p.params[i].name;
    no_in_place(c, other);
  }
  if (c.out) {
    Tensor results[kMaxResults];
    call(p, c.args, results);
    for (int r = 0; r < p.result_count; r++) {
      if (c.results[r])
        ops::copy_(c.results[r], results[r]);
      else
        c.results[r] = std::move(results[r]);
    }
    return;
  }
  if (draws(p)) {
    Level* level = find_level(c.level);
    Randomness mode = level ? level->randomness : Randomness::Error;
    if (mode == Randomness::Error) refuse_random();
    DrawsBelow once(c.level);
    if (mode == Randomness::Same) return slice_by_slice(c, true);
    if (&p == &primitive::multinomial) return slice_by_slice(c);
    elementwise(c);
    return;
  }
  Rule rule = rule_of(p);
  if (!rule || !rule(c)) slice_by_slice(c);
}

bool vjp_by_slices(Backward& b) {
  const Primitive& p = b.primitive;
  int64_t level = 0, batch = 0;
  auto look = [&](const TensorBody* t) {
    Wrapped* w = wrapped(t);
    if (!w || w->kind != LevelKind::Batched || w->level < level) return;
    level = w->level;
    batch = w->inner.size(0);
  };
  for (int i = 0; i < p.param_count; i++) {
    if (b.args[i].is_tensor()) look(b.args[i].tensor);
    for (TensorBody* t : b.args[i].as_tensors()) look(t);
  }
  for (int r = 0; r < p.result_count; r++) {
    look(b.results[r].get());
    look(b.grads[r].get());
  }
  if (!level || !batch) return false;
  auto slice = [&](const Tensor& t, int64_t i) {
    Wrapped* w = at_level(t.get(), level);
    return w ? ops::select(w->inner, 0, i) : t;
  };
  std::vector<Tensor> outs[kMaxParams];
  std::vector<std::vector<Tensor>> list_outs(b.out_list.size());
  for (int64_t i = 0; i < batch; i++) {
    Exchanged args(p, b.args, [&](TensorBody* t) { return slice(sharing(t), i); });
    Tensor results[kMaxResults], grads[kMaxResults], out[kMaxParams];
    for (int r = 0; r < p.result_count; r++) {
      if (b.results[r]) results[r] = slice(b.results[r], i);
      if (b.grads[r]) grads[r] = slice(b.grads[r], i);
    }
    std::vector<Tensor> list(b.out_list.size());
    bool layered = thread_state().grad_enabled;
    each_operand(p, args.values, [&](TensorBody* t) { layered |= t->keys != 0; });
    for (const Tensor& g : grads) layered |= g && g->keys;
    Backward one{p, args.values, results, grads, b.needs, out, list, b.shapes, b.dtypes, b.list_shapes, layered};
    p.vjp(one);
    for (int k = 0; k < p.param_count; k++)
      if (out[k]) outs[k].push_back(std::move(out[k]));
    for (size_t k = 0; k < list.size(); k++)
      if (list[k]) list_outs[k].push_back(std::move(list[k]));
  }
  auto joined = [&](const std::vector<Tensor>& slices) {
    std::vector<TensorBody*> list;
    for (const Tensor& t : slices) list.push_back(t.get());
    return slices.empty() ? Tensor() : wrap_batched(ops::stack(list_value(list), 0), level);
  };
  for (int k = 0; k < p.param_count; k++) b.out[k] = joined(outs[k]);
  for (size_t k = 0; k < list_outs.size(); k++) b.out_list[k] = joined(list_outs[k]);
  return true;
}

bool run_random(LevelCall& c, Level& level) {
  const Primitive& p = c.p;
  if (!draws(p)) return false;
  if (level.randomness == Randomness::Error) refuse_random();
  DrawsBelow once(level.id);
  if (level.randomness == Randomness::Same) {
    c.below(c.args, c.results);
    return true;
  }
  if (c.in_place || c.out)
    fail(ErrorKind::Runtime,
         "vmap: Cannot ask for different inplace randomness on an unbatched tensor. This will appear like same "
         "randomness. If "
         "this is necessary for your usage, please file an issue with functorch.");
  std::vector<std::vector<Tensor>> slices(size_t(p.result_count));
  Value args[kMaxParams];
  std::copy(c.args, c.args + p.param_count, args);
  Tensor results[kMaxResults];
  for (int i = 0; i < p.param_count; i++)
    if (names_size(p.params[i])) {
      Dims size(args[i].as_ints());
      size.insert(0, level.batch);
      args[i] = Value(size);
      c.below(args, results);
      c.results[0] = wrap_batched(results[0], level.id);
      return true;
    }
  for (int64_t b = 0; b < level.batch; b++) {
    Tensor slice[kMaxResults];
    c.below(args, slice);
    for (int r = 0; r < p.result_count; r++) slices[size_t(r)].push_back(std::move(slice[r]));
  }
  for (int r = 0; r < p.result_count; r++) {
    std::vector<TensorBody*> list;
    for (const Tensor& t : slices[size_t(r)]) list.push_back(t.get());
    c.results[r] = wrap_batched(ops::stack(list_value(list), 0), level.id);
  }
  return true;
}

}  // namespace flambeau
