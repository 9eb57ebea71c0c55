"""combinations: every choice once and in order, without a grid of all n ** r tuples."""

import itertools

import pytest

import flambeau as torch


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 7])
@pytest.mark.parametrize("r", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("again", [False, True])
def test_every_choice_in_order(n, r, again):
    rule = itertools.combinations_with_replacement if again else itertools.combinations
    found = torch.combinations(3 * torch.arange(n), r, again)
    assert [tuple(row) for row in found.tolist()] == list(rule(range(0, 3 * n, 3), r))
    assert found.shape[1] == r


def test_many_of_many():
    assert torch.combinations(torch.arange(20), 10).shape == (184756, 10)
    assert torch.combinations(torch.zeros(3), 2**31).shape == (0, 2**31)


@pytest.mark.parametrize("r", [2**31, 2**63 - 1])
def test_what_no_memory_holds_is_refused_at_once(r):
    with pytest.raises((RuntimeError, TypeError), match="overflowed|Overflow"):
        torch.combinations(torch.zeros(3), r, True)


def test_gradient():
    x = torch.randn(4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: torch.combinations(x, 3).prod(1), x)
