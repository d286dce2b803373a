"""Every dialect's own example against a gateway of its own, from nothing installed to the result.

The Charity Engine example is the founding text's, byte for byte but for the credential: its JSON is labelled as a form,
as the documented command line sends it. What only the vendor has is stood in for, openly: an app named
charityengine:wolframengine that evaluates arithmetic, and a file server on loopback for work.charityengine.com.
"""

from __future__ import annotations

import argparse
import contextlib
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import demo_boinc
import jobgate

ROOT = Path(__file__).resolve().parent.parent
JOBGATE = ROOT / ".venv" / "bin" / "jobgate"
SQUARES = 20
OVER = ("completed", "failed", "aborted")
Json = dict[str, Any]

EXAMPLE = """{
  "authenticator":"AUTHENTICATOR",
  "app":"charityengine:wolframengine",
  "commandLine":"math 2+2 > output/out.txt",
  "specs": {
    "vcpus":2,
    "ram": 512,
    "disk": 512,
    "networkDownload": 0,
    "networkUpload": 0
  },
  "hours": 1,
  "inputFiles": [
    {
      "filename": "in.txt",
      "url": "http://work.charityengine.com/rytis/mathtest.m"
    }
  ]
}
"""


class _Vendor(http.server.BaseHTTPRequestHandler):
    """Stands in for the vendor's file server."""

    def do_GET(self) -> None:
        body = b"Print[2+2]\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def main() -> int:
    """0 when the example's output file came back. Ctrl-C and SIGTERM end it alike, with all that it started."""
    keep = argparse.ArgumentParser(description=__doc__)
    keep.add_argument("--keep", action="store_true", help="leave the gateway running")
    keeping = keep.parse_args().keep
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with contextlib.ExitStack() as ends:
            return 0 if _demo(ends, keeping=keeping) else 1
    except KeyboardInterrupt:
        return 0


def _demo(ends: contextlib.ExitStack, *, keeping: bool) -> bool:
    """Whether the example's output file came back. What is to be undone is left with `ends`."""
    data = Path(tempfile.mkdtemp(prefix="jobgate-demo-"))
    ends.callback(shutil.rmtree, data, ignore_errors=True)
    vendor = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Vendor)
    threading.Thread(target=vendor.serve_forever, daemon=True).start()
    ends.callback(vendor.shutdown)
    apps = data / "apps"
    shutil.copytree(ROOT / "examples" / "apps", apps)
    data.chmod(0o755)
    config = data / "demo.toml"
    config.write_text(
        f"""[apps."charityengine:wolframengine"]
title = "Evaluates arithmetic; stands in for the vendor's engine, which only the vendor has"
path = ["{apps}/arithmetic"]

[egress.hosts]
"work.charityengine.com" = "127.0.0.1:{vendor.server_address[1]}"
"""
        + demo_boinc.config(apps, data / "files")
    )
    gateway = subprocess.Popen(
        [JOBGATE, "serve", "--data", data / "data", "--port", "0", "--config", config, "--stop-jobs"],
        stdout=subprocess.PIPE,
        stderr=(data / "log").open("w"),
        text=True,
    )
    ends.callback(_end, gateway)
    assert gateway.stdout is not None
    ready = gateway.stdout.readline().split()
    if ready[:2] != ["jobgate", "ready"]:
        print((data / "log").read_text())
        return False
    url = ready[2]
    key = _account(data / "data")
    print(f"gateway    {url}, SQLite, data in {data / 'data'}")
    made = _charity_engine(url, key)
    well = bool(made) and demo_boinc.show(url, _credential(data / "data", "boinc"))
    well = well and _native(url, _credential(data / "data", "api-key"), made, data)
    print("\nwhere next: README.md; docs/index.md; docs/dialects; make serve keeps this gateway running")
    if keeping and well:
        job = {"authenticator": key, "app": "charityengine:wolframengine", "commandLine": "math 6*7 > output/out.txt"}
        print(f"key        {key} (Charity Engine authenticator)\nA job to paste; Ctrl-C ends the gateway:\n")
        print(f"curl {url}/remotejobs/v2/job-create -d '{json.dumps(job)}'", flush=True)
        signal.pause()
    return well


def _end(gateway: subprocess.Popen[str]) -> None:
    """The gateway, its launcher and their jobs end; no further signal comes between."""
    for word in (signal.SIGINT, signal.SIGTERM):
        signal.signal(word, signal.SIG_IGN)
    gateway.send_signal(signal.SIGTERM)
    try:
        gateway.wait(30)
    except subprocess.TimeoutExpired:
        gateway.kill()


def _account(data: Path) -> str:
    """A new account's Charity Engine authenticator."""
    subprocess.run([JOBGATE, "account", "create", "demo", "--data", data, "--json"], check=True, capture_output=True)
    return _credential(data, "charity-engine")


def _credential(data: Path, kind: str) -> str:
    """Another way in for the same account."""
    words: list[str | Path] = [JOBGATE, "credential", "add", "demo", "--kind", kind, "--json", "--data", data]
    made = subprocess.run(words, check=True, capture_output=True, text=True)
    return str(json.loads(made.stdout)["value"])


def _charity_engine(url: str, key: str) -> str:
    """The documented example, followed to its output file; the job's id when that holds what it must."""
    base = f"{url}/remotejobs/v2"
    print("\nCharity Engine  job-create: math 2+2 > output/out.txt")
    body = EXAMPLE.replace("AUTHENTICATOR", key).replace("\n", "")  # as curl's -d @file sends it
    made = _post(f"{base}/job-create", body.encode(), "application/x-www-form-urlencoded")
    job = made["jobIds"][0]
    print(f"  {job} is {made['jobs'][0]['status']} on a {made['instanceType']}")
    status, deadline = "", time.monotonic() + 60
    while status not in OVER and time.monotonic() < deadline:
        ask = json.dumps({"authenticator": key, "jobId": job}).encode()
        now = _post(f"{base}/job-status", ask, "application/json")["jobs"][0]
        if now["status"] != status:
            status = now["status"]
            print(f"  {job} is {status}")
        time.sleep(0.05)
    result = _post(f"{base}/job-result", json.dumps({"authenticator": key, "jobId": job}).encode(), "application/json")
    for file in result["outputFiles"]:
        request = urllib.request.Request(url + file["url"], headers={"Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(request) as answer:
            content = answer.read().decode()
        print(f"  output/{file['filename']} ({file['size']} bytes): {content.strip()}")
        if status == "completed" and content.strip() == "4":
            return str(job)
    print(json.dumps(result, indent=2))
    return ""


def _native(url: str, key: str, other: str, folder: Path) -> bool:
    """A sweep by the command line, a job in Python, and the other API's job seen by this one."""
    print(
        "\nNative  jobgate submit --sweep numbers.csv --wait --download results -- sh -c 'echo $(({n} * {n})) > square'"
    )
    (folder / "numbers.csv").write_text("n\n" + "".join(f"{n}\n" for n in range(1, SQUARES + 1)))
    words: list[str | Path] = [
        JOBGATE,
        "submit",
        "--name",
        "squares",
        "--sweep",
        "numbers.csv",
        "--wait",
        "--download",
        "results",
    ]
    words += ["--download", "results", "--output", "square", "--", "sh", "-c", "echo $(({n} * {n})) > square"]
    environment = {**os.environ, "JOBGATE_SERVER": url, "JOBGATE_KEY": key}
    if subprocess.run(words, cwd=folder, env=environment, check=False).returncode:
        return False
    squares = sorted(int(path.read_text()) for path in (folder / "results").rglob("square"))
    print(f"  {len(squares)} files came back: {squares[0]}, {squares[1]}, … {squares[-1]}")
    with jobgate.Client(url, key) as client:
        print("\nPython  client.submit(['sh', '-c', 'echo hello from a sandbox']).result().stdout")
        job = client.submit(["sh", "-c", "echo hello from a sandbox"])
        print(f"  {job!r}\n  {job.result(timeout=60).stdout.strip()}")
        seen = client.job(other)
        print(f"  the job that came by the {seen.dialect} API, as /v1 sees it: {seen!r}")
        return squares == [n * n for n in range(1, SQUARES + 1)] and seen.succeeded


def _post(url: str, body: bytes, media: str) -> Json:
    request = urllib.request.Request(url, data=body, headers={"Content-Type": media})
    with urllib.request.urlopen(request) as answer:
        read: Json = json.load(answer)
    return read


if __name__ == "__main__":
    sys.exit(main())
