"""Changing the extent of planes: resampling to another size, and padding by what the input holds.

Both are linear in the input, so each has its transpose as a row, and the two are each other's gradient.
"""

from __future__ import annotations

import re
from typing import Any

from rows.formula import P
from rows.row import ALL, BOOL, COMPLEX, FLOAT, row

SIZES = "output_size: ints?, "
SCALES = "scale_factors: floats? = None"


def kernel(name: str, schema: str, grad=None, **says: Any) -> None:
    told: dict[str, Any] = {"cls": "kernel", "function": False, "method": False, "inplace": False} | says
    row(name, schema, told.pop("dtypes", FLOAT), grad=grad, **told)


# ---- resampling; mode 0 nearest, 1 nearest by centres, 2 linear, 3 cubic ----
kernel("resample", "input, size: ints, scales: floats?, mode: int, align_corners: bool, antialias: bool",
    lambda g, input, size, scales, mode, align_corners, antialias: P.resample_backward(
        g, input.shape, size, scales, mode, align_corners, antialias),
    linear="input", dtypes=FLOAT | frozenset(["uint8"]), fails="_ops.resample(ones(1, 1, 2), (0,), None, 0, False, False)",
    samples=(
        "resample(x(1, 2, 5), (8,), None, 2, False, False)",
        "resample(x(1, 1, 4, 5), (3, 7), None, 3, True, False)",
        "resample(x(1, 1, 3, 4), (5, 2), None, 0, False, False)",
    ),
    doc="Planes of another size, each element a weighted sum of the input's; `size` are the spatial extents.")
kernel("resample_backward",
    "grad, input_size: ints, size: ints, scales: floats?, mode: int, align_corners: bool, antialias: bool",
    lambda g, size, scales, mode, align_corners, antialias: P.resample(g, size, scales, mode, align_corners, antialias),
    linear="grad", fails="_ops.resample_backward(3, (1, 1, 2), (2,), None, 0, False, False)",
    samples="resample_backward(x(1, 2, 8), (1, 2, 5), (8,), None, 2, False, False)",
    doc="The transpose of resample.")


def upsample(name: str, corners: bool, what: str) -> None:
    d = int(re.findall(r"(\d)d", name)[0])
    kernel(name, "input, " + SIZES + ("align_corners: bool, " if corners else "") + SCALES, cls="composite",
        dtypes=FLOAT if name in ("upsample_linear1d", "upsample_trilinear3d") else FLOAT | frozenset(["uint8"]),
        fails=f"_ops.{name}(ones(1, 1, 2), None{', False' if corners else ''}, None)",
        samples=f"{name}(x(1, 2{', 5' * d}), {(8, 3, 4)[:d]}{', False' if corners else ''})",
        doc=f"Resizes the spatial dimensions to output_size, or by scale_factors, {what}.")


for d in (1, 2, 3):
    upsample(f"upsample_nearest{d}d", False, "by the element at the floor of the scaled position")
    upsample(f"_upsample_nearest_exact{d}d", False, "by the element nearest to the centre")
for name in ("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d"):
    upsample(name, True, "linearly between neighbours")
upsample("upsample_bicubic2d", True, "by cubic convolution (Keys 1981)")
upsample("_upsample_bilinear2d_aa", True, "linearly, with the filter widened when the image shrinks")
upsample("_upsample_bicubic2d_aa", True, "by cubic convolution, with the filter widened when the image shrinks")

# ---- padding; mode 0 reflection, 1 replication, 2 wrapping ----
kernel("pad_borders", "input, padding: ints, mode: int",
    lambda g, input, padding, mode: P.pad_borders_backward(g, input.shape, padding, mode), linear="input", dtypes=ALL - BOOL,
    cls="movement", fails="_ops.pad_borders(ones(1, 2), (5, 5), 0)",
    samples=(
        "pad_borders(x(1, 2, 4), (2, 1), 0)",
        "pad_borders(x(1, 2, 3, 4), (1, 2, 0, 1), 1)",
        "pad_borders(x(1, 4), (2, 2), 2)",
    ),
    reference="ref.pad_borders(input, padding, mode)",
    doc="Adds (or, where negative, cuts) elements at both ends of the last dimensions, taken from the input itself.")
kernel("pad_borders_backward", "grad, size: ints, padding: ints, mode: int",
    lambda g, padding, mode: P.pad_borders(g, padding, mode), linear="grad", dtypes=FLOAT | COMPLEX,
    cls="movement", fails="_ops.pad_borders_backward(3, (1, 2), (1, 1), 0)",
    samples="pad_borders_backward(x(1, 2, 7), (1, 2, 4), (2, 1), 0)",
    doc="The transpose of pad_borders: cotangents added up where their elements were taken from.")
for d in (1, 2, 3):
    for kind, how in (("reflection", "mirrored at the border"), ("replication", "equal to the border")):
        kernel(f"{kind}_pad{d}d", "input, padding: ints", cls="composite", dtypes=ALL - BOOL,
            samples=f"{kind}_pad{d}d(x(1, 2{', 3' * d}), {(1, 2, 0, 1, 2, 2)[:2 * d]})",
            reference=f"ref.pad_borders(input, padding, {int(kind == 'replication')})",
            fails=f"_ops.{kind}_pad{d}d(ones(3), (1, 1))",
            doc=f"Pads the last {d} dimension(s) of (n, c, ...) or (c, ...) with elements {how}.")
