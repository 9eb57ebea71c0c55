"""Batch normalisation merged into the layer before it, for evaluation."""

from __future__ import annotations

import flambeau

from ..parameter import Parameter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from flambeau import Tensor

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]


def _check_eval(*modules: Any) -> None:
    if any(module.training for module in modules):
        raise AssertionError("Fusion only for eval!")


def _scale_and_shift(
    bias: Any, mean: Tensor, variance: Tensor, eps: float, weight: Any, shift: Any
) -> tuple[Tensor, Tensor]:
    """The factor of each output, and the bias that results."""
    scale = flambeau.rsqrt(variance + eps)
    if weight is not None:
        scale = weight * scale
    start = -mean if bias is None else bias - mean
    return scale, start * scale if shift is None else start * scale + shift


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of a convolution that does what one with a batch normalisation after it does."""
    scale, bias = _scale_and_shift(conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)
    shape = [1, -1] if transpose else [-1, 1]
    weight = conv_w * scale.reshape(shape + [1] * (conv_w.dim() - 2))
    return (
        Parameter(weight.to(conv_w.dtype).detach(), conv_w.requires_grad),
        Parameter(bias.to(conv_w.dtype if conv_b is None else conv_b.dtype).detach(), conv_w.requires_grad),
    )


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """A copy of the convolution that includes the batch normalisation after it; both have to be in eval mode."""
    import copy

    _check_eval(conv, bn)
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("running_mean and running_var must not be None for fusion")
    fused = copy.deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, transpose
    )
    return fused


def fuse_linear_bn_weights(
    linear_w: Tensor, linear_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float, bn_w: Tensor, bn_b: Tensor
) -> tuple[Parameter, Parameter]:
    """Weight and bias of a linear map that does what one with a batch normalisation after it does."""
    scale, bias = _scale_and_shift(linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)
    weight = linear_w * scale.unsqueeze(-1)
    return (
        Parameter(weight.to(linear_w.dtype).detach(), linear_w.requires_grad),
        Parameter(bias.to(linear_w.dtype).detach(), linear_w.requires_grad),
    )


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """A copy of the linear layer that includes the batch normalisation after it; both have to be in eval mode."""
    import copy

    _check_eval(linear, bn)
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("running_mean and running_var must not be None for fusion")
    if linear.out_features != bn.num_features and bn.num_features != 1:
        raise AssertionError("To fuse, linear.out_features == bn.num_features or bn.num_features == 1")
    fused = copy.deepcopy(linear)
    fused.weight, fused.bias = fuse_linear_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return fused
