"""HTTP/1.1 on one connection: uvicorn's own protocol, with the bounds and refusals that it leaves to others.

Source: RFC 9112 sections 3.2 (Host), 6.1 (Transfer-Encoding), 6.3 (framing); RFC 9110 sections 6.5.1 (trailers), 7.8
(an Upgrade that is not wanted is ignored).
"""

from __future__ import annotations

import asyncio
from typing import Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from jobgate.server.exchange import LINGER

HEAD_LIMIT: Final = 64 << 10
"""Bytes of a request line and its headers beyond the first piece the network brings; of trailers too."""
HEAD_FIELDS: Final = 200
"""Headers of one request."""
HEAD_SECONDS: Final = 30.0
"""What they may take to come in."""
STALL_SECONDS: Final = 60.0
"""In which a client takes at least something of what waits for it; otherwise its connection ends."""


class Unfit(Exception):
    """A request that no answer in a dialect's words can be given to."""


class Protocol(HttpToolsProtocol):
    """Bounds the size of a head, the time it takes to come, and the time an answer takes to go."""

    _timer: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _in_head = True
    _begun = False
    _too_long = False
    _refused = False
    _waiting = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Begins to wait for a head."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(HEAD_SECONDS, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Waits for nothing more."""
        self._settle()
        self._flows()
        super().connection_lost(exc)
        self.pipeline.clear()

    # --- what comes in

    def data_received(self, data: bytes) -> None:
        """The next piece of what the client says."""
        if self._refused:
            return
        self._begun = False
        self._unset_keepalive_if_required()
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse()
            return
        if not self._in_head:
            self._settle()
        elif not self.transport.is_closing():
            self._wait(0 if self._begun else len(data))

    def _feed(self, data: bytes) -> None:
        """Raises HttpParserError. An Upgrade is ignored, and so the request is read as if it asked for none."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            head = [self.parser.get_method(), b" ", self.url, b" HTTP/", self.parser.get_http_version().encode()]
            for name, value in self.headers:
                if name != b"upgrade":
                    head += b"\r\n", name, b": ", value
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self._feed(b"".join((*head, b"\r\n\r\n", data[upgrade.args[0] :])))

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head = self._begun = True
        self._waiting = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """One more header; a trailer is dropped. Raises Unfit when there are too many."""
        if self._in_head:
            super().on_header(name, value)
            if len(self.headers) > HEAD_FIELDS:
                self._too_long = True
                raise Unfit("too many headers")
        else:  # a trailer; what it says is not asked for, and never a header
            self._waiting += len(name) + len(value) + 4
            if self._waiting > HEAD_LIMIT:
                raise Unfit("the trailers are too long")

    def on_headers_complete(self) -> None:
        """The head is whole. Raises Unfit."""
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise Unfit("this is no proxy")
            return
        self._check()
        self._in_head = False
        self._waiting = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The body is whole."""
        if not self._in_head:
            super().on_message_complete()

    def _check(self) -> None:
        """Raises Unfit where two readers could disagree on what the request is, or where it ends."""
        hosts = 0
        encodings: list[bytes] = []
        for name, value in self.headers:
            if name == b"host":
                hosts += 1
            elif name == b"transfer-encoding":
                encodings.append(value.strip().lower())
        version = self.parser.get_http_version()
        if version not in ("1.0", "1.1") or hosts > 1 or (not hosts and version == "1.1"):
            raise Unfit("an HTTP/1.1 request names one host")
        if encodings and (encodings != [b"chunked"] or version == "1.0"):
            raise Unfit("a body comes in chunks, or has a length")

    def _wait(self, more: int) -> None:
        """For the rest of a head, of which `more` bytes came that are not its first."""
        self._waiting += more
        if self._waiting > HEAD_LIMIT:
            self._too_long = True
            self._refuse()
        elif self._timer is None:
            self._timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _refuse(self) -> None:
        """The end: after the answers under way, where it is a further head that is bad; else after a last word.

        What its sender still sends is taken in for a moment: who hears a reset may lose the word.
        """
        if self.transport.is_closing():
            return
        self._refused = True
        self._settle()
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if self._in_head:
                cycle.keep_alive = False
                return
            cycle.disconnected = True
            cycle.message_event.set()
        if not self.pipeline and (cycle is None or cycle.response_complete or not cycle.response_started):
            self.transport.write(_HEAD_TOO_LONG if self._too_long else _BAD_REQUEST)
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._timer = self.loop.call_later(LINGER, self.transport.abort)
        else:
            self.transport.close()
            self._watch()

    def _settle(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- what goes out

    def pause_writing(self) -> None:
        """The client takes less than is sent."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """It has caught up."""
        super().resume_writing()
        self._flows()

    def on_response_complete(self) -> None:
        """An answer was handed to the network."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch()

    def timeout_keep_alive_handler(self) -> None:
        """No further request came."""
        super().timeout_keep_alive_handler()
        self._watch()

    def _watch(self) -> None:
        """Until all of it, or enough of it, has gone."""
        self._flows()
        self._stalled = self.loop.call_later(STALL_SECONDS, self._look, self.transport.get_write_buffer_size())

    def _look(self, before: int) -> None:
        if self.transport.get_write_buffer_size() < before:
            self._watch()
        else:
            self.transport.abort()

    def _flows(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None


_HEAD_TOO_LONG: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)
_BAD_REQUEST: Final = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
