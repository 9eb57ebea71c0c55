"""Arithmetic: sums, products, quotients, powers and what combines them."""

from rows.formula import P, m, where
from rows.row import ALL, COMPLEX, FLOAT, NUMBER, REAL, elementwise


def zero(g):
    """The gradient of a step function: zero wherever it exists."""
    return 0


def zeros(g):
    return 0, 0


elementwise("add", "input, other, *, alpha: number = 1", ALL,
    lambda x, y, alpha: x + alpha * y,
    lambda g, alpha: (g, g * alpha),
    linear=("input", "other"), reference="input + alpha * other",
    doc="Adds `other`, scaled by `alpha`, to `input`.")

elementwise("sub", "input, other, *, alpha: number = 1", NUMBER,
    lambda x, y, alpha: x - alpha * y,
    lambda g, alpha: (g, -g * alpha),
    linear=("input", "other"), aliases="subtract", reference="input - alpha * other",
    doc="Subtracts `other`, scaled by `alpha`, from `input`.")

elementwise("mul", "input, other", ALL,
    lambda x, y: x * y,
    lambda g, input, other: (g * other, g * input),
    bilinear=("input", "other"), aliases="multiply", reference="input * other",
    doc="The product of `input` and `other`.")

elementwise("div", "input, other", FLOAT | COMPLEX,
    lambda x, y: x / y,
    lambda g, input, other: (g / other, -g * (input / other) / other),
    promote="float", linear=("input",), aliases=("divide", "true_divide"), domain=((-3, 3), (0.5, 3)),
    reference="input / other",
    doc="The quotient of `input` and `other`; whole numbers are divided as floats.")

elementwise("floor_divide", "input, other", REAL, m.floor_divide, zeros,
    domain=((-9, 9), (1, 4)), reference="np.floor_divide(input, other)",
    doc="The quotient of `input` and `other`, rounded down.")

elementwise("div_trunc", "input, other", REAL, m.trunc_divide, zeros,
    function=False, method=False, domain=((-9, 9), (1, 4)), reference="np.trunc(input / other)",
    doc="The quotient of `input` and `other`, rounded towards zero: div with rounding_mode='trunc'.")

elementwise("remainder", "input, other", REAL, m.remainder,
    lambda g, input, other: (g, -g * P.floor_divide(input, other)),
    domain=((-9, 9), (1, 4)), reference="np.remainder(input, other)",
    doc="What is left of `input` after division by `other`, with the sign of `other`, as Python's `%`.")

elementwise("fmod", "input, other", REAL, m.fmod,
    lambda g, input, other: (g, -g * P.div_trunc(input, other)),
    domain=((-9, 9), (1, 4)), reference="np.fmod(input, other)",
    doc="What is left of `input` after division by `other`, with the sign of `input`, as C's fmod.")

elementwise("pow", "input, exponent", NUMBER, m.pow,
    lambda g, input, exponent, result: (
        where(exponent == 0, 0, g * (exponent * P.pow(input, exponent - 1))),
        where((input == 0) & (P.real_part(exponent) >= 0), 0, g * (result * P.log(input)))),
    domain=((0.2, 3), (-2, 2)), reference="ref.power(input, exponent)",
    node_by="exponent", doc="`input` raised to the power `exponent`. A whole number to a negative power is 0, but for 1 and -1.")

elementwise("neg", "input", NUMBER, lambda x: -x, lambda g: -g,
    linear="input", aliases="negative", reference="-input", doc="The negative of each element.")

elementwise("reciprocal", "input", FLOAT | COMPLEX, m.reciprocal,
    lambda g, result: -g * result * result,
    promote="float", domain=((0.3, 3),), reference="1 / input", doc="One over each element.")

elementwise("square", "input", ALL, m.square,
    lambda g, input: g * 2 * input,
    reference="input * input", doc="Each element times itself.")

elementwise("sqrt", "input", FLOAT | COMPLEX, m.sqrt,
    lambda g, result: g / (2 * result),
    promote="float", domain=((0.1, 4),), reference="np.sqrt(input)", doc="The square root of each element.")

elementwise("rsqrt", "input", FLOAT | COMPLEX, m.rsqrt,
    lambda g, result: -0.5 * g * (result * result * result),
    promote="float", domain=((0.1, 4),), reference="1 / np.sqrt(input)",
    doc="One over the square root of each element.")

elementwise("hypot", "input, other", FLOAT, m.hypot,
    lambda g, input, other, result: (g * (input / result), g * (other / result)),
    domain=((0.2, 3), (0.2, 3)), reference="np.hypot(input, other)",
    doc="The length of the vector (`input`, `other`), without overflow on the way.")

elementwise("addcmul", "input, tensor1, tensor2, *, value: number = 1", NUMBER,
    lambda x, a, b, value: x + value * (a * b),
    lambda g, tensor1, tensor2, value: (g, g * (tensor2 * value), g * (tensor1 * value)),
    reference="input + value * tensor1 * tensor2",
    doc="Adds the product of `tensor1` and `tensor2`, scaled by `value`, to `input`.")

elementwise("addcdiv", "input, tensor1, tensor2, *, value: number = 1", FLOAT | COMPLEX,
    lambda x, a, b, value: x + value * (a / b),
    lambda g, tensor1, tensor2, value: (
        g, g * (value / tensor2), -g * (value * tensor1 / (tensor2 * tensor2))),
    domain=((-3, 3), (-3, 3), (0.5, 3)), reference="input + value * tensor1 / tensor2",
    doc="Adds the quotient of `tensor1` and `tensor2`, scaled by `value`, to `input`.")

elementwise("lerp", "input, end, weight", FLOAT | COMPLEX,
    lambda x, end, w: where(m.abs(w) < 0.5, x + w * (end - x), end - (end - x) * (1 - w)),
    lambda g, input, end, weight: (g * (1 - weight), g * weight, g * (end - input)),
    reference="input + weight * (end - input)",
    doc="The point that lies `weight` of the way from `input` to `end`; exact at both ends.")

elementwise("deg2rad", "input", FLOAT, lambda x: x * 0.017453292519943295, lambda g: g * 0.017453292519943295,
    promote="float", linear="input", reference="np.deg2rad(input)", doc="Degrees to radians.")

elementwise("rad2deg", "input", FLOAT, lambda x: x * 57.29577951308232, lambda g: g * 57.29577951308232,
    promote="float", linear="input", reference="np.rad2deg(input)", doc="Radians to degrees.")
