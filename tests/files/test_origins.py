"""What a submit copies: the server's own files only where the operator lets it, and addresses only by the egress."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
from pathlib import Path

import pytest
from websites import Server, moved, ok

from jobgate.files.disk import Disk
from jobgate.files.origins import Origins
from jobgate.model.errors import Invalid, RequestError, TooLarge
from jobgate.model.files import Copied, Given, HostFile, Origin, Stored

LIMIT = 1000


class Site:
    """A machine: a directory that jobs may name, one beside it that they may not, and the server's own data."""

    def __init__(self, top: Path) -> None:
        self.open, self.closed, self.data = top / "open", top / "closed", top / "open" / "data"
        for directory in (self.open, self.closed, self.data):
            directory.mkdir()
        (self.closed / "secret").write_text("secret")
        (self.data / "key").write_text("key")
        (self.open / "a").write_text("content")
        self.storage = Disk(top / "blobs")
        self.server = Server(lambda path: ok(path.encode()))

    def origins(self, *directories: Path, longest: float = 20.0) -> Origins:
        return Origins(
            self.storage,
            self.server.egress(),
            directories=directories,
            never=self.data,
            limit=LIMIT,
            longest=longest,
        )

    def bring(self, *origins: Origin, longest: float = 20.0) -> dict[Origin, Stored]:
        """What came; `partly` has it too when it breaks off."""
        self.partly: dict[Origin, Stored] = {}

        async def whole() -> None:
            async with self.server.up():
                await self.origins(self.open, longest=longest).bring(origins, self.partly)

        asyncio.run(whole())
        return self.partly

    def refused(self, *origins: Origin, longest: float = 20.0) -> RequestError:
        with pytest.raises(RequestError) as caught:
            self.bring(*origins, longest=longest)
        return caught.value

    def content(self, stored: Stored) -> bytes:
        async def read() -> bytes:
            return b"".join([piece async for piece in self.storage.open(stored.digest)])

        return asyncio.run(read())

    def left(self) -> list[str]:
        """Whatever lies in the storage."""
        return [path.name for path in (self.storage._root).rglob("*") if path.is_file()]  # noqa: SLF001  # to see it all


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


# --- the server's own files


def test_a_file_below_a_named_directory_is_copied_as_it_is_now(site: Site) -> None:
    (site.open / "deep").mkdir()
    (site.open / "deep" / "b").write_bytes(b"b" * LIMIT)
    named = HostFile(str(site.open / "deep" / "b")), HostFile("a"), HostFile("a"), HostFile("./deep//b")
    found = site.bring(*named)
    assert len(found) == 3
    (site.open / "a").write_text("another")
    assert site.content(found[named[1]]) == b"content"
    assert found[named[0]] == found[named[3]]


def test_a_link_that_stays_inside_is_followed_and_one_that_leads_out_is_not(site: Site) -> None:
    (site.open / "in").symlink_to("a")
    (site.open / "out").symlink_to("../closed/secret")
    (site.open / "outside").symlink_to(site.closed)
    assert site.content(site.bring(HostFile("in"))[HostFile("in")]) == b"content"
    for path in ("out", "outside/secret", str(site.open / "outside" / "secret")):
        assert site.refused(HostFile(path)).code == "host-file"


def test_a_named_directory_may_be_a_link_itself(site: Site, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(site.open)
    for path in ("a", str(link / "a"), str(site.open / "a")):
        handle = site.origins(link).open(HostFile(path))
        assert os.read(handle, 9) == b"content"
        os.close(handle)


def test_what_is_refused_is_refused_in_the_same_words_whatever_lies_there(site: Site) -> None:
    (site.open / "pipe").touch()
    (site.open / "pipe").unlink()
    os.mkfifo(site.open / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(site.open / "socket"))
    (site.open / "loop").symlink_to("loop")
    paths = [
        *("pipe", "socket", "loop", "none", "a/b", "", ".", "data", "data/key", "../closed/secret", "deep/../a"),
        *("a\0b", "x" * 5000, str(site.closed / "secret"), str(site.closed / "none"), "/etc/passwd", "/", "/dev/zero"),
        *(f"{site.open}/../closed/secret", f"{site.open}x/a", "~/a", "\udcff"),
    ]
    for path in paths:
        error = site.refused(HostFile(path))
        assert isinstance(error, Invalid)
        assert error.message == site.refused(HostFile("none")).message.replace("none", path, 1), path
        assert error.code == "host-file"
    assert site.left() == []


def test_without_a_named_directory_there_is_no_file(site: Site) -> None:
    for path in ("a", str(site.open / "a"), "/etc/passwd"):
        with pytest.raises(Invalid):
            site.origins().open(HostFile(path))


def test_a_link_that_changes_while_it_is_judged_leads_nowhere_else(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the judgement the name comes to mean another file: the one that was looked at counts."""
    link = site.open / "link"
    look = os.open

    def turned(*arguments: object, to: Path, **more: object) -> int:
        handle = look(*arguments, **more)  # type: ignore[arg-type]  # as it was called
        if Path(str(arguments[0])).name == "link":
            link.unlink()
            link.symlink_to(to)
        return handle

    link.symlink_to(site.open / "a")
    monkeypatch.setattr(os, "open", lambda *some, **more: turned(*some, to=site.closed / "secret", **more))
    handle = site.origins(site.open).open(HostFile("link"))
    assert os.read(handle, 9) == b"content"
    os.close(handle)
    link.unlink()
    link.symlink_to(site.closed / "secret")
    monkeypatch.setattr(os, "open", lambda *some, **more: turned(*some, to=site.open / "a", **more))
    with pytest.raises(Invalid):
        site.origins(site.open).open(HostFile("link"))


def test_a_file_over_the_limit_is_told_so_and_nothing_of_it_stays(site: Site) -> None:
    (site.open / "big").write_bytes(b"b" * (LIMIT + 1))
    error = site.refused(HostFile("a"), HostFile("big"))
    assert isinstance(error, TooLarge)
    assert "big" in error.message
    assert site.left() == []


def test_many_files_are_copied_with_few_open_at_a_time(site: Site) -> None:
    named = [HostFile(f"{number}") for number in range(100)]
    for file in named:
        (site.open / file.path).write_text(file.path)
    before = len(os.listdir("/proc/self/fd"))
    found = site.bring(*named)
    assert [site.content(found[file]).decode() for file in named] == [file.path for file in named]
    assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_content_that_came_with_the_request_is_stored_as_it_is(site: Site) -> None:
    assert site.content(site.bring(Given(b"g" * LIMIT))[Given(b"g" * LIMIT)]) == b"g" * LIMIT
    assert isinstance(site.refused(Given(b"g" * (LIMIT + 1))), TooLarge)


# --- addresses


def copied(path: str, host: str = "files.test") -> Copied:
    return Copied(f"http://{host}/{path}")


def test_what_an_address_gives_is_stored_and_asked_for_once(site: Site) -> None:
    found = site.bring(copied("a"), copied("b"), copied("a"))
    assert site.content(found[copied("a")]) == b"/a"
    assert found[copied("b")].digest == hashlib.sha256(b"/b").hexdigest()
    assert sorted(line.split()[1] for line in site.server.requests) == [b"/a", b"/b"]


def test_many_addresses_are_asked_a_few_at_a_time(site: Site) -> None:
    most = 0

    def answer(path: str) -> bytes:
        nonlocal most
        most = max(most, sum(1 for task in site.server.open if task is not None and not task.done()))
        return ok(path.encode())

    site.server.answer = answer
    assert len(site.bring(*(copied(str(number)) for number in range(30)))) == 30
    assert most <= 4


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (ok(b"x" * (LIMIT + 1)), "too-large"),
        (ok(b"x" * (LIMIT + 1), length=False), "too-large"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\ncut off", "copy-failed"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n9\r\ncut", "copy-failed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", "copy-failed"),
        (b"HTTP/1.1 404 None\r\nContent-Length: 0\r\n\r\n", "copy-failed"),
        (moved("http://10.0.0.1/"), "copy-failed"),
        (moved("http://169.254.169.254/latest"), "copy-failed"),
        (moved("http://[::1]/"), "copy-failed"),
        (moved("file:///etc/passwd"), "copy-failed"),
        (moved("http://files.test/again"), "copy-failed"),
        (b"no http at all\r\n\r\n", "copy-failed"),
    ],
)
def test_an_answer_that_is_not_the_whole_content_is_refused_and_leaves_nothing(
    site: Site, answer: bytes, code: str
) -> None:
    site.server.answer = lambda _: answer
    assert site.refused(copied("a")).code == code
    assert site.left() == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://files.test/a", "http://127.0.0.1/", "nothing", ""])
def test_an_address_that_the_egress_does_not_go_to_is_refused(site: Site, url: str) -> None:
    assert site.refused(Copied(url)).code == "copy-failed"


def test_a_server_that_says_nothing_ends_with_the_requests_time(site: Site) -> None:
    site.server.answer = lambda _: b""
    error = site.refused(copied("hang"), longest=0.2)
    assert (error.code, error.retryable) == ("copy-failed", True)
    assert site.left() == []


def test_what_had_come_before_it_broke_off_is_known_to_who_asked(site: Site) -> None:
    site.refused(HostFile("a"), Copied("http://unknown.test/"))
    assert set(site.partly) == {HostFile("a")}
