"""Plain NumPy forms of operations that no single NumPy expression says; rows name them as ref.name(...)."""

from __future__ import annotations

import itertools

import numpy as np
import scipy.special as sp


def power(base, exponent):
    if base.dtype.kind not in "iu":
        return base**exponent
    return np.trunc(np.power(base.astype(np.float64), exponent)).astype(base.dtype)


# ---- shape ----


def flatten(x, start, end):
    rank = max(x.ndim, 1)
    start, end = start % rank, end % rank
    return x.reshape(x.shape[:start] + (-1,) + x.shape[end + 1 :])


def sum_to(x, size):
    lead = x.ndim - len(size)
    x = x.sum(tuple(range(lead)))
    return x.sum(tuple(i for i, s in enumerate(size) if s == 1), keepdims=True)


def cut(x, pad):
    """Negative padding, as slices; gives what is left of the padding."""
    pairs = [(0, 0)] * (x.ndim - len(pad) // 2) + list(zip(pad[::2], pad[1::2]))[::-1]
    x = x[tuple(slice(max(-a, 0), s - max(-b, 0)) for (a, b), s in zip(pairs, x.shape))]
    return x, [(max(a, 0), max(b, 0)) for a, b in pairs]


def pad_constant(x, pad, value):
    x, pairs = cut(x, pad)
    return np.pad(x, pairs, constant_values=value)


def pad_borders(x, pad, mode):
    x, pairs = cut(x, pad)
    return np.pad(x, pairs, ("reflect", "edge", "wrap")[mode])


# ---- positions ----


def places(index, dim, rank):
    """The full positions that an index along one dimension stands for."""
    grid = list(np.indices(index.shape))
    grid[dim % rank] = index
    return tuple(grid)


def gather(x, dim, index):
    return x[places(index, dim, x.ndim)]


def scatter(x, dim, index, values):
    x = x.copy()
    where = places(index, dim, x.ndim)
    x[where] = values[tuple(slice(s) for s in index.shape)] if np.ndim(values) else values
    return x


def scatter_add(x, dim, index, source):
    x = x.copy()
    np.add.at(x, places(index, dim, x.ndim), source[tuple(slice(s) for s in index.shape)])
    return x


def scatter_reduce(x, dim, index, source, reduce, include_self):
    fold = {"sum": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum}[reduce]
    x, where, seen = x.copy(), places(index, dim, x.ndim), np.zeros(x.shape, bool)
    for at in np.ndindex(*index.shape):
        to = tuple(w[at] for w in where)
        x[to] = fold(x[to], source[at]) if include_self or seen[to] else source[at]
        seen[to] = True
    return x


def index_put(x, indices, values, accumulate):
    x, key = x.copy(), tuple(slice(None) if i is None else i for i in indices)
    if accumulate:
        np.add.at(x, key, values)
    else:
        x[key] = values
    return x


def index_add(x, dim, index, source):
    x = x.copy()
    np.add.at(x, (slice(None),) * (dim % x.ndim) + (index,), source)
    return x


def index_copy(x, dim, index, source):
    x = x.copy()
    x[(slice(None),) * (dim % x.ndim) + (index,)] = source
    return x


def masked_scatter(x, mask, source):
    x = x.copy()
    x[mask] = source[: mask.sum()]
    return x


# ---- order ----


def sort(x, dim, descending):
    if x.ndim == 0:
        return x, np.zeros((), np.int64)
    order = np.argsort(x, dim, kind="stable")
    if descending:  # equal elements keep their order
        order = np.flip(x.shape[dim] - 1 - np.argsort(np.flip(x, dim), dim, kind="stable"), dim)
    return np.take_along_axis(x, order, dim), order


def topk(x, k, dim, largest):
    """Values only: which of equal elements is taken is free."""
    values, _ = sort(x, dim, largest)
    return (np.take(values, np.arange(k), dim),)


def at_rank(x, rank, dim, keepdim):
    value = np.take(np.sort(x, dim), [rank], dim)
    return (value if keepdim else value.squeeze(dim),)


def unique(x):
    values, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    return values, inverse.reshape(x.shape), counts


def running(x, dim, sign):
    """Extremes so far and where they were last."""
    if x.ndim == 0:
        return x, np.zeros((), np.int64)
    x = np.moveaxis(x, dim, 0)
    values, at = x.copy(), np.zeros(x.shape, np.int64)
    for i in range(1, len(x)):
        better = x[i] >= values[i - 1] if sign > 0 else x[i] <= values[i - 1]
        values[i], at[i] = np.where(better, x[i], values[i - 1]), np.where(better, i, at[i - 1])
    return np.moveaxis(values, 0, dim), np.moveaxis(at, 0, dim)


# ---- layers ----


def several(value, n):
    value = tuple(np.atleast_1d(value).tolist())
    return value * n if len(value) == 1 else value


def convolution(x, w, bias, stride, padding, dilation, groups):
    d = w.ndim - 2
    stride, padding, dilation = several(stride, d), several(padding, d), several(dilation, d)
    batched = x.ndim == w.ndim
    x = np.pad(x if batched else x[None], [(0, 0), (0, 0)] + [(p, p) for p in padding])
    sizes = [(x.shape[2 + i] - dilation[i] * (w.shape[2 + i] - 1) - 1) // stride[i] + 1 for i in range(d)]
    out = np.zeros((len(x), len(w), *sizes), np.result_type(x, w))
    per = len(w) // groups
    for g, at in itertools.product(range(groups), np.ndindex(*w.shape[2:])):
        window = tuple(slice(a * dl, a * dl + s * (n - 1) + 1, s) for a, dl, s, n in zip(at, dilation, stride, sizes))
        part = x[(slice(None), slice(g * w.shape[1], (g + 1) * w.shape[1]), *window)]
        out[:, g * per : (g + 1) * per] += np.einsum("nc...,oc->no...", part, w[(slice(g * per, (g + 1) * per), slice(None), *at)])
    if bias is not None:
        out = out + bias.reshape(-1, *[1] * d)
    return out if batched else out[0]


def transposed_convolution(x, w, bias, stride, padding, output_padding, groups, dilation):
    d = w.ndim - 2
    stride, padding, dilation, more = several(stride, d), several(padding, d), several(dilation, d), several(output_padding, d)
    sizes = [(x.shape[2 + i] - 1) * stride[i] + dilation[i] * (w.shape[2 + i] - 1) + 1 + more[i] for i in range(d)]
    out = np.zeros((len(x), w.shape[1] * groups, *sizes), np.result_type(x, w))
    per = len(w) // groups
    for g, at in itertools.product(range(groups), np.ndindex(*w.shape[2:])):
        window = tuple(slice(a * dl, a * dl + s * (n - 1) + 1, s) for a, dl, s, n in zip(at, dilation, stride, x.shape[2:]))
        part = np.einsum("nc...,co->no...", x[:, g * per : (g + 1) * per], w[(slice(g * per, (g + 1) * per), slice(None), *at)])
        out[(slice(None), slice(g * w.shape[1], (g + 1) * w.shape[1]), *window)] += part
    out = out[(slice(None), slice(None), *(slice(p, s - p) for p, s in zip(padding, sizes)))]
    return out if bias is None else out + bias.reshape(-1, *[1] * d)


def pool_windows(extent, kernel, stride, padding, dilation, ceil):
    """(positions in the input, width with padding) for each window along one dimension."""
    reach = dilation * (kernel - 1) + 1
    span = extent + 2 * padding - reach
    count = -(-span // stride) + 1 if ceil else span // stride + 1
    if ceil and (count - 1) * stride >= extent + padding:
        count -= 1
    starts = [i * stride - padding for i in range(count)]
    inside = [[p for p in range(s, s + reach, dilation) if 0 <= p < extent] for s in starts]
    return inside, [min(s + reach, extent + padding) - s for s in starts]


def pool_plans(x, kernel, stride, padding, dilation, ceil):
    sizes = np.atleast_1d(kernel)
    d = max(len(sizes), x.ndim - (2 if x.ndim % 2 == 0 and x.ndim > 2 else 1)) if len(sizes) == 1 else len(sizes)
    kernel = several(kernel, d)
    stride = kernel if stride is None or stride == () else several(stride, d)
    padding, dilation = several(padding, d), several(dilation, d)
    return [pool_windows(x.shape[x.ndim - d + i], kernel[i], stride[i], padding[i], dilation[i], ceil) for i in range(d)]


def spatial(x):
    """Samples of these rows are (1, 2, ...) batches or (2, ...) planes."""
    return x.ndim - (2 if x.shape[0] == 1 else 1)


def max_pool(x, kernel, stride, padding, dilation, ceil):
    d = spatial(x)
    plans = pool_plans(x, several(kernel, d), stride, padding, dilation, ceil)
    lead, planes = x.shape[: x.ndim - d], x.shape[x.ndim - d :]
    out = np.zeros((*lead, *(len(p[0]) for p in plans)), x.dtype)
    at = np.zeros(out.shape, np.int64)
    for place in np.ndindex(*out.shape):
        window = list(itertools.product(*(p[0][i] for p, i in zip(plans, place[len(lead) :]))))
        values = [x[place[: len(lead)] + w] for w in window]
        best = int(np.argmax(values))
        out[place], at[place] = values[best], np.ravel_multi_index(window[best], planes)
    return out, at


def average_pool(x, kernel, stride, padding, ceil, count_pad):
    d = spatial(x)
    plans = pool_plans(x, several(kernel, d), stride, padding, 1, ceil)
    lead = x.shape[: x.ndim - d]
    out = np.zeros((*lead, *(len(p[0]) for p in plans)), x.dtype)
    for place in np.ndindex(*out.shape):
        steps = place[len(lead) :]
        window = [x[place[: len(lead)] + w] for w in itertools.product(*(p[0][i] for p, i in zip(plans, steps)))]
        out[place] = np.sum(window) / (np.prod([p[1][i] for p, i in zip(plans, steps)]) if count_pad else len(window))
    return out


def adaptive_pool(x, size, fold):
    size = tuple(np.atleast_1d(size).tolist())
    d = len(size)
    lead, planes = x.shape[: x.ndim - d], x.shape[x.ndim - d :]
    out, at = np.zeros((*lead, *size), x.dtype), np.zeros((*lead, *size), np.int64)
    for place in np.ndindex(*out.shape):
        bounds = [(i * n // s, -(-(i + 1) * n // s)) for i, n, s in zip(place[len(lead) :], planes, size)]
        part = x[place[: len(lead)] + tuple(slice(a, b) for a, b in bounds)]
        best = np.unravel_index(int(np.argmax(part)), part.shape)
        out[place] = fold(part)
        at[place] = np.ravel_multi_index(tuple(a + b for (a, _), b in zip(bounds, best)), planes)
    return out, at


def normalise(x, axes, eps):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def per_channel(values, x, default):
    return default if values is None else values.reshape(1, -1, *[1] * (x.ndim - 2))


def group_norm(x, groups, weight, bias, eps):
    y = normalise(x.reshape(len(x), groups, -1), (2,), eps).reshape(x.shape)
    return y * per_channel(weight, x, 1) + per_channel(bias, x, 0)


def batch_norm(x, weight, bias, mean, var, training, eps):
    axes = (0, *range(2, x.ndim))
    y = normalise(x, axes, eps) if training else (x - per_channel(mean, x, 0)) / np.sqrt(per_channel(var, x, 1) + eps)
    return y * per_channel(weight, x, 1) + per_channel(bias, x, 0)


def nll(logs, target, weight, reduction, ignore):
    w = np.ones(logs.shape[1]) if weight is None else weight
    kept = target != ignore
    safe = np.where(kept, target, 0)
    scale = np.where(kept, w[safe], 0)
    loss = -scale * np.take_along_axis(logs, np.expand_dims(safe, 1), 1).squeeze(1)
    return loss if reduction == 0 else loss.sum() / scale.sum() if reduction == 1 else loss.sum()


def cross_entropy(scores, target, weight, reduction, ignore, smoothing):
    logs = sp.log_softmax(scores, 1)
    hard = nll(logs, target, weight, reduction, ignore)
    if not smoothing:
        return hard
    w = np.ones(scores.shape[1]) if weight is None else weight
    kept = target != ignore
    soft = np.where(kept, -(logs * w.reshape(-1, *[1] * (scores.ndim - 2))).sum(1), 0)
    total = np.where(kept, w[np.where(kept, target, 0)], 0).sum()
    soft = soft if reduction == 0 else soft.sum() / total if reduction == 1 else soft.sum()
    return (1 - smoothing) * hard + smoothing / scores.shape[1] * soft


def attention(q, k, v, causal):
    scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])
    if causal:
        scores = np.where(np.tril(np.ones(scores.shape[-2:], bool)), scores, -np.inf)
    return sp.softmax(scores, -1) @ v
