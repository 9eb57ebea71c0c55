"""Random numbers, with the streams of PyTorch's CPU generator. All take `generator`; samplers overwrite their tensor."""

from __future__ import annotations

from typing import Any

from rows.formula import P
from rows.row import ALL, BOOL, COMPLEX, FLOAT, INTEGRAL, REAL, row


def random(name: str, schema: str, grad=None, **says: Any) -> None:
    told: dict[str, Any] = {"cls": "random", "inplace": False} | says
    row(name, f"{schema}, generator: generator? = None" if "*" in schema else f"{schema}, *, generator: generator? = None",
        told.pop("dtypes", ALL), grad=grad, **told)


def sampler(name: str, schema: str, **says) -> None:
    """x.name_(...): what stood in x has no part in the result."""
    random(name, schema, lambda g: P.zeros_like(g), function=False, method=False, inplace=True, **says)


sampler("uniform", "input, from: float = 0.0, to: float = 1.0", dtypes=FLOAT | COMPLEX, fails="ones(2).uniform_(1, 0)",
    doc="Uniform numbers of [from, to).")
sampler("normal", "input, mean: float = 0.0, std: float = 1.0", dtypes=FLOAT | COMPLEX, fails="ones(2).normal_(0, -1)",
    doc="Normal numbers.")
sampler("exponential", "input, lambd: float = 1.0", dtypes=FLOAT, fails="ones(2).exponential_(-1)",
    doc="Exponential numbers of rate `lambd`.")
sampler("cauchy", "input, median: float = 0.0, sigma: float = 1.0", dtypes=FLOAT, fails="ones(2).cauchy_(0, -1)",
    doc="Numbers of the Cauchy distribution.")
sampler("geometric", "input, p: float", dtypes=REAL, fails="ones(2).geometric_(2)",
    doc="Numbers of trials up to the first success, each with probability p.")
sampler("log_normal", "input, mean: float = 1.0, std: float = 2.0", dtypes=FLOAT, fails="ones(2).log_normal_(0, -1)",
    doc="Numbers whose logarithms are normal.")
sampler("random", "input, from: int? = None, to: int? = None", dtypes=REAL | BOOL, fails="ones(2).random_(3, 1)",
    doc="Integers of [from, to), of [0, to) where only one bound is given, or of all that the type holds exactly and are not negative.")
random("bernoulli", "input, p: operand? = None", vjp="bernoulli", inplace=True, dtypes=REAL | BOOL, fails="bernoulli(ones(2) * 2)",
    doc="Ones with the probabilities that the input holds, or with probability `p`, a number or a tensor; zeros elsewhere.")
random("multinomial", "input, num_samples: int, replacement: bool = False", dtypes=FLOAT, fails="multinomial(ones(2), 3)",
    doc="Positions drawn by weight from each row of the input: int64.")
random("native_dropout", "input, p: float, train: bool? = True", vjp="native_dropout", saves=("mask",), dtypes=FLOAT | COMPLEX, inplace=True,
    outputs=("output", "mask"), linear=("input",), function=True, method=False, fails="native_dropout(ones(2), 2.0)",
    doc="The input with elements zeroed with probability p and the others divided by 1 - p, and which were kept.")

def factory(name: str, schema: str, **says) -> None:
    random(name, schema, cls="creation", method=False, **says)


factory("rand", "size: ints, *, dtype: dtype? = None", dtypes=FLOAT | COMPLEX, fails="rand(-1)",
    doc="A tensor of uniform numbers of [0, 1).")
factory("randn", "size: ints, *, dtype: dtype? = None", dtypes=FLOAT | COMPLEX, fails="randn(-1)",
    doc="A tensor of normal numbers of mean 0 and variance 1.")
random("randint", "low: int, high: int, size: ints, *, dtype: dtype? = None", method=False, dtypes=REAL | BOOL, fails="_ops.randint(3, 1, (2,))",
    doc="A tensor of integers of [low, high), int64 unless `dtype` names another type.")
factory("randperm", "n: int, *, dtype: dtype? = None", dtypes=INTEGRAL | FLOAT, fails="randperm(-1)",
    doc="The numbers from 0 to n - 1 in random order: int64.")
factory("rand_like", "input, *, dtype: dtype? = None, memory_format: str? = None", dtypes=FLOAT | COMPLEX, fails="rand_like(3)",
    doc="Uniform numbers of [0, 1) in the shape and type of the input.")
factory("randn_like", "input, *, dtype: dtype? = None, memory_format: str? = None", dtypes=FLOAT | COMPLEX, fails="randn_like(3)",
    doc="Normal numbers in the shape and type of the input.")

row("dropout", "input, p: float = 0.5, train: bool = True", ALL, cls="composite", inplace=False, method=False,
    fails="dropout(ones(2), 2.0)",
    samples="dropout(x(3, 4), 0.5, False)",
    reference="input",
    doc="Zeroes elements with probability p and divides the others by 1 - p while training; else the input itself.")
