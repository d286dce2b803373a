"""Events a second through `advance`, beside the same loop that only copies a job: a ratio, from one run."""

from __future__ import annotations

import time

from msgspec.structs import replace

from jobgate.model.advance import advance
from jobgate.model.attempt import Exit, Lease
from jobgate.model.events import Claim, Collected, Exited, Started
from jobgate.model.facts import Attempts, Submitted, born
from jobgate.model.ids import AccountId, BatchId, EnvironmentName, JobId, NodeName, SpecId
from jobgate.model.job import Argv, JobSpec, Step

JOBS = 5_000
SPEC = JobSpec(steps=(Step(command=Argv(("true",))),))
LIFE = (
    Claim(EnvironmentName("here"), Lease(NodeName("n"), 1), straight=True),
    Started(1, 2.0),
    Exited(1, 3.0, Exit(0)),
    Collected(1),
)


def main() -> None:
    """Prints microseconds a job for a whole life and for the floor."""
    birth = Submitted(BatchId(64), AccountId(1), SpecId(1))
    begun = time.perf_counter()
    for _ in range(JOBS):
        job = born(JobId(64), 1.0, birth)
        attempts: Attempts = ()
        for event in LIFE:
            step = advance(job, attempts, event, 4.0, spec=SPEC)
            job, attempts = step.job, step.attempts
    life = time.perf_counter() - begun
    begun = time.perf_counter()
    for _ in range(JOBS):
        job = born(JobId(64), 1.0, birth)
        for version in range(len(LIFE)):
            job = replace(job, version=version)
    floor = time.perf_counter() - begun
    micro = 1e6 / JOBS
    print(f"one life of {len(LIFE)} events: {life * micro:.1f} us; {len(LIFE)} bare copies: {floor * micro:.1f} us")


if __name__ == "__main__":
    main()
