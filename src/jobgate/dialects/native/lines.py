"""A batch as newline-delimited JSON, one job a line: read as it comes in, held as specs that share what is alike."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from jobgate.dialects.dialect import Ask, Call
from jobgate.dialects.native.asked import WHOLE, Keyed, QueryFault, query
from jobgate.dialects.native.bound import Apps
from jobgate.dialects.native.faults import MOST, gathered, of_jobs
from jobgate.dialects.native.shapes import wrong_texts
from jobgate.dialects.native.specs import Specs, app_name
from jobgate.dialects.native.wire import NAME, NamedDraft, WebhookName
from jobgate.dialects.reading import json_object, number
from jobgate.model.errors import Invalid, TooLarge
from jobgate.model.ids import BatchId
from jobgate.model.job import JobSpec, Origin, check_name
from jobgate.model.operations import Group, Submit

LONGEST: Final = 1 << 20
"""Bytes of one line."""
_MARK: Final = b"\xef\xbb\xbf"
"""UTF-8's byte-order mark."""
_decode: Final = msgspec.json.Decoder(NamedDraft).decode

Pair = Annotated[str, Meta(extra_json_schema={"pattern": "^[^=\\x00]+=[^\\x00]*$"})]
"""How a label is written; checked by `labels_of`."""
Labels = Annotated[tuple[Pair, ...], Meta(description="KEY=VALUE; may be given several times.", extra=WHOLE)]


class FillQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What jobs that fill a batch have in common."""

    priority: Annotated[int, Meta(ge=-1000, le=1000)] = 0
    held: bool = False
    """They wait until they are let go."""


class LinesQuery(FillQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a batch has beside its jobs."""

    name: Annotated[str, Meta(max_length=255)] = ""
    """To find it by."""
    label: Labels = ()
    webhook: WebhookName = ""
    expires: Annotated[datetime, Meta(tz=True, description="When it is cancelled and retired (RFC 3339).")] | None = (
        None
    )


def labels_of(given: tuple[str, ...]) -> dict[str, str]:
    """Labels written KEY=VALUE. Raises QueryFault."""
    found = {}
    for label in given:
        key, equals, value = label.partition("=")
        if not key or not equals or "\0" in label:
            raise QueryFault("label: KEY=VALUE is needed", code="invalid-field", field="label")
        found[key] = value
    return found


class JobLines:
    """Reads a batch of at most so many jobs. A line that is the same as the one before is a copy of its job.

    `into`: an empty batch that they fill; the query says less then.
    """

    def __init__(self, call: Call, most: int, apps: Apps | None = None, into: BatchId | None = None) -> None:
        fills = None if into is None else query(call, FillQuery)
        self._into = into
        self._asked = query(call, LinesQuery) if fills is None else LinesQuery(priority=fills.priority, held=fills.held)
        self._labels = labels_of(self._asked.label)
        if wrong := wrong_texts(self._asked.name, self._labels):
            raise QueryFault(wrong.message, code=wrong.code, field=wrong.field)
        self._about = repr(sorted(call.pairs or call.query.items())).encode() + call.path.get("id", "").encode()
        self._key = Keyed(call)
        self._most = most
        self._shown = apps
        self._specs = Specs(apps)
        self._groups: list[Group] = []
        self._apps: set[str] = set()
        self._faults: list[Invalid] = []
        self._rest: list[bytes] = []
        self._waiting = 0
        self._line = 0
        self._jobs = 0
        self._last = b""
        self._spec: JobSpec | None = None
        self._copies = 0
        self._names: list[str] = []
        """Of the jobs; empty as long as none has one."""

    def feed(self, piece: bytes) -> None:
        """The next bytes, cut anywhere. Raises TooLarge for a line that is too long, or a job too many."""
        self._key.feed(piece)
        lines = piece.split(b"\n")
        if len(lines) == 1:
            self._keep(piece)
            return
        self._keep(lines[0])
        lines[0] = b"".join(self._rest)
        rest = lines.pop()
        self._rest, self._waiting = [], 0
        for line in lines:
            self._read(line)
        self._keep(rest)

    def end(self) -> Ask:
        """The batch. Raises Invalid with the first faults, each with its line."""
        if self._rest:
            self._read(b"".join(self._rest))
        self._close()
        if self._faults:
            raise gathered(self._faults) or self._faults[0]
        if not self._groups:
            raise Invalid("a batch needs at least one job: a JSON object in each line", code="empty")
        asked = self._asked
        return Ask(
            operation=Submit(
                groups=tuple(self._groups),
                origin=Origin(dialect=NAME),
                name=asked.name,
                app=self._apps.pop() if len(self._apps) == 1 else "",
                labels=self._labels,
                priority=asked.priority,
                held=asked.held,
                webhook=asked.webhook,
                expires=None if asked.expires is None else asked.expires.timestamp(),
                names=tuple(self._names) + ("",) * (self._jobs - len(self._names)) if self._names else (),
                into=self._into,
                secrets=self._specs.secrets,
                guard=self._key.guard(self._about),
            )
        )

    def _keep(self, piece: bytes) -> None:
        """A line that has not ended yet."""
        if not piece:
            return
        self._waiting += len(piece)
        if self._waiting > LONGEST:
            told = f"line {self._line}: a line has at most {LONGEST} bytes"
            raise TooLarge(told, code="too-large", field=f"[{self._line}]")
        self._rest.append(piece)

    def _read(self, line: bytes) -> None:
        place = self._line
        self._line += 1
        if line == self._last and self._spec is not None and not self._names:
            self._count()
            self._copies += 1
            return
        if not place:
            line = line.removeprefix(_MARK)
        if not line or line.isspace():
            return
        self._count()
        if len(self._faults) >= MOST:
            return
        try:
            draft = _draft(line)
            spec = self._specs.spec(draft, place)
            if draft.name:
                check_name(draft.name, "name")
        except (Invalid, msgspec.DecodeError, ValueError, RecursionError):
            self._wrong(line, place)
            return
        if self._faults:
            return
        if draft.name:
            self._names += [""] * (self._jobs - 1 - len(self._names)) + [draft.name]
        self._close()
        self._last, self._spec, self._copies = line, spec, 1
        if len(self._apps) <= 1:
            self._apps.add(app_name(draft))

    def _count(self) -> None:
        self._jobs += 1
        if self._jobs > self._most:
            told = f"a batch has at most {self._most} jobs here"
            raise TooLarge(told, code="batch-too-large", field=f"[{self._line - 1}]")

    def _close(self) -> None:
        """The spec before is complete."""
        if self._spec is not None:
            self._groups.append(Group(self._spec, self._copies))
            self._spec = None

    def _wrong(self, line: bytes, place: int) -> None:
        """From now on nothing but faults is kept."""
        at = f"[{place}]"
        self._groups.clear()
        self._spec = None
        try:
            found = of_jobs([(at, place, json_object(line, numbers=number))], self._shown, NamedDraft)
            self._faults += [error for error, _ in zip(found, range(MOST - len(self._faults)), strict=False)]
        except Invalid:
            told = f"{at}: the line is not one JSON object in UTF-8"
            self._faults.append(Invalid(told, code="invalid-json", field=at))


def _draft(line: bytes) -> NamedDraft:
    try:
        return _decode(line)
    except msgspec.ValidationError:
        return msgspec.convert(json_object(line, numbers=number), NamedDraft)
