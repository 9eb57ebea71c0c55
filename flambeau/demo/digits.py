"""The digits: a fixed split, and random distortion of the training half."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

import flambeau as torch
from flambeau.utils.data import Dataset

MEAN, DEVIATION = 0.1307, 0.3081  # of MNIST's pixels, from 0 to 1


def load_digits(train: bool) -> tuple[np.ndarray, np.ndarray]:
    """Images (n x 28 x 28, uint8) and labels (n): 4,000 for training or the 1,000 held out, 100 of each class."""
    with np.load(pathlib.Path(__file__).parent / "data" / "digits.npz") as file:
        images, labels = file["images"], file["labels"].astype(np.int64)
    held_out = np.zeros(len(labels), dtype=bool)
    for digit in range(10):
        held_out[np.flatnonzero(labels == digit)[4::5]] = True
    return images[held_out != train], labels[held_out != train]


def to_input(images: np.ndarray) -> Any:
    """n images of grey values from 0 to 255, as the n x 1 x 28 x 28 float32 tensor that the network takes."""
    values = (np.asarray(images, dtype=np.float32) / 255 - MEAN) / DEVIATION
    return torch.from_numpy(np.ascontiguousarray(values[:, None]))


def distort(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Each image turned (up to 12 degrees), scaled, sheared and moved (up to 2 pixels) at random.

    For every pixel of the result the place it comes from is computed, and read by bilinear interpolation.
    """
    count, height, width = images.shape
    angle = random.uniform(-0.2, 0.2, count)
    shear = random.uniform(-0.15, 0.15, count)
    scale = 1 / random.uniform(0.9, 1.1, (2, count))
    cosine, sine = np.cos(angle), np.sin(angle)
    matrix = np.array([[cosine * scale[0], shear - sine * scale[0]], [sine * scale[1], cosine * scale[1]]])
    middle = np.array([[(height - 1) / 2], [(width - 1) / 2]])
    grid = np.indices((height, width)).reshape(2, -1) - middle
    move = random.uniform(-2, 2, (count, 2, 1)) + middle
    border = 2
    places = (np.moveaxis(matrix, -1, 0) @ grid + move).astype(np.float32) + border
    places = np.clip(places, 0, height + 2 * border - 1.01)
    corner = places.astype(np.int64)
    row_share, column_share = np.moveaxis(places - corner, 1, 0)
    padded = np.pad(images, ((0, 0), (border, border), (border, border))).astype(np.float32)
    stride = padded.shape[2]
    first = corner[:, 0] * stride + corner[:, 1]
    flat = padded.reshape(count, -1)
    upper, lower = (
        np.take_along_axis(flat, first + start, 1) * (1 - column_share)
        + np.take_along_axis(flat, first + start + 1, 1) * column_share
        for start in (0, stride)
    )
    return (upper * (1 - row_share) + lower * row_share).reshape(images.shape)


class Digits(Dataset):
    """Digits as (1 x 28 x 28 tensor, label). The training half is distorted anew each time a digit is read.

    Args:
        train: the 4,000 for training, or the 1,000 held out.
        augment: distort; by default the training half only.
    """

    def __init__(self, train: bool, augment: bool | None = None) -> None:
        self.images, self.labels = load_digits(train)
        self.augment = train if augment is None else augment
        self._random: Any = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[tuple[Any, int]]:
        """The samples of a whole batch, distorted in one go."""
        images = self.images[indices]
        if self.augment:
            if self._random is None:  # seeded from the default generator, and so by manual_seed
                self._random = np.random.default_rng(torch.randint(2**31, ()).item())
            images = distort(images, self._random)
        return list(zip(to_input(images), self.labels[indices].tolist()))
