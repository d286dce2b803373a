"""The dialect itself: its addresses, and the four things every dialect does."""

from __future__ import annotations

from typing import Final

import msgspec

from jobgate.dialects.dialect import Ask, Body, Call, Reply, Route, Setup
from jobgate.dialects.native import decode, encode
from jobgate.dialects.native.wire import NAME
from jobgate.model.account import Proof, Scope
from jobgate.model.errors import Invalid, JobgateError
from jobgate.model.operations import Outcome

BODY: Final = 256 << 20
"""Bytes of one request: 100,000 jobs written one by one fit in."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[dialects.native]`` of the configuration."""

    body: int = BODY
    """Bytes of one request."""


class Native:
    """Jobgate's own API."""

    name = NAME

    def __init__(self, setup: Setup) -> None:
        try:
            own = msgspec.convert(setup.settings, Settings)
        except msgspec.ValidationError as error:
            raise Invalid(str(error), field="dialects.native") from error
        self._prefix = setup.prefix
        self.routes = _routes(own)

    def credential(self, call: Call) -> Proof:
        """The API key. Raises Unauthenticated."""
        return decode.credential(call)

    def decode(self, call: Call) -> Ask:
        """What the call asks for. Raises a RequestError."""
        return decode.decode(call)

    def encode(self, call: Call, outcome: Outcome) -> Reply:
        """The answer to a call that went well."""
        return encode.encode(self._prefix, call, outcome)

    def refuse(self, call: Call, error: JobgateError) -> Reply:
        """The answer to a call that did not."""
        return encode.refuse(call, error)


def _routes(own: Settings) -> tuple[Route, ...]:
    def submit(path: str, verb: str, summary: str) -> Route:
        return Route(path=path, verb=verb, limit=own.body, scope=Scope.SUBMIT, early=True, summary=summary)

    def show(path: str, verb: str, summary: str) -> Route:
        methods = frozenset({"GET", "HEAD"})
        return Route(path=path, methods=methods, verb=verb, body=Body.NONE, limit=0, scope=Scope.READ, summary=summary)

    return (
        submit("/jobs", "job-submit", "Submit one job"),
        submit("/batches", "batch-submit", "Submit a batch of jobs"),
        show("/jobs/{id}", "job", "A job; with ?wait=SECONDS when it has ended"),
        show(
            "/jobs/{id}/archive",
            "archive",
            "All files of a job that is over, as a zip; with ?output=N those of one output",
        ),
        show("/batches/{id}", "batch", "A batch; with ?wait=SECONDS when all its jobs have ended"),
    )
