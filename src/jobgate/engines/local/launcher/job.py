"""One job, and how one of its steps becomes a process."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import stat
import time
from typing import NoReturn

from .groups import Groups
from .processes import HOME, Json, born_at, exit_code, libc, ticks
from .timers import Timer

FIRST = 16
"""Numbers of files below this are for a child's streams."""
STATUS = 4096
"""Bytes that a sandbox says of its command, and more."""
KEEP_SIZE = 0x01
"""FALLOC_FL_KEEP_SIZE."""
STREAMS = ("stdin", "stdout", "stderr")
EXHAUSTED = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
) | {errno.EAGAIN}
"""What the machine lacks, and not the command."""
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
        self.logged = 0
        """Length of its log when it was last looked at."""
        self.timers: dict[str, Timer] = {}

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


def spawn(job: Job, step: Json, groups: Groups, home: str) -> tuple[int, int]:
    """One process and when it was born: own session, own streams, nothing else open. Number 0 is /dev/null here.

    Raises OSError, which `blame` explains, or ValueError for words that no process can have.
    """
    opened: list[int] = []
    try:
        log = _open(job.spec["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, opened)
        stdin = _stream(job, step["stdin"], os.O_RDONLY, opened) if step.get("stdin") else 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        stdout = _stream(job, step["stdout"], flags, opened) if step.get("stdout") else log
        stderr = _stream(job, step["stderr"], flags, opened) if step.get("stderr") else log
        streams = [stdin, stdout, stderr]
        if step.get("status"):
            streams.append(_open(step["status"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, opened))
            _reserve(streams[-1])
        if step.get("seccomp"):
            streams.append(_open(step["seccomp"], os.O_RDONLY, opened))
        actions = [(os.POSIX_SPAWN_DUP2, fd, to) for to, fd in enumerate(streams) if fd != to]
        env = {**step["env"], HOME: home}
        os.chdir(step["cwd"])
        uid = None if step.get("changes_user") else job.spec.get("uid")
        cgroups = job.spec.get("cgroups") or ()
        try:
            groups.enter_all(cgroups)
            if uid is not None:
                _become(uid)
            before = ticks()
            pid = os.posix_spawn(
                step["argv"][0], step["argv"], env, file_actions=actions, setsid=True, setsigdef=DEFAULTS
            )
            born = ticks()
        finally:
            if uid is not None:
                _return()
            groups.leave_all(cgroups)
        for which, value in job.spec.get("rlimits") or ():
            resource.prlimit(pid, which, (value, value))
        return pid, born if born == before else born_at(pid)
    finally:
        for fd in opened:
            os.close(fd)


def blame(step: Json, error: OSError | ValueError) -> tuple[int | None, str]:
    """The exit code and the words for a step that did not become a process; no code where it is not its own fault."""
    if isinstance(error, ValueError):
        return 126, f"it cannot be executed: {error}"
    reason = os.strerror(error.errno or 0)
    if error.errno in EXHAUSTED:
        return None, f"it could not be started: {reason}"
    if error.filename in (step["argv"][0], None):
        return 127 if error.errno == errno.ENOENT else 126, f"{step.get('word', step['argv'][0])}: {reason}"
    own = {step["cwd"]: "its working directory", **{step[key]: f"its {key}" for key in STREAMS if step.get(key)}}
    if error.filename in own:
        return 126, f"{own[error.filename]}: {reason}"
    return None, f"it could not be started: {error.filename}: {reason}"


OWN_FAULTS = (b"bwrap: execvp ", b"bwrap: Can't chdir")
"""What bubblewrap says of a command, or a working directory, that is not there."""


def sandboxed(job: Job, step: Json, end: list[int | None]) -> list[int | None]:
    """What the sandbox wrote of its command; no word of an exit code means that it could not be executed."""
    code = exit_code(step["status"])
    if code is None:
        if end[1] is not None or job.stopping:
            return end
        job.message = last_words(job, step)
        if job.message:
            job.failure = job.failure or "engine"  # there was no sandbox to execute it in
            return [126, None]
        job.message = f"{step.get('word', 'the command')}: cannot be executed"
        return [127, None]
    return [code, code - 128] if 128 < code < 193 else [code, None]


def last_words(job: Job, step: Json) -> str:
    """Why there was no sandbox, in its own words; empty when it was there, and the command could not be executed."""
    try:
        with open(step.get("stderr") or job.spec["log"], "rb") as file:
            file.seek(max(os.fstat(file.fileno()).st_size - 4096, 0))
            lines = file.read().splitlines()
    except OSError:
        return ""
    for line in reversed(lines):
        if line.startswith(OWN_FAULTS):
            return ""
        if line.startswith((b"bwrap: ", b"jobgate: no network")):
            return line.decode(errors="replace")
    return ""


def _open(path: str, flags: int, opened: list[int]) -> int:
    """An open file; its number is above those that the child's streams get, since those are taken."""
    fd = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    opened.append(fd)
    return fd


def _stream(job: Job, path: str, flags: int, opened: list[int]) -> int:
    """A file of the workspace, where the job may have put anything: no link is followed, no pipe waited for.

    It becomes the job's own, so that a later step can read it.
    """
    root = job.spec["root"]
    names = [name for name in os.path.relpath(path, root).split("/") if name != "."]
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not names or ".." in names:
            _refuse(errno.EACCES)
        for name in names[:-1]:
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            os.close(folder)
            folder = below
        fd = os.open(names[-1], flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600, dir_fd=folder)
        opened.append(fd)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            _refuse(errno.EINVAL)
        if flags & os.O_CREAT and job.spec.get("uid") is not None:
            os.fchown(fd, job.spec["uid"], job.spec["uid"])
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(folder)
    os.set_blocking(fd, True)
    return fd


def _refuse(number: int) -> NoReturn:
    raise OSError(number, os.strerror(number))


def _reserve(fd: int) -> None:
    """Room for what a sandbox writes of its command, which a full disk cannot take away. Raises OSError without it."""
    if libc.fallocate(fd, KEEP_SIZE, ctypes.c_int64(0), ctypes.c_int64(STATUS)) != 0:
        number = ctypes.get_errno()
        if number not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINTR):
            _refuse(number)


def _become(uid: int) -> None:
    """For the moment of a start this is the user of the job's slot.

    A fork with the same done in the child costs twice as much as the whole start; exec makes the saved uid, root's
    for this moment, the child's own too.
    """
    os.setresgid(uid, uid, 0)
    os.setresuid(uid, uid, 0)


def _return() -> None:
    os.setresuid(0, 0, 0)
    os.setresgid(0, 0, 0)
