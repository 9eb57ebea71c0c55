"""The words that formulas and gradients are written with.

A formula is a Python function over operands whose type it does not know: the *carrier*. The generator's carrier records
what happens and emits C++; another one may compute with NumPy. So the words here hold no meaning of their own: each
hands itself to the first carrier among its arguments.

- `m.tanh(x)`: a function of the machine, hand-written in core/kernels/cpu (math.h, special.h). Forward formulas only.
- `P.tanh(x)`: the primitive that the row of this name defines. In a kernel its formula is inlined; in the composition
  that `create_graph` runs it is a call through the door. Gradients use P and Python's operators, nothing else.
- `where(c, a, b)`: P.where; `where(c, g, 0)` is how a gradient is masked, since `g * mask` makes nan of inf.
"""

from __future__ import annotations

from typing import Any


class Word:
    """A function named in a formula; calling it records the call in the carrier."""

    __slots__ = ("name", "space")

    def __init__(self, space: str, name: str) -> None:
        self.space, self.name = space, name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        for arg in (*args, *kwargs.values()):
            if hasattr(arg, "__formula_call__"):
                return arg.__formula_call__(self.space, self.name, args, kwargs)
        raise TypeError(f"{self.space}.{self.name}: expected at least one operand; got constants only")

    def __repr__(self) -> str:
        return f"{self.space}.{self.name}"


class Words:
    """A namespace in which every attribute is a Word."""

    def __init__(self, space: str) -> None:
        self._space = space

    def __getattr__(self, name: str) -> Word:
        if name.startswith("__"):
            raise AttributeError(name)
        return Word(self._space, name)


m = Words("m")
P = Words("P")
where = P.where
