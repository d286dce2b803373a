"""Between the network and the front: TLS, front servers, and senders that take their time."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from front_fakes import World
from socket_talk import head, one, said, served

from jobgate.server.exchange import Exchange
from jobgate.server.table import Table

ASK = head(b"GET /p/me HTTP/1.1", b"Connection: close")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "jobgate")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return certificate, private


# --- TLS


def test_a_client_that_trusts_the_certificate_is_answered_in_private(pair: tuple[Path, Path]) -> None:
    async def talk(host: str, port: int) -> bytes:
        return await said(host, port, ASK, tls=ssl.create_default_context(cafile=pair[0]))

    assert served(World(), talk, tls_cert=pair[0], tls_key=pair[1]).startswith(b"HTTP/1.1 200")


def test_the_address_that_is_told_says_https(pair: tuple[Path, Path]) -> None:
    seen: list[str] = []

    async def talk(host: str, port: int) -> None:
        pass

    served(World(), talk, tls_cert=pair[0], tls_key=pair[1], told=seen)
    assert seen[0].startswith("https://")


def test_a_client_that_does_not_trust_it_does_not_speak(pair: tuple[Path, Path]) -> None:
    world = World()

    async def talk(host: str, port: int) -> None:
        with pytest.raises(ssl.SSLCertVerificationError):
            await said(host, port, ASK, tls=ssl.create_default_context())

    served(world, talk, tls_cert=pair[0], tls_key=pair[1])
    assert world.dialect.calls == []


def test_plain_words_to_a_private_port_are_not_heard(pair: tuple[Path, Path]) -> None:
    world = World()

    async def talk(host: str, port: int) -> bytes:
        return await said(host, port, ASK)

    assert served(world, talk, tls_cert=pair[0], tls_key=pair[1]) == b""
    assert world.dialect.calls == []


def test_a_bad_request_in_private_is_refused_and_ended(pair: tuple[Path, Path]) -> None:
    async def talk(host: str, port: int) -> bytes:
        return await said(host, port, b"no request\r\n\r\n", tls=ssl.create_default_context(cafile=pair[0]))

    assert served(World(), talk, tls_cert=pair[0], tls_key=pair[1]).startswith(b"HTTP/1.1 400")


# --- front servers

FORWARDED = (b"X-Forwarded-For: 198.51.100.7, 192.0.2.9", b"X-Forwarded-Proto: https", b"Connection: close")


@pytest.mark.parametrize(
    ("trusted", "client", "scheme"),
    [
        ((), "127.0.0.1", "http"),
        (("10.0.0.0/8",), "127.0.0.1", "http"),
        (("127.0.0.0/8",), "192.0.2.9", "https"),
        (("127.0.0.0/8", "192.0.2.0/24"), "198.51.100.7", "https"),
    ],
    ids=["none", "another", "one", "a chain"],
)
def test_only_a_trusted_front_servers_word_is_taken_on_who_asks(
    trusted: tuple[str, ...], client: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    seen: list[Any] = []
    speak = world.front.speak

    async def listen(table: Table, exchange: Exchange) -> None:
        seen.append((exchange.scope["client"][0], exchange.scope["scheme"]))
        await speak(table, exchange)

    monkeypatch.setattr(world.front, "speak", listen)

    async def talk(host: str, port: int) -> bytes:
        return await said(host, port, head(b"GET /p/me HTTP/1.1", *FORWARDED))

    served(world, talk, trusted_proxies=trusted)
    assert seen == [(client, scheme)]


@pytest.mark.parametrize("trusted", [(), ("127.0.0.0/8",)])
@pytest.mark.parametrize(
    "header", [b"X-Forwarded-For: 127.0.0.1", b"X-Forwarded-Proto: https", b"Forwarded: for=127.0.0.1", b"Via: 1.1 x"]
)
def test_nobody_is_taken_for_this_host_through_a_front_server(header: bytes, trusted: tuple[str, ...]) -> None:
    async def talk(host: str, port: int) -> bytes:
        line = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        return await said(host, port, line + header + b"\r\n\r\n")

    assert served(World(), talk, trusted_proxies=trusted).startswith(b"HTTP/1.1 401")


# --- senders that take their time


def test_a_body_that_stops_coming_is_refused_in_the_dialects_words() -> None:
    answer = one(World(patience=0.01), head(b"POST /p/echo HTTP/1.1", b"Content-Length: 9") + b"abc")
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"code":"timeout"' in answer


def test_a_body_that_comes_byte_by_byte_is_refused_before_its_end() -> None:
    async def talk(host: str, port: int) -> bytes:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(head(b"POST /p/echo HTTP/1.1", b"Content-Length: 100"))
        answer = asyncio.create_task(reader.read())
        while not answer.done():
            if not writer.transport.is_closing():
                writer.write(b"x")
            await asyncio.wait((answer,), timeout=0.002)
        writer.close()
        return await answer

    assert served(World(patience=0.02), talk).startswith(b"HTTP/1.1 408")


def test_a_sender_that_goes_in_the_middle_leaves_nothing_behind() -> None:
    world = World()

    async def talk(host: str, port: int) -> None:
        _, writer = await asyncio.open_connection(host, port)
        writer.write(head(b"POST /p/upload HTTP/1.1", b"Content-Length: 900") + b"x" * 100)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    served(world, talk)
    assert (world.memory.blobs, world.requests) == ({}, [])
