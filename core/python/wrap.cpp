// The life of a tensor's Python side.
//
// Asleep: nobody in Python knows the tensor; the header is blank. Awake: Python's references together hold one C++
// reference. Kept: Python's last reference went while C++ holds the tensor and the Python side has state of its own (a
// subclass, attributes, weak references); now C++ holds the Python object, with a count of one.
#include "python/python.h"

namespace flambeau::python {

PyTypeObject* ParameterType = nullptr;

static PyObject*& weakrefs_of(TensorBody* t) { return reinterpret_cast<PyObject*&>(t->python.words[5]); }

// The collector's two words are zero unless it has the object in its lists.
static bool tracked(TensorBody* t) { return t->python.words[0]; }

void track(TensorBody* t) {
  PyObject* o = header_of(t);
  if (t->python_state != kAsleep && !tracked(t)) PyObject_GC_Track(o);
}

static void wake(TensorBody* t, PyTypeObject* type) {
  PyObject* o = header_of(t);
  if (type != &TensorType) Py_INCREF(type);
  o->ob_refcnt = 1;
  o->ob_type = type;
  t->python_state = kAwake;
  if (t->grad_fn || (t->extra && t->extra->hooks) || type != &TensorType) PyObject_GC_Track(o);
}

FLAMBEAU_INLINE static void blank(TensorBody* t) {
  PyTypeObject* type = Py_TYPE(header_of(t));
  if (tracked(t)) PyObject_GC_UnTrack(header_of(t));
  for (void*& word : t->python.words) word = nullptr;
  t->python_state = kAsleep;
  if (type != &TensorType) Py_DECREF(type);
}

PyObject* wrap(Tensor t) {
  TensorBody* b = t.detach();
  if (!b) Py_RETURN_NONE;
  PyObject* o = header_of(b);
  switch (b->python_state) {
    case kAsleep: wake(b, &TensorType); break;
    case kAwake:
      Py_INCREF(o);
      b->release();  // Python holds one already
      if (b->grad_fn && !tracked(b)) PyObject_GC_Track(o);
      break;
    case kKept:
      b->python_state = kAwake;
      kept_by_graphs--;
      break;  // C++'s hold becomes the caller's, t's reference becomes Python's
  }
  return o;
}

PyObject* wrap_as(Tensor t, PyTypeObject* type) {
  TensorBody* b = t.detach();
  check(b->python_state == kAsleep, "a tensor that Python knows keeps its class");
  wake(b, type);
  return header_of(b);
}

static void tensor_dealloc(PyObject* o) {
  TensorBody* t = body_of(o);
  bool has_state = Py_TYPE(o) != &TensorType || dict_of(t) || weakrefs_of(t);
  if (t->refs.load(std::memory_order_acquire) > 1) {
    if (!has_state) {
      blank(t);
    } else {
      o->ob_refcnt = 1;
      t->python_state = kKept;
      keep_one();
    }
    t->release();
    return;
  }
  if (Py_TYPE(o)->tp_finalize && PyObject_CallFinalizerFromDealloc(o) < 0) return;  // it lives on
  if (has_state) {
    if (tracked(t)) PyObject_GC_UnTrack(o);
    if (weakrefs_of(t)) PyObject_ClearWeakRefs(o);
    Py_CLEAR(dict_of(t));
  }
  blank(t);
  t->destroy();
}

// While the interpreter ends it no longer counts as initialized, but still collects: kept tensors must leave its lists.
static bool python_lives() { return Py_IsInitialized() || PyGILState_GetThisThreadState(); }

// C++'s last reference to a kept tensor went.
static bool dispose(TensorBody* t) {
  if (t->python_state != kKept || !python_lives()) return false;
  PyGILState_STATE gil = PyGILState_Ensure();
  kept_by_graphs--;
  t->python_state = kAwake;
  t->refs.store(1);
  Py_DECREF(header_of(t));
  PyGILState_Release(gil);
  return true;
}

// The class is visited by the traverse function that every subclass gets.
static int tensor_traverse(PyObject* o, visitproc visit, void* arg) { return traverse_tensor(body_of(o), visit, arg); }

static int tensor_clear(PyObject* o) {
  TensorBody* t = body_of(o);
  if (!may_clear(t)) return 0;
  Py_CLEAR(dict_of(t));
  clear_graph(t);
  return 0;
}

// With attributes of its own a tensor can be part of a cycle.
static int tensor_setattr(PyObject* o, PyObject* name, PyObject* value) {
  int status = PyObject_GenericSetAttr(o, name, value);
  if (status == 0 && dict_of(body_of(o))) track(body_of(o));
  return status;
}

// Subclasses get Python's own deallocation, which would clear attributes before we can refuse to die; ours replaces it.
static PyObject* meta_new(PyTypeObject* meta, PyObject* args, PyObject* kwargs) {
  PyObject* type = PyType_Type.tp_new(meta, args, kwargs);
  if (!type) return nullptr;
  auto* made = reinterpret_cast<PyTypeObject*>(type);
  if (made->tp_basicsize != TensorType.tp_basicsize) {
    PyErr_SetString(PyExc_TypeError, "nonempty __slots__ are not supported for subclasses of Tensor");
    Py_DECREF(type);
    return nullptr;
  }
  made->tp_dealloc = tensor_dealloc;
  return type;
}

PyTypeObject TensorMetaType = {PyVarObject_HEAD_INIT(nullptr, 0)};
PyTypeObject TensorType = {PyVarObject_HEAD_INIT(nullptr, 0)};

bool overrides(PyObject* o) {
  PyTypeObject* type = Py_TYPE(o);
  return type != &TensorType && type != ParameterType;
}

int wrap_init(PyObject* module) {
  python_dispose = dispose;
  TensorMetaType.tp_name = "flambeau._C.TensorMeta";
  TensorMetaType.tp_base = &PyType_Type;
  TensorMetaType.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE;
  TensorMetaType.tp_new = meta_new;
  if (PyType_Ready(&TensorMetaType) < 0) return -1;

  PyTypeObject& t = TensorType;
  Py_SET_TYPE(&t, &TensorMetaType);
  t.tp_name = "flambeau.Tensor";
  t.tp_basicsize = sizeof(TensorBody) - 2 * sizeof(void*);
  t.tp_dictoffset = 2 * sizeof(void*);
  t.tp_weaklistoffset = 3 * sizeof(void*);
  t.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC;
  t.tp_dealloc = tensor_dealloc;
  t.tp_traverse = tensor_traverse;
  t.tp_clear = tensor_clear;
  t.tp_setattro = tensor_setattr;
  t.tp_free = PyObject_GC_Del;
  t.tp_new = tensor_new;
  t.tp_as_number = &tensor_number;
  t.tp_as_sequence = &tensor_sequence;
  t.tp_as_mapping = &tensor_mapping;
  t.tp_as_buffer = &tensor_buffer;
  t.tp_richcompare = tensor_compare;
  t.tp_hash = reinterpret_cast<hashfunc>(_Py_HashPointer);
  t.tp_iter = tensor_iter;
  t.tp_methods = tensor_methods;
  t.tp_getset = tensor_getset;
  t.tp_doc = "An n-dimensional array of one element type, on one device, that can record what is done to it.";
  if (PyType_Ready(&t) < 0) return -1;
  t.tp_flags &= ~Py_TPFLAGS_IMMUTABLETYPE;  // methods are added from Python, by us and by users
  if (PyModule_AddObjectRef(module, "TensorMeta", reinterpret_cast<PyObject*>(&TensorMetaType)) < 0) return -1;
  return PyModule_AddObjectRef(module, "Tensor", reinterpret_cast<PyObject*>(&t));
}

}  // namespace flambeau::python
