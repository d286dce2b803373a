"""What can come of looking at the environments and at the whole server; `outcomes.py` has all the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from msgspec.structs import replace

from jobgate.model.environment import ComputeEnvironment
from jobgate.model.history import Kind
from jobgate.model.ids import AccountId, EnvironmentName
from jobgate.model.job import Origin
from jobgate.model.operations import Environments, Oversee
from jobgate.model.outcomes import Outcome, Overseen, Part, Places, PlaceView
from jobgate.model.queue import Reason, Room
from jobgate.model.resources import GIB, Gpu, Resources
from jobgate.model.sight import Down, Running, Sight

OWNER: Final = AccountId(7)
NOW: Final = 1_760_000_000.0


def _places(origin: Origin) -> Iterator[Outcome]:
    del origin
    room = Resources(cores=2.0, memory=GIB, disk=GIB, gpus=(Gpu(1),))
    place = ComputeEnvironment(name=EnvironmentName("local"), engine="local", room=room, slots=2, owner=OWNER)
    kind = Kind(place.name, OWNER, "true")
    sight = Sight(room=Room(room, room, 1), running=(Running(kind, OWNER, room, NOW - 1.0),))
    ill = replace(sight, down=Down(NOW - 60.0, "the launcher does not answer"))
    yield Places(
        places=tuple(PlaceView(environment=place, sight=one, queued=3, oldest=NOW) for one in (sight, ill, None)),
        account=OWNER,
    )
    yield Places(places=(), account=OWNER)


def _overseen(origin: Origin) -> Iterator[Outcome]:
    del origin
    part = Part(account=OWNER, name="lab", running=1, queued=2, used=0.5, due=1.0, waits=Reason.BUSY)
    whole = Overseen(
        since=NOW - 9.0,
        starts=2.5,
        slots=2,
        free=1,
        running=1,
        queued=2,
        oldest=NOW,
        behind=0.25,
        parts=(part,),
        more=3,
    )
    yield whole
    yield replace(whole, oldest=None, parts=(replace(part, waits=None),), more=0)


SAMPLES: Final[Mapping[type[Any], Callable[[Origin], Iterator[Outcome]]]] = {
    Environments: _places,
    Oversee: _overseen,
}
