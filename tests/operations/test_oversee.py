"""The server as its operator sees it: counts that are kept, and what each account waits for."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from workbench import Bench, run

from jobgate.model.account import Principal, Scope
from jobgate.model.environment import ComputeEnvironment
from jobgate.model.errors import Forbidden
from jobgate.model.history import Kind
from jobgate.model.ids import drawn
from jobgate.model.operations import Environments, Oversee, Request
from jobgate.model.outcomes import Overseen, Places
from jobgate.model.queue import Room, Standing
from jobgate.model.resources import Resources
from jobgate.model.sight import Down, Running, Sight, Snapshot
from jobgate.operations.context import Context
from jobgate.operations.handle import handle
from jobgate.store.queue import EXACT
from jobgate.testing.store_lab import HERE

ROOM = Resources(cores=2, memory=1 << 33, disk=1 << 33)
PLACE = ComputeEnvironment(name=HERE, engine="local", slots=2, room=ROOM)
ASKED = Resources(cores=1, memory=1 << 20, disk=1 << 20)


def context(bench: Bench, down: Down | None = None) -> Context:
    """One environment, whose two slots the first account's jobs have; it has used three times what the other has."""
    mine = Running(Kind(HERE, bench.lab.owner, "true"), bench.lab.owner, ASKED)
    full = Room(replace(ROOM, cores=0.0), ROOM, 0)
    standings = {bench.lab.owner: Standing(30.0, 1.0), bench.lab.other: Standing(10.0, 3.0)}
    seen = Snapshot(
        places={HERE: Sight(room=full, running=(mine, mine), down=down)}, standings=standings, since=5.0, starts=2.5
    )
    return replace(bench.context, snapshot=lambda: seen, environments=(PLACE,))


async def overseen(bench: Bench, world: Context, *scopes: Scope) -> Overseen:
    who = Principal(account=bench.lab.owner, name="", scopes=frozenset(scopes))
    found = await handle(world, Request(operation=Oversee(), principal=who))
    assert isinstance(found, Overseen)
    return found


def test_an_operator_is_told_who_has_what_and_what_they_wait_for(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        first = await bench.batch(3)
        await bench.batch(5, priority=7)
        await bench.batch(2, owner=bench.lab.other)
        seen = await overseen(bench, context(bench), Scope.OPERATE)
        assert (seen.since, seen.starts, seen.slots, seen.free) == (5.0, 2.5, 2, 0)
        assert (seen.running, seen.queued, seen.behind, seen.more) == (2, 10, 0.0, 0)
        assert seen.oldest == drawn(first.id), "though others of its account come first"
        mine, other = seen.parts
        assert (mine.account, mine.running, mine.queued) == (bench.lab.owner, 2, 8)
        assert (other.account, other.running, other.queued) == (bench.lab.other, 0, 2)
        assert ((mine.used, mine.due), (other.used, other.due)) == ((0.75, 0.25), (0.25, 0.75))
        assert {mine.waits, other.waits} == {"busy", "turn"}

    run(tmp_path, body)


def test_where_the_environment_is_down_that_is_what_all_wait_for(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        await bench.batch(3)
        seen = await overseen(bench, context(bench, Down(1.0, "the disk is full")), Scope.OPERATE)
        assert (seen.slots, [one.waits for one in seen.parts]) == (0, ["environment_down"])

    run(tmp_path, body)


def test_an_ordinary_account_is_not_told(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        with pytest.raises(Forbidden):
            await overseen(bench, context(bench), Scope.READ, Scope.SUBMIT, Scope.CONTROL)

    run(tmp_path, body)


def test_an_idle_server_has_nobody_and_nothing_that_waits(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        seen = await overseen(bench, bench.context, Scope.OPERATE)
        assert (seen.slots, seen.running, seen.queued, seen.oldest, seen.parts) == (0, 0, 0, None, ())

    run(tmp_path, body)


def test_a_long_line_is_not_counted_job_by_job_and_its_environment_says_since_when_the_oldest_waits(
    tmp_path: Path,
) -> None:
    async def body(bench: Bench) -> None:
        world = context(bench)
        batch = await bench.batch(EXACT + 500)
        assert (await overseen(bench, world, Scope.OPERATE)).queued == EXACT + 500
        who = Principal(account=bench.lab.other, name="")
        found = await handle(world, Request(operation=Environments(), principal=who))
        assert isinstance(found, Places)
        assert [(one.queued, one.oldest) for one in found.places] == [(EXACT + 500, drawn(batch.id))]

    run(tmp_path, body)
