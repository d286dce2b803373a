"""The contract suite of engines: each function holds one promise, and says in an AssertionError where it is broken.

An engine's author writes one Subject: how it is built, and what the suite cannot know of its far side.
`tests/contracts/test_every_engine.py` shows how the suite is run. Nothing here looks at a workspace while a job runs,
since it may be on another machine: what a job does is told by its exit, its log, and by what is alive there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Final

from msgspec.structs import replace

from jobgate.engines.engine import Phase, Start
from jobgate.model.attempt import Exit, Handle
from jobgate.model.errors import EngineError
from jobgate.model.files import Piece
from jobgate.model.job import Argv, ImageRef, Script, Step
from jobgate.model.resources import MIB
from jobgate.model.state import Failure, Limit
from jobgate.testing.engine_site import SMALL, Site, Subject, attempt, opened

_words = count()


def _long() -> str:
    """Seconds to sleep that nobody else sleeps: the number is the word to look for."""
    return f"{os.getpid()}{next(_words):04}"


# --- handing over


async def submitting_twice_is_one_run(subject: Subject) -> None:
    """In one request, in two, and after the end."""
    async with opened(subject) as site:
        start = site.start("echo once")
        await site.begin(start)
        await site.begin(start, start)
        await site.ended(start)
        await site.begin(start)
        await site.run("true")
        assert await site.log(start) == b"once\n", "it ran more than once"


async def every_start_has_its_own_answer(subject: Subject) -> None:
    """Also beside one that is refused."""
    async with opened(subject) as site:
        good = [site.start(f"exit {code}", slot=code) for code in range(8)]
        bad = site.start("", steps=(Step(command=Argv(("true",)), program=ImageRef("nobody/knows:1")),))
        answers = await site.engine.submit([*good[:4], bad, *good[4:]])
        assert set(answers) == {start.attempt for start in (*good, bad)}
        refusal = answers[bad.attempt]
        if isinstance(refusal, EngineError):
            assert not refusal.retryable, "an image that nobody knows is final"
        else:
            assert (await site.ended(bad)).exit is None, "an image that nobody knows ran something"
        for code, start in enumerate(good):
            assert isinstance(answers[start.attempt], Handle)
            assert (await site.ended(start)).exit == Exit(code)


async def nothing_but_engine_errors_come_out(subject: Subject) -> None:
    """Whatever is asked for: an answer that says if asking again helps, or an end; and the engine works on."""
    async with opened(subject) as site:
        for what, start in _hostile(site):
            try:
                answer = (await site.engine.submit([start]))[start.attempt]
            except EngineError as error:
                answer = error
            if isinstance(answer, EngineError):
                assert isinstance(answer.retryable, bool)
                continue
            seen = await site.ended(start)
            assert seen.exit != Exit(0), f"{what}: it succeeded"
        assert (await site.run("exit 9"))[0].exit == Exit(9), "the engine is broken now"


def _hostile(site: Site) -> Iterator[tuple[str, Start]]:
    """Starts that cannot work."""
    true = site.step(Argv(("true",)))
    lines = {
        "no such program": site.step(Argv(("no-such-program",))),
        "no program but a folder": site.step(Argv(("/tmp",))),  # noqa: S108  # no file is made there
        "no text that can be written": site.step(Argv(("true", "\udcff\ud800"))),
        "no script that can be written": site.step(Script("\ud800")),
        "a word too long": site.step(Argv(("true", "x" * (1 << 20)))),
        "NUL in a variable": replace(true, env={"A": "a\0b"}),
        "no such folder": replace(true, workdir="not/there"),
        "no such input": replace(true, stdin="not-there"),
        "an input outside": replace(true, stdin="../../../../../etc/passwd"),
        "an output outside": replace(true, stdout="../outside"),
        "an output that is a folder": replace(true, stdout="."),
    }
    for what, step in lines.items():
        yield what, site.start("", steps=(step,))
    for name, line in {"pipe": "mkfifo x", "link": "ln -s /etc x"}.items():
        for stream, path in {"stdin": "x", "stdout": "x"}.items():
            end = path if name == "pipe" else f"{path}/hostname"
            step = Step(command=Argv(("true",)), program=site.subject.program)
            second = replace(step, stdin=end) if stream == "stdin" else replace(step, stdout=end)
            yield f"{stream} is a {name} that an earlier step left", site.start("", steps=(site.step(line), second))
    start = site.start("true")
    start.workspace.rmdir()
    yield "no workspace", start
    yield "no folder for the log", replace(site.start("true"), log=site.subject.work / "not" / "there")


# --- asking


async def poll_answers_for_every_attempt_asked(subject: Subject) -> None:
    """Gone is an answer."""
    async with opened(subject) as site:
        start, stranger = site.start("true"), site.start("true")
        await site.begin(start)
        await site.ended(start)
        said = await site.engine.poll([start.attempt, stranger.attempt])
        assert set(said) == {start.attempt, stranger.attempt}
        assert said[start.attempt].phase is Phase.ENDED
        unknown = said[stranger.attempt]
        assert unknown.phase is Phase.GONE
        assert unknown.started is None
        assert unknown.exit is None
        assert not await site.engine.poll([])


async def what_is_released_may_be_forgotten(subject: Subject) -> None:
    """And releasing it again, or what nobody knows, is no error."""
    async with opened(subject) as site:
        start, stranger = site.start("true"), site.start("true")
        await site.begin(start)
        await site.ended(start)
        for _ in range(2):
            await site.engine.release([start.attempt, stranger.attempt])
        seen = (await site.engine.poll([start.attempt]))[start.attempt]
        assert seen.phase in (Phase.GONE, Phase.ENDED)


async def collecting_may_be_repeated(subject: Subject) -> None:
    """With the same result: what a job left is in the workspace, and its log in the log."""
    async with opened(subject) as site:
        start = site.start("echo said; echo kept > file; mkdir sub; echo below > sub/file")
        await site.begin(start)
        await site.ended(start)
        for _ in range(3):
            assert await site.log(start) == b"said\n"
            assert (start.workspace / "file").read_bytes() == b"kept\n"
            assert (start.workspace / "sub" / "file").read_bytes() == b"below\n"


# --- ends


async def an_exit_code_and_its_times_come_back(subject: Subject) -> None:
    """Any code; it did not end before it started."""
    async with opened(subject) as site:
        for code in (0, 1, 3, 126, 127, 255):
            seen, _ = await site.run(f"exit {code}")
            assert seen.exit == Exit(code)
            assert seen.failure is None
            assert seen.started is not None
            assert seen.ended is not None
            assert seen.started <= seen.ended


async def death_by_a_signal_is_128_and_its_number(subject: Subject) -> None:
    """By its own hand as by another's."""
    async with opened(subject) as site:
        assert (await site.run("kill -9 $$"))[0].exit == Exit(137, 9)
        assert (await site.run("kill -TERM $$"))[0].exit == Exit(143, 15)


async def what_cannot_be_executed_is_said(subject: Subject) -> None:
    """127 for what is not there, 126 or 127 for what is no program; and its name."""
    async with opened(subject) as site:
        seen, _ = await site.run(Argv(("no-such-program",)))
        assert seen.exit == Exit(127)
        assert "no-such-program" in seen.message
        seen, _ = await site.run(Argv(("/dev/null",)))
        assert seen.exit in (Exit(126), Exit(127))
        assert "/dev/null" in seen.message


async def limits_that_are_enforced_end_it_with_their_name(subject: Subject) -> None:
    """Those that the capabilities name."""
    async with opened(subject) as site:
        limits = site.engine.capabilities.limits
        if "walltime" in limits:
            word = _long()
            seen, _ = await site.run(f"trap '' TERM; sleep {word}; sleep {word}", replace(SMALL, walltime=0.5))
            assert (seen.failure, seen.limit) == (Failure.LIMIT, Limit.WALLTIME)
            await site.gone(word)
        if "memory" in limits:
            line = "x=$(head -c 200000000 /dev/zero | tr '\\0' a); echo ${#x}"
            seen, _ = await site.run(line, replace(SMALL, memory=32 * MIB))
            assert (seen.failure, seen.limit) == (Failure.LIMIT, Limit.MEMORY)
        if "disk" in limits:
            seen, _ = await site.run(f"head -c 100000000 /dev/zero > big; sleep {_long()}")
            assert (seen.failure, seen.limit) == (Failure.LIMIT, Limit.DISK)


# --- logs and streams


async def both_streams_are_in_the_log_in_their_order(subject: Subject) -> None:
    """Byte for byte."""
    async with opened(subject) as site:
        start = site.start("for i in 1 2 3 4; do echo out $i; echo err $i >&2; done; printf 'a\\000b\\377\\376'")
        await site.begin(start)
        await site.ended(start)
        lines = "".join(f"out {i}\nerr {i}\n" for i in range(1, 5)).encode()
        assert await site.log(start) == lines + b"a\0b\xff\xfe"


async def a_live_log_is_read_from_any_place(subject: Subject) -> None:
    """Empty at its present end."""
    async with opened(subject) as site:
        word = _long()
        start = site.start(f"echo first; echo second >&2; sleep {word}")
        await site.begin(start)
        assert await site.tail(start, b"second\n") == b"first\nsecond\n"
        assert await site.tail(start, b"second\n", 6) == b"second\n"
        assert await site.engine.read(attempt(start), 2, 3) == Piece(2, b"rst", 13)
        assert await site.engine.read(attempt(start), 13, 100) == Piece(13, b"", 13)
        assert (await site.engine.read(attempt(start), 1000, 100)).content == b""
        assert (await site.engine.read(attempt(start), 0, 0)).size == 13, "the size alone may be asked"
        assert await site.engine.read(attempt(site.start("true")), 0, 100) == Piece(0, b"", 0), "it has not started"


async def a_step_gets_its_streams_its_folder_and_its_variables(subject: Subject) -> None:
    """A later step reads what an earlier one wrote; late variables win."""
    async with opened(subject) as site:
        first = replace(site.step("echo to-out; echo to-err >&2; mkdir below"), stdout="o", stderr="e")
        line = "cat; cat ../e; echo $A $B; pwd"
        second = replace(site.step(line), stdin="o", workdir="below", env={"A": "early", "B": "b"})
        start = replace(site.start("", steps=(first, second)), env={"A": "late"})
        await site.begin(start)
        assert (await site.ended(start)).exit == Exit(0)
        said = (await site.log(start)).decode().splitlines()
        assert said[:3] == ["to-out", "to-err", "late b"]
        assert said[3].endswith("/below")


async def a_script_runs_as_its_first_line_says(subject: Subject) -> None:
    """And without one, in the shell."""
    async with opened(subject) as site:
        assert (await site.run(Script("#!/bin/sh -e\nfalse\necho never")))[0].exit == Exit(1)
        assert (await site.run(Script("echo plain")))[1] == "plain\n"


# --- steps


async def steps_run_in_order_until_one_fails(subject: Subject) -> None:
    """A failure that is ignored stops nothing; each step that ended has its exit."""
    async with opened(subject) as site:
        ignored = replace(site.step("exit 4"), ignore_error=True)
        last = (site.step("echo 2; exit 5"), site.step("echo never"))
        start = site.start("", steps=(site.step("echo 1"), ignored, *last))
        await site.begin(start)
        seen = await site.ended(start)
        assert seen.exit == Exit(5)
        assert [end.code for end in seen.steps] == [0, 4, 5]
        assert await site.log(start) == b"1\n2\n"


async def steps_together_run_at_the_same_time(subject: Subject) -> None:
    """Where the engine can: two that wait for each other both end."""
    async with opened(subject) as site:
        if not site.engine.capabilities.together:
            return
        here = site.step("mkfifo a; echo met > a")
        there = replace(site.step("while [ ! -p a ]; do :; done; cat a"), together=True)
        start = site.start("", steps=(here, there))
        await site.begin(start)
        assert (await site.ended(start)).exit == Exit(0)
        assert await site.log(start) == b"met\n"


# --- stopping


async def cancelling_asks_gently_first(subject: Subject) -> None:
    """And again, or when it has ended, or of one that nobody knows, it is no error."""
    async with opened(subject) as site:
        start = site.start("trap 'echo bye; exit 42' TERM; echo up; while :; do sleep 0.02; done")
        await site.begin(start)
        await site.tail(start, b"up\n")
        for _ in range(2):
            await site.engine.cancel([start.attempt])
        assert (await site.ended(start)).exit == Exit(42)
        said = await site.log(start)
        assert said.startswith(b"up\n"), said
        assert said.endswith(b"bye\n"), said  # a shell may say of its child that it was terminated
        await site.engine.cancel([start.attempt, site.start("true").attempt])
        assert (await site.engine.poll([start.attempt]))[start.attempt].exit == Exit(42)


@dataclass(frozen=True)
class _Tree:
    """Processes that do not want to end."""

    what: str
    line: str
    """With `@` for the word they are known by."""


TREES: Final = (
    _Tree("children", "sleep @ & sleep @; wait"),
    _Tree("one that ignores the signal", "trap '' TERM; sleep @; sleep @"),
    _Tree("one that forked away", "(setsid sh -c 'sleep @; :' &); sleep @"),
    _Tree("one that forked away and forgot its variables", "(env -i setsid /bin/sleep @ &); sleep @"),
    _Tree(
        "one that forked away twice and is deaf", "(setsid sh -c \"trap '' TERM HUP; (sleep @ &); sleep @\" &); sleep @"
    ),
)


async def a_cancelled_job_leaves_no_process(subject: Subject) -> None:
    """Not one of its tree, while another job lives on."""
    async with opened(subject) as site:
        word = _long()
        other = site.start(f"echo up; sleep {word}", slot=1)
        await site.begin(other)
        for tree in TREES:
            mine = _long()
            start = site.start(f"echo up; {tree.line.replace('@', mine)}")
            await site.begin(start)
            await site.tail(start, b"up\n")
            await site.engine.cancel([start.attempt])
            seen = await site.ended(start)
            assert seen.exit is None or seen.exit.code in (137, 143), f"{tree.what}: {seen.exit}"
            await site.gone(mine)
        assert subject.alive(word), "another job was killed"
        assert (await site.engine.poll([other.attempt]))[other.attempt].phase is Phase.RUNNING
        await site.engine.cancel([other.attempt])
        await site.ended(other)


async def what_forks_away_ends_with_its_job(subject: Subject) -> None:
    """The exit code is the command's own."""
    async with opened(subject) as site:
        other = site.start(f"echo up; sleep {_long()}", slot=1)
        await site.begin(other)
        await site.tail(other, b"up\n")
        for form in ("(setsid sleep @ >/dev/null 2>&1 &)", "(env -i setsid /bin/sleep @ >/dev/null 2>&1 &)"):
            word = _long()
            seen, _ = await site.run(f"{form.replace('@', word)}; exit 3")
            assert seen.exit == Exit(3)
            await site.gone(word)


async def what_has_begun_is_not_recalled(subject: Subject) -> None:
    """Nor what has ended, or what nobody knows: nothing is told of them."""
    async with opened(subject) as site:
        long, short, stranger = (
            site.start(f"echo up; sleep {_long()}", slot=1),
            site.start("exit 3"),
            site.start("true"),
        )
        await site.begin(long, short)
        await site.ended(short)
        await site.tail(long, b"up\n")
        await site.engine.recall([long.attempt, short.attempt, stranger.attempt])
        assert (await site.run("exit 4"))[0].exit == Exit(4)
        said = await site.engine.poll([long.attempt, short.attempt])
        assert said[long.attempt].phase in (Phase.STARTING, Phase.RUNNING), "its start may not be told yet"
        assert said[short.attempt].exit == Exit(3)
        await site.engine.cancel([long.attempt])
        await site.ended(long)


# --- ends of others


async def the_next_gateway_finds_what_ran_on_and_what_ended(subject: Subject) -> None:
    """Letting go of the engine stops nothing and loses nothing."""
    async with opened(subject, leave=True) as site:
        long, short = site.start(f"echo up; sleep {_long()}", slot=1), site.start("echo said; exit 3")
        await site.begin(long, short)
        before = await site.ended(short)
        await site.until(long, Phase.RUNNING)
    async with opened(subject) as site:
        said = await site.engine.poll([long.attempt, short.attempt])
        assert said[long.attempt].phase is Phase.RUNNING
        assert said[short.attempt] == before
        await site.begin(long, short)
        assert await site.log(short) == b"said\n"
        await site.engine.cancel([long.attempt])
        await site.ended(long)
        assert await site.log(long) == b"up\n", "it ran twice"


async def a_killed_helper_loses_nothing_and_repeats_nothing(subject: Subject) -> None:
    """What stands between the engine and its jobs may die at any time."""
    if subject.kill is None:
        return
    async with opened(subject) as site:
        word = _long()
        long, short = site.start(f"echo once; sleep {word}", slot=1), site.start("exit 3")
        await site.begin(long, short)
        await site.tail(long, b"once\n")
        before = await site.ended(short)
        await site.until(long, Phase.RUNNING)
        subject.kill(site.engine)
        late = site.start("exit 4", slot=2)
        await site.engine.submit([late])
        assert (await site.ended(late)).exit in (Exit(4), None), "it has another end than its own"
        assert (await site.engine.poll([short.attempt]))[short.attempt] == before
        await site.engine.submit([long])
        await site.engine.cancel([long.attempt])
        seen = await site.ended(long)
        assert seen.started is not None, "nobody knows that it had started"
        assert seen.exit != Exit(0)
        await site.gone(word)
        assert (await site.log(long)).count(b"once") == 1, "it ran twice"


SUITE: Final[tuple[Callable[[Subject], Coroutine[None, None, None]], ...]] = (
    submitting_twice_is_one_run,
    every_start_has_its_own_answer,
    nothing_but_engine_errors_come_out,
    poll_answers_for_every_attempt_asked,
    what_is_released_may_be_forgotten,
    collecting_may_be_repeated,
    an_exit_code_and_its_times_come_back,
    death_by_a_signal_is_128_and_its_number,
    what_cannot_be_executed_is_said,
    limits_that_are_enforced_end_it_with_their_name,
    both_streams_are_in_the_log_in_their_order,
    a_live_log_is_read_from_any_place,
    a_step_gets_its_streams_its_folder_and_its_variables,
    a_script_runs_as_its_first_line_says,
    steps_run_in_order_until_one_fails,
    steps_together_run_at_the_same_time,
    cancelling_asks_gently_first,
    a_cancelled_job_leaves_no_process,
    what_forks_away_ends_with_its_job,
    what_has_begun_is_not_recalled,
    the_next_gateway_finds_what_ran_on_and_what_ended,
    a_killed_helper_loses_nothing_and_repeats_nothing,
)
"""Every promise, as a function of the subject."""
