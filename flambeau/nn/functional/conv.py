"""What surrounds convolution: windows into columns and back, and the form for (time, batch, channel)."""

from __future__ import annotations

import flambeau

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from flambeau import Tensor

__all__ = ["conv_tbc", "fold", "unfold"]


def _pair(value: Any, name: str) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    if len(value) not in (1, 2):
        raise RuntimeError(f"It is expected {name} equals to 2, but got size {len(value)}")
    return (value[0], value[0]) if len(value) == 1 else (value[0], value[1])


def _window_places(
    extent: int, kernel: int, dilation: int, padding: int, stride: int, device: Any
) -> tuple[Tensor, int]:
    """Where each element of each window lies in the padded input, ``(kernel * windows)``; and how many windows."""
    windows = (extent + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    if windows < 1:
        return flambeau.empty(0, dtype=flambeau.int64, device=device), windows
    inside = flambeau.arange(kernel, device=device).mul(dilation).unsqueeze(1)
    return (inside + flambeau.arange(windows, device=device).mul(stride)).reshape(-1), windows


def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """Lays the windows of an image side by side.

    Shapes: ``(N, C, H, W)`` to ``(N, C * kh * kw, L)`` where ``L`` is the number of windows; also without ``N``.
    """
    if input.dim() not in (3, 4):
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for input, "
            f"but got: {list(input.shape)}"
        )
    kernel, dilation, padding, stride = (
        _pair(kernel_size, "kernel_size"), _pair(dilation, "dilation"), _pair(padding, "padding"),
        _pair(stride, "stride"),
    )
    if min(kernel) <= 0 or min(stride) <= 0 or min(dilation) <= 0:
        raise RuntimeError(
            "kernel size, stride and dilation should be greater than zero, but got "
            f"kernel {kernel}, stride {stride}, dilation {dilation}"
        )
    image = input if input.dim() == 4 else input.unsqueeze(0)
    batch, channels, height, width = image.shape
    rows, high = _window_places(height, kernel[0], dilation[0], padding[0], stride[0], input.device)
    columns, wide = _window_places(width, kernel[1], dilation[1], padding[1], stride[1], input.device)
    if high < 1 or wide < 1:
        raise RuntimeError(
            f"Given input with spatial size ({height}, {width}), kernel_size={kernel}, dilation={dilation}, "
            f"padding={padding}, calculated shape of the array of sliding blocks as ({high}, {wide}), but its "
            "components must be at least one."
        )
    if padding != (0, 0):
        image = flambeau.constant_pad_nd(image, (padding[1], padding[1], padding[0], padding[0]), 0.0)
    windows = image.index_select(2, rows).index_select(3, columns)
    windows = windows.reshape(batch, channels, kernel[0], high, kernel[1], wide).permute(0, 1, 2, 4, 3, 5)
    result = windows.reshape(batch, channels * kernel[0] * kernel[1], high * wide)
    return result if input.dim() == 4 else result.squeeze(0)


def fold(
    input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """Puts windows back into an image and adds them where they overlap: the transpose of ``unfold``.

    Shapes: ``(N, C * kh * kw, L)`` to ``(N, C, *output_size)``; also without ``N``.
    """
    if input.dim() not in (2, 3):
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero dimensions for "
            f"input, but got: {list(input.shape)}"
        )
    size, kernel, dilation, padding, stride = (
        _pair(output_size, "output_size"), _pair(kernel_size, "kernel_size"), _pair(dilation, "dilation"),
        _pair(padding, "padding"), _pair(stride, "stride"),
    )
    if min(kernel) <= 0 or min(stride) <= 0 or min(dilation) <= 0:
        raise RuntimeError(
            "kernel size, stride and dilation should be greater than zero, but got "
            f"kernel {kernel}, stride {stride}, dilation {dilation}"
        )
    blocks = input if input.dim() == 3 else input.unsqueeze(0)
    batch, planes, length = blocks.shape
    elements = kernel[0] * kernel[1]
    if planes % elements != 0:
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got "
            f"input.size(1)={planes} and kernel_size={kernel}."
        )
    rows, high = _window_places(size[0], kernel[0], dilation[0], padding[0], stride[0], input.device)
    columns, wide = _window_places(size[1], kernel[1], dilation[1], padding[1], stride[1], input.device)
    if high < 1 or wide < 1 or length != high * wide:
        raise RuntimeError(
            f"Given output_size={size}, kernel_size={kernel}, dilation={dilation}, padding={padding}, stride={stride}, "
            f"expected size of input's dimension 2 to match the calculated number of sliding blocks {high} * {wide} = "
            f"{high * wide}, but got input.size(2)={length}."
        )
    channels = planes // elements
    tall, broad = size[0] + 2 * padding[0], size[1] + 2 * padding[1]
    windows = blocks.reshape(batch, channels, kernel[0], kernel[1], high, wide).permute(0, 1, 2, 4, 3, 5)
    windows = windows.reshape(batch, channels, kernel[0] * high, kernel[1] * wide)
    kind = {"dtype": input.dtype, "device": input.device}
    partial = flambeau.zeros(batch, channels, kernel[0] * high, broad, **kind).index_add(3, columns, windows)
    image = flambeau.zeros(batch, channels, tall, broad, **kind).index_add(2, rows, partial)
    image = image[:, :, padding[0]:tall - padding[0], padding[1]:broad - padding[1]]
    return image if input.dim() == 3 else image.squeeze(0)


def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """Convolution over time where the dimensions are (time, batch, channel); weight ``(kernel, in, out)``."""
    if input.dim() != 3 or weight.dim() != 3 or bias.dim() != 1:
        raise RuntimeError(
            "conv_tbc: Input must have 3 dims: time, batch, in_channel; weight 3: kernel, in, out; bias 1: out\n"
            f"conv_tbc: got input {tuple(input.shape)}, weight {tuple(weight.shape)}, bias {tuple(bias.shape)}"
        )
    return flambeau.conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, 1, pad).permute(2, 0, 1)
