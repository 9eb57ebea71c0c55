// Memory that ends with its scope. Everything is inlined always, so that kernels leave no copy of it to the linker.
#pragma once
#include "base/allocator.h"
#include "base/dtype.h"

namespace flambeau {

// A block of bytes; none for 0.
class Scratch {
 public:
  FLAMBEAU_INLINE explicit Scratch(size_t bytes) : bytes_(bytes), data_(bytes ? allocate(bytes) : nullptr) {}
  FLAMBEAU_INLINE ~Scratch() {
    if (data_) deallocate(data_, bytes_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  template <class T> FLAMBEAU_INLINE T* as() const { return static_cast<T*>(data_); }

 private:
  size_t bytes_;
  void* data_;
};

// Room for n elements, which are not set.
template <class T> class ScratchOf {
 public:
  FLAMBEAU_INLINE explicit ScratchOf(int64_t n) : memory_(size_t(n) * sizeof(T)), data(memory_.template as<T>()) {}
  FLAMBEAU_INLINE ~ScratchOf() {}
  FLAMBEAU_INLINE T& operator[](int64_t i) { return data[i]; }

 private:
  Scratch memory_;

 public:
  T* const data;
};

}  // namespace flambeau
