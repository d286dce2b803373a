"""Gives claims back to the queue that came too early: the jobs before them last longer than was thought.

Claiming ahead is a guess (decision 0008). Where it was wrong a job would wait in the hands of this node, with no reason
and no place, and no other could pass it. In the queue it has all of these again, and no try is used up (decision 0016).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from jobgate.model.attempt import AttemptId
from jobgate.model.errors import EngineError
from jobgate.model.events import GiveBack
from jobgate.model.queue import dominant
from jobgate.runner.hall import Hall, Hand, Live
from jobgate.runner.world import World

PATIENCE: Final = 1.0
"""Seconds that a job which is ready waits for a slot in the hands of its node."""


class Returns:
    """The way back of one environment. `forget` is told of each that is in the queue again."""

    def __init__(self, world: World, hall: Hall, forget: Callable[[Live], None]) -> None:
        self._world = world
        self._hall = hall
        self._forget = forget
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Looks after a while whether those that wait here still do, if any does: one timer, however many they are."""
        if self._timer is None and self._hall.busy:
            self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._look)

    def _look(self) -> None:
        self._timer = None
        hall, now = self._hall, self._world.clock()
        if self._world.stopping:
            return
        if hall.busy and hall.trouble(now) is None:  # what cannot start at all is the next to start, and says why
            early = hall.early(now - PATIENCE)
            if early:
                hall.misjudged(PATIENCE)
                for live in early:
                    if live.hand is Hand.OURS:
                        hall.ready.remove(live)
                        self.back(live)
                if handed := [live.attempt.id for live in early if live.hand is Hand.ENGINE]:
                    self._world.spawn(self._recall(handed))
        self.watch()

    async def _recall(self, attempts: Sequence[AttemptId]) -> None:
        """The engine tells of each that had not begun; what cannot be asked now is asked with the next look."""
        try:
            await self._hall.engine.recall(attempts)
        except EngineError as error:
            self._world.log.warning("the engine could not be asked to give back", why=error.message)

    def back(self, live: Live) -> None:
        """It is certain not to have started: the queue has it again as soon as that is saved."""
        ident = live.attempt.id
        handed = live.hand is Hand.ENGINE
        self._hall.leave(live)
        self._world.used(live.owner, dominant(live.asked, self._hall.environment.room), -1.0)  # what its claim cost

        def saved(_: object) -> None:
            if handed:
                self._world.spawn(self._release(ident))
            self._forget(live)

        self._world.saver.add(ident.job, GiveBack(ident.number), saved)

    async def _release(self, ident: AttemptId) -> None:
        try:
            await self._hall.engine.release((ident,))
        except EngineError as error:
            self._world.log.warning("the engine could not forget an attempt", why=error.message)
