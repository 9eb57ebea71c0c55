// Scaled dot-product attention without the score matrix in memory. float32; other types are converted by the caller.
#pragma once
#include "base/dtype.h"
#include "kernels/cpu/isa.h"

namespace flambeau::kernels {

struct Strided {             // rows of contiguous floats, somewhere
  int64_t batch, head, row;  // strides in elements
};

struct AttentionShape {
  int64_t batch, heads, queries, keys, width, value_width;
  int64_t kv_heads;             // divides heads: query head h reads key/value head h / (heads / kv_heads)
  Strided q, k, v, out;         // out: [batch, heads, queries, value_width]
  float scale;                  // usually 1 / sqrt(width)
  bool causal = false;          // query i sees keys 0..i
  const float* mask = nullptr;  // added to the scores; -inf hides
  Strided mask_stride = {0, 0, 0};
  int64_t mask_column = 1;  // stride between keys: 1, or 0 to broadcast
};

struct AttentionKernels {
  // logsumexp: [batch, heads, queries], may be null if no backward follows. A query that sees no key gives zeros.
  void (*forward)(const AttentionShape& shape, const float* q, const float* k, const float* v, float* out,
                  float* logsumexp);
  // grad and out have shape.out's strides; dq, dk, dv those of q, k, v and are written whole.
  void (*backward)(const AttentionShape& shape, const float* q, const float* k, const float* v, const float* out,
                   const float* logsumexp, const float* grad, float* dq, float* dk, float* dv);
};
FLAMBEAU_KERNEL_TABLE(AttentionKernels)

}  // namespace flambeau::kernels
