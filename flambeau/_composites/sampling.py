"""Random tensors and the distributions drawn by inversion, over the primitives that fill memory with random numbers."""

from __future__ import annotations

import math
from typing import Any

from ._primitives import P, Tensor
from .creation import blank, blank_like, made
from .helpers import broadcast_of, error
from .registry import composite


def standard_normal(target: Tensor, generator: Any = None) -> Tensor:
    """Fills a tensor with normal numbers; the two parts of complex ones have variance 1/2 each."""
    if not target.dtype.is_complex:
        return P.normal_(target, 0.0, 1.0, generator=generator)
    P.normal_(P.view_as_real(target), 0.0, math.sqrt(0.5), generator=generator)
    return target


@composite(method=False, out=True)
def randint(*args: Any, generator: Any = None, requires_grad: bool = False, **options: Any) -> Tensor:
    """Integers from low (0 where only high is given) up to and without high: `randint([low,] high, size)`.

    >>> torch.randint(3, 4, (2,))
    tensor([3, 3])
    """
    low, high, size = bounds_and_size(args, options, 3)
    options["dtype"] = options.get("dtype") or P.int64
    return made(P.random_(blank(size, **options), low, high, generator=generator), requires_grad)


def bounds_and_size(args: tuple[Any, ...], options: dict[str, Any], count: int) -> tuple[int, int, Any]:
    """low, high and what follows, from positional and named arguments."""
    given = list(args)
    if count == 3:
        size = options.pop("size") if "size" in options else given.pop()
    else:
        size = ()
    high = options.pop("high", None)
    low = options.pop("low", None)
    numbers = [int(value) for value in given]
    if high is None:
        high = numbers.pop()
    low = (numbers[0] if numbers else 0) if low is None else low
    if low >= high:
        raise error(RuntimeError, f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    return low, high, size


@composite(method=False)
def randint_like(
    input: Tensor, *args: Any, generator: Any = None, requires_grad: bool = False, **options: Any
) -> Tensor:
    """Integers from low (default 0) up to and without high, in the shape and dtype of input.

    >>> torch.randint_like(torch.zeros(2), 3, 4)
    tensor([3., 3.])
    """
    low, high, _ = bounds_and_size(args, options, 2)
    return made(P.random_(blank_like(input, **options), low, high, generator=generator), requires_grad)


@composite(method=False, out=True)
def normal(
    mean: Any, std: Any = 1.0, size: Any = None, *, generator: Any = None, requires_grad: bool = False, **options: Any
) -> Tensor:
    """Normal numbers with a mean and a standard deviation for each element, or one of each and a size.

    >>> torch.normal(0.0, torch.zeros(2))
    tensor([0., 0.])
    """
    if not isinstance(std, Tensor) and std < 0:
        raise error(RuntimeError, f"normal expects std >= 0.0, but found std {std}", "normal", "std >= 0", std)
    if isinstance(std, Tensor):
        check_deviation(std)
    if size is not None:
        return made(P.normal_(blank(tuple(size), **options), mean, std, generator=generator), requires_grad)
    like = mean if isinstance(mean, Tensor) else std
    shape = broadcast_of(*(x.shape for x in (mean, std) if isinstance(x, Tensor)))
    noise = standard_normal(blank(shape, dtype=like.dtype, device=like.device), generator)
    return P.add(P.mul(noise, std), mean)


def check_deviation(std: Tensor) -> None:
    """Raises where a standard deviation is complex or negative."""
    if std.dtype.is_complex:
        raise error(RuntimeError, "normal expects standard deviation to be non-complex", "normal", "real std", std)
    if std.numel() and bool(P.any(P.lt(std, 0)).item()):
        raise error(RuntimeError, "normal expects all elements of std >= 0.0", "normal", "std >= 0", std)


@composite(method=False)
def dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """Overwrites elements with zero with probability p and divides the others by 1 - p while training.

    >>> torch.dropout_(torch.ones(2), 0.5, False)
    tensor([1., 1.])
    """
    if not 0 <= p <= 1:
        phrase = f"dropout probability has to be between 0 and 1, but got {p}"
        raise error(RuntimeError, phrase, "dropout_", "0 <= p <= 1", p)
    return P.native_dropout_(input, p, True) if train and p > 0 and input.numel() else input
