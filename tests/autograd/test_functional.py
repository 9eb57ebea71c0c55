"""autograd.functional, forward_ad, gradcheck and checkpointing against closed forms and finite differences."""

import warnings

import numpy as np
import pytest

import flambeau as torch
from flambeau.autograd import forward_ad, functional, gradcheck, gradgradcheck
from flambeau.utils.checkpoint import checkpoint, checkpoint_sequential


def double(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).uniform(0.3, 1.5, shape))


def numeric_jacobian(f, x, eps=1e-6):
    columns = []
    for i in np.ndindex(*x.shape):
        step = np.zeros(x.shape)
        step[i] = eps
        columns.append((f(x + step) - f(x - step)) / (2 * eps))
    return np.stack(columns, -1)


def f(x):
    return (x.sin() * x.sum()).cumsum(0) if x.dim() else x.sin()


def f_numpy(x):
    return np.cumsum(np.sin(x) * x.sum())


@pytest.mark.parametrize("options", [{}, {"vectorize": True}, {"vectorize": True, "strategy": "forward-mode"}, {
    "create_graph": True}])
def test_jacobian(options):
    x = double(4)
    found = functional.jacobian(f, x, **options)
    np.testing.assert_allclose(found.detach().numpy(), numeric_jacobian(f_numpy, x.numpy()), rtol=1e-6, atol=1e-8)


def test_jacobian_of_several_inputs_and_outputs():
    x, y = double(2), double(3)
    found = functional.jacobian(lambda a, b: (a.sum() * b, a), (x, y))
    assert [[tuple(p.shape) for p in row] for row in found] == [[(3, 2), (3, 3)], [(2, 2), (2, 3)]]
    np.testing.assert_allclose(found[0][1].numpy(), np.eye(3) * x.numpy().sum())
    assert not found[1][1].any()


@pytest.mark.parametrize("options", [{}, {"vectorize": True}, {"vectorize": True, "outer_jacobian_strategy":
    "forward-mode"}])
def test_hessian(options):
    x = double(3)
    found = functional.hessian(lambda t: (t**3).sum() * t[0], x, **options)

    def gradient(v):
        return 3 * v**2 * v[0] + np.eye(3)[0] * (v**3).sum()

    np.testing.assert_allclose(found.numpy(), numeric_jacobian(gradient, x.numpy()), rtol=1e-6)


def test_products():
    x, v = double(3), double(3, seed=1)
    jacobian = numeric_jacobian(f_numpy, x.numpy())
    np.testing.assert_allclose(functional.vjp(f, x, v)[1].numpy(), v.numpy() @ jacobian, rtol=1e-6)
    np.testing.assert_allclose(functional.jvp(f, x, v)[1].numpy(), jacobian @ v.numpy(), rtol=1e-6)
    hessian = functional.hessian(lambda t: f(t).sum(), x).numpy()
    for product in (functional.hvp, functional.vhp):
        np.testing.assert_allclose(product(lambda t: f(t).sum(), x, v)[1].numpy(), hessian @ v.numpy(), rtol=1e-6)


def test_what_functional_refuses():
    x = torch.ones(2)
    with pytest.raises(TypeError, match="The inputs given to vjp must be either a Tensor or a tuple of Tensors"):
        functional.vjp(f, 3)
    with pytest.raises(RuntimeError, match="The vector v can only be None if the user-provided function returns"):
        functional.vjp(lambda t: t, x)
    with pytest.raises(RuntimeError, match="v has invalid size"):
        functional.vjp(lambda t: t, x, torch.ones(3))
    with pytest.raises(RuntimeError, match="should contain a single element"):
        functional.hessian(lambda t: t, x)
    with pytest.raises(RuntimeError, match="does not require gradients"):
        functional.jacobian(lambda t: torch.ones(2), x, strict=True)


# ---- dual numbers ----


def test_dual_level():
    x, t = double(3), double(3, seed=1)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, t)
        primal, tangent = forward_ad.unpack_dual(dual.exp() * 2)
        assert forward_ad.unpack_dual(x).tangent is None
    np.testing.assert_allclose(primal.numpy(), 2 * np.exp(x.numpy()))
    np.testing.assert_allclose(tangent.numpy(), 2 * np.exp(x.numpy()) * t.numpy())
    with pytest.raises(RuntimeError, match="no level exists"):
        forward_ad.make_dual(x, t)


def test_dual_of_a_custom_function():
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(x):
            return x**3

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(inputs[0])
            ctx.save_for_forward(inputs[0])

        @staticmethod
        def backward(ctx, g):
            return 3 * ctx.saved_tensors[0] ** 2 * g

        @staticmethod
        def jvp(ctx, t):
            return 30 * ctx.saved_for_forward[0] ** 2 * t  # ten times too much, to be seen

    x = double(2)
    with forward_ad.dual_level():
        found = forward_ad.unpack_dual(Cube.apply(forward_ad.make_dual(x, torch.ones_like(x)))).tangent
    np.testing.assert_allclose(found.numpy(), 30 * x.numpy() ** 2)


# ---- gradcheck ----


def test_gradcheck_accepts_what_is_right():
    x, y = double(2, 3).requires_grad_(), double(3, seed=1).requires_grad_()
    assert gradcheck(lambda a, b: (a * b).sin().sum(1), (x, y), check_forward_ad=True, check_batched_grad=True)
    assert gradcheck(lambda a: a.exp(), (x,), fast_mode=True)
    assert gradgradcheck(lambda a, b: (a * b).sin(), (x, y))


def test_gradcheck_of_complex_functions():
    z = torch.tensor([0.3 + 0.4j, -0.5 + 0.2j], dtype=torch.complex128, requires_grad=True)
    assert gradcheck(lambda a: (a * a.conj()).real.sum() + a.abs().sum(), (z,), check_forward_ad=True)
    assert gradcheck(lambda a: a.exp() * 1j, (z,), check_forward_ad=True)


def test_gradcheck_refuses_what_is_wrong():
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 3

    x = double(2).requires_grad_()
    with pytest.raises(torch.autograd.checks.GradcheckError, match="Jacobian mismatch for output 0 with respect to "
                                                                   "input 0"):
        gradcheck(Wrong.apply, (x,))
    assert not gradcheck(Wrong.apply, (x,), raise_exception=False)
    with pytest.raises(torch.autograd.checks.GradcheckError, match="Numerical gradient for function expected to be "
                                                                   "zero"):
        gradcheck(lambda t: t.detach() * 2, (x,))
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        gradcheck(lambda t: t, (double(2),))


# ---- checkpointing ----


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoint_gives_the_same_gradients(reentrant):
    runs = []

    def part(a, b):
        runs.append(1)
        return torch.nn.functional.dropout((a * b).exp(), 0.5, True)

    found = []
    for kept in (True, False):
        a, b = double(50).requires_grad_(), double(50, seed=1).requires_grad_()
        torch.manual_seed(0)
        y = part(a, b) if kept else checkpoint(part, a, b, use_reentrant=reentrant)
        (y * y).sum().backward()
        found.append((a.grad, b.grad))
    assert len(runs) == 3
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_checkpoint_without_reentry_serves_grad_and_keywords():
    x = double(3).requires_grad_()
    (g,) = torch.autograd.grad(checkpoint(lambda a, power=1: (a**power).sum(), x, power=3, use_reentrant=False), x)
    np.testing.assert_allclose(g.numpy(), 3 * x.detach().numpy() ** 2)
    with pytest.raises(ValueError, match="Unexpected keyword arguments"):
        checkpoint(f, x, use_reentrant=True, power=2)


def test_checkpoint_sees_a_different_second_run():
    x, runs = double(3).requires_grad_(), []

    def changing(a):
        runs.append(1)
        return a.cos().exp() if len(runs) == 1 else a.exp()

    y = checkpoint(changing, x, use_reentrant=False)
    with pytest.raises(RuntimeError, match="different number of tensors"):
        y.sum().backward()


def test_checkpoint_sequential():
    layers = torch.nn.Sequential(*(torch.nn.Linear(4, 4) for _ in range(4)))
    x = torch.randn(2, 4, requires_grad=True)
    expected = torch.autograd.grad(layers(x).sum(), [x, *layers.parameters()])
    found = torch.autograd.grad(checkpoint_sequential(layers, 2, x, use_reentrant=False).sum(), [x, *layers.parameters()])
    for one, other in zip(expected, found, strict=True):
        assert torch.allclose(one, other)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checkpoint(torch.sin, x, use_reentrant=False)
    with pytest.warns(UserWarning, match="use_reentrant"):
        checkpoint(torch.sin, x)
