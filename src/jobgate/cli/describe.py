"""A job or a batch told in full, as lines: how it stands, why, and what next. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.cells import cell_len

from jobgate.cli.phrases import (
    ago,
    attempt_line,
    cause,
    environments_of_batch,
    exact,
    lacking,
    limit_line,
    plural,
    since,
    starts,
    summary,
    took,
)
from jobgate.cli.render import Cell, Column, ends, facts, sized, state, table, toned
from jobgate.client.progress import bar, numbers, span
from jobgate.client.records import BatchRecord, Credit, Failures, JobRecord, Place, Waits
from jobgate.client.words import DASH, TIMES, plain, size, waiting

_WIDE = 100
_PLACES = (
    Column("ENVIRONMENT", whole=True),
    Column("FITS"),
    Column("FREE"),
    Column("WHAT BLOCKS IT", note=True),
)


def job_lines(job: JobRecord, last_line: str, now: datetime, width: int, *, colour: bool = False) -> list[str]:
    """All that is known of a job, in the order in which one asks."""
    lines = _head(f"{plain(job.id)}  {plain(job.name)}".rstrip(), job, _stands(job, now), width, colour=colour)
    if job.state == "failed":
        return lines + facts(_failed(job, last_line) + _replicas(job), width)
    found: list[tuple[str, str]] = []
    if job.waits is not None and not job.over:
        found += _waits(job.waits)
    found += _ran(job) + _replicas(job)
    if job.outputs:
        listed = ", ".join(f"{plain(entry.path)} ({size(entry.size)})" for entry in job.outputs[:3])
        more = f" and {len(job.outputs) - 3:,} more" if len(job.outputs) > 3 else ""  # noqa: PLR2004  # those shown
        found.append(("files", f"{listed}{more}"))
    found += [("missing", lacking(job))] if job.missing else []
    if job.over and last_line:
        found.append(("log", f"… {plain(last_line)}      (the last line: jobgate logs {job.id})"))
    found += [("says", plain(job.message))] if job.message else []
    lines += facts(found, width)
    if job.waits is not None and not job.over and job.waits.environments:
        lines += _environments(job.waits.environments, width, colour=colour)
    return lines


def batch_lines(batch: BatchRecord, now: datetime, width: int, *, colour: bool = False) -> list[str]:
    """All that is known of a batch."""
    lasted = f"after {took(batch)}" if batch.over and took(batch) else "" if batch.over else ago(since(batch), now)
    stands = Cell(f"{state(batch.state).text} {lasted}".rstrip(), state(batch.state).tone)
    lines = _head(f"{plain(batch.id)}  {plain(batch.name)}".rstrip(), batch, stands, width, colour=colour)
    lines.append(
        f"  {bar(batch.counts, batch.count, 40 if width >= _WIDE else 16)}  {numbers(batch.counts, batch.count)}"
    )
    found = []
    if batch.waits is not None and not batch.over and not batch.tally.under_way:
        found += _waits(batch.waits)
    where = environments_of_batch(batch)
    found += [("runs in", where)] if where else []
    found += [("expires", exact(batch.expires))] if batch.expires is not None and batch.retired is None else []
    found += [("retired", exact(batch.retired))] if batch.retired is not None else []
    found += [("labels", _labels(batch.labels.items()))] if batch.labels else []
    found += [("credit", _credit(batch.credit))] if batch.credit is not None else []
    lines += facts(found, width)
    if batch.failures:
        lines += failures(batch.failures, width)
        lines.append(f"  again: jobgate retry {batch.id} --failed")
    return lines


def _credit(credit: Credit) -> str:
    """`12.5 of 20.8`; with replicas also what those were granted that are not needed."""
    told = f"{credit.canonical:,.6g} of {credit.estimate:,.6g}"
    return told if credit.total == credit.canonical else f"{told}; {credit.total:,.6g} with all attempts"


def failures(found: Sequence[Failures], width: int) -> list[str]:
    """Failures of one kind on one line each: how many, why, and one of them."""
    if not found:
        return []
    many = max(len(f"{one.count:,}") for one in found)
    causes = [cause(one.failure, one.limit, one.exit_code) for one in found]
    wide = max(map(cell_len, causes))
    reasons = [plain(one.last_line or one.message) for one in found]
    longest = max(map(cell_len, reasons))
    lines = []
    for one, why, said in zip(found, causes, reasons, strict=True):
        such = f"such as {plain(one.such_as)}" if one.such_as else ""
        left = f"    {one.count:>{many},} {TIMES}  {sized(why, wide)}"
        room = width - cell_len(left) - cell_len(such) - 10
        if room < 16:  # noqa: PLR2004  # cells that a reason needs
            lines += [left.rstrip()] + [f"      {text}" for text in (sized(said, width - 6).rstrip(), such) if text]
        else:
            lines.append(f"{left}     {sized(said, min(room, longest))}     {such}".rstrip())
    return lines


def told(record: JobRecord | BatchRecord) -> str:
    """One line of either."""
    return summary(record) if isinstance(record, BatchRecord) else f"{plain(record.id)} {plain(record.state)}"


def _head(left: str, record: JobRecord | BatchRecord, stands: Cell, width: int, *, colour: bool) -> list[str]:
    del record
    first, *rest = ends(left, stands.text, width)
    return [
        line.replace(stands.text, toned(stands.text, stands.tone, colour=colour)) if place == len(rest) else line
        for place, line in enumerate([first, *rest])
    ]


def _stands(job: JobRecord, now: datetime) -> Cell:
    """`· queued 14 min`, `✗ failed: limit, attempt 2 of 2`."""
    word = state(job.state)
    if job.state == "failed":
        many = f", attempt {job.attempt_count}" if job.attempt_count > 1 else ""
        return Cell(f"{word.text}: {cause(job.failure, '', job.exit_code)}{many}", word.tone)
    if job.over:
        return Cell(f"{word.text}{f' after {took(job)}' if took(job) else ''}", word.tone)
    return Cell(f"{word.text} {ago(since(job), now)}".rstrip(), word.tone)


def _waits(waits: Waits) -> list[tuple[str, str]]:
    found = [("waits because", plain(waits.text or waits.reason))]
    if waits.place is not None:
        fitting = next((place.name for place in waits.environments if place.fits), "")
        found.append(
            ("place", plain(waiting(waits.place).replace(" in line", "") + (f" for {fitting}" if fitting else "")))
        )
    found += [("clears", plain(waits.clears))] if waits.clears else []
    found += [("starts", starts(waits.starts))] if waits.starts is not None else []
    return found


def _environments(places: Sequence[Place], width: int, *, colour: bool) -> list[str]:
    rows = []
    for place in places:
        free = f"{place.free.get('slots', DASH)} of {place.free['of']}" if "of" in place.free else DASH
        rows.append(
            [
                Cell(place.name),
                Cell("yes" if place.fits else "no", "green" if place.fits else "dim"),
                Cell(f"{free} slots" if "slots" in place.free else free),
                Cell(place.text or place.blocks),
            ]
        )
    return [f"  {line}" for line in table(_PLACES, rows, width - 2, colour=colour)]


def _ran(job: JobRecord) -> list[tuple[str, str]]:
    last = next(
        (one for one in job.attempts if one.number == job.canonical), job.attempts[-1] if job.attempts else None
    )
    found = []
    if last is not None:
        found.append(("ran" if job.over else "runs", attempt_line(last)))
        if last.usage is not None and job.over:
            used = [f"{span(last.usage.cpu_seconds)} of processors" if last.usage.cpu_seconds is not None else ""]
            used.append(f"{size(last.usage.max_memory)} of memory" if last.usage.max_memory else "")
            found += [("used", ", ".join(filter(None, used)))] if any(used) else []
    elif job.started is not None:
        found.append(("started", exact(job.started)))
    found += [("progress", f"{job.progress:.0%}")] if job.progress is not None and not job.over else []
    return found


def _failed(job: JobRecord, last_line: str) -> list[tuple[str, str]]:
    last = job.attempts[-1] if job.attempts else None
    what = plain(job.message)
    if job.failure == "limit" and last is not None:
        what = limit_line(last, job.limit) + (f"; {plain(job.message)}" if job.message else "")
        what += f" (signal {last.signal})" if last.signal else ""
        what += f" after {took(job)}" if took(job) else ""
    elif job.failure == "program":
        ending = f"ended by signal {last.signal}" if last is not None and last.signal else f"exit {job.exit_code}"
        what = ending + (f" after {took(job)}" if took(job) else "") + (f": {what}" if what else "")
    found = [("what", what or cause(job.failure, job.limit, job.exit_code))]
    if last is not None:
        same = [one for one in job.attempts[:-1] if (one.failure, one.exit_code) == (last.failure, last.exit_code)]
        before = f"; {plural(len(same), 'attempt')} before ended the same way" if same else ""
        found.append(("ran", attempt_line(last) + before))
    if last_line:
        found.append(("log", f"… {plain(last_line)}      (the last line: jobgate logs {job.id})"))
    if job.missing and job.failure != "output":  # which says it itself
        found.append(("missing", lacking(job)))
    again = f"jobgate retry {job.id}"
    if job.failure == "limit" and job.limit == "memory":
        allowed = last.allowed.memory if last is not None and last.allowed is not None else None
        more = f"{max(allowed * 2 // (1 << 20), 1)}MiB" if allowed else "4GiB"
        again = f"jobgate submit --like {job.id} --memory {_rounded(more)}"
    elif job.failure == "limit" and job.limit == "walltime":
        again = f"jobgate submit --like {job.id} --walltime 2h"
    found.append(("next", again))
    return found


def _replicas(job: JobRecord) -> list[tuple[str, str]]:
    """Each attempt of a job that is run several times, with what comparing it said."""
    if not any(one.verdict or one.replica > 1 for one in job.attempts):
        return []
    found = []
    for one in job.attempts:
        said = one.verdict or one.failure or one.state
        taken = ", its files are the job's" if one.number == job.canonical else ""
        found.append((f"attempt {one.number}", plain(f"{said.replace('_', ' ')}{taken}; {attempt_line(one)}")))
    return found


def _rounded(more: str) -> str:
    number = int(more[:-3]) if more.endswith("MiB") else 0
    return f"{number // 1024}GiB" if number and number % 1024 == 0 else more


def _labels(labels: Iterable[tuple[str, str]]) -> str:
    return plain("  ".join(f"{name}={value}" for name, value in labels))
