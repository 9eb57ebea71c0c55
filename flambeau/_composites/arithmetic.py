"""Elementwise functions made of others, comparisons of whole tensors, and choices of the extreme."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ._primitives import P, Tensor
from .helpers import as_floating, error, is_integral, require_tensor
from .registry import composite
from .structured import structured

# division and powers


@composite(out=True, inplace=True, aliases=("divide", "true_divide"))
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


@composite(out=True, inplace="function", aliases=("clip",))
def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Keeps every element between min and max, numbers or tensors, of which one may be missing.

    >>> torch.clamp(torch.tensor([1, 5]), max=3)
    tensor([1, 3])
    """
    if min is None and max is None:
        phrase = "torch.clamp: At least one of 'min' or 'max' must not be None"
        raise error(RuntimeError, phrase, "clamp", "a bound", (min, max))
    if min is None:
        return P.clamp_max(input, max)
    return P.clamp_min(input, min) if max is None else P.clamp(input, min, max)


@composite(out=True, inplace="function", name="round", aliases=("special.round",))
def rounded(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest whole number, of two the even one; or to so many decimals (tens, hundreds where negative).

    >>> torch.round(torch.tensor([0.5, 1.5, 2.25]), decimals=1)
    tensor([0.5000, 1.5000, 2.2000])
    """
    if decimals == 0:
        return P.round(input)
    if is_integral(input.dtype):
        raise error(
            RuntimeError, f"round with decimals is not implemented for '{input.dtype}'", "round", "floats", input
        )
    return P.round_scaled(input, 10.0 ** max(decimals, 0), 10.0 ** max(-decimals, 0))


@composite(out=True, inplace="function")
def nan_to_num(
    input: Tensor, nan: float | None = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """Numbers in place of nan (0) and of the infinities (the largest and the smallest number of the dtype).

    >>> torch.nan_to_num(torch.tensor([float("nan"), 1.]))
    tensor([0., 1.])
    """
    if is_integral(input.dtype):
        return P.clone(input)
    if input.dtype.is_complex:
        return P.view_as_complex(nan_to_num(P.view_as_real(input), nan, posinf, neginf))
    largest = P.finfo(input.dtype).max
    posinf, neginf = largest if posinf is None else posinf, -largest if neginf is None else neginf
    return P.replace_nonfinite(input, 0.0 if nan is None else nan, posinf, neginf)


@composite(out=True)
def angle(input: Tensor) -> Tensor:
    """The angle (radians) to the positive real axis: 0 or pi for real numbers.

    >>> torch.angle(torch.tensor([-1.]))
    tensor([3.1416])
    """
    return P.angle(input) if input.dtype.is_complex else P.angle_of_real(input)


@composite(out=True, inplace="function", aliases=("special.logit",))
def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)), with x kept between eps and 1 - eps where eps is given.

    >>> torch.logit(torch.tensor([0.5]))
    tensor([0.])
    """
    return P.logit(input if eps is None else P.clamp(as_floating(input), eps, 1 - eps))


@composite(public=False, inplace=True, name="polygamma")
def polygamma_method(input: Tensor, n: int) -> Tensor:
    """The derivative of order n of digamma.

    >>> torch.ones(1).polygamma(1)
    tensor([1.6449])
    """
    return P.polygamma(n, input)


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


Frexp = structured("frexp", "mantissa", "exponent")


# dtype -> the integer type of its width, bits of the mantissa, bias of the exponent
LAYOUTS = {
    "float16": ("int16", 10, 15),
    "bfloat16": ("int16", 7, 127),
    "float32": ("int32", 23, 127),
    "float64": ("int64", 52, 1023),
}


@composite(out=True)
def frexp(input: Tensor) -> Any:
    """Mantissas, of size between 1/2 and 1, and whole exponents of two: input = mantissa * 2 ** exponent.

    >>> tuple(torch.frexp(torch.tensor([12.0])))
    (tensor([0.7500]), tensor([4], dtype=torch.int32))
    """
    layout = LAYOUTS.get(str(input.dtype).rpartition(".")[2])
    if layout is None:
        raise error(RuntimeError, "torch.frexp() only supports floating-point dtypes", "frexp", "floats", input)
    whole, bits, bias = getattr(P, layout[0]), layout[1], layout[2]

    def power(exponent: Tensor) -> Tensor:
        """2 ** exponent, exactly: the exponent's bits put in their place."""
        return P.view_dtype(P.bitwise_left_shift(P.add(exponent, bias), bits), input.dtype)

    plain = P.detach(input)
    shifted = P.mul(plain, 2.0 ** (bits + 2)) if input.dtype != P.float16 else P.mul(plain, 4096.0)
    tiny = P.lt(P.abs(plain), 2.0 ** (1 - bias))  # denormal numbers are scaled up first
    shift = bits + 2 if input.dtype != P.float16 else 12
    stored = P.bitwise_right_shift(P.view_dtype(P.where(tiny, shifted, plain), whole), bits)
    exponent = P.sub(P.bitwise_and(stored, 2 * bias + 1), bias - 1)
    exponent = P.sub(exponent, P.mul(P.to(tiny, whole), shift))
    special = P.logical_or(P.eq(plain, 0), P.logical_not(P.isfinite(plain)))
    exponent = P.where(special, P.mul(exponent, 0), exponent)
    half = P.bitwise_right_shift(exponent, 1)  # in two steps, as one power of two may be out of range
    mantissa = P.mul(P.mul(input, power(P.neg(half))), power(P.sub(half, exponent)))
    return Frexp(mantissa, P.to(exponent, P.int32))


# comparing


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


Aminmax = structured("aminmax", "min", "max")


@composite(out="exact")
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """The smallest and the largest element, of everything or along a dimension.

    >>> tuple(torch.aminmax(torch.tensor([3, 1, 2])))
    (tensor(1), tensor(3))
    """
    if dim is None and input.numel() == 0:
        phrase = "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity."
        raise error(RuntimeError, phrase, "aminmax", "at least 1 element", input)
    dims = tuple(range(input.dim())) if dim is None else (dim,)
    return Aminmax(P.amin(input, dims, keepdim), P.amax(input, dims, keepdim))


@composite(public=False, name="__rdiv__")
def reflected_division(input: Tensor, other: Any) -> Tensor:
    """other / input, under the name it had in Python 2; the other operators are slots of the tensor type.

    >>> torch.tensor([4.]).__rdiv__(2)
    tensor([0.5000])
    """
    return P.mul(P.reciprocal(input), other)
