"""What the server says, as frozen records: read from its JSON in one step. Members that are new there are passed over.

The records with verbs (Job, Batch, File) are made of these in `sync` and `aio`: the same data, and what can be done.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from jobgate.client.html import fields, rows
from jobgate.client.progress import Tally, bar, numbers, span
from jobgate.client.words import TIMES, plain, waiting

Value = str | int | float | bool
"""A value of a sweep."""
OVER = frozenset({"succeeded", "failed", "cancelled"})


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a waiting job fits an environment, and what blocks it there."""

    name: str
    fits: bool = False
    free: Mapping[str, Any] = {}
    """What is free of what: `{"slots": 0, "of": 32}`."""
    blocks: str = ""
    text: str = ""


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """An estimate: a value, and the interval that holds it four times out of five.

    >>> Range(seconds=900, low=480, high=1500, runs=32)
    <about 15 min (8 min to 25 min), from 32 runs>
    """

    seconds: float | None = None
    low: float | None = msgspec.field(default=None, name="from")
    high: float | None = msgspec.field(default=None, name="to")
    runs: int = 0
    """Past runs it rests on; with none, nothing is known."""

    def __repr__(self) -> str:
        return f"<{self}>"

    def __str__(self) -> str:
        if self.seconds is None:
            return "not known yet"
        between = "" if self.low is None or self.high is None else f" ({span(self.low)} to {span(self.high)})"
        return f"about {span(self.seconds)}{between}, from {self.runs:,} runs"


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job waits: `str(waits)` is the sentence."""

    reason: str
    """held, not_before, quota, busy, turn, room_kept, environment_down or no_environment."""
    place: int | None = None
    """In the queue; 1 is next."""
    text: str = ""
    clears: str = ""
    """What will clear it."""
    starts: Range | None = None
    environments: tuple[Place, ...] = ()

    def __str__(self) -> str:
        return plain(self.text or self.reason)

    def __repr__(self) -> str:
        return f"<Waits {plain(self.reason)}{f', {waiting(self.place)}' if self.place else ''}: {plain(self.text)}>"

    def _repr_html_(self) -> str:
        facts = {"waits because": self.text or self.reason, "place": self.place, "clears": self.clears}
        return fields(facts | {"starts": self.starts})


class FileEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a job left."""

    path: str
    """From the workspace; `/` separates."""
    size: int = 0
    sha256: str = ""
    output: int = 0
    mode: int | None = None


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt used."""

    cpu_seconds: float | None = None
    wall_seconds: float | None = None
    max_memory: int | None = None


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt might use."""

    cores: float | None = None
    memory: int | None = None
    disk: int | None = None
    walltime: float | None = None


class StepEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How one command ended."""

    exit_code: int | None = None
    signal: int | None = None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One start of a job."""

    id: str
    number: int = 1
    replica: int = 1
    try_: int = msgspec.field(default=1, name="try")
    state: str = ""
    environment: str = ""
    node: str = ""
    created: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    exit_code: int | None = None
    signal: int | None = None
    failure: str = ""
    limit: str = ""
    message: str = ""
    verdict: str = ""
    """pending, valid, invalid, inconclusive, unneeded or too_late; empty where nothing was compared."""
    usage: Usage | None = None
    allowed: Allowed | None = None
    steps: tuple[StepEnd, ...] = ()

    def __repr__(self) -> str:
        return f"<Attempt {plain(self.id)} {plain(self.state)}{_end(self.failure, self.limit, self.exit_code)}>"


class JobRecord(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A job as it stood when the server was asked. What has no value is None or empty."""

    id: str
    batch: str = ""
    number: int = 1
    """Its place in the batch, from 1."""
    small_number: int | None = None
    """What it is called where a number has 32 bits."""
    job_name: str = ""
    """What its owner calls this job; `name` is its batch's."""
    state: str = ""
    """held, queued, staging_in, running, staging_out, cancelling, succeeded, failed or cancelled."""
    created: datetime | None = None
    name: str = ""
    labels: Mapping[str, str] = {}
    priority: int = 0
    app: str = ""
    image: str = ""
    command: tuple[str, ...] = ()
    script: str = ""
    parameters: Mapping[str, Value] = {}
    """Its row of a sweep."""
    environment: str = ""
    node: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    exit_code: int | None = None
    failure: str = ""
    """program, input, output, image, limit, engine, lost, preempted or undecided; empty if it did not fail."""
    limit: str = ""
    message: str = ""
    progress: float | None = None
    canonical: int | None = None
    """Of a job with replicas: number of the attempt whose outputs are its own."""
    attempt_count: int = 0
    outputs: tuple[FileEntry, ...] = ()
    missing: tuple[str, ...] = ()
    """Outputs that were asked for, and nothing was kept there."""
    skipped: int = 0
    """Files that were left and cannot be told."""
    waits: Waits | None = None
    """Why it waits, where it was asked for; `client.job(id)` asks."""
    attempts: tuple[Attempt, ...] = ()
    """Where they were asked for; `client.job(id)` asks."""
    dialect: str = ""

    @property
    def over(self) -> bool:
        """Whether nothing moves it any more."""
        return self.state in OVER

    @property
    def succeeded(self) -> bool:
        """Whether it is over, and its command ended with 0."""
        return self.state == "succeeded"

    @property
    def failed(self) -> bool:
        """Whether it is over, and failed; a cancelled job has not failed."""
        return self.state == "failed"

    @property
    def cancelled(self) -> bool:
        """Whether it is over because it was asked to stop."""
        return self.state == "cancelled"

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        note = f", {self._note()}" if self._note() else ""
        return f"<Job {plain(self.id)} {plain(self.state)}{note}>"

    def _note(self) -> str:
        if self.waits is not None and not self.over:
            fitting = next((place.name for place in self.waits.environments if place.fits), "")
            line = waiting(self.waits.place) if self.waits.place else self.waits.reason
            return plain(f"{line} for {fitting}" if self.waits.place and fitting else line)
        if self.over:
            took = f"after {span((self.ended - self.started).total_seconds())}" if self.ended and self.started else ""
            end = "" if self.succeeded else _end(self.failure, self.limit, self.exit_code)[2:]
            return ", ".join(part for part in (end, took) if part)
        return f"{self.progress:.0%}" if self.progress is not None else ""

    def _repr_html_(self) -> str:
        facts: dict[str, object] = {
            "job": self.id,
            "name": self.name,
            "state": self.state,
            "note": self._note(),
            "environment": self.environment,
            "created": self.created,
            "started": self.started,
            "ended": self.ended,
            "message": self.message,
            **{f"parameter {name}": value for name, value in self.parameters.items()},
        }
        return fields(facts)


class Failures(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs of a batch that failed in the same way."""

    failure: str = ""
    limit: str = ""
    exit_code: int | None = None
    message: str = ""
    count: int = 0
    such_as: str = ""
    """One of them."""
    last_line: str = ""
    """Of that one's log."""

    def __repr__(self) -> str:
        end = _end(self.failure, self.limit, self.exit_code)[2:]
        why = plain(self.last_line or self.message)
        return f"<{self.count:,} {TIMES} {end}{f': {why}' if why else ''}, such as {plain(self.such_as)}>"


class Credit(msgspec.Struct, frozen=True, kw_only=True):
    """What the jobs of a batch are worth: 200 are a day of 1e9 floating-point operations a second."""

    estimate: float = 0.0
    """If each replica that is wanted succeeds."""
    canonical: float = 0.0
    """Granted to the attempts whose outputs are the jobs'."""
    total: float = 0.0
    """Granted to all attempts."""


class BatchRecord(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A batch as it stood when the server was asked."""

    id: str
    small_number: int | None = None
    """What it is called where a number has 32 bits."""
    name: str = ""
    count: int = 0
    state: str = ""
    created: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    over: bool = False
    """Whether all its jobs are."""
    counts: Mapping[str, int] = {}
    """Jobs by state."""
    labels: Mapping[str, str] = {}
    priority: int = 0
    app: str = ""
    environments: tuple[str, ...] = ()
    open: bool = False
    """It has no jobs yet, and may be filled."""
    expires: datetime | None = None
    """When it is cancelled and retired, unless that is put off."""
    retired: datetime | None = None
    """Since when its owner is done with it."""
    dialect: str = ""
    progress: float = 0.0
    """Share of its jobs that are over."""
    waits: Waits | None = None
    """Of its first waiting job, where it was asked for."""
    failures: tuple[Failures, ...] = ()
    """Where they were asked for; most frequent first."""
    credit: Credit | None = None
    """Where a job of it says what it takes or is granted."""
    cpu_seconds: float | None = None
    """Of all its attempts that are over."""

    @property
    def succeeded(self) -> bool:
        """Whether every job is over and succeeded."""
        return self.state == "succeeded"

    @property
    def failed(self) -> bool:
        """Whether all are over, and at least one failed."""
        return self.state == "failed"

    @property
    def tally(self) -> Tally:
        """What the bar is drawn from."""
        return Tally(counts=self.counts, count=self.count, name=plain(self.name or self.id))

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        name = f" {plain(self.name)}" if self.name else ""
        return f"<Batch {plain(self.id)}{name} {plain(self.state)}, {numbers(self.counts, self.count)}>"

    def _repr_html_(self) -> str:
        facts: dict[str, object] = {
            "batch": self.id,
            "name": self.name,
            "state": self.state,
            "jobs": numbers(self.counts, self.count),
            "": bar(self.counts, self.count),
            "created": self.created,
            "ended": self.ended,
        }
        return fields(facts)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened, in the order it was committed; go on after `cursor`."""

    cursor: int
    event: str
    """`job.running`, `attempt.lost`, `batch.counts`: a kind, and what happened."""
    at: datetime | None = None
    batch: str = ""
    job: str = ""
    seq: int | None = None
    """Its number among the job's own events, without gaps."""
    state: str = ""
    attempt: str = ""
    environment: str = ""
    node: str = ""
    exit_code: int | None = None
    failure: str = ""
    limit: str = ""
    message: str = ""
    priority: int | None = None
    progress: float | None = None
    counts: Mapping[str, int] = {}
    count: int = 0

    @property
    def kind(self) -> str:
        """The word before the dot: job, attempt or batch."""
        return self.event.partition(".")[0]

    @property
    def ends_job(self) -> bool:
        """Whether its job is over by it."""
        return self.kind == "job" and self.event.partition(".")[2] in OVER

    def __repr__(self) -> str:
        return f"<Event {self.cursor} {plain(self.event)} {plain(self.job or self.batch)}>"


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that the server holds, named by their hash; as an input: `{"data.bin": upload}`."""

    sha256: str
    size: int = 0


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a cancel came to: asked is not stopped; only the engine's word ends a running job."""

    id: str
    asked: int = 0
    cancelled: int = 0
    """Queued ones that ended at once."""
    cancelling: int = 0
    """Running ones."""
    unchanged: int = 0
    """Those that were over already."""


def jobs_table(jobs: tuple[JobRecord, ...]) -> str:
    """A table of jobs as HTML."""
    found = [(job.id, job.job_name or job.name, job.state, job._note(), job.environment, job.created) for job in jobs]  # noqa: SLF001  # our own
    return rows(("job", "name", "state", "note", "environment", "created"), found)


def _end(failure: str, limit: str, exit_code: int | None) -> str:
    """`, limit memory`, `, program, exit 1`; empty for nothing of these."""
    parts = [plain(f"{failure} {limit}".strip())] if failure else []
    parts += [f"exit {exit_code}"] if exit_code is not None and failure in ("program", "") else []
    return "".join(f", {part}" for part in parts)
