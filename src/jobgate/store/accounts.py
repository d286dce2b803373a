"""Accounts, their credentials and their use, and the nodes that run jobs."""

from __future__ import annotations

from collections.abc import Mapping

from jobgate.model.account import USER, Account, Credential, Kind, Scope
from jobgate.model.attempt import Lease
from jobgate.model.errors import Conflict, NotFound
from jobgate.model.ids import AccountId, CredentialId, NodeName
from jobgate.model.queue import Standing, decayed
from jobgate.store import rows
from jobgate.store.driver import Driver, Row, Shared


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
        """Saves what accounts have used."""
        self._db.many("account_use", [(standing.usage, now, i) for i, standing in standings.items()])


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
