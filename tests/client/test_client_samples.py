"""The samples of the documentation, as they are written, against a real gateway."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import client_typing
import pytest
from gateways import CONFIG, Gateway

import jobgate

FIT = """import sys
lr = float(sys.argv[2])
if lr > 1:
    sys.exit("lr must be small")
print("lr", lr)
"""
TRAIN = """from pathlib import Path
print("epoch 1")
Path("model.bin").write_bytes(bytes(range(256)) * 100)
print("epoch 2")
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway, its address and key in the environment, and a directory with two programs to stand in."""
    folder = tmp_path_factory.mktemp("lab")
    for above in (folder, *list(folder.parents)[:3]):
        above.chmod(0o711 | (above.stat().st_mode & 0o7777))
    made = Gateway(folder / "data", CONFIG.replace("slots = 2", "slots = 2\ngpus = {a100 = 2}"))
    made.start()
    try:
        made.run("account", "create", "lab")
        key = made.run("credential", "add", "lab", "--kind", "api-key")["value"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("JOBGATE_SERVER", made.url)
            patch.setenv("JOBGATE_KEY", key)
            (folder / "here").mkdir()
            patch.chdir(folder / "here")
            Path("train.py").write_text(TRAIN)
            Path("fit.py").write_text(FIT)
            yield made
    finally:
        made.end()


@pytest.fixture
def client(lab: Gateway) -> Iterator[jobgate.Client]:
    with jobgate.Client() as made:
        yield made


def test_a_job_is_submitted_waited_for_and_its_files_are_fetched(client: jobgate.Client) -> None:
    job = client.submit(["python3", "train.py"], inputs=["train.py"], outputs=["model.bin"], gpus=2, memory="256MiB")
    assert str(job).startswith(f"<Job {job.id} ")
    result = job.result(timeout=60)
    assert result.stdout == "epoch 1\nepoch 2\n"
    saved = result.files["model.bin"].save(".")
    assert saved.read_bytes() == bytes(range(256)) * 100
    assert list(job.logs(follow=True)) == ["epoch 1\n", "epoch 2\n"]
    assert client.job(job.id).succeeded


def test_a_sweep_is_one_request_and_its_jobs_come_as_they_end(client: jobgate.Client) -> None:
    batch = client.sweep(
        ["python3", "fit.py", "--lr", "{lr}", "--seed", "{seed}"],
        {"lr": [0.1, 10], "seed": range(5)},
        inputs=["fit.py"],
        name="fit",
    )
    seen = [(job.parameters["lr"], job.failed) for job in client.as_completed(batch, progress=True)]
    assert sorted(seen) == [(0.1, False)] * 5 + [(10, True)] * 5
    failed = next(iter(client.jobs(batch=batch.id, state="failed")))
    assert str(failed.logs(tail=3)) == "lr must be small\n"
    ended = client.batch(batch.id)
    assert [(one.count, one.failure, one.last_line) for one in ended.failures] == [(5, "program", "lr must be small")]
    again = ended.retry(state="failed").wait(60)
    assert again.counts == {"succeeded": 5, "failed": 5}
    with pytest.raises(jobgate.ProgramFailed, match="lr must be small"):
        failed.result()


def test_a_map_gives_results_in_the_order_of_its_inputs(client: jobgate.Client) -> None:
    found = client.map(["sh", "-c", "exit {r}"], r=range(3), return_exceptions=True)
    assert [type(out) for out in found] == [jobgate.Result, jobgate.ProgramFailed, jobgate.ProgramFailed]
    assert [out.stdout for out in client.map(["echo", "{r}"], r=range(12))] == [f"{r}\n" for r in range(12)]


def test_a_batch_is_found_again_and_its_results_downloaded(client: jobgate.Client) -> None:
    made = client.sweep(["sh", "-c", "echo {n} > out.txt"], {"n": range(3)}, outputs=["out.txt"])
    with jobgate.Client() as another:
        paths = another.batch(made.id).wait(60).download("results/")
    assert [path.read_text() for path in sorted(paths)] == ["0\n", "1\n", "2\n"]
    assert sorted(path.as_posix() for path in paths) == [f"results/{n}/out.txt" for n in (1, 2, 3)]


def test_a_job_that_waits_says_why(gateway: Gateway) -> None:
    gateway.run("account", "create", "vision")
    key = gateway.run("credential", "add", "vision", "--kind", "api-key")["value"]
    with jobgate.Client(gateway.url, key) as client:  # of a server without a past: after short jobs it claims ahead
        busy = client.sweep(["sleep", "600"], 2)
        job = client.submit(["true"])
        while job.waits is None or job.waits.reason != "busy":
            assert job.state == "queued", (job, job.waits)
            job = job.refresh()
        assert job.waits.place == 1
        assert "local is busy" in str(job.waits)
        assert repr(job) == f"<Job {job.id} queued, next in line for local>"
        assert busy.cancel("enough").asked == 2
        assert job.wait(60).succeeded
        assert busy.wait(60).counts == {"cancelled": 2}


def test_events_are_followed_in_asyncio_through_a_gateway_that_is_killed(lab: Gateway) -> None:
    told: list[str] = []

    async def main() -> list[str]:
        async with jobgate.AsyncClient(say=told.append) as client:
            batch = await client.sweep(["echo", "{n}"], {"n": range(3)}, held=True)
            seen = []
            async for event in client.events(batch=batch.id, kinds=["job"], after=0):
                seen.append(event.event)
                if len(seen) == 3:
                    port = lab.url.rpartition(":")[2]
                    await asyncio.to_thread(lab.kill)
                    await asyncio.to_thread(lab.start, port)
                    await batch.release()
            return seen

    seen = asyncio.run(main())
    assert seen[:3] == ["job.held"] * 3
    assert seen.count("job.succeeded") == 3


def test_a_log_is_followed_through_a_gateway_that_is_killed(lab: Gateway, client: jobgate.Client) -> None:
    job = client.submit(script="for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.2; done")
    seen = []
    for line in job.logs(follow=True):
        seen.append(line)
        if line == "2\n":
            port = lab.url.rpartition(":")[2]
            lab.kill()
            lab.start(port)
    assert seen == [f"{n}\n" for n in range(1, 9)]


def test_what_the_type_checker_saw_also_runs(lab: Gateway, client: jobgate.Client) -> None:
    async def main() -> list[str]:
        async with jobgate.AsyncClient() as other:
            return await client_typing.asynchronous(other)

    assert client_typing.synchronous(client) == ["one\n", "0\n", "1\n"]
    assert asyncio.run(main()) == ["one\n", "0\n", "1\n"]


def test_a_folders_files_are_kept_read_and_used_as_inputs_by_both_faces(client: jobgate.Client) -> None:
    made = client.add_folder("shared")
    assert client.add_folder("shared") == made == client.folder("shared")
    Path("data.txt").write_text("one\n")
    assert client.put_file("shared/in/data.txt", "data.txt").path == "in/data.txt"
    assert repr(client.put_file("shared/b.bin", b"\0" * 2048)) == "<FolderEntry b.bin, 2.0 KiB>"
    assert [entry.path for entry in client.folder_files("shared", prefix="in/")] == ["in/data.txt"]
    assert client.read_file("shared/in/data.txt") == b"one\n"
    assert client.save_file("shared/in/data.txt", "copy.txt").read_text() == "one\n"
    file = jobgate.FolderFile("shared/in/data.txt")
    assert client.submit(["cat", "data"], inputs={"data": file}).result(timeout=60).stdout == "one\n"
    with pytest.raises(jobgate.Conflict):
        client.delete_folder("shared")
    with pytest.raises(jobgate.Invalid, match="names no file of a folder"):
        client.read_file("shared/")

    async def other() -> list[str]:
        async with jobgate.AsyncClient() as also:
            await also.delete_file("shared/b.bin")
            left = [entry.path async for entry in also.folder_files("shared")]
            assert repr(await also.folder("shared")) == "<Folder shared, 1 file, 4 B>"
            await also.delete_folder("shared", force=True)
            assert await also.folders() == ()
            return left

    assert asyncio.run(other()) == ["in/data.txt"]
    with pytest.raises(jobgate.NotFound):
        client.read_file("shared/in/data.txt")


def test_a_client_that_is_not_closed_leaves_nothing_open_and_its_jobs_still_speak(lab: Gateway) -> None:
    code = "import jobgate; job = jobgate.Client().submit(['echo', 'hi']); print(job.result(timeout=60).stdout)"
    words = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(words, check=True, capture_output=True, text=True)  # noqa: S603  # ours
    assert (done.stdout, done.stderr) == ("hi\n\n", "")


def test_a_client_that_nothing_holds_any_more_closes_its_connections(client: jobgate.Client) -> None:
    mine = jobgate.Client()
    mine.account()
    http = mine._core.line._http  # noqa: SLF001  # only the connections tell
    del mine
    gc.collect()
    assert http.is_closed
    assert client.account()
