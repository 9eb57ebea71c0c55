"""assert_close: what it accepts, what it refuses, and what it says."""

import numpy as np
import pytest

import flambeau as torch
from flambeau.testing import assert_close


@pytest.mark.parametrize(
    ("actual", "expected", "options"),
    [
        (torch.ones(2), torch.ones(2) * (1 + 1e-6), {}),
        (1.0, 1.0 + 1e-8, {}),
        (3, 3, {}),
        ([torch.ones(1), 2.0], [torch.ones(1), 2.0], {}),
        ({"a": torch.ones(1), "b": None}, {"a": torch.ones(1), "b": None}, {}),
        (torch.tensor(float("nan")), torch.tensor(float("nan")), {"equal_nan": True}),
        (torch.ones(2), torch.ones(2).double(), {"check_dtype": False}),
        (torch.ones(2), 1.1 * torch.ones(2), {"rtol": 0.2, "atol": 0.0}),
        (np.ones(2), np.ones(2), {}),
        (torch.tensor([float("inf")]), torch.tensor([float("inf")]), {}),
        (torch.tensor([1 + 1j]), torch.tensor([1 + 1j]), {}),
        (True, True, {}),
    ],
)
def test_close(actual, expected, options):
    assert_close(actual, expected, **options)


@pytest.mark.parametrize(
    ("actual", "expected", "text"),
    [
        (torch.ones(2), torch.tensor([1.0, 1.1]), "Tensor-likes are not close!"),
        (torch.tensor([1, 2]), torch.tensor([1, 3]), "Tensor-likes are not equal!"),
        (torch.ones(2), torch.ones(3), "The values for attribute 'shape' do not match: torch.Size([2]) != torch.Size([3])."),
        (torch.ones(2), torch.ones(2).double(), "The values for attribute 'dtype' do not match: torch.float32 != torch.float64."),
        (1, 2, "Scalars are not equal!"),
        (1.0, 2.0, "Expected 2.0 but got 1.0."),
        (torch.tensor(float("nan")), torch.tensor(float("nan")), "Scalars are not close!"),
        ([1], [1, 2], "The length of the sequences mismatch: 1 != 2"),
        ({"a": 1}, {"b": 1}, "The keys of the mappings do not match:"),
        ({"a": [1.0, 5.0]}, {"a": [1.0, 2.0]}, "The failure occurred for item ['a'][1]"),
        (torch.ones(2, 2), torch.tensor([[1, 1.1], [1, 3]]), "Mismatched elements: 2 / 4 (50.0%)"),
        (torch.ones(2, 2), torch.tensor([[1, 1.1], [1, 3]]), "Greatest absolute difference: 2.0 at index (1, 1) (up to 1e-05 allowed)"),
        (None, torch.ones(1), "None mismatch"),
        (True, False, "Booleans mismatch: True is not False"),
    ],
)
def test_not_close(actual, expected, text):
    with pytest.raises(AssertionError) as caught:
        assert_close(actual, expected)
    assert text in str(caught.value)


def test_messages_of_ones_own():
    with pytest.raises(AssertionError, match="^mine$"):
        assert_close(1, 2, msg="mine")
    with pytest.raises(AssertionError, match="^mine: Scalars"):
        assert_close(1, 2, msg=lambda text: f"mine: {text}")


def test_misuse_is_not_an_assertion():
    with pytest.raises(TypeError, match="No comparison pair"):
        assert_close(torch.ones(2), [1.0, 1.0])
    with pytest.raises(ValueError, match="specified"):
        assert_close(torch.ones(2), torch.ones(2), rtol=0.1)


def test_make_tensor():
    x = torch.testing.make_tensor(3, 4, dtype=torch.float32, device="cpu", low=1, high=2, noncontiguous=True, requires_grad=True)
    assert x.shape == (3, 4) and not x.is_contiguous() and x.requires_grad and x.min() >= 1 and x.max() <= 2
    assert torch.testing.make_tensor((5,), dtype=torch.int64, device="cpu").dtype is torch.int64
