"""Limits: what is written into a delegated cgroup, and what is reported where there is none."""

from __future__ import annotations

import os
import resource
import subprocess
from typing import TYPE_CHECKING

import pytest

from manifests.model.spec import Resources
from runtimes.processes import cgroups
from runtimes.processes.cgroups import CgroupLimiter, enter_user_scope, make_limiter
from runtimes.processes.limits import RlimitLimiter

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
    assert (group / "memory.swap.max").read_text() == "0"
    assert (group / "memory.oom.group").read_text() == "1"
    assert (group / "cpu.max").read_text() == "50000 100000"
    assert (group / "pids.max").read_text() == "128"
    limiter.kill("i1")
    assert (group / "cgroup.kill").read_text() == "1"


def test_a_controller_that_is_not_delegated_is_told(tree: Path) -> None:
    (tree / "user.slice/atek.service/cgroup.controllers").write_text("pids\n")
    missing = make_limiter(tree, tree / "own").apply("i1", 4711, LIMITS)
    assert [note.split()[0] for note in missing] == ["cpu"]
    found = make_limiter(tree, tree / "own").enforcement
    assert (found.memory, found.cpu, found.pids) == ("sampling", "", "kernel")
    assert found.lacking(LIMITS) == ("cpu",)
    assert found.sentence(LIMITS) == "memory by sampling every 5 s"


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
        limits = Resources().model_copy(update={"memory": memory})
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


def test_what_an_earlier_scope_keeps_is_found_there(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node was started anew in another scope; what it finds running is still in the one of before."""
    limiter = make_limiter(tree, tree / "own")
    before = tree / "user.slice/earlier.scope/i1"
    before.mkdir(parents=True)
    (before / "memory.events").write_text("low 0\noom 1\noom_kill 2\n")
    monkeypatch.setattr(cgroups, "_own_path", lambda _: "/user.slice/earlier.scope/i1")
    limiter.adopt("i1", 4711)
    assert limiter.out_of_memory("i1")
    limiter.kill("i1")
    assert (before / "cgroup.kill").read_text() == "1"
    (before / "memory.events").unlink()
    limiter.remove("i1")
    limiter.adopt("another", 4712)
    limiter.kill("another")
    assert not (tree / "user.slice/earlier.scope/another").exists()


def test_the_kernels_count_says_who_ran_out_of_memory(tree: Path) -> None:
    limiter = make_limiter(tree, tree / "own")
    limiter.apply("i1", 4711, LIMITS)
    events = tree / "user.slice/atek.service/i1/memory.events"
    for text, told in (("low 0\noom_kill 0\n", False), ("oom 3\noom_kill 1\n", True), ("nonsense", False)):
        events.write_text(text)
        assert limiter.out_of_memory("i1") is told


def test_open_files_are_each_processs_limit() -> None:
    with subprocess.Popen(["sleep", "1000"]) as child:
        limits = Resources.model_validate({"openFiles": 64})
        assert RlimitLimiter().apply("i1", child.pid, limits) == []
        assert resource.prlimit(child.pid, resource.RLIMIT_NOFILE) == (64, 64)
        child.kill()


@pytest.mark.parametrize("lingers", [True, False])
def test_a_users_manager_is_asked_for_a_scope_only_for_who_lingers(
    tmp_path: Path, lingers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    own, asked, busctl = tmp_path / "own", tmp_path / "asked", tmp_path / "busctl"
    own.write_text("0::/user.slice/user-1000.slice/session-3.scope\n")
    scope = "/user.slice/user-1000.slice/user@1000.service/app.slice/atek-1.scope"
    busctl.write_text(f'#!/bin/sh\necho "$*" > {asked}\necho 0::{scope} > {own}\n')
    busctl.chmod(0o755)
    (tmp_path / "linger").mkdir()
    if lingers:
        (tmp_path / "linger" / "me").touch()
    assert enter_user_scope(tmp_path / "linger", own, busctl=str(busctl), name="me") is lingers
    assert asked.exists() is lingers
    if lingers:
        assert f"PIDs au 1 {os.getpid()} Delegate b true" in asked.read_text()


def test_a_manager_that_is_away_is_no_scope(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    (tmp_path / "me").touch()
    assert not enter_user_scope(tmp_path, busctl=str(tmp_path / "none"), name="me")
    assert not enter_user_scope(tmp_path, busctl="false", name="me")


def test_looking_takes_nothing_over(tree: Path) -> None:
    assert isinstance(make_limiter(tree, tree / "own", take_over=False), CgroupLimiter)
    assert not (tree / "user.slice/atek.service/node").exists()
