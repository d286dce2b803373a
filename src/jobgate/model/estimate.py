"""How long something will take, from past runs: a value, and an interval that holds four times in five.

Run times are quantiles of past runs with the correction for their small number that conformal prediction makes: of n
runs the k-th smallest lies above the next one with probability k / (n + 1), whatever their distribution. Below nine
runs no such interval exists; then the logarithms are taken as normal, and a t interval is made of them.

A start is estimated by playing the queue through, some dozen times, with run times drawn from past runs: the jobs that
run end, those before it start in their order. The draws are a fixed sequence: the same past gives the same estimate.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from functools import cache, cached_property
from typing import Final

import msgspec

TAIL: Final = 10
"""One in so many lies below the interval, and one above: it holds four times in five."""
_FEW: Final = TAIL - 1
"""Fewest runs of which the smallest and largest hold so often: each lies outside once in n + 1."""
_T: Final = (3.078, 1.886, 1.638, 1.533, 1.476, 1.440, 1.415, 1.397)
"""Student's t at 0.9 for 1 to 8 degrees of freedom."""
_Z: Final = 1.2816
_GUESS: Final = 1.0
"""Standard deviation of a run time's logarithm, as long as there is one run only."""
_NARROWEST: Final = 0.02
_SHORTEST: Final = 1e-4
"""Seconds; nothing is shorter."""
_LONGEST: Final = 1e10
_LOGS: Final = 60.0
"""Beyond it an exponential is longer than anything."""
_PLAYED: Final = 48
"""Times that a queue is played through."""
_LANES: Final = 24
"""Jobs at once that are played; a wider place is played in proportion."""
_SIDES: Final = 128
"""Of a die: in so many steps run times are drawn."""
_DEEP: Final = 64
"""Jobs that are played one after the other; of a longer queue the rest is calculated."""


class Span(msgspec.Struct, frozen=True, gc=False):
    """A value, the interval that should hold it, and how many past runs this rests on."""

    value: float
    low: float
    high: float
    runs: int

    def plus(self, other: Span) -> Span:
        """Both after each other, if they have nothing to do with each other."""
        value = self.value + other.value
        low = value - math.hypot(self.value - self.low, other.value - other.low)
        high = value + math.hypot(self.high - self.value, other.high - other.value)
        return Span(value, max(low, 0.0), high, min(self.runs, other.runs))

    def later(self, other: Span) -> Span:
        """Whichever comes last."""
        return Span(
            max(self.value, other.value),
            max(self.low, other.low),
            max(self.high, other.high),
            min(self.runs, other.runs),
        )

    def times(self, factor: float) -> Span:
        """So many times as much."""
        return Span(self.value * factor, self.low * factor, self.high * factor, self.runs)


class Sample:
    """Past runs of one kind, ready to be asked and drawn from. Never empty."""

    def __init__(self, seconds: Sequence[float]) -> None:
        self.sorted = sorted(min(max(s, _SHORTEST), _LONGEST) for s in seconds)
        self.runs = len(self.sorted)
        logs = [math.log(s) for s in self.sorted]
        middle = sum(logs) / self.runs
        self.middle = math.exp(middle)
        """Geometric mean."""
        squares = sum((log - middle) ** 2 for log in logs)
        self.spread = max(math.sqrt(squares / (self.runs - 1)), _NARROWEST) if self.runs > 1 else _GUESS
        """Standard deviation of the logarithm."""
        self.mean = sum(self.sorted) / self.runs
        self.deviation = (
            math.sqrt(sum((s - self.mean) ** 2 for s in self.sorted) / (self.runs - 1)) if self.runs > 1 else self.mean
        )

    def span(self) -> Span:
        """How long the next one will take."""
        if self.runs < _FEW:
            reach = math.exp(min(_T[max(self.runs - 2, 0)] * self.spread * math.sqrt(1 + 1 / self.runs), _LOGS))
            value = self._median()
            return Span(value, min(value, self.middle / reach), max(value, self.middle * reach), self.runs)
        place = (self.runs + 1) // TAIL
        return Span(self._median(), self.sorted[place - 1], self.sorted[-place], self.runs)

    def _median(self) -> float:
        half = self.runs // 2
        return self.sorted[half] if self.runs % 2 else (self.sorted[half - 1] + self.sorted[half]) / 2

    def quantile(self, chance: float) -> float:
        """The run time below which the next one lies with this chance; one in n + 1 is longer than all before."""
        found = self.sorted[min(int(chance * (self.runs + 1)), self.runs - 1)]
        if chance * (self.runs + 1) < self.runs:
            return found
        return min(max(found, self.middle * math.exp(min(_deviate(chance) * self.spread, _LOGS))), _LONGEST)

    @cached_property
    def table(self) -> list[float]:
        """Its quantiles, to be drawn from by the dice."""
        return [self.quantile((side + 0.5) / _SIDES) for side in range(_SIDES)]

    def doubted(self, doubt: float) -> float:
        """Factor on all that is known of this kind. `doubt` is a normal deviate: how far off that may be."""
        return math.exp(min(doubt * self.spread / math.sqrt(self.runs), _LOGS))

    def rest(self, elapsed: float, chance: float, doubt: float) -> float:
        """What is left of one that has run for so long, by those that ran longer; if none did, by a guess."""
        place = _above(self.sorted, elapsed)
        longer = self.runs - place
        if longer < 1:
            return min(max(elapsed, _SHORTEST) * chance / (1.0 - chance), _LONGEST)
        left = self.sorted[place + int(chance * longer)] - elapsed
        return min(max(left, 0.0) * self.doubted(doubt * math.sqrt(self.runs / longer)), _LONGEST)


def _above(ordered: Sequence[float], value: float) -> int:
    """Place of the first that is greater."""
    low, high = 0, len(ordered)
    while low < high:
        middle = (low + high) // 2
        if ordered[middle] > value:
            high = middle
        else:
            low = middle + 1
    return low


class Busy(msgspec.Struct, frozen=True):
    """A job that has its room."""

    sample: Sample | None
    """None: nothing is known of runs like it."""
    elapsed: float = 0.0
    width: int = 1
    """How many slots' worth of room it has."""
    own: bool = False
    """One of those whose end is asked for."""


class Forecast:
    """When each of the next jobs of one environment starts, given what runs and in which order the others come."""

    def __init__(self, slots: int, running: Sequence[Busy], queue: Sequence[Busy], lag: Sample | None) -> None:
        """`queue`: the first jobs that wait, in order. `lag`: what a start takes when a slot is free."""
        self._lanes = min(max(slots, 1), _LANES)
        self._scale = max(slots, 1) / self._lanes
        self._busy = _thinned(_widened(running), self._lanes, self._scale)
        self._queue = _thinned(_widened(queue), _DEEP, self._scale)
        self._free = self._lanes - len(self._busy)
        self._lag = lag
        known = [job.sample for job in (*running, *queue) if job.sample is not None]
        self._usual = max(known, key=lambda sample: sample.runs, default=None)
        """Of runs that nothing nearer is known of."""
        self._plays: dict[int, tuple[_Places, _Places]] = {}

    def start(self, ahead: int, width: int = 1) -> Span | None:
        """Seconds until one starts that has so many before it; None when there is nothing to tell it by."""
        place, wide = ahead / self._scale, self._wide(width)
        if math.floor(place) + wide <= self._free:
            return None if self._lag is None else self._lag.span()
        if self._usual is None:
            return None
        starts, _ = self._played(self._usual, math.ceil(place), wide)
        if place <= _DEEP:
            return _interval(starts[math.ceil(place)], self._usual.runs)
        return _interval(starts[-1], self._usual.runs).plus(self._further(place - _DEEP, self._usual))

    def _wide(self, width: int) -> int:
        return min(math.ceil(width / self._scale), self._lanes)

    def finish(self, ahead: int) -> Span | None:
        """Seconds until all own ones are over, the last of which has so many before it.

        None when there is nothing to tell it by, or none of them is among the first.
        """
        if self._usual is None or not any(job.own for job in self._queue):
            return None
        runs, place, last = self._usual.runs, ahead / self._scale, len(self._queue) - 1
        starts, overs = self._played(self._usual, last, 1)
        if place <= last:
            return _interval(overs[math.ceil(place)], runs)
        tails = [max(over - start, 0.0) for over, start in zip(overs[last], starts[last], strict=True)]
        return _interval(starts[last], runs).plus(self._further(place - last, self._usual)).plus(_interval(tails, runs))

    def _further(self, places: float, usual: Sample) -> Span:
        """How much later one starts that comes so many places after the last that was played."""
        more = places * usual.mean / self._lanes
        chance = math.sqrt(places) * usual.deviation / self._lanes
        doubt = more * usual.deviation / (usual.mean * math.sqrt(usual.runs))
        reach = _Z * math.hypot(chance, doubt)
        return Span(more, max(more - reach, 0.0), more + reach, usual.runs)

    def _played(self, usual: Sample, deep: int, wide: int) -> tuple[_Places, _Places]:
        """For each place its start in each of the plays, and the end of the last of the own ones so far.

        As deep as asked, and at the second time all of it: one question costs little, and many not more than all.
        """
        places = min(deep, _DEEP) + 1
        known = self._plays.get(wide)
        if known is None or len(known[0]) < places:
            places = places if known is None else _DEEP + 1
            known = self._plays[wide] = [[] for _ in range(places)], [[] for _ in range(places)]
            for number in range(_PLAYED):
                self._play(usual, number, wide, *known)
        return known

    def _play(self, usual: Sample, number: int, wide: int, starts: _Places, overs: _Places) -> None:
        doubt = _deviate((number * _GOLDEN + 0.5 / _PLAYED) % 1.0)
        factors = {sample: sample.doubted(doubt) for sample in {usual, *(job.sample or usual for job in self._queue)}}
        dice = iter(_dice()[number])
        lanes = [0.0] * self._free
        lanes += [(job.sample or usual).rest(job.elapsed, (next(dice) + 0.5) / _SIDES, doubt) for job in self._busy]
        heapq.heapify(lanes)
        lags = self._lag.table if self._lag is not None else [0.0] * _SIDES
        over, jobs = 0.0, iter(self._queue)
        for at, ends in zip(starts, overs, strict=True):
            begins, lag = lanes[0], lags[next(dice)]
            at.append((begins if wide == 1 else heapq.nsmallest(wide, lanes)[-1]) + lag)
            job = next(jobs, _LIKE_OTHERS)
            sample, side = job.sample or usual, next(dice)
            heapq.heapreplace(lanes, begins + min(sample.table[side] * factors[sample], _LONGEST))
            if job.own:  # it stands for `scale` jobs, and the longest of them counts
                longest = sample.quantile(((side + 0.5) / _SIDES) ** (1 / self._scale)) * factors[sample]
                over = max(over, begins + lag + min(longest, _LONGEST))
            ends.append(over)


_LIKE_OTHERS: Final = Busy(None)
"""What comes after the queue as far as it was told."""
_Places = list[list[float]]
"""For each place in the queue, a time for each play."""


def _interval(times: Sequence[float], runs: int) -> Span:
    """What four in five of the plays came to."""
    ordered = sorted(times)
    edge = max((len(ordered) + 1) // TAIL, 1)
    value = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return Span(value, ordered[edge - 1], ordered[-edge], runs)


def _widened(jobs: Sequence[Busy]) -> list[Busy]:
    """Each once for each slot that it fills."""
    return [job for job in jobs for _ in range(job.width)]


def _thinned(items: Sequence[Busy], most: int, scale: float) -> list[Busy]:
    """One of each `scale`, `most` at most."""
    count = min(math.ceil(len(items) / scale), most)
    return [items[min(int(place * scale), len(items) - 1)] for place in range(count)]


_GOLDEN: Final = 0.6180339887498949


@cache
def _dice() -> list[bytes]:
    """Throws for each play, that look like chance and are always the same [the generator is Knuth's, of MMIX]."""
    state, plays = 0x9E3779B97F4A7C15, []
    for _ in range(_PLAYED):
        throws = bytearray()
        for _ in range(_LANES + 2 * (_DEEP + 1)):
            state = (state * 6364136223846793005 + 1442695040888963407) & 0xFFFF_FFFF_FFFF_FFFF
            throws.append(state * _SIDES >> 64)
        plays.append(bytes(throws))
    return plays


def _deviate(chance: float) -> float:
    """The normal deviate below which this chance lies, to three digits [Abramowitz and Stegun, 26.2.23]."""
    tail = min(chance, 1.0 - chance)
    if tail <= 0.0:
        tail = 1e-9
    t = math.sqrt(-2.0 * math.log(tail))
    size = t - (2.515517 + 0.802853 * t + 0.010328 * t * t) / (
        1.0 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t * t * t
    )
    return size if chance > 0.5 else -size  # noqa: PLR2004  # the middle of all chances
