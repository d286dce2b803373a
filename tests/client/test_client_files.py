"""Files in and out: only what is missing is sent; what is fetched is whole, right, and never outside."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_fake import FakeGateway
from hypothesis import given
from hypothesis import strategies as st

import jobgate
from jobgate.client import downloads, uploads
from jobgate.client.options import Source

LARGE = bytes(range(256)) * 80


@pytest.fixture
def fake() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
def client(fake: FakeGateway) -> Iterator[jobgate.Client]:
    with jobgate.Client("http://fake", "key", transport=fake.transport) as made:
        yield made


def drafts(fake: FakeGateway) -> list[Any]:
    sent = zip(fake.requests, fake.bodies, strict=True)
    return [json.loads(body) for request, body in sent if request.url.path == "/v1/jobs" and request.method == "POST"]


def test_small_texts_ride_in_the_request_and_the_rest_is_sent_by_its_hash_once(
    fake: FakeGateway, client: jobgate.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text("print('hello')")
    Path("train.py").chmod(0o755)
    Path("data").mkdir()
    Path("data/large.bin").write_bytes(LARGE)
    Path("data/small.bin").write_bytes(b"\xff\x00")
    for _ in range(2):
        client.submit(["python", "train.py"], inputs=["train.py", "data", tmp_path / "data" / "large.bin"])
    digest = hashlib.sha256(LARGE).hexdigest()
    assert drafts(fake)[0] == drafts(fake)[1]
    assert drafts(fake)[0]["inputs"] == [
        {"path": "train.py", "content": "print('hello')", "executable": True},
        {"path": "data/large.bin", "upload": digest},
        {"path": "data/small.bin", "upload": hashlib.sha256(b"\xff\x00").hexdigest()},
        {"path": "large.bin", "upload": digest},
    ]
    assert len(fake.sent("POST", "/v1/uploads")) == 2


def test_inputs_may_be_named_and_come_from_anywhere(fake: FakeGateway, client: jobgate.Client, tmp_path: Path) -> None:
    (tmp_path / "local.txt").write_text("local")
    client.submit(
        ["cat"],
        inputs={
            "a.txt": b"here",
            "b.txt": tmp_path / "local.txt",
            "c.txt": "https://host/c.txt",
            "d.bin": jobgate.Upload(sha256="0" * 64),
            "e.csv": jobgate.FolderFile("shared/e.csv"),
        },
        outputs=["out.txt", "plots/*.png", "results/", {"path": "model", "required": True}],
    )
    assert drafts(fake)[0]["inputs"] == [
        {"path": "a.txt", "content": "here"},
        {"path": "b.txt", "content": "local"},
        {"path": "c.txt", "url": "https://host/c.txt"},
        {"path": "d.bin", "upload": "0" * 64},
        {"path": "e.csv", "file": "shared/e.csv"},
    ]
    assert drafts(fake)[0]["outputs"] == [
        {"path": "out.txt"},
        {"path": "plots/*.png", "kind": "wildcard"},
        {"path": "results", "kind": "directory"},
        {"path": "model", "required": True},
    ]


def test_what_is_wrong_here_already_is_refused_before_anything_is_sent(
    fake: FakeGateway, client: jobgate.Client, tmp_path: Path
) -> None:
    with pytest.raises(jobgate.Invalid, match="no such file here"):
        client.submit(["cat"], inputs=[tmp_path / "nothing"])
    with pytest.raises(jobgate.Invalid, match="list of words"):
        client.submit("python train.py")
    with pytest.raises(jobgate.Invalid, match="a command or a script"):
        client.submit()
    with pytest.raises(TypeError, match="did you mean 'gpus'"):
        client.submit(["cat"], gpu=2)  # type: ignore[call-arg]  # the slip that is meant
    assert not fake.requests


def test_many_jobs_are_sent_as_lines_and_the_same_lines_again_when_the_connection_breaks(
    fake: FakeGateway, client: jobgate.Client
) -> None:
    fake.at_once = False
    fake.trouble = [httpx.ReadError("cut")]
    words = (["echo", str(number)] for number in range(5000))
    batch = client.submit_many(words, name="many", labels={"kind": "echo"})
    assert batch.count == 5000
    first, second = fake.bodies
    assert first == second
    assert json.loads(first.splitlines()[4999]) == {"command": ["echo", "4999"]}
    assert dict(fake.requests[0].url.params) == {"name": "many", "label": "kind=echo"}


def test_an_iterable_that_fails_submits_nothing(fake: FakeGateway, client: jobgate.Client) -> None:
    def broken() -> Iterator[list[str]]:
        yield ["echo"]
        raise RuntimeError("my own bug")

    with pytest.raises(RuntimeError, match="my own bug"):
        client.submit_many(broken())
    assert not fake.requests


def test_a_range_is_sent_as_a_range_and_a_table_as_it_stands(fake: FakeGateway, client: jobgate.Client) -> None:
    client.sweep(["echo", "{lr}"], {"lr": [0.1, 0.01], "seed": range(0, 4, 2)})
    client.sweep(["echo", "{lr}"], [{"lr": 0.1}, {"lr": 0.2}])
    client.sweep(["echo", "{number}"], 3)
    said = [json.loads(body) for body in fake.bodies]
    assert said[0]["sweep"] == {"lr": [0.1, 0.01], "seed": {"from": 0, "to": 4, "step": 2}}
    assert said[1]["sweep"] == [{"lr": 0.1}, {"lr": 0.2}]
    assert (said[2]["count"], said[2]["placeholders"]) == (3, True)


# --- uploads


@pytest.mark.parametrize("size", [0, 1, 10, 31])
def test_an_upload_goes_in_pieces_and_on_where_it_broke(
    fake: FakeGateway, client: jobgate.Client, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(uploads, "PIECE", 10)
    content = bytes(range(size))
    digest = hashlib.sha256(content).hexdigest()
    if size > 15:
        fake.partial[digest] = content[:15]
        fake.trouble = [None, httpx.ReadError("cut"), None]
    assert client.upload(content) == jobgate.Upload(sha256=digest, size=size)
    assert fake.blobs[digest] == content
    offsets = [request.headers["upload-offset"] for request in fake.sent("PATCH", ".*")]
    assert offsets == (["15", "15", "25"] if size > 15 else [])
    before = len(fake.requests)
    client.upload(content)
    assert len(fake.requests) == before + 1


def test_a_piece_that_arrived_though_its_answer_did_not_is_not_sent_twice(
    fake: FakeGateway, client: jobgate.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "PIECE", 10)
    content = bytes(range(25))
    digest = hashlib.sha256(content).hexdigest()

    class Loses(httpx.AsyncBaseTransport):
        """Loses the answer of every second PATCH."""

        patches = 0

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            answer = await fake.transport.handle_async_request(request)
            self.patches += request.method == "PATCH"
            if request.method == "PATCH" and self.patches % 2:
                raise httpx.ReadError("the answer is lost")
            return answer

    with jobgate.Client("http://fake", "key", transport=Loses()) as losing:
        assert losing.upload(content).sha256 == digest
    assert fake.blobs[digest] == content


# --- downloads


def test_results_come_with_their_files_and_are_saved_whole(
    fake: FakeGateway, client: jobgate.Client, tmp_path: Path
) -> None:
    job = client.submit(["echo", "hello"])
    fake.leave(job.id, "out/model.bin", LARGE)
    fake.breaks = [3, 5]
    result = job.result()
    assert result.stdout == "hello\n"
    assert repr(result.files["out/model.bin"]) == "<File out/model.bin, 20.0 KiB>"
    assert result.files["out/model.bin"].save(tmp_path) == tmp_path / "model.bin"
    assert (tmp_path / "model.bin").read_bytes() == LARGE == result.files["out/model.bin"].read()
    assert result.files["out/model.bin"].save(tmp_path / "other") == tmp_path / "other"


def test_a_batch_is_downloaded_below_the_numbers_of_its_jobs_and_only_what_is_missing(
    fake: FakeGateway, client: jobgate.Client, tmp_path: Path
) -> None:
    batch = client.sweep(["echo"], 3)
    for number in (1, 2, 3):
        fake.leave(f"{batch.id}-{number}", "a/b.txt", str(number).encode())
    paths = batch.wait().download(tmp_path)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in paths) == ["1/a/b.txt", "2/a/b.txt", "3/a/b.txt"]
    (tmp_path / "2/a/b.txt").write_text("changed")
    before = len(fake.sent("GET", ".*/files/.*"))
    batch.download(tmp_path)
    assert len(fake.sent("GET", ".*/files/.*")) == before + 1
    assert (tmp_path / "2/a/b.txt").read_text() == "2"
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("told", ["../evil", "/etc/evil", "a/../../evil", "a//evil", "./evil", "", "a/\0"])
def test_a_path_that_leads_out_is_refused(fake: FakeGateway, client: jobgate.Client, tmp_path: Path, told: str) -> None:
    job = client.submit(["echo"])
    fake.leave(job.id, "evil", b"x", told=told)
    fake.jobs[job.id]["outputs"][-1]["path"] = told
    with pytest.raises(jobgate.Invalid, match="leads out"):
        job.download(tmp_path / "inside")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_no_link_is_followed_on_the_way_and_a_link_at_the_end_is_replaced(
    fake: FakeGateway, client: jobgate.Client, tmp_path: Path
) -> None:
    job = client.submit(["echo"])
    fake.leave(job.id, "a/b", b"x")
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (inside / "a").symlink_to(outside)
    with pytest.raises(jobgate.Invalid, match="is a link"):
        job.download(inside)
    (inside / "a").unlink()
    (inside / "a").mkdir()
    (outside / "b").write_text("mine")
    (inside / "a" / "b").symlink_to(outside / "b")
    job.download(inside)
    assert (outside / "b").read_text() == "mine"
    assert (inside / "a" / "b").read_bytes() == b"x"


def test_a_file_that_arrives_with_another_hash_is_not_kept(
    fake: FakeGateway, client: jobgate.Client, tmp_path: Path
) -> None:
    job = client.submit(["echo"])
    fake.leave(job.id, "a", b"right")
    fake.files[job.id]["a"] = b"wrong"
    (tmp_path / "a").write_text("what was there")
    with pytest.raises(jobgate.Unreachable, match="another hash"):
        job.download(tmp_path)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["what was there"]


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_a_name_from_the_server_leads_below_or_is_refused(told: str) -> None:
    try:
        parts = downloads._parts(told)  # noqa: SLF001  # the one judge of names
    except jobgate.Invalid:
        return
    assert Path("root").joinpath(*parts).relative_to("root").as_posix() == told
    assert ".." not in parts


def test_files_for_an_apps_slots_are_given_in_order_with_the_names_they_have_here(
    fake: FakeGateway, client: jobgate.Client, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "large.bin").write_bytes(LARGE)
    given: list[Source] = [
        tmp_path / "a.txt",
        b"b",
        "https://example.org/c",
        jobgate.FolderFile("box/d"),
        str(tmp_path / "large.bin"),
    ]
    client.submit(app="upper", app_version=90, arguments=["--t", 10, Path("x")], files=given)
    client.submit(app="upper", arguments="--t 10", files=tmp_path / "a.txt")  # type: ignore[arg-type]  # one is a list too
    first, second = drafts(fake)
    assert first == {
        "app": "upper",
        "app_version": 90,
        "arguments": ["--t", "10", "x"],
        "files": [
            {"content": "a", "name": "a.txt"},
            {"content": "b"},
            {"url": "https://example.org/c"},
            {"file": "box/d"},
            {"upload": hashlib.sha256(LARGE).hexdigest(), "name": "large.bin"},
        ],
    }
    assert second == {"app": "upper", "arguments": "--t 10", "files": [{"content": "a", "name": "a.txt"}]}


@pytest.mark.parametrize("more", [{"script": "x", "arguments": "y"}, {"script": "x", "files": []}, {}])
def test_a_job_is_one_of_a_command_a_script_and_an_app_with_arguments(
    fake: FakeGateway, client: jobgate.Client, more: Any
) -> None:
    with pytest.raises(jobgate.Invalid, match="one of them"):
        client.submit(**more)
    assert not drafts(fake)


def test_a_directory_fills_no_slot(client: jobgate.Client, tmp_path: Path) -> None:
    with pytest.raises(jobgate.Invalid, match="a slot takes one file"):
        client.submit(app="upper", files=[tmp_path])
