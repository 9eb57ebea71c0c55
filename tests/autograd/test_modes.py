"""Modes of a thread: no_grad, enable_grad, set_grad_enabled, inference_mode; what each does to results, and how they nest."""

import gc
import threading

import pytest

import flambeau as torch


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


def test_no_grad_records_nothing():
    x = leaf(1.0, 2.0)
    with torch.no_grad():
        y = x * 2
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()
    assert not y.requires_grad and y.grad_fn is None
    assert (x * 2).requires_grad


def test_modes_nest_and_end_with_an_error():
    x = leaf(1.0)
    with torch.no_grad():
        with torch.enable_grad():
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad
        with torch.set_grad_enabled(True):
            assert (x * 2).requires_grad
    with pytest.raises(ZeroDivisionError), torch.no_grad():
        raise ZeroDivisionError
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_as_a_decorator(mode):
    @mode()
    def double(x):
        """twice x"""
        return x * 2

    assert double.__name__ == "double" and double.__doc__ == "twice x"
    assert not double(leaf(1.0)).requires_grad
    assert torch.is_grad_enabled()


def test_a_mode_belongs_to_its_thread():
    seen = []
    with torch.inference_mode():
        other = threading.Thread(target=lambda: seen.append((torch.is_grad_enabled(), torch.is_inference_mode_enabled())))
        other.start()
        other.join()
    assert seen == [(True, False)]


def test_what_inference_mode_makes():
    x = leaf(1.0, 2.0)
    with torch.inference_mode():
        assert torch.is_inference_mode_enabled() and not torch.is_grad_enabled()
        y = x * 2
        assert y.is_inference() and not y.requires_grad and not x.is_inference()
        assert torch.ones(2).is_inference()
        assert not x[:1].is_inference() and not x.view(2, 1).is_inference()  # views of normal tensors stay normal
        with torch.inference_mode(False):
            assert not torch.ones(2).is_inference()
    assert not torch.is_inference_mode_enabled()
    assert y[:1].is_inference() and not y.clone().is_inference()


def test_inference_tensors_change_only_in_their_mode():
    with torch.inference_mode():
        y = torch.ones(2)
        y.add_(1)
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor outside InferenceMode"):
        y.add_(1)
    with torch.inference_mode():
        y.add_(1)
    assert y.tolist() == [3.0, 3.0]
    z = y.clone()
    z.add_(1)
    assert z.tolist() == [4.0, 4.0]


# The one that cannot be saved is the first, the second, the third; others have been saved before it, or come after.
@pytest.mark.parametrize("place", range(3))
def test_inference_tensors_cannot_be_saved(place):
    operands = [leaf(1.0, 2.0) for _ in range(3)]
    with torch.inference_mode():
        operands[place] = torch.ones(2)
    for _ in range(50):
        with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward") as error:
            torch.addcmul(*operands) if place else operands[0] * operands[1]
    assert "inference_mode" in str(error.value)
    del error
    gc.collect()
    total = torch.addcmul(*(t.clone() for t in operands)).sum()
    total.backward()
    assert all((t.grad is None) == t.is_inference() for t in operands)


def test_inference_tensors_that_need_not_be_saved():
    x = leaf(1.0, 2.0)
    with torch.inference_mode():
        y = torch.ones(2)
    (x + y).sum().backward()  # the gradient of a sum reads neither
    assert x.grad.tolist() == [1.0, 1.0]
    with pytest.raises(RuntimeError):
        y.requires_grad_()
