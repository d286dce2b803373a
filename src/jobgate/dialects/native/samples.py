"""What the reference shows: answers and bodies as they are, drawn with the wire types so that they cannot be wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from jobgate.dialects.native.wire import (
    AllowedView,
    AttemptView,
    BatchView,
    CreditView,
    ExitView,
    FailureView,
    FileView,
    JobView,
    UsageView,
)
from jobgate.model.catalogue import App
from jobgate.model.template import InputSlot, OutputSlot, Template

# --- bodies

SHOWN_APP: Final = App(
    name="uppercase",
    title="Capital letters",
    command=("tr", "a-z", "A-Z"),
    template=Template(inputs=(InputSlot(path="in"),), outputs=(OutputSlot(path="out", limit=4_000_000),)),
)
JOB_BODY: Final[Mapping[str, Any]] = {"command": ["sh", "-c", "echo hello"], "name": "greeting"}
FULL_BODY: Final[Mapping[str, Any]] = {
    "name": "count words",
    "labels": {"project": "birds"},
    "priority": 10,
    "command": ["sh", "-c", "wc -w < text/in.txt > results/words.txt; env > results/env.log"],
    "env": {"LC_ALL": "C"},
    "inputs": [
        {"path": "text/in.txt", "content": "one two three\n"},
        {"path": "results/run.sh", "content": "#!/bin/sh\n", "executable": True},
    ],
    "outputs": [
        {"path": "results/words.txt", "required": True},
        {"path": "results/*.log", "kind": "wildcard", "keep": "always"},
    ],
    "cores": 1,
    "memory": "256MiB",
    "walltime": 600,
    "tries": 2,
}
FIT: Final[Mapping[str, Any]] = {"command": ["python", "fit.py", "--lr", "{lr}", "--seed", "{seed}"]}
EQUAL_BODY: Final[Mapping[str, Any]] = {"name": "equal", "template": {"command": ["true"]}, "count": 1000}
BATCH_BODIES: Final[Mapping[str, Any]] = {
    "A sweep over every combination": {
        "name": "fit",
        "template": FIT,
        "sweep": {"lr": [0.1, 0.01], "seed": {"from": 0, "to": 500}},
    },
    "A sweep over the rows of a table": {
        "name": "fit",
        "template": FIT,
        "sweep": [{"lr": 0.1, "seed": 1}, {"lr": 0.01, "seed": 7}],
    },
    "Copies that know their place": {
        "template": {"command": ["./part", "{index}"]},
        "count": 8,
        "placeholders": True,
    },
    "One job a line": '{"command": ["echo", "a"]}\n{"command": ["echo", "b"]}\n',
    "Different jobs": {"jobs": [{"command": ["echo", "a"]}, {"command": ["echo", "b"]}]},
    "Jobs with names of their own": {"jobs": [{"command": ["echo", "a"], "name": "first"}]},
    "No jobs yet": {"open": True, "name": "later", "expires": "2026-12-24T18:00:00Z"},
}

# --- answers

NEW_JOB: Final = JobView(
    id="2n6r0kqa-1",
    batch="2n6r0kqa",
    number=1,
    state="queued",
    created="2026-11-24T23:09:27.658Z",
    name="greeting",
    command=("sh", "-c", "echo hello"),
    attempt_count=0,
    dialect="native",
)
JOB: Final = JobView(
    id="2n6r0kqa-640",
    batch="2n6r0kqa",
    number=640,
    state="failed",
    created="2026-11-24T23:09:27.658Z",
    name="fit",
    command=("python", "fit.py", "--lr", "-1", "--seed", "7"),
    parameters={"lr": -1, "seed": 7},
    environment="local",
    node="node-0",
    started="2026-11-24T23:09:27.738Z",
    ended="2026-11-24T23:09:29.641Z",
    exit_code=1,
    failure="program",
    attempt_count=1,
    outputs=(FileView(path="fit.log", size=109, sha256="9f" * 32, output=0, mode=0o644),),
    dialect="native",
)
ATTEMPT: Final = AttemptView(
    id="2n6r0kqa-640-1",
    number=1,
    replica=1,
    try_=1,
    state="ended",
    environment="local",
    node="node-0",
    created="2026-11-24T23:09:27.702Z",
    started="2026-11-24T23:09:27.738Z",
    ended="2026-11-24T23:09:29.641Z",
    exit_code=1,
    failure="program",
    usage=UsageView(cpu_seconds=1.84, wall_seconds=1.903, max_memory=96 << 20),
    allowed=AllowedView(memory=256 << 20),
    steps=(ExitView(exit_code=1),),
)
NEW_BATCH: Final = BatchView(
    id="2n6r4gp3",
    name="equal",
    count=1000,
    state="queued",
    created="2026-11-24T23:11:35.619Z",
    over=False,
    counts={"queued": 1000},
    progress=0.0,
    dialect="native",
)
FILLED: Final = replace(NEW_BATCH, name="later", count=2, counts={"queued": 2}, small_number=17)
BATCH: Final = BatchView(
    id="2n6r0kqa",
    name="fit",
    count=1000,
    state="running",
    created="2026-11-24T23:09:27.658Z",
    started="2026-11-24T23:09:27.738Z",
    over=False,
    counts={"queued": 356, "running": 32, "succeeded": 605, "failed": 7},
    progress=0.612,
    environments=("local",),
    dialect="native",
    credit=CreditView(estimate=2314.5, canonical=1400.25, total=1400.25),
    cpu_seconds=1113.2,
)
STOPPED: Final = replace(
    BATCH,
    counts={"cancelling": 32, "succeeded": 605, "failed": 7, "cancelled": 356},
    state="cancelling",
    progress=0.968,
)
FAILURE: Final = FailureView(
    failure="program", exit_code=1, count=5, such_as="2n6r0kqa-17", last_line="ValueError: lr must be positive"
)
