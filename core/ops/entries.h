// What the entries that rows name have in common.
#pragma once
#include "dispatch/gradient.h"
#include "dispatch/ops.h"
#include "tensor/copy.h"

namespace flambeau {

// The dims an argument names (None: all of them), wrapped, without repeats, as flags per dimension.
class DimSet {
 public:
  bool has(int64_t dim) const { return bits_ >> dim & 1; }
  void add(int64_t dim) { bits_ |= uint64_t(1) << dim; }
  void add_all(int rank) { bits_ = rank >= 64 ? ~uint64_t(0) : (uint64_t(1) << rank) - 1; }
  int count() const { return std::popcount(bits_); }
  int first() const { return std::countr_zero(bits_); }

 private:
  uint64_t bits_ = 0;
};
static_assert(kMaxDims <= 64);
DimSet dim_set(const Value& dims, int rank);
Dims without(Ints sizes, const DimSet& dims, bool keep);  // the sizes of a reduction's result

// An extent of -1 filled in from the number of elements; PyTorch's error when that cannot be.
Dims inferred_size(Ints size, int64_t numel);
// Strides that show the same memory under another shape; false when there are none.
bool view_strides(const Tensor& t, Ints size, Dims& strides);

// Contiguous float32 or float64: what kernels with two instances read. Half types compute in float32; others are refused.
Tensor computable(const Tensor& t, const char* name);
inline int wide(const Tensor& t) { return t.dtype() == DType::Float64; }  // which instance

// What rows that undo another check before they read: the cotangent has the shape of what they undo.
void expect_shape(const Call& c, const Tensor& g, Ints sizes);

// The type of what a factory makes: as asked, else that of a tensor given with out=, else the fallback.
DType factory_dtype(const Call& c, const Value& dtype, DType fallback);

// The input's [outer, n, inner] around one dimension.
struct Split3 {
  int64_t outer, n, inner;
};
Split3 split_at(Ints sizes, int dim);

}  // namespace flambeau
