"""What the words of `jobgate submit` say on the wire."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from canned import Asked, Canned, Told, fit, memory, problem, train
from typed import Type


@pytest.fixture(autouse=True)
def world(canned: Canned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    canned.tell("POST", "/v1/jobs", train(), 201)
    canned.tell("POST", "/v1/batches", fit(), 201)
    canned.show(train(), fit())
    monkeypatch.chdir(tmp_path)


def said(canned: Canned, path: str) -> Any:
    (asked,) = canned.sent("POST", path)
    return asked.json


@pytest.mark.parametrize("how", ["alike", "numeric:near", "bitwise:1", "numeric:"])
def test_a_comparison_that_is_not_known_is_refused_and_the_known_ones_are_told(type_: Type, how: str) -> None:
    done = type_("submit", "--replicas", "2", "--compare", how, "--", "true")
    assert done.code == 2
    assert "--compare bitwise, numeric or numeric:1e-3" in done.err


def test_a_bitwise_comparison_and_two_replicas_are_said_as_they_stand(canned: Canned, type_: Type) -> None:
    assert type_("submit", "--replicas", "2", "--compare", "bitwise", "--", "true").code == 0
    assert said(canned, "/v1/jobs")["replication"] == {"replicas": 2, "compare": "bitwise"}


def test_every_option_of_a_job_has_its_member(canned: Canned, type_: Type, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print(1)\n")
    words = ["--name", "n", "--label", "a=b=c", "--priority", "5", "--held", "--webhook", "w1", "--gpus", "2"]
    words += ["--cores", "1.5", "--memory", "4GiB", "--disk", "1GiB", "--walltime", "2h", "--network", "outbound"]
    words += ["--image", "busybox", "--env", "A=", "--workdir", "sub", "--environment", "local", "--tries", "3"]
    words += ["--replicas", "3", "--quorum", "2", "--compare", "numeric:1e-3"]
    words += ["--input", "train.py", "--input", "https://example.org/d/data.csv", "--input", "train.py:lib/t.py"]
    words += ["--input", "folder://shared/x.bin:x.bin", "--output", "model.bin", "--output", "*.png"]
    assert type_("submit", *words, "--", "python", "train.py", "--held").code == 0
    assert said(canned, "/v1/jobs") == {
        "command": ["python", "train.py", "--held"],
        "name": "n",
        "labels": {"a": "b=c"},
        "priority": 5,
        "held": True,
        "webhook": "w1",
        "gpus": 2,
        "cores": 1.5,
        "memory": "4GiB",
        "disk": "1GiB",
        "walltime": 7200.0,
        "network": "outbound",
        "image": "busybox",
        "env": {"A": ""},
        "workdir": "sub",
        "environment": "local",
        "tries": 3,
        "replication": {"replicas": 3, "quorum": 2, "compare": {"numeric": {"relative": 0.001}}},
        "inputs": [
            {"path": "train.py", "content": "print(1)\n"},
            {"path": "data.csv", "url": "https://example.org/d/data.csv"},
            {"path": "lib/t.py", "content": "print(1)\n"},
            {"path": "x.bin", "file": "shared/x.bin"},
        ],
        "outputs": [{"path": "model.bin"}, {"path": "*.png", "kind": "wildcard"}],
    }


def test_nothing_is_said_that_was_not_asked_for(canned: Canned, type_: Type) -> None:
    type_("submit", "--", "true")
    assert said(canned, "/v1/jobs") == {"command": ["true"]}


def test_a_table_is_a_sweep_whose_values_are_as_they_are_written(canned: Canned, type_: Type, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text('lr,seed\n0.10,1\n"a,b",2\n')
    assert type_("submit", "--name", "fit", "--sweep", "p.csv", "--", "fit", "{lr}").out == "2n6r0kqa\n"
    rows = [{"lr": "0.10", "seed": "1"}, {"lr": "a,b", "seed": "2"}]
    assert said(canned, "/v1/batches") == {"template": {"command": ["fit", "{lr}"]}, "sweep": rows, "name": "fit"}


def test_a_count_has_placeholders(canned: Canned, type_: Type) -> None:
    type_("submit", "--count", "3", "--", "echo", "{index}")
    expected = {"template": {"command": ["echo", "{index}"]}, "count": 3, "placeholders": True}
    assert said(canned, "/v1/batches") == expected


@pytest.mark.parametrize("name", ["job.toml", "job.json"])
def test_a_document_is_a_job_that_options_are_laid_over(canned: Canned, type_: Type, tmp_path: Path, name: str) -> None:
    toml = 'script = "make"\nmemory = "1GiB"\nname = "doc"\n[env]\nA = "1"\n'
    doc = {"script": "make", "memory": "1GiB", "name": "doc", "env": {"A": "1"}}
    (tmp_path / name).write_text(toml if name.endswith("toml") else json.dumps(doc))
    type_("submit", "--file", name, "--memory", "2GiB", "--env", "B=2")
    assert said(canned, "/v1/jobs") == doc | {"memory": "2GiB", "env": {"A": "1", "B": "2"}}


def test_a_command_takes_the_place_of_a_documents_script(canned: Canned, type_: Type, tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text('{"script": "make"}')
    type_("submit", "--file", "job.json", "--", "true")
    assert said(canned, "/v1/jobs") == {"command": ["true"]}


def test_a_document_with_a_sweep_is_a_batch(canned: Canned, type_: Type, tmp_path: Path) -> None:
    template = {"command": ["fit", "{lr}"]}
    doc = {"template": template, "sweep": {"lr": [1, 2]}, "name": "fit"}
    (tmp_path / "batch.json").write_text(json.dumps(doc))
    type_("submit", "--file", "batch.json", "--gpus", "1")
    assert said(canned, "/v1/batches") == doc | {"template": {**template, "gpus": 1}}


def test_lines_are_sent_as_they_are_with_the_batchs_members_in_the_query(
    canned: Canned, type_: Type, tmp_path: Path
) -> None:
    text = '{"command": ["a"]}\n{"command": ["b"]}\n'
    (tmp_path / "jobs.ndjson").write_text(text)
    assert type_("submit", "--file", "jobs.ndjson", "--name", "many", "--label", "a=b").code == 0
    (asked,) = canned.sent("POST", "/v1/batches")
    assert (asked.body.decode(), asked.headers["content-type"]) == (text, "application/x-ndjson")
    assert (asked.query["name"], asked.query["label"]) == (["many"], ["a=b"])


def test_like_is_another_jobs_spec_with_changes(canned: Canned, type_: Type) -> None:
    spec = {"command": ["fit"], "memory": 2 << 30, "env": {"A": "1"}, "gpus": 1}
    canned.show(memory() | {"draft": spec, "labels": {"k": "v"}})
    type_("submit", "--like", "2n6r0kqa-640", "--memory", "4GiB")
    assert said(canned, "/v1/jobs") == spec | {"memory": "4GiB", "name": "fit", "labels": {"k": "v"}}


def test_a_key_is_made_once_and_borne_through_every_try(canned: Canned, type_: Type) -> None:
    answers = iter([problem(503, "stopping", "the server is stopping"), Told(train(), 201)])
    canned.on("POST", "/v1/jobs", lambda _: next(answers))
    assert type_("submit", "--", "true").code == 0
    keys = {asked.headers["idempotency-key"] for asked in canned.sent("POST", "/v1/jobs")}
    assert (len(keys), len(canned.sent("POST", "/v1/jobs"))) == (1, 2)
    type_("submit", "--idempotency-key", "mine", "--", "true")


def test_ones_own_key_is_the_key(canned: Canned, type_: Type) -> None:
    type_("submit", "--idempotency-key", "mine", "--", "true")
    assert canned.sent("POST", "/v1/jobs")[0].headers["idempotency-key"] == "mine"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--env", "A", "--", "x"),
        ("--walltime", "soon", "--", "x"),
        ("--sweep", "absent.csv", "--", "x"),
        ("--file", "absent.toml"),
        ("--count", "0", "--", "x"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage_and_asks_no_server(
    canned: Canned, type_: Type, words: tuple[str, ...]
) -> None:
    seen = type_("submit", *words)
    assert (seen.code, len(seen.err.splitlines()), canned.asked) == (2, 3, [])


def test_the_key_is_read_from_a_file_that_others_cannot_read(
    canned: Canned, type_: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOBGATE_KEY")
    canned.on("GET", "/v1/account", lambda asked: Told({"account": asked.headers["authorization"]}))
    key = tmp_path / "key"
    key.write_text("jg_secret\n")
    key.chmod(0o644)
    assert f"chmod 600 {key}" in type_("whoami", "--key-file", str(key)).err
    key.chmod(0o600)
    assert type_("whoami", "-q", "--key-file", str(key)).out == "Bearer jg_secret\n"
    assert "seen by others" in type_("whoami", "--key", "k").err


def test_login_keeps_the_key_where_its_owner_alone_reads_it(
    canned: Canned, type_: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def account(asked: Asked) -> Told:
        good = asked.headers["authorization"] == "Bearer jg_new"
        return Told({"account": "lab"}) if good else problem(401, "unauthenticated", "the key does not hold")

    canned.on("GET", "/v1/account", account)
    monkeypatch.delenv("JOBGATE_KEY")
    monkeypatch.setattr("sys.stdin", io.StringIO("jg_wrong\n"))
    assert type_("login", "--server", canned.url).code == 125
    monkeypatch.setattr("sys.stdin", io.StringIO("jg_new\n"))
    assert type_("login", "--server", canned.url).out == "lab\n"
    kept = tmp_path / "config" / "jobgate" / "config.toml"
    assert kept.stat().st_mode & 0o777 == 0o600
    monkeypatch.delenv("JOBGATE_SERVER")
    assert type_("whoami", "-q").out == "lab\n"


def test_a_slip_in_a_document_is_named_and_guessed(canned: Canned, type_: Type, tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text('comand = ["x"]\n')
    done = type_("submit", "--file", "job.toml")
    assert done.code != 0
    assert "a job has no member comand; did you mean command?" in done.err
    assert not canned.sent("POST", "/v1/jobs")


def test_two_columns_of_one_name_are_refused(canned: Canned, type_: Type, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("lr,lr\n1,2\n")
    done = type_("submit", "--sweep", "p.csv", "--", "fit", "{lr}")
    assert "two columns are called lr" in done.err
    assert not canned.sent("POST", "/v1/batches")


def test_words_are_an_apps_arguments_with_files_for_its_slots_or_where_that_is_said(
    canned: Canned, type_: Type, tmp_path: Path
) -> None:
    (tmp_path / "a.dat").write_text("1\n")
    type_("submit", "--app", "upper", "--file-in", "a.dat", "--file-in", "folder://box/b", "--", "--t", "10")
    assert said(canned, "/v1/jobs") == {
        "app": "upper",
        "arguments": ["--t", "10"],
        "files": [{"content": "1\n", "name": "a.dat"}, {"file": "box/b"}],
    }


@pytest.mark.parametrize(
    ("words", "body"),
    [
        (["--arguments", "--", "x"], {"arguments": ["x"]}),
        (["--arguments"], {"arguments": []}),
        (["--file-in", "a.dat"], {"files": [{"content": "1\n", "name": "a.dat"}]}),
        (["--", "x"], {"command": ["x"]}),
    ],
)
def test_without_files_words_are_a_command_as_ever(
    canned: Canned, type_: Type, tmp_path: Path, words: list[str], body: dict[str, Any]
) -> None:
    (tmp_path / "a.dat").write_text("1\n")
    assert type_("submit", "--app", "upper", *words).code == 0
    assert said(canned, "/v1/jobs") == {"app": "upper", **body}


def test_arguments_take_the_place_of_a_documents_command(canned: Canned, type_: Type, tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text('app = "upper"\ncommand = ["x"]\n')
    type_("submit", "--file", "job.toml", "--arguments", "--", "y")
    assert said(canned, "/v1/jobs") == {"app": "upper", "arguments": ["y"]}
