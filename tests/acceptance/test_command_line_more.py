"""The rest of the command line at a real gateway: files and folders, what is changed on the way, webhooks."""

from __future__ import annotations

import hashlib

from shells import Shell


def fields(text: str) -> list[list[str]]:
    """A table as it goes through a pipe."""
    return [line.split("\t") for line in text.splitlines()]


def refused(shell: Shell, *words: str) -> str:
    """What stands on the third line of a refusal."""
    code, out, err = shell.type(*words)
    assert (code, out) == (125, ""), err
    assert "  why   " in err
    return err.splitlines()[-1].removeprefix("  next  ")


def test_files_go_to_the_server_into_a_job_and_back(shell: Shell) -> None:
    (shell.here / "in.txt").write_text("hello\n")
    digest = hashlib.sha256(b"hello\n").hexdigest()
    assert shell.say("upload", "in.txt") == f"{digest}  in.txt\n"

    assert shell.say("folders", "create", "data") == "data\n"
    shell.say("folders", "put", "in.txt", "data/a/in.txt")
    assert fields(shell.say("folders", "list")) == [["data", "1", "6"]]
    assert fields(shell.say("folders", "list", "data"))[0][:2] == ["a/in.txt", "6"]
    shell.say("folders", "get", "data/a/in.txt", "--to", "again.txt")
    assert (shell.here / "again.txt").read_bytes() == b"hello\n"

    kept = ("--input", "folder://data/a/in.txt:one", "--input", f"upload://{digest}:two", "--output", "out-{n}")
    (shell.here / "n.csv").write_text("n\n1\n2\n")
    words = (*kept, "--sweep", "n.csv", "--wait", "--", "sh", "-c", "cat one two > out-{n}")
    batch = shell.say("submit", *words).strip()
    twice = hashlib.sha256(b"hello\nhello\n").hexdigest()
    assert fields(shell.say("files", f"{batch}-2")) == [["out-2", "12", twice]]
    assert shell.say("download", batch, "--to", "results") == "results/1/out-1\nresults/2/out-2\n"
    assert (shell.here / "results" / "2" / "out-2").read_text() == "hello\nhello\n"

    assert "--force" in refused(shell, "folders", "delete", "data")
    shell.say("folders", "remove", "data/a/in.txt")
    assert refused(shell, "folders", "get", "data/a/in.txt") == "jobgate files ID    or jobgate folders list FOLDER"
    shell.say("folders", "delete", "data")
    assert shell.say("folders", "list") == ""


def test_a_job_is_held_changed_released_and_deleted(shell: Shell) -> None:
    job = shell.say("submit", "--held", "--name", "first", "--", "sh", "-c", "echo one; echo two").strip()
    batch = job.partition("-")[0]
    shell.say("change", job, "--priority", "5", "--name", "second", "--label", "lr=0.1")
    changed = shell.json("status", job, "--json")
    assert (changed["state"], changed["priority"], changed["name"]) == ("held", 5, "second")
    shell.say("change", batch, "--label", "seed=3", "--remove-label", "lr")
    assert shell.json("status", batch, "--json")["labels"] == {"seed": "3"}
    assert shell.say("hold", batch, "-q") == f"{batch}\n"
    with shell.start("logs", "-f", job) as following:
        shell.say("release", batch)
        out, err = following.communicate(timeout=60)
    assert (following.returncode, out) == (0, "one\ntwo\n"), err
    assert shell.say("logs", job, "--tail", "1") == "two\n"
    shell.say("delete", job)
    assert refused(shell, "status", job) == "jobgate list"


def test_a_webhook_is_made_tried_turned_off_and_deleted(shell: Shell) -> None:
    line = shell.say("webhooks", "create", "https://hook.invalid/here", "--kind", "job.failed")
    hook, secret = line.strip().split("\t")
    assert secret.startswith("whsec_")
    assert fields(shell.say("webhooks", "list")) == [[hook, "on", "job.failed", "https://hook.invalid/here"]]
    message = shell.say("webhooks", "test", hook).strip()
    assert fields(shell.say("webhooks", "deliveries", hook))[0][:3] == [message, "waiting", "webhook.test"]
    shell.say("webhooks", "enable", hook, "--undo")
    assert fields(shell.say("webhooks", "list"))[0][1] == "off"
    assert shell.json("webhooks", "rotate", hook, "--json")["secret"] not in ("", secret)
    shell.say("webhooks", "delete", hook)
    assert shell.say("webhooks", "list") == ""
    assert refused(shell, "webhooks", "delete", hook) == "jobgate webhooks list"
