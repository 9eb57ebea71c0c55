// Edges, nodes of rows: what they save, and how they give it back to a gradient formula.
#include "autograd/levels.h"
#include "autograd/node.h"
#include "tensor/copy.h"
#include <cstring>
#include <new>

namespace flambeau {

// ---- edges ----
Edge::Edge(const Edge& o) : bits_(o.bits_), index_(o.index_) {
  if (Node* n = node())
    n->retain();
  else if (TensorBody* t = leaf())
    t->retain();
}
// ---- nodes ----
static std::atomic<uint64_t> next_sequence{1};
AnomalyHooks anomaly_hooks;

Node::Node() : sequence(next_sequence.fetch_add(1, std::memory_order_relaxed)) {
  if (thread_state().anomaly && anomaly_hooks.capture) more().trace = anomaly_hooks.capture();
}
Node::~Node() { delete extra; }

static thread_local Node* waiting_to_free __attribute__((tls_model("initial-exec"))) = nullptr;
static thread_local bool freeing __attribute__((tls_model("initial-exec"))) = false;

void Node::free_later(Node* n) {
  // Freeing a node frees its edges' nodes and its saved tensors' nodes: one at a time from a queue, never by recursion.
  // The queue is a list through the nodes themselves, in the field that holds their age while they live.
  if (freeing) {
    n->next_to_free = waiting_to_free;
    waiting_to_free = n;
    return;
  }
  freeing = true;
  n->dispose();
  while (Node* next = waiting_to_free) {
    waiting_to_free = next->next_to_free;
    next->dispose();
  }
  freeing = false;
}

namespace {

// Calls f(parameter, tensor or null) for every tensor argument, entries of lists one by one: the order of edges.
template <class F> void each_tensor(const Primitive& p, const Value* args, F&& f) {
  for (int i = 0; i < p.param_count; i++) {
    ParamType type = p.params[i].type;
    if (type == ParamType::Tensor)
      f(i, args[i].is_tensor() ? args[i].tensor : nullptr);
    else if (type == ParamType::Tensors)
      for (TensorBody* t : args[i].as_tensors()) f(i, t);
  }
}

}  // namespace

static thread_local const std::shared_ptr<SavedHooks>* saved_hooks __attribute__((tls_model("initial-exec"))) = nullptr;
void set_saved_hooks(const std::shared_ptr<SavedHooks>* active) { saved_hooks = active; }
const std::shared_ptr<SavedHooks>* active_saved_hooks() { return saved_hooks; }

int64_t& backward_level() {
  thread_local int64_t level = 0;
  return level;
}

namespace {

void run_vjp(Backward& b) {
  try {
    b.primitive.vjp(b);
  } catch (const HiddenData&) {
    if (!vjp_by_slices(b)) throw;
  }
}

bool needs_composition(const Primitive& p, const Value* args, const Tensor* results, const std::vector<Tensor>& grads) {
  bool recording = thread_state().grad_enabled, found = false;
  auto look = [&](const TensorBody* t) { found |= t && (t->keys || (recording && (t->requires_grad || t->is_view))); };
  for (int i = 0; i < p.param_count; i++) {
    if (args[i].is_tensor()) look(args[i].tensor);
    for (TensorBody* t : args[i].as_tensors()) look(t);
  }
  for (int r = 0; r < p.result_count; r++) look(results[r].get());
  for (const Tensor& g : grads) look(g.get());
  return found;
}

}  // namespace

[[noreturn, gnu::cold]] static void refuse_inference(const Primitive& p, const Value& v) {
  fail(ErrorKind::Runtime,
       "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in "
       "computation tracked by autograd. To work around this, you can make a clone to get a normal tensor and use it "
       "in autograd.\n",
       p.name, ": expected tensors made outside of inference_mode; got ", describe(v));
}

NodeRef PrimitiveNode::make(Call& c, const OwnedValue* original) {
  const Primitive& p = c.primitive;
  // The tensors behind the edges, then the results: one entry each.
  TensorBody* few[kMaxParams + kMaxResults];
  std::vector<TensorBody*> many;
  TensorBody** tensors = few;
  size_t edges = 0, dims = 0;
  const size_t params = p.param_count, result_count = p.result_count;
  if (p.list_params) {
    each_tensor(p, c.args, [&](int, TensorBody* t) { many.push_back(t); });
    edges = many.size();
    many.resize(edges + result_count);
    tensors = many.data();
    for (TensorBody* t : many) dims += t ? t->dim : 0;
  } else {
    for (uint32_t left = p.tensor_params; left; left &= left - 1) {
      const Value& v = c.args[std::countr_zero(left)];
      few[edges++] = v.is_tensor() ? v.tensor : nullptr;
      if (v.is_tensor()) dims += v.tensor->dim;
    }
  }
  const size_t entries = edges + result_count;
  for (size_t r = 0; r < result_count; r++) {
    TensorBody* t = tensors[edges + r] = c.results[r].get();
    dims += t ? t->dim : 0;
  }

  const size_t kept = p.saves_results ? result_count : 0;
  const size_t bytes = sizeof(PrimitiveNode) + edges * sizeof(Edge) + params * sizeof(OwnedValue) +
                       entries * sizeof(Entry) + kept * sizeof(Tensor) + dims * sizeof(int64_t);
  void* block = allocate_record(bytes);
  auto* n = new (block) PrimitiveNode(p);
  NodeRef result(n);
  n->block_bytes_ = bytes;
  n->result_count = uint32_t(result_count);
  if (p.second_name) {
    const Value& by = c.args[p.second_by];
    n->second_ = by.kind == Kind::Tensor || (by.kind == Kind::Ints && !by.as_ints().empty()) ||
                 (by.kind == Kind::Int && p.cls != Class::Elementwise);
  }
  Edge* edge = n->edges_ = reinterpret_cast<Edge*>(n + 1);
  OwnedValue* arg = n->args_ = reinterpret_cast<OwnedValue*>(edge + edges);
  Entry* entry = n->entries_ = reinterpret_cast<Entry*>(arg + params);
  if (kept) std::uninitialized_default_construct_n(n->results_ = reinterpret_cast<Tensor*>(entry + entries), kept);
  int64_t* sizes = reinterpret_cast<int64_t*>(entry + entries) + kept;
  static_assert(sizeof(Tensor) == sizeof(int64_t));
  // Which values the formula reads: p.saves. Everything that is not a tensor is kept.
  const Value* overwritten = original && !original->get().none() ? &original->get() : nullptr;
  const uint32_t saves = p.saves;
  for (size_t i = 0; i < params; i++) {
    const Value& v = c.args[i];
    if ((v.kind == Kind::Tensor || v.kind == Kind::Tensors) && !(saves >> i & 1)) {
      new (&arg[i]) OwnedValue;
      continue;
    }
    if (v.kind == Kind::Tensor && v.tensor->inference) [[unlikely]] {
      std::uninitialized_default_construct(arg + i, arg + params);  // the node is freed on the way out
      refuse_inference(p, v);
    }
    new (&arg[i]) OwnedValue(overwritten && i == 0 ? *overwritten : v);
  }

  for (size_t k = 0; k < edges; k++) {
    TensorBody* t = tensors[k];
    new (&edge[k]) Edge(t && is_differentiable(t->dtype) ? edge_of(reinterpret_cast<const Tensor&>(t)) : Edge());
    n->edge_count_ = uint32_t(k + 1);
  }
  for (size_t k = 0; k < entries; k++) {
    const TensorBody* t = tensors[k];
    if (!t) {
      entry[k] = {sizes, 0, DType::Float32, 0};
      continue;
    }
    entry[k] = {sizes, version(t), t->dtype, t->dim};
    for (int d = 0; d < t->dim; d++) *sizes++ = t->sizes[d];
  }
  if (overwritten && overwritten->is_tensor()) entry[0].version = version(overwritten->tensor);
  for (uint32_t left = p.saves_results; left; left &= left - 1) {
    const int r = std::countr_zero(left);
    n->results_[r] = detached(c.results[r]);
  }
  if (saved_hooks) [[unlikely]]
    n->pack_saved();
  return result;
}

void PrimitiveNode::pack_saved() {
  std::shared_ptr<SavedHooks> hooks = *saved_hooks;
  struct Off {  // what a hook does is not itself packed, nor recorded
    const std::shared_ptr<SavedHooks>* before = std::exchange(saved_hooks, nullptr);
    WithThreadState state;
    Off() { thread_state().grad_enabled = false; }
    ~Off() { saved_hooks = before; }
  } off;
  for (int i = 0; i < primitive_.param_count; i++) {
    if (!args_[i].get().is_tensor()) continue;
    Tensor t = args_[i].get().as_tensor();
    more().packed.push_back({i, hooks, hooks->pack(t), edge_of(t)});
    args_[i].reset();
  }
  for (Tensor& r : results()) {
    if (!r) continue;
    more().packed.push_back({kMaxParams + int(&r - results_), hooks, hooks->pack(r), Edge()});
    r = Tensor();
  }
}

void PrimitiveNode::unpack_saved(Value* args, Tensor* results, std::vector<Tensor>& kept, bool create_graph) {
  kept.reserve(extra->packed.size());
  for (auto& p : std::vector(extra->packed)) {
    Tensor t = p.hooks->unpack(p.value.get());
    if (p.place >= kMaxParams) {
      int r = p.place - kMaxParams;
      results[r] = detached(t);
      if (create_graph) set_history(results[r], NodeRef::share(this), uint32_t(r));
      continue;
    }
    if (create_graph && p.edge) t = continued(t, p.edge);
    args[p.place] = Value(kept.emplace_back(std::move(t)));
  }
}

PrimitiveNode::~PrimitiveNode() {
  for (uint32_t i = 0; i < edge_count_; i++) edges_[i].~Edge();
  for (int i = 0; i < primitive_.param_count; i++) args_[i].~OwnedValue();
  for (Tensor& r : results()) r.~Tensor();
}

void PrimitiveNode::dispose() {
  size_t bytes = block_bytes_;
  void* block = this;
  this->~PrimitiveNode();
  deallocate(block, bytes);
}

const char* PrimitiveNode::name() const { return second_ ? primitive_.second_name : primitive_.node_name; }

void PrimitiveNode::release_saved() {
  released_ = true;
  for (int i = 0; i < primitive_.param_count; i++)
    if (args_[i].get().is_tensor() || args_[i].get().kind == Kind::Tensors) args_[i].reset();
  for (Tensor& r : results()) r = Tensor();
  if (extra) extra->packed.clear();
}

void PrimitiveNode::visit_saved(void (*visit)(TensorBody*, void*), void* context) {
  for (int i = 0; i < primitive_.param_count; i++) {
    const Value& v = args_[i].get();
    if (v.is_tensor()) visit(v.tensor, context);
    for (TensorBody* t : v.as_tensors())
      if (t) visit(t, context);
  }
}

bool PrimitiveNode::result_shape(int i, Dims& sizes, DType& dtype) {
  const Entry& e = entries_[edge_count_ + i];
  sizes = Dims(e.shape());
  dtype = e.dtype;
  return true;
}

void PrimitiveNode::check_version(const Tensor& t, uint32_t saved) const {
  if (version(t.get()) == saved) return;
  fail(ErrorKind::Runtime,
       "one of the variables needed for gradient computation has been modified by an inplace operation: [",
       python_name_of(t.dtype()), "Tensor ", text_of(t.sizes()), "], which is saved by ", name(), ", is at version ",
       version(t.get()), "; expected version ", saved,
       " instead. Hint: enable anomaly detection to find the operation that failed to compute its gradient, with "
       "torch.autograd.set_detect_anomaly(True).");
}

Tensor PrimitiveNode::unpacked_result(int i, bool create_graph) {
  check_version(results_[i], entries_[edge_count_ + i].version);
  if (!create_graph) return results_[i];
  Tensor again = detached(results_[i]);
  set_history(again, NodeRef::share(this), uint32_t(i));
  return again;
}

void PrimitiveNode::apply(std::vector<Tensor>& grads, std::vector<Tensor>& out, bool create_graph) {
  const Primitive& p = primitive_;
  if (released_)
    fail(ErrorKind::Runtime,
         "Trying to backward through the graph a second time (or directly access saved tensors after they have already "
         "been freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). "
         "Specify retain_graph=True if you need to backward through the graph a second time or if you need to access "
         "saved tensors after calling backward.\n",
         p.name, ": its node has released what it saved");
  Value args[kMaxParams];
  Ints shapes[kMaxParams];
  DType dtypes[kMaxParams];
  Tensor results[kMaxResults], arg_grads[kMaxParams];
  std::vector<Tensor> list_grads;
  uint32_t needs = 0;
  int list_param = -1;
  bool composed = create_graph;  // fused kernels read plain memory and leave no record
  std::vector<std::vector<TensorBody*>> lists;
  size_t k = 0;
  for (int i = 0; i < p.param_count; i++) {
    args[i] = args_[i].get();
    ParamType type = p.params[i].type;
    if (type == ParamType::Tensors) {
      list_param = i;
      size_t first = k, count = args[i].count;
      if (args[i].kind != Kind::Tensors) {  // values were not saved: as many edges as are left for this parameter
        size_t after = 0;
        for (int j = i + 1; j < p.param_count; j++) after += p.params[j].type == ParamType::Tensor;
        count = edge_count_ - k - after;
      }
      k += count;
      list_grads.resize(count);
      for (size_t e = first; e < k; e++) {
        if (edges_[e]) needs |= 1u << i;
        if (args[i].kind == Kind::Tensors && args[i].tensors[e - first]) {
          check_version(Tensor::share(args[i].tensors[e - first]), entries_[e].version);
          composed |= args[i].tensors[e - first]->keys != 0;
        }
      }
      if (composed && args[i].kind == Kind::Tensors && backward_level()) {
        auto& list = lists.emplace_back();
        for (TensorBody* t : args[i].as_tensors()) {
          Wrapped* w = t ? at_level(t, backward_level()) : nullptr;
          list.push_back(w ? w->inner.get() : t);
        }
        args[i] = list_value(list);
      }
    } else if (type == ParamType::Tensor) {
      shapes[i] = entries_[k].shape();
      dtypes[i] = entries_[k].dtype;
      if (edges_[k]) needs |= 1u << i;
      if (args[i].is_tensor()) {
        if (p.cls != Class::View) check_version(args[i].peek(), entries_[k].version);  // views read geometry, no values
        if (args[i].tensor->keys) [[unlikely]] {
          if (Wrapped* w = at_level(args[i].tensor, backward_level())) args[i] = Value(w->inner);
          composed = true;
        }
      }
      k++;
    }
  }
  std::vector<Ints> list_shapes(list_grads.size());
  if (list_param >= 0) {
    size_t first = 0;
    for (int i = 0; i < list_param; i++) first += p.params[i].type == ParamType::Tensor;
    for (size_t e = 0; e < list_grads.size(); e++) list_shapes[e] = entries_[first + e].shape();
  }
  std::vector<Tensor> unpacked;
  if (extra && !extra->packed.empty()) [[unlikely]]
    unpack_saved(args, results, unpacked, create_graph);
  for (int r = 0; r < p.result_count; r++) {
    composed |= grads[size_t(r)] && grads[size_t(r)]->keys;
    if (!results_ || !results_[r]) continue;
    results[r] = unpacked_result(r, create_graph);
    if (results[r]->keys) [[unlikely]] {
      results[r] = below(results[r], backward_level());
      composed = true;
    }
  }
  // In the graph of a func.grad, wrappers that hold plain tensors need no composition unless those are recorded.
  if (composed && !create_graph && backward_level()) composed = needs_composition(p, args, results, grads);
  Backward b{p, args, results, grads.data(), needs, arg_grads, list_grads, shapes, dtypes, list_shapes, composed};
  if (p.fused_vjp && !composed)
    p.fused_vjp(b);
  else
    run_vjp(b);
  k = 0;
  for (int i = 0; i < p.param_count; i++) {
    ParamType type = p.params[i].type;
    if (type == ParamType::Tensors)
      for (Tensor& g : list_grads) out[k++] = std::move(g);
    else if (type == ParamType::Tensor)
      out[k++] = std::move(arg_grads[i]);
  }
}

}  // namespace flambeau
