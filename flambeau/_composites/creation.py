"""New tensors: filled, spaced, built from parts. Primitives fill the memory; dtypes default as PyTorch's do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ._primitives import P, Tensor
from .helpers import error, sizes_of
from .registry import composite


def made(tensor: Tensor, requires_grad: bool = False) -> Tensor:
    """A new tensor with the flag that the caller asked for."""
    return tensor.requires_grad_(True) if requires_grad else tensor


def blank(
    size: Sequence[int],
    dtype: Any = None,
    device: Any = None,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """An uninitialized tensor of a size; negative extents are refused."""
    if any(extent < 0 for extent in size):
        phrase = f"Trying to create tensor with negative dimension {min(size)}: {list(size)}"
        raise error(RuntimeError, phrase)
    return P.empty(tuple(size), dtype=dtype or P.get_default_dtype(), device=device)


def blank_like(
    input: Tensor,
    dtype: Any = None,
    device: Any = None,
    layout: Any = None,
    pin_memory: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """An uninitialized tensor of input's size and order of strides."""
    return P.empty_like(P.detach(input), dtype=dtype or input.dtype, memory_format=memory_format or P.preserve_format)


# one value


@composite(method=False)
def fill(input: Tensor, value: Any) -> Tensor:
    """A tensor like input that holds one value, a number or a 0-dim tensor, throughout.

    >>> torch.fill(torch.zeros(2), 3.0)
    tensor([3., 3.])
    """
    if isinstance(value, Tensor) and value.dim():
        phrase = f"fill only supports 0-dimension value tensor but got tensor with {value.dim()} dimensions."
        raise error(RuntimeError, phrase, "fill", "a scalar", value)
    return P.copy_(P.clone(input), value) if isinstance(value, Tensor) else P.fill_(P.clone(input), value)


@composite
def zero_(input: Tensor) -> Tensor:
    """Overwrites the tensor with zeros.

    >>> torch.ones(2).zero_()
    tensor([0., 0.])
    """
    return P.fill_(input, 0)


@composite
def resize_as_(input: Tensor, other: Tensor, *, memory_format: Any = None) -> Tensor:
    """Gives the tensor, whose memory may grow, the shape of other.

    >>> torch.zeros(2).resize_as_(torch.zeros(2, 2)).shape
    torch.Size([2, 2])
    """
    return P.resize_(input, tuple(other.shape))


@composite(public=False)
def fill_diagonal_(input: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """Overwrites the main diagonal; wrap starts it anew below a tall matrix, after a free row.

    >>> torch.zeros(2, 2).fill_diagonal_(1.)
    tensor([[1., 0.],
            [0., 1.]])
    """
    if input.dim() < 2:
        raise error(RuntimeError, "dimensions must larger than 1", "fill_diagonal_", "2 dimensions", input)
    if input.dim() > 2 and len(set(input.shape)) > 1:
        raise error(RuntimeError, "all dimensions of input must be of equal length", "fill_diagonal_", "a cube", input)
    length, step = min(input.shape), sum(input.stride())
    P.fill_(P.as_strided(input, (length,), (step,), input.storage_offset()), fill_value)
    if wrap and input.dim() == 2:
        for start in range(input.shape[1] + 1, input.shape[0], input.shape[1] + 1):
            P.fill_(P.diagonal(P.slice(input, 0, start, None, 1)), fill_value)
    return input


def options_of(input: Tensor, options: dict[str, Any]) -> dict[str, Any]:
    """The dtype and device of input wherever the caller gave none."""
    given = {key: value for key, value in options.items() if value is not None}
    return {"dtype": input.dtype, "device": input.device, **given}


@composite(public=False)
def new_empty(input: Tensor, *size: Any, requires_grad: bool = False, **options: Any) -> Tensor:
    """An uninitialized tensor of input's dtype.

    >>> torch.tensor([1]).new_empty(2).dtype
    torch.int64
    """
    return made(blank(sizes_of(options.pop("size", size)), **options_of(input, options)), requires_grad)


@composite(public=False)
def new_zeros(input: Tensor, *size: Any, requires_grad: bool = False, **options: Any) -> Tensor:
    """Zeros of input's dtype.

    >>> torch.tensor([1]).new_zeros(2)
    tensor([0, 0])
    """
    return made(P.fill_(new_empty(input, *size, **options), 0), requires_grad)


@composite(public=False)
def new_ones(input: Tensor, *size: Any, requires_grad: bool = False, **options: Any) -> Tensor:
    """Ones of input's dtype.

    >>> torch.tensor([1]).new_ones(2)
    tensor([1, 1])
    """
    return made(P.fill_(new_empty(input, *size, **options), 1), requires_grad)


@composite(public=False)
def new_full(input: Tensor, size: Any, fill_value: Any, *, requires_grad: bool = False, **options: Any) -> Tensor:
    """One value in input's dtype.

    >>> torch.tensor([1.]).new_full((2,), 3)
    tensor([3., 3.])
    """
    return made(P.fill_(new_empty(input, size, **options), fill_value), requires_grad)


# layouts


@composite(public=False)
def new_empty_strided(input: Tensor, size: Sequence[int], stride: Sequence[int], **options: Any) -> Tensor:
    """An uninitialized tensor of input's dtype with the strides given.

    >>> torch.zeros(1).new_empty_strided((2, 3), (1, 2)).stride()
    (1, 2)
    """
    return P.empty_strided(size, stride, **options_of(input, options))


@composite(method=False)
def empty_permuted(
    size: Sequence[int], physical_layout: Sequence[int], *, requires_grad: bool = False, **options: Any
) -> Tensor:
    """An uninitialized tensor whose dimensions lie in memory in the order given, outermost first.

    >>> torch.empty_permuted((2, 3), (1, 0)).stride()
    (1, 2)
    """
    if len(size) != len(physical_layout):
        phrase = "Number of dimensions in size does not match the length of the physical_layout; i.e. len(size)"
        raise error(
            RuntimeError, f"{phrase} = {len(size)} is not equal to len(physical_layout) = {len(physical_layout)}"
        )
    for dim in physical_layout:
        if not 0 <= dim < len(size):
            raise error(
                RuntimeError, f"Dimension out of range (expected to be between 0 and {len(size) - 1}, but got {dim}"
            )
    if len(set(physical_layout)) < len(size):
        raise error(RuntimeError, "Duplicate dim not allowed")
    packed = blank([size[dim] for dim in physical_layout], **options)
    return made(P.permute(packed, sorted(range(len(size)), key=lambda place: physical_layout[place])), requires_grad)


# spaced values


@composite(name="range", method=False)
def inclusive_range(start: float = 0, end: float | None = None, step: float = 1, **options: Any) -> Tensor:
    """Values from start to end, end included; arange is to be preferred.

    >>> torch.range(1, 3)
    tensor([1., 2., 3.])
    """
    if end is None:
        raise error(TypeError, 'range() missing 1 required positional arguments: "end"')
    if step == 0:
        raise error(RuntimeError, "step must be nonzero")
    if (step > 0) != (end >= start) and end != start:
        raise error(RuntimeError, "upper bound and lower bound inconsistent with step sign")
    requires_grad, dtype = options.pop("requires_grad", False), options.get("dtype") or P.get_default_dtype()
    place = P.arange(int(math.floor((end - start) / step)) + 1, dtype=P.float64)
    return made(P.to(P.add(P.mul(place, step), start), dtype), requires_grad)


def triangle(row: int, col: int, offset: int, lower: bool, dtype: Any, device: Any) -> Tensor:
    """Coordinates of a triangle of a matrix, one row of row numbers, one of column numbers."""
    for extent, label in ((row, "row"), (col, "col")):
        if extent < 0:
            raise error(RuntimeError, f"{label} must be non-negative, got {extent}")
    rows, columns = P.unsqueeze(P.arange(row, device=device), 1), P.arange(col, device=device)
    distance = P.sub(columns, rows)
    inside = P.le(distance, offset) if lower else P.ge(distance, offset)
    return P.to(P.contiguous(P.transpose(P.nonzero(inside), 0, 1)), dtype or P.int64)


@composite(method=False)
def tril_indices(
    row: int,
    col: int,
    offset: int = 0,
    *,
    dtype: Any = None,
    device: Any = None,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """The places of the lower triangle of a matrix, row by row: row numbers above column numbers.

    >>> torch.tril_indices(2, 2)
    tensor([[0, 1, 1],
            [0, 0, 1]])
    """
    return triangle(row, col, offset, True, dtype, device)


@composite(method=False)
def triu_indices(
    row: int,
    col: int,
    offset: int = 0,
    *,
    dtype: Any = None,
    device: Any = None,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """The places of the upper triangle of a matrix, row by row: row numbers above column numbers.

    >>> torch.triu_indices(2, 2)
    tensor([[0, 0, 1],
            [0, 1, 1]])
    """
    return triangle(row, col, offset, False, dtype, device)


# complex numbers from two parts
