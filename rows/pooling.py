"""Pooling over one to three trailing dimensions.

The backward maps are rows too: averages are linear, so forward and backward are each other's gradient; maxima scatter
cotangents to the positions that won, and the gradient of that gathers from them.
"""

from __future__ import annotations

from typing import Any

from rows.formula import P
from rows.row import FLOAT, INTEGRAL, row

TOP_LEVEL = ("max_pool1d", "max_pool1d_with_indices", "max_pool2d", "max_pool3d", "avg_pool1d", "adaptive_avg_pool1d", "adaptive_max_pool1d")


def kernel(name: str, schema: str, grad=None, **says: Any) -> None:
    told: dict[str, Any] = {"cls": "kernel", "function": name in TOP_LEVEL, "method": False, "inplace": False} | says
    row(name, schema, told.pop("dtypes", FLOAT), grad=grad, **told)


def composite(name: str, schema: str, **says) -> None:
    kernel(name, schema, cls="composite", **says)


# ---- maxima ----
kernel("max_pool_backward", "grad, indices, size: ints, spatial: int",
    lambda g, indices, spatial: (P.max_pool_gather(g, indices, spatial), None), linear="grad",
    fails="_ops.max_pool_backward(ones(1, 2), ones(1, 3), (1, 4), 1)",
    samples="max_pool_backward(x(1, 3), whole(5, 1, 3), (1, 5), 1)",
    doc="Zeros of `size`, with each cotangent added at its position in the flat plane of the last `spatial` dimensions.")
kernel("max_pool_gather", "input, indices, spatial: int",
    lambda g, input, indices, spatial: (P.max_pool_backward(g, indices, input.shape, spatial), None), linear="input",
    fails="_ops.max_pool_gather(ones(1, 2), ones(2, 3), 1)",
    samples="max_pool_gather(x(1, 5), whole(5, 1, 3), 1)",
    doc="The elements at the given positions in the flat planes of the last `spatial` dimensions.")
kernel("max_unpool", "input, indices, size: ints, spatial: int",
    lambda g, indices, spatial: (P.max_pool_gather(g, indices, spatial), None), linear="input",
    fails="_ops.max_unpool(ones(1, 2), tensor([[0, 5]]), (1, 4), 1)",
    samples="max_unpool(x(1, 3), distinct(5)[:3].reshape(1, 3), (1, 5), 1)",
    doc="Zeros of `size` but for the input at the given positions in the flat planes of the last `spatial` dimensions.")
kernel("max_pool_values", "input, kernel_size: ints, stride: ints, padding: ints, dilation: ints, ceil_mode: bool, spatial: int",
    dtypes=FLOAT | INTEGRAL, fails="_ops.max_pool_values(ones(3), 2, 2, 0, 1, False, 1)",
    samples="max_pool_values(x(1, 2, 7), (3,), (2,), (1,), (1,), False, 1)",
    doc="The maxima of windows without their positions: what no gradient needs.")


def maxima(d: int) -> None:
    schema = "input, kernel_size: ints, stride: ints? = None, padding: ints = 0, dilation: ints = 1, ceil_mode: bool = False"
    kernel(f"max_pool{d}d_with_indices", schema,
        lambda g, input, indices: P.max_pool_backward(g, indices, input.shape, d),
        samples=(f"max_pool{d}d_with_indices(x(1, 2{', 5' * d}), 3, 2, 1)", f"max_pool{d}d_with_indices(x(2{', 5' * d}), 2, 2, 0, 2, True)"),
        reference="ref.max_pool(input, kernel_size, stride, padding, dilation, ceil_mode)",
        outputs=("output", "indices"), dtypes=FLOAT | INTEGRAL, fails=f"_ops.max_pool{d}d_with_indices(ones(3), 2)",
        doc=f"The maxima of windows over {d} dimension(s), and their positions in the flat input planes.")
    composite(f"max_pool{d}d", schema, dtypes=FLOAT | INTEGRAL, fails=f"_ops.max_pool{d}d(ones(3), 2)",
        samples=(f"max_pool{d}d(x(1, 2{', 5' * d}), 3, 2, 1)", f"max_pool{d}d(x(2{', 5' * d}), 2)"),
        reference="ref.max_pool(input, kernel_size, stride, padding, dilation, ceil_mode)[0]",
        doc=f"The maximum of each window over the last {d} dimension(s) of (n, c, ...) or (c, ...).")
    kernel(f"adaptive_max_pool{d}d", "input, output_size: ints",
        lambda g, input, indices: P.max_pool_backward(g, indices, input.shape, d),
        samples=(f"adaptive_max_pool{d}d(x(1, 2{', 5' * d}), {(2, 3, 1)[:d]})",),
        reference="ref.adaptive_pool(input, output_size, np.max)",
        outputs=("output", "indices"), fails=f"_ops.adaptive_max_pool{d}d(ones(3), 2)",
        doc=f"Maxima, and their positions, of as many windows over {d} dimension(s) as the output has elements.")


# ---- averages ----
WINDOW = "kernel_size: ints, stride: ints, padding: ints, ceil_mode: bool, count_include_pad: bool, divisor: int"
kernel("avg_pool_kernel", "input, " + WINDOW,
    lambda g, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor: P.avg_pool_backward(
        g, input.shape, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor),
    linear="input", fails="_ops.avg_pool_kernel(ones(3), 2, 2, 0, False, True, 0)",
    samples=(
        "avg_pool_kernel(x(1, 2, 7), (3,), (2,), (1,), False, True, 0)",
        "avg_pool_kernel(x(2, 5, 6), (2, 3), (2, 2), (1, 1), True, False, 0)",
    ),
    doc="The mean of each window (the sum over `divisor` where it is not 0), over as many dimensions as kernel_size has entries.")
kernel("avg_pool_backward", "grad, size: ints, " + WINDOW,
    lambda g, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor: P.avg_pool_kernel(
        g, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor),
    linear="grad", fails="_ops.avg_pool_backward(3, (3,), 2, 2, 0, False, True, 0)",
    samples="avg_pool_backward(x(1, 2, 4), (1, 2, 7), (3,), (2,), (1,), False, True, 0)",
    doc="The transpose of avg_pool_kernel: each cotangent spread over its window.")
kernel("adaptive_avg_pool_kernel", "input, output_size: ints",
    lambda g, input, output_size: P.adaptive_avg_pool_backward(g, input.shape, output_size), linear="input",
    fails="_ops.adaptive_avg_pool_kernel(ones(3), (2, 2))",
    samples=("adaptive_avg_pool_kernel(x(1, 2, 7), (3,))", "adaptive_avg_pool_kernel(x(2, 5, 4), (2, 3))"),
    doc="Means of as many windows as the output has elements.")
kernel("adaptive_avg_pool_backward", "grad, size: ints, output_size: ints",
    lambda g, output_size: P.adaptive_avg_pool_kernel(g, output_size), linear="grad",
    fails="_ops.adaptive_avg_pool_backward(3, (3,), (2,))",
    samples="adaptive_avg_pool_backward(x(1, 2, 3), (1, 2, 7), (3,))",
    doc="The transpose of adaptive_avg_pool_kernel.")


def averages(d: int) -> None:
    divisor = ", divisor_override: int? = None" if d > 1 else ""
    composite(f"avg_pool{d}d",
        "input, kernel_size: ints, stride: ints? = None, padding: ints = 0, ceil_mode: bool = False, count_include_pad: bool = True" + divisor,
        fails=f"_ops.avg_pool{d}d(ones(3), 2)",
        samples=(f"avg_pool{d}d(x(1, 2{', 5' * d}), 3, 2, 1)", f"avg_pool{d}d(x(2{', 5' * d}), 2, 2, 1, True, False)"),
        reference="ref.average_pool(input, kernel_size, stride, padding, ceil_mode, count_include_pad)",
        doc=f"The mean of each window over the last {d} dimension(s) of (n, c, ...) or (c, ...).")
    composite(f"adaptive_avg_pool{d}d", "input, output_size: ints", fails=f"_ops.adaptive_avg_pool{d}d(ones(3), 2)",
        samples=(f"adaptive_avg_pool{d}d(x(1, 2{', 5' * d}), {(2, 3, 1)[:d]})",),
        reference="ref.adaptive_pool(input, output_size, np.mean)[0]",
        doc=f"Means of as many windows over {d} dimension(s) as the output has elements.")


for dimensions in (1, 2, 3):
    maxima(dimensions)
    averages(dimensions)
