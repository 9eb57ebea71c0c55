"""Limits on the size of gradients."""

from __future__ import annotations

import math

import flambeau

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from flambeau import Tensor

__all__ = ["clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]


def _listed(parameters: Any) -> list[Any]:
    return [parameters] if isinstance(parameters, flambeau.Tensor) else list(parameters)


def _raise_nonfinite(norm_type: float) -> None:
    raise RuntimeError(
        f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot be "
        "clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
        "`error_if_nonfinite=False`"
    )


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all tensors taken as one vector.

    Raises:
        RuntimeError: if it is not finite and ``error_if_nonfinite``.
    """
    norm_type = float(norm_type)
    tensors = _listed(tensors)
    if not tensors:
        return flambeau.tensor(0.0)
    with flambeau.no_grad():
        norms = [flambeau.linalg.vector_norm(tensor, norm_type).to(tensors[0].device) for tensor in tensors]
        total = flambeau.linalg.vector_norm(flambeau.stack(norms), norm_type)
        if error_if_nonfinite and not bool(flambeau.isfinite(total)):
            _raise_nonfinite(norm_type)
    return total


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Multiplies all gradients by ``max_norm / total_norm``, if that is below one."""
    with flambeau.no_grad():
        # always a product, never a branch: the norm need not be waited for
        factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
        for parameter in _listed(parameters):
            gradient = parameter.grad
            if gradient is not None:
                gradient.mul_(factor.to(gradient.device))


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scales all gradients down, in place, so that their joint norm is at most ``max_norm``; returns the norm before.

    Args:
        parameters: one parameter, or several.
        max_norm: the limit.
        norm_type: which norm; ``inf`` for the largest absolute value.
        error_if_nonfinite: raise RuntimeError if the norm is not finite.
        foreach: accepted for PyTorch's sake.

    >>> import flambeau as torch
    >>> weight = torch.nn.Parameter(torch.zeros(2))
    >>> weight.grad = torch.tensor([3.0, 4.0])
    >>> torch.nn.utils.clip_grad_norm_([weight], 1.0)
    tensor(5.)
    """
    parameters = _listed(parameters)
    if norm_type == 2:  # in one pass over all gradients, where the core covers them
        norm = flambeau._C.grad_norm(parameters)
        if norm is not None:
            total = norm.item()
            if error_if_nonfinite and not math.isfinite(total):
                _raise_nonfinite(float(norm_type))
            factor = max_norm / (total + 1e-6)
            if factor >= 1 or flambeau._C.scale_grads(parameters, factor):
                return norm
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    total = get_total_norm(gradients, norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(parameters, max_norm, total, foreach)
    return total


def clip_grad_norm(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The older name of ``clip_grad_norm_``."""
    import warnings

    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning, stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Limits every element of the gradients to ``[-clip_value, clip_value]``, in place."""
    limit = float(clip_value)
    with flambeau.no_grad():
        for parameter in _listed(parameters):
            if parameter.grad is not None:
                parameter.grad.clamp_(min=-limit, max=limit)
