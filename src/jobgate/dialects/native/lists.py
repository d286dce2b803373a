"""The conditions of a list, as its query says them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from jobgate.dialects.native.asked import WHOLE, Limit, QueryFault
from jobgate.dialects.native.lines import Pair, labels_of
from jobgate.dialects.native.states import NAMES
from jobgate.model.errors import NotFound
from jobgate.model.ids import EnvironmentName, JobId, batch_id, number, text
from jobgate.model.selectors import Where
from jobgate.model.state import JobState

LOOKS: Final = 20_000
"""Jobs looked at for one page; a page may be short, and the next goes on from there."""
_LETTER: Final = "c"
_STATES: Final = {name: state for state, name in NAMES.items()}

States = Annotated[
    tuple[
        Literal[
            "held", "queued", "staging_in", "running", "staging_out", "cancelling", "succeeded", "failed", "cancelled"
        ],
        ...,
    ],
    Meta(description="In one of these states."),
]
Labels = Annotated[tuple[Pair, ...], Meta(description="KEY=VALUE; of several all must be there.", extra=WHOLE)]
Since = Annotated[datetime, Meta(tz=True, description="Made then or later (RFC 3339).")]
Before = Annotated[datetime, Meta(tz=True, description="Made earlier (RFC 3339).")]
After = Annotated[str, Meta(description="From `next` of the page before.")]


class Conditions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every list is chosen by."""

    state: States = ()
    label: Labels = ()
    app: Annotated[str, Meta(description="The app, or the image where there is none.")] | None = None
    name: Annotated[str, Meta(description="The batch's name.")] | None = None
    since: Since | None = None
    before: Before | None = None
    limit: Limit = 100
    after: After | None = None


class JobConditions(Conditions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What jobs are chosen by, and how much of each is shown."""

    environment: (
        Annotated[str, Meta(description="Where the last attempt ran; before there is one, where alone it may run.")]
        | None
    ) = None
    expand: Annotated[
        tuple[Literal["attempts", "waits", "spec", "outputs", "draft"], ...],
        Meta(description="What is shown of each beside its state."),
    ] = ()


class AllJobs(JobConditions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Jobs of the whole account, or of one batch."""

    batch: Annotated[str, Meta(description="Of this batch only.")] | None = None


def where(asked: JobConditions, batch: str | None, *, ascending: bool = False) -> Where:
    """The jobs meant. Raises NotFound for a text that is no batch, and QueryFault."""
    return Where(
        states=states(asked.state),
        labels=labels(asked.label),
        app=asked.app,
        name=asked.name,
        environment=None if asked.environment is None else EnvironmentName(asked.environment),
        batch=None if batch is None else batch_id(batch),
        needs_batch=batch is not None,
        since=None if asked.since is None else asked.since.timestamp(),
        before=None if asked.before is None else asked.before.timestamp(),
        after=None if asked.after is None else JobId(after(asked.after)),
        limit=asked.limit,
        ascending=ascending,
        looks=LOOKS,
    )


def labels(given: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Conditions KEY=VALUE; two of one key are both asked for. Raises QueryFault."""
    return tuple(pair for label in given for pair in labels_of((label,)).items())


def states(names: tuple[str, ...]) -> frozenset[JobState]:
    """The model's states of these names."""
    return frozenset(_STATES[name] for name in names)


def after(cursor: str) -> int:
    """The number in a cursor. Raises QueryFault."""
    try:
        return number(_LETTER, cursor)
    except NotFound:
        fault = "after: this is no cursor; take it from `next` of the page before"
        raise QueryFault(fault, code="invalid-cursor", field="after") from None


def cursor(last: int | None) -> str | None:
    """The cursor that goes on after this number."""
    return None if last is None else text(_LETTER, last)
