"""What all tests share: the repository's root on the path, and the marks `slow` and `oracle`.

Tests under tests/oracle compare with real PyTorch and are left out where it is not installed. Tests marked slow run with
`--slow` (or `make test ARGS=--slow`).
"""

from __future__ import annotations

import importlib.util
import pathlib
import signal
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))


# A job in the background starts with interrupts ignored, and so would every program that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

UNFINISHED = ROOT / "tests" / "unfinished.txt"


def unfinished() -> dict[str, str]:
    """Tests of what does not work yet: name -> reason. One that passes has to leave the list."""
    if not UNFINISHED.exists():
        return {}
    lines = [line for line in UNFINISHED.read_text().splitlines() if line and not line.startswith("#")]
    return {name: reason for name, _, reason in (line.partition("  # ") for line in lines)}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--list-unfinished", action="store_true", help="write what fails into tests/unfinished.txt, for a person to judge"
    )
    parser.addoption("--slow", action="store_true", help="run the tests marked slow as well")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes more than a few seconds; runs with --slow")
    config.addinivalue_line("markers", "oracle: compares with real PyTorch; skipped where that is not installed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    torch = importlib.util.find_spec("torch") is not None
    expected = {} if config.getoption("--list-unfinished") else unfinished()
    for item in items:
        if reason := expected.get(item.nodeid):
            item.add_marker(pytest.mark.xfail(strict=True, reason=reason))
        if "oracle" in pathlib.Path(item.path).relative_to(ROOT).parts:
            item.add_marker(pytest.mark.oracle)
        if item.get_closest_marker("oracle") and not torch:
            item.add_marker(pytest.mark.skip(reason="PyTorch is not installed"))
        if item.get_closest_marker("slow") and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="slow; runs with --slow"))


_failed: dict[str, str] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed and report.nodeid not in _failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        message = crash.message.splitlines()[0] if crash and crash.message else "fails"
        _failed[report.nodeid] = message[:100]


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.getoption("--list-unfinished"):
        kept = {name: reason for name, reason in unfinished().items() if name in _failed}
        lines = [f"{name}  # {kept.get(name) or reason}" for name, reason in sorted(_failed.items())]
        head = "# Tests that cannot pass yet, and why; each is expected to fail, and an error if it passes.\n"
        UNFINISHED.write_text(head + "\n".join(lines) + "\n")
