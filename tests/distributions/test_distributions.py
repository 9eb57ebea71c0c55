"""Densities against SciPy, draws against means and cdfs, gradients of draws, and what is refused."""

import math

import numpy as np
import pytest
import scipy.stats as st

import flambeau as torch
from flambeau import distributions as D

t = torch.tensor
CASES = {
    "Normal": (D.Normal(t([0.0, 1.0]), t([1.0, 2.0])), st.norm([0, 1], [1, 2])),
    "Uniform": (D.Uniform(t([0.0, -1.0]), t([1.0, 3.0])), st.uniform([0, -1], [1, 4])),
    "Exponential": (D.Exponential(t([1.0, 4.0])), st.expon(0, [1, 0.25])),
    "Laplace": (D.Laplace(t([0.0, 1.0]), t([1.0, 2.0])), st.laplace([0, 1], [1, 2])),
    "Gamma": (D.Gamma(t([0.5, 3.0]), t([1.0, 2.0])), st.gamma([0.5, 3], 0, [1, 0.5])),
    "Chi2": (D.Chi2(t([3.0, 5.0])), st.chi2([3, 5])),
    "Beta": (D.Beta(t([0.5, 3.0]), t([1.5, 2.0])), st.beta([0.5, 3], [1.5, 2])),
    "StudentT": (D.StudentT(t([3.5, 5.0]), 1.0, 2.0), st.t([3.5, 5], 1, 2)),
    "LogNormal": (D.LogNormal(t([0.0, 1.0]), t([1.0, 0.5])), st.lognorm([1, 0.5], 0, np.exp([0, 1]))),
    "HalfNormal": (D.HalfNormal(t([1.0, 2.0])), st.halfnorm(0, [1, 2])),
    "Gumbel": (D.Gumbel(t([0.0, 1.0]), t([1.0, 2.0])), st.gumbel_r([0, 1], [1, 2])),
    "Cauchy": (D.Cauchy(t([0.0, 1.0]), t([1.0, 2.0])), st.cauchy([0, 1], [1, 2])),
    "Bernoulli": (D.Bernoulli(t([0.3, 0.9])), st.bernoulli([0.3, 0.9])),
    "Geometric": (D.Geometric(t([0.3, 0.9])), st.geom([0.3, 0.9], -1)),
    "Binomial": (D.Binomial(40, t([0.2, 0.9])), st.binom(40, [0.2, 0.9])),
    "Poisson": (D.Poisson(t([0.7, 15.0])), st.poisson([0.7, 15])),
}
DISCRETE = {"Bernoulli", "Geometric", "Binomial", "Poisson"}


@pytest.mark.parametrize("name", CASES)
def test_against_scipy(name):
    ours, theirs = CASES[name]
    torch.manual_seed(0)
    drawn = ours.sample((300,))
    assert drawn.shape == (300, 2)
    wanted = theirs.logpmf(drawn.numpy()) if name in DISCRETE else theirs.logpdf(drawn.numpy())
    np.testing.assert_allclose(ours.log_prob(drawn).numpy(), wanted, rtol=2e-3, atol=2e-4)
    if name != "Cauchy":
        np.testing.assert_allclose(ours.mean.numpy(), theirs.mean(), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(ours.variance.numpy(), theirs.var(), rtol=1e-4)
    if name != "Poisson":
        np.testing.assert_allclose(ours.entropy().numpy(), theirs.entropy(), rtol=1e-3, atol=1e-4)
    if name not in DISCRETE:  # draws follow the law: no Kolmogorov distance above what 1 of 10^5 such samples has
        below = np.sort(theirs.cdf(drawn.numpy()), 0)
        assert np.abs(below - (np.arange(300)[:, None] + 0.5) / 300).max() < 0.15
    else:
        deviation = np.abs(drawn.mean(0).numpy() - theirs.mean()) / (theirs.std() / 300**0.5)
        assert deviation.max() < 5


@pytest.mark.parametrize("name", ["Normal", "Uniform", "Exponential", "Laplace", "HalfNormal", "Cauchy", "LogNormal", "Gumbel"])
def test_quantiles_undo_the_cdf(name):
    ours, theirs = CASES[name]
    x = ours.sample()
    np.testing.assert_allclose(ours.cdf(x).numpy(), theirs.cdf(x.numpy()), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours.icdf(ours.cdf(x)).numpy(), x.numpy(), rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("name", ["Normal", "Laplace", "Exponential", "Gamma", "Beta", "LogNormal", "Uniform", "Gumbel"])
def test_gradients_of_draws_move_the_mean(name):
    kind = getattr(D, name)
    parameters = [t(1.5, requires_grad=True) for _ in kind.arg_constraints]
    if name == "LogNormal":  # of a moderate variance, or the mean of few draws says little
        parameters[1] = t(0.4, requires_grad=True)
    if name == "Uniform":
        parameters[1] = t(2.5, requires_grad=True)
    torch.manual_seed(0)
    kind(*parameters).rsample((2000,)).mean().backward()
    got = [p.grad.item() for p in parameters]
    for p in parameters:
        p.grad = None
    kind(*parameters).mean.backward()
    wanted = [0.0 if p.grad is None else p.grad.item() for p in parameters]
    np.testing.assert_allclose(got, wanted, atol=0.12, rtol=0.2)


def test_categorical():
    d = D.Categorical(t([[1.0, 3.0], [1.0, 1.0]]))
    assert d.probs.tolist() == [[0.25, 0.75], [0.5, 0.5]] and d.sample((5,)).shape == (5, 2)
    np.testing.assert_allclose(d.log_prob(t([1, 0])).numpy(), np.log([0.75, 0.5]), rtol=1e-6)
    np.testing.assert_allclose(d.entropy()[1].item(), np.log(2), rtol=1e-6)
    same = D.Categorical(logits=d.logits)
    torch.testing.assert_close(same.probs, d.probs)
    assert D.OneHotCategorical(t([0.0, 1.0])).sample().tolist() == [0, 1]
    assert d.enumerate_support().tolist() == [[0, 0], [1, 1]]


def test_multinomial_counts():
    d = D.Multinomial(4, t([0.5, 0.25, 0.25]))
    assert d.sample((7,)).sum(-1).tolist() == [4.0] * 7
    theirs = st.multinomial(4, [0.5, 0.25, 0.25])
    np.testing.assert_allclose(d.log_prob(t([2.0, 1.0, 1.0])).item(), theirs.logpmf([2, 1, 1]), rtol=1e-5)
    np.testing.assert_allclose(d.entropy().item(), theirs.entropy(), rtol=1e-5)


def test_dirichlet_and_mixture_and_independence():
    d = D.Dirichlet(t([1.0, 2.0, 3.0]))
    x = d.sample()
    shares = x.double().numpy() / x.double().numpy().sum()
    np.testing.assert_allclose(d.log_prob(x).item(), st.dirichlet([1, 2, 3]).logpdf(shares), rtol=1e-4)
    np.testing.assert_allclose(d.entropy().item(), st.dirichlet([1, 2, 3]).entropy(), rtol=1e-4)
    mixture = D.MixtureSameFamily(D.Categorical(t([1.0, 3.0])), D.Normal(t([0.0, 4.0]), t([1.0, 2.0])))
    wanted = np.log(0.25 * st.norm(0, 1).pdf(1) + 0.75 * st.norm(4, 2).pdf(1))
    np.testing.assert_allclose(mixture.log_prob(t(1.0)).item(), wanted, rtol=1e-5)
    assert mixture.mean.item() == 3 and mixture.sample((5,)).shape == (5,)
    joint = D.Independent(D.Normal(torch.zeros(4, 3), torch.ones(4, 3)), 1)
    assert joint.log_prob(torch.zeros(4, 3)).shape == (4,) and joint.event_shape == (3,) and joint.expand((2, 4)).sample().shape == (2, 4, 3)


@pytest.mark.parametrize(
    "transform", [D.ExpTransform(), D.SigmoidTransform(), D.TanhTransform(), D.AffineTransform(1.0, -2.0), D.SoftplusTransform(),
                  D.PowerTransform(3.0), D.ComposeTransform([D.ExpTransform(), D.AffineTransform(0.0, 2.0)]), D.ExpTransform().inv],
    ids=repr,
)  # fmt: skip
def test_transforms_know_their_inverse_and_stretch(transform):
    x = t([0.3, 0.8, 1.4], requires_grad=True)
    y = transform(x)
    torch.testing.assert_close(transform.inv(y), x, rtol=1e-4, atol=1e-5)
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(transform.log_abs_det_jacobian(x, y), slope.abs().log(), rtol=1e-4, atol=1e-5)


PAIRS = [
    (D.Normal(0.5, 1.5), D.Normal(0.0, 1.0)), (D.Laplace(0.5, 1.5), D.Laplace(0.0, 1.0)), (D.Gamma(2.0, 1.5), D.Gamma(1.0, 1.0)),
    (D.Beta(2.0, 1.5), D.Beta(1.0, 3.0)), (D.Exponential(2.0), D.Exponential(1.0)), (D.Uniform(0.0, 1.0), D.Uniform(-1.0, 2.0)),
    (D.Uniform(0.0, 1.0), D.Normal(0.0, 1.0)), (D.Normal(0.5, 1.0), D.Laplace(0.0, 1.0)), (D.LogNormal(0.5, 1.0), D.LogNormal(0.0, 1.0)),
    (D.Bernoulli(0.3), D.Bernoulli(0.6)), (D.Poisson(2.0), D.Poisson(3.0)), (D.Geometric(0.3), D.Geometric(0.5)),
    (D.Categorical(t([0.2, 0.8])), D.Categorical(t([0.5, 0.5]))), (D.Binomial(5, 0.3), D.Binomial(5, 0.6)),
    (D.Dirichlet(t([2.0, 1.0])), D.Dirichlet(t([1.0, 3.0]))),
]  # fmt: skip


@pytest.mark.parametrize(("p", "q"), PAIRS, ids=lambda d: type(d).__name__)
def test_divergence_is_the_mean_of_the_log_ratio(p, q):
    torch.manual_seed(0)
    x = p.sample((2000,))
    ratios = p.log_prob(x) - q.log_prob(x)
    error = 5 * ratios.std().item() / 2000**0.5 + 1e-4
    assert abs(D.kl_divergence(p, q).item() - ratios.mean().item()) < error


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"Expected parameter scale .* to satisfy the constraint GreaterThan\(lower_bound=0.0\)"):
        D.Normal(0.0, -1.0)
    with pytest.raises(ValueError, match="to be within the support"):
        D.Uniform(0.0, 1.0).log_prob(t(2.0))
    with pytest.raises(ValueError, match="must be a Tensor"):
        D.Normal(0.0, 1.0).log_prob(1.0)
    with pytest.raises(ValueError, match="not both"):
        D.Bernoulli()
    with pytest.raises(ValueError, match="not broadcastable"):
        D.Normal(torch.zeros(2), torch.ones(2)).log_prob(torch.zeros(3))
    with pytest.raises(NotImplementedError, match="No KL"):
        D.kl_divergence(D.Normal(0.0, 1.0), D.Poisson(1.0))
    assert D.Normal(0.0, -1.0, validate_args=False).scale == -1
    assert repr(D.Normal(0.0, 1.0)) == "Normal(loc: 0.0, scale: 1.0)"


def test_counts_drawn_by_rejection_follow_their_law():
    """The mean and the variance of both branches of the samplers, within five standard errors."""
    torch.manual_seed(0)
    n = 1500
    for drawn, law in [
        (torch.poisson(torch.full((n,), 3.0)), st.poisson(3)), (torch.poisson(torch.full((n,), 40.0)), st.poisson(40)),
        (torch.binomial(torch.full((n,), 9.0), torch.full((n,), 0.2)), st.binom(9, 0.2)),
        (torch.binomial(torch.full((n,), 90.0), torch.full((n,), 0.7)), st.binom(90, 0.7)),
        (torch._standard_gamma(torch.full((n,), 0.4)), st.gamma(0.4)), (torch._standard_gamma(torch.full((n,), 6.0)), st.gamma(6)),
    ]:  # fmt: skip
        mean, variance, kurtosis = law.mean(), law.var(), law.stats("k")
        assert abs(drawn.mean().item() - mean) < 5 * (variance / n) ** 0.5
        assert abs(drawn.var().item() - variance) < 5 * variance * ((kurtosis + 2) / n) ** 0.5
    with pytest.raises(RuntimeError, match="invalid Poisson rate"):
        torch.poisson(torch.tensor([-1.0]))


def test_draws_by_rejection_from_no_number_come_to_an_end():
    with pytest.raises(RuntimeError, match="invalid Poisson rate"):
        torch.poisson(torch.tensor([1.0, math.nan]))
    counts, chances = torch.tensor([math.nan, 3.0, 3.0]), torch.tensor([0.5, math.nan, 1.0])
    assert str(torch.binomial(counts, chances).tolist()) == "[nan, nan, 3.0]"
