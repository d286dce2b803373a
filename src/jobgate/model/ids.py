"""Ids are types, so that a job's id cannot be handed in where a batch's is meant.

A number in memory and in the store. 63 bits: milliseconds since 2024, a counter, and the number of the gateway that
drew it; ids drawn later by one gateway are greater. The ids of one batch are drawn in one run, ``STRIDE`` apart, and
the batch's id is its first job's: the place of a job in its batch follows from the two numbers.

On the wire a short lower-case text, in base 32 (Crockford's alphabet, which has no letters that look like digits): of a
batch `2n6r0kqa`, of a job in it `2n6r0kqa-640`, of an attempt `2n6r0kqa-640-2`. Each has one spelling. A job's number
alone does not say which batch was named, so a name from the wire is a `JobName`, and who looks it up compares both.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NewType

import msgspec

from jobgate.model.errors import NotFound

AccountId = NewType("AccountId", int)
CredentialId = NewType("CredentialId", int)
BatchId = NewType("BatchId", int)
JobId = NewType("JobId", int)
SpecId = NewType("SpecId", int)
FolderId = NewType("FolderId", int)
WebhookId = NewType("WebhookId", int)
MessageId = NewType("MessageId", int)
"""One notice to one webhook."""
Digest = NewType("Digest", str)
"""SHA-256 in lower-case hexadecimal: the name of a blob."""
EnvironmentName = NewType("EnvironmentName", str)
NodeName = NewType("NodeName", str)

STRIDE: Final = 64
EPOCH_MS: Final = 1_704_067_200_000
"""2024-01-01T00:00:00Z."""
_SEQUENCE_BITS: Final = 16
_BELOW_MS: Final = 22
"""Bits of an id below its milliseconds."""
_BELOW: Final = (1 << _BELOW_MS) - 1
_MS_DIGITS: Final = 8
_LATE: Final = "u"
"""What ids begin with whose milliseconds do not fit so many digits, from 2058 on; no digit looks like it."""
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES: Final = {c: i for i, c in enumerate(_ALPHABET)}
_MAX_TEXT: Final = 13
_MAX_ORDINAL: Final = 18
"""Digits of the greatest number that a job can have in its batch."""


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


def drawn(ident: int) -> float:
    """When it was drawn."""
    return ((ident >> _BELOW_MS) + EPOCH_MS) / 1000


@lru_cache(4096)
def text(letter: str, number: int) -> str:
    """The wire form of other ids: `letter`, then the number in base 32."""
    return letter + (_digits(number) or "0")


def number(letter: str, wire: str) -> int:
    """The number behind a wire form.

    Raises NotFound for anything that is not one: a malformed id is an unknown id.
    """
    if not wire.startswith(letter) or not 1 < len(wire) <= _MAX_TEXT + 1:
        raise NotFound
    value = _value(wire[1:])
    if value >= 1 << 63 or wire[1:2] == "0":
        raise NotFound
    return value


def _digits(number: int) -> str:
    """In base 32; nothing for 0."""
    digits = ""
    while number:
        digits = _ALPHABET[number & 31] + digits
        number >>= 5
    return digits


def _value(digits: str) -> int:
    value = 0
    for char in digits:
        low = _VALUES.get(char)
        if low is None:
            raise NotFound
        value = value * 32 + low
    return value


@lru_cache(4096)
def batch_text(batch: BatchId) -> str:
    """`2n6r0kqa`: the milliseconds in 8 digits, then the rest, if there is any. These texts sort by time."""
    ms, rest = batch >> _BELOW_MS, batch & _BELOW
    whole = _digits(ms).rjust(_MS_DIGITS, "0")
    return whole + _digits(rest) if len(whole) == _MS_DIGITS else _LATE + _digits(batch).rjust(_MAX_TEXT, "0")


def batch_id(wire: str) -> BatchId:
    """The batch of this text; raises NotFound for anything else."""
    if not _MS_DIGITS <= len(wire) <= len(_LATE) + _MAX_TEXT:
        raise NotFound
    if wire.startswith(_LATE):
        value = _value(wire[1:])
    else:
        value = _value(wire[:_MS_DIGITS]) << _BELOW_MS | _value(wire[_MS_DIGITS:])
    batch = BatchId(value)
    if not 0 < value < 1 << 63 or batch_text(batch) != wire:
        raise NotFound
    return batch


class JobName(msgspec.Struct, frozen=True, gc=False):
    """What people call a job: its batch, and which of its jobs. There need not be one."""

    batch: BatchId
    job: JobId

    def __str__(self) -> str:
        return job_text(self.batch, self.job)


def job_text(batch: BatchId, job: JobId) -> str:
    """`2n6r0kqa-640`: the batch, and the job's number in it, from 1."""
    return f"{batch_text(batch)}-{place(batch, job) + 1}"


def job_name(wire: str) -> JobName:
    """The job of this text; raises NotFound for anything else."""
    whole, _, which = wire.rpartition("-")
    batch = batch_id(whole)
    job = JobId(batch + (ordinal(which) - 1) * STRIDE)
    if job >= 1 << 63:
        raise NotFound
    return JobName(batch, job)


def ordinal(wire: str) -> int:
    """A number from 1, in its one spelling; raises NotFound for anything else."""
    if not (wire.isascii() and wire.isdigit() and len(wire) <= _MAX_ORDINAL) or wire.startswith("0"):
        raise NotFound
    return int(wire)


def account_text(account: AccountId) -> str:
    """`a…`."""
    return text("a", account)


def webhook_text(webhook: WebhookId) -> str:
    """`w…`."""
    return text("w", webhook)


def message_text(message: MessageId) -> str:
    """`msg_…`."""
    return text("msg_", message)


def webhook_id(wire: str) -> WebhookId:
    """The id in `w…`; raises NotFound for anything else."""
    return WebhookId(number("w", wire))


def message_id(wire: str) -> MessageId:
    """The id in `msg_…`; raises NotFound for anything else."""
    if not wire.startswith("msg_"):
        raise NotFound
    return MessageId(number("m", wire.replace("msg_", "m", 1)))


def place(batch: BatchId, job: JobId) -> int:
    """The 0-based place of a job in its batch."""
    return (job - batch) // STRIDE
