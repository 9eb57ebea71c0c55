"""Every registered composite has an example in its docstring, and the example is right."""

import doctest
import math

import pytest

import flambeau as torch
from flambeau._composites import FUNCTIONS, METHODS, PROPERTIES

ENTRIES = {**FUNCTIONS, **{f"Tensor.{name}": function for name, function in METHODS.items()}, **PROPERTIES}


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_example(name):
    text = ENTRIES[name].__doc__
    assert text
    label = name.rpartition(".")[2]
    if ">>>" not in text:
        assert label.endswith("_")  # in-place forms share the example of the form that is not
        return
    test = doctest.DocTestParser().get_doctest(text, {"torch": torch, "math": math}, name, None, 0)
    result = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE).run(test)
    assert not result.failed
