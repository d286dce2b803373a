"""What is asked about stored bytes, each with the verb that carries it out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from jobgate.model.outcomes import Outcome
from jobgate.model.storing import (
    Append,
    ArchiveBatch,
    AskStaged,
    DropEntry,
    DropFolder,
    FindFolder,
    FindUpload,
    ListEntries,
    ListFiles,
    ListFolders,
    MakeFolder,
    OpenLog,
    PutEntry,
    ReadEntry,
    Stage,
)
from jobgate.operations import bundles, files, folders, logs, staged, uploads

STORED: Final[Mapping[type[Any], Callable[..., Awaitable[Outcome]]]] = {
    Stage: staged.stage,
    AskStaged: staged.ask_staged,
    ListFiles: files.list_files,
    ArchiveBatch: bundles.archive_batch,
    OpenLog: logs.open_log,
    FindUpload: uploads.find_upload,
    Append: uploads.append,
    ListEntries: folders.list_entries,
    ReadEntry: folders.read_entry,
    DropEntry: folders.drop_entry,
    ListFolders: folders.list_folders,
    MakeFolder: folders.make_folder,
    FindFolder: folders.find_folder,
    DropFolder: folders.drop_folder,
    PutEntry: folders.put_entry,
}
"""Part of `handle.VERBS`."""
