"""Advanced indexing where extents of one carry strides that mean nothing: the blocks must still be found."""

import itertools

import numpy as np

import flambeau as torch

ENTRIES = (slice(None), [0, 0], np.array([[0], [0]]))  # a plain number among them has rules of its own


def test_extents_of_one():
    array = np.ones((1, 1, 1, 1))
    for index in itertools.product(ENTRIES, repeat=4):
        wanted = array[index]
        ours = tuple(torch.from_numpy(i) if isinstance(i, np.ndarray) else i for i in index)
        assert tuple(torch.from_numpy(array)[ours].shape) == wanted.shape
