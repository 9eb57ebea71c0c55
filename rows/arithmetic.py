"""Arithmetic: sums, products, quotients, powers and what combines them."""

from rows.formula import P, m, where
from rows.row import ALL, elementwise

elementwise("add", "input, other, *, alpha: number = 1", ALL,
    lambda x, y, alpha: x + alpha * y,
    lambda g, alpha: (g, g * alpha),
    linear=("input", "other"), reference="input + alpha * other",
    doc="Adds `other`, scaled by `alpha`, to `input`, element by element.")
