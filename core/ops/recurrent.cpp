// Recurrent layers over time: one product of the hidden state and one fused cell per step. What each step started from
// is kept, so that the gradient of the weights is a single product over all steps.
#include <cstring>
#include "autograd/node.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/rnn.h"
#include "ops/entries.h"

namespace flambeau {

namespace {

const kernels::RnnKernels& cells() { return kernels::table<kernels::RnnKernels>(); }

// Rows of all steps: step t has sizes[t] rows from starts[t] on.
struct Steps {
  int64_t batch, hidden, gates, total, count;
  Dims sizes, starts;
  bool reverse;
  int64_t size(int64_t t) const { return sizes.empty() ? batch : sizes[int(t)]; }
  int64_t start(int64_t t) const { return sizes.empty() ? t * batch : starts[int(t)]; }
  // Step number i in the order of time, or (backward) against it.
  int64_t at(int64_t i, bool backward = false) const { return reverse != backward ? count - 1 - i : i; }
};

Steps steps_of(const char* name, Ints gates_sizes, Ints state, Ints sizes, bool reverse, int64_t multiple) {
  if (gates_sizes.size() < 2 || state.size() != 2 || gates_sizes.back() % multiple ||
      gates_sizes.back() / multiple != state[1])
    fail(ErrorKind::Runtime, name, ": expected gates (..., ", multiple, " * hidden) and a state (batch, hidden); got ",
         shape_text(gates_sizes), " and ", shape_text(state));
  Steps s{state[0], state[1], gates_sizes.back(), 0, 0, Dims(sizes), {}, reverse};
  s.total = product(gates_sizes.first(gates_sizes.size() - 1));
  int64_t rows = 0, last = s.batch;
  for (int64_t n : sizes) {
    if (n < 0 || n > last)
      fail(ErrorKind::Runtime, name, ": expected batch sizes that do not grow, at most ", s.batch, "; got ",
           shape_text(sizes));
    s.starts.push_back(rows);
    rows += last = n;
  }
  s.count = sizes.empty() ? (s.batch ? s.total / s.batch : 0) : int64_t(sizes.size());
  if (sizes.empty()) rows = s.count * s.batch;
  if (rows != s.total) fail(ErrorKind::Runtime, name, ": expected gates of ", rows, " rows; got ", s.total);
  return s;
}

void check_weights(const char* name, const Call& c, int first, int weight, const Steps& s) {
  DType dtype = c.tensor(0).dtype();
  if (dtype != DType::Float32 && dtype != DType::Float64)
    fail(ErrorKind::NotImplemented, "\"", name, "\" not implemented for '", python_name_of(dtype), "'\n", name,
         ": expected float32 or float64");
  for (int i = first; i <= weight + 1; i++)
    if (!c.args[i].none() && c.tensor(i).dtype() != dtype)
      fail(ErrorKind::Runtime, name, ": expected operands of one type; got ", describe(c.tensor(0)), " and ",
           describe(c.tensor(i)));
  Dims shape{s.gates, s.hidden}, bias{s.gates};
  if (!equal(c.tensor(weight).sizes(), shape) ||
      (!c.args[weight + 1].none() && !equal(c.tensor(weight + 1).sizes(), bias)))
    fail(ErrorKind::Runtime, name, ": expected weights ", shape_text(shape), " and a bias ", shape_text(bias), "; got ",
         describe(c.tensor(weight)));
}

// Whether the gradient may be asked for.
bool keeps(const Call& c) {
  const ThreadState& state = thread_state();
  bool wanted = state.keys;
  for (int i = 0; i < c.primitive.param_count; i++)
    if (c.args[i].is_tensor())
      wanted |= c.tensor(i)->keys || (state.grad_enabled && (c.tensor(i).requires_grad() || c.tensor(i)->is_view));
  return wanted;
}

char* at(const Tensor& t, int64_t element) { return t.data() + element * int64_t(item_size(t.dtype())); }
void* optional(const Tensor& t) { return t ? t.data() : nullptr; }

// The weight that every step multiplies by, w[n, k] transposed or w[k, n], packed once for all of them.
class StepWeight {
 public:
  StepWeight(DType dtype, const Tensor& w, bool transposed, const Steps& s) : dtype_(dtype), w_(w) {
    g_.n = w.size(transposed ? 0 : 1);
    g_.k = w.size(transposed ? 1 : 0);
    g_.b = w.data();
    g_.b_row = transposed ? 1 : g_.n;
    g_.b_col = transposed ? g_.k : 1;
    const auto& gemms = kernels::table<kernels::GemmKernels>();
    int64_t bytes = s.count > 1 ? gemms.packed_bytes(dtype, g_.k, g_.n) : 0;
    if (!bytes || w.numel() == 0) return;
    Dims room{bytes};
    packed_ = empty(room, DType::UInt8);
    gemms.pack_b(dtype, g_, packed_.data());
    g_.b_packed = packed_.data();
  }
  // c[m, n] = a[m, k] @ weight + beta * c + bias
  void multiply(int64_t m, const void* a, void* c, double beta, const void* bias = nullptr) {
    if (!m || !g_.n) return;
    g_.m = m;
    g_.a = a;
    g_.a_row = g_.k;
    g_.c = c;
    g_.c_row = g_.n;
    g_.beta = beta;
    g_.bias = bias;
    kernels::table<kernels::GemmKernels>().gemm(dtype_, g_);
  }

 private:
  DType dtype_;
  Tensor w_, packed_;
  kernels::Gemm g_;
};

// The gradient of the weights: rows of dgates against what each step started from.
Tensor weight_gradient(const Tensor& dgates, const char* before, const Steps& s) {
  Dims sizes{s.gates, s.hidden};
  Tensor dw = empty(sizes, dgates.dtype());
  kernels::Gemm g;
  g.m = s.gates;
  g.n = s.hidden;
  g.k = s.total;
  g.a = dgates.data();
  g.a_row = 1;
  g.a_col = s.gates;
  g.b = before;
  g.b_row = s.hidden;
  g.c = dw.data();
  g.c_row = s.hidden;
  kernels::table<kernels::GemmKernels>().gemm(dgates.dtype(), g);
  return dw;
}

Tensor column_sums(const Tensor& dgates, const Steps& s) {
  Dims flat{s.total, s.gates}, strides{s.gates, 1}, dims{0};
  return ops::sum(make_view(dgates, flat, strides, dgates.offset()), dims);
}

Tensor zeros(Ints sizes, DType dtype) {
  Tensor t = empty(sizes, dtype);
  uint64_t nothing[2] = {};
  fill_with(t, nothing);
  return t;
}

Tensor owned(const Tensor& t) {  // a contiguous copy
  Tensor copy = empty(t.sizes(), t.dtype());
  copy_into(copy, t);
  return copy;
}
Tensor cotangent(const Tensor& g, Ints sizes, DType dtype) { return g ? owned(g) : zeros(sizes, dtype); }

Dims output_sizes(const Tensor& gates, const Steps& s) {
  Dims sizes(gates.sizes());
  sizes[sizes.size() - 1] = s.hidden;
  return sizes;
}

// ---- the same steps as compositions ----

enum class Cell { Lstm, Gru, Tanh, Relu };

struct State {
  Tensor h, c;
};
Tensor part(const Tensor& t, int64_t i, int64_t hidden) { return ops::narrow(t, -1, i * hidden, hidden); }

State composed_step(Cell cell, const Tensor& x, const State& from, const Tensor& w, const Tensor& bias, int64_t n) {
  Tensor inner = ops::linear(from.h, w, bias);
  if (cell == Cell::Lstm) {
    Tensor gates = ops::add(x, inner);
    Tensor c = ops::add(ops::mul(ops::sigmoid(part(gates, 1, n)), from.c),
                        ops::mul(ops::sigmoid(part(gates, 0, n)), ops::tanh(part(gates, 2, n))));
    return {ops::mul(ops::sigmoid(part(gates, 3, n)), ops::tanh(c)), c};
  }
  if (cell == Cell::Gru) {
    Tensor reset = ops::sigmoid(ops::add(part(x, 0, n), part(inner, 0, n))),
           keep = ops::sigmoid(ops::add(part(x, 1, n), part(inner, 1, n)));
    Tensor fresh = ops::tanh(ops::add(part(x, 2, n), ops::mul(reset, part(inner, 2, n))));
    return {ops::add(fresh, ops::mul(keep, ops::sub(from.h, fresh))), Tensor()};
  }
  Tensor sum = ops::add(x, inner);
  return {cell == Cell::Tanh ? ops::tanh(sum) : ops::relu(sum), Tensor()};
}

Tensor joined(const std::vector<Tensor>& list) {
  std::vector<TensorBody*> bodies;
  for (const Tensor& t : list) bodies.push_back(t.get());
  return ops::cat(std::span<TensorBody* const>(bodies), 0);
}
Tensor with_rest(const Tensor& fresh, const Tensor& old,
                 int64_t rows) {  // the samples that take no part keep their state
  return !old || rows == old.size(0) ? fresh : joined({fresh, ops::narrow(old, 0, rows, old.size(0) - rows)});
}

struct Composed {
  Tensor output;
  State last;
};
Composed composed(Cell cell, const Tensor& gates, State state, const Tensor& w, const Tensor& bias, const Steps& s) {
  Dims flat{s.total, s.gates};
  Tensor rows = ops::reshape(gates, flat);
  std::vector<Tensor> outputs(static_cast<size_t>(s.count));
  for (int64_t i = 0; i < s.count; i++) {
    int64_t t = s.at(i), n = s.size(t);
    State now = state;
    if (n != s.batch) {
      now.h = ops::narrow(now.h, 0, 0, n);
      if (now.c) now.c = ops::narrow(now.c, 0, 0, n);
    }
    State next = composed_step(cell, ops::narrow(rows, 0, s.start(t), n), now, w, bias, s.hidden);
    outputs[size_t(t)] = next.h;
    state = {with_rest(next.h, state.h, n), next.c ? with_rest(next.c, state.c, n) : Tensor()};
  }
  return {ops::reshape(joined(outputs), output_sizes(gates, s)), state};
}

// Cotangents by differentiating the composition. Aliases keep the walk from running on into what made the arguments.
void differentiate(Backward& b, Cell cell, const Steps& s, int weight) {
  WithThreadState restore;
  thread_state().grad_enabled = true;
  Tensor args[8];
  std::vector<Tensor> inputs;
  std::vector<int> which;
  for (int i = 0; i <= weight + 1; i++) {
    if (b.args[i].none()) continue;
    if (b.differentiable) {
      args[i] = ops::alias(b.args[i]);
    } else {
      args[i] = detached(b.args[i].peek());
      args[i]->requires_grad = true;
    }
    if (!b.needed(i)) continue;
    inputs.push_back(args[i]);
    which.push_back(i);
  }
  bool lstm = cell == Cell::Lstm;
  Composed made = composed(cell, args[0], {args[1], lstm ? args[2] : Tensor()}, args[weight], args[weight + 1], s);
  std::vector<Tensor> roots, grads;
  const Tensor* results[] = {&made.output, &made.last.h, &made.last.c};
  for (int r = 0; r < (lstm ? 3 : 2); r++)
    if (b.grads[r]) {
      roots.push_back(*results[r]);
      grads.push_back(b.grads[r]);
    }
  if (roots.empty() || inputs.empty()) return;
  std::vector<Tensor> found =
      run_backward(roots, std::move(grads), inputs, {b.differentiable, b.differentiable, false});
  for (size_t i = 0; i < found.size(); i++) b.out[which[i]] = found[i];
}

Steps steps_of(const Backward& b, int weight, int64_t multiple) {
  return steps_of(b.primitive.name, b.shapes[0], b.shapes[1], b.args[weight + 2].as_ints(),
                  b.args[weight + 3].as_bool(), multiple);
}

bool fused(const Backward& b, int reserve, const Steps& s) {
  return !b.differentiable && b.results[reserve].numel() && s.total;
}

// g * slope of the activation at its result h, for plain layers; h is of the same shape.
template <class T> void slope(const T* g, const T* next, const T* h, T* out, int64_t n, bool relu) {
  for (int64_t i = 0; i < n; i++) {
    T d = (g ? g[i] : T(0)) + next[i];
    out[i] = relu ? (h[i] > 0 ? d : T(0)) : d * (T(1) - h[i] * h[i]);
  }
}

}  // namespace

namespace entries {

void lstm_layer(Call& c) {
  const Tensor& x = c.tensor(0);
  Steps s = steps_of("lstm_layer", x.sizes(), c.tensor(1).sizes(), c.args[5].as_ints(), c.args[6].as_bool(), 4);
  check_weights("lstm_layer", c, 1, 3, s);
  if (!equal(c.tensor(1).sizes(), c.tensor(2).sizes()))
    fail(ErrorKind::Runtime, "lstm_layer: expected states of one shape; got ", describe(c.tensor(2)));
  bool keep = keeps(c), w64 = wide(x);
  DType dtype = x.dtype();
  Tensor gates = contiguous(x), w = contiguous(c.tensor(3)),
         bias = c.args[4].none() ? Tensor() : contiguous(c.tensor(4));
  Tensor y = empty(output_sizes(x, s), dtype), h = owned(c.tensor(1)), cell = owned(c.tensor(2));
  Dims room{keep ? s.total * 7 * s.hidden : 0}, buffer{s.batch, s.gates};
  Tensor reserve = empty(room, dtype), hidden = empty(buffer, dtype);
  int64_t H = s.hidden, item = int64_t(item_size(dtype));
  StepWeight weight(dtype, w, true, s);
  for (int64_t i = 0; i < s.count; i++) {
    int64_t t = s.at(i), n = s.size(t), from = s.start(t);
    size_t bytes = size_t(n * H * item);
    if (keep) {
      std::memcpy(at(reserve, (5 * s.total + from) * H), cell.data(), bytes);
      std::memcpy(at(reserve, (6 * s.total + from) * H), h.data(), bytes);
    }
    weight.multiply(n, h.data(), hidden.data(), 0);
    cells().lstm_cell[w64](at(gates, from * s.gates), hidden.data(), optional(bias), cell.data(), at(y, from * H),
                           cell.data(), keep ? at(reserve, from * 4 * H) : nullptr, {n, H, s.gates, H});
    if (keep) std::memcpy(at(reserve, (4 * s.total + from) * H), cell.data(), bytes);
    std::memcpy(h.data(), at(y, from * H), bytes);
  }
  c.results[0] = y;
  c.results[1] = h;
  c.results[2] = cell;
  c.results[3] = reserve;
}

void gru_layer(Call& c) {
  const Tensor& x = c.tensor(0);
  Steps s = steps_of("gru_layer", x.sizes(), c.tensor(1).sizes(), c.args[4].as_ints(), c.args[5].as_bool(), 3);
  check_weights("gru_layer", c, 1, 2, s);
  bool keep = keeps(c), w64 = wide(x);
  DType dtype = x.dtype();
  Tensor gates = contiguous(x), w = contiguous(c.tensor(2)),
         bias = c.args[3].none() ? Tensor() : contiguous(c.tensor(3));
  Tensor y = empty(output_sizes(x, s), dtype), h = owned(c.tensor(1));
  Dims room{keep ? s.total * 5 * s.hidden : 0}, buffer{s.batch, s.gates};
  Tensor reserve = empty(room, dtype), hidden = empty(buffer, dtype);
  int64_t H = s.hidden, item = int64_t(item_size(dtype));
  StepWeight weight(dtype, w, true, s);
  for (int64_t i = 0; i < s.count; i++) {
    int64_t t = s.at(i), n = s.size(t), from = s.start(t);
    size_t bytes = size_t(n * H * item);
    if (keep) std::memcpy(at(reserve, (4 * s.total + from) * H), h.data(), bytes);
    weight.multiply(n, h.data(), hidden.data(), 0);
    cells().gru_cell[w64](at(gates, from * s.gates), hidden.data(), nullptr, optional(bias), h.data(), H,
                          at(y, from * H), keep ? at(reserve, from * 4 * H) : nullptr, {n, H, s.gates, H});
    std::memcpy(h.data(), at(y, from * H), bytes);
  }
  c.results[0] = y;
  c.results[1] = h;
  c.results[2] = reserve;
}

void rnn_layer(Call& c) {
  const Tensor& x = c.tensor(0);
  Steps s = steps_of("rnn_layer", x.sizes(), c.tensor(1).sizes(), c.args[4].as_ints(), c.args[5].as_bool(), 1);
  check_weights("rnn_layer", c, 1, 2, s);
  bool keep = keeps(c), relu = c.args[6].as_bool();
  DType dtype = x.dtype();
  Tensor w = contiguous(c.tensor(2)), bias = c.args[3].none() ? Tensor() : contiguous(c.tensor(3));
  Tensor y = owned(x), h = owned(c.tensor(1));
  Dims room{keep ? s.total * s.hidden : 0};
  Tensor reserve = empty(room, dtype);
  int64_t H = s.hidden, item = int64_t(item_size(dtype));
  StepWeight weight(dtype, w, true, s);
  for (int64_t i = 0; i < s.count; i++) {
    int64_t t = s.at(i), n = s.size(t), from = s.start(t);
    size_t bytes = size_t(n * H * item);
    if (keep) std::memcpy(at(reserve, from * H), h.data(), bytes);
    weight.multiply(n, h.data(), at(y, from * H), 1, optional(bias));
    Dims rows{n * H}, one{1};
    Tensor now = make_view(y, rows, one, from * H);
    if (relu)
      ops::relu_(now);
    else
      ops::tanh_(now);
    std::memcpy(h.data(), at(y, from * H), bytes);
  }
  c.results[0] = y;
  c.results[1] = h;
  c.results[2] = reserve;
}

}  // namespace entries

namespace vjps {

void lstm_layer(Backward& b) {
  if (!b.grads[0] && !b.grads[1] && !b.grads[2]) return;
  Steps s = steps_of(b, 3, 4);
  if (!fused(b, 3, s)) return differentiate(b, Cell::Lstm, s, 3);
  const Tensor& reserve = b.results[3];
  DType dtype = reserve.dtype();
  Tensor g = b.grads[0] ? contiguous(b.grads[0]) : Tensor(), w = contiguous(b.args[3].peek());
  Tensor dh = cotangent(b.grads[1], b.shapes[1], dtype), dc = cotangent(b.grads[2], b.shapes[2], dtype),
         dgates = empty(b.shapes[0], dtype);
  int64_t H = s.hidden;
  StepWeight weight(dtype, w, false, s);
  for (int64_t i = 0; i < s.count; i++) {
    int64_t t = s.at(i, true), n = s.size(t), from = s.start(t);
    cells().lstm_cell_backward[wide(w)](g ? at(g, from * H) : nullptr, dh.data(), dc.data(), at(reserve, from * 4 * H),
                                        at(reserve, (5 * s.total + from) * H), at(reserve, (4 * s.total + from) * H),
                                        at(dgates, from * s.gates), dc.data(), {n, H, s.gates, H});
    weight.multiply(n, at(dgates, from * s.gates), dh.data(), 0);
  }
  if (b.needed(3)) b.out[3] = weight_gradient(dgates, at(reserve, 6 * s.total * H), s);
  if (b.needed(4)) b.out[4] = column_sums(dgates, s);
  b.out[0] = dgates;
  b.out[1] = dh;
  b.out[2] = dc;
}

void gru_layer(Backward& b) {
  if (!b.grads[0] && !b.grads[1]) return;
  Steps s = steps_of(b, 2, 3);
  if (!fused(b, 2, s)) return differentiate(b, Cell::Gru, s, 2);
  const Tensor& reserve = b.results[2];
  DType dtype = reserve.dtype();
  Tensor g = b.grads[0] ? contiguous(b.grads[0]) : Tensor(), w = contiguous(b.args[2].peek());
  Tensor dh = cotangent(b.grads[1], b.shapes[1], dtype), dgates = empty(b.shapes[0], dtype),
         dhidden = empty(b.shapes[0], dtype);
  int64_t H = s.hidden;
  StepWeight weight(dtype, w, false, s);
  for (int64_t i = 0; i < s.count; i++) {
    int64_t t = s.at(i, true), n = s.size(t), from = s.start(t);
    cells().gru_cell_backward[wide(w)](g ? at(g, from * H) : nullptr, dh.data(), at(reserve, from * 4 * H),
                                       at(reserve, (4 * s.total + from) * H), H, at(dgates, from * s.gates),
                                       at(dhidden, from * s.gates), dh.data(), {n, H, s.gates, H});
    weight.multiply(n, at(dhidden, from * s.gates), dh.data(), 1);
  }
  if (b.needed(2)) b.out[2] = weight_gradient(dhidden, at(reserve, 4 * s.total * H), s);
  if (b.needed(3)) b.out[3] = column_sums(dhidden, s);
  b.out[0] = dgates;
  b.out[1] = dh;
}

void rnn_layer(Backward& b) {
  if (!b.grads[0] && !b.grads[1]) return;
  Steps s = steps_of(b, 2, 1);
  bool relu = b.args[6].as_bool();
  if (!fused(b, 2, s)) return differentiate(b, relu ? Cell::Relu : Cell::Tanh, s, 2);
  const Tensor &reserve = b.results[2], &y = b.results[0];
  DType dtype = reserve.dtype();
  Tensor g = b.grads[0] ? contiguous(b.grads[0]) : Tensor(), w = contiguous(b.args[2].peek());
  Tensor dh = cotangent(b.grads[1], b.shapes[1], dtype), dgates = empty(b.shapes[0], dtype);
  int64_t H = s.hidden;
  StepWeight weight(dtype, w, false, s);
  for (int64_t i = 0; i < s.count; i++) {
    int64_t t = s.at(i, true), n = s.size(t), from = s.start(t);
    auto run = [&]<class T>(const T*) {
      slope<T>(g ? g.data_as<T>() + from * H : nullptr, dh.data_as<T>(), y.data_as<T>() + from * H,
               dgates.data_as<T>() + from * H, n * H, relu);
    };
    if (wide(w))
      run(static_cast<const double*>(nullptr));
    else
      run(static_cast<const float*>(nullptr));
    weight.multiply(n, at(dgates, from * H), dh.data(), 0);
  }
  if (b.needed(2)) b.out[2] = weight_gradient(dgates, at(reserve, 0), s);
  if (b.needed(3)) b.out[3] = column_sums(dgates, s);
  b.out[0] = dgates;
  b.out[1] = dh;
}

}  // namespace vjps

}  // namespace flambeau
