"""What the files of jobs are called in an archive."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobgate.files.archive import safe_names
from jobgate.model.files import Artifact, Naming, Output, OutputKind, Packed
from jobgate.model.ids import Digest, JobId
from jobgate.model.naming import Called

OUT, TRACE = Output(path="results/out"), Output(path="trace")
ALL = Output(path="all", kind=OutputKind.DIRECTORY)


def packed(path: str, output: int = 0) -> Packed:
    return Packed(path, Artifact(path.rpartition("/")[2], Digest("0" * 64), 1, output))


FILES = [packed("results/out"), packed("trace", 1)]


def test_a_physical_name_says_job_attempt_digits_and_file_number() -> None:
    called = Called(JobId(17), "condor#host#App#147#18.0", 2)
    folder, files = called.files(Naming.PHYSICAL, (OUT, TRACE), FILES)
    assert folder == ""
    assert [file.path for file in files] == ["condor#host#App#147#18.0_1_r17_0", "condor#host#App#147#18.0_1_r17_1"]
    assert [file.artifact for file in files] == [file.artifact for file in FILES]


def test_a_readable_name_says_instance_and_path_or_is_below_the_instance_where_there_are_several() -> None:
    called = Called(JobId(17), "j1", 1)
    assert called.files(Naming.LOGICAL, (OUT,), FILES[:1])[1][0].path == "j1_0__results_out"
    assert called.files(Naming.LOGICAL, (OUT, TRACE), FILES) == ("j1_0", FILES)
    assert called.files(Naming.LOGICAL, (OUT,), []) == ("j1_0", [])


def test_the_files_of_a_directory_have_a_physical_name_each() -> None:
    files = [packed("all/a/b"), packed("all/c")]
    _, named = Called(JobId(3), "j", 1).files(Naming.PHYSICAL, (ALL,), files)
    assert [file.path for file in named] == ["j_0_r3_0_b", "j_0_r3_0_c"]


@pytest.mark.parametrize("name", ["../../up", "/etc/x", "C:\\x", "a\nb", "..", "ü" * 191])
@pytest.mark.parametrize("naming", [Naming.PHYSICAL, Naming.LOGICAL])
def test_a_name_that_can_be_no_file_becomes_one_that_can(name: str, naming: Naming) -> None:
    _, (file,) = Called(JobId(2), name, 1).files(naming, (OUT,), FILES[:1])
    assert safe_names([file.path]) == [file.path]
    assert "/" not in file.path


@given(st.lists(st.text("ab/\\:_~0\n", min_size=1, max_size=4), min_size=2, max_size=30, unique=True))
def test_no_two_jobs_give_a_file_of_one_name(names: list[str]) -> None:
    for naming in (Naming.PHYSICAL, Naming.LOGICAL):
        whole = [Called(JobId(64 * n), name, 1).files(naming, (OUT,), FILES[:1]) for n, name in enumerate(names)]
        assert len({files[0].path for _, files in whole}) == len(names)
