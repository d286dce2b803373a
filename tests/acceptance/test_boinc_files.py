"""The published text's example, the six ways in which a job gets its files, and whose template holds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from boinc_php import Php
from boinc_project import SCRIPT, TWO_OUT, Project, md5
from boinc_python3 import Python3
from boinc_words import Batch, BindingError, File, Job


@pytest.fixture(scope="module")
def key(project: Project) -> str:
    return project.user("lab")


@pytest.fixture(scope="module")
def client(project: Project, key: str) -> Python3:
    return Python3(project.url, key)


@pytest.fixture(scope="module")
def said(project: Project, client: Python3) -> Callable[[Job], bytes]:
    """The first output of a job of `script`, which ends well; or of `uppercase`, if it brings a file."""

    def run(job: Job) -> bytes:
        app = "uppercase" if job.files else "script"
        batch = int(client.submit_batch(Batch(app=app, jobs=(job,)))["batch_id"])
        seen = project.over(client, batch)
        assert seen["job"]["status"] == "done", client.query_completed_job(seen["job"]["name"])
        return client.output_file(f"{seen['job']['name']}_0", 0).body

    return run


def test_the_published_texts_ten_job_example(project: Project, key: str) -> None:
    """`--t 10` to `--t 19`, the app uppercase, a local file called filename.dat, and i·1e9 operations."""
    php = Php(project.url.rstrip("/"), key)
    file = File(mode="local", source="filename.dat")
    jobs = tuple(Job(fpops=i * 1e9, command_line=f"--t {i}", files=(file,)) for i in range(10, 20))
    batch = php.submit_batch(Batch(app="uppercase", jobs=jobs))
    seen = project.over(Python3(project.url, key), batch)
    fields, told = php.query_batch(batch)
    assert (fields["njobs"], fields["nerror_jobs"], fields["state"]) == ("10", "0", "2")
    assert float(fields["credit_estimate"]) == pytest.approx(0.33564814, abs=1e-8)
    assert float(fields["credit_canonical"]) == float(fields["credit_total"]) == float(fields["credit_estimate"])
    assert float(fields["est_completion_time"]) == float(fields["completion_time"]) > float(fields["create_time"])
    for at, job in enumerate(told):
        (instance,) = php.query_job(int(job["id"]))
        assert php.output_file(instance["name"], 0).body == b"SMALL LETTERS\n"
        assert f"--t {10 + at}\n" in php.query_completed_job(job["name"])["stderr_out"]
    assert [job["id"] for job in told] == [job["id"] for job in seen["job"]]


# --- where files come from


def test_a_local_file_is_copied_when_it_is_named_so_that_later_changes_do_not_matter(
    project: Project, said: Callable[[Job], bytes]
) -> None:
    path = project.inputs / "whole.dat"
    path.write_bytes(b"by its full path")
    assert said(Job(files=(File(mode="local", source=str(path)),))) == b"BY ITS FULL PATH"
    path.unlink()


@pytest.mark.parametrize(
    "source", ["/etc/passwd", "link", "../data/jobgate.sqlite", "absent", "/proc/self/environ", "."]
)
def test_a_local_file_that_the_operator_did_not_offer_is_refused(
    project: Project, client: Python3, source: str
) -> None:
    link = project.inputs / "link"
    link.unlink(missing_ok=True)
    link.symlink_to("/etc/passwd")
    _refused(client, File(mode="local", source=source), f"Can't get MD5 of file {source}")


def test_a_staged_file_is_named_by_its_physical_name(client: Python3, said: Callable[[Job], bytes]) -> None:
    client.upload_files({"a staged-file_1.dat": b"staged"})
    assert said(Job(files=(File(mode="local_staged", source="a staged-file_1.dat"),))) == b"STAGED"


def test_a_staged_file_that_is_not_there_is_seen_before_anything_is_made(client: Python3) -> None:
    _refused(client, File(mode="local_staged", source="never staged"), "create_work failed: ")


def test_a_semilocal_file_is_read_by_the_server(web: str, said: Callable[[Job], bytes]) -> None:
    assert said(Job(files=(File(mode="semilocal", source=f"{web}/words"),))) == b"WORDS"


@pytest.mark.parametrize("path", ["/missing", "/away"])
def test_a_semilocal_file_that_cannot_be_had_is_refused(web: str, client: Python3, path: str) -> None:
    _refused(client, File(mode="semilocal", source=web + path), f"Can't get MD5 of file {web}{path}")


@pytest.mark.parametrize(
    "source", ["http://10.0.0.1/x", "http://169.254.169.254/x", "file:///etc/passwd", "x", "ftp://h/x"]
)
def test_a_semilocal_address_of_another_kind_is_refused(client: Python3, source: str) -> None:
    _refused(client, File(mode="semilocal", source=source), "Can't get MD5 of file ")


def test_a_semilocal_address_is_told_without_its_password(client: Python3) -> None:
    with pytest.raises(BindingError) as refused:
        client.submit_batch(_one(File(mode="semilocal", source="http://ada:swordfish@127.0.0.1:1/x")))
    assert "swordfish" not in refused.value.text


def test_an_inline_file_is_its_text_white_space_and_all(said: Callable[[Job], bytes]) -> None:
    source = "\n  a &lt;b&gt; &amp;&#65; <![CDATA[<c> & ]]>\t\n"
    assert said(Job(files=(File(mode="inline", source=source),))) == b"\n  A <B> &A <C> & \t\n"


def test_an_empty_inline_file_is_a_file(said: Callable[[Job], bytes]) -> None:
    assert said(Job(files=(File(mode="inline", source=""),))) == b""


def test_an_inline_file_is_larger_than_a_row_and_smaller_than_its_limit(
    client: Python3, said: Callable[[Job], bytes]
) -> None:
    assert said(Job(files=(File(mode="inline", source="z" * (1 << 20)),))) == b"Z" * (1 << 20)
    _refused(
        client, File(mode="inline", source="z" * ((1 << 20) + 1)), "create_work failed: an inline file has at most"
    )


def test_a_remote_file_is_fetched_by_the_job_and_must_be_what_was_said(
    project: Project, web: str, client: Python3, said: Callable[[Job], bytes]
) -> None:
    good = File(mode="remote", url=f"{web}/far", nbytes=3, md5=md5(b"far").upper())
    assert said(Job(files=(good,))) == b"FAR"
    for bad in (
        File(mode="remote", url=f"{web}/far", nbytes=4, md5=md5(b"far")),
        File(mode="remote", url=f"{web}/far", nbytes=3, md5=md5(b"fat")),
        File(mode="remote", url=f"{web}/missing", nbytes=8, md5=md5(b"/missing")),
    ):
        batch = int(client.submit_batch(_one(bad))["batch_id"])
        job = project.over(client, batch)["job"]
        assert job["status"] == "error"
        assert client.query_job(int(job["id"]))["instance"]["state"] == "Error while downloading"


@pytest.mark.parametrize(
    "file",
    [
        File(mode="remote", nbytes=3, md5=md5(b"x")),
        File(mode="remote", url="http://127.0.0.1/x", nbytes=3),
        File(mode="remote", url="http://127.0.0.1/x", nbytes=3, md5="not hexadecimal at all, of length"),
        File(mode="remote", url="http://127.0.0.1/x", nbytes=-1, md5=md5(b"x")),
        File(mode="remote", url="file:///etc/passwd", nbytes=3, md5=md5(b"x")),
        File(mode="remote", url="http://ada:swordfish@127.0.0.1/x", nbytes=3, md5=md5(b"x")),
    ],
    ids=["no address", "no digest", "no MD5", "a size below 0", "another scheme", "a password"],
)
def test_a_remote_file_that_is_not_told_whole_is_refused(client: Python3, file: File) -> None:
    _refused(client, file, "create_work failed: ")


def test_a_sandbox_file_is_the_accounts_own_as_it_is_then(
    project: Project, client: Python3, said: Callable[[Job], bytes]
) -> None:
    _refused(client, File(mode="sandbox", source="mine.dat"), "sandbox link file mine.dat not found")
    native = project.native("lab")
    assert native("PUT", "/folders/sandbox").status_code in (200, 201)
    assert native("PUT", "/folders/sandbox/files/mine.dat", content=b"first").status_code in (200, 201)
    assert said(Job(files=(File(mode="sandbox", source="mine.dat"),))) == b"FIRST"
    native("PUT", "/folders/sandbox/files/mine.dat", content=b"second")
    assert said(Job(files=(File(mode="sandbox", source="mine.dat"),))) == b"SECOND"
    _refused(client, File(mode="sandbox", source="other.dat"), "sandbox link file other.dat not found")


def test_an_unknown_mode_is_said_by_its_name(client: Python3) -> None:
    _refused(client, File(mode="telepathy", source="x"), "unsupported file mode: telepathy")


def _one(file: File) -> Batch:
    return Batch(app="uppercase", jobs=(Job(files=(file,)),))


def _refused(client: Python3, file: File, words: str) -> None:
    """It is, in these words, and no batch is left behind."""
    before = client.query_batches().get("batch")
    with pytest.raises(BindingError) as refused:
        client.submit_batch(_one(file))
    assert refused.value.number == -1
    assert refused.value.text.startswith(words)
    assert client.query_batches().get("batch") == before


# --- templates


def _input(work: str, slots: str = "") -> str:
    return f"<input_template>{slots}<workunit>{work}</workunit></input_template>"


def _ref(name: str) -> str:
    return f"<file_ref><open_name>{name}</open_name><copy_file/></file_ref>"


def test_a_jobs_own_templates_go_before_the_batchs_and_these_before_the_apps(project: Project, client: Python3) -> None:
    two = (File(mode="inline", source="1"), File(mode="inline", source="2"))
    own_in = _input(_ref("x") + "<command_line>'cat x > out'</command_line>", "<file_info/>")
    own_out = f"<output_template><file_info/><result>{_ref('out')}</result></output_template>"
    jobs = (
        Job(name="of.the.batch", command_line=SCRIPT.format("cat a b > first"), files=two),
        Job(name="its.own", files=two[:1], input_template=own_in, output_template=own_out),
    )
    sent = Batch(app="script", jobs=jobs, input_template="two_in", output_template="two_out")
    batch = int(client.submit_batch(sent)["batch_id"])
    seen = project.over(client, batch)
    assert [job["n_outfiles"] for job in seen["job"]] == ["2", "1"]
    assert client.output_file("of.the.batch_0", 0).body == b"12"
    assert client.output_file("its.own_0", 0).body == b"1"
    told = client.get_templates(job="of.the.batch")["templates"]
    assert [ref["open_name"] for ref in told["output_template"]["result"]["file_ref"]] == ["first", "second"]
    assert [ref["open_name"] for ref in told["input_template"]["workunit"]["file_ref"]] == ["a", "b"]


def test_a_constant_file_takes_none_of_the_jobs(project: Project, client: Python3) -> None:
    client.upload_files({"constant.dat": b"same for all"})
    template = _input(
        _ref("c") + _ref("in") + "<command_line>'cat c in > out'</command_line>",
        "<file_info><physical_name>constant.dat</physical_name></file_info><file_info/>",
    )
    job = Job(name="constant", files=(File(mode="inline", source=" and mine"),), input_template=template)
    batch = int(client.submit_batch(Batch(app="script", jobs=(job,)))["batch_id"])
    project.over(client, batch)
    assert client.output_file("constant_0", 0).body == b"same for all and mine"


@pytest.mark.parametrize(
    ("line", "status"),
    [("echo 1 > first; echo 2 > second", "done"), ("echo 1 > first", "done"), ("echo 2 > second", "error")],
    ids=["both", "without the optional one", "without the one that is needed"],
)
def test_an_output_is_needed_unless_it_is_optional(project: Project, client: Python3, line: str, status: str) -> None:
    job = Job(command_line=SCRIPT.format(line), output_template=TWO_OUT)
    batch = int(client.submit_batch(Batch(app="script", jobs=(job,)))["batch_id"])
    seen = project.over(client, batch)["job"]
    assert (seen["status"], seen["n_outfiles"]) == (status, "2")


def test_an_output_larger_than_its_template_allows_fails_the_instance(project: Project, client: Python3) -> None:
    limited = TWO_OUT.replace("<name><OUTFILE_0/></name>", "<max_nbytes>10</max_nbytes>")
    job = Job(command_line=SCRIPT.format("echo 0123456789 > first"), output_template=limited)
    batch = int(client.submit_batch(Batch(app="script", jobs=(job,)))["batch_id"])
    seen = project.over(client, batch)["job"]
    assert seen["status"] == "error"
    assert client.query_job(int(seen["id"]))["instance"]["state"] == "Upload failed"


def test_the_templates_command_line_is_for_a_job_that_gives_none(project: Project, client: Python3) -> None:
    template = _input("<command_line>'echo template > out'</command_line>")
    jobs = (
        Job(name="none.of.its.own", input_template=template),
        Job(name="both", command_line=SCRIPT.format("echo mine > out"), input_template=template),
    )
    project.over(client, int(client.submit_batch(Batch(app="script", jobs=jobs))["batch_id"]))
    assert client.output_file("none.of.its.own_0", 0).body == b"template\n"
    assert client.output_file("both_0", 0).body == b"mine\n"


def test_a_command_line_is_split_at_blanks_and_by_its_own_quotes_alone(project: Project, client: Python3) -> None:
    line = """'printf "[%s]" "$@" > out' sh one "two words"  it's 'say "x"' back\\slash\n&lt;tag&gt;&amp;&#34;"""
    project.over(
        client, int(client.submit_batch(Batch(app="script", jobs=(Job(name="words", command_line=line),)))["batch_id"])
    )
    assert client.output_file("words_0", 0).body == b"""[one][two words][it's][say "x"][back\\slash][<tag>&"]"""


@pytest.mark.parametrize(
    "template",
    [
        _input("", "<file_info/>"),
        _input(_ref("a")),
        "<input_template></input_template>",
        "<input_template><workunit/><workunit/></input_template>",
        _input("<rsc_fpops_est>0</rsc_fpops_est>"),
        _input("<rsc_disk_bound>0</rsc_disk_bound>"),
        _input("<target_nresults>0</target_nresults>"),
        _input("<max_total_results>0</max_total_results>"),
        _input("<max_success_results>3</max_success_results><max_total_results>2</max_total_results>"),
        _input("<max_error_results>3</max_error_results><max_total_results>2</max_total_results>"),
        _input(_ref("../up"), "<file_info><physical_name>constant.dat</physical_name></file_info>"),
        _input(_ref("a"), "<file_info><physical_name>never staged</physical_name></file_info>"),
        _input(_ref("a"), "<file_info><url>http://127.0.0.1/x</url></file_info>"),
    ],
)
def test_a_template_that_breaks_a_rule_fails_the_whole_submission(client: Python3, template: str) -> None:
    before = client.query_batches().get("batch")
    jobs = (Job(command_line="'exit 0'"), Job(command_line="'exit 0'", input_template=template))
    with pytest.raises(BindingError, match=r"^-1: (create_work failed: |wrong # of input files)"):
        client.submit_batch(Batch(app="script", jobs=jobs))
    assert client.query_batches().get("batch") == before
