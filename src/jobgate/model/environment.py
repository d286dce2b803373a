"""ComputeEnvironment: a place that offers an engine, its limits, price and owner [host, pool, instance type]."""

from __future__ import annotations

from typing import Final

import msgspec

from jobgate.model.errors import Unrunnable
from jobgate.model.ids import AccountId, EnvironmentName
from jobgate.model.job import JobSpec
from jobgate.model.resources import GIB, MIB, Network, Resources

DEFAULTS: Final = Resources(cores=1.0, memory=1 * GIB, disk=512 * MIB, walltime=86_400.0)


class ComputeEnvironment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One place where jobs run."""

    name: EnvironmentName
    engine: str
    room: Resources
    """What all its jobs together may have."""
    slots: int
    """Jobs at once, whatever they ask for."""
    defaults: Resources = DEFAULTS
    """For what a request leaves open."""
    networks: frozenset[Network] = frozenset({Network.NONE})
    images: bool = False
    owner: AccountId | None = None
    """The account that brought it; None: the operator."""
    labels: frozenset[str] = frozenset()
    taints: frozenset[str] = frozenset()
    rank: int = 0
    """The operator's class: environments of a higher one are filled first."""
    price: float = 0.0
    """Credits an hour for each job."""
    longest_wait: float = 7 * 86_400.0
    longest_staging: float = 3_600.0
    longest_run: float = 7 * 86_400.0

    def request(self, spec: JobSpec) -> Resources:
        """The request of `spec` with the defaults of this place filled in; wall time never over its longest."""
        asked, default = spec.resources, self.defaults
        return msgspec.structs.replace(
            asked,
            cores=asked.cores or min(default.cores, self.room.cores),
            memory=asked.memory or min(default.memory, self.room.memory),
            disk=asked.disk or min(default.disk, self.room.disk),
            walltime=min(asked.walltime or default.walltime or self.longest_run, self.longest_run),
        )


def refusal(environment: ComputeEnvironment, spec: JobSpec, owner: AccountId) -> str | None:
    """Why this place can never run the job, in words; None when it can."""
    place, asked = spec.place, spec.resources
    if place.environment is not None and place.environment != environment.name:
        return f"only {place.environment} is asked for"
    if environment.owner is not None and environment.owner != owner:
        return "it belongs to another account"
    if place.own and environment.owner != owner:
        return "only the account's own environments are asked for"
    if missing := place.requires - environment.labels:
        return f"it lacks the label {min(missing)}"
    if taints := environment.taints - place.tolerates:
        return f"it is reserved by the taint {min(taints)}"
    if asked.network not in environment.networks:
        return f"it offers no network {asked.network.value}"
    if not environment.request(spec).fits(environment.room):
        return _lacks(environment.request(spec), environment.room)
    return None


def _lacks(asked: Resources, room: Resources) -> str:
    """What a place has too little of."""
    gpus, there = (sum(gpu.count for gpu in part.gpus) for part in (asked, room))
    if gpus > there:
        return f"it has {there or 'no'} GPUs, and {gpus} are asked for"
    if asked.cores > room.cores:
        return f"it has {room.cores:g} cores, and {asked.cores:g} are asked for"
    what, most, wish = ("memory", room.memory, asked.memory)
    if wish <= most:
        what, most, wish = ("disk", room.disk, asked.disk)
    return f"it has {most / GIB:.1f} GiB of {what}, and {wish / GIB:.1f} GiB are asked for"


def runnable(environments: tuple[ComputeEnvironment, ...], spec: JobSpec, owner: AccountId) -> None:
    """Raises Unrunnable, naming each place and its reason, unless one of them can run the job.

    A job that asks for its owner's own environments waits for one instead: it may be brought later.
    """
    if spec.place.own:
        return
    wanted = spec.place.environment
    if wanted is not None and all(one.name != wanted for one in environments):
        raise Unrunnable(f"there is no environment {wanted!r} here", field="environment")
    reasons = []
    for environment in environments:
        reason = refusal(environment, spec, owner)
        if reason is None:
            return
        reasons.append(f"{environment.name}: {reason}")
    raise Unrunnable("no environment can run this job; " + ("; ".join(reasons) or "none is configured"))
