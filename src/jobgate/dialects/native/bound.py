"""Jobs that give arguments and files alone: their app's command and template say the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from jobgate.dialects.native.wire import JobDraft
from jobgate.model.binding import Binder, Brought
from jobgate.model.catalogue import Catalogue
from jobgate.model.errors import Invalid
from jobgate.model.files import FileRef
from jobgate.model.job import JobSpec, Replication

_KEPT: Final = 64
"""Apps that one request's jobs are made by, and remembered."""


class Apps:
    """The operator's catalogue as an account sees it; without a name, as it is."""

    def __init__(self, catalogue: Catalogue | None = None, account: str = "") -> None:
        self._catalogue = Catalogue() if catalogue is None else catalogue
        self._account = account or None
        self._binders: dict[tuple[str, int], Binder] = {}

    def binder(self, draft: JobDraft) -> Binder:
        """What makes jobs of the draft's app. Raises Invalid (`one-of`), NotFound (`app-not-found`)."""
        if draft.app is UNSET:
            raise Invalid("app: arguments and files are for an app; name it", code="one-of", field="app")
        key = draft.app, draft.app_version
        found = self._binders.get(key)
        if found is None:
            if len(self._binders) >= _KEPT:
                self._binders.clear()
            app = self._catalogue.app(draft.app, self._account)
            found = self._binders[key] = Binder(app, version=draft.app_version)
        return found


def is_bound(draft: JobDraft) -> bool:
    """Whether its app says what runs."""
    return draft.arguments is not UNSET or bool(draft.files)


def bound(draft: JobDraft, binder: Binder, files: Sequence[FileRef], make: Callable[[JobDraft], JobSpec]) -> JobSpec:
    """The spec. `make` makes that of a draft with a command; what this one says itself is added, and wins.

    Raises Invalid.
    """
    if draft.command is not UNSET or draft.script is not UNSET:
        told = "a job has one of command, script, and arguments with files"
        raise Invalid(told, code="one-of", field="arguments")
    arguments = None if draft.arguments is UNSET else draft.arguments
    brought = [Brought(source, item.name) for source, item in zip(files, draft.files, strict=True)]
    template, inputs = binder.template, binder.inputs(brought)
    words = binder.command(arguments).words
    spec = make(replace(draft, command=words, arguments=UNSET, files=()))
    several = template.replication if template.replication.replicas > 1 else Replication()
    return replace(
        spec,
        steps=(replace(spec.steps[0], program=binder.program),),
        inputs=(*inputs, *spec.inputs),
        outputs=(*binder.outputs, *spec.outputs),
        resources=spec.resources.over(template.resources),
        replication=spec.replication if spec.replication != Replication() else several,
        credit=template.credit,
        charge=binder.charge,
    )
