"""torch.special: further names for functions that stand elsewhere, and products of them. The formulas are rows."""

from __future__ import annotations

from typing import Any

from ._primitives import P, Tensor
from .registry import composite


@composite(method=False, out=True, namespace="special")
def logsumexp(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """log(sum(exp(input))) along dimensions, without overflow.

    >>> torch.special.logsumexp(torch.tensor([0., 0.]), 0)
    tensor(0.6931)
    """
    return P.logsumexp(input, dim, keepdim)


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
