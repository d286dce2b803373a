"""The founding text's ten-job batch, through BOINC's Web RPCs: what `make demo` shows of that dialect.

The request is the one its PHP example makes: app `uppercase`, one local file, `--t 10` to `--t 19`, an estimate of
i * 1e9 operations. What the example leaves to the project is the operator's here: the file, and a template that has
each job run twice, on this machine, and compares the answers.
"""

from __future__ import annotations

import hashlib
import io
import time
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path
from typing import Final

FILE: Final = "filename.dat"
BATCH: Final = range(10, 20)
NEAR: Final = 1e-6
CREDIT: Final = 200 / 86_400e9
"""For one floating-point operation."""


def config(apps: Path, files: Path) -> str:
    """What the operator writes for it. Makes the file that the example names."""
    files.mkdir()
    (files / FILE).write_text("what was said quietly\n")
    return f"""
[apps.uppercase]
title = "Writes a file in capital letters: the app of BOINC's own examples"
path = ["{apps}/uppercase"]
command = ["uppercase"]

[apps.uppercase.template]
inputs = [{{ path = "in" }}]
outputs = [{{ path = "out" }}]
replication = {{ replicas = 2, quorum = 2, errors = 3, total = 6 }}

[storage]
host_files = ["{files}"]
"""


def show(url: str, authenticator: str) -> bool:
    """Sends the batch in and follows it to its zip; whether all that came back is what must."""
    print("\nBOINC  submit_batch: uppercase --t 10 … --t 19, each job twice, a quorum of two")
    jobs = "".join(
        f"<job><rsc_fpops_est>{i}e9</rsc_fpops_est><command_line>--t {i}</command_line>"
        f"<input_file><mode>local</mode><source>{FILE}</source></input_file></job>"
        for i in BATCH
    )
    made = _call(url, authenticator, "submit_batch", f"<batch><app_name>uppercase</app_name>{jobs}</batch>")
    batch = made.findtext("batch_id", "")
    if not batch:
        print(f"  {ET.tostring(made, 'unicode')}")
        return False
    told, deadline = "", time.monotonic() + 120
    while time.monotonic() < deadline:
        now = _call(
            url, authenticator, "query_batch", f"<batch_id>{batch}</batch_id><get_job_details>1</get_job_details>"
        )
        share = f"  batch {batch}: {float(now.findtext('fraction_done', '0')):.0%} done"
        if share != told:
            told = share
            print(share)
        if now.findtext("state") != "1":
            break
        time.sleep(0.1)
    names = ("credit_estimate", "credit_canonical", "credit_total")
    credit = {name: float(now.findtext(name, "0")) for name in names}
    print("  " + ", ".join(f"{name} {value:.6f}" for name, value in credit.items()))
    first = now.findtext("job/id", "")
    instances = _call(url, authenticator, "query_job", f"<job_id>{first}</job_id>").findall("instance")
    for instance in instances:
        print(f"  {instance.findtext('name')}: {instance.findtext('state')}")
    signature = hashlib.md5(f"{authenticator}{batch}".encode(), usedforsecurity=False).hexdigest()
    with urllib.request.urlopen(
        f"{url}/boinc/get_output.php?cmd=batch_files&batch_id={batch}&auth_str={signature}"
    ) as answer:
        archive = zipfile.ZipFile(io.BytesIO(answer.read()))
    texts = sorted(archive.read(name).decode() for name in archive.namelist())
    print(f"  its zip has {len(texts)} files; the first says: {texts[0].strip()!r}" if texts else "  its zip is empty")
    expected = [f"WHAT WAS SAID QUIETLY\nt = {i}\n" for i in BATCH]
    fair = abs(credit["credit_canonical"] - sum(BATCH) * 1e9 * CREDIT) < NEAR
    return now.findtext("state") == "2" and texts == expected and fair and len(instances) == 2  # noqa: PLR2004  # the quorum


def _call(url: str, authenticator: str, name: str, body: str) -> ET.Element:
    document = f"<{name}><authenticator>{authenticator}</authenticator>{body}</{name}>"
    form = urllib.parse.urlencode({"request": document}).encode()
    with urllib.request.urlopen(f"{url}/boinc/submit_rpc_handler.php", form) as answer:
        return ET.fromstring(answer.read())  # noqa: S314  # the answer of our own gateway
