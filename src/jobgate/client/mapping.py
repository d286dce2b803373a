"""A map: one job for each row of columns, and their results in order, or as they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from jobgate.client import jobs, submits
from jobgate.client.core import B, Core, F, J
from jobgate.client.downloads import Result, result
from jobgate.client.errors import Invalid, JobFailed
from jobgate.client.options import Command, SubmitOptions
from jobgate.client.progress import Tally
from jobgate.client.records import Value
from jobgate.client.waiting import as_completed

_AHEAD: Final = 16
"""Results that are fetched ahead of who takes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How a map hands out its results."""

    ordered: bool = True
    return_exceptions: bool = False
    progress: bool = False
    timeout: float | None = None


async def mapped(
    core: Core[J, B, F], command: Command, columns: Mapping[str, Iterable[Value]], options: SubmitOptions, order: Order
) -> AsyncIterator[Tally | Result[J, F] | Exception]:
    """One job for each row of the columns; their results. Raises JobFailed unless exceptions are handed out."""
    table = _side_by_side(columns)
    if not table:
        return
    batch = await submits.sweep(core, command, table, options)
    slots: dict[int, J] = {}
    fetching: dict[int, asyncio.Task[Result[J, F] | JobFailed]] = {}
    turn = 1
    try:
        async for item in as_completed(core, (batch,), order.timeout, progress=order.progress):
            if isinstance(item, Tally):
                yield item
                continue
            slots[item.number if order.ordered else turn + len(slots) + len(fetching)] = item
            while turn in slots or turn in fetching:
                for slot in [slot for slot in range(turn, turn + _AHEAD) if slot in slots]:
                    fetching[slot] = asyncio.create_task(_outcome(core, slots.pop(slot)))
                found = await fetching.pop(turn)
                turn += 1
                if isinstance(found, JobFailed) and not order.return_exceptions:
                    raise found
                yield found
    finally:
        for task in fetching.values():
            task.cancel()
        await asyncio.gather(*fetching.values(), return_exceptions=True)


async def _outcome(core: Core[J, B, F], job: J) -> Result[J, F] | JobFailed:
    try:
        return await result(core, await jobs.job(core, job.id))
    except JobFailed as error:
        return error


def _side_by_side(columns: Mapping[str, Iterable[Value]]) -> list[dict[str, Value]]:
    """Rows of columns of one length. Raises Invalid."""
    listed = {name: list(values) for name, values in columns.items()}
    lengths = {name: len(values) for name, values in listed.items()}
    if not listed or len(set(lengths.values())) > 1:
        said = ", ".join(f"{name} has {length:,}" for name, length in lengths.items()) or "there is none"
        raise Invalid(
            "Nothing was mapped.",
            code="columns",
            detail=f"columns are read side by side, so they have one length: {said}",
            next_="for each combination: client.sweep(command, {…}), then client.as_completed(batch)",
        )
    return [dict(zip(listed, row, strict=True)) for row in zip(*listed.values(), strict=True)]
