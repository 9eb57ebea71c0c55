// Copying values that outlive their call, and their text.
#include "dispatch/value.h"
#include <cstring>

namespace flambeau {

template <class T> static T* copied(const T* from, size_t count) {
  auto* to = static_cast<T*>(allocate(count * sizeof(T)));
  if (count) std::memcpy(static_cast<void*>(to), from, count * sizeof(T));  // an empty list may have no address
  return to;
}

void OwnedValue::take() {
  const Value v = value_;
  switch (v.kind) {
    case Kind::Tensor: v.tensor->retain(); break;
    case Kind::Complex: value_.complex = copied(v.complex, 1); break;
    case Kind::Ints: value_.ints = copied(v.ints, v.count); break;
    case Kind::Doubles: value_.doubles = copied(v.doubles, v.count); break;
    case Kind::Text: value_.text = copied(v.text, v.count); break;
    case Kind::Tensors:
      value_.tensors = copied(v.tensors, v.count);
      for (TensorBody* t : v.as_tensors())
        if (t) t->retain();
      break;
    default: break;
  }
}

void OwnedValue::reset() {
  Value v = std::exchange(value_, Value());
  switch (v.kind) {
    case Kind::Tensor: v.tensor->release(); break;
    case Kind::Complex: deallocate(const_cast<Complex128*>(v.complex), sizeof(Complex128)); break;
    case Kind::Ints: deallocate(const_cast<int64_t*>(v.ints), v.count * sizeof(int64_t)); break;
    case Kind::Doubles: deallocate(const_cast<double*>(v.doubles), v.count * sizeof(double)); break;
    case Kind::Text: deallocate(const_cast<char*>(v.text), v.count); break;
    case Kind::Tensors:
      for (TensorBody* t : v.as_tensors())
        if (t) t->release();
      deallocate(v.tensors, v.count * sizeof(TensorBody*));
      break;
    default: break;
  }
}

std::string describe(const Value& v) {
  switch (v.kind) {
    case Kind::None: return "None";
    case Kind::Tensor: return describe(v.peek());
    case Kind::Int: return std::to_string(v.integer);
    case Kind::Double: return std::to_string(v.real);
    case Kind::Bool: return v.integer ? "True" : "False";
    case Kind::Complex: return str("(", v.complex->re, "+", v.complex->im, "j)");
    case Kind::Ints: return text_of(v.as_ints());
    case Kind::Doubles: return str("[", v.count, " floats]");
    case Kind::DType: return name_of(v.as_dtype());
    case Kind::Text: return "'" + std::string(v.as_text()) + "'";
    case Kind::Generator: return "Generator";
    case Kind::Tensors: {
      std::string text = "[";
      for (TensorBody* t : v.as_tensors())
        text +=
            (text.size() > 1 ? ", " : "") + (t ? describe(reinterpret_cast<const Tensor&>(t)) : std::string("None"));
      return text + "]";
    }
  }
  return "?";
}

}  // namespace flambeau
