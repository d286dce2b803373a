"""Whatever comes as a request, the answer is a document of the contract's form; and the reader is bounded."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET  # reads our own replies
from typing import Final

import pytest
from boinc_world import World, ask, call, dialect
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from jobgate.dialects.boinc import instances, xml
from jobgate.dialects.boinc.jobs import Words
from jobgate.dialects.boinc.settings import Settings
from jobgate.dialects.dialect import Call
from jobgate.model.account import Kind, Proof
from jobgate.model.catalogue import Catalogue
from jobgate.model.errors import Unauthenticated
from jobgate.model.operations import Called
from jobgate.model.selectors import JobCalled

KEY: Final = b"<authenticator>" + b"a" * 32 + b"</authenticator>"
ENDPOINTS: Final = ("submit_rpc_handler", "job_file")
HANDLED: Final = (
    *("create_batch", "submit_batch", "estimate_batch", "query_batches", "query_batch", "query_batch2", "query_job"),
    *("query_completed_job", "abort_batch", "abort_jobs", "retire_batch", "set_expire_time", "get_templates"),
)
LAUGHS: Final = b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;">]>'


def answered(request: bytes, endpoint: str = "submit_rpc_handler", files: int = 0) -> ET.Element:
    """The reply's root; the reply is well formed, has status 200, and an error in it has the contract's form."""
    reply = ask(dialect(), World(), call(request, endpoint, files))
    assert reply.status == 200
    assert isinstance(reply.body, bytes)
    assert reply.body.startswith(b'<?xml version="1.0" encoding="UTF-8" ?>\n<')
    root = ET.fromstring(reply.body)  # noqa: S314  # our own
    errors = [root] if root.tag == "error" else root.findall("error")
    for error in errors:
        assert error.tag == "error"
        number, message = error.findtext("error_num"), error.findtext("error_msg")
        assert number
        assert int(number) != 0
        assert message
        assert message.strip()
        assert "\n" not in message
        kept = re.search(rb"<error_msg>(.*)</error_msg>", reply.body)
        assert kept
        assert len(kept[1]) <= 250
    if root.tag != "error" and errors:
        assert root[0].tag == "error"
        assert len(root) == 1
    return root


def refused(request: bytes, endpoint: str = "submit_rpc_handler") -> str:
    """The words of an error that is the root: the call was never known."""
    root = answered(request, endpoint)
    assert root.tag == "error", ET.tostring(root)[:300]
    return root.findtext("error_msg") or ""


# --- what is no document


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize(
    "request_",
    [
        b"",
        b" \n ",
        b"ping",
        b"<ping>",
        b"<ping></pong>",
        b"<ping/><ping/>",
        b"<ping>\0</ping>",
        b"\0<ping/>",
        b"<ping>&nbsp;</ping>",
        b"<ping>&undefined;</ping>",
        b"<ping>a & b</ping>",
        b"<ping>a < b</ping>",
        b"<ping>&#0;</ping>",
        b"<ping>&#x1F;</ping>",
        b"<ping>\xff\xfe\xfd</ping>",
        b"<ping>\xed\xa0\x80</ping>",
        b"<ping>\xc0\xaf</ping>",
        b"<!DOCTYPE ping><ping/>",
        b'<!DOCTYPE ping SYSTEM "file:///etc/passwd"><ping/>',
        b'<!DOCTYPE p [<!ENTITY x SYSTEM "file:///etc/passwd">]><ping>&x;</ping>',
        LAUGHS + b"<ping>&c;</ping>",
        b"<!DOCTYPE p [<!ENTITY % x SYSTEM 'http://127.0.0.1:1/x'> %x;]><ping/>",
        b'<?xml version="1.0" encoding="klingon"?><ping/>',
        b'<?xml version="1.0"',
        b"<a>" * 100_000 + b"</a>" * 100_000,
        b"<ping>" + b"<a>" * 100 + b"</a>" * 100 + b"</ping>",
        b"<a " + b"b='c' " * 2 + b"/>",
        b"<ping" + b"x" * 100_000,
        b"<![CDATA[<ping/>]]>",
        b"<!--" + b"x" * 1000,
        b"{}",
        b"request=<ping/>",
        "<ping/>".encode("utf-16"),
    ],
    ids=lambda value: repr(value[:44]) if isinstance(value, bytes) else None,
)
def test_what_is_no_document_is_told_so(endpoint: str, request_: bytes) -> None:
    assert refused(request_, endpoint).startswith("can't parse request message: ")


def test_a_fault_within_a_known_call_is_told_as_no_document_too() -> None:
    line = b"<submit_batch>" + KEY + b"<batch><job><command_line>a && b</command_line></job></batch></submit_batch>"
    assert refused(line).startswith("can't parse request message: ")


@pytest.mark.parametrize(
    "request_",
    [
        b'<?xml version="1.0" encoding="UTF-8" ?>\n<ping/>',
        '<?xml version="1.0" encoding="ISO-8859-1"?><ping>\xe4</ping>'.encode("latin-1"),
        "\ufeff<ping/>".encode(),
        b"<!--" + b"x" * 10_000 + b"--><?y " + b"y" * 10_000 + b"?><!-- <query_batch> --><ping/>",
        b"<!-- a comment --><ping/><!-- another -->",
        b"<?target of an instruction?><ping/>",
        b"\n  <ping\n/>\n",
        b"<ping a='b'><unheard><of>&lt;&#65;&#x42;<![CDATA[<]]></of></unheard></ping>",
    ],
    ids=repr,
)
def test_what_is_a_document_by_the_books_is_read(request_: bytes) -> None:
    root = answered(request_)
    assert (root.tag, root.findtext("success")) == ("ping", "1")


def test_sixty_levels_are_read_and_a_hundred_are_not() -> None:
    assert answered(b"<ping>" + b"<a>" * 60 + b"</a>" * 60 + b"</ping>").tag == "ping"
    assert "levels" in refused(b"<ping>" + b"<a>" * 100 + b"</a>" * 100 + b"</ping>")


def test_a_text_of_a_million_entities_is_read_like_any_other() -> None:
    text = xml.read(b"<a><b>" + b"&lt;" * 1_000_000 + b"</b></a>").body.get("b")
    assert text == xml.Element("<" * 1_000_000)


LARGE: Final = b"<x>y</x>" * 20_000


def test_of_a_large_document_only_the_asker_is_read_before_it_is_known_who_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def read(_: bytes) -> xml.Document:
        raise AssertionError

    monkeypatch.setattr(xml, "read", read)
    for inner in (KEY + LARGE, LARGE + KEY, b"<batch>" + KEY.replace(b"a" * 32, b"b") + b"</batch>" + LARGE + KEY):
        proof = dialect().credential(call(b"<submit_batch>" + inner + b"</submit_batch>"))
        assert isinstance(proof, Proof)
        assert proof.value == "a" * 32
    with pytest.raises(Unauthenticated):
        dialect().credential(call(b"<submit_batch>" + LARGE + b"</submit_batch>"))


def test_a_large_document_with_a_fault_is_none_wherever_the_fault_is() -> None:
    for inner in (KEY + LARGE + b"<a>", LARGE + b"</b>" + KEY, KEY + LARGE + b"\0", LARGE + b"&nbsp;" + KEY):
        assert refused(b"<submit_batch>" + inner + b"</submit_batch>").startswith("can't parse request message: ")
    assert refused(LAUGHS + b"<submit_batch>" + KEY + LARGE + b"</submit_batch>").endswith("a DTD is not taken")
    assert refused(b" " * 100_000 + b"<ping/>").endswith("it does not begin with an element")


@pytest.mark.parametrize("rpc", [b"query_batch", b"query_batches", b"query_job", b"get_templates", b"create_batch"])
def test_a_call_that_lists_nothing_has_no_large_document(rpc: bytes) -> None:
    """It would be read again for the reply, where others wait."""
    root = answered(b"<%s>" % rpc + KEY + LARGE + b"</%s>" % rpc)
    assert (root.findtext("error/error_msg") or "").startswith("request is too large")


def test_a_call_that_lists_things_may_list_many() -> None:
    many = b"<job_name>none of this name</job_name>" * 5000
    assert answered(b"<abort_jobs>" + KEY + many + b"</abort_jobs>").findtext("error/error_msg") == (
        "no job none of this name"
    )


def test_what_is_looked_up_together_is_bounded() -> None:
    for rpc, field, endpoint, most in (
        (b"abort_jobs", b"job_name", "submit_rpc_handler", 100_000),
        (b"query_batch2", b"batch_name", "submit_rpc_handler", 10_000),
        (b"query_files", b"phys_name", "job_file", 100_000),
        (b"query_files", b"md5", "job_file", 100_000),
    ):
        root = answered(b"<%s>%s%s</%s>" % (rpc, KEY, b"<%s>a</%s>" % (field, field) * (most + 1), rpc), endpoint)
        said = f"request is too large: at most {most} {field.decode()}"
        assert root.findtext("error/error_msg") == said


def test_a_job_that_is_named_twice_is_looked_up_once() -> None:
    document = b"<abort_jobs>" + KEY + b"<job_name>a</job_name> <job_name>a </job_name></abort_jobs>"
    (abort_jobs,) = (one for one in instances.RPCS if one.name == "abort_jobs")
    words = Words(Catalogue(), {}, Settings())
    asked = abort_jobs.ask(words, xml.read(document).body, call(document)).operation
    assert isinstance(asked, Called)
    assert asked.jobs == (JobCalled(name="a"),)


def test_an_error_repeats_no_more_of_a_request_than_clients_keep() -> None:
    for name in (b"x" * 10_000, "ü€𝄞".encode() * 3000, b"&lt;&amp;&gt;" * 3000, b"a\n\n\nb" * 3000):
        for rpc, field in ((b"get_templates", b"app_name"), (b"query_batch2", b"batch_name")):
            inner = b"<%s>%s</%s>" % (field, name, field)
            answered(b"<%s>%s%s</%s>" % (rpc, KEY, inner, rpc))


# --- numbers and names of every wrong form

NUMBERS: Final = (
    *("", " ", "x", "-5", "+5", "010", "0x10", "1e400", "-1e400", "nan", "inf", "9" * 400, "1_000", "\u0661", "5;5"),
    *("2147483648", "4294967297", "9223372036854775808", "1.9e18", "5.5", ".", "-", "e5", "\ud7ff", "5 5", "--5"),
)


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: repr(number[:24]))
@pytest.mark.parametrize(
    "rpc", ["query_batch", "abort_batch", "retire_batch", "set_expire_time", "query_job", "query_batch2"]
)
def test_a_number_of_any_form_names_something_or_nothing(rpc: str, number: str) -> None:
    names = ("batch_id", "job_id", "min_mod_time", "expire_time", "get_cpu_time")
    inner = "".join(f"<{name}>{number}</{name}>" for name in names)
    root = answered(f"<{rpc}>{KEY.decode()}{inner}</{rpc}>".encode())
    assert root.tag == rpc


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: repr(number[:24]))
def test_a_figure_of_any_form_makes_jobs_or_an_error(number: str) -> None:
    figures = "".join(
        f"<{name}>{number}</{name}>"
        for name in ("rsc_fpops_est", "rsc_fpops_bound", "rsc_memory_bound", "rsc_disk_bound", "delay_bound")
    )
    counts = "".join(
        f"<{name}>{number}</{name}>"
        for name in ("min_quorum", "target_nresults", "max_error_results", "max_total_results", "max_success_results")
    )
    for template in ("", f"<input_template><workunit>{figures}</workunit></input_template>"):
        for more in (template, template.replace("</workunit>", f"{counts}<credit>{number}</credit></workunit>")):
            job = f"<job><rsc_fpops_est>{number}</rsc_fpops_est><priority>{number}</priority>{more}</job>"
            batch = (
                f"<batch><app_name>plain</app_name><batch_id>{number}</batch_id><priority>{number}</priority>"
                f"<job_params>{figures}</job_params><expire_time>{number}</expire_time>{job}</batch>"
            )
            for rpc in ("submit_batch", "estimate_batch"):
                assert answered(f"<{rpc}>{KEY.decode()}{batch}</{rpc}>".encode()).tag == rpc


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..", "/etc/passwd", "a\tb", "\u202ea", "x" * 5000, "%00", "two_in/../two_in"]
)
def test_a_template_file_is_a_name_and_never_a_path(name: str) -> None:
    batch = f"<batch><app_name>plain</app_name><input_template_filename>{name}</input_template_filename><job/></batch>"
    root = answered(f"<submit_batch>{KEY.decode()}{batch}</submit_batch>".encode())
    assert (root.findtext("error/error_msg") or "").startswith("create_work failed: ")


# --- whatever comes

BYTES: Final = st.binary(max_size=300) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass"))
PIECES: Final = st.lists(
    st.sampled_from(
        [
            *(f"<{name}>" for name in (*HANDLED, "ping", "batch", "job", "input_file", "x")),
            *(f"</{name}>" for name in (*HANDLED, "ping", "batch", "job", "input_file", "x")),
            *("&amp;", "&", "<", "<![CDATA[", "]]>", "<!--", "-->", "<?", "?>", "<!DOCTYPE x>", "\0", " ", "a", "1"),
        ]
    ),
    max_size=12,
).map(lambda pieces: "".join(pieces).encode())


@given(request_=BYTES | PIECES, endpoint=st.sampled_from(ENDPOINTS), files=st.integers(0, 2))
@example(request_=b"", endpoint="job_file", files=1)
def test_any_bytes_are_answered_in_the_contracts_form(request_: bytes, endpoint: str, files: int) -> None:
    root = answered(request_, endpoint, files)
    if b"authenticator" not in request_ and b"ping" not in request_:
        error = root if root.tag == "error" else root.find("error")
        assert error is not None
        assert error.findtext("error_msg")


TEXT: Final = st.text(max_size=40).map(
    lambda text: text.encode("utf-8", "ignore").decode().replace("&", "&amp;").replace("<", "&lt;")
)
FIELDS: Final = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("app_name", "batch_name", "batch_id", "expire_time", "job_name", "job_id", "min_mod_time"),
                *("get_cpu_time", "get_job_details", "phys_name", "delete_time", "mode", "source", "url", "nbytes"),
                *("md5", "command_line", "rsc_fpops_est", "priority", "name", "app_version_num", "size"),
            ]
        ),
        TEXT | st.sampled_from(["1001", "33", "uppercase", "plain", "inline", "remote", "local", "over"]),
    ),
    max_size=6,
).map(lambda fields: "".join(f"<{name}>{text}</{name}>" for name, text in fields))


@given(rpc=st.sampled_from(HANDLED), fields=FIELDS, inner=FIELDS, file=FIELDS)
def test_any_values_in_any_call_are_answered_under_its_name(rpc: str, fields: str, inner: str, file: str) -> None:
    job = f"<job>{inner}<input_file>{file}</input_file></job>"
    document = f"<{rpc}>{KEY.decode()}{fields}<batch>{fields}{job}</batch></{rpc}>"
    assert answered(document.encode()).tag in (rpc, "error")


@given(rpc=st.sampled_from(["query_files", "upload_files"]), fields=FIELDS, files=st.integers(0, 3))
def test_any_values_in_any_file_call_are_answered_under_its_name(rpc: str, fields: str, files: int) -> None:
    document = f"<{rpc}>{KEY.decode()}{fields}</{rpc}>"
    assert answered(document.encode(), "job_file", files).tag in (rpc, "error")


@pytest.mark.parametrize("header", ["a/b=1; auth=KEY", "auth=KEY; a@b=1", 'x="; auth=KEY', "auth=KEY"])
def test_cookies_of_other_pages_do_not_hide_the_authenticator(header: str) -> None:
    asked = Call(verb="get_output3", method="GET", headers={"cookie": header.replace("KEY", "a" * 32)})
    assert dialect().credential(asked) == Proof(Kind.BOINC, "a" * 32)
    with pytest.raises(Unauthenticated):
        dialect().credential(replace(asked, headers={"cookie": "a/b=1"}))
