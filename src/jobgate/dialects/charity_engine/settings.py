"""The operator's choices: section 13 of the contract, and the catalogue of instance types."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from jobgate.model.errors import Invalid
from jobgate.model.files import SEGMENT_LIMIT
from jobgate.model.resources import KIB, Network

DAY: Final = 86_400.0
MOST: Final = 1 << 40
"""MiB, or processors, that a request can name at all: the model counts bytes in 63 bits."""

Amount = Annotated[int, Meta(ge=0, le=MOST)]
Many = Annotated[int, Meta(ge=1, le=MOST)]
Span = Annotated[float, Meta(gt=0, le=1e9)]


class InstanceType(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A uniform size of machine; names read *class.vcpus x GiB*."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    vcpus: Many
    ram: Many
    """MiB."""
    disk: Amount
    """MiB."""
    price: Annotated[float, Meta(ge=0)] = 0.0
    """Credits an hour."""


TYPES: Final = (
    InstanceType(name="C.2x2", vcpus=2, ram=2048, disk=4096, price=0.2),
    InstanceType(name="C.2x4", vcpus=2, ram=4096, disk=4096, price=0.3),
    InstanceType(name="C.4x4", vcpus=4, ram=4096, disk=4096, price=0.4),
)
"""Names, processors and memory are the vendor's; disk and price are ours."""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[dialects.charity_engine]`` of the configuration."""

    instance_types: tuple[InstanceType, ...] = TYPES
    default_instance_type: str = "C.2x2"
    """Of a request that names neither a type nor a specification."""
    strict: bool = False
    """Unknown members of a request are refused instead of ignored."""
    network: Literal["outbound", "none"] = "outbound"
    """What a job may reach while it runs."""
    own_devices: Literal["wait", "refuse"] = "wait"
    """`useOwnDevices`: wait for a device of the account's, or say at once that there are none here."""
    own_devices_wait: Span = DAY
    """Seconds until a job that waits for its owner's devices fails."""
    longest_wait: Span | None = None
    """Seconds any other job waits for a host; none: the environments' own."""
    body: Many = 1 << 20
    """Bytes of a JSON body."""
    upload: Many = 2 << 30
    """Bytes of one upload."""
    command: Many = 32 * KIB
    """Bytes of a command line."""
    input_files: Amount = 100
    copies: Many = 1000
    hours: Span = 8.0
    tag: Many = SEGMENT_LIMIT
    environment: Amount = 100
    """Variables of one job."""
    environment_bytes: Amount = 32 * KIB
    selector: Many = 1000
    """Ids in one call."""
    log_piece: Many = 1 << 20
    """Bytes of one answer to job-log."""
    log: Many = 16 << 20
    """Bytes of the whole log as a file."""
    upload_days: Span = 30.0
    """Days an upload lives after its last use."""
    retention_days: Span = 30.0
    """Days after its end that a job's result is shown."""
    signed_seconds: Span = 3600.0
    """How long a signed address holds."""

    def __post_init__(self) -> None:
        names = [kind.name for kind in self.instance_types]
        if len(set(names)) != len(names):
            raise Invalid("two instance types have one name", field="instance_types")
        if self.default_instance_type not in names:
            raise Invalid("it must be one of instance_types", field="default_instance_type")

    @property
    def reach(self) -> Network:
        """The model's word for `network`."""
        return Network(self.network)

    def type(self, name: str) -> InstanceType | None:
        """The instance type of that name; None for an unknown one."""
        return next((kind for kind in self.instance_types if kind.name == name), None)


def settings(section: object) -> Settings:
    """The section as settings. Raises Invalid naming the wrong key."""
    try:
        return msgspec.convert(section, Settings)
    except msgspec.ValidationError as error:
        raise Invalid(str(error), field="dialects.charity_engine") from error
