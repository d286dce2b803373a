"""Every outcome that following events can have, as samples."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Final

from jobgate.model import facts
from jobgate.model.attempt import Exit, Lease
from jobgate.model.facts import Fact, FactData
from jobgate.model.ids import AccountId, BatchId, EnvironmentName, JobId, NodeName, SpecId
from jobgate.model.job import Origin
from jobgate.model.operations import Follow
from jobgate.model.outcomes import End, Following, News, Outcome, Page
from jobgate.model.state import AttemptState, Failure, JobState, Limit
from jobgate.model.tally import BatchEnd, Tally
from jobgate.model.told import Entry, Told, summed_up, tell

NOW: Final = 1_760_000_000.0
FIRST: Final = 0x0123_4567_89AB_0040
OWNER: Final = AccountId(7)


def _followed(origin: Origin) -> Iterator[Outcome]:
    del origin
    told = tuple(event for fact in _facts() for event in tell(Entry(9, fact, BatchId(FIRST), OWNER)))
    told += (summed_up(99, NOW, BatchId(FIRST), 9, Tally(counts=dict.fromkeys(JobState, 1), version=9)),)
    yield Page(events=told, cursor=99)
    yield Page(events=(), cursor=0, more=True)
    yield Following(items=_stream(told))
    yield Following(items=None)


def _facts() -> Iterator[Fact]:
    lease = Lease(NodeName("n"), 1)
    data: tuple[FactData, ...] = (
        facts.Submitted(BatchId(FIRST), OWNER, SpecId(1)),
        facts.Submitted(BatchId(FIRST), OWNER, SpecId(1), held=True),
        facts.Opened(1, AttemptState.OFFERED, EnvironmentName("local")),
        facts.Opened(1, AttemptState.CLAIMED, EnvironmentName("local"), lease=lease),
        *(facts.Reached(1, state, at=NOW, exit=Exit(3), message="a\nb\u2028c") for state in AttemptState),
        *(facts.Closed(1, state, Failure.LIMIT, Limit.DISK, "it broke") for state in AttemptState if state.over),
        facts.Progressed(0.5),
        facts.Ranked(-3),
        facts.Wanted(1),
        *(facts.Moved(state, "why", failure) for state in JobState for failure in (None, *Failure)),
        facts.Moved(JobState.SUCCEEDED, exit_code=0, batch_end=BatchEnd(1, 2, 3)),
    )
    yield from (Fact(JobId(FIRST), seq, NOW, one) for seq, one in enumerate(data, 1))


async def _stream(told: tuple[Told, ...]) -> AsyncIterator[News | End]:
    yield News()
    yield News(told)
    yield News()
    yield End(99)


SAMPLES: Final[Mapping[type[Any], Callable[[Origin], Iterator[Outcome]]]] = {Follow: _followed}
"""Operation to what may come of it."""
