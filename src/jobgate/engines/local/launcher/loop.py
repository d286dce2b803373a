"""The launcher itself: its loop, and what it does with each thing that happens."""

from __future__ import annotations

import contextlib
import errno
import heapq
import os
import selectors
import signal
import time
from collections.abc import Callable

from .door import Door
from .job import Job, spawn
from .journal import Journal
from .processes import (
    Json,
    bears,
    boot_id,
    born_at,
    child_pid,
    children_of,
    complain,
    dissolve,
    exit_code,
    libc,
    trim,
    used,
)

PR_SET_CHILD_SUBREAPER = 36
EXHAUSTED = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
) | {errno.EAGAIN}
"""What the machine lacks, and not the command."""
RETRY = 0.5
"""Seconds before a journal that could not be written is tried again."""
LOOK = 1.0
"""Seconds between two looks at a job's files, and before the first."""


class Launcher:
    """The loop."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.boot = boot_id()
        self.journal = Journal(f"{directory}/journal")
        self.rebooted = bool(self.journal.boot) and self.journal.boot != self.boot
        if self.journal.names:
            self.journal.compact()
        self.journal.boot = self.boot
        self.journal.add("b", self.boot)
        self.jobs: dict[str, Job] = {}
        self.by_pid: dict[int, Job] = {}
        self.refused: set[str] = set()
        """Names that were stopped before they came."""
        self.held: list[Job] = []
        """Jobs that wait for their start to be on record."""
        self.selector = selectors.EpollSelector()
        self.timers: list[tuple[float, int, Callable[[], None]]] = []
        self.count = 0
        self.door = Door(f"{directory}/socket", self.selector, self.greet, self.heard)
        self.told_started: list[Json] = []
        self.told_ended: list[Json] = []
        self.told_trouble = ""
        self.groups: dict[str, dict[str, str]] = {}
        """Control groups with the limits they have now."""
        self.running = True
        self.retrying = False
        self.null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)

    # --- the loop

    def serve(self) -> None:
        """Until it is told to stop."""
        if os.geteuid() == 0:
            os.setgroups([])
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for word in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(word, signal.SIG_IGN)
        self.selector.register(reading, selectors.EVENT_READ, lambda: self.signalled(reading))
        self.keep()
        while self.running:
            timeout = max(self.timers[0][0] - time.monotonic(), 0.0) if self.timers else None
            for key, _ in self.selector.select(timeout):
                key.data()
            while self.timers and self.timers[0][0] <= time.monotonic():
                heapq.heappop(self.timers)[2]()
            self.keep()
            self.tell()
        dissolve(self.groups)

    def keep(self) -> bool:
        """Writes the journal; false when it cannot be. Then it is tried again, and nothing is started meanwhile."""
        if not self.journal.flush(sync=self.door.gateway is None and bool(self.told_ended)):
            if not self.retrying:
                self.retrying = True
                self.later(RETRY, self.retry)
            return False
        while self.held:
            held, self.held = self.held, []
            for job in held:
                self.begin(job)
        return True

    def retry(self) -> None:
        """The loop keeps the journal after each pass; this makes one."""
        self.retrying = False

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Calls `act` then."""
        self.count += 1
        heapq.heappush(self.timers, (time.monotonic() + seconds, self.count, act))

    def greet(self) -> Json:
        """What a gateway is told first: all there is. An end that is not on record yet is not told yet."""
        if self.keep():
            self.told_ended.clear()
        waiting = {record["name"]: record for record in self.told_ended}
        running = [{"name": job.name, "started": job.started or None} for job in self.jobs.values()]
        running += [{"name": name, "started": record["started"]} for name, record in waiting.items()]
        ends = [entry["end"] for name, entry in self.journal.names.items() if "end" in entry and name not in waiting]
        self.told_started.clear()
        self.told_trouble = self.journal.trouble
        hello = {"pid": os.getpid(), "rebooted": self.rebooted, "running": running, "ended": ends}
        return {"hello": {**hello, "trouble": self.told_trouble}}

    def signalled(self, reading: int) -> None:
        """Some child ended."""
        with contextlib.suppress(BlockingIOError):
            os.read(reading, 4096)
        self.reap()

    def heard(self, frame: Json) -> None:
        """One frame of the gateway's: its wishes, in order."""
        for word, items in frame.get("do", ()):
            if word == "start":
                self.start(items)
                continue
            for item in items:
                if word == "stop":
                    self.stop(item)
                elif word == "forget":
                    self.forget(item)
                elif word == "shutdown":
                    self.shut_down(stop_jobs=item)

    def forget(self, name: str) -> None:
        """Its end is saved."""
        self.refused.discard(name)
        if name not in self.jobs and name in self.journal.names:
            self.journal.add("f", name)

    def shut_down(self, *, stop_jobs: bool) -> None:
        """Leaves after the last job; with `stop_jobs`, that is soon."""
        if stop_jobs:
            for job in self.held:  # never started, and nothing on record: as if it had not come
                self.jobs.pop(job.name, None)
                self.journal.names.pop(job.name, None)
            self.held.clear()
            for job in list(self.jobs.values()):
                self.kill(job)
        self.maybe_leave()

    def maybe_leave(self) -> None:
        """After the last job, and not before its end is on record."""
        self.running = bool(self.jobs) or bool(self.journal.trouble)
        if self.running:
            self.later(0.1, self.maybe_leave)

    def tell(self) -> None:
        """One frame with all that happened in this pass."""
        frame: Json = {}
        if self.told_started:
            frame["started"], self.told_started = self.told_started, []
        if self.told_ended and not self.journal.trouble:
            frame["ended"], self.told_ended = self.told_ended, []
        if self.told_trouble != self.journal.trouble:
            frame["trouble"] = self.told_trouble = self.journal.trouble
        if frame and self.door.gateway is not None:
            self.door.send(frame)

    # --- starting

    def start(self, specs: list[Json]) -> None:
        """Jobs, but for names that are known: the same name is the same run."""
        for spec in specs:
            name = spec["name"]
            if name in self.jobs:
                continue
            if name in self.journal.names:
                known = self.journal.names[name]
                if "end" in known and known["end"] not in self.told_ended:
                    self.told_ended.append(known["end"])
                continue
            job = Job(spec)
            if name in self.refused:
                job.failure, job.message = "cancelled", "it was cancelled before it was started"
                self.journal.add("s", name, None, None)
                self.end(job)
                continue
            kept = {key: spec.get(key) for key in ("wall", "grace", "log", "cap", "disk", "root")}
            self.journal.add("s", name, spec["steps"][-1].get("status"), kept)
            self.jobs[name] = job
            self.held.append(job)
        self.keep()  # the intent is on record before the process exists

    def begin(self, job: Job) -> None:
        """Its first process."""
        for path, values in job.spec.get("cgroups") or ():
            self.prepare(path, values)
        job.oom = self.oom_kills(job)
        self.advance(job)
        if job.name in self.jobs:
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
                pid = spawn(job, step, self.null)
            except OSError as error:
                if error.errno in EXHAUSTED:
                    self.broke(job, f"it could not be started: {error.strerror}")
                    break
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

    def broke(self, job: Job, message: str) -> None:
        """The machine's fault, not its own."""
        job.failure, job.message, job.stopping = job.failure or "engine", message, True
        for pid in job.pids:
            self.kill_below(pid)

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
        return [code, code - 128] if 128 < code < 193 else [code, None]

    def stepped(self, job: Job, step: Json, end: list[int | None]) -> None:
        """A step is over."""
        job.exits.append(end)
        if end[0] != 0 and not step.get("ignore") and job.failed is None:
            job.failed = end

    def finished_stage(self, job: Job) -> None:
        """All of a stage are over."""
        self.sweep(job)
        (self.advance if job.failed is None else self.end)(job)

    def end(self, job: Job) -> None:
        """Its exit is kept until it is forgotten."""
        if job.failure is None and self.oom_kills(job) > job.oom:
            job.failure, job.limit, job.message = "limit", "memory", "it needed more memory than it may have"
        self.jobs.pop(job.name, None)
        for step in job.spec["steps"]:
            if step.get("status"):
                with contextlib.suppress(OSError):
                    os.unlink(step["status"])
        trim(job.spec)
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
        with contextlib.suppress(ProcessLookupError, PermissionError):
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
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGTERM)
            else:
                for command in children_of(inner):
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(command, signal.SIGTERM)

    def kill(self, job: Job) -> None:
        """Everything of it, at once."""
        if job.name not in self.jobs:
            return
        job.stopping = True
        for pid, step in list(job.pids.items()):
            inner = child_pid(step["status"]) if step.get("status") else None
            if inner is not None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(inner, signal.SIGKILL)  # the first process of its namespace: all others go with it
            self.kill_below(pid)
        self.later(1.0, lambda: self.kill(job))

    # --- looking after files

    def look(self, job: Job, pause: float) -> None:
        """Its workspace and log, at a price of at most a twentieth of the time."""
        if job.name not in self.jobs:
            return
        began = time.monotonic()
        trim(job.spec)
        disk = job.spec.get("disk")
        if disk and used(job.spec["root"], disk) > disk:
            self.limit(job, "disk", f"it left more than {disk} bytes in its workspace")
        pause = max(LOOK, (time.monotonic() - began) * 20)
        self.later(pause, lambda: self.look(job, pause))
