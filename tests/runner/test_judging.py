"""Comparing attempts, over jobs in a dict: what is heard, asked, said, and found again after a kill."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest
from memory_blobs import Memory
from msgspec.structs import replace
from told import LEASE, PLAIN

from jobgate.model.advance import Step, advance
from jobgate.model.attempt import Exit
from jobgate.model.errors import JobgateError, NotFound, TooMany, Unrunnable
from jobgate.model.events import Cancel, Claim, Collected, Event, Exited, Started, Together
from jobgate.model.facts import Attempts, Submitted, born
from jobgate.model.files import Inline, Output, OutputKind, Stored
from jobgate.model.ids import STRIDE, AccountId, BatchId, EnvironmentName, JobId, SpecId, job_text
from jobgate.model.job import Argv, Batch, Job, JobSpec, Numeric, Origin, Replication, Validator
from jobgate.model.operations import Submit
from jobgate.model.outcomes import Counted, JobView
from jobgate.model.outcomes import Submitted as Made
from jobgate.model.state import Failure, JobState, Verdict
from jobgate.runner import judging
from jobgate.runner.judging import WORD, Judging, validation

JUDGED: Final = JobId(64 * STRIDE)
OUTPUTS: Final = (Output(path="out", kind=OutputKind.DIRECTORY),)
CHECKED: Final = replace(
    PLAIN,
    outputs=OUTPUTS,
    replication=Replication(replicas=2, quorum=2, total=4, compare=Validator(command=Argv(("same",)))),
)
WITHIN: Final = Numeric(relative=0.01)
NUMBERS: Final = replace(CHECKED, replication=replace(CHECKED.replication, compare=WITHIN))


class Book:
    """Jobs, their blobs, and a gateway's judging that can be killed."""

    def __init__(self, spec: JobSpec) -> None:
        self.jobs: dict[JobId, tuple[Job, Attempts, JobSpec]] = {}
        self.keys: dict[str, JobId] = {}
        self.submits: list[Submit] = []
        self.troubles: list[JobgateError] = []
        self.blobs = Memory()
        self.changed = asyncio.Event()
        self._add(JUDGED, spec)
        self._task: asyncio.Task[None] | None = None
        self.start()

    def _add(self, ident: JobId, spec: JobSpec) -> Job:
        wanted = spec.replication.replicas
        job = born(ident, 0.0, Submitted(BatchId(ident), AccountId(1), SpecId(1), wanted=wanted))
        self.jobs[ident] = (job, (), spec)
        return job

    # --- what a runner's world is to the duty

    def start(self) -> None:
        quiet = SimpleNamespace(warning=lambda *_, **__: None)
        world = SimpleNamespace(
            store=self, saver=SimpleNamespace(add=self.tell), storage=self.blobs, view=self.view, log=quiet
        )
        self.judging = Judging(cast("Any", world), self.submit)
        self._task = asyncio.get_running_loop().create_task(self.judging.run())

    def kill(self) -> None:
        assert self._task is not None
        self._task.cancel()

    async def read(self, work: Callable[[Any], Any]) -> Any:
        live = [(job, attempts) for job, attempts, _ in self.jobs.values() if not job.state.over]
        return work(SimpleNamespace(jobs=SimpleNamespace(live=lambda: live)))

    async def view(self, ident: JobId) -> JobView:
        if ident not in self.jobs:
            raise NotFound
        job, attempts, spec = self.jobs[ident]
        return JobView(job=job, batch=batch_of(job), spec=spec, attempts=attempts)

    async def submit(self, owner: AccountId, operation: Submit) -> Made:
        self.submits.append(operation)
        if self.troubles:
            raise self.troubles.pop()
        assert (owner, operation.guard is not None) == (AccountId(1), True)
        key = operation.guard.key if operation.guard else ""
        known = self.keys.get(key)
        ident = self.keys[key] = known if known is not None else JobId((100 + len(self.keys)) * STRIDE)
        job = self.jobs[ident][0] if known is not None else self._add(ident, operation.groups[0].spec)
        self.changed.set()
        batch = batch_of(job)
        return Made(batch=batch, counted=Counted(batch=batch, counts={}, version=1), jobs=(job,))

    # --- what happens

    def tell(self, ident: JobId, event: Event | Together, _: object = None) -> None:
        job, attempts, spec = self.jobs[ident]
        step: Step = advance(job, attempts, event, 1.0, spec=spec)
        self.jobs[ident] = (step.job, step.attempts, spec)
        self.changed.set()
        self.judging.heard(step)

    def leaves(self, content: str, ident: JobId = JUDGED, *, code: int = 0) -> None:
        """The next attempt of a job runs, ends, and leaves a file."""
        self.tell(ident, Claim(EnvironmentName("here"), LEASE, straight=True))
        number = len(self.jobs[ident][1])
        artifact = self.blobs.keep("x", content.encode(), inline=ident != JUDGED).artifact
        self.tell(ident, Started(number, 1.0))
        self.tell(ident, (Exited(number, 1.0, Exit(code)), Collected(number, outputs=(artifact,))))

    async def until(self, enough: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not enough():
                self.changed.clear()
                await self.changed.wait()

    async def over(self) -> Job:
        await self.until(lambda: self.jobs[JUDGED][0].state.over)
        return self.jobs[JUDGED][0]

    async def validator(self, number: int = 1) -> JobId:
        """The id of the so manyth validator, when it was submitted."""
        await self.until(lambda: len(self.keys) >= number)
        return list(self.keys.values())[number - 1]

    @property
    def verdicts(self) -> list[Verdict]:
        return [attempt.verdict for attempt in self.jobs[JUDGED][1]]


def batch_of(job: Job) -> Batch:
    return Batch(id=job.batch, owner=job.owner, count=1, origin=Origin(dialect="test"), created=0.0)


def run(spec: JobSpec, body: Callable[[Book], Awaitable[None]]) -> None:
    async def whole() -> None:
        book = Book(spec)
        try:
            await body(book)
        finally:
            book.kill()

    asyncio.run(whole())


def test_numbers_within_the_tolerance_decide_a_job_and_others_want_one_more_attempt() -> None:
    async def body(book: Book) -> None:
        book.leaves("v = 1.0\n")
        book.leaves("v = 2.0\n")
        await book.until(lambda: book.verdicts == [Verdict.INCONCLUSIVE] * 2)
        book.leaves("v = 2.001\n")
        job = await book.over()
        assert (job.state, job.canonical) == (JobState.SUCCEEDED, 2)
        assert book.verdicts == [Verdict.INVALID, Verdict.VALID, Verdict.VALID]
        assert book.submits == []

    run(NUMBERS, body)


def test_attempts_that_left_other_files_do_not_agree_by_numbers() -> None:
    async def body(book: Book) -> None:
        book.leaves("1")
        book.tell(JUDGED, Claim(EnvironmentName("here"), LEASE, straight=True))
        book.tell(JUDGED, (Exited(2, 1.0, Exit(0)), Collected(2)))
        await book.until(lambda: book.verdicts == [Verdict.INCONCLUSIVE] * 2)

    run(NUMBERS, body)


def test_a_validators_first_line_with_a_quorum_decides_and_its_first_is_the_best() -> None:
    async def body(book: Book) -> None:
        book.leaves("a")
        book.leaves("b")
        book.leaves("1\n\n2 1\n", await book.validator())
        job = await book.over()
        assert (job.canonical, book.verdicts) == (2, [Verdict.VALID, Verdict.VALID])
        (asked,) = book.submits
        assert asked.labels == {"validates": job_text(job.batch, job.id)}

    run(CHECKED, body)


def test_each_new_attempt_has_the_validator_asked_anew_about_all_of_them() -> None:
    async def body(book: Book) -> None:
        book.leaves("a")
        book.leaves("b")
        book.leaves("1\n2\n", await book.validator())
        await book.until(lambda: book.verdicts == [Verdict.INCONCLUSIVE] * 2)
        book.leaves("c")
        book.leaves("3 1\n", await book.validator(2))
        job = await book.over()
        assert (job.canonical, book.verdicts) == (3, [Verdict.VALID, Verdict.INVALID, Verdict.VALID])
        assert {item.path for item in book.submits[1].groups[0].spec.inputs} == {f"{n}/out/x" for n in (1, 2, 3)}

    run(CHECKED, body)


def test_a_kill_while_the_validator_runs_makes_neither_two_nor_none() -> None:
    async def body(book: Book) -> None:
        book.leaves("a")
        book.leaves("b")
        validator = await book.validator()
        book.kill()
        book.start()
        await book.until(lambda: len(book.submits) > 1)
        book.leaves("1 2\n", validator)
        assert (await book.over()).state is JobState.SUCCEEDED
        assert list(book.keys.values()) == [validator]

    run(CHECKED, body)


def test_a_validator_that_ended_while_the_gateway_was_down_is_heard_after_it() -> None:
    async def body(book: Book) -> None:
        book.leaves("a")
        book.leaves("b")
        validator = await book.validator()
        book.kill()
        book.judging = Judging(cast("Any", None), book.submit)
        book.leaves("1 2\n", validator)
        book.start()
        assert (await book.over()).state is JobState.SUCCEEDED

    run(CHECKED, body)


@pytest.mark.parametrize(
    ("word", "code", "told"),
    [("1 and 2\n", 0, "wrote something else than numbers"), ("", 3, "failed"), ("ÿ", 0, "wrote something else")],
)
def test_a_validator_that_fails_or_says_what_nobody_understands_fails_the_job_and_is_named(
    word: str, code: int, told: str
) -> None:
    async def body(book: Book) -> None:
        book.leaves("a")
        book.leaves("b")
        validator = await book.validator()
        book.leaves(word, validator, code=code)
        job = await book.over()
        assert (job.state, job.failure) == (JobState.FAILED, Failure.UNDECIDED)
        assert f"the validator job {job_text(BatchId(validator), validator)}" in job.message
        assert told in job.message

    run(CHECKED, body)


def test_what_can_be_had_later_is_asked_for_again_and_what_never_can_ends_the_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(judging, "_AGAIN", 0.0)

    async def patient(book: Book) -> None:
        book.troubles = [TooMany("later"), TooMany("later")]
        book.leaves("a")
        book.leaves("b")
        book.leaves("2 1\n", await book.validator())
        assert (await book.over()).canonical == 2
        assert len(book.submits) == 3

    async def hopeless(book: Book) -> None:
        book.troubles = [Unrunnable("no environment can run this job")]
        book.leaves("a")
        book.leaves("b")
        job = await book.over()
        assert (job.failure, len(book.submits)) == (Failure.UNDECIDED, 1)
        assert "no environment can run this job" in job.message

    run(CHECKED, patient)
    run(CHECKED, hopeless)


def test_a_validator_is_stopped_when_the_job_that_waits_for_it_is_cancelled() -> None:
    async def body(book: Book) -> None:
        book.leaves("a")
        book.leaves("b")
        validator = await book.validator()
        await asyncio.sleep(0)  # it is noted once the submit has returned
        book.tell(JUDGED, Cancel())
        await book.until(lambda: book.jobs[validator][0].state is JobState.CANCELLED)

    run(CHECKED, body)


def test_a_validators_inputs_are_what_each_attempt_left_below_its_number() -> None:
    async def body(book: Book) -> None:
        book.leaves("a")
        book.leaves("b")
        await book.validator()
        _, attempts, spec = book.jobs[JUDGED]
        made = validation(spec, attempts, Validator(command=Argv(("same",))))
        assert [item.path for item in made.inputs] == ["1/out/x", "2/out/x"]
        assert all(isinstance(item.source, Stored) for item in made.inputs)
        assert made.place.directories == ("1", "2")
        assert (made.steps[0].stdout, made.outputs[0].path) == (WORD, WORD)
        logs = [replace(a, logs={"log": book.blobs.keep("log", b"x", inline=True).artifact}) for a in attempts]
        bare = validation(replace(spec, outputs=()), logs, Validator(command=Argv(("same",))))
        assert [(item.path, item.source) for item in bare.inputs] == [("1/log", Inline(b"x")), ("2/log", Inline(b"x"))]

    run(CHECKED, body)
