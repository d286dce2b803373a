"""A process that writes to the database it is given, and says on standard output how far it is.

`stuck`: in the middle of one write, it waits for the end that others prepare for it. `busy`: batch after batch, each
named when the store has answered.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from jobgate.model.ids import AccountId, BatchId
from jobgate.model.job import Argv, Batch, JobSpec, Origin, Step
from jobgate.model.operations import Group
from jobgate.store.sqlite import SqliteStore
from jobgate.store.transaction import Transaction

JOBS = 3000
SPEC = JobSpec(steps=(Step(command=Argv(("true",))),))


def say(word: object) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def submit(tx: Transaction) -> BatchId:
    batch = BatchId(tx.jobs.draw(1_760_000_000.0, JOBS))
    made = Batch(id=batch, owner=AccountId(64), count=JOBS, origin=Origin(dialect="test"), created=1_760_000_000.0)
    tx.jobs.add(made, [Group(SPEC, JOBS // 2), Group(SPEC, JOBS - JOBS // 2)])
    tx.secrets.seal(batch, {"s": b"sealed"})
    return batch


def stuck(tx: Transaction) -> None:
    submit(tx)
    tx.flush()
    say("written")
    sys.stdin.readline()


async def run(path: Path, way: str) -> None:
    store = SqliteStore(path)
    say(await store.write(submit))
    if way == "stuck":
        await store.write(stuck)
    while True:
        say(await store.write(submit))


asyncio.run(run(Path(sys.argv[1]), sys.argv[2]))
