"""One compute environment as this node runs it: its engine, what is free, and what is live."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from enum import Enum
from typing import Final

from jobgate.engines.engine import Engine
from jobgate.files.workspace import Workspace
from jobgate.model.attempt import Attempt, AttemptId
from jobgate.model.environment import ComputeEnvironment
from jobgate.model.history import Kind, program
from jobgate.model.ids import AccountId
from jobgate.model.job import JobSpec
from jobgate.model.queue import Room, share
from jobgate.model.resources import Gpu, Resources
from jobgate.model.sight import Down, Running, Sight
from jobgate.runner.holdings import Holdings

_AHEAD: Final = 32
"""Jobs claimed beyond the slots at most."""
_SECONDS: Final = 0.05
"""Of work claimed beyond the slots at most: for so long a job of a higher rank may have to let others pass."""


class Hand(Enum):
    """In whose hands a live attempt is."""

    OURS = "ours"
    """Its inputs are brought in, or it waits in memory for a slot: the engine knows nothing of it."""
    ENGINE = "engine"
    """It was handed over."""
    COLLECT = "collect"
    """The engine said that it ended; its outputs are brought to storage."""


class Live:
    """One live attempt of this node."""

    __slots__ = (
        "asked",
        "attempt",
        "began",
        "hand",
        "owner",
        "prompt",
        "said_started",
        "slot",
        "spec",
        "stopped",
        "task",
        "workspace",
    )

    def __init__(
        self, attempt: Attempt, owner: AccountId, spec: JobSpec, asked: Resources, workspace: Workspace
    ) -> None:
        self.attempt = attempt
        self.owner = owner
        self.spec = spec
        self.asked = asked
        self.workspace = workspace
        self.hand = Hand.OURS
        self.slot: int | None = None
        self.said_started = attempt.started is not None
        self.task: asyncio.Task[None] | None = None
        self.began = 0.0
        """When it was handed over; before that, when it was ready to be."""
        self.prompt: float | None = None
        """When it was made, if a slot was free then: what its start takes from there is no waiting for others."""
        self.stopped = False
        """It was asked to stop: how long it ran says nothing of others."""


class Taken:
    """What a number of jobs take together."""

    __slots__ = ("cores", "disk", "gpus", "jobs", "memory")

    def __init__(self) -> None:
        self.jobs = 0
        self.cores = 0.0
        self.memory = self.disk = self.gpus = 0

    def add(self, asked: Resources, sign: int = 1) -> None:
        """One more, or one less."""
        self.jobs += sign
        self.cores += sign * asked.cores
        self.memory += sign * asked.memory
        self.disk += sign * asked.disk
        self.gpus += sign * sum(gpu.count for gpu in asked.gpus)

    def left(self, room: Resources, times: float = 1.0) -> Resources:
        """What is left of `times` the room."""
        gpus = int(times * sum(gpu.count for gpu in room.gpus)) - self.gpus
        return Resources(
            cores=max(times * room.cores - self.cores, 0.0),
            memory=max(int(times * room.memory) - self.memory, 0),
            disk=max(int(times * room.disk) - self.disk, 0),
            gpus=(Gpu(max(gpus, 0)),) if room.gpus else (),
        )


class Hall:
    """An environment with its engine."""

    def __init__(self, environment: ComputeEnvironment, engine: Engine, held: Holdings | None = None) -> None:
        """`held`: what accounts have, over all halls of a node."""
        self.environment = environment
        self.engine = engine
        self.live: dict[AttemptId, Live] = {}
        self.ready: deque[Live] = deque()
        """Claimed and staged; waits for a slot only."""
        self.slots = list(range(environment.slots + (_AHEAD if engine.capabilities.holds else 0) - 1, -1, -1))
        """Free ones, the lowest last; an engine that holds what cannot run yet has some more."""
        self.mean = 1.0
        """Decayed mean of run times, seconds: how far ahead to claim follows from it."""
        self.refused = ""
        """Why the engine took nothing when it was asked last; empty when it did."""
        self.unstaged: dict[AttemptId, str] = {}
        """Those whose workspace cannot be laid out now, and why."""
        self._down: Down | None = None
        self._held = held if held is not None else Holdings()
        self._claimed = Taken()
        self._handed = Taken()
        self._uneven = 0
        """Of those handed over, how many are too large for every slot to have one at once."""

    @property
    def ahead(self) -> int:
        """How many to claim beyond the slots: none where jobs are long, some where a slot would wait for a commit."""
        wish = self.environment.slots * _SECONDS / max(self.mean, 0.001)
        return max(0, min(int(wish), _AHEAD))

    @property
    def busy(self) -> bool:
        """Whether every slot has its next job already: an end that is saved a moment later delays nothing."""
        return self._claimed.jobs > self.environment.slots

    @property
    def free(self) -> bool:
        """Whether a slot has no job yet."""
        return self._claimed.jobs < self.environment.slots

    def room(self) -> Room:
        """What may be claimed now. None while enough is in memory: the next claim is then worth its commit."""
        slots, ahead = self.environment.slots, self.ahead
        free = slots + ahead - self._claimed.jobs
        if free < ahead - ahead // 2:
            free = 0
        left = self._claimed.left(self.environment.room, 1 + ahead / slots)
        return Room(left, self.environment.room, max(free, 0))

    def take(self, live: Live) -> None:
        """It is claimed: from now on it has its room."""
        self.live[live.attempt.id] = live
        self._claimed.add(live.asked)
        self._held.take(live.owner, live.asked)

    def fits_now(self, live: Live) -> bool:
        """Whether it can be handed over: a slot is free, and room beside those that run.

        An engine that holds gets more, as long as it does not matter which of them run at once.
        """
        room, slots = self.environment.room, self.environment.slots
        if self._handed.jobs < slots:
            return bool(self.slots) and live.asked.fits(self._handed.left(room))
        return bool(self.slots) and self._handed.jobs < slots + self.ahead and not self._uneven and self._even(live)

    def _even(self, live: Live) -> bool:
        """Whether every slot could have one like it at once."""
        return live.asked.fits(share(self.environment.room, self.environment.slots))

    def enter(self, live: Live) -> None:
        """It takes a slot and is handed over."""
        live.hand = Hand.ENGINE
        if self.slots:
            live.slot = self.slots.pop()
        self._handed.add(live.asked)
        self._uneven += not self._even(live)

    def back(self, live: Live) -> None:
        """The engine never got it: it is in our hands again."""
        self.leave(live)
        live.hand = Hand.OURS
        self._claimed.add(live.asked)
        self._held.take(live.owner, live.asked)

    def leave(self, live: Live) -> None:
        """It runs no more: what it had is free."""
        if live.hand is Hand.ENGINE:
            self._handed.add(live.asked, -1)
            self._uneven -= not self._even(live)
        if live.hand is not Hand.COLLECT:
            self._claimed.add(live.asked, -1)
            self._held.leave(live.owner, live.asked)
        live.hand = Hand.COLLECT
        if live.slot is not None:
            self.slots.append(live.slot)
            live.slot = None

    def forget(self, live: Live) -> bool:
        """It is over; whether it was known."""
        self.leave(live)
        return self.live.pop(live.attempt.id, None) is not None

    # --- being looked at

    def sight(self, now: float) -> Sight:
        """What is free, what runs and what is wrong, at this moment."""
        place = self.environment
        began = sorted((live for live in self.live.values() if live.hand is not Hand.COLLECT), key=_since)
        return Sight(
            room=Room(self._claimed.left(place.room), place.room, max(place.slots - self._claimed.jobs, 0)),
            running=tuple(
                Running(
                    Kind(place.name, live.owner, program(live.spec)),
                    live.owner,
                    live.asked,
                    _since(live) if number < place.slots and live.hand is Hand.ENGINE else None,
                    live.spec.resources.operations,
                )
                for number, live in enumerate(began)
            ),
            down=self.trouble(now),
        )

    def trouble(self, now: float) -> Down | None:
        """Why nothing starts here, and since when that is known."""
        because = self.engine.trouble or self.refused or next(iter(self.unstaged.values()), "")
        if not because:
            self._down = None
        elif self._down is None:
            self._down = Down(now, because)
        elif self._down.because != because:
            self._down = Down(self._down.since, because)
        return self._down

    def early(self, before: float) -> list[Live]:
        """Those that were ready by then, and of which nothing is known to have begun."""
        return [
            live
            for live in self.live.values()
            if live.hand is not Hand.COLLECT and not live.said_started and not live.stopped and 0 < live.began <= before
        ]

    def misjudged(self, seconds: float) -> None:
        """Jobs last that long at least: nothing is claimed ahead until short ones have ended again."""
        self.mean = max(self.mean, seconds, 1.01 * self.environment.slots * _SECONDS)

    def lasted(self, seconds: float) -> None:
        """A run took so long."""
        self.mean += (max(seconds, 0.0) - self.mean) * 0.1


def _since(live: Live) -> float:
    """When it started, or was handed over; what was not is the last."""
    if live.attempt.started is not None:
        return live.attempt.started
    return live.began or math.inf
