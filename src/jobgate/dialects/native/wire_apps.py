"""The JSON objects about apps and images of the operator's catalogue."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from jobgate.model.catalogue import App
from jobgate.model.template import InputSlot, Template


class SlotView(Struct, frozen=True, kw_only=True):
    """An input of the app's jobs, in order."""

    path: str | UnsetType = UNSET
    """What the job sees it as; without it, what the file is called."""
    open: bool
    """The job brings the file; otherwise it is the same for every job."""
    file: str | UnsetType = UNSET
    """The staged file that every job gets."""
    url: str | UnsetType = UNSET
    """The address that every job fetches."""
    executable: bool | UnsetType = UNSET


class OutputSlotView(Struct, frozen=True, kw_only=True):
    """What is collected of the app's jobs, in order."""

    path: str
    max_bytes: int | UnsetType = UNSET
    optional: bool | UnsetType = UNSET
    """A job may leave it out."""


class TemplateView(Struct, frozen=True, kw_only=True):
    """What the app's jobs have in common that give arguments and files alone."""

    files: int
    """How many files a job brings: one for each open input."""
    inputs: tuple[SlotView, ...]
    outputs: tuple[OutputSlotView, ...]
    arguments: str | UnsetType = UNSET
    """Of a job that gives none."""
    cores: float | UnsetType = UNSET
    memory: int | UnsetType = UNSET
    disk: int | UnsetType = UNSET
    walltime: float | UnsetType = UNSET
    replicas: int | UnsetType = UNSET
    """Attempts of each job, where they are several."""
    quorum: int | UnsetType = UNSET
    """How many of them must agree."""


class AppView(Struct, frozen=True, kw_only=True):
    """A named program of the operator's catalogue."""

    name: str
    title: str | UnsetType = UNSET
    image: str | UnsetType = UNSET
    licence: bool | UnsetType = UNSET
    """The submitter must accept its licence."""
    licence_url: str | UnsetType = UNSET
    charge: float
    """Factor on an environment's price."""
    command: tuple[str, ...] | UnsetType = UNSET
    """What a job's `arguments` follow; without it the app takes none."""
    template: TemplateView | UnsetType = UNSET
    version: int
    """Number of the newest version."""
    versions: tuple[int, ...] | UnsetType = UNSET
    """Older ones that a job may name, the newest first."""
    deprecated: bool | UnsetType = UNSET
    """It takes no new jobs."""


class AppList(Struct, frozen=True, kw_only=True):
    """All that the account may use; there is no further page."""

    items: tuple[AppView, ...]
    next: None = None


class ImageView(Struct, frozen=True, kw_only=True):
    """A name that a job may give as its `image`."""

    name: str


class ImageList(Struct, frozen=True, kw_only=True):
    """All there are; there is no further page."""

    items: tuple[ImageView, ...]
    next: None = None


def app_view(app: App) -> AppView:
    """The app as it is listed."""
    return AppView(
        name=app.name,
        title=app.title or UNSET,
        image=app.image or UNSET,
        licence=app.licence or UNSET,
        licence_url=app.licence_url or UNSET,
        charge=app.charge,
        command=app.command or UNSET,
        template=UNSET if app.template is None else _template(app.template),
        version=app.version,
        versions=tuple(sorted(app.versions, reverse=True)) or UNSET,
        deprecated=app.deprecated or UNSET,
    )


def _template(template: Template) -> TemplateView:
    asked, copies = template.resources, template.replication
    several = copies.replicas > 1
    return TemplateView(
        files=template.wanted,
        inputs=tuple(map(_slot, template.inputs)),
        outputs=tuple(
            OutputSlotView(path=slot.path, max_bytes=slot.limit or UNSET, optional=slot.optional or UNSET)
            for slot in template.outputs
        ),
        arguments=template.arguments or UNSET,
        cores=asked.cores or UNSET,
        memory=asked.memory or UNSET,
        disk=asked.disk or UNSET,
        walltime=asked.walltime or UNSET,
        replicas=copies.replicas if several else UNSET,
        quorum=copies.quorum if several else UNSET,
    )


def _slot(slot: InputSlot) -> SlotView:
    return SlotView(
        path=slot.path or UNSET,
        open=not slot.file and not slot.url,
        file=slot.file or UNSET,
        url=slot.url or UNSET,
        executable=slot.executable or UNSET,
    )
