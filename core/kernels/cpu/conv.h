// Convolution in one to three spatial dimensions, its two gradients, and (as the first of these) the transposed one.
#pragma once
#include "base/dtype.h"
#include "kernels/cpu/isa.h"

namespace flambeau::kernels {

// Extents of the convolution y = x * w + bias, all arrays contiguous: x [n, c, *in], w [o, c / groups, *kernel],
// y [n, o, *out]. Arrays of three hold depth, height, width; a 2-d convolution sets the first entry to extent 1,
// stride 1, pad 0, dilation 1, a 1-d one the first two. The caller has checked that
// out = (in + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1 fits; for a transposed convolution `in` may be larger
// than that formula needs (output_padding), which the kernels allow.
struct ConvShape {
  int64_t n = 1, c = 1, o = 1, groups = 1;
  int64_t in[3] = {1, 1, 1}, out[3] = {1, 1, 1}, kernel[3] = {1, 1, 1};
  int64_t stride[3] = {1, 1, 1}, pad[3] = {0, 0, 0}, dilation[3] = {1, 1, 1};
};

// dtype: Float32 (the fast paths), Float64, Float16 and BFloat16 (computed in float32, rounded once). Every call
// overwrites its outputs, runs on the pool, and gives the same bits for any number of threads.
// False, with nothing done, for another dtype.
struct ConvKernels {
  // bias: o values or null
  bool (*forward)(DType dtype, const ConvShape& s, const void* x, const void* w, const void* bias, void* y);
  // dx from dy. This is also the transposed convolution of dy: then `bias` holds c values, otherwise it is null.
  bool (*backward_input)(DType dtype, const ConvShape& s, const void* dy, const void* w, const void* bias, void* dx);
  // dw (or null), and where dbias is not null also the sum of dy over images and positions (o values).
  bool (*backward_weight)(DType dtype, const ConvShape& s, const void* x, const void* dy, void* dw, void* dbias);
};
FLAMBEAU_KERNEL_TABLE(ConvKernels)

}  // namespace flambeau::kernels
