"""Batches: one, with its jobs counted."""

from __future__ import annotations

from typing import Final

from jobgate.dialects.dialect import Ask, Call, Reply
from jobgate.dialects.native.asked import Waiting, query, wait
from jobgate.dialects.native.verb import Verb
from jobgate.dialects.native.views import answer, batch_view
from jobgate.dialects.native.wire import BatchView
from jobgate.model.ids import BatchId, batch_id
from jobgate.model.operations import Count, Until
from jobgate.model.outcomes import Counted


def id_of(call: Call) -> BatchId:
    """The batch that the address names. Raises NotFound."""
    return batch_id(call.path.get("id", ""))


def _batch(call: Call) -> Ask:
    asked = query(call, Waiting)
    return Ask(operation=Count(id_of(call)), until=Until.ENDED, within=wait(asked))


def _shown(prefix: str, call: Call, outcome: Counted) -> Reply:
    del prefix, call
    return answer(batch_view(outcome.batch, outcome.counts))


VERBS: Final = (
    Verb(
        name="batch",
        method="GET",
        path="/batches/{id}",
        summary="A batch; with ?wait=SECONDS when all its jobs have ended",
        subject="batches",
        query=Waiting,
        gives={200: BatchView},
        decode=_batch,
        encode=_shown,
    ),
)
