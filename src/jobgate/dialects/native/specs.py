"""From a job as it is written to what it is: fast where all is well, and every fault where not.

A request may hold 100,000 jobs, each with a command of its own and the rest alike: the rest is made once and shared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, TypeVar

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from jobgate.dialects.native.bound import Apps, bound, is_bound
from jobgate.dialects.native.wire import FileDraft, InputDraft, JobDraft, OutputDraft, size
from jobgate.dialects.native.wire_replicas import ReplicationDraft, replication
from jobgate.dialects.reading import address, member
from jobgate.model.errors import Invalid
from jobgate.model.files import FileRef, Inline, Input, Output, Remote, UserFile, check_path, check_segment
from jobgate.model.ids import Digest, EnvironmentName, FolderId
from jobgate.model.job import (
    AppRef,
    Argv,
    Command,
    Host,
    ImageRef,
    JobSpec,
    Place,
    Program,
    Replication,
    Retry,
    Script,
    Step,
    Value,
)
from jobgate.model.resources import Gpu, Network, Resources
from jobgate.model.state import Failure

UPLOADS: Final = FolderId(0)
"""The owner's own uploads, whichever number that folder has."""
RETRIED: Final = frozenset({Failure.PROGRAM, Failure.LOST, Failure.PREEMPTED, Failure.ENGINE})
"""What `tries` tries again."""
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAME: Final = 100
"""Characters of a variable's name that are said again."""
_HOST: Final = Host()
_NO_NAMES: Final = frozenset[str]()
_NOTHING: Final[dict[str, Any]] = {}
"""One for all jobs: an empty dict of its own would be a tenth of a job."""
_KEPT: Final = 1024
"""Different lists of outputs that are remembered."""

Key = tuple[
    float,
    int | str,
    int | str,
    int,
    float | UnsetType,
    Network,
    int,
    str | UnsetType,
    float,
    ReplicationDraft | UnsetType,
]
Shared = tuple[Resources, Retry, Place, Replication]
T = TypeVar("T")


class Specs:
    """Makes the specs of one request; `secrets` are the credentials found on the way, by name."""

    def __init__(self, apps: Apps | None = None) -> None:
        self._apps = Apps() if apps is None else apps
        self.secrets: dict[str, str] = {}
        self._shared: dict[Key, Shared] = {}
        self._outputs: dict[tuple[OutputDraft, ...], tuple[Output, ...]] = {(): ()}

    def spec(self, draft: JobDraft, place: int, parameters: Mapping[str, Value] = _NOTHING) -> JobSpec:
        """The draft, the one at `place` in its request, as a spec. Raises Invalid for a fault; `faults` has all."""
        if draft.arguments is not UNSET or draft.files:
            return self._bound(draft, place, parameters)
        if draft.env:
            _environment(draft.env)
        outputs = self._outputs.get(draft.outputs)
        if outputs is None:
            made = tuple(_output(item, f"outputs[{i}]") for i, item in enumerate(draft.outputs))
            if len(self._outputs) >= _KEPT:
                self._outputs = {(): ()}
            outputs = self._outputs[draft.outputs] = made
        step = Step(
            command=_command(draft),
            program=_HOST if draft.app is UNSET is draft.image else _program(draft),
            env=draft.env or _NOTHING,
            late_env=_NOTHING,
            secret_env=_NOTHING,
            workdir=draft.workdir and _inside(draft.workdir, "workdir"),
            stdin=draft.stdin and _inside(draft.stdin, "stdin"),
        )
        resources, retry, where, rule = self._alike(draft)
        credit = None if draft.credit is UNSET else draft.credit
        if not draft.inputs:
            return JobSpec(
                steps=(step,),
                outputs=outputs,
                resources=resources,
                retry=retry,
                replication=rule,
                place=where,
                credit=credit,
                parameters=parameters,
            )
        inputs = tuple(self._input(item, i, place) for i, item in enumerate(draft.inputs))
        names = [item.source.secret for item in inputs if isinstance(item.source, Remote)]
        return JobSpec(
            steps=(step,),
            inputs=inputs,
            outputs=outputs,
            resources=resources,
            retry=retry,
            replication=rule,
            place=where,
            secrets=frozenset(name for name in names if name) or _NO_NAMES,
            credit=credit,
            parameters=parameters,
        )

    def _bound(self, draft: JobDraft, place: int, parameters: Mapping[str, Value]) -> JobSpec:
        """Of a job whose app says what runs. Raises Invalid, NotFound (`app-not-found`)."""
        if draft.image is not UNSET:
            _program(draft)
        files = [self._file(item, i, place) for i, item in enumerate(draft.files)]
        spec = bound(draft, self._apps.binder(draft), files, lambda plain: self.spec(plain, place, parameters))
        secrets = {source.secret for source in files if isinstance(source, Remote) and source.secret}
        return replace(spec, secrets=spec.secrets | secrets) if secrets else spec

    def _file(self, item: FileDraft, number: int, place: int) -> FileRef:
        try:
            return self._source(item, f"file-{place}-{number}")
        except Invalid as error:
            field = f"files[{number}].{error.field}" if error.field else f"files[{number}]"
            raise Invalid(error.message, code=error.code, field=field) from None

    def faults(self, draft: JobDraft, place: int) -> Iterator[Invalid]:
        """Every fault of a draft that `spec` refuses."""
        parts: list[Callable[[], object]] = [
            partial(self._bound, draft, place, _NOTHING) if is_bound(draft) else partial(_command, draft),
            partial(_program, draft),
            partial(_environment, draft.env),
            partial(_inside, draft.workdir or "x", "workdir"),
            partial(_inside, draft.stdin or "x", "stdin"),
            partial(size, draft.memory, "memory"),
            partial(size, draft.disk, "disk"),
            partial(replication, draft.replication),
            *(partial(self._input, item, i, place) for i, item in enumerate(draft.inputs)),
            *(partial(_output, item, f"outputs[{i}]") for i, item in enumerate(draft.outputs)),
        ]
        for part in parts:
            try:
                part()
            except Invalid as error:
                yield error

    def _alike(self, draft: JobDraft) -> Shared:
        """What many jobs of a request have alike."""
        key = (
            draft.cores,
            draft.memory,
            draft.disk,
            draft.gpus,
            draft.walltime,
            draft.network,
            draft.tries,
            draft.environment,
            draft.operations,
            draft.replication,
        )
        found = self._shared.get(key)
        if found is None:
            resources = Resources(
                cores=draft.cores,
                memory=size(draft.memory, "memory"),
                disk=size(draft.disk, "disk"),
                gpus=(Gpu(draft.gpus),) if draft.gpus else (),
                walltime=None if draft.walltime is UNSET else draft.walltime,
                network=draft.network,
                operations=draft.operations,
            )
            retry = Retry(tries=draft.tries, on=RETRIED if draft.tries > 1 else frozenset())
            place = Place(environment=None if draft.environment is UNSET else EnvironmentName(draft.environment))
            found = self._shared[key] = resources, retry, place, replication(draft.replication)
        return found

    def _input(self, item: InputDraft, number: int, place: int) -> Input:
        try:
            return Input(
                path=item.path, source=self._source(item, f"input-{place}-{number}"), executable=item.executable
            )
        except Invalid as error:  # the model names its own members, and they are called the same here
            field = f"inputs[{number}].{error.field}" if error.field else f"inputs[{number}]"
            raise Invalid(error.message, code=error.code, field=field) from None

    def _source(self, item: InputDraft | FileDraft, called: str) -> FileRef:
        """What it is; `called` is the secret that a password in its address becomes."""
        if sum(given is not UNSET for given in (item.content, item.url, item.upload, item.file)) != 1:
            raise Invalid("one of content, url, upload and file is needed", code="one-of")
        if item.content is not UNSET:
            return Inline(item.content.encode())
        if item.upload is not UNSET:
            return UserFile(UPLOADS, item.upload)
        if item.url is UNSET:
            return _of_folder(str(item.file))
        clean, secret = address(item.url, "url")
        name = None if secret is None else called
        if secret is not None and name is not None:
            self.secrets[name] = secret
        return Remote(
            url=clean,
            size=None if item.size is UNSET else item.size,
            digest=None if item.sha256 is UNSET else Digest(item.sha256),
            secret=name,
        )


def _of_folder(text: str) -> UserFile:
    """FOLDER/PATH. Raises Invalid."""
    folder, _, path = text.partition("/")
    check_segment(folder, "file")
    check_path(path, "file")
    return UserFile(UPLOADS, path, folder)


def app_name(draft: JobDraft) -> str:
    """What a batch of such jobs is listed under: the app or the image."""
    if draft.app is not UNSET:
        return draft.app
    return "" if draft.image is UNSET else draft.image


def _at(field: str, make: Callable[[], T]) -> T:
    """What `make` makes; its Invalid names `field`."""
    try:
        return make()
    except Invalid as error:
        raise Invalid(error.message, code=error.code, field=field) from None


def _output(draft: OutputDraft, field: str) -> Output:
    return _at(
        f"{field}.path",
        lambda: Output(
            path=draft.path, kind=draft.kind, keep=draft.keep, required=draft.required, limit=draft.max_bytes
        ),
    )


def _inside(path: str, field: str) -> str:
    """A path in the workspace."""
    return _at(field, lambda: Output(path=path).path)


def _command(draft: JobDraft) -> Command:
    if (draft.command is UNSET) == (draft.script is UNSET):
        raise Invalid("a job has one of command and script", code="one-of", field="command")
    if draft.command is not UNSET:
        return Argv(draft.command)
    text = str(draft.script)
    if not text.startswith("#!") or "\0" in text:
        raise Invalid("script: its first line names the interpreter: #!/bin/sh", field="script")
    return Script(text)


def _program(draft: JobDraft) -> Program:
    if draft.app is not UNSET and draft.image is not UNSET:
        raise Invalid("a job has at most one of app and image", code="one-of", field="image")
    if draft.app is not UNSET:
        return AppRef(draft.app, licence_accepted=draft.accept_licence, version=draft.app_version)
    return Host() if draft.image is UNSET else ImageRef(draft.image)


def _environment(env: Mapping[str, str]) -> None:
    for name, value in env.items():
        if not _VARIABLE.fullmatch(name):
            field = member("env", name[:_NAME])
            raise Invalid(f"{field}: names are letters, digits and _, and begin with no digit", field=field)
        if "\0" in value:
            field = member("env", name[:_NAME])
            raise Invalid(f"{field}: NUL is refused", field=field)
