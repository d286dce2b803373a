"""Files to the server, by hash: only what it has not got, and on from where an earlier try broke off."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
from contextlib import closing
from pathlib import Path
from typing import Final

from jobgate.client.core import decoded
from jobgate.client.errors import NO_FILE, Invalid
from jobgate.client.line import Asking, Line
from jobgate.client.records import Upload

PIECE: Final = 8 << 20
"""Bytes of one request; a broken connection costs one piece at most."""
Readable = io.BytesIO | io.BufferedReader
WHAT: Final = "Not uploaded."
_CONFLICT: Final = 409
_MISSING: Final = 404


async def upload(line: Line, source: bytes | str | os.PathLike[str]) -> Upload:
    """The upload, whole on the server. Raises Invalid when the file changed meanwhile, NoRoom, Unreachable."""
    try:
        file = io.BytesIO(source) if isinstance(source, bytes) else await asyncio.to_thread(Path(source).open, "rb")
    except OSError as error:
        raise Invalid(WHAT, code=NO_FILE, detail=f"{error.filename}: {error.strerror}") from error
    with closing(file):
        digest, size = await asyncio.to_thread(_measured, file)
        offset = await _there(line, digest)
        if offset is None:
            return Upload(sha256=digest, size=size)
        if size <= PIECE and not offset:
            return await _at_once(line, file, digest)
        while offset < size or not size:
            found = await _piece(line, file, Upload(sha256=digest, size=size), offset)
            if isinstance(found, Upload):
                return found
            offset = found
    return Upload(sha256=digest, size=size)


def _measured(file: Readable) -> tuple[str, int]:
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    return digest, file.seek(0, os.SEEK_END)


async def _there(line: Line, digest: str) -> int | None:
    """How many bytes of it the server has; None: all."""
    asking = Asking(method="HEAD", path=f"/v1/uploads/{digest}", what=WHAT, fine=frozenset({_MISSING}))
    answer = await line.call(asking)
    if answer.status_code == _MISSING:
        return 0
    return None if answer.headers.get("Upload-Complete") != "?0" else int(answer.headers.get("Upload-Offset", "0"))


async def _at_once(line: Line, file: Readable, digest: str) -> Upload:
    content = await asyncio.to_thread(_read, file, 0)
    headers = {"Content-Type": "application/octet-stream"}
    answer = await line.call(Asking(method="POST", path="/v1/uploads", what=WHAT, body=content, headers=headers))
    found = decoded(answer.content, Upload)
    if found.sha256 != digest:
        raise Invalid(WHAT, code="mismatch", detail="the file changed while it was sent", next_="send it again")
    return found


async def _piece(line: Line, file: Readable, whole: Upload, offset: int) -> Upload | int:
    """Sends the piece at the offset; the next offset, or the upload when it is whole."""
    content = await asyncio.to_thread(_read, file, offset)
    headers = {
        "Content-Type": "application/octet-stream",
        "Upload-Offset": str(offset),
        "Upload-Length": str(whole.size),
    }
    asking = Asking(
        method="PATCH",
        path=f"/v1/uploads/{whole.sha256}",
        what=WHAT,
        body=content,
        headers=headers,
        fine=frozenset({_CONFLICT}),
    )
    answer = await line.call(asking)
    if answer.status_code == _CONFLICT or not answer.content:  # a try of ours arrived though its answer did not
        told = int(answer.headers.get("Upload-Offset", "-1"))
        if told < 0 or (told >= whole.size and answer.status_code == _CONFLICT):
            there = await _there(line, whole.sha256)
            return whole if there is None else there
        return told
    return decoded(answer.content, Upload)


def _read(file: Readable, offset: int) -> bytes:
    file.seek(offset)
    return file.read(PIECE)
