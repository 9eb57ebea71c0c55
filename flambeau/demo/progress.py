"""Progress on the terminal: a bar with rich where it is installed, plain lines otherwise."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import Any


class PlainProgress:
    """One line for each epoch."""

    def __init__(self, epochs: int, steps: int) -> None:
        self.epochs, self.steps = epochs, steps
        self.done = 0

    def __enter__(self) -> PlainProgress:
        return self

    def __exit__(self, *exception: object) -> None:
        sys.stdout.flush()

    def step(self, loss: float, accuracy: float, rate: float) -> None:
        """After a batch: running loss, accuracy (0 to 1) and images per second."""
        self.done += 1
        self.last = f"loss {loss:.4f}  train {accuracy:6.2%}  {rate:7,.0f} images/s"

    def epoch(self, number: int, accuracy: float) -> None:
        """After an epoch: its number, from 1, and the accuracy on the digits held out."""
        print(f"epoch {number:2d}/{self.epochs}  {self.last}  held out {accuracy:6.2%}", flush=True)


class RichProgress(PlainProgress):
    """A bar over all batches with the figures beside it, as many as the terminal's width has room for."""

    def __init__(self, epochs: int, steps: int, console: Any = None) -> None:
        super().__init__(epochs, steps)
        self.console = console

    def __enter__(self) -> RichProgress:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        console = self.console or Console()
        wide, narrow = console.width >= 110, console.width < 76
        text = [("bold", "epoch {task.fields[epoch]}/{task.fields[epochs]}"), ("cyan", "loss {task.fields[loss]:.3f}")]
        text += [] if narrow else [("green", "train {task.fields[accuracy]:.1%}")]
        text += [("bold green", "held out {task.fields[held_out]}")]
        text += [] if narrow else [("yellow", "{task.fields[rate]:,.0f} img/s")]
        epoch, *figures = [TextColumn(f"[{style}]{words}") for style, words in text]
        counts, times = ([MofNCompleteColumn()], [TimeElapsedColumn()]) if wide else ([], [])
        bar = BarColumn(bar_width=None)
        self.bar = Progress(epoch, bar, *counts, *figures, *times, TimeRemainingColumn(), expand=True, console=console)
        self.bar.start()
        self.task = self.bar.add_task(
            "",
            total=self.epochs * self.steps,
            epoch=1,
            epochs=self.epochs,
            loss=0.0,
            accuracy=0.0,
            held_out="  -  ",
            rate=0.0,
        )
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.stop()

    def step(self, loss: float, accuracy: float, rate: float) -> None:
        self.done += 1
        epoch = (self.done - 1) // self.steps + 1
        self.bar.update(self.task, advance=1, loss=loss, accuracy=accuracy, rate=rate, epoch=epoch)

    def epoch(self, number: int, accuracy: float) -> None:
        self.bar.update(self.task, held_out=f"{accuracy:.1%}")


def progress(epochs: int, steps: int) -> AbstractContextManager[Any]:
    """The best that this terminal can show."""
    if sys.stdout.isatty():
        try:
            import rich.progress  # noqa: F401

            return RichProgress(epochs, steps)
        except ImportError:
            pass
    return PlainProgress(epochs, steps)
