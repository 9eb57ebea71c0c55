"""Every code block of README and every example in a docstring runs as written."""

import doctest
import importlib
import pathlib
import pkgutil
import re

import pytest

import flambeau

ROOT = pathlib.Path(__file__).parents[2]


def blocks(path):
    return re.findall(r"^```python\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(len(blocks(ROOT / "README.md"))))
def test_readme(number):
    exec(compile(blocks(ROOT / "README.md")[number], f"README.md block {number}", "exec"), {"__name__": "readme"})


def modules():
    return sorted(
        info.name
        for info in pkgutil.walk_packages(flambeau.__path__, "flambeau.")
        if not info.name.endswith(("__main__", "._C")) and "pictures" not in info.name
    )


@pytest.mark.parametrize("name", modules())
def test_docstrings(name):
    module = importlib.import_module(name)
    result = doctest.testmod(
        module, extraglobs={"torch": flambeau}, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    )
    assert result.failed == 0
