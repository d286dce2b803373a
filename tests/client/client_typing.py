"""How people use the client, as the type checker sees it; test_client_samples.py runs it too."""

from __future__ import annotations

from typing import assert_type

import jobgate


def synchronous(client: jobgate.Client) -> list[str]:
    """Ordinary use."""
    job = client.submit(["echo", "one"], memory="64MiB", env={"A": "b"}, name="typed")
    assert_type(job, jobgate.Job)
    assert_type(job.wait(60), jobgate.Job)
    result = job.result(timeout=60)
    assert_type(result, jobgate.Result[jobgate.Job, jobgate.File])
    assert_type(result.stdout, str)
    batch = client.sweep(["echo", "{n}"], {"n": range(2)})
    assert_type(batch, jobgate.Batch)
    assert_type(batch.wait(60), jobgate.Batch)
    for ended in client.as_completed(batch):
        assert_type(ended, jobgate.Job)
    for mixed in client.wait([job, batch]):
        assert_type(mixed, jobgate.Job | jobgate.Batch)
    lines = [out.stdout for out in client.map(["echo", "{r}"], r=range(2))]
    for out in client.map(["echo", "{r}"], r=range(2), return_exceptions=True):
        assert_type(out, jobgate.Result[jobgate.Job, jobgate.File] | Exception)
    return [result.stdout, *lines]


async def asynchronous(client: jobgate.AsyncClient) -> list[str]:
    """The same names, awaited."""
    job = await client.submit(["echo", "one"], memory="64MiB", env={"A": "b"}, name="typed")
    assert_type(job, jobgate.AsyncJob)
    result = await job.result(timeout=60)
    assert_type(result, jobgate.Result[jobgate.AsyncJob, jobgate.AsyncFile])
    batch = await client.sweep(["echo", "{n}"], {"n": range(2)})
    assert_type(await batch.wait(60), jobgate.AsyncBatch)
    async for ended in client.as_completed(batch):
        assert_type(ended, jobgate.AsyncJob)
    lines = [out.stdout async for out in client.map(["echo", "{r}"], r=range(2))]
    return [result.stdout, *lines]
