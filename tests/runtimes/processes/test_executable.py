"""Programs that this machine cannot start are told by what is wrong with them, not by the kernel's errno."""

from __future__ import annotations

import os
import struct
import sys
from typing import TYPE_CHECKING

import pytest

from runtimes.base import PermanentFailure
from runtimes.processes.executable import env_asks_for, judge, require_executable

if TYPE_CHECKING:
    from pathlib import Path

OTHER = "aarch64" if os.uname().machine == "x86_64" else "x86_64"
NUMBERS = {"x86_64": 0x3E, "aarch64": 0xB7, "arm": 0x28, "i386": 0x03, "riscv64": 0xF3}


def elf(machine: str, loader: str = "", *, bits: int = 64, big: bool = False) -> bytes:
    """The head of a program with one program header, as elf(5) lays it out."""
    order = ">" if big else "<"
    ident = b"\x7fELF" + bytes([2 if bits == 64 else 1, 2 if big else 1, 1]) + bytes(9)
    name = os.fsencode(loader) + b"\0"
    if bits == 64:
        head = ident + struct.pack(
            f"{order}HHIQQQIHHHHHH", 2, NUMBERS[machine], 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0
        )
        table = struct.pack(f"{order}IIQQQQQQ", 3 if loader else 1, 4, 120, 0, 0, len(name), len(name), 1)
    else:
        head = ident + struct.pack(
            f"{order}HHIIIIIHHHHHH", 2, NUMBERS[machine], 1, 0, 52, 0, 0, 52, 32, 1, 0, 0, 0
        )
        table = struct.pack(f"{order}IIIIIIII", 3 if loader else 1, 84, 0, 0, len(name), len(name), 4, 1)
    return head + table + name


def reason(head: bytes, machine: str = "x86_64", *there: str) -> str:
    found = judge(head, "/opt/app/run", machine, lambda path: path in there)
    return "" if found is None else f"{found.reason}: {found.message} ({found.hint})"


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (elf("aarch64"), "WrongProcessor: /opt/app/run is built for aarch64, and this machine is x86_64"),
        (elf("riscv64"), "riscv64"),
        (
            elf("x86_64", "/lib/ld-musl-x86_64.so.1"),
            "needs the loader /lib/ld-musl-x86_64.so.1, which is not",
        ),
        (elf("i386", "/lib/ld-linux.so.2", bits=32), "needs the loader /lib/ld-linux.so.2"),
        (b"#!/bin/sh\r\necho hello\r\n", "WrongLineEnds: the first line of /opt/app/run"),
        (b"#!/usr/bin/env python3\r\n", "sed -i 's/\\r$//' /opt/app/run"),
        (b"#! /opt/lua/bin/lua -W\nprint(1)\n", "InterpreterNotFound: /opt/app/run is for /opt/lua/bin/lua,"),
    ],
)
def test_what_cannot_run_is_named(head: bytes, words: str) -> None:
    assert words in reason(head)


@pytest.mark.parametrize(
    "head",
    [
        elf("x86_64"),
        elf("i386", bits=32),
        elf("x86_64", "/lib64/ld-linux-x86-64.so.2"),
        elf("x86_64")[:40],
        b"\x7fELF",
        b"#!/bin/sh\necho hello\r\n",
        b"#!/bin/sh",
        b"#!\n",
        b"#!",
        b"echo hello\n",
        b"",
    ],
)
def test_nothing_else_is_held_against_a_program(head: bytes) -> None:
    assert reason(head, "x86_64", "/bin/sh", "/lib64/ld-linux-x86-64.so.2") == ""


def test_headers_of_any_content_are_survived() -> None:
    for length in range(200):
        for fill in (b"\xff", b"\0", b"\x01"):
            judge(b"\x7fELF" + fill * length, "x", "x86_64", lambda _: False)
            judge(elf("x86_64", "/l")[: length + 20] + fill * 9, "x", "x86_64", lambda _: False)


def test_this_machine_runs_its_own_programs(tmp_path: Path) -> None:
    require_executable(os.path.realpath(sys.executable))
    require_executable("/bin/sh")
    require_executable(str(tmp_path / "missing"))
    foreign = tmp_path / "foreign"
    foreign.write_bytes(elf(OTHER))
    with pytest.raises(PermanentFailure, match=OTHER):
        require_executable(str(foreign))


def test_a_script_is_as_good_as_its_interpreter(tmp_path: Path) -> None:
    foreign, script, outer, circle = (tmp_path / name for name in ("foreign", "script", "outer", "circle"))
    foreign.write_bytes(elf(OTHER))
    script.write_text(f"#!{foreign} -x\n")
    outer.write_text(f"#!{script}\n")
    circle.write_text(f"#!{circle}\n")
    for each in (script, outer):
        with pytest.raises(PermanentFailure, match=f"{foreign} is built for {OTHER}"):
            require_executable(str(each))
    require_executable(str(circle))


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"#!/usr/bin/env python3\n", "python3"),
        (b"#! /usr/bin/env  lua\nx", "lua"),
        (b"#!/usr/bin/env python3 -u\n", "python3 -u"),
        (b"#!/usr/bin/env -S A=b deno run\n", "deno"),
        (b"#!/usr/bin/env -i sh\n", ""),
        (b"#!/usr/bin/env A=b\n", ""),
        (b"#!/usr/bin/env /opt/x\n", ""),
        (b"#!/usr/bin/env\n", ""),
        (b"#!/bin/sh -e\n", ""),
        (b"\x7fELF", ""),
    ],
)
def test_what_env_is_asked_for(head: bytes, name: str) -> None:
    assert env_asks_for(head) == name


def test_who_is_not_in_the_services_path_is_named(tmp_path: Path) -> None:
    script = tmp_path / "run"
    script.write_text("#!/usr/bin/env the-lua\n")
    with pytest.raises(PermanentFailure, match="is for the-lua, which is not on this machine"):
        require_executable(str(script), search=str(tmp_path))
    (tmp_path / "the-lua").write_text("")
    (tmp_path / "the-lua").chmod(0o755)
    require_executable(str(script), search=str(tmp_path))
