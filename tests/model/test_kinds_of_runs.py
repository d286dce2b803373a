"""Which runs are thought to be like each other."""

from __future__ import annotations

import pytest

from jobgate.model.history import ANYONE, Kind, program
from jobgate.model.ids import AccountId, EnvironmentName
from jobgate.model.job import AppRef, Argv, Command, Host, ImageRef, JobSpec, Program, Script, Step

HERE = EnvironmentName("here")


@pytest.mark.parametrize(
    ("command", "where", "word"),
    [
        (Argv(("sleep", "3")), Host(), "sleep"),
        (Argv(("python", "-u", "train.py", "--lr", "0.1")), Host(), "python train.py"),
        (Argv(("Rscript", "fit.R")), ImageRef("r-base:4"), "r-base:4:Rscript fit.R"),
        (Argv(("Solve[x]",)), AppRef("math"), "math:Solve[x]"),
        (Script("#!/bin/sh\ntrue\n"), Host(), "#!/bin/sh"),
    ],
)
def test_a_program_is_known_by_its_app_or_image_its_name_and_its_script(
    command: Command, where: Program, word: str
) -> None:
    assert program(JobSpec(steps=(Step(command=command, program=where),))) == word


def test_a_very_long_name_is_cut() -> None:
    assert len(program(JobSpec(steps=(Step(command=Argv(("x" * 10_000,))),)))) < 200


def test_a_kind_is_followed_by_those_that_take_it_in() -> None:
    kind = Kind(HERE, AccountId(1), "sleep")
    assert list(kind.wider()) == [kind, Kind(HERE, AccountId(1)), Kind(HERE)]
    assert list(Kind(HERE).wider()) == [Kind(HERE, ANYONE, "")]
