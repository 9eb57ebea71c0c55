// x[...] and x[...] = v: basic indices become views, tensors, lists and masks become index and index_put.
#include "python/python.h"
#include "tensor/copy.h"

namespace flambeau::python {

namespace {

// One pass over the index: views applied at once, advanced indices collected at the dimensions they stand for.
class Parsed {
 public:
  explicit Parsed(TensorBody* t) : view_(t) {}
  const Tensor& view() const { return view_.peek(); }
  void take(Tensor next) {
    held_ = std::move(next);
    view_ = held_;
  }
  Tensor release() { return std::move(held_); }  // null: the index took nothing of the caller's tensor away
  std::vector<Tensor> indices;                   // by dimension of the view; null: the whole dimension
  bool advanced = false;

 private:
  Value view_;  // at first the caller's tensor, borrowed
  Tensor held_;
};

Tensor as_index(PyObject* o) {
  if (is_tensor(o)) return tensor_of(o);
  Tensor t = tensor_from(o, nullptr);
  if (t.numel() == 0 && !is_bool(t.dtype())) t = converted(t, DType::Int64);  // x[[]]
  return t;
}

Tensor as_type(const Tensor& t, DType dtype) {
  if (t->keys) return t.dtype() == dtype ? t : ops::cast(t, dtype);
  return converted(t, dtype);
}

[[noreturn]] void bad_index(PyObject* o) {
  raise(PyExc_IndexError,
        str("only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got ",
            Py_TYPE(o)->tp_name, ")"));
}

// How many dimensions of the tensor an entry takes.
int consumes(PyObject* o) {
  if (PySlice_Check(o) || PyLong_CheckExact(o)) return 1;
  if (o == Py_None || o == Py_Ellipsis || PyBool_Check(o)) return 0;
  if (is_tensor(o)) {
    TensorBody* t = body_of(o);
    return is_bool(t->dtype) || t->dtype == DType::UInt8 ? t->dim : 1;
  }
  return 1;
}

// What PySlice_Unpack reads, without its detours where the bounds are plain numbers.
void unpack(PyObject* o, Py_ssize_t* start, Py_ssize_t* stop, Py_ssize_t* step) {
  auto* s = reinterpret_cast<PySliceObject*>(o);
  auto plain = [](PyObject* bound, Py_ssize_t none, Py_ssize_t* value) {
    *value = none;
    if (bound == Py_None) return true;
    if (!PyLong_CheckExact(bound)) return false;
    int overflow;
    *value = Py_ssize_t(PyLong_AsLongLongAndOverflow(bound, &overflow));
    return !overflow;
  };
  if (plain(s->start, 0, start) && plain(s->stop, PY_SSIZE_T_MAX, stop) && s->step == Py_None)
    *step = 1;
  else
    ok(PySlice_Unpack(o, start, stop, step));
}

bool is_integer(PyObject* o) {
  if (PyLong_CheckExact(o)) return true;
  if (PySlice_Check(o)) return false;
  if (PyBool_Check(o)) return false;
  if (PyLong_Check(o)) return true;
  if (is_tensor(o)) return false;
  return PyIndex_Check(o) && !PySequence_Check(o);
}

void apply(Parsed& p, PyObject* const* entries, Py_ssize_t count) {
  auto t = [&]() -> const Tensor& { return p.view(); };
  int taken = 0, dim = 0, merged = 0;  // merged: dimensions that masks take beyond their place in the list
  for (Py_ssize_t i = 0; i < count; i++) taken += consumes(entries[i]);
  if (taken > t().dim()) raise(PyExc_IndexError, str("too many indices for tensor of dimension ", t().dim()));
  bool seen_ellipsis = false;
  int rank = t().dim();
  auto put = [&](Tensor index, int takes = 1) {
    size_t place = size_t(dim - merged);
    p.indices.resize(std::max(p.indices.size(), place + 1));
    p.indices[place] = std::move(index);
    p.advanced = true;
    dim += takes;
    merged += takes - 1;
  };
  for (Py_ssize_t i = 0; i < count; i++) {
    PyObject* o = entries[i];
    if (is_integer(o)) {
      Object number(PyLong_CheckExact(o) ? Py_NewRef(o) : ok(PyNumber_Index(o)));
      int64_t at = whole_number(number.get());
      if (dim < t().dim() && (at < -t().size(dim) || at >= t().size(dim)))
        raise(PyExc_IndexError, str("index ", at, " is out of bounds for dimension ", i, " with size ", t().size(dim)));
      p.take(ops::select(t(), dim, at));
    } else if (PySlice_Check(o)) {
      if (dim >= t().dim())
        raise(PyExc_IndexError, str("too many indices for tensor of dimension ", rank));  // after a mask
      Py_ssize_t start, stop, step;
      auto* s = reinterpret_cast<PySliceObject*>(o);
      if (s->start == Py_None && s->stop == Py_None && s->step == Py_None) {
        dim++;
        continue;
      }
      unpack(o, &start, &stop, &step);
      if (step <= 0) raise(PyExc_ValueError, "step must be greater than zero");
      p.take(ops::slice(t(), dim++, int64_t(start), int64_t(stop), int64_t(step)));
    } else if (o == Py_Ellipsis) {
      if (seen_ellipsis) raise(PyExc_IndexError, "an index can only have a single ellipsis ('...')");
      seen_ellipsis = true;
      dim += rank - taken;
    } else if (o == Py_None) {
      p.take(ops::unsqueeze(t(), dim++));
    } else if (PyBool_Check(o)) {
      p.take(ops::unsqueeze(t(), dim));
      Tensor mask = empty(Dims{1}, DType::Bool);
      *mask.data_as<bool>() = o == Py_True;
      put(mask);
    } else if (is_tensor(o) || PySequence_Check(o)) {
      Tensor index = as_index(o);
      if (is_tensor(o) && index.dim() == 0 && !index->keys && is_integral(index.dtype()) && !is_bool(index.dtype()) &&
          index.dtype() != DType::UInt8) {
        p.take(ops::select(t(), dim, load_integer(index.data(), index.dtype())));  // an integer in a tensor's clothes
        continue;
      }
      bool mask = is_bool(index.dtype()) || index.dtype() == DType::UInt8;
      if (!mask && !is_integral(index.dtype()))
        raise(PyExc_IndexError, "tensors used as indices must be long, int, byte or bool tensors");
      if (mask && index.dim() == 0) {
        p.take(ops::unsqueeze(t(), dim));
        index = ops::unsqueeze(index, 0);
      }
      int extra_dims = mask ? index.dim() : 1;
      if (mask) {
        if (dim + extra_dims > t().dim())
          raise(PyExc_IndexError, str("too many indices for tensor of dimension ", t().dim()));
        for (int d = 0; d < extra_dims; d++)
          if (index.size(d) != t().size(dim + d))
            raise(PyExc_IndexError,
                  str("The shape of the mask ", text_of(index.sizes()), " at index ", d,
                      " does not match the shape of the indexed tensor ", text_of(t().sizes()), " at index ", dim + d));
        put(as_type(index, DType::Bool), extra_dims);
      } else {
        if (dim >= t().dim()) raise(PyExc_IndexError, str("too many indices for tensor of dimension ", rank));
        put(as_type(index, DType::Int64));
      }
    } else {
      bad_index(o);
    }
  }
}

Parsed parse(TensorBody* t, PyObject* index) {
  Parsed p(t);
  if (PyTuple_Check(index))
    apply(p, PySequence_Fast_ITEMS(index), PyTuple_GET_SIZE(index));
  else
    apply(p, &index, 1);
  return p;
}

std::vector<TensorBody*> bodies(const std::vector<Tensor>& list) {
  std::vector<TensorBody*> result;
  for (const Tensor& t : list) result.push_back(t.get());
  return result;
}

Tensor value_tensor(PyObject* value, DType dtype) {
  if (is_tensor(value)) return tensor_of(value);
  return tensor_from(value, &dtype);
}

}  // namespace

static PyObject* subscript(PyObject* self, PyObject* index) {
  return guarded([&]() FLAMBEAU_LAMBDA -> PyObject* {
    if (overrides(self)) [[unlikely]] {
      static PyObject* getitem = PyObject_GetAttrString(reinterpret_cast<PyObject*>(&TensorType), "__getitem__");
      PyObject* args[2] = {self, index};
      if (PyObject* result = call_override(getitem, args, 2, nullptr)) return result;
      if (PyErr_Occurred()) throw PythonError();
    }
    TensorBody* b = body_of(self);
    if (PyLong_CheckExact(index)) {
      int64_t i = whole_number(index);
      if (b->dim == 0)
        raise(PyExc_IndexError,
              "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert "
              "a 0-dim tensor to a number");
      if (i < -b->sizes[0] || i >= b->sizes[0]) {  // the end of iteration comes this way: no C++ exception
        PyErr_Format(PyExc_IndexError, "index %lld is out of bounds for dimension 0 with size %lld", (long long)i,
                     (long long)b->sizes[0]);
        return nullptr;
      }
      return wrap(ops::select(Value(b), 0, i));
    }
    Parsed p = parse(b, index);
    if (p.advanced) {
      auto list = bodies(p.indices);
      return wrap(ops::index(p.view(), std::span<TensorBody* const>(list)));
    }
    Tensor view = p.release();
    return wrap(view ? std::move(view) : ops::alias(p.view()));
  });
}

static int assign_subscript(PyObject* self, PyObject* index, PyObject* value) {
  return guarded([&]() -> int {
    if (!value) raise(PyExc_TypeError, "Tensor does not support deleting items");
    Parsed p = parse(body_of(self), index);
    const DType dtype = p.view().dtype();
    if (p.advanced) {
      auto list = bodies(p.indices);
      Tensor v = value_tensor(value, dtype);
      if (v.dtype() != dtype) {
        if (v.dim() != 0 && is_tensor(value))
          raise(PyExc_RuntimeError,
                str("Index put requires the source and destination dtypes match, got ", python_name_of(dtype),
                    " for the destination and ", python_name_of(v.dtype()), " for the source."));
        v = ops::cast(v, dtype);
      }
      ops::index_put_(p.view(), std::span<TensorBody* const>(list), v, false);
      return 0;
    }
    Complex128 room;
    Value number = is_tensor(value) ? Value() : number_of(value, room);
    if (!number.none()) {
      ops::fill_(p.view(), number);
      return 0;
    }
    Tensor v = value_tensor(value, dtype);
    while (v.dim() > p.view().dim() && v.size(0) == 1) v = ops::select(v, 0, 0);  // leading ones do not matter
    ops::copy_(p.view(), v);
    return 0;
  });
}

static Py_ssize_t length(PyObject* self) {
  TensorBody* t = body_of(self);
  if (t->dim == 0) {
    PyErr_SetString(PyExc_TypeError, "len() of a 0-d tensor");
    return -1;
  }
  return Py_ssize_t(t->sizes[0]);
}

static PyObject* sequence_item(PyObject* self, Py_ssize_t i) {
  Object index(PyLong_FromSsize_t(i));
  return subscript(self, index.get());
}

static int contains(PyObject* self, PyObject* value) {
  return guarded([&]() -> int {
    if (!is_tensor(value) && !is_number(value))
      raise(PyExc_RuntimeError, str("Tensor.__contains__ only supports Tensor or scalar, but you passed in a ",
                                    Py_TYPE(value)->tp_name, "."));
    Object same(ok(tensor_compare(self, value, Py_EQ)));
    Tensor any = ops::any(Value(body_of(same.get())));
    return *any.data_as<bool>();
  });
}

// for row in x: one select per row.
struct IterObject {
  PyObject_HEAD
  PyObject* tensor;
  int64_t at;
};
static PyObject* iter_next(PyObject* o) {
  auto* self = reinterpret_cast<IterObject*>(o);
  if (self->at >= body_of(self->tensor)->sizes[0]) return nullptr;
  return guarded([&] { return wrap(ops::select(Value(body_of(self->tensor)), 0, self->at++)); });
}
static void iter_dealloc(PyObject* o) {
  Py_DECREF(reinterpret_cast<IterObject*>(o)->tensor);
  PyObject_Free(o);
}
static PyTypeObject IterType = [] {
  PyTypeObject t = {PyVarObject_HEAD_INIT(nullptr, 0)};
  t.tp_name = "flambeau._C.TensorIterator";
  t.tp_basicsize = sizeof(IterObject);
  t.tp_flags = Py_TPFLAGS_DEFAULT;
  t.tp_iter = PyObject_SelfIter;
  t.tp_iternext = iter_next;
  t.tp_dealloc = iter_dealloc;
  return t;
}();

PyObject* tensor_iter(PyObject* self) {
  if (body_of(self)->dim == 0) {
    PyErr_SetString(PyExc_TypeError, "iteration over a 0-d tensor");
    return nullptr;
  }
  if (overrides(self)) return PySeqIter_New(self);
  if (!IterType.tp_dict && PyType_Ready(&IterType) < 0) return nullptr;
  auto* it = PyObject_New(IterObject, &IterType);
  if (!it) return nullptr;
  it->tensor = Py_NewRef(self);
  it->at = 0;
  return reinterpret_cast<PyObject*>(it);
}

PySequenceMethods tensor_sequence = [] {
  PySequenceMethods s = {};
  s.sq_item = sequence_item;
  s.sq_contains = contains;
  return s;
}();
PyMappingMethods tensor_mapping = {length, subscript, assign_subscript};

}  // namespace flambeau::python
