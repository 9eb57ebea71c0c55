// Mixed precision: a layer at the door that converts operands before a row computes.
#pragma once
#include "dispatch/door.h"

namespace flambeau {

// The call with its float operands converted to the type that the row is computed in; the layer rests inside.
void run_autocast(const Primitive& p, Value* args, Tensor* results, bool in_place, bool out);

}  // namespace flambeau
