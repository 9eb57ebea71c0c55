// The descriptor that every operation is in Python: function and method at once, arguments read by the row's schema.
#include "python/python.h"
#include <structmember.h>

namespace flambeau::python {

namespace {

struct OpObject {
  PyObject_HEAD
  vectorcallfunc vectorcall;
  const Primitive* primitive;
  bool in_place;
  PyObject* name;
  PyObject* result_type;  // structured results: made on first use
  PyObject* otherwise;    // a Python function that takes the calls that do not fit the row
  int positional;         // parameters that may be given by position
  bool spread;            // the last of them is a list of whole numbers, which may be spelled out: view(2, 3)
};

PyObject *str_out, *str_dtype, *str_device, *str_layout, *str_requires_grad, *str_pin_memory, *str_memory_format,
    *str_axis, *str_keepdims, *str_names;

// What conversions need to live as long as the call. Nothing here costs before it is used.
struct Room {
  static constexpr int kInts = 192, kTensors = 24;
  int64_t ints[kInts];
  int used_ints = 0;
  Complex128 complex[kMaxParams];
  TensorBody* few[kTensors];
  std::unique_ptr<TensorBody*[]> many;
  std::unique_ptr<double[]> floats;

  void push(int64_t v) {
    if (used_ints == kInts) raise(PyExc_RuntimeError, "too many whole numbers in one call");
    ints[used_ints++] = v;
  }
  TensorBody** tensors(size_t n) {
    if (n <= size_t(kTensors)) return few;
    many.reset(new TensorBody*[n]);
    return many.get();
  }
};

union ValueRoom {
  ValueRoom() {}
  Value values[kMaxParams];
};

[[noreturn]] void wrong_type(const Primitive& p, int i, const char* expected, PyObject* got) {
  raise(PyExc_TypeError, str(p.name, "(): argument '", p.params[i].name, "' (position ", i + 1, ") must be ", expected,
                             ", not ", Py_TYPE(got)->tp_name));
}

// Entry `k` of a list of whole numbers.
int64_t listed(const Primitive& p, int i, PyObject* number, Py_ssize_t k) {
  const int64_t v = PyLong_AsLongLong(number);
  if (v == -1 && PyErr_Occurred()) {
    PyErr_Clear();
    raise(PyExc_TypeError, str(p.name, "(): argument '", p.params[i].name, "' failed to unpack the object at pos ",
                               k + 1, " with error \"Overflow when unpacking long long\""));
  }
  return v;
}

Value read_ints(const Primitive& p, int i, PyObject* o, Room& room) {
  const int64_t* begin = room.ints + room.used_ints;
  if (PyLong_Check(o)) {
    room.push(listed(p, i, o, 0));
  } else if (PyTuple_Check(o) || PyList_Check(o)) {
    Py_ssize_t n = PySequence_Fast_GET_SIZE(o);
    for (Py_ssize_t k = 0; k < n; k++) {
      PyObject* entry = PySequence_Fast_GET_ITEM(o, k);
      if (PyLong_CheckExact(entry)) {
        room.push(listed(p, i, entry, k));
        continue;
      }
      Object number(PyFloat_Check(entry) ? nullptr : PyNumber_Index(entry));
      if (!number) {
        PyErr_Clear();
        raise(PyExc_TypeError,
              str(p.name, "(): argument '", p.params[i].name, "' (position ", i + 1,
                  ") must be tuple of ints, but found element of type ", Py_TYPE(entry)->tp_name, " at pos ", k));
      }
      room.push(listed(p, i, number.get(), k));
    }
  } else if (PyIndex_Check(o)) {
    Object number(ok(PyNumber_Index(o)));
    room.push(listed(p, i, number.get(), 0));
  } else {
    wrong_type(p, i, "tuple of ints", o);
  }
  return Value(Ints(begin, room.ints + room.used_ints));
}

Value read_floats(const Primitive& p, int i, PyObject* o, Room& room) {
  Object list(PySequence_Fast(o, ""));
  if (!list) {
    PyErr_Clear();
    wrong_type(p, i, "tuple of floats", o);
  }
  size_t n = size_t(PySequence_Fast_GET_SIZE(list.get()));
  room.floats.reset(new double[n]);
  for (size_t k = 0; k < n; k++) {
    room.floats[k] = PyFloat_AsDouble(PySequence_Fast_GET_ITEM(list.get(), Py_ssize_t(k)));
    if (PyErr_Occurred()) throw PythonError();
  }
  return Value(std::span<const double>(room.floats.get(), n));
}

Value read_tensors(const Primitive& p, int i, PyObject* o, Room& room) {
  if (!PyTuple_Check(o) && !PyList_Check(o)) wrong_type(p, i, "tuple of Tensors", o);
  Py_ssize_t n = PySequence_Fast_GET_SIZE(o);
  TensorBody** list = room.tensors(size_t(n));
  for (Py_ssize_t k = 0; k < n; k++) {
    PyObject* entry = PySequence_Fast_GET_ITEM(o, k);
    if (entry == Py_None && p.cls == Class::Indexing)
      list[k] = nullptr;
    else if (!is_tensor(entry))
      raise(PyExc_TypeError,
            str("expected Tensor as element ", k, " in argument ", i, ", but got ", Py_TYPE(entry)->tp_name));
    else
      list[k] = body_of(entry);
  }
  return Value(std::span<TensorBody* const>(list, size_t(n)));
}

Value read_any(const Primitive& p, int i, PyObject* o, Room& room) {
  const Param& param = p.params[i];
  if (o == Py_None && (param.optional || (p.cls == Class::Elementwise && i))) return Value();
  switch (param.type) {
    case ParamType::Tensor: {
      if (is_tensor(o)) return Value(body_of(o));
      if (p.cls == Class::Elementwise || param.number) {
        Value v = number_of(o, room.complex[i]);
        if (!v.none()) return v;
      }
      wrong_type(p, i, "Tensor", o);
    }
    case ParamType::Tensors: return read_tensors(p, i, o, room);
    case ParamType::Number: {
      Value v = number_of(o, room.complex[i]);
      if (v.none() && is_tensor(o) && body_of(o)->numel == 1) {
        Object element(ok(item(tensor_of(o))));
        v = number_of(element.get(), room.complex[i]);
      }
      if (v.none()) wrong_type(p, i, "Number", o);
      return v;
    }
    case ParamType::Int: {
      if (PyLong_Check(o)) return Value(whole_number(o));
      Object number(PyFloat_Check(o) ? nullptr : PyNumber_Index(o));
      if (!number) {
        PyErr_Clear();
        wrong_type(p, i, "int", o);
      }
      return Value(whole_number(number.get()));
    }
    case ParamType::Float: {
      Value v = number_of(o, room.complex[i]);
      if (v.none() && is_tensor(o) && body_of(o)->numel == 1) {
        Object element(ok(item(tensor_of(o))));
        v = number_of(element.get(), room.complex[i]);
      }
      if (v.none() || v.kind == Kind::Complex) wrong_type(p, i, "float", o);
      return Value(v.as_double());
    }
    case ParamType::Bool: {
      if (PyBool_Check(o)) return Value(o == Py_True);
      if (PyLong_Check(o)) return Value(PyObject_IsTrue(o) == 1);
      Value v = number_of(o, room.complex[i]);
      if (v.kind != Kind::Bool) wrong_type(p, i, "bool", o);
      return v;
    }
    case ParamType::Floats: return read_floats(p, i, o, room);
    case ParamType::IntsOrText:
      if (PyUnicode_Check(o)) {
        Py_ssize_t n;
        const char* text = PyUnicode_AsUTF8AndSize(o, &n);
        if (!text) throw PythonError();
        return Value(std::string_view(text, size_t(n)));
      }
      [[fallthrough]];
    case ParamType::Ints:
    case ParamType::Dims: return read_ints(p, i, o, room);
    case ParamType::DType:
      if (!is_dtype(o)) wrong_type(p, i, "torch.dtype", o);
      return Value(dtype_of_object(o));
    case ParamType::Text: {
      Py_ssize_t n;
      const char* text = nullptr;
      if (PyUnicode_Check(o)) {
        text = PyUnicode_AsUTF8AndSize(o, &n);
      } else if (PyObject_HasAttrString(o, "name")) {  // memory formats and layouts
        Object name(PyObject_GetAttrString(o, "name"));
        if (name && PyUnicode_Check(name.get())) text = PyUnicode_AsUTF8AndSize(name.get(), &n);
        PyErr_Clear();
      }
      if (!text) wrong_type(p, i, "str", o);
      return Value(std::string_view(text, size_t(n)));
    }
    case ParamType::Generator:
      if (!PyObject_TypeCheck(o, &GeneratorType)) wrong_type(p, i, "torch.Generator", o);
      return Value(reinterpret_cast<GeneratorObject*>(o)->generator);
  }
  __builtin_unreachable();
}

FLAMBEAU_INLINE Value read(const Primitive& p, int i, PyObject* o, Room& room) {
  if (Py_TYPE(o) == &TensorType && p.params[i].type == ParamType::Tensor) return Value(body_of(o));
  return read_any(p, i, o, room);
}

// Names of parameters as Python's own objects, so that keywords are found by identity; made at a row's first keyword.
PyObject* const* names_of(const Primitive& p) {
  static std::vector<PyObject*> all(primitives().size() * kMaxParams);
  PyObject** names = all.data() + size_t(&p - primitives().data()) * kMaxParams;
  if (!*names)
    for (int i = 0; i < p.param_count; i++) names[i] = PyUnicode_InternFromString(p.params[i].name);
  return names;
}

int find_param(const Primitive& p, PyObject* key) {
  PyObject* const* own = names_of(p);
  for (int i = 0; i < p.param_count; i++)
    if (own[i] == key) return i;
  for (int i = 0; i < p.param_count; i++)
    if (PyUnicode_CompareWithASCIIString(key, p.params[i].name) == 0) return i;
  // NumPy's words for the same things.
  const char* other = PyUnicode_Compare(key, str_axis) == 0       ? "dim"
                      : PyUnicode_Compare(key, str_keepdims) == 0 ? "keepdim"
                                                                  : nullptr;
  if (!other) {
    if (PyUnicode_CompareWithASCIIString(key, "self") == 0 && p.param_count) return 0;
    return -1;
  }
  for (int i = 0; i < p.param_count; i++)
    if (std::string_view(p.params[i].name) == other) return i;
  return -1;
}

struct Options {  // keywords that classes of rows share
  PyObject* out = nullptr;
  bool requires_grad = false;
};

// Factories take where and how to make the tensor; there is one place and one way so far.
bool factory_option(const Primitive& p, PyObject* key, PyObject* value, Options& options) {
  if (PyUnicode_Compare(key, str_requires_grad) == 0) {
    options.requires_grad = truth(value);
    return true;
  }
  if (PyUnicode_Compare(key, str_device) == 0) {
    if (value == Py_None || value == cpu_device) return true;
    Object text(PyObject_Str(value));
    std::string name = text ? PyUnicode_AsUTF8(text.get()) : "";
    if (name == "cpu" || name == "cpu:0") return true;
    Object module(ok(PyImport_ImportModule("flambeau._device")));  // raises what is due for devices of other kinds
    Object none(ok(PyObject_CallMethod(module.get(), "require_cpu", "s", name.c_str())));
    return true;
  }
  return PyUnicode_Compare(key, str_layout) == 0 || PyUnicode_Compare(key, str_pin_memory) == 0 ||
         PyUnicode_Compare(key, str_memory_format) == 0 || PyUnicode_Compare(key, str_names) == 0;
}

// view(2, 3): the list that parameter `i` is, from the arguments that spell it out.
Value spelled_out(const Primitive& p, int i, PyObject* const* args, Py_ssize_t count, Room& room) {
  const int64_t* begin = room.ints + room.used_ints;
  for (Py_ssize_t k = i; k < count; k++) {
    if (PyLong_CheckExact(args[k])) {
      room.push(listed(p, i, args[k], k - i));
      continue;
    }
    Object number(PyFloat_Check(args[k]) ? nullptr : PyNumber_Index(args[k]));
    if (!number) {
      PyErr_Clear();
      wrong_type(p, i, "tuple of ints", args[k]);
    }
    room.push(listed(p, i, number.get(), k - i));
  }
  return Value(Ints(begin, room.ints + room.used_ints));
}

// Reads the arguments into one value per parameter. False: the call does not fit the row, and a function waits for such.
bool parse(const OpObject& op, PyObject* const* args, Py_ssize_t count, PyObject* names, Value* values, Room& room,
           Options& options) {
  const Primitive& p = *op.primitive;
  const int positional = op.positional;
  int given = int(count);  // parameters that positions fill
  if (count >= positional && op.spread) {
    PyObject* last = args[positional - 1];
    if ((PyLong_Check(last) || PyIndex_Check(last)) && !PyTuple_Check(last)) given = positional - 1;
  }
  if (given > positional) {
    if (op.otherwise) return false;
    raise(PyExc_TypeError, str(p.name, "() takes ", positional, " positional argument", positional == 1 ? "" : "s",
                               " but ", count, count == 1 ? " was given" : " were given"));
  }
  for (int k = 0; k < given; k++) values[k] = read(p, k, args[k], room);
  if (given < count) {
    values[given] = spelled_out(p, given, args, count, room);
    given++;
  }
  uint32_t seen = (1u << given) - 1;
  if (names) {
    for (Py_ssize_t n = 0; n < PyTuple_GET_SIZE(names); n++) {
      PyObject *key = PyTuple_GET_ITEM(names, n), *value = args[count + n];
      int i = find_param(p, key);
      if (i < 0) {
        if (PyUnicode_Compare(key, str_out) == 0) {
          if (value != Py_None) options.out = value;
          continue;
        }
        if (op.otherwise) return false;
        if ((p.cls == Class::Creation || p.cls == Class::Composite || p.cls == Class::Random) && p.result_count == 1 &&
            factory_option(p, key, value, options))
          continue;
        raise(PyExc_TypeError, str(p.name, "() got an unexpected keyword argument '", PyUnicode_AsUTF8(key), "'"));
      }
      if (seen >> i & 1)
        raise(PyExc_TypeError, str(p.name, "() got multiple values for argument '", p.params[i].name, "'"));
      if (value == Py_None && p.params[i].has_default)
        values[i] = p.params[i].optional ? Value() : p.params[i].fallback;
      else
        values[i] = read(p, i, value, room);
      seen |= 1u << i;
    }
  }
  for (int i = names ? 0 : given; i < p.param_count; i++) {
    if (seen >> i & 1) continue;
    if (!p.params[i].has_default) {
      if (op.otherwise) return false;
      raise(PyExc_TypeError, str(p.name, "() missing 1 required positional argument: '", p.params[i].name, "'"));
    }
    values[i] = p.params[i].fallback;
  }
  return true;
}

// PyTorch's text form of structured results: a field on each line.
PyObject* structured_repr(PyObject* o) {
  PyObject* names = PyDict_GetItemString(Py_TYPE(o)->tp_dict, "__match_args__");  // a heap type: it has one
  std::string text = str(Py_TYPE(o)->tp_name, "(");
  for (Py_ssize_t i = 0; i < Py_SIZE(o); i++) {
    Object value(PyObject_Repr(PyStructSequence_GET_ITEM(o, i)));
    const char* shown = value ? PyUnicode_AsUTF8(value.get()) : nullptr;
    if (!shown) return nullptr;
    text += str(i ? ",\n" : "\n", names ? PyUnicode_AsUTF8(PyTuple_GET_ITEM(names, i)) : "", "=", shown);
  }
  return PyUnicode_FromString((text + ")").c_str());
}

// Results whose fields have names: those of kernels ("output" and what goes with it) are plain tuples.
bool has_fields(const Primitive& p) { return p.result_names && std::string_view(p.result_names[0]) != "output"; }

PyTypeObject* result_type_of(OpObject* op) {
  const Primitive& p = *op->primitive;
  if (!op->result_type) {
    std::vector<PyStructSequence_Field> fields;
    for (int i = 0; i < p.result_count; i++) fields.push_back({p.result_names[i], nullptr});
    fields.push_back({nullptr, nullptr});
    static std::deque<std::string> type_names;
    std::string_view name = p.name;  // median_dim is the part of median that has two results
    if (name.ends_with("_dim")) name.remove_suffix(4);
    type_names.push_back(str("torch.return_types.", name));
    PyStructSequence_Desc desc{type_names.back().c_str(), p.doc, fields.data(), p.result_count};
    op->result_type = ok(reinterpret_cast<PyObject*>(PyStructSequence_NewType(&desc)));
    reinterpret_cast<PyTypeObject*>(op->result_type)->tp_repr = structured_repr;
  }
  return reinterpret_cast<PyTypeObject*>(op->result_type);
}

PyObject* structured(OpObject* op, Tensor* results, int count) {
  if (!has_fields(*op->primitive)) {
    PyObject* tuple = ok(PyTuple_New(count));
    for (int i = 0; i < count; i++) PyTuple_SET_ITEM(tuple, i, wrap(std::move(results[i])));
    return tuple;
  }
  PyObject* tuple = ok(PyStructSequence_New(result_type_of(op)));
  for (int i = 0; i < count; i++) PyStructSequence_SET_ITEM(tuple, i, wrap(std::move(results[i])));
  return tuple;
}

void read_out(const Primitive& p, PyObject* out, Tensor* results) {
  if (p.result_count == 1 && is_tensor(out)) {
    results[0] = tensor_of(out);
    return;
  }
  Object list(PySequence_Fast(out, "argument 'out' must be Tensor or a tuple of Tensors"));
  if (!list) throw PythonError();
  if (PySequence_Fast_GET_SIZE(list.get()) != p.result_count)
    raise(PyExc_TypeError,
          str(p.name, "(): expected ", p.result_count, " tensors in out=, got ", PySequence_Fast_GET_SIZE(list.get())));
  for (int i = 0; i < p.result_count; i++) {
    PyObject* entry = PySequence_Fast_GET_ITEM(list.get(), i);
    if (!is_tensor(entry))
      raise(PyExc_TypeError, str(p.name, "(): argument 'out' must be Tensor, not ", Py_TYPE(entry)->tp_name));
    results[i] = tensor_of(entry);
  }
}

bool any_override(PyObject* const* args, Py_ssize_t count) {
  for (Py_ssize_t k = 0; k < count; k++) {
    PyObject* o = args[k];
    if (Py_TYPE(o) == &TensorType || PyLong_CheckExact(o)) continue;
    if (is_tensor(o)) {
      if (overrides(o)) return true;
    } else if (PyList_CheckExact(o) || PyTuple_CheckExact(o)) {
      Py_ssize_t n = PySequence_Fast_GET_SIZE(o);
      PyObject** items = PySequence_Fast_ITEMS(o);
      for (Py_ssize_t i = 0; i < n; i++) {
        if (PyLong_CheckExact(items[i]) || Py_TYPE(items[i]) == &TensorType) continue;
        if (is_tensor(items[i]) && overrides(items[i])) return true;
      }
    }
  }
  return false;
}

// Called with an error set, of an operand that is no tensor: a class of its own that has __torch_function__ decides.
// Null, and the error as it was, if there is none.
PyObject* ask_strangers(PyObject* self, PyObject* const* args, size_t count, PyObject* names) {
  size_t total = count + size_t(names ? PyTuple_GET_SIZE(names) : 0);
  bool found = false;
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  for (size_t k = 0; k < total; k++)
    found |= !is_tensor(args[k]) && !PyType_Check(args[k]) && PyObject_HasAttrString(args[k], "__torch_function__");
  PyObject* result = found ? call_override(self, args, count, names) : nullptr;
  if (result || PyErr_Occurred()) {
    Py_XDECREF(type), Py_XDECREF(value), Py_XDECREF(trace);
    if (!result) throw PythonError();
  } else {
    PyErr_Restore(type, value, trace);
  }
  return result;
}

PyObject* op_call(PyObject* self, PyObject* const* args, size_t flags, PyObject* names) {
  auto* op = reinterpret_cast<OpObject*>(self);
  Py_ssize_t count = PyVectorcall_NARGS(flags), total = count + (names ? PyTuple_GET_SIZE(names) : 0);
  return guarded([=]() FLAMBEAU_LAMBDA -> PyObject* {
    const Primitive& p = *op->primitive;
    if (any_override(args, total)) [[unlikely]] {
      if (PyObject* result = call_override(self, args, size_t(count), names)) return result;
      if (PyErr_Occurred()) throw PythonError();
    }
    ValueRoom list;  // parse() writes every one that is read
    Value* values = list.values;
    Room room;
    Options options;
    try {
      if (!parse(*op, args, count, names, values, room, options))
        return PyObject_Vectorcall(op->otherwise, args, size_t(count), names);
    } catch (const PythonError&) {
      if (!op->otherwise) {
        if (PyObject* result = ask_strangers(self, args, size_t(count), names)) return result;
        throw;
      }
      if (!PyErr_ExceptionMatches(PyExc_TypeError)) throw;
      PyErr_Clear();
      return PyObject_Vectorcall(op->otherwise, args, size_t(count), names);
    }
    if (op->in_place) {
      PyObject* target = count ? args[0] : nullptr;
      for (Py_ssize_t n = 0; !target; n++)
        if (find_param(p, PyTuple_GET_ITEM(names, n)) == 0) target = args[n];
      if (!values[0].is_tensor() || !is_tensor(target))
        raise(PyExc_TypeError, str(p.name, "_(): argument '", p.params[0].name, "' (position 1) must be Tensor, not ",
                                   Py_TYPE(target)->tp_name));
      if (options.out) raise(PyExc_TypeError, str(p.name, "_() got an unexpected keyword argument 'out'"));
      call_in_place(p, values);
      return Py_NewRef(target);
    }
    if (p.result_count == 1 && !options.out) {
      Tensor made;
      call(p, values, &made);
      if (options.requires_grad) {
        if (!is_differentiable(made.dtype()))
          raise(PyExc_RuntimeError, "Only Tensors of floating point and complex dtype can require gradients");
        made->requires_grad = true;
      }
      return wrap(std::move(made));
    }
    Tensor results[kMaxResults];
    if (options.out) {
      read_out(p, options.out, results);
      call_out(p, values, results);
      if (p.result_count == 1)
        return Py_NewRef(is_tensor(options.out) ? options.out : PySequence_Fast_GET_ITEM(options.out, 0));
    } else {
      call(p, values, results);
    }
    if (p.result_names) return structured(op, results, p.result_count);
    PyObject* tuple = ok(PyTuple_New(p.result_count));
    for (int i = 0; i < p.result_count; i++) PyTuple_SET_ITEM(tuple, i, wrap(std::move(results[i])));
    return tuple;
  });
}

PyObject* op_get(PyObject* self, PyObject* instance, PyObject*) {
  if (!instance || instance == Py_None) return Py_NewRef(self);
  return PyMethod_New(self, instance);
}
PyObject* op_repr(PyObject* self) {
  return PyUnicode_FromFormat("<operation %U of flambeau>", reinterpret_cast<OpObject*>(self)->name);
}
PyObject* op_doc(PyObject* self, void*) {
  auto* op = reinterpret_cast<OpObject*>(self);
  return op->otherwise ? PyObject_GetAttrString(op->otherwise, "__doc__") : PyUnicode_FromString(op->primitive->doc);
}
// inspect.signature looks here first.
PyObject* op_wrapped(PyObject* self, void*) {
  auto* op = reinterpret_cast<OpObject*>(self);
  if (op->otherwise) return Py_NewRef(op->otherwise);
  PyErr_SetString(PyExc_AttributeError, "__wrapped__");
  return nullptr;
}
PyObject* op_result_type(PyObject* self, void*) {
  auto* op = reinterpret_cast<OpObject*>(self);
  return guarded([&]() -> PyObject* {
    if (!has_fields(*op->primitive)) Py_RETURN_NONE;
    return Py_NewRef(reinterpret_cast<PyObject*>(result_type_of(op)));
  });
}
PyObject* op_reduce(PyObject* self, PyObject*) { return Py_NewRef(reinterpret_cast<OpObject*>(self)->name); }

std::string default_text(const Value& v) {
  if (v.kind == Kind::Double) {
    Object number(PyFloat_FromDouble(v.real));
    Object text(PyObject_Repr(number.get()));
    return PyUnicode_AsUTF8(text.get());
  }
  return v.kind == Kind::Ints ? "()" : describe(v);
}

// For help() and inspect.signature: derived from the schema.
PyObject* op_text_signature(PyObject* self, void*) {
  const Primitive& p = *reinterpret_cast<OpObject*>(self)->primitive;
  std::string text = "(";
  bool starred = false;
  for (int i = 0; i < p.param_count; i++) {
    if (i) text += ", ";
    if (p.params[i].keyword_only && !starred) {
      text += "*, ";
      starred = true;
    }
    text += p.params[i].name;
    if (p.params[i].has_default) text += "=" + default_text(p.params[i].fallback);
  }
  return PyUnicode_FromString((text + ")").c_str());
}

PyMemberDef op_members[] = {{"__name__", T_OBJECT, offsetof(OpObject, name), READONLY, nullptr},
                            {"__qualname__", T_OBJECT, offsetof(OpObject, name), READONLY, nullptr},
                            {}};
PyGetSetDef op_getset[] = {
    {"__doc__", op_doc, nullptr, nullptr, nullptr},
    {"__text_signature__", op_text_signature, nullptr, nullptr, nullptr},
    {"__wrapped__", op_wrapped, nullptr, nullptr, nullptr},
    {"result_type", op_result_type, nullptr, "The type of results with several fields, or None.", nullptr},
    {}};
PyMethodDef op_methods[] = {{"__reduce__", op_reduce, METH_NOARGS, nullptr}, {}};
PyTypeObject OpType = {PyVarObject_HEAD_INIT(nullptr, 0)};

}  // namespace

PyObject* make_op(const Primitive& p, bool in_place) {
  auto* op = PyObject_New(OpObject, &OpType);
  if (!op) return nullptr;
  op->vectorcall = op_call;
  op->primitive = &p;
  op->in_place = in_place;
  op->name = PyUnicode_FromFormat(in_place ? "%s_" : "%s", p.name);
  op->result_type = op->otherwise = nullptr;
  op->positional = 0;
  while (op->positional < p.param_count && !p.params[op->positional].keyword_only) op->positional++;
  op->spread = op->positional && p.params[op->positional - 1].type == ParamType::Ints;
  return reinterpret_cast<PyObject*>(op);
}

// overloaded(operation, function): calls that fit the row go to the core, all others to the function.
static PyObject* py_overloaded(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (count != 2 || Py_TYPE(args[0]) != &OpType) {
    PyErr_SetString(PyExc_TypeError, "overloaded(operation, function)");
    return nullptr;
  }
  const Primitive& p = *reinterpret_cast<OpObject*>(args[0])->primitive;
  Object made(make_op(p, false)), name(PyObject_GetAttrString(args[1], "__name__"));
  if (!made || !name) return nullptr;
  auto* op = reinterpret_cast<OpObject*>(made.get());
  op->otherwise = Py_NewRef(args[1]);
  Py_SETREF(op->name, name.release());
  return made.release();
}
static PyMethodDef op_functions[] = {{"overloaded", method(py_overloaded), METH_FASTCALL, nullptr}, {}};

// _C.ops: name -> operation, for every row; _C.public: where the rows say that they are seen.
int add_ops(PyObject* module) {
  OpType.tp_name = "flambeau._C.Operation";
  OpType.tp_basicsize = sizeof(OpObject);
  OpType.tp_vectorcall_offset = offsetof(OpObject, vectorcall);
  OpType.tp_call = PyVectorcall_Call;
  OpType.tp_descr_get = op_get;
  OpType.tp_repr = op_repr;
  OpType.tp_members = op_members;
  OpType.tp_getset = op_getset;
  OpType.tp_methods = op_methods;
  OpType.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR;
  if (PyType_Ready(&OpType) < 0) return -1;
  for (auto [slot, text] : {std::pair{&str_out, "out"},
                            {&str_dtype, "dtype"},
                            {&str_device, "device"},
                            {&str_layout, "layout"},
                            {&str_requires_grad, "requires_grad"},
                            {&str_pin_memory, "pin_memory"},
                            {&str_names, "names"},
                            {&str_memory_format, "memory_format"},
                            {&str_axis, "axis"},
                            {&str_keepdims, "keepdims"}})
    *slot = PyUnicode_InternFromString(text);
  static constexpr const char* classes[] = {"elementwise", "reduction", "view",     "contraction", "indexing", "scan",
                                            "random",      "movement",  "creation", "kernel",      "composite"};
  Object all(PyDict_New()), visible(PyList_New(0));
  for (const Primitive& p : primitives()) {
    Object op(make_op(p, false)), in_place(p.inplace ? make_op(p, true) : nullptr);
    if (!op || PyDict_SetItemString(all.get(), p.name, op.get()) < 0) return -1;
    if (in_place && PyDict_SetItemString(all.get(), str(p.name, "_").c_str(), in_place.get()) < 0) return -1;
    // (name, namespace, operation, in-place operation or None, is function, is method, class)
    auto show = [&](const char* name, const char* space) {
      Object entry(Py_BuildValue("(ssOOiis)", name, space, op.get(), in_place ? in_place.get() : Py_None,
                                 int(p.function), int(p.method), classes[int(p.cls)]));
      return entry && PyList_Append(visible.get(), entry.get()) == 0;
    };
    if (!show(p.name, p.space)) return -1;
    for (const char* const* alias = p.aliases; alias && *alias; alias++) {
      std::string_view text(*alias);
      size_t dot = text.rfind('.');
      std::string space(dot == text.npos ? "" : text.substr(0, dot));
      if (!show(dot == text.npos ? *alias : *alias + dot + 1, space.c_str())) return -1;
    }
  }
  if (PyModule_AddObjectRef(module, "operations", visible.get()) < 0 || PyModule_AddFunctions(module, op_functions) < 0)
    return -1;
  return PyModule_AddObjectRef(module, "ops", all.get());
}

}  // namespace flambeau::python
