"""Elementwise functions made of others, comparisons of whole tensors, Python's reflected operators."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from ._primitives import P, Tensor
from .helpers import as_floating, error, is_integral, require_tensor
from .registry import METHODS, composite

# division and powers


@composite(out=True, inplace=True, aliases=("divide",))
def div(input: Tensor, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """The quotient: exact, or rounded towards zero ("trunc") or downwards ("floor").

    >>> torch.div(torch.tensor([-3]), 2, rounding_mode="floor")
    tensor([-2])
    """
    if rounding_mode is None:
        return P.div(input, other)
    if rounding_mode == "floor":
        return P.floor_divide(input, other)
    if rounding_mode == "trunc":
        return P.div_trunc(input, other)
    phrase = f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'"
    raise error(RuntimeError, phrase, "div", "None, 'trunc' or 'floor'", rounding_mode)


@composite(out=True, inplace=True)
def true_divide(input: Tensor, other: Any) -> Tensor:
    """The exact quotient; integers give the default float dtype.

    >>> torch.true_divide(torch.tensor([3]), 2)
    tensor([1.5000])
    """
    return P.div(input, other)


@composite
def rsub(input: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """other - alpha * input.

    >>> torch.rsub(torch.tensor([1]), 3)
    tensor([2])
    """
    require_tensor(input, "rsub")
    if not isinstance(other, Tensor):
        other = P.full((), other, dtype=scalar_dtype(input, other), device=input.device)
        return P.sub(P.to(other, P.result_type(input, other)), input, alpha=alpha)
    return P.sub(other, input, alpha=alpha)


def scalar_dtype(input: Tensor, value: Any) -> Any:
    """The dtype in which a Python number meets a tensor."""
    return P.result_type(input, value)


@composite(out=True, inplace=True)
def float_power(input: Any, exponent: Any) -> Tensor:
    """input ** exponent in double precision.

    >>> torch.float_power(torch.tensor([2]), 3)
    tensor([8.], dtype=torch.float64)
    """
    values = (input, exponent)
    complex_ = any(x.dtype.is_complex if isinstance(x, Tensor) else isinstance(x, complex) for x in values)
    dtype = P.complex128 if complex_ else P.float64
    base, power = (P.to(x, dtype) if isinstance(x, Tensor) else x for x in values)
    return P.pow(base, power)


@composite(out=True, inplace="function")
def ldexp(input: Tensor, other: Tensor) -> Tensor:
    """input * 2 ** other.

    >>> torch.ldexp(torch.tensor([3.]), torch.tensor([2]))
    tensor([12.])
    """
    require_tensor(input, "ldexp")
    return P.mul(input, P.pow(2.0, other))


@composite(out=True, inplace="function")
def frac(input: Tensor) -> Tensor:
    """What truncating takes away; it has the sign of input.

    >>> torch.frac(torch.tensor([-1.5]))
    tensor([-0.5000])
    """
    if input.dtype.is_complex:
        raise error(RuntimeError, "trunc is not supported for complex inputs", "frac", "a real dtype", input)
    return P.sub(input, P.trunc(input))


@composite(out=True, inplace="function")
def deg2rad(input: Tensor) -> Tensor:
    """Degrees to radians.

    >>> torch.deg2rad(torch.tensor([180.]))
    tensor([3.1416])
    """
    not_complex(input, "deg2rad")
    return P.mul(as_floating(input), math.pi / 180)


@composite(out=True, inplace="function")
def rad2deg(input: Tensor) -> Tensor:
    """Radians to degrees.

    >>> torch.rad2deg(torch.tensor([math.pi]))
    tensor([180.])
    """
    not_complex(input, "rad2deg")
    return P.mul(as_floating(input), 180 / math.pi)


def not_complex(input: Tensor, name: str) -> None:
    """Raises for complex input."""
    if input.dtype.is_complex:
        raise error(RuntimeError, f"{name} is not supported for complex tensors.", name, "a real dtype", input)


@composite
def positive(input: Tensor) -> Tensor:
    """input itself; bool is refused.

    >>> torch.positive(torch.tensor([1]))
    tensor([1])
    """
    if input.dtype == P.bool:
        phrase = "The `+` operator, on a bool tensor is not supported."
        raise error(RuntimeError, phrase, "positive", "a number dtype", input)
    return input


@composite(out=True, inplace="function")
def clip(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Keeps every element between min and max; another name of clamp.

    >>> torch.clip(torch.tensor([1, 5]), max=3)
    tensor([1, 3])
    """
    return P.clamp(input, min, max)


@composite(out=True, inplace="function")
def sinc(input: Tensor) -> Tensor:
    """sin(pi x) / (pi x), and 1 at 0.

    >>> torch.sinc(torch.tensor([0., 1.5]))
    tensor([ 1.0000, -0.2122])
    """
    if input.dtype in (P.float16, P.bfloat16):
        return P.to(sinc(P.to(input, P.float32)), input.dtype)
    angle = P.mul(as_floating(input), math.pi)
    zero = P.eq(angle, 0)
    # x * x near 0 keeps first and second derivatives right where the quotient has none
    safe = P.where(zero, P.full((), 1.0, dtype=angle.dtype), angle)
    series = P.sub(1.0, P.div(P.mul(angle, angle), 6.0))
    return P.where(zero, series, P.div(P.sin(safe), safe))


@composite(inplace=True, out=True, aliases=("special.multigammaln",))
def mvlgamma(input: Tensor, p: int) -> Tensor:
    """The logarithm of the multivariate gamma function of dimension p.

    >>> torch.mvlgamma(torch.tensor([2.]), 1)
    tensor([0.])
    """
    if p < 1:
        raise error(RuntimeError, "p has to be greater than or equal to 1", "mvlgamma", "p >= 1", p)
    input = as_floating(input)
    shifts = P.div(P.arange(0, -p, -1, dtype=input.dtype, device=input.device), 2)
    terms = P.lgamma(P.add(P.unsqueeze(input, -1), shifts))
    return P.add(P.sum(terms, -1), p * (p - 1) / 4 * math.log(math.pi))


# comparing


@composite
def isreal(input: Tensor) -> Tensor:
    """Where the imaginary part is zero.

    >>> torch.isreal(torch.tensor([1 + 0j, 1j]))
    tensor([ True, False])
    """
    if input.dtype.is_complex:
        return P.eq(P.select(P.view_as_real(input), -1, 1), 0)
    return P.full(tuple(input.shape), True, dtype=P.bool, device=input.device)


@composite
def isclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """Where |input - other| <= atol + rtol * |other|.

    >>> torch.isclose(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.1]))
    tensor([ True, False])
    """
    require_tensor(input, "isclose")
    require_tensor(other, "isclose", 2, "other")
    if input.dtype != other.dtype:
        raise error(RuntimeError, f"{input.dtype} did not match {other.dtype}", "isclose", "one dtype", (input, other))
    for value, label in ((rtol, "rtol"), (atol, "atol")):
        if value < 0:
            raise error(RuntimeError, f"{label} must be greater than or equal to zero, but got {value}")
    close = P.eq(input, other)
    if equal_nan and not is_integral(input.dtype):
        close = P.logical_or(close, P.logical_and(P.isnan(input), P.isnan(other)))
    if rtol == 0 and atol == 0:
        return close
    input, other = as_floating(input), as_floating(other)
    distance = P.abs(P.sub(input, other))
    allowed = P.add(P.abs(P.mul(other, rtol)), atol)
    return P.logical_or(close, P.logical_and(P.isfinite(distance), P.le(distance, allowed)))


@composite
def allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether all elements are close, as isclose has it.

    >>> torch.allclose(torch.tensor([1.0]), torch.tensor([1.0 + 1e-9]))
    True
    """
    return bool(P.all(isclose(input, other, rtol, atol, equal_nan)).item())


@composite
def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and the same elements.

    >>> torch.equal(torch.tensor([1, 2]), torch.tensor([1, 2]))
    True
    """
    return tuple(input.shape) == tuple(other.shape) and bool(P.all(P.eq(input, other)).item())


@composite
def is_nonzero(input: Tensor) -> bool:
    """Whether the one element of input differs from zero.

    >>> torch.is_nonzero(torch.tensor([0.]))
    False
    """
    if input.numel() == 0:
        raise error(RuntimeError, "Boolean value of Tensor with no values is ambiguous")
    if input.numel() > 1:
        raise error(RuntimeError, "Boolean value of Tensor with more than one value is ambiguous")
    return bool(input.item())


@composite
def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape.

    >>> torch.zeros(2).is_same_size(torch.ones(2))
    True
    """
    return tuple(input.shape) == tuple(other.shape)


@composite(out=True, name="max")
def max_(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The largest element, the largest along a dimension with its place, or the larger of two tensors by element.

    >>> torch.max(torch.tensor([[1, 5], [4, 2]]), 1)
    torch.return_types.max(
    values=tensor([5, 4]),
    indices=tensor([1, 0]))
    """
    return extreme(input, other if dim is None else dim, keepdim, P.max, P.amax, P.maximum, "max")


@composite(out=True, name="min")
def min_(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The smallest element, the smallest along a dimension with its place, or the smaller of two tensors by element.

    >>> torch.min(torch.tensor([1, 5]), torch.tensor([4, 2]))
    tensor([1, 2])
    """
    return extreme(input, other if dim is None else dim, keepdim, P.min, P.amin, P.minimum, "min")


def extreme(
    input: Tensor,
    which: Any,
    keepdim: bool,
    along: Callable[..., Any],
    whole: Callable[..., Any],
    pairwise: Callable[..., Any],
    name: str,
) -> Any:
    """What max and min share: which of their three meanings a call has."""
    if isinstance(which, Tensor):
        return pairwise(input, which)
    if which is not None:
        return along(input, which, keepdim)
    if input.numel() == 0:
        phrase = f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim"
        raise error(RuntimeError, f"{phrase} with the 'dim' argument.", name, "at least 1 element", input)
    return whole(input, tuple(range(input.dim())))


class Aminmax(NamedTuple):
    """The result of aminmax."""

    min: Any
    max: Any


@composite(out="exact")
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> Aminmax:
    """The smallest and the largest element, of everything or along a dimension.

    >>> tuple(torch.aminmax(torch.tensor([3, 1, 2])))
    (tensor(1), tensor(3))
    """
    if dim is None and input.numel() == 0:
        phrase = "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity."
        raise error(RuntimeError, phrase, "aminmax", "at least 1 element", input)
    dims = tuple(range(input.dim())) if dim is None else (dim,)
    return Aminmax(P.amin(input, dims, keepdim), P.amax(input, dims, keepdim))


# Python's reflected operators, for numbers on the left


def reflected(name: str, operation: Callable[[Any, Tensor], Tensor], example: str) -> None:
    """Registers a reflected operator as a method."""

    def method(input: Tensor, other: Any) -> Tensor:
        return operation(other, input)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"Python's `{example}` with a number or a tensor on the left."
    METHODS[name] = method


def lifted(operation: Callable[..., Tensor]) -> Callable[[Any, Tensor], Tensor]:
    """An operation whose first argument has to be a tensor, extended to numbers."""

    def extended(other: Any, input: Tensor) -> Tensor:
        if isinstance(other, Tensor):
            return operation(other, input)
        return operation(P.full((), other, dtype=P.result_type(input, other), device=input.device), input)

    return extended


reflected("__rpow__", lambda other, input: P.pow(other, input), "other ** input")
reflected("__rdiv__", lambda other, input: P.mul(P.reciprocal(input), other), "other / input")
reflected("__rtruediv__", lambda other, input: P.mul(P.reciprocal(input), other), "other / input")
reflected("__rfloordiv__", lifted(P.floor_divide), "other // input")
reflected("__rmod__", lambda other, input: P.remainder(other, input), "other % input")
reflected("__rsub__", lambda other, input: rsub(input, other), "other - input")
reflected("__rmatmul__", lambda other, input: P.matmul(other, input), "other @ input")
reflected("__rlshift__", lifted(P.bitwise_left_shift), "other << input")
reflected("__rrshift__", lifted(P.bitwise_right_shift), "other >> input")
