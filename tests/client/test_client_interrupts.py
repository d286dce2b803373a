"""Ctrl-C and the stop button: they end the waiting, never the work, and say how it is found again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

HERE = Path(__file__).parent
START = f"""
import os, signal, sys, threading
sys.path.insert(0, {str(HERE)!r})
from client_fake import FakeGateway
import jobgate
fake = FakeGateway(at_once=False)
client = jobgate.Client("http://fake", "key", transport=fake.transport)

def press_when(path):
    "Presses Ctrl-C when a request for the path has come."
    fake.requests.clear()
    def press():
        while not fake.sent("GET", path):
            fake.asked.clear()
            fake.asked.wait(0.05)
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=press).start()
"""
FIT = """
fit = client.sweep(["echo", "{n}"], {"n": range(20)}, name="fit")
for job in client.as_completed(fit, progress=True): pass
"""


@pytest.mark.parametrize(
    ("wait", "path"),
    [
        ("batch.wait()", "/v1/batches/.*"),
        ("batch.wait(progress=True)", "/v1/events"),
        ("list(client.as_completed(batch, progress=True))", "/v1/events"),
        ("list(client.as_completed(batch))", "/v1/events"),
    ],
)
def test_ctrl_c_while_a_script_waits_leaves_the_batch_and_says_how_to_find_it(wait: str, path: str) -> None:
    script = f"""{START}
batch = client.sweep(["run"], 3, name="fit")
press_when({path!r})
try:
    {wait}
except KeyboardInterrupt:
    print(sorted({{job["state"] for job in fake.jobs.values()}}), [r for r in fake.requests if "cancel" in r.url.path])
    print(client.batch(batch.id).id == batch.id)
    client.close()
    raise SystemExit(130)
"""
    done = subprocess.run(  # noqa: S603  # our own
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 130, done.stderr
    assert done.stdout.splitlines() == ["['queued'] []", "True"]
    assert 'find it again: client.batch("b0000001")' in done.stderr
    assert "Traceback" not in done.stderr


def written(cells: list[str]) -> Any:
    """A notebook of these cells; its library has no types."""
    v4: Any = nbformat.v4
    return v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in cells])


def test_a_notebook_shows_progress_and_tables_and_its_stop_button_leaves_the_batch() -> None:
    cells = [
        START,
        'fake.at_once = True\njob = client.submit(["echo", "<b>hello</b>"], name="<script>alert(1)</script>")\njob',
        FIT,
        "client.jobs()",
        'job = client.submit(["echo", "<b>"])\njob.logs()',
        'fake.at_once = False\nlong = client.sweep(["run"], 3, name="long")\npress_when("/v1/batches/.*")\nlong.wait()',
        "print(client.batch(long.id).counts, [r for r in fake.requests if 'cancel' in r.url.path])",
    ]
    notebook = written(cells)
    NotebookClient(notebook, timeout=60, kernel_name="python3", allow_errors=True).execute()
    outputs = [cell.outputs for cell in notebook.cells]
    assert outputs[0] == []
    html = [str(out.data.get("text/html", "")) for cell in outputs[1:5] for out in cell if "data" in out]
    assert len(html) == 4, outputs
    job, bar, table, log = html
    assert "&lt;script&gt;" in job
    assert "20/20" in bar
    assert "████" in bar
    assert table.count("<tr>") >= 21
    assert "&lt;b&gt;" in log
    assert not [part for part in html if "<script" in part or "http" in part]
    interrupted = outputs[5]
    assert [out.ename for out in interrupted if out.output_type == "error"] == ["KeyboardInterrupt"]
    assert "Left. long goes on" in "".join(out.text for out in interrupted if out.output_type == "stream")
    assert outputs[6][0].text == "{'queued': 3} []\n"
