"""Contractions: matrix products on the micro-kernels of core/kernels/cpu/gemm."""

from __future__ import annotations

from rows.formula import P
from rows.row import NUMBER, row


def contraction(name: str, schema: str, grad=None, **says) -> None:
    row(name, schema, NUMBER, cls="contraction", grad=grad, **({"inplace": False} | says))


contraction("mm", "input, mat2",
    lambda g, input, mat2: (P.mm(g, P.transpose(mat2, 0, 1)), P.mm(P.transpose(input, 0, 1), g)),
    bilinear=("input", "mat2"), fails="mm(ones(2, 3), ones(2, 3))",
    samples=("mm(x(3*n, 4*n), x(4*n, 20*n))", "mm(x(2, 0), x(0, 3))", "mm(x(1, 3), x(3, 1))"),
    reference="input @ mat2",
    doc="The product of two matrices, (n, k) and (k, m).")
contraction("bmm", "input, mat2",
    lambda g, input, mat2: (P.bmm(g, P.transpose(mat2, 1, 2)), P.bmm(P.transpose(input, 1, 2), g)),
    bilinear=("input", "mat2"), fails="bmm(ones(2, 2, 3), ones(3, 3, 2))",
    samples=("bmm(x(2*n, 3, 4), x(2*n, 4, 2*n))", "bmm(x(0, 2, 3), x(0, 3, 2))"),
    reference="input @ mat2",
    doc="The products of two batches of matrices, (b, n, k) and (b, k, m).")
contraction("addmm", "input, mat1, mat2, *, beta: number = 1, alpha: number = 1",
    lambda g, mat1, mat2, beta, alpha: (P.mul(g, beta), P.mul(P.mm(g, P.transpose(mat2, 0, 1)), alpha),
                                        P.mul(P.mm(P.transpose(mat1, 0, 1), g), alpha)),
    inplace=True, fails="addmm(ones(2), ones(2, 3), ones(2, 3))",
    samples=(
        "addmm(x(3*n, 2*n), x(3*n, 4*n), x(4*n, 2*n))",
        "addmm(x(2), x(3, 4), x(4, 2), beta=2, alpha=3)",
    ),
    reference="beta * input + alpha * (mat1 @ mat2)",
    doc="beta * input + alpha * (mat1 @ mat2), the input broadcast to the product.")
contraction("linear", "input, weight, bias: Tensor? = None", vjp="linear", saves=("input", "weight"), namespace="nn.functional",
    method=False, fails="nn.functional.linear(ones(2, 3), ones(4, 4))",
    samples=(
        "linear(x(3*n, 4*n), x(5*n, 4*n), x(5*n))",
        "linear(x(2, 3, 4), x(5, 4))",
        "linear(x(4), x(3, 4), x(3))",
    ),
    reference="input @ weight.T + (0 if bias is None else bias)",
    node="Addmm", doc="input @ weight.T + bias over the last dimension: input (..., in), weight (out, in), bias (out,).")
