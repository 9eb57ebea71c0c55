// Dropout's product with a mask of bytes.
#include "kernels/cpu/dropout.h"
#include "kernels/cpu/lanes.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

template <class T> void apply(const void* xv, const uint8_t* keep, void* yv, int64_t n, double scale) {
  auto x = static_cast<const T*>(xv);
  auto y = static_cast<T*>(yv);
  typedef uint8_t Bytes __attribute__((vector_size(kSpan<T>)));
  parallel_for(n, 65536, [=](int64_t begin, int64_t end) {
    each_vector<T>(begin, end, [&](int64_t i, auto span) FLAMBEAU_LAMBDA {
      Bytes bytes = {};
      if constexpr (sizeof(span) == sizeof(int))
        __builtin_memcpy(&bytes, keep + i, span.count);
      else
        __builtin_memcpy(&bytes, keep + i, sizeof bytes);
      span.store(y + i, __builtin_convertvector(bytes, VecMask<T>) != 0 ? span.load(x + i) * T(scale) : Vec<T>{});
    });
  });
}

}  // namespace

const DropoutKernels kDropoutKernels = {FLAMBEAU_PAIR(apply)};

}  // namespace flambeau::kernels::FLAMBEAU_ISA
