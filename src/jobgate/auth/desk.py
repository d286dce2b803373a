"""Accounts and credentials, one question at a time; for the command line, beside a running server too."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from msgspec.structs import asdict, replace

from jobgate.auth.keys import digest, new_value
from jobgate.auth.rotate import sealing_key
from jobgate.auth.seal import Seal
from jobgate.model.account import SEALED, USER, Account, Action, Credential, Deed, Kind, Quota, Scope
from jobgate.model.errors import Conflict, Invalid, NotFound, Unavailable
from jobgate.model.ids import AccountId
from jobgate.store.sqlite import SqliteStore, migrate
from jobgate.store.store import database_path
from jobgate.store.transaction import Transaction

T = TypeVar("T")
NODE: Final = 63
"""Number of the account desk among those that draw ids from one database."""
_LONGEST_NAME: Final = 200
_PLAIN: Final = re.compile(r"[0-9A-Za-z_-]{1,200}", re.ASCII)
_SHORTEST_SECRET: Final = 16
"""Characters: what is kept of a secret is a plain digest, which one that can be guessed does not survive."""


class AccountDesk:
    """Each question is one transaction of its own, and each change leaves its entry in the audit trail."""

    def __init__(self, path: Path, actor: str, data: Path | None = None) -> None:
        self._path = path
        self._actor = actor
        self._data = data

    def _write(self, work: Callable[[Transaction], T]) -> T:
        async def whole() -> T:
            store = SqliteStore(self._path, node=NODE)
            try:
                return await store.write(work)
            finally:
                await store.close()

        return asyncio.run(whole())

    def _deed(
        self,
        action: Action,
        account: AccountId,
        told: Mapping[str, str | int] | None = None,
        other: AccountId | None = None,
    ) -> Deed:
        return Deed(
            at=time.time(),
            actor=self._actor,
            action=action,
            account=account,
            other=other or AccountId(0),
            told=told or {},
        )

    def create(self, name: str) -> Account:
        """Raises Conflict when the name is taken, Invalid for one that cannot be a name."""
        if not name or len(name) > _LONGEST_NAME or not name.isprintable() or name != name.strip():
            raise Invalid(f"a name is 1 to {_LONGEST_NAME} characters that can be seen", field="name")

        def work(tx: Transaction) -> Account:
            account = tx.accounts.create(name, time.time())
            tx.accounts.record(self._deed(Action.CREATED, account.id, {"name": name}))
            return account

        return self._write(work)

    def find(self, name: str) -> Account:
        """Raises NotFound."""
        return self._write(lambda tx: tx.accounts.named(name))

    def accounts(self) -> list[Account]:
        """All of them."""
        return self._write(lambda tx: tx.accounts.all())

    def names(self) -> dict[AccountId, str]:
        """Each account's name."""
        return {account.id: account.name for account in self.accounts()}

    def credit(self) -> dict[AccountId, float]:
        """What each account was granted, ever."""
        return self._write(lambda tx: {account.id: tx.accounts.credit(account.id) for account in tx.accounts.all()})

    def add(
        self, name: str, kind: Kind, value: str | None, scopes: frozenset[Scope] = USER, expires: float | None = None
    ) -> tuple[Credential, str]:
        """The credential and its value, which is not kept but for a kind that signs: that one is kept sealed.

        Raises NotFound, Invalid, Conflict; Unavailable when it is to be sealed and the server's key cannot be had.
        """
        if value is None:
            if not kind.secret:
                raise Invalid(f"for {kind.value}, --value says who it is", field="value")
            value = new_value(kind)
        elif not value.strip():
            raise Invalid("an empty value proves nothing", field="value")
        elif kind.secret and len(value) < _SHORTEST_SECRET:
            raise Invalid(
                f"a secret has at least {_SHORTEST_SECRET} characters, all of them random; leave --value away and one "
                "is made",
                field="value",
            )
        elif kind.signs and not _PLAIN.fullmatch(value):
            raise Invalid(
                "its clients put it into XML and addresses as it is: letters, digits, _ and - only, at most 200",
                field="value",
            )
        known = digest(kind, value)

        def work(tx: Transaction) -> Credential:
            account = _usable(tx, name)
            made = tx.accounts.add(account.id, kind, known, time.time(), scopes, expires)
            if kind.signs:
                seal = Seal(self._key(tx))
                tx.secrets.seal(made.id, {SEALED: seal.close(made.id, SEALED, value)})
            told: dict[str, str | int] = {
                "credential": made.id,
                "kind": kind.value,
                "scopes": ", ".join(sorted(scopes)),
            }
            tx.accounts.record(self._deed(Action.CREDENTIAL_ADDED, account.id, told))
            return made

        return self._write(work), value

    def _key(self, tx: Transaction) -> bytes:
        if self._data is None:
            raise Unavailable(
                "this kind is kept sealed under the server's key: name its folder with --data", code="key"
            )
        return sealing_key(self._data, tx)

    def credentials(self, name: str) -> list[Credential]:
        """All that the account holds. Raises NotFound."""
        return self._write(lambda tx: tx.accounts.credentials(tx.accounts.named(name).id))

    def revoke(self, name: str, ident: int) -> None:
        """It holds no more, within a second. Raises NotFound."""

        def work(tx: Transaction) -> None:
            account = tx.accounts.named(name)
            held = [c for c in tx.accounts.credentials(account.id) if c.id == ident]
            if not held:
                raise NotFound(f"{name} holds no credential {ident}", field="id", code="credential-unknown")
            if held[0].revoked:
                return
            tx.accounts.replace(replace(held[0], revoked=True))
            tx.secrets.unseal(held[0].id)
            told: dict[str, str | int] = {"credential": ident, "kind": held[0].kind.value}
            tx.accounts.record(self._deed(Action.CREDENTIAL_REVOKED, account.id, told))

        self._write(work)

    def block(self, name: str, *, blocked: bool) -> None:
        """All its credentials hold no more, or hold again. Raises NotFound, Conflict for one that was merged."""

        def work(tx: Transaction) -> None:
            account = _usable(tx, name)
            if account.blocked == blocked:
                return
            tx.accounts.put(replace(account, blocked=blocked))
            tx.accounts.record(self._deed(Action.BLOCKED if blocked else Action.LET_IN, account.id))

        self._write(work)

    def limit(self, name: str, quota: Quota, weight: float | None = None) -> Account:
        """Sets what the account may use at once, and its share of a busy environment; the account as it is now.

        Raises NotFound, Conflict for one that was merged.
        """

        def work(tx: Transaction) -> Account:
            account = _usable(tx, name)
            changed = replace(account, quota=quota, weight=account.weight if weight is None else weight)
            if changed != account:
                tx.accounts.put(changed)
                told = {key: str(value) for key, value in asdict(quota).items()} | {"weight": str(changed.weight)}
                tx.accounts.record(self._deed(Action.LIMITED, account.id, told))
            return changed

        return self._write(work)

    def merge(self, gone: str, heir: str) -> Mapping[str, int]:
        """Gives `heir` all that `gone` has, and blocks `gone` for good; how many things of each kind went over.

        Raises NotFound, Invalid for one and the same account, Conflict when one of them is blocked or was merged.
        """
        if gone == heir:
            raise Invalid("these are one account", field="into")

        def work(tx: Transaction) -> Mapping[str, int]:
            giver, taker = _usable(tx, gone), _usable(tx, heir)
            for account in (giver, taker):
                if account.blocked:
                    raise Conflict(
                        f"{account.name} is blocked, and a merge would undo or spread that; let it in again first",
                        code="account-blocked",
                    )
            told = tx.accounts.merge(giver, taker, time.time())
            tx.accounts.record(self._deed(Action.MERGED, giver.id, {"account": heir, **told}, taker.id))
            tx.accounts.record(self._deed(Action.TOOK_IN, taker.id, {"account": gone, **told}, giver.id))
            return told

        return self._write(work)

    def history(self, name: str | None) -> list[Deed]:
        """What was done to an account, oldest first; None: to the server's key. Raises NotFound."""
        return self._write(lambda tx: tx.accounts.history(AccountId(0) if name is None else tx.accounts.named(name).id))


def _usable(tx: Transaction, name: str) -> Account:
    """The account. Raises NotFound, and Conflict when it was merged into another."""
    account = tx.accounts.named(name)
    if account.merged is not None:
        heir = tx.accounts.get(tx.accounts.heir(account.id))
        raise Conflict(f"{name} was merged into {heir.name}; name that one", code="account-merged")
    return account


def open_accounts(data: Path | None, database: str, actor: str, *, make: bool = False) -> AccountDesk:
    """The account desk of a data folder; `make`: with its database, where there is none.

    Raises Unavailable (`no-data`) when there is none and it is not to be made.
    """
    path = database_path(data or Path(), database)
    if not make and not path.exists():
        raise Unavailable(f"there is no database {path}", code="no-data")
    migrate(path)
    return AccountDesk(path, actor, data)
