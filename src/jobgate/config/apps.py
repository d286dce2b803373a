"""Apps as they are configured: what runs, and the template by which a job of it needs arguments and files alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from jobgate.config.kinds import Amount, Count, Duration, FilePath, Size, StagedName, WebAddress
from jobgate.model.catalogue import App, Version
from jobgate.model.errors import Invalid
from jobgate.model.job import Argv, Bitwise, Compare, Numeric, Replication, Validator
from jobgate.model.resources import Gpu, Network, Resources
from jobgate.model.template import InputSlot, OutputSlot, Template

_MD5: Final = re.compile(r"[0-9a-fA-F]{32}")
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,8}")


class InputEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One input of a job, in order: the job's next file, or one that is the same for every job."""

    path: FilePath = ""
    """What the job sees it as, from the workspace; empty: what the file is called."""
    file: StagedName = ""
    """Name of a staged file of the submitter's that every job gets."""
    url: WebAddress = ""
    """Address of a file that every job fetches; together with `size` and `md5`."""
    size: Size = 0
    """Bytes that `url` must give."""
    md5: str = ""
    """MD5 that what `url` gives must have, in hexadecimal."""
    executable: bool = False
    """The job may run it."""


class OutputEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One output of a job, in order."""

    path: FilePath = ""
    """Needed: what the job writes, from the workspace."""
    limit: Size = 0
    """Bytes at most; more fail the job. 0: what the server allows."""
    optional: bool = False
    """It may be missing; otherwise that is a failure of the job."""


class ResourcesEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a job gets that does not say; 0: the environment's default."""

    cores: Amount = 0.0
    """Processors; fractions are allowed."""
    memory: Size = 0
    """Memory."""
    disk: Size = 0
    """Workspace."""
    gpus: Mapping[str, Count] = {}
    """Kind of GPU to the number of them."""
    walltime: Duration = 0.0
    """Longest run of one attempt."""
    network: Literal["none", "outbound", "host"] = "none"
    """What it may reach."""
    operations: Amount = 0.0
    """Floating-point operations expected."""
    operations_limit: Amount = 0.0
    """Floating-point operations after which it is stopped."""


class ReplicationEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many attempts of a job must agree. `successes` and `total` are at least `replicas`."""

    replicas: Count = 1
    """Attempts at first."""
    quorum: Count = 1
    """How many must agree."""
    errors: Count = 1
    """More attempts in error than this fail the job."""
    successes: Count = 1
    """More attempts than this that succeeded and do not agree fail the job."""
    total: Count = 1
    """More attempts than this fail the job."""
    compare: Literal["bitwise", "numeric", "validator"] = "bitwise"
    """When they agree: the same files, numbers that differ little, or what a program says."""
    absolute: Amount = 0.0
    """Of `numeric`: the most by which two numbers differ."""
    relative: Amount = 1e-6
    """Of `numeric`: or this part of the greater one."""
    validator: tuple[str, ...] = ()
    """Of `validator`: the program and its words."""


class TemplateEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What jobs have in common that give arguments and files alone."""

    inputs: tuple[InputEntry, ...] = ()
    """Slots for files, each a table `[[apps.NAME.template.inputs]]`."""
    outputs: tuple[OutputEntry, ...] = ()
    """What is collected, each a table `[[apps.NAME.template.outputs]]`."""
    arguments: str = ""
    """For a job that gives none."""
    resources: ResourcesEntry = ResourcesEntry()
    replication: ReplicationEntry = ReplicationEntry()
    credit: Amount = 0.0
    """Granted to each attempt that succeeds; 0: what its operations are worth."""


class VersionEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An older version that a job may name, `NUMBER`; what it leaves out is the app's."""

    command: tuple[str, ...] = ()
    """The program and its first words."""
    image: str = ""
    """Runs in this image."""
    path: tuple[str, ...] = ()
    """Directories put before its PATH."""
    env: Mapping[str, str] = {}
    """Environment variables."""

    def __repr__(self) -> str:
        return "VersionEntry()"  # its variables may hold secrets


class AppEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program that jobs name."""

    title: str = ""
    """One line for people."""
    image: str = ""
    """Runs in this image; empty: in the environment's own sandbox."""
    path: tuple[str, ...] = ()
    """Directories of this machine, readable inside the job, put before its PATH."""
    env: Mapping[str, str] = {}
    """Environment variables."""
    licence: bool = False
    """The submitter must accept its licence."""
    licence_url: str = ""
    """Where the licence can be read."""
    charge: Amount = 1.0
    """Factor on the environment's price."""
    command: tuple[str, ...] = ()
    """The program and its first words, for jobs that give arguments only."""
    template: TemplateEntry = TemplateEntry()
    version: Count = 100
    """Number of the newest version."""
    versions: Mapping[str, VersionEntry] = {}
    """Older versions by number."""
    accounts: frozenset[str] = frozenset()
    """Names of the accounts that alone may use it, and see it; empty: all."""
    deprecated: bool = False
    """It takes no new jobs."""

    def __repr__(self) -> str:
        return f"AppEntry({self.title!r})"  # its variables may hold secrets


def app_of(name: str, entry: AppEntry) -> App:
    """The app as the model has it. Raises Invalid whose field is the key, from the app's own section on."""
    template = None if entry.template == TemplateEntry() else _template(entry.template)
    if template is not None and not entry.command:
        raise Invalid("a template is for arguments that follow a command; name it", field="command")
    if entry.command:
        Argv(entry.command)
    return App(
        name=name,
        title=entry.title,
        image=entry.image,
        path=entry.path,
        env=entry.env,
        licence=entry.licence,
        licence_url=entry.licence_url,
        charge=entry.charge,
        command=entry.command,
        template=template,
        version=entry.version,
        versions={_number(key): Version(**msgspec.structs.asdict(one)) for key, one in entry.versions.items()},
        accounts=entry.accounts,
        deprecated=entry.deprecated,
    )


def _number(key: str) -> int:
    if not _NUMBER.fullmatch(key):
        raise Invalid("a version is called by a number, from 1", field=f"versions.{key}")
    return int(key)


def _template(entry: TemplateEntry) -> Template:
    return Template(
        inputs=tuple(_input(one, f"template.inputs.{place}") for place, one in enumerate(entry.inputs)),
        outputs=tuple(_output(one, f"template.outputs.{place}") for place, one in enumerate(entry.outputs)),
        arguments=entry.arguments,
        resources=_resources(entry.resources),
        replication=_replication(entry.replication),
        credit=entry.credit or None,
    )


def _input(entry: InputEntry, field: str) -> InputSlot:
    if entry.file and entry.url:
        raise Invalid("a slot has one of file and url, or none", field=f"{field}.url")
    if bool(entry.url) != bool(entry.md5):
        raise Invalid("url, size and md5 belong together", field=f"{field}.url" if entry.url else f"{field}.md5")
    if entry.md5 and not _MD5.fullmatch(entry.md5):
        raise Invalid("must be 32 hexadecimal digits", field=f"{field}.md5")
    return InputSlot(
        path=entry.path,
        file=entry.file,
        url=entry.url,
        size=entry.size,
        md5=entry.md5.lower(),
        executable=entry.executable,
    )


def _output(entry: OutputEntry, field: str) -> OutputSlot:
    if not entry.path:
        raise Invalid("what the job writes must be named", field=f"{field}.path")
    return OutputSlot(path=entry.path, limit=entry.limit, optional=entry.optional)


def _resources(entry: ResourcesEntry) -> Resources:
    try:
        return Resources(
            cores=entry.cores,
            memory=entry.memory,
            disk=entry.disk,
            gpus=tuple(Gpu(count, kind) for kind, count in entry.gpus.items()),
            walltime=entry.walltime or None,
            network=Network(entry.network),
            operations=entry.operations,
            operations_limit=entry.operations_limit,
        )
    except Invalid as error:
        raise Invalid(error.message, field=f"template.resources.{error.field}") from None


def _replication(entry: ReplicationEntry) -> Replication:
    field = "template.replication"
    if not 1 <= entry.quorum <= entry.replicas:
        raise Invalid("1 <= quorum <= replicas is needed", field=f"{field}.quorum")
    compare: Compare = Bitwise()
    if entry.compare == "numeric":
        compare = Numeric(entry.absolute, entry.relative)
    elif entry.compare == "validator":
        if not entry.validator:
            raise Invalid("which program says so stands in validator", field=f"{field}.compare")
        compare = Validator(command=Argv(entry.validator))
    return Replication(
        replicas=entry.replicas,
        quorum=entry.quorum,
        errors=entry.errors,
        successes=max(entry.successes, entry.replicas),
        total=max(entry.total, entry.replicas),
        compare=compare,
    )
