"""Accounts, their credentials and their use, and the nodes that run jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec.structs import replace

from jobgate.model.account import USER, Account, Action, Credential, Deed, Kind, Quota, Scope
from jobgate.model.allowance import Allowance, InUse, bounds
from jobgate.model.attempt import Lease
from jobgate.model.errors import Conflict, NotFound
from jobgate.model.ids import AccountId, CredentialId, NodeName
from jobgate.model.limits import Limits
from jobgate.model.queue import Standing, decayed
from jobgate.store import merge, rows
from jobgate.store.driver import Driver, Row, Shared

_OF_WEBHOOKS: Final = frozenset(
    {
        Action.MERGED,
        Action.WEBHOOK_ADDED,
        Action.WEBHOOK_CHANGED,
        Action.WEBHOOK_DISABLED,
        Action.WEBHOOK_DELETED,
    }
)


class Accounts:
    """Accounts, credentials and what each account has used."""

    def __init__(self, driver: Driver, shared: Shared) -> None:
        self._db = driver
        self._shared = shared

    def create(self, name: str, now: float) -> Account:
        """A new account. Raises Conflict when the name is taken."""
        if self._db.one("account_named", name) is not None:
            raise _named_already(name)
        account = Account(id=AccountId(self._shared.ids.draw(now)), name=name, created=now)
        self._db.run("account_add", account.id, name, rows.encode(account))
        return account

    def get(self, ident: AccountId) -> Account:
        """Raises NotFound."""
        return self._found(self._db.one("account_get", ident))

    def named(self, name: str) -> Account:
        """Raises NotFound."""
        row = self._db.one("account_named", name)
        if row is None:
            raise NotFound(f"there is no account {name!r}", field="name")
        return self._found(row)

    def _found(self, row: Row | None) -> Account:
        if row is None:
            raise NotFound("there is no such account")
        return rows.account_of(row[0])

    def put(self, account: Account) -> None:
        """Saves a changed account. Raises Conflict when its new name is another's."""
        row = self._db.one("account_named", account.name)
        if row is not None and rows.account_of(row[0]).id != account.id:
            raise _named_already(account.name)
        self._db.run("account_put", account.name, rows.encode(account), account.id)
        self._shared.apart = None

    def all(self) -> list[Account]:
        """Every account, by name."""
        return [rows.account_of(row[0]) for row in self._db.all("account_all")]

    def add(  # noqa: PLR0913, PLR0917  # a credential has so many parts
        self,
        account: AccountId,
        kind: Kind,
        digest: bytes,
        now: float,
        scopes: frozenset[Scope] = USER,
        expires: float | None = None,
    ) -> Credential:
        """A new credential. Raises Conflict when its value belongs to an account already."""
        if self._db.one("credential_get", kind.value, digest) is not None:
            raise Conflict("this value belongs to an account already", field="value")
        made = Credential(
            id=CredentialId(self._shared.ids.draw(now)),
            account=account,
            kind=kind,
            created=now,
            scopes=scopes,
            expires=expires,
        )
        self._db.run("credential_add", made.id, account, kind.value, digest, rows.encode(made))
        return made

    def credential(self, kind: Kind, digest: bytes) -> tuple[Credential, Account] | None:
        """The credential with that digest, and its account."""
        row = self._db.one("credential_get", kind.value, digest)
        if row is None:
            return None
        credential = rows.credential_of(row[0])
        return credential, self.get(credential.account)

    def credentials(self, account: AccountId) -> list[Credential]:
        """All that an account holds, oldest first."""
        return [rows.credential_of(row[0]) for row in self._db.all("credential_of", account)]

    def holders(self, kind: Kind) -> list[AccountId]:
        """The accounts that hold credentials of a kind."""
        return [AccountId(row[0]) for row in self._db.all("credential_holders", kind.value)]

    def replace(self, credential: Credential) -> None:
        """Saves a changed credential."""
        self._db.run("credential_put", rows.encode(credential), credential.id)

    def standings(self, now: float) -> dict[AccountId, Standing]:
        """What each account has used, decayed to now."""
        weights = {a.id: a.weight for a in self.all()}
        return {
            AccountId(i): Standing(decayed(used, now - at), weights.get(AccountId(i), 1.0))
            for i, used, at in self._db.all("account_usage")
        }

    def use(self, standings: Mapping[AccountId, Standing], now: float) -> None:
        """Saves what accounts have used; what is said of one that was merged is its heir's."""
        used: dict[AccountId, float] = {}
        for account, standing in standings.items():
            heir = self.heir(account)
            used[heir] = used.get(heir, 0.0) + standing.usage
            if heir != account:
                used[account] = 0.0
        self._db.many("account_use", [(usage, now, account) for account, usage in used.items()])

    def credit(self, account: AccountId) -> float:
        """What its attempts were granted, ever."""
        row = self._db.one("account_credit", account)
        return 0.0 if row is None else float(row[0])

    def apart(self) -> Mapping[AccountId, Account]:
        """Those that have a weight of their own, or a quota on what runs: the same object until one of them changes."""
        if self._shared.apart is None:
            self._shared.apart = {account.id: account for account in self.all() if _is_apart(account)}
        return self._shared.apart

    def allowances(
        self, owners: Iterable[AccountId], limits: Limits, held: Callable[[AccountId], InUse]
    ) -> dict[AccountId, Allowance]:
        """What may run at once of each that has a quota on it, given what each holds; nothing where nobody has one."""
        apart = self.apart()
        if not apart and not limits.running and not limits.cores:
            return {}
        given: dict[AccountId, list[AccountId]] = {}
        for gone in self._shared.moved:
            given.setdefault(self.heir(gone), []).append(gone)
        found: dict[AccountId, Allowance] = {}
        for owner in set(owners):
            account = apart.get(owner)
            bound = bounds(account.quota if account is not None else Quota(), limits)
            if bound is not None:
                whole = held(owner)
                for gone in given.get(owner, ()):
                    whole = whole.plus(held(gone))
                found[owner] = replace(bound, held=whole)
        return found

    # --- two become one

    def heir(self, account: AccountId) -> AccountId:
        """The account that has this one's things now: itself, unless it was merged."""
        moved = self._shared.moved
        while account in moved:
            account = moved[account]
        return account

    def merge(self, gone: Account, heir: Account, now: float) -> Mapping[str, int]:
        """Gives `heir` all that `gone` has; `gone` is blocked and remembers where it went. How many of each kind.

        The jobs go on, and so does a server: it sees the change with its next transaction, once `record` has told it.
        """
        told = merge.merge(self._db, gone, heir, now)
        standings = self.standings(now)
        both = [standings.get(account.id, Standing()) for account in (gone, heir)]
        self.use(
            {heir.id: replace(both[1], usage=both[0].usage + both[1].usage), gone.id: replace(both[0], usage=0)}, now
        )
        self.put(replace(gone, blocked=True, merged=heir.id))
        return told

    # --- the audit trail

    def record(self, deed: Deed) -> None:
        """Adds to the trail, for good."""
        self._db.run("audit_add", deed.at, deed.account, rows.encode(deed))

    def history(self, account: AccountId) -> list[Deed]:
        """What was done to an account, oldest first; 0: to none of them."""
        return [rows.deed_of(row[0]) for row in self._db.all("audit_of", account)]


def notice(driver: Driver, shared: Shared) -> None:
    """What is remembered follows what other processes did to accounts; at the beginning of each transaction."""
    row = driver.one("audit_last")
    last = row[0] if row is not None else None
    if last is None or last == shared.seen:
        return
    for _, doc in driver.all("audit_since", shared.seen):
        deed = rows.deed_of(doc)
        if deed.action is Action.MERGED:
            shared.moved[deed.account] = deed.other
            shared.live.clear()
            shared.counts.clear()
        if deed.action in _OF_WEBHOOKS:
            shared.hooks.clear()
        if deed.action in (Action.LIMITED, Action.MERGED):
            _look_again(driver, shared, deed.account)
    shared.seen = last


def _look_again(driver: Driver, shared: Shared, account: AccountId) -> None:
    """Its weight and quota are no more what they were."""
    row = driver.one("account_get", account)
    if shared.apart is not None and row is not None:
        found = rows.account_of(row[0])
        others = {ident: one for ident, one in shared.apart.items() if ident != account}
        shared.apart = others | ({account: found} if _is_apart(found) else {})


def _is_apart(account: Account) -> bool:
    """Whether something is set for it that the queue asks about; one that was merged has no more jobs."""
    quota = account.quota
    return account.merged is None and (account.weight != 1.0 or quota.running is not None or quota.cores is not None)


def _named_already(name: str) -> Conflict:
    return Conflict(f"there is an account {name!r} already", field="name")


class Nodes:
    """The processes that run jobs, each with a fencing number that grows with every start."""

    def __init__(self, driver: Driver) -> None:
        self._db = driver

    def enter(self, name: NodeName, now: float, lease: float) -> Lease:
        """A new process takes the node's place: saves of the one before are refused from now on."""
        known = self._db.one("node_get", name)
        if known is None:
            self._db.run("node_add", name, 1, now + lease)
            return Lease(name, 1)
        self._db.run("node_put", known[0] + 1, now + lease, name)
        return Lease(name, known[0] + 1)
