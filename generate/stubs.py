"""Type stubs from rows and composites: _C.pyi (the tensor type) and __init__.pyi (the functions of the package).

Parameters and defaults are exact. What neither rows nor composites declare stays open through __getattr__.
"""

from __future__ import annotations

import ast
import keyword
from collections.abc import Callable

from generate.composites import Composite, composites
from rows.row import DTYPES, Param, Row

# In a stub, `int` and `float` may be shadowed by a dtype or a method of that name; hence the underscores.
TYPES = {
    "Tensor": "Tensor", "mask": "Tensor", "real": "Tensor", "operand": "Tensor | _Number", "Tensors": "_Sequence[Tensor]",
    "number": "_Number", "int": "_int", "float": "_float", "bool": "_bool", "ints": "_int | _Sequence[_int]",
    "ints|str": "_int | _str | _Sequence[_int]",
    "floats": "_Sequence[_float]", "dims": "_int | _Sequence[_int] | None", "dtype": "dtype", "str": "_str",
    "generator": "Generator", "device": "_Any", "memory_format": "_Any",
}  # fmt: skip
KNOWN = {"Tensor": "Tensor", "Any": "_Any", "int": "_int", "float": "_float", "bool": "_bool", "str": "_str",
         "Sequence": "_Sequence", "tuple": "_tuple", "list": "_list"}  # fmt: skip
IMPORTS = """\
from builtins import bool as _bool, float as _float, int as _int, list as _list, str as _str, tuple as _tuple
from collections.abc import Sequence as _Sequence
from typing import Any as _Any, Union as _Union
"""
# Python's own protocols of numbers and sequences, which the type's slots answer.
UNARY = ("neg", "pos", "abs", "invert")
BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift")
COMPARISON = ("eq", "ne", "lt", "le", "gt", "ge")


def outputs(rows: list[Row]) -> dict[str, Callable[[], str]]:
    return {"stubs/_C.pyi": lambda: core(rows), "stubs/__init__.pyi": lambda: package(rows)}


def hint(p: Param, row: Row) -> str:
    text = TYPES[p.type.rstrip("?")]
    if row.cls == "elementwise" and p.is_tensor and p is not row.params[0]:
        text = "Tensor | _Number"
    optional = p.type.endswith("?") or p.default is None
    return f"{text} | None" if optional and not text.endswith("None") and text != "_Any" else text


def row_arguments(row: Row, first: str = "") -> str:
    """The parameters of a row; `first` stands for the tensor where it is a method."""
    parts, starred = [first] if first else [], False
    for p in row.params[1 if first else 0 :]:
        if p.keyword_only and not starred:
            parts.append("*")
            starred = True
        name = p.name + "_" if keyword.iskeyword(p.name) else p.name
        sizes = p.type == "ints" and first and p is row.params[-1] and row.cls in ("view", "movement", "creation", "composite")
        if sizes and p.required:  # as a method the sizes may come one by one
            parts.append(f"*{name}: {hint(p, row)}")
            continue
        parts.append(f"{name}: {hint(p, row)}" + ("" if p.required else " = ..."))
    if row.cls in ("creation", "random"):
        parts.append("**options: _Any")  # dtype, device, requires_grad and their like
    return ", ".join(parts)


def row_result(row: Row) -> str:
    return "Tensor" if len(row.outputs) == 1 else f"_tuple[{', '.join(['Tensor'] * len(row.outputs))}]"


def row_function(row: Row, name: str) -> str:
    arguments = row_arguments(row)
    if len(row.outputs) == 1 and row.params and row.cls not in ("view", "creation", "random"):
        arguments += ("" if any(p.keyword_only for p in row.params) else ", *") + ", out: Tensor | None = ..."
    return f"def {name}({arguments}) -> {row_result(row)}: ..."


def annotation(node: ast.expr | None) -> str:
    """An annotation as the stub can say it: _Any where it names what only its own file knows."""
    if node is None:
        return "_Any"
    names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    if names - set(KNOWN) or any(isinstance(n, ast.Attribute) for n in ast.walk(node)):
        return "_Any"
    copy = ast.parse(ast.unparse(node), mode="eval").body
    for n in ast.walk(copy):
        if isinstance(n, ast.Name):
            n.id = KNOWN[n.id]
    return ast.unparse(copy)


def composite_arguments(c: Composite, first: str = "", spread: bool = False) -> str:
    """The parameters of a composite; spread: sizes may come one by one."""
    a = c.node.args
    if spread:
        return f"{first}, *sizes: _Any, **options: _Any"
    parts = []
    positional = [*a.posonlyargs, *a.args]
    optional = len(positional) - len(a.defaults)
    for i, argument in enumerate(positional):
        default = "" if i < optional else " = ..."
        parts.append(f"{argument.arg}: {annotation(argument.annotation)}{default}")
    if first:
        parts = [first, *parts[1:]]
    parts += [f"*{a.vararg.arg}: {annotation(a.vararg.annotation)}"] if a.vararg else ["*"] if a.kwonlyargs else []
    for argument, value in zip(a.kwonlyargs, a.kw_defaults, strict=True):
        parts.append(f"{argument.arg}: {annotation(argument.annotation)}{'' if value is None else ' = ...'}")
    if c.out and not first:
        parts += ([] if a.vararg or a.kwonlyargs else ["*"]) + ["out: _Any = ..."]
    if a.kwarg:
        parts.append(f"**{a.kwarg.arg}: {annotation(a.kwarg.annotation)}")
    return ", ".join(parts)


def core(rows: list[Row]) -> str:
    members: dict[str, str] = {}
    for c in composites():
        for name in c.methods:
            if c.prop:
                members[name] = f"@property\n    def {name}(self) -> {annotation(c.node.returns)}: ..."
            else:
                arguments = composite_arguments(c, "self", c.varargs or (bool(c.node.args.vararg) and not c.node.args.args))
                members[name] = f"def {name}({arguments}) -> {annotation(c.node.returns)}: ..."
    for row in rows:
        if row.namespace or not row.params or not row.params[0].is_tensor:
            continue
        for name in (row.name, *(a for a in row.aliases if "." not in a)):
            if row.method:
                members[name] = f"def {name}({row_arguments(row, 'self')}) -> {row_result(row)}: ..."
            if row.inplace:
                members[name + "_"] = f"def {name}_({row_arguments(row, 'self')}) -> Tensor: ..."
    members = {name: text for name, text in members.items() if not (name.startswith("__") or keyword.iskeyword(name))}
    for name in UNARY:
        members[f"__{name}__"] = f"def __{name}__(self) -> Tensor: ..."
    for name in BINARY:
        for label in (name, "r" + name, *(() if name in ("floordiv", "mod", "pow", "matmul") else ("i" + name,))):
            members[f"__{label}__"] = f"def __{label}__(self, other: _Any) -> Tensor: ..."
    for name in COMPARISON:
        members[f"__{name}__"] = f"def __{name}__(self, other: _Any) -> Tensor: ...  # type: ignore[override]"
    lines = [
        "# Generated from rows/ and flambeau/_composites/: the tensor type as type checkers see it.",
        IMPORTS,
        "_Number = _Union[_int, _float, complex]",
        "",
        "class dtype:",
        "    is_floating_point: _bool",
        "    is_complex: _bool",
        "    itemsize: _int",
        "",
        *(f"{name}: dtype" for name in DTYPES),
        "",
        "class Generator:",
        "    def __init__(self, device: _Any = ...) -> None: ...",
        "    def manual_seed(self, seed: _int) -> Generator: ...",
        "    def __getattr__(self, name: _str) -> _Any: ...",
        "",
        "class Size(_tuple[_int, ...]):",
        "    def numel(self) -> _int: ...",
        "",
        "class Tensor:",
        "    dtype: dtype",
        "    shape: Size",
        "    grad: Tensor | None",
        "    requires_grad: _bool",
        "    def __init__(self, *args: _Any, **options: _Any) -> None: ...",
        "    def __getitem__(self, index: _Any) -> Tensor: ...",
        "    def __setitem__(self, index: _Any, value: _Any) -> None: ...",
        "    def __len__(self) -> _int: ...",
        "    def __iter__(self) -> _Any: ...",
        "    def __bool__(self) -> _bool: ...",
        "    def __int__(self) -> _int: ...",
        "    def __float__(self) -> _float: ...",
        "    def __index__(self) -> _int: ...",
        "    def __hash__(self) -> _int: ...",
        *(f"    {members[name]}" for name in sorted(members)),
        "    def __getattr__(self, name: _str) -> _Any: ...",
        "",
        "def __getattr__(name: _str) -> _Any: ...",
        "",
    ]
    return fix_dtype("\n".join(lines))


def fix_dtype(text: str) -> str:
    """Inside Tensor `dtype` is an attribute, so the type goes by another name there."""
    head, mark, body = text.partition("class Tensor:\n")
    body = body.replace("dtype: dtype", "dtype: _dtype")
    return head.replace("_Number = ", "_dtype = dtype\n_Number = ") + mark + body


def package(rows: list[Row]) -> str:
    functions: dict[str, str] = {}
    for c in composites():
        for name in c.names:
            if "." not in name:
                functions[name] = f"def {name}({composite_arguments(c)}) -> {annotation(c.node.returns)}: ..."
    for row in rows:
        names = [row.name] if row.function and not row.namespace else []
        for name in (*names, *(a for a in row.aliases if "." not in a and row.function)):
            functions[name] = row_function(row, name)
    functions = {name: text for name, text in functions.items() if name.isidentifier() and not keyword.iskeyword(name)}
    lines = [
        "# Generated from rows/ and flambeau/_composites/: the functions of the package as type checkers see them.",
        IMPORTS,
        "from . import autograd as autograd, nn as nn, optim as optim",
        "from ._C import Generator as Generator, Size as Size, Tensor as Tensor, dtype as dtype",
        "from ._functions import as_tensor as as_tensor, manual_seed as manual_seed, tensor as tensor",
        "from ._version import __version__ as __version__",
        "from .autograd.mode import (",
        "    enable_grad as enable_grad, inference_mode as inference_mode, no_grad as no_grad,",
        "    set_grad_enabled as set_grad_enabled,",
        ")",
        "",
        "_Number = _Union[_int, _float, complex]",
        "",
        *(f"{name}: dtype" for name in DTYPES if name not in functions),
        "half: dtype",
        "float: dtype",
        "double: dtype",
        "int: dtype",
        "long: dtype",
        "",
        *(functions[name] for name in sorted(functions) if name not in ("tensor", "as_tensor")),
        "",
        "def __getattr__(name: _str) -> _Any: ...",
        "",
    ]
    return "\n".join(lines)
