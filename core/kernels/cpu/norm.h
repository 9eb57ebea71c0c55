// Normalisation: layer, RMS, group and batch norm, forward and backward. [0] float32, [1] float64.
// Weights and biases may be null; so may any output of a backward that nobody needs. Results are the same bits for any
// number of threads. Means and reciprocal deviations (rstd) are saved in the element type.
#pragma once
#include "base/dtype.h"
#include "kernels/cpu/isa.h"

namespace flambeau::kernels {

// x: [batch, channels, inner]; channels are split into groups (group norm).
struct ChannelShape {
  int64_t batch, channels, inner;
  int64_t groups = 1;
};

struct NormKernels {
  // x, y: [rows, n]; weight, bias: [n]; mean, rstd: [rows] (may be null).
  void (*layer_norm[2])(const void* x, const void* weight, const void* bias, void* y, void* mean, void* rstd,
                        int64_t rows, int64_t n, double eps);
  void (*layer_norm_backward[2])(const void* grad, const void* x, const void* weight, const void* mean,
                                 const void* rstd, void* dx, void* dweight, void* dbias, int64_t rows, int64_t n);
  void (*rms_norm[2])(const void* x, const void* weight, void* y, void* rstd, int64_t rows, int64_t n, double eps);
  void (*rms_norm_backward[2])(const void* grad, const void* x, const void* weight, const void* rstd, void* dx,
                               void* dweight, int64_t rows, int64_t n);
  // weight, bias: [channels]; mean, rstd: [batch, groups].
  void (*group_norm[2])(const void* x, const void* weight, const void* bias, void* y, void* mean, void* rstd,
                        const ChannelShape& shape, double eps);
  void (*group_norm_backward[2])(const void* grad, const void* x, const void* weight, const void* mean,
                                 const void* rstd, void* dx, void* dweight, void* dbias, const ChannelShape& shape);
  // mean, rstd: [channels], of this batch. running_mean and running_var (both or neither null) move by `momentum`
  // towards the batch's mean and its unbiased variance.
  void (*batch_norm_train[2])(const void* x, const void* weight, const void* bias, void* y, void* mean, void* rstd,
                              void* running_mean, void* running_var, const ChannelShape& shape, double eps,
                              double momentum);
  // With the running statistics; rstd [channels] is written for the backward unless null.
  void (*batch_norm_eval[2])(const void* x, const void* weight, const void* bias, const void* running_mean,
                             const void* running_var, void* y, void* rstd, const ChannelShape& shape, double eps);
  // train: mean and rstd are the batch's, and their dependence on x counts; otherwise they are constants.
  void (*batch_norm_backward[2])(const void* grad, const void* x, const void* weight, const void* mean,
                                 const void* rstd, void* dx, void* dweight, void* dbias, const ChannelShape& shape,
                                 bool train);
};
FLAMBEAU_KERNEL_TABLE(NormKernels)

}  // namespace flambeau::kernels
