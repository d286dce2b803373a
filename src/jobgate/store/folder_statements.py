"""Statements about folders and their entries; `statements` compiles them with all others."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import bindparam, delete, exists, func, insert, select, update

from jobgate.store.tables import entry, folder, needed

p = bindparam
_F, _E, _N = folder.c, entry.c, needed.c

_FOLDER: Final = ("id", "owner", "kind", "name")
_NEEDED: Final = ("batch", "folder", "name")
_ENTRY: Final = ("folder", "name", "digest", "size", "used", "expires")
_THIS: Final = (_E.folder == p("f"), _E.name == p("n"))
_SAME: Final = (_N.folder == _E.folder, _N.name == _E.name)
_OF_OWNER: Final = _E.folder.in_(select(_F.id).where(_F.owner == p("o")))

FOLDERS: Final[dict[str, tuple[Any, tuple[str, ...]]]] = {
    "folder_add": (insert(folder).values({c: p(c) for c in _FOLDER}), _FOLDER),
    "folder_get": (
        select(_F.id).where(_F.owner == p("o"), _F.kind == p("k"), _F.name == p("n")),
        ("o", "k", "n"),
    ),
    "folder_page": (
        select(_F.id, _F.name)
        .where(_F.owner == p("o"), _F.kind == p("k"), _F.name > p("a"))
        .order_by(_F.name)
        .limit(p("l")),
        ("o", "k", "a", "l"),
    ),
    "folder_all": (select(_F.id, _F.kind, _F.name).where(_F.owner == p("o")), ("o",)),
    "folder_put": (update(folder).where(_F.id == p("i")).values(owner=p("o"), name=p("n")), ("o", "n", "i")),
    "folder_delete": (delete(folder).where(_F.id == p("i")), ("i",)),
    "folder_holds": (
        select(func.count(), func.coalesce(func.sum(_E.size), 0)).where(_E.folder == p("f")),
        ("f",),
    ),
    "entry_add": (insert(entry).values({c: p(c) for c in _ENTRY}), _ENTRY),
    "entry_get": (select(_E.digest, _E.size, _E.used, _E.expires).where(*_THIS), ("f", "n")),
    "entry_of": (select(_E.name, _E.digest, _E.used, _E.expires).where(_E.folder == p("f")), ("f",)),
    "entry_page": (
        select(_E.name, _E.digest, _E.size, _E.used, _E.expires)
        .where(_E.folder == p("f"), _E.name >= p("b"), _E.name > p("a"))
        .order_by(_E.name)
        .limit(p("l")),
        ("f", "b", "a", "l"),
    ),
    "entry_with": (select(_E.name).where(_E.folder == p("f"), _E.digest == p("d")).limit(1), ("f", "d")),
    "entry_move": (update(entry).where(*_THIS).values(folder=p("t"), name=p("m")), ("t", "m", "f", "n")),
    "entry_use": (update(entry).where(*_THIS).values(used=p("u"), expires=p("e")), ("u", "e", "f", "n")),
    "owner_bytes": (select(func.coalesce(func.sum(_E.size), 0)).where(_OF_OWNER), ("o",)),
    "entry_delete": (delete(entry).where(*_THIS), ("f", "n")),
    "entry_expired": (
        select(_E.folder, _E.name, _E.digest).where(_E.expires < p("n"), ~exists().where(*_SAME)).limit(p("l")),
        ("n", "l"),
    ),
    "needed_add": (insert(needed).values({c: p(c) for c in _NEEDED}), _NEEDED),
    "needed_get": (
        select(_N.batch).where(_N.batch == p("b"), _N.folder == p("f"), _N.name == p("n")),
        ("b", "f", "n"),
    ),
    "needed_move": (
        update(needed).where(_N.folder == p("f"), _N.name == p("n")).values(folder=p("t"), name=p("m")),
        ("t", "m", "f", "n"),
    ),
    "needed_delete": (delete(needed).where(_N.batch == p("b")), ("b",)),
}
"""Name to statement, and the order of its places."""
