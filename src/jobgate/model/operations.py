"""All that can be asked of the gateway, and what comes back.

A dialect decodes a call into one Operation and encodes one Outcome back. `Request` adds who asks and how long the
answer may wait. Follow, Estimate, Schedule, Reserve, Link and Ask have their place in decision record 0004.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from jobgate.model.account import Account, Principal, Scope
from jobgate.model.attempt import Attempt
from jobgate.model.files import Artifact, Packed, Stored
from jobgate.model.ids import BatchId, Digest, JobId, JobName
from jobgate.model.job import Batch, Job, JobSpec, Origin
from jobgate.model.state import JobState

# --- which jobs


class Ids(msgspec.Struct, frozen=True, tag="ids"):
    """These; unknown and foreign ones come back as missing."""

    jobs: tuple[JobName, ...]
    missing: tuple[str, ...] = ()
    """Names asked for that cannot be ids at all."""


class Of(msgspec.Struct, frozen=True, tag="of"):
    """All of one batch. A batch of one may be named by its job."""

    batch: BatchId
    start: int = 0
    """The place of the first of them in the batch."""


class Where(msgspec.Struct, frozen=True, kw_only=True, tag="where", omit_defaults=True):
    """Own jobs that meet all conditions, newest first."""

    states: frozenset[JobState] = frozenset()
    """Empty: all."""
    timed_out: bool | None = None
    """Of failed jobs only those that did, or did not, end at their wall time; other states are not touched."""
    label: tuple[str, str] | None = None
    app: str | None = None
    batch: BatchId | None = None
    since: float | None = None
    """Created then or later."""
    before: float | None = None
    """Created earlier."""
    after: JobId | None = None
    """The last of the page before."""
    limit: int = 100


Selector = Ids | Of | Where

# --- guards


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """An idempotency key: used up in the operation's own transaction, and belonging to the account."""

    key: str
    body: Digest
    """Digest of the request: the same key with another body is refused."""
    scope: str = ""
    """Keys of different dialects do not meet."""
    lives: float = 86_400.0


# --- operations


class Group(msgspec.Struct, frozen=True, gc=False):
    """So many jobs of one spec."""

    spec: JobSpec
    count: int = 1


class Submit(msgspec.Struct, frozen=True, kw_only=True, tag="submit", omit_defaults=True):
    """One batch: all of its jobs are made, or none. Answer: Submitted."""

    groups: tuple[Group, ...]
    origin: Origin
    name: str = ""
    app: str = ""
    labels: Mapping[str, str] = {}
    priority: int = 0
    held: bool = False
    expires: float | None = None
    webhook: str = ""
    secrets: Mapping[str, str] = {}
    """Name to value; sealed before it is stored."""
    guard: Guard | None = None

    def __repr__(self) -> str:
        return f"Submit({self.origin.dialect}, {sum(group.count for group in self.groups)} jobs)"


class Find(msgspec.Struct, frozen=True, kw_only=True, tag="find"):
    """Answer: Found."""

    selector: Selector
    full: bool = True
    """With attempts, spec and batch of each; otherwise the job and its batch."""


class Count(msgspec.Struct, frozen=True, tag="count"):
    """How many of a batch's jobs are in which state. Answer: Counted."""

    batch: BatchId


class Cancel(msgspec.Struct, frozen=True, kw_only=True, tag="cancel", omit_defaults=True):
    """Asks that they stop. Answer: Changed.

    Of many jobs it is done slice by slice: when it breaks off, some are asked and some are not, and the same request
    again does the rest. So it is with Change and Delete.
    """

    selector: Selector
    message: str = ""


class Change(msgspec.Struct, frozen=True, kw_only=True, tag="change", omit_defaults=True):
    """Another priority; held or let go. Answer: Changed."""

    selector: Selector
    priority: int | None = None
    hold: bool | None = None


class Delete(msgspec.Struct, frozen=True, kw_only=True, tag="delete"):
    """Forgets jobs that are over, with their files. Answer: Deleted.

    Raises Conflict, and deletes nothing, when one is live and `force` was not asked for.
    """

    selector: Selector
    force: bool = False
    """Live ones are cancelled first, and deleted when they have ended."""


class Read(msgspec.Struct, frozen=True, kw_only=True, tag="read", omit_defaults=True):
    """A file of a job. Answer: Content."""

    job: JobName
    output: int = 0
    """Which of the spec's outputs, by place."""
    path: str = ""


class Archive(msgspec.Struct, frozen=True, kw_only=True, tag="archive", omit_defaults=True):
    """All files that a job which is over left, as one archive. Answer: Archived."""

    job: JobName
    output: int | None = None
    """Which of the spec's outputs, by place; None: all."""
    fold_case: bool = False
    """Names that differ in case alone are kept apart, for systems that do not tell them apart."""


class ReadLog(msgspec.Struct, frozen=True, kw_only=True, tag="read_log", omit_defaults=True):
    """Bytes of the merged log, while it grows too. Answer: Log."""

    job: JobName
    offset: int = 0
    limit: int = 65_536


class Write(msgspec.Struct, frozen=True, kw_only=True, tag="write"):
    """A stored upload becomes an entry of the account's uploads, named by its digest. Answer: Written."""

    upload: Stored | bytes
    """Bytes come where a dialect wraps small content in its own form; they are stored first."""
    lives: float


class Describe(msgspec.Struct, frozen=True, tag="describe"):
    """The account that asks. Answer: Described."""


Operation = Submit | Find | Count | Cancel | Change | Delete | Read | Archive | ReadLog | Write | Describe


SCOPES: Mapping[type[Operation], Scope] = {
    Submit: Scope.SUBMIT,
    Find: Scope.READ,
    Count: Scope.READ,
    Cancel: Scope.CONTROL,
    Change: Scope.CONTROL,
    Delete: Scope.CONTROL,
    Read: Scope.READ,
    Archive: Scope.READ,
    ReadLog: Scope.READ,
    Write: Scope.SUBMIT,
    Describe: Scope.READ,
}
"""What each asks of the credential."""


class Until(StrEnum):
    """What the answer waits for."""

    ACCEPTED = "accepted"
    HANDED_OVER = "handed_over"
    """The engine has taken every job."""
    ENDED = "ended"
    """Every job is over."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One operation on its way."""

    operation: Operation
    principal: Principal
    until: Until = Until.ACCEPTED
    within: float = 0.0
    """Seconds the answer may wait for `until`."""


# --- outcomes


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """A job with all that belongs to it."""

    job: Job
    batch: Batch
    spec: JobSpec
    attempts: tuple[Attempt, ...] = ()


class Submitted(msgspec.Struct, frozen=True, kw_only=True, tag="submitted"):
    """The batch is on disk."""

    batch: Batch
    jobs: tuple[Job, ...]
    """As they were made; of a large batch only their ids are certain to be new."""
    replayed: bool = False
    """The key was known: nothing was made."""


class Found(msgspec.Struct, frozen=True, kw_only=True, tag="found"):
    """Jobs in the order asked for, or newest first."""

    jobs: tuple[JobView, ...]
    missing: tuple[str, ...] = ()
    more: JobId | None = None
    """Where the next page begins; None at the end."""


class Counted(msgspec.Struct, frozen=True, kw_only=True, tag="counted"):
    """A batch and the number of its jobs by state."""

    batch: Batch
    counts: Mapping[JobState, int]


class Changed(msgspec.Struct, frozen=True, kw_only=True, tag="changed"):
    """What became of each; of a large batch the first of each kind, and how many more there are."""

    done: tuple[Job, ...]
    unchanged: tuple[Job, ...] = ()
    missing: tuple[str, ...] = ()
    more: int = 0


class Deleted(msgspec.Struct, frozen=True, kw_only=True, tag="deleted"):
    """What was deleted, and what will be when it has ended; of a large batch the first, and how many more there are."""

    jobs: tuple[JobName, ...]
    stopping: tuple[JobName, ...] = ()
    missing: tuple[str, ...] = ()
    more: int = 0


class Content(msgspec.Struct, frozen=True, kw_only=True, tag="content"):
    """A stored file; the front streams it, with ranges."""

    artifact: Artifact
    name: str


class Archived(msgspec.Struct, frozen=True, kw_only=True, tag="archived"):
    """What goes into an archive; the front makes it while it sends it. All of it is kept at this moment."""

    name: str
    """What the archive is called."""
    files: tuple[Packed, ...]
    """Their paths are those in the workspace, as the job made them: nothing to unpack by."""
    modified: float
    """The time that every file bears: the job's end."""
    fold_case: bool = False


class Log(msgspec.Struct, frozen=True, kw_only=True, tag="log"):
    """A piece of a log."""

    job: Job
    offset: int
    content: bytes
    complete: bool
    """Nothing will follow it."""


class Written(msgspec.Struct, frozen=True, kw_only=True, tag="written"):
    """A stored upload."""

    digest: Digest
    size: int
    fresh: bool
    """It was not there before."""


class Described(msgspec.Struct, frozen=True, kw_only=True, tag="described"):
    """An account and its jobs by state."""

    account: Account
    counts: Mapping[JobState, int]


Outcome = Submitted | Found | Counted | Changed | Deleted | Content | Archived | Log | Written | Described


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one account may do, unless its quota says otherwise. ``[limits]`` of the configuration."""

    live_jobs: int = 1_000_000
    """Jobs of one account not yet over."""
    batch: int = 1_000_000
    """Jobs in one request."""
    shown: int = 10_000
    """Jobs in one answer; a list has pages."""
    calls: float = 0.0
    """Requests of one account in a second; 0: no limit."""
    storage: int = 0
    """Bytes of all files that one account has stored; 0: no limit."""
    upload: int = 2 * 1024**3
    """Bytes of one uploaded file."""
    input: int = 2 * 1024**3
    """Bytes of one fetched input."""
    output_files: int = 1000
    """Files collected of one job."""
    output_bytes: int = 2 * 1024**3
    """Bytes of all of them."""
    log: int = 10 * 1024**2
    """Bytes of log kept; of a longer one the middle is cut."""
