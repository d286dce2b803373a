"""What a job used, as the kernel says it of each process that is reaped.

A sandbox ends a moment before the first process inside it, and only that one knows of the command. It comes home to the
launcher when the sandbox has ended.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterable
from typing import Protocol

from .job import Job
from .processes import Json, child_pid

INSIDE: Json = {}
"""Among a job's processes, in the place of a step: the first process of a sandbox that has ended itself."""
WITHIN = 1.0
"""Seconds that it is waited for. A process that the kernel cannot end holds it up; it does not hold up the job."""


class Reaper(Protocol):
    """The part of a launcher that waits for processes."""

    by_pid: dict[int, Job]

    def later(self, job: Job, what: str, seconds: float, act: Callable[[], None]) -> None:
        """Does it then, unless the job is over."""
        ...

    def finished_stage(self, job: Job) -> None:
        """None of its processes is left."""
        ...


def spend(job: Job, usage: resource.struct_rusage) -> None:
    """Counts what a process, and all that it waited for, used."""
    job.cpu += usage.ru_utime + usage.ru_stime
    job.rss = max(job.rss, usage.ru_maxrss * 1024)


def came_home(jobs: Iterable[Job], pid: int, usage: resource.struct_rusage) -> bool:
    """Counts a process that ended before its sandbox's helper; whether it was the first of a sandbox at all."""
    for job in jobs:
        for step in job.pids.values():
            if step.get("status") and child_pid(step["status"]) == pid:
                spend(job, usage)
                step["counted"] = True
                return True
    return False


def to_come(job: Job, step: Json, usage: resource.struct_rusage) -> int | None:
    """The process to be waited for after a sandbox, whose own usage is `usage`; None when all is counted."""
    if step.get("counted"):
        return None
    pid = child_pid(step["status"])
    try:
        found, _, inside = os.wait4(pid, os.WNOHANG) if pid else (1, 0, usage)
    except ChildProcessError:
        found, inside = 1, usage  # there was no sandbox
    if pid and not found:
        os.kill(pid, signal.SIGKILL)  # and with it what else is left in there
        return pid
    spend(job, inside)
    return None


def expect(reaper: Reaper, job: Job, pid: int) -> None:
    """The first process of a sandbox that has ended: it comes home in a moment, or is done without."""

    def without() -> None:
        if job.pids.get(pid) is INSIDE:
            del job.pids[pid], reaper.by_pid[pid]
            if not job.pids:
                reaper.finished_stage(job)

    job.pids[pid] = INSIDE
    reaper.by_pid[pid] = job
    reaper.later(job, f"home {pid}", WITHIN, without)
