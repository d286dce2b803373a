"""Jobs: one, as it stands."""

from __future__ import annotations

from typing import Final

from jobgate.dialects.dialect import Ask, Call, Reply
from jobgate.dialects.native.asked import Waiting, query, wait
from jobgate.dialects.native.verb import Verb
from jobgate.dialects.native.views import answer, job_view
from jobgate.dialects.native.wire import JobView
from jobgate.model.errors import NotFound
from jobgate.model.ids import JobName, job_name
from jobgate.model.operations import Find, Until
from jobgate.model.outcomes import Found
from jobgate.model.selectors import Ids


def name_of(call: Call) -> JobName:
    """The job that the address names. Raises NotFound."""
    return job_name(call.path.get("id", ""))


def _job(call: Call) -> Ask:
    asked = query(call, Waiting)
    return Ask(operation=Find(selector=Ids((name_of(call),))), until=Until.ENDED, within=wait(asked))


def _shown(prefix: str, call: Call, outcome: Found) -> Reply:
    del prefix, call
    if not outcome.jobs:
        raise NotFound
    view = outcome.jobs[0]
    return answer(job_view(view.job, view.batch, view), 200, {"ETag": f'"{view.job.version}"'})


VERBS: Final = (
    Verb(
        name="job",
        method="GET",
        path="/jobs/{id}",
        summary="A job; with ?wait=SECONDS when it has ended",
        subject="jobs",
        query=Waiting,
        gives={200: JobView},
        decode=_job,
        encode=_shown,
    ),
)
