"""A made-up server behind the dialect: some batches and jobs in every state, and what becomes of each operation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from msgspec.structs import replace

from jobgate.dialects.boinc.routes import Boinc
from jobgate.dialects.dialect import Call, Reply, Setup, Stream
from jobgate.model.attempt import Attempt, AttemptId, Exit, Usage
from jobgate.model.catalogue import App, Catalogue
from jobgate.model.credit import Ledger
from jobgate.model.errors import (
    Conflict,
    Forbidden,
    Invalid,
    JobgateError,
    NotFound,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from jobgate.model.files import Artifact, Output, Stored
from jobgate.model.ids import STRIDE, AccountId, BatchId, Digest, EnvironmentName, JobId, JobName, SpecId
from jobgate.model.job import Argv, Batch, Job, JobSpec, Origin, Replication, Step
from jobgate.model.operations import (
    Called,
    Cancel,
    Estimate,
    Find,
    FindBatches,
    Known,
    KnownJob,
    Load,
    Members,
    Operation,
    Programs,
    Renew,
    Retire,
    Submit,
)
from jobgate.model.outcomes import (
    Changed,
    Counted,
    Estimated,
    Found,
    FoundBatches,
    JobView,
    Loaded,
    Offered,
    Outcome,
    Portion,
    Streamed,
    Submitted,
)
from jobgate.model.selectors import BatchCalled, Ids, JobCalled
from jobgate.model.state import AttemptState, Failure, JobState, Limit, Verdict
from jobgate.model.storing import AskStaged, Stage, Staged
from jobgate.model.template import InputSlot, OutputSlot, Template

NOW: Final = 1_760_000_000.0
OWNER: Final = AccountId(7)
CONDOR: Final = "condor#host.domain#App#1470046242"
DIGEST: Final = Digest("ab" * 32)
FILE: Final = Stored(DIGEST, 5)
PLAIN: Final = Replication(errors=1, successes=1, total=1)
HERE: Final = EnvironmentName("local")
Stands = JobState | tuple[JobState, list[dict[str, Any]]]
"""Where a job stands, and its attempts."""

CATALOGUE: Final = Catalogue(
    apps={
        "uppercase": App(
            name="uppercase",
            command=("uppercase",),
            template=Template(inputs=(InputSlot(path="in"),), outputs=(OutputSlot(path="out", limit=4_000_000),)),
        ),
        "plain": App(name="plain", command=("true",)),
        "old": App(name="old", command=("true",), deprecated=True),
    }
)

ERRORS: Final[Mapping[str, JobgateError]] = {
    "forbidden": Forbidden("this account may not"),
    "unauthenticated": Unauthenticated("no such credential"),
    "not-empty": Conflict("the batch has jobs", code="not-empty"),
    "too-many-jobs": TooMany("an account may have 10 live jobs", code="too-many-jobs"),
    "name-taken": Conflict("there is a job twice already", code="name-taken"),
    "immutable": Conflict("that name holds another content", code="immutable", field="a.dat"),
    "host-file": Invalid("the file is none", code="host-file", field="inputs", about="/etc/passwd"),
    "copy-failed": Invalid("it could not be copied", code="copy-failed", field="inputs", about="http://h/x"),
    "no-user-file": NotFound("there is no stored file", code="file-not-found", about="mine.dat"),
    "no-staged-file": NotFound("there is no staged file 'x'", code="file-not-found", field="x"),
    "unavailable": Unavailable("the database is busy"),
    "full": Unavailable("the disk is full to its floor; nothing new is taken", code="storage-full"),
    "not-open": NotFound("there is no app 'uppercase' here", code="app-not-found"),
    "fault": JobgateError("Traceback: a secret"),
    "invalid": Invalid("inputs[0]: <b>no</b> & never\r\nso", field="inputs[0]"),
}
"""What the model may raise, by the word a recorded exchange uses for it."""


def _attempt(job: JobId, batch: BatchId, number: int, state: AttemptState, **more: Any) -> Attempt:
    return Attempt(
        id=AttemptId(batch, job, number),
        state=state,
        environment=HERE,
        created=NOW - 60.0,
        usage=Usage(1.5, 2.5),
        **more,
    )


class World:
    """What is there, and `asked`: the last operation that came."""

    def __init__(self) -> None:
        self.asked: Operation | None = None
        self.batches: dict[int, tuple[Batch, list[JobView]]] = {}
        self._add(33, "empty", JobState.HELD)
        self._add(1001, CONDOR, *_CONDOR)
        self._add(2001, "over", *_OVER, expires=NOW + 3600.5)
        self._add(3001, "stopped", JobState.CANCELLED, cancelled=NOW - 5.0)
        self._add(4001, "retired", JobState.SUCCEEDED, retired=NOW - 1.0)

    def _add(
        self, number: int, name: str, *jobs: JobState | tuple[JobState, list[dict[str, Any]]], **more: Any
    ) -> None:
        first = BatchId(number * STRIDE * 1000)
        there = [] if name == "empty" else list(jobs)
        batch = Batch(
            id=first,
            owner=OWNER,
            count=len(there),
            origin=Origin(dialect="boinc"),
            created=NOW - 100.0,
            name=name,
            app="uppercase",
            number=number,
            first=number,
            room=0 if there else 1000,
            **more,
        )
        views = [_view(batch, at, job) for at, job in enumerate(there)]
        self.batches[number] = batch, views

    # --- what comes of an operation

    def counted(self, number: int) -> Counted:
        batch, views = self.batches[number]
        states = [view.job.state for view in views]
        ended = [view.job.ended for view in views if view.job.ended]
        return Counted(
            batch=batch,
            counts={state: states.count(state) for state in set(states)},
            ended=max(ended, default=None),
            ledger=Ledger(estimate=145e9 * 200 / 86_400e9, canonical=0.0231481481, total=0.0462962963, cpu_seconds=4.5),
            est_end=NOW + 50.0 if number == 1001 else None,
        )

    def answer(self, operation: Operation) -> Outcome:  # one line for each operation
        """Raises what the operation's own words raise."""
        match operation:
            case Called():
                known = Known(
                    tuple(self._batch(called) for called in operation.batches),
                    tuple(self._job(called) for called in operation.jobs),
                )
                return self.answer(operation.then(known))
            case Submit():
                batch = replace(self.batches[33][0], number=17 if operation.into is None else 33)
                self.asked = operation
                return Submitted(batch=batch, counted=Counted(batch=batch, counts={}), jobs=())
            case Estimate():
                jobs = sum(group.count * group.spec.resources.operations for group in operation.groups)
                return Estimated(environment=HERE, start=None, run=None, end=None, cost=None, seconds=jobs / 1e9)
            case Find(selector=Ids(jobs=names), tail=tail):
                views = [view for _, views in self.batches.values() for view in views if _name(view) in names]
                return Found(jobs=tuple(replace(view, tail=b'a < b & "c"\n\x1b' if tail else None) for view in views))
            case FindBatches():
                return FoundBatches(batches=tuple(self.counted(n) for n in reversed(self.batches) if n != 4001))
            case Members():
                return Streamed(at=NOW + 0.25, portions=self._portions(operation))
            case Load():
                return Loaded(waiting=3, running=2)
            case AskStaged():
                self.asked = operation
                return Staged(absent=tuple(at for at, name in enumerate(operation.names) if name != "there.dat"))
            case Stage():
                self.asked = operation
                return Staged()
            case Programs():
                return Offered(CATALOGUE)
            case Cancel():
                self.asked = operation
                return Changed(done=())
            case Retire() | Renew():
                self.asked = operation
                return self.counted(1001)
            case _:
                raise AssertionError(operation)

    def _batch(self, called: BatchCalled) -> Batch | None:
        if called.number:
            return self.batches[called.number][0] if called.number in self.batches else None
        return next((batch for batch, _ in self.batches.values() if batch.name == called.name), None)

    def _job(self, called: JobCalled) -> KnownJob | None:
        for batch, views in self.batches.values():
            for at, view in enumerate(views):
                place, attempt = divmod(called.number - batch.first, 16)
                if (called.number and place == at) or (not called.number and view.name == called.name):
                    return KnownJob(_name(view), attempt if called.number else 0)
        return None

    async def _portions(self, asked: Members) -> AsyncIterator[Portion]:
        for ident in asked.batches:
            (number,) = [n for n, (batch, _) in self.batches.items() if batch.id == ident]
            views = [view for view in self.batches[number][1] if asked.since is None or view.name.endswith(("2", "3"))]
            stands = self.counted(number)
            yield Portion(stands, tuple(views[:2]), begins=True, total=len(views))
            for view in views[2:]:
                yield Portion(stands, (view,))


SPEC: Final = JobSpec(
    steps=(Step(command=Argv(("uppercase",))),), outputs=(Output(path="out"), Output(path="log")), replication=PLAIN
)
FILES: Final = (Artifact("log", DIGEST, 3, output=1), Artifact("out", DIGEST, 12))
ENDED: Final[dict[str, Any]] = {"state": AttemptState.ENDED}
_CONDOR: Final[tuple[Stands, ...]] = (
    (JobState.SUCCEEDED, [{**ENDED, "exit": Exit(0), "outputs": FILES}]),
    (JobState.FAILED, [{**ENDED, "exit": Exit(3), "failure": Failure.PROGRAM}]),
    (JobState.RUNNING, [{"state": AttemptState.RUNNING}]),
    (JobState.QUEUED, []),
    (JobState.CANCELLED, []),
)
_OVER: Final[tuple[Stands, ...]] = (
    (
        JobState.SUCCEEDED,
        [
            {**ENDED, "exit": Exit(0), "verdict": verdict}
            for verdict in (
                *(Verdict.VALID, Verdict.PENDING, Verdict.INVALID, Verdict.INCONCLUSIVE, Verdict.TOO_LATE),
                *(Verdict.UNNEEDED, Verdict.NONE),
            )
        ],
    ),
    (
        JobState.FAILED,
        [
            {"state": AttemptState.OFFERED},
            {"state": AttemptState.RUNNING},
            {"state": AttemptState.COLLECTING},
            {"state": AttemptState.LOST, "failure": Failure.LOST},
            *({**ENDED, "exit": Exit(9), "failure": failure} for failure in Failure if failure is not Failure.LOST),
            {**ENDED, "failure": Failure.LIMIT, "limit": Limit.OUTPUT},
        ],
    ),
)


def _view(batch: Batch, at: int, of: Stands) -> JobView:
    state, given = of if isinstance(of, tuple) else (of, [])
    ident = JobId(batch.id + at * STRIDE)
    failed = state is JobState.FAILED
    job = Job(
        id=ident,
        batch=batch.id,
        owner=OWNER,
        spec=SpecId(1),
        state=state,
        created=batch.created,
        ended=NOW - 10.0 + at if state.over else None,
        failure=Failure.PROGRAM if failed else None,
        canonical=1 if state is JobState.SUCCEEDED and given else None,
        version=4,
    )
    attempts = tuple(_attempt(ident, batch.id, number, **one) for number, one in enumerate(given, 1))
    name = f"{batch.name}#18.{at}"
    return JobView(job=job, batch=batch, spec=SPEC, attempts=attempts, name=name)


def _name(view: JobView) -> JobName:
    return JobName(view.batch.id, view.job.id)


def _ref(name: str) -> str:
    return f"<file_ref><open_name>{name}</open_name></file_ref>"


TWO_IN: Final = (
    f"<input_template><file_info/><file_info></file_info><workunit>{_ref('a')}{_ref('b')}</workunit></input_template>"
).encode()
TWO_OUT: Final = f"<output_template><file_info/><result>{_ref('o')}</result></output_template>".encode()


def dialect(*, legacy: bool = False, **settings: Any) -> Boinc:
    """The dialect, set up as the made-up server has it."""
    return Boinc(
        Setup(
            prefix="/boinc",
            variant="legacy" if legacy else "",
            catalogue=CATALOGUE,
            settings=settings,
            templates={"two_in": TWO_IN, "two_out": TWO_OUT},
        )
    )


def ask(spoken: Boinc, world: World, call: Call, raises: str = "") -> Reply:
    """What the front would do with a call; `raises` is what the model raises for it."""
    try:
        proof = spoken.credential(call)
        if raises == "unauthenticated" and proof is not None:
            raise ERRORS[raises]
        operation = spoken.decode(call).operation
        if raises and not isinstance(operation, Called):
            raise ERRORS[raises]
        if raises and isinstance(operation, Called):
            known = Known(tuple(map(world._batch, operation.batches)), tuple(map(world._job, operation.jobs)))  # noqa: SLF001  # its own
            operation.then(known)
            raise ERRORS[raises]
        return _whole(spoken.encode(call, world.answer(operation)))
    except JobgateError as error:
        return spoken.refuse(call, error)


def _whole(reply: Reply) -> Reply:
    """The reply with a stream's pieces put together."""
    if not isinstance(reply.body, Stream):
        return reply
    stream = reply.body

    async def gathered() -> bytes:
        return b"".join([stream.head, *[stream.encode(item) async for item in stream.items], stream.tail])

    return replace(reply, body=asyncio.run(gathered()))


def call(request: bytes, endpoint: str = "submit_rpc_handler", files: int = 0) -> Call:
    """A POST of that document, with so many files."""
    parts = tuple((f"file_{at}", FILE) for at in range(files))
    return Call(verb=endpoint, fields={"request": request}, parts=parts, now=NOW)
