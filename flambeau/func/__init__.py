"""Transforms of functions: vmap over a batch, grad and vjp in reverse, jvp forward, Jacobians and Hessians. They nest freely.

Each transform opens a level (core/autograd/levels.h) and runs the function on tensors of that level.
"""

from .functional_call import functional_call, replace_all_batch_norm_modules_, stack_module_state
from .transforms import (
    debug_unwrap,
    functionalize,
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    vjp,
)  # fmt: skip
from .vectorize import vmap

__all__ = [
    "debug_unwrap", "functional_call", "functionalize", "grad", "grad_and_value", "hessian", "jacfwd",
        "jacrev", "jvp", "linearize",
    "replace_all_batch_norm_modules_", "stack_module_state", "vjp", "vmap",
]  # fmt: skip
