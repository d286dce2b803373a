"""Valid calls of the BOINC dialect, one for each remote call and address, and some with a credential in every place."""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ET  # reads our own replies
from typing import Any, Final

from msgspec.structs import replace

from jobgate.dialects.dialect import Call, Setup
from jobgate.model.catalogue import App, Catalogue
from jobgate.model.files import Stored
from jobgate.model.ids import Digest
from jobgate.model.template import InputSlot, OutputSlot, Template
from jobgate.testing.dialects import Planted, Subject
from jobgate.testing.outcomes import NOW

KEY: Final = "0123456789abcdef" * 2
HANDLER: Final = "submit_rpc_handler"
FILES: Final = "job_file"
STORED: Final = Stored(Digest("ab" * 32), 3)
CATALOGUE: Final = Catalogue(
    apps={
        "uppercase": App(
            name="uppercase",
            command=("uppercase",),
            template=Template(inputs=(InputSlot(path="in"),), outputs=(OutputSlot(path="out"),)),
        )
    }
)


def rpc(name: str, inner: str = "", *, key: str = KEY, endpoint: str = HANDLER, files: int = 0) -> Call:
    """A POST of that remote call."""
    document = f"<{name}>\n<authenticator>{key}</authenticator>\n{inner}</{name}>\n"
    parts = tuple((f"file_{at}", STORED) for at in range(files))
    return Call(verb=endpoint, fields={"request": document.encode()}, parts=parts, now=NOW)


def got(verb: str, **query: Any) -> Call:
    """A GET of an output."""
    return Call(verb=verb, method="GET", query={name: str(value) for name, value in query.items()}, now=NOW)


def browsed(**query: Any) -> Call:
    """The same by a browser that was logged in."""
    return replace(got("get_output3", **query), headers={"cookie": f"theme=dark; auth={KEY}"})


def signed(text: str, key: str = KEY) -> str:
    return hashlib.md5(f"{key}{text}".encode()).hexdigest()  # noqa: S324  # BOINC's own


BATCH: Final = "<batch_id>33</batch_id>"
JOB: Final = (
    "<job><name>j#1</name><rsc_fpops_est>1e9</rsc_fpops_est><command_line>--t 10</command_line>"
    "<input_file><mode>{mode}</mode>{source}</input_file></job>"
)
SOURCES: Final = (
    ("local", "<source>/srv/in/a</source>"),
    ("local_staged", "<source>a.dat</source>"),
    ("semilocal", "<source>https://example.org/a</source>"),
    ("inline", "<source>words</source>"),
    ("remote", f"<url>https://example.org/a</url><nbytes>3</nbytes><md5>{'0' * 32}</md5>"),
    ("sandbox", "<source>mine</source>"),
)
MODES: Final = "".join(JOB.format(mode=mode, source=source).replace("j#1", mode) for mode, source in SOURCES)


def _batch(jobs: str, more: str = "") -> str:
    return f"<batch><app_name>uppercase</app_name>{more}{jobs}</batch>"


EXAMPLES: Final = (
    rpc("ping"),
    rpc("create_batch", "<app_name>uppercase</app_name><batch_name>b</batch_name>"),
    rpc("submit_batch", _batch(MODES)),
    rpc("submit_batch", _batch(JOB.format(mode="inline", source="<source/>"), BATCH)),
    rpc("estimate_batch", _batch(MODES)),
    rpc("query_batches"),
    rpc("query_batch", f"{BATCH}<get_job_details>1</get_job_details><get_cpu_time>1</get_cpu_time>"),
    rpc("query_batch2", "<batch_name>b</batch_name><min_mod_time>1</min_mod_time>"),
    rpc("query_job", "<job_id>33</job_id>"),
    rpc("query_completed_job", "<job_name>j#1</job_name>"),
    rpc("abort_batch", BATCH),
    rpc("abort_jobs", "<job_name>j#1</job_name><job_name>j#2</job_name>"),
    rpc("retire_batch", BATCH),
    rpc("set_expire_time", f"{BATCH}<expire_time>1760000000.5</expire_time>"),
    rpc("get_templates", "<app_name>uppercase</app_name>"),
    rpc("get_templates", "<job_name>j#1</job_name>"),
    rpc("query_files", "<phys_name>a.dat</phys_name>", endpoint=FILES),
    rpc("upload_files", f"{BATCH}<phys_name>a.dat</phys_name>", endpoint=FILES, files=1),
    got("get_output", cmd="result_file", result_name="j#1_0", file_num=0, auth_str=signed("j#1_0")),
    got("get_output", cmd="batch_files", batch_id=33, auth_str=signed("33")),
    got("get_output", cmd="workunit_file", wu_name="j#1", file_num=0, auth_str=KEY),
    got("get_output", cmd="workunit_files", wu_id=33, auth_str=signed("33")),
    got("get_output2", cmd="file", result_id=34, file_num=0, auth=KEY),
    got("get_output2", cmd="result", result_id=34, auth=KEY),
    got("get_output2", cmd="workunit", wu_id=33, auth=KEY),
    got("get_output2", cmd="batch", batch_id=33, auth=KEY),
    browsed(action="get_file", result_id=34, index=0),
    browsed(action="get_batch_zip", batch_id=33),
    Call(verb="server_status", method="GET", query={"counts": "1"}, now=NOW),
)


def _planted() -> tuple[Planted, ...]:
    key, user, password = (f"canary-{name}-5f7d" for name in ("key", "user", "password"))
    address = f"https://{user}:{password}@example.org/a?b=c"
    remote = f"<url>{address}</url><nbytes>3</nbytes><md5>{'0' * 32}</md5>"
    plain = [call for call in EXAMPLES if call.verb in (HANDLER, FILES) and b"<ping>" not in call.fields["request"]]
    swapped = (
        Call(
            verb=call.verb,
            fields={"request": call.fields["request"].replace(KEY.encode(), key.encode())},
            parts=call.parts,
            now=NOW,
        )
        for call in plain
    )
    return (
        *(Planted(call=call, canaries=(key,)) for call in swapped),
        *(
            Planted(
                call=rpc("submit_batch", _batch(JOB.format(mode=mode, source=source)), key=key),
                canaries=(key, user, password),
            )
            for mode, source in (("remote", remote), ("remote", remote.replace("url>", "source>")))
        ),
        Planted(call=got("get_output", cmd="workunit_file", wu_name="j#1", file_num=0, auth_str=key), canaries=(key,)),
        Planted(call=got("get_output2", cmd="batch", batch_id=33, auth=key), canaries=(key,)),
    )


def status(body: bytes) -> str:
    """What the reply of `query_completed_job` says of the job; one that is told to stop has its mask at once."""
    (job,) = ET.fromstring(body)  # noqa: S314  # our own
    mask = job.findtext("error_mask")
    assert mask is not None
    if job.find("canonical_resultid") is not None:
        return "succeeded"
    if mask == "0":
        return "open"
    return f"failed {mask}" if job.find("error_resultid") is not None else "stopping"


SUBJECT: Final = Subject(
    name="boinc",
    setup=Setup(prefix="/boinc", catalogue=CATALOGUE),
    examples=EXAMPLES,
    shows=rpc("query_completed_job", "<job_name>j#1</job_name>"),
    status=status,
    named=(
        lambda ident: rpc("query_batch", f"<batch_name>{_said(ident)}</batch_name>"),
        lambda ident: rpc("abort_batch", f"<batch_name>{_said(ident)}</batch_name>"),
        lambda ident: rpc("retire_batch", f"<batch_name>{_said(ident)}</batch_name>"),
        lambda ident: rpc("query_job", f"<job_id>{_said(ident)}</job_id>"),
        lambda ident: rpc("query_completed_job", f"<job_name>{_said(ident)}</job_name>"),
    ),
    planted=_planted(),
    one_status=True,
    many=frozenset({HANDLER, FILES}),
)


def _said(ident: str) -> str:
    return ident.replace("&", "&amp;").replace("<", "&lt;")
