"""What can be asked about stored bytes, and what comes of it: files and logs of jobs, uploads, folders."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

from jobgate.model.account import Scope
from jobgate.model.files import Naming, Packed, Stored
from jobgate.model.folder import Entry, Folder
from jobgate.model.ids import BatchId, Digest, JobName
from jobgate.model.job import Job

# --- what jobs left


class ListFiles(msgspec.Struct, frozen=True, kw_only=True, tag="list_files", omit_defaults=True):
    """The files that a job which is over left. Answer: Files."""

    job: JobName
    after: int = 0
    """How many of them were told already."""
    limit: int = 100


class ArchiveBatch(msgspec.Struct, frozen=True, kw_only=True, tag="archive_batch", omit_defaults=True):
    """All files of all jobs of a batch, as one archive. Answer: Gathered."""

    batch: BatchId
    logs: bool = False
    """Each job's log too."""
    partial: bool = False
    """What there is of a batch that is not over, or whose first files are deleted already."""
    fold_case: bool = False
    naming: Naming = Naming.NUMBERS
    """By any but this, only the files of canonical attempts."""


class OpenLog(msgspec.Struct, frozen=True, kw_only=True, tag="open_log", omit_defaults=True):
    """The merged log as one stream of bytes. Answer: OpenedLog.

    Of the attempt that is the job's, or of another one. Places are counted in the log as it was written: those of a
    middle that was cut out are there, and have no bytes.
    """

    job: JobName
    attempt: int | None = None
    first: int | None = None
    """The first byte wanted."""
    last: int | None = None
    """The last one; without `first`: so many from the end."""
    lines: int | None = None
    """So many from the end, where no bytes are named."""
    follow: bool = False
    """Goes on until the job is over, or that one attempt."""


# --- uploads


class FindUpload(msgspec.Struct, frozen=True, tag="find_upload"):
    """How far an upload has come. Answer: Uploaded."""

    digest: Digest


class Append(msgspec.Struct, frozen=True, kw_only=True, tag="append"):
    """A part of an upload: the request's content is added to it. Answer: Uploaded.

    The last part makes it an entry of the account's uploads.
    """

    digest: Digest
    offset: int
    """Where it begins; that is where the last one ended."""
    length: int
    """Of the whole."""
    lives: float


class ListEntries(msgspec.Struct, frozen=True, kw_only=True, tag="list_entries", omit_defaults=True):
    """The entries of a folder, by name. Answer: Entries."""

    folder: str | None = None
    """None: the account's uploads."""
    prefix: str = ""
    after: str = ""
    """The last name that was told."""
    limit: int = 100


class ReadEntry(msgspec.Struct, frozen=True, kw_only=True, tag="read_entry", omit_defaults=True):
    """The content of an entry. Answer: Content."""

    folder: str | None = None
    name: str


class DropEntry(msgspec.Struct, frozen=True, kw_only=True, tag="drop_entry", omit_defaults=True):
    """Forgets an entry; of the uploads, one that is half there too. Answer: Dropped."""

    folder: str | None = None
    name: str
    match: tuple[Digest, ...] | None = None
    """Only while it has this content."""


# --- folders


class ListFolders(msgspec.Struct, frozen=True, kw_only=True, tag="list_folders", omit_defaults=True):
    """The account's folders, by name. Answer: Folders."""

    after: str = ""
    limit: int = 100


class MakeFolder(msgspec.Struct, frozen=True, tag="make_folder"):
    """A folder of that name, unless there is one. Answer: Folders, of this one."""

    name: str


class FindFolder(msgspec.Struct, frozen=True, tag="find_folder"):
    """One folder. Answer: Folders, of this one."""

    name: str


class DropFolder(msgspec.Struct, frozen=True, tag="drop_folder"):
    """Forgets a folder. Answer: Dropped. Raises Conflict (`folder-not-empty`) for one that has entries."""

    name: str
    force: bool = False
    """With all of its entries."""


class PutEntry(msgspec.Struct, frozen=True, kw_only=True, tag="put_entry", omit_defaults=True):
    """Names a content in a folder; the one that had the name gives it up. Answer: Written."""

    folder: str
    name: str
    content: Stored | Digest
    """A content just stored, or one of the account's uploads."""
    match: tuple[Digest, ...] | None = None
    """Only while the entry has this content."""
    there: bool | None = None
    """Only while there is one, or is none."""


class Stage(msgspec.Struct, frozen=True, kw_only=True, tag="stage"):
    """Stores files under names that will always hold this. Answer: Staged.

    All or none: raises Conflict (`immutable`) when a name holds another content; the same again changes nothing.
    """

    files: tuple[tuple[str, Stored], ...]
    batch: BatchId | None = None
    """They live as long as this batch is not retired, too."""
    until: float = 0.0
    """They live until then at least, and a day at least; never shortened."""


class AskStaged(msgspec.Struct, frozen=True, kw_only=True, tag="ask_staged"):
    """Which names hold nothing; those that do live as long as with Stage. Answer: Staged."""

    names: tuple[str, ...]
    batch: BatchId | None = None
    until: float = 0.0


StoringOperation = (
    Stage
    | AskStaged
    | ListFiles
    | ArchiveBatch
    | OpenLog
    | FindUpload
    | Append
    | ListEntries
    | ReadEntry
    | DropEntry
    | ListFolders
    | MakeFolder
    | FindFolder
    | DropFolder
    | PutEntry
)

STORING_SCOPES: Mapping[type[Any], Scope] = {
    Stage: Scope.SUBMIT,
    AskStaged: Scope.SUBMIT,
    ListFiles: Scope.READ,
    ArchiveBatch: Scope.READ,
    OpenLog: Scope.READ,
    FindUpload: Scope.READ,
    Append: Scope.SUBMIT,
    ListEntries: Scope.READ,
    ReadEntry: Scope.READ,
    DropEntry: Scope.SUBMIT,
    ListFolders: Scope.READ,
    MakeFolder: Scope.SUBMIT,
    FindFolder: Scope.READ,
    DropFolder: Scope.SUBMIT,
    PutEntry: Scope.SUBMIT,
}
"""What each asks of the credential: who may store may forget what was stored."""

# --- what comes of it


class Files(msgspec.Struct, frozen=True, kw_only=True, tag="files"):
    """Files of a job, in the order they were collected; paths are those in the workspace."""

    job: Job
    files: tuple[Packed, ...]
    more: int | None = None
    """How many were told with these; None at the end."""


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """What one job adds to an archive."""

    folder: str
    """Its files lie below it; empty: below nothing, and their names are those of no other job's."""
    modified: float
    files: tuple[Packed, ...]


class Gathered(msgspec.Struct, frozen=True, kw_only=True, tag="gathered"):
    """What goes into the archive of a batch, job by job, looked up while it is sent: how large it will be is unknown.

    What was deleted meanwhile breaks it off, as its missing end tells.
    """

    name: str
    bundles: AsyncIterator[Bundle]
    fold_case: bool = False


class OpenedLog(msgspec.Struct, frozen=True, kw_only=True, tag="opened_log"):
    """A log on its way."""

    job: Job
    attempt: int | None
    """Whose it is; None: nothing was started yet."""
    offset: int
    """Where the first byte lies."""
    end: int
    """Behind the last one; of a log that is followed, as far as it was when this was said."""
    size: int
    """How long the log is, or was then."""
    complete: bool
    """Nothing will follow."""
    truncated: bool
    """Its middle was cut out."""
    length: int | None
    """Bytes of this answer; None while it grows or where holes are not known."""
    digest: Digest | None
    """Of all that is kept; None while it grows."""
    pieces: AsyncIterator[bytes]


class Uploaded(msgspec.Struct, frozen=True, kw_only=True, tag="uploaded"):
    """How far an upload has come."""

    digest: Digest
    offset: int
    """Bytes that are on disk."""
    length: int
    complete: bool
    fresh: bool = False
    """This request made it whole."""


class Entries(msgspec.Struct, frozen=True, kw_only=True, tag="entries"):
    """Entries, by name."""

    entries: tuple[Entry, ...]
    more: bool = False


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """A folder, and what it holds."""

    folder: Folder
    created: float
    files: int
    size: int


class Folders(msgspec.Struct, frozen=True, kw_only=True, tag="folders"):
    """Folders, by name."""

    folders: tuple[Holding, ...]
    more: bool = False
    fresh: bool = False
    """It was made just now."""


class Staged(msgspec.Struct, frozen=True, kw_only=True, tag="staged"):
    """What is held now."""

    absent: tuple[int, ...] = ()
    """Places, from 0, of the names asked for that hold nothing."""


class Dropped(msgspec.Struct, frozen=True, tag="dropped"):
    """It is forgotten."""


StoringOutcome = Staged | Files | Gathered | OpenedLog | Uploaded | Entries | Folders | Dropped
