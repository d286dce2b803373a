"""Ids are types, so that a job's id cannot be handed in where a batch's is meant.

A number in memory and in the store, a short lower-case text on the wire: a letter for the kind, then base 32
(Crockford's alphabet, which has no letters that look like digits). 63 bits: milliseconds since 2024, a counter, and the
number of the gateway that drew it; ids drawn later by one gateway are greater.

The ids of one batch are drawn in one run, ``STRIDE`` apart, and the batch's id is its first job's: the place of a job
in its batch follows from the two numbers.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NewType

from jobgate.model.errors import NotFound

AccountId = NewType("AccountId", int)
CredentialId = NewType("CredentialId", int)
BatchId = NewType("BatchId", int)
JobId = NewType("JobId", int)
SpecId = NewType("SpecId", int)
FolderId = NewType("FolderId", int)
Digest = NewType("Digest", str)
"""SHA-256 in lower-case hexadecimal: the name of a blob."""
EnvironmentName = NewType("EnvironmentName", str)
NodeName = NewType("NodeName", str)

STRIDE: Final = 64
EPOCH_MS: Final = 1_704_067_200_000
"""2024-01-01T00:00:00Z."""
_SEQUENCE_BITS: Final = 16
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES: Final = {c: i for i, c in enumerate(_ALPHABET)}
_MAX_TEXT: Final = 13


class Ids:
    """Draws ids; one object per gateway, owned by its only writer."""

    def __init__(self, node: int = 0, last: int = 0) -> None:
        if not 0 <= node < STRIDE:
            raise ValueError(f"node must be 0 to {STRIDE - 1}")
        self._node = node
        self._last = last

    def draw(self, now: float, count: int = 1) -> int:
        """The first of `count` ids that lie STRIDE apart; greater than all drawn before."""
        fresh = ((int(now * 1000) - EPOCH_MS) << _SEQUENCE_BITS) * STRIDE + self._node
        first = max(fresh, (self._last // STRIDE + 1) * STRIDE + self._node)
        self._last = first + (count - 1) * STRIDE
        return first


def bound(at: float) -> int:
    """Greater than the ids drawn until then, but for those of a burst, which run some milliseconds ahead."""
    return max(int(at * 1000) + 1 - EPOCH_MS, 1) * (STRIDE << _SEQUENCE_BITS)


@lru_cache(4096)
def text(letter: str, number: int) -> str:
    """The wire form: `letter`, then the number in base 32."""
    digits = []
    while number:
        number, low = divmod(number, 32)
        digits.append(_ALPHABET[low])
    return letter + ("".join(reversed(digits)) or "0")


def number(letter: str, wire: str) -> int:
    """The number behind a wire form.

    Raises NotFound for anything that is not one: a malformed id is an unknown id.
    """
    if not wire.startswith(letter) or not 1 < len(wire) <= _MAX_TEXT + 1:
        raise NotFound
    value = 0
    for char in wire[1:]:
        low = _VALUES.get(char)
        if low is None:
            raise NotFound
        value = value * 32 + low
    if value >= 1 << 63 or wire[1:2] == "0":
        raise NotFound
    return value


def job_text(job: JobId) -> str:
    """`j…`."""
    return text("j", job)


def batch_text(batch: BatchId) -> str:
    """`b…`."""
    return text("b", batch)


def account_text(account: AccountId) -> str:
    """`a…`."""
    return text("a", account)


def job_id(wire: str) -> JobId:
    """The id in `j…`; raises NotFound for anything else."""
    return JobId(number("j", wire))


def batch_id(wire: str) -> BatchId:
    """The id in `b…`; raises NotFound for anything else."""
    return BatchId(number("b", wire))


def place(batch: BatchId, job: JobId) -> int:
    """The 0-based place of a job in its batch."""
    return (job - batch) // STRIDE
