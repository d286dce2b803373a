"""Waiting: for all, for each as it ends, for results in order; and what happens when the connection does not hold."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import httpx
import pytest
from client_fake import FakeGateway

import jobgate
from jobgate.client import line as lines


@pytest.fixture
def fake() -> FakeGateway:
    return FakeGateway(at_once=False)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def client(fake: FakeGateway, told: list[str]) -> Iterator[jobgate.Client]:
    with jobgate.Client("http://fake", "key", transport=fake.transport, say=told.append) as made:
        yield made


def test_jobs_come_in_the_order_in_which_they_end_those_first_that_are_over(
    fake: FakeGateway, client: jobgate.Client
) -> None:
    batch = client.sweep(["run", "{n}"], 4)
    fake.say(lambda: fake.end(f"{batch.id}-3"))
    seen = []
    ends = iter([f"{batch.id}-4", f"{batch.id}-1", f"{batch.id}-2", ""])
    for job in client.as_completed(batch):
        seen.append(job.number)
        assert job.succeeded
        if following := next(ends):
            fake.say(lambda: fake.end(following))  # done before the loop goes on
    assert seen == [3, 4, 1, 2]


def test_an_end_between_two_connections_is_not_missed_and_none_is_told_twice(
    fake: FakeGateway, client: jobgate.Client
) -> None:
    batch = client.sweep(["run"], 20)
    fake.breaks = [0, 3, 1, 2, 5]
    fake.say(lambda: [fake.end(f"{batch.id}-{number}") for number in range(1, 6)])
    seen: list[int] = []
    for job in client.as_completed(batch):
        seen.append(job.number)
        if len(seen) == 3:
            fake.say(lambda: [fake.end(f"{batch.id}-{number}") for number in range(6, 21)])
    assert sorted(seen) == list(range(1, 21))


def test_jobs_of_several_batches_and_lone_jobs_may_be_waited_for_together(
    fake: FakeGateway, client: jobgate.Client
) -> None:
    batch = client.sweep(["run"], 2)
    lone, other = client.submit(["run"]), client.submit(["run"])
    fake.say(lambda: [fake.end(id_) for id_ in (lone.id, f"{batch.id}-2", f"{batch.id}-1")])
    found = [job.id for job in client.as_completed([batch, lone])]
    assert sorted(found) == sorted([lone.id, f"{batch.id}-1", f"{batch.id}-2"])
    assert other.refresh().state == "queued"
    assert [one.id for one in client.wait([lone, batch])] == [lone.id, batch.id]
    assert list(client.as_completed([])) == []


def test_many_finished_jobs_are_waited_for_in_one_call(fake: FakeGateway, client: jobgate.Client) -> None:
    batch = client.sweep(["run"], 50)
    jobs = list(batch.jobs())
    fake.say(lambda: [fake.end(job.id) for job in jobs])
    before = len(fake.requests)
    assert all(isinstance(job, jobgate.Job) and job.succeeded for job in client.wait(jobs))
    assert len(fake.requests) - before == 1


def test_progress_off_a_terminal_is_lines_at_the_start_the_first_failure_each_tenth_and_the_end(
    fake: FakeGateway, client: jobgate.Client, told: list[str]
) -> None:
    batch = client.sweep(["run"], 100, name="fit")
    for number in range(1, 5):
        fake.say(lambda: fake.end(f"{batch.id}-{number}"))  # noqa: B023  # done before the loop goes on
    for number, _ in enumerate(client.as_completed(batch, progress=True), 1):
        if (following := number + 4) <= 100:
            state = "failed" if following == 7 else "succeeded"
            fake.say(lambda: fake.end(f"{batch.id}-{following}", state))  # noqa: B023  # as above
    assert told[0].startswith("fit ")
    assert "0/100" in told[0]
    assert "100/100" in told[-1]
    assert sum("✗ 1" in line for line in told[:3]) >= 1
    assert len(told) <= 14
    assert batch.wait(progress=True).failed


def test_a_deleted_job_is_not_waited_for(fake: FakeGateway, client: jobgate.Client) -> None:
    batch = client.sweep(["run"], 2)

    def gone() -> None:
        fake._happen("job.deleted", f"{batch.id}-1")  # noqa: SLF001  # its server's own deletion
        del fake.jobs[f"{batch.id}-1"]
        fake.end(f"{batch.id}-2")

    timer = threading.Thread(target=lambda: fake.asked.wait() and fake.say(gone))
    fake.asked.clear()
    timer.start()
    assert [job.number for job in client.as_completed(batch)] == [2]
    timer.join()


def test_a_job_that_ended_and_was_deleted_before_it_was_looked_at_is_not_waited_for(
    fake: FakeGateway, client: jobgate.Client
) -> None:
    one, other = client.sweep(["run"], 2), client.sweep(["run"], 1)

    def gone() -> None:
        fake.end(f"{one.id}-1", "cancelled")
        del fake.jobs[f"{one.id}-1"]
        fake.end(f"{one.id}-2")
        fake.end(f"{other.id}-1")

    timer = threading.Thread(target=lambda: fake.asked.wait() and fake.say(gone))
    fake.asked.clear()
    timer.start()
    assert sorted(job.id for job in client.as_completed([one, other])) == sorted([f"{one.id}-2", f"{other.id}-1"])
    timer.join()


def test_results_of_a_map_come_in_the_order_of_the_columns_whatever_ended_first(
    fake: FakeGateway, client: jobgate.Client
) -> None:
    found = client.map(["run", "{a}", "{b}"], a=range(5), b="vwxyz")

    def ends() -> None:
        for job in sorted(fake.jobs, reverse=True):
            fake.write(job, fake.jobs[job]["command"][2].encode())
            fake.end(job)

    waiter = threading.Thread(target=lambda: fake.asked.wait() and fake.say(ends))
    fake.asked.clear()
    waiter.start()
    assert "".join(out.stdout for out in found) == "vwxyz"
    waiter.join()


def test_a_failed_job_of_a_map_is_raised_or_handed_out_in_its_place(fake: FakeGateway, client: jobgate.Client) -> None:
    fake.at_once = True
    found = list(client.map(["{word}"], word=["echo", "false", "echo"], return_exceptions=True))
    assert [type(out) for out in found] == [jobgate.Result, jobgate.ProgramFailed, jobgate.Result]
    with pytest.raises(jobgate.JobFailed):
        list(client.map(["{word}"], word=["echo", "false", "echo"]))
    unordered = client.map(["echo", "{n}"], n=range(40), ordered=False)
    assert sorted(int(out.stdout) for out in unordered) == list(range(40))


def test_columns_of_different_lengths_map_nothing(client: jobgate.Client, fake: FakeGateway) -> None:
    with pytest.raises(jobgate.Invalid, match="a has 2, b has 3"):
        list(client.map(["run"], a=[1, 2], b=[1, 2, 3]))
    assert not fake.requests


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        ("program", jobgate.ProgramFailed),
        ("input", jobgate.InputFailed),
        ("output", jobgate.OutputFailed),
        ("image", jobgate.ImageFailed),
        ("limit", jobgate.LimitReached),
        ("engine", jobgate.EngineFailed),
        ("lost", jobgate.JobLost),
        ("preempted", jobgate.Preempted),
        ("undecided", jobgate.Undecided),
        ("a word of next year", jobgate.JobFailed),
    ],
)
def test_each_failure_word_has_its_class_and_the_last_lines_of_the_log(
    fake: FakeGateway, client: jobgate.Client, failure: str, kind: type[jobgate.JobFailed]
) -> None:
    job = client.submit(["run"])
    fake.say(lambda: fake.write(job.id, b"".join(b"line %d\n" % n for n in range(20))))
    fake.say(lambda: fake.end(job.id, "failed", failure=failure, exit_code=3))
    with pytest.raises(kind) as caught:
        job.result()
    assert type(caught.value) is kind
    assert caught.value.last_lines == tuple(f"line {n}" for n in range(15, 20))
    assert (caught.value.job, caught.value.failure, caught.value.exit_code) == (job.id, failure, 3)


def test_a_cancelled_job_has_no_result_and_has_not_failed(client: jobgate.Client) -> None:
    job = client.submit(["run"]).cancel()
    assert (job.cancelled, job.failed, job.over) == (True, False, True)
    with pytest.raises(jobgate.Cancelled):
        job.result()


def test_leaving_a_loop_early_leaves_the_work_to_the_server(fake: FakeGateway, client: jobgate.Client) -> None:
    batch = client.sweep(["run"], 3)
    fake.say(lambda: fake.end(f"{batch.id}-1"))
    for _ in client.as_completed(batch):
        break
    assert not [request for request in fake.requests if "cancel" in request.url.path]
    assert {job["state"] for job in fake.jobs.values()} == {"succeeded", "queued"}


def test_a_cancelled_task_of_asyncio_cancels_only_its_waiting(fake: FakeGateway) -> None:
    async def main() -> str:
        async with jobgate.AsyncClient("http://fake", "key", transport=fake.transport) as client:
            job = await client.submit(["run"])
            task = asyncio.create_task(job.wait())
            fake.asked.clear()
            assert await asyncio.to_thread(fake.asked.wait, 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            fake.end(job.id)
            return (await job.wait()).state

    assert asyncio.run(main()) == "succeeded"


@pytest.mark.parametrize("progress", [True, False])
def test_every_wait_ends_when_its_time_is_over_though_nothing_comes(client: jobgate.Client, progress: bool) -> None:
    batch = client.sweep(["run"], 2)
    for waits in (
        lambda: batch.wait(0.05, progress=progress),
        lambda: list(client.as_completed(batch, 0.05, progress=progress)),
        lambda: client.wait(list(batch.jobs()), 0.05, progress=progress),
    ):
        with pytest.raises(jobgate.TimedOut):
            waits()


def test_a_server_that_has_gone_silent_holds_no_wait_beyond_its_time() -> None:
    """The request's own time-outs are those of the wait; a stand-in that never answers would hide that."""
    seen: list[float] = []

    def server(request: httpx.Request) -> httpx.Response:
        seen.append(request.extensions["timeout"]["read"])
        return httpx.Response(200, json={"id": "b-1", "state": "queued"})

    with jobgate.Client("http://fake", "key", transport=httpx.MockTransport(server)) as client:
        job = client.job("b-1")
        with pytest.raises(jobgate.TimedOut):
            job.wait(timeout=0)
    assert seen[0] == lines.QUIET
    assert seen[1] == lines.GRACE
