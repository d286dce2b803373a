"""All that can be asked of the gateway, and what comes back.

A dialect decodes a call into one Operation and encodes one Outcome back. `Request` adds who asks and how long the
answer may wait. Schedule, Reserve, Link and Ask have their place in decision record 0004.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from enum import StrEnum

import msgspec

from jobgate.model.account import Principal, Scope
from jobgate.model.files import Naming, Stored
from jobgate.model.guard import Guard, Seen
from jobgate.model.ids import BatchId, JobName
from jobgate.model.job import Batch, JobSpec, Origin
from jobgate.model.selectors import BatchCalled, BatchesWhere, JobCalled, Selector
from jobgate.model.storing import STORING_SCOPES, StoringOperation
from jobgate.model.told import Kind
from jobgate.model.webhooking import WEBHOOK_SCOPES, OnWebhooks

# --- operations


class Group(msgspec.Struct, frozen=True, gc=False):
    """So many jobs of one spec, or of specs that are made when they are needed and then forgotten."""

    spec: JobSpec
    count: int = 1
    each: Callable[[int], JobSpec] | None = None
    """The spec of the job at a place, from 0; it has the same program, place and replicas as `spec`, the same
    resources but for `operations`, and files that are copied if `spec` has some.

    Raises Invalid for a job that cannot be; nothing of the batch is made then.
    """
    priority: int | None = None
    """Of these jobs; None: the batch's."""


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
    """Id of a webhook, as it was asked; the batch names it."""
    secrets: Mapping[str, str] = {}
    """Name to value; sealed before it is stored."""
    guard: Guard | None = None
    names: tuple[str, ...] = ()
    """What the owner calls each job, in order; empty, or an empty one: its id. Raises Conflict (`name-taken`) for one
    that another job of the account bears."""
    empty: bool = False
    """There are no jobs yet: another Submit fills it."""
    into: BatchId | None = None
    """An empty batch of the asker's that these jobs fill; its name, labels, webhook and expiry are what they were.

    Raises Conflict (`not-empty`) when it was filled, cancelled or retired before.
    """

    def __repr__(self) -> str:
        return f"Submit({self.origin.dialect}, {sum(group.count for group in self.groups)} jobs)"


class Known(msgspec.Struct, frozen=True):
    """What things are that were called by number or name, in the order they were asked; None: the asker has none."""

    batches: tuple[Batch | None, ...] = ()
    jobs: tuple[KnownJob | None, ...] = ()


class KnownJob(msgspec.Struct, frozen=True):
    """A job, and which of its attempts was meant; 0: none."""

    name: JobName
    attempt: int = 0


class Called(msgspec.Struct, frozen=True, kw_only=True, tag="called"):
    """An operation on things that are called by number or name. Answer: that of the operation."""

    batches: tuple[BatchCalled, ...] = ()
    jobs: tuple[JobCalled, ...] = ()
    then: Callable[[Known], Operation]
    """Makes the operation once it is known what is meant; raises NotFound, in the dialect's words, where it must."""


class Retire(msgspec.Struct, frozen=True, kw_only=True, tag="retire"):
    """The owner is done with a batch: what is not over is cancelled, its files are deleted. Answer: Counted.

    Once more, it changes nothing. Its records are deleted when their retention ends.
    """

    batch: BatchId


class Renew(msgspec.Struct, frozen=True, kw_only=True, tag="renew"):
    """A batch's lease ends then, or never. Answer: Counted."""

    batch: BatchId
    expires: float | None


class Members(msgspec.Struct, frozen=True, kw_only=True, tag="members"):
    """All jobs of batches, as they come from the store, in order; memory does not grow with them. Answer: Streamed."""

    batches: tuple[BatchId, ...]
    since: float | None = None
    """Only jobs that changed after this moment, which an earlier answer called its own; None, or one that is not known
    any more: all."""


class Load(msgspec.Struct, frozen=True, tag="load"):
    """How many attempts of all accounts wait and run. Anyone may ask where the operator lets them. Answer: Loaded."""


class Find(msgspec.Struct, frozen=True, kw_only=True, tag="find"):
    """Answer: Found."""

    selector: Selector
    full: bool = True
    """With attempts, spec and batch of each; otherwise the job and its batch."""
    waits: bool = False
    """And why each of them waits, if it does."""
    tail: int = 0
    """And so many bytes from the end of the log of each."""


class FindBatches(msgspec.Struct, frozen=True, kw_only=True, tag="find_batches"):
    """Batches with their jobs counted. Answer: FoundBatches."""

    where: BatchesWhere = BatchesWhere()
    waits: bool = False
    """And why the first job of each waits of those that do."""
    ledger: bool = False
    """And what their jobs are worth."""


class Count(msgspec.Struct, frozen=True, tag="count"):
    """How many of a batch's jobs are in which state. Answer: Counted."""

    batch: BatchId
    failures: bool = False
    """Also in which ways its jobs failed."""
    waits: bool = False
    """And why the first of those waits that do."""
    ledger: bool = False
    """And what its jobs are worth."""


class Cancel(msgspec.Struct, frozen=True, kw_only=True, tag="cancel", omit_defaults=True):
    """Asks that they stop. Answer: Changed.

    Of many jobs it is done slice by slice: when it breaks off, some are asked and some are not, and the same request
    again does the rest. So it is with Retry, Change and Delete. With `seen` all of them raise Conflict (`changed`), and
    change nothing, when the job or batch is not of a version that was seen.
    """

    selector: Selector
    message: str = ""
    seen: Seen | None = None
    show: bool = False
    """The answer shows the one job or batch as it is then."""


class Retry(msgspec.Struct, frozen=True, kw_only=True, tag="retry", omit_defaults=True):
    """Asks for another attempt of those that failed, under the same ids. Answer: Changed.

    Raises TooMany when the account may not have so many live jobs.
    """

    selector: Selector
    seen: Seen | None = None
    show: bool = False
    """The answer shows the one job or batch as it is then."""


class Change(msgspec.Struct, frozen=True, kw_only=True, tag="change", omit_defaults=True):
    """Another priority; held or let go; other labels, another name. Answer: Changed.

    Name and labels are those of a batch: raises Invalid when a job of a larger one is meant.
    """

    selector: Selector
    priority: int | None = None
    hold: bool | None = None
    name: str | None = None
    labels: Mapping[str, str | None] = {}
    """Only these change; None takes one away."""
    expires: float | msgspec.UnsetType | None = msgspec.UNSET
    """Of a batch: its lease, as with Renew."""
    seen: Seen | None = None
    show: bool = False
    """The answer shows the one job or batch as it is then."""


class Delete(msgspec.Struct, frozen=True, kw_only=True, tag="delete"):
    """Forgets jobs that are over, with their files. Answer: Deleted.

    Raises Conflict, and deletes nothing, when one is live and `force` was not asked for.
    """

    selector: Selector
    force: bool = False
    """Live ones are cancelled first, and deleted when they have ended."""
    seen: Seen | None = None


class Read(msgspec.Struct, frozen=True, kw_only=True, tag="read", omit_defaults=True):
    """A file of a job. Answer: Content."""

    job: JobName
    output: int | None = 0
    """Which of the spec's outputs, by place; None: the path is that in the workspace."""
    path: str = ""
    number: int | None = None
    """The file of this output, whatever path it has; then the file is called what BOINC calls it."""
    attempt: int | None = None
    """Of this attempt, whatever became of it; None: of the one that is the job's."""
    canonical: bool = False
    """Only of a canonical attempt; raises NotFound (`no-canonical`) when there is none."""


class Archive(msgspec.Struct, frozen=True, kw_only=True, tag="archive", omit_defaults=True):
    """All files that a job which is over left, as one archive. Answer: Archived."""

    job: JobName
    output: int | None = None
    """Which of the spec's outputs, by place; None: all."""
    fold_case: bool = False
    """Names that differ in case alone are kept apart, for systems that do not tell them apart."""
    attempt: int | None = None
    """Of this attempt, whatever became of it and of the job; None: of the one that is the job's."""
    naming: Naming = Naming.NUMBERS
    """By any but this, and without an attempt, only the files of a canonical one: raises NotFound (`no-canonical`) as
    long as there is none."""


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


class Follow(msgspec.Struct, frozen=True, kw_only=True, tag="follow", omit_defaults=True):
    """What happens, of one batch, of one job, or of all that is the asker's. Answer: Page, or Following if `live`.

    Raises Gone (`gone`) when retention has removed events after the cursor; its `oldest` is where to go on.
    """

    batch: BatchId | None = None
    job: JobName | None = None
    kinds: frozenset[Kind] = frozenset({Kind.JOB, Kind.BATCH})
    after: int | None = None
    """The cursor of the last event known; 0: the oldest kept comes first. None: so of a page; a stream begins now."""
    limit: int = 100
    within: float = 0.0
    """Seconds that a page which would be empty may wait for an event."""
    live: bool = False
    """As it comes, until the job or batch is over."""


class Programs(msgspec.Struct, frozen=True, tag="programs"):
    """The apps and images that a job may name. Answer: Offered."""


class Environments(msgspec.Struct, frozen=True, tag="environments", omit_defaults=True):
    """The environments that the account may know of, as they stand. Answer: Places."""

    name: str | None = None
    """This one only."""


class Oversee(msgspec.Struct, frozen=True, tag="oversee"):
    """The whole server at a glance, with every account that has jobs: for operators. Answer: Overseen."""


class Estimate(msgspec.Struct, frozen=True, kw_only=True, tag="estimate", omit_defaults=True):
    """When a submit would start and end, and what it would cost, if it came now. Nothing is made. Answer: Estimated."""

    groups: tuple[Group, ...]
    priority: int = 0


Operation = (
    Submit
    | Called
    | Retire
    | Renew
    | Members
    | Load
    | Find
    | FindBatches
    | Count
    | Cancel
    | Retry
    | Change
    | Delete
    | Read
    | Archive
    | ReadLog
    | Write
    | Describe
    | Programs
    | Environments
    | Oversee
    | Estimate
    | OnWebhooks
    | Follow
    | StoringOperation
)


SCOPES: Mapping[type[Operation], Scope] = {
    Submit: Scope.SUBMIT,
    Called: Scope.READ,
    Retire: Scope.CONTROL,
    Renew: Scope.CONTROL,
    Members: Scope.READ,
    Load: Scope.READ,
    Find: Scope.READ,
    FindBatches: Scope.READ,
    Count: Scope.READ,
    Cancel: Scope.CONTROL,
    Retry: Scope.CONTROL,
    Change: Scope.CONTROL,
    Delete: Scope.CONTROL,
    Read: Scope.READ,
    Archive: Scope.READ,
    ReadLog: Scope.READ,
    Write: Scope.SUBMIT,
    Describe: Scope.READ,
    Programs: Scope.READ,
    Environments: Scope.READ,
    Oversee: Scope.OPERATE,
    Estimate: Scope.READ,
    Follow: Scope.READ,
    **STORING_SCOPES,
    **WEBHOOK_SCOPES,
}
"""What each asks of the credential."""


class Until(StrEnum):
    """What the answer waits for."""

    ACCEPTED = "accepted"
    HANDED_OVER = "handed_over"
    """The engine has taken every job."""
    ENDED = "ended"
    """Every job is over."""
    CHANGED = "changed"
    """The job, or any job of the batch, is no longer at the version that was seen."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One operation on its way."""

    operation: Operation
    principal: Principal
    until: Until = Until.ACCEPTED
    within: float = 0.0
    """Seconds the answer may wait for `until`."""
    seen: Seen = ()
    """For CHANGED: the versions known."""
    content: AsyncIterator[bytes] | None = None
    """The body, where the operation takes it as it comes: nothing of it was read."""
