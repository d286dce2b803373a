"""The line to the server: every request of the client goes through here, with its time-outs, retries and pace.

Tried again, until the patience is over: no connection, a broken one, 429, 502, 503, 504, 507. A POST bears one
Idempotency-Key through all tries, so that what was made once is not made twice. Retry-After is obeyed; the one of a
429 by all requests of this client together.
"""

from __future__ import annotations

import asyncio
import os
import random
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx

from jobgate.client.config import Where
from jobgate.client.errors import Refused, TimedOut, Unreachable
from jobgate.client.problems import refused
from jobgate.client.words import DASH, plain

Say = Callable[[str], None]
"""Where the client tells what is going on while one waits: standard error, unless another is given."""
Body = bytes | Callable[[], AsyncIterator[bytes]]
"""Bytes, or what makes the same pieces anew for every try."""

PATIENCE: Final = 60.0
"""Seconds for which a call is tried again."""
SILENCE: Final = 3.0
"""Seconds of it in which nothing is said."""
STRANGER: Final = 2.0
"""Seconds of it for a server that never answered yet: its address may be wrong."""
QUIET: Final = 75.0
"""Seconds without a byte after which a connection counts as broken; streams say something each 15."""
AGAIN: Final = frozenset({429, 502, 503, 504, 507})
GRACE: Final = 3.0
"""Seconds for the answer to a wait whose time is over."""
REST: Final = 0.2
"""Seconds at most before a stream that broke is opened anew."""
_LONGEST_PAUSE: Final = 10.0
_TOO_MANY: Final = 429
_UNKNOWN: Final = frozenset({502, 504})
"""A gateway between us and the server gave up: what became of the request is not known."""


def to_stderr(text: str) -> None:
    """One line on standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


class Deadline:
    """When a caller's time is over; None: never."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._end = None if seconds is None else time.monotonic() + max(seconds, 0.0)

    def left(self, most: float) -> float:
        """Seconds left, `most` at most."""
        return most if self._end is None else max(0.0, min(most, self._end - time.monotonic()))

    @property
    def over(self) -> bool:
        """Whether none are left."""
        return self._end is not None and time.monotonic() >= self._end


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """One request. `what` says what did not happen if it fails."""

    method: str
    path: str
    what: str
    sought: str = ""
    """What is looked up, if anything is: of a 404 is said that it was not found, and of other failures `what`."""
    query: Mapping[str, object] = field(default_factory=dict)
    """Lists are said once for each item; what is None or empty is left out."""
    body: Body = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    key: str = ""
    """The Idempotency-Key of a POST; a new one if empty."""
    deadline: Deadline | None = None
    """With one, the request is part of waiting: it is tried until then, however long the server is away."""
    fine: frozenset[int] = frozenset()
    """Statuses from 300 on that are handed back."""


class Line:
    """Requests to one server, as one account. `transport` replaces the network, for tests."""

    def __init__(
        self,
        where: Where,
        *,
        patience: float = PATIENCE,
        say: Say = to_stderr,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.where = where
        self.say = say
        self._patience = patience
        self._met = False
        self._away: datetime | None = None
        self._paused_until = 0.0
        headers = {"User-Agent": "jobgate-python", "Accept": "application/json"}
        if where.key:
            headers["Authorization"] = f"Bearer {where.key}"
        self._http = httpx.AsyncClient(
            base_url=where.server,
            headers=headers,
            timeout=httpx.Timeout(QUIET, connect=10.0),
            verify=where.server.startswith("https:"),  # plain http needs no certificates, and reading them is slow
            transport=transport,
        )

    async def close(self) -> None:
        """Closes its connections; what runs on the server goes on."""
        await self._http.aclose()

    @property
    def letting_go(self) -> Callable[[], Coroutine[Any, Any, None]]:
        """What closes its connections, and does not hold the line itself."""
        return self._http.aclose

    async def call(self, asking: Asking) -> httpx.Response:
        """The answer, read whole. Raises Refused, Unreachable and TimedOut."""
        return await self._answer(asking, whole=True)

    @asynccontextmanager
    async def open(self, asking: Asking) -> AsyncIterator[httpx.Response]:
        """The answer, whose body the caller reads; if it breaks there, the caller asks anew. Raises as `call`."""
        answer = await self._answer(asking, whole=False)
        try:
            yield answer
        finally:
            await answer.aclose()

    async def _answer(self, asking: Asking, *, whole: bool) -> httpx.Response:
        headers = dict(asking.headers)
        if asking.method == "POST":
            headers["Idempotency-Key"] = asking.key or os.urandom(16).hex()
        begun = time.monotonic()
        tries, unknown = 0, False
        while True:
            await self._pace(asking)
            try:
                answer = await self._once(asking, headers, whole=whole)
            except httpx.TransportError as error:
                trouble: httpx.TransportError | httpx.Response = error
            else:
                if answer.status_code not in AGAIN or answer.status_code in asking.fine:
                    self._met, self._away = True, None
                    if answer.is_success or answer.status_code in asking.fine:
                        return answer
                    await answer.aread()
                    refusal = refused(asking.what, answer, asking.sought)
                    if isinstance(refusal, Refused):
                        refusal.resent = unknown
                    raise refusal
                trouble = answer
            tries += 1
            unknown = unknown or not isinstance(trouble, httpx.ConnectError)
            await self._before_again(asking, trouble, tries, begun, headers.get("Idempotency-Key", ""))

    async def _once(self, asking: Asking, headers: Mapping[str, str], *, whole: bool) -> httpx.Response:
        body = asking.body if isinstance(asking.body, bytes) else asking.body()
        request = self._http.build_request(
            asking.method, asking.path, params=_pairs(asking.query) or None, headers=headers, content=body
        )
        if asking.deadline is not None:  # a server that has gone silent does not hold a wait beyond its time
            request.extensions["timeout"]["read"] = asking.deadline.left(QUIET) + GRACE
        answer = await self._http.send(request, stream=True)
        if whole or answer.status_code in AGAIN:
            await answer.aread()
        return answer

    # --- when it did not go well

    async def _pace(self, asking: Asking) -> None:
        """Waits until this account may ask again; each a little later than the other, so that none rush together."""
        left = self._paused_until - time.monotonic()
        if left > 0:
            await self._pause(asking, left * random.uniform(1.0, 1.1))  # noqa: S311  # no secret: it spreads requests

    async def _before_again(
        self, asking: Asking, trouble: httpx.TransportError | httpx.Response, tries: int, begun: float, key: str
    ) -> None:
        """Waits as long as is right before the next try, or raises what the caller is to know."""
        spent = time.monotonic() - begun
        pause = min(_LONGEST_PAUSE, 0.05 * 2 ** min(tries, 10)) * random.uniform(0.5, 1.0)  # noqa: S311  # as above
        answered = isinstance(trouble, httpx.Response)
        if isinstance(trouble, httpx.Response):
            asked = _retry_after(trouble)
            pause = pause if asked is None else max(asked, pause)
            if trouble.status_code == _TOO_MANY:
                self._paused_until = max(self._paused_until, time.monotonic() + pause)
        patience = self._patience if self._met or answered else min(STRANGER, self._patience)
        waits = asking.deadline is not None and (self._met or answered)
        if _final(trouble) or (not waits and spent + pause > patience):
            raise self._given_up(asking, trouble, key)
        if asking.deadline is not None and asking.deadline.left(pause) < pause:
            await self._pause(asking, pause)
            raise timed_out(asking.what, asking.deadline)
        slower = isinstance(trouble, httpx.Response) and trouble.status_code == _TOO_MANY
        if not slower and (waits or spent + pause > SILENCE):
            self._tell()
        await self._pause(asking, pause)

    async def _pause(self, asking: Asking, seconds: float) -> None:
        await asyncio.sleep(seconds if asking.deadline is None else asking.deadline.left(seconds))

    def _tell(self) -> None:
        """Says that the server is away: once, until it has answered again."""
        if self._away is None:
            self._away = datetime.now(UTC)
            since = self._away.astimezone().strftime("%H:%M:%S")
            self.say(f"{DASH} the server is away since {since}; the work there is not affected; trying again")

    async def rest(self, deadline: Deadline | None = None) -> None:
        """A moment before a stream that broke is opened anew; opening it says so if the server is away."""
        pause = random.uniform(0.25, 1.0) * REST  # noqa: S311  # no secret: it spreads requests
        await asyncio.sleep(pause if deadline is None else deadline.left(pause))

    def _given_up(self, asking: Asking, trouble: httpx.TransportError | httpx.Response, key: str) -> Exception:
        if isinstance(trouble, httpx.Response) and trouble.status_code not in _UNKNOWN:
            return refused(asking.what, trouble, asking.sought)
        said = f"it answered {trouble.status_code}" if isinstance(trouble, httpx.Response) else _said(trouble)
        why = f"{self.where.server}: {said}"
        return Unreachable(asking.what, why=why, next_="" if self._met else STRANGER_NEXT, key=key if self._met else "")


STRANGER_NEXT: Final = "check the address (JOBGATE_SERVER), and that a server runs there: jobgate serve --data DIR"


def timed_out(what: str, deadline: Deadline) -> TimedOut:
    """The error for a caller whose time is over."""
    return TimedOut(
        what,
        why=f"the {deadline.seconds:g} s you gave are over; the work goes on",
        next_="wait again, with a longer timeout",
    )


def _said(error: httpx.TransportError) -> str:
    said = "no answer in time" if isinstance(error, httpx.TimeoutException) else type(error).__name__
    return plain(str(error).strip() or said)


def _final(trouble: httpx.TransportError | httpx.Response) -> bool:
    """Whether trying again cannot help: an address that is none, a certificate that does not hold."""
    if isinstance(trouble, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        return True
    cause: BaseException | None = trouble if isinstance(trouble, BaseException) else None
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _retry_after(answer: httpx.Response) -> float | None:
    """Seconds, from either form of the header; None where it says nothing that can be read."""
    said = answer.headers.get("Retry-After", "").strip()
    if not said:
        return None
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(said)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _pairs(query: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        for item in value if isinstance(value, list | tuple) else (value,):
            if item is None or item == "":
                continue
            text = item.isoformat() if isinstance(item, datetime) else str(item)
            pairs.append((name, text.lower() if isinstance(item, bool) else text))
    return tuple(pairs)
