"""Hears an engine's changes, asks it for the truth, and lets the events of each attempt follow."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from jobgate.engines.engine import Observation, Phase
from jobgate.model.attempt import AttemptId
from jobgate.model.errors import EngineError
from jobgate.model.events import Started, Vanished
from jobgate.model.state import AttemptState
from jobgate.runner.collect import Collect
from jobgate.runner.dispatch import Dispatch
from jobgate.runner.hall import Hall, Hand, Live
from jobgate.runner.world import World

START_KEPT: Final = 0.25
"""Seconds after which a start is saved at the latest; most join their own end (hot path, section 7.4)."""
RETRY: Final = 1.0
"""Seconds before an engine that could not be asked is asked again."""


class Watch:
    """The engine's word on every live attempt of one environment."""

    def __init__(self, world: World, hall: Hall, dispatch: Dispatch, collect: Collect) -> None:
        self._world = world
        self._hall = hall
        self._dispatch = dispatch
        self._collect = collect

    async def hear(self) -> None:
        """Until cancelled: what the engine pushes."""
        while True:
            try:
                async for attempts in self._hall.engine.changes():
                    await self.look(attempts)
            except EngineError as error:
                self._world.log.warning("the engine is away", engine=self._hall.engine.name, why=error.message)
            await asyncio.sleep(RETRY)

    async def ask(self) -> None:
        """Until cancelled: all that is live, once in the engine's pace; for one that pushes, only a safety net."""
        while True:
            await asyncio.sleep(self._hall.engine.capabilities.pace)
            await self.look([ident for ident, live in self._hall.live.items() if live.hand is Hand.ENGINE])

    async def look(self, attempts: Sequence[AttemptId], *, after_restart: bool = False) -> None:
        """Asks about them all at once, and acts on every answer.

        After a restart, what the engine is certain never to have got is handed over again: under the same name, so
        that it cannot start twice.
        """
        asked = [ident for ident in attempts if self._handed(ident)]
        strangers = [ident for ident in attempts if ident not in self._hall.live]
        if strangers and not after_restart:
            await self._clear(strangers)
        if not asked:
            return
        try:
            answers = await self._hall.engine.poll(asked)
        except EngineError as error:
            self._world.log.warning("the engine did not answer", engine=self._hall.engine.name, why=error.message)
            return
        ended = []
        for ident, seen in answers.items():
            live = self._hall.live.get(ident)
            if live is None or live.hand is not Hand.ENGINE:
                continue
            if after_restart and _never_came(live, seen):
                self._hall.back(live)
                self._dispatch.take(live, straight=True)
            elif self._heard(live, seen):
                ended.append((live, seen))
        if ended:
            await self._dispatch.hand_over()  # freed slots are refilled before anything is saved
            for live, seen in ended:
                self._collect.finish(live, seen)
            self._dispatch.wake()

    async def _clear(self, strangers: Sequence[AttemptId]) -> None:
        """What the engine still keeps, and nobody waits for: a word of ours that it is over was lost with a process."""
        try:
            await self._hall.engine.cancel(strangers)
            await self._hall.engine.release(strangers)
        except EngineError as error:
            self._world.log.warning("the engine could not forget", why=error.message)

    def _handed(self, ident: AttemptId) -> bool:
        live = self._hall.live.get(ident)
        return live is not None and live.hand is Hand.ENGINE

    def _heard(self, live: Live, seen: Observation) -> bool:
        """Whether it ended."""
        number = live.attempt.id.number
        match seen.phase:
            case Phase.RUNNING:
                if not live.said_started:
                    live.said_started = True
                    self._world.pace.note(self._world.clock())
                    asyncio.get_running_loop().call_later(START_KEPT, self._started, live, seen)
            case Phase.ENDED:
                self._hall.leave(live)
                return True
            case Phase.GONE:
                self._hall.leave(live)
                saver, job = self._world.saver, live.attempt.id.job
                if seen.started is not None:
                    saver.add(job, Started(number, seen.started, seen.handle))
                message = seen.message or "the engine does not know it any more"
                saver.add(job, Vanished(number, message), lambda _: self._dispatch.forget(live))
            case Phase.RECALLED:
                self._dispatch.returns.back(live)
            case Phase.STARTING:
                pass
        return False

    def _started(self, live: Live, seen: Observation) -> None:
        """It has run for a while: the start is worth a commit of its own."""
        if live.hand is Hand.ENGINE:
            started = seen.started if seen.started is not None else self._world.clock()
            self._world.saver.add(live.attempt.id.job, Started(live.attempt.id.number, started, seen.handle))

    async def stop(self, attempts: Iterable[AttemptId]) -> None:
        """Attempts that are not wanted any more: the engine is asked to stop them; its word ends them."""
        handed = []
        for ident in attempts:
            live = self._hall.live.get(ident)
            if live is None:
                continue
            live.stopped = True
            if live.hand is Hand.OURS:
                self._dispatch.drop(live, "cancelled before it was started")
            elif live.hand is Hand.ENGINE:
                handed.append(ident)
        if handed:
            try:
                await self._hall.engine.cancel(handed)
            except EngineError as error:
                self._world.log.warning("the engine could not cancel", why=error.message)
                await asyncio.sleep(RETRY)
                self._world.spawn(self.stop(handed))


def _never_came(live: Live, seen: Observation) -> bool:
    """The engine knows that it was not handed over: it is not lost, only late."""
    return (
        seen.phase is Phase.GONE
        and seen.failure is None
        and seen.started is None
        and live.attempt.state is AttemptState.STARTING
    )
