"""Layers that are kernels of their own: softmax and class losses, normalisation, convolution.

Their gradients are written in core/ops: one fused kernel where nothing is recorded, a composition where a second
derivative may be asked for.
"""

from __future__ import annotations

from rows.row import COMPLEX, FLOAT, row

CONVOLUTION = "stride: ints, padding: ints, dilation: ints, groups: int"


def kernel(name: str, schema: str, vjp: bool = True, **says) -> None:
    hidden = {"function": False, "method": False} if says.pop("hidden", False) else {}
    row(name, schema, says.pop("dtypes", FLOAT), cls=says.pop("cls", "kernel"), vjp=name if vjp else "", inplace=False, **hidden, **says)


def composite(name: str, schema: str, **says) -> None:
    kernel(name, schema, vjp=False, cls="composite", **({"method": False} | says))


# ---- softmax and losses over classes ----
kernel("softmax", "input, dim: int, dtype: dtype? = None", saves="result", fails="softmax(ones(2), 3)", aliases="special.softmax",
    samples=("softmax(x(3*n, 5), 1)", "softmax(x(2, 3*n, 2), 1)", "softmax(x(4), 0)"),
    reference="sp.softmax(input, dim)",
    doc="exp(input) divided by its sum along `dim`: positive numbers that add up to one.")
kernel("log_softmax", "input, dim: int, dtype: dtype? = None", saves="result", fails="log_softmax(ones(2), 3)",
    aliases="special.log_softmax",
    samples=("log_softmax(x(3*n, 5), 1)", "log_softmax(x(2, 3*n, 2), 1)", "log_softmax(x(4), 0)"),
    reference="sp.log_softmax(input, dim)",
    doc="The logarithm of softmax along `dim`, without overflow.")
kernel("class_cross_entropy",
    "input, target, weight: Tensor? = None, reduction: int = 1, ignore_index: int = -100, label_smoothing: float = 0.0",
    outputs=("loss", "logsumexp", "total_weight"), auxiliary=("logsumexp", "total_weight"), autocast="full", saves=("input", "target", "weight", "logsumexp", "total_weight"), hidden=True,
    fails="_ops.class_cross_entropy(ones(2, 3), tensor([0, 5]))",
    samples=(
        "class_cross_entropy(x(3, 4), whole(4, 3))",
        "class_cross_entropy(x(3, 4), whole(4, 3), fixed(4, low=0.5), 0, -100, 0.1)",
    ),
    node="NllLoss", doc="Cross entropy of rows of scores (rows, classes) against class numbers (rows); reduction 0 none, 1 mean, 2 sum.")
kernel("class_nll", "input, target, weight: Tensor? = None, reduction: int = 1, ignore_index: int = -100",
    outputs=("loss", "total_weight"), auxiliary="total_weight", autocast="full", saves=("target", "weight", "total_weight"), hidden=True,
    fails="_ops.class_nll(ones(2, 3), tensor([0, 5]))",
    samples=(
        "class_nll(x(3, 4), whole(4, 3))",
        "class_nll(x(3, 4, 2), whole(4, 3, 2), fixed(4, low=0.5), 2)",
    ),
    node="NllLoss", doc="Minus the log-probability of the target class: input (n, classes, ...), target (n, ...).")
composite("cross_entropy_loss",
    "input, target, weight: Tensor? = None, reduction: int = 1, ignore_index: int = -100, label_smoothing: float = 0.0",
    function=False, fails="_ops.cross_entropy_loss(ones(2, 3), tensor([0, 5]))",
    samples=(
        "cross_entropy_loss(x(3, 4), whole(4, 3))",
        "cross_entropy_loss(x(3, 4, 2), whole(4, 3, 2), fixed(4, low=0.5), 0, 1, 0.1)",
        "cross_entropy_loss(x(64*n, 10), whole(10, 64*n))",
    ),
    reference="ref.cross_entropy(input, target, weight, reduction, ignore_index, label_smoothing)",
    doc="Cross entropy between scores (n, classes, ...) and class numbers (n, ...) or probabilities (n, classes, ...).")
composite("nll_loss_nd", "input, target, weight: Tensor? = None, reduction: int = 1, ignore_index: int = -100", function=False,
    fails="_ops.nll_loss_nd(ones(2, 3), tensor([0, 5]))",
    samples=(
        "nll_loss_nd(x(3, 4), whole(4, 3))",
        "nll_loss_nd(x(3, 4, 2), whole(4, 3, 2), fixed(4, low=0.5), 0, 1)",
    ),
    reference="ref.nll(input, target, weight, reduction, ignore_index)",
    doc="Minus the log-probability of the target class, for any number of dimensions.")

# ---- normalisation ----
kernel("layer_norm_kernel", "input, normalized_shape: ints, weight: Tensor? = None, bias: Tensor? = None, eps: float = 1e-5",
    outputs=("output", "mean", "rstd"), auxiliary=("mean", "rstd"), saves=("input", "weight", "mean", "rstd"), hidden=True,
    fails="_ops.layer_norm_kernel(ones(2, 3), (4,))",
    samples=("layer_norm_kernel(x(3, 4), (4,), x(4), x(4))", "layer_norm_kernel(x(2, 3, 4), (3, 4))"),
    node="NativeLayerNorm", doc="Normalises over the last dimensions to mean 0 and variance 1, then scales and shifts (Ba, Kiros, Hinton 2016).")
kernel("rms_norm_kernel", "input, normalized_shape: ints, weight: Tensor? = None, eps: float? = None",
    outputs=("output", "rstd"), auxiliary="rstd", saves=("input", "weight", "rstd"), hidden=True, fails="_ops.rms_norm_kernel(ones(2, 3), (4,))",
    samples="rms_norm_kernel(x(3, 4), (4,), x(4), 1e-5)",
    doc="Divides by the root mean square over the last dimensions, then scales (Zhang and Sennrich 2019).")
kernel("group_norm_kernel", "input, num_groups: int, weight: Tensor? = None, bias: Tensor? = None, eps: float = 1e-5",
    outputs=("output", "mean", "rstd"), auxiliary=("mean", "rstd"), saves=("input", "weight", "mean", "rstd"), hidden=True,
    fails="_ops.group_norm_kernel(ones(2, 3), 2)",
    samples="group_norm_kernel(x(2, 4, 3), 2, x(4), x(4))",
    node="NativeGroupNorm", doc="Normalises each group of channels of each sample (Wu and He 2018).")
kernel("batch_norm_kernel",
    "input, weight: Tensor?, bias: Tensor?, running_mean: Tensor?, running_var: Tensor?, training: bool, momentum: float, eps: float",
    outputs=("output", "mean", "rstd"), auxiliary=("mean", "rstd"), saves=("input", "weight", "mean", "rstd"), hidden=True,
    fails="_ops.batch_norm_kernel(ones(3), None, None, None, None, True, 0.1, 1e-5)",
    samples="batch_norm_kernel(x(4, 3), x(3), x(3), None, None, True, 0.1, 1e-5)",
    node="NativeBatchNorm", doc="Normalises each channel over the batch (training) or by running statistics (Ioffe and Szegedy 2015).")
composite("layer_norm",
    "input, normalized_shape: ints, weight: Tensor? = None, bias: Tensor? = None, eps: float = 1e-5, cudnn_enable: bool = True",
    fails="layer_norm(ones(2, 3), (4,))",
    samples=("layer_norm(x(3, 4), (4,), x(4), x(4))", "layer_norm(x(2*n, 3, 40), (3, 40))"),
    reference="ref.normalise(input, tuple(range(-len(normalized_shape), 0)), eps) * (1 if weight is None else weight) + (0 if bias is None else bias)",
    doc="Normalises over the last dimensions to mean 0 and variance 1, then scales and shifts (Ba, Kiros, Hinton 2016).")
composite("rms_norm", "input, normalized_shape: ints, weight: Tensor? = None, eps: float? = None", fails="rms_norm(ones(2, 3), (4,))",
    samples="rms_norm(x(3, 4), (4,), x(4), 1e-5)",
    reference="input / np.sqrt(np.mean(input ** 2, -1, keepdims=True) + eps) * weight",
    doc="Divides by the root mean square over the last dimensions, then scales (Zhang and Sennrich 2019).")
composite("group_norm",
    "input, num_groups: int, weight: Tensor? = None, bias: Tensor? = None, eps: float = 1e-5, cudnn_enabled: bool = True",
    fails="group_norm(ones(2, 3), 2)",
    samples=("group_norm(x(2, 4, 3), 2, x(4), x(4))", "group_norm(x(2, 4), 4)"),
    reference="ref.group_norm(input, num_groups, weight, bias, eps)",
    doc="Normalises each group of channels of each sample (Wu and He 2018).")
composite("batch_norm",
    "input, weight: Tensor?, bias: Tensor?, running_mean: Tensor?, running_var: Tensor?, training: bool, momentum: float, "
    "eps: float, cudnn_enabled: bool = True",
    fails="batch_norm(ones(3), None, None, None, None, True, 0.1, 1e-5, True)",
    samples=(
        "batch_norm(x(4, 3), x(3), x(3), None, None, True, 0.1, 1e-5)",
        "batch_norm(x(4*n, 3, 50), None, None, fixed(3), fixed(3, low=0.5), False, 0.1, 1e-5)",
    ),
    reference="ref.batch_norm(input, weight, bias, running_mean, running_var, training, eps)",
    doc="Normalises each channel over the batch (training) or by running statistics (Ioffe and Szegedy 2015).")

# ---- convolution: three bilinear maps, each the gradient of the others ----
kernel("convolution_kernel", "input, weight, bias: Tensor? = None, " + "*, " + CONVOLUTION, cls="contraction",
    dtypes=FLOAT | COMPLEX, saves=("input", "weight"), bilinear=("input", "weight"), hidden=True,
    fails="_ops.convolution_kernel(ones(1), ones(1), stride=1, padding=0, dilation=1, groups=1)",
    samples=(
        "convolution_kernel(x(2, 4, 5, 6), x(6, 2, 3, 2), x(6), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2)",
        "convolution_kernel(x(1, 2, 7), x(3, 2, 3), stride=(1,), padding=(1,), dilation=(1,), groups=1)",
    ),
    reference="ref.convolution(input, weight, bias, stride, padding, dilation, groups)",
    node="Convolution", doc="Cross-correlation of input (n, c, ...) with weight (o, c / groups, ...), over one to three dimensions.")
kernel("convolution_input_grad", "grad, weight, *, size: ints, " + CONVOLUTION, cls="contraction",
    dtypes=FLOAT | COMPLEX, saves=("grad", "weight"), bilinear=("grad", "weight"), hidden=True,
    fails="_ops.convolution_input_grad(ones(1), ones(1), size=1, stride=1, padding=0, dilation=1, groups=1)",
    samples=(
        "convolution_input_grad(x(1, 2, 3, 4), x(2, 1, 3, 2), size=(1, 2, 5, 6), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2)",
    ),
    node="Convolution", doc="The transpose of convolution in its input: also the transposed convolution.")
kernel("convolution_weight_grad", "grad, input, *, size: ints, " + CONVOLUTION, cls="contraction",
    dtypes=FLOAT | COMPLEX, saves=("grad", "input"), bilinear=("grad", "input"), hidden=True,
    fails="_ops.convolution_weight_grad(ones(1), ones(1), size=1, stride=1, padding=0, dilation=1, groups=1)",
    samples=(
        "convolution_weight_grad(x(1, 2, 3, 4), x(1, 2, 5, 6), size=(2, 1, 3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2)",
    ),
    doc="The transpose of convolution in its weight.")
for d in (1, 2, 3):
    composite(f"conv{d}d",
        "input, weight, bias: Tensor? = None, stride: ints = 1, padding: ints|str = 0, dilation: ints = 1, groups: int = 1",
        samples=(f"conv{d}d(x(1, 2{', 5' * d}), x(4, 1{', 3' * d}), x(4), 1, 1, 1, 2)", f"conv{d}d(x(2{', 4' * d}), x(3, 2{', 2' * d}), None, 2)"),
        reference="ref.convolution(input, weight, bias, stride, padding, dilation, groups)",
        kernel=f"conv{d}d", fails=f"conv{d}d(ones(1), ones(1))",
        doc=f"Cross-correlation of input (n, c, ...) with weight (o, c / groups, ...) over {d} dimension(s).")
    composite(f"conv_transpose{d}d",
        "input, weight, bias: Tensor? = None, stride: ints = 1, padding: ints = 0, output_padding: ints = 0, groups: int = 1, "
        "dilation: ints = 1",
        samples=(f"conv_transpose{d}d(x(1, 4{', 3' * d}), x(4, 1{', 3' * d}), x(2), 2, 1, 1, 2)",),
        reference="ref.transposed_convolution(input, weight, bias, stride, padding, output_padding, groups, dilation)",
        kernel=f"conv_transpose{d}d", fails=f"conv_transpose{d}d(ones(1), ones(1))",
        doc=f"Transposed convolution over {d} dimension(s): the gradient of convolution with respect to its input.")
