"""Control groups that a launcher leaves: none of its own, and not those of one before it that was killed."""

from __future__ import annotations

from pathlib import Path

from jobgate.engines.local.launcher.groups import Groups


def test_what_a_killed_launcher_left_goes_with_the_next_unless_somebody_is_in_it(tmp_path: Path) -> None:
    memory, pids = tmp_path / "memory" / "jobgate-1", tmp_path / "pids" / "jobgate-1"
    other = tmp_path / "pids" / "jobgate-2" / "slot-0"
    for group in (memory / "slot-0", memory / "slot-1", pids / "slot-1", other):
        group.mkdir(parents=True)
    (pids / "slot-1" / "of a process").touch()  # as the kernel, the file system keeps a directory that is in use
    Groups([str(memory), str(pids)])
    assert sorted(tmp_path.rglob("slot-*")) == [pids / "slot-1", other]


def test_a_launcher_that_leaves_takes_away_its_groups_also_those_it_never_used(tmp_path: Path) -> None:
    memory, cpu = tmp_path / "memory" / "jobgate-1", tmp_path / "cpu" / "jobgate-1"
    groups = Groups([str(memory), str(cpu)])
    (cpu / "slot-0").mkdir(parents=True)  # made by who looked whether it can be
    groups.prepare(str(memory / "slot-0"), {})
    assert (memory / "slot-0").is_dir()
    groups.dissolve()
    assert not memory.exists()
    assert not cpu.exists()


def test_groups_that_there_are_not_are_no_fault(tmp_path: Path) -> None:
    Groups([str(tmp_path / "none")]).dissolve()
