// Moving elements: the universal strided copy with conversion, tiles for the elementwise driver, fill and block copies.
#pragma once
#include "base/dtype.h"
#include "kernels/cpu/isa.h"

namespace flambeau::kernels {

// Strides are in bytes throughout and may be zero (broadcast source) or negative (a flip: `src` points at the first
// element in the walking order). Source and destination do not overlap. Conversions are PyTorch's: floats truncate to
// integers, integers wrap, anything but zero is true, a complex number loses its imaginary part.
struct CopyKernels {
  // The whole index space, in parallel. Extents of zero copy nothing; ndim may be 0 (one element) up to 64.
  void (*copy)(int ndim, const int64_t* sizes, void* dst, const int64_t* dst_strides, DType dst_dtype, const void* src,
               const int64_t* src_strides, DType src_dtype);
  // Serial, for tiles of up to a few thousand elements: tile[i] = convert(src[i * stride]).
  void (*load_tile)(void* tile, DType tile_dtype, int64_t count, const void* src, int64_t stride, DType src_dtype);
  // dst[i * stride] = convert(tile[i])
  void (*store_tile)(void* dst, int64_t stride, DType dst_dtype, int64_t count, const void* tile, DType tile_dtype);
  // n items of item_size 1, 2, 4, 8 or 16 bytes, all equal to *value; in parallel.
  void (*fill)(void* dst, int64_t n, const void* value, int item_size);
  // rows blocks of row_bytes each, in parallel: what cat, stack and split are made of.
  void (*copy_rows)(void* dst, int64_t dst_stride, const void* src, int64_t src_stride, int64_t row_bytes,
                    int64_t rows);
  // dst[i] = the conjugate of src[i], contiguous complex64 or complex128; may be in place.
  void (*conjugate)(void* dst, const void* src, int64_t n, DType dtype);
};
FLAMBEAU_KERNEL_TABLE(CopyKernels)

}  // namespace flambeau::kernels
