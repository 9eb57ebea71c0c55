"""Losses: how far predictions are from what was wanted."""

from __future__ import annotations

import math

import flambeau
from flambeau import _C
from flambeau._composites.slices import per_slice

from .. import _reduction as _Reduction
from .distance import pairwise_distance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from flambeau import Tensor

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cosine_embedding_loss", "cross_entropy", "ctc_loss",
    "gaussian_nll_loss", "hinge_embedding_loss", "huber_loss", "kl_div", "l1_loss", "linear_cross_entropy",
    "margin_ranking_loss", "mse_loss", "multi_margin_loss", "multilabel_margin_loss", "multilabel_soft_margin_loss",
    "nll_loss", "poisson_nll_loss", "smooth_l1_loss", "soft_margin_loss", "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def _reduce(loss: Tensor, reduction: str) -> Tensor:
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ValueError(f"{reduction} is not a valid value for reduction")


def _check_reduction(reduction: str) -> None:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{reduction} is not a valid value for reduction")


def _legacy(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    if size_average is not None or reduce is not None:
        return _Reduction.legacy_get_string(size_average, reduce)
    return reduction


def _warn_of_sizes(input: Tensor, target: Tensor) -> None:
    if target.shape != input.shape:
        import warnings

        warnings.warn(
            f"Using a target size ({target.size()}) that is different to the input size ({input.size()}). This will "
            "likely lead to incorrect results due to broadcasting. Please ensure they have the same size.",
            stacklevel=3,
        )


def _weighted(loss: Tensor, weight: Tensor | None, input: Tensor, reduction: str) -> Tensor:
    """The reduction of a loss with one weight per element: the mean is by the sum of the weights."""
    if weight is None:
        return _reduce(loss, reduction)
    if weight.shape != input.shape:
        raise ValueError("Weights and input must have the same size.")
    loss = loss * weight
    return loss.sum() / weight.sum() if reduction == "mean" else _reduce(loss, reduction)


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """``(input - target) ** 2``, with the reduction "mean", "sum" or "none".

    >>> import flambeau as torch
    >>> torch.nn.functional.mse_loss(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 1.0]))
    tensor(2.)
    """
    reduction = _legacy(size_average, reduce, reduction)
    if target.shape != input.shape:
        _warn_of_sizes(input, target)
    difference = input - target
    return _weighted(difference * difference, weight, input, reduction)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """``|input - target|``."""
    reduction = _legacy(size_average, reduce, reduction)
    if target.shape != input.shape:
        _warn_of_sizes(input, target)
    return _weighted(flambeau.abs(input - target), weight, input, reduction)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """The square of the difference, over ``2 * beta``, below ``beta``; its absolute value, less ``beta / 2``, above."""
    reduction = _legacy(size_average, reduce, reduction)
    if target.shape != input.shape:
        _warn_of_sizes(input, target)
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss does not support negative values for beta, got {beta}")
    distance = flambeau.abs(input - target)
    if beta == 0.0:
        return _reduce(distance, reduction)
    loss = flambeau.where(distance < beta, distance * distance * (0.5 / beta), distance - 0.5 * beta)
    return _reduce(loss, reduction)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """Half the square of the difference up to ``delta``, a straight line beyond."""
    if target.shape != input.shape:
        _warn_of_sizes(input, target)
    if delta <= 0:
        raise RuntimeError(f"huber_loss does not support non-positive values for delta, got {delta}")
    distance = flambeau.abs(input - target)
    loss = flambeau.where(distance <= delta, distance * distance * 0.5, (distance - 0.5 * delta) * delta)
    return _weighted(loss, weight, input, reduction)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """``target * (log(target) - input)``: the divergence of the target from a prediction given as logarithms.

    The reduction "batchmean" divides the sum by the batch size, which is the mathematical definition.
    """
    reduction = _legacy(size_average, reduce, reduction)
    if reduction == "mean":
        import warnings

        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size. 'batchmean' divides "
            "only by the batch size, and aligns with the KL math definition.", stacklevel=2,
        )
    if log_target:
        loss = flambeau.exp(target) * (target - input)
    else:
        loss = flambeau.xlogy(target, target) - target * input
    if reduction == "batchmean":
        total = loss.sum()
        return total / input.shape[0] if input.dim() != 0 else total
    return _reduce(loss, reduction)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood of the classes ``target`` under log-probabilities ``input``.

    Shapes: ``(C)``, ``(N, C)`` or ``(N, C, d1, ...)`` with targets ``()``, ``(N)`` or ``(N, d1, ...)``.

    Raises:
        IndexError: for a class outside ``[0, C)`` that is not ``ignore_index``.
    """
    reduction = _legacy(size_average, reduce, reduction)
    return _C._nn.nll_loss_nd(input, target, weight, _Reduction.get_enum(reduction), ignore_index)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross entropy between unnormalised scores and targets, which are class indices or probabilities.

    Args:
        input: scores ``(C)``, ``(N, C)`` or ``(N, C, d1, ...)``.
        target: indices without the class dimension, or probabilities of the shape of ``input``.
        weight: one factor per class.
        ignore_index: a target that counts for nothing.
        label_smoothing: the share, in [0, 1], of the target that is spread evenly over the classes.

    >>> import flambeau as torch
    >>> torch.nn.functional.cross_entropy(torch.zeros(2, 4), torch.tensor([0, 3]))
    tensor(1.3863)
    """
    reduction = _legacy(size_average, reduce, reduction)
    return _C._nn.cross_entropy_loss(
        input, target, weight, _Reduction.get_enum(reduction), ignore_index, label_smoothing
    )


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: object = None,
) -> Tensor:
    """``cross_entropy(linear(input, linear_weight, linear_bias), target)``, the head of a classifier in one call.

    Shapes: input ``(N, I)`` or ``(I)``, weight ``(C, d1, ..., I)``, bias ``(C, d1, ...)``, target as in
    ``cross_entropy``.
    """
    if input.dim() not in (1, 2):
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {input.dim()}")
    outputs = list(linear_weight.shape[:-1])
    if input.shape[-1] != linear_weight.shape[-1]:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features), got "
            f"{input.shape[-1]} and {linear_weight.shape[-1]}, respectively"
        )
    if input.dim() == 1 and len(outputs) > 1:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} requires batched input"
        )
    if linear_bias is not None and list(linear_bias.shape) != outputs:
        raise RuntimeError(f"expected linear_bias shape {tuple(outputs)}, got {tuple(linear_bias.shape)}")
    bias = None if linear_bias is None else linear_bias.reshape(-1)
    scores = _C._nn.linear(input, linear_weight.reshape(-1, linear_weight.shape[-1]), bias)
    scores = scores.reshape(list(input.shape[:-1]) + outputs)
    return cross_entropy(
        scores, target, weight, ignore_index=-100 if ignore_index is None else ignore_index, reduction=reduction,
        label_smoothing=label_smoothing,
    )


@per_slice
def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``-(t * log(x) + (1 - t) * log(1 - x))`` for probabilities ``x``; the logarithms are limited to -100.

    Raises:
        ValueError: if the sizes differ.
        RuntimeError: if a probability is outside ``[0, 1]``.
    """
    reduction = _legacy(size_average, reduce, reduction)
    if target.size() != input.size():
        raise ValueError(
            f"Using a target size ({target.size()}) that is different to the input size ({input.size()}) is "
            "deprecated. Please ensure they have the same size."
        )
    if input.numel() > 0 and not bool(((input >= 0) & (input <= 1)).all()):
        raise RuntimeError("all elements of input should be between 0 and 1")
    loss = _C._nn.bce(input, target)
    return _reduce(loss if weight is None else loss * weight, reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Binary cross entropy of ``sigmoid(input)``, computed without overflow.

    ``pos_weight`` multiplies the loss of positive targets, ``weight`` all of it; both are broadcast.
    """
    reduction = _legacy(size_average, reduce, reduction)
    if target.size() != input.size():
        raise ValueError(f"Target size ({target.size()}) must be the same as input size ({input.size()})")
    loss = _C._nn.bce_with_logits(input, target, 1.0 if pos_weight is None else pos_weight)
    return _reduce(loss if weight is None else loss * weight, reduction)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood of counts under a Poisson distribution with the rate (or log rate) ``input``.

    ``full`` adds Stirling's approximation of the term that depends on the target only.
    """
    reduction = _legacy(size_average, reduce, reduction)
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    if log_input:
        loss = flambeau.exp(input) - target * input
    else:
        loss = input - target * flambeau.log(input + eps)
    if full:
        stirling = target * flambeau.log(target) - target + 0.5 * flambeau.log(2 * math.pi * target)
        loss = loss + flambeau.where(target <= 1, flambeau.zeros_like(stirling), stirling)
    return _reduce(loss, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood of targets under normal distributions with mean ``input`` and variance ``var``.

    ``var`` has the shape of ``input``, or that shape with the last dimension 1 or missing, or is a number.

    Raises:
        ValueError: for a negative variance, or a shape that fits neither way.
    """
    if isinstance(var, (int, float)):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = var * flambeau.ones_like(input)
    elif bool((var < 0).any()):
        raise ValueError("var has negative entry/entries")
    if var.size() != input.size():
        if input.size()[:-1] == var.size():
            var = var.unsqueeze(-1)
        elif not (
            var.dim() == input.dim() and all(v == i or v == 1 for v, i in zip(var.shape, input.shape))
            and any(v == 1 for v in var.shape)
        ):
            raise ValueError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(reduction + " is not valid")
    var = var.clone()
    with flambeau.no_grad():
        var.clamp_(min=eps)
    loss = 0.5 * (flambeau.log(var) + (input - target) ** 2 / var)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return _reduce(loss, reduction)


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``x`` where the target is 1, ``max(0, margin - x)`` where it is -1."""
    reduction = _legacy(size_average, reduce, reduction)
    zero = flambeau.zeros((), dtype=input.dtype, device=input.device)
    hinge = flambeau.where(target != 1, (margin - input).clamp_min(0), zero)
    return _reduce(hinge + flambeau.where(target != -1, input, zero), reduction)


@per_slice
def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The margin by which each wanted class is above each unwanted one, summed and divided by the classes.

    ``target`` has the shape of ``input``, ``(C)`` or ``(N, C)``, and lists class indices up to the first -1.
    """
    reduction = _legacy(size_average, reduce, reduction)
    _check_reduction(reduction)
    if input.dim() > 2 or input.shape[-1:] == (0,):
        raise RuntimeError(
            "Expected non-empty vector or matrix with optional 0-dim batch size, but got: " + str(list(input.shape))
        )
    if target.shape != input.shape:
        raise RuntimeError(
            f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}\n"
            f"multilabel_margin_loss: expected a target of shape {tuple(input.shape)}; got {tuple(target.shape)}"
        )
    scores, labels = (input, target) if input.dim() == 2 else (input.reshape(1, -1), target.reshape(1, -1))
    classes = scores.shape[1]
    if bool(((labels >= classes) | (labels < -1)).any()):
        raise RuntimeError("multilabel_margin_loss: target is out of range")
    listed = (labels >= 0).to(flambeau.int64).cumprod(1)  # 1 up to the first -1
    index = labels * listed
    wanted = flambeau.zeros_like(labels).scatter_add_(1, index, listed) > 0
    margins = (1 - scores.gather(1, index).unsqueeze(2) + scores.unsqueeze(1)).clamp_min(0)
    counted = (listed > 0).unsqueeze(2) & ~wanted.unsqueeze(1)
    zero = flambeau.zeros((), dtype=input.dtype, device=input.device)
    loss = flambeau.where(counted, margins, zero).sum((1, 2)) / classes
    return _reduce(loss if input.dim() == 2 else loss.squeeze(0), reduction)


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``log(1 + exp(-target * input))`` for targets of 1 and -1."""
    reduction = _legacy(size_average, reduce, reduction)
    return _reduce(flambeau.log1p(flambeau.exp(-target * input)), reduction)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Binary cross entropy of ``sigmoid(input)``, averaged over the classes (the last dimension)."""
    reduction = _legacy(size_average, reduce, reduction)
    loss = -(target * _C._nn.logsigmoid(input) + (1 - target) * _C._nn.logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return _reduce(loss.mean(-1), reduction)


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``1 - cos`` for targets of 1, ``max(0, cos - margin)`` for targets of -1.

    Shapes: two inputs ``(N, D)`` with target ``(N)``, or ``(D)`` with ``()``.
    """
    reduction = _legacy(size_average, reduce, reduction)
    if target.dim() not in (0, 1):
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if target.dim() == 1 and not (input1.dim() == input2.dim() == 2):
        raise RuntimeError(
            "1D target tensor expects 2D input tensors, but found inputs with sizes "
            f"{list(input1.shape)} and {list(input2.shape)}."
        )
    if target.dim() == 0 and not (input1.dim() == input2.dim() == 1):
        raise RuntimeError(
            "0D target tensor expects 1D input tensors, but found inputs with sizes "
            f"{list(input1.shape)} and {list(input2.shape)}."
        )
    tiny = 1e-12
    dot = (input1 * input2).sum(-1)
    lengths = ((input1 * input1).sum(-1) + tiny) * ((input2 * input2).sum(-1) + tiny)
    cosine = dot / flambeau.sqrt(lengths)
    zero = flambeau.zeros((), dtype=cosine.dtype, device=cosine.device)
    loss = flambeau.where(target == 1, 1 - cosine, zero)
    return _reduce(loss + flambeau.where(target == -1, (cosine - margin).clamp_min(0), zero), reduction)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, -target * (input1 - input2) + margin)``."""
    reduction = _legacy(size_average, reduce, reduction)
    if input1.dim() != input2.dim() or input1.dim() != target.dim():
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.size()}, input2: {input2.size()}, target: {target.size()} "
        )
    return _reduce((-target * (input1 - input2) + margin).clamp_min(0), reduction)


@per_slice
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, margin - x[y] + x[i]) ** p`` summed over the classes ``i`` other than ``y``, over their number.

    Shapes: input ``(N, C)`` or ``(C)``, target ``(N)`` or ``()``; ``weight`` has one factor per class.
    """
    reduction = _legacy(size_average, reduce, reduction)
    _check_reduction(reduction)
    if p != 1 and p != 2:
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.dim() != 1:
        raise ValueError("weight must be one-dimensional")
    if input.dim() > 2 or input.numel() == 0 and input.shape[-1:] == (0,):
        raise RuntimeError(
            "Expected non-empty vector or matrix with optional 0-dim batch size, but got: " + str(list(input.shape))
        )
    scores = input.reshape(-1, input.shape[-1]) if input.dim() else input.reshape(1, 1)
    labels = target.reshape(-1)
    if labels.numel() != scores.shape[0]:
        raise RuntimeError(
            f"inconsistent target size, expected {scores.shape[0]} but got {list(target.shape)}"
        )
    classes = scores.shape[1]
    if weight is not None and weight.numel() != classes:
        raise RuntimeError(f"inconsistent weight size, expected {classes} but got {list(weight.shape)}")
    if bool(((labels < 0) | (labels >= classes)).any()):
        raise RuntimeError("target out of range")
    index = labels.unsqueeze(1)
    margins = (margin - scores.gather(1, index) + scores).clamp_min(0)
    if p == 2:
        margins = margins * margins
    if weight is not None:
        margins = margins * weight.index_select(0, labels).unsqueeze(1)
    zero = flambeau.zeros((), dtype=input.dtype, device=input.device)
    others = flambeau.arange(classes, device=input.device) != index
    loss = flambeau.where(others, margins, zero).sum(1) / classes
    return _reduce(loss if target.dim() else loss.squeeze(0), reduction)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, d(anchor, positive) - d(anchor, negative) + margin)`` with the ``p``-norm as the distance.

    With ``swap`` the distance of positive and negative counts if it is the smaller one (Balntas et al. 2016).
    """
    reduction = _legacy(size_average, reduce, reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.dim() == positive.dim() == negative.dim():
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: "
            f"anchor {anchor.dim()}D, positive {positive.dim()}D, and negative {negative.dim()}D inputs"
        )
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = flambeau.minimum(far, pairwise_distance(positive, negative, p, eps))
    return _reduce((near - far + margin).clamp_min(0), reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """``triplet_margin_loss`` with a distance of one's own; the Euclidean one by default."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    distance = pairwise_distance if distance_function is None else distance_function
    if not anchor.dim() == positive.dim() == negative.dim():
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: "
            f"anchor {anchor.dim()}D, positive {positive.dim()}D, and negative {negative.dim()}D inputs"
        )
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = flambeau.minimum(far, distance(positive, negative))
    return _reduce((near - far + margin).clamp_min(0), reduction)


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor,
    target_lengths: Tensor,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Connectionist temporal classification (Graves et al. 2006): the loss of all alignments of a label sequence.

    Args:
        log_probs: logarithms of probabilities, ``(T, N, C)`` or ``(T, C)``.
        targets: labels without blanks, ``(N, S)`` or all sequences in one vector.
        input_lengths, target_lengths: the lengths of each sample, ``(N)``, tensors or tuples.
        blank: the class that stands for no label.
        reduction: "mean" divides each loss by the length of its target, then averages.
        zero_infinity: let samples whose target is too long for the input count for nothing.
    """
    return flambeau.ctc_loss(
        log_probs, targets, input_lengths, target_lengths, blank, _Reduction.get_enum(reduction), zero_infinity
    )
