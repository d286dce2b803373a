"""One job, and how one of its steps becomes a process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import signal
import time
from collections.abc import Iterator

from .groups import join
from .processes import Json

DEFAULTS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD]
"""Signals that a child handles as any program does, whatever this one does with them."""


class Job:
    """One job: its stages of steps, and the processes of the present stage."""

    def __init__(self, spec: Json) -> None:
        self.spec = spec
        self.name: str = spec["name"]
        self.stages: list[list[Json]] = []
        for step in spec["steps"]:
            if step.get("together") and self.stages:
                self.stages[-1].append(step)
            else:
                self.stages.append([step])
        self.stage = -1
        self.pids: dict[int, Json] = {}
        self.exits: list[list[int | None]] = []
        self.failed: list[int | None] | None = None
        self.started = 0.0
        self.cpu = 0.0
        self.rss = 0
        self.failure: str | None = None
        self.limit: str | None = None
        self.message = ""
        self.stopping = False
        self.oom = 0

    def record(self) -> Json:
        """What is kept of its end."""
        last = self.failed or (self.exits[-1] if self.exits else None)
        return {
            "name": self.name,
            "started": self.started or None,
            "ended": time.time(),
            "exit": last,
            "steps": self.exits,
            "cpu": self.cpu,
            "rss": self.rss,
            "failure": self.failure,
            "limit": self.limit,
            "message": self.message,
        }


def spawn(job: Job, step: Json, null: int) -> int:
    """One process: own session, own streams, nothing else open. Raises OSError when it cannot be executed."""
    opened: list[int] = []
    try:
        log = _open(job.spec["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, opened)
        stdin = _open(step["stdin"], os.O_RDONLY, opened) if step.get("stdin") else null
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        stdout = _open(step["stdout"], flags, opened) if step.get("stdout") else log
        stderr = _open(step["stderr"], flags, opened) if step.get("stderr") else log
        extra = []
        if step.get("status"):
            extra.append(_open(step["status"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, opened))
        if step.get("seccomp"):
            extra.append(_open(step["seccomp"], os.O_RDONLY, opened))
        actions = [(os.POSIX_SPAWN_DUP2, fd, to) for to, fd in enumerate([stdin, stdout, stderr, *extra])]
        os.chdir(step["cwd"])
        with _disguised(job, step):
            pid = os.posix_spawn(
                step["argv"][0], step["argv"], step["env"], file_actions=actions, setsid=True, setsigdef=DEFAULTS
            )
        for which, value in job.spec.get("rlimits") or ():
            resource.prlimit(pid, which, (value, value))
        return pid
    finally:
        for fd in opened:
            os.close(fd)


def _open(path: str, flags: int, opened: list[int]) -> int:
    """An open file, well above the numbers that the child's streams get."""
    fd = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if fd < 16:
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 16)
        os.close(fd)
        fd = high
    opened.append(fd)
    return fd


@contextlib.contextmanager
def _disguised(job: Job, step: Json) -> Iterator[None]:
    """For the moment of a start, what the child is to inherit: the job's control groups and its slot's user.

    A fork with the same done in the child costs twice as much as the whole start; exec makes the saved uid, root's
    for this moment, the child's own too.
    """
    groups = job.spec.get("cgroups") or ()
    uid = None if step.get("changes_user") else job.spec.get("uid")
    for path, _ in groups:
        join(path)
    try:
        if uid is not None:
            os.setresgid(uid, uid, 0)
            os.setresuid(uid, uid, 0)
        yield
    finally:
        if uid is not None:
            os.setresuid(0, 0, 0)
            os.setresgid(0, 0, 0)
        for path, _ in groups:
            join(os.path.dirname(os.path.dirname(path)))
