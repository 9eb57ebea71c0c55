"""torch.special: further names for functions that stand elsewhere, and products of them. The formulas are rows."""

from __future__ import annotations

from typing import Any

from ._primitives import P, Tensor
from .helpers import as_floating
from .registry import composite


@composite(out=True, aliases=("special.logsumexp",))
def logsumexp(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """log(sum(exp(input))) along dimensions, without overflow.

    >>> torch.logsumexp(torch.tensor([0., 0.]), 0)
    tensor(0.6931)
    """
    if not input.dtype.is_complex:
        return P.logsumexp(as_floating(input), dim, keepdim)
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    greatest = P.amax(P.detach(P.real_part(input)), dims, True)
    shift = P.where(P.isfinite(greatest), greatest, 0.0)
    total = P.add(P.log(P.sum(P.exp(P.sub(input, shift)), dims, True)), shift)
    for d in sorted((d % max(input.dim(), 1) for d in dims or range(input.dim())), reverse=True):
        total = total if keepdim or not input.dim() else P.squeeze(total, d)
    return total


@composite(method=False, out=True, namespace="special")
def modified_bessel_i0(input: Tensor) -> Tensor:
    """The modified Bessel function of the first kind of order 0; i0 is its other name.

    >>> torch.special.modified_bessel_i0(torch.tensor([1.]))
    tensor([1.2661])
    """
    return P.i0(P.detach(input))


@composite(method=False, out=True, namespace="special")
def modified_bessel_i1(input: Tensor) -> Tensor:
    """The modified Bessel function of the first kind of order 1; i1 is its other name.

    >>> torch.special.modified_bessel_i1(torch.tensor([0.]))
    tensor([0.])
    """
    return P.i1(P.detach(input))
