"""What time is up for: waits that are over or will be, and what was kept for as long as it may be."""

from __future__ import annotations

from jobgate.model.ids import JobId, bound
from jobgate.store.driver import Driver


class Due:
    """Reads only."""

    def __init__(self, driver: Driver) -> None:
        self._db = driver

    def next_ready(self, now: float) -> float | None:
        """When the next queued job's time comes, of those that wait for one."""
        row = self._db.one("job_next_ready", now)
        return None if row is None else row[0]

    def overdue(self, now: float, limit: int) -> list[JobId]:
        """Jobs that have waited in the queue for as long as they may."""
        return [JobId(row[0]) for row in self._db.all("job_overdue", now, limit)]

    def next_overdue(self) -> float | None:
        """When the next of them will have."""
        row = self._db.one("job_next_overdue")
        return None if row is None else row[0]

    def expired(self, before: JobId, ended: float, limit: int) -> list[JobId]:
        """Jobs made before `before` that had ended by `ended`."""
        return [JobId(row[0]) for row in self._db.all("job_expired", before, ended, limit)]

    def with_files(self, ended: float, limit: int) -> list[JobId]:
        """Jobs that had ended by `ended` and still hold blobs."""
        return [JobId(row[0]) for row in self._db.all("job_with_files", bound(ended), ended, limit)]
