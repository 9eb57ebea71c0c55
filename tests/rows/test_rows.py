"""Every row does what it says: these tests read the rows, so a new row is tested without a line here.

Where a test needs to know more about a row, the row says it: samples, domain, reference, tolerance, fails.
"""

from __future__ import annotations

import importlib.util
import math
import re

import numpy as np
import pytest

import flambeau
from flambeau import _C
from generate.trace import trace_gradient
from rows import all_rows
from rows.row import FLOAT, Row

from .sampling import HALF, Fixed, Maker, Typed, dtypes_of, samples, small
from .trying import LAYOUTS, call, close, in_place, namespace, numbers, on, operation, reference, results, same, tensors

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning", "ignore::numpy.exceptions.ComplexWarning")
ROWS = all_rows()
TRIED = [row for row in ROWS if samples(row, "float64" if "float64" in row.dtypes else min(row.dtypes), empty=False)]
WAYS = {"random", "creation"}  # classes with tests of their own: tests/tensor
LAYERS = {"lstm_layer", "gru_layer", "rnn_layer"}  # over lists of weights: tests/nn/test_recurrent.py
FUNC = importlib.util.find_spec("flambeau.func") is not None


def each(rows: list[Row]):
    return pytest.mark.parametrize("row", rows, ids=lambda row: row.name)


def test_every_row_can_be_tried():
    tried = {row.name for row in TRIED}
    assert [row.place + " " + row.name for row in ROWS if row.name not in tried | LAYERS and row.cls not in WAYS] == []


def layouts_of(row: Row) -> list:
    return [("contiguous", LAYOUTS["contiguous"])] if row.by_layout else list(LAYOUTS.items())


# ---- forward ----


@each([row for row in TRIED if row.reference])
def test_forward(row):
    for dtype in dtypes_of(row):
        for number, sample in enumerate(samples(row, dtype)):
            want = reference(row, sample, dtype)
            for name, layout in layouts_of(row):
                got = results(call(row, tensors(sample, dtype, layout)))
                for g, w in zip(got, want):  # a reference may leave out positions that are free
                    close(row, g, w, dtype, f"{row.name}, {dtype}, sample {number}, {name}")


@each([row for row in TRIED if not row.reference])
def test_layouts(row):
    """Without a reference: the layout of the input makes no difference."""
    for dtype in dtypes_of(row):
        for number, sample in enumerate(samples(row, dtype)):
            expected = results(call(row, tensors(sample, dtype)))
            for name, layout in layouts_of(row):
                for g, w in zip(results(call(row, tensors(sample, dtype, layout))), expected, strict=True):
                    close(row, g, numbers(w), dtype, f"{row.name}, {dtype}, sample {number}, {name}")


@each([row for row in ROWS if row.cls == "elementwise"])
def test_types_of_results(row):
    """Which type comes out, and that types in which the row does not compute are refused."""
    wide = {"complex64": "float32", "complex128": "float64"}
    for dtype in dtypes_of(row):
        sample = samples(row, dtype)[0]
        got = str(call(row, tensors(sample, dtype)).dtype).rpartition(".")[2]
        computed = dtype if dtype in row.dtypes or dtype in HALF else "float32"
        expected = {"same": computed, "bool": "bool", "real": wide.get(dtype, computed)}.get(row.result)
        assert expected is None or got == expected, dtype
    for dtype in ("bool", "uint8", "int64", "complex64"):
        if dtype not in dtypes_of(row) and not any(p.type == "mask" for p in row.params):
            given = tensors(samples(row, dtype)[0], dtype)
            with pytest.raises((RuntimeError, TypeError, NotImplementedError)):
                call(row, given)


@each([row for row in ROWS if row.cls == "elementwise" and len(row.tensors) > 1])
def test_numbers_as_operands(row):
    """A Python number in the place of a tensor counts as one, without widening the others."""
    for p in row.tensors[1:]:
        if p.type != "Tensor":
            continue
        for dtype in dtypes_of(row):
            sample = Maker(row, dtype)
            made = samples(row, dtype)[1]
            number = made[p.name].reshape(-1)[0].item()
            if dtype == "bfloat16" or (dtype in ("bool",) and row.promote == "float"):
                continue
            given = tensors(made, dtype)
            expected = call(row, given | {p.name: flambeau.tensor(number, dtype=getattr(flambeau, dtype))})
            same(call(row, given | {p.name: number}), expected, f"{row.name}({p.name}={number}), {dtype}, {sample.dtype}")


# ---- gradients ----


def differentiable(row: Row) -> bool:
    return (row.grad is not None or bool(row.vjp) or row.cls == "composite") and not row.dtypes.isdisjoint(("float64", "complex128"))


def leaves(row: Row, sample: dict, given: dict) -> list:
    """The operands of the type under test, those in lists included, but for those that the row gives no gradient."""
    found = []
    for name, value in sample.items():
        if name in without_gradient(row):
            continue
        pairs = zip(value, given[name]) if isinstance(value, list) else [(value, given[name])]
        found += [t.requires_grad_() for v, t in pairs if isinstance(v, Typed) and not isinstance(v, Fixed)]
    return found


def without_gradient(row: Row) -> set[str]:
    """Parameters for which the gradient says None: masks, positions, and what has no known derivative."""
    if row.grad is None:
        return set()
    given = trace_gradient(row, {r.name: r for r in ROWS}, inline=False).results
    tensors_ = [p for p in row.params if p.is_tensor or p.type == "Tensors"]
    return {p.name for p, result in zip(tensors_, given) if result is None}


def floating(row: Row, outputs: list) -> list:
    """The results that have a gradient."""
    pairs = zip(outputs, row.outputs) if len(outputs) == len(row.outputs) else [(t, "") for t in outputs]
    return [t for t, name in pairs if (t.dtype.is_floating_point or t.dtype.is_complex) and name not in row.auxiliary]


def weights_like(outputs: list, seed: int) -> list:
    rng = np.random.default_rng(seed)
    made = []
    for t in outputs:
        w = rng.uniform(-1, 1, tuple(t.shape))
        made.append(flambeau.from_numpy(np.array(w + 1j * rng.uniform(-1, 1, w.shape) if t.dtype.is_complex else w)))
    return made


def inner(tensors_: list, weights: list) -> float:
    """Re <w, t>: what the cotangents w make of results t."""
    return sum(float(np.sum((np.conj(numbers(w)) * numbers(t)).real)) for t, w in zip(tensors_, weights) if t is not None)


def slopes(f, xs: list, step: float = 1e-6) -> list[np.ndarray]:
    """df/dx of a real function by central differences; of a complex x, df/dRe + i df/dIm."""
    found = []
    for x in xs:
        flat, slope = numbers(x), np.zeros(tuple(x.shape), numbers(x).dtype)
        for at in np.ndindex(*flat.shape):
            for unit in (1, 1j) if x.dtype.is_complex else (1,):
                ends = []
                for sign in (1, -1):
                    changed = flat.copy()
                    changed[at] += sign * step * unit
                    with flambeau.no_grad():
                        x.copy_(flambeau.from_numpy(changed))
                    ends.append(f())
                slope[at] += unit * (ends[0] - ends[1]) / (2 * step)
        with flambeau.no_grad():
            x.copy_(flambeau.from_numpy(flat))
        found.append(slope)
    return found


def gradients(outputs: list, inputs: list, weights: list, **options) -> list:
    """Cotangents, zero where nothing arrives."""
    pairs = [(t, w) for t, w in zip(outputs, weights) if t.requires_grad]
    if not pairs:
        return [None] * len(inputs)
    outs, ws = zip(*pairs)
    return list(flambeau.autograd.grad(outs, inputs, ws, allow_unused=True, **options))


def near(got: list, want: list[np.ndarray], note: str) -> None:
    for i, (g, w) in enumerate(zip(got, want, strict=True)):
        have = np.zeros_like(w) if g is None else numbers(g)
        scale = max(1.0, float(np.max(np.abs(w), initial=0)))
        np.testing.assert_allclose(have, w, rtol=1e-5, atol=3e-6 * scale, err_msg=f"{note}, operand {i}")


GRADED = [row for row in TRIED if differentiable(row)]


def graded_cases(row: Row):
    for dtype in ("float64", "complex128"):
        if dtype not in row.dtypes:
            continue
        for number, sample in enumerate(small(row, dtype)):
            given = tensors(sample, dtype)
            inputs = leaves(row, sample, given)
            if not inputs or sum(t.numel() for t in inputs) > 400:
                continue
            yield f"{row.name}, {dtype}, sample {number}", given, inputs


@each(GRADED)
def test_gradient(row):
    for note, given, inputs in graded_cases(row):
        outputs = floating(row, results(call(row, given)))
        if not any(t.requires_grad for t in outputs):
            continue
        weights = weights_like(outputs, 1)
        got = gradients(outputs, inputs, weights)
        with flambeau.no_grad():
            want = slopes(lambda: inner(floating(row, results(call(row, given))), weights), inputs)
        near(got, want, note)


@each(GRADED)
def test_second_gradient(row):
    """The gradient's own gradient, by the operands and by the cotangents; and both ways to the first agree."""
    for note, given, inputs in graded_cases(row):
        outputs = floating(row, results(call(row, given)))
        if not any(t.requires_grad for t in outputs):
            continue
        weights = [w.requires_grad_() for w in weights_like(outputs, 1)]
        first = gradients(outputs, inputs, weights, create_graph=True)
        fused = gradients(floating(row, results(call(row, given))), inputs, [w.detach() for w in weights])
        near(fused, [numbers(g) if g is not None else np.zeros(tuple(x.shape)) for g, x in zip(first, inputs)], note + ", first")
        seconds = weights_like(inputs, 2)
        reached = [(g, v) for g, v in zip(first, seconds) if g is not None]

        def again():
            fresh = gradients(floating(row, results(call(row, given))), inputs, [w.detach() for w in weights])
            return inner([g for g, f in zip(fresh, first) if f is not None], [v for _, v in reached])

        got = gradients([g for g, _ in reached], [*inputs, *weights], [v for _, v in reached])
        want = slopes(again, [*inputs, *weights])
        near(got, want, note)


@pytest.mark.xfail(not FUNC, reason="flambeau.func does not exist yet", strict=True)
@each(GRADED)
def test_forward_mode(row):
    """<w, J t> from forward mode equals <J^T w, t> from reverse mode."""
    from flambeau import func

    for note, given, inputs in graded_cases(row):
        outputs = floating(row, results(call(row, given)))
        if not any(t.requires_grad for t in outputs):
            continue
        weights = weights_like(outputs, 1)
        tangents = weights_like(inputs, 3)
        reverse = inner(gradients(outputs, inputs, weights), tangents)
        names = {id(t): i for i, t in enumerate(inputs)}

        def run(*primals):
            def put(value):
                if isinstance(value, list):
                    return [put(v) for v in value]
                return primals[names[id(value)]] if id(value) in names else value

            return tuple(floating(row, results(call(row, {name: put(value) for name, value in given.items()}))))

        _, forward = func.jvp(run, tuple(t.detach() for t in inputs), tuple(tangents))
        assert math.isclose(inner(list(forward), weights), reverse, rel_tol=1e-9, abs_tol=1e-9), note


@each([row for row in GRADED if row.cls == "elementwise" and without_gradient(row)])
def test_missing_derivatives(row):
    """An operand without a known derivative is refused, not given a silent zero."""
    dtype = "float64" if "float64" in row.dtypes else "complex128"
    sample = small(row, dtype)[1]
    for p in row.tensors:
        if p.name not in without_gradient(row) or p.type == "mask":
            continue
        given = tensors(sample, dtype)
        given[p.name].requires_grad_()
        with pytest.raises(RuntimeError, match="derivative.*not implemented"):
            call(row, given).sum().backward()


# ---- failing samples ----


def failing(row: Row) -> tuple[str, ...]:
    if row.fails or row.cls != "elementwise":
        return row.fails
    if len(row.tensors) > 1:
        return (f"_ops.{row.name}({', '.join('ones(2)' if i == 0 else 'ones(3)' for i, p in enumerate(row.params) if p.required)})",)
    return (f"_ops.{row.name}({', '.join(repr('text') for p in row.params if p.required)})",)


@each(ROWS)
def test_failing_samples(row):
    """Bad input: an exception of a class that PyTorch uses, whose message says which operation it was."""
    assert failing(row), f"{row.place}: {row.name} states no failing sample"
    for text in failing(row):
        with pytest.raises((RuntimeError, TypeError, ValueError, IndexError, NotImplementedError)) as raised:
            eval(text, {"_ops": namespace, **vars(flambeau)})
        message = str(raised.value)
        words = {row.name, *(alias.rpartition(".")[2] for alias in row.aliases)}
        named = any(re.search(rf"\b{word}_?\b", message) for word in words)
        inner = not (row.function or row.method) and re.search(r"^\w+(\(\))?: .*(expected|got)", message, re.MULTILINE | re.IGNORECASE)
        assert named or inner, f"{text} says {message!r}"


# ---- out= and in place ----

FRESH = [row for row in TRIED if row.cls not in ("view", "composite", "random", "creation") and (row.function or row.method)]


@each([row for row in FRESH if len(row.outputs) == 1])
def test_out(row):
    dtype = next(d for d in ("float32", "int64", "complex64", "bool") if d in row.dtypes)
    for number, sample in enumerate(samples(row, dtype)[:4]):
        given = tensors(sample, dtype)
        expected = call(row, given)
        note = f"{row.name}, sample {number}"
        empty = flambeau.from_numpy(np.zeros((0,), np.float32)).to(expected.dtype).clone()
        got = call(row, given, out=empty)
        assert got is empty, note
        same(got, expected, note)
        strided = LAYOUTS["sliced"](expected.clone().zero_())
        steps = strided.stride()
        assert call(row, given, out=strided) is strided, note
        assert strided.stride() == steps, note
        same(strided, expected, note + ", strided")


@each([row for row in TRIED if in_place(row)])
def test_in_place(row):
    change = in_place(row)
    tried = 0
    for dtype in [d for d in ("float32", "int64", "complex64", "bool", "bfloat16") if d in dtypes_of(row)]:
        for number, sample in enumerate(samples(row, dtype)):
            given = tensors(sample, dtype)
            expected = call(row, given)
            target = given[row.params[0].name]
            if tuple(expected.shape) != tuple(target.shape) or not _C.can_cast(expected.dtype, target.dtype):
                continue
            expected = expected.to(target.dtype)
            for name, layout in LAYOUTS.items():
                changed = layout(target.clone())
                got = on(row, change, given | {row.params[0].name: changed})
                assert got is changed
                same(got, expected, f"{row.name}_, {dtype}, sample {number}, {name}")
                tried += 1
    assert tried


# ---- threads ----


@each(TRIED)
def test_threads(row):
    """One, two and four threads give the same bits, forward and backward."""
    before = flambeau.get_num_threads()
    dtype = next(d for d in ("float32", "int64", "complex64", "bool") if d in row.dtypes)
    try:
        for number, sample in enumerate(samples(row, dtype, n=8)):
            seen = []
            for threads in (1, 2, 4):
                flambeau.set_num_threads(threads)
                given = tensors(sample, dtype)
                inputs = leaves(row, sample, given) if differentiable(row) and dtype == "float32" else []
                outputs = results(call(row, given))
                graded = [t for t in floating(row, outputs) if t.requires_grad]
                if graded:
                    weights = [w.to(t.dtype) for w, t in zip(weights_like(graded, 1), graded)]
                    outputs += [g for g in gradients(graded, inputs, weights) if g is not None]
                seen.append([t.detach() for t in outputs])
            for other in seen[1:]:
                same(seen[0], other, f"{row.name}, sample {number}")
    finally:
        flambeau.set_num_threads(before)


# ---- documents ----


@each(ROWS)
def test_row_is_documented(row):
    assert row.doc.strip().endswith((".", ")")) and operation(row).__doc__
    assert not (row.cls == "elementwise" and row.domain and len(row.domain) > len(row.params))
    assert FLOAT and Typed
