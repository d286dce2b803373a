"""What every test stands on."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ("gateways", "local_rig")

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
