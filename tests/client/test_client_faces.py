"""Both faces have the same verbs, and `jobgate` names exactly what is public."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jobgate
from jobgate.client import aio, aio_handles, handles, sync

ONLY_SYNC = {"__enter__", "__exit__", "__iter__", "__str__"}
ONLY_ASYNC = {"__aenter__", "__aexit__", "__aiter__", "text"}
PAIRS: list[tuple[type, type]] = [
    (sync.Client, aio.AsyncClient),
    (handles.Job, aio_handles.AsyncJob),
    (handles.Batch, aio_handles.AsyncBatch),
    (handles.File, aio_handles.AsyncFile),
    (handles.Log, aio_handles.AsyncLog),
]


def verbs(face: type) -> dict[str, Callable[..., Any]]:
    return {name: verb for name, verb in vars(face).items() if inspect.isfunction(verb) and not name.startswith("__")}


def parameters(verb: Callable[..., Any]) -> list[tuple[str, Any, str, str]]:
    """Name, kind, default and type, as the synchronous face would say them."""
    return [
        (one.name, one.kind, str(one.default), str(one.annotation).replace("Async", ""))
        for one in inspect.signature(verb).parameters.values()
    ]


def test_both_faces_have_the_same_verbs_with_the_same_parameters() -> None:
    for one, other in PAIRS:
        mine, theirs = verbs(one), verbs(other)
        assert mine.keys() - ONLY_SYNC - {"_repr_html_"} == theirs.keys() - ONLY_ASYNC
        for name in mine.keys() & theirs.keys():
            assert parameters(mine[name]) == parameters(theirs[name]), name


def test_a_verb_returns_the_same_in_both_faces() -> None:
    for one, other in PAIRS:
        for name, verb in verbs(one).items():
            if name in verbs(other) and name != "jobs":  # a table for notebooks is the synchronous face's own
                told = inspect.signature(verbs(other)[name]).return_annotation.replace("Async", "")
                assert inspect.signature(verb).return_annotation == told, name


def test_every_verb_says_what_it_promises_in_both_faces() -> None:
    for pair in PAIRS:
        for face in pair:
            assert all(inspect.getdoc(verb) for name, verb in verbs(face).items() if not name.startswith("_")), face


def test_the_public_names_are_sorted_and_all_there() -> None:
    homes = [name for names in jobgate._HOMES.values() for name in names]  # noqa: SLF001  # the list that is to be true
    assert sorted(homes) == jobgate.__all__ == sorted(set(jobgate.__all__))
    assert all(getattr(jobgate, name).__name__ == name for name in jobgate.__all__)
    assert set(jobgate.__all__) <= set(dir(jobgate))
    assert not hasattr(jobgate, "Nothing")


def test_importing_jobgate_loads_no_client() -> None:
    code = "import sys, jobgate; print([m for m in ('httpx', 'msgspec', 'rich', 'jobgate.client') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603  # ours
    assert done.stdout.strip() == "[]"
