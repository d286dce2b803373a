"""Accounts, their credentials, and what a principal may do.

A job belongs to an account, never to a credential: an account may hold many, of several kinds.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from jobgate.model.errors import Forbidden, NotFound
from jobgate.model.ids import AccountId, CredentialId
from jobgate.model.selectors import BatchCalled, JobCalled


class Scope(StrEnum):
    """What a credential allows."""

    SUBMIT = "submit"
    """Make jobs and store files."""
    READ = "read"
    """See own jobs and files."""
    CONTROL = "control"
    """Cancel, change, retry and delete own jobs."""
    OPERATE = "operate"
    """Everything, for every account: the operator's."""


USER: Final = frozenset({Scope.SUBMIT, Scope.READ, Scope.CONTROL})


class Kind(StrEnum):
    """Which form a credential has."""

    API_KEY = "api-key"
    CHARITY_ENGINE = "charity-engine"
    BOINC = "boinc"
    MIKE = "mike"
    ETHEREUM = "ethereum"
    X509 = "x509"
    OIDC = "oidc"

    @property
    def secret(self) -> bool:
        """Whether its value is a secret of our own making; the others are names proven elsewhere."""
        return self not in (Kind.ETHEREUM, Kind.X509, Kind.OIDC)

    @property
    def signs(self) -> bool:
        """Whether links are signed with the value itself: it is kept, sealed, beside its digest [BOINC, section 3]."""
        return self is Kind.BOINC


SEALED: Final = "value"
"""What a credential's own value is sealed as, where its kind signs."""


class Quota(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one account may use at once. None: what the server's limits say."""

    live_jobs: int | None = None
    """Jobs not yet over."""
    running: int | None = None
    """Jobs that run, over all environments."""
    cores: float | None = None
    """Cores of all that run."""
    calls: float | None = None
    """Requests in a second."""
    storage: int | None = None
    """Bytes of stored files."""


class Account(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One owner of jobs."""

    id: AccountId
    name: str
    created: float
    weight: float = 1.0
    """Its share of a busy environment, against the others'."""
    blocked: bool = False
    quota: Quota = Quota()
    merged: AccountId | None = None
    """The account that all of its things went to; then this one is blocked for good."""


class Credential(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What proves an account. The value is not here: the store keeps its SHA-256."""

    id: CredentialId
    account: AccountId
    kind: Kind
    created: float
    scopes: frozenset[Scope] = USER
    expires: float | None = None
    revoked: bool = False


class Action(StrEnum):
    """What was done to an account, or to the server's key."""

    CREATED = "account created"
    BLOCKED = "account blocked"
    LET_IN = "account let in again"
    LIMITED = "limits set"
    MERGED = "merged into"
    """It gave all it had to another."""
    TOOK_IN = "took in"
    """It was given all that another had."""
    CREDENTIAL_ADDED = "credential added"
    CREDENTIAL_REVOKED = "credential revoked"
    WEBHOOK_ADDED = "webhook added"
    WEBHOOK_CHANGED = "webhook changed"
    WEBHOOK_ROTATED = "webhook secret rotated"
    WEBHOOK_DISABLED = "webhook disabled"
    """By the server: its address is gone, or has failed for too long."""
    WEBHOOK_DELETED = "webhook deleted"
    KEY_ROTATED = "server key rotated"
    """This one is of no account."""


class Deed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry of the audit trail, which only grows. It never holds a secret."""

    at: float
    actor: str
    """Who did it: on the command line, the user of the operating system; over HTTP, the account; or `server`."""
    action: Action
    account: AccountId = AccountId(0)
    """To which account; 0: to none."""
    other: AccountId = AccountId(0)
    """The other side of a merge."""
    told: Mapping[str, str | int] = {}
    """What more there is to know, by name."""


class Proof(msgspec.Struct, frozen=True):
    """What a request shows to say who asks."""

    kind: Kind
    value: str

    def __repr__(self) -> str:
        return f"Proof({self.kind.value})"

    __str__ = __repr__


class Signature(msgspec.Struct, frozen=True):
    """A link that the owner of one thing signed with a secret of theirs: the MD5 of the secret and a text [BOINC 9]."""

    kind: Kind
    of: BatchCalled | JobCalled
    """Whose it is, whoever asks; a name may be borne by things of several accounts."""
    text: str
    value: str
    """Lower-case hexadecimal."""

    def __repr__(self) -> str:
        return f"Signature({self.kind.value})"

    __str__ = __repr__


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, whichever credential said so."""

    account: AccountId
    name: str
    scopes: frozenset[Scope] = USER
    weight: float = 1.0
    quota: Quota = Quota()


def may(principal: Principal, scope: Scope) -> None:
    """Raises Forbidden unless the principal's credential allows it."""
    if scope not in principal.scopes and Scope.OPERATE not in principal.scopes:
        raise Forbidden(f"this credential does not allow {scope.value}; ask the operator for one that does")


def owns(principal: Principal, owner: AccountId) -> None:
    """Raises NotFound when it is another account's: unknown and foreign look the same."""
    if owner != principal.account and Scope.OPERATE not in principal.scopes:
        raise NotFound
