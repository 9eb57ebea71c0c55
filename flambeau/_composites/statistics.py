"""Statistics of samples: quantiles, covariance, histograms, differences and integrals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ._primitives import P, Tensor
from .helpers import error, replace, running_sum, wrap_dim
from .registry import composite
from .shape import conj, movedim
from .slices import per_slice
from .structured import structured

# quantiles


@composite(out=True)
def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """Below which value a share q of the elements lies; several shares give a new first dimension.

    >>> torch.quantile(torch.tensor([0., 1., 2., 3.]), 0.5)
    tensor(1.5000)
    """
    return quantiles(input, q, dim, keepdim, interpolation, False, "quantile")


@composite(out=True)
def nanquantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """As quantile, among the elements that are not nan.

    >>> torch.nanquantile(torch.tensor([0., float("nan"), 2.]), 0.5)
    tensor(1.)
    """
    return quantiles(input, q, dim, keepdim, interpolation, True, "nanquantile")


def quantiles(
    input: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str, skip_nan: bool, name: str
) -> Tensor:
    """What both quantiles share: a sort, the place of each share, and a mixture of the two neighbours."""
    shares = check_quantile(input, q, interpolation, name)
    axis = 0 if dim is None else wrap_dim(dim, input.dim())
    values = P.reshape(input, (-1,)) if dim is None or input.dim() == 0 else movedim(input, axis, -1)
    ordered = P.sort(values, -1)[0]
    last = last_places(ordered, skip_nan)
    place = P.mul(P.reshape(shares, (-1,)), last)
    if not skip_nan:  # nan stands last: one is enough to be chosen
        place = P.where(P.any(P.isnan(ordered), -1, True), last, place)
    found = movedim(between(ordered, place, interpolation), -1, 0)
    if keepdim:
        kept = (1,) * input.dim() if dim is None else replace(tuple(input.shape), axis, 1)[: input.dim()]
        found = P.reshape(found, (found.shape[0], *kept))
    return found if shares.dim() else P.squeeze(found, 0)


def last_places(ordered: Tensor, skip_nan: bool) -> Tensor:
    """The place of the largest element, for each row of sorted elements."""
    if not skip_nan:
        return P.full((1,), ordered.shape[-1] - 1, dtype=ordered.dtype, device=ordered.device)
    count = P.sum(P.logical_not(P.isnan(ordered)), -1, True)
    return P.to(P.clamp_min(P.sub(count, 1), 0), ordered.dtype)


def between(ordered: Tensor, place: Tensor, interpolation: str) -> Tensor:
    """The value of sorted rows at a place that may lie between two elements."""
    rounding = {"lower": P.floor, "higher": P.ceil, "nearest": P.round}.get(interpolation)
    place = rounding(place) if rounding else place
    index = P.to(P.detach(place), P.int64)
    low = P.gather(ordered, -1, index)
    if rounding:
        return low
    high = P.gather(ordered, -1, P.to(P.ceil(P.detach(place)), P.int64))
    half = P.full((), 0.5, dtype=ordered.dtype, device=ordered.device)
    return P.lerp(low, high, half if interpolation == "midpoint" else P.sub(place, P.to(index, place.dtype)))


def check_quantile(input: Tensor, q: Any, interpolation: str, name: str) -> Tensor:
    """The shares as a tensor; raises for input or shares that make no sense."""
    kinds = (P.float32, P.float64)
    if input.dtype not in kinds:
        raise error(RuntimeError, f"{name}() input tensor must be either float or double dtype", name, "floats", input)
    if input.numel() == 0:
        raise error(RuntimeError, f"{name}() input tensor must be non-empty", name, "elements", input)
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        phrase = f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest"
        raise error(RuntimeError, f"{phrase}, but got {interpolation}")
    if not isinstance(q, Tensor):
        if not 0 <= q <= 1:
            raise error(RuntimeError, f"{name}() q must be in the range [0, 1] but got {q}", name, "0 <= q <= 1", q)
        return P.full((), q, dtype=input.dtype, device=input.device)
    if q.dim() > 1:
        raise error(RuntimeError, f"{name}() q must be a scalar or 1D tensor", name, "at most 1 dimension", q)
    if q.dtype != input.dtype:
        phrase = f"{name}() q tensor must be same dtype as the input tensor"
        raise error(RuntimeError, phrase, name, "one dtype", (input, q))
    return q


# covariance


@composite
def cov(
    input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None
) -> Tensor:
    """The covariances of variables, which are the rows of input; its columns are observations.

    fweights says how often each observation occurred, aweights how much it counts.

    >>> torch.cov(torch.tensor([[1., 3.], [2., 6.]]))
    tensor([[2., 4.],
            [4., 8.]])
    """
    if input.dim() > 2:
        phrase = f"cov(): expected input to have two or fewer dimensions but got an input with {input.dim()} dimensions"
        raise error(RuntimeError, phrase, "cov", "at most 2 dimensions", input)
    if input.dtype == P.bool:
        raise error(RuntimeError, "cov(): bool dtype is not supported for input", "cov", "a number dtype", input)
    x = input if input.dim() == 2 else P.reshape(input, (1, -1))
    count = x.shape[1]
    weights = observation_weights(fweights, aweights, count)
    total: Any = count if weights is None else P.sum(weights)
    mean = P.div(P.sum(x if weights is None else P.mul(x, weights), 1, True), total)
    gap = P.sub(x, mean)
    if aweights is None:
        norm: Any = max(total - correction, 0) if weights is None else P.clamp_min(P.sub(total, correction), 0)
    else:
        lost = P.div(P.mul(P.sum(P.mul(weights, aweights)), correction), total)
        norm = P.clamp_min(P.sub(total, lost), 0)
    weighted = gap if weights is None else P.mul(gap, weights)
    result = P.div(P.mm(gap, P.to(conj(P.transpose(weighted, 0, 1)), gap.dtype)), norm)
    return result if input.dim() == 2 and x.shape[0] != 1 else P.view(result, ())


def observation_weights(fweights: Tensor | None, aweights: Tensor | None, count: int) -> Tensor | None:
    """The product of the two kinds of weights of cov, or None."""
    for weights, label, kind in ((fweights, "fweights", "integral"), (aweights, "aweights", "floating point")):
        if weights is None:
            continue
        if weights.dim() > 1:
            phrase = f"cov(): expected {label} to have one or fewer dimensions but got {label} with {weights.dim()}"
            raise error(RuntimeError, f"{phrase} dimensions")
        if (weights.dtype.is_floating_point, weights.dtype.is_complex) != (kind != "integral", False):
            raise error(
                RuntimeError, f"cov(): expected {label} to have {kind} dtype but got {label} with {weights.dtype}"
            )
        if weights.numel() != count:
            phrase = f"cov(): expected {label} to have the same numel as there are observations in the input but got"
            raise error(RuntimeError, f"{phrase} {weights.numel()} != {count}")
        if count and bool(P.any(P.lt(weights, 0)).item()):
            raise error(RuntimeError, f"cov(): {label} cannot be negative")
    if fweights is None or aweights is None:
        return aweights if fweights is None else fweights
    return P.mul(fweights, aweights)


@composite
def corrcoef(input: Tensor) -> Tensor:
    """The correlation of variables, which are the rows of input; its columns are observations.

    >>> torch.corrcoef(torch.tensor([[1., 3.], [2., 6.]])).shape
    torch.Size([2, 2])
    """
    if input.dim() > 2:
        phrase = "corrcoef(): expected input to have two or fewer dimensions but got an input with"
        raise error(RuntimeError, f"{phrase} {input.dim()} dimensions", "corrcoef", "at most 2 dimensions", input)
    table = cov(input)
    if table.dim() == 0:
        return P.div(table, table)
    spread = P.diagonal(table)
    spread = P.sqrt(P.select(P.view_as_real(spread), -1, 0) if spread.dtype.is_complex else spread)
    table = P.div(P.div(table, P.unsqueeze(spread, 1)), P.unsqueeze(spread, 0))
    if table.dtype.is_complex:
        return P.view_as_complex(P.clamp(P.view_as_real(table), -1, 1))
    return P.clamp(table, -1, 1)


# histograms


Histogram = structured("histogram", "hist", "bin_edges")


@composite(out=True)
@per_slice
def histogram(
    input: Tensor,
    bins: Any,
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Any:
    """Counts (or sums weights of) the elements between edges: equally far apart, or given as a tensor.

    >>> torch.histogram(torch.tensor([1., 2., 1.]), bins=2, range=(0., 2.)).hist
    tensor([0., 3.])
    """
    points = P.reshape(input, (-1, 1))
    weight = None if weight is None else checked_weight(weight, input)
    hist, edges = counted(points, [bins], range, weight, density)
    return Histogram(hist, edges[0])


def checked_weight(weight: Tensor, input: Tensor) -> Tensor:
    """The weights of a histogram's elements as a vector."""
    if weight.dtype != input.dtype:
        phrase = (
            "torch.histogramdd(): if weight tensor is provided, input tensor and weight tensor should have the same"
        )
        raise error(RuntimeError, f"{phrase} dtype, but got input {input.dtype} and weight {weight.dtype}")
    return P.reshape(weight, (-1,))


@composite
def histogramdd(
    input: Tensor,
    bins: Any,
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Counts points, the rows of input, in a grid of boxes; bins and range stand for each column.

    >>> torch.histogramdd(torch.tensor([[0., 1.], [1., 0.]]), bins=[2, 2])[0]
    tensor([[0., 1.],
            [1., 0.]])
    """
    columns = input.shape[-1]
    bins = [bins] * columns if isinstance(bins, int) else list(bins)
    if len(bins) != columns:
        phrase = f"histogramdd: The size of bins must be equal to the innermost dimension of the input: {columns}"
        raise error(RuntimeError, phrase, "histogramdd", f"{columns} bins", bins)
    weight = None if weight is None else checked_weight(weight, input)
    hist, edges = counted(P.reshape(input, (-1, columns)), bins, range, weight, density)
    return HistogramDD(hist, tuple(edges))


HistogramDD = structured("histogramdd", "hist", "bin_edges")


def counted(
    points: Tensor, bins: Sequence[Any], limits: Sequence[float] | None, weight: Tensor | None, density: bool
) -> tuple[Tensor, list[Tensor]]:
    """The histogram of points in several dimensions, and its edges."""
    edges = [
        edges_for(P.select(points, 1, d), bin_, limits[2 * d : 2 * d + 2] if limits else None)
        for d, bin_ in enumerate(bins)
    ]
    shape = [edge.shape[0] - 1 for edge in edges]
    place = P.full((points.shape[0],), 0, dtype=P.int64, device=points.device)
    inside = P.full((points.shape[0],), True, dtype=P.bool, device=points.device)
    for d, edge in enumerate(edges):
        column = P.contiguous(P.select(points, 1, d))
        box = P.sub(P.searchsorted(edge, column, right=True), 1)
        box = P.where(P.eq(column, P.select(edge, 0, -1)), P.full((), shape[d] - 1, dtype=P.int64), box)
        inside = P.logical_and(inside, P.logical_and(P.ge(box, 0), P.lt(box, shape[d])))
        place = P.add(P.mul(place, shape[d]), P.clamp(box, 0, max(shape[d] - 1, 0)))
    one = P.full((), 1.0, dtype=points.dtype, device=points.device)
    mass = P.where(inside, one if weight is None else weight, P.mul(one, 0))
    hist = P.index_add(P.full((math.prod(shape),), 0.0, dtype=points.dtype, device=points.device), 0, place, mass)
    hist = P.view(hist, shape)
    if density:
        hist = P.div(hist, P.sum(hist))
        for d, edge in enumerate(edges):
            width = P.sub(P.slice(edge, 0, 1, None, 1), P.slice(edge, 0, 0, -1, 1))
            hist = P.div(hist, P.reshape(width, [-1 if k == d else 1 for k in builtin_range(len(shape))]))
    return hist, edges


builtin_range = range


def edges_for(values: Tensor, bins: Any, limits: Sequence[float] | None) -> Tensor:
    """The edges of a histogram in one dimension."""
    if isinstance(bins, Tensor):
        return bins
    if bins <= 0:
        raise error(RuntimeError, f"torch.histogram(): bins must be > 0, but got {bins}", "histogram", "bins > 0", bins)
    if limits:
        low, high = limits
    elif values.numel():
        low, high = P.amin(values, 0).item(), P.amax(values, 0).item()
    else:
        low, high = 0.0, 1.0
    if not (math.isfinite(low) and math.isfinite(high)):
        raise error(RuntimeError, f"torch.histogramdd(): dimension's range [{low}, {high}] is not finite")
    if low > high:
        raise error(RuntimeError, f"torch.histogramdd(): min should not exceed max, but got min {low} max {high}")
    low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
    return P.linspace(low, high, bins + 1, dtype=values.dtype)


# differences and integrals


@composite(out=True)
def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """The difference of each element to the one before, n times over; prepend and append lengthen input first.

    >>> torch.diff(torch.tensor([1, 4, 9]))
    tensor([3, 5])
    """
    if input.dim() == 0:
        raise error(RuntimeError, "diff expects input to be at least one-dimensional", "diff", "1 dimension", input)
    if n < 0:
        raise error(RuntimeError, f"order must be non-negative but got {n}", "diff", "n >= 0", n)
    dim = wrap_dim(dim, input.dim())
    for part in (prepend, append):
        if part is not None and part.dim() != input.dim():
            raise error(RuntimeError, "diff expects prepend or append to be the same dimension as input")
    if n == 0:
        return P.clone(input)
    if prepend is not None or append is not None:
        input = P.cat([part for part in (prepend, input, append) if part is not None], dim)
    subtract = P.logical_xor if input.dtype == P.bool else P.sub
    for _ in builtin_range(min(n, input.shape[dim])):
        input = subtract(P.slice(input, dim, 1, None, 1), P.slice(input, dim, 0, max(input.shape[dim] - 1, 0), 1))
    return input


def steps_along(y: Tensor, x: Tensor, dim: int, name: str) -> Tensor:
    """The distances between sample points, in a shape that broadcasts with y."""
    if x.dtype == P.bool:
        raise error(RuntimeError, f"{name}: received a bool input for `x` or `y`, but bool is not supported")
    if x.dim() == 1:
        if x.shape[0] != y.shape[dim]:
            raise error(RuntimeError, f"{name}: There must be one `x` value for each sample point", name, "", (y, x))
        return P.reshape(diff(x), [-1 if d == dim else 1 for d in builtin_range(y.dim())])
    padded = P.reshape(x, (1,) * (y.dim() - x.dim()) + tuple(x.shape)) if x.dim() < y.dim() else x
    return diff(padded, dim=dim - y.dim())


def trapezoids(y: Tensor, x: Tensor | None, dx: Any, dim: int, name: str) -> Tensor:
    """Twice the area under each piece between two neighbouring points."""
    if y.dtype == P.bool:
        raise error(RuntimeError, f"{name}: received a bool input for `x` or `y`, but bool is not supported")
    if isinstance(dx, (bool,)):
        raise error(RuntimeError, f"{name}: Currently, we only support dx as a real number")
    if isinstance(dx, complex):
        raise error(RuntimeError, f"{name}: Currently, we only support dx as a real number")
    dim = wrap_dim(dim, y.dim())
    ends = P.add(P.slice(y, dim, 1, None, 1), P.slice(y, dim, 0, max(y.shape[dim] - 1, 0), 1))
    return P.mul(ends, (1 if dx is None else dx) if x is None else steps_along(y, x, dim, name))


@composite(aliases=("trapz",), method=False)
def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """The integral along dim by the trapezoid rule, over sample points x or equal steps dx (1 by default).

    >>> torch.trapezoid(torch.tensor([1., 5., 10.]))
    tensor(10.5000)
    """
    pieces = trapezoids(y, x, dx, dim, "trapezoid")
    return P.div(P.sum(pieces, wrap_dim(dim, y.dim()) - y.dim()), 2)


@composite(method=False)
def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """The integrals along dim from the start to each further point, by the trapezoid rule.

    >>> torch.cumulative_trapezoid(torch.tensor([1., 5., 10.]))
    tensor([ 3.0000, 10.5000])
    """
    pieces = trapezoids(y, x, dx, dim, "cumulative_trapezoid")
    return P.div(running_sum(pieces, wrap_dim(dim, y.dim()) - y.dim()), 2)


@composite(method=False)
def gradient(input: Tensor, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1) -> tuple[Tensor, ...]:
    """Estimates derivatives along dimensions by differences of second order inside and edge_order at the ends.

    spacing is a number, or for each dimension a number or the coordinates of the points.

    >>> torch.gradient(torch.tensor([1., 4., 9.]))
    (tensor([3., 4., 5.]),)
    """
    dims = [dim] if isinstance(dim, int) else list(builtin_range(input.dim())) if dim is None else list(dim)
    dims = [wrap_dim(d, input.dim()) for d in dims]
    spacing = 1 if spacing is None else spacing
    steps = list(spacing) if isinstance(spacing, (list, tuple)) else [spacing] * len(dims)
    check_gradient(input, dims, steps, edge_order)
    return tuple(derivative(input, d, step, edge_order) for d, step in zip(dims, steps))


def check_gradient(input: Tensor, dims: list[int], steps: list[Any], edge_order: int) -> None:
    """Raises for arguments of gradient that do not fit together."""
    if edge_order not in (1, 2):
        raise error(RuntimeError, "torch.gradient only supports edge_order=1 and edge_order=2.")
    if len(steps) != len(dims):
        phrase = "torch.gradient expected spacing to be unspecified, a scalar or a list of length equal to 'dim'"
        raise error(RuntimeError, f"{phrase} and of length {len(dims)}, but got a list of length {len(steps)}")
    if len(set(dims)) < len(dims):
        raise error(
            RuntimeError, f"dim {next(d for d in dims if dims.count(d) > 1)} appears multiple times in the list of dims"
        )
    for d, step in zip(dims, steps):
        if input.shape[d] < edge_order + 1:
            raise error(RuntimeError, "torch.gradient expected each dimension size to be at least edge_order+1")
        if isinstance(step, Tensor) and step.dim() and (step.dim() != 1 or step.shape[0] != input.shape[d]):
            phrase = "torch.gradient expected each spacing coordinate to be a vector as long as its dimension"
            raise error(RuntimeError, phrase, "gradient", f"{input.shape[d]} coordinates", step)


def derivative(f: Tensor, dim: int, step: Any, edge_order: int) -> Tensor:
    """The derivative along one dimension."""
    uneven = isinstance(step, Tensor) and step.dim() == 1
    n = f.shape[dim]
    at = lambda start, end: P.slice(f, dim, start, end, 1)  # noqa: E731
    if uneven:
        shape = [-1 if d == dim else 1 for d in builtin_range(f.dim())]
        h = P.reshape(diff(step), shape)
        gap = lambda start, end: P.slice(h, dim, start, end, 1)  # noqa: E731
        before, after = gap(0, n - 2), gap(1, n - 1)
        # the slopes on both sides, each weighted with the length of the other side
        left = P.div(P.sub(at(1, n - 1), at(0, n - 2)), before)
        right = P.div(P.sub(at(2, n), at(1, n - 1)), after)
        inside = P.div(P.add(P.mul(left, after), P.mul(right, before)), P.add(before, after))
    else:
        gap = lambda start, end: step  # noqa: E731
        inside = P.div(P.sub(at(2, n), at(0, n - 2)), step * 2)
    first, last = (
        P.div(P.sub(at(1, 2), at(0, 1)), gap(0, 1)),
        P.div(P.sub(at(n - 1, n), at(n - 2, n - 1)), gap(n - 2, n - 1)),
    )
    if edge_order == 2:
        second, before_last = (
            P.div(P.sub(at(2, 3), at(1, 2)), gap(1, 2)),
            P.div(P.sub(at(n - 2, n - 1), at(n - 3, n - 2)), gap(n - 3, n - 2)),
        )
        first = extrapolated(first, second, gap(0, 1), gap(1, 2))
        last = extrapolated(last, before_last, gap(n - 2, n - 1), gap(n - 3, n - 2))
    return P.cat([first, inside, last], dim)


def extrapolated(near: Tensor, far: Tensor, near_gap: Any, far_gap: Any) -> Tensor:
    """The slope at an end, from the slopes of the two pieces next to it."""
    return P.add(near, P.mul(P.sub(near, far), near_gap / (near_gap + far_gap)))
