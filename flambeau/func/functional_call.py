"""Modules as functions of their parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import _C
from .._composites._primitives import P

Tensor = _C.Tensor


def functional_call(
    module: Any, parameter_and_buffer_dicts: Any, args: Any = None, kwargs: dict[str, Any] | None = None, *,
    tie_weights: bool = True, strict: bool = False,
) -> Any:  # fmt: skip
    """Calls the module with these tensors in place of its own parameters and buffers, by name.

    Tensors that are not named stay the module's own. tie_weights: replacing one name of a shared parameter replaces all.
    strict: every name must be given and must exist.

    >>> import flambeau as torch
    >>> layer = torch.nn.Linear(1, 1)
    >>> torch.func.functional_call(layer, {"weight": torch.ones(1, 1), "bias": torch.zeros(1)}, torch.ones(1))
    tensor([1.])
    """
    if isinstance(parameter_and_buffer_dicts, Sequence):
        tensors: dict[str, Any] = {}
        for part in parameter_and_buffer_dicts:
            if not isinstance(part, dict):
                raise ValueError("Expected all elements of parameter_and_buffer_dicts to be dictionaries")
            if again := [name for name in part if name in tensors]:
                raise ValueError(f"{again[0]} appears in multiple dictionaries; behavior of functional call is "
                                 f"ambiguous")
            tensors |= part
    elif isinstance(parameter_and_buffer_dicts, dict):
        tensors = parameter_and_buffer_dicts
    else:
        raise ValueError(f"Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got "
                         f"{type(parameter_and_buffer_dicts)}")
    from ..nn.utils.stateless import _functional_call

    return _functional_call(module, tensors, args, kwargs, tie_weights=tie_weights, strict=strict)


def stack_module_state(models: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters and buffers of modules of one kind, stacked along a new first dimension, for vmap over an ensemble.

    >>> import flambeau as torch
    >>> params, buffers = torch.func.stack_module_state([torch.nn.Linear(2, 1) for _ in range(3)])
    >>> params["weight"].shape
    torch.Size([3, 1, 2])
    """
    models = list(models)
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if not (all(m.training for m in models) or all(not m.training for m in models)):
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.")
    if any(type(m) is not type(models[0]) for m in models):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")

    def stacked(parts: list[dict[str, Any]]) -> dict[str, Any]:
        result = {}
        for name in parts[0]:
            values = [part[name] for part in parts]
            wanted = [v.requires_grad for v in values]
            if any(wanted) and not all(wanted):
                raise RuntimeError(f"Expected {name} from each model to have the same .requires_grad")
            t = P.stack([v.detach() for v in values], 0)
            result[name] = t.requires_grad_() if all(wanted) else t
        return result

    return stacked([dict(m.named_parameters()) for m in models]), stacked([dict(m.named_buffers()) for m in models])


def replace_all_batch_norm_modules_(root: Any) -> Any:
    """Makes every batch normalisation in root use the statistics of its input alone: running ones cannot be batched.

    >>> import flambeau as torch
    >>> torch.func.replace_all_batch_norm_modules_(torch.nn.BatchNorm1d(2)).running_mean is None
    True
    """
    from ..nn.modules.batchnorm import _BatchNorm

    for module in root.modules():
        if isinstance(module, _BatchNorm):
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False
    return root
