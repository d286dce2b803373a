"""Places in a log that was cut: counted in the log as it was written, whatever of it is kept."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from workbench import Bench, run

from jobgate.model.attempt import LOG, Exit
from jobgate.model.events import Collected, Exited, Started
from jobgate.model.files import Artifact, Cut
from jobgate.model.ids import Digest, JobId, JobName
from jobgate.model.storing import OpenedLog, OpenLog
from jobgate.operations.log_places import last_lines
from jobgate.testing.store_lab import claim

MARK = b"\n--- some bytes were cut here ---\n"


def test_every_place_of_a_cut_log_gives_the_bytes_that_were_written_there(tmp_path: Path) -> None:
    written = bytes(range(40, 100))
    half = 7
    kept = written[:half] + MARK + written[-half:]
    log = Artifact(
        LOG,
        Digest(hashlib.sha256(kept).hexdigest()),
        len(kept),
        inline=kept,
        cut=Cut(half, len(written) - 2 * half),
    )

    async def body(bench: Bench) -> None:
        batch = await bench.batch(1)
        name = JobName(batch.id, JobId(batch.id))
        end = (Exited(1, bench.lab.now, Exit(0)), Collected(1, (), logs={LOG: log}))
        await bench.lab.tell(name.job, claim(bench.lab), Started(1, bench.lab.now), *end)

        async def opened(operation: OpenLog) -> tuple[OpenedLog, bytes]:
            found = await bench.ask(operation)
            return found, b"".join([piece async for piece in found.pieces])

        base = OpenLog(job=name)
        whole, content = await opened(base)
        assert (content, whole.length, whole.size, whole.truncated) == (kept, len(kept), len(written), True)
        size = len(written)
        for first in range(size + 3):
            for last in (None, *range(first, size + 3, 5)):
                found, content = await opened(replace(base, first=first, last=last))
                assert found.end - found.offset == found.length == len(content)
                assert content == written[found.offset : found.end]
                in_hole = half <= first < size - half
                assert in_hole or found.offset == min(first, size)
                assert not in_hole or found.offset == size - half or not content
                wanted = size - 1 if last is None else min(last, size - 1)
                reach = half - 1 if first < half <= wanted else wanted
                assert found.end == max(reach + 1, found.offset)

    run(tmp_path, body)


@given(content=st.lists(st.sampled_from([b"\n", b"a", b"\n\n", b"x" * 70_000]), max_size=8), number=st.integers(0, 9))
def test_the_last_lines_are_those_that_any_reader_of_lines_sees(content: list[bytes], number: int) -> None:
    whole = b"".join(content)

    async def read(place: int, length: int) -> bytes:
        return whole[place : place + length]

    begin = asyncio.run(last_lines(read, 0, len(whole), number))
    lines = [line + b"\n" for line in whole.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    if not lines[-1]:
        lines.pop()
    assert whole[begin:] == b"".join(lines[-number:] if number else [])
