"""What this API says of itself, to anyone: its index, its OpenAPI document, and a page for each problem."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

import msgspec
from msgspec import Struct

from jobgate.dialects.dialect import Call, Reply
from jobgate.dialects.native.asked import query
from jobgate.dialects.native.cures import CURES
from jobgate.dialects.native.openapi import about, peculiar, status_of
from jobgate.dialects.native.tags import ANY, weak
from jobgate.dialects.native.views import answer
from jobgate.dialects.native.wire import NAME
from jobgate.dialects.openapi.document import document
from jobgate.dialects.page import for_people, joined, page, prose, table, tag
from jobgate.dialects.verb import NoQuery, Verb
from jobgate.model.errors import NotFound

DOCS: Final = f"/docs/{NAME}"
"""Where the server shows the document to people."""
STABLE: Final = {"Cache-Control": "public, max-age=300"}
"""These change with the server's version only."""


class Index(Struct, frozen=True, kw_only=True):
    """Where to begin."""

    server: str
    version: str
    resources: dict[str, str]
    """Name to address of what can be listed or read without an id."""
    docs: str
    """The reference, for people."""


class ProblemPage(Struct, frozen=True, kw_only=True):
    """What one code means."""

    type: str
    code: str
    status: int
    title: str
    cause: str
    cure: str
    verbs: tuple[str, ...]
    """Which verbs may answer with it; none where any may."""


class ProblemPages(Struct, frozen=True, kw_only=True):
    """All there are; there is no further page."""

    items: tuple[ProblemPage, ...]
    next: None = None


class Reference:
    """The pages, drawn from the verbs when they are first asked for."""

    def __init__(self, prefix: str, verbs: Sequence[Verb]) -> None:
        self._prefix = prefix
        self.verbs: tuple[Verb, ...] = (*verbs, *_pages(self))
        self.document = cache(self._document)

    def _document(self) -> bytes:
        """OpenAPI 3.1."""
        return document(about(self._prefix), self.verbs)

    def index(self, call: Call) -> Reply:
        """Names and addresses of what needs no id."""
        plain = [verb.path for verb in self.verbs if verb.method == "GET" and "{" not in verb.path and verb.path]
        named = {path.strip("/").partition(".")[0]: self._prefix + path for path in sorted(plain)}
        found = Index(server="jobgate", version=about(self._prefix).version, resources=named, docs=DOCS)
        return _kept(call, msgspec.json.encode(found))

    def openapi(self, call: Call) -> Reply:
        """The document."""
        return _kept(call, self.document())

    def problems(self, call: Call) -> Reply:
        """Every code."""
        each = tuple(self._told(code) for code in sorted(status_of()))
        if not for_people(call):
            return answer(ProblemPages(items=each), 200, STABLE | {"Vary": "Accept"})
        rows: list[tuple[str, ...]] = [
            (str(one.status), tag("a", tag("code", one.code), href=one.type), one.title) for one in each
        ]
        lead = tag("p", "Programs branch on the code. Each has a page with its cause and its cure.")
        body = table(("status", "code", "what it says"), rows, label="Problems")
        return page("Problems · Jobgate", joined(tag("h1", "Problems"), lead, body, self._back()))

    def problem(self, call: Call) -> Reply:
        """One code. Raises NotFound."""
        code = call.path.get("code", "")
        if code not in status_of():
            raise NotFound
        one = self._told(code)
        if not for_people(call):
            return answer(one, 200, STABLE | {"Vary": "Accept"})
        verbs = {verb.name: verb for verb in self.verbs}
        where = [
            tag("li", tag("a", f"{verbs[name].method} {self._prefix}{verbs[name].path}", href=f"{DOCS}#{name}"))
            for name in one.verbs
        ]
        return page(
            f"{one.code} · Jobgate",
            joined(
                tag("p", f"Problem {one.status}", class_="quiet"),
                tag("h1", one.title),
                tag("p", tag("code", one.code)),
                tag("h2", "Why"),
                tag("p", prose(one.cause)),
                tag("h2", "What to do"),
                tag("p", prose(one.cure)),
                tag("h2", "Where it is met"),
                tag("ul", *where) if where else tag("p", "At any address."),
                self._back(),
            ),
        )

    def _back(self) -> str:
        return tag(
            "p",
            tag("a", "All problems", href=f"{self._prefix}/problems"),
            " · ",
            tag("a", "Reference", href=DOCS),
        )

    def _told(self, code: str) -> ProblemPage:
        status, title = status_of()[code]
        return ProblemPage(
            type=f"{self._prefix}/problems/{code}",
            code=code,
            status=status,
            title=title,
            cause=CURES[code].cause,
            cure=CURES[code].cure,
            verbs=tuple(verb.name for verb in self.verbs if code in peculiar(verb)),
        )


def _kept(call: Call, body: bytes) -> Reply:
    """An answer that a client may keep, and ask about again."""
    version = hashlib.sha256(body).hexdigest()[:16]
    headers = STABLE | {"ETag": f'"{version}"'}
    if weak(call.headers.get("if-none-match", "")) & {version, ANY}:
        return Reply(status=304, headers=headers)
    return Reply(headers=headers, body=body)


def _bare(page_of: Callable[[Call], Reply]) -> Callable[[Call], Reply]:
    """The page, for a call without parameters."""

    def asked(call: Call) -> Reply:
        query(call, NoQuery)
        return page_of(call)

    return asked


def _pages(book: Reference) -> tuple[Verb, ...]:
    held = {"If-None-Match": ""}
    said = ["text/html"]
    return (
        Verb(
            name="index",
            method="GET",
            path="",
            summary="Where to begin: names of what there is",
            subject="reference",
            headers=held,
            gives={200: Index},
            page=_bare(book.index),
        ),
        Verb(
            name="openapi",
            method="GET",
            path="/openapi.json",
            summary="This document",
            subject="reference",
            headers=held,
            gives={200: "application/json"},
            page=_bare(book.openapi),
        ),
        Verb(
            name="problems",
            method="GET",
            path="/problems",
            summary="Every problem that this API may answer with",
            description="A browser gets a page, everyone else JSON.",
            subject="reference",
            gives={200: [ProblemPages, *said]},
            page=_bare(book.problems),
        ),
        Verb(
            name="problem",
            method="GET",
            path="/problems/{code}",
            summary="One problem: its cause and its cure",
            description="A browser gets a page, everyone else JSON. The `type` of a problem leads here.",
            subject="reference",
            gives={200: [ProblemPage, *said]},
            page=_bare(book.problem),
        ),
    )
