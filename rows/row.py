"""The row: one primitive operation, said once. Everything that can be derived from it is derived by generate/.

A rows file is a list of calls to the constructors below. A call registers its row; no other list names it.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

# Element types, in the order of core/base/dtype.h; the half types are computed in float32 and have no loops of their own.
DTYPES = (
    "bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64", "complex64", "complex128",
)  # fmt: skip
BOOL = frozenset(["bool"])
INTEGRAL = frozenset(["uint8", "int8", "int16", "int32", "int64"])
FLOAT = frozenset(["float32", "float64"])
COMPLEX = frozenset(["complex64", "complex128"])
REAL = INTEGRAL | FLOAT
NUMBER = REAL | COMPLEX
ALL = BOOL | NUMBER

CLASSES = (
    "elementwise", "reduction", "view", "contraction", "indexing", "scan", "random", "movement", "creation", "kernel", "composite",
)  # fmt: skip
TENSOR_TYPES = ("Tensor", "Tensor?", "mask", "real", "operand", "operand?")  # operand: a tensor or a Python number
TYPES = (*TENSOR_TYPES, "Tensors", "number", "number?", "int", "int?", "float", "float?", "bool", "bool?", "ints", "ints?", "ints|str",
         "floats?", "dims", "dtype?", "str", "str?", "generator?", "device?", "memory_format?")  # fmt: skip
REQUIRED = inspect.Parameter.empty


class RowError(Exception):
    """A row that cannot be right; the message starts with the row's own file and line."""


@dataclass(frozen=True)
class Param:
    """One parameter of a schema. `type` is one of TYPES; in an elementwise row `mask` is a bool operand."""

    name: str
    type: str = "Tensor"
    default: Any = REQUIRED
    keyword_only: bool = False

    @property
    def is_tensor(self) -> bool:
        return self.type in TENSOR_TYPES

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


@dataclass(frozen=True)
class Reduce:
    """A reduction as four formulas over a state (a tuple of values).

    `init()` is the state of nothing, `step(state, x)` takes in one element (`step(state, x, index)` where the position
    matters), `merge(state, other)` joins two states, of which `other` holds later elements, and `finish(state, n)` makes
    the result, or a tuple of results, from the state of n elements. Step, merge and finish may end in the row's numbers.
    """

    init: Callable
    step: Callable
    merge: Callable
    finish: Callable


@dataclass(frozen=True)
class Row:
    """A primitive. See the constructors for what each class of row must say."""

    name: str
    schema: str
    dtypes: frozenset[str]
    cls: str
    formula: Callable | None = None
    reduce: Reduce | None = None
    grad: Callable | None = None  # lambda g, <names of parameters, `result`>: a cotangent, or one per tensor parameter
    jvp: Callable | None = None  # tangent rule where grad is not linear in g over the complex numbers
    promote: str = "common"  # common | float | none
    result: str = "same"  # same | bool | real | complex | wide (int64 for whole numbers and bool) | a dtype name
    holomorphic: bool = True  # False: grad sees the saved values as they are, not their conjugates
    kernel: str | None = None
    rule: Any = None
    vjp: str = ""  # the C++ function of the gradient, where no formula can say it
    widened: frozenset[str] = frozenset()  # reductions with wide results: types that callers convert to int64 first
    saves: tuple[str, ...] = ()  # with vjp: the parameters and results whose values it reads
    empty_fails: bool = False  # reduction: there is no value over no elements
    divides: bool = False  # elementwise: integer operand 1 may not be zero
    linear: tuple[str, ...] = ()
    bilinear: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ("result",)
    aliases: tuple[str, ...] = ()
    method: bool = True
    function: bool = True
    inplace: bool = True
    namespace: str = ""
    domain: tuple | None = None  # (low, high) for each operand: where sample inputs avoid kinks and poles
    samples: tuple[str, ...] = ()  # calls to try, in the words of tests/rows/sampling.py
    fails: tuple[str, ...] = ()
    half: bool = True  # the types of half width are computed in float32; False: they are refused
    autocast: str = ""  # under mixed precision: low (contractions) | full (float32) | none (all others)
    node: str = ""  # what grad_fn calls it, where that is not the row's name: "NativeLayerNorm"
    node_by: str = ""  # the parameter that, where it is given, makes grad_fn's name end in 1 instead of 0
    auxiliary: tuple[str, ...] = ()  # outputs that only the gradient reads: they have no gradient of their own
    by_layout: bool = False  # the result depends on how the input lies in memory: tests give it contiguous inputs only
    reference: str | Callable | None = None
    tolerance: dict | None = None
    doc: str = ""
    file: str = ""  # stem of the rows file: the family
    line: int = 0
    params: tuple[Param, ...] = field(default=(), compare=False)

    @property
    def place(self) -> str:
        return f"rows/{self.file}.py:{self.line}"

    @property
    def tensors(self) -> tuple[Param, ...]:
        return tuple(p for p in self.params if p.is_tensor)

    def param(self, name: str) -> Param | None:
        return next((p for p in self.params if p.name == name), None)


def parse_schema(schema: str) -> tuple[Param, ...]:
    """ "input, other, *, alpha: number = 1" -> the parameters it names."""
    params: list[Param] = []
    keyword_only = False
    for part in split_commas(schema):
        if part == "*":
            keyword_only = True
            continue
        head, equals, default = part.partition("=")
        name, colon, kind = (s.strip() for s in head.partition(":"))
        kind = kind if colon else "Tensor"
        if not name.isidentifier():
            raise ValueError(f"{name!r} is not a parameter name")
        if kind not in TYPES:
            raise ValueError(f"parameter {name}: unknown type {kind!r}")
        if any(p.name == name for p in params):
            raise ValueError(f"parameter {name} stands twice")
        value = eval(default, {"inf": float("inf"), "nan": float("nan")}) if equals else REQUIRED
        if not equals and params and not params[-1].required and params[-1].keyword_only == keyword_only and not keyword_only:
            raise ValueError(f"parameter {name} without a default follows one with a default")
        params.append(Param(name, kind, value, keyword_only))
    return tuple(params)


def split_commas(text: str) -> list[str]:
    parts, depth = [""], 0
    for c in text:
        depth += (c in "([{") - (c in ")]}")
        if c == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    return [p.strip() for p in parts if p.strip()]


_rows: dict[str, Row] = {}


def registered() -> dict[str, Row]:
    return _rows


def row(name: str, schema: str, dtypes: frozenset[str], *, cls: str, **says: Any) -> Row:
    """Registers a primitive of any class; what elementwise() and reduction() add to it are shorthands."""
    frame: Any = sys._getframe(1)
    while frame.f_globals.get("__name__") == __name__:
        frame = frame.f_back
    place = dict(file=frame.f_globals.get("__name__", "?").rpartition(".")[2], line=frame.f_lineno)
    for key in ("aliases", "samples", "fails", "linear", "bilinear", "saves", "auxiliary"):
        if isinstance(says.get(key), str):
            says[key] = (says[key],)
    try:
        if cls not in CLASSES:
            raise ValueError(f"unknown class {cls!r}")
        if unknown := frozenset(dtypes) - frozenset(DTYPES):
            raise ValueError(f"unknown dtypes {sorted(unknown)}")
        if name in _rows:
            raise ValueError(f"the name is taken by {_rows[name].place}")
        new = Row(name, schema, frozenset(dtypes), cls, params=parse_schema(schema), **place, **says)
        check_gradient_names(new)
    except (ValueError, TypeError, SyntaxError) as error:
        raise RowError(f"rows/{place['file']}.py:{place['line']}: row {name!r}: {error}") from None
    _rows[name] = new
    return new


def elementwise(name: str, schema: str, dtypes: frozenset[str], formula: Callable, grad: Callable | None = None, **says: Any) -> Row:
    """A row computed element by element: formula(*operands in schema order), numbers included."""
    new = row(name, schema, dtypes, cls="elementwise", formula=formula, grad=grad, **says)
    wrong = [p for p in new.params if p.type not in ("Tensor", "mask", "real", "number")]
    if wrong:
        raise RowError(f"{new.place}: row {name!r}: an elementwise operand is a tensor or a number, not {wrong[0].type}")
    return new


def reduction(name: str, schema: str, dtypes: frozenset[str], reduce: Reduce | None, grad: Callable | None = None, **says: Any) -> Row:
    """A row that folds dimensions of its first parameter: reduce says how (or kernel= names hand-written code)."""
    return row(name, schema, dtypes, cls="reduction", reduce=reduce, grad=grad, **({"inplace": False} | says))


def check_gradient_names(new: Row) -> None:
    for label, rule in (("grad", new.grad), ("jvp", new.jvp)):
        if rule is None:
            continue
        names = list(inspect.signature(rule).parameters)
        if not names or names[0] != "g":
            raise ValueError(f"{label} must take g first; it takes {names}")
        known = {p.name for p in new.params} | set(new.outputs) | {"result"}
        if unknown := [n for n in names[1:] if n not in known]:
            raise ValueError(f"{label} names {unknown[0]!r}, which is no parameter: {sorted(known)}")
