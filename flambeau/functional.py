"""The functions of the package that are composed of others, under the name that PyTorch gives their module."""

from __future__ import annotations

from typing import Any

from ._composites import FUNCTIONS


def __getattr__(name: str) -> Any:
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(name for name in FUNCTIONS if "." not in name)
