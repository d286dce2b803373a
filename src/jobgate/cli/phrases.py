"""Phrases for people: since when, how many, how it ended. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from jobgate.cli.exits import BY_SIGNAL, NOT_ITS_DOING
from jobgate.client.progress import UNDER_WAY, span
from jobgate.client.records import Attempt, BatchRecord, JobRecord, Range, Waits
from jobgate.client.words import DASH, TIMES, plain, size, waiting

_LONG: Final = 120.0
_ENDS: Final = ("succeeded", "failed", "cancelled")
_ON: Final = ("running", "staging_in", "staging_out", "cancelling", "queued")
"""States that a batch which is under way is told by."""


def ago(since: datetime | None, now: datetime) -> str:
    """`10 s`, `14 min`, `2 h`, `3 d`: one part."""
    if since is None:
        return ""
    seconds = max((now - since).total_seconds(), 0)
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"


def exact(at: datetime | None) -> str:
    """RFC 3339, UTC, milliseconds."""
    return "" if at is None else at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(at: datetime) -> str:
    """`12:04:11.2`, UTC."""
    return at.astimezone(UTC).strftime("%H:%M:%S.%f")[:-5]


def since(record: JobRecord | BatchRecord) -> datetime | None:
    """Since when it stands as it stands."""
    if record.state in _ENDS:
        return record.ended or record.created
    return (record.started if record.state in UNDER_WAY else None) or record.created


def took(record: JobRecord | BatchRecord) -> str:
    """How long it ran; empty where that is not known."""
    if record.started is None or record.ended is None:
        return ""
    return span((record.ended - record.started).total_seconds())


def plural(number: int, word: str) -> str:
    """`1 job`, `12 jobs`, `3 batches`."""
    ending = "" if number == 1 else "es" if word.endswith("ch") else "s"
    return f"{number:,} {word}{ending}"


def cause(failure: str, limit: str, exit_code: int | None) -> str:
    """`program, exit 1`, `limit, memory`: why, in the model's word."""
    parts = [failure, limit, f"exit {exit_code}" if exit_code is not None and failure == "program" else ""]
    return plain(", ".join(part for part in parts if part))


def line_of(waits: Waits) -> str:
    """`3rd in line for gpu-a`, `busy, 3rd in line`: the short form."""
    fitting = next((place.name for place in waits.environments if place.fits), "")
    if waits.place is None:
        return plain(waits.reason)
    return plain(f"{waiting(waits.place)} for {fitting}" if fitting else f"{waits.reason}, {waiting(waits.place)}")


def starts(estimate: Range) -> str:
    """`in about 15 min (the interval, and what it rests on)`."""
    if estimate.seconds is None:
        return "not known yet"
    between = []
    if estimate.low is not None and estimate.high is not None:
        between.append(between_of(estimate.low, estimate.high))
    between += [f"from {plural(estimate.runs, 'job')} like it"] if estimate.runs else []
    return f"in about {span(estimate.seconds)}" + (f" ({', '.join(between)})" if between else "")


def between_of(low: float, high: float) -> str:
    """`8-25 min`, with the unit once where both have the same."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if low >= length:
            return f"{low / length:.0f}{DASH}{high / length:.0f} {unit}"
    if high >= _LONG:
        return f"{span(low)} to {span(high)}"
    return f"{low:.0f}{DASH}{high:.0f} s" if low >= 1 else f"{low:.1f}{DASH}{high:.1f} s"


def note_of_job(job: JobRecord) -> str:
    """What one asks next: why it waits, how far it is, how it ended."""
    if job.state == "failed":
        what = f"exit {job.exit_code}" if job.failure == "program" and job.exit_code is not None else ""
        what = what or cause(job.failure, job.limit, job.exit_code)
        return f"{what}: {plain(job.message)}" if job.message else what
    if job.waits is not None and not job.over:
        place = f", {waiting(job.waits.place)}" if job.waits.place else ""
        return plain(job.waits.reason + place)
    if job.progress is not None and not job.over:
        return f"{job.progress:.0%}"
    return plain(job.message)


def note_of_batch(batch: BatchRecord) -> str:
    """The same, of a batch."""
    counts = batch.counts
    if batch.over:
        if not batch.failures:
            return ""
        top = batch.failures[0]
        what = f"exit {top.exit_code}" if top.failure == "program" and top.exit_code is not None else ""
        what = what or cause(top.failure, top.limit, top.exit_code)
        why = plain(top.last_line or top.message)
        many = f"{top.count:,} {TIMES} " if batch.count > 1 else ""
        return f"{many}{what}" + (f": {why}" if why else "")
    if batch.tally.under_way:
        if batch.count == 1:
            return next((word for word in UNDER_WAY if counts.get(word) and word != batch.state), "")
        return total({word: counts.get(word, 0) for word in _ON})
    if batch.waits is not None:
        place = f", {waiting(batch.waits.place)}" if batch.waits.place else ""
        return plain(batch.waits.reason + place)
    return ""


def jobs_of_batch(batch: BatchRecord) -> str:
    """`612/1,000 ✗7`."""
    failed = batch.counts.get("failed", 0)
    return f"{batch.tally.over:,}/{batch.count:,}" + (f" ✗{failed:,}" if failed else "")


def environments_of_batch(batch: BatchRecord) -> str:
    """Where it runs, or will."""
    fitting = [place.name for place in batch.waits.environments if place.fits] if batch.waits is not None else []
    return plain(", ".join(batch.environments or fitting[:1]))


def ended(job: JobRecord) -> str:
    """`2n6r0kqa-1 succeeded after 3 min 12 s (exit 0)`."""
    word = f"{job.state}: {cause(job.failure, job.limit, job.exit_code)}" if job.state == "failed" else job.state
    after = f" after {took(job)}" if took(job) else ""
    code = f" (exit {job.exit_code})" if job.succeeded and job.exit_code is not None else ""
    return f"{plain(job.id)} {word}{after}{code}"


def lacking(job: JobRecord) -> str:
    """`model.bin, *.png: asked for by --output, and nothing was kept there`; empty where nothing lacks."""
    return f"{plain(', '.join(job.missing))}: asked for as an output, and nothing was kept there" if job.missing else ""


def summary(batch: BatchRecord) -> str:
    """`fit: 993 succeeded, 7 failed, in 17 s`."""
    parts = [f"{batch.counts[word]:,} {word}" for word in _ENDS if batch.counts.get(word)]
    left = batch.count - batch.tally.over
    parts += [f"{left:,} not over"] if left > 0 else []
    parts += [f"in {took(batch)}"] if took(batch) else []
    return f"{plain(batch.name or batch.id)}: {', '.join(parts)}"


def status_of(record: JobRecord | BatchRecord, attempts: tuple[Attempt, ...] = ()) -> int:
    """The exit status that says how it ended: the program's own, 128 and a signal, 1 for a batch, else 125."""
    if record.state == "succeeded":
        return 0
    if isinstance(record, BatchRecord):
        return 1
    if record.failure != "program":
        return NOT_ITS_DOING
    last = attempts[-1] if attempts else None
    if last is not None and last.signal:
        return BY_SIGNAL + last.signal
    if record.exit_code is None:
        return NOT_ITS_DOING
    return record.exit_code if record.exit_code > 0 else BY_SIGNAL - record.exit_code


def attempt_line(attempt: Attempt) -> str:
    """`local, node w1, 12:04:11.2-12:04:13.1 UTC`."""
    parts = [attempt.environment, f"node {attempt.node}" if attempt.node else ""]
    if attempt.started is not None:
        begun = clock(attempt.started)
        parts.append(f"{begun}{DASH}{clock(attempt.ended)} UTC" if attempt.ended else f"since {begun} UTC")
    return plain(", ".join(part for part in parts if part))


def limit_line(attempt: Attempt, limit: str) -> str:
    """`memory: used 2.0 GiB, the limit was 2.0 GiB`; what was measured against what was allowed."""
    used, allowed = attempt.usage, attempt.allowed
    if limit == "memory" and allowed is not None and allowed.memory:
        measured = f"used {size(used.max_memory)}, " if used is not None and used.max_memory else ""
        return f"memory: {measured}the limit was {size(allowed.memory)}"
    if limit == "walltime" and allowed is not None and allowed.walltime:
        measured = f"ran {span(used.wall_seconds)}, " if used is not None and used.wall_seconds else ""
        return f"walltime: {measured}the limit was {span(allowed.walltime)}"
    return plain(limit)


def total(counts: Mapping[str, int]) -> str:
    """`32 running, 356 queued`."""
    return plain(", ".join(f"{number:,} {word}" for word, number in counts.items() if number)) or "none"
