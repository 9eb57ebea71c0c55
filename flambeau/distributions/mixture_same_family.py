"""Mixtures of distributions of one kind."""

from __future__ import annotations

from typing import Any

import flambeau

from . import constraints
from .categorical import Categorical
from .distribution import Distribution


class MixtureSameFamily(Distribution):
    """Values of one of several components, the last dimension of their batch, chosen by a Categorical."""

    arg_constraints: Any = {}

    def __init__(self, mixture_distribution: Any, component_distribution: Any, validate_args: bool | None = None) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError("The Mixture distribution needs to be an instance of torch.distributions.Categorical")
        if not isinstance(component_distribution, Distribution):
            raise ValueError("The Component distribution need to be an instance of torch.distributions.Distribution")
        number = mixture_distribution.logits.shape[-1]
        if component_distribution.batch_shape[-1] != number:
            raise ValueError(
                f"`mixture_distribution component` ({number}) does not equal `component_distribution.batch_shape[-1]` "
                f"({component_distribution.batch_shape[-1]})"
            )
        self._mixture_distribution, self._component_distribution = mixture_distribution, component_distribution
        self._num_component = number
        super().__init__(component_distribution.batch_shape[:-1], component_distribution.event_shape, validate_args=validate_args)

    @constraints.dependent_property
    def support(self) -> Any:  # type: ignore[override]
        return self._component_distribution.support

    @property
    def mixture_distribution(self) -> Any:
        """What chooses the component."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Any:
        """The components."""
        return self._component_distribution

    def _weights(self) -> Any:
        probs = self.mixture_distribution.probs
        return probs.reshape(probs.shape + (1,) * len(self.event_shape))

    @property
    def mean(self) -> Any:
        return (self._weights() * self.component_distribution.mean).sum(-1 - len(self.event_shape))

    @property
    def variance(self) -> Any:
        dim = -1 - len(self.event_shape)
        inside = (self._weights() * self.component_distribution.variance).sum(dim)
        between = (self._weights() * (self.component_distribution.mean - self.mean.unsqueeze(dim)).pow(2)).sum(dim)
        return inside + between

    def cdf(self, x: Any) -> Any:
        return (self.component_distribution.cdf(x.unsqueeze(-1 - len(self.event_shape))) * self.mixture_distribution.probs).sum(-1)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        inside = self.component_distribution.log_prob(value.unsqueeze(-1 - len(self.event_shape)))
        return flambeau.logsumexp(inside + flambeau.log_softmax(self.mixture_distribution.logits, dim=-1), dim=-1)

    def sample(self, sample_shape: Any = ()) -> Any:
        with flambeau.no_grad():
            sample_shape = flambeau.Size(sample_shape)
            chosen = self.mixture_distribution.sample(sample_shape)
            drawn = self.component_distribution.sample(sample_shape)
            dim = len(sample_shape) + len(self.batch_shape)
            chosen = chosen.reshape(chosen.shape + (1,) * (len(self.event_shape) + 1))
            chosen = chosen.expand(chosen.shape[: dim + 1] + self.event_shape)
            return flambeau.gather(drawn, dim, chosen).squeeze(dim)

    def __repr__(self) -> str:
        return f"MixtureSameFamily(\n  {self.mixture_distribution},\n  {self.component_distribution})"
