"""Resident memory while a network trains: steps after the first few hundred add nothing."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
NETWORKS = {
    "mlp": "nn.Linear(64, 128), nn.GELU(), nn.LayerNorm(128), nn.Linear(128, 10)",
    "conv": "nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), "
    "nn.Dropout(0.1), nn.Flatten(), nn.Linear(128, 10)",
}
PROGRAM = """
import flambeau as torch
from flambeau import nn

def resident():  # kB
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])

model = nn.Sequential({layers})
optimizer = torch.optim.Adam(model.parameters(), 1e-3)
x, y = torch.randn(64, 64), torch.randint(0, 10, (64,))
for step in range({steps}):
    rows = 8 + 8 * (step % 7)  # blocks of many sizes
    loss = nn.functional.cross_entropy(model(x[:rows]), y[:rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step == 499:
        before = resident()
print(resident() - before)
"""


@pytest.mark.skipif(not pathlib.Path("/proc/self/status").exists(), reason="the system does not tell")
@pytest.mark.parametrize("layers", NETWORKS.values(), ids=NETWORKS)
def test_training_leaves_resident_memory_flat(layers):
    program = PROGRAM.format(layers=layers, steps=3500)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert int(done.stdout) < 300  # kB in 3,000 steps: 100 bytes a step would show
