"""Prints what pyproject.toml asks for, one requirement a line: `requirements.py EXTRA...`; `run`: at run time."""

import pathlib
import sys

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    from pip._vendor import tomli as tomllib

project = tomllib.loads((pathlib.Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
for extra in sys.argv[1:]:
    print("\n".join(project["dependencies"] if extra == "run" else project["optional-dependencies"][extra]))
