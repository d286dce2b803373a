"""What is another's looks like none; what one API of this server brought is seen, stopped and fetched in the others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import httpx
import pytest
from boinc_project import SCRIPT, Project
from boinc_python3 import Python3
from boinc_words import Batch, BindingError, File, Job

Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def mine(project: Project) -> Python3:
    return Python3(project.url, project.user("mine"))


@pytest.fixture(scope="module")
def theirs(project: Project) -> Python3:
    return Python3(project.url, project.user("theirs"))


@pytest.fixture(scope="module")
def native(project: Project, mine: Python3) -> Ask:
    del mine
    return project.native("mine")


def test_another_accounts_batch_job_and_file_look_like_none(project: Project, mine: Python3, theirs: Python3) -> None:
    mine.upload_files({"private.dat": b"private"})
    jobs = (Job(name="private job", command_line=SCRIPT.format("echo x > out")),)
    batch = int(mine.submit_batch(Batch(app="script", jobs=jobs))["batch_id"])
    name = project.over(mine, batch)["name"]
    job = int(mine.query_batch(batch)["job"]["id"])
    assert theirs.query_batches() == {}
    assert theirs.query_files(["private.dat"]) == [0]
    for asked, text in (
        (lambda: theirs.query_batch(batch), "no such batch"),
        (lambda: theirs.abort_batch(batch), "no such batch"),
        (lambda: theirs.retire_batch(batch), "no such batch"),
        (lambda: theirs.set_expire_time(batch, 1), "no such batch"),
        (lambda: theirs.query_batch2([name]), f"no batch named {name}"),
        (lambda: theirs.query_job(job), "no such job"),
        (lambda: theirs.query_completed_job("private job"), "no such job"),
        (lambda: theirs.abort_jobs(["private job"]), "no job private job"),
        (lambda: theirs.get_templates(job="private job"), "job not found: private job"),
        (lambda: theirs.submit_batch(Batch(app="script", id=batch, jobs=jobs)), f"no batch {batch}"),
        (lambda: theirs.query_files([], batch), "not owner of batch"),
        (lambda: theirs.upload_files({}, batch), "not owner of batch"),
    ):
        with pytest.raises(BindingError) as refused:
            asked()
        assert refused.value.text == text
    staged = File(mode="local_staged", source="private.dat")
    with pytest.raises(BindingError, match="create_work failed"):
        theirs.submit_batch(Batch(app="uppercase", jobs=(Job(files=(staged,)),)))
    assert mine.query_batch(batch)["state"] == "2"


def test_names_are_each_accounts_own(project: Project, mine: Python3, theirs: Python3) -> None:
    for client, content in ((mine, "of mine"), (theirs, "of theirs")):
        client.upload_files({"same name": content.encode()})
        job = Job(name="same.job", files=(File(mode="local_staged", source="same name"),))
        project.over(client, int(client.submit_batch(Batch(app="uppercase", jobs=(job,)))["batch_id"]))
    assert mine.output_file("same.job_0", 0).body == b"OF MINE"
    assert theirs.output_file("same.job_0", 0).body == b"OF THEIRS"


@pytest.mark.parametrize("app", ["nope", "retired"])
def test_an_app_that_is_not_there_or_takes_nothing_more(mine: Python3, app: str) -> None:
    calls: tuple[Callable[[], object], ...] = (
        lambda: mine.create_batch(app, "b"),
        lambda: mine.submit_batch(Batch(app=app, jobs=(Job(),))),
    )
    for asked in calls:
        with pytest.raises(BindingError, match=f"app not found: {app}"):
            asked()


def test_an_app_of_others_is_one_that_this_account_may_not_submit_to(mine: Python3) -> None:
    calls: tuple[Callable[[], object], ...] = (
        lambda: mine.create_batch("closed", "b"),
        lambda: mine.submit_batch(Batch(app="closed", jobs=(Job(),))),
        lambda: mine.estimate_batch(Batch(app="closed", jobs=(Job(fpops=1e9),))),
        lambda: mine.get_templates(app="closed"),
    )
    for asked in calls:
        with pytest.raises(BindingError, match="no submit access"):
            asked()


def test_more_jobs_than_the_account_may_have_are_refused_whole(mine: Python3) -> None:
    before = mine.query_batches().get("batch")
    jobs = tuple(Job(command_line="'exit 0'") for _ in range(401))
    with pytest.raises(BindingError, match="limit on jobs in progress exceeded"):
        mine.submit_batch(Batch(app="script", jobs=jobs))
    assert mine.query_batches().get("batch") == before


# --- the other APIs of this server


def test_a_boinc_batch_is_seen_cancelled_and_fetched_by_the_native_api(
    project: Project, mine: Python3, native: Ask
) -> None:
    jobs = (
        Job(name="across 1", command_line=SCRIPT.format("echo across > out")),
        Job(name="across 2", command_line=SCRIPT.format("sleep 60")),
    )
    batch = int(mine.submit_batch(Batch(app="script", name="across", jobs=jobs))["batch_id"])
    project.until(lambda: mine.query_completed_job("across 1")["completed_job"], lambda seen: "exit_status" in seen)
    newest = native("GET", "/batches?limit=1").json()["items"][0]
    found = native("GET", f"/jobs?batch={newest['id']}").json()["items"]
    assert newest["count"] == 2
    succeeded = next(job for job in found if job["state"] == "succeeded")
    got = native("GET", f"/jobs/{succeeded['id']}/files/out")
    assert got.content == b"across\n", got.text
    assert native("POST", f"/batches/{newest['id']}/cancel").status_code < 300
    seen = project.over(mine, batch)
    assert (seen["state"], seen["nerror_jobs"]) == ("3", "1")


def test_a_native_job_is_seen_stopped_and_fetched_by_boinc(project: Project, mine: Python3, native: Ask) -> None:
    body = {"command": ["sh", "-c", "echo native > out"], "outputs": [{"path": "out"}]}
    made = native("POST", "/jobs", json=body)
    assert made.status_code == 201, made.text
    newest = project.until(lambda: _newest(mine), lambda batch: batch["state"] == "2")
    job = mine.query_batch(int(newest["id"]))["job"]
    instance = mine.query_job(int(job["id"]))["instance"]
    assert mine.output_file(instance["name"], 0).body == b"native\n"
    assert (
        mine.get_templates(job=job["name"])["templates"]["output_template"]["result"]["file_ref"]["open_name"] == "out"
    )
    native("POST", "/jobs", json={"command": ["sleep", "60"]})
    running = _newest(mine)
    mine.abort_batch(int(running["id"]))
    assert project.over(mine, int(running["id"]))["nerror_jobs"] == "1"


def test_a_charity_engine_job_is_seen_and_stopped_by_boinc(project: Project, mine: Python3) -> None:
    key = str(project.gateway.run("credential", "add", "mine", "--kind", "charity-engine")["value"])
    (job,) = project.gateway.create(key, "sleep 60")
    batch = _newest(mine)
    assert batch["njobs"] == "1"
    mine.abort_batch(int(batch["id"]))
    (seen,) = project.gateway.ended(key, [job])
    assert seen["status"] == "aborted"
    (done,) = project.gateway.create(key, "echo ce > output/o")
    project.gateway.ended(key, [done])
    number = int(_newest(mine)["id"])
    signed = hashlib.md5(f"{mine.authenticator}{number}".encode()).hexdigest()  # noqa: S324  # BOINC's own
    got = httpx.get(f"{project.url}get_output.php?cmd=batch_files&batch_id={number}&auth_str={signed}")
    assert got.content.startswith(b"PK")


def _newest(client: Python3) -> dict[str, str]:
    found = client.query_batches()["batch"]
    last = found[-1] if isinstance(found, list) else found
    assert isinstance(last, dict)
    return last
