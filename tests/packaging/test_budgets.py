"""What may be imported, how long it may take, how large the package may be."""

import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[2]
FOREIGN = (
    "multiprocessing",
    "zipfile",
    "ctypes",
    "asyncio",
    "concurrent",
    "logging",
    "unittest",
    "matplotlib",
    "rich",
    "PIL",
    "scipy",
    "torch",
    "sqlite3",
    "http",
    "socket",
)
OWN = (
    "flambeau.utils",
    "flambeau.serialization",
    "flambeau.demo",
    "flambeau.optim.lr_scheduler",
    "flambeau.jit",
    "flambeau.func",
    "flambeau.distributions",
    "flambeau.testing",
    "flambeau.optim.swa_utils",
)


def python(code, env=None):
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True, env=env).stdout


def test_import_loads_the_core_nn_and_optim_only():
    names = json.loads(
        python(
            "import sys, json; before = set(sys.modules); import flambeau, flambeau.nn, flambeau.optim; "
            "print(json.dumps(sorted(set(sys.modules) - before)))"
        )
    )
    assert "flambeau.optim.adam" in names and "flambeau.nn" in names
    extra = [name for name in names if any(name == other or name.startswith(other + ".") for other in (*FOREIGN, *OWN))]
    assert not extra


def test_import_takes_under_a_tenth_of_a_second_more_than_the_interpreter(tmp_path):
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPYCACHEPREFIX"] = str(tmp_path)  # compiled once, as an installed package is

    def seconds(code):  # of the processor: waiting for other programs is not the import's
        start = os.times()
        python(code, env)
        end = os.times()
        return end.children_user + end.children_system - start.children_user - start.children_system

    python("import flambeau", env)  # compiles what is not compiled yet
    for _ in range(3):  # a budget, not a benchmark: one calm moment is enough
        difference = statistics.median(seconds("import flambeau") - seconds("pass") for _ in range(5))
        if difference < 0.1:
            return
    raise AssertionError(f"import flambeau takes {difference:.3f} s")


def test_a_checkout_that_is_not_built_says_so(tmp_path):
    (tmp_path / "flambeau").mkdir()
    (tmp_path / "flambeau" / "__init__.py").write_text((ROOT / "flambeau" / "__init__.py").read_text())
    command = [sys.executable, "-S", "-c", "import flambeau"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": ""})
    assert done.returncode == 1 and "make build" in done.stderr and "circular" not in done.stderr


def test_version_is_written_once():
    import flambeau

    assert (
        re.search(r'__version__ = "([^"]+)"', (ROOT / "flambeau" / "_version.py").read_text())[1]
        == flambeau.__version__
    )
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text()


def test_wheel_is_small_and_complete(tmp_path):
    pytest.importorskip("scikit_build_core")
    if not (ROOT / "build" / "Release" / "build.ninja").exists():
        pytest.skip("nothing was built here")  # the wheel reuses what `make build` compiled
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-build-isolation",
            "--no-deps",
            "-w",
            str(tmp_path),
            str(ROOT),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "SKBUILD_BUILD_DIR": "build/Release"},  # pip 23.0, Debian's, knows no -C
    )
    (wheel,) = tmp_path.glob("flambeau-*.whl")
    assert wheel.stat().st_size < 20e6
    names = zipfile.ZipFile(wheel).namelist()
    assert sum(re.fullmatch(r"flambeau/_C\..*\.so", name) is not None for name in names) == 1
    for name in (
        "flambeau/__init__.py",
        "flambeau/demo/data/digits.npz",
        "flambeau/demo/data/LICENSE",
        "flambeau/__main__.py",
        "flambeau/py.typed",
        "flambeau/_C.pyi",
        "flambeau/__init__.pyi",
    ):
        assert name in names
    assert not [name for name in names if name.startswith(("core/", "rows/", "generate/", "tests/"))]
