"""The functions that formulas may reach as m.name: what core/kernels/cpu (math.h, special.h) provides, and for which types.

result: `value` (the type of the operands), `mask`, `real` (the real type of a complex operand) or `complex`.
scalar: computed one element at a time, so compiling it for several instruction sets would gain nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rows.row import ALL, BOOL, COMPLEX, FLOAT, INTEGRAL, NUMBER, REAL


@dataclass(frozen=True)
class Intrinsic:
    arity: int
    dtypes: frozenset[str]
    result: str = "value"
    scalar: bool = False


def table(names: str, *args: Any, **kwargs: Any) -> dict[str, Intrinsic]:
    return {name: Intrinsic(*args, **kwargs) for name in names.split()}


INTRINSICS: dict[str, Intrinsic] = {
    **table("exp exp2 log log2 log10 log1p expm1 sqrt rsqrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh "
            "sigmoid reciprocal", 1, FLOAT | COMPLEX),
    **table("erf erfc", 1, FLOAT),
    **table("floor ceil trunc round", 1, REAL),
    **table("abs", 1, ALL, result="real"),
    **table("sign", 1, ALL),
    **table("sgn", 1, ALL),
    **table("square", 1, ALL),
    **table("pow", 2, NUMBER),
    **table("atan2 hypot nextafter", 2, FLOAT),
    **table("copysign", 2, FLOAT),
    **table("maximum minimum", 2, REAL | BOOL),  # a nan operand wins
    **table("fmax fmin", 2, REAL | BOOL),  # a nan operand loses
    **table("fmod remainder floor_divide trunc_divide", 2, REAL),
    **table("isnan isinf isfinite", 1, ALL, result="mask"),
    **table("signbit", 1, REAL | BOOL, result="mask"),
    **table("truth", 1, ALL, result="mask"),  # x != 0
    **table("shift_left shift_right gcd lcm", 2, INTEGRAL),
    **table("real imag", 1, ALL, result="real"),
    **table("angle", 1, FLOAT | COMPLEX, result="real"),
    **table("conj", 1, NUMBER | BOOL),
    **table("make_complex polar", 2, FLOAT, result="complex", scalar=True),
    **table("lgamma digamma trigamma erfinv erfcx ndtri i0 i0e i1 i1e bessel_j0 bessel_j1 bessel_y0 bessel_y1 "
            "modified_bessel_k0 modified_bessel_k1 scaled_modified_bessel_k0 scaled_modified_bessel_k1 spherical_bessel_j0",
            1, FLOAT, scalar=True),
    **table("polygamma igamma igammac zeta", 2, FLOAT, scalar=True),
}  # fmt: skip

# Python's operators: the C++ text, the primitive that a composition calls, and the types it is right for.
OPERATORS: dict[str, tuple[str, str, frozenset[str]]] = {
    "add": ("({} + {})", "add", ALL),
    "sub": ("({} - {})", "sub", NUMBER),
    "mul": ("({} * {})", "mul", ALL),
    "div": ("({} / {})", "div", FLOAT | COMPLEX),
    "neg": ("(-{})", "neg", NUMBER),
    "and": ("({} & {})", "bitwise_and", INTEGRAL | BOOL),
    "or": ("({} | {})", "bitwise_or", INTEGRAL | BOOL),
    "xor": ("({} ^ {})", "bitwise_xor", INTEGRAL | BOOL),
    "not": ("(~{})", "bitwise_not", INTEGRAL | BOOL),
    "lt": ("({} < {})", "lt", REAL | BOOL),
    "le": ("({} <= {})", "le", REAL | BOOL),
    "gt": ("({} > {})", "gt", REAL | BOOL),
    "ge": ("({} >= {})", "ge", REAL | BOOL),
    "eq": ("({} == {})", "eq", ALL),
    "ne": ("({} != {})", "ne", ALL),
    "mask_and": ("({} & {})", "logical_and", ALL),
    "mask_or": ("({} | {})", "logical_or", ALL),
    "mask_xor": ("({} ^ {})", "logical_xor", ALL),
    "mask_not": ("(!{})", "logical_not", ALL),
}
