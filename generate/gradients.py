"""Gradients as compositions: each row's `grad` as a C++ function over primitives (gradients.cpp).

These run where a second derivative may be asked for, and for all rows whose gradient is not elementwise. Saved complex
values come conjugated, unless forward mode asks for the plain ones.
"""

from __future__ import annotations

from collections.abc import Callable

from generate.intrinsics import OPERATORS
from generate.primitives import identifier, value
from generate.trace import Expr, Trace, trace_gradient
from rows.row import Row, registered

NUMERIC = ("number", "number?", "float", "float?", "int", "int?", "bool")
HEAD = """\
// Generated from rows/: gradients composed of primitives.
#include "dispatch/gradient.h"
#include "dispatch/all_ops.h"

namespace flambeau::vjps {
"""


def outputs(rows: list[Row]) -> dict[str, Callable[[], str]]:
    return {"gradients.cpp": lambda: "\n".join([
        HEAD, *(function(r, r.grad) for r in rows if r.grad and not r.vjp), "}", "", "namespace flambeau::jvps {", "",
        *(function(r, r.jvp) for r in rows if r.jvp), "}", ""])}  # fmt: skip


def function(row: Row, rule: Callable) -> str:
    trace = trace_gradient(row, registered(), inline=False, rule=rule)
    lines = [f"void {identifier(row.name)}(Backward& b) {{"]
    tensors = [(i, p) for i, p in enumerate(row.params) if p.is_tensor or p.type == "Tensors"]
    for (i, p), result in zip(tensors, trace.results, strict=True):
        if result is None:
            lines.append(f"  if (b.needed({i})) no_derivative(b, {i});")
            continue
        writer = Composer(row, trace)
        text = writer.value(result)
        if writer.numeric(result):
            text = f"ops::fill(b.grads[0], {text})"
        if p.type == "Tensors":
            raise NotImplementedError(f"{row.place}: a gradient of a list is written by hand (vjp=)")
        lines.append(f"  if (b.needed({i})) {{")
        lines += [f"    {line}" for line in writer.lines]
        lines.append(f"    b.out[{i}] = reduced(b, {i}, {text});")
        lines.append("  }")
    return "\n".join([*lines, "}", ""])


class Composer:
    """C++ statements for one cotangent: every node that is used is a call of a primitive."""

    def __init__(self, row: Row, trace: Trace) -> None:
        self.row, self.trace = row, trace
        self.names: dict[int, str] = {}
        self.lines: list[str] = []

    def numeric(self, node: Expr) -> bool:
        """Whether the node is made of numbers alone, and so is computed as a double."""
        if node.op == "const":
            return True
        if node.op == "param":
            p = self.row.param(node.value)
            return p is not None and p.type in NUMERIC
        return node.op in OPERATORS and all(self.numeric(a) for a in node.args)

    def number(self, node: Expr) -> str:
        if node.op == "const":
            return value(float(node.value)).removeprefix("Value(").removesuffix(")")
        if node.op == "param":
            return f"b.args[{self.position(node.value)}].as_double()"
        return "(" + OPERATORS[node.op][0].format(*(self.number(a) for a in node.args)) + ")"

    def position(self, name: str) -> int:
        return next(i for i, p in enumerate(self.row.params) if p.name == name)

    def value(self, node: Expr) -> str:
        """An expression that gives the node as a Value or Tensor."""
        if node.index in self.names:
            return self.names[node.index]
        text = self.text(node)
        if node.op in ("param", "const", "shape") or self.numeric(node):
            return text
        name = f"t{node.index}"
        self.lines.append(f"auto {name} = {text};")
        self.names[node.index] = name
        return name

    def text(self, node: Expr) -> str:
        if node.op == "const":
            return value(node.value)
        if node.op == "param":
            return self.param(node.value)
        if node.op == "shape":
            return f"b.shapes[{self.position(node.args[0].value)}]"
        if node.op == "item":
            return f"{self.value(node.args[0])}[{node.value}]"
        if self.numeric(node):
            return f"Value({self.number(node)})"
        args = [self.value(a) if isinstance(a, Expr) else value(a) for a in node.args]
        if node.op == "where":
            return f"ops::where({', '.join(args)})"
        if node.op.startswith("mask_"):
            return f"ops::logical_{node.op[5:]}({', '.join(args)})"
        if node.op.startswith("P."):
            return f"ops::{identifier(node.op[2:])}({', '.join(args)})"
        return f"ops::{identifier(OPERATORS[node.op][1])}({', '.join(args)})"

    def param(self, name: str) -> str:
        if name == "g" or name.startswith("g_"):
            return "b.grads[0]"
        outputs = {"result": 0} | {o: i for i, o in enumerate(self.row.outputs)}
        if (p := self.row.param(name)) is None:
            text = f"b.results[{outputs[name]}]"
            kind = "Tensor"
        else:
            text, kind = f"b.args[{self.position(name)}]", p.type
        if kind in ("Tensor", "Tensor?", "operand", "operand?") and self.row.holomorphic:
            return f"saved(b, {text})"
        return text
