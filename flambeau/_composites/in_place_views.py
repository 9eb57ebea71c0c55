"""Views in place: x.t_() makes x itself what x.t() would be. Elements stay where they are."""

from __future__ import annotations

from typing import Any

from ._primitives import P, Tensor
from .registry import METHODS


def become(name: str, view: Any) -> None:
    """Registers the method that lets a tensor take on the geometry, and the history, of a view of itself."""

    def method(input: Tensor, *args: Any, **options: Any) -> Tensor:
        return P.become(input, view(input, *args, **options))

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"The tensor itself becomes what `{name[:-1]}` returns: another view of the same memory."
    METHODS[name] = method


for _name in ("t", "transpose", "squeeze", "unsqueeze", "as_strided"):
    become(_name + "_", getattr(P, _name))
METHODS["swapaxes_"] = METHODS["swapdims_"] = METHODS["transpose_"]
