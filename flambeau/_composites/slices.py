"""Functions that look at values: under vmap they run once for every slice of the batch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ._primitives import P, Tensor

_BATCHED = 2


def per_slice(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a function that reads elements (.item(), `if`), which a batch of slices does not have.

    The function is tried as it is; only where it asks for an element of a batch, it starts again slice by slice.
    """

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except RuntimeError as error:
            if not str(error).startswith(("vmap: It looks like", "vmap: We do not support")):
                raise
            found = [P.layer_of(v) for v in (*args, *kwargs.values()) if isinstance(v, Tensor)]
            layers = [layer for layer in found if layer is not None]
            if not layers or max(layers)[1] != _BATCHED:
                raise
            level = max(layers)[0]
        return _sliced(function, args, kwargs, level)

    return wrapper


def _sliced(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], level: int) -> Any:
    """The function over each slice of the batch of this level, the results batched again."""

    def ours(value: Any) -> bool:
        return isinstance(value, Tensor) and (layer := P.layer_of(value)) is not None and layer[0] == level

    below = {id(v): P.unwrap(v, level) for v in (*args, *kwargs.values()) if ours(v)}
    results = []
    for i in range(next(iter(below.values())).shape[0]):
        values = [P.select(below[id(v)], 0, i) if ours(v) else v for v in args]
        options = {k: P.select(below[id(v)], 0, i) if ours(v) else v for k, v in kwargs.items()}
        results.append(function(*values, **options))
    if isinstance(results[0], Tensor):
        return P.wrap_batched(P.stack(results, 0), 0, level)
    joined = (P.wrap_batched(P.stack(list(column), 0), 0, level) for column in zip(*results, strict=True))
    kind = type(results[0])
    return kind(*joined) if hasattr(kind, "_fields") else kind(list(joined))
