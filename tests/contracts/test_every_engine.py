"""Every engine keeps every promise of the suite. An engine brings a fixture that makes its Subject, named here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from jobgate.testing.engine_site import Subject
from jobgate.testing.engines import SUITE

ENGINES = ("local_plain", "local_sandboxed")
"""Fixtures."""


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("promise", SUITE, ids=lambda promise: promise.__name__)
def test_it_keeps_the_promise(
    engine: str, promise: Callable[[Subject], Coroutine[None, None, None]], request: pytest.FixtureRequest
) -> None:
    subject = request.getfixturevalue(engine)
    assert isinstance(subject, Subject)
    asyncio.run(promise(subject))


@pytest.mark.parametrize("engine", ENGINES)
def test_its_name_is_a_word_of_its_own(engine: str, request: pytest.FixtureRequest) -> None:
    subject = request.getfixturevalue(engine)
    assert subject.build().name == subject.name
