"""What a submit would come to, without submitting."""

from __future__ import annotations

from typing import Final

import msgspec

from jobgate.client.core import B, Core, F, J, decoded
from jobgate.client.line import Asking
from jobgate.client.options import Command, Product, SubmitOptions, Table
from jobgate.client.records import Range
from jobgate.client.submits import JSON, lone, swept
from jobgate.client.words import plain

WHAT: Final = "Not estimated."


class Amount(msgspec.Struct, frozen=True, kw_only=True):
    """A value in its unit, and the interval that holds it four times out of five."""

    value: float | None = None
    low: float | None = msgspec.field(default=None, name="from")
    high: float | None = msgspec.field(default=None, name="to")
    runs: int = 0


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What a submit would come to: seconds from now, and credits."""

    environment: str = ""
    start: Amount = Amount()
    run: Amount = Amount()
    end: Amount = Amount()
    cost: Amount = Amount()

    def __repr__(self) -> str:
        def said(amount: Amount) -> str:
            return str(Range(seconds=amount.value, low=amount.low, high=amount.high, runs=amount.runs))

        return f"<Estimate {plain(self.environment)}: start {said(self.start)}; end {said(self.end)}>"


async def estimate(
    core: Core[J, B, F], command: Command | None, values: Table | Product | int | None, options: SubmitOptions
) -> Estimate:
    """The estimate."""
    said = await lone(core, command, options) if values is None else await swept(core, command, values, options)
    body = msgspec.json.encode(said)
    answer = await core.line.call(Asking(method="POST", path="/v1/estimates", what=WHAT, body=body, headers=JSON))
    return decoded(answer.content, Estimate)
