"""torch.special's orthogonal polynomials, by their recurrences. Not differentiable, as in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._primitives import P, Tensor
from .helpers import error, floating, require_tensor
from .registry import composite
from .slices import per_slice

Step = Callable[[int, Tensor, Tensor, Tensor], Tensor]  # degree k, x, polynomials of degree k - 1 and k - 2

MOST = 1 << 20  # degrees: a recurrence takes as many steps


def polynomial(name: str, first: Callable[[Tensor], Tensor], step: Step, shifted: bool = False) -> None:
    """Registers a family: first gives the polynomial of degree 1 (degree 0 is 1), step those of higher degrees."""

    def function(input: Any, n: Any) -> Tensor:
        require_tensor(input if isinstance(input, Tensor) else n, f"special_{name}")
        dtype = floating(P.result_type(input, n))
        device = (input if isinstance(input, Tensor) else n).device
        x, degree = (P.detach(v) if isinstance(v, Tensor) else P.full((), v, device=device) for v in (input, n))
        x, degree = P.to(x, dtype), P.to(degree, P.int64)
        x = P.sub(P.mul(x, 2), 1) if shifted else x
        return evaluated(x, degree, first, step)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"The {name.replace('_', ' ')} of degree n; 0 for negative n.\n\n"
        f"    >>> torch.special.{name}(torch.tensor([1.]), torch.tensor([0]))\n    tensor([1.])\n    "
    )
    composite(per_slice(function), method=False, out=True, namespace="special")


def evaluated(x: Tensor, degree: Tensor, first: Callable[[Tensor], Tensor], step: Step) -> Tensor:
    """The polynomial of each element's own degree."""
    before = P.full((), 1.0, dtype=x.dtype, device=x.device)
    current = first(x)
    result = P.where(P.eq(degree, 0), before, P.where(P.eq(degree, 1), current, P.mul(before, 0)))
    highest = int(P.amax(degree).item()) if degree.numel() else 0
    if highest > MOST:
        raise error(ValueError, f"degree {highest} is too high", "polynomial", f"degrees up to {MOST}", highest)
    for k in range(2, highest + 1):
        before, current = current, step(k, x, current, before)
        result = P.where(P.eq(degree, k), current, result)
    return result


def chebyshev(k: int, x: Tensor, last: Tensor, before: Tensor) -> Tensor:
    """p_k = 2 x p_(k-1) - p_(k-2), for all four kinds."""
    return P.sub(P.mul(P.mul(x, last), 2), before)


for _shift in ("", "shifted_"):
    for _kind, _first in (
        ("t", lambda x: x),
        ("u", lambda x: P.mul(x, 2)),
        ("v", lambda x: P.sub(P.mul(x, 2), 1)),
        ("w", lambda x: P.add(P.mul(x, 2), 1)),
    ):
        polynomial(f"{_shift}chebyshev_polynomial_{_kind}", _first, chebyshev, bool(_shift))

polynomial(
    "hermite_polynomial_h",
    lambda x: P.mul(x, 2),
    lambda k, x, last, before: P.mul(P.sub(P.mul(x, last), P.mul(before, k - 1)), 2),
)
polynomial(
    "hermite_polynomial_he",
    lambda x: x,
    lambda k, x, last, before: P.sub(P.mul(x, last), P.mul(before, k - 1)),
)
polynomial(
    "laguerre_polynomial_l",
    lambda x: P.sub(1.0, x),
    lambda k, x, last, before: P.div(P.sub(P.mul(P.sub(2.0 * k - 1, x), last), P.mul(before, k - 1)), k),
)
polynomial(
    "legendre_polynomial_p",
    lambda x: x,
    lambda k, x, last, before: P.div(P.sub(P.mul(P.mul(x, last), 2 * k - 1), P.mul(before, k - 1)), k),
)
