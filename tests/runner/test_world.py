"""What the duties of a runner share."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

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
