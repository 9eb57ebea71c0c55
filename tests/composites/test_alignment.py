"""ctc_loss against counting all alignments one by one."""

import itertools
import math

import numpy as np
import pytest

import flambeau as torch
from flambeau.nn import functional as F


def collapse(path, blank):
    return [label for label, _ in itertools.groupby(path) if label != blank]


def by_counting(log_probs, target, blank):
    """-log of the probability of all paths that collapse to the target."""
    steps, classes = log_probs.shape
    total = sum(
        math.exp(sum(log_probs[t, c] for t, c in enumerate(path)))
        for path in itertools.product(range(classes), repeat=steps)
        if collapse(path, blank) == target
    )
    return -math.log(total) if total else math.inf


@pytest.mark.parametrize("blank", [0, 2])
def test_all_alignments_count(blank):
    torch.manual_seed(0)
    lp = torch.randn(5, 4, 3).double().log_softmax(2)
    labels = [c for c in range(3) if c != blank]
    targets = [[labels[0]], [labels[0], labels[0]], [labels[0], labels[1], labels[0]], []]
    times = [5, 4, 5, 3]
    wanted = [by_counting(lp[:t, i].numpy(), target, blank) for i, (t, target) in enumerate(zip(times, targets))]
    padded = torch.full((4, 3), -7)
    for i, target in enumerate(targets):
        padded[i, : len(target)] = torch.tensor(target, dtype=torch.int64)
    lengths = [len(t) for t in targets]
    got = F.ctc_loss(lp, padded, times, lengths, blank=blank, reduction="none")
    np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-9)
    flat = torch.tensor([c for target in targets for c in target])
    np.testing.assert_allclose(F.ctc_loss(lp, flat, torch.tensor(times), torch.tensor(lengths), blank, "sum"), sum(wanted))
    mean = np.mean([w / max(n, 1) for w, n in zip(wanted, lengths)])
    np.testing.assert_allclose(F.ctc_loss(lp, padded, times, lengths, blank), mean)
    alone = F.ctc_loss(lp[:, 2], torch.tensor(targets[2]), torch.tensor(5), torch.tensor(3), blank, "none")
    assert alone.shape == () and alone.item() == pytest.approx(wanted[2])


def test_impossible_targets():
    lp = torch.randn(2, 1, 3).log_softmax(2).requires_grad_()
    target = torch.tensor([[1, 1]])  # needs a blank between the two, so three steps
    assert F.ctc_loss(lp, target, [2], [2]).item() == math.inf
    loss = F.ctc_loss(lp, target, [2], [2], zero_infinity=True)
    loss.backward()
    assert loss.item() == 0 and not lp.grad.any()


def test_gradient_through_log_softmax():
    torch.manual_seed(1)
    logits = torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([[1, 2], [2, 0]])
    assert torch.autograd.gradcheck(lambda x: F.ctc_loss(x.log_softmax(2), target, [4, 3], [2, 1]), logits)


def test_lengths_are_checked():
    lp = torch.zeros(2, 1, 3)
    with pytest.raises(RuntimeError, match="input_lengths"):
        F.ctc_loss(lp, torch.tensor([[1]]), [3], [1])
    with pytest.raises(RuntimeError, match="size at least 2"):
        F.ctc_loss(lp, torch.tensor([[1]]), [2], [2])
    with pytest.raises(RuntimeError, match="blank must be in label range"):
        F.ctc_loss(lp, torch.tensor([[1]]), [2], [1], blank=3)
