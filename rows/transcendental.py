"""Exponentials, logarithms, trigonometry and their inverses."""

from rows.formula import P, m, where
from rows.row import COMPLEX, FLOAT, elementwise

elementwise("tanh", "input", FLOAT | COMPLEX, m.tanh,
    lambda g, result: g * (1 - result * result),
    promote="float", reference="np.tanh(input)", doc="The hyperbolic tangent of each element.")
elementwise("sigmoid", "input", FLOAT | COMPLEX, m.sigmoid,
    lambda g, result: g * (1 - result) * result,
    promote="float", aliases="special.expit", reference="1 / (1 + np.exp(-input))",
    doc="The logistic function 1 / (1 + exp(-x)) of each element.")
