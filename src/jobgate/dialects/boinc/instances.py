"""The calls about single jobs, and about templates [BOINC, sections 7.1, 7.8, 7.9, 7.11 and 7.14]."""

from __future__ import annotations

from typing import Final
from xml.sax.saxutils import escape

from jobgate.dialects.boinc import states
from jobgate.dialects.boinc.batches import numbers
from jobgate.dialects.boinc.jobs import Words
from jobgate.dialects.boinc.rpc import DONE, Rpc, named
from jobgate.dialects.boinc.templates import written
from jobgate.dialects.boinc.xml import Element, plain, tag
from jobgate.dialects.dialect import Ask, Call
from jobgate.model.attempt import Attempt
from jobgate.model.errors import Invalid, NotFound
from jobgate.model.files import Remote
from jobgate.model.job import JobSpec
from jobgate.model.numbers import of_attempt
from jobgate.model.operations import Called, Cancel, Find, Known, Load, Operation, Programs
from jobgate.model.outcomes import Found, JobView, Offered, Outcome
from jobgate.model.selectors import Ids, JobCalled
from jobgate.model.state import JobState
from jobgate.model.template import InputSlot, OutputSlot, Template

STDERR: Final = 65_536
"""Bytes of a job's output that `stderr_out` tells, its last."""


def _ping(words: Words, root: Element, call: Call) -> Ask:
    """It asks the database too: a server that cannot be used is not there."""
    del words, root, call
    return Ask(operation=Load())


def _pong(words: Words, root: Element, outcome: Outcome) -> str:
    del words, root, outcome
    return DONE


def of_job(called: JobCalled, *, tail: int = 0, unknown: str = "no such job") -> Called:
    """That one job, with its instances."""

    def meant(known: Known) -> Operation:
        (job,) = known.jobs
        if job is None:
            raise NotFound(unknown, code="job-not-found")
        return Find(selector=Ids((job.name,)), tail=tail)

    return Called(jobs=(called,), then=meant)


def found(outcome: Outcome) -> JobView:
    """The one job of an answer. Raises NotFound when it was deleted since it was looked up."""
    assert isinstance(outcome, Found)  # noqa: S101  # the answer to a Find
    if not outcome.jobs:
        raise NotFound("no such job", code="job-not-found")
    return outcome.jobs[0]


def _look(words: Words, root: Element, call: Call) -> Ask:
    del words, call
    number = root.integer("job_id")
    if number <= 0:
        raise NotFound("no such job", code="job-not-found")
    return Ask(operation=of_job(JobCalled(number=number)))


def _looked(words: Words, root: Element, outcome: Outcome) -> str:
    del words, root
    view = found(outcome)
    number, _ = numbers(view)
    return "".join(_instance(view, number, attempt) for attempt in view.attempts)


def _instance(view: JobView, number: int, attempt: Attempt) -> str:
    told = (
        tag("name", f"{view.called}_{attempt.id.number - 1}")
        + tag("id", of_attempt(number, attempt.id.number))
        + tag("state", states.of_attempt(view, attempt))
    )
    if attempt.state.over:
        files = sorted(attempt.outputs, key=lambda artifact: (artifact.output, artifact.path))
        told += "".join(f"<outfile>\n{tag('size', artifact.size)}</outfile>\n" for artifact in files)
    return f"<instance>\n{told}</instance>\n"


def _complete(words: Words, root: Element, call: Call) -> Ask:
    del words, call
    name = root.word("job_name")
    if not name:
        raise NotFound("no such job", code="job-not-found")
    return Ask(operation=of_job(JobCalled(name=name), tail=STDERR))


def _completed(words: Words, root: Element, outcome: Outcome) -> str:
    """Of a job that is not over nothing but an error mask of 0: some clients take any exit status for its end."""
    del words, root
    view = found(outcome)
    mask, _ = states.errors(view)
    told = tag("error_mask", mask)
    attempt, which = _of_result(view)
    if attempt is not None:
        number, _ = numbers(view)
        told += tag(which, of_attempt(number, attempt.id.number))
        told += tag("exit_status", attempt.exit.code if attempt.exit is not None else 0)
        told += tag("elapsed_time", float(attempt.usage.wall_seconds))
        told += tag("cpu_time", float(attempt.usage.cpu_seconds))
        told += f"<stderr_out><![CDATA[\n{_doubly(view.tail or b'')}    ]]></stderr_out>\n"
    return f"<completed_job>\n{told}</completed_job>\n"


def _of_result(view: JobView) -> tuple[Attempt | None, str]:
    """The instance whose result is told, and as what: the canonical one, or the last that failed."""
    if view.job.state is JobState.SUCCEEDED and view.job.canonical:
        return view.attempts[view.job.canonical - 1], "canonical_resultid"
    if view.job.state.over:
        return states.last_over(view.attempts), "error_resultid"
    return None, ""


def _doubly(log: bytes) -> str:
    """Entities inside of CDATA: the C++ client decodes them after it has taken the section."""
    return escape(plain(log.decode("utf-8", "replace")), {'"': "&quot;"})


# --- stopping


def _abort(words: Words, root: Element, call: Call) -> Ask:
    del words, call
    names = tuple(dict.fromkeys(named(root, "job_name")))
    if not any(names):
        raise Invalid("no job named", code="job-not-found")

    def meant(known: Known) -> Operation:
        for name, job in zip(names, known.jobs, strict=True):
            if job is None:
                raise NotFound(f"no job {name}", code="job-not-found")
        ids = Ids(tuple(job.name for job in known.jobs if job is not None))
        return Cancel(selector=ids, message="aborted by its owner")

    return Ask(operation=Called(jobs=tuple(JobCalled(name=name) for name in names), then=meant))


# --- templates


def _templates(words: Words, root: Element, call: Call) -> Ask:
    del call
    if name := root.word("job_name"):
        return Ask(operation=of_job(JobCalled(name=name), unknown=f"job not found: {name}"))
    words.app(root.word("app_name"))
    return Ask(operation=Programs())


def _tell_templates(words: Words, root: Element, outcome: Outcome) -> str:
    if isinstance(outcome, Found):
        template = of_spec(found(outcome).spec)
    else:
        assert isinstance(outcome, Offered)  # noqa: S101  # the answer to Programs
        app = outcome.catalogue.app(root.word("app_name"))  # raises NotFound for one that is not the asker's
        template = words.standard(app)
    return f"<templates>\n{written(template)}</templates>\n"


def of_spec(spec: JobSpec) -> Template:
    """The templates that would make such a job, whichever API it came by."""
    return Template(
        inputs=tuple(
            InputSlot(path=one.path, url=one.source.url, size=one.source.size or 0, md5=one.source.md5 or "")
            if isinstance(one.source, Remote) and one.source.size and one.source.md5
            else InputSlot(path=one.path)
            for one in spec.inputs
        ),
        outputs=tuple(OutputSlot(path=one.path, limit=one.limit, optional=not one.required) for one in spec.outputs),
        resources=spec.resources,
        replication=spec.replication,
        credit=spec.credit,
    )


RPCS: Final = (
    Rpc(name="ping", ask=_ping, tell=_pong),
    Rpc(name="query_job", ask=_look, tell=_looked, legacy="job"),
    Rpc(name="query_completed_job", ask=_complete, tell=_completed),
    Rpc(name="abort_jobs", ask=_abort, tell=_pong, large=True),
    Rpc(name="get_templates", ask=_templates, tell=_tell_templates, submits=True),
)
