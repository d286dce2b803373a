"""Has the attempts of a replicated job compared, where that takes more than their digests.

A job is looked at when a commit leaves it to be judged, and all that are so are looked at after a start. What is still
to be judged stands in the jobs themselves, and a validator that was submitted before is found again by its key: to be
killed at any moment makes neither two of them nor none.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

import msgspec

from jobgate.model.advance import Step
from jobgate.model.attempt import Attempt
from jobgate.model.errors import JobgateError, NotFound
from jobgate.model.events import Cancel, GiveUp, Judge
from jobgate.model.facts import Attempts
from jobgate.model.files import Artifact, FileRef, Inline, Input, Output, Stored, workspace_path
from jobgate.model.guard import Guard
from jobgate.model.ids import AccountId, Digest, JobId, job_text
from jobgate.model.job import Job, JobSpec, Numeric, Origin, Place, Validator
from jobgate.model.job import Step as Command
from jobgate.model.operations import Group, Submit
from jobgate.model.outcomes import Submitted
from jobgate.model.replicas import File, counted, good, judgeable, product, ruling
from jobgate.model.state import Failure, JobState, Verdict
from jobgate.runner.likeness import alike
from jobgate.runner.world import World

Submitting = Callable[[AccountId, Submit], Awaitable[Submitted]]
"""Submits for an account, by the way that its own requests go."""

DIALECT: Final = "judging"
"""Where a validator's batch comes from, and the scope of its key."""
VALIDATES: Final = "validates"
"""Label of a validator's batch: the job whose attempts it compares."""
WORD: Final = "verdicts"
"""File that a validator's standard output is put in."""
_LONGEST_WORD: Final = 1 << 20
"""Bytes of it that are read."""
_KEY_LIVES: Final = 30 * 86_400.0
_AGAIN: Final = 5.0
"""Seconds before what could not be had is asked for again."""


class _Asked(msgspec.Struct, frozen=True):
    """A validator that is not over, and whom it was asked about."""

    validator: JobId
    numbers: tuple[int, ...]


class _Case(msgspec.Struct, frozen=True):
    """A job to judge: its spec and the attempts that may agree."""

    job: Job
    spec: JobSpec
    found: Sequence[Attempt]

    @property
    def name(self) -> str:
        return job_text(self.job.batch, self.job.id)

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(a.id.number for a in self.found)


class Judging:
    """The duty. `heard` is told of every step that leads from more than one attempt, and of every end."""

    def __init__(self, world: World, submit: Submitting) -> None:
        self._world = world
        self._submit = submit
        self._queue: asyncio.Queue[JobId] = asyncio.Queue()
        self._queued: set[JobId] = set()
        self._asked: dict[JobId, _Asked] = {}
        self._judged: dict[JobId, JobId] = {}
        """By its validator, the job that waits for it."""

    # --- hearing

    def heard(self, step: Step) -> None:
        """A job went on: it may be one to judge, or one whose validator ended, or be over without it."""
        job = step.job
        if not job.state.over:
            if step.compared and any(a.verdict is Verdict.PENDING for a in step.attempts):
                self._look_at(job.id)
            return
        if self._judged and (judged := self._judged.pop(job.id, None)) is not None:
            self._look_at(judged)
        if self._asked and (asked := self._asked.pop(job.id, None)) is not None:
            self._judged.pop(asked.validator, None)
            self._world.saver.add(asked.validator, Cancel("the job whose attempts it compares is over"))

    def _look_at(self, job: JobId) -> None:
        if job not in self._queued:
            self._queued.add(job)
            self._queue.put_nowait(job)

    def _later(self, job: JobId, error: Exception) -> None:
        self._world.log.warning("attempts cannot be compared now; trying again", job=job, why=str(error), pause=_AGAIN)
        asyncio.get_running_loop().call_later(_AGAIN, self._look_at, job)

    async def run(self) -> None:
        """Until cancelled; one job after the other. At each beginning all are looked at that may be to judge."""
        for job, attempts in await self._world.store.read(lambda tx: tx.jobs.live()):
            if any(a.verdict is Verdict.PENDING for a in attempts):
                self._look_at(job.id)
        while True:
            ident = await self._queue.get()
            self._queued.discard(ident)
            try:
                await self._look(ident)
            except (JobgateError, OSError) as error:
                self._later(ident, error)

    async def _look(self, ident: JobId) -> None:
        try:
            view = await self._world.view(ident)
        except NotFound:
            return
        since = counted(view.job, view.attempts)
        if view.job.state.over or view.job.state is JobState.CANCELLING:
            return
        if not judgeable(since, view.spec.replication):
            return
        case = _Case(view.job, view.spec, good(since))
        match view.spec.replication.compare:
            case Numeric() as tolerance:
                self._rule(case, case.numbers, await self._groups(case, tolerance))
            case Validator() as validator:
                await self._hear_validator(case, validator)
            case _:
                pass  # a bitwise comparison was made as the attempts ended; after a start all are looked at

    def _rule(self, case: _Case, numbers: Sequence[int], lines: Sequence[Sequence[int]]) -> None:
        said = ruling(lines, numbers, case.spec.replication.quorum)
        events = tuple(Judge(number, verdict, best) for number, (verdict, best) in said.items())
        self._world.saver.add(case.job.id, events)

    def _give_up(self, case: _Case, message: str) -> None:
        """Ends the job, unless more of its attempts are live: with them there will be another comparison."""
        self._world.log.warning("the attempts of a job cannot be compared", job=case.name, why=message)
        self._world.saver.add(case.job.id, GiveUp(Failure.UNDECIDED, message))

    # --- by numbers

    async def _groups(self, case: _Case, tolerance: Numeric) -> list[list[int]]:
        """For each attempt, those that agree with it, itself first."""
        left = {a.id.number: product(a, case.spec) for a in case.found}
        known: dict[frozenset[int], bool] = {}
        groups = []
        for one in case.numbers:
            group = [one]
            for other in case.numbers:
                pair = frozenset((one, other))
                if one != other and pair not in known:
                    known[pair] = await self._agree(left[one], left[other], tolerance)
                if one != other and known[pair]:
                    group.append(other)
            groups.append(group)
            if len(group) >= case.spec.replication.quorum:
                break
        return groups

    async def _agree(self, one: dict[File, Artifact], other: dict[File, Artifact], tolerance: Numeric) -> bool:
        if one.keys() != other.keys():
            return False
        for file, artifact in one.items():
            beside = other[file]
            if artifact.digest != beside.digest and not await alike(
                self._content(artifact), self._content(beside), tolerance
            ):
                return False
        return True

    async def _content(self, artifact: Artifact) -> AsyncIterator[bytes]:
        if artifact.inline is not None:
            yield artifact.inline
            return
        async for piece in self._world.storage.open(artifact.digest):
            yield piece

    # --- by a program

    async def _hear_validator(self, case: _Case, validator: Validator) -> None:
        """Acts on the validator's word, if it has ended; asks for one if there is none."""
        asked = self._asked.get(case.job.id)
        if asked is None:
            try:
                asked = await self._ask(case, validator)
            except JobgateError as error:
                if error.retryable:
                    raise
                self._give_up(case, f"no validator could be run: {error.message}")
                return
        view = await self._world.view(asked.validator)
        if not view.job.state.over:
            return
        self._asked.pop(case.job.id, None)
        self._judged.pop(asked.validator, None)
        called = f"the validator job {job_text(view.job.batch, view.job.id)}"
        if view.job.state is not JobState.SUCCEEDED:
            why = view.job.message or (f"exit code {view.job.exit_code}" if view.job.exit_code else "")
            self._give_up(case, f"{called} {view.job.state.value}{f': {why}' if why else ''}")
            return
        word = await self._word(view.job, view.attempts)
        try:
            lines = [[int(number) for number in line.split()] for line in word.decode().splitlines()]
        except ValueError:
            self._give_up(case, f"{called} wrote something else than numbers of attempts")
            return
        self._rule(case, asked.numbers, lines)

    async def _ask(self, case: _Case, validator: Validator) -> _Asked:
        """The validator of these attempts: submitted now, or found again. Raises what a submit raises."""
        key = f"{case.name}:{','.join(map(str, case.numbers))}"
        guard = Guard(key=key, body=Digest(hashlib.sha256(key.encode()).hexdigest()), scope=DIALECT, lives=_KEY_LIVES)
        submitted = await self._submit(
            case.job.owner,
            Submit(
                groups=(Group(validation(case.spec, case.found, validator)),),
                origin=Origin(dialect=DIALECT),
                name=f"validator of {case.name}",
                labels={VALIDATES: case.name},
                priority=case.job.priority,
                guard=guard,
            ),
        )
        asked = _Asked(submitted.jobs[0].id, case.numbers)
        self._asked[case.job.id] = asked
        self._judged[asked.validator] = case.job.id
        return asked

    async def _word(self, job: Job, attempts: Attempts) -> bytes:
        artifact = attempts[(job.canonical or len(attempts)) - 1].outputs[0]
        word = b""
        async for piece in self._content(artifact):
            word += piece
            if len(word) > _LONGEST_WORD:
                break
        return word[:_LONGEST_WORD]


def validation(spec: JobSpec, attempts: Sequence[Attempt], validator: Validator) -> JobSpec:
    """The job that compares `attempts`: what each left is below its number. Raises Invalid for a path too long."""
    inputs: dict[str, Input] = {}
    for attempt in attempts:
        number = attempt.id.number
        for (place, name), artifact in product(attempt, spec).items():
            path = f"{number}/{name if place < 0 else workspace_path(spec.outputs, artifact)}"
            inputs[path] = Input(path=path, source=_source(artifact), executable=bool(artifact.mode & 0o100))
    return JobSpec(
        steps=(Command(command=validator.command, program=validator.program, stdout=WORD),),
        inputs=tuple(inputs.values()),
        outputs=(Output(path=WORD, required=True),),
        place=Place(directories=tuple(str(attempt.id.number) for attempt in attempts), own=spec.place.own),
    )


def _source(artifact: Artifact) -> FileRef:
    return Stored(artifact.digest, artifact.size) if artifact.inline is None else Inline(artifact.inline)
