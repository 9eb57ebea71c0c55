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
  // By input type. Null for float16 and bfloat16 (convert to float32), for those small whole numbers of a row with wide
  // results that are not worth a kernel (convert to int64), and where the row is not defined.
  ReduceKernel kernel[kDTypes];
  DType result[kDTypes];  // what the kernel writes
};
const ReduceKernels* reduce_kernels(std::string_view row);  // null where there is no such row

namespace kernels {
// Positions along the middle dimension of what amax or amin found there: the first of equals, the first nan if the value
// is nan. With the values' kernel before it this is argmax, argmin, max(dim) and min(dim). reduced must be positive.
using PositionKernel = void (*)(int64_t* indices, const char* values, const char* in, int64_t outer, int64_t reduced,
                                int64_t inner);
struct PositionKernels {
  PositionKernel find[kDTypes];  // null for half and complex types
};
FLAMBEAU_KERNEL_TABLE(PositionKernels)
}  // namespace kernels

}  // namespace flambeau
