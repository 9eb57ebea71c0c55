"""Checkpoint files cross between this package and PyTorch, both ways."""

import collections
import io

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")

DTYPES = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]


def content(package):
    base = package.arange(12, dtype=package.float32).reshape(3, 4)
    weight = package.nn.Parameter(base.clone())
    value = {name: package.tensor([0, 1, 2]).to(getattr(package, name)) for name in DTYPES}
    value.update(
        base=base,
        view=base[1:, ::2],
        weight=weight,
        ordered=collections.OrderedDict(w=weight),
        empty=base[:0],
        scalar=base[1, 1],
        number=1.5,
        text="x",
        shape=base.shape,
        dtype=package.float16,
        device=package.device("cpu"),
        blob=b"\x00\xff",
        grad=package.ones(2, requires_grad=True),
    )
    return value


def check(value, package):
    assert value["base"].stride() == (4, 1) and value["view"].stride() == (4, 2) and value["view"].storage_offset() == 4
    assert value["view"].tolist() == [[4.0, 6.0], [8.0, 10.0]]
    value["base"][1, 0] = -1.0
    assert value["view"][0, 0].item() == -1.0
    assert type(value["weight"]) is package.nn.Parameter and value["ordered"]["w"] is value["weight"]
    for name in DTYPES:
        assert value[name].dtype == getattr(package, name)
        assert value[name].to(package.float32).tolist() == ([0.0, 1.0, 1.0] if name == "bool" else [0.0, 1.0, 2.0])
    assert value["shape"] == package.Size([3, 4]) and value["dtype"] == package.float16 and value["blob"] == b"\x00\xff"
    assert value["empty"].shape == (0, 4) and value["scalar"].item() == 5.0 and value["grad"].requires_grad


@pytest.mark.filterwarnings("ignore:Casting complex")
@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("mmap", [True, False])
def test_both_ways(tmp_path, weights_only, mmap):
    flambeau.save(content(flambeau), tmp_path / "ours.pt")
    check(torch.load(tmp_path / "ours.pt", weights_only=weights_only, mmap=mmap), torch)
    torch.save(content(torch), tmp_path / "theirs.pt")
    check(flambeau.load(tmp_path / "theirs.pt", weights_only=weights_only, mmap=mmap), flambeau)


@pytest.mark.parametrize("weights_only", [True, False])
def test_legacy_files_load(weights_only):
    file = io.BytesIO()
    torch.save(content(torch), file, _use_new_zipfile_serialization=False)
    file.seek(0)
    back = flambeau.load(file, weights_only=weights_only)
    assert back["view"].tolist() == [[4.0, 6.0], [8.0, 10.0]]
    back["base"][1, 0] = -1.0
    assert back["view"][0, 0].item() == -1.0
    good = file.getvalue()
    for length in range(1, len(good), 97):
        with pytest.raises((RuntimeError, EOFError, Exception)) as caught:
            flambeau.load(io.BytesIO(good[:length]), weights_only=weights_only)
        assert not isinstance(caught.value, (MemoryError, SystemError))


def model(package):
    nn = package.nn
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))


def test_models_and_optimizers_cross(tmp_path):
    ours, theirs = model(flambeau), model(torch)
    x = np.random.default_rng(0).standard_normal((2, 1, 8, 8)).astype(np.float32)

    def train(package, net):
        optimizer = package.optim.AdamW(net.parameters(), lr=0.01)
        net(package.from_numpy(x)).sum().backward()
        optimizer.step()
        return optimizer

    optimizer = train(torch, theirs)
    torch.save({"model": theirs.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "theirs.pt")
    state = flambeau.load(tmp_path / "theirs.pt")
    ours.load_state_dict(state["model"])
    own = flambeau.optim.AdamW(ours.parameters())
    own.load_state_dict(state["optimizer"])
    ours.eval()
    theirs.eval()
    np.testing.assert_allclose(
        ours(flambeau.from_numpy(x)).detach().numpy(),
        theirs(torch.from_numpy(x)).detach().numpy(),
        rtol=1e-4,
        atol=1e-5,
    )
    flambeau.save({"model": ours.state_dict(), "optimizer": own.state_dict()}, tmp_path / "ours.pt")
    back = torch.load(tmp_path / "ours.pt")
    theirs.load_state_dict(back["model"])
    optimizer.load_state_dict(back["optimizer"])
    assert optimizer.state_dict()["state"][0]["step"].item() == 1
