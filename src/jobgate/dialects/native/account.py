"""The account that asks, and the programs that its jobs may name."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET, Struct, UnsetType

from jobgate.dialects.dialect import Ask, Call, Reply
from jobgate.dialects.native.samples import SHOWN_APP
from jobgate.dialects.native.states import NAMES
from jobgate.dialects.native.verb import Verb
from jobgate.dialects.native.views import answer, moment
from jobgate.dialects.native.wire_apps import AppList, ImageList, ImageView, app_view
from jobgate.model.ids import account_text
from jobgate.model.limits import Limits
from jobgate.model.operations import Describe, Programs
from jobgate.model.outcomes import Described, Offered


class QuotaView(Struct, frozen=True, kw_only=True):
    """A bound and what is used of it; without `limit` there is none."""

    limit: float | UnsetType = UNSET
    used: float | UnsetType = UNSET


class QuotasView(Struct, frozen=True, kw_only=True):
    """What the account may use at once."""

    live_jobs: QuotaView
    """Jobs not yet over."""
    running: QuotaView
    """Jobs that run, over all environments; further ones wait."""
    cores: QuotaView
    """Cores of all that run."""
    storage: QuotaView
    """Bytes of stored files."""
    calls: QuotaView
    """Requests in a second."""


class UsageView(Struct, frozen=True, kw_only=True):
    """What counts in the queue's order."""

    share_seconds: float
    """Seconds of a whole environment, decayed: half of it is forgotten in a day."""


class LimitsView(Struct, frozen=True, kw_only=True):
    """What one request, one file or one job may be."""

    batch: int
    """Jobs in one request."""
    job: int
    """Bytes of a request for one job."""
    upload: int
    """Bytes of one uploaded file."""
    input: int
    """Bytes of one fetched input."""
    output_files: int
    """Files collected of one job."""
    output_bytes: int
    """Bytes of all of them."""
    log: int
    """Bytes of log kept of one job; of a longer one the middle is cut."""


class AccountView(Struct, frozen=True, kw_only=True):
    """The account that asks."""

    account: str
    """Its name."""
    id: str
    scopes: tuple[str, ...]
    """What the key allows."""
    created: str
    weight: float
    """Its share of a busy environment, against the others'."""
    counts: dict[str, int]
    """Its jobs by state."""
    quotas: QuotasView
    usage: UsageView
    credit: float
    """Granted to its attempts, ever: it stays when their jobs are deleted."""
    limits: LimitsView


def _account(call: Call) -> Ask:
    del call
    return Ask(operation=Describe())


def _programs(call: Call) -> Ask:
    del call
    return Ask(operation=Programs())


def _described(prefix: str, call: Call, outcome: Described) -> Reply:
    del prefix, call
    account, limits = outcome.account, outcome.limits
    return answer(
        AccountView(
            account=account.name,
            id=account_text(account.id),
            scopes=tuple(sorted(scope.value for scope in outcome.scopes)),
            created=moment(account.created),
            weight=account.weight,
            counts={NAMES[state]: number for state, number in outcome.counts.items() if number},
            quotas=_quotas(outcome, limits),
            usage=UsageView(share_seconds=round(outcome.usage, 3)),
            credit=outcome.credit,
            limits=LimitsView(
                batch=limits.batch,
                job=limits.job,
                upload=limits.upload,
                input=limits.input,
                output_files=limits.output_files,
                output_bytes=limits.output_bytes,
                log=limits.log,
            ),
        )
    )


def _quotas(outcome: Described, limits: Limits) -> QuotasView:
    return QuotasView(
        live_jobs=QuotaView(limit=limits.live_jobs, used=outcome.live),
        running=QuotaView(limit=limits.running or UNSET, used=outcome.held.jobs),
        cores=QuotaView(limit=limits.cores or UNSET, used=round(outcome.held.cores, 6)),
        storage=QuotaView(limit=limits.storage or UNSET, used=outcome.stored),
        calls=QuotaView(limit=limits.calls or UNSET),
    )


def _apps(prefix: str, call: Call, outcome: Offered) -> Reply:
    del prefix, call
    every = sorted(outcome.catalogue.apps.values(), key=lambda app: app.name)
    return answer(AppList(items=tuple(map(app_view, every))))


def _images(prefix: str, call: Call, outcome: Offered) -> Reply:
    del prefix, call
    return answer(ImageList(items=tuple(ImageView(name=name) for name in sorted(outcome.catalogue.images))))


VERBS: Final = (
    Verb(
        name="account",
        method="GET",
        path="/account",
        summary="The account that asks: its jobs, quotas and what it has used",
        subject="account",
        gives={200: AccountView},
        shown=AccountView(
            account="lab",
            id="aanxfm9kg001z",
            scopes=("control", "read", "submit"),
            created="2026-11-24T23:09:27.658Z",
            weight=1.0,
            counts={"queued": 356, "running": 32, "succeeded": 605},
            quotas=QuotasView(
                live_jobs=QuotaView(limit=1_000_000, used=388),
                running=QuotaView(limit=32, used=32),
                cores=QuotaView(used=32.0),
                storage=QuotaView(used=1_048_576),
                calls=QuotaView(),
            ),
            usage=UsageView(share_seconds=123.4),
            credit=1520.5,
            limits=LimitsView(
                batch=1_000_000,
                job=8_388_608,
                upload=2_147_483_648,
                input=2_147_483_648,
                output_files=1000,
                output_bytes=2_147_483_648,
                log=10_485_760,
            ),
        ),
        decode=_account,
        encode=_described,
    ),
    Verb(
        name="apps",
        method="GET",
        path="/apps",
        summary="The named programs that jobs may run",
        subject="environments",
        gives={200: AppList},
        shown=AppList(items=(app_view(SHOWN_APP),)),
        decode=_programs,
        encode=_apps,
    ),
    Verb(
        name="images",
        method="GET",
        path="/images",
        summary="The images that the operator's catalogue names",
        subject="environments",
        gives={200: ImageList},
        shown=ImageList(items=(ImageView(name="host"),)),
        decode=_programs,
        encode=_images,
    ),
)
