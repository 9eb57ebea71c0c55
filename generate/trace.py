"""Traces formulas: runs a row's Python function once over symbolic operands and keeps what it did as a graph.

    forward = trace_formula(row, rows)      # Trace with .params, .results
    backward = trace_gradient(row, rows)    # .params are g and the operands that the gradient names
    composed = trace_gradient(row, rows, inline=False)   # P.name stays a call, for composition through the door

Equal subexpressions are one node (`graph.call` interns), so shared work is emitted once. Whatever a row gets wrong is
reported here, at the row's own line: an unknown name, a wrong number of arguments, a Python `if` on an operand, a
function that its types do not have.

An Expr has an op: "param", "const", an operator of intrinsics.OPERATORS, "where", "m.<intrinsic>" or "P.<row>" (the
last only when not inlined), and a kind: `value` (the compute type), `real` (its real type), `complex`, `mask`, or `any`
in compositions of non-elementwise rows, where nothing is known of an operand.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from generate.intrinsics import INTRINSICS, OPERATORS
from rows.row import BOOL, COMPLEX, INTEGRAL, Row, RowError

RANK = {"const": 0, "real": 1, "value": 2, "complex": 3, "any": 4}  # the kind of a sum is the greater of its terms'
COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")


class Expr:
    """A node of a traced formula; Python's operators on it make more nodes."""

    __slots__ = ("args", "graph", "index", "kind", "op", "value")

    def __init__(self, graph: Graph, op: str, args: tuple[Any, ...], value: Any, kind: str, index: int) -> None:
        self.graph, self.op, self.args, self.value, self.kind, self.index = graph, op, args, value, kind, index

    def __formula_call__(self, space: str, name: str, args: tuple, kwargs: dict) -> Any:
        return self.graph.word(space, name, args, kwargs)

    @property
    def shape(self) -> Expr:
        """The sizes of an operand: what a gradient needs of it without keeping its values."""
        return self.graph.node("shape", (self,), kind="any")

    def __getitem__(self, i: int) -> Expr:
        return self.graph.node("item", (self,), i, kind="any")

    def __iter__(self):
        self.graph.fail("iteration over an operand; name the results of a structured row by index")

    def __add__(self, other): return self.graph.operator("add", self, other)
    def __radd__(self, other): return self.graph.operator("add", other, self)
    def __sub__(self, other): return self.graph.operator("sub", self, other)
    def __rsub__(self, other): return self.graph.operator("sub", other, self)
    def __mul__(self, other): return self.graph.operator("mul", self, other)
    def __rmul__(self, other): return self.graph.operator("mul", other, self)
    def __truediv__(self, other): return self.graph.operator("div", self, other)
    def __rtruediv__(self, other): return self.graph.operator("div", other, self)
    def __neg__(self): return self.graph.operator("neg", self)
    def __and__(self, other): return self.graph.operator("and", self, other)
    def __or__(self, other): return self.graph.operator("or", self, other)
    def __xor__(self, other): return self.graph.operator("xor", self, other)
    def __invert__(self): return self.graph.operator("not", self)
    def __lt__(self, other): return self.graph.operator("lt", self, other)
    def __le__(self, other): return self.graph.operator("le", self, other)
    def __gt__(self, other): return self.graph.operator("gt", self, other)
    def __ge__(self, other): return self.graph.operator("ge", self, other)
    def __eq__(self, other): return self.graph.operator("eq", self, other)
    def __ne__(self, other): return self.graph.operator("ne", self, other)
    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        self.graph.fail("a Python condition (if, and, or, not, chained comparison) on an operand; write where(c, a, b)")

    def __repr__(self) -> str:
        if self.op in ("param", "const"):
            return str(self.value)
        return f"{self.op}({', '.join(map(repr, self.args))})"


class Graph:
    """The nodes of one trace, each made once. inline: P.name is replaced by the formula of the row of that name."""

    def __init__(self, row: Row, rows: dict[str, Row], inline: bool = True) -> None:
        self.row, self.rows, self.inline = row, rows, inline
        self.nodes: list[Expr] = []
        self.interned: dict[tuple, Expr] = {}
        self.depth = 0

    def fail(self, message: str) -> NoReturn:
        raise RowError(f"{self.row.place}: row {self.row.name!r}: {message}")

    def node(self, op: str, args: tuple = (), value: Any = None, kind: str = "value") -> Expr:
        key = (op, tuple(a.index if isinstance(a, Expr) else repr(a) for a in args), repr(value), kind)
        if key not in self.interned:
            self.interned[key] = Expr(self, op, args, value, kind, len(self.nodes))
            self.nodes.append(self.interned[key])
        return self.interned[key]

    def param(self, name: str, kind: str) -> Expr:
        return self.node("param", (), name, kind)

    def expr(self, x: Any) -> Expr:
        if isinstance(x, Expr):
            return x
        if isinstance(x, (bool, int, float)):
            return self.node("const", (), x, "const")
        self.fail(f"{x!r} is neither an operand nor a number")

    def operator(self, op: str, *operands: Any) -> Any:
        for x in operands:
            if not isinstance(x, (Expr, bool, int, float)):
                return NotImplemented
        args = tuple(map(self.expr, operands))
        kinds = [a.kind for a in args]
        if op == "mul" and self.inline:  # exact, and what a default such as alpha=1 leaves behind
            for one, other in (args, args[::-1]):
                if one.op == "const" and one.value == 1 and other.kind != "const":
                    return other
        if "mask" in kinds:
            if op not in ("and", "or", "xor", "not") or any(k != "mask" and (self.inline or k != "any") for k in kinds):
                self.fail(f"{op} of {' and '.join(kinds)}; a mask takes & | ^ ~ with masks, or where(mask, a, b)")
            return self.node(f"mask_{op}", args, kind="mask")
        kind = max(kinds, key=RANK.__getitem__)
        return self.node(op, args, kind="any" if kind == "any" else "mask" if op in COMPARISONS else kind)

    def where(self, c: Any, a: Any, b: Any) -> Expr:
        c, a, b = map(self.expr, (c, a, b))
        if c.kind not in ("mask", "any"):
            self.fail(f"where() needs a mask as its condition, not a {c.kind}; compare it, or m.truth(x)")
        if (a.kind == "mask") != (b.kind == "mask"):
            self.fail("where() chooses between a mask and a value")
        kind = "mask" if a.kind == "mask" else max(a.kind, b.kind, key=RANK.__getitem__)
        return self.node("where", (c, a, b), kind="value" if kind == "const" else kind)

    def word(self, space: str, name: str, args: tuple, kwargs: dict) -> Any:
        if space == "P" and name == "where" and not kwargs and len(args) == 3:
            return self.where(*args)
        return self.intrinsic(name, args, kwargs) if space == "m" else self.primitive(name, args, kwargs)

    def intrinsic(self, name: str, args: tuple, kwargs: dict) -> Expr:
        known = INTRINSICS.get(name)
        if known is None:
            self.fail(f"m.{name} does not exist{nearest(name, INTRINSICS)}")
        if not self.inline:
            self.fail(f"m.{name} in a gradient; gradients speak of primitives: P.{name}")
        if kwargs or len(args) != known.arity:
            self.fail(f"m.{name} takes {known.arity} operands, got {len(args) + len(kwargs)}")
        args = tuple(map(self.expr, args))
        if any(a.kind == "mask" for a in args):
            self.fail(f"m.{name} of a mask")
        kind = known.result
        if kind == "complex" and any(a.kind == "real" for a in args):
            kind = "value"  # the parts of a complex compute type, put together
        if kind == "value" and known.result == "value":
            kind = max((a.kind for a in args), key=RANK.__getitem__)
        return self.node(f"m.{name}", args, kind=kind)

    def primitive(self, name: str, args: tuple, kwargs: dict) -> Any:
        callee = self.rows.get(name)
        if callee is None:
            self.fail(f"P.{name} is no row{nearest(name, self.rows)}")
        try:
            bound = signature(callee).bind(*args, **kwargs)
        except TypeError as error:
            self.fail(f"P.{name}: {error}")
        bound.apply_defaults()
        values = [bound.arguments[p.name] for p in callee.params]
        if not self.inline:
            return self.node(f"P.{name}", tuple(self.expr(v) if isinstance(v, float) else v for v in values), kind="any")
        if callee.formula is None:
            self.fail(f"P.{name} has no formula, so it cannot stand in an elementwise kernel")
        if self.depth > 20:
            self.fail(f"P.{name} is defined by itself")
        self.depth += 1
        result = self.run(callee, callee.formula, [self.expr(v) for v in values])
        self.depth -= 1
        return result

    def run(self, row: Row, function: Callable, args: list[Any]) -> Any:
        """Calls a row's function on operands; its own TypeErrors are the row's."""
        try:
            return function(*args)
        except TypeError as error:
            raise RowError(f"{row.place}: row {row.name!r}: {error}") from None


@dataclass
class Trace:
    """A traced function: the operands that it reads, in order, and its results (None: no cotangent for that operand)."""

    row: Row
    graph: Graph
    params: list[Expr]
    results: list[Expr | None]
    kinds: list[str]  # of each result: what is stored

    def reachable(self) -> list[Expr]:
        """The nodes that the results need, each after its arguments."""
        seen: set[int] = set()
        stack = [r for r in self.results if r is not None]
        while stack:
            node = stack.pop()
            if node.index not in seen:
                seen.add(node.index)
                stack.extend(a for a in node.args if isinstance(a, Expr))
        return [n for n in self.graph.nodes if n.index in seen]

    def uses(self) -> dict[int, int]:
        """How often each node is an argument or a result."""
        count: dict[int, int] = {}
        for node in [n for r in self.reachable() for n in r.args if isinstance(n, Expr)] + self.results:
            if node is not None:
                count[node.index] = count.get(node.index, 0) + 1
        return count

    def scalar(self) -> bool:
        """True if some function of it works one element at a time."""
        return any(n.op.startswith("m.") and INTRINSICS[n.op[2:]].scalar for n in self.reachable()) or any(
            n.kind == "complex" for n in self.params
        )

    def check(self, dtypes: frozenset[str]) -> None:
        """Every function in the formula must exist for every type that the row computes in."""
        for node in self.reachable():
            operands = [a for a in node.args if a.kind not in ("mask", "const")]
            real = bool(operands) and all(a.kind == "real" for a in operands)
            real = real or bool(operands) and all(a.kind in ("real", "complex") for a in operands) and not dtypes & COMPLEX
            mine = frozenset({"complex64": "float32", "complex128": "float64"}.get(d, d) for d in dtypes) if real else dtypes
            if node.op == "const":
                whole = dtypes & (INTEGRAL | BOOL)
                if isinstance(node.value, float) and not node.value.is_integer() and abs(node.value) != float("inf") and whole:
                    self.graph.fail(f"the constant {node.value} in a formula for {', '.join(sorted(whole))}")
            elif node.op.startswith("m."):
                if missing := mine - INTRINSICS[node.op[2:]].dtypes:
                    self.graph.fail(f"{node.op} does not exist for {', '.join(sorted(missing))}")
            elif node.op in OPERATORS and any(a.kind == "complex" for a in operands):
                continue
            elif node.op in OPERATORS and not all(a.kind == "mask" for a in node.args):
                if missing := mine - OPERATORS[node.op][2]:
                    self.graph.fail(f"{node.op} does not exist for {', '.join(sorted(missing))}")


def signature(row: Row) -> inspect.Signature:
    """How formulas call a row: as its schema says, keyword-only numbers by position too."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    params = [inspect.Parameter(p.name, kind, default=p.default) for p in row.params]
    return inspect.Signature(sorted(params, key=lambda p: p.default is not inspect.Parameter.empty))


def nearest(name: str, names: Any) -> str:
    import difflib

    found = difflib.get_close_matches(name, list(names), 1)
    return f"; did you mean {found[0]}?" if found else ""


def operand_kind(type: str) -> str:
    return {"mask": "mask", "real": "real"}.get(type, "value")


def result_kind(row: Row) -> str:
    return {"bool": "mask", "real": "real", "complex": "complex"}.get(row.result, "value")


def trace_formula(row: Row, rows: dict[str, Row], inline: bool = True) -> Trace:
    """The forward formula of an elementwise row."""
    graph = Graph(row, rows, inline)
    params = [graph.param(p.name, operand_kind(p.type)) for p in row.params]
    result = graph.expr(graph.run(row, row.formula, params))
    expected, kind = result_kind(row), result.kind
    wrong = [k for k in ("mask", "complex") if (kind == k) != (expected == k)]
    if wrong or (kind == "real" and expected == "value" and row.dtypes & COMPLEX):
        graph.fail(f"the formula makes a {kind}, but the row's result is {row.result!r}")
    trace = Trace(row, graph, params, [result], [expected])
    if inline:
        trace.check(row.dtypes)
    return trace


def trace_gradient(row: Row, rows: dict[str, Row], inline: bool = True, rule: Callable | None = None) -> Trace:
    """The gradient: cotangents of the tensor parameters from g and what the rule names. rule: another one, such as jvp."""
    rule = rule or row.grad
    graph = Graph(row, rows, inline)
    elementwise = row.cls == "elementwise"
    kinds = {p.name: operand_kind(p.type) if elementwise else "any" for p in row.params}
    kinds |= {name: result_kind(row) if elementwise else "any" for name in ("g", *row.outputs, "result")}
    named = list(inspect.signature(rule).parameters)
    params = [graph.param(name, kinds[name]) for name in named]
    results = graph.run(row, rule, params)
    if not isinstance(results, tuple):
        results = (results,)
    tensors = [p for p in row.params if p.is_tensor or p.type == "Tensors"]
    if len(results) != len(tensors):
        graph.fail(f"the gradient gives {len(results)} cotangents for {len(tensors)} tensors ({', '.join(p.name for p in tensors)})")
    expected = [operand_kind(p.type) for p in tensors]
    trace = Trace(row, graph, params, [None if r is None else graph.expr(r) for r in results], expected)
    if inline and elementwise:
        check = row.dtypes & (frozenset(["float32", "float64"]) | COMPLEX)
        if not check:
            graph.fail("a gradient on a row without float types")
        trace.check(check)
    return trace

