"""Shapes: reshaping, splitting, joining, moving and adding dimensions. Results are views wherever PyTorch's are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ._primitives import P, Tensor
from .helpers import (
    broadcast_of, common_dtype, error, infer_size, replace, require_tensor, require_tensors, wrap_dim, wrap_dims,
)
from .registry import composite

Tensors = tuple[Tensor, ...]


# another shape for the same elements


@composite(varargs=True)
def reshape(input: Tensor, shape: Sequence[int]) -> Tensor:
    """The same elements in another shape: a view where the strides allow it, a copy elsewhere.

    >>> torch.reshape(torch.arange(6), (2, -1))
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    require_tensor(input, "reshape")
    sizes = infer_size((shape,) if isinstance(shape, int) else shape, input.numel())
    try:
        return P.view(input, sizes)
    except RuntimeError:
        return P.view(P.contiguous(input), sizes)


@composite(public=False)
def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """input in the shape of other.

    >>> torch.arange(4).reshape_as(torch.zeros(2, 2)).shape
    torch.Size([2, 2])
    """
    return reshape(input, other.shape)


@composite(public=False)
def view_as(input: Tensor, other: Tensor) -> Tensor:
    """A view of input in the shape of other.

    >>> torch.arange(4).view_as(torch.zeros(2, 2)).shape
    torch.Size([2, 2])
    """
    return P.view(input, tuple(other.shape))


@composite
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Joins the dimensions from start_dim to end_dim into one.

    >>> torch.flatten(torch.zeros(2, 3, 4), 1).shape
    torch.Size([2, 12])
    """
    start, end = wrap_dim(start_dim, input.dim()), wrap_dim(end_dim, input.dim())
    if start > end:
        phrase = "flatten() has invalid args: start_dim cannot come after end_dim"
        raise error(RuntimeError, phrase, "flatten", "start_dim <= end_dim", (start_dim, end_dim))
    if input.dim() == 0:
        return reshape(input, (1,))
    if start == end:
        return input
    shape = tuple(input.shape)
    return reshape(input, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


@composite
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Splits one dimension into several; one of the sizes may be -1.

    >>> torch.unflatten(torch.zeros(6), 0, (2, -1)).shape
    torch.Size([2, 3])
    """
    dim, sizes = wrap_dim(dim, input.dim()), tuple(sizes)
    if not sizes:
        raise error(RuntimeError, "unflatten: sizes must be non-empty")
    extent = input.shape[dim]
    try:
        inferred = infer_size(sizes, extent)
    except RuntimeError:
        phrase = f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {dim} ({extent})"
        raise error(RuntimeError, f"{phrase} in the input tensor") from None
    return P.view(input, replace(tuple(input.shape), dim, *inferred))


@composite
def ravel(input: Tensor) -> Tensor:
    """All elements in one contiguous dimension.

    >>> torch.ravel(torch.tensor([[1, 2], [3, 4]]))
    tensor([1, 2, 3, 4])
    """
    return reshape(P.contiguous(input), (-1,))


# broadcasting


@composite(public=False)
def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """A view of input broadcast to the shape of other.

    >>> torch.ones(1, 2).expand_as(torch.zeros(3, 2)).shape
    torch.Size([3, 2])
    """
    return P.expand(input, tuple(other.shape))


@composite
def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """A view of input broadcast to a size.

    >>> torch.broadcast_to(torch.tensor([1, 2]), (2, 2))
    tensor([[1, 2],
            [1, 2]])
    """
    return P.expand(input, tuple(size))


@composite(method=False)
def broadcast_shapes(*shapes: int | Sequence[int]) -> Any:
    """The size that tensors of these shapes broadcast to.

    >>> torch.broadcast_shapes((3, 1), (2,))
    torch.Size([3, 2])
    """
    sizes = [(shape,) if isinstance(shape, int) else tuple(shape) for shape in shapes]
    if any(extent < 0 for size in sizes for extent in size):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(min(size) for size in sizes if size)}")
    try:
        return P.Size(broadcast_of(*sizes))
    except RuntimeError:
        phrase = "Shape mismatch: objects cannot be broadcast to a single shape"
        raise error(RuntimeError, phrase, "broadcast_shapes", "compatible shapes", sizes) from None


@composite(method=False)
def broadcast_tensors(*tensors: Tensor) -> Tensors:
    """Views of the tensors, all broadcast to their common shape.

    >>> [t.shape for t in torch.broadcast_tensors(torch.zeros(3, 1), torch.zeros(2))]
    [torch.Size([3, 2]), torch.Size([3, 2])]
    """
    tensors = require_tensors(unpacked(tensors), "broadcast_tensors")
    shape = broadcast_of(*(tensor.shape for tensor in tensors))
    return tuple(P.expand(tensor, shape) for tensor in tensors)


def unpacked(tensors: Sequence[Any]) -> tuple[Any, ...]:
    """The tensors given either one by one or as a single list."""
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        return tuple(tensors[0])
    return tuple(tensors)


@composite(public=False, varargs=True)
def sum_to_size(input: Tensor, size: Sequence[int]) -> Tensor:
    """Sums input down to a size that broadcasts to its own: the reverse of expanding.

    >>> torch.ones(3, 2).sum_to_size(1, 2)
    tensor([[3., 3.]])
    """
    size, shape = tuple(size), tuple(input.shape)
    if not size:
        return P.sum(input)
    lead = len(shape) - len(size)
    if lead < 0 or any(want not in (1, have) for want, have in zip(size, shape[lead:])):
        raise error(RuntimeError, f"size {{{list(size)}}} is not expandable to size {{{list(shape)}}}.")
    dims = [d for d in range(len(shape)) if d < lead or (size[d - lead] == 1 and shape[d] != 1)]
    return P.view(P.sum(input, dims, True) if dims else input, size)


# order of dimensions


@composite(aliases=("moveaxis",))
def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Moves dimensions to other places; the rest keep their order.

    >>> torch.movedim(torch.zeros(2, 3, 4), 0, -1).shape
    torch.Size([3, 4, 2])
    """
    sources, targets = ((dims,) if isinstance(dims, int) else tuple(dims) for dims in (source, destination))
    if len(sources) != len(targets):
        phrase = "movedim: Invalid source or destination dims: source"
        phrase = f"{phrase} ({list(sources)} dims) should contain the same number of dims as destination"
        raise error(RuntimeError, f"{phrase} ({list(targets)} dims)")
    moved = [distinct(dims, input.dim(), kind) for dims, kind in ((sources, "source"), (targets, "destination"))]
    if input.dim() == 0:
        return P.view(input, ())
    order = [dim for dim in range(input.dim()) if dim not in moved[0]]
    for target, origin in sorted(zip(moved[1], moved[0])):
        order.insert(target, origin)
    return P.permute(input, order)


def distinct(dims: Sequence[int], ndim: int, kind: str) -> list[int]:
    """The dimensions counted from the front; raises where one is named twice."""
    wrapped = [wrap_dim(dim, ndim) for dim in dims]
    if len(set(wrapped)) < len(wrapped):
        raise error(RuntimeError, f"movedim: repeated dim in `{kind}` ({list(dims)})")
    return wrapped


@composite(aliases=("swapdims",))
def swapaxes(input: Tensor, axis0: int, axis1: int) -> Tensor:
    """Exchanges two dimensions.

    >>> torch.swapaxes(torch.zeros(2, 3), 0, 1).shape
    torch.Size([3, 2])
    """
    return P.transpose(input, axis0, axis1)


@composite
def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; vectors and scalars come back as they are.

    >>> torch.t(torch.tensor([[1, 2]]))
    tensor([[1],
            [2]])
    """
    if input.dim() > 2:
        phrase = f"t() expects a tensor with <= 2 dimensions, but self is {input.dim()}D"
        raise error(RuntimeError, phrase, "t", "at most 2 dimensions", input)
    return P.transpose(input, 0, -1)


@composite
def adjoint(input: Tensor) -> Tensor:
    """The conjugate transpose of each matrix.

    >>> torch.adjoint(torch.tensor([[1 + 2j, 0j]])).shape
    torch.Size([2, 1])
    """
    return conj(matrix_transpose(input, "adjoint()"))


def matrix_transpose(input: Tensor, name: str) -> Tensor:
    """input with its last two dimensions exchanged; name is the caller's, for the error."""
    if input.dim() < 2:
        phrase = f"tensor.{name} is only supported on matrices or batches of matrices. Got {input.dim()}-D tensor."
        raise error(RuntimeError, phrase)
    return P.transpose(input, -2, -1)


@composite(name="mT", public=False, method=False, prop=True)
def m_transposed(input: Tensor) -> Tensor:
    """The transpose of each matrix in the last two dimensions.

    >>> torch.zeros(5, 2, 3).mT.shape
    torch.Size([5, 3, 2])
    """
    return matrix_transpose(input, "mT")


@composite(name="mH", public=False, method=False, prop=True)
def m_adjoint(input: Tensor) -> Tensor:
    """The conjugate transpose of each matrix in the last two dimensions.

    >>> torch.zeros(5, 2, 3).mH.shape
    torch.Size([5, 3, 2])
    """
    return conj(matrix_transpose(input, "mH"))


@composite(name="T", public=False, method=False, prop=True)
def reversed_dims(input: Tensor) -> Tensor:
    """input with the order of all its dimensions reversed: the transpose of a matrix.

    >>> torch.zeros(2, 3).T.shape
    torch.Size([3, 2])
    """
    return P.permute(input, tuple(reversed(range(input.dim()))))


@composite(name="H", public=False, method=False, prop=True)
def hermitian(input: Tensor) -> Tensor:
    """The conjugate transpose of a matrix.

    >>> torch.zeros(2, 3).H.shape
    torch.Size([3, 2])
    """
    if input.dim() not in (0, 2):
        raise error(RuntimeError, f"tensor.H is only supported on matrices (2-D tensors). Got {input.dim()}-D tensor.")
    return conj(P.transpose(input, 0, 1) if input.dim() else input)


@composite
def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turns the plane of two dimensions by k quarters, from the first towards the second.

    >>> torch.rot90(torch.tensor([[1, 2], [3, 4]]))
    tensor([[2, 4],
            [1, 3]])
    """
    if len(dims) != 2:
        raise error(RuntimeError, f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if input.dim() < 2:
        raise error(RuntimeError, f"expected total dims >= 2, but got total dims = {input.dim()}")
    if dims[0] == dims[1] or abs(dims[0] - dims[1]) == input.dim():
        phrase = f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}"
        raise error(RuntimeError, phrase)
    for dim, place in zip(dims, (0, 1)):
        if not -input.dim() <= dim < input.dim():
            raise error(RuntimeError, f"Rotation dim{place} out of range, dim{place} = {dim}")
    first, second = wrap_dims(dims, input.dim())
    if k % 4 == 0:
        return P.clone(input)
    if k % 4 == 2:
        return P.flip(input, (first, second))
    return P.flip(P.transpose(input, first, second), (first if k % 4 == 1 else second,))


@composite
def fliplr(input: Tensor) -> Tensor:
    """Reverses the order of the columns.

    >>> torch.fliplr(torch.tensor([[1, 2]]))
    tensor([[2, 1]])
    """
    if input.dim() < 2:
        raise error(RuntimeError, "Input must be >= 2-d.", "fliplr", "at least 2 dimensions", input)
    return P.flip(input, (1,))


@composite
def flipud(input: Tensor) -> Tensor:
    """Reverses the order of the rows.

    >>> torch.flipud(torch.tensor([1, 2]))
    tensor([2, 1])
    """
    if input.dim() < 1:
        raise error(RuntimeError, "Input must be >= 1-d.", "flipud", "at least 1 dimension", input)
    return P.flip(input, (0,))


# parts


@composite
def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """A view of `length` places of one dimension, beginning at start (a number or a 0-dim integer tensor).

    >>> torch.narrow(torch.arange(5), 0, 1, 3)
    tensor([1, 2, 3])
    """
    if input.dim() == 0:
        raise error(RuntimeError, "narrow() cannot be applied to a 0-dim tensor.")
    if length < 0:
        raise error(RuntimeError, "narrow(): length must be non-negative.", "narrow", "length >= 0", length)
    if isinstance(start, Tensor):
        if start.dim() or start.dtype.is_floating_point or start.dtype.is_complex or start.dtype == P.bool:
            raise error(RuntimeError, "start must be an 0-dim integral Tensor.")
        start = int(start.item())
    dim = wrap_dim(dim, input.dim())
    extent = input.shape[dim]
    if not -extent <= start <= extent:
        phrase = f"start out of range (expected to be in range of [{-extent}, {extent}], but got {start})"
        raise error(IndexError, phrase)
    start = start + extent if start < 0 else start
    if start + length > extent:
        raise error(RuntimeError, f"start ({start}) + length ({length}) exceeds dimension size ({extent}).")
    return P.slice(input, dim, start, start + length, 1)


@composite(out=True)
def narrow_copy(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """A copy of `length` places of one dimension, beginning at start.

    >>> torch.narrow_copy(torch.arange(5), 0, 1, 3)
    tensor([1, 2, 3])
    """
    if dim >= input.dim():  # PyTorch's class for this differs from narrow's
        raise error(RuntimeError, f"Expected dim to be in range of a {input.dim()}-dimensional tensor, got {dim}")
    return P.clone(narrow(input, dim, start, length))


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


# more dimensions


def each_at_least(tensors: Sequence[Any], change: Any) -> Any:
    """Applies change to one tensor, or to each of several."""
    if len(tensors) == 1 and isinstance(tensors[0], Tensor):
        return change(tensors[0])
    return tuple(change(tensor) for tensor in require_tensors(unpacked(tensors), "atleast"))


@composite(method=False)
def atleast_1d(*tensors: Tensor) -> Any:
    """Scalars become vectors of one element; everything else stays.

    >>> torch.atleast_1d(torch.tensor(3))
    tensor([3])
    """
    return each_at_least(tensors, lambda x: P.unsqueeze(x, 0) if x.dim() == 0 else x)


def rows(input: Tensor) -> Tensor:
    """input with at least two dimensions; a vector becomes a row."""
    return input if input.dim() >= 2 else P.view(P.unsqueeze(input, 0), (1, 1)) if input.dim() == 0 else P.unsqueeze(input, 0)


def planes(input: Tensor) -> Tensor:
    """input with at least three dimensions; a vector runs along the second."""
    return input if input.dim() >= 3 else P.unsqueeze(rows(input), -1)


@composite(method=False)
def atleast_2d(*tensors: Tensor) -> Any:
    """Gives tensors of fewer dimensions a leading one until they have two.

    >>> torch.atleast_2d(torch.tensor([3, 4]))
    tensor([[3, 4]])
    """
    return each_at_least(tensors, rows)


@composite(method=False)
def atleast_3d(*tensors: Tensor) -> Any:
    """Gives tensors of fewer dimensions more until they have three; vectors run along the second.

    >>> torch.atleast_3d(torch.tensor([3, 4])).shape
    torch.Size([1, 2, 1])
    """
    return each_at_least(tensors, planes)


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
    spaced = reshape(input, [extent for size in shape for extent in (1, size)])
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
        input, dim = reshape(input, (-1,)), 0
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
    return flatten(P.clone(wide, memory_format=P.contiguous_format), dim, dim + 1)


def repeated_indices(repeats: Tensor, output_size: int | None) -> Tensor:
    """Each index of repeats as often as repeats says; the length depends on the values unless output_size gives it."""
    if repeats.dim() != 1:
        raise error(RuntimeError, "repeat_interleave only accept 1D vector as repeat", "repeats", "1 dimension", repeats)
    if repeats.dtype not in (P.int64, P.int32):
        raise error(RuntimeError, "repeats has to be Long or Int tensor", "repeats", "int64 or int32", repeats)
    if repeats.numel() and bool(P.any(P.lt(repeats, 0)).item()):
        raise error(RuntimeError, "repeats can not be negative")
    ends = P.cumsum(repeats, 0)
    if output_size is None:
        output_size = int(P.select(ends, 0, -1).item()) if ends.numel() else 0
    places = P.arange(output_size, device=repeats.device)
    return P.to(P.searchsorted(P.to(ends, P.int64), places, right=True), repeats.dtype)


# joining


@composite(name="concat", method=False, out=True, aliases=("concatenate",))
def concat(tensors: Sequence[Tensor], dim: int = 0, axis: int | None = None) -> Tensor:
    """Joins tensors along an existing dimension; another name of cat.

    >>> torch.concat((torch.tensor([1]), torch.tensor([2])))
    tensor([1, 2])
    """
    return P.cat(tensors, dim if axis is None else axis)


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
    return hstack([reshape(x, (x.numel(), 1)) if x.dim() <= 1 else x for x in tensors])


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
            phrase = f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {place} has {tensor.dim()}"
            raise error(RuntimeError, f"{phrase} dimensions")
    dtype = common_dtype(tensors)
    blocks = [P.to(rows(tensor), dtype) for tensor in tensors]
    width, column, strips = sum(block.shape[1] for block in blocks), 0, []
    for block in blocks:
        strips.append(P.constant_pad_nd(block, (column, width - column - block.shape[1])))
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
        P.expand(reshape(vector, [-1 if place == d else 1 for d in range(len(shape))]), shape)
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
    return P.stack([reshape(grid, (-1,)) for grid in grids], 1)


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
    places = P.arange(input.shape[0], device=input.device)
    grids = meshgrid(*[places] * r, indexing="ij")
    chosen = P.full((input.shape[0],) * r, True, dtype=P.bool, device=input.device)
    for left, right in zip(grids, grids[1:]):
        chosen = P.logical_and(chosen, P.le(left, right) if with_replacement else P.lt(left, right))
    index = P.nonzero(chosen)
    return P.view(P.index_select(input, 0, reshape(index, (-1,))), tuple(index.shape))


# complex numbers as views


@composite
def conj(input: Tensor) -> Tensor:
    """The complex conjugate; real input comes back as it is.

    >>> torch.conj(torch.tensor([1 + 2j]))
    tensor([1.-2.j])
    """
    return P.conj_physical(input) if input.dtype.is_complex else input


@composite(aliases=("resolve_neg",))
def resolve_conj(input: Tensor) -> Tensor:
    """input itself: conjugation and negation are never left undone here.

    >>> torch.resolve_conj(torch.tensor([1.]))
    tensor([1.])
    """
    return input


@composite(prop=True, method=False)
def real(input: Tensor) -> Tensor:
    """A view of the real part; real input comes back as it is.

    >>> torch.real(torch.tensor([1 + 2j]))
    tensor([1.])
    """
    return P.select(P.view_as_real(input), -1, 0) if input.dtype.is_complex else input


@composite(prop=True, method=False)
def imag(input: Tensor) -> Tensor:
    """A view of the imaginary part.

    >>> torch.imag(torch.tensor([1 + 2j]))
    tensor([2.])
    """
    if not input.dtype.is_complex:
        raise error(RuntimeError, "imag is not implemented for tensors with non-complex dtypes.")
    return P.select(P.view_as_real(input), -1, 1)
