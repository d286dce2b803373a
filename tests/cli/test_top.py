from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from canned import Canned, fit, train_batch
from screens import ENVIRONMENTS, same
from typed import Type

from jobgate.cli.standing import Server
from jobgate.cli.top import Choice, Seen, filtered, headline, picture, pressed
from jobgate.client.places import Account, Environment
from jobgate.client.records import BatchRecord

NOW = datetime.now(UTC)
PLACES = (
    Environment(name="gpu-a", slots=4, free_slots=4, queued=9),
    Environment(name="local", slots=32, free_slots=0, running=32, queued=356, oldest=NOW - timedelta(minutes=14)),
    Environment(name="old", up=False, down_because="no answer\x1b[2J"),
)
BATCHES = tuple(msgspec.convert(view, BatchRecord) for view in (fit(), train_batch()))
SEEN = Seen(PLACES, Account(account="lab", counts={"running": 32}), BATCHES)
SERVER = {
    "version": "1.0",
    "started": (NOW - timedelta(days=9)).isoformat(),
    "starts_per_second": 61.2,
    "slots": 36,
    "free_slots": 0,
    "running": 36,
    "queued": 359,
    "oldest": (NOW - timedelta(minutes=14)).isoformat(),
    "events_behind": 0.2,
    "accounts": [
        {"account": "lab", "running": 32, "queued": 356, "share_used": 0.62, "share_due": 0.5, "waits_for": "busy"},
        {"account": "vision", "running": 4, "queued": 3, "share_used": 0.11, "share_due": 0.5},
    ],
    "more_accounts": 2,
}


def drawn(choice: Choice) -> list[str]:
    return picture(SEEN, choice, NOW, 100, colour=False)


def test_the_head_sums_what_is_up_and_names_what_is_down() -> None:
    assert headline(SEEN, NOW, 80) == ["jobgate   32 of 36 slots   365 queued   ✗ 1 environment down"]
    assert headline(SEEN, NOW, 40) == ["jobgate   32 of 36 slots   365 queued", "✗ 1 environment down"]


def test_the_picture_marks_the_chosen_batch_and_obeys_no_strangers_codes() -> None:
    lines = drawn(Choice(row=1))
    assert next(line for line in lines if line.startswith("> ")).startswith("> 2n6r1abc")
    assert "\x1b" not in "".join(lines)


def test_s_sorts_by_name_then_by_queue_then_by_use() -> None:
    choice, orders = Choice(), []
    for _ in range(4):
        orders.append([line.split()[0] for line in drawn(choice)[3:6]])
        choice = pressed(choice, "s", BATCHES)
    by_queue, by_use = ["local", "gpu-a", "old"], ["local", "gpu-a", "old"]
    assert orders == [["gpu-a", "local", "old"], by_queue, by_use, ["gpu-a", "local", "old"]]


def test_keys_move_within_the_list_open_a_batch_and_leave() -> None:
    choice = pressed(Choice(), "k", BATCHES)
    assert choice.row == 0
    for _ in range(5):
        choice = pressed(choice, "j", BATCHES)
    assert choice.row == 1
    choice = pressed(choice, "\r", BATCHES)
    assert choice.open == "2n6r1abc"
    choice = pressed(choice, "q", BATCHES)  # back, and no further
    assert (choice.open, choice.leave) == ("", False)
    assert pressed(choice, "q", BATCHES).leave


def test_an_operator_sees_the_whole_server_and_every_account_that_has_jobs() -> None:
    seen = SEEN._replace(server=msgspec.convert(SERVER, Server))
    lines = picture(seen, Choice(), NOW, 130, colour=False)
    assert lines[0] == (
        "jobgate 1.0   up 9 d   61 starts/s   36 of 36 slots   359 queued, oldest 14 min   events 0.2 s behind   "
        "✗ 1 environment down"
    )
    at = next(number for number, line in enumerate(lines) if line.startswith("ACCOUNT"))
    assert [line.split() for line in lines[at : at + 3]] == [
        ["ACCOUNT", "RUNNING", "QUEUED", "SHARE", "USED", "WAITS", "FOR"],
        ["lab", "32", "356", "62", "%", "of", "50", "busy"],
        ["vision", "4", "3", "11", "%", "of", "50"],
    ]
    assert lines[at + 3] == "and 2 accounts more"


def test_a_slash_filters_by_name_until_escape_takes_it_away() -> None:
    choice = Choice(row=1)
    for key in ("/", "F", "i", "x", "\x7f"):
        choice = pressed(choice, key, BATCHES)
    assert (choice.words, choice.typing, choice.row) == ("Fi", True, 0)
    assert [one.name for one in filtered(SEEN, choice.words).batches] == ["fit"]
    assert drawn(choice)[-1].startswith("/Fi")
    choice = pressed(choice, "\r", BATCHES)
    assert (choice.words, choice.typing) == ("Fi", False)
    choice = pressed(pressed(choice, "/", BATCHES), "\x1b", BATCHES)
    assert (choice.words, choice.typing, choice.leave) == ("", False, False)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_operators_screen_is_what_the_sample_shows(canned: Canned, type_: Type, width: int) -> None:
    now = datetime.now(UTC)  # the module's own is from when the tests were collected
    started, oldest = ((now - ago).isoformat() for ago in (timedelta(days=9), timedelta(minutes=14)))
    first = ENVIRONMENTS[0] | {"oldest": oldest}
    canned.tell("GET", "/v1/environments", {"items": [first, *ENVIRONMENTS[1:]]})
    canned.tell("GET", "/v1/account", {"account": "ops", "scopes": ["operate"]})
    canned.tell("GET", "/v1/batches", {"items": [fit()], "next": None})
    canned.tell("GET", "/v1/server", SERVER | {"started": started, "oldest": oldest})
    seen = type_("top", "--once", width=width).out
    assert max(map(len, seen.splitlines())) <= width
    same(f"top-{width}.txt", seen)


def test_only_an_operator_asks_for_the_server(canned: Canned, type_: Type) -> None:
    canned.tell("GET", "/v1/environments", {"items": []})
    canned.tell("GET", "/v1/account", {"account": "lab", "scopes": ["read"]})
    canned.tell("GET", "/v1/batches", {"items": [], "next": None})
    assert "server" not in json.loads(type_("top", "--json").out)
    assert "/v1/server" not in [one.path for one in canned.asked]
    canned.tell("GET", "/v1/account", {"account": "ops", "scopes": ["operate"]})
    canned.tell("GET", "/v1/server", SERVER)
    assert json.loads(type_("top", "--json").out)["server"]["slots"] == 36


def test_off_a_terminal_it_is_one_table_once(canned: Canned, type_: Type) -> None:
    canned.tell("GET", "/v1/environments", {"items": [{"name": "local", "slots": 2, "free_slots": 1, "running": 1}]})
    canned.tell("GET", "/v1/account", {"account": "lab"})
    canned.tell("GET", "/v1/batches", {"items": [fit()], "next": None})
    assert type_("top").out == "local\t1/2\t0\t\t\n"
    assert type_("top", "--once", width=80).out.splitlines()[0] == "jobgate   1 of 2 slots   0 queued"
