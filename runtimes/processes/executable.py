"""Looks at a program before it is started: what the kernel would refuse is said in words that help.

execve(2) answers a missing interpreter with "No such file", which everybody reads as the program's own, and
another processor's program with "Exec format error". A script edited on Windows has an interpreter that ends
with a carriage return. None of these mends itself by waiting.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from runtimes.base import PermanentFailure

if TYPE_CHECKING:
    from collections.abc import Callable

#: What is read of a program: longer than the kernel's own look at a script's first line (256 bytes), and
#: enough for the headers of an ELF file.
_HEAD = 4096
_SHEBANG = 256
#: How many scripts may be each other's interpreters (execve(2): four).
_SCRIPTS = 4
#: e_machine of the ELF header (elf(5)) → what `uname -m` says there.
_MACHINES = {
    0x03: "i386", 0x08: "mips", 0x14: "ppc", 0x15: "ppc64", 0x16: "s390x", 0x28: "arm", 0x3E: "x86_64",
    0xB7: "aarch64", 0xF3: "riscv64", 0x102: "loongarch64",
}  # fmt: skip
#: Processors that also run the programs of another one. Whether they may is for the kernel to say.
_ALSO = {"x86_64": ("i386",), "aarch64": ("arm",)}
_PT_INTERP = 3
_WRONG_PROCESSOR = "WrongProcessor"


def require_executable(path: str, *, search: str = "", scripts: int = _SCRIPTS) -> None:
    """Raises PermanentFailure for what cannot run here; what cannot be read is left to the kernel.

    `search` is the PATH in which a script's `#!/usr/bin/env NAME` looks for NAME.
    """
    head = head_of(path)
    objection = judge(head, path, os.uname().machine, os.path.exists)
    if objection is not None and not (objection.reason == _WRONG_PROCESSOR and _is_emulated(head)):
        raise objection
    if search and (name := env_asks_for(head[:_SHEBANG])) and shutil.which(name, path=search) is None:
        raise PermanentFailure(
            "InterpreterNotFound",
            f"{path} is for {name}, which is not on this machine",
            hint="install it, or correct the first line of the script; services do not inherit your PATH",
        )
    if scripts and (interpreter := _interpreter(head[:_SHEBANG])):
        require_executable(interpreter, scripts=scripts - 1)


def with_interpreters(path: str) -> list[str]:
    """A program, and what its first line names, and so on."""
    found = [path]
    while len(found) <= _SCRIPTS and (interpreter := _interpreter(head_of(found[-1])[:_SHEBANG])):
        found.append(interpreter)
    return found


def head_of(path: str) -> bytes:
    """What a program begins with; empty where that cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(_HEAD)
    except OSError:
        return b""


def env_asks_for(head: bytes) -> str:
    """The name behind `#!/usr/bin/env`, which gets the rest of the line as one word unless -S splits it.

    Empty for anything else, and where only env knows which word it is.
    """
    line = head[2:].split(b"\n")[0] if head.startswith(b"#!") else b""
    program, _, rest = os.fsdecode(line.strip()).partition(" ")
    rest = rest.strip()
    if os.path.basename(program) != "env" or not rest:
        return ""
    if rest.startswith("-S"):
        words = rest[2:].split()
        rest = next((word for word in words if "=" not in word), "")
    return "" if rest.startswith("-") or re.search(r"[=/'\"\\$]", rest) else rest


def judge(head: bytes, path: str, machine: str, exists: Callable[[str], bool]) -> PermanentFailure | None:
    """What is wrong with a program that begins with `head`."""
    if head.startswith(b"#!"):
        return _judge_script(head[:_SHEBANG], path, exists)
    if head.startswith(b"\x7fELF"):
        return _judge_elf(head, path, machine, exists)
    return None


def _judge_script(head: bytes, path: str, exists: Callable[[str], bool]) -> PermanentFailure | None:
    line = head[2:].split(b"\n")[0]
    if line.endswith(b"\r"):
        return PermanentFailure(
            "WrongLineEnds",
            f"the first line of {path} ends as Windows ends lines, so its interpreter is not found",
            hint=f"sed -i 's/\\r$//' {path}",
        )
    interpreter = _interpreter(head)
    if interpreter and not exists(interpreter):
        return PermanentFailure(
            "InterpreterNotFound",
            f"{path} is for {interpreter}, which is not on this machine",
            hint="install it, or correct the first line of the script",
        )
    return None


def _interpreter(head: bytes) -> str:
    """The path in a script's first line; empty for what is no script, and for a path that is not whole."""
    words = head[2:].split(b"\n")[0].split() if head.startswith(b"#!") else []
    return os.fsdecode(words[0]) if words and words[0].startswith(b"/") else ""


def _judge_elf(
    head: bytes, path: str, machine: str, exists: Callable[[str], bool]
) -> PermanentFailure | None:
    order = ">" if head[5:6] == b"\x02" else "<"
    if len(head) < 64:
        return None
    (number,) = struct.unpack_from(f"{order}H", head, 18)
    built_for = _MACHINES.get(number, f"another processor (ELF machine {number})")
    if built_for != machine and built_for not in _ALSO.get(machine, ()):
        return PermanentFailure(
            _WRONG_PROCESSOR,
            f"{path} is built for {built_for}, and this machine is {machine}",
            hint=f"take its build for {machine}",
        )
    loader = _loader(head, order)
    if loader and not exists(loader):
        return PermanentFailure(
            "InterpreterNotFound",
            f"{path} needs the loader {loader}, which is not on this machine",
            hint="it was built for another distribution, or for another C library; take the glibc build",
        )
    return None


def _is_emulated(head: bytes) -> bool:
    """Whether an emulator is registered (binfmt_misc) for the processor of this ELF file."""
    for format in Path("/proc/sys/fs/binfmt_misc").glob("*"):
        with suppress(OSError, ValueError):
            magic = re.search(r"^magic ([0-9a-f]+)$", format.read_text(), re.MULTILINE)
            if magic and bytes.fromhex(magic[1])[18:20] == head[18:20]:
                return True
    return False


def _loader(head: bytes, order: str) -> str:
    """The path in its PT_INTERP segment, where that is within what was read; empty for a static program."""
    if head[4:5] == b"\x02":
        (table,) = struct.unpack_from(f"{order}Q", head, 32)
        size, count = struct.unpack_from(f"{order}HH", head, 54)
        layout = f"{order}I4xQ16xQ"
    else:
        (table,) = struct.unpack_from(f"{order}I", head, 28)
        size, count = struct.unpack_from(f"{order}HH", head, 42)
        layout = f"{order}II8xI"
    for number in range(count):
        place = table + number * size
        if place + struct.calcsize(layout) > len(head):
            break
        kind, offset, length = struct.unpack_from(layout, head, place)
        if kind == _PT_INTERP:
            return os.fsdecode(head[offset : offset + length].rstrip(b"\0"))
    return ""
