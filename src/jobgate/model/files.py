"""Files by reference: never a path from the wire.

Sources: TES 1.1 `tesInput`, `tesOutput`; Charity Engine contract section 5.5; BOINC `file_info`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

from jobgate.model.errors import Invalid
from jobgate.model.ids import Digest, FolderId

INLINE_LIMIT: Final = 16 * 1024
"""Bytes of content that ride in the row; more is a blob."""
SEGMENT_LIMIT: Final = 255
PATH_LIMIT: Final = 4096
_REFUSED: Final = frozenset({"Cc", "Cs"})
"""Control characters, and surrogates, which are no characters."""


class Inline(msgspec.Struct, frozen=True, tag="inline", gc=False):
    """Content of at most 16 KiB."""

    content: bytes

    def __post_init__(self) -> None:
        if len(self.content) > INLINE_LIMIT:
            raise Invalid("inline content is limited to 16 KiB; store it first", field="content")


class Stored(msgspec.Struct, frozen=True, tag="stored", gc=False):
    """A blob this gateway holds."""

    digest: Digest
    size: int


class Remote(msgspec.Struct, frozen=True, tag="url", gc=False):
    """Content at an address, fetched when the job is staged in."""

    url: str
    """Without credentials: these are a Secret."""
    size: int | None = None
    digest: Digest | None = None
    md5: str | None = None
    secret: str | None = None
    """Name of the job's secret `user:password` for HTTP Basic."""


class UserFile(msgspec.Struct, frozen=True, tag="user", gc=False, omit_defaults=True):
    """An entry of one of the owner's folders, as it is when the job is submitted [BOINC, MIKE]."""

    folder: FolderId
    """0: the uploads, or the folder that is `named`."""
    name: str
    named: str = ""
    """What the owner calls the folder, where its number is not known."""


class StagedFile(msgspec.Struct, frozen=True, tag="staged", gc=False):
    """A file that the owner staged under a name that always holds the same [BOINC: local_staged]."""

    name: str


STAGED_NAME: Final = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9_.\- ]{1,191}")
"""What one is called."""


class HostFile(msgspec.Struct, frozen=True, tag="host", gc=False):
    """A file of the server's own, below a directory that the operator named; copied when the job is submitted."""

    path: str
    """Absolute, or relative to the first of those directories."""


class Copied(msgspec.Struct, frozen=True, tag="copied", gc=False):
    """Content at an address, copied when the job is submitted."""

    url: str


class Given(msgspec.Struct, frozen=True, tag="given", gc=False):
    """Content that came with the request, of any length; stored when the job is submitted."""

    content: bytes


FileRef = Inline | Stored | Remote | UserFile | StagedFile | HostFile | Copied | Given
"""The last five are `Stored` before the job is made."""


Origin = HostFile | Copied | Given
"""What a submit copies into storage before anything is made."""


class Input(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file that is there before the first step starts."""

    path: str
    """Relative to the workspace; `/` separates."""
    source: FileRef
    executable: bool = False

    def __post_init__(self) -> None:
        check_path(self.path, "path")


class OutputKind(StrEnum):
    """What an Output's path names."""

    FILE = "file"
    DIRECTORY = "directory"
    """Everything below it."""
    WILDCARD = "wildcard"
    """A pattern as `fnmatch` reads it, one path segment at a time."""


class Keep(StrEnum):
    """After which ends an output is collected."""

    SUCCESS = "success"
    ALWAYS = "always"
    """After failure and cancel too, as far as it exists."""


class Output(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is collected when an attempt has ended."""

    path: str
    """Relative to the workspace."""
    kind: OutputKind = OutputKind.FILE
    keep: Keep = Keep.ALWAYS
    required: bool = False
    """Absence after success is a failure of the job."""
    name: str = ""
    """What the asker calls it; empty: its path."""
    url: str = ""
    """Where else it is sent [TES]; empty: kept here only."""
    limit: int = 0
    """Bytes at most; more fail the job. 0: what the server allows [BOINC: max_nbytes]."""

    def __post_init__(self) -> None:
        check_path(self.path, "path")


class Cut(msgspec.Struct, frozen=True, gc=False):
    """What was left out of the middle of a file that was too long."""

    at: int
    """Bytes kept before it; as many are kept behind it."""
    lost: int
    """Bytes left out."""


class Artifact(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A file an attempt left, stored."""

    path: str
    """Relative to the output it belongs to, `/` as separator."""
    digest: Digest
    size: int
    output: int = 0
    """Which of the spec's outputs, by place."""
    mode: int = 0o644
    inline: bytes | None = None
    """The content itself, where it is small: then there is no blob."""
    cut: Cut | None = None
    """Its middle is not kept, and a line stands for it."""


class Piece(msgspec.Struct, frozen=True, gc=False):
    """Some bytes of a log that may grow."""

    offset: int
    """Where they lie: as asked, or behind a middle that is not kept."""
    content: bytes
    size: int
    """How long the log was then."""


class Naming(StrEnum):
    """How the files of jobs are called in an archive."""

    NUMBERS = "numbers"
    """Under their paths in the workspace; of a batch, those of each job below its number."""
    PHYSICAL = "physical"
    """No directories: `JOB_ATTEMPT_rDIGITS_FILE`, attempts and files from 0 [BOINC, section 6.7]."""
    LOGICAL = "logical"
    """Under their paths; of a batch `JOB_ATTEMPT__PATH`, or below `JOB_ATTEMPT` where a job has several [BOINC 9.2]."""


class Packed(msgspec.Struct, frozen=True, gc=False):
    """A stored file on its way into an archive."""

    path: str
    """What it is called there; `/` separates."""
    artifact: Artifact


ARTIFACT_INLINE_LIMIT: Final = 4 * 1024
"""Bytes of one collected file that ride in the row."""
ATTEMPT_INLINE_LIMIT: Final = 16 * 1024
"""Bytes of all files of one attempt that ride in the row, its log among them."""


def workspace_path(outputs: Sequence[Output], artifact: Artifact) -> str:
    """Where in the workspace it lay; `outputs` are those of its job's spec."""
    output = outputs[artifact.output]
    match output.kind:
        case OutputKind.FILE:
            return output.path
        case OutputKind.DIRECTORY:
            return f"{output.path}/{artifact.path}"
        case OutputKind.WILDCARD:
            return artifact.path


class Mount(msgspec.Struct, frozen=True, gc=False):
    """A directory that is the user's own on the host, used in place and never ours to delete [Rimrock]."""

    directory: str


def check_path(path: str, field: str) -> None:
    """Raises Invalid unless `path` is relative, clean and of a length every file system takes."""
    if not path or path.startswith("/") or len(path.encode("utf-8", "surrogatepass")) > PATH_LIMIT:
        raise Invalid(f"{field}: a relative path of at most {PATH_LIMIT} bytes is needed", field=field)
    for segment in path.split("/"):
        check_segment(segment, field)


def check_segment(segment: str, field: str) -> None:
    """Raises Invalid unless `segment` can be one name in a directory."""
    if segment in ("", ".", ".."):
        raise Invalid(f"{field}: empty, '.' and '..' segments are refused", field=field)
    if not segment.isprintable() and any(unicodedata.category(c) in _REFUSED for c in segment):
        raise Invalid(f"{field}: control characters are refused", field=field)
    if len(segment.encode()) > SEGMENT_LIMIT:
        raise Invalid(f"{field}: a name has at most {SEGMENT_LIMIT} bytes", field=field)
