"""What a newcomer slips on: each is told, with the way to write it, and none is passed over in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from canned import Canned, fit, problem, train
from typed import Type

from jobgate.client.words import DASH


@pytest.fixture(autouse=True)
def world(canned: Canned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    canned.tell("POST", "/v1/jobs", train(), 201)
    canned.tell("POST", "/v1/batches", fit(), 201)
    canned.tell("GET", "/v1/batches", {"items": [], "next": None})
    canned.tell("GET", "/v1/jobs", {"items": [], "next": None})
    canned.show(train(), fit())
    monkeypatch.chdir(tmp_path)


def said(canned: Canned, path: str) -> Any:
    (asked,) = canned.sent("POST", path)
    return asked.json


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("list", "--state", "bogus"), "bogus is no state"),
        (("list", "--state", "staging_in"), "staging_in is no state"),
        (("list", "--jobs", "--state", "failed,runing"), "runing is no state; did you mean running?"),
        (("cancel", "--state", "quued"), "quued is no state; did you mean queued?"),
    ],
)
def test_a_state_that_there_is_not_is_wrong_usage_and_those_there_are_are_named(
    canned: Canned, type_: Type, words: tuple[str, ...], why: str
) -> None:
    seen = type_(*words)
    assert seen.code == 2
    assert why in seen.err
    assert "next  one of held, queued, " in seen.err
    assert not canned.asked


def test_a_state_of_jobs_alone_filters_jobs(canned: Canned, type_: Type) -> None:
    assert type_("list", "--jobs", "--state", "staging_in", "--state", "failed, held").code == 0
    assert canned.sent("GET", "/v1/jobs")[0].query["state"] == ["staging_in,failed,held"]


@pytest.mark.parametrize(
    "words", [("upload", "nosuch"), ("folders", "put", "nosuch", "f/a"), ("submit", "--input", "nosuch", "--", "true")]
)
def test_a_file_that_is_not_here_is_wrong_usage(canned: Canned, type_: Type, words: tuple[str, ...]) -> None:
    seen = type_(*words)
    what, why, next_ = seen.err.splitlines()
    assert (seen.code, seen.out, what[0], canned.asked) == (2, "", "✗", [])
    assert "nosuch" in why
    assert "paths are read from where you are" in next_


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.toml", 'inputs = ["a"]', ("inputs is no list of tables", 'inputs = [{ path = "a.txt", content')),
        ("a.toml", 'walltime = "5min"', ("walltime is no number of seconds", "walltime = 300    or --walltime 5min")),
        ("a.toml", 'command = "echo"', ("command is no list of words", 'command = ["python", "train.py"]')),
        ("a.json", '{"outputs": ["o"]}', ("outputs is no list of tables", '"outputs": [{"path": "out.txt"}]')),
        ("a.json", '{"template": {"env": ["A=1"]}}', ("env is no table of texts", '"env": {"SEED": "1"}')),
        ("a.json", '{"jobs": [{"memory": [4]}]}', ("memory is no size", '"memory": "4GiB"')),
        ("a.json", '{"cores": true}', ("cores is no number", '"cores": 1.5')),
        ("a.json", '{"jobs": ["echo"]}', ("jobs is no list of tables", '"jobs": [{"command": ["echo", "1"]}]')),
        ("a.json", '{"template": ["echo"]}', ("template is no table", '"template": {"command": ["echo", "{index}"]}')),
    ],
)
def test_a_member_in_another_form_is_shown_as_it_is_written(
    canned: Canned, type_: Type, name: str, text: str, told: tuple[str, str]
) -> None:
    Path(name).write_text(text)
    seen = type_("submit", "--file", name)
    assert (seen.code, canned.asked) == (2, [])
    assert told[0] in seen.err
    assert f"next  {told[1]}" in seen.err


def test_a_command_that_takes_the_place_of_a_documents_is_told(canned: Canned, type_: Type, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('command = ["echo", "1"]')
    assert (
        "a.toml has a command too; the one given here takes its place" in type_("submit", "--file", "a.toml", "x").err
    )
    assert said(canned, "/v1/jobs")["command"] == ["x"]


def test_options_behind_the_command_are_told_to_be_its_own(canned: Canned, type_: Type) -> None:
    told = "goes to the command; what is for jobgate stands before it"
    assert f"! --wait {told}: submit --wait" in type_("submit", "echo", "hi", "--wait").err
    assert f"! --memory=1GiB {told}" in type_("submit", "echo", "--memory=1GiB").err
    assert told not in type_("submit", "--", "echo", "hi", "--wait").err
    assert told not in type_("submit", "echo", "--verbose").err
    assert canned.sent("POST", "/v1/jobs")[0].json["command"] == ["echo", "hi", "--wait"]


def test_a_placeholder_without_a_column_is_told_and_stays(canned: Canned, type_: Type, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("lr,seed\n1,2\n")
    seen = type_("submit", "--sweep", "p.csv", "--", "fit", "{lr}", "{sed}", "{seed}", "{", "${HOME}")
    assert "! {sed} stays as it stands: no column is called sed; did you mean {seed}?" in seen.err
    assert seen.err.count("stays") == 1
    assert said(canned, "/v1/batches")["template"]["command"] == ["fit", "{lr}", "{sed}", "{seed}", "{", "${HOME}"]


def test_without_a_sweep_braces_are_braces(type_: Type) -> None:
    assert "stays" not in type_("submit", "--", "awk", "{print}").err
    assert "! {print} stays as it stands" in type_("submit", "--count", "2", "--", "awk", "{print}", "{index}").err


def test_what_is_required_is_said_so(canned: Canned, type_: Type) -> None:
    type_("submit", "--output", "a", "--require", "b/", "--require", "*.c", "--", "true")
    expected = [{"path": "a"}, {"path": "b", "kind": "directory", "required": True}]
    assert said(canned, "/v1/jobs")["outputs"] == [*expected, {"path": "*.c", "kind": "wildcard", "required": True}]


def test_an_image_that_is_not_here_leads_to_those_that_are(canned: Canned, type_: Type) -> None:
    canned.on("POST", "/v1/jobs", lambda _: problem(422, "app-not-runnable", "it is not here", "GET /v1/images"))
    seen = type_("submit", "--image", "tensorflow:2.19", "--", "true")
    assert seen.err.splitlines()[-1] == "  next  jobgate environments --image tensorflow:2.19"


def test_an_output_that_never_appeared_is_told(canned: Canned, type_: Type) -> None:
    over = train(state="succeeded", exit_code=0, missing=["model.bin", "*.png"], attempts=[])
    canned.show(over)
    told = "missing  model.bin, *.png: asked for as an output, and nothing was kept there"
    assert told in type_("status", over["id"]).out
    assert told in type_("wait", over["id"]).out
    canned.tell("GET", f"/v1/jobs/{over['id']}/log", b"")
    canned.show(over | {"state": "failed", "failure": "program", "exit_code": 3})
    assert told in type_("status", over["id"]).out
    assert told in type_("wait", over["id"]).out


def test_a_label_that_is_none_is_told_in_the_words_of_the_command(type_: Type) -> None:
    assert type_("list", "--label", "foo").err.startswith("✗ Not listed.")
    assert type_("cancel", "--label", "foo").err.startswith("✗ Nothing was done.")
    assert type_("submit", "--label", "foo", "--", "true").err.startswith("✗ Not submitted.")


def test_a_sweep_and_a_count_are_one_too_many(canned: Canned, type_: Type) -> None:
    Path("p.csv").write_text("a\n1\n")
    seen = type_("submit", "--sweep", "p.csv", "--count", "3", "--", "echo", "{a}")
    assert (seen.code, canned.asked) == (2, [])
    assert "next  give one of them" in seen.err


def test_a_filter_that_nothing_meets_says_so(type_: Type) -> None:
    seen = type_("cancel", "--state", "queued")
    assert (seen.code, seen.err) == (0, f"{DASH} No batch to cancel meets that.\n")


def test_a_licence_is_accepted_on_the_command_line(canned: Canned, type_: Type) -> None:
    type_("submit", "--app", "solver", "--accept-licence", "--", "run")
    assert said(canned, "/v1/jobs") == {"command": ["run"], "app": "solver", "accept_licence": True}


def test_a_word_that_an_option_does_not_know_is_told_without_the_names_of_what_reads_it(type_: Type) -> None:
    seen = type_("submit", "--network", "internet", "--", "true")
    assert (seen.code, "Value error" in seen.err) == (2, False)
    assert "'internet' is not one of 'none', 'outbound'" in seen.err
