"""JobSpec: what was asked. Job and Batch: where it stands.

A lone job is a batch of one. All are frozen; a change is a new value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from jobgate.model.errors import Invalid
from jobgate.model.files import Input, Mount, Output
from jobgate.model.ids import AccountId, BatchId, EnvironmentName, JobId, SpecId, WebhookId
from jobgate.model.resources import Resources
from jobgate.model.state import Failure, JobState, Limit

PRIORITIES: Final = (-1000, 1000)
LABELS: Final = 16_384
"""Characters of all labels of a batch: each of its jobs is shown with them."""
NAME: Final = 191
"""Characters of a job's name: with an attempt's number behind it, it is still short [BOINC, section 15]."""


Value = bool | int | float | str
"""Of a parameter of a sweep."""


class Late(StrEnum):
    """What only the gateway knows, and not before the job exists: values for environment variables."""

    JOB = "job"
    BATCH = "batch"
    INDEX = "index"
    ATTEMPT = "attempt"


class Argv(msgspec.Struct, frozen=True, tag="argv", gc=False):
    """A program and its arguments, started as they stand; nothing splits or expands them."""

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.words or not self.words[0]:
            raise Invalid("a command needs a program", field="command")
        if "\0" in "".join(self.words):
            raise Invalid("a command must not hold NUL", field="command")


class Script(msgspec.Struct, frozen=True, tag="script", gc=False):
    """A script handed over byte for byte, its own first line naming the interpreter [Rimrock]."""

    text: str


Command = Argv | Script


class AppRef(msgspec.Struct, frozen=True, tag="app", gc=False):
    """A named program of the operator's catalogue."""

    name: str
    licence_accepted: bool = False
    version: int = 0
    """Which version of it; 0: the newest [BOINC: app_version_num]."""


class ImageRef(msgspec.Struct, frozen=True, tag="image", gc=False):
    """A container image by name, or an archive of one at an address."""

    name: str
    archive: str = ""
    secret: str | None = None
    """Name of the job's secret `user:password` for HTTP Basic at the archive's address."""


class Host(msgspec.Struct, frozen=True, tag="host", gc=False):
    """The programs of the environment itself, in its sandbox."""


Program = AppRef | ImageRef | Host


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One command of a job. Steps run in order; the first that fails ends the job [TES: executor]."""

    command: Command
    program: Program = Host()
    env: Mapping[str, str] = {}
    late_env: Mapping[str, Late] = {}
    """Variables filled when the attempt starts; they win over `env`."""
    secret_env: Mapping[str, str] = {}
    """Variable to name of a secret."""
    workdir: str = ""
    """Relative to the workspace; empty: its top."""
    stdin: str = ""
    """A workspace file read as standard input; empty: nothing."""
    stdout: str = ""
    """A workspace file that gets standard output; empty: the merged log."""
    stderr: str = ""
    ignore_error: bool = False
    """A failure here does not stop the next step [TES]."""
    together: bool = False
    """Starts with the step before it, and both run at once [MIKE]."""


class Retry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a replica that did not succeed is tried again."""

    tries: int = 1
    """Starts of one replica at most, for the failures in `on`."""
    on: frozenset[Failure] = frozenset()
    backoff: float = 0.0
    """Seconds before the second try; doubled for each further one."""
    faults: int = 3
    """Tries at most when the engine fails, or an attempt is lost before it started."""


class Bitwise(msgspec.Struct, frozen=True, tag="bitwise", gc=False):
    """Attempts agree whose outputs are the same files, byte for byte; where none are named, whose logs are."""


class Numeric(msgspec.Struct, frozen=True, tag="numeric", gc=False):
    """Attempts agree whose outputs, or logs, differ in numbers alone, each by no more than one of these allows.

    See `runner.likeness` for what a number is.
    """

    absolute: float = 0.0
    relative: float = 1e-6
    """Of the greater of the two."""

    def __post_init__(self) -> None:
        if not (0 <= self.absolute < math.inf and 0 <= self.relative < math.inf):
            raise Invalid("tolerances must be numbers of 0 or more", field="replication.compare")


class Validator(msgspec.Struct, frozen=True, kw_only=True, tag="validator", omit_defaults=True):
    """A program decides: it is run as a job of the same owner, with the outputs of each attempt as its inputs.

    It finds those of attempt 2 below `2/`, and says which agree: on each line of its standard output the numbers of
    attempts that do, best first, with blanks between; what it names on no line is invalid. The first line that names
    a quorum decides the job, and the first attempt on it is the canonical one.
    """

    command: Command
    program: Program = Host()


Compare = Bitwise | Numeric | Validator


class Replication(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How many attempts must agree [BOINC: target_nresults, min_quorum, max_*_results]."""

    replicas: int = 1
    quorum: int = 1
    errors: int = 3
    """More attempts than this in error fail the job."""
    successes: int = 10
    """More attempts than this that succeeded and do not agree fail the job, as undecided."""
    total: int = 10
    """More attempts than this fail the job."""
    compare: Compare = Bitwise()
    """When attempts agree; with a quorum of 1 nothing is compared."""

    @property
    def plain(self) -> bool:
        """One attempt is all it takes: its retry policy decides, and none of the limits here."""
        return self.replicas == self.quorum == 1

    def __post_init__(self) -> None:
        if not 1 <= self.quorum <= self.replicas <= self.total:
            raise Invalid("1 <= quorum <= replicas <= total is needed", field="replication")
        if self.errors < 0 or self.successes < self.quorum:
            raise Invalid("errors must not be negative, nor successes be fewer than the quorum", field="replication")


ONCE: Final = Replication()
"""One attempt, and nothing to compare."""


class RunAs(msgspec.Struct, frozen=True, gc=False):
    """Whose name the engine uses on its far side, where that is not the gateway's own [Rimrock]."""

    user: str
    secret: str = ""
    """Name of the secret that proves it: a key or a proxy."""


class Place(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where it may run."""

    environment: EnvironmentName | None = None
    """This one only."""
    own: bool = False
    """Only environments that the owner's account brought."""
    requires: frozenset[str] = frozenset()
    """Labels the environment must bear."""
    tolerates: frozenset[str] = frozenset()
    """Taints it may bear."""
    run_as: RunAs | None = None
    home: str = "/work"
    """Where the workspace appears inside the job."""
    directories: tuple[str, ...] = ()
    """Directories of the workspace that are there from the start, empty or not."""
    directory: Mount | None = None
    """A directory of the user's own instead of a workspace."""
    wait: float | None = None
    """Longest time in the queue, seconds."""


class JobSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one job is to do. Jobs of one batch may share it; it never changes."""

    steps: tuple[Step, ...]
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    resources: Resources = Resources()
    retry: Retry = Retry()
    replication: Replication = ONCE
    place: Place = Place()
    secrets: frozenset[str] = frozenset()
    """Names of the sealed values this job may read; the values are never part of it."""
    charge: float = 1.0
    """Factor on the environment's price [Charity Engine: application's factor]."""
    credit: float | None = None
    """Granted to each successful attempt; None: what its operations are worth [BOINC: credit]."""
    parameters: Mapping[str, Value] = {}
    """What of a sweep this job was made with, by name; in its words they are put in already."""

    def __post_init__(self) -> None:
        if not self.steps:
            raise Invalid("a job needs at least one step", field="steps")


class Origin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which dialect brought the job, with its document after every credential was cut out of it."""

    dialect: str
    document: bytes = b""


class Batch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the jobs of one request share."""

    id: BatchId
    owner: AccountId
    count: int
    origin: Origin
    created: float
    """Seconds since the epoch, UTC; so are all times here."""
    name: str = ""
    app: str = ""
    labels: Mapping[str, str] = {}
    priority: int = 0
    expires: float | None = None
    """When it is cancelled and retired, unless that is put off; None: never. A lease [BOINC: expire_time]."""
    retired: float | None = None
    """Since when its owner is done with it: it is in no list, and its files are gone; its records follow in time."""
    number: int = 0
    """What it is called where numbers are small; 0: it has none. See `numbers`."""
    first: int = 0
    """What its first job is called there."""
    room: int = 0
    """How many jobs there are ids for, when it was made empty; 0: it was made with its jobs."""
    filled: float | None = None
    """When a batch that was made empty got its jobs."""
    cancelled: float | None = None
    """When it was cancelled as a whole first. An empty one is so for good: nothing fills it any more."""
    named: bool = False
    """Some of its jobs have names."""
    webhook: WebhookId | None = None
    """The webhook that it names; those that are told of named batches only hear of it."""
    renamed: int = 0
    """How often something of it was changed that is no fact of a job: name, labels, lease, being filled or retired."""

    @property
    def vacant(self) -> JobState | None:
        """Where it stands without jobs: held until it is filled, or cancelled; None when it has, or had, some."""
        if self.count:
            return None
        return JobState.HELD if self.cancelled is None else JobState.CANCELLED


def check_name(name: str, field: str) -> None:
    """Raises Invalid for what cannot be a job's name."""
    if not 1 <= len(name) <= NAME or not name.isprintable():
        told = f"{field}: a job's name is 1 to {NAME} printable characters"
        raise Invalid(told, field=field)


def check_labels(labels: Mapping[str, str]) -> None:
    """Raises Invalid (`too-long`) for labels that are longer than a batch may have them."""
    length = sum(len(key) + len(value) for key, value in labels.items())
    if length > LABELS:
        told = f"labels: a batch has at most {LABELS} characters of them, and these would be {length}"
        raise Invalid(told, code="too-long", field="labels")


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where one job stands. Made by `facts.born`, and changed only by the facts of `advance`."""

    id: JobId
    batch: BatchId
    owner: AccountId
    spec: SpecId
    state: JobState
    created: float
    priority: int = 0
    version: int = 0
    """Number of the last fact; grows by one with each."""
    wanted: int = 0
    """Further attempts to be made; none of one that is over or being cancelled."""
    ready: float = 0.0
    """Not to be started before."""
    started: float | None = None
    ended: float | None = None
    failure: Failure | None = None
    limit: Limit | None = None
    message: str = ""
    """For people: why it waits, failed or was cancelled."""
    exit_code: int | None = None
    """Of the attempt named by `canonical`, or of the last."""
    canonical: int | None = None
    """Number of the attempt whose outputs are the job's."""
    progress: float = 0.0
    """0 to 1."""
    spent: int = 0
    """Attempts made before the owner last asked for another: they count against no number of tries."""

    @property
    def waits(self) -> bool:
        """Whether it is in the queue: a claim can take it, for its first attempt or beside others that are live."""
        return self.wanted > 0 and self.state is not JobState.HELD
