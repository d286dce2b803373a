"""Brings outputs and logs of ended attempts to storage, and closes them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Final

from msgspec.structs import replace

from jobgate.engines.engine import Observation
from jobgate.files.workspace import Collection
from jobgate.model.attempt import LOG, Exit
from jobgate.model.errors import EngineError, Unavailable
from jobgate.model.events import Collected, Event, Exited, Started
from jobgate.model.files import ARTIFACT_INLINE_LIMIT, ATTEMPT_INLINE_LIMIT, Artifact, Cut, Keep, Output
from jobgate.model.ids import Digest
from jobgate.model.queue import dominant
from jobgate.model.state import Failure, Limit
from jobgate.runner.dispatch import Dispatch
from jobgate.runner.hall import Hall, Live
from jobgate.runner.world import World

_PIECE: Final = 256 * 1024
_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
"""Seconds before storing is tried again, the first and the last ones; for as long as staging may take."""


class Collect:
    """The way out."""

    def __init__(self, world: World, hall: Hall, dispatch: Dispatch) -> None:
        self._world = world
        self._hall = hall
        self._dispatch = dispatch

    def finish(self, live: Live, seen: Observation) -> None:
        """The command is over: saves that, and collects; one without outputs and with little log is closed at once."""
        world, hall, number, job = self._world, self._hall, live.attempt.id.number, live.attempt.id.job
        ended = seen.ended if seen.ended is not None else world.clock()
        linger = hall.busy
        known: list[Event] = []
        if seen.started is not None:
            hall.lasted(ended - seen.started)
            if not live.said_started:
                world.pace.note(world.clock())
            if not live.stopped:
                lag = None if live.prompt is None else seen.started - live.prompt
                well = seen.failure is None and seen.exit is not None and seen.exit.code == 0
                world.history.note(hall.environment.name, live.owner, live.spec, ended - seen.started, lag, well=well)
            world.used(live.owner, dominant(live.asked, hall.environment.room), ended - seen.started)
            known.append(Started(number, seen.started, seen.handle))
        exited = Exited(
            number,
            ended,
            exit=seen.exit,
            usage=seen.usage,
            failure=seen.failure,
            limit=seen.limit,
            message=seen.message,
            steps=seen.steps,
        )
        known.append(exited)
        size = _size(live.workspace.log)
        if live.spec.outputs or size > ARTIFACT_INLINE_LIMIT:
            world.saver.add(job, tuple(known), linger=linger)
            world.spawn(self._collect(live, seen.exit))
        else:
            logs = _small_log(live.workspace.log) if size else {}
            known.append(Collected(number, logs=logs))
            world.saver.add(job, tuple(known), lambda _: self._closed(live), linger=linger)

    def resume(self, live: Live) -> None:
        """Its end was saved before a restart; collecting may be repeated."""
        self._world.spawn(self._collect(live, live.attempt.exit))

    def _close(self, live: Live, collected: Collected) -> None:
        self._world.saver.add(live.attempt.id.job, collected, lambda _: self._closed(live))

    def _closed(self, live: Live) -> None:
        self._world.spawn(self._release(live))
        self._dispatch.forget(live)

    async def _release(self, live: Live) -> None:
        try:
            await self._hall.engine.release((live.attempt.id,))
        except EngineError as error:
            self._world.log.warning("the engine could not forget an attempt", why=error.message)

    async def _collect(self, live: Live, code: Exit | None) -> None:
        number = live.attempt.id.number
        longest = self._hall.environment.longest_staging
        began, pause = monotonic(), _PAUSE
        while True:
            try:
                await self._hall.engine.collect(live.attempt, live.workspace.root)
                collection, log = await self._files(live, code)
            except (Unavailable, EngineError, OSError) as error:
                if monotonic() - began >= longest:
                    message = f"the outputs could not be stored: {error}"
                    self._close(live, Collected(number, failure=Failure.OUTPUT, message=message))
                    return
                self._world.log.warning("outputs cannot be stored now; trying again", why=str(error), pause=pause)
                await asyncio.sleep(min(pause, longest))
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                self._close(live, _closing(number, collection, log))
                return

    async def _files(self, live: Live, code: Exit | None) -> tuple[Collection, dict[str, Artifact]]:
        """What the spec keeps after this end, and the log; each artifact names its output by the place in the spec."""
        well = code is not None and code.code == 0
        kept: list[tuple[int, Output]] = [
            (place, output) for place, output in enumerate(live.spec.outputs) if well or output.keep is Keep.ALWAYS
        ]
        limits, path = self._world.limits, live.workspace.log
        whole = self._hall.engine.capabilities.log
        most = limits.log if whole is None else min(limits.log, whole)
        size = _size(path)
        log = _small_log(path) if size <= ARTIFACT_INLINE_LIMIT else None
        room = ATTEMPT_INLINE_LIMIT - sum(artifact.size for artifact in (log or {}).values())
        collection = await live.workspace.collect(
            [output for _, output in kept],
            storage=self._world.storage,
            max_files=limits.output_files,
            max_bytes=limits.output_bytes,
            inline=room,
            beside=() if log is not None else (cut(path, most, size),),
        )
        if log is None:
            (stored,) = collection.beside
            half = most // 2
            lost = Cut(half, size - 2 * half) if size > most else None
            log = {LOG: Artifact(LOG, stored.digest, stored.size, cut=lost)}
        placed = tuple(replace(artifact, output=kept[artifact.output][0]) for artifact in collection.artifacts)
        return replace(collection, artifacts=placed, missing=collection.missing if well else ()), log


def _closing(number: int, collection: Collection, log: dict[str, Artifact]) -> Collected:
    failure, limit, message = None, None, ""
    if collection.over:
        failure, limit, message = Failure.LIMIT, Limit.OUTPUT, "it left more or larger files than are collected"
    elif collection.large:
        failure, limit = Failure.LIMIT, Limit.OUTPUT
        message = f"it left more than it may: {', '.join(collection.large[:10])}"
    elif collection.missing:
        names = ", ".join(collection.missing[:10])
        failure, message = Failure.OUTPUT, f"it did not leave what it must: {names}"
    return Collected(
        number,
        outputs=collection.artifacts,
        skipped=collection.skipped,
        logs=log,
        failure=failure,
        limit=limit,
        message=message,
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _small_log(path: Path) -> dict[str, Artifact]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    if not content:
        return {}
    digest = Digest(hashlib.sha256(content).hexdigest())
    return {LOG: Artifact(LOG, digest, len(content), inline=content)}


async def cut(path: Path, most: int, size: int) -> AsyncIterator[bytes]:
    """The file as it was with that size; of one longer than `most`, its beginning and end, and a line between them."""
    half = most // 2
    with await asyncio.to_thread(path.open, "rb") as file:
        parts = [(0, size)] if size <= most else [(0, half), (size - half, size)]
        for place, (start, end) in enumerate(parts):
            if place:
                lost = size - 2 * half
                yield f"\n--- {lost} bytes were cut here; the log is limited to {most} ---\n".encode()
            await asyncio.to_thread(file.seek, start)
            left = end - start
            while left > 0 and (piece := await asyncio.to_thread(file.read, min(left, _PIECE))):
                left -= len(piece)
                yield piece
