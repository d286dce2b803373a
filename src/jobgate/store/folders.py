"""Folders, and who needs which blob."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile

from jobgate.model.errors import Invalid, NotFound
from jobgate.model.folder import Entry, Folder, FolderKind
from jobgate.model.ids import AccountId, BatchId, Digest, FolderId
from jobgate.store.driver import Driver, Shared


class Folders:
    """Named entries on blobs."""

    def __init__(self, driver: Driver, shared: Shared) -> None:
        self._db = driver
        self._shared = shared

    # --- folders

    def uploads(self, owner: AccountId, now: float) -> FolderId:
        """The account's folder of uploads, made when there is none."""
        return self.make(owner, FolderKind.UPLOADS, "", now)[0].id

    def make(self, owner: AccountId, kind: FolderKind, name: str, now: float) -> tuple[Folder, bool]:
        """The account's folder of that name, and whether it is new."""
        known = self.find(owner, kind, name)
        if known is not None:
            return known, False
        made = Folder(id=FolderId(self._shared.ids.draw(now)), owner=owner, kind=kind, name=name)
        self._db.run("folder_add", made.id, owner, kind.value, name)
        return made, True

    def find(self, owner: AccountId, kind: FolderKind, name: str) -> Folder | None:
        """The account's folder of that name, if there is one."""
        row = self._db.one("folder_get", owner, kind.value, name)
        return None if row is None else Folder(id=FolderId(row[0]), owner=owner, kind=kind, name=name)

    def page(self, owner: AccountId, after: str, limit: int) -> list[Folder]:
        """The folders that the account named, by name, from the one after `after` on."""
        kind = FolderKind.FILES
        rows = self._db.all("folder_page", owner, kind.value, after, limit)
        return [Folder(id=FolderId(ident), owner=owner, kind=kind, name=name) for ident, name in rows]

    def holds(self, folder: FolderId) -> tuple[int, int]:
        """How many entries it has, and their bytes."""
        files, size = self._db.one("folder_holds", folder) or (0, 0)
        return int(files), int(size)

    def delete(self, folder: FolderId, now: float, limit: int) -> bool:
        """Forgets it, when it has no more than `limit` entries; otherwise so many of these. Whether it is away."""
        gone = self.entries(folder, limit=limit + 1)
        for entry in gone[:limit]:
            self.remove(entry, now)
        if len(gone) > limit:
            return False
        self._db.run("folder_delete", folder)
        return True

    # --- entries

    def put(self, entry: Entry) -> bool:
        """Stores an entry, or says that it is used; whether it is new."""
        known = self._db.one("entry_get", entry.folder, entry.name)
        if known is not None:
            if known[0] != entry.digest:
                raise Invalid("this name holds another content", field="name")
            self._db.run("entry_use", entry.used, entry.expires, entry.folder, entry.name)
            return False
        self._add(entry)
        return True

    def set(self, entry: Entry, now: float) -> bool:
        """Stores an entry in the place of the one that has its name; whether there was none."""
        known = self.look(entry.folder, entry.name)
        if known is not None:
            self.remove(known, now)
        self._add(entry)
        return known is None

    def _add(self, entry: Entry) -> None:
        params = (entry.folder, entry.name, entry.digest, entry.size, entry.used, entry.expires)
        self._db.run("entry_add", *params)
        Blobs(self._db).hold(entry.digest, entry.folder)

    def get(self, folder: FolderId, name: str) -> Entry:
        """Raises NotFound (`file-not-found`)."""
        found = self.look(folder, name)
        if found is None:
            raise NotFound(f"there is no stored file {name}", code="file-not-found", about=name)
        return found

    def look(self, folder: FolderId, name: str) -> Entry | None:
        """The entry of that name, if there is one."""
        row = self._db.one("entry_get", folder, name)
        return None if row is None else _entry(folder, name, *row)

    def entries(self, folder: FolderId, *, prefix: str = "", after: str = "", limit: int) -> list[Entry]:
        """Its entries whose names begin like that, by name, from the one after `after` on."""
        rows = self._db.all("entry_page", folder, prefix, after, limit)
        return [_entry(folder, *row) for row in takewhile(lambda row: row[0].startswith(prefix), rows)]

    def remove(self, entry: Entry, now: float) -> None:
        """Forgets it; its blob too, when no other name of the folder holds it."""
        self._db.run("entry_delete", entry.folder, entry.name)
        if self._db.one("entry_with", entry.folder, entry.digest) is None:
            Blobs(self._db).drop(entry.digest, entry.folder, now)

    def need(self, entry: Entry, batch: BatchId) -> None:
        """From now on the batch needs it: it stays, though its own time be over."""
        if self._db.one("needed_get", batch, entry.folder, entry.name) is None:
            self._db.run("needed_add", batch, entry.folder, entry.name)

    def release(self, batch: BatchId) -> None:
        """The batch needs no entry any more."""
        self._db.run("needed_delete", batch)

    def prolong(self, entry: Entry, until: float) -> None:
        """It lives until then at least."""
        if entry.expires is not None and entry.expires < until:
            self._db.run("entry_use", entry.used, until, entry.folder, entry.name)

    def bytes_of(self, owner: AccountId) -> int:
        """All that an account has stored, each entry for itself."""
        row = self._db.one("owner_bytes", owner)
        return int(row[0]) if row else 0

    def expire(self, now: float, limit: int) -> int:
        """Deletes entries whose time is over, and that no batch needs; how many."""
        gone = self._db.all("entry_expired", now, limit)
        for folder, name, digest in gone:
            self.remove(Entry(folder=FolderId(folder), name=name, digest=Digest(digest), size=0, used=now), now)
        return len(gone)


def _entry(folder: FolderId, name: str, digest: str, size: int, used: float, expires: float | None) -> Entry:  # noqa: PLR0913, PLR0917  # a row's columns
    return Entry(folder=folder, name=name, digest=Digest(digest), size=size, used=used, expires=expires)


class Blobs:
    """Who needs which blob. One that nobody needs is an orphan, and deleted some time later."""

    def __init__(self, driver: Driver) -> None:
        self._db = driver

    def hold(self, digest: Digest, holder: int) -> None:
        """`holder` needs it from now on."""
        if self._db.one("ref_get", digest, holder) is None:
            self._db.run("ref_add", digest, holder)
            self._db.run("orphan_delete", digest)

    def held(self, holder: int) -> frozenset[Digest]:
        """All that `holder` needs."""
        return frozenset(Digest(row[0]) for row in self._db.all("ref_of", holder))

    def drop(self, digest: Digest, holder: int, now: float) -> None:
        """`holder` needs it no more."""
        self._db.run("ref_delete", digest, holder)
        self.forsake((digest,), now)

    def let_go(self, holder: int, now: float) -> None:
        """`holder` needs nothing any more."""
        for (digest,) in self._db.all("ref_of", holder):
            self.drop(Digest(digest), holder, now)

    def orphans(self, since: float, limit: int) -> list[Digest]:
        """Blobs that nobody has needed since then."""
        return [Digest(row[0]) for row in self._db.all("orphan_old", since, limit)]

    def bury(self, since: float, limit: int) -> list[Digest]:
        """Blobs that nobody has needed since then, and that are to be deleted now: they are no orphans any more."""
        digests = self.orphans(since, limit)
        self._db.many("orphan_delete", [(digest,) for digest in digests])
        return digests

    def unclaimed(self, digests: Iterable[Digest]) -> list[Digest]:
        """Those of them that nobody needs, and that are not orphans yet."""
        return [d for d in digests if self._db.one("ref_any", d) is None and self._db.one("orphan_get", d) is None]

    def forsake(self, digests: Iterable[Digest], now: float) -> None:
        """Those of them that nobody needs are orphans from now on."""
        for digest in self.unclaimed(dict.fromkeys(digests)):
            self._db.run("orphan_add", digest, now)
