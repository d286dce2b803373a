"""What is wrong with a submit as a whole, and every fault of one that cannot be taken."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, TypeVar

import msgspec
from msgspec import UNSET

from jobgate.dialects.dialect import Call
from jobgate.dialects.native.asked import not_json
from jobgate.dialects.native.bound import Apps
from jobgate.dialects.native.faults import MOST, gathered, of_jobs, of_types
from jobgate.dialects.native.rows import SWEEP, NoRows, faults_of, rows_of, unused
from jobgate.dialects.native.sweep import Sweep
from jobgate.dialects.native.wire import BatchDraft, FillDraft, JobDraft, JobsDraft, LoneDraft, NamedDraft
from jobgate.dialects.reading import json_object, json_value, number
from jobgate.model.errors import Invalid

T = TypeVar("T")
Jobs = tuple[NamedDraft, ...]
B = TypeVar("B", BatchDraft, FillDraft)
_BIG: Final = ("template", "jobs", "sweep")
"""Members that are looked at on their own."""
_LIST: Final = re.compile(rb"[ \t\r\n]*\[")
"""How a body begins that is a list."""


def read(call: Call, kind: type[T], apps: Apps) -> T:
    """The body, decoded in one step. Raises Invalid with every fault."""
    try:
        return msgspec.json.decode(call.body, type=kind)
    except msgspec.ValidationError:
        plain = json_object(call.body, numbers=number)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise not_json() from None
    try:
        return msgspec.convert(plain, kind)
    except msgspec.ValidationError:
        raise every(call, kind, apps) from None


def read_batch(call: Call, kind: type[B], apps: Apps) -> B:
    """The body as a batch, where a bare list is its jobs, decoded in one step. Raises Invalid with every fault."""
    if not _LIST.match(call.body):
        return read(call, kind, apps)
    try:
        return kind(jobs=msgspec.json.decode(call.body, type=Jobs))
    except msgspec.ValidationError:
        plain = json_value(call.body, numbers=number)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise not_json() from None
    try:
        return kind(jobs=msgspec.convert(plain, Jobs))
    except msgspec.ValidationError:
        raise every(call, kind, apps) from None


def every(call: Call, kind: type, apps: Apps) -> Invalid:
    """What is wrong with a body that cannot be taken: all of it."""
    if kind is not LoneDraft and _LIST.match(call.body):
        listed = json_value(call.body, numbers=number)
        found = gathered(_of_list(listed, apps)) if isinstance(listed, list) else None
        return found or Invalid("the body cannot be understood", code="invalid-json")
    body = json_object(call.body, numbers=number)
    found = gathered(_of_lone(body, apps) if kind is LoneDraft else _of_batch(body, kind, apps))
    return found or Invalid("the body cannot be understood", code="invalid-json")


def wrong_texts(name: str, labels: Mapping[str, str]) -> Invalid | None:
    """What is wrong with the words that a batch is found by."""
    if "\0" in name:
        return Invalid("name: NUL is refused", field="name")
    if any("\0" in text for pair in labels.items() for text in pair):
        return Invalid("labels: NUL is refused", field="labels")
    return None


def wrong_shape(members: Collection[str], jobs: int | None, draft: JobsDraft) -> Invalid | None:
    """What is wrong with a batch as a whole that has these members; `jobs` is how many it lists, if it does."""
    template, sweep, count, placeholders = "template" in members, "sweep" in members, draft.count, draft.placeholders
    if isinstance(draft, BatchDraft) and draft.open:
        return _wrong_open(draft, any_job=template or sweep or jobs is not None)
    if template == (jobs is not None):
        return Invalid("a batch has one of template and jobs", code="one-of", field="template")
    if jobs == 0:
        return Invalid("jobs: a batch needs at least one job", field="jobs")
    if sweep and not template:
        return Invalid("sweep: it belongs to template", field="sweep")
    if placeholders and not template:
        return Invalid("placeholders: they belong to template", field="placeholders")
    if count != 1 and (sweep or not template):
        return Invalid("count: it belongs to template; jobs and rows are counted", field="count")
    return None


def _wrong_open(draft: BatchDraft, *, any_job: bool) -> Invalid | None:
    if any_job or draft.count != 1 or draft.placeholders:
        return Invalid("open: such a batch has no jobs yet, nor how many there will be", code="one-of", field="open")
    if draft.held:
        return Invalid("held: it belongs to the jobs; say it when they come", field="held")
    return None


def said(draft: JobsDraft) -> frozenset[str]:
    """Which of the large members it has."""
    return frozenset(name for name in _BIG if getattr(draft, name) is not UNSET)


# --- every fault


def _of_lone(body: Mapping[str, object], apps: Apps) -> Iterator[Invalid]:
    own = frozenset(JobDraft.__struct_fields__)
    wrong = tuple(islice(of_types(body, LoneDraft), MOST))
    yield from wrong
    if not wrong:
        yield from _texts(body)
        yield from of_jobs([("", 0, {name: value for name, value in body.items() if name in own})], apps)


def _of_list(jobs: Sequence[object], apps: Apps) -> Iterator[Invalid]:
    """Of a body that is a list of jobs."""
    if not jobs:
        yield Invalid("a batch needs at least one job")
    yield from of_jobs(((f"[{place}]", place, one) for place, one in enumerate(jobs)), apps, NamedDraft)


def _of_batch(body: Mapping[str, object], kind: type, apps: Apps) -> Iterator[Invalid]:
    """In the order they are told: the request as a whole, then its jobs."""
    rest = {name: value for name, value in body.items() if name not in _BIG}
    wrong = tuple(islice(of_types(rest, kind), MOST))
    yield from wrong
    if not wrong:
        yield from _shape(body, rest)
        if kind is BatchDraft:
            yield from _texts(rest)
    template, listed = body.get("template", UNSET), body.get("jobs", UNSET)
    swept = tuple(islice(faults_of(body["sweep"]), MOST)) if "sweep" in body else ()
    yield from swept
    if template is not UNSET:
        if not wrong and not swept and ("sweep" in body or body.get("placeholders")):
            yield from _of_sweep(template, body.get("sweep", UNSET), body.get("count", 1), apps)
        else:
            yield from of_jobs([("template", 0, template)], apps)
    if isinstance(listed, list):
        yield from of_jobs(((f"jobs[{place}]", place, one) for place, one in enumerate(listed)), apps, NamedDraft)
    elif listed is not UNSET:
        yield from of_types(listed, Jobs, "jobs")


def _of_sweep(template: object, sweep: object, count: object, apps: Apps) -> Iterator[Invalid]:
    """Of a template whose rows have no fault."""
    wrong = tuple(islice(of_types(template, JobDraft, "template"), MOST))
    yield from wrong
    if wrong:
        return
    draft = msgspec.convert(template, JobDraft)
    table = None if sweep is UNSET else msgspec.convert(sweep, SWEEP)
    swept = Sweep(draft, rows_of(table) if table is not None else NoRows(msgspec.convert(count, int)), apps)
    if table is not None:
        yield from unused(table, swept.used)
    yield from swept.faults()


def _shape(body: Mapping[str, object], rest: Mapping[str, object]) -> Iterator[Invalid]:
    """Of members whose types are right."""
    listed = body.get("jobs", UNSET)
    jobs = None if listed is UNSET else len(listed) if isinstance(listed, list) else 1
    draft = msgspec.convert(rest, BatchDraft)
    wrong = wrong_shape(body.keys(), jobs, draft)
    if wrong is not None:
        yield wrong


def _texts(body: Mapping[str, object]) -> Iterator[Invalid]:
    """As `wrong_texts`, of a body whose types are right."""
    own = msgspec.convert({name: body[name] for name in ("name", "labels") if name in body}, BatchDraft)
    yield from filter(None, (wrong_texts(own.name, own.labels),))
