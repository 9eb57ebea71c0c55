"""The registry of composites: `@composite(...)` writes down where a function belongs, `install` puts it there.

One definition serves the public function (`torch.std`), the method (`Tensor.std`), the in-place method derived from it
(`Tensor.clip_`) and `out=`, whose rules are the same everywhere and therefore live here.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

from ._primitives import P, Tensor
from .helpers import dtype_name, error

Function = Callable[..., Any]

FUNCTIONS: dict[str, Function] = {}  # dotted public name -> function
METHODS: dict[str, Function] = {}  # name -> function whose first argument is the tensor
PROPERTIES: dict[str, Function] = {}  # name -> getter
SETTERS: dict[str, Function] = {}  # name -> setter, of properties that are views


def composite(
    function: Function | None = None,
    *,
    name: str = "",
    method: bool = True,
    public: bool = True,
    inplace: bool | str = False,
    out: bool | str = False,
    aliases: tuple[str, ...] = (),
    namespace: str = "",
    varargs: bool = False,
    prop: bool = False,
    overloads: Any = None,
    assign: bool = False,
) -> Any:
    """Registers a function as public name, method, in-place method or property, as the flags say.

    aliases are further names; one with a dot ("special.psi") gives its namespace and no method. varargs lets the method
    take its sizes one by one: `x.reshape(2, 3)`.
    assign lets values be assigned to a property that is a view. inplace="function" makes the in-place form
    a public function too. out="exact" refuses an out of another dtype than the result's;
    out="list" takes a list of tensors and returns nothing, as PyTorch's functions of that kind do.
    overloads names the primitive that calls go to without a Python frame where their arguments fit it.
    """
    if function is None:
        return functools.partial(
            composite,
            name=name,
            method=method,
            public=public,
            inplace=inplace,
            out=out,
            aliases=aliases,
            namespace=namespace,
            varargs=varargs,
            prop=prop,
            overloads=overloads,
            assign=assign,
        )
    name = name or function.__name__
    exposed = with_out(function, name, out) if out else function
    if overloads is not None:
        exposed = P.overloaded(overloads, exposed)
    for label in (name, *aliases):
        dotted = label if "." in label or not namespace else f"{namespace}.{label}"
        if public:
            FUNCTIONS[dotted] = exposed
        if prop:
            PROPERTIES[label] = function
            if assign:
                SETTERS[label] = write_through(function)
        if method and not namespace and "." not in label:
            METHODS[label] = spread_sizes(function) if varargs else function
            if inplace:
                METHODS[label + "_"] = in_place(function, label + "_")
            if inplace == "function":
                FUNCTIONS[label + "_"] = METHODS[label + "_"]
    return exposed


def spread_sizes(function: Function) -> Function:
    """The method form of a function whose second argument is a size: the extents may come one by one."""

    @functools.wraps(function)
    def method(input: Tensor, *sizes: Any, **options: Any) -> Any:
        if not sizes:
            return function(input, **options) if options else function(input, ())
        if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
            return function(input, sizes[0], **options)
        return function(input, sizes, **options)

    return method


def with_out(function: Function, name: str, kind: bool | str = True) -> Function:
    """Adds `out=`: the result is computed, checked against out's dtype, and copied into out, resized where needed."""

    @functools.wraps(function)
    def outer(*args: Any, out: Any = None, **options: Any) -> Any:
        if out is None:
            return function(*args, **options)
        targets = (out,) if isinstance(out, Tensor) else tuple(out)
        refuse_gradients(name, (*args, *options.values(), *targets))
        result = function(*args, **options)
        parts = (result,) if isinstance(result, Tensor) else result
        for part, target in zip(parts, targets, strict=True):
            if kind == "exact" and part.dtype != target.dtype:
                names = dtype_name(part.dtype), dtype_name(target.dtype)
                phrase = "Expected object of scalar type {0} but got scalar type {1} for argument 'out': "
                phrase += "Expected out tensor to have dtype {0}, but got {1} instead"
                raise error(RuntimeError, phrase.format(*names), name, "equal dtypes", (part, target))
        stored = [store(part, target) for part, target in zip(parts, targets)]
        if isinstance(result, Tensor) or kind == "list":
            return None if kind == "list" else stored[0]
        return type(result)(*stored) if hasattr(result, "_fields") else type(result)(stored)

    return outer


def refuse_gradients(name: str, values: tuple[Any, ...]) -> None:
    """Raises where a call with out= would have to be recorded for differentiation."""
    if P.is_grad_enabled() and any(isinstance(value, Tensor) and value.requires_grad for value in values):
        phrase = "functions with out=... arguments don't support automatic differentiation"
        raise error(RuntimeError, f"{name}(): {phrase}, but one of the arguments requires grad.")


def store(result: Tensor, target: Tensor) -> Tensor:
    """Copies a result into a tensor given as out=, which takes on the result's shape."""
    check_cast(result, target)
    if tuple(target.shape) != tuple(result.shape):
        if target.numel():
            warnings.warn(
                f"An output with one or more elements was resized since it had shape {list(target.shape)}, "
                f"which does not match the required output shape {list(result.shape)}.",
                stacklevel=4,
            )
        P.resize_(target, result.shape)
    return P.copy_(target, result)


def check_cast(result: Tensor, target: Tensor) -> None:
    """Raises where writing result into target would lose its kind of number."""
    if not P.can_cast(result.dtype, target.dtype):
        kinds = dtype_name(result.dtype), dtype_name(target.dtype)
        raise error(RuntimeError, "result type {} can't be cast to the desired output type {}".format(*kinds))


def in_place(function: Function, name: str) -> Function:
    """The in-place method: computes out of place and writes the result over the tensor."""

    def method(input: Tensor, *args: Any, **options: Any) -> Tensor:
        recorded = P.is_grad_enabled() and any(
            isinstance(value, Tensor) and value.requires_grad for value in (input, *args, *options.values())
        )
        # what backward needs of the old values must not be overwritten
        result = function(P.clone(input) if recorded else input, *args, **options)
        check_cast(result, input)
        if tuple(result.shape) != tuple(input.shape):
            phrase = f"output with shape {list(input.shape)} doesn't match the broadcast shape {list(result.shape)}"
            raise error(RuntimeError, phrase)
        return P.copy_(input, result)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"In-place form of `{name[:-1]}`: overwrites the tensor with the result and returns it."
    return method


def write_through(view: Function) -> Function:
    """Assignment to a property that is a view: the values go into the memory behind it."""

    def assign(input: Tensor, value: Any) -> None:
        target = view(input)
        P.copy_(target, value) if isinstance(value, Tensor) else P.fill_(target, value)

    return assign


def install(package: ModuleType, tensor: type) -> None:
    """Attaches functions to the package and its namespaces, methods and properties to the tensor type."""
    for dotted, function in FUNCTIONS.items():
        path, _, label = dotted.rpartition(".")
        owner: Any = package
        for part in filter(None, path.split(".")):
            owner = getattr(owner, part)
        setattr(owner, label, function)
    for label, function in METHODS.items():
        setattr(tensor, label, function)
    for label, function in PROPERTIES.items():
        setattr(tensor, label, property(function, SETTERS.get(label), doc=function.__doc__))
