"""The primitives this package stands on.

Functions that PyTorch shows as ``torch.NAME`` are reached as ``flambeau.NAME``: relu, celu, selu,
hardshrink, softmax, log_softmax, layer_norm, group_norm, batch_norm, rms_norm, conv1d/2d/3d, conv_transpose1d/2d/3d,
embedding, dropout, max_pool1d/2d/3d, max_pool1d_with_indices, avg_pool1d, adaptive_avg_pool1d, adaptive_max_pool1d,
constant_pad_nd, ctc_loss, and arithmetic, reductions and indexing in general (with in-place twins where they are
elementwise).

Those that only ``torch.nn.functional`` shows are reached through ``flambeau._C._nn``, a namespace object holding:

    name and schema                                                                        class
    elu(input, alpha=1, scale=1, input_scale=1), leaky_relu(input, negative_slope=0.01),
    hardtanh(input, min_val=-1, max_val=1), hardsigmoid(input), hardswish(input),
    silu(input), mish(input), gelu(input), gelu_tanh(input), logsigmoid(input),
    softplus(input, beta=1, threshold=20), softshrink(input, lambd=0.5),
    relu6(input), threshold(input, threshold, value)                                                                           elementwise, with NAME_ twins
    linear(input, weight, bias=None)                                                       contraction
    scaled_dot_product_attention(query, key, value, attn_mask=None, dropout_p=0.0,
        is_causal=False, scale=None, enable_gqa=False)                                     kernel
    avg_pool2d, avg_pool3d(input, kernel_size, stride=None, padding=0, ceil_mode=False,
        count_include_pad=True, divisor_override=None)                                     kernel
    max_pool2d_with_indices, max_pool3d_with_indices(input, kernel_size, stride=None,
        padding=0, dilation=1, ceil_mode=False) -> (output, indices)                       kernel
    adaptive_avg_pool2d, adaptive_avg_pool3d(input, output_size)                           kernel
    adaptive_max_pool2d, adaptive_max_pool3d(input, output_size) -> (output, indices)      kernel
    reflection_pad1d/2d/3d(input, padding), replication_pad1d/2d/3d(input, padding)        kernel
    upsample_nearest1d/2d/3d, _upsample_nearest_exact1d/2d/3d(input, output_size,
        scale_factors)                                                                     kernel
    upsample_linear1d, upsample_bilinear2d, upsample_trilinear3d, upsample_bicubic2d,
    _upsample_bilinear2d_aa, _upsample_bicubic2d_aa(input, output_size, align_corners,
        scale_factors)                                                                     kernel
    cross_entropy_loss(input, target, weight, reduction, ignore_index, label_smoothing),
    nll_loss_nd(input, target, weight, reduction, ignore_index)
        with reduction 0 none, 1 mean, 2 sum                                               kernel

The upsampling kernels get either the output size or the scale factors, the other is None. With factors the output has
floor(size * factor) elements and the step between samples is 1 / factor, otherwise it is the ratio of the sizes.

Everything else here is a composition of these. A name is looked up at its first use, so that this package can be
imported before every primitive exists.
"""

from __future__ import annotations

import flambeau

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Functions that are a primitive as it is: name here -> (in flambeau._C._nn?, name there)
DIRECT: dict[str, tuple[bool, str]] = {
    **{name: (False, name) for name in (
        "adaptive_avg_pool1d", "avg_pool1d", "celu_", "conv1d", "conv2d", "conv3d", "conv_transpose1d",
        "conv_transpose2d", "conv_transpose3d", "hardshrink", "relu_", "selu_",
    )},
    **{name: (True, name) for name in (
        "avg_pool2d", "avg_pool3d", "elu_", "hardtanh_", "leaky_relu_", "linear", "logsigmoid",
        "scaled_dot_product_attention", "softplus", "softshrink", "threshold_",
    )},
}


def resolve(name: str) -> Any:
    """The primitive behind a function of ``nn.functional``."""
    hidden, target = DIRECT[name]
    return getattr(flambeau._C._nn if hidden else flambeau, target)
