// Reductions of one dimension: what callers see of the kernels that reduction rows make, and of argmax and argmin.
#pragma once
#include <string_view>
#include "base/dtype.h"
#include "kernels/cpu/isa.h"

namespace flambeau {

// Folds the middle dimension of contiguous [outer, reduced, inner] into contiguous [outer, inner]. `params` are the
// row's numbers in schema order. Parallel inside; the same bits for any number of threads. No extent need be positive:
// reduced = 0 gives the formula's value of nothing.
using ReduceKernel = void (*)(char* out, const char* in, int64_t outer, int64_t reduced, int64_t inner,
                              const double* params);

struct ReduceKernels {
  const char* name;
  ReduceKernel kernel[kDTypes];  // by input type; null where the row is not defined. float16, bfloat16: use float32
  DType result[kDTypes];         // what the kernel writes
};
const ReduceKernels* reduce_kernels(std::string_view row);  // null where there is no such row

namespace kernels {

// Values and positions of the greatest or least along the middle dimension: the first of equals, nan before all else.
// `values` may be null. reduced must be positive. bool, integers, float32, float64.
using ExtremeKernel = void (*)(char* values, int64_t* indices, const char* in, int64_t outer, int64_t reduced,
                               int64_t inner);
struct ExtremeKernels {
  ExtremeKernel largest[kDTypes], smallest[kDTypes];  // null for half and complex types
};
FLAMBEAU_KERNEL_TABLE(ExtremeKernels)
}  // namespace kernels

}  // namespace flambeau
