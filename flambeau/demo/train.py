"""Training of the demo: the loop, the checkpoint, the figures and the pictures."""

from __future__ import annotations

import json
import pathlib
import sys
import time
from typing import Any

import flambeau as torch
from flambeau import nn
from flambeau.demo.digits import Digits
from flambeau.demo.network import DigitNet
from flambeau.demo.progress import progress
from flambeau.utils.data import DataLoader

EPOCHS, BATCH, LEARNING_RATE, WEIGHT_DECAY, WIDTH = 20, 64, 5e-3, 0.05, 16
FORMAT = "flambeau digit classifier 1"  # marks the checkpoints that `flambeau predict` takes


def evaluate(model: Any, data: Digits) -> tuple[Any, float, float]:
    """Probabilities (n x 10) for a dataset, the mean loss and the accuracy."""
    model.eval()
    scores, labels, loss = [], [], 0.0
    with torch.no_grad():
        for images, targets in DataLoader(data, 250):
            output = model(images)
            loss += nn.functional.cross_entropy(output, targets, reduction="sum").item()
            scores.append(output)
            labels.append(targets)
    model.train()
    probabilities = torch.cat(scores).softmax(1)
    correct = (probabilities.argmax(1) == torch.cat(labels)).sum().item()
    return probabilities, loss / len(data), correct / len(data)


def save_checkpoint(path: pathlib.Path, model: Any, optimizer: Any, epoch: int, accuracy: float) -> None:
    """Replaces the checkpoint in one move; a kill leaves the one before."""
    torch.save(
        {
            "format": FORMAT,
            "width": model.width,
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "epoch": epoch,
            "accuracy": accuracy,
        },
        path,
    )


def train(folder: pathlib.Path, epochs: int = EPOCHS, seed: int = 0, workers: int = 0) -> dict[str, Any]:
    """Trains, and writes model.pt after every epoch; returns the history and the last evaluation.

    An interruption (Ctrl-C) ends training early: the result then says so, and model.pt holds the last whole epoch.
    """
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    training, held_out = Digits(train=True), Digits(train=False)
    loader = DataLoader(
        training, BATCH, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0
    )
    model = DigitNet(WIDTH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, epochs=epochs, steps_per_epoch=len(loader), pct_start=0.25
    )
    history: dict[str, list[float]] = {
        name: [] for name in ("loss", "accuracy", "held_out_loss", "held_out_accuracy", "learning_rate")
    }
    result: dict[str, Any] = {"history": history, "interrupted": False, "probabilities": None}
    start, trained = time.perf_counter(), 0.0
    try:
        with progress(epochs, len(loader)) as bar:
            for epoch in range(1, epochs + 1):
                begin = time.perf_counter()
                total_loss = total_correct = seen = 0.0
                for images, labels in loader:
                    scores = model(images)
                    loss = nn.functional.cross_entropy(scores, labels)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    schedule.step()
                    total_loss += loss.item() * len(labels)
                    total_correct += (scores.detach().argmax(1) == labels).sum().item()
                    seen += len(labels)
                    bar.step(total_loss / seen, total_correct / seen, seen / (time.perf_counter() - begin))
                trained += time.perf_counter() - begin
                probabilities, held_out_loss, accuracy = evaluate(model, held_out)
                save_checkpoint(folder / "model.pt", model, optimizer, epoch, accuracy)
                result.update(probabilities=probabilities, accuracy=accuracy, epochs=epoch)
                figures = (total_loss / seen, total_correct / seen, held_out_loss, accuracy, schedule.get_last_lr()[0])
                for values, figure in zip(history.values(), figures):
                    values.append(figure)
                bar.epoch(epoch, accuracy)  # the last, so that an interruption after its line finds the epoch counted
    except KeyboardInterrupt:
        result["interrupted"] = True
    if history["loss"]:
        result["images_per_second"] = len(history["loss"]) * len(loader) * BATCH / max(trained, 1e-9)
    result["seconds"] = time.perf_counter() - start
    result["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    return result


def count(number: int, thing: str) -> str:
    """1 epoch, 20 epochs."""
    return f"{number} {thing}{'s' * (number != 1)}"


def run_demo(folder: pathlib.Path, epochs: int = EPOCHS, seed: int = 0, workers: int = 0) -> int:
    """The whole demo with its output; returns the exit status."""
    try:
        print(
            "Training a small convolutional network on 4,000 handwritten digits; "
            f"{count(epochs, 'epoch')}, {count(torch.get_num_threads(), 'thread')}.",
            flush=True,
        )
        result = train(folder, epochs, seed, workers)
    except KeyboardInterrupt:  # before the loop began
        result = {"interrupted": True, "history": {"loss": []}}
    if result["interrupted"]:
        done = result.get("epochs", 0)
        if done:
            print(
                f"\nInterrupted after {done} of {count(epochs, 'epoch')}. "
                f"The checkpoint of epoch {done} is whole: {folder / 'model.pt'}"
            )
        else:
            print("\nInterrupted before the first epoch ended; there is no new checkpoint.")
        return 130
    held_out = Digits(train=False)
    predicted = result["probabilities"].argmax(1)
    wrong = int((predicted != torch.from_numpy(held_out.labels)).sum().item())
    metrics = {
        "accuracy": result["accuracy"],
        "errors": wrong,
        "held_out": len(held_out),
        "epochs": result["epochs"],
        "seed": seed,
        "parameters": result["parameters"],
        "seconds": round(result["seconds"], 2),
        "images_per_second": round(result["images_per_second"]),
        "threads": torch.get_num_threads(),
        "history": result["history"],
    }
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    print(
        f"{result['accuracy']:.1%} of the 1,000 digits held out are right ({wrong} wrong), "
        f"after {result['seconds']:.1f} s, {result['images_per_second']:,.0f} images/s while training."
    )
    written = ["model.pt", "metrics.json"]
    try:
        from flambeau.demo import pictures
    except ImportError as error:
        print(f"No pictures: {error.name} is not installed (pip install {error.name}).")
    else:
        written += pictures.draw_all(folder, result["history"], held_out, result["probabilities"])
    print(f"In {folder}: {', '.join(written)}")
    program = sys.argv[0] if sys.argv[0].startswith(".") else "flambeau"  # .venv/bin/flambeau is not on the PATH
    print(f"Now try it on an image of yours: {program} predict {folder / 'model.pt'} digit.png")
    return 0
