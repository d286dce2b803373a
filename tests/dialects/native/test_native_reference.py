"""What the native API says of itself: its OpenAPI document, held against its own decoder; its problem pages."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jsonschema_rs
import msgspec
import pytest
from native_examples import KEY, setup
from starlette.routing import compile_path

from jobgate.dialects.dialect import Call, Reply, Route
from jobgate.dialects.native.cures import CURES
from jobgate.dialects.native.openapi import ASKED, PLACES, SUBJECTS, refused, status_of
from jobgate.dialects.native.problems import NEXT, PROBLEMS
from jobgate.dialects.native.routes import Native
from jobgate.dialects.page import POLICY, STYLE
from jobgate.dialects.verb import Verb
from jobgate.model.errors import NotFound

NATIVE = Native(setup())
DOCUMENT: dict[str, Any] = msgspec.json.decode(NATIVE.document())
VERBS: tuple[Verb, ...] = NATIVE.verbs
CALLS = tuple(verb for verb in VERBS if verb.page is None)
ROUTES = {route.verb: route for route in NATIVE.routes}
PEOPLE = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}

each_verb = pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)


def operation(verb: Verb) -> dict[str, Any]:
    found = [one for path in DOCUMENT["paths"].values() for one in path.values() if one["operationId"] == verb.name]
    assert len(found) == 1, verb.name
    told: dict[str, Any] = found[0]
    return told


def page(verb: str, headers: dict[str, str] | None = None, **path: str) -> Reply:
    asked = ROUTES[verb].page
    assert asked is not None
    return asked(Call(verb=verb, method="GET", path=path, headers=headers or {}))


def text(reply: Reply) -> str:
    assert isinstance(reply.body, bytes)
    return reply.body.decode()


def valid(schema: dict[str, Any], value: object) -> None:
    """Against a schema of the document, whose references are found in it."""
    whole = {"components": DOCUMENT["components"], **schema}
    jsonschema_rs.validator_for(whole).validate(msgspec.to_builtins(value))


# --- the document


@each_verb
def test_every_verb_is_told_of_with_its_subject_and_its_refusals(verb: Verb) -> None:
    told = operation(verb)
    assert told["tags"] == [verb.subject]
    assert verb.subject in SUBJECTS, "a subject needs its line in SUBJECTS"
    assert told["summary"]
    assert set(verb.refuses) <= status_of().keys(), "a verb refuses with codes of PROBLEMS"
    statuses = {str(status_of()[code][0]) for code in refused(verb)}
    assert statuses <= told["responses"].keys()
    assert bool(told["security"]) == (verb.page is None)


@each_verb
def test_every_name_in_an_address_and_every_header_is_explained(verb: Verb) -> None:
    for one in operation(verb).get("parameters", ()):
        assert one["description"], f"{verb.name}: {one['name']} is not explained"
    named = re.findall(r"([^/{}]+/)\{(\w+)", verb.path)
    assert {f"{before}{{{name}}}" for before, name in named} <= PLACES.keys(), (
        "what an address names has its type in PLACES"
    )
    assert all(text or name in ASKED for name, text in verb.headers.items()), "a header without a text stands in ASKED"


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield from ([value["$ref"]] if isinstance(value.get("$ref"), str) else ())
        for one in value.values():
            yield from references(one)
    elif isinstance(value, list):
        for one in value:
            yield from references(one)


def test_every_reference_in_the_document_leads_somewhere_and_every_schema_is_one() -> None:
    for reference in set(references(DOCUMENT)):
        found = DOCUMENT
        for word in reference.removeprefix("#/").split("/"):
            found = found[word]
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


def test_the_source_s_words_on_members_stand_in_the_document() -> None:
    draft = DOCUMENT["components"]["schemas"]["LoneDraft"]["properties"]
    assert draft["command"]["description"].startswith("The words of the command")
    assert "`wildcard`:" in DOCUMENT["components"]["schemas"]["OutputKind"]["description"]


def test_patterns_are_those_of_json_schema_and_not_of_python() -> None:
    assert "\\\\Z" not in NATIVE.document().decode()


# --- its examples


def examples(verb: Verb) -> Iterator[tuple[str, object]]:
    for media, content in operation(verb).get("requestBody", {}).get("content", {}).items():
        yield from ((media, content[key]) for key in ("example",) if key in content)
        yield from ((media, one["value"]) for one in content.get("examples", {}).values())


@pytest.mark.parametrize("verb", [verb for verb in CALLS if verb.takes is not None], ids=lambda verb: verb.name)
def test_every_example_is_of_the_schema_and_is_understood(verb: Verb) -> None:
    shown = list(examples(verb))
    assert shown or verb.optional, f"{verb.name} takes a body and shows none"
    for media, value in shown:
        schema = operation(verb)["requestBody"]["content"][media]["schema"]
        valid(schema, value)
        body = value.encode() if isinstance(value, str) else msgspec.json.encode(value)
        call = call_of(verb, body, media)
        if media == "application/json":
            NATIVE.decode(call)
        elif verb.lines is not None:
            lines = verb.lines(call)
            lines.feed(body)
            lines.end()


def call_of(verb: Verb, body: bytes, media: str) -> Call:
    named = {one["name"]: str(one["schema"].get("examples", ["x"])[0]) for one in operation(verb).get("parameters", ())}
    headers = {"authorization": f"Bearer {KEY}", "content-type": media}
    return Call(verb=verb.name, method=verb.method, path=named, headers=headers, body=body, now=5.0)


@each_verb
def test_every_answer_that_is_shown_is_of_its_schema(verb: Verb) -> None:
    shown = [
        (content["schema"], content["example"])
        for answer in operation(verb)["responses"].values()
        for content in answer.get("content", {}).values()
        if "example" in content
    ]
    for schema, example in shown:
        valid(schema, example)
    speaks = any(isinstance(kind, type) for kind in verb.gives.values())
    assert shown or not speaks or verb.page, f"{verb.name} answers with JSON and shows none"


@pytest.mark.parametrize("verb", CALLS, ids=lambda verb: verb.name)
def test_every_curl_command_asks_what_it_says(verb: Verb) -> None:
    (sample,) = operation(verb)["x-codeSamples"]
    words = shlex.split(sample["source"].replace("\\\n", " "))
    assert words[0] == "curl"
    assert words[1] in ("-s", "-sI")
    url = urlsplit(next(word for word in words if word.startswith("$URL")).removeprefix("$URL"))
    data = next((words[at + 1] for at, word in enumerate(words) if word in ("-d", "--data-binary")), "")
    method = words[words.index("-X") + 1] if "-X" in words else "POST" if data else "GET"
    method = "HEAD" if words[1] == "-sI" else method
    headers = dict(words[at + 1].split(": ", 1) for at, word in enumerate(words) if word == "-H")
    route, path = found(method, url.path)
    assert route.verb == verb.name
    pairs = tuple(parse_qsl(url.query))
    call = Call(
        verb=verb.name,
        method=method,
        path=path,
        query=dict(pairs),
        pairs=pairs,
        headers={name.lower(): value for name, value in headers.items()},
        body=data.encode(),
        now=5.0,
    )
    assert NATIVE.credential(call).value == "$KEY"
    if verb.body.value in ("none", "whole"):
        NATIVE.decode(call)


def found(method: str, path: str) -> tuple[Route, dict[str, str]]:
    for route in NATIVE.routes:
        match = compile_path(f"/v1{route.path}")[0].match(path)
        if match and method in route.methods:
            return route, match.groupdict()
    raise AssertionError((method, path))


# --- its pages


def test_the_document_is_kept_by_who_has_it() -> None:
    first = page("openapi")
    assert first.body == NATIVE.document()
    assert page("openapi", {"if-none-match": f'"other", {first.headers["ETag"]}'}).status == 304
    assert page("openapi", {"if-none-match": '"other"'}).status == 200


def test_the_index_names_what_can_be_read_without_an_id() -> None:
    told = msgspec.json.decode(text(page("index")))
    assert told["resources"]["problems"] == "/v1/problems"
    assert all("{" not in path for path in told["resources"].values())


def test_every_code_has_a_cause_a_cure_and_something_to_do_next() -> None:
    assert status_of().keys() <= CURES.keys()
    assert NEXT.keys() == {code for _, code, _ in PROBLEMS.values()} == status_of().keys()


@pytest.mark.parametrize("code", sorted(status_of()))
def test_every_problem_has_its_page_for_people_and_for_programs(code: str) -> None:
    told = msgspec.json.decode(text(page("problem", code=code)))
    assert (told["code"], told["type"], told["status"]) == (code, f"/v1/problems/{code}", status_of()[code][0])
    shown = page("problem", PEOPLE, code=code)
    assert shown.media.startswith("text/html")
    assert shown.headers["Content-Security-Policy"] == POLICY
    assert f"<code>{code}</code>" in text(shown)
    assert f"<style>{STYLE}</style>" in text(shown)
    assert not re.search(r"<script|src=|https?:|//|url\(|@import|style=", text(shown))


def test_a_code_that_is_none_has_no_page() -> None:
    with pytest.raises(NotFound):
        page("problem", code="<script>")


def test_who_asks_for_json_and_html_alike_gets_json() -> None:
    assert page("problems", {"accept": "application/json, text/html"}).media.startswith("application/json")
    assert page("problems", PEOPLE).media.startswith("text/html")
    assert page("problems").media.startswith("application/json")
