"""Every kind of BOINC client, written from the contract, goes through every call that it has: real sockets, real jobs.

Each is checked against our reading alone: the real bindings are not to be had here.
"""

from __future__ import annotations

import time

import pytest
from boinc_cpp import Cpp, physical
from boinc_node import Node
from boinc_php import Php
from boinc_project import SCRIPT, Project, md5
from boinc_python2 import Python2
from boinc_python3 import Python3
from boinc_r import R
from boinc_words import Batch, BindingError, File, Job

TEN = tuple(
    Job(fpops=i * 1e9, command_line=f"--t {i}", files=(File(mode="local", source="filename.dat"),))
    for i in range(10, 20)
)
"""The published text's example."""


@pytest.fixture(scope="module")
def key(project: Project) -> str:
    return project.user("lab")


def test_the_python_3_binding(project: Project, key: str) -> None:
    client = Python3(project.url, key)
    assert client.ping()["success"] == "1"
    batch = int(client.submit_batch(Batch(app="uppercase", name="never sent", jobs=TEN))["batch_id"])
    seen = project.over(client, batch)
    assert (seen["state"], seen["njobs"], seen["nerror_jobs"]) == ("2", "10", "0")
    assert float(seen["fraction_done"]) == 1
    assert float(seen["credit_estimate"]) == pytest.approx(145e9 * 200 / 86_400e9)
    assert float(seen["credit_total"]) == pytest.approx(float(seen["credit_estimate"]))
    assert [job["status"] for job in seen["job"]] == ["done"] * 10
    assert all(job["canonical_instance_id"] != "0" and job["n_outfiles"] == "1" for job in seen["job"])
    instance = client.query_job(int(seen["job"][0]["id"]))["instance"]
    assert (instance["state"], instance["outfile"]) == ("Completed and validated", {"size": "14"})
    assert instance["id"] == seen["job"][0]["canonical_instance_id"]
    assert client.output_file(instance["name"], 0).body == b"SMALL LETTERS\n"
    assert client.query_completed_job(seen["job"][0]["name"])["completed_job"]["exit_status"] == "0"
    assert [b["id"] for b in [client.query_batches(cpu_time=True)["batch"]]] == [str(batch)]
    assert client.query_batch2([seen["name"]])["batch_size"] == "10"
    assert float(client.estimate_batch(Batch(app="uppercase", jobs=TEN))["seconds"]) > 0
    assert set(client.get_templates(app="uppercase")["templates"]) == {"input_template", "output_template"}
    assert client.upload_files({"py3 one.dat": b"one\n", "py3 two.dat": b"two\n"}) == {"success": None}
    assert client.query_files(["py3 two.dat", "absent", "py3 one.dat", "gone"]) == [1, 3]
    assert client.query_files(["py3 two.dat"]) == []
    empty = int(client.create_batch("uppercase", "py3")["batch_id"])
    assert client.set_expire_time(empty, time.time() + 3600)["success"] == "1"
    assert client.abort_jobs([job["name"] for job in seen["job"]])["success"] == "1"
    assert client.abort_batch(empty)["success"] == "1"
    assert client.query_batch(empty)["state"] == "3"
    assert client.retire_batch(empty)["success"] == "1"
    assert client.query_batch(empty)["state"] == "4"
    assert client.job_counts().keys() == {
        *("results_ready_to_send", "results_in_progress", "results_need_file_delete"),
        *("wus_need_validate", "wus_need_assimilate", "wus_need_file_delete"),
    }
    with pytest.raises(BindingError, match="-1: no such batch"):
        client.query_batch(12345)


def test_the_python_2_binding(project: Project, key: str) -> None:
    client = Python2(project.url, key)
    empty = client.create_batch("uppercase", "py2")
    batch = client.submit_batch(Batch(app="uppercase", id=empty, jobs=TEN[:2]))
    assert batch == empty
    project.over(Python3(project.url, key), batch)
    found = client.query_batch(batch)
    assert (found.findtext("state"), found.findtext("name")) == ("2", "py2")
    jobs = found.findall("job")
    (instance,) = client.query_job(jobs[0].findtext("id") or "")
    assert [size.text for size in instance.findall("outfile/size")] == ["14"]
    assert client.query_completed_job(jobs[1].findtext("name") or "")[0].tag == "error_mask"
    assert client.estimate_batch(Batch(app="uppercase", jobs=TEN[:2])) > 0
    assert str(batch) in [one.findtext("id") for one in client.query_batches()]
    client.upload_files({"py2.dat": b"2"})
    assert client.query_files("py2.dat", "py2 absent") == ["1"]
    assert client.abort_jobs(jobs[0].findtext("name") or "").find("success") is not None
    assert client.abort_batch(batch).findtext("success") == "1"
    assert client.retire_batch(batch).findtext("success") == "1"
    for failing in (lambda: client.query_batch(54321), lambda: client.upload_files({"../x": b""})):
        with pytest.raises(BindingError):
            failing()


def test_the_php_binding(project: Project, key: str) -> None:
    client = Php(project.url, key)
    client.ping()
    inline = Job(fpops=1e9, command_line="--t 1", files=(File(mode="inline", source="some words"),))
    batch = client.submit_batch(Batch(app="uppercase", jobs=(*TEN[:1], inline)))
    project.over(Python3(project.url, key), batch)
    fields, jobs = client.query_batch(batch)
    assert fields["name"].startswith("batch_")
    assert (fields["state"], fields["njobs"], fields["nerror_jobs"]) == ("2", "2", "0")
    (instance,) = client.query_job(int(jobs[1]["id"]))
    assert instance["outfiles"] == [{"size": "10"}]
    assert client.output_file(instance["name"], 0).body == b"SOME WORDS"
    assert client.output_files(batch).body.startswith(b"PK")
    assert client.query_completed_job(jobs[1]["name"])["exit_status"] == "0"
    assert client.estimate_batch(Batch(app="uppercase", jobs=(inline,))) > 0
    assert fields["name"] in [one["name"] for one in client.query_batches(cpu_time=True)]
    assert client.get_templates("uppercase").find("input_template") is not None
    empty = client.create_batch("uppercase")
    client.set_expire_time(empty, time.time() + 3600)
    client.abort_jobs(jobs[0]["name"], jobs[1]["name"])
    client.abort_batch(empty)
    client.retire_batch(empty)
    with pytest.raises(BindingError, match="BOINC server: no such batch"):
        client.query_batch(12345)
    with pytest.raises(BindingError, match="BOINC server: bad authenticator"):
        Php(project.url, "0" * 32).query_batches()


def test_the_cpp_library_as_htcondor_drives_it(project: Project, key: str) -> None:
    """The helper's loop: files, batch, jobs, polling, results, templates, outputs, retirement."""
    client = Cpp(project.url, key)
    client.ping()
    name = "condor#host.domain#App#1470046242"
    contents = [b"cluster one\n", b"cluster two\n", b"cluster one\n"]
    for _ in range(2):  # HTCondor makes a batch again under the same name when a submission failed
        batch = client.create_batch("uppercase", name, time.time() + 3600)
        assert batch > 0
    names = list(dict.fromkeys(physical(content, ".dat") for content in contents))
    client.upload_files([], batch)
    assert client.query_files(names, batch) == [0, 1]
    client.upload_files([(physical(content, ".dat"), content) for content in contents[:2]], batch)
    client.upload_files([(names[0], contents[0])], batch)
    assert client.query_files(names, batch) == []
    jobs = tuple(
        Job(
            name=f"{name}#18.{at}",
            command_line=f"--job {at} 'two words'",
            files=(File(mode="local_staged", source=physical(content, ".dat")),),
        )
        for at, content in enumerate(contents)
    )
    assert client.submit_batch(Batch(app="uppercase", id=batch, jobs=jobs)) == batch
    client.set_expire_time(name, time.time() + 6 * 3600)
    seen: dict[str, str] = {}
    since = 0.0

    def poll() -> dict[str, str]:
        nonlocal since
        changes = client.query_batch2([name], since)
        since = changes.server_time
        seen.update(changes.batches[0])
        return seen

    project.until(poll, lambda seen: [*seen.values()].count("DONE") == 3)
    assert client.query_batch2([name], since).batches == [[]]
    assert [len(batch) for batch in client.query_batch2([name, name], 0).batches] == [3, 3]
    for at, content in enumerate(contents):
        done = client.query_completed_job(f"{name}#18.{at}")
        assert (done["error_mask"], done["exit_status"]) == (0, 0)
        assert done["canonical_resultid"] > 0
        assert done["stderr_out"] == f"--job {at} two words"
        assert client.get_templates(app="uppercase").outputs == ["out"]
        assert client.get_templates(job=f"{name}#18.{at}").outputs == ["out"]
        assert client.output_file(f"{name}#18.{at}", 0) == content.upper()
    fields, told = client.query_batch(name=name)
    assert (fields["state"], fields["njobs"], len(told)) == (2, 3, 3)
    assert fields["id"] == batch
    assert [one["status"] for one in told] == ["done"] * 3
    assert name in [one["name"] for one in client.query_batches()]
    assert client.estimate_batch(Batch(app="uppercase", jobs=tuple(Job(command_line="x") for _ in range(3)))) > 0
    client.abort_jobs(f"{name}#18.0")
    client.retire_batch(name)
    with pytest.raises(BindingError, match=r"-1: no batch named condor#gone#1$"):
        client.query_batch2([name, "condor#gone#1"], 0)


def test_the_cpp_library_is_told_of_an_error_that_query_batches_would_have_it_forget(project: Project) -> None:
    with pytest.raises(BindingError, match="bad authenticator"):
        Cpp(project.url, "0" * 32).query_batches()


def test_the_cpp_library_sends_a_large_submission_after_it_was_told_to(project: Project, key: str) -> None:
    client = Cpp(project.url, key)
    batch = client.create_batch("script", "large", 0)
    jobs = tuple(Job(name=f"large#{i}", command_line=SCRIPT.format("exit 0")) for i in range(200))
    assert client.submit_batch(Batch(app="script", id=batch, jobs=jobs)) == batch
    client.retire_batch("large")


def test_the_r_client(project: Project, key: str) -> None:
    client, files = R(project.url, key), Python3(project.url, key)
    files.upload_files({"r one": b"1", "r two": b"2"})
    staged = (File(mode="local_staged", source="r one"), File(mode="local_staged", source="r two"))
    batch = client.submit_batch(
        Batch(
            app="script",
            id=client.create_batch("script", "r"),
            jobs=(
                Job(name="r.1", command_line=SCRIPT.format("cat a b > first"), files=staged),
                Job(name="r.2", command_line=SCRIPT.format("exit 4"), files=staged),
                Job(name="r.3", command_line=SCRIPT.format("sleep 60"), files=staged),
            ),
            input_template="two_in",
            output_template="two_out",
        )
    )
    assert client.query_batch(batch) == ["r.1", "r.2", "r.3"]
    assert project.until(lambda: client.query_completed_job("r.1"), bool) == (0, 0)
    mask_and_status = project.until(lambda: client.query_completed_job("r.2"), bool)
    assert mask_and_status == (8, 4)
    assert client.query_completed_job("r.3") is None
    client.abort_jobs("r.3")
    project.over(files, batch)
    with pytest.raises(BindingError, match="no such job"):
        client.query_completed_job("r.4")


def test_the_node_client_of_2014_under_the_address_of_old(project: Project, key: str) -> None:
    client, files = Node(project.old, key), Python3(project.url, key)
    content = b"by its digest"
    assert client.query_files(md5(content)) == [0]
    files.upload_files({f"jf_{md5(content)}": content})
    assert client.query_files(md5(content), md5(b"another")) == [1]
    staged = File(mode="local_staged", source=f"jf_{md5(content)}")
    jobs = (Job(name="node 1", command_line=SCRIPT.format("cat a b > first"), files=(staged, staged)),)
    sent = Batch(
        app="script",
        id=client.create_batch("script", "node"),
        jobs=jobs,
        input_template="two_in",
        output_template="two_out",
    )
    batch = client.submit_batch(sent)
    project.until(lambda: client.query_batch(batch)[0]["state"], lambda state: state == "2")
    fields, told = client.query_batch(batch)
    assert (fields["name"], told[0]["name"], told[0]["n_outfiles"]) == ("node", "node 1", "2")
    (instance,) = client.query_job(int(told[0]["id"]))
    assert instance.findtext("state") == "Completed and validated"
    assert client.query_completed_job("node 1")["exit_status"] == "0"
    assert client.output_file("node 1", 0) == content * 2
    assert "node" in [one["name"] for one in client.query_batches()]
    assert client.estimate_batch(Batch(app="uppercase", jobs=TEN)) > 0
    assert client.get_templates("uppercase").find("output_template") is not None
    client.abort_jobs("node 1")
    client.abort_batch(batch)
    client.retire_batch(batch)
    with pytest.raises(BindingError, match="no such batch"):
        client.query_batch(12345)
