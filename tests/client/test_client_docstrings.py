"""The examples in the docstrings do what they show."""

from __future__ import annotations

import asyncio
import doctest
from collections.abc import Callable

import pytest
from client_fake import FakeGateway

import jobgate
from jobgate.client import aio, records, sync

MODULES = (jobgate, sync, aio, records)


def examples() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    return [test for module in MODULES for test in finder.find(module) if test.examples]


@pytest.mark.parametrize("test", examples(), ids=lambda test: test.name)
def test_an_example_does_what_it_shows(test: doctest.DocTest, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeGateway()

    def made(face: type) -> Callable[[], object]:
        return lambda: face("http://fake", "key", transport=fake.transport)

    monkeypatch.setattr(jobgate, "Client", made(sync.Client))
    client = made(sync.Client)()
    test.globs |= {
        "client": client,
        "Client": made(sync.Client),
        "AsyncClient": made(aio.AsyncClient),
        "asyncio": asyncio,
    }
    assert doctest.DocTestRunner().run(test).failed == 0


def test_the_verbs_people_begin_with_have_an_example() -> None:
    shown = {test.name.rpartition(".")[2] for test in examples()}
    assert {"Client", "AsyncClient", "submit", "sweep", "map", "as_completed", "submit_many"} <= shown
