"""A server that cannot start says so in three lines, and touches nothing."""

from __future__ import annotations

import socket
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from gateways import JOBGATE, Gateway

from jobgate.app import data_folder
from jobgate.config import load
from jobgate.model.errors import Unavailable


def refused(*words: str) -> list[str]:
    line = [str(JOBGATE), "serve", "--port", "0", *words]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603  # our own
    assert done.returncode == 1
    assert done.stdout == ""
    lines = [text for text in done.stderr.splitlines() if not text.startswith("{")]
    assert [text[:8] for text in lines][1:] == ["  why   ", "  next  "], done.stderr
    assert lines[0] == "✗ The server did not start."
    return [text[8:] for text in lines[1:]]


def test_a_port_that_is_taken_is_named_and_no_data_folder_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        why, next_ = refused("--data", str(tmp_path / "d"), "--port", str(port))
    assert why == f"nothing can listen on 127.0.0.1 port {port}: Address already in use"
    assert "--port" in next_
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_that_is_not_ours_is_named(host: str, tmp_path: Path) -> None:
    why, _ = refused("--data", str(tmp_path / "d"), "--host", host)
    assert why.startswith(f"nothing can listen on {host} port 0: ")


def test_a_certificate_without_a_key_is_refused(tmp_path: Path) -> None:
    why, next_ = refused("--data", str(tmp_path / "d"), "--tls-cert", "c.pem")
    assert why == "the key is missing: TLS needs a certificate and its key"
    assert "--tls-key" in next_


def test_tls_files_that_are_none_are_named(tmp_path: Path) -> None:
    cert, key = tmp_path / "c.pem", tmp_path / "k.pem"
    key.write_text("no key")
    words = ("--data", str(tmp_path / "d"), "--tls-cert", str(cert), "--tls-key", str(key))
    assert refused(*words)[0] == f"{cert} cannot be read: No such file or directory"
    cert.write_text("no certificate")
    why, _ = refused(*words)
    assert why.startswith(f"{cert} and {key} do not make a pair that TLS can use")


def test_a_key_locked_by_a_passphrase_is_refused_and_nobody_is_asked_at_the_terminal(tmp_path: Path) -> None:
    made = ed25519.Ed25519PrivateKey.generate()
    locked = serialization.BestAvailableEncryption(b"word")
    form = serialization.PrivateFormat.PKCS8
    (tmp_path / "k.pem").write_bytes(made.private_bytes(serialization.Encoding.PEM, form, locked))
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a")])
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    cert = x509.CertificateBuilder(name, name, made.public_key(), 1, begin, begin + timedelta(days=20_000)).sign(
        made, None
    )
    (tmp_path / "c.pem").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    why, _ = refused(
        "--data", str(tmp_path / "d"), "--tls-cert", str(tmp_path / "c.pem"), "--tls-key", str(tmp_path / "k.pem")
    )
    assert "do not make a pair" in why


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")  # root, who runs the tests, may write everywhere

    for name in ("mkdir", "chmod"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, name, forbidden)
            with pytest.raises(Unavailable, match=f"the data folder {tmp_path}/d cannot be used: Permission denied"):
                data_folder(load(None, {"data": str(tmp_path / "d")}))


def test_a_data_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "d").write_text("")
    assert refused("--data", str(tmp_path / "d"))[0] == f"the data folder {tmp_path}/d cannot be used: File exists"


@pytest.mark.parametrize("role", ["server", "runner"])
def test_half_a_gateway_is_refused_on_sqlite_by_word_and_by_file(role: str, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text(f"[server]\nrole = '{role}'\n")
    for words in (("--role", role), ("--config", str(config))):
        why, next_ = refused("--data", str(tmp_path / "d"), *words)
        assert f"role {role}" in why
        assert "PostgreSQL" in why
        assert next_ == "leave --role away: one process does both"
    assert not (tmp_path / "d").exists()


def test_a_wrong_configuration_is_told_line_by_line(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text("[server]\nprot = 1\n")
    why, next_ = refused("--data", str(tmp_path / "d"), "--config", str(config))
    assert why == f"{config}:2: server.prot: there is no such key; did you mean port?"
    assert next_.startswith("jobgate config check")


@pytest.mark.parametrize(
    ("section", "why"),
    [
        ("[environments.gpu]\nowner = 'bob'\n", "environments.gpu.owner: there is no account 'bob'"),
        ("[storage]\nurl = 's3://b'\n", "storage.url: files are kept in the data folder"),
        ("[egress]\nca_file = '/no/such.pem'\n", "egress.ca_file: /no/such.pem cannot be used: No such file"),
        ("[dialects.native]\nbody = 'x'\n", "dialects.native: "),
        ("[dialects.boinc2]\n", "there is no dialect 'boinc2'"),
    ],
)
def test_what_only_the_start_can_know_is_told_with_its_place(section: str, why: str, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text(section)
    assert refused("--data", str(tmp_path / "d"), "--config", str(config))[0].startswith(why)


def test_a_damaged_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "secret.key").write_bytes(b"short")
    (tmp_path / "d" / "secret.key").chmod(0o600)
    assert "is damaged: it has 5 bytes" in refused("--data", str(tmp_path / "d"))[0]


def test_a_second_server_of_a_data_folder_is_refused_and_the_first_goes_on(gateway: Gateway) -> None:
    key = gateway.account("lab")
    assert gateway.process is not None
    why, next_ = refused("--data", str(gateway.data), "--config", str(gateway.config))
    assert why.startswith(
        f"the data folder {gateway.data} is in use by another jobgate (process {gateway.process.pid})"
    )
    assert next_ == "stop that one first, or give another --data"
    (job,) = gateway.ended(key, gateway.create(key, "true"))
    assert job["status"] == "completed"


def test_a_key_is_not_rotated_under_a_running_server(gateway: Gateway) -> None:
    words = [str(JOBGATE), "key", "rotate", "--data", str(gateway.data)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603  # our own
    assert (done.returncode, done.stdout) == (1, "")
    assert "is in use by another jobgate" in done.stderr
    assert gateway.stop() == 0
    assert gateway.run("key", "rotate") == {"secrets": 0}
    gateway.start()


def test_a_killed_server_leaves_no_lock_behind(gateway: Gateway) -> None:
    gateway.kill()
    gateway.start()


def test_an_environment_of_an_account_that_was_merged_is_its_heirs_from_the_next_start(gateway: Gateway) -> None:
    gateway.account("lab")
    other, third = gateway.account("other"), gateway.account("third")
    gateway.run("account", "merge", "lab", "other")
    assert gateway.stop() == 0
    gateway.config.write_text(gateway.config.read_text().replace("slots = 2", 'slots = 2\nowner = "lab"'))
    gateway.start()
    (job,) = gateway.ended(other, gateway.create(other, "true"))
    assert job["status"] == "completed"
    body = {"app": "host", "commandLine": "true", "specs": {"vcpus": 1, "ram": 256, "disk": 64}}
    assert gateway.post(third, "job-create", **body).status_code >= 400


def test_a_key_that_is_not_the_databases_is_told_of_at_the_start(gateway: Gateway) -> None:
    assert gateway.stop() == 0
    old = (gateway.data / "secret.key").read_bytes()
    gateway.run("key", "rotate")
    (gateway.data / "secret.key").write_bytes(old)
    gateway.start()
    assert "older secrets stay shut" in gateway.log.read_text()


@pytest.mark.parametrize(("form", "mark"), [("json", '{"'), ("text", "[warning")])
def test_the_log_has_the_form_it_was_told(form: str, mark: str, gateway: Gateway) -> None:
    assert gateway.stop() == 0
    gateway.log.write_text("")
    network = gateway.config.read_text().replace("slots = 2", 'slots = 2\nnetwork = "host"')
    gateway.config.write_text(f'[server]\nlog = "{form}"\n{network}')
    gateway.start()
    (line,) = [text for text in gateway.log.read_text().splitlines() if "isolates nothing" in text]
    assert mark in line
