"""One job's life through the model: each event, the facts it made, and the job made again from its log alone."""

from __future__ import annotations

import sys

from jobgate.model.advance import advance
from jobgate.model.attempt import Exit, Lease, Usage
from jobgate.model.events import Broke, Claim, Collected, Event, Exited, Staged, Started
from jobgate.model.facts import Attempts, Fact, Submitted, born, rebuild
from jobgate.model.files import Artifact
from jobgate.model.ids import AccountId, BatchId, Digest, EnvironmentName, JobId, NodeName, SpecId, job_text
from jobgate.model.job import Argv, JobSpec, Step
from jobgate.model.state import Failure, JobState

NOW = 1_767_225_600.0
HERE = EnvironmentName("here")
LEASE = Lease(NodeName("node-1"), 1)


def main() -> int:
    """Prints the life of a job whose first try the engine broke; 0 when the log gives the same job."""
    spec = JobSpec(steps=(Step(command=Argv(("sort", "words.txt"))),))
    birth = Submitted(BatchId(64), AccountId(1), SpecId(1))
    job = born(JobId(64), NOW, birth)
    attempts: Attempts = ()
    log = [Fact(job.id, 1, NOW, birth)]
    life: list[Event] = [
        Claim(HERE, LEASE),
        Broke(1, Failure.ENGINE, "the engine was restarted"),
        Claim(HERE, LEASE),
        Staged(2),
        Started(2, NOW + 3),
        Exited(2, NOW + 4, Exit(0), Usage(0.8, 1.0)),
        Collected(2, (Artifact("sorted.txt", Digest("0" * 64), 812),)),
    ]
    print(f"job {job_text(job.id)} is {job.state.value}")
    for second, event in enumerate(life, start=1):
        step = advance(job, attempts, event, NOW + second, spec=spec)
        job, attempts = step.job, step.attempts
        log.extend(step.facts)
        print(f"\n{type(event).__name__}: the job is {job.state.value}, {step.wanted} further attempts wanted")
        for fact in step.facts:
            print(f"  {fact.seq:>2}  {fact.data}")
    same = rebuild(log) == (job, attempts)
    print(f"\n{len(log)} facts; the job made again from them is {'the same' if same else 'ANOTHER'}")
    return 0 if same and job.state is JobState.SUCCEEDED else 1


if __name__ == "__main__":
    sys.exit(main())
