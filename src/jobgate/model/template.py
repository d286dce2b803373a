"""Templates: how a job of an app gets its files, its arguments, and what it may use [BOINC, section 6].

A job that is made by one says only what differs: its arguments, and its files in the order of the template's slots.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from jobgate.model.job import Replication
from jobgate.model.resources import Resources

_WORD: Final = re.compile(r""""([^"]*)(?:"|\Z)|'([^']*)(?:'|\Z)|(\S+)""")


class InputSlot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One input."""

    path: str = ""
    """What the job sees it as, relative to the workspace; empty: what the file is called."""
    file: str = ""
    """A staged file that is the same for every job; empty: the job's next file."""
    url: str = ""
    """An address that is the same for every job, with `size` and `md5`."""
    size: int = 0
    md5: str = ""
    executable: bool = False


class OutputSlot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One output."""

    path: str
    """What the job writes, relative to the workspace."""
    limit: int = 0
    """Bytes at most; 0: what the server allows."""
    optional: bool = False
    """It may be missing; otherwise that is a failure of the job."""


class Template(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the jobs of an app have in common."""

    inputs: tuple[InputSlot, ...] = ()
    outputs: tuple[OutputSlot, ...] = ()
    arguments: str = ""
    """For a job that has none of its own."""
    resources: Resources = Resources()
    replication: Replication = Replication(errors=1, successes=1, total=1)
    credit: float | None = None

    @property
    def wanted(self) -> int:
        """How many files a job has to bring."""
        return sum(1 for slot in self.inputs if not slot.file and not slot.url)


def words(text: str) -> tuple[str, ...]:
    """The words of a line of arguments [BOINC, section 7.3].

    White space parts them. One that begins with `'` or `"` goes on to the next of the same, or to the end, and loses
    both; within a word they are letters like others. A backslash is one always.
    """
    if '"' not in text and "'" not in text:
        return tuple(text.split())
    return tuple(
        double if double is not None else single if single is not None else plain
        for double, single, plain in (match.groups() for match in _WORD.finditer(text))
    )
