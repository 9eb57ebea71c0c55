"""The operator page of the documentation: every primitive, then every composite, from rows and docstrings."""

from __future__ import annotations

from collections.abc import Callable

from generate.composites import Composite, composites
from rows.row import CLASSES, DTYPES, Param, Row


def outputs(rows: list[Row]) -> dict[str, Callable[[], str]]:
    return {"docs/operators.md": lambda: page(rows)}


def parameter(p: Param) -> str:
    return p.name if p.required else f"{p.name}={p.default!r}"


def signature(row: Row) -> str:
    parts, starred = [], False
    for p in row.params:
        if p.keyword_only and not starred:
            parts.append("*")
            starred = True
        parts.append(parameter(p))
    return f"{row.name}({', '.join(parts)})"


def dtypes(row: Row) -> str:
    names = [name for name in DTYPES if name in row.dtypes]
    return "all dtypes" if len(names) >= len(DTYPES) - 2 else ", ".join(names)


def entry(row: Row) -> str:
    where = [f"{row.namespace}.{row.name}" if row.namespace else "function"] if row.function else []
    where += ["method"] if row.method and not row.namespace else []
    where += [f"in place as {row.name}_"] if row.inplace and row.params and row.params[0].is_tensor else []
    facts = [", ".join(where) or "used by other operations only", dtypes(row)]
    facts += ["differentiable" if row.grad or row.vjp else "no gradient"]
    facts += [f"also {', '.join(row.aliases)}"] if row.aliases else []
    return f"### `{signature(row)}`\n\n{row.doc}\n\n*{'; '.join(facts)}. [{row.file}](../rows/{row.file}.py)*\n"


def composite(c: Composite) -> str:
    names = ", ".join(f"`{name}`" for name in c.names) or ", ".join(f"`Tensor.{name}`" for name in c.methods)
    return f"| {names} | {c.doc.replace('|', chr(92) + '|')} |"


def page(rows: list[Row]) -> str:
    lines = ["# Operators", "", f"Generated from `rows/` ({len(rows)} primitives) and `flambeau/_composites/`.", ""]
    for cls in CLASSES:
        group = [row for row in rows if row.cls == cls]
        if group:
            lines += [f"## Class {cls}: {len(group)}", "", *map(entry, group)]
    listed = [c for c in composites() if c.names or c.methods]
    lines += [f"## Written in Python over primitives: {len(listed)}", "", "| name | what it gives |", "| --- | --- |"]
    return "\n".join([*lines, *map(composite, listed), ""])
