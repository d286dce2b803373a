"""Forms: fields in memory, files on their way to storage, in whichever way the client encodes them."""

from __future__ import annotations

import asyncio
import string
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus, urlencode

import httpx
import pytest
from front_fakes import Memory
from hypothesis import given
from hypothesis import strategies as st

from jobgate.model.errors import Forbidden, Invalid, TooLarge
from jobgate.server import form
from jobgate.server.body import Body


def pieces(content: bytes, size: int) -> Any:
    cut = [content[at : at + size] for at in range(0, len(content), size)] or [b""]

    async def receive() -> dict[str, Any]:
        piece = cut.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(cut)}

    return receive


def read(  # noqa: PLR0913  # what a form may be
    content: bytes,
    kind: str,
    *,
    size: int = 1 << 16,
    limit: int = 1 << 20,
    files: int = 3,
    file_limit: int = 100,
    room: int = 1 << 20,
    admit: Any = None,
    storage: Memory | None = None,
) -> form.Form:
    async def nobody(fields: Mapping[str, bytes]) -> None:
        del fields

    async def whole() -> form.Form:
        body = Body(pieces(content, size), {}, limit, 5.0)
        sink = storage or Memory()
        return await form.read(body, kind, sink, files=files, size=file_limit, room=room, admit=admit or nobody)

    return asyncio.run(whole())


def multipart(**fields: Any) -> tuple[bytes, str]:
    """As a real client writes it."""
    built = httpx.Request("POST", "http://h", files=list(fields.items()))
    return built.read(), built.headers["content-type"]


URLENCODED = "application/x-www-form-urlencoded"


@given(value=st.binary(max_size=200), size=st.integers(1, 50))
def test_a_field_comes_out_as_it_went_in_whatever_its_encoding_and_wherever_it_is_cut(value: bytes, size: int) -> None:
    assert read(urlencode({"request": value}).encode(), URLENCODED, size=size).fields == {"request": value}
    content, kind = multipart(request=(None, value))
    assert read(content, kind, size=size).fields == {"request": value}


@given(st.text(string.printable, max_size=100))
def test_escapes_are_decoded_once(text: str) -> None:
    twice = quote_plus(quote_plus(text))
    assert form.urlencoded(f"request={twice}".encode())["request"].decode() == quote_plus(text)


@pytest.mark.parametrize("kind", ["text/xml", "application/xml; charset=utf-8", URLENCODED, ""])
def test_an_xml_document_alone_is_the_field_request(kind: str) -> None:
    assert read(b" <ping/>", kind).fields == {"request": b" <ping/>"}


def test_files_are_stored_in_order_under_their_fields_names() -> None:
    storage = Memory()
    content, kind = multipart(request=(None, b"<x/>"), file_0=("a", b"one"), file_1=("b", b""), note=(None, b"n"))
    got = read(content, kind, size=7, storage=storage)
    assert got.fields == {"request": b"<x/>", "note": b"n"}
    assert [(name, storage.blobs[stored.digest]) for name, stored in got.files] == [("file_0", b"one"), ("file_1", b"")]


def test_nothing_is_stored_before_it_is_known_who_sends_it() -> None:
    storage = Memory()

    async def refuse(fields: Mapping[str, bytes]) -> None:
        assert fields == {"request": b"<x/>"}
        raise Forbidden

    content, kind = multipart(request=(None, b"<x/>"), file_0=("a", b"one"))
    with pytest.raises(Forbidden):
        read(content, kind, admit=refuse, storage=storage)
    assert storage.began == 0


@pytest.mark.parametrize(
    ("most", "large"),
    [({"files": 1}, "at most 1 files"), ({"file_limit": 2}, None), ({"limit": 40}, "at most 40 bytes")],
)
def test_too_many_and_too_large_files_are_refused(most: dict[str, Any], large: str | None) -> None:
    content, kind = multipart(request=(None, b"<x/>"), file_0=("a", b"one"), file_1=("b", b"two"))
    with pytest.raises(TooLarge, match=large):
        read(content, kind, **most)


def test_too_many_fields_are_refused_before_any_is_looked_at() -> None:
    with pytest.raises(TooLarge, match="fields"):
        form.urlencoded(b"&" * form.FIELDS)


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=b"]
)
@pytest.mark.parametrize("content", [b"", b"nonsense", b"--b\r\ncontent-disposition: form-data; name=x\r\n\r\ny"])
def test_what_is_no_form_is_refused(content: bytes, kind: str) -> None:
    with pytest.raises(Invalid, match="broken"):
        read(content, kind)


def test_endless_headers_of_a_part_are_refused() -> None:
    with pytest.raises(Invalid, match="broken"):
        read(b"--b\r\nx: " + b"y" * 70_000, "multipart/form-data; boundary=b")


def test_fields_have_less_room_than_a_body_that_brings_files() -> None:
    content, kind = multipart(request=(None, "x" * 60), more=(None, "y" * 60))
    assert len(read(content, kind, room=131).fields) == 2
    with pytest.raises(TooLarge):
        read(content, kind, room=130)
    with pytest.raises(TooLarge):
        read(b"request=" + b"x" * 200, URLENCODED, room=100)


def test_a_header_of_a_part_is_not_read_without_end() -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="' + b"n" * 100_000 + b'"\r\n\r\nv\r\n--x--\r\n'
    with pytest.raises(Invalid):
        read(head, "multipart/form-data; boundary=x")


def test_names_of_fields_take_room_too() -> None:
    content, kind = multipart(**{f"{'n' * 100}{number}": (None, "") for number in range(10)})
    assert len(read(content, kind, room=1010).fields) == 10
    with pytest.raises(TooLarge):
        read(content, kind, room=1009)
