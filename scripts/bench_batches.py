"""What large batches cost in the store: listing them with what they are worth, telling their jobs, replicating them.

Without a server and without an engine: the verbs over a store in a folder of their own, as a gateway carries them out.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any, Final, cast

from jobgate.model.account import Principal
from jobgate.model.attempt import Exit, Usage
from jobgate.model.events import Claim, Collected, Event, Exited, Judge, Started
from jobgate.model.ids import JobId
from jobgate.model.job import JobSpec, Replication
from jobgate.model.operations import FindBatches, Members
from jobgate.model.resources import Resources
from jobgate.model.selectors import BatchesWhere
from jobgate.model.state import Verdict
from jobgate.operations.context import Context
from jobgate.operations.find import find_batches
from jobgate.operations.members import members
from jobgate.store.sqlite import SqliteStore, migrate
from jobgate.testing import store_lab
from jobgate.testing.store_lab import HERE, PLAIN, Lab, Place

BATCHES: Final = 1_000
JOBS: Final = 10_000
PAIRED: Final = 2_000
_AT_ONCE: Final = 32
"""Jobs that move in one commit, as many as come together beside two slots."""
_DAY: Final = 86_400
_SIZED: Final = JobSpec(steps=PLAIN.steps, resources=Resources(operations=1e12))
_TWICE: Final = JobSpec(
    steps=PLAIN.steps, resources=Resources(operations=1e12), replication=Replication(replicas=2, quorum=2)
)
Row = tuple[str, str, str, str]


def rows() -> list[Row]:
    """What was measured, how much it was, beside what, and the goal."""
    with tempfile.TemporaryDirectory(prefix="jobgate-bench-") as folder:
        return asyncio.run(_rows(Path(folder) / "bench.sqlite"))


async def _rows(path: Path) -> list[Row]:
    migrate(path)

    async def opened() -> SqliteStore:
        return SqliteStore(path)

    store = await opened()
    lab = Lab(Place(open=opened, commits=lambda _: store.commits), store)
    await lab.furnish()
    nobody = cast("Any", None)  # neither files nor logs are asked for
    context = Context(
        store=store,
        feed=nobody,
        blobs=nobody,
        parts=nobody,
        logs=nobody,
        origins=nobody,
        clock=time.time,
        seal=nobody,
        environments=(),
    )
    who = Principal(account=lab.owner, name="")
    found = [await _paired(lab), await _told(lab, context, who), await _listed(lab, context, who)]
    await store.close()
    return found


async def _listed(lab: Lab, context: Context, who: Principal) -> Row:
    """The page of all batches, with what they are worth and without, in turns."""
    for _ in range(BATCHES):
        await lab.submit(10, spec=_SIZED)

    async def page(*, ledger: bool) -> float:
        began = time.perf_counter()
        found = await find_batches(context, who, FindBatches(where=BatchesWhere(limit=BATCHES), ledger=ledger))
        assert len(found.batches) == BATCHES
        return (time.perf_counter() - began) * 1000

    rounds = [(await page(ledger=False), await page(ledger=True)) for _ in range(5)]
    plain, worth = (min(times) for times in zip(*rounds, strict=True))
    return f"{BATCHES:,} batches listed with their credit", f"{worth:.0f} ms", f"without {plain:.0f} ms", "<= 1.5 times"


async def _told(lab: Lab, context: Context, who: Principal) -> Row:
    """Every job of a batch, with its attempt."""
    batch = await lab.submit(JOBS, spec=_SIZED)
    await _moved(lab, store_lab.members(batch), _claim(lab), *_run(1))
    before, grown = _memory(), 0.0
    began, told = time.perf_counter(), 0
    async for portion in (await members(context, who, Members(batches=(batch.id,)))).portions:
        told += len(portion.jobs)
        grown = max(grown, _memory() - before)
    rate = told / (time.perf_counter() - began)
    return f"jobs of a batch of {JOBS:,}, told", f"{rate:,.0f}/s", f"grew {grown:.0f} MB", ">= 10,000/s, 20 MB"


async def _paired(lab: Lab) -> Row:
    """Jobs of two replicas that are compared, from submit to the end, as tasks a day."""
    began = time.perf_counter()
    batch = await lab.submit(PAIRED, spec=_TWICE)
    jobs = store_lab.members(batch)
    await _moved(lab, jobs, _claim(lab), _claim(lab))
    await _moved(lab, jobs, *_run(1), *_run(2))
    await _moved(lab, jobs, Judge(1, Verdict.VALID), Judge(2, Verdict.VALID))
    tally = await lab.store.read(lambda tx: tx.jobs.tally(batch))
    assert tally.live == 0
    tasks = 2 * PAIRED / (time.perf_counter() - began) * _DAY
    return f"{PAIRED:,} jobs of two replicas, in the store", f"{tasks / 1e6:,.0f} M a day", "", ">= 10 M a day"


async def _moved(lab: Lab, jobs: list[JobId], *events: Event) -> None:
    for start in range(0, len(jobs), _AT_ONCE):
        await lab.advance([(job, event) for job in jobs[start : start + _AT_ONCE] for event in events])


def _claim(lab: Lab) -> Claim:
    return Claim(HERE, lab.lease, None, straight=True)


def _run(number: int) -> tuple[Event, ...]:
    usage = Usage(cpu_seconds=0.5, wall_seconds=1.0)
    return Started(number, 1.0), Exited(number, 2.0, Exit(0), usage=usage), Collected(number)


def _memory() -> float:
    """MB that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


if __name__ == "__main__":
    for line in rows():
        print(*line, sep="   ")
