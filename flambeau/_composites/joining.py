"""Tensors out of several, or out of one repeated: stacks, grids, combinations, tilings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ._primitives import P, Tensor
from .helpers import common_dtype, error, replace, require_tensors, running_sum, wrap_dim
from .registry import composite
from .shape import atleast_1d, planes, rows, unpacked
from .slices import per_slice

Tensors = tuple[Tensor, ...]


# repeating


@composite(public=False, varargs=True)
def repeat(input: Tensor, repeats: Sequence[int]) -> Tensor:
    """A copy in which the whole tensor stands repeatedly along each dimension.

    >>> torch.tensor([1, 2]).repeat(2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    repeats = (repeats,) if isinstance(repeats, int) else tuple(repeats)
    if len(repeats) < input.dim():
        phrase = "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor"
        raise error(RuntimeError, phrase, "repeat", f"at least {input.dim()} repeats", repeats)
    if any(count < 0 for count in repeats):
        raise error(RuntimeError, f"Trying to create tensor with negative dimension {min(repeats)}: {list(repeats)}")
    shape = (1,) * (len(repeats) - input.dim()) + tuple(input.shape)
    spaced = P.reshape(input, [extent for size in shape for extent in (1, size)])
    tiled = P.expand(spaced, [extent for pair in zip(repeats, shape) for extent in pair])
    return P.view(P.clone(tiled, memory_format=P.contiguous_format), [n * size for n, size in zip(repeats, shape)])


@composite(varargs=True)
def tile(input: Tensor, dims: Sequence[int]) -> Tensor:
    """As repeat, with counts of one in front where fewer counts than dimensions are given.

    >>> torch.tile(torch.tensor([1, 2]), (2,))
    tensor([1, 2, 1, 2])
    """
    dims = (dims,) if isinstance(dims, int) else tuple(dims)
    return repeat(input, (1,) * (input.dim() - len(dims)) + dims)


@composite
@per_slice
def repeat_interleave(
    input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Repeats each element (each slice along dim) a number of times, the same for all or its own.

    Called with one tensor of counts, it gives each index as often as its count says.

    >>> torch.repeat_interleave(torch.tensor([1, 2]), 2)
    tensor([1, 1, 2, 2])
    """
    if repeats is None:
        return repeated_indices(input, output_size)
    if dim is None:
        input, dim = P.reshape(input, (-1,)), 0
    dim = wrap_dim(dim, input.dim())
    input = P.unsqueeze(input, 0) if input.dim() == 0 else input
    extent = input.shape[dim]
    if isinstance(repeats, Tensor) and repeats.numel() != 1:
        if repeats.dim() != 1 or repeats.shape[0] != extent:
            phrase = "repeats must have the same size as input along dim"
            raise error(RuntimeError, phrase, "repeat_interleave", f"{extent} repeats", repeats)
        return P.index_select(input, dim, repeated_indices(repeats, output_size))
    times = int(repeats.item()) if isinstance(repeats, Tensor) else int(repeats)
    if times < 0:
        raise error(RuntimeError, "Repeats must be non-negative", "repeat_interleave", "repeats >= 0", times)
    wide = P.expand(P.unsqueeze(input, dim + 1), replace(tuple(input.shape), dim, extent, times))
    return P.flatten(P.clone(wide, memory_format=P.contiguous_format), dim, dim + 1)


def repeated_indices(repeats: Tensor, output_size: int | None) -> Tensor:
    """Each index of repeats as often as repeats says; the length depends on the values unless output_size gives it."""
    if repeats.dim() != 1:
        raise error(
            RuntimeError, "repeat_interleave only accept 1D vector as repeat", "repeats", "1 dimension", repeats
        )
    if repeats.dtype not in (P.int64, P.int32):
        raise error(RuntimeError, "repeats has to be Long or Int tensor", "repeats", "int64 or int32", repeats)
    if repeats.numel() and bool(P.any(P.lt(repeats, 0)).item()):
        raise error(RuntimeError, "repeats can not be negative")
    ends = running_sum(repeats, 0)
    if output_size is None:
        output_size = int(P.select(ends, 0, -1).item()) if ends.numel() else 0
    places = P.arange(output_size, device=repeats.device)
    return P.to(P.searchsorted(P.to(ends, P.int64), places, right=True), repeats.dtype)


# joining


@composite(method=False)
def constant_pad_nd(input: Tensor, pad: Sequence[int], value: Any = 0) -> Tensor:
    """Lengthens (or, by negative amounts, shortens) the last dimensions: pad is (left, right) for each, last first.

    >>> torch.constant_pad_nd(torch.tensor([1, 2]), (1, 2))
    tensor([0, 1, 2, 0, 0])
    """
    return P.pad_constant(input, pad, value)


@composite(method=False, out=True)
def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Joins tensors side by side: vectors end to end, everything else along the second dimension.

    >>> torch.hstack((torch.tensor([1]), torch.tensor([2])))
    tensor([1, 2])
    """
    joined = [atleast_1d(tensor) for tensor in some_tensors(tensors, "hstack")]
    return P.cat(joined, 0 if joined[0].dim() == 1 else 1)


def some_tensors(tensors: Any, op: str) -> Tensors:
    """The tensors to be joined, of which there must be one at least."""
    tensors = require_tensors(tensors, op)
    if not tensors:
        raise error(RuntimeError, f"{op} expects a non-empty TensorList")
    return tensors


@composite(method=False, out=True, aliases=("row_stack",))
def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """Joins tensors on top of each other; vectors count as rows.

    >>> torch.vstack((torch.tensor([1, 2]), torch.tensor([3, 4])))
    tensor([[1, 2],
            [3, 4]])
    """
    return P.cat([rows(tensor) for tensor in some_tensors(tensors, "vstack")], 0)


@composite(method=False, out=True)
def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """Joins tensors along the third dimension.

    >>> torch.dstack((torch.tensor([1, 2]), torch.tensor([3, 4])))
    tensor([[[1, 3],
             [2, 4]]])
    """
    return P.cat([planes(tensor) for tensor in some_tensors(tensors, "dstack")], 2)


@composite(method=False, out=True)
def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Joins tensors side by side; vectors count as columns.

    >>> torch.column_stack((torch.tensor([1, 2]), torch.tensor([3, 4])))
    tensor([[1, 3],
            [2, 4]])
    """
    tensors = some_tensors(tensors, "column_stack")
    return hstack([P.reshape(x, (x.numel(), 1)) if x.dim() <= 1 else x for x in tensors])


@composite(method=False)
def block_diag(*tensors: Tensor) -> Tensor:
    """A matrix with the given matrices along its diagonal and zeros elsewhere.

    >>> torch.block_diag(torch.tensor([[1, 2]]), torch.tensor(3))
    tensor([[1, 2, 0],
            [0, 0, 3]])
    """
    if not tensors:
        return P.empty((1, 0))
    for place, tensor in enumerate(tensors):
        if tensor.dim() > 2:
            phrase = (
                f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {place} has {tensor.dim()}"
            )
            raise error(RuntimeError, f"{phrase} dimensions")
    dtype = common_dtype(tensors)
    blocks = [P.to(rows(tensor), dtype) for tensor in tensors]
    width, column, strips = sum(block.shape[1] for block in blocks), 0, []
    for block in blocks:
        strips.append(P.pad_constant(block, (column, width - column - block.shape[1])))
        column += block.shape[1]
    return P.cat(strips, 0)


@composite(method=False)
def meshgrid(*tensors: Tensor, indexing: str | None = None) -> Tensors:
    """Views that give the coordinates of every point of the grid that vectors span.

    indexing "ij" (also the default) counts rows first, "xy" columns first.

    >>> torch.meshgrid(torch.tensor([1, 2]), torch.tensor([3]), indexing="ij")
    (tensor([[1],
            [2]]), tensor([[3],
            [3]]))
    """
    vectors = grid_vectors(unpacked(tensors), indexing)
    exchanged = indexing == "xy" and len(vectors) >= 2
    if exchanged:
        vectors[:2] = vectors[1::-1]
    shape = [vector.numel() for vector in vectors]
    grids = [
        P.expand(P.reshape(vector, [-1 if place == d else 1 for d in range(len(shape))]), shape)
        for place, vector in enumerate(vectors)
    ]
    if exchanged:
        grids[:2] = grids[1::-1]
    return tuple(grids)


def grid_vectors(tensors: Tensors, indexing: str | None) -> list[Tensor]:
    """The arguments of meshgrid, checked."""
    if not tensors:
        raise error(RuntimeError, "meshgrid expects a non-empty TensorList")
    for tensor in tensors:
        if tensor.dim() > 1:
            phrase = f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {describe_shape(tensor)}"
            raise error(RuntimeError, phrase)
        if tensor.dtype != tensors[0].dtype:
            raise error(RuntimeError, "torch.meshgrid expects all tensors to have the same dtype")
    if indexing not in (None, "ij", "xy"):
        phrase = f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        raise error(RuntimeError, phrase)
    return list(tensors)


def describe_shape(input: Tensor) -> str:
    """The shape as PyTorch's messages write it."""
    return str(list(input.shape))


@composite(method=False)
def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations that take one element of each vector, one combination a row.

    >>> torch.cartesian_prod(torch.tensor([1, 2]), torch.tensor([3]))
    tensor([[1, 3],
            [2, 3]])
    """
    for tensor in tensors:
        if tensor.dim() != 1:
            raise error(RuntimeError, "Expect a 1D vector, but got shape " + describe_shape(tensor))
    if len(tensors) == 1:
        return tensors[0]
    grids = meshgrid(*tensors, indexing="ij")
    return P.stack([P.reshape(grid, (-1,)) for grid in grids], 1)


@composite
def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All ways to choose r elements of a vector in their order, one choice a row.

    >>> torch.combinations(torch.tensor([1, 2, 3]))
    tensor([[1, 2],
            [1, 3],
            [2, 3]])
    """
    if input.dim() != 1:
        raise error(RuntimeError, "Expect a 1D vector, but got shape " + describe_shape(input))
    if r < 0:
        raise error(RuntimeError, f"Expect a non-negative number, but got {r}")
    if r == 0:
        return P.empty((0,), dtype=input.dtype, device=input.device)
    n = input.shape[0]
    count = math.comb(n + r - 1 if with_replacement else n, r) if n else 0
    index = P.empty((count, r), dtype=P.int64, device=input.device)  # refuses at once what no memory holds
    if count:
        index = P.reshape(P.arange(n, device=input.device), (-1, 1))
        for _ in range(r - 1):  # each choice so far, with every place that may follow its last one
            first = index[:, -1] if with_replacement else index[:, -1] + 1
            follow = n - first
            before = running_sum(follow, 0) - follow
            index = repeat_interleave(index, follow, 0)
            place = P.arange(index.shape[0], device=input.device) - repeat_interleave(before - first, follow)
            index = P.cat((index, P.reshape(place, (-1, 1))), 1)
    return P.view(P.index_select(input, 0, P.reshape(index, (-1,))), (count, r))
