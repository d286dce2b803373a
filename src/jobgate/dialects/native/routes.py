"""The native API as a dialect: every subject's verbs, in one table."""

from __future__ import annotations

from typing import Final

import msgspec

from jobgate.dialects.dialect import Ask, Call, Reply, Setup
from jobgate.dialects.native import (
    account,
    asked,
    batches,
    environments,
    estimates,
    events,
    files,
    folders,
    jobs,
    logs,
    outputs,
    overseen,
    problems,
    submit,
    waits,
    webhooks,
)
from jobgate.dialects.native.reference import Reference
from jobgate.dialects.native.wire import NAME
from jobgate.dialects.verb import NoQuery, Verb, methods, route
from jobgate.model.account import Proof
from jobgate.model.catalogue import Catalogue
from jobgate.model.errors import Invalid, JobgateError, MethodNotAllowed, NotFound
from jobgate.model.limits import Limits
from jobgate.model.outcomes import Outcome

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
        self._reference = Reference(setup.prefix, verbs(own, setup.limits, setup.catalogue))
        self.verbs = self._reference.verbs
        self._verbs = {verb.name: verb for verb in self.verbs}
        self._methods = methods(self.verbs)
        self.routes = tuple(map(route, self.verbs))

    def credential(self, call: Call) -> Proof:
        """The API key. Raises Unauthenticated."""
        return asked.credential(call)

    def decode(self, call: Call) -> Ask:
        """What the call asks for. Raises a RequestError whose field is a path into the body, or a parameter."""
        verb = self._verbs.get(call.verb)
        if verb is None or verb.decode is None:
            raise NotFound("there is nothing at this address", code="unknown-operation")
        if verb.query is NoQuery and (call.pairs or call.query):
            asked.query(call, NoQuery)
        return verb.decode(call)

    def encode(self, call: Call, outcome: Outcome) -> Reply:
        """The answer to a call that went well. What it cannot show, such as no job, is refused."""
        encode = self._verbs[call.verb].encode
        if encode is None:
            raise NotFound("there is nothing at this address", code="unknown-operation")
        try:
            return encode(self._prefix, call, outcome)
        except JobgateError as error:
            return self.refuse(call, error)

    def refuse(self, call: Call, error: JobgateError) -> Reply:
        """The answer to a call that did not; OPTIONS is no refusal, and gets the methods there are.

        No verb takes OPTIONS, so that it always comes here; the front adds `Allow` where the call had no verb.
        """
        if call.method == "OPTIONS" and isinstance(error, MethodNotAllowed):
            return Reply(status=204)
        return problems.refuse(call, error, prefix=self._prefix, allow=self._methods.get(call.verb, ""))

    def document(self) -> bytes:
        """OpenAPI 3.1 of all of it."""
        return self._reference.document()


def verbs(own: Settings, limits: Limits, catalogue: Catalogue) -> tuple[Verb, ...]:
    """All there are, in the order they are shown."""
    return (
        *submit.verbs(own.body, limits.batch, limits.job, catalogue),
        *jobs.VERBS,
        *batches.VERBS,
        *waits.VERBS,
        *logs.VERBS,
        *outputs.VERBS,
        *files.verbs(limits.upload),
        *folders.verbs(limits.upload),
        *environments.VERBS,
        *account.VERBS,
        *overseen.VERBS,
        *estimates.verbs(own.body, limits.batch, catalogue),
        *webhooks.VERBS,
        *events.VERBS,
    )
