from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import os
import socket
import ssl
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websites import Server, knows, moved, nobody, ok

from jobgate.model.errors import FetchError, Invalid
from jobgate.net.addresses import Address
from jobgate.net.egress import Egress, EgressSettings
from jobgate.net.target import parse

LIMIT = 1024 * 1024


async def content(egress: Egress, url: str, limit: int = LIMIT, timeout: float | None = None) -> bytes:
    async with egress.fetch(url, limit=limit, timeout=timeout) as answer:
        return b"".join([piece async for piece in answer])


async def refusal(work: Awaitable[object]) -> FetchError:
    with pytest.raises(FetchError) as caught:
        await work
    return caught.value


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.1",
        "017700000001",
        "127.1",
        "127.0.0.1.",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "0.0.0.0",  # nothing is bound
        "0",
        "localhost",
        "LOCALHOST.",
        "user:pw@127.0.0.1",
        "8.8.8.8@127.0.0.1",
    ],
)
def test_no_spelling_of_loopback_reaches_it(host: str) -> None:
    async def body() -> None:
        async with Server(lambda _: ok(b"secret")).up() as canary:
            egress = Egress()
            found = await refusal(content(egress, f"http://{host}:{canary.port}/"))
            egress.close()
            assert found.code == "address-refused"
            assert not found.retryable
            assert canary.connections == 0

    asyncio.run(body())


@pytest.mark.parametrize("host", ["[fe80::1%25lo]", "[::1%251]"])
def test_an_address_with_a_zone_is_refused(host: str) -> None:
    found = asyncio.run(refusal(content(Egress(), f"http://{host}/")))
    assert found.code == "address-refused"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("ftp://files.test/", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("gopher://127.0.0.1/", "scheme"),
        ("//files.test/", "scheme"),
        ("", "scheme"),
        ("http:///x", "name"),
        ("http://", "name"),
        ("http://127%2e0.0.1/", "name"),
        ("http://1.2.3.4.5/", "name"),
        ("http://0177.0.0.1/", "name"),
        ("http://a.0x7g/", "name"),
        ("http://09.1/", "name"),
        ("http://a..b/", "name"),
        ("http://files.test:99999/", "name"),
        ("http://files.test/\n", "name"),
        ("http://[::1/", "name"),
        ("http://①②⑦.0.0.1/", "name"),
    ],
)
def test_what_is_no_address_of_the_web_is_refused_by_its_kind(url: str, code: str) -> None:
    assert asyncio.run(refusal(content(Egress(resolve=nobody), url))).code == code


def test_a_redirect_to_loopback_does_not_reach_it() -> None:
    async def body() -> None:
        async with Server(lambda _: ok(b"secret")).up() as canary:
            for host in ("127.0.0.1", "2130706433", "[::ffff:127.0.0.1]", "inside.test"):
                redirect = moved(f"http://{host}:{canary.port}/x")
                async with Server(partial(lambda answer, _: answer, redirect)).up() as server:
                    settings = EgressSettings(hosts={"files.test": f"127.0.0.1:{server.port}"})
                    found = await refusal(content(Egress(settings, resolve=knows(["127.0.0.1"])), "http://files.test/"))
                    assert found.code == "address-refused"
            assert canary.connections == 0

    asyncio.run(body())


@pytest.mark.parametrize("answers", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["127.0.0.1", "8.8.8.8"], ["::1"]])
def test_a_name_is_refused_when_any_of_its_addresses_is(answers: list[str]) -> None:
    async def body() -> None:
        async with Server(lambda _: ok(b"secret")).up() as canary:
            found = await refusal(content(Egress(resolve=knows(answers)), f"http://rebind.test:{canary.port}/"))
            assert found.code == "address-refused"
            assert "127.0.0.1" not in found.message
            assert canary.connections == 0

    asyncio.run(body())


def test_a_name_is_looked_up_once_for_a_hop_and_its_judged_address_is_the_one_connected_to() -> None:
    """The second answer, which a client that looks up again to connect would follow, leads to the canary."""

    async def body() -> None:
        async with Server(lambda _: ok(b"secret")).up() as canary, Server(lambda _: ok(b"open")).up() as server:
            # 127.0.0.2 is allowed and stands for the public address; 127.0.0.1 is not.
            settings = EgressSettings(allow=("127.0.0.2",), connect_timeout=1.0)
            listening = await asyncio.start_server(server.serve, "127.0.0.2", canary.port)
            async with listening:
                egress = Egress(settings, resolve=knows(["127.0.0.2"], ["127.0.0.1"]))
                url = f"http://rebind.test:{canary.port}/"
                assert await content(egress, url) == b"open"
                assert (await refusal(content(egress, url))).code == "address-refused"
            assert canary.connections == 0
            assert b"Host: rebind.test:" in server.requests[0]

    asyncio.run(body())


def test_a_redirect_is_looked_up_and_judged_anew() -> None:
    async def body() -> None:
        async with Server(lambda path: moved("/again") if path == "/" else ok(b"secret")).up() as server:
            egress = Egress(EgressSettings(allow=("127.0.0.1",)), resolve=knows(["127.0.0.1"], ["127.0.0.9"]))
            found = await refusal(content(egress, f"http://rebind.test:{server.port}/"))
            assert found.code == "address-refused"
            assert server.connections == 1

    asyncio.run(body())


def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    async def body() -> None:
        async with Server(lambda _: ok(b"here")).up() as server:
            egress = Egress(EgressSettings(allow=("127.0.0.0/8",)), resolve=knows(["127.0.0.77", "127.0.0.1"]))
            assert await content(egress, f"http://two.test:{server.port}/") == b"here"

    asyncio.run(body())


def test_a_mapped_name_leads_where_the_operator_says_and_keeps_its_own_host() -> None:
    async def body() -> None:
        async with Server(lambda _: ok(b"mapped")).up() as server:
            egress = server.egress("Files.Test")
            assert await content(egress, "http://FILES.test./a?b=c") == b"mapped"
            assert server.requests[0].startswith(b"GET /a?b=c HTTP/1.1\r\nHost: files.test\r\n")

    asyncio.run(body())


@pytest.mark.parametrize("place", ["", "here", "127.0.0.1:x", "127.0.0.1:70000", "[::1", "1.2.3.4:-1"])
def test_a_mapping_to_what_is_no_address_is_refused_at_the_start(place: str) -> None:
    with pytest.raises(Invalid):
        EgressSettings(hosts={"files.test": place})


@pytest.mark.parametrize("place", ["127.0.0.1", "127.0.0.1:80", "::1", "[::1]", "[::1]:8080"])
def test_a_mapping_names_an_address_and_perhaps_a_port(place: str) -> None:
    assert EgressSettings(hosts={"files.test": place}).hosts["files.test"] == place


def test_the_surroundings_name_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        async with Server(lambda _: ok(b"proxy")).up() as canary, Server(lambda _: ok(b"direct")).up() as server:
            for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")
            assert await content(server.egress(), "http://files.test/") == b"direct"
            assert canary.connections == 0

    asyncio.run(body())


def test_five_redirects_are_followed_and_a_sixth_is_not() -> None:
    def answer(path: str) -> bytes:
        left = int(path[1:])
        return moved(f"/{left - 1}") if left else ok(b"end")

    async def body() -> None:
        async with Server(answer).up() as server:
            egress = server.egress()
            assert await content(egress, "http://files.test/5") == b"end"
            assert (await refusal(content(egress, "http://files.test/6"))).code == "redirects"

    asyncio.run(body())


def test_credentials_go_to_their_own_host_alone() -> None:
    def answer(path: str) -> bytes:
        return {"/": moved("/same"), "/same": moved("http://other.test/there?q=1")}.get(path, ok(b"end"))

    async def body() -> None:
        async with Server(answer).up() as server:
            egress = server.egress("files.test", "other.test")
            assert await content(egress, "http://user:p%40ss@files.test/") == b"end"
            basic = b"Authorization: Basic " + base64.b64encode(b"user:p@ss")
            assert [basic in request for request in server.requests] == [True, True, False]
            assert not any(b"p%40ss" in request for request in server.requests)
            assert not any(b"authorization" in request.lower() for request in server.requests[2:])

    asyncio.run(body())


@pytest.mark.parametrize(
    ("start", "end", "trusted"),
    [
        ("http://a.test/", "http://a.test/x", True),
        ("http://a.test/", "https://a.test/", True),
        ("http://a.test/", "http://A.test.:80/", True),
        ("https://a.test/", "http://a.test/", False),
        ("http://a.test/", "http://a.test:81/", False),
        ("http://a.test/", "http://b.test/", False),
        ("http://a.test:8080/", "https://a.test/", False),
    ],
)
def test_trust_ends_at_the_host_and_never_loses_protection(start: str, end: str, trusted: bool) -> None:
    assert parse(start).trusts(parse(end)) is trusted


def test_nothing_shown_holds_userinfo_or_query() -> None:
    async def body() -> None:
        async with Server(lambda _: b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n").up() as server:
            egress = server.egress()
            url = "http://user:hunter2@files.test/a?sig=hunter3#hunter4"
            found = await refusal(content(egress, url))
            assert found.code == "http-status"
            assert found.message == "http://files.test/a answered 404"
            assert "hunter" not in repr(parse(url))
            assert found.__cause__ is None
            reply = await egress.post(url, content=b"{}")
            assert reply.status == 404
        gone = await refusal(egress.post("http://files.test/hunter5", content=b""))
        assert gone.code == "connect"
        assert "hunter" not in gone.message

    asyncio.run(body())


@pytest.mark.parametrize(
    ("status", "retryable"), [(404, False), (403, False), (206, False), (304, False), (429, True), (503, True)]
)
def test_a_status_other_than_success_says_whether_another_try_can_help(status: int, retryable: bool) -> None:
    async def body() -> None:
        head = f"HTTP/1.1 {status} No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n".encode()
        async with Server(lambda _: head).up() as server:
            found = await refusal(content(server.egress(), "http://files.test/"))
            assert (found.code, found.retryable, found.retry_after) == ("http-status", retryable, 7.0)

    asyncio.run(body())


@pytest.mark.parametrize("length", [True, False])
def test_content_beyond_the_limit_is_refused(length: bool) -> None:
    async def body() -> None:
        async with Server(lambda _: ok(b"x" * 1001, length=length)).up() as server:
            assert (await refusal(content(server.egress(), "http://files.test/", 1000))).code == "too-large"
            assert len(await content(server.egress(), "http://files.test/", 1001)) == 1001

    asyncio.run(body())


def test_an_endless_peer_ends_by_size_or_by_time() -> None:
    async def body() -> None:
        server = Server(lambda _: b"HTTP/1.1 200 OK\r\n\r\n")
        server.endless = True
        async with server.up():
            egress = server.egress()
            assert (await refusal(content(egress, "http://files.test/", 100_000))).code == "too-large"
            found = await refusal(content(egress, "http://files.test/", 1 << 60, 0.2))
            assert (found.code, found.retryable) == ("timeout", True)

    asyncio.run(body())


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"])
def test_a_peer_that_stops_speaking_ends_by_time(start: bytes) -> None:
    async def body() -> None:
        async with Server(lambda _: start).up() as server:
            found = await refusal(content(server.egress(timeout=0.2), "http://files.test/hang"))
            assert (found.code, found.retryable) == ("timeout", True)
            settings = EgressSettings(hosts={"files.test": f"127.0.0.1:{server.port}"}, stall_timeout=0.1)
            assert (await refusal(content(Egress(settings), "http://files.test/hang"))).code == "timeout"

    asyncio.run(body())


def test_a_name_server_that_hangs_ends_by_time() -> None:
    async def never(host: str) -> Sequence[Address]:
        del host
        await asyncio.Event().wait()
        return ()

    found = asyncio.run(refusal(content(Egress(resolve=never), "http://a.test/", timeout=0.1)))
    assert (found.code, found.retryable) == ("timeout", True)


@pytest.mark.parametrize(("error", "retryable"), [(socket.EAI_AGAIN, True), (socket.EAI_NONAME, False)])
def test_an_unknown_name_says_whether_another_try_can_help(error: int, retryable: bool) -> None:
    async def resolve(host: str) -> Sequence[Address]:
        raise socket.gaierror(error, host)

    found = asyncio.run(refusal(content(Egress(resolve=resolve), "http://a.test/")))
    assert (found.code, found.retryable) == ("name", retryable)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"])
def test_a_broken_answer_is_a_failure_to_connect(answer: bytes) -> None:
    async def body() -> None:
        async with Server(lambda _: answer).up() as server:
            found = await refusal(content(server.egress(), "http://files.test/"))
            assert (found.code, found.retryable) == ("connect", True)

    asyncio.run(body())


def test_packed_content_that_was_not_asked_for_is_unpacked_within_the_limit() -> None:
    plain = os.urandom(100_000) + bytes(10_000_000)
    packed = gzip.compress(plain[:50_000]) + gzip.compress(plain[50_000:])

    async def body() -> None:
        async with Server(lambda _: ok(packed, "Content-Encoding: gzip")).up() as server:
            egress = server.egress()
            assert await content(egress, "http://files.test/a", len(plain)) == plain
            assert (await refusal(content(egress, "http://files.test/a", len(plain) - 1))).code == "too-large"
            assert await content(egress, "http://files.test/a.tar.gz", len(plain)) == packed
            assert b"Accept-Encoding: identity" in server.requests[0]

    asyncio.run(body())


@pytest.mark.parametrize(
    "answer",
    [
        ok(b"x", "Content-Encoding: br"),
        ok(b"not packed", "Content-Encoding: gzip"),
        ok(gzip.compress(b"x" * 1000)[:-4], "Content-Encoding: gzip"),
    ],
)
def test_packed_content_that_cannot_be_read_is_a_mismatch(answer: bytes) -> None:
    async def body() -> None:
        async with Server(lambda _: answer).up() as server:
            assert (await refusal(content(server.egress(), "http://files.test/a"))).code == "mismatch"

    asyncio.run(body())


def test_a_download_is_a_file_with_the_content_that_was_stated(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    sha256, md5 = hashlib.sha256(data).hexdigest(), hashlib.md5(data).hexdigest()  # noqa: S324  # what clients state

    async def body() -> None:
        async with Server(lambda _: ok(data)).up() as server:
            egress, url, target = server.egress(), "http://files.test/", tmp_path / "file"
            said = await egress.download(url, target, limit=len(data), size=len(data), sha256=sha256, md5=md5)
            assert said == (len(data), sha256)
            assert target.read_bytes() == data
            wrong: list[tuple[int | None, str | None, str | None]] = [
                (len(data) - 1, None, None),
                (None, "0" * 64, None),
                (None, None, "0" * 32),
            ]
            for size, digest, old in wrong:
                other = tmp_path / "other"
                work = egress.download(url, other, limit=len(data), size=size, sha256=digest, md5=old)
                assert (await refusal(work)).code == "mismatch"
                assert not other.exists()
            with pytest.raises(FileExistsError):
                await egress.download(url, target, limit=len(data))
            assert target.read_bytes() == data

    asyncio.run(body())


def test_a_download_follows_no_link_and_leaves_nothing_when_it_fails(tmp_path: Path) -> None:
    async def body() -> None:
        async with Server(lambda path: ok(b"x") if path == "/" else ok(b"x" * 11)).up() as server:
            (tmp_path / "link").symlink_to(tmp_path / "outside")
            with pytest.raises(OSError, match="exists"):
                await server.egress().download("http://files.test/", tmp_path / "link", limit=10)
            assert (await refusal(server.egress().download("http://files.test/b", tmp_path / "b", limit=10))).code

    asyncio.run(body())
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_a_download_can_go_into_an_open_file(tmp_path: Path) -> None:
    async def body() -> None:
        async with Server(lambda _: ok(b"content")).up() as server:
            with (tmp_path / "file").open("wb") as file:
                await server.egress().download("http://files.test/", file.fileno(), limit=10)
            assert (tmp_path / "file").read_bytes() == b"content"

    asyncio.run(body())


def test_a_post_says_its_content_and_takes_any_status_for_an_answer() -> None:
    async def body() -> None:
        answer = b"HTTP/1.1 500 No\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 6\r\n\r\nfailed"
        async with Server(lambda _: answer).up() as server:
            headers = {"Content-Type": "application/json", "X-Sig": "s", "Host": "evil", "Content-Length": "0"}
            reply = await server.egress().post("http://files.test/h", content=b"{}", headers=headers, limit=4)
            assert (reply.status, reply.headers["x-a"], reply.body) == (500, "1, 2", b"fail")
            (request,) = server.requests
            assert request.endswith(b"\r\n\r\n{}")
            assert b"X-Sig: s\r\n" in request
            assert request.lower().count(b"host:") == request.lower().count(b"content-length:") == 1

    asyncio.run(body())


def test_a_post_is_sent_again_only_by_redirects_that_keep_it_and_without_its_headers_elsewhere() -> None:
    def answer(path: str) -> bytes:
        return {"/": moved("http://other.test/b", 307), "/see": moved("/b", 302)}.get(path, ok(b"end"))

    async def body() -> None:
        async with Server(answer).up() as server:
            egress = server.egress("files.test", "other.test")
            assert (await egress.post("http://files.test/", content=b"{}")).status == 307
            assert (await egress.post("http://files.test/see", content=b"{}", redirects=2)).status == 302
            headers = {"X-Sig": "s", "Cookie": "c", "Content-Type": "text/x"}
            reply = await egress.post("http://files.test/", content=b"{}", headers=headers, basic="a:b", redirects=1)
            assert reply.body == b"end"
            last = server.requests[-1]
            assert last.startswith(b"POST /b ")
            assert last.endswith(b"{}")
            assert b"text/x" in last
            assert not any(word in last for word in (b"X-Sig", b"Cookie", b"Authorization"))
            server.answer = lambda _: moved("/", 308)
            assert (await refusal(egress.post("http://files.test/", content=b"", redirects=1))).code == "redirects"

    asyncio.run(body())


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "files.test")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("files.test")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = tmp_path / "cert.pem", tmp_path / "key.pem"
    paths[0].write_bytes(built.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


def test_tls_speaks_and_checks_the_name_and_not_the_address(certificate: tuple[Path, Path]) -> None:
    asked: list[str | None] = []
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)
    tls.sni_callback = lambda _, name, __: asked.append(name)

    async def body() -> None:
        async with Server(lambda _: ok(b"sealed")).up(tls) as server:
            place = f"127.0.0.1:{server.port}"
            hosts = {"files.test": place, "other.test": place}
            egress = Egress(EgressSettings(hosts=hosts, ca_file=str(certificate[0])))
            assert await content(egress, "https://files.test./") == b"sealed"
            for strange, url in (
                (egress, "https://other.test/"),
                (Egress(EgressSettings(hosts=hosts)), "https://files.test/"),
            ):
                found = await refusal(content(strange, url))
                assert (found.code, found.retryable) == ("connect", False)
                assert "certificate" in found.message
            assert asked == ["files.test", "other.test", "files.test"]

    asyncio.run(body())


def test_a_reader_that_stops_early_leaves_nothing_open() -> None:
    async def body() -> None:
        server = Server(lambda _: b"HTTP/1.1 200 OK\r\n\r\n")
        server.endless = True
        async with server.up(), server.egress().fetch("http://files.test/", limit=1 << 60) as answer:
            async for piece in answer:
                assert piece
                break

    asyncio.run(body())


def test_an_announced_size_and_the_final_address_are_told() -> None:
    async def body() -> None:
        server = Server(lambda path: moved("/b?token=x") if path == "/a" else ok(b"12345"))
        async with server.up(), server.egress().fetch("http://files.test/a", limit=10) as answer:
            assert (answer.url, answer.size) == ("http://files.test/b", 5)

    asyncio.run(body())
