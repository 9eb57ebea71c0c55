"""Rows of a table by their numbers: embeddings, bags of them, and one-hot vectors."""

from __future__ import annotations

import flambeau
from flambeau._composites.slices import per_slice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from flambeau import Tensor

__all__ = ["embedding", "embedding_bag", "one_hot"]


def _limit_norms(weight: Tensor, index: Tensor, max_norm: float, norm_type: float) -> None:
    """Scales down, in place, those of the rows about to be used whose norm is too large."""
    with flambeau.no_grad():
        rows = flambeau.unique(index.reshape(-1))
        values = weight.detach().index_select(0, rows)
        norms = values.norm(norm_type, 1, keepdim=True)
        scaled = values * (max_norm / (norms + 1e-7))
        weight.detach().index_copy_(0, rows, flambeau.where(norms > max_norm, scaled, values))


def _padding_row(padding_idx: int | None, rows: int) -> int:
    """The row as a number from 0 on; -1 for none."""
    if padding_idx is None:
        return -1
    if padding_idx >= rows or padding_idx < -rows:
        raise AssertionError("padding_idx must be within the number of embeddings")
    return padding_idx + rows if padding_idx < 0 else padding_idx


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of ``weight`` that ``input`` names; shape ``(*, D)`` for indices ``(*)`` and weight ``(V, D)``.

    Args:
        padding_idx: a row that gets no gradient.
        max_norm: rows in use with a larger norm are scaled down to it, in ``weight`` itself.
        norm_type: which norm ``max_norm`` means.
        scale_grad_by_freq: divide the gradient of a row by how often it occurs.
        sparse: accepted for PyTorch's sake; the gradient is dense.

    Raises:
        IndexError: for an index outside ``[0, V)``.
    """
    if weight.dim() != 2:
        raise RuntimeError(f"'weight' must be 2-D\nembedding: expected weight (V, D); got {tuple(weight.shape)}")
    row = _padding_row(padding_idx, weight.shape[0])
    if max_norm is not None:
        _limit_norms(weight, input, max_norm, norm_type)
    return flambeau.embedding(weight, input, row, scale_grad_by_freq, sparse)


@per_slice
def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Sums, means or maxima of embeddings over bags.

    Args:
        input: indices, ``(B, L)`` with one bag a row, or ``(L,)`` with ``offsets``.
        weight: the table, ``(V, D)``.
        offsets: where each bag starts in a one-dimensional input.
        mode: "sum", "mean" or "max".
        per_sample_weights: factors of the shape of ``input``, for "sum" only.
        include_last_offset: the last offset is the end of the last bag.
        padding_idx: a row that counts for nothing.

    Returns ``(B, D)``; an empty bag gives zeros.
    """
    if weight.dtype == flambeau.int64 and input.is_floating_point():
        import warnings

        warnings.warn(
            "Argument order of nn.functional.embedding_bag was changed. Usage `embedding_bag(weight, input, ...)` is "
            "deprecated, and should now be `embedding_bag(input, weight, ...)`.", stacklevel=2,
        )
        weight, input = input, weight
    if per_sample_weights is not None and input.size() != per_sample_weights.size():
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({per_sample_weights.shape}) is not None, then it must have the "
            f"same shape as the input ({input.shape})"
        )
    if weight.dim() != 2:
        raise ValueError(f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.dim()}")
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length "
                f"sequences. However, found offsets of type {type(offsets)}"
            )
        bags, length = input.shape
        bag = flambeau.arange(bags, device=input.device).repeat_interleave(length)
        input = input.reshape(-1)
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights.reshape(-1)
    elif input.dim() == 1:
        bag, bags = _bags_of(offsets, input, include_last_offset)
    else:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.dim()}")
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    if mode == "max" and sparse:
        raise ValueError("max mode does not support sparse weights")
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            f"embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' "
            f"(got mode='{mode}'). Please open a feature request on GitHub."
        )
    row = _padding_row(padding_idx, weight.shape[0])
    if max_norm is not None:
        _limit_norms(weight, input, max_norm, norm_type)
    if row >= 0:
        kept = (input != row).nonzero().reshape(-1)
        input, bag = input.index_select(0, kept), bag.index_select(0, kept)
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights.index_select(0, kept)
    rows = flambeau.embedding(weight, input, -1, scale_grad_by_freq, False)
    return _combine(rows, bag, bags, mode, per_sample_weights)


def _bags_of(offsets: Tensor | None, input: Tensor, include_last_offset: bool) -> tuple[Tensor, int]:
    """The bag of each element, and the number of bags."""
    if offsets is None:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    if offsets.dim() != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    total = input.shape[0]
    bags = offsets.shape[0]
    if bags and int(offsets[0]) != 0:
        raise RuntimeError(
            "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0. "
            f"However, got {int(offsets[0])}"
        )
    if bags and int(offsets[-1]) > total:
        raise RuntimeError(
            f"offsets[-1] can not be greater than input's length. However, got offsets[-1]={int(offsets[-1])} and "
            f"input of length {total}"
        )
    if include_last_offset:
        if bags < 1:
            raise RuntimeError("include_last_offset: number of offset should be at least 1")
        bags -= 1
        offsets = offsets[:-1]
    places = flambeau.arange(total, device=input.device)
    return flambeau.searchsorted(offsets.to(flambeau.int64), places, right=True) - 1, bags


def _combine(values: Tensor, bag: Tensor, bags: int, mode: str, factors: Tensor | None) -> Tensor:
    """Reduces the rows of each bag."""
    out = flambeau.zeros(bags, values.shape[1], dtype=values.dtype, device=values.device)
    if mode == "max":
        index = bag.unsqueeze(1).expand(values.shape)
        return out.scatter_reduce(0, index, values, "amax", include_self=False)
    if factors is not None:
        values = values * factors.unsqueeze(1)
    total = out.index_add(0, bag, values)
    if mode == "sum":
        return total
    ones = flambeau.ones(bag.shape[0], dtype=values.dtype, device=values.device)
    counts = flambeau.zeros(bags, dtype=values.dtype, device=values.device).index_add(0, bag, ones)
    return total / counts.clamp_min(1).unsqueeze(1)


@per_slice
def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Vectors of zeros with a single one, ``(*, num_classes)`` of int64 for indices ``(*)``.

    >>> import flambeau as torch
    >>> torch.nn.functional.one_hot(torch.tensor([2, 0]))
    tensor([[0, 0, 1],
            [1, 0, 0]])
    """
    if tensor.dtype != flambeau.int64:
        raise RuntimeError(
            "one_hot is only applicable to index tensor of type LongTensor.\none_hot: expected int64; got "
            f"{tensor.dtype}"
        )
    if tensor.numel() == 0:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        return flambeau.empty(*tensor.shape, num_classes, dtype=flambeau.int64, device=tensor.device)
    if int(tensor.min()) < 0:
        raise RuntimeError("Class values must be non-negative.")
    largest = int(tensor.max())
    if num_classes == -1:
        num_classes = largest + 1
    elif num_classes < 1:
        raise RuntimeError("num_classes should be positive")
    elif largest >= num_classes:
        raise RuntimeError(
            f"Class values must be smaller than num_classes.\none_hot: expected values below {num_classes}; got "
            f"{largest}"
        )
    zeros = flambeau.zeros(*tensor.shape, num_classes, dtype=flambeau.int64, device=tensor.device)
    return zeros.scatter_(-1, tensor.unsqueeze(-1), 1)
