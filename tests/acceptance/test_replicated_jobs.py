"""Jobs that are run several times and compared: real processes, two environments, and a gateway killed in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateways import Gateway, Json

CONFIG = """
[environments.north]
slots = 1
grace = 0.5
[environments.south]
slots = 1
grace = 0.5
"""
FULL = "[storage]\nreserve = 1000000000000000\n"
"""Nothing new is taken."""


class Lab:
    """An account of a gateway, and what it asks."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        gateway.run("account", "create", "lab")
        self.key = str(gateway.run("credential", "add", "lab", "--kind", "api-key")["value"])

    def ask(self, method: str, path: str, **more: Any) -> Any:
        heads = {"Authorization": f"Bearer {self.key}"}
        answer = httpx.request(method, f"{self.gateway.url}{path}", headers=heads, timeout=90, **more)
        assert answer.is_success, answer.text
        return answer.json()

    def submit(self, script: str, replication: Json, **more: Any) -> str:
        body = {
            "script": f"#!/bin/sh\n{script}\n",
            "outputs": [{"path": "out"}],
            "replication": replication,
            **more,
        }
        return str(self.ask("POST", "/v1/jobs", json=body)["id"])

    def job(self, job: str, wait: int = 0) -> Json:
        seen: Json = self.ask("GET", f"/v1/jobs/{job}?expand=attempts&wait={wait}")
        return seen

    def over(self, job: str) -> Json:
        seen = self.job(job, 60)
        assert seen["state"] in ("succeeded", "failed", "cancelled"), (seen, self.gateway.log.read_text()[-3000:])
        return seen

    def until(self, job: str, enough: Callable[[Json], bool]) -> Json:
        deadline = time.monotonic() + 60
        while not enough(seen := self.job(job)):
            assert time.monotonic() < deadline, (seen, self.gateway.log.read_text()[-3000:])
        return seen

    def validators(self, job: str) -> list[Json]:
        found: list[Json] = self.ask("GET", f"/v1/batches?label=validates={job}")["items"]
        return found

    def again(self, config: str = CONFIG) -> None:
        """The gateway is killed, and started again."""
        self.gateway.kill()
        self.gateway.config.write_text(config)
        self.gateway.start()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    for above in (tmp_path, *list(tmp_path.parents)[:3]):
        above.chmod(0o711 | (above.stat().st_mode & 0o7777))
    gateway = Gateway(tmp_path / "data", CONFIG)
    gateway.start()
    try:
        yield Lab(gateway)
    finally:
        gateway.end()


def verdicts(seen: Json) -> list[str]:
    return [one.get("verdict", "") for one in seen["attempts"]]


def pending(seen: Json) -> bool:
    return verdicts(seen).count("pending") > 1


def test_two_replicas_run_in_two_environments_and_agree_byte_for_byte(lab: Lab) -> None:
    seen = lab.over(lab.submit("echo 42 > out", {"replicas": 2}))
    assert (seen["state"], verdicts(seen)) == ("succeeded", ["valid", "valid"])
    assert {one["environment"] for one in seen["attempts"]} == {"north", "south"}
    assert [one["replica"] for one in seen["attempts"]] == [1, 2]
    assert (seen["canonical"], seen["outputs"][0]["size"]) == (1, 3)
    assert seen["replication"] == {"quorum": 2}


def test_replicas_that_never_agree_fail_the_job_as_undecided_and_it_has_no_files(lab: Lab) -> None:
    rule = {"replicas": 2, "total": 3}
    seen = lab.over(lab.submit("cat /proc/sys/kernel/random/uuid > out", rule))
    assert (seen["state"], seen["failure"], seen["outputs"]) == ("failed", "undecided", [])
    assert verdicts(seen) == ["inconclusive"] * 3
    assert "3 attempts" in seen["message"]


def test_with_a_quorum_of_one_the_first_success_will_do_and_the_other_is_stopped(lab: Lab) -> None:
    rule = {"replicas": 2, "quorum": 1}
    script = "sleep 0.$(od -An -N1 -tu1 /dev/urandom | tr -d ' '); echo done > out"
    seen = lab.over(lab.submit(script, rule))
    assert (seen["state"], len(seen["outputs"])) == ("succeeded", 1)
    others = [one.get("verdict", "") for one in seen["attempts"] if one["number"] != seen["canonical"]]
    assert set(others) <= {"unneeded", "too_late"}


def test_numbers_that_differ_a_little_agree_within_the_tolerance(lab: Lab) -> None:
    script = "echo energy = 3.5000000$(od -An -N2 -tu2 /dev/urandom | tr -d ' ') J > out"
    seen = lab.over(lab.submit(script, {"replicas": 2, "compare": {"numeric": {"relative": 1e-6}}}))
    assert (seen["state"], verdicts(seen)) == ("succeeded", ["valid", "valid"])
    assert seen["canonical"] == 1


def test_a_killed_gateway_goes_on_with_the_second_replica_and_starts_no_third(lab: Lab) -> None:
    job = lab.submit("sleep 1; echo 42 > out", {"replicas": 2}, environment="north")
    lab.until(job, lambda seen: bool(seen["attempts"]) and seen["attempts"][0]["state"] == "running")
    lab.again()
    lab.until(job, lambda seen: len(seen["attempts"]) > 1)
    lab.again()
    seen = lab.over(job)
    assert (seen["state"], verdicts(seen)) == ("succeeded", ["valid", "valid"])
    assert {one["environment"] for one in seen["attempts"]} == {"north"}, "it may run nowhere else"


VALIDATOR = {"validator": {"script": "#!/bin/sh\nsleep 1\ncmp 1/out 2/out && echo 2 1\n"}}


def test_a_validator_is_a_job_of_its_own_whose_word_decides_and_a_kill_makes_neither_two_nor_none(lab: Lab) -> None:
    job = lab.submit("echo 42 > out", {"replicas": 2, "compare": VALIDATOR})
    lab.until(job, lambda _: bool(lab.validators(job)))
    lab.again()
    seen = lab.over(job)
    assert (seen["state"], seen["canonical"], verdicts(seen)) == ("succeeded", 2, ["valid", "valid"])
    (batch,) = lab.validators(job)
    assert batch["state"] == "succeeded"


def test_attempts_that_ended_before_a_kill_are_compared_after_it(lab: Lab) -> None:
    job = lab.submit("sleep 1; echo 42 > out", {"replicas": 2, "compare": VALIDATOR})
    lab.again(CONFIG + FULL)
    lab.until(job, pending)
    assert lab.validators(job) == []
    lab.again()
    seen = lab.over(job)
    assert (seen["state"], len(lab.validators(job))) == ("succeeded", 1)


def test_a_validator_that_fails_fails_the_job_and_is_named(lab: Lab) -> None:
    validator = {"validator": {"command": ["sh", "-c", "exit 9"]}}
    job = lab.submit("echo 42 > out", {"replicas": 2, "compare": validator})
    seen = lab.over(job)
    (batch,) = lab.validators(job)
    assert (seen["state"], seen["failure"]) == ("failed", "undecided")
    assert f"the validator job {batch['id']}-1 failed" in seen["message"]
    assert verdicts(seen) == ["inconclusive", "inconclusive"]
