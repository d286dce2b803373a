"""From what the caller says to the draft of one job; files of this machine are sent on the way."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any, Final, cast

import msgspec

from jobgate.client.errors import NO_FILE, Invalid
from jobgate.client.line import Line
from jobgate.client.options import BatchOptions, Command, FolderFile, JobOptions, Output, Source
from jobgate.client.records import Upload
from jobgate.client.uploads import upload
from jobgate.client.words import near

INLINE: Final = 16 * 1024
"""Bytes of text that ride in the request; more is sent by its hash, and only if the server has not got it."""
WHAT: Final = "Not submitted."
_PATTERN: Final = frozenset("*?[")


class InputDraft(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file that is there before the command starts."""

    path: str
    content: str | None = None
    url: str | None = None
    upload: str | None = None
    file: str | None = None
    executable: bool = False


class FileDraft(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file for a slot of an app's template."""

    content: str | None = None
    url: str | None = None
    upload: str | None = None
    file: str | None = None
    name: str = ""


class JobDraft(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one job is to do, as the API takes it."""

    command: tuple[str, ...] | None = None
    script: str | None = None
    app: str | None = None
    accept_licence: bool = False
    app_version: int | None = None
    arguments: tuple[str, ...] | str | None = None
    files: tuple[FileDraft, ...] = ()
    image: str | None = None
    env: Mapping[str, str] = {}
    workdir: str = ""
    stdin: str = ""
    inputs: tuple[InputDraft, ...] = ()
    outputs: tuple[Mapping[str, Any], ...] = ()
    cores: float | None = None
    memory: int | str | None = None
    disk: int | str | None = None
    gpus: int | None = None
    walltime: float | None = None
    network: str | None = None
    environment: str | None = None
    tries: int | None = None
    operations: float | None = None
    credit: float | None = None
    replication: Mapping[str, Any] | None = None


class Writer:
    """Writes the drafts of one request; a file that several jobs read is looked at and sent once."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._known: dict[tuple[str, int, int], InputDraft] = {}

    async def draft(self, command: Command | None, options: JobOptions) -> JobDraft:
        """The draft. Raises Invalid for what is wrong here already; the server judges the rest."""
        of_app = options.get("arguments") is not None or options.get("files") is not None
        if [command is not None, options.get("script") is not None, of_app].count(True) != 1:
            told = "a job has a command or a script, or arguments and files for an app: one of them"
            raise Invalid(WHAT, code="one-of", detail=told)
        return await self.members(command, options)

    async def members(self, command: Command | None, options: JobOptions) -> JobDraft:
        """What is said, and no more: the rest may stand in a document that this is laid over."""
        walltime = options.get("walltime")
        return JobDraft(
            command=None if command is None else _words(command),
            script=_script(options.get("script")),
            app=options.get("app"),
            accept_licence=options.get("accept_licence", False),
            app_version=options.get("app_version"),
            arguments=_arguments(options.get("arguments")),
            files=tuple([await self._slot(source) for source in _each(options.get("files") or ())]),
            image=options.get("image"),
            env=options.get("env") or {},
            workdir=options.get("workdir", ""),
            stdin=options.get("stdin", ""),
            inputs=tuple([entry async for entry in self._inputs(options.get("inputs") or ())]),
            outputs=tuple(_output(said) for said in options.get("outputs") or ()),
            cores=options.get("cores"),
            memory=options.get("memory"),
            disk=options.get("disk"),
            gpus=options.get("gpus"),
            walltime=walltime.total_seconds() if isinstance(walltime, timedelta) else walltime,
            network=options.get("network"),
            environment=options.get("environment"),
            tries=options.get("tries"),
            operations=options.get("operations"),
            credit=options.get("credit"),
            replication=options.get("replication"),
        )

    async def _inputs(self, said: Iterable[str | os.PathLike[str]] | Mapping[str, Source]) -> AsyncIterator[InputDraft]:
        if isinstance(said, str | os.PathLike):
            said = (said,)
        named: Mapping[str, Source] = (
            said if isinstance(said, Mapping) else {_called(Path(one)): Path(one) for one in said}
        )
        for name, source in named.items():
            if isinstance(source, Upload):
                yield InputDraft(path=name, upload=source.sha256)
            elif isinstance(source, FolderFile):
                yield InputDraft(path=name, file=source.path)
            elif isinstance(source, bytes):
                yield await self._content(name, source)
            elif isinstance(source, str) and source.startswith(("http://", "https://")):
                yield InputDraft(path=name, url=source)
            else:
                for path, file in await asyncio.to_thread(_below, name, Path(source)):
                    yield await self._file(path, file)

    async def _slot(self, source: Source) -> FileDraft:
        """A file for a slot; one of this machine keeps its name, for a slot that has none. Raises Invalid."""
        if isinstance(source, Upload):
            return FileDraft(upload=source.sha256)
        if isinstance(source, FolderFile):
            return FileDraft(file=source.path)
        if isinstance(source, str) and source.startswith(("http://", "https://")):
            return FileDraft(url=source)
        if isinstance(source, bytes):
            sent, name = await self._content("x", source), ""
        else:
            path = Path(source)
            if await asyncio.to_thread(path.is_dir):
                raise Invalid(WHAT, code="no-file", detail=f"{path}: a slot takes one file, and this is a directory")
            ((_, file),) = await asyncio.to_thread(_below, "x", path)
            sent, name = await self._file("x", file), path.name
        return FileDraft(content=sent.content, upload=sent.upload, name=name)

    async def _content(self, name: str, content: bytes) -> InputDraft:
        text = _text(content)
        if text is not None:
            return InputDraft(path=name, content=text)
        return InputDraft(path=name, upload=(await upload(self._line, content)).sha256)

    async def _file(self, name: str, file: Path) -> InputDraft:
        status = await asyncio.to_thread(file.stat)
        mark = (str(file), status.st_mtime_ns, status.st_size)
        known = self._known.get(mark)
        if known is None:
            runs = bool(status.st_mode & stat.S_IXUSR)
            text = None
            if status.st_size <= INLINE:
                text = _text(await asyncio.to_thread(file.read_bytes))
            sent = None if text is not None else (await upload(self._line, file)).sha256
            known = self._known[mark] = InputDraft(path=name, content=text, upload=sent, executable=runs)
        return known if known.path == name else msgspec.structs.replace(known, path=name)


def checked(options: Mapping[str, object], *kinds: type) -> None:
    """Raises TypeError for a name that is no option; it names the one that may be meant."""
    known = {name for kind in kinds for name in kind.__annotations__}
    for kind in kinds:
        known |= {name for base in getattr(kind, "__orig_bases__", ()) for name in getattr(base, "__annotations__", ())}
    for name in options:
        if name not in known:
            meant = near(name, known)
            raise TypeError(f"{name!r} is no option of a job" + (f"; did you mean {meant!r}?" if meant else ""))


def _words(command: Command) -> tuple[str, ...]:
    if isinstance(command, str):
        raise Invalid(
            WHAT,
            code="command",
            detail="a command is a list of words, as no shell reads it",
            next_='["python", "train.py"], or script="python train.py" for a shell',
        )
    return tuple(os.fspath(word) if isinstance(word, os.PathLike) else str(word) for word in command)


def _arguments(said: str | Command | None) -> tuple[str, ...] | str | None:
    return said if said is None or isinstance(said, str) else _words(said)


def _each(said: Iterable[Source]) -> Iterable[Source]:
    return (said,) if isinstance(said, str | bytes | os.PathLike | Upload | FolderFile) else said


def _script(text: str | None) -> str | None:
    """With the line that names its interpreter, which the API asks for: the shell, where the text names none."""
    return text if text is None or text.startswith("#!") else f"#!/bin/sh\n{text}"


def _output(said: str | Output) -> Mapping[str, Any]:
    if not isinstance(said, str):
        return dict(said)
    if _PATTERN & set(said):
        return {"path": said, "kind": "wildcard"}
    return {"path": said.rstrip("/"), "kind": "directory"} if said.endswith("/") else {"path": said}


def required(path: str) -> Output:
    """The output whose absence, after success, fails the job."""
    return cast("Output", {**_output(path), "required": True})


def _text(content: bytes) -> str | None:
    """The content as text, if it is small and is text."""
    if len(content) > INLINE or b"\0" in content:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _called(path: Path) -> str:
    """A relative path keeps its name, so that the command finds it as it does here; others keep their last part."""
    posix = PurePosixPath(path.as_posix())
    return posix.name if posix.is_absolute() or ".." in posix.parts else str(posix)


def _below(name: str, path: Path) -> list[tuple[str, Path]]:
    """The file, or all files of the directory, with what each is called. Raises Invalid."""
    if path.is_dir():
        found = sorted(_files(path))
        inside = "" if name in ("", ".") else f"{name.rstrip('/')}/"
        return [(f"{inside}{file.relative_to(path).as_posix()}", file) for file in found]
    if not path.is_file():
        raise Invalid(
            WHAT,
            code=NO_FILE,
            detail=f"{path}: there is no such file here",
            next_="paths are read from where you are",
        )
    return [(name, path)]


def _files(path: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(path):
        folders.sort()
        yield from (file for name in names if (file := Path(folder) / name).is_file())


class BatchDraft(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a request says beside its jobs."""

    name: str = ""
    labels: Mapping[str, str] = {}
    priority: int = 0
    held: bool = False
    webhook: str | None = None
    expires: datetime | None = None


def batch_draft(options: BatchOptions) -> BatchDraft:
    """The members of a batch."""
    return BatchDraft(
        name=options.get("name", ""),
        labels=options.get("labels") or {},
        priority=options.get("priority", 0),
        held=options.get("held", False),
        webhook=options.get("webhook"),
        expires=options.get("expires"),
    )
