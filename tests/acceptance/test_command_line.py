"""The command line's fixed points, typed as a user types them, at a real gateway that is killed on the way."""

from __future__ import annotations

import signal
from typing import IO

import pytest
from shells import ID, TIME, Shell


def until(stream: IO[str] | None, text: str) -> None:
    assert stream is not None
    for line in stream:
        if text in line:
            return
    raise AssertionError(text)


def test_a_job_is_submitted_listed_waited_for_read_and_fetched(shell: Shell) -> None:
    (shell.here / "in.txt").write_text("hello\n")
    words = ("--name", "copy", "--input", "in.txt", "--output", "out.txt", "--", "sh", "-c", "cat in.txt | tee out.txt")
    job = shell.say("submit", *words)
    assert ID.fullmatch(job)
    job = job.strip()
    assert shell.type("wait", job)[0] == 0
    assert shell.say("logs", job) == "hello\n"
    assert shell.json("status", job, "--json")["state"] == "succeeded"
    row = shell.say("list").split("\n")[0].split("\t")
    assert row[:4] == [job.partition("-")[0], "copy", "succeeded", "1/1"]
    assert shell.say("download", "last", "--to", "results") == "results/out.txt\n"
    assert (shell.here / "results" / "out.txt").read_text() == "hello\n"


@pytest.mark.parametrize(("command", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$", 143)])
def test_the_exit_status_is_the_programs_own(shell: Shell, command: str, code: int) -> None:
    assert shell.type("submit", "--wait", "--", "sh", "-c", command)[0] == code


def test_a_limit_and_a_cancel_are_not_the_programs_doing(shell: Shell) -> None:
    assert shell.type("submit", "--wait", "--walltime", "0.5", "--", "sleep", "60")[0] == 125
    with shell.start("submit", "--wait", "--", "sleep", "60") as process:
        assert process.stdout is not None
        job = process.stdout.readline().strip()
        assert shell.type("cancel", job)[0] == 0
        process.communicate(timeout=TIME)
    assert process.returncode == 125
    assert shell.json("status", job, "--json")["state"] == "cancelled"


def test_a_sweep_ends_1_names_its_failures_and_is_retried_under_its_ids(shell: Shell) -> None:
    (shell.here / "p.csv").write_text("seed\n1\n2\n3\n")
    line = "test {seed} != 2 || { test -e flag || { echo seed two; exit 4; }; }"
    code, batch, err = shell.type("submit", "--name", "fit", "--sweep", "p.csv", "--wait", "--", "sh", "-c", line)
    assert code == 1
    assert "2 succeeded, 1 failed" in err
    assert "program, exit 4" in err
    assert "seed two" in err
    batch = batch.strip()
    assert "1 job is queued for another attempt" in shell.say("retry", batch, "--failed")
    assert shell.type("wait", batch)[0] == 1
    assert shell.json("status", f"{batch}-2", "--json")["attempt_count"] == 2


def test_what_is_followed_is_the_log_and_its_end_is_the_jobs(shell: Shell) -> None:
    code, out, err = shell.type("submit", "-f", "--", "sh", "-c", "echo one; sleep 0.3; echo two >&2; exit 3")
    assert (code, out) == (3, "one\ntwo\n")
    assert "failed: program, exit 3" in err


def test_ctrl_c_leaves_the_job_and_says_how_it_is_found(shell: Shell) -> None:
    process = shell.start("submit", "--wait", "--", "sh", "-c", "sleep 2; exit 5")
    assert process.stdout is not None
    job = process.stdout.readline().strip()
    until(process.stderr, "On disk")
    process.send_signal(signal.SIGINT)
    with process:
        _, err = process.communicate(timeout=TIME)
    assert process.returncode == 130
    assert f"jobgate wait {job}" in err
    assert shell.type("wait", job)[0] == 5


def test_the_gateway_is_killed_while_a_log_is_followed_and_no_line_is_lost_or_told_twice(shell: Shell) -> None:
    words = "for i in 1 2 3 4 5 6 7 8; do echo line $i; sleep 0.4; done"
    process = shell.start("submit", "-f", "--", "sh", "-c", words)
    assert process.stdout is not None
    first = process.stdout.readline()
    port = shell.gateway.url.rpartition(":")[2]
    shell.gateway.kill()
    shell.gateway.start(port)
    with process:
        out, err = process.communicate(timeout=TIME)
    assert process.returncode == 0, err
    assert first + out == "".join(f"line {i}\n" for i in range(1, 9))


def test_a_foreign_id_an_unknown_one_and_a_dead_server_are_three_lines_and_125(shell: Shell) -> None:
    code, out, err = shell.type("status", "2n6r0kqa-1")
    said = [line for line in err.splitlines() if "waiting for" not in line]
    assert (code, out, len(said)) == (125, "", 3)
    shell.gateway.kill()
    code, _, err = shell.type("list")
    assert code == 125
    assert shell.gateway.url in err
    shell.gateway.start()


def test_every_answer_can_be_had_as_json(shell: Shell) -> None:
    job = shell.say("submit", "--", "true").strip()
    shell.type("wait", job)
    assert shell.json("list", "--json")["items"][0]["id"] == job.partition("-")[0]
    assert shell.json("list", "--jobs", "--json")["items"][0]["id"] == job
    assert shell.json("environments", "--json")["items"][0]["name"] == "local"
    assert shell.json("submit", "--json", "--", "true")["state"]
    assert shell.json("cancel", job, "--json")["id"] == job
