"""Idempotency keys: what a key made is found by it again, as long as that is kept."""

from __future__ import annotations

from jobgate.model.errors import Gone, Reused
from jobgate.model.guard import Guard
from jobgate.model.ids import AccountId, JobId, batch_text, job_text
from jobgate.model.job import Batch
from jobgate.store.driver import Driver


def take(  # noqa: PLR0913, PLR0917  # a key has so many sides
    db: Driver, owner: AccountId, guard: Guard, ident: int, now: float, kept: str
) -> int | None:
    """Uses up a key for what will be called `ident`; the id of what it made before, if it did.

    `kept` names the statement that finds such a thing. Raises Reused when the key was used with
    another body, and Gone when what it made was deleted.
    """
    known = db.one("guard_get", owner, guard.scope, guard.key)
    if known is not None:
        body, made, expires = known
        here = db.one(kept, made) is not None
        if expires > now or here:
            if body != guard.body:
                error = Reused()
                error.ident = made
                raise error
            if not here:
                raise Gone("what this key made is deleted; use a new key for new ones")
            return int(made)
        db.run("guard_delete", owner, guard.scope, guard.key)
    db.run("guard_add", owner, guard.scope, guard.key, guard.body, ident, now + guard.lives)
    return None


def taken(db: Driver, owner: AccountId, guard: Guard, now: float, kept: str) -> bool:
    """Whether the key was used, and `take` would say so."""
    known = db.one("guard_get", owner, guard.scope, guard.key)
    return known is not None and (known[2] > now or db.one(kept, known[1]) is not None)


def outlive(db: Driver, ident: int, now: float) -> None:
    """What a key made is deleted: the key stays until its time is over. Those whose time is go."""
    db.run("guard_outlives", -ident, ident)
    db.run("guard_over", now)


def naming(first: Batch) -> Reused:
    """The error that says what a key made: the batch, or its only job."""
    name = job_text(first.id, JobId(first.id)) if first.count == 1 else batch_text(first.id)
    return Reused.by(name, first.created, job=first.count == 1)
