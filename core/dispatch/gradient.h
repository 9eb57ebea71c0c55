// What generated gradient compositions share.
#pragma once
#include "dispatch/door.h"

namespace flambeau {

// A saved value as the formula sees it: conjugated in reverse mode where it is complex. `b` keeps the conjugate alive.
Value saved(const Backward& b, const Value& v);
// The cotangent of argument `param`, summed over the dimensions that it was broadcast over and cast to its type.
Tensor reduced(const Backward& b, int param, Tensor cotangent);

// The row states no gradient for parameter i, and one is asked for.
[[noreturn]] void no_derivative(const Backward& b, int i);

}  // namespace flambeau
