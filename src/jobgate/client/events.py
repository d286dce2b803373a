"""Events: pages of what was, or a stream of what happens, resumed at its cursor when the connection is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

import httpx
from httpx_sse import EventSource, SSEError

from jobgate.client.core import Page, decoded
from jobgate.client.errors import Gone
from jobgate.client.line import Asking, Deadline, Line, timed_out
from jobgate.client.records import Event

WHAT: Final = "Events were not read."
_PAGE: Final = 1000
_NOTHING_MORE: Final = 204


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which events: of a batch, of a job, or of the account; all kinds, or some."""

    batch: str = ""
    job: str = ""
    kinds: tuple[str, ...] = ()

    def query(self, after: int | None) -> dict[str, object]:
        """As the API takes it."""
        return {"batch": self.batch, "job": self.job, "kinds": ",".join(self.kinds), "after": after}


class Opened:
    """In a stream: it is open from here on. What happened before, since the last event, may have been missed
    where none had come yet."""  # noqa: D205, D209  # one sentence about a gap


async def events(  # noqa: PLR0913  # a scope, and where to begin
    line: Line,
    *,
    batch: str = "",
    job: str = "",
    kinds: Sequence[str] = (),
    after: int | None = None,
    follow: bool = True,
) -> AsyncIterator[Event]:
    """Events after the cursor, without gaps. From 0: from the oldest that is kept. Raises Gone."""
    scope = Scope(batch=batch, job=job, kinds=(kinds,) if isinstance(kinds, str) else tuple(kinds))
    found = stream(line, scope, after) if follow else _pages(line, scope, after)
    async for item in found:
        if isinstance(item, Event):
            yield item


async def stream(
    line: Line, scope: Scope, after: int | None = None, deadline: Deadline | None = None
) -> AsyncIterator[Event | Opened]:
    """Events as they come, with a mark at each opening; ends when the job or batch is over. Raises TimedOut, Gone."""
    deadline = deadline or Deadline(None)
    cursor = after
    while not deadline.over:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        query = scope.query(None if cursor != after else after)
        if cursor is not None and cursor != after:
            headers["Last-Event-ID"] = str(cursor)
        asking = Asking(method="GET", path="/v1/events", what=WHAT, query=query, headers=headers, deadline=deadline)
        try:
            async with line.open(asking) as answer:
                if answer.status_code == _NOTHING_MORE:
                    return
                yield Opened()
                async for said in EventSource(answer).aiter_sse():
                    if said.event == "end":
                        return
                    event = decoded(said.data.encode(), Event)
                    cursor = event.cursor
                    yield event
        except Gone as error:
            if cursor != 0 or error.oldest is None:
                raise
            cursor = after = error.oldest
            continue
        except (httpx.TransportError, SSEError):
            pass  # the cursor says where to go on
        await line.rest(deadline)
    raise timed_out(WHAT, deadline)


async def _pages(line: Line, scope: Scope, after: int | None) -> AsyncIterator[Event]:
    cursor = after or None
    while True:
        query = {**scope.query(cursor), "limit": _PAGE}
        answer = await line.call(Asking(method="GET", path="/v1/events", what=WHAT, query=query))
        page = decoded(answer.content, Page)
        for item in page.items:
            yield decoded(item, Event)
        if not page.items or page.cursor is None or page.cursor == cursor:
            return
        cursor = page.cursor
