"""Classifies image files with a model of the demo."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

import flambeau as torch
from flambeau.demo.digits import to_input
from flambeau.demo.network import DigitNet


class Unusable(Exception):
    """A file that cannot be used; the text says which and why."""


def load_model(path: str) -> Any:
    """The network of a checkpoint of the demo.

    Raises:
        Unusable: no such file, or not such a checkpoint.
    """
    from flambeau.demo.train import FORMAT

    try:
        state = torch.load(path)
    except FileNotFoundError:
        raise Unusable(f"there is no model {path}\nhint: `flambeau demo` makes one: runs/demo/model.pt") from None
    except IsADirectoryError:
        raise Unusable(f"{path} is a folder; the model is a file in it: {pathlib.Path(path) / 'model.pt'}") from None
    except Exception as error:
        lines = str(error).splitlines() or [type(error).__name__]
        reason = next((line.partition(": ")[2] for line in lines if line.startswith("load: ")), lines[0])
        raise Unusable(f"{path} is not a checkpoint that can be read: {reason}") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise Unusable(f"{path} is a checkpoint, but not of the digit classifier that `flambeau demo` trains")
    try:
        model = DigitNet(state["width"])
        model.load_state_dict(state["model"])
    except Exception as error:
        raise Unusable(f"the parameters in {path} do not fit the network: {str(error).splitlines()[0]}") from None
    return model.eval()


def read_image(path: str) -> np.ndarray:
    """An image file of any size and colour as MNIST has its digits: 28 x 28, bright ink on black, the ink within
    20 x 20 pixels and its centre of mass in the middle. A digit already in that form stays as it is.

    Raises:
        Unusable: no such file, no image, or an image of one colour.
    """
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        raise Unusable("reading images needs Pillow: pip install pillow") from None
    try:
        with Image.open(path) as file:
            picture: Any = ImageOps.exif_transpose(file)
            if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
                picture = picture.convert("RGBA")
                picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
            picture = picture.convert("L")
    except FileNotFoundError:
        raise Unusable(f"there is no image {path}") from None
    except IsADirectoryError:
        raise Unusable(f"{path} is a folder, not an image") from None
    except UnidentifiedImageError:
        raise Unusable(f"{path} is not an image that can be read (PNG, JPEG, ... are)") from None
    except Exception as error:
        raise Unusable(f"{path} cannot be read: {error}") from None
    values = np.asarray(picture, dtype=np.float32)
    border = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
    if np.median(border) > 127:  # dark ink on bright paper
        values = 255 - values
    paper = float(np.median(np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])))
    values = np.clip(values - paper, 0, None)
    if values.max() < 8:
        raise Unusable(f"{path} shows nothing: all of it has one colour")
    values *= 255 / values.max()
    if values.shape == (28, 28):
        return values
    return _centred(values, Image)


def _centred(values: np.ndarray, image_module: Any) -> np.ndarray:
    ink = values > 0.2 * 255
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    part = values[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = part.shape
    scale = 20 / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = image_module.fromarray(part).resize(
        size, image_module.Resampling.LANCZOS if scale < 1 else image_module.Resampling.BICUBIC
    )
    digit = np.clip(np.asarray(small, dtype=np.float32), 0, 255)
    digit *= 255 / max(digit.max(), 1)
    total = digit.sum()
    top = round(13.5 - (digit.sum(1) * np.arange(digit.shape[0])).sum() / total)
    left = round(13.5 - (digit.sum(0) * np.arange(digit.shape[1])).sum() / total)
    top, left = (min(max(start, 0), 28 - extent) for start, extent in zip((top, left), digit.shape))
    result = np.zeros((28, 28), dtype=np.float32)
    result[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
    return result


def predict(model: Any, images: list[np.ndarray]) -> np.ndarray:
    """Probabilities of the ten digits for each image."""
    with torch.no_grad():
        return model(to_input(np.stack(images))).softmax(1).numpy()


def run_predict(model_path: str, image_paths: list[str]) -> int:
    """Prints the digit in each image; images that cannot be used are named at the end with status 1."""
    import sys

    try:
        model = load_model(model_path)
    except Unusable as problem:
        print(f"flambeau predict: {problem}", file=sys.stderr)
        return 2
    status = 0
    for path in image_paths:
        try:
            chances = predict(model, [read_image(path)])[0]
        except Unusable as problem:
            print(f"flambeau predict: {problem}", file=sys.stderr)
            status = 1
            continue
        best = np.argsort(-chances)
        others = ", ".join(f"{digit} {chances[digit]:.1%}" for digit in best[1:3])
        print(f"{path}: {best[0]} ({chances[best[0]]:.1%}; then {others})")
    return status
