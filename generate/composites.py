"""What the Python composites declare, read from their source (the build cannot import the package it builds)."""

from __future__ import annotations

import ast
import pathlib
from dataclasses import dataclass

FOLDER = pathlib.Path(__file__).parents[1] / "flambeau" / "_composites"


@dataclass(frozen=True)
class Composite:
    """One function under `@composite(...)`: its definition and the public names that the flags give it."""

    node: ast.FunctionDef
    names: tuple[str, ...]  # dotted public names
    methods: tuple[str, ...]
    prop: bool
    varargs: bool
    out: bool
    place: str

    @property
    def doc(self) -> str:
        return (ast.get_docstring(self.node) or "").split("\n\n")[0].replace("\n", " ")


def composites() -> list[Composite]:
    """Every decorated function, by its first name."""
    found = []
    for path in sorted(FOLDER.glob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef):
                found += [one(node, flags, path.stem) for flags in map(decoration, node.decorator_list) if flags is not None]
    return sorted(found, key=lambda c: c.node.name)


def decoration(node: ast.expr) -> dict | None:
    """The flags of a `@composite` decorator; None for any other decorator."""
    if isinstance(node, ast.Name) and node.id == "composite":
        return {}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "composite":
        flags = {}
        for keyword in node.keywords:
            try:
                flags[keyword.arg] = ast.literal_eval(keyword.value)
            except ValueError:  # computed where the package runs; the plain form is declared
                continue
        return flags
    return None


def one(node: ast.FunctionDef, flags: dict, family: str) -> Composite:
    space = flags.get("namespace", "")
    labels = (flags.get("name") or node.name, *flags.get("aliases", ()))
    dotted = tuple(label if "." in label or not space else f"{space}.{label}" for label in labels)
    plain = tuple(label for label in labels if "." not in label and not space)
    methods = plain if flags.get("method", True) or flags.get("prop") else ()
    if flags.get("inplace"):
        methods += tuple(label + "_" for label in methods)
    return Composite(
        node,
        dotted if flags.get("public", True) else (),
        methods,
        bool(flags.get("prop")),
        bool(flags.get("varargs")),
        bool(flags.get("out")),
        f"flambeau/_composites/{family}.py",
    )
