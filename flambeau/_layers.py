"""Functions of nn.functional that the package and the tensor show as well, some with arguments in another form."""

from __future__ import annotations

import functools
import inspect
from types import ModuleType
from typing import Any

from .nn import functional as F

REDUCTIONS = ("none", "mean", "sum")

# shown as they are; those marked * are methods too
SAME = """
    bilinear channel_shuffle cosine_similarity native_channel_shuffle pairwise_distance pdist pixel_shuffle pixel_unshuffle
    prelu* threshold threshold_
""".split()
# dropout and its like: (input, p, train), and the form that changes its input
DROPPING = ("alpha_dropout", "feature_alpha_dropout")
# losses with a number for the reduction: 0 none (the default here), 1 mean, 2 sum
LOSSES = """
    binary_cross_entropy_with_logits cosine_embedding_loss hinge_embedding_loss kl_div margin_ranking_loss
    poisson_nll_loss triplet_margin_loss
""".split()


def numbered(loss: Any) -> Any:
    """The loss with a number for the reduction, and without the arguments that PyTorch has given up."""
    given_up = ("size_average", "reduce")
    kept = [p for name, p in inspect.signature(loss).parameters.items() if name not in given_up]
    signature = inspect.Signature([p.replace(default=0) if p.name == "reduction" else p for p in kept])

    @functools.wraps(loss)
    def function(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        bound.arguments["reduction"] = REDUCTIONS[bound.arguments["reduction"]]
        return loss(**bound.arguments)

    return function


def dropping(drop: Any, inplace: bool) -> Any:
    """Dropout with PyTorch's three positional arguments."""

    def function(input: Any, p: float, train: bool) -> Any:
        return drop(input, p, train, inplace)

    function.__doc__ = drop.__doc__
    function.__name__ = drop.__name__ + "_" * inplace
    return function


def rrelu(input: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, generator: Any = None) -> Any:
    """nn.functional.rrelu: leaky ReLU with random slopes."""
    return F.rrelu(input, lower, upper, training)


def rrelu_(input: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, generator: Any = None) -> Any:
    """rrelu that changes its input."""
    return F.rrelu_(input, lower, upper, training)


def feature_dropout(input: Any, p: float, train: bool) -> Any:
    """Dropout of whole channels."""
    return F._dropout._drop_channels(input, p, train, False)


def instance_norm(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, use_input_stats: bool, momentum: float, eps: float,
    cudnn_enabled: bool = False,
) -> Any:  # fmt: skip
    """nn.functional.instance_norm with its arguments in PyTorch's inner order."""
    return F.instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


def grid_sampler(input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Any:
    """nn.functional.grid_sample with numbers for the modes."""
    modes = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")
    return F.grid_sample(input, grid, modes[0][interpolation_mode], modes[1][padding_mode], align_corners)


def affine_grid_generator(theta: Any, size: Any, align_corners: bool) -> Any:
    """nn.functional.affine_grid."""
    return F.affine_grid(theta, size, align_corners)


def install(package: ModuleType, tensor: type) -> None:
    """Puts them where PyTorch has them."""
    for entry in SAME:
        name = entry.rstrip("*")
        setattr(package, name, getattr(F, name))
        if entry.endswith("*"):
            setattr(tensor, name, getattr(F, name))
    for name in LOSSES:
        setattr(package, name, numbered(getattr(F, name)))
    for name in DROPPING:
        for inplace in (False, True):
            setattr(package, name + "_" * inplace, dropping(getattr(F, name), inplace))
    for function in (rrelu, rrelu_, feature_dropout, instance_norm, grid_sampler, affine_grid_generator):
        setattr(package, function.__name__, function)
