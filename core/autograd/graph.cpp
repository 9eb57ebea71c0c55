// The graph around tensors: recording calls, views and in-place changes.
//
// A view remembers its base. Changing a view in place puts a node of the whole base (SliceUpdate) into the graph; the
// view's own grad_fn then is that base seen through the view's geometry (ViewOfBase), made again whenever the shared
// version shows that somebody changed the memory since.
#include "autograd/levels.h"
#include "autograd/node.h"
#include "dispatch/ops.h"
#include "tensor/copy.h"

namespace flambeau {

namespace {

struct Geometry {
  Dims sizes, strides;
  int64_t offset;
};

Geometry geometry_in(const Tensor& view, const Tensor& base) {
  if (view.dtype() != base.dtype())
    fail(ErrorKind::NotImplemented,
         "in-place changes of a view that has another element type than its base are not supported "
         "in autograd\nview: ",
         describe(view), "; base: ", describe(base));
  return {Dims(view.sizes()), Dims(view.strides()), view.offset() - base.offset()};
}

// The base's cotangent seen through the view.
struct ViewOfBase final : Node {
  Edge base;
  Geometry g;
  Dims base_sizes, base_strides;
  DType dtype;
  const char* name() const override { return "AsStridedBackward0"; }
  std::span<Edge> edges() override { return {&base, 1}; }
  void apply(std::vector<Tensor>& grads, std::vector<Tensor>& out, bool) override {
    if (!grads[0]) return;
    out[0] = ops::as_strided_backward(grads[0], base_sizes, base_strides, g.strides, g.offset);
  }
  bool result_shape(int, Dims& sizes, DType& d) override {
    sizes = g.sizes;
    d = dtype;
    return true;
  }
};

// An in-place change of a view: the base's cotangent goes through `change` inside the view's region, unchanged elsewhere.
struct SliceUpdate final : Node {
  NodeRef change;
  Geometry g;
  Dims base_sizes, base_strides;
  DType dtype;
  std::vector<Edge> all;  // the old base, then the change's other edges
  const char* name() const override { return "CopySlices"; }
  std::span<Edge> edges() override { return all; }
  Node* part() override { return change.get(); }
  void release_saved() override { change->release_saved(); }
  bool result_shape(int, Dims& sizes, DType& d) override {
    sizes = base_sizes;
    d = dtype;
    return true;
  }
  void apply(std::vector<Tensor>& grads, std::vector<Tensor>& out, bool create_graph) override {
    if (!grads[0]) return;
    Tensor whole;
    if (grads[0]->keys) {  // inside func transforms: memory of its own, of the layers that the cotangent has
      whole = ops::clone(grads[0], std::string_view("contiguous_format"));
    } else {
      whole = empty_strided(base_sizes, base_strides, dtype);
      ops::copy_(whole, grads[0]);
    }
    Tensor region = ops::as_strided(whole, g.sizes, g.strides, g.offset);
    std::vector<Tensor> inner{ops::clone(region)}, inner_out(change->edges().size());
    change->apply(inner, inner_out, create_graph);
    if (inner_out[0])
      ops::copy_(region, inner_out[0]);
    else
      ops::fill_(region, 0);
    out[0] = whole;
    for (size_t i = 1; i < inner_out.size(); i++) out[i] = std::move(inner_out[i]);
  }
};

void regenerate(const Tensor& view) {
  Tensor base = Tensor::share(view->base);
  auto* n = new ViewOfBase;
  n->g = geometry_in(view, base);
  n->base = edge_of(base);
  n->base_sizes = Dims(base.sizes());
  n->base_strides = Dims(base.strides());
  n->dtype = view.dtype();
  set_history(view, NodeRef(n), 0);
  view->view_version = version(view.get());
}

bool stale(TensorBody* t) { return t->is_view && t->base && t->view_version != version(t) && t->base->requires_grad; }

bool wants_grad(const Primitive& p, const Value* args) {
  for (uint32_t left = p.tensor_params; left; left &= left - 1) {
    const Value& v = args[std::countr_zero(left)];
    if (v.is_tensor() && requires_grad(v.tensor)) return true;
  }
  for (uint32_t left = p.list_params; left; left &= left - 1)
    for (TensorBody* t : args[std::countr_zero(left)].as_tensors())
      if (t && requires_grad(t)) return true;
  return false;
}

void record(Call& c) {
  if (!wants_grad(c.primitive, c.args)) return;
  NodeRef node = PrimitiveNode::make(c, nullptr);
  for (int r = 1; r < c.primitive.result_count; r++)
    if (is_differentiable(c.results[r].dtype())) set_history(c.results[r], node, uint32_t(r));
  if (is_differentiable(c.results[0].dtype())) set_history(c.results[0], std::move(node), 0);
}

void check_in_place(const Primitive& p, const Tensor& t) {
  if (t->inference && !thread_state().inference)
    fail(ErrorKind::Runtime,
         "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get a normal "
         "tensor before doing inplace update.");
  if (!thread_state().grad_enabled) return;
  if (requires_grad(t.get()) && is_leaf(t.get()))
    fail(ErrorKind::Runtime, "a leaf Variable that requires grad is being used in an in-place operation.\n", p.name,
         "_: expected a tensor that is not a leaf of the graph; got ", describe(t),
         "\nhint: wrap the change in `with no_grad():`, or work on x.clone()");
  if (t->is_view && t->base && is_leaf(t->base) && t->base->requires_grad)
    fail(ErrorKind::Runtime, "a view of a leaf Variable that requires grad is being used in an in-place operation.\n",
         p.name, "_: expected a view of a tensor that is not a leaf; got ", describe(t));
}

// The change's formula may need the value that is about to be overwritten.
void prepare_in_place(Call& c, OwnedValue& original) {
  const Primitive& p = c.primitive;
  if (!(p.saves & 1)) return;
  const Tensor& t = c.tensor(0);
  Wrapped* w = wrapped(t.get());
  Tensor copy = w ? wrap_tracked(ops::clone(w->inner), w->level) : clone_data(t);
  Edge edge = edge_of(t);
  if (edge.node()) set_history(copy, NodeRef::share(edge.node()), edge.index());
  original = OwnedValue(Value(copy));
}

void record_in_place(Call& c, const OwnedValue& original) {
  Tensor t = c.results[0];
  // Overwritten in place by its own dtype: history continues from the node below.
  NodeRef node = PrimitiveNode::make(c, &original);
  if (!t->is_view || !t->base) return set_history(t, node, 0);
  Tensor base = Tensor::share(t->base);
  auto* update = new SliceUpdate;
  NodeRef holder(update);
  update->change = node;
  update->g = geometry_in(t, base);
  update->base_sizes = Dims(base.sizes());
  update->base_strides = Dims(base.strides());
  update->dtype = base.dtype();
  for (Edge& e : node->edges()) update->all.push_back(e);
  update->all[0] = edge_of(base);
  set_history(base, holder, 0);
  regenerate(t);
}

[[maybe_unused]] const bool registered = [] {
  layers.any_requires_grad = wants_grad;
  layers.record = record;
  layers.mark_view = mark_view;
  layers.check_in_place = check_in_place;
  layers.prepare_in_place = prepare_in_place;
  layers.record_in_place = record_in_place;
  release_node = [](Node* n) { n->release(); };
  free_hooks = [](GradHooks* h) { delete h; };
  return true;
}();

}  // namespace

// The history of a dual or batched tensor is that of the tensor below.
static TensorBody* history_of(TensorBody* t) {
  for (Wrapped* w = wrapped(t); w && w->kind != LevelKind::Tracked; w = wrapped(t)) t = w->inner.get();
  return t;
}

Edge looked_up_edge(const Tensor& t) {
  TensorBody* b = t.get();
  if (b->keys) [[unlikely]]
    if (TensorBody* inner = history_of(b); inner != b) return edge_of(Tensor::share(inner));
  if (stale(b)) regenerate(t);
  if (b->grad_fn) return Edge::to_node(b->grad_fn, b->output_index);
  return b->requires_grad ? Edge::to_leaf(b) : Edge();
}

bool looked_up_requires_grad(TensorBody* t) {
  if (t->keys) [[unlikely]]
    t = history_of(t);
  if (stale(t)) regenerate(Tensor::share(t));
  return t->requires_grad;
}

bool is_leaf(TensorBody* t) {
  if (t->keys) [[unlikely]]
    t = history_of(t);
  return !t->grad_fn;
}

void set_history(const Tensor& t, NodeRef node, uint32_t index) {
  if (index > UINT16_MAX)
    fail(ErrorKind::Runtime, "an operation with more than 65536 results cannot be recorded\n", node->name(),
         ": expected at most 65536 results; got a history for result ", index);
  Node* old = std::exchange(t->grad_fn, node.detach());
  if (old) old->release();
  t->output_index = uint16_t(index);
  t->requires_grad = true;
  t->view_version = version(t.get());
}

namespace {

struct Through final : Node {  // carries a leaf's history on to another tensor
  Edge to;
  const char* name() const override { return "AliasBackward0"; }
  std::span<Edge> edges() override { return {&to, 1}; }
  void apply(std::vector<Tensor>& grads, std::vector<Tensor>& out, bool) override { out[0] = grads[0]; }
};

}  // namespace

Tensor continued(const Tensor& t, const Edge& edge) {
  Tensor same = detached(t);
  if (Node* n = edge.node()) {
    set_history(same, NodeRef::share(n), edge.index());
  } else if (edge.leaf()) {
    auto* n = new Through;
    n->to = edge;
    set_history(same, NodeRef(n), 0);
  }
  return same;
}

Tensor detached(const Tensor& t) {
  Tensor same = make_view(t, t.sizes(), t.strides(), t.offset());
  if (Wrapped* w = wrapped(t.get())) [[unlikely]] {  // of the same level: only the history at this level goes
    extra(same.get()).layer = Ref<LayerData>::share(w);
    same->keys = t->keys;
  }
  return same;
}

void detach_(const Tensor& t) {
  if (t->is_view) fail(ErrorKind::Runtime, "Can't detach views in-place. Use detach() instead.");
  if (Node* old = std::exchange(t->grad_fn, nullptr)) old->release();
  t->requires_grad = false;
}

void mark_view(const Tensor& view, const Tensor& of) {
  // A view that was made a leaf is a base of its own: changes below it are changes of a leaf.
  bool leaf = of->requires_grad && !of->grad_fn;
  TensorBody* base = of->base && !leaf ? of->base : of.get();
  if (view.get() == base || view->base) return;
  base->retain();
  view->base = base;
  view->is_view = true;
  view->untracked = of->untracked;
  view->inference = of->inference;
  view->view_version = version(view.get());
}

}  // namespace flambeau
