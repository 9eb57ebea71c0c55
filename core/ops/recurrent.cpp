// Time steps of recurrent layers over the gemm and cell kernels.
#include "ops/recurrent.h"
#include <cstring>
#include "base/allocator.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/rnn.h"

namespace flambeau::ops {
namespace {

using kernels::Gemm;

// Addresses into the layer's arrays, and its products.
struct Walk {
  explicit Walk(const RecurrentLayer& l, int64_t gates)
      : l(l), width(gates * l.hidden), item(int64_t(item_size(l.dtype))), index(l.dtype == DType::Float64) {}

  int64_t step(int64_t i) const { return l.reverse ? l.steps - 1 - i : i; }  // the i-th step in the order of time
  const char* at(const void* p, int64_t elements) const {
    return p ? static_cast<const char*>(p) + elements * item : nullptr;
  }
  char* at(void* p, int64_t elements) const { return p ? static_cast<char*>(p) + elements * item : nullptr; }
  template <class P>
  auto gates(P* p, int64_t t, int64_t row) const {
    return at(p, t * l.batch * row);
  }
  template <class P>
  auto output(P* p, int64_t t) const {
    return at(p, t * l.batch * l.output_row);
  }
  template <class P>
  auto state(P* p, int64_t t) const {
    return at(p, t * l.batch * l.hidden);
  }
  // h before step i, and the distance of its rows
  const char* before(const void* h0, const void* out, int64_t i) const {
    return i == 0 ? at(h0, 0) : output(out, step(i - 1));
  }
  int64_t before_row(int64_t i) const { return i == 0 ? l.hidden : l.output_row; }

  void multiply(const Gemm& g) const { kernels::table<kernels::GemmKernels>().gemm(l.dtype, g); }

  // Rows of the transposed weight stand off powers of two, whose multiples would share a few cache sets.
  int64_t padded() const { return width + 16; }
  // gates (+)= h @ w_t, where w_t [H, width] is the transposed weight
  void forward(const void* h, int64_t h_row, const void* w_t, void* gates, bool add) const {
    Gemm g;
    g.m = l.batch, g.n = width, g.k = l.hidden;
    g.a = h, g.a_row = h_row;
    g.b = w_t, g.b_row = padded();
    g.c = gates, g.c_row = width;
    g.beta = add;
    multiply(g);
  }
  // dh (+)= dgates @ w
  void backward(const void* dgates, const void* w, void* dh, bool add) const {
    Gemm g;
    g.m = l.batch, g.n = l.hidden, g.k = width;
    g.a = dgates, g.a_row = width;
    g.b = w, g.b_row = l.hidden;
    g.c = dh, g.c_row = l.hidden;
    g.beta = add;
    multiply(g);
  }
  // dw = sum over steps of dgates^T @ h before the step: the first step with h0, all others in one product
  void weights(const void* dgates, const void* h0, const void* out, void* dw) const {
    if (!dw) return;
    Gemm g;
    g.m = width, g.n = l.hidden, g.k = l.batch;
    g.a_row = 1, g.a_col = width;
    g.c = dw, g.c_row = l.hidden;
    g.a = gates(dgates, step(0), width);
    g.b = h0, g.b_row = l.hidden;
    multiply(g);
    if (l.steps == 1) return;
    g.k = (l.steps - 1) * l.batch;
    g.a = gates(dgates, l.reverse ? 0 : 1, width);
    g.b = output(out, l.reverse ? 1 : 0);
    g.b_row = l.output_row;
    g.beta = 1;
    multiply(g);
  }

  const RecurrentLayer& l;
  int64_t width, item;
  int index;
};

struct Block {
  explicit Block(int64_t bytes) : bytes(size_t(bytes)), data(allocate(size_t(bytes))) {}
  ~Block() { deallocate(data, bytes); }
  Block(const Block&) = delete;
  size_t bytes;
  void* data;
};

// Every step multiplies by the same weight: transposed once, its rows are read in order.
template <class T>
void transpose(const T* w, T* to, int64_t rows, int64_t columns, int64_t stride) {
  constexpr int64_t kTile = 16;
  for (int64_t r = 0; r < rows; r += kTile)
    for (int64_t c = 0; c < columns; c += kTile)
      for (int64_t i = r; i < rows && i < r + kTile; ++i)
        for (int64_t j = c; j < columns && j < c + kTile; ++j) to[j * stride + i] = w[i * columns + j];
}
void transpose_weight(const Walk& w, const void* from, void* to) {
  if (w.index)
    transpose(static_cast<const double*>(from), static_cast<double*>(to), w.width, w.l.hidden, w.padded());
  else
    transpose(static_cast<const float*>(from), static_cast<float*>(to), w.width, w.l.hidden, w.padded());
}

const kernels::RnnKernels& cells_of() { return kernels::table<kernels::RnnKernels>(); }

}  // namespace

void lstm_layer(const RecurrentLayer& l, void* gates, const void* w_hh, const void* h0, const void* c0, void* output,
                void* cells) {
  Walk w(l, 4);
  Block w_t(w.padded() * l.hidden * w.item);
  transpose_weight(w, w_hh, w_t.data);
  for (int64_t i = 0; i < l.steps; ++i) {
    int64_t t = w.step(i);
    void* now = w.gates(gates, t, w.width);
    w.forward(w.before(h0, output, i), w.before_row(i), w_t.data, now, true);
    const void* c = i == 0 ? c0 : w.state(cells, w.step(i - 1));
    cells_of().lstm_cell[w.index](now, nullptr, nullptr, c, w.output(output, t), w.state(cells, t), now,
                                  {l.batch, l.hidden, w.width, l.output_row});
  }
}

void lstm_layer_backward(const RecurrentLayer& l, const void* gates, const void* w_hh, const void* h0, const void* c0,
                         const void* output, const void* cells, const void* doutput, const void* dh_last,
                         const void* dc_last, void* dgates, void* dh0, void* dc0, void* dw_hh) {
  Walk w(l, 4);
  for (int64_t i = l.steps - 1; i >= 0; --i) {
    int64_t t = w.step(i);
    bool last = i == l.steps - 1;
    void* now = w.gates(dgates, t, w.width);
    cells_of().lstm_cell_backward[w.index](w.output(doutput, t), last ? dh_last : dh0, last ? dc_last : dc0,
                                           w.gates(gates, t, w.width), i == 0 ? c0 : w.state(cells, w.step(i - 1)),
                                           w.state(cells, t), now, dc0, {l.batch, l.hidden, w.width, l.output_row});
    w.backward(now, w_hh, dh0, false);
  }
  w.weights(dgates, h0, output, dw_hh);
}

void gru_layer(const RecurrentLayer& l, const void* gates, const void* w_hh, const void* b_hh, const void* h0,
               void* output, void* saved) {
  Walk w(l, 3);
  Block w_t(w.padded() * l.hidden * w.item), hidden(l.batch * w.width * w.item);
  transpose_weight(w, w_hh, w_t.data);
  for (int64_t i = 0; i < l.steps; ++i) {
    int64_t t = w.step(i);
    const void* h = w.before(h0, output, i);
    w.forward(h, w.before_row(i), w_t.data, hidden.data, false);
    cells_of().gru_cell[w.index](w.gates(gates, t, w.width), hidden.data, nullptr, b_hh, h, w.before_row(i),
                                 w.output(output, t), w.gates(saved, t, 4 * l.hidden),
                                 {l.batch, l.hidden, w.width, l.output_row});
  }
}

void gru_layer_backward(const RecurrentLayer& l, const void* w_hh, const void* h0, const void* output,
                        const void* saved, const void* doutput, const void* dh_last, void* dgates, void* dhidden,
                        void* dh0, void* dw_hh) {
  Walk w(l, 3);
  for (int64_t i = l.steps - 1; i >= 0; --i) {
    int64_t t = w.step(i);
    void* now = w.gates(dhidden, t, w.width);
    cells_of().gru_cell_backward[w.index](w.output(doutput, t), i == l.steps - 1 ? dh_last : dh0,
                                          w.gates(saved, t, 4 * l.hidden), w.before(h0, output, i), w.before_row(i),
                                          w.gates(dgates, t, w.width), now, dh0,
                                          {l.batch, l.hidden, w.width, l.output_row});
    w.backward(now, w_hh, dh0, true);
  }
  w.weights(dhidden, h0, output, dw_hh);
}

}  // namespace flambeau::ops
