"""Scaled dot-product attention: one kernel that never holds the matrix of scores, and a composition for what it leaves out."""

from __future__ import annotations

from rows.row import FLOAT, row

row("attention_kernel", "query, key, value, attn_mask: Tensor?, is_causal: bool, scale: float", frozenset(["float32"]), cls="kernel",
    vjp="attention_kernel", saves=("query", "key", "value", "attn_mask", "output", "logsumexp"), outputs=("output", "logsumexp"),
    function=False, method=False, inplace=False,
    fails="_ops.attention_kernel(ones(2), ones(2), ones(2), None, False, 1.0)",
    samples=(
        "attention_kernel(x(1, 2, 3, 4), x(1, 2, 5, 4), x(1, 2, 5, 4), None, False, 0.5)",
        "attention_kernel(x(1, 2*n, 40, 16), x(1, 2*n, 40, 16), x(1, 2*n, 40, 16), None, True, 0.25)",
    ),
    doc="softmax(scale * query @ key^T + attn_mask) @ value over (batch, heads, length, width), and the logsumexp of the scores.")
row("scaled_dot_product_attention",
    "query, key, value, attn_mask: Tensor? = None, dropout_p: float = 0.0, is_causal: bool = False, *, scale: float? = None, "
    "enable_gqa: bool = False", FLOAT, cls="composite", function=False, method=False, inplace=False, namespace="nn.functional",
    fails="_ops.scaled_dot_product_attention(ones(2), ones(2), ones(2))",
    samples=(
        "scaled_dot_product_attention(x(1, 2, 3, 4), x(1, 2, 5, 4), x(1, 2, 5, 4))",
        "scaled_dot_product_attention(x(1, 1, 3, 4), x(1, 1, 3, 4), x(1, 1, 3, 4), is_causal=True)",
    ),
    reference="ref.attention(query, key, value, is_causal)",
    doc="Values mixed by the softmax of the products of queries and keys (Vaswani et al. 2017). A boolean mask is true where a "
        "query sees a key, other masks are added to the scores; a query that sees nothing gives zeros.")
