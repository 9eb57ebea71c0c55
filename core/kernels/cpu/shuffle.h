// Vectors' lanes in another order, for both of GCC's and Clang's vectors.
#pragma once
#include "kernels/cpu/isa.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

// Lane i is lane index[i] of a, or of a and then b, counted round their ends.
template <class V, class M> FLAMBEAU_INLINE V shuffled(V a, M index) {
#if __has_builtin(__builtin_shuffle)
  return __builtin_shuffle(a, index);
#else
  constexpr int kCount = sizeof(V) / sizeof(a[0]);
  V result;
  for (int i = 0; i < kCount; ++i) result[i] = a[int(index[i]) & (kCount - 1)];
  return result;
#endif
}
template <class V, class M> FLAMBEAU_INLINE V shuffled(V a, V b, M index) {
#if __has_builtin(__builtin_shuffle)
  return __builtin_shuffle(a, b, index);
#else
  constexpr int kCount = sizeof(V) / sizeof(a[0]);
  V result;
  for (int i = 0; i < kCount; ++i) {
    const int lane = int(index[i]) & (kCount - 1);
    result[i] = int(index[i]) & kCount ? b[lane] : a[lane];
  }
  return result;
#endif
}

}  // namespace
}  // namespace flambeau::kernels::FLAMBEAU_ISA
