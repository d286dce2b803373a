"""What the duties of a runner share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog
from msgspec.structs import replace

from jobgate.files.storage import Storage
from jobgate.files.workspace import Workspace
from jobgate.model.account import Account
from jobgate.model.attempt import AttemptId, Lease
from jobgate.model.catalogue import Catalogue
from jobgate.model.errors import NotFound, Unavailable
from jobgate.model.ids import AccountId, BatchId, JobId, WebhookId
from jobgate.model.job import JobSpec
from jobgate.model.limits import Limits
from jobgate.model.outcomes import JobView
from jobgate.model.queue import Standing, decayed
from jobgate.net.egress import Egress
from jobgate.runner.history import History
from jobgate.runner.holdings import Holdings
from jobgate.runner.pace import Pace
from jobgate.runner.saver import PATIENCE, Saver
from jobgate.store.store import Store
from jobgate.store.transaction import Transaction

T = TypeVar("T")

Opener = Callable[[int, str, bytes], str]
"""Opens a sealed secret of a batch or a webhook."""


_FIRST_PAUSE: Final = 0.5
_LAST_PAUSE: Final = 30.0
"""Seconds between a duty's failure and its next beginning."""
_SWEPT_AT_ONCE: Final = 64
_SPARE: Final = 64
"""Workspaces kept for the next jobs of one account, if these left them empty."""
_REST: Final = 0.05
"""Seconds between two portions of deletions."""


class World:
    """Store, files, network and time, as one node's runner has them."""

    def __init__(  # noqa: PLR0913  # the parts of a runner
        self,
        *,
        store: Store,
        storage: Storage,
        egress: Egress,
        work: Path,
        lease: Lease,
        saver: Saver,
        clock: Callable[[], float],
        opener: Opener,
        catalogue: Catalogue,
        limits: Limits,
        standings: Mapping[AccountId, Standing],
        history: History,
    ) -> None:
        self.store = store
        self.storage = storage
        self.egress = egress
        self.lease = lease
        self.saver = saver
        self.clock = clock
        self.catalogue = catalogue
        self.limits = limits
        self.history = history
        self.began = clock()
        self.pace = Pace()
        self.held = Holdings()
        self.stopping = False
        self.log = structlog.get_logger("jobgate.runner")
        self._work = work
        self._opener = opener
        self._standings = dict(standings)
        self._weighed: Mapping[AccountId, Account] = {}
        self._counted = clock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._spare: dict[AccountId, list[Workspace]] = {}
        self._swept: asyncio.Queue[Workspace] = asyncio.Queue()

    # --- the store

    async def write(self, work: Callable[[Transaction], T], *, spare: bool = False) -> T:
        """What `work` returns, as soon as the database takes it; `spare`: see `Store.write`."""
        while True:
            try:
                return await self.store.write(work, spare=spare)
            except Unavailable as error:
                self.log.warning("the database refuses; trying again", why=error.message)
                await asyncio.sleep(PATIENCE)

    async def view(self, job: JobId) -> JobView:
        """A job with all that belongs to it. Raises NotFound."""

        def work(tx: Transaction) -> JobView:
            found = tx.jobs.get((job,)).get(job)
            if found is None:
                raise NotFound
            record, attempts = found
            batch = tx.jobs.batch(record.batch)
            return JobView(job=record, batch=batch, spec=tx.jobs.spec(record.spec), attempts=attempts)

        return await self.store.read(work)

    async def secrets(self, holder: BatchId | WebhookId) -> dict[str, str]:
        """The secrets of a batch or a webhook, opened."""
        sealed = await self.store.read(lambda tx: tx.secrets.sealed(holder))
        return {name: self._opener(holder, name, value) for name, value in sealed.items()}

    # --- fairness

    def standings(self, now: float) -> dict[AccountId, Standing]:
        """What each account has used, decayed to now."""
        seconds, self._counted = now - self._counted, now
        for owner, standing in self._standings.items():
            self._standings[owner] = replace(standing, usage=decayed(standing.usage, seconds))
        return self._standings

    def weigh(self, apart: Mapping[AccountId, Account]) -> None:
        """Accounts have the weights that are told here, and all others 1."""
        if apart is self._weighed:
            return
        self._weighed = apart
        for owner in {*self._standings, *apart}:
            known, account = self._standings.get(owner, Standing()), apart.get(owner)
            self._standings[owner] = replace(known, weight=1.0 if account is None else account.weight)

    def used(self, owner: AccountId, share: float, seconds: float = 1.0) -> None:
        """An account had such a share of an environment for so long."""
        known = self._standings.get(owner, Standing())
        self._standings[owner] = replace(known, usage=known.usage + share * seconds)

    # --- files

    def workspace(self, attempt: AttemptId) -> Workspace:
        """The attempt's own, whether it exists or not."""
        name = str(attempt)
        return Workspace(self._work / name, self._work / f"{name}.log")

    async def stage(self, attempt: AttemptId, spec: JobSpec, workspace: Workspace) -> None:
        """Brings in the inputs, into a workspace as if new. Raises FetchError naming the input."""
        await workspace.remove()
        workspace.create()
        secrets = {}
        if spec.secrets:
            view = await self.view(attempt.job)
            secrets = await self.secrets(view.batch.id)
        await workspace.stage(
            spec.inputs,
            storage=self.storage,
            egress=self.egress,
            secrets=secrets,
            input_limit=self.limits.input,
            timeout=3600.0,
        )

    def lay_out(self, workspace: Workspace, owner: AccountId) -> None:
        """Makes it, empty: out of one that the same account left empty, where there is one. Raises OSError."""
        spare = self._spare.get(owner)
        while spare:
            if (old := spare.pop()).pass_on(workspace):
                return
            self._swept.put_nowait(old)
        workspace.create()

    def sweep(self, workspace: Workspace, owner: AccountId | None = None) -> None:
        """Deletes it some time: slowly, one after the other (hot path, section 1); some are kept for their account."""
        if owner is not None and len(spare := self._spare.setdefault(owner, [])) < _SPARE:
            spare.append(workspace)
        else:
            self._swept.put_nowait(workspace)

    async def sweeping(self) -> None:
        """Until cancelled."""
        while True:
            batch = [await self._swept.get()]
            while not self._swept.empty() and len(batch) < _SWEPT_AT_ONCE:
                batch.append(self._swept.get_nowait())
            for error in await asyncio.to_thread(_remove, batch):
                self.log.warning("a workspace could not be deleted", why=str(error))
            await asyncio.sleep(_REST)

    def leftovers(self, live: set[str]) -> None:
        """Workspaces that no live attempt has are deleted, and what an engine noted beside them."""
        for entry in self._work.iterdir():
            name = entry.name.partition(".")[0]
            if not name or name in live:
                continue
            if entry.name in (name, f"{name}.log"):
                self.sweep(Workspace(self._work / name, self._work / f"{name}.log"))
            elif entry.suffix == ".status":
                entry.unlink(missing_ok=True)

    # --- tasks

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs beside the others; what it did not expect is logged, not lost."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return task

    def keep(self, duty: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Runs a duty for as long as the runner does; one that fails is logged, and begun again after a pause."""

        async def kept() -> None:
            pause = _FIRST_PAUSE
            while not self.stopping:
                try:
                    await duty()
                except Exception:  # one job's fault must not end the service of all the others
                    self.log.exception("a duty failed and begins again", duty=duty.__qualname__, pause=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LAST_PAUSE)

        self.spawn(kept())

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.log.error("a duty failed", exc_info=task.exception())

    async def stop(self) -> None:
        """Ends every task."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _remove(workspaces: Sequence[Workspace]) -> list[OSError]:
    """Deletes each of them; what went wrong with some."""
    errors = []
    for workspace in workspaces:
        try:
            workspace.remove_now()
        except OSError as error:
            errors.append(error)
    return errors
