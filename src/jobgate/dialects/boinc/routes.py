"""The dialect itself: its addresses, and the four things every dialect does."""

from __future__ import annotations

import math
import re
from typing import Final
from urllib.parse import quote

from jobgate.dialects.boinc import batches, instances, outputs, rpc, staging, xml
from jobgate.dialects.boinc.jobs import NAME, Words
from jobgate.dialects.boinc.rpc import DONE, DONE_BARE, REQUEST, Rpc
from jobgate.dialects.boinc.settings import Settings, settings
from jobgate.dialects.boinc.xml import Document
from jobgate.dialects.dialect import Ask, Body, Call, Reply, Route, Setup, Stream
from jobgate.dialects.reading import uncollected
from jobgate.model.account import Kind, Proof, Scope, Signature
from jobgate.model.errors import (
    Forbidden,
    Gone,
    Invalid,
    JobgateError,
    MethodNotAllowed,
    NotFound,
    RequestError,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from jobgate.model.operations import Load
from jobgate.model.outcomes import Archived, Content, Loaded, Outcome
from jobgate.model.storing import Gathered

DOWNLOADS: Final = frozenset({"GET", "HEAD"})
XML: Final = "text/xml"
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._\- ]")
LEGACY: Final = "legacy"
"""Replies as before July 2016, for clients of that age: on a mount of their own, since requests do not differ."""
HANDLER: Final = "submit_rpc_handler"
FILES: Final = "job_file"
COUNTS: Final = "server_status"
_RPCS: Final = {
    HANDLER: {one.name: one for one in (*batches.RPCS, *instances.RPCS)},
    FILES: {one.name: one for one in staging.RPCS},
}
_OUTPUTS: Final = {"get_output": outputs.signed, "get_output2": outputs.plain, "get_output3": outputs.browsed}
_UNKNOWN: Final = {HANDLER: "bad command", FILES: "no such action"}
_STUFFING: Final = f"<?{'x' * 4200} x?>\n"
"""In an error of query_batches the C++ client stops here and keeps the error; otherwise it would forget it."""


class Boinc:
    """BOINC's Web RPCs for remote job submission."""

    name = NAME
    variants: Final = frozenset({LEGACY})

    def __init__(self, setup: Setup) -> None:
        self._own = settings(setup.settings)
        self._legacy = setup.variant == LEGACY
        self._words = Words(setup.catalogue, setup.templates, self._own)
        for app in setup.catalogue.apps.values():
            self._words.standard(app)  # a template file that cannot be used stops the start
        self._read: dict[int, tuple[bytes, Document]] = {}
        self.routes = _routes(self._own)

    def credential(self, call: Call) -> Proof | Signature | None:
        """The authenticator, or a signature made with it; None where nobody has to be known.

        Raises Unauthenticated when there is none, Invalid for what cannot be read.
        """
        if call.verb == COUNTS:
            return None
        if call.verb not in _RPCS:
            return outputs.credential(call)
        content = call.fields.get(REQUEST, b"")
        if len(content) > SMALL:  # no tree is made of it before it is known who asks
            root, value = xml.asker(content, "authenticator")
        else:
            document = self._document(call, keep=True)
            root, value = document.root, document.body.word("authenticator")
        if not self._rpc(call, root).large and len(content) > SMALL:
            raise TooLarge(f"a {root} has at most {SMALL} bytes", code="body-too-large")
        if root == "ping":
            return None
        if not value:
            raise Unauthenticated("no authenticator", code="no-authenticator")
        return Proof(Kind.BOINC, value)

    def decode(self, call: Call) -> Ask:
        """What the call asks for. Raises a RequestError."""
        if call.verb == COUNTS:
            return Ask(operation=Load())
        if call.verb not in _RPCS:
            return _OUTPUTS[call.verb](call)
        with uncollected(call.fields.get(REQUEST, b"")):
            document = self._document(call, keep=False)
            return self._rpc(call, document.root).ask(self._words, document.body, call)

    def encode(self, call: Call, outcome: Outcome) -> Reply:
        """The answer to a call that went well."""
        if isinstance(outcome, Loaded) and call.verb == COUNTS:
            return Reply(body=xml.reply("job_counts", _counts(outcome)), media=XML)
        if call.verb not in _RPCS:
            return _output(outcome)
        name = xml.root_of(call.fields.get(REQUEST, b""))
        one = self._rpc(call, name)
        root = xml.EMPTY if one.large else xml.read(call.fields[REQUEST]).body
        try:
            told = one.tell(self._words, root, outcome)
        except JobgateError as error:
            return self.refuse(call, error)
        shape = _Legacy(one) if self._legacy else _Today(one)
        return Reply(body=shape.stream(told) if isinstance(told, Stream) else shape.whole(told), media=XML)

    def refuse(self, call: Call, error: JobgateError) -> Reply:
        """The answer to a call that did not: status 200, since clients stop at any other."""
        headers = _headers(call, error)
        if isinstance(error, MethodNotAllowed | NotFound) and not call.verb:
            status = 405 if isinstance(error, MethodNotAllowed) else 404
            return Reply(status=status, body=xml.HEAD + rpc.error(error.message).encode(), media=XML)
        if call.verb not in _RPCS:
            return _refused_output(call, error, headers)
        content = call.fields.get(REQUEST, b"")
        self._read.pop(id(content), None)
        name = xml.root_of(content)
        known = _RPCS[call.verb].get(name)
        told = rpc.error(rpc.words_of(error, known), rpc.number_of(error))
        if known is None or error.code == "unreadable" or self._legacy:
            return Reply(body=xml.HEAD + told.encode(), media=XML, headers=headers)
        stuffing = _STUFFING if name == "query_batches" else ""
        return Reply(body=xml.reply(name, told + stuffing), media=XML, headers=headers)

    def _document(self, call: Call, *, keep: bool) -> Document:
        """The request, read once for who asks and what: `keep` it for the second time, or give it up."""
        content = call.fields.get(REQUEST, b"")
        known = self._read.get(id(content)) if keep else self._read.pop(id(content), None)
        if known is not None and known[0] is content:
            return known[1]
        document = xml.read(content)
        if keep:
            if len(self._read) >= _KEPT:
                self._read.clear()  # of calls that were refused in between
            self._read[id(content)] = (content, document)
        return document

    @staticmethod
    def _rpc(call: Call, name: str) -> Rpc:
        known = _RPCS[call.verb].get(name)
        if known is None:
            raise Invalid(_UNKNOWN[call.verb], code="bad-command")
        return known


_KEPT: Final = 16
SMALL: Final = 64 << 10
"""Bytes of a document that is read at once and kept until it is decoded; greater ones list things, as few calls do."""


class _Today:
    """Replies whose root is named like the call."""

    def __init__(self, one: Rpc) -> None:
        self._name = one.name

    def whole(self, told: str) -> bytes:
        return xml.reply(self._name, told)

    def stream(self, told: Stream) -> Stream:
        return _around(told, f"<{self._name}>\n", f"</{self._name}>\n")


class _Legacy:
    """Replies before July 2016: a root of another name, or none around the one element [BOINC, section 14]."""

    def __init__(self, one: Rpc) -> None:
        self._root = one.legacy
        self._jobs = one.name == "query_batch2"

    def whole(self, told: str) -> bytes:
        if told == DONE_BARE:
            return _bare(DONE)
        return xml.reply(self._root, told) if self._root and not told.startswith(f"<{self._root}>") else _bare(told)

    def stream(self, told: Stream) -> Stream:
        if self._jobs:  # no root of all: the time, and then the jobs; nobody knew yet of those that nobody was sent
            encode = told.encode
            return _around(
                Stream(told.items, lambda item: encode(item).replace(_UNSENT, _IN_PROGRESS), told.head + b"<jobs>\n"),
                "",
                "</jobs>\n",
            )
        return _around(told, f"<{self._root}>\n", f"</{self._root}>\n")


_UNSENT: Final = b"<status>UNSENT</status>"
_IN_PROGRESS: Final = b"<status>IN_PROGRESS</status>"


def _around(told: Stream, head: str, tail: str) -> Stream:
    return Stream(told.items, told.encode, xml.HEAD + head.encode() + told.head, told.tail + tail.encode())


def _bare(told: str) -> bytes:
    return xml.HEAD + told.encode()


def _counts(load: Loaded) -> str:
    zero = ("results_need_file_delete", "wus_need_validate", "wus_need_assimilate", "wus_need_file_delete")
    told = xml.tag("results_ready_to_send", load.waiting) + xml.tag("results_in_progress", load.running)
    return told + "".join(xml.tag(name, 0) for name in zero)


def _output(outcome: Outcome) -> Reply:
    match outcome:
        case Content(artifact=artifact, name=name):
            plain = _UNSAFE.sub("_", name) or "file"
            saved = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
            return Reply(body=artifact, media="application/octet-stream", headers={"content-disposition": saved})
        case Archived() | Gathered():
            return Reply(body=outcome, media="application/zip")
        case _:
            raise NotFound("no such file")


def _headers(call: Call, error: JobgateError) -> dict[str, str]:
    headers: dict[str, str] = {}
    if isinstance(error, TooMany | Unavailable):
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after or 1)))
    if isinstance(error, MethodNotAllowed) and call.verb:
        headers["allow"] = "POST" if call.verb in _RPCS else "GET, HEAD"
    return headers


def _refused_output(call: Call, error: JobgateError, headers: dict[str, str]) -> Reply:
    """Clients of these look at no status, so it is the true one."""
    status, told = next((status, told) for kind, status, told in _REFUSED if isinstance(error, kind))
    body = f"ERROR: {rpc.one_line(told or outputs.told(call, error))}\n".encode()
    return Reply(status=status, body=body, media="text/plain; charset=utf-8", headers=headers)


_REFUSED: Final[tuple[tuple[type[JobgateError], int, str], ...]] = (
    (Unauthenticated, 403, ""),
    (Forbidden, 403, ""),
    (NotFound, 404, ""),
    (Gone, 410, ""),
    (TooMany, 429, ""),
    (MethodNotAllowed, 405, ""),
    (RequestError, 400, ""),
    (Unavailable, 503, "Project is temporarily offline"),
    (JobgateError, 500, "the server failed"),
)
"""Kind, status and text; without one the error's own."""


def _routes(own: Settings) -> tuple[Route, ...]:
    def download(path: str, verb: str, summary: str) -> Route:
        return Route(path=path, methods=DOWNLOADS, verb=verb, body=Body.NONE, limit=0, summary=summary)

    counts = (
        Route(
            path="/server_status.php",
            methods=frozenset({"GET", "HEAD", "POST"}),
            verb=COUNTS,
            body=Body.FORM,
            limit=65_536,
            summary="How many attempts wait and run; for anyone",
        ),
    )
    return (
        Route(
            path="/submit_rpc_handler.php",
            verb=HANDLER,
            body=Body.FORM,
            limit=own.body,
            summary="Every call about jobs and batches: the root element of the request says which",
        ),
        Route(
            path="/job_file.php",
            verb=FILES,
            body=Body.FORM,
            limit=own.uploaded,
            files=own.uploads,
            file_limit=own.upload,
            field_limit=min(own.body, own.uploaded),
            scope=Scope.SUBMIT,
            summary="query_files and upload_files",
        ),
        download("/get_output.php", "get_output", "Output files and archives, by signed links"),
        download("/get_output2.php", "get_output2", "The same by the authenticator, with readable names"),
        download("/get_output3.php", "get_output3", "The same by a browser's cookie that holds the authenticator"),
        *(counts if own.counts else ()),
    )
