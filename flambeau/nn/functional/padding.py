"""Padding: with a constant, a reflection, the nearest edge, or the opposite side."""

from __future__ import annotations

import flambeau
from flambeau import _C

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from flambeau import Tensor

__all__ = ["pad"]


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Makes the last dimensions larger (or smaller, for negative numbers).

    Args:
        input: of any shape; for the modes other than "constant", ``(N, C, ...)`` or ``(C, ...)``.
        pad: pairs (before, after), for the last dimension first.
        mode: "constant", "reflect", "replicate" or "circular".
        value: what "constant" fills in; zero by default.

    >>> import flambeau as torch
    >>> torch.nn.functional.pad(torch.ones(2), (1, 0))
    tensor([0., 1., 1.])
    """
    if mode == "constant":
        if len(pad) % 2 != 0:
            raise RuntimeError("Padding length must be divisible by 2")
        if len(pad) > input.dim() * 2:
            raise RuntimeError(
                f"Padding length should be less than or equal to two times the input dimension but got padding length "
                f"{len(pad)} and input of dimension {input.dim()}"
            )
        return flambeau.constant_pad_nd(input, pad, 0.0 if value is None else value)
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if len(pad) % 2 != 0:
        raise RuntimeError("Padding length must be divisible by 2")
    count = len(pad) // 2
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if count not in (1, 2, 3) or input.dim() not in (count + 1, count + 2):
        raise NotImplementedError(
            f"Padding size {len(pad)} is not supported for {input.dim()}D input tensor.\n"
            "Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now\n"
            f"pad: expected {2 * (input.dim() - 2)} or {2 * (input.dim() - 1)} numbers for mode {mode}; "
            f"got {len(pad)} for input {tuple(input.shape)}"
        )
    if mode == "reflect":
        return (_C._nn.reflection_pad1d, _C._nn.reflection_pad2d, _C._nn.reflection_pad3d)[count - 1](input, pad)
    if mode == "replicate":
        return (_C._nn.replication_pad1d, _C._nn.replication_pad2d, _C._nn.replication_pad3d)[count - 1](input, pad)
    return _circular(input, pad)


def _circular(input: Tensor, pad: Sequence[int]) -> Tensor:
    for number in range(len(pad) // 2):
        dim, before, after = input.dim() - 1 - number, pad[2 * number], pad[2 * number + 1]
        extent = input.shape[dim]
        if before > extent or after > extent:
            raise RuntimeError(
                "Padding value causes wrapping around more than once.\n"
                f"pad: expected at most {extent} for dimension {dim}; got ({before}, {after})"
            )
        if extent + before + after < 0:
            raise RuntimeError(
                "Negative padding value is resulting in an empty dimension\n"
                f"pad: dimension {dim} of size {extent}; got ({before}, {after})"
            )
        if before < 0 or after < 0:  # what is cut off is not there to wrap around
            first = max(-before, 0)
            input = input.narrow(dim, first, extent - first - max(-after, 0))
            extent = input.shape[dim]
        parts = [input]
        if before > 0:
            parts.insert(0, input.narrow(dim, extent - before, before))
        if after > 0:
            parts.append(input.narrow(dim, 0, after))
        if len(parts) > 1:
            input = flambeau.cat(parts, dim)
    return input
