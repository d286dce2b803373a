"""Ending processes: by asking the command itself, also inside a sandbox, or all of them at once."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping

from .processes import Json, child_pid, children_of


def terminate(pids: Mapping[int, Json]) -> None:
    """Asks the command of each step, by its process; a sandbox that is not that far yet is left to the kill."""
    for pid, step in pids.items():
        inner = child_pid(step["status"]) if step.get("status") else None
        if inner is not None:
            for command in children_of(inner):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(command, signal.SIGTERM)
        elif not step.get("status"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGTERM)


def kill(pids: Mapping[int, Json]) -> None:
    """Everything of these steps, at once."""
    for pid, step in list(pids.items()):
        inner = child_pid(step["status"]) if step.get("status") else None
        if inner is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(inner, signal.SIGKILL)  # the first process of its namespace: all others go with it
        kill_below(pid)


def kill_below(pid: int) -> None:
    """A process and all its descendants."""
    for child in children_of(pid):
        kill_below(child)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
