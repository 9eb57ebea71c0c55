"""torch.masked: reductions and normalizations over the elements that a mask leaves in.

Left-out elements are replaced by what does not change the result (0 in a sum, 1 in a product). Where a mask leaves
nothing, the result is that neutral element, or nan where there is none.
"""

from __future__ import annotations

import math
from typing import Any

from ._primitives import P, Tensor
from .helpers import as_floating, cast, error, is_integral, wrap_dims
from .reductions import p_norm, root
from .registry import composite
from .special import logsumexp as logsumexp_of_all

Dims = Any


def masked(function: Any) -> Any:
    """Registers a function of torch.masked."""
    return composite(function, method=False, namespace="masked")


def filled(input: Tensor, mask: Tensor | None, value: Any) -> Tensor:
    """input with a value in place of the elements left out."""
    if mask is None:
        return input
    return P.where(spread(mask, input), input, P.full((), value, dtype=input.dtype, device=input.device))


def spread(mask: Tensor, input: Tensor) -> Tensor:
    """The mask in input's shape."""
    if mask.dim() > input.dim():
        phrase = "_input_mask expected broadcastable mask (got mask dimensionality higher than of the input)"
        raise error(IndexError, phrase, "masked", "a mask that broadcasts", (input, mask))
    return P.expand(P.to(mask, P.bool), tuple(input.shape))


def dims_of(input: Tensor, dim: Dims) -> tuple[int, ...]:
    """The dimensions to reduce: None means all."""
    return tuple(wrap_dims(dim, input.dim()))


def extremes(dtype: Any) -> tuple[Any, Any]:
    """The smallest and the largest number of a dtype, infinite where there is infinity."""
    if dtype.is_floating_point:
        return -math.inf, math.inf
    if dtype == P.bool:
        return False, True
    bits = 8 * dtype.itemsize
    return (0, 255) if dtype == P.uint8 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


@masked
def sum(
    input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The sum of the elements left in.

    >>> torch.masked.sum(torch.tensor([1, 2, 3]), 0, mask=torch.tensor([True, False, True]))
    tensor(4)
    """
    return P.sum(filled(cast(input, dtype), mask, 0), dims_of(input, dim), keepdim, dtype=dtype)


@masked
def prod(
    input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The product of the elements left in.

    >>> torch.masked.prod(torch.tensor([2, 5, 3]), 0, mask=torch.tensor([True, False, True]))
    tensor(6)
    """
    result = filled(cast(input, dtype), mask, 1)
    if input.dim() == 0:
        return cast(result, P.int64 if dtype is None and is_integral(input.dtype) else dtype)
    for d in sorted(dims_of(input, dim), reverse=True):
        result = P.prod(result, d, keepdim, dtype=dtype)
    return result


@masked
def cumsum(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """Running sums of the elements left in.

    >>> torch.masked.cumsum(torch.tensor([1, 2, 3]), 0, mask=torch.tensor([True, False, True]))
    tensor([1, 1, 4])
    """
    return P.cumsum(filled(cast(input, dtype), mask, 0), dim, dtype=dtype)


@masked
def cumprod(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """Running products of the elements left in.

    >>> torch.masked.cumprod(torch.tensor([2, 5, 3]), 0, mask=torch.tensor([True, False, True]))
    tensor([2, 2, 6])
    """
    return P.cumprod(filled(cast(input, dtype), mask, 1), dim, dtype=dtype)


@masked
def amax(
    input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The largest of the elements left in.

    >>> torch.masked.amax(torch.tensor([1, 5, 3]), 0, mask=torch.tensor([True, False, True]))
    tensor(3)
    """
    input = cast(input, dtype)
    return P.amax(filled(input, mask, extremes(input.dtype)[0]), dims_of(input, dim), keepdim)


@masked
def amin(
    input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The smallest of the elements left in.

    >>> torch.masked.amin(torch.tensor([4, 1, 3]), 0, mask=torch.tensor([True, False, True]))
    tensor(3)
    """
    input = cast(input, dtype)
    return P.amin(filled(input, mask, extremes(input.dtype)[1]), dims_of(input, dim), keepdim)


@masked
def argmax(
    input: Tensor, dim: int | None = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The place, in the dtype of input, of the largest of the elements left in.

    >>> torch.masked.argmax(torch.tensor([1, 5, 3]), 0, mask=torch.tensor([True, False, True]))
    tensor(2)
    """
    input = cast(input, dtype)
    return P.to(P.argmax(filled(input, mask, extremes(input.dtype)[0]), dim, keepdim), input.dtype)


@masked
def argmin(
    input: Tensor, dim: int | None = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The place, in the dtype of input, of the smallest of the elements left in.

    >>> torch.masked.argmin(torch.tensor([4, 1, 3]), 0, mask=torch.tensor([True, False, True]))
    tensor(2)
    """
    input = cast(input, dtype)
    return P.to(P.argmin(filled(input, mask, extremes(input.dtype)[1]), dim, keepdim), input.dtype)


def count_of(input: Tensor, dims: tuple[int, ...], keepdim: bool, mask: Tensor | None) -> Any:
    """How many elements are left in along dimensions."""
    if mask is None:
        return math.prod(input.shape[d] for d in dims) if input.dim() else 1
    return P.sum(spread(mask, input), dims, keepdim)


@masked
def mean(
    input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The mean of the elements left in.

    >>> torch.masked.mean(torch.tensor([1., 9., 3.]), 0, mask=torch.tensor([True, False, True]))
    tensor(2.)
    """
    dims = dims_of(input, dim)
    if input.dtype == P.bool and dtype is None:
        input = P.to(input, P.int64)
    return P.div(sum(input, dims, keepdim=keepdim, dtype=dtype, mask=mask), count_of(input, dims, keepdim, mask))


@masked
def median(
    input: Tensor, dim: int = -1, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The lower median of the elements left in; nan where there are none.

    >>> torch.masked.median(torch.tensor([1., 9., 3.]), 0, mask=torch.tensor([True, False, True]))
    tensor(1.)
    """
    input = cast(input, dtype)
    if input.dim() == 0:
        return filled(input, mask, math.nan)
    if mask is None:
        return P.median_dim(input, dim, keepdim)[0]
    if is_integral(input.dtype):
        raise error(ValueError, f"masked median: no way to mark what is left out in {input.dtype}")
    return P.nanmedian_dim(filled(input, mask, math.nan), dims_of(input, dim)[0], keepdim)[0]


@masked
def norm(
    input: Tensor,
    ord: float = 2.0,
    dim: Dims = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The vector norm of the elements left in.

    >>> torch.masked.norm(torch.tensor([3., 9., 4.]), 2, 0, mask=torch.tensor([True, False, True]))
    tensor(5.)
    """
    input = as_floating(cast(input, dtype))
    return p_norm(filled(input, mask, 0 if ord >= 0 else math.inf), ord, dims_of(input, dim), keepdim)


@masked
def var(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    *,
    correction: Any = None,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The variance of the elements left in.

    >>> torch.masked.var(torch.tensor([1., 9., 3.]), 0, mask=torch.tensor([True, False, True]))
    tensor(2.)
    """
    input = as_floating(cast(input, dtype))
    return P.to(real_variance(input, dim, unbiased, correction, keepdim, mask), input.dtype)


def real_variance(
    input: Tensor, dim: Dims, unbiased: bool | None, correction: Any, keepdim: bool, mask: Tensor | None
) -> Tensor:
    """The variance as real numbers."""
    if unbiased is not None and correction is not None:
        raise error(RuntimeError, "Only one of `unbiased` and `correction` may be given")
    correction = (1 if unbiased is None else int(unbiased)) if correction is None else correction
    dims = dims_of(input, dim)
    count = count_of(input, dims, True, mask)
    centre = P.div(P.sum(filled(input, mask, 0), dims, True), count)
    gap = filled(P.sub(input, centre), mask, 0)
    squares = P.square(gap)
    if gap.dtype.is_complex:
        parts = P.view_as_real(gap)
        squares = P.sum(P.square(parts), -1)
    freedom = P.clamp_min(P.sub(count, correction), 0) if mask is not None else max(count - correction, 0)
    result = P.div(P.sum(squares, dims, True), freedom)
    return result if keepdim else P.squeeze(result, dims)


@masked
def std(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    *,
    correction: Any = None,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The standard deviation of the elements left in.

    >>> torch.masked.std(torch.tensor([1., 9., 3.]), 0, False, mask=torch.tensor([True, False, True]))
    tensor(1.)
    """
    input = as_floating(cast(input, dtype))
    return P.to(root(real_variance(input, dim, unbiased, correction, keepdim, mask)), input.dtype)


@masked
def logsumexp(
    input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The logarithm of the sum of the exponentials of the elements left in.

    >>> torch.masked.logsumexp(torch.tensor([0., 9.]), 0, mask=torch.tensor([True, False]))
    tensor(0.)
    """
    dtype = dtype or input.dtype
    input = as_floating(cast(input, dtype))
    return cast(logsumexp_of_all(filled(input, mask, -math.inf), dims_of(input, dim), keepdim), dtype)


@masked
def logaddexp(
    input: Tensor,
    other: Tensor,
    *,
    dtype: Any = None,
    input_mask: Tensor | None = None,
    other_mask: Tensor | None = None,
) -> Tensor:
    """log(exp(input) + exp(other)), where an element left out counts as exp(-inf) = 0.

    >>> torch.masked.logaddexp(torch.tensor([0.]), torch.tensor([9.]), other_mask=torch.tensor([False]))
    tensor([0.])
    """
    parts = (cast(input, dtype), input_mask), (cast(other, dtype), other_mask)
    return P.logaddexp(*(filled(x, mask, -math.inf) for x, mask in parts))


def exponentials(input: Tensor, dim: int, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Elements less the largest left in, their exponentials (0 where left out), and the sums of these."""
    low = filled(input, mask, -math.inf)  # -inf stays -inf, and its exponential 0, whatever is taken off
    top = P.detach(P.amax(low, (dim,), True))
    nought = P.full((), 0.0, dtype=input.dtype, device=input.device)
    shifted = P.sub(low, P.where(P.isinf(top), nought, top))
    powers = P.exp(shifted)
    total = P.sum(powers, dim, True)
    return shifted, powers, P.where(P.eq(total, 0), P.add(nought, 1), total)


@masked
def softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """softmax over the elements left in; the others get 0.

    >>> torch.masked.softmax(torch.tensor([0., 9., 0.]), 0, mask=torch.tensor([True, False, True]))
    tensor([0.5000, 0.0000, 0.5000])
    """
    input = as_floating(cast(input, dtype))
    if input.numel() == 0:
        return P.clone(input)
    _, powers, total = exponentials(input, dim, mask)
    return P.div(powers, total)


@masked
def log_softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """The logarithm of softmax over the elements left in; the others get -inf.

    >>> torch.masked.log_softmax(torch.tensor([0., 9.]), 0, mask=torch.tensor([True, False]))
    tensor([0., -inf])
    """
    input = as_floating(cast(input, dtype))
    if input.numel() == 0:
        return P.clone(input)
    shifted, _, total = exponentials(input, dim, mask)
    return P.sub(shifted, P.log(total))


@masked
def softmin(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Tensor:
    """softmax of the negated elements left in.

    >>> torch.masked.softmin(torch.tensor([0., 9., 0.]), 0, mask=torch.tensor([True, False, True]))
    tensor([0.5000, 0.0000, 0.5000])
    """
    return softmax(P.neg(as_floating(cast(input, dtype))), dim, mask=mask)


@masked
def normalize(
    input: Tensor, ord: float, dim: int, *, eps: float = 1e-12, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The elements left in, divided by their norm; the others get 0.

    >>> torch.masked.normalize(torch.tensor([3., 9., 4.]), 2, 0, mask=torch.tensor([True, False, True]))
    tensor([0.6000, 0.0000, 0.8000])
    """
    input = as_floating(cast(input, dtype))
    length = norm(input, ord, dim, keepdim=True, mask=mask)
    return P.div(filled(input, mask, 0), P.clamp_min(length, eps))
