"""Contractions: matrix products on the micro-kernels of core/kernels/cpu/gemm."""

from __future__ import annotations

from rows.formula import P
from rows.row import NUMBER, row


def contraction(name: str, schema: str, grad=None, **says) -> None:
    row(name, schema, NUMBER, cls="contraction", grad=grad, **({"inplace": False} | says))


contraction("mm", "input, mat2",
    lambda g, input, mat2: (P.mm(g, P.transpose(mat2, 0, 1)), P.mm(P.transpose(input, 0, 1), g)),
    bilinear=("input", "mat2"), fails="mm(ones(2, 3), ones(2, 3))",
    doc="The product of two matrices, (n, k) and (k, m).")
contraction("bmm", "input, mat2",
    lambda g, input, mat2: (P.bmm(g, P.transpose(mat2, 1, 2)), P.bmm(P.transpose(input, 1, 2), g)),
    bilinear=("input", "mat2"), fails="bmm(ones(2, 2, 3), ones(3, 3, 2))",
    doc="The products of two batches of matrices, (b, n, k) and (b, k, m).")
contraction("addmm", "input, mat1, mat2, *, beta: number = 1, alpha: number = 1",
    lambda g, mat1, mat2, beta, alpha: (P.mul(g, beta), P.mul(P.mm(g, P.transpose(mat2, 0, 1)), alpha),
                                        P.mul(P.mm(P.transpose(mat1, 0, 1), g), alpha)),
    inplace=True, fails="addmm(ones(2), ones(2, 3), ones(2, 3))",
    doc="beta * input + alpha * (mat1 @ mat2), the input broadcast to the product.")
contraction("linear", "input, weight, bias: Tensor? = None", vjp="linear", saves=("input", "weight"), namespace="nn.functional",
    method=False, fails="nn.functional.linear(ones(2, 3), ones(4, 4))",
    doc="input @ weight.T + bias over the last dimension: input (..., in), weight (out, in), bias (out,).")
