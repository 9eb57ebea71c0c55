"""Datasets, samplers, collation."""

import collections

import numpy as np
import pytest

import flambeau as torch
from flambeau.utils import data

Point = collections.namedtuple("Point", "x y")


def test_tensor_dataset_and_splits():
    dataset = data.TensorDataset(torch.arange(10), torch.ones(10, 2))
    assert len(dataset) == 10 and dataset[3][0].item() == 3 and dataset[3][1].shape == (2,)
    parts = data.random_split(dataset, [7, 3], generator=torch.Generator().manual_seed(0))
    assert sorted(i for part in parts for i in part.indices) == list(range(10)) and [len(p) for p in parts] == [7, 3]
    assert [len(part) for part in data.random_split(dataset, [0.5, 0.25, 0.25])] == [6, 2, 2]
    with pytest.raises(ValueError, match="Sum of input lengths does not equal the length of the input dataset"):
        data.random_split(dataset, [3, 3])
    with pytest.raises(AssertionError, match="Size mismatch between tensors"):
        data.TensorDataset(torch.ones(2), torch.ones(3))


def test_concat_stack_chain_subset():
    ten, five = data.TensorDataset(torch.arange(10)), data.TensorDataset(torch.arange(100, 105))
    both = ten + five
    assert len(both) == 15 and both[10][0].item() == 100 and both[-1][0].item() == 104
    with pytest.raises(ValueError, match="absolute value of index"):
        both[-16]
    stacked = data.StackDataset(a=ten, b=[str(i) for i in range(10)])
    assert stacked[4]["b"] == "4" and stacked.__getitems__([1, 2])[1]["a"][0].item() == 2
    assert data.Subset(data.Subset(ten, [5, 6, 7]), [2])[0][0].item() == 7

    class Stream(data.IterableDataset):
        def __iter__(self):
            return iter([1, 2])

    assert list(Stream() + Stream()) == [1, 2, 1, 2]


def test_samplers_cover_and_reproduce():
    source = range(20)
    assert list(data.SequentialSampler(source)) == list(range(20))
    torch.manual_seed(1)
    first = list(data.RandomSampler(source))
    torch.manual_seed(1)
    assert list(data.RandomSampler(source)) == first and sorted(first) == list(range(20)) and first != list(range(20))
    assert len(list(data.RandomSampler(source, num_samples=50))) == 50
    drawn = list(data.RandomSampler(source, replacement=True, num_samples=70))
    assert len(drawn) == 70 and set(drawn) <= set(range(20)) and len(set(drawn)) < 70
    assert sorted(data.SubsetRandomSampler([3, 5, 9])) == [3, 5, 9]
    assert set(data.WeightedRandomSampler([0.0, 1.0, 2.0], 100)) == {1, 2}
    assert sorted(data.WeightedRandomSampler([1.0, 1.0, 2.0], 3, replacement=False)) == [0, 1, 2]
    assert list(data.BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]
    assert len(data.BatchSampler(range(5), 2, False)) == 3


def test_distributed_shares():
    shares = [list(data.DistributedSampler(range(10), 4, rank, shuffle=False)) for rank in range(4)]
    assert [len(share) for share in shares] == [3] * 4 and {i for share in shares for i in share} == set(range(10))
    one, two = (data.DistributedSampler(range(100), 2, rank) for rank in (0, 1))
    assert sorted([*one, *two]) == list(range(100))
    before = list(one)
    one.set_epoch(1)
    assert list(one) != before
    assert sum(len(data.DistributedSampler(range(10), 4, r, drop_last=True)) for r in range(4)) == 8
    with pytest.raises(ValueError, match="Invalid rank 4"):
        data.DistributedSampler(range(10), 4, 4)


@pytest.mark.parametrize(
    ("make", "error", "phrase"),
    [
        (
            lambda: data.RandomSampler([]),
            ValueError,
            "num_samples should be a positive integer value, but got num_samples=0",
        ),
        (lambda: data.RandomSampler([1], replacement=1), TypeError, "replacement should be a boolean value"),
        (lambda: data.BatchSampler([1], 0, False), ValueError, "batch_size should be a positive integer value"),
        (lambda: data.WeightedRandomSampler([[1.0]], 1), ValueError, "weights should be a 1d sequence"),
    ],
)
def test_sampler_errors(make, error, phrase):
    with pytest.raises(error, match=phrase):
        make()


def test_collation():
    batch = data.default_collate(
        [
            {"x": torch.ones(2), "y": 1, "z": (1.5, "a"), "p": Point(1, 2), "n": np.float32(2), "a": np.arange(2)}
            for _ in range(3)
        ]
    )
    assert batch["x"].shape == (3, 2) and batch["y"].tolist() == [1, 1, 1]
    assert batch["z"][0].dtype == torch.float64 and batch["z"][1] == ("a", "a", "a")
    assert isinstance(batch["p"], Point) and batch["p"].y.tolist() == [2, 2, 2]
    assert batch["n"].dtype == torch.float32 and batch["a"].shape == (3, 2)
    assert type(data.default_collate([[1, 2], [3, 4]])) is list
    assert data.default_convert({"a": np.ones(2), "b": "text"})["a"].shape == (2,)
    with pytest.raises(RuntimeError, match="each element in list of batch should be of equal size"):
        data.default_collate([[1, 2], [3]])
    with pytest.raises(TypeError, match="default_collate: batch must contain tensors, numpy arrays"):
        data.default_collate([object()])
    with pytest.raises(RuntimeError, match="equal size"):
        data.default_collate([torch.ones(2), torch.ones(3)])
