"""What is kept encrypted: the secrets of batches and webhooks, and the values of credentials that sign."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from jobgate.model.ids import BatchId, CredentialId, WebhookId
from jobgate.store.driver import Driver


class Secrets:
    """Nothing here can read them."""

    def __init__(self, driver: Driver) -> None:
        self._db = driver

    def seal(self, holder: BatchId | WebhookId | CredentialId, sealed: Mapping[str, bytes]) -> None:
        """Keeps the secrets of a batch or a webhook, or a credential's value, already encrypted."""
        if sealed:
            self._db.many("secret_add", [(holder, name, value) for name, value in sealed.items()])

    def sealed(self, holder: BatchId | WebhookId | CredentialId) -> dict[str, bytes]:
        """The secrets of a batch or a webhook, still encrypted."""
        return dict(self._db.all("secret_of", holder))

    def unseal(self, holder: CredentialId) -> None:
        """Forgets the value of a credential."""
        self._db.run("secret_delete", holder)

    def reseal(self, anew: Callable[[int, str, bytes], bytes]) -> int:
        """Puts what `anew` makes of it in the place of each sealed secret; how many there are."""
        kept = self._db.all("secret_all")
        self._db.many("secret_put", [(anew(holder, name, sealed), holder, name) for holder, name, sealed in kept])
        return len(kept)
