"""Calls the generated loops through ctypes and compares them with PyTorch: every row, every type, forward and backward.

    python tests/rows/harness.py LIBRARY [ROW ...]

LIBRARY is a shared object with the kernels and `row_loop(name, dtype, backward)`; see tests/rows/README.md.
"""

from __future__ import annotations

import ctypes
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))
from rows import all_rows
from rows.formula import Word
from rows.row import COMPLEX, DTYPES, FLOAT, INTEGRAL, Row

NUMPY = {d: np.dtype(d) for d in DTYPES if d != "bfloat16"}
REAL_OF = {"complex64": "float32", "complex128": "float64"}
COMPLEX_OF = {"float32": "complex64", "float64": "complex128"}
EDGES = [0.0, -0.0, float("inf"), float("-inf"), float("nan"), 1.0, -1.0, 0.5, -0.5, 1e-40, -1e-40, 1e30, -1e30, 2.0, 88.8,
         -88.8, 100.0, -104.0, 20.5, 1e-5, -1e-5, 3.0, 1e5, -12345.678, 1.5, 2.5, -1.5, -2.5]  # fmt: skip

ORACLES = {
    "div_trunc": lambda x, y: torch.div(x, y, rounding_mode="trunc"),
    "round_scaled": lambda x, up, down: torch.round(x * up / down) / up * down,
    "replace_nonfinite": lambda x, a, b, c: torch.where(x.isnan(), a, torch.where(x.isinf(), torch.where(x > 0, b, c), x)),
    "real_part": torch.real, "imag_part": torch.imag, "angle_of_real": torch.angle,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "prelu_kernel": lambda x, w: torch.where(x > 0, x, w * x),
    "squared_error": lambda x, y: (x - y) ** 2, "absolute_error": lambda x, y: (x - y).abs(),
    "smooth_l1": lambda x, y, b: F.smooth_l1_loss(x, y, reduction="none", beta=float(b.flatten()[0])),
    "huber": lambda x, y, d: F.huber_loss(x, y, reduction="none", delta=float(d.flatten()[0])),
    "bce": lambda x, y: F.binary_cross_entropy(x.clamp(0, 1), y.clamp(0, 1), reduction="none"),
    "bce_with_logits": lambda x, t, w: (1 - t) * x - (1 + (w - 1) * t) * F.logsigmoid(x),
    "polygamma": lambda n, x: torch.polygamma(int(n.flatten()[0]), x),
    "spherical_bessel_j0": torch.special.spherical_bessel_j0,
    "complex": torch.complex, "polar": torch.polar, "square": lambda x: x * x,
    "lerp": torch.lerp,
}  # fmt: skip


def oracle(row: Row):
    if row.name in ORACLES:
        return ORACLES[row.name]
    for space in (torch, torch.special, F):
        if hasattr(space, row.name):
            function = getattr(space, row.name)
            break
    else:
        return None

    def call(*args):
        tensors = [a for a, p in zip(args, row.params, strict=True) if p.type != "number"]
        numbers = {p.name: a.flatten()[0].item() for a, p in zip(args, row.params, strict=True) if p.type == "number"}
        return function(*tensors, **numbers)

    return call


class Library:
    def __init__(self, path: str) -> None:
        self.lib = ctypes.CDLL(path)
        self.lib.row_loop.restype = ctypes.c_void_p
        self.lib.row_loop.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_int]

    def loop(self, name: str, dtype: str, backward: bool = False):
        address = self.lib.row_loop(name.encode(), DTYPES.index(dtype), int(backward))
        return ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(address) if address else None

    @staticmethod
    def call(loop, outputs: list[np.ndarray], inputs: list[np.ndarray], n: int) -> None:
        arrays = outputs + inputs
        data = (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays))
        steps = (ctypes.c_int64 * len(arrays))(*([1] * len(arrays)))
        loop(data, steps, n)


def padded(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x, np.zeros(64, x.dtype)])


def result_dtype(row: Row, dtype: str) -> str:
    return {"bool": "bool", "real": REAL_OF.get(dtype, dtype), "complex": COMPLEX_OF.get(dtype, dtype)}.get(row.result, dtype)


def operands(row: Row, dtype: str, n: int, rng, edges: bool) -> list[np.ndarray]:
    made = []
    for i, p in enumerate(row.params):
        low, high = row.domain[min(i, len(row.domain) - 1)] if row.domain else (-3, 3)
        kind = "bool" if p.type == "mask" else dtype
        if p.type == "number":
            default = p.default if not p.required else 2 if p.name in ("nan", "n") else {"value": 1, "threshold": 0.5, "multiplier": 100, "divisor": 1}.get(p.name, 3)
            made.append(np.full(n, default).astype(kind))
        elif kind == "bool":
            made.append(rng.random(n) < 0.5)
        elif kind in INTEGRAL:
            low = max(low, 0) if kind == "uint8" else low
            made.append(rng.integers(int(np.floor(low)), int(np.ceil(high)) + 1, n).astype(kind))
        else:
            x = rng.uniform(low, high, n)
            if kind in COMPLEX:
                x = x + 1j * rng.uniform(-1, 1, n)
            x = x.astype(kind)
            if edges and kind in FLOAT:
                with np.errstate(over="ignore"):
                    e = np.array(EDGES).astype(kind)
                x[: len(e) ** 2] = np.tile(e, len(e)) if i % 2 == 0 else np.repeat(e, len(e))
            made.append(x)
    return made


def distance(got: np.ndarray, want: np.ndarray, dtype: str) -> tuple[float, int]:
    """Greatest error in units of the last place of the greater of |want| and the smallest normal number; where."""
    if got.dtype.kind in "biu":
        wrong = np.flatnonzero(got != want)
        return (float("inf"), int(wrong[0])) if wrong.size else (0.0, 0)
    if got.dtype.kind == "c":
        bad = np.isnan(got) != np.isnan(want)
        scale = np.maximum(np.abs(want), np.finfo(got.dtype).tiny) * np.finfo(got.dtype).eps
        with np.errstate(all="ignore"):
            error = np.where(np.isnan(want) | (got == want), 0, np.abs(got - want) / scale)
        error[bad] = np.inf
        return float(error.max()), int(error.argmax())
    eps, tiny = np.finfo(got.dtype).eps, np.finfo(got.dtype).tiny
    with np.errstate(all="ignore"):
        exponent = np.exp2(np.floor(np.log2(np.maximum(np.abs(want), tiny))))
        error = np.abs(got.astype(np.longdouble) - want) / (exponent * eps)
        error[got == want] = 0
        error[np.isnan(got) & np.isnan(want)] = 0
        error[np.isnan(error)] = np.inf
    return float(error.max()), int(error.argmax())


def check(row: Row, dtype: str, lib: Library, limit: float, edges: bool) -> list[str]:
    rng, n, problems = np.random.default_rng(0), 2000, []
    function, forward = oracle(row), lib.loop(row.name, dtype)
    if forward is None:
        return [f"{row.name} {dtype}: no loop"]
    if function is None:
        return [f"{row.name}: no oracle"]
    inputs = operands(row, dtype, n, rng, edges)
    out = np.zeros(n + 64, result_dtype(row, dtype))
    lib.call(forward, [out], [padded(x) for x in inputs], n)
    tensors = [torch.from_numpy(x.copy()) for x in inputs]
    wide = {"float32": torch.float64, "complex64": torch.complex128}.get(dtype)
    try:
        exact = [t.to(wide) if wide and t.dtype != torch.bool else t for t in tensors] if not row.name == "nextafter" else tensors
        for t, p in zip(exact, row.params, strict=True):
            if p.type not in ("number", "mask") and row.grad and (t.is_floating_point() or t.is_complex()):
                t.requires_grad_()
        want = function(*exact)
    except Exception as error:  # noqa: BLE001
        return [f"{row.name} {dtype}: oracle fails: {str(error)[:80]}"]
    with np.errstate(all="ignore"):
        reference = want.detach().resolve_conj().numpy(force=True).astype(out.dtype)
    error, at = distance(out[:n], reference, dtype)
    loose = not isinstance(row.formula, Word) or row.file == 'special' or row.name == 'floor_divide'
    eps = np.finfo(out.dtype).eps if out.dtype.kind in 'fc' else 0
    if error > limit and not (loose and np.allclose(out[:n], reference, rtol=32 * eps, atol=32 * eps, equal_nan=True)):
        problems.append(f"{row.name} {dtype}{' edges' if edges else ''}: {error:.3g} ulp at {[x[at] for x in inputs]}: got {out[at]!r}, want {reference[at]!r}")
    if row.grad is None or dtype in INTEGRAL or dtype == "bool":
        return problems
    g = rng.uniform(0.5, 2, n) + (1j * rng.uniform(-1, 1, n) if np.dtype(out.dtype).kind == "c" else 0)
    g = g.astype(out.dtype)
    try:
        want.backward(torch.from_numpy(g).to(want.dtype))
    except Exception as error:  # noqa: BLE001
        return problems
    backward = lib.loop(row.name, dtype, True)
    info = lib.lib.row_info(row.name.encode())
    saved, cotangents = info >> 16, info & 0xFFFF
    values = [padded(x) for x in inputs] + [out]
    used = [padded(g)] + [values[i] for i in range(len(values)) if saved >> i & 1]
    outs = [np.zeros(n + 64, dtype) for i in range(len(inputs)) if cotangents >> i & 1]
    lib.call(backward, outs, used, n)
    k = 0
    for i, p in enumerate(row.params):
        if cotangents >> i & 1:
            got = outs[k][:n]
            k += 1
            grad = exact[i].grad
            if grad is None:
                continue
            with np.errstate(all="ignore"):
                reference = grad.resolve_conj().numpy(force=True).astype(dtype)
            tame = np.logical_and.reduce([(np.abs(x) < 1e4) & ((np.abs(x) > 1e-30) | (x == 0)) for x in inputs])
            got, reference = np.where(tame, got, 0), np.where(tame, reference, 0)
            error, at = distance(got, reference, dtype)
            if error > limit * 16 and not np.allclose(got, reference, rtol=limit * 4 * np.finfo(dtype).eps, atol=limit * 4 * np.finfo(dtype).eps, equal_nan=True):
                bad = ~np.isclose(got, reference, rtol=limit * 4 * np.finfo(dtype).eps, atol=limit * 4 * np.finfo(dtype).eps, equal_nan=True)
                at = int(np.flatnonzero(bad)[0])
                problems.append(f"{row.name} {dtype}{' edges' if edges else ''} gradient of {p.name}: {bad.sum()} wrong, {error:.3g} ulp, at {[x[at] for x in inputs]} g {g[at]}: got {got[at]!r}, want {reference[at]!r}")
    return problems


def main() -> int:
    np.seterr(all="ignore")
    lib, chosen, failures, checked = Library(sys.argv[1]), set(sys.argv[2:]), 0, 0
    for row in all_rows():
        if row.cls != "elementwise" or (chosen and row.name not in chosen):
            continue
        for dtype in sorted(row.dtypes):
            for edges in (False, True) if dtype in FLOAT else (False,):
                checked += 1
                for problem in check(row, dtype, lib, 4.0, edges):
                    failures += 1
                    print(problem)
    print(f"{checked} checked, {failures} problems")
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
