"""Choosing and replacing elements by index or mask, and orderings, over gather, index, index_put and sort."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ._primitives import P, Tensor
from .helpers import broadcast_of, common_dtype, dtype_name, error, require_tensor, running_sum, wrap_dim
from .registry import composite

# gathering


@composite(out=True)
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """The elements that indices name along dim; all other dimensions broadcast. Without dim both are flattened.

    >>> torch.take_along_dim(torch.tensor([[3, 1]]), torch.tensor([[1]]), 1)
    tensor([[1]])
    """
    if indices.dtype != P.int64:
        phrase = f"torch.take_along_dim(): dtype of indices should be Long but got {dtype_name(indices.dtype)}"
        raise error(RuntimeError, phrase, "take_along_dim", "int64 indices", indices)
    if dim is None:
        return take_along_dim(P.reshape(input, (-1,)), P.reshape(indices, (-1,)), 0)
    if input.dim() != indices.dim():
        phrase = "torch.take_along_dim(): input and indices should have the same number of dimensions"
        raise error(
            RuntimeError, f"{phrase}, but got {input.dim()} dimensions for input, and {indices.dim()} for indices"
        )
    dim = wrap_dim(dim, input.dim())
    indices = P.where(P.lt(indices, 0), P.add(indices, input.shape[dim] if input.dim() else 1), indices)
    shapes = [[1 if d == dim else extent for d, extent in enumerate(x.shape)] for x in (input, indices)]
    common = broadcast_of(*shapes)
    grown = [P.expand(x, [x.shape[d] if d == dim else n for d, n in enumerate(common)]) for x in (input, indices)]
    return P.gather(grown[0], dim, grown[1])


@composite(out=True)
def argwhere(input: Tensor) -> Tensor:
    """The places of the elements that are not zero, one place a row.

    >>> torch.argwhere(torch.tensor([0, 3, 4]))
    tensor([[1],
            [2]])
    """
    return P.nonzero(input)


@composite(out=True)
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The places of the elements that are not zero: a row for each, or a vector for each dimension.

    >>> torch.nonzero(torch.tensor([0, 3]), as_tuple=True)
    (tensor([1]),)
    """
    if not as_tuple:
        return P.nonzero(input)
    places = P.nonzero(P.unsqueeze(input, 0) if input.dim() == 0 else input)
    return tuple(P.select(places, 1, d) for d in range(places.shape[1]))


@composite(out=True)
def nonzero_static(input: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """The first `size` places of elements that are not zero; rows of fill_value where there are fewer.

    >>> torch.nonzero_static(torch.tensor([0, 3]), size=2)
    tensor([[ 1],
            [-1]])
    """
    if size < 0:
        raise error(RuntimeError, f"nonzero_static: 'size' must be an non-negative integer, but got {size}")
    found = P.reshape(P.ne(input, 0), (-1,))
    place = P.arange(found.shape[0], device=input.device)
    rank = P.sub(running_sum(P.to(found, P.int64), 0), 1)
    kept = P.logical_and(found, P.lt(rank, size))
    target = P.where(kept, rank, P.full((), size, dtype=P.int64, device=input.device))
    flat = P.full((size + 1,), -1, dtype=P.int64, device=input.device)
    flat = P.slice(P.scatter(flat, 0, target, place), 0, 0, size, 1)
    filling = P.full((), fill_value, dtype=P.int64, device=input.device)
    columns = [P.where(P.lt(flat, 0), filling, column) for column in unravel_index(flat, tuple(input.shape))]
    return P.stack(columns, 1) if columns else P.full((size, 0), 0, dtype=P.int64, device=input.device)


@composite(method=False, out=True, overloads=P.where)
def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """Elements of input where the condition holds and of other elsewhere; with the condition alone, its true places.

    >>> torch.where(torch.tensor([True, False]), torch.tensor([1, 2]), 0)
    tensor([1, 0])
    """
    require_tensor(condition, "where", parameter="condition")
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    return P.where(condition, input, other)


@composite(public=False, name="where")
def where_method(input: Tensor, condition: Tensor, other: Any) -> Tensor:
    """Elements of input where the condition holds and of other elsewhere.

    >>> torch.tensor([1, 2]).where(torch.tensor([True, False]), 0)
    tensor([1, 0])
    """
    return where(condition, input, other)


# masks


@composite(inplace=True)
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """input with a value wherever the mask is true.

    >>> torch.masked_fill(torch.tensor([1, 2]), torch.tensor([True, False]), 9)
    tensor([9, 2])
    """
    bool_mask(mask, "masked_fill")
    if isinstance(value, Tensor):
        if value.dim():
            phrase = f"masked_fill only supports a 0-dimensional value tensor, but got tensor with {value.dim()}"
            raise error(RuntimeError, f"{phrase} dimension(s).", "masked_fill", "a scalar", value)
        filling = value
    else:
        filling = P.full((), value, device=input.device)
    check_value(filling, input, "value")
    return P.where(mask, P.to(filling, input.dtype), input)


def check_value(value: Tensor, input: Tensor, label: str) -> None:
    """Raises where the kind of number of a value does not fit into input."""
    if value.dtype.is_complex and not input.dtype.is_complex:
        phrase = f"{label} cannot be converted to type {dtype_name(input.dtype)} without overflow"
        raise error(RuntimeError, phrase, label, f"a value for {input.dtype}", value)


def bool_mask(mask: Tensor, name: str) -> None:
    """Raises unless the mask holds bools."""
    if mask.dtype != P.bool:
        phrase = f"{name} expects BoolTensor mask, but got mask with dtype {dtype_name(mask.dtype)}"
        raise error(RuntimeError, phrase, name, "a bool mask", mask)


# putting


@composite(inplace=True)
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """input with the elements of source at places counted as if input were flat; repeated places may add up.

    >>> torch.put(torch.zeros(2, 2), torch.tensor([1]), torch.tensor([5.]))
    tensor([[0., 5.],
            [0., 0.]])
    """
    if index.dtype != P.int64:
        phrase = f"put_(): Expected a long tensor for index, but got {dtype_name(index.dtype)}"
        raise error(RuntimeError, phrase, "put", "int64", index)
    if input.dtype != source.dtype:
        phrase = "put_(): self and source expected to have the same dtype, but got self.dtype ="
        raise error(RuntimeError, f"{phrase} {dtype_name(input.dtype)} and source.dtype = {dtype_name(source.dtype)}")
    if index.numel() != source.numel():
        phrase = "put_(): Expected source and index to have the same number of elements, but got source.numel() ="
        raise error(RuntimeError, f"{phrase} {source.numel()}, index.numel() = {index.numel()}")
    if input.numel() == 0 and index.numel():
        raise error(IndexError, "put_(): Tried to put elements into an empty tensor", "put", "elements", input)
    flat = P.index_put(P.reshape(input, (-1,)), (P.reshape(index, (-1,)),), P.reshape(source, (-1,)), accumulate)
    return P.view(flat, tuple(input.shape))


@composite(inplace=True, out=True)
def index_reduce(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """input with slices of source folded into the slices that index names: "prod", "mean", "amax" or "amin".

    >>> torch.index_reduce(torch.ones(2), 0, torch.tensor([1, 1]), torch.tensor([2., 3.]), "prod")
    tensor([1., 6.])
    """
    if reduce not in ("prod", "mean", "amax", "amin"):
        phrase = "index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got " + str(reduce)
        raise error(RuntimeError, phrase + ".", "index_reduce", "a known reduction", reduce)
    if index.dim() > 1:
        raise error(IndexError, "index_reduce(): Index is supposed to be a vector", "index_reduce", "a vector", index)
    if input.dtype != source.dtype:
        raise error(RuntimeError, "index_reduce(): self and source expected to have the same scalar type")
    dim = wrap_dim(dim, input.dim())
    shape = [-1 if d == dim else 1 for d in range(max(source.dim(), 1))]
    places = P.expand(P.reshape(index, shape), tuple(source.shape) or (1,))
    if input.dim() == 0 or source.dim() == 0:
        vectors = [x if x.dim() else P.unsqueeze(x, 0) for x in (input, source)]
        result = P.scatter_reduce(vectors[0], dim, places, vectors[1], reduce, include_self=include_self)
        return P.view(result, tuple(input.shape))
    return P.scatter_reduce(input, dim, places, source, reduce, include_self=include_self)


@composite(method=False)
def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """The coordinates, in a tensor of a shape, of places counted as if it were flat.

    >>> torch.unravel_index(torch.tensor([5]), (2, 3))
    (tensor([1]), tensor([2]))
    """
    require_tensor(indices, "unravel_index", parameter="indices")
    if indices.dtype.is_floating_point or indices.dtype.is_complex or indices.dtype == P.bool:
        raise error(ValueError, f"expected 'indices' to be integer dtype, but got {indices.dtype}")
    extents = (shape,) if isinstance(shape, int) else tuple(shape)
    if not all(isinstance(extent, int) for extent in extents):
        raise error(TypeError, f"expected 'shape' to be int or sequence of ints, but got {type(shape).__name__}")
    if any(extent < 0 for extent in extents):
        raise error(ValueError, f"'shape' cannot have negative values, but got {extents}")
    steps = [max(1, math.prod(extents[place + 1 :])) for place in range(len(extents))]
    return tuple(P.remainder(P.floor_divide(indices, step), max(extent, 1)) for step, extent in zip(steps, extents))


# order


@composite
def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The places that would sort input along dim.

    >>> torch.argsort(torch.tensor([3, 1, 2]))
    tensor([1, 2, 0])
    """
    return P.sort(input, dim=dim, descending=descending, stable=stable)[1]


@composite(out=True)
def msort(input: Tensor) -> Tensor:
    """input sorted along its first dimension.

    >>> torch.msort(torch.tensor([3, 1, 2]))
    tensor([1, 2, 3])
    """
    return P.sort(input, 0)[0]


@composite
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The different elements (or slices along dim); on request also where each went and how often it occurs.

    >>> torch.unique(torch.tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    if dim is None:
        parts = P.unique2(input, sorted, return_inverse, return_counts)
        return chosen_parts(parts, return_inverse, return_counts)
    dim = wrap_dim(dim, input.dim())
    slices = as_rows(input, dim)
    order = row_order(slices)
    parts = runs(P.index_select(slices, 0, order))
    inverse = P.scatter(order, 0, order, parts[1])
    return chosen_parts((from_rows(parts[0], input, dim), inverse, parts[2]), return_inverse, return_counts)


def chosen_parts(parts: Sequence[Tensor], return_inverse: bool, return_counts: bool) -> Any:
    """The parts of the result of unique that the caller wants."""
    wanted = [parts[0], *(parts[1:2] if return_inverse else ()), *(parts[2:3] if return_counts else ())]
    return wanted[0] if len(wanted) == 1 else tuple(wanted)


def as_rows(input: Tensor, dim: int) -> Tensor:
    """The slices along dim, each flattened to a row."""
    if input.dim() == 0:
        return P.reshape(input, (1, 1))
    moved = P.transpose(input, 0, dim)
    width = math.prod(moved.shape[1:])
    if width == 0 and input.shape[dim]:
        phrase = "There are 0 sized dimensions, and they aren't selected, so unique cannot be applied"
        raise error(RuntimeError, phrase, "unique", "slices with elements", input)
    return P.reshape(moved, (moved.shape[0], width))


def from_rows(rows: Tensor, input: Tensor, dim: int) -> Tensor:
    """Rows turned back into slices along dim."""
    shape = list(P.transpose(input, 0, dim).shape) if input.dim() else [1]
    return P.contiguous(P.transpose(P.view(rows, (rows.shape[0], *shape[1:])), 0, dim))


def row_order(rows: Tensor) -> Tensor:
    """The places that would sort the rows of a matrix; a stable sort by each column, the last column first."""
    order = P.arange(rows.shape[0], device=rows.device)
    for column in reversed(range(rows.shape[1])):
        keys = P.index_select(P.select(rows, 1, column), 0, order)
        order = P.index_select(order, 0, P.sort(keys, dim=0, stable=True)[1])
    return order


def runs(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The rows that differ from the one before, the run that each row belongs to, and the length of each run."""
    if rows.shape[0] == 0:
        nothing = P.full((0,), 0, dtype=P.int64, device=rows.device)
        return rows, nothing, nothing
    before, after = P.slice(rows, 0, 0, -1, 1), P.slice(rows, 0, 1, None, 1)
    changed = P.pad_constant(P.any(P.ne(before, after), 1), (1, 0), True)
    run = P.sub(running_sum(P.to(changed, P.int64), 0), 1)
    first = P.select(P.nonzero(changed), 1, 0)
    return P.index_select(rows, 0, first), run, P.bincount(run)


@composite
def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements (or slices along dim) that differ from the one before them.

    >>> torch.unique_consecutive(torch.tensor([1, 1, 2, 1]))
    tensor([1, 2, 1])
    """
    if dim is None:
        values, inverse, counts = runs(P.reshape(input, (input.numel(), 1)))
        parts = P.squeeze(values, 1), P.view(inverse, tuple(input.shape)), counts
        return chosen_parts(parts, return_inverse, return_counts)
    dim = wrap_dim(dim, input.dim())
    values, inverse, counts = runs(as_rows(input, dim))
    return chosen_parts((from_rows(values, input, dim), inverse, counts), return_inverse, return_counts)


@composite(method=False, out=True)
def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Where elements occur among test_elements.

    >>> torch.isin(torch.tensor([1, 2, 3]), torch.tensor([2, 3]))
    tensor([False,  True,  True])
    """
    if not isinstance(elements, Tensor) and not isinstance(test_elements, Tensor):
        raise error(TypeError, "isin(): expected at least one tensor", "isin", "a tensor", (elements, test_elements))
    elements, test_elements = (x if isinstance(x, Tensor) else P.full((), x) for x in (elements, test_elements))
    tests = P.reshape(test_elements, (-1,))
    if tests.numel() <= 16:  # fewer comparisons than a sorted search would need
        found = P.any(P.eq(P.unsqueeze(elements, -1), tests), -1)
    else:
        dtype = common_dtype((elements, tests))
        ordered = P.sort(P.to(tests, dtype), dim=0)[0]
        elements = P.to(elements, dtype)
        place = P.clamp_max(P.searchsorted(ordered, elements), tests.numel() - 1)
        nearest = P.view(P.index_select(ordered, 0, P.reshape(place, (-1,))), tuple(elements.shape))
        found = P.eq(nearest, elements)
    return P.logical_not(found) if invert else found


@composite(method=False, out=True)
def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The bucket, among sorted boundaries, that each element falls into.

    >>> torch.bucketize(torch.tensor([0, 3, 6]), torch.tensor([1, 3, 5]))
    tensor([0, 1, 3])
    """
    if boundaries.dim() != 1:
        phrase = f"bucketize(): boundaries tensor must be 1 dimension, but got dim({boundaries.dim()})"
        raise error(RuntimeError, phrase, "bucketize", "a vector", boundaries)
    return P.searchsorted(boundaries, input, out_int32=out_int32, right=right)
