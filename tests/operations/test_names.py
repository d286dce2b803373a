"""Which job a name means: the one of that number in that batch, or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from workbench import Bench, names, run

from jobgate.model.account import Principal
from jobgate.model.errors import NotFound
from jobgate.model.ids import JobName, job_name
from jobgate.model.operations import Archive, Cancel, Change, Delete, Find, Read, ReadLog, Request, Until
from jobgate.model.selectors import Ids
from jobgate.model.state import JobState
from jobgate.operations.handle import handle


async def neighbours(bench: Bench) -> tuple[JobName, JobName]:
    """A job, and its number as if it were a job of the batch before, which has only one."""
    before, batch = await bench.batch(1), await bench.batch(1)
    (job,) = names(batch)
    wrong = JobName(before.id, job.job)
    assert job_name(str(wrong)) == wrong
    return job, wrong


async def state(bench: Bench, job: JobName) -> JobState:
    return (await bench.lab.row(job.job))[0].state


@pytest.mark.parametrize(
    "verb",
    [
        lambda s: Find(selector=s),
        lambda s: Cancel(selector=s),
        lambda s: Change(selector=s, hold=True),
        lambda s: Delete(selector=s, force=True),
    ],
)
def test_a_lone_jobs_batch_has_no_second_job_though_a_job_has_that_number(tmp_path: Path, verb: Any) -> None:
    async def body(bench: Bench) -> None:
        job, wrong = await neighbours(bench)
        assert (await bench.ask(verb(Ids((wrong,), ("x",))))).missing == ("x", str(wrong))
        assert await state(bench, job) is JobState.QUEUED
        assert (await bench.ask(verb(Ids((wrong, job))))).missing == (str(wrong),)

    run(tmp_path, body)


def test_files_and_logs_are_not_found_by_the_number_alone(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        job, wrong = await neighbours(bench)
        await bench.ask(Cancel(selector=Ids((job,))))
        for operation in (Read(job=wrong, path="a"), Archive(job=wrong), ReadLog(job=wrong)):
            with pytest.raises(NotFound):
                await bench.ask(operation)
        assert (await bench.ask(Archive(job=job))).name == f"{job}.zip"
        assert (await bench.ask(ReadLog(job=job))).complete

    run(tmp_path, body)


def test_who_waits_for_a_job_that_is_none_is_answered_at_once(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        job, wrong = await neighbours(bench)
        asker = Principal(account=bench.lab.owner, name="")
        find = Find(selector=Ids((wrong,)))
        found: Any = await handle(
            bench.context, Request(operation=find, principal=asker, until=Until.ENDED, within=3600.0)
        )
        assert (found.jobs, found.missing) == ((), (str(wrong),))
        assert await state(bench, job) is JobState.QUEUED

    run(tmp_path, body)


def test_a_removal_names_each_job_with_its_batch(tmp_path: Path) -> None:
    async def body(bench: Bench) -> None:
        first, second = await bench.over(2), await bench.over(1)
        asked = (*names(second), *names(first))
        assert (await bench.ask(Delete(selector=Ids(asked)))).jobs == asked

    run(tmp_path, body)
