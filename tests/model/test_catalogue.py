"""What the operator's catalogue lets a job name."""

from __future__ import annotations

import pytest

from jobgate.model.catalogue import App, Catalogue
from jobgate.model.errors import NotFound, Unrunnable
from jobgate.model.job import AppRef, Argv, Step

CATALOGUE = Catalogue(
    {
        "free": App(name="free"),
        "bound": App(name="bound", licence=True, licence_url="https://example.org/l"),
    }
)


def of(name: str, *, accepted: bool = False) -> Step:
    return Step(command=Argv(("x",)), program=AppRef(name, licence_accepted=accepted))


def test_an_app_whose_licence_must_be_accepted_is_run_for_nobody_who_has_not() -> None:
    with pytest.raises(Unrunnable) as refused:
        CATALOGUE.check(of("bound"), pulls=False)
    assert refused.value.code == "licence-required"
    assert "https://example.org/l" in refused.value.message
    CATALOGUE.check(of("bound", accepted=True), pulls=False)


def test_to_accept_a_licence_that_is_not_there_harms_nothing() -> None:
    CATALOGUE.check(of("free"), pulls=False)
    CATALOGUE.check(of("free", accepted=True), pulls=False)


def test_an_app_that_nobody_named_is_not_found() -> None:
    with pytest.raises(NotFound):
        CATALOGUE.check(of("other", accepted=True), pulls=False)
