"""BOINC's Web RPCs by the side of a real gateway: large batches sent in and asked about, and tasks through their life.

Its published mark is 8.8 million tasks a day on one server, each task one instance of a job. While large batches are
measured, both slots are taken by jobs that sleep: what is counted is the gateway's own work.
"""

from __future__ import annotations

import os
import statistics
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import httpx

if TYPE_CHECKING:
    from bench import Server

APP: Final = """
[apps.bench]
title = "Ends at once"
command = ["/bin/true"]

[apps.bench.template]
replication = { replicas = 2, quorum = 2, errors = 3, successes = 4, total = 6 }
"""
"""Both instances write nothing, and so they agree."""
JOBS: Final = 10_000
MANY: Final = 100_000
BATCHES: Final = 1_000
LIVES: Final = int(os.environ.get("JOBGATE_BENCH_JOBS", "1000"))
MARK: Final = 8_800_000
"""Tasks a day."""
_DAY: Final = 86_400
_PAUSE: Final = 0.005
"""Seconds between two single submits beside something large."""
_FORM: Final = "application/x-www-form-urlencoded"
_HANDLER: Final = "/boinc/submit_rpc_handler.php"
_TEMPLATE: Final = (
    "<input_template><file_info></file_info><workunit><file_ref><open_name>in</open_name></file_ref>"
    "<rsc_fpops_est>1e12</rsc_fpops_est><min_quorum>1</min_quorum><target_nresults>1</target_nresults></workunit>"
    "</input_template>"
)
Row = tuple[str, str, str, str]


def rows(server: Server, floor: Callable[[str, int], float]) -> Iterator[Row]:
    """What was measured, how much it was, beside what, and the goal. The server was started with `APP`."""
    asker = _Asker(server)
    yield _lived(asker, floor)
    with _busy(asker):
        yield from _taken(asker)
        yield _listed(asker)
        for count in (JOBS, MANY):
            yield from _told(asker, count)


class _Asker:
    """Who asks: the same account by both APIs."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.client = server.client
        self._authenticator = server.credential("boinc")

    def form(self, name: str, inner: str) -> bytes:
        """A request, as clients send it."""
        document = f"<{name}><authenticator>{self._authenticator}</authenticator>{inner}</{name}>"
        return urlencode({"request": document}).encode()

    def call(self, name: str, inner: str = "") -> ET.Element:
        """The answer."""
        answer = self.client.post(_HANDLER, content=self.form(name, inner), headers={"content-type": _FORM})
        told = ET.fromstring(answer.raise_for_status().content)  # noqa: S314  # the answer of our own gateway
        assert told.find("error") is None, answer.text
        return told

    def native(self, count: int, **more: str) -> str:
        """A batch by the native API; its id."""
        body = {"template": {"command": ["/bin/true"]}, "count": count, **more}
        return str(self.client.post("/v1/batches", json=body).raise_for_status().json()["id"])

    def newest(self) -> str:
        """The number of the batch that was made last."""
        return self.call("query_batches").findall("batch")[-1].findtext("id", "")


@contextmanager
def _busy(asker: _Asker) -> Iterator[None]:
    """Nothing that is submitted is run meanwhile."""
    body = {"template": {"command": ["sleep", "600"]}, "count": 2, "priority": 1000}
    made = asker.client.post("/v1/batches", json=body).raise_for_status().json()["id"]
    while asker.client.get(f"/v1/batches/{made}").json()["counts"].get("running", 0) < 2:  # noqa: PLR2004  # the slots
        time.sleep(_PAUSE)
    yield
    asker.client.post(f"/v1/batches/{made}/cancel").raise_for_status()


@contextmanager
def _beside(server: Server) -> Iterator[list[float]]:
    """Milliseconds that single native submits take meanwhile."""
    times: list[float] = []
    over = threading.Event()

    def submit() -> None:
        with httpx.Client(base_url=server.url, headers=server.client.headers, timeout=60) as client:
            while not over.wait(_PAUSE):
                began = time.perf_counter()
                client.post("/v1/jobs", json={"command": ["/bin/true"]}).raise_for_status()
                times.append((time.perf_counter() - began) * 1000)

    thread = threading.Thread(target=submit)
    thread.start()
    try:
        yield times
    finally:
        over.set()
        thread.join()


def _late(times: list[float]) -> str:
    """The 99th percentile, or of a few the longest."""
    whole = len(times) >= 100  # noqa: PLR2004  # hundredths
    return f"{statistics.quantiles(times, n=100)[98] if whole else max(times):.0f} ms"


def _taken(asker: _Asker) -> Iterator[Row]:
    """submit_batch of jobs with a template and an inline file each, and of plain ones."""
    whole = "".join(
        f"<job><command_line>--t {i}</command_line><input_file><mode>inline</mode><source>content of {i}</source>"
        f"</input_file>{_TEMPLATE}</job>"
        for i in range(JOBS)
    )
    plain = "".join(f"<job><command_line>--t {i}</command_line></job>" for i in range(JOBS))
    asker.call("submit_batch", f"<batch><app_name>bench</app_name>{plain[: plain.index('</job>') + 6]}</batch>")
    for what, jobs in (("with templates and files", whole), ("plain", plain)):
        body = asker.form("submit_batch", f"<batch><app_name>bench</app_name>{jobs}</batch>")
        before = asker.server.cpu()
        rate, grown = asker.server.taken(_HANDLER, body, _FORM, JOBS)
        spent = asker.server.cpu() - before
        beside = f"{spent / JOBS * 1e6:.0f} us each, grew {grown:.0f} MB"
        yield f"BOINC: {JOBS:,} jobs {what}, taken", f"{rate:,.0f}/s", beside, ">= 20,000/s"
    with _beside(asker.server) as times:
        asker.server.taken(
            _HANDLER, asker.form("submit_batch", f"<batch><app_name>bench</app_name>{whole}</batch>"), _FORM, JOBS
        )
    yield "BOINC: a single submit beside such a batch", _late(times), f"of {len(times)}", "p99 <= 100 ms"


def _listed(asker: _Asker) -> Row:
    """query_batches."""
    for _ in range(BATCHES):
        asker.native(2)
    times = []
    for _ in range(5):
        began = time.perf_counter()
        told = asker.client.post(_HANDLER, content=asker.form("query_batches", ""), headers={"content-type": _FORM})
        times.append((time.perf_counter() - began) * 1000)
        assert told.content.count(b"<batch>") >= BATCHES
    return f"BOINC: query_batches, {BATCHES:,} of them", f"{min(times):.0f} ms", "", "<= 100 ms"


def _told(asker: _Asker, count: int) -> Iterator[Row]:
    """query_batch with details, single submits beside it, and query_batch2 when little has changed."""
    name = f"told-{count}"
    asker.native(count, name=name)
    number = asker.newest()
    first = asker.call("query_batch2", f"<batch_name>{name}</batch_name>").findtext("server_time", "")
    body = asker.form("query_batch", f"<batch_id>{number}</batch_id><get_job_details>1</get_job_details>")
    server = asker.server
    before = server.peak(anew=True)
    with _beside(server) as times:
        began, seen = time.perf_counter(), 0
        with asker.client.stream("POST", _HANDLER, content=body, headers={"content-type": _FORM}) as answer:
            for piece in answer.iter_bytes():
                seen += piece.count(b"<status>")
        rate = count / (time.perf_counter() - began)
    assert seen >= count * 0.99  # a mark that is cut in two is not seen
    grown = f"grew {(server.peak() - before) / 1024:.0f} MB, beside it {_late(times)}"
    yield f"BOINC: query_batch with details of {count:,} jobs", f"{rate:,.0f}/s", grown, ">= 10,000/s, flat"
    if count < MANY:
        return
    asker.call("abort_jobs", f"<batch_id>{number}</batch_id>" + _first_jobs(asker, number))
    began = time.perf_counter()
    changed = asker.call("query_batch2", f"<min_mod_time>{first}</min_mod_time><batch_name>{name}</batch_name>")
    spent = (time.perf_counter() - began) * 1000
    told = len(changed.findall("job"))
    yield f"BOINC: query_batch2, {told} of {count:,} jobs changed", f"{spent:.0f} ms", "", "<= 50 ms"


def _first_jobs(asker: _Asker, number: str) -> str:
    """Names of some jobs of a batch, as abort_jobs takes them."""
    told = asker.call("query_batch", f"<batch_id>{number}</batch_id>")
    names = [job.findtext("name", "") for job in told.findall("job")[:10]]
    return "".join(f"<job_name>{name}</job_name>" for name in names)


def _lived(asker: _Asker, floor: Callable[[str, int], float]) -> Row:
    """Jobs of two instances each: submitted, run, compared, retired."""
    jobs = "".join(f"<job><command_line>{i}</command_line></job>" for i in range(LIVES))
    base = floor("/bin/true", 2 * LIVES)
    began = time.perf_counter()
    number = asker.call("submit_batch", f"<batch><app_name>bench</app_name>{jobs}</batch>").findtext("batch_id", "")
    ident = asker.client.get("/v1/batches?limit=1").raise_for_status().json()["items"][0]["id"]
    while True:
        counts = asker.client.get(f"/v1/batches/{ident}?wait=60").json()["counts"]
        if counts.get("succeeded", 0) + counts.get("failed", 0) >= LIVES:
            break
    asker.call("retire_batch", f"<batch_id>{number}</batch_id>")
    rate = 2 * LIVES / (time.perf_counter() - began)
    assert counts == {"succeeded": LIVES}, counts
    beside = f"xargs {base:.0f}/s: {rate / base:.2f}"
    mark = f"> {MARK / 1e6:.1f} M a day"
    return f"BOINC: {LIVES:,} jobs twice, compared, retired", f"{rate * _DAY / 1e6:.0f} M tasks a day", beside, mark


def main() -> int:
    """Prints the rows of a gateway of its own."""
    from bench import Server, floor, row  # noqa: PLC0415  # which calls this module

    server = Server("none", 2, APP)
    try:
        for line in rows(server, floor):
            row(*line)
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
