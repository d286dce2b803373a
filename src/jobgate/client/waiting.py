"""Waiting: for all, for each as it ends, or for results in order. Waiting never owns the work."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Final

from jobgate.client import jobs
from jobgate.client.ahead import heard
from jobgate.client.core import B, Core, F, J
from jobgate.client.errors import NotFound
from jobgate.client.events import Opened, Scope
from jobgate.client.line import Asking, Deadline, timed_out
from jobgate.client.progress import Tally
from jobgate.client.records import OVER, BatchRecord, Event, JobRecord

STEP: Final = 30.0
"""Seconds that one request waits; longer waits are chains of them."""


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
        async with aclosing(heard(core.line, scope, deadline)) as portions:
            async for portion in portions:
                counted = [item for item in portion if isinstance(item, Event) and item.counts]
                if counted:
                    yield _tally(batch, counted[-1])
                if None in portion or any(isinstance(item, Opened) for item in portion):
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
        kept = sum(sum(one.counts.values()) or one.count for one in self.batches.values())
        return len(self.told) + len(self.deleted) >= len(self.jobs) + kept

    def take(self, heard: Sequence[Event | Opened | None]) -> tuple[bool, list[str]]:
        """Whether the counts changed, and which jobs ended that were not told of."""
        changed, ended = False, []
        for event in heard:
            if not isinstance(event, Event) or not (event.batch in self.batches or event.job in self.jobs):
                continue
            changed = self._note(event) or changed
            if event.event == "job.deleted" and event.job not in self.told:
                self.deleted.add(event.job)
            elif event.ends_job and event.job not in self.told:
                ended.append(event.job)
        return changed, ended

    def _note(self, event: Event) -> bool:
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
    async with aclosing(heard(core.line, scope, deadline)) as portions:
        async for portion in portions:
            going = None not in portion
            opened = not going or any(isinstance(item, Opened) for item in portion)
            changed, ended = wanted.take(portion)
            if opened:
                async for job in _already(core, wanted):
                    yield job
            if ended:
                found = await jobs.find(core, ended)
                wanted.deleted.update(found.missing)  # it ended, and somebody deleted it before it could be looked at
                for job in found:
                    if job.over and job.id not in wanted.told:
                        wanted.told.add(job.id)
                        yield job
            last = wanted.all_told or not going
            if progress and (opened or changed or last):
                if last:
                    await _recount(core, wanted)
                yield wanted.tally()
            if last:
                return


async def _recount(core: Core[J, B, F], wanted: _Wanted) -> None:
    """Takes the counts of the batches as they are now: what ended before the stream was open told none."""
    for id_ in wanted.batches:
        wanted.counts[id_] = (await jobs.batch(core, id_)).counts


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
