"""The drawings of states: every arrow of the tables, inside the picture, the same each time."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from jobgate.model.state import ATTEMPT_MOVES, MOVES
from pages.drawing import Moves, drawing
from pages.states import attempt_drawing, job_drawing

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(("picture", "moves"), [(job_drawing(), MOVES), (attempt_drawing(), ATTEMPT_MOVES)])
def test_a_drawing_has_every_state_and_every_arrow_inside_its_frame(
    picture: str, moves: dict[str, frozenset[str]]
) -> None:
    drawn = ET.fromstring(picture)  # noqa: S314  # our own picture
    states = {text.text for text in drawn.iter(f"{SVG}text")}
    assert states >= {str(state) for state in moves}
    tips = [path for path in drawn.iter(f"{SVG}path") if "tip" in path.get("class", "")]
    assert len(tips) == sum(len(ends) for ends in moves.values())
    _, _, width, height = map(int, drawn.get("viewBox", "").split())
    for path in drawn.iter(f"{SVG}path"):
        if "tip" not in path.get("class", "") and "C" in path.get("d", ""):
            numbers = list(map(int, re.findall(r"-?\d+", path.get("d", ""))))
            assert all(0 <= x <= width for x in numbers[::2])
            assert all(0 <= y <= height for y in numbers[1::2])


def test_the_same_moves_make_the_same_picture_and_ways_back_go_left() -> None:
    moves: Moves = {"a": ("b", "c"), "b": ("a",), "c": ()}
    picture = drawing("x", moves)
    assert picture == drawing("x", moves)
    assert picture.count('class="back"') == 1
    assert picture.count('class="state over"') == 1
