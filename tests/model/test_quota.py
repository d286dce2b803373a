"""A quota on what runs: it holds in every queue, and keeps nobody but its own account."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, cycle
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jobgate.model.account import Quota
from jobgate.model.allowance import Allowance, InUse, bounds
from jobgate.model.ids import AccountId, JobId
from jobgate.model.limits import Limits
from jobgate.model.queue import Line, Reason, Room, Standing, Verdicts, Waiting, before, less, order, pick
from jobgate.model.resources import GIB, Resources

NOW: Final = 10_000.0
KEEP: Final = 600.0
TOTAL: Final = Resources(cores=8.0, memory=32 * GIB, disk=100 * GIB)
WHOLE: Final = Room(TOTAL, TOTAL, 8)
LAB, BIRDS, WRENS = (AccountId(n) for n in (1, 2, 3))
ONE: Final = Resources(cores=1.0, memory=GIB)

asked = st.sampled_from(
    [Resources(cores=cores, memory=memory * GIB) for cores in (0.1, 1.0, 3.0, 8.0) for memory in (1, 16)]
)
owners = st.sampled_from([LAB, BIRDS, WRENS])
standings = st.dictionaries(owners, st.builds(Standing, st.floats(0, 1e6), st.sampled_from([0.5, 1.0, 4.0])))
allowances = st.dictionaries(
    owners,
    st.builds(
        Allowance,
        st.integers(0, 4),
        st.sampled_from((0.0, 0.3, 2.0, 9.0)),
        st.builds(InUse, st.integers(0, 4), st.sampled_from((0.0, 0.1, 1.0, 3.0))),
    ),
)
rooms = st.builds(lambda taken, slots: Room(less(TOTAL, taken), TOTAL, slots), asked, st.integers(0, 8))
queues = st.lists(st.tuples(st.integers(0, int(NOW)), owners, st.integers(-2, 2), asked), max_size=14).map(
    lambda drawn: [
        Waiting(JobId(64 * (n + 1)), owner, priority, float(since), size)
        for n, (since, owner, priority, size) in enumerate(sorted(drawn, key=lambda one: one[0]))
    ]
)
enough = settings(max_examples=settings().max_examples // 3)

Shares = dict[AccountId, Standing]
Quotas = dict[AccountId, Allowance]


def judged(queue: Sequence[Waiting], shares: Shares, room: Room, quotas: Quotas) -> Verdicts:
    return pick(queue, shares, room, NOW, quotas, keep_after=KEEP)


def jobs(owner: AccountId, number: int, size: Resources = ONE, first: int = 1, since: float = NOW) -> list[Waiting]:
    return [Waiting(JobId(64 * (first + n)), owner, 0, since, size) for n in range(number)]


@enough
@given(queues, standings, rooms, allowances)
def test_no_account_has_more_at_once_than_its_quota(
    queue: list[Waiting], shares: Shares, room: Room, quotas: Quotas
) -> None:
    verdicts = judged(queue, shares, room, quotas)
    for owner, allowance in quotas.items():
        taken = [item.asked.cores for item in verdicts.chosen if item.owner == owner]
        if taken and allowance.running:
            assert allowance.held.jobs + len(taken) <= allowance.running
        if taken and allowance.cores:
            assert allowance.held.cores + sum(taken) <= allowance.cores + 1e-6
        left = verdicts.allowances[owner].held
        assert left.jobs == allowance.held.jobs + len(taken)


@enough
@given(queues, standings, rooms, allowances)
def test_to_all_others_it_is_as_if_the_jobs_that_a_quota_keeps_were_not_there(
    queue: list[Waiting], shares: Shares, room: Room, quotas: Quotas
) -> None:
    verdicts = judged(queue, shares, room, quotas)
    turns = list(order(queue, shares, TOTAL))
    passing = [item for item in turns if item.job not in verdicts.stuck]
    free, slots, kept = room.free, room.slots, False
    for item in passing:  # the same walk, over those alone
        starts = slots > 0 and item.asked.fits(free) and not kept
        assert (item in verdicts.chosen) is starts
        if starts:
            free, slots = less(free, item.asked), slots - 1
        elif slots > 0 and not item.asked.fits(free) and item.asked.fits(TOTAL) and NOW - item.since >= KEEP:
            kept = True
    assert verdicts.kept is None or verdicts.kept.job not in verdicts.stuck


@enough
@given(queues, standings, rooms)
def test_without_a_quota_nothing_is_different(queue: list[Waiting], shares: Shares, room: Room) -> None:
    free = {LAB: Allowance(0, 0.0, InUse(9, 9.0)), BIRDS: Allowance(1_000)}
    plain, with_quotas = judged(queue, shares, room, {}), judged(queue, shares, room, free)
    assert (plain.chosen, plain.waits, plain.kept) == (with_quotas.chosen, with_quotas.waits, with_quotas.kept)
    assert Reason.QUOTA not in {reason for reason, _ in plain.waits.values()}


@enough
@given(queues, standings, rooms, allowances)
def test_the_quota_is_the_reason_of_those_only_that_no_room_would_help(
    queue: list[Waiting], shares: Shares, room: Room, quotas: Quotas
) -> None:
    verdicts = judged(queue, shares, room, quotas)
    for item in queue:
        said = verdicts.waits.get(item.job)
        if said is not None and said[0] is Reason.QUOTA:
            assert not verdicts.allowances[item.owner].takes(item.asked)
        if said is not None and said[0] in (Reason.BUSY, Reason.ROOM_KEPT):
            assert item.job not in verdicts.stuck


@enough
@given(queues, standings, rooms, allowances, asked)
def test_one_that_comes_after_all_is_told_what_the_pick_would_have_said(
    queue: list[Waiting], shares: Shares, room: Room, quotas: Quotas, size: Resources
) -> None:
    last = AccountId(4)
    for owner, used in ((last, Standing(1e12)), (LAB, shares.get(LAB, Standing()))):
        late = Waiting(JobId(1 << 40), owner, -1000, NOW, size)
        known = {**shares, owner: used}
        allowed = {**quotas, last: Allowance(1, 0.0, InUse(len(queue) % 2))}
        verdicts, whole = judged(queue, known, room, allowed), judged([*queue, late], known, room, allowed)
        said = whole.waits.get(late.job)
        if list(order([*queue, late], known, TOTAL))[-1] == late and said is not None:
            assert verdicts.beyond(owner, size) is said[0]


def test_others_pass_an_account_at_its_quota_and_no_slot_idles() -> None:
    queue = [*jobs(LAB, 4, since=0.0), *jobs(BIRDS, 3, first=50)]
    verdicts = judged(queue, {BIRDS: Standing(1e6)}, WHOLE, {LAB: Allowance(2, 0.0, InUse(1, 1.0))})
    assert [item.owner for item in verdicts.chosen] == [LAB, BIRDS, BIRDS, BIRDS]
    assert [reason for reason, _ in verdicts.waits.values()] == [Reason.QUOTA] * 3


def test_the_quota_is_told_even_when_every_slot_is_taken_for_a_free_one_would_not_help() -> None:
    full = Room(TOTAL, TOTAL, 0)
    queue = [*jobs(LAB, 2, since=0.0), *jobs(BIRDS, 2, first=50)]
    verdicts = judged(queue, {BIRDS: Standing(1e6)}, full, {LAB: Allowance(2, 0.0, InUse(2, 2.0))})
    assert [reason for reason, _ in verdicts.waits.values()] == [Reason.QUOTA] * 2 + [Reason.BUSY, Reason.TURN]


def test_a_large_job_over_its_quota_of_cores_lets_its_own_small_ones_pass_until_it_has_waited() -> None:
    quota = {LAB: Allowance(0, 4.0, InUse(1, 1.0))}
    large, small = replace(ONE, cores=4.0), jobs(LAB, 2, first=9)
    young = judged([*jobs(LAB, 1, large), *small], {}, WHOLE, quota)
    assert list(young.chosen) == small
    patient = judged([*jobs(LAB, 1, large, since=0.0), *small, *jobs(BIRDS, 1, first=50)], {}, WHOLE, quota)
    assert [item.owner for item in patient.chosen] == [BIRDS]
    assert [reason for reason, _ in patient.waits.values()] == [Reason.QUOTA, Reason.TURN, Reason.TURN]
    assert patient.beyond(LAB, ONE) is Reason.TURN


def test_a_job_larger_than_the_whole_quota_keeps_nobody() -> None:
    queue = [*jobs(LAB, 1, replace(ONE, cores=8.0), since=0.0), *jobs(LAB, 1, first=9)]
    verdicts = judged(queue, {}, WHOLE, {LAB: Allowance(0, 4.0)})
    assert [item.job for item in verdicts.chosen] == [queue[1].job]


@enough
@given(
    large=st.sampled_from((2.0, 3.0, 4.0)),
    stream=st.lists(st.tuples(st.sampled_from((0.5, 1.0)), st.sampled_from((10.0, 60.0))), min_size=1, max_size=5),
)
def test_no_large_job_starves_beside_the_small_ones_of_its_own_account(
    large: float, stream: list[tuple[float, float]]
) -> None:
    """What ends is saved up for it, once it has waited."""
    wanted = Waiting(JobId(64), LAB, 0, 0.0, replace(ONE, cores=large))
    first = [Waiting(JobId(n), LAB, 0, 0.0, ONE) for n in range(1, 5)]
    endless, number, now = cycle(stream), count(2), 0.0
    waiting: dict[JobId, tuple[Waiting, float]] = {}
    running = [(10.0 * n, job.job, 1.0) for n, job in enumerate(first, 1)]
    while True:
        while len(waiting) < 9:
            cores, seconds = next(endless)
            job = Waiting(JobId(64 * next(number)), LAB, 0, now, replace(ONE, cores=cores))
            waiting[job.job] = (job, seconds)
        held = InUse(len(running), sum(cores for _, _, cores in running))
        room = Room(replace(TOTAL, cores=TOTAL.cores - held.cores), TOTAL, 16)
        queue = [wanted, *(job for job, _ in waiting.values())]
        verdicts = pick(queue, {}, room, now, {LAB: Allowance(0, 4.0, held)}, keep_after=KEEP)
        if wanted in verdicts.chosen:
            break
        running += [(now + waiting.pop(job.job)[1], job.job, job.asked.cores) for job in verdicts.chosen]
        running.sort()
        now = running.pop(0)[0]
        assert now <= KEEP + 2 * 60.0, "it starves"


@enough
@given(
    st.lists(st.tuples(owners, st.integers(1, 8)), min_size=1, max_size=3, unique_by=lambda pair: pair[0]),
    standings,
    st.dictionaries(owners, st.builds(Allowance, st.integers(1, 4), st.just(0.0), st.builds(InUse, st.integers(0, 4)))),
)
def test_those_a_quota_keeps_are_before_none_but_their_own_accounts(
    sizes: list[tuple[AccountId, int]], shares: Shares, quotas: Quotas
) -> None:
    queue = [item for n, (owner, number) in enumerate(sizes) for item in jobs(owner, number, first=100 * n + 1)]
    room = Room(TOTAL, TOTAL, 24)
    verdicts = judged(queue, shares, replace(room, free=replace(TOTAL, cores=100.0, memory=TOTAL.memory * 9)), quotas)
    turns = list(order(queue, shares, TOTAL))
    lines = []
    for owner, number in sizes:
        heads = tuple(item for item in turns if item.owner == owner)
        most = sum(item.job not in verdicts.stuck for item in heads) if owner in quotas else None
        lines.append(Line(owner, heads, number, most))
    for line in lines:
        for rank, item in enumerate(line.heads):
            earlier = [
                turn.owner
                for turn in turns[: turns.index(item)]
                if turn.owner == item.owner or turn.job not in verdicts.stuck
            ]
            expected = {owner: earlier.count(owner) for owner in set(earlier)}
            found = before(lines, shares, TOTAL)(item.owner, rank, item.since)
            assert {owner: number for owner, number in found.items() if number} == expected


@pytest.mark.parametrize(
    ("quota", "limits", "expected"),
    [
        (Quota(), Limits(), None),
        (Quota(running=2), Limits(), Allowance(2)),
        (Quota(), Limits(running=8, cores=16.0), Allowance(8, 16.0)),
        (Quota(running=2), Limits(running=8, cores=16.0), Allowance(2, 16.0)),
        (Quota(cores=0.5), Limits(running=8), Allowance(8, 0.5)),
    ],
)
def test_an_accounts_own_quota_stands_before_what_the_configuration_says(
    quota: Quota, limits: Limits, expected: Allowance | None
) -> None:
    assert bounds(quota, limits) == expected


def test_ten_tenths_of_a_core_are_one() -> None:
    allowance = Allowance(0, 1.0)
    for _ in range(10):
        assert allowance.takes(replace(ONE, cores=0.1))
        allowance = allowance.less(replace(ONE, cores=0.1))
    assert not allowance.takes(replace(ONE, cores=0.1))
