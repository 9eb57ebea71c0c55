// The one door: every primitive operation, from Python, from a gradient formula or from a stored graph, passes here.
#pragma once
#include "dispatch/primitive.h"

namespace flambeau {

// Per-thread modes. One word of keys is tested per call; zero means that no layer is active.
struct ThreadState {
  uint8_t keys = 0;      // layers active whatever the operands
  uint8_t excluded = 0;  // layers switched off (inside their own rules)
  bool grad_enabled = true;
  bool inference = false;
  bool anomaly = false;
  DType autocast = DType::BFloat16;  // what contractions compute in while kAutocast is among the keys
};
// In the static block of thread storage: read at every call, so no look-up function may stand before it.
extern thread_local constinit ThreadState this_thread_state __attribute__((tls_model("initial-exec")));
inline ThreadState& thread_state() { return this_thread_state; }

// args: one per parameter. results: room for primitive.result_count of them; what is there goes.
void call(const Primitive& p, Value* args, Tensor* results);
// Argument 0 is changed in place and returned.
Tensor call_in_place(const Primitive& p, Value* args);
void call_out(const Primitive& p, Value* args, Tensor* out);

// What upper floors hang into the door.
struct Layers {
  bool (*any_requires_grad)(const Primitive&, const Value* args) = nullptr;
  void (*record)(Call&) = nullptr;  // autograd: make the node if any argument wants it
  void (*mark_view)(const Tensor& view, const Tensor& of) = nullptr;
  void (*check_in_place)(const Primitive&, const Tensor&) = nullptr;
  void (*prepare_in_place)(Call&, OwnedValue& original) = nullptr;
  void (*record_in_place)(Call&, const OwnedValue& original) = nullptr;
  // Transforming layers (override, vmap, forward mode), outermost first; keys tells which are active.
  void (*transform)(uint8_t keys, const Primitive& p, Value* args, Tensor* results, bool in_place, bool out) = nullptr;
};
extern Layers layers;

class WithThreadState {  // restores the modes on scope exit
 public:
  WithThreadState() : saved_(thread_state()) {}
  ~WithThreadState() { thread_state() = saved_; }

 private:
  ThreadState saved_;
};

// ---- for the entries that rows name ----
// The result tensor i of this call: the given one if it fits as it is, else a fresh contiguous one (the door copies it
// into the given one afterwards). False in shape-only mode is the caller's sign to stop after stating its results.
Tensor& result(Call& call, int i, Ints sizes, DType dtype);
DType default_dtype();
void set_default_dtype(DType t);
DType promote_types(DType a, DType b);
DType result_type(std::span<const Value> operands);  // PyTorch's rules for tensors, 0-d tensors and numbers
bool can_cast(DType from, DType to);

}  // namespace flambeau
