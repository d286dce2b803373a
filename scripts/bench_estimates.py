"""How often the interval of an estimate held: jobs of random short durations, each asked about before it is submitted.

Goal: four times in five. The durations are lognormal around a tenth of a second, and the jobs come at random, now and
then several at once, so that two slots are sometimes idle and sometimes have a queue.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import httpx

JOBS: Final = 200
WARM: Final = 20
"""Jobs before the first that is judged."""
MEDIAN: Final = 0.1
SPREAD: Final = 0.6
PAUSE: Final = 0.075
"""Seconds between two arrivals on average; a fifth of the arrivals are of five jobs at once."""
BURST: Final = 5


def rows(client: httpx.Client) -> Iterator[tuple[str, str, str, str]]:
    """What was estimated, how often it held, beside what it rested on, and the goal."""
    asked = list(_asked(client, random.Random(4)))  # noqa: S311  # durations for a benchmark
    seen = {job: _ended(client, job) for job, _, _ in asked}
    for what in ("run", "start", "end"):
        judged = [pair for job, at, told in asked[WARM:] if (pair := _judged(what, at, told, seen[job])) is not None]
        held = sum(low <= true <= high for low, high, true, _ in judged)
        off = sorted((high - low) for low, high, _, _ in judged)[len(judged) // 2]
        least, most = min(runs for *_, runs in judged), max(runs for *_, runs in judged)
        beside = f"{least} to {most} runs, {off:.2f} s wide"
        yield f"estimates that held: {what}", f"{held / len(judged):.0%}", beside, "about 80 %"


def _asked(client: httpx.Client, chance: random.Random) -> Iterator[tuple[str, float, dict[str, Any]]]:
    """Each job, when it was submitted, and what was expected just before."""
    left = JOBS
    while left:
        for _ in range(min(BURST if chance.random() < 1 / BURST else 1, left)):
            body = {"command": ["sleep", f"{chance.lognormvariate(0, SPREAD) * MEDIAN:.4f}"]}
            told = client.post("/v1/estimates", json=body).raise_for_status().json()
            at = time.time()
            made = client.post("/v1/jobs", json=body).raise_for_status().json()
            left -= 1
            yield made["id"], at, told
        time.sleep(chance.expovariate(1 / PAUSE))


def _ended(client: httpx.Client, job: str) -> dict[str, Any]:
    seen: dict[str, Any] = client.get(f"/v1/jobs/{job}?wait=60").raise_for_status().json()
    return seen


def _judged(what: str, at: float, told: dict[str, Any], job: dict[str, Any]) -> tuple[float, float, float, int] | None:
    """The interval, what came, and the past runs; None when nothing was said."""
    span = told[what]
    if "value" not in span:
        return None
    started, ended = (datetime.fromisoformat(job[name]).timestamp() for name in ("started", "ended"))
    true = {"run": ended - started, "start": started - at, "end": ended - at}[what]
    slack = 0.0011  # times are told to the millisecond
    return span["from"] - slack, span["to"] + slack, true, span["runs"]


def main(arguments: Sequence[str] = ()) -> int:
    """Prints the rows of a gateway of its own."""
    from bench import Server, row  # noqa: PLC0415  # which calls this module

    del arguments
    server = Server("none", 2)
    for line in rows(server.client):
        row(*line)
    server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
