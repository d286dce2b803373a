"""What owners call their jobs. A name is one job's of its account, as long as that job is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from jobgate.model.account import Account
from jobgate.model.errors import Conflict
from jobgate.model.ids import STRIDE, AccountId, BatchId, JobId, JobName
from jobgate.model.job import NAME, Batch
from jobgate.store.driver import Driver, Row

_AT_ONCE: Final = 500


class Names:
    """The names of jobs, in one transaction."""

    def __init__(self, driver: Driver) -> None:
        self._db = driver

    def add(self, batch: Batch, names: Sequence[str]) -> None:
        """The jobs of a new batch are called so, in order; those whose name is empty have none.

        Raises Conflict (`name-taken`) that tells the first that another job bears.
        """
        taken = self._taken(batch.owner, names)
        known: set[str] = set()
        for name in filter(None, names):
            if name in known or name in taken:
                told = f"another job is called {name}; names are free again when their jobs are deleted"
                raise Conflict(told, code="name-taken", field="name")
            known.add(name)
        jobs = range(batch.id, batch.id + len(names) * STRIDE, STRIDE)
        rows = ((batch.owner, name, batch.id, job) for job, name in zip(jobs, names, strict=True) if name)
        self._db.load("name_add", rows)

    def find(self, owner: AccountId, name: str) -> JobName | None:
        """The account's job of that name."""
        row = self._db.one("name_get", owner, name)
        return None if row is None else JobName(BatchId(row[0]), JobId(row[1]))

    def of(self, jobs: Sequence[JobId]) -> dict[JobId, str]:
        """The names of those of them that have one."""
        asked = "SELECT job, name FROM job_name WHERE job IN"
        return {JobId(job): name for job, name in self._some(asked, (), jobs)}

    def _taken(self, owner: AccountId, names: Sequence[str]) -> set[str]:
        asked = "SELECT name FROM job_name WHERE owner = ? AND name IN"
        return {name for (name,) in self._some(asked, (owner,), names)}

    def _some(self, asked: str, before: Sequence[object], among: Sequence[object]) -> Iterator[Row]:
        for start in range(0, len(among), _AT_ONCE):
            piece = among[start : start + _AT_ONCE]
            yield from self._db.text(f"{asked} ({', '.join('?' * len(piece))})", *before, *piece)


def merge(db: Driver, gone: Account, heir: AccountId) -> int:
    """Names of one account become the other's; how many were changed, since both had jobs that were called so."""
    clashes = db.all("name_clash", gone.id, heir)
    for (name,) in clashes:
        free, number = _with(name, f"~{gone.name}"), 1
        while any(db.one("name_get", owner, free) is not None for owner in (gone.id, heir)):
            number += 1
            free = _with(name, f"~{gone.name}~{number}")
        db.run("name_change", free, gone.id, name)
    db.run("name_move", heir, gone.id)
    return len(clashes)


def _with(name: str, suffix: str) -> str:
    """No longer than a name may be."""
    return name[: max(NAME - len(suffix), 0)] + suffix[-NAME:]
