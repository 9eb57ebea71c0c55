// What the files of the binding share: the tensor type, wrapping, conversions, errors.
#pragma once
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <deque>
#include "autograd/node.h"
#include "dispatch/ops.h"

namespace flambeau::python {

// CPython stores functions of every calling convention as PyCFunction.
template <class F> PyCFunction method(F f) { return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(f)); }

// ---- owning reference ----
class Object {
 public:
  Object() = default;
  explicit Object(PyObject* owned) : p_(owned) {}
  static Object borrow(PyObject* p) {
    Py_XINCREF(p);
    return Object(p);
  }
  Object(Object&& o) noexcept : p_(std::exchange(o.p_, nullptr)) {}
  Object(const Object& o) : p_(o.p_) { Py_XINCREF(p_); }
  Object& operator=(Object o) noexcept {
    std::swap(p_, o.p_);
    return *this;
  }
  ~Object() { Py_XDECREF(p_); }
  PyObject* get() const { return p_; }
  PyObject* release() { return std::exchange(p_, nullptr); }
  explicit operator bool() const { return p_; }

 private:
  PyObject* p_ = nullptr;
};

// Python's own exception is already set: unwinds to the nearest guard.
struct PythonError {};
inline PyObject* ok(PyObject* p) {
  if (!p) throw PythonError();
  return p;
}
inline void ok(int status) {
  if (status < 0) throw PythonError();
}
void set_error_from_current_exception();
[[noreturn]] void raise(PyObject* type, const std::string& message);

// Runs f, turning C++ exceptions into Python ones.
template <class F> FLAMBEAU_INLINE auto guarded(F&& f) -> decltype(f()) {
  try {
    return f();
  } catch (...) {
    set_error_from_current_exception();
    if constexpr (std::is_pointer_v<decltype(f())>)
      return nullptr;
    else
      return decltype(f())(-1);
  }
}

// ---- tensors ----
extern PyTypeObject TensorType;
extern PyTypeObject TensorMetaType;
extern PyTypeObject* ParameterType;  // set by Python; null until then

inline bool is_tensor(PyObject* o) {
  if (Py_TYPE(o) == &TensorType) return true;
  PyTypeObject* meta = Py_TYPE(Py_TYPE(o));
  return meta != &PyType_Type && (meta == &TensorMetaType || PyType_IsSubtype(meta, &TensorMetaType));
}
inline TensorBody* body_of(PyObject* o) {
  return reinterpret_cast<TensorBody*>(reinterpret_cast<char*>(o) - 2 * sizeof(void*));
}
inline PyObject* header_of(TensorBody* t) { return reinterpret_cast<PyObject*>(&t->python.words[2]); }
inline Tensor tensor_of(PyObject* o) { return Tensor::share(body_of(o)); }
// What a function that is no row reads by itself: TypeError where it is something else.
Tensor tensor_argument(PyObject* o);
bool truth(PyObject* o);  // bool(o), and its error
[[noreturn]] void refuse_number();
inline int64_t whole_number(PyObject* o) {  // of a Python int; ValueError beyond 64 bits
  const int64_t v = PyLong_AsLongLong(o);
  if (v == -1 && PyErr_Occurred()) [[unlikely]]
    refuse_number();
  return v;
}
PyObject* wrap(Tensor t);                         // new reference; null tensors become None
PyObject* wrap_as(Tensor t, PyTypeObject* type);  // t must be asleep
bool overrides(PyObject* o);                      // a subclass with a __torch_function__ that is to be asked
void track(TensorBody* t);                        // from now on the collector looks at it
int add_tensor_type(PyObject* module);
int wrap_init(PyObject* module);

// ---- small types ----
PyObject* dtype_object(DType t);  // borrowed
bool is_dtype(PyObject* o);
DType dtype_of_object(PyObject* o);  // also accepts float, int, bool, complex
PyObject* make_size(Ints sizes);
PyObject* size_from(PyObject* sequence);
extern PyTypeObject SizeType;
extern PyTypeObject DTypeType;
int add_small_types(PyObject* module);
extern PyObject* cpu_device;  // set by Python
struct GeneratorObject {
  PyObject_HEAD
  Generator* generator;
  bool owned;
};
extern PyTypeObject GeneratorType;

// ---- operations ----
PyObject* make_op(const Primitive& p, bool in_place);
int add_ops(PyObject* module);
Object index_tensor(const Tensor& t, PyObject* index);
PyObject* call_override(PyObject* op, PyObject* const* args, size_t positional, PyObject* names);

// ---- values ----
Value number_of(PyObject* o, Complex128& room);  // a Python or NumPy number, or None kind when it is none
bool is_number(PyObject* o);
Dims ints_of(PyObject* sequence, const char* what);
PyObject* item(const Tensor& t);
PyObject* element(const char* data, DType dtype);
Tensor tensor_from(PyObject* data, const DType* dtype);  // torch.tensor's conversion of nested sequences
Tensor from_array(PyObject* array);                      // shares memory with a NumPy array
int add_conversions(PyObject* module);
int add_autograd(PyObject* module);
int add_levels(PyObject* module);
int add_methods(PyObject* module);
int add_optimizer(PyObject* module);
int add_module_base(PyObject* module);

extern PyNumberMethods tensor_number;
extern PySequenceMethods tensor_sequence;
extern PyMappingMethods tensor_mapping;
extern PyMethodDef tensor_methods[];
extern PyGetSetDef tensor_getset[];
extern PyBufferProcs tensor_buffer;
PyObject* tensor_compare(PyObject* a, PyObject* b, int op);
PyObject* tensor_iter(PyObject* self);
PyObject* tensor_new(PyTypeObject* type, PyObject* args, PyObject* kwargs);
// ---- the collector (collector.cpp) ----
// What a tensor's Python side is. Asleep: Python does not know it. Awake: Python's references together hold one C++
// reference. Kept: only C++ holds the Python side, which has state of its own.
enum State : uint8_t { kAsleep, kAwake, kKept };
inline PyObject*& dict_of(TensorBody* t) { return reinterpret_cast<PyObject*&>(t->python.words[4]); }
// Python objects that hooks, custom functions, packed tensors and tensors' own state keep alive from within C++: while
// there are none, the collector has nothing to learn from a graph.
extern std::atomic<int64_t> kept_by_graphs;
void keep_one();  // counts one more
int traverse_tensor(TensorBody* t, visitproc visit, void* arg);
bool may_clear(TensorBody* t);
void clear_graph(TensorBody* t);

}  // namespace flambeau::python
