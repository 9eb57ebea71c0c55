"""What all tests share: the repository's root on the path, and the marks `slow` and `oracle`.

Tests under tests/oracle compare with real PyTorch and are left out where it is not installed. Tests marked slow run with
`--slow` (or `make test ARGS=--slow`).
"""

from __future__ import annotations

import importlib.util
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow as well")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes more than a few seconds; runs with --slow")
    config.addinivalue_line("markers", "oracle: compares with real PyTorch; skipped where that is not installed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    torch = importlib.util.find_spec("torch") is not None
    for item in items:
        if "oracle" in pathlib.Path(item.path).relative_to(ROOT).parts:
            item.add_marker(pytest.mark.oracle)
        if item.get_closest_marker("oracle") and not torch:
            item.add_marker(pytest.mark.skip(reason="PyTorch is not installed"))
        if item.get_closest_marker("slow") and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="slow; runs with --slow"))
