"""Load: how much of everybody's waits and runs."""

from __future__ import annotations

from jobgate.model.account import Principal
from jobgate.model.operations import Load
from jobgate.model.outcomes import Loaded
from jobgate.operations.context import Context


async def load(context: Context, principal: Principal, operation: Load) -> Loaded:
    """Two numbers, the same for everyone."""
    del principal, operation
    waiting, running = await context.store.read(lambda tx: tx.jobs.load())
    return Loaded(waiting=waiting, running=running)
