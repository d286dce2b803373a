"""Webhooks of a real gateway, seen by a real receiver."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateways import CONFIG, Gateway
from receivers import OK, Answer, Got, Receiver

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "webhooks.md"
EVERYTHING = ["job.succeeded", "job.failed", "job.cancelled", "batch.ended"]


class Lab:
    """A client of the native API."""

    def __init__(self, gateway: Gateway, key: str) -> None:
        self.gateway = gateway
        self.key = key

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        named = {"authorization": f"Bearer {self.key}", **{k.replace("_", "-"): v for k, v in headers.items()}}
        return httpx.request(method, f"{self.gateway.url}/v1{path}", json=body, headers=named, timeout=90)

    def made(self, path: str, **body: Any) -> dict[str, Any]:
        answer = self.ask("POST", path, body)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def deliveries(self, hook: dict[str, Any]) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.ask("GET", f"/webhooks/{hook['id']}/deliveries").json()["items"]
        return items[::-1]


@pytest.fixture
def lab(gateway: Gateway) -> Lab:
    """The gateway, allowed to reach loopback, and an account with a key."""
    gateway.stop()
    gateway.config.write_text(CONFIG + '[egress]\nallow = ["127.0.0.0/8"]\n')
    gateway.start()
    gateway.run("account", "create", "lab")
    return Lab(gateway, str(gateway.run("credential", "add", "lab", "--kind", "api-key")["value"]))


def test_a_notice_survives_a_kill_between_the_end_of_its_job_and_its_delivery(lab: Lab) -> None:
    hold = threading.Event()

    def answer(got: Got) -> Answer:
        hold.wait(60)
        return OK

    with Receiver(answer).up() as receiver:
        hook = lab.made("/webhooks", url=receiver.url, kinds=EVERYTHING)
        job = lab.made("/jobs", command=["sh", "-c", "exit 3"], image="host")
        before = {got.ident: got.verified(hook["secret"]) for got in (receiver.next(), receiver.next())}
        lab.gateway.kill()
        lab.gateway.start()
        after = {got.ident: got.verified(hook["secret"]) for got in (receiver.next(), receiver.next())}
        hold.set()
        assert before == after
        told = {notice["type"]: notice["data"] for notice in after.values()}
        assert set(told) == {"job.failed", "batch.ended"}
        assert (told["job.failed"]["job"], told["job.failed"]["exit_code"]) == (job["id"], 3)
        assert told["batch.ended"]["counts"] == {"failed": 1}
        assert lab.gateway.stop() == 0


def test_jobs_that_end_while_the_gateway_is_down_are_told_by_the_next_one_once_each(lab: Lab) -> None:
    with Receiver().up() as receiver:
        hook = lab.made("/webhooks", url=receiver.url, kinds=["job.succeeded", "batch.ended"])
        batch = lab.made("/batches", template={"command": ["true"], "image": "host"}, count=30)
        lab.gateway.kill()
        lab.gateway.start()
        got = [receiver.next() for _ in range(31)]
        told = [one.verified(hook["secret"]) for one in got]
        assert len({one.ident for one in got}) == len({notice["data"].get("job") for notice in told}) == 31
        (ended,) = (notice["data"] for notice in told if notice["type"] == "batch.ended")
        assert (ended["batch"], ended["state"], ended["counts"]) == (batch["id"], "succeeded", {"succeeded": 30})


def test_a_batch_names_the_webhook_that_is_told_of_it(lab: Lab) -> None:
    with Receiver().up() as receiver:
        hook = lab.made("/webhooks", url=receiver.url, kinds=["batch.ended"], jobs="named")
        lab.made("/jobs", command=["true"], image="host")
        named = lab.made("/jobs", command=["true"], image="host", webhook=hook["id"])
        assert receiver.next().verified(hook["secret"])["data"]["batch"] == named["batch"]
        assert [one["batch"] for one in lab.deliveries(hook)] == [named["batch"]]
    wrong = lab.ask("POST", "/batches", {"template": {"command": ["true"]}, "webhook": "wnone"})
    problem = wrong.json()
    assert (wrong.status_code, problem["code"], problem["errors"][0]["pointer"]) == (
        404,
        "webhook-not-found",
        "#/webhook",
    )


def test_a_webhook_is_shown_changed_and_deleted_by_its_tag(lab: Lab) -> None:
    hook = lab.made("/webhooks", url="https://user:pass-word-11@example.org/a?b=c", description="d")
    path = f"/webhooks/{hook['id']}"
    assert (hook["url"], hook["kinds"], hook["jobs"]) == (
        "https://example.org/a?b=c",
        ["job.failed", "batch.ended"],
        "all",
    )
    shown = lab.ask("GET", path)
    assert shown.json() == {name: value for name, value in hook.items() if name != "secret"}
    tag = shown.headers["etag"]
    same = lab.ask("GET", path, if_none_match=tag)
    assert (same.status_code, same.content) == (304, b"")
    changed = lab.ask("PATCH", path, {"enabled": False}, if_match=tag)
    assert (changed.status_code, changed.json()["enabled"]) == (200, False)
    late = lab.ask("PATCH", path, {"enabled": True}, if_match=tag)
    assert (late.status_code, late.json()["code"]) == (412, "changed")
    assert lab.ask("POST", f"{path}/test").json()["code"] == "webhook-disabled"
    lab.made("/webhooks", url="https://example.org/2")
    first = lab.ask("GET", "/webhooks?limit=1").json()
    assert [one["url"] for one in first["items"]] == ["https://example.org/2"]
    assert [one["id"] for one in lab.ask("GET", first["next"].removeprefix("/v1")).json()["items"]] == [hook["id"]]
    assert lab.ask("DELETE", path).status_code == 204
    assert lab.ask("GET", path).status_code == 404


def test_no_file_of_a_server_holds_a_webhooks_secret_or_its_addresss_password(lab: Lab) -> None:
    with Receiver().up() as receiver:
        url = f"http://user:pass-word-12@127.0.0.1:{receiver.port}/hook"
        hook = lab.made("/webhooks", url=url)
        rotated = lab.ask("POST", f"/webhooks/{hook['id']}/rotate").json()
        assert lab.ask("POST", f"/webhooks/{hook['id']}/test").status_code == 202
        got = receiver.next()
        assert got.verified(hook["secret"]) == got.verified(rotated["secret"])
        shown = lab.ask("GET", "/webhooks").text + lab.ask("GET", f"/webhooks/{hook['id']}/deliveries").text
    assert lab.gateway.stop() == 0
    old = lab.gateway.run("key", "rotate")
    assert old["secrets"] == 3
    hidden = ["pass-word-12", *(secret.removeprefix("whsec_") for secret in (hook["secret"], rotated["secret"]))]
    looked = [path for path in [lab.gateway.log, *lab.gateway.data.rglob("*")] if path.is_file()]
    assert {"jobgate.sqlite", lab.gateway.log.name} <= {path.name for path in looked}
    assert [(path.name, word) for path in looked for word in hidden if word.encode() in path.read_bytes()] == []
    assert [word for word in hidden if word in shown] == []
    with Receiver(port=receiver.port).up() as again:
        lab.gateway.start()
        lab.ask("POST", f"/webhooks/{hook['id']}/test")
        assert again.next().verified(rotated["secret"])["type"] == "webhook.test"


def test_the_receiver_of_the_how_to_page_prints_what_it_was_told_and_refuses_what_is_not_signed(
    lab: Lab, tmp_path: Path
) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    script = tmp_path / "receiver.py"
    script.write_text(code)
    with Receiver().up() as free:
        port = free.port
    hook = lab.made("/webhooks", url=f"http://127.0.0.1:{port}/")
    env = {**os.environ, "WEBHOOK_SECRET": hook["secret"], "PORT": str(port)}
    with subprocess.Popen([sys.executable, str(script)], env=env, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  # the page's own
        try:
            assert process.stdout is not None
            refused = post_when_up(f"http://127.0.0.1:{port}/")
            assert refused.status_code == 401
            job = lab.made("/jobs", command=["sh", "-c", "exit 1"], image="host")
            lines = {process.stdout.readline().strip() for _ in range(2)}
            assert lines == {f"job.failed {job['id']}", f"batch.ended {job['batch']}"}
        finally:
            process.kill()


def post_when_up(url: str) -> httpx.Response:
    transport = httpx.HTTPTransport(retries=8)
    with httpx.Client(transport=transport) as client:
        return client.post(url, content=b"{}")
