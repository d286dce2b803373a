"""The life of a batch: replicas that agree and that do not, leases, aborting, retiring, and counting."""

from __future__ import annotations

import time

import httpx
import pytest
from boinc_cpp import Cpp
from boinc_project import SCRIPT, Project
from boinc_python3 import Python3
from boinc_words import Batch, BindingError, File, Job

SLEEPS = SCRIPT.format("sleep 60")


@pytest.fixture(scope="module")
def client(project: Project) -> Python3:
    return Python3(project.url, project.user("lab"))


# --- replication


def test_two_instances_that_leave_the_same_bytes_are_a_quorum_of_two(project: Project, client: Python3) -> None:
    batch = int(client.submit_batch(Batch(app="agree", jobs=(Job(name="agreed"),)))["batch_id"])
    seen = project.over(client, batch)
    instances = client.query_job(int(seen["job"]["id"]))["instance"]
    assert [one["name"] for one in instances] == ["agreed_0", "agreed_1"]
    assert [one["state"] for one in instances] == ["Completed and validated"] * 2
    assert seen["job"]["canonical_instance_id"] in [one["id"] for one in instances]
    worth = 2 * 10e9 * 200 / 86_400e9
    assert float(seen["credit_estimate"]) == pytest.approx(worth)
    assert float(seen["credit_total"]) == pytest.approx(worth)
    assert float(seen["credit_canonical"]) == pytest.approx(worth / 2)
    assert client.output_file("agreed_1", 0).body == b"same\n"


def test_instances_that_never_agree_fail_the_job_and_stay_visible(project: Project, client: Python3) -> None:
    batch = int(client.submit_batch(Batch(app="differ", jobs=(Job(name="differed"),)))["batch_id"])
    seen = project.over(client, batch)
    assert (seen["job"]["status"], seen["nerror_jobs"]) == ("error", "1")
    assert seen["job"]["canonical_instance_id"] == "0"
    instances = client.query_job(int(seen["job"]["id"]))["instance"]
    assert len(instances) == 3
    assert all(one["state"] == "Completed, validation inconclusive" for one in instances)
    contents = {client.output_file(one["name"], 0).body for one in instances}
    assert len(contents) == 3
    done = client.query_completed_job("differed")["completed_job"]
    assert int(done["error_mask"]) & (4 | 8)
    assert done["exit_status"] == "0"
    assert float(seen["credit_total"]) == 0


def test_a_jobs_own_template_asks_for_its_replicas(project: Project, client: Python3) -> None:
    template = (
        "<input_template><workunit><min_quorum>2</min_quorum><target_nresults>2</target_nresults>"
        "<command_line>'echo x > out'</command_line></workunit></input_template>"
    )
    batch = int(client.submit_batch(Batch(app="script", jobs=(Job(input_template=template),)))["batch_id"])
    seen = project.over(client, batch)
    assert seen["job"]["status"] == "done"
    assert len(client.query_job(int(seen["job"]["id"]))["instance"]) == 2


def test_with_the_defaults_the_first_failure_fails_the_job_with_bit_8(project: Project, client: Python3) -> None:
    job = Job(name="fails", command_line=SCRIPT.format("exit 3"))
    seen = project.over(client, int(client.submit_batch(Batch(app="script", jobs=(job,)))["batch_id"]))
    assert (seen["job"]["error"], seen["job"]["exit_status"]) == ("too_many_total_results", "3")
    done = client.query_completed_job("fails")["completed_job"]
    assert (done["error_mask"], done["exit_status"]) == ("8", "3")
    instance = client.query_job(int(seen["job"]["id"]))["instance"]
    assert (instance["id"], instance["state"]) == (done["error_resultid"], "Error while computing")


def test_an_error_is_tolerated_as_often_as_the_template_says(project: Project, client: Python3) -> None:
    template = (
        "<input_template><workunit><max_error_results>1</max_error_results><max_total_results>3</max_total_results>"
        "</workunit></input_template>"
    )
    job = Job(name="fails twice", command_line=SCRIPT.format("exit 3"), input_template=template)
    seen = project.over(client, int(client.submit_batch(Batch(app="script", jobs=(job,)))["batch_id"]))
    assert seen["job"]["error"] == "too_many_error_results"
    assert len(client.query_job(int(seen["job"]["id"]))["instance"]) == 2
    assert client.query_completed_job("fails twice")["completed_job"]["error_mask"] == "2"


# --- stopping


def test_aborting_stops_what_runs_and_again_changes_nothing(project: Project, client: Python3) -> None:
    jobs = tuple(Job(name=f"stopped {i}", command_line=SLEEPS) for i in range(6))
    batch = int(client.submit_batch(Batch(app="script", jobs=jobs))["batch_id"])
    project.until(
        lambda: [job["status"] for job in client.query_batch(batch, details=True)["job"]],
        lambda words: "in_progress" in words and "queued" in words,
    )
    client.abort_batch(batch)
    assert client.query_batch(batch)["state"] == "3"
    seen = project.until(
        lambda: client.query_batch(batch, details=True), lambda seen: float(seen["fraction_done"]) == 1
    )
    assert [job["error"] for job in seen["job"]] == ["cancelled"] * 6
    assert seen["nerror_jobs"] == "6"
    assert float(seen["completion_time"]) > 0
    assert client.query_completed_job("stopped 5")["completed_job"]["error_mask"] == "16"
    client.abort_batch(batch)
    assert client.query_batch(batch)["completion_time"] == seen["completion_time"]


def test_aborting_jobs_looks_at_all_names_before_it_stops_one(project: Project, client: Python3) -> None:
    jobs = tuple(Job(name=f"one of {i}", command_line=SLEEPS) for i in range(2))
    batch = int(client.submit_batch(Batch(app="script", jobs=jobs))["batch_id"])
    with pytest.raises(BindingError, match="no job one of 9"):
        client.abort_jobs(["one of 0", "one of 9"])
    assert all(job["status"] != "error" for job in client.query_batch(batch, details=True)["job"])
    client.abort_jobs(["one of 0", "one of 1"])
    seen = project.over(client, batch)
    assert (seen["state"], seen["nerror_jobs"]) == ("2", "2")


# --- leases and retirement


def test_a_lease_that_ends_aborts_and_retires_and_one_that_is_renewed_does_not(
    project: Project, client: Python3
) -> None:
    short, renewed = (
        int(client.create_batch("script", name, time.time() + 2)["batch_id"]) for name in ("short", "renewed")
    )
    for batch in (short, renewed):
        client.submit_batch(Batch(app="script", id=batch, jobs=(Job(command_line=SLEEPS),)))
    client.set_expire_time(renewed, time.time() + 3600)
    begun = time.time()
    seen = project.until(lambda: client.query_batch(short), lambda seen: seen["state"] == "4")
    assert time.time() >= float(seen["expire_time"]) or time.time() - begun >= 1.5
    assert client.query_batch(renewed)["state"] == "1"
    assert [batch["name"] for batch in _batches(client) if batch["name"] in ("short", "renewed")] == ["renewed"]
    client.set_expire_time(renewed, 0)
    assert float(client.query_batch(renewed)["expire_time"]) == 0
    client.abort_batch(renewed)


def test_a_retired_batch_is_in_no_list_and_its_name_means_the_next_one(project: Project, client: Python3) -> None:
    condor = Cpp(project.url, client.authenticator)
    first = condor.create_batch("script", "condor#1", 0)
    condor.submit_batch(Batch(app="script", id=first, jobs=(Job(name="condor.1.0", command_line="'echo x > out'"),)))
    project.over(client, first)
    assert client.output_file("condor.1.0_0", 0).body == b"x\n"
    client.retire_batch(first)
    client.retire_batch(first)
    assert "condor#1" not in [batch["name"] for batch in _batches(client)]
    assert client.query_batch(first)["state"] == "4"
    assert client.output_file("condor.1.0_0", 0).body.startswith(b"ERROR: ")
    assert len(condor.query_batch2(["condor#1"], 0).batches[0]) == 1
    second = condor.create_batch("script", "condor#1", 0)
    assert condor.query_batch2(["condor#1"], 0).batches == [[]]
    assert condor.query_batch(name="condor#1")[0]["id"] == second != first


def test_a_batch_is_filled_once(client: Python3) -> None:
    batch = int(client.create_batch("script", "once")["batch_id"])
    assert client.query_batch(batch)["state"] == "0"
    jobs = (Job(command_line="'exit 0'"),)
    client.submit_batch(Batch(app="script", id=batch, jobs=jobs))
    with pytest.raises(BindingError, match="batch not in init state"):
        client.submit_batch(Batch(app="script", id=batch, jobs=jobs))


def test_a_second_app_in_a_batch_is_refused(client: Python3) -> None:
    batch = int(client.create_batch("script", "of script")["batch_id"])
    with pytest.raises(BindingError):
        client.submit_batch(Batch(app="plain", id=batch, jobs=(Job(command_line="'exit 0'"),)))
    assert client.query_batch(batch)["state"] == "0"


def test_a_staged_file_lives_as_long_as_an_unretired_batch_may_need_it(client: Python3) -> None:
    batch = int(client.create_batch("uppercase", "holds")["batch_id"])
    client.upload_files({"held.dat": b"held"}, batch)
    assert client.query_files(["held.dat"], batch) == []
    client.submit_batch(
        Batch(app="uppercase", id=batch, jobs=(Job(files=(File(mode="local_staged", source="held.dat"),)),))
    )
    client.retire_batch(batch)
    assert client.query_files(["held.dat"]) == []


def test_counts_are_the_projects_and_anybodys(project: Project, client: Python3) -> None:
    jobs = tuple(Job(command_line=SLEEPS) for _ in range(6))
    batch = int(client.submit_batch(Batch(app="script", jobs=jobs))["batch_id"])
    counts = project.until(client.job_counts, lambda counts: int(counts["results_in_progress"]) >= 1)
    assert int(counts["results_ready_to_send"]) >= 1
    got = httpx.get(f"{project.url}/server_status.php?counts=1")
    assert got.text.startswith('<?xml version="1.0" encoding="UTF-8" ?>\n<job_counts>')
    assert got.headers["content-type"].startswith("text/xml")
    client.abort_batch(batch)


def _batches(client: Python3) -> list[dict[str, str]]:
    found = client.query_batches().get("batch", [])
    return found if isinstance(found, list) else [found]
