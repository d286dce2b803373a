"""How fast this server gets work done, in floating-point operations a second."""

from __future__ import annotations

from jobgate.model.credit import USUAL_SPEED
from jobgate.model.history import Kind
from jobgate.operations.context import Context


def throughput(context: Context) -> float:
    """Of all its slots together, as past runs tell; `USUAL_SPEED` in all while none does."""
    measured = (context.past(Kind(place.name)).pace.speed * place.slots for place in context.environments)
    return sum(measured) or USUAL_SPEED
