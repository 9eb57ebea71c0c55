"""Random tensors and the distributions drawn by inversion, over the primitives that fill memory with random numbers."""

from __future__ import annotations

import math
from typing import Any

from ._primitives import P, Tensor
from .creation import blank, blank_like, made
from .helpers import broadcast_of, error, is_integral, sizes_of
from .registry import composite


@composite(method=False, out=True)
def rand(*size: Any, generator: Any = None, requires_grad: bool = False, names: Any = None, **options: Any) -> Tensor:
    """Uniform numbers from [0, 1).

    >>> torch.rand(2, 3).shape
    torch.Size([2, 3])
    """
    size = options.pop("size", size)
    return made(P.uniform_(blank(sizes_of(size), **options), 0.0, 1.0, generator=generator), requires_grad)


@composite(method=False, out=True)
def randn(*size: Any, generator: Any = None, requires_grad: bool = False, names: Any = None, **options: Any) -> Tensor:
    """Normal numbers of mean 0 and variance 1.

    >>> torch.randn(2, 3).shape
    torch.Size([2, 3])
    """
    size = options.pop("size", size)
    return made(standard_normal(blank(sizes_of(size), **options), generator), requires_grad)


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
    args = list(args)
    if count == 3:
        size = options.pop("size") if "size" in options else args.pop()
    else:
        size = ()
    high = options.pop("high", None)
    low = options.pop("low", None)
    numbers = [int(value) for value in args]
    if high is None:
        high = numbers.pop()
    low = (numbers[0] if numbers else 0) if low is None else low
    if low >= high:
        raise error(RuntimeError, f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    return low, high, size


@composite(method=False)
def rand_like(input: Tensor, *, generator: Any = None, requires_grad: bool = False, **options: Any) -> Tensor:
    """Uniform numbers from [0, 1) in the shape and dtype of input.

    >>> torch.rand_like(torch.zeros(2)).shape
    torch.Size([2])
    """
    return made(P.uniform_(blank_like(input, **options), 0.0, 1.0, generator=generator), requires_grad)


@composite(method=False)
def randn_like(input: Tensor, *, generator: Any = None, requires_grad: bool = False, **options: Any) -> Tensor:
    """Normal numbers of mean 0 and variance 1 in the shape and dtype of input.

    >>> torch.randn_like(torch.zeros(2)).shape
    torch.Size([2])
    """
    return made(standard_normal(blank_like(input, **options), generator), requires_grad)


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


@composite(out=True)
def bernoulli(input: Tensor, p: float | None = None, *, generator: Any = None) -> Tensor:
    """Ones with the probabilities that input holds (or with probability p throughout), zeros elsewhere.

    >>> torch.bernoulli(torch.tensor([0., 1.]))
    tensor([0., 1.])
    """
    if p is None and is_integral(input.dtype):
        phrase = "expected probabilities to be of a floating point type"
        raise error(RuntimeError, phrase, "bernoulli", "a floating dtype", input)
    drawn = P.bernoulli_fill_(blank_like(input), P.detach(input) if p is None else p, generator=generator)
    # a draw has a gradient, which is zero
    return P.where(P.full((), False, dtype=P.bool), input, drawn) if input.requires_grad else drawn


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


# distributions by inversion; each overwrites the tensor and keeps no gradient of what stood there


def uniform_for(input: Tensor, generator: Any) -> Tensor:
    """Uniform numbers from [0, 1) for each element of input, in double precision where the dtype is narrow."""
    kind = P.float64 if input.dtype in (P.float64, P.int64) else P.float32
    return P.uniform_(P.empty(tuple(input.shape), dtype=kind, device=input.device), 0.0, 1.0, generator=generator)


@composite(public=False)
def cauchy_(input: Tensor, median: float = 0, sigma: float = 1, *, generator: Any = None) -> Tensor:
    """Fills the tensor with numbers from the Cauchy distribution.

    >>> torch.zeros(2).cauchy_().shape
    torch.Size([2])
    """
    if sigma <= 0:
        raise error(
            RuntimeError, f"cauchy_ expects sigma > 0.0, but found sigma={sigma}", "cauchy_", "sigma > 0", sigma
        )
    angle = P.mul(P.sub(uniform_for(input, generator), 0.5), math.pi)
    return P.copy_(input, P.add(P.mul(P.tan(angle), sigma), median))


@composite(public=False)
def geometric_(input: Tensor, p: float, *, generator: Any = None) -> Tensor:
    """Fills the tensor with numbers of trials until the first success, each with probability p.

    >>> torch.zeros(2).geometric_(0.5).shape
    torch.Size([2])
    """
    if not 0 < p < 1:
        raise error(RuntimeError, f"geometric_ expects p to be in (0, 1), but got p={p}", "geometric_", "0 < p < 1", p)
    trials = P.ceil(P.div(P.log1p(P.neg(uniform_for(input, generator))), math.log1p(-p)))
    return P.copy_(input, P.clamp_min(trials, 1))


@composite(public=False)
def log_normal_(input: Tensor, mean: float = 1, std: float = 2, *, generator: Any = None) -> Tensor:
    """Fills the tensor with numbers whose logarithms are normal.

    >>> torch.zeros(2).log_normal_().shape
    torch.Size([2])
    """
    if std <= 0:
        raise error(RuntimeError, f"log_normal_ expects std > 0.0, but found std={std}", "log_normal_", "std > 0", std)
    noise = P.normal_(blank(tuple(input.shape), dtype=input.dtype, device=input.device), mean, std, generator=generator)
    return P.copy_(input, P.exp(noise))
