"""Every registered composite has an example in its docstring, and the example is right."""

import doctest
import math

import pytest

import flambeau as torch
from flambeau._composites import FUNCTIONS, METHODS, PROPERTIES

ENTRIES = {**FUNCTIONS, **{f"Tensor.{name}": function for name, function in METHODS.items()}, **PROPERTIES}


# These stand on QR, SVD, solve and the like, which the core does not have yet.
FACTORIZING = {
    "Tensor.logdet", "Tensor.matrix_exp", "Tensor.pinverse", "linalg.cond", "linalg.matrix_exp", "linalg.matrix_rank", "linalg.pinv",
    "linalg.tensorinv", "linalg.tensorsolve", "logdet", "matrix_exp", "nuclear_norm", "pca_lowrank", "pinverse", "svd_lowrank",
}  # fmt: skip
MISSING = pytest.mark.xfail(strict=True, reason="the core has no matrix factorizations yet")


@pytest.mark.parametrize("name", [pytest.param(n, marks=MISSING) if n in FACTORIZING else n for n in sorted(ENTRIES)])
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
