"""What followers cost: submits a second and the server's memory with none, and with a thousand of whom a hundred stall.

All of them follow the account whose jobs are submitted, so each submit concerns everyone. The two are measured in turns
on one gateway; ratios are what to read.
"""

from __future__ import annotations

import json
import selectors
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench import Server, row

ALL = 1000
STALLED = 100
ROUNDS = 3
BODY = json.dumps({"command": ["/bin/true"], "held": True}).encode()


def follow(url: str, key: str) -> int:
    """Follows with a thousand connections, of which a hundred are never read, until standard input ends."""
    host, port = url.removeprefix("http://").split(":")
    head = f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nAccept: text/event-stream\r\n\r\n"
    made = [socket.create_connection((host, int(port))) for _ in range(ALL)]
    with selectors.DefaultSelector() as waiting:
        for place, one in enumerate(made):
            one.sendall(head.encode())
            begun = one.recv(1 << 16)
            assert begun.startswith(b"HTTP/1.1 200"), (place, begun)
            one.setblocking(False)  # noqa: FBT003  # as it is called
            if place >= STALLED:
                waiting.register(one, selectors.EVENT_READ)
        waiting.register(sys.stdin, selectors.EVENT_READ)
        print("following", flush=True)
        events = 0
        while True:
            for ready, _ in waiting.select():
                if ready.fileobj is sys.stdin:
                    print(events, flush=True)
                    return 0
                assert isinstance(ready.fileobj, socket.socket)
                events += ready.fileobj.recv(1 << 18).count(b"\nevent: job.")


def memory(server: Server) -> float:
    """MB of the server."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return float(status.split("VmRSS:")[1].split()[0]) / 1024


def main() -> int:
    """Prints the table."""
    server = Server("none", 2)
    server.rate("POST", "/v1/jobs", BODY)
    alone, followed, grown, told, lates = [], [], 0.0, 0, []
    for _ in range(ROUNDS):
        alone.append(server.rate("POST", "/v1/jobs", BODY)[0])
        before = memory(server)
        words = [sys.executable, __file__, server.url, server.key]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as followers:
            assert followers.stdout is not None
            assert followers.stdin is not None
            assert followers.stdout.readline() == "following\n"
            rate, late = server.rate("POST", "/v1/jobs", BODY)
            followed.append(rate)
            lates.append(late)
            time.sleep(1)  # what was submitted last is told
            grown = max(grown, memory(server) - before)
            followers.stdin.close()
            told = int(followers.stdout.readline())
    server.stop()
    without, beside = statistics.median(alone), statistics.median(followed)
    row("single submits, nobody follows", f"{without:.0f}/s", "", "")
    what = f"the same, {ALL} follow, {STALLED} of them stalled"
    row(what, f"{beside:.0f}/s p99 {statistics.median(lates):.0f} ms", f"{beside / without:.2f} of that", ">= 0.7")
    row("memory of the server for them", f"{grown:.0f} MB", f"{told:,} events told", "<= 100 MB")
    return 0


if __name__ == "__main__":
    sys.exit(follow(*sys.argv[1:]) if sys.argv[1:] else main())
