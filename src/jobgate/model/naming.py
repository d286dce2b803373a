"""What the files of jobs are called in an archive of them.

No two jobs of an account bear one name, and so no two of these files do: a job's name that has to be changed to be
that of a file says by a number which job it was.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from jobgate.model.files import Naming, Output, OutputKind, Packed
from jobgate.model.ids import JobId

_IMPOSSIBLE: Final = re.compile(r"[/\\\x00-\x1f\x7f]|(?<=^[A-Za-z]):")
_LONGEST: Final = 191
"""Bytes of a job's name in that of a file: with the numbers that follow, every file system takes it."""


class Called(msgspec.Struct, frozen=True):
    """The attempt whose files are named."""

    job: JobId
    name: str
    """What its owner calls the job."""
    attempt: int

    @property
    def instance(self) -> str:
        """What BOINC calls it: the job's name and the attempt's number from 0."""
        return f"{self.name}_{self.attempt - 1}"

    @property
    def _file(self) -> str:
        plain = _plain(self.name)
        mark = "" if plain == self.name else f"~{self.job}"
        return f"{plain}{mark}_{self.attempt - 1}"

    def physical(self, outputs: tuple[Output, ...], packed: Packed) -> str:
        """The one name that a file has among all: the digits are the job's own number, and so never change."""
        number = packed.artifact.output
        whole = f"{_plain(self.name)}_{self.attempt - 1}_r{self.job}_{number}"
        if outputs[number].kind is OutputKind.FILE:
            return whole
        return f"{whole}_{_plain(packed.artifact.path)}"

    def files(self, naming: Naming, outputs: tuple[Output, ...], files: list[Packed]) -> tuple[str, list[Packed]]:
        """The directory that the files lie in, empty for none, and the files under their names in it."""
        match naming:
            case Naming.PHYSICAL:
                return "", [Packed(self.physical(outputs, packed), packed.artifact) for packed in files]
            case Naming.LOGICAL if len(files) == 1:
                (packed,) = files
                return "", [Packed(f"{self._file}__{_plain(packed.path)}", packed.artifact)]
            case _:
                return self._file, files


def _plain(name: str) -> str:
    return _IMPOSSIBLE.sub("_", name).encode()[:_LONGEST].decode(errors="ignore")
