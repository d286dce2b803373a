"""What both faces of the client stand on: the line to the server, and which classes the records are made of.

The verbs (`submit`, `jobs`, `waiting`, …) are functions over a Core. The asynchronous face awaits them; the
synchronous one runs the same coroutines on a loop of its own. So nothing is written twice, and types hold in both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import msgspec

from jobgate.client.errors import Unreachable
from jobgate.client.line import Line
from jobgate.client.records import BatchRecord, FileEntry, JobRecord

J = TypeVar("J", bound=JobRecord)
B = TypeVar("B", bound=BatchRecord)
F = TypeVar("F")
T = TypeVar("T")
CORE: Final = "core"
"""Where a record keeps what it knows its client by: no member of the wire, and nothing that is compared."""


class Page(msgspec.Struct, frozen=True):
    """One page of a list."""

    items: tuple[msgspec.Raw, ...] = ()
    next: str | None = None
    missing: tuple[str, ...] = ()
    cursor: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Core(Generic[J, B, F]):
    """The line, and the face's own classes."""

    line: Line
    job: type[J]
    batch: type[B]
    file: Callable[[Line, str, FileEntry], F]

    def a_job(self, raw: bytes | msgspec.Raw) -> J:
        """The job that the server told of, which knows its client."""
        return self._known(decoded(raw, self.job))

    def a_batch(self, raw: bytes | msgspec.Raw) -> B:
        """The batch that the server told of, which knows its client."""
        return self._known(decoded(raw, self.batch))

    def _known(self, record: T) -> T:
        vars(record)[CORE] = self
        return record


def decoded(raw: bytes | msgspec.Raw, kind: type[T]) -> T:
    """What the server said. Raises Unreachable when it is not in the words of this API."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreachable(
            "The answer cannot be read.",
            why=f"{error}: no Jobgate server answers so, or only one of a much newer version",
            next_="check JOBGATE_SERVER, then the versions of both sides",
        ) from error
