"""Environments of a higher rank are filled first."""

from __future__ import annotations

from pathlib import Path

import httpx
from gateways import Gateway

CONFIG = """
[environments.annex]
slots = 1
[environments.main]
slots = 1
rank = 5
"""


def test_a_job_that_two_environments_could_run_goes_to_the_one_of_higher_rank_while_that_has_room(
    tmp_path: Path,
) -> None:
    for above in (tmp_path, *list(tmp_path.parents)[:3]):
        above.chmod(0o711 | (above.stat().st_mode & 0o7777))
    gateway = Gateway(tmp_path / "data", CONFIG)
    gateway.start()
    try:
        gateway.run("account", "create", "lab")
        key = gateway.run("credential", "add", "lab")["value"]
        with httpx.Client(base_url=gateway.url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as http:
            ran = []
            for _ in range(6):
                job = http.post("/v1/jobs", json={"command": ["true"]}).raise_for_status().json()["id"]
                ran.append(http.get(f"/v1/jobs/{job}?wait=50").raise_for_status().json()["environment"])
            assert ran == ["main"] * 6
            held = http.post("/v1/jobs", json={"command": ["sleep", "60"], "environment": "main"}).json()["id"]
            job = http.post("/v1/jobs", json={"command": ["true"]}).json()["id"]
            assert http.get(f"/v1/jobs/{job}?wait=50").json()["environment"] == "annex"
            http.post(f"/v1/jobs/{held}/cancel").raise_for_status()
    finally:
        gateway.end()
