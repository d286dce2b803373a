"""From a call to what it asks for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from itertools import groupby
from typing import Final, TypeVar

import msgspec
from msgspec import UNSET

from jobgate.dialects.dialect import Ask, Call
from jobgate.dialects.native.wire import NAME, BatchDraft, InputDraft, JobDraft, LoneDraft, OutputDraft, size
from jobgate.dialects.reading import address, fault
from jobgate.model.account import Kind, Proof
from jobgate.model.errors import Invalid, NotFound, Unauthenticated
from jobgate.model.files import FileRef, Inline, Input, Output, Remote, UserFile
from jobgate.model.ids import BatchId, Digest, EnvironmentName, FolderId, JobId, batch_id, job_id
from jobgate.model.job import (
    AppRef,
    Argv,
    Command,
    Host,
    ImageRef,
    JobSpec,
    Origin,
    Place,
    Program,
    Retry,
    Script,
    Step,
)
from jobgate.model.operations import Archive, Count, Find, Group, Guard, Ids, Submit, Until
from jobgate.model.resources import Gpu, Resources
from jobgate.model.state import Failure

LONGEST_WAIT: Final = 60.0
"""Seconds that one answer waits at most; who wants more asks again."""
KEY_LENGTH: Final = 255
UPLOADS: Final = FolderId(0)
"""The owner's own uploads, whichever number that folder has."""
RETRIED: Final = frozenset({Failure.PROGRAM, Failure.LOST, Failure.PREEMPTED, Failure.ENGINE})
"""What `tries` tries again."""
_SECONDS: Final = re.compile(r"\d{1,9}(?:\.\d{1,6})?", re.ASCII)
_PLACE: Final = re.compile(r"\d{1,6}", re.ASCII)
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

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
    made = _Made()
    group = Group(made.spec(draft, "", 0))
    return _submit(call, (group,), draft, made.secrets, app=_app_name(draft))


def _submit_batch(call: Call) -> Ask:
    draft = _read(call, BatchDraft)
    if (draft.template is UNSET) == (draft.jobs is UNSET):
        raise Invalid("a batch has one of template and jobs", code="one-of", field="template")
    made = _Made()
    if draft.template is not UNSET:
        group = Group(made.spec(draft.template, "template", 0), draft.count)
        return _submit(call, (group,), draft, made.secrets, app=_app_name(draft.template))
    jobs = draft.jobs or ()
    if not jobs:
        raise Invalid("jobs: a batch needs at least one job", field="jobs")
    if draft.count != 1:
        raise Invalid("count: it belongs to template; jobs are counted", field="count")
    runs = [(next(run), 1 + sum(1 for _ in run)) for _, run in groupby(enumerate(jobs), key=lambda item: item[1])]
    groups = tuple(Group(made.spec(job, f"jobs[{place}]", place), count) for (place, job), count in runs)
    apps = {_app_name(job) for job in jobs}
    return _submit(call, groups, draft, made.secrets, app=apps.pop() if len(apps) == 1 else "")


def _job(call: Call) -> Ask:
    return Ask(operation=Find(selector=Ids((_job_id(call),))), until=Until.ENDED, within=_wait(call))


def _batch(call: Call) -> Ask:
    return Ask(operation=Count(_batch_id(call)), until=Until.ENDED, within=_wait(call))


def _archive(call: Call) -> Ask:
    output, fold = call.query.get("output"), call.query.get("fold_case", "false")
    if output is not None and not _PLACE.fullmatch(output):
        raise Invalid("output: the number of an output is needed, from 0", field="output")
    if fold not in ("true", "false"):
        raise Invalid("fold_case: true or false is needed", field="fold_case")
    operation = Archive(job=_job_id(call), output=None if output is None else int(output), fold_case=fold == "true")
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
    """The body, decoded in one step. Raises Invalid."""
    try:
        return msgspec.json.decode(call.body, type=kind)
    except msgspec.ValidationError as error:
        raise fault(error) from None
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise Invalid("the body is not JSON in UTF-8; send one JSON object", code="invalid-json") from None


def _wait(call: Call) -> float:
    """`?wait=SECONDS`; 0 without it. Raises Invalid."""
    given = call.query.get("wait", "0")
    if not _SECONDS.fullmatch(given):
        raise Invalid("wait: a number of seconds is needed", field="wait")
    return min(float(given), LONGEST_WAIT)


def _job_id(call: Call) -> JobId:
    return job_id(call.path.get("id", ""))


def _batch_id(call: Call) -> BatchId:
    return batch_id(call.path.get("id", ""))


def _submit(
    call: Call, groups: tuple[Group, ...], draft: BatchDraft | LoneDraft, secrets: Mapping[str, str], *, app: str
) -> Ask:
    if any("\0" in text for pair in draft.labels.items() for text in pair) or "\0" in draft.name:
        raise Invalid("labels: NUL is refused", field="labels")
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


# --- a job


class _Made:
    """Specs of one request, and the credentials found on the way."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}

    def spec(self, draft: JobDraft, at: str, place: int) -> JobSpec:
        """The draft as a spec. Raises Invalid with the path below `at`."""
        try:
            return self._spec(draft, place)
        except Invalid as error:
            field = f"{at}.{error.field}" if at and error.field else at or error.field
            raise Invalid(error.message, code=error.code, field=field) from None

    def _spec(self, draft: JobDraft, place: int) -> JobSpec:
        names: set[str] = set()
        inputs = tuple(
            self._input(item, f"inputs[{i}]", f"input-{place}-{i}", names) for i, item in enumerate(draft.inputs)
        )
        outputs = tuple(_output(item, f"outputs[{i}]") for i, item in enumerate(draft.outputs))
        _environment(draft.env)
        return JobSpec(
            steps=(
                Step(
                    command=_command(draft),
                    program=_program(draft),
                    env=draft.env,
                    workdir=_inside(draft.workdir, "workdir"),
                    stdin=_inside(draft.stdin, "stdin"),
                ),
            ),
            inputs=inputs,
            outputs=outputs,
            resources=Resources(
                cores=draft.cores,
                memory=size(draft.memory, "memory"),
                disk=size(draft.disk, "disk"),
                gpus=(Gpu(draft.gpus),) if draft.gpus else (),
                walltime=None if draft.walltime is UNSET else draft.walltime,
                network=draft.network,
            ),
            retry=Retry(tries=draft.tries, on=RETRIED if draft.tries > 1 else frozenset()),
            place=Place(environment=None if draft.environment is UNSET else EnvironmentName(draft.environment)),
            secrets=frozenset(names),
        )

    def _input(self, item: InputDraft, field: str, name: str, names: set[str]) -> Input:
        given = [which for which in ("content", "url", "upload") if getattr(item, which) is not UNSET]
        if len(given) != 1:
            raise Invalid(f"{field}: one of content, url and upload is needed", code="one-of", field=field)
        source: FileRef
        if item.content is not UNSET:
            source = _at(f"{field}.content", lambda: Inline(str(item.content).encode()))
        elif item.url is not UNSET:
            clean, secret = address(item.url, f"{field}.url")
            if secret is not None:
                self.secrets[name] = secret
                names.add(name)
            source = Remote(
                url=clean,
                size=None if item.size is UNSET else item.size,
                digest=None if item.sha256 is UNSET else Digest(item.sha256),
                secret=None if secret is None else name,
            )
        else:
            source = UserFile(UPLOADS, str(item.upload))
        return _at(f"{field}.path", lambda: Input(path=item.path, source=source, executable=item.executable))


def _at(field: str, make: Callable[[], T]) -> T:
    """What `make` makes; its Invalid names `field`."""
    try:
        return make()
    except Invalid as error:
        raise Invalid(error.message, code=error.code, field=field) from None


def _output(draft: OutputDraft, field: str) -> Output:
    return _at(
        f"{field}.path",
        lambda: Output(path=draft.path, kind=draft.kind, keep=draft.keep, required=draft.required),
    )


def _inside(path: str, field: str) -> str:
    """A path in the workspace, or none."""
    return _at(field, lambda: Output(path=path).path) if path else ""


def _command(draft: JobDraft) -> Command:
    if (draft.command is UNSET) == (draft.script is UNSET):
        raise Invalid("a job has one of command and script", code="one-of", field="command")
    if draft.command is not UNSET:
        words = draft.command
        return _at("command", lambda: Argv(words))
    text = str(draft.script)
    if not text.startswith("#!") or "\0" in text:
        raise Invalid("script: its first line names the interpreter: #!/bin/sh", field="script")
    return Script(text)


def _program(draft: JobDraft) -> Program:
    if draft.app is not UNSET and draft.image is not UNSET:
        raise Invalid("a job has at most one of app and image", code="one-of", field="image")
    if draft.app is not UNSET:
        return AppRef(draft.app)
    return Host() if draft.image is UNSET else ImageRef(draft.image)


def _environment(env: Mapping[str, str]) -> None:
    for name, value in env.items():
        if not _VARIABLE.fullmatch(name):
            raise Invalid("env: names are letters, digits and _, and begin with no digit", field="env")
        if "\0" in value:
            raise Invalid("env: NUL is refused", field="env")
