"""The text form of tensors: what print(x) shows, in the conventions that PyTorch's users know.

A tensor of at most `threshold` elements is shown whole, a larger one by the ends of each dimension. All numbers have one
format, chosen from the values that are shown: plain, or scientific where their magnitudes differ too much.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from . import _C

Tensor = _C.Tensor
_PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}
_options: dict[str, Any] = {**_PROFILES["default"], "sci_mode": None}


def set_printoptions(
    precision: int | None = None, threshold: float | None = None, edgeitems: int | None = None, linewidth: int | None = None,
    profile: str | None = None, sci_mode: bool | None = None,
) -> None:  # fmt: skip
    """Sets how tensors are printed; `profile` is default, short or full, and single options refine it."""
    if profile is not None:
        _options.update(_PROFILES[profile])
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    _options.update({name: value for name, value in given.items() if value is not None})
    _options["sci_mode"] = sci_mode


# ---- numbers ----

Format = Callable[[Any], str]


def float_format(values: list[float]) -> tuple[Format, int]:
    """How to write these floats, and the width of the widest."""
    finite = [abs(v) for v in values if v and math.isfinite(v)]
    places = _options["precision"]
    if not finite:
        whole, scientific = True, False
    else:
        low, high = min(finite), max(finite)
        whole = all(v == math.floor(v) for v in finite)
        far_apart = high / low > 1000.0 if low else True
        scientific = far_apart or high > 1.0e8 or (not whole and low < 1.0e-4)
    if finite and _options["sci_mode"] is not None:
        scientific = _options["sci_mode"]

    def write(value: float) -> str:
        if scientific:
            return f"{value:.{places}e}"
        if whole:
            return f"{value:.0f}." if math.isfinite(value) else f"{value:.0f}"
        return f"{value:.{places}f}"

    shown = [write(v) for v in values if v and math.isfinite(v)]
    width = max(map(len, shown), default=1)
    return lambda value: write(value).rjust(width), width


def integer_format(values: list[int]) -> tuple[Format, int]:
    width = max((len(str(v)) for v in values), default=1)
    return lambda value: str(value).rjust(width), width


def complex_format(values: list[complex]) -> tuple[Format, int]:
    real, real_width = float_format([v.real for v in values])
    imaginary, imaginary_width = float_format([v.imag for v in values])

    def write(value: complex) -> str:
        part = imaginary(value.imag).lstrip()
        sign = "" if part.startswith("-") else "+"
        return f"{real(value.real)}{sign}{part}j"

    return write, real_width + imaginary_width + 1


# ---- layout ----


def leaves(data: Any) -> list[Any]:
    """The numbers of nested lists, in order."""
    return [data] if not isinstance(data, list) else [leaf for entry in data for leaf in leaves(entry)]


def ends(tensor: Tensor, dim: int = 0) -> Tensor:
    """The tensor with only the ends of each dimension that is too long to show."""
    cut = _options["edgeitems"]
    for d in range(tensor.dim()):
        if tensor.size(d) > 2 * cut:
            first = _C.ops["slice"](tensor, d, 0, cut)
            last = _C.ops["slice"](tensor, d, tensor.size(d) - cut, tensor.size(d))
            tensor = _C.ops["cat"]((first, last), d)
    return tensor


def row_text(row: list[Any], full: int, indent: int, write: Format, width: int) -> str:
    """One innermost row, broken into lines; `full` is its real length."""
    cut = _options["edgeitems"]
    per_line = max(1, (_options["linewidth"] - indent) // (width + 2))
    cells = [write(value) for value in row]
    if full > len(row):
        cells = cells[:cut] + [" ..."] + cells[cut:]
    lines = [cells[at : at + per_line] for at in range(0, len(cells), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(", ".join(line) for line in lines) + "]"


def block_text(data: Any, sizes: tuple[int, ...], indent: int, write: Format, width: int) -> str:
    """Nested rows between brackets; deeper levels stand further apart."""
    if not sizes:
        return write(data)
    if len(sizes) == 1:
        return row_text(data, sizes[0], indent, write, width)
    cut = _options["edgeitems"]
    parts = [block_text(entry, sizes[1:], indent + 1, write, width) for entry in data]
    if sizes[0] > len(data):
        parts = parts[:cut] + ["..."] + parts[cut:]
    return "[" + ("," + "\n" * (len(sizes) - 1) + " " * (indent + 1)).join(parts) + "]"


def content_text(tensor: Tensor, indent: int) -> str:
    shown = ends(tensor) if tensor.numel() > _options["threshold"] else tensor
    data = _C.tolist(shown)
    values = leaves(data)
    if tensor.dtype.is_complex:
        write, width = complex_format(values)
    elif tensor.dtype.is_floating_point:
        write, width = float_format(values)
    else:
        write, width = integer_format(values)
    return block_text(data, tuple(tensor.shape), indent, write, width)


def with_notes(body: str, notes: list[str], indent: int) -> str:
    """The closing part: notes after the numbers, on a new line where the last one is full."""
    column = len(body) - body.rfind("\n") + 1
    for note in notes:
        if column + len(note) + 2 > _options["linewidth"]:
            body += ",\n" + " " * indent + note
            column = indent + len(note)
        else:
            body += ", " + note
            column += len(note) + 2
    return body + ")"


def text(tensor: Tensor) -> str:
    """What repr(tensor) gives."""
    from . import nn

    kind = type(tensor)
    prefix = "tensor(" if kind in (Tensor, nn.Parameter) else f"{kind.__name__}("
    indent = len(prefix)
    plain = Tensor.detach(tensor) if kind in (Tensor, nn.Parameter) else Tensor.detach(tensor).as_subclass(Tensor)
    default = _C.get_default_dtype()
    notes = []
    if tensor.numel() == 0:
        body = "[]" if tensor.dim() != 0 else ""
        if tensor.dim() != 1:
            notes.append(f"size={tuple(tensor.shape)}")
        if tensor.dtype is not default:
            notes.append(f"dtype={tensor.dtype}")
    else:
        body = content_text(plain, indent)
        usual = (default, default.to_complex(), _C.int64, _C.bool)
        if tensor.dtype not in usual:
            notes.append(f"dtype={tensor.dtype}")
    if tensor.grad_fn is not None:
        name = tensor.grad_fn.name().rpartition("::")[2]
        notes.append(f"grad_fn=<{name}>")
    elif tensor.requires_grad:
        notes.append("requires_grad=True")
    return with_notes(prefix + body, notes, indent)
