"""The table of primitives (primitives.cpp) and the typed way for C++ to call them (dispatch/ops.h, dispatch/all_ops.h).

ops.h holds what the core's own sources name, so that a new row does not compile them anew; generated sources and the
C++ tests read all_ops.h.
"""

from __future__ import annotations

import functools
import pathlib
import re
from collections.abc import Callable

from generate.kernels import Loops
from generate.trace import Expr, trace_gradient
from rows.row import DTYPES, REQUIRED, Param, Row, registered

KINDS = {
    "Tensor": "Tensor", "Tensor?": "Tensor", "mask": "Tensor", "real": "Tensor", "operand": "Tensor",
    "operand?": "Tensor", "Tensors": "Tensors", "number": "Number",
    "number?": "Number", "int": "Int", "int?": "Int", "float": "Float", "float?": "Float", "bool": "Bool", "bool?": "Bool",
    "ints": "Ints", "ints?": "Ints", "ints|str": "IntsOrText", "floats?": "Floats", "dims": "Dims", "dtype?": "DType", "str": "Text", "str?": "Text",
    "generator?": "Generator",
}  # fmt: skip
DTYPE_NAMES = dict(zip(DTYPES, ("Bool", "UInt8", "Int8", "Int16", "Int32", "Int64", "Float16", "BFloat16",
                                "Float32", "Float64", "Complex64", "Complex128"), strict=True))  # fmt: skip
RESULTS = {"same": "Same", "bool": "Bool", "real": "Real", "complex": "Complex"}


def outputs(rows: list[Row]) -> dict[str, Callable[[], str]]:
    return {
        "dispatch/ops.h": lambda: shims([r for r in rows if named_by_core() & {identifier(r.name), r.name + "_"}]),
        "dispatch/all_ops.h": lambda: shims(rows),
        "primitives.cpp": lambda: table(rows),
    }


def identifier(name: str) -> str:
    """A row's name as a C++ name: some are keywords there."""
    reserved = {"and", "or", "not", "xor", "bitand", "bitor", "compl", "new", "delete", "default", "union", "signbit"}
    return name + "_op" if name in reserved else name


def node_name(row: Row, form: int = 0) -> str:
    """What grad_fn shows: MulBackward0, MaxPool2DWithIndicesBackward0."""
    name = row.node or re.sub(r"(\d)d(?=[A-Z]|$)", r"\1D", "".join(part.capitalize() for part in row.name.split("_")))
    return f"{name}Backward{form}"


def value(default: object) -> str:
    """A default as a C++ Value."""
    if default is None or default is REQUIRED:
        return "Value()"
    if isinstance(default, bool):
        return f"Value({str(default).lower()})"
    if isinstance(default, int):
        return f"Value(int64_t({default}))"
    if isinstance(default, float):
        if default != default:
            return 'Value(__builtin_nan(""))'
        text = "__builtin_inf()" if default == float("inf") else "-__builtin_inf()" if default == float("-inf") else repr(default)
        return f"Value({text})"
    if isinstance(default, str):
        return f'Value(std::string_view("{default}"))'
    if isinstance(default, (tuple, list)):
        return f"Value(Ints({{{', '.join(map(str, default))}}}))" if default else "Value(Ints())"
    raise TypeError(f"no C++ default for {default!r}")


# ---- ops.h ---------------------------------------------------------------------------------------------------------

SHIM_HEAD = """\
// Generated from rows/: ops::name(...) calls the primitive `name` through the door.
#pragma once
#include <array>
#include "dispatch/door.h"

namespace flambeau {

namespace primitive {
"""


@functools.cache
def named_by_core() -> set[str]:
    """What the hand-written sources call: `ops::name` and `primitive::name`."""
    core = pathlib.Path(__file__).parents[1] / "core"
    sources = (path.read_text() for path in sorted(core.rglob("*")) if path.suffix in (".h", ".cpp"))
    return {name for text in sources for name in re.findall(r"\b(?:ops|primitive)::(\w+)", text)}


def shims(rows: list[Row]) -> str:
    lines = [SHIM_HEAD + "".join(f"extern const Primitive& {identifier(r.name)};\n" for r in rows) + "}\n\nnamespace ops {\n"]
    for row in rows:
        required, seen_default = [], False
        for p in row.params:
            seen_default = seen_default or not p.required
            required.append(f"Value {identifier(p.name)}" + ("" if p.required and not seen_default else f" = {value(p.default)}"))
        names = ", ".join(identifier(p.name) for p in row.params)
        name, count = identifier(row.name), len(row.outputs)
        result = "Tensor" if count == 1 else f"std::array<Tensor, {count}>"
        take = "r[0]" if count == 1 else "r"
        lines.append(f"inline {result} {name}({', '.join(required)}) {{\n"
                     f"  Value args[] = {{{names}}};\n  std::array<Tensor, {count}> r;\n"
                     f"  call(primitive::{name}, args, r.data());\n  return {'std::move(r[0])' if count == 1 else take};\n}}")  # fmt: skip
        if row.inplace and count == 1 and row.params and row.params[0].is_tensor:
            lines.append(f"inline Tensor {row.name}_({', '.join(required)}) {{\n  Value args[] = {{{names}}};\n"
                         f"  return call_in_place(primitive::{name}, args);\n}}")  # fmt: skip
    return "\n".join([*lines, "", "}  // namespace ops", "}  // namespace flambeau", ""])


# ---- the table -----------------------------------------------------------------------------------------------------


def table(rows: list[Row]) -> str:
    entries = sorted({entry(r) for r in rows} - {""})
    vjps = sorted({v for r in rows for v in vjp_names(r) if v})
    text = ["// Generated from rows/: the table of primitives.", '#include "dispatch/all_ops.h"', '#include "ops/elementwise.h"', "",
            "namespace flambeau {", "", "namespace entries {", *(f"void {e}(Call&);" for e in entries), "}",
            "namespace vjps {", *(f"void {v}(Backward&);" for v in vjps), "}",
            "namespace jvps {", *(f"void {identifier(r.name)}(Backward&);" for r in rows if r.jvp), "}", ""]  # fmt: skip
    for i, row in enumerate(rows):
        if row.params:
            text.append(f"static const Param params_{i}[] = {{{', '.join(param(p) for p in row.params)}}};")
        if len(row.outputs) > 1:
            text.append(f"static const char* const results_{i}[] = {{{', '.join(quoted(o) for o in row.outputs)}}};")
        if row.aliases:
            text.append(f"static const char* const aliases_{i}[] = {{{', '.join(quoted(a) for a in row.aliases)}, nullptr}};")
    text += ["", "static const Primitive table_[] = {", *(primitive(i, r) for i, r in enumerate(rows)), "};", "",
             "std::span<const Primitive> primitives() { return table_; }", "", "namespace primitive {",
             *(f"const Primitive& {identifier(r.name)} = table_[{i}];" for i, r in enumerate(rows)), "}", "",
             "}  // namespace flambeau", ""]  # fmt: skip
    return "\n".join(text)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def param(p: Param) -> str:
    optional = p.type.endswith("?") or p.default is None or p.type == "dims"
    flags = [p.keyword_only, not p.required, optional]
    number = ", true" if p.type.startswith("operand") else ""
    return f"{{{quoted(p.name)}, ParamType::{KINDS[p.type]}, {', '.join(str(f).lower() for f in flags)}, {value(p.default)}{number}}}"


def entry(row: Row) -> str:
    if row.cls == "elementwise":
        return ""
    return "reduce" if row.reduce else row.kernel or identifier(row.name)


def vjp_names(row: Row) -> tuple[str, str]:
    """(composed, fused) functions in namespace vjps."""
    composed = row.vjp or (identifier(row.name) if row.grad else "")
    return composed, ""


def bits(row: Row, names: tuple[str, ...]) -> str:
    return str(sum(1 << i for i, p in enumerate(row.params) if p.name in names))


def saved(row: Row) -> tuple[int, int]:
    """Bits of the arguments and of the results whose values the gradient reads."""
    if row.vjp:
        arguments = sum(1 << i for i, p in enumerate(row.params) if p.name in row.saves)
        return arguments, sum(1 << i for i, o in enumerate(row.outputs) if o in row.saves)
    if not row.grad:
        return 0, 0
    trace = trace_gradient(row, registered(), inline=False)
    read = {n.value for r in trace.results if r is not None for n in values_read(r)}
    results = {"result": 0} | {o: i for i, o in enumerate(row.outputs)}
    arguments = sum(1 << i for i, p in enumerate(row.params) if p.name in read)
    return arguments, sum({1 << results[name] for name in read if name in results and row.param(name) is None})


def values_read(root: Expr) -> list[Expr]:
    """Parameters that an expression reads by value: those under `shape` do not count."""
    found, stack = [], [root]
    while stack:
        node = stack.pop()
        if node.op == "param":
            found.append(node)
        elif node.op != "shape":
            stack.extend(a for a in node.args if isinstance(a, Expr))
    return found


def autocast(row: Row) -> str:
    """Under mixed precision contractions are computed in few bits, and what a row says otherwise."""
    return (row.autocast or ("low" if row.cls == "contraction" else "none")).capitalize()


def parameters_by_kind(row: Row) -> list[str]:
    """Bits of the parameters that are tensors, and of those that are lists of them."""
    kinds = [KINDS[p.type] for p in row.params]
    return [str(sum(1 << i for i, kind in enumerate(kinds) if kind == wanted)) for wanted in ("Tensor", "Tensors")]


def plain(row: Row) -> int:
    """Elementwise::plain: real types, unless the row has operands or results of other types, or operands to check."""
    if row.divides or any(p.type == "real" for p in row.params) or RESULTS.get(row.result) not in ("Same", "Bool"):
        return 0
    reals = (d for d in row.dtypes if d.startswith(("float", "int", "uint")) and d != "float16")
    return sum(1 << DTYPES.index(d) for d in reals if row.promote != "float" or d.startswith("float"))


def primitive(i: int, row: Row) -> str:
    composed, _ = vjp_names(row)
    arguments, results = saved(row)
    differentiable = bool(composed)
    loops = "Elementwise{}"
    fused = "nullptr"
    if row.cls == "elementwise":
        fixed = RESULTS.get(row.result, "Fixed")
        masks = sum(1 << k for k, p in enumerate(row.params) if p.type == "mask")
        reals = sum(1 << k for k, p in enumerate(row.params) if p.type == "real")
        divides = "true" if row.divides else "false"
        loops = (f"{{elementwise_loops({quoted(row.name)}), Promote::{row.promote.capitalize()}, ResultType::{fixed}, "
                 f"DType::{DTYPE_NAMES.get(row.result, 'Bool')}, {masks}, {reals}, {divides}, {len(row.params)}, {plain(row)}}}")  # fmt: skip
        if row.grad and Loops(row).backward:
            fused = "ops::fused_elementwise_vjp"
    chosen = next((k for k, p in enumerate(row.params) if p.name == row.node_by), -1)
    second = f"{quoted(node_name(row, 1)) if row.node_by else 'nullptr'}, {chosen}"
    run = "ops::run_elementwise" if row.cls == "elementwise" else f"entries::{entry(row)}"
    flags = [differentiable, row.function, row.method, row.inplace and bool(row.params) and row.params[0].is_tensor]
    return ("  {" + ", ".join([
        quoted(row.name), quoted(node_name(row)), second, quoted(row.doc), f"params_{i}" if row.params else "nullptr",
        str(len(row.params)), *parameters_by_kind(row), str(len(row.outputs)), f"results_{i}" if len(row.outputs) > 1 else "nullptr",
        f"Class::{row.cls.capitalize()}", f"Autocast::{autocast(row)}", *(str(f).lower() for f in flags),
        f"aliases_{i}" if row.aliases else "nullptr", quoted(row.namespace), str(sum(1 << DTYPES.index(d) for d in row.dtypes)),
        str(arguments), str(results), bits(row, row.linear), bits(row, row.bilinear), loops,
        f"reduce_kernels({quoted(row.name)})" if row.reduce else "nullptr",
        str(row.empty_fails).lower(), run,
        f"vjps::{composed}" if composed else "nullptr", fused,
        f"jvps::{identifier(row.name)}" if row.jvp else "nullptr"]) + "},")  # fmt: skip
