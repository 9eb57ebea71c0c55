// What entries share.
#include "ops/entries.h"

namespace flambeau {

Tensor computable(const Tensor& t, const char* name) {
  if (is_half(t.dtype())) return contiguous(converted(t, DType::Float32));
  if (t.dtype() != DType::Float32 && t.dtype() != DType::Float64)
    fail(ErrorKind::NotImplemented, "\"", name, "\" not implemented for '", python_name_of(t.dtype()), "'\n", name,
         ": expected floating elements; got ", describe(t));
  return contiguous(t);
}

void expect_shape(const Call& c, const Tensor& g, Ints sizes) {
  if (!equal(g.sizes(), sizes))
    fail(ErrorKind::Runtime, c.primitive.name, ": expected a cotangent of shape ", shape_text(sizes), "; got ",
         describe(g));
}

}  // namespace flambeau
