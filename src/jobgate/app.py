"""The single place where protocols meet implementations."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import resource
import signal
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
import uvloop

from jobgate.auth.auth import Authenticator, Rates
from jobgate.auth.folder import held
from jobgate.auth.links import Links
from jobgate.auth.rotate import KEY, in_force, settle
from jobgate.auth.seal import Seal, fingerprint, server_key
from jobgate.config import Environment, Settings
from jobgate.dialects import DIALECTS, load
from jobgate.dialects.dialect import Setup
from jobgate.dialects.native.notices import wording
from jobgate.engines.local.run import LocalEngine, LocalSettings
from jobgate.files.disk import Disk
from jobgate.files.origins import Origins
from jobgate.files.partial import Partials
from jobgate.model.account import SEALED, Account, Credential, Kind, Principal, Signature
from jobgate.model.environment import ComputeEnvironment
from jobgate.model.errors import Invalid, Unavailable
from jobgate.model.ids import AccountId, EnvironmentName, NodeName
from jobgate.model.operations import Request, Submit
from jobgate.model.outcomes import Outcome, Submitted
from jobgate.model.resources import Gpu, Network, Resources
from jobgate.net.addresses import FORBIDDEN, networks
from jobgate.net.egress import Egress, EgressSettings
from jobgate.operations.context import Context
from jobgate.operations.handle import handle
from jobgate.operations.signers import signers
from jobgate.operations.submit import submit
from jobgate.runner.reaper import DAY, Retention
from jobgate.runner.runner import Runner
from jobgate.server.asgi import serve as serve_http
from jobgate.server.front import Front
from jobgate.server.listening import check_listening
from jobgate.server.table import Mount
from jobgate.store.feed import Feed
from jobgate.store.spare import Spare
from jobgate.store.sqlite import SqliteStore, migrate
from jobgate.store.store import database_path

_TURN: Final = 0.001
"""Seconds that a thread keeps the interpreter from others: a large request that is read beside the loop holds up single
ones by so much at each of their steps. Five times as much is usual."""
_FILES: Final = 65_536
_UNBOUNDED: Final = 1 << 62
_log = structlog.get_logger("jobgate")


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
    """The data folder, made when there is none. Raises Unavailable (`data-unusable`) when it cannot be used."""
    data = Path(settings.server.data).resolve()
    try:
        data.mkdir(parents=True, exist_ok=True)
        (data / "launcher").mkdir(exist_ok=True)
        for directory in (data, data / "launcher"):
            directory.chmod(0o711)  # a slot's own user passes through to its workspace, and sees no name in here
    except OSError as error:
        raise Unavailable(f"the data folder {data} cannot be used: {error.strerror}", code="data-unusable") from error
    return data


async def start(settings: Settings) -> Gateway:
    """Everything but the listening. Raises JobgateError when a part cannot be had."""
    data = data_folder(settings)
    path = database_path(data, settings.server.database)
    spare = Spare(path.with_suffix(".spare"))  # the first: all that follows may need it
    migrate(path)
    store = SqliteStore(path, node=0, spare=spare)
    try:
        return await _start(settings, data, store)
    except BaseException:
        await store.close()  # its thread answers to a loop that ends now
        raise


async def _start(settings: Settings, data: Path, store: SqliteStore) -> Gateway:
    known = await in_force(store)
    settle(data, known)
    key = server_key(data / KEY)
    if known is not None and fingerprint(key) != known:
        _log.warning("the server's key is not the one that the database was last sealed with; older secrets stay shut")
    seal, clock = Seal(key), time.time
    feed, egress = Feed(), _egress(settings)
    store.listen(feed)
    store.listen_batches(feed.touched)
    storage = Disk(data / "blobs", reserve=settings.storage.reserve)
    partials = Partials(data / "blobs" / "partial", storage)
    catalogue = settings.catalogue
    owners = await store.read(lambda tx: {account.name: account for account in tx.accounts.all()})
    places = []
    for name, section in settings.environments.items():
        _owner(section.owner, owners, f"environments.{name}.owner")  # before a launcher is started
    for name, section in settings.environments.items():
        engine = _engine(name, section, data, settings)
        await engine.open()
        places.append((_environment(name, section, owners, engine, storage), engine))
    runner = Runner(
        node=NodeName("node-0"),
        store=store,
        storage=Disk(data / "blobs"),  # what runs may use the reserve for its outputs: it refuses new work only
        egress=egress,
        work=data / "work",
        places=places,
        clock=clock,
        opener=seal.open,
        catalogue=catalogue,
        limits=settings.limits,
        retention=Retention(files=settings.retention.files, records=settings.retention.records),
        wording=wording,
        submit=lambda owner, operation: _submit_for(context, owner, operation),
        fenced=lambda: signal.raise_signal(signal.SIGTERM),
        chores=(lambda now: partials.expire(now - DAY),),
        full=lambda: storage.free() <= 0,
    )
    store.calm = lambda: runner.calm
    context = Context(
        store=store,
        feed=feed,
        blobs=storage,
        parts=partials,
        origins=Origins(
            storage,
            egress,
            directories=[Path(one) for one in settings.storage.host_files],
            never=data,
            limit=settings.limits.input,
        ),
        logs=runner,
        snapshot=runner.snapshot,
        past=runner.past,
        clock=clock,
        seal=seal.close,
        environments=tuple(environment for environment, _ in places),
        catalogue=catalogue,
        limits=settings.limits,
    )
    front = _front(settings, context, storage, Links(key, clock), seal)
    await runner.start()  # the last: a start that fails has touched no job
    return Gateway(settings, data, store, feed, runner, tuple(engine for _, engine in places), front, storage, context)


async def _submit_for(context: Context, owner: AccountId, operation: Submit) -> Submitted:
    """A submit that the gateway makes for an account. Raises what `submit` does.

    The account's number of live jobs does not bound it: a job that waits for its validator is live, and would wait for
    ever in an account that has as many as it may.
    """
    account = await context.store.read(lambda tx: tx.accounts.get(tx.accounts.heir(owner)))
    quota = msgspec.structs.replace(account.quota, live_jobs=_UNBOUNDED)
    principal = Principal(account=account.id, name=account.name, weight=account.weight, quota=quota)
    return await submit(context, principal, operation)


def _egress(settings: Settings) -> Egress:
    path = settings.egress.ca_file
    try:
        ssl.create_default_context(cafile=path or None)
    except OSError as error:  # an SSLError too: no certificate in it
        raise Invalid(f"{path} cannot be used: {error.strerror or error}", field="egress.ca_file") from error
    return Egress(EgressSettings(**msgspec.structs.asdict(settings.egress)))


def _front(settings: Settings, context: Context, storage: Disk, links: Links, seal: Seal) -> Front:
    async def ask(request: Request) -> Outcome:
        return await handle(context, request)

    async def look_up(kind: Kind, value: bytes) -> tuple[Credential, Account] | None:
        return await context.store.read(lambda tx: tx.accounts.credential(kind, value))

    async def candidates(signature: Signature) -> Sequence[tuple[Credential, Account, str]]:
        kept = await signers(context, signature)
        return [(credential, account, seal.open(credential.id, SEALED, value)) for credential, account, value in kept]

    rates = Rates(settings.limits.calls, time.monotonic)
    return Front(
        list(_mounts(settings, context, links)),
        authenticate=Authenticator(look_up, candidates, context.clock),
        admit=rates.admit,
        handle=ask,
        storage=storage,
        verify=links.verify,
        ready=lambda: None if storage.free() > 0 else "the storage is full",
        clock=context.clock,
    )


def _mounts(settings: Settings, context: Context, links: Links) -> Iterator[Mount]:
    for name, (usual, _) in DIALECTS.items():
        section: dict[str, Any] = dict(settings.dialects.get(name, {}))
        if not section.pop("enabled", True):
            continue
        for place in _places(name, section, usual):
            setup = Setup(
                prefix=place.path,
                variant=place.variant,
                catalogue=context.catalogue,
                pulls=context.pulls,
                settings=section,
                templates=_templates(name, section),
                sign=links,
                limits=context.limits,
            )
            yield Mount(place.path, load(name, setup))


class _Place(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of a dialect's mounts."""

    path: str
    variant: str = ""


def _places(name: str, section: dict[str, Any], usual: str) -> list[_Place]:
    """Where a dialect is spoken: at its prefix, or at each of its mounts."""
    mounts, prefix = section.pop("mounts", None), section.pop("prefix", None)
    if mounts is not None and prefix is not None:
        raise Invalid("a dialect has a prefix or mounts, not both", field=f"dialects.{name}.mounts")
    try:
        places = msgspec.convert([{"path": prefix or usual}] if mounts is None else mounts, list[_Place])
    except msgspec.ValidationError as error:
        raise Invalid(
            f"mounts are tables of a path, and perhaps a variant: {error}", field=f"dialects.{name}.mounts"
        ) from error
    return [_Place(path=place.path.rstrip("/"), variant=place.variant) for place in places]


def _templates(name: str, section: Mapping[str, object]) -> dict[str, bytes]:
    """The files in the directory that a dialect's section calls its templates."""
    folder = section.get("templates")
    if not folder:
        return {}
    try:
        return {path.name: path.read_bytes() for path in sorted(Path(str(folder)).iterdir()) if path.is_file()}
    except OSError as error:
        told = f"{folder} cannot be read: {error.strerror}"
        raise Invalid(told, field=f"dialects.{name}.templates") from error


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
    "host": frozenset(Network),
}


def _owner(name: str, accounts: Mapping[str, Account], field: str) -> AccountId | None:
    """The account of that name, or the one it was merged into."""
    if not name:
        return None
    if name not in accounts:
        raise Invalid(f"there is no account {name!r}", field=field)
    by_id = {account.id: account for account in accounts.values()}
    found = accounts[name]
    while found.merged is not None:
        found = by_id[found.merged]
    return found.id


def _environment(
    name: str, section: Environment, owners: Mapping[str, Account], engine: LocalEngine, storage: Disk
) -> ComputeEnvironment:
    owner = _owner(section.owner, owners, f"environments.{name}.owner")
    if section.network == "host":
        _log.warning("jobs may ask for the host's own network, which isolates nothing", environment=name)
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
            disk=section.disk or storage.free() or storage.size(),
            gpus=tuple(Gpu(count, kind) for kind, count in section.gpus.items()),
        ),
        defaults=Resources(
            cores=section.defaults.cores,
            memory=section.defaults.memory,
            disk=section.defaults.disk,
            walltime=section.defaults.walltime,
        ),
        networks=_NETWORKS[section.network] & engine.capabilities.networks,
        owner=owner,
        labels=section.labels,
        taints=section.taints,
        rank=section.rank,
        price=section.price,
        longest_wait=section.longest_wait,
        longest_staging=section.longest_staging,
        longest_run=section.longest_run,
    )


def serve(settings: Settings, *, ready: Callable[[str], None]) -> int:
    """Serves until SIGTERM or SIGINT, then ends 0; jobs run on under their launcher unless `server.stop_jobs`.

    Raises JobgateError, before any job is touched, when the port, the certificate, the data folder or the settings
    cannot be used.
    """
    _offered(settings)
    server = settings.server
    check_listening(server.host, server.port, server.tls_cert, server.tls_key)
    with held(data_folder(settings)):
        return _serve(settings, ready=ready)


def _offered(settings: Settings) -> None:
    """Raises Invalid for what can be configured and is not to be had yet: no key is passed over in silence."""
    role = settings.server.role
    if role != "all":
        raise Invalid(
            f"one process alone may write a SQLite database, so role {role} has nobody to share the work with; "
            "halves need PostgreSQL, which this version does not speak",
            code="role",
        )
    if settings.storage.url:
        raise Invalid("files are kept in the data folder; this version speaks to no object store", field="storage.url")
    unknown = set(settings.dialects) - set(DIALECTS)
    if unknown:
        raise Invalid(f"there is no dialect {min(unknown)!r}; there are: {', '.join(DIALECTS)}", field="dialects")


def _serve(settings: Settings, *, ready: Callable[[str], None]) -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, _FILES)), hard))
    sys.setswitchinterval(_TURN)

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

        try:
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
        finally:
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
    _log.warning("no sandbox: jobs are plain processes of this user")
