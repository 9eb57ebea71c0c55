"""What the package loads at its first use, as objects that stand in for it until then.

A module-level ``__getattr__`` would be simpler, but it keeps CPython from specialising reads of the module's attributes,
and programs write ``torch.`` before every second call: that is 15 ns each.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any


class LaterModule(types.ModuleType):
    """A submodule that is imported when somebody asks for something in it; importing it puts it in this one's place."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in ("__file__", "__path__", "__all__", "__version__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")  # what inspecting tools look for
        return getattr(importlib.import_module(self.__name__), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(importlib.import_module(self.__name__), name, value)

    def __dir__(self) -> list[str]:
        return dir(importlib.import_module(self.__name__))

    def __repr__(self) -> str:
        return repr(importlib.import_module(self.__name__))


class LaterFunction:
    """A function whose module is imported at the first call."""

    def __init__(self, package: str, module: str, name: str) -> None:
        self.__name__ = self.__qualname__ = name
        self.__module__ = f"{package}.{module}"
        self._package = package

    @property
    def __wrapped__(self) -> Any:
        function = getattr(importlib.import_module(self.__module__), self.__name__)
        setattr(sys.modules[self._package], self.__name__, function)
        return function

    @property
    def __doc__(self) -> Any:  # type: ignore[override]
        return self.__wrapped__.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__wrapped__(*args, **kwargs)


def install(package: str, modules: tuple[str, ...], functions: dict[str, str]) -> None:
    """Puts the stand-ins into a package: modules by name, functions as name -> module."""
    owner = sys.modules[package]
    for name in modules:
        setattr(owner, name, LaterModule(f"{package}.{name}"))
    for name, module in functions.items():
        setattr(owner, name, LaterFunction(package, module, name))
