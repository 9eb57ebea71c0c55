"""Special functions: the error function and its kin, gamma, zeta, Bessel."""

from rows.formula import P, m, where
from rows.row import FLOAT, elementwise

PI, SQRT_HALF, TWO_OVER_SQRT_PI = 3.141592653589793, 0.7071067811865476, 1.1283791670955126
SQRT_2PI = 2.5066282746310002


def special(name, formula, grad=None, doc="", schema="input", **says):
    """A function of torch.special."""
    says = {"promote": "float", "namespace": "special", "method": False, "inplace": False,
            "reference": f"sp.{name}({', '.join(p.split(':')[0] for p in schema.split(', '))})"} | says
    elementwise(name, schema, FLOAT, formula, grad, doc=doc, **says)


def public(name):
    """The options of a function that is also a function and a method of its own."""
    return dict(namespace="", method=True, inplace=True, aliases=f"special.{name}")


special("erf", m.erf, lambda g, input: g * (TWO_OVER_SQRT_PI * P.exp(-(input * input))),
    "The error function.", **public("erf"))
special("erfc", m.erfc, lambda g, input: -g * (TWO_OVER_SQRT_PI * P.exp(-(input * input))),
    "1 - erf(x), accurate where that is small.", **public("erfc"))
special("erfinv", m.erfinv, lambda g, result: g * (0.5 * SQRT_2PI * SQRT_HALF * P.exp(result * result)),
    "The inverse of the error function.", domain=((-0.9, 0.9),), **public("erfinv"))
special("erfcx", m.erfcx, lambda g, input, result: g * (2 * input * result - TWO_OVER_SQRT_PI),
    "exp(x^2) erfc(x).")
special("ndtr", lambda x: 0.5 * m.erfc(-x * SQRT_HALF),
    lambda g, input: g * (P.exp(-0.5 * (input * input)) / SQRT_2PI),
    "The normal distribution's probability of less than x.")
special("ndtri", m.ndtri, lambda g, result: g * (SQRT_2PI * P.exp(0.5 * (result * result))),
    "The inverse of ndtr.", domain=((0.05, 0.95),))
special("log_ndtr",
    lambda x: where(x < -1, m.log(0.5 * m.erfcx(-x * SQRT_HALF)) - 0.5 * (x * x), m.log1p(-0.5 * m.erfc(x * SQRT_HALF))),
    lambda g, input: g * ((2 / SQRT_2PI) / P.erfcx(-input * SQRT_HALF)), "log(ndtr(x)), also far to the left.")

special("lgamma", m.lgamma, lambda g, input: g * P.digamma(input), "The logarithm of |gamma(x)|.",
    namespace="", method=True, inplace=True, aliases="special.gammaln", domain=((0.3, 5),), reference="sp.gammaln(input)")
special("digamma", m.digamma, lambda g, input: g * P.polygamma(1, input), "The derivative of lgamma.",
    namespace="", method=True, inplace=True, aliases=("special.digamma", "special.psi"), domain=((0.3, 5),))
special("polygamma", m.polygamma, lambda g, n, input: g * P.polygamma(n + 1, input),
    "The derivative of order `n` of digamma.", schema="n: number, input", namespace="", aliases="special.polygamma",
    domain=((1, 3), (0.5, 5)), reference="sp.polygamma(n, input)")
special("zeta", m.zeta, lambda g, input, other: (None, g * (-input * P.zeta(input + 1, other))),
    "Hurwitz's zeta: the sum of (k + q)^-x over k = 0, 1, ...", schema="input, other", domain=((1.5, 4), (0.5, 4)))
special("igamma", m.igamma,
    lambda g, input, other: (None, g * P.exp((input - 1) * P.log(other) - other - P.lgamma(input))),
    "The regularised lower incomplete gamma function.", schema="input, other", namespace="", method=True, inplace=True,
    aliases="special.gammainc", domain=((0.5, 4), (0.5, 4)), reference="sp.gammainc(input, other)")
special("igammac", m.igammac,
    lambda g, input, other: (None, -g * P.exp((input - 1) * P.log(other) - other - P.lgamma(input))),
    "The regularised upper incomplete gamma function.", schema="input, other", namespace="", method=True, inplace=True,
    aliases="special.gammaincc", domain=((0.5, 4), (0.5, 4)), reference="sp.gammaincc(input, other)")

special("i0", m.i0, lambda g, input: g * P.i1(input), "The modified Bessel function of order 0.", **public("i0"))
special("i0e", m.i0e, lambda g, input, result: g * (P.i1e(input) - P.sign(input) * result), "exp(-|x|) i0(x).")
special("i1", m.i1, lambda g, input, result: g * where(input == 0, 0.5, P.i0(input) - result / input),
    "The modified Bessel function of order 1.")
special("i1e", m.i1e,
    lambda g, input, result: g * where(
        input == 0, 0.5, P.i0e(input) - result * (P.sign(input) + P.reciprocal(input))), "exp(-|x|) i1(x).")
special("bessel_j0", m.bessel_j0, lambda g, input: -g * P.bessel_j1(input),
    "The Bessel function of the first kind, order 0.", reference="sp.j0(input)")
special("bessel_j1", m.bessel_j1,
    lambda g, input, result: g * where(input == 0, 0.5, P.bessel_j0(input) - result / input),
    "The Bessel function of the first kind, order 1.", reference="sp.j1(input)")
special("bessel_y0", m.bessel_y0, lambda g, input: -g * P.bessel_y1(input),
    "The Bessel function of the second kind, order 0.", domain=((0.2, 9),), reference="sp.y0(input)")
special("bessel_y1", m.bessel_y1, lambda g, input, result: g * (P.bessel_y0(input) - result / input),
    "The Bessel function of the second kind, order 1.", domain=((0.2, 9),), reference="sp.y1(input)")
special("modified_bessel_k0", m.modified_bessel_k0, lambda g, input: -g * P.modified_bessel_k1(input),
    "The modified Bessel function of the second kind, order 0.", domain=((0.2, 9),), reference="sp.k0(input)")
special("modified_bessel_k1", m.modified_bessel_k1,
    lambda g, input, result: -g * (P.modified_bessel_k0(input) + result / input),
    "The modified Bessel function of the second kind, order 1.", domain=((0.2, 9),), reference="sp.k1(input)")
special("scaled_modified_bessel_k0", m.scaled_modified_bessel_k0,
    lambda g, input, result: g * (result - P.scaled_modified_bessel_k1(input)),
    "exp(x) modified_bessel_k0(x).", domain=((0.2, 9),), reference="sp.k0e(input)")
special("scaled_modified_bessel_k1", m.scaled_modified_bessel_k1,
    lambda g, input, result: g * (result - result / input - P.scaled_modified_bessel_k0(input)),
    "exp(x) modified_bessel_k1(x).", domain=((0.2, 9),), reference="sp.k1e(input)")
special("spherical_bessel_j0", m.spherical_bessel_j0,
    lambda g, input: where(input == 0, 0, g * ((P.cos(input) - P.sin(input) / input) / input)),
    "sin(x) / x, 1 at zero.", reference="sp.spherical_jn(0, input)")
