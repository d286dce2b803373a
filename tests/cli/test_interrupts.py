"""Ctrl-C, at real processes: at any moment it ends in 130, says how the work is found again, and cancels nothing."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from canned import Asked, Canned, Told, fit, fit_over, train

from jobgate.client.words import DASH

JOBGATE = Path(sys.executable).with_name("jobgate")


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What a silent server waits for; set at the end, so that none of its threads stays."""
    event = threading.Event()
    yield event
    event.set()


def start(*words: str) -> subprocess.Popen[str]:
    line = [str(JOBGATE), *words]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603  # our own


def until(stream: IO[str] | None, text: str) -> None:
    """Reads lines up to one that has the text; a slow machine says first what it waits for."""
    assert stream is not None
    for line in stream:
        if text in line:
            return
    raise AssertionError(text)


def left(process: subprocess.Popen[str]) -> tuple[str, str]:
    process.send_signal(signal.SIGINT)
    with process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, (out, err)
    assert "Traceback" not in err
    return out, err


def silent(gate: threading.Event) -> Told:
    gate.wait(60)
    return Told({}, 503)


def cancels(canned: Canned) -> list[Asked]:
    return [one for one in canned.asked if one.path.endswith("/cancel")]


def test_while_a_job_is_waited_for(canned: Canned, gate: threading.Event) -> None:
    def job(asked: Asked) -> Told:
        return silent(gate) if "wait" in asked.query else Told(train(), 200, {"ETag": '"3"'})

    canned.on("GET", "/v1/jobs/2n6r1abc-1", job)
    process = start("wait", "2n6r1abc-1")
    until(process.stderr, "queued")
    _, err = left(process)
    assert "Left. 2n6r1abc-1 goes on." in err
    assert "watch: jobgate wait 2n6r1abc-1" in err
    assert "stop: jobgate cancel 2n6r1abc-1" in err
    assert not cancels(canned)


def test_while_a_batch_is_waited_for_it_says_how_far_it_was(canned: Canned, gate: threading.Event) -> None:
    def events() -> Iterator[bytes]:
        yield b": still here\n\n"
        gate.wait(60)

    canned.show(fit())
    canned.on("GET", "/v1/events", lambda _: Told(None, 200, {"Content-Type": "text/event-stream"}, events))
    process = start("wait", "2n6r0kqa")
    until(process.stderr, "612/1,000")
    _, err = left(process)
    assert "Left. fit goes on: 612 of 1,000 ended." in err
    assert not cancels(canned)


def test_while_a_log_is_followed(canned: Canned, gate: threading.Event) -> None:
    def log() -> Iterator[bytes]:
        yield b"epoch 1\n"
        gate.wait(60)

    canned.show(train(state="running"))
    canned.on("GET", "/v1/jobs/2n6r1abc-1/log", lambda _: Told(None, 200, {}, log))
    process = start("logs", "-f", "2n6r1abc-1")
    assert process.stdout is not None
    assert process.stdout.readline() == "epoch 1\n"
    _, err = left(process)
    assert "goes on" in err
    assert not cancels(canned)


def test_while_a_submit_is_on_its_way_it_says_how_it_is_not_made_twice(canned: Canned, gate: threading.Event) -> None:
    canned.on("POST", "/v1/jobs", lambda _: silent(gate))
    process = start("submit", "--", "true")
    sent = canned.await_request("POST", "/v1/jobs")
    out, err = left(process)
    assert out == ""
    assert f"--idempotency-key {sent.headers['idempotency-key']}" in err


def test_before_anything_was_asked(canned: Canned, gate: threading.Event) -> None:
    canned.on("GET", "/v1/batches", lambda _: silent(gate))
    process = start("list")
    canned.await_request("GET", "/v1/batches")
    assert left(process)[0] == ""


def test_it_cancels_where_that_was_asked_for(canned: Canned, gate: threading.Event) -> None:
    def job(asked: Asked) -> Told:
        return silent(gate) if "wait" in asked.query else Told(train(), 200, {"ETag": '"3"'})

    canned.on("GET", "/v1/jobs/2n6r1abc-1", job)
    canned.tell("POST", "/v1/jobs", train(), 201)
    canned.tell("POST", "/v1/jobs/2n6r1abc-1/cancel", train(state="cancelling"), 202)
    process = start("submit", "--wait", "--cancel-on-interrupt", "--", "sleep", "9")
    until(process.stderr, "On disk")
    until(process.stderr, "queued")
    _, err = left(process)
    assert len(cancels(canned)) == 1
    assert "Asked." in err


def test_a_silent_server_is_named_at_once(canned: Canned, gate: threading.Event) -> None:
    canned.on("GET", "/v1/batches", lambda _: silent(gate))
    process = start("list")
    assert process.stderr is not None
    canned.await_request("GET", "/v1/batches")
    assert process.stderr.readline() == f"{DASH} waiting for {canned.url}\n"
    left(process)


def test_who_reads_may_go_away(canned: Canned) -> None:
    canned.show(train(state="running"))
    canned.on("GET", "/v1/jobs/2n6r1abc-1/log", lambda _: Told(b"line\n" * 200_000))
    process = start("logs", "2n6r1abc-1")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 141


def test_on_a_real_terminal_the_bar_is_one_line_that_is_left_standing(canned: Canned) -> None:
    over = threading.Event()

    def events() -> Iterator[bytes]:
        yield b": still here\n\n"
        for done in (700, 900):
            counts = f'{{"succeeded": {done}, "failed": 7, "running": {993 - done}}}'
            data = (
                f'{{"cursor": {done}, "event": "batch.counts", "batch": "2n6r0kqa", "counts": {counts}, "count": 1000}}'
            )
            yield f"id: {done}\nevent: batch.counts\ndata: {data}\n\n".encode()
        over.set()
        yield b"event: end\ndata: {}\n\n"

    canned.on("GET", "/v1/batches/2n6r0kqa", lambda _: Told(fit_over() if over.is_set() else fit()))
    canned.on("GET", "/v1/events", lambda _: Told(None, 200, {"Content-Type": "text/event-stream"}, events))
    child, terminal = pty.fork()
    if not child:
        os.environ["COLUMNS"] = "100"
        os.execv(str(JOBGATE), [str(JOBGATE), "wait", "2n6r0kqa"])  # noqa: S606  # our own
    seen = b""
    while select.select([terminal], [], [], 60)[0]:
        try:
            piece = os.read(terminal, 65_536)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    text = seen.decode()
    assert os.waitstatus_to_exitcode(status) == 1
    assert "612/1,000" in text
    assert "fit: 993 succeeded, 7 failed" in text
    assert text.count("\x1b[?25h") >= 1  # the cursor is back
