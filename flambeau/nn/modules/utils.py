"""Small helpers of the layers: numbers repeated for every dimension."""

from __future__ import annotations

from collections.abc import Iterable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _ntuple(count: int, name: str = "parse") -> Any:
    """A function that makes a tuple of ``count`` equal numbers, and leaves sequences as they are."""
    def parse(value: Any) -> tuple[Any, ...]:
        if isinstance(value, Iterable):
            return tuple(value)
        return (value,) * count

    parse.__name__ = name
    return parse


_single = _ntuple(1, "_single")
_pair = _ntuple(2, "_pair")
_triple = _ntuple(3, "_triple")
_quadruple = _ntuple(4, "_quadruple")


def _reverse_repeat_tuple(values: tuple[Any, ...], times: int) -> tuple[Any, ...]:
    """The values from last to first, each repeated; what ``pad`` expects of symmetric padding."""
    return tuple(value for value in reversed(values) for _ in range(times))


def _list_with_default(out_size: Any, defaults: list[int]) -> list[int]:
    """A size in which None stands for the default of that dimension."""
    if isinstance(out_size, int):
        return [out_size]
    if len(defaults) <= len(out_size):
        raise ValueError(f"Input dimension should be at least {len(out_size) + 1}")
    return [
        given if given is not None else default for given, default in zip(out_size, defaults[-len(out_size):])
    ]
