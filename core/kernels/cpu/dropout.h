// y = keep ? x * scale : 0, forward and backward of dropout alike. [0] float32, [1] float64.
#pragma once
#include "base/dtype.h"
#include "kernels/cpu/isa.h"

namespace flambeau::kernels {

struct DropoutKernels {
  void (*apply[2])(const void* x, const uint8_t* keep, void* y, int64_t n, double scale);  // y may be x
};
FLAMBEAU_KERNEL_TABLE(DropoutKernels)

}  // namespace flambeau::kernels
