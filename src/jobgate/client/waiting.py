"""Waiting: for all, for each as it ends, or for results in order. Waiting never owns the work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from jobgate.client import events, jobs, submits
from jobgate.client.core import B, Core, F, J
from jobgate.client.downloads import Result, result
from jobgate.client.errors import Invalid, JobFailed, NotFound
from jobgate.client.events import Opened, Scope
from jobgate.client.line import Asking, Deadline, timed_out
from jobgate.client.options import Command, SubmitOptions
from jobgate.client.progress import Tally
from jobgate.client.records import OVER, BatchRecord, Event, JobRecord, Value

STEP: Final = 30.0
"""Seconds that one request waits; longer waits are chains of them."""
_WAITING: Final = 1000
"""Events that are read ahead of who iterates."""
_AHEAD: Final = 16
"""Results of a map that are fetched ahead."""


async def until_over(
    core: Core[J, B, F], what: Sequence[J | B], timeout: float | None, *, progress: bool
) -> AsyncIterator[Tally | J | B]:
    """Each record when it is over, in the order given; with progress, before them how it goes. Raises TimedOut."""
    deadline = Deadline(timeout)
    if progress:
        async for tally in _progress(core, what, deadline):
            yield tally
    settled: dict[str, J] = {}
    for record in what:
        if isinstance(record, BatchRecord):
            yield await _batch_over(core, record.id, deadline)
            continue
        while record.id not in settled:
            open_ = [one.id for one in what if isinstance(one, JobRecord) and one.id not in settled]
            if len(open_) > 1:
                settled |= {job.id: job for job in await jobs.find(core, open_[: jobs.PAGE]) if job.over}
            if record.id not in settled:
                settled[record.id] = await _job_over(core, record.id, deadline)
        yield settled[record.id]


async def _job_over(core: Core[J, B, F], id: str, deadline: Deadline) -> J:  # noqa: A002  # what it is called
    while True:
        found = core.a_job(await _waited(core, id, deadline))
        if found.over:
            return found
        if deadline.over:
            raise timed_out(f"{id} is {found.state}, not over.", deadline)


async def _batch_over(core: Core[J, B, F], id: str, deadline: Deadline) -> B:  # noqa: A002  # what it is called
    while True:
        found = core.a_batch(await _waited(core, id, deadline))
        if found.over:
            return found
        if deadline.over:
            raise timed_out(f"{id} is {found.state}: {found.tally.over:,} of {found.count:,} ended.", deadline)


async def _waited(core: Core[J, B, F], id: str, deadline: Deadline) -> bytes:  # noqa: A002  # what it is called
    query = {"wait": f"{deadline.left(STEP):.3f}", "expand": "" if "-" in id else "failures"}
    asking = Asking(method="GET", path=jobs.at(id), what=f"{id} was not waited for.", query=query, deadline=deadline)
    return (await core.line.call(asking)).content


async def _progress(core: Core[J, B, F], what: Sequence[J | B], deadline: Deadline) -> AsyncIterator[Tally]:
    """How it goes until all is over; a batch tells its own counts, never each of its events."""
    if len(what) == 1 and isinstance(what[0], BatchRecord):
        batch = what[0]
        yield batch.tally
        scope = Scope(batch=batch.id, kinds=("batch",))
        async for item in events.stream(core.line, scope, deadline=deadline):
            if isinstance(item, Event) and item.counts:
                yield _tally(batch, item)
            elif isinstance(item, Opened):
                now = await jobs.batch(core, batch.id)
                yield now.tally
                if now.over:
                    return
        return
    async for found in as_completed(core, what, None, progress=True, deadline=deadline):
        if isinstance(found, Tally):
            yield found


def _tally(batch: BatchRecord, event: Event) -> Tally:
    return Tally(counts=event.counts, count=event.count or batch.count, name=batch.tally.name)


class _Wanted:
    """Which jobs are waited for, which ended, and the counts of all of them."""

    def __init__(self, what: Sequence[JobRecord | BatchRecord]) -> None:
        self.batches = {one.id: one for one in what if isinstance(one, BatchRecord)}
        self.jobs = {one.id: one.state for one in what if isinstance(one, JobRecord) and one.batch not in self.batches}
        self.told: set[str] = set()
        self.deleted: set[str] = set()
        self.counts = {id_: one.counts for id_, one in self.batches.items()}

    @property
    def scope(self) -> Scope:
        """One batch if that has them all, else all of the account."""
        homes = {*self.batches, *(id_.partition("-")[0] for id_ in self.jobs)}
        if len(self.jobs) == 1 and not self.batches:
            return Scope(job=next(iter(self.jobs)))
        return Scope(batch=homes.pop() if len(homes) == 1 else "")

    @property
    def all_told(self) -> bool:
        """Whether each has been told of, or is deleted."""
        return len(self.told) + len(self.deleted) >= len(self.jobs) + sum(one.count for one in self.batches.values())

    def has(self, event: Event) -> bool:
        """Whether it is about one of them."""
        return event.batch in self.batches or event.job in self.jobs

    def note(self, event: Event) -> bool:
        """Remembers what it says of the counts; whether the tally changed."""
        if event.event == "batch.counts" and event.batch in self.counts:
            self.counts[event.batch] = event.counts
            return True
        if event.job in self.jobs and event.state:
            self.jobs[event.job] = event.state
            return True
        return False

    def tally(self) -> Tally:
        """All of them together."""
        counts: dict[str, int] = {}
        for part in (*self.counts.values(), *({state: 1} for state in self.jobs.values())):
            for state, number in part.items():
                counts[state] = counts.get(state, 0) + number
        names = [one.tally.name for one in self.batches.values()]
        name = names[0] if len(names) == 1 and not self.jobs else ""
        return Tally(counts=counts, count=len(self.jobs) + sum(one.count for one in self.batches.values()), name=name)


async def as_completed(
    core: Core[J, B, F],
    what: Sequence[J | B],
    timeout: float | None,
    *,
    progress: bool,
    deadline: Deadline | None = None,
) -> AsyncIterator[Tally | J]:
    """Each job once, as it ends; first those that are over. Raises TimedOut.

    The stream is opened before the list is read, so that nothing ends unseen between the two.
    """
    deadline = deadline or Deadline(timeout)
    wanted = _Wanted(what)
    if not wanted.batches and not wanted.jobs:
        return
    if progress:
        yield wanted.tally()
    kinds = ("job", "batch") if progress else ("job",)
    scope = Scope(batch=wanted.scope.batch, job=wanted.scope.job, kinds=kinds)
    queue: asyncio.Queue[Event | Opened | Exception | None] = asyncio.Queue(_WAITING)
    reader = asyncio.create_task(_read(core, scope, deadline, queue))
    try:
        going = True
        while going and not wanted.all_told:
            heard = [await queue.get()]
            while not queue.empty():
                heard.append(queue.get_nowait())
            going = None not in heard
            if any(isinstance(item, Exception) for item in heard):
                raise next(item for item in heard if isinstance(item, Exception))
            changed = False
            if any(isinstance(item, Opened) for item in heard) or not going:
                async for job in _already(core, wanted):
                    yield job
                changed = True
            ended: list[str] = []
            for item in heard:
                if isinstance(item, Event) and wanted.has(item):
                    changed = wanted.note(item) or changed
                    if item.event == "job.deleted" and item.job not in wanted.told:
                        wanted.deleted.add(item.job)
                    elif item.ends_job and item.job not in wanted.told:
                        ended.append(item.job)
            if ended:
                for job in await jobs.find(core, ended):
                    if job.over and job.id not in wanted.told:
                        wanted.told.add(job.id)
                        yield job
            if progress and changed:
                if wanted.all_told or not going:
                    await _recount(core, wanted)
                yield wanted.tally()
    finally:
        reader.cancel()
        with suppress(asyncio.CancelledError):
            await reader


async def _recount(core: Core[J, B, F], wanted: _Wanted) -> None:
    """Takes the counts of the batches as they are now: what ended before the stream was open told none."""
    for id_ in wanted.batches:
        wanted.counts[id_] = (await jobs.batch(core, id_)).counts


async def _read(
    core: Core[J, B, F], scope: Scope, deadline: Deadline, queue: asyncio.Queue[Event | Opened | Exception | None]
) -> None:
    """Reads the stream ahead, as far as the queue has room; an error is handed over as an item."""
    try:
        async for item in events.stream(core.line, scope, deadline=deadline):
            await queue.put(item)
    except Exception as error:  # noqa: BLE001  # handed over to who iterates, who raises it
        await queue.put(error)
    else:
        await queue.put(None)


async def _already(core: Core[J, B, F], wanted: _Wanted) -> AsyncIterator[J]:
    """Those that are over and were not told of."""
    for batch in wanted.batches:
        query = {"batch": batch, "state": ",".join(sorted(OVER))}
        async for job in jobs.listed_jobs(core, query):
            if job.id not in wanted.told:
                wanted.told.add(job.id)
                yield job
    left = [id_ for id_ in wanted.jobs if id_ not in wanted.told]
    if left:
        found = await jobs.find(core, left)
        if found.missing and len(found.missing) == len(wanted.jobs):
            raise NotFound(f"{found.missing[0]}: not found.", status=404, code="not-found", detail="no such job here")
        wanted.deleted.update(found.missing)
        for job in found:
            wanted.jobs[job.id] = job.state
            if job.over:
                wanted.told.add(job.id)
                yield job


# --- results in order


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How a map hands out its results."""

    ordered: bool = True
    return_exceptions: bool = False
    progress: bool = False
    timeout: float | None = None


async def mapped(
    core: Core[J, B, F], command: Command, columns: Mapping[str, Iterable[Value]], options: SubmitOptions, order: Order
) -> AsyncIterator[Tally | Result[J, F] | Exception]:
    """One job for each row of the columns; their results. Raises JobFailed unless exceptions are handed out."""
    table = _side_by_side(columns)
    if not table:
        return
    batch = await submits.sweep(core, command, table, options)
    slots: dict[int, J] = {}
    fetching: dict[int, asyncio.Task[Result[J, F] | JobFailed]] = {}
    turn = 1
    try:
        async for item in as_completed(core, (batch,), order.timeout, progress=order.progress):
            if isinstance(item, Tally):
                yield item
                continue
            slots[item.number if order.ordered else turn + len(slots) + len(fetching)] = item
            while turn in slots or turn in fetching:
                for slot in [slot for slot in range(turn, turn + _AHEAD) if slot in slots]:
                    fetching[slot] = asyncio.create_task(_outcome(core, slots.pop(slot)))
                found = await fetching.pop(turn)
                turn += 1
                if isinstance(found, JobFailed) and not order.return_exceptions:
                    raise found
                yield found
    finally:
        for task in fetching.values():
            task.cancel()
        await asyncio.gather(*fetching.values(), return_exceptions=True)


async def _outcome(core: Core[J, B, F], job: J) -> Result[J, F] | JobFailed:
    try:
        return await result(core, job)
    except JobFailed as error:
        return error


def _side_by_side(columns: Mapping[str, Iterable[Value]]) -> list[dict[str, Value]]:
    """Rows of columns of one length. Raises Invalid."""
    listed = {name: list(values) for name, values in columns.items()}
    lengths = {name: len(values) for name, values in listed.items()}
    if not listed or len(set(lengths.values())) > 1:
        said = ", ".join(f"{name} has {length:,}" for name, length in lengths.items()) or "there is none"
        raise Invalid(
            "Nothing was mapped.",
            code="columns",
            detail=f"columns are read side by side, so they have one length: {said}",
            next_="for each combination: client.sweep(command, {…}), then client.as_completed(batch)",
        )
    return [dict(zip(listed, row, strict=True)) for row in zip(*listed.values(), strict=True)]
