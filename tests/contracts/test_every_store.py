"""Every store keeps every promise of the suite. A further store joins `PLACES`; nothing else names it here."""

from __future__ import annotations

from pathlib import Path

import pytest
from store_places import PLACES

from jobgate.testing.stores import SUITE, Promise

every_store = pytest.mark.parametrize("name", sorted(PLACES))


@every_store
@pytest.mark.parametrize("promise", SUITE, ids=lambda promise: promise.__name__)
def test_it_keeps_the_promise(name: str, promise: Promise, tmp_path: Path) -> None:
    promise(PLACES[name](tmp_path))
