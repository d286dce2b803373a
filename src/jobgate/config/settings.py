"""What can be configured. The reference page is drawn from these structs, their defaults and their docstrings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from jobgate.config.apps import AppEntry, app_of
from jobgate.config.kinds import DAY, Amount, Count, Duration, Name, NetworkText, PlaceText, Size, WebAddress
from jobgate.model.catalogue import Catalogue, Image
from jobgate.model.limits import Limits
from jobgate.model.resources import GIB, MIB


class Server(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where it listens and keeps its data. Paths are taken from the directory the server is started in."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    """0: a free one, which the ready line names."""
    public_url: WebAddress = ""
    """What clients call this server, where it is not `http://HOST:PORT`. No dialect of this version asks for it."""
    trusted_proxies: tuple[NetworkText, ...] = ()
    """Networks of front servers, whose word on the caller's address and scheme is taken."""
    tls_cert: str = ""
    """File with the certificate and its chain; together with `tls_key`."""
    tls_key: str = ""
    """File with the certificate's private key."""
    data: str = "jobgate-data"
    """Directory of the database, the stored files and the server's key."""
    database: str = ""
    """Address of the database; empty: SQLite in the data directory."""
    role: Literal["all", "server", "runner"] = "all"
    """`server` answers requests, `runner` runs jobs, `all` does both. On SQLite one process does both: only `all`."""
    stop_jobs: bool = False
    """Jobs that run are ended when the server stops; otherwise they go on, and its next start finds them."""
    log: Literal["auto", "json", "text"] = "auto"
    """Form of the log on standard error; `auto`: text on a terminal, JSON elsewhere."""

    def __repr__(self) -> str:
        return f"Server({self.host}:{self.port})"  # the database's address may hold a password


class Storage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where files are kept."""

    url: str = ""
    """Address of an object store; empty: the data directory, the only choice of this version."""
    reserve: Size = GIB
    """Free space of the data directory below which new work is refused."""
    host_files: tuple[str, ...] = ()
    """Directories of this machine whose files jobs may name as inputs; every account may then read all that this
    server can read below them. Relative names are looked up in the first."""

    def __repr__(self) -> str:
        return f"Storage(reserve={self.reserve})"  # the address may hold a key


class Egress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the server calls addresses that others gave it: inputs, webhooks."""

    allow: tuple[NetworkText, ...] = ()
    """Networks reached although they are not public."""
    hosts: Mapping[str, PlaceText] = {}
    """Name to address: connected to as it stands, whatever network it is in."""
    max_redirects: Count = 5
    """Redirects followed for one request."""
    connect_timeout: Duration = 5.0
    """For a connection to each address of a name."""
    stall_timeout: Duration = 30.0
    """Longest time without a byte."""
    timeout: Duration = 300.0
    """For the whole of a request, unless its purpose has a time of its own."""
    user_agent: str = "jobgate"
    """What the server calls itself."""
    ca_file: str = ""
    """File with certificates of authorities trusted besides the system's."""


class Defaults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a job gets here where it does not say."""

    cores: Amount = 1.0
    """Processors; fractions are allowed."""
    memory: Size = GIB
    """Memory."""
    disk: Size = 512 * MIB
    """Workspace."""
    walltime: Duration = DAY
    """Longest run of one attempt."""


class Environment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A place where jobs run. Without any, there is one called `local`."""

    engine: Literal["local"] = "local"
    """What runs the jobs."""
    slots: Count = 0
    """Jobs at once; 0: as many as the machine has processors."""
    cores: Amount = 0.0
    """Processors for all its jobs together; 0: what the machine has."""
    memory: Size = 0
    """Memory for all its jobs together; 0: what the machine has."""
    disk: Size = 0
    """Workspace for all its jobs together; 0: what the data directory has."""
    gpus: Mapping[str, Count] = {}
    """Kind of GPU to the number of them."""
    network: Literal["none", "outbound", "host"] = "outbound"
    """The most a job may ask for: nothing, public addresses, or this machine's own network, which isolates nothing."""
    defaults: Defaults = Defaults()
    owner: str = ""
    """Name of the only account that may use it; empty: every account may."""
    labels: frozenset[str] = frozenset()
    """What it offers; a job may require them."""
    taints: frozenset[str] = frozenset()
    """What a job must tolerate to run here."""
    rank: int = 0
    """Environments of a higher rank are filled first."""
    price: Amount = 0.0
    """Credits an hour for each job."""
    longest_wait: Duration = 7 * DAY
    """A job that has waited longer fails."""
    longest_staging: Duration = 3_600.0
    """Longest time to bring in a job's inputs."""
    longest_run: Duration = 7 * DAY
    """No job's wall time is longer."""
    sandbox: Literal["auto", "bubblewrap", "none"] = "auto"
    """`auto`: bubblewrap where it is installed; `bubblewrap`: refuse to start without it; `none`: plain processes."""
    log_cap: Size = 10 * MIB
    """Bytes of output kept of one job; of more the middle is cut."""
    grace: Duration = 5.0
    """Between asking a job to end and ending it."""
    binds: tuple[str, ...] = ()
    """Directories of this machine that every job may read."""
    base_uid: Annotated[int, Meta(ge=1_000)] = 200_000
    """User number of the first slot when the server runs as root; each slot has its own."""
    cgroup: str = "jobgate"
    """Name of the control group that holds the jobs."""


class ImageEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an image's name means on an engine that fetches none."""

    root: str = ""
    """An unpacked root directory; empty: the machine's own tools, in the sandbox."""


class Retention(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long what is over is kept."""

    files: Duration = 30 * DAY
    """Outputs and logs, after their job's end."""
    records: Duration = 90 * DAY
    """Jobs and their events, after their end."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    server: Server = Server()
    storage: Storage = Storage()
    egress: Egress = Egress()
    dialects: Mapping[Name, Mapping[str, object]] = {}
    """One section for each API; its keys are the dialect's own, and are read when the server starts."""
    environments: Mapping[Name, Environment] = msgspec.field(default_factory=lambda: {"local": Environment()})
    apps: Mapping[str, AppEntry] = {}
    images: Mapping[str, ImageEntry] = {}
    limits: Limits = Limits()
    retention: Retention = Retention()

    def __repr__(self) -> str:
        return f"Settings({self.server})"  # dialects' sections and apps' variables may hold secrets

    @property
    def catalogue(self) -> Catalogue:
        """The apps and images, as the model names them. Raises Invalid for what `read.check` finds a fault."""
        apps = {name: app_of(name, entry) for name, entry in self.apps.items()}
        images = {name: Image(name=name, root=entry.root) for name, entry in self.images.items()}
        return Catalogue(apps, images)
