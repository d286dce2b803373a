"""Past runs, as the runner saves them now and then."""

from __future__ import annotations

from collections.abc import Iterable

from jobgate.model.history import Kind, Past
from jobgate.model.ids import AccountId, EnvironmentName
from jobgate.store import rows
from jobgate.store.driver import Driver


class Pasts:
    """The last runs of each kind."""

    def __init__(self, driver: Driver) -> None:
        self._db = driver

    def all(self) -> list[tuple[Kind, Past]]:
        """Every kind, that which was saved last at the end."""
        return [
            (Kind(EnvironmentName(environment), AccountId(owner), program), rows.past_of(doc))
            for environment, owner, program, doc in self._db.all("past_all")
        ]

    def put(self, pasts: Iterable[tuple[Kind, Past]], now: float) -> None:
        """Saves them in the place of what was known of their kinds."""
        pasts = list(pasts)
        self.forget(kind for kind, _ in pasts)
        self._db.many(
            "past_add", [(kind.environment, kind.owner, kind.program, now, rows.encode(past)) for kind, past in pasts]
        )

    def forget(self, kinds: Iterable[Kind]) -> None:
        """Deletes what is known of them; unknown ones are no error."""
        self._db.many("past_delete", [(kind.environment, kind.owner, kind.program) for kind in kinds])
