"""Calls the reduction kernels through ctypes and compares them with PyTorch: python tests/rows/reductions.py LIBRARY

Shapes have each form (rows, columns, full), short and long, and lengths off every vector width.
"""

from __future__ import annotations

import ctypes
import pathlib
import sys

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))
from rows import all_rows
from rows.row import DTYPES

SHAPES = [(1, 1, 1), (3, 5, 1), (7, 17, 1), (1, 200_003, 1), (2, 70_001, 1), (300, 65, 1), (3, 5, 7), (2, 9, 3), (1, 100, 130), (4, 300, 65),
          (1, 70_000, 3), (1, 40_000, 64), (5, 0, 1), (2, 0, 3), (1, 131_072, 1), (2, 33, 16), (1, 1, 1000), (0, 4, 4)]  # fmt: skip
ORACLES = {
    "sum": lambda x: x.sum(1), "mean": lambda x: x.mean(1), "prod": lambda x: x.prod(1), "amax": lambda x: x.amax(1),
    "amin": lambda x: x.amin(1), "all": lambda x: x.all(1), "any": lambda x: x.any(1),
    "var": lambda x: x.var(1, correction=1), "std": lambda x: x.std(1, correction=1), "norm1": lambda x: x.abs().sum(1),
    "norm2": lambda x: x.norm(2, 1), "norm_p": lambda x: x.norm(3, 1), "logsumexp": lambda x: x.logsumexp(1),
}  # fmt: skip
PARAMS = {"var": 1.0, "std": 1.0, "norm_p": 3.0}


def data(shape: tuple[int, ...], dtype: str, name: str, rng) -> np.ndarray:
    if dtype == "bool":
        return rng.random(shape) < (0.98 if name in ("all", "prod") else 0.02)
    if "int" in dtype:
        return rng.integers(0 if dtype[0] == "u" else -3, 4, shape).astype(dtype)
    x = rng.uniform(0.99, 1.01, shape) if name == "prod" else rng.normal(1, 2, shape)
    return (x + (1j * rng.normal(0, 0.01, shape) if "complex" in dtype else 0)).astype(dtype)


def main() -> int:
    lib = ctypes.CDLL(sys.argv[1])
    lib.reduce_of.restype = lib.position_of.restype = ctypes.c_void_p
    rng, problems, checked = np.random.default_rng(0), 0, 0
    signature = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
    for row in all_rows():
        if row.cls != "reduction" or row.reduce is None:
            continue
        for dtype in sorted(row.dtypes):
            result = ctypes.c_int()
            address = lib.reduce_of(row.name.encode(), DTYPES.index(dtype), ctypes.byref(result))
            if dtype in row.widened:
                continue
            kernel = signature(address)
            for shape in SHAPES:
                if shape[1] == 0 and row.name in ("amax", "amin"):
                    continue
                for special in (False, True):
                    x = data(shape, dtype, row.name, rng)
                    if special:
                        if "float" not in dtype or x.size < 8:
                            continue
                        x.flat[x.size // 2], x.flat[x.size // 3] = np.nan, np.inf
                        x.flat[-1] = -np.inf
                    out = np.zeros((shape[0], shape[2]), DTYPES[result.value])
                    params = np.array([PARAMS.get(row.name, 0.0)])
                    kernel(out.ctypes.data, x.ctypes.data, *shape, params.ctypes.data)
                    t = torch.from_numpy(x)
                    wide = {"float32": torch.float64, "complex64": torch.complex128}.get(dtype, t.dtype)
                    want = ORACLES[row.name](t.to(wide)).numpy()
                    checked += 1
                    eps = np.finfo(dtype).eps if x.dtype.kind in "fc" else 0
                    scale = np.abs(x).sum(1) * eps if row.name in ("sum", "mean") and x.dtype.kind in "fc" else 0
                    limit = {"prod": 4 * shape[1] ** 0.5 + 20, "var": 100, "std": 50, "norm2": 60, "norm_p": 60}.get(row.name, 20) * eps  # these oracles add up naively
                    with np.errstate(all="ignore"):
                        good = (out == want) | (np.isnan(out) & np.isnan(want)) if x.dtype.kind in "fc" else out == want
                        if x.dtype.kind in "fc":
                            good |= np.abs(out - want) <= limit * np.abs(want) + 4 * scale
                    if not good.all():
                        problems += 1
                        at = np.argwhere(~good)[0]
                        print(f"{row.name} {dtype} {shape} special={special}: {(~good).sum()} wrong, at {at}: got {out[tuple(at)]!r}, want {want[tuple(at)]!r}")
    extreme = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
    for dtype in ("bool", "uint8", "int8", "int16", "int32", "int64", "float32", "float64"):
        for smallest in (0, 1):
            reduce = signature(lib.reduce_of(b"amin" if smallest else b"amax", DTYPES.index(dtype), ctypes.byref(ctypes.c_int())))
            find = extreme(lib.position_of(DTYPES.index(dtype)))
            for shape in SHAPES:
                if shape[1] == 0:
                    continue
                x = data(shape, dtype, "any", rng)
                if "float" in dtype and x.size > 50:
                    x.flat[x.size // 2] = x.flat[x.size // 2 + 9] = np.nan
                values, indices = np.zeros((shape[0], shape[2]), dtype), np.zeros((shape[0], shape[2]), np.int64)
                reduce(values.ctypes.data, x.ctypes.data, *shape, None)
                find(indices.ctypes.data, values.ctypes.data, x.ctypes.data, *shape)
                want = (np.argmin if smallest else np.argmax)(x, axis=1) if x.size else indices
                checked += 1
                if not (indices == want).all():
                    problems += 1
                    print(f"extreme {dtype} {shape} smallest={smallest}: {(indices != want).sum()} wrong")
    print(f"{checked} checked, {problems} problems")
    return problems > 0


if __name__ == "__main__":
    sys.exit(main())
