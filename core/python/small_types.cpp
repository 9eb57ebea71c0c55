// dtype, Size and Generator.
#include "base/random.h"
#include "python/python.h"

namespace flambeau::python {

PyObject* cpu_device = nullptr;

// ---- dtype ----
struct DTypeObject {
  PyObject_HEAD
  DType dtype;
};
static PyObject* dtypes[kDTypes];

static PyObject* dtype_repr(PyObject* self) {
  return PyUnicode_FromFormat("torch.%s", name_of(reinterpret_cast<DTypeObject*>(self)->dtype));
}
static DType get(PyObject* self) { return reinterpret_cast<DTypeObject*>(self)->dtype; }
static PyObject* dtype_reduce(PyObject* self, PyObject*) { return PyUnicode_FromString(name_of(get(self))); }
static PyObject* dtype_itself(PyObject* self, PyObject*) { return Py_NewRef(self); }
static PyObject* to_real(PyObject* self, PyObject*) { return Py_NewRef(dtypes[int(real_of(get(self)))]); }
static PyObject* to_complex(PyObject* self, PyObject*) { return Py_NewRef(dtypes[int(complex_of(get(self)))]); }
static PyObject* dtype_is_floating(PyObject* self, void*) { return PyBool_FromLong(is_floating(get(self))); }
static PyObject* dtype_is_complex(PyObject* self, void*) { return PyBool_FromLong(is_complex(get(self))); }
static PyObject* dtype_is_signed(PyObject* self, void*) {
  return PyBool_FromLong(get(self) != DType::Bool && get(self) != DType::UInt8);
}
static PyObject* dtype_itemsize(PyObject* self, void*) { return PyLong_FromSize_t(item_size(get(self))); }

static PyMethodDef dtype_methods[] = {
    {"__reduce__", dtype_reduce, METH_NOARGS, nullptr},
    {"__deepcopy__", dtype_itself, METH_O, nullptr},
    {"__copy__", dtype_itself, METH_NOARGS, nullptr},
    {"to_real", to_real, METH_NOARGS, "The real type of a complex one; others are themselves."},
    {"to_complex", to_complex, METH_NOARGS, "The complex type with this one's precision."},
    {}};
static PyGetSetDef dtype_getset[] = {
    {"is_floating_point", dtype_is_floating, nullptr, "Whether this is a real floating type.", nullptr},
    {"is_complex", dtype_is_complex, nullptr, "Whether this is a complex type.", nullptr},
    {"is_signed", dtype_is_signed, nullptr, "Whether negative numbers have a place.", nullptr},
    {"itemsize", dtype_itemsize, nullptr, "Bytes of one element.", nullptr},
    {}};
PyTypeObject DTypeType = {PyVarObject_HEAD_INIT(nullptr, 0)};

PyObject* dtype_object(DType t) { return dtypes[int(t)]; }
bool is_dtype(PyObject* o) {
  return Py_TYPE(o) == &DTypeType || o == reinterpret_cast<PyObject*>(&PyFloat_Type) ||
         o == reinterpret_cast<PyObject*>(&PyLong_Type) || o == reinterpret_cast<PyObject*>(&PyBool_Type) ||
         o == reinterpret_cast<PyObject*>(&PyComplex_Type);
}
DType dtype_of_object(PyObject* o) {
  if (Py_TYPE(o) == &DTypeType) return get(o);
  if (o == reinterpret_cast<PyObject*>(&PyFloat_Type)) return DType::Float64;
  if (o == reinterpret_cast<PyObject*>(&PyLong_Type)) return DType::Int64;
  if (o == reinterpret_cast<PyObject*>(&PyBool_Type)) return DType::Bool;
  return complex_of(default_dtype());
}

// ---- Size ----
PyTypeObject SizeType = {PyVarObject_HEAD_INIT(nullptr, 0)};

// Short ones are kept to be used again, as Python keeps tuples. They hold nothing but numbers, so that the collector of
// cycles need not know of them.
constexpr Py_ssize_t kShort = 6;
constexpr int kKeptSizes = 16;
static struct {
  PyObject* of[kKeptSizes];
  int count;
} kept_sizes[kShort + 1];

static PyObject* new_size(Py_ssize_t n) {
  if (n <= kShort && kept_sizes[n].count) {
    PyObject* size = kept_sizes[n].of[--kept_sizes[n].count];
    _Py_NewReference(size);
    return size;
  }
  PyTupleObject* size = PyObject_GC_NewVar(PyTupleObject, &SizeType, n);
  if (size) std::fill_n(size->ob_item, n, nullptr);
  return reinterpret_cast<PyObject*>(size);
}
static void size_dealloc(PyObject* size) {
  const Py_ssize_t n = PyTuple_GET_SIZE(size);
  if (Py_TYPE(size) != &SizeType || n > kShort || kept_sizes[n].count == kKeptSizes)
    return PyTuple_Type.tp_dealloc(size);
  PyObject_GC_UnTrack(size);  // where Size(...) made it
  for (Py_ssize_t i = 0; i < n; i++) Py_CLEAR(reinterpret_cast<PyTupleObject*>(size)->ob_item[i]);
  auto& kept = kept_sizes[n];
  if (kept.count == kKeptSizes) return PyObject_GC_Del(size);  // a number of a class of its own may have freed more
  kept.of[kept.count++] = size;
}

PyObject* make_size(Ints sizes) {
  PyObject* tuple = new_size(Py_ssize_t(sizes.size()));
  if (!tuple) return nullptr;
  for (size_t i = 0; i < sizes.size(); i++) PyTuple_SET_ITEM(tuple, i, PyLong_FromLongLong(sizes[i]));
  return tuple;
}

static PyObject* checked_entry(PyObject* entry, Py_ssize_t i) {  // a new reference to a number
  PyObject* number = PyLong_Check(entry) ? Py_NewRef(entry) : PyNumber_Index(entry);
  if (number && PyLong_AsLongLong(number) == -1 && PyErr_Occurred()) {
    PyErr_SetString(PyExc_ValueError, "Overflow when unpacking long long");
    Py_CLEAR(number);
  } else if (!number)
    PyErr_Format(PyExc_TypeError, "torch.Size() takes an iterable of 'int' (item %zd is '%s')", i,
                 Py_TYPE(entry)->tp_name);
  return number;
}

static PyObject* as_size(PyObject* tuple) {  // steals
  if (!tuple || !PyTuple_CheckExact(tuple)) return tuple;
  Object owned(tuple);
  Object size(new_size(PyTuple_GET_SIZE(tuple)));
  for (Py_ssize_t i = 0; size && i < PyTuple_GET_SIZE(tuple); i++) {
    PyObject* number = checked_entry(PyTuple_GET_ITEM(tuple, i), i);
    if (!number) return nullptr;
    PyTuple_SET_ITEM(size.get(), i, number);
  }
  return size.release();
}

static PyObject* size_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  PyObject* self = PyTuple_Type.tp_new(type, args, kwargs);
  if (!self) return nullptr;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self); i++) {
    PyObject* entry = PyTuple_GET_ITEM(self, i);
    PyObject* number = checked_entry(entry, i);
    if (!number) {
      Py_DECREF(self);
      return nullptr;
    }
    PyTuple_SET_ITEM(self, i, number);
    Py_DECREF(entry);
  }
  return self;
}
static PyObject* size_repr(PyObject* self) {
  std::string text = "torch.Size([";
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self); i++)
    text += (i ? ", " : "") + std::to_string(PyLong_AsLongLong(PyTuple_GET_ITEM(self, i)));
  return PyUnicode_FromString((text + "])").c_str());
}
static PyObject* size_numel(PyObject* self, PyObject*) {
  uint64_t n = 1;  // wraps around, as PyTorch's
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self); i++) n *= uint64_t(PyLong_AsLongLong(PyTuple_GET_ITEM(self, i)));
  return PyLong_FromLongLong(int64_t(n));
}
static PyObject* size_reduce(PyObject* self, PyObject*) {
  Object tuple(PySequence_Tuple(self));
  if (tuple && PyTuple_CheckExact(tuple.get()) == 0) return nullptr;
  Object plain(PyTuple_New(PyTuple_GET_SIZE(self)));
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self); i++)
    PyTuple_SET_ITEM(plain.get(), i, Py_NewRef(PyTuple_GET_ITEM(self, i)));
  Object module(
      PyImport_ImportModule("flambeau._tensor"));  // the type calls itself torch.Size, which pickle would look for
  if (!module) return nullptr;
  Object make(PyObject_GetAttrString(module.get(), "_size"));
  return make ? Py_BuildValue("O(O)", make.get(), plain.get()) : nullptr;
}
// Also with a plain tuple on the left, whose own addition would make a plain tuple.
static PyObject* size_add(PyObject* a, PyObject* b) {
  if (!PyTuple_Check(a) || !PyTuple_Check(b)) Py_RETURN_NOTIMPLEMENTED;
  return as_size(PyTuple_Type.tp_as_sequence->sq_concat(a, b));
}
static PyObject* size_concat(PyObject* a, PyObject* b) { return as_size(PyTuple_Type.tp_as_sequence->sq_concat(a, b)); }
static PyObject* size_repeat(PyObject* a, Py_ssize_t n) {
  PyObject* r = PyTuple_Type.tp_as_sequence->sq_repeat(a, n);
  return as_size(r);
}
static PyObject* size_subscript(PyObject* a, PyObject* i) {
  PyObject* r = PyTuple_Type.tp_as_mapping->mp_subscript(a, i);
  return PySlice_Check(i) ? as_size(r) : r;
}
static PySequenceMethods size_sequence = {};
static PyMappingMethods size_mapping = {};
static PyMethodDef size_methods[] = {
    {"numel", size_numel, METH_NOARGS, "The number of elements of a tensor of this size."},
    {"__reduce__", size_reduce, METH_NOARGS, nullptr},
    {}};

// ---- Generator ----
PyTypeObject GeneratorType = {PyVarObject_HEAD_INIT(nullptr, 0)};
static PyObject* generator_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  auto* self = reinterpret_cast<GeneratorObject*>(type->tp_alloc(type, 0));
  if (self) {
    self->generator = new Generator();
    self->owned = true;
  }
  return reinterpret_cast<PyObject*>(self);
}
static void generator_dealloc(PyObject* o) {
  auto* self = reinterpret_cast<GeneratorObject*>(o);
  if (self->owned) delete self->generator;
  Py_TYPE(o)->tp_free(o);
}
static Generator& engine(PyObject* o) { return *reinterpret_cast<GeneratorObject*>(o)->generator; }
static PyObject* generator_manual_seed(PyObject* self, PyObject* seed) {
  return guarded([&]() -> PyObject* {
    Object number(ok(PyNumber_Index(seed)));
    int overflow = 0;
    long long value = PyLong_AsLongLongAndOverflow(number.get(), &overflow);
    uint64_t bits = uint64_t(value);
    if (overflow) {
      bits = PyLong_AsUnsignedLongLong(number.get());
      if (PyErr_Occurred()) {
        PyErr_Clear();
        raise(PyExc_RuntimeError, "Overflow when unpacking long long");
      }
    }
    engine(self).seed(bits);
    return Py_NewRef(self);
  });
}
static PyObject* generator_initial_seed(PyObject* self, PyObject*) {
  return PyLong_FromUnsignedLongLong(engine(self).initial_seed());
}
static PyObject* generator_seed(PyObject* self, PyObject*) {
  return PyLong_FromUnsignedLongLong(engine(self).seed_from_system());
}
static PyObject* generator_get_state(PyObject* self, PyObject*) {
  return guarded([&]() -> PyObject* {
    Tensor t = empty(Dims{int64_t(Generator::kStateBytes)}, DType::UInt8);
    engine(self).get_state(t.data_as<unsigned char>());
    return wrap(t);
  });
}
static PyObject* generator_set_state(PyObject* self, PyObject* state) {
  return guarded([&]() -> PyObject* {
    if (!is_tensor(state) || body_of(state)->dtype != DType::UInt8)
      raise(PyExc_TypeError, "expected a torch.ByteTensor, but got " + std::string(Py_TYPE(state)->tp_name));
    Tensor t = tensor_of(state);
    engine(self).set_state(t.data_as<unsigned char>(), size_t(t.numel()));
    return Py_NewRef(self);
  });
}
static PyObject* generator_clone_state(PyObject* self, PyObject*) {
  Object made(PyObject_CallNoArgs(reinterpret_cast<PyObject*>(&GeneratorType)));
  Object state(made ? generator_get_state(self, nullptr) : nullptr);
  if (!state) return nullptr;
  return generator_set_state(made.get(), state.get());
}
static PyObject* generator_device(PyObject*, void*) { return Py_NewRef(cpu_device ? cpu_device : Py_None); }
static PyMethodDef generator_methods[] = {
    {"manual_seed", generator_manual_seed, METH_O, "Starts the stream that this number names; returns the generator."},
    {"initial_seed", generator_initial_seed, METH_NOARGS, "The number that the stream started from."},
    {"seed", generator_seed, METH_NOARGS, "Starts a stream from a random number, and returns that number."},
    {"get_state", generator_get_state, METH_NOARGS, "The state as a uint8 tensor."},
    {"clone_state", generator_clone_state, METH_NOARGS, "A generator of its own at the same place of the stream."},
    {"set_state", generator_set_state, METH_O, "Takes up a state that get_state gave."},
    {}};
static PyGetSetDef generator_getset[] = {{"device", generator_device, nullptr, "Where it draws: the CPU.", nullptr},
                                         {}};

int add_small_types(PyObject* module) {
  DTypeType.tp_name = "torch.dtype";
  DTypeType.tp_basicsize = sizeof(DTypeObject);
  DTypeType.tp_flags = Py_TPFLAGS_DEFAULT;
  DTypeType.tp_repr = dtype_repr;
  DTypeType.tp_methods = dtype_methods;
  DTypeType.tp_getset = dtype_getset;
  if (PyType_Ready(&DTypeType) < 0) return -1;
  for (int i = 0; i < kDTypes; i++) {
    auto* o = PyObject_New(DTypeObject, &DTypeType);
    o->dtype = DType(i);
    dtypes[i] = reinterpret_cast<PyObject*>(o);
    if (PyModule_AddObjectRef(module, name_of(DType(i)), dtypes[i]) < 0) return -1;
  }
  size_sequence.sq_concat = size_concat;
  static PyNumberMethods size_number;
  size_number.nb_add = size_add;
  SizeType.tp_as_number = &size_number;
  size_sequence.sq_repeat = size_repeat;
  size_mapping.mp_subscript = size_subscript;
  SizeType.tp_name = "torch.Size";
  SizeType.tp_base = &PyTuple_Type;
  SizeType.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE;
  SizeType.tp_new = size_new;
  SizeType.tp_dealloc = size_dealloc;
  SizeType.tp_repr = size_repr;
  SizeType.tp_methods = size_methods;
  SizeType.tp_as_sequence = &size_sequence;
  SizeType.tp_as_mapping = &size_mapping;
  if (PyType_Ready(&SizeType) < 0) return -1;
  GeneratorType.tp_name = "flambeau.Generator";
  GeneratorType.tp_basicsize = sizeof(GeneratorObject);
  GeneratorType.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE;
  GeneratorType.tp_new = generator_new;
  GeneratorType.tp_dealloc = generator_dealloc;
  GeneratorType.tp_methods = generator_methods;
  GeneratorType.tp_getset = generator_getset;
  GeneratorType.tp_doc = "A stream of random numbers, the same as PyTorch's for the same seed.";
  if (PyType_Ready(&GeneratorType) < 0) return -1;
  auto* standard = PyObject_New(GeneratorObject, &GeneratorType);
  standard->generator = &default_generator();
  standard->owned = false;
  if (PyModule_AddObject(module, "default_generator", reinterpret_cast<PyObject*>(standard)) < 0) return -1;
  if (PyModule_AddObjectRef(module, "Generator", reinterpret_cast<PyObject*>(&GeneratorType)) < 0) return -1;
  if (PyModule_AddObjectRef(module, "dtype", reinterpret_cast<PyObject*>(&DTypeType)) < 0) return -1;
  return PyModule_AddObjectRef(module, "Size", reinterpret_cast<PyObject*>(&SizeType));
}

}  // namespace flambeau::python
