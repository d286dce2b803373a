"""Open batches, their jobs, names, leases and retirement over the native API."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from inside import served
from native_examples import BATCH, act, get, patch, post, setup

from jobgate import app
from jobgate.dialects import load
from jobgate.model.errors import Invalid
from jobgate.model.ids import batch_id
from jobgate.model.operations import Change, FindBatches, Retire, Submit

NATIVE = load("native", setup())
TRUE = {"command": ["true"]}
LATER = "2027-01-01T00:00:00Z"


def submitted(body: dict[str, Any], into: str = "") -> Submit:
    call = act("batch-fill", into, body) if into else post("batch-submit", body)
    asked = NATIVE.decode(call).operation
    assert isinstance(asked, Submit)
    return asked


# --- asking


def test_a_batch_without_jobs_is_asked_for_by_open() -> None:
    asked = submitted({"open": True, "name": "n", "labels": {"a": "b"}, "expires": LATER})
    assert (asked.empty, asked.groups, asked.name, asked.labels) == (True, (), "n", {"a": "b"})
    assert asked.expires == datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    assert submitted({"template": TRUE, "expires": None}).expires is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"open": True, "template": TRUE}, "open"),
        ({"open": True, "jobs": []}, "open"),
        ({"open": True, "count": 2}, "open"),
        ({"open": True, "held": True}, "held"),
        ({"open": False}, "template"),
        ({"open": True, "expires": "tomorrow"}, "expires"),
        ({"template": TRUE, "expires": "2027-01-01T00:00:00"}, "expires"),
        ({"jobs": [{"command": ["a"], "name": "x" * 192}]}, "jobs[0].name"),
        ({"jobs": [TRUE, {"command": ["a"], "name": "a\nb"}]}, "jobs[1].name"),
        ({"template": {"command": ["a"], "name": "x"}}, "template.name"),
    ],
)
def test_what_does_not_go_together_is_refused_and_told_where(body: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        submitted(body)
    assert refused.value.field == field


def test_jobs_that_differ_in_their_names_alone_share_their_spec() -> None:
    asked = submitted({"jobs": [TRUE | {"name": "a"}, TRUE | {"name": "b"}, TRUE, {"command": ["x"]}]})
    assert [group.count for group in asked.groups] == [3, 1]
    assert asked.names == ("a", "b", "", "")
    assert submitted({"jobs": [TRUE, TRUE]}).names == ()


@pytest.mark.parametrize(
    "body", [{"template": TRUE, "count": 3}, {"template": TRUE, "sweep": {"a": [1]}}, {"jobs": [TRUE]}]
)
def test_a_batch_is_filled_in_the_ways_of_a_submit_but_for_what_is_the_batchs(body: dict[str, Any]) -> None:
    if "sweep" in body:
        body = {"template": {"command": ["{a}"]}, "sweep": {"a": [1, 2, 3]}}
    asked = submitted(body, BATCH)
    assert asked.into == batch_id(BATCH)
    assert sum(group.count for group in asked.groups) in {1, 3}
    own: list[dict[str, Any]] = [{"name": "n"}, {"labels": {}}, {"expires": None}, {"open": True}, {"webhook": ""}]
    for more in own:
        with pytest.raises(Invalid) as refused:
            submitted(body | more, BATCH)
        assert refused.value.code == "unknown-field"


def test_one_key_for_two_batches_is_two_requests() -> None:
    one, other = (
        NATIVE.decode(act("batch-fill", ident, {"jobs": [TRUE]}, idempotency_key="k")).operation
        for ident in (BATCH, "2n6r0kqb")
    )
    assert isinstance(one, Submit)
    assert isinstance(other, Submit)
    assert one.guard is not None
    assert other.guard is not None
    assert one.guard.body != other.guard.body


def test_retired_batches_are_asked_for_and_a_lease_is_changed_in_the_models_words() -> None:
    asked = NATIVE.decode(get("batches", "", retired="true")).operation
    assert isinstance(asked, FindBatches)
    assert asked.where.retired
    assert NATIVE.decode(act("batch-retire", BATCH)).operation == Retire(batch=batch_id(BATCH))
    changed = NATIVE.decode(patch("batch-change", BATCH, {"expires": None})).operation
    assert isinstance(changed, Change)
    assert changed.expires is None


def test_jobs_are_found_by_ids_or_names_of_which_there_must_be_one() -> None:
    with pytest.raises(Invalid):
        NATIVE.decode(post("jobs-find", {}))
    with pytest.raises(Invalid):
        NATIVE.decode(post("jobs-find", {"ids": ["a"] * 600, "names": ["b"] * 600}))


# --- a gateway


def test_an_open_batch_is_filled_once_and_runs(tmp_path: Path) -> None:
    async def body(_: app.Gateway, client: httpx.AsyncClient) -> None:
        opened = (await client.post("/v1/batches", json={"open": True, "name": "later"})).json()
        path = f"/v1/batches/{opened['id']}"
        assert (opened["state"], opened["count"], opened["open"], opened["over"]) == ("held", 0, True, False)
        assert (await client.get(path)).json() == opened
        assert [one["id"] for one in (await client.get("/v1/batches?state=held")).json()["items"]] == [opened["id"]]
        assert (await client.get(f"{path}/jobs")).json()["items"] == []
        assert (await client.get(f"{path}/archive")).status_code == 200
        waiting = asyncio.create_task(client.get(f"{path}?wait=60"))
        await asyncio.sleep(0)
        lines = '{"command": ["true"], "name": "one"}\n{"command": ["true"]}\n{"command": ["true"], "name": "three"}\n'
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": "k"}
        filled = await client.post(f"{path}/jobs", content=lines, headers=headers)
        assert filled.status_code == 200, filled.text
        assert (filled.json()["count"], filled.json()["name"]) == (3, "later")
        again = await client.post(f"{path}/jobs", content=lines, headers=headers)
        assert again.headers["Idempotent-Replayed"] == "true"
        refused = await client.post(f"{path}/jobs", json={"jobs": [TRUE]})
        assert (refused.status_code, refused.json()["code"]) == (409, "not-empty")
        assert (await waiting).json()["counts"] == {"succeeded": 3}
        jobs = (await client.get(f"{path}/jobs")).json()["items"]
        assert [job.get("job_name") for job in jobs] == ["one", None, "three"]
        numbers = [job["small_number"] for job in jobs]
        assert len({*numbers, opened["small_number"]}) == 4
        found = (await client.post("/v1/jobs/find", json={"names": ["three", "none", "one"], "ids": []})).json()
        assert [job["id"] for job in found["items"]] == [f"{opened['id']}-3", f"{opened['id']}-1"]
        assert found["missing"] == ["none"]
        taken = await client.post("/v1/batches", json={"jobs": [TRUE | {"name": "one"}]})
        assert (taken.status_code, taken.json()["code"]) == (409, "name-taken")

    served(tmp_path / "data", body)


def test_followers_of_an_open_batch_hear_its_jobs_and_its_end(tmp_path: Path) -> None:
    async def body(_: app.Gateway, client: httpx.AsyncClient) -> None:
        path = (await client.post("/v1/batches", json={"open": True})).headers["Location"]

        async def follow() -> list[str]:
            async with client.stream("GET", f"{path}/events", headers={"Accept": "text/event-stream"}) as stream:
                return [line[6:].strip() async for line in stream.aiter_lines() if line.startswith("event:")]

        following = asyncio.create_task(follow())
        await asyncio.sleep(0)
        assert (await client.post(f"{path}/jobs", json={"template": TRUE, "count": 2})).status_code == 200
        told = await asyncio.wait_for(following, 60)
        assert told.count("job.succeeded") == 2
        assert "batch.ended" in told

    served(tmp_path / "data", body)


@pytest.mark.parametrize("way", ["cancel", "retire", "delete"])
def test_an_open_batch_is_cancelled_for_good_retired_and_deleted(tmp_path: Path, way: str) -> None:
    async def body(_: app.Gateway, client: httpx.AsyncClient) -> None:
        path = (await client.post("/v1/batches", json={"open": True})).headers["Location"]
        tag = (await client.get(path)).headers["ETag"]
        waiting = asyncio.create_task(client.get(f"{path}?wait=60"))
        await asyncio.sleep(0)
        if way == "delete":
            assert (await client.delete(path)).status_code == 204
            assert (await client.get(path)).status_code == 404
            waiting.cancel()
            return
        assert (await client.post(f"{path}/{way}")).status_code == 202
        seen = (await asyncio.wait_for(waiting, 30)).json()
        assert (seen["state"], seen["over"], "open" in seen) == ("cancelled", True, False)
        assert (await client.get(path)).headers["ETag"] != tag
        refused = await client.post(f"{path}/jobs", json={"jobs": [TRUE]})
        assert refused.json()["code"] == "not-empty"
        if way == "cancel":
            assert (await client.delete(path)).status_code == 204

    served(tmp_path / "data", body)


def test_a_lease_is_shown_put_off_and_taken_away_under_its_etag(tmp_path: Path) -> None:
    async def body(_: app.Gateway, client: httpx.AsyncClient) -> None:
        soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        made = await client.post("/v1/batches", json={"template": TRUE, "expires": soon})
        path, tag = made.headers["Location"], made.headers["ETag"]
        assert made.json()["expires"] == soon
        moved = await client.patch(path, json={"expires": LATER, "name": "n", "hold": False})
        assert (moved.json()["expires"], moved.json()["name"]) == ("2027-01-01T00:00:00.000Z", "n")
        assert (await client.patch(path, json={"expires": None}, headers={"If-Match": tag})).status_code == 412
        assert "expires" not in (await client.patch(path, json={"expires": None})).json()

    served(tmp_path / "data", body)
