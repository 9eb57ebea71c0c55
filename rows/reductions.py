"""Reductions: a dimension, or several, folded into one value each.

`P.unreduce(g, shape, dim, keepdim, correction)` is the transpose of sum: it spreads a result over the shape that was
folded, divided by n - correction for the n elements that each result stands for, unless correction is None.
"""

from rows.formula import P, m, where
from rows.row import ALL, BOOL, COMPLEX, FLOAT, INTEGRAL, REAL, Reduce, reduction, row

DIMS = "input, dim: dims = None, keepdim: bool = False"


def unreduce(g, input, dim, keepdim, correction=None):
    return P.unreduce(g, input.shape, dim, keepdim, correction)


row("unreduce", "input, shape: ints, dim: dims = None, keepdim: bool = False, correction: number? = None", ALL,
    cls="composite", function=False, method=False, inplace=False, fails="_ops.unreduce(ones(2), (3,), 5, False)",
    samples=("unreduce(x(3), (2, 3), 0)", "unreduce(x(2, 1), (2, 3), (1,), True)", "unreduce(x(), (2, 3))"),
    doc="Spreads the result of a reduction over the `shape` that was folded, divided by n - correction unless that is None.")

reduction("sum", DIMS + ", *, dtype: dtype? = None", ALL,
    Reduce(init=lambda: (0,), step=lambda s, x: (s[0] + x,), merge=lambda s, t: (s[0] + t[0],), finish=lambda s, n: s[0]),
    lambda g, input, dim, keepdim: unreduce(g, input, dim, keepdim),
    result="wide", widened={"int8", "int16"}, linear="input", reference="np.sum(input, dim, keepdims=keepdim)", fails="sum(ones(2), 3)",
    node_by="dim", doc="The sum over `dim` (None: all dimensions). Whole numbers and bools add up in int64.")

reduction("mean", DIMS + ", *, dtype: dtype? = None", FLOAT | COMPLEX,
    Reduce(init=lambda: (0,), step=lambda s, x: (s[0] + x,), merge=lambda s, t: (s[0] + t[0],),
           finish=lambda s, n: s[0] / n),
    lambda g, input, dim, keepdim: unreduce(g, input, dim, keepdim, 0),
    linear="input", reference="np.mean(input, dim, keepdims=keepdim)", fails="mean(ones(2), 3)",
    node_by="dim", doc="The arithmetic mean over `dim` (None: all dimensions).")


def prod_gradient(g, input, dim, keepdim):
    """Each element's cotangent is the product of the others, without a division by zero."""
    zero = P.eq(input, 0)
    zeros, safe = P.sum(zero, dim, True), P.where(zero, 1, input)
    others = unreduce(g, input, dim, keepdim) * P.prod(safe, dim, True)
    return where(zero, where(P.eq(zeros, 1), others, 0), where(P.eq(zeros, 0), others / safe, 0))


reduction("prod", DIMS + ", *, dtype: dtype? = None", ALL,
    Reduce(init=lambda: (1,), step=lambda s, x: (s[0] * x,), merge=lambda s, t: (s[0] * t[0],), finish=lambda s, n: s[0]),
    prod_gradient, result="wide", widened=(BOOL | INTEGRAL) - {"int64"}, reference="np.prod(input, dim, keepdims=keepdim)", fails="prod(ones(2), 3)",
    node_by="dim", doc="The product over `dim` (None: all dimensions). Whole numbers and bools multiply in int64.")


def extreme_gradient(g, input, dim, keepdim, result):
    """Equal extremes share the cotangent."""
    chosen = P.eq(input, unreduce(result, input, dim, keepdim))
    return where(chosen, unreduce(g, input, dim, keepdim) / P.sum(chosen, dim, True), 0)


reduction("amax", DIMS, REAL | BOOL,
    Reduce(init=lambda: (float("-inf"),), step=lambda s, x: (m.maximum(s[0], x),),
           merge=lambda s, t: (m.maximum(s[0], t[0]),), finish=lambda s, n: s[0]),
    extreme_gradient, empty_fails=True, reference="np.max(input, dim, keepdims=keepdim)", fails="amax(ones(2), 3)",
    doc="The greatest element over `dim`; nan if there is one. Equal elements share the gradient.")

reduction("amin", DIMS, REAL | BOOL,
    Reduce(init=lambda: (float("inf"),), step=lambda s, x: (m.minimum(s[0], x),),
           merge=lambda s, t: (m.minimum(s[0], t[0]),), finish=lambda s, n: s[0]),
    extreme_gradient, empty_fails=True, reference="np.min(input, dim, keepdims=keepdim)", fails="amin(ones(2), 3)",
    doc="The least element over `dim`; nan if there is one. Equal elements share the gradient.")

reduction("all", DIMS, BOOL,
    Reduce(init=lambda: (1,), step=lambda s, x: (s[0] & x,), merge=lambda s, t: (s[0] & t[0],), finish=lambda s, n: s[0]),
    result="bool", reference="np.all(input, dim, keepdims=keepdim)", fails="all(ones(2), 3)",
    doc="True where every element over `dim` is nonzero.")

reduction("any", DIMS, BOOL,
    Reduce(init=lambda: (0,), step=lambda s, x: (s[0] | x,), merge=lambda s, t: (s[0] | t[0],), finish=lambda s, n: s[0]),
    result="bool", reference="np.any(input, dim, keepdims=keepdim)", fails="any(ones(2), 3)",
    doc="True where some element over `dim` is nonzero.")

# ---- moments: Welford's update, and the merge of Chan, Golub and LeVeque (1979) ----------------------------------------


def moments_step(s, x):
    mean, squares, count = s
    count = count + 1
    d = x - mean
    mean = mean + d / count
    return mean, squares + d * (x - mean), count


def moments_merge(s, t):
    n = s[2] + t[2]
    d, share = t[0] - s[0], where(n == 0, 0, t[2] / n)
    return s[0] + d * share, s[1] + t[1] + d * d * (s[2] * share), n


def variance(s, n, correction):
    return s[1] / m.maximum(n - correction, 0)


MOMENTS = DIMS.replace("keepdim", "*, correction: number = 1, keepdim")

reduction("var", MOMENTS, FLOAT,
    Reduce(init=lambda: (0, 0, 0), step=moments_step, merge=moments_merge, finish=variance),
    lambda g, input, dim, correction, keepdim: (
        unreduce(g, input, dim, keepdim, correction) * (2 * (input - P.mean(input, dim, True)))),
    reference="np.var(input, dim, ddof=correction, keepdims=keepdim)", fails="_ops.var(ones(2), 3)",
    doc="The variance over `dim`: squared deviations from the mean, summed and divided by n - `correction`.")

reduction("std", MOMENTS, FLOAT,
    Reduce(init=lambda: (0, 0, 0), step=moments_step, merge=moments_merge,
           finish=lambda s, n, correction: m.sqrt(variance(s, n, correction))),
    lambda g, input, dim, correction, keepdim, result: (
        unreduce(where(P.eq(result, 0), 0, g / result), input, dim, keepdim, correction)
        * (input - P.mean(input, dim, True))),
    reference="np.std(input, dim, ddof=correction, keepdims=keepdim)", fails="_ops.std(ones(2), 3)",
    doc="The standard deviation over `dim`: the square root of var.")

# ---- norms: what linalg.vector_norm chooses from -----------------------------------------------------------------------


def norm(name, schema, step, finish, grad, doc, **says):
    reduction(name, schema, FLOAT, Reduce(init=lambda: (0,), step=step, merge=lambda s, t: (s[0] + t[0],), finish=finish),
        grad, function=False, method=False, fails=f"_ops.{name}(ones(2), dim=3{', p=2' * ('p:' in schema)})", doc=doc, **says)


norm("norm1", DIMS, lambda s, x: (s[0] + m.abs(x),), lambda s, n: s[0],
    lambda g, input, dim, keepdim: unreduce(g, input, dim, keepdim) * P.sgn(input),
    "The sum of magnitudes over `dim`.", reference="np.sum(np.abs(input), dim, keepdims=keepdim)")
norm("norm2", DIMS, lambda s, x: (s[0] + x * x,), lambda s, n: m.sqrt(s[0]),
    lambda g, input, dim, keepdim, result: (
        unreduce(where(P.eq(result, 0), 0, g) / where(P.eq(result, 0), 1, result), input, dim, keepdim) * input),
    "Euclid's length over `dim`.", reference="np.sqrt(np.sum(input ** 2, dim, keepdims=keepdim))")
norm("norm_p", "input, p: number, dim: dims = None, keepdim: bool = False",
    lambda s, x, p: (s[0] + m.pow(m.abs(x), p),), lambda s, n, p: m.pow(s[0], 1 / p),
    lambda g, input, p, dim, keepdim, result: (
        unreduce(where(P.eq(result, 0), 0, g) / P.pow(where(P.eq(result, 0), 1, result), p - 1), input, dim, keepdim)
        * (P.sgn(input) * P.pow(P.abs(input), p - 1))),
    "The p-th root of the sum of p-th powers of magnitudes over `dim`.",
    reference="np.sum(np.abs(input) ** p, dim, keepdims=keepdim) ** (1 / p)")


# ---- logsumexp: the sum of exponentials relative to the greatest element so far ----------------------------------------


def logsumexp_merge(s, t):
    e = m.exp(-m.abs(t[0] - s[0]))
    total = where(t[0] > s[0], s[1] * e + t[1], where(t[0] == s[0], s[1] + t[1], s[1] + t[1] * e))
    return m.maximum(s[0], t[0]), total


reduction("logsumexp", DIMS, FLOAT,
    Reduce(init=lambda: (float("-inf"), 0), step=lambda s, x: logsumexp_merge(s, (x, 1)), merge=logsumexp_merge,
           finish=lambda s, n: where(s[1] == 0, float("-inf"), s[0] + m.log(s[1]))),
    lambda g, input, dim, keepdim, result: (
        unreduce(g, input, dim, keepdim) * P.exp(input - unreduce(result, input, dim, keepdim))),
    reference="np.log(np.sum(np.exp(input), dim, keepdims=keepdim))", fails="logsumexp(ones(2), 3)", aliases="special.logsumexp",
    doc="log of the sum of exponentials over `dim`, without overflow.")
