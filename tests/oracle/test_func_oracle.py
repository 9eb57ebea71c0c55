"""Against PyTorch: transforms of functions and their errors, on the same inputs."""

import importlib

import pytest

torch = pytest.importorskip("torch")
import numpy as np  # noqa: E402

import flambeau  # noqa: E402

PACKAGES = (torch, flambeau)


def values(t, seed=0, shape=(3, 4)):
    return t.from_numpy(np.random.default_rng(seed).uniform(0.3, 1.5, shape))


def mixed(t):
    def f(x):
        y = (x.sin() @ x.t()).softmax(-1)
        z = t.nn.functional.layer_norm(x, (4,)).cumsum(0)
        return (y @ z).exp() + x[t.tensor([2, 0, 1])] * x.amax(1, keepdim=True)

    return f


def func(t):
    return importlib.import_module(f"{t.__name__}.func")


TRANSFORMS = {
    "jvp": lambda t: func(t).jvp(mixed(t), (values(t),), (values(t, 1),)),
    "vjp": lambda t: func(t).vjp(mixed(t), values(t))[1](values(t, 2)),
    "jacrev": lambda t: func(t).jacrev(mixed(t))(values(t)),
    "jacfwd": lambda t: func(t).jacfwd(mixed(t))(values(t)),
    "hessian": lambda t: func(t).hessian(lambda x: mixed(t)(x).sum())(values(t)),
    "vmap_grad": lambda t: func(t).vmap(func(t).grad(lambda x: mixed(t)(x).sum()))(values(t, shape=(5, 3, 4))),
    "jvp_vmap_grad": lambda t: func(t).jvp(
        func(t).vmap(func(t).grad(lambda x: mixed(t)(x).sum())), (values(t, shape=(2, 3, 4)),), (values(t, 1, (2, 3, 4)),)),
    "nested_vmap": lambda t: func(t).vmap(func(t).vmap(t.dot, (None, 0)), (0, None))(values(t), values(t, 1)),
    "functional_hessian": lambda t: t.autograd.functional.hessian(lambda x: mixed(t)(x).sum(), values(t)),
    "functional_hvp": lambda t: t.autograd.functional.hvp(lambda x: mixed(t)(x).sum(), values(t), values(t, 1)),
}  # fmt: skip


def arrays(result):
    if isinstance(result, (tuple, list)):
        return [a for part in result for a in arrays(part)]
    return [result.detach().numpy()]


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(name):
    expected, found = (arrays(TRANSFORMS[name](t)) for t in PACKAGES)
    assert len(expected) == len(found)
    for e, f in zip(expected, found, strict=True):
        np.testing.assert_allclose(f, e, rtol=1e-8, atol=1e-10)


ERRORS = {
    "scalar": lambda t: func(t).grad(lambda x: x)(values(t)),
    "tensor": lambda t: func(t).grad(lambda x: 3)(values(t)),
    "argnums": lambda t: func(t).grad(lambda x: x.sum(), argnums=3)(values(t)),
    "primals": lambda t: func(t).jvp(t.sin, values(t), (values(t),)),
    "no_inputs": lambda t: func(t).vmap(lambda: 1)(),
    "in_dims": lambda t: func(t).vmap(t.sin, in_dims=(0, 0))(values(t)),
    "dim_range": lambda t: func(t).vmap(t.sin, in_dims=2)(values(t)),
    "sizes": lambda t: func(t).vmap(t.mul)(values(t), values(t, shape=(2, 4))),
    "outputs": lambda t: func(t).vmap(lambda x: 1)(values(t)),
    "item": lambda t: func(t).vmap(lambda x: x.sum().item())(values(t)),
    "condition": lambda t: func(t).vmap(lambda x: x if x.sum() else x)(values(t)),
    "random": lambda t: func(t).vmap(lambda x: x + t.rand(4))(values(t)),
    "in_place": lambda t: func(t).vmap(lambda x: t.zeros(4, dtype=t.float64).add_(x))(values(t)),
    "randomness": lambda t: func(t).vmap(t.sin, randomness="some"),
    "unused": lambda t: t.autograd.grad(values(t).requires_grad_().sum(), values(t).requires_grad_()),
    "gradcheck": lambda t: t.autograd.gradcheck(t.sin, (values(t),)),
    "vjp_vector": lambda t: t.autograd.functional.vjp(t.sin, values(t)),
    "strict": lambda t: t.autograd.functional.jacobian(lambda x: t.ones(2), values(t), strict=True),
    "dual_level": lambda t: importlib.import_module(f"{t.__name__}.autograd.forward_ad").make_dual(values(t), values(t)),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    texts = []
    for t in PACKAGES:
        with pytest.raises(Exception) as caught:
            ERRORS[name](t)
        texts.append((caught.type, str(caught.value).split("\n")[0][:40]))
    assert texts[0][0].__name__ == texts[1][0].__name__ and issubclass(texts[1][0], texts[0][0]), texts
    assert texts[0][1] == texts[1][1] or name == "in_place"
