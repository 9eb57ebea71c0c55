"""Distances between vectors, products of pairs, and rearrangements of channels and pixels."""

from __future__ import annotations

import flambeau

TYPE_CHECKING = False
if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = [
    "bilinear", "channel_shuffle", "cosine_similarity", "native_channel_shuffle", "pairwise_distance", "pdist",
    "pixel_shuffle", "pixel_unshuffle",
]


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors that lie along ``dim``; lengths below ``eps`` count as ``eps``.

    The two inputs are broadcast to a common shape; the result lacks ``dim``.
    """
    dtype = flambeau.result_type(x1, x2)
    if not dtype.is_floating_point:
        raise RuntimeError(f"expected common dtype to be floating point, yet common dtype is {dtype}")
    x1, x2 = flambeau.broadcast_tensors(x1.to(dtype), x2.to(dtype))
    first = x1 / x1.norm(2, dim, keepdim=True).clamp_min(eps)
    second = x2 / x2.norm(2, dim, keepdim=True).clamp_min(eps)
    return (first * second).sum(dim)


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The ``p``-norm of ``x1 - x2 + eps`` along the last dimension."""
    return (x1 - x2 + eps).norm(p, -1, keepdim=keepdim)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """Distances between all pairs of rows of ``(N, M)``; the result has ``N * (N - 1) / 2`` elements."""
    if input.dim() != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.dim()}D")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    first, second = flambeau.triu_indices(input.shape[0], input.shape[0], 1, device=input.device)
    return (input.index_select(0, first) - input.index_select(0, second)).norm(p, 1)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x1 @ weight[k] @ x2`` for every output ``k``.

    Shapes: ``(*, I1)`` and ``(*, I2)`` with weight ``(O, I1, I2)`` and bias ``(O,)`` give ``(*, O)``.
    """
    if input1.dim() != input2.dim() or input1.shape[:-1] != input2.shape[:-1]:
        raise RuntimeError(
            "bilinear(): input batch dimensions do not match\n"
            f"bilinear: expected equal leading dimensions; got input1 {tuple(input1.shape)}, "
            f"input2 {tuple(input2.shape)}"
        )
    outputs, size1, size2 = weight.shape
    if input1.shape[-1] != size1:
        raise RuntimeError(
            f"bilinear(): input1 size does not match weight size: got {input1.shape[-1]} but expected "
            f"{size1}"
        )
    if input2.shape[-1] != size2:
        raise RuntimeError(
            f"bilinear(): input2 size does not match weight size: got {input2.shape[-1]} but expected "
            f"{size2}"
        )
    rows = input1.reshape(-1, size1) @ weight.permute(1, 0, 2).reshape(size1, outputs * size2)
    result = (rows.reshape(-1, outputs, size2) * input2.reshape(-1, 1, size2)).sum(-1)
    result = result.reshape(*input1.shape[:-1], outputs)
    return result if bias is None else result + bias


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Moves channels into space: ``(*, C * r * r, H, W)`` becomes ``(*, C, H * r, W * r)``."""
    r = upscale_factor
    if input.dim() < 3:
        raise RuntimeError(
            f"pixel_shuffle expects input to have at least 3 dimensions, but got input with {input.dim()} dimension(s)"
        )
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *batch, channels, height, width = input.shape
    if channels % (r * r) != 0:
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, "
            f"but input.size(-3)={channels} is not divisible by {r * r}"
        )
    n = len(batch)
    split = input.reshape(*batch, channels // (r * r), r, r, height, width)
    return split.permute(*range(n), n, n + 3, n + 1, n + 4, n + 2).reshape(
        *batch, channels // (r * r), height * r, width * r
    )


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Moves space into channels: ``(*, C, H * r, W * r)`` becomes ``(*, C * r * r, H, W)``."""
    r = downscale_factor
    if input.dim() < 3:
        raise RuntimeError(
            "pixel_unshuffle expects input to have at least 3 dimensions, but got input with "
            f"{input.dim()} dimension(s)"
        )
    if r <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    *batch, channels, height, width = input.shape
    for name, extent, place in (("height", height, -2), ("width", width, -1)):
        if extent % r != 0:
            raise RuntimeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but input.size({place})={extent} "
                f"is not divisible by {r}"
            )
    n = len(batch)
    split = input.reshape(*batch, channels, height // r, r, width // r, r)
    return split.permute(*range(n), n, n + 2, n + 4, n + 1, n + 3).reshape(
        *batch, channels * r * r, height // r, width // r
    )


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Deals the channels (dimension 1) of ``groups`` groups out in turn."""
    if input.dim() < 3:
        raise RuntimeError(f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(input.shape)}")
    if groups <= 0:
        raise RuntimeError(f"Number of groups to divide channels in must be positive. Value of groups:{groups}")
    batch, channels, *space = input.shape
    if channels % groups != 0:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {channels} channels and {groups} "
            "groups."
        )
    split = input.reshape(batch, groups, channels // groups, *space)
    return split.transpose(1, 2).reshape(input.shape)


native_channel_shuffle = channel_shuffle
