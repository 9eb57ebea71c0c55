// Softmax family: softmax and log_softmax along one axis, cross entropy fused with them, negative log likelihood.
// Every entry is a pair: [0] works on float32, [1] on float64 (`table<SoftmaxKernels>().softmax[dtype ==
// DType::Float64]`).
#pragma once
#include "base/dtype.h"
#include "kernels/cpu/isa.h"

namespace flambeau::kernels {

enum class Reduction : uint8_t { None, Mean, Sum };

// Losses over class indices. Logits (cross entropy, inner = 1) or log-probabilities (nll) are [outer, classes, inner],
// targets [outer, inner]. Rows whose target equals ignore_index count for nothing.
struct ClassLoss {
  const void* input;
  const int64_t* target;
  const void* weight = nullptr;  // [classes] or null
  int64_t outer, classes, inner = 1;
  int64_t ignore_index = -100;
  double label_smoothing = 0;  // cross entropy only
  Reduction reduction = Reduction::Mean;
};

struct SoftmaxKernels {
  // x, y: [outer, n, inner], normalised along the middle axis; y may be x.
  void (*softmax[2])(const void* x, void* y, int64_t outer, int64_t n, int64_t inner);
  void (*log_softmax[2])(const void* x, void* y, int64_t outer, int64_t n, int64_t inner);
  // y: the forward result; dx may be grad.
  void (*softmax_backward[2])(const void* grad, const void* y, void* dx, int64_t outer, int64_t n, int64_t inner);
  void (*log_softmax_backward[2])(const void* grad, const void* y, void* dx, int64_t outer, int64_t n, int64_t inner);
  void (*logsumexp[2])(const void* x, void* out, int64_t outer, int64_t n, int64_t inner);  // out: [outer, inner]

  // Writes out (a scalar, or [outer] for Reduction::None), logsumexp [outer] and total_weight (one element: the sum of
  // the weights of the counted rows). Returns -1, or the flat position of the first target outside [0, classes).
  int64_t (*cross_entropy[2])(const ClassLoss& loss, void* logsumexp, void* out, void* total_weight);
  // grad: a scalar, or [outer] for Reduction::None. dx: [outer, classes]. Targets have been checked by the forward.
  void (*cross_entropy_backward[2])(const ClassLoss& loss, const void* logsumexp, const void* total_weight,
                                    const void* grad, void* dx);
  int64_t (*nll_loss[2])(const ClassLoss& loss, void* out, void* total_weight);
  // Reads loss.input never (it may be null); dx [outer, classes, inner] is written whole.
  void (*nll_loss_backward[2])(const ClassLoss& loss, const void* total_weight, const void* grad, void* dx);
};
FLAMBEAU_KERNEL_TABLE(SoftmaxKernels)

}  // namespace flambeau::kernels
