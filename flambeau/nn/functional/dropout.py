"""Dropout and its relatives: whole channels, and the forms for self-normalising networks."""

from __future__ import annotations

import flambeau

TYPE_CHECKING = False
if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"]

_SELU_LIMIT = 1.7580993408473766  # scale * alpha of SELU: what its negative side saturates at


def _check(p: float) -> None:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Sets each element to zero with probability ``p`` and divides the others by ``1 - p``.

    Does nothing unless ``training``.

    Raises:
        ValueError: if ``p`` is outside ``[0, 1]``.
    """
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    return flambeau.dropout_(input, p, training) if inplace else flambeau.dropout(input, p, training)


def _noise(input: Tensor, p: float, features: bool) -> Tensor:
    """Ones and zeros, one per element or one per channel."""
    if not features:
        return flambeau.empty_like(input).bernoulli_(1 - p)
    if input.dim() < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    shape = list(input.shape[:2]) + [1] * (input.dim() - 2)
    return flambeau.empty(shape, dtype=input.dtype, device=input.device).bernoulli_(1 - p)


def _drop_channels(input: Tensor, p: float, training: bool, inplace: bool) -> Tensor:
    if p == 0 or not training or input.numel() == 0:
        return input
    if p == 1:
        factor = flambeau.zeros((), dtype=input.dtype, device=input.device)
    else:
        factor = _noise(input, p, features=True).div_(1 - p)
    return input.mul_(factor) if inplace else input * factor


def _drop_to_limit(input: Tensor, p: float, training: bool, inplace: bool, features: bool) -> Tensor:
    """Alpha dropout: dropped elements take SELU's negative limit; mean and variance stay."""
    if p == 0 or not training or input.numel() == 0:
        return input
    if p == 1:
        factor = flambeau.zeros((), dtype=input.dtype, device=input.device)
        return input.mul_(factor) if inplace else input * factor
    noise = _noise(input, p, features)
    a = 1.0 / ((_SELU_LIMIT * _SELU_LIMIT * p + 1) * (1 - p)) ** 0.5
    shift = noise.add(-1).mul_(_SELU_LIMIT * a).add_(_SELU_LIMIT * a * p)
    noise.mul_(a)
    return input.mul_(noise).add_(shift) if inplace else input * noise + shift


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout that keeps mean and variance under SELU (Klambauer et al. 2017)."""
    _check(p)
    return _drop_to_limit(input, p, training, inplace, features=False)


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Alpha dropout of whole channels."""
    _check(p)
    return _drop_to_limit(input, p, training, inplace, features=True)


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels of a ``(N, C, L)`` or ``(C, L)`` input."""
    _check(p)
    if input.dim() not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.dim()}D input. Note that dropout1d exists to "
            "provide channel-wise dropout on inputs with 1 spatial dimension, a channel dimension, and an optional "
            "batch dimension (i.e. 2D or 3D inputs)."
        )
    if input.dim() == 3:
        return _drop_channels(input, p, training, inplace)
    result = _drop_channels(input.unsqueeze(0), p, training, inplace)
    return input if inplace else result.squeeze(0)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels of a ``(N, C, H, W)`` input; a ``(N, C, L)`` input is taken as a batch too."""
    _check(p)
    if input.dim() not in (3, 4):
        import warnings

        warnings.warn(
            f"dropout2d: Received a {input.dim()}-D input to dropout2d, which is deprecated and will result in an "
            "error in a future release.", stacklevel=2,
        )
    elif input.dim() == 3:
        import warnings

        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout behavior is "
            "desired - input is interpreted as shape (N, C, L). Use dropout1d for that.", stacklevel=2,
        )
    return _drop_channels(input, p, training, inplace)


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels of a ``(N, C, D, H, W)`` or ``(C, D, H, W)`` input."""
    _check(p)
    if input.dim() not in (4, 5):
        import warnings

        warnings.warn(
            f"dropout3d: Received a {input.dim()}-D input to dropout3d, which is deprecated and will result in an "
            "error in a future release.", stacklevel=2,
        )
    if input.dim() == 5:
        return _drop_channels(input, p, training, inplace)
    result = _drop_channels(input.unsqueeze(0), p, training, inplace)
    return input if inplace else result.squeeze(0)
