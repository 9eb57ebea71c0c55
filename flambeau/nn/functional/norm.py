"""Normalisation: over the batch, over an instance, over groups of channels, over trailing dimensions."""

from __future__ import annotations

import flambeau
from flambeau import _C

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from flambeau import Tensor

__all__ = [
    "batch_norm", "group_norm", "instance_norm", "layer_norm", "local_response_norm", "normalize", "rms_norm",
]


def _verify_batch_size(size: list[int]) -> None:
    values = size[0]
    for extent in size[2:]:
        values *= extent
    if values == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {size}")


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalises each channel (dimension 1) over the batch and all further dimensions (Ioffe and Szegedy 2015).

    With ``training`` the statistics are those of the input, and the running ones move towards them by ``momentum``;
    otherwise the running ones are used.

    Raises:
        ValueError: in training, with one value per channel.
    """
    if training:
        if eps <= 0.0:
            raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
        _verify_batch_size(input.shape)
    return flambeau.batch_norm(
        input, weight, bias, running_mean, running_var, training, momentum, eps, True
    )


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalises each channel of each sample over its spatial dimensions.

    Shapes: input ``(N, C, ...)``; the other tensors ``(C,)``.

    Raises:
        ValueError: in training, with one spatial element.
    """
    if use_input_stats:
        elements = 1
        for extent in input.shape[2:]:
            elements *= extent
        if elements == 1:
            raise ValueError(f"Expected more than 1 spatial element when training, got input size {input.size()}")
    elif running_mean is None or running_var is None:
        raise RuntimeError("Expected running_mean and running_var to be defined when use_input_stats is false")
    batch, channels = input.shape[0], input.shape[1]
    # every channel of every sample becomes a channel of one sample
    flat = input.reshape(1, batch * channels, *input.shape[2:])
    mean = None if running_mean is None else running_mean.repeat(batch)
    variance = None if running_var is None else running_var.repeat(batch)
    result = flambeau.batch_norm(
        flat,
        None if weight is None else weight.repeat(batch),
        None if bias is None else bias.repeat(batch),
        mean, variance, use_input_stats, momentum, eps, True,
    )
    if use_input_stats:
        with flambeau.no_grad():
            if mean is not None and running_mean is not None:
                running_mean.copy_(mean.view(batch, channels).mean(0))
            if variance is not None and running_var is not None:
                running_var.copy_(variance.view(batch, channels).mean(0))
    return result.reshape(input.shape)


def layer_norm(
    input: Tensor,
    normalized_shape: list[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalises over the trailing dimensions ``normalized_shape`` (Ba et al. 2016)."""
    return flambeau.layer_norm(input, normalized_shape, weight, bias, eps)


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """Divides by the root mean square over the trailing dimensions (Zhang and Sennrich 2019).

    ``eps`` is the machine epsilon of the element type by default.
    """
    return flambeau.rms_norm(input, normalized_shape, weight, eps)


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Normalises groups of channels of each sample (Wu and He 2018); input ``(N, C, ...)``."""
    if input.dim() < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {input.dim()}")
    shape = input.shape
    _verify_batch_size([shape[0] * shape[1] // num_groups, num_groups, *shape[2:]])
    return flambeau.group_norm(input, num_groups, weight, bias, eps)


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """Divides each value by a power of the mean square over ``size`` neighbouring channels.

    Shapes: ``(N, C, ...)`` with at least three dimensions.
    """
    dim = input.dim()
    if dim < 3:
        raise ValueError(f"Expected 3D or higher dimensionality                          input (got {dim} dimensions)")
    if input.numel() == 0:
        return input
    squares = (input * input).flatten(2).unsqueeze(1)  # (N, 1, C, everything else)
    squares = flambeau.constant_pad_nd(squares, (0, 0, size // 2, (size - 1) // 2), 0.0)
    mean = _C._nn.avg_pool2d(squares, (size, 1), 1).squeeze(1)
    return input / mean.reshape(input.shape).mul(alpha).add(k).pow(beta)


def normalize(
    input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Tensor | None = None
) -> Tensor:
    """Divides by the ``p``-norm along ``dim``, or by ``eps`` where that is larger.

    >>> import flambeau as torch
    >>> torch.nn.functional.normalize(torch.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """
    size = input.norm(p, dim, keepdim=True).clamp_min(eps).expand_as(input)
    return input / size if out is None else flambeau.div(input, size, out=out)
