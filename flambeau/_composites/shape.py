"""Shapes: reshaping, splitting, joining, moving and adding dimensions. Results are views wherever PyTorch's are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._primitives import P, Tensor
from .helpers import broadcast_of, error, infer_size, replace, require_tensors, wrap_dim, wrap_dims
from .registry import composite

Tensors = tuple[Tensor, ...]


# another shape for the same elements


@composite(public=False)
def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """input in the shape of other.

    >>> torch.arange(4).reshape_as(torch.zeros(2, 2)).shape
    torch.Size([2, 2])
    """
    return P.reshape(input, other.shape)


@composite(public=False)
def view_as(input: Tensor, other: Tensor) -> Tensor:
    """A view of input in the shape of other.

    >>> torch.arange(4).view_as(torch.zeros(2, 2)).shape
    torch.Size([2, 2])
    """
    return P.view(input, tuple(other.shape))


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
    return P.reshape(P.contiguous(input), (-1,))


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
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {min(min(size) for size in sizes if size)}"
        )
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
    return (
        input
        if input.dim() >= 2
        else P.view(P.unsqueeze(input, 0), (1, 1))
        if input.dim() == 0
        else P.unsqueeze(input, 0)
    )


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


# complex numbers as views


@composite
def conj(input: Tensor) -> Tensor:
    """The complex conjugate; real input comes back as it is.

    >>> torch.conj(torch.tensor([1 + 2j]))
    tensor([1.-2.j])
    """
    return P.conj_physical(input) if input.dtype.is_complex else input


@composite(prop=True, method=False, assign=True)
def real(input: Tensor) -> Tensor:
    """A view of the real part; real input comes back as it is.

    >>> torch.real(torch.tensor([1 + 2j]))
    tensor([1.])
    """
    return P.select(P.view_as_real(input), -1, 0) if input.dtype.is_complex else input


@composite(prop=True, method=False, assign=True)
def imag(input: Tensor) -> Tensor:
    """A view of the imaginary part.

    >>> torch.imag(torch.tensor([1 + 2j]))
    tensor([2.])
    """
    if not input.dtype.is_complex:
        raise error(RuntimeError, "imag is not implemented for tensors with non-complex dtypes.")
    return P.select(P.view_as_real(input), -1, 1)
