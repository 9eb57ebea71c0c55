"""The pictures of the demo, drawn with matplotlib."""

from __future__ import annotations

import pathlib
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot

INK, QUIET, BLUE, ORANGE, GREEN, RED = "#22272e", "#8b949e", "#2f6fde", "#e8812e", "#2a9d5c", "#d1383d"
STYLE: Any = {
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.edgecolor": "#d0d7de",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#eaeef2",
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "font.size": 10,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "lines.linewidth": 2,
    "axes.axisbelow": True,
}


def _finish(figure: Any, path: pathlib.Path) -> None:
    figure.savefig(path, dpi=130, bbox_inches="tight")
    pyplot.close(figure)


def draw_curves(path: pathlib.Path, history: dict[str, list[float]]) -> None:
    """Loss, accuracy and learning rate over the epochs."""
    epochs = np.arange(1, len(history["loss"]) + 1)
    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(13, 3.8), constrained_layout=True)
    left.semilogy(epochs, history["loss"], color=BLUE, label="training (distorted digits)")
    left.semilogy(epochs, history["held_out_loss"], color=ORANGE, label="held out")
    left.set(title="Cross entropy", xlabel="epoch")
    left.legend()
    for values, color in ((history["accuracy"], BLUE), (history["held_out_accuracy"], ORANGE)):
        middle.plot(epochs, 100 * np.array(values), color=color)
    last = 100 * history["held_out_accuracy"][-1]
    middle.annotate(
        f"{last:.1f} %",
        (epochs[-1], last),
        xytext=(-4, -16),
        textcoords="offset points",
        ha="right",
        color=ORANGE,
        fontweight="bold",
    )
    middle.set(
        title="Accuracy, %", xlabel="epoch", ylim=(max(0, min(95, 100 * min(history["held_out_accuracy"]) - 2)), 100.5)
    )
    right.plot(epochs, history["learning_rate"], color=GREEN)
    right.fill_between(epochs, history["learning_rate"], color=GREEN, alpha=0.12)
    right.set(title="Learning rate (one cycle)", xlabel="epoch", ylim=(0, None))
    for axes in (left, middle, right):
        axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
        axes.set_xlim(epochs[0], max(epochs[-1], 2))
    _finish(figure, path)


def draw_confusion(path: pathlib.Path, labels: np.ndarray, predicted: np.ndarray) -> None:
    """How often each digit was taken for each other."""
    table = np.zeros((10, 10), dtype=int)
    np.add.at(table, (labels, predicted), 1)
    figure, axes = pyplot.subplots(figsize=(6.4, 6), constrained_layout=True)
    rows = table.sum(1, keepdims=True)
    right, wrong = np.eye(10, dtype=bool), ~np.eye(10, dtype=bool)
    shares = table / np.maximum(rows, 1)
    picture = np.ones((10, 10, 3))
    green, red = (np.array(matplotlib.colors.to_rgb(color)) for color in (GREEN, RED))
    picture[right] = 1 - (0.15 + 0.75 * np.clip((shares[right, None] - 0.8) / 0.2, 0, 1)) * (1 - green)
    depth = np.where(table > 0, 0.2 + 0.8 * np.clip(shares / 0.05, 0, 1), 0)
    picture[wrong] = 1 - depth[wrong, None] * (1 - red)
    axes.imshow(picture)
    for (row, column), count in np.ndenumerate(table):
        if count:
            strong = row == column or depth[row, column] > 0.55
            axes.text(
                column,
                row,
                count,
                ha="center",
                va="center",
                color="white" if strong else INK,
                fontweight="bold" if row == column else "normal",
            )
    axes.set_xticks(range(10))
    axes.set_yticks(range(10))
    axes.set_xticks(np.arange(-0.5, 10), minor=True)
    axes.set_yticks(np.arange(-0.5, 10), minor=True)
    axes.grid(False)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="both", length=0, labelcolor=INK)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="predicted", ylabel="written")
    axes.set_title(f"{(labels == predicted).mean():.1%} of {len(labels):,} held-out digits are right")
    _finish(figure, path)


def draw_predictions(path: pathlib.Path, images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray) -> None:
    """All mistakes (most certain first, at most 20), and beside them digits that were recognised."""
    predicted, certain = probabilities.argmax(1), probabilities.max(1)
    mistakes = np.flatnonzero(predicted != labels)
    mistakes = mistakes[np.argsort(-certain[mistakes])][:20]
    good = np.flatnonzero(predicted == labels)
    typical = np.concatenate([good[labels[good] == digit][7:9] for digit in range(10)])
    rows = 2 + (len(mistakes) + 9) // 10
    figure = pyplot.figure(figsize=(12, 1.45 * rows + 1.0))
    sheet = figure.add_gridspec(
        rows, 10, wspace=0.12, hspace=0.3, left=0.02, right=0.98, top=1 - 0.62 / (1.45 * rows + 1), bottom=0.01
    )
    for place, index in [*enumerate(typical.reshape(10, 2).T.ravel()), *enumerate(mistakes, 20)]:
        axes = figure.add_subplot(sheet[place // 10, place % 10])
        axes.imshow(images[index], cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        ok = predicted[index] == labels[index]
        color = GREEN if ok else RED
        axes.spines[:].set_visible(True)
        axes.spines[:].set_color(color)
        axes.spines[:].set_linewidth(1.2)
        note = (
            f"{predicted[index]}  {certain[index]:.1%}"
            if ok
            else f"{predicted[index]}  {certain[index]:.0%}, is {labels[index]}"
        )
        axes.set_title(note, color=color, fontsize=9.5, loc="center", pad=4)
    title = "Held-out digits: predicted label and confidence"
    figure.suptitle(title + ("; below, the mistakes" if len(mistakes) else ""), x=0.02, ha="left", fontweight="bold")
    _finish(figure, path)


def draw_all(folder: pathlib.Path, history: dict[str, list[float]], data: Any, probabilities: Any) -> list[str]:
    """Writes curves.png, confusion.png and predictions.png; returns their names."""
    values = probabilities.numpy()
    with pyplot.rc_context(STYLE):
        draw_curves(folder / "curves.png", history)
        draw_confusion(folder / "confusion.png", data.labels, values.argmax(1))
        draw_predictions(folder / "predictions.png", data.images, data.labels, values)
    return ["curves.png", "confusion.png", "predictions.png"]
