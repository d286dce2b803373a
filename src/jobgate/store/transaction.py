"""What can be done in one transaction: narrow look-ups, the same for every database.

The functions handed to `Store.write` get one of these. All of it happens, or nothing.
"""

from __future__ import annotations

from jobgate.store.accounts import Accounts, Nodes
from jobgate.store.batches import Batches
from jobgate.store.driver import Driver, Shared
from jobgate.store.due import Due
from jobgate.store.folders import Blobs, Folders
from jobgate.store.history import Pasts
from jobgate.store.jobs import Jobs
from jobgate.store.lists import Lists
from jobgate.store.log import Log
from jobgate.store.names import Names
from jobgate.store.numbers import Numbers
from jobgate.store.outbox import Outbox
from jobgate.store.queue import Queue
from jobgate.store.secrets import Secrets


class Transaction:
    """One unit of work. Not to be kept: it is over when the function it was handed to returns."""

    def __init__(self, driver: Driver, shared: Shared) -> None:
        self.jobs = Jobs(driver, shared)
        self.batches = Batches(driver, self.jobs.touch)
        self.secrets = Secrets(driver)
        self.due = Due(driver)
        self.names = Names(driver)
        self.numbers = Numbers(driver, shared.numbers)
        self.lists = Lists(driver, self.jobs.flush)
        self.log = Log(driver, self.jobs.flush)
        self.accounts = Accounts(driver, shared)
        self.folders = Folders(driver, shared)
        self.blobs = Blobs(driver)
        self.nodes = Nodes(driver)
        self.queue = Queue(driver)
        self.pasts = Pasts(driver)
        self.outbox = Outbox(driver, shared, self.jobs)

    def flush(self) -> None:
        """Writes what is still in memory; the store calls it at the end."""
        self.jobs.flush()
        self.outbox.flush()

    def settled(self) -> None:
        """The store calls it when this part of a commit is in."""
        self.jobs.settled()
        self.outbox.settled()
