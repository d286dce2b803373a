"""The samples of the command line, each at three widths and through a pipe: golden, so that a change is seen.

`JOBGATE_GOLDEN=1` writes them again.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from canned import (
    Canned,
    bounded,
    fit,
    fit_over,
    memory,
    problem,
    render,
    train,
    train_batch,
)
from screens import ENVIRONMENTS, same
from typed import Type

GOLDEN = Path(__file__).parent / "golden"
WIDTHS = (60, 80, 120)
SAMPLES = {
    "submit": ("submit", "--gpus", "2", "--", "python", "train.py"),
    "list": ("list",),
    "list-jobs": ("list", "--jobs"),
    "status-waiting": ("status", "2n6r1abc-1"),
    "status-quota": ("status", "2n6r1abc-3"),
    "status-failed": ("status", "2n6r0kqa-640"),
    "status-batch": ("status", "2n6r2def"),
    "wait": ("wait", "2n6r3ghj"),
    "cancel": ("cancel", "2n6r0kqa"),
    "retry": ("retry", "2n6r0kqa", "--failed"),
    "renew": ("renew", "2n6r0kqa", "--never"),
    "retire": ("retire", "2n6r0kqa"),
    "environments": ("environments",),
    "whoami": ("whoami",),
    "refused": ("submit", "--image", "tensorflow:2.19", "--", "python", "train.py"),
    "unknown": ("status", "2n6r9zzz-1"),
    "estimate": ("estimate", "--gpus", "2", "--", "python", "train.py"),
}


ACCOUNT = {
    "account": "lab",
    "id": "a7m2xq",
    "scopes": ["read", "submit"],
    "created": "2026-11-24T12:00:00.000Z",
    "counts": {"queued": 356, "running": 32},
    "quotas": {
        "live_jobs": {"limit": 1000, "used": 388},
        "running": {"limit": 32, "used": 32},
        "cores": {"limit": 48.0, "used": 33.5},
        "calls": {"limit": 20.0},
        "storage": {"used": 1 << 30},
    },
    "weight": 1.0,
}
ESTIMATE = {
    "environment": "gpu-a",
    "start": {"value": 900, "from": 480, "to": 1500, "runs": 32},
    "run": {"runs": 0},
    "end": {"value": 1900, "from": 900, "to": 3000, "runs": 32},
    "cost": {"value": 1.5, "runs": 32},
}


@pytest.fixture(autouse=True)
def world(canned: Canned) -> None:
    over = fit_over() | {"id": "2n6r3ghj"}
    canned.show(fit(), train_batch(), train(), bounded(), render(), memory(), over)
    canned.tell("GET", "/v1/batches", {"items": [fit(), train_batch(), render()], "next": None})
    canned.tell(
        "GET",
        "/v1/jobs",
        {
            "items": [train(), train(id="2n6r1abc-2", state="running", environment="gpu-a", progress=0.25)],
            "next": None,
        },
    )
    canned.tell("GET", "/v1/jobs/2n6r0kqa-640/log", "… loading shard 7\n… loading shard 8\n".encode())
    canned.tell("GET", "/v1/events", b"event: end\ndata: {}\n\n", Content_Type="text/event-stream")
    canned.tell("POST", "/v1/jobs", train(), 201)
    asked = {"id": "2n6r0kqa", "asked": 388, "cancelled": 356, "cancelling": 32, "unchanged": 612, "batch": fit()}
    canned.tell("POST", "/v1/batches/2n6r0kqa/cancel", asked, 202)
    canned.tell("POST", "/v1/batches/2n6r0kqa/retry", {"id": "2n6r0kqa", "retried": 7, "batch": fit()}, 202)
    canned.tell("PATCH", "/v1/batches/2n6r0kqa", fit())
    canned.tell("POST", "/v1/batches/2n6r0kqa/retire", fit(retired="2026-11-24T12:00:00.000Z"), 202)
    canned.tell("GET", "/v1/environments", {"items": ENVIRONMENTS})
    canned.tell("GET", "/v1/account", ACCOUNT)
    canned.tell("POST", "/v1/estimates", ESTIMATE)


def refuse_images(canned: Canned) -> None:
    detail = 'no environment has the image "tensorflow:2.19"; local takes images of its catalogue: busybox, python:3.12'
    canned.on("POST", "/v1/jobs", lambda _: problem(422, "app-not-runnable", detail, "Use an image of GET /v1/images."))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", SAMPLES)
def test_a_terminal_shows_what_the_sample_shows(canned: Canned, type_: Type, name: str, width: int) -> None:
    if name == "refused":
        refuse_images(canned)
    seen = type_(*SAMPLES[name], width=width).whole.replace(canned.url, "http://HOST")
    assert max(len(line) for line in seen.splitlines()) <= width + 3 or name in ("refused", "whoami")
    same(f"{name}-{width}.txt", seen)


@pytest.mark.parametrize("name", ["submit", "list", "list-jobs", "wait", "environments"])
def test_a_pipe_gets_tabs_no_header_and_nothing_cut(canned: Canned, type_: Type, name: str) -> None:
    seen = type_(*SAMPLES[name]).whole.replace(canned.url, "http://HOST")
    seen = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "TIME", seen)
    same(f"{name}-piped.txt", seen)
