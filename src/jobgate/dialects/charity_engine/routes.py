"""The dialect itself: its addresses, and the four things every dialect does."""

from __future__ import annotations

from jobgate.dialects.charity_engine import decode, encode
from jobgate.dialects.charity_engine.settings import Settings, settings
from jobgate.dialects.charity_engine.wire import NAME
from jobgate.dialects.dialect import Ask, Body, Call, Reply, Route, Setup
from jobgate.model.account import Proof, Scope
from jobgate.model.errors import JobgateError
from jobgate.model.outcomes import Outcome

DOWNLOADS = frozenset({"GET", "HEAD"})


class CharityEngine:
    """Charity Engine Remote Job Submission API, version 2."""

    name = NAME

    def __init__(self, setup: Setup) -> None:
        self._words = decode.Words(setup, settings(setup.settings))
        self.routes = _routes(self._words.own)

    def credential(self, call: Call) -> Proof:
        """The authenticator. Raises Unauthenticated or Invalid."""
        return decode.credential(call)

    def decode(self, call: Call) -> Ask:
        """What the call asks for. Raises a RequestError."""
        return decode.decode(self._words, call)

    def encode(self, call: Call, outcome: Outcome) -> Reply:
        """The answer to a call that went well."""
        return encode.encode(self._words, call, outcome)

    def refuse(self, call: Call, error: JobgateError) -> Reply:
        """The answer to a call that did not."""
        return encode.refuse(self._words, call, error)


def _routes(own: Settings) -> tuple[Route, ...]:
    def verb(name: str, scope: Scope, summary: str) -> Route:
        return Route(path=f"/{name}", verb=name, limit=own.body, scope=scope, summary=summary)

    def download(name: str, path: str, summary: str) -> Route:
        return Route(path=path, methods=DOWNLOADS, verb=name, body=Body.NONE, limit=0, summary=summary)

    return (
        verb("job-create", Scope.SUBMIT, "Submit one job, or several equal copies"),
        verb("job-status", Scope.READ, "Full objects of named jobs"),
        verb("job-list", Scope.READ, "Page through own jobs"),
        verb("job-abort", Scope.CONTROL, "Stop queued or running jobs"),
        verb("job-remove", Scope.CONTROL, "Forget finished jobs and their files"),
        verb("job-result", Scope.READ, "Output files of a job with their addresses"),
        verb("job-log", Scope.READ, "Console output of a job"),
        Route(
            path="/file-upload",
            verb="file-upload",
            body=Body.UPLOAD,
            limit=own.upload,
            scope=Scope.SUBMIT,
            summary="Store an input file, and get its hash",
        ),
        download("files", "/files/{job}/{path:path}", "Download one output file"),
        download("logs", "/logs/{job}", "Download the console output"),
    )
