"""The launcher itself: its loop, and what it does with each thing that happens."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence

from .door import Door
from .groups import Groups
from .job import FIRST, Job, blame, sandboxed, spawn
from .journal import Journal
from .processes import (
    Json,
    boot_id,
    children,
    home_of,
    inside,
    libc,
    mark,
)
from .spent import INSIDE, came_home, expect, spend, to_come
from .stop import kill, kill_below, terminate
from .timers import Timers
from .usage import NAMES, taken, trim
from .watch import Watch

PR_SET_CHILD_SUBREAPER = 36
STARTS_KEPT = 0.01
"""Seconds until a start is told, unless its end is first."""
RETRY = 0.5
"""Seconds before a journal that could not be written is tried again."""
ALONE = float(os.environ.get("JOBGATE_ALONE", "60"))
"""Seconds that it stays without a job and without a gateway. The variable is for tests."""
SOON = 0.1
LOOK = 1.0
"""Seconds between two looks at a job's files, and before the first."""


class Launcher:
    """The loop."""

    def __init__(self, directory: str, groups: Sequence[str] = ()) -> None:
        self.directory = directory
        self.home = home_of(directory)
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
        """Jobs about to begin, as soon as that is on record."""
        self.waiting: deque[Job] = deque()
        """Each begins as soon as fewer run than it is told may run at once."""
        self.watch = Watch()
        self.timers = Timers()
        self.door = Door(f"{directory}/socket", self.watch, self.greet, self.heard, self.alone)
        self.told_started: dict[str, tuple[float, float]] = {}
        """When, by the clock and by the timers'."""
        self.told_ended: list[Json] = []
        self.told_recalled: list[str] = []
        self.told_trouble = ""
        self.groups = Groups(groups)
        self.running = True
        self.retrying = False
        while os.dup(0) < FIRST:
            pass  # what is opened from now on is above the numbers that a child's streams get
        self.family = os.open(f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY | os.O_CLOEXEC)

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
        self.watch.add(reading, lambda: self.signalled(reading))
        self.keep()
        self.alone()
        while self.running:
            self.watch.wait(self.timers.pause())
            self.timers.run()
            self.refill()
            self.keep()
            self.tell()
        self.groups.dissolve()

    def keep(self) -> bool:
        """Writes the journal; false when it cannot be. Then it is tried again, and nothing is started meanwhile."""
        if not self.journal.flush(sync=self.door.gateway is None and bool(self.told_ended)):
            if not self.retrying:
                self.retrying = True
                self.timers.later(RETRY, self.retry)
            return False
        if self.held:
            held, self.held = self.held, []
            for job in held:
                self.begin(job)
            self.refill()  # some may have ended already
            return self.keep()
        return True

    def retry(self) -> None:
        """The loop keeps the journal after each pass; this makes one."""
        self.retrying = False

    def later(self, job: Job, what: str, seconds: float, act: Callable[[], None]) -> None:
        """Calls `act` then, unless the job is over or has a new `what`."""
        if what in job.timers:
            self.timers.call_off(job.timers[what])
        job.timers[what] = self.timers.later(seconds, act)

    def greet(self) -> Json:
        """What a gateway is told first: all there is. An end that is not on record yet is not told yet."""
        if self.keep():
            self.told_ended.clear()
        waiting = {record["name"]: record for record in self.told_ended}
        running = [{"name": job.name, "started": job.started or None} for job in self.jobs.values()]
        running += [{"name": name, "started": record["started"]} for name, record in waiting.items()]
        ends = [entry["end"] for name, entry in self.journal.names.items() if "end" in entry and name not in waiting]
        self.told_started.clear()
        self.told_recalled.clear()  # none of them is among those that run: whoever wants one asks again
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
                elif word == "recall":
                    self.recall(item)
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
            while self.waiting:
                self.never(self.waiting.popleft())
            for job in list(self.jobs.values()):
                self.kill(job)
        self.maybe_leave()

    def maybe_leave(self) -> None:
        """After the last job, and not before its end is on record."""
        self.running = bool(self.jobs) or bool(self.journal.trouble)
        if self.running:
            self.timers.later(0.1, self.maybe_leave)

    def alone(self) -> None:
        """No gateway is here, or no job any more: without either it leaves after a while; the journal stays."""
        if self.door.gateway is None and not self.jobs:
            self.timers.later(ALONE, self.leave_alone)

    def leave_alone(self) -> None:
        """If nobody has come."""
        if self.door.gateway is None and not self.jobs:
            self.maybe_leave()

    def tell(self) -> None:
        """One frame with all that happened in this pass."""
        frame: Json = {}
        if self.told_ended and not self.journal.trouble:
            frame["ended"], self.told_ended = self.told_ended, []
        if self.told_trouble != self.journal.trouble:
            frame["trouble"] = self.told_trouble = self.journal.trouble
        if self.told_recalled:
            frame["recalled"], self.told_recalled = self.told_recalled, []
        if frame and self.door.gateway is not None:
            self.door.send(frame)

    def tell_started(self) -> None:
        """Starts are told a moment later: most jobs of a flood have ended by then, and their ends say it too."""
        due = time.monotonic() - STARTS_KEPT
        names = [name for name, (_, when) in self.told_started.items() if when <= due]
        started = [{"name": name, "started": self.told_started.pop(name)[0]} for name in names]
        if self.told_started:
            oldest = min(when for _, when in self.told_started.values())
            self.timers.later(max(oldest - due, 0.0), self.tell_started)
        if started and self.door.gateway is not None:
            self.door.send({"started": started})

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
                self.never(job)
                continue
            self.jobs[name] = job
            self.waiting.append(job)

    def never(self, job: Job) -> None:
        """Stopped before it began."""
        job.failure, job.message = "cancelled", "it was cancelled before it was started"
        self.journal.add("s", job.name, None, None, time.time())
        self.end(job)

    def refill(self) -> None:
        """As many of those that wait as there is room for; the intent is on record before the process exists."""
        while self.waiting:
            spec = self.waiting[0].spec
            if len(self.jobs) - len(self.waiting) >= (spec.get("slots") or len(self.jobs)):
                return
            job = self.waiting.popleft()
            kept = {key: spec.get(key) for key in ("wall", "grace", "log", "cap", "disk", "root")}
            self.journal.add("s", job.name, spec["steps"][-1].get("status"), kept, time.time())
            self.held.append(job)

    def begin(self, job: Job) -> None:
        """Its first process."""
        for path, values in job.spec.get("cgroups") or ():
            self.groups.prepare(path, values)
        job.oom = self.groups.oom_kills(job.spec.get("oom"))
        self.advance(job)
        if job.name in self.jobs:
            self.limits(job)

    def limits(self, job: Job) -> None:
        """Wall time, and looks at its files."""
        if job.spec.get("wall"):
            self.later(job, "wall", job.spec["wall"], lambda: self.timed_out(job))
        if job.spec.get("disk") or job.spec.get("cap"):
            self.later(job, "look", LOOK, lambda: self.look(job, LOOK))

    def advance(self, job: Job) -> None:
        """The next stage, or the end."""
        job.stage += 1
        if job.stage >= len(job.stages) or job.stopping:
            self.end(job)
            return
        for step in job.stages[job.stage]:
            try:
                pid, born = spawn(job, step, self.groups, self.home)
            except (OSError, ValueError) as error:
                code, message = blame(step, error)
                if code is None:
                    self.broke(job, message)
                    break
                job.message = message
                self.stepped(job, step, [code, None])
                continue
            if not job.started:
                job.started = time.time()
                if not self.told_started:
                    self.timers.later(STARTS_KEPT, self.tell_started)
                self.told_started[job.name] = (job.started, time.monotonic())
            job.pids[pid] = step
            self.by_pid[pid] = job
            self.journal.add("p", job.name, pid, born, job.started)
        if not job.pids:
            self.finished_stage(job)

    def broke(self, job: Job, message: str) -> None:
        """The machine's fault, not its own."""
        job.failure, job.message, job.stopping = job.failure or "engine", message, True
        for pid in job.pids:
            kill_below(pid)

    # --- ending

    def reap(self) -> None:
        """Every child that ended; those never started here came home from a job that forked away."""
        strangers = False
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                break
            job = self.by_pid.pop(pid, None)
            if job is None:
                # else its own children have come home now
                strangers = not came_home(self.jobs.values(), pid, usage) or strangers
                continue
            step = job.pids.pop(pid)
            if not step.get("status"):
                spend(job, usage)
            elif inside := to_come(job, step, usage):
                expect(self, job, inside)
            if step is not INSIDE:
                number = os.waitstatus_to_exitcode(status)
                end: list[int | None] = [128 - number, -number] if number < 0 else [number, None]
                self.stepped(job, step, sandboxed(job, step, end) if step.get("status") else end)
            if not job.pids:
                self.finished_stage(job)
        if strangers:
            self.sweep()

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
        if job.failure is None and self.groups.oom_kills(job.spec.get("oom")) > job.oom:
            job.failure, job.limit, job.message = "limit", "memory", "it needed more memory than it may have"
        self.jobs.pop(job.name, None)
        self.told_started.pop(job.name, None)  # its end says it too
        for timer in job.timers.values():
            self.timers.call_off(timer)
        for step in job.spec["steps"]:
            if step.get("status"):
                with contextlib.suppress(OSError):
                    os.unlink(step["status"])
        trim(job.spec)
        record = job.record()
        self.journal.add("e", job.name, record)
        self.told_ended.append(record)
        self.alone()

    def sweep(self, over: Job | None = None) -> None:
        """Kills what no job is waiting for: processes that forked away and came home when their parents ended."""
        for pid in children(self.family):
            if pid not in self.by_pid and self.stray(pid, over):
                kill_below(pid)

    def stray(self, pid: int, over: Job | None) -> bool:
        """Whether a process that came home is of no living job, or of the one that is `over`."""
        others = len(self.jobs) - (over is not None and over.name in self.jobs)
        name = mark(pid, self.home)
        if name == "":
            return False  # it has ended too
        if name is not None and (over is None or name != over.name):
            return name not in self.jobs
        return name is not None or not others or (over is not None and inside(pid, over.spec.get("cgroups") or ()))

    # --- stopping

    def recall(self, name: str) -> None:
        """One that waits, and of which nothing is on record, is as if it had not come; any other goes on."""
        job = self.jobs.get(name)
        if job is not None and job in self.waiting:
            self.waiting.remove(job)
            del self.jobs[name]
            self.told_recalled.append(name)
            self.alone()

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
            terminate(job.pids)
            self.later(job, "kill", job.spec.get("grace", 5.0), lambda: self.kill(job))

    def timed_out(self, job: Job) -> None:
        """Its wall time is over."""
        self.limit(job, "walltime", f"it ran longer than {job.spec['wall']:g} s")

    def limit(self, job: Job, which: str, message: str) -> None:
        """Stopped at a limit."""
        if job.name in self.jobs and not job.stopping:
            job.failure, job.limit, job.message = "limit", which, message
            self.stop(job.name)

    def kill(self, job: Job) -> None:
        """Everything of it, at once."""
        if job.name not in self.jobs:
            return
        job.stopping = True
        kill(job.pids)
        self.later(job, "kill", 1.0, lambda: self.kill(job))

    # --- looking after files

    def look(self, job: Job, pause: float) -> None:
        """What it takes of the disk, at a price of at most a tenth of the time."""
        if job.name not in self.jobs:
            return
        began = time.monotonic()
        self.shorten(job)
        disk = job.spec.get("disk")
        if disk and taken(job.spec, job.pids, disk) > disk:
            self.limit(job, "disk", f"it left more than {disk} bytes, or {NAMES} names, in its workspace")
        pause = max(LOOK, (time.monotonic() - began) * 10)
        self.later(job, "look", pause, lambda: self.look(job, pause))

    def shorten(self, job: Job) -> None:
        """Its log; one that grows fast is looked at again soon."""
        before, job.logged = job.logged, trim(job.spec)
        if job.logged - before > job.spec.get("cap", 0) // 2:
            self.later(job, "log", SOON, lambda: self.shorten(job))
