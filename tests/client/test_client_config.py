"""Where the client finds its server and key, and which files it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

import jobgate
from jobgate.client.config import SERVER, find


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}


def written(path: Path, content: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    path.chmod(mode)
    return path


def test_the_call_speaks_before_the_environment_and_that_before_the_file(
    environ: dict[str, str], tmp_path: Path
) -> None:
    assert find(environ=environ) == find(SERVER, "", environ)
    written(tmp_path / "jobgate/config.toml", 'server = "https://file"\nkey = "file"\n')
    assert (find(environ=environ).server, find(environ=environ).key) == ("https://file", "file")
    environ |= {"JOBGATE_SERVER": "https://environ/", "JOBGATE_KEY": "environ"}
    assert (find(environ=environ).server, find(environ=environ).key) == ("https://environ", "environ")
    assert find("host:8080", "call", environ).server == "http://host:8080"
    assert find("host:8080", "call", environ).key == "call"


def test_a_key_may_lie_in_a_file_of_its_own(environ: dict[str, str], tmp_path: Path) -> None:
    key = written(tmp_path / "key", "secret\n")
    assert find(environ=environ | {"JOBGATE_KEY_FILE": str(key)}).key == "secret"
    written(tmp_path / "jobgate/config.toml", f'key_file = "{key}"\n')
    assert find(environ=environ).key == "secret"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o610])
def test_a_file_with_a_secret_that_others_can_read_is_refused(
    environ: dict[str, str], tmp_path: Path, mode: int
) -> None:
    key = written(tmp_path / "key", "secret", mode)
    with pytest.raises(jobgate.NotConfigured) as caught:
        find(environ=environ | {"JOBGATE_KEY_FILE": str(key)})
    assert str(caught.value).splitlines()[-1] == f"  next  chmod 600 {key}"
    written(tmp_path / "jobgate/config.toml", 'key = "secret"', mode)
    with pytest.raises(jobgate.NotConfigured, match="others can read"):
        find(environ=environ)


def test_a_file_that_is_missing_or_no_toml_is_an_error_with_its_path(environ: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(jobgate.NotConfigured, match="nowhere: No such file"):
        find(environ=environ | {"JOBGATE_KEY_FILE": str(tmp_path / "nowhere")})
    written(tmp_path / "jobgate/config.toml", "server =")
    with pytest.raises(jobgate.NotConfigured, match=r"config\.toml"):
        find(environ=environ)
