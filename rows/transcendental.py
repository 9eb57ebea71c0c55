"""Exponentials, logarithms, trigonometry and their inverses."""

from rows.formula import P, m, where
from rows.row import COMPLEX, FLOAT, elementwise

LN2, LN10, PI = 0.6931471805599453, 2.302585092994046, 3.141592653589793


def function(name, formula, grad, doc, **says):
    """A function of one float or complex number; whole numbers become floats."""
    elementwise(name, "input", says.pop("dtypes", FLOAT | COMPLEX), formula, grad,
        **({"promote": "float", "reference": f"np.{name}(input)", "doc": doc} | says))


function("exp", m.exp, lambda g, result: g * result, "e to the power of each element.")
function("exp2", m.exp2, lambda g, result: g * result * LN2, "2 to the power of each element.", aliases="special.exp2")
function("expm1", m.expm1, lambda g, result: g * (result + 1), "exp(x) - 1, accurate near zero.", aliases="special.expm1")
function("log", m.log, lambda g, input: g / input, "The natural logarithm.", domain=((0.1, 5),))
function("log2", m.log2, lambda g, input: g / (input * LN2), "The logarithm to the base 2.", domain=((0.1, 5),))
function("log10", m.log10, lambda g, input: g / (input * LN10), "The logarithm to the base 10.", domain=((0.1, 5),))
function("log1p", m.log1p, lambda g, input: g / (input + 1), "log(1 + x), accurate near zero.", domain=((-0.8, 3),),
    aliases="special.log1p")

function("sin", m.sin, lambda g, input: g * P.cos(input), "The sine of each element, in radians.")
function("cos", m.cos, lambda g, input: -g * P.sin(input), "The cosine of each element, in radians.")
function("tan", m.tan, lambda g, result: g * (1 + result * result), "The tangent.", domain=((-1.3, 1.3),))
function("asin", m.asin, lambda g, input: g * P.rsqrt(1 - input * input), "The inverse sine.", aliases="arcsin",
    domain=((-0.9, 0.9),), reference="np.arcsin(input)")
function("acos", m.acos, lambda g, input: -g * P.rsqrt(1 - input * input), "The inverse cosine.", aliases="arccos",
    domain=((-0.9, 0.9),), reference="np.arccos(input)")
function("atan", m.atan, lambda g, input: g / (input * input + 1), "The inverse tangent.", aliases="arctan",
    reference="np.arctan(input)")
function("sinh", m.sinh, lambda g, input: g * P.cosh(input), "The hyperbolic sine.")
function("cosh", m.cosh, lambda g, input: g * P.sinh(input), "The hyperbolic cosine.")
function("tanh", m.tanh, lambda g, result: g * (1 - result * result), "The hyperbolic tangent.")
function("asinh", m.asinh, lambda g, input: g * P.rsqrt(input * input + 1), "The inverse hyperbolic sine.",
    aliases="arcsinh", reference="np.arcsinh(input)")
function("acosh", m.acosh, lambda g, input: g / (P.sqrt(input - 1) * P.sqrt(input + 1)),
    "The inverse hyperbolic cosine.", aliases="arccosh", domain=((1.2, 5),), reference="np.arccosh(input)")
function("atanh", m.atanh, lambda g, input: g / (1 - input * input), "The inverse hyperbolic tangent.",
    aliases="arctanh", domain=((-0.9, 0.9),), reference="np.arctanh(input)")
function("sigmoid", m.sigmoid, lambda g, result: g * ((1 - result) * result),
    "The logistic function 1 / (1 + exp(-x)).", aliases="special.expit", reference="1 / (1 + np.exp(-input))")

function("logit", lambda x: m.log(x / (1 - x)), lambda g, input: where(
    (input < 0) | (input > 1), float("nan"), g / (input * (1 - input))),
    "The inverse of the logistic function: log(x / (1 - x)).", dtypes=FLOAT, domain=((0.05, 0.95),),
    aliases="special.logit", reference="np.log(input / (1 - input))")
function("sinc", lambda x: where(x == 0, 1, m.sin(x * PI) / (x * PI)),
    lambda g, input: where(
        input == 0, 0, g * ((input * PI * P.cos(input * PI) - P.sin(input * PI)) / (input * input * PI))),
    "sin(pi x) / (pi x), 1 at zero.", aliases="special.sinc")

elementwise("atan2", "input, other", FLOAT, m.atan2,
    lambda g, input, other: (
        where((input == 0) & (other == 0), 0, g * (other / (input * input + other * other))),
        where((input == 0) & (other == 0), 0, g * (-input / (input * input + other * other)))),
    promote="float", aliases="arctan2", reference="np.arctan2(input, other)",
    doc="The angle of the point (`other`, `input`), right in all four quadrants.")

elementwise("logaddexp", "input, other", FLOAT,
    lambda x, y: where(x == y, x + LN2, m.maximum(x, y) + m.log1p(m.exp(-m.abs(x - y)))),
    lambda g, input, other: (g * P.sigmoid(input - other), g * P.sigmoid(other - input)),
    inplace=False, reference="np.logaddexp(input, other)", doc="log(exp(x) + exp(y)) without overflow.")

elementwise("logaddexp2", "input, other", FLOAT,
    lambda x, y: where(x == y, x + 1, m.maximum(x, y) + m.log1p(m.exp2(-m.abs(x - y))) * (1 / LN2)),
    lambda g, input, other: (g * P.sigmoid((input - other) * LN2), g * P.sigmoid((other - input) * LN2)),
    inplace=False, reference="np.logaddexp2(input, other)", doc="log2(2^x + 2^y) without overflow.")

elementwise("xlogy", "input, other", FLOAT,
    lambda x, y: where(m.isnan(y), y, where(x == 0, 0, x * m.log(y))),
    lambda g, input, other: (where((input == 0) & (other <= 0), 0, g * P.log(other)), g * input / other),
    promote="float", aliases="special.xlogy", domain=((-3, 3), (0.1, 3)), reference="sp.xlogy(input, other)",
    doc="x log(y), and 0 where x is 0.")

elementwise("xlog1py", "input, other", FLOAT,
    lambda x, y: where(m.isnan(y), y, where(x == 0, 0, x * m.log1p(y))),
    lambda g, input, other: (where((input == 0) & (other <= -1), 0, g * P.log1p(other)), g * input / (other + 1)),
    promote="float", namespace="special", method=False, inplace=False, domain=((-3, 3), (-0.8, 3)),
    reference="sp.xlog1py(input, other)", doc="x log(1 + y), and 0 where x is 0.")

elementwise("entr", "input", FLOAT,
    lambda x: where(x > 0, -x * m.log(x), where(x == 0, 0, where(m.isnan(x), x, float("-inf")))),
    lambda g, input: g * (-1 - P.log(input)),
    promote="float", namespace="special", method=False, inplace=False, domain=((0.1, 3),),
    reference="sp.entr(input)", doc="-x log(x), the entropy of one outcome; 0 at 0, minus infinity below.")
