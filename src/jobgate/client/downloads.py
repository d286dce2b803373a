"""What a job left: into memory, or into a directory; whole or not at all, and never outside it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
import stat
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final, Generic, TypeVar
from urllib.parse import quote

import httpx

from jobgate.client import jobs, logs
from jobgate.client.core import B, Core, F, J, decoded
from jobgate.client.errors import BY_FAILURE, Conflict, Invalid, JobFailed, Unreachable
from jobgate.client.line import Asking, Line
from jobgate.client.records import BatchRecord, FileEntry, JobRecord
from jobgate.client.words import near, plain, size

J_co = TypeVar("J_co", bound=JobRecord, covariant=True)
F_co = TypeVar("F_co", covariant=True)
WHAT: Final = "Not downloaded."
_AT_ONCE: Final = 8
"""Files that are fetched side by side."""
_BREAKS: Final = 5
"""Connections in a row that may break without a byte."""
_SOME: Final = 10
"""Files that are named to one who asks for another."""
_LAST: Final = 5
"""Lines of the log that a failure shows."""
_RUNS: Final = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH


@dataclass(frozen=True, slots=True)
class Result(Generic[J_co, F_co]):
    """What a job that succeeded wrote and left."""

    job: J_co
    stdout: str = field(repr=False)
    """Its log: both streams, in order."""
    files: Mapping[str, F_co]
    """By path in the workspace."""

    @property
    def exit_code(self) -> int | None:
        """Of its command."""
        return self.job.exit_code


class NoSuchFile(KeyError):
    """A job left no file of that path."""

    def __str__(self) -> str:
        return str(self.args[0])


class Files(dict[str, F]):
    """Files by path; asked for one that is not there, it says what is. Raises NoSuchFile."""

    def __init__(self, job: str, found: Mapping[str, F], missing: tuple[str, ...] = ()) -> None:
        super().__init__(found)
        self._job, self._lacks = job, missing

    def __missing__(self, path: str) -> F:
        declared = ", though it was asked for as an output" if path in self._lacks else ""
        meant = near(path, self)
        guess = f"; did you mean {plain(meant)}?" if meant else ""
        some = ", ".join(map(plain, islice(self, _SOME))) + (f" and {len(self) - _SOME:,} more" * (len(self) > _SOME))
        raise NoSuchFile(f"{plain(self._job)} left no {plain(path)}{declared}; it left {some or 'no file'}{guess}")


def file_repr(entry: FileEntry) -> str:
    """`<File model.bin, 2.0 GiB>`."""
    return f"<File {plain(entry.path)}, {size(entry.size)}>"


async def result(core: Core[J, B, F], found: J) -> Result[J, F]:
    """Of a job that is over, as it was asked for by its id. Raises JobFailed, whose class names the failure."""
    if not found.over:
        raise Conflict(f"{found.id} has no result.", code="job-active", detail=f"it is {found.state} again")
    if not found.succeeded:
        last = [text async for text in logs.lines(core.line, found.id, logs.Reading(tail=_LAST))]
        raise BY_FAILURE.get(found.failure, JobFailed)(
            found.id,
            failure=found.failure,
            limit=found.limit,
            exit_code=found.exit_code,
            message=plain(found.message),
            last_lines=tuple(plain(text.rstrip("\n")) for text in last),
        )
    text = "".join([part async for part in logs.lines(core.line, found.id, logs.Reading())])
    return Result(found, text, _files(core, found.id, found.outputs, found.missing))


async def files(core: Core[J, B, F], job: str) -> dict[str, F]:
    """The files of a job, by path."""
    return _files(core, job, await entries(core.line, job))


def _files(core: Core[J, B, F], job: str, found: tuple[FileEntry, ...], missing: tuple[str, ...] = ()) -> dict[str, F]:
    return Files(job, {entry.path: core.file(core.line, job, entry) for entry in found}, missing)


async def entries(line: Line, job: str) -> tuple[FileEntry, ...]:
    """What the server lists of it."""
    path = f"/v1/jobs/{quote(job, safe='')}/files"
    found: list[FileEntry] = []
    async for page in jobs.pages(line, path, {}, f"The files of {job} were not listed."):
        found += [decoded(item, FileEntry) for item in page.items]
    return tuple(found)


async def read(line: Line, job: str, entry: FileEntry) -> bytes:
    """All of a file, in memory."""
    return b"".join([piece async for piece in _pieces(line, job, entry)])


async def save(line: Line, job: str, entry: FileEntry, to: Path) -> Path:
    """Where it was written: below a directory under its last name, else at the path itself."""
    target = to / _parts(entry.path)[-1] if await asyncio.to_thread(to.is_dir) else to
    await _fetch(line, job, entry, target)
    return target


async def download(core: Core[J, B, F], what: J | B, to: Path) -> list[Path]:
    """The paths of all files, in order; those that were there and the same are among them."""
    gate = asyncio.Semaphore(_AT_ONCE)
    tasks: list[asyncio.Task[list[Path]]] = []
    try:
        if isinstance(what, BatchRecord):
            async for job in jobs.listed_jobs(core, {"batch": what.id, "expand": "outputs"}):
                if job.over:
                    folder = to / str(job.number)
                    tasks.append(asyncio.create_task(_download(core.line, job.id, job.outputs, folder, gate)))
        else:
            found = await entries(core.line, what.id)
            tasks.append(asyncio.create_task(_download(core.line, what.id, found, to, gate)))
        return [path for group in await asyncio.gather(*tasks) for path in group]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _download(
    line: Line, job: str, found: tuple[FileEntry, ...], to: Path, gate: asyncio.Semaphore
) -> list[Path]:
    paths = []
    for entry in found:
        async with gate:
            target = await asyncio.to_thread(_below, to, entry.path)
            await _fetch(line, job, entry, target)
            paths.append(target)
    return paths


# --- one file


async def _fetch(line: Line, job: str, entry: FileEntry, target: Path) -> None:
    """Writes beside the target and moves it there when it is whole and its hash is right."""
    if await asyncio.to_thread(_same, target, entry):
        return
    beside = target.with_name(f".{target.name[:80]}.{secrets.token_hex(4)}.part")
    try:
        file = await asyncio.to_thread(beside.open, "xb")
        with file:
            digest = await _written(line, job, entry, file)
        if entry.sha256 and digest != entry.sha256:
            raise Unreachable(WHAT, why=f"{entry.path} of {job} arrived with another hash than the server's list says")
        if entry.mode is not None and entry.mode & _RUNS:
            beside.chmod(beside.stat().st_mode | stat.S_IXUSR)
        beside.replace(target)
    except OSError as error:
        raise Invalid(WHAT, code="no-place", detail=f"{error.filename or target}: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


async def _written(line: Line, job: str, entry: FileEntry, file: BinaryIO) -> str:
    digest = hashlib.sha256()
    async for piece in _pieces(line, job, entry):
        digest.update(piece)
        file.write(piece)
    return digest.hexdigest()


async def _pieces(line: Line, job: str, entry: FileEntry) -> AsyncIterator[bytes]:
    """The bytes in order, each once, through connections that break."""
    path = f"/v1/jobs/{quote(job, safe='')}/files/{quote(entry.path)}"
    offset = 0
    breaks = 0
    while True:
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
        async with line.open(Asking(method="GET", path=path, what=WHAT, headers=headers)) as answer:
            passed = offset if answer.status_code != httpx.codes.PARTIAL_CONTENT else 0
            try:
                async for piece in answer.aiter_bytes():
                    new, passed = piece[passed:], max(0, passed - len(piece))
                    if new:
                        offset += len(new)
                        breaks = 0
                        yield new
            except httpx.TransportError as error:
                breaks += 1
                if breaks > _BREAKS:
                    raise Unreachable(WHAT, why=f"the connection broke at byte {offset:,} of {entry.path}") from error
            else:
                return
        await line.rest()


def _same(target: Path, entry: FileEntry) -> bool:
    """Whether it is there already."""
    if not entry.sha256 or target.is_symlink() or not target.is_file() or target.stat().st_size != entry.size:
        return False
    with target.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256


def _parts(path: str) -> tuple[str, ...]:
    """The names on the way. Raises Invalid for a path that leads anywhere else than down."""
    parts = tuple(path.split("/"))
    odd = "\\:" if os.name == "nt" else ""
    if any(part in ("", ".", "..") or "\0" in part or set(odd) & set(part) for part in parts):
        raise Invalid(WHAT, code="path", detail=f"{plain(path)}: the server names a path that leads out of the folder")
    return parts


def _below(root: Path, path: str) -> Path:
    """The place of a path below the root, its directories made; no link is followed on the way. Raises Invalid."""
    *folders, name = _parts(path)
    here = root
    try:
        here.mkdir(parents=True, exist_ok=True)
        for folder in folders:
            here /= folder
            if here.is_symlink():
                raise Invalid(WHAT, code="path", detail=f"{here} is a link; what is downloaded stays below {root}")
            here.mkdir(exist_ok=True)
    except OSError as error:
        raise Invalid(WHAT, code="no-place", detail=f"{error.filename or here}: {error.strerror}") from error
    return here / name
