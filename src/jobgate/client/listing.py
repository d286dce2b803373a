"""Several jobs at once, as they are shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar, overload

from jobgate.client.records import JobRecord, jobs_table

J = TypeVar("J", bound=JobRecord)
SHOWN = 50


class Jobs(Sequence[J]):
    """Jobs in a fixed order; in a notebook a table."""

    def __init__(self, jobs: Iterable[J], missing: tuple[str, ...] = ()) -> None:
        self._jobs = tuple(jobs)
        self.missing = missing
        """Ids that are unknown here."""

    @overload
    def __getitem__(self, place: int) -> J: ...

    @overload
    def __getitem__(self, place: slice) -> Jobs[J]: ...

    def __getitem__(self, place: int | slice) -> J | Jobs[J]:
        return Jobs(self._jobs[place]) if isinstance(place, slice) else self._jobs[place]

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[J]:
        return iter(self._jobs)

    def __repr__(self) -> str:
        more = f", … {len(self) - SHOWN:,} more" if len(self) > SHOWN else ""
        return f"[{', '.join(map(repr, self._jobs[:SHOWN]))}{more}]"

    def _repr_html_(self) -> str:
        return jobs_table(self._jobs[:SHOWN]) + (f"<p>{len(self) - SHOWN:,} more</p>" if len(self) > SHOWN else "")
