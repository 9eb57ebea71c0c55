// Order: sort, top-k, selection, mode and unique along contiguous rows, through order-preserving integer keys.
#pragma once
#include "base/dtype.h"
#include "kernels/cpu/isa.h"

namespace flambeau::kernels {

// Every real dtype (bool included), input contiguous [rows, n]. NaN is greater than every number; -0 equals 0; equal
// elements keep their order. Outputs: [rows, ...] contiguous; `indices` or `values` may be null where not wanted.
struct SortKernels {
  void (*sort)(DType dtype, const void* in, int64_t rows, int64_t n, bool descending, void* values, int64_t* indices);
  // The k largest (or smallest) of each row in order, out [rows, k]; among equals the lowest index comes first.
  void (*topk)(DType dtype, const void* in, int64_t rows, int64_t n, int64_t k, bool largest, void* values,
               int64_t* indices);
  // Element number k (from 0) in ascending order, n >= 1; the index is that of the stable order.
  void (*kth)(DType dtype, const void* in, int64_t rows, int64_t n, int64_t k, void* values, int64_t* indices);
  // The lower median; a NaN in the row is the answer, unless ignore_nan.
  void (*median)(DType dtype, const void* in, int64_t rows, int64_t n, bool ignore_nan, void* values, int64_t* indices);
  // The most frequent value (the smallest among equally frequent ones) and the index of its last occurrence.
  void (*mode)(DType dtype, const void* in, int64_t rows, int64_t n, void* values, int64_t* indices);
  // Distinct values in ascending order; every NaN is distinct. values and counts (may be null) have room for n;
  // inverse (may be null) gets n positions. Returns how many there are.
  int64_t (*unique)(DType dtype, const void* in, int64_t n, void* values, int64_t* inverse, int64_t* counts);
  // The same for runs of equal neighbours, in the order of appearance.
  int64_t (*unique_consecutive)(DType dtype, const void* in, int64_t n, void* values, int64_t* inverse,
                                int64_t* counts);
};
FLAMBEAU_KERNEL_TABLE(SortKernels)

}  // namespace flambeau::kernels
