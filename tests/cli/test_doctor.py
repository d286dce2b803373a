from __future__ import annotations

import json
from pathlib import Path

import pytest
from typed import Type

from jobgate.cli import doctor
from jobgate.config import load
from jobgate.engines.local import sandbox
from jobgate.engines.local.limits import Limits


def found() -> dict[str, doctor.Finding]:
    return {one.name: one for one in doctor.findings(load(None, {}), None)}


def test_a_machine_without_bubblewrap_still_runs_for_one_user_and_is_told_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sandbox, "find", lambda _: None)
    local = found()["local"]
    assert (local.state, local.runs, local.cure) == ("partly", True, "apt install bubblewrap")
    assert "loopback only" in local.text


def test_without_slirp4netns_outbound_is_off_and_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "fault", lambda *_: "")
    monkeypatch.setattr(sandbox, "outbound", lambda: None)
    network = found()["network"]
    assert network.state == "partly"
    assert network.cure in ("apt install slirp4netns", "modprobe tun")


def test_engines_that_are_not_built_are_not_offered() -> None:
    every = found()
    assert {every[name].state for name in ("container", "slurm")} == {"not offered"}
    assert not every["container"].runs


def test_a_sandbox_that_is_asked_for_and_cannot_be_had_ends_1(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, type_: Type
) -> None:
    monkeypatch.setattr(sandbox, "fault", lambda *_: "no new namespaces here")
    monkeypatch.setattr(sandbox, "find", lambda _: "/bin/true")
    config = tmp_path / "jobgate.toml"
    config.write_text(f'[server]\ndata = "{tmp_path}"\n[environments.box]\nsandbox = "bubblewrap"\n')
    seen = type_("doctor", "--config", str(config))
    assert seen.code == 1
    assert "no new namespaces here" in seen.out
    assert seen.out.splitlines()[-1] == "No environment works here."
    assert not list(tmp_path.glob(".doctor*"))


def test_json_names_what_is_ready(type_: Type) -> None:
    seen = type_("doctor", "--json")
    told = json.loads(seen.out)
    assert (seen.code == 0) == bool(told["ready"])
    assert {"local", "network", "container", "slurm", "disk"} <= {item["name"] for item in told["items"]}


def test_a_synced_commit_is_timed(tmp_path: Path) -> None:
    assert doctor.commit_time(tmp_path) > 0


def test_a_group_made_to_find_out_is_taken_away_again(tmp_path: Path) -> None:
    limits = Limits("jobgate-doctor-test", tmp_path)
    for controller in ("memory", "pids", "cpu"):
        (tmp_path / controller / "jobgate-doctor-test" / "slot-0").mkdir(parents=True, exist_ok=True)
        (tmp_path / controller / "jobgate-doctor-test" / "slot-0" / "cgroup.procs").unlink(missing_ok=True)
    limits.remove()
    assert not list(tmp_path.glob("*/jobgate-doctor-test"))
