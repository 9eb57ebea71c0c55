"""What distributions share: broadcasting of parameters, probabilities and their logarithms, values made once."""

from __future__ import annotations

import functools
import numbers
from collections.abc import Callable
from typing import Any

import flambeau
from flambeau.nn import functional as F

euler_constant = 0.57721566490153286060


def broadcast_all(*values: Any) -> tuple[Any, ...]:
    """Numbers and tensors as tensors of one shape.

    Raises:
        ValueError: for anything else.
    """
    if not all(isinstance(value, (numbers.Number, flambeau.Tensor)) or hasattr(value, "__torch_function__") for value in values):
        raise ValueError("Input arguments must all be instances of Number, torch.Tensor or objects implementing __torch_function__.")
    dtype = next((value.dtype for value in values if isinstance(value, flambeau.Tensor)), flambeau.get_default_dtype())
    tensors = [value if isinstance(value, flambeau.Tensor) else flambeau.tensor(value, dtype=dtype) for value in values]
    return tuple(flambeau.broadcast_tensors(*tensors))


def clamp_probs(probs: Any) -> Any:
    """Probabilities kept off 0 and 1, so that their logarithms are finite."""
    eps = flambeau.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs: Any, is_binary: bool = False) -> Any:
    """Log odds of binary probabilities, logarithms of others."""
    clamped = clamp_probs(probs)
    return flambeau.log(clamped) - flambeau.log1p(-clamped) if is_binary else flambeau.log(clamped)


def logits_to_probs(logits: Any, is_binary: bool = False) -> Any:
    """Probabilities from log odds, or from unnormalised logarithms along the last dimension."""
    return flambeau.sigmoid(logits) if is_binary else F.softmax(logits, dim=-1)


class lazy_property:
    """A property that is computed once, and then an attribute."""

    def __init__(self, wrapped: Callable[[Any], Any]) -> None:
        self.wrapped = wrapped
        functools.update_wrapper(self, wrapped)  # type: ignore[arg-type]

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return property(self.wrapped)
        with flambeau.enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.wrapped.__name__, value)
        return value


def sum_rightmost(value: Any, dim: int) -> Any:
    """The sum over the last `dim` dimensions."""
    return value if dim == 0 else value.reshape(value.shape[:-dim] + (-1,)).sum(-1)
