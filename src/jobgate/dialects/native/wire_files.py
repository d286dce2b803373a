"""The JSON objects about stored files."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from jobgate.dialects.native.wire import FileView, Hash


class FileList(Struct, frozen=True, kw_only=True):
    """Files of a job, in the order they were collected."""

    items: tuple[FileView, ...]
    next: str | None


class UploadView(Struct, frozen=True, kw_only=True):
    """An upload that is whole."""

    sha256: str
    size: int


class UploadItem(Struct, frozen=True, kw_only=True):
    """An upload in the list of all."""

    sha256: str
    size: int
    used: str
    """When it was stored, or last used by a job."""
    expires: str | UnsetType = UNSET


class UploadList(Struct, frozen=True, kw_only=True):
    """Uploads, by their hash."""

    items: tuple[UploadItem, ...]
    next: str | None


class FolderView(Struct, frozen=True, kw_only=True):
    """A folder."""

    name: str
    files: int
    size: int
    """Bytes of all its files."""
    created: str


class FolderList(Struct, frozen=True, kw_only=True):
    """Folders, by name."""

    items: tuple[FolderView, ...]
    next: str | None


class EntryView(Struct, frozen=True, kw_only=True):
    """A file of a folder."""

    path: str
    size: int
    sha256: str
    modified: str


class EntryList(Struct, frozen=True, kw_only=True):
    """Files of a folder, by path."""

    items: tuple[EntryView, ...]
    next: str | None


class LinkDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An upload that is to be a file of a folder too."""

    upload: Hash
