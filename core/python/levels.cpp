// Levels of function transforms as flambeau.func opens them: wrapping what goes in, unwrapping what comes out.
#include "autograd/levels.h"
#include "python/python.h"

namespace flambeau::python {

namespace {

// push_level(kind, batch, randomness): kind 0 grad, 1 jvp, 2 vmap; randomness 0 error, 1 different, 2 same.
PyObject* py_push_level(PyObject*, PyObject* args) {
  int kind, randomness = 0;
  long long batch = 0;
  if (!PyArg_ParseTuple(args, "i|Li", &kind, &batch, &randomness)) return nullptr;
  return PyLong_FromLongLong(push_level(LevelKind(kind), batch, Randomness(randomness)));
}
PyObject* py_pop_level(PyObject*, PyObject* id) {
  return guarded([&]() -> PyObject* {
    pop_level(whole_number(id));
    Py_RETURN_NONE;
  });
}

// wrap_tracked(tensor, level): a leaf of that level.
PyObject* py_wrap_tracked(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject* o;
    long long level;
    int wanted = 1;
    if (!PyArg_ParseTuple(args, "OL|p", &o, &level, &wanted)) throw PythonError();
    Tensor t = wrap_tracked(tensor_argument(o), level);
    t->requires_grad = wanted && is_differentiable(t.dtype());
    return wrap(t);
  });
}
PyObject* py_wrap_dual(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *primal, *tangent;
    long long level;
    if (!PyArg_ParseTuple(args, "OOL", &primal, &tangent, &level)) throw PythonError();
    return wrap(wrap_dual(tensor_argument(primal), tangent == Py_None ? Tensor() : tensor_argument(tangent), level));
  });
}

Tensor moved(const Tensor& t, int from, int to) {
  if (from == to) return t;
  Dims order;
  for (int i = 0; i < t.dim(); i++)
    if (i != from) order.push_back(i);
  order.insert(to, from);
  return ops::permute(t, order);
}

// wrap_batched(tensor, dim, level)
PyObject* py_wrap_batched(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject* o;
    int dim;
    long long level;
    if (!PyArg_ParseTuple(args, "OiL", &o, &dim, &level)) throw PythonError();
    Tensor t = tensor_argument(o);
    return wrap(wrap_batched(moved(t, wrap_dim(dim, t.dim()), 0), level));
  });
}
// unwrap_batched(tensor, level, dim, batch): with the batch as dimension `dim`, expanded where the tensor has none.
PyObject* py_unwrap_batched(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject* o;
    long long level, batch;
    int dim;
    if (!PyArg_ParseTuple(args, "OLiL", &o, &level, &dim, &batch)) throw PythonError();
    Tensor t = tensor_argument(o);
    int to = wrap_dim(dim, t.dim() + 1);
    if (Wrapped* w = at_level(t.get(), level)) return wrap(moved(w->inner, 0, to));
    Dims sizes(t.sizes());
    sizes.insert(to, batch);
    return wrap(ops::expand(ops::unsqueeze(t, to), sizes));
  });
}

// unwrap(tensor, level): the tensor below; itself where it is not of this level.
PyObject* py_unwrap(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject* o;
    long long level;
    if (!PyArg_ParseTuple(args, "OL", &o, &level)) throw PythonError();
    Tensor t = tensor_argument(o);
    return at_level(t.get(), level) ? wrap(below(t, level)) : Py_NewRef(o);
  });
}
// unpack_dual(tensor, level) -> (primal, tangent or None)
PyObject* py_unpack_dual(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject* o;
    long long level;
    if (!PyArg_ParseTuple(args, "OL", &o, &level)) throw PythonError();
    Tensor t = tensor_argument(o);
    Wrapped* w = at_level(t.get(), level);
    if (!w || w->kind != LevelKind::Dual) return Py_BuildValue("(OO)", o, Py_None);
    return Py_BuildValue("(NN)", wrap(w->inner), wrap(tangent_of(t)));
  });
}
// layer_of(tensor) -> (level, kind), or None: plain.
PyObject* py_layer_of(PyObject*, PyObject* o) {
  return guarded([&]() -> PyObject* {
    if (!is_tensor(o)) Py_RETURN_NONE;
    Wrapped* w = wrapped(body_of(o));
    if (!w) Py_RETURN_NONE;
    return Py_BuildValue("(Li)", (long long)w->level, int(w->kind));
  });
}

// run_backward_at(level, roots, grads, inputs, retain_graph, create_graph): in the graph of a func.grad.
PyObject* py_run_backward_at(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    long long level;
    PyObject *roots, *grads, *inputs;
    int retain, create;
    if (!PyArg_ParseTuple(args, "LO!O!O!pp", &level, &PyTuple_Type, &roots, &PyTuple_Type, &grads, &PyTuple_Type,
                          &inputs, &retain, &create))
      throw PythonError();
    if (PyTuple_GET_SIZE(grads) != PyTuple_GET_SIZE(roots))
      raise(PyExc_ValueError, "run_backward_at(): expected one gradient for each root");
    std::vector<Tensor> from, given, to;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(roots); i++) {
      Tensor root = tensor_argument(PyTuple_GET_ITEM(roots, i));
      if (!at_level(root.get(), level) || !requires_grad(root.get())) continue;  // does not depend on the inputs
      from.push_back(root);
      given.push_back(tensor_argument(PyTuple_GET_ITEM(grads, i)));
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(inputs); i++)
      to.push_back(tensor_argument(PyTuple_GET_ITEM(inputs, i)));
    std::vector<Tensor> result(to.size());
    if (!from.empty()) result = run_backward(from, std::move(given), to, {retain != 0, create != 0, false, level});
    Object tuple(ok(PyTuple_New(Py_ssize_t(result.size()))));
    for (size_t i = 0; i < result.size(); i++) PyTuple_SET_ITEM(tuple.get(), Py_ssize_t(i), wrap(std::move(result[i])));
    return tuple.release();
  });
}

PyMethodDef functions[] = {{"push_level", py_push_level, METH_VARARGS, nullptr},
                           {"pop_level", py_pop_level, METH_O, nullptr},
                           {"wrap_tracked", py_wrap_tracked, METH_VARARGS, nullptr},
                           {"wrap_dual", py_wrap_dual, METH_VARARGS, nullptr},
                           {"wrap_batched", py_wrap_batched, METH_VARARGS, nullptr},
                           {"unwrap_batched", py_unwrap_batched, METH_VARARGS, nullptr},
                           {"unwrap", py_unwrap, METH_VARARGS, nullptr},
                           {"unpack_dual", py_unpack_dual, METH_VARARGS, nullptr},
                           {"layer_of", py_layer_of, METH_O, nullptr},
                           {"run_backward_at", py_run_backward_at, METH_VARARGS, nullptr},
                           {}};

}  // namespace

int add_levels(PyObject* module) { return PyModule_AddFunctions(module, functions); }

}  // namespace flambeau::python
