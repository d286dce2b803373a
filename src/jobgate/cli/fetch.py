"""`jobgate download`, `files`, `upload`, `folders`: bytes to the server and back."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import quote

import msgspec
import typer

from jobgate.cli.connect import Session, Wrong, verb
from jobgate.cli.ids import IdWord, IdWords, one_job, resolved
from jobgate.cli.phrases import exact, plural
from jobgate.cli.render import GOOD, NOTHING, Cell, Column
from jobgate.client import downloads, jobs, uploads
from jobgate.client.records import FileEntry
from jobgate.client.words import plain, size

_KEEP: Final = "what is to be kept is named at the submit, jobgate submit --output PATH"

app = typer.Typer(rich_markup_mode=None)
folders = typer.Typer(
    name="folders", no_args_is_help=True, rich_markup_mode=None, help="Folders: files of yours that stay on the server."
)


class Folder(msgspec.Struct, frozen=True):
    """A folder, as it is listed."""

    name: str
    files: int = 0
    size: int = 0


class Entry(msgspec.Struct, frozen=True):
    """A file of a folder."""

    path: str
    size: int = 0
    sha256: str = ""
    modified: datetime | None = None


@verb(app, "download")
async def download(
    session: Session,
    ids: IdWords,
    to: Annotated[Path, typer.Option("--to", "-o", help="Below this directory.")] = Path(),
) -> int:
    """Write the files that jobs left below a directory here.

    Of one job they lie as they lay in its workspace; of a batch each job's lie below its number. A file that is there
    and the same is left; each is whole or not there at all.
    """
    found = await resolved(session, ids)
    paths: list[Path] = []
    for id_ in found:
        body = await session.look(jobs.at(id_), id_)
        what = session.core.a_job(body) if "-" in id_ else session.core.a_batch(body)
        with session.patience():
            paths += await downloads.download(session.core, what, to if len(found) == 1 else to / id_)
    screen = session.screen
    if screen.as_json:
        screen.raw(msgspec.json.encode({"items": [{"path": str(path)} for path in paths]}))
        return 0
    for path in paths:
        screen.say(plain(str(path)))
    if paths:
        screen.talk(f"{plural(len(paths), 'file')} below {plain(str(to))}", GOOD)
    else:
        screen.talk(f"{plain(', '.join(found[:5]))} left no file: {_KEEP}", NOTHING)
    return 0


@verb(app, "files")
async def files(session: Session, id_: IdWord) -> int:
    """Show the files that jobs left."""
    job = await one_job(session, id_, "files")
    if session.screen.as_json:
        session.screen.raw(await session.ask("GET", f"/v1/jobs/{job}/files", f"The files of {job} were not listed."))
        return 0
    with session.patience():
        found = await downloads.entries(session.line, job)
    columns = [Column("FILE", whole=True), Column("SIZE", right=True), Column("SHA-256", note=True)]
    session.screen.rows(columns, [_file(entry) for entry in found])
    if not found:
        session.screen.talk(f"{job} left no file: {_KEEP}", NOTHING)
    return 0


def _file(entry: FileEntry) -> list[Cell]:
    return [Cell(entry.path), Cell(size(entry.size), "", str(entry.size)), Cell(entry.sha256, "dim")]


@verb(app, "upload")
async def upload(
    session: Session,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files here.")],
) -> int:
    """Send files; each is named by its hash, and sent once.

    As an input of a job: jobgate submit --input upload://SHA256:NAME
    """
    for path in paths:
        with session.patience():
            sent = await uploads.upload(session.line, path)
        if session.screen.as_json:
            session.screen.raw(msgspec.json.encode({"sha256": sent.sha256, "size": sent.size}))
        elif session.screen.quiet:
            session.screen.say(sent.sha256)
        else:
            session.screen.say(f"{sent.sha256}  {plain(str(path))}")
    return 0


# --- folders

FolderName = Annotated[str, typer.Argument(metavar="FOLDER", help="A folder's name.")]
FilePath = Annotated[str, typer.Argument(metavar="FOLDER/PATH", help="A file of a folder.")]


def _at(name: str, path: str = "") -> str:
    below = f"/files/{quote(path)}" if path else ""
    return f"/v1/folders/{quote(name, safe='')}{below}"


def _split(word: str) -> tuple[str, str]:
    name, slash, path = word.partition("/")
    if not slash or not path or not name:
        raise Wrong("Nothing was done.", f"{plain(word)} names no file of a folder", "write FOLDER/PATH")
    return name, path


@verb(folders, "list")
async def folders_list(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="[FOLDER]", help="With one: its files.")] = "",
    prefix: Annotated[str, typer.Option(help="Files whose path begins so.")] = "",
) -> int:
    """Show the folders, or the files of one."""
    path = f"{_at(name)}/files" if name else "/v1/folders"
    query: dict[str, object] = {"prefix": prefix} if name else {}
    items: list[msgspec.Raw] = []
    with session.patience():
        async for page in jobs.pages(session.line, path, query, "Not listed."):
            items += page.items
    if session.screen.as_json:
        session.screen.raw(msgspec.json.encode({"items": items, "next": None}))
        return 0
    if name:
        entries = [msgspec.json.decode(item, type=Entry) for item in items]
        columns = [Column("FILE", whole=True), Column("SIZE", right=True), Column("CHANGED")]
        rows = [[Cell(e.path), Cell(size(e.size), "", str(e.size)), Cell(exact(e.modified), "dim")] for e in entries]
    else:
        known = [msgspec.json.decode(item, type=Folder) for item in items]
        columns = [Column("FOLDER", whole=True), Column("FILES", right=True), Column("SIZE", right=True)]
        rows = [
            [Cell(f.name), Cell(f"{f.files:,}", "", str(f.files)), Cell(size(f.size), "", str(f.size))] for f in known
        ]
    session.screen.rows(columns, rows)
    return 0


@verb(folders, "create")
async def folders_create(session: Session, name: FolderName) -> int:
    """Make a folder; one that is there is left as it is."""
    body = await session.ask("PUT", _at(name), f"{plain(name)}: not made.")
    if session.screen.as_json:
        session.screen.raw(body)
    else:
        session.screen.say(plain(name))
    return 0


@verb(folders, "delete")
async def folders_delete(
    session: Session,
    name: FolderName,
    force: Annotated[bool, typer.Option("--force", help="With the files in it.")] = False,
) -> int:
    """Delete a folder."""
    await session.ask("DELETE", _at(name), f"{plain(name)}: not deleted.", query={"force": force or None})
    _done(session, name, f"{plain(name)} is deleted.")
    return 0


@verb(folders, "put")
async def folders_put(
    session: Session,
    source: Annotated[Path, typer.Argument(metavar="PATH", help="A file here.")],
    target: FilePath,
) -> int:
    """Send a file into a folder; what is there under that name is replaced."""
    name, path = _split(target)
    with session.patience():
        sent = await uploads.upload(session.line, source)
    await session.ask("PUT", _at(name, path), f"{plain(target)}: not written.", body={"upload": sent.sha256})
    _done(session, target, f"{plain(target)} has {size(sent.size)}.")
    return 0


@verb(folders, "get")
async def folders_get(
    session: Session,
    source: FilePath,
    to: Annotated[Path, typer.Option("--to", "-o", help="A directory here, or the file's new path.")] = Path(),
) -> int:
    """Write a folder's file here."""
    name, path = _split(source)
    body = await session.ask("GET", _at(name, path), f"{plain(source)}: not read.")
    target = to / path.rpartition("/")[2] if await asyncio.to_thread(to.is_dir) else to
    if target.name in ("", ".", ".."):
        raise Wrong("Not written.", f"{plain(source)} has no name to be written under", "give --to PATH")
    try:
        await asyncio.to_thread(target.write_bytes, body)
    except OSError as error:
        raise Wrong("Not written.", f"{target}: {error.strerror}", "give another --to") from error
    _done(session, str(target), f"{plain(str(target))}, {size(len(body))}")
    return 0


@verb(folders, "remove")
async def folders_remove(session: Session, target: FilePath) -> int:
    """Delete a folder's file."""
    name, path = _split(target)
    await session.ask("DELETE", _at(name, path), f"{plain(target)}: not deleted.")
    _done(session, target, f"{plain(target)} is deleted.")
    return 0


def _done(session: Session, name: str, text: str) -> None:
    screen = session.screen
    if screen.as_json:
        screen.raw(msgspec.json.encode({"name": name}))
    elif screen.quiet:
        screen.say(plain(name))
    else:
        screen.signed(text, GOOD)
