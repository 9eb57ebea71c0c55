// What Python's collector is told about the graph.
//
// C++ keeps Python objects (hooks, contexts of custom functions, packed tensors, tensors with attributes), and these may
// hold tensors that keep the graph: cycles that nobody but the collector can find. It asks each tensor twice what the
// tensor leads to: first to subtract the references that come from inside of what it examines, then to walk from what is
// reachable. In a full collection we keep a plan over all tensors examined:
//
//   - Subtracting: from each tensor we explore the nodes and sleeping tensors it leads to, each of them once in the whole
//     collection, count the references met on the way, and subtract what they keep.
//   - Walking: a tensor that is reachable makes everything that it leads to reachable. A sentinel, an object that is
//     always reachable, stands for C++: what has more references than were met is held from elsewhere (a running
//     backward pass, an object that the collector does not examine) and is reachable with all that it leads to.
//
// Work and memory are linear in tensors and nodes. In partial collections a tensor that C++ holds is taken as reachable:
// exploring the graph of the few young tensors each time would be quadratic in the length of the program.
#include "python/python.h"

namespace flambeau::python {

std::atomic<int64_t> kept_by_graphs{0};

namespace {

// A node, or (lowest bit set) a tensor.
class Item {
 public:
  Item() = default;
  explicit Item(Node* n) : bits_(reinterpret_cast<uintptr_t>(n)) {}
  explicit Item(TensorBody* t) : bits_(reinterpret_cast<uintptr_t>(t) | 1) {}
  Node* node() const { return bits_ & 1 ? nullptr : reinterpret_cast<Node*>(bits_); }
  TensorBody* tensor() const { return bits_ & 1 ? reinterpret_cast<TensorBody*>(bits_ & ~uintptr_t(1)) : nullptr; }
  uintptr_t bits() const { return bits_; }

 private:
  uintptr_t bits_ = 0;
};

bool examined(TensorBody* t) { return t->python_state != kAsleep && PyObject_GC_IsTracked(header_of(t)); }

struct Visit {
  visitproc visit;
  void* arg;
  int status = 0;
  void operator()(PyObject* o) {
    if (o && !status) status = visit(o, arg);
  }
};

void visit_hooks(const GradHooks* hooks, Visit& visit) {
  if (!hooks) return;
  for (const auto& hook : hooks->list)  // a list that a running backward pass has copied is held from elsewhere
    if (void* f = hook->owner(); f && hook.use_count() == 1) visit(static_cast<PyObject*>(f));
}

// The Python objects that a node keeps.
void visit_kept(Node* n, Visit& visit) {
  n->visit_python([](void* o, void* v) { (*static_cast<Visit*>(v))(static_cast<PyObject*>(o)); }, &visit);
  if (!n->extra) return;
  for (const auto& hooks : n->extra->results) visit_hooks(&hooks, visit);
  for (const auto& hook : n->extra->hooks)
    if (void* o = hook->owner(); o && hook.use_count() == 1) visit(static_cast<PyObject*>(o));
  for (const auto& p : n->extra->packed)
    if (p.value && p.value.use_count() == 1) visit(static_cast<PyObject*>(p.value.get()));
}

void visit_kept(TensorBody* t, Visit& visit) {
  visit(dict_of(t));
  if (t->extra) visit_hooks(t->extra->hooks, visit);
}

class Plan {
 public:
  bool active() const { return active_; }
  void start() {
    clear();
    active_ = true;
  }
  void stop() { *this = Plan(); }

  void subtract(TensorBody* t, Visit& visit) {
    uint32_t at = find(Item(t));
    if (entries_[at].asked) {  // a second round, after finalizers have run: the graph may be another one
      clear();
      at = find(Item(t));
    }
    entries_[at].asked = true;
    visit_kept(t, visit);
    auto meet = [&](Item item) {
      uint32_t i = find(item);
      if (entries_[i].met++) return;
      TensorBody* other = item.tensor();
      if (!other) return pending_.push_back(item);
      if (!examined(other)) {
        // One that Python knows but the collector does not may be held from anywhere: what it leads to stays.
        if (other->python_state == kAsleep) pending_.push_back(item);
      } else if (other->python_state == kKept) {
        visit(header_of(other));  // the one reference that C++ has to the object
      }
    };
    leads(Item(t), meet);
    while (!pending_.empty()) {
      Item item = pending_.back();
      pending_.pop_back();
      if (Node* n = item.node())
        visit_kept(n, visit);
      else
        visit_kept(item.tensor(), visit);
      leads(item, meet);
    }
  }

  void walk(TensorBody* t, Visit& visit) {
    visit_kept(t, visit);
    leads(Item(t), [&](Item item) { touch(item, visit); });
    walk_pending(visit);
  }

  void walk_from_outside(Visit& visit) {
    for (size_t i = 0; i < entries_.size(); i++) {
      Item item = entries_[i].item;
      uint32_t refs, known = entries_[i].met;
      if (TensorBody* t = item.tensor()) {
        refs = t->refs.load();
        known += t->python_state == kAwake;
      } else {
        refs = item.node()->refs.load();
      }
      if (refs != known) touch(item, visit);
    }
    walk_pending(visit);
  }

 private:
  struct Entry {
    Item item;
    uint32_t met = 0;
    bool asked = false, touched = false;
  };

  void clear() {
    entries_.clear();
    slots_.assign(slots_.size(), 0);
  }

  void touch(Item item, Visit& visit) {
    Entry& e = entries_[find(item)];
    if (std::exchange(e.touched, true)) return;
    TensorBody* t = item.tensor();
    if (t && t->python_state != kAsleep)
      visit(header_of(t));  // the collector asks it in turn
    else
      pending_.push_back(item);
  }

  void walk_pending(Visit& visit) {
    while (!pending_.empty()) {
      Item item = pending_.back();
      pending_.pop_back();
      if (Node* n = item.node())
        visit_kept(n, visit);
      else
        visit_kept(item.tensor(), visit);
      leads(item, [&](Item next) { touch(next, visit); });
    }
  }

  // Calls f for every reference to a node or tensor that the item has.
  template <class F> static void leads(Item item, F&& f) {
    auto node = [&](Node* n) {
      if (n) f(Item(n));
    };
    auto tensor = [&](TensorBody* t) {
      if (t) f(Item(t));
    };
    if (TensorBody* t = item.tensor()) {
      node(t->grad_fn);
      tensor(t->base);
      if (t->extra) tensor(t->extra->grad.get());
      return;
    }
    Node* n = item.node();
    for (Edge& e : n->edges()) {
      node(e.node());
      tensor(e.leaf());
    }
    node(n->part());
    n->visit_saved([](TensorBody* t, void* c) { (*static_cast<decltype(tensor)*>(c))(t); }, &tensor);
  }

  // The entry of an item, made when there is none: open addressing, at most half full.
  uint32_t find(Item item) {
    if (entries_.size() * 2 >= slots_.size()) {
      slots_.assign(std::max<size_t>(1024, slots_.size() * 2), 0);
      for (uint32_t i = 0; i < entries_.size(); i++) slots_[place(entries_[i].item)] = i + 1;
    }
    uint32_t& slot = slots_[place(item)];
    if (!slot) {
      entries_.push_back({item});
      slot = uint32_t(entries_.size());
    }
    return slot - 1;
  }
  size_t place(Item item) const {
    size_t mask = slots_.size() - 1, i = (uint64_t(item.bits()) * 0x9e3779b97f4a7c15u) >> 20 & mask;
    while (slots_[i] && entries_[slots_[i] - 1].item.bits() != item.bits()) i = (i + 1) & mask;
    return i;
  }

  bool active_ = false;
  std::vector<Entry> entries_;
  std::vector<uint32_t> slots_;  // entry + 1
  std::vector<Item> pending_;
};
Plan plan;

// ---- the sentinel, and how the collector's two questions are told apart ----
visitproc subtracting = nullptr, walking = nullptr;
PyObject* sentinel = nullptr;

int sentinel_traverse(PyObject*, visitproc visit, void* arg) {
  if (!walking) {  // the first collection that it lives through: the questions come in this order
    if (!subtracting)
      subtracting = visit;
    else if (visit != subtracting)
      walking = visit;
  } else if (plan.active() && visit == walking) {
    Visit v{visit, arg};
    plan.walk_from_outside(v);
    return v.status;
  }
  return 0;
}
void sentinel_dealloc(PyObject* o) {
  PyObject_GC_UnTrack(o);
  PyObject_GC_Del(o);
}
PyTypeObject SentinelType = {PyVarObject_HEAD_INIT(nullptr, 0)};

// Newly made objects are part of every collection.
bool renew_sentinel() {
  PyObject* fresh = reinterpret_cast<PyObject*>(PyObject_GC_New(PyObject, &SentinelType));
  if (!fresh) {
    PyErr_Clear();
    return false;
  }
  PyObject_GC_Track(fresh);
  Py_XSETREF(sentinel, fresh);
  return true;
}

// In gc.callbacks: before and after each collection.
PyObject* collection(PyObject*, PyObject* args) {
  const char* phase;
  PyObject* info;
  if (!PyArg_ParseTuple(args, "sO!", &phase, &PyDict_Type, &info)) return nullptr;
  plan.stop();
  PyObject* generation = PyDict_GetItemString(info, "generation");
  bool full = generation && PyLong_Check(generation) && PyLong_AsLong(generation) >= 2;
  if (full && walking && phase[0] == 's' && phase[2] == 'a' && kept_by_graphs.load(std::memory_order_relaxed) > 0 &&
      renew_sentinel())
    plan.start();
  Py_RETURN_NONE;
}
PyMethodDef collection_method = {"flambeau_collection", collection, METH_VARARGS, nullptr};

// Programs without hooks and custom functions never come here. Without success (this runs inside a collection, or on an
// interpreter that collects in another way) cycles through the graph stay, as they would without all this.
void watch_collector() {
#if !defined(Py_GIL_DISABLED)
  static bool listed = false;
  static int tries = 0;
  if (walking || tries >= 100 || !Py_IsInitialized() || !PyGILState_Check()) return;
  tries++;
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  Object gc(PyImport_ImportModule("gc"));
  SentinelType.tp_name = "flambeau._C.Sentinel";
  SentinelType.tp_basicsize = sizeof(PyObject);
  SentinelType.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC;
  SentinelType.tp_traverse = sentinel_traverse;
  SentinelType.tp_dealloc = sentinel_dealloc;
  if (gc && !listed && PyType_Ready(&SentinelType) == 0) {
    Object list(PyObject_GetAttrString(gc.get(), "callbacks")), function(PyCFunction_New(&collection_method, nullptr));
    listed = list && function && PyList_Check(list.get()) && PyList_Append(list.get(), function.get()) == 0;
  }
  subtracting = nullptr;
  if (listed && renew_sentinel()) Object done(PyObject_CallMethod(gc.get(), "collect", "i", 0));
  PyErr_Clear();
  PyErr_Restore(type, value, trace);
#endif
}

}  // namespace

void keep_one() {
  kept_by_graphs++;
  if (!walking) [[unlikely]]
    watch_collector();
}

int traverse_tensor(TensorBody* t, visitproc visit, void* arg) {
  Visit v{visit, arg};
  if (plan.active() && visit == subtracting) {
    plan.subtract(t, v);
  } else if (plan.active() && visit == walking) {
    plan.walk(t, v);
  } else if (plan.active() || t->refs.load() == 1) {
    visit_kept(t, v);
  }  // else a tensor that C++ holds too outlives its Python references, with all that hangs on it
  return v.status;
}

// Under a plan, what the collector clears is not held from elsewhere; otherwise what C++ holds is left alone.
bool may_clear(TensorBody* t) { return plan.active() || t->refs.load() == 1; }

}  // namespace flambeau::python
