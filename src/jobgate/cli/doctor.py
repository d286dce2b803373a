"""`jobgate doctor`: what this machine can run, by the local engine's own probes, and how to get what is missing.

Nothing is asked of a server, and nothing is left behind.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer

from jobgate.cli.render import BAD, GOOD, NOTHING, WARN, Sign, beside
from jobgate.cli.say import refuse
from jobgate.cli.screen import Screen
from jobgate.client.words import plain, size
from jobgate.config import Environment, Settings, load
from jobgate.engines.local import sandbox
from jobgate.engines.local.limits import Limits
from jobgate.model.errors import JobgateError

app = typer.Typer(rich_markup_mode=None)
_SIGNS: Final = {"ready": GOOD, "partly": WARN, "missing": BAD, "not offered": NOTHING}
_COMMITS: Final = 7
_LOW: Final = 1 << 30
"""Free bytes below which a disk is short."""


class Finding(NamedTuple):
    """One thing that was looked at."""

    name: str
    state: str
    """ready, partly, missing, or not offered."""
    text: str
    cure: str = ""
    runs: bool = False
    """It is an environment that runs jobs."""


@app.command("doctor")
def doctor(  # each is an option of the command
    data: Annotated[Path | None, typer.Option(help="The data folder that is meant.")] = None,
    config_file: Annotated[Path | None, typer.Option("--config", help="The configuration that is meant.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Names of environments that work, only.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours. [NO_COLOR]")] = False,
) -> None:
    """Say what this machine can run, and how to get what is missing.

    Ends 0 when at least one environment works.
    """
    try:
        settings = load(config_file, {"data": str(data)} if data is not None else {})
    except JobgateError as error:
        refuse("The configuration cannot be used.", error.message, "jobgate config check FILE")
        raise typer.Exit(2) from error
    folder = Path(settings.server.data) if data is not None or config_file is not None else None
    found = list(findings(settings, folder))
    screen = Screen(as_json=as_json, quiet=quiet, colours=not no_color)
    works = [one.name for one in found if one.runs]
    if as_json:
        listed = [{"name": f.name, "state": f.state, "text": f.text, "cure": f.cure} for f in found]
        screen.say(json.dumps({"ready": works, "items": listed}))
    elif quiet:
        for name in works:
            screen.say(plain(name))
    else:
        _tell(screen, found, works)
    raise typer.Exit(0 if works else 1)


def _tell(screen: Screen, found: Iterable[Finding], works: Iterable[str]) -> None:
    found = list(found)
    wide = max(len(one.name) for one in found)
    for one in found:
        sign: Sign = _SIGNS[one.state]
        cure = f"get it: {one.cure}" if one.cure.startswith("apt ") else one.cure
        first, *rest = beside(f"{one.name:<{wide}}  {one.text}", cure, screen.width - 2)
        screen.signed(first, sign)
        for line in rest:
            screen.say(f"  {' ' * wide}{line}")
    screen.say(f"Ready with: {', '.join(map(plain, works))}." if works else "No environment works here.")


def findings(settings: Settings, folder: Path | None) -> Iterator[Finding]:
    """All there is to say of this machine, environments first."""
    with _place(folder) as place:
        sections = settings.environments or {"local": Environment()}
        bwrap, why = _sandbox(place, min(section.base_uid for section in sections.values()))
        version = _groups()
        for name, section in sections.items():
            yield _local(name, section, bwrap, why, version)
        yield from _below(bwrap, why, version)
        yield _network(sections.values(), sandboxed=bwrap is not None)
        yield from _others()
        yield from _disk(place, settings.storage.reserve)


@contextmanager
def _place(folder: Path | None) -> Iterator[Path]:
    """The nearest folder that is there, or one of our own for the while."""
    if folder is not None:
        there = next((path for path in (folder, *folder.resolve().parents) if path.is_dir()), Path("/"))
        if os.access(there, os.W_OK):
            with tempfile.TemporaryDirectory(prefix=".doctor-", dir=there) as made:
                Path(made).chmod(0o711)
                yield Path(made)
            return
    with tempfile.TemporaryDirectory(prefix="jobgate-doctor-") as made:
        Path(made).chmod(0o711)  # as a data folder: a slot's own user passes through
        yield Path(made)


def _sandbox(place: Path, base_uid: int) -> tuple[str | None, str]:
    """Where bubblewrap is, if it can make a sandbox; else why not."""
    bwrap = sandbox.find("bwrap")
    if bwrap is None:
        return None, "bwrap is not installed"
    why = ""
    for uid in [base_uid, None] if os.geteuid() == 0 else [None]:
        why = sandbox.fault(bwrap, place, uid)
        if not why:
            return bwrap, ""
    return None, why.splitlines()[-1]


def _groups() -> int:
    limits = Limits(f"jobgate-doctor-{os.getpid()}")
    limits.remove()
    return limits.version


def _local(name: str, section: Environment, bwrap: str | None, why: str, version: int) -> Finding:
    slots = section.slots or len(os.sched_getaffinity(0))
    limited = f"limits by cgroup v{version}" if version else "limits by rlimit"
    if section.sandbox == "none":
        return Finding(name, "partly", f"{slots} slots, no sandbox (as configured), {limited}", runs=True)
    if bwrap is not None:
        return Finding(name, "ready", f"{slots} slots, sandbox ({_version(bwrap)}), {limited}", runs=True)
    if section.sandbox == "bubblewrap":
        return Finding(name, "missing", f"the sandbox is asked for, and cannot be had: {why}", _cure(why))
    text = f"{slots} slots, plain processes of this user, for loopback only: {why}"
    return Finding(name, "partly", text, _cure(why), runs=True)


def _version(bwrap: str) -> str:
    told = subprocess.run([bwrap, "--version"], capture_output=True, text=True, check=False)  # noqa: S603  # just found
    return told.stdout.strip() or "bubblewrap"


def _cure(why: str) -> str:
    if "not installed" in why:
        return "apt install bubblewrap"
    return "allow unprivileged user namespaces: sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces"


def _below(bwrap: str | None, why: str, version: int) -> Iterator[Finding]:
    if bwrap is None:
        yield Finding("namespaces", "missing", f"no sandbox can be made: {why}", _cure(why))
    root = Path("/sys/fs/cgroup")
    there = 2 if (root / "cgroup.controllers").exists() else 1 if (root / "memory").exists() else 0
    if not version:
        because = f"cgroup v{there} is not this user's to write" if there else "there are none"
        cure = "start the gateway as root to have memory and cores limited"
        yield Finding("limits", "partly", f"no control groups: {because}", cure)


def _network(sections: Iterable[Environment], *, sandboxed: bool) -> Finding:
    if all(section.network == "none" for section in sections):
        return Finding("network", "ready", "none, as configured")
    if not sandboxed:
        return Finding("network", "partly", "without the sandbox a job has this machine's own network")
    if sandbox.outbound() is not None:
        return Finding("network", "ready", "outbound (slirp4netns)")
    if not Path("/dev/net/tun").exists():
        return Finding("network", "partly", "outbound is off: no /dev/net/tun", "modprobe tun")
    return Finding("network", "partly", "outbound is off: no slirp4netns", "apt install slirp4netns")


def _others() -> Iterator[Finding]:
    """Engines that are not built yet are not offered, whatever the machine has."""
    socket = next((path for path in ("/var/run/docker.sock", "/run/podman/podman.sock") if Path(path).exists()), "")
    has = f" ({socket} is here)" if socket else ""
    yield Finding("container", "not offered", f"not in this version{has}")
    slurm = [name for name in ("sbatch", "squeue", "sacct") if shutil.which(name)]
    has = f" ({', '.join(slurm)} are here)" if slurm else ""
    yield Finding("slurm", "not offered", f"not in this version{has}")


def _disk(place: Path, reserve: int) -> Iterator[Finding]:
    free = shutil.disk_usage(place).free
    try:
        took = commit_time(place)
    except sqlite3.Error as error:
        yield Finding("disk", "missing", f"{size(free)} free, and a database cannot be written: {error}")
        return
    text = f"{size(free)} free, a synced commit takes {took * 1000:.1f} ms"
    if free < max(reserve, _LOW):
        yield Finding("disk", "partly", text, f"make room: below {size(max(reserve, _LOW))} new work is refused")
    else:
        yield Finding("disk", "ready", text)
    if platform.system() != "Linux":
        yield Finding("system", "missing", f"{platform.system()}: jobs run on Linux only")


def commit_time(place: Path) -> float:
    """Seconds of one commit that is on disk when it returns, as the gateway's are; the median of a few."""
    took = []
    database = sqlite3.connect(place / "commit.sqlite", isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE t (x)")
        for turn in range(_COMMITS):
            begun = time.perf_counter()
            database.execute("INSERT INTO t VALUES (?)", (turn,))
            took.append(time.perf_counter() - begun)
    finally:
        database.close()
    return statistics.median(took)
