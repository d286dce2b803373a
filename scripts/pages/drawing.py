"""A drawing of states without any program to lay it out: one below the other, ways on to the right, ways back left.

The picture is the same for the same moves, byte for byte, and follows the reader's light or dark by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Moves = Mapping[str, tuple[str, ...]]
"""State to what it may become, in the order of a life."""

_STEP: Final = 58
_BOX: Final = (132, 30)
_TOP: Final = 22
_STYLE: Final = """<style>
rect.paper { fill: #fbfbfa } rect.state { fill: #fff; stroke: #5f6b7a } rect.over { stroke-width: 3 }
text { font: 13px ui-monospace, monospace; fill: #1b1f24; text-anchor: middle } path { fill: none; stroke: #5f6b7a }
path.back { stroke: #b07a1e } .tip { fill: #5f6b7a; stroke: none } .tip.back { fill: #b07a1e }
@media (prefers-color-scheme: dark) {
  rect.paper { fill: #16191d } rect.state { fill: #1f242a; stroke: #9aa3ad } text { fill: #e6e8eb }
  path { stroke: #9aa3ad } path.back { stroke: #e0b060 } .tip { fill: #9aa3ad } .tip.back { fill: #e0b060 }
}
</style>"""


def drawing(title: str, moves: Moves) -> str:
    """The picture as SVG."""
    places = {name: place for place, name in enumerate(moves)}
    longest = max((places[end] - places[a] for a, ends in moves.items() for end in ends), default=1)
    back = max((places[a] - places[end] for a, ends in moves.items() for end in ends), default=0)
    left, right = _reach(back), _reach(longest)
    middle = left + _BOX[0] // 2 + 16
    width, height = middle + _BOX[0] // 2 + right + 16, _TOP * 2 + _STEP * (len(places) - 1) + _BOX[1]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img">',
        f"<title>{title}</title>",
        _STYLE,
        f'<rect class="paper" width="{width}" height="{height}" rx="8"/>',
    ]
    for name, ends in moves.items():
        lines += [_arrow(middle, places[name], places[end]) for end in ends]
    lines += [_state(middle, place, name, over=not moves[name]) for name, place in places.items()]
    return "\n".join([*lines, "</svg>", ""])


def _reach(steps: int) -> int:
    """How far a way over so many steps goes out."""
    return 0 if steps <= 0 else 14 + 16 * steps


def _middle(place: int) -> int:
    return _TOP + _BOX[1] // 2 + _STEP * place


def _state(x: int, place: int, name: str, *, over: bool) -> str:
    y, kind = _middle(place), "state over" if over else "state"
    left, top = x - _BOX[0] // 2, y - _BOX[1] // 2
    box = f'<rect class="{kind}" x="{left}" y="{top}" width="{_BOX[0]}" height="{_BOX[1]}" rx="6"/>'
    return f'{box}<text x="{x}" y="{y + 4}">{name}</text>'


def _arrow(x: int, start: int, end: int) -> str:
    """From one state to another: a line to the next one, an arc to any further."""
    if end == start + 1:
        y, tip = _middle(start) + _BOX[1] // 2, _middle(end) - _BOX[1] // 2
        return f'<path d="M{x} {y}V{tip - 6}"/><path class="tip" d="M{x - 4} {tip - 8}h8l-4 8z"/>'
    on = end > start
    edge = x + (_BOX[0] // 2 if on else -_BOX[0] // 2)
    out = _reach(abs(end - start))
    y, tip = (_middle(start) + 7, _middle(end) - 7) if on else (_middle(start) - 7, _middle(end) + 7)
    far = edge + out if on else edge - out
    near, kind = (edge + 7, "on") if on else (edge - 7, "back")
    head = f"M{near} {tip - 4}v8l{-7 if on else 7} -4z"
    path = f"M{edge} {y}C{far} {y} {far} {tip} {near} {tip}"
    return f'<path class="{kind}" d="{path}"/><path class="tip {kind}" d="{head}"/>'
