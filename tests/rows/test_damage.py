"""Every operation with damaged arguments: a Python exception of an expected kind or a result, never a crash or a hang.

FLAMBEAU_DAMAGE is the number of calls of each operation with damage drawn at random. Where it is given, as .ci/sanitize
does, every sample's every argument is damaged in turn as well, otherwise those of one sample.
"""

import ast
import contextlib
import doctest
import faulthandler
import math
import os
import random
import re
import sys
import warnings

import pytest

import flambeau as torch
from flambeau._composites import FUNCTIONS, METHODS
from rows import all_rows

from .misfit import layer, likely, misfits, recorded
from .mutation import damaged, fresh, used
from .sampling import dtypes_of, samples
from .trying import in_place, operation, tensors

THOROUGH = "FLAMBEAU_DAMAGE" in os.environ
ROUNDS = int(os.environ.get("FLAMBEAU_DAMAGE", "12"))
EXPECTED = (RuntimeError, IndexError, ValueError, TypeError, OverflowError)
ROWS = {row.name: row for row in all_rows()}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@contextlib.contextmanager
def no_hang(seconds=120):
    faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def attempt(function, args, named, note):
    with no_hang():
        try:
            used(function(*args, **named))
        except EXPECTED as error:
            assert not isinstance(error, RecursionError), note
        except AttributeError as error:  # what a composite finds when it is given something that is no tensor; factorizations are missing
            assert re.search("object has no attribute|'flambeau.primitives' has no attribute 'linalg", str(error)), f"{note}: {error}"
        except Exception as error:
            raise AssertionError(f"{note}: {type(error).__name__}: {error}") from error


def test_what_an_attempt_lets_through():
    def raises(kind):
        raise kind("x")

    attempt(raises, [ValueError], {}, "")
    for kind in (SystemError, RecursionError, AttributeError, MemoryError):
        with pytest.raises(AssertionError):
            attempt(raises, [kind], {}, "")


def described(value):
    if isinstance(value, torch.Tensor):
        return f"{value.dtype}{tuple(value.shape)}/{value.stride()}" + (f"={value.tolist()}" if value.numel() < 4 else "")
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(described, value))}]"
    if isinstance(value, dict):
        return ", ".join(f"{k}={described(v)}" for k, v in value.items())
    return repr(value)[:60]


@pytest.mark.parametrize("name", sorted(ROWS))
def test_rows(name):
    row, r = ROWS[name], random.Random(name)
    cases = [tensors(s, dtype) for dtype in dtypes_of(row)[-3:] for s in samples(row, dtype)]
    if not cases:
        pytest.skip("the row has no samples")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for turn in range(ROUNDS):
            case = r.choice(cases)
            args, named = damaged(r, [], case)
            function = operation(row)
            if turn % 4 == 3 and in_place(row):
                function = in_place(row)
            elif turn % 4 == 2 and row.cls == "elementwise":
                named["out"] = next((v for v in named.values() if isinstance(v, torch.Tensor)), None) if r.random() < 0.3 else fresh(r)
            attempt(function, args, named, f"{name}({described(named)})")


def right(row):
    """Calls of the row that are right, one for each way that its samples differ in what is given and how many dimensions it has."""
    if row.name.endswith("_layer"):
        return [layer(row), layer(row) | {"input_gates": layer(row)["input_gates"].reshape(6, -1)[:5], "sizes": (3, 2)}]
    cases, seen = [], set()
    for dtype in ("float32", "int64", "complex64", "bool"):
        for sample in samples(row, dtype) if dtype in dtypes_of(row) and not cases else ():
            case = tensors(sample, dtype)
            kind = tuple((name, v.dim() if isinstance(v, torch.Tensor) else type(v)) for name, v in case.items())
            if kind not in seen:
                seen.add(kind)
                cases.append(case)
    return (cases if THOROUGH else cases[-1:]) or [likely(row)]


@pytest.mark.parametrize("name", sorted(ROWS))
def test_each_argument_of_a_row(name):
    row = ROWS[name]
    tried = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in right(row):
            used(operation(row)(**case))
            for argument in case:
                for what, value in misfits(case[argument]):
                    given = case | {argument: value}
                    attempt(operation(row), [], {n: recorded(v) for n, v in given.items()}, f"{name}, {argument}: {what}")
                    if in_place(row):
                        attempt(in_place(row), [], {n: torch.clone(v) if isinstance(v, torch.Tensor) else v for n, v in given.items()}, f"{name}_, {argument}: {what}")
                    tried += 1
    assert tried or not row.params


def calls(text, label, words):
    """The calls of `label` in a docstring's examples, with their arguments as values."""
    found = []
    for example in doctest.DocTestParser().get_examples(text or ""):
        tree = ast.parse(example.source)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == label:
                with contextlib.suppress(Exception):
                    def value(part):
                        return eval(compile(ast.Expression(part), "example", "eval"), words)

                    args = [value(a) for a in node.args]
                    base = value(node.func.value)
                    if isinstance(base, torch.Tensor):
                        args.insert(0, base)
                    found.append((args, {k.arg: value(k.value) for k in node.keywords}))
        with contextlib.suppress(Exception):
            exec(compile(tree, "example", "exec"), words)
    return found


COMPOSITES = {**FUNCTIONS, **{f"Tensor.{name}": function for name, function in METHODS.items()}}


@pytest.mark.parametrize("name", sorted(COMPOSITES))
def test_composites(name):
    function, r = COMPOSITES[name], random.Random(name)
    cases = calls(function.__doc__, name.rpartition(".")[2], {"torch": torch, "math": math})
    if not cases:
        pytest.skip("no call of it in its example")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(ROUNDS):
            args, named = damaged(r, *r.choice(cases))
            attempt(function, args, named, f"{name}({described(args)}, {described(named)})")


@pytest.mark.parametrize("name", sorted(COMPOSITES))
def test_each_argument_of_a_composite(name):
    function = COMPOSITES[name]
    cases = calls(function.__doc__, name.rpartition(".")[2], {"torch": torch, "math": math})
    if not cases:
        pytest.skip("no call of it in its example")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for args, named in cases if THOROUGH else cases[:1]:
            for place in [*range(len(args)), *named]:
                for what, value in misfits(args[place] if isinstance(place, int) else named[place]):
                    given, words = [*args], {**named}
                    (given if isinstance(place, int) else words)[place] = value
                    attempt(function, [recorded(v) for v in given], {n: recorded(v) for n, v in words.items()}, f"{name}, argument {place}: {what}")


def test_there_is_something_to_damage():
    assert len(ROWS) > 200 and len(COMPOSITES) > 300
