// The base of nn.Module: attribute reads that find parameters, buffers and submodules without a Python frame, and calls
// that go straight to forward while no hook is registered.
#include "python/python.h"
#include <vector>

namespace flambeau::python {

namespace {

struct ModuleObject {
  PyObject_HEAD
  vectorcallfunc vectorcall;
  PyObject* dict;
  PyObject* weakrefs;
  // What a call looks up in the dictionary, kept while the dictionary's version stays the same (borrowed from it).
  uint64_t version;
  PyObject* hooks[4];
  PyObject* own_forward;
};

PyTypeObject ModuleBaseType = {PyVarObject_HEAD_INIT(nullptr, 0)};
PyObject *str_forward, *str_getattr, *str_getattribute, *str_call;
PyObject* hook_names[4];
PyObject* registry_names[3];
PyObject* own_getattr = nullptr;  // the descriptors that subclasses inherit unless they say otherwise
PyObject* own_call = nullptr;
PyObject* call_with_hooks = nullptr;  // set by Python: f(module, args, kwargs)
PyObject* note_failure = nullptr;     // set by Python: f(module, error, args, kwargs)
PyObject* global_hooks = nullptr;     // the dictionary of hooks for all modules

PyObject* dict_of(PyObject* o) { return reinterpret_cast<ModuleObject*>(o)->dict; }

// A name among parameters, buffers and submodules: borrowed, or null without an error.
PyObject* find_registered(PyObject* self, PyObject* name) {
  PyObject* state = dict_of(self);
  if (!state) return nullptr;
  for (PyObject* registry : registry_names) {
    PyObject* entries = PyDict_GetItemWithError(state, registry);
    if (!entries || !PyDict_Check(entries)) continue;
    if (PyObject* found = PyDict_GetItemWithError(entries, name)) return found;
  }
  return nullptr;
}

PyObject* missing(PyObject* self, PyObject* name) {
  return PyErr_Format(PyExc_AttributeError, "'%s' object has no attribute '%U'", Py_TYPE(self)->tp_name, name);
}

PyObject* module_getattro(PyObject* self, PyObject* name) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject* descriptor = _PyType_Lookup(type, name);
  descrgetfunc get = descriptor ? Py_TYPE(descriptor)->tp_descr_get : nullptr;
  Py_XINCREF(descriptor);
  Object held(descriptor);
  bool data = get && Py_TYPE(descriptor)->tp_descr_set;
  if (data) {
    PyObject* value = get(descriptor, self, reinterpret_cast<PyObject*>(type));
    if (value || !PyErr_ExceptionMatches(PyExc_AttributeError)) return value;
    // A property that fails hides behind the registries, as it does with __getattr__.
    PyObject* found = find_registered(self, name);
    if (!found) return nullptr;
    PyErr_Clear();
    return Py_NewRef(found);
  }
  if (PyObject* state = dict_of(self)) {
    if (PyObject* value = PyDict_GetItemWithError(state, name)) return Py_NewRef(value);
    if (PyErr_Occurred()) return nullptr;
  }
  if (get) return get(descriptor, self, reinterpret_cast<PyObject*>(type));
  if (descriptor) return held.release();
  if (PyObject* found = find_registered(self, name)) return Py_NewRef(found);
  if (PyErr_Occurred()) return nullptr;
  return missing(self, name);
}

// What Python calls after an ordinary look-up failed, and what super().__getattr__ means.
PyObject* module_getattr(PyObject* self, PyObject* name) {
  if (PyObject* found = find_registered(self, name)) return Py_NewRef(found);
  if (PyErr_Occurred()) return nullptr;
  return missing(self, name);
}

// Brings what is kept of the dictionary up to date.
void refresh(ModuleObject* m) {
#if PY_VERSION_HEX < 0x030D0000
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // of 3.12, which still keeps versions
  if (m->version == reinterpret_cast<PyDictObject*>(m->dict)->ma_version_tag) return;
  m->version = reinterpret_cast<PyDictObject*>(m->dict)->ma_version_tag;
#pragma GCC diagnostic pop
#endif
  for (int i = 0; i < 4; i++) {
    PyObject* hooks = PyDict_GetItemWithError(m->dict, hook_names[i]);
    m->hooks[i] = hooks && PyDict_Check(hooks) ? hooks : nullptr;
  }
  m->own_forward = PyDict_GetItemWithError(m->dict, str_forward);
}

bool hooked(const ModuleObject* m) {
  for (PyObject* hooks : m->hooks)
    if (hooks && PyDict_GET_SIZE(hooks)) return true;
  return false;
}

// An exception leaves forward: Python adds which module, and what came in.
void explain(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  if (!note_failure || !PyErr_ExceptionMatches(PyExc_Exception)) return;
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  if (traceback) PyException_SetTraceback(value, traceback);
  Object positional(PyTuple_New(count)), keywords(PyDict_New());
  for (Py_ssize_t i = 0; i < count; i++) PyTuple_SET_ITEM(positional.get(), i, Py_NewRef(args[i]));
  for (Py_ssize_t i = 0; names && i < PyTuple_GET_SIZE(names); i++)
    PyDict_SetItem(keywords.get(), PyTuple_GET_ITEM(names, i), args[count + i]);
  Object done(PyObject_CallFunctionObjArgs(note_failure, self, value, positional.get(), keywords.get(), nullptr));
  if (!done) PyErr_Clear();
  PyErr_Restore(type, value, traceback);
}

PyObject* slow_call(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  Object positional(PyTuple_New(count)), keywords(PyDict_New());
  for (Py_ssize_t i = 0; i < count; i++) PyTuple_SET_ITEM(positional.get(), i, Py_NewRef(args[i]));
  for (Py_ssize_t i = 0; names && i < PyTuple_GET_SIZE(names); i++)
    PyDict_SetItem(keywords.get(), PyTuple_GET_ITEM(names, i), args[count + i]);
  return PyObject_CallFunctionObjArgs(call_with_hooks, self, positional.get(), keywords.get(), nullptr);
}

PyObject* run(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  auto* m = reinterpret_cast<ModuleObject*>(self);
  PyObject* result;
  if (m->dict) refresh(m);
  if (Py_EnterRecursiveCall(" while calling a module")) return nullptr;
  if (m->dict && call_with_hooks && ((global_hooks && PyDict_GET_SIZE(global_hooks)) || hooked(m))) {
    result = slow_call(self, args, count, names);
  } else {
    if (m->dict && m->own_forward) {
      Object own = Object::borrow(m->own_forward);
      result = PyObject_Vectorcall(own.get(), args, size_t(count), names);
    } else {
      Py_ssize_t total = count + (names ? PyTuple_GET_SIZE(names) : 0);
      PyObject* few[8];
      PyObject** stack = total < 8 ? few : static_cast<PyObject**>(PyMem_Malloc(size_t(total + 1) * sizeof(PyObject*)));
      stack[0] = self;
      std::copy(args, args + total, stack + 1);
      PyObject* forward = _PyType_Lookup(Py_TYPE(self), str_forward);
      if (forward && PyFunction_Check(forward)) {
        Object held = Object::borrow(forward);
        result = PyObject_Vectorcall(forward, stack, size_t(count + 1), names);
      } else {
        result = PyObject_VectorcallMethod(str_forward, stack, size_t(count + 1), names);
      }
      if (stack != few) PyMem_Free(stack);
    }
  }
  Py_LeaveRecursiveCall();
  if (!result) explain(self, args, count, names);
  return result;
}

// What super().__call__ means, and the slot of classes that define no __call__.
PyObject* module_tp_call(PyObject* self, PyObject* args, PyObject* kwargs) {
  Py_ssize_t count = PyTuple_GET_SIZE(args), named = kwargs ? PyDict_GET_SIZE(kwargs) : 0;
  if (!named) return run(self, PySequence_Fast_ITEMS(args), count, nullptr);
  std::vector<PyObject*> all(PySequence_Fast_ITEMS(args), PySequence_Fast_ITEMS(args) + count);
  Object names(PyTuple_New(named));
  if (!names) return nullptr;
  PyObject *key, *value;
  for (Py_ssize_t place = 0, k = 0; PyDict_Next(kwargs, &place, &key, &value); k++) {
    PyTuple_SET_ITEM(names.get(), k, Py_NewRef(key));
    all.push_back(value);
  }
  return run(self, all.data(), count, names.get());
}

// A __call__ assigned to the class later changes tp_call alone, so the fast way looks there first.
PyObject* module_vectorcall(PyObject* self, PyObject* const* args, size_t flags, PyObject* names) {
  Py_ssize_t count = PyVectorcall_NARGS(flags);
  ternaryfunc call = Py_TYPE(self)->tp_call;
  if (call == module_tp_call) return run(self, args, count, names);
  Object positional(PyTuple_New(count)), keywords(names ? PyDict_New() : nullptr);
  if (!positional || (names && !keywords)) return nullptr;
  for (Py_ssize_t i = 0; i < count; i++) PyTuple_SET_ITEM(positional.get(), i, Py_NewRef(args[i]));
  for (Py_ssize_t i = 0; names && i < PyTuple_GET_SIZE(names); i++)
    if (PyDict_SetItem(keywords.get(), PyTuple_GET_ITEM(names, i), args[count + i]) < 0) return nullptr;
  return call(self, positional.get(), keywords.get());
}

PyObject* module_new(PyTypeObject* type, PyObject*, PyObject*) {
  if (type->tp_flags & Py_TPFLAGS_IS_ABSTRACT) {  // object's own refuses, and names the methods that are missing
    Object none(PyTuple_New(0));
    return none ? PyBaseObject_Type.tp_new(type, none.get(), nullptr) : nullptr;
  }
  PyObject* self = type->tp_alloc(type, 0);
  if (self) {
    reinterpret_cast<ModuleObject*>(self)->vectorcall = module_vectorcall;
    reinterpret_cast<ModuleObject*>(self)->version = ~uint64_t(0);  // of no dictionary
  }
  return self;
}

int module_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(dict_of(self));  // the class is visited by the traverse function that every subclass gets
  return 0;
}
int module_clear(PyObject* self) {
  Py_CLEAR(reinterpret_cast<ModuleObject*>(self)->dict);
  return 0;
}
void module_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  if (reinterpret_cast<ModuleObject*>(self)->weakrefs) PyObject_ClearWeakRefs(self);
  module_clear(self);
  Py_TYPE(self)->tp_free(self);
}

// A subclass that defines neither __getattr__ nor __call__ keeps the fast slots; CPython would give it generic ones.
PyObject* init_subclass(PyObject* cls, PyObject* args, PyObject* kwargs) {
  Object next(PyObject_CallFunctionObjArgs(reinterpret_cast<PyObject*>(&PySuper_Type), &ModuleBaseType, cls, nullptr));
  Object rest(next ? PyObject_GetAttrString(next.get(), "__init_subclass__") : nullptr);
  Object done(rest ? PyObject_Call(rest.get(), args, kwargs) : nullptr);  // Generic and other bases beside this one
  if (!done) return nullptr;
  auto* type = reinterpret_cast<PyTypeObject*>(cls);
  PyObject* object_getattribute = _PyType_Lookup(&PyBaseObject_Type, str_getattribute);  // 3.12 hides tp_dict
  PyObject* getattribute = _PyType_Lookup(type, str_getattribute);
  bool plain = getattribute == object_getattribute || (getattribute && Py_TYPE(getattribute) == &PyWrapperDescr_Type);
  if (_PyType_Lookup(type, str_getattr) == own_getattr && plain) type->tp_getattro = module_getattro;
  if (_PyType_Lookup(type, str_call) == own_call) {
    type->tp_call = module_tp_call;
    type->tp_vectorcall_offset = offsetof(ModuleObject, vectorcall);
    type->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL;
  }
  PyType_Modified(type);
  Py_RETURN_NONE;
}

// The state that copying and pickling carry: the attributes.
PyObject* module_getstate(PyObject* self, PyObject*) {
  PyObject* state = dict_of(self);
  return state ? Py_NewRef(state) : PyDict_New();
}

PyMethodDef module_methods[] = {
    {"__getstate__", module_getstate, METH_NOARGS, nullptr},
    {"__getattr__", module_getattr, METH_O, "A parameter, buffer or submodule by its name."},
    {"__init_subclass__", method(init_subclass), METH_CLASS | METH_VARARGS | METH_KEYWORDS, nullptr},
    {}};
PyGetSetDef module_getset[] = {{"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr}, {}};

PyObject* py_set_module_handlers(PyObject*, PyObject* args) {
  PyObject *all, *hooks, *note;
  if (!PyArg_ParseTuple(args, "O!OO", &PyDict_Type, &all, &hooks, &note)) return nullptr;
  Py_XSETREF(global_hooks, Py_NewRef(all));
  Py_XSETREF(call_with_hooks, Py_NewRef(hooks));
  Py_XSETREF(note_failure, Py_NewRef(note));
  Py_RETURN_NONE;
}
PyMethodDef functions[] = {{"set_module_handlers", py_set_module_handlers, METH_VARARGS, nullptr}, {}};

}  // namespace

int add_module_base(PyObject* module) {
  str_forward = PyUnicode_InternFromString("forward");
  str_getattr = PyUnicode_InternFromString("__getattr__");
  str_getattribute = PyUnicode_InternFromString("__getattribute__");
  str_call = PyUnicode_InternFromString("__call__");
  const char* hooks[] = {"_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"};
  const char* registries[] = {"_parameters", "_modules", "_buffers"};
  for (int i = 0; i < 4; i++) hook_names[i] = PyUnicode_InternFromString(hooks[i]);
  for (int i = 0; i < 3; i++) registry_names[i] = PyUnicode_InternFromString(registries[i]);
  PyTypeObject& t = ModuleBaseType;
  t.tp_name = "flambeau._C.ModuleBase";
  t.tp_basicsize = sizeof(ModuleObject);
  t.tp_dictoffset = offsetof(ModuleObject, dict);
  t.tp_weaklistoffset = offsetof(ModuleObject, weakrefs);
  t.tp_vectorcall_offset = offsetof(ModuleObject, vectorcall);
  t.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL;
  t.tp_new = module_new;
  t.tp_call = module_tp_call;
  t.tp_getattro = module_getattro;
  t.tp_setattro = PyObject_GenericSetAttr;
  t.tp_dealloc = module_dealloc;
  t.tp_traverse = module_traverse;
  t.tp_clear = module_clear;
  t.tp_methods = module_methods;
  t.tp_getset = module_getset;
  t.tp_doc = "The base of nn.Module.";
  if (PyType_Ready(&t) < 0) return -1;
  own_getattr = PyDict_GetItemString(t.tp_dict, "__getattr__");
  own_call = PyDict_GetItemString(t.tp_dict, "__call__");
  if (PyModule_AddObjectRef(module, "ModuleBase", reinterpret_cast<PyObject*>(&t)) < 0) return -1;
  return PyModule_AddFunctions(module, functions);
}

}  // namespace flambeau::python
