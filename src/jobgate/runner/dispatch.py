"""Takes the next jobs of the queue for one environment, brings in their inputs and hands them to its engine."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from jobgate.engines.engine import Start
from jobgate.model.advance import Step
from jobgate.model.attempt import Attempt
from jobgate.model.environment import refusal
from jobgate.model.errors import EngineError, FetchError, JobgateError, NotFound, Unavailable
from jobgate.model.events import Broke, Claim, Event, Staged
from jobgate.model.files import OutputKind
from jobgate.model.ids import AccountId, EnvironmentName, JobId, SpecId, batch_text, job_text, place
from jobgate.model.job import Batch, Job, JobSpec, Late
from jobgate.model.outcomes import JobView
from jobgate.model.queue import Waiting, dominant, pick
from jobgate.model.replicas import counted, may_take
from jobgate.model.resources import Resources
from jobgate.model.state import AttemptState, Failure, JobState, Limit
from jobgate.runner.hall import Hall, Hand, Live
from jobgate.runner.returns import Returns
from jobgate.runner.world import World
from jobgate.store.queue import Head
from jobgate.store.transaction import Transaction

_HEADS_EXTRA: Final = 16
"""Jobs looked at of each account beyond those that could start: smaller ones may pass a large one."""

_SECOND: Final = 2
"""Fact of a job that was claimed as it was made: never held, never tried before."""
_APART: Final = 5.0
"""Seconds before a replica that was left to other places is looked at again: one of them may be down by then."""
_LEFT: Final = 1_000
"""After so many of them no further replicated job is looked at: this place is that far ahead of the others."""
_ASKED_KEPT: Final = 4096
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
"""Seconds before an engine that takes nothing, or a disk that does not, is asked again."""

_QUOTA_PACE: Final = 1.0
"""Seconds before a claim that a quota kept from a job is made again: another process may have changed the quota."""

_Taken = tuple[Attempt, AccountId, JobSpec, bool, float | None]
"""A claimed attempt, its owner and spec, whether nothing has to be brought in, and of a new job when it was made."""
_Choice = tuple[list[_Taken], set[AccountId]]
"""What was claimed, and the accounts whose quota kept a job of theirs."""


class Dispatch:
    """The way in. `wake` is called whenever there may be something to do."""

    def __init__(self, world: World, hall: Hall, peers: Callable[[], Iterable[Hall]]) -> None:
        self._world = world
        self._hall = hall
        self._peers = peers
        self.returns = Returns(world, hall, self.forget)
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._away = False
        """The engine said that it takes nothing now."""
        self._left = 0
        """Replicas that were left to other places when the queue was looked at last."""
        self._full = True
        self._freed = 0.0
        """Since when a slot is free, unless it is full: whoever was made since then found one free."""
        self._pause = 0.0
        self._asked: dict[tuple[SpecId, AccountId], Resources | None] = {}
        """The request of each spec as this place fills it in; None: it cannot run here."""

    def wake(self) -> None:
        """Jobs came into the queue, or room became free."""
        if self._full and self._hall.free:
            self._full, self._freed = False, self._world.clock()
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled. Every wake looks at the queue once more after it: none is lost."""
        self.wake()
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._hall.room().slots and not self._world.stopping:
                claimed = await self._claim()
                if not claimed:
                    break
                for live, straight in claimed:
                    self.take(live, straight=straight)
                await self.hand_over()
            self.returns.watch()

    # --- claiming

    async def _claim(self) -> list[tuple[Live, bool]]:
        world, hall = self._world, self._hall
        room = hall.room()

        def work(tx: Transaction) -> tuple[_Choice, float | None]:
            now = world.clock()
            return self._choose(tx, room.slots, now), tx.due.next_ready(now)

        self._left = 0
        with world.held.watch() as ended:
            (chosen, stuck), later = await world.write(work)
        soon = math.inf if later is None else later - world.clock()
        if self._left and not chosen:
            soon = min(soon, _APART)
        if stuck:
            soon = min(soon, _QUOTA_PACE)
        if soon < math.inf:
            self._look_again(soon)
        lives = []
        for attempt, owner, spec, straight, made in chosen:
            live = Live(attempt, owner, spec, hall.environment.request(spec), world.workspace(attempt.id))
            if hall.free and made is not None and made >= self._freed:
                live.prompt = made
            hall.take(live)
            self._full = not hall.free
            lives.append((live, straight))
        world.held.promise(hall.environment.name)  # each of them has taken its own
        if stuck & ended:
            self.wake()
        world.held.await_end(stuck - ended, self.wake)
        return lives

    def _choose(self, tx: Transaction, slots: int, now: float) -> _Choice:
        world, hall = self._world, self._hall
        room = hall.room()
        waiting: dict[JobId, tuple[Waiting, JobSpec]] = {}

        def fits(head: Head) -> bool:
            return self._request(tx, head) is not None and self._may_take(tx, head, now)

        for head in tx.jobs.heads(now, slots + _HEADS_EXTRA, place=hall.environment.name, fits=fits):
            asked = self._request(tx, head)
            if asked is not None:
                item = Waiting(head.job, head.owner, head.priority, head.created, asked)
                waiting[head.job] = (item, tx.jobs.spec(head.spec))
        world.weigh(tx.accounts.apart())
        standings = world.standings(now)
        world.held.promise(hall.environment.name)  # a claim that could not be written came to nothing
        allowed = tx.accounts.allowances((item.owner for item, _ in waiting.values()), world.limits, world.held.of)
        verdicts = pick([item for item, _ in waiting.values()], standings, room, now, allowed)
        if allowed:
            world.held.promise(hall.environment.name, ((item.owner, item.asked) for item in verdicts.chosen))
        claims: list[tuple[JobId, Event]] = []
        for item in verdicts.chosen:
            straight = not waiting[item.job][1].inputs
            claims.append((item.job, Claim(hall.environment.name, world.lease, None, straight)))
            world.used(item.owner, dominant(item.asked, room.total))
        taken: list[_Taken] = []
        for (job, claim), step in zip(claims, tx.jobs.advance(claims, now, world.lease), strict=True):
            if isinstance(step, Step) and isinstance(claim, Claim):
                made = step.job.created if step.facts[0].seq == _SECOND else None
                taken.append((step.attempts[-1], step.job.owner, waiting[job][1], claim.straight, made))
        return taken, {waiting[job][0].owner for job in verdicts.stuck}

    def _may_take(self, tx: Transaction, head: Head, now: float) -> bool:
        """Whether a replica is to start here rather than where fewer of its siblings were."""
        spec = tx.jobs.spec(head.spec)
        if spec.replication.plain:
            return True
        if self._left >= _LEFT:
            return False
        job, attempts = tx.jobs.get((head.job,))[head.job]

        def able() -> Iterable[EnvironmentName]:
            for hall in self._peers():
                if hall.trouble(now) is None and refusal(hall.environment, spec, head.owner) is None:
                    yield hall.environment.name

        if may_take(self._hall.environment.name, counted(job, attempts), able, spec.replication):
            return True
        self._left += 1
        return False

    def _request(self, tx: Transaction, head: Head) -> Resources | None:
        key = (head.spec, head.owner)
        if key not in self._asked:
            if len(self._asked) >= _ASKED_KEPT:
                self._asked.clear()
            place, spec = self._hall.environment, tx.jobs.spec(head.spec)
            self._asked[key] = place.request(spec) if refusal(place, spec, head.owner) is None else None
        return self._asked[key]

    def _look_again(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(max(seconds, 0.01), self.wake)

    # --- staging

    def take(self, live: Live, *, straight: bool) -> None:
        """A claimed attempt is made ready: at once, or when its inputs are there."""
        if straight:
            try:
                self._world.lay_out(live.workspace, live.owner)
                self._lay_out(live)
            except OSError:
                straight = False
        if straight:
            live.began = self._world.clock()
            self._hall.ready.append(live)
        else:
            live.task = self._world.spawn(self._stage(live))

    def _lay_out(self, live: Live) -> None:
        """The directories that are collected are there from the start, so that a job can write into them."""
        for path in live.spec.place.directories:
            (live.workspace.root / path).mkdir(parents=True, exist_ok=True)
        for output in live.spec.outputs:
            if output.kind is OutputKind.DIRECTORY:
                (live.workspace.root / output.path).mkdir(parents=True, exist_ok=True)

    async def _stage(self, live: Live) -> None:
        world = self._world
        longest = self._hall.environment.longest_staging
        try:
            async with asyncio.timeout(longest):
                await self._laid_out(live)
        except TimeoutError:
            self._broke(live, Failure.LIMIT, f"its inputs were not there after {longest:g} s", Limit.STAGING)
        except FetchError as error:
            self._broke(live, Failure.INPUT, error.message)
        except JobgateError as error:
            self._broke(live, Failure.ENGINE, f"its inputs could not be laid out: {error}")
        else:
            world.saver.add(live.attempt.id.job, Staged(live.attempt.id.number), lambda said: self._staged(live, said))
        finally:
            self._hall.unstaged.pop(live.attempt.id, None)

    async def _laid_out(self, live: Live) -> None:
        """Returns when the workspace is there with all that belongs in it; a full disk is waited for."""
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._world.stage(live.attempt.id, live.spec, live.workspace)
                self._lay_out(live)
            except (Unavailable, OSError) as error:
                self._hall.unstaged[live.attempt.id] = f"a workspace cannot be laid out: {_told(error)}"
                self._world.log.warning("a workspace cannot be laid out now; trying again", why=str(error), pause=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                return

    def _staged(self, live: Live, said: Step | JobgateError) -> None:
        """Saved: from here on the outcome is unknown until the engine is asked."""
        if isinstance(said, Step) and live.attempt.id in self._hall.live:
            live.attempt = said.attempts[live.attempt.id.number - 1]
            if said.job.state is JobState.CANCELLING or live.attempt.state is not AttemptState.STARTING:
                self.drop(live, "cancelled before it was started")
                return
            live.began = self._world.clock()
            self._hall.ready.append(live)
            self.returns.watch()
            self._world.spawn(self.hand_over())
        elif isinstance(said, NotFound):
            self.forget(live)

    # --- handing over

    async def hand_over(self) -> None:
        """Gives the engine as many ready ones as there is room for; none while it is away."""
        hall = self._hall
        starts: list[Start] = []
        while not self._away and hall.ready and hall.fits_now(hall.ready[0]):
            live = hall.ready.popleft()
            if live.attempt.id not in hall.live:
                continue
            hall.enter(live)
            live.began = self._world.clock()
            try:
                starts.append(await self._start(live))
            except JobgateError as error:
                self._broke(live, Failure.ENGINE, error.message)
        if starts:
            await self.submit(starts)

    async def _start(self, live: Live) -> Start:
        world = self._world
        attempt, spec = live.attempt, live.spec
        env: dict[str, str] = {}
        needs = any(step.late_env or step.secret_env for step in spec.steps)
        if needs:
            view = await world.view(attempt.id.job)
            secrets = await world.secrets(view.batch.id) if any(step.secret_env for step in spec.steps) else {}
            for step in spec.steps:
                env.update({name: late(view, attempt, which) for name, which in step.late_env.items()})
                env.update({name: secrets[key] for name, key in step.secret_env.items() if key in secrets})
        resolved = tuple(world.catalogue.resolve(step) for step in spec.steps)
        return Start(
            attempt=attempt.id,
            spec=JobSpec(steps=resolved, outputs=spec.outputs, resources=spec.resources, place=spec.place),
            workspace=live.workspace.root,
            log=live.workspace.log,
            resources=live.asked,
            env=env,
            run_as=spec.place.run_as,
            slot=live.slot or 0,
        )

    async def submit(self, starts: Sequence[Start]) -> None:
        """Hands over; what the engine refuses is broken, and tried again where it says that this can help."""
        hall = self._hall
        try:
            answers = await hall.engine.submit(starts)
        except EngineError as error:
            answers = {start.attempt: error for start in starts}
        for start in reversed(starts):
            answer = answers.get(start.attempt)
            live = hall.live.get(start.attempt)
            if not isinstance(answer, EngineError):
                self._pause, hall.refused = 0.0, ""
                continue
            if live is None:
                continue
            if answer.retryable and self._patient(live):
                self._wait_for_engine(live, answer)
            else:
                image = answer.code in ("image", "app-not-runnable")
                self._broke(live, Failure.IMAGE if image else Failure.ENGINE, answer.message)

    def _patient(self, live: Live) -> bool:
        """Whether its time for getting to its start is not over yet."""
        return self._world.clock() - live.attempt.created < self._hall.environment.longest_staging

    def _wait_for_engine(self, live: Live, error: EngineError) -> None:
        """The engine got nothing, and may later: no try is used up. It is asked again after a pause."""
        self._hall.back(live)
        self._hall.ready.appendleft(live)
        self._hall.refused = error.message
        if not self._away:
            self._pause = min(self._pause * 2, _LONGEST_PAUSE) if self._pause else _FIRST_PAUSE
            self._world.log.warning("the engine takes nothing now", why=error.message, pause=self._pause)
            self._away = True
            asyncio.get_running_loop().call_later(self._pause, self._come_back)

    def _come_back(self) -> None:
        self._away = False
        if not self._hall.ready:
            self._hall.refused = ""  # nobody is left to find out
        self._world.spawn(self.hand_over())

    # --- giving up

    def _broke(self, live: Live, failure: Failure, message: str, limit: Limit | None = None) -> None:
        hall, ident = self._hall, live.attempt.id
        hall.leave(live)
        event = Broke(ident.number, failure, message, limit)
        self._world.saver.add(ident.job, event, lambda _: self.forget(live))

    def drop(self, live: Live, message: str) -> None:
        """It never reached the engine, and is not wanted any more."""
        if live.hand is Hand.OURS:
            if live.task is not None:
                live.task.cancel()
            if live in self._hall.ready:
                self._hall.ready.remove(live)
            self._broke(live, Failure.ENGINE, message)

    def forget(self, live: Live) -> None:
        """It is over: its workspace goes, its room is free."""
        if self._hall.forget(live):
            kept = live.owner if not live.spec.inputs and not live.spec.outputs else None
            self._world.sweep(live.workspace, kept)
        self.wake()


def _told(error: Unavailable | OSError) -> str:
    """What went wrong, without the places of this machine."""
    return error.message if isinstance(error, Unavailable) else error.strerror or type(error).__name__


def late(view: JobView, attempt: Attempt, which: Late) -> str:
    """The value of a variable that only the gateway knows."""
    job: Job = view.job
    batch: Batch = view.batch
    match which:
        case Late.JOB:
            return job_text(batch.id, job.id)
        case Late.BATCH:
            return job_text(batch.id, job.id) if batch.count == 1 else batch_text(batch.id)
        case Late.INDEX:
            return str(place(batch.id, job.id))
        case Late.ATTEMPT:
            return str(attempt.id)
