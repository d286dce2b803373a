"""Past runs, as far as estimates rest on them: of the same program of the same account first, then of wider kinds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from jobgate.model.ids import AccountId, EnvironmentName
from jobgate.model.job import AppRef, Argv, ImageRef, JobSpec

ANYONE: Final = AccountId(0)
"""In the place of an account: runs of all of them."""
ENOUGH: Final = 5
"""Past runs of a kind from which a wider kind is not asked."""
FADES: Final = 0.98
"""What a run counts when one more has ended: half as much after 34 of them."""
_SCRIPTS: Final = (".py", ".sh", ".R", ".r", ".jl", ".pl", ".rb", ".js", ".m", ".lua")
_LONGEST: Final = 120
"""Characters of a program's name that tell it from others."""


class Kind(msgspec.Struct, frozen=True, gc=False):
    """Runs that are thought to be like each other."""

    environment: EnvironmentName
    owner: AccountId = ANYONE
    program: str = ""
    """Empty: whatever ran."""

    def wider(self) -> Iterator[Kind]:
        """This kind, then those that take it in."""
        yield self
        if self.program:
            yield Kind(self.environment, self.owner)
        if self.owner != ANYONE:
            yield Kind(self.environment)


class Pace(msgspec.Struct, frozen=True, gc=False):
    """What runs got done that said how many operations they take; older ones count less and less."""

    operations: float = 0.0
    seconds: float = 0.0
    runs: float = 0.0

    @property
    def speed(self) -> float:
        """Floating-point operations a second, of one slot; 0 when nothing was measured."""
        return self.operations / self.seconds if self.seconds > 0 else 0.0

    def after(self, operations: float, seconds: float) -> Pace:
        """With one more run."""
        return Pace(self.operations * FADES + operations, self.seconds * FADES + seconds, self.runs * FADES + 1.0)


class Past(msgspec.Struct, frozen=True):
    """The last runs of one kind, the newest last."""

    ran: tuple[float, ...] = ()
    """Seconds from start to end."""
    lags: tuple[float, ...] = ()
    """Seconds from submit to start, of those that found a slot free: what a start takes when nothing is before it."""
    pace: Pace = Pace()


def program(spec: JobSpec) -> str:
    """What runs like it are known by: the app or image, the program, and the script that it is given."""
    step = spec.steps[0]
    match step.program:
        case AppRef(name=name) | ImageRef(name=name):
            told = f"{name}:"
        case _:
            told = ""
    if isinstance(step.command, Argv):
        first, *rest = step.command.words
        script = next((word for word in rest if word.endswith(_SCRIPTS)), "")
        told += f"{first} {script}".rstrip()
    else:
        told += step.command.text.partition("\n")[0]
    return told[:_LONGEST]
