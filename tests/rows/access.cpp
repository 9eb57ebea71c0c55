// C entry points for harness.py and reductions.py: the loops and kernels of this process by name.
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/reduction.h"

#define EXPORT extern "C" __attribute__((visibility("default")))
using namespace flambeau;

EXPORT void* row_loop(const char* name, int dtype, int backward) {
  const ElementwiseLoops* loops = elementwise_loops(name);
  return loops ? reinterpret_cast<void*>(backward ? loops->backward[dtype] : loops->forward[dtype]) : nullptr;
}
EXPORT int row_info(const char* name) {
  const ElementwiseLoops* loops = elementwise_loops(name);
  return loops ? loops->saved << 16 | loops->cotangents : -1;
}
EXPORT void* reduce_of(const char* name, int dtype, int* result) {
  const ReduceKernels* kernels = reduce_kernels(name);
  if (!kernels) return nullptr;
  *result = int(kernels->result[dtype]);
  return reinterpret_cast<void*>(kernels->kernel[dtype]);
}
EXPORT void* position_of(int dtype) {
  return reinterpret_cast<void*>(kernels::table<kernels::PositionKernels>().find[dtype]);
}
