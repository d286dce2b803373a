"""The launcher itself: its loop, and what it does with each thing that happens."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import heapq
import os
import selectors
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable

from .door import Door
from .groups import Groups, kills
from .job import Job, spawn
from .journal import Journal
from .processes import (
    Json,
    bears,
    boot_id,
    born_at,
    child_pid,
    children_of,
    detach,
    exit_code,
    libc,
    trim,
    used,
)

PR_SET_CHILD_SUBREAPER = 36
LOOK = 1.0
"""Seconds between two looks at a job's files, and before the first."""


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
        self.waiting: deque[Job] = deque()
        """Accepted; each is started as soon as fewer run than it is told may run at once."""
        self.refused: set[str] = set()
        """Names that were stopped before they came."""
        self.selector = selectors.EpollSelector()
        self.timers: list[tuple[float, int, Callable[[], None]]] = []
        self.count = 0
        self.door = Door(f"{directory}/socket", self.selector, self.greet, self.heard)
        self.told_started: list[Json] = []
        self.told_ended: list[Json] = []
        self.groups = Groups()
        self.running = True
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
        self.resume()
        self.journal.flush()
        while self.running:
            timeout = max(self.timers[0][0] - time.monotonic(), 0.0) if self.timers else None
            for key, _ in self.selector.select(timeout):
                key.data()
            while self.timers and self.timers[0][0] <= time.monotonic():
                heapq.heappop(self.timers)[2]()
            self.journal.flush(sync=self.door.gateway is None and bool(self.told_ended))
            self.tell()
        self.groups.dissolve()

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Calls `act` then."""
        self.count += 1
        heapq.heappush(self.timers, (time.monotonic() + seconds, self.count, act))

    def greet(self) -> Json:
        """What a gateway is told first: all there is."""
        running = [{"name": job.name, "started": job.started or None} for job in self.jobs.values()]
        ended = [entry["end"] for entry in self.journal.names.values() if "end" in entry]
        self.told_started.clear()
        self.told_ended.clear()
        return {"hello": {"pid": os.getpid(), "rebooted": self.rebooted, "running": running, "ended": ended}}

    def signalled(self, reading: int) -> None:
        """Some child ended."""
        with contextlib.suppress(BlockingIOError):
            os.read(reading, 4096)
        self.reap()

    def heard(self, frame: Json) -> None:
        """One frame of the gateway's: its wishes, in order."""
        for word, items in frame.get("do", ()):
            for item in items:
                if word == "start":
                    self.start(item)
                elif word == "stop":
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
            for job in list(self.waiting):
                self.stop(job.name)
            for job in list(self.jobs.values()):
                self.kill(job)
        self.maybe_leave()

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
        if frame and self.door.gateway is not None:
            self.door.send(frame)

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
            self.never(job)
            return
        self.jobs[name] = job
        self.waiting.append(job)
        self.refill()

    def never(self, job: Job) -> None:
        """Stopped before it was started."""
        job.failure, job.message = "cancelled", "it was cancelled before it was started"
        self.journal.add("s", job.name, None, None)
        self.end(job)

    def refill(self) -> None:
        """Starts those that wait, as far as there is room beside those that run."""
        while self.waiting:
            running = len(self.jobs) - len(self.waiting)
            if running >= (self.waiting[0].spec.get("slots") or len(self.jobs)):
                return
            self.begin(self.waiting.popleft())

    def begin(self, job: Job) -> None:
        """Its first processes."""
        spec = job.spec
        kept = {key: spec.get(key) for key in ("wall", "grace", "log", "cap", "disk", "root")}
        self.journal.add("s", job.name, spec["steps"][-1].get("status"), kept)
        self.journal.flush()  # the intent is on record before the process exists
        for path, values in spec.get("cgroups") or ():
            self.groups.prepare(path, values)
        job.oom = kills(spec.get("oom"))
        self.advance(job)
        if job.name in self.jobs:
            self.limits(job)

    def limits(self, job: Job) -> None:
        """Wall time, and looks at its files."""
        if job.spec.get("wall"):
            self.later(job.spec["wall"], lambda: self.timed_out(job))
        if job.spec.get("disk") or job.spec.get("cap"):
            self.later(LOOK, lambda: self.look(job, LOOK))

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
        if job.failure is None and kills(job.spec.get("oom")) > job.oom:
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
        self.refill()

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
        if job in self.waiting:
            self.waiting.remove(job)
            self.never(job)
        elif not job.stopping:
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
        trim(job.spec)
        disk = job.spec.get("disk")
        if disk and used(job.spec["root"], disk) > disk:
            self.limit(job, "disk", f"it left more than {disk} bytes in its workspace")
        pause = max(LOOK, (time.monotonic() - began) * 20)
        self.later(pause, lambda: self.look(job, pause))

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
            job.exits.append([code, code - 128] if 128 < code < 193 else [code, None])
        elif job.failure is None:
            job.failure = "lost"
            job.message = "the machine was restarted" if self.rebooted else "its launcher was killed"
        self.end(job)


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
