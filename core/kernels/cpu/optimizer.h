// Optimizer steps over a list of tensors in one call and one pass over memory. [0] float32, [1] float64.
#pragma once
#include "base/dtype.h"
#include "kernels/cpu/isa.h"

namespace flambeau::kernels {

struct Parameter {  // one contiguous tensor with its gradient and optimizer state
  void* value;
  const void* grad;
  void* state[3] = {nullptr, nullptr, nullptr};
  int64_t size;
  int64_t step = 1;           // number of this step, from 1
  double extra = 1;           // NAdam: the product of momentum factors before this step; the step multiplies its own in
  bool extra_single = false;  // it is kept as a float32, and rounds as one
};

struct SgdOptions {  // state: momentum buffer (null without momentum); step 1 initialises it with the gradient
  double lr, momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false, maximize = false;
};
struct AdamOptions {  // state: first moment, second moment, maximum of the second (amsgrad) or null
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool amsgrad = false, maximize = false, decoupled = false;  // decoupled: AdamW's weight decay
};
struct RmspropOptions {  // state: mean square, mean gradient (centered) or null, momentum buffer or null
  double lr = 1e-2, alpha = 0.99, eps = 1e-8, weight_decay = 0, momentum = 0;
  bool centered = false, maximize = false;
};
struct AdagradOptions {  // state: sum of squares
  double lr = 1e-2, lr_decay = 0, weight_decay = 0, eps = 1e-10;
  bool maximize = false;
};
struct AdadeltaOptions {  // state: mean square gradient, mean square update
  double lr = 1, rho = 0.9, eps = 1e-6, weight_decay = 0;
  bool maximize = false;
};
struct AdamaxOptions {  // state: first moment, infinity norm
  double lr = 2e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool maximize = false;
};
struct NadamOptions {  // state: first moment, second moment; Parameter::extra carries the momentum product
  double lr = 2e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0, momentum_decay = 4e-3;
  bool decoupled = false, maximize = false;
};
struct RadamOptions {  // state: first moment, second moment
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool decoupled = false, maximize = false;
};

struct OptimizerKernels {
  void (*sgd[2])(Parameter* list, int64_t count, const SgdOptions& options);
  void (*adam[2])(Parameter* list, int64_t count, const AdamOptions& options);
  void (*rmsprop[2])(Parameter* list, int64_t count, const RmspropOptions& options);
  void (*adagrad[2])(Parameter* list, int64_t count, const AdagradOptions& options);
  void (*adadelta[2])(Parameter* list, int64_t count, const AdadeltaOptions& options);
  void (*adamax[2])(Parameter* list, int64_t count, const AdamaxOptions& options);
  void (*nadam[2])(Parameter* list, int64_t count, const NadamOptions& options);
  void (*radam[2])(Parameter* list, int64_t count, const RadamOptions& options);
  // Over the gradients of the list (Parameter::grad, size): sum of squares in float64; multiplication in place.
  double (*sum_of_squares[2])(const Parameter* list, int64_t count);
  void (*scale_gradients[2])(const Parameter* list, int64_t count, double factor);
};
FLAMBEAU_KERNEL_TABLE(OptimizerKernels)

}  // namespace flambeau::kernels
