"""Why a job waits, as JSON: of a job, and of the first waiting job of a batch."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from jobgate.model.waits import Offer, Waits

MILLISECONDS: Final = 3
"""Digits after the point."""


class FreeView(Struct, frozen=True, kw_only=True):
    """How much is free for this job, of how much."""

    slots: int
    """None where something else that the job needs is taken, however many slots are free."""
    of: int


class OfferView(Struct, frozen=True, kw_only=True):
    """One environment, as the job sees it."""

    name: str
    fits: bool
    """It could run the job some time."""
    free: FreeView
    blocks: str
    """What keeps the job from starting there now: one of the reasons."""
    text: str


class StartsView(Struct, frozen=True, kw_only=True):
    """When it starts: an estimate, and the interval that holds four times in five."""

    seconds: float
    """From now."""
    low: float = msgspec.field(name="from")
    high: float = msgspec.field(name="to")
    runs: int
    """Past runs that it rests on."""


class WaitsView(Struct, frozen=True, kw_only=True):
    """Why a job waits; what has no value is left out."""

    reason: str
    place: int | UnsetType = UNSET
    """In the queue; 1 is the next."""
    text: str
    clears: str
    """What will clear it."""
    starts: StartsView | UnsetType = UNSET
    environments: tuple[OfferView, ...]
    """Those that could run it first, and of these the one that will start it first."""


def waits_view(waits: Waits) -> WaitsView:
    """The record on the wire; for a job, and for the first waiting job of a batch."""
    starts = waits.starts
    return WaitsView(
        reason=waits.reason.value,
        place=UNSET if waits.place is None else waits.place,
        text=waits.text,
        clears=waits.clears,
        starts=UNSET
        if starts is None
        else StartsView(
            seconds=seconds(starts.value), low=seconds(starts.low), high=seconds(starts.high), runs=starts.runs
        ),
        environments=tuple(map(_offer_view, waits.environments)),
    )


def _offer_view(offer: Offer) -> OfferView:
    free = FreeView(slots=offer.free, of=offer.slots)
    return OfferView(name=offer.name, fits=offer.fits, free=free, blocks=offer.blocks.value, text=offer.text)


def seconds(value: float) -> float:
    """To the millisecond."""
    return round(value, MILLISECONDS)
