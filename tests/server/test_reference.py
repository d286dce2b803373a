"""`/docs`: a page that is whole without scripts, asks nobody for anything, and whose links lead somewhere."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

import msgspec
import pytest
from front_fakes import Plain, World

from jobgate.dialects import load
from jobgate.dialects.dialect import Setup
from jobgate.dialects.page import joined, prose, table, tag
from jobgate.model.errors import Invalid
from jobgate.server.shapes import shape
from jobgate.server.table import Mount

VOID = ("meta", "link", "br")


class Page(HTMLParser):
    """What a page holds; every element that is opened is closed."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self._open: list[str] = []
        self.feed(source)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.tags.add(tag)
        self.ids += [told["id"] or ""] if "id" in told else []
        self.links += [told["href"] or ""] if "href" in told else []
        assert not any(name.startswith("on") or name == "style" for name in told)
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


def native(name: str = "native") -> World:
    return World(Mount("/v1", load(name, Setup(prefix="/v1"))))


def test_the_reference_is_open_and_whole_without_scripts() -> None:
    answer = native().ask("GET", "/docs", client="192.0.2.1")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    read = Page(answer.text)
    assert {"main", "nav", "h1", "h2", "h3"} <= read.tags
    assert not {"script", "img", "iframe", "form", "link"} & read.tags
    assert not re.search(r"url\(|@import", answer.text)


def test_every_link_of_the_reference_leads_to_a_part_of_it_or_to_an_address_of_this_server() -> None:
    world = native()
    read = Page(world.ask("GET", "/docs").text)
    assert len(set(read.ids)) == len(read.ids)
    inside = {link.removeprefix("#") for link in read.links if link.startswith("#")}
    assert inside <= set(read.ids)
    for link in {link for link in read.links if not link.startswith("#")}:
        assert world.ask("GET", link).status_code == 200, link


def test_every_verb_and_every_type_of_the_document_stands_in_the_reference() -> None:
    world = native()
    read = Page(world.ask("GET", "/docs/native").text)
    document = world.ask("GET", "/v1/openapi.json").json()
    verbs = {verb["operationId"] for path in document["paths"].values() for verb in path.values()}
    assert verbs | document["components"]["schemas"].keys() <= set(read.ids)


def test_the_index_names_the_reference_where_there_is_one() -> None:
    assert native().ask("GET", "/").json()["docs"] == "/docs"
    plain = World()
    assert "docs" not in plain.ask("GET", "/").json()
    assert plain.ask("GET", "/docs").status_code == 404
    assert native().ask("GET", "/docs/nothing").status_code == 404


def test_of_several_references_the_reader_chooses() -> None:
    class Other(Plain):
        def document(self) -> bytes:
            empty = {"info": {"title": "O", "version": "1"}, "tags": [], "paths": {}, "components": {}}
            return msgspec.json.encode(empty)

    world = World(Mount("/v1", load("native", Setup(prefix="/v1"))), Mount("/o", Other("other")))
    assert {"/docs/native", "/docs/other"} <= set(Page(world.ask("GET", "/docs").text).links)
    assert "<h1>O over HTTP</h1>" in world.ask("GET", "/docs/other").text


def test_no_dialect_may_claim_the_reference() -> None:
    with pytest.raises(Invalid, match="/docs"):
        World(Mount("/docs", Plain("plain")))


def test_what_is_no_markup_is_escaped_wherever_it_stands() -> None:
    evil = "<script>alert(1)</script>\"'&"
    told = [
        tag("p", evil),
        tag("a", "x", href=evil),
        joined(evil),
        prose(f"`{evil}` {evil}"),
        table((evil,), [(evil,)], label=evil),
        shape({"enum": [evil]}),
        shape({"$ref": f"#/components/schemas/{evil}"}),
        shape({"type": evil, "pattern": "<b>"}),
    ]
    for one in told:
        assert "<script" not in one
        assert "<b>" not in one
        Page(one)
    assert unescape(tag("p", evil).removeprefix("<p>").removesuffix("</p>")) == evil


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 100}, "integer, 1 to 100"),
        ({"type": "integer", "minimum": 0, "maximum": (1 << 63) - 1}, "integer, from 0"),
        ({"type": "array", "items": {"type": "string"}}, "list of text"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "object of integer"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer or null"),
        ({"type": "string", "format": "binary"}, "bytes"),
        ({"type": "number", "exclusiveMinimum": 0}, "number, above 0"),
        ({}, "any"),
    ],
)
def test_a_schema_is_said_in_words(schema: dict[str, object], words: str) -> None:
    assert shape(schema) == words
