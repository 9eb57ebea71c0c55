"""vmap: dimensions, structure, errors, random numbers, in-place changes, and rules that need more than one operand."""

import numpy as np
import pytest

import flambeau as torch
from flambeau.func import vmap


def double(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def looped(f, *batches):
    return np.stack([f(*(b[i] for b in batches)).numpy() for i in range(batches[0].shape[0])])


CASES = {
    "ranks": (lambda a, b: a * b, (3, 4), (3, 2, 4)),
    "scalars": (lambda a, b: a + b.sum(), (3,), (3, 2)),
    "mm": (torch.mm, (3, 2, 4), (3, 4, 5)),
    "bmm": (torch.bmm, (3, 2, 4, 5), (3, 2, 5, 1)),
    "matmul": (torch.matmul, (3, 4), (3, 2, 4, 5)),
    "mv": (torch.mv, (3, 2, 4), (3, 4)),
    "dot": (torch.dot, (3, 4), (3, 4)),
    "einsum": (lambda a, b: torch.einsum("ij,jk->ik", a, b), (3, 2, 4), (3, 4, 5)),
    "addmm": (lambda a, b: torch.addmm(b[0], a, b, beta=2, alpha=3), (3, 2, 4), (3, 4, 4)),
    "linear": (torch.nn.functional.linear, (3, 6, 4), (3, 5, 4)),
    "conv2d": (lambda x, w: torch.nn.functional.conv2d(x, w, padding=1, stride=2), (3, 2, 4, 5, 6), (3, 6, 4, 3, 3)),
    "grouped": (lambda x, w: torch.nn.functional.conv1d(x, w, groups=2), (3, 2, 4, 8), (3, 6, 2, 3)),
    "transposed": (lambda x, w: torch.nn.functional.conv_transpose1d(x, w), (3, 2, 4, 8), (3, 4, 5, 3)),
    "cat": (lambda a, b: torch.cat([a, b], -1), (3, 2, 4), (3, 2, 1)),
    "stack": (lambda a, b: torch.stack([a, b], -1), (3, 2, 4), (3, 2, 4)),
    "layer_norm": (lambda x, w: torch.nn.functional.layer_norm(x, (4,), w), (3, 2, 4), (3, 4)),
    "group_norm": (lambda x, w: torch.nn.functional.group_norm(x, 2, w), (3, 2, 4, 5), (3, 4)),
    "batch_norm": (lambda x, w: torch.nn.functional.batch_norm(x, None, None, w, training=True), (3, 5, 4), (3, 4)),
    "index_put": (lambda a, b: a.index_put((torch.tensor([0, 2]),), b, accumulate=True), (3, 4, 2), (3, 2, 2)),
    "scatter": (lambda a, b: a.scatter(1, torch.tensor([[0, 2]]), b), (3, 2, 4), (3, 1, 2)),
    "as_strided": (lambda a, b: a.as_strided((2, 2), (1, 2)) + b.as_strided((2, 2), (0, 1)), (3, 4), (3, 2)),
    "where": (lambda a, b: torch.where(a > 0, a, b), (3, 4), (3, 4)),
    "distance": (torch.cdist, (3, 2, 4), (3, 5, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CASES))
def test_both_batched_or_either(name):
    f, shape_a, shape_b = CASES[name]
    a, b = double(*shape_a), double(*shape_b, seed=1)
    np.testing.assert_allclose(vmap(f)(a, b).numpy(), looped(f, a, b), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(vmap(f, in_dims=(0, None))(a, b[0]).numpy(), looped(lambda x: f(x, b[0]), a), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(vmap(f, in_dims=(None, 0))(a[0], b).numpy(), looped(lambda y: f(a[0], y), b), rtol=1e-9, atol=1e-12)


INDICES = {
    "middle": lambda x, i: x[:, i],
    "first": lambda x, i: x[i],
    "apart": lambda x, i: x[i, :, i],
    "adjacent": lambda x, i: x[:, i, i],
    "scalar": lambda x, i: x[0, i[0]],
    "gather": lambda x, i: x.gather(1, i.reshape(2, 1, 1).expand(2, 2, 3)),
    "select": lambda x, i: x.index_select(1, i),
    "embedding": lambda x, i: torch.nn.functional.embedding(i, x[0]),
}


@pytest.mark.parametrize("name", sorted(INDICES))
def test_indices(name):
    f, x, i = INDICES[name], double(4, 3, 3, 3), torch.tensor([[0, 1], [2, 2], [1, 0], [0, 0]])
    f_first = (lambda a, b: f(a[:2], b)) if name == "gather" else f
    np.testing.assert_allclose(vmap(f_first)(x, i).numpy(), looped(f_first, x, i))
    np.testing.assert_allclose(vmap(f_first, in_dims=(0, None))(x, i[0]).numpy(), looped(lambda a: f_first(a, i[0]), x))
    np.testing.assert_allclose(vmap(f_first, in_dims=(None, 0))(x[0], i).numpy(), looped(lambda b: f_first(x[0], b), i))


def test_dimensions_and_structure():
    x, y = double(2, 5), double(5, 3)
    found = vmap(lambda d, scale: {"sum": d["a"].sum() + d["b"].sum(), "pair": (d["a"], d["b"] * scale)},
                 in_dims=({"a": 1, "b": 0}, None), out_dims={"sum": 0, "pair": (1, 0)})({"a": x, "b": y}, 2)  # fmt: skip
    np.testing.assert_allclose(found["sum"].numpy(), x.numpy().sum(0) + y.numpy().sum(1))
    assert torch.equal(found["pair"][0], x) and torch.equal(found["pair"][1], y * 2)
    nested = vmap(vmap(lambda a, b: a * b, in_dims=(0, None)), in_dims=(None, 0))(x[0], y[:, 0])
    np.testing.assert_allclose(nested.numpy(), np.outer(y[:, 0].numpy(), x[0].numpy()))
    assert vmap(lambda a: torch.ones(2))(x).shape == (2, 2)


def test_promotion_sees_numbers_as_numbers():
    x, n = torch.ones(3, 2, dtype=torch.float32), torch.ones(3, dtype=torch.float64)
    assert vmap(lambda a, b: a * b)(x, n).dtype is torch.float32
    assert vmap(lambda a, b: a * b)(x[:, 0], n).dtype is torch.float64


def test_in_place():
    def f(a, b):
        a.add_(b)
        a[0] = b[1]
        a.clamp_(max=1)
        return a * 2

    x, y = double(3, 2), double(3, 2, seed=1)
    expected = looped(lambda a, b: f(a.clone(), b), x, y)
    np.testing.assert_allclose(vmap(f)(x, y).numpy(), expected)
    np.testing.assert_allclose(x.numpy() * 2, expected)  # the batch itself was changed
    with pytest.raises(RuntimeError, match="vmap: add_\\(self, \\*extra_args\\) is not possible"):
        vmap(lambda b: torch.zeros(2, dtype=torch.float64).add_(b))(y)


def test_random_numbers():
    x = torch.ones(4, 3)
    with pytest.raises(RuntimeError, match="called random operation while in randomness error mode"):
        vmap(lambda a: a + torch.rand(3))(x)
    same = vmap(lambda a: a + torch.rand(3), randomness="same")(x)
    assert torch.equal(same[0], same[1])
    different = vmap(lambda a: a + torch.rand(3), randomness="different")(x)
    assert not torch.equal(different[0], different[1])
    dropped = vmap(lambda a: torch.nn.functional.dropout(a, 0.5, True), randomness="same")(torch.ones(4, 100))
    assert torch.equal(dropped[0], dropped[3])
    dropped = vmap(lambda a: torch.nn.functional.dropout(a, 0.5, True), randomness="different")(torch.ones(4, 100))
    assert not torch.equal(dropped[0], dropped[3])
    with pytest.raises(RuntimeError, match="Only allowed values for randomness"):
        vmap(torch.sin, randomness="perhaps")


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: vmap(lambda a: a.sum().item())(x), RuntimeError, "calling .item\\(\\) on a Tensor"),
        (lambda x: vmap(lambda a: a if a.sum() > 0 else -a)(x), RuntimeError, "data-dependent control flow"),
        (lambda x: vmap(lambda a: a.nonzero())(x), RuntimeError, "dynamic shape"),
        (lambda x: vmap(lambda a: 3)(x), ValueError, "must only return Tensors"),
        (lambda x: vmap(lambda a: a, out_dims=None)(x), ValueError, "can not return a BatchedTensor when out_dim is "
                                                                    "None"),
        (lambda x: vmap(lambda a: a)(), ValueError, "got no inputs"),
        (lambda x: vmap(lambda a: a, in_dims=(None,))(x), ValueError, "at least one Tensor to vmap over"),
        (lambda x: vmap(lambda a: a, in_dims=5)(x), ValueError, "Got in_dim=5 for some input"),
        (lambda x: vmap(lambda a: a, in_dims=(0, 0))(x), ValueError, "in_dims is not compatible with the structure"),
        (lambda x: vmap(lambda a: a, in_dims="0")(x), ValueError, "expected `in_dims` to be int"),
        (lambda x: vmap(lambda a, b: a, in_dims=(0, 0))(x, 3), ValueError, "cannot vmap over non-Tensor"),
        (lambda x: vmap(lambda a, b: a)(x, x[:1]), ValueError, "same size in the mapped dimension"),
        (lambda x: vmap(lambda a: a, chunk_size=0)(x), ValueError, "chunk_size"),
        (lambda x: vmap(lambda a: a.requires_grad_())(x), RuntimeError, "requires_grad_\\(\\)"),
    ],
)
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call(double(3, 2))
    assert vmap(lambda a: a.sum())(torch.ones(3, 2)).tolist() == [2.0, 2.0, 2.0]  # nothing stays open


def test_batched_cotangents_of_the_plain_graph():
    x = double(3).requires_grad_()
    y = x.sin() * x.sum()
    rows = torch.eye(3, dtype=torch.float64)
    (together,) = torch.autograd.grad(y, x, rows, retain_graph=True, is_grads_batched=True)
    alone = torch.stack([torch.autograd.grad(y, x, rows[i], retain_graph=True)[0] for i in range(3)])
    np.testing.assert_allclose(together.numpy(), alone.numpy())
