"""The environments that jobs may run in, as they stand."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET, Struct, UnsetType

from jobgate.dialects.dialect import Ask, Call, Reply
from jobgate.dialects.native.verb import Verb
from jobgate.dialects.native.views import answer, moment
from jobgate.model.errors import NotFound
from jobgate.model.ids import AccountId
from jobgate.model.operations import Environments
from jobgate.model.outcomes import Places, PlaceView
from jobgate.model.resources import Resources

_NO_NODE: Final = "no node runs it"


class RoomView(Struct, frozen=True, kw_only=True):
    """What jobs together may have."""

    cores: float
    memory: int
    disk: int
    gpus: int


class DefaultsView(Struct, frozen=True, kw_only=True):
    """What a job gets that does not say."""

    cores: float
    memory: int
    disk: int
    walltime: float | UnsetType = UNSET
    """Seconds."""


class EnvironmentView(Struct, frozen=True, kw_only=True):
    """One environment as it stands; what has no value is left out."""

    name: str
    engine: str
    up: bool
    down_because: str | UnsetType = UNSET
    down_since: str | UnsetType = UNSET
    slots: int
    """Jobs at once."""
    free_slots: int
    room: RoomView
    free: RoomView
    defaults: DefaultsView
    networks: tuple[str, ...]
    labels: tuple[str, ...] | UnsetType = UNSET
    price: float
    """Credits an hour for each job."""
    longest_wait: float
    """Seconds; so are all of these."""
    longest_run: float
    queued: int
    """Jobs that wait and may run here, of all accounts; of very many a number that they are not fewer than."""
    oldest: str | UnsetType = UNSET
    """Since when the one of them waits that has waited longest."""
    running: int
    """Jobs that have their room here, of all accounts."""
    images: bool
    """It can fetch images that no catalogue names."""
    owned: bool
    """The asker's account brought it."""


class EnvironmentList(Struct, frozen=True, kw_only=True):
    """All there are for this account; there is no further page."""

    items: tuple[EnvironmentView, ...]
    next: None = None


def environment_view(seen: PlaceView, asker: AccountId) -> EnvironmentView:
    """The environment on the wire."""
    place, sight = seen.environment, seen.sight
    down = sight.down if sight is not None else None
    because = _NO_NODE if sight is None else down.because if down is not None else ""
    return EnvironmentView(
        name=place.name,
        engine=place.engine,
        up=not because,
        down_because=because or UNSET,
        down_since=UNSET if down is None else moment(down.since),
        slots=place.slots,
        free_slots=sight.room.slots if sight is not None else 0,
        room=_room(place.room),
        free=_room(sight.room.free if sight is not None else Resources()),
        defaults=DefaultsView(
            cores=place.defaults.cores,
            memory=place.defaults.memory,
            disk=place.defaults.disk,
            walltime=UNSET if place.defaults.walltime is None else place.defaults.walltime,
        ),
        networks=tuple(sorted(network.value for network in place.networks)),
        labels=tuple(sorted(place.labels)) or UNSET,
        price=place.price,
        longest_wait=place.longest_wait,
        longest_run=place.longest_run,
        queued=seen.queued,
        oldest=UNSET if seen.oldest is None else moment(seen.oldest),
        running=len(sight.running) if sight is not None else 0,
        images=place.images,
        owned=place.owner == asker,
    )


def _room(resources: Resources) -> RoomView:
    gpus = sum(gpu.count for gpu in resources.gpus)
    return RoomView(cores=resources.cores, memory=resources.memory, disk=resources.disk, gpus=gpus)


# --- the verbs


def _all(call: Call) -> Ask:
    del call
    return Ask(operation=Environments())


def _one(call: Call) -> Ask:
    return Ask(operation=Environments(name=call.path.get("name", "")))


def _all_shown(prefix: str, call: Call, outcome: Places) -> Reply:
    del prefix, call
    return answer(EnvironmentList(items=tuple(environment_view(seen, outcome.account) for seen in outcome.places)))


def _one_shown(prefix: str, call: Call, outcome: Places) -> Reply:
    del prefix, call
    if not outcome.places:
        raise NotFound
    return answer(environment_view(outcome.places[0], outcome.account))


_SHOWN: Final = EnvironmentView(
    name="local",
    engine="local",
    up=True,
    slots=32,
    free_slots=4,
    room=RoomView(cores=32.0, memory=128 << 30, disk=1 << 40, gpus=0),
    free=RoomView(cores=4.0, memory=16 << 30, disk=900 << 30, gpus=0),
    defaults=DefaultsView(cores=1.0, memory=1 << 30, disk=4 << 30, walltime=3600.0),
    networks=("none", "outbound"),
    price=0.0,
    longest_wait=2_592_000.0,
    longest_run=86_400.0,
    queued=356,
    oldest="2026-11-24T23:09:27.658Z",
    running=28,
    images=False,
    owned=False,
)

VERBS: Final = (
    Verb(
        name="environments",
        method="GET",
        path="/environments",
        summary="The environments that jobs may run in",
        subject="environments",
        gives={200: EnvironmentList},
        shown=EnvironmentList(items=(_SHOWN,)),
        decode=_all,
        encode=_all_shown,
    ),
    Verb(
        name="environment",
        method="GET",
        path="/environments/{name}",
        summary="One environment: what it offers, what is free, whether it is up",
        subject="environments",
        gives={200: EnvironmentView},
        shown=_SHOWN,
        decode=_one,
        encode=_one_shown,
    ),
)
