"""Calls of a row's operation on samples, and what its reference says about them."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special

import flambeau
from flambeau import _C
from rows.row import Row

from .sampling import Typed

COMPUTED = {"float16": np.float64, "float32": np.float64, "float64": np.float64, "complex64": np.complex128}
# (relative, absolute) by the type of the result
TOLERANCE = {
    "float16": (2e-3, 1e-3), "bfloat16": (1.6e-2, 1e-2), "float32": (4e-6, 2e-6), "float64": (1e-11, 1e-12),
    "complex64": (8e-6, 4e-6), "complex128": (1e-11, 1e-12),
}  # fmt: skip


def operation(row: Row) -> Callable[..., Any]:
    return _C.ops[row.name]


def in_place(row: Row) -> Callable[..., Any] | None:
    return next((entry[3] for entry in _C.operations if entry[0] == row.name), None)


# ---- arrays to tensors, in every layout ----


def contiguous(t: Any) -> Any:
    return t


def transposed(t: Any) -> Any:
    """The same values, dimensions laid out in reverse."""
    order = tuple(reversed(range(t.dim())))
    return _C.ops["permute"](_C.ops["clone"](_C.ops["contiguous"](_C.ops["permute"](t, order))), order)


def sliced(t: Any) -> Any:
    """The same values, every second of a larger tensor in each dimension, from an offset on."""
    if t.dim() == 0:
        big = flambeau.from_numpy(np.zeros(3, np.int64)).to(t.dtype)
        big[1] = t
        return big[1]
    big = flambeau.from_numpy(np.ones([2 * s + 1 for s in t.shape], np.int64)).to(t.dtype)
    view = big[tuple(slice(1, None, 2) for _ in t.shape)]
    view.copy_(t)
    return view


LAYOUTS = {"contiguous": contiguous, "transposed": transposed, "sliced": sliced}


def tensor(value: Any, dtype: str, layout: Callable[[Any], Any] = contiguous) -> Any:
    """Arrays, also in lists, as tensors; everything else as it is."""
    if isinstance(value, Typed):
        return layout(flambeau.from_numpy(np.array(value)).to(getattr(flambeau, dtype)))
    if isinstance(value, np.ndarray):
        return layout(flambeau.from_numpy(np.array(value)))
    if isinstance(value, (list, tuple)) and any(isinstance(v, np.ndarray) for v in value):
        return [tensor(v, dtype, layout) for v in value]
    return value


def tensors(sample: dict[str, Any], dtype: str, layout: Callable[[Any], Any] = contiguous) -> dict[str, Any]:
    return {name: tensor(value, dtype, layout) for name, value in sample.items()}


def call(row: Row, arguments: dict[str, Any], **more: Any) -> Any:
    return on(row, operation(row), arguments, **more)


def on(row: Row, function: Callable[..., Any], arguments: dict[str, Any], **more: Any) -> Any:
    """Positional parameters by position up to the first that is left out, the rest by name."""
    positional, named = [], {}
    for p in row.params:
        if p.name not in arguments:
            continue
        if p.keyword_only or named or len(positional) < row.params.index(p):
            named[p.name] = arguments[p.name]
        else:
            positional.append(arguments[p.name])
    return function(*positional, **named, **more)


def results(value: Any) -> list[Any]:
    return [value] if isinstance(value, flambeau.Tensor) else list(value)


def numbers(t: Any) -> np.ndarray:
    """A tensor as an array that NumPy can compute with exactly."""
    t = t.detach()
    return np.array((t.to(flambeau.float32) if t.dtype is flambeau.bfloat16 else t).numpy())


# ---- references ----


def wide(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value = np.asarray(value)
        return value.astype(COMPUTED[value.dtype.name]) if value.dtype.name in COMPUTED else value
    if isinstance(value, (list, tuple)):
        return type(value)(wide(v) for v in value)
    return value


def reference(row: Row, sample: dict[str, Any], dtype: str) -> list[np.ndarray]:
    """What the row's reference gives; floats are computed in float64."""
    from . import references

    given = {p.name: None if p.default is None else p.default for p in row.params if not p.required} | sample
    words = {"np": np, "sp": scipy.special, "ref": references, "native": lambda a: a.astype(dtype if dtype != "bfloat16" else "float32")}
    words |= {name: wide(value) for name, value in given.items()}
    if row.promote == "float":
        whole = [name for name, v in words.items() if isinstance(v, np.ndarray) and v.dtype.kind in "biu"]
        words |= {name: words[name].astype(np.float64) for name in whole}
    with np.errstate(all="ignore"):
        try:
            value = row.reference(words) if callable(row.reference) else eval(row.reference, words)
        except TypeError:  # NumPy has no such function of bool
            if dtype != "bool":
                raise
            words |= {n: v.astype(np.uint8) for n, v in words.items() if isinstance(v, np.ndarray) and v.dtype == bool}
            value = eval(row.reference, words)
    return [np.asarray(v) for v in value] if isinstance(value, (tuple, list)) else [np.asarray(value)]


def close(row: Row, got: Any, want: np.ndarray, dtype: str, note: str) -> None:
    """Compares a tensor with what the reference says."""
    name = str(got.dtype).removeprefix("torch.").removeprefix("flambeau.")
    have = numbers(got)
    assert have.shape == want.shape, f"{note}: shape {have.shape}, expected {want.shape}"
    if name in TOLERANCE:
        limits = TOLERANCE | (row.tolerance or {})
        relative, absolute = max(limits[name], limits.get(dtype, (0, 0)))
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(have, want, relative, absolute, err_msg=note)
    else:
        np.testing.assert_array_equal(have, want.astype(have.dtype), err_msg=note)


def same(a: Any, b: Any, note: str) -> None:
    """Bit for bit the same results."""
    for x, y in zip(results(a), results(b), strict=True):
        assert x.dtype is y.dtype and tuple(x.shape) == tuple(y.shape), note
        x, y = numbers(x), numbers(y)
        assert x.tobytes() == y.tobytes(), f"{note}: {np.count_nonzero(x != y)} of {x.size} differ"


namespace = types.SimpleNamespace(**_C.ops)
