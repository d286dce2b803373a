"""A batch as newline-delimited JSON, one job a line: read as it comes in, held as specs that share what is alike."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from jobgate.dialects.dialect import Ask, Call
from jobgate.dialects.native.asked import WHOLE, Keyed, QueryFault, query
from jobgate.dialects.native.bound import Apps
from jobgate.dialects.native.faults import MOST, gathered, of_jobs
from jobgate.dialects.native.shapes import wrong_texts
from jobgate.dialects.native.specs import Specs, app_name
from jobgate.dialects.native.wire import NAME, JobDraft, WebhookName
from jobgate.dialects.reading import json_object, number
from jobgate.model.errors import Invalid, TooLarge
from jobgate.model.job import JobSpec, Origin
from jobgate.model.operations import Group, Submit

LONGEST: Final = 1 << 20
"""Bytes of one line."""
_MARK: Final = b"\xef\xbb\xbf"
"""UTF-8's byte-order mark."""
_decode: Final = msgspec.json.Decoder(JobDraft).decode

Pair = Annotated[str, Meta(extra_json_schema={"pattern": "^[^=\\x00]+=[^\\x00]*$"})]
"""How a label is written; checked by `labels_of`."""
Labels = Annotated[tuple[Pair, ...], Meta(description="KEY=VALUE; may be given several times.", extra=WHOLE)]


class LinesQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a batch has beside its jobs."""

    name: Annotated[str, Meta(max_length=255)] = ""
    """To find it by."""
    label: Labels = ()
    priority: Annotated[int, Meta(ge=-1000, le=1000)] = 0
    held: bool = False
    """Its jobs wait until they are let go."""
    webhook: WebhookName = ""


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
    """Reads a batch of at most so many jobs. A line that is the same as the one before is a copy of its job."""

    def __init__(self, call: Call, most: int, apps: Apps | None = None) -> None:
        self._asked = query(call, LinesQuery)
        self._labels = labels_of(self._asked.label)
        if wrong := wrong_texts(self._asked.name, self._labels):
            raise QueryFault(wrong.message, code=wrong.code, field=wrong.field)
        self._about = repr(sorted(call.pairs or call.query.items())).encode()
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
        if line == self._last and self._spec is not None:
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
        except (Invalid, msgspec.DecodeError, ValueError, RecursionError):
            self._wrong(line, place)
            return
        if self._faults:
            return
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
            found = of_jobs([(at, place, json_object(line, numbers=number))], self._shown)
            self._faults += [error for error, _ in zip(found, range(MOST - len(self._faults)), strict=False)]
        except Invalid:
            told = f"{at}: the line is not one JSON object in UTF-8"
            self._faults.append(Invalid(told, code="invalid-json", field=at))


def _draft(line: bytes) -> JobDraft:
    try:
        return _decode(line)
    except msgspec.ValidationError:
        return msgspec.convert(json_object(line, numbers=number), JobDraft)
