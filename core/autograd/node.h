// The graph that reverse mode walks: nodes with edges to the nodes (or leaves) that their inputs came from.
#pragma once
#include <memory>
#include <vector>
#include "dispatch/door.h"

namespace flambeau {

// Where a cotangent goes: result `index` of a node, or a leaf tensor's .grad.
class Edge {
 public:
  Edge() = default;
  static Edge to_node(Node* n, uint32_t index);
  static Edge to_leaf(TensorBody* t) {
    Edge e;
    t->retain();
    e.bits_ = reinterpret_cast<uintptr_t>(t) | 1;
    return e;
  }
  Edge(const Edge& o);
  Edge(Edge&& o) noexcept : bits_(std::exchange(o.bits_, 0)), index_(o.index_) {}
  Edge& operator=(Edge o) noexcept {
    std::swap(bits_, o.bits_);
    std::swap(index_, o.index_);
    return *this;
  }
  ~Edge();
  explicit operator bool() const { return bits_; }
  Node* node() const { return bits_ & 1 ? nullptr : reinterpret_cast<Node*>(bits_); }
  TensorBody* leaf() const { return bits_ & 1 ? reinterpret_cast<TensorBody*>(bits_ & ~uintptr_t(1)) : nullptr; }
  uint32_t index() const { return index_; }
  friend bool operator==(const Edge& a, const Edge& b) { return a.bits_ == b.bits_ && a.index_ == b.index_; }

 private:
  uintptr_t bits_ = 0;
  uint32_t index_ = 0;
};

// Hooks of one tensor, or of one result of a node. Kept in order of registration.
struct GradHooks {
  std::vector<std::shared_ptr<GradHook>> list;
};

// autograd.graph.saved_tensors_hooks: what is kept of a saved tensor, and how it comes back.
struct SavedHooks {
  virtual ~SavedHooks() = default;
  virtual std::shared_ptr<void> pack(const Tensor& t) = 0;
  virtual Tensor unpack(void* packed) = 0;
};
void set_saved_hooks(const std::shared_ptr<SavedHooks>* active);  // of this thread; null: none. Not owned
const std::shared_ptr<SavedHooks>* active_saved_hooks();

// What hangs on few nodes: hooks on its results' cotangents, hooks on the node itself, the anomaly trace.
struct NodeExtra {
  std::vector<GradHooks> results;  // by result index
  struct NodeHook {
    virtual ~NodeHook() = default;
    virtual void before(std::vector<Tensor>& grads) {}
    virtual void after(std::vector<Tensor>& outputs, const std::vector<Tensor>& grads) {}
    virtual void* owner() const { return nullptr; }
    int64_t id = 0;
  };
  std::vector<std::shared_ptr<NodeHook>> hooks;
  std::shared_ptr<void> trace;  // Python's stack at the time of the forward call
  struct Packed {
    int place;  // parameter, or kMaxParams + result
    std::shared_ptr<SavedHooks> hooks;
    std::shared_ptr<void> value;
    Edge edge;  // the saved tensor's history
  };
  std::vector<Packed> packed;
};

struct Node {
  std::atomic<uint32_t> refs{1};
  uint32_t result_count = 1;
  union {
    uint64_t sequence;   // its age: later nodes have larger ones
    Node* next_to_free;  // once nobody holds it
  };
  NodeExtra* extra = nullptr;
  void* python = nullptr;  // the Python object that shows this node, if any (borrowed)

  Node();
  virtual ~Node();
  virtual void dispose() { delete this; }
  virtual const char* name() const = 0;  // "MulBackward0"
  // grads: one per result (null: zero). Gives one cotangent per edge (null: none).
  virtual void apply(std::vector<Tensor>& grads, std::vector<Tensor>& out, bool create_graph) = 0;
  virtual std::span<Edge> edges() = 0;
  virtual Node* part() { return nullptr; }  // a node that this one owns and runs itself
  virtual void release_saved() {}
  virtual void visit_python(void (*visit)(void* object, void* context), void* context) {}
  virtual void visit_saved(void (*visit)(TensorBody*, void* context), void* context) {}
  // Shape of result i where known, for zeros and for checks; empty-handed nodes return false.
  virtual bool result_shape(int i, Dims& sizes, DType& dtype) { return false; }

  void retain() { refs.fetch_add(1, std::memory_order_relaxed); }
  void release() {
    if (refs.load(std::memory_order_acquire) == 1 || refs.fetch_sub(1, std::memory_order_acq_rel) == 1)
      free_later(this);
  }
  NodeExtra& more() { return extra ? *extra : *(extra = new NodeExtra); }
  static void free_later(Node* n);  // frees iteratively: chains may be millions long
};
using NodeRef = Ref<Node>;

inline Edge Edge::to_node(Node* n, uint32_t index) {
  Edge e;
  n->retain();
  e.bits_ = reinterpret_cast<uintptr_t>(n);
  e.index_ = index;
  return e;
}
inline Edge::~Edge() {
  if (!bits_) return;
  if (Node* n = node())
    n->release();
  else
    leaf()->release();
}

// A node of a row.
class PrimitiveNode final : public Node {
 public:
  static NodeRef make(Call& c, const OwnedValue* original);
  const char* name() const override;
  void apply(std::vector<Tensor>& grads, std::vector<Tensor>& out, bool create_graph) override;
  std::span<Edge> edges() override { return {edges_, edge_count_}; }
  void release_saved() override;
  void visit_saved(void (*visit)(TensorBody*, void*), void* context) override;
  bool result_shape(int i, Dims& sizes, DType& dtype) override;
  // For grad_fn._saved_*: an argument by parameter, or a result.
  const Primitive& primitive() const { return primitive_; }

 private:
  struct Entry {  // the tensor behind an edge, or a result, as it was
    const int64_t* sizes;
    uint32_t version;
    DType dtype;
    uint8_t rank;
    Ints shape() const { return {sizes, rank}; }
  };
  explicit PrimitiveNode(const Primitive& p) : primitive_(p) {}
  ~PrimitiveNode() override;
  void dispose() override;
  void check_version(const Tensor& t, uint32_t saved) const;
  Tensor unpacked_result(int i, bool create_graph);
  void pack_saved();
  void unpack_saved(Value* args, Tensor* results, std::vector<Tensor>& kept, bool create_graph);

  // One block holds the node, its edges, its arguments, an entry for each edge and each result, results, sizes.
  const Primitive& primitive_;
  size_t block_bytes_ = 0;
  uint32_t edge_count_ = 0;
  bool released_ = false;
  bool second_ = false;  // the row's second name is this node's
  Edge* edges_ = nullptr;
  OwnedValue* args_ = nullptr;
  Entry* entries_ = nullptr;
  Tensor* results_ = nullptr;  // where the formula reads any of them; detached: a saved result may not own this node
  std::span<Tensor> results() { return {results_, results_ ? primitive_.result_count : size_t(0)}; }
};

// ---- the graph around a tensor ----
// Both look through the layers of function transforms, and regenerate the grad_fn of a view whose base was changed in
// place; most tensors need neither.
Edge looked_up_edge(const Tensor& t);
bool looked_up_requires_grad(TensorBody* t);
inline Edge edge_of(const Tensor& t) {
  TensorBody* b = t.get();
  if (b->keys | b->is_view) return looked_up_edge(t);
  if (b->grad_fn) return Edge::to_node(b->grad_fn, b->output_index);
  return b->requires_grad ? Edge::to_leaf(b) : Edge();
}
inline bool requires_grad(TensorBody* t) {
  return (t->keys | t->is_view) ? looked_up_requires_grad(t) : t->requires_grad;
}
void set_history(const Tensor& t, NodeRef node, uint32_t index);
Tensor continued(const Tensor& t, const Edge& edge);  // the same memory with the history that the edge leads to
void detach_(const Tensor& t);
Tensor detached(const Tensor& t);  // shares storage and version, no history
void mark_view(const Tensor& view, const Tensor& of);
bool is_leaf(TensorBody* t);

// ---- hooks ----
int64_t add_tensor_hook(const Tensor& t, std::shared_ptr<GradHook> hook);
void remove_tensor_hook(const Tensor& t, Node* node, uint32_t index, int64_t id);
void retain_grad(const Tensor& t);

// ---- running ----
struct BackwardOptions {
  bool retain_graph = false, create_graph = false;
  bool accumulate = true;  // into leaves' .grad, when no inputs are named
  int64_t level = 0;       // of func.grad: its graph is walked with the tensors below it
};
// Cotangents of `inputs` (null where unreached), or into .grad of all leaves when inputs is empty and accumulate is set.
std::vector<Tensor> run_backward(std::span<const Tensor> roots, std::vector<Tensor> grads,
                                 std::span<const Tensor> inputs, BackwardOptions options);
void queue_callback(std::shared_ptr<void> keep, void (*f)(void*));  // runs when the current backward ends

struct AnomalyHooks {  // set by the binding
  std::shared_ptr<void> (*capture)() = nullptr;
  void (*report)(Node*) = nullptr;
};
extern AnomalyHooks anomaly_hooks;

}  // namespace flambeau
