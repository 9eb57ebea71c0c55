// Data in and out: Python numbers and nested sequences, NumPy arrays, the buffer protocol, DLPack.
#include "python/python.h"
#include "tensor/copy.h"

namespace flambeau::python {

// ---- elements ----
PyObject* element(const char* data, DType dtype) {
  if (is_bool(dtype)) return PyBool_FromLong(*data);
  if (is_integral(dtype)) return PyLong_FromLongLong(load_integer(data, dtype));
  Complex128 v = load_number(data, dtype);
  if (is_complex(dtype)) return PyComplex_FromDoubles(v.re, v.im);
  return PyFloat_FromDouble(v.re);
}

PyObject* item(const Tensor& t) {
  if (t.numel() != 1)
    raise(PyExc_RuntimeError, str("a Tensor with ", t.numel(), " elements cannot be converted to Scalar"));
  if (t->keys & kBatched)
    raise(PyExc_RuntimeError,
          "vmap: It looks like you're calling .item() on a Tensor. We don't support vmap over calling .item() on a "
          "Tensor, please try to rewrite what you're doing with other operations.");
  return element(t.data(), t.dtype());
}

static PyObject* to_list(const Tensor& t, int dim, const char* data) {
  if (dim == t.dim()) return ok(element(data, t.dtype()));
  Object list(ok(PyList_New(Py_ssize_t(t.size(dim)))));
  for (int64_t i = 0; i < t.size(dim); i++)
    PyList_SET_ITEM(list.get(), i, to_list(t, dim + 1, data + i * t.stride(dim) * int64_t(item_size(t.dtype()))));
  return list.release();
}

// ---- from Python data ----
namespace {

struct Shape {
  Dims sizes;
  std::vector<DType> types;  // kinds of numbers met; one is kept, the widest
  int kind = -1;             // 0 bool, 1 int, 2 float, 3 complex
  bool tensors = false;
  DType tensor_type = DType::Bool;
};

int kind_of_number(PyObject* o) {
  Complex128 room;
  Value v = number_of(o, room);
  switch (v.kind) {
    case Kind::Bool: return 0;
    case Kind::Int: return 1;
    case Kind::Double: return 2;
    case Kind::Complex: return 3;
    default: return -1;
  }
}

bool is_array(PyObject* o) {
  return PyObject_HasAttrString(o, "__array_interface__") || PyObject_HasAttrString(o, "__array__");
}

void look(PyObject* o, Shape& s, int depth) {
  PyObject* at = o;
  // The shape is that of the first entries; fill() checks the rest.
  Object held = Object::borrow(o);
  if (PyFloat_CheckExact(at) || PyLong_CheckExact(at)) {
    s.kind = std::max(s.kind, PyFloat_CheckExact(at) ? 2 : 1);
    return;
  }
  if (is_tensor(at)) {
    Tensor t = tensor_of(at);
    if (s.sizes.size() == depth)
      for (int64_t n : t.sizes()) s.sizes.push_back(n);
    s.tensor_type = s.tensors ? promote_types(s.tensor_type, t.dtype()) : t.dtype();
    s.tensors = true;
    return;
  }
  if (PySequence_Check(at) && !PyUnicode_Check(at) && !PyBytes_Check(at)) {
    Py_ssize_t n = PySequence_Size(at);
    ok(int(n < 0 ? -1 : 0));
    if (s.sizes.size() == depth) s.sizes.push_back(n);
    if (depth > 64) raise(PyExc_ValueError, "too many dimensions");
    for (Py_ssize_t i = 0; i < n; i++) {
      Object entry(ok(PySequence_GetItem(at, i)));
      look(entry.get(), s, depth + 1);
    }
    return;
  }
  int kind = kind_of_number(at);
  if (kind < 0) {
    if (PyErr_Occurred()) throw PythonError();
    if (PyUnicode_Check(at)) raise(PyExc_TypeError, "new(): invalid data type 'str'");
    raise(PyExc_RuntimeError, str("Could not infer dtype of ", Py_TYPE(at)->tp_name));
  }
  s.kind = std::max(s.kind, kind);
}

void fill(PyObject* o, const Tensor& t, int dim, char* data) {
  if (dim == t.dim()) {
    if (PyFloat_CheckExact(o) && t.dtype() == DType::Float32) {
      *reinterpret_cast<float*>(data) = float(PyFloat_AS_DOUBLE(o));
      return;
    }
    Complex128 room;
    Value v;
    if (is_tensor(o) && body_of(o)->numel == 1) {
      Object e(ok(item(tensor_of(o))));
      v = number_of(e.get(), room);
    } else {
      v = number_of(o, room);
    }
    if (v.none()) {
      if (PyErr_Occurred()) throw PythonError();
      if (PySequence_Check(o))
        raise(PyExc_ValueError,
              str("expected sequence of length ", 0, " at dim ", dim, " (got ", PySequence_Size(o), ")"));
      raise(PyExc_TypeError, str("must be real number, not ", Py_TYPE(o)->tp_name));
    }
    if (v.kind == Kind::Complex && !is_complex(t.dtype())) raise(PyExc_TypeError, "must be real number, not complex");
    if (v.kind == Kind::Double && is_integral(t.dtype()) && !is_bool(t.dtype()) &&
        (v.real != v.real || v.real == __builtin_inf() || v.real == -__builtin_inf()))
      raise(v.real != v.real ? PyExc_ValueError : PyExc_OverflowError,
            v.real != v.real ? "cannot convert float NaN to integer" : "cannot convert float infinity to integer");
    if (v.kind == Kind::Int) {
      store_integer(data, t.dtype(), v.integer);
      if (is_integral(t.dtype()) && !is_bool(t.dtype()) && load_integer(data, t.dtype()) != v.integer)
        raise(PyExc_RuntimeError, str("value cannot be converted to type ", name_of(t.dtype()), " without overflow"));
    } else {
      store_number(data, t.dtype(), v.as_complex());
    }
    return;
  }
  if (is_tensor(o)) {
    Tensor from = tensor_of(o);
    Dims sizes(t.sizes().subspan(size_t(dim)));
    if (!equal(from.sizes(), sizes))
      raise(PyExc_ValueError, str("expected sequence of length ", sizes[0], " at dim ", dim, " (got ",
                                  from.dim() ? from.size(0) : 0, ")"));
    copy_into(make_view(t, sizes, t.strides().subspan(size_t(dim)),
                        (data - t.storage()->data) / int64_t(item_size(t.dtype()))),
              from);
    return;
  }
  if (!PySequence_Check(o))
    raise(PyExc_TypeError,
          str("expected a sequence of length ", t.size(dim), " at dim ", dim, " (got a ", Py_TYPE(o)->tp_name, ")"));
  Py_ssize_t n = PySequence_Size(o);
  if (n != t.size(dim))
    raise(PyExc_ValueError, str("expected sequence of length ", t.size(dim), " at dim ", dim, " (got ", n, ")"));
  int64_t step = t.stride(dim) * int64_t(item_size(t.dtype()));
  if (PyList_CheckExact(o) || PyTuple_CheckExact(o)) {
    for (Py_ssize_t i = 0; i < n; i++) fill(PySequence_Fast_GET_ITEM(o, i), t, dim + 1, data + i * step);
  } else {
    for (Py_ssize_t i = 0; i < n; i++) {
      Object entry(ok(PySequence_GetItem(o, i)));
      fill(entry.get(), t, dim + 1, data + i * step);
    }
  }
}

}  // namespace

Tensor tensor_from(PyObject* data, const DType* dtype) {
  if (is_tensor(data)) {
    Tensor t = tensor_of(data);
    return dtype ? converted(clone_data(t), *dtype) : clone_data(t);
  }
  if (!PyList_CheckExact(data) && !PyTuple_CheckExact(data) && !PyFloat_Check(data) && !PyLong_Check(data) &&
      !PyComplex_Check(data) && is_array(data)) {
    Tensor shared = from_array(data);
    Tensor copy = clone_data(shared);
    return dtype ? converted(copy, *dtype) : copy;
  }
  Shape s;
  look(data, s, 0);
  // Lists of NumPy arrays and the like: their entries were walked one by one, as sequences.
  static constexpr DType by_kind[] = {DType::Bool, DType::Int64, DType::Float32, DType::Complex64};
  DType type = s.kind < 0    ? default_dtype()
               : s.kind == 2 ? default_dtype()
               : s.kind == 3 ? complex_of(default_dtype())
                             : by_kind[s.kind];
  if (s.tensors) type = s.kind < 0 ? s.tensor_type : promote_types(s.tensor_type, type);
  if (dtype) type = *dtype;
  Tensor t = empty(s.sizes, type);
  if (t.numel())
    fill(data, t, 0, t.data());
  else if (s.sizes.size() > 1)
    fill(data, t, 0, t.data());
  return t;
}

// ---- NumPy ----
namespace {

constexpr const char* kTypestr[kDTypes] = {"|b1", "|u1", "|i1", "<i2", "<i4", "<i8",
                                           "<f2", "",    "<f4", "<f8", "<c8", "<c16"};
// int64 is "l" where that is as wide: NumPy calls the type of a "q" int64 too, but shows it as another
constexpr const char* kFormat[kDTypes] = {"?", "B", "b", "h", "i",  sizeof(long) == 8 ? "l" : "q",
                                          "e", "",  "f", "d", "Zf", "Zd"};

// Frees a reference from any thread.
void drop_reference(void* o) {
  if (!Py_IsInitialized()) return;
  PyGILState_STATE gil = PyGILState_Ensure();
  Py_DECREF(static_cast<PyObject*>(o));
  PyGILState_Release(gil);
}

}  // namespace

Tensor from_array(PyObject* array) {
  Object interface(PyObject_GetAttrString(array, "__array_interface__"));
  Object held = Object::borrow(array);
  if (!interface) {
    PyErr_Clear();
    held = Object(ok(PyObject_CallMethod(array, "__array__", nullptr)));
    interface = Object(ok(PyObject_GetAttrString(held.get(), "__array_interface__")));
  }
  PyObject* typestr = PyDict_GetItemString(interface.get(), "typestr");
  PyObject* shape = PyDict_GetItemString(interface.get(), "shape");
  PyObject* strides = PyDict_GetItemString(interface.get(), "strides");
  PyObject* data = PyDict_GetItemString(interface.get(), "data");
  std::string type = typestr ? PyUnicode_AsUTF8(typestr) : "";
  int found = -1;
  for (int i = 0; i < kDTypes; i++)
    if (type == kTypestr[i]) found = i;
  if (found < 0) {
    if (!type.empty() && type[0] == '>')
      raise(PyExc_ValueError,
            "given numpy array has byte order different from the native byte order. Conversion between byte orders is "
            "currently not supported.");
    Object dtype(PyObject_GetAttrString(array, "dtype"));
    Object kind(dtype ? PyObject_GetAttrString(dtype.get(), "type") : nullptr);
    Object name(kind ? PyObject_GetAttrString(kind.get(), "__name__") : nullptr);
    raise(PyExc_TypeError,
          str("can't convert np.ndarray of type numpy.", name ? PyUnicode_AsUTF8(name.get()) : type.c_str(),
              ". The only supported types are: float64, float32, float16, complex64, complex128, int64, int32, int16, "
              "int8, uint8, and bool."));
  }
  DType dtype = DType(found);
  int64_t size = int64_t(item_size(dtype));
  Dims sizes = ints_of(shape, "shape"), steps = contiguous_strides(sizes);
  int64_t reach = 1;
  if (strides && strides != Py_None) {
    steps = ints_of(strides, "strides");
    for (int64_t& s : steps) {
      if (s < 0)
        raise(PyExc_ValueError,
              "At least one stride in the given numpy array is negative, and tensors with negative strides are not "
              "currently supported. (You can probably work around this by making a copy of your array  with "
              "array.copy().) ");
      if (s % size)
        raise(PyExc_ValueError,
              "given numpy array strides not a multiple of the element byte size. Copy the numpy array to reallocate "
              "the memory.");
      s /= size;
    }
  }
  bool none = false;
  for (int i = 0; i < sizes.size(); i++) {
    none = none || sizes[i] == 0;
    reach += (sizes[i] - 1) * steps[i];
  }
  void* pointer = PyLong_AsVoidPtr(PyTuple_GetItem(data, 0));
  return tensor_over(borrow_storage(pointer, none ? 0 : size_t(reach * size), drop_reference, held.release()), dtype,
                     sizes, steps, 0);
}

Dims ints_of(PyObject* sequence, const char* what) {
  Object list(PySequence_Fast(sequence, what));
  if (!list) throw PythonError();
  Dims result;
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(list.get()); i++) {
    Object n(ok(PyNumber_Index(PySequence_Fast_GET_ITEM(list.get(), i))));
    result.push_back(whole_number(n.get()));
  }
  return result;
}

namespace {

PyObject* to_numpy(PyObject*, PyObject* self) {
  return guarded([&]() -> PyObject* {
    Tensor t = tensor_argument(self);
    if (t->keys) raise(PyExc_RuntimeError, "a tensor inside a transformation has no NumPy array");
    if (requires_grad(t.get()))
      raise(PyExc_RuntimeError,
            "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.");
    if (t.dtype() == DType::BFloat16) raise(PyExc_TypeError, "Got unsupported ScalarType BFloat16");
    static PyObject* asarray = ok(PyObject_GetAttrString(Object(ok(PyImport_ImportModule("numpy"))).get(), "asarray"));
    Object view(ok(PyMemoryView_FromObject(self)));  // NumPy keeps it, and it keeps the tensor
    return ok(PyObject_CallOneArg(asarray, view.get()));
  });
}

PyObject* py_tolist(PyObject*, PyObject* self) {
  return guarded([&] {
    Tensor t = tensor_argument(self);
    if (t->keys & kBatched) raise(PyExc_RuntimeError, "a tensor inside a transformation has no list of numbers");
    return to_list(t, 0, t.data());
  });
}

PyObject* py_item(PyObject*, PyObject* self) {
  return guarded([&] { return ok(item(tensor_argument(self))); });
}

PyObject* py_from_numpy(PyObject*, PyObject* array) {
  return guarded([&]() -> PyObject* {
    if (!PyObject_HasAttrString(array, "__array_interface__"))
      raise(PyExc_TypeError, str("expected np.ndarray (got ", Py_TYPE(array)->tp_name, ")"));
    return wrap(from_array(array));
  });
}

// tensor_from(data, dtype or None) -> a new leaf without history
PyObject* py_tensor_from(PyObject*, PyObject* const* args, Py_ssize_t count) {
  return guarded([&] {
    if (count != 2) raise(PyExc_TypeError, "tensor_from(data, dtype or None)");
    DType dtype;
    if (args[1] != Py_None) dtype = dtype_of_object(args[1]);
    Tensor t = tensor_from(args[0], args[1] != Py_None ? &dtype : nullptr);
    t->inference = thread_state().inference;
    return wrap(t);
  });
}

// torch.tensor
PyObject* py_tensor(PyObject*, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  return guarded([&]() -> PyObject* {
    PyObject *data = nullptr, *dtype = Py_None, *device = Py_None;
    bool requires_grad = false;
    if (count > 1) raise(PyExc_TypeError, str("tensor() takes 1 positional argument but ", count, " were given"));
    if (count) data = args[0];
    for (Py_ssize_t i = 0; names && i < PyTuple_GET_SIZE(names); i++) {
      PyObject* value = args[count + i];
      std::string_view name = PyUnicode_AsUTF8(PyTuple_GET_ITEM(names, i));
      if (name == "dtype")
        dtype = value;
      else if (name == "device")
        device = value;
      else if (name == "requires_grad")
        requires_grad = truth(value);
      else if (name == "data" && !data)
        data = value;
      else if (name != "pin_memory" && name != "names")
        raise(PyExc_TypeError, str("tensor() got an unexpected keyword argument '", name, "'"));
    }
    if (!data) raise(PyExc_TypeError, "tensor() missing 1 required positional arguments: \"data\"");
    if (dtype != Py_None && !is_dtype(dtype))
      raise(PyExc_TypeError, str("tensor(): argument 'dtype' must be torch.dtype, not ", Py_TYPE(dtype)->tp_name));
    if (device != Py_None && device != cpu_device) {
      Object module(ok(PyImport_ImportModule("flambeau._device")));
      Object checked(ok(PyObject_CallMethod(module.get(), "require_cpu", "O", device)));
    }
    DType type = dtype != Py_None ? dtype_of_object(dtype) : DType::Float32;
    Tensor t = tensor_from(data, dtype != Py_None ? &type : nullptr);
    if (requires_grad) {
      if (!is_differentiable(t.dtype()))
        raise(PyExc_RuntimeError, "Only Tensors of floating point and complex dtype can require gradients");
      t->requires_grad = true;
    }
    return wrap(std::move(t));
  });
}

// from_buffer(buffer, dtype, count, offset): shares the memory of anything with the buffer protocol.
PyObject* py_from_buffer(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *buffer, *type;
    long long count, offset;
    if (!PyArg_ParseTuple(args, "OOLL", &buffer, &type, &count, &offset)) throw PythonError();
    DType dtype = dtype_of_object(type);
    auto* view = new Py_buffer;
    if (PyObject_GetBuffer(buffer, view, PyBUF_SIMPLE) < 0) {
      delete view;
      throw PythonError();
    }
    auto free = [](void* p) {
      if (!Py_IsInitialized()) return;
      PyGILState_STATE gil = PyGILState_Ensure();
      PyBuffer_Release(static_cast<Py_buffer*>(p));
      delete static_cast<Py_buffer*>(p);
      PyGILState_Release(gil);
    };
    Ref<Storage> storage = borrow_storage(view->buf, size_t(view->len), free, view);
    int64_t size = int64_t(item_size(dtype)), bytes = view->len - offset;
    if (view->len == 0) raise(PyExc_ValueError, "both buffer length (0) and count (-1) must not be 0");
    if (offset < 0 || offset >= view->len)
      raise(PyExc_ValueError,
            str("offset (", offset, " bytes) must be non-negative and no greater than buffer length (",
                int64_t(view->len), " bytes) minus 1"));
    if (count < 0) {
      if (bytes % size)
        raise(PyExc_ValueError, str("buffer length (", bytes, " bytes) after offset (", offset,
                                    " bytes) must be a multiple of element size (", size, ")"));
      count = bytes / size;
    }
    if (count * size > bytes)
      raise(PyExc_ValueError,
            str("requested buffer length (", count, " * ", size, " bytes) after offset (", offset,
                " bytes) must not be greater than actual buffer length (", int64_t(view->len), " bytes)"));
    Tensor t = tensor_over(std::move(storage), dtype, Dims{int64_t(count)}, Dims{1}, 0);
    t->data += offset;
    return wrap(t);
  });
}

// ---- DLPack ----
struct DLDevice {
  int32_t type, id;
};
struct DLDataType {
  uint8_t code, bits;
  uint16_t lanes;
};
struct DLTensor {
  void* data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t *shape, *strides;
  uint64_t byte_offset;
};
struct DLManagedTensor {
  DLTensor tensor;
  void* context;
  void (*deleter)(DLManagedTensor*);
};
constexpr DLDataType kDLTypes[kDTypes] = {{6, 8, 1},  {1, 8, 1},  {0, 8, 1},  {0, 16, 1}, {0, 32, 1}, {0, 64, 1},
                                          {2, 16, 1}, {4, 16, 1}, {2, 32, 1}, {2, 64, 1}, {5, 64, 1}, {5, 128, 1}};

PyObject* py_to_dlpack(PyObject*, PyObject* self) {
  return guarded([&]() -> PyObject* {
    Tensor t = tensor_argument(self);
    if (requires_grad(t.get()))
      raise(PyExc_BufferError, "Can't export tensors that require gradient, use tensor.detach()");
    struct Exported {
      DLManagedTensor managed;
      Ref<Storage> storage;  // not the tensor, which may take another one (x.data = ...)
      Dims sizes, strides;
    };
    auto* e = new Exported{{}, Ref<Storage>::share(t.storage()), Dims(t.sizes()), Dims(t.strides())};
    e->managed.tensor = {t.data(), {1, 0}, t.dim(), kDLTypes[int(t.dtype())], e->sizes.data(), e->strides.data(), 0};
    e->managed.context = e;
    e->managed.deleter = [](DLManagedTensor* m) {
      PyGILState_STATE gil = PyGILState_Ensure();
      delete static_cast<Exported*>(m->context);
      PyGILState_Release(gil);
    };
    return ok(PyCapsule_New(&e->managed, "dltensor", [](PyObject* capsule) {
      if (!PyCapsule_IsValid(capsule, "dltensor")) return;  // consumed
      auto* m = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule, "dltensor"));
      m->deleter(m);
    }));
  });
}

PyObject* py_from_dlpack(PyObject*, PyObject* capsule) {
  return guarded([&]() -> PyObject* {
    if (!PyCapsule_IsValid(capsule, "dltensor"))
      raise(PyExc_RuntimeError,
            "from_dlpack received an invalid capsule. Note that DLTensor capsules can be consumed only once, so you "
            "might have already constructed a tensor from it once.");
    auto* m = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule, "dltensor"));
    const DLTensor& d = m->tensor;
    if (d.device.type != 1) raise(PyExc_RuntimeError, "from_dlpack: only tensors in CPU memory are supported");
    int found = -1;
    for (int i = 0; i < kDTypes; i++)
      if (kDLTypes[i].code == d.dtype.code && kDLTypes[i].bits == d.dtype.bits) found = i;
    if (found < 0 || d.dtype.lanes != 1)
      raise(PyExc_RuntimeError,
            str("from_dlpack: unsupported type code ", int(d.dtype.code), " of ", int(d.dtype.bits), " bits"));
    Dims sizes(Ints(d.shape, size_t(d.ndim))), strides = contiguous_strides(sizes);
    if (d.strides) strides = Dims(Ints(d.strides, size_t(d.ndim)));
    int64_t reach = 1;
    for (int i = 0; i < d.ndim; i++) reach += (sizes[i] - 1) * strides[i];
    auto free = [](void* p) {
      auto* managed = static_cast<DLManagedTensor*>(p);
      if (managed->deleter) managed->deleter(managed);
    };
    Tensor t = tensor_over(borrow_storage(static_cast<char*>(d.data) + d.byte_offset,
                                          size_t(std::max<int64_t>(0, reach)) * item_size(DType(found)), free, m),
                           DType(found), sizes, strides, 0);
    PyCapsule_SetName(capsule, "used_dltensor");
    return wrap(t);
  });
}

// ---- buffer protocol ----
struct Exported {
  Ref<Storage> storage;  // not the tensor, which may take another one (x.data = ...)
  Dims shape, strides;
};
int get_buffer(PyObject* self, Py_buffer* view, int flags) {
  Tensor t = tensor_of(self);
  if (t->keys || t.dtype() == DType::BFloat16 || requires_grad(t.get())) {
    PyErr_SetString(PyExc_BufferError, t.dtype() == DType::BFloat16
                                           ? "bfloat16 has no buffer format"
                                           : "a tensor that requires grad does not export its memory; use detach()");
    view->obj = nullptr;
    return -1;
  }
  if (!(flags & PyBUF_STRIDES) && !t.contiguous()) {
    PyErr_SetString(PyExc_BufferError, "the tensor is not contiguous");
    view->obj = nullptr;
    return -1;
  }
  auto* e = new Exported{Ref<Storage>::share(t.storage()), Dims(t.sizes()), Dims(t.strides())};
  int64_t size = int64_t(item_size(t.dtype()));
  for (int64_t& s : e->strides) s *= size;
  view->buf = t.data();
  view->obj = Py_NewRef(self);
  view->len = Py_ssize_t(t.bytes());
  view->itemsize = size;
  view->readonly = 0;
  view->ndim = t.dim();
  view->format = flags & PyBUF_FORMAT ? const_cast<char*>(kFormat[int(t.dtype())]) : nullptr;
  view->shape = flags & PyBUF_ND ? reinterpret_cast<Py_ssize_t*>(e->shape.data()) : nullptr;
  view->strides = flags & PyBUF_STRIDES ? reinterpret_cast<Py_ssize_t*>(e->strides.data()) : nullptr;
  view->suboffsets = nullptr;
  view->internal = e;
  return 0;
}
void release_buffer(PyObject*, Py_buffer* view) { delete static_cast<Exported*>(view->internal); }

PyMethodDef functions[] = {
    {"to_numpy", to_numpy, METH_O, nullptr},
    {"tolist", py_tolist, METH_O, nullptr},
    {"item", py_item, METH_O, nullptr},
    {"from_numpy", py_from_numpy, METH_O, "A tensor over the memory of a NumPy array."},
    {"tensor_from", method(py_tensor_from), METH_FASTCALL, nullptr},
    {"tensor", method(py_tensor), METH_FASTCALL | METH_KEYWORDS,
     "tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False, names=None)\n--\n\n"
     "A new tensor with the values of `data`: numbers, nested sequences, arrays or tensors; always a copy.\n\n"
     ">>> import flambeau as torch\n>>> torch.tensor([[1, 2], [3, 4]])\ntensor([[1, 2],\n        [3, 4]])"},
    {"from_buffer", py_from_buffer, METH_VARARGS, nullptr},
    {"to_dlpack", py_to_dlpack, METH_O, nullptr},
    {"from_dlpack", py_from_dlpack, METH_O, nullptr},
    {}};

}  // namespace

PyBufferProcs tensor_buffer = {get_buffer, release_buffer};

int add_conversions(PyObject* module) { return PyModule_AddFunctions(module, functions); }

}  // namespace flambeau::python
