"""What accounts have at once is counted as their jobs come and go."""

from __future__ import annotations

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from jobgate.model.allowance import InUse
from jobgate.model.ids import AccountId, EnvironmentName
from jobgate.model.resources import Resources
from jobgate.runner.holdings import Holdings

LAB, BIRDS = AccountId(1), AccountId(2)
HERE, THERE = EnvironmentName("here"), EnvironmentName("there")
shares = st.tuples(st.sampled_from([LAB, BIRDS]), st.sampled_from([Resources(cores=c) for c in (0.1, 1.0, 2.5)]))
ONE: Final = Resources(cores=1.0)


@given(st.lists(shares, max_size=20), st.data())
def test_what_has_come_and_not_gone_is_counted_and_nothing_is_left_when_all_have(
    jobs: list[tuple[AccountId, Resources]], data: st.DataObject
) -> None:
    held = Holdings()
    for owner, asked in jobs:
        held.take(owner, asked)
    gone = data.draw(st.permutations(jobs))
    for number, (owner, asked) in enumerate(gone):
        for account in (LAB, BIRDS):
            left = [size.cores for whose, size in gone[number:] if whose == account]
            found = held.of(account)
            assert found.jobs == len(left)
            assert abs(found.cores - sum(left)) < 1e-6
        held.leave(owner, asked)
    assert held.all() == {}


def test_what_is_promised_counts_until_the_promise_is_made_anew() -> None:
    held = Holdings()
    held.take(LAB, ONE)
    held.promise(HERE, [(LAB, ONE), (LAB, ONE), (BIRDS, ONE)])
    held.promise(THERE, [(LAB, ONE)])
    assert (held.of(LAB), held.of(BIRDS)) == (InUse(4, 4.0), InUse(1, 1.0))
    held.promise(HERE)
    assert (held.of(LAB), held.of(BIRDS)) == (InUse(2, 2.0), InUse())
    assert held.all() == {LAB: InUse(1, 1.0)}, "what is promised is claimed by nobody yet"


def test_an_end_wakes_once_whoever_waits_for_that_account_and_nobody_else() -> None:
    held, woken = Holdings(), list[str]()

    def here() -> None:
        woken.append("here")

    def there() -> None:
        woken.append("there")

    for owner in (LAB, LAB, BIRDS):
        held.take(owner, ONE)
    held.await_end((LAB,), here)
    held.await_end((LAB,), here)
    held.await_end((LAB, BIRDS), there)
    with held.watch() as ended:
        held.leave(LAB, ONE)
    assert (sorted(woken), ended) == (["here", "there"], {LAB})
    held.leave(LAB, ONE)
    assert len(woken) == 2
    assert ended == {LAB}
    held.leave(BIRDS, ONE)
    assert woken[2:] == ["there"]
