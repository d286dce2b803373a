"""A job of another dialect in the words of this one, as far as they reach."""

from __future__ import annotations

import shlex

from msgspec import UNSET, UnsetType

from jobgate.dialects.charity_engine.wire import Document, InputFile, Specs
from jobgate.model.files import Inline, Input, Remote, Stored
from jobgate.model.job import AppRef, Argv, ImageRef, Program, Step
from jobgate.model.outcomes import JobView
from jobgate.model.resources import MIB

SHELL = ("sh", "-c")


def document(view: JobView) -> Document:
    """What can be said of it; what has no counterpart is left out."""
    spec, resources = view.spec, view.spec.resources
    return Document(
        app=view.batch.app or _app(spec.steps[0].program),
        command_line=_command(spec.steps),
        specs=Specs(
            vcpus=max(1, round(resources.cores)) if resources.cores else UNSET,
            ram=-(-resources.memory // MIB) or UNSET,
            disk=-(-resources.disk // MIB) or UNSET,
            network_download=-(-resources.traffic_in // MIB),
            network_upload=-(-resources.traffic_out // MIB),
        ),
        hours=UNSET if resources.walltime is None else resources.walltime / 3600.0,
        use_own_devices=spec.place.own,
        tag=view.batch.labels.get("tag", UNSET),
        input_files=tuple(_input(item) for item in spec.inputs),
    )


def _app(program: Program) -> str | UnsetType:
    match program:
        case AppRef(name):
            return name
        case ImageRef(name, archive):
            return f"docker:{name} {archive}".rstrip()
        case _:
            return UNSET


def _command(steps: tuple[Step, ...]) -> str | UnsetType:
    """One command as a line for the shell; of several, or of a script, there is none."""
    command = steps[0].command
    if len(steps) > 1 or not isinstance(command, Argv):
        return UNSET
    if command.words[:2] == SHELL and len(command.words) == len(SHELL) + 1:
        return command.words[-1]
    return shlex.join(command.words)


def _input(item: Input) -> InputFile:
    match item.source:
        case Remote(url=url, size=size, digest=digest):
            return InputFile(
                filename=item.path,
                url=url,
                size=UNSET if size is None else size,
                sha256=UNSET if digest is None else digest,
            )
        case Stored(digest, size):
            return InputFile(filename=item.path, hash=digest, size=size)
        case Inline(content):
            return InputFile(filename=item.path, size=len(content))
        case _:
            return InputFile(filename=item.path)
