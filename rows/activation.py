"""Activation functions of neural networks."""

from rows.formula import P, m, where
from rows.row import FLOAT, elementwise

elementwise("softplus", "input, beta: number = 1.0, threshold: number = 20.0", FLOAT,
    lambda x, beta, threshold: where(x * beta > threshold, x, m.log1p(m.exp(x * beta)) / beta),
    lambda g, input, beta, threshold: where(input * beta > threshold, g, g * P.sigmoid(input * beta)),
    namespace="nn.functional", method=False, inplace=False, reference="np.logaddexp(0, input * beta) / beta",
    doc="A smooth form of relu: log(1 + exp(beta x)) / beta, and x itself where beta x exceeds `threshold`.")
