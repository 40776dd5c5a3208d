"""Every knob that forbids sandboxes is named, with what to do about it."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from runtimes.sandbox.machine import Machine, read_knobs
from runtimes.sandbox.troubles import Knobs, diagnose, profile_command

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NO_NAMESPACE = (
    "bwrap: No permissions to create new namespace, likely because the kernel does not allow non-privileged "
    "user namespaces. On e.g. debian this can be enabled with 'sysctl kernel.unprivileged_userns_clone=1'."
)
NO_MAP = "bwrap: setting up uid map: Permission denied"
NO_PROC = "bwrap: Can't mount proc on /newroot/proc: Operation not permitted"
NO_ROOM = (
    "bwrap: Creating new namespace failed: nesting depth or /proc/sys/user/max_*_namespaces exceeded (ENOSPC)"
)
OPEN = Knobs(namespaces=96365)


@pytest.mark.parametrize(
    ("said", "knobs", "root", "message", "hint"),
    [
        ("bwrap: Unknown option --bind-fd", OPEN, False, "too old: it does not know --bind-fd", "update"),
        (NO_NAMESPACE, Knobs(96365, unprivileged=0), False, "unprivileged_userns_clone = 0", "clone=1"),
        (NO_ROOM, Knobs(0), False, "user.max_user_namespaces = 0", "max_user_namespaces=28633"),
        (NO_MAP, Knobs(96365, apparmor=1), False, "apparmor_restrict_unprivileged_userns", "profile bwrap"),
        (NO_NAMESPACE, Knobs(96365, selinux=1), False, "deny_userns", "setsebool -P deny_userns off"),
        (NO_ROOM, OPEN, False, "as many namespaces as this machine allows", "max_*_namespaces"),
        (NO_ROOM, Knobs(0), True, "as many namespaces as this machine allows", "max_*_namespaces"),
        (NO_PROC, Knobs(96365, container="Docker"), True, "hides parts of /proc", "systempaths=unconfined"),
        (NO_NAMESPACE, Knobs(96365, container="Podman"), False, "may not make", "seccomp=unconfined"),
        (NO_MAP, Knobs(96365, apparmor=1, container="lxc"), False, "apparmor_restrict", "profile bwrap"),
        ("bwrap: something\x1b[31m new\nmore", OPEN, False, "bwrap: something[31m new", ""),
        ("", OPEN, False, "does not say why", "bwrap --bind / / true"),
    ],
)
def test_what_a_failure_means(said: str, knobs: Knobs, root: bool, message: str, hint: str) -> None:
    trouble = diagnose(said, knobs, bwrap="/usr/bin/bwrap", root=root)
    assert message in trouble.message and hint in trouble.hint
    assert "\n" not in str(trouble)


def test_the_profile_names_the_program_that_is_there() -> None:
    told = profile_command("/opt/bin/bwrap")
    assert "profile bwrap /opt/bin/bwrap flags=(unconfined) {\\n  userns,\\n" in told
    assert "apparmor_parser -r /etc/apparmor.d/bwrap" in told


#: What a program in a sandbox says of itself.
BOUND = "printf 'CapPrm:\\t0000000000000000\\nNoNewPrivs:\\t1\\n';"


def bwrap_in(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    file = folder / "bwrap"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_what_works_is_tried_once_and_what_does_not_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bwrap_in(tmp_path, monkeypatch, f'echo "$@" >>{tmp_path}/tried; {BOUND} test -e {tmp_path}/works')
    machine = Machine()
    assert machine.facts().private is not None and machine.facts().strict is not None
    (tmp_path / "works").touch()
    assert machine.facts().private is None and machine.facts().strict is None
    before = (tmp_path / "tried").read_text()
    assert machine.facts().bwrap == os.fspath(tmp_path / "bwrap")
    assert (tmp_path / "tried").read_text() == before
    machine.forget()
    (tmp_path / "works").unlink()
    assert machine.facts().private is not None


def test_without_strict_there_may_be_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bwrap_in(
        tmp_path,
        monkeypatch,
        'case "$*" in *unshare-all*) echo "bwrap: Unknown option --x"; exit 1; esac;' + BOUND,
    )
    facts = Machine().facts()
    assert facts.private is None and facts.strict is not None and "too old" in facts.strict.message


@pytest.mark.parametrize(
    "said", ["CapPrm:\\t000001ffffffffff\\nNoNewPrivs:\\t1", "CapPrm:\\t0\\nNoNewPrivs:\\t0", ""]
)
def test_one_that_leaves_rights_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    bwrap_in(tmp_path, monkeypatch, f"printf '{said}\\n'")
    facts = Machine().facts()
    assert facts.private is not None and "leaves a program its rights" in facts.private.message


def test_no_bubblewrap_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    facts = Machine().facts()
    assert facts.private is not None and "not installed" in facts.private.message


def test_one_that_cannot_be_run_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(line: Sequence[str]) -> tuple[int, str]:
        raise PermissionError(13, "Permission denied")

    bwrap_in(tmp_path, monkeypatch, "true")
    facts = Machine(run).facts()
    assert facts.private is not None and "cannot be run" in facts.private.message


def test_the_knobs_of_this_machine_are_read() -> None:
    knobs = read_knobs()
    assert knobs.namespaces is None or knobs.namespaces >= 0
