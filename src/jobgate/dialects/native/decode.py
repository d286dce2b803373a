"""From a call to what it asks for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Final, TypeVar

import msgspec
from msgspec import UNSET

from jobgate.dialects.dialect import Ask, Call
from jobgate.dialects.native.faults import MOST, gathered, of_jobs, of_types
from jobgate.dialects.native.specs import Specs
from jobgate.dialects.native.wire import NAME, BatchDraft, JobDraft, LoneDraft
from jobgate.dialects.reading import json_object, uncollected
from jobgate.model.account import Kind, Proof
from jobgate.model.errors import Invalid, NotFound, Unauthenticated
from jobgate.model.ids import BatchId, Digest, JobName, batch_id, job_name
from jobgate.model.job import Origin
from jobgate.model.operations import Archive, Count, Find, Group, Guard, Ids, Submit, Until

LONGEST_WAIT: Final = 60.0
"""Seconds that one answer waits at most; who wants more asks again."""
KEY_LENGTH: Final = 255
_SECONDS: Final = re.compile(r"\d{1,9}(?:\.\d{1,6})?", re.ASCII)
_PLACE: Final = re.compile(r"\d{1,6}", re.ASCII)

T = TypeVar("T")


def credential(call: Call) -> Proof:
    """The key of `Authorization: Bearer`. Raises Unauthenticated."""
    scheme, _, key = call.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Unauthenticated("an API key is needed: Authorization: Bearer KEY")
    return Proof(Kind.API_KEY, key.strip())


# --- the verbs


def _submit_job(call: Call) -> Ask:
    draft = _read(call, LoneDraft)
    specs = Specs()
    try:
        group = Group(specs.spec(draft, 0))
    except Invalid:
        raise _all(call, LoneDraft) from None
    return _submit(call, (group,), draft, specs.secrets, app=_app_name(draft))


def _submit_batch(call: Call) -> Ask:
    with uncollected(call.body):
        draft = _read(call, BatchDraft)
        jobs = () if draft.jobs is UNSET else draft.jobs
        if _wrong_shape(draft.template is not UNSET, None if draft.jobs is UNSET else len(jobs), draft.count):
            raise _all(call, BatchDraft)
        specs = Specs()
        try:
            if draft.template is not UNSET:
                group = Group(specs.spec(draft.template, 0), draft.count)
                return _submit(call, (group,), draft, specs.secrets, app=_app_name(draft.template))
            groups = _groups(jobs, specs)
        except Invalid:
            raise _all(call, BatchDraft) from None
        apps = {_app_name(job) for job in jobs}
        return _submit(call, groups, draft, specs.secrets, app=apps.pop() if len(apps) == 1 else "")


def _groups(jobs: tuple[JobDraft, ...], specs: Specs) -> tuple[Group, ...]:
    """Equal neighbours are copies of one spec. Raises Invalid for the first fault."""
    groups: list[Group] = []
    begin, last = 0, jobs[0]
    for place, job in enumerate(jobs):
        if job != last:
            groups.append(Group(specs.spec(last, begin), place - begin))
            begin, last = place, job
    groups.append(Group(specs.spec(last, begin), len(jobs) - begin))
    return tuple(groups)


def _wrong_shape(template: bool, jobs: int | None, count: object) -> Invalid | None:  # two callers
    """What is wrong with a batch as a whole; `jobs` is how many there are, if any are said."""
    if template == (jobs is not None):
        return Invalid("a batch has one of template and jobs", code="one-of", field="template")
    if jobs == 0:
        return Invalid("jobs: a batch needs at least one job", field="jobs")
    return None if template or count == 1 else Invalid("count: it belongs to template; jobs are counted", field="count")


def _wrong_texts(name: str, labels: Mapping[str, str]) -> Invalid | None:
    if "\0" in name:
        return Invalid("name: NUL is refused", field="name")
    if any("\0" in text for pair in labels.items() for text in pair):
        return Invalid("labels: NUL is refused", field="labels")
    return None


def _job(call: Call) -> Ask:
    return Ask(operation=Find(selector=Ids((_job_name(call),))), until=Until.ENDED, within=_wait(call))


def _batch(call: Call) -> Ask:
    return Ask(operation=Count(_batch_id(call)), until=Until.ENDED, within=_wait(call))


def _archive(call: Call) -> Ask:
    output, fold = call.query.get("output"), call.query.get("fold_case", "false")
    if output is not None and not _PLACE.fullmatch(output):
        raise Invalid("output: the number of an output is needed, from 0", field="output")
    if fold not in ("true", "false"):
        raise Invalid("fold_case: true or false is needed", field="fold_case")
    operation = Archive(job=_job_name(call), output=None if output is None else int(output), fold_case=fold == "true")
    return Ask(operation=operation)


DECODERS: Final[Mapping[str, Callable[[Call], Ask]]] = {
    "job-submit": _submit_job,
    "batch-submit": _submit_batch,
    "job": _job,
    "archive": _archive,
    "batch": _batch,
}


def decode(call: Call) -> Ask:
    """What the call asks for. Raises a RequestError whose field is a path into the body."""
    decoder = DECODERS.get(call.verb)
    if decoder is None:
        raise NotFound("there is nothing at this address", code="unknown-operation")
    return decoder(call)


# --- parts of a call


def _read(call: Call, kind: type[T]) -> T:
    """The body, decoded in one step. Raises Invalid with every fault."""
    try:
        return msgspec.json.decode(call.body, type=kind)
    except msgspec.ValidationError:
        raise _all(call, kind) from None
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise Invalid("the body is not JSON in UTF-8; send one JSON object", code="invalid-json") from None


def _all(call: Call, kind: type) -> Invalid:
    """What is wrong with a body that cannot be taken: all of it."""
    found = gathered(_faults(json_object(call.body), kind))
    return found or Invalid("the body cannot be understood", code="invalid-json")


def _faults(body: Mapping[str, object], kind: type) -> Iterator[Invalid]:
    """In the order they are told: the request as a whole, then its jobs."""
    if kind is LoneDraft:
        own = frozenset(JobDraft.__struct_fields__)
        wrong = tuple(islice(of_types(body, LoneDraft), MOST))
        yield from wrong
        if not wrong:
            yield from filter(None, (_texts(body),))
            yield from of_jobs([("", 0, {name: value for name, value in body.items() if name in own})])
        return
    jobs = {name: body[name] for name in ("template", "jobs") if name in body}
    rest = {name: value for name, value in body.items() if name not in jobs}
    wrong = tuple(of_types(rest, kind))
    yield from wrong
    listed = jobs.get("jobs")
    if not wrong:
        counted = len(listed) if isinstance(listed, list) else None if listed is None else 1
        yield from filter(None, (_wrong_shape("template" in jobs, counted, body.get("count", 1)), _texts(rest)))
    if "template" in jobs:
        yield from of_jobs([("template", 0, jobs["template"])])
    if isinstance(listed, list):
        yield from of_jobs((f"jobs[{place}]", place, one) for place, one in enumerate(listed))
    elif "jobs" in jobs:
        yield from of_types(listed, tuple[JobDraft, ...], "jobs")


def _texts(body: Mapping[str, object]) -> Invalid | None:
    """As `_wrong_texts`, of a body whose types are right."""
    own = msgspec.convert({name: body[name] for name in ("name", "labels") if name in body}, BatchDraft)
    return _wrong_texts(own.name, own.labels)


def _wait(call: Call) -> float:
    """`?wait=SECONDS`; 0 without it. Raises Invalid."""
    given = call.query.get("wait", "0")
    if not _SECONDS.fullmatch(given):
        raise Invalid("wait: a number of seconds is needed", field="wait")
    return min(float(given), LONGEST_WAIT)


def _job_name(call: Call) -> JobName:
    return job_name(call.path.get("id", ""))


def _batch_id(call: Call) -> BatchId:
    return batch_id(call.path.get("id", ""))


def _submit(
    call: Call, groups: tuple[Group, ...], draft: BatchDraft | LoneDraft, secrets: Mapping[str, str], *, app: str
) -> Ask:
    if wrong := _wrong_texts(draft.name, draft.labels):
        raise wrong
    return Ask(
        operation=Submit(
            groups=groups,
            origin=Origin(dialect=NAME),
            name=draft.name,
            app=app,
            labels=draft.labels,
            priority=draft.priority,
            held=draft.held,
            secrets=secrets,
            guard=_guard(call),
        )
    )


def _guard(call: Call) -> Guard | None:
    """The Idempotency-Key, bound to the verb and the body as it came. Raises Invalid."""
    key = call.headers.get("idempotency-key")
    if key is None:
        return None
    if not 1 <= len(key) <= KEY_LENGTH:
        raise Invalid(f"Idempotency-Key: 1 to {KEY_LENGTH} characters", code="key")
    digest = hashlib.sha256(call.verb.encode() + b"\0" + call.body).hexdigest()
    return Guard(key=key, scope=NAME, body=Digest(digest))


def _app_name(draft: JobDraft) -> str:
    if draft.app is not UNSET:
        return draft.app
    return "" if draft.image is UNSET else draft.image
