"""What jobs left, and by which links it is had: signed by whom, and refused to whom."""

from __future__ import annotations

import hashlib
import io
import zipfile
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import pytest
from boinc_project import SCRIPT, TWO_OUT, Project
from boinc_python3 import Python3
from boinc_words import Batch, Job, fetch


def _signed(key: str, text: object) -> str:
    return hashlib.md5(f"{key}{text}".encode()).hexdigest()  # noqa: S324  # BOINC's own


class Lab(NamedTuple):
    """A batch that is over: two jobs that left two files and one, and one that failed with a file."""

    project: Project
    key: str
    other: str
    client: Python3
    batch: int
    jobs: list[int]

    def get(self, page: str = "get_output.php", /, **query: object) -> httpx.Response:
        address = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in query.items())
        return httpx.get(f"{self.project.url}{page}?{address}")


@pytest.fixture(scope="module")
def lab(project: Project) -> Lab:
    key, other = project.user("lab"), project.user("other")
    client = Python3(project.url, key)
    lines = ("echo 1 > first; echo 2 > second", "echo 3 > first", "echo 4 > first; exit 5")
    jobs = tuple(
        Job(name=f"out#{at}", command_line=SCRIPT.format(line), output_template=TWO_OUT)
        for at, line in enumerate(lines)
    )
    batch = int(client.submit_batch(Batch(app="script", jobs=jobs))["batch_id"])
    seen = project.over(client, batch)
    return Lab(project, key, other, client, batch, [int(job["id"]) for job in seen["job"]])


def test_a_file_of_an_instance_is_had_by_a_signed_link_in_the_templates_order(lab: Lab) -> None:
    for number, content in ((0, b"1\n"), (1, b"2\n")):
        got = lab.get(cmd="result_file", result_name="out#0_0", file_num=number, auth_str=_signed(lab.key, "out#0_0"))
        assert (got.status_code, got.content) == (200, content)
        assert got.headers["content-type"] == "application/octet-stream"
        assert got.headers["content-length"] == "2"
        assert got.headers["content-disposition"].startswith("attachment; filename=")


def test_parameters_come_in_any_order_and_slashes_may_be_doubled(lab: Lab) -> None:
    signed = _signed(lab.key, "out#1_0").upper()
    address = f"auth_str={signed}&file_num=0&result_name=out%231_0&cmd=result_file"
    got = fetch(f"{lab.project.url}/get_output.php?{address}")
    assert (got.status, got.body) == (200, b"3\n")


def test_a_file_of_a_job_is_had_by_the_authenticator_itself(lab: Lab) -> None:
    got = lab.get(cmd="workunit_file", wu_name="out#0", file_num=1, auth_str=lab.key)
    assert (got.status_code, got.content) == (200, b"2\n")


def test_the_zip_of_a_batch_is_flat_and_holds_what_canonical_instances_left(lab: Lab) -> None:
    got = lab.get(cmd="batch_files", batch_id=lab.batch, auth_str=_signed(lab.key, lab.batch))
    files = _unzipped(got.content)
    assert sorted(files.values()) == [b"1\n", b"2\n", b"3\n"]
    assert all("/" not in name for name in files)
    assert sum(name.startswith("out#0_0_r") for name in files) == 2
    assert sorted(name.rpartition("_")[2] for name in files) == ["0", "0", "1"]


def test_the_zip_of_a_job(lab: Lab) -> None:
    got = lab.get(cmd="workunit_files", wu_id=lab.jobs[0], auth_str=_signed(lab.key, lab.jobs[0]))
    assert sorted(_unzipped(got.content).values()) == [b"1\n", b"2\n"]


def test_the_newer_page_has_readable_names(lab: Lab) -> None:
    instance = int(lab.client.query_job(lab.jobs[0])["instance"]["id"])
    whole = _unzipped(lab.get("get_output2.php", cmd="batch", batch_id=lab.batch, auth=lab.key).content)
    job = _unzipped(lab.get("get_output2.php", cmd="workunit", wu_id=lab.jobs[0], auth=lab.key).content)
    one = _unzipped(lab.get("get_output2.php", cmd="result", result_id=instance, auth=lab.key).content)
    file = lab.get("get_output2.php", cmd="file", result_id=instance, file_num=1, auth=lab.key)
    assert len(whole) == 3
    assert any("out#1_0" in name and name.endswith("first") for name in whole)
    assert {name.rpartition("/")[2].rpartition("__")[2] for name in job} == {"first", "second"}
    assert {name.rpartition("__")[2] for name in one} == {"first", "second"}
    assert file.content == b"2\n"


def test_a_browsers_cookie_is_as_good_as_the_authenticator(lab: Lab) -> None:
    instance = int(lab.client.query_job(lab.jobs[0])["instance"]["id"])

    def get(key: str, **query: Any) -> httpx.Response:
        cookie = {"cookie": f"auth={key}"}
        return httpx.get(f"{lab.project.url}/get_output3.php", params=query, headers=cookie, timeout=30)

    assert get(lab.key, action="get_file", result_id=instance, index=1, download=1).content == b"2\n"
    assert len(_unzipped(get(lab.key, action="get_batch_zip", batch_id=lab.batch).content)) == 3
    assert get(lab.other, action="get_batch_zip", batch_id=lab.batch).status_code == 404
    assert get("", action="get_batch_zip", batch_id=lab.batch).status_code == 403
    assert get(lab.key, action="get_batch_tar", batch_id=lab.batch).text.startswith("ERROR: bad command")


@pytest.mark.parametrize("page", ["get_output.php", "get_output2.php"])
def test_nobody_has_anything_without_the_owners_sign(lab: Lab, page: str) -> None:
    instance = int(lab.client.query_job(lab.jobs[0])["instance"]["id"])
    asked: dict[str, tuple[dict[str, object], object]] = {
        "get_output.php": ({"cmd": "batch_files", "batch_id": lab.batch}, lab.batch),
        "get_output2.php": ({"cmd": "batch", "batch_id": lab.batch}, lab.batch),
    }
    query, text = asked[page]
    name = "auth_str" if page == "get_output.php" else "auth"
    for sign in ("", "0" * 32, _signed(lab.other, text), lab.other, _signed(lab.key, "another"), "x" * 5000, "%00"):
        got = lab.get(page, **query, **{name: sign})
        assert got.status_code in (200, 403, 404), sign
        assert got.content.startswith(b"ERROR: "), sign
        assert b"PK" not in got.content
    got = lab.get("get_output2.php", cmd="file", result_id=instance, file_num=0, auth=lab.other)
    assert got.content.startswith(b"ERROR: no job instance")


def test_another_accounts_job_and_one_that_is_not_there_are_answered_alike(lab: Lab) -> None:
    def without(name: str, got: httpx.Response) -> tuple[int, str]:
        return got.status_code, got.text.replace(name, "NAME")

    foreign = lab.get(cmd="workunit_file", wu_name="out#0", file_num=0, auth_str=lab.other)
    unknown = lab.get(cmd="workunit_file", wu_name="gone", file_num=0, auth_str=lab.other)
    assert without("out#0", foreign) == without("gone", unknown) == (404, "ERROR: no workunit NAME\n")
    pairs = [
        lab.get(cmd="result_file", result_name=name, file_num=0, auth_str=_signed(lab.other, name))
        for name in ("out#0_0", "gone_0")
    ]
    assert without("out#0_0", pairs[0]) == without("gone_0", pairs[1])


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"cmd": "result_file", "result_name": "out#0_0", "file_num": 7}, "bad file num: 7"),
        ({"cmd": "result_file", "result_name": "out#0_0", "file_num": "x"}, "bad file num: x"),
        ({"cmd": "result_file", "result_name": "out#0_0", "file_num": -1}, "bad file num: -1"),
        ({"cmd": "result_file", "result_name": "out#1_0", "file_num": 1}, "no such file"),
    ],
)
def test_a_file_that_is_not_there_is_told_so(lab: Lab, query: dict[str, object], words: str) -> None:
    got = lab.get(**query, auth_str=_signed(lab.key, query["result_name"]))
    assert got.status_code in (400, 404)
    assert got.text.startswith(f"ERROR: {words}")


def test_a_job_without_an_answer_has_no_canonical_result_and_yet_its_instances_files(lab: Lab) -> None:
    got = lab.get(cmd="workunit_file", wu_name="out#2", file_num=0, auth_str=lab.key)
    assert (got.status_code, got.text) == (404, "ERROR: no canonical result for wu out#2\n")
    got = lab.get(cmd="result_file", result_name="out#2_0", file_num=0, auth_str=_signed(lab.key, "out#2_0"))
    assert got.content == b"4\n"


def test_a_command_that_is_none_is_a_bad_one(lab: Lab) -> None:
    for query in ({"cmd": "everything", "auth_str": lab.key}, {"auth_str": lab.key}):
        got = lab.get(**query)
        assert (got.status_code, got.text) == (400, "ERROR: bad command\n")


def test_partial_results_are_there_while_the_rest_runs(lab: Lab) -> None:
    lines = ("echo done > first", "sleep 60")
    jobs = tuple(Job(command_line=SCRIPT.format(line), output_template=TWO_OUT) for line in lines)
    batch = int(lab.client.submit_batch(Batch(app="script", jobs=jobs))["batch_id"])

    def look() -> list[bytes]:
        got = lab.client.output_files(batch)
        assert got.status == 200
        return list(_unzipped(got.body).values())

    assert lab.project.until(look, bool) == [b"done\n"]
    seen = lab.client.query_batch(batch, details=True)
    assert (seen["state"], float(seen["fraction_done"])) == ("1", 0.5)
    lab.client.abort_batch(batch)
    lab.project.over(lab.client, batch)
    assert look() == [b"done\n"]


def test_a_batch_without_files_is_an_empty_zip(lab: Lab) -> None:
    batch = int(lab.client.create_batch("script", "nothing yet")["batch_id"])
    assert _unzipped(lab.client.output_files(batch).body) == {}


@pytest.mark.parametrize(
    "name", ["a@b:c.d#18.0", "dir/job", "../../up", "/etc/x", "b\\c", "\u00fc \u20ac", "-rf", "x" * 191]
)
def test_a_job_may_be_called_so_and_its_files_stay_in_a_flat_zip(lab: Lab, name: str) -> None:
    job = Job(name=name, command_line=SCRIPT.format("echo x > out"))
    batch = int(lab.client.submit_batch(Batch(app="script", jobs=(job,)))["batch_id"])
    seen = lab.project.over(lab.client, batch)["job"]
    assert seen["name"] == name
    assert lab.client.query_completed_job(name)["completed_job"]["error_mask"] == "0"
    assert lab.get(cmd="workunit_file", wu_name=name, file_num=0, auth_str=lab.key).content == b"x\n"
    signed = _signed(lab.key, f"{name}_0")
    assert lab.get(cmd="result_file", result_name=f"{name}_0", file_num=0, auth_str=signed).content == b"x\n"
    (entry,) = _unzipped(lab.client.output_files(batch).body)
    assert not {"/", "\\"} & set(entry)
    readable = _unzipped(lab.get("get_output2.php", cmd="batch", batch_id=batch, auth=lab.key).content)
    assert all(not entry.startswith("/") and ".." not in entry.split("/") for entry in readable)


def test_no_log_tells_a_credential_that_a_link_or_a_request_carries(lab: Lab) -> None:
    signed = _signed(lab.key, lab.batch)
    lab.get(cmd="batch_files", batch_id=lab.batch, auth_str=signed)
    lab.get(cmd="workunit_file", wu_name="out#0", file_num=0, auth_str=lab.key)
    lab.get("get_output2.php", cmd="batch", batch_id=lab.batch, auth=lab.key)
    lab.get(cmd="nothing", auth_str=lab.key)
    fetch(f"{lab.project.url}nowhere.php?auth_str={lab.key}")
    lab.client.query_batches()
    log = lab.project.gateway.log.read_text()
    assert '"verb": "get_output"' in log
    assert lab.key not in log
    assert signed not in log
    for path in lab.project.gateway.data.rglob("*"):
        if path.is_file():
            assert lab.key.encode() not in path.read_bytes(), path


def _unzipped(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}
