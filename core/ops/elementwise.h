// Driver of elementwise rows: promotion, broadcasting, allocation, and the loops over vectors and tiles.
#pragma once
#include "dispatch/door.h"

namespace flambeau::ops {

void run_elementwise(Call& c);
void fused_elementwise_vjp(Backward& b);

// What the driver loops over. Operand 0.. are results, then inputs; `loop_dtypes` is what the loop sees.
struct Operand {
  char* data;
  DType dtype;             // in memory
  DType loop_dtype;        // in the loop
  const int64_t* strides;  // bytes, one per dimension of the iteration
};
void iterate(Loop loop, int results, int operands, Operand* list, Ints sizes, DType compute);

}  // namespace flambeau::ops
