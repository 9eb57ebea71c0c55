"""Draws, densities and entropies against PyTorch, from the same seed."""

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")

MADE = {
    "Normal": lambda T, D: D.Normal(T.tensor([0.0, 1.0]), T.tensor([1.0, 2.0])),
    "Categorical": lambda T, D: D.Categorical(T.tensor([[0.1, 0.2, 0.7], [1.0, 1.0, 1.0]])),
    "OneHotCategorical": lambda T, D: D.OneHotCategorical(T.tensor([0.2, 0.8])),
    "Bernoulli": lambda T, D: D.Bernoulli(T.tensor([0.3, 0.9])),
    "Geometric": lambda T, D: D.Geometric(T.tensor([0.3, 0.9])),
    "Binomial": lambda T, D: D.Binomial(30, T.tensor([0.1, 0.6])),
    "Uniform": lambda T, D: D.Uniform(T.tensor([0.0, 1.0]), T.tensor([2.0, 5.0])),
    "Exponential": lambda T, D: D.Exponential(T.tensor([1.0, 2.0])),
    "Laplace": lambda T, D: D.Laplace(T.tensor([0.0, 1.0]), T.tensor([1.0, 2.0])),
    "Poisson": lambda T, D: D.Poisson(T.tensor([1.0, 20.0])),
    "Gamma": lambda T, D: D.Gamma(T.tensor([0.5, 3.0]), T.tensor([1.0, 2.0])),
    "Dirichlet": lambda T, D: D.Dirichlet(T.tensor([[0.5, 3.0, 1.0]])),
    "Beta": lambda T, D: D.Beta(T.tensor([0.5, 3.0]), T.tensor([1.0, 2.0])),
    "StudentT": lambda T, D: D.StudentT(T.tensor([3.0, 5.0])),
    "Multinomial": lambda T, D: D.Multinomial(5, T.tensor([0.2, 0.8])),
    "LogNormal": lambda T, D: D.LogNormal(T.tensor([0.0, 1.0]), T.tensor([1.0, 0.5])),
    "Gumbel": lambda T, D: D.Gumbel(T.tensor([0.0, 1.0]), T.tensor([1.0, 2.0])),
    "Cauchy": lambda T, D: D.Cauchy(T.tensor([0.0, 1.0]), T.tensor([1.0, 2.0])),
    "Independent": lambda T, D: D.Independent(D.Normal(T.zeros(2, 3), T.ones(2, 3)), 1),
    "Transformed": lambda T, D: D.TransformedDistribution(D.Normal(T.zeros(2), T.ones(2)), [D.TanhTransform(), D.AffineTransform(1.0, 2.0)]),
    "Mixture": lambda T, D: D.MixtureSameFamily(D.Categorical(T.ones(3)), D.Normal(T.tensor([0.0, 1, 2]), T.tensor([1.0, 1, 0.5]))),
}


@pytest.mark.parametrize("name", MADE)
def test_same_draws_and_densities(name):
    found = []
    for T in (torch, flambeau):
        T.manual_seed(3)
        d = MADE[name](T, T.distributions)
        x = d.sample((4,))
        row = [x, d.log_prob(x)]
        try:
            row.append(d.entropy())
        except NotImplementedError:
            row.append(T.zeros(()))
        found.append([value.numpy() for value in row])
    for wanted, got in zip(*found):
        assert wanted.shape == got.shape
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
