// Mixed precision: a layer at the door that converts operands before a row computes.
#include "autograd/autocast.h"
#include "autograd/levels.h"
#include "dispatch/ops.h"

namespace flambeau {

void run_autocast(const Primitive& p, Value* args, Tensor* results, bool in_place, bool out) {
  WithThreadState restore;
  ThreadState& state = thread_state();
  state.excluded |= kAutocast;
  LevelCall c{p, args, results, in_place, out, 0};
  // The caller chose the type of what is written to.
  if (p.autocast == Autocast::None || in_place || out) return c.below(args, results);
  DType target = p.autocast == Autocast::Low ? state.autocast : DType::Float32;
  Exchanged converted(p, args, [&](TensorBody* t) {
    Tensor own = sharing(t);
    bool narrow = is_floating(t->dtype) && t->dtype != DType::Float64;
    return narrow && t->dtype != target ? ops::cast(own, target) : own;
  });
  c.below(converted.values, results);
}

}  // namespace flambeau
