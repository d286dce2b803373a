"""The JSON objects of this API, as it spells them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from jobgate.dialects.charity_engine.settings import Amount, Many
from jobgate.model.ids import Digest

NAME: Final = "charity_engine"

Hash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Moment = Annotated[datetime, Meta(tz=True)]


class Specs(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Resources; memory, disk and traffic in MiB. In a request any may be missing."""

    vcpus: Many | UnsetType = UNSET
    ram: Many | UnsetType = UNSET
    disk: Amount | UnsetType = UNSET
    network_download: Amount | UnsetType = UNSET
    network_upload: Amount | UnsetType = UNSET


class InputFile(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One input: by address, or by the digest of an upload."""

    filename: str
    url: str | UnsetType = UNSET
    hash: Hash | UnsetType = UNSET
    size: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] | UnsetType = UNSET
    sha256: Hash | UnsetType = UNSET


class JobCreate(Struct, frozen=True, kw_only=True, rename="camel"):
    """job-create, without its authenticator."""

    app: Annotated[str, Meta(min_length=1, max_length=4096)]
    command_line: str
    specs: Specs | UnsetType = UNSET
    hours: Annotated[float, Meta(gt=0)] | UnsetType = UNSET
    input_files: tuple[InputFile, ...] = ()
    use_own_devices: bool = False
    instance_type: str | UnsetType = UNSET
    copies: Annotated[int, Meta(ge=1)] = 1
    tag: str | UnsetType = UNSET
    cleanup_files: bool = True
    eula_accepted: bool = False
    encrypted_input_files: bool = False
    encrypted_input_urls: bool = False
    encrypted_output_files: bool = False
    encrypted_output_urls: bool = False
    public_key: str | UnsetType = UNSET
    environment: dict[str, str] = {}
    callback_url: str | UnsetType = UNSET
    client_token: Annotated[str, Meta(min_length=1, max_length=64)] | UnsetType = UNSET


class Selection(Struct, frozen=True, kw_only=True, rename="camel"):
    """Which jobs; and what job-remove and job-result add."""

    job_ids: tuple[str, ...] | UnsetType = UNSET
    job_id: str | UnsetType = UNSET
    batch_id: str | UnsetType = UNSET
    tag: str | UnsetType = UNSET
    force: bool = False
    signed: bool = False


class JobList(Struct, frozen=True, kw_only=True, rename="camel"):
    """job-list."""

    status: str | tuple[str, ...] = ()
    tag: str | UnsetType = UNSET
    batch_id: str | UnsetType = UNSET
    app: str | UnsetType = UNSET
    created_after: Moment | UnsetType = UNSET
    created_before: Moment | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    cursor: str | UnsetType = UNSET


class JobLog(Struct, frozen=True, kw_only=True, rename="camel"):
    """job-log."""

    job_id: str
    offset: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 0
    limit: Annotated[int, Meta(ge=1)] = 65_536


class Upload(Struct, frozen=True, kw_only=True, rename="camel"):
    """file-upload in its JSON form."""

    content_base64: str
    sha256: Hash | UnsetType = UNSET


class Document(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What is kept of a job-create: defaults filled in, every credential and every value of `environment` left out."""

    app: str | UnsetType = UNSET
    command_line: str | UnsetType = UNSET
    specs: Specs | UnsetType = UNSET
    hours: float | UnsetType = UNSET
    instance_type: str | UnsetType = UNSET
    use_own_devices: bool | UnsetType = UNSET
    tag: str | UnsetType = UNSET
    input_files: tuple[InputFile, ...] | UnsetType = UNSET
    cleanup_files: bool | UnsetType = UNSET
    eula_accepted: bool | UnsetType = UNSET
    encrypted_input_files: bool | UnsetType = UNSET
    ignored: tuple[str, ...] = ()
    """Names of members that this API does not know."""


class JobObject(Struct, frozen=True, kw_only=True, rename="camel"):
    """A job as job-status shows it, and in part job-list; members without a value are left out."""

    id: str
    batch_id: str
    status: str
    status_reason: str | UnsetType = UNSET
    error: str | UnsetType = UNSET
    app: str | UnsetType = UNSET
    command_line: str | UnsetType = UNSET
    specs: Specs | UnsetType = UNSET
    hours: float | UnsetType = UNSET
    instance_type: str | UnsetType = UNSET
    use_own_devices: bool | UnsetType = UNSET
    tag: str | UnsetType = UNSET
    input_files: tuple[InputFile, ...] | UnsetType = UNSET
    exit_code: int | UnsetType = UNSET
    attempts: int | UnsetType = UNSET
    progress: float | UnsetType = UNSET
    created_at: str | UnsetType = UNSET
    started_at: str | UnsetType = UNSET
    ended_at: str | UnsetType = UNSET
    cpu_seconds: float | UnsetType = UNSET
    wall_seconds: float | UnsetType = UNSET
    output_count: int | UnsetType = UNSET


class OutputFile(Struct, frozen=True, kw_only=True, rename="camel"):
    """One file of job-result."""

    filename: str
    size: int
    sha256: Digest
    url: str


class JobResult(Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer to job-result."""

    job_id: str
    status: str
    exit_code: int | UnsetType = UNSET
    output_files: tuple[OutputFile, ...]
    log_url: str


class JobRef(Struct, frozen=True, kw_only=True):
    """A job by its id and status."""

    id: str
    status: str


class Created(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The answer to job-create."""

    batch_id: str
    job_ids: tuple[str, ...]
    instance_type: str | UnsetType = UNSET
    estimated_cost: float | UnsetType = UNSET
    jobs: tuple[JobRef, ...]
    replayed: bool = False


class ErrorBody(Struct, frozen=True, kw_only=True, rename="camel"):
    """What every refusal says."""

    error: str
    error_code: str
    field: str | UnsetType = UNSET


def moment(seconds: float) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def members(kind: Any) -> frozenset[str]:
    """The names a wire type knows, as the wire spells them."""
    return frozenset(kind.__struct_encode_fields__)
