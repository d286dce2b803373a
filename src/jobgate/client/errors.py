"""Everything that a call of the client can raise, in one tree. Catch at the height you care for.

.. code-block:: text

    JobgateError
    ├── NotConfigured           no key, or a key file that others can read
    ├── Unreachable             no answer that can be relied on; the outcome is unknown
    ├── TimedOut                the time you gave is over (also a TimeoutError); the work goes on
    ├── Refused                 the server answered, and said no
    │   ├── Invalid             a value is wrong; ``errors`` has each with its path
    │   ├── NotAllowed          no key, one that does not hold, or not this account's to do
    │   ├── NotFound            unknown, or another account's: both look the same
    │   │   └── Gone            was here; its retention ended
    │   ├── Conflict            the present state does not allow it
    │   ├── TooMany             over a quota or a rate, beyond the time the client waits by itself
    │   └── NoRoom              the server's disk is full, or it is stopping or overloaded
    └── JobFailed               a job whose result was asked did not succeed; ``job`` is its id
        ├── ProgramFailed       the command ended with another code than 0, or by a signal
        ├── InputFailed         an input could not be brought in
        ├── OutputFailed        a required output is missing, or could not be stored
        ├── ImageFailed         the image is unknown there, or could not be made ready
        ├── LimitReached        stopped at a limit; ``limit`` says which
        ├── EngineFailed        the engine refused or broke
        ├── JobLost             what became of it cannot be known
        ├── Preempted           the environment took its place back
        ├── Undecided           the replicas never agreed
        └── Cancelled           it was asked to stop

``str(error)`` is three lines: what did not happen, why, and what to do next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from jobgate.client.words import plain
from jobgate.model.errors import JobgateError

NO_FILE: Final = "no-file"
"""The code of what is wrong here already: a file that is named and not there."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with a request."""

    code: str = ""
    detail: str = ""
    pointer: str = ""
    """Where in the body, as a JSON pointer: `#/template/memory`."""
    parameter: str = ""
    """Or which query parameter."""

    def __str__(self) -> str:
        place = self.pointer or self.parameter
        named = place.rpartition("/")[2]
        tells = not place or self.detail.partition(": ")[0].endswith(named)  # the detail begins with its place
        return plain(self.detail if tells else f"{place}: {self.detail}")


def three_lines(what: str, why: str, next_: str) -> str:
    """What did not happen, why, and what next; a part that is empty has no line."""
    whys = [f"  why   {line}" for line in why.splitlines() if line.strip()]
    return "\n".join([what, *whys, *([f"  next  {next_}"] if next_ else [])])


class NotConfigured(JobgateError):
    """The client does not know its server or key."""

    code = "not-configured"

    def __init__(self, what: str, *, why: str, next_: str) -> None:
        super().__init__(three_lines(what, why, next_))


class Unreachable(JobgateError):
    """No answer that can be relied on came. The outcome is unknown; asking again with the same key is safe."""

    code = "unreachable"
    retryable = True

    def __init__(self, what: str, *, why: str, next_: str = "", key: str = "") -> None:
        again = f"the outcome is unknown; the same call with idempotency_key={key!r} cannot make it twice"
        super().__init__(three_lines(what, why, next_ or (again if key else "try again; nothing is lost by it")))
        self.key = key
        """The Idempotency-Key under which it was sent; empty where none was."""


class TimedOut(JobgateError, TimeoutError):
    """The time that was given is over. The work goes on."""

    code = "timed-out"
    retryable = True

    def __init__(self, what: str, *, why: str, next_: str) -> None:
        super().__init__(three_lines(what, why, next_))


class Refused(JobgateError):
    """The server answered, and said no."""

    def __init__(  # noqa: PLR0913  # what a problem document of RFC 9457 says
        self,
        what: str,
        *,
        status: int = 0,
        code: str = "refused",
        detail: str = "",
        next_: str = "",
        errors: tuple[Fault, ...] = (),
        request: str = "",
        retry_after: float | None = None,
        oldest: int | None = None,
    ) -> None:
        found = [str(fault) for fault in errors[:FAULTS]]
        more = [f"and {len(errors) - FAULTS} more"] if len(errors) > FAULTS else []
        super().__init__(three_lines(what, "\n".join([*found, *more] or [detail]), next_), code=code)
        self.what = what
        self.status = status
        self.detail = detail
        self.next = next_
        self.errors = errors
        """Each fault with its path; programs read these."""
        self.request = request
        """The Request-Id, for the operator's log."""
        self.retry_after = retry_after
        self.oldest = oldest
        """Of events that are gone: the cursor to go on from."""
        self.resent = False
        """Whether an earlier try of the same call may have arrived: then this answer may speak of its effect."""


class Invalid(Refused):
    """A value is wrong."""


class NotAllowed(Refused):
    """No key, one that does not hold, or not this account's to do."""


class NotFound(Refused):
    """Unknown, or another account's."""


class Gone(NotFound):
    """It was there; its retention ended."""


class Conflict(Refused):
    """The present state does not allow it."""


class TooMany(Refused):
    """Over a quota or a rate."""

    retryable = True


class NoRoom(Refused):
    """The server cannot take it now."""

    retryable = True


FAULTS: Final = 5
"""So many faults are shown; `errors` has them all."""
BY_STATUS: Final[Mapping[int, type[Refused]]] = {
    400: Invalid,
    413: Invalid,
    415: Invalid,
    422: Invalid,
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
    410: Gone,
    409: Conflict,
    412: Conflict,
    429: TooMany,
    503: NoRoom,
    507: NoRoom,
}


class JobFailed(JobgateError):
    """A job did not succeed."""

    code = "job-failed"

    def __init__(  # noqa: PLR0913  # what is known of the end
        self,
        job: str,
        *,
        failure: str = "",
        limit: str = "",
        exit_code: int | None = None,
        message: str = "",
        last_lines: tuple[str, ...] = (),
    ) -> None:
        words = [failure or "cancelled", *([limit] if limit else [])]
        words += [f"exit {exit_code}"] if exit_code is not None and failure == "program" else []
        why = message or (last_lines[-1] if last_lines else "")
        next_ = f"client.job({job!r}).logs(), or: jobgate logs {job}"
        super().__init__(three_lines(f"{job} {'failed: ' if failure else ''}{', '.join(words)}", why, next_))
        self.job = job
        """The job's id."""
        self.failure = failure
        self.limit = limit
        self.exit_code = exit_code
        self.last_lines = last_lines
        """The end of its log."""


class ProgramFailed(JobFailed):
    """The command ended with another code than 0, or by a signal."""


class InputFailed(JobFailed):
    """An input could not be brought in."""


class OutputFailed(JobFailed):
    """A required output is missing, or could not be stored."""


class ImageFailed(JobFailed):
    """The image is unknown there, or could not be made ready."""


class LimitReached(JobFailed):
    """Stopped at a limit."""


class EngineFailed(JobFailed):
    """The engine refused or broke."""


class JobLost(JobFailed):
    """What became of it cannot be known."""


class Preempted(JobFailed):
    """The environment took its place back."""


class Undecided(JobFailed):
    """The replicas never agreed."""


class Cancelled(JobFailed):
    """It was asked to stop."""


BY_FAILURE: Final[Mapping[str, type[JobFailed]]] = {
    "": Cancelled,
    "program": ProgramFailed,
    "input": InputFailed,
    "output": OutputFailed,
    "image": ImageFailed,
    "limit": LimitReached,
    "engine": EngineFailed,
    "lost": JobLost,
    "preempted": Preempted,
    "undecided": Undecided,
}
"""One class for each failure word of the model; a word of a newer server is JobFailed itself."""
