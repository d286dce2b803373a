"""The hot statements, compiled once to the driver's own words; Core itself would cost 15 µs each time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import bindparam, delete, func, insert, literal_column, or_, select, update
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.dml import Insert

from jobgate.store.batch_statements import BATCHES
from jobgate.store.folder_statements import FOLDERS
from jobgate.store.log_statements import LOG
from jobgate.store.outbox_statements import OUTBOX
from jobgate.store.run_statements import RUNS
from jobgate.store.tables import (
    FIRST_OVER,
    FIRST_TAKEN,
    QUEUED,
    account,
    audit,
    blob_ref,
    credential,
    guard,
    job,
    label,
    node,
    orphan,
    past,
    secret,
    spec,
)

_J = job.c
_JOB: Final = (_J.id, _J.batch, _J.owner, _J.spec, _J.state, _J.priority, _J.created, _J.ready, _J.version, _J.doc)
"""The columns a job is read by; `rows.job_of` knows their order."""

p = bindparam
_WAITS: Final = or_(_J.state == QUEUED, _J.more > literal_column("0"))
"""In the words of the index of the queue: it is used where they stand just so."""


def _insert(table: Any, *columns: str) -> Insert:
    return insert(table).values({c: p(c) for c in columns})


_STATEMENTS: Final[dict[str, tuple[Any, tuple[str, ...]]]] = dict(LOG)


def _say(name: str, statement: Any, *order: str) -> None:
    _STATEMENTS[name] = (statement, order)


_NEW_JOB = ("id", "batch", "owner", "spec", "place", "state", "priority", "created", "ready", "gives_up", "version")
_say("job_add", _insert(job, *_NEW_JOB), *_NEW_JOB)
_say("job_whole", _insert(job, *_NEW_JOB, "doc"), *_NEW_JOB, "doc")
_say("job_get", select(*_JOB).where(_J.id == p("i")), "i")
_say(
    "job_put",
    update(job)
    .where(_J.id == p("i"))
    .values(state=p("s"), priority=p("pr"), ready=p("r"), ended=p("e"), version=p("v"), doc=p("d")),
    "s",
    "pr",
    "r",
    "e",
    "v",
    "d",
    "i",
)
_say("job_more", update(job).where(_J.id == p("i")).values(more=p("m")), "m", "i")
_say("job_waits_until", update(job).where(_J.id == p("i")).values(gives_up=p("u")), "u", "i")
_say("job_waits_on", update(job).where(_J.id == p("i")).values(gives_up=_J.gives_up + p("s")), "s", "i")
_say(
    "job_range",
    select(*_JOB).where(_J.id >= p("a"), _J.id <= p("b"), _J.batch == p("c")).order_by(_J.id),
    "a",
    "b",
    "c",
)
_STAND = (_J.id, _J.state, _J.spec)
_say(
    "job_roll",
    select(*_STAND).where(_J.id > p("a"), _J.id <= p("b"), _J.batch == p("c")).order_by(_J.id).limit(p("l")),
    *"abcl",
)
_say("job_stand", select(*_STAND).where(_J.id == p("i"), _J.batch == p("c")), *"ic")
_say(
    "job_heads",
    select(_J.id, _J.owner, _J.priority, _J.created, _J.spec)
    .where(_WAITS, _J.place == p("w"), _J.owner == p("o"), _J.ready <= p("n"))
    .order_by(_J.priority.desc(), _J.id)
    .limit(p("l"))
    .offset(p("f")),
    "w",
    "o",
    "n",
    "l",
    "f",
)
_say(
    "job_owner_after",
    select(_J.owner).where(_WAITS, _J.place == p("w"), _J.owner > p("o")).order_by(_J.owner).limit(literal_column("1")),
    "w",
    "o",
)
_QUEUED = (_WAITS, _J.place == p("w"), _J.owner == p("o"))
_LEAP = (_J.id, _J.priority, _J.batch)
_say(
    "queue_above",
    select(_J.id).where(*_QUEUED, _J.priority > p("p")).limit(p("l")),
    "w",
    "o",
    "p",
    "l",
)
_say(
    "queue_before",
    select(_J.id).where(*_QUEUED, _J.priority == p("p"), _J.id < p("i")).limit(p("l")),
    "w",
    "o",
    "p",
    "i",
    "l",
)
_say(
    "queue_next",
    select(*_LEAP).where(*_QUEUED, _J.priority == p("p"), _J.id > p("i")).order_by(_J.id).limit(literal_column("1")),
    "w",
    "o",
    "p",
    "i",
)
_say(
    "queue_lower",
    select(*_LEAP).where(*_QUEUED, _J.priority < p("p")).order_by(_J.priority.desc(), _J.id).limit(literal_column("1")),
    "w",
    "o",
    "p",
)
_say(
    "job_next_ready",
    select(func.min(_J.ready)).where(_WAITS, _J.ready > literal_column("0"), _J.ready > p("n")),
    "n",
)
_say("job_live", select(*_JOB).where(_J.state.between(FIRST_TAKEN, FIRST_OVER - 1)))
_say("job_delete", delete(job).where(_J.id == p("i")), "i")
_say("job_left", select(_J.id).where(_J.id >= p("a"), _J.id <= p("b"), _J.batch == p("c")).limit(1), "a", "b", "c")
_say("owner_counts", select(_J.state, func.count()).where(_J.owner == p("o")).group_by(_J.state), "o")
_say("owner_live", select(func.count()).where(_J.owner == p("o"), _J.state < FIRST_OVER), "o")
_say(
    "job_overdue",
    select(_J.id).where(_J.state < FIRST_TAKEN, _J.gives_up.is_not(None), _J.gives_up <= p("n")).limit(p("l")),
    "n",
    "l",
)
_say("job_next_overdue", select(func.min(_J.gives_up)).where(_J.state < FIRST_TAKEN, _J.gives_up.is_not(None)))
_say(
    "job_expired",
    select(_J.id).where(_J.id < p("i"), _J.ended < p("e")).order_by(_J.id).limit(p("l")),
    "i",
    "e",
    "l",
)
_say(
    "job_with_files",
    select(blob_ref.c.holder)
    .where(
        blob_ref.c.holder > literal_column("0"),
        blob_ref.c.holder < p("i"),
        select(_J.id).where(_J.id == blob_ref.c.holder, _J.ended < p("e")).exists(),
    )
    .distinct()
    .limit(p("l")),
    "i",
    "e",
    "l",
)
_say("job_move", update(job).where(_J.owner == p("o")).values(owner=p("t")), "t", "o")
_say("job_last", select(func.max(_J.id)))

_say("label_move", update(label).where(label.c.owner == p("o")).values(owner=p("t")), "t", "o")
_say("label_add", _insert(label, "owner", "key", "value", "batch"), "owner", "key", "value", "batch")
_say(
    "label_delete",
    delete(label).where(
        label.c.owner == p("o"), label.c.key == p("k"), label.c.value == p("v"), label.c.batch == p("b")
    ),
    "o",
    "k",
    "v",
    "b",
)
_say("spec_add", _insert(spec, "id", "batch", "doc"), "id", "batch", "doc")
_say("spec_get", select(spec.c.doc).where(spec.c.id == p("i")), "i")
_say("spec_drop", delete(spec).where(spec.c.id == p("i")), "i")
_say(
    "spec_before",
    select(_J.spec).where(_J.id >= p("a"), _J.id < p("i"), _J.batch == p("b")).order_by(_J.id.desc()).limit(1),
    "a",
    "i",
    "b",
)
_say(
    "spec_after",
    select(_J.spec).where(_J.id > p("i"), _J.id <= p("e"), _J.batch == p("b")).order_by(_J.id).limit(1),
    "i",
    "e",
    "b",
)
_say("spec_delete", delete(spec).where(spec.c.batch == p("b")), "b")

_GUARD = ("owner", "scope", "key", "body", "batch", "expires")
_say("guard_add", _insert(guard, *_GUARD), *_GUARD)
_say(
    "guard_get",
    select(guard.c.body, guard.c.batch, guard.c.expires).where(
        guard.c.owner == p("o"), guard.c.scope == p("s"), guard.c.key == p("k")
    ),
    "o",
    "s",
    "k",
)
_say(
    "guard_delete",
    delete(guard).where(guard.c.owner == p("o"), guard.c.scope == p("s"), guard.c.key == p("k")),
    "o",
    "s",
    "k",
)
_say("guard_outlives", update(guard).where(guard.c.batch == p("b")).values(batch=p("g")), "g", "b")
_say("guard_over", delete(guard).where(guard.c.batch < literal_column("0"), guard.c.expires <= p("n")), "n")
_OTHER = guard.alias("other")
_say(
    "guard_older",
    delete(guard).where(
        guard.c.owner == p("o"),
        select(_OTHER.c.key)
        .where(
            _OTHER.c.owner == p("t"),
            _OTHER.c.scope == guard.c.scope,
            _OTHER.c.key == guard.c.key,
            _OTHER.c.expires >= guard.c.expires,
        )
        .exists(),
    ),
    "o",
    "t",
)
_say("guard_move", update(guard).where(guard.c.owner == p("o")).values(owner=p("t")), "t", "o")
_say("secret_all", select(secret.c.batch, secret.c.name, secret.c.sealed))
_say(
    "secret_put",
    update(secret).where(secret.c.batch == p("b"), secret.c.name == p("n")).values(sealed=p("s")),
    "s",
    "b",
    "n",
)
_say("secret_add", _insert(secret, "batch", "name", "sealed"), "batch", "name", "sealed")
_say("secret_of", select(secret.c.name, secret.c.sealed).where(secret.c.batch == p("b")), "b")
_say("secret_delete", delete(secret).where(secret.c.batch == p("b")), "b")

_say("account_add", _insert(account, "id", "name", "doc"), "id", "name", "doc")
_say("account_get", select(account.c.doc).where(account.c.id == p("i")), "i")
_say("account_named", select(account.c.doc).where(account.c.name == p("n")), "n")
_say("account_put", update(account).where(account.c.id == p("i")).values(name=p("n"), doc=p("d")), "n", "d", "i")
_say("account_all", select(account.c.doc).order_by(account.c.name))
_say("account_usage", select(account.c.id, account.c.usage, account.c.used_at))
_say("account_use", update(account).where(account.c.id == p("i")).values(usage=p("u"), used_at=p("a")), "u", "a", "i")
_say(
    "credential_add",
    _insert(credential, "id", "account", "kind", "digest", "doc"),
    "id",
    "account",
    "kind",
    "digest",
    "doc",
)
_say(
    "credential_get",
    select(credential.c.doc).where(credential.c.kind == p("k"), credential.c.digest == p("d")),
    "k",
    "d",
)
_say(
    "credential_holders",
    select(credential.c.account).where(credential.c.kind == p("k")).distinct().order_by(credential.c.account),
    "k",
)
_say("credential_of", select(credential.c.doc).where(credential.c.account == p("a")).order_by(credential.c.id), "a")
_say(
    "credential_move",
    update(credential).where(credential.c.id == p("i")).values(account=p("a"), doc=p("d")),
    "a",
    "d",
    "i",
)
_say("credential_put", update(credential).where(credential.c.id == p("i")).values(doc=p("d")), "d", "i")

_AUDIT = ("at", "account", "doc")
_say("audit_add", _insert(audit, *_AUDIT), *_AUDIT)
_say("audit_last", select(func.max(audit.c.id)))
_say("audit_since", select(audit.c.id, audit.c.doc).where(audit.c.id > p("i")).order_by(audit.c.id), "i")
_say("audit_of", select(audit.c.doc).where(audit.c.account == p("a")).order_by(audit.c.id), "a")

_STATEMENTS.update(BATCHES)
_STATEMENTS.update(FOLDERS)

_say("ref_get", select(blob_ref.c.digest).where(blob_ref.c.digest == p("d"), blob_ref.c.holder == p("h")), "d", "h")
_say("ref_add", _insert(blob_ref, "digest", "holder"), "digest", "holder")
_say("ref_of", select(blob_ref.c.digest).where(blob_ref.c.holder == p("h")), "h")
_say("ref_any", select(blob_ref.c.digest).where(blob_ref.c.digest == p("d")).limit(1), "d")
_say("ref_delete", delete(blob_ref).where(blob_ref.c.digest == p("d"), blob_ref.c.holder == p("h")), "d", "h")
_say("orphan_get", select(orphan.c.since).where(orphan.c.digest == p("d")), "d")
_say("orphan_add", _insert(orphan, "digest", "since"), "digest", "since")
_say("orphan_old", select(orphan.c.digest).where(orphan.c.since < p("s")).limit(p("l")), "s", "l")
_say("orphan_delete", delete(orphan).where(orphan.c.digest == p("d")), "d")

_say("node_get", select(node.c.fence, node.c.until).where(node.c.name == p("n")), "n")
_say("node_add", _insert(node, "name", "fence", "until"), "name", "fence", "until")
_say("node_put", update(node).where(node.c.name == p("n")).values(fence=p("f"), until=p("u")), "f", "u", "n")

_PAST = ("environment", "owner", "program", "at", "doc")
_say("past_all", select(past.c.environment, past.c.owner, past.c.program, past.c.doc).order_by(past.c.at))
_say("past_add", _insert(past, *_PAST), *_PAST)
_say(
    "past_delete",
    delete(past).where(past.c.environment == p("e"), past.c.owner == p("o"), past.c.program == p("n")),
    "e",
    "o",
    "n",
)
_STATEMENTS.update(OUTBOX)
_STATEMENTS.update(RUNS)


def compiled(dialect: Dialect) -> dict[str, str]:
    """Each statement in the dialect's words. Raises AssertionError when its places are not in the order stated here."""
    texts = {}
    for name, (statement, order) in _STATEMENTS.items():
        words = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        places = _places(words.positiontup, words.params)
        if places != list(order):
            raise AssertionError(f"{name}: the places are {places}, not {list(order)}")
        texts[name] = _literal(str(words), words, order)
    return texts


def _places(positions: Sequence[str] | None, params: dict[str, Any]) -> list[str]:
    """Names of the places that the caller fills; the others are constants."""
    return [name for name in positions or () if params.get(name) is None]


def _literal(text: str, words: Any, order: Sequence[str]) -> str:
    """Constants are written into the text, so that only the stated places are left."""
    pieces = text.split("?")
    out = [pieces[0]]
    for name, piece in zip(words.positiontup or (), pieces[1:], strict=True):
        value = words.params[name]
        out.append("?" if name in order else repr(value))
        out.append(piece)
    return "".join(out)
