"""From an app's template, and what one job says, to the job's spec [BOINC, section 6]."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from jobgate.model.catalogue import App
from jobgate.model.errors import Invalid
from jobgate.model.files import (
    Copied,
    FileRef,
    Given,
    HostFile,
    Inline,
    Input,
    Output,
    Remote,
    StagedFile,
    UserFile,
)
from jobgate.model.job import AppRef, Argv, JobSpec, Place, Replication, Retry, Step
from jobgate.model.resources import Resources
from jobgate.model.template import InputSlot, Template, words

NONE: Final = Template()
"""Of an app that has none."""


class Brought(msgspec.Struct, frozen=True, gc=False):
    """A file that a job brings."""

    source: FileRef
    name: str = ""
    """What it is called, for a slot that does not say; empty: what its source calls it."""

    @property
    def called(self) -> str:
        """Its name, or the last part of what its source calls it, or for mere content its MD5 [BOINC 5.1]; or empty."""
        if self.name:
            return self.name
        match self.source:
            case StagedFile(name) | UserFile(name=name) | HostFile(name):
                return name.rpartition("/")[2]
            case Remote(url) | Copied(url):
                return unquote(urlsplit(url).path).rpartition("/")[2]
            case Inline(content) | Given(content):
                return f"jf_{hashlib.md5(content, usedforsecurity=False).hexdigest()}"
            case _:
                return ""


class Binder:
    """Makes the specs of jobs of one app by one template; what they have in common is made once.

    `template` takes the place of the app's own. Raises NotFound (`app-version-not-found`) for a version it has not.
    """

    def __init__(
        self, app: App, template: Template | None = None, *, version: int = 0, licence_accepted: bool = False
    ) -> None:
        self.template = template or app.template or NONE
        self.program = AppRef(app.name, licence_accepted, version)
        self.outputs = tuple(
            Output(path=slot.path, required=not slot.optional, limit=slot.limit) for slot in self.template.outputs
        )
        self._app = app.at(version)
        self._slots = tuple((slot, _constant(slot)) for slot in self.template.inputs)
        self.charge = app.charge

    def command(self, arguments: str | Sequence[str] | None = None) -> Argv:
        """The app's command and the job's arguments, or else the template's.

        Raises Invalid (`no-command`) when the app has no command that arguments could follow.
        """
        if not self._app.command:
            told = f"the app {self._app.name} has no command of its own that arguments could follow; give a command"
            raise Invalid(told, code="no-command", field="command")
        given = self.template.arguments if arguments is None else arguments
        return Argv((*self._app.command, *(words(given) if isinstance(given, str) else given)))

    def inputs(self, files: Sequence[Brought] = ()) -> tuple[Input, ...]:
        """The slots, filled in order. Raises Invalid (`wrong-number`, `no-name`, `same-name`)."""
        wanted = self.template.wanted
        if len(files) != wanted:
            told = f"wrong number of files: need {wanted}, got {len(files)}"
            raise Invalid(told, code="wrong-number", field="files")
        inputs, place = [], 0
        for slot, constant in self._slots:
            file = constant or files[place]
            path = slot.path or file.called
            field = f"files[{place}]" if constant is None else "template.inputs"
            if not path:
                raise Invalid(f"{field}: it needs a name; its slot has none", code="no-name", field=field)
            try:
                inputs.append(Input(path=path, source=file.source, executable=slot.executable))
            except Invalid as error:
                raise Invalid(f"{field}: {error.message}", code=error.code, field=field) from None
            place += constant is None
        if len(inputs) > 1:
            _different(inputs)
        return tuple(inputs)

    def bind(  # noqa: PLR0913  # what a job may say itself
        self,
        files: Sequence[Brought] = (),
        arguments: str | Sequence[str] | None = None,
        *,
        resources: Resources = Resources(),  # noqa: B008  # frozen
        replication: Replication | None = None,
        credit: float | None = None,
        place: Place = Place(),  # noqa: B008  # frozen
        retry: Retry = Retry(),  # noqa: B008  # frozen
    ) -> JobSpec:
        """The job's spec; its own words win over the template's. Raises Invalid as `command` and `inputs` do."""
        return self.whole(
            files,
            arguments,
            resources=resources.over(self.template.resources),
            replication=replication,
            credit=credit,
            place=place,
            retry=retry,
        )

    def whole(  # noqa: PLR0913  # what a job may say itself
        self,
        files: Sequence[Brought] = (),
        arguments: str | Sequence[str] | None = None,
        *,
        resources: Resources,
        replication: Replication | None = None,
        credit: float | None = None,
        place: Place = Place(),  # noqa: B008  # frozen
        retry: Retry = Retry(),  # noqa: B008  # frozen
    ) -> JobSpec:
        """As `bind`, where `resources` are all that there is to say of them: the template's do not count."""
        template = self.template
        return JobSpec(
            steps=(Step(command=self.command(arguments), program=self.program),),
            inputs=self.inputs(files),
            outputs=self.outputs,
            resources=resources,
            retry=retry,
            replication=replication or template.replication,
            place=place,
            charge=self.charge,
            credit=template.credit if credit is None else credit,
        )


def bind(
    app: App,
    template: Template | None,
    files: Sequence[Brought],
    arguments: str | Sequence[str] | None = None,
    *,
    version: int = 0,
) -> JobSpec:
    """One job's spec. See `Binder`, which is for many."""
    return Binder(app, template, version=version).bind(files, arguments)


def _different(inputs: Sequence[Input]) -> None:
    """Raises Invalid (`same-name`)."""
    paths = [item.path for item in inputs]
    if len(set(paths)) < len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise Invalid(f"files: two of them would be {twice!r}", code="same-name", field="files")


def _constant(slot: InputSlot) -> Brought | None:
    """The file that is the same for every job; None where the job brings it."""
    if slot.file:
        return Brought(StagedFile(slot.file))
    if slot.url:
        return Brought(Remote(slot.url, size=slot.size or None, md5=slot.md5 or None))
    return None
