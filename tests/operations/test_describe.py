"""What an account may do, has and uses, as its owner is told."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace
from workbench import Bench, run

from jobgate.model.account import Quota, Scope
from jobgate.model.operations import Describe
from jobgate.model.state import JobState


def test_an_account_is_told_its_own_limits_and_what_it_uses_of_them_and_nothing_of_others(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        await bench.batch(3)
        seen = await bench.ask(Describe())
        assert (seen.counts, seen.live, seen.stored) == ({JobState.QUEUED: 3}, 3, 0)
        assert seen.limits == bench.context.limits
        assert Scope.SUBMIT in seen.scopes
        quota = Quota(live_jobs=9, storage=7)
        await bench.lab.store.write(lambda tx: tx.accounts.put(replace(seen.account, quota=quota)))
        bound = (await bench.ask(Describe())).limits
        assert (bound.live_jobs, bound.storage, bound.calls) == (9, 7, bench.context.limits.calls)
        stranger = await bench.ask(Describe(), bench.lab.other)
        assert (stranger.counts, stranger.live, stranger.credit) == ({}, 0, 0.0)
        await bench.lab.store.write(lambda tx: tx.jobs._tallies.totals.grant(bench.lab.owner, 2.5))  # noqa: SLF001  # as a job does that succeeds
        assert (await bench.ask(Describe())).credit == 2.5

    run(tmp_path, body)
