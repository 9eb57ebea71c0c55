// Python's operators on tensors: slots that go to the door directly when the operands are tensors and plain numbers.
#include "python/python.h"

namespace flambeau::python {

Value number_of(PyObject* o, Complex128& room) {
  if (PyFloat_Check(o)) return Value(PyFloat_AS_DOUBLE(o));
  if (PyBool_Check(o)) return Value(o == Py_True);
  auto whole = [](PyObject* n) {
    const int64_t v = PyLong_AsLongLong(n);
    if (v == -1 && PyErr_Occurred()) throw PythonError();  // OverflowError
    return Value(v);
  };
  if (PyLong_Check(o)) return whole(o);
  if (PyComplex_Check(o)) {
    room = {PyComplex_RealAsDouble(o), PyComplex_ImagAsDouble(o)};
    return Value(room);
  }
  // NumPy's scalars: not tensors, not arrays, but numbers.
  if (is_tensor(o) || PySequence_Check(o) || !PyNumber_Check(o)) return Value();
  if (PyIndex_Check(o)) {
    Object n(PyNumber_Index(o));
    if (n) return whole(n.get());
    PyErr_Clear();
  }
  if (std::string_view(Py_TYPE(o)->tp_name) == "numpy.bool_" || std::string_view(Py_TYPE(o)->tp_name) == "numpy.bool")
    return Value(PyObject_IsTrue(o) == 1);
  Object f(PyNumber_Float(o));
  if (f) return Value(PyFloat_AS_DOUBLE(f.get()));
  PyErr_Clear();
  return Value();
}

bool is_number(PyObject* o) {
  Complex128 room;
  return !number_of(o, room).none();
}

namespace {

constexpr int kMostOperands = 4;  // of the rows behind operators

bool takes_number(const Primitive& p, int i) { return p.cls == Class::Elementwise || p.params[i].number; }

// A binary slot. Python gives either operand first; at least one is a tensor.
PyObject* binary(const Primitive& p, PyObject* a, PyObject* b, bool exchange = false) {
  return guarded([&]() FLAMBEAU_LAMBDA -> PyObject* {
    if (exchange) std::swap(a, b);
    Complex128 room[2];
    Value args[kMostOperands];
    PyObject* operands[2] = {a, b};
    bool asked = false;
    for (int i = 0; i < 2; i++) {
      PyObject* o = operands[i];
      if (Py_TYPE(o) == &TensorType) {
        args[i] = Value(body_of(o));
      } else if (is_tensor(o)) {
        asked = asked || overrides(o);
        args[i] = Value(body_of(o));
      } else {
        if (takes_number(p, i)) args[i] = number_of(o, room[i]);
        if (args[i].none()) {
          if (PyErr_Occurred()) throw PythonError();
          return Py_NewRef(Py_NotImplemented);
        }
      }
    }
    if (asked) [[unlikely]] {
      Object op(make_op(p, false));
      if (PyObject* result = call_override(op.get(), operands, 2, nullptr)) return result;
      if (PyErr_Occurred()) throw PythonError();
    }
    for (int i = 2; i < p.param_count; i++) args[i] = p.params[i].fallback;
    Tensor result;
    call(p, args, &result);
    return wrap(std::move(result));
  });
}

PyObject* unary(const Primitive& p, PyObject* a) {
  return guarded([&]() -> PyObject* {
    if (overrides(a)) [[unlikely]] {
      Object op(make_op(p, false));
      if (PyObject* result = call_override(op.get(), &a, 1, nullptr)) return result;
      if (PyErr_Occurred()) throw PythonError();
    }
    Value args[kMostOperands];
    args[0] = Value(body_of(a));
    for (int i = 1; i < p.param_count; i++) args[i] = p.params[i].fallback;
    Tensor result;
    call(p, args, &result);
    return wrap(std::move(result));
  });
}

PyObject* in_place(const Primitive& p, PyObject* a, PyObject* b) {
  return guarded([&]() -> PyObject* {
    if (!is_tensor(a)) return Py_NewRef(Py_NotImplemented);
    Complex128 room;
    Value args[kMostOperands];
    args[0] = Value(body_of(a));
    args[1] = is_tensor(b) ? Value(body_of(b)) : takes_number(p, 1) ? number_of(b, room) : Value();
    if (args[1].none()) {
      if (PyErr_Occurred()) throw PythonError();
      return Py_NewRef(Py_NotImplemented);
    }
    for (int i = 2; i < p.param_count; i++) args[i] = p.params[i].fallback;
    call_in_place(p, args);
    return Py_NewRef(a);
  });
}

#define BINARY(slot, row) \
  PyObject* slot(PyObject* a, PyObject* b) { return binary(row, a, b); }
#define IN_PLACE(slot, row) \
  PyObject* slot(PyObject* a, PyObject* b) { return in_place(row, a, b); }
BINARY(nb_add, primitive::add)
BINARY(nb_sub, primitive::sub)
BINARY(nb_mul, primitive::mul)
BINARY(nb_div, primitive::div)
BINARY(nb_floor_div, primitive::floor_divide)
BINARY(nb_remainder, primitive::remainder)
BINARY(nb_matmul, primitive::matmul)
BINARY(nb_and, primitive::bitwise_and)
BINARY(nb_or, primitive::bitwise_or)
BINARY(nb_xor, primitive::bitwise_xor)
BINARY(nb_lshift, primitive::bitwise_left_shift)
BINARY(nb_rshift, primitive::bitwise_right_shift)
IN_PLACE(nb_iadd, primitive::add)
IN_PLACE(nb_isub, primitive::sub)
IN_PLACE(nb_imul, primitive::mul)
IN_PLACE(nb_idiv, primitive::div)
IN_PLACE(nb_ifloor_div, primitive::floor_divide)
IN_PLACE(nb_iremainder, primitive::remainder)
IN_PLACE(nb_iand, primitive::bitwise_and)
IN_PLACE(nb_ior, primitive::bitwise_or)
IN_PLACE(nb_ixor, primitive::bitwise_xor)
IN_PLACE(nb_ilshift, primitive::bitwise_left_shift)
IN_PLACE(nb_irshift, primitive::bitwise_right_shift)

PyObject* nb_pow(PyObject* a, PyObject* b, PyObject* modulus) {
  if (modulus != Py_None) return Py_NewRef(Py_NotImplemented);
  return binary(primitive::pow, a, b);
}
PyObject* nb_ipow(PyObject* a, PyObject* b, PyObject*) { return in_place(primitive::pow, a, b); }
PyObject* nb_neg(PyObject* a) { return unary(primitive::neg, a); }
PyObject* nb_pos(PyObject* a) { return Py_NewRef(a); }
PyObject* nb_abs(PyObject* a) { return unary(primitive::abs, a); }
PyObject* nb_invert(PyObject* a) { return unary(primitive::bitwise_not, a); }

void need_one(TensorBody* t, const char* what) {
  if (t->numel != 1)
    raise(PyExc_RuntimeError, str("a Tensor with ", t->numel, " elements cannot be converted to ", what));
}
int nb_bool(PyObject* a) {
  return guarded([&]() -> int {
    TensorBody* t = body_of(a);
    if (t->numel != 1)
      raise(PyExc_RuntimeError, t->numel ? "Boolean value of Tensor with more than one value is ambiguous"
                                         : "Boolean value of Tensor with no values is ambiguous");
    if (t->keys & kBatched)
      raise(PyExc_RuntimeError,
            "vmap: It looks like you're attempting to use a Tensor in some data-dependent control flow. We don't "
            "support that yet, please shout over at https://github.com/pytorch/functorch/issues/257 .");
    Object value(ok(item(tensor_of(a))));
    return PyObject_IsTrue(value.get());
  });
}
PyObject* nb_int(PyObject* a) {
  return guarded([&] {
    need_one(body_of(a), "Scalar");
    Object value(ok(item(tensor_of(a))));
    return ok(PyNumber_Long(value.get()));
  });
}
PyObject* nb_float(PyObject* a) {
  return guarded([&] {
    need_one(body_of(a), "Scalar");
    Object value(ok(item(tensor_of(a))));
    return ok(PyNumber_Float(value.get()));
  });
}
PyObject* nb_index(PyObject* a) {
  return guarded([&] {
    TensorBody* t = body_of(a);
    if (t->numel != 1 || !is_integral(t->dtype))
      raise(PyExc_TypeError, "only integer tensors of a single element can be converted to an index");
    Object value(ok(item(tensor_of(a))));
    return ok(PyNumber_Index(value.get()));
  });
}

}  // namespace

PyObject* tensor_compare(PyObject* a, PyObject* b, int op) {
  if (b == Py_None) {
    if (op == Py_EQ) Py_RETURN_FALSE;
    if (op == Py_NE) Py_RETURN_TRUE;
  }
  static const Primitive* const rows[] = {&primitive::lt, &primitive::le, &primitive::eq,
                                          &primitive::ne, &primitive::gt, &primitive::ge};
  return binary(*rows[op], a, b);
}

PyNumberMethods tensor_number = [] {
  PyNumberMethods n = {};
  n.nb_add = nb_add;
  n.nb_subtract = nb_sub;
  n.nb_multiply = nb_mul;
  n.nb_true_divide = nb_div;
  n.nb_floor_divide = nb_floor_div;
  n.nb_remainder = nb_remainder;
  n.nb_matrix_multiply = nb_matmul;
  n.nb_and = nb_and;
  n.nb_or = nb_or;
  n.nb_xor = nb_xor;
  n.nb_lshift = nb_lshift;
  n.nb_rshift = nb_rshift;
  n.nb_power = nb_pow;
  n.nb_inplace_add = nb_iadd;
  n.nb_inplace_subtract = nb_isub;
  n.nb_inplace_multiply = nb_imul;
  n.nb_inplace_true_divide = nb_idiv;
  n.nb_inplace_floor_divide = nb_ifloor_div;
  n.nb_inplace_remainder = nb_iremainder;
  n.nb_inplace_and = nb_iand;
  n.nb_inplace_or = nb_ior;
  n.nb_inplace_xor = nb_ixor;
  n.nb_inplace_lshift = nb_ilshift;
  n.nb_inplace_rshift = nb_irshift;
  n.nb_inplace_power = nb_ipow;
  n.nb_negative = nb_neg;
  n.nb_positive = nb_pos;
  n.nb_absolute = nb_abs;
  n.nb_invert = nb_invert;
  n.nb_bool = nb_bool;
  n.nb_int = nb_int;
  n.nb_float = nb_float;
  n.nb_index = nb_index;
  return n;
}();

}  // namespace flambeau::python
