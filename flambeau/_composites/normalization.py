"""Normalisations under the names that also give the statistics: the result, the means and the inverse deviations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._primitives import P, Tensor
from .registry import composite

Statistics = tuple[Tensor, Tensor, Tensor]


def constant_statistics(results: Sequence[Tensor]) -> Statistics:
    """The statistics carry no gradient."""
    output, mean, rstd = results
    return output, P.detach(mean), P.detach(rstd)


@composite(method=False)
def native_layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> Statistics:
    """Layer normalisation over the last dimensions, with its statistics.

    >>> [tuple(t.shape) for t in torch.native_layer_norm(torch.ones(2, 3), (3,), None, None, 1e-5)]
    [(2, 3), (2, 1), (2, 1)]
    """
    return constant_statistics(P.layer_norm_kernel(input, tuple(normalized_shape), weight, bias, eps))


@composite(method=False)
def native_group_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, N: int, C: int, HxW: int, group: int, eps: float
) -> Statistics:
    """Group normalisation of an input (N, C, ...), with its statistics; HxW is what N and C leave over.

    >>> [tuple(t.shape) for t in torch.native_group_norm(torch.ones(2, 4, 3), None, None, 2, 4, 3, 2, 1e-5)]
    [(2, 4, 3), (2, 2), (2, 2)]
    """
    return P.group_norm_kernel(input, group, weight, bias, eps)


@composite(method=False)
def native_batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> Statistics:
    """Batch normalisation, with the statistics of the batch; both are empty where the running ones are used.

    >>> [tuple(t.shape) for t in torch.native_batch_norm(torch.ones(2, 3), None, None, None, None, True, 0.1, 1e-5)]
    [(2, 3), (3,), (3,)]
    """
    options: tuple[Any, ...] = (running_mean, running_var, training, momentum, eps)
    output, mean, rstd = constant_statistics(P.batch_norm_kernel(input, weight, bias, *options))
    if training:
        return output, mean, rstd
    return output, P.empty((0,), dtype=mean.dtype), P.empty((0,), dtype=rstd.dtype)
