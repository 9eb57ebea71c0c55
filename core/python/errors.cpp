// C++ errors as Python exceptions.
#include <new>
#include "python/python.h"

namespace flambeau::python {

static PyObject* linalg_error() {
  static PyObject* type = PyErr_NewException("torch.linalg.LinAlgError", PyExc_RuntimeError, nullptr);
  return type;
}

static PyObject* exception_type(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::Type: return PyExc_TypeError;
    case ErrorKind::Value: return PyExc_ValueError;
    case ErrorKind::Index: return PyExc_IndexError;
    case ErrorKind::NotImplemented: return PyExc_NotImplementedError;
    case ErrorKind::Linalg: return linalg_error();
    case ErrorKind::ZeroDivision: return PyExc_ZeroDivisionError;
    case ErrorKind::Overflow: return PyExc_OverflowError;
    default: return PyExc_RuntimeError;  // out of memory too, as in PyTorch
  }
}

void set_error_from_current_exception() {
  try {
    throw;
  } catch (const PythonError&) {
  } catch (const Error& e) {
    PyErr_SetString(exception_type(e.kind), e.what());
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& e) {
    PyErr_SetString(PyExc_RuntimeError, e.what());
  }
}

void raise(PyObject* type, const std::string& message) {
  PyErr_SetString(type, message.c_str());
  throw PythonError();
}

Tensor tensor_argument(PyObject* o) {
  if (!is_tensor(o)) raise(PyExc_TypeError, str("expected a Tensor, got ", Py_TYPE(o)->tp_name));
  return tensor_of(o);
}

void refuse_number() {  // of PyLong_AsLongLong's errors, that of the range is worded as PyTorch does
  if (!PyErr_ExceptionMatches(PyExc_OverflowError)) throw PythonError();
  PyErr_Clear();
  raise(PyExc_ValueError, "Overflow when unpacking long long");
}

bool truth(PyObject* o) {
  int is = PyObject_IsTrue(o);
  ok(is);
  return is;
}

}  // namespace flambeau::python
