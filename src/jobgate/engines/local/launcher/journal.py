"""The launcher's memory on disk.

A line for every start that is about to happen, every process, every exit and every forgetting: a name in it is never
started again, also not by the next launcher.
"""

from __future__ import annotations

import json
import os
from typing import Any

from .processes import Json

COMPACT = 8 * 1024 * 1024
"""Bytes of journal after which it is written anew."""


class Journal:
    """The launcher's memory on disk."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.names: dict[str, Json] = {}
        """Every name that is not forgotten: {"boot", "pids": [[pid, born]], "status", "started"} or {"end": record}."""
        self.boot = ""
        self._read()
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._fd).st_size
        self._lines: list[bytes] = []

    def _read(self) -> None:
        try:
            with open(self.path, "rb") as file:
                lines = file.read().split(b"\n")
        except FileNotFoundError:
            return
        for line in lines:
            try:
                kind, name, *rest = json.loads(line)
            except ValueError:
                continue  # the last line of one that was killed while writing
            self._apply(kind, name, rest)

    def _apply(self, kind: str, name: str, rest: list[Any]) -> None:
        if kind == "b":
            self.boot = name
        elif kind == "s":
            self.names[name] = {"boot": self.boot, "pids": [], "status": rest[0], "started": None, "spec": rest[1]}
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
        self._lines.append(json.dumps([kind, name, *rest]).encode() + b"\n")

    def flush(self, *, sync: bool = False) -> None:
        """Writes the lines; with `sync` they survive the machine too."""
        if self._lines:
            data = b"".join(self._lines)
            self._lines.clear()
            os.write(self._fd, data)
            self._size += len(data)
            if sync:
                os.fdatasync(self._fd)
        if self._size > COMPACT:
            self.compact()

    def compact(self) -> None:
        """Writes only what is not forgotten, and takes that file's place."""
        lines = [json.dumps(["b", self.boot]).encode()]
        for name, entry in self.names.items():
            if "end" in entry:
                lines.append(json.dumps(["e", name, entry["end"]]).encode())
                continue
            lines.append(json.dumps(["s", name, entry["status"], entry.get("spec")]).encode())
            lines += [json.dumps(["p", name, pid, born, entry["started"]]).encode() for pid, born in entry["pids"]]
        data = b"\n".join(lines) + b"\n"
        with open(self.path + ".new", "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(self.path + ".new", self.path)
        os.close(self._fd)
        self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._size = len(data)
