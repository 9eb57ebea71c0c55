"""assert_close: whether two numbers, tensors or nested containers of them are the same up to rounding."""

from __future__ import annotations

import cmath
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flambeau

_TOLERANCES = {
    "float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5), "complex128": (1e-7, 1e-7),
}  # fmt: skip


class _Mismatch(AssertionError):
    """A difference, and where in the containers it was found."""

    def __init__(self, text: str, where: tuple[Any, ...]) -> None:
        super().__init__(text)
        self.text, self.where = text, where


def _raise(kind: type[Exception], text: str, where: tuple[Any, ...]) -> None:
    if where:
        text += f"\n\nThe failure occurred for item {''.join(f'[{key!r}]' for key in where)}"
    if kind is AssertionError:
        raise _Mismatch(text, where)
    raise kind(text)


def _tolerances(dtypes: Sequence[Any], rtol: float | None, atol: float | None) -> tuple[float, float]:
    if rtol is not None and atol is not None:
        return rtol, atol
    known = [_TOLERANCES.get(str(dtype).removeprefix("torch."), (0.0, 0.0)) for dtype in dtypes]
    return max(k[0] for k in known), max(k[1] for k in known)


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Raises AssertionError unless `|actual - expected| <= atol + rtol * |expected|` everywhere.

    Tensors have to agree in shape and dtype as well. Sequences are compared item by item, mappings key by key. Without
    tolerances those of the dtype are used: 1.3e-6 and 1e-5 for float32, 1e-7 twice for float64, exact for whole numbers.

    Args:
        msg: the text of the error, or a function that makes it from the text that it would have.

    >>> import flambeau as torch
    >>> torch.testing.assert_close(torch.tensor([1.0]), torch.tensor([1.0 + 1e-7]))
    """
    if (rtol is None) != (atol is None):
        name, other = ("atol", "rtol") if atol is None else ("rtol", "atol")
        raise ValueError(f"{other!s} was specified without {name!s}. Both have to be given, or none.")
    options = dict(
        rtol=rtol, atol=atol, equal_nan=equal_nan, check_dtype=check_dtype, check_stride=check_stride, allow_subclasses=allow_subclasses
    )
    try:
        _compare(actual, expected, (), options)
    except _Mismatch as found:
        text = found.text if msg is None else msg(found.text) if callable(msg) else msg
        raise AssertionError(text) from None


def _compare(actual: Any, expected: Any, where: tuple[Any, ...], options: dict[str, Any]) -> None:
    containers = (Sequence, Mapping)
    if isinstance(actual, containers) or isinstance(expected, containers):
        if not _comparable(actual, expected, options):
            _raise(TypeError, f"No comparison pair was able to handle inputs of type {type(actual)} and {type(expected)}.", where)
    if isinstance(actual, str) or isinstance(expected, str):
        _raise(TypeError, f"No comparison pair was able to handle inputs of type {type(actual)} and {type(expected)}.", where)
    if isinstance(actual, Mapping):
        missing = sorted(set(expected) - set(actual), key=str)
        added = sorted(set(actual) - set(expected), key=str)
        if missing or added:
            text = "The keys of the mappings do not match:\n"
            text += f"Missing keys in the actual mapping: {missing}\nAdditional keys in the actual mapping: {added}"
            _raise(AssertionError, text, where)
        for key in actual:
            _compare(actual[key], expected[key], (*where, key), options)
    elif isinstance(actual, Sequence):
        if len(actual) != len(expected):
            _raise(AssertionError, f"The length of the sequences mismatch: {len(actual)} != {len(expected)}", where)
        for index, (a, e) in enumerate(zip(actual, expected)):
            _compare(a, e, (*where, index), options)
    elif actual is None or expected is None:
        if actual is not expected:
            _raise(AssertionError, f"None mismatch: {actual} is not {expected}", where)
    elif isinstance(actual, (bool,)) and isinstance(expected, (bool,)):
        if actual is not expected:
            _raise(AssertionError, f"Booleans mismatch: {actual} is not {expected}", where)
    elif isinstance(actual, numbers.Number) and isinstance(expected, numbers.Number):
        _compare_numbers(actual, expected, where, options)
    else:
        _compare_arrays(actual, expected, where, options)


def _comparable(actual: Any, expected: Any, options: dict[str, Any]) -> bool:
    return (isinstance(actual, Mapping) and isinstance(expected, Mapping)) or (
        isinstance(actual, Sequence) and isinstance(expected, Sequence)
    )


def _compare_numbers(actual: Any, expected: Any, where: tuple[Any, ...], options: dict[str, Any]) -> None:
    def dtype(value: Any) -> Any:
        return flambeau.complex128 if isinstance(value, complex) else flambeau.float64 if isinstance(value, float) else flambeau.int64

    if options["check_dtype"] and type(actual) is not type(expected) and False in (isinstance(v, (int, float, complex)) for v in (actual, expected)):
        _raise(AssertionError, f"The (d)types do not match: {type(actual)} != {type(expected)}.", where)
    rtol, atol = _tolerances([dtype(actual), dtype(expected)], options["rtol"], options["atol"])
    if options["equal_nan"] and cmath.isnan(actual) and cmath.isnan(expected):
        return
    difference = abs(actual - expected)
    if actual == expected or (cmath.isfinite(difference) and difference <= atol + rtol * abs(expected)):
        return
    relative = difference / abs(expected) if expected else float("inf")
    _raise(AssertionError, _describe("Scalars", None, [("", difference, atol, relative, rtol)], (actual, expected)), where)


def _describe(what: str, share: str | None, found: list[Any], values: Any) -> str:
    (_, difference, atol, relative, rtol) = found[0][:5]
    equality = rtol == 0 and atol == 0
    text = f"{what} are not {'equal' if equality else 'close'}!\n\n"
    if what == "Scalars":
        actual, expected = values
        text += f"Expected {expected} but got {actual}.\n"
        text += f"Absolute difference: {difference}" + ("" if equality else f" (up to {atol} allowed)") + "\n"
        return text + f"Relative difference: {relative}" + ("" if equality else f" (up to {rtol} allowed)")
    at, at_relative = values
    text += f"Mismatched elements: {share}\n"
    text += f"Greatest absolute difference: {difference} at index {at}" + ("" if equality else f" (up to {atol} allowed)") + "\n"
    return text + f"Greatest relative difference: {relative} at index {at_relative}" + ("" if equality else f" (up to {rtol} allowed)")


def _compare_arrays(actual: Any, expected: Any, where: tuple[Any, ...], options: dict[str, Any]) -> None:
    tensors = isinstance(actual, flambeau.Tensor), isinstance(expected, flambeau.Tensor)
    if not all(tensors):
        try:
            if any(tensors) and not all(hasattr(v, "__array__") or isinstance(v, numbers.Number) for v in (actual, expected)):
                raise TypeError
            if any(tensors) and type(actual) is not type(expected) and not options["allow_subclasses"]:
                raise TypeError
            actual, expected = flambeau.as_tensor(actual), flambeau.as_tensor(expected)
        except (TypeError, ValueError, RuntimeError):
            _raise(TypeError, f"No comparison pair was able to handle inputs of type {type(actual)} and {type(expected)}.", where)
    actual, expected = actual.detach(), expected.detach()
    if tuple(actual.shape) != tuple(expected.shape):
        _raise(AssertionError, f"The values for attribute 'shape' do not match: {actual.shape} != {expected.shape}.", where)
    if options["check_dtype"] and actual.dtype is not expected.dtype:
        _raise(AssertionError, f"The values for attribute 'dtype' do not match: {actual.dtype} != {expected.dtype}.", where)
    if options["check_stride"] and actual.stride() != expected.stride():
        _raise(AssertionError, f"The values for attribute 'stride()' do not match: {actual.stride()} != {expected.stride()}.", where)
    rtol, atol = _tolerances([actual.dtype, expected.dtype], options["rtol"], options["atol"])
    if actual.dtype is not expected.dtype:
        common = flambeau.promote_types(actual.dtype, expected.dtype)
        actual, expected = actual.to(common), expected.to(common)
    wrong = ~flambeau.isclose(actual, expected, rtol=rtol, atol=atol, equal_nan=options["equal_nan"])
    count = int(wrong.sum())
    if not count:
        return
    whole = not (actual.dtype.is_floating_point or actual.dtype.is_complex)
    if whole:
        actual, expected = actual.to(flambeau.int64), expected.to(flambeau.int64)
    difference = (actual - expected).abs()
    difference = flambeau.where(wrong, difference, flambeau.zeros_like(difference))
    relative = difference / expected.abs()
    relative = flambeau.where(wrong, relative, flambeau.zeros_like(relative))

    def greatest(values: Any) -> tuple[Any, Any]:
        flat = int(values.flatten().argmax())
        index = []
        for extent in reversed(values.shape):
            index.append(flat % extent)
            flat //= extent
        place = tuple(reversed(index))
        return values[place].item() if place else values.item(), place

    (most, at), (most_relative, at_relative) = greatest(difference), greatest(relative)
    if actual.dim() == 0:
        _raise(AssertionError, _describe("Scalars", None, [("", most, atol, most_relative, rtol)], (actual.item(), expected.item())), where)
    share = f"{count} / {wrong.numel()} ({count / wrong.numel() * 100:.1f}%)"
    _raise(AssertionError, _describe("Tensor-likes", share, [("", most, atol, most_relative, rtol)], (at, at_relative)), where)


def assert_allclose(actual: Any, expected: Any, rtol: float | None = None, atol: float | None = None, equal_nan: bool = True, msg: str = "") -> None:
    """assert_close in its older form: dtypes may differ, and NaN equals NaN."""
    if not isinstance(actual, flambeau.Tensor):
        actual = flambeau.tensor(actual)
    if not isinstance(expected, flambeau.Tensor):
        expected = flambeau.tensor(expected, dtype=actual.dtype)
    if rtol is None and atol is None:
        rtol, atol = _tolerances([actual.dtype, expected.dtype], None, None)
    assert_close(actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan, check_dtype=False, msg=msg or None)
