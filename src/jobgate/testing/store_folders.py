"""Promises of every store about folders: names, pages, entries put in each other's place, and the blobs they need."""

from __future__ import annotations

from typing import Final

from jobgate.model.errors import NotFound
from jobgate.model.folder import Entry, Folder, FolderKind
from jobgate.model.ids import AccountId, Digest, FolderId
from jobgate.store.transaction import Transaction
from jobgate.testing.store_lab import EVERY, Lab, Promise, promise, raised

A, B = (Digest(letter * 64) for letter in "ab")


async def _made(lab: Lab, name: str, owner: AccountId | None = None) -> Folder:
    mine = lab.owner if owner is None else owner
    return (await lab.store.write(lambda tx: tx.folders.make(mine, FolderKind.FILES, name, lab.tick())))[0]


async def _set(lab: Lab, folder: Folder, name: str, digest: Digest = A, size: int = 1) -> bool:
    entry = Entry(folder=folder.id, name=name, digest=digest, size=size, used=lab.now)
    return await lab.store.write(lambda tx: tx.folders.set(entry, lab.now))


async def _held(lab: Lab, folder: FolderId) -> frozenset[Digest]:
    return await lab.store.read(lambda tx: tx.blobs.held(folder))


async def _orphans(lab: Lab) -> list[Digest]:
    return await lab.store.read(lambda tx: tx.blobs.orphans(lab.now + 1e9, EVERY))


@promise
async def a_folder_is_made_once_for_each_account_and_name(lab: Lab) -> None:
    """And the uploads are none of them."""
    first = await _made(lab, "data")
    assert await _made(lab, "data") == first
    others = await _made(lab, "data", lab.other)
    assert others.id != first.id
    uploads = await lab.store.write(lambda tx: tx.folders.uploads(lab.owner, lab.now))
    assert uploads not in (first.id, others.id)
    await lab.reopen()
    assert await lab.store.read(lambda tx: tx.folders.find(lab.owner, FolderKind.FILES, "data")) == first
    assert await lab.store.read(lambda tx: tx.folders.find(lab.owner, FolderKind.FILES, "")) is None
    assert await lab.store.read(lambda tx: tx.folders.page(lab.owner, "", EVERY)) == [first]


@promise
async def folders_and_entries_have_pages_by_name(lab: Lab) -> None:
    """Each comes once, in the order of the bytes of its name, also of a part that begins alike."""
    names = ["", "a", "a/1", "a/2", "aa", "b%", "b_", "ü", "\U0001f600"]
    for name in reversed(names[1:]):
        await _made(lab, name)
    folder = await _made(lab, "a")
    for name in reversed(names[1:]):
        await _set(lab, folder, name)
    for limit in (1, 2, 8, 9):
        for prefix in ("", "a/", "b%", "c"):
            wanted = [name for name in names[1:] if name.startswith(prefix)]
            seen: list[str] = []
            while len(seen) < len(wanted):
                page = await _page(lab, folder, prefix, seen[-1] if seen else "", limit)
                assert page
                assert len(page) <= limit
                seen += page
            assert seen == wanted
            assert not await _page(lab, folder, prefix, seen[-1] if seen else "", limit)
    folders = await lab.store.read(lambda tx: tx.folders.page(lab.owner, "a/1", 3))
    assert [found.name for found in folders] == ["a/2", "aa", "b%"]


async def _page(lab: Lab, folder: Folder, prefix: str, after: str, limit: int) -> list[str]:
    found = await lab.store.read(lambda tx: tx.folders.entries(folder.id, prefix=prefix, after=after, limit=limit))
    return [entry.name for entry in found]


@promise
async def an_entry_takes_the_place_of_the_one_that_had_its_name(lab: Lab) -> None:
    """What nobody needs then is an orphan; what another name of the folder needs is not."""
    folder = await _made(lab, "f")
    assert await _set(lab, folder, "x", A, 5)
    assert await _set(lab, folder, "y", A, 5)
    assert not await _set(lab, folder, "x", B, 7)
    assert await _held(lab, folder.id) == {A, B}
    assert await _orphans(lab) == []
    assert await lab.store.read(lambda tx: tx.folders.holds(folder.id)) == (2, 12)
    assert await lab.store.read(lambda tx: tx.folders.bytes_of(lab.owner)) == 12
    assert not await _set(lab, folder, "y", B, 7)
    assert await _held(lab, folder.id) == {B}
    assert await _orphans(lab) == [A]
    assert not await _set(lab, folder, "y", A, 5)
    assert await _orphans(lab) == []


@promise
async def a_removed_entry_is_not_there_and_its_blob_goes_when_no_other_needs_it(lab: Lab) -> None:
    """Another folder is another."""
    folder, other = await _made(lab, "f"), await _made(lab, "g")
    for where, name in ((folder, "x"), (folder, "y"), (other, "x")):
        await _set(lab, where, name)

    async def remove(where: Folder, name: str) -> None:
        await lab.store.write(lambda tx: tx.folders.remove(tx.folders.get(where.id, name), lab.now))

    await remove(folder, "x")
    await raised(remove(folder, "x"), NotFound)
    assert await _held(lab, folder.id) == {A}
    await remove(folder, "y")
    assert (await _held(lab, folder.id), await _orphans(lab)) == (frozenset(), [])
    await remove(other, "x")
    assert await _orphans(lab) == [A]


@promise
async def a_folder_is_deleted_in_parts_with_all_it_held(lab: Lab) -> None:
    """Until it is away, what is left of it is there."""
    folder = await _made(lab, "f")
    for name in "abcde":
        await _set(lab, folder, name)

    async def delete() -> bool:
        return await lab.store.write(lambda tx: tx.folders.delete(folder.id, lab.now, 2))

    left: list[tuple[bool, int]] = []
    while not left or not left[-1][0]:
        away = await delete()
        left.append((away, (await lab.store.read(lambda tx: tx.folders.holds(folder.id)))[0]))
    assert left == [(False, 3), (False, 1), (True, 0)]
    assert await lab.store.read(lambda tx: tx.folders.find(lab.owner, FolderKind.FILES, "f")) is None
    assert await _orphans(lab) == [A]


@promise
async def a_refused_entry_leaves_the_one_before(lab: Lab) -> None:
    """As if nothing had been asked."""
    folder = await _made(lab, "f")
    await _set(lab, folder, "x", A)

    def work(tx: Transaction) -> None:
        tx.folders.set(Entry(folder=folder.id, name="x", digest=B, size=9, used=lab.now), lab.now)
        raise NotFound

    await raised(lab.store.write(work), NotFound)
    assert (await lab.store.read(lambda tx: tx.folders.get(folder.id, "x"))).digest == A
    assert await _held(lab, folder.id) == {A}
    assert await _orphans(lab) == []


SUITE: Final[tuple[Promise, ...]] = (
    a_folder_is_made_once_for_each_account_and_name,
    folders_and_entries_have_pages_by_name,
    an_entry_takes_the_place_of_the_one_that_had_its_name,
    a_removed_entry_is_not_there_and_its_blob_goes_when_no_other_needs_it,
    a_folder_is_deleted_in_parts_with_all_it_held,
    a_refused_entry_leaves_the_one_before,
)
