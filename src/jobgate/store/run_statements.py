"""The statements that make very many rows at once, differing in their numbers alone; `statements.py` compiles them."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Integer, bindparam, insert, literal_column, select

from jobgate.model.ids import STRIDE
from jobgate.store.tables import event, job

p = bindparam
_first = select(literal_column("0", Integer).label("at")).cte("run", recursive=True)
_RUN: Final = _first.union_all(select(_first.c.at + 1).where(_first.c.at < p("n")))
"""The places of a run of jobs, from 0 to `n`."""
_ALIKE: Final = ("place", "state", "priority", "created", "ready", "gives_up", "version")
_JOB: Final = ("id", "batch", "owner", "spec", *_ALIKE)
_EVENT: Final = ("job", "seq", "at", "data")

RUNS: Final[dict[str, tuple[Any, tuple[str, ...]]]] = {
    "job_run": (
        insert(job).from_select(
            _JOB,
            select(
                p("id") + _RUN.c.at * STRIDE,
                p("batch"),
                p("owner"),
                p("spec") + _RUN.c.at // p("each", type_=Integer) * STRIDE,
                *(p(column) for column in _ALIKE),
            ),
        ),
        ("n", "id", "batch", "owner", "spec", "each", *_ALIKE),
    ),
    "event_run": (
        insert(event).from_select(
            _EVENT,
            select(p("job") + _RUN.c.at * STRIDE, literal_column("1"), p("at"), p("data")).select_from(_RUN),
        ),
        ("n", "job", "at", "data"),
    ),
}
