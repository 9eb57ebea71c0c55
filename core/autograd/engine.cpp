// The engine: nodes in order of their sequence numbers, newest first. A node is younger than all nodes its inputs came
// from, so by the time it is the newest one waiting, every cotangent for it has arrived: no dependency counting.
#include <queue>
#include <unordered_map>
#include "autograd/levels.h"
#include "base/parallel.h"
#include "autograd/node.h"
#include "dispatch/ops.h"
#include "tensor/copy.h"

namespace flambeau {

namespace {

thread_local std::vector<std::pair<std::shared_ptr<void>, void (*)(void*)>>* callbacks = nullptr;

class Run {
 public:
  Run(std::span<const Tensor> inputs, BackwardOptions options) : options_(options) {
    for (const Tensor& t : inputs) targets_.push_back(edge_of(t));
    captured_.resize(inputs.size());
    selective_ = !inputs.empty();
  }

  std::vector<Tensor> operator()(std::span<const Tensor> roots, std::vector<Tensor>& grads) {
    std::vector<Edge> starts;
    for (const Tensor& root : roots) starts.push_back(edge_of(root));
    if (selective_) find_needed(starts);
    for (size_t i = 0; i < roots.size(); i++) deliver(starts[i], std::move(grads[i]));
    while (!ready_.empty()) {
      NodeRef n = NodeRef(ready_.top().node);
      ready_.pop();
      step(n);
    }
    return std::move(captured_);
  }

 private:
  struct Waiting {
    uint64_t sequence;
    Node* node;  // owned
    bool operator<(const Waiting& o) const { return sequence < o.sequence; }
  };

  void step(const NodeRef& n) {
    auto found = buffers_.find(n.get());
    std::vector<Tensor> grads = std::move(found->second);
    buffers_.erase(found);
    if (n->extra) run_result_hooks(*n, grads);
    if (selective_) {
      for (size_t i = 0; i < targets_.size(); i++)
        if (targets_[i].node() == n.get()) captured_[i] = grads[targets_[i].index()];
      if (!needed_.count(n.get())) return;
    }
    if (n->extra)
      for (auto& hook : n->extra->hooks) hook->before(grads);
    std::span<Edge> edges = n->edges();
    std::vector<Tensor> out(edges.size());
    try {
      n->apply(grads, out, options_.create_graph && !options_.level);
    } catch (...) {
      if (n->extra && n->extra->trace && anomaly_hooks.report) anomaly_hooks.report(n.get());
      throw;
    }
    if (options_.level)
      for (Tensor& t : out)
        if (t) t = below(t, options_.level);
    if (thread_state().anomaly) check_nan(*n, out);
    if (n->extra && !n->extra->hooks.empty()) {
      std::vector<Tensor> seen = grads;
      for (auto& hook : n->extra->hooks) hook->after(out, seen);
    }
    if (!options_.retain_graph) n->release_saved();
    grads.clear();
    for (size_t i = 0; i < edges.size(); i++)
      if (edges[i] && out[i]) deliver(edges[i], std::move(out[i]));
  }

  static bool has_nan(const Tensor& t) {
    return is_differentiable(t.dtype()) && !t->keys && *ops::any(ops::isnan(t)).data_as<bool>();
  }

  static void check_nan(Node& n, const std::vector<Tensor>& out) {
    for (size_t i = 0; i < out.size(); i++) {
      if (!out[i] || !has_nan(out[i])) continue;
      if (n.extra && n.extra->trace && anomaly_hooks.report) anomaly_hooks.report(&n);
      fail(ErrorKind::Runtime, "Function '", n.name(), "' returned nan values in its ", i, "th output.");
    }
  }

  static void run_result_hooks(Node& n, std::vector<Tensor>& grads) {
    auto& results = n.extra->results;
    for (size_t i = 0; i < results.size() && i < grads.size(); i++)
      for (auto& hook : std::vector(results[i].list))
        if (grads[i])
          if (Tensor changed = hook->call(grads[i])) grads[i] = std::move(changed);
  }

  void deliver(const Edge& edge, Tensor grad) {
    if (!edge || !grad) return;
    if (TensorBody* leaf = edge.leaf()) return deliver_to_leaf(edge, leaf, std::move(grad));
    Node* n = edge.node();
    if (selective_ && !reachable_.count(n)) return;
    grad = fitted(*n, edge.index(), std::move(grad));
    auto [slot, fresh] = buffers_.try_emplace(n);
    if (fresh) {
      slot->second.resize(n->result_count);
      n->retain();
      ready_.push({n->sequence, n});
    }
    accumulate(slot->second[edge.index()], std::move(grad));
  }

  // The cotangent has the shape and type of what it belongs to, or is brought to them as broadcasting allows.
  static Tensor fitted(Node& n, uint32_t index, Tensor grad) {
    Dims sizes;
    DType dtype;
    if (!n.result_shape(int(index), sizes, dtype)) return grad;
    if (!equal(grad.sizes(), sizes)) grad = ops::sum_to_size(grad, sizes);
    if (grad.dtype() != dtype) grad = ops::cast(grad, dtype);
    return grad;
  }

  void deliver_to_leaf(const Edge& edge, TensorBody* leaf, Tensor grad) {
    Tensor t = Tensor::share(leaf);
    if (!equal(grad.sizes(), t.sizes())) grad = ops::sum_to_size(grad, t.sizes());
    if (grad.dtype() != t.dtype()) grad = ops::cast(grad, t.dtype());
    if (leaf->extra && leaf->extra->hooks)
      for (auto& hook : std::vector(leaf->extra->hooks->list))
        if (!hook->after_accumulate)
          if (Tensor changed = hook->call(grad)) grad = std::move(changed);
    if (selective_) {
      for (size_t i = 0; i < targets_.size(); i++)
        if (targets_[i] == edge) {
          Tensor piece = grad;
          accumulate(captured_[i], std::move(piece));
        }
      return;
    }
    accumulate_leaf(t, std::move(grad));
    if (leaf->extra && leaf->extra->hooks)
      for (auto& hook : std::vector(leaf->extra->hooks->list))
        if (hook->after_accumulate) hook->call(t);
  }

  // Ours alone, so that it may be changed in place or kept.
  static bool sole_owner(const Tensor& t) {
    return t->refs.load() == 1 && t->storage->refs.load() == 1 && !t->grad_fn && !t->keys && t->storage->owned();
  }

  void accumulate(Tensor& into, Tensor grad) {
    if (!into) {
      into = std::move(grad);
    } else if (!options_.create_graph && sole_owner(into) && !grad->keys && into.dtype() == grad.dtype() &&
               !may_self_overlap(into)) {
      ops::add_(into, grad);
    } else {
      into = ops::add(into, grad);
    }
  }

  // Other threads may run backward into the same leaf, or take its gradient away, whenever a kernel lets them run.
  void accumulate_leaf(const Tensor& t, Tensor grad) {
    OuterLock lock;
    Tensor held = extra(t.get()).grad, sum;
    if (!held) {
      if (options_.create_graph)
        sum = std::move(grad);
      else if (sole_owner(grad) && grad.contiguous() == t.contiguous() && dense(grad))
        sum = std::move(grad);
      else
        sum = detached(clone_data(grad));
    } else if (options_.create_graph) {
      sum = ops::add(held, grad);
    } else {
      ops::add_(held, grad);  // keeps the identity of x.grad
      return;
    }
    extra(t.get()).grad = std::move(sum);
  }

  // Nodes from which a target can be reached. Iterative: graphs are deep.
  void find_needed(const std::vector<Edge>& starts) {
    std::unordered_map<Node*, bool> done;
    struct Frame {
      Node* node;
      size_t next;
      bool leads;
    };
    auto is_target = [&](const Edge& e) {
      for (const Edge& t : targets_)
        if (t && t == e) return true;
      return false;
    };
    auto is_target_node = [&](Node* n) {
      for (const Edge& t : targets_)
        if (t.node() == n) return true;
      return false;
    };
    std::vector<Frame> stack;
    for (const Edge& start : starts) {
      if (Node* n = start.node(); n && !done.count(n)) stack.push_back({n, 0, false});
      while (!stack.empty()) {
        Frame& f = stack.back();
        std::span<Edge> edges = f.node->edges();
        if (f.next < edges.size()) {
          const Edge& e = edges[f.next++];
          if (is_target(e)) f.leads = true;
          Node* child = e.node();
          if (!child) continue;
          auto seen = done.find(child);
          if (seen != done.end())
            f.leads = f.leads || seen->second;
          else
            stack.push_back({child, 0, false});
          continue;
        }
        Frame finished = f;
        stack.pop_back();
        bool target = is_target_node(finished.node);
        done[finished.node] = finished.leads || target;
        if (finished.leads) needed_.emplace(finished.node, true);
        if (finished.leads || target) reachable_.emplace(finished.node, true);
        if (!stack.empty() && (finished.leads || target)) stack.back().leads = true;
      }
    }
  }

  BackwardOptions options_;
  bool selective_;
  std::vector<Edge> targets_;
  std::vector<Tensor> captured_;
  std::priority_queue<Waiting> ready_;
  std::unordered_map<Node*, std::vector<Tensor>> buffers_;
  std::unordered_map<Node*, bool> needed_, reachable_;

 public:
  ~Run() {  // after an error, nodes still wait
    while (!ready_.empty()) {
      ready_.top().node->release();
      ready_.pop();
    }
  }
};

}  // namespace

std::vector<Tensor> run_backward(std::span<const Tensor> roots, std::vector<Tensor> grads,
                                 std::span<const Tensor> inputs, BackwardOptions options) {
  WithThreadState restore;
  thread_state().grad_enabled = options.create_graph;
  int64_t outer_level = std::exchange(backward_level(), options.level);
  std::vector<std::pair<std::shared_ptr<void>, void (*)(void*)>> own;
  auto* outer = callbacks;
  callbacks = &own;
  std::vector<Tensor> captured;
  try {
    captured = Run(inputs, options)(roots, grads);
    for (size_t i = 0; i < own.size(); i++) own[i].second(own[i].first.get());
  } catch (...) {
    callbacks = outer;
    backward_level() = outer_level;
    throw;
  }
  callbacks = outer;
  backward_level() = outer_level;
  return captured;
}

void queue_callback(std::shared_ptr<void> keep, void (*f)(void*)) {
  if (!callbacks) fail(ErrorKind::Runtime, "Final callbacks can only be installed during backward pass.");
  callbacks->emplace_back(std::move(keep), f);
}

// ---- hooks ----
namespace {
std::atomic<int64_t> next_hook{1};
struct RetainGrad final : GradHook {
  std::shared_ptr<Tensor> slot;  // shared with the tensor, which may go before the node does
  Tensor call(const Tensor& grad) override {
    *slot = *slot ? ops::add(*slot, grad) : grad;
    return Tensor();
  }
};
}  // namespace

// What retain_grad keeps is what all other hooks leave.
static void insert_hook(GradHooks& hooks, std::shared_ptr<GradHook> hook) {
  bool before_last = !hooks.list.empty() && dynamic_cast<RetainGrad*>(hooks.list.back().get());
  hooks.list.insert(hooks.list.end() - before_last, std::move(hook));
}

int64_t add_tensor_hook(const Tensor& t, std::shared_ptr<GradHook> hook) {
  hook->id = next_hook++;
  int64_t id = hook->id;
  Edge e = edge_of(t);
  if (Node* n = e.node()) {
    auto& results = n->more().results;
    if (results.size() <= e.index()) results.resize(e.index() + 1);
    insert_hook(results[e.index()], std::move(hook));
  } else {
    auto& more = extra(t.get());
    if (!more.hooks) more.hooks = new GradHooks;
    more.hooks->list.push_back(std::move(hook));
  }
  return id;
}

static void remove_from(GradHooks& hooks, int64_t id) {
  std::erase_if(hooks.list, [id](auto& h) { return h->id == id; });
}

void remove_tensor_hook(const Tensor& t, Node* node, uint32_t index, int64_t id) {
  if (node && node->extra && node->extra->results.size() > index) remove_from(node->extra->results[index], id);
  if (t && t->extra && t->extra->hooks) remove_from(*t->extra->hooks, id);
}

void retain_grad(const Tensor& t) {
  if (!requires_grad(t.get())) fail(ErrorKind::Runtime, "can't retain_grad on Tensor that has requires_grad=False");
  if (is_leaf(t.get())) return;
  auto& more = extra(t.get());
  if (more.retained) return;
  more.retained = std::make_shared<Tensor>();
  auto hook = std::make_shared<RetainGrad>();
  hook->slot = more.retained;
  add_tensor_hook(t, std::move(hook));
}

}  // namespace flambeau
