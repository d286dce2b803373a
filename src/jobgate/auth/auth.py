"""Who asks: a credential, or a link signed with one, to a principal; and how often it may."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from msgspec.structs import replace

from jobgate.auth.keys import digest
from jobgate.model.account import Account, Credential, Kind, Principal, Proof, Scope, Signature
from jobgate.model.errors import TooMany, Unauthenticated
from jobgate.model.ids import AccountId

LookUp = Callable[[Kind, bytes], Awaitable[tuple[Credential, Account] | None]]
Candidates = Callable[[Signature], Awaitable[Sequence[tuple[Credential, Account, str]]]]
"""The credentials, with their values, of everyone whose thing a signature may be about."""
KEPT: Final = 1.0
"""Seconds that an answer is remembered: a revoked credential holds no longer than this."""
_MOST: Final = 10_000


class Authenticator:
    """Looks credentials up by the digest of their value: how long that takes tells nothing about the value."""

    def __init__(
        self,
        look_up: LookUp,
        candidates: Candidates,
        clock: Callable[[], float],
        kept: float = KEPT,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look_up = look_up
        self._candidates = candidates
        self._clock = clock
        self._ticks = ticks  # of a clock that nobody sets back
        self._kept = kept
        self._known: dict[tuple[Kind, bytes], tuple[float, Principal]] = {}

    async def __call__(self, proof: Proof | Signature) -> Principal:
        """Raises Unauthenticated, in the same words for an unknown, revoked, expired or blocked one.

        Whoever holds a signature may read, and nothing else.
        """
        if isinstance(proof, Signature):
            return await self._signed(proof)
        key = (proof.kind, digest(proof.kind, proof.value))
        now = self._ticks()
        known = self._known.get(key)
        if known is not None and known[0] > now:
            return known[1]
        found = await self._look_up(*key)
        if found is None or not _holds(*found, self._clock()):
            self._known.pop(key, None)
            raise Unauthenticated("this credential does not hold here")
        principal = _principal(*found)
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[key] = (now + self._kept, principal)
        return principal

    async def _signed(self, signature: Signature) -> Principal:
        right: Principal | None = None
        for credential, account, value in await self._candidates(signature):
            # the API's own form of a signature; what guards it is that the value is random  [BOINC 9.1]
            made = hashlib.md5((value + signature.text).encode(), usedforsecurity=False).hexdigest()
            same = hmac.compare_digest(made.encode(), signature.value.encode("utf-8", "replace"))
            if same and _holds(credential, account, self._clock()):
                right = _principal(credential, account)  # the others are tried as well: time tells nothing
        if right is None or Scope.READ not in right.scopes:
            raise Unauthenticated("this credential does not hold here")
        return replace(right, scopes=frozenset({Scope.READ}))


def _principal(credential: Credential, account: Account) -> Principal:
    return Principal(
        account=account.id,
        name=account.name,
        scopes=credential.scopes,
        weight=account.weight,
        quota=account.quota,
    )


def _holds(credential: Credential, account: Account, now: float) -> bool:
    return not (credential.revoked or account.blocked or (credential.expires is not None and credential.expires <= now))


class Rates:
    """Calls of each account, by a bucket that fills `rate` times a second and holds a second's worth, at least one."""

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._buckets: dict[AccountId, tuple[float, float]] = {}

    def admit(self, principal: Principal) -> None:
        """Raises TooMany (`rate-limited`) with the time after which one more call is allowed."""
        rate = principal.quota.calls if principal.quota.calls is not None else self._rate
        if rate <= 0:
            return
        now = self._clock()
        full = max(rate, 1.0)
        level, when = self._buckets.get(principal.account, (full, now))
        level = min(full, level + (now - when) * rate)
        if level < 1:
            self._buckets[principal.account] = (level, now)
            raise TooMany(
                f"more than {rate:g} calls a second", code="rate-limited", retry_after=max((1 - level) / rate, 0.01)
            )
        self._buckets[principal.account] = (level - 1, now)
