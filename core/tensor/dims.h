// Dims: a short list of extents, strides or positions; up to six of them need no heap block.
#pragma once
#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include "base/allocator.h"
#include "base/error.h"

namespace flambeau {

inline constexpr int kMaxDims = 64;
using Ints = std::span<const int64_t>;

// Loops, where the standard library calls memcmp and memmove, which take longer to begin than a few extents take.
inline bool equal(Ints a, Ints b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); i++)
    if (a[i] != b[i]) return false;
  return true;
}
inline void copy_extents(const int64_t* from, const int64_t* end, int64_t* to) {
  const int64_t n = end - from;
  for (int64_t i = 0; i < n; i++) to[i] = from[i];
}

class Dims {
 public:
  Dims() = default;
  explicit Dims(int count, int64_t value = 0) { resize(count, value); }
  Dims(std::initializer_list<int64_t> list) : Dims(Ints(list.begin(), list.size())) {}
  Dims(Ints list) {
    reserve(int(list.size()));
    size_ = int(list.size());
    copy_extents(list.data(), list.data() + list.size(), data_);
  }
  Dims(const Dims& other) : Dims(Ints(other)) {}
  Dims(Dims&& other) noexcept { take(other); }
  Dims& operator=(const Dims& other) {
    if (this != &other) {
      reserve(other.size_);
      size_ = other.size_;
      copy_extents(other.begin(), other.end(), data_);
    }
    return *this;
  }
  Dims& operator=(Dims&& other) noexcept {
    if (this != &other) {
      release();
      take(other);
    }
    return *this;
  }
  ~Dims() { release(); }

  int size() const { return size_; }
  bool empty() const { return size_ == 0; }
  int64_t* data() { return data_; }
  const int64_t* data() const { return data_; }
  int64_t& operator[](int i) { return data_[i]; }
  int64_t operator[](int i) const { return data_[i]; }
  int64_t* begin() { return data_; }
  int64_t* end() { return data_ + size_; }
  const int64_t* begin() const { return data_; }
  const int64_t* end() const { return data_ + size_; }
  int64_t back() const { return data_[size_ - 1]; }
  operator Ints() const { return {data_, size_t(size_)}; }

  void resize(int count, int64_t value = 0) {
    reserve(count);
    for (int i = size_; i < count; i++) data_[i] = value;
    size_ = count;
  }
  void push_back(int64_t value) {
    if (size_ == capacity_) reserve(2 * size_);
    data_[size_++] = value;
  }
  void insert(int at, int64_t value) {
    push_back(value);
    std::rotate(data_ + at, data_ + size_ - 1, data_ + size_);
  }
  void erase(int at) {
    copy_extents(data_ + at + 1, data_ + size_, data_ + at);
    size_--;
  }
  friend bool operator==(const Dims& a, const Dims& b) { return equal(a, b); }

 private:
  static constexpr int kInline = 6;
  void reserve(int count) {
    if (count <= capacity_) return;
    auto* grown = static_cast<int64_t*>(allocate(size_t(count) * sizeof(int64_t)));
    copy_extents(data_, data_ + size_, grown);
    release();
    data_ = grown;
    capacity_ = count;
  }
  void release() {
    if (data_ != inline_) deallocate(data_, size_t(capacity_) * sizeof(int64_t));
    data_ = inline_;
    capacity_ = kInline;
  }
  void take(Dims& other) {
    size_ = other.size_;
    if (other.data_ == other.inline_) {
      copy_extents(other.inline_, other.inline_ + size_, inline_);
    } else {
      data_ = other.data_;
      capacity_ = other.capacity_;
      other.data_ = other.inline_;
      other.capacity_ = kInline;
    }
    other.size_ = 0;
  }

  int64_t* data_ = inline_;
  int size_ = 0;
  int capacity_ = kInline;
  int64_t inline_[kInline];
};

inline int64_t product(Ints sizes) {
  int64_t n = 1;
  for (int64_t s : sizes) n *= s;
  return n;
}
// For numbers that users give: extents, steps, paddings. RuntimeError where the result does not fit.
[[noreturn]] void overflowed(const char* what, int64_t a, int64_t b);
inline int64_t plus(int64_t a, int64_t b) {
  int64_t r;
  if (__builtin_add_overflow(a, b, &r)) [[unlikely]]
    overflowed("sum", a, b);
  return r;
}
inline int64_t times(int64_t a, int64_t b) {
  int64_t r;
  if (__builtin_mul_overflow(a, b, &r)) [[unlikely]]
    overflowed("product", a, b);
  return r;
}
int64_t count_of(Ints sizes);  // product() for sizes that may be too large to count: a RuntimeError then

Dims contiguous_strides(Ints sizes);
std::string text_of(Ints list);     // "[2, 3]"
std::string shape_text(Ints list);  // "(2, 3)"

// dim counted from the end where negative; PyTorch's IndexError outside [-rank, rank). A 0-d tensor has one virtual dim.
int wrap_dim(int64_t dim, int rank);
// Sizes of the result of broadcasting; PyTorch's RuntimeError when two differ.
Dims broadcast(Ints a, Ints b);

}  // namespace flambeau
