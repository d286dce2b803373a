"""One verb of a JSON API as one record: its address, what it takes and gives, and both ways between wire and model.

The routes, the decoders, the encoders and the OpenAPI document are all drawn from these records, so that none of them
can say what another does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from jobgate.dialects.dialect import Ask, Body, Call, Lines, Reply, Route
from jobgate.model.account import Scope


class NoQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """No parameters."""


class Verb(msgspec.Struct, frozen=True, kw_only=True):
    """One address and method of a dialect that speaks JSON."""

    name: str
    """`job-cancel`: in the access log, the metrics, `Call.verb`, and as OpenAPI's `operationId`."""
    method: str
    """GET answers HEAD too."""
    path: str
    """Below the prefix, in Starlette's notation."""
    summary: str
    """One line."""
    description: str = ""
    """What the line leaves open, for the reference."""
    subject: str
    """The group it is shown in: `jobs`, `batches`, `events`, …"""
    scope: Scope = Scope.READ
    body: Body = Body.NONE
    limit: int = 1 << 20
    """Bytes of the body."""
    early: bool = False
    """See `Route.early`."""
    lines: Callable[[Call], Lines] | None = None
    """See `Route.lines`."""
    takes: Any = None
    """Wire type of the JSON body; None: there is none, or it is no JSON."""
    optional: bool = False
    """The body may be left out."""
    media: tuple[str, ...] = ("application/json",)
    """What the body may be."""
    query: type[msgspec.Struct] = NoQuery
    """Its parameters, as members of a struct; see `asked.query`."""
    headers: Mapping[str, str] = {}
    """Request headers it heeds, and what they do; without a text where the dialect says it once for all."""
    tells: Mapping[str, str] = {}
    """Headers of its answers beside those that follow from the above, and what they say."""
    gives: Mapping[int, Any] = {}
    """Status to wire type; a text is a media type, a list is one of several, None an answer without a body."""
    refuses: tuple[str, ...] = ()
    """Codes of problems it may answer with, beside those that every address may."""
    example: Any = None
    """A body that works; of what is no JSON a text."""
    examples: Mapping[str, Any] = {}
    """Other bodies that work, by what they show."""
    asks: Mapping[str, str] = {}
    """A query that works with it."""
    sends: Mapping[str, str] = {}
    """Headers that it needs to work."""
    shown: Any = None
    """An answer to it."""
    decode: Callable[[Call], Ask] | None = None
    """None: a page."""
    encode: Callable[[str, Call, Any], Reply] | None = None
    """From the prefix, the call and what came of it."""
    page: Callable[[Call], Reply] | None = None
    """See `Route.page`."""


def route(verb: Verb) -> Route:
    """The verb as the front knows it."""
    return Route(
        path=verb.path,
        methods=frozenset({"GET", "HEAD"} if verb.method == "GET" else {verb.method}),
        verb=verb.name,
        body=verb.body,
        limit=verb.limit if verb.body is not Body.NONE else 0,
        scope=verb.scope,
        early=verb.early,
        lines=verb.lines,
        page=verb.page,
        summary=verb.summary,
    )


def methods(verbs: Sequence[Verb]) -> dict[str, str]:
    """By name of a verb, all that its address answers to, as `Allow` says it."""
    found: dict[str, set[str]] = {}
    for verb in verbs:
        found.setdefault(verb.path, set()).update(route(verb).methods)
    return {verb.name: ", ".join(sorted(found[verb.path])) for verb in verbs}
