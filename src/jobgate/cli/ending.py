"""To stay with jobs until they are over: a bar, a log, then how it ended. Leaving early leaves them as they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from jobgate.cli.connect import Session
from jobgate.cli.describe import failures
from jobgate.cli.ids import each
from jobgate.cli.phrases import ended, lacking, line_of, plural, status_of, summary
from jobgate.cli.render import BAD, GOOD, NOTHING, STATES, beside, logged
from jobgate.client import downloads, logs, waiting
from jobgate.client.display import Shower
from jobgate.client.line import Asking, Deadline, timed_out
from jobgate.client.progress import Tally
from jobgate.client.records import BatchRecord, JobRecord
from jobgate.client.waiting import STEP
from jobgate.client.words import plain

Record = JobRecord | BatchRecord
_NOT_MODIFIED: Final = 304


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How one stays with it."""

    follow: bool = False
    timeout: float | None = None
    cancel_on_interrupt: bool = False
    download: Path | None = None

    def without_log(self) -> Manner:
        """As it is, but for the log."""
        return replace(self, follow=False)


async def ended_or_left(session: Session, what: Sequence[Record], manner: Manner, *, answer: bool = False) -> int:
    """The exit status when all are over; as the answer, or as talk beside an id that is the answer."""
    leave = Leave(session, what)
    session.leaving = leave.say
    if manner.cancel_on_interrupt:
        session.on_interrupt = leave.cancel
    deadline = Deadline(manner.timeout)
    if manner.follow and isinstance(what[0], JobRecord):
        await shown_log(session, what[0].id, logs.Reading(follow=True), deadline)
        over: list[Record] = [await _job_over(session, what[0], deadline, quiet=True)]
    elif len(what) == 1 and isinstance(what[0], JobRecord):
        over = [await _job_over(session, what[0], deadline, quiet=False)]
    else:
        over = await _all_over(session, what, deadline, leave)
    session.leaving = session.on_interrupt = None
    if manner.download is not None:
        await _downloaded(session, over, manner.download)
    return await end(session, over, answer=answer)


class Leave:
    """What an interrupt says, and does where it was asked to."""

    def __init__(self, session: Session, what: Sequence[Record]) -> None:
        self._session = session
        self._what = what
        self.last: Tally | None = None

    def say(self) -> None:
        """The work goes on, and this finds it again."""
        first = self._what[0]
        more = f" and {len(self._what) - 1:,} more go" if len(self._what) > 1 else " goes"
        name = plain(first.name or first.id) if isinstance(first, BatchRecord) else plain(first.id)
        counted = f": {self.last.over:,} of {self.last.count:,} ended" if self.last else ""
        ids = " ".join(plain(one.id) for one in self._what[:3])
        if self._session.on_interrupt is not None:
            self._session.screen.talk(f"Left. Asking that {name} stops; Ctrl-C once more leaves that too.")
            return
        text = f"Left. {name}{more} on{counted}."
        for line in beside(
            text, f"watch: jobgate wait {ids}    stop: jobgate cancel {ids}", self._session.screen.talk_width
        ):
            self._session.screen.talk(line)

    async def cancel(self) -> None:
        """Asks that all of them stop."""
        for one in self._what:
            kind = "jobs" if isinstance(one, JobRecord) else "batches"
            await self._session.ask("POST", f"/v1/{kind}/{one.id}/cancel", f"{one.id}: not cancelled.")
        self._session.screen.talk(f"Asked. {plural(len(self._what), 'cancel')} on disk.", GOOD)


async def _all_over(session: Session, what: Sequence[Record], deadline: Deadline, leave: Leave) -> list[Record]:
    """All of them when each is over, with a bar on the way."""
    show = not session.screen.quiet and not all(one.over for one in what)
    shower = Shower(session.screen.talk, what, progress=show)
    over: list[Record] = []
    try:
        left = None if deadline.seconds is None else deadline.left(deadline.seconds)
        async with aclosing(waiting.until_over(session.core, list(what), left, progress=show)) as items:  # type: ignore[type-var]  # a generator
            async for item in items:
                if isinstance(item, Tally):
                    leave.last = item
                if not shower.takes(item):
                    over.append(item)  # type: ignore[arg-type]  # the tallies were taken out
    finally:
        shower.end()
    return over


async def _job_over(session: Session, job: JobRecord, deadline: Deadline, *, quiet: bool) -> JobRecord:
    """The job when it is over; on the way, each state it comes to, once."""
    seen = "" if not quiet else job.state
    async for now in _states(session, job.id, deadline):
        if now.over:
            return now
        if not quiet and now.state != seen:
            seen = now.state
            stands = f", {line_of(now.waits)}" if now.waits is not None else ""
            where = f" in {plain(now.environment)}" if now.environment else ""
            sign = STATES.get(now.state, NOTHING)
            session.screen.talk(f"{plain(now.state)}{stands}{where}", sign)
        job = now
    raise timed_out(f"{plain(job.id)} is {plain(job.state)}, not over.", deadline)


async def _states(session: Session, id_: str, deadline: Deadline) -> AsyncIterator[JobRecord]:
    """The job now, then whenever it has changed. Ends with the deadline."""
    tag = ""
    while True:
        query: dict[str, object] = {"expand": "waits"}
        headers = {}
        if tag:
            query["wait"] = f"{deadline.left(STEP):.3f}"
            headers["If-None-Match"] = tag
        asking = Asking(
            method="GET",
            path=f"/v1/jobs/{id_}",
            what=f"{id_} was not waited for.",
            query=query,
            headers=headers,
            deadline=deadline,
            fine=frozenset({_NOT_MODIFIED}),
        )
        answer = await session.line.call(asking)
        if answer.status_code != _NOT_MODIFIED:
            tag = answer.headers.get("ETag", "") or '"0"'
            yield session.core.a_job(answer.content)
        if deadline.over:
            return


async def shown_log(session: Session, job: str, reading: logs.Reading, deadline: Deadline) -> None:
    """What the job writes, on standard output. Raises TimedOut."""
    screen = session.screen
    colour = screen.coloured(screen.out)
    left = None if deadline.seconds is None else deadline.left(deadline.seconds)
    try:
        async with asyncio.timeout(left), aclosing(logs.lines(session.line, job, reading)) as lines:
            async for line in lines:
                if screen.as_json:
                    screen.raw(msgspec.json.encode({"job": job, "line": line.rstrip("\n")}))
                elif screen.terminal:
                    screen.say(logged(line, colour=colour))
                else:
                    _as_it_is(session, line)
    except TimeoutError:
        raise timed_out(f"{plain(job)} is not over.", deadline) from None


def _as_it_is(session: Session, line: str) -> None:
    """Through a pipe the program's words are its own."""
    session.screen.settle()
    stream = session.screen.out
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(line.encode(encoding, "replace").decode(encoding))
    stream.flush()


async def end(session: Session, over: Sequence[Record], *, answer: bool) -> int:
    """How they ended, told; and the exit status."""
    screen = session.screen
    codes = [await _status(session, record) for record in over]
    if screen.as_json:
        await _in_json(session, over)
    elif screen.quiet:
        for record in over if answer else ():
            screen.say(plain(record.id))
    else:
        for record in over:
            await _tell(session, record, answer=answer)
    if len(over) == 1:
        return codes[0]
    return 0 if not any(codes) else 1


async def _status(session: Session, record: Record) -> int:
    """The program's own code; its attempts are asked for where a signal may have ended it."""
    if isinstance(record, JobRecord) and record.failure == "program" and (record.exit_code or 0) <= 0:
        body = await session.look(f"/v1/jobs/{record.id}", record.id, query={"expand": "attempts"})
        return status_of(record, session.core.a_job(body).attempts)
    return status_of(record)


async def _in_json(session: Session, over: Sequence[Record]) -> None:
    async def body(id_: str) -> bytes:
        kind = "jobs" if "-" in id_ else "batches"
        return await session.look(f"/v1/{kind}/{id_}", id_)

    bodies = await each([record.id for record in over], body)
    if len(bodies) == 1:
        session.screen.raw(bodies[0])
    else:
        session.screen.raw(b'{"items":[' + b",".join(bodies) + b"]}")


async def _tell(session: Session, record: Record, *, answer: bool) -> None:
    """One line that says how it ended; of what failed, why, and what one does next."""
    screen = session.screen
    sign = GOOD if record.state == "succeeded" else BAD if record.state == "failed" else NOTHING
    if isinstance(record, JobRecord):
        lines, hints = [ended(record)], []
        if record.state == "failed":
            lines += [f"  why   {plain(record.message)}"] if record.message else []
            lines += [f"  missing  {lacking(record)}"] if record.missing and record.failure != "output" else []
            hints = [f"look: jobgate logs {record.id}", f"again: jobgate retry {record.id}"]
        elif record.missing:
            lines.append(f"  missing  {lacking(record)}")
    else:
        lines, hints = [summary(record)], []
        if record.state == "failed":
            if not record.failures:
                record = await _with_failures(session, record)
            lines += failures(record.failures, screen.width if answer else screen.talk_width)
            such = next((one.such_as for one in record.failures if one.such_as), f"{record.id}-1")
            hints = [f"look: jobgate logs {such}", f"again: jobgate retry {record.id} --failed"]
    first, *rest = lines
    if answer:
        screen.signed(first, sign)
        for line in rest:
            screen.say(line)
    else:
        screen.talk(first, sign)
        for line in rest:
            screen.talk(line)
    for line in beside(f"  {hints[0]}", hints[1], screen.talk_width) if hints else ():
        screen.talk(line)


async def _with_failures(session: Session, batch: BatchRecord) -> BatchRecord:
    body = await session.look(f"/v1/batches/{batch.id}", batch.id, query={"expand": "failures"})
    return session.core.a_batch(body)


async def _downloaded(session: Session, over: Sequence[Record], to: Path) -> None:
    for record in over:
        found = await downloads.download(session.core, record, to if len(over) == 1 else to / record.id)
        session.screen.talk(f"{plural(len(found), 'file')} below {to}", GOOD)
