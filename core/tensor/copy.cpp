// Strided copies over the copy kernels, and single elements as numbers.
#include "tensor/copy.h"
#include "kernels/cpu/copy.h"
#include <cstring>

namespace flambeau {

static Dims byte_strides(const Tensor& t) {
  Dims strides(t.strides());
  for (int64_t& s : strides) s = int64_t(uint64_t(s) * item_size(t.dtype()));  // too large: one that nothing is at
  return strides;
}

Tensor expanded(const Tensor& t, Ints sizes) {
  if (equal(t.sizes(), sizes)) return t;
  int shift = int(sizes.size()) - t.dim();
  if (shift < 0)
    fail(ErrorKind::Runtime, "The number of sizes provided (", sizes.size(),
         ") must be greater or equal to the number of dimensions in the tensor (", t.dim(),
         ")\nexpand: expected at most ", sizes.size(), " dimensions, for ", shape_text(sizes), "; got ", describe(t));
  Dims strides(int(sizes.size()));
  for (int i = 0; i < t.dim(); i++) {
    bool same = t.size(i) == sizes[i + shift];
    if (!same && t.size(i) != 1)
      fail(ErrorKind::Runtime, "The expanded size of the tensor (", sizes[i + shift],
           ") must match the existing size (", t.size(i), ") at non-singleton dimension ", i + shift,
           ".  Target sizes: ", text_of(sizes), ".  Tensor sizes: ", text_of(t.sizes()));
    strides[i + shift] = same ? t.stride(i) : 0;
  }
  return make_view(t, sizes, strides, t.offset());
}

void refuse_hidden(const Tensor& t) {
  throw HiddenData(ErrorKind::Runtime,
                   "an operation that reads memory directly met a tensor inside a function transform "
                   "(func.vmap, func.jvp or func.grad)\nexpected a plain tensor; got " +
                       describe(t));
}

static constexpr size_t kFewBytes = 2048;  // up to here the way to a kernel costs more than the copy

void copy_into(const Tensor& dst, const Tensor& src) {
  need_data(src);
  if (dst.contiguous() && src.contiguous() && dst.dtype() == src.dtype() && dst.bytes() <= kFewBytes &&
      equal(dst.sizes(), src.sizes()))
    return void(std::memmove(dst.data(), src.data(), dst.bytes()));
  if (!dst.numel()) {
    if (!equal(dst.sizes(), src.sizes())) expanded(src, dst.sizes());  // for its error
    return;
  }
  Tensor from = expanded(src, dst.sizes());
  if (from.data() == dst.data() && from.dtype() == dst.dtype() && equal(from.strides(), dst.strides())) return;
  if (partial_overlap(dst, from)) from = clone_data(from);
  const auto& kernels = kernels::table<kernels::CopyKernels>();
  kernels.copy(dst.dim(), dst.sizes().data(), dst.data(), byte_strides(dst).data(), dst.dtype(), from.data(),
               byte_strides(from).data(), from.dtype());
}

Tensor contiguous(const Tensor& t) {
  need_data(t);
  if (t.contiguous()) return t;
  Tensor copy = empty(t.sizes(), t.dtype());
  copy_into(copy, t);
  return copy;
}

Tensor converted(const Tensor& t, DType dtype) {
  need_data(t);
  if (t.dtype() == dtype) return t;
  Tensor copy = dense(t) ? empty_strided(t.sizes(), t.strides(), dtype) : empty(t.sizes(), dtype);
  copy_into(copy, t);
  return copy;
}

Tensor clone_data(const Tensor& t) {
  Tensor copy = empty_like(t);
  copy_into(copy, t);
  return copy;
}

void fill_with(const Tensor& t, const void* value) {
  if (!t.numel()) return;
  const auto& kernels = kernels::table<kernels::CopyKernels>();
  int size = int(item_size(t.dtype()));
  if (dense(t)) return kernels.fill(t.data(), t.numel(), value, size);
  Dims zero(t.dim());
  kernels.copy(t.dim(), t.sizes().data(), t.data(), byte_strides(t).data(), t.dtype(), value, zero.data(), t.dtype());
}

void store_number(void* to, DType dtype, Complex128 value) {
  visit_dtype(dtype, [&]<class T>() {
    if constexpr (std::is_same_v<T, Half>)
      *static_cast<Half*>(to) = to_half(float(value.re));
    else if constexpr (std::is_same_v<T, BFloat16>)
      *static_cast<BFloat16*>(to) = to_bfloat16(float(value.re));
    else if constexpr (std::is_same_v<T, Complex64>)
      *static_cast<T*>(to) = {float(value.re), float(value.im)};
    else if constexpr (std::is_same_v<T, Complex128>)
      *static_cast<T*>(to) = value;
    else if constexpr (std::is_same_v<T, bool>)
      *static_cast<bool*>(to) = value.re != 0 || value.im != 0;
    else if constexpr (std::is_integral_v<T>)
      *static_cast<T*>(to) = T(int64_t(value.re));
    else
      *static_cast<T*>(to) = T(value.re);
  });
}

void store_integer(void* to, DType dtype, int64_t value) {
  if (!is_integral(dtype) || is_bool(dtype)) return store_number(to, dtype, {double(value), 0});
  std::memcpy(to, &value, item_size(dtype));  // little endian: the low bytes are the wrapped value
}

Complex128 load_number(const void* from, DType dtype) {
  return visit_dtype(dtype, [&]<class T>() -> Complex128 {
    if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>)
      return {double(to_float(*static_cast<const T*>(from))), 0};
    else if constexpr (std::is_same_v<T, Complex64>) {
      auto c = *static_cast<const T*>(from);
      return {double(c.re), double(c.im)};
    } else if constexpr (std::is_same_v<T, Complex128>)
      return *static_cast<const T*>(from);
    else
      return {double(*static_cast<const T*>(from)), 0};
  });
}

int64_t load_integer(const void* from, DType dtype) {
  return visit_dtype(dtype, [&]<class T>() -> int64_t {
    if constexpr (std::is_integral_v<T>)
      return int64_t(*static_cast<const T*>(from));
    else
      return int64_t(load_number(from, dtype).re);
  });
}

}  // namespace flambeau
