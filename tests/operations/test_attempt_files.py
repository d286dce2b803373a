"""The files of any attempt, of the canonical one alone, and of a batch under BOINC's names."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from store_places import sqlite
from workbench import Bench

from jobgate.files.archive import Archive as Zip
from jobgate.files.disk import Disk
from jobgate.files.gathering import gathered
from jobgate.model.attempt import Exit
from jobgate.model.errors import NotFound
from jobgate.model.events import Collected, Exited, Requeue, Started
from jobgate.model.files import Artifact, Naming, Output, OutputKind
from jobgate.model.ids import JobId, JobName, batch_text
from jobgate.model.job import Argv, Batch, JobSpec, Step
from jobgate.model.operations import Archive, Read
from jobgate.model.storing import ArchiveBatch
from jobgate.testing.store_lab import Lab, claim, members

SPEC = JobSpec(
    steps=(Step(command=Argv(("true",))),),
    outputs=(Output(path="deep/out"), Output(path="trace"), Output(path="all", kind=OutputKind.DIRECTORY)),
)


class Yard(Bench):
    """A bench with blobs, whose jobs are said to have run."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        super().__init__(lab)
        self.disk = Disk(folder)
        self.context = replace(self.context, blobs=self.disk)

    async def file(self, output: int, path: str, content: bytes) -> Artifact:
        stored = await self.disk.put(content, limit=None)
        return Artifact(path, stored.digest, stored.size, output)

    async def ran(self, job: JobId, *outputs: Artifact, number: int = 1, code: int = 0) -> None:
        started = Started(number, self.lab.now)
        await self.lab.tell(
            job, claim(self.lab), started, Exited(number, self.lab.now, Exit(code)), Collected(number, outputs)
        )

    async def jobs(self, count: int, **more: Any) -> tuple[Batch, list[JobId]]:
        batch = await self.batch(count, spec=SPEC, **more)
        return batch, members(batch)

    async def read(self, batch: Batch, job: JobId, **more: Any) -> bytes:
        found = await self.ask(Read(job=JobName(batch.id, job), **more))
        return b"".join([piece async for piece in self.disk.open(found.artifact.digest)])

    async def why_not(self, batch: Batch, job: JobId, **more: Any) -> str:
        with pytest.raises(NotFound) as refused:
            await self.read(batch, job, **more)
        return refused.value.code

    async def zip(self, batch: Batch, **more: Any) -> dict[str, bytes]:
        found = await self.ask(ArchiveBatch(batch=batch.id, partial=True, **more))
        return unpacked(b"".join([piece async for piece in gathered(found.bundles, self.disk)]))


def unpacked(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def run(tmp_path: Path, body: Callable[[Yard], Awaitable[None]]) -> None:
    async def whole() -> None:
        place = sqlite(tmp_path)
        lab = Lab(place, await place.open())
        await lab.furnish()
        try:
            await body(Yard(lab, tmp_path / "blobs"))
        finally:
            await lab.store.close()

    asyncio.run(whole())


def test_each_attempts_outputs_can_be_read_and_without_a_number_those_of_the_canonical_one(tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        batch, (job,) = await yard.jobs(1)
        await yard.ran(job, await yard.file(0, "out", b"first"), code=1)
        assert await yard.why_not(batch, job, canonical=True, number=0) == "no-canonical"
        assert await yard.read(batch, job, path="out") == b"first"
        await yard.lab.tell(job, Requeue())
        await yard.ran(job, await yard.file(0, "out", b"second"), await yard.file(1, "trace", b"t"), number=2)
        assert await yard.read(batch, job, number=0, attempt=1) == b"first"
        assert await yard.read(batch, job, number=0, attempt=2) == b"second"
        assert await yard.read(batch, job, number=1, attempt=2) == b"t"
        assert await yard.read(batch, job, number=0, canonical=True) == b"second"
        assert await yard.read(batch, job, number=0) == b"second"
        assert await yard.read(batch, job, path="out") == b"second"
        assert await yard.read(batch, job, path="out", attempt=1) == b"first"
        assert await yard.read(batch, job, output=None, path="deep/out", attempt=1) == b"first"
        assert await yard.why_not(batch, job, number=0, attempt=3) == "attempt-not-found"
        assert await yard.why_not(batch, job, number=0, attempt=0) == "attempt-not-found"
        assert await yard.why_not(batch, job, number=0, attempt=1, canonical=True) == "no-canonical"
        assert await yard.why_not(batch, job, number=1, attempt=1) == "file-not-found"
        assert await yard.why_not(batch, job, number=3, attempt=1) == "output-not-found"

    run(tmp_path, body)


def test_a_files_name_says_job_attempt_and_number(tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        batch, (job,) = await yard.jobs(1)
        await yard.ran(job, await yard.file(1, "trace", b"t"))
        found = await yard.ask(Read(job=JobName(batch.id, job), number=1, attempt=1))
        assert found.name == f"{batch_text(batch.id)}-1_0_r{job}_1"

    run(tmp_path, body)


def test_a_batchs_archive_has_canonical_files_only_as_far_as_there_are_any(tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        batch, (one, two, three, _) = await yard.jobs(4)
        for naming in Naming:
            assert await yard.zip(batch, naming=naming) == {}
        await yard.ran(one, await yard.file(0, "out", b"1"))
        await yard.ran(two, await yard.file(0, "out", b"failed"), code=1)
        inside = [await yard.file(2, f"d/{name}", name.encode()) for name in "ab"]
        await yard.ran(three, await yard.file(1, "trace", b"3"), *inside)
        name = batch_text(batch.id)
        assert await yard.zip(batch, naming=Naming.PHYSICAL) == {
            f"{name}-1_0_r{one}_0": b"1",
            f"{name}-3_0_r{three}_1": b"3",
            f"{name}-3_0_r{three}_2_d_a": b"a",
            f"{name}-3_0_r{three}_2_d_b": b"b",
        }
        assert await yard.zip(batch, naming=Naming.LOGICAL) == {
            f"{name}-1_0__deep_out": b"1",
            f"{name}-3_0/trace": b"3",
            f"{name}-3_0/all/d/a": b"a",
            f"{name}-3_0/all/d/b": b"b",
        }
        assert len(await yard.zip(batch)) == 5

    run(tmp_path, body)


def test_jobs_with_names_have_them_in_their_files(tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        batch, (one, two) = await yard.jobs(2, names=("a#1.0", ""))
        for job in (one, two):
            await yard.ran(job, await yard.file(0, "out", b"x"))
        assert list(await yard.zip(batch, naming=Naming.PHYSICAL)) == [
            f"a#1.0_0_r{one}_0",
            f"{batch_text(batch.id)}-2_0_r{two}_0",
        ]
        found = await yard.ask(Read(job=JobName(batch.id, one), number=0, attempt=1))
        assert found.name == f"a#1.0_0_r{one}_0"

    run(tmp_path, body)


def test_one_jobs_archive_is_that_of_any_attempt(tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        batch, (job,) = await yard.jobs(1)
        await yard.ran(job, await yard.file(0, "out", b"first"), code=1)
        name = JobName(batch.id, job)
        with pytest.raises(NotFound) as refused:
            await yard.ask(Archive(job=name, naming=Naming.LOGICAL))
        assert refused.value.code == "no-canonical"
        await yard.lab.tell(job, Requeue())

        async def files(**more: Any) -> dict[str, bytes]:
            found = await yard.ask(Archive(job=name, **more))
            made = Zip(found.files, found.modified)
            return unpacked(b"".join([piece async for piece in made.stream(yard.disk)]))

        assert await files(attempt=1) == {"deep/out": b"first"}
        await yard.ran(job, await yard.file(0, "out", b"second"), number=2)
        assert await files(naming=Naming.LOGICAL) == await files() == {"deep/out": b"second"}
        assert await files(attempt=1, naming=Naming.PHYSICAL) == {f"{name}_0_r{job}_0": b"first"}
        assert (await yard.ask(Archive(job=name, naming=Naming.LOGICAL))).name == f"{name}_1.zip"

    run(tmp_path, body)
