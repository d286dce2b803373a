"""One template and many jobs: `{name}` in its words is what the job's row says, `{index}` and `{number}` its place.

Nothing is made before it is needed: a product of a million combinations is as small as the request that asked for it.
Each job's words are made when its rows are written, and forgotten then.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from jobgate.dialects.native.bound import Apps
from jobgate.dialects.native.faults import MOST, gathered, moved
from jobgate.dialects.native.rows import PLACES, Rows
from jobgate.dialects.native.specs import Specs
from jobgate.dialects.native.wire import FileDraft, InputDraft, JobDraft, OutputDraft, Value
from jobgate.dialects.reading import address
from jobgate.model.errors import Invalid, TooLarge
from jobgate.model.job import JobSpec

_CHECKED: Final = 1000
"""Jobs that are looked at before anything is written; the others are looked at when they are."""
_SEARCHED: Final = 10_000
"""Jobs in which more faults are looked for, once there is one."""
_PUT_IN: Final = 1 << 20
"""Characters that values put into one job: a request is not to grow a thousandfold once it is here."""
_WRITTEN: Final = 512 << 20
"""Characters of all jobs of a sweep, written out: about 500 for each of a million."""
_TEXTS: Final = ("script", "workdir", "stdin", "arguments")
_OF_INPUT: Final = ("path", "content", "url", "file")
_OF_FILE: Final = ("content", "url", "file", "name")


class Sweep:
    """The jobs of a template, one for each row. Raises TooLarge where they come to more than a server can hold."""

    def __init__(self, template: JobDraft, rows: Rows, apps: Apps | None = None) -> None:
        self.size = rows.size
        self._template = template
        self._rows = rows
        self._fill = _Fill(template, (*rows.names, *PLACES))
        self._specs = Specs(apps)
        self._secrets = _secrets(template)
        self._weigh()

    def _weigh(self) -> None:
        put_in, total = self._rows.weigh([self._fill.used[name] for name in self._rows.names])
        if put_in > _PUT_IN:
            told = f"values put at most {_PUT_IN} characters into one job, and these {put_in}; use inputs for much data"
            raise TooLarge(told, field="sweep")
        total += self.size * len(msgspec.json.encode(self._template))
        if total > _WRITTEN:
            told = f"written out, the jobs of a sweep have at most {_WRITTEN} characters, and these {total}"
            raise TooLarge(told, field="sweep" if self._rows.names else "count")

    @property
    def used(self) -> frozenset[str]:
        """Names that stand in the template."""
        return frozenset(self._fill.used)

    @property
    def secrets(self) -> Mapping[str, str]:
        """The credentials that stand in the template, by name."""
        return self._secrets

    def spec(self, place: int) -> JobSpec:
        """The spec of the job at a place. Raises Invalid with its faults, and with those of some jobs after it."""
        row = self._rows.row(place)
        try:
            return self._spec(row, place)
        except Invalid:
            found = gathered(self.faults(place, place + _SEARCHED))
            raise found or Invalid("template: it cannot be understood", field="template") from None

    def check(self) -> None:
        """Raises Invalid with the faults of the first jobs."""
        for place in range(min(self.size, _CHECKED)):
            self.spec(place)

    def faults(self, start: int = 0, end: int = _CHECKED) -> Iterator[Invalid]:
        """What is wrong with the jobs from `start` on: each fault of the template once, with the first row it is in."""
        told = set[str]()
        for place in range(start, min(end, self.size)):
            for error in islice(self._of_job(place), MOST):
                if error.field not in told:
                    told.add(error.field or "")
                    row = f" (row {place} of the sweep)" if self._rows.names else ""
                    yield Invalid(f"{error.message}{row}", code=error.code, field=error.field)

    def _of_job(self, place: int) -> Iterator[Invalid]:
        row = self._rows.row(place)
        for error in self._specs.faults(self._fill(row, place), 0):
            yield moved(error, "template")
        try:
            self._spec(row, place)
        except _Credential as error:
            yield error
        except Invalid:
            return  # told above

    def _spec(self, row: tuple[Value, ...], place: int) -> JobSpec:
        spec = self._specs.spec(self._fill(row, place), 0, dict(zip(self._rows.names, row, strict=True)))
        if self._specs.secrets != self._secrets:
            self._specs.secrets.clear()
            raise _Credential(
                "template.inputs: user and password of an address stand in the template itself, not in values",
                code="credential",
                field="template.inputs",
            )
        return spec


class _Credential(Invalid):
    """A value brings a user and a password into an address: they would be shown with the job's parameters."""


def _secrets(template: JobDraft) -> dict[str, str]:
    """The credentials that a template's own addresses hold, named as `Specs` names them for every job of it."""
    found = {}
    files = [(f"file-0-{number}", item.url) for number, item in enumerate(template.files)]
    for name, url in [*files, *((f"input-0-{number}", item.url) for number, item in enumerate(template.inputs))]:
        try:
            secret = None if url is UNSET else address(url, "url")[1]
        except Invalid:  # an address that its row completes; what is wrong with that one is told then
            continue
        if secret is not None:
            found[name] = secret
    return found


def text(value: Value) -> str:
    """A value as it stands in a word: numbers and truth values as JSON writes them."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


class _Fill:
    """A template with the places found in it."""

    def __init__(self, template: JobDraft, names: tuple[str, ...]) -> None:
        self.used = Counter[str]()
        """How often each name stands in it."""
        self._template = template
        self._at = {name: number for number, name in enumerate(names)}
        self._place = re.compile(r"\{(" + "|".join(map(re.escape, names)) + r")\}")
        self._words = None if template.command is UNSET else self._all(template.command)
        self._arguments = self._all(template.arguments) if isinstance(template.arguments, tuple) else None
        self._texts = self._members(template, _TEXTS)
        self._env = {key: way for key, value in template.env.items() if (way := self._way(value)) is not None}
        self._files = [self._members(item, _OF_FILE) for item in template.files]
        self._inputs = [self._members(item, _OF_INPUT) for item in template.inputs]
        self._outputs = [self._members(item, ("path",)) for item in template.outputs]

    def __call__(self, row: tuple[Value, ...], place: int) -> JobDraft:
        """The job of that row."""
        values = (*map(text, row), str(place), str(place + 1))
        changes: dict[str, Any] = {name: way.format(*values) for name, way in self._texts.items()}
        template = self._template
        if self._words is not None:
            changes["command"] = _said(self._words, values)
        if self._arguments is not None:
            changes["arguments"] = _said(self._arguments, values)
        if self._env:
            changes["env"] = {**template.env, **{key: way.format(*values) for key, way in self._env.items()}}
        if any(self._files):
            changes["files"] = _filled(template.files, self._files, values)
        if any(self._inputs):
            changes["inputs"] = _filled(template.inputs, self._inputs, values)
        if any(self._outputs):
            changes["outputs"] = _filled(template.outputs, self._outputs, values)
        return replace(template, **changes)

    def _way(self, words: str) -> str | None:
        """The text as `str.format` takes it; None where nothing is to be put in. Every other brace stays."""
        pieces = self._place.split(words)
        if len(pieces) == 1:
            return None
        self.used.update(pieces[1::2])
        return "".join(
            f"{{{self._at[piece]}}}" if number % 2 else piece.replace("{", "{{").replace("}", "}}")
            for number, piece in enumerate(pieces)
        )

    def _all(self, words: tuple[str, ...]) -> list[tuple[str, str | None]] | None:
        ways = [(word, self._way(word)) for word in words]
        return ways if any(way is not None for _, way in ways) else None

    def _members(
        self, draft: JobDraft | FileDraft | InputDraft | OutputDraft, names: tuple[str, ...]
    ) -> dict[str, str]:
        said = {name: getattr(draft, name, UNSET) for name in names}
        ways = {name: self._way(value) for name, value in said.items() if isinstance(value, str)}
        return {name: way for name, way in ways.items() if way is not None}


def _said(words: list[tuple[str, str | None]], values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple([word if way is None else way.format(*values) for word, way in words])


def _filled(items: tuple[Any, ...], ways: list[dict[str, str]], values: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(
        replace(item, **{name: way.format(*values) for name, way in some.items()}) if some else item
        for item, some in zip(items, ways, strict=True)
    )
