"""The host's own network is for environments that the operator named so, and for jobs there that ask for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from gateways import CONFIG, Gateway
from local_rig import Open
from msgspec.structs import replace

from jobgate.engines.local.sandbox import Box, command_line
from jobgate.model.environment import ComputeEnvironment, refusal
from jobgate.model.ids import AccountId, EnvironmentName
from jobgate.model.job import Argv, JobSpec, Step
from jobgate.model.resources import Network, Resources
from jobgate.testing.engine_site import SMALL


@pytest.mark.parametrize("network", list(Network))
def test_the_sandbox_shares_the_network_for_that_word_alone(network: Network, tmp_path: Path) -> None:
    box = Box(workspace=tmp_path, home="/local", workdir="", network=network, etc=tmp_path)
    words = command_line("bwrap", box, {}, ["true"])
    assert ("--share-net" in words) == (network is Network.HOST)
    assert ("/etc/resolv.conf" in words) == (network is Network.HOST)
    assert "--unshare-all" in words


@pytest.mark.parametrize("network", list(Network))
def test_an_environment_takes_no_job_that_asks_for_a_network_it_was_not_given(network: Network) -> None:
    job = JobSpec(steps=(Step(command=Argv(("true",))),), resources=Resources(network=network))
    room = Resources(cores=1, memory=1 << 40, disk=1 << 40)
    place = ComputeEnvironment(name=EnvironmentName("a"), engine="local", slots=1, room=room)
    given = replace(place, networks=frozenset({network}))
    assert refusal(given, job, AccountId(1)) is None
    others = replace(place, networks=frozenset(Network) - {network})
    assert refusal(others, job, AccountId(1)) == f"it offers no network {network.value}"


def test_a_job_on_the_hosts_network_reaches_the_host_and_one_without_does_not(rig: Open) -> None:
    look = "readlink /proc/self/ns/net; wc -l < /proc/net/dev"

    async def body() -> None:
        async with rig("bubblewrap") as box:
            seen, log = await box.run(look, replace(SMALL, network=Network.HOST))
            assert (seen.exit.code if seen.exit else None) == 0, log
            assert log.splitlines()[0] == str(Path("/proc/self/ns/net").readlink())
            _, log = await box.run(look)
            assert log.splitlines()[0] != str(Path("/proc/self/ns/net").readlink())

    asyncio.run(body())


def test_a_server_offers_the_hosts_network_where_it_is_named_and_warns_at_its_start(tmp_path: Path) -> None:
    for above in (tmp_path, *list(tmp_path.parents)[:3]):
        above.chmod(0o711 | (above.stat().st_mode & 0o7777))
    body = {"command": ["readlink", "/proc/self/ns/net"], "network": "host"}
    for config, status in ((CONFIG, 422), (CONFIG.replace("slots = 2", 'slots = 2\nnetwork = "host"'), 201)):
        gateway = Gateway(tmp_path / f"data-{status}", config)
        gateway.start()
        try:
            gateway.run("account", "create", "lab")
            key = gateway.run("credential", "add", "lab")["value"]
            headers = {"authorization": f"Bearer {key}"}
            made = httpx.post(f"{gateway.url}/v1/jobs", json=body, headers=headers)
            assert made.status_code == status, made.text
            assert ("the host's own network" in gateway.log.read_text()) == (status == 201)
            if status == 201:
                job = httpx.get(f"{gateway.url}{made.headers['location']}?wait=30", headers=headers, timeout=60).json()
                assert job["state"] == "succeeded"
        finally:
            gateway.end()
