"""Slips in what a caller names: a placeholder without a column, a file that a job did not leave."""

from __future__ import annotations

import pytest

from jobgate.client import placeholders
from jobgate.client.downloads import Files, NoSuchFile


def test_what_looks_like_a_placeholder_and_has_no_column_is_told_once() -> None:
    template = {
        "command": ["fit", "{lr}", "{sed}", "{sed}", "{index}", "{", "{}", "${HOME}", "{a b}"],
        "env": {"A": "{nmber}"},
        "inputs": [{"path": "{file}.txt"}],
        "outputs": [{"path": "{lr}.out"}],
    }
    told = placeholders.left(template, ["lr", "seed"])
    assert "{nmber} stays as it stands: no column is called nmber; did you mean {number}?" in told
    assert "{sed} stays as it stands: no column is called sed; did you mean {seed}?" in told
    assert sorted(line.split(" ", 1)[0] for line in told) == ["{file}", "{nmber}", "{sed}"]


def test_in_a_script_or_a_files_content_braces_are_usual_and_only_a_near_slip_is_told() -> None:
    template = {"script": "awk '{print}'; echo {sed}", "inputs": [{"path": "a", "content": "f'{value}'"}]}
    (told,) = placeholders.left(template, ["seed"])
    assert told.endswith("did you mean {seed}?")


def test_what_has_another_form_than_the_api_takes_is_left_to_the_server() -> None:
    assert placeholders.left({"command": "echo {x}", "env": ["{x}"], "inputs": ["{x}", 1], "script": 3}, []) == []


@pytest.mark.parametrize(
    ("sweep", "names"),
    [([{"a": 1, "b": 2}], ["a", "b"]), ({"a": [1], "b": {"from": 0, "to": 2}}, ["a", "b"]), (None, []), ([], [])],
)
def test_a_table_and_a_product_have_columns(sweep: object, names: list[str]) -> None:
    assert placeholders.columns(sweep) == names


def test_a_file_that_a_job_did_not_leave_is_answered_with_those_it_did() -> None:
    files = Files("j-1", {"model.bin": 1, "log.txt": 2}, missing=("best.bin",))
    with pytest.raises(KeyError) as none:
        files["best.bin"]
    assert str(none.value) == "j-1 left no best.bin, though it was asked for as an output; it left model.bin, log.txt"
    with pytest.raises(
        NoSuchFile, match=r"left no modle\.bin; it left model\.bin, log\.txt; did you mean model\.bin\?$"
    ):
        files["modle.bin"]
    with pytest.raises(NoSuchFile, match=r"it left no file$"):
        Files[int]("j-1", {})["a"]
    assert files.get("best.bin") is None
    assert "best.bin" not in files


def test_of_many_files_some_are_named() -> None:
    with pytest.raises(NoSuchFile, match=r"9\.txt and 5 more"):
        Files("j-1", {f"{number}.txt": number for number in range(15)})["x"]
