"""The JSON objects of the native API."""

from __future__ import annotations

import re
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from jobgate.model.errors import Invalid
from jobgate.model.files import Keep, OutputKind
from jobgate.model.resources import Network

NAME: Final = "native"

Hash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Size = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] | Annotated[str, Meta(max_length=32)]
"""Bytes, or text with a unit: `4GiB`."""
WebhookName = Annotated[str, Meta(max_length=64, description="Id of a webhook that this batch names.")]
Count = Annotated[int, Meta(ge=1, le=1 << 40)]

_SIZE: Final = re.compile(r"(?P<number>\d{1,15}(?:\.\d{1,6})?) ?(?P<unit>[kMGT]i?B|KiB|B)?", re.ASCII)
_UNITS: Final = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "kiB": 1 << 10,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
}


class InputDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One input: `content`, an address, or the digest of an upload."""

    path: str
    content: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    upload: Hash | UnsetType = UNSET
    size: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] | UnsetType = UNSET
    sha256: Hash | UnsetType = UNSET
    executable: bool = False


class OutputDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One output."""

    path: str
    kind: OutputKind = OutputKind.FILE
    keep: Keep = Keep.ALWAYS
    required: bool = False


class JobDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one job is to do: a command, or a script."""

    command: tuple[str, ...] | UnsetType = UNSET
    script: str | UnsetType = UNSET
    app: str | UnsetType = UNSET
    image: str | UnsetType = UNSET
    env: dict[str, str] = {}
    workdir: str = ""
    stdin: str = ""
    inputs: tuple[InputDraft, ...] = ()
    outputs: tuple[OutputDraft, ...] = ()
    cores: Annotated[float, Meta(ge=0, le=1 << 40)] = 0.0
    memory: Size = 0
    disk: Size = 0
    gpus: Annotated[int, Meta(ge=0, le=1 << 20)] = 0
    walltime: Annotated[float, Meta(gt=0, le=1e9)] | UnsetType = UNSET
    """Seconds."""
    network: Network = Network.NONE
    environment: str | UnsetType = UNSET
    tries: Annotated[int, Meta(ge=1, le=100)] = 1


class BatchDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`template` so many times, or `jobs` one by one."""

    template: JobDraft | UnsetType = UNSET
    count: Count = 1
    jobs: tuple[JobDraft, ...] | UnsetType = UNSET
    name: Annotated[str, Meta(max_length=255)] = ""
    labels: dict[str, str] = {}
    priority: Annotated[int, Meta(ge=-1000, le=1000)] = 0
    held: bool = False
    webhook: WebhookName = ""


class LoneDraft(JobDraft, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job on its own has what a batch has."""

    name: Annotated[str, Meta(max_length=255)] = ""
    labels: dict[str, str] = {}
    priority: Annotated[int, Meta(ge=-1000, le=1000)] = 0
    held: bool = False
    webhook: WebhookName = ""


class JobView(Struct, frozen=True, kw_only=True):
    """A job as it stands; what has no value is left out."""

    id: str
    batch: str
    number: int
    """In its batch, from 1."""
    state: str
    created: str
    name: str | UnsetType = UNSET
    labels: dict[str, str] | UnsetType = UNSET
    priority: int = 0
    started: str | UnsetType = UNSET
    ended: str | UnsetType = UNSET
    exit_code: int | UnsetType = UNSET
    failure: str | UnsetType = UNSET
    limit: str | UnsetType = UNSET
    message: str | UnsetType = UNSET
    attempts: int | UnsetType = UNSET
    outputs: tuple[FileView, ...] | UnsetType = UNSET
    skipped: int | UnsetType = UNSET
    """What was left and cannot be told: links that lead out, devices, names with control characters, too deep ones."""


class FileView(Struct, frozen=True, kw_only=True):
    """A file that the job left."""

    path: str
    size: int
    sha256: str
    output: int


class BatchView(Struct, frozen=True, kw_only=True):
    """A batch as it stands."""

    id: str
    name: str
    count: int
    created: str
    ended: bool
    counts: dict[str, int]
    """Jobs by state; states without any are left out."""
    labels: dict[str, str] | UnsetType = UNSET


class Fault(Struct, frozen=True, kw_only=True):
    """One thing that is wrong with a request: a member of its body, or a parameter of its query."""

    pointer: str | UnsetType = UNSET
    parameter: str | UnsetType = UNSET
    code: str
    detail: str


class Problem(Struct, frozen=True, kw_only=True):
    """RFC 9457; programs branch on `code`."""

    type: str
    code: str
    title: str
    status: int
    detail: str
    next: str | UnsetType = UNSET
    errors: tuple[Fault, ...] | UnsetType = UNSET


def size(value: int | str, field: str) -> int:
    """Bytes. Raises Invalid (`unit`) for a text that is no size."""
    if isinstance(value, int):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise Invalid(f"{field}: this is no size; write bytes as a number, or 4GiB", code="unit", field=field)
    found = int(float(match["number"]) * _UNITS[match["unit"] or "B"])
    if found >= 1 << 63:
        raise Invalid(f"{field}: more than 63 bits of bytes", code="unit", field=field)
    return found
