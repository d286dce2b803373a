"""Folders: named entries on blobs, owned by an account [uploads, BOINC user files, MIKE projects]."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from jobgate.model.ids import AccountId, Digest, FolderId


class FolderKind(StrEnum):
    """What a folder is for; its rules follow."""

    UPLOADS = "uploads"
    """One for each account; entries are named by their digest and expire when unused."""
    FILES = "files"
    """Named by the owner; an entry is replaced by the next of its name."""
    STAGED = "staged"
    """One for each account; what a name holds never changes [BOINC: local_staged]. Entries live until their time is
    over and no batch needs them."""


class Folder(msgspec.Struct, frozen=True, kw_only=True):
    """A set of named entries."""

    id: FolderId
    owner: AccountId
    kind: FolderKind
    name: str = ""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One name in a folder."""

    folder: FolderId
    name: str
    digest: Digest
    size: int
    used: float
    """When it was last stored or used by a job."""
    expires: float | None = None
