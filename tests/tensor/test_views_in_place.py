"""x.t_() and its like: the tensor becomes another view of its memory."""

import pytest

import flambeau as torch


def test_geometry_changes_and_memory_stays():
    x = torch.arange(6.0).reshape(2, 3)
    address = x.data_ptr()
    assert x.t_() is x and x.shape == (3, 2) and x.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert x.transpose_(0, 1).unsqueeze_(0).shape == (1, 2, 3)
    assert x.squeeze_().shape == (2, 3) and x.swapaxes_(0, 1).shape == (3, 2)
    assert x.as_strided_((2, 2), (3, 1)).tolist() == [[0, 1], [3, 4]] and x.data_ptr() == address


def test_history_goes_on():
    w = torch.arange(6.0).reshape(2, 3).requires_grad_()
    y = w * 2
    y.t_()
    assert y.grad_fn.name().startswith("T")
    y.unsqueeze_(0)
    (y * torch.arange(6.0).reshape(1, 3, 2)).sum().backward()
    assert w.grad.tolist() == [[0, 4, 8], [2, 6, 10]]


def test_view_of_a_base_still_reaches_it():
    base = torch.zeros(2, 3, requires_grad=True) * 1
    row = base[0]
    row.unsqueeze_(1)
    row.mul_(0).add_(torch.tensor([[1.0], [2.0], [3.0]]))
    assert base[0].tolist() == [1, 2, 3]


def test_leaves_that_require_grad_refuse():
    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        torch.ones(2, 2, requires_grad=True).t_()
    w = torch.ones(2, 3, requires_grad=True)
    with torch.no_grad():
        assert w.t_().shape == (3, 2) and w.requires_grad


def test_parts_of_complex_numbers_can_be_assigned():
    z = torch.tensor([1 + 2j, 3 - 4j])
    z.imag = torch.zeros(2)
    z.real = 5
    assert z.tolist() == [5, 5]
