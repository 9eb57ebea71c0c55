"""Composites in C++: compositions of primitives that are called so often that a Python frame would show.

They pass the door unseen: only the primitives that they call are recorded, batched and captured.
"""

from __future__ import annotations

from rows.row import ALL, row


def composite(name: str, schema: str, **says) -> None:
    row(name, schema, ALL, cls="composite", **({"inplace": False} | says))


composite("reshape", "input, shape: ints", fails="reshape(ones(3), (2,))",
    samples=("reshape(x(2, 6), (3, -1))", "reshape(x(0, 3), (3, 0))", "reshape(x(1), ())"),
    reference="input.reshape(shape)",
    doc="The same elements under another shape: a view where the strides allow it, else a copy. One extent may be -1.")
composite("contiguous", "input, memory_format: str? = None", function=False, fails="_ops.contiguous(3)",
    samples="contiguous(x(2, 3))",
    reference="input",
    doc="The input itself where its elements lie in order, else a copy that does.")
composite("flatten", "input, start_dim: int = 0, end_dim: int = -1", fails="flatten(ones(2, 2), 1, 0)",
    samples=("flatten(x(2, 3, 4), 1)", "flatten(x())"),
    reference="ref.flatten(input, start_dim, end_dim)",
    doc="Merges the dimensions from start_dim to end_dim into one.")
composite("zeros_like", "input, *, dtype: dtype? = None", fails="zeros_like(3)",
    samples="zeros_like(x(2, 3))",
    reference="np.zeros_like(input)",
    doc="Zeros of the shape of the input, and of its type unless `dtype` names another.")
composite("matmul", "input, other", fails="matmul(ones(2, 3), ones(2, 3))",
    samples=(
        "matmul(x(3), x(3))",
        "matmul(x(2, 3), x(3))",
        "matmul(x(3), x(2, 3, 4))",
        "matmul(x(20*n, 30), x(30, 8*n))",
        "matmul(x(2, 1, 3, 4), x(3, 4, 2))",
    ),
    reference="input @ other",
    doc="Matrix product with NumPy's rules: vectors are promoted, leading dimensions are batches that broadcast.")
composite("resolve_conj", "input",
    samples="resolve_conj(x(3))",
    reference="input",
    doc="The input itself: conjugation is never delayed here.", fails="resolve_conj(3)")
composite("resolve_neg", "input",
    samples="resolve_neg(x(3))",
    reference="input",
    doc="The input itself: negation is never delayed here.", fails="resolve_neg(3)")
