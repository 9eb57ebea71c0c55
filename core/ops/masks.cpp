// Masks; counting and searching.
#include <cmath>
#include "ops/indexing.h"

namespace flambeau {

using namespace indexing;

namespace {

void check_bool(const Tensor& mask, const char* message) {
  if (!is_bool(mask.dtype())) fail(ErrorKind::Runtime, message, "\nmask: expected a bool tensor; got ", describe(mask));
}

}  // namespace

namespace entries {

void masked_select(Call& c) {
  check_given(c);
  const Tensor &t = c.tensor(0), &mask = c.tensor(1);
  check_bool(mask, "masked_select: expected BoolTensor for mask");
  Dims sizes = equal(mask.sizes(), t.sizes()) ? Dims(t.sizes()) : broadcast(mask.sizes(), t.sizes());
  Tensor from = contiguous(expanded(t, sizes)), where = contiguous(expanded(mask, sizes));
  int64_t n = where.numel(), count = kernel().count_mask(where.data_as<bool>(), n);
  Tensor& out = result(c, 0, Dims{count}, t.dtype());
  if (count) kernel().masked_select(out.data(), from.data(), where.data_as<bool>(), n, int(item_size(t.dtype())));
}

void masked_scatter(Call& c) {
  const Tensor &t = c.tensor(0), &mask = c.tensor(1), &source = c.tensor(2);
  if (!is_bool(mask.dtype()))
    fail(ErrorKind::Runtime, "masked_scatter_ only supports boolean masks, but got mask with dtype ",
         python_name_of(mask.dtype()), "\nmasked_scatter: expected a bool mask; got ", describe(mask));
  if (source.dtype() != t.dtype())
    fail(ErrorKind::Runtime, "masked_scatter: expected self and source to have same dtypes but got",
         python_name_of(t.dtype()), " and ", python_name_of(source.dtype()), "\nmasked_scatter: expected a source of ",
         name_of(t.dtype()), "; got ", describe(source));
  Dims sizes = c.in_place ? Dims(t.sizes()) : broadcast(mask.sizes(), t.sizes());
  Tensor where = contiguous(expanded(mask, sizes)), from = contiguous(source);
  int64_t count = kernel().count_mask(where.data_as<bool>(), where.numel());
  if (count > from.numel())
    fail(ErrorKind::Runtime,
         "Number of elements of source < number of ones in mask\nmasked_scatter: expected at least ", count,
         " elements; got ", from.numel());
  Tensor target;
  if (c.in_place) {
    target = changed(c);
    from = apart(target, from);
  } else {
    target = result(c, 0, sizes, t.dtype());
    copy_into(target, t);
  }
  if (!count) return;
  Tensor work = contiguous(target);
  kernel().masked_scatter(work.data(), apart(work, where).data_as<bool>(), where.numel(), from.data(),
                          int(item_size(t.dtype())));
  if (work.get() != target.get()) copy_into(target, work);
}

void nonzero(Call& c) {
  Tensor mask = contiguous(converted(c.tensor(0), DType::Bool));
  int64_t count = kernel().count_mask(mask.data_as<bool>(), mask.numel());
  Tensor& out = result(c, 0, Dims{count, mask.dim()}, DType::Int64);
  if (out.numel()) kernel().nonzero(out.data_as<int64_t>(), mask.data_as<bool>(), mask.dim(), mask.sizes().data());
}

void bincount(Call& c) {
  const Tensor& t = c.tensor(0);
  int64_t least = c.args[2].as_int();
  if (least < 0)
    fail(ErrorKind::Runtime, "minlength should be >= 0\nbincount: expected minlength from 0 on; got ", least);
  if (t.dim() == 1 && t.numel() == 0) {
    Tensor& out = result(c, 0, Dims{least}, DType::Int64);
    int64_t nothing = 0;
    fill_with(out, &nothing);
    return;
  }
  if (!is_integral(t.dtype()) || is_bool(t.dtype()))
    fail(ErrorKind::NotImplemented, "\"bincount_cpu\" not implemented for '", python_name_of(t.dtype()),
         "'\nbincount: expected integers; got ", describe(t));
  Tensor x = contiguous(converted(t, DType::Int64));
  int64_t largest = -1, smallest = 0;
  for (int64_t i = 0; i < x.numel(); i++) {
    largest = std::max(largest, x.data_as<int64_t>()[i]);
    smallest = std::min(smallest, x.data_as<int64_t>()[i]);
  }
  if (t.dim() != 1 || smallest < 0)
    fail(ErrorKind::Runtime,
         "bincount only supports 1-d non-negative integral inputs.\nbincount: expected a vector of numbers from 0 on; "
         "got ",
         describe(t), t.dim() == 1 ? " with a negative one" : "");
  int64_t bins = std::max(least, plus(largest, 1));
  if (c.args[1].none()) {
    Tensor& out = result(c, 0, Dims{bins}, DType::Int64);
    int64_t nothing = 0;
    fill_with(out, &nothing);
    kernel().bincount(out.data_as<int64_t>(), x.data_as<int64_t>(), x.numel(), bins);
    return;
  }
  const Tensor& weights = c.tensor(1);
  if (weights.dim() != 1 || weights.numel() != x.numel())
    fail(ErrorKind::Runtime, "weights should be 1-d and have the same length as input\nbincount: expected ", x.numel(),
         " weights; got ", describe(weights));
  Tensor heavy = contiguous(converted(weights, DType::Float64)), sums = zeros(Dims{bins}, DType::Float64);
  kernel().bincount_weighted(sums.data_as<double>(), x.data_as<int64_t>(), heavy.data_as<double>(), x.numel(), bins);
  DType dtype = weights.dtype() == DType::Float32 ? DType::Float32 : DType::Float64;
  Tensor& out = result(c, 0, Dims{bins}, dtype);
  copy_into(out, sums);
}

void histc(Call& c) {
  const Tensor& t = c.tensor(0);
  int64_t bins = c.args[1].as_int();
  double low = c.args[2].as_double(), high = c.args[3].as_double();
  if (!is_floating(t.dtype()))
    fail(ErrorKind::NotImplemented, "\"histogram_cpu\" not implemented for '", python_name_of(t.dtype()),
         "'\nhistc: expected a real floating type; got ", describe(t));
  if (bins <= 0)
    fail(ErrorKind::Runtime, "torch.histogram(): bins must be > 0, but got ", bins,
         " for dimension 0\nhistc: expected bins from 1 on; got ", bins);
  DType compute = t.dtype() == DType::Float64 ? DType::Float64 : DType::Float32;
  Tensor x = contiguous(converted(t, compute));
  if (low == high && x.numel()) {
    Tensor wide = converted(x, DType::Float64);
    const double* v = wide.data_as<double>();
    low = high = v[0];
    for (int64_t i = 1; i < wide.numel(); i++) {
      low = !(v[i] >= low) && low == low ? v[i] : low;
      high = !(v[i] <= high) && high == high ? v[i] : high;
    }
  }
  if (low == high) {
    low -= 1;
    high += 1;
  }
  if (!std::isfinite(low) || !std::isfinite(high))
    fail(ErrorKind::Runtime, "torch.histc: range of [", low, ", ", high,
         "] is not finite\nhistc: expected finite elements or limits");
  if (low >= high)
    fail(ErrorKind::Runtime, "torch.histc: max must be larger than min\nhistc: expected min < max; got ", low, " and ",
         high);
  Tensor counts = zeros(Dims{bins}, DType::Int64);
  kernel().histc(compute, counts.data_as<int64_t>(), x.data(), x.numel(), bins, low, high);
  copy_into(result(c, 0, Dims{bins}, t.dtype()), counts);
}

void searchsorted(Call& c) {
  const Tensor& sequence = c.tensor(0);
  bool right = c.args[3].as_bool();
  Value input = c.args[1];
  Tensor number;
  if (!input.is_tensor()) {
    number = empty(Ints(), input.kind == Kind::Int || input.kind == Kind::Bool ? DType::Int64 : DType::Float64);
    if (input.kind == Kind::Double)
      *number.data_as<double>() = input.real;
    else
      store_integer(number.data(), DType::Int64, input.as_int());
    input = Value(number);
  }
  const Tensor& values = input.peek();
  if (!c.args[4].none()) {
    std::string side(c.args[4].as_text());
    if (side != "left" && side != "right")
      fail(ErrorKind::Runtime, "torch.searchsorted(): side can only be 'left' or 'right' but got ", side,
           "\nsearchsorted: expected 'left' or 'right'; got ", side);
    if (side == "left" && right)
      fail(ErrorKind::Runtime,
           "torch.searchsorted(): side and right can't be set to opposites, got side of left while right was True\n",
           "searchsorted: expected side or right; got both");
    right = side == "right";
  }
  if (sequence.dim() == 0)
    fail(ErrorKind::Runtime,
         "torch.searchsorted(): boundaries tensor should have positive dimension, but got 0 dimension\nsearchsorted: "
         "expected sequences; got a tensor without dimensions");
  if (is_complex(sequence.dtype()) || is_complex(values.dtype()))
    fail(ErrorKind::Runtime,
         "torch.searchsorted(): complex numbers have no order\nsearchsorted: expected real tensors; got ",
         describe(sequence), " and ", describe(values));
  bool shared = sequence.dim() == 1;
  bool fits = shared || sequence.dim() == values.dim();
  for (int d = 0; fits && !shared && d + 1 < sequence.dim(); d++) fits = sequence.size(d) == values.size(d);
  if (!fits)
    fail(ErrorKind::Runtime,
         "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries "
         "tensor and "
         "input value tensor must match, but we got boundaries tensor ",
         text_of(sequence.sizes()), " and input value tensor ", text_of(values.sizes()),
         "\nsearchsorted: expected one sequence, or one for each row; got ", describe(sequence), " and ",
         describe(values));
  Tensor sorter;
  if (c.args[5].is_tensor()) {
    sorter = c.tensor(5);
    if (!equal(sorter.sizes(), sequence.sizes()))
      fail(ErrorKind::Runtime,
           "torch.searchsorted(): boundary and sorter must have the same size, but got boundary tensor ",
           text_of(sequence.sizes()), "and got sorter tensor ", text_of(sorter.sizes()));
    if (sorter.dtype() != DType::Int64)
      fail(ErrorKind::Runtime, "torch.searchsorted(): sorter must be a tensor of long dtype but got dtype ",
           python_name_of(sorter.dtype()));
    sorter = contiguous(sorter);
    int64_t n = sequence.size(sequence.dim() - 1);
    for (int64_t i = 0; i < sorter.numel(); i++)
      if (uint64_t(sorter.data_as<int64_t>()[i]) >= uint64_t(n))
        fail(ErrorKind::Index, "torch.searchsorted(): sorter index out of range");
  }
  DType common = promote_types(sequence.dtype(), values.dtype());
  if (!c.args[1].is_tensor() && is_floating(sequence.dtype())) common = sequence.dtype();
  DType compute = is_integral(common) ? DType::Int64 : common == DType::Float64 ? DType::Float64 : DType::Float32;
  Tensor keys = contiguous(converted(sequence, compute)), x = contiguous(converted(values, compute));
  bool narrow = c.args[2].as_bool();
  int64_t n = keys.size(keys.dim() - 1), m = shared || !values.dim() ? x.numel() : x.size(x.dim() - 1);
  int64_t rows = m ? x.numel() / m : 0;
  Tensor out = narrow ? empty(values.sizes(), DType::Int64) : result(c, 0, values.sizes(), DType::Int64);
  if (out.numel())
    kernel().searchsorted(compute, out.data_as<int64_t>(), keys.data(), x.data(), rows, shared ? 1 : rows, n, m, right,
                          sorter ? sorter.data_as<int64_t>() : nullptr);
  if (narrow) copy_into(result(c, 0, values.sizes(), DType::Int32), out);
}

}  // namespace entries

namespace vjps {

void masked_select(Backward& b) {
  const Tensor& mask = b.args[1].peek();
  Dims sizes = broadcast(mask.sizes(), b.shapes[0]);
  b.out[0] = reduced(b, 0, ops::masked_scatter(zeros(sizes, b.grads[0].dtype()), b.args[1], b.grads[0]));
}

void masked_scatter(Backward& b) {
  const Tensor& g = b.grads[0];
  if (b.needed(0)) b.out[0] = reduced(b, 0, ops::where(b.args[1], 0, g));
  if (!b.needed(2)) return;
  Tensor taken = ops::masked_select(g, b.args[1]);
  int64_t n = product(b.shapes[2]);
  if (taken.numel() < n) taken = ops::pad_constant(taken, Dims{0, n - taken.numel()}, 0);
  b.out[2] = ops::reshape(taken, b.shapes[2]);
}

}  // namespace vjps

}  // namespace flambeau
