from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from front_fakes import KEY, Memory, Plain, World, drive, scope
from structlog.testing import capture_logs

from jobgate.dialects.dialect import Body, Route
from jobgate.files.disk import Disk
from jobgate.model.account import Scope
from jobgate.model.errors import Invalid, TooMany
from jobgate.model.operations import Until, Write
from jobgate.server.body import FORM_PARTS, FORM_ROOM
from jobgate.server.table import Mount, tables


def post(path: str, verb: str = "x") -> Route:
    return Route(path=path, verb=verb)


# --- who owns a request


def test_the_longest_claimed_prefix_owns_a_request_and_its_refusals() -> None:
    world = World(Mount("/p", Plain("outer")), Mount("/p/deep/", Plain("inner")), Mount("", Plain("root")))
    for path, owner in (("/p/no", "outer"), ("/p/deep/no", "inner"), ("/p/deeper", "outer"), ("/other", "root")):
        answer = world.ask("POST", path)
        assert (answer.status_code, answer.json()["dialect"], answer.json()["code"]) == (
            404,
            owner,
            "unknown-operation",
        )


def test_one_prefix_claimed_twice_stops_the_start_naming_both() -> None:
    with pytest.raises(Invalid, match="one and two both claim /p") as caught:
        tables([Mount("/p", Plain("one")), Mount("/p/", Plain("two"))])
    assert caught.value.field == "dialects"


@pytest.mark.parametrize("path", ["/b/x", "/b", "/b/{id}"])
def test_a_route_behind_another_dialects_prefix_stops_the_start(path: str) -> None:
    with pytest.raises(Invalid, match="inner and outer both claim"):
        tables([Mount("/a", Plain("outer", (post(path),))), Mount("/a/b", Plain("inner"))])


@pytest.mark.parametrize(("one", "two"), [("/x", "/x/"), ("/j/{a}", "/j/{b}"), ("/f/{a:path}", "/f/{b:path}")])
def test_one_route_claimed_twice_stops_the_start(one: str, two: str) -> None:
    with pytest.raises(Invalid, match="d first and d second both claim POST /p"):
        tables([Mount("/p", Plain("d", (post(one, "first"), post(two, "second"))))])


@pytest.mark.parametrize("prefix", ["/metrics", "/healthz"])
def test_the_servers_own_pages_cannot_be_claimed(prefix: str) -> None:
    with pytest.raises(Invalid, match="the server's own"):
        tables([Mount(prefix, Plain())])


def test_two_methods_of_one_path_are_two_routes() -> None:
    get = Route(path="/j/{a}", verb="read", methods=frozenset({"GET"}))
    (table,) = tables([Mount("/p", Plain("d", (post("/j/{b}", "write"), get)))])
    assert table.find("/j/1", "HEAD")[0].verb == "read"
    assert table.find("/j/1", "POST")[0].verb == "write"


# --- paths


@pytest.mark.parametrize("path", ["/p/echo/", "/p//echo", "/p/echo//", "/p///echo///"])
def test_repeated_and_trailing_slashes_are_taken_never_redirected(path: str) -> None:
    assert World().ask("POST", path, headers=KEY).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/p/%2e%2e/healthz", "/p/files/j1/../x", "/p/files/j1/%2e/x", "/p/jobs/a%00b", "/p/jobs/a%0a", "/p/jobs/%ff"],
)
def test_tricks_in_a_path_are_an_unknown_operation(path: str) -> None:
    from urllib.parse import unquote  # noqa: PLC0415  # as uvicorn decodes

    world = World()

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    sent = asyncio.run(drive(world, scope(unquote(path), "GET", raw=path.encode()), receive))
    assert sent[0]["status"] == 404
    assert not world.requests


def test_a_true_replacement_character_in_a_name_is_no_trick() -> None:
    assert World().ask("GET", "/p/jobs/%EF%BF%BD", headers=KEY).json()["path"] == {"job": "\ufffd"}


def test_parameters_and_query_reach_the_dialect() -> None:
    said = World().ask("GET", "/p/files/j1/a%20b/c%2Fd?x=1&x=2&y=", headers=KEY)
    assert said.status_code == 200
    world = World()
    world.ask("GET", "/p/jobs/j9?x=1&x=2&y=", headers=KEY)
    assert world.dialect.calls[0].path == {"job": "j9"}
    assert world.dialect.calls[0].query == {"x": "2", "y": ""}


def test_a_query_of_too_many_fields_is_refused() -> None:
    assert World().ask("GET", "/p/me?" + "a&" * 2000, headers=KEY).status_code == 400


def test_another_method_is_refused_with_allow() -> None:
    answer = World().ask("DELETE", "/p/me", headers=KEY)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert World().ask("GET", "/p/echo").headers["allow"] == "POST"


def test_head_is_answered_wherever_get_is() -> None:
    world = World()
    answer = world.ask("HEAD", "/p/me", headers=KEY)
    assert (answer.status_code, answer.content, world.dialect.calls[0].method) == (200, b"", "GET")
    assert int(answer.headers["content-length"]) > 0


# --- who may


def test_no_credential_an_unknown_one_and_one_without_the_scope() -> None:
    world = World()
    assert world.ask("POST", "/p/echo").status_code == 401
    assert world.ask("POST", "/p/echo", headers={"authorization": "Bearer nobody"}).status_code == 401
    assert world.ask("POST", "/p/upload", headers={"authorization": "Bearer reader"}, content=b"x").status_code == 403
    assert not world.requests


def test_a_rate_that_is_over_says_when_to_come_again() -> None:
    world = World()
    world.refused = TooMany(retry_after=1.2)
    answer = world.ask("POST", "/p/echo", headers=KEY)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")


def test_a_signed_address_reads_its_file_without_a_credential() -> None:
    world = World()
    world.keep(b"content")
    answer = world.ask("GET", "/p/files/j1/out.txt?exp=1&sig=out.txt")
    assert (answer.status_code, answer.content) == (200, b"content")
    assert world.requests[0].principal.scopes == {Scope.READ, Scope.OPERATE}


def test_a_signed_address_does_nothing_but_read() -> None:
    world = World()
    assert world.ask("GET", "/p/me?exp=1&sig=me").status_code == 403
    assert world.ask("POST", "/p/echo?exp=1&sig=echo").status_code == 401
    assert not world.requests


def test_a_signature_that_does_not_hold_needs_a_credential() -> None:
    world = World()
    world.keep(b"content")
    refused = world.ask("GET", "/p/files/j1/out.txt?exp=1&sig=other")
    assert (refused.status_code, refused.json()["code"]) == (401, "link-invalid")
    assert world.ask("GET", "/p/files/j1/out.txt?exp=1&sig=other", headers=KEY).status_code == 200
    assert world.requests[-1].principal.name == "ada"


# --- what the answer says


def test_how_long_the_answer_may_wait_is_passed_on() -> None:
    world = World()
    world.ask("POST", "/p/wait", headers=KEY)
    assert (world.requests[0].until, world.requests[0].within) == (Until.ENDED, 12.5)


def test_every_answer_has_a_random_request_id_and_no_server_header() -> None:
    world = World()
    answers = [world.ask("POST", "/p/echo", headers=KEY), world.ask("POST", "/p/no"), world.ask("GET", "/nowhere")]
    assert len({answer.headers["request-id"] for answer in answers}) == 3
    assert all("server" not in answer.headers for answer in answers)
    assert all(answer.headers["cache-control"] == "no-store" for answer in answers)


def test_a_bug_is_the_dialects_internal_error_logged_by_its_id_and_nothing_on_the_wire() -> None:
    world = World()
    with capture_logs() as logs:
        answer = world.ask("POST", "/p/break", headers=KEY)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text
    failed = next(line for line in logs if line["event"] == "request failed")
    assert failed["request"] == answer.headers["request-id"]


def test_the_access_log_names_the_route_and_never_path_query_body_or_header() -> None:
    with capture_logs() as logs:
        World().ask("GET", "/p/jobs/hidden-path?q=hidden-query", headers={**KEY, "x-y": "hidden-header"})
    (line,) = logs
    assert (line["dialect"], line["verb"], line["status"], line["account"]) == ("plain", "job", 200, "ada")
    assert line["bytes"] > 0
    assert "hidden" not in str(line)


# --- bodies


def test_an_announced_body_over_the_limit_is_refused_before_it_is_read() -> None:
    world = World()

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    sent = asyncio.run(drive(world, scope("/p/echo", headers={"content-length": "99999999"}), receive))
    assert sent[0]["status"] == 413
    assert (b"connection", b"close") in sent[0]["headers"]


def test_a_streamed_body_is_counted_and_refused_as_soon_as_it_is_too_large() -> None:
    read = 0

    async def receive() -> Any:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": b"x" * 60, "more_body": read < 50}

    sent = asyncio.run(drive(World(), scope("/p/echo", headers={"transfer-encoding": "chunked"}), receive))
    assert sent[0]["status"] == 413
    assert (b"connection", b"close") in sent[0]["headers"]


def test_a_body_that_never_comes_is_a_timeout_and_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobgate.server.exchange.LINGER", 0.01)

    async def work() -> list[Any]:
        return await drive(World(patience=0.01), scope("/p/echo", headers={"content-length": "99"}), never().wait)

    monkeypatch.setattr("jobgate.server.exchange.SMALL", 0)
    sent = asyncio.run(work())
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


def never() -> asyncio.Event:
    return asyncio.Event()


def test_a_body_that_drips_runs_out_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    async def receive() -> Any:
        nonlocal now
        now += 30.0
        return {"type": "http.request", "body": b"x", "more_body": now < 3000}

    monkeypatch.setattr("jobgate.server.exchange.perf_counter", lambda: now)
    sent = asyncio.run(drive(World(), scope("/p/echo", headers={"transfer-encoding": "chunked"}), receive))
    assert sent[0]["status"] == 408


def test_a_client_that_goes_during_its_upload_leaves_no_blob(tmp_path: Path) -> None:
    said = iter([{"type": "http.request", "body": b"x" * 9, "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(said)

    world = World(storage=Disk(tmp_path))
    with capture_logs() as logs:
        sent = asyncio.run(drive(world, scope("/p/upload", headers={"content-length": "100"}), receive))
    assert sent == []
    assert [line["status"] for line in logs] == [499]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_where_headers_say_who_asks_nobodys_body_is_read() -> None:
    route = Route(path="/big", verb="big", limit=1 << 30, early=True)
    world = World(Mount("/p", Plain(routes=(route,))))

    async def never() -> Any:
        pytest.fail("the body was read")

    for key, status in (("", 401), ("Bearer nobody", 401)):
        headers = {"authorization": key, "content-length": "1000000000", "expect": "100-continue"}
        sent = asyncio.run(drive(world, scope("/p/big", headers=headers), never))
        assert sent[0]["status"] == status
    assert world.ask("POST", "/p/big", headers=KEY, content=b"x").json()["body"] == "x"


# --- uploads


def test_a_raw_upload_is_stored_whatever_its_type() -> None:
    world = World()
    answer = world.ask("POST", "/p/upload", headers={**KEY, "content-type": "application/x-thing"}, content=b"bytes")
    assert answer.json()["size"] == 5
    assert list(world.memory.blobs.values()) == [b"bytes"]
    assert isinstance(world.requests[0].operation, Write)


def test_json_to_an_upload_route_is_a_whole_body() -> None:
    said = World().ask("POST", "/p/upload", headers=KEY, json={"a": 1}).json()
    assert (said["body"], said["size"]) == ('{"a":1}', -1)


def test_a_form_with_one_file_is_stored_and_its_other_fields_are_no_credential() -> None:
    world = World()
    form: dict[str, Any] = {"data": {"authenticator": "user"}, "files": {"file": ("n", b"line\r\n--x")}}
    assert world.ask("POST", "/p/upload", **form).status_code == 401
    assert world.memory.began == 0
    assert world.ask("POST", "/p/upload", headers=KEY, **form).json()["size"] == 9
    assert list(world.memory.blobs.values()) == [b"line\r\n--x"]


@pytest.mark.parametrize(
    "body",
    [
        b"garbage",
        b"--B\r\nbroken",
        b'--B\r\nContent-Disposition: form-data; name="other"\r\n\r\nx\r\n--B--\r\n',
        b'--B\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n' * 2 + b"--B--\r\n",
        b"",
    ],
    ids=["garbage", "cut", "no file", "two files", "empty"],
)
def test_a_form_without_exactly_one_file_is_refused_and_leaves_nothing(body: bytes) -> None:
    world = World()
    headers = {**KEY, "content-type": "multipart/form-data; boundary=B"}
    assert world.ask("POST", "/p/upload", headers=headers, content=body).status_code == 400
    assert not world.memory.blobs


def test_a_form_without_a_boundary_is_refused() -> None:
    headers = {**KEY, "content-type": "multipart/form-data"}
    assert World().ask("POST", "/p/upload", headers=headers, content=b"x").status_code == 400


@pytest.mark.parametrize(("size", "status"), [(1000, 200), (1001, 413)])
def test_the_limit_of_an_upload_is_that_of_the_file_in_a_form(size: int, status: int) -> None:
    world = World()
    assert world.ask("POST", "/p/upload", headers=KEY, files={"file": ("n", b"x" * size)}).status_code == status
    assert [len(blob) for blob in world.memory.blobs.values()] == ([1000] if status == 200 else [])


@pytest.mark.parametrize(
    "beside",
    [
        b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n' * FORM_PARTS,
        b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"x" * FORM_ROOM + b"\r\n",
        b"--B\r\n" + b"X: y\r\n" * 10_000 + b"\r\nx\r\n",
        b"--B\r\nX: " + b"y" * FORM_ROOM + b"\r\n\r\nx\r\n",
        b"\r\n" * FORM_ROOM,
    ],
    ids=["parts", "a field", "headers", "a header", "blank lines"],
)
def test_a_form_may_have_little_beside_its_file(beside: bytes) -> None:
    world = World()
    file = b'--B\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--B--\r\n'
    headers = {**KEY, "content-type": "multipart/form-data; boundary=B"}

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(beside), 16_384):
            yield beside[at : at + 16_384]
        yield file

    assert world.ask("POST", "/p/upload", headers=headers, content=pieces()).status_code in (400, 413)
    assert not world.memory.blobs


def test_an_upload_over_the_limit_leaves_nothing() -> None:
    world = World()
    assert world.ask("POST", "/p/upload", headers=KEY, content=b"x" * 1001).status_code == 413
    assert world.memory.began == 0

    async def endless() -> Any:
        return {"type": "http.request", "body": b"x" * 400, "more_body": world.memory.began < 1}

    sent = asyncio.run(drive(world, scope("/p/upload", headers={"transfer-encoding": "chunked"}), endless))
    assert sent[0]["status"] in (200, 413)
    assert all(len(blob) <= 1000 for blob in world.memory.blobs.values())


def test_the_fakes_fit() -> None:
    assert Memory().free() == 1
    assert Body.UPLOAD in {route.body for route in Plain().routes}
