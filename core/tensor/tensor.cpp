// Making, sharing and freeing storages and tensor bodies.
#include "tensor/tensor.h"
#include <cstring>
#include <vector>

namespace flambeau {

bool (*python_dispose)(TensorBody*) = nullptr;
void (*release_node)(Node*) = nullptr;
void (*free_hooks)(GradHooks*) = nullptr;

// ---- storage ----
static Storage* new_storage() { return new (allocate_record(sizeof(Storage))) Storage; }

// Small storages hold header and bytes in one block.
constexpr size_t kHeader = (sizeof(Storage) + kAlignment - 1) / kAlignment * kAlignment;
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kJoined = 0;  // the sanitizer sees what is written before a block, not what hits its own header
#else
constexpr size_t kJoined = 4096;
#endif

Ref<Storage> make_storage(size_t bytes) {
  if (bytes <= kJoined) {
    auto* s = new (allocate(kHeader + bytes)) Storage;
    s->data = reinterpret_cast<char*>(s) + kHeader;
    s->bytes = bytes;
    s->joined = true;
    return Ref<Storage>(s);
  }
  Ref<Storage> s(new_storage());
  s->data = static_cast<char*>(allocate(bytes));
  s->bytes = bytes;
  return s;
}

Ref<Storage> borrow_storage(void* data, size_t bytes, void (*free)(void*), void* context) {
  Ref<Storage> s(new_storage());
  s->data = static_cast<char*>(data);
  s->bytes = bytes;
  s->free = free;
  s->context = context;
  return s;
}

void Storage::destroy() {
  bool moved = data != reinterpret_cast<char*>(this) + kHeader;
  if (free)
    free(context);
  else if (!joined || moved)
    deallocate(data, bytes);
  size_t block = !joined ? sizeof(Storage) : kHeader + (moved ? spare : bytes);
  this->~Storage();
  deallocate(this, block);
}

// ---- bodies ----
static TensorBody* new_body(DType dtype) {
  typedef int64_t Pair __attribute__((vector_size(16), may_alias));
  constexpr size_t kHead = offsetof(TensorBody, inline_dims), kPairs = (kHead + sizeof(Pair) - 1) / sizeof(Pair);
  auto* t = static_cast<TensorBody*>(allocate_record(sizeof(TensorBody)));
#pragma GCC unroll 16
  for (size_t i = 0; i < kPairs; i++) reinterpret_cast<Pair*>(t)[i] = Pair{};  // fewer stores than memset's words
  t->refs.store(1, std::memory_order_relaxed);
  t->dtype = dtype;
  t->sizes = t->inline_dims;
  return t;
}

static bool geometry_contiguous(Ints sizes, Ints strides) {
  int64_t expected = 1;
  for (int i = int(sizes.size()) - 1; i >= 0; i--) {
    if (sizes[i] == 0) return true;
    if (sizes[i] != 1) {
      if (strides[i] != expected) return false;
      expected = int64_t(uint64_t(expected) * uint64_t(sizes[i]));
    }
  }
  return true;
}

static int64_t* room_for_dims(TensorBody* t, int dim) {
  if (t->sizes != t->inline_dims) deallocate(t->sizes, size_t(t->dim) * 2 * sizeof(int64_t));
  t->dim = uint8_t(dim);
  t->sizes = dim <= TensorBody::kInlineDims ? t->inline_dims
                                            : static_cast<int64_t*>(allocate(size_t(dim) * 2 * sizeof(int64_t)));
  return t->sizes;
}

void set_geometry(TensorBody* t, Ints sizes, Ints strides) {
  check(sizes.size() <= kMaxDims, "tensors have at most ", kMaxDims, " dimensions, got ", sizes.size());
  Dims held_sizes(sizes), held_strides(strides);  // they may be t's own
  room_for_dims(t, int(sizes.size()));
  std::copy(held_sizes.begin(), held_sizes.end(), t->sizes);
  std::copy(held_strides.begin(), held_strides.end(), t->sizes + t->dim);
  t->numel = count_of(held_sizes);
  t->contiguous = geometry_contiguous(held_sizes, held_strides);
}

// The geometry of a body that has none yet: one walk for sizes, strides, count and order.
static void first_geometry(TensorBody* t, Ints sizes, Ints strides) {
  check(sizes.size() <= kMaxDims, "tensors have at most ", kMaxDims, " dimensions, got ", sizes.size());
  int dim = int(sizes.size());
  int64_t* out = room_for_dims(t, dim);
  int64_t n = 1, expected = 1;
  bool in_order = true, fits = true;
  for (int i = dim - 1; i >= 0; i--) {
    int64_t size = sizes[size_t(i)], stride = strides[size_t(i)];
    out[i] = size;
    out[i + dim] = stride;
    fits = !__builtin_mul_overflow(n, size, &n) && fits;
    if (size != 1) {
      in_order = in_order && stride == expected;
      expected = int64_t(uint64_t(expected) * uint64_t(size));
    }
  }
  if (!fits) [[unlikely]]
    n = count_of(sizes);  // for its error, or zero elements with huge extents
  t->numel = n;
  t->contiguous = in_order || n == 0;
}

static int64_t checked_bytes(Ints sizes, DType dtype) {
  int64_t n = int64_t(item_size(dtype));
  for (int64_t s : sizes) {
    if (s < 0) fail(ErrorKind::Runtime, "Trying to create tensor with negative dimension ", s, ": ", text_of(sizes));
    if (__builtin_mul_overflow(n, s, &n))
      fail(ErrorKind::Runtime, "Storage size calculation overflowed with sizes=", text_of(sizes));
  }
  return n;
}

Tensor empty(Ints sizes, DType dtype) {
  check(sizes.size() <= kMaxDims, "tensors have at most ", kMaxDims, " dimensions, got ", sizes.size());
  Tensor result(new_body(dtype));
  TensorBody* t = result.get();
  int dim = int(sizes.size());
  int64_t* out = room_for_dims(t, dim);
  // Strides step over at least one element; where none of the extents is zero, the last step is the count.
  int64_t item = int64_t(item_size(dtype)), step = 1, signs = 0, bytes;
  bool fits = true, none = false;
  for (int i = dim - 1; i >= 0; i--) {
    int64_t size = sizes[size_t(i)];
    out[i] = size;
    out[i + dim] = step;
    signs |= size;
    none |= size == 0;
    fits = !__builtin_mul_overflow(step, size + (size == 0), &step) && fits;
  }
  t->numel = none ? 0 : step;
  fits = !__builtin_mul_overflow(t->numel, item, &bytes) && fits && signs >= 0;
  if (!fits) [[unlikely]]
    bytes = checked_bytes(sizes, dtype), t->numel = 0;  // for its error, or zero elements with huge extents
  t->contiguous = true;
  t->storage = make_storage(size_t(bytes)).detach();
  t->data = t->storage->data;
  return result;
}

Tensor tensor_over(Ref<Storage> storage, DType dtype, Ints sizes, Ints strides, int64_t offset) {
  TensorBody* t = new_body(dtype);
  Tensor result(t);
  first_geometry(t, sizes, strides);
  int64_t bytes;
  const bool counted = !__builtin_mul_overflow(offset, int64_t(item_size(dtype)), &bytes);
  if (t->numel == 0 && (!counted || bytes < 0 || bytes > int64_t(storage->bytes))) bytes = 0;  // nothing lies there
  t->data = storage->data + bytes;
  t->storage = storage.detach();
  return result;
}

Tensor make_view(const Tensor& of, Ints sizes, Ints strides, int64_t offset) {
  return tensor_over(Ref<Storage>::share(of.storage()), of.dtype(), sizes, strides, offset);
}

static int64_t extent(Ints sizes, Ints strides) {  // elements from the first to one past the last
  int64_t last = 1;
  for (int64_t s : sizes)
    if (s == 0) return 0;
  for (size_t i = 0; i < sizes.size(); i++) last = plus(last, times(sizes[i] - 1, strides[i]));
  return last;
}

Tensor empty_strided(Ints sizes, Ints strides, DType dtype) {
  checked_bytes(sizes, dtype);
  return tensor_over(make_storage(size_t(times(extent(sizes, strides), int64_t(item_size(dtype))))), dtype, sizes,
                     strides, 0);
}

Tensor empty_like(const Tensor& t) {
  if (t.contiguous() || !dense(t)) return empty(t.sizes(), t.dtype());
  return empty_strided(t.sizes(), t.strides(), t.dtype());
}

// Gradients have gradients, and bases bases: freeing goes from one to the next by a queue, never by recursion.
static void release_in_turn(TensorBody* t) {
  if (!t || (t->refs.load(std::memory_order_acquire) != 1 && t->refs.fetch_sub(1, std::memory_order_acq_rel) != 1))
    return;
  thread_local std::vector<TensorBody*>* queue = nullptr;
  if (queue) return queue->push_back(t);
  std::vector<TensorBody*> pending{t};
  queue = &pending;
  while (!pending.empty()) {
    TensorBody* next = pending.back();
    pending.pop_back();
    next->destroy();
  }
  queue = nullptr;
}

void TensorBody::destroy() {
  // The last reference went. A Python side that carries state of its own (a subclass, attributes, weak references) goes
  // through Python's own deallocation, which ends here again with that state gone.
  if (python_state && python_dispose && python_dispose(this)) return;
  if (grad_fn) release_node(grad_fn);
  if (extra) {
    if (extra->hooks) free_hooks(extra->hooks);
    release_in_turn(extra->grad.detach());
    extra->~TensorExtra();
    deallocate(extra, sizeof(TensorExtra));
  }
  release_in_turn(base);
  if (storage) storage->release();
  if (sizes != inline_dims) deallocate(sizes, size_t(dim) * 2 * sizeof(int64_t));
  deallocate(this, sizeof(TensorBody));
}

TensorExtra& extra(TensorBody* t) {
  if (!t->extra) t->extra = new (allocate(sizeof(TensorExtra))) TensorExtra;
  return *t->extra;
}

void set_data(const Tensor& t, const Tensor& other) {
  TensorBody* body = t.get();
  Ref<Storage> old(body->storage);
  body->storage = Ref<Storage>::share(other.storage()).detach();
  body->data = other.data();
  body->dtype = other.dtype();
  set_geometry(body, other.sizes(), other.strides());
}

void resize_(const Tensor& t, Ints sizes) {
  TensorBody* body = t.get();
  Dims strides = contiguous_strides(sizes);
  size_t needed = size_t(checked_bytes(sizes, t.dtype()));
  size_t offset = size_t(body->data - body->storage->data);
  if (needed && offset + needed > body->storage->bytes) {
    Storage* s = body->storage;
    check(s->owned(), "Trying to resize storage that is not resizable");
    if (s->refs.load() >
        1)  // tensors and arrays know where their bytes are; those that share would go on with freed ones
      fail(ErrorKind::Runtime,
           "Trying to resize storage that is not resizable\nresize_: expected a storage of the tensor's "
           "own, as it has to grow from ",
           s->bytes, " to ", offset + needed,
           " bytes; got one that views, arrays or "
           "buffers share\nhint: resize before sharing, or make a new tensor");
    size_t bytes = offset + needed;
    auto* grown = static_cast<char*>(allocate(bytes));
    std::memcpy(grown, s->data, std::min(s->bytes, bytes));
    bool inside = s->joined && s->data == reinterpret_cast<char*>(s) + kHeader;
    if (inside)
      s->spare = s->bytes;  // the header's block keeps its size
    else
      deallocate(s->data, s->bytes);
    s->data = grown;
    s->bytes = bytes;
    body->data = grown + offset;
  }
  set_geometry(body, sizes, strides);
}

// ---- questions ----
bool same_storage(const Tensor& a, const Tensor& b) { return a.storage() == b.storage(); }

bool dense(const Tensor& t) {
  if (t.contiguous()) return true;
  return extent(t.sizes(), t.strides()) == t.numel() && !may_self_overlap(t);
}

bool may_self_overlap(const Tensor& t) {
  if (t.contiguous()) return false;
  // Sorted by stride, each dimension must step over all that the smaller ones reach.
  int order[kMaxDims], n = 0;
  for (int i = 0; i < t.dim(); i++) {
    if (t.size(i) == 0) return false;
    if (t.size(i) != 1) order[n++] = i;
  }
  std::sort(order, order + n, [&](int a, int b) { return t.stride(a) < t.stride(b); });
  int64_t reach = 0;
  for (int k = 0; k < n; k++) {
    if (t.stride(order[k]) <= reach) return true;
    reach += (t.size(order[k]) - 1) * t.stride(order[k]);
  }
  return false;
}

bool partial_overlap(const Tensor& out, const Tensor& in) {
  if (out.storage() != in.storage() || !out.numel() || !in.numel()) return false;
  if (out.data() == in.data() && equal(out.sizes(), in.sizes()) && equal(out.strides(), in.strides()) &&
      out.dtype() == in.dtype())
    return false;
  const char* out_end = out.data() + extent(out.sizes(), out.strides()) * int64_t(item_size(out.dtype()));
  const char* in_end = in.data() + extent(in.sizes(), in.strides()) * int64_t(item_size(in.dtype()));
  return out.data() < in_end && in.data() < out_end;
}

bool readable_past_end(const TensorBody* t) {
  size_t bytes = size_t(t->numel) * item_size(t->dtype);
  size_t padded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  return t->storage->owned() && size_t(t->data - t->storage->data) + padded <= t->storage->capacity();
}

std::string describe(const Tensor& t) { return t ? shape_text(t.sizes()) + " " + name_of(t.dtype()) : "None"; }

}  // namespace flambeau
