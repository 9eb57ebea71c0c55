// Attributes of Tensor, and the methods that are about the tensor itself rather than its elements.
#include "autograd/levels.h"
#include "python/python.h"
#include "tensor/copy.h"

namespace flambeau::python {

namespace {

TensorBody* body(PyObject* o) { return body_of(o); }

PyObject* get_shape(PyObject* o, void*) { return make_size({body(o)->sizes, size_t(body(o)->dim)}); }
PyObject* get_dtype(PyObject* o, void*) { return Py_NewRef(dtype_object(body(o)->dtype)); }
PyObject* get_device(PyObject*, void*) { return Py_NewRef(cpu_device ? cpu_device : Py_None); }
PyObject* get_ndim(PyObject* o, void*) { return PyLong_FromLong(body(o)->dim); }
PyObject* get_itemsize(PyObject* o, void*) { return PyLong_FromSize_t(item_size(body(o)->dtype)); }
PyObject* get_nbytes(PyObject* o, void*) {
  return PyLong_FromSize_t(size_t(body(o)->numel) * item_size(body(o)->dtype));
}
PyObject* get_is_leaf(PyObject* o, void*) {
  return guarded([&] {
    requires_grad(body(o));  // a stale view finds its history
    return PyBool_FromLong(is_leaf(body(o)));
  });
}
PyObject* get_requires_grad(PyObject* o, void*) {
  return guarded([&] { return PyBool_FromLong(requires_grad(body(o))); });
}
int set_requires_grad(PyObject* o, PyObject* value, void*) {
  return guarded([&]() -> int {
    TensorBody* t = body(o);
    int wanted = value ? PyObject_IsTrue(value) : 0;
    ok(wanted);
    if (t->keys & kBatched && wanted)
      raise(PyExc_RuntimeError,
            "You are attempting to call Tensor.requires_grad_() (or perhaps using torch.autograd.functional.* APIs) "
            "inside of a function being transformed by a functorch transform. This is unsupported, please attempt to "
            "use the functorch transforms (e.g. grad, vjp, jacrev, jacfwd, hessian) or call requires_grad_() outside "
            "of a function being transformed instead.");
    if (wanted && !is_differentiable(t->dtype))
      raise(PyExc_RuntimeError, "only Tensors of floating point and complex dtype can require gradients");
    if (!is_leaf(t)) {
      if (!wanted)
        raise(PyExc_RuntimeError,
              "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a "
              "subgraph that doesn't require differentiation use var_no_grad = var.detach().");
      return 0;
    }
    if (t->inference && wanted && !thread_state().inference)
      raise(PyExc_RuntimeError, "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.");
    t->requires_grad = wanted;
    return 0;
  });
}
PyObject* get_grad(PyObject* o, void*) {
  TensorBody* t = body(o);
  if (!t->extra) Py_RETURN_NONE;
  if (t->extra->retained) return wrap(*t->extra->retained);
  return wrap(t->extra->grad);
}
int set_grad(PyObject* o, PyObject* value, void*) {
  return guarded([&]() -> int {
    TensorBody* t = body(o);
    if (!value || value == Py_None) {
      if (t->extra) t->extra->grad = Tensor();
      if (t->extra && t->extra->retained) *t->extra->retained = Tensor();
      return 0;
    }
    if (!is_tensor(value))
      raise(PyExc_TypeError,
            str("assigned grad expected to be a Tensor or None but got grad of type '", Py_TYPE(value)->tp_name, "'"));
    if (value == o) raise(PyExc_RuntimeError, "can't assign Variable as its own grad");
    Tensor g = tensor_of(value);
    if (g.dtype() != t->dtype)
      raise(PyExc_RuntimeError,
            str("attempting to assign a gradient with dtype '", python_name_of(g.dtype()), "' to a tensor with dtype '",
                python_name_of(t->dtype), "'. Please ensure that the gradient and the tensor have the same dtype"));
    if (!equal(g.sizes(), {t->sizes, size_t(t->dim)}))
      raise(PyExc_RuntimeError, str("assigned grad has data of a different size\ngrad: expected ",
                                    shape_text({t->sizes, size_t(t->dim)}), "; got ", shape_text(g.sizes())));
    extra(t).grad = g;
    return 0;
  });
}
PyObject* get_data(PyObject* o, void*) {
  return guarded([&] {
    Tensor t = body(o)->keys ? detached_fully(tensor_of(o)) : detached(tensor_of(o));
    t->untracked = true;
    return wrap(t);
  });
}
int set_data_attribute(PyObject* o, PyObject* value, void*) {
  return guarded([&]() -> int {
    if (!value || !is_tensor(value))
      raise(PyExc_TypeError,
            str("Variable data has to be a tensor, but got ", value ? Py_TYPE(value)->tp_name : "nothing"));
    set_data(tensor_of(o), tensor_of(value));
    return 0;
  });
}
PyObject* get_version(PyObject* o, void*) { return PyLong_FromUnsignedLong(version(body(o))); }
PyObject* get_base(PyObject* o, void*) {
  TensorBody* t = body(o);
  return wrap(t->is_view && t->base ? Tensor::share(t->base) : Tensor());
}
PyObject* get_false(PyObject*, void*) { Py_RETURN_FALSE; }
PyObject* get_true(PyObject*, void*) { Py_RETURN_TRUE; }
PyObject* get_retains_grad(PyObject* o, void*) { return PyBool_FromLong(body(o)->extra && body(o)->extra->retained); }
PyObject* get_is_inference(PyObject* o, PyObject*) { return PyBool_FromLong(body(o)->inference); }
PyObject* get_output_nr(PyObject* o, void*) { return PyLong_FromLong(body(o)->output_index); }

PyObject* m_size(PyObject* o, PyObject* const* args, Py_ssize_t n, PyObject* names) {
  return guarded([&]() -> PyObject* {
    TensorBody* t = body(o);
    PyObject* which = n ? args[0] : names && PyTuple_GET_SIZE(names) ? args[0] : Py_None;
    if (which == Py_None) return make_size({t->sizes, size_t(t->dim)});
    Object number(ok(PyNumber_Index(which)));
    if (t->dim == 0) raise(PyExc_IndexError, "Dimension specified as 0 but tensor has no dimensions");
    return PyLong_FromLongLong(t->sizes[wrap_dim(whole_number(number.get()), t->dim)]);
  });
}
PyObject* m_stride(PyObject* o, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    TensorBody* t = body(o);
    if (n) {
      Object number(ok(PyNumber_Index(args[0])));
      if (t->dim == 0) raise(PyExc_IndexError, "Dimension specified as 0 but tensor has no dimensions");
      return PyLong_FromLongLong(t->strides()[wrap_dim(whole_number(number.get()), t->dim)]);
    }
    PyObject* tuple = ok(PyTuple_New(t->dim));
    for (int i = 0; i < t->dim; i++) PyTuple_SET_ITEM(tuple, i, PyLong_FromLongLong(t->strides()[i]));
    return tuple;
  });
}
// view(sizes...), view(sizes) or view(dtype).
PyObject* m_view(PyObject* o, PyObject* const* args, Py_ssize_t n, PyObject* names) {
  return guarded([&]() -> PyObject* {
    Py_ssize_t total = n + (names ? PyTuple_GET_SIZE(names) : 0);
    if (overrides(o)) [[unlikely]] {
      std::vector<PyObject*> all{o};
      all.insert(all.end(), args, args + total);
      static PyObject* self_method = PyObject_GetAttrString(reinterpret_cast<PyObject*>(&TensorType), "view");
      if (PyObject* result = call_override(self_method, all.data(), size_t(n + 1), names)) return result;
      if (PyErr_Occurred()) throw PythonError();
    }
    if (total == 1 && is_dtype(args[0])) return wrap(ops::view_dtype(Value(body(o)), dtype_of_object(args[0])));
    if (total == 1 && !PyIndex_Check(args[0]))
      return wrap(ops::view(Value(body(o)), ints_of(args[0], "view(): argument 'size' must be tuple of ints")));
    Dims sizes;
    for (Py_ssize_t i = 0; i < total; i++) {
      Object number(PyFloat_Check(args[i]) ? nullptr : PyNumber_Index(args[i]));
      if (!number) {
        PyErr_Clear();
        raise(PyExc_TypeError,
              str("view(): argument 'size' (position ", i + 1, ") must be int, not ", Py_TYPE(args[i])->tp_name));
      }
      sizes.push_back(whole_number(number.get()));
    }
    return wrap(ops::view(Value(body(o)), sizes));
  });
}
PyObject* m_dim(PyObject* o, PyObject*) { return PyLong_FromLong(body(o)->dim); }
PyObject* m_numel(PyObject* o, PyObject*) { return PyLong_FromLongLong(body(o)->numel); }
PyObject* m_element_size(PyObject* o, PyObject*) { return PyLong_FromSize_t(item_size(body(o)->dtype)); }
PyObject* m_storage_offset(PyObject* o, PyObject*) { return PyLong_FromLongLong(tensor_of(o).offset()); }
PyObject* m_data_ptr(PyObject* o, PyObject*) {
  return PyLong_FromVoidPtr(body(o)->numel || body(o)->storage->bytes ? body(o)->data : nullptr);
}
PyObject* m_is_contiguous(PyObject* o, PyObject* const* args, Py_ssize_t n, PyObject* names) {
  return guarded([&]() -> PyObject* {
    TensorBody* t = body(o);
    PyObject* format = n ? args[0] : names && PyTuple_GET_SIZE(names) ? args[0] : nullptr;
    if (format && PyObject_HasAttrString(format, "name")) {
      Object name(ok(PyObject_GetAttrString(format, "name")));
      if (PyUnicode_CompareWithASCIIString(name.get(), "channels_last") == 0) {
        if (t->dim != 4) Py_RETURN_FALSE;
        int64_t* s = t->strides();
        bool last = s[1] == 1 && s[3] == t->sizes[1] && s[2] == t->sizes[1] * t->sizes[3] && s[0] == s[2] * t->sizes[2];
        return PyBool_FromLong(last);
      }
    }
    return PyBool_FromLong(t->contiguous);
  });
}
PyObject* m_is_floating_point(PyObject* o, PyObject*) { return PyBool_FromLong(is_floating(body(o)->dtype)); }
PyObject* m_is_complex(PyObject* o, PyObject*) { return PyBool_FromLong(is_complex(body(o)->dtype)); }
PyObject* m_is_signed(PyObject* o, PyObject*) {
  return PyBool_FromLong(body(o)->dtype != DType::Bool && body(o)->dtype != DType::UInt8);
}
PyObject* m_false(PyObject*, PyObject*) { Py_RETURN_FALSE; }
PyObject* m_item(PyObject* o, PyObject*) {
  TensorBody* t = body(o);
  if (t->numel == 1 && t->dtype == DType::Float32 && !t->keys)
    return PyFloat_FromDouble(*reinterpret_cast<float*>(t->data));
  return guarded([&] { return ok(item(tensor_of(o))); });
}
PyObject* m_detach(PyObject* o, PyObject*) {
  return guarded([&] { return wrap(body(o)->keys ? detached_fully(tensor_of(o)) : detached(tensor_of(o))); });
}
PyObject* m_detach_(PyObject* o, PyObject*) {
  return guarded([&] {
    detach_(tensor_of(o));
    return Py_NewRef(o);
  });
}
PyObject* m_requires_grad_(PyObject* o, PyObject* const* args, Py_ssize_t n, PyObject* names) {
  PyObject* value = n || (names && PyTuple_GET_SIZE(names)) ? args[0] : Py_True;
  if (set_requires_grad(o, value, nullptr) < 0) return nullptr;
  return Py_NewRef(o);
}
PyObject* m_resize_(PyObject* o, PyObject* args) {
  return guarded([&] {
    Object sizes = Object::borrow(args);
    if (PyTuple_GET_SIZE(args) == 1 && !PyIndex_Check(PyTuple_GET_ITEM(args, 0)))
      sizes = Object::borrow(PyTuple_GET_ITEM(args, 0));
    resize_(tensor_of(o), ints_of(sizes.get(), "resize_(): sizes must be ints"));
    return Py_NewRef(o);
  });
}
// set_storage(source, offset, size, stride): what set_() and unpickling stand on.
PyObject* m_set_from(PyObject* o, PyObject* args) {
  return guarded([&]() -> PyObject* {
    PyObject *source, *sizes, *strides;
    long long offset;
    if (!PyArg_ParseTuple(args, "OLOO", &source, &offset, &sizes, &strides)) throw PythonError();
    Tensor from = tensor_argument(source);
    Tensor view =
        ops::as_strided(detached(from), ints_of(sizes, "sizes"), ints_of(strides, "strides"), int64_t(offset));
    set_data(tensor_of(o), view);
    return Py_NewRef(o);
  });
}
// Takes on the geometry and the history of a view of itself: what t_(), squeeze_() and their like stand on.
PyObject* m_become(PyObject* o, PyObject* other) {
  return guarded([&] {
    Tensor t = tensor_of(o), view = tensor_argument(other);
    if ((t->keys | view->keys) & ~kOverride)
      raise(PyExc_RuntimeError,
            "views in place are not possible inside a function transform; use the form without the underscore");
    if (t->requires_grad && !t->grad_fn && thread_state().grad_enabled)
      raise(PyExc_RuntimeError, "a leaf Variable that requires grad is being used in an in-place operation.");
    Edge edge = edge_of(view);
    set_data(t, detached(view));
    if (Node* n = edge.node()) set_history(t, NodeRef::share(n), edge.index());
    return Py_NewRef(o);
  });
}
// The whole storage as a uint8 vector that shares it.
PyObject* m_storage_bytes(PyObject* o, PyObject*) {
  return guarded([&] {
    Storage* s = body(o)->storage;
    return wrap(tensor_over(Ref<Storage>::share(s), DType::UInt8, Dims{int64_t(s->bytes)}, Dims{1}, 0));
  });
}
bool is_tensor_class(PyObject* cls) {
  return PyType_Check(cls) && PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(cls), &TensorType);
}
PyObject* m_make_subclass(PyObject*, PyObject* const* args, Py_ssize_t n, PyObject*) {
  return guarded([&]() -> PyObject* {
    if (n < 2 || !is_tensor_class(args[0]) || !is_tensor(args[1]))
      raise(PyExc_TypeError,
            "_make_subclass(cls, data, require_grad=False): cls must be a subclass of Tensor and data a Tensor");
    Tensor t = detached(tensor_of(args[1]));
    bool wanted = n > 2 && truth(args[2]);
    if (wanted && !is_differentiable(t.dtype()))
      raise(PyExc_RuntimeError, "Only Tensors of floating point and complex dtype can require gradients");
    t->requires_grad = wanted;
    return wrap_as(t, reinterpret_cast<PyTypeObject*>(args[0]));
  });
}
PyObject* m_as_subclass(PyObject* o, PyObject* cls) {
  return guarded([&]() -> PyObject* {
    if (!is_tensor_class(cls)) raise(PyExc_TypeError, "as_subclass(): cls must be a subclass of Tensor");
    Tensor t = ops::alias(tensor_of(o));
    return wrap_as(t, reinterpret_cast<PyTypeObject*>(cls));
  });
}
PyObject* m_retain_grad(PyObject* o, PyObject*) {
  return guarded([&] {
    retain_grad(tensor_of(o));
    Py_RETURN_NONE;
  });
}

}  // namespace

PyObject* tensor_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  return guarded([&]() -> PyObject* {
    // Tensor(), Tensor(2, 3): uninitialised floats; Tensor([..]), Tensor(array): their values.
    Py_ssize_t n = PyTuple_GET_SIZE(args);
    PyObject* first = n ? PyTuple_GET_ITEM(args, 0) : nullptr;
    Tensor t;
    if (n == 0)
      t = empty(Dims{0}, default_dtype());
    else if (n == 1 && is_tensor(first))
      t = detached(tensor_of(first));
    else if (n == 1 && Py_TYPE(first) == &SizeType)
      t = empty(ints_of(first, "size"), default_dtype());
    else if (n == 1 && !PyIndex_Check(first)) {
      DType dtype = default_dtype();
      t = tensor_from(first, &dtype);
    } else
      t = empty(ints_of(args, "new(): sizes must be ints"), default_dtype());
    if (type == &TensorType) return wrap(t);
    return wrap_as(t, type);
  });
}

PyMethodDef tensor_methods[] = {
    {"size", method(m_size), METH_FASTCALL | METH_KEYWORDS, "size(dim=None): the shape, or one extent."},
    {"stride", method(m_stride), METH_FASTCALL, "stride(dim=None): steps between neighbours, in elements."},
    {"view", method(m_view), METH_FASTCALL | METH_KEYWORDS,
     "The same memory under another shape, or read as another element type."},
    {"dim", m_dim, METH_NOARGS, "The number of dimensions."},
    {"ndimension", m_dim, METH_NOARGS, "The number of dimensions."},
    {"numel", m_numel, METH_NOARGS, "The number of elements."},
    {"nelement", m_numel, METH_NOARGS, "The number of elements."},
    {"element_size", m_element_size, METH_NOARGS, "Bytes of one element."},
    {"storage_offset", m_storage_offset, METH_NOARGS, "Where in its storage the tensor begins, in elements."},
    {"data_ptr", m_data_ptr, METH_NOARGS, "The address of the first element."},
    {"is_contiguous", method(m_is_contiguous), METH_FASTCALL | METH_KEYWORDS,
     "Whether the elements lie in memory in index order."},
    {"is_floating_point", m_is_floating_point, METH_NOARGS, "Whether the elements are real floating numbers."},
    {"is_complex", m_is_complex, METH_NOARGS, "Whether the elements are complex numbers."},
    {"is_signed", m_is_signed, METH_NOARGS, "Whether the type has negative numbers."},
    {"is_conj", m_false, METH_NOARGS, "False: conjugation is never delayed here."},
    {"is_neg", m_false, METH_NOARGS, "False: negation is never delayed here."},
    {"is_inference", get_is_inference, METH_NOARGS, "Whether the tensor was made under inference_mode."},
    {"item", m_item, METH_NOARGS, "The only element, as a Python number."},
    {"detach", m_detach, METH_NOARGS, "The same memory without history."},
    {"detach_", m_detach_, METH_NOARGS, "Drops the history of this tensor."},
    {"requires_grad_", method(m_requires_grad_), METH_FASTCALL | METH_KEYWORDS,
     "requires_grad_(requires_grad=True): sets the flag, returns the tensor."},
    {"resize_", m_resize_, METH_VARARGS, "Gives the tensor another size; new elements are uninitialised."},
    {"_set_from", m_set_from, METH_VARARGS, nullptr},
    {"_become", m_become, METH_O, nullptr},
    {"_storage_bytes", m_storage_bytes, METH_NOARGS, nullptr},
    {"_make_subclass", method(m_make_subclass), METH_FASTCALL | METH_KEYWORDS | METH_STATIC, nullptr},
    {"as_subclass", m_as_subclass, METH_O, "A view of another class."},
    {"retain_grad", m_retain_grad, METH_NOARGS, "Keeps .grad for a tensor that is not a leaf."},
    {}};

PyObject* get_grad_fn(PyObject* o, void*);
PyGetSetDef tensor_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {"shape", get_shape, nullptr, "The extents, as a Size.", nullptr},
    {"dtype", get_dtype, nullptr, "The element type.", nullptr},
    {"device", get_device, nullptr, "Where the memory is.", nullptr},
    {"ndim", get_ndim, nullptr, "The number of dimensions.", nullptr},
    {"itemsize", get_itemsize, nullptr, "Bytes of one element.", nullptr},
    {"nbytes", get_nbytes, nullptr, "Bytes of all elements.", nullptr},
    {"is_leaf", get_is_leaf, nullptr, "Whether no recorded operation made this tensor.", nullptr},
    {"requires_grad", get_requires_grad, set_requires_grad, "Whether gradients are recorded.", nullptr},
    {"grad", get_grad, set_grad, "The accumulated gradient, or None.", nullptr},
    {"grad_fn", get_grad_fn, nullptr, "The node that made this tensor, or None for leaves.", nullptr},
    {"data", get_data, set_data_attribute, "The same memory without history; changes through it are not tracked.",
     nullptr},
    {"_version", get_version, nullptr, "How often the memory was changed in place.", nullptr},
    {"_base", get_base, nullptr, "The tensor that this is a view of, or None.", nullptr},
    {"output_nr", get_output_nr, nullptr, nullptr, nullptr},
    {"retains_grad", get_retains_grad, nullptr, "Whether retain_grad() was called.", nullptr},
    {"is_cuda", get_false, nullptr, nullptr, nullptr},
    {"is_cpu", get_true, nullptr, nullptr, nullptr},
    {"is_sparse", get_false, nullptr, nullptr, nullptr},
    {"is_quantized", get_false, nullptr, nullptr, nullptr},
    {"is_meta", get_false, nullptr, nullptr, nullptr},
    {"is_mps", get_false, nullptr, nullptr, nullptr},
    {"is_nested", get_false, nullptr, nullptr, nullptr},
    {"is_mkldnn", get_false, nullptr, nullptr, nullptr},
    {}};

}  // namespace flambeau::python
