"""How much one account may store."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jobgate import app
from jobgate.config import Environment, Server, Settings, Storage
from jobgate.model.account import Principal, Quota
from jobgate.model.errors import TooMany
from jobgate.model.limits import Limits
from jobgate.model.operations import Request, Write
from jobgate.model.outcomes import Written
from jobgate.operations.handle import handle


@pytest.mark.parametrize("where", ["quota", "configuration"])
def test_an_account_stores_no_more_than_it_may_and_what_it_has_counts_once(tmp_path: Path, where: str) -> None:
    async def body() -> None:
        limits = Limits(storage=10) if where == "configuration" else Limits()
        settings = Settings(
            server=Server(data=str(tmp_path / "data"), stop_jobs=True),
            storage=Storage(reserve=0),
            environments={"local": Environment(slots=1, sandbox="none")},
            limits=limits,
        )
        gateway = await app.start(settings)
        try:
            account = await gateway.store.write(lambda tx: tx.accounts.create("lab", 0.0))
            quota = Quota(storage=10) if where == "quota" else Quota()
            who = Principal(account=account.id, name="lab", quota=quota)

            async def store(content: bytes) -> bool:
                made = await handle(gateway.context, Request(operation=Write(upload=content, lives=9.0), principal=who))
                assert isinstance(made, Written)
                return made.fresh

            assert await store(b"123456")
            assert not await store(b"123456")
            with pytest.raises(TooMany) as refused:
                await store(b"12345")
            assert refused.value.code == "storage-quota"
            assert not await store(b"123456")
            assert await store(b"1234")
        finally:
            await app.stop_gateway(gateway, stop_jobs=True)

    asyncio.run(body())
