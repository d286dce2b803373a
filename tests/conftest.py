"""What every test stands on."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ("gateways", "boinc_project", "local_rig", "shells", "typed")

settings.register_profile("quick", max_examples=300, deadline=None)
settings.register_profile("soak", max_examples=20_000, deadline=None)
settings.load_profile("soak" if os.environ.get("JOBGATE_SOAK") else "quick")

_OURS = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """A base folder of this run's own: the usual one's parent is closed again by every other run's start."""
    if config.option.basetemp is None:
        folder = Path(tempfile.mkdtemp(prefix="jobgate-test-"))
        folder.chmod(0o711)  # slots' own users pass through it
        config.stash[_OURS] = folder
        config.option.basetemp = folder / "run"


def pytest_unconfigure(config: pytest.Config) -> None:
    """Removes it."""
    if _OURS in config.stash:
        shutil.rmtree(config.stash[_OURS], ignore_errors=True)


_LEFT_OUT: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remembers what did not run."""
    if report.skipped:
        _LEFT_OUT.append(f"{report.nodeid}: {report.longrepr[2] if isinstance(report.longrepr, tuple) else ''}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With CI=true, what did not run is a failure."""
    if _LEFT_OUT and os.environ.get("CI") == "true":
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says loudly what did not run, and why."""
    if _LEFT_OUT:
        terminalreporter.section("NOT RUN", sep="!")
        for line in _LEFT_OUT:
            terminalreporter.write_line(line)
