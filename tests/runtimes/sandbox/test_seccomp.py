"""The filter answers for every call and every argument as its table says, on all architectures."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.sandbox.seccomp import Level, denied, filter_for
from tests.runtimes.sandbox.bpf import run

ALLOW, KILL = 0x7FFF0000, 0x80000000
LEVELS: tuple[Level, ...] = ("private", "strict")
MACHINES = {"x86_64": "i386", "aarch64": "arm"}
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "i386": Path("/usr/include/x86_64-linux-gnu/asm/unistd_32.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
#: The kernel's own headers of today do not have all names of tomorrow.
NEWER = {"open_tree_attr"}
#: Those whose arguments decide, and what is nobody's business.
BY_ARGUMENT = {"ioctl", "personality", "socket", "clone", "unshare"}


def program(level: Level, machine: str) -> bytes:
    made = filter_for(level, machine)
    assert made is not None
    return made


def refused(answer: int) -> int | None:
    """The errno of an answer; None for one that allows."""
    if answer == ALLOW:
        return None
    assert answer & 0xFFFF0000 == 0x00050000, hex(answer)
    return answer & 0xFFFF


def numbers(architecture: str) -> dict[str, int]:
    """As the kernel's headers say."""
    text = HEADERS[architecture].read_text() if HEADERS[architecture].exists() else ""
    found = re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)\s*$", text, re.MULTILINE)
    return {name: int(number) for name, number in found}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("architecture", HEADERS)
def test_every_call_of_the_headers_is_answered_by_its_name(level: Level, architecture: str) -> None:
    known = numbers(architecture)
    if not known:
        pytest.skip("the kernel's headers of that architecture are not on this machine")
    machine = "aarch64" if architecture == "aarch64" else "x86_64"
    made, expected = program(level, machine), denied(level)
    if (level, architecture) == ("strict", "i386"):
        assert {run(made, architecture, number) for number in known.values()} == {KILL}
        return
    for name, number in known.items():
        if name in BY_ARGUMENT or (architecture == "aarch64" and name.endswith("time64")):
            # That one is there for 32 bits only.
            continue
        assert refused(run(made, architecture, number)) == expected.get(name), name
    # No name is misspelt.
    everywhere = {name for each in HEADERS for name in numbers(each)}
    assert expected.keys() - everywhere <= NEWER


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("machine", MACHINES)
@given(number=st.integers(0, 2**32 - 1), arguments=st.lists(st.integers(0, 2**64 - 1), max_size=6))
def test_any_call_has_an_answer(level: Level, machine: str, number: int, arguments: list[int]) -> None:
    for architecture in (machine, MACHINES[machine], "riscv64"):
        answer = run(program(level, machine), architecture, number, *arguments)
        assert answer in (ALLOW, KILL) or refused(answer) in (errno.EPERM, errno.ENOSYS, errno.EAFNOSUPPORT)
        if architecture == "riscv64" or (level == "strict" and architecture != machine):
            assert answer == KILL


@pytest.mark.parametrize("machine", MACHINES)
def test_strict_refuses_at_least_what_private_does(machine: str) -> None:
    for number in range(600):
        private = run(program("private", machine), machine, number)
        if private != ALLOW:
            assert run(program("strict", machine), machine, number) == private


def test_x32_is_no_way_round() -> None:
    for level in LEVELS:
        assert refused(run(program(level, "x86_64"), "x86_64", 0x40000000 | 321)) == errno.ENOSYS


NEW_USER, NEW_NET, THREAD = 0x10000000, 0x40000000, 0x00010F00


@pytest.mark.parametrize(
    ("call", "arguments", "private", "strict"),
    [
        (16, (0, 0x5412), errno.EPERM, errno.EPERM),  # ioctl TIOCSTI
        (16, (0, 0xFFFFFFFF00005412), errno.EPERM, errno.EPERM),  # the kernel takes 32 bits
        (16, (0, 0x541C), errno.EPERM, errno.EPERM),
        (16, (0, 0x5401), None, None),
        (135, (0,), None, None),
        (135, (0xFFFFFFFF,), None, None),
        (135, (0x0400000,), errno.EPERM, errno.EPERM),  # READ_IMPLIES_EXEC
        (41, (1,), None, None),
        (41, (2,), None, None),
        (41, (16,), None, None),
        (41, (17,), None, errno.EAFNOSUPPORT),
        (41, (31,), None, errno.EAFNOSUPPORT),
        (41, (38,), errno.EAFNOSUPPORT, errno.EAFNOSUPPORT),  # AF_ALG
        (41, (40,), errno.EAFNOSUPPORT, errno.EAFNOSUPPORT),  # AF_VSOCK
        (56, (THREAD,), None, None),
        (56, (NEW_USER | 17,), None, errno.EPERM),
        (56, (NEW_NET | 17,), None, errno.EPERM),
        (272, (0x200,), None, None),  # unshare CLONE_FS
        (272, (NEW_USER,), None, errno.EPERM),
        (272, (0x80,), None, errno.EPERM),  # CLONE_NEWTIME
    ],
)
def test_arguments_decide(
    call: int, arguments: tuple[int, ...], private: int | None, strict: int | None
) -> None:
    assert refused(run(program("private", "x86_64"), "x86_64", call, *arguments)) == private
    assert refused(run(program("strict", "x86_64"), "x86_64", call, *arguments)) == strict


def test_another_processor_has_no_filter_yet() -> None:
    assert filter_for("strict", "riscv64") is None
