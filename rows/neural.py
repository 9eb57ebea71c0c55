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
    doc="exp(input) divided by its sum along `dim`: positive numbers that add up to one.")
kernel("log_softmax", "input, dim: int, dtype: dtype? = None", saves="result", fails="log_softmax(ones(2), 3)",
    aliases="special.log_softmax",
    doc="The logarithm of softmax along `dim`, without overflow.")
kernel("class_cross_entropy",
    "input, target, weight: Tensor? = None, reduction: int = 1, ignore_index: int = -100, label_smoothing: float = 0.0",
    outputs=("loss", "logsumexp", "total_weight"), saves=("input", "target", "weight", "logsumexp", "total_weight"), hidden=True,
    fails="_ops.class_cross_entropy(ones(2, 3), tensor([0, 5]))",
    doc="Cross entropy of rows of scores (rows, classes) against class numbers (rows); reduction 0 none, 1 mean, 2 sum.")
kernel("class_nll", "input, target, weight: Tensor? = None, reduction: int = 1, ignore_index: int = -100",
    outputs=("loss", "total_weight"), saves=("target", "weight", "total_weight"), hidden=True,
    fails="_ops.class_nll(ones(2, 3), tensor([0, 5]))",
    doc="Minus the log-probability of the target class: input (n, classes, ...), target (n, ...).")
composite("cross_entropy_loss",
    "input, target, weight: Tensor? = None, reduction: int = 1, ignore_index: int = -100, label_smoothing: float = 0.0",
    function=False, fails="_ops.cross_entropy_loss(ones(2, 3), tensor([0, 5]))",
    doc="Cross entropy between scores (n, classes, ...) and class numbers (n, ...) or probabilities (n, classes, ...).")
composite("nll_loss_nd", "input, target, weight: Tensor? = None, reduction: int = 1, ignore_index: int = -100", function=False,
    fails="_ops.nll_loss_nd(ones(2, 3), tensor([0, 5]))",
    doc="Minus the log-probability of the target class, for any number of dimensions.")

# ---- normalisation ----
kernel("layer_norm_kernel", "input, normalized_shape: ints, weight: Tensor? = None, bias: Tensor? = None, eps: float = 1e-5",
    outputs=("output", "mean", "rstd"), saves=("input", "weight", "mean", "rstd"), hidden=True,
    fails="_ops.layer_norm_kernel(ones(2, 3), (4,))",
    doc="Normalises over the last dimensions to mean 0 and variance 1, then scales and shifts (Ba, Kiros, Hinton 2016).")
kernel("rms_norm_kernel", "input, normalized_shape: ints, weight: Tensor? = None, eps: float? = None",
    outputs=("output", "rstd"), saves=("input", "weight", "rstd"), hidden=True, fails="_ops.rms_norm_kernel(ones(2, 3), (4,))",
    doc="Divides by the root mean square over the last dimensions, then scales (Zhang and Sennrich 2019).")
kernel("group_norm_kernel", "input, num_groups: int, weight: Tensor? = None, bias: Tensor? = None, eps: float = 1e-5",
    outputs=("output", "mean", "rstd"), saves=("input", "weight", "mean", "rstd"), hidden=True,
    fails="_ops.group_norm_kernel(ones(2, 3), 2)",
    doc="Normalises each group of channels of each sample (Wu and He 2018).")
kernel("batch_norm_kernel",
    "input, weight: Tensor?, bias: Tensor?, running_mean: Tensor?, running_var: Tensor?, training: bool, momentum: float, eps: float",
    outputs=("output", "mean", "rstd"), saves=("input", "weight", "mean", "rstd"), hidden=True,
    fails="_ops.batch_norm_kernel(ones(3), None, None, None, None, True, 0.1, 1e-5)",
    doc="Normalises each channel over the batch (training) or by running statistics (Ioffe and Szegedy 2015).")
composite("layer_norm",
    "input, normalized_shape: ints, weight: Tensor? = None, bias: Tensor? = None, eps: float = 1e-5, cudnn_enable: bool = True",
    fails="layer_norm(ones(2, 3), (4,))",
    doc="Normalises over the last dimensions to mean 0 and variance 1, then scales and shifts (Ba, Kiros, Hinton 2016).")
composite("rms_norm", "input, normalized_shape: ints, weight: Tensor? = None, eps: float? = None", fails="rms_norm(ones(2, 3), (4,))",
    doc="Divides by the root mean square over the last dimensions, then scales (Zhang and Sennrich 2019).")
composite("group_norm",
    "input, num_groups: int, weight: Tensor? = None, bias: Tensor? = None, eps: float = 1e-5, cudnn_enabled: bool = True",
    fails="group_norm(ones(2, 3), 2)",
    doc="Normalises each group of channels of each sample (Wu and He 2018).")
composite("batch_norm",
    "input, weight: Tensor?, bias: Tensor?, running_mean: Tensor?, running_var: Tensor?, training: bool, momentum: float, "
    "eps: float, cudnn_enabled: bool = True",
    fails="batch_norm(ones(3), None, None, None, None, True, 0.1, 1e-5, True)",
    doc="Normalises each channel over the batch (training) or by running statistics (Ioffe and Szegedy 2015).")

# ---- convolution: three bilinear maps, each the gradient of the others ----
kernel("convolution_kernel", "input, weight, bias: Tensor? = None, " + "*, " + CONVOLUTION, cls="contraction",
    dtypes=FLOAT | COMPLEX, saves=("input", "weight"), bilinear=("input", "weight"), hidden=True,
    fails="_ops.convolution_kernel(ones(1), ones(1), stride=1, padding=0, dilation=1, groups=1)",
    doc="Cross-correlation of input (n, c, ...) with weight (o, c / groups, ...), over one to three dimensions.")
kernel("convolution_input_grad", "grad, weight, *, size: ints, " + CONVOLUTION, cls="contraction",
    dtypes=FLOAT | COMPLEX, saves=("grad", "weight"), bilinear=("grad", "weight"), hidden=True,
    fails="_ops.convolution_input_grad(ones(1), ones(1), size=1, stride=1, padding=0, dilation=1, groups=1)",
    doc="The transpose of convolution in its input: also the transposed convolution.")
kernel("convolution_weight_grad", "grad, input, *, size: ints, " + CONVOLUTION, cls="contraction",
    dtypes=FLOAT | COMPLEX, saves=("grad", "input"), bilinear=("grad", "input"), hidden=True,
    fails="_ops.convolution_weight_grad(ones(1), ones(1), size=1, stride=1, padding=0, dilation=1, groups=1)",
    doc="The transpose of convolution in its weight.")
for d in (1, 2, 3):
    composite(f"conv{d}d",
        "input, weight, bias: Tensor? = None, stride: ints = 1, padding: ints|str = 0, dilation: ints = 1, groups: int = 1",
        kernel=f"conv{d}d", fails=f"conv{d}d(ones(1), ones(1))",
        doc=f"Cross-correlation of input (n, c, ...) with weight (o, c / groups, ...) over {d} dimension(s).")
    composite(f"conv_transpose{d}d",
        "input, weight, bias: Tensor? = None, stride: ints = 1, padding: ints = 0, output_padding: ints = 0, groups: int = 1, "
        "dilation: ints = 1",
        kernel=f"conv_transpose{d}d", fails=f"conv_transpose{d}d(ones(1), ones(1))",
        doc=f"Transposed convolution over {d} dimension(s): the gradient of convolution with respect to its input.")
