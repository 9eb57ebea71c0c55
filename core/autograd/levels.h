// Levels of function transforms (func.grad, func.jvp, func.vmap), and the tensors that take part in them.
//
// Each transform opens a level. A tensor of a level wraps the tensor below it: its body shows the logical shape, its
// LayerData holds what is below. A call at the door belongs to the highest level among its operands; that level's rule
// computes with what is below and wraps the results. So transforms nest in any order, and no rule knows of another.
#pragma once
#include <deque>
#include "dispatch/door.h"

namespace flambeau {

enum class LevelKind : uint8_t { Tracked, Dual, Batched };
enum class Randomness : uint8_t { Error, Different, Same };
inline constexpr uint8_t kLevelKeys = kTracked | kDual | kBatched;

struct Level {
  LevelKind kind;
  int64_t id;        // grows with every level opened: deeper levels are greater, closed ones never return
  bool grad_before;  // whether the world around a Tracked level records
  int64_t batch = 0;
  Randomness randomness = Randomness::Error;
  std::vector<Tensor> adopted{};  // tensors from below that were changed in place by tensors of this level
};

// What a tensor of a level keeps.
struct Wrapped final : LayerData {
  int64_t level;
  LevelKind kind;
  Tensor inner;       // Batched: with the batch as its first dimension
  Tensor tangent;     // Dual; null: zero
  Tensor base;        // Dual views: whose tangent this one's is a view of, as it was at `epoch`
  int64_t epoch = 0;  // in-place changes of the tangent
};

int64_t push_level(LevelKind kind, int64_t batch = 0, Randomness randomness = Randomness::Error);
void pop_level(int64_t id);     // and every level above it
Level* find_level(int64_t id);  // null once closed

inline Wrapped* wrapped(const TensorBody* t) {
  return t && t->keys & kLevelKeys ? static_cast<Wrapped*>(t->extra->layer.get()) : nullptr;
}
inline int64_t level_of(const TensorBody* t) {
  Wrapped* w = wrapped(t);
  return w ? w->level : 0;
}
inline Wrapped* at_level(const TensorBody* t, int64_t level) {  // null unless t is a tensor of that very level
  Wrapped* w = wrapped(t);
  return w && w->level == level ? w : nullptr;
}

Tensor wrap_tracked(const Tensor& inner, int64_t level);
Tensor wrap_dual(const Tensor& primal, const Tensor& tangent, int64_t level);
Tensor wrap_batched(const Tensor& inner, int64_t level);  // inner: batch first
inline Tensor below(const Tensor& t, int64_t level) {     // t itself where it is not of this level
  Wrapped* w = at_level(t.get(), level);
  return w ? w->inner : t;
}
Tensor tangent_of(const Tensor& dual);                 // null: zero; up to date where it is a view's
void set_tangent(const Tensor& dual, Tensor tangent);  // after an in-place change
// Makes t, whatever it was, a tensor of the level in place: its Python side and its views follow. Undone by pop_level.
void adopt(const Tensor& t, Level& level);
void refresh(const Tensor& t);           // after an in-place change below
Tensor detached_fully(const Tensor& t);  // without history or tangents at any level

// One call at one level.
struct LevelCall {
  const Primitive& p;
  Value* args;
  Tensor* results;
  bool in_place, out;
  int64_t level;

  void below(Value* with, Tensor* into) const {  // the call itself, one floor down
    if (in_place)
      into[0] = call_in_place(p, with);
    else if (out)
      call_out(p, with, into);
    else
      call(p, with, into);
  }
};
void run_tracked(LevelCall& c);
void run_dual(LevelCall& c);
void run_batched(LevelCall& c);

class DrawsBelow {  // random rows inside it belong to lower levels than this one, which has had its turn
 public:
  static int64_t& level() {
    thread_local int64_t level = INT64_MAX;
    return level;
  }
  explicit DrawsBelow(int64_t id) : before_(std::exchange(level(), id)) {}
  ~DrawsBelow() { level() = before_; }

 private:
  int64_t before_;
};
bool run_random(LevelCall& c, Level& level);  // random rows without batched operands; false: as usual

// Arguments with their tensors exchanged. f(body) gives the tensor to use instead (it is kept alive here).
class Exchanged {
 public:
  template <class F> Exchanged(const Primitive& p, const Value* args, F&& f) {
    for (int i = 0; i < p.param_count; i++) {
      values[i] = args[i];
      if (args[i].is_tensor())
        values[i] = Value(keep(f(args[i].tensor)));
      else if (args[i].kind == Kind::Tensors) {
        auto& list = lists_.emplace_back();
        for (TensorBody* t : args[i].as_tensors()) list.push_back(t ? keep(f(t)) : nullptr);
        values[i] = Value(std::span<TensorBody* const>(list));
      }
    }
  }
  TensorBody* keep(Tensor t) {
    kept_.push_back(std::move(t));
    return kept_.back().get();
  }
  Value values[kMaxParams];

 private:
  std::vector<Tensor> kept_;
  std::deque<std::vector<TensorBody*>> lists_;
};

template <class F> void each_operand(const Primitive& p, const Value* args, F&& f) {
  for (int i = 0; i < p.param_count; i++) {
    if (args[i].is_tensor())
      f(args[i].tensor);
    else
      for (TensorBody* t : args[i].as_tensors())
        if (t) f(t);
  }
}

// Runs a gradient once for every slice of its batched operands: for gradients that read memory themselves. False: there
// are no batched ones.
bool vjp_by_slices(Backward& b);
int64_t& backward_level();  // of the func.grad whose graph this thread is walking, or 0

inline Tensor sharing(TensorBody* t) { return Tensor::share(t); }
inline Value list_value(const std::vector<TensorBody*>& list) { return Value(std::span<TensorBody* const>(list)); }

}  // namespace flambeau
