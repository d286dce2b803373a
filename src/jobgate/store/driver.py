"""What the look-ups need of a database connection, and what the transactions of one store share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import msgspec

from jobgate.model.account import Account
from jobgate.model.ids import AccountId, BatchId, Ids, SpecId
from jobgate.model.job import JobSpec
from jobgate.model.numbers import Counter
from jobgate.model.webhook import Webhook

Row = tuple[Any, ...]


class Driver(Protocol):
    """The few words of a database connection that are needed here."""

    def all(self, name: str, *params: object) -> list[Row]:
        """Every row of a named statement."""
        ...

    def one(self, name: str, *params: object) -> Row | None:
        """The first row, if there is one."""
        ...

    def run(self, name: str, *params: object) -> int:
        """Number of rows changed."""
        ...

    def many(self, name: str, params: Iterable[Sequence[object]]) -> None:
        """The statement once for each."""
        ...

    def load(self, name: str, params: Iterable[Sequence[object]]) -> None:
        """An insert once for each of perhaps very many, by the quickest way there is; none of them waits in memory."""
        ...

    def text(self, sql: str, *params: object) -> list[Row]:
        """Every row of a statement made for this question; `?` marks a place."""
        ...


class Shared(msgspec.Struct):
    """What the transactions of one store have in common."""

    ids: Ids
    specs: dict[SpecId, JobSpec] = {}
    live: dict[AccountId, int] = {}
    """Jobs of each account that are not over, as of the last commit; counted once, then kept."""
    counts: dict[AccountId, tuple[int, ...]] = {}
    """All jobs of some accounts by the number of their state, as of the last commit; counted when first asked for, then
    kept. Who reads looks here too."""
    hooks: dict[AccountId, tuple[Webhook, ...]] = {}
    """The webhooks of each account, as of the last commit; looked up once, then kept."""
    tallied: dict[BatchId, bool] = {}
    """Whether a batch has a tally; looked up once, then kept. It never changes."""
    numbers: Counter = msgspec.field(default_factory=Counter)
    """Where the next small numbers are."""
    apart: dict[AccountId, Account] | None = None
    """Accounts with a weight, or a quota on what runs, of their own; looked up once, then kept. A change makes a new
    mapping."""
    seen: int = 0
    """The last entry of the audit trail that is reflected here."""
    moved: dict[AccountId, AccountId] = {}
    """Each account that was merged into another, and where its things are now."""
