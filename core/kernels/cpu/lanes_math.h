// math.h's exponential without its upper side, for loops that subtract a maximum first.
#pragma once
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/math.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

// exp for x <= 0 (or nan): 0 below the normal range. The general exp spends a quarter of its time on what is not asked
// here: overflow, and results that are denormal.
template <class T> FLAMBEAU_INLINE Vec<T> exp_nonpositive(Vec<T> x) {
  const Vec<T> lowest = splat(sizeof(T) == 4 ? T(-87.3365f) : T(-708.39));
  VecMask<T> n;
  Vec<T> r = reduce_exp(greater_of(lowest, x), n);
  Vec<T> y = (splat(T(1)) + expm1_kernel(r)) * power_of_two<Vec<T>>(n);
  return x < lowest ? Vec<T>{} : y;
}

}  // namespace
}  // namespace flambeau::kernels::FLAMBEAU_ISA
