"""Loaders and samplers draw the same random numbers as PyTorch's."""

import numpy as np
import pytest

import flambeau
from flambeau.utils import data

torch = pytest.importorskip("torch")
their = pytest.importorskip("torch.utils.data")


class Draws:
    """Sample: the state that a worker starts with. Works with either package."""

    package = None

    def __len__(self):
        return 4

    def __getitem__(self, index):
        import random

        return self.package.initial_seed(), random.random(), float(np.random.rand()), self.package.rand(1).item()


class Ours(Draws):
    package = flambeau


class Theirs(Draws):
    package = torch


CASES = [
    lambda d: list(d.RandomSampler(range(50))),
    lambda d: list(d.RandomSampler(range(50), num_samples=120)),
    lambda d: list(d.RandomSampler(range(50), replacement=True, num_samples=70)),
    lambda d: list(d.SubsetRandomSampler(range(30))),
    lambda d: list(d.WeightedRandomSampler([1.0, 2.0, 3.0, 4.0], 40)),
    lambda d: list(d.WeightedRandomSampler([1.0, 2.0, 3.0, 4.0], 3, False)),
    lambda d: [list(part.indices) for part in d.random_split(range(31), [0.5, 0.3, 0.2])],
    lambda d: [b.tolist() for _ in range(2) for b in d.DataLoader(range(20), 3, shuffle=True)],
    lambda d: list(d.distributed.DistributedSampler(range(33), 4, 1, seed=2)),
]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_draws(number):
    import flambeau.utils.data.distributed

    flambeau.manual_seed(11)
    torch.manual_seed(11)
    flambeau.manual_seed(11)
    ours = CASES[number](data)
    torch.manual_seed(11)
    assert ours == CASES[number](their)


@pytest.mark.parametrize("persistent", [False, True])
def test_worker_seeds(persistent):
    results = []
    for package, loader, dataset in ((flambeau, data, Ours()), (torch, their, Theirs())):
        package.manual_seed(4)
        made = loader.DataLoader(dataset, None, num_workers=2, persistent_workers=persistent)
        results.append([list(made), list(made)])
    np.testing.assert_allclose(results[0], results[1], rtol=1e-12)
