"""Gradients of convolutions as functions of their own."""

from __future__ import annotations

import flambeau

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from flambeau import Tensor

__all__ = ["conv1d_input", "conv1d_weight", "conv2d_input", "conv2d_weight", "conv3d_input", "conv3d_weight"]


def _by_input(conv: Any, input_size: Any, weight: Tensor, grad_output: Tensor, settings: tuple[Any, ...]) -> Tensor:
    input = flambeau.zeros(input_size, dtype=weight.dtype, device=weight.device, requires_grad=True)
    with flambeau.enable_grad():
        output = conv(input, weight.detach(), None, *settings)
        return flambeau.autograd.grad(output, input, grad_output)[0]


def _by_weight(conv: Any, input: Tensor, weight_size: Any, grad_output: Tensor, settings: tuple[Any, ...]) -> Tensor:
    weight = flambeau.zeros(weight_size, dtype=input.dtype, device=input.device, requires_grad=True)
    with flambeau.enable_grad():
        output = conv(input.detach(), weight, None, *settings)
        return flambeau.autograd.grad(output, weight, grad_output)[0]


def conv1d_input(
    input_size: Any, weight: Tensor, grad_output: Tensor, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """The gradient of ``conv1d`` by its input, whose shape is ``input_size``."""
    return _by_input(flambeau.conv1d, input_size, weight, grad_output, (stride, padding, dilation, groups))


def conv1d_weight(
    input: Tensor, weight_size: Any, grad_output: Tensor, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """The gradient of ``conv1d`` by its weight, whose shape is ``weight_size``."""
    return _by_weight(flambeau.conv1d, input, weight_size, grad_output, (stride, padding, dilation, groups))


def conv2d_input(
    input_size: Any, weight: Tensor, grad_output: Tensor, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """The gradient of ``conv2d`` by its input, whose shape is ``input_size``."""
    return _by_input(flambeau.conv2d, input_size, weight, grad_output, (stride, padding, dilation, groups))


def conv2d_weight(
    input: Tensor, weight_size: Any, grad_output: Tensor, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """The gradient of ``conv2d`` by its weight, whose shape is ``weight_size``."""
    return _by_weight(flambeau.conv2d, input, weight_size, grad_output, (stride, padding, dilation, groups))


def conv3d_input(
    input_size: Any, weight: Tensor, grad_output: Tensor, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """The gradient of ``conv3d`` by its input, whose shape is ``input_size``."""
    return _by_input(flambeau.conv3d, input_size, weight, grad_output, (stride, padding, dilation, groups))


def conv3d_weight(
    input: Tensor, weight_size: Any, grad_output: Tensor, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """The gradient of ``conv3d`` by its weight, whose shape is ``weight_size``."""
    return _by_weight(flambeau.conv3d, input, weight_size, grad_output, (stride, padding, dilation, groups))
