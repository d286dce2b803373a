r"""Jobgate: one gate for remote jobs. The public names of the Python client; each is loaded when it is first used.

>>> import jobgate
>>> client = jobgate.Client()
>>> client.submit(["echo", "hello"]).result().stdout
'hello\n'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from jobgate.client.aio import AsyncClient
    from jobgate.client.aio_handles import AsyncBatch, AsyncFile, AsyncJob
    from jobgate.client.downloads import Result
    from jobgate.client.errors import (
        Cancelled,
        Conflict,
        EngineFailed,
        Fault,
        Gone,
        ImageFailed,
        InputFailed,
        Invalid,
        JobFailed,
        JobLost,
        LimitReached,
        NoRoom,
        NotAllowed,
        NotConfigured,
        NotFound,
        OutputFailed,
        Preempted,
        ProgramFailed,
        Refused,
        TimedOut,
        TooMany,
        Undecided,
        Unreachable,
    )
    from jobgate.client.estimates import Estimate
    from jobgate.client.folders import Folder, FolderEntry
    from jobgate.client.handles import Batch, File, Job
    from jobgate.client.listing import Jobs
    from jobgate.client.options import Draft, FolderFile, Replication, SubmitOptions
    from jobgate.client.places import Account, Environment
    from jobgate.client.records import Attempt, Event, Upload, Waits
    from jobgate.client.sync import Client
    from jobgate.client.webhooks import Webhook
    from jobgate.model.errors import JobgateError

_HOMES: Final = {
    "jobgate.client.aio": ("AsyncClient",),
    "jobgate.client.aio_handles": ("AsyncBatch", "AsyncFile", "AsyncJob"),
    "jobgate.client.errors": (
        "Cancelled",
        "Conflict",
        "EngineFailed",
        "Fault",
        "Gone",
        "ImageFailed",
        "InputFailed",
        "Invalid",
        "JobFailed",
        "JobLost",
        "LimitReached",
        "NoRoom",
        "NotAllowed",
        "NotConfigured",
        "NotFound",
        "OutputFailed",
        "Preempted",
        "ProgramFailed",
        "Refused",
        "TimedOut",
        "TooMany",
        "Undecided",
        "Unreachable",
    ),
    "jobgate.client.folders": ("Folder", "FolderEntry"),
    "jobgate.client.handles": ("Batch", "File", "Job"),
    "jobgate.client.options": ("Draft", "FolderFile", "Replication", "SubmitOptions"),
    "jobgate.client.estimates": ("Estimate",),
    "jobgate.client.listing": ("Jobs",),
    "jobgate.client.places": ("Account", "Environment"),
    "jobgate.client.records": ("Attempt", "Event", "Upload", "Waits"),
    "jobgate.client.webhooks": ("Webhook",),
    "jobgate.client.sync": ("Client",),
    "jobgate.client.downloads": ("Result",),
    "jobgate.model.errors": ("JobgateError",),
}

__all__ = [
    "Account",
    "AsyncBatch",
    "AsyncClient",
    "AsyncFile",
    "AsyncJob",
    "Attempt",
    "Batch",
    "Cancelled",
    "Client",
    "Conflict",
    "Draft",
    "EngineFailed",
    "Environment",
    "Estimate",
    "Event",
    "Fault",
    "File",
    "Folder",
    "FolderEntry",
    "FolderFile",
    "Gone",
    "ImageFailed",
    "InputFailed",
    "Invalid",
    "Job",
    "JobFailed",
    "JobLost",
    "JobgateError",
    "Jobs",
    "LimitReached",
    "NoRoom",
    "NotAllowed",
    "NotConfigured",
    "NotFound",
    "OutputFailed",
    "Preempted",
    "ProgramFailed",
    "Refused",
    "Replication",
    "Result",
    "SubmitOptions",
    "TimedOut",
    "TooMany",
    "Undecided",
    "Unreachable",
    "Upload",
    "Waits",
    "Webhook",
]


def __getattr__(name: str) -> object:
    """The name, from where it lives. Raises AttributeError."""
    for home, names in _HOMES.items():
        if name in names:
            found: object = getattr(import_module(home), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
