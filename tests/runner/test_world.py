"""What the duties of a runner share."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from jobgate.model.account import Account
from jobgate.model.ids import AccountId
from jobgate.model.queue import Standing
from jobgate.runner import world as world_module
from jobgate.runner.world import World


def test_a_duty_that_fails_is_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world_module, "_FIRST_PAUSE", 0.0)
    begun = asyncio.Event()
    tries = 0

    async def duty() -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise ValueError("some job's fault")
        begun.set()
        await asyncio.Event().wait()

    async def body() -> None:
        plain = cast("Any", object.__new__(World))
        plain.stopping = False
        plain._tasks = set()  # noqa: SLF001  # made by hand, without a store
        plain.log = SimpleNamespace(exception=lambda *_, **__: None, error=lambda *_, **__: None)
        World.keep(plain, duty)
        async with asyncio.timeout(10):
            await begun.wait()
        await World.stop(plain)

    asyncio.run(body())
    assert tries == 3


def test_weights_follow_what_accounts_have_now_and_use_stays() -> None:
    def account(number: int, weight: float) -> Account:
        return Account(id=AccountId(number), name=str(number), created=0.0, weight=weight)

    plain = cast("Any", object.__new__(World))
    plain._standings = {AccountId(1): Standing(5.0), AccountId(2): Standing(7.0, 4.0)}  # noqa: SLF001  # made by hand
    plain._weighed = {}  # noqa: SLF001  # as above
    World.weigh(plain, {AccountId(1): account(1, 2.0), AccountId(3): account(3, 0.5)})
    World.used(plain, AccountId(3), 1.0, 9.0)
    assert plain._standings == {  # noqa: SLF001  # as above
        AccountId(1): Standing(5.0, 2.0),
        AccountId(2): Standing(7.0, 1.0),
        AccountId(3): Standing(9.0, 0.5),
    }
