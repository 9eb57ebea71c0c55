"""Composites against NumPy: each case is one expression for flambeau and one for NumPy over the same inputs."""

import numpy as np
import pytest

import flambeau as torch

RNG = np.random.default_rng(0)
M = RNG.normal(size=(3, 4)).astype(np.float32)
S = RNG.normal(size=(4, 4))
V = RNG.normal(size=5)
T3 = RNG.normal(size=(2, 3, 4)).astype(np.float32)
I = RNG.integers(-5, 5, size=(3, 4))  # noqa: E741
NAN = np.where(RNG.random((3, 5)) < 0.3, np.nan, RNG.normal(size=(3, 5)))
C = (RNG.normal(size=(2, 3)) + 1j * RNG.normal(size=(2, 3))).astype(np.complex64)

CASES = {
    # shapes
    "ravel": (lambda x: torch.ravel(x), np.ravel, T3),
    "unflatten": (lambda x: torch.unflatten(x, 1, (2, -1)), lambda x: x.reshape(3, 2, 2), M),
    "movedim": (lambda x: torch.movedim(x, (0, 1), (-1, 0)), lambda x: np.moveaxis(x, (0, 1), (-1, 0)), T3),
    "rot90": (lambda x: torch.rot90(x, -1, (0, 2)), lambda x: np.rot90(x, -1, (0, 2)), T3),
    "fliplr": (torch.fliplr, np.fliplr, M),
    "flipud": (torch.flipud, np.flipud, M),
    "mT": (lambda x: x.mT, lambda x: np.swapaxes(x, -1, -2), T3),
    "adjoint": (torch.adjoint, lambda x: x.conj().T, C),
    "atleast_3d": (torch.atleast_3d, np.atleast_3d, M),
    "tile": (lambda x: torch.tile(x, (2, 1, 3)), lambda x: np.tile(x, (2, 1, 3)), M),
    "repeat_interleave": (lambda x: torch.repeat_interleave(x, 2, 1), lambda x: np.repeat(x, 2, 1), M),
    "repeat_each": (
        lambda x: torch.repeat_interleave(x, torch.tensor([0, 2, 1]), 0), lambda x: np.repeat(x, [0, 2, 1], 0), M,
    ),
    "tensor_split": (lambda x: torch.tensor_split(x, (1, 3), 1)[1], lambda x: np.split(x, (1, 3), 1)[1], M),
    "chunk": (lambda x: torch.chunk(x, 3, 1)[1], lambda x: x[:, 2:4], M),
    "hstack": (lambda x: torch.hstack((x, x)), lambda x: np.hstack((x, x)), M),
    "vstack": (lambda x: torch.vstack((x, x)), lambda x: np.vstack((x, x)), V),
    "dstack": (lambda x: torch.dstack((x, x)), lambda x: np.dstack((x, x)), V),
    "column_stack": (lambda x: torch.column_stack((x, x)), lambda x: np.column_stack((x, x)), V),
    "meshgrid_xy": (
        lambda x: torch.stack(torch.meshgrid(x, x[:2], indexing="xy")), lambda x: np.stack(np.meshgrid(x, x[:2])), V,
    ),
    # diagonals
    "diag": (lambda x: torch.diag(x, -2), lambda x: np.diag(x, -2), V),
    "diag_of_matrix": (lambda x: torch.diag(x, 1), lambda x: np.diag(x, 1), S),
    "diag_embed": (lambda x: torch.diag_embed(x, 1), lambda x: np.stack([np.diag(row, 1) for row in x]), M),
    "diagflat": (lambda x: torch.diagflat(x, -1), lambda x: np.diagflat(x, -1), M),
    # reductions
    "std": (lambda x: torch.std(x, (0, 2), correction=0), lambda x: np.std(x, (0, 2)), T3),
    "var_mean": (lambda x: torch.stack(torch.var_mean(x, 1)), lambda x: np.stack([x.var(1, ddof=1), x.mean(1)]), M),
    "nansum": (lambda x: torch.nansum(x, 1), lambda x: np.nansum(x, 1), NAN),
    "nanmean": (lambda x: torch.nanmean(x, 1, keepdim=True), lambda x: np.nanmean(x, 1, keepdims=True), NAN),
    "count_nonzero": (lambda x: torch.count_nonzero(x, 0), lambda x: np.count_nonzero(x, 0), I),
    "norm": (lambda x: torch.linalg.norm(x, 3, 1), lambda x: np.linalg.norm(x, 3, 1), S),
    "norm_fro": (torch.linalg.norm, np.linalg.norm, S),
    "norm_one": (lambda x: torch.linalg.matrix_norm(x, 1), lambda x: np.linalg.norm(x, 1), S),
    "norm_inf": (lambda x: torch.linalg.norm(x, -np.inf), lambda x: np.linalg.norm(x, -np.inf), S),
    "cdist": (lambda x: torch.cdist(x, x[:2], 1.0), lambda x: np.abs(x[:, None] - x[None, :2]).sum(-1), S),
    # products
    "dot": (lambda x: torch.dot(x, x), lambda x: x @ x, V),
    "vdot": (lambda x: torch.vdot(x[0], x[1]), lambda x: np.vdot(x[0], x[1]), C),
    "outer": (lambda x: torch.outer(x, x[:2]), lambda x: np.outer(x, x[:2]), V),
    "inner": (lambda x: torch.inner(x, x), lambda x: np.inner(x, x), M),
    "kron": (lambda x: torch.kron(x, x[:2]), lambda x: np.kron(x, x[:2]), M),
    "tensordot": (
        lambda x: torch.tensordot(x, x, ((0, 2), (0, 2))), lambda x: np.tensordot(x, x, ((0, 2), (0, 2))), T3,
    ),
    "matrix_power": (lambda x: torch.matrix_power(x, 5), lambda x: np.linalg.matrix_power(x, 5), S),
    "multi_dot": (lambda x: torch.linalg.multi_dot([x, x, x[0]]), lambda x: x @ (x @ x[0]), S),
    "cross": (lambda x: torch.linalg.cross(x[:3, :3], x[1:, :3]), lambda x: np.cross(x[:3, :3], x[1:, :3]), S),
    "trace": (torch.trace, np.trace, S),
    "vander": (lambda x: torch.vander(x, 4, increasing=True), lambda x: np.vander(x, 4, increasing=True), V),
    "addbmm": (lambda x: torch.addbmm(x[0] @ x[0].mT, x, x.mT),
               lambda x: x[0] @ x[0].T + (x @ x.transpose(0, 2, 1)).sum(0), T3),
    # indexing and order
    "take_along_dim": (
        lambda x: torch.take_along_dim(x, torch.argsort(x, 1), 1),
        lambda x: np.take_along_axis(x, np.argsort(x, 1), 1), M,
    ),
    "argwhere": (lambda x: torch.argwhere(x > 0), lambda x: np.argwhere(x > 0), M),
    "unique_rows": (lambda x: torch.unique(x, dim=0), lambda x: np.unique(x, axis=0), I % 2),
    "isin": (lambda x: torch.isin(x, torch.arange(-20, 0, 2)), lambda x: np.isin(x, np.arange(-20, 0, 2)), I),
    "masked_fill": (lambda x: torch.masked_fill(x, x > 0, -1.0), lambda x: np.where(x > 0, -1, x).astype(x.dtype), M),
    "masked_scatter": (
        lambda x: torch.masked_scatter(x, x > 0, x * 0), lambda x: np.where(x > 0, 0, x).astype(x.dtype), M,
    ),
    # statistics
    "quantile": (
        lambda x: torch.quantile(x, torch.tensor([0.1, 0.6], dtype=torch.float64), 1),
        lambda x: np.quantile(x, [0.1, 0.6], 1), S,
    ),
    "nanquantile": (lambda x: torch.nanquantile(x, 0.3), lambda x: np.nanquantile(x, 0.3), NAN),
    "cov": (torch.cov, np.cov, S),
    "corrcoef": (torch.corrcoef, np.corrcoef, S),
    "histogram": (lambda x: torch.histogram(x, 3).hist, lambda x: np.histogram(x, 3)[0].astype(x.dtype), S),
    "diff": (lambda x: torch.diff(x, 2, 0), lambda x: np.diff(x, 2, 0), S),
    "gradient": (lambda x: torch.gradient(x, spacing=0.5, edge_order=2)[1],
                 lambda x: np.gradient(x, 0.5, edge_order=2)[1], S),
    "gradient_uneven": (lambda x: torch.gradient(x, spacing=(torch.tensor([0.0, 1.0, 3.0, 4.0], dtype=torch.float64),),
                                                 dim=0)[0],
                        lambda x: np.gradient(x, np.array([0.0, 1, 3, 4]), axis=0), S),
    "trapezoid": (lambda x: torch.trapezoid(x, dx=0.5), lambda x: ((x[:, 1:] + x[:, :-1]) / 2).sum(1) * 0.5, S),
    # elementwise
    "div_floor": (lambda x: torch.div(x, 3, rounding_mode="floor"), lambda x: x // 3, I),
    "div_trunc": (lambda x: torch.div(x, 3, rounding_mode="trunc"), lambda x: np.trunc(x / 3).astype(x.dtype), I),
    "float_power": (lambda x: torch.float_power(x, 2), lambda x: x.astype(np.float64) ** 2, I),
    "nan_to_num": (lambda x: torch.nan_to_num(x, 7.0), lambda x: np.nan_to_num(x, nan=7.0), NAN),
    "round": (lambda x: torch.round(x, decimals=2), lambda x: np.round(x, 2), S),
    "isclose": (lambda x: torch.isclose(x, x + 1e-9), lambda x: np.isclose(x, x + 1e-9), S),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("strided", [False, True], ids=["contiguous", "strided"])
def test_equals_numpy(name, strided):
    ours, theirs, array = CASES[name]
    tensor = torch.from_numpy(array.copy())
    if strided:  # every second element of a wider tensor
        tensor = torch.stack([tensor, tensor], -1).select(-1, 1)
    expected = np.asarray(theirs(array))
    actual = np.asarray(ours(tensor).numpy())
    assert actual.shape == expected.shape
    single = actual.dtype in (np.float32, np.complex64)
    np.testing.assert_allclose(actual, expected, rtol=2e-5 if single else 1e-9, atol=1e-6 if single else 1e-12)


EQUATIONS = [
    ("ij,jk->ik", (3, 4), (4, 5)), ("ij,kj->ki", (3, 4), (5, 4)), ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
    ("ii", (4, 4)), ("ii->i", (4, 4)), ("iij->ji", (3, 3, 2)), ("...ij,...jk->...ik", (2, 3, 4), (4, 5)),
    ("ij,ij->", (3, 4), (3, 4)), ("i,j,k->kji", (2,), (3,), (4,)), ("ab,bc,cd,de->ae", (2, 5), (5, 3), (3, 4), (4, 2)),
    ("ij,jk,kl,lm,mn->in", (2, 3), (3, 4), (4, 5), (5, 3), (3, 2)), ("b...,b->...", (3, 2, 4), (3,)),
    ("ij->", (3, 4)), ("abc->cab", (2, 3, 4)), ("i...->...", (3, 4)), ("ij,jj->i", (3, 4), (4, 4)),
]


@pytest.mark.parametrize("case", EQUATIONS, ids=lambda case: case[0])
def test_einsum(case):
    arrays = [RNG.normal(size=shape) for shape in case[1:]]
    actual = torch.einsum(case[0], *map(torch.from_numpy, arrays))
    np.testing.assert_allclose(actual.numpy(), np.einsum(case[0], *arrays), rtol=1e-9, atol=1e-9)


def test_einsum_sublists():
    a, b = RNG.normal(size=(3, 4)), RNG.normal(size=(4, 5))
    actual = torch.einsum(torch.from_numpy(a), [0, 1], torch.from_numpy(b), [1, 2], [0, 2])
    np.testing.assert_allclose(actual.numpy(), a @ b, rtol=1e-9)


@pytest.mark.parametrize("name", ["linspace", "logspace"])
def test_spaced(name):
    actual = getattr(torch, name)(-1, 2, 7, dtype=torch.float64).numpy()
    np.testing.assert_allclose(actual, getattr(np, name)(-1, 2, 7), rtol=1e-12)


@pytest.mark.parametrize("shape", [(3, 3), (2, 5), (5, 2), (0, 3)])
def test_triangles(shape):
    lower = torch.tril_indices(*shape, 1).numpy()
    np.testing.assert_array_equal(lower, np.stack(np.tril_indices(shape[0], 1, shape[1])))
    np.testing.assert_array_equal(torch.eye(*shape).numpy(), np.eye(*shape))
