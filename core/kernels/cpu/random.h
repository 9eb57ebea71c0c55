// Kernels of the random fills: the engine's recurrence in bulk, and the transforms of its words.
#pragma once
#include "kernels/cpu/isa.h"

#include <cstdint>

namespace flambeau::kernels {

struct RandomKernels {
  // mt19937: the next 624 words of the recurrence in place, and the tempering of n of them.
  void (*refill)(uint32_t* state);
  void (*temper)(const uint32_t* state, uint32_t* out, int64_t n);
  // [from, to) from one word an element (float) or two, the first high (double). `out` may be `words`.
  void (*uniform_float)(const uint32_t* words, float* out, int64_t n, float from, float to);
  void (*uniform_double)(const uint32_t* words, double* out, int64_t n, double from, double to);
  // Box-Muller on blocks of 16 words: the first 8 give radii, the last 8 angles. `out` may be `words`.
  void (*normal_float)(const uint32_t* words, float* out, int64_t blocks, float mean, float std);
  // scale * log(1 - u), u from two words as in uniform_double: within 2 ulp in float64, then rounded to float
  void (*exponential_float)(const uint32_t* words, float* out, int64_t n, double scale);
  // out[i] = (53 bits of words 2i, 2i+1) < threshold
  void (*bernoulli)(const uint32_t* words, uint8_t* out, int64_t n, uint64_t threshold);
  // out[i] = mask[i] ? one : 0, for items of 2, 4 or 8 bytes
  void (*spread)(const uint8_t* mask, void* out, int64_t n, int item_size, const void* one);
  // out[i] = x[i] * (mask[i] ? scale : 0), an infinite or NaN x dropped being NaN
  void (*masked_float)(const float* x, const uint8_t* mask, float* out, int64_t n, float scale);
};
FLAMBEAU_KERNEL_TABLE(RandomKernels)

}  // namespace flambeau::kernels
