"""Every store keeps every promise of the suite. A further store joins `PLACES`; nothing else names it here."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_places import PLACES
from told import lives

from jobgate.model.events import Event
from jobgate.model.job import JobSpec
from jobgate.testing.store_jobs import the_log_alone_is_the_job
from jobgate.testing.stores import SUITE, Promise

every_store = pytest.mark.parametrize("name", sorted(PLACES))


@every_store
@pytest.mark.parametrize("promise", SUITE, ids=lambda promise: promise.__name__)
def test_it_keeps_the_promise(name: str, promise: Promise, tmp_path: Path) -> None:
    promise(PLACES[name](tmp_path))


@every_store
@settings(max_examples=60)
@given(life=lives, known=st.integers(1, 3), at_once=st.booleans())
def test_the_event_log_alone_rebuilds_the_row(
    name: str, life: tuple[JobSpec, list[Event]], known: int, *, at_once: bool
) -> None:
    """Of the events, so many become known together each time."""
    spec, events = life
    told = events if known == 1 else [tuple(events[n : n + known]) for n in range(0, len(events), known)]
    with TemporaryDirectory() as folder:
        the_log_alone_is_the_job(spec, told, at_once=at_once)(PLACES[name](Path(folder)))
