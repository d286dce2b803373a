"""Hostile requests to a real gateway with small limits: each is answered in the contract's form, and leaves nothing."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from boinc_project import Project, opened
from boinc_python3 import Python3, files_xml
from boinc_words import Batch, BindingError, File, Job, Part, multipart, urlencoded

LIMITS = "body = 20000\ninline = 100\nuploads = 3\nupload = 1000\nuploaded = 5000"
DECLARED = '<?xml version="1.0" encoding="UTF-8" ?>\n'


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project with limits that a test can reach."""
    with opened(tmp_path_factory.mktemp("small"), LIMITS) as made:
        yield made


@pytest.fixture(scope="module")
def client(small: Project) -> Python3:
    return Python3(small.url, small.user("lab"))


def stored(project: Project) -> tuple[int, int, int]:
    """Batches, jobs and files with a name."""
    with sqlite3.connect(f"file:{project.gateway.data}/jobgate.sqlite?mode=ro", uri=True) as database:
        counts = [
            database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608  # our words
            for table in ("batch", "job", "entry")
        ]
    database.close()
    return counts[0], counts[1], counts[2]


@pytest.fixture(autouse=True)
def nothing_is_left_behind(small: Project, client: Python3) -> Iterator[None]:
    """No batch, no job and no file, whatever a test of this file did."""
    del client
    before = stored(small)
    yield
    assert stored(small) == before


def said(body: bytes) -> str:
    """The words of the one error in a reply."""
    text = body.decode()
    assert text.startswith(DECLARED)
    return text.partition("<error_msg>")[2].partition("</error_msg>")[0]


@pytest.mark.parametrize("page", ["submit_rpc_handler.php", "job_file.php"])
@pytest.mark.parametrize(
    "document",
    [
        "",
        "<submit_batch>",
        "<!DOCTYPE x><submit_batch/>",
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><submit_batch>&a;</submit_batch>',
        "<submit_batch>&a;</submit_batch>",
        "<submit_batch>a & b</submit_batch>",
        "<a>" * 80 + "</a>" * 80,
        "<submit_batch>\0</submit_batch>",
    ],
)
def test_what_is_no_document_is_told_so_in_both_encodings(small: Project, page: str, document: str) -> None:
    for answer in (
        urlencoded(small.url + page, {"request": document}),
        multipart(small.url + page, {"request": document}),
    ):
        assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (200, "text/xml")
        assert answer.body.startswith(f"{DECLARED}<error>\n<error_num>-1</error_num>\n".encode())
        assert said(answer.body).startswith("can't parse request message: ")


@pytest.mark.parametrize("page", ["submit_rpc_handler.php", "job_file.php"])
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "application/x-www-form-urlencoded"),
        (b"", "multipart/form-data; boundary=x"),
        (b"", "multipart/form-data"),
        (b"--x\r\n", "multipart/form-data; boundary=x"),
        (b"not a form", "multipart/form-data; boundary=x"),
        (b"--x\r\nContent-Disposition: form-data\r\n\r\nv\r\n--x--\r\n", "multipart/form-data; boundary=x"),
        (b"other=field", "application/x-www-form-urlencoded"),
        (b"request=%zz%", "application/x-www-form-urlencoded"),
        (b"\xff\xfe", "text/xml; charset=utf-16"),
        (b"<", ""),
        (b"{}", "application/json"),
    ],
)
def test_a_body_that_is_no_form_is_answered_with_an_error(small: Project, page: str, body: bytes, kind: str) -> None:
    answer = httpx.post(small.url + page, content=body, headers={"content-type": kind} if kind else {})
    assert answer.status_code == 200
    assert said(answer.content)
    assert "<error_num>-1</error_num>" in answer.text


def test_a_document_alone_is_as_good_as_a_field(small: Project) -> None:
    for kind in ("text/xml", "application/xml", "text/xml; charset=utf-8", "application/x-www-form-urlencoded"):
        answer = httpx.post(small.url + "submit_rpc_handler.php", content=b"<ping/>", headers={"content-type": kind})
        assert answer.text == f"{DECLARED}<ping>\n<success>1</success>\n</ping>\n"


@pytest.mark.parametrize("path", ["submit_rpc_handler.php", "/submit_rpc_handler.php", "//submit_rpc_handler.php"])
def test_doubled_slashes_are_one_and_nothing_redirects(small: Project, path: str) -> None:
    for base in (small.url, small.url.replace("/test", "//test")):
        answer = urlencoded(base + path, {"request": "<ping/>", "file0": "/home/x", "unheard": "1"})
        assert (answer.status, b"<success>1</success>" in answer.body) == (200, True)


def test_other_methods_and_pages_are_told_so(small: Project) -> None:
    assert httpx.get(small.url + "submit_rpc_handler.php").status_code == 405
    assert httpx.post(small.url + "get_output.php").status_code == 405
    answer = httpx.get(small.url + "forum_index.php")
    assert (answer.status_code, answer.text[: len(DECLARED)]) == (404, DECLARED)


def test_a_body_over_the_limit_is_refused_and_one_that_says_a_gigabyte_is_not_read(small: Project) -> None:
    answer = urlencoded(small.url + "submit_rpc_handler.php", {"request": "<submit_batch>" + "x" * 30_000})
    assert (answer.status, said(answer.body)[:20]) == (200, "request is too large")
    parts = urlsplit(small.url)
    assert parts.hostname
    with socket.create_connection((parts.hostname, parts.port or 80), 30) as line:
        head = f"POST /test/submit_rpc_handler.php HTTP/1.1\r\nHost: x\r\nContent-Length: {1 << 30}\r\n"
        line.sendall(f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\nrequest=".encode())
        assert line.recv(1000).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "key", ["0" * 32, "A" * 32, "", " ", "x", "' or 1=1 --", "../../x", "%00", "\u00e4" * 32, "a" * 2000, "&lt;b&gt;"]
)
def test_an_authenticator_of_any_wrong_form_is_a_bad_one(small: Project, key: str) -> None:
    wrong = Python3(small.url, key)
    for asked in (wrong.query_batches, lambda: wrong.query_files(["x"]), lambda: wrong.upload_files({"x": b"x"})):
        with pytest.raises(BindingError, match=r"-1: (bad|no) authenticator"):
            asked()


def test_an_api_key_is_no_authenticator(small: Project) -> None:
    key = str(small.gateway.run("credential", "add", "lab", "--kind", "api-key")["value"])
    with pytest.raises(BindingError, match="bad authenticator"):
        Python3(small.url, key).query_batches()


def test_a_client_of_http_1_0_is_answered(small: Project) -> None:
    parts = urlsplit(small.url)
    assert parts.hostname
    with socket.create_connection((parts.hostname, parts.port or 80), 30) as line:
        line.sendall(b"POST /test//submit_rpc_handler.php HTTP/1.0\r\nContent-Length: 15\r\n\r\nrequest=<ping/>")
        said_all = b"".join(iter(lambda: line.recv(4096), b""))
    assert b" 200 " in said_all.split(b"\r\n")[0]
    assert said_all.endswith(b"<ping>\n<success>1</success>\n</ping>\n")


def test_an_estimate_beyond_all_numbers_is_a_number(client: Python3) -> None:
    seconds = client.estimate_batch(Batch(app="script", jobs=(Job(fpops=1e30),) * 3))["seconds"]
    assert 0 < float(seconds) < float("inf")
    for asked in (client.estimate_batch, client.submit_batch):
        with pytest.raises(BindingError, match="operations must be 0 to 1e"):
            asked(Batch(app="script", jobs=(Job(fpops=1.7e308),) * 3))


# --- files


def _uploaded(client: Python3, names: list[str], contents: list[bytes]) -> None:
    body = f"<authenticator>{client.authenticator}</authenticator>{files_xml(names, 0, 0)}"
    parts = [Part(f"file_{at}", "x", content) for at, content in enumerate(contents)]
    answer = multipart(client.project + "job_file.php", {"request": f"<upload_files>{body}</upload_files>"}, parts)
    assert answer.status == 200
    if error := said(answer.body):
        raise BindingError(-1, error)


@pytest.mark.parametrize(
    ("names", "contents", "words"),
    [
        (["a.dat"], [], r"# of uploaded files \(0\) doesn't agree with request \(1\)"),
        ([], [b"a"], r"# of uploaded files \(1\) doesn't agree with request \(0\)"),
        (["a.dat", "b.dat"], [b"a"], r"# of uploaded files \(1\) doesn't agree with request \(2\)"),
        (["../a.dat"], [b"a"], "bad filename"),
        (["/etc/passwd"], [b"a"], "bad filename"),
        (["a.dat", ".."], [b"a", b"b"], "bad filename"),
        (["a\\b"], [b"a"], "bad filename"),
        (["\u00e4"], [b"a"], "bad filename"),
        (["x" * 192], [b"a"], "bad filename"),
        (["a.dat", "a.dat"], [b"a", b"b"], "file immutability violation for a.dat"),
        (["a.dat"], [b"x" * 1001], "request is too large"),
        (["a", "b", "c", "d"], [b"a", b"b", b"c", b"d"], "request is too large"),
        (["a", "b", "c"], [b"x" * 900] * 2 + [b"x" * 4000], "request is too large"),
    ],
)
def test_an_upload_that_does_not_fit_stores_nothing(
    client: Python3, names: list[str], contents: list[bytes], words: str
) -> None:
    with pytest.raises(BindingError, match=words):
        _uploaded(client, names, contents)


def test_a_name_always_holds_the_same(client: Python3, small: Project) -> None:
    _uploaded(client, ["kept.dat", "kept too.dat"], [b"kept", b"kept"])
    _uploaded(client, ["kept.dat", "kept.dat"], [b"kept", b"kept"])
    with pytest.raises(BindingError, match="file immutability violation for kept"):
        _uploaded(client, ["new.dat", "kept.dat"], [b"new", b"other"])
    assert client.query_files(["kept.dat", "new.dat"]) == [1]
    with sqlite3.connect(f"{small.gateway.data}/jobgate.sqlite", timeout=30) as database:  # as the sweep would, in time
        database.execute("DELETE FROM entry")
    database.close()


def test_files_that_come_before_the_request_are_taken_from_nobody(client: Python3, small: Project) -> None:
    document = (
        f"<upload_files><authenticator>{client.authenticator}</authenticator><phys_name>a</phys_name></upload_files>"
    )
    body = (
        '--x\r\nContent-Disposition: form-data; name="file_0"; filename="a"\r\n\r\nfirst\r\n'
        f'--x\r\nContent-Disposition: form-data; name="request"\r\n\r\n{document}\r\n--x--\r\n'
    )
    kind = {"content-type": "multipart/form-data; boundary=x"}
    answer = httpx.post(small.url + "job_file.php", content=body.encode(), headers=kind)
    assert (answer.status_code, "<error_num>-1</error_num>" in answer.text) == (200, True)


def test_files_for_a_call_that_takes_none_are_refused(client: Python3) -> None:
    document = f"<query_batches><authenticator>{client.authenticator}</authenticator></query_batches>"
    answer = multipart(client.project + "submit_rpc_handler.php", {"request": document}, [Part("file_0", "x", b"x")])
    assert answer.status == 200
    assert said(answer.body)


# --- submissions


@pytest.mark.parametrize(
    "job",
    [
        Job(command_line="a & b"),
        Job(command_line="a < b"),
        Job(name="x" * 192),
        Job(name="a&#10;b"),
        Job(name="taken twice"),
        Job(files=(File(mode="inline", source="x" * 101),)),
        Job(files=(File(mode="local_staged", source="never there"),)),
        Job(files=(File(mode="local", source="/etc/passwd"),)),
        Job(files=(File(mode="semilocal", source="http://127.0.0.1:1/x"),)),
        Job(input_template="<input_template/>"),
        Job(
            input_template="<input_template><workunit><target_nresults>1000</target_nresults></workunit></input_template>"
        ),
        Job(
            input_template="<input_template><workunit><rsc_memory_bound>1e30</rsc_memory_bound></workunit></input_template>"
        ),
        Job(output_template="<output_template><result/><result/></output_template>"),
    ],
)
def test_a_job_that_cannot_be_fails_its_whole_submission(client: Python3, job: Job) -> None:
    good = Job(command_line="'exit 0'", name="taken twice")
    for jobs in ((job, good), (good, job)):
        with pytest.raises(BindingError):
            client.submit_batch(Batch(app="script", jobs=jobs))


def test_a_batch_without_jobs_is_refused(client: Python3) -> None:
    with pytest.raises(BindingError, match="no jobs in batch"):
        client.submit_batch(Batch(app="script"))
