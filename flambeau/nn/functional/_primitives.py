"""How functions stand on primitives: those that are a primitive as it is, and those whose plain calls are one.

What ``torch.NAME`` shows is reached as ``flambeau.NAME``; the primitives that only ``torch.nn.functional`` shows, through
``flambeau._C._nn``. A name is looked up at its first use, so that this package can be imported before every primitive
exists.
"""

from __future__ import annotations

import flambeau

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    Function = TypeVar("Function", bound=Callable[..., Any])

# Functions that are a primitive as it is: name here -> (in flambeau._C._nn?, name there)
DIRECT: dict[str, tuple[bool, str]] = {
    **{name: (False, name) for name in (
        "adaptive_avg_pool1d", "avg_pool1d", "celu_", "conv1d", "conv2d", "conv3d", "conv_transpose1d",
        "conv_transpose2d", "conv_transpose3d", "hardshrink", "relu_", "selu_",
    )},
    **{name: (True, name) for name in (
        "avg_pool2d", "avg_pool3d", "elu_", "hardtanh_", "leaky_relu_", "linear", "logsigmoid",
        "scaled_dot_product_attention", "softplus", "softshrink", "threshold_",
    )},
}


def resolve(name: str) -> Any:
    """The primitive behind a function of ``nn.functional``."""
    hidden, target = DIRECT[name]
    return getattr(flambeau._C._nn if hidden else flambeau, target)


def quick(operation: Any) -> Callable[[Function], Function]:
    """Decorates a function whose plain calls are those of a primitive: they go to the core without a Python frame.

    A call whose arguments do not fit the primitive (``inplace=``, a dimension left out) runs the function.
    """

    def decorate(function: Function) -> Function:
        return flambeau._C.overloaded(operation, function)

    return decorate
