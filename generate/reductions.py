"""Reduction kernels: for each reduction row with formulas, a struct of them that core/kernels/cpu/reduce.h folds with.

`kernels/<family>_reduce.cpp` is compiled once per instruction set; reduce_kernels.cpp finds a row's kernels by name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

from generate.kernels import CPP_TYPES, Writer, camel
from generate.trace import Expr, Graph, Trace
from rows.row import BOOL, COMPLEX, DTYPES, INTEGRAL, Row, registered


def outputs(rows: list[Row]) -> dict[str, Callable[[], str]]:
    families: dict[str, list[Row]] = {}
    for row in rows:
        if row.cls == "reduction" and row.reduce is not None:
            families.setdefault(row.file, []).append(row)
    if not families:
        return {}
    found = {f"kernels/{f}_reduce.cpp": lambda f=f, r=r: family_file(f, r) for f, r in families.items()}
    return found | {"reduce_kernels.cpp": lambda: table_file(families)}


def numbers(row: Row) -> list[str]:
    return [p.name for p in row.params if p.type in ("number", "float")]


class Formulas:
    """The four formulas of a row as C++ templates over the lane type V."""

    def __init__(self, row: Row) -> None:
        self.row = row
        init = row.reduce.init()
        if not isinstance(init, tuple):
            Graph(row, registered()).fail("Reduce.init must give a tuple")
        self.states = len(init)
        self.init = self.traced(lambda: row.reduce.init(), [])

    def traced(self, function: Callable, groups: list[list[str] | str], single: bool = False) -> list[str]:
        """Statements that end in a return. groups: operands, a list of names being one tuple."""
        row, graph = self.row, Graph(self.row, registered())
        operands = [tuple(graph.param(n, "value") for n in g) if isinstance(g, list) else graph.param(g, "value") for g in groups]
        count = len(inspect.signature(function).parameters)
        extra = [graph.param(n, "value") for n in numbers(row)] if count > len(operands) else []
        results = graph.run(row, function, [*operands, *extra])
        results = results if isinstance(results, tuple) else (results,)
        if not single and len(results) != self.states:
            graph.fail(f"a state of {len(results)} values; init makes {self.states}")
        exprs: list[Expr | None] = [graph.expr(r) for r in results]
        trace = Trace(row, graph, [], exprs, ["value"] * len(exprs))
        trace.check(row.dtypes)
        lines, texts = Writer(trace).body()
        used = {n.value for n in trace.reachable() if n.op == "param"}
        loads = [f"const V {n} = constant<V>(params[{i}]);" for i, n in enumerate(numbers(row)) if n in used]
        values = ", ".join(f"lane<V>({t})" for t in texts)
        return [*loads, *lines, f"return {values};" if single else f"return {{{values}}};"]

    def text(self) -> str:
        mine, other = [f"s{i}" for i in range(self.states)], [f"t{i}_" for i in range(self.states)]
        reduce = self.row.reduce
        step = self.traced(reduce.step, [mine, "x"])
        merge = self.traced(reduce.merge, [mine, other])
        finish = self.traced(reduce.finish, [mine, "n"], single=True)
        load = [f"const V {a} = s.{a};" for a in mine]
        loads = [*load, *(f"const V {b} = t.{a};" for a, b in zip(mine, other, strict=True))]
        body = lambda lines: "".join(f"\n    {line}" for line in lines)
        unused = "[[maybe_unused]] "
        load, loads = [unused + line for line in load], [unused + line for line in loads]
        return "\n".join([
            f"struct {self.row.name}_formulas {{",
            f"  static constexpr int kStates = {self.states};",
            "  template <class V> struct State { V " + ", ".join(mine) + "; };",
            f"  template <class V> static FLAMBEAU_INLINE State<V> init() {{{body(self.init)}\n  }}",
            f"  template <class V> static FLAMBEAU_INLINE State<V> step(State<V> s, V x, const double* params) {{{body(load + step)}\n  }}",
            f"  template <class V> static FLAMBEAU_INLINE State<V> merge(State<V> s, State<V> t) {{{body(loads + merge)}\n  }}",
            "  template <class V> static FLAMBEAU_INLINE V finish(State<V> s, int64_t count, const double* params) {"
            + body([unused + "const auto n = constant<V>(count);", *load, *finish]) + "\n  }",
            "};",
        ])  # fmt: skip


def accumulator(row: Row, dtype: str) -> str:
    """The type of the state and of the result: whole numbers add up in int64."""
    return "int64" if row.result == "wide" and dtype in INTEGRAL | BOOL else dtype


def kernel(row: Row, dtype: str) -> str:
    """The table's entry; see ReduceKernels for what stays null."""
    if dtype not in row.dtypes or (row.result == "wide" and dtype in row.widened):
        return "0"
    formulas, kind = f"{row.name}_formulas", CPP_TYPES[dtype]
    if dtype in COMPLEX and row.linear:
        return f"reduce_parts<{formulas}, {'float' if dtype == 'complex64' else 'double'}>"
    return f"reduce<{formulas}, {kind}, {CPP_TYPES[accumulator(row, dtype)]}>"


def family_file(family: str, rows: list[Row]) -> str:
    lines = [f"// Generated from rows/{family}.py; edits are lost.", '#include "kernels/cpu/reduce.h"', "",
             "namespace flambeau::kernels::FLAMBEAU_ISA {", "namespace {", ""]  # fmt: skip
    for row in rows:
        lines += [Formulas(row).text(), ""]
    lines += ["}  // namespace", ""]
    table = f"k{camel(family)}Reduce"
    lines += [f"extern const ReduceKernel {table}[][kDTypes];", f"const ReduceKernel {table}[][kDTypes] = {{"]
    for row in rows:
        lines.append(f"    {{{', '.join(kernel(row, d) for d in DTYPES)}}},")
    return "\n".join([*lines, "};", "", "}  // namespace flambeau::kernels::FLAMBEAU_ISA"]) + "\n"


ENUMERATORS = dict(zip(DTYPES, ("Bool", "UInt8", "Int8", "Int16", "Int32", "Int64", "Float16", "BFloat16", "Float32",
                                "Float64", "Complex64", "Complex128"), strict=True))  # fmt: skip


def table_file(families: dict[str, list[Row]]) -> str:
    tables = [f"k{camel(f)}Reduce" for f in families]
    declare = " ".join(f"extern const ReduceKernel {t}[][kDTypes];" for t in tables)
    lines = ["// Generated from rows/; edits are lost. Finds the kernels of a reduction row for this process.",
             '#include "kernels/cpu/reduction.h"', "", "namespace flambeau {", "namespace kernels {", "#if defined(__x86_64__)",
             *(f"namespace {isa} {{ {declare} }}" for isa in ("v2", "v3", "v4")), "#else", f"namespace neon {{ {declare} }}",
             "#endif", "}  // namespace kernels", "", "namespace {", "", "struct Table {"]  # fmt: skip
    members = [(row, f, i) for f, rows in families.items() for i, row in enumerate(rows)]
    lines += [f"  ReduceKernels rows[{len(members)}];", "  Table() {"]
    for at, (row, family, index) in enumerate(members):
        types = ", ".join(f"DType::{ENUMERATORS[accumulator(row, d)]}" for d in DTYPES)
        lines.append(f'    rows[{at}] = {{"{row.name}", {{}}, {{{types}}}}};')
        lines.append(f"    fill(rows[{at}], pick_{camel(family)}()[{index}]);")
    lines += ["  }", "  static void fill(ReduceKernels& entry, const ReduceKernel* kernels) {",
              "    for (int i = 0; i < kDTypes; ++i) entry.kernel[i] = kernels[i];", "  }"]  # fmt: skip
    for family, table in zip(families, tables, strict=True):
        lines += [f"  static const ReduceKernel (*pick_{camel(family)}())[kDTypes] {{", "#if defined(__x86_64__)",
                  f"    return chosen_isa() == Isa::V4 ? kernels::v4::{table} : chosen_isa() == Isa::V3 ? kernels::v3::{table} : kernels::v2::{table};",
                  "#else", f"    return kernels::neon::{table};", "#endif", "  }"]  # fmt: skip
    lines += ["};", "", "}  // namespace", "", "const ReduceKernels* reduce_kernels(std::string_view row) {",
              "  static const Table table;", "  for (const ReduceKernels& entry : table.rows)",
              "    if (entry.name == row) return &entry;", "  return nullptr;", "}", "", "}  // namespace flambeau"]  # fmt: skip
    return "\n".join(lines) + "\n"
