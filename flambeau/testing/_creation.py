"""Tensors to try functions on."""

from __future__ import annotations

from typing import Any

import flambeau


def make_tensor(
    *shape: Any,
    dtype: Any,
    device: Any = "cpu",
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: Any = None,
) -> Any:
    """A tensor of random elements between `low` and `high`, by default from -9 to 9 (whole numbers: -9 to 9, bytes 0 to 9).

    >>> import flambeau as torch
    >>> torch.testing.make_tensor((2, 3), dtype=torch.float32, device="cpu").shape
    torch.Size([2, 3])
    """
    size = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else tuple(shape)
    if noncontiguous and size:
        size = (*size[:-1], 2 * size[-1])
    low_default = 0 if dtype in (flambeau.bool, flambeau.uint8) else -9
    low = low_default if low is None else low
    high = (2 if dtype is flambeau.bool else 10 if not (dtype.is_floating_point or dtype.is_complex) else 9) if high is None else high
    if low >= high:
        raise ValueError(f"`low` must be less than `high`, but got {low} >= {high}")
    if dtype.is_floating_point or dtype.is_complex:
        result = flambeau.rand(size, dtype=dtype if dtype.is_complex else flambeau.float32 if dtype.itemsize < 4 else dtype)
        result = (result * (high - low) + (low + low * 1j if dtype.is_complex else low)).to(dtype)
    else:
        result = flambeau.randint(int(low), int(high), size).to(dtype)
    if noncontiguous and size:
        result = result[..., ::2]
    if exclude_zero:
        result = flambeau.where(result == 0, flambeau.ones_like(result), result)
    if memory_format is not None:
        result = result.contiguous(memory_format=memory_format)
    return result.requires_grad_() if requires_grad else result
