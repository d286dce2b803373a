"""Starts the duties of one node, takes over what was live before, and stops them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from jobgate.engines.engine import Engine
from jobgate.files.storage import Storage
from jobgate.model.advance import Step, unwanted
from jobgate.model.attempt import Attempt, AttemptId
from jobgate.model.catalogue import Catalogue
from jobgate.model.environment import ComputeEnvironment
from jobgate.model.errors import EngineError
from jobgate.model.events import Adopt, Vanished
from jobgate.model.files import Piece
from jobgate.model.history import Kind, Past
from jobgate.model.ids import EnvironmentName, NodeName
from jobgate.model.job import Job, JobSpec
from jobgate.model.limits import Limits
from jobgate.model.sight import Snapshot
from jobgate.model.state import AttemptState, JobState
from jobgate.net.egress import Egress
from jobgate.runner.collect import Collect
from jobgate.runner.dispatch import Dispatch
from jobgate.runner.growth import Growth
from jobgate.runner.hall import Hall, Live
from jobgate.runner.history import History
from jobgate.runner.judging import Judging, Submitting
from jobgate.runner.leases import Leases
from jobgate.runner.outbox import Outbox, Wording
from jobgate.runner.reaper import Chore, Reaper, Retention
from jobgate.runner.saver import Saver
from jobgate.runner.watch import Watch
from jobgate.runner.world import Opener, World
from jobgate.store.store import Store

_LEASE: Final = 60.0
_LAST_WORDS: Final = 10.0
"""Seconds that a stop waits for the database."""


class _Desk:
    """The duties of one environment."""

    def __init__(self, world: World, hall: Hall, peers: Callable[[], Iterable[Hall]]) -> None:
        self.hall = hall
        self.dispatch = Dispatch(world, hall, peers)
        self.collect = Collect(world, hall, self.dispatch)
        self.watch = Watch(world, hall, self.dispatch, self.collect)


class Runner:
    """One node. `start` returns when every attempt that was live before is in somebody's hands again."""

    def __init__(  # noqa: PLR0913  # the parts of a runner
        self,
        *,
        node: NodeName,
        store: Store,
        storage: Storage,
        egress: Egress,
        work: Path,
        places: Sequence[tuple[ComputeEnvironment, Engine]],
        clock: Callable[[], float],
        opener: Opener,
        catalogue: Catalogue,
        limits: Limits,
        retention: Retention,
        wording: Wording,
        submit: Submitting,
        fenced: Callable[[], None] = lambda: None,
        chores: Sequence[Chore] = (),
        full: Callable[[], bool] = lambda: False,
    ) -> None:
        self._node = node
        self._store = store
        self._storage = storage
        self._egress = egress
        self._work = work
        self._places = sorted(places, key=lambda place: -place[0].rank)  # woken in this order: the first fills first
        self._clock = clock
        self._opener = opener
        self._catalogue = catalogue
        self._limits = limits
        self._retention = retention
        self._wording = wording
        self._submit = submit
        self._judging: Judging | None = None
        self._fenced = fenced
        self._chores = chores
        self._full = full
        self._desks: dict[EnvironmentName, _Desk] = {}
        self._saving: asyncio.Task[None] | None = None
        self._world: World | None = None
        self._growth = Growth(self._length)

    @property
    def calm(self) -> bool:
        """Nothing runs here."""
        return not any(desk.hall.live for desk in self._desks.values())

    async def start(self) -> None:
        """Raises EngineError when an engine cannot be reached, Unavailable when the store cannot."""
        now = self._clock()
        lease = await self._store.write(lambda tx: tx.nodes.enter(self._node, now, _LEASE), spare=True)
        standings = await self._store.read(lambda tx: tx.accounts.standings(now))
        pasts = await self._store.read(lambda tx: tx.pasts.all())
        saver = Saver(self._store, lease, self._clock, self._fenced)
        self._work.mkdir(parents=True, exist_ok=True, mode=0o711)
        world = self._world = World(
            store=self._store,
            storage=self._storage,
            egress=self._egress,
            work=self._work,
            lease=lease,
            saver=saver,
            clock=self._clock,
            opener=self._opener,
            catalogue=self._catalogue,
            limits=self._limits,
            standings=standings,
            history=History(pasts),
        )
        self._saving = asyncio.get_running_loop().create_task(saver.run())
        for environment, engine in self._places:
            await engine.open()
            self._desks[environment.name] = _Desk(world, Hall(environment, engine, world.held), self._halls)
        self._judging = Judging(world, self._submit)
        await self._take_over(world)
        self._store.listen(self._heard)
        for desk in self._desks.values():
            for duty in (desk.watch.hear, desk.watch.ask, desk.dispatch.run):
                world.keep(duty)
            desk.dispatch.wake()
        outbox = Outbox(world, self._wording)
        self._store.listen_outbox(outbox.wake)
        world.keep(outbox.run)
        world.keep(self._judging.run)
        leases = Leases(world)
        self._store.listen(leases.heard)
        self._store.listen_batches(leases.touched)
        world.keep(leases.run)
        world.keep(Reaper(world, self._retention, self._chores, full=self._full).run)
        world.keep(world.sweeping)

    async def stop(self) -> None:
        """Saves what is known and lets go: jobs run on under their engines."""
        world = self._world
        if world is None:
            return
        world.stopping = True
        try:
            async with asyncio.timeout(_LAST_WORDS):
                await world.saver.drain()
        except TimeoutError:
            world.log.warning("not everything could be saved; the engines keep it for the next start")
        await self._growth.stop()
        await world.stop()
        if self._saving is not None:
            self._saving.cancel()
        for desk in self._desks.values():
            await desk.hall.engine.close()

    def _halls(self) -> Iterable[Hall]:
        return (desk.hall for desk in self._desks.values())

    # --- live logs

    async def read(self, attempt: Attempt, offset: int, limit: int) -> Piece | None:
        """Bytes of a live attempt's log; None when it is not ours."""
        desk = self._desks.get(attempt.environment)
        if desk is None or attempt.id not in desk.hall.live:
            return None
        try:
            return await desk.hall.engine.read(attempt, offset, limit)
        except EngineError:
            return None

    def telling(self, attempt: Attempt, beyond: int, news: asyncio.Event) -> AbstractContextManager[None]:
        """Sets `news` when a live attempt's log is longer than `beyond`; see `Growth.telling`."""
        return self._growth.telling(attempt, beyond, news)

    async def _length(self, attempt: Attempt) -> int:
        piece = await self.read(attempt, 0, 0)
        return 0 if piece is None else piece.size

    # --- being looked at

    def snapshot(self) -> Snapshot:
        """Every environment as it stands at this moment."""
        world = self._world
        if world is None:
            return Snapshot()
        now = self._clock()
        return Snapshot(
            places={name: desk.hall.sight(now) for name, desk in self._desks.items()},
            standings=dict(world.standings(now)),
            since=world.began,
            starts=world.pace.rate(now),
            held=world.held.all(),
        )

    def past(self, kind: Kind) -> Past:
        """Past runs of a kind, or of a wider one."""
        return Past() if self._world is None else self._world.history.past(kind)

    # --- hearing commits

    def _heard(self, steps: list[Step], queued: int) -> None:
        if queued or any(step.job.waits for step in steps):
            for desk in self._desks.values():
                desk.dispatch.wake()
        for step in steps:
            if step.job.state is JobState.CANCELLING or len(step.attempts) > 1:
                self._stop_unwanted(step)
            if self._judging is not None:
                self._judging.heard(step)

    def _stop_unwanted(self, step: Step) -> None:
        assert self._world is not None  # noqa: S101  # commits are heard after the start only
        for desk in self._desks.values():
            mine = [a.id for a in step.attempts if a.id in desk.hall.live]
            if mine:
                spec = desk.hall.live[mine[0]].spec
                wanted_no_more = [ident for ident in unwanted(step.job, step.attempts, spec) if ident in mine]
                if wanted_no_more:
                    self._world.spawn(desk.watch.stop(wanted_no_more))

    # --- taking over

    async def _take_over(self, world: World) -> None:
        """Every attempt that was live under this node's name is ours again, and the engine says where it stands."""
        found = await self._store.read(
            lambda tx: [(job, attempts, tx.jobs.spec(job.spec)) for job, attempts in tx.jobs.live()]
        )
        handed: dict[EnvironmentName, list[AttemptId]] = {}
        names: set[str] = set()
        stops: list[Step] = []
        for job, attempts, spec in found:
            for attempt in attempts:
                if attempt.state.over or attempt.lease is None or attempt.lease.node != self._node:
                    continue
                names.add(str(attempt.id))
                self._adopt(world, job, attempt, spec, handed)
            if job.state is JobState.CANCELLING or len(attempts) > 1:
                stops.append(Step(job, attempts, (), job.wanted))
        world.leftovers(names)
        await world.saver.drain()
        for environment, attempts_asked in handed.items():
            desk = self._desks[environment]
            await desk.watch.look(attempts_asked, after_restart=True)
            await desk.dispatch.hand_over()
        for step in stops:
            self._stop_unwanted(step)

    def _adopt(
        self,
        world: World,
        job: Job,
        attempt: Attempt,
        spec: JobSpec,
        handed: dict[EnvironmentName, list[AttemptId]],
    ) -> None:
        number = attempt.id.number
        world.saver.add(job.id, Adopt(number, world.lease))
        desk = self._desks.get(attempt.environment)
        if desk is None:
            message = f"the environment {attempt.environment} is not configured any more"
            world.saver.add(job.id, Vanished(number, message))
            return
        hall = desk.hall
        live = Live(attempt, job.owner, spec, hall.environment.request(spec), world.workspace(attempt.id))
        hall.take(live)
        match attempt.state:
            case AttemptState.CLAIMED:
                desk.dispatch.take(live, straight=False)
            case AttemptState.COLLECTING:
                hall.leave(live)
                desk.collect.resume(live)
            case _:
                hall.enter(live)
                handed.setdefault(attempt.environment, []).append(attempt.id)
