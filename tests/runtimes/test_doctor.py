"""The doctor looks, tells, and changes nothing."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pytest

from runtimes import doctor
from runtimes.doctor import check


def found(home: Path, name: str, port: int = 0) -> doctor.Check:
    return next(each for each in check(home, port) if each.name == name)


def test_this_machine_can_run_a_node(tmp_path: Path) -> None:
    missing = [each for each in check(tmp_path / "home", 0) if each.necessary and not each.ok]
    assert missing == []
    assert not (tmp_path / "home").exists()


def test_a_home_that_others_can_read_is_told(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    assert "chmod 700" in found(home, "home").hint


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        told = found(tmp_path, "port", holder.getsockname()[1])
    assert not told.ok and not told.necessary and "in use" in told.message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run programs as other users")
def test_an_interpreter_that_services_users_cannot_get_to_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        (folder / "closed").mkdir(mode=0o700)
        (folder / "python").symlink_to(folder / "closed" / "python")
        monkeypatch.setattr(doctor, "_runners", lambda: iter([str(folder / "python")]))
        folder.chmod(0o755)

        def users() -> doctor.Check:
            return next(each for each in check(folder / "home", 0, "700000-765535") if each.name == "users")

        assert not users().ok and f"{folder}/closed lets nobody pass" in users().message
        assert not users().necessary and "/opt" in users().hint
        (folder / "closed").chmod(0o711)
        assert users().ok


def test_everything_that_is_wrong_has_a_hint_or_is_only_for_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(doctor, "OLDEST_GLIBC", (99, 0))
    monkeypatch.setattr(doctor, "LITTLE_SPACE", 2**80)
    for each in check(tmp_path, 0):
        assert each.ok or each.hint or "later" in each.message


@pytest.mark.parametrize(
    ("log", "ok", "message", "hint"),
    [
        (None, True, "nothing is known against it", ""),
        ("ready\n", True, "nothing is known against it", ""),
        ("STORE_DAMAGED: old (mend it)\nready\n", True, "nothing is known against it", ""),
        ("ready\nSTORE_DAMAGED: the store (of x) is damaged: bad (mend it)\n[Error]\n", False,
         "the store (of x) is damaged: bad", "mend it"),
        ("STORE_LOCKED: another has it\n", False, "another has it", ""),
    ],
    ids=["no log", "opened", "opened after all", "damaged", "locked"],
)  # fmt: skip
def test_what_the_daemon_said_of_its_store(
    tmp_path: Path, log: str | None, ok: bool, message: str, hint: str
) -> None:
    if log is not None:
        file = tmp_path / "logs" / "core.hyper" / "service.log"
        file.parent.mkdir(parents=True)
        file.write_text(log)
    told = found(tmp_path, "hyper store")
    assert (told.ok, told.message, told.hint) == (ok, message, hint)
