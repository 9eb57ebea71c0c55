// What the entries of the indexing family share: checked index tensors, targets that are changed, slices as blocks.
#pragma once
#include "kernels/cpu/indexing.h"
#include "ops/entries.h"

namespace flambeau::indexing {

inline const kernels::IndexingKernels& kernel() { return kernels::table<kernels::IndexingKernels>(); }

// A tensor without dimensions as a vector of one.
inline Tensor at_least_1d(const Tensor& t) { return t.dim() ? t : make_view(t, Dims{1}, Dims{1}, t.offset()); }

inline Tensor zeros(Ints sizes, DType dtype) {
  Tensor t = empty(sizes, dtype);
  uint64_t nothing[2] = {};
  fill_with(t, nothing);
  return t;
}

// The index of gather and its like as int64; PyTorch's RuntimeError for other types.
Tensor index_for(const char* op, const Tensor& index);
// The tensor that the call changes: argument 0 itself where it works in place, else result 0 with a copy of it. What is
// returned has no history.
Tensor changed(Call& c);
// `t`, or a copy of it where it shares memory with what the call changes.
Tensor apart(const Tensor& target, const Tensor& t);
// Tensors given with out= may not repeat elements or share memory with operands; `exact`: nor have another type.
void check_given(const Call& c, bool exact_dtype = false);
[[noreturn]] void out_of_bounds(ErrorKind kind, const char* op, int64_t index, int dim, int64_t size);

// One element as bytes of dtype; complex numbers only go into complex types.
struct Element {
  alignas(16) char bytes[16] = {};
};
Element element_of(const char* op, const Value& number, DType dtype);

// [outer, n, block] around a dimension where strides allow to see t so: block contiguous, outer with one stride.
bool blocks_around(const Tensor& t, int first, int last, int64_t& outer, int64_t& outer_stride, int64_t& block);

}  // namespace flambeau::indexing
