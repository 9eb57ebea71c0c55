// Pooling over one to three trailing dimensions, forward and backward. [0] float32, [1] float64.
// Every input is [planes, depth, height, width]; missing leading dimensions have extent 1 (kernel 1, stride 1, padding
// 0).
#pragma once
#include "base/dtype.h"
#include "kernels/cpu/isa.h"

namespace flambeau::kernels {

struct PoolShape {
  int64_t planes;  // batch times channels
  int64_t in[3], out[3];
  int64_t kernel[3] = {1, 1, 1}, stride[3] = {1, 1, 1}, padding[3] = {0, 0, 0}, dilation[3] = {1, 1, 1};
};

// Number of windows along one dimension. With ceil_mode a last partial window counts if it starts inside the input or
// its left padding.
FLAMBEAU_INLINE constexpr int64_t pool_output_size(int64_t in, int64_t kernel, int64_t stride, int64_t padding,
                                                   int64_t dilation, bool ceil_mode) {
  int64_t room = in + 2 * padding - dilation * (kernel - 1) - 1 + (ceil_mode ? stride - 1 : 0);
  int64_t out = (room < 0 ? -((-room + stride - 1) / stride) : room / stride) + 1;
  if (ceil_mode && (out - 1) * stride >= in + padding) --out;
  return out;
}

struct PoolKernels {
  // indices (may be null): position of each maximum in its flat input plane. A NaN wins.
  void (*max_pool[2])(const void* x, void* y, int64_t* indices, const PoolShape& shape);
  // Also the backward of adaptive_max_pool. dx [planes, in_size] is written whole.
  void (*max_pool_backward[2])(const void* grad, const int64_t* indices, void* dx, int64_t planes, int64_t in_size,
                               int64_t out_size);
  // divisor 0: the window's size (count_include_pad: what of it lies in the padded input; else in the input).
  void (*avg_pool[2])(const void* x, void* y, const PoolShape& shape, bool count_include_pad, int64_t divisor);
  void (*avg_pool_backward[2])(const void* grad, void* dx, const PoolShape& shape, bool count_include_pad,
                               int64_t divisor);
  // Windows from floor(i * in / out) to ceil((i + 1) * in / out); reads planes, in and out of the shape.
  void (*adaptive_avg_pool[2])(const void* x, void* y, const PoolShape& shape);
  void (*adaptive_avg_pool_backward[2])(const void* grad, void* dx, const PoolShape& shape);
  void (*adaptive_max_pool[2])(const void* x, void* y, int64_t* indices, const PoolShape& shape);
  // y [planes, out_size] is zero but for y[p][indices[p][i]] = x[p][i]. Returns -1 or the flat position of the first
  // index outside [0, out_size). Its backward gathers: max_unpool_backward.
  int64_t (*max_unpool[2])(const void* x, const int64_t* indices, void* y, int64_t planes, int64_t in_size,
                           int64_t out_size);
  void (*max_unpool_backward[2])(const void* grad, const int64_t* indices, void* dx, int64_t planes, int64_t in_size,
                                 int64_t out_size);
};
FLAMBEAU_KERNEL_TABLE(PoolKernels)

}  // namespace flambeau::kernels
