"""What `jobgate status` shows of a job that is run several times."""

from __future__ import annotations

from datetime import UTC, datetime

from jobgate.cli.describe import job_lines
from jobgate.client.records import Attempt, JobRecord

NOW = datetime(2026, 11, 24, 23, 9, tzinfo=UTC)


def attempt(number: int, verdict: str, place: str) -> Attempt:
    return Attempt(
        id=f"2n6r0kqa-1-{number}",
        number=number,
        replica=number,
        state="ended",
        environment=place,
        started=NOW,
        ended=NOW,
        verdict=verdict,
    )


def test_each_attempt_is_shown_with_its_verdict_and_the_canonical_one_is_named() -> None:
    both = (attempt(1, "too_late", "north"), attempt(2, "valid", "south"))
    job = JobRecord(
        id="2n6r0kqa-1", state="succeeded", created=NOW, ended=NOW, canonical=2, attempt_count=2, attempts=both
    )
    text = "\n".join(job_lines(job, "", NOW, 120))
    assert "ran        south" in text
    assert "attempt 1  too late; north" in text
    assert "attempt 2  valid, its files are the job's; south" in text


def test_a_job_that_failed_undecided_shows_what_each_attempt_came_to_and_a_plain_one_shows_nothing_more() -> None:
    both = (attempt(1, "inconclusive", "north"), attempt(2, "inconclusive", "south"))
    failed = JobRecord(id="2n6r0kqa-1", state="failed", failure="undecided", message="the replicas never agreed")
    shown = JobRecord(**{name: getattr(failed, name) for name in ("id", "state", "failure", "message")}, attempts=both)
    assert "attempt 2  inconclusive; south" in "\n".join(job_lines(shown, "", NOW, 120))
    assert "attempt 1 " not in "\n".join(job_lines(failed, "", NOW, 120))
