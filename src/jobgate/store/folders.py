"""Folders, and who needs which blob."""

from __future__ import annotations

from collections.abc import Iterable

from jobgate.model.errors import Invalid, NotFound
from jobgate.model.folder import Entry, FolderKind
from jobgate.model.ids import AccountId, Digest, FolderId
from jobgate.store.driver import Driver, Shared


class Folders:
    """Named entries on blobs."""

    def __init__(self, driver: Driver, shared: Shared) -> None:
        self._db = driver
        self._shared = shared

    def uploads(self, owner: AccountId, now: float) -> FolderId:
        """The account's folder of uploads, made when there is none."""
        row = self._db.one("folder_get", owner, FolderKind.UPLOADS.value, "")
        if row is not None:
            return FolderId(row[0])
        ident = FolderId(self._shared.ids.draw(now))
        self._db.run("folder_add", ident, owner, FolderKind.UPLOADS.value, "")
        return ident

    def put(self, entry: Entry) -> bool:
        """Stores an entry, or says that it is used; whether it is new."""
        known = self._db.one("entry_get", entry.folder, entry.name)
        if known is not None:
            if known[0] != entry.digest:
                raise Invalid("this name holds another content", field="name")
            self._db.run("entry_use", entry.used, entry.expires, entry.folder, entry.name)
            return False
        params = (entry.folder, entry.name, entry.digest, entry.size, entry.used, entry.expires)
        self._db.run("entry_add", *params)
        Blobs(self._db).hold(entry.digest, entry.folder)
        return True

    def get(self, folder: FolderId, name: str) -> Entry:
        """Raises NotFound (`file-not-found`)."""
        row = self._db.one("entry_get", folder, name)
        if row is None:
            raise NotFound(f"there is no stored file {name}", code="file-not-found")
        digest, size, used, expires = row
        return Entry(folder=folder, name=name, digest=Digest(digest), size=size, used=used, expires=expires)

    def bytes_of(self, owner: AccountId) -> int:
        """All that an account has stored, each entry for itself."""
        row = self._db.one("owner_bytes", owner)
        return int(row[0]) if row else 0

    def expire(self, now: float, limit: int) -> int:
        """Deletes entries whose time is over; how many."""
        gone = self._db.all("entry_expired", now, limit)
        for folder, name, digest in gone:
            self._db.run("entry_delete", folder, name)
            Blobs(self._db).drop(digest, folder, now)
        return len(gone)


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
        for digest in self.unclaimed(digests):
            self._db.run("orphan_add", digest, now)
