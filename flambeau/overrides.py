"""Classes that say themselves what functions do with them: the `__torch_function__` protocol.

Operations ask the classes of their operands; Python functions that do so too call `has_torch_function` and
`handle_torch_function`.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Generator, Iterable
from typing import Any

from . import _C, _tensor

Tensor = _C.Tensor
_plain = Tensor.__torch_function__.__func__  # type: ignore[attr-defined]


def _asks(value: Any) -> bool:
    kind = type(value)
    if kind is Tensor or kind is _tensor.Parameter:
        return False
    own = getattr(kind, "__torch_function__", None)
    return own is not None and not isinstance(own, _tensor._DisabledImpl)


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Whether one of the arguments wants to be asked.

    >>> import flambeau as torch
    >>> torch.overrides.has_torch_function((torch.ones(1),))
    False
    """
    return any(map(_asks, relevant_args))


def has_torch_function_unary(value: Any) -> bool:
    """has_torch_function of one argument."""
    return _asks(value)


def has_torch_function_variadic(*values: Any) -> bool:
    """has_torch_function of several arguments, given one by one."""
    return any(map(_asks, values))


def handle_torch_function(public_api: Callable, relevant_args: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
    """Asks the arguments' classes, subclasses first, what `public_api(*args, **kwargs)` is."""
    return _tensor._dispatch_override(public_api, tuple(relevant_args), {}, call=(args, kwargs))


def is_tensor_like(inp: Any) -> bool:
    """Whether an object is a tensor, or of a class with `__torch_function__`.

    >>> import flambeau as torch
    >>> torch.overrides.is_tensor_like(torch.ones(1)), torch.overrides.is_tensor_like(3)
    (True, False)
    """
    return isinstance(inp, Tensor) or hasattr(type(inp), "__torch_function__")


def wrap_torch_function(dispatcher: Callable) -> Callable:
    """A decorator for functions of one's own: `dispatcher(*args)` says which arguments are asked."""

    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            relevant = dispatcher(*args, **kwargs)
            if has_torch_function(relevant):
                return handle_torch_function(wrapped, relevant, *args, **kwargs)
            return function(*args, **kwargs)

        return wrapped

    return decorate


def is_tensor_method_or_property(func: Callable) -> bool:
    """Whether a function is one of the tensor's own."""
    return getattr(Tensor, getattr(func, "__name__", ""), None) is func


def resolve_name(f: Callable) -> str:
    """The public name of a function."""
    name = getattr(f, "__name__", str(f))
    return f"torch.Tensor.{name}" if is_tensor_method_or_property(f) else f"torch.{name}"


@contextlib.contextmanager
def _without_overrides() -> Generator[None, None, None]:
    before = _C.disable_overrides(True)
    try:
        yield
    finally:
        _C.disable_overrides(before)
