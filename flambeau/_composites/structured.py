"""Results with named fields: tuples that print a field on each line, as those of the rows do."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

TYPES: dict[str, type] = {}  # all of them, by name: torch.return_types


def structured(name: str, *fields: str) -> Any:
    """A new type of results, a tuple whose entries have names."""

    def text(self: Any) -> str:
        shown = ",\n".join(f"{field}={value!r}" for field, value in zip(fields, self))
        return f"torch.return_types.{name}(\n{shown})"

    base = namedtuple(name, fields)  # type: ignore[misc]  # the names come as arguments
    module = "torch.return_types"
    members = {"__slots__": (), "__repr__": text, "__module__": module, "__doc__": f"What {name} returns."}
    TYPES[name] = type(name, (base,), members)
    return TYPES[name]
