"""Every code block of README and every example in a docstring runs as written."""

import doctest
import importlib
import pathlib
import pkgutil
import re
import subprocess
import sys

import pytest

import flambeau

ROOT = pathlib.Path(__file__).parents[2]


def blocks(path):
    """The Python blocks; those marked further than `python` (a row) are tried by other means."""
    return re.findall(r"^```python\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


DOCUMENTS = ("README.md", "CONTRIBUTING.md", "docs/design.md", "benchmarks/README.md")


@pytest.mark.parametrize(
    ("document", "number"), [(name, i) for name in DOCUMENTS for i in range(len(blocks(ROOT / name)))]
)
def test_code_block(document, number):
    exec(compile(blocks(ROOT / document)[number], f"{document} block {number}", "exec"), {"__name__": "document"})


def test_row_of_contributing_is_accepted():
    """The row shown there is traced, forward and gradient, by the generator that the build runs."""
    (row,) = re.findall(r"^```python row\n(.*?)^```", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE | re.DOTALL)
    code = (
        "import rows; rows.all_rows()\nfrom rows.formula import m\nfrom rows.row import FLOAT, elementwise\n"
        "from generate import gradients, kernels\n" + row + "\n"
        "texts = [make() for module in (kernels, gradients) for make in module.outputs(rows.all_rows()).values()]\n"
        "assert any('lift' in text for text in texts)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_exist(document):
    """Every `make` command that a document names is one of the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", (ROOT / document).read_text(), re.MULTILINE)) <= targets


def modules():
    return sorted(
        info.name
        for info in pkgutil.walk_packages(flambeau.__path__, "flambeau.")
        if not info.name.endswith(("__main__", "._C")) and "pictures" not in info.name
    )


FACTORIZING = ("flambeau._composites.linalg", "flambeau._composites.reductions")
MISSING = pytest.mark.xfail(strict=True, reason="some examples need matrix factorizations, which the core does not have yet")


@pytest.mark.parametrize("name", [pytest.param(n, marks=MISSING) if n in FACTORIZING else n for n in modules()])
def test_docstrings(name):
    module = importlib.import_module(name)
    result = doctest.testmod(
        module, extraglobs={"torch": flambeau}, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    )
    assert result.failed == 0
