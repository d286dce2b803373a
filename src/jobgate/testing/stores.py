"""The contract suite of stores: each function holds one promise, and says in an AssertionError where it is broken.

A store's author writes one function that gives a `Place`: a database nobody else uses, and how it is opened, blocked
and filled. `tests/contracts/test_every_store.py` shows how the suite is run.
"""

from __future__ import annotations

from typing import Final

from jobgate.testing import (
    store_batches,
    store_folders,
    store_jobs,
    store_lists,
    store_outbox,
    store_pages,
    store_queue,
    store_writes,
)
from jobgate.testing.store_lab import Place, Promise

__all__ = ("SUITE", "Place", "Promise")

SUITE: Final[tuple[Promise, ...]] = (
    *store_writes.SUITE,
    *store_jobs.SUITE,
    *store_batches.SUITE,
    *store_lists.SUITE,
    *store_pages.SUITE,
    *store_queue.SUITE,
    *store_outbox.SUITE,
    *store_folders.SUITE,
)
"""Every promise, as a function of a fresh place."""
