"""The numbers of the design that can be measured today, each beside its floor from the same run.

Floors: `xargs -P2 -n1 /bin/true` for plain jobs, the same loop over a bare `bwrap` line for sandboxed ones; for single
submits the same server answering `/healthz`. Ratios are what to read: the machine is shared with whatever else runs.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

import bench_batches
import bench_boinc
import bench_estimates

ROOT = Path(__file__).resolve().parent.parent
JOBGATE = str(ROOT / ".venv" / "bin" / "jobgate")
JOBS = int(os.environ.get("JOBGATE_BENCH_JOBS", "1000"))
SUBMITS = 3000
FLOOD = 100_000
BARE = (
    "bwrap --unshare-all --new-session --clearenv --setenv PATH /usr/bin:/bin --ro-bind /usr /usr "
    "--symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 --proc /proc --dev /dev "
    "--size 67108864 --tmpfs /tmp --bind /tmp /work --chdir /work --unshare-user --uid 1000 --gid 1000 --cap-drop ALL"
)


class Server:
    """A gateway of its own, with a native key. `more` is further configuration."""

    def __init__(self, sandbox: str, slots: int, more: str = "") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="jobgate-bench-"))
        self.folder.chmod(0o711)
        config = self.folder / "bench.toml"
        config.write_text(f'[environments.local]\nslots = {slots}\ncores = 64\nsandbox = "{sandbox}"\n{more}')
        data = str(self.folder / "data")
        self.process = subprocess.Popen(
            [JOBGATE, "serve", "--data", data, "--port", "0", "--config", str(config), "--stop-jobs"],
            stdout=subprocess.PIPE,
            stderr=(self.folder / "log").open("w"),
            text=True,
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split()[2]
        subprocess.run([JOBGATE, "account", "create", "bench", "--data", data], check=True, capture_output=True)
        self.key = self.credential("api-key")
        self.client = httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.key}"}, timeout=120)

    def credential(self, kind: str) -> str:
        """Another way in for the same account."""
        words = [JOBGATE, "credential", "add", "bench", "--kind", kind, "--data", str(self.folder / "data"), "--json"]
        made = subprocess.run(words, check=True, capture_output=True, text=True)
        return str(json.loads(made.stdout)["value"])

    def batch(self, count: int) -> float:
        """Jobs a second, from the request to the last durable exit code."""
        began = time.perf_counter()
        body = {"name": "bench", "template": {"command": ["/bin/true"]}, "count": count}
        made = self.client.post("/v1/batches", json=body).raise_for_status().json()
        while True:
            seen: dict[str, Any] = self.client.get(f"/v1/batches/{made['id']}?wait=60").json()
            counts = seen["counts"]
            if counts.get("succeeded", 0) + counts.get("failed", 0) >= count:
                return count / (time.perf_counter() - began)

    def latency(self) -> tuple[float, float]:
        """Milliseconds from submit to start, and from exit to the waiting client; medians of 25."""
        starts, ends = [], []
        for _ in range(25):
            began = time.time()
            job = self.client.post("/v1/jobs", json={"command": ["/bin/true"]}).raise_for_status().json()["id"]
            self.client.get(f"/v1/jobs/{job}?wait=30").raise_for_status()
            back = time.time()
            seen = self.client.get(f"/v1/jobs/{job}").json()
            starts.append((_stamp(seen["started"]) - began) * 1000)
            ends.append((back - _stamp(seen["ended"])) * 1000)
        return statistics.median(starts), statistics.median(ends)

    def rate(self, method: str, path: str, body: bytes) -> tuple[float, float]:
        """Answers a second over 16 connections, and the 99th percentile in milliseconds."""
        return asyncio.run(_rate(self.url, self.key, method, path, body))

    def flood(self, count: int) -> tuple[float, float]:
        """Jobs a second that one request of `count` different ones is taken with, and MB that the server grew by."""
        jobs = [{"command": ["/bin/echo", str(n)]} for n in range(count)]
        body = json.dumps({"name": "flood", "jobs": jobs}).encode()
        return self.taken("/v1/batches", body, "application/json", count)

    def taken(self, path: str, body: bytes, kind: str, count: int) -> tuple[float, float]:
        """Jobs a second that a request of `count` of them is taken with, and MB that the server grew by."""
        before = self.peak(anew=True)
        began = time.perf_counter()
        answer = self.client.post(path, content=body, headers={"content-type": kind}).raise_for_status()
        rate = count / (time.perf_counter() - began)
        assert b"<error>" not in answer.content, answer.text
        return rate, (self.peak() - before) / 1024

    def peak(self, *, anew: bool = False) -> float:
        """KB of memory, the most it had since it was last asked `anew`."""
        if anew:
            Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return float(status.split("VmHWM:")[1].split()[0])

    def cpu(self) -> float:
        """Seconds of processor that the gateway, its launcher and their jobs have used."""
        launcher = int((self.folder / "data/launcher/local/lock").read_text())
        fields = [
            Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in (self.process.pid, launcher)
        ]
        return sum(int(word) for words in fields for word in words[11:15]) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """Ends it with its jobs."""
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)


def _stamp(value: str | float) -> float:
    if isinstance(value, int | float):
        return float(value)
    return datetime.fromisoformat(value).timestamp()


async def _rate(url: str, key: str, method: str, path: str, body: bytes) -> tuple[float, float]:
    host, port = url.removeprefix("http://").split(":")
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n"
    request = f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    times: list[float] = []

    async def connection() -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        for _ in range(SUBMITS // 16):
            began = time.perf_counter()
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            assert answer[9:12] in (b"200", b"201", b"202"), answer
            times.append((time.perf_counter() - began) * 1000)
        writer.close()
        await writer.wait_closed()

    began = time.perf_counter()
    await asyncio.gather(*(connection() for _ in range(16)))
    rate = len(times) / (time.perf_counter() - began)
    return rate, statistics.quantiles(times, n=100)[98]


def floor(line: str, count: int, slots: int = 2) -> float:
    """Jobs a second of a shell loop."""
    began = time.perf_counter()
    subprocess.run(f"seq {count} | xargs -P{slots} -I@ {line}", shell=True, check=True)  # noqa: S602  # our own line
    return count / (time.perf_counter() - began)


def row(what: str, value: str, beside: str, goal: str) -> None:
    """One line of the table."""
    print(f"{what:<58}{value:>16}{beside:>28}   goal {goal}", flush=True)


def main() -> int:
    """Prints the table."""
    plain = Server("none", 2)
    plain.batch(100)
    rounds = []
    spent, floors = 0.0, os.times()
    for _ in range(3):
        base = floor("/bin/true", JOBS)
        before = plain.cpu()
        rounds.append((plain.batch(JOBS), base))
        spent += plain.cpu() - before
    ours, base = sorted(rounds, key=lambda pair: pair[0] / pair[1])[1]
    row(f"batch of {JOBS}, plain, 2 slots", f"{ours:.0f}/s", f"xargs {base:.0f}/s: {ours / base:.2f}", ">= 0.85")
    after = os.times()
    least = after.children_user + after.children_system - floors.children_user - floors.children_system
    each, least = spent / JOBS / 3 * 1000, least / JOBS / 3 * 1000
    row("processor time of one such job", f"{each:.2f} ms", f"xargs {least:.2f} ms: {each / least:.1f}", "<= 2 times")
    start, end = plain.latency()
    row("submit to start, idle", f"{start:.1f} ms", "", "<= 3 ms")
    row("exit to the waiting client", f"{end:.1f} ms", "", "<= 2 ms")
    health, _ = plain.rate("GET", "/healthz", b"")
    body = json.dumps({"command": ["/bin/true"]}).encode()
    rate, late = plain.rate("POST", "/v1/jobs", body)
    beside = f"no store {health:.0f}/s"
    row("single submits, 16 connections, jobs running", f"{rate:.0f}/s p99 {late:.0f} ms", beside, ">= 3000/s, 25 ms")
    taken, grown = plain.flood(FLOOD)
    row(f"one request of {FLOOD:,} jobs, taken", f"{taken:,.0f}/s", f"grew {grown:.0f} MB", ">= 120,000/s, 120 MB")
    plain.stop()
    if shutil.which("bwrap"):
        for slots in (2, 8):
            boxed = Server("bubblewrap", slots)
            boxed.batch(20)
            rounds = []
            for _ in range(3):
                base = floor(f"{BARE} -- /bin/true", JOBS // 5, slots)
                rounds.append((boxed.batch(JOBS // 5), base))
            ours, base = sorted(rounds, key=lambda pair: pair[0] / pair[1])[1]
            beside = f"bare bwrap {base:.0f}/s: {ours / base:.2f}"
            row(f"batch of {JOBS // 5}, sandboxed, {slots} slots", f"{ours:.0f}/s", beside, ">= 0.9")
            boxed.stop()
    asked = Server("none", 2)
    for line in bench_estimates.rows(asked.client):
        row(*line)
    asked.stop()
    for line in bench_batches.rows():
        row(*line)
    boinc = Server("none", 2, bench_boinc.APP)
    for line in bench_boinc.rows(boinc, floor):
        row(*line)
    boinc.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
