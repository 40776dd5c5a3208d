"""Limits: what is written into a delegated cgroup, and what is reported where there is none."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from manifests.model.spec import Resources
from runtimes.processes.limits import CgroupLimiter, RlimitLimiter, make_limiter

if TYPE_CHECKING:
    from pathlib import Path

LIMITS = Resources.model_validate({"memory": "256Mi", "cpu": 0.5, "pids": 128})


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A delegated cgroup as the kernel shows it, made of plain files."""
    folder = tmp_path / "user.slice" / "atek.service"
    folder.mkdir(parents=True)
    (folder / "cgroup.controllers").write_text("cpu memory pids io\n")
    (folder / "cgroup.subtree_control").write_text("")
    (tmp_path / "own").write_text("0::/user.slice/atek.service\n")
    return tmp_path


def test_a_delegated_cgroup_limits_everything(tree: Path) -> None:
    limiter = make_limiter(tree, tree / "own")
    assert isinstance(limiter, CgroupLimiter)
    folder = tree / "user.slice/atek.service"
    assert (folder / "node/cgroup.procs").exists()
    assert limiter.apply("i1", 4711, LIMITS) == []
    group = folder / "i1"
    assert (group / "cgroup.procs").read_text() == "4711"
    assert (group / "memory.max").read_text() == str(256 * 2**20)
    assert (group / "cpu.max").read_text() == "50000 100000"
    assert (group / "pids.max").read_text() == "128"
    limiter.kill("i1")
    assert (group / "cgroup.kill").read_text() == "1"


def test_a_controller_that_is_not_delegated_is_told(tree: Path) -> None:
    (tree / "user.slice/atek.service/cgroup.controllers").write_text("pids\n")
    missing = make_limiter(tree, tree / "own").apply("i1", 4711, LIMITS)
    assert [note.split()[0] for note in missing] == ["memory", "cpu"]


@pytest.mark.parametrize("own", ["0::/\n", "4:memory:/x\n", ""])
def test_without_delegation_there_are_rlimits(tree: Path, own: str) -> None:
    (tree / "own").write_text(own)
    assert isinstance(make_limiter(tree, tree / "own"), RlimitLimiter)
    assert isinstance(make_limiter(tree, tree / "nowhere"), RlimitLimiter)


def test_no_limits_are_nothing_to_tell() -> None:
    assert RlimitLimiter().apply("i1", 0, Resources()) == []


@pytest.mark.parametrize("memory", [10**30, 2**64, 2**63])
def test_a_number_beyond_the_kernels_is_told(memory: int) -> None:
    with subprocess.Popen(["sleep", "1000"]) as child:
        limits = Resources.model_construct(memory=memory, cpu=None, pids=None)
        missing = RlimitLimiter().apply("i1", child.pid, limits)
        child.kill()
    assert missing[0].startswith("memory is not limited")


def test_what_runs_beside_an_instance_is_in_its_cgroup(tree: Path) -> None:
    limiter = make_limiter(tree, tree / "own")
    limiter.apply("i1", 4711, LIMITS)
    folder = tree / "user.slice/atek.service"
    limiter.join("i1", 4712, LIMITS)
    assert (folder / "i1/cgroup.procs").read_text() == "4712"
    limiter.join("missing", 4713, LIMITS)
    (folder / "i1/cgroup.procs").write_text("4711\n4712\n")
    assert limiter.members(["i1", "missing"]) == {4711: "i1", 4712: "i1"}


def test_looking_takes_nothing_over(tree: Path) -> None:
    assert isinstance(make_limiter(tree, tree / "own", take_over=False), CgroupLimiter)
    assert not (tree / "user.slice/atek.service/node").exists()
