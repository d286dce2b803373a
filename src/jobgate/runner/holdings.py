"""What the jobs of each account have now, over all environments of this node: kept as they come and go.

Environments claim at the same time, and a claim counts only when it is committed. So what is about to be claimed is
promised first, by the thread that writes; all else is done on the loop. Whoever asks looks at the promises first: what
becomes of one in the meantime is counted twice for a moment, and never not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from jobgate.model.allowance import InUse
from jobgate.model.ids import AccountId, EnvironmentName
from jobgate.model.resources import Resources

Share = tuple[AccountId, Resources]
"""Whose job it is, and what it asks for."""


class Holdings:
    """Each account's, and who waits for an end."""

    def __init__(self) -> None:
        self._held: dict[AccountId, InUse] = {}
        self._promised: dict[EnvironmentName, Mapping[AccountId, InUse]] = {}
        self._waiting: dict[AccountId, set[Callable[[], None]]] = {}
        self._watches: list[set[AccountId]] = []

    def of(self, account: AccountId) -> InUse:
        """What it has, with what is promised to it."""
        promised = [promise[account] for promise in tuple(self._promised.values()) if account in promise]
        whole = self._held.get(account, _NOTHING)
        for holding in promised:
            whole = whole.plus(holding)
        return whole

    def all(self) -> dict[AccountId, InUse]:
        """What each has that has something."""
        return dict(self._held)

    def take(self, account: AccountId, asked: Resources) -> None:
        """A job of its has been claimed."""
        held = self._held.get(account, _NOTHING)
        self._held[account] = InUse(held.jobs + 1, held.cores + asked.cores)

    def leave(self, account: AccountId, asked: Resources) -> None:
        """It has ended, or was never handed over: whoever waits for that looks again."""
        held = self._held.get(account, _NOTHING)
        if held.jobs > 1:
            self._held[account] = InUse(held.jobs - 1, held.cores - asked.cores)
        else:
            self._held.pop(account, None)  # and with it what sums of fractions were off by
        for watch in self._watches:
            watch.add(account)
        if self._waiting:
            for wake in self._waiting.pop(account, ()):
                wake()

    def promise(self, place: EnvironmentName, shares: Iterable[Share] = ()) -> None:
        """What an environment is about to claim, instead of what it was about to before."""
        promised: dict[AccountId, InUse] = {}
        for account, asked in shares:
            promised[account] = promised.get(account, _NOTHING).plus(InUse(1, asked.cores))
        self._promised[place] = promised

    @contextmanager
    def watch(self) -> Iterator[set[AccountId]]:
        """Whose jobs end while it is entered."""
        ended: set[AccountId] = set()
        self._watches.append(ended)
        try:
            yield ended
        finally:
            self._watches = [watch for watch in self._watches if watch is not ended]

    def await_end(self, accounts: Iterable[AccountId], wake: Callable[[], None]) -> None:
        """Calls `wake` when a job of one of them ends."""
        for account in accounts:
            self._waiting.setdefault(account, set()).add(wake)


_NOTHING = InUse()
