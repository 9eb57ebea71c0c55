"""Random damage to arguments: what a call that was right becomes when somebody gets a shape, a type, an index wrong."""

from __future__ import annotations

import random
from typing import Any

import flambeau as torch

EXTREME = [-1, 0, 1, 2, 3, 7, -2, -9, -(2**40), 2**40, 2**62, 2**63 - 1, -(2**63)]
FLOATS = [0.0, -1.0, 0.5, 1e-300, 1e300, -1e300, float("nan"), float("inf"), float("-inf")]
DTYPES = [torch.bool, torch.uint8, torch.int8, torch.int32, torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64]


def shape(r: random.Random) -> list[int]:
    return [r.choice([0, 1, 1, 2, 3, 4, 5]) for _ in range(r.randrange(6))]


def fresh(r: random.Random, dtype: Any = None) -> Any:
    sizes = shape(r)
    made = torch.rand(sizes) * 6 - 2
    return made.to(r.choice(DTYPES) if dtype is None else dtype)


def bent(r: random.Random, t: Any) -> Any:
    """The tensor in another layout, of the same values or fewer."""
    way = r.randrange(6)
    if way == 0 and t.dim() > 1:
        return t.transpose(0, -1)
    if way == 1 and t.dim():
        return t[..., r.randrange(3) :: r.choice([1, 2, 3])]
    if way == 2:
        return t.unsqueeze(0).expand(r.choice([0, 1, 3]), *t.shape)
    if way == 3 and t.dim():
        return t.flip(0)
    if way == 4 and t.dim():
        return t.narrow(0, 0, 0) if r.random() < 0.3 else t.narrow(0, t.shape[0] // 2, t.shape[0] - t.shape[0] // 2)
    return t[None] if r.random() < 0.5 or t.dim() == 0 else t[0] if t.shape[0] else t


def changed_tensor(r: random.Random, t: Any) -> Any:
    way = r.randrange(10)
    t = t.detach()
    if way == 0:
        return t.to(r.choice(DTYPES))
    if way == 1:
        return fresh(r, t.dtype)
    if way == 2:
        return fresh(r)
    if way == 3 and t.is_floating_point():
        t = t.clone(memory_format=torch.contiguous_format)
        t.view(-1)[: max(1, t.numel() // 2)] = r.choice(FLOATS)
        return t
    if way == 4 and not t.is_floating_point() and not t.is_complex() and t.dtype is not torch.bool and t.numel():
        t = t.clone(memory_format=torch.contiguous_format)
        limit = torch.iinfo(t.dtype)
        t.view(-1)[r.randrange(t.numel())] = max(limit.min, min(limit.max, r.choice(EXTREME)))
        return t
    if way == 5 and t.is_floating_point():
        return t.clone().requires_grad_()
    if way == 6:
        return r.choice([None, 3, -1.5, "text", [t, t], []])
    if way == 7 and t.numel():
        return t.reshape(-1)[r.randrange(t.numel())]
    return bent(r, t)


def changed(r: random.Random, value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return changed_tensor(r, value)
    if isinstance(value, bool):
        return r.choice([not value, None, 2])
    if isinstance(value, int):
        return r.choice(EXTREME)
    if isinstance(value, float):
        return r.choice(FLOATS)
    if isinstance(value, str):
        return r.choice(["", "bogus", value + value, None, 3])
    if isinstance(value, (list, tuple)) and value:
        entries = list(value)
        way, i = r.randrange(5), r.randrange(len(value))
        if way == 0:
            entries.pop(i)
        elif way == 1:
            entries.append(entries[i])
        elif way == 2:
            entries = []
        else:
            entries[i] = changed(r, entries[i])
        return type(value)(entries) if type(value) in (list, tuple) else entries
    return r.choice([None, 0, -1, 1.5, True, "text", (1, 2), 2**62])


def damaged(r: random.Random, args: list[Any], named: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    args, named = list(args), dict(named)
    for _ in range(r.choice([1, 1, 1, 2, 3])):
        places = list(range(len(args))) + list(named)
        if not places:
            break
        place = r.choice(places)
        target = args if isinstance(place, int) else named
        target[place] = changed(r, target[place])
    return args, named


def used(value: Any) -> None:
    """Reads all of a result, and runs it backward where it can be."""
    if isinstance(value, torch.Tensor):
        if value.numel() > 1 << 20:  # an expanded view of anything
            return
        total = value.to(torch.complex128 if value.is_complex() else torch.float64).sum()
        if total.requires_grad:
            (total.abs() if total.is_complex() else total).backward()
    elif isinstance(value, (list, tuple)):
        for entry in value[:50]:
            used(entry)
