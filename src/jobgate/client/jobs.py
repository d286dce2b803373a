"""Jobs and batches by id or filter, and what is asked of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

import msgspec

from jobgate.client.core import B, Core, F, J, Page, decoded
from jobgate.client.errors import Conflict, NotFound
from jobgate.client.line import Asking, Line
from jobgate.client.listing import Jobs
from jobgate.client.records import Asked

JSON: Final = {"Content-Type": "application/json"}
PAGE: Final = 1000
"""Jobs of one answer; more are asked for while one iterates."""
_TAKEN: Final = 202


def at(id: str) -> str:  # noqa: A002  # what it is called
    """The address of a job (`BATCH-NUMBER`) or a batch."""
    return f"/v1/{'jobs' if '-' in id else 'batches'}/{quote(id, safe='')}"


async def job(core: Core[J, B, F], id: str) -> J:  # noqa: A002  # what it is called
    """The job, with why it waits."""
    answer = await core.line.call(
        Asking(
            method="GET",
            path=f"/v1/jobs/{quote(id, safe='')}",
            what=f"{id} was not read.",
            sought=id,
            query={"expand": "attempts,waits"},
        )
    )
    return core.a_job(answer.content)


async def batch(core: Core[J, B, F], id: str) -> B:  # noqa: A002  # what it is called
    """The batch, with why it waits."""
    path = f"/v1/batches/{quote(id, safe='')}"
    answer = await core.line.call(
        Asking(method="GET", path=path, what=f"{id} was not read.", sought=id, query={"expand": "waits,failures"})
    )
    return core.a_batch(answer.content)


def filters(*, state: str | Sequence[str], labels: Mapping[str, str] | None, **rest: object) -> dict[str, object]:
    """A query of what is given."""
    states = state if isinstance(state, str) else ",".join(state)
    return {"state": states, "label": [f"{name}={value}" for name, value in (labels or {}).items()], **rest}


async def pages(line: Line, path: str, query: Mapping[str, object], what: str) -> AsyncIterator[Page]:
    """The pages of a list, each asked for when the one before is used up."""
    asking = Asking(method="GET", path=path, what=what, query={"limit": PAGE, **query})
    while True:
        page = decoded((await line.call(asking)).content, Page)
        yield page
        if page.next is None:
            return
        asking = Asking(method="GET", path=page.next, what=what)


async def listed_jobs(core: Core[J, B, F], query: Mapping[str, object]) -> AsyncIterator[J]:
    """Jobs, newest first; those of one batch by number."""
    async for page in pages_of_jobs(core, query):
        for one in page:
            yield one


async def pages_of_jobs(core: Core[J, B, F], query: Mapping[str, object]) -> AsyncIterator[list[J]]:
    """The same a page at a time: a step from one thread to another costs more than a job."""
    path = "/v1/jobs"
    if query.get("batch"):
        path, query = (
            f"/v1/batches/{quote(str(query['batch']), safe='')}/jobs",
            {name: value for name, value in query.items() if name != "batch"},
        )
    async for page in pages(core.line, path, query, "Not listed."):
        yield [core.a_job(item) for item in page.items]


async def listed_batches(core: Core[J, B, F], query: Mapping[str, object]) -> AsyncIterator[B]:
    """Batches, newest first."""
    async for page in pages(core.line, "/v1/batches", query, "Not listed."):
        for item in page.items:
            yield core.a_batch(item)


async def find(core: Core[J, B, F], ids: Iterable[str]) -> Jobs[J]:
    """The jobs of these ids, a thousand a call."""
    asked = list(dict.fromkeys(ids))
    found: list[J] = []
    missing: list[str] = []
    for begin in range(0, len(asked), PAGE):
        body = msgspec.json.encode({"ids": asked[begin : begin + PAGE]})
        answer = await core.line.call(
            Asking(method="POST", path="/v1/jobs/find", what="Not found.", body=body, headers=JSON)
        )
        page = decoded(answer.content, Page)
        found += [core.a_job(item) for item in page.items]
        missing += page.missing
    order = {id_: place for place, id_ in enumerate(asked)}
    return Jobs(sorted(found, key=lambda job: order.get(job.id, len(order))), tuple(missing))


# --- what is asked of them


async def cancel_job(core: Core[J, B, F], id: str, message: str) -> J:  # noqa: A002  # what it is called
    """The job, asked to end."""
    return core.a_job(await _post(core.line, f"{at(id)}/cancel", {"message": message}, f"{id}: not cancelled."))


async def cancel_batch(core: Core[J, B, F], id: str, message: str) -> Asked:  # noqa: A002  # what it is called
    """How many jobs that came to."""
    answer = await _post(core.line, f"{at(id)}/cancel", {"message": message}, f"{id}: not cancelled.")
    return decoded(answer, Asked)


async def retry_job(core: Core[J, B, F], id: str) -> J:  # noqa: A002  # what it is called
    """The job, queued for another attempt."""
    try:
        return core.a_job(await _post(core.line, f"{at(id)}/retry", {}, f"{id}: not retried."))
    except Conflict as error:
        if not error.resent:
            raise
        return await job(core, id)  # a first try arrived, though its answer did not


async def retry_batch(core: Core[J, B, F], id: str, state: str) -> B:  # noqa: A002  # what it is called
    """The batch, open again."""
    await _post(core.line, f"{at(id)}/retry", {"state": state}, f"{id}: not retried.")
    return await batch(core, id)


async def retire_batch(core: Core[J, B, F], id: str) -> B:  # noqa: A002  # what it is called
    """The batch, retired."""
    return core.a_batch(await _post(core.line, f"{at(id)}/retire", {}, f"{id}: not retired."))


class Changes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to change; None leaves it."""

    hold: bool | None = None
    priority: int | None = None
    name: str | None = None
    labels: Mapping[str, str | None] | None = None
    """A label of None goes."""
    expires: datetime | msgspec.UnsetType | None = msgspec.UNSET
    """None: never."""


async def change_job(core: Core[J, B, F], id: str, changes: Changes) -> J:  # noqa: A002  # what it is called
    """The job, changed."""
    return core.a_job(await _patch(core.line, id, changes))


async def change_batch(core: Core[J, B, F], id: str, changes: Changes) -> B:  # noqa: A002  # what it is called
    """The batch, changed."""
    return core.a_batch(await _patch(core.line, id, changes))


async def delete(line: Line, id: str, *, force: bool) -> None:  # noqa: A002  # what it is called
    """Returns when it is gone; with force that is when the last of it has stopped."""
    query = {"force": True if force else None}
    asking = Asking(method="DELETE", path=at(id), what=f"{id}: not deleted.", query=query)
    try:
        while (await line.call(asking)).status_code == _TAKEN:
            await line.call(Asking(method="GET", path=at(id), what=asking.what, query={"wait": 30}))
    except NotFound as error:
        if not error.resent:
            raise


async def _post(line: Line, path: str, said: Mapping[str, Any], what: str) -> bytes:
    body = msgspec.json.encode({name: value for name, value in said.items() if value}) if said else b""
    headers = JSON if body else {}
    return (await line.call(Asking(method="POST", path=path, what=what, body=body, headers=headers))).content


async def _patch(line: Line, id: str, changes: Changes) -> bytes:  # noqa: A002  # what it is called
    body = msgspec.json.encode(changes)
    asking = Asking(method="PATCH", path=at(id), what=f"{id}: not changed.", body=body, headers=JSON)
    return (await line.call(asking)).content
