"""The server as its operator sees it: how busy it is, and whose the jobs are."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from jobgate.dialects.dialect import Ask, Call, Reply
from jobgate.dialects.native.verb import Verb
from jobgate.dialects.native.views import answer, moment
from jobgate.model.account import Scope
from jobgate.model.ids import account_text
from jobgate.model.operations import Oversee
from jobgate.model.outcomes import Overseen


class PartView(Struct, frozen=True, kw_only=True):
    """One account that has jobs."""

    account: str
    """Its name."""
    id: str
    running: int
    queued: int
    """Of very many a number that they are not fewer than."""
    share_used: float
    """Of all that was used and is not forgotten, 0 to 1."""
    share_due: float
    """Its weight among those that have jobs now, 0 to 1."""
    waits_for: str | UnsetType = UNSET
    """The reason that blocks its first job that waits."""


class ServerView(Struct, frozen=True, kw_only=True):
    """The server as it stands."""

    version: str
    started: str
    starts_per_second: float
    """Jobs, over the last ten seconds."""
    slots: int
    """Of environments that are up."""
    free_slots: int
    running: int
    queued: int
    oldest: str | UnsetType = UNSET
    """Since when the one job waits that has waited longest."""
    events_behind: float
    """Seconds that those who follow events have not been told of what was committed."""
    accounts: tuple[PartView, ...]
    """Those that have jobs, with most running first."""
    more_accounts: int
    """Accounts that have jobs and are not among these."""


def _oversee(call: Call) -> Ask:
    del call
    return Ask(operation=Oversee())


def _overseen(prefix: str, call: Call, outcome: Overseen) -> Reply:
    del prefix, call
    return answer(
        ServerView(
            version=version("jobgate"),
            started=moment(outcome.since),
            starts_per_second=round(outcome.starts, 2),
            slots=outcome.slots,
            free_slots=outcome.free,
            running=outcome.running,
            queued=outcome.queued,
            oldest=UNSET if outcome.oldest is None else moment(outcome.oldest),
            events_behind=round(outcome.behind, 3),
            accounts=tuple(
                PartView(
                    account=part.name,
                    id=account_text(part.account),
                    running=part.running,
                    queued=part.queued,
                    share_used=round(part.used, 4),
                    share_due=round(part.due, 4),
                    waits_for=UNSET if part.waits is None else part.waits.value,
                )
                for part in outcome.parts
            ),
            more_accounts=outcome.more,
        )
    )


VERBS: Final = (
    Verb(
        name="server",
        method="GET",
        path="/server",
        summary="The server as its operator sees it: how busy it is, and whose the jobs are",
        description="For credentials with the scope `operate`. Others see their own part at `/account`.",
        subject="account",
        scope=Scope.OPERATE,
        gives={200: ServerView},
        shown=ServerView(
            version="1.0",
            started="2026-11-15T23:09:27.658Z",
            starts_per_second=61.0,
            slots=36,
            free_slots=0,
            running=36,
            queued=359,
            oldest="2026-11-24T22:55:27.658Z",
            events_behind=0.0,
            accounts=(
                PartView(
                    account="lab",
                    id="aanxfm9kg001z",
                    running=32,
                    queued=356,
                    share_used=0.62,
                    share_due=0.5,
                    waits_for="busy",
                ),
            ),
            more_accounts=0,
        ),
        decode=_oversee,
        encode=_overseen,
    ),
)
