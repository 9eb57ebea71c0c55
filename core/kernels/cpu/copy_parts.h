// What the two source files of the copy family share; included by them alone.
#pragma once
#include "kernels/cpu/copy.h"

namespace flambeau::kernels::FLAMBEAU_ISA {

// copy_convert.cpp: n contiguous elements, serially.
void convert_some(void* dst, DType d, const void* src, DType s, int64_t n);

namespace {

constexpr int64_t kTile = 512;  // elements of a conversion tile

// Whether the bytes of s are those of d already.
bool same_bytes(DType d, DType s) {
  return d == s || ((d == DType::UInt8 || d == DType::Int8) && is_integral(s) && item_size(s) == 1);
}

}  // namespace
}  // namespace flambeau::kernels::FLAMBEAU_ISA
