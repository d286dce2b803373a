"""A lease ends on a real gateway, also when the gateway was killed before, or while it was ending."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from gateways import Gateway

Json = dict[str, Any]


class Asker:
    """The native API, as one account."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        gateway.run("account", "create", "lab")
        self.key = str(gateway.run("credential", "add", "lab", "--kind", "api-key")["value"])

    def __call__(self, method: str, path: str, body: object = None, status: int = 200) -> Json:
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = httpx.request(method, self.gateway.url + path, json=body, headers=headers, timeout=70)
        assert answer.status_code == status, answer.text
        read: Json = answer.json() if answer.content else {}
        return read

    def lease(self, seconds: float, *command: str, count: int = 1) -> Json:
        expires = datetime.now(UTC) + timedelta(seconds=seconds)
        body = {"template": {"command": command}, "count": count, "expires": expires.isoformat()}
        return self("POST", "/v1/batches", body, 201)

    def ended(self, batch: Json) -> Json:
        seen = self("GET", f"/v1/batches/{batch['id']}?wait=60")
        assert seen["over"], (seen, self.gateway.log.read_text()[-4000:])
        return seen


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_lease_stops_what_runs_when_it_ends_and_not_before(gateway: Gateway) -> None:
    ask = Asker(gateway)
    batch = ask.lease(1.5, "sleep", "600", count=3)
    seen = ask.ended(batch)
    assert seen["counts"] == {"cancelled": 3}
    assert moment(seen["retired"]) >= moment(seen["expires"])
    assert ask("GET", "/v1/batches")["items"] == []
    assert [one["id"] for one in ask("GET", "/v1/batches?retired=true")["items"]] == [batch["id"]]


def test_leases_that_ended_while_nobody_served_end_with_the_next_start(gateway: Gateway) -> None:
    ask = Asker(gateway)
    soon = [ask.lease(0.5, "sleep", "600") for _ in range(5)]
    late = ask.lease(600, "sleep", "600")
    gateway.kill()
    gateway.start()
    for batch in soon:
        assert ask.ended(batch)["counts"] == {"cancelled": 1}
    gateway.kill()
    gateway.start()
    assert all("retired" in ask("GET", f"/v1/batches/{batch['id']}") for batch in soon)
    assert "retired" not in ask("GET", f"/v1/batches/{late['id']}")


def test_a_gateway_that_is_killed_while_a_large_batch_is_retired_completes_it(gateway: Gateway) -> None:
    ask = Asker(gateway)
    batch = ask.lease(0.2, "sleep", "600", count=5000)
    while "retired" not in ask("GET", f"/v1/batches/{batch['id']}"):
        pass  # the kill is to come in its middle, and there is no event of that
    gateway.kill()
    gateway.start()
    assert ask.ended(batch)["counts"] == {"cancelled": 5000}


def test_files_of_a_retired_batch_are_gone_and_its_jobs_are_not_tried_again(gateway: Gateway) -> None:
    ask = Asker(gateway)
    body = {"template": {"command": ["sh", "-c", "echo hello; echo x > out; exit 1"], "outputs": [{"path": "out"}]}}
    batch = ask("POST", "/v1/batches", body, 201)
    ask.ended(batch)
    job = f"/v1/jobs/{batch['id']}-1"
    kept = ("/files", "/files/out", "/log", "/archive")
    ask("POST", f"/v1/batches/{batch['id']}/retire", None, 202)
    for path in kept:
        answer = ask("GET", job + path, status=410)
        assert "retired" in answer["detail"]
    assert ask("GET", f"/v1/batches/{batch['id']}/archive", status=410)["code"] == "gone"
    for asked in (job, f"/v1/batches/{batch['id']}"):
        assert ask("POST", f"{asked}/retry", None, 409)["code"] == "retired"
        assert ask("PATCH", asked, {"priority": 3}, 409)["code"] == "retired"
    again = ask("POST", f"/v1/batches/{batch['id']}/retire", None, 202)
    assert ask("GET", f"/v1/batches/{batch['id']}")["retired"] == again["retired"]
    assert ask("GET", job)["state"] == "failed"
    assert ask("GET", "/v1/jobs")["items"] == []
