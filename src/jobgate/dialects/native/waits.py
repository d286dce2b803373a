"""Why a job waits."""

from __future__ import annotations

from typing import Final

from jobgate.dialects.dialect import Ask, Call, Reply
from jobgate.dialects.native.verb import Verb
from jobgate.dialects.native.views import answer
from jobgate.dialects.native.wire_waits import FreeView, OfferView, StartsView, WaitsView, waits_view
from jobgate.model.errors import Conflict, NotFound
from jobgate.model.ids import job_name
from jobgate.model.operations import Find
from jobgate.model.outcomes import Found
from jobgate.model.selectors import Ids


def _waits(call: Call) -> Ask:
    return Ask(operation=Find(selector=Ids((job_name(call.path.get("id", "")),)), waits=True))


def _waits_shown(prefix: str, call: Call, outcome: Found) -> Reply:
    del prefix, call
    if not outcome.jobs:
        raise NotFound
    view = outcome.jobs[0]
    if view.waits is None:
        raise Conflict(f"this job does not wait: it is {view.job.state.value}", code="not-waiting")
    return answer(waits_view(view.waits))


VERBS: Final = (
    Verb(
        name="job-waits",
        method="GET",
        path="/jobs/{id}/waits",
        summary="Why a job waits, its place, and when it will start",
        description="Other accounts are numbers here; an operator is told their names.",
        subject="jobs",
        gives={200: WaitsView},
        refuses=("not-waiting",),
        shown=WaitsView(
            reason="turn",
            place=3,
            text="2 jobs come first on gpu-a: 1 of its own account, 1 of other accounts",
            clears="those before it have started",
            starts=StartsView(seconds=900.0, low=480.0, high=1500.0, runs=32),
            environments=(
                OfferView(
                    name="gpu-a",
                    fits=True,
                    free=FreeView(slots=0, of=4),
                    blocks="turn",
                    text="2 jobs come first on gpu-a: 1 of its own account, 1 of other accounts",
                ),
            ),
        ),
        decode=_waits,
        encode=_waits_shown,
    ),
)
