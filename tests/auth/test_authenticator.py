from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from jobgate.auth.auth import KEPT, Authenticator, Rates
from jobgate.auth.keys import digest, new_value
from jobgate.model.account import Account, Credential, Kind, Principal, Proof, Quota, Scope, may
from jobgate.model.errors import Forbidden, TooMany, Unauthenticated
from jobgate.model.ids import AccountId, CredentialId

ADA = Account(id=AccountId(7), name="ada", created=0.0, weight=2.0, quota=Quota(calls=5.0))
HELD = Credential(id=CredentialId(1), account=ADA.id, kind=Kind.API_KEY, created=0.0, scopes=frozenset({Scope.READ}))
PROOF = Proof(Kind.API_KEY, "jg_value")


class Door:
    """An authenticator whose database and clock are at hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.rows = {(PROOF.kind, digest(PROOF.kind, PROOF.value)): (HELD, ADA)}
        self.asked = 0
        self.ticks = 100.0
        self._authenticate = Authenticator(self._look_up, lambda: self.now, ticks=lambda: self.ticks)

    async def _look_up(self, kind: Kind, value: bytes) -> tuple[Credential, Account] | None:
        self.asked += 1
        return self.rows.get((kind, value))

    def put(self, credential: Credential, account: Account = ADA) -> None:
        self.rows = {(PROOF.kind, digest(PROOF.kind, PROOF.value)): (credential, account)}

    def ask(self, proof: Proof = PROOF) -> Principal:
        async def whole() -> Principal:
            return await self._authenticate(proof)

        return asyncio.run(whole())


def test_a_credential_that_holds_says_who_asks_and_what_it_may() -> None:
    assert Door().ask() == Principal(
        account=ADA.id, name="ada", scopes=frozenset({Scope.READ}), weight=2.0, quota=Quota(calls=5.0)
    )


GONE: list[tuple[str, Callable[[Door], None]]] = [
    ("revoked", lambda door: door.put(replace(HELD, revoked=True))),
    ("expired", lambda door: door.put(replace(HELD, expires=100.0))),
    ("blocked", lambda door: door.put(HELD, replace(ADA, blocked=True))),
    ("deleted", lambda door: door.rows.clear()),
]


@pytest.mark.parametrize(("why", "change"), GONE, ids=[why for why, _ in GONE])
def test_one_that_does_not_hold_is_refused_in_the_same_words_whatever_the_reason(
    why: str, change: Callable[[Door], None]
) -> None:
    door = Door()
    change(door)
    with pytest.raises(Unauthenticated) as caught:
        door.ask()
    assert caught.value.message == "this credential does not hold here"
    assert "jg_value" not in repr(caught.value)


@pytest.mark.parametrize(("why", "change"), GONE, ids=[why for why, _ in GONE])
def test_one_that_was_known_holds_no_longer_than_the_answer_is_kept(why: str, change: Callable[[Door], None]) -> None:
    door = Door()
    door.ask()
    change(door)
    door.ticks += KEPT
    with pytest.raises(Unauthenticated):
        door.ask()


def test_an_answer_is_kept_for_a_second_and_an_unknown_value_never() -> None:
    door = Door()
    door.ask()
    door.ask()
    assert door.asked == 1
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            door.ask(Proof(Kind.API_KEY, "guess"))
    assert door.asked == 3


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.API_KEY])
def test_a_value_proves_nothing_as_another_kind(kind: Kind) -> None:
    with pytest.raises(Unauthenticated):
        Door().ask(Proof(kind, PROOF.value))


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind.secret])
def test_a_secret_has_at_least_128_random_bits_and_case_matters(kind: Kind) -> None:
    values = {new_value(kind) for _ in range(100)}
    assert len(values) == 100
    assert min(map(len, values)) >= 32
    assert digest(kind, "aB") != digest(kind, "ab")


@pytest.mark.parametrize("kind", [kind for kind in Kind if not kind.secret])
def test_a_name_is_never_made_here_and_case_does_not_matter(kind: Kind) -> None:
    with pytest.raises(KeyError):
        new_value(kind)
    assert digest(kind, "0xAbC") == digest(kind, "0xabc")


def test_a_value_that_is_no_text_on_the_wire_has_a_digest_too() -> None:
    assert digest(Kind.API_KEY, "\udcff") != digest(Kind.API_KEY, "?")


@pytest.mark.parametrize("scope", list(Scope))
def test_a_credential_permits_what_its_scopes_say_and_the_operators_everything(scope: Scope) -> None:
    may(Principal(account=ADA.id, name="a", scopes=frozenset({scope})), scope)
    may(Principal(account=ADA.id, name="a", scopes=frozenset({Scope.OPERATE})), scope)
    with pytest.raises(Forbidden, match=scope.value):
        may(Principal(account=ADA.id, name="a", scopes=frozenset()), scope)


def test_calls_above_the_rate_are_told_when_to_come_again() -> None:
    now = [0.0]
    rates = Rates(2.0, lambda: now[0])
    who = Principal(account=ADA.id, name="ada")
    rates.admit(who)
    rates.admit(who)
    with pytest.raises(TooMany, match="more than 2 calls a second") as caught:
        rates.admit(who)
    assert caught.value.code == "rate-limited"
    assert caught.value.retry_after == pytest.approx(0.5)
    rates.admit(replace(who, account=AccountId(8)))
    now[0] += caught.value.retry_after or 0
    rates.admit(who)


def test_an_accounts_own_rate_goes_before_the_servers_and_none_is_no_limit() -> None:
    rates = Rates(1.0, lambda: 0.0)
    quick = Principal(account=ADA.id, name="ada", quota=Quota(calls=3.0))
    for _ in range(3):
        rates.admit(quick)
    with pytest.raises(TooMany):
        rates.admit(quick)
    free = Rates(0.0, lambda: 0.0)
    for _ in range(100):
        free.admit(Principal(account=ADA.id, name="ada"))


def test_a_rate_below_one_a_second_lets_the_first_call_in() -> None:
    rates = Rates(0.1, lambda: 0.0)
    rates.admit(Principal(account=ADA.id, name="ada"))
    with pytest.raises(TooMany) as caught:
        rates.admit(Principal(account=ADA.id, name="ada"))
    assert caught.value.retry_after == pytest.approx(10.0)
