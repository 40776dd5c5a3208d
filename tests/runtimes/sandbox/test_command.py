"""A View as bubblewrap carries it out: what is seen, what can be written, what is not there."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from runtimes.sandbox.command import Held, View, words
from runtimes.sandbox.machine import find_system, own_capabilities
from runtimes.sandbox.seccomp import filter_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtimes.sandbox.machine import Facts

LEVELS: tuple[Literal["private", "strict"], ...] = ("private", "strict")


class Box:
    """A home with an own folder and another's, and programs that are run with a View of it."""

    def __init__(self, root: Path, bwrap: str, stack: ExitStack) -> None:
        self.home, self.bwrap, self._stack = root / "home", bwrap, stack
        self.data, self.other = self.home / "data" / "app", self.home / "data" / "other"
        for folder in (self.data / "tmp", self.other):
            folder.mkdir(parents=True)
        (self.data / "own").write_text("mine")
        (self.other / "secret").write_text("yours")
        self.user = root / "user"
        self.user.mkdir()
        (self.user / "file").write_text("the user's")

    def held(self, path: Path, *, writable: bool = True) -> Held:
        return Held(self.keep(os.open(path, os.O_PATH | os.O_NOFOLLOW)), os.fspath(path), writable)

    def keep(self, descriptor: int) -> int:
        """For bubblewrap, until the test ends."""
        self._stack.callback(os.close, descriptor)
        os.set_inheritable(descriptor, True)
        return descriptor

    def view(self, level: Literal["private", "strict"], **more: Any) -> View:
        usual: dict[str, Any] = {
            "own": (self.held(self.data),), "hidden": (os.fspath(self.home),), "system": find_system(),
            "capabilities": own_capabilities() if os.geteuid() == 0 else None, "programs": (sys.base_prefix,),
        }  # fmt: skip
        return View(level, os.fspath(self.data), **{**usual, **more})

    def run(self, view: View, *line: str) -> tuple[int, str]:
        filter = filter_for(view.level, os.uname().machine)
        assert filter is not None
        seccomp = os.memfd_create("filter")
        self._stack.callback(os.close, seccomp)
        os.write(seccomp, filter)
        os.lseek(seccomp, 0, os.SEEK_SET)
        os.set_inheritable(seccomp, True)
        done = subprocess.run(
            [self.bwrap, *words(view, seccomp=seccomp, status=None), *line],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=30, check=False, close_fds=False, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout

    def python(self, view: View, script: str) -> tuple[int, str]:
        return self.run(view, "/usr/bin/python3", "-c", script)


@pytest.fixture
def box(tmp_path: Path, facts: Facts) -> Iterator[Box]:
    with ExitStack() as stack:
        yield Box(tmp_path, facts.bwrap, stack)


@pytest.mark.parametrize("level", LEVELS)
def test_its_own_is_there_and_others_is_not(box: Box, level: Literal["private", "strict"]) -> None:
    view = box.view(level)
    assert box.run(view, "cat", "own") == (0, "mine")
    assert box.run(view, "sh", "-c", "echo more >>own && cat own") == (0, "minemore\n")
    assert box.run(view, "cat", f"{box.other}/secret")[0] != 0
    assert box.run(view, "ls", os.fspath(box.home))[1].split() == ["data"]
    box.run(view, "sh", "-c", f"echo x >{box.home}/new")
    assert not (box.home / "new").exists()


def test_private_has_the_users_files_and_strict_has_not(box: Box) -> None:
    private, strict = box.view("private", shown=(box.held(box.user),)), box.view("strict")
    assert box.run(private, "cat", f"{box.user}/file") == (0, "the user's")
    assert box.run(strict, "cat", f"{box.user}/file")[0] != 0
    there = set(box.run(strict, "ls", "/")[1].split())
    assert there >= {"dev", "etc", "proc", "tmp", "usr"}
    assert not there & {"boot", "home", "mnt", "opt", "run", "srv", "sys", "var"}


def test_what_is_named_around_the_home_shows_a_private_one_nothing_of_it(box: Box) -> None:
    view = box.view("private", shown=(box.held(box.home.parent),))
    assert box.run(view, "cat", "own") == (0, "mine")
    assert box.run(view, "cat", f"{box.other}/secret")[0] != 0
    assert box.run(view, "ls", os.fspath(box.home))[1].split() == ["data"]


def test_what_a_strict_one_is_granted(box: Box) -> None:
    other = box.user / "inbox"
    other.mkdir()
    view = box.view("strict", shown=(box.held(other), box.held(box.user, writable=False)))
    assert box.run(view, "cat", f"{box.user}/file") == (0, "the user's")
    assert box.run(view, "sh", "-c", f"echo x >{box.user}/file")[0] != 0
    assert box.run(view, "sh", "-c", f"echo x >{other}/letter")[0] == 0
    assert (other / "letter").read_text() == "x\n"


def test_a_strict_one_writes_nowhere_else(box: Box) -> None:
    view = box.view("strict")
    found = box.run(
        view, "sh", "-c", "for d in / /usr /etc /bin /dev /proc /proc/sys/kernel /home /root /var; do "
        "test -d $d && touch $d/x 2>/dev/null && echo $d; done; true"
    )  # fmt: skip
    assert found == (0, "")


@pytest.mark.parametrize("setting", ["/proc/sys/kernel/core_pattern", "/proc/sys/vm/swappiness"])
def test_a_strict_one_opens_no_setting_of_the_kernel(box: Box, setting: str) -> None:
    """What root writes to the first is run by the kernel, outside: as root, and without any capability."""
    opened = f"import os; print(oct(os.stat({setting!r}).st_mode)); os.open({setting!r}, os.O_WRONLY)"
    status, said = box.python(box.view("strict"), opened)
    assert status != 0
    assert said.startswith("0o100644")
    assert "Errno 30" in said or os.geteuid() != 0


@pytest.mark.parametrize("level", LEVELS)
def test_its_temporary_folder_is_its_own(box: Box, level: Literal["private", "strict"]) -> None:
    view = box.view(level, temporary=box.held(box.data / "tmp"))
    outside = box.user.parent / "outside"
    outside.touch()
    assert box.run(view, "sh", "-c", "touch /tmp/x && ls tmp")[1].split()[-1] == "x"
    assert (box.data / "tmp" / "x").exists()
    in_memory = box.view(level, temporary=None)
    assert box.run(in_memory, "sh", "-c", "touch /tmp/y && stat -c %a /tmp") == (0, "1777\n")
    assert not (box.data / "tmp" / "y").exists()


@pytest.mark.parametrize("level", LEVELS)
def test_other_processes_are_not_there(box: Box, level: Literal["private", "strict"]) -> None:
    _, said = box.run(box.view(level), "sh", "-c", "ls -d /proc/[0-9]*")
    assert len(said.split()) <= 3
    assert box.run(box.view(level), "kill", "-0", str(os.getpid()))[0] != 0


@pytest.mark.parametrize("level", LEVELS)
def test_it_gets_no_more_rights(box: Box, level: Literal["private", "strict"]) -> None:
    said = box.run(box.view(level), "cat", "/proc/self/status")[1]
    fields = dict(line.split(":\t", 1) for line in said.splitlines() if ":\t" in line)
    assert fields["NoNewPrivs"] == "1" and fields["Seccomp"] == "2"
    dangerous = [16, 17, 19, 21, 22]  # SYS_MODULE, SYS_RAWIO, SYS_PTRACE, SYS_ADMIN, SYS_BOOT
    had = int(fields["CapPrm"], 16) | int(fields["CapEff"], 16) | int(fields["CapAmb"], 16)
    assert not any(had >> each & 1 for each in dangerous)
    assert level == "private" or had == 0


MAKE_NAMESPACE = "import ctypes, os; l = ctypes.CDLL(None, use_errno=True); r = l.unshare(0x10000000); "
MAKE_NAMESPACE += "print(r, ctypes.get_errno())"


def test_only_private_makes_namespaces_of_its_own(box: Box) -> None:
    assert box.python(box.view("private"), MAKE_NAMESPACE)[1] == "0 0\n"
    assert box.python(box.view("strict"), MAKE_NAMESPACE)[1] == "-1 1\n"


def test_a_nested_namespace_shows_nothing_that_was_hidden(box: Box) -> None:
    script = f"umount {box.home} 2>&1; umount -l /proc; umount {box.data}; cat {box.other}/secret"
    code, said = box.run(box.view("private"), "unshare", "-Urm", "sh", "-c", script)
    assert code != 0 and "yours" not in said


@pytest.mark.parametrize("level", LEVELS)
def test_nothing_is_left_open_in_it(box: Box, level: Literal["private", "strict"]) -> None:
    view = box.view(level)
    held = {os.fspath(box.data)}
    _, said = box.run(view, "sh", "-c", "for f in /proc/self/fd/*; do readlink $f; done")
    assert not held & set(said.split()) and "memfd" not in said


def test_strict_has_no_network_and_its_own_everything(box: Box) -> None:
    assert "lo:" in (said := box.run(box.view("strict"), "cat", "/proc/net/dev")[1])
    assert len(said.splitlines()) == 3
    for kind in ("user", "net", "pid", "ipc", "uts", "mnt"):
        assert box.run(box.view("strict"), "readlink", f"/proc/self/ns/{kind}")[1].strip() != os.readlink(
            f"/proc/self/ns/{kind}"
        )


def test_a_folder_that_was_exchanged_for_a_link_is_not_followed(box: Box) -> None:
    view = box.view("private")
    box.data.rename(box.home / "data" / "moved")
    box.data.symlink_to(box.other)
    assert box.run(view, "cat", "own") == (0, "mine")


def test_a_file_made_for_it(box: Box) -> None:
    text = os.memfd_create("text")
    os.write(text, b"root:x:0:0::/:/bin/sh\n")
    os.lseek(text, 0, os.SEEK_SET)
    os.set_inheritable(text, True)
    view = box.view("strict", texts=(Held(text, "/etc/passwd"),))
    assert box.run(view, "cat", "/etc/passwd") == (0, "root:x:0:0::/:/bin/sh\n")
    os.close(text)


def test_what_the_system_says_is_there_by_mount_by_copy_and_by_link(box: Box) -> None:
    system = find_system()
    assert set(system.copied) and not set(system.copied) & set(system.folders)
    linked = [path for path, _ in system.links if path.startswith("/etc")]

    def view() -> View:
        copies = [Held(box.keep(os.open(path, os.O_RDONLY)), path) for path in system.copied]
        return box.view("strict", system=system, texts=copies)

    there = (*system.copied, *linked)
    code, said = box.run(view(), "sha256sum", *there)
    assert code == 0
    assert said.split()[::2] == [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in there]
    change = "for f; do { echo x >$f || rm $f || mv $f /etc/x; } && echo $f; done 2>/dev/null; true"
    assert box.run(view(), "sh", "-c", change, "sh", *system.copied) == (0, "")


def test_what_covers_hidden_folders_is_empty_and_small(box: Box) -> None:
    other = box.user / "home"
    other.mkdir()
    (other / "secret").write_text("another's")
    view = box.view("private", hidden=(os.fspath(box.home), os.fspath(other)))
    assert box.run(view, "ls", "-A", os.fspath(other)) == (0, "")
    big = f"head -c 100000 /dev/zero >{other}/x; wc -c <{other}/x 2>/dev/null || echo 0"
    assert int(box.run(view, "sh", "-c", big)[1].split()[-1]) <= 4096
    assert [each.name for each in other.iterdir()] == ["secret"]
