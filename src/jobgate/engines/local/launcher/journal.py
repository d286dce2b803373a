"""The launcher's memory on disk.

A line for every start that is about to happen, every process, every exit and every forgetting: a name in it is never
started again, also not by the next launcher. What a full disk does not take is kept and tried again.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

from .processes import Json, complain, encode

COMPACT = 8 * 1024 * 1024
"""Bytes of journal after which it is written anew."""


class Journal:
    """The launcher's memory on disk."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.names: dict[str, Json] = {}
        """Every name that is not forgotten: {"boot", "pids": [[pid, born]], "status", "started", "spec", "at"} or
        {"end": record}."""
        self.boot = ""
        self.trouble = ""
        """Why lines wait to be written; empty when none do."""
        self._fd: int | None = None
        self._size = 0
        self._enough = COMPACT
        self._waiting = bytearray()
        if not self._read():
            self._waiting += b"\n"  # the line torn by a kill or a full disk ends here

    def _read(self) -> bool:
        """Whether its last line is whole."""
        try:
            with open(self.path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            return True
        for line in data.split(b"\n"):
            try:
                kind, name, *rest = json.loads(line)
            except ValueError:
                continue  # torn
            self._apply(kind, name, rest)
        return not data or data.endswith(b"\n")

    def _apply(self, kind: str, name: str, rest: list[Any]) -> None:
        if kind == "b":
            self.boot = name
        elif kind == "s":
            status, spec, at = (*rest, None)[:3]  # one of before this version has no time
            self.names[name] = {
                "boot": self.boot,
                "pids": [],
                "status": status,
                "started": None,
                "spec": spec,
                "at": at,
            }
        elif kind == "p" and name in self.names:
            self.names[name].setdefault("pids", []).append([rest[0], rest[1]])
            self.names[name]["started"] = self.names[name].get("started") or rest[2]
        elif kind == "e":
            self.names[name] = {"end": rest[0]}
        elif kind == "f":
            self.names.pop(name, None)

    def add(self, kind: str, name: str, *rest: Any) -> None:
        """A line that `flush` writes."""
        self._apply(kind, name, list(rest))
        self._waiting += encode([kind, name, *rest]).encode() + b"\n"

    def flush(self, *, sync: bool = False) -> bool:
        """Writes what waits, with `sync` so that it survives the machine too. False when some still waits."""
        if not self._waiting:
            return True
        try:
            if self._fd is None:
                self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
                self._size = os.fstat(self._fd).st_size
            while self._waiting:
                written = os.write(self._fd, self._waiting)
                self._size += written
                del self._waiting[:written]
            if sync:
                os.fdatasync(self._fd)
        except OSError as error:
            self._troubled(error)
            return not self._waiting
        self._calm()
        if self._size > self._enough:
            self.compact()
        return True

    def _troubled(self, error: OSError) -> None:
        """Said once, not at each try."""
        trouble = f"the journal cannot be written: {error.strerror}"
        if trouble != self.trouble:
            self.trouble = trouble
            complain(trouble)

    def _calm(self) -> None:
        if self.trouble:
            self.trouble = ""
            complain("the journal is written again")

    def compact(self) -> None:
        """Writes only what is not forgotten, and takes that file's place; where there is no room, another time."""
        lines = [encode(["b", self.boot]).encode()]
        for name, entry in self.names.items():
            if "end" in entry:
                lines.append(encode(["e", name, entry["end"]]).encode())
                continue
            lines.append(encode(["s", name, entry["status"], entry["spec"], entry["at"]]).encode())
            lines += [encode(["p", name, pid, born, entry["started"]]).encode() for pid, born in entry["pids"]]
        data = b"\n".join(lines) + b"\n"
        new = self.path + ".new"
        try:
            with open(new, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                handle = os.open(new, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            os.rename(new, self.path)
        except OSError as error:
            complain(f"the journal could not be written anew: {error.strerror}")
            with contextlib.suppress(OSError):
                os.unlink(new)
            self._enough = self._size + COMPACT
            return
        if self._fd is not None:
            os.close(self._fd)
        self._fd, self._size, self._enough = handle, len(data), len(data) + COMPACT
        self._waiting.clear()  # all of it is in there
        self._calm()
