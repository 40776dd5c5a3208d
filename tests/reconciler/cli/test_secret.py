"""`atek secret`: files of SOPS, made, changed and given to others."""

from __future__ import annotations

import io
import os
import stat
from typing import TYPE_CHECKING

import pytest

from manifests.sops import age
from manifests.sops.document import open_file, read_sealed, store_of
from reconciler.cli import secret
from reconciler.state.age_key import ensure_identity
from runtimes.memory_files import memory_folder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.reconciler.cli.atek import Atek

PLAIN = "# why\nuser: alice\npassword: hunter2\n"


@pytest.fixture(autouse=True)
def _this_process_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(secret, "keep_to_itself", lambda: None)
    for name in ("SOPS_AGE_KEY", "SOPS_AGE_KEY_FILE", "VISUAL", "EDITOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "secrets.yaml"
    made.write_text(PLAIN)
    made.chmod(0o640)
    return made


def own(atek: Atek) -> str:
    return ensure_identity(atek.home)


def plain(file: Path, *identities: str) -> str:
    return open_file(file.read_bytes(), store_of(file.name), identities, os.urandom).plain().decode()


def recipients(file: Path) -> tuple[str, ...]:
    return read_sealed(file.read_bytes(), store_of(file.name))[1].names


def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """`$1` is the file to edit."""
    program = tmp_path / "editor"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(program))


def test_a_file_is_sealed_in_its_place(atek: Atek, file: Path) -> None:
    other = age.new_identity()
    result = atek("secret", "seal", str(file), "--to", age.recipient_of(other))

    assert (result.status, result.err) == (0, "")
    assert "hunter2" not in file.read_text() and "why" not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert plain(file, own(atek)) == plain(file, other) == PLAIN
    again = atek("secret", "seal", str(file))
    assert (again.status, "encrypted already" in again.err) == (1, True)


def test_a_rule_beside_it_says_for_whom_and_what(atek: Atek, file: Path) -> None:
    one, two = age.new_identity(), age.new_identity()
    (file.parent / ".sops.yaml").write_text(
        "creation_rules:\n"
        f"  - path_regex: other\n    age: {age.recipient_of(one)}\n"
        f"  - path_regex: secrets\\.yaml$\n    age: >-\n      {age.recipient_of(two)},\n"
        f"      {age.recipient_of(one)}\n    encrypted_regex: ^pass\n"
    )
    assert atek("secret", "seal", str(file)).status == 0

    assert recipients(file) == (age.recipient_of(two), age.recipient_of(one))
    assert "user: alice\n" in file.read_text() and "hunter2" not in file.read_text()
    (file.parent / "nobody.yaml").write_text("a: 1\n")
    refused = atek("secret", "seal", str(file.parent / "nobody.yaml"))
    assert "no creation rule" in refused.err
    (file.parent / ".sops.yaml").write_text("creation_rules:\n  - pgp: ABCD\n    age: age1x\n")
    assert "PGP" in atek("secret", "seal", str(file.parent / "nobody.yaml")).err
    assert (file.parent / "nobody.yaml").read_text() == "a: 1\n"


def test_standard_input_is_sealed_to_standard_output(
    atek: Atek, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"A=b\n")))
    out = tmp_path / "out.env"
    assert atek("secret", "seal", "-", "-o", str(out)).status == 0
    assert plain(out, own(atek)) == "A=b\n"


def test_editing_is_in_memory_and_changes_what_was_changed(
    atek: Atek, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    atek("secret", "seal", str(file))
    before = file.read_text().splitlines()
    seen = tmp_path / "kind"
    look = f'stat -f -c %T "$1" > {seen}; stat -c %a "$1" >> {seen}'
    editor(tmp_path, monkeypatch, f'{look}; sed -i s/hunter2/s3cret/ "$1"')
    assert atek("secret", "edit", str(file)).out == f"{file} encrypted\n"

    assert seen.read_text() == "tmpfs\n600\n"
    assert plain(file, own(atek)) == PLAIN.replace("hunter2", "s3cret")
    assert [old == new for old, new in zip(before, file.read_text().splitlines(), strict=True)][:3] == [
        True, True, False,
    ]  # fmt: skip
    # What was killed in the middle is gone as well.
    memory = memory_folder()
    assert memory is not None
    left = memory / "atek-edit-4194999-x"
    left.mkdir()
    assert atek("secret", "edit", str(file)).out == f"{file} unchanged\n"
    assert memory is not None and not list(memory.glob("atek-edit-*"))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("true", ""),
        ("echo 'a: [' > $1", "not valid YAML"),
        ("exit 3", "status 3"),
        ("echo x: y > $1; exit 1", "status 1"),
    ],
)
def test_an_edit_that_is_none_leaves_the_file(
    atek: Atek, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    atek("secret", "seal", str(file))
    before = file.read_bytes()
    editor(tmp_path, monkeypatch, script)
    result = atek("secret", "edit", str(file))

    assert file.read_bytes() == before
    assert words in result.err and (result.status == 0) is not bool(words)


def test_somebody_else_s_change_is_not_lost(
    atek: Atek, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    atek("secret", "seal", str(file))
    editor(tmp_path, monkeypatch, f"echo x: y > $1; echo theirs > {file}")
    assert "meanwhile" in atek("secret", "edit", str(file)).err
    assert file.read_text() == "theirs\n"


def test_a_file_that_is_not_there_is_made(
    atek: Atek, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor(tmp_path, monkeypatch, "echo a: b > $1")
    made = tmp_path / "new.yaml"
    assert atek("secret", "edit", str(made)).status == 0
    assert plain(made, own(atek)) == "a: b\n"


def test_a_rotation_changes_key_and_recipients(
    atek: Atek, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    atek("secret", "seal", str(file))
    before, other = file.read_text(), age.new_identity()
    mine = recipients(file)[0]
    assert atek("secret", "rotate", str(file), "--add", age.recipient_of(other)).status == 0
    assert recipients(file) == (mine, age.recipient_of(other))
    assert plain(file, other) == PLAIN
    assert set(before.splitlines()).isdisjoint(file.read_text().splitlines()[:3])

    result = atek("secret", "rotate", str(file), "--remove", mine)
    assert "change the secrets themselves" in result.err and recipients(file) == (age.recipient_of(other),)
    refused = atek("secret", "rotate", str(file), "--add", mine)
    assert (refused.status, mine in refused.err) == (1, True)
    # Whoever has another identity where sops looks for one can give it back.
    monkeypatch.setenv("SOPS_AGE_KEY", other)
    assert atek("secret", "rotate", str(file), "--add", mine).status == 0
    (file.parent / ".sops.yaml").write_text(f"creation_rules:\n  - age: [{mine}]\n")
    assert atek("secret", "rotate", str(file)).status == 0
    assert recipients(file) == (mine,)
    for words in (("--add", "age1nonsense"), ("--remove", "age1nobody"), ("--remove", mine)):
        kept = file.read_bytes()
        assert atek("secret", "rotate", str(file), *words).status == 1
        assert file.read_bytes() == kept
