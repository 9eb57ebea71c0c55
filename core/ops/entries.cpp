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

}  // namespace flambeau
