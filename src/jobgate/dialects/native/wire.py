"""The JSON objects of the native API."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType, field

from jobgate.dialects.native.wire_replicas import ReplicationDraft
from jobgate.dialects.native.wire_waits import WaitsView
from jobgate.model.errors import Invalid
from jobgate.model.files import Keep, OutputKind
from jobgate.model.resources import Network

NAME: Final = "native"

Hash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Size = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] | Annotated[str, Meta(max_length=32)]
"""Bytes, or text with a unit: `4GiB`."""
WebhookName = Annotated[str, Meta(max_length=64, description="Id of a webhook that this batch names.")]
Lease = Annotated[datetime, Meta(tz=True)]
Count = Annotated[int, Meta(ge=1, le=1 << 40)]
Whole = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
Value = bool | Whole | float | str
"""Of a parameter of a sweep."""
Column = Annotated[str, Meta(pattern=r"^[^{}]+\Z", max_length=255)]

_SIZE: Final = re.compile(r"(?P<number>\d{1,15}(?:\.\d{1,6})?) ?(?P<unit>[kMGT]i?B|KiB|B)?", re.ASCII)
_UNITS: Final = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "kiB": 1 << 10,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
}


class InputDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One input: `content`, an address, the digest of an upload, or a file of a folder."""

    path: str
    """Where it is to be, from the workspace. Directories are made."""
    content: str | UnsetType = UNSET
    """The file itself, as text of at most 16 KiB."""
    url: str | UnsetType = UNSET
    """Where the server fetches it, over http or https. A password in it is taken out and sealed."""
    upload: Hash | UnsetType = UNSET
    """SHA-256 of a file that this account has uploaded."""
    file: str | UnsetType = UNSET
    """FOLDER/PATH: a file of one of the account's folders, as it is when the job is submitted."""
    size: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] | UnsetType = UNSET
    """Bytes that `url` must give."""
    sha256: Hash | UnsetType = UNSET
    """Digest that what `url` gives must have."""
    executable: bool = False


class FileDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A file for a slot of the app's template: given like an input, without a path."""

    content: str | UnsetType = UNSET
    """The file itself, as text of at most 16 KiB."""
    url: str | UnsetType = UNSET
    """Where the server fetches it, over http or https. A password in it is taken out and sealed."""
    upload: Hash | UnsetType = UNSET
    """SHA-256 of a file that this account has uploaded."""
    file: str | UnsetType = UNSET
    """FOLDER/PATH: a file of one of the account's folders, as it is when the job is submitted."""
    size: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] | UnsetType = UNSET
    """Bytes that `url` must give."""
    sha256: Hash | UnsetType = UNSET
    """Digest that what `url` gives must have."""
    name: str = ""
    """What the job sees it as, where the slot leaves that open."""


class OutputDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One output."""

    path: str
    """What to collect, from the workspace."""
    kind: OutputKind = OutputKind.FILE
    keep: Keep = Keep.ALWAYS
    required: bool = False
    """A job that went well and did not leave it has failed."""
    max_bytes: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 0
    """A job that leaves more has failed; 0: what the server allows."""


class JobDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one job is to do: a command, or a script."""

    command: tuple[str, ...] | UnsetType = UNSET
    """The words of the command, as they stand; no shell reads them."""
    script: str | UnsetType = UNSET
    """In place of a command: a text whose first line names the interpreter, `#!/bin/sh`."""
    app: str | UnsetType = UNSET
    """A named program of the operator's catalogue to run it in."""
    accept_licence: bool = False
    """The submitter accepts the app's licence, where it has one that must be (`GET /v1/apps`)."""
    app_version: Annotated[int, Meta(ge=0, le=999_999_999)] = 0
    """Which version of the app; 0: the newest."""
    arguments: tuple[str, ...] | str | UnsetType = UNSET
    """In place of a command, with an app that has one: what follows it. A text is taken apart at blanks, which quotes
    hold together. Without them the arguments are those of the app's template."""
    files: tuple[FileDraft, ...] = ()
    """With an app in place of a command: one for each open slot of the app's template, in order."""
    image: str | UnsetType = UNSET
    """An image to run it in. Without app and image: the machine's own tools, in the sandbox."""
    env: dict[str, str] = {}
    """Variables, by name."""
    workdir: str = ""
    """Directory to start in, from the workspace."""
    stdin: str = ""
    """File to read from, from the workspace."""
    inputs: tuple[InputDraft, ...] = ()
    """Files that are there before it starts."""
    outputs: tuple[OutputDraft, ...] = ()
    """What is to be collected when it is over."""
    cores: Annotated[float, Meta(ge=0, le=1 << 40)] = 0.0
    """Processors. Here as in `memory` and `disk`, 0 is the environment's default."""
    memory: Size = 0
    """Bytes, or text with a unit: `4GiB`, `500MB`."""
    disk: Size = 0
    """Bytes that the workspace may grow to, or text with a unit."""
    gpus: Annotated[int, Meta(ge=0, le=1 << 20)] = 0
    walltime: Annotated[float, Meta(gt=0, le=1e9)] | UnsetType = UNSET
    """Seconds that one attempt may run; without it the environment's default."""
    network: Network = Network.NONE
    environment: str | UnsetType = UNSET
    """The one to run in; without it any that can."""
    tries: Annotated[int, Meta(ge=1, le=100)] = 1
    """Starts at most. There is another after a failure of the program or the engine, or when an attempt was lost."""
    operations: Annotated[float, Meta(ge=0, le=9e18)] = 0.0
    """Floating-point operations that it is expected to take: credit and estimates follow from them."""
    credit: Annotated[float, Meta(ge=0, le=1e12)] | UnsetType = UNSET
    """Granted to each attempt that succeeds; without it what the operations are worth."""
    replication: ReplicationDraft | UnsetType = UNSET
    """Run it several times and compare what each leaves; without it, once. With it `tries` counts for nothing."""


class Range(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The values from `from` up to `to`, without `to` itself."""

    first: Whole | float = field(name="from", default=0)
    to: Whole | float
    step: Whole | float = 1


class NamedDraft(JobDraft, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One job of a list."""

    name: Annotated[str, Meta(max_length=191)] = ""
    """What this job is called; no other job of the account is called so."""


class JobsDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`template` so many times, or once for each row of `sweep`, or `jobs` one by one."""

    template: JobDraft | UnsetType = UNSET
    """What every job is to do."""
    count: Count = 1
    """How many jobs `template` makes."""
    placeholders: bool = False
    """With `count`: `{index}` (from 0) and `{number}` (from 1) stand for the place of each job, as in a sweep."""
    sweep: tuple[dict[Column, Value], ...] | dict[Column, tuple[Value, ...] | Range] | UnsetType = UNSET
    """A row of values for each job, or for each name all its values: then there is a job for each combination."""
    jobs: tuple[NamedDraft, ...] | UnsetType = UNSET
    """Jobs that differ, in place of a template."""
    priority: Annotated[int, Meta(ge=-1000, le=1000)] = 0
    """Order among the account's own jobs; the greater first."""
    held: bool = False
    """Its jobs wait until they are let go."""


class FillDraft(JobsDraft, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Jobs for an empty batch: `template` so many times, or once for each row of `sweep`, or `jobs` one by one."""


class BatchDraft(JobsDraft, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`template` so many times, or once for each row of `sweep`, or `jobs` one by one; or, `open`, without any yet."""

    open: bool = False
    """It has no jobs yet: POST /v1/batches/{id}/jobs fills it, once."""
    name: Annotated[str, Meta(max_length=255)] = ""
    """To find it by."""
    labels: dict[str, str] = {}
    """To find it by, too."""
    webhook: WebhookName = ""
    """Id of a webhook that is to be told, beside those that are told of all."""
    expires: Lease | None = None
    """When it is cancelled and retired, unless that is put off (RFC 3339); null: never."""


class LoneDraft(JobDraft, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One job, with what a batch has."""

    name: Annotated[str, Meta(max_length=255)] = ""
    """To find it by."""
    labels: dict[str, str] = {}
    """To find it by, too."""
    priority: Annotated[int, Meta(ge=-1000, le=1000)] = 0
    """Order among the account's own jobs; the greater first."""
    held: bool = False
    """It waits until it is let go."""
    webhook: WebhookName = ""
    """Id of a webhook that is to be told, beside those that are told of all."""
    expires: Lease | None = None
    """When it is cancelled and retired, unless that is put off (RFC 3339); null: never."""


class JobView(Struct, frozen=True, kw_only=True):
    """A job as it stands; what has no value is left out."""

    id: str
    batch: str
    number: int
    """In its batch, from 1."""
    small_number: int | UnsetType = UNSET
    """What it is called where a number has 32 bits; free again when its batch is deleted."""
    job_name: str | UnsetType = UNSET
    """What its owner calls this job; `name` is its batch's."""
    state: str
    created: str
    name: str | UnsetType = UNSET
    labels: dict[str, str] | UnsetType = UNSET
    priority: int = 0
    app: str | UnsetType = UNSET
    image: str | UnsetType = UNSET
    command: tuple[str, ...] | UnsetType = UNSET
    script: str | UnsetType = UNSET
    parameters: dict[str, Value] | UnsetType = UNSET
    """Its row of a sweep."""
    environment: str | UnsetType = UNSET
    """Where the attempt that is shown ran; before there is one, where alone the job may run."""
    node: str | UnsetType = UNSET
    started: str | UnsetType = UNSET
    ended: str | UnsetType = UNSET
    exit_code: int | UnsetType = UNSET
    failure: str | UnsetType = UNSET
    limit: str | UnsetType = UNSET
    message: str | UnsetType = UNSET
    progress: float | UnsetType = UNSET
    """From 0 to 1, where the job says how far it is."""
    replication: ReplicationDraft | UnsetType = UNSET
    """How often it is run and what is compared, where that is more than once."""
    canonical: int | UnsetType = UNSET
    """Of a job with replicas that succeeded: number of the attempt whose outputs are the job's."""
    attempt_count: int | UnsetType = UNSET
    attempts: tuple[AttemptView, ...] | UnsetType = UNSET
    draft: JobDraft | UnsetType = UNSET
    """What would submit the same again, where this API can say all of it; passwords of addresses are not in it."""
    waits: WaitsView | UnsetType = UNSET
    outputs: tuple[FileView, ...] | UnsetType = UNSET
    """Once it is over."""
    missing: tuple[str, ...] | UnsetType = UNSET
    """Outputs that were asked for, and nothing was kept there; once its command has ended."""
    skipped: int | UnsetType = UNSET
    """What was left and cannot be told: links that lead out, devices, names with control characters, too deep ones."""
    dialect: str
    """The API that it came by."""


class UsageView(Struct, frozen=True, kw_only=True):
    """What an attempt used."""

    cpu_seconds: float
    wall_seconds: float
    max_memory: int
    """Bytes."""


class AllowedView(Struct, frozen=True, kw_only=True):
    """What an attempt may use, as far as the job asked for it."""

    cores: float | UnsetType = UNSET
    memory: int | UnsetType = UNSET
    disk: int | UnsetType = UNSET
    walltime: float | UnsetType = UNSET


class ExitView(Struct, frozen=True, kw_only=True):
    """How a step ended."""

    exit_code: int
    signal: int | UnsetType = UNSET


class AttemptView(Struct, frozen=True, kw_only=True):
    """One start of a job."""

    id: str
    number: int
    replica: int
    try_: int = field(name="try")
    state: str
    environment: str
    node: str | UnsetType = UNSET
    created: str
    started: str | UnsetType = UNSET
    ended: str | UnsetType = UNSET
    exit_code: int | UnsetType = UNSET
    signal: int | UnsetType = UNSET
    failure: str | UnsetType = UNSET
    limit: str | UnsetType = UNSET
    message: str | UnsetType = UNSET
    verdict: str | UnsetType = UNSET
    """What comparing it with its siblings said."""
    usage: UsageView | UnsetType = UNSET
    allowed: AllowedView | UnsetType = UNSET
    steps: tuple[ExitView, ...] | UnsetType = UNSET


class FileView(Struct, frozen=True, kw_only=True):
    """A file that the job left."""

    path: str
    """In the workspace."""
    size: int
    sha256: str
    output: int
    """Which of the spec's outputs it belongs to, from 0."""
    mode: int
    """Its permissions: 493 is `rwxr-xr-x`."""


class FailureView(Struct, frozen=True, kw_only=True):
    """Jobs of a batch that failed in the same way."""

    failure: str | UnsetType = UNSET
    limit: str | UnsetType = UNSET
    exit_code: int | UnsetType = UNSET
    message: str | UnsetType = UNSET
    count: int
    such_as: str
    """One of them."""
    last_line: str | UnsetType = UNSET
    """Of that job's log."""


class CreditView(Struct, frozen=True, kw_only=True):
    """What jobs are worth, in cobblestones: 200 are a day of 1e9 floating-point operations a second."""

    estimate: float
    """If each replica that is wanted succeeds."""
    canonical: float
    """Granted to the attempts whose outputs are the jobs'."""
    total: float
    """Granted to all attempts."""


class BatchView(Struct, frozen=True, kw_only=True):
    """A batch as it stands."""

    id: str
    small_number: int | UnsetType = UNSET
    """What it is called where a number has 32 bits; free again when it is deleted."""
    name: str
    count: int
    state: str
    created: str
    started: str | UnsetType = UNSET
    ended: str | UnsetType = UNSET
    """When the last of its jobs ended, once all are over."""
    over: bool
    counts: dict[str, int]
    """Jobs by state; states without any are left out."""
    progress: float
    """The part of its jobs that are over, from 0 to 1."""
    labels: dict[str, str] | UnsetType = UNSET
    priority: int = 0
    app: str | UnsetType = UNSET
    environments: tuple[str, ...] | UnsetType = UNSET
    """Where its first jobs ran, or may run alone."""
    open: bool | UnsetType = UNSET
    """It has no jobs yet, and may be filled."""
    expires: str | UnsetType = UNSET
    """When it is cancelled and retired, unless that is put off."""
    retired: str | UnsetType = UNSET
    """Since when its owner is done with it: its files are deleted."""
    dialect: str
    """The API that it came by."""
    failures: tuple[FailureView, ...] | UnsetType = UNSET
    waits: WaitsView | UnsetType = UNSET
    """Why its first waiting job waits."""
    credit: CreditView | UnsetType = UNSET
    """Where a job of it says what it takes or is granted."""
    cpu_seconds: float | UnsetType = UNSET
    """Of all its attempts that are over."""


class Fault(Struct, frozen=True, kw_only=True):
    """One thing that is wrong with a request: a member of its body, or a parameter of its query."""

    pointer: str | UnsetType = UNSET
    parameter: str | UnsetType = UNSET
    code: str
    detail: str


class Problem(Struct, frozen=True, kw_only=True):
    """RFC 9457; programs branch on `code`."""

    type: str
    """Address of the page that tells its cause and its cure."""
    code: str
    title: str
    status: int
    detail: str
    instance: str | UnsetType = UNSET
    """`request:` and what the server's log calls the request; the Request-Id header has it too."""
    next: str | UnsetType = UNSET
    """What helps, in one sentence."""
    oldest: int | UnsetType = UNSET
    """Of a cursor that is too old: the one after which all events are kept."""
    job: str | UnsetType = UNSET
    """Of a key that was used before: the job that it made."""
    batch: str | UnsetType = UNSET
    """Or the batch that it made."""
    errors: tuple[Fault, ...] | UnsetType = UNSET


def size(value: int | str, field: str) -> int:
    """Bytes. Raises Invalid (`unit`) for a text that is no size."""
    if isinstance(value, int):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise Invalid(f"{field}: this is no size; write bytes as a number, or 4GiB", code="unit", field=field)
    found = int(float(match["number"]) * _UNITS[match["unit"] or "B"])
    if found >= 1 << 63:
        raise Invalid(f"{field}: more than 63 bits of bytes", code="unit", field=field)
    return found
