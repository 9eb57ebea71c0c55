"""Against PyTorch: every elementwise function on the edges of the number line, by its public name.

PyTorch says what is right, unless the row's own reference (NumPy or SciPy in float64) agrees with us against it: several of
PyTorch's kernels give nan where the limit exists.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau  # noqa: E402
from rows import all_rows  # noqa: E402
from tests.rows.sampling import Typed  # noqa: E402
from tests.rows.trying import reference  # noqa: E402

INF, NAN = float("inf"), float("nan")
EDGES = [0.0, -0.0, INF, -INF, NAN, 1.0, -1.0, 0.5, -0.5, 1.5, -2.5, 2.0, 3.0, 1e-30, -1e-5, 1e5, 88.8, -104.0, 1e30, -12345.678]
# First operands at which PyTorch gives nan (or, of zeta, a number for nan) and we give the limit.
LIMITS_HERE = {name: {INF, -INF} for name in ("bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "i0", "i1")} | {"zeta": {NAN}}
LIMIT = {"float32": (2e-5, 1e-6), "float64": (1e-9, 1e-12)}


def public(package, row):
    """The function that users call, or None for a row that is not public."""
    if not row.function:
        return None
    for name in [f"{row.namespace}.{row.name}".lstrip("."), *row.aliases]:
        owner = package
        for part in name.split("."):
            owner = getattr(owner, part, None)
        if callable(owner):
            return owner
    return None


ROWS = [
    row
    for row in all_rows()
    if row.cls == "elementwise"
    and "float32" in row.dtypes
    and public(torch, row)
    and all(p.is_tensor and p.type == "Tensor" or not p.required for p in row.params)
    and len(row.tensors) <= 2
]


def operands(row, dtype):
    edges = np.array(EDGES).astype(dtype)
    if len(row.tensors) == 1:
        return [edges]
    return [np.repeat(edges, len(edges)), np.tile(edges, len(edges))]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_edges(row, dtype):
    arrays = operands(row, dtype)
    got = public(flambeau, row)(*(flambeau.from_numpy(a.copy()) for a in arrays))
    want = public(torch, row)(*(torch.from_numpy(a.copy()) for a in arrays))
    assert str(got.dtype) == str(want.dtype)
    got, want = got.numpy(), want.numpy()
    relative, absolute = LIMIT[dtype]
    with np.errstate(all="ignore"):
        near = np.isclose(got, want, relative, absolute, equal_nan=True)
    if row.reference and not near.all():
        sample = {p.name: a.view(Typed) for p, a in zip(row.tensors, arrays)}
        (third,) = reference(row, sample, dtype)
        with np.errstate(all="ignore"):
            near |= np.isclose(got, third, relative, absolute, equal_nan=True)
    for point in LIMITS_HERE.get(row.name, ()):
        near |= np.isnan(arrays[0]) if np.isnan(point) else arrays[0] == point
    wrong = [(*(float(a[i]) for a in arrays), got[i].item(), want[i].item()) for i in np.flatnonzero(~near)]
    assert not wrong, f"{len(wrong)} differ (operands, ours, PyTorch's): {wrong[:6]}"
