// Pointwise halves of LSTM and GRU cells.
#include "kernels/cpu/rnn.h"
#include "kernels/cpu/lanes_math.h"

namespace flambeau::kernels::FLAMBEAU_ISA {
namespace {

constexpr int64_t kStep = 5000;  // nanoseconds: the threads are awake from the product before, and wait for this

template <class T> const T* at(const void* p, int64_t offset) {
  return p ? static_cast<const T*>(p) + offset : nullptr;
}
template <class T> T* at(void* p, int64_t offset) { return p ? static_cast<T*>(p) + offset : nullptr; }

template <class T>
void lstm_cell(const void* input_gates, const void* hidden_gates, const void* bias, const void* c_prev, void* h_out,
               void* c_out, void* saved, const CellShape& s) {
  const int64_t H = s.hidden;
  parallel_for(s.batch, grain_for(H * 4, kStep), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T *x = at<T>(input_gates, r * s.input_row), *hg = at<T>(hidden_gates, r * 4 * H), *b = at<T>(bias, 0);
      const T* c0 = at<T>(c_prev, r * H);
      T *h = at<T>(h_out, r * s.output_row), *c1 = at<T>(c_out, r * H), *save = at<T>(saved, r * 4 * H);
      each_vector<T>(0, H, [&](int64_t k, auto span) FLAMBEAU_LAMBDA {
        auto gate = [&](int64_t i) FLAMBEAU_LAMBDA {
          Vec<T> v = span.load(x + i * H + k);
          if (hg) v += span.load(hg + i * H + k);
          if (b) v += span.load(b + i * H + k);
          return v;
        };
        Vec<T> in = sigmoid(gate(0)), forget = sigmoid(gate(1)), cell = tanh(gate(2)), out = sigmoid(gate(3));
        Vec<T> c = forget * span.load(c0 + k) + in * cell;
        span.store(c1 + k, c);
        span.store(h + k, out * tanh(c));
        if (!save) return;
        span.store(save + k, in);
        span.store(save + H + k, forget);
        span.store(save + 2 * H + k, cell);
        span.store(save + 3 * H + k, out);
      });
    }
  });
}

template <class T>
void lstm_cell_backward(const void* dh, const void* dh_next, const void* dc, const void* saved, const void* c_prev,
                        const void* c_out, void* dgates, void* dc_prev, const CellShape& s) {
  const int64_t H = s.hidden;
  const Vec<T> one = splat(T(1));
  parallel_for(s.batch, grain_for(H * 2, kStep), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T *gh = at<T>(dh, r * s.output_row), *gn = at<T>(dh_next, r * H), *gc = at<T>(dc, r * H);
      const T *save = at<T>(saved, r * 4 * H), *c0 = at<T>(c_prev, r * H), *c1 = at<T>(c_out, r * H);
      T *to = at<T>(dgates, r * s.input_row), *d0 = at<T>(dc_prev, r * H);
      each_vector<T>(0, H, [&](int64_t k, auto span) FLAMBEAU_LAMBDA {
        Vec<T> in = span.load(save + k), forget = span.load(save + H + k), cell = span.load(save + 2 * H + k);
        Vec<T> out = span.load(save + 3 * H + k), t = tanh(span.load(c1 + k)), g = {};
        if (gh) g = span.load(gh + k);
        if (gn) g += span.load(gn + k);
        Vec<T> d = g * out * (one - t * t);
        if (gc) d += span.load(gc + k);
        span.store(to + k, d * cell * in * (one - in));
        span.store(to + H + k, d * span.load(c0 + k) * forget * (one - forget));
        span.store(to + 2 * H + k, d * in * (one - cell * cell));
        span.store(to + 3 * H + k, g * t * out * (one - out));
        span.store(d0 + k, d * forget);
      });
    }
  });
}

template <class T>
void gru_cell(const void* input_gates, const void* hidden_gates, const void* input_bias, const void* hidden_bias,
              const void* h_prev, int64_t h_prev_row, void* h_out, void* saved, const CellShape& s) {
  const int64_t H = s.hidden;
  parallel_for(s.batch, grain_for(H * 3, kStep), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T *x = at<T>(input_gates, r * s.input_row), *hg = at<T>(hidden_gates, r * 3 * H);
      const T *bx = at<T>(input_bias, 0), *bh = at<T>(hidden_bias, 0), *h0 = at<T>(h_prev, r * h_prev_row);
      T *h = at<T>(h_out, r * s.output_row), *save = at<T>(saved, r * 4 * H);
      each_vector<T>(0, H, [&](int64_t k, auto span) FLAMBEAU_LAMBDA {
        auto from_input = [&](int64_t i) FLAMBEAU_LAMBDA {
          return bx ? span.load(x + i * H + k) + span.load(bx + i * H + k) : span.load(x + i * H + k);
        };
        auto from_hidden = [&](int64_t i) FLAMBEAU_LAMBDA {
          return bh ? span.load(hg + i * H + k) + span.load(bh + i * H + k) : span.load(hg + i * H + k);
        };
        Vec<T> reset = sigmoid(from_input(0) + from_hidden(0)), keep = sigmoid(from_input(1) + from_hidden(1));
        Vec<T> hidden = from_hidden(2), fresh = tanh(from_input(2) + reset * hidden);
        span.store(h + k, fresh + keep * (span.load(h0 + k) - fresh));
        if (!save) return;
        span.store(save + k, reset);
        span.store(save + H + k, keep);
        span.store(save + 2 * H + k, fresh);
        span.store(save + 3 * H + k, hidden);
      });
    }
  });
}

template <class T>
void gru_cell_backward(const void* dh, const void* dh_next, const void* saved, const void* h_prev, int64_t h_prev_row,
                       void* dinput_gates, void* dhidden_gates, void* dh_prev, const CellShape& s) {
  const int64_t H = s.hidden;
  const Vec<T> one = splat(T(1));
  parallel_for(s.batch, grain_for(H * 2, kStep), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T *gh = at<T>(dh, r * s.output_row), *gn = at<T>(dh_next, r * H), *save = at<T>(saved, r * 4 * H);
      const T* h0 = at<T>(h_prev, r * h_prev_row);
      T *dx = at<T>(dinput_gates, r * s.input_row), *dg = at<T>(dhidden_gates, r * 3 * H), *d0 = at<T>(dh_prev, r * H);
      each_vector<T>(0, H, [&](int64_t k, auto span) FLAMBEAU_LAMBDA {
        Vec<T> reset = span.load(save + k), keep = span.load(save + H + k), fresh = span.load(save + 2 * H + k);
        Vec<T> hidden = span.load(save + 3 * H + k), g = {};
        if (gh) g = span.load(gh + k);
        if (gn) g += span.load(gn + k);
        Vec<T> n = g * (one - keep) * (one - fresh * fresh), z = g * (span.load(h0 + k) - fresh) * keep * (one - keep);
        Vec<T> rr = n * hidden * reset * (one - reset);
        span.store(dx + k, rr);
        span.store(dx + H + k, z);
        span.store(dx + 2 * H + k, n);
        span.store(dg + k, rr);
        span.store(dg + H + k, z);
        span.store(dg + 2 * H + k, n * reset);
        span.store(d0 + k, g * keep);
      });
    }
  });
}

}  // namespace

const RnnKernels kRnnKernels = {
    FLAMBEAU_PAIR(lstm_cell),
    FLAMBEAU_PAIR(lstm_cell_backward),
    FLAMBEAU_PAIR(gru_cell),
    FLAMBEAU_PAIR(gru_cell_backward),
};

}  // namespace flambeau::kernels::FLAMBEAU_ISA
