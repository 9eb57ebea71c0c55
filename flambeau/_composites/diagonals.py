"""Diagonals, writing into views out of place, and the copying forms of the views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import shape, splitting
from ._primitives import P, Tensor
from .helpers import error, wrap_dim
from .registry import composite


@composite
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices that carry the last dimension of input on a diagonal, zeros elsewhere.

    >>> torch.diag_embed(torch.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    ndim = input.dim() + 1
    dim1, dim2 = wrap_dim(dim1, ndim), wrap_dim(dim2, ndim)
    if dim1 == dim2:
        phrase = f"diagonal dimensions cannot be identical {dim1}, {dim2}"
        raise error(RuntimeError, phrase, "diag_embed", "two dimensions", input)
    batch, length = tuple(input.shape[:-1]), input.shape[-1]
    side = length + abs(offset)
    # in a flattened side x side matrix the elements of a diagonal stand side + 1 places apart
    first = offset if offset >= 0 else -offset * side
    spaced = P.reshape(P.pad_constant(P.unsqueeze(input, -1), (0, side)), (*batch, length * (side + 1)))
    flat = P.pad_constant(spaced, (first, side * side - first - length * (side + 1)))
    return shape.movedim(P.view(flat, (*batch, side, side)), (-2, -1), (dim1, dim2))


@composite(out=True)
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The square matrix with a vector on one diagonal, or the diagonal of a matrix.

    >>> torch.diag(torch.tensor([[1, 2], [3, 4]]), 1)
    tensor([2])
    """
    if input.dim() not in (1, 2):
        phrase = f"diag(): Supports 1D or 2D tensors. Got {input.dim()}D"
        raise error(RuntimeError, phrase, "diag", "1 or 2 dimensions", input)
    return diag_embed(input, diagonal) if input.dim() == 1 else P.clone(P.diagonal(input, diagonal))


@composite
def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """The square matrix with all elements of input, in order, on one diagonal.

    >>> torch.diagflat(torch.tensor([[1], [2]]))
    tensor([[1, 0],
            [0, 2]])
    """
    return diag_embed(P.reshape(input, (-1,)), offset)


@composite(name="diagonal", method=False, namespace="linalg")
def linalg_diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """A view of a diagonal of each matrix.

    >>> torch.linalg.diagonal(torch.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    return P.diagonal(A, offset, dim1, dim2)


# writing into a view, out of place


@composite
def diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A copy of input whose diagonal is src.

    >>> torch.diagonal_scatter(torch.zeros(2, 2), torch.ones(2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    return scattered(input, src, lambda x: P.diagonal(x, offset, dim1, dim2), "diagonal_scatter")


@composite
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy of input in which src stands at one index of a dimension.

    >>> torch.select_scatter(torch.zeros(2, 2), torch.ones(2), 0, 1)
    tensor([[0., 0.],
            [1., 1.]])
    """
    return scattered(input, src, lambda x: P.select(x, dim, index), "select_scatter")


@composite(out=True)
def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """A copy of input in which src stands in a slice of a dimension.

    >>> torch.slice_scatter(torch.zeros(3), torch.ones(2), start=1)
    tensor([0., 1., 1.])
    """
    return scattered(input, src, lambda x: P.slice(x, dim, start, end, step), "slice_scatter")


def scattered(input: Tensor, src: Tensor, view: Callable[[Tensor], Tensor], name: str) -> Tensor:
    """A copy of input in which the places that a view shows hold src."""
    result = P.clone(input)
    target = view(result)
    if tuple(target.shape) != tuple(src.shape):
        phrase = f"expected src to have a size equal to the slice of self. src size = {list(src.shape)}"
        raise error(RuntimeError, f"{phrase}, slice size = {list(target.shape)}", name, "equal sizes", (input, src))
    P.copy_(target, src)
    return result


@composite
def as_strided_scatter(
    input: Tensor, src: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Tensor:
    """A copy of input in which the places of a strided view hold src.

    >>> torch.as_strided_scatter(torch.zeros(4), torch.ones(2), (2,), (2,))
    tensor([1., 0., 1., 0.])
    """
    offset = input.storage_offset()
    if offset or not input.is_contiguous():  # places are counted in the storage, so all of it has to be copied
        span = 1 + sum((extent - 1) * step for extent, step in zip(input.shape, input.stride()))
        whole = P.clone(P.as_strided(input, (offset + span,), (1,), 0))
        input = P.as_strided(whole, tuple(input.shape), tuple(input.stride()), offset)
    else:
        input = P.clone(input)
    P.copy_(P.as_strided(input, tuple(size), tuple(stride), storage_offset), src)
    return input


# views that are copied


def copying(name: str, view: Callable[..., Any], example: str) -> None:
    """Registers the form of a view that copies what it shows."""

    def function(input: Tensor, *args: Any, **options: Any) -> Any:
        shown = view(input, *args, **options)
        copy = [
            P.clone(part, memory_format=P.contiguous_format)
            for part in (shown if isinstance(shown, tuple) else (shown,))
        ]
        return tuple(copy) if isinstance(shown, tuple) else copy[0]

    function.__name__ = function.__qualname__ = f"{name}_copy"
    function.__doc__ = f"As {name}, with the result copied.\n\n    >>> copy = torch.{name}_copy({example})\n    "
    composite(function, method=False, out="list" if name in ("split", "split_with_sizes", "unbind") else True)


def slice_view(input: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Tensor:
    """The part of one dimension from start to end."""
    return P.slice(input, dim, start, end, step)


def view_of(input: Tensor, size: Any = None, *, dtype: Any = None) -> Tensor:
    """The same memory in another shape or of another dtype."""
    return P.view(input, size) if dtype is None else P.view_dtype(input, dtype)


COPIED_VIEWS: dict[str, tuple[Callable[..., Any], str]] = {
    "alias": (lambda input: input, "torch.zeros(2)"),
    "as_strided": (P.as_strided, "torch.zeros(4), (2,), (2,)"),
    "detach": (P.detach, "torch.zeros(2)"),
    "diagonal": (P.diagonal, "torch.zeros(2, 2)"),
    "expand": (lambda input, size, *, implicit=False: P.expand(input, size), "torch.zeros(2), (3, 2)"),
    "permute": (P.permute, "torch.zeros(2, 3), (1, 0)"),
    "select": (P.select, "torch.zeros(2, 3), 0, 1"),
    "slice": (slice_view, "torch.zeros(3), 0, 1"),
    "split": (splitting.split, "torch.zeros(3), 2"),
    "split_with_sizes": (splitting.split_with_sizes, "torch.zeros(3), (1, 2)"),
    "squeeze": (P.squeeze, "torch.zeros(1, 3)"),
    "t": (P.t, "torch.zeros(2, 3)"),
    "transpose": (P.transpose, "torch.zeros(2, 3), 0, 1"),
    "unbind": (splitting.unbind, "torch.zeros(2, 3)"),
    "unfold": (lambda input, dimension, size, step: P.unfold(input, dimension, size, step), "torch.zeros(4), 0, 2, 2"),
    "unsqueeze": (P.unsqueeze, "torch.zeros(2), 0"),
    "view": (view_of, "torch.zeros(4), (2, 2)"),
    "view_as_complex": (P.view_as_complex, "torch.zeros(3, 2)"),
    "view_as_real": (P.view_as_real, "torch.zeros(3, dtype=torch.complex64)"),
}

for _name, (_view, _example) in COPIED_VIEWS.items():
    copying(_name, _view, _example)
