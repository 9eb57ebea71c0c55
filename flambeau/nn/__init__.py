"""``flambeau.nn``: layers, losses and the tools around them.

The rooms: ``parameter``, ``modules`` (the layers), ``functional`` (the functions behind them), ``init`` (initial
values), ``utils`` (clipping, packing, parametrizations, pruning). Imports the core and its operations, nothing above.
"""

# ruff: noqa: F403
from __future__ import annotations

from . import functional as functional
from . import init as init
from . import modules as modules
from . import parameter as parameter
from . import utils as utils
from .modules import *
from .parameter import (
    Buffer as Buffer,
)
from .parameter import (
    Parameter as Parameter,
)
from .parameter import (
    UninitializedBuffer as UninitializedBuffer,
)
from .parameter import (
    UninitializedParameter as UninitializedParameter,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = sorted([
    *modules.__all__, "Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter", "factory_kwargs",
    "functional", "init", "modules", "parameter", "utils",
])

_LATER = ("attention", "grad", "parallel")  # rooms that few programs enter


def factory_kwargs(kwargs: dict[str, Any] | None) -> dict[str, Any]:
    """The device, dtype and memory format among keyword arguments, for creating a module's tensors.

    Raises:
        TypeError: for any other keyword, or one given twice.
    """
    if kwargs is None:
        return {}
    simple = {"device", "dtype", "memory_format"}
    expected = simple | {"factory_kwargs"}
    if not kwargs.keys() <= expected:
        raise TypeError(f"unexpected kwargs {kwargs.keys() - expected}")
    result = dict(kwargs.get("factory_kwargs", {}))
    for name in simple:
        if name in kwargs:
            if name in result:
                raise TypeError(f"{name} specified twice, in **kwargs and in factory_kwargs")
            result[name] = kwargs[name]
    return result


def __getattr__(name: str) -> Any:
    if name in _LATER:
        import importlib

        return importlib.import_module(f".{name}", __name__)
    if name == "DataParallel":
        from .parallel import DataParallel

        return DataParallel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
