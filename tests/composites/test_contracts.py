"""What composites promise beyond values: views, out=, in-place forms, gradients, errors, reproducible draws."""

import numpy as np
import pytest

import flambeau as torch

# results that have to share the memory of their input
VIEWS = {
    "ravel": lambda x: torch.ravel(x),
    "unflatten": lambda x: torch.unflatten(x, 0, (1, 3)),
    "movedim": lambda x: torch.movedim(x, 0, 1),
    "adjoint": lambda x: torch.adjoint(x),
    "mT": lambda x: x.mT,
    "split": lambda x: torch.split(x, 2, 1)[1],
    "chunk": lambda x: torch.chunk(x, 2, 1)[0],
    "tensor_split": lambda x: torch.tensor_split(x, 2)[0],
    "unbind": lambda x: torch.unbind(x)[1],
    "broadcast_to": lambda x: torch.broadcast_to(x, (2, 3, 4)),
    "atleast_3d": lambda x: torch.atleast_3d(x),
    "einsum": lambda x: torch.einsum("ij->ji", x),
    "linalg.diagonal": lambda x: torch.linalg.diagonal(x),
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_share_memory(name):
    x = torch.ones(3, 4)
    result = VIEWS[name](x)
    x.fill_(7.0)
    assert bool((result == 7.0).all())


@pytest.mark.parametrize("name", ["repeat", "diag", "rot90", "narrow_copy"])
def test_copies_do_not(name):
    x = torch.ones(3, 3)
    result = {
        "repeat": lambda: x.repeat(1, 1), "diag": lambda: torch.diag(x), "rot90": lambda: torch.rot90(x, 0),
        "narrow_copy": lambda: torch.narrow_copy(x, 0, 0, 3),
    }[name]()
    x.fill_(7.0)
    assert bool((result == 1.0).all())


def test_out_is_filled_and_resized():
    x = torch.tensor([3.0, 4.0])
    out = torch.empty(0)
    assert torch.outer(x, x, out=out) is out
    np.testing.assert_array_equal(out.numpy(), [[9, 12], [12, 16]])


def test_out_refuses_a_narrower_kind():
    with pytest.raises(RuntimeError, match="can't be cast to the desired output type Long"):
        torch.std(torch.ones(3), out=torch.empty((), dtype=torch.int64))


def test_out_refuses_gradients():
    with pytest.raises(RuntimeError, match="don't support automatic differentiation"):
        torch.std(torch.ones(3, requires_grad=True), out=torch.empty(()))


def test_several_results_by_out():
    low, high = torch.empty(()), torch.empty(())
    result = torch.aminmax(torch.tensor([2.0, 5.0]), out=(low, high))
    assert result.min is low and result.max is high
    assert (low.item(), high.item()) == (2.0, 5.0)


def test_in_place_returns_the_tensor_and_checks_its_dtype():
    x = torch.tensor([4.0, 9.0])
    assert x.div_(2.0) is x
    np.testing.assert_array_equal(x.numpy(), [2, 4.5])
    with pytest.raises(RuntimeError, match="result type Float can't be cast"):
        torch.tensor([1]).div_(2)


def test_in_place_keeps_what_backward_needs():
    x = torch.tensor([0.25, 0.5], requires_grad=True)
    y = x.clone()
    y.logit_()
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [16 / 3, 4], rtol=1e-6)


GRADIENTS = {
    "std": (lambda x: torch.std(x).sum(), lambda x: (x - x.mean()) / (x.std(ddof=1) * (x.size - 1))),
    "norm": (lambda x: torch.linalg.norm(x), lambda x: x / np.linalg.norm(x)),
    "diag_embed": (lambda x: (torch.diag_embed(x, 1) * 2).sum(), lambda x: np.full_like(x, 2)),
    "quantile": (lambda x: torch.quantile(x, 0.0), lambda x: (x == x.min()).astype(x.dtype)),
    "cov": (lambda x: torch.cov(x), lambda x: 2 * (x - x.mean()) / (x.size - 1)),
    "outer": (lambda x: torch.outer(x, x).sum(), lambda x: np.full_like(x, 2 * x.sum())),
    "einsum": (lambda x: torch.einsum("i,i->", x, x), lambda x: 2 * x),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name):
    array = np.random.default_rng(1).normal(size=6)
    x = torch.from_numpy(array).requires_grad_(True)
    ours, theirs = GRADIENTS[name]
    ours(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), theirs(array), rtol=1e-9, atol=1e-12)


def test_the_gradient_of_a_vanishing_deviation_is_zero():
    x = torch.ones(4, requires_grad=True)
    torch.std(x).backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.zeros(4))


ERRORS = {
    "unflatten": (lambda: torch.unflatten(torch.ones(5), 0, (2, 2)), RuntimeError, "don't multiply up to the size"),
    "split": (lambda: torch.split(torch.ones(3), -1), RuntimeError, "split_size be non-negative"),
    "movedim": (lambda: torch.movedim(torch.ones(2, 2), (0, 1), 0), RuntimeError, "Invalid source or destination dims"),
    "wrong dim": (lambda: torch.std(torch.ones(2), 3), IndexError, "Dimension out of range"),
    "repeated dim": (lambda: torch.var(torch.ones(2, 2), (0, 0)), RuntimeError, "appears multiple times"),
    "std of integers": (lambda: torch.std(torch.tensor([1, 2])), RuntimeError, "only support floating point"),
    "dot": (lambda: torch.dot(torch.ones(2), torch.ones(3)), RuntimeError, "inconsistent tensor size"),
    "einsum letters": (lambda: torch.einsum("i1", torch.ones(2, 2)), RuntimeError, "subscripts must be in"),
    "einsum sizes": (lambda: torch.einsum("i,i", torch.ones(2), torch.ones(3)), RuntimeError, "do not broadcast"),
    "quantile": (lambda: torch.quantile(torch.ones(3), 2.0), RuntimeError, "in the range"),
    "clamp": (lambda: torch.clamp(torch.ones(3)), RuntimeError, "At least one of"),
    "eye": (lambda: torch.eye(-1), RuntimeError, "n must be greater or equal to 0"),
    "zeros": (lambda: torch.zeros(-1), RuntimeError, "negative dimension"),
    "trace": (lambda: torch.trace(torch.ones(3)), RuntimeError, "expected a matrix"),
    "empty max": (lambda: torch.max(torch.ones(0)), RuntimeError, "Specify the reduction dim"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    call, kind, phrase = ERRORS[name]
    with pytest.raises(kind, match=phrase):
        call()


@pytest.mark.parametrize("draw", [
    lambda: torch.rand(50), lambda: torch.randn(50), lambda: torch.randint(0, 9, (50,)),
    lambda: torch.normal(torch.zeros(50), 2.0), lambda: torch.bernoulli(torch.full((50,), 0.4)),
    lambda: torch.zeros(50).cauchy_(), lambda: torch.zeros(50).geometric_(0.3), lambda: torch.zeros(50).log_normal_(),
])
def test_seeds_reproduce_draws(draw):
    torch.manual_seed(3)
    first = draw()
    torch.manual_seed(3)
    assert torch.equal(first, draw())
    assert not torch.equal(first, draw())


def test_masked_reductions_skip_what_is_left_out():
    x, mask = torch.tensor([1.0, 50.0, 3.0]), torch.tensor([True, False, True])
    assert torch.masked.mean(x, 0, mask=mask).item() == 2.0
    assert torch.masked.amax(x, 0, mask=mask).item() == 3.0
    np.testing.assert_allclose(torch.masked.softmax(x * 0, 0, mask=mask).numpy(), [0.5, 0, 0.5])


def test_windows():
    hann = torch.hann_window(8, periodic=False, dtype=torch.float64)
    np.testing.assert_allclose(hann.numpy(), np.hanning(8), atol=1e-12)
    kaiser = torch.signal.windows.kaiser(9, beta=4.0, dtype=torch.float64)
    np.testing.assert_allclose(kaiser.numpy(), np.kaiser(9, 4.0), atol=1e-6)
