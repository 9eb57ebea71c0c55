"""Trains a digit classifier from start to finish. Change `flambeau as torch` to `torch`, and it runs on PyTorch."""

import pathlib
import time

import numpy as np

import flambeau as torch

EPOCHS, BATCH, RATE = 20, 64, 5e-3
DATA = pathlib.Path(__file__).parents[1] / "flambeau" / "demo" / "data" / "digits.npz"
nn, data = torch.nn, torch.utils.data


def distort(images):
    """Turns, stretches and moves each 28 x 28 image at random: finds where each pixel comes from, and interpolates."""
    n = len(images)
    angle, shear = np.random.uniform(-0.2, 0.2, n), np.random.uniform(-0.15, 0.15, n)
    tall, wide = 1 / np.random.uniform(0.9, 1.1, (2, n))
    matrix = np.array(
        [[np.cos(angle) * tall, shear - np.sin(angle) * tall], [np.sin(angle) * wide, np.cos(angle) * wide]]
    )
    grid = np.indices((28, 28)).reshape(2, -1) - 13.5
    places = np.moveaxis(matrix, -1, 0) @ grid + np.random.uniform(-2, 2, (n, 2, 1)) + 15.5
    places = np.clip(places, 0, 30.99).astype(np.float32)
    corner = places.astype(int)
    down, right = np.moveaxis(places - corner, 1, 0)
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2))).reshape(n, -1).astype(np.float32)
    pixel = lambda y, x: np.take_along_axis(padded, (corner[:, 0] + y) * 32 + corner[:, 1] + x, 1)
    upper = pixel(0, 0) * (1 - right) + pixel(0, 1) * right
    lower = pixel(1, 0) * (1 - right) + pixel(1, 1) * right
    return (upper * (1 - down) + lower * down).reshape(n, 28, 28)


class Digits(data.Dataset):
    """4,000 digits for training, distorted anew each time, or the 1,000 held out."""

    def __init__(self, train):
        with np.load(DATA) as file:
            images, labels = file["images"], file["labels"].astype(np.int64)
        held_out = np.concatenate([np.flatnonzero(labels == digit)[4::5] for digit in range(10)])
        chosen = np.setdiff1d(np.arange(len(labels)), held_out) if train else held_out
        self.images, self.labels, self.train = images[chosen], labels[chosen], train

    def __len__(self):
        return len(self.labels)

    def __getitems__(self, indices):  # a whole batch at once
        images = distort(self.images[indices]) if self.train else self.images[indices]
        images = ((images / 255.0 - 0.1307) / 0.3081).astype(np.float32)
        return list(zip(torch.from_numpy(images[:, None]), self.labels[indices].tolist()))


def block(inputs, outputs):
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]


torch.manual_seed(0)
np.random.seed(0)
training = data.DataLoader(Digits(train=True), BATCH, shuffle=True, drop_last=True)
held_out = data.DataLoader(Digits(train=False), 250)
model = nn.Sequential(
    *block(1, 16), *block(16, 32), *block(32, 64), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64 * 9, 10)
)
optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.05)
schedule = torch.optim.lr_scheduler.OneCycleLR(
    optimizer, RATE, epochs=EPOCHS, steps_per_epoch=len(training), pct_start=0.25
)

for epoch in range(1, EPOCHS + 1):
    start, total = time.perf_counter(), 0.0
    model.train()
    for images, labels in training:
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item()
    rate = len(training) * BATCH / (time.perf_counter() - start)
    model.eval()
    with torch.no_grad():
        right = sum((model(images).argmax(1) == labels).sum().item() for images, labels in held_out)
    print(
        f"epoch {epoch:2d}  loss {total / len(training):.4f}  held out {right / 1000:.1%}  {rate:,.0f} images/s",
        flush=True,
    )

torch.save(model.state_dict(), "mnist.pt")
print("the weights are in mnist.pt")
