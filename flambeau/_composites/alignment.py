"""Connectionist temporal classification (Graves et al. 2006): losses over all alignments of a label sequence."""

from __future__ import annotations

import math
from typing import Any

from ._primitives import P, Tensor
from .helpers import error
from .registry import composite

NEVER = -1e30  # stands for log(0): with an infinity, differences of two of them would be NaN in the gradient


@composite(method=False)
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: int = 1,
    zero_infinity: bool = False,
) -> Tensor:
    """-log of the probability of a label sequence, summed over its alignments with the input.

    log_probs (T, N, C) or (T, C); targets (N, S) or all in one vector; reduction: 0 none, 1 mean, 2 sum. The gradient
    is that of log_softmax and the loss together, as PyTorch has it.

    >>> torch.ctc_loss(torch.log(torch.tensor([[[0.5, 0.5]]])), torch.tensor([[1]]), [1], [1])
    tensor(0.6931)
    """
    single = log_probs.dim() == 2
    if single:
        log_probs = P.unsqueeze(log_probs, 1)
    steps, batch, classes = log_probs.shape
    if not 0 <= blank < classes:
        raise error(RuntimeError, "blank must be in label range", "ctc_loss", f"a class below {classes}", blank)
    times = lengths_of(input_lengths, "input", batch, steps)
    counts = lengths_of(target_lengths, "target", batch, None)
    labels = label_rows(P.unsqueeze(targets, 0) if single and targets.dim() == 1 else targets, counts, blank)
    loss = negative_log(log_probs, labels, times, counts, blank)
    impossible = P.gt(loss, -NEVER / 2)
    loss = P.where(impossible, 0.0 if zero_infinity else math.inf, loss)
    # the part of the gradient that log_softmax takes away again; worth nothing itself
    inside = P.lt(P.unsqueeze(P.arange(steps), 1), P.unsqueeze(times, 0))
    kept = P.logical_and(inside, P.unsqueeze(P.logical_not(impossible), 0)) if zero_infinity else inside
    mass = P.sum(P.where(kept, P.sum(P.exp(log_probs), (2,)), 0.0), (0,))
    loss = P.add(loss, P.sub(mass, P.detach(mass)))
    if reduction == 1:
        return P.mean(P.div(loss, P.clamp_min(P.to(counts, loss.dtype), 1)), (0,))
    return P.sum(loss, (0,)) if reduction == 2 else P.select(loss, 0, 0) if single else loss


def lengths_of(lengths: Any, kind: str, batch: int, most: int | None) -> Tensor:
    """Lengths, given as a tensor or a sequence, as a vector with one for each sample."""
    values = lengths.tolist() if isinstance(lengths, Tensor) else lengths
    values = [values] if isinstance(values, int) else list(values)
    if len(values) != batch:
        raise error(RuntimeError, f"{kind}_lengths must be of size batch_size", "ctc_loss", f"{batch} lengths", lengths)
    if values and (min(values) < 0 or most is not None and max(values) > most):
        phrase = f"Expected {kind}_lengths to have value at most {most}, but got value {max(values)}"
        raise error(RuntimeError, phrase if min(values) >= 0 else f"{kind}_lengths must be non-negative")
    return P.cat([P.full((1,), value, dtype=P.int64) for value in values]) if values else P.full((0,), 0, dtype=P.int64)


def label_rows(targets: Tensor, counts: Tensor, blank: int) -> Tensor:
    """The labels, a row for each sample, with blanks behind the end."""
    values: list[int] = counts.tolist()
    longest = max(values, default=0)
    if targets.dim() == 1:
        if sum(values) > targets.numel():
            phrase = "Expected targets to have at least as many elements as target_lengths add up to"
            raise error(RuntimeError, phrase, "ctc_loss", f"{sum(values)} labels", targets)
        starts = [sum(values[:i]) for i in range(len(values))]
        parts = [P.slice(targets, 0, start, start + n) for start, n in zip(starts, values)]
    else:
        if longest > targets.shape[1]:
            phrase = f"Expected tensor to have size at least {longest} at dimension 1, but got size {targets.shape[1]}"
            raise error(RuntimeError, phrase, "ctc_loss", f"rows of {longest} labels", targets)
        parts = [P.slice(P.select(targets, 0, i), 0, 0, n) for i, n in enumerate(values)]
    padded = [P.pad_constant(P.to(part, P.int64), (0, longest - part.shape[0]), blank) for part in parts]
    return P.stack(padded) if padded else P.full((0, 0), blank, dtype=P.int64)


def negative_log(log_probs: Tensor, labels: Tensor, times: Tensor, counts: Tensor, blank: int) -> Tensor:
    """The loss of each sample: the forward recursion over labels with a blank before, between and behind them."""
    steps, batch, _ = log_probs.shape
    silent = P.full((batch, 1), blank, dtype=P.int64)
    pairs = P.reshape(P.stack([P.expand(silent, tuple(labels.shape)), labels], 2), (batch, 2 * labels.shape[1]))
    path = P.cat([pairs, silent], 1)
    length = path.shape[1]
    emitted = P.gather(log_probs, 2, P.expand(P.unsqueeze(path, 0), (steps, batch, length)))
    emitted = P.clamp_min(emitted, NEVER)
    # a label may follow another one without a blank between them, unless it is the same
    skips = P.logical_and(P.ne(path, blank), P.ne(path, shifted(path, 2, -1)))
    begins = P.lt(P.arange(length), 2)
    first = P.select(emitted, 0, 0) if steps else P.full((batch, length), NEVER, dtype=log_probs.dtype)
    alpha = P.where(begins, first, NEVER)
    for t in range(1, steps):
        skipped = P.where(skips, shifted(alpha, 2, NEVER), NEVER)
        ways = P.stack([alpha, shifted(alpha, 1, NEVER), skipped])
        reached = P.add(P.logsumexp(ways, (0,), False), P.select(emitted, 0, t))
        alpha = P.where(P.unsqueeze(P.lt(t, times), 1), P.clamp_min(reached, NEVER), alpha)
    last = P.unsqueeze(P.mul(counts, 2), 1)
    ends = P.gather(alpha, 1, P.cat([last, P.clamp_min(P.sub(last, 1), 0)], 1))
    ends = P.where(P.cat([P.ge(last, 0), P.gt(last, 0)], 1), ends, NEVER)
    return P.neg(P.logsumexp(ends, (1,), False))


def shifted(rows: Tensor, by: int, value: float) -> Tensor:
    """Rows moved to the right, `value` at their beginning."""
    return P.pad_constant(P.slice(rows, 1, 0, max(rows.shape[1] - by, 0)), (min(by, rows.shape[1]), 0), value)
