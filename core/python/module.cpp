// flambeau._C: everything of the core that Python sees.
#include "base/blas.h"
#include "base/cpu.h"
#include "base/parallel.h"
#include "base/random.h"
#include "python/python.h"

namespace flambeau::python {

namespace {

PyObject* override_handler = nullptr;
Py_ssize_t split_regions = 0;  // guarded by the GIL
thread_local bool overrides_off = false;

PyObject* py_set_num_threads(PyObject*, PyObject* n) {
  return guarded([&]() -> PyObject* {
    long count = PyLong_AsLong(n);
    if (PyErr_Occurred()) throw PythonError();
    if (count <= 0) raise(PyExc_RuntimeError, "set_num_threads expects a positive integer");
    set_num_threads(int(count));
    Py_RETURN_NONE;
  });
}
PyObject* py_get_num_threads(PyObject*, PyObject*) { return PyLong_FromLong(num_threads()); }
PyObject* py_get_default_dtype(PyObject*, PyObject*) { return Py_NewRef(dtype_object(default_dtype())); }
PyObject* py_set_default_dtype(PyObject*, PyObject* o) {
  return guarded([&]() -> PyObject* {
    if (!is_dtype(o)) raise(PyExc_TypeError, "invalid dtype object");
    DType t = dtype_of_object(o);
    if (!is_floating(t)) raise(PyExc_TypeError, "only floating-point types are supported as the default type");
    set_default_dtype(t);
    Py_RETURN_NONE;
  });
}
PyObject* py_promote_types(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    if (n != 2 || !is_dtype(args[0]) || !is_dtype(args[1]))
      raise(PyExc_TypeError, "promote_types(type1, type2) takes two dtypes");
    return Py_NewRef(dtype_object(promote_types(dtype_of_object(args[0]), dtype_of_object(args[1]))));
  });
}
PyObject* py_can_cast(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    if (n != 2 || !is_dtype(args[0]) || !is_dtype(args[1]))
      raise(PyExc_TypeError, "can_cast(from_, to) takes two dtypes");
    return PyBool_FromLong(can_cast(dtype_of_object(args[0]), dtype_of_object(args[1])));
  });
}
PyObject* py_result_type(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    std::vector<Value> values;
    std::deque<Complex128> rooms(static_cast<size_t>(n));
    for (Py_ssize_t i = 0; i < n; i++)
      values.push_back(is_tensor(args[i]) ? Value(body_of(args[i])) : number_of(args[i], rooms[size_t(i)]));
    return Py_NewRef(dtype_object(result_type(values)));
  });
}
PyObject* py_info(PyObject*, PyObject*) {
  return guarded([&]() -> PyObject* {
    const CpuFeatures& f = cpu_features();
    return Py_BuildValue("{s:s,s:s,s:O,s:O,s:O,s:O,s:O,s:i,s:s,s:n,s:n,s:n}", "cpu", f.name.c_str(), "isa",
                         name_of(chosen_isa()), "avx2", f.avx2 ? Py_True : Py_False, "avx512",
                         f.avx512 ? Py_True : Py_False, "avx512_bf16", f.avx512_bf16 ? Py_True : Py_False,
                         "avx512_vnni", f.avx512_vnni ? Py_True : Py_False, "f16c", f.f16c ? Py_True : Py_False,
                         "threads", num_threads(), "blas_core", blas_core().c_str(), "l1", Py_ssize_t(f.l1), "l2",
                         Py_ssize_t(f.l2), "l3", Py_ssize_t(f.l3));
  });
}
PyObject* py_set_blas_path(PyObject*, PyObject* path) {
  const char* text = PyUnicode_AsUTF8(path);
  if (!text) return nullptr;
  set_blas_path(text);
  Py_RETURN_NONE;
}
PyObject* py_set_cpu_device(PyObject*, PyObject* o) {
  Py_XSETREF(cpu_device, Py_NewRef(o));
  Py_RETURN_NONE;
}
PyObject* py_set_parameter_type(PyObject*, PyObject* o) {
  ParameterType = reinterpret_cast<PyTypeObject*>(Py_NewRef(o));
  Py_RETURN_NONE;
}
PyObject* py_set_override_handler(PyObject*, PyObject* o) {
  Py_XSETREF(override_handler, Py_NewRef(o));
  Py_RETURN_NONE;
}
PyObject* py_disable_overrides(PyObject*, PyObject* on) {
  return guarded([&] {
    bool wanted = truth(on);
    return PyBool_FromLong(std::exchange(overrides_off, wanted));
  });
}
PyObject* py_memory_stats(PyObject*, PyObject*) {
  MemoryStats s = memory_stats();
  return Py_BuildValue("{s:n,s:n,s:n}", "in_use", Py_ssize_t(s.in_use), "cached", Py_ssize_t(s.cached), "peak",
                       Py_ssize_t(s.peak));
}
PyObject* py_split_regions(PyObject*, PyObject*) { return PyLong_FromSsize_t(split_regions); }
PyObject* py_release_cached(PyObject*, PyObject*) {
  release_cached();
  Py_RETURN_NONE;
}

PyMethodDef functions[] = {
    {"set_num_threads", py_set_num_threads, METH_O, "How many threads kernels use from now on."},
    {"get_num_threads", py_get_num_threads, METH_NOARGS, "How many threads kernels use."},
    {"get_default_dtype", py_get_default_dtype, METH_NOARGS, "The type that Python floats become."},
    {"set_default_dtype", py_set_default_dtype, METH_O, "The type that Python floats become from now on."},
    {"promote_types", method(py_promote_types), METH_FASTCALL, "The smallest type that holds both."},
    {"can_cast", method(py_can_cast), METH_FASTCALL, "Whether a result of one type may be written into another."},
    {"result_type", method(py_result_type), METH_FASTCALL, "The type that an operation on these operands computes in."},
    {"info", py_info, METH_NOARGS, "What the processor can do and what was chosen."},
    {"set_blas_path", py_set_blas_path, METH_O, nullptr},
    {"set_cpu_device", py_set_cpu_device, METH_O, nullptr},
    {"set_parameter_type", py_set_parameter_type, METH_O, nullptr},
    {"set_override_handler", py_set_override_handler, METH_O, nullptr},
    {"disable_overrides", py_disable_overrides, METH_O, nullptr},
    {"memory_stats", py_memory_stats, METH_NOARGS, "Bytes in use, cached, and at most in use so far."},
    {"split_regions", py_split_regions, METH_NOARGS,
     "How often the work of a call was handed to several threads so far."},
    {"release_cached", py_release_cached, METH_NOARGS, "Gives cached memory back to the system."},
    {}};

void* leave_region() {
  if (!PyGILState_Check()) return nullptr;
  split_regions++;
  return PyEval_SaveThread();
}
void enter_region(void* state) {
  if (state) PyEval_RestoreThread(static_cast<PyThreadState*>(state));
}

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "flambeau._C", "The core.", -1, functions, nullptr, nullptr, nullptr, nullptr};

}  // namespace

// Asks the operands' classes. Null without an error: nobody wanted the call.
PyObject* call_override(PyObject* op, PyObject* const* args, size_t positional, PyObject* names) {
  if (overrides_off || !override_handler) return nullptr;
  Object tuple(PyTuple_New(Py_ssize_t(positional))), kwargs(PyDict_New());
  for (size_t i = 0; i < positional; i++) PyTuple_SET_ITEM(tuple.get(), Py_ssize_t(i), Py_NewRef(args[i]));
  for (Py_ssize_t n = 0; names && n < PyTuple_GET_SIZE(names); n++)
    PyDict_SetItem(kwargs.get(), PyTuple_GET_ITEM(names, n), args[positional + size_t(n)]);
  return PyObject_CallFunctionObjArgs(override_handler, op, tuple.get(), kwargs.get(), nullptr);
}

}  // namespace flambeau::python

PyMODINIT_FUNC PyInit__C() {
  using namespace flambeau::python;
  Object module(PyModule_Create(&definition));
  if (!module) return nullptr;
  flambeau::set_region_hooks({leave_region, enter_region});
  for (auto add :
       {add_small_types, wrap_init, add_ops, add_conversions, add_autograd, add_levels, add_module_base, add_optimizer})
    if (add(module.get()) < 0) return nullptr;
  return module.release();
}
