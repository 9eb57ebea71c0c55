// Copying between tensors of any strides and dtypes, without autograd.
#pragma once
#include "tensor/tensor.h"

namespace flambeau {

// Thrown where code below the door asks for the memory of a tensor that a function transform wraps: its values, or how
// they depend on others, are further inside.
class HiddenData : public Error {
 public:
  using Error::Error;
};

[[noreturn]] void refuse_hidden(const Tensor& t);
inline void need_data(const Tensor& t) {
  if (t->keys & (kBatched | kDual | kTracked)) [[unlikely]]
    refuse_hidden(t);
}

void copy_into(const Tensor& dst, const Tensor& src);        // src is broadcast to dst; overlap is safe
Tensor contiguous(const Tensor& t);                          // t itself where it already is
Tensor converted(const Tensor& t, DType dtype);              // t itself where it already is; keeps dense strides
Tensor clone_data(const Tensor& t);                          // a copy with the same order of strides
Tensor expanded(const Tensor& t, Ints sizes);                // a view, by PyTorch's broadcasting
void fill_with(const Tensor& t, const void* value);          // value: one element of t's dtype
void store_number(void* to, DType dtype, Complex128 value);  // one element
void store_integer(void* to, DType dtype, int64_t value);    // exact for int64
Complex128 load_number(const void* from, DType dtype);
int64_t load_integer(const void* from, DType dtype);

}  // namespace flambeau
