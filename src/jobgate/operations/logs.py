"""ReadLog, OpenLog: the merged log of a job, while it grows and when it is stored.

Places are counted in the log as it was written. A log that was too long is kept without its middle, so its end lies
where it always did: who has read up to there goes on there, whether the log still grows or was stored meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable

import msgspec

from jobgate.model.account import Principal
from jobgate.model.attempt import LOG, Attempt
from jobgate.model.errors import Gone, NotFound, Unavailable
from jobgate.model.facts import Attempts
from jobgate.model.job import Job
from jobgate.model.operations import ReadLog
from jobgate.model.outcomes import Log
from jobgate.model.storing import OpenedLog, OpenLog
from jobgate.operations.context import Context
from jobgate.operations.files import shown
from jobgate.operations.log_places import PIECE, LiveLog, StoredLog, gone, mark, part
from jobgate.operations.select import served
from jobgate.store.transaction import Transaction


async def read_log(context: Context, principal: Principal, operation: ReadLog) -> Log:
    """A piece of the merged log. Raises NotFound, Gone."""
    job, attempts = await context.store.read(lambda tx: served(tx, principal, operation.job))
    attempt = shown(job, attempts)
    content, ended, offset = b"", job.state.over, operation.offset
    if attempt is not None:
        stored = attempt.logs.get(LOG)
        if stored is not None:
            content = await part(context, stored, offset, operation.limit)
            ended = ended and offset + len(content) >= stored.size
        elif not attempt.state.over:
            piece = await context.logs.read(attempt, offset, operation.limit)
            ended = False
            if piece is not None:
                content, offset = piece.content, piece.offset
    return Log(job=job, offset=offset, content=content, complete=ended)


async def tail(context: Context, job: Job, attempts: Attempts, size: int) -> bytes | None:
    """The last bytes of a job's log, `size` at most; None when there is none, or it is deleted."""
    attempt = shown(job, attempts)
    if attempt is None:
        return None
    try:
        stored = attempt.logs.get(LOG)
        if stored is not None:
            return await part(context, stored, max(stored.size - size, 0), size)
        piece = None if attempt.state.over else await context.logs.read(attempt, 0, 0)
        if piece is None:
            return None
        last = await context.logs.read(attempt, max(piece.size - size, 0), size)
    except Gone:
        return None
    return None if last is None else last.content


async def open_log(context: Context, principal: Principal, operation: OpenLog) -> OpenedLog:
    """The log from where it was asked for.

    Raises NotFound for a job or an attempt that is not there, Gone when the log is deleted.
    """

    def look(tx: Transaction) -> tuple[Job, Attempts]:
        job, attempts = served(tx, principal, operation.job)
        attempt = _meant(operation, job, attempts)
        if attempt is not None:
            _still(tx, job, attempt)
        return job, attempts

    async def stored(number: int) -> StoredLog | None:
        """The attempt's log, if it is over now."""
        attempt = (await context.store.read(look))[1][number - 1]
        return StoredLog(context, attempt.logs.get(LOG)) if attempt.state.over else None

    job, attempts = await context.store.read(look)
    attempt = _meant(operation, job, attempts)
    log: StoredLog | LiveLog = LiveLog(context, attempt, stored)
    if attempt is not None:
        found = await context.logs.read(attempt, 0, 0) if not attempt.state.over else None
        if found is None and (kept := await stored(attempt.id.number)) is not None:
            log = kept
            job, _ = await context.store.read(look)
        elif found is not None:
            log.size = found.size
    settled = isinstance(log, StoredLog) and (operation.attempt is not None or job.state.over)
    complete = settled or (attempt is None and job.state.over)
    follow = operation.follow and not complete
    first, end, whole = await _span(operation, log, complete=complete)
    offset, parts = log.parts(first, end, whole=whole or follow)
    end = end if whole or follow else offset + sum(length for _, length in parts)
    return OpenedLog(
        job=job,
        attempt=None if attempt is None else attempt.id.number,
        offset=offset,
        end=end,
        size=log.size,
        complete=complete,
        truncated=log.truncated,
        length=None if follow or isinstance(log, LiveLog) else sum(length for _, length in parts),
        digest=log.digest if complete else None,
        pieces=_follow(context, look, operation, attempt, offset) if follow else log.pieces(parts),
    )


def _meant(operation: OpenLog, job: Job, attempts: Attempts) -> Attempt | None:
    """The attempt whose log is asked for; None when there is none yet. Raises NotFound for one that there is not."""
    if operation.attempt is None:
        return shown(job, attempts)
    if not 1 <= operation.attempt <= len(attempts):
        raise NotFound("this job has no such attempt")
    return attempts[operation.attempt - 1]


def _still(tx: Transaction, job: Job, attempt: Attempt) -> None:
    stored = attempt.logs.get(LOG)
    if stored is not None and stored.inline is None and stored.digest not in tx.blobs.held(job.id):
        raise gone()


async def _span(operation: OpenLog, log: StoredLog | LiveLog, *, complete: bool) -> tuple[int, int, bool]:
    """The first place wanted, the one behind the last, and whether a mark may stand for what is cut between them."""
    size = log.size
    if operation.first is not None:
        end = size if operation.last is None else min(operation.last + 1, size)
        return operation.first if not complete else min(operation.first, size), end, False
    if operation.last is not None:
        return max(size - operation.last, 0), size, False
    if operation.lines is not None:
        return await log.lines(operation.lines), size, True
    return 0, size, True


# --- following


class _At(msgspec.Struct):
    """How far a follower has come."""

    attempt: int
    offset: int


async def _follow(
    context: Context,
    look: Callable[[Transaction], tuple[Job, Attempts]],
    operation: OpenLog,
    attempt: Attempt | None,
    offset: int,
) -> AsyncGenerator[bytes, None]:
    """From there on, what comes, until the job is over: another attempt's log follows the first's.

    Raises Unavailable when the server stops, NotFound or Gone when the job is deleted: an end that is none is no end.
    """
    at = _At(1 if attempt is None else attempt.id.number, offset)
    news = asyncio.Event()
    with context.feed.telling(operation.job.job, news):
        yield b""  # the answer begins before the log does
        while True:
            if context.feed.closed:
                raise Unavailable("the server is stopping; go on from here in a moment")
            news.clear()
            job, attempts = await context.store.read(look)
            if len(attempts) < at.attempt:
                if job.state.over:
                    return
                await news.wait()
                continue
            current = attempts[at.attempt - 1]
            if not current.state.over:
                async for piece in _grown(context, current, at):
                    yield piece
                with context.logs.telling(current, at.offset, news):
                    await news.wait()
                continue
            stored = StoredLog(context, current.logs.get(LOG))
            async for piece in stored.pieces(stored.after(at.offset)):
                yield piece
            if operation.attempt is not None:
                return
            at = _At(at.attempt + 1, 0)


async def _grown(context: Context, attempt: Attempt, at: _At) -> AsyncIterator[bytes]:
    """All that is there now."""
    while (piece := await context.logs.read(attempt, at.offset, PIECE)) is not None and piece.content:
        if piece.offset > at.offset:
            yield mark(piece.offset - at.offset)
        at.offset = piece.offset + len(piece.content)
        yield piece.content
