"""job-create: sections 2, 5 and 7 of the contract, row by row."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from charity_engine_examples import CATALOGUE, DIGEST, FULL, KEY, call, setup
from hypothesis import given
from hypothesis import strategies as st

from jobgate.dialects import load
from jobgate.dialects.charity_engine.create import ARCHIVE
from jobgate.dialects.dialect import Call, Dialect
from jobgate.model.account import Kind, Proof
from jobgate.model.errors import Invalid, NotFound, RequestError, TooLarge, Unrunnable
from jobgate.model.files import Keep, OutputKind, Remote, UserFile
from jobgate.model.ids import FolderId
from jobgate.model.job import AppRef, Argv, ImageRef, JobSpec, Late
from jobgate.model.operations import Submit
from jobgate.model.resources import MIB, Network

MINIMAL: dict[str, Any] = {"app": "plain", "commandLine": "true"}

# The example of the founding text, as curl's -d sends it: line breaks gone, the page's no-break spaces kept.
SEED = """
{~ "authenticator":"c503d86bc4e82d9415cb5912a0986c80",
~ "app":"charityengine:wolframengine",
~ "commandLine":"math 2+2 > output/out.txt",
~ "specs": {
~ ~ "vcpus":2,
~ ~ "ram": 512,
~ ~ "disk": 512,
~ ~ "networkDownload": 0,
~ ~ "networkUpload": 0
~ },
~ "hours": 1,
~ "inputFiles": [
~ ~ {
~ ~ ~ "filename": "in.txt",
~ ~ ~ "url": "http://work.charityengine.com/rytis/mathtest.m"
~ ~ }
~ ]
}
""".replace("\n", "").replace("~", "\u00a0")


def engine(**settings: Any) -> Dialect:
    return load("charity_engine", setup(**settings))


def submit(body: dict[str, Any], dialect: Dialect | None = None) -> Submit:
    operation = (dialect or engine()).decode(call("job-create", body)).operation
    assert isinstance(operation, Submit)
    return operation


def spec(**changes: Any) -> JobSpec:
    return submit(MINIMAL | changes).groups[0].spec


def document(asked: Submit) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(asked.origin.document)
    return found


def refused(body: dict[str, Any], dialect: Dialect | None = None) -> tuple[str, str | None]:
    with pytest.raises(RequestError) as caught:
        submit(body, dialect)
    return caught.value.code, caught.value.field


# --- the founding text


@pytest.mark.parametrize("label", ["application/x-www-form-urlencoded", "application/json", "text/plain", ""])
@pytest.mark.parametrize("body", [SEED, SEED.replace("\u00a0", " "), "\ufeff" + SEED.replace("\u00a0", "\n")])
def test_the_founding_texts_own_request_is_accepted_whatever_its_label(body: str, label: str) -> None:
    dialect = engine()
    made = Call(verb="job-create", headers={"content-type": label}, body=body.encode())
    assert dialect.credential(made) == Proof(Kind.CHARITY_ENGINE, KEY)
    operation = dialect.decode(made).operation
    assert isinstance(operation, Submit)
    (group,) = operation.groups
    (step,) = group.spec.steps
    assert group.count == 1
    assert step.command == Argv(("sh", "-c", "math 2+2 > output/out.txt"))
    assert step.program == AppRef("charityengine:wolframengine")
    assert group.spec.inputs[0].path == "input/in.txt"
    assert group.spec.inputs[0].source == Remote(url="http://work.charityengine.com/rytis/mathtest.m")
    assert group.spec.resources.cores == 2
    assert group.spec.resources.memory == 512 * MIB
    assert group.spec.resources.disk == 512 * MIB
    assert group.spec.resources.walltime == 3600.0
    assert group.spec.charge == 2.0


def test_a_no_break_space_inside_a_string_stays() -> None:
    body = '{\u00a0"authenticator":"k","app":"plain","commandLine":"echo \\"a\u00a0b\\" \\\\"}'
    operation = engine().decode(Call(verb="job-create", body=body.encode())).operation
    assert isinstance(operation, Submit)
    assert operation.groups[0].spec.steps[0].command == Argv(("sh", "-c", 'echo "a\u00a0b" \\'))


def test_no_declared_traffic_does_not_cut_the_network_off() -> None:
    assert spec(specs={"networkDownload": 0, "networkUpload": 0}).resources.network is Network.OUTBOUND


def test_declared_traffic_is_kept_in_bytes() -> None:
    resources = spec(specs={"networkDownload": 3, "networkUpload": 4}).resources
    assert (resources.traffic_in, resources.traffic_out) == (3 * MIB, 4 * MIB)


def test_the_operator_may_give_jobs_no_network() -> None:
    assert submit(MINIMAL, engine(network="none")).groups[0].spec.resources.network is Network.NONE


# --- inside the job (section 7)


def test_a_relative_output_is_collected_after_every_end() -> None:
    made = spec()
    assert made.place.home == "/local"
    (output,) = made.outputs
    assert (output.path, output.kind, output.keep) == ("output", OutputKind.DIRECTORY, Keep.ALWAYS)
    assert made.steps[0].workdir == ""
    assert made.steps[0].stdout == made.steps[0].stderr == ""


def test_variables_of_the_api_are_there_and_cannot_be_overwritten() -> None:
    step = spec(environment={"A": "1", "CE_RAM_MB": "9", "CE_JOB_ID": "mine"}, specs={"ram": 300}).steps[0]
    assert step.env == {
        "A": "1",
        "CE_INPUT_DIR": "/local/input",
        "CE_OUTPUT_DIR": "/local/output",
        "CE_VCPUS": "2",
        "CE_RAM_MB": "300",
    }
    assert step.late_env == {"CE_JOB_ID": Late.JOB, "CE_BATCH_ID": Late.BATCH, "CE_COPY_INDEX": Late.INDEX}


# --- defaults


def test_defaults_of_a_request_that_says_only_what_to_run() -> None:
    asked = submit(MINIMAL)
    assert asked.groups[0].count == 1
    assert asked.guard is None
    assert asked.labels == {}
    assert asked.secrets == {}
    assert asked.groups[0].spec.resources.walltime == 8 * 3600
    assert document(asked) == {
        "app": "plain",
        "commandLine": "true",
        "specs": {"vcpus": 2, "ram": 2048, "disk": 4096, "networkDownload": 0, "networkUpload": 0},
        "hours": 8.0,
        "instanceType": "C.2x2",
        "useOwnDevices": False,
        "inputFiles": [],
        "cleanupFiles": True,
        "eulaAccepted": False,
        "encryptedInputFiles": False,
    }


def test_every_member_is_understood() -> None:
    asked = submit(FULL)
    assert asked.groups[0].count == 3
    assert asked.labels == {"tag": "demo"}
    assert asked.app == "docker:alpine:3.20"
    assert asked.groups[0].spec.place.own
    assert asked.groups[0].spec.resources.walltime == 1800
    kept = document(asked)
    assert kept["ignored"] == ["somethingNew"]
    assert kept["encryptedInputFiles"] is True
    assert "publicKey" not in kept
    assert "environment" not in kept
    assert "clientToken" not in kept


def test_the_last_of_two_equal_members_wins() -> None:
    body = b'{"authenticator":"k","app":"nope","app":"plain","commandLine":"true"}'
    operation = engine().decode(Call(verb="job-create", body=body)).operation
    assert isinstance(operation, Submit)
    assert operation.app == "plain"


# --- app (section 5.2)


def test_an_image_is_named_by_docker() -> None:
    assert spec(app="docker:busybox").steps[0].program == ImageRef("busybox")


def test_an_image_may_come_as_an_archive() -> None:
    made = submit(
        MINIMAL | {"app": "docker:me/it:1 https://example.org/i.tar"}, load("charity_engine", setup(pulls=True))
    )
    assert made.groups[0].spec.steps[0].program == ImageRef("me/it:1", archive="https://example.org/i.tar")


def test_a_password_in_an_archives_address_is_sealed_and_nowhere_else() -> None:
    app = "docker:me/it:1 https://ada:swordfish@example.org/i.tar"
    made = submit(MINIMAL | {"app": app}, load("charity_engine", setup(pulls=True)))
    program = made.groups[0].spec.steps[0].program
    assert program == ImageRef("me/it:1", archive="https://example.org/i.tar", secret=ARCHIVE)
    assert made.secrets == {ARCHIVE: "ada:swordfish"}
    assert made.groups[0].spec.secrets == {ARCHIVE}
    assert made.app == "docker:me/it:1 https://example.org/i.tar"
    assert b"swordfish" not in msgspec.msgpack.encode(msgspec.structs.replace(made, secrets={}))


def test_an_image_outside_the_map_never_falls_back_to_the_host() -> None:
    assert refused(MINIMAL | {"app": "docker:unknown"}) == ("app-not-runnable", "app")
    assert refused(MINIMAL | {"app": "docker:busybox https://example.org/i.tar"}) == ("app-not-runnable", "app")
    assert refused(MINIMAL | {"app": "imaged"}) == ("app-not-runnable", "app")


@pytest.mark.parametrize("app", ["nope", "charityengine:nope", "Docker:busybox"])
def test_an_unknown_app_is_not_found(app: str) -> None:
    with pytest.raises(NotFound) as caught:
        submit(MINIMAL | {"app": app})
    assert caught.value.code == "app-not-found"


@pytest.mark.parametrize(
    "app", ["", " ", "docker:", "docker:a b", "docker:a  https://example.org/x", "docker:-x", "docker:a ftp://h/x"]
)
def test_an_app_of_no_known_form_is_refused(app: str) -> None:
    assert refused(MINIMAL | {"app": app}) == ("invalid-field", "app")


def test_a_licence_has_to_be_accepted() -> None:
    body = MINIMAL | {"app": "charityengine:licensed"}
    assert refused(body) == ("eula-required", "eulaAccepted")
    accepted = submit(body | {"eulaAccepted": True})
    assert accepted.groups[0].spec.steps[0].program == AppRef("charityengine:licensed", licence_accepted=True)


# --- commandLine (section 5.3)


@pytest.mark.parametrize("line", ["", "  \t\n", "a\0b"])
def test_a_command_line_of_blanks_or_with_nul_is_refused(line: str) -> None:
    assert refused(MINIMAL | {"commandLine": line}) == ("invalid-field", "commandLine")


@given(line=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_a_command_line_reaches_the_shell_as_it_is(line: str) -> None:
    if line.strip():
        assert spec(commandLine=line).steps[0].command == Argv(("sh", "-c", line))


# --- specs (section 5.4)


@pytest.mark.parametrize(
    ("members", "kind", "filled"),
    [
        ({}, "C.2x2", (2, 2048, 4096)),
        ({"specs": {}}, "C.2x2", (2, 2048, 512)),
        ({"specs": {"vcpus": 1}}, "C.2x2", (1, 2048, 512)),
        ({"specs": {"ram": 2049}}, "C.2x4", (2, 2049, 512)),
        ({"specs": {"vcpus": 3}}, "C.4x4", (3, 2048, 512)),
        ({"instanceType": "C.4x4"}, "C.4x4", (4, 4096, 4096)),
        ({"instanceType": "C.2x4", "specs": {"vcpus": 1, "disk": 0}}, "C.2x4", (1, 4096, 0)),
    ],
)
def test_the_instance_type_and_the_specs_fill_each_other(
    members: dict[str, Any], kind: str, filled: tuple[int, int, int]
) -> None:
    kept = document(submit(MINIMAL | members))
    assert kept["instanceType"] == kind
    assert tuple(kept["specs"][name] for name in ("vcpus", "ram", "disk")) == filled


def test_specs_above_the_named_type_are_refused() -> None:
    body = MINIMAL | {"instanceType": "C.2x2", "specs": {"ram": 2049}}
    assert refused(body) == ("specs-exceed-instance-type", "specs.ram")


def test_specs_above_every_type_match_none() -> None:
    assert refused(MINIMAL | {"specs": {"vcpus": 5}}) == ("no-matching-instance", "specs")


def test_an_unknown_instance_type_is_refused() -> None:
    assert refused(MINIMAL | {"instanceType": "C.9x9"}) == ("invalid-field", "instanceType")


# --- inputFiles (section 5.5)


def test_an_input_by_hash_is_the_owners_upload() -> None:
    (made,) = spec(inputFiles=[{"filename": "d/x", "hash": DIGEST, "sha256": DIGEST}]).inputs
    assert made.path == "input/d/x"
    assert made.source == UserFile(FolderId(0), DIGEST)


def test_size_and_digest_of_an_address_are_checked_when_it_is_fetched() -> None:
    (made,) = spec(inputFiles=[{"filename": "x", "url": "https://e.org/x", "size": 3, "sha256": DIGEST}]).inputs
    assert made.source == Remote(url="https://e.org/x", size=3, digest=DIGEST)  # type: ignore[arg-type]  # a str is one


def test_credentials_of_an_address_are_cut_out_and_sealed() -> None:
    files = [
        {"filename": "a", "url": "https://us%3Fer:pa%40ss@example.org:8443/a?q=@"},
        {"filename": "b", "url": "https://example.org/b"},
    ]
    asked = submit(MINIMAL | {"inputFiles": files})
    made = asked.groups[0].spec
    assert made.inputs[0].source == Remote(url="https://example.org:8443/a?q=@", secret="input-0")  # noqa: S106  # its name
    assert made.inputs[1].source == Remote(url="https://example.org/b")
    assert asked.secrets == {"input-0": "us?er:pa@ss"}
    assert made.secrets == {"input-0"}
    assert document(asked)["inputFiles"][0] == {"filename": "a", "url": "https://example.org:8443/a?q=@"}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "ftp://example.org/x",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://",
        "http:///x",
        "http://user:pw@/x",
        "http://exa mple.org/",
        "http://example.org/\n",
        "http://example.org\\@evil.org/",
        "http://example.org:99999/",
        "http://[::1/",
        "https://" + "a" * 9000,
        "http://a%3Ab:c@example.org/",
    ],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    assert refused(MINIMAL | {"inputFiles": [{"filename": "a", "url": url}]}) == ("invalid-field", "inputFiles[0].url")


@pytest.mark.parametrize(
    "name", ["", "/a", "a//b", "a/", ".", "..", "a/../b", "./a", "a\0", "a\n", "a\x7f", "x" * 256, "d/" + "é" * 128]
)
def test_a_filename_that_leads_elsewhere_is_refused(name: str) -> None:
    files = [{"filename": "ok", "hash": DIGEST}, {"filename": name, "hash": DIGEST}]
    assert refused(MINIMAL | {"inputFiles": files}) == ("invalid-filename", "inputFiles[1].filename")


@pytest.mark.parametrize("names", [("a", "a"), ("a", "a/b"), ("d/a", "d"), ("x/y/z", "x/y")])
def test_two_inputs_of_one_name_are_refused(names: tuple[str, str]) -> None:
    files = [{"filename": name, "hash": DIGEST} for name in names]
    assert refused(MINIMAL | {"inputFiles": files})[0] == "duplicate-filename"


def test_an_input_has_one_of_address_and_hash() -> None:
    both = {"filename": "a", "url": "https://e.org/", "hash": DIGEST}
    assert refused(MINIMAL | {"inputFiles": [{"filename": "a"}]}) == ("missing-field", "inputFiles[0].url")
    assert refused(MINIMAL | {"inputFiles": [both]}) == ("invalid-field", "inputFiles[0].hash")
    assert refused(MINIMAL | {"inputFiles": [{"url": "https://e.org/"}]}) == ("missing-field", "inputFiles[0].filename")


@pytest.mark.parametrize("value", ["AB" * 32, "ab", "zz" * 32, DIGEST + "\n", 5])
def test_a_hash_is_64_lower_case_digits(value: object) -> None:
    assert refused(MINIMAL | {"inputFiles": [{"filename": "a", "hash": value}]}) == (
        "invalid-field",
        "inputFiles[0].hash",
    )


# --- encryption


def test_encrypted_inputs_pass_through_and_the_flag_is_kept() -> None:
    assert document(submit(MINIMAL | {"encryptedInputFiles": True}))["encryptedInputFiles"] is True


@pytest.mark.parametrize(
    "name",
    ["encryptedInputUrls", "encryptedInputURLs", "encryptedOutputFiles", "encryptedOutputUrls", "encryptedOutputURLs"],
)
def test_other_encryption_is_refused_in_both_spellings(name: str) -> None:
    body = MINIMAL | {name: True, "publicKey": "k"}
    assert refused(body) == ("encryption-unsupported", name.replace("URLs", "Urls"))


def test_encrypted_outputs_need_a_key() -> None:
    assert refused(MINIMAL | {"encryptedOutputFiles": True}) == ("missing-field", "publicKey")


# --- own devices


def test_own_devices_never_reach_a_foreign_one_and_are_awaited_for_a_day() -> None:
    place = spec(useOwnDevices=True).place
    assert place.own
    assert place.wait == 86_400
    assert not spec().place.own
    assert spec().place.wait is None


def test_an_operator_may_refuse_own_devices_at_once() -> None:
    with pytest.raises(Unrunnable) as caught:
        submit(MINIMAL | {"useOwnDevices": True}, engine(own_devices="refuse"))
    assert caught.value.code == "no-own-device"


# --- repeated submission (section 5.7)


def test_a_token_is_bound_to_the_body_whatever_the_order_of_its_members() -> None:
    dialect = engine()
    first = submit(MINIMAL | {"clientToken": "t"}, dialect).guard
    again = submit({"clientToken": "t", "commandLine": "true", "app": "plain"}, dialect).guard
    other = submit(MINIMAL | {"clientToken": "t", "copies": 2}, dialect).guard
    assert first is not None
    assert other is not None
    assert first == again
    assert (first.key, first.scope, first.lives) == ("t", "charity_engine", 86_400)
    assert other.body != first.body


def test_the_authenticator_is_no_part_of_what_a_token_is_bound_to() -> None:
    dialect = engine()
    one = dialect.decode(call("job-create", MINIMAL | {"clientToken": "t"}, key="k1")).operation
    two = dialect.decode(call("job-create", MINIMAL | {"clientToken": "t"}, key="k2")).operation
    assert one == two


@pytest.mark.parametrize("token", ["", "x" * 65, 5])
def test_a_token_has_1_to_64_characters(token: object) -> None:
    assert refused(MINIMAL | {"clientToken": token}) == ("invalid-field", "clientToken")


# --- types, ranges and limits


@pytest.mark.parametrize(
    ("members", "code", "field"),
    [
        ({"hours": 0}, "invalid-field", "hours"),
        ({"hours": 8.01}, "invalid-field", "hours"),
        ({"hours": "1"}, "invalid-field", "hours"),
        ({"hours": None}, "invalid-field", "hours"),
        ({"copies": 0}, "invalid-field", "copies"),
        ({"copies": True}, "invalid-field", "copies"),
        ({"copies": 1001}, "too-many-copies", "copies"),
        ({"copies": 10**30}, "too-many-copies", "copies"),
        ({"tag": "x" * 256}, "invalid-field", "tag"),
        ({"specs": []}, "invalid-field", "specs"),
        ({"specs": {"vcpus": 0}}, "invalid-field", "specs.vcpus"),
        ({"specs": {"ram": 1.5}}, "invalid-field", "specs.ram"),
        ({"specs": {"disk": -1}}, "invalid-field", "specs.disk"),
        ({"specs": {"networkUpload": "1"}}, "invalid-field", "specs.networkUpload"),
        ({"useOwnDevices": "yes"}, "invalid-field", "useOwnDevices"),
        ({"inputFiles": {}}, "invalid-field", "inputFiles"),
        ({"inputFiles": [5]}, "invalid-field", "inputFiles[0]"),
        ({"inputFiles": [{"filename": 5, "hash": DIGEST}]}, "invalid-field", "inputFiles[0].filename"),
        ({"inputFiles": [{"filename": "a", "url": 5}]}, "invalid-field", "inputFiles[0].url"),
        ({"inputFiles": [{"filename": f"f{i}", "hash": DIGEST} for i in range(101)]}, "too-many-files", "inputFiles"),
        ({"environment": {"1A": "x"}}, "invalid-field", "environment"),
        ({"environment": {"A": "\0"}}, "invalid-field", "environment"),
        ({"environment": {"A": 1}}, "invalid-field", "environment"),
        ({"environment": {f"A{i}": "" for i in range(101)}}, "invalid-field", "environment"),
        ({"environment": {"A": "x" * 40_000}}, "invalid-field", "environment"),
        ({"commandLine": "x" * 32_769}, "invalid-field", "commandLine"),
        ({"callbackUrl": "https://example.org/"}, "invalid-field", "callbackUrl"),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_name(members: dict[str, Any], code: str, field: str) -> None:
    assert refused(MINIMAL | members) == (code, field)


def test_limits_are_the_operators() -> None:
    dialect = engine(copies=2, input_files=0, hours=24.0, tag=2)
    assert refused(MINIMAL | {"copies": 3}, dialect) == ("too-many-copies", "copies")
    assert refused(MINIMAL | {"tag": "abc"}, dialect) == ("invalid-field", "tag")
    assert document(submit(MINIMAL | {"hours": 24}, dialect))["hours"] == 24
    assert document(submit(MINIMAL, engine(hours=2.0)))["hours"] == 2


def test_a_body_over_its_limit_is_too_large() -> None:
    with pytest.raises(TooLarge) as caught:
        submit(MINIMAL | {"x": "y" * 2000}, engine(body=1000))
    assert caught.value.code == "body-too-large"


@pytest.mark.parametrize("name", ["app", "commandLine"])
def test_a_missing_member_is_named(name: str) -> None:
    assert refused({k: v for k, v in MINIMAL.items() if k != name}) == ("missing-field", name)


ORDER: tuple[tuple[dict[str, Any], str], ...] = (
    ({"inputFiles": [{"url": "https://e.org/"}]}, "missing-field"),
    ({"hours": "x"}, "invalid-field"),
    ({"app": "nope"}, "app-not-found"),
    ({"specs": {"vcpus": 99}}, "no-matching-instance"),
    ({"copies": 5000}, "too-many-copies"),
)


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_of_several_faults_the_first_in_the_contracts_order_is_told(first: int) -> None:
    body = dict(MINIMAL)
    for fault, _ in ORDER[first:]:
        body |= fault
    assert refused(body)[0] == ORDER[first][1]


# --- unknown members


def test_unknown_members_are_ignored_and_their_names_kept() -> None:
    body = MINIMAL | {"zzz": 1, "specs": {"gpus": 1}, "inputFiles": [{"filename": "a", "hash": DIGEST, "mode": 7}]}
    assert document(submit(body))["ignored"] == ["zzz", "specs.gpus", "inputFiles[0].mode"]


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"zzz": 1}, "zzz"),
        ({"specs": {"gpus": 1}}, "specs.gpus"),
        ({"inputFiles": [{"filename": "a", "hash": DIGEST, "mode": 7}]}, "inputFiles[0].mode"),
    ],
)
def test_in_strict_mode_an_unknown_member_is_refused(members: dict[str, Any], field: str) -> None:
    assert refused(MINIMAL | members, engine(strict=True)) == ("unknown-field", field)
    submit(FULL | {"somethingNew": 1, "instanceType": "C.2x4"})


# --- settings


@pytest.mark.parametrize(
    "settings",
    [
        {"strickt": True},
        {"hours": 0},
        {"default_instance_type": "X"},
        {"instance_types": [{"name": "A", "vcpus": 1, "ram": 1, "disk": 1}] * 2},
        {"instance_types": []},
        {"own_devices": "maybe"},
    ],
)
def test_wrong_settings_are_refused_at_the_start(settings: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        engine(**settings)


def test_the_catalogue_of_the_examples_is_the_one_in_use() -> None:
    assert CATALOGUE.app("plain").name == "plain"
