// Views: sizes, strides and offset of results that share their input's memory.
#include "ops/entries.h"

namespace flambeau {

DimSet dim_set(const Value& dims, int rank) {
  if (rank > kMaxDims)
    fail(ErrorKind::Runtime, "only tensors with up to ", kMaxDims,
         " dims are supported\nexpected fewer dimensions; got ", rank);
  DimSet set;
  if (dims.none() || (dims.kind == Kind::Ints && dims.count == 0)) {
    set.add_all(rank);
    return set;
  }
  for (int64_t d : dims.as_ints()) {
    int dim = wrap_dim(d, rank);
    if (set.has(dim)) fail(ErrorKind::Runtime, "dim ", dim, " appears multiple times in the list of dims");
    set.add(dim);
  }
  return set;
}

Dims without(Ints sizes, const DimSet& dims, bool keep) {
  Dims kept;
  for (int i = 0; i < int(sizes.size()); i++) {
    if (!dims.has(i))
      kept.push_back(sizes[i]);
    else if (keep)
      kept.push_back(1);
  }
  return kept;
}

Dims inferred_size(Ints size, int64_t numel) {
  Dims result(size);
  int64_t known = 1;
  int unknown = -1;
  bool fits = true, none = false;
  for (int i = 0; i < result.size(); i++) {
    if (result[i] == -1) {
      if (unknown >= 0) fail(ErrorKind::Runtime, "only one dimension can be inferred");
      unknown = i;
    } else if (result[i] < 0) {
      fail(ErrorKind::Runtime, "invalid shape dimension ", result[i], " at index ", i, " of shape ", text_of(size));
    } else {
      fits = !__builtin_mul_overflow(known, result[i], &known) && fits;
      none = none || result[i] == 0;
    }
  }
  if (none)
    known = 0;
  else if (!fits)
    known = -1;  // more than any tensor has
  if (unknown >= 0 && known == 0)
    fail(ErrorKind::Runtime, "cannot reshape tensor of 0 elements into shape ", text_of(size),
         " because the unspecified dimension size -1 can be any value and is ambiguous");
  if (unknown >= 0 && known > 0 && numel % known == 0)
    result[unknown] = numel / known;
  else if (unknown >= 0 || known != numel)
    fail(ErrorKind::Runtime, "shape '", text_of(size), "' is invalid for input of size ", numel);
  return result;
}

bool view_strides(const Tensor& t, Ints size, Dims& strides) {
  strides = Dims(int(size.size()));
  if (t.numel() == 0 || t.contiguous()) {
    if (t.numel() == 0 && equal(t.sizes(), size))
      strides = Dims(t.strides());
    else
      strides = contiguous_strides(size);
    return true;
  }
  // Runs of the input's dimensions that lie one behind the other, matched from the innermost outwards.
  int at = int(size.size()) - 1;
  int64_t step = t.stride(t.dim() - 1), input_run = 1, view_run = 1;
  for (int d = t.dim() - 1; d >= 0; d--) {
    input_run *= t.size(d);
    bool run_ends = d == 0 || (t.size(d - 1) != 1 && t.stride(d - 1) != input_run * step);
    if (!run_ends) continue;
    while (at >= 0 && (view_run < input_run || size[size_t(at)] == 1)) {
      strides[at] = view_run * step;
      view_run *= size[size_t(at)];
      at--;
    }
    if (view_run != input_run) return false;
    if (d > 0) {
      step = t.stride(d - 1);
      input_run = view_run = 1;
    }
  }
  return at == -1;
}

Split3 split_at(Ints sizes, int dim) {
  Split3 s{1, sizes.empty() ? 1 : sizes[size_t(dim)], 1};
  for (int i = 0; i < int(sizes.size()); i++) {
    if (i < dim) s.outer *= sizes[size_t(i)];
    if (i > dim) s.inner *= sizes[size_t(i)];
  }
  return s;
}

namespace {

int dim_of(const Call& c, int arg) { return wrap_dim(c.args[arg].as_int(), c.tensor(0).dim()); }

void give(Call& c, Ints sizes, Ints strides, int64_t extra_offset = 0) {
  const Tensor& t = c.tensor(0);
  c.results[0] = make_view(t, sizes, strides, t.offset() + extra_offset);
}

Dims permutation(const Call& c) {
  int rank = c.tensor(0).dim();
  Ints dims = c.args[1].as_ints();
  if (int(dims.size()) != rank)
    fail(ErrorKind::Runtime,
         "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired "
         "ordering of dimensions i.e. input.dim() = ",
         rank, " is not equal to len(dims) = ", dims.size());
  Dims order;
  bool seen[kMaxDims] = {};
  for (int64_t d : dims) {
    int dim = wrap_dim(d, rank);
    if (seen[dim]) fail(ErrorKind::Runtime, "permute(): duplicate dims are not allowed.");
    seen[dim] = true;
    order.push_back(dim);
  }
  return order;
}

void exchange(Call& c, int a, int b) {
  Dims sizes(c.tensor(0).sizes()), strides(c.tensor(0).strides());
  if (sizes.size()) {
    std::swap(sizes[a], sizes[b]);
    std::swap(strides[a], strides[b]);
  }
  give(c, sizes, strides);
}

void check_in_storage(const Tensor& t, Ints sizes, Ints strides, int64_t offset) {
  int64_t last = offset;
  bool none = false;
  for (size_t i = 0; i < sizes.size(); i++) {
    if (sizes[i] < 0) fail(ErrorKind::Runtime, "as_strided: Negative sizes are not supported");
    if (strides[i] < 0)
      fail(ErrorKind::Runtime,
           "as_strided: Negative strides are not supported at the moment, got strides: ", text_of(strides));
    none = none || sizes[i] == 0;
  }
  if (none) return;
  for (size_t i = 0; i < sizes.size(); i++) last = plus(last, times(sizes[i] - 1, strides[i]));
  int64_t item = int64_t(item_size(t.dtype()));
  if (times(plus(last, 1), item) > int64_t(t.storage()->bytes))
    fail(ErrorKind::Runtime, "setStorage: sizes ", text_of(sizes), ", strides ", text_of(strides), ", storage offset ",
         offset, ", and itemsize ", item, " requiring a storage size of ", (last + 1) * item,
         " are out of bounds for storage of size ", t.storage()->bytes);
}

}  // namespace

namespace entries {

void view_as_shape(Call& c) {
  const Tensor& t = c.tensor(0);
  Dims size = inferred_size(c.args[1].as_ints(), t.numel()), strides;
  if (!view_strides(t, size, strides))
    fail(ErrorKind::Runtime,
         "view size is not compatible with input tensor's size and stride (at least one dimension spans "
         "across two contiguous subspaces). Use .reshape(...) instead.\nview: expected strides that allow shape ",
         shape_text(size), "; got ", describe(t), " with strides ", text_of(t.strides()));
  give(c, size, strides);
}

void expand(Call& c) {
  const Tensor& t = c.tensor(0);
  Dims size(c.args[1].as_ints());
  int shift = size.size() - t.dim();
  if (shift < 0)
    fail(ErrorKind::Runtime, "expand(", describe(t), ", size=", text_of(size), "): the number of sizes provided (",
         size.size(), ") must be greater or equal to the number of dimensions in the tensor (", t.dim(), ")");
  for (int i = 0; i < size.size(); i++) {
    if (size[i] != -1) {
      if (size[i] < 0) fail(ErrorKind::Runtime, "expand: sizes must be -1 or not negative, got ", text_of(size));
      continue;
    }
    if (i < shift)
      fail(ErrorKind::Runtime,
           "The expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension ", i);
    size[i] = t.size(i - shift);
  }
  Tensor view = expanded(t, size);
  give(c, view.sizes(), view.strides());
}

void permute(Call& c) {
  const Tensor& t = c.tensor(0);
  Dims order = permutation(c), sizes(t.dim()), strides(t.dim());
  for (int i = 0; i < t.dim(); i++) {
    sizes[i] = t.size(int(order[i]));
    strides[i] = t.stride(int(order[i]));
  }
  give(c, sizes, strides);
}

void unpermute(Call& c) {
  const Tensor& t = c.tensor(0);
  Dims order = permutation(c), sizes(t.dim()), strides(t.dim());
  for (int i = 0; i < t.dim(); i++) {
    sizes[int(order[i])] = t.size(i);
    strides[int(order[i])] = t.stride(i);
  }
  give(c, sizes, strides);
}

void transpose(Call& c) { exchange(c, dim_of(c, 1), dim_of(c, 2)); }

void t(Call& c) {
  int rank = c.tensor(0).dim();
  if (rank > 2) fail(ErrorKind::Runtime, "t() expects a tensor with <= 2 dimensions, but self is ", rank, "D");
  exchange(c, 0, rank == 2 ? 1 : 0);
}

void select(Call& c) {
  const Tensor& t = c.tensor(0);
  if (t.dim() == 0) fail(ErrorKind::Index, "select() cannot be applied to a 0-dim tensor.");
  int dim = dim_of(c, 1);
  int64_t index = c.args[2].as_int(), n = t.size(dim);
  if (index < -n || index >= n)
    fail(ErrorKind::Index, "select(): index ", index, " out of range for tensor of size ", text_of(t.sizes()),
         " at dimension ", dim);
  if (index < 0) index += n;
  Dims sizes(t.sizes()), strides(t.strides());
  int64_t step = strides[dim];
  sizes.erase(dim);
  strides.erase(dim);
  give(c, sizes, strides, index * step);
}

void slice(Call& c) {
  const Tensor& t = c.tensor(0);
  if (t.dim() == 0) fail(ErrorKind::Runtime, "slice() cannot be applied to a 0-dim tensor.");
  int dim = dim_of(c, 1);
  int64_t n = t.size(dim), step = c.args[4].int_or(1), start = c.args[2].int_or(0), end = c.args[3].int_or(n);
  if (step <= 0) fail(ErrorKind::Value, "step must be greater than zero");
  start = std::clamp<int64_t>(start < 0 ? start + n : start, 0, n);
  end = std::clamp<int64_t>(end < 0 ? end + n : end, start, n);
  Dims sizes(t.sizes()), strides(t.strides());
  int64_t offset = start * strides[dim];
  sizes[dim] = step == 1 ? end - start : end > start ? (end - start - 1) / step + 1 : 0;
  strides[dim] = int64_t(uint64_t(strides[dim]) * uint64_t(step));  // beyond 64 bits only where no second step is taken
  give(c, sizes, strides, offset);
}

void narrow(Call& c) {
  const Tensor& t = c.tensor(0);
  if (t.dim() == 0) fail(ErrorKind::Runtime, "narrow() cannot be applied to a 0-dim tensor.");
  int dim = dim_of(c, 1);
  int64_t n = t.size(dim), start = c.args[2].as_int(), length = c.args[3].as_int();
  if (length < 0) fail(ErrorKind::Runtime, "narrow(): length must be non-negative.");
  if (start < -n || start > n)
    fail(ErrorKind::Index, "Dimension out of range (expected to be in range of [", -n, ", ", n, "], but got ", start,
         ")");
  if (start < 0) start += n;
  if (length > n - start)
    fail(ErrorKind::Runtime, "start (", start, ") + length (", length, ") exceeds dimension size (", n, ").");
  Dims sizes(t.sizes());
  sizes[dim] = length;
  give(c, sizes, t.strides(), start * t.stride(dim));
}

void unsqueeze(Call& c) {
  const Tensor& t = c.tensor(0);
  int dim = wrap_dim(c.args[1].as_int(), t.dim() + 1);
  Dims sizes(t.sizes()), strides(t.strides());
  int64_t step = dim < t.dim() ? sizes[dim] * strides[dim] : 1;
  sizes.insert(dim, 1);
  strides.insert(dim, step);
  give(c, sizes, strides);
}

void squeeze(Call& c) {
  const Tensor& t = c.tensor(0);
  DimSet dims = c.args[1].kind == Kind::Ints && !c.args[1].count ? DimSet() : dim_set(c.args[1], t.dim());
  Dims sizes, strides;
  for (int i = 0; i < t.dim(); i++)
    if (!(dims.has(i) && t.size(i) == 1)) {
      sizes.push_back(t.size(i));
      strides.push_back(t.stride(i));
    }
  give(c, sizes, strides);
}

void diagonal(Call& c) {
  const Tensor& t = c.tensor(0);
  int64_t offset = c.args[1].as_int();
  int a = dim_of(c, 2), b = dim_of(c, 3);
  if (a == b)
    fail(ErrorKind::Runtime, "diagonal dimensions cannot be identical ", c.args[2].as_int(), ", ", c.args[3].as_int());
  int64_t n = std::max<int64_t>(
      0, offset >= 0 ? std::min(t.size(a), t.size(b) - offset) : std::min(t.size(a) + offset, t.size(b)));
  int64_t start = n == 0 ? 0 : offset >= 0 ? offset * t.stride(b) : -offset * t.stride(a);
  Dims sizes, strides;
  for (int i = 0; i < t.dim(); i++)
    if (i != a && i != b) {
      sizes.push_back(t.size(i));
      strides.push_back(t.stride(i));
    }
  sizes.push_back(n);
  strides.push_back(t.stride(a) + t.stride(b));
  give(c, sizes, strides, start);
}

void unfold(Call& c) {
  const Tensor& t = c.tensor(0);
  int dim = dim_of(c, 1);
  int64_t size = c.args[2].as_int(), step = c.args[3].as_int(), n = t.dim() ? t.size(dim) : 1;
  if (size < 0) fail(ErrorKind::Runtime, "size is ", size, " but must be >= 0");
  if (size > n)
    fail(ErrorKind::Runtime, "maximum size for tensor at dimension ", dim, " is ", n, " but size is ", size);
  if (step <= 0) fail(ErrorKind::Runtime, "step is ", step, " but must be > 0");
  Dims sizes(t.sizes()), strides(t.strides());
  int64_t inner = t.dim() ? strides[dim] : 1;
  if (t.dim()) {
    sizes[dim] = (n - size) / step + 1;
    strides[dim] = int64_t(uint64_t(strides[dim]) * uint64_t(step));
  }
  sizes.push_back(size);
  strides.push_back(inner);
  give(c, sizes, strides);
}

void as_strided(Call& c) {
  const Tensor& t = c.tensor(0);
  Ints sizes = c.args[1].as_ints(), strides = c.args[2].as_ints();
  if (sizes.size() != strides.size()) fail(ErrorKind::Runtime, "mismatch in length of strides and shape");
  int64_t offset = c.args[3].int_or(t.offset());
  if (offset < 0) fail(ErrorKind::Runtime, "Tensor: invalid storage offset ", offset);
  check_in_storage(t, sizes, strides, offset);
  c.results[0] = make_view(t, sizes, strides, offset);
}

void view_as_real(Call& c) {
  const Tensor& t = c.tensor(0);
  if (!is_complex(t.dtype())) fail(ErrorKind::Runtime, "view_as_real is only supported for complex tensors");
  Dims sizes(t.sizes()), strides(t.strides());
  for (int64_t& s : strides) s = int64_t(uint64_t(s) * 2);  // too large: one that nothing is at
  sizes.push_back(2);
  strides.push_back(1);
  c.results[0] = tensor_over(Ref<Storage>::share(t.storage()), real_of(t.dtype()), sizes, strides, t.offset() * 2);
}

void view_as_complex(Call& c) {
  const Tensor& t = c.tensor(0);
  if (t.dtype() != DType::Float32 && t.dtype() != DType::Float64)
    fail(ErrorKind::Runtime,
         "view_as_complex is only supported for floating point tensors, but got a tensor of scalar type: ",
         python_name_of(t.dtype()));
  if (t.dim() == 0) fail(ErrorKind::Runtime, "Input tensor must have one or more dimensions");
  if (t.size(t.dim() - 1) != 2) fail(ErrorKind::Runtime, "Tensor must have a last dimension of size 2");
  if (t.stride(t.dim() - 1) != 1) fail(ErrorKind::Runtime, "Tensor must have a last dimension with stride 1");
  Dims sizes(t.sizes()), strides(t.strides());
  sizes.erase(t.dim() - 1);
  strides.erase(t.dim() - 1);
  for (int64_t& s : strides) {
    if (s % 2) fail(ErrorKind::Runtime, "Tensor must have a stride divisible by 2 for all but last dimension");
    s /= 2;
  }
  if (t.offset() % 2) fail(ErrorKind::Runtime, "Tensor must have a storage_offset divisible by 2");
  c.results[0] = tensor_over(Ref<Storage>::share(t.storage()), complex_of(t.dtype()), sizes, strides, t.offset() / 2);
}

void view_dtype(Call& c) {
  const Tensor& t = c.tensor(0);
  DType to = c.args[1].as_dtype();
  int64_t from_size = int64_t(item_size(t.dtype())), to_size = int64_t(item_size(to));
  Dims sizes(t.sizes()), strides(t.strides());
  int last = t.dim() - 1;
  int64_t byte_offset = t.offset() * from_size;
  if (from_size != to_size) {
    if (t.dim() == 0)
      fail(ErrorKind::Runtime, "self.dim() cannot be 0 to view ", python_name_of(t.dtype()), " as ", python_name_of(to),
           " (different element sizes)");
    if (t.stride(last) != 1)
      fail(ErrorKind::Runtime, "self.stride(-1) must be 1 to view ", python_name_of(t.dtype()), " as ",
           python_name_of(to), " (different element sizes), but got ", t.stride(last));
    bool fits = times(t.size(last), from_size) % to_size == 0 && byte_offset % to_size == 0;
    for (int i = 0; i < last; i++) fits = fits && times(t.stride(i), from_size) % to_size == 0;
    if (!fits)
      fail(ErrorKind::Runtime, "self.size(-1) must be divisible by ", to_size / from_size, " to view ",
           python_name_of(t.dtype()), " as ", python_name_of(to), " (different element sizes), but got ", t.size(last));
    for (int i = 0; i < last; i++) strides[i] = strides[i] * from_size / to_size;
    sizes[last] = sizes[last] * from_size / to_size;
  }
  c.results[0] = tensor_over(Ref<Storage>::share(t.storage()), to, sizes, strides, byte_offset / to_size);
}

void alias(Call& c) { give(c, c.tensor(0).sizes(), c.tensor(0).strides()); }

}  // namespace entries

}  // namespace flambeau
