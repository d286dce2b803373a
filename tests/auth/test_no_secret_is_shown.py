"""What is secret is in no log, no error, no `repr`, no answer and no stored document; planted words are looked for."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx
import msgspec
import pytest
from gateways import Gateway

from jobgate.auth.links import Links
from jobgate.auth.seal import Seal
from jobgate.dialects import DIALECTS, load
from jobgate.dialects.dialect import Call, Setup
from jobgate.model.account import Kind, Principal, Proof
from jobgate.model.catalogue import App, Catalogue, Image
from jobgate.model.errors import RequestError
from jobgate.model.ids import AccountId
from jobgate.model.operations import Request, Submit
from jobgate.model.template import InputSlot, Template

WORD = "hush7f3a91"
"""Planted wherever a secret may stand."""
TEMPLATED = App(name="templated", command=("true",), template=Template(inputs=(InputSlot(path="a"),)))
CATALOGUE = Catalogue({"host": App(name="host"), "templated": TEMPLATED}, {"host": Image(name="host")})
CHARITY = {
    "authenticator": WORD * 3,
    "app": "host",
    "commandLine": "true",
    "inputFiles": [{"filename": "a", "url": f"https://user:{WORD}@example.org/a"}],
}
NATIVE = {"command": ["true"], "inputs": [{"path": "a", "url": f"https://user:{WORD}@example.org/a"}]}


def submit(dialect: str, verb: str, body: object) -> Submit:
    spoken = load(dialect, Setup(prefix="", catalogue=CATALOGUE))
    headers = {"authorization": f"Bearer {WORD}", "content-type": "application/json"}
    call = Call(verb=verb, method="POST", headers=headers, now=1.0, body=msgspec.json.encode(body))
    assert WORD not in f"{call!r} {call} {spoken.credential(call)!r}"
    operation = spoken.decode(call).operation
    assert isinstance(operation, Submit)
    return operation


@pytest.mark.parametrize(
    ("dialect", "verb", "body"), [("charity_engine", "job-create", CHARITY), ("native", "job-submit", NATIVE)]
)
def test_what_is_stored_of_a_request_holds_no_secret_of_it(dialect: str, verb: str, body: object) -> None:
    made = submit(dialect, verb, body)
    assert made.secrets
    assert WORD.encode() not in made.origin.document
    for group in made.groups:
        assert WORD.encode() not in msgspec.msgpack.encode(group.spec)
        assert WORD not in repr(group.spec)
    asked = Request(operation=made, principal=Principal(account=AccountId(1), name="a"))
    assert WORD not in f"{asked!r} {asked} {made!r} {made}"


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "url", [f"https://u:{WORD}@h:x/", f"ftp://u:{WORD}@h/", f"https://u:{WORD}@/", f"https://{WORD}:p%3Aq:r@h\\"]
)
def test_a_refusal_does_not_quote_an_address(dialect: str, url: str) -> None:
    charity: dict[str, object] = {**CHARITY, "inputFiles": [{"filename": "a", "url": url}]}
    native: dict[str, object] = {**NATIVE, "inputs": [{"path": "a", "url": url}]}
    file = f"<mode>remote</mode><url>{url}</url><nbytes>1</nbytes><md5>{'0' * 32}</md5>"
    job = f"<job><input_file>{file}</input_file></job>"
    boinc = f"<submit_batch><batch><app_name>templated</app_name>{job}</batch></submit_batch>"
    body = charity if dialect == "charity_engine" else native
    spoken = load(dialect, Setup(prefix="", catalogue=CATALOGUE))
    verb = {"charity_engine": "job-create", "boinc": "submit_rpc_handler"}.get(dialect, "job-submit")
    fields = {"request": boinc.encode()}
    call = Call(verb=verb, method="POST", headers={}, now=1.0, body=msgspec.json.encode(body), fields=fields)
    with pytest.raises(RequestError) as caught:
        spoken.decode(call)
    shown = spoken.refuse(call, caught.value).body
    assert isinstance(shown, bytes)
    assert WORD not in f"{caught.value!r} {caught.value} {shown.decode()}"


@pytest.mark.parametrize(
    "thing",
    [
        Proof(Kind.API_KEY, WORD),
        Seal(WORD.ljust(32).encode()),
        Links(WORD.encode(), float),
        Setup(prefix="", settings={"k": WORD}),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_the_repr_of_what_holds_a_secret_does_not(thing: object) -> None:
    assert WORD not in f"{thing!r} {thing}"


def test_no_file_of_a_server_holds_an_authenticator_an_addresss_password_or_its_key(gateway: Gateway) -> None:
    lab = gateway.account("lab")
    gateway.run("account", "create", "op")
    operator = gateway.run("credential", "add", "op", "--scope", "operate")["value"]
    url = f"http://user:{WORD}@127.0.0.1:9/a?x=1"
    ids = gateway.create(lab, "env; cat input/a", inputFiles=[{"filename": "a", "url": url}])
    (job,) = gateway.ended(lab, ids)
    wrong = gateway.post(WORD * 4, "job-list")
    lost = httpx.get(f"{gateway.url}/remotejobs/v2/files/{ids[0]}/a?exp=1&sig={WORD}")
    numbers = httpx.get(f"{gateway.url}/metrics", headers={"authorization": f"Bearer {operator}"})
    assert (job["status"], wrong.status_code, lost.status_code, numbers.status_code) == ("failed", 401, 401, 200)
    for answer in (str(job), wrong.text, lost.text, numbers.text):
        assert WORD not in answer
        assert lab not in answer
    assert gateway.stop() == 0
    key = (gateway.data / "secret.key").read_bytes()
    hidden = [WORD.encode(), lab.encode(), operator.encode(), key.hex().encode(), hashlib.sha256(key).digest()]
    looked = [path for path in [gateway.log, *gateway.data.rglob("*")] if path.is_file()]
    assert {"jobgate.sqlite", "secret.key"} <= {path.name for path in looked}
    assert [(path.name, word) for path in looked for word in hidden if word in path.read_bytes()] == []
    assert [path.name for path in looked if key in path.read_bytes()] == ["secret.key"]


def test_a_jobs_own_environment_holds_no_key_of_the_servers(gateway: Gateway, tmp_path: Path) -> None:
    lab = gateway.account("lab")
    (job,) = gateway.create(
        lab, "env > output/env; tr '\\0' '\\n' < /proc/1/environ >> output/env; cat /proc/1/cmdline"
    )
    gateway.ended(lab, [job])
    (file,) = gateway.ask(lab, "job-result", jobId=job)["outputFiles"]
    text = httpx.get(f"{gateway.url}{file['url']}", headers={"authorization": f"Bearer {lab}"}).text
    assert "PATH=" in text
    assert lab not in text
    assert str(gateway.data / "secret.key") not in text
