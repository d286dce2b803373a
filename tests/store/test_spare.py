"""Room that is set aside for a full disk: given up step by step, to whom it is for, and taken again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_disks import fill, make_room, mounted
from store_places import fresh
from trees import needs_root

from jobgate.model.errors import Unavailable
from jobgate.store.spare import STEP, Spare
from jobgate.store.sqlite import SqliteStore

pytestmark = needs_root
SIZE = 4 * STEP


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "small", "24m") as place:
        yield place


def test_it_is_given_up_step_by_step_and_set_aside_again_when_there_is_room_for_others_too(small: Path) -> None:
    spare = Spare(small / "spare", size=SIZE)
    assert (spare.held, (small / "spare").stat().st_size) == (SIZE, SIZE)
    fill(small)
    for left in (3, 2, 1, 0):
        assert spare.give()
        assert spare.held == left * STEP
    assert not spare.give()
    fill(small)
    spare.refill()
    assert (spare.held, spare.short) == (0, True)
    make_room(small)
    spare.refill()
    assert (spare.held, spare.short) == (SIZE, False)


def test_what_starts_on_a_full_disk_is_given_a_step_and_what_was_held_is_known(small: Path) -> None:
    Spare(small / "spare", size=SIZE)
    fill(small)
    assert Spare(small / "spare", size=SIZE).held == SIZE - STEP


def test_a_disk_that_was_full_at_first_has_nothing_to_give_and_is_no_error(small: Path) -> None:
    fill(small)
    spare = Spare(small / "spare", size=SIZE)
    assert not spare.give()


def test_only_who_may_use_it_writes_on_a_full_disk_and_work_is_then_called_again(small: Path) -> None:
    path = fresh(small / "data")
    spare = Spare(small / "spare", size=SIZE)

    async def body() -> None:
        store = SqliteStore(path, spare=spare)
        try:
            await store.write(lambda tx: tx.accounts.create("before", 0.0))
            fill(small)

            async def made(name: str, *, may: bool) -> str:
                try:
                    await store.write(lambda tx: tx.accounts.create(name * 40_000, 0.0), spare=may)
                except Unavailable as error:
                    return error.code
                return "made"

            asked = [made(name, may=may) for name, may in (("a", False), ("b", True), ("c", False), ("d", True))]
            assert await asyncio.gather(*asked) == ["storage-full", "made", "storage-full", "made"]
            names = {account.name[0] for account in await store.read(lambda tx: tx.accounts.all())}
            assert names == {"b", "d"}, "the first begins with b too"
            assert spare.short
            make_room(small)
            assert await made("e", may=False) == "made"
            assert not spare.short
        finally:
            await store.close()

    asyncio.run(body())
