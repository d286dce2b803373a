"""Why jobs wait, environments and estimates, over the native API of a gateway that runs jobs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from inside import account, with_gateway
from msgspec.structs import replace
from native_examples import JOB, get, post, setup

from jobgate import app
from jobgate.config import Environment, Server, Settings
from jobgate.dialects import load
from jobgate.dialects.native.wire_waits import WaitsView, waits_view
from jobgate.model.account import Action, Deed, Principal, Quota
from jobgate.model.errors import Invalid
from jobgate.model.history import Kind
from jobgate.model.ids import EnvironmentName, job_name
from jobgate.model.operations import Cancel, Change, Environments, Estimate, Find, Request
from jobgate.model.queue import Reason
from jobgate.model.selectors import Ids
from jobgate.operations.handle import handle
from jobgate.runner.reaper import Reaper, Retention
from jobgate.store.transaction import Transaction
from jobgate.testing.outcomes import waits

NATIVE = load("native", setup())
NUMBERS = {"seconds", "from", "to", "runs"}


# --- asking


def test_waits_environments_and_estimates_are_asked_for_in_the_models_words() -> None:
    assert NATIVE.decode(get("job-waits", JOB)).operation == Find(selector=Ids((job_name(JOB),)), waits=True)
    assert NATIVE.decode(get("environments", "")).operation == Environments()
    asked = NATIVE.decode(post("estimate", {"template": {"command": ["a"]}, "count": 7, "priority": 3})).operation
    assert isinstance(asked, Estimate)
    assert ([group.count for group in asked.groups], asked.priority) == ([7], 3)
    asked = NATIVE.decode(post("estimate", {"command": ["a"]})).operation
    assert isinstance(asked, Estimate)
    assert [group.count for group in asked.groups] == [1]


@pytest.mark.parametrize("body", [{}, {"command": []}, {"jobs": []}, {"template": {}, "jobs": []}, {"x": 1}])
def test_an_estimate_of_a_faulty_body_is_refused_as_the_submit_would_be(body: dict[str, Any]) -> None:
    verb = "batch-submit" if body.keys() & {"jobs", "template"} else "job-submit"
    with pytest.raises(Invalid) as submitted:
        NATIVE.decode(post(verb, body))
    with pytest.raises(Invalid) as asked:
        NATIVE.decode(post("estimate", body))
    assert (asked.value.code, asked.value.field) == (submitted.value.code, submitted.value.field)


def test_every_reason_has_its_word_on_the_wire_and_what_has_no_value_is_left_out() -> None:
    shown: list[WaitsView] = [waits_view(one) for one in waits()]
    assert {one.reason for one in shown} == {reason.value for reason in Reason}
    assert {isinstance(one.place, int) for one in shown} == {True, False}


# --- a gateway


async def ran(client: httpx.AsyncClient, *command: str) -> None:
    made = (await client.post("/v1/jobs", json={"command": command})).json()
    seen = (await client.get(f"/v1/jobs/{made['id']}?wait=30")).json()
    assert seen["state"] == "succeeded"


async def running(client: httpx.AsyncClient, *command: str) -> str:
    """The id of a job that has its room."""
    made = (await client.post("/v1/jobs", json={"command": command})).json()
    while (await client.get("/v1/environments/local")).json()["free_slots"]:  # noqa: ASYNC110  # asked as a client asks
        await asyncio.sleep(0)
    return str(made["id"])


def test_a_job_that_waits_says_why_and_when_it_starts_and_one_that_does_not_is_refused(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        for _ in range(3):
            await ran(client, "sleep", "0.01")
        first = await running(client, "sleep", "60")
        refused = await client.get(f"/v1/jobs/{first}/waits")
        assert (refused.status_code, refused.json()["code"]) == (409, "not-waiting")
        batch = (await client.post("/v1/batches", json={"template": {"command": ["sleep", "60"]}, "count": 3})).json()
        told = (await client.get(f"/v1/jobs/{batch['id']}-1/waits")).json()
        assert (told["reason"], told["place"]) == ("busy", 1)
        assert told["text"] == "local is busy: 1 job holds its 1 slot, this one needs 1 core"
        assert set(told["starts"]) == NUMBERS
        assert told["environments"][0]["free"] == {"slots": 0, "of": 1}
        third = (await client.get(f"/v1/jobs/{batch['id']}-3/waits")).json()
        assert (third["reason"], third["place"]) == ("turn", 3)
        assert third["text"] == "2 jobs of its own account come first on local"
        other = {"authorization": f"Bearer {await account(gateway, 'other')}"}
        assert (await client.get(f"/v1/jobs/{batch['id']}-1/waits", headers=other)).status_code == 404
        theirs = (await client.post("/v1/jobs", json={"command": ["true"]}, headers=other)).json()
        told = (await client.get(f"/v1/jobs/{theirs['id']}/waits", headers=other)).json()
        assert (told["reason"], told["place"]) == ("busy", 1), "its account has used less"
        told = (await client.get(f"/v1/jobs/{batch['id']}-1/waits")).json()
        assert told["text"] == "1 job of other accounts comes first on local"

    with_gateway(tmp_path / "data", body)


def test_an_account_at_its_quota_is_told_so_with_numbers_and_what_it_has_of_it(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        def limit(tx: Transaction) -> None:
            lab = tx.accounts.named("lab")
            tx.accounts.put(replace(lab, quota=Quota(running=1, cores=2.5)))
            tx.accounts.record(Deed(at=0.0, actor="op", action=Action.LIMITED, account=lab.id))

        await gateway.store.write(limit)
        await running(client, "sleep", "60")
        batch = (await client.post("/v1/batches", json={"template": {"command": ["sleep", "60"]}, "count": 2})).json()
        told = (await client.get(f"/v1/jobs/{batch['id']}-1/waits")).json()
        assert (told["reason"], told["place"]) == ("quota", 1)
        assert told["text"] == "lab holds 1 of its 1 running jobs"
        assert told["clears"] == "a job of its account ends"
        assert told["environments"][0]["blocks"] == "quota"
        second = (await client.get(f"/v1/jobs/{batch['id']}-2/waits")).json()
        assert (second["reason"], second["place"]) == ("quota", 2)
        quotas = (await client.get("/v1/account")).json()["quotas"]
        assert quotas["running"] == {"limit": 1, "used": 1}
        assert quotas["cores"] == {"limit": 2.5, "used": 1.0}
        other = {"authorization": f"Bearer {await account(gateway, 'other')}"}
        theirs = (await client.post("/v1/jobs", json={"command": ["true"]}, headers=other)).json()
        told = (await client.get(f"/v1/jobs/{theirs['id']}/waits", headers=other)).json()
        assert (told["reason"], told["place"]) == ("busy", 1), "the next slot is theirs"

    with_gateway(tmp_path / "data", body)


def test_an_estimate_rests_on_runs_that_a_restart_does_not_forget(tmp_path: Path) -> None:
    draft = {"command": ["sleep", "0.02"]}

    async def first(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        nothing = (await client.post("/v1/estimates", json=draft)).json()
        assert nothing["run"] == {"runs": 0}
        for _ in range(5):
            await ran(client, "sleep", "0.02")
        told = (await client.post("/v1/estimates", json=draft)).json()
        assert told["run"]["runs"] == 5
        assert 0.0 < told["run"]["from"] <= told["run"]["value"] <= told["run"]["to"]
        assert told["start"]["runs"] == 5
        assert told["end"]["value"] >= told["run"]["from"]
        assert told["environment"] == "local"
        world = gateway.runner._world  # noqa: SLF001  # its sweep comes each half minute
        assert world is not None
        await Reaper(world, Retention()).remember()

    async def again() -> None:
        settings = Settings(
            server=Server(data=str(tmp_path / "data")), environments={"local": Environment(slots=1, sandbox="none")}
        )
        gateway = await app.start(settings)
        try:
            assert len(gateway.context.past(Kind(EnvironmentName("local"))).ran) == 5
            assert len(gateway.context.past(Kind(EnvironmentName("local"))).lags) == 5
        finally:
            await app.stop_gateway(gateway, stop_jobs=True)

    with_gateway(tmp_path / "data", first)
    asyncio.run(again())


def test_only_a_job_that_found_a_slot_free_says_what_a_start_takes(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        await ran(client, "sleep", "0.01")
        await ran(client, "sleep", "0.01")
        batch = (await client.post("/v1/batches", json={"template": {"command": ["sleep", "0.2"]}, "count": 3})).json()
        held = (await client.post("/v1/jobs", json={"command": ["true"], "held": True})).json()["id"]
        await client.get(f"/v1/batches/{batch['id']}?wait=30")
        lab = await gateway.store.read(lambda tx: tx.accounts.named("lab"))
        release = Change(selector=Ids((job_name(held),)), hold=False)
        await handle(gateway.context, Request(operation=release, principal=Principal(account=lab.id, name="lab")))
        assert (await client.get(f"/v1/jobs/{held}?wait=30")).json()["state"] == "succeeded"
        past = gateway.context.past(Kind(EnvironmentName("local")))
        assert len(past.ran) == 6
        assert 1 <= len(past.lags) <= 3, "neither two of the batch nor the held one came to a free slot"

    with_gateway(tmp_path / "data", body)


def test_jobs_that_were_stopped_say_nothing_of_how_long_others_run(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        job = await running(client, "sleep", "60")
        lab = await gateway.store.read(lambda tx: tx.accounts.named("lab"))
        cancel = Cancel(selector=Ids((job_name(job),)))
        await handle(gateway.context, Request(operation=cancel, principal=Principal(account=lab.id, name="lab")))
        assert (await client.get(f"/v1/jobs/{job}?wait=30")).json()["state"] == "cancelled"
        assert gateway.context.past(Kind(EnvironmentName("local"))).ran == ()

    with_gateway(tmp_path / "data", body)


def test_environments_are_told_with_what_is_free_and_what_is_wrong(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        (place,) = (await client.get("/v1/environments")).json()["items"]
        assert (place["name"], place["up"], place["slots"], place["free_slots"]) == ("local", True, 1, 1)
        assert (place["queued"], place["running"], place["owned"]) == (0, 0, False)
        assert place["room"]["cores"] == place["free"]["cores"] >= 1
        await running(client, "sleep", "60")
        await client.post("/v1/batches", json={"template": {"command": ["true"]}, "count": 4})
        place = (await client.get("/v1/environments/local")).json()
        assert (place["queued"], place["running"], place["free_slots"]) == (4, 1, 0)
        assert (await client.get("/v1/environments/nowhere")).status_code == 404
        gateway.engines[0]._launcher.away = "the launcher does not answer"  # noqa: SLF001  # as if it had died
        place = (await client.get("/v1/environments/local")).json()
        assert (place["up"], place["down_because"]) == (False, "the launcher does not answer")
        job = (await client.post("/v1/jobs", json={"command": ["true"]})).json()["id"]
        told = (await client.get(f"/v1/jobs/{job}/waits")).json()
        assert told["reason"] == "environment_down"
        assert "place" not in told
        gateway.engines[0]._launcher.away = ""  # noqa: SLF001  # it is back

    with_gateway(tmp_path / "data", body)
