"""What a submission comes to in the model: which figure holds, which words, which names, which priority."""

from __future__ import annotations

from typing import Final

import pytest
from boinc_world import World, ask, call, dialect

from jobgate.model.files import INLINE_LIMIT, Given, Inline, Remote
from jobgate.model.job import Argv, JobSpec
from jobgate.model.operations import Submit

KEY: Final = "<authenticator>" + "a" * 32 + "</authenticator>"
FIGURES: Final = {
    "rsc_fpops_est": ("operations", 3.6e12),
    "rsc_fpops_bound": ("operations_limit", 8.64e13),
    "rsc_memory_bound": ("memory", 5e8),
    "rsc_disk_bound": ("disk", 1e9),
    "delay_bound": ("walltime", 604_800.0),
}


def submitted(inner: str, app: str = "plain") -> Submit:
    """The operation that such a batch comes to."""
    world = World()
    document = f"<submit_batch>{KEY}<batch><app_name>{app}</app_name>{inner}</batch></submit_batch>"
    reply = ask(dialect(), world, call(document.encode()))
    assert isinstance(world.asked, Submit), reply.body
    return world.asked


def spec(inner: str, app: str = "plain") -> JobSpec:
    return submitted(inner, app).groups[0].spec


def refused(inner: str) -> str:
    """What is said instead of an operation."""
    world = World()
    document = f"<submit_batch>{KEY}<batch><app_name>plain</app_name>{inner}</batch></submit_batch>"
    reply = ask(dialect(), world, call(document.encode()))
    assert world.asked is None
    assert isinstance(reply.body, bytes)
    return reply.body.decode()


def _template(inner: str) -> str:
    return f"<input_template><workunit>{inner}</workunit></input_template>"


@pytest.mark.parametrize("figure", FIGURES)
def test_a_figure_is_the_templates_then_the_batchs_and_then_the_usual_one(figure: str) -> None:
    field, usual = FIGURES[figure]
    params = f"<job_params><{figure}>7000000.000000</{figure}></job_params>"
    job = f"<job>{_template(f'<{figure}>8e6</{figure}>')}</job>"
    for inner, value in (
        ("<job/>", usual),
        (f"{params}<job/>", 7e6),
        (f"{params.replace('7000000.000000', '0')}<job/>", usual),
        (f"{params}{job}", 8e6),
        (job, 8e6),
    ):
        assert getattr(spec(inner).resources, field) == value


def test_a_jobs_own_estimate_goes_before_everything() -> None:
    params = "<job_params><rsc_fpops_est>1e9</rsc_fpops_est></job_params>"
    job = f"<job><rsc_fpops_est> 60e9 </rsc_fpops_est>{_template('<rsc_fpops_est>2e9</rsc_fpops_est>')}</job>"
    assert spec(params + job).resources.operations == 60e9


def test_replication_is_the_templates_with_limits_raised_to_what_is_wanted() -> None:
    rule = spec(f"<job>{_template('<target_nresults>3</target_nresults><min_quorum>2</min_quorum>')}</job>").replication
    assert (rule.replicas, rule.quorum, rule.total, rule.successes, rule.errors) == (3, 2, 3, 3, 1)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--t 10 ", ("--t", "10")),
        ("  a\tb\nc  ", ("a", "b", "c")),
        ("""'a b' "c d" e'f g""", ("a b", "c d", "e'f", "g")),
        ("""a "" b""", ("a", "", "b")),
        (r"a\ b \'c d\'", ("a\\", "b", r"\'c", r"d\'")),
        ("&lt;a&gt; &amp;&amp; $HOME `id` ; | *", ("<a>", "&&", "$HOME", "`id`", ";", "|", "*")),
        ("<![CDATA[x && y]]>", ("x", "&&", "y")),
        ("x" * 10_000, ("x" * 10_000,)),
    ],
)
def test_a_command_line_becomes_words_that_no_shell_reads(line: str, words: tuple[str, ...]) -> None:
    command = spec(f"<job><command_line>{line}</command_line></job>").steps[0].command
    assert command == Argv(("true", *words))


def test_names_priorities_and_the_batchs_own_are_kept() -> None:
    made = submitted(
        "<batch_name> condor#h.d#App#1 </batch_name><priority>5</priority>"
        "<job><name> a@b:c/d.e#18.0 </name></job><job><priority>9</priority></job><job><name>z</name></job>"
    )
    assert (made.name, made.priority, made.app) == ("condor#h.d#App#1", 5, "plain")
    assert made.names == ("a@b:c/d.e#18.0", "", "z")
    assert [group.priority for group in made.groups] == [None, 9, None]
    assert b"aaaa" not in made.origin.document


def test_allocation_priority_goes_before_priority() -> None:
    estimated = "<job><rsc_fpops_est>1e9</rsc_fpops_est><priority>4</priority></job>"
    made = submitted(f"<allocation_priority>0</allocation_priority><priority>5</priority>{estimated}")
    assert (made.priority, made.groups[0].priority) == (0, None)


def test_ten_thousand_jobs_that_differ_in_arguments_alone_are_one_group() -> None:
    made = submitted("".join(f"<job><command_line>--t {i}</command_line></job>" for i in range(10_000)))
    (group,) = made.groups
    assert group.count == 10_000
    assert group.each is not None
    assert group.each(9_999).steps[0].command == Argv(("true", "--t", "9999"))


def test_a_batch_without_a_name_is_called_by_its_app_and_the_time() -> None:
    assert submitted("<job/>").name.startswith("plain:")


def test_jobs_of_one_template_are_one_group_and_each_has_its_own_estimate() -> None:
    template = _template("<rsc_memory_bound>7e6</rsc_memory_bound>")
    made = submitted("".join(f"<job><rsc_fpops_est>{i}e9</rsc_fpops_est>{template}</job>" for i in range(1, 4)))
    (group,) = made.groups
    assert group.each is not None
    sizes = [(one.operations, one.memory) for one in (group.each(place).resources for place in range(3))]
    assert sizes == [(1e9, 7_000_000), (2e9, 7_000_000), (3e9, 7_000_000)]


def test_jobs_whose_files_are_copied_are_no_group_with_those_whose_files_ride_along() -> None:
    template = (
        "<input_template><file_info></file_info><workunit><file_ref><open_name>in</open_name></file_ref></workunit>"
        "</input_template>"
    )

    def job(content: str) -> str:
        return f"<job><input_file><mode>inline</mode><source>{content}</source></input_file>{template}</job>"

    made = submitted(job("few") + job("x" * (INLINE_LIMIT + 1)) + job("y" * (INLINE_LIMIT + 1)))
    assert [group.count for group in made.groups] == [1, 2]
    assert [type(group.spec.inputs[0].source) for group in made.groups] == [Inline, Given]


def test_a_job_that_cannot_be_is_told_by_its_place_and_nothing_is_submitted() -> None:
    world = World()
    jobs = "<job/><job><rsc_fpops_est>-1</rsc_fpops_est></job>"
    document = f"<submit_batch>{KEY}<batch><app_name>plain</app_name>{jobs}</batch></submit_batch>"
    reply = ask(dialect(), world, call(document.encode()))
    assert world.asked is None
    assert isinstance(reply.body, bytes)
    assert b"rsc_fpops_est of job 1 must not be negative" in reply.body


MD5: Final = "0" * 32


def _output(limit: str) -> str:
    info = f"<file_info><max_nbytes>{limit}</max_nbytes></file_info>"
    ref = "<result><file_ref><open_name>out</open_name></file_ref></result>"
    return f"<job><output_template>{info}{ref}</output_template></job>"


def _linked(size: str, md5: str = MD5) -> str:
    info = f"<file_info><url>http://h/</url><nbytes>{size}</nbytes><md5_cksum>{md5}</md5_cksum></file_info>"
    work = "<workunit><file_ref><open_name>in</open_name></file_ref></workunit>"
    file = "<input_file><mode>remote</mode><source>x</source></input_file>"
    return f"<job><input_template>{info}{work}</input_template>{file}</job>"


@pytest.mark.parametrize("size", ["1e19", "1e300", "9" * 100])
def test_a_size_is_none_that_could_not_be_kept(size: str) -> None:
    assert spec(_output(size)).outputs[0].limit == 10**18
    for one in spec(_linked(size)).inputs:
        assert isinstance(one.source, Remote)
        assert one.source.size == 10**18


@pytest.mark.parametrize("job", [_linked("-5"), _linked("5", "zz")], ids=["size", "md5"])
def test_a_file_at_an_address_needs_a_size_and_an_md5_that_can_be(job: str) -> None:
    assert "that can be" in refused(job)


@pytest.mark.parametrize("sign", ["\x9b31m", "\u202e", "\u2028", "\x85"], ids=ascii)
def test_a_name_holds_nothing_that_changes_what_a_terminal_shows(sign: str) -> None:
    assert "printable" in refused(f"<batch_name>a{sign}b</batch_name><job/>")
    assert "printable" in refused(f"<job><name>a{sign}b</name></job>")
