"""The tables, once, for every database.

A job's row holds what is searched by in columns, and the rest of the job with its attempts in `doc` (decision 0002);
`doc` is NULL as long as the job is as it was born. Jobs of one batch share their spec's row. Events are one row a fact:
`cursor` grows in commit order, (job, seq) is gapless.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
    text,
)

from jobgate.model.credit import Ledger
from jobgate.model.state import JobState

METADATA: Final = MetaData()

STATE_NUMBERS: Final = {
    JobState.HELD: 0,
    JobState.QUEUED: 1,
    JobState.STAGING_IN: 2,
    JobState.RUNNING: 3,
    JobState.STAGING_OUT: 4,
    JobState.CANCELLING: 5,
    JobState.SUCCEEDED: 6,
    JobState.FAILED: 7,
    JobState.CANCELLED: 8,
}
STATES: Final = {number: state for state, number in STATE_NUMBERS.items()}
QUEUED: Final = STATE_NUMBERS[JobState.QUEUED]
FIRST_TAKEN: Final = STATE_NUMBERS[JobState.STAGING_IN]
"""From here to the last before `FIRST_OVER` an attempt may be live."""
FIRST_OVER: Final = STATE_NUMBERS[JobState.SUCCEEDED]
RARE: Final = frozenset(STATE_NUMBERS[state] for state in (JobState.HELD, JobState.FAILED, JobState.CANCELLED))
"""Few of many jobs are in these, and they are what people look for: they have an index of their own."""
NO_JOB: Final = 0
"""Whose event only marks how far the cursor has come, when the last real ones were deleted."""

LEDGER: Final = Ledger.__struct_fields__
"""Columns of a batch's tally that say what its jobs are worth."""
_BIG = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite's row id is an INTEGER by that name only."""

account = Table(
    "account",
    METADATA,
    Column("id", _BIG, primary_key=True, autoincrement=False),
    Column("name", String, nullable=False, unique=True),
    Column("doc", LargeBinary, nullable=False),
    Column("usage", Float, nullable=False, server_default="0"),
    Column("used_at", Float, nullable=False, server_default="0"),
    Column("credit", Float, nullable=False, server_default="0"),
)
credential = Table(
    "credential",
    METADATA,
    Column("id", _BIG, primary_key=True, autoincrement=False),
    Column("account", _BIG, nullable=False),
    Column("kind", String, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("doc", LargeBinary, nullable=False),
    UniqueConstraint("kind", "digest", name="credential_value"),
)
batch = Table(
    "batch",
    METADATA,
    Column("id", _BIG, primary_key=True, autoincrement=False),
    Column("owner", _BIG, nullable=False),
    Column("app", String, nullable=False),
    Column("count", Integer, nullable=False),
    Column("expires", Float),
    Column("doc", LargeBinary, nullable=False),
    Column("name", String, nullable=False, server_default=""),
    Column("number", Integer, nullable=False, server_default="0"),
    Column("first", Integer, nullable=False, server_default="0"),
    Column("filled", Float),
    Column("retired", Float),
    Column("wakes", Float),
)
"""`number` and `first` are kept here alone. `wakes`: when its lease ends, or since when it is being retired; NULL when
nobody has to look at it."""
Index(
    "batch_number",
    batch.c.number,
    unique=True,
    sqlite_where=text("number > 0"),
    postgresql_where=text("number > 0"),
)
Index(
    "batch_first",
    batch.c.first,
    sqlite_where=text("first <> number"),
    postgresql_where=text("first <> number"),
)
Index(
    "batch_filled",
    batch.c.owner,
    batch.c.filled,
    sqlite_where=text("filled IS NOT NULL"),
    postgresql_where=text("filled IS NOT NULL"),
)
Index("batch_wakes", batch.c.wakes, sqlite_where=text("wakes IS NOT NULL"), postgresql_where=text("wakes IS NOT NULL"))
Index("batch_empty", batch.c.id, sqlite_where=text("count = 0"), postgresql_where=text("count = 0"))
Index("batch_owner", batch.c.owner, batch.c.id)
Index(
    "batch_app",
    batch.c.owner,
    batch.c.app,
    batch.c.id,
    sqlite_where=text("app <> ''"),
    postgresql_where=text("app <> ''"),
)
Index(
    "batch_name",
    batch.c.owner,
    batch.c.name,
    batch.c.id,
    sqlite_where=text("name <> ''"),
    postgresql_where=text("name <> ''"),
)
label = Table(
    "label",
    METADATA,
    Column("owner", _BIG, primary_key=True, autoincrement=False),
    Column("key", String, primary_key=True),
    Column("value", String, primary_key=True),
    Column("batch", _BIG, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
spec = Table(
    "spec",
    METADATA,
    Column("id", _BIG, primary_key=True, autoincrement=False),
    Column("batch", _BIG, nullable=False),
    Column("doc", LargeBinary, nullable=False),
)
Index("spec_batch", spec.c.batch)
job = Table(
    "job",
    METADATA,
    Column("id", _BIG, primary_key=True, autoincrement=False),
    Column("batch", _BIG, nullable=False),
    Column("owner", _BIG, nullable=False),
    Column("spec", _BIG, nullable=False),
    Column("place", String, nullable=False, server_default=""),
    Column("state", SmallInteger, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("created", Float, nullable=False),
    Column("ready", Float, nullable=False),
    Column("gives_up", Float),
    Column("ended", Float),
    Column("version", Integer, nullable=False),
    Column("doc", LargeBinary),
    Column("more", SmallInteger, nullable=False, server_default="0"),
)
"""`more`: further attempts that are wanted while others of the job are live, and 0 otherwise: it waits in the queue all
the same. No statement of a plain job writes it."""
_WAITS: Final = "(state = 1 OR more > 0)"
Index(
    "job_queued",
    job.c.place,
    job.c.owner,
    job.c.priority.desc(),
    job.c.id,
    sqlite_where=text(_WAITS),
    postgresql_where=text(_WAITS),
)
Index(
    "job_live", job.c.state, sqlite_where=text("state BETWEEN 2 AND 5"), postgresql_where=text("state BETWEEN 2 AND 5")
)
Index(
    "job_gives_up",
    job.c.gives_up,
    sqlite_where=text("state < 2 AND gives_up IS NOT NULL"),
    postgresql_where=text("state < 2 AND gives_up IS NOT NULL"),
)
Index(
    "job_not_before",
    job.c.ready,
    sqlite_where=text(f"{_WAITS} AND ready > 0"),
    postgresql_where=text(f"{_WAITS} AND ready > 0"),
)
Index("job_owner", job.c.owner, job.c.id)
Index(
    "job_rare",
    job.c.owner,
    job.c.id,
    job.c.state,
    sqlite_where=text("state IN (0, 7, 8)"),
    postgresql_where=text("state IN (0, 7, 8)"),
)
job_name = Table(
    "job_name",
    METADATA,
    Column("owner", _BIG, primary_key=True, autoincrement=False),
    Column("name", String, primary_key=True),
    Column("batch", _BIG, nullable=False),
    Column("job", _BIG, nullable=False),
    sqlite_with_rowid=False,
)
Index("job_name_job", job_name.c.job)
event = Table(
    "event",
    METADATA,
    Column("cursor", _BIG, primary_key=True),
    Column("job", _BIG, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("at", Float, nullable=False),
    Column("data", LargeBinary, nullable=False),
)
Index("event_job", event.c.job, event.c.seq, unique=True)
tally = Table(
    "tally",
    METADATA,
    Column("batch", _BIG, primary_key=True, autoincrement=False),
    *(Column(state.value, Integer, nullable=False) for state in STATE_NUMBERS),
    Column("facts", _BIG, nullable=False),
    Column("started", Float),
    Column("ended", Float),
    *(Column(name, Float, nullable=False, server_default="0") for name in LEDGER),
)
load = Table(
    "load",
    METADATA,
    Column("id", _BIG, primary_key=True, autoincrement=False),
    Column("waiting", _BIG, nullable=False),
    Column("running", _BIG, nullable=False),
)
"""One row: attempts of all accounts. A database with many writers adds up several."""
reaped = Table(
    "reaped",
    METADATA,
    Column("owner", _BIG, primary_key=True, autoincrement=False),
    Column("cursor", _BIG, nullable=False),
)
guard = Table(
    "guard",
    METADATA,
    Column("owner", _BIG, primary_key=True, autoincrement=False),
    Column("scope", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("body", String, nullable=False),
    Column("batch", _BIG, nullable=False),
    Column("expires", Float, nullable=False),
    sqlite_with_rowid=False,
)
Index("guard_batch", guard.c.batch)
secret = Table(
    "secret",
    METADATA,
    Column("batch", _BIG, primary_key=True, autoincrement=False),
    Column("name", String, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
folder = Table(
    "folder",
    METADATA,
    Column("id", _BIG, primary_key=True, autoincrement=False),
    Column("owner", _BIG, nullable=False),
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),
    UniqueConstraint("owner", "kind", "name", name="folder_name"),
)
entry = Table(
    "entry",
    METADATA,
    Column("folder", _BIG, primary_key=True, autoincrement=False),
    Column("name", String, primary_key=True),
    Column("digest", String, nullable=False),
    Column("size", _BIG, nullable=False),
    Column("used", Float, nullable=False),
    Column("expires", Float),
    sqlite_with_rowid=False,
)
Index("entry_expires", entry.c.expires)
Index("entry_digest", entry.c.folder, entry.c.digest)
needed = Table(
    "needed",
    METADATA,
    Column("batch", _BIG, primary_key=True, autoincrement=False),
    Column("folder", _BIG, primary_key=True, autoincrement=False),
    Column("name", String, primary_key=True),
    sqlite_with_rowid=False,
)
"""Entries that stay as long as a batch needs them, whenever their own time is over."""
Index("needed_entry", needed.c.folder, needed.c.name)
blob_ref = Table(
    "blob_ref",
    METADATA,
    Column("digest", String, primary_key=True),
    Column("holder", _BIG, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
Index("blob_ref_holder", blob_ref.c.holder)
orphan = Table(
    "orphan",
    METADATA,
    Column("digest", String, primary_key=True),
    Column("since", Float, nullable=False),
    sqlite_with_rowid=False,
)
node = Table(
    "node",
    METADATA,
    Column("name", String, primary_key=True),
    Column("fence", Integer, nullable=False),
    Column("until", Float, nullable=False),
    sqlite_with_rowid=False,
)
past = Table(
    "past",
    METADATA,
    Column("environment", String, primary_key=True),
    Column("owner", _BIG, primary_key=True, autoincrement=False),
    Column("program", String, primary_key=True),
    Column("at", Float, nullable=False),
    Column("doc", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
audit = Table(
    "audit",
    METADATA,
    Column("id", _BIG, primary_key=True),
    Column("at", Float, nullable=False),
    Column("account", _BIG, nullable=False),
    Column("doc", LargeBinary, nullable=False),
)
Index("audit_account", audit.c.account, audit.c.id)
webhook = Table(
    "webhook",
    METADATA,
    Column("id", _BIG, primary_key=True, autoincrement=False),
    Column("owner", _BIG, nullable=False),
    Column("due", Float),
    Column("doc", LargeBinary, nullable=False),
)
"""`due`: when the first of its deliveries is to be tried; NULL when none is, and while it is disabled."""
Index("webhook_owner", webhook.c.owner, webhook.c.id)
Index("webhook_due", webhook.c.due, sqlite_where=text("due IS NOT NULL"), postgresql_where=text("due IS NOT NULL"))
delivery = Table(
    "delivery",
    METADATA,
    Column("id", _BIG, primary_key=True, autoincrement=False),
    Column("webhook", _BIG, nullable=False),
    Column("due", Float),
    Column("doc", LargeBinary, nullable=False),
)
Index("delivery_webhook", delivery.c.webhook, delivery.c.id)
Index(
    "delivery_due",
    delivery.c.webhook,
    delivery.c.due,
    sqlite_where=text("due IS NOT NULL"),
    postgresql_where=text("due IS NOT NULL"),
)
