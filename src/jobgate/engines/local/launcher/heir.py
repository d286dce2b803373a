"""What a new launcher does with the jobs of the one before it."""

from __future__ import annotations

import os
from collections.abc import Callable

from .job import Job
from .loop import Launcher
from .processes import Json, born_at, exit_code, mark, processes

ROUNDS = 10
"""Looks for processes that multiply while they are killed."""


def adopt(launcher: Launcher) -> None:
    """Those that live are watched on; of the others the status file speaks."""
    for name, entry in list(launcher.journal.names.items()):
        if "end" in entry:
            continue
        job = Job({"name": name, "steps": [], **(entry.get("spec") or {})})
        job.started = entry["started"] or 0.0
        living = [
            (handle, pid)
            for pid, born in entry["pids"]
            if entry["boot"] == launcher.boot and (handle := _handle(pid, born)) is not None
        ]
        if not living:
            _lost(launcher, job, entry)
            continue
        launcher.jobs[name] = job
        for handle, pid in living:
            job.pids[pid] = {"argv": [], "status": entry["status"]}
            launcher.watch.add(handle, _watcher(launcher, job, entry, pid, handle))
        launcher.limits(job)
    _clear(launcher, {name for name, entry in launcher.journal.names.items() if "end" in entry})


def _clear(launcher: Launcher, names: set[str]) -> None:
    """Kills what jobs that are over have left: it never comes home to us, and is known by its mark alone."""
    for _ in range(ROUNDS):
        left = [pid for pid in processes() if mark(pid, launcher.home) in names]
        if not left:
            return
        for pid in left:
            launcher.kill_below(pid)


def _handle(pid: int, born: int) -> int | None:
    """A process by its number and its start, if it lives."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return None
    if born and born_at(pid) == born:
        return handle
    os.close(handle)
    return None


def _watcher(launcher: Launcher, job: Job, entry: Json, pid: int, handle: int) -> Callable[[], None]:
    """Acts when a process that is not our child has ended."""

    def ended() -> None:
        launcher.watch.drop(handle)
        os.close(handle)
        job.pids.pop(pid, None)
        if not job.pids:
            _lost(launcher, job, entry)
            _clear(launcher, {job.name})

    return ended


def _lost(launcher: Launcher, job: Job, entry: Json) -> None:
    """Ended while nobody watched."""
    code = exit_code(entry["status"]) if entry.get("status") else None
    if code is not None:
        job.exits.append([code, code - 128] if 128 < code < 193 else [code, None])
    elif job.failure is None:
        job.failure = "lost"
        job.message = "the machine was restarted" if launcher.rebooted else "its launcher was killed"
    launcher.end(job)
