"""func.*: derivatives against finite differences, and transforms nested in each other."""

import numpy as np
import pytest

import flambeau as torch
from flambeau.func import (
    functional_call,
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    stack_module_state,
    vjp,
    vmap,
)  # fmt: skip


def double(*shape, seed=0, low=0.3, high=1.5):
    return torch.from_numpy(np.random.default_rng(seed).uniform(low, high, shape))


def directional(f, x, t, eps=1e-6):
    """The derivative of f (tensor to tensor) at x in direction t by central differences."""
    x, t = x.numpy(), t.numpy()
    high, low = (f(torch.from_numpy(np.array(x + sign * eps * t))).numpy() for sign in (1, -1))
    return (high - low) / (2 * eps)


def in_place(x):
    y = x * 2
    y[0] = x[1] * x[1]
    y.mul_(x)
    y.t()[1].add_(x[:, 0])
    return y


def written(x):
    out = torch.zeros(3, 4, dtype=torch.float64)
    out[1:] = x[:2].exp()
    row = out[0]
    row.copy_(x[2])
    row.mul_(x[0])
    return out


FUNCTIONS = {
    "elementwise": lambda x: (x.sin() * x.log() + x**2.5) / (1 + x.exp()),
    "where": lambda x: torch.where(x > 0.8, x * x, x.sqrt()),
    "reductions": lambda x: x.sum(0) * x.mean() + x.var(0) + x.prod(1).sum() + x.logsumexp(0) + x.amax(0),
    "softmax": lambda x: x.softmax(1).log() + x.log_softmax(0),
    "views": lambda x: x.t().reshape(2, 6)[:, 1:4].unsqueeze(0).expand(3, 2, 3) * x.diagonal().sum(),
    "matmul": lambda x: x @ x.t() @ x + torch.nn.functional.linear(x, x[:2].sin()).sum(),
    "bias": lambda x: torch.nn.functional.linear(x, x, x.sum(1)),
    "joined": lambda x: torch.cat([x, x * 2], 1).flip(1).roll(1, 0) + torch.stack([x[:, 0], x[:, 1]], 1).repeat(1, 4),
    "indexing": lambda x: x[torch.tensor([2, 0])] * x.gather(1, torch.tensor([[0, 1, 1, 0], [1, 1, 2, 3]])),
    "scatter": lambda x: x.scatter_add(1, torch.tensor([[0, 0, 1, 3]] * 3), x * x) + x.index_add(0, torch.tensor([0, 0]), x[:2] * 3),
    "extremes": lambda x: x.max(1).values + x.min(1).values + x.sort(1).values[:, 2],
    "norms": lambda x: torch.nn.functional.layer_norm(x, (4,)) + x.norm() + torch.nn.functional.group_norm(x, 2),
    "convolution": lambda x: torch.nn.functional.conv1d(x.unsqueeze(0), x.reshape(2, 3, 2), x[0, :2], padding=1),
    "loss": lambda x: torch.nn.functional.cross_entropy(x, torch.tensor([0, 3, 1])),
    "in_place": in_place,
    "written": written,
    "pad": lambda x: torch.nn.functional.pad(x, (1, 2), value=3.0).tril(1),
    "cumulative": lambda x: x.cumsum(1) + x.cumprod(0),
}


@pytest.fixture(params=sorted(FUNCTIONS))
def function(request):
    return FUNCTIONS[request.param]


@pytest.fixture(params=sorted(set(FUNCTIONS) - {"written"}))  # that changes an unbatched tensor in place
def batchable(request):
    return FUNCTIONS[request.param]


def test_jvp_against_differences(function):
    x, t = double(3, 4), double(3, 4, seed=1)
    value, tangent = jvp(function, (x,), (t,))
    np.testing.assert_allclose(value.numpy(), function(x).numpy())
    np.testing.assert_allclose(tangent.numpy(), directional(function, x, t), rtol=2e-6, atol=1e-8)


def test_vjp_is_the_transpose_of_jvp(function):
    x, t = double(3, 4), double(3, 4, seed=1)
    value, pull = vjp(function, x)
    tangent = jvp(function, (x,), (t,))[1]
    u = double(*value.shape, seed=2)
    np.testing.assert_allclose((pull(u)[0] * t).sum().item(), (u * tangent).sum().item(), rtol=1e-9)
    assert not pull(u)[0].requires_grad


def test_vmap_equals_a_loop(batchable):
    x = double(5, 3, 4)
    expected = np.stack([batchable(x[i]).numpy() for i in range(5)])
    np.testing.assert_allclose(vmap(batchable)(x).numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(vmap(batchable, in_dims=2)(x.permute(1, 2, 0)).numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(vmap(batchable, in_dims=-1, chunk_size=2)(x.permute(1, 2, 0)).numpy(), expected, rtol=1e-12)


def test_vmap_of_jvp_and_jvp_of_vmap(batchable):
    x, t = double(4, 3, 4), double(4, 3, 4, seed=1)
    expected = np.stack([jvp(batchable, (x[i],), (t[i],))[1].numpy() for i in range(4)])
    inside = vmap(lambda a, b: jvp(batchable, (a,), (b,))[1])(x, t)
    outside = jvp(vmap(batchable), (x,), (t,))[1]
    np.testing.assert_allclose(inside.numpy(), expected, rtol=1e-9)
    np.testing.assert_allclose(outside.numpy(), expected, rtol=1e-9)


def test_vmap_of_grad_and_grad_of_vmap(batchable):
    x = double(4, 3, 4)

    def total(a):
        return (batchable(a) * 0.7).sin().sum()

    expected = np.stack([grad(total)(x[i]).numpy() for i in range(4)])
    np.testing.assert_allclose(vmap(grad(total))(x).numpy(), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(grad(lambda a: vmap(total)(a).sum())(x).numpy(), expected, rtol=1e-9, atol=1e-12)


def test_second_derivatives_by_all_routes(function):
    x, t = double(3, 4), double(3, 4, seed=1)

    def total(a):
        return (function(a) * 0.7).sin().sum()

    expected = directional(grad(total), x, t)
    forward_over_reverse = jvp(grad(total), (x,), (t,))[1]
    reverse_over_reverse = grad(lambda a: (grad(total)(a) * t).sum())(x)
    reverse_over_forward = grad(lambda a: jvp(total, (a,), (t,))[1])(x)
    for found in (forward_over_reverse, reverse_over_reverse, reverse_over_forward):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_jacobians_agree(function):
    x = double(3, 4)
    reverse, forward = jacrev(function)(x), jacfwd(function)(x)
    assert reverse.shape == (*function(x).shape, 3, 4)
    np.testing.assert_allclose(reverse.numpy(), forward.numpy(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(jacrev(function, chunk_size=3)(x).numpy(), reverse.numpy(), rtol=1e-9, atol=1e-12)


def test_levels_are_not_confused():
    one = torch.tensor(1.0)
    assert grad(lambda x: x * grad(lambda y: x + y)(one))(one).item() == 1.0
    assert jvp(lambda x: x * jvp(lambda y: x + y, (one,), (one,))[1], (one,), (one,))[1].item() == 1.0
    third = grad(grad(grad(lambda x: x**4)))
    assert third(torch.tensor(2.0)).item() == 48.0


def test_grad_of_several_arguments_and_aux():
    a, b = double(2), double(2, seed=1)
    (ga, gb), aux = grad(lambda x, y: ((x * y).sum(), x * 2), argnums=(0, 1), has_aux=True)(a, b)
    assert torch.equal(ga, b) and torch.equal(gb, a) and torch.equal(aux, a * 2)
    gradient, value = grad_and_value(lambda x: (x["a"] ** 2).sum())({"a": a})
    assert torch.allclose(gradient["a"], 2 * a) and value.item() == pytest.approx((a * a).sum().item())


def test_unused_inputs_get_zeros():
    a, b = double(2), double(2)
    assert not grad(lambda x, y: x.sum(), argnums=1)(a, b).any()
    assert not jvp(lambda x: torch.ones(3), (a,), (b,))[1].any()


def test_transforms_inside_the_plain_graph():
    x, w = double(3), double(3, seed=1).requires_grad_()
    gradient = grad(lambda a: (a * a * w).sum())(x)
    assert gradient.requires_grad
    gradient.sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), 2 * x.numpy())
    with torch.no_grad():
        quiet = grad(lambda a: (a * a * w).sum())(x)
    assert not quiet.requires_grad and torch.equal(quiet, gradient)


def test_what_is_changed_in_place_outside_keeps_its_value_only():
    held = torch.zeros(2, dtype=torch.float64)

    def f(x):
        held.add_(x)
        return (held * x).sum()

    x = double(2)
    assert torch.allclose(grad(f)(x), 2 * x)
    assert torch.equal(held, x) and not held.requires_grad and held.is_leaf


def test_hessian_and_linearize():
    x = double(3)
    np.testing.assert_allclose(hessian(lambda a: (a**3).sum())(x).numpy(), np.diag(6 * x.numpy()))
    _, push = linearize(torch.sin, x)
    np.testing.assert_allclose(push(torch.ones_like(x)).numpy(), np.cos(x.numpy()))


def test_pull_can_be_called_again_and_differentiated():
    x = double(3)
    _, pull = vjp(lambda a: a**3, x)
    first, second = pull(torch.ones_like(x))[0], pull(torch.ones_like(x) * 2)[0]
    np.testing.assert_allclose(second.numpy(), 2 * first.numpy())
    assert grad(lambda c: pull(c)[0].sum())(torch.ones_like(x)).tolist() == pytest.approx((3 * x**2).tolist())


def test_functional_call_and_per_sample_gradients():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(3 * 36, 4)).double()
    parameters = {k: v.detach() for k, v in model.named_parameters()}
    images, labels = double(5, 1, 8, 8), torch.tensor([0, 1, 2, 3, 0])

    def loss(p, image, label):
        return torch.nn.functional.cross_entropy(functional_call(model, p, (image.unsqueeze(0),)), label.unsqueeze(0))

    together = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, images, labels)
    for i in range(5):
        model.zero_grad()
        torch.nn.functional.cross_entropy(model(images[i : i + 1]), labels[i : i + 1]).backward()
        for name, p in model.named_parameters():
            np.testing.assert_allclose(together[name][i].numpy(), p.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_ensembles():
    models = [torch.nn.Linear(3, 2) for _ in range(4)]
    parameters, buffers = stack_module_state(models)
    x = torch.randn(5, 3)
    found = vmap(lambda p, b: functional_call(models[0], (p, b), (x,)))(parameters, buffers)
    for i, model in enumerate(models):
        assert torch.allclose(found[i], model(x), atol=1e-6)


# ---- custom functions ----


class Cube(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x, factor):
        return factor * x**3

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])
        ctx.save_for_forward(inputs[0])
        ctx.factor = inputs[1]

    @staticmethod
    def backward(ctx, g):
        return ctx.factor * 3 * ctx.saved_tensors[0] ** 2 * g, None

    @staticmethod
    def jvp(ctx, t, _):
        return ctx.factor * 3 * ctx.saved_for_forward[0] ** 2 * t


def test_custom_functions_inside_transforms():
    x = double(4)
    np.testing.assert_allclose(grad(lambda a: Cube.apply(a, 2).sum())(x).numpy(), 6 * x.numpy() ** 2)
    np.testing.assert_allclose(grad(grad(lambda a: Cube.apply(a, 2)))(x[0]).numpy(), 12 * x[0].numpy())
    np.testing.assert_allclose(jvp(lambda a: Cube.apply(a, 2), (x,), (torch.ones_like(x),))[1].numpy(), 6 * x.numpy() ** 2)
    np.testing.assert_allclose(vmap(lambda a: Cube.apply(a, 2))(x).numpy(), 2 * x.numpy() ** 3)
    np.testing.assert_allclose(vmap(grad(lambda a: Cube.apply(a, 2)))(x).numpy(), 6 * x.numpy() ** 2)
    np.testing.assert_allclose(grad(lambda a: vmap(lambda b: Cube.apply(b, 2))(a).sum())(x).numpy(), 6 * x.numpy() ** 2)


def test_custom_functions_that_transforms_refuse():
    class Old(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    with pytest.raises(RuntimeError, match="must override the setup_context staticmethod"):
        grad(lambda a: Old.apply(a))(torch.tensor(1.0))
    with pytest.raises(RuntimeError, match="does not have vmap support"):
        vmap(Old.apply)(torch.ones(2))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: grad(lambda x: x)(torch.ones(2)), RuntimeError, "to return a scalar tensor"),
        (lambda: grad(lambda x: 3)(torch.ones(())), RuntimeError, "Expected f\\(\\*args\\) to return a tensor"),
        (lambda: grad(lambda x: x.sum(), argnums=2)(torch.ones(2)), RuntimeError, "only 1 positional inputs"),
        (lambda: jvp(torch.sin, torch.ones(2), (torch.ones(2),)), RuntimeError, "Expected primals to be a tuple"),
        (lambda: jvp(torch.sin, (torch.ones(2),), (torch.ones(3),)), RuntimeError, "same shape"),
        (lambda: grad(lambda x: x.sum())(torch.ones(2, dtype=torch.int64)), RuntimeError, "floating point"),
    ],
)
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call()
    assert torch.func.grad(lambda x: x * x)(torch.tensor(3.0)).item() == 6.0  # nothing stays open
