// Bringing composed cotangents to the shape and type of their operands.
#include "dispatch/gradient.h"
#include "dispatch/ops.h"

namespace flambeau {

Value saved(const Backward& b, const Value& v) {
  if (!b.conjugate || !v.is_tensor() || !is_complex(v.tensor->dtype)) return v;
  b.conjugates.push_back(ops::conj_physical(v));
  return b.conjugates.back();
}

Tensor reduced(const Backward& b, int param, Tensor cotangent) {
  if (!cotangent || !b.conjugate) return cotangent;  // a tangent keeps its broadcast shape
  if (!equal(cotangent.sizes(), b.shapes[param])) cotangent = ops::sum_to_size(cotangent, b.shapes[param]);
  if (cotangent.dtype() != b.dtypes[param]) cotangent = ops::cast(cotangent, b.dtypes[param]);
  return cotangent;
}

void no_derivative(const Backward& b, int i) {
  const char* name = b.primitive.params[i].name;
  fail(ErrorKind::NotImplemented, "the derivative for '", name, "' is not implemented\n", b.primitive.name,
       ": expected no gradient to be asked for by ", name, "; got one that requires grad");
}

}  // namespace flambeau
