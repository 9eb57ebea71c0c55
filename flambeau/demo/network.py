"""The network of the demo."""

from __future__ import annotations

from typing import Any

from flambeau import nn


def block(inputs: int, outputs: int) -> list[Any]:
    """3 x 3 convolution, batch norm, ReLU, and half the extents."""
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]


class DigitNet(nn.Module):
    """Three blocks of convolution and one linear layer: n x 1 x 28 x 28 images to n x 10 scores.

    Args:
        width: channels of the first block; the next have twice and four times as many.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.width = width
        self.features = nn.Sequential(*block(1, width), *block(width, 2 * width), *block(2 * width, 4 * width))
        self.classify = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(4 * width * 9, 10))

    def forward(self, images: Any) -> Any:
        """Scores of the ten classes."""
        return self.classify(self.features(images))
