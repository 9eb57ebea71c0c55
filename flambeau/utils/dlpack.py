"""Exchange with other libraries by DLPack capsules."""

from __future__ import annotations

from typing import Any

from flambeau import Tensor, from_dlpack


def to_dlpack(tensor: Tensor) -> Any:
    """A capsule over the tensor's memory, to be taken up once.

    >>> import flambeau as torch
    >>> torch.from_dlpack(torch.to_dlpack(torch.ones(2)))
    tensor([1., 1.])
    """
    return tensor.__dlpack__()


__all__ = ["from_dlpack", "to_dlpack"]
