"""Calls of modules with other parameters and buffers than their own."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["functional_call"]


def _places(module: Any) -> dict[str, list[tuple[dict[str, Any], str, str]]]:
    """For every tensor name: the registries it stands in, under all of its names if it is shared."""
    places: dict[str, list[tuple[dict[str, Any], str, str]]] = {}
    for prefix, child in module.named_modules(remove_duplicate=False):
        for registry in (child._parameters, child._buffers):
            for name in registry:
                full = f"{prefix}.{name}" if prefix else name
                places.setdefault(full, []).append((registry, name, full))
    return places


class _Swapped:
    """Within this context a module's tensors are the given ones."""

    def __init__(self, module: Any, tensors: dict[str, Any], tie_weights: bool, strict: bool) -> None:
        places = _places(module)
        unknown = [name for name in tensors if name not in places]
        missing = []
        if strict:
            missing = [
                name for name, where in places.items()
                if name not in tensors and where[0][0][where[0][1]] is not None
                and not (tie_weights and self._tied(places, tensors, where))
            ]
        if strict and (unknown or missing):
            lines = []
            if unknown:
                lines.append(f"Unexpected key(s): {', '.join(map(repr, unknown))}.")
            if missing:
                lines.append(f"Missing key(s): {', '.join(map(repr, missing))}.")
            listed = "\n\t".join(lines)
            raise RuntimeError(f"Error(s) in reparametrizing for {type(module).__name__}:\n\t{listed}")
        tensors = {name: value for name, value in tensors.items() if name in places}
        self.changes: list[tuple[dict[str, Any], str, Any]] = []
        named = {name: places[name] for name in tensors}
        for name, where in named.items():
            for registry, key, _ in where:
                self.changes.append((registry, key, tensors[name]))
        if tie_weights:
            self._add_tied(places, tensors)

    @staticmethod
    def _tied(places: Any, tensors: Any, where: Any) -> bool:
        own = where[0][0][where[0][1]]
        return any(name in tensors and at[0][0][at[0][1]] is own for name, at in places.items())

    def _add_tied(self, places: Any, tensors: dict[str, Any]) -> None:
        """A tensor that stands in several places is replaced in all of them."""
        given: dict[int, tuple[str, Any]] = {}
        for name, value in tensors.items():
            registry, key, _ = places[name][0]
            own = registry[key]
            if own is None:
                continue
            before = given.setdefault(id(own), (name, value))
            if before[1] is not value:
                raise ValueError(
                    f"functional_call got multiple values for keys {sorted([before[0], name])}, which are tied. "
                    "Consider using tie_weights=False"
                )
        for name, where in places.items():
            if name in tensors:
                continue
            registry, key, _ = where[0]
            own = registry[key]
            if own is not None and id(own) in given:
                for at, label, _ in where:
                    self.changes.append((at, label, given[id(own)][1]))

    def __enter__(self) -> None:
        self.before = [(registry, key, registry[key]) for registry, key, _ in self.changes]
        for registry, key, value in self.changes:
            registry[key] = value

    def __exit__(self, *exc_info: Any) -> None:
        for (registry, key, value), (_, _, own) in zip(reversed(self.changes), reversed(self.before)):
            registry[key] = own


def _functional_call(
    module: Any, tensors: dict[str, Any], args: Any, kwargs: Any, *, tie_weights: bool = True, strict: bool = False
) -> Any:
    if args is None:
        args = ()
    elif not isinstance(args, tuple):
        args = (args,)
    with _Swapped(module, tensors, tie_weights, strict):
        return module(*args, **(kwargs or {}))


def functional_call(
    module: Any,
    parameters_and_buffers: dict[str, Any],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Calls a module with the given tensors in the place of its own, which come back afterwards.

    Args:
        parameters_and_buffers: names, as in ``named_parameters``, and tensors.
        args, kwargs: what the module is called with; ``args`` is a tuple or a single value.
        tie_weights: a tensor that the module uses in several places is replaced in all of them.
        strict: all parameters and buffers have to be given.

    >>> import flambeau as torch
    >>> layer = torch.nn.Linear(2, 1)
    >>> values = {"weight": torch.ones(1, 2), "bias": torch.zeros(1)}
    >>> torch.func.functional_call(layer, values, torch.tensor([[1.0, 2.0]]))
    tensor([[3.]])
    """
    import warnings

    warnings.warn(
        "This API is deprecated as of PyTorch 2.0 and will be removed in a future version of PyTorch. Please use "
        "torch.func.functional_call instead which is a drop-in replacement for this API.", FutureWarning, stacklevel=2,
    )
    return _functional_call(module, parameters_and_buffers, args, kwargs, tie_weights=tie_weights, strict=strict)
