"""What a new launcher does with the jobs of the one before it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from .job import Job
from .loop import Launcher
from .processes import Json, born_at, exit_code, mark, processes
from .stop import kill_below

ROUNDS = 10
"""Looks for processes that multiply while they are killed."""


def adopt(launcher: Launcher) -> None:
    """Those that live are watched on; of the others the status file speaks."""
    entries = {name: entry for name, entry in launcher.journal.names.items() if "end" not in entry}
    nameless = {name for name, entry in entries.items() if not entry["pids"] and entry["boot"] == launcher.boot}
    found = _leaders(launcher, nameless) if nameless else {}
    for name, entry in entries.items():
        job = Job({"name": name, "steps": [], **(entry["spec"] or {})})
        # a start on record may have happened: it is not to be repeated
        job.started = entry["started"] or entry["at"] or 0.0
        pids = entry["pids"] or found.get(name, [])
        living = [
            (handle, pid)
            for pid, born in pids
            if entry["boot"] == launcher.boot and (handle := _handle(pid, born)) is not None
        ]
        if not living:
            _lost(launcher, job, entry)
            continue
        launcher.jobs[name] = job
        if not entry["pids"]:
            for pid, born in pids:
                launcher.journal.add("p", name, pid, born, job.started)
        for handle, pid in living:
            job.pids[pid] = {"argv": [], "status": entry["status"]}
            launcher.watch.add(handle, _watcher(launcher, job, entry, pid, handle))
        launcher.limits(job)
    _clear(launcher, {name for name, entry in launcher.journal.names.items() if "end" in entry})


def _leaders(launcher: Launcher, names: set[str]) -> dict[str, list[tuple[int, int]]]:
    """Processes that were started for these names, when the launcher was killed before it could write which."""
    found: dict[str, list[tuple[int, int]]] = {}
    for pid in processes():
        name = mark(pid, launcher.home)
        with contextlib.suppress(ProcessLookupError):
            if name in names and name is not None and os.getsid(pid) == pid:
                found.setdefault(name, []).append((pid, born_at(pid)))
    return found


def _clear(launcher: Launcher, names: set[str]) -> None:
    """Kills what jobs that are over have left: it never comes home to us, and is known by its mark alone."""
    for _ in range(ROUNDS):
        left = [pid for pid in processes() if mark(pid, launcher.home) in names]
        if not left:
            return
        for pid in left:
            kill_below(pid)


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
    stem, place, _ = (entry.get("status") or "..").rsplit(".", 2)
    for number in range(int(place or -1) + 1):
        with contextlib.suppress(OSError):
            os.unlink(f"{stem}.{number}.status")
