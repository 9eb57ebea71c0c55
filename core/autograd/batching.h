// What the rules of func.vmap share. A rule computes a call of one Batched level with the tensors below, which have the
// batch as their first dimension; it returns false, before it did anything, where it does not apply.
#pragma once
#include "autograd/levels.h"

namespace flambeau::batching {

using Rule = bool (*)(LevelCall&);
struct NamedRule {
  const char* name;
  Rule rule;
};
std::span<const NamedRule> named_rules();  // batching_rules.cpp: rows whose class does not say it

bool elementwise(LevelCall& c);
bool along(LevelCall& c);    // one batched tensor, dimensions shifted by one
bool aligned(LevelCall& c);  // all tensors batched, dimensions shifted by one

inline bool is_batched(const LevelCall& c, int i) {
  return c.args[i].is_tensor() && at_level(c.args[i].tensor, c.level);
}
inline const Tensor& inner_of(const LevelCall& c, int i) { return wrapped(c.args[i].tensor)->inner; }
bool only_first_batched(const LevelCall& c);  // of all tensors, argument 0
int64_t batch_size(const LevelCall& c);
Tensor with_batch(const Tensor& t, int64_t level, int64_t batch);  // below; expanded where it is not batched
Tensor padded(const Tensor& inner, int rank);                      // ones behind the batch up to the logical rank
void finish(LevelCall& c, Tensor* results);                        // wraps what came out
[[noreturn]] void no_in_place(const LevelCall& c, const char* other);
[[noreturn]] void refuse_dynamic(const LevelCall& c);

}  // namespace flambeau::batching
