"""Elementwise kernels: a forward and a fused backward loop for each row and element type, and the table of them all.

For a family, `<family>_forward.cpp` and `<family>_backward.cpp` hold vector loops, compiled once per instruction set;
`<family>_scalar.cpp` holds what works one element at a time (complex numbers, special functions), compiled once.
The contract of a loop stands in core/kernels/cpu/elementwise.h.
"""

from __future__ import annotations

from collections.abc import Callable

from generate.intrinsics import OPERATORS
from generate.trace import Expr, Trace, trace_formula, trace_gradient
from rows.row import COMPLEX, DTYPES, FLOAT, Row, registered

CPP_TYPES = dict(zip(DTYPES, ("bool", "uint8_t", "int8_t", "int16_t", "int32_t", "int64_t", "Half", "BFloat16",
                              "float", "double", "Complex64", "Complex128"), strict=True))  # fmt: skip
BYTES = {"value": "sizeof(V)", "real": "sizeof(Real<V>)", "complex": "sizeof(Complex<V>)", "mask": "kLanes<V>"}


def outputs(rows: list[Row]) -> dict[str, Callable[[], str]]:
    found: dict[str, Callable[[], str]] = {}
    families: dict[str, list[Row]] = {}
    for row in rows:
        if row.cls == "elementwise":
            families.setdefault(row.file, []).append(row)
    for family, members in families.items():
        for part in ("forward", "backward", "scalar"):
            found[f"kernels/{family}_{part}.cpp"] = lambda f=family, r=members, p=part: family_file(f, r, p)
    found["elementwise_loops.cpp"] = lambda: table_file(families)
    return found


# ---- one traced function as C++ ------------------------------------------------------------------------------------


class Writer:
    """C++ text of a trace: shared nodes become constants, the others stand where they are used."""

    def __init__(self, trace: Trace) -> None:
        self.trace, self.uses = trace, trace.uses()
        self.names: dict[int, str] = {}
        self.lines: list[str] = []

    def body(self) -> tuple[list[str], list[str]]:
        """Statements, and one expression for each result that is not None."""
        for node in self.trace.reachable():
            if node.op not in ("param", "const") and self.uses[node.index] > 1:
                text = self.text(node)
                self.names[node.index] = f"t{len(self.names)}"
                self.lines.append(f"const auto {self.names[node.index]} = {text};")
        results = [self.expression(r) for r in self.trace.results if r is not None]
        return self.lines, results

    def expression(self, node: Expr) -> str:
        return self.names.get(node.index) or self.text(node)

    def text(self, node: Expr) -> str:
        if node.op == "param":
            return node.value
        if node.op == "const":
            return f"constant<V>({number(node.value)})"
        args = [self.expression(a) for a in node.args]
        if node.op == "where":
            return f"select({', '.join(args)})"
        if node.op.startswith("m."):
            return f"{node.op[2:]}({', '.join(args)})"
        return OPERATORS[node.op][0].format(*args)


def number(value: bool | float) -> str:
    if value != value:
        return "__builtin_nan(\"\")"
    if value in (float("inf"), float("-inf")):
        return "-__builtin_inf()" if value < 0 else "__builtin_inf()"
    return repr(float(value)) if isinstance(value, float) else str(int(value))


def loop(name: str, trace: Trace, lanes: str, conjugate: bool) -> str:
    """A loop as a template over the element type. lanes: what V is, in terms of T."""
    used = {n.index for n in trace.reachable()}
    lines, results = Writer(trace).body()
    kinds = [k for k, r in zip(trace.kinds, trace.results, strict=True) if r is not None]
    text = [f"template <class T>\nvoid {name}(char* const* data, const int64_t* steps, int64_t n) {{", f"  using V = {lanes};"]
    operands = [(i + len(results), p) for i, p in enumerate(trace.params) if p.index in used]
    for i in range(len(results)):
        text.append(f"  char* out{i} = data[{i}];")
    for i, p in operands:
        text.append(f"  const char* in{i} = data[{i}];")
        text.append(f"  const int64_t step{i} = steps[{i}] * int64_t({BYTES[p.kind]});")
    past = lanes != "T" and any(kind not in ("mask", "real", "complex") for kind in kinds)
    if past:
        text.append("  const bool past = steps[0] == kPastCaches;")
    text.append("  for (int64_t i = iterations<V>(n); i > 0; --i) {")
    for i, p in operands:
        get = {"mask": "load_mask<V>", "real": "load<Real<V>>", "complex": "load<Complex<V>>"}.get(p.kind, "load<V>")
        value = f"{get}(in{i})"
        if conjugate and p.value != "g" and p.kind == "value":
            value = f"conj({value})"
        text.append(f"    const auto {p.value} = {value};")
        text.append(f"    in{i} += step{i};")
    text += [f"    {line}" for line in lines]
    for i, (result, kind) in enumerate(zip(results, kinds, strict=True)):
        put = {"mask": "store_mask<V>", "real": "store<Real<V>>", "complex": "store<Complex<V>>"}.get(kind)
        if put:
            text.append(f"    {put}(out{i}, {result});")
        else:
            text.append(f"    store_past<V>(out{i}, {result}, past);" if past else f"    store<V>(out{i}, {result});")
        text.append(f"    out{i} += {BYTES[kind]};")
    return "\n".join([*text, "  }", *(["  fence(past);"] if past else []), "}"])


# ---- what a row needs ----------------------------------------------------------------------------------------------


class Loops:
    """A row's two traces, and which types have vector loops or scalar loops."""

    def __init__(self, row: Row) -> None:
        rows = registered()
        self.row = row
        self.forward = trace_formula(row, rows)
        self.backward = settle(trace_gradient(row, rows)) if row.grad else None
        scalar = self.forward.scalar() or row.result == "complex"
        self.types = {"forward": self.split(row.dtypes, scalar)}
        if self.backward:
            self.types["backward"] = self.split(row.dtypes & (FLOAT | COMPLEX), self.backward.scalar() or row.result == "complex")

    @staticmethod
    def split(dtypes: frozenset[str], scalar: bool) -> dict[bool, frozenset[str]]:
        alone = dtypes if scalar else dtypes & COMPLEX
        return {True: alone, False: dtypes - alone}

    def emit(self, direction: str, scalar: bool) -> tuple[str | None, str]:
        """The loop's text (None: no type needs one) and its line of the table."""
        types = self.types.get(direction, {}).get(scalar, frozenset())
        name = f"{self.row.name}_{direction}"
        entries = ", ".join(f"{name}<{CPP_TYPES[d]}>" if d in types else "0" for d in DTYPES)
        if not types:
            return None, f"    {{{entries}}},"
        trace = self.forward if direction == "forward" else self.backward
        conjugate = direction == "backward" and self.row.holomorphic and scalar
        operands = ", ".join(p.name for p in self.row.params)
        text = f"// {direction} of {self.row.name}({operands})\n" + loop(name, trace, "T" if scalar else "Lanes<T>", conjugate)
        return text, f"    {{{entries}}},"


def settle(trace: Trace) -> Trace:
    """Operands of the backward loop: g, those that the gradient really reads in schema order, the result."""
    used = {n.index for n in trace.reachable()}
    order = ["g", *(p.name for p in trace.row.params), "result"]
    found = {p.value: p for p in trace.params}
    trace.params = [found[name] for name in order if name == "g" or (name in found and found[name].index in used)]
    return trace


def family_file(family: str, rows: list[Row], part: str) -> str:
    scalar = part == "scalar"
    loops = [Loops(row) for row in rows]
    parts = []
    for direction in ("forward", "backward") if scalar else (part,):
        emitted = [l.emit(direction, scalar) for l in loops]
        table = f"k{camel(family)}{'Scalar' if scalar else ''}{direction.capitalize()}"
        parts.append((table, [t for t, _ in emitted if t], [line for _, line in emitted]))
    lines = [f"// Generated from rows/{family}.py; edits are lost."]
    if scalar:
        lines.append("#if defined(FLAMBEAU_ISA_v2) || !defined(__x86_64__)  // once is enough: no vectors here")
    header = "special.h" if scalar else "math.h"
    lines += ['#include "kernels/cpu/isa.h"', '#include "kernels/cpu/elementwise.h"', f'#include "kernels/cpu/{header}"', "",
              "namespace flambeau::kernels::FLAMBEAU_ISA {", "namespace {", ""]  # fmt: skip
    for _, texts, _ in parts:
        for text in texts:
            lines += [text, ""]
    lines += ["}  // namespace", ""]
    for table, _, entries in parts:
        lines += [f"extern const Loop {table}[][kDTypes];", f"const Loop {table}[][kDTypes] = {{", *entries, "};", ""]
    lines.append("}  // namespace flambeau::kernels::FLAMBEAU_ISA")
    return "\n".join(lines + (["#endif"] if scalar else [])) + "\n"


# ---- the table of all rows -----------------------------------------------------------------------------------------


def table_file(families: dict[str, list[Row]]) -> str:
    """elementwise_loops(name): the tables of the chosen instruction set, the scalar loops filled in."""
    names = [f"k{camel(f)}{d}" for f in families for d in ("Forward", "Backward")]
    scalars = [f"k{camel(f)}Scalar{d}" for f in families for d in ("Forward", "Backward")]
    declare = lambda names: " ".join(f"extern const Loop {n}[][kDTypes];" for n in names)
    lines = ["// Generated from rows/; edits are lost. Finds the loops of a row for the instruction set of this process.",
             '#include "kernels/cpu/elementwise.h"', '#include "base/cpu.h"', "#include <algorithm>", "#include <cstring>",
             "", "namespace flambeau {", "", "namespace kernels {", "#if defined(__x86_64__)"]  # fmt: skip
    lines += [f"namespace {isa} {{ {declare(names)} }}" for isa in ("v2", "v3", "v4")]
    lines += [f"namespace v2 {{ {declare(scalars)} }}", "namespace base = v2;", "#else",
              f"namespace neon {{ {declare(names + scalars)} }}", "namespace base = neon;", "#endif",
              "}  // namespace kernels", "", "namespace {", "",
              "struct Family {", "  const Loop (*forward)[kDTypes];", "  const Loop (*backward)[kDTypes];", "};",
              "", "struct RowEntry {", "  const char* name;", "  int family, index;", "  uint16_t saved, cotangents;",
              "  uint8_t operands;", "};", ""]  # fmt: skip
    each = lambda space: ", ".join(f"{{kernels::{space}::k{camel(f)}Forward, kernels::{space}::k{camel(f)}Backward}}" for f in families)
    lines += ["#if defined(__x86_64__)",
              *(f"const Family k{isa.upper()}[] = {{{each(isa)}}};" for isa in ("v2", "v3", "v4")),
              "const Family* chosen() { return chosen_isa() == Isa::V4 ? kV4 : chosen_isa() == Isa::V3 ? kV3 : kV2; }",
              "#else", f"const Family kNeon[] = {{{each('neon')}}};", "const Family* chosen() { return kNeon; }", "#endif",
              "const Family kScalar[] = {"
              + ", ".join(f"{{kernels::base::k{camel(f)}ScalarForward, kernels::base::k{camel(f)}ScalarBackward}}" for f in families)
              + "};", "", "constexpr RowEntry kRows[] = {"]  # fmt: skip
    entries = [(row, f, i) for f, members in enumerate(families.values()) for i, row in enumerate(members)]
    for row, family, index in sorted(entries, key=lambda e: e[0].name):
        saved, cotangents = masks(row)
        lines.append(f'    {{"{row.name}", {family}, {index}, {saved:#x}, {cotangents:#x}, {len(row.params)}}},')
    lines += ["};", "constexpr int kCount = sizeof(kRows) / sizeof(kRows[0]);", "",
              "struct Table {", "  ElementwiseLoops rows[kCount];", "  Table() {", "    const Family* vectors = chosen();",
              "    for (int i = 0; i < kCount; ++i) {", "      const RowEntry& row = kRows[i];",
              "      ElementwiseLoops& entry = rows[i];", "      entry.name = row.name;", "      entry.saved = row.saved;",
              "      entry.cotangents = row.cotangents;", "      entry.operands = row.operands;",
              "      for (int t = 0; t < kDTypes; ++t) {",
              "        Loop forward = vectors[row.family].forward[row.index][t], backward = vectors[row.family].backward[row.index][t];",
              "        entry.forward[t] = forward ? forward : kScalar[row.family].forward[row.index][t];",
              "        entry.backward[t] = backward ? backward : kScalar[row.family].backward[row.index][t];",
              "      }", "    }", "  }", "};", "", "}  // namespace", "",
              "const ElementwiseLoops* elementwise_loops(std::string_view row) {", "  static const Table table;",
              "  const ElementwiseLoops* end = table.rows + kCount;",
              "  const ElementwiseLoops* found = std::lower_bound(",
              "      table.rows, end, row, [](const ElementwiseLoops& a, std::string_view b) { return std::string_view(a.name) < b; });",
              "  return found != end && found->name == row ? found : nullptr;", "}", "", "}  // namespace flambeau"]  # fmt: skip
    return "\n".join(lines) + "\n"


def masks(row: Row) -> tuple[int, int]:
    """ElementwiseLoops::saved and ::cotangents of a row."""
    if row.grad is None:
        return 0, 0
    trace = settle(trace_gradient(row, registered()))
    position = {p.name: i for i, p in enumerate(row.params)} | {"result": len(row.params)}
    saved = sum(1 << position[p.value] for p in trace.params if p.value != "g")
    cotangents = sum(1 << position[p.name] for p, r in zip(row.tensors, trace.results, strict=True) if r is not None)
    return saved, cotangents


def camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
