"""Estimates: a submit that is asked about instead of made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from jobgate.dialects.dialect import Ask, Body, Call, Reply
from jobgate.dialects.native import submit
from jobgate.dialects.native.verb import Verb
from jobgate.dialects.native.views import answer
from jobgate.dialects.native.wire import BatchDraft, LoneDraft
from jobgate.dialects.native.wire_waits import MILLISECONDS
from jobgate.model.account import Scope
from jobgate.model.catalogue import Catalogue
from jobgate.model.estimate import Span
from jobgate.model.operations import Estimate, Submit
from jobgate.model.outcomes import Estimated

_MICRO: Final = 6
"""Digits after the point, of credits."""


class EstimateView(Struct, frozen=True, kw_only=True):
    """A value and the interval that should hold it four times in five; left out where nothing can be said."""

    value: float | UnsetType = UNSET
    low: float | UnsetType = msgspec.field(name="from", default=UNSET)
    high: float | UnsetType = msgspec.field(name="to", default=UNSET)
    runs: int
    """Past runs that it rests on."""


class EstimatedView(Struct, frozen=True, kw_only=True):
    """What is expected of a submit, if it came now."""

    environment: str
    start: EstimateView
    """Seconds from now until the first job starts."""
    run: EstimateView
    """Seconds that one job runs."""
    end: EstimateView
    """Seconds from now until the last job is over."""
    cost: EstimateView
    """Credits."""


def _estimate_view(span: Span | None, digits: int = MILLISECONDS) -> EstimateView:
    if span is None:
        return EstimateView(runs=0)
    return EstimateView(
        value=round(span.value, digits), low=round(span.low, digits), high=round(span.high, digits), runs=span.runs
    )


# --- the verb


def _reader(limit: int, most: int, catalogue: Catalogue) -> Callable[[Call], Ask]:
    """Reads a body as the submit would be read. Raises Invalid as that would."""
    decoders = {verb.name: verb.decode for verb in submit.verbs(limit, most, limit, catalogue)}

    def estimate(call: Call) -> Ask:
        decode = decoders["batch-submit" if _is_batch(call.body) else "job-submit"]
        assert decode is not None  # noqa: S101  # it is no page
        asked = decode(call)
        assert isinstance(asked.operation, Submit)  # noqa: S101  # what submits decode to
        return Ask(operation=Estimate(groups=asked.operation.groups, priority=asked.operation.priority))

    return estimate


class _Shape(Struct, frozen=True):
    template: msgspec.Raw | UnsetType = UNSET
    jobs: msgspec.Raw | UnsetType = UNSET
    open: msgspec.Raw | UnsetType = UNSET


def _is_batch(body: bytes) -> bool:
    try:
        shape = msgspec.json.decode(body, type=_Shape)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
    return any(one is not UNSET for one in (shape.template, shape.jobs, shape.open))


def _estimated(prefix: str, call: Call, outcome: Estimated) -> Reply:
    del prefix, call
    return answer(
        EstimatedView(
            environment=outcome.environment,
            start=_estimate_view(outcome.start),
            run=_estimate_view(outcome.run),
            end=_estimate_view(outcome.end),
            cost=_estimate_view(outcome.cost, _MICRO),
        )
    )


def verbs(limit: int, most: int, catalogue: Catalogue) -> tuple[Verb, ...]:
    """With so many bytes of a body at most, and so many jobs of a batch."""
    return (
        Verb(
            name="estimate",
            method="POST",
            path="/estimates",
            summary="When a submit would start and end, and what it would cost; nothing is made",
            description="The body is that of a submit, of a job or of a batch.",
            subject="estimates",
            scope=Scope.READ,
            body=Body.WHOLE,
            limit=limit,
            early=True,
            takes=LoneDraft | BatchDraft,
            gives={200: EstimatedView},
            refuses=("unrunnable", "app-not-found", "licence-required", "app-not-runnable", "batch-too-large"),
            example={"template": {"command": ["sleep", "2"]}, "count": 100},
            examples={"One job": {"command": ["sleep", "2"]}},
            shown=EstimatedView(
                environment="local",
                start=EstimateView(value=0.012, low=0.004, high=0.031, runs=64),
                run=EstimateView(value=2.013, low=2.006, high=2.104, runs=64),
                end=EstimateView(value=100.7, low=100.4, high=105.3, runs=64),
                cost=EstimateView(value=0.0, low=0.0, high=0.0, runs=64),
            ),
            decode=_reader(limit, most, catalogue),
            encode=_estimated,
        ),
    )
