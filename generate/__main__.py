"""python -m generate OUTDIR writes every output; python -m generate --list OUTDIR prints their paths.

A file is touched only when its text changes, so that a new formula rebuilds one family and nothing else.
Each output module has outputs(rows) -> {relative path: function that makes the text}; listing calls none of them.
"""

from __future__ import annotations

import importlib
import pathlib
import pkgutil
import sys
from collections.abc import Callable

import generate
from rows import Row, RowError, all_rows


def all_outputs(rows: list[Row]) -> dict[str, Callable[[], str]]:
    """Outputs of every module beside this one that has some."""
    found: dict[str, Callable[[], str]] = {}
    for info in pkgutil.iter_modules(generate.__path__):
        if info.name != "__main__":
            module = importlib.import_module(f"generate.{info.name}")
            if hasattr(module, "outputs"):
                found |= module.outputs(rows)
    return dict(sorted(found.items()))


def write(path: pathlib.Path, text: str) -> None:
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def main(arguments: list[str]) -> int:
    listing = "--list" in arguments
    folders = [a for a in arguments if a != "--list"]
    if len(folders) != 1:
        print("usage: python -m generate [--list] OUTDIR", file=sys.stderr)
        return 2
    out = pathlib.Path(folders[0])
    try:
        outputs = all_outputs(all_rows())
        if listing:
            print("\n".join(str(out / path) for path in outputs))
            return 0
        texts = {path: make() for path, make in outputs.items()}  # all or nothing: a wrong row leaves the old files
    except RowError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for path, text in texts.items():
        write(out / path, text)
    return 0


sys.exit(main(sys.argv[1:]))
