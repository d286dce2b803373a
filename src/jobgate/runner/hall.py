"""One compute environment as this node runs it: its engine, what is free, and what is live."""

from __future__ import annotations

import asyncio
from collections import deque
from enum import Enum

from jobgate.engines.engine import Engine, Observation
from jobgate.files.workspace import Workspace
from jobgate.model.attempt import Attempt, AttemptId
from jobgate.model.environment import ComputeEnvironment
from jobgate.model.ids import AccountId
from jobgate.model.job import JobSpec
from jobgate.model.queue import Room, less
from jobgate.model.resources import Resources


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

    __slots__ = ("asked", "attempt", "began", "hand", "owner", "said_started", "slot", "spec", "task", "workspace")

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


class Hall:
    """An environment with its engine."""

    def __init__(self, environment: ComputeEnvironment, engine: Engine) -> None:
        self.environment = environment
        self.engine = engine
        self.live: dict[AttemptId, Live] = {}
        self.ready: deque[Live] = deque()
        """Claimed and staged; waits for a slot only."""
        self.slots = list(range(environment.slots - 1, -1, -1))
        """Free ones, the lowest last."""
        self.seen: dict[AttemptId, Observation] = {}
        self.mean = 1.0
        """Decayed mean of run times, seconds: how far ahead to claim follows from it."""

    @property
    def prefetch(self) -> int:
        """How many to claim beyond the free slots: none where jobs are long, so that no slot waits for a commit."""
        wish = self.environment.slots * 0.02 / max(self.mean, 0.001)
        return max(0, min(int(wish), 16))

    def room(self) -> Room:
        """What may be claimed now. Claimed ones take their room from the moment of the claim."""
        free = self.environment.room
        ahead = self.prefetch
        for live in self.live.values():
            if live.hand is not Hand.COLLECT:
                free = less(free, live.asked)
        if ahead:  # small jobs that wait in memory do not hold the room of those that run
            free = self.environment.room
        taken = sum(1 for live in self.live.values() if live.hand is not Hand.COLLECT)
        return Room(free, self.environment.room, max(self.environment.slots + ahead - taken, 0))

    def fits_now(self, live: Live) -> bool:
        """Whether it can be handed over: a slot is free, and room beside those that run."""
        if not self.slots:
            return False
        free = self.environment.room
        for other in self.live.values():
            if other.hand is Hand.ENGINE:
                free = less(free, other.asked)
        return live.asked.fits(free)

    def enter(self, live: Live) -> None:
        """It takes a slot and is handed over."""
        live.slot = self.slots.pop()
        live.hand = Hand.ENGINE

    def leave(self, live: Live) -> None:
        """Its slot is free again."""
        if live.slot is not None:
            self.slots.append(live.slot)
            live.slot = None

    def lasted(self, seconds: float) -> None:
        """A run took so long."""
        self.mean += (max(seconds, 0.0) - self.mean) * 0.1
