from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from canned import Canned, fit, train_batch
from typed import Type

from jobgate.cli.top import Choice, Seen, headline, picture, pressed
from jobgate.client.places import Account, Environment
from jobgate.client.records import BatchRecord

PLACES = (
    Environment(name="gpu-a", slots=4, free_slots=4, queued=9),
    Environment(name="local", slots=32, free_slots=0, running=32, queued=356),
    Environment(name="old", up=False, down_because="no answer\x1b[2J"),
)
BATCHES = tuple(msgspec.convert(view, BatchRecord) for view in (fit(), train_batch()))
SEEN = Seen(PLACES, Account(account="lab", counts={"running": 32}), BATCHES)


def drawn(choice: Choice) -> list[str]:
    return picture(SEEN, choice, datetime.now(UTC), 100, colour=False)


def test_the_head_sums_what_is_up_and_names_what_is_down() -> None:
    assert headline(SEEN) == "jobgate   32 of 36 slots   365 queued   ✗ 1 environment down"


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


def test_off_a_terminal_it_is_one_table_once(canned: Canned, type_: Type) -> None:
    canned.tell("GET", "/v1/environments", {"items": [{"name": "local", "slots": 2, "free_slots": 1, "running": 1}]})
    canned.tell("GET", "/v1/account", {"account": "lab"})
    canned.tell("GET", "/v1/batches", {"items": [fit()], "next": None})
    assert type_("top").out == "local\t1/2\t1\t0\t\n"
    assert type_("top", "--once", width=80).out.splitlines()[0] == "jobgate   1 of 2 slots   0 queued"
