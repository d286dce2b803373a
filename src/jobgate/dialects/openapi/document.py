"""The document: from a dialect's verbs, and from what it knows of its ids, its headers and its refusals.

Source: OpenAPI Specification 3.1.1; what HTTP itself says of conditions, ranges and lists is said once, here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, get_args, get_type_hints

import msgspec

from jobgate.dialects.dialect import Body
from jobgate.dialects.openapi.samples import curl
from jobgate.dialects.openapi.samples import media as sample_media
from jobgate.dialects.openapi.schemas import Rules, Schema, drawn, parameter
from jobgate.dialects.openapi.words import members
from jobgate.dialects.verb import Verb

VERSION: Final = "3.1.0"
JSON: Final = "application/json"
FORM: Final = "multipart/form-data"
RAW: Final[Schema] = {"type": "string", "format": "binary"}
LINES: Final[Schema] = {"type": "string"}

_PLACE: Final = re.compile(r"(?P<before>[^/{}]+)/\{(?P<name>\w+)(?::\w+)?\}|\{(?P<alone>\w+)(?::\w+)?\}")
_BARE: Final = re.compile(r"\{(\w+):\w+\}")


class Header(msgspec.Struct, frozen=True):
    """A header: what it says, and its type."""

    text: str
    kind: Any = str


class Refusals(msgspec.Struct, frozen=True, kw_only=True):
    """How a dialect says no."""

    kind: type
    """Wire type of the body; its member `code` tells which it is."""
    media: str
    codes: Mapping[str, tuple[int, str]]
    """Code to status and title."""
    of: Callable[[Verb], frozenset[str]]
    """What a verb may answer with."""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a dialect says of itself, beside its verbs."""

    title: str
    version: str
    description: str
    prefix: str
    """With no slash at its end."""
    subjects: Mapping[str, str]
    """Group to what it is about, in the order they are shown."""
    places: Mapping[str, Any] = {}
    """Type of what an address names, by where it stands: `jobs/{id}`."""
    parameters: Mapping[str, str] = {}
    """What a parameter of the query means where its verb does not say."""
    asked: Mapping[str, Header] = {}
    """Request headers."""
    told: Mapping[str, Header] = {}
    """Headers of answers."""
    always: tuple[str, ...] = ()
    """Those of the last that every answer bears."""
    refusals: Refusals
    rules: Rules = {}
    schemes: Mapping[str, Mapping[str, str]] = {}
    """How a credential is shown, for every verb that is no page."""
    sample: Mapping[str, str] = {}
    """Headers of an example."""


def document(about: About, verbs: Sequence[Verb]) -> bytes:
    """OpenAPI 3.1, as JSON."""
    return msgspec.json.encode(_Drawing(about, verbs).whole())


class _Drawing:
    """One document on its way: answers and schemas are gathered while the verbs are drawn."""

    def __init__(self, about: About, verbs: Sequence[Verb]) -> None:
        self._about = about
        self._verbs = verbs
        kinds = [about.refusals.kind]
        for verb in verbs:
            kinds += [] if verb.takes is None else [verb.takes]
            kinds += [kind for gives in verb.gives.values() for kind in _several(gives) if not _media(kind)]
        heads, self._schemas = drawn(kinds, about.rules)
        self._heads = list(zip(kinds, heads, strict=True))
        self._responses: dict[str, Any] = {}

    def whole(self) -> dict[str, Any]:
        about = self._about
        paths: dict[str, dict[str, Any]] = {}
        for verb in self._verbs:
            address = about.prefix + _BARE.sub(r"{\1}", verb.path)
            paths.setdefault(address, {})[verb.method.lower()] = self._operation(verb)
        used = {verb.subject for verb in self._verbs}
        return {
            "openapi": VERSION,
            "info": {"title": about.title, "version": about.version, "description": about.description},
            "servers": [{"url": "/"}],
            "tags": [{"name": name, "description": text} for name, text in about.subjects.items() if name in used],
            "paths": paths,
            "components": {
                "schemas": self._schemas,
                "responses": dict(sorted(self._responses.items())),
                "headers": {name: self._header(name, told.text) for name, told in about.told.items()},
                "securitySchemes": about.schemes,
            },
        }

    # --- one verb

    def _operation(self, verb: Verb) -> dict[str, Any]:
        found: dict[str, Any] = {
            "operationId": verb.name,
            "tags": [verb.subject],
            "summary": verb.summary,
            "description": verb.description,
            "parameters": [*self._in_path(verb), *self._in_query(verb), *self._in_headers(verb)],
            "requestBody": self._body(verb) if verb.body is not Body.NONE else None,
            "responses": {**self._answers(verb), **self._problems(verb)},
            "security": [] if verb.page else [{name: [verb.scope.value]} for name in self._about.schemes],
            "x-codeSamples": [{"lang": "curl", "source": self._sample(verb)}],
        }
        return {key: value for key, value in found.items() if value or key in ("responses", "security")}

    def _in_path(self, verb: Verb) -> Iterator[dict[str, Any]]:
        for name, kind in self._named(verb):
            schema = parameter(kind)
            yield {
                "name": name,
                "in": "path",
                "required": True,
                "description": schema.pop("description", ""),
                "schema": schema,
            }

    def _named(self, verb: Verb) -> Iterator[tuple[str, Any]]:
        """Parameters of the path, each with its type."""
        for match in _PLACE.finditer(verb.path):
            name = match["name"] or match["alone"]
            yield name, self._about.places.get(f"{match['before'] or ''}/{{{name}}}", str)

    def _in_query(self, verb: Verb) -> Iterator[dict[str, Any]]:
        usual = self._about.parameters
        hints, said = get_type_hints(verb.query, include_extras=True), members(verb.query)
        for field in msgspec.structs.fields(verb.query):
            schema = parameter(hints[field.name])
            schema.pop("default", None)
            told: dict[str, Any] = {"name": field.encode_name, "in": "query"}
            told["description"] = (
                schema.pop("description", "") or said.get(field.name) or usual.get(field.encode_name, "")
            )
            if field.required:
                told["required"] = True
            if schema.get("type") == "array":
                told["style"], told["explode"] = "form", _whole(hints[field.name])
            if field.default not in (msgspec.NODEFAULT, msgspec.UNSET, None, (), ""):
                schema["default"] = field.default
            yield told | {"schema": schema}

    def _in_headers(self, verb: Verb) -> Iterator[dict[str, Any]]:
        for name, text in verb.headers.items():
            if name in _MEDIA:
                continue
            known = self._about.asked.get(name, Header(text))
            yield {"name": name, "in": "header", "description": text or known.text, "schema": parameter(known.kind)}

    def _body(self, verb: Verb) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for media in verb.media:
            if media == FORM:
                form = {"type": "object", "properties": {"file": RAW}, "required": ["file"]}
                content[media] = {"schema": form}
            else:
                content[media] = {"schema": self._schema(verb.takes) if media == JSON else LINES}
        if verb.example is not None:
            for name, value in {verb.summary: verb.example, **verb.examples}.items():
                examples = content[sample_media(verb, value)].setdefault("examples", {})
                examples[_key(name)] = {"summary": name, "value": value}
        needed = not verb.optional and verb.body in (Body.WHOLE, Body.LINES)  # a file may be empty
        return {"required": needed, "content": content}

    def _sample(self, verb: Verb) -> str:
        address = self._about.prefix + _BARE.sub(r"{\1}", verb.path)
        for name, kind in self._named(verb):
            examples = parameter(kind).get("examples") or [name.upper()]
            address = address.replace(f"{{{name}}}", str(examples[0]))
        return curl(verb, address, {} if verb.page else self._about.sample)

    # --- its answers

    def _answers(self, verb: Verb) -> dict[str, Any]:
        found = {}
        speaking = next((status for status, gives in verb.gives.items() if gives is not None), None)
        for status, gives in {**_unsaid(verb), **verb.gives}.items():
            content = {}
            for kind in _several(gives):
                media = _media(kind)
                schema = {} if kind is None else RAW if media else self._schema(kind)
                if kind is not None:
                    content[media or JSON] = {"schema": schema}
            if content and verb.shown is not None and status == speaking:
                next(iter(content.values()))["example"] = verb.shown
            headers = {*self._about.always, *_of_http(verb, status, gives)}
            told = {name: {"$ref": f"#/components/headers/{name}"} for name in sorted(headers & set(self._about.told))}
            own = {name: {"description": text, "schema": {"type": "string"}} for name, text in verb.tells.items()}
            answer = {"description": _phrase(status), "headers": {**told, **own}, "content": content}
            found[str(status)] = {key: value for key, value in answer.items() if value}
        return found

    def _problems(self, verb: Verb) -> dict[str, Any]:
        by_status: dict[int, list[str]] = {}
        codes = self._about.refusals.codes
        for code in sorted(self._about.refusals.of(verb)):
            by_status.setdefault(codes[code][0], []).append(code)
        found = {}
        for status, each in sorted(by_status.items()):
            name = ".".join((str(status), *each))
            self._responses[name] = self._refusal(each, status)
            found[str(status)] = {"$ref": f"#/components/responses/{name}"}
        return found

    def _refusal(self, codes: Sequence[str], status: int) -> dict[str, Any]:
        refusals = self._about.refusals
        only = {"type": "object", "properties": {"code": {"enum": list(codes)}, "status": {"const": status}}}
        headers = sorted({*self._about.always, *_OF_STATUS.get(status, ())} & set(self._about.told))
        return {
            "description": ". ".join(f"`{code}`: {refusals.codes[code][1]}" for code in codes),
            "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
            "content": {refusals.media: {"schema": {"allOf": [self._schema(refusals.kind), only]}}},
        }

    def _header(self, name: str, text: str) -> dict[str, Any]:
        schema = parameter(self._about.told[name].kind)
        return {"description": text, "required": name in self._about.always, "schema": schema}

    def _schema(self, kind: Any) -> Schema:
        """Two types may be equal and no key of a dict: they are compared."""
        return next(head for known, head in self._heads if known == kind)


def _whole(kind: Any) -> bool:
    """Whether a parameter with several values is given once for each, since they may hold commas."""
    return any((getattr(meta, "extra", None) or {}).get("whole", False) for meta in get_args(kind))


_MEDIA: Final = ("Accept", "Content-Type")
"""OpenAPI says these by its media types alone."""
_OF_STATUS: Final[Mapping[int, tuple[str, ...]]] = {
    HTTPStatus.UNAUTHORIZED: ("WWW-Authenticate",),
    HTTPStatus.METHOD_NOT_ALLOWED: ("Allow",),
    HTTPStatus.TOO_MANY_REQUESTS: ("Retry-After",),
    HTTPStatus.SERVICE_UNAVAILABLE: ("Retry-After",),
    HTTPStatus.INSUFFICIENT_STORAGE: ("Retry-After",),
}


def _unsaid(verb: Verb) -> dict[int, Any]:
    """Answers that follow from the headers a verb heeds."""
    found: dict[int, Any] = {}
    if "Range" in verb.headers:
        found[HTTPStatus.PARTIAL_CONTENT.value] = verb.gives.get(HTTPStatus.OK)
        found[HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE.value] = None
    if "If-None-Match" in verb.headers and verb.method == "GET":
        found[HTTPStatus.NOT_MODIFIED.value] = None
    return found


def _of_http(verb: Verb, status: int, gives: Any) -> Iterator[str]:
    """Headers of an answer that follow from the verb."""
    good = status < HTTPStatus.MULTIPLE_CHOICES
    if good and {"If-None-Match", "If-Match"} & verb.headers.keys():
        yield "ETag"
    if status == HTTPStatus.CREATED:
        yield from ("Location", "ETag")
    if good and "Idempotency-Key" in verb.headers:
        yield "Idempotent-Replayed"
    if good and "Range" in verb.headers:
        yield "Accept-Ranges"
    if status in (HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
        yield "Content-Range"
    if any({"items", "next"} <= set(getattr(kind, "__struct_fields__", ())) for kind in _several(gives)):
        yield "Link"


def _several(gives: Any) -> list[Any]:
    return gives if isinstance(gives, list) else [gives]


def _media(kind: Any) -> str:
    """The media type, where an answer has no more to say of itself than that."""
    return kind if isinstance(kind, str) else ""


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
