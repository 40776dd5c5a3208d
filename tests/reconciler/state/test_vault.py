"""What is kept of secrets between the moment they are read and the moment they are needed."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from manifests.model.manifest import Manifest
from manifests.model.service import Service, make_service
from manifests.model.snapshot import Declared
from manifests.packages.resolve import ResolveError
from manifests.sops import age
from manifests.sops.document import load, seal, store_of
from manifests.sops.rules import DEFAULT
from reconciler.errors import UserError
from reconciler.state import vault as module
from reconciler.state.age_key import FILE, ensure_identity, read_identity, recipient
from reconciler.state.vault import FOLDER, Vault
from runtimes.base import RuntimeFailure

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    (made / "state").mkdir(parents=True)
    (made / "state" / "node.secret").write_bytes(os.urandom(32))
    return made


def declared(folder: Path, **secrets: object) -> Declared:
    manifest = Manifest.model_validate({"id": "app", "command": ["true"], "secrets": secrets})
    return Declared(manifest, str(folder), "app.yaml")


def kept(vault: Vault, one: Declared) -> Service:
    found = vault.read(one, "file")
    service = make_service(
        one.manifest, runtime="process", package=None, source="x", secrets=vault.digest(found)
    )
    vault.keep(service, found)
    return service


def write(folder: Path, name: str, plain: str, *recipients: str) -> None:
    store = store_of(name)
    sealed = seal(
        store, load(store, plain.encode()), recipients=recipients, rule=DEFAULT, mac_only_encrypted=False,
        modified="2026-11-30T12:00:00Z", random=os.urandom,
    )  # fmt: skip
    (folder / name).write_bytes(sealed)


def test_an_identity_is_made_once_for_its_owner_alone(home: Path) -> None:
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.append(ensure_identity(home))) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert set(made) == {read_identity(home)} and len(made) == 8
    assert stat.S_IMODE((home / FILE).stat().st_mode) == 0o600
    assert [each.name for each in (home / "state").iterdir() if "age" in each.name] == ["age.key"]
    assert recipient(home) == age.recipient_of(made[0])


def test_an_identity_that_others_can_read_or_that_is_none_is_said(home: Path) -> None:
    ensure_identity(home)
    (home / FILE).chmod(0o644)
    with pytest.raises(UserError, match="read by others"):
        read_identity(home)
    (home / FILE).chmod(0o600)
    (home / FILE).write_text("nothing\n")
    with pytest.raises(UserError, match="no age identity"):
        ensure_identity(home)
    write(home, "a.yaml", "b: c\n", age.recipient_of(age.new_identity()))
    with pytest.raises(ResolveError) as caught:
        Vault(home).read(declared(home, A={"file": "a.yaml", "key": "b"}), "file")
    assert caught.value.reason == "IdentityBroken"


def test_what_was_read_is_given_whatever_becomes_of_the_files(home: Path, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"b": "the text"}')
    vault = Vault(home)
    secrets = {"A": {"file": "a.json", "key": "b"}, "F": {"file": "a.json", "as": "file"}}
    service = kept(vault, declared(tmp_path, **secrets))
    (tmp_path / "a.json").unlink()

    given = Vault(home).open(service)

    assert given.env == {"A": "the text"}
    ((name, data),) = [(each.name, each.data) for each in given.files]
    assert (name, data) == ("F", b'{"b": "the text"}')
    for file in home.rglob("*"):
        assert not file.is_file() or b"the text" not in file.read_bytes()
    assert "the text" not in repr(given) + repr(service) + repr(vault.__dict__)


def test_a_digest_tells_nothing_and_changes_with_what_is_delivered(home: Path, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"b": "x", "c": "x"}')
    vault = Vault(home)

    def digest(vault: Vault = vault, **secrets: object) -> str:
        return vault.digest(vault.read(declared(tmp_path, **secrets), "file"))

    first = digest(A={"file": "a.json", "key": "b"})
    (other := tmp_path / "other" / "state").mkdir(parents=True)
    (other / "node.secret").write_bytes(os.urandom(32))

    # Where it was found makes no difference; the text, the name and the form do. Each node has its key.
    assert digest(A={"file": "a.json", "key": "c"}) == first
    assert digest(vault=Vault(other.parent), A={"file": "a.json", "key": "b"}) != first
    assert digest(B={"file": "a.json", "key": "b"}) != first
    assert digest(A={"file": "a.json", "key": "b", "as": "file"}) != first
    (tmp_path / "a.json").write_text('{"b": "y"}')
    assert digest(A={"file": "a.json", "key": "b"}) != first
    assert digest() == ""


def test_only_what_is_needed_is_kept(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = Vault(home)
    services = []
    for text in "abc":
        (tmp_path / "t.bin").write_text(text)
        services.append(kept(vault, declared(tmp_path, A={"file": "t.bin"})))
    vault.collect("app", {services[0].revision})
    assert len(list((home / FOLDER / "app").iterdir())) == 3
    monkeypatch.setattr(module, "_NEW", -1.0)
    vault.collect("app", {services[0].revision})

    assert vault.open(services[0]).env == {"A": "a"}
    with pytest.raises(RuntimeFailure) as caught:
        vault.open(services[1])
    assert caught.value.reason == "SecretsMissing"
    vault.collect("app", ())
    assert not (home / FOLDER / "app").exists()


def test_what_is_kept_is_for_this_node_alone(home: Path, tmp_path: Path) -> None:
    (tmp_path / "t.bin").write_text("a")
    vault = Vault(home)
    service = kept(vault, declared(tmp_path, A={"file": "t.bin"}))
    (home / FILE).unlink()
    ensure_identity(home)
    with pytest.raises(RuntimeFailure, match="another age identity") as caught:
        vault.open(service)
    assert not caught.value.permanent
    # Whoever looks at it again mends it.
    kept(vault, declared(tmp_path, A={"file": "t.bin"}))
    assert vault.open(service).env == {"A": "a"}


@pytest.mark.parametrize("text", ["AGE-SECRET-KEY-1NONE\n", "\n", "AGE-SECRET-KEY-1" + "Q" * 58 + "\n"])
def test_an_identity_that_is_damaged_is_said_wherever_it_is_needed(
    home: Path, tmp_path: Path, text: str
) -> None:
    (tmp_path / "t.bin").write_text("a")
    write(tmp_path, "a.yaml", "b: c\n", recipient(home))
    vault = Vault(home)
    service = kept(vault, declared(tmp_path, A={"file": "t.bin"}))
    (home / FILE).write_text(text)
    for secret in ({"file": "t.bin"}, {"file": "a.yaml", "key": "b"}):
        with pytest.raises(ResolveError) as caught:
            kept(vault, declared(tmp_path, A=secret))
        assert caught.value.reason == "IdentityBroken"
    with pytest.raises(RuntimeFailure):
        vault.open(service)


@pytest.mark.parametrize(
    ("name", "plain", "secret", "wanted"),
    [
        ("a.env", "A='x y' # c\nB=\"l1\\nl2\"\nC=p$w\n", {"key": "A"}, "x y"),
        ("a.env", "A='x y' # c\nB=\"l1\\nl2\"\nC=p$w\n", {"key": "B"}, "l1\nl2"),
        ("a.env", "A='x y' # c\nB=\"l1\\nl2\"\nC=p$w\n", {"key": "C"}, "p$w"),
        ("a.yaml", "a: {b: [1, true, 1.50]}\n", {"key": "a.b.2"}, "1.50"),
        ("a.yaml", "a: {b: [1, true, 0123]}\n", {"key": "a.b.1"}, "true"),
        ("a.json", '{"a": 12345678}', {"key": "a"}, "12345678"),
        ("a.ini", "[db]\npw = x y\n", {"key": "db.pw"}, "x y"),
        ("a.bin", "whole\n", {}, "whole"),
        ("a.yaml", "a: b\nc: d\n", {"text": "${a}-$$-${c}-$e"}, "b-$-d-$e"),
        ("a.yaml", "a: {b: c}\n", {"key": "a"}, "SecretNotAValue"),
        ("a.yaml", "a: {b: c}\n", {"key": "a.c"}, "SecretKeyNotFound"),
        ("a.bin", "a", {"key": "a"}, "SecretKeyNotFound"),
        ("a.yaml", "a: 'x\0y'\n".replace("\0", "\\0").replace("'", '"'), {"key": "a"}, "SecretNotAValue"),
        ("../home/state/x.env", "A=b\n", {"key": "A"}, "b"),
    ],
)
@pytest.mark.parametrize("is_sealed", [True, False])
def test_what_a_key_finds(
    home: Path, tmp_path: Path, name: str, plain: str, secret: dict[str, str], wanted: str, is_sealed: bool
) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    if is_sealed:
        write(folder, name, plain, recipient(home))
    else:
        (folder / name).write_text(plain)
    try:
        found = Vault(home).read(declared(folder, A={"file": name, **secret}), "file")
    except ResolveError as error:
        assert error.reason == wanted
        return
    assert found.values["A"].data.decode() == wanted
    assert bool(found.bare) is not is_sealed


def test_what_others_wrote_reads_only_what_lies_beside_it(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "a.bin").write_text("x")
    (folder / "link.bin").symlink_to("/etc/hostname")
    for file in ("link.bin", "/etc/hostname", "../../etc/hostname", "~/x"):
        with pytest.raises(ResolveError) as caught:
            Vault(home).read(declared(folder, A={"file": file}), "git")
        assert caught.value.reason == "SecretForbidden"
    assert Vault(home).read(declared(folder, A={"file": "a.bin"}), "git").values["A"].data == b"x"


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.mkdir()])
def test_what_is_no_file_is_not_waited_for(home: Path, tmp_path: Path, make: object) -> None:
    make(tmp_path / "odd.bin")  # type: ignore[operator]
    with pytest.raises(ResolveError) as caught:
        Vault(home).read(declared(tmp_path, A={"file": "odd.bin"}), "file")
    assert caught.value.reason in ("SecretFileNotFound", "SecretFileUnreadable")


def test_a_file_of_another_kind_than_its_name_says(home: Path, tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "a: b\n", recipient(home))
    (tmp_path / "a.yaml").rename(tmp_path / "a.txt")
    with pytest.raises(ResolveError, match=r"a yaml file of SOPS.*\.yaml"):
        Vault(home).read(declared(tmp_path, A={"file": "a.txt", "key": "a"}), "file")


def test_a_node_without_secrets_loads_nothing_of_all_this() -> None:
    """Each costs a start of the node some ten milliseconds, and memory for good."""
    heavy = "{'yaml', 'pyrage', 'cryptography', 'jsonschema_rs', 'manifests.sops'}"
    program = f"import sys, reconciler.up; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
