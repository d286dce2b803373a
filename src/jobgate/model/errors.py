"""Everything that can go wrong, in one tree.

.. code-block:: text

    JobgateError
    ├── RequestError            the asker must change something
    │   ├── Invalid             a value is wrong; ``field`` says which
    │   ├── Unauthenticated     no identity, or one that does not hold
    │   ├── Forbidden           known, but not allowed
    │   ├── NotFound            unknown, or another account's: both look the same
    │   ├── Gone                was here; its retention ended
    │   ├── Conflict            the job, key or guard is in another state than the request needs
    │   │   ├── Reused          an idempotency key made something else; ``made`` says what
    │   │   └── Misplaced       a part of an upload that does not begin where the last one ended; ``offset`` says where
    │   ├── Unsatisfiable       a range of bytes that begins behind the end; ``size`` says where that is
    │   ├── TooLarge            a body, a batch, a file over its limit
    │   ├── Unrunnable          understood, but no environment here can run it
    │   ├── MethodNotAllowed    right path, wrong method
    │   └── TooMany             a quota or a rate; ``retry_after`` says when to come again
    ├── Unavailable             the gateway cannot now: stopping, full disk, locked store
    ├── EngineError             an engine failed; ``retryable`` tells transient from final
    ├── FetchError              an input or a call on the way out failed
    └── IllegalMove             an event met a state that cannot take it: a bug in the caller

Each error has a ``code`` (stable, kebab-case, for programs), a message (for people: what, why and what next), and
``retryable``: whether the same request can succeed later without change. Messages never carry a secret.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Self


class JobgateError(Exception):
    """Something went wrong."""

    code: str = "internal"
    retryable: bool = False

    def __init__(  # noqa: PLR0913  # all that an error may say of itself
        self,
        message: str | None = None,
        *,
        code: str | None = None,
        field: str | None = None,
        retryable: bool | None = None,
        retry_after: float | None = None,
        about: str = "",
    ) -> None:
        super().__init__(message or (self.__doc__ or "").strip())
        if code is not None:
            self.code = code
        self.field = field
        if retryable is not None:
            self.retryable = retryable
        self.retry_after = retry_after
        self.about = about
        """The name or address that was asked for, where the error is that it cannot be had."""

    @property
    def message(self) -> str:
        """The text for people."""
        return str(self.args[0])


class RequestError(JobgateError):
    """The request cannot be carried out as it stands."""

    code = "invalid"


class Invalid(RequestError):
    """A value is not allowed."""

    code = "invalid"


class Unauthenticated(RequestError):
    """No credential was given, or it does not hold."""

    code = "unauthenticated"


class Forbidden(RequestError):
    """This account may not do that."""

    code = "forbidden"


class NotFound(RequestError):
    """There is no such thing here."""

    code = "not-found"


class Gone(RequestError):
    """It was here; its retention time has ended."""

    code = "gone"
    oldest: int | None = None
    """Of events: the cursor after which all of them are kept."""


class Conflict(RequestError):
    """The present state does not allow it."""

    code = "conflict"


class Misplaced(Conflict):
    """It does not begin where what is here ends."""

    code = "offset"

    offset: int = 0
    """Where what is here ends."""

    @classmethod
    def at(cls, offset: int, message: str) -> Self:
        """The error that names the place."""
        error = cls(message)
        error.offset = offset
        return error


class Reused(Conflict):
    """This key belongs to another request; use a new key, or send the first body."""

    code = "key-reused"

    ident: int = 0
    """The number of what it made."""
    made: str = ""
    """The id of the job or batch that it made; empty where that is not kept any more, or neither."""
    job: bool = False
    """Whether that is a job."""

    @classmethod
    def by(cls, made: str, at: float, *, job: bool) -> Self:
        """The error that names what the key made, and when."""
        when = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        error = cls(f"this key made {made} at {when} with a different body; use a new key, or send the first body")
        error.made, error.job = made, job
        return error


class Unsatisfiable(RequestError):
    """The range begins behind the end of what it is asked of."""

    code = "range"

    size: int = 0
    """Bytes there are."""

    @classmethod
    def beyond(cls, size: int) -> Self:
        """The error that says how many bytes there are."""
        error = cls(f"there are {size} bytes, and the range begins behind them")
        error.size = size
        return error


class TooLarge(RequestError):
    """Larger than this server accepts."""

    code = "too-large"


class Unrunnable(RequestError):
    """No compute environment of this server can run it."""

    code = "unrunnable"


class MethodNotAllowed(RequestError):
    """This path answers to another method."""

    code = "method-not-allowed"


class TooMany(RequestError):
    """Over the quota or the rate of this account."""

    code = "too-many"
    retryable = True


class Unavailable(JobgateError):
    """The server cannot do this now; nothing was changed."""

    code = "unavailable"
    retryable = True


class EngineError(JobgateError):
    """The engine refused or failed."""

    code = "engine"


class FetchError(JobgateError):
    """A file or an answer could not be fetched."""

    code = "fetch"


class IllegalMove(JobgateError):
    """This event cannot happen in this state."""

    code = "illegal-move"
