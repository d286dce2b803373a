"""The single place where protocols meet implementations."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import structlog
import uvloop

from jobgate.auth.auth import Authenticator, Rates
from jobgate.auth.keys import digest, new_value
from jobgate.auth.links import Links
from jobgate.auth.seal import Seal, server_key
from jobgate.config import Environment, Settings
from jobgate.dialects import DIALECTS, load
from jobgate.dialects.dialect import Setup
from jobgate.engines.local.run import LocalEngine, LocalSettings
from jobgate.files.disk import Disk
from jobgate.model.account import USER, Account, Credential, Kind, Scope
from jobgate.model.environment import ComputeEnvironment
from jobgate.model.errors import Invalid
from jobgate.model.ids import EnvironmentName, NodeName
from jobgate.model.operations import Outcome, Request
from jobgate.model.resources import Gpu, Network, Resources
from jobgate.net.addresses import FORBIDDEN, networks
from jobgate.net.egress import Egress, EgressSettings
from jobgate.operations.context import Context
from jobgate.operations.handle import handle
from jobgate.runner.reaper import Retention
from jobgate.runner.runner import Runner
from jobgate.server.asgi import serve as serve_http
from jobgate.server.front import Front, Mount
from jobgate.store.feed import Feed
from jobgate.store.sqlite import SqliteStore, migrate
from jobgate.store.store import database_path
from jobgate.store.transaction import Transaction

T = TypeVar("T")
_DESK: Final = 63
"""Number of the account desk among those that draw ids from one database."""
_FILES: Final = 65_536


@dataclass
class Gateway:
    """A running gateway: its parts, started."""

    settings: Settings
    data: Path
    store: SqliteStore
    feed: Feed
    runner: Runner
    engines: tuple[LocalEngine, ...]
    front: Front
    storage: Disk
    context: Context


def data_folder(settings: Settings) -> Path:
    """The data folder, made when there is none."""
    data = Path(settings.server.data).resolve()
    data.mkdir(parents=True, exist_ok=True)
    (data / "launcher").mkdir(exist_ok=True)
    for directory in (data, data / "launcher"):
        directory.chmod(0o711)  # a slot's own user passes through to its workspace, and sees no name in here
    return data


async def start(settings: Settings) -> Gateway:
    """Everything but the listening. Raises JobgateError when a part cannot be had."""
    data = data_folder(settings)
    path = database_path(data, settings.server.database)
    migrate(path)
    key = server_key(data / "secret.key")
    seal, clock = Seal(key), time.time
    store = SqliteStore(path, node=0)
    feed = Feed()
    store.listen(feed)
    storage = Disk(data / "blobs", reserve=settings.storage.reserve)
    catalogue = settings.catalogue
    owners = await store.read(lambda tx: {account.name: account for account in tx.accounts.all()})
    places = []
    for name, section in settings.environments.items():
        engine = _engine(name, section, data, settings)
        await engine.open()
        places.append((_environment(name, section, owners, engine, storage), engine))
    runner = Runner(
        node=NodeName("node-0"),
        store=store,
        storage=storage,
        egress=Egress(EgressSettings(allow=settings.egress.allow, hosts=settings.egress.hosts)),
        work=data / "work",
        places=places,
        clock=clock,
        opener=seal.open,
        catalogue=catalogue,
        limits=settings.limits,
        retention=Retention(files=settings.retention.files, records=settings.retention.records),
        fenced=lambda: signal.raise_signal(signal.SIGTERM),
    )
    store.calm = lambda: runner.calm
    context = Context(
        store=store,
        feed=feed,
        blobs=storage,
        tail=runner.tail,
        clock=clock,
        seal=seal.close,
        environments=tuple(environment for environment, _ in places),
        catalogue=catalogue,
        limits=settings.limits,
    )
    await runner.start()
    front = _front(settings, context, storage, Links(key, clock))
    return Gateway(settings, data, store, feed, runner, tuple(engine for _, engine in places), front, storage, context)


def _front(settings: Settings, context: Context, storage: Disk, links: Links) -> Front:
    async def ask(request: Request) -> Outcome:
        return await handle(context, request)

    async def look_up(kind: Kind, value: bytes) -> tuple[Credential, Account] | None:
        return await context.store.read(lambda tx: tx.accounts.credential(kind, value))

    rates = Rates(settings.limits.calls, context.clock)
    return Front(
        list(_mounts(settings, context, links)),
        authenticate=Authenticator(look_up, context.clock),
        admit=rates.admit,
        handle=ask,
        storage=storage,
        verify=links.verify,
        ready=lambda: None if storage.free() > 0 else "the storage is full",
        clock=context.clock,
    )


def _mounts(settings: Settings, context: Context, links: Links) -> Iterator[Mount]:
    unknown = set(settings.dialects) - set(DIALECTS)
    if unknown:
        raise Invalid(f"there is no dialect {min(unknown)!r}; there are: {', '.join(DIALECTS)}", field="dialects")
    for name, (usual, _) in DIALECTS.items():
        section: dict[str, Any] = dict(settings.dialects.get(name, {}))
        if not section.pop("enabled", True):
            continue
        prefix = str(section.pop("prefix", usual)).rstrip("/")
        setup = Setup(prefix=prefix, catalogue=context.catalogue, pulls=context.pulls, settings=section, sign=links)
        yield Mount(prefix, load(name, setup))


def _engine(name: str, section: Environment, data: Path, settings: Settings) -> LocalEngine:
    allowed = networks(settings.egress.allow)
    forbidden = tuple(str(n) for n in FORBIDDEN if isinstance(n, IPv4Network) and n not in allowed)
    catalogue = settings.catalogue
    return LocalEngine(
        LocalSettings(
            directory=data / "launcher" / name,
            work=data / "work",
            sandbox=section.sandbox,
            slots=section.slots or len(os.sched_getaffinity(0)),
            log_cap=section.log_cap,
            grace=section.grace,
            base_uid=section.base_uid,
            forbidden=forbidden,
            binds=tuple(sorted({*section.binds, *(path for app in catalogue.apps.values() for path in app.path)})),
            images={image.name: image.root for image in catalogue.images.values()},
            cgroup=f"{section.cgroup}-{hashlib.sha256(bytes(data)).hexdigest()[:8]}",
        )
    )


_NETWORKS: Final = {
    "none": frozenset({Network.NONE}),
    "outbound": frozenset({Network.NONE, Network.OUTBOUND}),
}


def _environment(
    name: str, section: Environment, owners: Mapping[str, Account], engine: LocalEngine, storage: Disk
) -> ComputeEnvironment:
    if section.owner and section.owner not in owners:
        raise Invalid(f"there is no account {section.owner!r}", field=f"environments.{name}.owner")
    if section.network not in _NETWORKS:
        raise Invalid("the host's own network is not offered yet", field=f"environments.{name}.network")
    processors = len(os.sched_getaffinity(0))
    slots = section.slots or processors
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return ComputeEnvironment(
        name=EnvironmentName(name),
        engine=section.engine,
        slots=slots,
        room=Resources(
            cores=section.cores or max(processors, slots),
            memory=section.memory or memory,
            disk=section.disk or storage.free(),
            gpus=tuple(Gpu(count, kind) for kind, count in section.gpus.items()),
        ),
        defaults=Resources(
            cores=section.defaults.cores,
            memory=section.defaults.memory,
            disk=section.defaults.disk,
            walltime=section.defaults.walltime,
        ),
        networks=_NETWORKS[section.network] & engine.capabilities.networks,
        owner=owners[section.owner].id if section.owner else None,
        labels=section.labels,
        taints=section.taints,
        rank=section.rank,
        price=section.price,
        longest_wait=section.longest_wait,
        longest_staging=section.longest_staging,
        longest_run=section.longest_run,
    )


def serve(settings: Settings, *, ready: Callable[[str], None]) -> int:
    """Serves until SIGTERM or SIGINT, then ends 0; jobs run on under their launcher unless `server.stop_jobs`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, _FILES)), hard))

    async def whole() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        for word in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(word, stop.set)
        gateway = await start(settings)
        if any(not engine.capabilities.isolated for engine in gateway.engines):
            _refuse_strangers(settings.server.host)
        gc.collect()
        gc.freeze()  # what is there now stays: the collector need not look at it again
        server = settings.server

        await serve_http(
            gateway.front,
            host=server.host,
            port=server.port,
            ready=ready,
            stop=stop,
            release=gateway.feed.close,
            tls_cert=Path(server.tls_cert) if server.tls_cert else None,
            tls_key=Path(server.tls_key) if server.tls_key else None,
            trusted_proxies=server.trusted_proxies,
        )
        await stop_gateway(gateway, stop_jobs=settings.server.stop_jobs)

    uvloop.run(whole())
    return 0


async def stop_gateway(gateway: Gateway, *, stop_jobs: bool = False) -> None:
    """Saves what is known and lets go."""
    gateway.feed.close()
    if stop_jobs:
        for engine in gateway.engines:
            engine.stop_jobs()
        await asyncio.sleep(0)
    await gateway.runner.stop()
    await gateway.store.close()


def _refuse_strangers(host: str) -> None:
    if host not in ("127.0.0.1", "::1", "localhost"):
        raise Invalid(
            "without the sandbox, jobs are plain processes of this user: that is for loopback only; install bubblewrap",
            field="server.host",
        )
    structlog.get_logger("jobgate").warning("no sandbox: jobs are plain processes of this user")


class AccountDesk:
    """Accounts and credentials, one question at a time; for the command line, beside a running server too."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _write(self, work: Callable[[Transaction], T]) -> T:
        async def whole() -> T:
            store = SqliteStore(self._path, node=_DESK)
            try:
                return await store.write(work)
            finally:
                await store.close()

        return asyncio.run(whole())

    def create(self, name: str) -> Account:
        """Raises Conflict when the name is taken."""
        return self._write(lambda tx: tx.accounts.create(name, time.time()))

    def find(self, name: str) -> Account:
        """Raises NotFound."""
        return self._write(lambda tx: tx.accounts.named(name))

    def accounts(self) -> list[Account]:
        """All of them."""
        return self._write(lambda tx: tx.accounts.all())

    def add(
        self, name: str, kind: Kind, value: str | None, scopes: frozenset[Scope] = USER, expires: float | None = None
    ) -> tuple[Credential, str]:
        """The credential and its value, which is not kept. Raises NotFound, Invalid, Conflict."""
        if value is None:
            if not kind.secret:
                raise Invalid(f"for {kind.value}, --value says who it is", field="value")
            value = new_value(kind)
        known = digest(kind, value)

        def work(tx: Transaction) -> Credential:
            account = tx.accounts.named(name)
            return tx.accounts.add(account.id, kind, known, time.time(), scopes, expires)

        return self._write(work), value

    def credentials(self, name: str) -> list[Credential]:
        """All that the account holds. Raises NotFound."""
        return self._write(lambda tx: tx.accounts.credentials(tx.accounts.named(name).id))

    def revoke(self, name: str, ident: int) -> None:
        """It holds no more, within a second. Raises NotFound."""

        def work(tx: Transaction) -> None:
            held = [c for c in tx.accounts.credentials(tx.accounts.named(name).id) if c.id == ident]
            if not held:
                raise Invalid(f"{name} holds no credential {ident}", field="id")
            tx.accounts.replace(msgspec.structs.replace(held[0], revoked=True))

        self._write(work)

    def block(self, name: str, *, blocked: bool) -> None:
        """All its credentials hold no more, or hold again. Raises NotFound."""
        self._write(lambda tx: tx.accounts.put(msgspec.structs.replace(tx.accounts.named(name), blocked=blocked)))


@contextmanager
def open_accounts(data: Path | None, database: str | None) -> Iterator[AccountDesk]:
    """The account desk of a data folder, made when there is none."""
    if data is not None:
        data.mkdir(parents=True, exist_ok=True)
    path = database_path(data or Path(), database or "")
    migrate(path)
    yield AccountDesk(path)
