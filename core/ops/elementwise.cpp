// Elementwise rows: compute type, result geometry, the fast path for flat operands, and the fused backward step.
#include "ops/elementwise.h"
#include <bit>
#include <cstring>
#include "dispatch/gradient.h"
#include "base/parallel.h"
#include "tensor/copy.h"

namespace flambeau::ops {

namespace {

constexpr int64_t kFlatGrain = 32768;    // elements
constexpr int64_t kLargeGrain = 262144;  // where memory is the limit: fewer breaks in what the processor reads ahead

DType loop_type(DType t) { return is_half(t) ? DType::Float32 : t; }

// Numbers that a schema names (alpha, value, threshold) take the type of the tensors.
bool is_option(const Primitive& p, int operand) { return p.params[operand].type == ParamType::Number; }

void check_option(const Primitive& p, int operand, const Value& v, DType type) {
  bool real = v.kind == Kind::Double && is_integral(type) && p.params[operand].keyword_only;
  if (!real && !(v.kind == Kind::Complex && !is_complex(type))) return;
  fail(ErrorKind::Runtime, "For ", real ? "integral" : "non-complex", " input tensors, argument ",
       p.params[operand].name, " must not be a ", real ? "floating point" : "complex", " number.\n", p.name,
       ": expected a number that ", name_of(type), " can hold; got ", describe(v));
}

// The dtype that the row computes in, from its promotion rule.
DType compute_type(const Call& c, const Elementwise& e) {
  const Primitive& p = c.primitive;
  DType first = DType::Bool;
  bool all_same = true, seen = false, real = false, complex = false;
  uint32_t options = 0;
  for (int i = 0; i < e.operands; i++) {
    const Value& v = c.args[i];
    if (e.masks >> i & 1) continue;
    if (v.is_tensor()) {
      if (!seen)
        first = v.tensor->dtype;
      else
        all_same = all_same && first == v.tensor->dtype;
      seen = true;
    } else if (v.is_number()) {
      if (is_option(p, i))
        options |= 1u << i;
      else if (v.kind == Kind::Complex)
        complex = true;
      else
        real = real || v.kind == Kind::Double;
    }
  }
  // A number lifts the tensors' type only to another category.
  if (!seen || is_bool(first) || (real && is_integral(first)) || (complex && !is_complex(first))) all_same = false;
  DType type = first;
  if (e.promote != Promote::None && !all_same) {
    Value operands[kMaxParams];
    int n = 0;
    for (int i = 0; i < e.operands; i++)
      if (!((e.masks | options) >> i & 1)) operands[n++] = c.args[i];
    type = result_type({operands, size_t(n)});
  }
  if (e.promote == Promote::Float && is_integral(type)) type = default_dtype();
  if (!p.supports(loop_type(type))) {
    if (is_bool(type) && p.supports(DType::UInt8) && e.result == ResultType::Bool) return DType::UInt8;
    fail(ErrorKind::Runtime, "\"", p.name, "\" not implemented for '", python_name_of(type), "'\n", p.name,
         ": expected another element type; got operands that compute in ", name_of(type));
  }
  for (int i = 0; options >> i; i++)
    if (options >> i & 1) check_option(p, i, c.args[i], type);
  return type;
}

DType result_dtype(const Elementwise& e, DType compute) {
  switch (e.result) {
    case ResultType::Bool: return DType::Bool;
    case ResultType::Real: return real_of(compute);
    case ResultType::Complex: return complex_of(compute);
    case ResultType::Fixed: return e.fixed;
    default: return compute;
  }
}

// A number operand as 64 bytes of the loop's type.
void splat_number(char* to, DType dtype, const Value& v) {
  if (dtype == DType::Float32) {
    typedef float Four __attribute__((vector_size(16), may_alias));
    const Four value = Four{} + float(v.as_double());
    for (int i = 0; i < 4; i++) reinterpret_cast<Four*>(to)[i] = value;
    return;
  }
  size_t size = item_size(dtype);
  if (v.kind == Kind::Int || v.kind == Kind::Bool)
    store_integer(to, dtype, v.integer);
  else
    store_number(to, dtype, v.as_complex());
  for (size_t at = size; at < 64; at += size) std::memcpy(to + at, to, size);
}

// The number most often given, by nobody's hand: the default of factors. It is made once, so that no vector is read back
// from the single elements it was just stored as.
struct Ones {
  alignas(64) char of[kDTypes][64];
  Ones() {
    for (int i = 0; i < kDTypes; i++) splat_number(of[i], DType(i), Value(1));
  }
};
const Ones ones;

// Broadcast shape of all tensor operands; `same` tells that every tensor has it already.
Ints broadcast_shape(const Call& c, const Elementwise& e, Dims& room, bool& same) {
  Ints shape;
  bool first = true;
  same = true;
  for (int i = 0; i < e.operands; i++) {
    if (!c.args[i].is_tensor()) continue;
    Ints sizes = c.tensor(i).sizes();
    if (first)
      shape = sizes;
    else if (!equal(shape, sizes)) {
      same = false;
      room = broadcast(shape, sizes);
      shape = room;
    }
    first = false;
  }
  return shape;
}

Tensor allocate_result(const Call& c, const Elementwise& e, Ints shape, DType dtype) {
  bool all_contiguous = true;
  const Tensor* model = nullptr;
  for (int i = 0; i < e.operands; i++) {
    if (!c.args[i].is_tensor()) continue;
    const Tensor& t = c.tensor(i);
    all_contiguous = all_contiguous && t.contiguous();
    if (!model && equal(t.sizes(), shape)) model = &t;
  }
  if (all_contiguous || !model || model->contiguous() || !dense(*model)) return empty(shape, dtype);
  return empty_strided(shape, model->strides(), dtype);
}

// Whole vectors may be written where padding follows. Under the address sanitizer nobody does, as otherwise the allocator
// could not tell who else writes behind a block.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kWatched = true;
#else
constexpr bool kWatched = false;
#endif

bool same_geometry(const Tensor& a, const Tensor& b) {
  return equal(a.sizes(), b.sizes()) && ((a.contiguous() && b.contiguous()) || equal(a.strides(), b.strides()));
}

// Whole-vector loop over flat memory: every tensor has the result's geometry and the loop's type, or one element.
bool run_flat(Loop loop, const Tensor* results, int result_count, const Value* inputs, int input_count,
              const DType* loop_dtypes, DType compute, bool fresh) {
  const Tensor& out = results[0];
  char* data[kMaxParams + kMaxResults];
  int64_t steps[kMaxParams + kMaxResults];
  alignas(64) char splats[8][64];
  int splat_count = 0;
  bool is_dense = out.contiguous() || dense(out);
  if (!is_dense) return false;
  int64_t lanes = 64 / int64_t(item_size(compute)), n = out.numel();
  bool whole = n % lanes == 0;
  if (kWatched && !whole) return false;
  for (int r = 0; r < result_count; r++) {
    if (!whole && !fresh && !readable_past_end(results[r].get())) return false;
    data[r] = results[r].data();
    steps[r] = 1;
  }
  // In place on part of a storage, padding belongs to a neighbour.
  if (!whole && !fresh)
    for (int r = 0; r < result_count; r++)
      if (results[r].offset() * int64_t(item_size(results[r].dtype())) + int64_t(results[r].bytes()) <
          int64_t(results[r].storage()->bytes))
        return false;
  for (int i = 0; i < input_count; i++) {
    int k = result_count + i;
    const Value& v = inputs[i];
    if (v.is_tensor()) {
      const Tensor& t = v.peek();
      if (t.numel() == n && n != 1) {
        if (t.dtype() != loop_dtypes[i] || !same_geometry(t, out)) return false;
        if (!whole && !readable_past_end(t.get())) return false;
        data[k] = t.data();
        steps[k] = 1;
        continue;
      }
      if (t.numel() != 1 || splat_count == 8) return false;
      data[k] = splats[splat_count++];
      if (t.dtype() == loop_dtypes[i]) {
        size_t size = item_size(t.dtype());
        for (size_t at = 0; at < 64; at += size) std::memcpy(data[k] + at, t.data(), size);
      } else if (is_integral(t.dtype())) {
        splat_number(data[k], loop_dtypes[i], Value(load_integer(t.data(), t.dtype())));
      } else {
        Complex128 value = load_number(t.data(), t.dtype());
        splat_number(data[k], loop_dtypes[i], Value(value));
      }
    } else {
      if (splat_count == 8) return false;
      data[k] = splats[splat_count++];
      splat_number(data[k], loop_dtypes[i], v);
    }
    steps[k] = 0;
  }
  if (n <= kFlatGrain) {
    loop(data, steps, n);
    return true;
  }
  int total = result_count + input_count;
  int64_t sizes[kMaxParams + kMaxResults];
  for (int k = 0; k < total; k++)
    sizes[k] = steps[k] ? int64_t(item_size(k < result_count ? results[k].dtype() : loop_dtypes[k - result_count])) : 0;
  // Results far larger than the cache go around it; one in the place of an operand is being read anyway.
  int64_t bytes = 0;
  bool past = true;
  for (int r = 0; r < result_count; r++) {
    bytes += n * sizes[r];
    past = past && reinterpret_cast<uintptr_t>(data[r]) % 64 == 0;
    for (int k = result_count; k < total; k++) past = past && data[k] != data[r];
  }
  past = past && bytes > int64_t(cpu_features().l3 / 2);
  if (past) steps[0] = kPastCaches;
  parallel_for(n, past ? kLargeGrain : kFlatGrain, [&](int64_t begin, int64_t end) {
    char* piece[kMaxParams + kMaxResults];
    for (int k = 0; k < total; k++) piece[k] = data[k] + begin * sizes[k];
    loop(piece, steps, end - begin);
  });
  return true;
}

void run_strided(Loop loop, const Tensor* results, int result_count, const Value* inputs, int input_count,
                 const DType* result_loop, const DType* loop_dtypes, DType compute, Ints shape) {
  Operand list[kMaxParams + kMaxResults];
  Dims strides[kMaxParams + kMaxResults];
  alignas(64) char numbers[kMaxParams][64];
  int rank = int(shape.size());
  auto place = [&](int k, const Tensor& t, DType loop_dtype) {
    int shift = rank - t.dim(), size = int(item_size(t.dtype()));
    strides[k] = Dims(rank);
    for (int d = 0; d < t.dim(); d++)
      strides[k][d + shift] = t.size(d) == shape[d + shift] && t.size(d) != 1 ? t.stride(d) * size : 0;
    list[k] = {t.data(), t.dtype(), loop_dtype, strides[k].data()};
  };
  for (int r = 0; r < result_count; r++) {
    place(r, results[r], result_loop[r]);
    for (int d = 0; d < rank; d++)
      if (shape[d] == 1) strides[r][d] = int64_t(item_size(results[r].dtype()));
  }
  for (int i = 0; i < input_count; i++) {
    int k = result_count + i;
    if (inputs[i].is_tensor()) {
      place(k, inputs[i].peek(), loop_dtypes[i]);
    } else {
      splat_number(numbers[i], loop_dtypes[i], inputs[i]);
      strides[k] = Dims(rank);
      list[k] = {numbers[i], loop_dtypes[i], loop_dtypes[i], strides[k].data()};
    }
  }
  iterate(loop, result_count, result_count + input_count, list, shape, compute);
}

void check_divisors(const Primitive& p, const Value& divisor) {
  bool zero = false;
  if (divisor.is_tensor()) {
    Tensor t = contiguous(divisor.as_tensor());
    size_t size = item_size(t.dtype());
    for (int64_t i = 0; i < t.numel() && !zero; i++) zero = load_integer(t.data() + size_t(i) * size, t.dtype()) == 0;
  } else {
    zero = divisor.as_double() == 0;
  }
  if (zero) fail(ErrorKind::Runtime, "ZeroDivisionError\n", p.name, ": expected integer divisors other than zero");
}

}  // namespace

// The usual call: whole contiguous tensors of one type and shape, numbers that do not change the type, a result that is
// fresh or the first operand itself.
[[gnu::noinline]] static bool run_plain(Call& c, const Elementwise& e) {
  constexpr int kMost = 6;
  const int lead = std::countr_one(uint32_t(e.masks));  // the first operand that is no mask
  if (lead >= e.operands || e.operands > kMost || !c.args[lead].is_tensor()) return false;
  const TensorBody* first = c.args[lead].tensor;
  const DType dtype = first->dtype;
  const bool whole_numbers = dtype < DType::Float32;
  if (!(e.plain >> int(dtype) & 1) || first->numel > kFlatGrain) return false;
  if (kWatched && size_t(first->numel) * item_size(dtype) % kAlignment) return false;
  if (c.given) {
    const size_t bytes = size_t(first->numel) * item_size(dtype);
    const bool alone = bytes % kAlignment == 0 || first->storage->bytes == bytes;  // no neighbour in the last vector
    if (!c.in_place || lead || c.results[0].get() != first || e.result == ResultType::Bool || !alone) return false;
  }
  char* data[kMost + 1];
  int64_t steps[kMost + 1];
  alignas(64) char splats[kMost][64];
  steps[0] = 1;
  for (int i = 0; i < e.operands; i++) {
    const Value& v = c.args[i];
    const DType expected = e.masks >> i & 1 ? DType::Bool : dtype;
    if (v.is_tensor()) {
      const TensorBody* t = v.tensor;
      if (t->dtype != expected || !t->contiguous || t->dim != first->dim || t->data != t->storage->data ||
          !t->storage->owned())
        return false;
      for (int d = 0; d < t->dim; d++)
        if (t->sizes[d] != first->sizes[d]) return false;
      data[i + 1] = t->data;
      steps[i + 1] = 1;
    } else {
      const bool keeps_type = v.kind == Kind::Int || v.kind == Kind::Bool || (v.kind == Kind::Double && !whole_numbers);
      if (!keeps_type || expected != dtype) return false;
      if (v.kind == Kind::Int && v.integer == 1) {
        data[i + 1] = const_cast<char*>(ones.of[int(dtype)]);
      } else {
        splat_number(splats[i], dtype, v);
        data[i + 1] = splats[i];
      }
      steps[i + 1] = 0;
    }
  }
  if (!c.given)
    c.results[0] = empty(Ints(first->sizes, first->dim), e.result == ResultType::Bool ? DType::Bool : dtype);
  if (!first->numel) return true;
  data[0] = c.results[0].data();
  e.loops->forward[int(dtype)](data, steps, first->numel);
  return true;
}

void run_elementwise(Call& c) {
  const Primitive& p = c.primitive;
  const Elementwise& e = p.elementwise;
  if (run_plain(c, e)) return;
  DType compute = compute_type(c, e), inner = loop_type(compute);
  DType out_dtype = result_dtype(e, compute);
  DType out_loop = is_half(out_dtype) ? DType::Float32 : out_dtype;
  DType loop_dtypes[kMaxParams];
  for (int i = 0; i < e.operands; i++)
    loop_dtypes[i] = e.masks >> i & 1 ? DType::Bool : e.reals >> i & 1 ? real_of(inner) : inner;
  Loop loop = e.loops->forward[int(inner)];
  if (e.divides && is_integral(compute)) check_divisors(p, c.args[1]);

  Dims room;
  bool same;
  Ints shape = broadcast_shape(c, e, room, same);
  bool fresh = true;
  if (c.given) {
    Tensor& target = c.results[0];
    bool fits = equal(target.sizes(), shape) && can_cast(out_dtype, target.dtype()) && !may_self_overlap(target);
    for (int i = 0; fits && i < e.operands; i++)
      fits = !(c.args[i].is_tensor() && partial_overlap(target, c.tensor(i)));
    if (c.in_place && may_self_overlap(target))
      fail(ErrorKind::Runtime,
           "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
           "Please clone() the tensor before performing the operation.");
    if (fits)
      fresh = false;
    else
      c.stash[0] = std::move(target);
  }
  if (fresh) c.results[0] = allocate_result(c, e, shape, out_dtype);
  const Tensor& out = c.results[0];
  if (!out.numel()) return;
  if (out.dtype() == out_loop && run_flat(loop, &out, 1, c.args, e.operands, loop_dtypes, inner, fresh)) return;
  run_strided(loop, &out, 1, c.args, e.operands, &out_loop, loop_dtypes, inner, shape);
}

Tensor sum_to(const Tensor& g, Ints sizes);  // ops/reduce.cpp

// The cotangents of all operands in one pass, then summed over broadcast dimensions.
void fused_elementwise_vjp(Backward& b) {
  const Elementwise& e = b.primitive.elementwise;
  const Tensor& g = b.grads[0];
  // Operands of the loop: g, then what it saved; bit e.operands of `saved` stands for the result.
  Value inputs[kMaxParams + 2];
  int from[kMaxParams + 2], count = 1;
  DType compute = real_of(g.dtype());
  inputs[0] = Value(g);
  auto widen = [&](const Value& v) {
    if (v.is_tensor()) compute = promote_types(compute, v.tensor->dtype);
  };
  for (int i = 0; i <= e.operands; i++) {
    if (!(e.loops->saved >> i & 1)) continue;
    from[count] = i;
    inputs[count] = i == e.operands ? Value(b.results[0]) : b.args[i];
    if (i == e.operands ? e.result != ResultType::Complex : !(e.masks >> i & 1)) widen(inputs[count]);
    count++;
  }
  if (e.result != ResultType::Complex) widen(inputs[0]);
  if (e.result == ResultType::Real)  // a real cotangent may stand for complex operands of which nothing was saved
    for (int i = 0; i < e.operands; i++)
      if (b.needed(i)) compute = promote_types(compute, b.dtypes[i]);
  DType inner = loop_type(compute);
  DType loop_dtypes[kMaxParams + 2], result_loop[kMaxParams];
  auto result_type_in_loop = e.result == ResultType::Real      ? real_of(inner)
                             : e.result == ResultType::Complex ? complex_of(inner)
                                                               : inner;
  loop_dtypes[0] = result_type_in_loop;
  for (int i = 1; i < count; i++)
    loop_dtypes[i] = from[i] == e.operands    ? result_type_in_loop
                     : e.masks >> from[i] & 1 ? DType::Bool
                     : e.reals >> from[i] & 1 ? real_of(inner)
                                              : inner;
  // A real cotangent of a complex operand that was not saved does not tell the type that the loop computes in.
  if (!e.loops->backward[int(inner)]) return b.primitive.vjp(b);
  int outputs[kMaxParams], output_count = 0;
  for (int i = 0; i < e.operands; i++)
    if (e.loops->cotangents >> i & 1)
      outputs[output_count++] = i;
    else if (b.needed(i))
      no_derivative(b, i);
  Tensor results[kMaxParams];
  for (int r = 0; r < output_count; r++) {
    results[r] =
        g.contiguous() || !dense(g) ? empty(g.sizes(), compute) : empty_strided(g.sizes(), g.strides(), compute);
    result_loop[r] = inner;
  }
  Loop loop = e.loops->backward[int(inner)];
  if (g.numel()) {
    if (is_half(compute) || !run_flat(loop, results, output_count, inputs, count, loop_dtypes, inner, true))
      run_strided(loop, results, output_count, inputs, count, result_loop, loop_dtypes, inner, g.sizes());
  }
  for (int r = 0; r < output_count; r++)
    if (b.needed(outputs[r]))
      b.out[outputs[r]] = converted(sum_to(results[r], b.shapes[outputs[r]]), b.dtypes[outputs[r]]);
}

}  // namespace flambeau::ops
