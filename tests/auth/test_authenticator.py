from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace

from jobgate.auth.auth import KEPT, Authenticator, Rates
from jobgate.auth.keys import digest, new_value
from jobgate.model.account import Account, Credential, Kind, Principal, Proof, Quota, Scope, Signature, may
from jobgate.model.errors import Forbidden, TooMany, Unauthenticated
from jobgate.model.ids import AccountId, CredentialId
from jobgate.model.selectors import BatchCalled

ADA = Account(id=AccountId(7), name="ada", created=0.0, weight=2.0, quota=Quota(calls=5.0))
HELD = Credential(id=CredentialId(1), account=ADA.id, kind=Kind.API_KEY, created=0.0, scopes=frozenset({Scope.READ}))
PROOF = Proof(Kind.API_KEY, "jg_value")


class Door:
    """An authenticator whose database and clock are at hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.rows = {(PROOF.kind, digest(PROOF.kind, PROOF.value)): (HELD, ADA)}
        self.asked = 0
        self.signers: list[tuple[Credential, Account, str]] = []
        self.ticks = 100.0
        self._authenticate = Authenticator(self._look_up, self._candidates, lambda: self.now, ticks=lambda: self.ticks)

    async def _look_up(self, kind: Kind, value: bytes) -> tuple[Credential, Account] | None:
        self.asked += 1
        return self.rows.get((kind, value))

    async def _candidates(self, signature: Signature) -> Sequence[tuple[Credential, Account, str]]:
        return [row for row in self.signers if row[1].name in signature.text]

    def put(self, credential: Credential, account: Account = ADA) -> None:
        self.rows = {(PROOF.kind, digest(PROOF.kind, PROOF.value)): (credential, account)}

    def ask(self, proof: Proof | Signature = PROOF) -> Principal:
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


# --- links that are signed with a credential

BOINC = replace(HELD, kind=Kind.BOINC, scopes=frozenset({Scope.READ, Scope.SUBMIT}))
SECRET = "a" * 32


def signed(text: str, secret: str = SECRET) -> Signature:
    value = hashlib.md5((secret + text).encode(), usedforsecurity=False).hexdigest()
    return Signature(Kind.BOINC, BatchCalled(number=7), text, value)


def test_a_link_signed_with_a_credential_lets_read_and_nothing_else() -> None:
    door = Door()
    door.signers = [(BOINC, ADA, SECRET)]
    assert door.ask(signed("ada 7")).scopes == frozenset({Scope.READ})
    assert door.ask(signed("ada 7")).account == ADA.id


def test_the_signature_is_the_published_one() -> None:
    assert signed("7").value == "16d673c82fdcd332000df2cf0fbec0c5"
    assert signed("j1_0").value == "eed1236590cd5927a6f6dbfe44bb49e4"


@pytest.mark.parametrize(
    "signers",
    [
        [],
        [(BOINC, ADA, "b" * 32)],
        [(replace(BOINC, revoked=True), ADA, SECRET)],
        [(replace(BOINC, scopes=frozenset({Scope.SUBMIT})), ADA, SECRET)],
        [(BOINC, replace(ADA, blocked=True), SECRET)],
    ],
    ids=["nobody", "another", "revoked", "may not read", "blocked"],
)
def test_a_signature_that_no_credential_in_force_made_is_refused(
    signers: list[tuple[Credential, Account, str]],
) -> None:
    door = Door()
    door.signers = signers
    with pytest.raises(Unauthenticated, match="does not hold here"):
        door.ask(signed("ada 7"))


def test_whoever_signed_is_found_among_several_that_a_name_may_mean() -> None:
    door, eve = Door(), replace(ADA, id=AccountId(8), name="adas friend")
    door.signers = [(BOINC, eve, "b" * 32), (BOINC, ADA, SECRET)]
    assert door.ask(signed("adas friend or ada")).account == ADA.id
