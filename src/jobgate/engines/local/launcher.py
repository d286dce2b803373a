"""The launcher: one small process for a data folder, parent of its jobs, that outlives the gateway.

Run as ``python3 -I -S -E launcher.py DIRECTORY``; standard library only. It starts jobs, reaps them, keeps each exit
until the gateway has saved it, and speaks length-prefixed JSON over ``DIRECTORY/socket``. One pass of its loop reads
all that has come and answers with one frame.

``DIRECTORY/journal`` has a line for every start that is about to happen, every process, every exit and every
forgetting: a name in it is never started again, also not by the next launcher. Sources: hot-path contract, sections 1
and 7; prctl(2), wait4(2), pidfd_open(2), fallocate(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import heapq
import json
import os
import resource
import selectors
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

PR_SET_CHILD_SUBREAPER = 36
PUNCH_HOLE = 0x03
"""FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE."""
MAX_FRAME = 64 * 1024 * 1024
COMPACT = 8 * 1024 * 1024
"""Bytes of journal after which it is written anew."""
LOOK = 1.0
"""Seconds between two looks at a job's files, and before the first."""
MARK = "JOBGATE_ATTEMPT"
"""Environment variable by which a plain job's processes are known."""

DEFAULTS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD]
"""Signals that a child handles as any program does, whatever this one does with them."""
Json = dict[str, Any]
libc = ctypes.CDLL(None, use_errno=True)


def boot_id() -> str:
    """Names this run of the machine. The variable is for tests of a reboot."""
    given = os.environ.get("JOBGATE_BOOT_ID")
    if given:
        return given
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def born_at(pid: int) -> int:
    """Start time of a process in clock ticks, 0 when there is none: with pid and boot id it names the process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def children_of(pid: int) -> list[int]:
    """Direct children of a process."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def bears(pid: int, name: str) -> bool:
    """Whether a process was started by the job of that name."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return f"{MARK}={name}".encode() in file.read().split(b"\0")
    except OSError:
        return False


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


class Journal:
    """The launcher's memory on disk."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.names: dict[str, Json] = {}
        """Every name that is not forgotten: {"boot", "pids": [[pid, born]], "status", "started"} or {"end": record}."""
        self.boot = ""
        self._read()
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._fd).st_size
        self._lines: list[bytes] = []

    def _read(self) -> None:
        try:
            with open(self.path, "rb") as file:
                lines = file.read().split(b"\n")
        except FileNotFoundError:
            return
        for line in lines:
            try:
                kind, name, *rest = json.loads(line)
            except ValueError:
                continue  # the last line of one that was killed while writing
            self._apply(kind, name, rest)

    def _apply(self, kind: str, name: str, rest: list[Any]) -> None:
        if kind == "b":
            self.boot = name
        elif kind == "s":
            self.names[name] = {"boot": self.boot, "pids": [], "status": rest[0], "started": None, "spec": rest[1]}
        elif kind == "p" and name in self.names:
            self.names[name].setdefault("pids", []).append([rest[0], rest[1]])
            self.names[name]["started"] = self.names[name].get("started") or rest[2]
        elif kind == "e":
            self.names[name] = {"end": rest[0]}
        elif kind == "f":
            self.names.pop(name, None)

    def add(self, kind: str, name: str, *rest: Any) -> None:
        """A line that `flush` writes."""
        self._apply(kind, name, list(rest))
        self._lines.append(json.dumps([kind, name, *rest]).encode() + b"\n")

    def flush(self, *, sync: bool = False) -> None:
        """Writes the lines; with `sync` they survive the machine too."""
        if self._lines:
            data = b"".join(self._lines)
            self._lines.clear()
            os.write(self._fd, data)
            self._size += len(data)
            if sync:
                os.fdatasync(self._fd)
        if self._size > COMPACT:
            self.compact()

    def compact(self) -> None:
        """Writes only what is not forgotten, and takes that file's place."""
        lines = [json.dumps(["b", self.boot]).encode()]
        for name, entry in self.names.items():
            if "end" in entry:
                lines.append(json.dumps(["e", name, entry["end"]]).encode())
                continue
            lines.append(json.dumps(["s", name, entry["status"], entry.get("spec")]).encode())
            lines += [json.dumps(["p", name, pid, born, entry["started"]]).encode() for pid, born in entry["pids"]]
        data = b"\n".join(lines) + b"\n"
        with open(self.path + ".new", "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(self.path + ".new", self.path)
        os.close(self._fd)
        self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._size = len(data)


class Launcher:
    """The loop."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.boot = boot_id()
        self.journal = Journal(f"{directory}/journal")
        self.rebooted = bool(self.journal.boot) and self.journal.boot != self.boot
        self.journal.compact() if self.journal.names else None
        self.journal.boot = self.boot
        self.journal.add("b", self.boot)
        self.jobs: dict[str, Job] = {}
        self.by_pid: dict[int, Job] = {}
        self.refused: set[str] = set()
        """Names that were stopped before they came."""
        self.selector = selectors.EpollSelector()
        self.timers: list[tuple[float, int, Callable[[], None]]] = []
        self.count = 0
        self.gateway: socket.socket | None = None
        self.inbox = bytearray()
        self.outbox = bytearray()
        self.told_started: list[Json] = []
        self.told_ended: list[Json] = []
        self.groups: dict[str, dict[str, str]] = {}
        """Control groups with the limits they have now."""
        self.running = True
        self.null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)

    # --- the loop

    def serve(self) -> None:
        """Until it is told to stop."""
        if os.geteuid() == 0:
            os.setgroups([])
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        path = f"{self.directory}/socket"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        door.bind(path)
        os.chmod(path, 0o600)
        door.listen(4)
        door.setblocking(False)  # noqa: FBT003  # its only form
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for word in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(word, signal.SIG_IGN)
        self.selector.register(door, selectors.EVENT_READ, lambda: self.welcome(door))
        self.selector.register(reading, selectors.EVENT_READ, lambda: self.signalled(reading))
        self.resume()
        self.journal.flush()
        while self.running:
            timeout = max(self.timers[0][0] - time.monotonic(), 0.0) if self.timers else None
            for key, _ in self.selector.select(timeout):
                key.data()
            while self.timers and self.timers[0][0] <= time.monotonic():
                heapq.heappop(self.timers)[2]()
            self.journal.flush(sync=self.gateway is None and bool(self.told_ended))
            self.tell()

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Calls `act` then."""
        self.count += 1
        heapq.heappush(self.timers, (time.monotonic() + seconds, self.count, act))

    def welcome(self, door: socket.socket) -> None:
        """A gateway comes; the one before, if there is one, is let go."""
        connection, _ = door.accept()
        connection.setblocking(False)  # noqa: FBT003  # its only form
        self.farewell()
        self.gateway = connection
        self.selector.register(connection, selectors.EVENT_READ, self.read)
        running = [{"name": job.name, "started": job.started or None} for job in self.jobs.values()]
        ended = [entry["end"] for entry in self.journal.names.values() if "end" in entry]
        self.told_started.clear()
        self.told_ended.clear()
        self.send({"hello": {"pid": os.getpid(), "rebooted": self.rebooted, "running": running, "ended": ended}})

    def farewell(self) -> None:
        """The gateway has gone; everything is kept for the next."""
        if self.gateway is not None:
            self.selector.unregister(self.gateway)
            self.gateway.close()
            self.gateway = None
        self.inbox.clear()
        self.outbox.clear()

    def signalled(self, reading: int) -> None:
        """Some child ended."""
        with contextlib.suppress(BlockingIOError):
            os.read(reading, 4096)
        self.reap()

    def read(self) -> None:
        """All that has come."""
        assert self.gateway is not None
        try:
            while True:
                piece = self.gateway.recv(1 << 20)
                if not piece:
                    self.farewell()
                    return
                self.inbox += piece
                if len(piece) < 1 << 20:
                    break
        except BlockingIOError:
            pass
        except OSError:
            self.farewell()
            return
        while len(self.inbox) >= 4:
            (length,) = struct.unpack_from(">I", self.inbox)
            if length > MAX_FRAME:
                self.farewell()
                return
            if len(self.inbox) < 4 + length:
                return
            frame = json.loads(bytes(self.inbox[4 : 4 + length]))
            del self.inbox[: 4 + length]
            self.heard(frame)

    def heard(self, frame: Json) -> None:
        """One frame of the gateway's."""
        for spec in frame.get("start", ()):
            self.start(spec)
        for name in frame.get("stop", ()):
            self.stop(name)
        for name in frame.get("forget", ()):
            self.refused.discard(name)
            if name not in self.jobs and name in self.journal.names:
                self.journal.add("f", name)
        if "shutdown" in frame:
            if frame["shutdown"]:
                for job in list(self.jobs.values()):
                    self.kill(job)
            self.running = bool(self.jobs)
            if self.running:
                self.later(0.1, self.maybe_leave)

    def maybe_leave(self) -> None:
        """After the last job."""
        self.running = bool(self.jobs)
        if self.running:
            self.later(0.1, self.maybe_leave)

    def tell(self) -> None:
        """One frame with all that happened in this pass."""
        frame: Json = {}
        if self.told_started:
            frame["started"], self.told_started = self.told_started, []
        if self.told_ended:
            frame["ended"], self.told_ended = self.told_ended, []
        if frame and self.gateway is not None:
            self.send(frame)

    def send(self, frame: Json) -> None:
        """Now, or as soon as the gateway reads on."""
        data = json.dumps(frame).encode()
        self.outbox += struct.pack(">I", len(data)) + data
        self.write()

    def write(self) -> None:
        """As much as the socket takes."""
        if self.gateway is None:
            return
        try:
            sent = self.gateway.send(self.outbox)
            del self.outbox[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self.farewell()
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.outbox else 0)
        act = self.read if not self.outbox else self.both
        self.selector.modify(self.gateway, events, act)

    def both(self) -> None:
        """Readable, writable, or both."""
        self.write()
        if self.gateway is not None:
            self.read()

    # --- starting

    def start(self, spec: Json) -> None:
        """A job, unless its name is known: the same name is the same run."""
        name = spec["name"]
        if name in self.jobs:
            return
        if name in self.journal.names:
            known = self.journal.names[name]
            if "end" in known:
                self.told_ended.append(known["end"])
            return
        job = Job(spec)
        if name in self.refused:
            job.failure, job.message = "cancelled", "it was cancelled before it was started"
            self.journal.add("s", name, None, None)
            self.end(job)
            return
        kept = {key: spec.get(key) for key in ("wall", "grace", "log", "cap", "disk", "root")}
        self.journal.add("s", name, spec["steps"][-1].get("status"), kept)
        self.journal.flush()  # the intent is on record before the process exists
        self.jobs[name] = job
        for path, values in spec.get("cgroups") or ():
            self.prepare(path, values)
        job.oom = self.oom_kills(job)
        self.advance(job)
        if name in self.jobs:
            self.limits(job)

    def limits(self, job: Job) -> None:
        """Wall time, and looks at its files."""
        if job.spec.get("wall"):
            self.later(job.spec["wall"], lambda: self.timed_out(job))
        if job.spec.get("disk") or job.spec.get("cap"):
            self.later(LOOK, lambda: self.look(job, LOOK))

    def prepare(self, path: str, values: dict[str, str]) -> None:
        """A control group with its limits; one that cannot be made limits nothing, and says so."""
        if self.groups.get(path) == values:
            return
        self.groups[path] = values
        try:
            os.makedirs(path, exist_ok=True)
            for file, value in values.items():
                with open(f"{path}/{file}", "w", encoding="ascii") as control:
                    control.write(value)
        except OSError as error:
            complain(f"control group {path}: {error}")

    def advance(self, job: Job) -> None:
        """The next stage, or the end."""
        job.stage += 1
        if job.stage >= len(job.stages) or job.stopping:
            self.end(job)
            return
        for step in job.stages[job.stage]:
            try:
                pid = self.spawn(job, step)
            except OSError as error:
                code = 127 if error.errno == errno.ENOENT else 126
                job.message = f"{step['argv'][0]}: {os.strerror(error.errno or 0)}"
                self.stepped(job, step, [code, None])
                continue
            if not job.started:
                job.started = time.time()
                self.told_started.append({"name": job.name, "started": job.started})
            job.pids[pid] = step
            self.by_pid[pid] = job
            self.journal.add("p", job.name, pid, born_at(pid), job.started)
        if not job.pids:
            self.finished_stage(job)

    def spawn(self, job: Job, step: Json) -> int:
        """One process: own session, own streams, nothing else open. Raises OSError when it cannot be executed."""
        opened: list[int] = []
        try:
            log = self.open(job.spec["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, opened)
            stdin = self.open(step["stdin"], os.O_RDONLY, opened) if step.get("stdin") else self.null
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            stdout = self.open(step["stdout"], flags, opened) if step.get("stdout") else log
            stderr = self.open(step["stderr"], flags, opened) if step.get("stderr") else log
            extra = []
            if step.get("status"):
                extra.append(self.open(step["status"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, opened))
            if step.get("seccomp"):
                extra.append(self.open(step["seccomp"], os.O_RDONLY, opened))
            actions = [(os.POSIX_SPAWN_DUP2, fd, to) for to, fd in enumerate([stdin, stdout, stderr, *extra])]
            os.chdir(step["cwd"])
            with self.disguised(job, step):
                pid = os.posix_spawn(
                    step["argv"][0], step["argv"], step["env"], file_actions=actions, setsid=True, setsigdef=DEFAULTS
                )
            for which, value in job.spec.get("rlimits") or ():
                resource.prlimit(pid, which, (value, value))
            return pid
        finally:
            for fd in opened:
                os.close(fd)

    def open(self, path: str, flags: int, opened: list[int]) -> int:
        """An open file, well above the numbers that the child's streams get."""
        fd = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        if fd < 16:
            high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 16)
            os.close(fd)
            fd = high
        opened.append(fd)
        return fd

    @contextlib.contextmanager
    def disguised(self, job: Job, step: Json) -> Iterator[None]:
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

    # --- ending

    def reap(self) -> None:
        """Every child that ended; those never started here came home from a job that forked away."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            job = self.by_pid.pop(pid, None)
            if job is None:
                continue
            step = job.pids.pop(pid)
            job.cpu += usage.ru_utime + usage.ru_stime
            job.rss = max(job.rss, usage.ru_maxrss * 1024)
            number = os.waitstatus_to_exitcode(status)
            end: list[int | None] = [128 - number, -number] if number < 0 else [number, None]
            if step.get("status"):
                end = self.sandboxed(job, step, end)
            self.stepped(job, step, end)
            if not job.pids:
                self.finished_stage(job)

    def sandboxed(self, job: Job, step: Json, end: list[int | None]) -> list[int | None]:
        """What the sandbox wrote of its command; no word of an exit code means that it could not be executed."""
        code = exit_code(step["status"])
        if code is None:
            if end[1] is None and not job.stopping:
                job.message = f"{step.get('word', 'the command')}: cannot be executed"
                return [127, None]
            return end
        return [code, code - 128] if 128 < code < 128 + 65 else [code, None]

    def stepped(self, job: Job, step: Json, end: list[int | None]) -> None:
        """A step is over."""
        job.exits.append(end)
        if end[0] != 0 and not step.get("ignore") and job.failed is None:
            job.failed = end

    def finished_stage(self, job: Job) -> None:
        """All of a stage are over."""
        self.sweep(job)
        if job.failed is not None:
            self.end(job)
        else:
            self.advance(job)

    def end(self, job: Job) -> None:
        """Its exit is kept until it is forgotten."""
        if job.failure is None and self.oom_kills(job) > job.oom:
            job.failure, job.limit, job.message = "limit", "memory", "it needed more memory than it may have"
        self.jobs.pop(job.name, None)
        for step in job.spec["steps"]:
            if step.get("status"):
                with contextlib.suppress(OSError):
                    os.unlink(step["status"])
        self.trim(job.spec, last=True)
        record = job.record()
        self.journal.add("e", job.name, record)
        self.told_ended.append(record)

    def oom_kills(self, job: Job) -> int:
        """How often the kernel killed in its group."""
        path = job.spec.get("oom")
        if not path:
            return 0
        try:
            with open(path, encoding="ascii") as file:
                return sum(int(line.split()[1]) for line in file if line.startswith("oom_kill "))
        except (OSError, ValueError):
            return 0

    def sweep(self, job: Job) -> None:
        """Processes that the job left behind are killed; in a sandbox there are none."""
        for pid in children_of(os.getpid()):
            if pid not in self.by_pid and (bears(pid, job.name) or len(self.jobs) <= 1):
                self.kill_below(pid)

    def kill_below(self, pid: int) -> None:
        """A process and all its descendants."""
        for child in children_of(pid):
            self.kill_below(child)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    # --- stopping

    def stop(self, name: str) -> None:
        """A termination signal, and after the grace time a kill. A name not yet known will not be started."""
        job = self.jobs.get(name)
        if job is None:
            if name not in self.journal.names:
                self.refused.add(name)
            return
        if not job.stopping:
            job.stopping = True
            job.failure = job.failure or "cancelled"
            self.terminate(job)
            self.later(job.spec.get("grace", 5.0), lambda: self.kill(job))

    def timed_out(self, job: Job) -> None:
        """Its wall time is over."""
        self.limit(job, "walltime", f"it ran longer than {job.spec['wall']:g} s")

    def limit(self, job: Job, which: str, message: str) -> None:
        """Stopped at a limit."""
        if job.name in self.jobs and not job.stopping:
            job.failure, job.limit, job.message = "limit", which, message
            self.stop(job.name)

    def terminate(self, job: Job) -> None:
        """Asks the command itself, also inside a sandbox."""
        for pid, step in job.pids.items():
            inner = child_pid(step["status"]) if step.get("status") else None
            if inner is None:
                if step.get("status"):
                    continue  # not that far yet: the kill comes in its time
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGTERM)
            else:
                for command in children_of(inner):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(command, signal.SIGTERM)

    def kill(self, job: Job) -> None:
        """Everything of it, at once."""
        if job.name not in self.jobs:
            return
        job.stopping = True
        for pid, step in list(job.pids.items()):
            inner = child_pid(step["status"]) if step.get("status") else None
            if inner is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(inner, signal.SIGKILL)  # the first process of its namespace: all others go with it
            self.kill_below(pid)
        self.later(1.0, lambda: self.kill(job))

    # --- looking after files

    def look(self, job: Job, pause: float) -> None:
        """Its workspace and log, at a price of at most a twentieth of the time."""
        if job.name not in self.jobs:
            return
        began = time.monotonic()
        self.trim(job.spec)
        disk = job.spec.get("disk")
        if disk and used(job.spec["root"], disk) > disk:
            self.limit(job, "disk", f"it left more than {disk} bytes in its workspace")
        pause = max(LOOK, (time.monotonic() - began) * 20)
        self.later(pause, lambda: self.look(job, pause))

    def trim(self, spec: Json, *, last: bool = False) -> None:
        """The middle of a log that is too long is given back to the disk; its length stays."""
        del last
        cap = spec.get("cap")
        if not cap:
            return
        try:
            size = os.stat(spec["log"]).st_size
            if size <= 2 * cap:
                return
            fd = os.open(spec["log"], os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return
        half = cap // 2
        libc.fallocate(fd, PUNCH_HOLE, ctypes.c_int64(half), ctypes.c_int64(size - cap))
        os.close(fd)

    # --- after a launcher's death

    def resume(self) -> None:
        """Jobs of the launcher before this: those that live are watched on, of the others the status file speaks."""
        for name, entry in list(self.journal.names.items()):
            if "end" in entry:
                continue
            job = Job({"name": name, "steps": [], **(entry.get("spec") or {})})
            job.started = entry["started"] or 0.0
            living = [
                pid for pid, born in entry["pids"] if entry["boot"] == self.boot and born and born_at(pid) == born
            ]
            if not living:
                self.lost(job, entry)
                continue
            self.jobs[name] = job
            for pid in living:
                job.pids[pid] = {"argv": [], "status": entry["status"]}
                handle = os.pidfd_open(pid)
                self.selector.register(handle, selectors.EVENT_READ, self.watcher(job, entry, pid, handle))
            self.limits(job)

    def watcher(self, job: Job, entry: Json, pid: int, handle: int) -> Callable[[], None]:
        """Acts when a process that is not our child has ended."""

        def ended() -> None:
            self.selector.unregister(handle)
            os.close(handle)
            job.pids.pop(pid, None)
            if not job.pids:
                self.jobs.pop(job.name, None)
                self.lost(job, entry)

        return ended

    def lost(self, job: Job, entry: Json) -> None:
        """Ended while nobody watched."""
        code = exit_code(entry["status"]) if entry.get("status") else None
        if code is not None:
            job.exits.append([code, code - 128] if 128 < code < 128 + 65 else [code, None])
        elif job.failure is None:
            job.failure = "lost"
            job.message = "the machine was restarted" if self.rebooted else "its launcher was killed"
        self.end(job)


def join(path: str) -> None:
    """This process enters a control group."""
    with contextlib.suppress(OSError):
        fd = os.open(f"{path}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, b"0")
        finally:
            os.close(fd)


def exit_code(path: str) -> int | None:
    """The last word of a sandbox's status file."""
    return _status(path, "exit-code")


def child_pid(path: str) -> int | None:
    """The first process of a sandbox."""
    return _status(path, "child-pid")


def _status(path: str, key: str) -> int | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                with contextlib.suppress(ValueError):
                    value = json.loads(line).get(key)
                    if isinstance(value, int):
                        return value
    except OSError:
        pass
    return None


def used(root: str, enough: int) -> int:
    """Bytes that a tree takes on disk; stops counting beyond `enough`. Follows no link."""
    total, stack = 0, [root]
    while stack and total <= enough:
        try:
            with os.scandir(stack.pop()) as entries:
                for entry in entries:
                    with contextlib.suppress(OSError):
                        status = entry.stat(follow_symlinks=False)
                        total += status.st_blocks * 512
                        if entry.is_dir(follow_symlinks=False):
                            stack.append(entry.path)
        except OSError:
            continue
    return total


def complain(text: str) -> None:
    """To the launcher's own log."""
    os.write(2, f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n".encode())


def detach(directory: str) -> bool:
    """Leaves whoever started this: own session, no streams. False in the process that is to go away."""
    if os.fork():
        return False
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    os.umask(0o022)
    null = os.open("/dev/null", os.O_RDWR)
    log = os.open(f"{directory}/log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for to, fd in enumerate((null, null, log)):
        os.dup2(fd, to)
    return True


def main(arguments: Iterable[str]) -> int:
    """The launcher of one directory; a second one for the same leaves at once."""
    directory = os.path.abspath(next(iter(arguments)))
    os.makedirs(directory, mode=0o700, exist_ok=True)
    if not detach(directory):
        return 0
    lock = os.open(f"{directory}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0
    os.ftruncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())
    Launcher(directory).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
