"""Folders: files of an account that stay on the server, as inputs of any number of jobs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from jobgate.client.core import decoded
from jobgate.client.errors import Invalid
from jobgate.client.jobs import pages
from jobgate.client.line import Asking, Line
from jobgate.client.uploads import upload
from jobgate.client.words import plain, size

JSON: Final = {"Content-Type": "application/json"}


class Folder(msgspec.Struct, frozen=True, kw_only=True):
    """A folder of this account."""

    name: str
    files: int = 0
    size: int = 0
    created: datetime | None = None

    def __repr__(self) -> str:
        return f"<Folder {plain(self.name)}, {self.files:,} file{'s'[: self.files != 1]}, {size(self.size)}>"


class FolderEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a folder."""

    path: str
    """In the folder."""
    size: int = 0
    sha256: str = ""
    modified: datetime | None = None

    def __repr__(self) -> str:
        return f"<FolderEntry {plain(self.path)}, {size(self.size)}>"


async def folders(line: Line) -> tuple[Folder, ...]:
    """All of this account, by name."""
    listed = pages(line, "/v1/folders", {}, "Folders not listed.")
    return tuple([decoded(item, Folder) async for page in listed for item in page.items])


async def folder(line: Line, name: str) -> Folder:
    """One of them. Raises NotFound."""
    return decoded(
        (await line.call(Asking(method="GET", path=_at(name), what=f"{name} was not read.", sought=name))).content,
        Folder,
    )


async def add(line: Line, name: str) -> Folder:
    """The folder, new or as it was."""
    return decoded(await _ask(line, "PUT", _at(name), f"{plain(name)}: not made."), Folder)


async def delete(line: Line, name: str, *, force: bool) -> None:
    """Deletes it. Raises Conflict where it has files, unless `force`."""
    await _ask(line, "DELETE", f"{_at(name)}{'?force=true' if force else ''}", f"{plain(name)}: not deleted.")


async def files(line: Line, name: str, prefix: str) -> AsyncIterator[FolderEntry]:
    """Its files, by path."""
    async for page in pages(line, f"{_at(name)}/files", {"prefix": prefix}, f"{plain(name)}: not listed."):
        for item in page.items:
            yield decoded(item, FolderEntry)


async def put(line: Line, path: str, source: bytes | str | os.PathLike[str]) -> FolderEntry:
    """The file, stored; what was there under that path is replaced. Bytes that the server has are not sent again."""
    address = _file(path)
    sent = await upload(line, source)
    body = msgspec.json.encode({"upload": sent.sha256})
    return decoded(await _ask(line, "PUT", address, f"{plain(path)}: not written.", body), FolderEntry)


async def read(line: Line, path: str) -> bytes:
    """All of a file, in memory."""
    return await _ask(line, "GET", _file(path), f"{plain(path)}: not read.")


async def save(line: Line, path: str, to: Path) -> Path:
    """Where it was written: in a directory under its last name, else at the path itself."""
    content = await read(line, path)
    target = to / path.rpartition("/")[2] if await asyncio.to_thread(to.is_dir) else to
    await asyncio.to_thread(target.write_bytes, content)
    return target


async def remove(line: Line, path: str) -> None:
    """Deletes a file; jobs that use it keep it."""
    await _ask(line, "DELETE", _file(path), f"{plain(path)}: not deleted.")


def _at(name: str) -> str:
    return f"/v1/folders/{quote(name, safe='')}"


def _file(path: str) -> str:
    """The address of `FOLDER/PATH`. Raises Invalid."""
    name, _, inside = path.partition("/")
    if not name or not inside or inside.endswith("/"):
        raise Invalid(
            "Nothing was done.", code="path", detail=f"{plain(path)} names no file of a folder", next_="FOLDER/PATH"
        )
    return f"{_at(name)}/files/{quote(inside)}"


async def _ask(line: Line, method: str, path: str, what: str, body: bytes = b"") -> bytes:
    asking = Asking(method=method, path=path, what=what, body=body, headers=JSON if body else {})
    return (await line.call(asking)).content
