// Storage (a block of bytes) and Tensor (a strided, typed view of one).
//
// A tensor's body begins with room for the header of its Python object, which sleeps while no Python code knows the
// tensor (python/wrap.cpp): one block per tensor, identity is the address, and a core without Python just carries the room.
#pragma once
#include <atomic>
#include <bit>
#include <memory>
#include <utility>
#include "base/dtype.h"
#include "tensor/dims.h"

namespace flambeau {

struct Node;         // autograd/node.h
struct TensorExtra;  // what few tensors have: gradient, hooks, layer data (below)
class Tensor;

// Intrusive counting: only a count above one needs the locked decrement.
template <class T> class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}
  explicit Ref(T* adopted) : p_(adopted) {}
  static Ref share(T* p) {
    if (p) p->retain();
    return Ref(p);
  }
  Ref(const Ref& o) : p_(o.p_) {
    if (p_) p_->retain();
  }
  Ref(Ref&& o) noexcept : p_(std::exchange(o.p_, nullptr)) {}
  Ref& operator=(Ref o) noexcept {
    std::swap(p_, o.p_);
    return *this;
  }
  ~Ref() {
    if (p_) p_->release();
  }
  T* get() const { return p_; }
  T* detach() { return std::exchange(p_, nullptr); }
  T* operator->() const { return p_; }
  T& operator*() const { return *p_; }
  explicit operator bool() const { return p_; }
  friend bool operator==(const Ref& a, const Ref& b) { return a.p_ == b.p_; }

 private:
  T* p_ = nullptr;
};

struct Counted {
  std::atomic<uint32_t> refs{1};
  void retain() { refs.fetch_add(1, std::memory_order_relaxed); }
  bool drop() {  // true when this was the last reference
    if (refs.load(std::memory_order_acquire) == 1) return true;
    return refs.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }
};

struct Storage : Counted {
  char* data = nullptr;
  size_t bytes = 0;
  std::atomic<uint32_t> version{0};       // bumped by every in-place change, checked by saved tensors
  void (*free)(void* context) = nullptr;  // null: the block is the allocator's
  void* context = nullptr;
  bool joined = false;  // made with its bytes behind this header in one block
  size_t spare = 0;     // joined, and the bytes moved out: how many there is room for

  void release() {
    if (drop()) destroy();
  }
  void destroy();
  bool owned() const { return !free; }  // and so padded to whole vectors
  size_t capacity() const { return owned() ? (bytes + kAlignment - 1) / kAlignment * kAlignment : bytes; }
};
Ref<Storage> make_storage(size_t bytes);
Ref<Storage> borrow_storage(void* data, size_t bytes, void (*free)(void*), void* context);

// Layers that a tensor takes part in; the door tests the bits of all operands at once.
enum LayerKey : uint8_t {
  kOverride = 1,   // a Python subclass with its own __torch_function__
  kBatched = 2,    // func.vmap
  kDual = 4,       // forward mode
  kShapeOnly = 8,  // no data: capture and the meta device
  kTracked = 16,   // func.grad and func.vjp: a graph of its own for each level
  kAutocast = 32,  // mixed precision: a mode of the thread, never a tensor's own
};

struct PythonHeader {  // in words: two of the collector's, count, type, __dict__, weak references
  void* words[6];
};

struct TensorBody {
  PythonHeader python;
  std::atomic<uint32_t> refs;
  DType dtype;
  uint8_t keys;  // LayerKey bits
  uint8_t dim;
  bool contiguous;
  bool requires_grad;  // as the door sees it: a leaf that asked for it, or a result with grad_fn
  bool is_view;        // differentiable view of `base`
  bool untracked;      // made by .data: changes through it do not bump the version
  bool inference;
  uint8_t python_state;   // owned by python/wrap.cpp
  uint16_t output_index;  // which result of grad_fn this is
  uint32_t view_version;  // storage version at which grad_fn was right, for views
  Storage* storage;
  char* data;  // storage->data + offset
  int64_t numel;
  int64_t* sizes;  // dim sizes, then dim strides: in `inline_dims` or a block of their own
  Node* grad_fn;
  TensorBody* base;  // of a view
  TensorExtra* extra;
  int64_t inline_dims[10];

  static constexpr int kInlineDims = 5;
  int64_t* strides() { return sizes + dim; }
  void retain() { refs.fetch_add(1, std::memory_order_relaxed); }
  void release() {
    if (refs.load(std::memory_order_acquire) == 1 || refs.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
  }
  void destroy();  // out of line: python/wrap.cpp may keep or wake the Python side first
};

class Tensor : public Ref<TensorBody> {
 public:
  using Ref::Ref;
  Tensor() = default;
  Tensor(Ref<TensorBody> r) : Ref(std::move(r)) {}
  static Tensor share(TensorBody* b) { return Tensor(Ref::share(b)); }

  DType dtype() const { return get()->dtype; }
  int dim() const { return get()->dim; }
  int64_t numel() const { return get()->numel; }
  Ints sizes() const { return {get()->sizes, size_t(get()->dim)}; }
  Ints strides() const { return {get()->sizes + get()->dim, size_t(get()->dim)}; }
  int64_t size(int i) const { return get()->sizes[i]; }
  int64_t stride(int i) const { return get()->sizes[get()->dim + i]; }
  bool contiguous() const { return get()->contiguous; }
  char* data() const { return get()->data; }
  template <class T> T* data_as() const { return reinterpret_cast<T*>(get()->data); }
  Storage* storage() const { return get()->storage; }
  int64_t offset() const {  // in elements, whose sizes are powers of two
    return (get()->data - get()->storage->data) >> std::countr_zero(item_size(dtype()));
  }
  size_t bytes() const { return size_t(numel()) * item_size(dtype()); }
  bool requires_grad() const { return get()->requires_grad; }
};

// ---- making tensors ----
Tensor empty(Ints sizes, DType dtype);  // contiguous, uninitialised
Tensor empty_strided(Ints sizes, Ints strides, DType dtype);
Tensor empty_like(const Tensor& t);  // keeps the order of strides of dense tensors
Tensor make_view(const Tensor& of, Ints sizes, Ints strides, int64_t offset);  // shares storage; no autograd
Tensor tensor_over(Ref<Storage> storage, DType dtype, Ints sizes, Ints strides, int64_t offset);
void set_geometry(TensorBody* t, Ints sizes, Ints strides);
// Gives t the storage, geometry and dtype of other (for `t.data = other` and set_).
void set_data(const Tensor& t, const Tensor& other);
void resize_(const Tensor& t, Ints sizes);  // grows the storage when it has to

// ---- asking about tensors ----
bool same_storage(const Tensor& a, const Tensor& b);
bool dense(const Tensor& t);             // its elements fill one block without holes or overlap
bool may_self_overlap(const Tensor& t);  // two positions share memory (expanded)
// Whether in-place work on `out` while reading `in` is unsafe: they share memory but not the very same positions.
bool partial_overlap(const Tensor& out, const Tensor& in);
bool readable_past_end(const TensorBody* t);  // whole vectors may be read behind its last element
std::string describe(const Tensor& t);        // "(2, 3) float32", for messages

inline uint32_t version(const TensorBody* t) {
  return t->storage ? t->storage->version.load(std::memory_order_relaxed) : 0;
}
inline void bump_version(const TensorBody* t) {
  if (t->storage && !t->untracked) t->storage->version.fetch_add(1, std::memory_order_relaxed);
}

// ---- what few tensors have ----
struct GradHook {  // made by the binding around a Python callable
  virtual ~GradHook() = default;
  virtual Tensor call(const Tensor& grad) = 0;     // null result: unchanged
  virtual void* owner() const { return nullptr; }  // the Python object behind, for the collector
  int64_t id = 0;
  bool after_accumulate = false;
};
struct GradHooks;             // autograd/hooks.h
struct LayerData : Counted {  // what a layer (vmap, forward mode) keeps with a tensor
  virtual ~LayerData() = default;
  void release() {
    if (drop()) delete this;
  }
};

struct TensorExtra {
  Tensor grad;
  GradHooks* hooks = nullptr;
  Ref<LayerData> layer;
  std::shared_ptr<Tensor> retained;  // .grad of a non-leaf that asked for it; its node's hook fills it
  int64_t batch_level = 0;
};
TensorExtra& extra(TensorBody* t);  // made on first use

// Set by the binding: called when the last C++ reference goes while Python state lives (true: Python takes it from here).
extern bool (*python_dispose)(TensorBody*);
extern void (*release_node)(Node*);  // set by autograd
extern void (*free_hooks)(GradHooks*);

}  // namespace flambeau
