// One direction of one LSTM or GRU layer over all time steps: the recurrent product and the cell, step by step, without
// a tensor in between. Plain memory in and out; the operation around it makes the input projection (one product for all
// steps) and the gradients of the input weights and biases.
#pragma once
#include "base/dtype.h"

namespace flambeau::ops {

// Everything is float32 or float64 and contiguous but the outputs: rows of `output` (and of its gradient) are
// `output_row` elements apart, so that two directions may share [steps, batch, 2 * hidden].
struct RecurrentLayer {
  DType dtype = DType::Float32;
  int64_t steps, batch, hidden;
  int64_t output_row;
  bool reverse = false;  // from the last step to the first
};

// gates [steps, batch, 4H]: the input's part with all biases, replaced by the activated gates, which the backward
// needs. w_hh [4H, H]; h0, c0 [batch, H]; output: h of every step; cells [steps, batch, H]: c of every step.
void lstm_layer(const RecurrentLayer& layer, void* gates, const void* w_hh, const void* h0, const void* c0,
                void* output, void* cells);
// doutput, dh_last, dc_last may be null. Writes dgates [steps, batch, 4H], dh0, dc0 and, unless null, dw_hh [4H, H].
void lstm_layer_backward(const RecurrentLayer& layer, const void* gates, const void* w_hh, const void* h0,
                         const void* c0, const void* output, const void* cells, const void* doutput,
                         const void* dh_last, const void* dc_last, void* dgates, void* dh0, void* dc0, void* dw_hh);

// gates [steps, batch, 3H]: the input's part with its biases. w_hh [3H, H]; b_hh [3H] or null; saved [steps, batch, 4H]
// for the backward, or null.
void gru_layer(const RecurrentLayer& layer, const void* gates, const void* w_hh, const void* b_hh, const void* h0,
               void* output, void* saved);
// Writes dgates [steps, batch, 3H] for the input's side, dhidden [steps, batch, 3H] for the recurrent side (its sum
// over steps and batch is the gradient of b_hh), dh0 and, unless null, dw_hh.
void gru_layer_backward(const RecurrentLayer& layer, const void* w_hh, const void* h0, const void* output,
                        const void* saved, const void* doutput, const void* dh_last, void* dgates, void* dhidden,
                        void* dh0, void* dw_hh);

}  // namespace flambeau::ops
