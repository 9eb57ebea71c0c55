"""Comparison, choice, logic, bits."""

from rows.formula import P, m, where
from rows.row import ALL, BOOL, INTEGRAL, REAL, elementwise


def comparison(name, dtypes, formula, sign, aliases, doc):
    elementwise(name, "input, other", dtypes, formula, result="bool", aliases=aliases,
        reference=f"input {sign} other", doc=doc)


comparison("eq", ALL, lambda x, y: x == y, "==", (), "True where `input` equals `other`.")
comparison("ne", ALL, lambda x, y: x != y, "!=", "not_equal", "True where `input` differs from `other`.")
comparison("lt", REAL | BOOL, lambda x, y: x < y, "<", "less", "True where `input` is less than `other`.")
comparison("le", REAL | BOOL, lambda x, y: x <= y, "<=", "less_equal", "True where `input` is at most `other`.")
comparison("gt", REAL | BOOL, lambda x, y: x > y, ">", "greater", "True where `input` is greater than `other`.")
comparison("ge", REAL | BOOL, lambda x, y: x >= y, ">=", "greater_equal", "True where `input` is at least `other`.")

elementwise("isnan", "input", ALL, m.isnan, result="bool", inplace=False, reference="np.isnan(input)",
    doc="True where an element is not a number.")
elementwise("isinf", "input", ALL, m.isinf, result="bool", inplace=False, reference="np.isinf(input)",
    doc="True where an element is infinite.")
elementwise("isfinite", "input", ALL, m.isfinite, result="bool", inplace=False, reference="np.isfinite(input)",
    doc="True where an element is neither infinite nor nan.")
elementwise("isposinf", "input", REAL | BOOL, lambda x: m.isinf(x) & ~m.signbit(x), result="bool", inplace=False,
    reference="np.isposinf(input)", doc="True where an element is plus infinity.")
elementwise("isneginf", "input", REAL | BOOL, lambda x: m.isinf(x) & m.signbit(x), result="bool", inplace=False,
    reference="np.isneginf(input)", doc="True where an element is minus infinity.")
elementwise("isreal", "input", ALL, lambda x: m.imag(x) == 0, result="bool", inplace=False,
    reference="np.isreal(input)", doc="True where the imaginary part is zero; always for real types.")

# ---- choice ----------------------------------------------------------------------------------------------------------

elementwise("where", "condition: mask, input, other", ALL, where,
    lambda g, condition: (None, where(condition, g, 0), where(condition, 0, g)),
    linear=("input", "other"), inplace=False, reference="np.where(condition, input, other)",
    doc="`input` where `condition` holds, `other` elsewhere.")

elementwise("maximum", "input, other", REAL | BOOL, m.maximum,
    lambda g, input, other: (
        where(input < other, 0, where(input == other, g / 2, g)),
        where(other < input, 0, where(input == other, g / 2, g))),
    inplace=False, reference="np.maximum(input, other)",
    doc="The greater of two elements; nan if either is. Equal elements share the gradient.")

elementwise("minimum", "input, other", REAL | BOOL, m.minimum,
    lambda g, input, other: (
        where(input > other, 0, where(input == other, g / 2, g)),
        where(other > input, 0, where(input == other, g / 2, g))),
    inplace=False, reference="np.minimum(input, other)",
    doc="The lesser of two elements; nan if either is. Equal elements share the gradient.")

elementwise("fmax", "input, other", REAL | BOOL, m.fmax,
    lambda g, input, other: (
        where((input >= other) | P.isnan(other), g, 0), where((input >= other) | P.isnan(other), 0, g)),
    inplace=False, reference="np.fmax(input, other)", doc="The greater of two elements; a nan gives way.")

elementwise("fmin", "input, other", REAL | BOOL, m.fmin,
    lambda g, input, other: (
        where((input <= other) | P.isnan(other), g, 0), where((input <= other) | P.isnan(other), 0, g)),
    inplace=False, reference="np.fmin(input, other)", doc="The lesser of two elements; a nan gives way.")

elementwise("clamp", "input, min, max", REAL,
    lambda x, low, high: m.minimum(m.maximum(x, low), high),
    lambda g, input, min, max: (
        where((input >= min) & (input <= max), g, 0),
        where((input < min) & (min < max), g, 0),
        where((input > max) | (max < min), g, 0)),
    aliases="clip", domain=((-3, 3), (-2, -0.5), (0.5, 2)), reference="np.minimum(np.maximum(input, min), max)",
    doc="`input` moved into the interval from `min` to `max`; where `min` exceeds `max`, `max`.")

elementwise("clamp_min", "input, min", REAL | BOOL, m.maximum,
    lambda g, input, min: (where(input >= min, g, 0), where(input < min, g, 0)),
    reference="np.maximum(input, min)", doc="`input`, but not less than `min`.")

elementwise("clamp_max", "input, max", REAL | BOOL, m.minimum,
    lambda g, input, max: (where(input <= max, g, 0), where(input > max, g, 0)),
    reference="np.minimum(input, max)", doc="`input`, but not more than `max`.")

# ---- logic and bits --------------------------------------------------------------------------------------------------

elementwise("logical_and", "input, other", ALL, lambda x, y: m.truth(x) & m.truth(y), result="bool",
    reference="np.logical_and(input, other)", doc="True where both elements are nonzero.")
elementwise("logical_or", "input, other", ALL, lambda x, y: m.truth(x) | m.truth(y), result="bool",
    reference="np.logical_or(input, other)", doc="True where either element is nonzero.")
elementwise("logical_xor", "input, other", ALL, lambda x, y: m.truth(x) ^ m.truth(y), result="bool",
    reference="np.logical_xor(input, other)", doc="True where exactly one element is nonzero.")
elementwise("logical_not", "input", ALL, lambda x: ~m.truth(x), result="bool",
    reference="np.logical_not(input)", doc="True where an element is zero.")

elementwise("bitwise_and", "input, other", INTEGRAL | BOOL, lambda x, y: x & y, reference="input & other",
    doc="The bits that both elements have.")
elementwise("bitwise_or", "input, other", INTEGRAL | BOOL, lambda x, y: x | y, reference="input | other",
    doc="The bits that either element has.")
elementwise("bitwise_xor", "input, other", INTEGRAL | BOOL, lambda x, y: x ^ y, reference="input ^ other",
    doc="The bits that exactly one element has.")
elementwise("bitwise_not", "input", INTEGRAL | BOOL, lambda x: ~x, reference="~input",
    doc="Every bit turned over; of bool, the other truth value.")
elementwise("bitwise_left_shift", "input, other", INTEGRAL, m.shift_left, domain=((-9, 9), (0, 5)),
    reference="input << other", doc="The bits of `input` moved left by `other` places.")
elementwise("bitwise_right_shift", "input, other", INTEGRAL, m.shift_right, domain=((-9, 9), (0, 5)),
    reference="input >> other", doc="The bits of `input` moved right by `other` places; the sign stays.")
elementwise("gcd", "input, other", INTEGRAL, m.gcd, reference="np.gcd(input, other)",
    doc="The greatest common divisor, never negative.")
elementwise("lcm", "input, other", INTEGRAL, m.lcm, reference="np.lcm(input, other)",
    doc="The least common multiple, never negative.")
