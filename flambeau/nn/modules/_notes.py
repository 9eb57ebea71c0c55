"""The note that an exception gets on its way out of a module: which module, and what it was given.

    in SimpleNet.hidden (Linear(10, 32)), input (4, 20) float32

The innermost module writes the note; each module around it that is left by the same exception puts the name of its
child in front. Nothing of this runs unless there is an exception.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MARK = "_flambeau_failure"  # on the exception: (id of the outermost module so far, path, description, note)
_LONGEST = 100


def note_failure(module: Any, error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Adds the note, or makes the path of the note that is there longer by one level."""
    try:
        mark = error.__dict__.get(_MARK)
        if mark is None:
            path, text = "", f"({_brief(module)}){_inputs(args, kwargs)}"
            note = f"in {_brief(module)}{_inputs(args, kwargs)}"
        else:
            child, path, text, old = mark
            if child == id(module):
                return
            name = _name_of(module, child)
            if name is None:
                return
            path = f".{name}{path}"
            note = f"in {module._get_name()}{path} {text}"
            notes = getattr(error, "__notes__", [])
            if old in notes:
                notes.remove(old)
        if hasattr(error, "add_note"):
            error.add_note(note)
        else:  # Python 3.10 shows no notes, but tools that know of them do
            error.__notes__ = [*getattr(error, "__notes__", []), note]
        error.__dict__[_MARK] = (id(module), path, text, note)
    except Exception:  # a failure to describe must never hide the failure itself
        return


def _name_of(module: Any, wanted: int) -> str | None:
    """The dotted name of a descendant, nearest first."""
    level = [("", module)]
    seen = {id(module)}
    while level:
        following = []
        for prefix, parent in level:
            for name, child in parent._modules.items():
                if child is None or id(child) in seen:
                    continue
                if id(child) == wanted:
                    return prefix + name
                seen.add(id(child))
                following.append((f"{prefix}{name}.", child))
        level = following
    return None


def _brief(module: Any) -> str:
    """The module in a few characters: its class, and its settings where it has no children."""
    name = module._get_name()
    if any(child is not None for child in module._modules.values()):
        return name
    settings = module.extra_repr()
    for obvious in ("in_features=", "out_features=", ", bias=True"):
        settings = settings.replace(obvious, "")
    settings = settings.replace("\n", " ")
    return f"{name}({settings})" if len(settings) <= _LONGEST else name


def _inputs(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    described = [_describe(value) for value in args]
    described += [f"{name}={_describe(value)}" for name, value in kwargs.items()]
    if not described:
        return ""
    word = "input" if len(described) == 1 else "inputs"
    return f", {word} {', '.join(described[:6])}"


def _describe(value: Any) -> str:
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None and dtype is not None:
        return f"{tuple(shape)} {str(dtype).rpartition('.')[2]}"
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    return type(value).__name__
