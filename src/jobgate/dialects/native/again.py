"""From a spec back to the draft that would submit it again, where the native API can say all of it."""

from __future__ import annotations

from typing import Final, TypeVar

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from jobgate.dialects.native.specs import RETRIED
from jobgate.dialects.native.wire import InputDraft, JobDraft, OutputDraft
from jobgate.dialects.native.wire_replicas import replication_draft
from jobgate.model.files import Inline, Input, Output, Remote, Stored, UserFile
from jobgate.model.job import ONCE, AppRef, Argv, Host, ImageRef, JobSpec, Place, Retry, Step
from jobgate.model.resources import Gpu, Resources

T = TypeVar("T")
_UNSAID: Final = JobDraft()
"""A default is left out of the answer by being the same object, which another 0.0 is not."""
_PLAIN: Final = JobSpec(steps=(Step(command=Argv(("x",))),))


def draft_of(spec: JobSpec) -> JobDraft | None:
    """The draft; None for a job that another API brought with more than this one can say.

    Passwords of addresses are no part of a spec, and so of no draft.
    """
    if len(spec.steps) != 1 or not _sayable(spec):
        return None
    step, asked = spec.steps[0], spec.resources
    inputs = [_input(item) for item in spec.inputs]
    rule = replication_draft(spec.replication)
    if rule is None or any(item is None for item in inputs):
        return None
    return JobDraft(
        command=step.command.words if isinstance(step.command, Argv) else UNSET,
        script=UNSET if isinstance(step.command, Argv) else step.command.text,
        app=step.program.name if isinstance(step.program, AppRef) else UNSET,
        accept_licence=isinstance(step.program, AppRef) and step.program.licence_accepted,
        app_version=step.program.version if isinstance(step.program, AppRef) else 0,
        image=step.program.name if isinstance(step.program, ImageRef) else UNSET,
        env=dict(step.env),
        workdir=step.workdir,
        stdin=step.stdin,
        inputs=tuple(item for item in inputs if item is not None),
        outputs=tuple(_output(item) for item in spec.outputs),
        cores=asked.cores or _UNSAID.cores,
        memory=asked.memory,
        disk=asked.disk,
        gpus=sum(gpu.count for gpu in asked.gpus),
        walltime=UNSET if asked.walltime is None else asked.walltime,
        network=asked.network,
        environment=spec.place.environment or UNSET,
        tries=spec.retry.tries,
        operations=asked.operations,
        credit=_said(spec.credit),
        replication=rule,
    )


def _sayable(spec: JobSpec) -> bool:
    """Whether what no draft has is as a draft leaves it."""
    step, asked = spec.steps[0], spec.resources
    program = step.program
    plain_program = isinstance(program, Host | AppRef) or (isinstance(program, ImageRef) and not program.archive)
    bare = Step(command=step.command, program=program, env=step.env, workdir=step.workdir, stdin=step.stdin)
    resources = Resources(
        cores=asked.cores,
        memory=asked.memory,
        disk=asked.disk,
        gpus=(Gpu(sum(gpu.count for gpu in asked.gpus)),) if asked.gpus else (),
        walltime=asked.walltime,
        network=asked.network,
        operations=asked.operations,
    )
    retry = Retry(tries=spec.retry.tries, on=RETRIED if spec.retry.tries > 1 else frozenset())
    rest = replace(
        spec,
        steps=_PLAIN.steps,
        inputs=(),
        outputs=(),
        resources=Resources(),
        retry=Retry(),
        replication=ONCE,
        place=Place(),
        secrets=frozenset(),
        credit=None,
        parameters={},
    )
    return (
        plain_program
        and step == bare
        and asked == resources
        and spec.retry == retry
        and spec.place == Place(environment=spec.place.environment)
        and rest == _PLAIN
        and all(not output.name and not output.url for output in spec.outputs)
    )


def _input(item: Input) -> InputDraft | None:
    match item.source:
        case Inline(content):
            try:
                return InputDraft(path=item.path, content=content.decode(), executable=item.executable)
            except UnicodeDecodeError:
                return None
        case Stored(digest):
            return InputDraft(path=item.path, upload=digest, executable=item.executable)
        case UserFile(named="", name=name):
            return InputDraft(path=item.path, upload=name, executable=item.executable)
        case UserFile(named=folder, name=name):
            return InputDraft(path=item.path, file=f"{folder}/{name}", executable=item.executable)
        case Remote(url=url, size=size, digest=digest, md5=None):
            return InputDraft(
                path=item.path, url=url, size=_said(size), sha256=_said(digest), executable=item.executable
            )
        case _:
            return None


def _said(value: T | None) -> T | UnsetType:
    return UNSET if value is None else value


def _output(item: Output) -> OutputDraft:
    return OutputDraft(path=item.path, kind=item.kind, keep=item.keep, required=item.required, max_bytes=item.limit)
