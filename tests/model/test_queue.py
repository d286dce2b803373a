"""The order of the queue, by rules that hold for every queue, and by days of a busy environment."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jobgate.model.ids import AccountId, JobId
from jobgate.model.queue import (
    HALF_LIFE,
    Line,
    Reason,
    Room,
    Standing,
    Verdicts,
    Waiting,
    before,
    decayed,
    dominant,
    less,
    order,
    pick,
)
from jobgate.model.resources import GIB, Gpu, Resources

NOW: Final = 10_000.0
KEEP: Final = 600.0
TOTAL: Final = Resources(cores=8.0, memory=32 * GIB, disk=100 * GIB, gpus=(Gpu(2),))
WHOLE: Final = Room(TOTAL, TOTAL, 8)

SIZES: Final = tuple(
    Resources(cores=cores, memory=memory * GIB, disk=disk * GIB, gpus=gpus)
    for cores, memory, disk, gpus in itertools.product(
        (0.25, 1.0, 3.0, 8.0), (1, 16, 32), (0, 30), ((), (Gpu(1),), (Gpu(1), Gpu(1)))
    )
)
asked = st.sampled_from(SIZES)
owners = st.sampled_from([AccountId(n) for n in (1, 2, 3)])
standings = st.dictionaries(
    owners, st.builds(Standing, st.floats(0, 1e6), st.sampled_from([0.5, 1.0, 4.0])), max_size=3
)
rooms = st.builds(
    lambda taken, more, slots: Room(less(less(TOTAL, taken), more), TOTAL, slots), asked, asked, st.integers(0, 8)
)


def _queue(drawn: list[tuple[int, AccountId, int, Resources]]) -> list[Waiting]:
    """Jobs as they come out of the store: in any order, an older one's id smaller."""
    by_age = sorted(range(len(drawn)), key=lambda n: drawn[n][0])
    return [
        Waiting(JobId(64 * (by_age.index(n) + 1)), owner, priority, float(since), size)
        for n, (since, owner, priority, size) in enumerate(drawn)
    ]


queues = st.lists(st.tuples(st.integers(0, int(NOW)), owners, st.integers(-2, 2), asked), max_size=14).map(_queue)


MOST: Final = settings().max_examples
enough = settings(max_examples=MOST // 3)
"""A queue takes longer to draw than to judge."""


def names(waiting: Sequence[Waiting]) -> list[JobId]:
    return [item.job for item in waiting]


def chosen(queue: Sequence[Waiting], shares: dict[AccountId, Standing], room: Room = WHOLE) -> Verdicts:
    return pick(queue, shares, room, NOW, keep_after=KEEP)


# --- the order


@enough
@given(queues, standings)
def test_everyone_who_waits_has_one_turn(queue: list[Waiting], shares: dict[AccountId, Standing]) -> None:
    assert sorted(names(list(order(queue, shares, TOTAL)))) == sorted(names(queue))


@enough
@given(queues, standings)
def test_the_order_does_not_depend_on_how_the_jobs_were_read(
    queue: list[Waiting], shares: dict[AccountId, Standing]
) -> None:
    assert list(order(queue, shares, TOTAL)) == list(order(sorted(queue, key=lambda w: w.job), shares, TOTAL))


@enough
@given(queues, standings)
def test_within_an_account_priority_comes_first_then_age(
    queue: list[Waiting], shares: dict[AccountId, Standing]
) -> None:
    turns = list(order(queue, shares, TOTAL))
    for owner in {item.owner for item in queue}:
        mine = [item for item in turns if item.owner == owner]
        assert mine == sorted(mine, key=lambda w: (-w.priority, w.job))


@enough
@given(queues, standings, owners, st.integers(-9, 9))
def test_priority_moves_no_other_accounts_jobs_among_each_other(
    queue: list[Waiting], shares: dict[AccountId, Standing], owner: AccountId, priority: int
) -> None:
    raised = [replace(item, priority=item.priority + priority) if item.owner == owner else item for item in queue]
    assert names(list(order(raised, shares, TOTAL))) == names(list(order(queue, shares, TOTAL)))


@enough
@given(queues, standings, owners)
def test_an_account_that_gives_its_best_to_each_job_gets_no_more_turns(
    queue: list[Waiting], shares: dict[AccountId, Standing], owner: AccountId
) -> None:
    same = [replace(item, asked=TOTAL, since=0.0) for item in queue]
    best = [replace(item, priority=1000) if item.owner == owner else item for item in same]
    assert [w.owner for w in order(best, shares, TOTAL)] == [w.owner for w in order(same, shares, TOTAL)]


@enough
@given(queues, standings)
def test_the_turn_is_always_of_the_account_with_the_least_use_for_its_weight(
    queue: list[Waiting], shares: dict[AccountId, Standing]
) -> None:
    spent = {owner: shares.get(owner, Standing()) for owner in {item.owner for item in queue}}
    share = {owner: standing.usage / standing.weight for owner, standing in spent.items()}
    left = [item.owner for item in queue]
    for item in order(queue, shares, TOTAL):
        assert share[item.owner] <= min(share[owner] for owner in left) + 1e-6
        share[item.owner] += dominant(item.asked, TOTAL) * 3600.0 / spent[item.owner].weight
        left.remove(item.owner)


# --- who may start


@enough
@given(queues, standings, rooms)
def test_no_more_is_given_than_the_room_and_its_slots(
    queue: list[Waiting], shares: dict[AccountId, Standing], room: Room
) -> None:
    taken = chosen(queue, shares, room).chosen
    assert len(taken) <= room.slots
    assert sum(item.asked.cores for item in taken) <= room.free.cores + 1e-6
    assert sum(item.asked.memory for item in taken) <= room.free.memory
    assert sum(item.asked.disk for item in taken) <= room.free.disk
    assert sum(g.count for item in taken for g in item.asked.gpus) <= sum(g.count for g in room.free.gpus)


@enough
@given(queues, standings, rooms)
def test_each_job_starts_or_has_one_reason_and_a_place_and_places_have_no_gaps(
    queue: list[Waiting], shares: dict[AccountId, Standing], room: Room
) -> None:
    verdicts = chosen(queue, shares, room)
    turns = names(list(order(queue, shares, TOTAL)))
    waits = [job for job in turns if job in verdicts.waits]
    assert sorted([*names(verdicts.chosen), *waits]) == sorted(turns)
    assert [verdicts.waits[job][1] for job in waits] == list(range(1, len(waits) + 1))
    assert names(verdicts.chosen) == [job for job in turns if job not in verdicts.waits]
    assert len(verdicts.waits) == len(waits)


@enough
@given(queues, standings, rooms)
def test_the_reason_of_each_is_true(queue: list[Waiting], shares: dict[AccountId, Standing], room: Room) -> None:
    verdicts = chosen(queue, shares, room)
    starts = set(names(verdicts.chosen))
    free, slots, blocked, kept = room.free, room.slots, False, False
    for item in order(queue, shares, TOTAL):
        if item.job in starts:
            free, slots = less(free, item.asked), slots - 1
            continue
        reason, _ = verdicts.waits[item.job]
        fits = item.asked.fits(free)
        match reason:
            case Reason.BUSY:
                assert not fits or (slots < 1 and not blocked)
            case Reason.TURN:
                assert slots < 1
                assert blocked
            case Reason.ROOM_KEPT:
                assert fits
                assert slots
                assert kept
            case _:
                pytest.fail(f"{reason} is not for the queue to say")
        kept = kept or (slots > 0 and not fits and NOW - item.since >= KEEP)
        blocked = True


@enough
@given(queues, standings, rooms)
def test_no_slot_idles_while_a_job_fits_and_no_room_is_kept(
    queue: list[Waiting], shares: dict[AccountId, Standing], room: Room
) -> None:
    young = [replace(item, since=NOW - KEEP / 2) for item in queue]
    verdicts = chosen(young, shares, room)
    free = room.free
    for item in verdicts.chosen:
        free = less(free, item.asked)
    if len(verdicts.chosen) < room.slots:
        assert not [item.job for item in young if item.job in verdicts.waits and item.asked.fits(free)]
    assert Reason.ROOM_KEPT not in {reason for reason, _ in verdicts.waits.values()}


@enough
@given(queues, standings, rooms)
def test_room_is_kept_for_one_who_has_waited_long_and_taken_from_none_before_him(
    queue: list[Waiting], shares: dict[AccountId, Standing], room: Room
) -> None:
    verdicts, turns = chosen(queue, shares, room), list(order(queue, shares, TOTAL))
    held = [place for place, item in enumerate(turns) if verdicts.waits.get(item.job, (None,))[0] is Reason.ROOM_KEPT]
    if held:
        before = [item for item in turns[: held[0]] if item.job in verdicts.waits and NOW - item.since >= KEEP]
        assert before, "kept for nobody"
        assert verdicts.waits[before[0].job][0] is Reason.BUSY
        first = turns.index(before[0])
        assert not [item for item in turns[first:] if item.job not in verdicts.waits]


@enough
@given(queues, standings)
def test_in_an_empty_environment_the_first_in_turn_starts(
    queue: list[Waiting], shares: dict[AccountId, Standing]
) -> None:
    if queue:
        first = next(iter(order(queue, shares, TOTAL)))
        assert first in chosen(queue, shares).chosen


def test_a_job_that_is_larger_than_the_whole_environment_stops_nobody() -> None:
    giant = Waiting(JobId(64), AccountId(1), 0, 0.0, replace(TOTAL, cores=9.0))
    small = Waiting(JobId(128), AccountId(1), 0, NOW, Resources(cores=1.0))
    verdicts = chosen([giant, small], {})
    assert names(verdicts.chosen) == [small.job]
    assert verdicts.waits == {giant.job: (Reason.NO_ENVIRONMENT, 1)}


def test_a_large_job_lets_small_ones_pass_until_it_has_waited_and_then_has_room_kept() -> None:
    half = Room(replace(TOTAL, cores=4.0), TOTAL, 4)
    large = Waiting(JobId(64), AccountId(1), 0, NOW - KEEP + 1, replace(TOTAL, gpus=()))
    small = Waiting(JobId(128), AccountId(1), 0, NOW, Resources(cores=1.0))
    assert names(chosen([large, small], {}, half).chosen) == [small.job]
    patient = replace(large, since=NOW - KEEP)
    verdicts = chosen([patient, small], {}, half)
    assert verdicts.chosen == ()
    assert verdicts.waits == {large.job: (Reason.BUSY, 1), small.job: (Reason.ROOM_KEPT, 2)}
    assert names(chosen([patient, small], {}).chosen) == [large.job]


# --- the place of one that is deep in the queue


def lines(queue: Sequence[Waiting], known: int) -> list[Line]:
    """Each account's jobs, of which the first are looked at."""
    found = []
    for owner in sorted({item.owner for item in queue}):
        mine = sorted((item for item in queue if item.owner == owner), key=lambda w: (-w.priority, w.job))
        found.append(Line(owner, tuple(mine[:known]), len(mine)))
    return found


@enough
@given(queues, standings)
def test_who_comes_before_a_job_is_who_has_his_turn_before_it_in_the_order(
    queue: list[Waiting], shares: dict[AccountId, Standing]
) -> None:
    turns = list(order(queue, shares, TOTAL))
    for line in lines(queue, len(queue)):
        for rank, item in enumerate(line.heads):
            earlier = [turn.owner for turn in turns[: turns.index(item)]]
            expected = {owner: earlier.count(owner) for owner in set(earlier)}
            assert before(lines(queue, len(queue)), shares, TOTAL)(item.owner, rank, item.since) == expected


@enough
@given(
    st.lists(st.tuples(owners, asked), min_size=1, max_size=3, unique_by=lambda pair: pair[0]),
    st.lists(st.integers(1, 30), min_size=3, max_size=3),
    standings,
    st.integers(1, 4),
)
def test_beyond_the_heads_the_place_is_exact_where_all_jobs_of_an_account_ask_for_the_same(
    sizes: list[tuple[AccountId, Resources]],
    lengths: list[int],
    shares: dict[AccountId, Standing],
    known: int,
) -> None:
    drawn = [(0, owner, 0, size) for (owner, size), length in zip(sizes, lengths, strict=False) for _ in range(length)]
    queue = _queue(drawn)
    turns = list(order(queue, shares, TOTAL))
    for line in lines(queue, known):
        places = [place for place, item in enumerate(turns) if item.owner == line.owner]
        for rank, place in enumerate(places):
            found = sum(before(lines(queue, known), shares, TOTAL)(line.owner, rank, 0.0).values())
            rivals = len({item.owner for item in queue}) - 1
            assert abs(found - place) <= rivals, "equal shares may go either way"
            assert rank <= found < len(queue)


@enough
@given(queues, standings, rooms, asked)
def test_one_that_comes_after_all_waits_for_the_reason_that_the_pick_would_have_given_it(
    queue: list[Waiting], shares: dict[AccountId, Standing], room: Room, size: Resources
) -> None:
    last = AccountId(4)
    late = Waiting(JobId(1 << 40), last, -1000, NOW, size)
    used = {**shares, last: Standing(1e12)}
    verdicts, whole = chosen(queue, used, room), chosen([*queue, late], used, room)
    if late.job in whole.waits:
        assert verdicts.beyond(last, size) is whole.waits[late.job][0]
    else:
        assert verdicts.beyond(last, size) is Reason.TURN, "nothing blocks it: it is about to be looked at"


def test_the_reasons_are_a_closed_list() -> None:
    assert {reason.value for reason in Reason} == {
        *("held", "not_before", "quota", "busy", "turn", "room_kept", "environment_down", "no_environment")
    }


# --- days of a busy environment


class Day:
    """An environment, its queue and its clock: what is chosen runs for its time, and its use counts at once."""

    def __init__(self, shares: dict[AccountId, Standing]) -> None:
        self.now = 0.0
        self.shares = dict(shares)
        self.waiting: dict[JobId, tuple[Waiting, float]] = {}
        self.running: list[tuple[float, int, Waiting]] = []
        self.used: dict[AccountId, float] = {}
        self.began: dict[JobId, float] = {}
        self._last = 0

    def submit(self, owner: AccountId, size: Resources, seconds: float, priority: int = 0) -> JobId:
        self._last += 64
        job = Waiting(JobId(self._last), owner, priority, self.now, size)
        self.waiting[job.job] = (job, seconds)
        return job.job

    def start(self) -> Verdicts:
        """What may start, starts."""
        free = TOTAL
        for _, _, job in self.running:
            free = less(free, job.asked)
        room = Room(free, TOTAL, WHOLE.slots - len(self.running))
        queue = [job for job, _ in self.waiting.values()]
        verdicts = pick(queue, self.shares, room, self.now, keep_after=KEEP)
        for job in verdicts.chosen:
            _, seconds = self.waiting.pop(job.job)
            heapq.heappush(self.running, (self.now + seconds, job.job, job))
            self.began[job.job] = self.now
            use = dominant(job.asked, TOTAL) * seconds
            self.used[job.owner] = self.used.get(job.owner, 0.0) + use
            standing = self.shares.get(job.owner, Standing())
            self.shares[job.owner] = replace(standing, usage=standing.usage + use)
        return verdicts

    def go_on(self) -> None:
        """To the next end."""
        ended, _, _ = heapq.heappop(self.running)
        for owner, standing in self.shares.items():
            self.shares[owner] = replace(standing, usage=decayed(standing.usage, ended - self.now))
        self.now = ended


ME, OTHER, THIRD = AccountId(1), AccountId(2), AccountId(3)
seconds = st.sampled_from([10.0, 60.0, 300.0])


@settings(max_examples=MOST // 6)
@given(st.lists(st.tuples(owners, asked, seconds, st.integers(-2, 2)), max_size=40), standings)
def test_every_queue_is_worked_off(
    jobs: list[tuple[AccountId, Resources, float, int]], shares: dict[AccountId, Standing]
) -> None:
    day = Day(shares)
    for job in jobs:
        day.submit(*job)
    while day.waiting:
        day.start()
        assert day.running, "nothing runs, and nothing may start"
        day.go_on()
    assert len(day.began) == len(jobs)
    assert day.now <= sum(job[2] for job in jobs)


@settings(max_examples=MOST // 15)
@given(
    size=asked,
    stream=st.lists(st.tuples(asked, seconds, st.integers(0, 1000)), min_size=1, max_size=5),
    mine=st.floats(0, 3000),
    weight=st.sampled_from([0.5, 1.0, 2.0]),
)
def test_nobody_starves_beside_an_account_that_never_stops(
    size: Resources, stream: list[tuple[Resources, float, int]], mine: float, weight: float
) -> None:
    """Whoever has used little has his turn next; whoever has used more waits until the other has used as much."""
    day = Day({ME: Standing(mine, 1.0), OTHER: Standing(0.0, weight)})
    endless = itertools.cycle(stream)
    job = day.submit(ME, size, 10.0)
    longest = max(duration for _, duration, _ in stream)
    catches_up = mine * weight / min(dominant(other, TOTAL) for other, _, _ in stream)
    while job not in day.began:
        while len(day.waiting) < 9:
            day.submit(OTHER, *next(endless))
        day.start()
        assert day.now <= KEEP + 2 * longest + catches_up + 1.0, "it starves"
        if job not in day.began:
            day.go_on()


@settings(max_examples=MOST // 30)
@given(
    st.tuples(st.sampled_from([1.0, 2.0]), st.sampled_from([0.5, 1.0, 4.0]), st.sampled_from([1.0, 3.0])),
    st.tuples(*[st.sampled_from([60.0, 300.0])] * 3),
)
def test_busy_accounts_use_it_in_proportion_to_their_weights(
    weights: tuple[float, float, float], lasts: tuple[float, float, float]
) -> None:
    accounts = (ME, OTHER, THIRD)
    day = Day({owner: Standing(0.0, weight) for owner, weight in zip(accounts, weights, strict=True)})
    core = Resources(cores=1.0)
    for owner, duration in zip(accounts, lasts, strict=True):
        for _ in range(12):
            day.submit(owner, core, duration)
    while day.now < 9_000.0:
        for job in day.start().chosen:
            day.submit(job.owner, core, lasts[accounts.index(job.owner)])
        assert len(day.running) == WHOLE.slots
        day.go_on()
    shares = [day.used[owner] / weight for owner, weight in zip(accounts, weights, strict=True)]
    assert max(shares) - min(shares) <= 0.1 * max(shares) + 2 * max(lasts) / min(weights), shares


def test_what_was_used_long_ago_counts_half_as_much_each_day() -> None:
    assert decayed(8.0, 0.0) == 8.0
    assert decayed(8.0, HALF_LIFE) == 4.0
    assert decayed(8.0, 3 * HALF_LIFE) == 1.0
    assert decayed(8.0, -5.0) == 8.0, "a clock that goes back makes no use"


def test_the_first_in_turn_is_who_has_used_least_for_his_weight() -> None:
    jobs = [
        Waiting(JobId(64 * n), owner, 0, 0.0, Resources(cores=1.0)) for n, owner in enumerate((ME, OTHER, THIRD), 1)
    ]
    shares = {ME: Standing(100.0, 1.0), OTHER: Standing(300.0, 4.0), THIRD: Standing(90.0, 1.0)}
    assert [job.owner for job in order(jobs, shares, TOTAL)] == [OTHER, THIRD, ME]
    assert next(iter(order(jobs, {}, TOTAL))).owner == ME, "of equals, who has waited longest, then the first known"
