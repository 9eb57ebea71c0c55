// Running sums, products, extremes and logsumexp along the middle of a contiguous [outer, n, inner].
#pragma once
#include "base/dtype.h"
#include "kernels/cpu/isa.h"

namespace flambeau::kernels {

// in and out may be the same block. float32 accumulates in float64, as PyTorch does on the CPU.
struct ScanKernels {
  // Int64, Float32, Float64, Complex64, Complex128
  void (*sum)(DType dtype, void* out, const void* in, int64_t outer, int64_t n, int64_t inner);
  void (*cumprod)(DType dtype, void* out, const void* in, int64_t outer, int64_t n, int64_t inner);
  // Every real dtype. The index is that of the last occurrence; once a NaN is met it stays.
  void (*cummax)(DType dtype, void* out, int64_t* indices, const void* in, int64_t outer, int64_t n, int64_t inner);
  void (*cummin)(DType dtype, void* out, int64_t* indices, const void* in, int64_t outer, int64_t n, int64_t inner);
  // Float32, Float64
  void (*logsumexp)(DType dtype, void* out, const void* in, int64_t outer, int64_t n, int64_t inner);
};
FLAMBEAU_KERNEL_TABLE(ScanKernels)

}  // namespace flambeau::kernels
