"""What the operator chooses: `[dialects.boinc]`."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from jobgate.model.errors import Invalid
from jobgate.model.resources import MIB


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[dialects.boinc]`."""

    body: int = 64 * MIB
    """Bytes of one request document."""
    inline: int = MIB
    """Bytes of one inline file."""
    uploads: int = 2000
    """Files of one upload_files."""
    upload: int = 2048 * MIB
    """Bytes of each."""
    uploaded: int = 8192 * MIB
    """Bytes of one upload_files, all in all."""
    batches: int = 10_000
    """Batches that query_batches tells, the newest."""
    sandbox: str = "sandbox"
    """What an account's folder is called whose files the mode `sandbox` names."""
    templates: str = ""
    """Directory with template files: `APP_in`, `APP_out`, and others that requests may name."""
    counts: bool = True
    """Whether server_status.php tells anyone how many instances wait and run."""


def settings(section: Mapping[str, object]) -> Settings:
    """Raises Invalid, naming the key."""
    try:
        return msgspec.convert(section, Settings)
    except msgspec.ValidationError as error:
        raise Invalid(str(error), field="dialects.boinc") from error
