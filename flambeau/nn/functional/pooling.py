"""Pooling: maximum, power means, adaptive and fractional windows, and the way back."""

from __future__ import annotations

import flambeau
from flambeau import _C
from flambeau._composites.slices import per_slice

from .activation import relu

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from flambeau import Tensor

__all__ = [
    "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d", "adaptive_max_pool2d_with_indices", "adaptive_max_pool3d",
    "adaptive_max_pool3d_with_indices", "fractional_max_pool2d", "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d", "fractional_max_pool3d_with_indices", "lp_pool1d", "lp_pool2d", "lp_pool3d",
    "max_pool1d", "max_pool1d_with_indices", "max_pool2d", "max_pool2d_with_indices", "max_pool3d",
    "max_pool3d_with_indices", "max_unpool1d", "max_unpool2d", "max_unpool3d",
]


def _spread(value: Any, count: int) -> list[int]:
    """One number per dimension."""
    if isinstance(value, int):
        return [value] * count
    value = list(value)
    return value * count if len(value) == 1 else value


def _stride(stride: Any, kernel_size: Any) -> Any:
    return kernel_size if stride is None or (not isinstance(stride, int) and len(stride) == 0) else stride


def max_pool1d_with_indices(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """``max_pool1d`` that also returns where the maxima are."""
    return flambeau.max_pool1d_with_indices(
        input, kernel_size, _stride(stride, kernel_size), padding, dilation, ceil_mode
    )


def max_pool2d_with_indices(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """``max_pool2d`` that also returns where the maxima are, counted within each plane."""
    return _C._nn.max_pool2d_with_indices(
        input, kernel_size, _stride(stride, kernel_size), padding, dilation, ceil_mode
    )


def max_pool3d_with_indices(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """``max_pool3d`` that also returns where the maxima are, counted within each volume."""
    return _C._nn.max_pool3d_with_indices(
        input, kernel_size, _stride(stride, kernel_size), padding, dilation, ceil_mode
    )


def max_pool1d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:
    """The maximum of each window of a ``(N, C, L)`` or ``(C, L)`` input.

    Args:
        kernel_size: the length of the window.
        stride: the step between windows; the kernel size by default.
        padding: how much of minus infinity stands on both sides, at most half the kernel size.
        dilation: the step within the window.
        ceil_mode: keep a last window that is cut off.
        return_indices: also return the places of the maxima, for ``max_unpool1d``.
    """
    if return_indices:
        return max_pool1d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
    return flambeau.max_pool1d(input, kernel_size, _stride(stride, kernel_size), padding, dilation, ceil_mode)


def max_pool2d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:
    """The maximum of each window of a ``(N, C, H, W)`` or ``(C, H, W)`` input; see ``max_pool1d``."""
    if return_indices:
        return max_pool2d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
    return flambeau.max_pool2d(input, kernel_size, _stride(stride, kernel_size), padding, dilation, ceil_mode)


def max_pool3d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:
    """The maximum of each window of a ``(N, C, D, H, W)`` or ``(C, D, H, W)`` input; see ``max_pool1d``."""
    if return_indices:
        return max_pool3d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
    return flambeau.max_pool3d(input, kernel_size, _stride(stride, kernel_size), padding, dilation, ceil_mode)


def _output_size(input: Tensor, output_size: Any, count: int) -> list[int]:
    """None stands for the size of the input."""
    if isinstance(output_size, int):
        return [output_size] * count
    size = list(output_size)
    if len(size) >= input.dim():
        raise ValueError(
            f"Input dimension should be at least {len(size) + 1}\n"
            f"adaptive pooling: expected {count} spatial dimensions; got input {tuple(input.shape)}"
        )
    if None in size:
        size = [given if given is not None else own for given, own in zip(size, input.shape[-len(size):])]
    return size


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Averages over as many windows as the output has elements: ``(N, C, H, W)`` to ``(N, C, *output_size)``."""
    return _C._nn.adaptive_avg_pool2d(input, _output_size(input, output_size, 2))


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """As ``adaptive_avg_pool2d``, for ``(N, C, D, H, W)``."""
    return _C._nn.adaptive_avg_pool3d(input, _output_size(input, output_size, 3))


def adaptive_max_pool1d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """``adaptive_max_pool1d`` that also returns where the maxima are."""
    return flambeau.adaptive_max_pool1d(input, output_size)


def adaptive_max_pool2d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """``adaptive_max_pool2d`` that also returns where the maxima are."""
    return _C._nn.adaptive_max_pool2d(input, _output_size(input, output_size, 2))


def adaptive_max_pool3d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """``adaptive_max_pool3d`` that also returns where the maxima are."""
    return _C._nn.adaptive_max_pool3d(input, _output_size(input, output_size, 3))


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The maxima of as many windows as the output has elements, ``(N, C, L)`` to ``(N, C, output_size)``."""
    both = adaptive_max_pool1d_with_indices(input, output_size)
    return both if return_indices else both[0]


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """As ``adaptive_max_pool1d``, for two spatial dimensions."""
    both = adaptive_max_pool2d_with_indices(input, output_size)
    return both if return_indices else both[0]


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """As ``adaptive_max_pool1d``, for three spatial dimensions."""
    both = adaptive_max_pool3d_with_indices(input, output_size)
    return both if return_indices else both[0]


def _power_mean(average: Any, norm_type: float, elements: int) -> Tensor:
    # the sign keeps sums of odd powers that are negative from becoming numbers
    return (flambeau.sign(average) * relu(flambeau.abs(average))).mul(elements).pow(1.0 / norm_type)


def _product(values: list[int]) -> int:
    result = 1
    for value in values:
        result *= value
    return result


def lp_pool1d(
    input: Tensor, norm_type: int | float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """The ``p``-th root of the sum of ``p``-th powers in each window."""
    powers = input.pow(norm_type)
    average = flambeau.avg_pool1d(powers, kernel_size, _stride(stride, kernel_size), 0, ceil_mode)
    return _power_mean(average, norm_type, _product(_spread(kernel_size, 1)))


def lp_pool2d(
    input: Tensor, norm_type: int | float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """As ``lp_pool1d``, for two spatial dimensions."""
    powers = input.pow(norm_type)
    average = _C._nn.avg_pool2d(powers, kernel_size, _stride(stride, kernel_size), 0, ceil_mode)
    return _power_mean(average, norm_type, _product(_spread(kernel_size, 2)))


def lp_pool3d(
    input: Tensor, norm_type: int | float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """As ``lp_pool1d``, for three spatial dimensions."""
    powers = input.pow(norm_type)
    average = _C._nn.avg_pool3d(powers, kernel_size, _stride(stride, kernel_size), 0, ceil_mode)
    return _power_mean(average, norm_type, _product(_spread(kernel_size, 3)))


def _unpool(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any, padding: Any, output_size: Any, count: int
) -> Tensor:
    """Puts each value where its index says, in planes of zeros."""
    kernel, padding = _spread(kernel_size, count), _spread(padding, count)
    stride = _spread(_stride(stride, kernel), count)
    if input.dim() not in (count + 1, count + 2):
        raise ValueError(
            f"Input to max_unpool{count}d should be a {count + 1}d or {count + 2}d Tensor, but got "
            f"{input.dim()}d"
        )
    default = [
        (extent - 1) * s + k - 2 * p for extent, s, k, p in zip(input.shape[-count:], stride, kernel, padding)
    ]
    if output_size is None:
        size = default
    else:
        size = list(output_size)[-count:] if len(output_size) in (count + 1, count + 2) else list(output_size)
        if len(size) != count:
            raise ValueError(
                f"output_size should be a sequence containing {count} or {count + 2} elements, but it has a length "
                f"of '{len(output_size)}'"
            )
        for place, (extent, usual, step) in enumerate(zip(size, default, stride)):
            if not usual - step < extent < usual + step:
                raise ValueError(
                    f"invalid output_size {tuple(output_size)} (dim {place} must be between {usual - step} and "
                    f"{usual + step})"
                )
    if indices.dtype != flambeau.int64:
        raise RuntimeError(f"elements in indices should be type int64 but got: {indices.dtype}")
    if indices.shape != input.shape:
        raise RuntimeError(
            f"Expected shape of indices to be same as that of the input tensor ({list(input.shape)}) but got indices "
            f"tensor with shape: {list(indices.shape)}"
        )
    return _C._nn.max_unpool(input, indices, list(input.shape[:-count]) + size, count)


@per_slice
def max_unpool1d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """The partial inverse of ``max_pool1d``: the maxima at their places, zeros elsewhere."""
    return _unpool(input, indices, kernel_size, stride, padding, output_size, 1)


@per_slice
def max_unpool2d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """The partial inverse of ``max_pool2d``."""
    return _unpool(input, indices, kernel_size, stride, padding, output_size, 2)


@per_slice
def max_unpool3d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """The partial inverse of ``max_pool3d``."""
    return _unpool(input, indices, kernel_size, stride, padding, output_size, 3)


def _fractional(
    input: Tensor, kernel_size: Any, output_size: Any, output_ratio: Any, samples: Tensor | None, count: int
) -> tuple[Tensor, Tensor]:
    """Fractional max pooling (Graham 2014), with the pseudo-random sequence of the paper."""
    name = f"fractional_max_pool{count}d"
    if output_size is None and output_ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    if input.dim() not in (count + 1, count + 2):
        raise RuntimeError(f"{name}: Expected {count + 1}D or {count + 2}D tensor, but got: {list(input.shape)}")
    space = list(input.shape[-count:])
    if output_size is None:
        ratios = [output_ratio] * count if isinstance(output_ratio, (int, float)) else list(output_ratio)
        output_size = [int(extent * ratio) for extent, ratio in zip(space, ratios)]
    outputs, kernel = _spread(output_size, count), _spread(kernel_size, count)
    batched = input if input.dim() == count + 2 else input.unsqueeze(0)
    batch, channels = batched.shape[:2]
    if samples is None:
        samples = flambeau.rand(batch, channels, count, dtype=input.dtype, device=input.device)
    for extent, k, out in zip(space, kernel, outputs):
        if out + k - 1 > extent:
            raise RuntimeError(
                f"{name}(): pool size ({k}) too large relative to input size ({extent})\n"
                f"{name}: expected output + kernel - 1 <= input; got {out} + {k} - 1 > {extent}"
            )
    samples = samples[:batch]  # an unbatched input uses those of the first sample
    index: Any = None  # of every element of every window, within its plane
    for dim in range(count):
        # the samples come in the opposite order of the dimensions
        u = samples[..., count - 1 - dim] if count == 2 else samples[..., dim]
        starts = _fractional_starts(u, space[dim], outputs[dim], kernel[dim])
        places = starts.unsqueeze(-1) + flambeau.arange(kernel[dim], device=input.device)
        shape = [batch, channels] + [1] * (2 * count)
        shape[2 + dim], shape[2 + count + dim] = outputs[dim], kernel[dim]
        places = places.reshape(shape)
        index = places if index is None else index * space[dim] + places
    windows_count, elements = _product(outputs), _product(kernel)
    index = index.expand(batch, channels, *outputs, *kernel).reshape(batch, channels, windows_count, elements)
    planes = batched.reshape(batch, channels, _product(space))
    windows = planes.gather(2, index.reshape(batch, channels, windows_count * elements)).reshape(index.shape)
    best = windows.max(-1)
    indices = index.gather(-1, best[1].unsqueeze(-1)).reshape(batch, channels, *outputs)
    result = best[0].reshape(batch, channels, *outputs)
    if input.dim() == count + 1:
        return result.squeeze(0), indices.squeeze(0)
    return result, indices


def _fractional_starts(u: Tensor, extent: int, outputs: int, kernel: int) -> Tensor:
    steps = flambeau.arange(outputs, device=u.device)
    last = extent - kernel
    if outputs == 1:
        return flambeau.full((*u.shape, 1), last, dtype=flambeau.int64, device=u.device)
    alpha = last / (outputs - 1)
    u = u.unsqueeze(-1)
    starts = ((steps + u) * alpha).to(flambeau.int64) - (u * alpha).to(flambeau.int64)
    return flambeau.where(steps == outputs - 1, flambeau.full_like(starts, last), starts)


def fractional_max_pool2d_with_indices(
    input: Tensor, kernel_size: Any, output_size: Any = None, output_ratio: Any = None,
    return_indices: bool = False, _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """``fractional_max_pool2d`` that also returns where the maxima are."""
    return _fractional(input, kernel_size, output_size, output_ratio, _random_samples, 2)


def fractional_max_pool3d_with_indices(
    input: Tensor, kernel_size: Any, output_size: Any = None, output_ratio: Any = None,
    return_indices: bool = False, _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """``fractional_max_pool3d`` that also returns where the maxima are."""
    return _fractional(input, kernel_size, output_size, output_ratio, _random_samples, 3)


def fractional_max_pool2d(
    input: Tensor, kernel_size: Any, output_size: Any = None, output_ratio: Any = None,
    return_indices: bool = False, _random_samples: Tensor | None = None,
) -> Any:
    """Maxima of windows at random steps, so that the output has any wanted size (Graham 2014).

    Either ``output_size`` or ``output_ratio`` (of the output to the input) has to be given.
    """
    both = _fractional(input, kernel_size, output_size, output_ratio, _random_samples, 2)
    return both if return_indices else both[0]


def fractional_max_pool3d(
    input: Tensor, kernel_size: Any, output_size: Any = None, output_ratio: Any = None,
    return_indices: bool = False, _random_samples: Tensor | None = None,
) -> Any:
    """As ``fractional_max_pool2d``, for three spatial dimensions."""
    both = _fractional(input, kernel_size, output_size, output_ratio, _random_samples, 3)
    return both if return_indices else both[0]
