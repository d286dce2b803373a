"""Events: what happens to jobs and batches, as pages, by long poll, and as a stream of server-sent events.

Source: HTML Living Standard, section 9.2 (server-sent events). A comment and `retry` end with their own line and not
with an empty one, which would end an event: some readers hand out one without data.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Final, Literal
from urllib.parse import quote, urlencode

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from jobgate.dialects.dialect import Ask, Call, Reply, Stream
from jobgate.dialects.native.asked import LONGEST_WAIT, Limit, QueryFault, Seconds, query
from jobgate.dialects.native.batches import id_of
from jobgate.dialects.native.jobs import name_of
from jobgate.dialects.native.states import NAMES
from jobgate.dialects.native.verb import Verb
from jobgate.dialects.native.views import answer, moment
from jobgate.model.ids import BatchId, JobName, batch_id, job_name, job_text
from jobgate.model.ids import batch_text as text
from jobgate.model.operations import Follow
from jobgate.model.outcomes import End, Following, News, Page
from jobgate.model.told import Kind, Told

EVENT_STREAM: Final = "text/event-stream"
RETRY: Final = 2000
"""Milliseconds after which a client whose stream broke off comes again."""
_GREATEST: Final = (1 << 63) - 1
_OPENING: Final = b": jobgate\nretry: %d\n" % RETRY
_BEAT: Final = b": still here\n"
_SEPARATORS: Final = tuple((char.encode(), b"\\u%04x" % ord(char)) for char in "\x85\u2028\u2029")
"""They end no line of a stream, and many a reader thinks they do."""

_Kinds = Annotated[
    tuple[Literal["job", "attempt", "failure", "batch"], ...],
    Meta(description="Which to tell: job, attempt, failure (the job's events that tell of a failed one), batch."),
]
_After = Annotated[
    int,
    Meta(
        ge=0,
        le=_GREATEST,
        description="The cursor of the last event known; 0: from the oldest kept. Left out: the oldest kept, or now "
        "in a stream.",
    ),
]
_Wait = Annotated[Seconds, Meta(description="Seconds to wait, at most 60 of them, for a page that is not empty.")]


class _OneQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kinds: _Kinds = ("job", "batch")
    after: _After | None = None
    limit: Limit = 100
    wait: _Wait = 0.0


class _EventsQuery(_OneQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    batch: Annotated[str, Meta(description="Of this batch only.")] | None = None
    job: Annotated[str, Meta(description="Of this job only.")] | None = None


class EventView(Struct, frozen=True, kw_only=True):
    """One thing that happened; which members there are depends on what it was."""

    cursor: int
    """Of this event: what follows it is what comes after."""
    event: str
    """Its kind, a dot, and what happened: `job.succeeded`, `attempt.running`, `batch.ended`."""
    at: str
    batch: str
    job: str | UnsetType = UNSET
    seq: int | UnsetType = UNSET
    """In the job's own log, from 1; what is the server's own business has a number there too, and is not told."""
    state: str | UnsetType = UNSET
    attempt: str | UnsetType = UNSET
    environment: str | UnsetType = UNSET
    node: str | UnsetType = UNSET
    exit_code: int | UnsetType = UNSET
    failure: str | UnsetType = UNSET
    limit: str | UnsetType = UNSET
    message: str | UnsetType = UNSET
    priority: int | UnsetType = UNSET
    progress: float | UnsetType = UNSET
    counts: dict[str, int] | UnsetType = UNSET
    """The batch's jobs by state."""
    count: int | UnsetType = UNSET
    """How many jobs the batch was made with."""


class EventPage(Struct, frozen=True, kw_only=True):
    """Events in the order of their cursors."""

    items: tuple[EventView, ...]
    cursor: int
    """After it one goes on; it may lie beyond the last item."""
    next: str | None
    """Where more is already; null where one has come to the end for now."""


# --- asked


def _all(call: Call) -> Ask:
    asked = query(call, _EventsQuery)
    if asked.batch is not None and asked.job is not None:
        raise QueryFault("job: either a batch or a job can be followed", code="one-of", field="job")
    batch = None if asked.batch is None else batch_id(asked.batch)
    return _follow(call, asked, batch, None if asked.job is None else job_name(asked.job))


def _of_batch(call: Call) -> Ask:
    return _follow(call, query(call, _OneQuery), id_of(call), None)


def _of_job(call: Call) -> Ask:
    return _follow(call, query(call, _OneQuery), None, name_of(call))


def _follow(call: Call, asked: _OneQuery, batch: BatchId | None, job: JobName | None) -> Ask:
    live = EVENT_STREAM in call.headers.get("accept", "").lower()
    operation = Follow(
        batch=batch,
        job=job,
        kinds=frozenset(map(Kind, asked.kinds)),
        after=_last_seen(call, asked.after) if live else asked.after,
        limit=asked.limit,
        within=0.0 if live else min(asked.wait, LONGEST_WAIT),
        live=live,
    )
    return Ask(operation=operation)


def _last_seen(call: Call, after: int | None) -> int | None:
    """`Last-Event-ID`, which a client sends that comes again; it is later than what its address says."""
    told = call.headers.get("last-event-id", "").strip()
    if not told:
        return after
    if not (told.isascii() and told.isdecimal()) or int(told[:20]) > _GREATEST:
        raise QueryFault("Last-Event-ID: the cursor of an event is needed", code="invalid-field", field="Last-Event-ID")
    return int(told[:20])


# --- told


def view(event: Told) -> EventView:
    """The event on the wire."""
    job = None if event.job is None else job_text(event.batch, event.job)
    return EventView(
        cursor=event.cursor,
        event=event.event,
        at=moment(event.at),
        batch=text(event.batch),
        job=UNSET if job is None else job,
        seq=UNSET if event.seq is None else event.seq,
        state=UNSET if event.state is None else NAMES[event.state],
        attempt=UNSET if event.attempt is None else f"{job}-{event.attempt}",
        environment=event.environment or UNSET,
        node=event.node or UNSET,
        exit_code=UNSET if event.exit_code is None else event.exit_code,
        failure=UNSET if event.failure is None else event.failure.value,
        limit=UNSET if event.limit is None else event.limit.value,
        message=event.message or UNSET,
        priority=UNSET if event.priority is None else event.priority,
        progress=UNSET if event.progress is None else event.progress,
        counts=UNSET if event.counts is None else {NAMES[state]: number for state, number in event.counts},
        count=UNSET if event.count is None else event.count,
    )


def _told(prefix: str, call: Call, outcome: Page | Following) -> Reply:
    if isinstance(outcome, Page):
        return _page(prefix, call, outcome)
    if outcome.items is None:
        return Reply(status=204, media=EVENT_STREAM)
    return Reply(headers={"X-Accel-Buffering": "no"}, body=Stream(outcome.items, _Worded()), media=EVENT_STREAM)


def _page(prefix: str, call: Call, page: Page) -> Reply:
    items = tuple(map(view, page.events))
    if not page.more:
        return answer(EventPage(items=items, cursor=page.cursor, next=None))
    asked = [pair for pair in call.pairs or tuple(call.query.items()) if pair[0] not in ("after", "wait")]
    address = f"{prefix}{_ADDRESSES[call.verb].format(id=quote(call.path.get('id', ''), safe=''))}"
    following = f"{address}?{urlencode([*asked, ('after', str(page.cursor))])}"
    headers = {"Link": f'<{following}>; rel="next"'}
    return answer(EventPage(items=items, cursor=page.cursor, next=following), 200, headers)


class _Worded:
    """Words the items of one stream; the first of them opens it."""

    def __init__(self) -> None:
        self._begun = False

    def __call__(self, item: News | End) -> bytes:
        opening = b"" if self._begun else _OPENING
        self._begun = True
        if isinstance(item, End):
            return opening + b"id: %d\nevent: end\ndata: {}\n\n" % item.cursor
        return opening + (_news(item) if item.events else _BEAT)


@lru_cache(64)
def _news(news: News) -> bytes:
    """What a stream bears; worded once for all who are told the same."""
    return b"".join(map(_event, news.events))


def _event(event: Told) -> bytes:
    data = msgspec.json.encode(view(event))
    if not data.isascii():
        for separator, escaped in _SEPARATORS:
            data = data.replace(separator, escaped)
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.cursor, event.event.encode(), data)


_REFUSES: Final = ("not-found", "gone")
_HEADERS: Final = {
    "Accept": "`text/event-stream` for a stream of server-sent events.",
    "Last-Event-ID": "In a stream: the cursor of the last event known; it wins over `after`.",
}
_STREAM: Final = (
    "As JSON a page, which `wait` holds back until there is an event. With `Accept: text/event-stream` a stream: each "
    "event bears its cursor as `id`, and after the last event of a job or batch that is over comes the event `end`."
)
_SHOWN: Final = EventPage(
    items=(
        EventView(
            cursor=88412,
            event="job.failed",
            at="2026-11-24T23:09:29.641Z",
            batch="2n6r0kqa",
            job="2n6r0kqa-640",
            seq=6,
            state="failed",
            exit_code=1,
            failure="program",
        ),
    ),
    cursor=88412,
    next=None,
)
VERBS: Final = (
    Verb(
        name="events",
        method="GET",
        path="/events",
        summary="What happens to all jobs of the account, to a batch's, or to one",
        description=_STREAM,
        subject="events",
        query=_EventsQuery,
        headers=_HEADERS,
        gives={200: [EventPage, EVENT_STREAM], 204: None},
        refuses=_REFUSES,
        asks={"after": "88400", "wait": "30"},
        shown=_SHOWN,
        decode=_all,
        encode=_told,
    ),
    Verb(
        name="batch-events",
        method="GET",
        path="/batches/{id}/events",
        summary="What happens to a batch and its jobs",
        description=_STREAM,
        subject="events",
        query=_OneQuery,
        headers=_HEADERS,
        gives={200: [EventPage, EVENT_STREAM], 204: None},
        refuses=_REFUSES,
        asks={"after": "88400", "wait": "30"},
        shown=_SHOWN,
        decode=_of_batch,
        encode=_told,
    ),
    Verb(
        name="job-events",
        method="GET",
        path="/jobs/{id}/events",
        summary="What happens to a job",
        description=_STREAM,
        subject="events",
        query=_OneQuery,
        headers=_HEADERS,
        gives={200: [EventPage, EVENT_STREAM], 204: None},
        refuses=_REFUSES,
        asks={"after": "88400", "wait": "30"},
        shown=_SHOWN,
        decode=_of_job,
        encode=_told,
    ),
)
_ADDRESSES: Final = {verb.name: verb.path for verb in VERBS}
