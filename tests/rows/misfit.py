"""Systematic damage: each argument of a call in turn, in every way that a caller gets one wrong.

Where rows/mutation.py draws, this goes through: a tensor one shorter, a dimension fewer or more, empty, of another type
or layout; a list shorter, longer or empty; numbers at and beyond every end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flambeau as torch
from rows.row import Row

INTEGERS = (0, -1, 1, 5, -7, 2**40, 2**62, 2**63 - 1, -(2**63), 2**64)
FLOATS = (0.0, -1.0, 1e300, -1e300, float("nan"), float("inf"))
FOREIGN = (None, "text", [], 2.5, True)


def spread(t: Any) -> Any:
    """The same values, with others in between and in front."""
    if t.dim() == 0:
        return torch.stack([t, t, t])[1]
    big = torch.zeros([2 * s + 1 for s in t.shape], dtype=t.dtype)
    view = big[tuple(slice(1, None, 2) for _ in t.shape)]
    view.copy_(t)
    return view


def shapes_of(t: Any) -> Iterator[tuple[str, Any]]:
    """The tensor with its shape or layout changed."""
    for d in sorted({0, t.dim() - 1}) if t.dim() else ():
        if t.shape[d]:
            yield f"dimension {d} one shorter", t.narrow(d, 0, t.shape[d] - 1)
            yield f"dimension {d} dropped", t.select(d, 0)
            yield f"dimension {d} of one", t.narrow(d, 0, 1)
            yield f"dimension {d} empty", t.narrow(d, 0, 0)
        if t.numel():
            yield f"dimension {d} one longer", torch.cat([t, t.narrow(d, 0, 1)], d)
            yield f"dimension {d} repeated without memory", t.narrow(d, 0, 1).expand(t.shape)
    yield "a dimension in front", t[None]
    yield "a dimension behind", t[..., None]
    yield "of one dimension", t.reshape(-1)
    yield "empty", t.new_empty((0,))
    yield "empty, of as many dimensions", t.new_empty((0,) * t.dim())
    yield "empty and enormous", t.new_empty((0, 2**62))
    yield "many dimensions", t.reshape((1,) * 9 + tuple(t.shape))
    if t.dim() > 1:
        yield "transposed", t.transpose(0, -1)
        yield "laid out in reverse", t.permute(*reversed(range(t.dim()))).contiguous().permute(*reversed(range(t.dim())))
    yield "with gaps", spread(t)
    if t.numel() > 1:
        yield "unaligned", torch.cat([t.reshape(-1)[:1], t.reshape(-1)])[1:].view(t.shape)


def types_of(t: Any) -> Iterator[tuple[str, Any]]:
    for dtype in (torch.bool, torch.uint8, torch.int32, torch.int64, torch.bfloat16, torch.float32, torch.float64, torch.complex64):
        if dtype is not t.dtype:
            yield str(dtype), t.to(dtype)
    if t.dtype in (torch.int64, torch.int32) and t.numel():
        limits = torch.iinfo(t.dtype)
        for value in (-1, int(t.max()) + 1, int(t.max()) + 1000, -1000, limits.max, limits.min):
            for where in (0, -1):
                changed = t.clone(memory_format=torch.contiguous_format)
                changed.view(-1)[where] = value
                yield f"{value} at {where}", changed
    if t.is_floating_point() and t.numel():
        for number in (float("nan"), float("inf"), -1e30):
            changed = t.clone(memory_format=torch.contiguous_format)
            changed.view(-1)[-1] = number
            yield f"{number} within", changed


def misfits(value: Any) -> Iterator[tuple[str, Any]]:
    """(what was done, the value damaged)."""
    if isinstance(value, torch.Tensor):
        yield from shapes_of(value.detach())
        yield from types_of(value.detach())
        for foreign in (None, 3, "text", [value.detach()]):
            yield repr(foreign)[:20], foreign
    elif isinstance(value, bool):
        for foreign in (not value, None, 2, "text"):
            yield repr(foreign), foreign
    elif isinstance(value, int):
        for number in (*INTEGERS, value - 1, value + 1, *FOREIGN):
            yield repr(number), number
    elif isinstance(value, float):
        for number in (*FLOATS, *FOREIGN):
            yield repr(number), number
    elif isinstance(value, (list, tuple)):
        kind = type(value)
        yield "no entries", kind()
        yield "its only entry" if len(value) == 1 else "one entry", value[0] if value else 3
        if value:
            yield "an entry fewer", value[:-1]
            yield "an entry more", kind([*value, value[-1]])
            yield "an entry in front", kind([value[0], *value])
            yield "many entries", kind([*value] * 70)
            for i in sorted({0, len(value) - 1}):
                for what, entry in misfits(value[i]):
                    yield f"entry {i}: {what}", kind([*value[:i], entry, *value[i + 1 :]])
            if all(type(v) is int for v in value):
                for number in INTEGERS:
                    yield f"{number} everywhere", kind([number] * len(value))
    else:
        for other in (0, -1, 2**62, *FOREIGN, (1, 2), (2**62, 2**62), "bogus"):
            yield repr(other), other


def recorded(value: Any) -> Any:
    """The argument with gradients asked for, so that backward is run too."""
    if isinstance(value, torch.Tensor) and (value.is_floating_point() or value.is_complex()):
        return value.detach().requires_grad_()
    return [recorded(v) for v in value] if isinstance(value, list) else value


def likely(row: Row) -> dict[str, Any]:
    """A call by the types of the parameters alone, for rows that state no sample."""
    made: dict[str, Any] = {}
    for i, p in enumerate(row.params):
        given = {"Tensor": torch.rand(2, 3), "ints": (2, 3), "int": i + 1, "int?": i + 1, "number?": i + 1}
        given |= {"number": 1, "float": 0.5, "operand": 0.5, "operand?": 0.5}
        if p.type in given:
            made[p.name] = given[p.type]
    return made


def layer(row: Row) -> dict[str, Any]:
    """Two steps of a recurrent layer."""
    per = {"lstm_layer": 4, "gru_layer": 3, "rnn_layer": 1}[row.name]
    made: dict[str, Any] = {"input_gates": torch.rand(2, 3, per * 5)}
    made |= {name: torch.rand(3, 5) for name in ("hx", "cx") if name in [p.name for p in row.params]}
    bias = {"bias": torch.rand(per * 5)}
    return made | {"weight_hh": torch.rand(per * 5, 5)} | bias | {"sizes": (), "reverse": False}
