"""What is written where an id goes: `2n6r0kqa`, `2n6r0kqa-640`, `2n6r0kqa-1..20`, `2n6r0kqa-3,5-8`, `last`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Annotated, Final, NamedTuple, TypeVar

import msgspec
import typer

from jobgate.cli.connect import Session, Wrong
from jobgate.client.errors import NotFound
from jobgate.client.records import BatchRecord
from jobgate.client.words import plain

LAST: Final = "last"
_FORM: Final = re.compile(r"(?P<batch>[0-9a-z]+)(?:-(?P<numbers>[0-9.,-]+))?")
_SPAN: Final = re.compile(r"(?P<first>\d{1,18})(?:(?:\.\.|-)(?P<last>\d{1,18}))?")
_MANY: Final = 100_000
"""Jobs that one word may name; a whole batch has no such bound."""
_AT_ONCE: Final = 8
T = TypeVar("T")

_HELP: Final = "Ids of batches or jobs: 2n6r0kqa, 2n6r0kqa-640, 2n6r0kqa-1..20, 2n6r0kqa-3,5-8, last."


def _complete(incomplete: str) -> list[str]:
    from jobgate.cli.completion import ids  # noqa: PLC0415  # only a shell that completes needs it

    return ids(incomplete)


IdWords = Annotated[list[str], typer.Argument(metavar="ID...", help=_HELP, autocompletion=_complete)]
SomeIds = Annotated[list[str] | None, typer.Argument(metavar="[ID...]", help=_HELP, autocompletion=_complete)]
IdWord = Annotated[str, typer.Argument(metavar="ID", help="The id of a job, or last.", autocompletion=_complete)]


class Named(NamedTuple):
    """A batch, or some of its jobs."""

    batch: str
    numbers: tuple[range, ...] = ()
    """Empty: the batch as a whole."""

    def ids(self) -> list[str]:
        """Each of them."""
        if not self.numbers:
            return [self.batch]
        return [f"{self.batch}-{number}" for span in self.numbers for number in span]


def named(word: str) -> Named:
    """What a word names. Raises Wrong."""
    found = _FORM.fullmatch(word.strip().lower())
    if found is None:
        raise _wrong(word, "it is no id")
    if found["numbers"] is None:
        return Named(found["batch"])
    spans = []
    for part in found["numbers"].split(","):
        span = _SPAN.fullmatch(part)
        if span is None:
            raise _wrong(word, f"{part!r} is no number, and no range of numbers")
        first, last = int(span["first"]), int(span["last"] or span["first"])
        if not 1 <= first <= last:
            raise _wrong(word, "jobs are numbered from 1, and a range goes upwards")
        spans.append(range(first, last + 1))
    if sum(map(len, spans)) > _MANY:
        raise _wrong(word, f"it names more than {_MANY:,} jobs one by one")
    return Named(found["batch"], tuple(spans))


def _wrong(word: str, why: str) -> Wrong:
    return Wrong(
        f"{plain(word)} names no job.", why, "write 2n6r0kqa, 2n6r0kqa-640, 2n6r0kqa-1..20, 2n6r0kqa-3,5-8 or last"
    )


async def resolved(session: Session, words: Iterable[str]) -> list[str]:
    """The ids that the words name, each once, in order; `last` is the newest batch, or its job if it has one alone."""
    found: dict[str, None] = {}
    for word in words:
        name = named(word)
        if name.batch != LAST:
            found |= dict.fromkeys(name.ids())
            continue
        batch = await newest(session)
        known = name._replace(batch=batch.id)
        if batch.count == 1 and not name.numbers:
            known = Named(batch.id, (range(1, 2),))
        found |= dict.fromkeys(known.ids())
    return list(found)


async def newest(session: Session) -> BatchRecord:
    """This account's newest batch. Raises NotFound."""
    body = await session.ask("GET", "/v1/batches", "The newest batch was not read.", query={"limit": 1})
    items = msgspec.json.decode(body, type=_Items).items
    if not items:
        raise NotFound("last: not found.", detail="this account has no batch", next_="jobgate submit -- COMMAND")
    return session.core.a_batch(items[0])


async def one_job(session: Session, word: str, verb: str) -> str:
    """The job that the word names; of a batch of one, its job. Raises Wrong for more than one."""
    found = await resolved(session, [word])
    if len(found) == 1 and "-" in found[0]:
        return found[0]
    if len(found) > 1:
        raise Wrong(f"{plain(word)} names {len(found):,} jobs.", "this is of one job", f"jobgate {verb} {found[0]}")
    (batch,) = found
    count = session.core.a_batch(await session.look(f"/v1/batches/{batch}", batch)).count
    if count != 1:
        raise Wrong(f"{batch} has {count:,} jobs.", "this is of one job", f"jobgate {verb} {batch}-1")
    return f"{batch}-1"


async def each(ids: Sequence[str], do: Callable[[str], Awaitable[T]]) -> list[T]:
    """What came of each, some side by side, in order. The first error is raised, when those begun are over."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(id_: str) -> T:
        async with gate:
            return await do(id_)

    return list(await asyncio.gather(*map(one, ids)))


class _Items(msgspec.Struct):
    items: tuple[msgspec.Raw, ...] = ()
