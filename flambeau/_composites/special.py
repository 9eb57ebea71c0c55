"""torch.special: what follows from the elementary functions by a formula."""

from __future__ import annotations

import math
from typing import Any

from ._primitives import P, Tensor
from .helpers import as_floating, require_tensor
from .registry import composite


def special(function: Any) -> Any:
    """Registers a function of torch.special, with out= and without a method."""
    return composite(function, method=False, out=True, namespace="special")


@special
def entr(input: Tensor) -> Tensor:
    """-x log x, 0 at 0, and -inf below.

    >>> torch.special.entr(torch.tensor([-1., 2.]))
    tensor([   -inf, -1.3863])
    """
    input = as_floating(input)
    low = P.full((), -math.inf, dtype=input.dtype, device=input.device)
    return P.where(P.lt(input, 0), low, P.neg(P.xlogy(input, input)))


@special
def ndtr(input: Tensor) -> Tensor:
    """The share of a normal distribution that lies below input.

    >>> torch.special.ndtr(torch.tensor([0.]))
    tensor([0.5000])
    """
    return P.mul(P.erfc(P.mul(as_floating(input), -math.sqrt(0.5))), 0.5)


@special
def log_ndtr(input: Tensor) -> Tensor:
    """The logarithm of ndtr, exact also where ndtr is tiny.

    >>> torch.special.log_ndtr(torch.tensor([0.]))
    tensor([-0.6931])
    """
    x = P.mul(as_floating(input), math.sqrt(0.5))
    negative = P.lt(x, -1)
    one = P.full((), 1.0, dtype=x.dtype, device=x.device)
    below, above = P.where(negative, x, P.neg(one)), P.where(negative, one, x)
    tail = P.sub(P.log(P.mul(P.erfcx(P.neg(below)), 0.5)), P.square(below))
    return P.where(negative, tail, P.log1p(P.mul(P.erfc(above), -0.5)))


@composite(method=False, out=True, namespace="special")
def xlog1py(input: Any, other: Any) -> Tensor:
    """input * log1p(other), 0 wherever input is 0 (unless other is nan).

    >>> torch.special.xlog1py(torch.tensor([0., 1.]), torch.tensor([-1., 0.]))
    tensor([0., 0.])
    """
    like = input if isinstance(input, Tensor) else other
    require_tensor(like, "special_xlog1py")
    dtype = P.result_type(input, other)
    dtype = dtype if dtype.is_floating_point else P.get_default_dtype()
    x, y = (
        P.to(v, dtype) if isinstance(v, Tensor) else P.full((), v, dtype=dtype, device=like.device)
        for v in (input, other)
    )
    zero = P.logical_and(P.eq(x, 0), P.logical_not(P.isnan(y)))
    nought = P.full((), 0.0, dtype=dtype, device=like.device)
    return P.where(zero, P.mul(x, P.log1p(P.where(zero, nought, y))), P.mul(x, P.log1p(y)))


@special
def spherical_bessel_j0(input: Tensor) -> Tensor:
    """sin(x) / x, by its series near 0.

    >>> torch.special.spherical_bessel_j0(torch.tensor([0.]))
    tensor([1.])
    """
    input = as_floating(input)
    near = P.lt(P.abs(input), 0.5)
    square = P.square(input)
    series = P.full((), 1.0, dtype=input.dtype, device=input.device)
    for k in range(7, 0, -1):
        series = P.sub(1.0, P.mul(P.mul(square, series), 1 / (2 * k * (2 * k + 1))))
    infinite = P.isinf(input)
    nought = P.full((), 0.0, dtype=input.dtype, device=input.device)
    far = P.div(P.sin(P.where(infinite, nought, input)), P.where(near, nought + 1, input))
    return P.where(near, series, far)


# ndtri: Wichura's rational approximations (algorithm AS 241, 1988), to about 1e-16

CENTRE = (
    (
        2509.0809287301226727,
        33430.575583588128105,
        67265.770927008700853,
        45921.953931549871457,
        13731.693765509461125,
        1971.5909503065514427,
        133.14166789178437745,
        3.387132872796366608,
    ),
    (
        5226.495278852545925,
        28729.085735721942674,
        39307.89580009271061,
        21213.794301586595867,
        5394.1960214247511077,
        687.1870074920579083,
        42.313330701600911252,
        1.0,
    ),
)
MIDDLE = (
    (
        7.7454501427834140764e-4,
        0.0227238449892691845833,
        0.24178072517745061177,
        1.27045825245236838258,
        3.64784832476320460504,
        5.7694972214606914055,
        4.6303378461565452959,
        1.42343711074968357734,
    ),
    (
        1.05075007164441684324e-9,
        5.475938084995344946e-4,
        0.0151986665636164571966,
        0.14810397642748007459,
        0.68976733498510000455,
        1.6763848301838038494,
        2.05319162663775882187,
        1.0,
    ),
)
TAIL = (
    (
        2.01033439929228813265e-7,
        2.71155556874348757815e-5,
        0.0012426609473880784386,
        0.026532189526576123093,
        0.29656057182850489123,
        1.7848265399172913358,
        5.4637849111641143699,
        6.6579046435011037772,
    ),
    (
        2.04426310338993978564e-15,
        1.4215117583164458887e-7,
        1.8463183175100546818e-5,
        7.868691311456132591e-4,
        0.0148753612908506148525,
        0.13692988092273580531,
        0.59983220655588793769,
        1.0,
    ),
)


def ratio(x: Tensor, coefficients: tuple[tuple[float, ...], tuple[float, ...]]) -> Tensor:
    """The quotient of two polynomials, highest powers first."""
    values = []
    for polynomial in coefficients:
        value: Any = P.mul(x, polynomial[0])
        for coefficient in polynomial[1:-1]:
            value = P.mul(P.add(value, coefficient), x)
        values.append(P.add(value, polynomial[-1]))
    return P.div(values[0], values[1])


@special
def ndtri(input: Tensor) -> Tensor:
    """The value below which a share `input` of a normal distribution lies.

    >>> torch.special.ndtri(torch.tensor([0.5]))
    tensor([0.])
    """
    input = as_floating(input)
    q = P.sub(input, 0.5)
    central = P.mul(q, ratio(P.sub(0.180625, P.square(q)), CENTRE))
    nearer = P.minimum(input, P.sub(1.0, input))
    r = P.sqrt(P.neg(P.log(nearer)))
    outer = P.where(P.le(r, 5), ratio(P.sub(r, 1.6), MIDDLE), ratio(P.sub(r, 5.0), TAIL))
    outer = P.where(P.eq(nearer, 0), r, outer)
    return P.where(P.le(P.abs(q), 0.425), central, P.where(P.lt(q, 0), P.neg(outer), outer))
