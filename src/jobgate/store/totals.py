"""Sums over all batches: the credit of each account, and how many attempts wait and run.

They are kept as they move, like a batch's tally, and added once in each transaction. What an account was granted stays
when its jobs are deleted.
"""

from __future__ import annotations

from typing import Final

import msgspec

from jobgate.model.attempt import Attempt
from jobgate.model.credit import granted
from jobgate.model.facts import Attempts
from jobgate.model.ids import AccountId
from jobgate.model.job import Job, JobSpec
from jobgate.model.state import AttemptState, JobState
from jobgate.store.driver import Driver

_ENDED: Final = AttemptState.ENDED
_LOST: Final = AttemptState.LOST
_RETURNED: Final = AttemptState.RETURNED
_OFFERED: Final = AttemptState.OFFERED
_HELD: Final = JobState.HELD
"""Named once: this is looked at for each event of each job, and a member of an enumeration is slow to find."""


class Gain(msgspec.Struct, gc=False):
    """How one set of a job's attempts differs from the one before it."""

    good: int = 0
    """So many more are known to be good."""
    cpu: float = 0.0
    """Seconds more, of those that are over."""
    offered: int = 0
    running: int = 0


def gained(before: Attempts, after: Attempts, spec: JobSpec | None = None) -> Gain:
    """What `after` has more than `before`. Attempts that did not change are the same objects, and not looked at.

    Without a spec nobody asks which are good.
    """
    gain = Gain()
    if before is after:
        return gain
    known = len(before)
    for place, attempt in enumerate(after):
        if place >= known:
            _add(gain, attempt, spec, 1)
        elif (earlier := before[place]) is not attempt:
            _add(gain, earlier, spec, -1)
            _add(gain, attempt, spec, 1)
    return gain


def _add(gain: Gain, attempt: Attempt, spec: JobSpec | None, sign: int) -> None:
    state = attempt.state
    if state is _ENDED or state is _LOST or state is _RETURNED:
        gain.cpu += sign * attempt.usage.cpu_seconds
        if spec is not None and granted(attempt, spec):
            gain.good += sign
    elif state is _OFFERED:
        gain.offered += sign
    else:
        gain.running += sign


class Totals:
    """The sums, in one transaction."""

    def __init__(self, driver: Driver) -> None:
        self._db = driver
        self._credit: dict[AccountId, float] = {}
        self._waiting = 0
        self._running = 0

    def grant(self, owner: AccountId, credit: float) -> None:
        """An account has so much more."""
        self._credit[owner] = self._credit.get(owner, 0.0) + credit

    def wait(self, attempts: int) -> None:
        """So many more are wanted."""
        self._waiting += attempts

    def moved(self, before: Job, after: Job, gain: Gain) -> None:
        """A job went from the one to the other."""
        self._waiting += _wanted(after) - _wanted(before) + gain.offered
        self._running += gain.running

    def gone(self, job: Job, attempts: Attempts) -> None:
        """A job that was not over is deleted."""
        gain = gained((), attempts)
        self._waiting -= _wanted(job) + gain.offered
        self._running -= gain.running

    def fold(self) -> None:
        """Adds what was gathered."""
        if self._waiting or self._running:
            self._db.run("load_add", self._waiting, self._running)
            self._waiting = self._running = 0
        for owner, credit in self._credit.items():
            self._db.run("account_grant", credit, owner)
        self._credit.clear()

    def load(self) -> tuple[int, int]:
        """How many attempts wait, and how many run; everything gathered must have been added."""
        row = self._db.one("load_of")
        return (0, 0) if row is None else (int(row[0] or 0), int(row[1] or 0))


def _wanted(job: Job) -> int:
    """Attempts that a claim may make, now or after a pause; a held job's are nobody's to claim."""
    return 0 if job.state is _HELD else job.wanted
