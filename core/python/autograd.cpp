// Autograd's face in Python: backward, hooks, grad_fn objects, custom functions.
#include "python/python.h"
#include "tensor/copy.h"

namespace flambeau::python {

PyObject* get_grad_fn(PyObject* o, void*);

namespace {

// ---- grad_fn objects ----
struct NodeObject {
  PyObject_HEAD
  Node* node;
};
void node_dealloc(PyObject* o) {
  auto* self = reinterpret_cast<NodeObject*>(o);
  if (self->node) {
    if (self->node->python == o) self->node->python = nullptr;
    self->node->release();
  }
  PyObject_Free(o);
}
Node* node_of(PyObject* o) { return reinterpret_cast<NodeObject*>(o)->node; }
PyObject* node_repr(PyObject* o) {
  return PyUnicode_FromFormat("<%s object at %p>", node_of(o)->name(), (void*)node_of(o));
}
PyObject* node_name(PyObject* o, PyObject*) { return PyUnicode_FromString(node_of(o)->name()); }
PyObject* wrap_node(Node* n);

// AccumulateGrad as PyTorch shows it: the end of an edge that is a leaf.
struct LeafObject {
  PyObject_HEAD
  PyObject* variable;
};
void leaf_dealloc(PyObject* o) {
  Py_XDECREF(reinterpret_cast<LeafObject*>(o)->variable);
  PyObject_Free(o);
}
PyObject* leaf_variable(PyObject* o, void*) { return Py_NewRef(reinterpret_cast<LeafObject*>(o)->variable); }
PyObject* leaf_repr(PyObject* o) { return PyUnicode_FromFormat("<AccumulateGrad object at %p>", (void*)o); }
PyObject* leaf_name(PyObject*, PyObject*) { return PyUnicode_FromString("torch::autograd::AccumulateGrad"); }
PyObject* leaf_next(PyObject*, void*) { return PyTuple_New(0); }
PyGetSetDef leaf_getset[] = {{"variable", leaf_variable, nullptr, nullptr, nullptr},
                             {"next_functions", leaf_next, nullptr, nullptr, nullptr},
                             {}};
PyMethodDef leaf_methods[] = {{"name", leaf_name, METH_NOARGS, nullptr}, {}};
PyTypeObject LeafType = {PyVarObject_HEAD_INIT(nullptr, 0)};

PyObject* node_next_functions(PyObject* o, void*) {
  return guarded([&]() -> PyObject* {
    std::span<Edge> edges = node_of(o)->edges();
    Object tuple(ok(PyTuple_New(Py_ssize_t(edges.size()))));
    for (size_t i = 0; i < edges.size(); i++) {
      PyObject* end = Py_NewRef(Py_None);
      if (Node* n = edges[i].node()) {
        end = wrap_node(n);
      } else if (TensorBody* leaf = edges[i].leaf()) {
        auto* l = PyObject_New(LeafObject, &LeafType);
        l->variable = wrap(Tensor::share(leaf));
        end = reinterpret_cast<PyObject*>(l);
      }
      PyTuple_SET_ITEM(tuple.get(), Py_ssize_t(i), Py_BuildValue("NI", end, edges[i].index()));
    }
    return tuple.release();
  });
}
PyObject* node_metadata(PyObject*, void*) { return PyDict_New(); }

std::atomic<int64_t> next_hook_id{1 << 20};

// ---- hooks ----
struct PythonHook final : GradHook {
  PyObject* f;
  explicit PythonHook(PyObject* callable) : f(Py_NewRef(callable)) { keep_one(); }
  ~PythonHook() override {
    kept_by_graphs--;
    if (!Py_IsInitialized()) return;
    PyGILState_STATE gil = PyGILState_Ensure();
    Py_DECREF(f);
    PyGILState_Release(gil);
  }
  Tensor call(const Tensor& grad) override {
    Object argument(wrap(grad));
    Object result(ok(PyObject_CallOneArg(f, argument.get())));
    if (after_accumulate || result.get() == Py_None) return Tensor();
    if (!is_tensor(result.get()))
      raise(PyExc_TypeError,
            str("hook ", "returned a ", Py_TYPE(result.get())->tp_name, " instead of a Tensor or None"));
    return tensor_of(result.get());
  }
  void* owner() const override { return f; }
};

struct PythonNodeHook final : NodeExtra::NodeHook {
  PyObject* f;
  bool is_before;
  PythonNodeHook(PyObject* callable, bool before) : f(Py_NewRef(callable)), is_before(before) { keep_one(); }
  ~PythonNodeHook() override {
    kept_by_graphs--;
    if (!Py_IsInitialized()) return;
    PyGILState_STATE gil = PyGILState_Ensure();
    Py_DECREF(f);
    PyGILState_Release(gil);
  }
  static Object tuple_of(const std::vector<Tensor>& list) {
    Object tuple(ok(PyTuple_New(Py_ssize_t(list.size()))));
    for (size_t i = 0; i < list.size(); i++) PyTuple_SET_ITEM(tuple.get(), Py_ssize_t(i), wrap(list[i]));
    return tuple;
  }
  static void replace(std::vector<Tensor>& list, PyObject* result) {
    if (result == Py_None) return;
    Object sequence(is_tensor(result) ? ok(PyTuple_Pack(1, result)) : ok(PySequence_Tuple(result)));
    if (PyTuple_GET_SIZE(sequence.get()) != Py_ssize_t(list.size()))
      raise(PyExc_RuntimeError, str("hook has returned an incorrect number of values (got ",
                                    PyTuple_GET_SIZE(sequence.get()), ", but expected ", list.size(), ")"));
    for (size_t i = 0; i < list.size(); i++) {
      PyObject* entry = PyTuple_GET_ITEM(sequence.get(), Py_ssize_t(i));
      list[i] = entry == Py_None ? Tensor() : tensor_argument(entry);
    }
  }
  void before(std::vector<Tensor>& grads) override {
    if (!is_before) return;
    Object tuple = tuple_of(grads);
    Object result(ok(PyObject_CallOneArg(f, tuple.get())));
    replace(grads, result.get());
  }
  void after(std::vector<Tensor>& outputs, const std::vector<Tensor>& grads) override {
    if (is_before) return;
    Object out = tuple_of(outputs), in = tuple_of(grads);
    Object result(ok(PyObject_CallFunctionObjArgs(f, out.get(), in.get(), nullptr)));
    replace(outputs, result.get());
  }
  void* owner() const override { return f; }
};

PyObject* node_add_hook(PyObject* o, PyObject* callable, bool before) {
  return guarded([&]() -> PyObject* {
    auto hook = std::make_shared<PythonNodeHook>(callable, before);
    hook->id = next_hook_id++;
    int64_t id = hook->id;
    node_of(o)->more().hooks.push_back(std::move(hook));
    return Py_BuildValue("(OL)", o, (long long)id);
  });
}
// A RemovableHandle that takes the hook away again.
PyObject* node_handle(PyObject* o, PyObject* f, bool before) {
  Object added(node_add_hook(o, f, before));
  if (!added) return nullptr;
  Object module(PyImport_ImportModule("flambeau._tensor")), tools(PyImport_ImportModule("functools"));
  Object remove(PyObject_GetAttrString(o, "_remove_hook"));
  if (!module || !tools || !remove) return nullptr;
  Object bound(PyObject_CallMethod(tools.get(), "partial", "OO", remove.get(), PyTuple_GET_ITEM(added.get(), 1)));
  if (!bound) return nullptr;
  return PyObject_CallMethod(module.get(), "RemovableHandle", "O", bound.get());
}
PyObject* node_register_hook(PyObject* o, PyObject* f) { return node_handle(o, f, false); }
PyObject* node_register_prehook(PyObject* o, PyObject* f) { return node_handle(o, f, true); }
PyObject* node_remove_hook(PyObject* o, PyObject* id) {
  return guarded([&]() -> PyObject* {
    int64_t wanted = whole_number(id);
    if (NodeExtra* extra = node_of(o)->extra) std::erase_if(extra->hooks, [&](auto& h) { return h->id == wanted; });
    Py_RETURN_NONE;
  });
}

PyGetSetDef node_getset[] = {{"next_functions", node_next_functions, nullptr, nullptr, nullptr},
                             {"metadata", node_metadata, nullptr, nullptr, nullptr},
                             {}};
PyMethodDef node_methods[] = {
    {"name", node_name, METH_NOARGS, nullptr},
    {"register_hook", node_register_hook, METH_O,
     "register_hook(f): f(grad_inputs, grad_outputs) after the node has run."},
    {"register_prehook", node_register_prehook, METH_O, "register_prehook(f): f(grad_outputs) before the node runs."},
    {"_remove_hook", node_remove_hook, METH_O, nullptr},
    {}};
PyTypeObject NodeType = {PyVarObject_HEAD_INIT(nullptr, 0)};

// ---- custom functions ----
// `context` is the Python object that forward saved into; its class has the user's backward.
struct FunctionNode final : Node {
  PyObject* context;
  std::string label;
  std::vector<Edge> inputs;    // one per tensor argument of forward
  std::vector<int> positions;  // its position among forward's arguments
  std::vector<Dims> shapes;    // of the results
  std::vector<DType> dtypes;
  int arguments = 0;
  bool materialize = true;
  bool once = false;

  explicit FunctionNode(PyObject* ctx) : context(Py_NewRef(ctx)) { keep_one(); }
  ~FunctionNode() override {
    kept_by_graphs--;
    if (!context || !Py_IsInitialized()) return;
    PyGILState_STATE gil = PyGILState_Ensure();
    Py_DECREF(context);
    PyGILState_Release(gil);
  }
  const char* name() const override { return label.c_str(); }
  std::span<Edge> edges() override { return inputs; }
  bool result_shape(int i, Dims& sizes, DType& dtype) override {
    sizes = shapes[size_t(i)];
    dtype = dtypes[size_t(i)];
    return true;
  }
  void release_saved() override {
    if (PyObject_SetAttrString(context, "_released", Py_True) < 0) PyErr_Clear();
  }
  void visit_python(void (*visit)(void*, void*), void* c) override { visit(context, c); }
  void apply(std::vector<Tensor>& grads, std::vector<Tensor>& out, bool create_graph) override {
    Object list(ok(PyTuple_New(Py_ssize_t(grads.size()))));
    for (size_t i = 0; i < grads.size(); i++) {
      Tensor g = grads[i];
      if (!g && materialize && is_differentiable(dtypes[i])) {
        g = empty(shapes[i], dtypes[i]);
        uint64_t zero[2] = {};
        fill_with(g, zero);
      }
      PyTuple_SET_ITEM(list.get(), Py_ssize_t(i), wrap(g));
    }
    // Saved outputs are kept without their history, which is this node: it is theirs again while backward runs.
    Object self(create_graph ? wrap_node(this) : Py_NewRef(Py_None));
    ok(PyObject_SetAttrString(context, "_node", self.get()));
    Object result(PyObject_CallMethod(context, "_run_backward", "(O)", list.get()));
    if (PyObject* type = nullptr, *value = nullptr, *trace = nullptr; true) {
      PyErr_Fetch(&type, &value, &trace);
      PyObject_SetAttrString(context, "_node", Py_None);
      PyErr_Restore(type, value, trace);
    }
    ok(result.get());
    if (!PyTuple_Check(result.get())) result = Object(ok(PyTuple_Pack(1, result.get())));
    Py_ssize_t n = PyTuple_GET_SIZE(result.get());
    bool extra_nones = n > arguments;
    for (Py_ssize_t i = arguments; i < n; i++)
      extra_nones = extra_nones && PyTuple_GET_ITEM(result.get(), i) == Py_None;
    if (n != arguments && !extra_nones)
      raise(PyExc_RuntimeError, str("function ", label, " returned an incorrect number of gradients (expected ",
                                    arguments, ", got ", n, ")"));
    for (size_t k = 0; k < inputs.size(); k++) {
      PyObject* g = PyTuple_GET_ITEM(result.get(), positions[k]);
      if (g == Py_None) continue;
      if (!is_tensor(g))
        raise(PyExc_RuntimeError, str("function ", label, " returned a gradient of type ", Py_TYPE(g)->tp_name,
                                      " at position ", positions[k], ", expected a Tensor or None"));
      out[k] = tensor_of(g);
    }
  }
};

// record_function(context, name, inputs, outputs, arguments, changed): gives outputs their history.
PyObject* record_function(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *context, *inputs, *outputs, *dirty;
    const char* label;
    int materialize;
    if (!PyArg_ParseTuple(args, "OsO!O!O!p", &context, &label, &PyTuple_Type, &inputs, &PyTuple_Type, &outputs,
                          &PyTuple_Type, &dirty, &materialize))
      throw PythonError();
    auto* n = new FunctionNode(context);
    NodeRef holder(n);
    n->label = label;
    n->materialize = materialize;
    n->arguments = int(PyTuple_GET_SIZE(inputs));
    for (int i = 0; i < n->arguments; i++) {
      PyObject* o = PyTuple_GET_ITEM(inputs, i);
      if (!is_tensor(o)) continue;
      Tensor t = tensor_of(o);
      n->inputs.push_back(is_differentiable(t.dtype()) ? edge_of(t) : Edge());
      n->positions.push_back(i);
    }
    Py_ssize_t count = PyTuple_GET_SIZE(outputs);
    n->result_count = uint32_t(count);
    for (Py_ssize_t i = 0; i < count; i++) {
      PyObject* o = PyTuple_GET_ITEM(outputs, i);
      if (!is_tensor(o)) {
        n->shapes.emplace_back();
        n->dtypes.push_back(DType::Bool);
        continue;
      }
      Tensor t = tensor_of(o);
      n->shapes.emplace_back(Dims(t.sizes()));
      n->dtypes.push_back(t.dtype());
      if (PySequence_Contains(dirty, o) == 0 && is_differentiable(t.dtype()))
        set_history(t, holder, uint32_t(i));
      else if (is_differentiable(t.dtype()) && t->requires_grad)
        set_history(t, holder, uint32_t(i));
      track(t.get());
    }
    return wrap_node(n);
  });
}

// ---- hooks on saved tensors ----
struct PythonSavedHooks final : SavedHooks {
  Object pack_with, unpack_with;
  PythonSavedHooks(PyObject* pack, PyObject* unpack)
      : pack_with(Object::borrow(pack)), unpack_with(Object::borrow(unpack)) {}
  ~PythonSavedHooks() override {
    if (!Py_IsInitialized()) {  // those of a thread that ends with the process
      pack_with.release();
      unpack_with.release();
      return;
    }
    PyGILState_STATE gil = PyGILState_Ensure();
    pack_with = Object();
    unpack_with = Object();
    PyGILState_Release(gil);
  }
  std::shared_ptr<void> pack(const Tensor& t) override {
    Object argument(wrap(t));
    PyObject* packed = ok(PyObject_CallOneArg(pack_with.get(), argument.get()));
    keep_one();
    return std::shared_ptr<void>(packed, [](void* p) {
      kept_by_graphs--;
      if (!Py_IsInitialized()) return;
      PyGILState_STATE gil = PyGILState_Ensure();
      Py_DECREF(static_cast<PyObject*>(p));
      PyGILState_Release(gil);
    });
  }
  Tensor unpack(void* packed) override {
    Object result(ok(PyObject_CallOneArg(unpack_with.get(), static_cast<PyObject*>(packed))));
    if (!is_tensor(result.get()))
      raise(PyExc_TypeError, str("Output of saved tensor unpack_hook expected to be a Tensor but got result of type ",
                                 Py_TYPE(result.get())->tp_name));
    return tensor_of(result.get());
  }
};
std::vector<std::shared_ptr<SavedHooks>>& hook_stack() {
  thread_local std::vector<std::shared_ptr<SavedHooks>> stack;
  return stack;
}
PyObject* push_saved_hooks(PyObject*, PyObject* args) {
  PyObject *pack, *unpack;
  if (!PyArg_ParseTuple(args, "OO", &pack, &unpack)) return nullptr;
  hook_stack().push_back(std::make_shared<PythonSavedHooks>(pack, unpack));
  set_saved_hooks(&hook_stack().back());
  Py_RETURN_NONE;
}
PyObject* pop_saved_hooks(PyObject*, PyObject*) {
  auto& stack = hook_stack();
  if (!stack.empty()) stack.pop_back();
  set_saved_hooks(stack.empty() ? nullptr : &stack.back());
  Py_RETURN_NONE;
}
PyObject* top_saved_hooks(PyObject*, PyObject*) {
  if (!active_saved_hooks()) Py_RETURN_NONE;
  auto* top = static_cast<PythonSavedHooks*>(active_saved_hooks()->get());
  return Py_BuildValue("(OO)", top->pack_with.get(), top->unpack_with.get());
}
// continued(tensor, node, index): the tensor as result `index` of the node.
PyObject* py_continued(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *o, *node;
    unsigned index;
    if (!PyArg_ParseTuple(args, "OO!I", &o, &NodeType, &node, &index)) throw PythonError();
    return wrap(continued(tensor_argument(o), Edge::to_node(node_of(node), index)));
  });
}

PyObject* py_increment_version(PyObject*, PyObject* o) {
  return guarded([&]() -> PyObject* {
    Tensor t = tensor_argument(o);
    if (t->inference) raise(PyExc_RuntimeError, "Inference tensors do not track version counter.");
    bump_version(t.get());
    Py_RETURN_NONE;
  });
}

// ---- running ----
std::vector<Tensor> tensors_in(PyObject* tuple) {
  std::vector<Tensor> list;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); i++) {
    PyObject* o = PyTuple_GET_ITEM(tuple, i);
    list.push_back(o == Py_None ? Tensor() : tensor_argument(o));
  }
  return list;
}

// run_backward(roots, grads, inputs, retain_graph, create_graph, accumulate) -> tuple of cotangents
PyObject* py_run_backward(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *roots, *grads, *inputs;
    int retain, create;
    if (!PyArg_ParseTuple(args, "O!O!O!pp", &PyTuple_Type, &roots, &PyTuple_Type, &grads, &PyTuple_Type, &inputs,
                          &retain, &create))
      throw PythonError();
    std::vector<Tensor> from = tensors_in(roots), given = tensors_in(grads), to = tensors_in(inputs);
    if (given.size() != from.size()) raise(PyExc_ValueError, "run_backward(): expected one gradient for each root");
    for (PyObject* list : {roots, inputs})
      for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(list); i++) tensor_argument(PyTuple_GET_ITEM(list, i));  // no None
    for (size_t i = 0; i < from.size(); i++) {
      if (!requires_grad(from[i].get()))
        raise(PyExc_RuntimeError, str("element ", i, " of tensors does not require grad and does not have a grad_fn"));
      if (given[i]) continue;
      if (from[i].numel() != 1) raise(PyExc_RuntimeError, "grad can be implicitly created only for scalar outputs");
      given[i] = empty_like(from[i]);
      alignas(16) char one[16];
      store_number(one, from[i].dtype(), {1, 0});
      fill_with(given[i], one);
    }
    std::vector<Tensor> result = run_backward(from, std::move(given), to, {retain != 0, create != 0, true});
    Object tuple(ok(PyTuple_New(Py_ssize_t(result.size()))));
    for (size_t i = 0; i < result.size(); i++) PyTuple_SET_ITEM(tuple.get(), Py_ssize_t(i), wrap(std::move(result[i])));
    return tuple.release();
  });
}

PyObject* py_add_hook(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *o, *f;
    int after;
    if (!PyArg_ParseTuple(args, "OOp", &o, &f, &after)) throw PythonError();
    Tensor t = tensor_argument(o);
    if (!requires_grad(t.get()))
      raise(PyExc_RuntimeError, "cannot register a hook on a tensor that doesn't require gradient");
    auto hook = std::make_shared<PythonHook>(f);
    hook->after_accumulate = after;
    Node* node = edge_of(t).node();
    int64_t id = add_tensor_hook(t, std::move(hook));
    track(t.get());
    // (node or None, result index, id): what removing it needs
    return Py_BuildValue("(NiL)", node ? wrap_node(node) : Py_NewRef(Py_None), int(t->output_index), (long long)id);
  });
}
PyObject* py_remove_hook(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *o, *node;
    int index;
    long long id;
    if (!PyArg_ParseTuple(args, "OOiL", &o, &node, &index, &id)) throw PythonError();
    Tensor t = o == Py_None ? Tensor() : tensor_argument(o);
    if (node != Py_None && Py_TYPE(node) != &NodeType) raise(PyExc_TypeError, "remove_hook(): expected a node or None");
    remove_tensor_hook(t, node == Py_None ? nullptr : node_of(node), uint32_t(index), id);
    Py_RETURN_NONE;
  });
}

PyObject* py_queue_callback(PyObject*, PyObject* f) {
  return guarded([&]() -> PyObject* {
    std::shared_ptr<void> keep(Py_NewRef(f), [](void* p) {
      if (Py_IsInitialized()) Py_DECREF(static_cast<PyObject*>(p));
    });
    queue_callback(keep, [](void* p) { Object result(ok(PyObject_CallNoArgs(static_cast<PyObject*>(p)))); });
    Py_RETURN_NONE;
  });
}

// ---- modes ----
PyObject* exchange_mode(bool& mode, PyObject* on) {  // gives what it was before
  return guarded([&] {
    bool wanted = truth(on);
    return PyBool_FromLong(std::exchange(mode, wanted));
  });
}
PyObject* is_grad_enabled(PyObject*, PyObject*) { return PyBool_FromLong(thread_state().grad_enabled); }
PyObject* set_grad_enabled(PyObject*, PyObject* on) { return exchange_mode(thread_state().grad_enabled, on); }
PyObject* is_inference(PyObject*, PyObject*) { return PyBool_FromLong(thread_state().inference); }
PyObject* set_inference(PyObject*, PyObject* on) { return exchange_mode(thread_state().inference, on); }
// set_autocast(dtype or None) -> what it was before.
PyObject* autocast_now() {
  ThreadState& state = thread_state();
  if (!(state.keys & kAutocast)) Py_RETURN_NONE;
  return Py_NewRef(dtype_object(state.autocast));
}
PyObject* get_autocast(PyObject*, PyObject*) { return autocast_now(); }
PyObject* set_autocast(PyObject*, PyObject* dtype) {
  return guarded([&] {
    Object before(autocast_now());
    ThreadState& state = thread_state();
    if (dtype != Py_None) state.autocast = dtype_of_object(dtype);
    state.keys = dtype == Py_None ? state.keys & uint8_t(~kAutocast) : state.keys | kAutocast;
    return before.release();
  });
}
PyObject* is_anomaly(PyObject*, PyObject*) { return PyBool_FromLong(thread_state().anomaly); }
PyObject* set_anomaly(PyObject*, PyObject* on) { return exchange_mode(thread_state().anomaly, on); }

PyObject* anomaly_module() {
  static PyObject* module = PyImport_ImportModule("flambeau.autograd.anomaly");
  if (!module) PyErr_Clear();
  return module;
}
std::shared_ptr<void> capture_trace() {
  PyObject* module = anomaly_module();
  PyObject* stack = module ? PyObject_CallMethod(module, "capture", nullptr) : nullptr;
  if (!stack) {
    PyErr_Clear();
    return nullptr;
  }
  return std::shared_ptr<void>(stack, [](void* p) { Py_DECREF(static_cast<PyObject*>(p)); });
}
void report_trace(Node* n) {
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  if (PyObject* module = anomaly_module()) {
    Object done(PyObject_CallMethod(module, "report", "sO", n->name(), static_cast<PyObject*>(n->extra->trace.get())));
    if (!done) PyErr_Clear();
  }
  PyErr_Restore(type, value, traceback);
}

PyMethodDef functions[] = {
    {"run_backward", py_run_backward, METH_VARARGS, nullptr},
    {"record_function", record_function, METH_VARARGS, nullptr},
    {"add_hook", py_add_hook, METH_VARARGS, nullptr},
    {"remove_hook", py_remove_hook, METH_VARARGS, nullptr},
    {"queue_callback", py_queue_callback, METH_O, nullptr},
    {"push_saved_hooks", push_saved_hooks, METH_VARARGS, nullptr},
    {"pop_saved_hooks", pop_saved_hooks, METH_NOARGS, nullptr},
    {"top_saved_hooks", top_saved_hooks, METH_NOARGS, nullptr},
    {"continued", py_continued, METH_VARARGS, nullptr},
    {"increment_version", py_increment_version, METH_O, nullptr},
    {"is_grad_enabled", is_grad_enabled, METH_NOARGS, "Whether operations are recorded."},
    {"set_grad_enabled", set_grad_enabled, METH_O, nullptr},
    {"is_inference_mode_enabled", is_inference, METH_NOARGS, "Whether inference_mode is on."},
    {"set_inference_mode", set_inference, METH_O, nullptr},
    {"get_autocast", get_autocast, METH_NOARGS, "The type of mixed precision while it is on, else None."},
    {"set_autocast", set_autocast, METH_O, nullptr},
    {"is_anomaly_enabled", is_anomaly, METH_NOARGS, nullptr},
    {"set_anomaly", set_anomaly, METH_O, nullptr},
    {}};

PyObject* wrap_node(Node* n) {
  if (n->python) return Py_NewRef(static_cast<PyObject*>(n->python));
  auto* o = PyObject_New(NodeObject, &NodeType);
  if (!o) return nullptr;
  n->retain();
  o->node = n;
  n->python = o;
  return reinterpret_cast<PyObject*>(o);
}

}  // namespace

PyObject* get_grad_fn(PyObject* o, void*) {
  return guarded([&]() -> PyObject* {
    requires_grad(body_of(o));  // regenerates what is stale
    Node* n = body_of(o)->grad_fn;
    if (!n) Py_RETURN_NONE;
    return wrap_node(n);
  });
}

void clear_graph(TensorBody* t) {
  if (t->extra) {
    if (GradHooks* hooks = std::exchange(t->extra->hooks, nullptr)) free_hooks(hooks);
    t->extra->grad = Tensor();
  }
  if (Node* n = std::exchange(t->grad_fn, nullptr)) n->release();
}

int add_autograd(PyObject* module) {
  anomaly_hooks = {capture_trace, report_trace};
  NodeType.tp_name = "flambeau._C.Node";
  NodeType.tp_basicsize = sizeof(NodeObject);
  NodeType.tp_flags = Py_TPFLAGS_DEFAULT;
  NodeType.tp_dealloc = node_dealloc;
  NodeType.tp_repr = node_repr;
  NodeType.tp_methods = node_methods;
  NodeType.tp_getset = node_getset;
  LeafType.tp_name = "AccumulateGrad";
  LeafType.tp_basicsize = sizeof(LeafObject);
  LeafType.tp_flags = Py_TPFLAGS_DEFAULT;
  LeafType.tp_dealloc = leaf_dealloc;
  LeafType.tp_repr = leaf_repr;
  LeafType.tp_getset = leaf_getset;
  LeafType.tp_methods = leaf_methods;
  if (PyType_Ready(&NodeType) < 0 || PyType_Ready(&LeafType) < 0) return -1;
  if (PyModule_AddObjectRef(module, "Node", reinterpret_cast<PyObject*>(&NodeType)) < 0) return -1;
  return PyModule_AddFunctions(module, functions);
}

}  // namespace flambeau::python
