"""Window functions: the old ones at the top level and those of torch.signal.windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ._primitives import P, Tensor
from .creation import made
from .helpers import error
from .registry import composite


def window(name: str, *parameters: str) -> Any:
    """Registers a window of torch.signal.windows, after checking what all windows share.

    The decorated function gets the places 0 .. M - 1 in double precision and the distance between the ends.
    """

    def register(shape_of: Any) -> Any:
        def function(
            M: int,
            *positional: Any,
            sym: bool = True,
            dtype: Any = None,
            layout: Any = None,
            device: Any = None,
            requires_grad: bool = False,
            **options: Any,
        ) -> Tensor:
            options.update(zip(parameters, positional))
            dtype = dtype or P.get_default_dtype()
            check_window(name, M, dtype, layout)
            places = P.arange(M, dtype=P.float64, device=device)
            if sym and options.get("center") is not None:
                raise error(ValueError, "Center must be None for symmetric windows")
            values = shape_of(places, float(max(M if not sym else M - 1, 1)), **options)
            values = P.full((1,), 1.0, dtype=P.float64, device=device) if M == 1 else values
            return made(P.to(values, dtype), requires_grad)

        function.__name__ = function.__qualname__ = name
        function.__doc__ = (
            f"{shape_of.__doc__}\n\n    sym: whether the window is symmetric; otherwise it is one period of M places."
        )
        composite(function, method=False, namespace="signal.windows")
        return shape_of

    return register


def check_window(name: str, M: int, dtype: Any, layout: Any) -> None:
    """Raises for a negative length or a dtype without fractions."""
    if M < 0:
        raise error(ValueError, f"{name} requires non-negative window length, got M={M}")
    if layout not in (None, P.strided):
        raise error(ValueError, f"{name} is implemented for strided tensors only, got: {layout}")
    if not dtype.is_floating_point or dtype not in (P.float32, P.float64):
        raise error(ValueError, f"{name} expects float32 or float64 dtypes, got: {dtype}")


def cosine_sum(places: Tensor, span: float, weights: Sequence[float]) -> Tensor:
    """sum over k of (-1)^k weights[k] cos(2 pi k n / span)."""
    total: Any = P.mul(places, 0)
    for k, weight in enumerate(weights):
        total = P.add(total, P.mul(P.cos(P.mul(places, 2 * math.pi * k / span)), weight * (-1) ** k))
    return total


@window("general_cosine", "a")
def general_cosine(places: Tensor, span: float, *, a: Sequence[float]) -> Tensor:
    """The sum of cosines with the weights `a`, of alternating signs.

    >>> torch.signal.windows.general_cosine(3, a=[0.5, 0.5])
    tensor([0., 1., 0.])
    """
    if not isinstance(a, (list, tuple)):
        raise error(TypeError, "Coefficients must be a list/tuple")
    if not a:
        raise error(ValueError, "Coefficients cannot be empty")
    return cosine_sum(places, span, a)


@window("general_hamming", "alpha")
def general_hamming(places: Tensor, span: float, *, alpha: float = 0.54) -> Tensor:
    """alpha - (1 - alpha) cos(2 pi n / span).

    >>> torch.signal.windows.general_hamming(3, alpha=0.5)
    tensor([0., 1., 0.])
    """
    return cosine_sum(places, span, (alpha, 1 - alpha))


@window("hamming")
def hamming(places: Tensor, span: float) -> Tensor:
    """The Hamming window: 0.54 - 0.46 cos(2 pi n / span).

    >>> torch.signal.windows.hamming(3)
    tensor([0.0800, 1.0000, 0.0800])
    """
    return cosine_sum(places, span, (0.54, 0.46))


@window("hann")
def hann(places: Tensor, span: float) -> Tensor:
    """The Hann window: one period of a raised cosine.

    >>> torch.signal.windows.hann(3)
    tensor([0., 1., 0.])
    """
    return cosine_sum(places, span, (0.5, 0.5))


@window("blackman")
def blackman(places: Tensor, span: float) -> Tensor:
    """The Blackman window of three cosines; its ends are zero.

    >>> torch.signal.windows.blackman(3).shape
    torch.Size([3])
    """
    return P.clamp_min(cosine_sum(places, span, (0.42, 0.5, 0.08)), -1.0)


@window("nuttall")
def nuttall(places: Tensor, span: float) -> Tensor:
    """The minimum four-term Blackman-Harris window after Nuttall (1981).

    >>> torch.signal.windows.nuttall(3).shape
    torch.Size([3])
    """
    return cosine_sum(places, span, (0.3635819, 0.4891775, 0.1365995, 0.0106411))


@window("bartlett")
def bartlett(places: Tensor, span: float) -> Tensor:
    """The triangle that is zero at both ends.

    >>> torch.signal.windows.bartlett(3)
    tensor([0., 1., 0.])
    """
    return P.sub(1.0, P.abs(P.sub(P.mul(places, 2 / span), 1.0)))


@window("cosine")
def cosine(places: Tensor, span: float) -> Tensor:
    """Half a period of a sine, sampled in the middle of each place.

    >>> torch.signal.windows.cosine(3)
    tensor([0.5000, 1.0000, 0.5000])
    """
    return P.sin(P.mul(P.add(places, 0.5), math.pi / (span + 1)))


@window("exponential", "center", "tau")
def exponential(places: Tensor, span: float, *, center: float | None = None, tau: float = 1.0) -> Tensor:
    """exp(-|n - center| / tau).

    >>> torch.signal.windows.exponential(3)
    tensor([0.3679, 1.0000, 0.3679])
    """
    if tau <= 0:
        raise error(ValueError, f"Tau must be positive, got: {tau} instead.")
    return P.exp(P.div(P.abs(P.sub(places, span / 2 if center is None else center)), -tau))


@window("gaussian", "std")
def gaussian(places: Tensor, span: float, *, std: float = 1.0) -> Tensor:
    """A bell of standard deviation std.

    >>> torch.signal.windows.gaussian(3)
    tensor([0.6065, 1.0000, 0.6065])
    """
    if std <= 0:
        raise error(ValueError, f"Standard deviation must be positive, got: {std} instead.")
    return P.exp(P.mul(P.square(P.div(P.sub(places, span / 2), std)), -0.5))


@window("kaiser", "beta")
def kaiser(places: Tensor, span: float, *, beta: float = 12.0) -> Tensor:
    """The Kaiser window: a ratio of modified Bessel functions.

    >>> torch.signal.windows.kaiser(3, beta=0.0)
    tensor([1., 1., 1.])
    """
    if beta < 0:
        raise error(ValueError, f"beta must be non-negative, got: {beta} instead.")
    side = P.sub(P.mul(places, 2 / span), 1.0)
    inside = P.mul(P.sqrt(P.clamp_min(P.sub(1.0, P.square(side)), 0)), beta)
    return P.div(P.i0(inside), P.i0(P.full((), beta, dtype=P.float64)))


# the windows at the top level: (window_length, periodic=True, ...)


def old_window(name: str, formula: Any, *parameters: str) -> None:
    """Registers a window function of the top level."""

    def function(
        window_length: int,
        periodic: bool = True,
        *positional: Any,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        pin_memory: bool = False,
        requires_grad: bool = False,
        **options: Any,
    ) -> Tensor:
        options.update(zip(parameters, positional))
        dtype = dtype or P.get_default_dtype()
        if window_length < 0:
            raise error(RuntimeError, f"{name} requires non-negative window_length, got window_length={window_length}")
        if not dtype.is_floating_point:
            raise error(RuntimeError, f"{name} expects floating point dtypes, got: {dtype}")
        places = P.arange(window_length, dtype=P.float64, device=device)
        span = float(max(window_length if periodic else window_length - 1, 1))
        values = formula(places, span, **options) if window_length != 1 else P.add(places, 1.0)
        return made(P.to(values, dtype), requires_grad)

    function.__name__ = function.__qualname__ = name
    summary = f"{name.replace('_', ' ').capitalize()}; periodic: one period rather than symmetric."
    function.__doc__ = f"{summary}\n\n    >>> torch.{name}(4).shape\n    torch.Size([4])\n    "
    composite(function, method=False)


def old_hamming(places: Tensor, span: float, alpha: float = 0.54, beta: float = 0.46) -> Tensor:
    """alpha - beta cos(2 pi n / span)."""
    return cosine_sum(places, span, (alpha, beta))


def old_kaiser(places: Tensor, span: float, beta: float = 12.0) -> Tensor:
    """The Kaiser window with its parameter by position."""
    return kaiser(places, span, beta=beta)


old_window("bartlett_window", bartlett)
old_window("blackman_window", blackman)
old_window("hann_window", hann)
old_window("hamming_window", old_hamming, "alpha", "beta")
old_window("kaiser_window", old_kaiser, "beta")
