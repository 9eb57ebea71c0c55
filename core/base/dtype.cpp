// Names of the element types.
#include "base/dtype.h"

namespace flambeau {

const char* name_of(DType t) {
  static constexpr const char* kNames[kDTypes] = {"bool",     "uint8",   "int8",    "int16",   "int32",     "int64",
                                                  "float16",  "bfloat16", "float32", "float64", "complex64", "complex128"};
  return kNames[int(t)];
}

}  // namespace flambeau
