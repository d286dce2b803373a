"""Recorded exchanges, written from the contract: a request, and the reply it must have, from a made-up server.

`exchanges/*.txt` hold them. White space between elements is free, and a real number may be printed in many ways; what
else matters byte by byte to some client stands under `holds`.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET  # reads our own replies
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from boinc_world import World, ask, call, dialect

FOLDER: Final = Path(__file__).parent / "exchanges"
HEAD: Final = b'<?xml version="1.0" encoding="UTF-8" ?>\n<'
REALS: Final = frozenset(
    {
        *("create_time", "expire_time", "est_completion_time", "completion_time", "fraction_done", "credit_estimate"),
        *("credit_canonical", "credit_total", "seconds", "server_time", "cpu_time", "elapsed_time", "total_cpu_time"),
    }
)
INTEGERS: Final = frozenset(
    {
        *("batch_id", "id", "state", "njobs", "nerror_jobs", "batch_size", "canonical_instance_id", "error_mask"),
        *("canonical_resultid", "error_resultid", "exit_status", "n_outfiles", "file", "error_num", "size"),
    }
)
INTEGER: Final = re.compile(r"0|-?[1-9][0-9]*")
REAL: Final = re.compile(r"-?[0-9]+\.[0-9]+(e[+-][0-9]+)?")


class Exchange(NamedTuple):
    """One of them."""

    name: str
    request: bytes
    reply: bytes
    holds: str = ""
    endpoint: str = "submit_rpc_handler"
    raises: str = ""
    legacy: bool = False
    files: int = 0


def _read(path: Path) -> Iterator[Exchange]:
    for text in re.split(r"^=== ", path.read_text(), flags=re.MULTILINE)[1:]:
        head, *parts = re.split(r"^--- (\w+)\n", text, flags=re.MULTILINE)
        title, *options = head.strip().split("\n")
        said = {word: value for word, _, value in (option.partition(" ") for option in options)}
        given = dict(zip(parts[::2], parts[1::2], strict=True))
        yield Exchange(
            name=f"{path.stem}: {title}",
            request=given["request"].strip("\n").encode(),
            reply=given["reply"].strip("\n").encode(),
            holds=given.get("holds", "").strip("\n"),
            endpoint=said.get("endpoint", "submit_rpc_handler"),
            raises=said.get("raises", ""),
            legacy="legacy" in said,
            files=int(said.get("files", 0)),
        )


EXCHANGES: Final = [exchange for path in sorted(FOLDER.glob("*.txt")) for exchange in _read(path)]


def replied(exchange: Exchange) -> bytes:
    """The whole reply, whose status and media are those of all."""
    spoken = dialect(legacy=exchange.legacy)
    reply = ask(spoken, World(), call(exchange.request, exchange.endpoint, exchange.files), exchange.raises)
    assert (reply.status, reply.media.partition(";")[0]) == (200, "text/xml")
    assert isinstance(reply.body, bytes)
    return reply.body


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_a_recorded_request_has_its_recorded_reply(exchange: Exchange) -> None:
    body = replied(exchange)
    assert _same(_elements(body), _elements(exchange.reply)), f"{exchange.request!r}\n{body.decode()}"
    assert exchange.holds in body.decode()


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_a_reply_keeps_the_rules_of_all_replies(exchange: Exchange) -> None:
    body = replied(exchange)
    assert body.startswith(HEAD)
    assert b"\0" not in body
    for element in _elements(body).iter():
        assert not element.attrib
        text = (element.text or "").strip()
        if element.tag in INTEGERS or (element.tag == "state" and not text.isalpha()):
            fits = INTEGER.fullmatch(text) and abs(int(text)) < 2**31
            assert fits or element.tag == "state", f"{element.tag} is {text}"
        if element.tag in REALS:
            assert REAL.fullmatch(text), f"{element.tag} is {text}"


@pytest.mark.parametrize(
    "exchange", [one for one in EXCHANGES if b"<error_num>" in one.reply], ids=lambda exchange: exchange.name
)
def test_an_error_is_the_first_child_and_no_longer_than_clients_keep(exchange: Exchange) -> None:
    body = replied(exchange)
    root = _elements(body)
    error = root if root.tag == "error" else root[0]
    assert [child.tag for child in error] == ["error_num", "error_msg"]
    assert len(list(root.iter("error"))) == 1
    number, message = error[0].text, error[1].text
    assert number
    assert int(number) != 0
    assert message
    assert "\n" not in message
    found = re.search(rb"<error_msg>(.*)</error_msg>", body)
    assert found
    assert 0 < len(found[1]) <= 250


def _elements(document: bytes) -> ET.Element:
    """The tree; of the one legacy reply without a common root, below one made here."""
    try:
        return ET.fromstring(document)  # noqa: S314  # our own
    except ET.ParseError:
        _, _, inner = document.partition(b"\n")
        assert inner.startswith(b"<server_time>"), document.decode()
        return ET.fromstring(b"<none>" + inner + b"</none>")  # noqa: S314  # our own


def _same(one: ET.Element, other: ET.Element) -> bool:
    """Names, order and values; blanks around a value count where they are all there is."""
    if one.tag != other.tag or len(one) != len(other):
        return False
    if len(one):
        return all(_same(*pair) for pair in zip(one, other, strict=True))
    first, second = one.text or "", other.text or ""
    if one.tag in REALS:
        return math.isclose(float(first), float(second), rel_tol=1e-9)
    return first.strip() == second.strip()
