// The pointwise halves of recurrent cells, fused. [0] float32, [1] float64. Gate order is PyTorch's: LSTM i, f, g, o;
// GRU r, z, n. H is the hidden size.
#pragma once
#include "base/dtype.h"
#include "kernels/cpu/isa.h"

namespace flambeau::kernels {

struct CellShape {
  int64_t batch, hidden;
  int64_t input_row;   // elements between rows of input_gates (a slice of all time steps may be given)
  int64_t output_row;  // elements between rows of h_out and of the gradient that comes in for it
};

struct RnnKernels {
  // gates = input_gates + hidden_gates (+ bias [4H] unless null); saved [batch, 4H]: the activated gates (null: not
  // saved). c_prev, c_out: [batch, H] contiguous. hidden_gates may be null.
  void (*lstm_cell[2])(const void* input_gates, const void* hidden_gates, const void* bias, const void* c_prev,
                       void* h_out, void* c_out, void* saved, const CellShape& shape);
  // dh (rows output_row apart) plus dh_next ([batch, H] contiguous, may be null); dc: gradient of c_out (may be null).
  // Writes dgates (rows input_row apart, 4H each) and dc_prev (may be dc).
  void (*lstm_cell_backward[2])(const void* dh, const void* dh_next, const void* dc, const void* saved,
                                const void* c_prev, const void* c_out, void* dgates, void* dc_prev,
                                const CellShape& shape);
  // n = tanh(input n-gate + r * hidden n-gate), so both sides' biases must already be in the gates, or be given here
  // ([3H] each, may be null). saved [batch, 4H]: r, z, n and the hidden n-gate. h_prev: [batch, H] rows h_prev_row
  // apart.
  void (*gru_cell[2])(const void* input_gates, const void* hidden_gates, const void* input_bias,
                      const void* hidden_bias, const void* h_prev, int64_t h_prev_row, void* h_out, void* saved,
                      const CellShape& shape);
  // Writes dinput_gates (rows input_row apart, 3H each), dhidden_gates [batch, 3H] and dh_prev [batch, H]: the part of
  // the gradient that does not pass through the hidden gates.
  void (*gru_cell_backward[2])(const void* dh, const void* dh_next, const void* saved, const void* h_prev,
                               int64_t h_prev_row, void* dinput_gates, void* dhidden_gates, void* dh_prev,
                               const CellShape& shape);
};
FLAMBEAU_KERNEL_TABLE(RnnKernels)

}  // namespace flambeau::kernels
