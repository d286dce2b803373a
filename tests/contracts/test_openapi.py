"""The document is held against the server: whatever it allows is understood, whatever it forbids is refused in words.

Schemathesis draws requests from the document, sends them to a gateway as an operator starts it, and compares each
answer with what the document says of it. Every check it has is on; what is left out stands here with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from gateways import CONFIG, Gateway
from schemathesis.checks import CheckContext
from schemathesis.core.transport import Response
from schemathesis.engine import events, from_schema
from schemathesis.generation.case import Case

EXAMPLES = 5
"""Of each verb and phase; what is at the edges of the document comes beside them."""
LIMITS = """
[limits]
batch = 50
calls = 100000.0
[egress.hosts]
"example.org" = "127.0.0.1"
"""
"""Of the documents' examples no call leaves this machine, nor arrives: loopback is refused."""
LINES = "application/x-ndjson"
PROMISED = frozenset({"missing-field", "unknown-field", "invalid-field", "invalid-json"})
"""Codes of faults that a document can tell of: what it allows is never refused with one of these."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    tmp_path = tmp_path_factory.mktemp("openapi")
    for above in (tmp_path, *list(tmp_path.parents)[:3]):
        above.chmod(0o711 | (above.stat().st_mode & 0o7777))
    made = Gateway(tmp_path / "data", CONFIG.replace("slots = 2", "slots = 1") + LIMITS)
    made.start()
    try:
        yield made
    finally:
        made.end()


def _is_problem(response: Response) -> bool:
    """Whether there is one to be read: HEAD has no body."""
    return response.status_code >= 400 and response.request.method != "HEAD"


@schemathesis.serializer(LINES)
def lines(context: schemathesis.SerializationContext, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


@schemathesis.check
def what_the_document_allows_is_understood(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """Stands for `positive_data_acceptance`: whether a job can run here, which names are known and which key was used
    before is nothing that a document can say, so such a request may be refused; but never as one of a wrong form.
    """
    if case.media_type == LINES or not _is_problem(response):  # OpenAPI 3.1 cannot say what a line is
        return
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    problem: dict[str, Any] = response.json()
    faults = problem.get("errors", ())
    spoken = [fault for fault in faults if not _beyond(case, fault)]
    codes = {problem["code"], *(fault["code"] for fault in spoken)}
    assert not codes & PROMISED, response.text


def _beyond(case: Case[Any], fault: dict[str, str]) -> bool:
    """What no document can say.

    An address may name no host, rows of a sweep may not fit their template, the parameters of a submit belong to one
    form of its body, and the headers of a part of an upload hold numbers.
    """
    pointer = fault.get("pointer", "")
    filled = ("/v1/batches", "/v1/batches/{id}/jobs")
    lines_only = case.operation.path in filled and case.method == "POST" and fault["code"] == "unknown-field"
    if case.operation.path == "/v1/uploads/{sha256}" and "parameter" in fault:
        return True
    return pointer.endswith("/url") or pointer.startswith("#/sweep") or (lines_only and "parameter" in fault)


@schemathesis.check
def what_a_problem_is_of_stands_at_its_address(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    if _is_problem(response):
        problem: dict[str, Any] = response.json()
        assert problem["status"] == response.status_code
        assert problem["instance"] == f"request:{response.headers['request-id'][0]}"
        assert problem["type"] == f"/v1/problems/{problem['code']}"


@schemathesis.hook("before_call")
def impatient(context: schemathesis.HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """A wait that is allowed is cut short: what comes after it is the same."""
    try:
        seconds = float(case.query.get("wait", 0.0))
    except (TypeError, ValueError):
        return
    if 0.02 < seconds <= 1e9:
        case.query["wait"] = 0.02


def test_the_server_and_its_document_say_the_same(gateway: Gateway) -> None:
    gateway.run("account", "create", "lab")
    key = gateway.run("credential", "add", "lab", "--kind", "api-key")["value"]
    config = schemathesis.Config.from_dict(
        {
            "headers": {"Authorization": f"Bearer {key}"},
            "generation": {"max-examples": EXAMPLES, "deterministic": True, "database": "none"},
            "checks": {"positive_data_acceptance": {"enabled": False}},  # see the first check above
            "phases": {"coverage": {"unexpected-methods": ["TRACE", "PUT", "OPTIONS", "DELETE"]}},
            "continue-on-failure": True,
        }
    )
    schema = schemathesis.openapi.from_url(f"{gateway.url}/v1/openapi.json", config=config)
    faults: dict[str, str] = {}
    phases: set[str] = set()
    seen = 0
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError):
            faults[f"{event.label}: {event.value!r}"] = str(event.info.message)
        elif isinstance(event, events.FatalError):
            raise event.exception
        elif isinstance(event, events.ScenarioFinished):
            seen += len(event.recorder.cases)
            phases.add(event.phase.name)
            faults |= dict(_faults(event))
    assert not faults, "\n\n".join(f"{told}\n{sample}" for told, sample in faults.items())
    assert phases >= {"EXAMPLES", "COVERAGE", "FUZZING", "STATEFUL_TESTING"}
    assert seen > 100
    log = gateway.log.read_text()
    assert "Traceback" not in log, log[-5000:]


def _faults(event: events.ScenarioFinished) -> Iterator[tuple[str, str]]:
    for checks in event.recorder.checks.values():
        for check in checks:
            if check.failure_info is not None:
                failure = check.failure_info.failure
                yield (
                    f"{check.name} {failure.operation}",
                    f"{failure.message[:1000]}\n{check.failure_info.code_sample[:1000]}",
                )


def test_every_problem_that_the_document_names_has_its_page(gateway: Gateway) -> None:
    listed = httpx.get(f"{gateway.url}/v1/problems").json()["items"]
    assert len(listed) > 15
    for one in listed:
        read = httpx.get(f"{gateway.url}{one['type']}")
        assert (read.status_code, read.json()) == (200, one)
        shown = httpx.get(f"{gateway.url}{one['type']}", headers={"accept": "text/html"})
        assert shown.headers["content-type"].startswith("text/html")
        assert one["title"] in shown.text.replace("&#x27;", "'")
