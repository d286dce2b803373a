"""Two accounts become one, in one transaction.

What clashes: of two idempotency keys that are the same, the one that holds longer stays, so that no request is carried
out twice. Of uploads and of staged files each account has one folder, so those become one. Of two other folders of one
name, the one that comes in is called `NAME~ACCOUNT`; jobs name folders by number, so none of them notices. So it is
with names of jobs.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Final

from msgspec.structs import replace

from jobgate.model.account import Account
from jobgate.model.folder import FolderKind
from jobgate.model.ids import STRIDE, AccountId, Digest
from jobgate.store import names, rows
from jobgate.store.driver import Driver
from jobgate.store.folders import Blobs

_POURED: Final = frozenset({FolderKind.UPLOADS, FolderKind.STAGED})
"""Each account has one of these."""


def merge(db: Driver, gone: Account, heir: Account, now: float) -> Mapping[str, int]:
    """Gives `heir` all that `gone` has but its name and its use; how many there were of each kind."""
    told = {"batches": _batches(db, gone.id, heir.id)}
    told["jobs"] = db.run("job_move", heir.id, gone.id)
    db.run("label_move", heir.id, gone.id)
    _reaped(db, gone.id, heir.id)
    _credit(db, gone.id, heir.id)
    told["keys_given_up"] = db.run("guard_older", gone.id, heir.id)
    db.run("guard_older", heir.id, gone.id)
    db.run("guard_move", heir.id, gone.id)
    told["names_changed"] = names.merge(db, gone, heir.id)
    told["files"] = _folders(db, gone, heir.id, now)
    told["webhooks"] = db.run("webhook_move", heir.id, gone.id)
    told["credentials"] = _credentials(db, gone.id, heir.id)
    return told


def _batches(db: Driver, gone: AccountId, heir: AccountId) -> int:
    """Batches, and each job's first fact: the log alone must go on making the job."""
    batches = [row[0] for row in db.all("batch_of_owner", gone)]
    for ident in batches:
        row = db.one("batch_get", ident)
        if row is None:
            continue
        batch = replace(rows.batch_of(*row), owner=heir)
        db.run("batch_put", heir, rows.encode(batch), ident)
        last = ident + (batch.count - 1) * STRIDE
        for (data,) in db.all("event_first", ident, last):
            changed = rows.given(data, gone, heir)
            if changed is not None:
                db.run("event_owner", changed, ident, last, data)
    return len(batches)


def _reaped(db: Driver, gone: AccountId, heir: AccountId) -> None:
    """As far as the log of either is no longer whole, that of both together is not."""
    cursors = [row[0] for row in (db.one("reaped_get", owner) for owner in (gone, heir)) if row is not None]
    for owner in (gone, heir):
        db.run("reaped_delete", owner)
    if cursors:
        db.run("reaped_add", heir, max(cursors))


def _credit(db: Driver, gone: AccountId, heir: AccountId) -> None:
    """What the one was granted is the other's; jobs say whose they are, and those are the heir's now."""
    row = db.one("account_credit", gone)
    if row is not None:
        db.run("account_grant", row[0], heir)
        db.run("account_grant", -row[0], gone)


def _credentials(db: Driver, gone: AccountId, heir: AccountId) -> int:
    held = [rows.credential_of(row[0]) for row in db.all("credential_of", gone)]
    for credential in held:
        db.run("credential_move", heir, rows.encode(replace(credential, account=heir)), credential.id)
    return len(held)


def _folders(db: Driver, gone: Account, heir: AccountId, now: float) -> int:
    files = 0
    taken = {(kind, name): ident for ident, kind, name in db.all("folder_all", heir)}
    for ident, kind, name in db.all("folder_all", gone.id):
        files += len(db.all("entry_of", ident))
        other = taken.get((kind, name))
        if other is not None and kind in _POURED:
            _pour(db, ident, other, now)
            continue
        free = name
        while (kind, free) in taken:
            free += f"~{gone.name}"
        taken[kind, free] = ident
        db.run("folder_put", heir, free, ident)
    return files


def _pour(db: Driver, source: int, target: int, now: float) -> None:
    """Every entry of `source` is one of `target`, for the longer of both times.

    One whose name holds another content there is called `NAME.1`, or has the next number under which there is none, or
    the same.
    """
    blobs = Blobs(db)
    known = {name: (digest, used, expires) for name, digest, used, expires in db.all("entry_of", target)}
    for name, digest, used, expires in db.all("entry_of", source):
        free = name
        if name in known and known[name][0] != digest:
            others = (f"{name[:180]}.{number}" for number in count(1))
            free = next(other for other in others if other not in known or known[other][0] == digest)
        if free in known:
            _, other_used, other = known[free]
            longer = None if expires is None or other is None else max(expires, other)
            db.run("entry_use", max(used, other_used), longer, target, free)
            db.run("entry_delete", source, name)
        else:
            db.run("entry_move", target, free, source, name)
            known[free] = (digest, used, expires)
            blobs.hold(Digest(digest), target)
        db.run("needed_move", target, free, source, name)
        blobs.drop(Digest(digest), source, now)
    db.run("folder_delete", source)
