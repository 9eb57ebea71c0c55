// One call per optimizer step: reads parameters, gradients and state from Python's lists and hands them to the kernels.
#include <cmath>
#include <string_view>
#include <vector>
#include "kernels/cpu/optimizer.h"
#include "python/python.h"
#include "tensor/copy.h"

namespace flambeau::python {
namespace {

using kernels::OptimizerKernels;
using kernels::Parameter;

constexpr int kMaxStates = 4, kMaxOptions = 8;

// How a rule's lists of state and its options map to the kernel's arguments.
struct Rule {
  std::string_view name;
  int options;
  bool counts;    // states[0] holds the step counts
  bool products;  // states[1] holds the products of momentum factors (NAdam)
  void (*run)(int width, Parameter* list, int64_t count, const double* o);
};

const OptimizerKernels& kernel() { return kernels::table<OptimizerKernels>(); }

const Rule kRules[] = {
    {"sgd", 6, false, false,
     [](int w, Parameter* p, int64_t n, const double* o) {
       kernel().sgd[w](p, n, {o[0], o[1], o[2], o[3], o[4] != 0, o[5] != 0});
     }},
    {"adam", 8, true, false,
     [](int w, Parameter* p, int64_t n, const double* o) {
       kernel().adam[w](p, n, {o[0], o[1], o[2], o[3], o[4], o[5] != 0, o[6] != 0, o[7] != 0});
     }},
    {"rmsprop", 7, true, false,
     [](int w, Parameter* p, int64_t n, const double* o) {
       kernel().rmsprop[w](p, n, {o[0], o[1], o[2], o[3], o[4], o[5] != 0, o[6] != 0});
     }},
    {"adagrad", 5, true, false,
     [](int w, Parameter* p, int64_t n, const double* o) {
       kernel().adagrad[w](p, n, {o[0], o[1], o[2], o[3], o[4] != 0});
     }},
    {"adadelta", 5, true, false,
     [](int w, Parameter* p, int64_t n, const double* o) {
       kernel().adadelta[w](p, n, {o[0], o[1], o[2], o[3], o[4] != 0});
     }},
    {"adamax", 6, true, false,
     [](int w, Parameter* p, int64_t n, const double* o) {
       kernel().adamax[w](p, n, {o[0], o[1], o[2], o[3], o[4], o[5] != 0});
     }},
    {"nadam", 8, true, true,
     [](int w, Parameter* p, int64_t n, const double* o) {
       kernel().nadam[w](p, n, {o[0], o[1], o[2], o[3], o[4], o[5], o[6] != 0, o[7] != 0});
     }},
    {"radam", 7, true, false,
     [](int w, Parameter* p, int64_t n, const double* o) {
       kernel().radam[w](p, n, {o[0], o[1], o[2], o[3], o[4], o[5] != 0, o[6] != 0});
     }},
};

// A tensor that a kernel can work on as it is, or null.
TensorBody* plain(PyObject* o) {
  if (!is_tensor(o) || overrides(o)) return nullptr;
  TensorBody* t = body_of(o);
  return t->contiguous && !t->keys && t->storage ? t : nullptr;
}

// A number kept as a tensor of one element.
TensorBody* counter(PyObject* o) {
  TensorBody* t = plain(o);
  return t && t->numel == 1 && (t->dtype == DType::Float32 || t->dtype == DType::Float64) ? t : nullptr;
}
double read(const TensorBody* t) {
  return t->dtype == DType::Float32 ? double(*reinterpret_cast<float*>(t->data)) : *reinterpret_cast<double*>(t->data);
}
void write(TensorBody* t, double value) {
  if (t->dtype == DType::Float32)
    *reinterpret_cast<float*>(t->data) = float(value);
  else
    *reinterpret_cast<double*>(t->data) = value;
  bump_version(t);
}

struct Member {  // what has to be written back, beside the kernel's own work
  TensorBody *parameter, *step, *product;
  TensorBody* states[3];
};
struct Batch {
  std::vector<Parameter> list;
  std::vector<Member> members;
};

// Adds one parameter to the batch of its type; false where the kernels do not cover it.
bool collect(Batch (&batches)[2], const Rule& rule, PyObject* object, PyObject* states, Py_ssize_t index,
             bool momentum_only) {
  if (!is_tensor(object)) return false;
  TensorBody* any = body_of(object);
  TensorBody* grad = any->extra ? any->extra->grad.get() : nullptr;
  if (!grad) return !any->grad_fn;  // without a gradient it is left alone; a non-leaf keeps its gradient elsewhere
  TensorBody* t = plain(object);
  if (!t || (t->dtype != DType::Float32 && t->dtype != DType::Float64)) return false;
  if (grad->dtype != t->dtype || grad->numel != t->numel || !grad->contiguous || grad->keys) return false;
  Parameter p{.value = t->data, .grad = grad->data, .size = t->numel};
  Member m{};
  m.parameter = t;
  Py_ssize_t next = 0, count = PyTuple_GET_SIZE(states);
  auto state = [&](Py_ssize_t list) { return PyList_GET_ITEM(PyTuple_GET_ITEM(states, list), index); };
  if (rule.counts && !(m.step = counter(state(next++)))) return false;
  if (rule.products && !(m.product = counter(state(next++)))) return false;
  int slot = 0;
  for (; next < count; next++, slot++) {
    if (momentum_only && slot == 1) slot = 2;  // RMSprop with momentum and no mean gradient
    TensorBody* s = plain(state(next));
    if (slot > 2 || !s || s->dtype != t->dtype || s->numel != t->numel) return false;
    m.states[slot] = s;
    p.state[slot] = s->data;
  }
  p.step = m.step ? int64_t(read(m.step)) + 1 : 2;  // SGD's buffers are there before the first call
  if (m.product) {
    p.extra = read(m.product);
    p.extra_single = m.product->dtype == DType::Float32;
  }
  Batch& batch = batches[t->dtype == DType::Float64];
  batch.list.push_back(p);
  batch.members.push_back(m);
  return true;
}

// optimizer_step(rule, params, states, options) -> bool; flambeau/optim/_multi.py says what goes in.
PyObject* py_optimizer_step(PyObject*, PyObject* const* args, Py_ssize_t count) {
  return guarded([&]() -> PyObject* {
    if (count != 4 || !PyUnicode_Check(args[0]) || !PyList_Check(args[1]) || !PyTuple_Check(args[2]) ||
        !PyTuple_Check(args[3]))
      raise(PyExc_TypeError, "optimizer_step: expected a name, a list, a tuple of lists and a tuple of numbers");
    Py_ssize_t length;
    const char* text = PyUnicode_AsUTF8AndSize(args[0], &length);
    if (!text) throw PythonError();
    const Rule* rule = nullptr;
    for (const Rule& r : kRules)
      if (r.name == std::string_view(text, size_t(length))) rule = &r;
    if (!rule || PyTuple_GET_SIZE(args[3]) != rule->options) Py_RETURN_FALSE;
    double options[kMaxOptions];
    for (int i = 0; i < rule->options; i++) {
      options[i] = PyFloat_AsDouble(PyTuple_GET_ITEM(args[3], i));
      if (options[i] == -1 && PyErr_Occurred()) {  // a tensor, say: not for the kernels
        PyErr_Clear();
        Py_RETURN_FALSE;
      }
    }
    const Py_ssize_t params = PyList_GET_SIZE(args[1]), lists = PyTuple_GET_SIZE(args[2]);
    if (lists > kMaxStates || lists < int(rule->counts) + int(rule->products)) Py_RETURN_FALSE;
    for (Py_ssize_t i = 0; i < lists; i++) {
      PyObject* list = PyTuple_GET_ITEM(args[2], i);
      if (!PyList_Check(list) || PyList_GET_SIZE(list) != params)
        raise(PyExc_ValueError, "optimizer_step: expected one state for each parameter");
    }
    static thread_local Batch batches[2];  // kept between steps for their memory
    for (Batch& b : batches) {
      b.list.clear();
      b.members.clear();
    }
    const bool momentum_only = rule->name == "rmsprop" && options[5] == 0;
    for (Py_ssize_t i = 0; i < params; i++)
      if (!collect(batches, *rule, PyList_GET_ITEM(args[1], i), args[2], i, momentum_only)) Py_RETURN_FALSE;
    for (int width = 0; width < 2; width++) {
      Batch& b = batches[width];
      if (b.list.empty()) continue;
      rule->run(width, b.list.data(), int64_t(b.list.size()), options);
      for (size_t i = 0; i < b.list.size(); i++) {
        const Member& m = b.members[i];
        bump_version(m.parameter);
        for (TensorBody* s : m.states)
          if (s) bump_version(s);
        if (m.step) write(m.step, double(b.list[i].step));
        if (m.product) write(m.product, b.list[i].extra);
      }
    }
    Py_RETURN_TRUE;
  });
}

// zero_grad(params): forgets the gradients of all of them.
PyObject* py_zero_grad(PyObject*, PyObject* params) {
  return guarded([&]() -> PyObject* {
    Object items(ok(PySequence_Fast(params, "zero_grad: expected a list of tensors")));
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items.get()); i++) {
      PyObject* o = PySequence_Fast_GET_ITEM(items.get(), i);
      if (!is_tensor(o)) raise(PyExc_TypeError, "zero_grad: expected tensors");
      TensorBody* t = body_of(o);
      if (t->grad_fn)
        ok(PyObject_SetAttrString(o, "grad", Py_None));  // a non-leaf that retains its gradient
      else if (t->extra)
        t->extra->grad = Tensor();
    }
    Py_RETURN_NONE;
  });
}

// The gradients of tensors as the kernels take them; false where some gradient is not covered.
bool gradients(PyObject* params, std::vector<Parameter>& list, DType& dtype) {
  Object items(ok(PySequence_Fast(params, "expected a list of tensors")));
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items.get()); i++) {
    PyObject* o = PySequence_Fast_GET_ITEM(items.get(), i);
    if (!is_tensor(o)) return false;
    TensorBody* t = body_of(o);
    if (t->grad_fn) return false;  // a non-leaf keeps its gradient elsewhere
    TensorBody* g = t->extra ? t->extra->grad.get() : nullptr;
    if (!g) continue;
    if ((g->dtype != DType::Float32 && g->dtype != DType::Float64) || !g->contiguous || g->keys || g->grad_fn)
      return false;
    if (!list.empty() && g->dtype != dtype) return false;
    dtype = g->dtype;
    list.push_back({.value = nullptr, .grad = g->data, .size = g->numel});
  }
  return true;
}

// grad_norm(params): the Euclidean norm of all gradients as one vector, or None where they are not covered.
PyObject* py_grad_norm(PyObject*, PyObject* params) {
  return guarded([&]() -> PyObject* {
    std::vector<Parameter> list;
    DType dtype = DType::Float32;
    if (!gradients(params, list, dtype) || list.empty()) Py_RETURN_NONE;
    double squares = kernel().sum_of_squares[dtype == DType::Float64](list.data(), int64_t(list.size()));
    Tensor norm = empty(Ints(), dtype);
    store_number(norm.data(), dtype, {std::sqrt(squares), 0});
    return wrap(norm);
  });
}

// scale_grads(params, factor) -> bool: multiplies all gradients in place; False, with nothing done, where not covered.
PyObject* py_scale_grads(PyObject*, PyObject* const* args, Py_ssize_t count) {
  return guarded([&]() -> PyObject* {
    if (count != 2) raise(PyExc_TypeError, "scale_grads: expected tensors and a factor");
    double factor = PyFloat_AsDouble(args[1]);
    if (PyErr_Occurred()) throw PythonError();
    std::vector<Parameter> list;
    DType dtype = DType::Float32;
    if (!gradients(args[0], list, dtype)) Py_RETURN_FALSE;
    if (!list.empty()) kernel().scale_gradients[dtype == DType::Float64](list.data(), int64_t(list.size()), factor);
    Object items(ok(PySequence_Fast(args[0], "")));
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items.get()); i++) {
      TensorBody* t = body_of(PySequence_Fast_GET_ITEM(items.get(), i));
      if (t->extra && t->extra->grad) bump_version(t->extra->grad.get());
    }
    Py_RETURN_TRUE;
  });
}

PyMethodDef functions[] = {
    {"optimizer_step", method(py_optimizer_step), METH_FASTCALL,
     "Updates parameters by a rule; False where it is not covered."},
    {"grad_norm", py_grad_norm, METH_O, "The norm of all gradients, or None where it is not covered."},
    {"scale_grads", method(py_scale_grads), METH_FASTCALL, "Multiplies all gradients; False where it is not covered."},
    {"zero_grad", py_zero_grad, METH_O, "Forgets the gradients of tensors."},
    {},
};

}  // namespace

int add_optimizer(PyObject* module) { return PyModule_AddFunctions(module, functions); }

}  // namespace flambeau::python
