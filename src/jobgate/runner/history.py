"""Past runs in memory: the last of each kind, of the kinds that ran last."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from jobgate.model.history import ENOUGH, FADES, Kind, Pace, Past, program
from jobgate.model.ids import AccountId, EnvironmentName
from jobgate.model.job import JobSpec

RUNS: Final = 100
"""Kept of each kind: the newest ones, so that what programs do now counts and not what they did once."""
KINDS: Final = 4096
"""Kept at most: those that ran last."""
NOTES: Final = 2048
"""Ends that are noted and not sorted in yet."""

_KNOWN: Final = sum(FADES**n for n in range(ENOUGH)) - 1e-9
"""What so many runs count together when the last has just ended."""
_Note = tuple[EnvironmentName, AccountId, JobSpec, float, float | None, bool]


class _Kept:
    __slots__ = ("lags", "pace", "ran")

    def __init__(self, past: Past) -> None:
        self.ran = deque(past.ran, RUNS)
        self.lags = deque(past.lags, RUNS)
        self.pace = past.pace


class History:
    """What estimates rest on. It is saved now and then; nothing of it is worth a commit of its own.

    An end is only noted, and sorted in when somebody asks; of more ends than `NOTES` the oldest are dropped.
    """

    def __init__(self, known: Iterable[tuple[Kind, Past]] = (), kinds: int = KINDS) -> None:
        self._most = kinds
        self._kept = {kind: _Kept(past) for kind, past in known}
        self._changed: dict[Kind, None] = {}
        self._gone: dict[Kind, None] = {}
        self._notes: deque[_Note] = deque(maxlen=NOTES)
        self._forget()

    def note(  # noqa: PLR0913  # whose run it was, and what is known of it
        self,
        environment: EnvironmentName,
        owner: AccountId,
        spec: JobSpec,
        ran: float,
        lag: float | None,
        *,
        well: bool = False,
    ) -> None:
        """One more run ended by itself, well or not; `lag`: seconds from submit to start, if a slot was free."""
        self._notes.append((environment, owner, spec, ran, lag, well))

    def _sort_in(self) -> None:
        while self._notes:
            environment, owner, spec, ran, lag, well = self._notes.popleft()
            done = spec.resources.operations if well else 0.0
            self._add(Kind(environment, owner, program(spec)), max(ran, 0.0), lag, done)
        self._forget()

    def _add(self, kind: Kind, ran: float, lag: float | None, done: float) -> None:
        for wider in kind.wider():
            kept = self._kept.pop(wider, None)
            if kept is None:
                kept = _Kept(Past())
                self._gone.pop(wider, None)
            self._kept[wider] = kept  # the last in line for being forgotten
            kept.ran.append(ran)
            if lag is not None:
                kept.lags.append(max(lag, 0.0))
            if done > 0 < ran:
                kept.pace = kept.pace.after(done, ran)
            self._changed[wider] = None

    def _forget(self) -> None:
        while len(self._kept) > self._most:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            self._changed.pop(oldest, None)
            self._gone[oldest] = None

    def past(self, kind: Kind) -> Past:
        """Of the narrowest kind that has enough runs; else of the one that has most. Each of run and lag by itself."""
        self._sort_in()
        kinds = [kept for wider in kind.wider() if (kept := self._kept.get(wider)) is not None]
        paces = [kept.pace for kept in kinds]
        pace = next((pace for pace in paces if pace.runs >= _KNOWN), max(paces, key=_runs, default=Pace()))
        return Past(_best(kept.ran for kept in kinds), _best(kept.lags for kept in kinds), pace)

    def unsaved(self) -> tuple[list[tuple[Kind, Past]], list[Kind]]:
        """What changed since the last call, and what was forgotten."""
        self._sort_in()
        changed = [
            (kind, Past(tuple(kept.ran), tuple(kept.lags), kept.pace))
            for kind in self._changed
            if (kept := self._kept[kind])
        ]
        gone = list(self._gone)
        self._changed.clear()
        self._gone.clear()
        return changed, gone


def _runs(pace: Pace) -> float:
    return pace.runs


def _best(kept: Iterable[deque[float]]) -> tuple[float, ...]:
    best: deque[float] = deque()
    for seconds in kept:
        if len(seconds) >= ENOUGH:
            return tuple(seconds)
        if len(seconds) > len(best):
            best = seconds
    return tuple(best)
