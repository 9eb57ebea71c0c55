// Matrix products: C = alpha * A @ B + beta * C + bias, for one matrix or a batch, in every dtype but bool.
#pragma once
#include "base/dtype.h"
#include "kernels/cpu/isa.h"

namespace flambeau::kernels {

// Strides count elements. A is m x k, B is k x n, and of each one's two strides (row, column) one is 1 whenever the
// extent along it is above 1: plain or transposed, with any leading dimension. C's columns are contiguous.
// A and B may be read through a batch stride of 0 (broadcast). C must not overlap A or B.
struct Gemm {
  int64_t batch = 1, m = 0, n = 0, k = 0;
  const void* a = nullptr;
  int64_t a_row = 0, a_col = 1, a_batch = 0;
  const void* b = nullptr;
  int64_t b_row = 0, b_col = 1, b_batch = 0;
  void* c = nullptr;
  int64_t c_row = 0, c_batch = 0;
  const void* bias = nullptr;      // n values added to every row of C after the scaling, or null
  double alpha = 1, alpha_im = 0;  // the imaginary parts count for complex dtypes only
  double beta = 0, beta_im = 0;    // 0: C is written without being read, so NaN there does not spread
  const void* b_packed = nullptr;  // what pack_b made of this B, or null; batch 1
};

struct GemmKernels {
  // A, B, C and bias are of `dtype`. Float16 and BFloat16 accumulate in float32 and round once; integers wrap around.
  // Runs on the pool; the bits of the result do not depend on the number of threads.
  // False, with nothing done, for a dtype that has no products (Bool).
  bool (*gemm)(DType dtype, const Gemm& g);
  // For a B that many products share, one after another: a packed copy for Gemm::b_packed. Reads k, n and b.
  int64_t (*packed_bytes)(DType dtype, int64_t k, int64_t n);  // 0: for this dtype there is none
  void (*pack_b)(DType dtype, const Gemm& g, void* packed);
};
FLAMBEAU_KERNEL_TABLE(GemmKernels)

}  // namespace flambeau::kernels
