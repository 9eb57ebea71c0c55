"""Random numbers drawn by rejection, element by element: Poisson, binomial, gamma and Dirichlet.

The streams are PyTorch's: uniform and normal numbers are consumed in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ._primitives import P, Tensor
from .helpers import error
from .registry import composite

Source = Callable[[], float]


def sources(generator: Any) -> tuple[Source, Source]:
    """What gives uniform numbers from [0, 1) and normal numbers, one at each call."""
    place = P.empty((), dtype=P.float64)
    uniform: Source = lambda: P.uniform_(place, 0.0, 1.0, generator=generator).item()  # noqa: E731
    normal: Source = lambda: P.normal_(place, 0.0, 1.0, generator=generator).item()  # noqa: E731
    return uniform, normal


def each(draw: Callable[..., float], *parameters: Tensor) -> Tensor:
    """One draw for every element of the parameters, which have the same shape, in order of their places."""
    columns = [P.reshape(P.detach(parameter), (-1,)).tolist() for parameter in parameters]
    numbers = [draw(*row) for row in zip(*columns)]
    result = P.empty(tuple(parameters[0].shape), dtype=parameters[0].dtype)
    flat = P.view(result, (-1,))
    for place, number in enumerate(numbers):
        P.fill_(P.select(flat, 0, place), number)
    return result


@composite(method=False)
def poisson(input: Tensor, generator: Any = None) -> Tensor:
    """Counts with the means that input holds.

    >>> torch.poisson(torch.zeros(2))
    tensor([0., 0.])
    """
    if not input.dtype.is_floating_point:
        raise error(RuntimeError, "poisson only supports floating-point dtypes for input", "poisson", "floats", input)
    if input.numel() and not P.amin(P.detach(input), (), False).item() >= 0:  # nan neither: its draw would not end
        phrase = "invalid Poisson rate, expected all elements to be non-negative"
        raise error(RuntimeError, phrase, "poisson", "rates of at least 0", input)
    uniform, _ = sources(generator)
    return each(lambda rate: (poisson_by_rejection if rate >= 10 else poisson_by_product)(rate, uniform), input)


def poisson_by_product(rate: float, uniform: Source) -> float:
    """Knuth's: how many uniform numbers can be multiplied before the product falls to exp(-rate)."""
    if rate == 0:
        return 0.0
    bound, product, count = math.exp(-rate), 1.0, 0
    while True:
        product *= uniform()
        if product <= bound:
            return float(count)
        count += 1


def poisson_by_rejection(rate: float, uniform: Source) -> float:
    """Transformed rejection with a squeeze (Hoermann 1993, PTRS)."""
    b = 0.931 + 2.53 * math.sqrt(rate)
    a = -0.059 + 0.02483 * b
    inverse, bound = 1.1239 + 1.1328 / (b - 3.4), 0.9277 - 3.6224 / (b - 2)
    while True:
        u, v = uniform() - 0.5, uniform()
        rest = 0.5 - abs(u)
        k = math.floor((2 * a / rest + b) * u + rate + 0.43) if rest else -1
        if rest >= 0.07 and v <= bound:
            return float(k)
        if k < 0 or (rest < 0.013 and v > rest):
            continue
        if math.log(v) + math.log(inverse) - math.log(a / (rest * rest) + b) <= (
            -rate + k * math.log(rate) - math.lgamma(k + 1)
        ):
            return float(k)


@composite(method=False)
def binomial(count: Tensor, prob: Tensor, generator: Any = None) -> Tensor:
    """How many of `count` trials succeed, each with the probability `prob`; both of the same shape.

    >>> torch.binomial(torch.tensor([5.]), torch.tensor([1.]))
    tensor([5.])
    """
    uniform, _ = sources(generator)

    def draw(n: float, p: float) -> float:
        """One draw; failures are counted where they are rarer."""
        if math.isnan(n) or math.isnan(p):  # no draw would end
            return math.nan
        if n <= 0 or p <= 0:
            return 0.0
        if p >= 1:
            return n
        rarer = min(p, 1 - p)
        found = (binomial_by_rejection if n * rarer >= 10 else binomial_by_gaps)(n, rarer, uniform)
        return found if p <= 0.5 else n - found

    return each(draw, count, prob)


def binomial_by_gaps(n: float, p: float, uniform: Source) -> float:
    """Adds up geometric gaps between successes until they pass the number of trials."""
    passed, found = 0.0, 0
    while True:
        number = uniform()
        passed += math.ceil(math.log(number) / math.log1p(-p)) if number else math.inf
        if passed > n:
            return float(found)
        found += 1


def stirling(k: float) -> float:
    """log(k!) less Stirling's approximation."""
    return math.lgamma(k + 1) - (0.5 * math.log(2 * math.pi) + (k + 0.5) * math.log(k + 1) - (k + 1))


def binomial_by_rejection(n: float, p: float, uniform: Source) -> float:
    """Transformed rejection (Hoermann 1993, BTRS)."""
    deviation = math.sqrt(n * p * (1 - p))
    b = 1.15 + 2.53 * deviation
    a, c = -0.0873 + 0.0248 * b + 0.01 * p, n * p + 0.5
    bound, odds = 0.92 - 4.2 / b, p / (1 - p)
    alpha, mode = (2.83 + 5.1 / b) * deviation, math.floor((n + 1) * p)
    while True:
        u, v = uniform() - 0.5, uniform()
        rest = 0.5 - abs(u)
        k = math.floor((2 * a / rest + b) * u + c) if rest else -1
        if rest >= 0.07 and v <= bound:
            return float(k)
        if k < 0 or k > n:
            continue
        limit = (
            (mode + 0.5) * math.log((mode + 1) / (odds * (n - mode + 1)))
            + (n + 1) * math.log((n - mode + 1) / (n - k + 1))
            + (k + 0.5) * math.log(odds * (n - k + 1) / (k + 1))
            + (stirling(mode) + stirling(n - mode) - stirling(k) - stirling(n - k))
        )
        if math.log(v * alpha / (a / (rest * rest) + b)) <= limit:
            return float(k)


@composite(method=False, name="_standard_gamma")
def standard_gamma(input: Tensor, generator: Any = None) -> Tensor:
    """Gamma numbers of scale 1 with the shapes that input holds. No gradient: distributions.Gamma has one.

    >>> torch._standard_gamma(torch.tensor([2.0])).shape
    torch.Size([1])
    """
    least = P.finfo(input.dtype).tiny
    uniform, normal = sources(generator)
    return each(lambda shape: max(least, gamma_by_rejection(shape, uniform, normal)), input)


def gamma_by_rejection(shape: float, uniform: Source, normal: Source) -> float:
    """Marsaglia and Tsang's (2000) squeeze; shapes below 1 are raised by one and scaled down."""
    scale = 1.0
    if shape < 1:
        if shape == 0:
            return 0.0
        scale = (1 - uniform()) ** (1 / shape)
        shape += 1
    d = shape - 1 / 3
    c = 1 / math.sqrt(9 * d)
    while True:
        x = normal()
        y = 1 + c * x
        if y <= 0:
            continue
        v, u, square = y * y * y, 1 - uniform(), x * x
        if u < 1 - 0.0331 * square * square or math.log(u) < 0.5 * square + d * (1 - v + math.log(v)):
            return scale * d * v


@composite(method=False, name="_sample_dirichlet")
def sample_dirichlet(input: Tensor, generator: Any = None) -> Tensor:
    """Points whose coordinates add up to one, with the concentrations that the last dimension of input holds.

    >>> torch._sample_dirichlet(torch.tensor([1.0, 2.0])).sum().round()
    tensor(1.)
    """
    gammas = standard_gamma(P.to(input, P.float64), generator)
    shares = P.div(gammas, P.sum(gammas, (input.dim() - 1,), True))
    return P.clamp_min(P.to(shares, input.dtype), P.finfo(input.dtype).tiny)
