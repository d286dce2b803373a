"""Jobs and batches of the native API over HTTP, from the submit to the deletion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
from inside import account, with_gateway

from jobgate import app

RUN = ["/bin/sh", "-c", 'echo "run $0"; exit $0']


async def json_of(answer: httpx.Response, status: int = 200) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def paged(client: httpx.AsyncClient, address: str | None) -> list[dict[str, Any]]:
    """All items, page after page; the Link header says the same as `next`."""
    found: list[dict[str, Any]] = []
    while address is not None:
        answer = await client.get(address)
        page = await json_of(answer)
        found += page["items"]
        address = page["next"]
        assert answer.links.get("next", {}).get("url") == address
    return found


def test_a_sweep_is_run_listed_looked_through_tried_again_and_deleted(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        sweep = {"template": {"command": [*RUN, "{code}"]}, "sweep": {"code": [0, 3, 0, 3, 4]}, "name": "codes"}
        made = await json_of(await client.post("/v1/batches", json={**sweep, "labels": {"k": "v"}}), 201)
        batch = f"/v1/batches/{made['id']}"
        over = await json_of(await client.get(f"{batch}?wait=30&expand=failures"))
        assert (over["state"], over["counts"], over["over"]) == ("failed", {"succeeded": 2, "failed": 3}, True)
        assert over["environments"] == ["local"]
        expected = [
            {"failure": "program", "exit_code": 3, "count": 2, "such_as": f"{made['id']}-2", "last_line": "run 3"},
            {"failure": "program", "exit_code": 4, "count": 1, "such_as": f"{made['id']}-5", "last_line": "run 4"},
        ]
        assert over["failures"] == expected
        assert (await json_of(await client.get(f"{batch}/failures")))["items"] == expected

        jobs = await paged(client, f"{batch}/jobs?limit=2")
        assert [job["number"] for job in jobs] == [1, 2, 3, 4, 5]
        assert [job["parameters"] for job in jobs] == [{"code": code} for code in (0, 3, 0, 3, 4)]
        assert all("command" not in job for job in jobs)
        which = "label=k%3Dv&name=codes"
        failed = await paged(client, f"/v1/jobs?state=failed&{which}&environment=local&limit=1&expand=spec")
        assert [job["number"] for job in failed] == [5, 4, 2]
        assert failed[0]["command"] == [*RUN, "4"]
        for nothing in ("label=k%3Dw", "name=x", "environment=x", "state=held", "before=2020-01-01T00:00:00Z"):
            assert await paged(client, f"/v1/jobs?{nothing}") == []
            assert nothing.startswith("environment") or await paged(client, f"/v1/batches?{nothing}") == []
        assert [one["id"] for one in await paged(client, "/v1/batches?state=failed&label=k%3Dv")] == [made["id"]]

        again = await json_of(await client.post(f"{batch}/retry"), 202)
        assert (again["retried"], again["batch"]["over"]) == (3, False)
        over = await json_of(await client.get(f"{batch}?wait=30"))
        assert over["counts"] == {"succeeded": 2, "failed": 3}
        job = await json_of(await client.get(f"/v1/jobs/{made['id']}-2?expand=attempts"))
        assert (job["attempt_count"], job["exit_code"], job["node"]) == (2, 3, job["attempts"][1]["node"])
        assert [one["id"] for one in job["attempts"]] == [f"{made['id']}-2-1", f"{made['id']}-2-2"]
        assert [(one["try"], one["state"], one["exit_code"]) for one in job["attempts"]] == [
            (1, "ended", 3),
            (2, "ended", 3),
        ]
        assert (await json_of(await client.get(f"/v1/jobs/{made['id']}-2/attempts")))["items"] == job["attempts"]

        assert (await client.delete(batch)).status_code == 204
        assert (await client.get(batch)).status_code == 404
        assert (await client.get(f"{batch}/jobs")).status_code == 404
        assert await paged(client, "/v1/jobs") == []

    with_gateway(tmp_path, body)


def test_a_request_for_one_job_or_for_some_by_name_is_bounded(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        assert (await json_of(await client.get("/v1/account")))["limits"]["job"] == 8 << 20
        large = {"command": ["true", "x" * (8 << 20)]}
        assert (await json_of(await client.post("/v1/jobs", json=large), 413))["status"] == 413
        assert (await client.post("/v1/batches", json={"jobs": [large], "held": True})).status_code == 201
        many = {"ids": [f"2n6r0kqa-{number}" for number in range(1, 1002)]}
        assert (await client.post("/v1/jobs/find", json=many)).status_code == 422
        assert (
            len((await json_of(await client.post("/v1/jobs/find", json={"ids": many["ids"][1:]})))["missing"]) == 1000
        )
        assert (await client.post("/v1/jobs/find", json={"ids": ["x" * (1 << 20)]})).status_code == 413

    with_gateway(tmp_path, body)


def test_a_job_is_changed_only_as_it_was_seen(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        held = {"command": ["true"], "held": True, "name": "one", "labels": {"a": "1", "b": "2"}}
        answer = await client.post("/v1/jobs", json=held)
        job = f"/v1/jobs/{(await json_of(answer, 201))['id']}"
        seen = answer.headers["etag"]
        assert (await client.get(job)).headers["etag"] == seen
        for tags in (seen, f'"0", W/{seen}', f'"other, {seen[1:-1]}",{seen}', "*"):
            assert (await client.get(job, headers={"if-none-match": tags})).status_code == 304, tags
        for tags in ('"0"', '"0", "1000000"', "nonsense"):
            assert (await client.get(job, headers={"if-none-match": tags})).status_code == 200, tags
        for tags in ('"0"', '"0", "1000000"', "nonsense", f"W/{seen}"):
            refused = await client.patch(job, json={"priority": 9}, headers={"if-match": tags})
            assert (await json_of(refused, 412))["code"] == "changed", tags
        patched = await client.patch(
            job, json={"name": "two", "labels": {"a": None}}, headers={"if-match": f'"0", {seen}'}
        )
        told = await json_of(patched)
        assert (told["name"], told["labels"], told["state"]) == ("two", {"b": "2"}, "held")
        for late in (
            client.patch(job, json={"priority": 3}, headers={"if-match": seen}),
            client.post(f"{job}/cancel", headers={"if-match": seen}),
            client.delete(f"{job}?force=true", headers={"if-match": seen}),
        ):
            assert (await json_of(await late, 412))["code"] == "changed"
        assert (await client.patch(job, json={}, headers={"if-match": "*"})).status_code == 200
        now = patched.headers["etag"]
        told = await json_of(await client.patch(job, json={"priority": 3, "hold": False}, headers={"if-match": now}))
        assert (told["priority"], told["state"] in ("queued", "staging_in", "running", "succeeded")) == (3, True)
        await client.get(f"{job}?wait=30")
        assert (await json_of(await client.post(f"{job}/cancel", json={"message": "x"})))["state"] == "succeeded"
        assert (await json_of(await client.post(f"{job}/retry"), 409))["code"] == "not-failed"

    with_gateway(tmp_path, body)


def test_a_batch_is_cancelled_and_says_what_became_of_its_jobs(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        lines = [{"command": ["true"]}, *[{"command": ["sleep", "60"]}] * 4]
        content = "\n\n".join(map(json.dumps, lines)).encode()
        headers = {"content-type": "application/x-ndjson", "idempotency-key": "k"}
        address = "/v1/batches?name=lines&label=a%3Db&priority=2"
        made = await json_of(await client.post(address, content=content, headers=headers), 201)
        assert (made["name"], made["labels"], made["priority"], made["count"]) == ("lines", {"a": "b"}, 2, 5)
        again = await client.post(address, content=content, headers=headers)
        assert (again.headers["idempotent-replayed"], again.json()["id"]) == ("true", made["id"])
        other = await client.post("/v1/batches?name=x", content=content, headers=headers)
        assert (await json_of(other, 422))["code"] == "key-reused"
        headers["idempotency-key"] = "l"
        wrong = await client.post("/v1/batches", content=b'{"command": ["a"]}\n{"x": 1}', headers=headers)
        assert [fault["pointer"] for fault in (await json_of(wrong, 422))["errors"]] == ["#/1/x"]

        await client.get(f"/v1/jobs/{made['id']}-1?wait=30")
        batch = f"/v1/batches/{made['id']}"
        told = await json_of(await client.post(f"{batch}/cancel"), 202)
        assert (told["asked"], told["unchanged"], told["cancelled"] + told["cancelling"]) == (5, 1, 4)
        assert told["cancelled"] >= 3
        over = await json_of(await client.get(f"{batch}?wait=30"))
        assert (over["state"], over["counts"]) == ("cancelled", {"succeeded": 1, "cancelled": 4})
        assert (await json_of(await client.delete(f"/v1/jobs/{made['id']}-9"), 404))["code"] == "not-found"
        assert (await client.delete(f"/v1/jobs/{made['id']}-1")).status_code == 204
        assert (await json_of(await client.get(batch)))["counts"] == {"cancelled": 4}

    with_gateway(tmp_path, body)


def test_jobs_are_found_by_their_ids_and_nobody_finds_anothers(tmp_path: Path) -> None:
    async def body(gateway: app.Gateway, client: httpx.AsyncClient) -> None:
        made = await json_of(
            await client.post("/v1/batches", json={"template": {"command": ["true"]}, "count": 3, "held": True}), 201
        )
        ids = [f"{made['id']}-{number}" for number in (3, 1, 4)]
        found = await json_of(await client.post("/v1/jobs/find", json={"ids": [*ids, "x"]}))
        assert [job["id"] for job in found["items"]] == ids[:2]
        assert found["missing"] == ["x", ids[2]]
        stranger = {"authorization": f"Bearer {await account(gateway, 'stranger')}"}
        assert await json_of(await client.post("/v1/jobs/find", json={"ids": ids}, headers=stranger)) == {
            "items": [],
            "missing": ids,
        }
        job, batch = f"/v1/jobs/{ids[0]}", f"/v1/batches/{made['id']}"
        for method, address, content in (
            ("GET", job, None),
            ("GET", f"{job}/attempts", None),
            ("PATCH", job, {"priority": 1}),
            ("POST", f"{job}/cancel", None),
            ("POST", f"{job}/retry", None),
            ("DELETE", f"{job}?force=true", None),
            ("GET", batch, None),
            ("GET", f"{batch}/jobs", None),
            ("GET", f"{batch}/failures", None),
            ("GET", f"/v1/jobs?batch={made['id']}", None),
            ("PATCH", batch, {"hold": False}),
            ("POST", f"{batch}/cancel", None),
            ("POST", f"{batch}/retry", None),
            ("DELETE", f"{batch}?force=true", None),
        ):
            answer = await client.request(method, address, json=content, headers=stranger)
            assert answer.status_code == 404, (method, address, answer.text)
        for address in ("/v1/jobs", "/v1/batches"):
            assert (await json_of(await client.get(address, headers=stranger)))["items"] == []
        assert (await json_of(await client.get(batch)))["counts"] == {"held": 3}
        for wrong in ("after=x", "limit=0", "state=done", "since=yesterday", "nope=1", "label=x"):
            for address in ("/v1/jobs", "/v1/batches", f"{batch}/jobs"):
                problem = await json_of(await client.get(f"{address}?{wrong}"), 422)
                assert problem["errors"][0]["parameter"] == wrong.partition("=")[0], (address, wrong)

    with_gateway(tmp_path, body)
