"""Parts of a tensor along a dimension: all of them views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._primitives import P, Tensor
from .helpers import error, require_tensor, wrap_dim
from .registry import composite

Tensors = tuple[Tensor, ...]


@composite(out=True)
def narrow_copy(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """A copy of `length` places of one dimension, beginning at start.

    >>> torch.narrow_copy(torch.arange(5), 0, 1, 3)
    tensor([1, 2, 3])
    """
    if dim >= input.dim():  # PyTorch's class for this differs from narrow's
        raise error(RuntimeError, f"Expected dim to be in range of a {input.dim()}-dimensional tensor, got {dim}")
    return P.clone(P.narrow(input, dim, start, length))


@composite
def split(tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> Tensors:
    """Views of consecutive parts: all of one size (the last may be smaller), or of the sizes listed.

    >>> torch.split(torch.arange(5), 2)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    require_tensor(tensor, "split", parameter="tensor")
    if isinstance(split_size_or_sections, (tuple, list)):
        return split_with_sizes(tensor, split_size_or_sections, dim)
    if not isinstance(split_size_or_sections, int):
        kind = type(split_size_or_sections).__name__
        raise TypeError(f"split(): argument 'split_sizes' (position 2) must be tuple of ints, not {kind}")
    size, extent = split_size_or_sections, extent_for("split", tensor, dim)
    if size < 0:
        raise error(RuntimeError, f"split expects split_size be non-negative, but got split_size={size}")
    if size == 0 and extent:
        phrase = f"split_size can only be 0 if dimension size is 0, but got dimension size of {extent}"
        raise error(RuntimeError, phrase)
    starts = range(0, extent, size) if extent else (0,)
    return tuple(P.slice(tensor, dim, start, min(start + size, extent), 1) for start in starts)


def extent_for(op: str, input: Tensor, dim: int) -> int:
    """The extent of a dimension that is to be split; scalars cannot be."""
    if input.dim() == 0:
        raise error(RuntimeError, f"{op} expects at least a 1-dimensional tensor")
    return input.shape[wrap_dim(dim, input.dim())]


@composite(aliases=("unsafe_split_with_sizes",))
def split_with_sizes(input: Tensor, split_sizes: Sequence[int], dim: int = 0) -> Tensors:
    """Views of consecutive parts of the sizes listed, which have to add up to the whole.

    >>> torch.split_with_sizes(torch.arange(5), (1, 4))
    (tensor([0]), tensor([1, 2, 3, 4]))
    """
    extent = extent_for("split", input, dim)
    if sum(split_sizes) != extent or any(size < 0 for size in split_sizes):
        phrase = f"split_with_sizes expects split_sizes to sum exactly to {extent} (input tensor's size at dimension"
        raise error(RuntimeError, f"{phrase} {dim}), but got split_sizes={list(split_sizes)}")
    parts, start = [], 0
    for size in split_sizes:
        parts.append(P.slice(input, dim, start, start + size, 1))
        start += size
    return tuple(parts)


@composite
def unsafe_split(input: Tensor, split_size: int, dim: int = 0) -> Tensors:
    """As split with one size.

    >>> torch.unsafe_split(torch.arange(3), 2)
    (tensor([0, 1]), tensor([2]))
    """
    return split(input, split_size, dim)


@composite(aliases=("unsafe_chunk",))
def chunk(input: Tensor, chunks: int, dim: int = 0) -> Tensors:
    """Views of at most `chunks` parts of equal size; the last may be smaller.

    >>> torch.chunk(torch.arange(5), 2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    extent = extent_for("chunk", input, dim)
    if chunks <= 0:
        raise error(RuntimeError, f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    size = -(-extent // chunks)
    return split(input, size, dim) if size else split_with_sizes(input, [0] * chunks, dim)


@composite
def tensor_split(input: Tensor, indices_or_sections: Any = None, dim: int = 0, **named: Any) -> Tensors:
    """Views of parts: as many as a number says, the first ones larger by one, or cut before the indices listed.

    >>> torch.tensor_split(torch.arange(5), 2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    where = next(iter(named.values())) if named else indices_or_sections
    if input.dim() == 0:
        raise error(RuntimeError, "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims")
    dim = wrap_dim(dim, input.dim())
    if isinstance(where, Tensor):
        where = split_points(where)
    if not isinstance(where, (int, tuple, list)):
        phrase = "tensor_split(): argument 'indices_or_sections' (position 2) must be int, tuple of ints or Tensor"
        raise error(TypeError, f"{phrase}, not {type(where).__name__}")
    if isinstance(where, int):
        where = equal_points(where, input.shape[dim])
    bounds = zip((0, *where), (*where, input.shape[dim]))
    return tuple(P.slice(input, dim, start, end, 1) for start, end in bounds)


def split_points(where: Tensor) -> Any:
    """The number of sections or the indices that a tensor argument of tensor_split holds."""
    if where.dim() > 1 or where.dtype != P.int64:
        phrase = "tensor_split expected tensor_indices_or_sections to be a zero-dimensional or one-dimensional tensor"
        raise error(RuntimeError, f"{phrase} of dtype int64", "tensor_split", "int64[] or int64[n]", where)
    return where.tolist()


def equal_points(sections: int, extent: int) -> list[int]:
    """Where to cut an extent into sections that differ by at most one."""
    if sections <= 0:
        raise error(RuntimeError, f"number of sections must be larger than 0, got {sections}")
    if sections > max(extent, 1 << 24):
        phrase = f"{sections} sections are more than can be made"
        raise error(RuntimeError, phrase, "tensor_split", "fewer sections", sections)
    small, larger = divmod(extent, sections)
    return [i * small + min(i, larger) for i in range(1, sections)]


def split_along(input: Tensor, where: Any, dim: int, name: str) -> Tensors:
    """What hsplit, vsplit and dsplit share: a number of sections has to divide the extent."""
    if isinstance(where, int) and (where <= 0 or input.shape[dim] % where):
        phrase = f"{name} attempted to split along dimension {dim}, but the size of the dimension {input.shape[dim]}"
        raise error(RuntimeError, f"{phrase} is not divisible by the split_size {where}!")
    return tensor_split(input, where, dim)


def dims_wanted(input: Tensor, least: int, name: str) -> None:
    """Raises where input has fewer than `least` dimensions."""
    if input.dim() < least:
        phrase = f"torch.{name} requires a tensor with at least {least} dimension{'s' * (least > 1)},"
        raise error(RuntimeError, f"{phrase} but got a tensor with {input.dim()} dimensions!")


@composite
def hsplit(input: Tensor, indices_or_sections: Any = None, **named: Any) -> Tensors:
    """Splits columns (the elements of a vector) as tensor_split does.

    >>> torch.hsplit(torch.arange(4), 2)
    (tensor([0, 1]), tensor([2, 3]))
    """
    dims_wanted(input, 1, "hsplit")
    where = next(iter(named.values())) if named else indices_or_sections
    return split_along(input, where, 0 if input.dim() == 1 else 1, "torch.hsplit")


@composite
def vsplit(input: Tensor, indices_or_sections: Any = None, **named: Any) -> Tensors:
    """Splits rows as tensor_split does.

    >>> [part.shape for part in torch.vsplit(torch.zeros(4, 2), 2)]
    [torch.Size([2, 2]), torch.Size([2, 2])]
    """
    dims_wanted(input, 2, "vsplit")
    return split_along(input, next(iter(named.values())) if named else indices_or_sections, 0, "torch.vsplit")


@composite
def dsplit(input: Tensor, indices_or_sections: Any = None, **named: Any) -> Tensors:
    """Splits the third dimension as tensor_split does.

    >>> [part.shape for part in torch.dsplit(torch.zeros(1, 1, 4), 2)]
    [torch.Size([1, 1, 2]), torch.Size([1, 1, 2])]
    """
    dims_wanted(input, 3, "dsplit")
    return split_along(input, next(iter(named.values())) if named else indices_or_sections, 2, "torch.dsplit")


@composite
def unbind(input: Tensor, dim: int = 0) -> Tensors:
    """Views of all slices along a dimension.

    >>> torch.unbind(torch.tensor([1, 2]))
    (tensor(1), tensor(2))
    """
    if input.dim() == 0:
        phrase = "Dimension specified as 0 but tensor has no dimensions"
        raise error(IndexError, phrase, "unbind", "at least 1 dimension", input)
    dim = wrap_dim(dim, input.dim())
    return tuple(P.select(input, dim, index) for index in range(input.shape[dim]))
