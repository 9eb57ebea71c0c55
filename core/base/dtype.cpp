// Names of the element types.
#include "base/dtype.h"

namespace flambeau {

const char* name_of(DType t) {
  static constexpr const char* kNames[kDTypes] = {"bool",    "uint8",   "int8",      "int16",
                                                  "int32",   "int64",   "float16",   "bfloat16",
                                                  "float32", "float64", "complex64", "complex128"};
  return kNames[int(t)];
}

const char* python_name_of(DType t) {
  static constexpr const char* names[kDTypes] = {"Bool",  "Byte",   "Char",         "Short",
                                                 "Int",   "Long",   "Half",         "BFloat16",
                                                 "Float", "Double", "ComplexFloat", "ComplexDouble"};
  return names[int(t)];
}

const char* cpp_name_of(DType t) {
  static constexpr const char* names[kDTypes] = {
      "bool",  "unsigned char", "signed char",         "short",
      "int",   "int64_t",       "c10::Half",           "c10::BFloat16",
      "float", "double",        "c10::complex<float>", "c10::complex<double>"};
  return names[int(t)];
}

}  // namespace flambeau
