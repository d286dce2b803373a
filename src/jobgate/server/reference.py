"""`/docs`: the OpenAPI documents of the dialects as pages for people, drawn on the server."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from jobgate.dialects.dialect import Reply
from jobgate.dialects.page import Markup, joined, page, prose, table, tag
from jobgate.server.shapes import between, members, shape

_METHODS: Final = ("get", "head", "post", "put", "patch", "delete")
_PROBLEM: Final = "application/problem+json"


class _Named(Struct):
    name: str
    description: str = ""


class _Info(Struct):
    title: str
    version: str
    description: str = ""


class _Parameter(Struct):
    name: str
    where: str = field(name="in")
    schema: dict[str, Any]
    description: str = ""
    required: bool = False
    explode: bool | None = None


class _Example(Struct):
    value: Any
    summary: str = ""


class _Content(Struct):
    schema: dict[str, Any] = {}
    example: Any = msgspec.UNSET
    examples: dict[str, _Example] = {}


class _Body(Struct):
    content: dict[str, _Content]
    required: bool = False


class _Answer(Struct):
    ref: str = field(name="$ref", default="")
    description: str = ""
    headers: dict[str, dict[str, Any]] = {}
    content: dict[str, _Content] = {}


class _Sample(Struct):
    source: str


class _Operation(Struct):
    name: str = field(name="operationId")
    tags: tuple[str, ...]
    responses: dict[str, _Answer]
    summary: str = ""
    description: str = ""
    parameters: tuple[_Parameter, ...] = ()
    body: _Body | None = field(name="requestBody", default=None)
    security: tuple[dict[str, tuple[str, ...]], ...] = ()
    samples: tuple[_Sample, ...] = field(name="x-codeSamples", default=())


class _Components(Struct):
    schemas: dict[str, dict[str, Any]] = {}
    responses: dict[str, _Answer] = {}


class _Document(Struct):
    """As much of a document as is shown."""

    info: _Info
    tags: tuple[_Named, ...]
    paths: dict[str, dict[str, _Operation]]
    components: _Components


class _Verb(Struct):
    method: str
    path: str
    operation: _Operation


def reference(document: bytes, prefix: str) -> Reply:
    """The page of the OpenAPI document of what is mounted at `prefix`; each problem's page is below it."""
    problems = f"{prefix}/problems"
    read = msgspec.json.decode(document, type=_Document)
    verbs = [
        _Verb(method, path, each[method]) for path, each in read.paths.items() for method in _METHODS if method in each
    ]
    groups = [(one, [verb for verb in verbs if one.name in verb.operation.tags]) for one in read.tags]
    content = joined(
        tag(
            "header",
            tag("h1", read.info.title, " over HTTP"),
            *_paragraphs(read.info.description),
            _begin(read.info, f"{prefix}/openapi.json"),
        ),
        *(_group(one, each, read.components, problems) for one, each in groups),
        _types(read.components),
    )
    return page(f"{read.info.title}: HTTP reference", content, side=_side(groups, read.components))


def listing(names: Mapping[str, str]) -> Reply:
    """Where each reference is, by its dialect's name."""
    links = (tag("li", tag("a", name, href=address)) for name, address in names.items())
    return page("References · Jobgate", joined(tag("h1", "References"), tag("ul", *links)))


def _begin(info: _Info, address: str) -> Markup:
    return joined(
        tag(
            "p",
            f"Version {info.version}. The same for programs: ",
            tag("a", "OpenAPI 3.1", href=address),
            class_="quiet",
        ),
        tag("h4", "Every example needs"),
        _code("export URL=http://127.0.0.1:8080    # this server\nexport KEY=…                        # an API key"),
    )


# --- beside the text


def _side(groups: list[tuple[_Named, list[_Verb]]], components: _Components) -> Markup:
    parts = [
        joined(
            tag("b", one.name),
            tag("ul", *(tag("li", tag("a", verb.operation.summary, href=f"#{verb.operation.name}")) for verb in each)),
        )
        for one, each in groups
    ]
    types = tag("ul", *(tag("li", tag("a", name, href=f"#{name}")) for name in components.schemas))
    return tag("nav", *parts, tag("b", "types"), types, aria_label="Contents", class_="side", id="contents")


# --- one verb


def _group(one: _Named, each: list[_Verb], components: _Components, problems: str) -> Markup:
    return joined(
        tag("h2", one.name.capitalize(), _anchor(f"about-{one.name}"), id=f"about-{one.name}"),
        tag("p", prose(one.description), class_="quiet") if one.description else None,
        *(_verb(verb, components, problems) for verb in each),
    )


def _verb(verb: _Verb, components: _Components, problems: str) -> Markup:
    operation = verb.operation
    scopes = [scope for asked in operation.security for names in asked.values() for scope in names]
    asks = f"Asks of the key: {', '.join(scopes)}." if scopes else "Asks for no key."
    return tag(
        "section",
        tag("h3", operation.summary, _anchor(operation.name), id=operation.name),
        tag("p", tag("span", verb.method.upper(), class_=f"method {verb.method}"), tag("code", verb.path)),
        *_paragraphs(operation.description),
        tag("p", asks, class_="quiet"),
        *(_code(sample.source) for sample in operation.samples),
        _parameters(operation.parameters),
        _body(operation.body),
        _answers(operation.responses, components, problems),
        aria_labelledby=operation.name,
    )


def _parameters(parameters: tuple[_Parameter, ...]) -> Markup | None:
    if not parameters:
        return None
    rows: list[tuple[str, ...]] = [
        (
            joined(tag("code", one.name), tag("span", " needed" if one.required else "", class_="quiet")),
            {"path": "in the path", "query": "in the query", "header": "header"}.get(one.where, one.where),
            joined(shape(one.schema), _many(one)),
            prose(one.description),
        )
        for one in parameters
    ]
    return joined(tag("h4", "Parameters"), table(("name", "where", "type", "what it says"), rows, label="Parameters"))


def _many(one: _Parameter) -> str:
    if one.schema.get("type") != "array":
        return ""
    return "; given once for each" if one.explode else "; with commas between"


def _body(body: _Body | None) -> Markup | None:
    if body is None:
        return None
    parts: list[Markup] = []
    for media, content in body.content.items():
        parts.append(tag("p", shape(content.schema), ", ", tag("code", media)))
        parts += [_folded(one.summary, one.value) for one in content.examples.values()]
    needed = "" if body.required else " (may be left out)"
    return joined(tag("h4", f"Body{needed}"), *parts)


def _answers(answers: Mapping[str, _Answer], components: _Components, problems: str) -> Markup:
    rows: list[tuple[str, ...]] = []
    shown: list[Markup] = []
    refusals: list[Markup] = []
    for status, answer in answers.items():
        told = components.responses[answer.ref.rpartition("/")[2]] if answer.ref else answer
        if _PROBLEM in told.content:
            refusals.append(joined(f"{status} ", _codes(told.content[_PROBLEM].schema, problems)))
            continue
        kinds = [
            joined(shape(one.schema), " " if one.schema else "", tag("code", media))
            for media, one in told.content.items()
        ]
        headers = [tag("code", name) for name in told.headers if name != "Request-Id"]
        rows.append((status, between(kinds, " or ") if kinds else told.description, between(headers, ", ")))
        shown += [
            _folded(f"An answer, {status}", one.example)
            for one in told.content.values()
            if one.example is not msgspec.UNSET
        ]
    return joined(
        tag("h4", "Answers"),
        table(("status", "what comes", "headers"), rows, label="Answers"),
        *shown,
        tag("h4", "Problems") if refusals else None,
        tag("p", between(refusals, " · "), class_="refusals") if refusals else None,
    )


def _codes(schema: Mapping[str, Any], problems: str) -> Markup:
    codes = schema["allOf"][1]["properties"]["code"]["enum"]
    return between([tag("a", tag("code", code), href=f"{problems}/{code}") for code in codes], ", ")


# --- types


def _types(components: _Components) -> Markup:
    return joined(
        tag("h2", "Types", _anchor("types"), id="types"),
        *(_type(name, schema) for name, schema in components.schemas.items()),
    )


def _type(name: str, schema: Mapping[str, Any]) -> Markup:
    rows: list[tuple[str, ...]] = [
        (
            joined(tag("code", one.name), tag("span", one.mark, class_="quiet")),
            joined(shape(one.schema), _default(one.schema)),
            prose(one.text),
        )
        for one in members(schema)
    ]
    heads = ("member", "type", "what it says")
    body = table(heads, rows, label=f"Members of {name}") if rows else tag("p", shape(schema))
    return tag(
        "section",
        tag("h3", name, _anchor(name), id=name),
        *_paragraphs(str(schema.get("description", ""))),
        body,
        aria_labelledby=name,
    )


def _default(schema: Mapping[str, Any]) -> str:
    value = schema.get("default")
    return "" if value in (None, "", [], {}, 0, False) else f"; else {msgspec.json.encode(value).decode()}"


# --- small parts


def _anchor(name: str) -> Markup:
    return tag("a", "#", class_="anchor", href=f"#{name}", aria_label="Link to this part")


def _code(text: str) -> Markup:
    return tag("pre", tag("code", text), tabindex="0")


def _folded(title: str, value: object) -> Markup:
    text = value if isinstance(value, str) else msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return tag("details", tag("summary", title), _code(text))


def _paragraphs(text: str) -> Iterator[Markup]:
    return (tag("p", prose(" ".join(one.split()))) for one in re.split(r"\n\s*\n", text) if one.strip())
