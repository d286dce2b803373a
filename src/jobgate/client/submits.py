"""Submit: one job, many as a stream, or a sweep. Files are sent first, so that a job never waits for its own input."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, cast
from urllib.parse import quote

import msgspec

from jobgate.client import placeholders
from jobgate.client.core import B, Core, F, J
from jobgate.client.drafts import WHAT, BatchDraft, JobDraft, Writer, batch_draft, checked
from jobgate.client.jobs import job
from jobgate.client.line import Asking
from jobgate.client.options import BatchOptions, Command, Draft, JobOptions, Product, SubmitOptions, Table

JSON: Final = {"Content-Type": "application/json"}
LINES: Final = {"Content-Type": "application/x-ndjson"}
_IN_MEMORY: Final = 4 << 20
"""Bytes of a stream of jobs that are kept in memory for another try; more lie in a temporary file."""
_PIECE: Final = 256 << 10


async def submit(core: Core[J, B, F], command: Command | None, options: SubmitOptions) -> J:
    """The job, on disk, and why it waits if it does."""
    body = msgspec.json.encode(await lone(core, command, options))
    answer = await core.line.call(
        Asking(
            method="POST",
            path="/v1/jobs",
            what=WHAT,
            body=body,
            headers=JSON,
            key=options.get("idempotency_key", ""),
        )
    )
    made = core.a_job(answer.content)
    return made if made.over or made.waits is not None else await job(core, made.id)


async def lone(core: Core[J, B, F], command: Command | None, options: SubmitOptions) -> dict[str, Any]:
    """The body of one job."""
    checked(options, JobOptions, BatchOptions)
    return _joined(await Writer(core.line).draft(command, options), batch_draft(options))


async def submit_many(core: Core[J, B, F], drafts: Iterable[Command | Draft], options: BatchOptions) -> B:
    """The batch. The drafts are written down before the first byte is sent: one that fails submits nothing."""
    checked(options, BatchOptions)
    key, query = options.get("idempotency_key", ""), _query(batch_draft(options))
    return await _sent(core, drafts, Asking(method="POST", path="/v1/batches", what=WHAT, query=query, key=key))


async def open_batch(core: Core[J, B, F], options: BatchOptions) -> B:
    """A batch without jobs."""
    checked(options, BatchOptions)
    body = msgspec.json.encode(_joined(batch_draft(options)) | {"open": True})
    key = options.get("idempotency_key", "")
    asking = Asking(method="POST", path="/v1/batches", what=WHAT, body=body, headers=JSON, key=key)
    return core.a_batch((await core.line.call(asking)).content)


async def fill(core: Core[J, B, F], batch: str, drafts: Iterable[Command | Draft]) -> B:
    """The batch with its jobs; as with `submit_many`, all of them or none."""
    path = f"/v1/batches/{quote(batch, safe='')}/jobs"
    return await _sent(core, drafts, Asking(method="POST", path=path, what=f"{batch}: not filled."))


async def _sent(core: Core[J, B, F], drafts: Iterable[Command | Draft], asking: Asking) -> B:
    """What the server answers to the drafts, one a line."""
    writer = Writer(core.line)
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as spool:
        for said in drafts:
            draft = await _line(writer, said)
            spool.write(msgspec.json.encode(draft) + b"\n")

        async def pieces() -> AsyncIterator[bytes]:
            spool.seek(0)
            while piece := spool.read(_PIECE):
                yield piece

        answer = await core.line.call(replace(asking, body=pieces, headers=LINES))
    return core.a_batch(answer.content)


async def _line(writer: Writer, said: Command | Draft) -> JobDraft | dict[str, Any]:
    """One job, with its own name if it has one."""
    if not isinstance(said, Mapping):
        return await writer.draft(said, {})
    more = cast("Draft", {name: value for name, value in said.items() if name not in ("command", "name")})
    checked(more, JobOptions)
    draft, name = await writer.draft(said.get("command"), more), said.get("name", "")
    return {**msgspec.to_builtins(draft), "name": name} if name else draft


async def sweep(
    core: Core[J, B, F], command: Command | None, values: Table | Product | int, options: SubmitOptions
) -> B:
    """The batch: a job for each row, each combination, or so many."""
    body = await swept(core, command, values, options)
    answer = await core.line.call(
        Asking(
            method="POST",
            path="/v1/batches",
            what=WHAT,
            body=msgspec.json.encode(body),
            headers=JSON,
            key=options.get("idempotency_key", ""),
        )
    )
    return core.a_batch(answer.content)


async def swept(
    core: Core[J, B, F], command: Command | None, values: Table | Product | int, options: SubmitOptions
) -> dict[str, Any]:
    """The body of a sweep; a range is sent as a range, whatever its length."""
    checked(options, JobOptions, BatchOptions)
    template = await Writer(core.line).draft(command, options)
    body = _joined(batch_draft(options)) | {"template": template}
    _told(core, template, values)
    if isinstance(values, int):
        named = msgspec.json.encode(template).rfind(b"{") > 0  # without a name to fill in, all jobs share one spec
        return body | {"count": values} | ({"placeholders": True} if named else {})
    if isinstance(values, Mapping):
        return body | {"sweep": {name: _column(column) for name, column in values.items()}}
    return body | {"sweep": [dict(row) for row in values]}


def _told(core: Core[J, B, F], template: JobDraft, values: Table | Product | int) -> None:
    """Says what looks like a placeholder and is none; without a value to be filled in, braces are braces."""
    names = () if isinstance(values, int) else placeholders.columns(values)
    for line in placeholders.left(msgspec.to_builtins(template, builtin_types=()), names):
        core.line.say(line)


def _column(values: Iterable[Any]) -> Any:
    if isinstance(values, range):
        return {"from": values.start, "to": values.stop, "step": values.step}
    return list(values)


def _joined(*parts: JobDraft | BatchDraft) -> dict[str, Any]:
    """The members of all parts as one JSON object."""
    return {name: value for part in parts for name, value in msgspec.to_builtins(part).items()}


def _query(batch: BatchDraft) -> dict[str, object]:
    labels = [f"{name}={value}" for name, value in batch.labels.items()]
    said: dict[str, object] = {"name": batch.name, "label": labels, "webhook": batch.webhook}
    said |= {"expires": None if batch.expires is None else batch.expires.isoformat()}
    return said | {"priority": batch.priority or None, "held": batch.held or None}
