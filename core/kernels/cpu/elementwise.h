// The inner loops of elementwise rows: their contract, and where to find them. The loops themselves are generated.
//
// A loop works on vectors of one compute type T. data[0..results) are results, then come the operands in schema order,
// numbers included. steps[i] is 1 (the operand advances) or 0 (splatted: its pointer holds 64 bytes filled with the
// value); results advance always, and where steps[0] is kPastCaches they are aligned to 64 bytes and written past the
// caches. The loop handles n elements in blocks of 64 bytes of T, and reads and writes the last
// block whole: the caller guarantees the room. Strides, promotion, half types and tails are the caller's, through tiles.
//
// Every operand has type T, with these exceptions: operands declared `mask` and results of result="bool" rows are bytes
// 0 and 1; the result of result="real" rows is the real type of T, of result="complex" rows the complex type of T.
#pragma once
#include "base/dtype.h"
#include <string_view>

namespace flambeau {

using Loop = void (*)(char* const* data, const int64_t* steps, int64_t n);
inline constexpr int64_t kPastCaches = 2;

// One row's loops for the instruction set of this process, by compute type; null where the row is not defined for it.
// float16 and bfloat16 are always null: they compute in float32.
struct ElementwiseLoops {
  const char* name;
  Loop forward[kDTypes];
  // Results: the cotangents of the operands in `cotangents`. Operands: g, then the saved ones. Floats and complex only.
  Loop backward[kDTypes];
  uint16_t saved;       // bit i: backward reads operand i of the schema; bit `operands`: it reads the result
  uint16_t cotangents;  // bit i: backward writes the cotangent of operand i of the schema
  uint8_t operands;     // tensors and numbers
};

const ElementwiseLoops* elementwise_loops(std::string_view row);  // null where there is no such row

}  // namespace flambeau
