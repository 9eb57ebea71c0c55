// Resampling of [planes, depth, height, width] to another size. [0] float32, [1] float64. The area mode is
// PoolKernels::adaptive_avg_pool.
#pragma once
#include "base/dtype.h"
#include "kernels/cpu/isa.h"

namespace flambeau::kernels {

enum class Interpolation : uint8_t { Nearest, NearestExact, Linear, Cubic };  // Linear: bi- and trilinear as well

struct ResampleShape {
  int64_t planes;
  int64_t in[3], out[3];        // missing leading dimensions: 1
  double scale[3] = {0, 0, 0};  // scale factors as the user gave them, used instead of out / in; 0: none
  Interpolation mode = Interpolation::Nearest;
  bool align_corners = false;
  bool antialias = false;  // Linear and Cubic: widen the filter when shrinking
};

struct InterpolateKernels {
  void (*forward[2])(const void* x, void* y, const ResampleShape& shape);
  void (*backward[2])(const void* grad, void* dx, const ResampleShape& shape);  // dx is written whole
};
FLAMBEAU_KERNEL_TABLE(InterpolateKernels)

}  // namespace flambeau::kernels
