"""The embedded engine: words each attempt for the launcher, and its answers for the runner."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import stat
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from jobgate.engines.engine import Capabilities, Observation, Phase, Start
from jobgate.engines.local import sandbox
from jobgate.engines.local.limits import Limits
from jobgate.engines.local.logs import piece_of, size_of
from jobgate.engines.local.wire import Launcher
from jobgate.model.attempt import Attempt, AttemptId, Exit, Handle, Usage
from jobgate.model.errors import EngineError, NotFound
from jobgate.model.files import Piece
from jobgate.model.job import Argv, ImageRef, Script, Step
from jobgate.model.resources import Network
from jobgate.model.state import Failure, Limit

_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
_MARK: Final = "JOBGATE_ATTEMPT"
_log = structlog.get_logger("jobgate.engine")


class LocalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine is made with."""

    directory: Path
    """The launcher's own."""
    work: Path
    """Where workspaces and logs are."""
    sandbox: str = "auto"
    """auto, bubblewrap or none."""
    slots: int = 0
    """Jobs that run at once; those handed over beyond it wait at the launcher. 0: as many as are handed over."""
    log_cap: int = 10 << 20
    grace: float = 5.0
    base_uid: int = 200_000
    """Uid of slot 0, when the gateway is root; each slot has its own."""
    forbidden: tuple[str, ...] = ()
    """Networks that no job reaches."""
    binds: tuple[str, ...] = ()
    images: Mapping[str, str] = {}
    """Name to unpacked root; empty: the host's own tools."""
    cgroup: str = "jobgate"


class LocalEngine:
    """Jobs on this machine. Nothing is kept here that the launcher does not know too."""

    name = "local"

    def __init__(self, settings: LocalSettings, *, launcher_env: Mapping[str, str] | None = None) -> None:
        self._settings = settings
        self._bwrap: str | None = None
        self._slirp: str | None = None
        self._filter = settings.directory / "filter.bpf"
        self._etc = settings.directory / "etc"
        self._has_filter = False
        self._limits = Limits(settings.cgroup)
        env = {"PATH": _PATH, **(launcher_env or {})}
        self._launcher = Launcher(settings.directory, env=env, groups=self._limits.groups)
        self._uid: int | None = None
        self._forbidden = settings.forbidden
        self._capabilities = Capabilities(pushes=True)
        self._opened = False

    @property
    def capabilities(self) -> Capabilities:
        """Known after `open`."""
        return self._capabilities

    async def open(self) -> None:
        """Finds out what this machine can do and meets the launcher; once. Raises EngineError."""
        if self._opened:
            return
        self._settings.directory.mkdir(parents=True, exist_ok=True, mode=0o711)
        self._settings.directory.chmod(0o711)  # a slot's own user reads /etc and the filter through it
        self._settings.work.mkdir(parents=True, exist_ok=True, mode=0o711)
        await asyncio.to_thread(self._find_out)
        networks = {Network.NONE, Network.HOST} if self._bwrap else set(Network)
        if self._bwrap and self._slirp:
            networks.add(Network.OUTBOUND)
        self._capabilities = Capabilities(
            networks=frozenset(networks),
            pushes=True,
            holds=self._settings.slots > 0,
            isolated=self._bwrap is not None,
            limits=self._limits.enforced,
            together=True,
            log=self._settings.log_cap,
        )
        await self._launcher.open()
        self._opened = True

    def _find_out(self) -> None:
        settings = self._settings
        if settings.sandbox == "none":
            return
        bwrap = sandbox.find("bwrap")
        why = "bwrap is not installed"
        if bwrap is not None:
            sandbox.make_etc(self._etc)
            self._has_filter = sandbox.make_filter(self._filter)
            for uid in [settings.base_uid, None] if os.geteuid() == 0 else [None]:
                why = sandbox.fault(bwrap, settings.work, uid)
                if not why:
                    self._bwrap, self._uid = bwrap, uid
                    self._slirp = sandbox.outbound()
                    break
                if uid is not None:
                    self._warn_of_root(uid, why)
        if self._bwrap is None and settings.sandbox == "bubblewrap":
            raise EngineError(f"the sandbox is asked for, and cannot be had: {why}. Install bubblewrap")
        if self._bwrap is None:
            do = "install bubblewrap, or allow unprivileged user namespaces; until then trust every job"
            _log.warning("jobs run without a sandbox", engine=self.name, why=why, do=do)
        self._forbidden = (*settings.forbidden, *own_addresses())

    def _warn_of_root(self, uid: int, why: str) -> None:
        """The sandbox is then tried as root: it holds, but with one wall less."""
        closed = sandbox.closed_above(self._settings.work)
        if closed is not None:
            why = f"{closed} is closed to other users (mode {stat.S_IMODE(closed.stat().st_mode):04o})"
            do = f"chmod o+x {closed}, or put the data folder elsewhere"
        else:
            do = f"let user {uid} and those after it make user namespaces below {self._settings.work}"
        _log.warning(
            "sandboxes are started by root: no slot has a user of its own", engine=self.name, why=why, do=do, uid=uid
        )

    @property
    def launcher_pid(self) -> int:
        """The process that parents the jobs now."""
        return self._launcher.pid

    @property
    def trouble(self) -> str:
        """Why no job can be started now: no launcher, or a full disk. Empty when one can."""
        return self._launcher.trouble

    async def close(self) -> None:
        """Lets go; jobs run on."""
        await self._launcher.close()

    async def submit(self, starts: Sequence[Start]) -> Mapping[AttemptId, Handle | EngineError]:
        """Hands over; see `Engine.submit`."""
        answers: dict[AttemptId, Handle | EngineError] = {}
        specs = []
        for start in starts:
            if self._launcher.trouble and not self._launcher.knows(str(start.attempt)):
                answers[start.attempt] = EngineError(self._launcher.trouble, retryable=True)
                continue
            try:
                specs.append(self._words(start))
                answers[start.attempt] = Handle(str(start.attempt))
            except EngineError as error:
                answers[start.attempt] = error
            except OSError as error:
                answers[start.attempt] = EngineError(f"the workspace cannot be used: {error.strerror}", retryable=True)
            except ValueError as error:
                answers[start.attempt] = EngineError(f"no process can have such words: {error}")
        self._launcher.start(specs)
        return answers

    def _words(self, start: Start) -> dict[str, Any]:
        """The job as the launcher is told it."""
        uid = None if self._uid is None else self._uid + start.slot
        hold = self._limits.hold(start.slot, start.resources)
        steps = [self._step(start, place, step) for place, step in enumerate(start.spec.steps)]
        if uid is not None:
            _give(start.workspace, uid)
        return {
            "name": str(start.attempt),
            "slots": self._settings.slots,
            "steps": steps,
            "root": str(start.workspace),
            "log": str(start.log),
            "cap": self._settings.log_cap,
            "wall": start.resources.walltime,
            "grace": self._settings.grace,
            "disk": start.resources.disk or None,
            "uid": uid,
            "cgroups": hold.cgroups,
            "rlimits": hold.rlimits,
            "oom": hold.oom,
        }

    def _step(self, start: Start, place: int, step: Step) -> dict[str, Any]:
        home = start.spec.place.home if self._bwrap else str(start.workspace)
        env = {"PATH": _PATH, "HOME": home, "LANG": "C.UTF-8", **step.env, **start.env, _MARK: str(start.attempt)}
        argv = self._argv(start, place, step, home)
        top = start.workspace
        root_of = f"{top}/"

        def inside(path: str) -> str | None:
            return root_of + path if path else None

        words: dict[str, Any] = {
            "env": env,
            "cwd": root_of + step.workdir,
            "stdin": inside(step.stdin),
            "stdout": inside(step.stdout),
            "stderr": inside(step.stderr),
            "ignore": step.ignore_error,
            "together": step.together,
            "word": argv[0],
        }
        root = self._image(step)
        if self._bwrap is None:
            if root is not None:
                raise EngineError("an image with a root of its own needs the sandbox", code="app-not-runnable")
            return {**words, "argv": [_found(argv[0], env["PATH"], top / step.workdir), *argv[1:]]}
        network = start.resources.network
        if network not in self._capabilities.networks:
            raise EngineError(f"there is no network {network.value} on this machine", code="network")
        box = sandbox.Box(
            workspace=top,
            home=home,
            workdir=step.workdir,
            network=network,
            etc=self._etc,
            root=root,
            binds=self._settings.binds,
            seccomp=self._has_filter,
        )
        line = sandbox.command_line(self._bwrap, box, env, argv)
        if network is Network.OUTBOUND and self._slirp is not None:
            uid = None if self._uid is None else self._uid + start.slot
            line = sandbox.networked(self._forbidden, self._slirp, uid, line)
            words["changes_user"] = True
        status = start.log.with_name(f"{start.log.stem}.{place}.status")
        filter_ = str(self._filter) if self._has_filter else None
        plain_env = {"PATH": _PATH, _MARK: str(start.attempt)}
        return {**words, "argv": line, "env": plain_env, "cwd": "/", "status": str(status), "seccomp": filter_}

    def _argv(self, start: Start, place: int, step: Step, home: str) -> list[str]:
        match step.command:
            case Argv(words):
                return list(words)
            case Script(text):
                name = f".jobgate-step-{place}-{secrets.token_hex(4)}"
                path = start.workspace / name
                path.write_text(text)
                path.chmod(0o755)
                return [f"{home}/{name}"] if text.startswith("#!") else ["/bin/sh", f"{home}/{name}"]

    def _image(self, step: Step) -> Path | None:
        if not isinstance(step.program, ImageRef):
            return None
        root = self._settings.images.get(step.program.name)
        if root is None or step.program.archive:
            raise EngineError(f"the image {step.program.name!r} is not here", code="app-not-runnable")
        return Path(root) if root else None

    async def changes(self) -> AsyncIterator[Sequence[AttemptId]]:
        """Names that changed, those of one frame together; endless."""
        while True:
            known, strange = list[AttemptId](), list[str]()
            for name in await self._launcher.changes():
                try:
                    known.append(AttemptId.parse(name))
                except NotFound:
                    strange.append(name)
            if strange:  # a gateway of before named them otherwise: nobody will ask for them
                self._launcher.stop(strange)
                self._launcher.forget(strange)
            if known:
                yield known

    async def poll(self, attempts: Sequence[AttemptId]) -> Mapping[AttemptId, Observation]:
        """From memory: the launcher tells every change. Raises EngineError while it does not."""
        launcher = self._launcher
        if launcher.away and not all(launcher.settled(str(attempt)) for attempt in attempts):
            raise EngineError(launcher.away, retryable=True)
        return {attempt: self._observe(str(attempt)) for attempt in attempts}

    def _observe(self, name: str) -> Observation:
        launcher = self._launcher
        if (record := launcher.ended.get(name)) is not None:
            return observation(record)
        if name in launcher.recalled:
            return Observation(phase=Phase.RECALLED, handle=Handle(name))
        if name in launcher.running:
            started = launcher.running[name]
            phase = Phase.STARTING if started is None else Phase.RUNNING
            return Observation(phase=phase, handle=Handle(name), started=started)
        failure = Failure.LOST if launcher.rebooted else None
        message = "the machine was restarted; whether it had started is not known" if launcher.rebooted else ""
        return Observation(phase=Phase.GONE, failure=failure, message=message)

    async def read(self, attempt: Attempt, offset: int, limit: int) -> Piece:
        """Bytes of the log as it is now; see `Engine.read`."""
        path = self._settings.work / f"{attempt.id}.log"
        if not limit:
            return size_of(path)
        return await asyncio.to_thread(piece_of, path, offset, limit)

    async def cancel(self, attempts: Sequence[AttemptId]) -> None:
        """Asks the launcher."""
        self._launcher.stop([str(attempt) for attempt in attempts])

    async def recall(self, attempts: Sequence[AttemptId]) -> None:
        """Asks the launcher for those that wait there."""
        self._launcher.recall([str(attempt) for attempt in attempts])

    async def collect(self, attempt: Attempt, workspace: Path) -> None:
        """Everything is where it belongs."""

    async def release(self, attempts: Sequence[AttemptId]) -> None:
        """The launcher forgets them."""
        self._launcher.forget([str(attempt) for attempt in attempts])

    def stop_jobs(self) -> None:
        """Kills every job and ends the launcher."""
        self._launcher.shutdown(stop_jobs=True)


_FAILURES: Final = {"limit": Failure.LIMIT, "lost": Failure.LOST, "engine": Failure.ENGINE}


def observation(record: Mapping[str, Any]) -> Observation:
    """What the launcher kept of an end."""
    code = record["exit"]
    if record["failure"] == "lost":
        return Observation(phase=Phase.GONE, started=record["started"], message=record["message"], failure=Failure.LOST)
    return Observation(
        phase=Phase.ENDED,
        handle=Handle(record["name"]),
        started=record["started"],
        ended=record["ended"],
        exit=None if code is None else Exit(code[0], code[1]),
        usage=Usage(record["cpu"], max(record["ended"] - (record["started"] or record["ended"]), 0.0), record["rss"]),
        failure=_FAILURES.get(record["failure"] or ""),
        limit=Limit(record["limit"]) if record["limit"] else None,
        message=record["message"],
        steps=tuple(Exit(end[0], end[1]) for end in record["steps"]),
    )


def _found(program: str, path: str, cwd: Path) -> str:
    """The program by its name, as a shell would find it."""
    if "/" in program:
        return str(cwd / program)
    for directory in path.split(":"):
        if os.access(f"{directory}/{program}", os.X_OK):
            return f"{directory}/{program}"
    return program


def _give(root: Path, uid: int) -> None:
    """The workspace becomes the slot's own; links are given, not followed."""
    os.chown(root, uid, uid, follow_symlinks=False)
    for directory, folders, files in os.walk(root):
        for name in (*folders, *files):
            os.chown(f"{directory}/{name}", uid, uid, follow_symlinks=False)


def own_addresses() -> tuple[str, ...]:
    """This machine's own addresses, public ones too: no job may come back in by them."""
    found = set()
    with suppress(OSError):
        for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET):
            found.add(f"{info[4][0]}/32")
    with suppress(OSError):
        lines = Path("/proc/net/fib_trie").read_text().splitlines()
        for above, line in pairwise(lines):
            if "host LOCAL" in line and "|--" in above:
                found.add(f"{above.split('|--')[1].strip()}/32")
    return tuple(sorted(found))
