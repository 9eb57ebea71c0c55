"""Gamma numbers and what is made of them: chi-squared, beta, Dirichlet, Student's t."""

from __future__ import annotations

import math
from typing import Any

import flambeau
from flambeau.autograd import Function

from . import constraints
from .distribution import Distribution, ExponentialFamily
from .utils import broadcast_all


class _StandardGamma(Function):
    """Draws; the gradient is implicit (Figurnov et al. 2018): minus the derivative of the cdf by the shape, over the density.

    The cdf is differentiated by a central difference in double precision.
    """

    @staticmethod
    def forward(ctx: Any, shape: Any) -> Any:
        drawn = flambeau._standard_gamma(shape)
        ctx.save_for_backward(shape, drawn)
        return drawn

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        shape, drawn = ctx.saved_tensors
        a, z = shape.double(), drawn.double()
        step = 1e-4 * a.clamp(max=1.0)
        slope = (flambeau.special.gammainc(a + step, z) - flambeau.special.gammainc(a - step, z)) / (2 * step)
        log_density = flambeau.xlogy(a - 1, z) - z - flambeau.lgamma(a)
        return (g.double() * (-slope * flambeau.exp(-log_density))).to(g.dtype)


class Gamma(ExponentialFamily):
    """Gamma numbers of shape `concentration`, divided by `rate`.

    >>> import flambeau as torch
    >>> torch.distributions.Gamma(4.0, 2.0).mean
    tensor(2.)
    """

    arg_constraints: Any = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = broadcast_all(concentration, rate)
        super().__init__(self.concentration.size(), validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.concentration / self.rate

    @property
    def mode(self) -> Any:
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Any:
        return self.concentration / self.rate.pow(2)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        value = _StandardGamma.apply(self.concentration.expand(shape)) / self.rate.expand(shape)
        value.detach().clamp_(min=flambeau.finfo(value.dtype).tiny)
        return value

    def log_prob(self, value: Any) -> Any:
        value = flambeau.as_tensor(value, dtype=self.rate.dtype)
        if self._validate_args:
            self._validate_sample(value)
        return (
            flambeau.xlogy(self.concentration, self.rate) + flambeau.xlogy(self.concentration - 1, value)
            - self.rate * value - flambeau.lgamma(self.concentration)
        )  # fmt: skip

    def cdf(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        return flambeau.special.gammainc(self.concentration, self.rate * value)

    def entropy(self) -> Any:
        a = self.concentration
        return a - flambeau.log(self.rate) + flambeau.lgamma(a) + (1.0 - a) * flambeau.digamma(a)


class Chi2(Gamma):
    """The sum of `df` squared normal numbers."""

    arg_constraints = {"df": constraints.positive}

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        super().__init__(0.5 * df, 0.5, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        return Chi2(self.df.expand(flambeau.Size(batch_shape)), validate_args=False)

    @property
    def df(self) -> Any:
        """The degrees of freedom."""
        return self.concentration * 2


class Dirichlet(ExponentialFamily):
    """Points whose coordinates are positive and add up to one."""

    arg_constraints = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True

    def __init__(self, concentration: Any, validate_args: bool | None = None) -> None:
        if concentration.dim() < 1:
            raise ValueError("`concentration` parameter must be at least one-dimensional.")
        self.concentration = concentration
        super().__init__(concentration.shape[:-1], concentration.shape[-1:], validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.concentration / self.concentration.sum(-1, True)

    @property
    def mode(self) -> Any:
        above = (self.concentration - 1).clamp(min=0.0)
        mode = above / above.sum(-1, True)
        flat = (self.concentration < 1).all(dim=-1)
        mode[flat] = flambeau.nn.functional.one_hot(mode[flat].argmax(dim=-1), above.shape[-1]).to(mode)
        return mode

    @property
    def variance(self) -> Any:
        total = self.concentration.sum(-1, True)
        return self.concentration * (total - self.concentration) / (total.pow(2) * (total + 1))

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        gammas = _StandardGamma.apply(self.concentration.expand(shape).double())
        return (gammas / gammas.sum(-1, True)).to(self.concentration.dtype)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        a = self.concentration
        return flambeau.xlogy(a - 1.0, value).sum(-1) + flambeau.lgamma(a.sum(-1)) - flambeau.lgamma(a).sum(-1)

    def entropy(self) -> Any:
        k, total = self.concentration.size(-1), self.concentration.sum(-1)
        return (
            flambeau.lgamma(self.concentration).sum(-1) - flambeau.lgamma(total) - (k - total) * flambeau.digamma(total)
            - ((self.concentration - 1.0) * flambeau.digamma(self.concentration)).sum(-1)
        )  # fmt: skip


class Beta(ExponentialFamily):
    """Numbers between 0 and 1: the first coordinate of a Dirichlet point in two dimensions."""

    arg_constraints = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        both = broadcast_all(concentration1, concentration0)
        self._dirichlet = Dirichlet(flambeau.stack(both, -1), validate_args=validate_args)
        super().__init__(self._dirichlet._batch_shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self.__new__(type(self)) if _instance is None else _instance
        new._dirichlet = self._dirichlet.expand(batch_shape)
        Distribution.__init__(new, batch_shape, validate_args=False)
        return new

    @property
    def concentration1(self) -> Any:
        """The shape towards one."""
        return self._dirichlet.concentration[..., 0]

    @property
    def concentration0(self) -> Any:
        """The shape towards zero."""
        return self._dirichlet.concentration[..., 1]

    @property
    def mean(self) -> Any:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def mode(self) -> Any:
        return self._dirichlet.mode[..., 0]

    @property
    def variance(self) -> Any:
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total.pow(2) * (total + 1))

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self._dirichlet.rsample(sample_shape).select(-1, 0)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        return self._dirichlet.log_prob(flambeau.stack([value, 1.0 - value], -1))

    def entropy(self) -> Any:
        return self._dirichlet.entropy()


class StudentT(Distribution):
    """Student's t with `df` degrees of freedom, moved by `loc` and stretched by `scale`."""

    arg_constraints = {"df": constraints.positive, "loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None) -> None:
        self.df, self.loc, self.scale = broadcast_all(df, loc, scale)
        self._chi2 = Chi2(self.df)
        super().__init__(self.df.size(), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        new._chi2 = self._chi2.expand(batch_shape)
        return new

    @property
    def mean(self) -> Any:
        mean = self.loc.clone(memory_format=flambeau.contiguous_format)
        mean[self.df <= 1] = float("nan")
        return mean

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        finite = self.scale.pow(2) * self.df / (self.df - 2)
        variance = flambeau.where(self.df > 2, finite, flambeau.full_like(finite, math.inf))
        return flambeau.where(self.df <= 1, flambeau.full_like(finite, math.nan), variance)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        normal = flambeau.empty(shape, dtype=self.df.dtype).normal_()
        return self.loc + self.scale * normal * flambeau.rsqrt(self._chi2.rsample(sample_shape) / self.df)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        y = (value - self.loc) / self.scale
        z = self.scale.log() + 0.5 * self.df.log() + 0.5 * math.log(math.pi)
        z = z + flambeau.lgamma(0.5 * self.df) - flambeau.lgamma(0.5 * (self.df + 1.0))
        return -0.5 * (self.df + 1.0) * flambeau.log1p(y**2.0 / self.df) - z

    def entropy(self) -> Any:
        beta = flambeau.lgamma(0.5 * self.df) + math.lgamma(0.5) - flambeau.lgamma(0.5 * (self.df + 1))
        halves = flambeau.digamma(0.5 * (self.df + 1)) - flambeau.digamma(0.5 * self.df)
        return self.scale.log() + 0.5 * (self.df + 1) * halves + 0.5 * self.df.log() + beta
