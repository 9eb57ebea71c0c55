// Gathering and scattering: along one dimension, whole blocks by index, by mask; counting and searching.
#pragma once
#include "base/dtype.h"
#include "kernels/cpu/isa.h"

namespace flambeau::kernels {

// The first index that was out of range, in the row-major order of the index tensor; position < 0 means all were fine.
// What was written before the check failed is unspecified, but never outside the destination.
struct BadIndex {
  int64_t position = -1, value = 0;
  int which = 0;  // offsets_of_indices: which of the index tensors
  bool ok() const { return position < 0; }
};

// A mean is a Sum here, a Sum of ones into int64 counts, and a division.
enum class ScatterOp : unsigned char { Assign, Sum, Prod, Max, Min };

// A walk along one dimension for gather and scatter. `sizes` are the extents of the index tensor; strides are in
// elements (not bytes), one per dimension. `data` is what is indexed: the source of gather, the destination of scatter;
// `other` is the opposite side. Only values 0 <= index < data_size are accepted, as in PyTorch.
struct AlongDim {
  int ndim, dim;
  const int64_t* sizes;
  int64_t data_size;  // extent of `data` along dim
  const int64_t *data_strides, *index_strides, *other_strides;
};

// Rows of a destination [outer, count, block] addressed by an index list: out[o, index[i], :] op= src[o, i, :].
// Strides in bytes; a block is `block` contiguous items; src_row and src_outer may be 0 (one value row for all).
// Duplicates are applied in the order of the list, whatever the number of threads.
struct BlockRows {
  int64_t outer, data_outer, src_outer;  // number of outer positions and the byte strides over them
  int64_t block;                         // items in a block
  int64_t data_row, src_row;             // byte strides of one step of the index, and of one step of the list
  bool one_value = false;                // assign_rows, add_rows: src is a single element (its strides are ignored)
};

struct IndexingKernels {
  // out[..i..] = src[..index[..i..]..]
  BadIndex (*gather)(const AlongDim& walk, void* out, const void* src, const int64_t* index, int item_size);
  // dst[..index[..i..]..] op= src[..i..]. include_self = false resets every touched element to the operation's neutral
  // element first. Sum and Prod of bool are or and and; Max and Min propagate NaN and know no complex numbers.
  // A broadcast scalar source has other_strides of zero.
  BadIndex (*scatter)(const AlongDim& walk, DType dtype, ScatterOp op, bool include_self, void* dst, const void* src,
                      const int64_t* index);

  // out[o, i, :] = src[o, index[i], :]; out contiguous [outer, n, block]. `size` is the extent of the indexed
  // dimension. wrap allows negative indices (take, advanced indexing); index_select and embedding do not.
  BadIndex (*select_rows)(const BlockRows& rows, void* out, const void* src, const int64_t* index, int64_t n,
                          int64_t size, bool wrap, int item_size);
  // dst[o, index[i], :] = src[o, i, :] (index_copy, index_fill, put, index_put)
  BadIndex (*assign_rows)(const BlockRows& rows, void* dst, const void* src, const int64_t* index, int64_t n,
                          int64_t size, bool wrap, int item_size);
  // dst[o, index[i], :] += alpha * src[o, i, :] (index_add, embedding backward, index_put accumulate). alpha: one
  // element of dtype, or null for 1. Indices equal to `skip` add nothing (padding_idx; pass -1 for none).
  BadIndex (*add_rows)(const BlockRows& rows, DType dtype, void* dst, const void* src, const int64_t* index, int64_t n,
                       int64_t size, bool wrap, const void* alpha, int64_t skip);

  // Advanced indexing: offsets[j] = sum over t of wrap(index[t][j]) * dim_strides[t], j over the broadcast shape in
  // row-major order. index_strides[t] are in elements, zero where index t is broadcast. The offsets then go to
  // select_rows / assign_rows / add_rows with data_row = the unit of dim_strides in bytes and size = max offset + 1.
  BadIndex (*offsets_of_indices)(int ndim, const int64_t* shape, int count, const int64_t* const* index,
                                 const int64_t* const* index_strides, const int64_t* dim_sizes,
                                 const int64_t* dim_strides, int64_t* offsets);

  // Masks: one byte per element, 0 or 1, contiguous.
  int64_t (*count_mask)(const bool* mask, int64_t n);
  void (*masked_select)(void* out, const void* src, const bool* mask, int64_t n, int item_size);   // out: count items
  void (*masked_scatter)(void* dst, const bool* mask, int64_t n, const void* src, int item_size);  // dst in place
  void (*nonzero)(int64_t* out, const bool* mask, int ndim, const int64_t* sizes);                 // out [count, ndim]

  // counts[x[i]] += 1; false when a value is negative or >= bins.
  bool (*bincount)(int64_t* counts, const int64_t* x, int64_t n, int64_t bins);
  bool (*bincount_weighted)(double* sums, const int64_t* x, const double* weights, int64_t n, int64_t bins);
  // Float32 or float64 elements within [lo, hi] into equal bins; hi itself falls into the last. counts: as many int64.
  void (*histc)(DType dtype, int64_t* counts, const void* x, int64_t n, int64_t bins, double lo, double hi);
  // For each row: out[r, j] = number of leading elements of sorted[r, :] that are < value (<= when right). dtype is
  // Int64, Float32 or Float64. sorted_rows 1 = one sequence for all rows (bucketize). sorter: positions, or null.
  void (*searchsorted)(DType dtype, int64_t* out, const void* sorted, const void* values, int64_t rows,
                       int64_t sorted_rows, int64_t n, int64_t m, bool right, const int64_t* sorter);
};
FLAMBEAU_KERNEL_TABLE(IndexingKernels)

}  // namespace flambeau::kernels
