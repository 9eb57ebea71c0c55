"""The text of tensors: fixed expectations (tests/oracle/test_text.py compares many more with PyTorch)."""

import flambeau as torch


def test_numbers():
    assert repr(torch.tensor([1.0, 2.5, -3.25])) == "tensor([ 1.0000,  2.5000, -3.2500])"
    assert repr(torch.tensor([1, -20])) == "tensor([  1, -20])"
    assert repr(torch.tensor([1.0, float("nan"), float("inf")])) == "tensor([1., nan, inf])"
    assert repr(torch.tensor([1e-5, 1.0])) == "tensor([1.0000e-05, 1.0000e+00])"
    assert repr(torch.tensor(3.14159)) == "tensor(3.1416)"
    assert repr(torch.tensor([True, False])) == "tensor([ True, False])"
    assert repr(torch.tensor([1 + 2j])) == "tensor([1.+2.j])"


def test_layout():
    assert repr(torch.arange(6).reshape(2, 3)) == "tensor([[0, 1, 2],\n        [3, 4, 5]])"
    assert repr(torch.zeros(2, 1, 2)) == "tensor([[[0., 0.]],\n\n        [[0., 0.]]])"
    assert repr(torch.arange(1001)) == "tensor([   0,    1,    2,  ...,  998,  999, 1000])"
    assert repr(torch.empty(2, 0)) == "tensor([], size=(2, 0))"


def test_notes():
    assert repr(torch.ones(1, dtype=torch.float64)) == "tensor([1.], dtype=torch.float64)"
    x = torch.ones(2, requires_grad=True)
    assert repr(x) == "tensor([1., 1.], requires_grad=True)"
    assert repr(x * 2) == "tensor([2., 2.], grad_fn=<MulBackward0>)"
    assert repr(torch.nn.Parameter(torch.ones(1))) == "Parameter containing:\ntensor([1.], requires_grad=True)"


def test_options_return_to_their_defaults():
    torch.set_printoptions(precision=2)
    try:
        assert repr(torch.tensor([0.12344])) == "tensor([0.12])"
    finally:
        torch.set_printoptions(profile="default")
    assert repr(torch.tensor([0.12344])) == "tensor([0.1234])"
