"""In which ways the jobs of a batch failed: equal ones are counted together."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

import msgspec

from jobgate.model.attempt import LOG, Attempt
from jobgate.model.errors import NotFound
from jobgate.model.facts import Attempts
from jobgate.model.files import Artifact
from jobgate.model.ids import AccountId, JobId, JobName
from jobgate.model.job import Batch, Job
from jobgate.model.outcomes import Alike
from jobgate.model.selectors import Where
from jobgate.model.state import Failure, JobState, Limit
from jobgate.operations.context import Context
from jobgate.store.transaction import Transaction

SHOWN: Final = 100
"""Ways that are told at most."""
_SLICE: Final = 1000
_FAILED: Final = frozenset({JobState.FAILED})
_WAYS: Final = 10_000
"""Different ones that are counted apart; further ones, as of messages that are all different, are counted as one."""
_END: Final = 4096
"""Bytes of a log in which its last line is looked for."""
_LINE: Final = 300
"""Characters of it that are told."""


class _Way(msgspec.Struct, frozen=True):
    failure: Failure | None
    limit: Limit | None
    exit_code: int | None
    message: str


class _Some(msgspec.Struct):
    count: int
    first: Job
    log: Artifact | None


_OTHER: Final = _Way(None, None, None, "in other ways")


async def failures(context: Context, batch: Batch) -> tuple[Alike, ...]:
    """Each way, the most frequent first, `SHOWN` at most; read slice by slice, so that others have their turn."""
    ways: dict[_Way, _Some] = {}
    after: JobId | None = None
    while True:
        where = Where(batch=batch.id, states=_FAILED, after=after, limit=_SLICE, ascending=True)
        found, after = await context.store.read(partial(_page, batch.owner, where))
        for job, attempts in found:
            _count(ways, job, attempts)
        if after is None:
            break
        await asyncio.sleep(0)
    most = sorted(ways.items(), key=lambda item: (-item[1].count, item[1].first.id))[:SHOWN]
    return tuple([await _alike(context, way, some) for way, some in most])


def _page(owner: AccountId, where: Where, tx: Transaction) -> tuple[list[tuple[Job, Attempts]], JobId | None]:
    return tx.lists.jobs(owner, where)


def _count(ways: dict[_Way, _Some], job: Job, attempts: Attempts) -> None:
    way = _Way(job.failure, job.limit, job.exit_code, job.message)
    if way not in ways and len(ways) >= _WAYS:
        way = _OTHER
    some = ways.get(way)
    if some is None:
        ways[way] = _Some(1, job, _log(job, attempts))
    else:
        some.count += 1


def _log(job: Job, attempts: Attempts) -> Artifact | None:
    if not attempts:
        return None
    last: Attempt = attempts[job.canonical - 1] if job.canonical else attempts[-1]
    return last.logs.get(LOG)


async def _alike(context: Context, way: _Way, some: _Some) -> Alike:
    return Alike(
        failure=way.failure,
        limit=way.limit,
        exit_code=way.exit_code,
        message=way.message,
        count=some.count,
        such_as=JobName(some.first.batch, some.first.id),
        last_line=None if some.log is None else await _last_line(context, some.log),
    )


async def _last_line(context: Context, log: Artifact) -> str | None:
    """The last line that is not empty; None without one, and where the log is kept no more."""
    begin = max(log.size - _END, 0)
    if log.inline is not None:
        content = log.inline[-_END:]
    else:
        try:
            content = b"".join([piece async for piece in context.blobs.open(log.digest, begin)])
        except NotFound:
            return None
    lines = content.decode(errors="replace").splitlines()
    return next((line.strip()[-_LINE:] for line in reversed(lines) if line.strip()), None)
