// Type promotion: PyTorch's rules.
#include "dispatch/door.h"

namespace flambeau {

static DType default_dtype_ = DType::Float32;
DType default_dtype() { return default_dtype_; }
void set_default_dtype(DType t) { default_dtype_ = t; }

DType promote_types(DType a, DType b) {
  if (a == b) return a;
  if (a > b) std::swap(a, b);
  if (is_complex(b)) return is_complex(a) || a != DType::Float64 ? b : DType::Complex128;
  if (is_floating(b)) return b == DType::BFloat16 && a == DType::Float16 ? DType::Float32 : b;
  if (a == DType::UInt8 && b == DType::Int8) return DType::Int16;
  return b;
}

namespace {

constexpr int kNothing = -1;

// The type of lower-priority operands lifts the higher one only to another category.
int combine(int higher, int lower) {
  if (higher == kNothing) return lower;
  if (lower == kNothing) return higher;
  DType h = DType(higher), l = DType(lower);
  if (is_complex(h)) return higher;
  if (is_floating(h))
    return is_complex(l) ? int(h == DType::Float16 || h == DType::BFloat16 ? DType::Complex64 : complex_of(h)) : higher;
  if (is_bool(h) || is_floating(l) || is_complex(l)) return int(promote_types(h, l));
  return higher;
}

int join(int a, DType b) { return a == kNothing ? int(b) : int(promote_types(DType(a), b)); }

DType number_type(const Value& v) {
  switch (v.kind) {
    case Kind::Bool: return DType::Bool;
    case Kind::Int: return DType::Int64;
    case Kind::Complex: return complex_of(default_dtype());
    default: return default_dtype();
  }
}

}  // namespace

DType result_type(std::span<const Value> operands) {
  int ranked = kNothing, scalars = kNothing, numbers = kNothing;
  for (const Value& v : operands) {
    if (v.is_tensor())
      (v.tensor->dim ? ranked : scalars) = join(v.tensor->dim ? ranked : scalars, v.tensor->dtype);
    else if (v.is_number())
      numbers = join(numbers, number_type(v));
  }
  int type = combine(ranked, combine(scalars, numbers));
  return type == kNothing ? default_dtype() : DType(type);
}

bool can_cast(DType from, DType to) {
  if (is_complex(from)) return is_complex(to);
  if (is_floating(from)) return is_floating(to) || is_complex(to);
  return !is_bool(to) || is_bool(from);
}

}  // namespace flambeau
