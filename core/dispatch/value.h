// Value: one argument of an operation, in 16 bytes. Values borrow what they point to; a node that keeps arguments for
// the gradient copies them into OwnedValues.
#pragma once
#include <cmath>
#include "tensor/tensor.h"

namespace flambeau {

class Generator;

// As wide as the rest of the word: a copy of a value is two whole words, which the processor forwards.
enum class Kind : uint32_t { None, Tensor, Int, Double, Bool, Complex, Ints, Doubles, Tensors, DType, Text, Generator };

struct Value {
  union {
    TensorBody* tensor;
    int64_t integer;
    double real;
    const Complex128* complex;
    const int64_t* ints;
    const double* doubles;
    TensorBody** tensors;  // entries may be null
    const char* text;
    Generator* generator;
  };
  uint32_t count = 0;  // of ints, doubles, tensors; length of text
  Kind kind = Kind::None;

  constexpr Value() : integer(0) {}
  Value(TensorBody* t) : tensor(t), kind(t ? Kind::Tensor : Kind::None) {}
  Value(const Tensor& t) : Value(t.get()) {}
  Value(int64_t i) : integer(i), kind(Kind::Int) {}
  Value(int i) : Value(int64_t(i)) {}
  Value(double d) : real(d), kind(Kind::Double) {}
  Value(bool b) : integer(b), kind(Kind::Bool) {}
  Value(const Complex128& c) : complex(&c), kind(Kind::Complex) {}
  Value(Ints list) : ints(list.data()), count(uint32_t(list.size())), kind(Kind::Ints) {}
  Value(const Dims& list) : Value(Ints(list)) {}
  Value(std::span<const double> list) : doubles(list.data()), count(uint32_t(list.size())), kind(Kind::Doubles) {}
  Value(std::span<TensorBody* const> list)
      : tensors(const_cast<TensorBody**>(list.data())), count(uint32_t(list.size())), kind(Kind::Tensors) {}
  Value(DType d) : integer(int64_t(d)), kind(Kind::DType) {}
  Value(std::string_view s) : text(s.data()), count(uint32_t(s.size())), kind(Kind::Text) {}
  Value(Generator* g) : generator(g), kind(g ? Kind::Generator : Kind::None) {}

  bool none() const { return kind == Kind::None; }
  bool is_tensor() const { return kind == Kind::Tensor; }
  bool is_number() const {
    return kind == Kind::Int || kind == Kind::Double || kind == Kind::Bool || kind == Kind::Complex;
  }

  Tensor as_tensor() const { return Tensor::share(is_tensor() ? tensor : nullptr); }
  // A borrowed view of the tensor: no counting. Valid while the call runs.
  const Tensor& peek() const { return reinterpret_cast<const Tensor&>(tensor); }
  int64_t as_int() const { return kind == Kind::Double ? int64_t(real) : integer; }
  double as_double() const {
    return kind == Kind::Double ? real : kind == Kind::Complex ? complex->re : double(integer);
  }
  bool as_bool() const { return kind == Kind::Double ? real != 0 : integer != 0; }
  Complex128 as_complex() const { return kind == Kind::Complex ? *complex : Complex128{as_double(), 0}; }
  Ints as_ints() const { return kind == Kind::Int ? Ints(&integer, 1) : Ints(ints, kind == Kind::Ints ? count : 0); }
  std::span<const double> as_doubles() const { return {doubles, count}; }
  std::span<TensorBody*> as_tensors() const { return {tensors, kind == Kind::Tensors ? count : 0}; }
  DType as_dtype() const { return DType(integer); }
  std::string_view as_text() const { return {text, count}; }
  DType dtype_or(DType fallback) const { return kind == Kind::DType ? as_dtype() : fallback; }
  int64_t int_or(int64_t fallback) const { return none() ? fallback : as_int(); }
};
static_assert(sizeof(Value) == 16 && sizeof(Tensor) == sizeof(TensorBody*));

// A Value that holds its tensors and has copied its lists.
class OwnedValue {
 public:
  OwnedValue() = default;
  explicit OwnedValue(const Value& v) : value_(v) {
    if (owns()) take();
  }
  OwnedValue(OwnedValue&& o) noexcept : value_(std::exchange(o.value_, Value())) {}
  OwnedValue& operator=(OwnedValue&& o) noexcept {
    std::swap(value_, o.value_);
    return *this;
  }
  ~OwnedValue() {
    if (owns()) reset();
  }
  void reset();
  const Value& get() const { return value_; }

 private:
  bool owns() const {  // more than what lies in the value itself
    constexpr uint32_t kinds = 1u << int(Kind::Tensor) | 1u << int(Kind::Complex) | 1u << int(Kind::Ints) |
                               1u << int(Kind::Doubles) | 1u << int(Kind::Text) | 1u << int(Kind::Tensors);
    return kinds >> int(value_.kind) & 1;
  }
  void take();
  Value value_;
};

std::string describe(const Value& v);  // for messages and graphs

}  // namespace flambeau
