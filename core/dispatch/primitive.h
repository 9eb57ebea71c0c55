// Primitive: a row of rows/*.py in compiled form. The table is generated; nothing here names an operation.
#pragma once
#include <vector>
#include "dispatch/value.h"
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/reduction.h"

namespace flambeau {

struct Primitive;
inline constexpr int kMaxResults = 4;
inline constexpr int kMaxParams = 24;

enum class Class : uint8_t {
  Elementwise,
  Reduction,
  View,
  Contraction,
  Indexing,
  Scan,
  Random,
  Movement,
  Creation,
  Kernel,
  Composite
};
enum class ParamType : uint8_t {
  Tensor,
  Tensors,
  Number,
  Int,
  Float,
  Bool,
  Ints,
  IntsOrText,
  Dims,
  DType,
  Text,
  Generator,
  Floats
};
enum class Promote : uint8_t { Common, Float, None };
enum class Autocast : uint8_t { None, Low, Full };  // under mixed precision: as it comes, in few bits, in float32
enum class ResultType : uint8_t { Same, Bool, Real, Complex, Fixed };

struct Param {
  const char* name;
  ParamType type;
  bool keyword_only;
  bool has_default;
  bool optional;        // None is accepted
  Value fallback;       // where has_default
  bool number = false;  // a tensor parameter that takes a Python number as well
};

// One call of a primitive. `args` has one value per parameter; results[i] that are not null on entry were given by the
// caller (out= and in-place) and are to be filled.
struct Call {
  const Primitive& primitive;
  Value* args;
  Tensor* results;  // primitive.result_count of them
  // Where results are given: those that the entry could not fill as they are (door.h: result()).
  Tensor* stash;
  bool given = false;     // results were given
  bool in_place = false;  // result 0 is argument 0

  Call(const Primitive& primitive, Value* args, Tensor* results, Tensor* stash = nullptr)
      : primitive(primitive), args(args), results(results), stash(stash) {}
  const Tensor& tensor(int i) const { return args[i].peek(); }
};

// One backward step of a primitive: cotangents of results in, cotangents of arguments out.
struct Backward {
  const Primitive& primitive;
  const Value* args;           // saved; tensors that the formula does not need are None
  const Tensor* results;       // saved results (null unless the formula names them)
  const Tensor* grads;         // one per result; null means zero
  uint32_t needs;              // bit i: argument i wants its cotangent (of a list: all entries)
  Tensor* out;                 // one per parameter (lists: out_list)
  std::span<Tensor> out_list;  // cotangents of the entries of a Tensors parameter
  const Ints* shapes;          // shapes[i]: sizes of tensor argument i in the forward call, saved or not
  const DType* dtypes;
  std::span<const Ints> list_shapes;  // of the entries of a Tensors parameter
  bool differentiable;                // create_graph: compose, do not use fused kernels
  bool conjugate = true;              // reverse mode conjugates what was saved; forward mode does not
  mutable std::vector<Tensor> conjugates{};
  bool needed(int i) const { return needs >> i & 1; }
};

struct Elementwise {
  const ElementwiseLoops* loops;  // with the operands that the fused backward step reads and writes
  Promote promote;
  ResultType result;
  DType fixed;       // of ResultType::Fixed
  uint32_t masks;    // bit i: operand i is a bool mask
  uint32_t reals;    // bit i: operand i has the real type of a complex compute type
  bool divides;      // operand 1 may not be an integer zero
  uint8_t operands;  // tensor and number parameters, in order
  uint16_t plain;    // bit per DType whose loop serves operands of that type as they are, with nothing to check
};

struct Primitive {
  const char* name;
  const char* node_name;    // "MulBackward0": what grad_fn shows
  const char* second_name;  // "SumBackward1": the same where argument `second_by` was given, or null
  int8_t second_by;
  const char* doc;
  const Param* params;
  uint8_t param_count;
  uint32_t tensor_params;  // bit i: parameter i is a tensor
  uint32_t list_params;    // bit i: parameter i is a list of tensors
  uint8_t result_count;
  const char* const* result_names;  // null: a plain tensor or tuple
  Class cls;
  Autocast autocast;
  bool differentiable;
  bool function, method, inplace;
  const char* const* aliases;  // null-terminated: other public names, "namespace.name"
  const char* space;           // "" or "special", "nn.functional", ...
  uint16_t dtypes;             // bit per DType it computes in
  uint32_t saves;              // arguments whose values the gradient needs
  uint8_t saves_results;
  uint32_t linear;  // arguments in which it is linear (jointly)
  uint32_t bilinear;
  Elementwise elementwise;
  const ReduceKernels* reduction;
  bool empty_fails;  // a reduction that has no value over nothing
  void (*run)(Call&);
  void (*vjp)(Backward&);        // composition over primitives
  void (*fused_vjp)(Backward&);  // optional: kernels
  void (*jvp)(Backward&);        // optional: tangents in place of cotangents, where vjp cannot take them
  bool supports(DType t) const { return dtypes >> int(t) & 1; }
};

std::span<const Primitive> primitives();  // generated
const Primitive* find_primitive(std::string_view name);

}  // namespace flambeau
