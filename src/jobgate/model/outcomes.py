"""What comes back of an operation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import msgspec

from jobgate.model.account import USER, Account, Scope
from jobgate.model.allowance import InUse
from jobgate.model.attempt import Attempt
from jobgate.model.catalogue import Catalogue
from jobgate.model.credit import Ledger
from jobgate.model.environment import ComputeEnvironment
from jobgate.model.estimate import Span
from jobgate.model.files import Artifact, Packed
from jobgate.model.ids import (
    AccountId,
    BatchId,
    Digest,
    EnvironmentName,
    JobId,
    JobName,
    MessageId,
    WebhookId,
    job_text,
)
from jobgate.model.job import Batch, Job, JobSpec
from jobgate.model.limits import Limits
from jobgate.model.queue import Reason
from jobgate.model.sight import Sight
from jobgate.model.state import Failure, JobState, Limit
from jobgate.model.storing import StoringOutcome
from jobgate.model.tally import Tally
from jobgate.model.told import Told
from jobgate.model.waits import Waits
from jobgate.model.webhook import Delivery, Webhook


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """A job with all that belongs to it."""

    job: Job
    batch: Batch
    spec: JobSpec
    attempts: tuple[Attempt, ...] = ()
    waits: Waits | None = None
    """Why it waits, where that was asked."""
    name: str = ""
    """What its owner calls it; empty: its id."""
    tail: bytes | None = None
    """The end of its log, where that was asked; None too when there is none, or it is deleted."""

    @property
    def called(self) -> str:
        """Its name, or its id."""
        return self.name or job_text(self.batch.id, self.job.id)

    @property
    def version(self) -> int:
        """Grows with each change of the job, and of its batch's name and labels."""
        return self.job.version + self.batch.renamed


class Submitted(msgspec.Struct, frozen=True, kw_only=True, tag="submitted"):
    """The batch is on disk."""

    batch: Batch
    counted: Counted
    """How the batch stands now."""
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
    waits: Waits | None = None
    """Why the first waits of those that do, where that was asked."""
    version: int = 0
    """Grows with each change of a job of it, of its name and of its labels."""
    started: float | None = None
    """When the first of its jobs started."""
    ended: float | None = None
    """When the last of those that are over ended."""
    environments: tuple[EnvironmentName, ...] = ()
    """Where its first jobs ran, or may run alone."""
    ledger: Ledger | None = None
    """What its jobs are worth, where that was asked."""
    est_end: float | None = None
    """When its last job will have ended, where that was asked with the ledger and can be said."""
    failures: tuple[Alike, ...] | None = None
    """Where they were asked for: the most frequent first."""

    @property
    def state(self) -> JobState:
        """Where the batch stands: over when all its jobs are, running as soon as one has started."""
        counts, vacant = self.counts, self.batch.vacant
        return Tally(counts=counts, version=self.version, started=self.started, vacant=vacant).state


class Portion(msgspec.Struct, frozen=True):
    """Some jobs of one batch, in order. Each batch begins with one of its own, which may have none."""

    batch: Counted
    jobs: tuple[JobView, ...]
    begins: bool = False
    """It is the first of its batch."""
    total: int = 0
    """How many jobs of the batch will have been told."""


class Streamed(msgspec.Struct, frozen=True, kw_only=True, tag="streamed"):
    """Jobs on their way out of the store."""

    at: float
    """The moment that the answer holds for, unique: ask for what changed since then. Taken before a job was read."""
    portions: AsyncIterator[Portion]


class Loaded(msgspec.Struct, frozen=True, kw_only=True, tag="loaded"):
    """Attempts of all accounts."""

    waiting: int
    running: int


class Alike(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs of a batch that failed in the same way."""

    failure: Failure | None
    limit: Limit | None = None
    exit_code: int | None = None
    message: str = ""
    count: int
    such_as: JobName
    """The first of them."""
    last_line: str | None = None
    """Of that job's log."""


class FoundBatches(msgspec.Struct, frozen=True, kw_only=True, tag="found_batches"):
    """Batches, newest first."""

    batches: tuple[Counted, ...]
    more: BatchId | None = None
    """After which to go on; None at the end."""


class Changed(msgspec.Struct, frozen=True, kw_only=True, tag="changed"):
    """What became of each; of a large batch the first of each kind, and how many more there are."""

    done: tuple[Job, ...]
    unchanged: tuple[Job, ...] = ()
    missing: tuple[str, ...] = ()
    more: int = 0
    states: Mapping[JobState, int] = {}
    """In which states all those stand that were changed."""
    same: int = 0
    """How many of all are unchanged."""
    shown: JobView | Counted | None = None
    """The one job or batch that was asked about, as it is now, where that was asked for."""


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
    """An account, its jobs by state, and what it uses of what it may."""

    account: Account
    counts: Mapping[JobState, int]
    scopes: frozenset[Scope] = USER
    """What the credential allows that asked."""
    live: int = 0
    """Jobs not yet over."""
    held: InUse = InUse()
    """What it has running."""
    stored: int = 0
    """Bytes of stored files."""
    usage: float = 0.0
    """Seconds of the dominant share of an environment, decayed: what its place in the queue follows from."""
    credit: float = 0.0
    """Granted to its attempts, ever."""
    limits: Limits = Limits()
    """The server's, with the account's own quotas in their place."""


class Offered(msgspec.Struct, frozen=True, tag="offered"):
    """The operator's catalogue."""

    catalogue: Catalogue


class Page(msgspec.Struct, frozen=True, kw_only=True, tag="page"):
    """Events in the order of their cursors."""

    events: tuple[Told, ...]
    cursor: int
    """After it one goes on."""
    more: bool = False
    """There may be more already."""


class End(msgspec.Struct, frozen=True):
    """Nothing will follow: the job or batch is over, and everything was told."""

    cursor: int


class News(msgspec.Struct, frozen=True, eq=False):
    """Events that are told together, in order. Those who are told the same are handed the same object."""

    events: tuple[Told, ...] = ()
    """None: nothing has happened for a while, and all is well."""


class Following(msgspec.Struct, frozen=True, kw_only=True, tag="following"):
    """Events as they come, until an end."""

    items: AsyncIterator[News | End] | None
    """None: the asker was told everything before, and it is over."""


class PlaceView(msgspec.Struct, frozen=True, kw_only=True):
    """One environment as it stands."""

    environment: ComputeEnvironment
    sight: Sight | None
    """None: no node runs it."""
    queued: int
    """Jobs that wait and may run there; of very many a number that they are not fewer than."""
    oldest: float | None = None
    """Since when the one waits that has waited longest."""


class Places(msgspec.Struct, frozen=True, kw_only=True, tag="places"):
    """The environments that the account may know of."""

    places: tuple[PlaceView, ...]
    account: AccountId


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One account's part of the server."""

    account: AccountId
    name: str
    running: int
    """Jobs that have their room."""
    queued: int
    """Of very many a number that they are not fewer than; so it is in all of these."""
    used: float
    """Of all that was used and is not forgotten, 0 to 1."""
    due: float
    """Of it, by the weights of those that have jobs now."""
    waits: Reason | None = None
    """What blocks its first job that waits."""


class Overseen(msgspec.Struct, frozen=True, kw_only=True, tag="overseen"):
    """The server as it stands."""

    since: float
    """When it was started."""
    starts: float
    """Jobs a second, over the last ten."""
    slots: int
    """Of environments that are up."""
    free: int
    running: int
    queued: int
    oldest: float | None
    behind: float
    """Seconds that those who follow events have not been told of what was committed."""
    parts: tuple[Part, ...]
    """The accounts that have jobs, those with most running first."""
    more: int = 0
    """Accounts that are not among these."""


class Estimated(msgspec.Struct, frozen=True, kw_only=True, tag="estimated"):
    """What is expected; None where nothing can be said."""

    environment: EnvironmentName
    """Where the first job would start first."""
    start: Span | None
    """Seconds from now until the first job starts."""
    run: Span | None
    """Seconds that one job runs."""
    end: Span | None
    """Seconds from now until the last job is over."""
    cost: Span | None
    """Credits, of all jobs."""
    seconds: float | None = None
    """From now until the last job is over: what the operations ahead and of these jobs take at the measured speed, or
    else at `USUAL_SPEED`. Past run times have no say in it: they know nothing of the size of these jobs.

    None when no job says how many operations it takes.
    """


class Hooked(msgspec.Struct, frozen=True, kw_only=True, tag="hooked", omit_defaults=True):
    """A webhook as it is now."""

    webhook: Webhook
    secret: str = ""
    """What its deliveries are signed with, where it is new: shown this once."""
    replayed: bool = False
    """The key was known: nothing was made."""

    def __repr__(self) -> str:
        return f"Hooked({self.webhook.id})"


class FoundWebhooks(msgspec.Struct, frozen=True, kw_only=True, tag="found_webhooks"):
    """Webhooks, newest first."""

    webhooks: tuple[Webhook, ...]
    more: WebhookId | None = None
    """Where the next page begins; None at the end."""


class Unhooked(msgspec.Struct, frozen=True, tag="unhooked"):
    """A webhook is gone."""


class Posted(msgspec.Struct, frozen=True, kw_only=True, tag="posted"):
    """A delivery that is on its way."""

    delivery: Delivery


class FoundDeliveries(msgspec.Struct, frozen=True, kw_only=True, tag="found_deliveries"):
    """Deliveries, newest first."""

    deliveries: tuple[Delivery, ...]
    more: MessageId | None = None
    """Where the next page begins; None at the end."""


OfWebhooks = Hooked | FoundWebhooks | Unhooked | Posted | FoundDeliveries
Outcome = (
    Submitted
    | Found
    | FoundBatches
    | Counted
    | Changed
    | Streamed
    | Loaded
    | Deleted
    | Content
    | Archived
    | Log
    | Written
    | Described
    | Offered
    | Places
    | Overseen
    | Estimated
    | OfWebhooks
    | Page
    | Following
    | StoringOutcome
)
