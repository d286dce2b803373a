"""Why jobs wait, what environments are there, and what a submit would come to: over a store, without a runner."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace
from workbench import Bench, ids, names, run

from jobgate.model.account import USER, Action, Deed, Principal, Quota, Scope
from jobgate.model.allowance import InUse
from jobgate.model.attempt import Exit
from jobgate.model.environment import ComputeEnvironment
from jobgate.model.errors import Invalid, NotFound, Unrunnable
from jobgate.model.events import Claim, Collected, Exited, Started
from jobgate.model.history import Kind, Pace, Past
from jobgate.model.ids import AccountId, EnvironmentName
from jobgate.model.job import Argv, Batch, JobSpec, Place, Replication, Retry, Step
from jobgate.model.limits import Limits
from jobgate.model.operations import Cancel, Count, Describe, Environments, Estimate, Find, FindBatches, Group, Request
from jobgate.model.outcomes import Counted, Estimated, Found, Places
from jobgate.model.queue import Reason, Room, Standing
from jobgate.model.resources import GIB, Gpu, Resources
from jobgate.model.selectors import BatchesWhere, Ids, Of
from jobgate.model.sight import Down, Running, Sight, Snapshot
from jobgate.model.state import Failure
from jobgate.model.waits import Waits
from jobgate.operations import outlook
from jobgate.operations.handle import handle
from jobgate.store.transaction import Transaction

ROOM: Final = Resources(cores=8.0, memory=64 * GIB, disk=64 * GIB)
LOCAL: Final = ComputeEnvironment(name=EnvironmentName("local"), engine="local", room=ROOM, slots=2, price=3.6)
LARGE: Final = replace(LOCAL, name=EnvironmentName("large"), room=replace(ROOM, gpus=(Gpu(4),)), slots=4)
ONE: Final = JobSpec(steps=(Step(command=Argv(("sleep", "1"))),), resources=Resources(cores=1.0))


def busy(place: ComputeEnvironment, jobs: int, *, down: Down | None = None) -> Sight:
    """So many jobs hold its slots."""
    job = Running(Kind(place.name), AccountId(9), Resources(cores=1.0))
    return Sight(room=Room(place.room, place.room, place.slots - jobs), running=(job,) * jobs, down=down)


def seen(bench: Bench, *sights: tuple[ComputeEnvironment, Sight | None], **more: Any) -> None:
    """From now on these are the environments."""
    places = {place.name: sight for place, sight in sights if sight is not None}
    standings: Mapping[AccountId, Standing] = more.pop("standings", {})
    held: Mapping[AccountId, InUse] = more.pop("held", {})
    bench.context = replace(
        bench.context,
        environments=tuple(place for place, _ in sights),
        snapshot=lambda: Snapshot(places=places, standings=standings, held=held),
        clock=lambda: bench.lab.now,
        **more,
    )


async def why(bench: Bench, batch: Batch, number: int = 1, **asker: Any) -> Waits | None:
    who = Principal(**{"account": batch.owner, "name": "", "scopes": USER, **asker})
    operation = Find(selector=Ids((names(batch)[number - 1],)), waits=True)
    found = await handle(bench.context, Request(operation=operation, principal=who))
    assert isinstance(found, Found)
    return found.jobs[0].waits


async def waits(bench: Bench, batch: Batch, number: int = 1, **asker: Any) -> Waits:
    found = await why(bench, batch, number, **asker)
    assert found is not None
    return found


def test_the_next_replica_waits_for_the_place_that_had_none_of_its_siblings(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        seen(bench, (LOCAL, busy(LOCAL, 1)), (LARGE, busy(LARGE, 4)))
        paired = await bench.batch(1, spec=replace(ONE, replication=Replication(replicas=2, quorum=2)))
        assert (await waits(bench, paired)).environment == LOCAL.name
        await bench.lab.tell(ids(paired)[0], Claim(LOCAL.name, bench.lab.lease, straight=True), Started(1, 1.0))
        second = await waits(bench, paired)
        assert (second.environment, second.reason) == (LARGE.name, Reason.BUSY)
        assert "another replica of this job was there" in second.environments[-1].text
        seen(bench, (LOCAL, busy(LOCAL, 1)), (LARGE, busy(LARGE, 0, down=Down(0.0, "away"))))
        assert (await waits(bench, paired)).environment == LOCAL.name, "nobody else could take it now"

    run(tmp_path, body)


def test_each_replica_counts_in_an_estimate(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        seen(bench, (LOCAL, busy(LOCAL, 0)), past=lambda _: Past((10.0,) * 20))
        who = Principal(account=bench.lab.owner, name="")
        costs = []
        for rule in (Replication(), Replication(replicas=3, quorum=2)):
            operation = Estimate(groups=(Group(replace(ONE, replication=rule), 2),))
            found = await handle(bench.context, Request(operation=operation, principal=who))
            assert isinstance(found, Estimated)
            assert found.cost is not None
            costs.append(found.cost.value)
        assert costs[1] == pytest.approx(3 * costs[0])

    run(tmp_path, body)


def test_a_job_waits_for_a_busy_environment_and_others_for_their_turn(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        seen(bench, (LOCAL, busy(LOCAL, 2)))
        mine = await bench.batch(3, spec=ONE)
        theirs = await bench.batch(3, spec=ONE, owner=bench.lab.other)
        first = await waits(bench, mine)
        assert (first.reason, first.place) == (Reason.BUSY, 1)
        assert first.text == "local is busy: 2 jobs hold its 2 slots, this one needs 1 core"
        second = await waits(bench, theirs)
        assert (second.reason, second.place) == (Reason.TURN, 2)
        assert second.text == "1 job of other accounts comes first on local"
        last = await waits(bench, theirs, 3)
        assert last.place == 6
        assert last.text == "5 jobs come first on local: 2 of its own account, 3 of other accounts"
        (row,) = last.environments
        assert (row.name, row.fits, row.free, row.slots, row.blocks) == ("local", True, 0, 2, Reason.TURN)

    run(tmp_path, body)


def test_only_an_operator_is_told_whose_jobs_come_first(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        seen(bench, (LOCAL, busy(LOCAL, 2)))
        await bench.batch(2, spec=ONE)
        theirs = await bench.batch(1, spec=ONE, owner=bench.lab.other)
        told = await waits(bench, theirs, scopes=frozenset({Scope.OPERATE}))
        assert told.text == "1 job of account lab comes first on local"
        for text in ((await waits(bench, theirs)).text, (await waits(bench, theirs)).clears):
            assert "lab" not in text

    run(tmp_path, body)


def test_the_place_follows_what_accounts_have_used(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        mine = await bench.batch(2, spec=ONE)
        theirs = await bench.batch(2, spec=ONE, owner=bench.lab.other)
        seen(bench, (LOCAL, busy(LOCAL, 2)), standings={bench.lab.owner: Standing(1e9)})
        assert [(await waits(bench, theirs, n)).place for n in (1, 2)] == [1, 2]
        assert [(await waits(bench, mine, n)).place for n in (1, 2)] == [3, 4]

    run(tmp_path, body)


def test_the_place_deep_in_a_long_queue_is_the_number_of_those_before_it(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        seen(bench, (LOCAL, busy(LOCAL, 2)))
        mine = await bench.batch(4000, spec=ONE)
        assert (await waits(bench, mine, 4000)).place == 4000
        assert (await waits(bench, mine, 3000)).place == 3000
        theirs = await bench.batch(1000, spec=ONE, owner=bench.lab.other)
        assert (await waits(bench, mine, 4000)).place == 5000
        deep = await waits(bench, mine, 500)
        assert deep.place is not None
        assert 999 <= deep.place <= 1000, "account by account, turn by turn"
        assert (await waits(bench, theirs, 1000)).place in (1999, 2000)

    run(tmp_path, body)


def test_a_page_of_many_deep_jobs_counts_each_batch_once_and_not_more_than_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(bench: Bench) -> None:
        seen(bench, (LOCAL, busy(LOCAL, 2)))
        await bench.batch(300, spec=ONE)
        batches = [await bench.batch(3, spec=ONE) for _ in range(3)]
        monkeypatch.setattr(outlook, "COUNTED", 2)
        asked = Ids(tuple(name for batch in batches for name in names(batch)))
        found = await bench.ask(Find(selector=asked, waits=True))
        places = [one.waits.place for one in found.jobs if one.waits is not None]
        assert places == [301, 302, 303, 304, 305, 306, None, None, None]
        last = found.jobs[-1].waits
        assert last is not None
        assert last.text.startswith("more than 128 jobs")

    run(tmp_path, body)


def test_a_job_that_may_start_now_is_the_next(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        seen(bench, (LOCAL, busy(LOCAL, 1)))
        mine = await bench.batch(2, spec=ONE)
        first = await waits(bench, mine)
        assert (first.reason, first.place, first.text) == (Reason.TURN, 1, "it is the next to start on local")
        assert (await waits(bench, mine, 2)).reason is Reason.BUSY

    run(tmp_path, body)


def test_held_jobs_say_so_and_those_that_do_not_wait_say_nothing(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        seen(bench, (LOCAL, busy(LOCAL, 2)))
        held = await bench.batch(1, spec=ONE, held=True)
        assert (await waits(bench, held)).reason is Reason.HELD
        taken = await bench.batch(1, spec=ONE)
        await bench.lab.tell(ids(taken)[0], Claim(LOCAL.name, bench.lab.lease))
        assert await why(bench, taken) is None

    run(tmp_path, body)


def test_a_job_between_two_tries_says_when_the_next_may_come(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        seen(bench, (LOCAL, busy(LOCAL, 2)))
        spec = replace(ONE, retry=Retry(tries=2, on=frozenset({Failure.PROGRAM}), backoff=500.0))
        batch = await bench.batch(1, spec=spec)
        now = bench.lab.now
        life = (
            Claim(LOCAL.name, bench.lab.lease, None, straight=True),
            Started(1, now),
            Exited(1, now, Exit(1)),
            Collected(1),
        )
        await bench.lab.tell(ids(batch)[0], *life)
        found = await waits(bench, batch)
        assert found.reason is Reason.NOT_BEFORE
        assert "in 8 min" in found.text

    run(tmp_path, body)


def test_where_nothing_may_ever_take_it_each_environment_says_why(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        hidden = replace(LARGE, name=EnvironmentName("private"), owner=AccountId(77))
        seen(bench, (LOCAL, busy(LOCAL, 2)), (hidden, busy(hidden, 0)))
        batch = await bench.batch(1, spec=replace(ONE, resources=Resources(cores=1.0, gpus=(Gpu(2),))))
        found = await waits(bench, batch)
        assert found.reason is Reason.NO_ENVIRONMENT
        assert found.text == "no environment can run it: local: it has no GPUs, and 2 are asked for"
        assert [row.name for row in found.environments] == ["local"], "what another brought is nobody else's business"

    run(tmp_path, body)


def test_an_environment_that_is_down_is_the_reason_only_where_no_other_is_up(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        batch = await bench.batch(1, spec=ONE)
        down = Down(bench.lab.now - 60.0, "the launcher does not answer")
        seen(bench, (LOCAL, busy(LOCAL, 0, down=down)), (LARGE, None))
        found = await waits(bench, batch)
        assert (found.reason, found.place) == (Reason.ENVIRONMENT_DOWN, None)
        assert found.text == "local is down for 1 min: the launcher does not answer"
        seen(bench, (LOCAL, busy(LOCAL, 0, down=down)), (LARGE, busy(LARGE, 4)))
        found = await waits(bench, batch)
        assert found.text == "large is busy: 4 jobs hold its 4 slots, this one needs 1 core"
        assert [row.name for row in found.environments] == ["large", "local"], "the first to clear is the first"

    run(tmp_path, body)


def test_the_start_is_estimated_by_past_runs_and_the_sooner_environment_is_told(tmp_path: Path) -> None:
    def past(kind: Kind) -> Past:
        return Past((10.0,) * 20 if kind.environment == LOCAL.name else (100.0,) * 20, (0.1,) * 20)

    async def body(bench: Bench) -> None:
        seen(bench, (LARGE, busy(LARGE, 4)), (LOCAL, busy(LOCAL, 2)), past=past)
        batch = await bench.batch(1, spec=ONE)
        found = await waits(bench, batch)
        assert found.environment == "local"
        assert found.starts is not None
        assert 8.0 < found.starts.low <= found.starts.value <= found.starts.high < 12.0
        assert found.starts.runs == 20

    run(tmp_path, body)


# --- quotas


async def bounded(bench: Bench, running: int | None = None, cores: float | None = None) -> None:
    """The account of the lab has such a quota."""

    def work(tx: Transaction) -> None:
        account = tx.accounts.get(bench.lab.owner)
        tx.accounts.put(replace(account, quota=Quota(running=running, cores=cores)))
        tx.accounts.record(Deed(at=bench.lab.now, actor="", action=Action.LIMITED, account=account.id))

    await bench.lab.store.write(work)


def has(bench: Bench, place: ComputeEnvironment, jobs: int) -> Sight:
    """So many jobs of the lab hold its slots."""
    job = Running(Kind(place.name), bench.lab.owner, Resources(cores=1.0), bench.lab.now)
    return Sight(room=Room(place.room, place.room, place.slots - jobs), running=(job,) * jobs)


def test_an_account_at_its_quota_waits_for_its_own_and_is_before_nobody_else(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        await bounded(bench, running=3)
        mine = await bench.batch(300, spec=ONE)
        theirs = await bench.batch(4, spec=ONE, owner=bench.lab.other)
        held = {bench.lab.owner: InUse(3, 3.0)}
        seen(bench, (LOCAL, has(bench, LOCAL, 1)), (LARGE, has(bench, LARGE, 2)), held=held)
        for number, place in ((1, 1), (300, 302)):  # two of the others are about to start, two come before the last
            found = await waits(bench, mine, number)
            assert (found.reason, found.place) == (Reason.QUOTA, place)
            assert found.text == "lab holds 3 of its 3 running jobs"
            assert found.clears == "a job of its account ends"
            assert {row.blocks for row in found.environments} == {Reason.QUOTA}
        first = await waits(bench, theirs)
        assert (first.reason, first.place, first.text) == (Reason.TURN, 1, "it is the next to start on local")
        assert (await waits(bench, theirs, 4)).place == 2, "of three slots, three are about to start"

    run(tmp_path, body)


def test_what_is_about_to_start_counts_and_a_quota_that_changes_holds_at_once(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        mine = await bench.batch(3, spec=ONE)
        seen(bench, (LARGE, has(bench, LARGE, 0)))
        await bounded(bench, cores=2.0)
        assert (await waits(bench, mine, 2)).text == "it is the next to start on large"
        last = await waits(bench, mine, 3)
        assert (last.reason, last.place, last.text) == (Reason.QUOTA, 1, "lab holds 2 of its 2 cores")
        await bounded(bench, cores=0.5)
        assert (await waits(bench, mine)).text == "it needs 1 core, and lab may have 0.5 at once"
        assert (await waits(bench, mine)).starts is None
        await bounded(bench)
        assert (await waits(bench, mine, 3)).reason is Reason.TURN

    run(tmp_path, body)


def test_a_quota_for_all_accounts_is_the_configurations(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        mine = await bench.batch(2, spec=ONE)
        seen(bench, (LARGE, has(bench, LARGE, 1)), held={bench.lab.owner: InUse(1, 1.0)}, limits=Limits(running=1))
        assert (await waits(bench, mine)).text == "lab holds 1 of its 1 running jobs"
        described = await bench.ask(Describe())
        assert (described.limits.running, described.held) == (1, InUse(1, 1.0))

    run(tmp_path, body)


def test_the_start_of_an_account_at_its_quota_is_that_of_its_own_jobs_ends(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        await bounded(bench, running=1)
        mine = await bench.batch(3, spec=ONE)
        held = {bench.lab.owner: InUse(1, 1.0)}
        seen(bench, (LOCAL, has(bench, LOCAL, 1)), held=held, past=lambda _: Past((100.0,) * 20, (0.1,) * 20))
        starts = [found.starts for n in (1, 2, 3) if (found := await waits(bench, mine, n)).starts is not None]
        assert [round(span.value, -1) for span in starts] == [100.0, 200.0, 300.0]
        estimated = await bench.ask(Estimate(groups=(Group(ONE, 2),)))
        assert isinstance(estimated, Estimated)
        assert estimated.start is not None
        assert estimated.end is not None
        assert (round(estimated.start.value, -1), round(estimated.end.value, -1)) == (400.0, 600.0)
        other = await bench.ask(Estimate(groups=(Group(ONE, 1),)), bench.lab.other)
        assert other.start is not None
        assert other.start.value < 1.0, "a slot is free, and nobody may take it before"

    run(tmp_path, body)


def test_a_batch_says_why_its_first_job_waits(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        async def of(batch: Batch) -> Waits | None:
            counted = await bench.ask(Count(batch.id, waits=True), batch.owner)
            assert isinstance(counted, Counted)
            return counted.waits

        seen(bench, (LOCAL, busy(LOCAL, 2)))
        await bench.batch(2, spec=ONE)
        batch = await bench.batch(3, spec=ONE)
        await bench.lab.tell(ids(batch)[0], Claim(LOCAL.name, bench.lab.lease))
        found = await of(batch)
        assert found is not None
        assert found.place == 3
        held = await of(await bench.batch(2, spec=ONE, held=True))
        assert held is not None
        assert held.reason is Reason.HELD
        assert await of(await bench.over(2)) is None

    run(tmp_path, body)


# --- environments


def test_environments_are_told_with_what_waits_for_them_and_foreign_ones_are_unknown(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        mine = replace(LARGE, owner=bench.lab.owner)
        seen(bench, (LOCAL, busy(LOCAL, 1)), (mine, None))
        await bench.batch(3, spec=ONE)
        await bench.batch(2, spec=replace(ONE, place=Place(environment=LARGE.name)))
        places = await bench.ask(Environments())
        assert isinstance(places, Places)
        assert [(one.environment.name, one.queued) for one in places.places] == [("local", 3), ("large", 5)]
        assert [one.sight is None for one in places.places] == [False, True]
        others = await bench.ask(Environments(), bench.lab.other)
        assert [one.environment.name for one in others.places] == ["local"]
        with pytest.raises(NotFound):
            await bench.ask(Environments(name="large"), bench.lab.other)
        (one,) = (await bench.ask(Environments(name="large"))).places
        assert one.environment is mine

    run(tmp_path, body)


# --- estimates


def asked(body: Callable[[Callable[..., Awaitable[Estimated]], Bench], Awaitable[None]], tmp_path: Path) -> None:
    async def whole(bench: Bench) -> None:
        async def estimate(count: int = 1, spec: JobSpec = ONE, priority: int = 0) -> Estimated:
            found = await bench.ask(Estimate(groups=(Group(spec, count),), priority=priority))
            assert isinstance(found, Estimated)
            return found

        await body(estimate, bench)

    run(tmp_path, whole)


def tens(kind: Kind) -> Past:
    del kind
    return Past((10.0,) * 20, (0.1,) * 20)


def test_an_estimate_counts_those_before_it_the_run_and_the_price(tmp_path: Path) -> None:
    async def body(estimate: Callable[..., Awaitable[Estimated]], bench: Bench) -> None:
        seen(bench, (LOCAL, busy(LOCAL, 0)), past=tens)
        idle = await estimate()
        assert idle.start is not None
        assert idle.start.value == pytest.approx(0.1)
        assert idle.run is not None
        assert idle.run.value == pytest.approx(10.0)
        assert idle.end is not None
        assert idle.end.value == pytest.approx(10.1, rel=0.05)
        assert idle.cost is not None
        assert idle.cost.value == pytest.approx(0.01)
        ten = await estimate(10)
        assert ten.end is not None
        assert ten.end.value == pytest.approx(50.0, rel=0.1)
        assert ten.cost is not None
        assert ten.cost.value == pytest.approx(0.1)
        many = await estimate(10_000)
        assert many.end is not None
        assert many.end.value == pytest.approx(50_000.0, rel=0.1)
        seen(bench, (LOCAL, busy(LOCAL, 2)), past=tens)
        await bench.batch(10, spec=ONE)
        late = await estimate()
        assert late.start is not None
        assert late.start.value == pytest.approx(60.0, rel=0.1)
        first = await estimate(priority=5)
        assert first.start is not None
        assert first.start.value == pytest.approx(10.0, rel=0.1)
        await bench.batch(5_000, spec=ONE)
        deep = await estimate()
        assert deep.start is not None
        assert deep.start.value == pytest.approx(25_000, rel=0.1)
        assert deep.end is not None
        assert deep.end.value > deep.start.value

    asked(body, tmp_path)


def test_an_estimate_without_any_past_says_nothing_and_makes_nothing(tmp_path: Path) -> None:
    async def body(estimate: Callable[..., Awaitable[Estimated]], bench: Bench) -> None:
        seen(bench, (LOCAL, busy(LOCAL, 2)))
        found = await estimate(3)
        assert (found.start, found.run, found.end, found.cost) == (None, None, None, None)
        assert found.environment == "local"
        assert await bench.lab.owned() == {}

    asked(body, tmp_path)


def test_an_estimate_of_what_cannot_run_is_refused_as_the_submit_would_be(tmp_path: Path) -> None:
    async def body(estimate: Callable[..., Awaitable[Estimated]], bench: Bench) -> None:
        seen(bench, (LOCAL, busy(LOCAL, 2)), past=tens)
        with pytest.raises(Unrunnable, match="16 are asked for"):
            await estimate(1, replace(ONE, resources=Resources(cores=16.0)))
        with pytest.raises(Invalid):
            await estimate(0)

    asked(body, tmp_path)


def test_an_estimate_of_an_environment_that_is_down_names_no_time(tmp_path: Path) -> None:
    async def body(estimate: Callable[..., Awaitable[Estimated]], bench: Bench) -> None:
        down = Down(bench.lab.now, "the launcher does not answer")
        seen(bench, (LOCAL, busy(LOCAL, 0, down=down)), past=tens)
        assert (await estimate()).start is None
        seen(bench, (LOCAL, busy(LOCAL, 0, down=down)), (LARGE, busy(LARGE, 4)), past=tens)
        found = await estimate()
        assert found.environment == "large"
        assert found.start is not None

    asked(body, tmp_path)


SIZED: Final = replace(ONE, resources=replace(ONE.resources, operations=1e12))


def paced(speed: float) -> Callable[[Kind], Past]:
    return lambda _: Past(pace=Pace(speed * 100, 100.0, 10.0))


async def seconds(bench: Bench, *groups: Group) -> float | None:
    found = await bench.ask(Estimate(groups=groups))
    assert isinstance(found, Estimated)
    return found.seconds


@pytest.mark.parametrize("sight", [None, busy(LOCAL, 0)])
def test_where_nothing_was_measured_the_whole_server_is_taken_for_one_usual_processor(
    tmp_path: Path, sight: Sight | None
) -> None:
    async def body(bench: Bench) -> None:
        seen(bench, (LOCAL, sight))
        assert await seconds(bench, Group(SIZED, 2)) == 2000.0
        assert await seconds(bench, Group(ONE, 2)) is None
        paired = replace(SIZED, replication=Replication(replicas=2, quorum=2))
        assert await seconds(bench, Group(paired), Group(SIZED)) == 3000.0

    run(tmp_path, body)


def test_a_measured_speed_counts_for_each_slot_and_no_job_is_split(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        seen(bench, (LOCAL, busy(LOCAL, 0)), past=paced(1e10))
        assert await seconds(bench, Group(SIZED, 20)) == pytest.approx(1000.0)
        assert await seconds(bench, Group(SIZED)) == pytest.approx(100.0)

    run(tmp_path, body)


def test_what_runs_and_waits_before_it_is_worked_off_first(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        runs = Running(Kind(LOCAL.name), AccountId(9), ONE.resources, since=bench.lab.now, operations=1e12)
        seen(bench, (LOCAL, replace(busy(LOCAL, 2), running=(runs, runs))), past=paced(1e10))
        alone = await seconds(bench, Group(SIZED, 4))
        assert alone == pytest.approx((2 + 4) * 50.0, rel=0.02)
        await bench.batch(10, spec=SIZED)
        assert await seconds(bench, Group(SIZED, 4)) == pytest.approx((2 + 10 + 4) * 50.0, rel=0.02)
        other = Estimate(groups=(Group(SIZED, 4),))
        theirs = await bench.ask(other, who=bench.lab.other)
        assert theirs.seconds == pytest.approx((2 + 4 + 4) * 50.0, rel=0.15)

    run(tmp_path, body)


def test_a_batch_is_expected_to_end_when_its_operations_are_worked_off(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        seen(bench, (LOCAL, busy(LOCAL, 0)), (LARGE, busy(LARGE, 0)), past=paced(1e10))
        sized, silent = await bench.batch(12, spec=SIZED), await bench.batch(2, spec=ONE)
        known = await bench.ask(Count(sized.id, ledger=True))
        assert known.est_end == pytest.approx(bench.lab.now + 12e12 / (6 * 1e10))
        assert (await bench.ask(Count(sized.id))).ledger is None
        assert (await bench.ask(Count(silent.id, ledger=True))).est_end is None
        found = await bench.ask(FindBatches(where=BatchesWhere(), ledger=True))
        assert [one.ledger.operations for one in found.batches] == [0, 12e12]
        await bench.ask(Cancel(selector=Of(sized.id)))
        over = await bench.ask(Count(sized.id, ledger=True))
        assert over.est_end == over.ended is not None

    run(tmp_path, body)
