"""Sample inputs of a row: those that the row states, or those that follow from its class and schema.

A stated sample is a call as a string, "gather(x(3, 4), 1, whole(4, 3, 2))". Its words:

- x(*sizes, low=, high=): an operand of the type under test, within the row's domain unless bounds are given;
- whole(end, *sizes), distinct(end): int64 positions below `end`, drawn or permuted; mask(*sizes): bool;
- fixed(...): like x, but no gradient is asked for; ascending(array): sorted along its last dimension;
- real: whether the type under test is not complex; float32, int64, ...: the types themselves;
- n: 1, or more where a test needs enough elements for several threads.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import flambeau
from rows.row import BOOL, COMPLEX, DTYPES, FLOAT, INTEGRAL, Param, Row

HALF = ("float16", "bfloat16")
PLAIN = (-2.0, 2.0)


class Typed(np.ndarray):
    """An array of the type under test; a plain array keeps its own type."""


class Fixed(Typed):
    """One that no gradient is asked for."""


def array_of(values: Any, dtype: str) -> Typed:
    if dtype == "bfloat16":  # NumPy has none: float32 without its lower half
        bits = np.array(values, np.float32).view(np.uint32)
        bits &= np.uint32(0xFFFF0000)
        return bits.view(np.float32).view(Typed)
    return np.asarray(values).astype(dtype).view(Typed)


@dataclass
class Maker:
    """Draws operands of one type."""

    row: Row
    dtype: str
    n: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.drawn = 0

    def bounds(self, i: int) -> tuple[float, float]:
        domain = self.row.domain
        return domain[min(i, len(domain) - 1)] if domain else PLAIN

    def x(self, *sizes: int, low: float | None = None, high: float | None = None) -> Typed:
        least, most = self.bounds(self.drawn)
        self.drawn += 1
        return self.draw(sizes, least if low is None else low, most if high is None else high)

    def draw(self, sizes: tuple[int, ...], low: float, high: float) -> Typed:
        if self.dtype in BOOL:
            return array_of(self.rng.random(sizes) < 0.5, "bool")
        if self.dtype in INTEGRAL:
            low = max(low, 0) if self.dtype == "uint8" else low
            return array_of(self.rng.integers(math.ceil(low), max(math.floor(high), math.ceil(low)) + 1, sizes), self.dtype)
        values = self.rng.uniform(low, high, sizes)
        if self.dtype in COMPLEX:
            values = values + 1j * self.rng.uniform(-1, 1, sizes)
        return array_of(values, self.dtype)

    def whole(self, end: int, *sizes: int) -> np.ndarray:
        return self.rng.integers(0, end, sizes)

    def distinct(self, end: int) -> np.ndarray:
        return self.rng.permutation(end)

    def mask(self, *sizes: int) -> np.ndarray:
        return self.rng.random(sizes) < 0.5

    def number(self, p: Param, i: int) -> Any:
        """A number for a parameter of an elementwise row: its default, else from its domain."""
        if not p.required:
            return p.default
        low, high = self.bounds(i) if self.row.domain else (1, 2)
        middle = (low + high) / 2
        return int(middle) if self.dtype in INTEGRAL or middle == int(middle) else middle


def bind(row: Row, *args: Any, **options: Any) -> dict[str, Any]:
    """Arguments by the names of parameters; what is not given is not there."""
    parameters = [
        inspect.Parameter(
            p.name,
            inspect.Parameter.KEYWORD_ONLY if p.keyword_only else inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=None if not p.required else inspect.Parameter.empty,
        )
        for p in row.params
    ]
    return dict(inspect.Signature(parameters).bind(*args, **options).arguments)


# ---- what a row's samples are ----

SHAPES = ((), (5,), (2, 3), (0,), (2, 0, 3), ((2, 3), (3,)), ((2, 1, 3), (4, 1)), ((), (3,)))


def elementwise_samples(row: Row, maker: Callable[[], Maker], shapes: tuple) -> Iterator[dict[str, Any]]:
    for shape in shapes:
        make = maker()
        several = bool(shape) and isinstance(shape[0], tuple)
        if several and len(row.tensors) < 2:
            continue
        made, tensors = {}, 0
        for i, p in enumerate(row.params):
            if not p.is_tensor:
                made[p.name] = make.number(p, i)
                continue
            sizes = shape[min(tensors, len(shape) - 1)] if several else shape
            made[p.name] = make.mask(*sizes) if p.type == "mask" else make.draw(sizes, *make.bounds(i))
            tensors += 1
        yield made


def choices(p: Param, rank: int, whole: bool) -> list[Any]:
    """Values for the parameters that reductions and scans have."""
    if p.name == "keepdim":
        return [False, True]
    if p.type == "dims":
        return [None] + ([0, -1, tuple(range(0, rank, 2))] if rank else [])
    if p.type in ("int", "int?") and p.name == "dim":
        return ([None] if p.type == "int?" else []) + ([0, -1] if rank else [0])
    if p.type == "number":
        return [p.default, 0] if not p.required else [3]
    return [p.default]


def folding_samples(row: Row, maker: Callable[[], Maker], shapes: tuple) -> Iterator[dict[str, Any]]:
    """Of reductions and scans: every value of each parameter, the others taking turns."""
    for shape in shapes:
        options = {p.name: choices(p, len(shape), False) for p in row.params[1:] if not p.type.startswith("dtype")}
        for turn in range(max(map(len, options.values()), default=1)):
            made = {row.params[0].name: maker().x(*shape)}
            made |= {name: values[turn % len(values)] for name, values in options.items()}
            yield made


def samples(row: Row, dtype: str, *, n: int = 1, empty: bool = True) -> list[dict[str, Any]]:
    """All samples of a row for one type: parameter name -> argument."""
    seeds = iter(range(1000))

    def maker() -> Maker:
        return Maker(row, dtype, n, next(seeds))

    made = []
    for text in row.samples:
        make = maker()
        words = {"x": make.x, "whole": make.whole, "distinct": make.distinct, "mask": make.mask, "n": n}
        words |= {"fixed": lambda *s, **o: make.x(*s, **o).view(Fixed), "ascending": lambda a: np.sort(a), "real": dtype not in COMPLEX}
        words |= {name: getattr(flambeau, name) for name in DTYPES}
        made.append(eval(text, words | {row.name: lambda *args, **options: bind(row, *args, **options)}))
    if row.samples:
        return made
    if row.cls == "elementwise":
        shapes = ((70000 * n // 8,), ((300, 1), (70 * n // 8,))) if n > 1 else SHAPES
        made = list(elementwise_samples(row, maker, shapes))
    elif row.cls in ("reduction", "scan"):
        shapes = ((40 * n, 300),) if n > 1 else ((3, 4), (2, 3, 2), (5,), ())
        shapes += ((2, 0, 3),) if empty and n == 1 and not row.empty_fails and "dim" not in [p.name for p in row.params if p.type == "int"] else ()
        made = list(folding_samples(row, maker, shapes))
    return made


def small(row: Row, dtype: str) -> list[dict[str, Any]]:
    """Samples with few enough elements for finite differences."""
    if row.cls == "elementwise" and not row.samples:
        seeds = iter(range(1000))
        return list(elementwise_samples(row, lambda: Maker(row, dtype, 1, next(seeds)), ((), (4,), ((2, 3), (3,)))))
    if row.cls in ("reduction", "scan") and not row.samples:
        seeds = iter(range(1000))
        return list(folding_samples(row, lambda: Maker(row, dtype, 1, next(seeds)), ((3, 4), (2, 3, 2), (5,))))
    return samples(row, dtype, empty=False)


def dtypes_of(row: Row) -> list[str]:
    """The types that a row computes in, those of half width included."""
    found = [d for d in ("bool", "uint8", "int8", "int16", "int32", "int64") if d in row.dtypes or row.promote == "float"]
    if "float32" in row.dtypes:
        found += HALF
    return found + [d for d in (*sorted(FLOAT), *sorted(COMPLEX)) if d in row.dtypes]
