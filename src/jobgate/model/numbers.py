"""Small numbers: what batches, jobs and attempts are called where an integer has 32 bits [BOINC, section 2.4].

Every batch has a range of them: its own number, and for each of its jobs `WIDTH`: the job's, and one for each of its
attempts. A batch that was made with its jobs is called what its first job is called; one that was made empty has a
number of its own. A number is free again when its batch is gone.
"""

from __future__ import annotations

from typing import Final

MOST: Final = (1 << 31) - 1
"""The greatest there is."""
WIDTH: Final = 16
"""Numbers that each job has."""


def of_job(first: int, place: int) -> int:
    """The number of the job at a place, from 0; `first` is that of its batch's first job."""
    return first + place * WIDTH


def of_attempt(job: int, attempt: int) -> int:
    """The number of an attempt, from 1; all from the fifteenth on share one."""
    return job + min(attempt, WIDTH - 1)


def parts(first: int, number: int) -> tuple[int, int]:
    """The place of the job, and which of its attempts; 0: the job itself."""
    return divmod(number - first, WIDTH)


def width(count: int) -> int:
    """How many numbers a batch of so many jobs has."""
    return max(count, 1) * WIDTH
