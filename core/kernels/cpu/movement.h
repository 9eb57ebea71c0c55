// Rearrangements that the strided copy alone cannot express well: triangles, padding by reflection, repetition.
// (flip is a copy with negative source strides, roll is two copies per dimension, constant padding is fill and copy.)
#pragma once
#include "base/dtype.h"
#include "kernels/cpu/isa.h"

namespace flambeau::kernels {

enum class PadMode : unsigned char { Reflect, Replicate, Circular };

struct MovementKernels {
  // Keeps column - row >= diagonal (upper) or <= diagonal (lower), zero elsewhere; contiguous [batch, rows, columns].
  void (*triangle)(void* out, const void* in, int64_t batch, int64_t rows, int64_t columns, int64_t diagonal,
                   bool upper, int item_size);
  // Pads (or crops, where negative) the last `ndim` <= 3 dimensions: in [batch, sizes...], out [batch, sizes + before +
  // after]. Reflect needs before, after < size; Circular <= size (the caller checks).
  void (*pad)(void* out, const void* in, int64_t batch, int ndim, const int64_t* sizes, const int64_t* before,
              const int64_t* after, PadMode mode, int item_size);
  // grad_in [batch, sizes...] = sum of the grad_out elements that each input element was copied to. Float32, Float64.
  void (*pad_backward)(DType dtype, void* grad_in, const void* grad_out, int64_t batch, int ndim, const int64_t* sizes,
                       const int64_t* before, const int64_t* after, PadMode mode);
  // The total of repeats, or -1 when one is negative.
  int64_t (*repeat_total)(const int64_t* repeats, int64_t n);
  // out = 0 repeated repeats[0] times, 1 repeated repeats[1] times, ...
  void (*repeat_positions)(int64_t* out, const int64_t* repeats, int64_t n);
};
FLAMBEAU_KERNEL_TABLE(MovementKernels)

}  // namespace flambeau::kernels
